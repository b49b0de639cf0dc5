/* SPDX-License-Identifier: MIT */
/* Receives that we do, when a poll has told that there is something. */
#include "receiver_private.h"

#include <coil/kernel.h>

#include <poll.h>

enum { TURN_RECEIVES = 2 /* By ourselves; the second finds the end of what has come. */ };

static void poll_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = receiver_of(op);
    if (receiver_way_of(receiver) == PARKED) {
        io_uring_prep_poll_add(sqe, 0, POLLIN | POLLPRI | POLLRDHUP);
    } else {
        io_uring_prep_poll_multishot(sqe, 0, POLLIN | POLLPRI | POLLRDHUP);
    }
    op_set_fd(sqe, receiver_fd_of(receiver));
}

static void poll_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_receiver *receiver = receiver_of(op);

    if (result >= 0) {
        receiver_touch(receiver);
        if (receiver_is(receiver, CAN_INLINE))
            receiver_set(receiver, READABLE);
        /* (POLLPRI is also told of bytes that are not urgent: io.h, coil_poll().) */
        if (result & (POLLPRI | POLLRDHUP | POLLHUP | POLLERR))
            receiver_set(receiver, HAS_MORE);
    } else if (!receiver_is_interruption(result)) {
        receiver_end(receiver, result);
    }
    receiver_settle(receiver);
}

const op_kind receiver_poll_kind = {
        .name = "await bytes", .prepare = poll_prepare, .complete = poll_complete};

/* ---------------------------------------------------------------------- receiving ourselves -- */

/* A TCP socket that has given less than it was asked for is empty: epoll(7), question 9. */
static bool is_drained_by_short_reads(coil_receiver *receiver)
{
    if (!receiver_is(receiver, KNOWS_SHORT_READS)) {
        receiver_set(receiver, KNOWS_SHORT_READS);
        if (coil_kernel_is_tcp(receiver_fd_of(receiver)) == 1)
            receiver_set(receiver, DRAINED_BY_SHORT_READS);
    }
    return receiver_is(receiver, DRAINED_BY_SHORT_READS) && !receiver_is(receiver, HAS_MORE);
}

/* A peer that sends all the time must not keep the loop for itself. */
static bool has_turn(const coil_receiver *receiver)
{
    const coil_extras *extras = receiver->head.sender.extras;
    return extras == NULL || extras->turn != (uint16_t)receiver->op.loop->stats.turns ||
           extras->turn_receives < TURN_RECEIVES;
}

static void count_receive(coil_receiver *receiver, coil_extras *extras)
{
    uint16_t turn = (uint16_t)receiver->op.loop->stats.turns;
    if (extras->turn != turn) {
        extras->turn = turn;
        extras->turn_receives = 0;
    }
    extras->turn_receives++;
    extras->is_kept = true;
}

/* As much as counts, for what is typical. */
static uint32_t clamped(ssize_t size_bytes)
{
    return size_bytes < UINT16_MAX ? (uint32_t)size_bytes : UINT16_MAX;
}

static void receive(coil_receiver *receiver)
{
    coil_extras *extras = receiver_extras(receiver);
    coil_buffer *buffer = extras != NULL ? buffer_pool_hot(receiver->op.loop->buffers) : NULL;
    if (buffer == NULL) {
        receiver_end(receiver, -ENOMEM);
        return;
    }
    size_t room_bytes = buffer->size_bytes - buffer->used_bytes;
    ssize_t count = coil_kernel_recv_now(
            receiver_fd_of(receiver), buffer->bytes + buffer->used_bytes, room_bytes);
    count_receive(receiver, extras);
    if (count > 0) {
        extras->typical_bytes = (uint16_t)((3 * extras->typical_bytes + clamped(count)) / 4);
        if ((size_t)count < room_bytes && is_drained_by_short_reads(receiver))
            receiver_unset(receiver, READABLE);
        receiver_enqueue(receiver, buffer_fill(buffer, count));
    } else if (count == -EAGAIN) {
        receiver_unset(receiver, READABLE | HAS_MORE); /* All of it has been read. */
    } else if (count != -EINTR) {
        receiver_end(receiver, (int32_t)count);
    }
}

bool receiver_receive_now(coil_receiver *receiver)
{
    if (!has_turn(receiver))
        return false;
    int64_t before_bytes = coil_receiver_queued(receiver);
    receive(receiver);
    return coil_receiver_queued(receiver) > before_bytes;
}
