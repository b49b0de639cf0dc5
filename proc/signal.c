/* SPDX-License-Identifier: MIT */
#include <coil/signal.h>

#include <coil/kernel.h>
#include <coil/receiver.h>

#include <errno.h>
#include <stdlib.h>

#include <sys/signalfd.h>

struct coil_signals {
    coil_receiver *receiver;
    coil_slice unread; /* Whole signalfd_siginfo records. */
    sigset_t before;   /* The thread's mask. */
};

static sigset_t members(coil_signal_set set)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    for (int signo = 1; signo <= 64; signo++) {
        if (set & COIL_SIGNAL(signo))
            (void)sigaddset(&signals, signo);
    }
    return signals;
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
        rc = coil_kernel_sigmask(SIG_BLOCK, &wanted, &signals->before);
    if (rc < 0) {
        coil_receiver_close(signals->receiver);
        free(signals);
        return rc;
    }
    *out_signals = signals;
    return 0;
}

void coil_signals_close(coil_signals *signals)
{
    if (signals == NULL)
        return;
    coil_slice_release(&signals->unread);
    coil_receiver_close(signals->receiver);
    (void)coil_kernel_sigmask(SIG_SETMASK, &signals->before, NULL);
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
    coil_vars(coil_signals * signals; int signo);

    int rc = coil_signals_open(set, &my->signals);
    if (rc < 0)
        return rc;
    coil_defer(coil_signals_close(my->signals));
    coil_await(my->signo, coil_signals_next(my->signals));
    return my->signo;
}
