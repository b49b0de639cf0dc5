/* SPDX-License-Identifier: MIT */
/*
 * How does the cost of a timer, and of a task, grow with those that live?
 *
 *     growth [--to N]          10, 10^2, 10^3 ... up to N (default: 10^7) of each; a JSON line per
 *                              figure: {"bench":"timer_hot","live":1000,"ns":4.1}
 *
 *     timer_hot      arm a timer and disarm it, with so many others armed
 *     timer_each     arm so many at random deadlines, then disarm them; per timer
 *     timer_fire     of so many, one fires and arms itself again
 *     spawn_join     spawn a task and join it, with so many others asleep
 *     yield_one      one task yields, with so many others asleep
 *     yield_each     so many tasks yield in turn, so each of them is fetched from memory
 *     spawn_each     spawn so many, and run them to their end
 *     timer_bytes    of an armed timer, wheel included
 *     task_bytes     of a task that sleeps: what was asked of the allocator
 */
#include "../micro/drive.h"

#include <coil/timer.h>

#define AHEAD_MAX_NS (INT64_C(60) * 1000000000)
#define TURN_NS (INT64_C(100) * 1000)

enum { HOT_TIMERS = 64 /* A power of two. */, OPERATIONS = 400000, RUNS = 3 };

static uint64_t random_state = 88172645463325252;

static coil_duration random_ahead(void)
{
    return (coil_duration)(measure_random(&random_state) % (uint64_t)AHEAD_MAX_NS);
}

static void report(const char *bench, int64_t live_count, const char *unit, double figure)
{
    printf("{\"bench\":\"%s\",\"live\":%" PRId64 ",\"%s\":%.2f}\n", bench, live_count, unit,
            figure);
    (void)fflush(stdout);
}

/* The best of a few: what else the machine does only ever adds. */
static void measure(const char *bench, int64_t live_count, int64_t operation_count,
        double (*run)(int64_t count))
{
    double best_ns = run(operation_count);
    for (int i = 1; i < RUNS; i++) {
        double ns = run(operation_count);
        best_ns = ns < best_ns ? ns : best_ns;
    }
    report(bench, live_count, "ns", best_ns / (double)operation_count);
}

/* ---------------------------------------------------------------------------------- timers -- */

static coil_timer_wheel wheel;
static coil_timer *timers;
static int64_t timer_count;
static coil_time now; /* Of the wheel. */

static void fire_again(coil_timer *timer)
{
    coil_timer_arm(&wheel, timer, timer->deadline + TURN_NS + random_ahead());
}

static double timer_hot(int64_t count)
{
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        coil_timer *timer = &timers[timer_count + i % HOT_TIMERS];
        coil_timer_arm(&wheel, timer, AHEAD_MAX_NS / 2 + (coil_time)i * 1000);
        coil_timer_disarm(&wheel, timer);
    }
    return measure_now_ns() - start_ns;
}

static double timer_each(int64_t count)
{
    for (int64_t i = 0; i < timer_count; i++)
        coil_timer_disarm(&wheel, &timers[i]);
    double start_ns = measure_now_ns();
    for (int64_t done = 0; done < count; done += timer_count) {
        for (int64_t i = 0; i < timer_count; i++)
            coil_timer_arm(&wheel, &timers[i], random_ahead());
        for (int64_t i = 0; i < timer_count; i++)
            coil_timer_disarm(&wheel, &timers[i]);
    }
    double spent_ns = measure_now_ns() - start_ns;
    for (int64_t i = 0; i < timer_count; i++)
        coil_timer_arm(&wheel, &timers[i], random_ahead());
    return spent_ns;
}

/* The last: it moves the time. */
static double timer_fire(int64_t count)
{
    int64_t fired_count = 0;
    double start_ns = measure_now_ns();

    while (fired_count < count) {
        coil_time next = coil_timer_wheel_next(&wheel);
        now = next > now + TURN_NS ? next : now + TURN_NS;
        fired_count += coil_timer_wheel_advance(&wheel, now);
    }
    return (measure_now_ns() - start_ns) * (double)count / (double)fired_count;
}

static int64_t at_least(int64_t count, int64_t least)
{
    return count >= least ? count : (least + count - 1) / count * count;
}

