/* SPDX-License-Identifier: MIT */
/*
 * output.h - the standard descriptors of a process that a scenario starts: nothing to read, and
 * what it writes to 1 and 2 is kept for the scenario.
 *
 * The file is as the end of a pipe whose reader takes everything at once. It belongs to the world,
 * not to a disk: no fault hits it, and no power loss. Children inherit it.
 */
#ifndef SIM_OUTPUT_H
#define SIM_OUTPUT_H

#include "process.h"

/* Descriptors 0, 1 and 2 of a process that has none. */
void sim_process_open_standard(sim_process *process);

/* The world ends, after its processes. */
void sim_outputs_forget(sim_world *world);

#endif
