/* SPDX-License-Identifier: MIT */
/*
 * A write to a pipe that nobody reads raises SIGPIPE in the thread that makes it, and io_uring has
 * no flag against that on all kernels. What was pending or blocked before we came is not ours to
 * take.
 */
#ifndef SIGPIPE_H
#define SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

typedef struct sigpipe_guard {
    sigset_t sigpipe;
    bool was_blocked;
    bool was_pending;
} sigpipe_guard;

/* From here, in this thread, to unblock_sigpipe(). */
sigpipe_guard block_sigpipe(void);

/* Drop what has become pending meanwhile, and restore the mask. */
void unblock_sigpipe(const sigpipe_guard *guard);

#endif
