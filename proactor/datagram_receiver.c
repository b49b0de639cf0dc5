/* SPDX-License-Identifier: MIT */
#include <coil/datagram_receiver.h>

#include "loop_private.h"
#include "pool.h"

#include <coil/io.h>

#include <errno.h>
#include <stdlib.h>

enum { LINE_BYTES = 64, HEAD_ALIGN_BYTES = 8 };

/* What every buffer begins with; the kernel writes it, or receive_complete() does. */
typedef struct io_uring_recvmsg_out arrival_head;

struct coil_datagram_receiver {
    coil_op op;
    int fd;
    int error; /* Told once. */
    coil_task *waiter;
    coil_datagram_shape shape;
    uint32_t head_bytes;   /* Before the payload. */
    uint32_t buffer_bytes; /* With it. */
    bool closing;
    bool is_starved; /* The kernel found no buffer, though there are some. */
    bool has_no_multishot;
    struct msghdr message; /* Of the operation. */
    struct iovec part;
    buffer_pool *pool;    /* Borrowed when somebody first waits. */
    coil_buffer *private; /* Being filled, where the pool cannot serve. */
    uint32_t first;
    uint32_t count;
    coil_slice queue[]; /* A ring: a place for each buffer. */
};

static coil_datagram_receiver *owner_of(coil_op *op)
{
    return coil_container_of(op, coil_datagram_receiver, op);
}

/* ---------------------------------------------------------------------------------- queue -- */

/* There is room: each entry has a buffer of the pool, or is the only one. */
static void enqueue(coil_datagram_receiver *receiver, coil_slice whole)
{
    uint32_t mask = receiver->shape.buffer_count - 1;
    COIL_CHECK(receiver->count <= mask);
    receiver->queue[(receiver->first + receiver->count++) & mask] = whole;
}

static coil_slice dequeue(coil_datagram_receiver *receiver)
{
    coil_slice whole = receiver->queue[receiver->first];
    receiver->first = (receiver->first + 1) & (receiver->shape.buffer_count - 1);
    receiver->count--;
    return whole;
}

static void destroy(coil_datagram_receiver *receiver)
{
    while (receiver->count > 0) {
        coil_slice dropped = dequeue(receiver);
        coil_slice_release(&dropped);
    }
    coil_close_later(receiver->op.loop, receiver->fd);
    if (receiver->pool != NULL)
        buffer_pool_give_back(receiver->pool);
    free(receiver->private);
    free(receiver);
}

/* ------------------------------------------------------------------------------ operations -- */

static void start(coil_datagram_receiver *receiver);

/*
 * After each completion: tell the waiter, go on, or leave. (To the kernel, an empty message is the
 * last of a multishot: it begins anew when somebody waits.)
 */
static void settle(coil_datagram_receiver *receiver)
{
    bool is_pending = op_pending(&receiver->op);
    if (receiver->closing) {
        if (!is_pending)
            destroy(receiver);
    } else if (receiver->waiter != NULL) {
        if (receiver->count > 0 || receiver->error != 0) {
            coil_task_wake(receiver->waiter);
        } else if (!is_pending) {
            start(receiver);
        }
    }
}

/* True if it was one, which is kept for whoever asks next. */
static bool keep_error(coil_datagram_receiver *receiver, int32_t result)
{
    if (result >= 0)
        return false;
    if (result != -ECANCELED && result != -EINTR)
        receiver->error = result;
    return true;
}

static void stream_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_datagram_receiver *receiver = owner_of(op);
    receiver->message = (struct msghdr){
            .msg_namelen = receiver->shape.name_bytes,
            .msg_controllen = receiver->shape.control_bytes,
    };
    /* With MSG_TRUNC the kernel tells how long it was before it was cut. */
    io_uring_prep_recvmsg_multishot(sqe, 0, &receiver->message, MSG_TRUNC);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = receiver->pool->group;
    op_set_fd(sqe, receiver->fd);
}

static void stream_complete(coil_op *op, int32_t result, uint32_t flags)
{
    coil_datagram_receiver *receiver = owner_of(op);
    if (flags & IORING_CQE_F_BUFFER) {
        enqueue(receiver, buffer_pool_take(receiver->pool, result, flags));
    } else if (result == -ENOBUFS) {
        receiver->is_starved = buffer_pool_ready(receiver->pool); /* It was none of ours. */
    } else if (result == -EINVAL) {
        receiver->has_no_multishot = true; /* A receive on its own says whether it is that. */
    } else {
        (void)keep_error(receiver, result);
    }
    settle(receiver);
}

static const op_kind stream_kind = {
        .name = "receive_datagrams", .prepare = stream_prepare, .complete = stream_complete};

/* Into a buffer of its own, which is laid out as the kernel lays out the others. */
static void single_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_datagram_receiver *receiver = owner_of(op);
    const coil_datagram_shape *shape = &receiver->shape;
    char *bytes = receiver->private->bytes;
    receiver->part = (struct iovec){bytes + receiver->head_bytes, shape->payload_bytes};
    receiver->message = (struct msghdr){
            .msg_name = bytes + sizeof(arrival_head),
            .msg_namelen = shape->name_bytes,
            .msg_control = bytes + sizeof(arrival_head) + shape->name_bytes,
            .msg_controllen = shape->control_bytes,
            .msg_iov = &receiver->part,
            .msg_iovlen = 1,
    };
    io_uring_prep_recvmsg(sqe, 0, &receiver->message, MSG_TRUNC);
    op_set_fd(sqe, receiver->fd);
}

