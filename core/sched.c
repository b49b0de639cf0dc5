/* SPDX-License-Identifier: MIT */
#include <coil/round.h>

#include "task_private.h"
#include "task_probe.h"

#include <stdlib.h>

static void *heap_allocate(coil_allocator *allocator, size_t size_bytes)
{
    (void)allocator;
    return malloc(size_bytes);
}

static void heap_release(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    (void)allocator, (void)size_bytes;
    free(memory);
}

static COIL_PROCESS_WIDE coil_allocator heap = {heap_allocate, heap_release};

/* ------------------------------------------------------------------------------ lifecycle -- */

void coil_sched_init(coil_sched *sched, coil_time now, coil_allocator *allocator)
{
    memset(sched, 0, sizeof(*sched));
    sched->now = now;
    sched->allocator = allocator == NULL ? &heap : allocator;
    sched->class_count = COIL_SLAB_CLASSES;
    sched->ready_last = &sched->ready_first;
    sched->yielded_last = &sched->yielded_first;
    coil_timer_wheel_init(&sched->wheel, now);
    coil_group_init(&sched->root, sched);
}

void coil_sched_fini(coil_sched *sched)
{
    COIL_CHECK(sched->live_count == 0);
    coil_sched_release_slabs(sched);
}

/* -------------------------------------------------------------------------------- running -- */

/*
 * The task is queued; or it is guarded, by debug mode, which looks who wakes it, or for the probe.
 * (A function of its own, with nothing to come back to, so that the ordinary way needs no stack
 * frame.)
 */
static COIL_COLD void wake_with_care(coil_task *task)
{
    if (task->queued == COIL_QUEUED)
        return;
    if (task->sched->debug != NULL)
        coil_debug_touched(task->sched->debug, "woke a task");
    if (COIL_PROBED())
        coil_probe_woken(task);
    task->queued = COIL_NOT_QUEUED;
    coil_task_wake(task);
}

COIL_HOT void coil_task_wake(coil_task *task)
{
    if (coil_unlikely(task->queued != COIL_NOT_QUEUED)) {
        wake_with_care(task);
        return;
    }
    coil_sched_queue(task->sched, task);
}

void coil_sched_advance(coil_sched *sched, coil_time now)
{
    sched->unread = NULL;
    if (now > sched->now)
        sched->now = now;
    (void)coil_timer_wheel_advance(&sched->wheel, sched->now);
}

/* (The wheel is not told: what has been armed since may be due, and fires in the next round.) */
coil_time coil_sched_read_clock(coil_sched *sched)
{
    coil_time now = sched->unread->read(sched->unread);
    sched->unread = NULL;
    if (now > sched->now)
        sched->now = now;
    return sched->now;
}

COIL_THREAD_LOCAL coil_sched *coil_sched_here;

static inline coil_sched_place enter(coil_sched *sched, char *stack_mark)
{
    coil_sched_place outer = {coil_sched_here, coil_stack_mark};
    coil_sched_here = sched;
    coil_stack_mark = stack_mark;
    return outer;
}

static inline void leave(const coil_sched_place *outer)
{
    coil_sched_here = outer->sched;
    coil_stack_mark = outer->stack_mark;
}

coil_sched_place coil_sched_enter(coil_sched *sched)
{
    return enter(sched, __builtin_frame_address(0));
}

void coil_sched_leave(const coil_sched_place *outer)
{
    leave(outer);
}

COIL_COLD void coil_sched_run_watched(coil_sched *sched, unsigned budget)
{
    coil_task *task;
    if (sched->debug != NULL) {
        coil_debug_run(sched->debug, budget);
        return;
    }
    while (budget-- > 0 && (task = coil_sched_take(sched)) != NULL)
        (void)coil_probe_resume(task);
}

COIL_HOT bool coil_sched_run(coil_sched *sched, unsigned budget)
{
    COIL_CHECK(sched->running == NULL); /* A loop does not run inside itself. */
    const coil_sched_place outer = enter(sched, __builtin_frame_address(0));
    const bool more = coil_sched_round(sched, budget);
    leave(&outer);
    return more;
}

coil_time coil_sched_next(coil_sched *sched)
{
    return sched->ready_first != NULL ? coil_sched_now(sched)
                                      : coil_timer_wheel_next(&sched->wheel);
}

/* --------------------------------------------------------------------------- sleep, yield -- */

typedef struct sleeper {
    coil_timer timer;
    coil_task *task; /* NULL: it has rested. A sleep without end has a timer that is never armed. */
} sleeper;

static void wake_sleeper(coil_timer *timer)
{
    sleeper *asleep = coil_container_of(timer, sleeper, timer);
    coil_task *task = asleep->task;
    asleep->task = NULL;
    coil_task_wake(task);
}

static coil_turn sleep_step(coil_task *task, coil_frame *leaf, coil_time deadline)
{
    coil_sched *sched = task->sched;

    if (leaf->at != NULL) {
        sleeper *asleep = leaf->vars;
        if (asleep->task != NULL && !coil_task_unwind_here(task))
            return coil_leaf_suspend(leaf);
        coil_timer_disarm(&sched->wheel, &asleep->timer);
        return coil_leave(task, leaf);
    }
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    sleeper *asleep = coil_push(task, sizeof(*asleep));
    asleep->task = task;
    coil_timer_init(&asleep->timer, wake_sleeper);
    coil_timer_arm(&sched->wheel, &asleep->timer, deadline);
    leaf->vars = asleep;
    return coil_leaf_suspend(leaf);
}

static coil_turn sleep_for(coil_task *task, coil_frame *leaf)
{
    coil_duration duration = coil_arguments(coil_sleep, leaf)->duration;
    return sleep_step(task, leaf, coil_time_after(coil_sched_now(task->sched), duration));
}

static coil_turn sleep_until(coil_task *task, coil_frame *leaf)
{
    return sleep_step(task, leaf, coil_arguments(coil_sleep_until, leaf)->deadline);
}

coil_define_leaf(coil_sleep, sleep_for, coil_leaf_wake);
coil_define_leaf(coil_sleep_until, sleep_until, coil_leaf_wake);

coil_time coil_sleep_end(const coil_frame *leaf)
{
    const sleeper *asleep = leaf->vars;
    return asleep->timer.deadline;
}

static inline void queue_for_next_round(coil_task *task)
{
    coil_sched *sched = task->sched;

    task->queued = COIL_QUEUED;
    task->ready_next = NULL;
    *sched->yielded_last = task;
    sched->yielded_last = &task->ready_next;
}

void coil_task_wake_later(coil_task *task)
{
    if (task->queued != COIL_QUEUED)
        queue_for_next_round(task);
}

static coil_turn yield_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL || coil_task_refuses(task))
        return coil_leave(task, leaf);
    queue_for_next_round(task);
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_yield, yield_step, NULL);
