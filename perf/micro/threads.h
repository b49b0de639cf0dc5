/* SPDX-License-Identifier: MIT */
/* Two threads, one on each of two cores, for what is measured between threads. Also C++. */
#ifndef PERF_THREADS_H
#define PERF_THREADS_H

#include <pthread.h>
#include <sched.h>

#include <sys/sysinfo.h>

/* Round trips in one run: not as many as take a time, which a busy core stretches. */
#define TRIPS 4096

/* Keeps the calling thread on `core`, or on the last one if there are not so many. */
static inline void threads_pin(int core)
{
    int last = get_nprocs() - 1;
    cpu_set_t cores;

    CPU_ZERO(&cores);
    CPU_SET(core < last ? core : last, &cores);
    (void)sched_setaffinity(0, sizeof(cores), &cores);
}

#endif
