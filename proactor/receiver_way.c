/* SPDX-License-Identifier: MIT */
/* Which way bytes take from a descriptor to its receiver: chosen as it waits, and as they come. */
#include "receiver_private.h"

enum {
    LARGE_COUNT = 3,        /* So many large receives together, and we do it. */
    SMALL_BYTES = 1024,     /* Typical receives of this size are left to the kernel again; */
    INLINE_ARMS_MAX = 1024, /* others after so many waits, to see whether they fit by now. */
};

bool receiver_change_way(coil_receiver *receiver, receiver_way to)
{
    if (to == receiver_way_of(receiver))
        return true;
    if (to == BY_US) {
        coil_extras *extras = receiver_extras(receiver);
        if (extras == NULL)
            return false;
        extras->is_kept = true;
        extras->arms = 0;
        extras->typical_bytes = LARGE_BYTES;
    }
    receiver_unset(receiver, WAY | LARGE_ALL);
    receiver_set(receiver, to);
    return true;
}

bool receiver_may_return_to_ring(coil_receiver *receiver, const buffer_pool *pool)
{
    coil_extras *extras = receiver->head.sender.extras;
    if (extras->arms < INLINE_ARMS_MAX)
        extras->arms++;
    return (extras->typical_bytes < SMALL_BYTES || extras->arms == INLINE_ARMS_MAX) &&
           buffer_pool_relaxed(pool);
}

static bool has_buffers(coil_receiver *receiver, buffer_pool *pool)
{
    if (coil_likely(buffer_pool_ready(pool)))
        return true;
    receiver->op.loop->stats.buffer_waits++;
    return buffer_pool_grow(pool);
}

receiver_way receiver_choose_way(coil_receiver *receiver)
{
    buffer_pool *pool = loop_buffers(receiver->op.loop);
    receiver_way now = receiver_way_of(receiver);

    if (now == PARKED || (now == BY_US && !receiver_may_return_to_ring(receiver, pool)))
        return now;
    if (pool == NULL || receiver_is(receiver, LACKS_MULTISHOT))
        return SINGLE;
    if (coil_likely(has_buffers(receiver, pool)))
        return BY_RING;
    return receiver_is(receiver, CAN_INLINE) ? BY_US : SINGLE;
}

/* Much arrives at a time: fetched by us, it is in one piece, and always in the same memory. */
void receiver_got_large(coil_receiver *receiver)
{
    if (receiver_way_of(receiver) != BY_RING || !receiver_is(receiver, CAN_INLINE) ||
            receiver_is(receiver, CLOSING))
        return;
    if ((receiver->state & LARGE_ALL) + LARGE_ONE < LARGE_COUNT * LARGE_ONE) {
        receiver->state += LARGE_ONE;
    } else if (receiver_change_way(receiver, BY_US)) {
        op_cancel(&receiver->op);
    }
}

/* What is armed ends, and then a poll takes its place, when somebody waits. */
void receiver_park(idle_watch *watch)
{
    coil_receiver *receiver = coil_container_of(watch, coil_receiver, idle);
    receiver->op.loop->stats.parkings++;
    (void)receiver_change_way(receiver, PARKED);
    op_cancel(&receiver->op);
}
