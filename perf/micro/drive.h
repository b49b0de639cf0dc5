/* SPDX-License-Identifier: MIT */
/*
 * A scheduler without a loop and without a kernel, and the time that one task on it takes: what
 * perf/micro/task.c and sync.c measure, and what callgrind can count (perf/instructions).
 */
#ifndef PERF_DRIVE_H
#define PERF_DRIVE_H

#include "measure.h"

#include <coil/check.h>
#include <coil/sched.h>

static coil_sched sched;

static inline void drain(void)
{
    while (coil_sched_run(&sched, 1000)) {
    }
}

/* Runs `task` and all that it starts to the end. Nothing may have failed. */
static inline double drive(coil_task *task)
{
    double start_ns = measure_now_ns();

    COIL_CHECK(task != NULL);
    drain();
    COIL_CHECK(sched.live_count == 0);
    COIL_CHECK(sched.root.error == 0);
    return measure_now_ns() - start_ns;
}

/* The subject of a coroutine `int name(int64_t count)` of this file: its run function, its row. */
#define DRIVE(name)                                         \
    static double run_##name(int64_t count)                 \
    {                                                       \
        return drive(coil_spawn(&sched.root, name(count))); \
    }
#define DRIVEN(name) #name, "coil", run_##name, 0, MEASURE_NS

#endif
