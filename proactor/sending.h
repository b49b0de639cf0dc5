/* SPDX-License-Identifier: MIT */
/*
 * sending.h - what the files of a sender share.
 *
 *     sender.c            a write that goes out at once, or has to wait
 *     sending.c           those that wait, and the operation that sends them
 *     sender_parts.c      several slices as one write; as much as goes out
 *     sender_hold.c       the sender for one alone
 *     sender_flush.c      writes of a layer above
 */
#ifndef SENDING_H
#define SENDING_H

#include "extras.h"
#include "layer_private.h"
#include "loop_private.h"
#include "op.h"
#include "sender_private.h"

#include <errno.h>

#include <sys/uio.h>

enum { SENDING_PARTS_MAX = 16 };

/* The writes that wait, and what of them is on its way. Only while there are some. */
typedef struct coil_sending {
    coil_op op;
    coil_sender *sender;
    coil_list writers;     /* First come, first served. */
    sender_flush *flush;   /* One of them, without a task. NULL: none is. */
    unsigned writer_count; /* So many of them, from the first, are on their way, */
    unsigned part_count;   /* in so many parts. */
    bool is_held;          /* Somebody has the sender for itself; the writers wait. */
    bool awaits_room;      /* It does not wait by itself (O_NONBLOCK): a poll does. */
    struct msghdr message;
    struct iovec parts[SENDING_PARTS_MAX];
} coil_sending;

/* With no writer yet; what is appended is sent when its op is started. NULL without memory. */
coil_sending *sending_start(coil_sender *sender, coil_loop *loop);

/* Nothing is on its way: send what may go, let in who wants to hold, or end. */
void sending_go_on(coil_sending *sending);

/* A write has ended in its middle: so do all that wait. */
void sending_cut(coil_sending *sending);

/* A write has ended in its middle, so nothing can follow: it would be taken for the rest. */
void sender_refuse_more(coil_sender *sender);

/* The part that comes next is out: have the one behind it there. False: it was the last. */
bool writer_next_part(writer *waiting);

/* Have it end early; nothing if it has ended. */
void writer_cancel(writer *waiting);

/* -------------------------------------------------------------------------------- of leaves -- */

/* Wait as `wanted`, for what is before it, and then until it is out. */
coil_turn sender_wait_as(coil_task *task, coil_frame *leaf, coil_sender *sender, writer wanted);

/* The leaf has been suspended by that: is its write over? */
coil_turn sender_step_again(coil_task *task, coil_frame *leaf);

/* The kernel has refused its bytes. */
static inline coil_turn sender_leave_failed(
        coil_task *task, coil_frame *leaf, coil_sender *sender, ssize_t error)
{
    coil_sender_failed(sender, (int)error);
    return coil_leave_with(task, leaf, error);
}

/* The cancel function of such a leaf, unless the sender is layered. */
static inline void sender_cancel_writer(coil_task *task, coil_frame *leaf)
{
    (void)task;
    writer_cancel((writer *)leaf->vars);
}

static inline bool sender_is_busy(const coil_sender *sender)
{
    return sender->extras != NULL && sender->extras->sending != NULL;
}

/* Once per turn, if it does not overtake others; and one of those that share turns. */
static inline bool sender_may_send_now(const coil_sender *sender, const coil_loop *loop)
{
    const uint16_t turn = (uint16_t)loop->stats.turns;

    return sender->sends_at_once && sender->sent_turn != turn && !sender_is_busy(sender) &&
           !(sender->shares_turns && loop->shared_turn == turn);
}

/* The same for a sender that shares no turns: that it sends is nobody else's business. */
static inline bool sender_may_send_alone(const coil_sender *sender, const coil_loop *loop)
{
    return !sender->shares_turns && sender_may_send_now(sender, loop);
}

static inline void sender_sends_now(coil_sender *sender, coil_loop *loop)
{
    const uint16_t turn = (uint16_t)loop->stats.turns;

    sender->sent_turn = turn;
    if (sender->shares_turns)
        loop->shared_turn = turn;
}

/* What only senders without a layer do. 0: there is nothing to write. 1: there is. */
static inline int sender_may_begin(const coil_sender *sender, int64_t size_bytes)
{
    if (layering_of(sender) != NULL)
        return -EOPNOTSUPP;
    if (sender->is_cut)
        return -EPIPE;
    return size_bytes > 0;
}

#endif
