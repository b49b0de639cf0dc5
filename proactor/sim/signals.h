/* SPDX-License-Identifier: MIT */
/*
 * signals.h - the signals of a simulated process: sent, pending, blocked, handled, or deadly.
 *
 *     send --ignored, and nobody blocks it----------> nothing
 *      |  +--some thread does not block it, deadly--> the process ends at once
 *      v
 *     PENDING (of the process, or of one thread; a standard signal once, a real-time one queued)
 *      |  +--read from a signalfd, or taken by sigtimedwait(2)
 *      v
 *     the thread's next call of the seam, or its wait, which is interrupted: its handler runs
 *
 * A handler is code of the process, and runs on the stack of the thread inside of that call.
 *
 * Sources: signal(7), sigaction(2), signalfd(2); `kernel/signal.c` of Linux for the order.
 */
#ifndef SIM_SIGNALS_H
#define SIM_SIGNALS_H

#include "fiber.h"
#include "pending.h"
#include "process.h"

#include <coil/list.h>

#include <signal.h>

enum { SIM_SIGNAL_LAST = 64 };

sim_signal_set sim_signal_set_of(const sigset_t *set);
void sim_signal_set_to(sim_signal_set from, sigset_t *out_set);

/* Of one thread. */
typedef struct sim_thread_signals {
    coil_list link; /* In signals->threads. */
    pid_t thread;   /* By number, which is never used again: threads end without telling us. */
    sim_signal_set mask;
    sim_pending pending;
} sim_thread_signals;

struct sim_signals {
    sim_pending pending;
    struct sigaction actions[SIM_SIGNAL_LAST + 1];
    coil_list threads;
    coil_list files; /* sim_signalfd: those that this process has made. */

    uint64_t call_count; /* Of the seam, since somebody wants to know; */
    uint64_t last_call;  /* the one that it does not come back from. 0: none. */
    int last_signal;
};

/* Made when somebody asks for it. Never NULL. */
sim_signals *sim_signals_of(sim_process *process);

/* Of the child what fork(2) gives it: actions, and the mask of the calling thread. */
void sim_signals_inherit(sim_process *child, sim_process *parent, const sim_fiber *thread);

/* What execve(2) does: handlers are gone. Mask, pending and ignored signals stay; one thread. */
void sim_signals_exec(sim_process *process, const sim_fiber *caller);

/* Takes a process that has none. */
void sim_signals_free(sim_process *process);

/* The mask of a thread; a thread that is new blocks all but faults (coil_kernel_thread_start). */
sim_signal_set *sim_signal_mask(sim_process *process, const sim_fiber *thread);

/* sigaction(2); either pointer may be NULL. -EINVAL */
int sim_signal_set_action(sim_process *process, int signo, const struct sigaction *action,
        struct sigaction *out_before);

/*
 * Send to a process, or to one thread of it. `signal.si_signo` from 1. If it is deadly, the process
 * has ended afterwards; if that is the current one, the call does not come back.
 */
void sim_signal_send(sim_process *process, const siginfo_t *signal);
void sim_signal_send_thread(sim_fiber *fiber, const siginfo_t *signal);

/*
 * SIGPIPE to the current thread, as write(2) and send(2) do it. What it does, it does in the next
 * call of the seam or the next wait, so that the caller may hold what it likes.
 */
void sim_signal_pipe(void);

/* What the sender is told about: kill(2), which has an `si_code` of SI_USER. */
siginfo_t sim_signal_from(const sim_process *sender, int signo);

/*
 * Take the first pending signal of `set`, the thread's own before those of the process. `thread`
 * may be NULL: only those of the process. 0: there is none.
 */
int sim_signal_take(
        sim_process *process, const sim_fiber *thread, sim_signal_set set, siginfo_t *out_signal);

/* What is pending for the thread; for all threads, if it is NULL. */
sim_signal_set sim_signal_pending(sim_process *process, const sim_fiber *thread);

/*
 * Run what is due in the current thread. Called by sim_fiber_pass() and after each wait, which is
 * to say in every call of the seam.
 */
void sim_signals_deliver(sim_fiber *fiber);

/* signalfd.c: a file with one reference. */
sim_file *sim_signalfd_create(sim_process *process, sim_signal_set set);

/* Those that look at `signo` are to try again. */
void sim_signalfds_changed(sim_signals *signals, int signo);
void sim_signalfds_forget(sim_signals *signals);

#endif
