/* SPDX-License-Identifier: MIT */
/* A sender for oneself, while others wait. */
#include "sending.h"

#include "loop_private.h"

static coil_turn hold_step(coil_task *task, coil_frame *leaf)
{
    coil_sender *sender = coil_arguments(coil_sender_hold, leaf)->sender;

    if (leaf->at != NULL)
        return sender_step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    const int rc = sender_may_begin(sender, 0);
    if (rc < 0)
        return coil_leave_with(task, leaf, rc);
    if (sender_is_busy(sender))
        return sender_wait_as(task, leaf, sender, (writer){.holds = true});
    coil_sending *sending = sending_start(sender, coil_loop_of(task));
    if (sending == NULL)
        return coil_leave_with(task, leaf, -ENOMEM);
    sending->is_held = true;
    return coil_leave_with(task, leaf, 0);
}

coil_define_leaf(coil_sender_hold, hold_step, sender_cancel_writer);

static coil_turn write_held_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_sender_write_held__args *a = coil_arguments(coil_sender_write_held, leaf);

    if (leaf->at != NULL)
        return sender_step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    COIL_CHECK(sender_is_busy(a->sender) && a->sender->extras->sending->is_held);
    int rc = sender_may_begin(a->sender, a->bytes.size_bytes);
    if (rc <= 0)
        return coil_leave_with(task, leaf, rc);
    writer wanted = {
            .is_holders = true, .bytes = a->bytes.bytes, .size_bytes = a->bytes.size_bytes};
    return sender_wait_as(task, leaf, a->sender, wanted);
}

coil_define_leaf(coil_sender_write_held, write_held_step, sender_cancel_writer);

void coil_sender_release(coil_sender *sender, bool is_cut)
{
    coil_sending *sending = sender->extras->sending;

    COIL_CHECK(sending->is_held && !op_pending(&sending->op));
    sending->is_held = false;
    if (is_cut)
        sending_cut(sending);
    sending_go_on(sending);
}
