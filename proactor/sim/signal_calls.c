/* SPDX-License-Identifier: MIT */
/* The calls of the seam that are about signals (coil/kernel.h). */
#include "signals.h"

#include "family.h"

#include <coil/kernel.h>

#include <errno.h>
#include <string.h>

/* Everything that begins like this ends in this: what has become due is run before the return. */
static sim_fiber *begin_call(void)
{
    sim_fiber_pass();
    return sim_fiber_current();
}

static sim_signal_set changed_mask(int how, sim_signal_set before, sim_signal_set set)
{
    switch (how) {
    case SIG_BLOCK:
        return before | set;
    case SIG_UNBLOCK:
        return before & ~set;
    default:
        return set;
    }
}

int coil_kernel_sigmask(int how, const sigset_t *set, sigset_t *out_before)
{
    sim_fiber *fiber = begin_call();
    sim_signal_set *mask = sim_signal_mask(fiber->process, fiber);

    if (set != NULL && how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
        return -EINVAL;
    const sim_signal_set before = *mask;
    if (set != NULL)
        *mask = changed_mask(how, before, sim_signal_set_of(set));
    if (out_before != NULL)
        sim_signal_set_to(before, out_before);
    sim_signals_deliver(fiber);
    return 0;
}

/* sigpending(2): blocked ones only, as any other has been seen to. */
int coil_kernel_sigpending(sigset_t *out_pending)
{
    sim_fiber *fiber = begin_call();
    const sim_signal_set mask = *sim_signal_mask(fiber->process, fiber);
    sim_signal_set_to(sim_signal_pending(fiber->process, fiber) & mask, out_pending);
    return 0;
}

int coil_kernel_signalfd(const sigset_t *set)
{
    sim_process *process = begin_call()->process;
    return sim_descriptor_install(process, sim_signalfd_create(process, sim_signal_set_of(set)), 0);
}

int coil_kernel_sigtake(const sigset_t *set)
{
    sim_fiber *fiber = begin_call();
    siginfo_t unused;
    const int signo = sim_signal_take(fiber->process, fiber, sim_signal_set_of(set), &unused);
    return signo == 0 ? -EAGAIN : signo;
}

int coil_kernel_sigaction(int signo, const struct sigaction *action, struct sigaction *out_before)
{
    sim_fiber *fiber = begin_call();
    return sim_signal_set_action(fiber->process, signo, action, out_before);
}

int coil_kernel_raise(int signo)
{
    sim_fiber *fiber = begin_call();
    siginfo_t signal = sim_signal_from(fiber->process, signo);

    if (signo < 1 || signo > SIM_SIGNAL_LAST)
        return -EINVAL;
    signal.si_code = SI_TKILL;
    sim_signal_send_thread(fiber, &signal);
    sim_signals_deliver(fiber); /* "will return only after the signal handler has returned" */
    return 0;
}

int coil_kernel_thread_signal(pid_t thread, int signo)
{
    sim_fiber *fiber = begin_call();
    siginfo_t signal = sim_signal_from(fiber->process, signo);
    coil_list *const fibers = &fiber->process->fibers;

    signal.si_code = SI_TKILL;
    for (coil_list *at = fibers->next; at != fibers; at = at->next) {
        sim_fiber *target = coil_container_of(at, sim_fiber, link);
        if (target->id != thread)
            continue;
        if (signo < 0 || signo > SIM_SIGNAL_LAST)
            return -EINVAL;
        if (signo != 0)
            sim_signal_send_thread(target, &signal);
        sim_signals_deliver(fiber);
        return 0;
    }
    return -ESRCH;
}

uint64_t coil_kernel_block_signals(void)
{
    sim_fiber *fiber = begin_call();
    sim_signal_set *mask = sim_signal_mask(fiber->process, fiber);
    const sim_signal_set before = *mask;
    *mask = ~(sim_signal_bit(SIGKILL) | sim_signal_bit(SIGSTOP));
    return before;
}

void coil_kernel_restore_signals(uint64_t before)
{
    sim_fiber *fiber = begin_call();
    *sim_signal_mask(fiber->process, fiber) = before;
    sim_signals_deliver(fiber);
}
