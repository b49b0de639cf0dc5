/* SPDX-License-Identifier: MIT */
/*
 * power.h - what a scenario does to processes and hosts: kill, cut the power.
 *
 * All of this is for events and for the code between two runs of the world, not for fibers of the
 * process that it hits, unless it says so.
 */
#ifndef SIM_POWER_H
#define SIM_POWER_H

#include "process.h"

/* A signal from outside: as kill(2) of the superuser. Also of the current process. */
void sim_process_kill(sim_process *process, int signo);

/* The same in its n-th call of the seam from now, from 1; the call is not made any more. */
void sim_process_kill_at_call(sim_process *process, uint64_t call, int signo);

/*
 * All processes of the host end at one instant; no parent, no peer in the network hears of it,
 * nothing is left to be reaped, and the disk crashes. Nothing if it is off already.
 */
void sim_host_cut_power(sim_host *host);

/* Processes can be started on it again; the network knows it. Nothing if it is on. */
void sim_host_restore_power(sim_host *host);

/* End all processes of the host, or of all hosts (NULL), in an order in which that is possible. */
void sim_power_end_processes(sim_world *world, const sim_host *host);

/*
 * At the end of a process: the kernel tears down its rings later than everything else, so that the
 * files of requests in flight live on for some milliseconds. A listener with a pending accept keeps
 * its port (pitfall 3). Not so the rings of `canceller`, a thread that has become another program;
 * NULL: there is none.
 */
void sim_power_linger(sim_process *process, const sim_fiber *canceller);

/* The end of the world: nothing lingers any more. */
void sim_power_end(sim_world *world);

#endif
