/* SPDX-License-Identifier: MIT */
#include <coil/sender.h>

#include "sending.h"

#include <coil/io.h>
#include <coil/kernel.h>

bool coil_sender_busy(const coil_sender *sender)
{
    if (coil_unlikely(layering_of(sender) != NULL))
        return layering_is_busy(layering_of(sender));
    return sender_is_busy(sender);
}

void coil_sender_init(coil_sender *sender, int fd, coil_transport transport)
{
    bool is_socket = transport == COIL_TRANSPORT_SOCKET;
    *sender = (coil_sender){
            .fd = fd,
            .is_socket = is_socket,
            .sends_at_once = is_socket && !coil_fd_is_direct(fd),
    };
}

void coil_sender_share_turns(coil_sender *sender)
{
    sender->shares_turns = true;
}

/* --------------------------------------------------------------------------------- waiting -- */

/* The writer of the leaf, which waits for what is before it. */
coil_turn sender_wait_as(coil_task *task, coil_frame *leaf, coil_sender *sender, writer wanted)
{
    bool is_first = !sender_is_busy(sender);
    coil_sending *sending =
            is_first ? sending_start(sender, coil_loop_of(task)) : sender->extras->sending;

    if (sending == NULL) {
        if (wanted.is_begun)
            sender_refuse_more(sender);
        return coil_leave_with(task, leaf, -ENOMEM);
    }
    writer *waiting = coil_push(task, sizeof(*waiting));
    *waiting = wanted;
    waiting->task = task;
    waiting->sending = sending;
    if (waiting->is_holders) {
        coil_list_append(sending->writers.next, &waiting->link); /* In front of all. */
    } else {
        coil_list_append(&sending->writers, &waiting->link);
    }
    leaf->vars = waiting;
    if (is_first || waiting->is_holders)
        op_start(&sending->op);
    return coil_leaf_suspend(leaf);
}

/* The leaf has been suspended: is its write over? */
coil_turn sender_step_again(coil_task *task, coil_frame *leaf)
{
    const writer *waiting = leaf->vars;
    if (waiting->sending != NULL)
        return COIL_WAIT; /* Its bytes are still on their way. */
    if (waiting->result != -ECANCELED || !coil_task_unwind_here(task))
        coil_frame_set_result(leaf, waiting->result);
    return coil_leave(task, leaf);
}

/* --------------------------------------------------------------------------------- writing -- */

/* Wait for what is before us, and then for the rest of our bytes. */
static coil_turn wait_to_send(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *bytes, int64_t sent_bytes)
{
    return sender_wait_as(task, leaf, sender,
            (writer){.is_begun = sent_bytes > 0,
                    .bytes = bytes->bytes + sent_bytes,
                    .size_bytes = bytes->size_bytes - sent_bytes});
}

/* What the socket has not taken at once: `count` is what it said. */
static COIL_NOINLINE coil_turn send_rest(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *bytes, ssize_t count)
{
    if (count == -EAGAIN || count == -EINTR)
        count = 0;
    if (count < 0)
        return sender_leave_failed(task, leaf, sender, count);
    sender->sent_bytes += (uint64_t)count;
    return wait_to_send(task, leaf, sender, bytes, count);
}

/* Everything but a write that goes out at once. */
static COIL_NOINLINE coil_turn step_slowly(
        coil_task *task, coil_frame *leaf, coil_sender *sender, const coil_slice *bytes)
{
    if (coil_unlikely(layering_of(sender) != NULL))
        return layering_write_step(task, leaf, layering_of(sender), bytes);
    if (leaf->at != NULL)
        return sender_step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (sender->is_cut)
        return coil_leave_with(task, leaf, -EPIPE);
    if (bytes->size_bytes <= 0)
        return coil_leave_with(task, leaf, 0);
    return wait_to_send(task, leaf, sender, bytes, 0);
}

/* The leaves that are done here look like this, whatever their names. */
typedef struct sender_leaf {
    coil_frame frame;
    int result;
    coil_sender *sender;
    coil_slice bytes;
} __attribute__((may_alias)) sender_leaf;

static_assert(offsetof(sender_leaf, result) == offsetof(struct coil_sender_write__frame, co__ret) &&
                      offsetof(sender_leaf, sender) ==
                              offsetof(struct coil_sender_write__frame, co__a.sender) &&
                      offsetof(sender_leaf, bytes) ==
                              offsetof(struct coil_sender_write__frame, co__a.bytes) &&
                      sizeof(sender_leaf) == sizeof(struct coil_sender_write__frame),
        "coil_sender_write() is a sender_leaf");

COIL_HOT coil_turn coil_sender_step(coil_task *task, coil_frame *frame)
{
    sender_leaf *leaf = (sender_leaf *)(void *)frame;
    coil_sender *sender = leaf->sender;
    coil_loop *loop = coil_container_of(task->sched, coil_loop, sched);

    if (coil_unlikely(frame->at != NULL || task->request != NULL || leaf->bytes.size_bytes <= 0 ||
                      !sender_may_send_now(sender, loop)))
        return step_slowly(task, frame, sender, &leaf->bytes);
    sender_sends_now(sender, loop);
    ssize_t count =
            coil_kernel_send_now(sender->fd, leaf->bytes.bytes, (size_t)leaf->bytes.size_bytes);
    /* (The sender is read again: that is less than to keep it, which takes a stack slot.) */
    if (coil_unlikely(count != leaf->bytes.size_bytes))
        return send_rest(task, frame, leaf->sender, &leaf->bytes, count);
    leaf->sender->sent_bytes += (uint64_t)count;
    leaf->result = 0;
    return coil_leave(task, frame);
}

/* The same for a leaf that is no frame yet: what is sent at once needs none. */
COIL_HOT coil_turn coil_sender_begin(coil_task *task, coil_frame *frame)
{
    sender_leaf *leaf = (sender_leaf *)(void *)frame;
    coil_sender *sender = leaf->sender;
    const coil_loop *loop = coil_container_of(task->sched, coil_loop, sched);

    if (coil_unlikely(task->request != NULL || leaf->bytes.size_bytes <= 0 ||
                      !sender_may_send_alone(sender, loop)))
        return coil_leaf_begin(task, frame);
    sender->sent_turn = (uint16_t)loop->stats.turns;
    ssize_t count =
            coil_kernel_send_now(sender->fd, leaf->bytes.bytes, (size_t)leaf->bytes.size_bytes);
    if (coil_unlikely(count != leaf->bytes.size_bytes)) {
        coil_leaf_enter(task, frame, sizeof(*leaf));
        return send_rest(task, frame, leaf->sender, &leaf->bytes, count);
    }
    leaf->sender->sent_bytes += (uint64_t)count;
    leaf->result = 0;
    return COIL_DONE;
}

void coil_sender_cancel(coil_task *task, coil_frame *leaf)
{
    const sender_leaf *self = (const sender_leaf *)(void *)leaf;
    struct coil_layering *layering = layering_of(self->sender);

    if (layering != NULL) {
        layering_write_cancel(task, leaf, layering);
    } else {
        writer_cancel(leaf->vars);
    }
}

coil_define_leaf(coil_sender_write, coil_sender_step, coil_sender_cancel);
