/* SPDX-License-Identifier: MIT */
#include <coil/relay.h>

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/sender.h>
#include <coil/timeout.h>

#include <errno.h>
#include <poll.h>

#include "splice_pipe.h"

/* One direction. */
typedef struct direction {
    coil_stream *from;
    coil_stream *to;
    uint64_t *bytes;
    coil_timeout *idle; /* NULL: none; else of both directions. */
    coil_duration idle_limit;
} direction;

static void count(direction *way, ssize_t size_bytes)
{
    *way->bytes += (uint64_t)size_bytes;
    if (way->idle != NULL)
        (void)coil_timeout_extend(way->idle, way->idle_limit);
}

/* The end of the one is told to the other. A pipe has nobody to tell before it is closed. */
coil_async(int, hand_on_end, (direction *) way)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_stream_shutdown(way->to));
    return my->rc == -ENOTSOCK ? 0 : my->rc;
}

/* --------------------------------------------------------------------------------- copying -- */

/* What could not be written comes next again. */
static void put_back(coil_stream *from, coil_slice *rest)
{
    if (rest->size_bytes > 0)
        (void)coil_stream_unread_again(from, rest);
}

/* One slice: what has come. 1, 0 at the end. */
coil_async(int, copy_some, (direction *) way)
{
    coil_vars(coil_slice in; ssize_t count);

    coil_defer(put_back(way->from, &my->in));
    coil_attempt(my->in, coil_read_some(way->from));
    if (my->in.size_bytes == 0)
        return 0;
    while (my->in.size_bytes > 0) {
        coil_attempt(my->count, coil_write_some(way->to, my->in));
        coil_slice_consume(&my->in, my->count);
        count(way, my->count);
    }
    coil_slice_release(&my->in);
    return 1;
}

coil_async(int, copy_all, (direction *) way)
{
    coil_vars(int rc);

    do {
        coil_attempt(my->rc, copy_some(way));
    } while (my->rc > 0);
    return 0;
}

/* -------------------------------------------------------------------------------- splicing -- */

/* What is in the pipe, to the front of where it has come from. */
coil_async(int, read_back, (direction *) way, (splice_pipe *) pipe)
{
    coil_vars(coil_slice rest; char *bytes; size_t have_bytes; ssize_t count);

    coil_defer(coil_slice_release(&my->rest));
    const int rc = coil_slice_create(pipe->filled_bytes, &my->bytes, &my->rest);
    if (rc < 0)
        return rc;
    while (my->have_bytes < pipe->filled_bytes) {
        coil_attempt(my->count, coil_read(pipe->fds[0], my->bytes + my->have_bytes,
                                        pipe->filled_bytes - my->have_bytes));
        my->have_bytes += (size_t)my->count;
    }
    pipe->filled_bytes = 0;
    return coil_stream_unread_again(way->from, &my->rest);
}

/* What is in the pipe comes next again. If that fails, nothing does: there would be a gap. */
coil_async(int, put_back_pipe, (direction *) way, (splice_pipe *) pipe)
{
    coil_vars(int rc);

    if (pipe->filled_bytes == 0)
        return 0;
    coil_await(my->rc, read_back(way, pipe));
    if (my->rc < 0)
        coil_receiver_fail(way->from, my->rc);
    return my->rc;
}

/* Empty the pipe. Others may write between two calls, not between the bytes of one. */
coil_async(int, splice_out, (direction *) way, (splice_pipe *) pipe)
{
    coil_vars(ssize_t count);

    coil_attempt(coil_sender_hold(coil_receiver_sender(way->to)));
    coil_defer(coil_sender_release(coil_receiver_sender(way->to), false));
    while (pipe->filled_bytes > 0) {
        coil_attempt(my->count, splice_pipe_empty(pipe, way->to));
        count(way, my->count);
    }
    return 0;
}

/*
 * Nothing has been received by us: let the kernel move what comes. 1, 0 at the end. (What end it
 * is, the receiver knows: of the stream, or of a connection that a write was told is lost.)
 */
