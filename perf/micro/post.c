/* SPDX-License-Identifier: MIT */
/*
 * What does a message to the loop of another thread cost?
 *
 *     post_round_trip   coil_loop_post() there, coil_loop_post() back; both loops sleep in between
 *
 * Two threads, each with a loop, each on a core of its own.
 */
#include "measure.h"
#include "threads.h"

#include <coil/check.h>
#include <coil/event.h>
#include <coil/loop.h>

#include <coil/sugar.h>

typedef struct player player;

/* One side. The ball is a post that the other side sends here. */
struct player {
    coil_loop *loop;
    coil_event over;
    coil_post ball;
    player *other;
    int64_t left_count; /* How often it still has to be sent back. */
};

static void return_ball(coil_post *ball)
{
    player *me = coil_container_of(ball, player, ball);
    bool last = --me->left_count == 0;

    if (last)
        coil_event_set(&me->over);
    if (!last || me->other->left_count > 0)
        coil_loop_post(me->other->loop, &me->other->ball);
}

async(int, wait_for_the_end, (player *) me)
{
    vars();
    await(coil_event_wait(&me->over));
    return 0;
}

static void player_init(player *me, player *other, int64_t count)
{
    *me = (player){.other = other, .left_count = count, .ball = {.run = return_ball}};
    coil_event_init(&me->over);
}

static void player_open(player *me)
{
    char reason[COIL_REASON_BYTES];

    if (coil_loop_create(&me->loop, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    COIL_CHECK(coil_spawn(coil_loop_root(me->loop), wait_for_the_end(me)) != NULL);
}

static pthread_barrier_t ready;

static void *play_far(void *argument)
{
    player *me = argument;

    threads_pin(1);
    player_open(me);
    pthread_barrier_wait(&ready);
    COIL_CHECK(coil_loop_run(me->loop) == 0);
    pthread_barrier_wait(&ready); /* Nobody posts any more. */
    coil_loop_destroy(me->loop);
    return NULL;
}

/* The near side gets the ball first, so the last return of the far side is the end of a trip. */
static double run_round_trip(int64_t count)
{
    player near;
    player far;
    pthread_t thread;

    player_init(&near, &far, count + 1);
    player_init(&far, &near, count);
    threads_pin(0);
    player_open(&near);
    COIL_CHECK(pthread_barrier_init(&ready, NULL, 2) == 0);
    COIL_CHECK(pthread_create(&thread, NULL, play_far, &far) == 0);
    pthread_barrier_wait(&ready);

    double start_ns = measure_now_ns();
    coil_loop_post(near.loop, &near.ball);
    COIL_CHECK(coil_loop_run(near.loop) == 0);
    double spent_ns = measure_now_ns() - start_ns;

    pthread_barrier_wait(&ready);
    (void)pthread_join(thread, NULL);
    (void)pthread_barrier_destroy(&ready);
    coil_loop_destroy(near.loop);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"post_round_trip", "coil", run_round_trip, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
