/* SPDX-License-Identifier: MIT */
#include <coil/signal.h>

#include <coil/kernel.h>
#include <coil/receiver.h>

#include <errno.h>
#include <stdlib.h>

#include <sys/signalfd.h>

enum { SIGNAL_LAST = 64 };

struct coil_signals {
    coil_receiver *receiver;
    coil_slice unread; /* Whole signalfd_siginfo records. */
    coil_signal_set set;
};

static sigset_t members(coil_signal_set set)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    for (int signo = 1; signo <= SIGNAL_LAST; signo++) {
        if (set & COIL_SIGNAL(signo))
            (void)sigaddset(&signals, signo);
    }
    return signals;
}

/*
 * Sets may overlap, and be closed in any order. So this thread counts who has each signal open, and
 * remembers which of them were not blocked before.
 */
static __thread unsigned open_count[SIGNAL_LAST + 1];
static __thread coil_signal_set to_unblock;

static int block(coil_signal_set set)
{
    sigset_t wanted = members(set);
    sigset_t before;
    int rc = coil_kernel_sigmask(SIG_BLOCK, &wanted, &before);
    if (rc < 0)
        return rc;
    for (int signo = 1; signo <= SIGNAL_LAST; signo++) {
        if (!(set & COIL_SIGNAL(signo)))
            continue;
        if (open_count[signo]++ == 0 && sigismember(&before, signo) == 0)
            to_unblock |= COIL_SIGNAL(signo);
    }
    return 0;
}

static void unblock(coil_signal_set set)
{
    coil_signal_set last = 0;
    for (int signo = 1; signo <= SIGNAL_LAST; signo++) {
        if ((set & COIL_SIGNAL(signo)) && --open_count[signo] == 0)
            last |= COIL_SIGNAL(signo);
    }
    sigset_t freed = members(last & to_unblock);
    to_unblock &= ~last;
    while (coil_kernel_sigtake(&freed) > 0)
        continue; /* It arrived while we were open: it is not to kill now. */
    (void)coil_kernel_sigmask(SIG_UNBLOCK, &freed, NULL);
}

int coil_signals_open(coil_signal_set set, coil_signals **out_signals)
{
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL);
    coil_signals *signals = calloc(1, sizeof(*signals));
    if (signals == NULL)
        return -ENOMEM;
    sigset_t wanted = members(set);
    int rc = coil_kernel_signalfd(&wanted);
    if (rc >= 0)
        rc = coil_receiver_create(loop, rc, COIL_RECEIVE_READ, &signals->receiver);
    if (rc == 0)
        rc = block(set);
    if (rc < 0) {
        coil_receiver_close(signals->receiver);
        free(signals);
        return rc;
    }
    signals->set = set;
    *out_signals = signals;
    return 0;
}

void coil_signals_close(coil_signals *signals)
{
    if (signals == NULL)
        return;
    coil_slice_release(&signals->unread);
    coil_receiver_close(signals->receiver);
    unblock(signals->set);
    free(signals);
}

coil_define(int, coil_signals_next, (coil_signals *) signals)
{
    coil_vars(coil_slice more);

    while (signals->unread.size_bytes < (int64_t)sizeof(struct signalfd_siginfo)) {
        coil_attempt(my->more, coil_receiver_next(signals->receiver));
        int rc = coil_slice_append(&signals->unread, &my->more);
        if (rc < 0)
            return rc;
    }
    struct signalfd_siginfo arrived;
    memcpy(&arrived, signals->unread.bytes, sizeof(arrived));
    coil_slice_consume(&signals->unread, sizeof(arrived));
    if (signals->unread.size_bytes == 0)
        coil_slice_release(&signals->unread);
    return (int)arrived.ssi_signo;
}

coil_define(int, coil_signal_wait, (coil_signal_set) set)
{
    coil_vars(coil_signals *signals; int signo);

    int rc = coil_signals_open(set, &my->signals);
    if (rc < 0)
        return rc;
    coil_defer(coil_signals_close(my->signals));
    coil_await(my->signo, coil_signals_next(my->signals));
    return my->signo;
}
