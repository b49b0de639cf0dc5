/* SPDX-License-Identifier: MIT */
/* child.h - a process between clone and exec, and exec itself. */
#ifndef SIM_CHILD_H
#define SIM_CHILD_H

#include "family.h"

/* execve(2) by the current fiber of the process. -errno; else it does not return. */
int sim_child_exec(sim_process *process, const char *path, char *const *arguments,
        const char *const *environment);

/*
 * What is asked of the simulated file system: what an executable path means, and whether it may be
 * executed (path_resolution(7)); the working directory.
 */
int sim_child_find_program(sim_process *process, const char *path, const sim_program **out_program);
int sim_child_change_directory(sim_process *process, const char *path);
void sim_child_set_directory(sim_process *process, const sim_process *parent);

#endif
