/* SPDX-License-Identifier: MIT */
/*
 * coil/thread_queue.h - a bounded queue of items of one type between threads, with two faces: tasks
 * of any loop await it, threads without a loop block on it. Like janus.Queue; among the tasks of
 * one loop alone, coil/queue.h is the same for less.
 *
 *     typedef coil_thread_queue_of(job) job_queue;
 *
 *     job slots[64];                                         the caller's memory, for 64 items
 *     job_queue jobs;
 *     coil_thread_queue_init(&jobs, slots, 64);
 *
 *     coil_attempt (coil_thread_queue_put(&jobs, &my->job));     a task, while the queue is full
 *     rc = coil_thread_queue_get_blocking(&jobs, &job, COIL_FOREVER);      a thread, while it is
 *                                                                          empty
 *
 * All calls are macros that take a pointer to a coil_thread_queue_of(T) and, for items, a pointer
 * to T; any other type does not compile. Items are copied byte by byte: T is a plain type, and what
 * it points to changes owners with it.
 *
 *     open, items --close()--> closed, items --the last get--> closed and empty
 *        |                        |                                 ^
 *        +------- abort() --------+------------> aborted -----------+ try_get alone takes the rest
 *
 *     put: 0 while open, then -EPIPE             get: 0 while there are items, but not if aborted;
 *                                                then -EPIPE
 *
 * Invariants
 *   - Items leave in the order in which they came. Of all who wait to put, tasks and threads, the
 *     one that has waited longest puts first; of those that wait to get, it gets first. Newcomers
 *     cannot overtake on either side, try_put and try_get included.
 *   - Every item is somewhere exactly once. A put that reports anything but 0, or is cancelled, has
 *     not put; a get likewise has not taken, nor touched `*out_item`. If the item had changed hands
 *     before the cancellation came, the call reports 0 all the same and the cancellation takes
 *     effect at the task's next await.
 *   - A loop is woken only if one of its tasks has got what it waited for, and not if the one who
 *     gave it runs on that loop.
 *
 * Every call is for any thread, unless it says otherwise.
 */
#ifndef COIL_THREAD_QUEUE_H
#define COIL_THREAD_QUEUE_H

#include <coil/coro.h>
#include <coil/list.h>

#include <pthread.h>

COIL_BEGIN_DECLS

typedef struct coil_thread_queue coil_thread_queue;

/* What queues of all types have in common. Private: nothing here can be read without the lock. */
struct coil_thread_queue {
    pthread_mutex_t lock;
    size_t count;
    size_t capacity_count;
    size_t first;            /* The slot of the oldest item. */
    size_t unfinished_count; /* Put, and not yet reported as done. */
    size_t item_bytes;
    char *slots;
    bool closed;
    bool aborted;
    coil_list putters;
    coil_list getters;
    coil_list joiners;
};

/* The type of a queue of T. It must not move. Give it a name by typedef. */
#define coil_thread_queue_of(T)                                                           \
    struct {                                                                              \
        coil_thread_queue queue;                                                          \
        __typeof__(T) *items; /* The caller's. Also what the calls take the type from. */ \
    }

/*
 * Make `q` an empty, open queue on the caller's array `storage`. It has room for `capacity_count`
 * items, at least one, and must outlive the queue.
 *
 *     void coil_thread_queue_init(coil_thread_queue_of(T) *q, T *storage, size_t capacity_count);
 */
#define coil_thread_queue_init(q, storage, capacity_count) \
    coil_thread_queue_init_untyped(                        \
            &(q)->queue, (q)->items = (storage), sizeof(*(q)->items), (capacity_count))

/*
 * The end of `q`. Every put, get and join must have come back: close it, and join those who use it.
 * Items that are still in it are forgotten: if they own something, take them out with
 * coil_thread_queue_try_get() first.
 *
 *     void coil_thread_queue_fini(coil_thread_queue_of(T) *q);
 */
#define coil_thread_queue_fini(q) coil_thread_queue_fini_untyped(&(q)->queue)

/* ----------------------------------------------------------------------------- for tasks -- */

/*
 * Put a copy of `*item`; wait for room first. `*item` must stay until the call is done.
 *
 * Result: 0; -EPIPE, the queue is closed or was closed while waiting; -ETIME under within() or
 * until().
 *
 *     coroutine int coil_thread_queue_put(coil_thread_queue_of(T) *q, const T *item);
 */
#define coil_thread_queue_put(q, item) \
    coil_thread_queue_put_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item))

/*
 * Take the oldest item into `*out_item`; wait for one first. `*out_item` must stay until the call
 * is done.
 *
 * Result: 0; -EPIPE, the queue is closed and empty, or aborted; -ETIME under within() or until().
 *
 *     coroutine int coil_thread_queue_get(coil_thread_queue_of(T) *q, T *out_item);
 */
#define coil_thread_queue_get(q, out_item) \
    coil_thread_queue_get_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, out_item))

/*
 * Wait until every item that was put is done, coil_thread_queue_item_done(). Result: 0; -ETIME
 * under within() or until().
 *
 *     coroutine int coil_thread_queue_join(coil_thread_queue_of(T) *q);
 */
