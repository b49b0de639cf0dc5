/* SPDX-License-Identifier: MIT */
/* Waiting for another thread, with a deadline of ours. */
#ifndef COND_WAIT_H
#define COND_WAIT_H

#include <coil/time.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/*
 * As pthread_cond_wait(3), but not beyond `deadline`, a time of coil_kernel_now(). False: that has
 * passed. `cond` needs no attributes for this.
 */
static inline bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, coil_time deadline)
{
    if (deadline == COIL_NEVER) {
        (void)pthread_cond_wait(cond, mutex);
        return true;
    }
    const struct timespec end = {deadline / coil_s(1), deadline % coil_s(1)};
    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &end) != ETIMEDOUT;
}

#endif
