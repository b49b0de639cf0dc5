/* SPDX-License-Identifier: MIT */
/*
 * coil/queue.h - a bounded queue of items of one type, from tasks to tasks.
 *
 *     typedef coil_queue_of(job) job_queue;
 *
 *     job slots[64];                                     the caller's memory, for 64 items
 *     job_queue jobs;
 *     coil_queue_init(&jobs, slots, 64);
 *
 *     coil_attempt (coil_queue_put(&jobs, &my->job));    waits while the queue is full
 *     coil_attempt (coil_queue_get(&jobs, &my->job));    waits while it is empty
 *
 * All calls are macros that take a pointer to a coil_queue_of(T) and, for items, a pointer to T;
 * any other type does not compile. Items are copied byte by byte: T is a plain type, and what it
 * points to changes owners with it.
 *
 *     open, items --coil_queue_close()--> closed, items --the last get--> closed and empty
 *     put: 0                              put: -EPIPE                     put: -EPIPE
 *     get: 0                              get: 0                          get: -EPIPE
 *
 * Invariants
 *   - Items leave in the order in which they came. Of the tasks that wait to put, the one that has
 *     waited longest puts first; of those that wait to get, it gets first. Newcomers cannot
 *     overtake on either side, try_put and try_get included.
 *   - Tasks wait to put only while the queue is full, and to get only while it is empty.
 *   - Every item is somewhere exactly once. A put that reports anything but 0, or is cancelled, has
 *     not put; a get likewise has not taken, nor touched `*out_item`. If the item had changed hands
 *     before the cancellation came, the call reports 0 all the same and the cancellation takes
 *     effect at the task's next await.
 *
 * Not thread safe: a queue and all who use it belong to one scheduler's thread.
 */
#ifndef COIL_QUEUE_H
#define COIL_QUEUE_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/select.h>

COIL_BEGIN_DECLS

typedef struct coil_queue coil_queue;

/* What queues of all types have in common. */
struct coil_queue {
    size_t count; /* Items in the queue. Read only. */
    size_t capacity_count;
    bool closed;

    /* Private. */
    size_t first; /* The slot of the oldest item. */
    size_t item_bytes;
    char *slots;
    coil_list putters;
    coil_list getters;
};

/* The type of a queue of T. It must not move while a task waits. Give it a name by typedef. */
#define coil_queue_of(T)                                                                  \
    struct {                                                                              \
        coil_queue queue;                                                                 \
        __typeof__(T) *items; /* The caller's. Also what the calls take the type from. */ \
    }

/*
 * Make `q` an empty, open queue on the caller's array `storage`. It has room for `capacity_count`
 * items, at least one, and must outlive the queue.
 *
 *     void coil_queue_init(coil_queue_of(T) *q, T *storage, size_t capacity_count);
 */
#define coil_queue_init(q, storage, capacity_count) \
    coil_queue_init_untyped(                        \
            &(q)->queue, (q)->items = (storage), sizeof(*(q)->items), (capacity_count))

/*
 * The end of `q`. Nobody may be waiting. Items that are still in it are forgotten: if they own
 * something, take them out with coil_queue_try_get() first.
 *
 *     void coil_queue_fini(coil_queue_of(T) *q);
 */
#define coil_queue_fini(q) coil_queue_fini_untyped(&(q)->queue)

/*
 * Put a copy of `*item`; wait for room first. `*item` must stay until the call is done, so it lies
 * in the vars of the coroutine or on the heap.
 *
 * Result: 0; -EPIPE, the queue is closed or was closed while waiting (as write(2) has it); -ETIME
 * under within() or until().
 *
 *     coroutine int coil_queue_put(coil_queue_of(T) *q, const T *item);
 */
#define coil_queue_put(q, item) coil_queue_put_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item))

/*
 * Take the oldest item into `*out_item`; wait for one first. `*out_item` must stay until the call
 * is done.
 *
 * Result: 0; -EPIPE, the queue is closed and empty; -ETIME under within() or until().
 *
 *     coroutine int coil_queue_get(coil_queue_of(T) *q, T *out_item);
 */
#define coil_queue_get(q, out_item) \
    coil_queue_get_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, out_item))

/*
 * The same without waiting: -EAGAIN where the others would have to wait. Callable from anywhere on
 * the thread, timers included.
 *
 *     int coil_queue_try_put(coil_queue_of(T) *q, const T *item);
 *     int coil_queue_try_get(coil_queue_of(T) *q, T *out_item);
 */
#define coil_queue_try_put(q, item) \
    coil_queue_try_put_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item))
#define coil_queue_try_get(q, out_item) \
    coil_queue_try_get_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, out_item))

/*
 * Put and get as cases of a select (coil/select.h). Optional last argument: `int *out_rc`, for 0 or
 * -EPIPE.
 *
 *     coil_select_case coil_put_to(coil_queue_of(T) *q, const T *item);
 *     coil_select_case coil_get_from(coil_queue_of(T) *q, T *out_item);
 */
#define coil_put_to(q, ...) COIL_CAT(COIL_PUT_TO_, COIL_COUNT(__VA_ARGS__))(q, __VA_ARGS__)
#define coil_get_from(q, ...) COIL_CAT(COIL_GET_FROM_, COIL_COUNT(__VA_ARGS__))(q, __VA_ARGS__)

/*
 * No more items: every put, those that wait included, reports -EPIPE. Items in the queue can still
 * be got; after the last of them, get reports -EPIPE. Never waits. Closing a closed queue does
 * nothing.
 *
 *     void coil_queue_close(coil_queue_of(T) *q);
 */
#define coil_queue_close(q) coil_queue_close_untyped(&(q)->queue)

/*
 * How many items are in the queue.
 *
 *     size_t coil_queue_count(const coil_queue_of(T) *q);
 */
#define coil_queue_count(q) ((q)->queue.count)

/* ------------------------------------------------------------------------ behind the macros -- */

/* The check of the type in the macros is what makes the `void *` here sound. */
COIL_API void coil_queue_init_untyped(
        coil_queue *queue, void *storage, size_t item_bytes, size_t capacity_count);
COIL_API void coil_queue_fini_untyped(coil_queue *queue);
COIL_API void coil_queue_close_untyped(coil_queue *queue);
COIL_API COIL_MUST_USE int coil_queue_try_put_untyped(coil_queue *queue, const void *item);
COIL_API COIL_MUST_USE int coil_queue_try_get_untyped(coil_queue *queue, void *out_item);
coil_declare(int, coil_queue_put_untyped, (coil_queue *) queue, (const void *) item);
coil_declare(int, coil_queue_get_untyped, (coil_queue *) queue, (void *) out_item);

COIL_API extern const coil_select_kind coil_queue_putting;
COIL_API extern const coil_select_kind coil_queue_getting;

#define COIL_PUT_TO_1(q, item) COIL_PUT_TO_2(q, item, NULL)
#define COIL_PUT_TO_2(q, item, out_rc) \
    coil_select_case_giving(           \
            &coil_queue_putting, &(q)->queue.putters, COIL_ITEM_OF_((q)->items, item), (out_rc))
#define COIL_GET_FROM_1(q, out_item) COIL_GET_FROM_2(q, out_item, NULL)
#define COIL_GET_FROM_2(q, out_item, out_rc)                          \
    coil_select_case_taking(&coil_queue_getting, &(q)->queue.getters, \
            COIL_ITEM_OF_((q)->items, out_item), (out_rc))

COIL_END_DECLS

#endif
