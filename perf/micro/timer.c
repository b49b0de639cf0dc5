/* SPDX-License-Identifier: MIT */
/*
 * What does a timer cost when n others are armed? The wheel of <coil/timer.h> beside a binary heap
 * written for the comparison.
 *
 *     timer_1m, timer_1k    n live; arm one 30 s ahead, disarm it: an operation that ends in time
 *     timers_1m             arm a million at random deadlines, then disarm them all; per timer
 *     timer_move_1m, _1k    n live; move one of them, picked at random: misses the cache
 *     timer_refire_1m, _1k  one of n fires and arms itself again, up to 60 s ahead, in a loop that
 *                           sleeps until next() and turns at most once in 100 us
 *
 * Time is virtual here; timer_loop.c has a clock.
 */
#include "heap.h"
#include "measure.h"

#include <coil/check.h>

#define AHEAD_MAX_NS (INT64_C(60) * 1000000000)
#define TURN_NS (INT64_C(100) * 1000)

enum { FEW = 1000, MANY = 1000000, HOT_TIMERS = 64 /* A power of two. */ };

static uint64_t random_state;

static coil_duration random_ahead(void)
{
    return (coil_duration)(measure_random(&random_state) % (uint64_t)AHEAD_MAX_NS);
}

/* Globals, for fire() hooks that need nothing else. */
static coil_timer_wheel wheel;
static timer_heap rival;

static void wheel_fire(coil_timer *timer)
{
    coil_timer_arm(&wheel, timer, timer->deadline + TURN_NS + random_ahead());
}

static void rival_fire(heap_timer *timer)
{
    heap_arm(&rival, timer, timer->deadline + TURN_NS + random_ahead());
}

/* ------------------------------------------------------------------------------ the wheel -- */

static coil_timer *timers;

/* `n` armed timers and HOT_TIMERS that are not. */
static void wheel_begin(int64_t n)
{
    timers = calloc((size_t)n + HOT_TIMERS, sizeof(*timers));
    COIL_CHECK(timers != NULL);
    random_state = 88172645463325252;
    coil_timer_wheel_init(&wheel, 0);
    for (int64_t i = 0; i < n + HOT_TIMERS; i++)
        coil_timer_init(&timers[i], wheel_fire);
    for (int64_t i = 0; i < n; i++)
        coil_timer_arm(&wheel, &timers[i], random_ahead());
}

static double wheel_arm_disarm(int64_t n, int64_t count)
{
    wheel_begin(n);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        coil_timer *timer = &timers[n + i % HOT_TIMERS];
        coil_timer_arm(&wheel, timer, AHEAD_MAX_NS / 2 + (coil_time)i * 1000);
        coil_timer_disarm(&wheel, timer);
    }
    double spent_ns = measure_now_ns() - start_ns;
    free(timers);
    return spent_ns;
}

/* Armed and disarmed by somebody who touches each timer: what it takes to fetch it is in. */
static double wheel_all(int64_t count)
{
    wheel_begin(count);
    for (int64_t i = 0; i < count; i++)
        coil_timer_disarm(&wheel, &timers[i]);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++)
        coil_timer_arm(&wheel, &timers[i], random_ahead());
    for (int64_t i = 0; i < count; i++)
        coil_timer_disarm(&wheel, &timers[i]);
    double spent_ns = measure_now_ns() - start_ns;
    free(timers);
    return spent_ns;
}

static double wheel_move(int64_t n, int64_t count)
{
    wheel_begin(n);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        uint64_t pick = measure_random(&random_state) % (uint64_t)n;
        coil_timer_arm(&wheel, &timers[pick], random_ahead());
    }
    double spent_ns = measure_now_ns() - start_ns;
    free(timers);
    return spent_ns;
}

static double wheel_fires(int64_t n, int64_t count)
{
    int64_t fired = 0;
    coil_time now = 0;

    wheel_begin(n);
    double start_ns = measure_now_ns();
    while (fired < count) {
        coil_time next = coil_timer_wheel_next(&wheel);
        now = next > now + TURN_NS ? next : now + TURN_NS;
        fired += coil_timer_wheel_advance(&wheel, now);
    }
    double spent_ns = measure_now_ns() - start_ns;
    free(timers);
    return spent_ns * (double)count / (double)fired;
}

/* ------------------------------------------------------------------------------- the heap -- */

