/* SPDX-License-Identifier: MIT */
/* child.h - exec, by a child that has just been cloned, and by any other process. */
#ifndef SIM_CHILD_H
#define SIM_CHILD_H

#include "family.h"

/*
 * execve(2) by the current fiber of the process, which may have run for long, or not yet at all.
 * -errno; else it does not return. The texts may lie in the memory of the process.
 */
int sim_exec(sim_process *process, const char *path, char *const *arguments,
        const char *const *environment);

#endif
