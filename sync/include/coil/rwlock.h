/* SPDX-License-Identifier: MIT */
/*
 * coil/rwlock.h - many readers or one writer, across their awaits.
 *
 *     coil_attempt (coil_rwlock_read_lock(&table->lock));
 *     coil_defer (coil_rwlock_unlock(&table->lock));
 *
 *     coil_attempt (coil_rwlock_write_lock(&table->lock));
 *     coil_defer (coil_rwlock_unlock(&table->lock));
 *
 *     free --read_lock--> read by n tasks            unlock: n - 1; the last one frees the lock
 *     free --write_lock--> written by one task --coil_rwlock_downgrade()--> read by that one
 *
 * Who is next: the queue is first come, first served for readers and writers alike.
 *
 *     reading: [a b]   waiting: [W1 r1 r2 W2 r3]     a and b unlock: W1 writes; then r1 and r2 read
 *                                                    together, then W2 writes, then r3 reads
 *
 * Invariants
 *   - A newcomer joins the readers only if nobody waits; else it queues up. So a writer waits for
 *     those who came before it and nobody else, and a reader for at most those writers: neither
 *     starves.
 *   - The lock is handed over, never put up for grabs. Readers who stand in a row at the head of
 *     the queue get it together, in their order.
 *   - A cancelled wait leaves the queue, and those behind it move up at once: readers behind a
 *     writer that gives up join those who read. If the lock had been handed over before the
 *     cancellation came, the call succeeds all the same and the cancellation takes effect at the
 *     task's next await. So the lock is never lost.
 *   - Not recursive. A reader that wants to read again, or to write, may wait for a writer that
 *     waits for it; there is no upgrade. Readers are counted, not known: any task may unlock.
 *
 * It is RWMutex of Go, RwLock of tokio. Not thread safe: a lock and all who use it belong to one
 * scheduler's thread.
 */
#ifndef COIL_RWLOCK_H
#define COIL_RWLOCK_H

#include <coil/coro.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_rwlock coil_rwlock;

/* The caller's memory; it must not move while it is locked. */
struct coil_rwlock {
    coil_task *writer;   /* Who writes, or NULL. Read only. */
    size_t reader_count; /* How many read. Read only. */

    /* Private. */
    coil_list waiters;
};

/* Make `rwlock` free. */
COIL_API void coil_rwlock_init(coil_rwlock *rwlock);

/* The end of `rwlock`, which must be free. */
COIL_API void coil_rwlock_fini(coil_rwlock *rwlock);

/*
 * Wait for the lock and take it, to read with others or to write alone. Done at once, without
 * giving up the turn, if it can be had and nobody waits.
 *
 * Result: 0, the lock is the running task's. Without a deadline there is no other; under within()
 * or until() it is -ETIME if the task does not have it. To wait for what one writes already is a
 * programming error.
 */
coil_declare(int, coil_rwlock_read_lock, (coil_rwlock *) rwlock);
coil_declare(int, coil_rwlock_write_lock, (coil_rwlock *) rwlock);

/* The same without waiting. 0, or -EAGAIN: it would have to wait. `task` (coil_self) will write. */
COIL_API COIL_MUST_USE int coil_rwlock_try_read_lock(coil_rwlock *rwlock);
COIL_API COIL_MUST_USE int coil_rwlock_try_write_lock(coil_rwlock *rwlock, coil_task *task);

/*
 * Give back what one has, to read or to write, and let in who is next. Never waits, so it is fit
 * for every clean-up. A lock that is being written must be unlocked by its writer.
 */
COIL_API void coil_rwlock_unlock(coil_rwlock *rwlock);

/*
 * The writer goes on as a reader, and the readers at the head of the queue join it: what it has
 * written nobody can change before it has unlocked. Never waits. The running task must be the
 * writer.
 */
COIL_API void coil_rwlock_downgrade(coil_rwlock *rwlock);

COIL_END_DECLS

#endif
