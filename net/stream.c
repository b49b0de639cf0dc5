/* SPDX-License-Identifier: MIT */
#include <coil/stream.h>

#include "connector_private.h"

#include <coil/connector.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/layer.h>
#include <coil/sched.h>
#include <coil/sender.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

/* ------------------------------------------------------------------------------- lifecycle -- */

int coil_stream_create(int fd, coil_transport transport, coil_stream **out_stream)
{
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL);
    return coil_receiver_create(loop, fd, transport, out_stream);
}

int coil_stream_pair(coil_stream **out_one, coil_stream **out_other)
{
    int fds[2];
    coil_stream *one = NULL;
    coil_stream *other = NULL;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (rc < 0)
        return rc;
    rc = coil_stream_create(fds[0], COIL_TRANSPORT_SOCKET, &one);
    if (rc < 0) {
        coil_close_later(coil_loop_current(), fds[1]);
        return rc;
    }
    rc = coil_stream_create(fds[1], COIL_TRANSPORT_SOCKET, &other);
    if (rc < 0) {
        coil_stream_close(one);
        return rc;
    }
    *out_one = one;
    *out_other = other;
    return 0;
}

void coil_stream_close(coil_stream *stream)
{
    if (stream == NULL)
        return;
    COIL_CHECK(!coil_sender_busy(coil_receiver_sender(stream)));
    coil_receiver_close(stream);
}

void coil_stream_abort(coil_stream *stream)
{
    const struct linger reset = {.l_onoff = 1};

    if (stream == NULL)
        return;
    if (coil_receiver_sender(stream)->is_socket && !coil_fd_is_direct(coil_stream_fd(stream))) {
        (void)coil_kernel_setsockopt(
                coil_stream_fd(stream), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    coil_stream_close(stream);
}

int coil_stream_fd(const coil_stream *stream)
{
    return coil_receiver_fd(stream);
}

size_t coil_stream_unread(const coil_stream *stream)
{
    return (size_t)coil_receiver_in_front(stream);
}

uint64_t coil_stream_bytes_read(const coil_stream *stream)
{
    return ((const coil_receiver_head *)(const void *)stream)->taken_bytes;
}

uint64_t coil_stream_bytes_written(const coil_stream *stream)
{
    return ((const coil_receiver_head *)(const void *)stream)->sender.sent_bytes;
}

coil_define(coil_stream *, coil_connect, (const char *) address)
{
    coil_vars(coil_address to; int fd; int rc; coil_stream *stream);

    my->rc = coil_address_parse(address, &my->to);
    if (my->rc == -EINVAL) {
        coil_await(my->stream, coil_connect_to(NULL, address, NULL));
        return my->stream;
    }
    if (my->rc < 0)
        return coil_error_pointer(my->rc);
    my->fd = coil_kernel_socket(my->to.storage.ss_family, SOCK_STREAM, 0);
    if (my->fd < 0)
        return coil_error_pointer(my->fd);
    coil_defer(if (my->fd >= 0) coil_close_later(coil_loop_current(), my->fd));

    int one = 1;
    if (my->to.storage.ss_family != AF_UNIX)
        (void)coil_kernel_setsockopt(my->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    coil_await(my->rc, coil_connect_fd(my->fd, &my->to.socket, my->to.size_bytes));
    if (my->rc == 0)
        my->rc = connector_check(my->fd, &my->to);
    if (my->rc == 0) {
        my->rc = coil_stream_create(my->fd, COIL_TRANSPORT_SOCKET, &my->stream);
        my->fd = -1;
    }
    return my->rc < 0 ? coil_error_pointer(my->rc) : my->stream;
}

/* --------------------------------------------------------------------------------- writing -- */

void coil_stream_share_turns(coil_stream *stream)
{
    coil_sender_share_turns(coil_receiver_sender(stream));
}

/* It begins with a sender: coil_sender_write() by another name. */
static_assert(offsetof(struct coil_write_all__frame, co__ret) ==
                              offsetof(struct coil_sender_write__frame, co__ret) &&
                      offsetof(struct coil_write_all__frame, co__a.stream) ==
                              offsetof(struct coil_sender_write__frame, co__a.sender) &&
                      offsetof(struct coil_write_all__frame, co__a.bytes) ==
                              offsetof(struct coil_sender_write__frame, co__a.bytes),
        "coil_sender_step() finds what it looks for");

coil_define_leaf(coil_write_all, coil_sender_step, coil_sender_cancel);

bool coil_stream_is_layered(const coil_stream *stream)
{
    return ((const coil_receiver_head *)(const void *)stream)->sender.is_layered;
}

/* A layer copies what is written anyhow, and takes one slice. */
coil_async(int, write_in_one, (coil_stream *) stream, (const coil_slice *) parts, (unsigned) count)
{
    coil_vars(coil_slice whole; char *bytes);
    int64_t size_bytes = 0;

    for (unsigned i = 0; i < count; i++)
        size_bytes += parts[i].size_bytes > 0 ? parts[i].size_bytes : 0;
    if (size_bytes == 0)
        return 0;
    const int rc = coil_slice_create((size_t)size_bytes, &my->bytes, &my->whole);
    if (rc < 0)
        return rc;
    coil_defer(coil_slice_release(&my->whole));
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].size_bytes > 0)
            my->bytes = mempcpy(my->bytes, parts[i].bytes, (size_t)parts[i].size_bytes);
    }
    coil_attempt(coil_write_all(stream, my->whole));
    return 0;
}

