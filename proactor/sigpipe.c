/* SPDX-License-Identifier: MIT */
#include "sigpipe.h"

#include <coil/check.h>
#include <coil/kernel.h>

sigpipe_guard block_sigpipe(void)
{
    sigpipe_guard guard;
    sigset_t before;
    sigset_t pending;
    (void)sigemptyset(&guard.sigpipe);
    (void)sigaddset(&guard.sigpipe, SIGPIPE);
    COIL_CHECK(coil_kernel_sigmask(SIG_BLOCK, &guard.sigpipe, &before) == 0);
    COIL_CHECK(coil_kernel_sigpending(&pending) == 0);
    guard.was_blocked = sigismember(&before, SIGPIPE) == 1;
    guard.was_pending = sigismember(&pending, SIGPIPE) == 1;
    return guard;
}

void unblock_sigpipe(const sigpipe_guard *guard)
{
    if (!guard->was_pending)
        (void)coil_kernel_sigtake(&guard->sigpipe);
    if (!guard->was_blocked)
        (void)coil_kernel_sigmask(SIG_UNBLOCK, &guard->sigpipe, NULL);
}
