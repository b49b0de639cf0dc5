/* SPDX-License-Identifier: MIT */
/*
 * coil/trace.h - where does it wait? The stack of a task, and the tree of all tasks.
 *
 * Costs nothing until it is called: a suspended frame points at the await it is suspended in. Any
 * build, any time, on the scheduler's thread.
 */
#ifndef COIL_TRACE_H
#define COIL_TRACE_H

#include <coil/group.h>

#include <stdio.h>

COIL_BEGIN_DECLS

/*
 * Print the frames of `task`, innermost first, one per line:
 *
 *     coil_read
 *     read_line (monitor.c:41)  await (my->size_bytes, coil_read(fd, my->bytes, 1))
 */
COIL_API void coil_trace(const coil_task *task, FILE *out);

/* Print every task of the group with its stack, and below each the groups that it has opened. */
COIL_API void coil_trace_group(const coil_group *group, FILE *out);

/*
 * The same drawn as a tree, for people: each task with its name, its age, what is left to it
 * until the earliest of its deadlines, its stack, and what is known of the thing that it waits for.
 *
 *     ├─ service, 3 min 4 s old
 *     │     coil_group_join  for 2 tasks
 *     │     service (service.c:30)  await (coil_group_join(&my->sessions))
 *     │  ├─ session, 1.9 s old, 500 ms left
 *     │  │     coil_sleep  for another 1.5 s
 *     │  │     session (service.c:16)  await (coil_sleep(coil_s(2)))
 *     │  └─ session, 20 ms old
 *     │        coil_mutex_lock  as one of 3
 *     │        session (service.c:18)  await (coil_mutex_lock(&store->mutex))
 *     └─ reaper, 3 min 4 s old, is ready
 */
COIL_API void coil_trace_tree(const coil_group *group, FILE *out);

/* A duration for people: "12 ms", "1.5 s", "3 min 4 s", "7 h 12 min". */
COIL_API void coil_trace_duration(coil_duration duration, FILE *out);

COIL_END_DECLS

#endif
