/* SPDX-License-Identifier: MIT */
/* What the files of core share about tasks and their scheduler. */
#ifndef TASK_PRIVATE_H
#define TASK_PRIVATE_H

#include <coil/debug.h>
#include <coil/group.h>
#include <coil/local.h>
#include <coil/task.h>
#include <coil/timeout.h>

/* What few tasks have, on demand. */
typedef struct coil_task_extras {
    char name[COIL_TASK_NAME_BYTES]; /* Empty: that of its coroutine. First: see trace.c. */
    struct coil_local_value *locals; /* Newest first; a task shares them with its children. */
    coil_chunk *chunk;               /* The newest one. NULL: the first block is enough. */
    size_t stack_bytes;              /* Of the first block, if its limit is not at its end, or 0. */
} coil_task_extras;

/* Those of `task`, made if it has none. NULL: no memory. */
coil_task_extras *coil_task_extras_of(coil_task *task);

/* What the task is a task of: what its first frame stands for. */
const coil_fn *coil_task_kind(const coil_task *task);

/* Give back the chunks that `frame`, which is leaving, has made necessary. */
void coil_task_pop_chunks(coil_task *task, const coil_frame *frame);

/* Give back all, of a task with extras. Its limit is then that of its block, and tells its size. */
void coil_task_release_chunks(coil_task *task);

/* `frame` is to leave by coil_leave_slow(), also if nothing is deferred. */
void coil_frame_leave_slowly(coil_frame *frame);

/* The task that had them does not need them any more. */
void coil_locals_release(coil_sched *sched, struct coil_local_value *newest);

/* At the end: nothing is allocated any more. */
void coil_sched_release_slabs(coil_sched *sched);

/* Run ready tasks as coil_sched_run() does, and look at each. */
void coil_debug_run(coil_debug *debug, unsigned budget);

/* As coil_task_resume() in the middle of another task's step, who is judged without it. */
bool coil_debug_resume(coil_debug *debug, coil_task *task);

/* Somebody `did` what only the scheduler's thread may do: if it is another, say so and abort. */
void coil_debug_touched(coil_debug *debug, const char *did);

/* A deadline for `frame`, as long as it is there. So much is pushed for it. */
enum { COIL_TIMEOUT_BYTES = sizeof(coil_deferred) + sizeof(void *) + sizeof(coil_timeout) };
void coil_timeout_push(coil_task *task, coil_frame *frame, coil_time deadline);

/* What ends a deadline that an adaptor has set. */
extern const coil_leaving coil_timeout_exit;

/*
 * `frame` is leaving and one of its deferred calls has to wait: returns a frame to push the awaited
 * leaf upon. When the leaf is done, `frame` goes on leaving.
 */
coil_frame *coil_leave_pause(coil_task *task, coil_frame *frame);

/* The scheduler that is in coil_sched_run() on this thread, or NULL. */
extern COIL_THREAD_LOCAL coil_sched *coil_sched_here;

/* Until when a leaf that is suspended in coil_sleep() or coil_sleep_until() sleeps. */
coil_time coil_sleep_end(const coil_frame *leaf);

#endif
