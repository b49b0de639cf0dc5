/* SPDX-License-Identifier: MIT */
#include <coil/receiver.h>

#include "receiver_private.h"

#include "layer_private.h"
#include "rights.h"

#include <coil/io.h>
#include <coil/kernel.h>

enum { LIMIT_COUNT = 64 /* Slices in the queue, whatever their size. */ };

/* ------------------------------------------------------------------------------- lifecycle -- */

/*
 * Multishot read of the master of a terminal, or of a FIFO that has a name, goes on waiting when
 * the other side hangs up: it asks for POLLIN, and there is only POLLHUP.
 */
static bool misses_hangup(int fd, coil_transport transport)
{
    return transport == COIL_TRANSPORT_FILE && !coil_fd_is_direct(fd) &&
           (coil_kernel_is_device(fd) == 1 || coil_kernel_is_fifo(fd) == 1);
}

int coil_receiver_create(
        coil_loop *loop, int fd, coil_transport transport, coil_receiver **out_receiver)
{
    coil_receiver *receiver = coil_sched_allocate(&loop->sched, sizeof(*receiver));
    if (receiver == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    *receiver = (coil_receiver){.state = BY_RING};
    coil_sender_init(&receiver->head.sender, fd, transport);
    if (misses_hangup(fd, transport))
        receiver_set(receiver, LACKS_MULTISHOT);
    if (receiver->head.sender.sends_at_once)
        receiver_set(receiver, CAN_INLINE);
    if (loop->debug != NULL)
        receiver_set(receiver, WATCHED);
    op_init(&receiver->op, &receiver_ring_kind, loop);
    *out_receiver = receiver;
    return 0;
}

coil_receiver *receiver_create_layered(struct coil_layering *layering, coil_receiver *below)
{
    coil_sched *sched = receiver_sched(below);
    coil_receiver *above = coil_sched_allocate(sched, sizeof(*above));
    if (above == NULL)
        return NULL;
    *above = (coil_receiver){.state = BY_RING | LAYERED};
    coil_sender_init(&above->head.sender, receiver_fd_of(below), coil_receiver_transport(below));
    above->head.sender.sends_at_once = false;
    op_init(&above->op, &receiver_ring_kind, below->op.loop);
    coil_extras *extras = extras_of(&above->head.sender, sched);
    if (extras == NULL) {
        coil_sched_release(sched, above, sizeof(*above));
        return NULL;
    }
    extras->layering = layering;
    above->head.sender.is_layered = true;
    return above;
}

/*
 * A socket has nothing to write back: the ring, too, would close it on this very thread, with an
 * entry, a completion and task work on top. Other files may take a while, or a worker thread.
 */
static void close_fd(coil_receiver *receiver)
{
    if (receiver_is(receiver, CAN_INLINE)) {
        (void)coil_kernel_close(receiver_fd_of(receiver));
    } else {
        coil_close_later(receiver->op.loop, receiver_fd_of(receiver));
    }
}

/* It does not receive by itself any more. */
static void release_extras(coil_receiver *receiver)
{
    coil_extras *extras = receiver->head.sender.extras;
    if (coil_likely(extras == NULL))
        return;
    extras->is_kept = false;
    if (receiver_is(receiver, CLOSING)) {
        rights_destroy(extras->rights);
        extras->rights = NULL;
    }
    receiver_review_extras(receiver);
}

/* What is under way through the layer is cancelled; then it closes what it stands on. */
static COIL_COLD void close_layering(coil_receiver *receiver)
{
    coil_extras *extras = receiver->head.sender.extras;
    struct coil_layering *layering = extras->layering;
    extras->layering = NULL;
    layering_close(layering);
}

static void destroy(coil_receiver *receiver)
{
    coil_loop *loop = receiver->op.loop;
    idle_delist(&loop->idle, &receiver->idle);
    if (coil_unlikely(receiver_is(receiver, LAYERED))) {
        close_layering(receiver);
    } else {
        close_fd(receiver);
    }
    release_extras(receiver);
    COIL_CHECK(receiver->head.sender.extras == NULL); /* Else somebody is still writing. */
    coil_sched_release(&loop->sched, receiver, sizeof(*receiver));
}

void coil_receiver_close(coil_receiver *receiver)
{
    if (receiver == NULL)
        return;
    COIL_CHECK(receiver->op.task == NULL);
    receiver_set(receiver, CLOSING);
    if (op_pending(&receiver->op)) {
        op_cancel(&receiver->op);
    } else {
        receiver_settle(receiver);
    }
}

/* ---------------------------------------------------------------------------- what there is -- */

bool receiver_is_waited_for(const coil_receiver *receiver)
{
    return receiver->op.task != NULL;
}

int64_t coil_receiver_queued(const coil_receiver *receiver)
{
    return receiver->front.size_bytes + slice_queue_bytes(receiver_queue(receiver));
}

int64_t coil_receiver_in_front(const coil_receiver *receiver)
{
    return receiver->front.size_bytes;
}

int coil_receiver_fd(const coil_receiver *receiver)
{
    return receiver_fd_of(receiver);
}

coil_transport coil_receiver_transport(const coil_receiver *receiver)
{
    return receiver_is_socket(receiver) ? COIL_TRANSPORT_SOCKET : COIL_TRANSPORT_FILE;
}

/* ------------------------------------------------------------------------------- under way -- */

static void arm(coil_receiver *receiver)
{
    if (coil_unlikely(receiver_is(receiver, LAYERED))) {
        coil_layer_wait(coil_layer_of(receiver), receiver->op.task);
        return;
    }
    if (!receiver_change_way(receiver, receiver_choose_way(receiver)))
        (void)receiver_change_way(receiver, SINGLE);
    if (receiver_way_of(receiver) != BY_US)
        release_extras(receiver);
    switch (receiver_way_of(receiver)) {
    case BY_RING:
        idle_enlist(&receiver->op.loop->idle, &receiver->idle);
        receiver_start(receiver, &receiver_ring_kind);
        break;
    case BY_US:
    case PARKED:
        receiver_start(receiver, &receiver_poll_kind);
        break;
    case SINGLE:
        receiver_start_single(receiver);
        break;
    }
}

static bool has_news(const coil_receiver *receiver)
{
    return receiver->front.size_bytes > 0 ||
           receiver_is(receiver, ENDED | READABLE | QUEUED | PAUSING);
}

static bool is_full(const coil_receiver *receiver)
{
    return coil_receiver_queued(receiver) > COIL_RECEIVER_LIMIT_BYTES ||
           slice_queue_count(receiver_queue(receiver)) >= LIMIT_COUNT;
}

void receiver_settle(coil_receiver *receiver)
{
    if (coil_unlikely(receiver_is(receiver, CLOSING))) {
        receiver_drop_all(receiver);
        if (!op_pending(&receiver->op))
            destroy(receiver);
        return;
    }
    if (coil_likely(receiver->op.task != NULL)) {
        if (coil_likely(has_news(receiver))) {
            coil_task_wake(receiver->op.task);
        } else if (!op_pending(&receiver->op)) {
            arm(receiver);
        }
    } else if (is_full(receiver)) {
        op_cancel(&receiver->op);
    }
}

/* --------------------------------------------------------------------------------- looking -- */

/* Whatever the layer has is put into our own memory, as if we had received it. */
static COIL_NOINLINE int look_into_layer(coil_receiver *receiver, coil_task *task)
{
    coil_layer *layer = coil_layer_of(receiver);
    buffer_pool *pool = loop_buffers(receiver->op.loop);
    int rc = receiver_is(receiver, ENDED) ? receiver->error : layer->kind->look(layer, task);

    if (rc <= 0) {
        if (rc != -EAGAIN)
            receiver_end(receiver, rc);
        return rc;
    }
    /* (Not before: to look may have filled the hot one, or made it another.) */
    coil_buffer *buffer = pool != NULL ? buffer_pool_hot(pool) : NULL;
    if (buffer == NULL) {
        receiver_end(receiver, -ENOMEM);
        return -ENOMEM;
    }
    size_t count = layer->kind->take(
            layer, buffer->bytes + buffer->used_bytes, buffer->size_bytes - buffer->used_bytes);
    receiver_enqueue(receiver, buffer_fill(buffer, (int64_t)count));
    return 1;
}

/* Bytes behind the front, if there are any, as coil_receiver_look() has it. */
static inline int look_behind(coil_receiver *receiver, coil_task *task)
{
    if (coil_unlikely(receiver_is(receiver, QUEUED | LAYERED)))
        return receiver_is(receiver, QUEUED) ? 1 : look_into_layer(receiver, task);
    if (receiver_may_receive(receiver) && receiver_receive_now(receiver))
        return 1;
    return receiver_is(receiver, ENDED) ? receiver->error : -EAGAIN;
}

/* `task` does not wait any more. One at a time may. */
static void end_wait(coil_receiver *receiver, const coil_task *task)
{
    const coil_task *waiter = receiver->op.task;
    COIL_CHECK(waiter == NULL || waiter == task);
    receiver->op.task = NULL;
}

static inline int look(coil_receiver *receiver, coil_task *task)
{
    end_wait(receiver, task);
    if (coil_likely(receiver->front.size_bytes > 0))
        return 1;
    receiver_advance(receiver);
    return receiver->front.size_bytes > 0 ? 1 : look_behind(receiver, task);
}

int coil_receiver_look(coil_receiver *receiver, coil_task *task)
{
    return look(receiver, task);
}

coil_slice *coil_receiver_front(coil_receiver *receiver)
{
    return &receiver->front;
}

int coil_receiver_extend(coil_receiver *receiver, coil_task *task)
{
    end_wait(receiver, task);
    int64_t before_bytes = receiver->front.size_bytes;
    int rc = look_behind(receiver, task);
    if (rc <= 0 || receiver->front.size_bytes > before_bytes)
        return rc; /* (What was received now may have been joined.) */
    coil_slice front = coil_slice_take(&receiver->front);
    receiver_advance(receiver);
    rc = coil_slice_append(&front, &receiver->front);
    receiver->front = front;
    if (rc < 0)
        coil_receiver_fail(receiver, rc);
    return rc < 0 ? rc : 1;
}

/* Who waits for a layer waits for everything below it. */
static COIL_COLD void end_wait_for_layers(coil_receiver *receiver)
{
    coil_task *waiter = receiver->op.task;
    if (waiter == NULL)
        return;
    receiver->op.task = NULL;
    while (receiver_is(receiver, LAYERED)) {
        receiver = coil_layer_of(receiver)->below;
        end_wait(receiver, waiter);
    }
    coil_task_wake(waiter);
}

void coil_receiver_fail(coil_receiver *receiver, int error)
{
    receiver_unset(receiver, ENDED); /* Whatever has ended it: this comes before. */
    receiver_end(receiver, error);
    if (receiver_is(receiver, QUEUED)) {
        coil_slice front = coil_slice_take(&receiver->front);
        receiver_drop_all(receiver);
        receiver->front = front;
    }
    if (coil_unlikely(receiver_is(receiver, LAYERED))) {
        end_wait_for_layers(receiver);
    } else {
        op_cancel(&receiver->op);
    }
}

void coil_receiver_refresh(coil_receiver *receiver)
{
    while (receiver_is(receiver, LAYERED))
        receiver = coil_layer_of(receiver)->below;
    const bool is_under_way = op_pending(&receiver->op) && receiver->op.kind != &receiver_poll_kind;
    if (receiver_is(receiver, CAN_INLINE) && !is_under_way &&
            loop_buffers(receiver->op.loop) != NULL)
        receiver_set(receiver, READABLE);
}

void coil_receiver_wait(coil_receiver *receiver, coil_task *task)
{
    receiver->op.task = task;
    if (coil_unlikely(receiver->front.size_bytes > 0))
        slice_move_small(&receiver->front); /* Nobody knows for how long it will stay. */
    if (coil_unlikely(receiver_may_receive(receiver))) {
        coil_task_wake_later(task); /* It has had its turn. */
    } else if (coil_unlikely(!op_pending(&receiver->op))) {
        arm(receiver);
    } else if (coil_unlikely(receiver_way_of(receiver) == BY_US &&
                             receiver->op.kind == &receiver_poll_kind && !receiver->op.cancelled &&
                             receiver_may_return_to_ring(receiver, receiver->op.loop->buffers))) {
        (void)receiver_change_way(receiver, BY_RING);
        op_cancel(&receiver->op);
    }
}

/* ---------------------------------------------------------------------------------- pauses -- */

static coil_turn pause_step(coil_task *task, coil_frame *leaf)
{
    coil_receiver *receiver = coil_arguments(coil_receiver_pause, leaf)->receiver;

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    end_wait(receiver, task);
    receiver_unset(receiver, PAUSING);
    if (!op_pending(&receiver->op)) {
        coil_result(coil_receiver_pause, leaf) = 0;
        return coil_leave(task, leaf);
    }
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);
    receiver_set(receiver, PAUSING);
    receiver->op.task = task;
    op_cancel(&receiver->op);
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_receiver_pause, pause_step, coil_leaf_wake);

