/* SPDX-License-Identifier: MIT */
/*
 * What do coroutines and tasks cost by themselves? One JSON line per answer, ns per operation, the
 * best of several runs:
 *
 *     await_ready      call a child that is done at once, and take its result
 *     await_resume     call a child that waits in a leaf, wake it, resume it, and take its result
 *     suspend_resume   wait in a leaf again and again: one suspension, one wake-up, one resumption
 *     yield            coil_yield() of a lone task
 *     spawn_join       spawn one trivial task and join it
 *     spawn_join_100   spawn a hundred and join them; per task
 *     task_bytes       memory per sleeping task, n of them; `bytes` instead of `ns`
 *
 * Usage: task [n [tasks]]     default 100000 1000000
 */
#include <coil/sched.h>

#include <inttypes.h>
#include <time.h>

#include <coil/sugar.h>

enum { RUNS = 25 };

static coil_sched sched;

/* ------------------------------------------------------------------------------- subjects -- */

/* A leaf that its task wakes before it waits: nothing but the suspension. */
coil_leaf(int, bounce);

static coil_turn bounce_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at == NULL) {
        coil_task_wake(task);
        return coil_leaf_suspend(leaf);
    }
    coil_result(bounce, leaf) = 1;
    return coil_leave(task, leaf);
}

coil_leaf_fn(bounce, bounce_step, NULL);

async(int, is_ready, (int) value)
{
    vars();
    return value;
}

async(int, waits_once, (int) value)
{
    vars(int result);
    await(my->result, bounce());
    return value + my->result;
}

async(int, await_ready, (int64_t) count)
{
    vars(int64_t i; int64_t sum; int result);
    for (; my->i < count; my->i++) {
        await(my->result, is_ready(1));
        my->sum += my->result;
    }
    return my->sum == count ? 0 : -1;
}

async(int, await_resume, (int64_t) count)
{
    vars(int64_t i; int64_t sum; int result);
    for (; my->i < count; my->i++) {
        await(my->result, waits_once(1));
        my->sum += my->result;
    }
    return my->sum == 2 * count ? 0 : -1;
}

async(int, suspend_resume, (int64_t) count)
{
    vars(int64_t i; int result);
    for (; my->i < count; my->i++)
        await(my->result, bounce());
    return 0;
}

async(int, yield, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++)
        await(coil_yield());
    return 0;
}

async(int, trivial)
{
    vars();
    return 0;
}

async(int, spawn_join, (int64_t) count)
{
    vars(int64_t i; coil_group group);
    open_group(&my->group);
    for (; my->i < count; my->i++) {
        spawn(&my->group, trivial());
        attempt(coil_group_join(&my->group));
    }
    return 0;
}

async(int, spawn_join_100, (int64_t) count)
{
    vars(int64_t i; coil_group group);
    open_group(&my->group);
    for (; my->i < count; my->i += 100) {
        for (int k = 0; k < 100; k++)
            spawn(&my->group, trivial());
        attempt(coil_group_join(&my->group));
    }
    return 0;
}

async(int, sleeps)
{
    vars();
    await(coil_sleep(coil_s(1)));
    return 0;
}

/* ---------------------------------------------------------------------------- measurement -- */

static int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void drain(void)
{
    while (coil_sched_run(&sched, 1000)) {
    }
}

static int64_t measured(coil_task *task)
{
    int64_t begun = clock_now();
    COIL_CHECK(task != NULL);
    drain();
    COIL_CHECK(sched.live_count == 0 && sched.root.error == 0);
    return clock_now() - begun;
}

#define REPORT(bench, n)                                                                       \
    do {                                                                                       \
        int64_t best_ns = INT64_MAX;                                                           \
        for (int run = 0; run < RUNS; run++) {                                                 \
            int64_t took_ns = measured(coil_spawn(&sched.root, bench(n)));                     \
            best_ns = took_ns < best_ns ? took_ns : best_ns;                                   \
        }                                                                                      \
        printf("{\"bench\":\"" #bench "\",\"impl\":\"coil\",\"n\":%" PRId64 ",\"ns\":%.2f}\n", \
                (n), (double)best_ns / (double)(n));                                           \
    } while (0)

typedef struct counting {
    coil_allocator allocator;
    int64_t out_bytes;
} counting;

static void *count_allocate(coil_allocator *allocator, size_t size_bytes)
{
    coil_container_of(allocator, counting, allocator)->out_bytes += (int64_t)size_bytes;
    return malloc(size_bytes);
}

static void count_release(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    coil_container_of(allocator, counting, allocator)->out_bytes -= (int64_t)size_bytes;
    free(memory);
}

static void report_bytes(int64_t task_count)
{
    static counting memory = {{count_allocate, count_release}, 0};

    coil_sched_init(&sched, 0, &memory.allocator);
    for (int64_t i = 0; i < task_count; i++)
        COIL_CHECK(coil_spawn(&sched.root, sleeps()) != NULL);
    drain();
    printf("{\"bench\":\"task_bytes\",\"impl\":\"coil\",\"n\":%" PRId64 ",\"bytes\":%.1f}\n",
            task_count, (double)memory.out_bytes / (double)task_count);
    coil_sched_advance(&sched, coil_s(1));
    drain();
    coil_sched_fini(&sched);
}

int main(int argument_count, char **arguments)
{
    int64_t n = argument_count > 1 ? strtoll(arguments[1], NULL, 10) : 100000;
    int64_t task_count = argument_count > 2 ? strtoll(arguments[2], NULL, 10) : 1000000;

    coil_sched_init(&sched, 0, NULL);
    REPORT(await_ready, n);
    REPORT(await_resume, n);
    REPORT(suspend_resume, n);
    REPORT(yield, n);
    REPORT(spawn_join, n);
    REPORT(spawn_join_100, n);
    coil_sched_fini(&sched);
    report_bytes(task_count);
    return 0;
}
