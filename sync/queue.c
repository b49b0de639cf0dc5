/* SPDX-License-Identifier: MIT */
#include <coil/queue.h>

#include <coil/check.h>
#include <coil/select.h>
#include <coil/waiter.h>

#include <errno.h>
#include <string.h>

void coil_queue_init_untyped(
        coil_queue *queue, void *storage, size_t item_bytes, size_t capacity_count)
{
    COIL_CHECK(storage != NULL);
    COIL_CHECK(capacity_count > 0);
    *queue = (coil_queue){
            .capacity_count = capacity_count,
            .item_bytes = item_bytes,
            .slots = storage,
    };
    coil_list_init(&queue->putters);
    coil_list_init(&queue->getters);
}

void coil_queue_fini_untyped(coil_queue *queue)
{
    COIL_CHECK(coil_list_empty(&queue->putters));
    COIL_CHECK(coil_list_empty(&queue->getters));
}

void coil_queue_close_untyped(coil_queue *queue)
{
    coil_waiter *waiter;

    queue->closed = true;
    while ((waiter = coil_waiter_first(&queue->putters)) != NULL)
        coil_select_grant(waiter, -EPIPE);
    while ((waiter = coil_waiter_first(&queue->getters)) != NULL)
        coil_select_grant(waiter, -EPIPE);
}

/* ------------------------------------------------------------------------- the ring of slots -- */

static void append(coil_queue *queue, const void *item)
{
    size_t slot = queue->first + queue->count;

    if (slot >= queue->capacity_count)
        slot -= queue->capacity_count;
    memcpy(queue->slots + slot * queue->item_bytes, item, queue->item_bytes);
    queue->count++;
}

static void take_first(coil_queue *queue, void *out_item)
{
    memcpy(out_item, queue->slots + queue->first * queue->item_bytes, queue->item_bytes);
    queue->count--;
    queue->first++;
    if (queue->first == queue->capacity_count)
        queue->first = 0;
}

/* ------------------------------------------------------------------------------ put and get -- */

int coil_queue_try_put_untyped(coil_queue *queue, const void *item)
{
    if (queue->closed)
        return -EPIPE;

    coil_waiter *waiter = coil_waiter_first(&queue->getters);
    if (waiter != NULL) {
        COIL_CHECK(queue->count == 0); /* Else the item would overtake others. */
        memcpy(coil_exchange_of(waiter)->out_item, item, queue->item_bytes);
        coil_select_grant(waiter, 0);
        return 0;
    }
    if (queue->count == queue->capacity_count)
        return -EAGAIN;
    append(queue, item);
    return 0;
}

int coil_queue_try_get_untyped(coil_queue *queue, void *out_item)
{
    if (queue->count == 0)
        return queue->closed ? -EPIPE : -EAGAIN;
    take_first(queue, out_item);

    /* The room goes to the one who has waited longest for it, before anybody else can take it. */
    coil_waiter *waiter = coil_waiter_first(&queue->putters);
    if (waiter != NULL) {
        append(queue, coil_exchange_of(waiter)->item);
        coil_select_grant(waiter, 0);
    }
    return 0;
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

coil_define_leaf(coil_queue_put_untyped, put_step, coil_waiter_cancel);
coil_define_leaf(coil_queue_get_untyped, get_step, coil_waiter_cancel);

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