/* --------------------------------------------------------------------------- descriptors -- */

int coil_receiver_carry_fds(coil_receiver *receiver)
{
    if (!receiver_is_socket(receiver) || receiver_is(receiver, LAYERED))
        return -EOPNOTSUPP;
    if (op_pending(&receiver->op) || receiver_way_of(receiver) != BY_RING)
        return -EBUSY;
    coil_extras *extras = receiver_extras(receiver);
    if (extras == NULL)
        return -ENOMEM;
    if (extras->rights == NULL)
        extras->rights = rights_create();
    if (extras->rights == NULL) {
        receiver_review_extras(receiver);
        return -ENOMEM;
    }
    receiver_set(receiver, LACKS_MULTISHOT); /* And nobody receives but by recvmsg(2). */
    receiver_unset(receiver, CAN_INLINE);
    return 0;
}

int coil_receiver_take_fd(coil_receiver *receiver)
{
    const coil_extras *extras = receiver->head.sender.extras;
    return extras == NULL || extras->rights == NULL ? -EAGAIN : rights_take(extras->rights);
}

/* ---------------------------------------------------------------------------- as an await -- */

static inline void take_front(coil_receiver *receiver, coil_slice *out_slice)
{
    receiver->head.taken_bytes += (uint64_t)receiver->front.size_bytes;
    *out_slice = coil_slice_take(&receiver->front);
}

