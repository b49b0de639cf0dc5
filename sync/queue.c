/* SPDX-License-Identifier: MIT */
#include <coil/queue.h>

#include <coil/check.h>
#include <coil/sched.h>
#include <coil/select.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIFO, LIFO, PRIORITY }; /* The order of a queue. */

enum { FIRST_SLOT_COUNT = 8 };

/* Where in a slot of a heap its turn lies: behind the item. */
#define TURN_AT(queue) (((queue)->item_bytes + 7) & ~(size_t)7)

static void init(coil_queue *queue, void *storage, size_t capacity_count, size_t item_bytes)
{
    COIL_CHECK(capacity_count > 0);
    *queue = (coil_queue){
            .capacity_count = capacity_count,
            .grows = storage == NULL,
            .slot_count = storage == NULL ? 0 : capacity_count,
            .item_bytes = item_bytes,
            .slot_bytes = item_bytes,
            .slots = storage,
    };
    coil_list_init(&queue->putters);
    coil_list_init(&queue->getters);
    coil_list_init(&queue->joiners);
}

void coil_queue_init_untyped(
        coil_queue *queue, void *storage, size_t item_bytes, size_t capacity_count)
{
    init(queue, storage, capacity_count, item_bytes);
}

void coil_lifo_queue_init_untyped(
        coil_queue *queue, void *storage, size_t item_bytes, size_t capacity_count)
{
    init(queue, storage, capacity_count, item_bytes);
    queue->order = LIFO;
}

void coil_priority_queue_init_untyped(coil_queue *queue, void *storage, size_t item_bytes,
        size_t slot_bytes, size_t capacity_count, coil_queue_comes_first *comes_first)
{
    COIL_CHECK(comes_first != NULL);
    COIL_CHECK(slot_bytes >= item_bytes + sizeof(queue->next_turn));
    init(queue, storage, capacity_count, item_bytes);
    queue->order = PRIORITY;
    queue->slot_bytes = slot_bytes;
    queue->comes_first = comes_first;
}

static void release(coil_queue *queue, void *slots)
{
    if (queue->allocator == NULL) {
        free(slots);
    } else if (slots != NULL) {
        queue->allocator->release(queue->allocator, slots, queue->slot_count * queue->slot_bytes);
    }
}

void coil_queue_fini_untyped(coil_queue *queue)
{
    COIL_CHECK(coil_list_empty(&queue->putters));
    COIL_CHECK(coil_list_empty(&queue->getters));
    COIL_CHECK(coil_list_empty(&queue->joiners));
    if (queue->grows)
        release(queue, queue->slots);
    queue->slots = NULL;
}

static void grant_all(coil_list *waiters, int result)
{
    coil_waiter *waiter;

    while ((waiter = coil_waiter_first(waiters)) != NULL)
        coil_select_grant(waiter, result);
}

void coil_queue_close_untyped(coil_queue *queue)
{
    queue->closed = true;
    grant_all(&queue->putters, -EPIPE);
    grant_all(&queue->getters, -EPIPE);
}

/* Most items are pointers and numbers: those are not worth a call. */
static inline void copy(void *to, const void *from, size_t size_bytes)
{
    if (coil_likely(size_bytes == sizeof(uint64_t))) {
        memcpy(to, from, sizeof(uint64_t));
    } else {
        memcpy(to, from, size_bytes);
    }
}

static char *slot(const coil_queue *queue, size_t index)
{
    return queue->slots + index * queue->slot_bytes;
}

/* --------------------------------------------------------------------------------- growth -- */

/* How many slots come next, or 0: no more may come. */
static size_t larger_count(const coil_queue *queue)
{
    if (queue->slot_count == queue->capacity_count)
        return 0;
    if (queue->slot_count > queue->capacity_count / 2)
        return queue->capacity_count;
    if (queue->slot_count > 0)
        return 2 * queue->slot_count;
    return queue->capacity_count < FIRST_SLOT_COUNT ? queue->capacity_count : FIRST_SLOT_COUNT;
}

