/* SPDX-License-Identifier: MIT */
/* What has arrived and has not been taken: the front, and the slices behind it. */
#include "receiver_private.h"

#include "sender_private.h"
#include "slice_watch.h"

void receiver_end(coil_receiver *receiver, int32_t result)
{
    if (receiver_is(receiver, ENDED))
        return;
    receiver_set(receiver, ENDED);
    receiver->error = (int16_t)(result == 0 ? sender_loss(&receiver->head.sender) : result);
}

/* Bytes that continue the last slice, in the same buffer, are made part of it. */
static bool joined(coil_receiver *receiver, const coil_slice *slice)
{
    if (receiver_is(receiver, QUEUED)) {
        if (!slice_queue_join(receiver_queue(receiver), slice))
            return false;
    } else if (coil_slice_continues(&receiver->front, slice)) {
        receiver->front.size_bytes += slice->size_bytes;
    } else {
        return false;
    }
    slice->buffer->slice_count--;
    return true;
}

static bool enqueued(coil_receiver *receiver, const coil_slice *slice)
{
    coil_extras *extras = receiver_extras(receiver);
    if (extras == NULL)
        return false;
    if (!slice_queue_append(&extras->queue, receiver_sched(receiver), slice)) {
        receiver_review_extras(receiver);
        return false;
    }
    receiver_set(receiver, QUEUED);
    return true;
}

/* A task receives by itself, in debug mode: what has come is its own, and it looks at once. */
static bool is_for_watching_task(const coil_receiver *receiver)
{
    return receiver_is(receiver, WATCHED) && !receiver_is(receiver, QUEUED) &&
           receiver->front.buffer == NULL && receiver_sched(receiver)->running != NULL;
}

static void enqueue_behind(coil_receiver *receiver, coil_slice slice)
{
    if (receiver_is(receiver, ENDED)) {
        coil_slice_release(&slice); /* It lies behind a gap. */
        return;
    }
    if (is_for_watching_task(receiver)) {
        receiver->front = slice;
        slice_watch_begin(receiver->op.loop, &receiver->front);
        return;
    }
    if (joined(receiver, &slice) || enqueued(receiver, &slice))
        return;
    /* Bytes are lost, so the stream ends here. */
    receiver_end(receiver, -ENOMEM);
    op_cancel(&receiver->op);
    coil_slice_release(&slice);
}

void receiver_enqueue(coil_receiver *receiver, coil_slice slice)
{
    receiver_touch(receiver);
    if (receiver->front.buffer == NULL && !receiver_is(receiver, QUEUED | ENDED | WATCHED)) {
        receiver->front = slice;
    } else {
        enqueue_behind(receiver, slice);
    }
}

void receiver_bring_forward(coil_receiver *receiver)
{
    if (receiver_is(receiver, WATCHED))
        slice_watch_forget(receiver->op.loop, &receiver->front);
    if (!receiver_is(receiver, QUEUED))
        return;
    coil_extras *extras = receiver->head.sender.extras;
    receiver->front = slice_queue_take(&extras->queue, receiver_sched(receiver));
    if (extras->queue == NULL) {
        receiver_unset(receiver, QUEUED);
        receiver_review_extras(receiver);
    }
    if (receiver_is(receiver, WATCHED) && !receiver_is(receiver, CLOSING))
        slice_watch_begin(receiver->op.loop, &receiver->front);
}

void receiver_drop_all(coil_receiver *receiver)
{
    do {
        receiver_advance(receiver);
    } while (receiver->front.size_bytes > 0);
}
