/* SPDX-License-Identifier: MIT */
/* Receives that the kernel does: many by one operation, into the pool, or one at a time. */
#include "receiver_private.h"

#include "rights.h"

#include <coil/kernel.h>

enum { SINGLE_BYTES = 4096 /* Of a receive without the pool. */ };

/* -------------------------------------------------------------------------- many at a time -- */

static void multishot_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = receiver_of(op);
    if (receiver_is_socket(receiver)) {
        io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
    } else {
        io_uring_prep_read_multishot(sqe, 0, 0, (uint64_t)-1, POOL_GROUP);
    }
    op_set_fd(sqe, receiver_fd_of(receiver));
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = POOL_GROUP;
}

/* The last completion of a multishot receive, or one without bytes. */
static COIL_COLD void multishot_ended(coil_receiver *receiver, int32_t result)
{
    if (result == -ENOBUFS) {
        receiver->op.loop->stats.buffer_waits++; /* The next one finds another way. */
    } else if (result == -EBADFD || result == -EINVAL || result == -EOPNOTSUPP) {
        receiver_set(receiver, LACKS_MULTISHOT);
    } else if (result == -EAGAIN) {
        /* Kernels that take O_NONBLOCK at its word: poll first. */
        (void)receiver_change_way(receiver, PARKED);
    } else if (!receiver_is_interruption(result)) {
        receiver_end(receiver, result);
    }
}

/* Whatever is not the usual case: that is receiver_complete_usual(). */
static void multishot_complete(coil_op *op, int32_t result, uint32_t flags)
{
    coil_receiver *receiver = receiver_of(op);

    if (flags & IORING_CQE_F_BUFFER) {
        buffer_pool *pool = receiver->op.loop->buffers;
        coil_slice slice = buffer_pool_take(pool, result > 0 ? result : 0, flags);
        if (result > 0) {
            receiver_enqueue(receiver, slice);
        } else {
            coil_slice_release(&slice);
        }
    }
    if (result <= 0) {
        multishot_ended(receiver, result);
    } else if (result >= LARGE_BYTES) {
        receiver_got_large(receiver);
    } else {
        receiver_unset(receiver, LARGE_ALL);
    }
    receiver_settle(receiver);
}

const op_kind receiver_ring_kind = {
        .name = "receive", .prepare = multishot_prepare, .complete = multishot_complete};

/* --------------------------------------------------------------------------- one at a time -- */

static void single_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = receiver_of(op);
    const coil_extras *extras = receiver->head.sender.extras;
    coil_buffer *own = extras->own;
    if (extras->rights != NULL) {
        rights_prepare(extras->rights, own->bytes, SINGLE_BYTES, sqe);
    } else if (receiver_is_socket(receiver)) {
        io_uring_prep_recv(sqe, 0, own->bytes, SINGLE_BYTES, 0);
    } else {
        io_uring_prep_read(sqe, 0, own->bytes, SINGLE_BYTES, (uint64_t)-1);
    }
    op_set_fd(sqe, receiver_fd_of(receiver));
}

/* It does not block, and nothing has come: poll first. We may receive only if there is a pool. */
static void poll_first(coil_receiver *receiver)
{
    (void)receiver_change_way(receiver, PARKED);
    if (receiver->op.loop->buffers == NULL)
        receiver_unset(receiver, CAN_INLINE);
}

static void single_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_receiver *receiver = receiver_of(op);
    coil_buffer *own = receiver->head.sender.extras->own;

    receiver->head.sender.extras->own = NULL;
    if (result >= 0 && receiver->head.sender.extras->rights != NULL)
        result = rights_received(receiver->head.sender.extras->rights, result);
    receiver_review_extras(receiver);
    if (result > 0) {
        receiver_enqueue(receiver, buffer_fill(own, result));
    } else {
        buffer_put(own);
        if (result == -EAGAIN) {
            poll_first(receiver);
        } else if (!receiver_is_interruption(result)) {
            receiver_end(receiver, result);
        }
    }
    receiver_settle(receiver);
}

const op_kind receiver_single_kind = {
        .name = "receive one", .prepare = single_prepare, .complete = single_complete};

static bool started_single(coil_receiver *receiver)
{
    coil_extras *extras = receiver_extras(receiver);
    if (extras == NULL)
        return false;
    extras->own = private_buffer_create(SINGLE_BYTES);
    if (extras->own == NULL) {
        receiver_review_extras(receiver);
        return false;
    }
    receiver_start(receiver, &receiver_single_kind);
    return true;
}

void receiver_start_single(coil_receiver *receiver)
{
    if (started_single(receiver))
        return;
    receiver_end(receiver, -ENOMEM);
    if (receiver->op.task != NULL)
        coil_task_wake(receiver->op.task);
}