/* Every slot is taken. 0: now there is room; -EAGAIN, the queue is full; -ENOMEM. */
static __attribute__((noinline)) int make_room(coil_queue *queue)
{
    size_t count = larger_count(queue);
    size_t size_bytes;

    if (count == 0)
        return -EAGAIN;
    if (__builtin_mul_overflow(count, queue->slot_bytes, &size_bytes))
        return -ENOMEM;
    char *slots = queue->allocator == NULL
                          ? malloc(size_bytes)
                          : queue->allocator->allocate(queue->allocator, size_bytes);
    if (slots == NULL)
        return -ENOMEM;

    /* They are all taken, so the oldest one and those behind it go first, then the others. */
    if (queue->slot_count > 0) {
        size_t behind_bytes = (queue->slot_count - queue->first) * queue->slot_bytes;
        memcpy(slots, slot(queue, queue->first), behind_bytes);
        memcpy(slots + behind_bytes, queue->slots, queue->first * queue->slot_bytes);
    }
    release(queue, queue->slots);
    queue->slots = slots;
    queue->slot_count = count;
    queue->first = 0;
    return 0;
}

/* ------------------------------------------------------------------------ the heap of slots -- */

/*
 * The function is the user's own, typed on his items, and is called through a type with `const
 * void *` instead. That is the same call on every machine that Linux runs on; only a checker that
 * compares the types of functions has to be told.
 */
#ifdef __clang__
__attribute__((no_sanitize("function")))
#endif
static bool
comes_first(const coil_queue *queue, const void *item, const void *other)
{
    return queue->comes_first(item, other);
}

static uint64_t turn_of(const coil_queue *queue, const char *at)
{
    uint64_t turn;

    memcpy(&turn, at + TURN_AT(queue), sizeof(turn));
    return turn;
}

static bool slot_comes_first(const coil_queue *queue, const char *one, const char *other)
{
    if (comes_first(queue, one, other))
        return true;
    return !comes_first(queue, other, one) && turn_of(queue, one) < turn_of(queue, other);
}

/* The free slot behind the last moves up until its parent need not come later than `item`. */
static __attribute__((noinline)) void heap_insert(coil_queue *queue, const void *item)
{
    size_t hole = queue->count++;

    while (hole > 0) {
        const char *parent = slot(queue, (hole - 1) / 2);
        if (!comes_first(queue, item, parent))
            break;
        memcpy(slot(queue, hole), parent, queue->slot_bytes);
        hole = (hole - 1) / 2;
    }
    copy(slot(queue, hole), item, queue->item_bytes);
    memcpy(slot(queue, hole) + TURN_AT(queue), &queue->next_turn, sizeof(queue->next_turn));
    queue->next_turn++;
}

/* The first slot is free and moves down until the last item fits there. */
static __attribute__((noinline)) void heap_take(coil_queue *queue, void *out_item)
{
    copy(out_item, queue->slots, queue->item_bytes);

    size_t count = --queue->count;
    const char *last = slot(queue, count);
    size_t hole = 0;
    size_t child;
    while ((child = 2 * hole + 1) < count) {
        if (child + 1 < count &&
                slot_comes_first(queue, slot(queue, child + 1), slot(queue, child)))
            child++;
        if (!slot_comes_first(queue, slot(queue, child), last))
            break;
        memcpy(slot(queue, hole), slot(queue, child), queue->slot_bytes);
        hole = child;
    }
    if (hole != count)
        memcpy(slot(queue, hole), last, queue->slot_bytes);
}

/* ------------------------------------------------------------------------- the ring of slots -- */

static inline void ring_insert(coil_queue *queue, const void *item)
{
    size_t index = queue->first + queue->count;

    if (index >= queue->slot_count)
        index -= queue->slot_count;
    copy(slot(queue, index), item, queue->item_bytes);
    queue->count++;
}

static inline void ring_take(coil_queue *queue, void *out_item)
{
    copy(out_item, slot(queue, queue->first), queue->item_bytes);
    queue->count--;
    queue->first++;
    if (queue->first == queue->slot_count)
        queue->first = 0;
}

/* The first slot of a ring that nobody takes from at that end is always 0. */
static void ring_take_last(coil_queue *queue, void *out_item)
{
    queue->count--;
    copy(out_item, slot(queue, queue->count), queue->item_bytes);
}

static inline void insert(coil_queue *queue, const void *item)
{
    if (coil_likely(queue->order != PRIORITY)) {
        ring_insert(queue, item);
    } else {
        heap_insert(queue, item);
    }
}

static inline void take(coil_queue *queue, void *out_item)
{
    if (coil_likely(queue->order == FIFO)) {
        ring_take(queue, out_item);
    } else if (queue->order == LIFO) {
        ring_take_last(queue, out_item);
    } else {
        heap_take(queue, out_item);
    }
    queue->out_count++;
}

