/* SPDX-License-Identifier: MIT */
/*
 * memory.h - memfd_create(2): memory that processes share by a descriptor, and its seals.
 *
 *     memory: a file of the world <---- mapping: an address of one process
 *
 * It is memory of the real kernel, mapped for each as it has asked: what a process writes to memory
 * that it may only read, or looks at after it has unmapped it, is a SIGSEGV in truth.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include "file.h"
#include "process.h"

/* Of `size_bytes` that never change, with one reference. NULL: there is none. */
sim_file *sim_memory_create(sim_world *world, size_t size_bytes);

/* How many mappings the process has. */
unsigned sim_mapping_count(const sim_process *process);

/* It ends. */
void sim_mappings_drop(sim_process *process);

#endif
