/* SPDX-License-Identifier: MIT */
/*
 * allocate.h - the ledger of what simulated processes have allocated.
 *
 * malloc(3) and its kin of everything that is linked statically go through --wrap of the linker
 * (an INTERFACE option of coil_sim). What a process has at its end is known, so that a killed one
 * leaves nothing behind, and one that has ended by itself is told what it has not freed. The n-th
 * allocation of a process can be made to fail (process->failing_allocation).
 */
#ifndef SIM_ALLOCATE_H
#define SIM_ALLOCATE_H

#include "world.h"

/* Free all that the process has. How much that was; `reports`: list it in the trace. */
uint64_t allocations_free(sim_process *process, bool reports);

#endif
