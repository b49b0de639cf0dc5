/* SPDX-License-Identifier: MIT */
/* report.h - what a world that has failed says of itself, on stderr. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "world.h"

/* Seed and time, the last lines of the trace, threads, tasks. Nothing runs in it any more. */
void report_world(sim_world *world);

/*
 * From now on a crash of this process (of the operating system) is told to the judge of the world
 * that runs, and so is SIGALRM: it runs for too long.
 */
void report_crashes(void);

#endif