static inline coil_turn leave_with_front(
        coil_task *task, coil_frame *leaf, coil_receiver *receiver, coil_slice *out_slice)
{
    take_front(receiver, out_slice);
    return coil_leave(task, leaf);
}

/* Bytes, or why there will be none. False: nothing has come yet. */
static inline bool take_what_is_there(
        coil_receiver *receiver, coil_task *task, coil_slice *out_slice)
{
    int rc = look(receiver, task);
    if (rc == -EAGAIN)
        return false;
    if (rc > 0) {
        take_front(receiver, out_slice);
    } else {
        *out_slice = (coil_slice){rc, NULL, NULL};
    }
    return true;
}

static COIL_NOINLINE coil_turn step_slowly(
        coil_task *task, coil_frame *leaf, coil_receiver *receiver, coil_slice *out_slice)
{
    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (take_what_is_there(receiver, task, out_slice))
        return coil_leave(task, leaf);
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);
    coil_receiver_wait(receiver, task);
    return coil_leaf_suspend(leaf);
}

/* Nothing has come, and what brings it is under way: all there is to do is to wait. */
static inline bool has_to_wait(const coil_receiver *receiver)
{
    return receiver->front.buffer == NULL && !receiver_is(receiver, NOT_WAITING) &&
           op_pending(&receiver->op);
}

