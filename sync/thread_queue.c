/* SPDX-License-Identifier: MIT */
#include <coil/thread_queue.h>

#include "thread_waiter.h"

#include <coil/check.h>

#include <errno.h>
#include <string.h>

typedef struct putter {
    thread_waiter waiter;
    const void *item;
} putter;

typedef struct getter {
    thread_waiter waiter;
    void *out_item;
} getter;

static void lock(coil_thread_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
}

static void unlock(coil_thread_queue *queue)
{
    (void)pthread_mutex_unlock(&queue->lock);
}

/* The queue may be gone when this returns. */
static void unlock_and_wake(coil_thread_queue *queue, thread_waiters *granted)
{
    unlock(queue);
    thread_waiters_wake(granted);
}

void coil_thread_queue_init_untyped(
        coil_thread_queue *queue, void *storage, size_t item_bytes, size_t capacity_count)
{
    COIL_CHECK(storage != NULL);
    COIL_CHECK(capacity_count > 0);
    *queue = (coil_thread_queue){
            .capacity_count = capacity_count,
            .item_bytes = item_bytes,
            .slots = storage,
    };
    (void)pthread_mutex_init(&queue->lock, NULL);
    coil_list_init(&queue->putters);
    coil_list_init(&queue->getters);
    coil_list_init(&queue->joiners);
}

void coil_thread_queue_fini_untyped(coil_thread_queue *queue)
{
    COIL_CHECK(coil_list_empty(&queue->putters));
    COIL_CHECK(coil_list_empty(&queue->getters));
    COIL_CHECK(coil_list_empty(&queue->joiners));
    (void)pthread_mutex_destroy(&queue->lock);
}

size_t coil_thread_queue_count_untyped(coil_thread_queue *queue)
{
    lock(queue);
    const size_t count = queue->count;
    unlock(queue);
    return count;
}

/* ---------------------------------------------------------- the ring of slots, with the lock -- */

static void append(coil_thread_queue *queue, const void *item)
{
    size_t slot = queue->first + queue->count;

    if (slot >= queue->capacity_count)
        slot -= queue->capacity_count;
    memcpy(queue->slots + slot * queue->item_bytes, item, queue->item_bytes);
    queue->count++;
}

static void take_first(coil_thread_queue *queue, void *out_item)
{
    memcpy(out_item, queue->slots + queue->first * queue->item_bytes, queue->item_bytes);
    queue->count--;
    queue->first++;
    if (queue->first == queue->capacity_count)
        queue->first = 0;
}

static int put(coil_thread_queue *queue, const void *item, thread_waiters *granted)
{
    if (queue->closed)
        return -EPIPE;

    thread_waiter *waiter = thread_waiter_first(&queue->getters);
    if (waiter == NULL && queue->count == queue->capacity_count)
        return -EAGAIN;
    queue->unfinished_count++;
    if (waiter == NULL) {
        append(queue, item);
        return 0;
    }
    COIL_CHECK(queue->count == 0); /* Else the item would overtake others. */
    memcpy(coil_container_of(waiter, getter, waiter)->out_item, item, queue->item_bytes);
    thread_waiter_grant(waiter, 0, granted);
    return 0;
}

static int get(coil_thread_queue *queue, void *out_item, thread_waiters *granted)
{
    if (queue->count == 0)
        return queue->closed ? -EPIPE : -EAGAIN;
    take_first(queue, out_item);

    /* The room goes to the one who has waited longest for it, before anybody else can take it. */
    thread_waiter *waiter = thread_waiter_first(&queue->putters);
    if (waiter != NULL) {
        append(queue, coil_container_of(waiter, putter, waiter)->item);
        queue->unfinished_count++;
        thread_waiter_grant(waiter, 0, granted);
    }
    return 0;
}

/* ------------------------------------------------------------------------------ for everyone -- */

int coil_thread_queue_try_put_untyped(coil_thread_queue *queue, const void *item)
{
    thread_waiters granted = {0};
    lock(queue);
    int rc = put(queue, item, &granted);
    unlock_and_wake(queue, &granted);
    return rc;
}

int coil_thread_queue_try_get_untyped(coil_thread_queue *queue, void *out_item)
{
    thread_waiters granted = {0};
    lock(queue);
    int rc = get(queue, out_item, &granted);
    unlock_and_wake(queue, &granted);
    return rc;
}

void coil_thread_queue_task_done_untyped(coil_thread_queue *queue)
{
    thread_waiters granted = {0};
    lock(queue);
    COIL_CHECK(queue->unfinished_count > 0);
    queue->unfinished_count--;
    if (queue->unfinished_count == 0)
        thread_waiter_grant_all(&queue->joiners, 0, &granted);
    unlock_and_wake(queue, &granted);
}