#define coil_thread_queue_join(q) coil_thread_queue_join_untyped(&(q)->queue)

/* --------------------------------------------------------------------------- for threads -- */
/*
 * The same for a thread on which no loop runs, such as one of coil/blocking.h. It waits no longer
 * than `limit`, which may be COIL_FOREVER. Calling them in a coroutine is a programming error.
 *
 * Result: 0; -EPIPE as above; -ETIME.
 *
 *     int coil_thread_queue_put_blocking(
 *             coil_thread_queue_of(T) *q, const T *item, coil_duration limit);
 *     int coil_thread_queue_get_blocking(
 *             coil_thread_queue_of(T) *q, T *out_item, coil_duration limit);
 *     int coil_thread_queue_join_blocking(coil_thread_queue_of(T) *q, coil_duration limit);
 */
#define coil_thread_queue_put_blocking(q, item, limit) \
    coil_thread_queue_put_blocking_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item), (limit))
#define coil_thread_queue_get_blocking(q, out_item, limit) \
    coil_thread_queue_get_blocking_untyped(                \
            &(q)->queue, COIL_ITEM_OF_((q)->items, out_item), (limit))
#define coil_thread_queue_join_blocking(q, limit) \
    coil_thread_queue_join_blocking_untyped(&(q)->queue, (limit))

/* --------------------------------------------------------------------------- for everyone -- */

/*
 * The same without waiting: -EAGAIN where the others would have to wait. try_get also takes what is
 * left in an aborted queue.
 *
 *     int coil_thread_queue_try_put(coil_thread_queue_of(T) *q, const T *item);
 *     int coil_thread_queue_try_get(coil_thread_queue_of(T) *q, T *out_item);
 */
#define coil_thread_queue_try_put(q, item) \
    coil_thread_queue_try_put_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item))
#define coil_thread_queue_try_get(q, out_item) \
    coil_thread_queue_try_get_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, out_item))

/*
 * What was got is done: for those who join. Once per item that was got while the queue was not
 * aborted; more often is a programming error. Never waits.
 *
 *     void coil_thread_queue_item_done(coil_thread_queue_of(T) *q);
 */
#define coil_thread_queue_item_done(q) coil_thread_queue_item_done_untyped(&(q)->queue)

/*
 * No more items: every put, those that wait included, reports -EPIPE. Items in the queue can still
 * be got; after the last of them, get reports -EPIPE. Never waits. Closing a closed queue does
 * nothing. (asyncio: shutdown().)
 *
 *     void coil_thread_queue_close(coil_thread_queue_of(T) *q);
 */
#define coil_thread_queue_close(q) coil_thread_queue_close_untyped(&(q)->queue)

/*
 * No more items, and none of those that are in the queue: get reports -EPIPE at once. They count as
 * done, so that join waits only for those that have been got; they stay until they are taken out by
 * coil_thread_queue_try_get(). Never waits. (asyncio: shutdown(immediate=True).)
 *
 *     void coil_thread_queue_abort(coil_thread_queue_of(T) *q);
 */
#define coil_thread_queue_abort(q) coil_thread_queue_abort_untyped(&(q)->queue)

/*
 * How many items are in the queue, at some time during the call.
 *
 *     size_t coil_thread_queue_count(coil_thread_queue_of(T) *q);
 */
#define coil_thread_queue_count(q) coil_thread_queue_count_untyped(&(q)->queue)

/* ------------------------------------------------------------------------ behind the macros -- */

/* The check of the type in the macros is what makes the `void *` here sound. */
COIL_API void coil_thread_queue_init_untyped(
        coil_thread_queue *queue, void *storage, size_t item_bytes, size_t capacity_count);
COIL_API void coil_thread_queue_fini_untyped(coil_thread_queue *queue);
COIL_API void coil_thread_queue_close_untyped(coil_thread_queue *queue);
COIL_API void coil_thread_queue_abort_untyped(coil_thread_queue *queue);
COIL_API void coil_thread_queue_item_done_untyped(coil_thread_queue *queue);
COIL_API size_t coil_thread_queue_count_untyped(coil_thread_queue *queue);
COIL_API COIL_MUST_USE int coil_thread_queue_try_put_untyped(
        coil_thread_queue *queue, const void *item);
COIL_API COIL_MUST_USE int coil_thread_queue_try_get_untyped(
        coil_thread_queue *queue, void *out_item);
COIL_API COIL_MUST_USE int coil_thread_queue_put_blocking_untyped(
        coil_thread_queue *queue, const void *item, coil_duration limit);
COIL_API COIL_MUST_USE int coil_thread_queue_get_blocking_untyped(
        coil_thread_queue *queue, void *out_item, coil_duration limit);
COIL_API COIL_MUST_USE int coil_thread_queue_join_blocking_untyped(
        coil_thread_queue *queue, coil_duration limit);
coil_declare(int, coil_thread_queue_put_untyped, (coil_thread_queue *) queue, (const void *) item);
coil_declare(int, coil_thread_queue_get_untyped, (coil_thread_queue *) queue, (void *) out_item);
coil_declare(int, coil_thread_queue_join_untyped, (coil_thread_queue *) queue);

COIL_END_DECLS

#endif
