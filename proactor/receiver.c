/* SPDX-License-Identifier: MIT */
#include <coil/receiver.h>

#include "pool.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

enum {
    FIRST_CAPACITY = 4,
    SINGLE_BYTES = 4096, /* Of a receive without the pool. */
    LIMIT_COUNT = 64,    /* Slices in the queue, whatever their size. */
};

typedef enum stream_end { STREAM_OPEN, STREAM_ENDED } stream_end;

struct coil_receiver {
    coil_op op;
    int fd;
    coil_receive how;
    bool one_shot; /* Multishot does not work on this descriptor. */
    bool closing;
    stream_end end;
    int error;        /* ENDED: 0 for the end of the stream. */
    coil_buffer *own; /* Of a single receive in flight. */
    coil_task *waiter;
    coil_slice *queue; /* A ring of `capacity`, a power of two. */
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
    int64_t queued_bytes;
    coil_slice first_slices[FIRST_CAPACITY];
};

/* ---------------------------------------------------------------------------------- queue -- */

static coil_slice *nth(coil_receiver *receiver, uint32_t n)
{
    return &receiver->queue[(receiver->first + n) & (receiver->capacity - 1)];
}

static bool grow(coil_receiver *receiver)
{
    COIL_CHECK(receiver->capacity > 0);
    coil_slice *larger = malloc(2 * sizeof(*larger) * receiver->capacity);
    if (larger == NULL)
        return false;
    for (uint32_t i = 0; i < receiver->count; i++)
        larger[i] = *nth(receiver, i);
    if (receiver->queue != receiver->first_slices)
        free(receiver->queue);
    receiver->queue = larger;
    receiver->capacity *= 2;
    receiver->first = 0;
    return true;
}

/* Bytes that continue the last slice, in the same buffer, are made part of it. */
static bool joined(coil_receiver *receiver, const coil_slice *slice)
{
    if (receiver->count == 0)
        return false;
    coil_slice *last = nth(receiver, receiver->count - 1);
    if (!coil_slice_continues(last, slice))
        return false;
    last->size_bytes += slice->size_bytes;
    slice->buffer->slice_count--;
    return true;
}

/* The first reason counts. */
static void end_stream(coil_receiver *receiver, int32_t result)
{
    if (receiver->end == STREAM_ENDED)
        return;
    receiver->end = STREAM_ENDED;
    receiver->error = result;
}

static void enqueue(coil_receiver *receiver, coil_slice slice)
{
    if (coil_unlikely(receiver->end == STREAM_ENDED)) {
        coil_slice_release(&slice); /* It lies behind a gap. */
        return;
    }
    receiver->queued_bytes += slice.size_bytes;
    if (joined(receiver, &slice))
        return;
    if (receiver->count == receiver->capacity && !grow(receiver)) {
        /* Bytes are lost, so the stream ends here. */
        receiver->queued_bytes -= slice.size_bytes;
        end_stream(receiver, -ENOMEM);
        op_cancel(&receiver->op);
        coil_slice_release(&slice);
        return;
    }
    receiver->count++;
    *nth(receiver, receiver->count - 1) = slice;
}

static coil_slice dequeue(coil_receiver *receiver)
{
    if (receiver->count == 0)
        return (coil_slice){receiver->error, NULL, NULL};
    coil_slice slice = *nth(receiver, 0);
    receiver->first = (receiver->first + 1) & (receiver->capacity - 1);
    receiver->count--;
    receiver->queued_bytes -= slice.size_bytes;
    return slice;
}

/* ------------------------------------------------------------------------------ operations -- */

static coil_receiver *owner_of(coil_op *op)
{
    return coil_container_of(op, coil_receiver, op);
}

static void multishot_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    if (receiver->how == COIL_RECEIVE_SOCKET) {
        io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
    } else {
        io_uring_prep_read_multishot(sqe, 0, 0, (uint64_t)-1, POOL_GROUP);
    }
    op_set_fd(sqe, receiver->fd);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = POOL_GROUP;
}

static void single_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    coil_buffer *own = receiver->own;
    if (receiver->how == COIL_RECEIVE_SOCKET) {
        io_uring_prep_recv(sqe, 0, own->bytes, SINGLE_BYTES, 0);
    } else {
        io_uring_prep_read(sqe, 0, own->bytes, SINGLE_BYTES, (uint64_t)-1);
    }
    op_set_fd(sqe, receiver->fd);
}

static void destroy(coil_receiver *receiver)
{
    coil_close_later(receiver->op.loop, receiver->fd);
    if (receiver->queue != receiver->first_slices)
        free(receiver->queue);
    free(receiver);
}

static void arm(coil_receiver *receiver);

