/* SPDX-License-Identifier: MIT */
/*
 * job.h - a run in a process of the operating system of its own, so that it may crash or hang, and
 * leaves nothing behind for the next one.
 *
 *     init() -> IDLE --start()--> RUNNING --poll()--> ENDED: `result`, and what it has printed
 *                 ^                                      |
 *                 +--------------- rest() --------------+            fini(): killed, if it runs
 */
#ifndef SIM_JOB_H
#define SIM_JOB_H

#include "run.h"

#include <stdio.h>
#include <sys/types.h>

typedef struct sim_job {
    sim_case what;
    sim_result *result; /* Shared with the process. */
    pid_t pid;          /* 0: IDLE or ENDED. */
    int output;         /* A file in memory: stdout and stderr of the process. */
    coil_time deadline; /* Then it is told to end, later if it had to wait for a processor; ... */
    coil_time end;      /* ... and then it is killed. */
} sim_job;

/* CLOCK_MONOTONIC of the machine on which the simulation runs. */
coil_time sim_real_now(void);

void sim_job_init(sim_job *job);
void sim_job_fini(sim_job *job);

/* -errno of fork(2) or memfd_create(2). */
int sim_job_start(
        sim_job *job, const sim_case *what, const sim_settings *settings, coil_duration timeout);

/* Has it ended? Sees to its time, too. */
bool sim_job_poll(sim_job *job);

/* Until it has. */
void sim_job_wait(sim_job *job);

/* What it has printed: the last part, if that is very much. */
void sim_job_print(const sim_job *job, FILE *stream);

void sim_job_rest(sim_job *job);

#endif
