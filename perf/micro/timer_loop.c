/* SPDX-License-Identifier: MIT */
/*
 * What does a timer cost that fires, on a loop with a clock? The same is asked of all peers:
 *
 *     timer_fire_1m    arm a million over the next 100 ms, run the loop until all have fired; CPU
 *                      time per timer, so that to sleep costs nothing
 *
 * The heap turns in a loop as one would write it by hand: sleep until the first, fire what is due.
 */
#include "heap.h"
#include "measure.h"

#include <coil/check.h>
#include <coil/event.h>
#include <coil/loop.h>

#include <poll.h>

#include <coil/sugar.h>

#define SPREAD_NS (INT64_C(100) * 1000000)

enum { MANY = 1000000 };

static uint64_t random_state;
static int64_t left_to_fire;

static coil_duration random_ahead(void)
{
    return (coil_duration)(measure_random(&random_state) % (uint64_t)SPREAD_NS);
}

/* ------------------------------------------------------------------------------- the loop -- */

static coil_event all_fired;

static void timer_fired(coil_timer *timer)
{
    (void)timer;
    if (--left_to_fire == 0)
        coil_event_set(&all_fired);
}

async(int, arm_and_wait, (coil_timer *) timers, (int64_t) count)
{
    vars();
    coil_timer_wheel *wheel = &coil_loop_root(coil_loop_current())->sched->wheel;
    for (int64_t i = 0; i < count; i++)
        coil_timer_arm(wheel, &timers[i], coil_now() + random_ahead());
    await(coil_event_wait(&all_fired));
    return 0;
}

static double run_coil(int64_t count)
{
    coil_timer *timers = calloc((size_t)count, sizeof(*timers));
    coil_loop *loop;
    char reason[COIL_REASON_BYTES];

    COIL_CHECK(timers != NULL);
    if (coil_loop_create(&loop, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    for (int64_t i = 0; i < count; i++)
        coil_timer_init(&timers[i], timer_fired);
    random_state = 88172645463325252;
    left_to_fire = count;
    coil_event_init(&all_fired);
    double start_ns = measure_cpu_ns();
    COIL_CHECK(coil_spawn(coil_loop_root(loop), arm_and_wait(timers, count)));
    COIL_CHECK(coil_loop_run(loop) == 0);
    double spent_ns = measure_cpu_ns() - start_ns;
    coil_event_fini(&all_fired);
    coil_loop_destroy(loop);
    free(timers);
    return spent_ns;
}

/* ------------------------------------------------------------------------------- the heap -- */

static void rival_fired(heap_timer *timer)
{
    (void)timer;
    left_to_fire--;
}

static coil_time clock_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void run_heap_loop(timer_heap *heap)
{
    while (left_to_fire > 0) {
        coil_duration ahead = heap_next(heap) - clock_now();
        if (ahead > 0)
            (void)ppoll(NULL, 0, &(struct timespec){.tv_nsec = ahead}, NULL);
        (void)heap_advance(heap, clock_now());
    }
}

static double run_heap(int64_t count)
{
    heap_timer *timers = calloc((size_t)count, sizeof(*timers));
    timer_heap heap = {.entries = calloc((size_t)count + 1, sizeof(*heap.entries))};

    COIL_CHECK(timers != NULL);
    COIL_CHECK(heap.entries != NULL);
    for (int64_t i = 0; i < count; i++)
        timers[i].fire = rival_fired;
    random_state = 88172645463325252;
    left_to_fire = count;
    double start_ns = measure_cpu_ns();
    coil_time now = clock_now();
    for (int64_t i = 0; i < count; i++)
        heap_arm(&heap, &timers[i], now + random_ahead());
    run_heap_loop(&heap);
    double spent_ns = measure_cpu_ns() - start_ns;
    free(heap.entries);
    free(timers);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"timer_fire_1m", "coil", run_coil, MANY, MEASURE_NS},
            {"timer_fire_1m", "heap", run_heap, MANY, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
