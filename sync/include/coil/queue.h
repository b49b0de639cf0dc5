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
 * Three orders, chosen by the call that makes the queue; all other calls are the same:
 *
 *     coil_queue_init()            first in, first out           asyncio.Queue
 *     coil_lifo_queue_init()       last in, first out            asyncio.LifoQueue
 *     coil_priority_queue_init()   by a comparison of items;     asyncio.PriorityQueue, whose ties
 *                                  ties first in, first out      come in any order
 *
 * All calls are macros that take a pointer to a coil_queue_of(T) or coil_priority_queue_of(T) and,
 * for items, a pointer to T; any other type does not compile. Items are copied byte by byte: T is a
 * plain type, and what it points to changes owners with it.
 *
 *     open, items --coil_queue_close()--> closed, items --the last get--> closed and empty
 *         |                                  |                                ^
 *         +---------------------------coil_queue_abort(): items are dropped---+
 *
 *     put: 0                              put: -EPIPE                     put: -EPIPE
 *     get: 0                              get: 0                          get: -EPIPE
 *
 * Who wants to know when the work is done, not only taken, joins: an item is unfinished from the
 * put until coil_queue_item_done() is called for it.
 *
 *     in the queue --get--> out --coil_queue_item_done()--> done     join: waits for all of them
 *          +-----------dropped by coil_queue_abort()---------^
 *
 * Invariants
 *   - Items leave in the order of the queue, as far as they are in it. Of the tasks that wait to
 *     put, the one that has waited longest puts first; of those that wait to get, it gets first.
 *     Newcomers cannot overtake on either side, try_put and try_get included. (So a task that waits
 *     to put into a full priority queue waits its turn, however urgent its item.)
 *   - Tasks wait to put only while the queue is full, and to get only while it is empty.
 *   - Every item is somewhere exactly once. A put that reports anything but 0, or is cancelled, has
 *     not put; a get likewise has not taken, nor touched `*out_item`. If the item had changed hands
 *     before the cancellation came, the call reports 0 all the same and the cancellation takes
 *     effect at the task's next await.
 *   - There is no queue without a bound. One that brings no storage grows as needed, up to its
 *     capacity.
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
typedef struct coil_allocator coil_allocator; /* coil/sched.h */

typedef bool coil_queue_comes_first(const void *item, const void *other);

/* What queues of all types have in common. */
struct coil_queue {
    size_t count;          /* Items in the queue. Read only. */
    size_t capacity_count; /* Read only. */
    size_t out_count;      /* Items that were got and are not done. Read only. */
    bool closed;           /* Read only. */

    /* Set after init: where a queue that grows gets its memory. NULL: malloc and free. */
    coil_allocator *allocator;

    /* Private. */
    bool grows; /* The slots are ours. */
    int order;
    size_t slot_count;
    size_t first; /* The slot of the oldest item; 0 except in a ring. */
    size_t item_bytes;
    size_t slot_bytes;
    char *slots;
    coil_queue_comes_first *comes_first; /* Not NULL: the slots are a heap. */
    uint64_t next_turn;
    coil_list putters;
    coil_list getters;
    coil_list joiners;
};

/* The type of a queue of T. It must not move while a task waits. Give it a name by typedef. */
#define coil_queue_of(T)                                                                  \
    struct {                                                                              \
        coil_queue queue;                                                                 \
        __typeof__(T) *items; /* The caller's. Also what the calls take the type from. */ \
    }

/* The type of a priority queue of T. */
#define coil_priority_queue_of(T)                                                               \
    struct {                                                                                    \
        coil_queue queue;                                                                       \
        __typeof__(T) *items; /* NULL. What the calls take the type from. */                    \
        bool (*comes_first)(const __typeof__(T) *, const __typeof__(T) *);                      \
        struct {                                                                                \
            __typeof__(T) co__item;                                                             \
            uint64_t co__turn __attribute__((aligned(8))); /* When it came: what ties go by. */ \
        } * slots;                                                                              \
    }

/* What the storage of the priority queue type `Q` is an array of. */
#define coil_priority_slot_of(Q) __typeof__(*((Q *)0)->slots)

