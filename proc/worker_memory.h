/* SPDX-License-Identifier: MIT */
/* worker_memory.h - what memory a worker has, and whether it has died for want of it. */
#ifndef WORKER_MEMORY_H
#define WORKER_MEMORY_H

#include <stdint.h>

#include <sys/types.h>

/* /proc/PID/statm of a process that has not been reaped; an error. */
int worker_memory_open(pid_t pid);

/* What it has in memory, says that; 0: nobody knows. */
uint64_t worker_memory_resident(int statm);

/* How often the kernel has killed for want of memory: /proc/vmstat. 0: nobody knows. */
uint64_t worker_memory_kills(void);

#endif
