/* SPDX-License-Identifier: MIT */
/* The child of the benches spawn_*: exit_zero, in ../helper beside the program. */
#ifndef PERF_CHILD_H
#define PERF_CHILD_H

#include "measure.h"

#include <limits.h>

enum { CHILDREN = 50 /* At once, in spawn_children_50. */ };

static inline const char *child_find(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 32);

    if (length < 0)
        abort();
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    return strcat(path, "/../helper/exit_zero");
}

#endif
