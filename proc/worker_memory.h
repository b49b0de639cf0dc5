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

/*
 * The file that counts whom of its cgroup the kernel has killed for want of memory; to be freed. Of
 * a process that has ended, too, until it is reaped. NULL: there is none (cgroup v1, or Linux
 * before 5.2), or no memory.
 */
char *worker_memory_events(pid_t pid);

/* How often it has: in that cgroup, or, of NULL, on this machine. 0: nobody knows. */
uint64_t worker_memory_kills(const char *events);

#endif
