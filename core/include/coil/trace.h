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

COIL_END_DECLS

#endif
