/* SPDX-License-Identifier: MIT */
#include "pending.h"

#include "world.h"

typedef struct sim_arrival {
    coil_list link; /* In a sim_pending. */
    siginfo_t signal;
} sim_arrival;

void sim_pending_init(sim_pending *pending)
{
    coil_list_init(&pending->arrivals);
    pending->set = 0;
}

void sim_pending_add(sim_pending *pending, const siginfo_t *signal)
{
    if (signal->si_signo < SIGRTMIN && (pending->set & sim_signal_bit(signal->si_signo)) != 0)
        return;
    sim_arrival *arrival = sim_new(sizeof(*arrival));
    arrival->signal = *signal;
    coil_list_append(&pending->arrivals, &arrival->link);
    pending->set |= sim_signal_bit(signal->si_signo);
}

static sim_arrival *find(const sim_pending *pending, int signo)
{
    for (coil_list *at = pending->arrivals.next; at != &pending->arrivals; at = at->next) {
        sim_arrival *arrival = coil_container_of(at, sim_arrival, link);
        if (arrival->signal.si_signo == signo)
            return arrival;
    }
    return NULL;
}

int sim_pending_take(sim_pending *pending, sim_signal_set set, siginfo_t *out_signal)
{
    const sim_signal_set wanted = pending->set & set;
    if (wanted == 0)
        return 0;
    const int signo = __builtin_ctzll(wanted) + 1;
    sim_arrival *arrival = find(pending, signo);
    SIM_CHECK(sim_here(), arrival != NULL, "signal %d is pending, and is not", signo);
    *out_signal = arrival->signal;
    coil_list_remove(&arrival->link);
    sim_delete(arrival);
    if (find(pending, signo) == NULL)
        pending->set &= ~sim_signal_bit(signo);
    return signo;
}

void sim_pending_discard(sim_pending *pending, sim_signal_set set)
{
    siginfo_t unused;
    while (sim_pending_take(pending, set, &unused) != 0)
        continue;
}
