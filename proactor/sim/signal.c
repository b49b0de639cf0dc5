/* SPDX-License-Identifier: MIT */
/* Signals: none comes yet, but who blocks and handles them is told what he expects. */
#include <coil/kernel.h>

#include <errno.h>
#include <string.h>

int coil_kernel_sigmask(int how, const sigset_t *set, sigset_t *out_before)
{
    (void)how, (void)set;
    if (out_before != NULL)
        (void)sigemptyset(out_before);
    return 0;
}

int coil_kernel_sigpending(sigset_t *out_pending)
{
    (void)sigemptyset(out_pending);
    return 0;
}

int coil_kernel_signalfd(const sigset_t *set)
{
    (void)set;
    return -ENOSYS;
}

int coil_kernel_sigtake(const sigset_t *set)
{
    (void)set;
    return -EAGAIN;
}

int coil_kernel_sigaction(int signo, const struct sigaction *action, struct sigaction *out_before)
{
    (void)signo, (void)action;
    if (out_before != NULL)
        memset(out_before, 0, sizeof(*out_before));
    return 0;
}

int coil_kernel_raise(int signo)
{
    (void)signo;
    return -ENOSYS;
}

uint64_t coil_kernel_block_signals(void)
{
    return 0;
}

void coil_kernel_restore_signals(uint64_t before)
{
    (void)before;
}

int coil_kernel_thread_signal(pid_t thread, int signo)
{
    (void)thread, (void)signo;
    return -ENOSYS;
}
