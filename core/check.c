/* SPDX-License-Identifier: MIT */
#include <coil/check.h>

#include "task_private.h"

#include <coil/sched.h>
#include <coil/trace.h>

#include <stdio.h>
#include <stdlib.h>

/*
 * Where the task that runs on this thread stands. What has failed may be the frames themselves, so
 * this comes last, and only once.
 */
static void trace_running(void)
{
    const coil_sched *sched = coil_sched_here;
    coil_sched_here = NULL;
    if (sched == NULL || sched->running == NULL)
        return;
    fprintf(stderr, "in task %s\n", coil_task_name(sched->running));
    coil_trace(sched->running, stderr);
}

void coil_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    trace_running();
    abort();
}