/*
 * Make `q` an empty, open queue on the caller's array `storage`. It has room for `capacity_count`
 * items, at least one, and must outlive the queue.
 *
 * With NULL for `storage` the queue grows: it takes memory as items come (twice as much at a time),
 * up to `capacity_count` of them, and gives it back in coil_queue_fini(). Only when a put needs
 * more and there is none, that put reports -ENOMEM. The alignment of T may then be 16 at most.
 *
 *     void coil_queue_init(coil_queue_of(T) *q, T *storage, size_t capacity_count);
 *     void coil_lifo_queue_init(coil_queue_of(T) *q, T *storage, size_t capacity_count);
 */
#define coil_queue_init(q, storage, capacity_count) \
    coil_queue_init_untyped(                        \
            &(q)->queue, (q)->items = (storage), sizeof(*(q)->items), (capacity_count))
#define coil_lifo_queue_init(q, storage, capacity_count) \
    coil_lifo_queue_init_untyped(                        \
            &(q)->queue, (q)->items = (storage), sizeof(*(q)->items), (capacity_count))

/*
 * The same in the order of `comes_first(a, b)`: must `a` leave before `b`? It is a strict order
 * ("<", not "<="), does not change while items are in the queue, and uses no queue. What it says
 * about two items that are equal is "no", both ways: they leave in the order in which they came.
 * Put and get take O(log count) comparisons.
 *
 *     typedef coil_priority_queue_of(job) job_queue;
 *     coil_priority_slot_of(job_queue) slots[64];
 *     coil_priority_queue_init(&jobs, slots, 64, more_urgent);
 *
 *     void coil_priority_queue_init(coil_priority_queue_of(T) *q, <slot> *storage,
 *             size_t capacity_count, bool (*comes_first)(const T *item, const T *other));
 */
#define coil_priority_queue_init(q, storage, capacity_count, order)                            \
    coil_priority_queue_init_untyped(&(q)->queue, ((q)->items = NULL, (q)->slots = (storage)), \
            sizeof(*(q)->items), sizeof(*(q)->slots), (capacity_count),                        \
            ((q)->comes_first = (order), (coil_queue_comes_first *)(q)->comes_first))

/*
 * The end of `q`. Nobody may be waiting. Items that are still in it are forgotten: if they own
 * something, take them out with coil_queue_try_get() or coil_queue_abort() first.
 *
 *     void coil_queue_fini(coil_queue_of(T) *q);
 */
#define coil_queue_fini(q) coil_queue_fini_untyped(&(q)->queue)

/*
 * Put a copy of `*item`; wait for room first. `*item` must stay until the call is done, so it lies
 * in the vars of the coroutine or on the heap.
 *
 * Result: 0; -EPIPE, the queue is closed or was closed while waiting (as write(2) has it); -ENOMEM,
 * it has to grow and cannot; -ETIME under within() or until().
 *
 *     coroutine int coil_queue_put(coil_queue_of(T) *q, const T *item);
 */
#define coil_queue_put(q, item) coil_queue_put_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item))

/*
 * Take the first item, in the order of the queue, into `*out_item`; wait for one first. `*out_item`
 * must stay until the call is done.
 *
 * Result: 0; -EPIPE, the queue is closed and empty; -ETIME under within() or until().
 *
 *     coroutine int coil_queue_get(coil_queue_of(T) *q, T *out_item);
 */
#define coil_queue_get(q, out_item) \
    coil_queue_get_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, out_item))

/*
 * The same without waiting (asyncio: put_nowait, get_nowait): -EAGAIN where the others would have
 * to wait. Callable from anywhere on the thread, timers included.
 *
 *     int coil_queue_try_put(coil_queue_of(T) *q, const T *item);
 *     int coil_queue_try_get(coil_queue_of(T) *q, T *out_item);
 */
#define coil_queue_try_put(q, item) \
    coil_queue_try_put_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, item))
#define coil_queue_try_get(q, out_item) \
    coil_queue_try_get_untyped(&(q)->queue, COIL_ITEM_OF_((q)->items, out_item))

/*
 * Put and get as cases of a select (coil/select.h). Optional last argument: `int *out_rc`, for what
 * the put or get reports.
 *
 *     coil_select_case coil_put_to(coil_queue_of(T) *q, const T *item);
 *     coil_select_case coil_get_from(coil_queue_of(T) *q, T *out_item);
 */
#define coil_put_to(q, ...) COIL_CAT(COIL_PUT_TO_, COIL_COUNT(__VA_ARGS__))(q, __VA_ARGS__)
#define coil_get_from(q, ...) COIL_CAT(COIL_GET_FROM_, COIL_COUNT(__VA_ARGS__))(q, __VA_ARGS__)

