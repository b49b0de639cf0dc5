/* SPDX-License-Identifier: MIT */
/* child.h - a process between clone and exec, and exec itself. */
#ifndef SIM_CHILD_H
#define SIM_CHILD_H

#include "family.h"

/* execve(2) by the current fiber of the process. -errno; else it does not return. */
int sim_child_exec(sim_process *process, const char *path, char *const *arguments,
        const char *const *environment);

#endif
