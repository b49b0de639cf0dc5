/* SPDX-License-Identifier: MIT */
#include <coil/relay.h>

#include <coil/io.h>
#include <coil/layer.h>
#include <coil/sender.h>

#include <errno.h>

#include "splice_pipe.h"

enum {
    COPY_BYTES = 64 * 1024,
    COPY_MOST_BYTES = 64 * 1024, /* So much is sent sooner than a pipe is made. */
};

/* A file on its way. */
typedef struct shipment {
    coil_stream *stream;
    int fd;
    off_t offset;
    int64_t left_bytes;
    int64_t sent_bytes;
} shipment;

static coil_sender *sender_of(const shipment *sending)
{
    return coil_receiver_sender(sending->stream);
}

static size_t piece_of(const shipment *sending, size_t most_bytes)
{
    return sending->left_bytes < (int64_t)most_bytes ? (size_t)sending->left_bytes : most_bytes;
}

/* So many are out. */
static void count(shipment *sending, int64_t size_bytes)
{
    sending->offset += size_bytes;
    sending->left_bytes -= size_bytes;
    sending->sent_bytes += size_bytes;
}

/* ----------------------------------------------------------------------------------- ways -- */

coil_async(int, copy_file, (shipment *) sending)
{
    coil_vars(coil_slice piece; char *bytes; ssize_t count);

    const int rc = coil_slice_create(piece_of(sending, COPY_BYTES), &my->bytes, &my->piece);
    if (rc < 0)
        return rc;
    coil_defer(coil_slice_release(&my->piece));
    while (sending->left_bytes > 0) {
        coil_attempt(my->count,
                coil_pread(sending->fd, my->bytes, piece_of(sending, COPY_BYTES), sending->offset));
        if (my->count == 0)
            return 0;
        if (coil_stream_is_layered(sending->stream)) {
            coil_attempt(coil_write_all(sending->stream, coil_bytes(my->bytes, (size_t)my->count)));
        } else {
            coil_attempt(coil_sender_write_held(
                    sender_of(sending), coil_bytes(my->bytes, (size_t)my->count)));
        }
        count(sending, my->count);
    }
    return 0;
}

/* Those that have been taken from the file: all that is in the pipe. */
coil_async(int, splice_out, (shipment *) sending, (splice_pipe *) pipe)
{
    coil_vars(ssize_t count);

    while (pipe->filled_bytes > 0) {
        coil_attempt(my->count, splice_pipe_empty(pipe, sending->stream));
        count(sending, my->count);
    }
    return 0;
}

/* -EINVAL, and nothing has been sent: one of the two cannot be spliced. */
coil_async(int, splice_file, (shipment *) sending)
{
    coil_vars(splice_pipe pipe; ssize_t count);

    const int rc = splice_pipe_open(&my->pipe);
    if (rc < 0)
        return rc;
    coil_defer(splice_pipe_close(&my->pipe));
    while (sending->left_bytes > 0) {
        coil_attempt(my->count, splice_pipe_fill(&my->pipe, sending->fd, sending->offset,
                                        piece_of(sending, SPLICE_BYTES)));
        if (my->count == 0)
            return 0;
        coil_attempt(splice_out(sending, &my->pipe));
    }
    return 0;
}

/* ------------------------------------------------------------------------------------- API -- */

/* One of the two cannot be spliced, or there is no pipe to be had. */
static bool does_without(int error)
{
    return error == -EINVAL || error == -EMFILE || error == -ENFILE;
}

coil_async(int, send_held, (shipment *) sending)
{
    coil_vars(int rc);

    my->rc = -EINVAL;
    if (sending->left_bytes > COPY_MOST_BYTES)
        coil_await(my->rc, splice_file(sending));
    if (does_without(my->rc) && sending->sent_bytes == 0)
        coil_await(my->rc, copy_file(sending));
    return my->rc;
}

coil_async(int, send_turn, (shipment *) sending)
{
    coil_vars(bool is_whole);

    coil_attempt(coil_sender_hold(sender_of(sending)));
    coil_defer(coil_sender_release(sender_of(sending), !my->is_whole && sending->sent_bytes > 0));
    coil_attempt(send_held(sending));
    my->is_whole = true;
    return 0;
}

/* Through a layer, whose sender cannot be held: others may write between two pieces. */
coil_async(int, send_layered, (shipment *) sending)
{
    coil_vars(bool is_whole);

    coil_defer(if (!my->is_whole && sending->sent_bytes > 0)
                    coil_layer_cut(coil_layer_of(sending->stream)));
    coil_attempt(copy_file(sending));
    my->is_whole = true;
    return 0;
}

coil_define(
        int64_t, coil_send_file, (coil_stream *) stream, (int) fd, (off_t) offset, (int64_t) size_bytes)
{
    coil_vars(shipment sending);

    if (offset < 0)
        return -EINVAL;
    if (size_bytes <= 0)
        return 0;
    my->sending =
            (shipment){.stream = stream, .fd = fd, .offset = offset, .left_bytes = size_bytes};
    if (coil_stream_is_layered(stream)) {
        coil_attempt(send_layered(&my->sending));
    } else {
        coil_attempt(send_turn(&my->sending));
    }
    return my->sending.sent_bytes;
}
