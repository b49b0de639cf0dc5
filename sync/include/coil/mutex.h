/* SPDX-License-Identifier: MIT */
/*
 * coil/mutex.h - mutual exclusion between tasks, across their awaits.
 *
 *     coil_attempt (coil_mutex_lock(&store->mutex));
 *     coil_defer (coil_mutex_unlock(&store->mutex));
 *
 * Code without an await needs no mutex: nothing else runs on the thread meanwhile.
 *
 *     free --lock, try_lock--> owned by that task --unlock--> owned by the task that has waited
 *       ^                                            |        longest, before it even runs
 *       +-----------------unlock, nobody waits-------+
 *
 * Invariants
 *   - Strictly first come, first served. The lock is handed over, never put up for grabs: a task
 *     that unlocks and locks again queues up behind all who are waiting.
 *   - A free mutex has no waiting tasks.
 *   - A cancelled wait leaves the queue. If the lock had been handed over before the cancellation
 *     came, coil_mutex_lock() succeeds all the same and the cancellation takes effect at the task's
 *     next await: the defer above is in place by then. So the lock is never lost.
 *   - Not recursive. The owner is a task, and only it unlocks; one that ends without unlocking
 *     leaves the mutex locked for ever.
 *
 * It is asyncio's Lock, with an owner. Not thread safe: a mutex and all who use it belong to one
 * scheduler's thread.
 */
#ifndef COIL_MUTEX_H
#define COIL_MUTEX_H

#include <coil/coro.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_mutex coil_mutex;

/* The caller's memory; it must not move while it is locked. */
struct coil_mutex {
    coil_task *owner; /* NULL: free. Read only. */

    /* Private. */
    coil_list waiters;
};

/* Make `mutex` free. */
COIL_API void coil_mutex_init(coil_mutex *mutex);

/* The end of `mutex`, which must be free. */
COIL_API void coil_mutex_fini(coil_mutex *mutex);

/*
 * Wait for the lock and take it. Done at once, without giving up the turn, if the mutex is free.
 *
 * Result: 0, the running task is the owner. Without a deadline there is no other; under within() or
 * until() it is -ETIME if the task does not have the lock. (That is why the result is not void.)
 * Locking what one owns already is a programming error.
 */
coil_declare(int, coil_mutex_lock, (coil_mutex *) mutex);

/* Has somebody the lock? If not, coil_mutex_lock() is done at once. */
static inline bool coil_mutex_is_locked(const coil_mutex *mutex)
{
    return mutex->owner != NULL;
}

/* Take the lock for `task` (coil_self) if it is free. 0, or -EAGAIN: it would have to wait. */
COIL_API COIL_MUST_USE int coil_mutex_try_lock(coil_mutex *mutex, coil_task *task);

/*
 * Hand the lock to the task that has waited longest, or make it free. Never waits, so it is fit for
 * every clean-up. The running task must be the owner.
 */
COIL_API void coil_mutex_unlock(coil_mutex *mutex);

COIL_END_DECLS

#endif
