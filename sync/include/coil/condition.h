/* SPDX-License-Identifier: MIT */
/*
 * coil/condition.h - wait until something that a mutex guards has changed.
 *
 * The state is the program's own; a condition only says that it is worth another look. So a wait
 * stands in a loop, under the mutex:
 *
 *     coil_attempt (coil_mutex_lock(&store->mutex));
 *     coil_defer (coil_mutex_unlock(&store->mutex));
 *     while (store->item_count == 0)
 *         coil_attempt (coil_condition_wait(&store->changed));
 *     take_item(store);
 *
 *     store->item_count++;                                 elsewhere
 *     coil_condition_notify(&store->changed, 1);
 *
 * With a deadline for the whole of it: coil_until(my->deadline, coil_condition_wait(...)). Where no
 * mutex is needed otherwise, because nothing is awaited while the state is used, coil/event.h or
 * coil/queue.h is simpler.
 *
 *     owns the mutex --wait--> waits, without it --notify--> locks again --> owns the mutex: 0
 *                                    |                          ^
 *                                    +---cancelled, deadline----+        owns the mutex: unwinds
 *
 * Invariants
 *   - Whoever comes back from coil_condition_wait() owns the mutex: when notified, when the
 *     deadline has passed, when cancelled. Cancellations do not reach the locking, which is thus as
 *     slow as the other users of the mutex are.
 *   - Nobody waits between looking and sleeping: a notification from after the look is not missed.
 *   - First come, first served: the tasks that have waited longest are notified, and queue up for
 *     the mutex in that order.
 *   - A notification is not lost with its task. If a task is notified and then cancelled, or its
 *     deadline passes, before its wait is over, the task that has waited longest gets it instead.
 *
 * It is asyncio's Condition, pthread_cond_t, and sync.Cond of Go. Not thread safe: a condition and
 * all who use it belong to one scheduler's thread.
 */
#ifndef COIL_CONDITION_H
#define COIL_CONDITION_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/mutex.h>

COIL_BEGIN_DECLS

typedef struct coil_condition coil_condition;

/* The caller's memory; it must not move while a task is inside of coil_condition_wait(). */
struct coil_condition {
    coil_mutex *mutex; /* Read only. */

    /* Private. */
    coil_list waiters;
    size_t inside_count; /* Those who wait, and those who lock again. */
};

/* A condition on what `mutex` guards. Several may share a mutex, which must outlive them. */
COIL_API void coil_condition_init(coil_condition *condition, coil_mutex *mutex);

/* The end of `condition`. Nobody may be inside of coil_condition_wait(). */
COIL_API void coil_condition_fini(coil_condition *condition);

/*
 * Unlock the mutex, wait to be notified, lock the mutex again. The running task must own the mutex,
 * and owns it afterwards, whatever happens. A task that is being cancelled does not even unlock it.
 *
 * Result: 0, notified: look again. Without a deadline there is no other; under within() or until()
 * it is -ETIME if the deadline has passed first, or before the mutex could be locked again.
 */
coil_declare(int, coil_condition_wait, (coil_condition *) condition);

/*
 * Notify the `count` tasks that have waited longest, or as many as there are; coil_condition_wait()
 * of those who begin to wait later is not affected. Never waits. From anywhere on the thread: the
 * mutex need not be owned, though the state is changed under it as a rule.
 */
COIL_API void coil_condition_notify(coil_condition *condition, size_t count);

/* Notify all tasks that wait now. */
COIL_API void coil_condition_notify_all(coil_condition *condition);

COIL_END_DECLS

#endif
