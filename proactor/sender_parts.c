/* SPDX-License-Identifier: MIT */
/* Other ways to write: several slices as one, and as much as goes out. */
#include "sending.h"

#include <coil/kernel.h>

/* -------------------------------------------------------------------------- several slices -- */

static int64_t size_of(const coil_slice *parts, unsigned count)
{
    int64_t size_bytes = 0;
    for (unsigned i = 0; i < count; i++)
        size_bytes += parts[i].size_bytes > 0 ? parts[i].size_bytes : 0;
    return size_bytes;
}

/* A writer of all parts without their first `sent_bytes`; some are left. */
static writer writer_of(const coil_slice *parts, unsigned count, int64_t sent_bytes)
{
    writer wanted = {.parts = parts, .part_count = count, .is_begun = sent_bytes > 0};
    (void)writer_next_part(&wanted);
    while (sent_bytes >= wanted.size_bytes) {
        sent_bytes -= wanted.size_bytes;
        wanted.size_bytes = 0;
        (void)writer_next_part(&wanted);
    }
    wanted.bytes += sent_bytes;
    wanted.size_bytes -= sent_bytes;
    return wanted;
}

/* The first of the parts, as many as one system call is given. */
static ssize_t send_parts_now(coil_sender *sender, const coil_slice *parts, unsigned count)
{
    struct iovec vector[SENDING_PARTS_MAX];
    struct msghdr message = {.msg_iov = vector};

    for (unsigned i = 0; i < count && message.msg_iovlen < SENDING_PARTS_MAX; i++) {
        if (parts[i].size_bytes > 0) {
            vector[message.msg_iovlen++] =
                    (struct iovec){/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
                            (void *)(uintptr_t)parts[i].bytes, (size_t)parts[i].size_bytes};
        }
    }
    ssize_t sent_bytes = coil_kernel_sendmsg_now(sender->fd, &message);
    if (sent_bytes > 0)
        sender->sent_bytes += (uint64_t)sent_bytes;
    return sent_bytes;
}

static coil_turn step_parts(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *parts, unsigned part_count)
{
    coil_loop *loop = coil_loop_of(task);
    ssize_t count = 0;

    if (leaf->at != NULL)
        return sender_step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    int64_t size_bytes = size_of(parts, part_count);
    int rc = sender_may_begin(sender, size_bytes);
    if (rc <= 0)
        return coil_leave_with(task, leaf, rc);
    if (sender_may_send_now(sender, loop)) {
        sender_sends_now(sender, loop);
        count = send_parts_now(sender, parts, part_count);
        if (count == size_bytes)
            return coil_leave_with(task, leaf, 0);
        if (count < 0 && count != -EAGAIN && count != -EINTR)
            return sender_leave_failed(task, leaf, sender, count);
    }
    return sender_wait_as(task, leaf, sender, writer_of(parts, part_count, count > 0 ? count : 0));
}

static coil_turn write_parts_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_sender_write_parts__args *a = coil_arguments(coil_sender_write_parts, leaf);
    return step_parts(task, leaf, a->sender, a->parts, a->count);
}

coil_define_leaf(coil_sender_write_parts, write_parts_step, sender_cancel_writer);

/* --------------------------------------------------------------------- as much as goes out -- */

static coil_turn step_some(
        coil_task *task, coil_frame *leaf, coil_sender *sender, const coil_slice *bytes)
{
    coil_loop *loop = coil_loop_of(task);

    if (leaf->at != NULL)
        return sender_step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    int rc = sender_may_begin(sender, bytes->size_bytes);
    if (rc <= 0)
        return coil_leave_with(task, leaf, rc);
    if (sender_may_send_now(sender, loop)) {
        sender_sends_now(sender, loop);
        ssize_t count = send_parts_now(sender, bytes, 1);
        if (count > 0)
            return coil_leave_with(task, leaf, count);
        if (count != -EAGAIN && count != -EINTR)
            return sender_leave_failed(task, leaf, sender, count);
    }
    writer wanted = {.takes_some = true, .bytes = bytes->bytes, .size_bytes = bytes->size_bytes};
    return sender_wait_as(task, leaf, sender, wanted);
}

static coil_turn write_some_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_sender_write_some__args *a = coil_arguments(coil_sender_write_some, leaf);
    return step_some(task, leaf, a->sender, &a->bytes);
}

coil_define_leaf(coil_sender_write_some, write_some_step, sender_cancel_writer);