/* ------------------------------------------------------------------------------ put and get -- */

int coil_queue_try_put_untyped(coil_queue *queue, const void *item)
{
    if (queue->closed)
        return -EPIPE;

    coil_waiter *waiter = coil_waiter_first(&queue->getters);
    if (waiter != NULL) {
        COIL_CHECK(queue->count == 0); /* Else the item would overtake others. */
        copy(coil_exchange_of(waiter)->out_item, item, queue->item_bytes);
        queue->out_count++;
        coil_select_grant(waiter, 0);
        return 0;
    }
    if (queue->count == queue->slot_count) {
        int rc = make_room(queue);
        if (rc < 0)
            return rc;
    }
    insert(queue, item);
    return 0;
}

int coil_queue_try_get_untyped(coil_queue *queue, void *out_item)
{
    if (queue->count == 0)
        return queue->closed ? -EPIPE : -EAGAIN;
    take(queue, out_item);

    /* The room goes to the one who has waited longest for it, before anybody else can take it. */
    coil_waiter *waiter = coil_waiter_first(&queue->putters);
    if (waiter != NULL) {
        insert(queue, coil_exchange_of(waiter)->item);
        coil_select_grant(waiter, 0);
    }
    return 0;
}

void coil_queue_item_done_untyped(coil_queue *queue)
{
    COIL_CHECK(queue->out_count > 0); /* More were done than were got. */
    queue->out_count--;
    if (queue->out_count == 0 && queue->count == 0)
        grant_all(&queue->joiners, 0);
}

static coil_turn put_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    const struct coil_queue_put_untyped__args *arguments =
            coil_arguments(coil_queue_put_untyped, leaf);
    int rc = coil_queue_try_put_untyped(arguments->queue, arguments->item);
    if (rc != -EAGAIN) {
        coil_result(coil_queue_put_untyped, leaf) = rc;
        return coil_leave(task, leaf);
    }
    coil_exchange *waiting = coil_push(task, sizeof(*waiting));
    waiting->item = arguments->item;
    return coil_waiter_suspend(&waiting->waiter, &arguments->queue->putters, task, leaf);
}

static coil_turn get_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    const struct coil_queue_get_untyped__args *arguments =
            coil_arguments(coil_queue_get_untyped, leaf);
    int rc = coil_queue_try_get_untyped(arguments->queue, arguments->out_item);
    if (rc != -EAGAIN) {
        coil_result(coil_queue_get_untyped, leaf) = rc;
        return coil_leave(task, leaf);
    }
    coil_exchange *waiting = coil_push(task, sizeof(*waiting));
    waiting->out_item = arguments->out_item;
    return coil_waiter_suspend(&waiting->waiter, &arguments->queue->getters, task, leaf);
}

static coil_turn join_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_queue *queue = coil_arguments(coil_queue_join_untyped, leaf)->queue;
    if (queue->count == 0 && queue->out_count == 0) {
        coil_result(coil_queue_join_untyped, leaf) = 0;
        return coil_leave(task, leaf);
    }
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &queue->joiners, task, leaf);
}

coil_define_leaf(coil_queue_put_untyped, put_step, coil_waiter_cancel);
coil_define_leaf(coil_queue_get_untyped, get_step, coil_waiter_cancel);
coil_define_leaf(coil_queue_join_untyped, join_step, coil_waiter_cancel);

/* ------------------------------------------------------------------------- cases of a select -- */

static bool may_put(const coil_select_case *what)
{
    const coil_queue *queue = coil_container_of(what->waiters, coil_queue, putters);
    return queue->closed || queue->count < queue->capacity_count;
}

static int put_now(const coil_select_case *what)
{
    coil_queue *queue = coil_container_of(what->waiters, coil_queue, putters);
    return coil_queue_try_put_untyped(queue, what->item);
}

static bool may_get(const coil_select_case *what)
{
    const coil_queue *queue = coil_container_of(what->waiters, coil_queue, getters);
    return queue->closed || queue->count > 0;
}

static int get_now(const coil_select_case *what)
{
    coil_queue *queue = coil_container_of(what->waiters, coil_queue, getters);
    return coil_queue_try_get_untyped(queue, what->out_item);
}

const coil_select_kind coil_queue_putting = {may_put, put_now};
const coil_select_kind coil_queue_getting = {may_get, get_now};
