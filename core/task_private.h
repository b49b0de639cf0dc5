/* SPDX-License-Identifier: MIT */
/* What group.c needs of task.c. */
#ifndef TASK_PRIVATE_H
#define TASK_PRIVATE_H

#include <coil/task.h>

/*
 * `frame` is leaving and one of its deferred calls, `spent`, has to wait: returns a frame to push
 * the awaited leaf upon. When the leaf is done, `frame` goes on leaving.
 */
coil_frame *coil_leave_pause(coil_task *task, coil_frame *frame, coil_deferred *spent);

#endif
