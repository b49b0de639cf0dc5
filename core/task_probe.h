/* SPDX-License-Identifier: MIT */
/* The probes of tasks (coil/probe.h). For when COIL_PROBED(). */
#ifndef TASK_PROBE_H
#define TASK_PROBE_H

#include <coil/probe.h>
#include <coil/task.h>

void coil_probe_spawned(const coil_group *group, const coil_task *task);
void coil_probe_woken(const coil_task *task);
void coil_probe_resumed(const coil_task *task);

/* It waits, or has ended and not yet left its group. */
void coil_probe_left(const coil_task *task);

/* As coil_task_resume(). What waits is guarded: whoever wakes it comes by coil_probe_woken(). */
bool coil_probe_resume(coil_task *task);

#endif