static void single_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_datagram_receiver *receiver = owner_of(op);
    if (!keep_error(receiver, result)) {
        uint32_t whole_bytes = (uint32_t)result;
        uint32_t most_bytes = receiver->shape.payload_bytes;
        coil_buffer *buffer = receiver->private;
        receiver->private = NULL;
        *(arrival_head *)(void *)buffer->bytes = (arrival_head){
                .namelen = receiver->message.msg_namelen,
                .controllen = (uint32_t)receiver->message.msg_controllen,
                .payloadlen = whole_bytes,
                .flags = (uint32_t)receiver->message.msg_flags,
        };
        uint32_t got_bytes = whole_bytes < most_bytes ? whole_bytes : most_bytes;
        enqueue(receiver, buffer_fill(buffer, receiver->head_bytes + got_bytes));
    }
    settle(receiver);
}

static const op_kind single_kind = {
        .name = "receive_datagram", .prepare = single_prepare, .complete = single_complete};

/* Nothing is queued, and nothing is under way. */
static void start(coil_datagram_receiver *receiver)
{
    coil_loop *loop = receiver->op.loop;
    if (receiver->pool == NULL && !receiver->has_no_multishot) {
        receiver->pool =
                buffer_pool_borrow(loop, receiver->shape.buffer_count, receiver->buffer_bytes);
    }
    bool by_pool = receiver->pool != NULL && buffer_pool_ready(receiver->pool) &&
                   !receiver->has_no_multishot && !receiver->is_starved;
    receiver->is_starved = false;
    if (!by_pool && receiver->private == NULL) {
        receiver->private = private_buffer_create(receiver->buffer_bytes);
        if (receiver->private == NULL) {
            receiver->error = -ENOMEM;
            coil_task_wake(receiver->waiter);
            return;
        }
    }
    op_init(&receiver->op, by_pool ? &stream_kind : &single_kind, loop);
    op_start(&receiver->op);
}

/* ------------------------------------------------------------------------------- lifecycle -- */

/*
 * An odd number of cache lines, so that the heads of the buffers, which are all that small messages
 * touch, do not compete for the same sets of the cache.
 */
static uint32_t stride(uint32_t least_bytes)
{
    return ((least_bytes + LINE_BYTES - 1) / LINE_BYTES | 1) * LINE_BYTES;
}

static uint32_t aligned(uint32_t size_bytes)
{
    return (size_bytes + HEAD_ALIGN_BYTES - 1) / HEAD_ALIGN_BYTES * HEAD_ALIGN_BYTES;
}

int coil_datagram_receiver_create(coil_loop *loop, int fd, const coil_datagram_shape *shape,
        coil_datagram_receiver **out_receiver)
{
    unsigned count = shape->buffer_count;
    COIL_CHECK(count > 0 && (count & (count - 1)) == 0 && count <= COIL_DATAGRAM_BUFFERS_MAX);
    coil_datagram_receiver *receiver =
            calloc(1, sizeof(*receiver) + count * sizeof(receiver->queue[0]));
    if (receiver == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    op_init(&receiver->op, &stream_kind, loop);
    receiver->fd = fd;
    receiver->shape = *shape;
    receiver->shape.name_bytes = aligned(shape->name_bytes);
    receiver->shape.control_bytes = aligned(shape->control_bytes);
    receiver->head_bytes = (uint32_t)sizeof(arrival_head) + receiver->shape.name_bytes +
                           receiver->shape.control_bytes;
    receiver->buffer_bytes = stride(receiver->head_bytes + shape->payload_bytes);
    receiver->shape.payload_bytes = receiver->buffer_bytes - receiver->head_bytes;
    *out_receiver = receiver;
    return 0;
}

void coil_datagram_receiver_close(coil_datagram_receiver *receiver)
{
    if (receiver == NULL)
        return;
    COIL_CHECK(receiver->waiter == NULL);
    receiver->closing = true;
    if (op_pending(&receiver->op)) {
        op_cancel(&receiver->op);
    } else {
        destroy(receiver);
    }
}

int coil_datagram_receiver_fd(const coil_datagram_receiver *receiver)
{
    return receiver->fd;
}

unsigned coil_datagram_receiver_queued(const coil_datagram_receiver *receiver)
{
    return receiver->count;
}

/* --------------------------------------------------------------------------------- taking -- */

int coil_datagram_receiver_look(coil_datagram_receiver *receiver, coil_task *task)
{
    COIL_CHECK(receiver->waiter == NULL || receiver->waiter == task); /* One at a time. */
    receiver->waiter = NULL;
    if (receiver->count > 0)
        return 1;
    int error = receiver->error;
    receiver->error = 0;
    return error != 0 ? error : -EAGAIN;
}

coil_arrival coil_datagram_receiver_take(coil_datagram_receiver *receiver)
{
    coil_slice whole = dequeue(receiver);
    char *bytes = whole.buffer->bytes;
    const arrival_head *head = (const arrival_head *)(const void *)bytes;
    coil_arrival arrival = {.payload = whole,
            .whole_bytes = head->payloadlen,
            .about = {
                    .msg_name = bytes + sizeof(*head),
                    .msg_namelen = head->namelen < receiver->shape.name_bytes
                                           ? head->namelen
                                           : receiver->shape.name_bytes,
                    .msg_control = bytes + sizeof(*head) + receiver->shape.name_bytes,
                    .msg_controllen = head->controllen,
                    .msg_flags = (int)head->flags,
            }};
    coil_slice_consume(&arrival.payload, receiver->head_bytes);
    return arrival;
}

void coil_datagram_receiver_wait(coil_datagram_receiver *receiver, coil_task *task)
{
    receiver->waiter = task;
    if (!op_pending(&receiver->op))
        start(receiver);
}
