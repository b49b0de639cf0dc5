/* SPDX-License-Identifier: MIT */
/* pending.h - the signals that have been sent to a process or a thread, and not been taken. */
#ifndef SIM_PENDING_H
#define SIM_PENDING_H

#include <coil/list.h>

#include <signal.h>
#include <stdint.h>

/* Bit n - 1 is signal n, as in the kernel. */
typedef uint64_t sim_signal_set;

static inline sim_signal_set sim_signal_bit(int signo)
{
    return (sim_signal_set)1 << (signo - 1);
}

/* What has been sent and not been taken, by time. */
typedef struct sim_pending {
    coil_list arrivals;
    sim_signal_set set;
} sim_pending;

void sim_pending_init(sim_pending *pending);

/* A standard signal that is pending already is lost, and the first one's siginfo stays. */
void sim_pending_add(sim_pending *pending, const siginfo_t *signal);

/* The lowest number of `set` first, of one number the oldest. 0: there is none. */
int sim_pending_take(sim_pending *pending, sim_signal_set set, siginfo_t *out_signal);

void sim_pending_discard(sim_pending *pending, sim_signal_set set);

#endif
