/* SPDX-License-Identifier: MIT */
#include "task_probe.h"

#include "task_private.h"

#include <coil/group.h>
#include <coil/probe.h>

#include <errno.h>

#ifdef COIL_PROBES

/* The section is one of data, where the kernel counts; never read only. */
#define SEMAPHORE __attribute__((section(".probes"), used))
#define SAME_SEMAPHORE __attribute__((alias("coil_resume_semaphore")))

SEMAPHORE unsigned short coil_resume_semaphore;
extern unsigned short coil_wake_semaphore SAME_SEMAPHORE;
extern unsigned short coil_suspend_semaphore SAME_SEMAPHORE;
extern unsigned short coil_spawn_semaphore SAME_SEMAPHORE;
extern unsigned short coil_end_semaphore SAME_SEMAPHORE;

/* Nobody asks these: to set up the arguments costs nothing. */
SEMAPHORE unsigned short coil_submit_semaphore;
SEMAPHORE unsigned short coil_complete_semaphore;
SEMAPHORE unsigned short coil_slow_step_semaphore;

void coil_probe_spawned(const coil_group *group, const coil_task *task)
{
    COIL_PROBE(spawn, task, coil_task_name(task), group);
}

void coil_probe_woken(const coil_task *task)
{
    COIL_PROBE(wake, task, coil_task_name(task));
}

void coil_probe_resumed(const coil_task *task)
{
    COIL_PROBE(resume, task, coil_task_name(task), task->top->fn->name);
}

static void suspended(const coil_task *task)
{
    const coil_frame *leaf = task->top;
    const coil_frame *body = leaf->at == &coil_leaf_site && leaf->up != NULL ? leaf->up : leaf;
    const int line = body->at == NULL ? 0 : body->at->line;

    COIL_PROBE(suspend, task, coil_task_name(task), leaf->fn->name, body->fn->file, line);
}

static void ended(const coil_task *task)
{
    const coil_frame *first = coil_task_first_frame(task);
    const int64_t result = task->unwinding ? -ECANCELED : coil_frame_result(first);

    COIL_PROBE(end, task, coil_task_name(task), result);
}

void coil_probe_left(const coil_task *task)
{
    if (task->top == NULL) {
        ended(task);
    } else {
        suspended(task);
    }
}

#else

void coil_probe_spawned(const coil_group *group, const coil_task *task)
{
    (void)group, (void)task;
}

void coil_probe_woken(const coil_task *task)
{
    (void)task;
}

void coil_probe_resumed(const coil_task *task)
{
    (void)task;
}

void coil_probe_left(const coil_task *task)
{
    (void)task;
}

#endif

bool coil_probe_resume(coil_task *task)
{
    coil_frame *frame;

    coil_probe_resumed(task);
    while ((frame = task->top) != NULL && frame->fn->step(task, frame) == COIL_DONE) {
    }
    coil_probe_left(task);
    if (frame != NULL) {
        if (task->queued == COIL_NOT_QUEUED)
            task->queued = COIL_GUARDED;
        return false;
    }
    coil_group_ended(task);
    return true;
}
