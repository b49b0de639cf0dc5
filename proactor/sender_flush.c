/* SPDX-License-Identifier: MIT */
/* Writes without a task: those of a layer to the sender below it. */
#include "sending.h"

#include <coil/kernel.h>

/* What can go at once: 0 if that is all of `bytes`, which then are the rest. */
static int flush_now(coil_sender *sender, coil_loop *loop, coil_slice *bytes)
{
    if (!sender_may_send_now(sender, loop))
        return -EAGAIN;
    sender_sends_now(sender, loop);
    ssize_t count = coil_kernel_send_now(sender->fd, bytes->bytes, (size_t)bytes->size_bytes);
    if (count < 0) {
        coil_sender_failed(sender, (int)count);
        return count == -EINTR ? -EAGAIN : (int)count;
    }
    sender->sent_bytes += (uint64_t)count;
    coil_slice_consume(bytes, count);
    return bytes->size_bytes == 0 ? 0 : -EAGAIN;
}

static int flush_later(
        coil_sender *sender, coil_loop *loop, sender_flush *flush, const coil_slice *bytes)
{
    bool is_first = !sender_is_busy(sender);
    coil_sending *sending = is_first ? sending_start(sender, loop) : sender->extras->sending;
    if (sending == NULL)
        return -ENOMEM;
    COIL_CHECK(sending->flush == NULL);
    sending->flush = flush;
    flush->plain =
            (writer){.sending = sending, .bytes = bytes->bytes, .size_bytes = bytes->size_bytes};
    coil_list_append(&sending->writers, &flush->plain.link);
    if (is_first)
        op_start(&sending->op);
    return -EINPROGRESS;
}

int sender_flush_start(
        coil_sender *sender, coil_loop *loop, sender_flush *flush, const coil_slice *bytes)
{
    coil_slice rest = *bytes;
    if (layering_of(sender) != NULL) {
        flush->layered = (layer_write){
                .flush = flush, .bytes = bytes->bytes, .size_bytes = bytes->size_bytes};
        return layering_flush_start(layering_of(sender), flush);
    }
    if (sender->is_cut)
        return -EPIPE;
    int rc = flush_now(sender, loop, &rest);
    if (rc != -EAGAIN)
        return rc;
    const bool is_begun = rest.size_bytes < bytes->size_bytes;
    rc = flush_later(sender, loop, flush, &rest);
    if (rc == -EINPROGRESS) {
        flush->plain.is_begun = is_begun;
    } else if (is_begun) {
        sender_refuse_more(sender);
    }
    return rc;
}

void sender_flush_cancel(coil_sender *sender, sender_flush *flush)
{
    if (layering_of(sender) != NULL) {
        layering_flush_cancel(layering_of(sender), flush);
    } else {
        writer_cancel(&flush->plain);
    }
}