/*
 * One item that was got has been dealt with (asyncio: task_done). Never waits, so it is fit for
 * every clean-up: coil_defer() it after the get. More calls than gets are a programming error. Who
 * never joins need not call it.
 *
 *     void coil_queue_item_done(coil_queue_of(T) *q);
 */
#define coil_queue_item_done(q) coil_queue_item_done_untyped(&(q)->queue)

/*
 * Wait until no item is unfinished: none in the queue, and every one that was got is done. Done at
 * once if that is so. Whoever waits at that moment is released, even if an item comes right after.
 * Items that tasks are still waiting to put count as soon as they are in.
 *
 * Closing the queue does not end the wait; coil_queue_abort() may, as items that were dropped
 * count as done. So a join that is over does not tell whether the work was done or called off.
 *
 * Result: 0; -ETIME under within() or until().
 *
 *     coroutine int coil_queue_join(coil_queue_of(T) *q);
 */
#define coil_queue_join(q) coil_queue_join_untyped(&(q)->queue)

/*
 * No more items (asyncio 3.13: shutdown()): every put, those that wait included, reports -EPIPE.
 * Items in the queue can still be got; after the last of them, get reports -EPIPE. Never waits.
 * Closing a closed queue does nothing.
 *
 *     void coil_queue_close(coil_queue_of(T) *q);
 */
#define coil_queue_close(q) coil_queue_close_untyped(&(q)->queue)

/*
 * Close the queue and empty it (asyncio 3.13: shutdown(immediate=True)): every put and every get
 * reports -EPIPE from now on. `drop` is called for each item that was in it, in the order in which
 * they would have left, and then owns what the item owns; the item itself is gone after the call.
 * coil_queue_forget is the one for items that own nothing. What tasks are waiting to put stays
 * theirs: their puts report -EPIPE. Items that were dropped count as done; those that were got
 * before still have to be, for a join. `drop` may use the queue. Never waits. A closed queue can be
 * aborted, too.
 *
 *     void coil_queue_abort(coil_queue_of(T) *q, void drop(T *item));
 */
#define coil_queue_abort(q, drop)                                           \
    do {                                                                    \
        __typeof__(q) co__q = (q);                                          \
        __typeof__(*co__q->items) co__item;                                 \
        coil_queue_close(co__q);                                            \
        while (coil_queue_try_get_untyped(&co__q->queue, &co__item) == 0) { \
            drop(&co__item);                                                \
            coil_queue_item_done(co__q);                                    \
        }                                                                   \
    } while (0)
#define coil_queue_forget(item) ((void)(item))

/*
 * How many items are in the queue; whether there is none, or no room for another (asyncio: qsize,
 * empty, full).
 *
 *     size_t coil_queue_count(const coil_queue_of(T) *q);
 *     bool coil_queue_empty(const coil_queue_of(T) *q);
 *     bool coil_queue_full(const coil_queue_of(T) *q);
 */
#define coil_queue_count(q) ((q)->queue.count)
#define coil_queue_empty(q) ((q)->queue.count == 0)
#define coil_queue_full(q) ((q)->queue.count == (q)->queue.capacity_count)

/* ------------------------------------------------------------------------ behind the macros -- */

/* The check of the type in the macros is what makes the `void *` here sound. */
COIL_API void coil_queue_init_untyped(
        coil_queue *queue, void *storage, size_t item_bytes, size_t capacity_count);
COIL_API void coil_lifo_queue_init_untyped(
        coil_queue *queue, void *storage, size_t item_bytes, size_t capacity_count);
COIL_API void coil_priority_queue_init_untyped(coil_queue *queue, void *storage, size_t item_bytes,
        size_t slot_bytes, size_t capacity_count, coil_queue_comes_first *comes_first);
COIL_API void coil_queue_fini_untyped(coil_queue *queue);
COIL_API void coil_queue_close_untyped(coil_queue *queue);
COIL_API COIL_MUST_USE int coil_queue_try_put_untyped(coil_queue *queue, const void *item);
COIL_API COIL_MUST_USE int coil_queue_try_get_untyped(coil_queue *queue, void *out_item);
COIL_API void coil_queue_item_done_untyped(coil_queue *queue);
coil_declare(int, coil_queue_put_untyped, (coil_queue *) queue, (const void *) item);
coil_declare(int, coil_queue_get_untyped, (coil_queue *) queue, (void *) out_item);
coil_declare(int, coil_queue_join_untyped, (coil_queue *) queue);

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