/* After each completion: tell the waiter, go on, pause, or leave. */
static void settle(coil_receiver *receiver)
{
    if (receiver->closing) {
        while (receiver->count > 0) {
            coil_slice slice = dequeue(receiver);
            coil_slice_release(&slice);
        }
        if (!op_pending(&receiver->op))
            destroy(receiver);
        return;
    }
    if (receiver->waiter != NULL) {
        if (receiver->count > 0 || receiver->end == STREAM_ENDED) {
            coil_task_wake(receiver->waiter);
        } else if (!op_pending(&receiver->op)) {
            arm(receiver);
        }
    } else if (receiver->queued_bytes > COIL_RECEIVER_LIMIT_BYTES ||
               receiver->count > LIMIT_COUNT) {
        op_cancel(&receiver->op);
    }
}

static void multishot_complete(coil_op *op, int32_t result, uint32_t flags)
{
    coil_receiver *receiver = owner_of(op);

    if (flags & IORING_CQE_F_BUFFER) {
        coil_slice slice = buffer_pool_take(op->loop->buffers, result > 0 ? result : 0, flags);
        if (result > 0) {
            enqueue(receiver, slice);
        } else {
            coil_slice_release(&slice);
        }
    }
    if (result == -ENOBUFS) {
        op->loop->stats.buffer_waits++; /* The next one brings its own. */
    } else if (result == -EBADFD || result == -EINVAL || result == -EOPNOTSUPP) {
        receiver->one_shot = true;
    } else if (result <= 0 && result != -ECANCELED && result != -EINTR) {
        end_stream(receiver, result);
    }
    settle(receiver);
}

static void single_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_receiver *receiver = owner_of(op);
    coil_buffer *own = receiver->own;

    receiver->own = NULL;
    if (result > 0) {
        own->slice_count = 1;
        own->used_bytes = (size_t)result;
        enqueue(receiver, (coil_slice){result, own->bytes, own});
    } else {
        buffer_put(own);
        if (result != -ECANCELED && result != -EINTR)
            end_stream(receiver, result);
    }
    settle(receiver);
}

static const op_kind multishot_kind = {
        .name = "receive", .prepare = multishot_prepare, .complete = multishot_complete};
static const op_kind single_kind = {
        .name = "receive one", .prepare = single_prepare, .complete = single_complete};

static void arm(coil_receiver *receiver)
{
    coil_op *op = &receiver->op;
    buffer_pool *pool = loop_buffers(op->loop);

    if (!receiver->one_shot && pool != NULL && buffer_pool_ready(pool)) {
        op->kind = &multishot_kind;
        op_start(op);
        return;
    }
    receiver->own = private_buffer_create(SINGLE_BYTES);
    if (receiver->own == NULL) {
        end_stream(receiver, -ENOMEM);
        if (receiver->waiter != NULL)
            coil_task_wake(receiver->waiter);
        return;
    }
    op->kind = &single_kind;
    op_start(op);
}

/* ------------------------------------------------------------------------------------ API -- */

/* Multishot read of the master of a terminal goes on waiting when the other side hangs up. */
static bool misses_hangup(int fd, coil_receive how)
{
    return how == COIL_RECEIVE_READ && !coil_fd_is_direct(fd) && coil_kernel_is_device(fd) == 1;
}

int coil_receiver_create(coil_loop *loop, int fd, coil_receive how, coil_receiver **out_receiver)
{
    coil_receiver *receiver = calloc(1, sizeof(*receiver));
    if (receiver == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    op_init(&receiver->op, &multishot_kind, loop);
    receiver->fd = fd;
    receiver->how = how;
    receiver->one_shot = misses_hangup(fd, how);
    receiver->queue = receiver->first_slices;
    receiver->capacity = FIRST_CAPACITY;
    *out_receiver = receiver;
    return 0;
}

int64_t coil_receiver_queued(const coil_receiver *receiver)
{
    return receiver->queued_bytes;
}

void coil_receiver_close(coil_receiver *receiver)
{
    if (receiver == NULL)
        return;
    COIL_CHECK(receiver->waiter == NULL);
    receiver->closing = true;
    if (op_pending(&receiver->op)) {
        op_cancel(&receiver->op);
    } else {
        settle(receiver);
    }
}

static coil_turn next_step(coil_task *task, coil_frame *leaf)
{
    coil_receiver *receiver = coil_arguments(coil_receiver_next, leaf)->receiver;

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    COIL_CHECK(receiver->waiter == NULL || receiver->waiter == task); /* One at a time. */
    receiver->waiter = NULL;
    if (receiver->count > 0 || receiver->end == STREAM_ENDED) {
        coil_result(coil_receiver_next, leaf) = dequeue(receiver);
        return coil_leave(task, leaf);
    }
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);

    receiver->waiter = task;
    if (!op_pending(&receiver->op))
        arm(receiver);
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_receiver_next, next_step, coil_leaf_wake);
