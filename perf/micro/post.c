/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to say something to the loop of another thread, and to hear its answer? Two
 * threads, each with a loop, each on a core of its own; both loops sleep in between.
 *
 *     post_round_trip           coil_loop_post() there, coil_loop_post() back
 *     thread_queue_round_trip   an item through a coil_thread_queue there, another back
 */
#include "measure.h"
#include "threads.h"

#include <coil/check.h>
#include <coil/event.h>
#include <coil/loop.h>
#include <coil/thread_queue.h>

#include <coil/sugar.h>

/* ---------------------------------------------------------------------- loops on two cores -- */

typedef struct side side;

/* What one thread does: a loop, and the task that `start` spawns on it. */
struct side {
    coil_loop *loop;
    coil_task *(*start)(side *me);
    int64_t count;

    /* For post_round_trip. */
    side *other;
    coil_event over;
    coil_post ball;
};

static pthread_barrier_t ready;

static void open_side(side *me)
{
    char reason[COIL_REASON_BYTES];

    if (coil_loop_create(&me->loop, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    COIL_CHECK(me->start(me) != NULL);
}

static void *run_far(void *argument)
{
    side *far = argument;

    threads_pin(1);
    open_side(far);
    pthread_barrier_wait(&ready);
    COIL_CHECK(coil_loop_run(far->loop) == 0);
    pthread_barrier_wait(&ready); /* Nobody posts any more. */
    coil_loop_destroy(far->loop);
    return NULL;
}

/* How long the near side runs. */
static double run_sides(side *near, side *far)
{
    pthread_t thread;

    threads_pin(0);
    open_side(near);
    COIL_CHECK(pthread_barrier_init(&ready, NULL, 2) == 0);
    COIL_CHECK(pthread_create(&thread, NULL, run_far, far) == 0);
    pthread_barrier_wait(&ready);

    double start_ns = measure_now_ns();
    COIL_CHECK(coil_loop_run(near->loop) == 0);
    double spent_ns = measure_now_ns() - start_ns;

    pthread_barrier_wait(&ready);
    (void)pthread_join(thread, NULL);
    (void)pthread_barrier_destroy(&ready);
    coil_loop_destroy(near->loop);
    return spent_ns;
}

/* ----------------------------------------------------------------------------------- posts -- */

/* `count` says how often this side will still get the ball. */
static void return_ball(coil_post *ball)
{
    side *me = coil_container_of(ball, side, ball);
    bool last = --me->count == 0;

    if (last)
        coil_event_set(&me->over);
    if (!last || me->other->count > 0)
        coil_loop_post(me->other->loop, &me->other->ball);
}

async(int, wait_for_the_end, (side *) me)
{
    vars();
    await(coil_event_wait(&me->over));
    return 0;
}

static coil_task *start_waiting(side *me)
{
    coil_event_init(&me->over);
    me->ball.run = return_ball;
    return coil_spawn(coil_loop_root(me->loop), wait_for_the_end(me));
}

static coil_task *start_with_the_ball(side *me)
{
    coil_task *task = start_waiting(me);

    coil_loop_post(me->loop, &me->ball); /* It is run when the loop is, and the other side there. */
    return task;
}

static double run_post(int64_t count)
{
    side near = {.start = start_with_the_ball, .count = count + 1};
    side far = {.start = start_waiting, .count = count, .other = &near};

    near.other = &far;
    return run_sides(&near, &far);
}

/* ---------------------------------------------------------------------------------- queues -- */

typedef coil_thread_queue_of(int64_t) number_queue;

static number_queue there;
static number_queue back;

async(int, serve, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++) {
        attempt(coil_thread_queue_put(&there, &my->number));
        attempt(coil_thread_queue_get(&back, &my->number));
    }
    return 0;
}

async(int, answer, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++) {
        attempt(coil_thread_queue_get(&there, &my->number));
        attempt(coil_thread_queue_put(&back, &my->number));
    }
    return 0;
}

static coil_task *start_serving(side *me)
{
    return coil_spawn(coil_loop_root(me->loop), serve(me->count));
}

static coil_task *start_answering(side *me)
{
    return coil_spawn(coil_loop_root(me->loop), answer(me->count));
}

static double run_thread_queue(int64_t count)
{
    int64_t slots[2];
    side near = {.start = start_serving, .count = count};
    side far = {.start = start_answering, .count = count};

    coil_thread_queue_init(&there, &slots[0], 1);
    coil_thread_queue_init(&back, &slots[1], 1);
    double spent_ns = run_sides(&near, &far);
    coil_thread_queue_fini(&there);
    coil_thread_queue_fini(&back);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"post_round_trip", "coil", run_post, TRIPS, MEASURE_NS},
            {"thread_queue_round_trip", "coil", run_thread_queue, TRIPS, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