coil_define(
        int, coil_write_parts, (coil_stream *) stream, (const coil_slice *) parts, (unsigned) count)
{
    coil_vars(int rc);

    if (coil_stream_is_layered(stream)) {
        coil_await(my->rc, write_in_one(stream, parts, count));
    } else {
        coil_await(my->rc, coil_sender_write_parts(coil_receiver_sender(stream), parts, count));
    }
    return my->rc;
}

enum { LAYERED_BYTES = 16 * 1024 /* A record of TLS: RFC 8446, 5.1. */ };

coil_define(ssize_t, coil_write_some, (coil_stream *) stream, (coil_slice) bytes)
{
    coil_vars(ssize_t count; coil_slice piece);

    if (coil_stream_is_layered(stream)) {
        my->piece = bytes;
        if (my->piece.size_bytes > LAYERED_BYTES)
            my->piece.size_bytes = LAYERED_BYTES;
        coil_attempt(coil_write_all(stream, my->piece));
        return my->piece.size_bytes;
    }
    coil_await(my->count, coil_sender_write_some(coil_receiver_sender(stream), bytes));
    return my->count;
}

coil_define(int, coil_stream_flush, (coil_stream *) stream)
{
    coil_vars();

    if (coil_stream_is_layered(stream)) {
        coil_attempt(coil_layer_drain(coil_layer_of(stream)));
    } else {
        coil_attempt(coil_sender_hold(coil_receiver_sender(stream)));
        coil_sender_release(coil_receiver_sender(stream), false);
    }
    return 0;
}

coil_async(int, shut_down_socket, (int) fd)
{
    coil_vars(int rc);

    if (!coil_fd_is_direct(fd))
        return coil_kernel_shutdown(fd, SHUT_WR); /* The operation takes a thread to do this. */
    coil_await(my->rc, coil_shutdown(fd, SHUT_WR));
    return my->rc;
}

/* Others are writing: it is our turn when they are through, whatever has become of them. */
coil_async(int, shut_down_in_turn, (coil_stream *) stream)
{
    coil_vars(int rc; bool holds);

    coil_defer(if (my->holds) coil_sender_release(coil_receiver_sender(stream), false));
    coil_await(my->rc, coil_sender_hold(coil_receiver_sender(stream)));
    my->holds = my->rc == 0;
    if (my->rc == 0 || my->rc == -EPIPE)
        coil_await(my->rc, shut_down_socket(coil_stream_fd(stream)));
    return my->rc;
}

coil_define(int, coil_stream_shutdown, (coil_stream *) stream)
{
    coil_vars(int rc; coil_layer *layer);

    my->layer = coil_layer_of(stream);
    if (my->layer != NULL) {
        coil_await(my->rc, coil_layer_finish(my->layer));
        if (my->rc == 0)
            coil_await(my->rc, coil_stream_shutdown(my->layer->below));
    } else if (coil_sender_busy(coil_receiver_sender(stream))) {
        coil_await(my->rc, shut_down_in_turn(stream));
    } else {
        coil_await(my->rc, shut_down_socket(coil_stream_fd(stream)));
    }
    return my->rc;
}

/* ------------------------------------------------------------------------------------- idle -- */

/* A large write is counted when all of it is out. That it moves, TCP knows. */
static uint64_t acknowledged(const coil_stream *stream)
{
    const int fd = coil_stream_fd(stream);
    const int64_t bytes = coil_fd_is_direct(fd) ? 0 : coil_kernel_bytes_acknowledged(fd);
    return bytes < 0 ? 0 : (uint64_t)bytes;
}

static uint64_t activity_of(const coil_stream *stream)
{
    return coil_stream_bytes_read(stream) + coil_stream_bytes_written(stream) +
           (uint64_t)coil_receiver_queued(stream) + acknowledged(stream);
}

coil_define(int, coil_stream_watch_idle, (coil_stream *) stream, (coil_duration) limit)
{
    coil_vars(uint64_t activity; coil_time since);

    my->activity = activity_of(stream);
    my->since = coil_task_now(coil_self);
    while (coil_task_now(coil_self) < coil_time_after(my->since, limit)) {
        coil_await(coil_sleep(limit / 4 + 1));
        if (my->activity != activity_of(stream)) {
            my->activity = activity_of(stream);
            my->since = coil_task_now(coil_self);
        }
    }
    return -ETIME;
}
