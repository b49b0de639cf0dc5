/* SPDX-License-Identifier: MIT */
/*
 * coil/semaphore.h - a number of permits: at most so many at a time.
 *
 *     coil_attempt (coil_semaphore_acquire(&pool->permits));
 *     coil_defer (coil_semaphore_release(&pool->permits, 1));
 *
 * Several at a time, where one thing weighs more than another:
 *
 *     coil_attempt (coil_semaphore_acquire_many(&pool->bytes, my->size_bytes));
 *     coil_defer (coil_semaphore_release(&pool->bytes, my->size_bytes));
 *
 * Invariants
 *   - First come, first served. Released permits are for the task that has waited longest, until it
 *     has all that it wants; then for the next. Newcomers queue up behind them, even if there is
 *     enough for their small request, so a large one is not starved.
 *   - All or nothing, and no permit gets lost: a cancelled wait leaves the queue without any, and
 *     those behind it move up at once. If the permits had been handed over before the cancellation
 *     came, the call succeeds all the same and the cancellation takes effect at the task's next
 *     await.
 *   - Permits belong to nobody: any task, or a timer, may release what another has acquired.
 *   - No more than `bound_count` permits are ever available.
 *
 * Bounded, it is asyncio's BoundedSemaphore, and Weighted of golang.org/x/sync/semaphore;
 * unbounded, asyncio's Semaphore. Not thread safe: a semaphore and all who use it belong to one
 * scheduler's thread.
 */
#ifndef COIL_SEMAPHORE_H
#define COIL_SEMAPHORE_H

#include <coil/coro.h>
#include <coil/list.h>

#include <stdint.h>

COIL_BEGIN_DECLS

#define COIL_SEMAPHORE_UNBOUNDED SIZE_MAX

typedef struct coil_semaphore coil_semaphore;

/* The caller's memory; it must not move while a task waits. */
struct coil_semaphore {
    size_t available_count; /* Permits that nobody has. Read only. */
    size_t bound_count;     /* Read only. */

    /* Private. */
    coil_list waiters;
};

/*
 * Begin with `available_count` permits, which may be 0. `bound_count`, or COIL_SEMAPHORE_UNBOUNDED,
 * must not be less; where every permit is given back, make both the same.
 */
COIL_API void coil_semaphore_init(
        coil_semaphore *semaphore, size_t available_count, size_t bound_count);

/* The end of `semaphore`. Nobody may be waiting; permits may be out. */
COIL_API void coil_semaphore_fini(coil_semaphore *semaphore);

/*
 * Wait for a permit and take it. Done at once, without giving up the turn, if one is available.
 *
 * Result: 0, the permit is the caller's. Without a deadline there is no other; under within() or
 * until() it is -ETIME if no permit was taken.
 */
coil_declare(int, coil_semaphore_acquire, (coil_semaphore *) semaphore);

/*
 * The same with `count` permits, all of them or none. More than `bound_count`, which would wait for
 * ever, are a programming error.
 */
coil_declare(int, coil_semaphore_acquire_many, (coil_semaphore *) semaphore, (size_t) count);

/*
 * Take a permit, or `count` of them, if they are available and nobody waits. 0, or -EAGAIN: the
 * caller would have to wait.
 */
COIL_API COIL_MUST_USE int coil_semaphore_try_acquire(coil_semaphore *semaphore);
COIL_API COIL_MUST_USE int coil_semaphore_try_acquire_many(coil_semaphore *semaphore, size_t count);

/*
 * Give `count` permits: first to those who wait, what they want, in their order. Never waits. More
 * than `bound_count` available permits are a programming error: somebody has released twice.
 */
COIL_API void coil_semaphore_release(coil_semaphore *semaphore, size_t count);

COIL_END_DECLS

#endif