coil_async(int, splice_some, (direction *) way, (splice_pipe *) pipe)
{
    coil_vars(ssize_t count; int rc);
    const int fd = coil_stream_fd(way->from);

    coil_attempt(coil_poll(fd, POLLIN | POLLRDHUP));
    coil_await(my->count, splice_pipe_fill(pipe, coil_stream_fd(way->from), -1, SPLICE_BYTES));
    if (my->count < 0) {
        /* Nobody else is told. */
        coil_sender_failed(coil_receiver_sender(way->from), (int)my->count);
        return (int)my->count;
    }
    if (my->count == 0) {
        coil_attempt(my->rc, copy_some(way));
        return my->rc;
    }
    coil_receiver_head_of(way->from)->taken_bytes += (uint64_t)my->count;
    coil_attempt(splice_out(way, pipe));
    return 1;
}

/* What has been received comes first, and then also what we receive by ourselves. */
coil_async(int, splice_all, (direction *) way)
{
    coil_vars(splice_pipe pipe; int rc);

    my->rc = splice_pipe_open(&my->pipe);
    if (my->rc < 0)
        return my->rc;
    coil_defer(splice_pipe_close(&my->pipe));
    coil_defer(coil_ignore(put_back_pipe(way, &my->pipe)));
    do {
        coil_attempt(coil_receiver_pause(way->from)); /* Also what copy_some() has begun. */
        my->rc = coil_receiver_look(way->from, coil_self);
        if (my->rc > 0) {
            coil_attempt(my->rc, copy_some(way));
        } else if (my->rc == -EAGAIN) {
            coil_attempt(my->rc, splice_some(way, &my->pipe));
        }
    } while (my->rc > 0);
    return my->rc;
}

/* ------------------------------------------------------------------------------------- API -- */

coil_async(int, run_way, (direction *) way, (bool) splices)
{
    coil_vars();

    if (splices && !coil_stream_is_layered(way->from) && !coil_stream_is_layered(way->to)) {
        coil_attempt(splice_all(way));
    } else {
        coil_attempt(copy_all(way));
    }
    coil_attempt(hand_on_end(way));
    return 0;
}

static const coil_relay_options none;

/* NOLINTNEXTLINE(readability-non-const-parameter): its way counts there. */
coil_define(int, coil_relay_one_way, (coil_stream *) from, (coil_stream *) to,
        (const coil_relay_options *) options, (uint64_t *) bytes)
{
    coil_vars(direction way; coil_timeout idle);
    const coil_relay_options *wanted = options != NULL ? options : &none;

    my->way = (direction){.from = from, .to = to, .bytes = bytes};
    if (wanted->idle_limit > 0) {
        my->way.idle = &my->idle;
        my->way.idle_limit = wanted->idle_limit;
        coil_open_timeout(&my->idle, wanted->idle_limit);
    }
    coil_attempt(run_way(&my->way, options != NULL && options->splices));
    return 0;
}

coil_define(int, coil_relay, (coil_stream *) one, (coil_stream *) other,
        (const coil_relay_options *) options, (coil_relay_counts *) counts)
{
    coil_vars(direction forth; direction back; coil_relay_counts own; coil_timeout idle;
              coil_group both);
    const coil_relay_options *wanted = options != NULL ? options : &none;
    coil_relay_counts *result = counts != NULL ? counts : &my->own;
    const bool splices = wanted->splices;

    *result = (coil_relay_counts){0, 0};
    my->forth = (direction){.from = one, .to = other, .bytes = &result->forth_bytes};
    my->back = (direction){.from = other, .to = one, .bytes = &result->back_bytes};
    if (wanted->idle_limit > 0) {
        my->forth.idle = my->back.idle = &my->idle;
        my->forth.idle_limit = my->back.idle_limit = wanted->idle_limit;
        coil_open_timeout(&my->idle, wanted->idle_limit);
    }
    coil_open_group(&my->both);
    coil_spawn(&my->both, run_way(&my->forth, splices));
    coil_spawn(&my->both, run_way(&my->back, splices));
    coil_attempt(coil_group_join(&my->both));
    return 0;
}