static_assert(
        offsetof(receiver_leaf, result) == offsetof(struct coil_receiver_next__frame, co__ret) &&
                offsetof(receiver_leaf, receiver) ==
                        offsetof(struct coil_receiver_next__frame, co__a.receiver) &&
                sizeof(receiver_leaf) == sizeof(struct coil_receiver_next__frame),
        "coil_receiver_next() is a receiver_leaf");

COIL_HOT coil_turn coil_receiver_step(coil_task *task, coil_frame *leaf)
{
    receiver_leaf *self = (receiver_leaf *)(void *)leaf;
    coil_receiver *receiver = self->receiver;

    if (leaf->at != NULL) {
        if (coil_likely(receiver->front.size_bytes > 0 && receiver->op.task == task)) {
            receiver->op.task = NULL;
            return leave_with_front(task, leaf, receiver, &self->result);
        }
    } else if (coil_likely(task->request == NULL && receiver->op.task == NULL)) {
        if (receiver->front.size_bytes > 0)
            return leave_with_front(task, leaf, receiver, &self->result);
        if (coil_likely(has_to_wait(receiver))) {
            receiver->op.task = task;
            return coil_leaf_suspend(leaf);
        }
    }
    return step_slowly(task, leaf, receiver, &self->result);
}

static COIL_NOINLINE coil_turn begin_slowly(coil_task *task, coil_frame *leaf)
{
    receiver_leaf *self = (receiver_leaf *)(void *)leaf;
    coil_receiver *receiver = self->receiver;

    if (task->request != NULL)
        return coil_leaf_begin(task, leaf);
    if (take_what_is_there(receiver, task, &self->result))
        return COIL_DONE;
    coil_leaf_enter(task, leaf, sizeof(*self));
    coil_receiver_wait(receiver, task);
    return coil_leaf_suspend(leaf);
}

/* The same for a leaf that is no frame yet, and becomes one if it has to wait. */
COIL_HOT coil_turn coil_receiver_begin(coil_task *task, coil_frame *leaf)
{
    receiver_leaf *self = (receiver_leaf *)(void *)leaf;
    coil_receiver *receiver = self->receiver;

    if (coil_likely(task->request == NULL && receiver->op.task == NULL)) {
        if (receiver->front.size_bytes > 0) {
            take_front(receiver, &self->result);
            return COIL_DONE;
        }
        if (coil_likely(has_to_wait(receiver))) {
            coil_leaf_enter(task, leaf, sizeof(*self));
            receiver->op.task = task;
            return coil_leaf_suspend(leaf);
        }
    }
    return begin_slowly(task, leaf);
}

coil_define_leaf(coil_receiver_next, coil_receiver_step, coil_leaf_wake);
