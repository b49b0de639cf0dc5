/* SPDX-License-Identifier: MIT */
/* What the files of core share about tasks and their scheduler. */
#ifndef TASK_PRIVATE_H
#define TASK_PRIVATE_H

#include <coil/task.h>

/*
 * `frame` is leaving and one of its deferred calls, `spent`, has to wait: returns a frame to push
 * the awaited leaf upon. When the leaf is done, `frame` goes on leaving.
 */
coil_frame *coil_leave_pause(coil_task *task, coil_frame *frame, coil_deferred *spent);

/* The scheduler that is in coil_sched_run() on this thread, or NULL. */
extern __thread coil_sched *sched_here;

/* Until when a leaf that is suspended in coil_sleep() or coil_sleep_until() sleeps. */
coil_time coil_sleep_end(const coil_frame *leaf);

#endif
