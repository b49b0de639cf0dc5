/* SPDX-License-Identifier: MIT */
/*
 * allocate.h - the ledger of what simulated processes have allocated.
 *
 * malloc(3) and its kin of everything that is linked statically go through --wrap of the linker
 * (an INTERFACE option of coil_sim). What a process has at its end is known, so that a killed one
 * leaves nothing behind, and one that has ended by itself is told what it has not freed. The n-th
 * allocation of a process can be made to fail (process->nths).
 */
#ifndef SIM_ALLOCATE_H
#define SIM_ALLOCATE_H

#include "process.h"

/* One that has not been freed. */
struct sim_allocation {
    coil_list link; /* In process->allocations. */
    sim_allocation *next;
    void *memory;
    size_t size_bytes;
    const void *caller;
    sim_process *process;
    bool is_kept; /* Not lost: the variables of the process lead to it. */
};

/*
 * Free all that the process has. How many had been lost; `reports`: list them on stderr. It may
 * keep, until it ends, what its variables lead to (COIL_PROCESS_WIDE, COIL_THREAD_LOCAL), if
 * `has_variables`: they are those that are loaded now.
 */
uint64_t allocations_free(sim_process *process, bool reports, bool has_variables);

/* leaks.c: mark what is kept. */
void allocations_mark(sim_process *process);

/* Where the caller is in its file, whatever that was loaded at. */
void allocation_print(const sim_allocation *allocation);

#endif
