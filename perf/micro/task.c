/* SPDX-License-Identifier: MIT */
/*
 * What do coroutines and tasks cost by themselves?
 *
 *     await_ready      call a child that is done at once, and take its result
 *     await_resume     call a child that waits in a leaf, wake it, resume it, and take its result
 *     suspend_resume   wait in a leaf again and again: one suspension, one wake-up, one resumption
 *     yield            coil_yield() of two tasks, turn about; per turn
 *     spawn_join       spawn one trivial task and join it
 *     spawn_join_all   spawn a million, all alive at once, then join them; per task
 *     task_slab        what one parked task, one frame deep, takes of the slabs
 *     task_resident    the same as the growth of the process, of a million
 *     sleeper_slab     what a task takes that sleeps
 */
#include "drive.h"

#include <coil/sugar.h>

enum { TASK_COUNT = 1000000 };

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

/* A leaf that keeps its task until somebody else wakes it. */
coil_leaf(int, park);

static coil_turn park_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at == NULL)
        return coil_leaf_suspend(leaf);
    coil_result(park, leaf) = 0;
    return coil_leave(task, leaf);
}

coil_leaf_fn(park, park_step, NULL);

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

async(int, yield_often, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++)
        await(coil_yield());
    return 0;
}

async(int, yield, (int64_t) count)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, yield_often(count / 2));
    spawn(&my->group, yield_often(count / 2));
    attempt(coil_group_join(&my->group));
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

async(int, spawn_join_all, (int64_t) count)
{
    vars(coil_group group);
    open_group(&my->group);
    for (int64_t i = 0; i < count; i++)
        spawn(&my->group, trivial());
    attempt(coil_group_join(&my->group));
    return 0;
}

DRIVE(await_ready)
DRIVE(await_resume)
DRIVE(suspend_resume)
DRIVE(yield)
DRIVE(spawn_join)
DRIVE(spawn_join_all)

/* --------------------------------------------------------------------------------- memory -- */

async(int, parks)
{
    vars(int result);
    await(my->result, park());
    return my->result;
}

async(int, sleeps)
{
    vars();
    await(coil_sleep(coil_s(1)));
    return 0;
}

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

static counting memory = {{count_allocate, count_release}, 0};
static coil_sched crowd;

/* A scheduler of their own, whose slabs are counted. */
static void crowd_begin(void)
{
    coil_sched_init(&crowd, 0, &memory.allocator);
}

static void crowd_settle(void)
{
    while (coil_sched_run(&crowd, 1000)) {
    }
}

static double slab_bytes(void)
{
    return (double)memory.out_bytes;
}

static double parked(int64_t count, double (*bytes_now)(void))
{
    coil_task **tasks = malloc((size_t)count * sizeof(coil_task *));

    COIL_CHECK(tasks != NULL);
    memset(tasks, 1, (size_t)count * sizeof(coil_task *));
    crowd_begin();
    double before = bytes_now();
    for (int64_t i = 0; i < count; i++) {
        tasks[i] = coil_spawn(&crowd.root, parks());
        COIL_CHECK(tasks[i] != NULL);
    }
    crowd_settle();
    double grown = bytes_now() - before;
    for (int64_t i = 0; i < count; i++)
        coil_task_wake(tasks[i]);
    crowd_settle();
    coil_sched_fini(&crowd);
    free(tasks);
    return grown;
}

static double run_task_slab(int64_t count)
{
    return parked(count, slab_bytes);
}

static double run_task_resident(int64_t count)
{
    return parked(count, measure_resident_bytes);
}

static double run_sleeper_slab(int64_t count)
{
    crowd_begin();
    for (int64_t i = 0; i < count; i++)
        COIL_CHECK(coil_spawn(&crowd.root, sleeps()) != NULL);
    crowd_settle();
    double grown = slab_bytes();
    coil_sched_advance(&crowd, coil_s(1));
    crowd_settle();
    coil_sched_fini(&crowd);
    return grown;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {DRIVEN(await_ready)},
            {DRIVEN(await_resume)},
            {DRIVEN(suspend_resume)},
            {DRIVEN(yield)},
            {DRIVEN(spawn_join)},
            {"spawn_join_all", "coil", run_spawn_join_all, TASK_COUNT, MEASURE_NS},
            {"task_resident", "coil", run_task_resident, TASK_COUNT, MEASURE_BYTES},
            {"task_slab", "coil", run_task_slab, TASK_COUNT, MEASURE_BYTES},
            {"sleeper_slab", "coil", run_sleeper_slab, TASK_COUNT, MEASURE_BYTES},
    };
    coil_sched_init(&sched, 0, NULL);
    int rc = measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
    coil_sched_fini(&sched);
    return rc;
}