static void close(coil_thread_queue *queue, thread_waiters *granted)
{
    queue->closed = true;
    thread_waiter_grant_all(&queue->putters, -EPIPE, granted);
    thread_waiter_grant_all(&queue->getters, -EPIPE, granted);
}

void coil_thread_queue_close_untyped(coil_thread_queue *queue)
{
    thread_waiters granted = {0};
    lock(queue);
    close(queue, &granted);
    unlock_and_wake(queue, &granted);
}

void coil_thread_queue_abort_untyped(coil_thread_queue *queue)
{
    thread_waiters granted = {0};
    lock(queue);
    close(queue, &granted);
    if (!queue->aborted)
        queue->unfinished_count -= queue->count;
    queue->aborted = true;
    if (queue->unfinished_count == 0)
        thread_waiter_grant_all(&queue->joiners, 0, &granted);
    unlock_and_wake(queue, &granted);
}

/* ------------------------------------------------------------------------------- for threads -- */

int coil_thread_queue_put_blocking_untyped(
        coil_thread_queue *queue, const void *item, coil_duration limit)
{
    thread_waiters granted = {0};
    putter waiting = {.item = item};

    thread_waiter_check_thread();
    lock(queue);
    int rc = put(queue, item, &granted);
    if (rc == -EAGAIN)
        return thread_waiter_wait(&waiting.waiter, &queue->lock, &queue->putters, limit);
    unlock_and_wake(queue, &granted);
    return rc;
}

int coil_thread_queue_get_blocking_untyped(
        coil_thread_queue *queue, void *out_item, coil_duration limit)
{
    thread_waiters granted = {0};
    getter waiting = {.out_item = out_item};

    thread_waiter_check_thread();
    lock(queue);
    int rc = queue->aborted ? -EPIPE : get(queue, out_item, &granted);
    if (rc == -EAGAIN)
        return thread_waiter_wait(&waiting.waiter, &queue->lock, &queue->getters, limit);
    unlock_and_wake(queue, &granted);
    return rc;
}

int coil_thread_queue_join_blocking_untyped(coil_thread_queue *queue, coil_duration limit)
{
    thread_waiter waiting;

    thread_waiter_check_thread();
    lock(queue);
    if (queue->unfinished_count > 0)
        return thread_waiter_wait(&waiting, &queue->lock, &queue->joiners, limit);
    unlock(queue);
    return 0;
}

/* --------------------------------------------------------------------------------- for tasks -- */

static coil_turn put_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_thread_queue_put_untyped__args *arguments =
            coil_arguments(coil_thread_queue_put_untyped, leaf);
    coil_thread_queue *queue = arguments->queue;
    thread_waiters granted = {0};

    if (leaf->at != NULL)
        return thread_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    lock(queue);
    int rc = put(queue, arguments->item, &granted);
    if (rc == -EAGAIN) {
        putter *waiting = coil_push(task, sizeof(*waiting));
        waiting->item = arguments->item;
        return thread_waiter_suspend(&waiting->waiter, &queue->lock, &queue->putters, task, leaf);
    }
    unlock_and_wake(queue, &granted);
    coil_result(coil_thread_queue_put_untyped, leaf) = rc;
    return coil_leave(task, leaf);
}

static coil_turn get_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_thread_queue_get_untyped__args *arguments =
            coil_arguments(coil_thread_queue_get_untyped, leaf);
    coil_thread_queue *queue = arguments->queue;
    thread_waiters granted = {0};

    if (leaf->at != NULL)
        return thread_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    lock(queue);
    int rc = queue->aborted ? -EPIPE : get(queue, arguments->out_item, &granted);
    if (rc == -EAGAIN) {
        getter *waiting = coil_push(task, sizeof(*waiting));
        waiting->out_item = arguments->out_item;
        return thread_waiter_suspend(&waiting->waiter, &queue->lock, &queue->getters, task, leaf);
    }
    unlock_and_wake(queue, &granted);
    coil_result(coil_thread_queue_get_untyped, leaf) = rc;
    return coil_leave(task, leaf);
}

static coil_turn join_step(coil_task *task, coil_frame *leaf)
{
    coil_thread_queue *queue = coil_arguments(coil_thread_queue_join_untyped, leaf)->queue;

    if (leaf->at != NULL)
        return thread_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    lock(queue);
    if (queue->unfinished_count > 0) {
        return thread_waiter_suspend(
                coil_push(task, sizeof(thread_waiter)), &queue->lock, &queue->joiners, task, leaf);
    }
    unlock(queue);
    coil_result(coil_thread_queue_join_untyped, leaf) = 0;
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_thread_queue_put_untyped, put_step, thread_waiter_cancel);
coil_define_leaf(coil_thread_queue_get_untyped, get_step, thread_waiter_cancel);
coil_define_leaf(coil_thread_queue_join_untyped, join_step, thread_waiter_cancel);