static void measure_timers(int64_t live_count)
{
    double before_bytes = measure_resident_bytes();

    timer_count = live_count;
    now = 0;
    timers = calloc((size_t)live_count + HOT_TIMERS, sizeof(*timers));
    COIL_CHECK(timers != NULL);
    coil_timer_wheel_init(&wheel, 0);
    for (int64_t i = 0; i < live_count + HOT_TIMERS; i++)
        coil_timer_init(&timers[i], fire_again);
    for (int64_t i = 0; i < live_count; i++)
        coil_timer_arm(&wheel, &timers[i], random_ahead());
    if (live_count >= 100000) /* Below, pages are too coarse a measure. */
        report("timer_bytes", live_count, "bytes",
                (measure_resident_bytes() - before_bytes) / (double)live_count);
    measure("timer_hot", live_count, OPERATIONS, timer_hot);
    measure("timer_each", live_count, at_least(live_count, OPERATIONS), timer_each);
    /* As many as there are: each is moved from level to level of the wheel on its way. */
    measure("timer_fire", live_count, at_least(live_count, OPERATIONS), timer_fire);
    free(timers);
}

/* ----------------------------------------------------------------------------------- tasks -- */

/* Counts what the scheduler asks for. */
static size_t allocated_bytes;

static void *allocate(coil_allocator *allocator, size_t size_bytes)
{
    (void)allocator;
    allocated_bytes += size_bytes;
    return malloc(size_bytes);
}

static void release(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    (void)allocator;
    allocated_bytes -= size_bytes;
    free(memory);
}

static coil_allocator counting = {allocate, release};

coil_async(int, sleep_long)
{
    coil_vars();
    coil_await(coil_sleep(COIL_FOREVER));
    return 0;
}

coil_async(int, nothing)
{
    coil_vars();
    return 0;
}

coil_async(int, spawn_and_join, (int64_t) count)
{
    coil_vars(int64_t i; coil_group group);

    coil_open_group(&my->group);
    for (my->i = 0; my->i < count; my->i++) {
        coil_spawn(&my->group, nothing());
        coil_attempt(coil_group_join(&my->group));
    }
    return 0;
}

coil_async(int, yield_often, (int64_t) count)
{
    coil_vars(int64_t i);

    for (my->i = 0; my->i < count; my->i++)
        coil_await(coil_yield());
    return 0;
}

/* Until nothing is ready, the sleepers aside. */
static double run_all(void)
{
    double start_ns = measure_now_ns();
    drain();
    return measure_now_ns() - start_ns;
}

static double spawn_join(int64_t count)
{
    coil_spawn(&sched.root, spawn_and_join(count));
    return run_all();
}

static double yield_one(int64_t count)
{
    coil_spawn(&sched.root, yield_often(count));
    return run_all();
}

static int64_t task_count;

/* What they cost to spawn and to end is not in. */
static double yield_each(int64_t count)
{
    for (int64_t i = 0; i < task_count; i++)
        coil_spawn(&sched.root, yield_often(count / task_count));
    (void)coil_sched_run(&sched, (unsigned)task_count);
    return run_all();
}

static double spawn_each(int64_t count)
{
    double start_ns = measure_now_ns();
    for (int64_t done = 0; done < count; done += task_count) {
        for (int64_t i = 0; i < task_count; i++)
            coil_spawn(&sched.root, nothing());
        drain();
    }
    return measure_now_ns() - start_ns;
}

static void measure_sleepers(int64_t live_count)
{
    for (int i = 0; i < 100; i++) /* What a task of this kind needs is learned from the first. */
        coil_spawn(&sched.root, sleep_long());
    drain();
    size_t before_bytes = allocated_bytes;
    for (int64_t i = 0; i < live_count; i++)
        coil_spawn(&sched.root, sleep_long());
    drain();
    if (live_count >= 10000) /* Below, slabs are too coarse a measure. */
        report("task_bytes", live_count, "bytes",
                (double)(allocated_bytes - before_bytes) / (double)live_count);
    measure("spawn_join", live_count, OPERATIONS, spawn_join);
    measure("yield_one", live_count, OPERATIONS, yield_one);
    coil_group_cancel(&sched.root);
    drain();
    COIL_CHECK(sched.live_count == 0);
}

static void measure_tasks(int64_t live_count)
{
    task_count = live_count;
    coil_sched_init(&sched, 0, &counting);
    sched.root.keep_going = true;
    measure_sleepers(live_count);
    coil_sched_fini(&sched);

    coil_sched_init(&sched, 0, &counting);
    measure("yield_each", live_count, at_least(live_count, OPERATIONS), yield_each);
    measure("spawn_each", live_count, at_least(live_count, OPERATIONS), spawn_each);
    coil_sched_fini(&sched);
}

int main(int argc, char **argv)
{
    int64_t to = 10000000;

    if (argc == 3 && strcmp(argv[1], "--to") == 0) {
        to = strtoll(argv[2], NULL, 10);
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--to N]\n", argv[0]);
        return 2;
    }
    for (int64_t live_count = 10; live_count <= to; live_count *= 10) {
        measure_timers(live_count);
        measure_tasks(live_count);
    }
    return 0;
}
