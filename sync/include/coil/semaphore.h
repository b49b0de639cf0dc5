/* SPDX-License-Identifier: MIT */
/*
 * coil/semaphore.h - a number of permits: at most so many at a time.
 *
 *     coil_attempt (coil_semaphore_acquire(&pool->permits));
 *     coil_defer (coil_semaphore_release(&pool->permits, 1));
 *
 * Invariants
 *   - First come, first served. A released permit is handed to the task that has waited longest;
 *     only what nobody waits for becomes available. So permits are available only while nobody
 *     waits, and newcomers cannot overtake.
 *   - No permit gets lost: a cancelled wait leaves the queue without one. If the permit had been
 *     handed over before the cancellation came, coil_semaphore_acquire() succeeds all the same and
 *     the cancellation takes effect at the task's next await.
 *   - Permits belong to nobody: any task, or a timer, may release what another has acquired.
 *   - No more than `bound_count` permits are ever available.
 *
 * Not thread safe: a semaphore and all who use it belong to one scheduler's thread.
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
    size_t available_count; /* Permits that can be had without waiting. Read only. */
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

/* Take a permit if one is available. 0, or -EAGAIN: the caller would have to wait. */
COIL_API COIL_MUST_USE int coil_semaphore_try_acquire(coil_semaphore *semaphore);

/*
 * Give `count` permits: first to those who wait, one each, in their order. Never waits. More than
 * `bound_count` available permits are a programming error: somebody has released twice.
 */
COIL_API void coil_semaphore_release(coil_semaphore *semaphore, size_t count);

COIL_END_DECLS

#endif
