/* SPDX-License-Identifier: MIT */
/*
 * coil/rate_limiter.h - so many per second and no more: a token bucket.
 *
 *     coil_rate_limiter_init(&limiter, coil_self->sched, 100, coil_s(1), 20);
 *
 *     coil_attempt (coil_rate_limiter_acquire(&limiter, 1));      100 a second, 20 of them at once
 *
 *     bucket: 20 tokens at most --acquire(n)--> n less          fills up by 100 a second, evenly
 *
 * Invariants
 *   - Exact: integer arithmetic on the schedule of when each token is due, to a fraction of a
 *     nanosecond. Nothing is rounded away and nothing drifts: of tokens that are waited for, the
 *     n-th is had n periods after the first, whether the loop was on time in between or not. (A
 *     loop that is late grants at once what was due meanwhile.)
 *   - As measured at the instants when they were due, no more than burst + rate * t tokens are
 *     granted in any stretch of time t.
 *   - First come, first served. Newcomers cannot overtake, coil_rate_limiter_try_acquire()
 *     included, and a large request is not starved by small ones.
 *   - A request that waits has taken nothing: a cancelled one leaves the queue, and those behind it
 *     move up at once. If the tokens had been granted before the cancellation came, the call
 *     succeeds all the same and the cancellation takes effect at the task's next await.
 *
 * It is Limiter of golang.org/x/time/rate. Not thread safe: a limiter and all who use it belong to
 * one scheduler's thread.
 */
#ifndef COIL_RATE_LIMITER_H
#define COIL_RATE_LIMITER_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/timer.h>

COIL_BEGIN_DECLS

typedef struct coil_rate_limiter coil_rate_limiter;

/* The caller's memory; it must not move while a task waits. */
struct coil_rate_limiter {
    coil_sched *sched;    /* Read only, as the rest. */
    uint64_t token_count; /* So many tokens */
    coil_duration per;    /* in this time, */
    uint64_t burst_count; /* and at most so many at once. */

    /*
     * Private. The bucket is, or would be, full at `full_at` and `full_part` of a nanosecond, in
     * units of 1 / token_count. A token that is taken puts that off by per / token_count.
     */
    coil_time full_at;
    uint64_t full_part;
    coil_timer timer; /* For the first in the queue. */
    coil_list waiters;
};

/*
 * A full bucket: `token_count` tokens come in the time `per`, and `burst_count` of them fit in. All
 * three are positive, counts are at most UINT32_MAX, and an empty bucket must be full within 146
 * years (half of what a coil_duration holds). Time is that of `sched`.
 */
COIL_API void coil_rate_limiter_init(coil_rate_limiter *limiter, coil_sched *sched,
        uint64_t token_count, coil_duration per, uint64_t burst_count);

/* The end of `limiter`. Nobody may be waiting. */
COIL_API void coil_rate_limiter_fini(coil_rate_limiter *limiter);

/*
 * Wait for `count` tokens and take them. Done at once, without giving up the turn, if they are
 * there and nobody waits. None can be given back.
 *
 * Result: 0; -EMSGSIZE, they are more than the bucket ever holds; -ETIME under within() or until(),
 * when the deadline has passed. It does not fail before, even if it is bound to: those who are
 * ahead may give up. Who does not want to wait in vain asks coil_rate_limiter_ready_at() first.
 */
coil_declare(int, coil_rate_limiter_acquire, (coil_rate_limiter *) limiter, (uint64_t) count);

/* The same without waiting. 0; -EAGAIN, it would have to wait; -EMSGSIZE. */
COIL_API COIL_MUST_USE int coil_rate_limiter_try_acquire(
        coil_rate_limiter *limiter, uint64_t count);

/*
 * When coil_rate_limiter_acquire() would be done if it was called now and nobody gave up: `now` of
 * the scheduler if at once, COIL_NEVER if there are more than the bucket ever holds. What to tell a
 * client that is turned away. Costs O(those who wait).
 */
COIL_API coil_time coil_rate_limiter_ready_at(const coil_rate_limiter *limiter, uint64_t count);

COIL_END_DECLS

#endif