static heap_timer *rivals;

static void rival_begin(int64_t n)
{
    rivals = calloc((size_t)n + HOT_TIMERS, sizeof(*rivals));
    rival = (timer_heap){.entries = calloc((size_t)n + HOT_TIMERS + 1, sizeof(*rival.entries))};
    COIL_CHECK(rivals != NULL);
    COIL_CHECK(rival.entries != NULL);
    random_state = 88172645463325252;
    for (int64_t i = 0; i < n + HOT_TIMERS; i++)
        rivals[i].fire = rival_fire;
    for (int64_t i = 0; i < n; i++)
        heap_arm(&rival, &rivals[i], random_ahead());
}

static double rival_end(double start_ns)
{
    double spent_ns = measure_now_ns() - start_ns;

    free(rival.entries);
    free(rivals);
    return spent_ns;
}

static double rival_arm_disarm(int64_t n, int64_t count)
{
    rival_begin(n);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        heap_timer *timer = &rivals[n + i % HOT_TIMERS];
        heap_arm(&rival, timer, AHEAD_MAX_NS / 2 + (coil_time)i * 1000);
        heap_disarm(&rival, timer);
    }
    return rival_end(start_ns);
}

static double rival_all(int64_t count)
{
    rival_begin(count);
    for (int64_t i = count - 1; i >= 0; i--)
        heap_disarm(&rival, &rivals[i]);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++)
        heap_arm(&rival, &rivals[i], random_ahead());
    for (int64_t i = 0; i < count; i++)
        heap_disarm(&rival, &rivals[i]);
    return rival_end(start_ns);
}

static double rival_move(int64_t n, int64_t count)
{
    rival_begin(n);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        uint64_t pick = measure_random(&random_state) % (uint64_t)n;
        heap_arm(&rival, &rivals[pick], random_ahead());
    }
    return rival_end(start_ns);
}

static double rival_fires(int64_t n, int64_t count)
{
    int64_t fired = 0;
    coil_time now = 0;

    rival_begin(n);
    double start_ns = measure_now_ns();
    while (fired < count) {
        coil_time next = heap_next(&rival);
        now = next > now + TURN_NS ? next : now + TURN_NS;
        fired += heap_advance(&rival, now);
    }
    return rival_end(start_ns) * (double)count / (double)fired;
}

/* One question, asked of both, with few and with many live timers. */
#define QUESTION(name)                             \
    static double wheel_##name##_1k(int64_t count) \
    {                                              \
        return wheel_##name(FEW, count);           \
    }                                              \
    static double wheel_##name##_1m(int64_t count) \
    {                                              \
        return wheel_##name(MANY, count);          \
    }                                              \
    static double rival_##name##_1k(int64_t count) \
    {                                              \
        return rival_##name(FEW, count);           \
    }                                              \
    static double rival_##name##_1m(int64_t count) \
    {                                              \
        return rival_##name(MANY, count);          \
    }

QUESTION(arm_disarm)
QUESTION(move)
QUESTION(fires)

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"timer_1m", "coil", wheel_arm_disarm_1m, MANY, MEASURE_NS},
            {"timer_1m", "heap", rival_arm_disarm_1m, MANY, MEASURE_NS},
            {"timer_1k", "coil", wheel_arm_disarm_1k, MANY, MEASURE_NS},
            {"timer_1k", "heap", rival_arm_disarm_1k, MANY, MEASURE_NS},
            {"timers_1m", "coil", wheel_all, MANY, MEASURE_NS},
            {"timers_1m", "heap", rival_all, MANY, MEASURE_NS},
            {"timer_move_1m", "coil", wheel_move_1m, MANY, MEASURE_NS},
            {"timer_move_1m", "heap", rival_move_1m, MANY, MEASURE_NS},
            {"timer_move_1k", "coil", wheel_move_1k, MANY, MEASURE_NS},
            {"timer_move_1k", "heap", rival_move_1k, MANY, MEASURE_NS},
            {"timer_refire_1k", "coil", wheel_fires_1k, MANY, MEASURE_NS},
            {"timer_refire_1k", "heap", rival_fires_1k, MANY, MEASURE_NS},
            {"timer_refire_1m", "coil", wheel_fires_1m, MANY, MEASURE_NS},
            {"timer_refire_1m", "heap", rival_fires_1m, MANY, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
