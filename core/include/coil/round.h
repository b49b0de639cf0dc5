/* SPDX-License-Identifier: MIT */
/*
 * coil/round.h - a round of the scheduler, inline: for the loop, which drives it turn after turn.
 *
 *     coil_sched_place outer = coil_sched_enter(&sched);
 *     while (...)
 *         more = coil_sched_round(&sched, budget);
 *     coil_sched_leave(&outer);
 *
 * Everybody else calls coil_sched_run() (coil/sched.h), which is one round of that: compiled into a
 * program, a round would not see that a tool has attached to the library's probes.
 *
 * Not thread safe. Nothing here fails.
 */
#ifndef COIL_ROUND_H
#define COIL_ROUND_H

#include <coil/probe.h>
#include <coil/sched.h>

COIL_BEGIN_DECLS

/* What a thread was driving before. */
typedef struct coil_sched_place {
    coil_sched *sched; /* NULL: nothing. */
    char *stack_mark;
} coil_sched_place;

/*
 * Between these two the thread drives `sched`, and running bodies have the C stack below the
 * caller's frame. They nest: leaving restores what was driven before.
 */
COIL_API coil_sched_place coil_sched_enter(coil_sched *sched);
COIL_API void coil_sched_leave(const coil_sched_place *outer);

/* Private: the resumptions of a round in which debug mode, or a tool, looks at each of them. */
COIL_API void coil_sched_run_watched(coil_sched *sched, unsigned budget);

/* Only this thread writes it: no read-modify-write is needed for others to see whole values. */
static inline void coil_sched_count_step(coil_sched *sched)
{
    __atomic_store_n(&sched->step_count, sched->step_count + 1, __ATOMIC_RELAXED);
}

/* Take the first ready task off the queue and make it the running one. NULL: none is ready. */
static inline coil_task *coil_sched_take(coil_sched *sched)
{
    coil_task *task = sched->ready_first;
    if (task == NULL)
        return NULL;
    sched->ready_first = task->ready_next;
    if (sched->ready_first == NULL)
        sched->ready_last = &sched->ready_first;
    task->queued = COIL_NOT_QUEUED;
    sched->running = task;
    coil_sched_count_step(sched);
    return task;
}

/* coil_task_resume(), inline. */
static inline bool coil_sched_resume(coil_task *task)
{
    coil_frame *frame = task->top; /* There is one: what has ended is not resumed. */
    do {
        if (frame->fn->step(task, frame) != COIL_DONE)
            return false;
    } while ((frame = task->top) != NULL);
    coil_group_ended(task);
    return true;
}

/* Tasks that have yielded are ready again, behind all others. */
static inline void coil_sched_requeue_yielded(coil_sched *sched)
{
    if (coil_likely(sched->yielded_first == NULL))
        return;
    *sched->ready_last = sched->yielded_first;
    sched->ready_last = sched->yielded_last;
    sched->yielded_first = NULL;
    sched->yielded_last = &sched->yielded_first;
}

/* As coil_sched_run(), from whoever has entered `sched`. */
static inline bool coil_sched_round(coil_sched *sched, unsigned budget)
{
    if (coil_unlikely(sched->debug != NULL) || COIL_PROBED()) {
        coil_sched_run_watched(sched, budget);
    } else {
        coil_task *task;
        while (budget-- > 0 && (task = coil_sched_take(sched)) != NULL)
            (void)coil_sched_resume(task);
    }
    sched->running = NULL;
    coil_sched_requeue_yielded(sched);
    return sched->ready_first != NULL;
}

COIL_END_DECLS

#endif
