/* SPDX-License-Identifier: MIT */
/* Of coil/thrift_server.h: waiting for bytes, and the messages in them. */
#include "thrift_server_private.h"

#include <errno.h>

enum {
    FLUSH_BYTES = 64 * 1024, /* Replies are sent at the latest when there are so many. */
    FRAME_LIMIT_S = 30,      /* The default. */
};

/*
 * Wait until so many bytes are there, in one piece, which stay with the stream. 1; 0, the stream
 * has ended; -ENODATA, it has ended among them.
 */
coil_leaf(int, arrival, (coil_stream *) stream, (size_t) size_bytes);

static coil_turn arrival_step(coil_task *task, coil_frame *leaf)
{
    const struct arrival__args *arguments = coil_arguments(arrival, leaf);
    coil_stream *stream = arguments->stream;
    const coil_slice *front = coil_receiver_front(stream);

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    int rc = coil_receiver_look(stream, task);
    while (rc > 0 && (size_t)front->size_bytes < arguments->size_bytes)
        rc = coil_receiver_extend(stream, task);
    if (rc == -EAGAIN) {
        if (leaf->at != NULL && coil_task_unwind_here(task))
            return coil_leave(task, leaf);
        coil_receiver_wait(stream, task);
        return coil_leaf_suspend(leaf);
    }
    coil_result(arrival, leaf) = rc == 0 && front->size_bytes > 0 ? -ENODATA : rc;
    return coil_leave(task, leaf);
}

coil_leaf_fn(arrival, arrival_step, coil_leaf_wake);

/* The same for the first byte; 0, too, when nothing has gone on for too long. */
coil_async(int, arrival_or_idleness, (thrift_connection *) peer)
{
    coil_vars(int rc; coil_time deadline);

    peer->active_at = coil_now();
    my->deadline = coil_time_after(peer->active_at, peer->server->idle_limit);
    for (;;) {
        coil_await(my->rc, coil_until(my->deadline, arrival(peer->stream, 1)));
        if (my->rc != -ETIME)
            return my->rc;
        const coil_time since = peer->call_count > 0 ? coil_now() : peer->active_at;
        my->deadline = coil_time_after(since, peer->server->idle_limit);
        if (my->deadline <= coil_now())
            return 0;
    }
}

static void begin_waiting(thrift_connection *peer)
{
    if (!peer->is_plain)
        thrift_transport_rest(&peer->transport);
    peer->is_waiting = true;
    thrift_rest_if_idle(peer);
}

static void end_waiting(thrift_connection *peer)
{
    peer->is_waiting = false;
    if (peer->session != NULL)
        coil_session_busy(peer->session);
}

static void set_frame_deadline(thrift_connection *peer)
{
    peer->frame_deadline =
            coil_time_after(coil_now(), thrift_limit_of(peer->server->frame_limit, FRAME_LIMIT_S));
}

/* The rest of a message that has begun. 1, or an error. */
coil_async(int, await_rest, (thrift_connection *) peer)
{
    coil_vars(int rc);

    if (peer->frame_deadline == 0)
        set_frame_deadline(peer);
    for (;;) {
        coil_await(my->rc,
                coil_until(peer->frame_deadline, arrival(peer->stream, peer->wanted_bytes)));
        if (my->rc != -ETIME || !peer->is_told_late)
            return my->rc;
        /* It is we who took so long. If it has just been told to go on, its time begins now. */
        peer->is_told_late = peer->awaited_count > 0;
        set_frame_deadline(peer);
    }
}

/* A frame of the binary protocol, as nearly all are, on a connection that has had one before. */
static bool is_plain_frame(const thrift_connection *peer, const coil_slice *front)
{
    const uint8_t *bytes = (const uint8_t *)front->bytes;

    return peer->is_plain && front->size_bytes > COIL_THRIFT_LENGTH_BYTES + 1 &&
           bytes[COIL_THRIFT_LENGTH_BYTES] == 0x80 && bytes[COIL_THRIFT_LENGTH_BYTES + 1] == 0x01;
}

/* The bytes that were taken, which the message may lie in. */
static void take_front(thrift_connection *peer, coil_slice *front, size_t size_bytes)
{
    coil_receiver_head_of(peer->stream)->taken_bytes += size_bytes;
    if (size_bytes > 0)
        peer->frame = coil_slice_split(front, (int64_t)size_bytes);
}

/* What cut_message() does, where it is known how. */
static int cut_plain_frame(thrift_connection *peer, coil_slice *front)
{
    const uint8_t *first = (const uint8_t *)front->bytes;
    const int size = coil_thrift_frame_size(first, peer->transport.limits);

    if (size < 0)
        return size;
    peer->wanted_bytes = COIL_THRIFT_LENGTH_BYTES + (size_t)size;
    if ((size_t)front->size_bytes < peer->wanted_bytes)
        return 0;
    /* (Not all of it: the rest is looked at with HTTP only.) */
    peer->envelope.message = first + COIL_THRIFT_LENGTH_BYTES;
    peer->envelope.size = (uint32_t)size;
    peer->envelope.copied = false; /* (And what is inflated, is copied.) */
    peer->envelope.kind = (thrift_kind){.transport = COIL_THRIFT_TRANSPORT_FRAMED};
    peer->envelope.headers = (coil_thrift_headers){.bytes = NULL};
    take_front(peer, front, peer->wanted_bytes);
    return 1;
}

/* Has the transport, which wants more, the beginning of a message? */
static bool has_begun(const thrift_connection *peer)
{
    const thrift_transport *transport = &peer->transport;

    if (transport->is_inflating)
        return transport->inflated.size > transport->inflated_used;
    return peer->is_within || transport->taken > 0;
}

/* Behind the replies that are due, as if it were one: the peer counts them. */
static COIL_COLD void say_interim(thrift_connection *peer)
{
    peer->envelope = (thrift_envelope){.kind = peer->transport.kind};
    peer->is_told_late = peer->awaited_count > 0;
    thrift_call *call = thrift_call_take(peer);
    if (call == NULL) {
        thrift_connection_break(peer, -ENOMEM);
        return;
    }
    thrift_call_forget_message(call);
    thrift_order_say_as(call, peer->transport.interim);
    thrift_order_deliver(call);
}

static COIL_NOINLINE int cut_any_message(thrift_connection *peer, coil_slice *front)
{
    thrift_transport *transport = &peer->transport;
    const uint8_t *bytes = (const uint8_t *)front->bytes;
    const size_t size = front->size_bytes > 0 ? (size_t)front->size_bytes : 0;

    const int rc = thrift_transport_next(transport, bytes, size, &peer->envelope);
    if (rc < 0) {
        thrift_refuse_bytes(peer, rc);
        return rc;
    }
    take_front(peer, front, transport->taken);
    if (rc == 0 && transport->interim.size > 0)
        say_interim(peer);
    if (rc > 0) {
        const thrift_kind *kind = &peer->envelope.kind;
        peer->is_told_late = false;
        peer->is_within = false;
        peer->is_plain = kind->transport == COIL_THRIFT_TRANSPORT_FRAMED && !peer->envelope.copied;
        return 1;
    }
    coil_slice_release(&peer->frame);
    peer->is_within = has_begun(peer);
    peer->wanted_bytes = transport->wanted > 0 ? transport->wanted : 1;
    return 0;
}

/* The next message, if all of it is there: 1. 0: peer->wanted_bytes have to be; or an error. */
static int cut_message(thrift_connection *peer)
{
    coil_slice *front = coil_receiver_front(peer->stream);
    int rc = -EMSGSIZE;

    if (coil_likely(is_plain_frame(peer, front)))
        rc = cut_plain_frame(peer, front);
    if (coil_unlikely(rc < 0)) {
        if (front->size_bytes <= 0 && !peer->transport.is_inflating) {
            peer->wanted_bytes = 1;
            return 0;
        }
        rc = cut_any_message(peer, front);
    }
    if (rc > 0)
        peer->frame_deadline = 0;
    return rc;
}

/* The peer has ended its side: 0, or that was the end of its last message: 1; or an error. */
static COIL_COLD int end_of_stream(thrift_connection *peer, int rc)
{
    const coil_slice *front = coil_receiver_front(peer->stream);
    const size_t size = front->size_bytes > 0 ? (size_t)front->size_bytes : 0;

    if (peer->is_over && peer->error < 0)
        return peer->error; /* It was a call that ended us, whose error may look like the end. */
    if (rc != 0 && rc != -ENODATA)
        return rc;
    rc = thrift_transport_end(
            &peer->transport, (const uint8_t *)front->bytes, size, &peer->envelope);
    if (rc < 0)
        thrift_refuse_bytes(peer, rc);
    return rc;
}

bool thrift_take_message(thrift_connection *peer)
{
    coil_slice *front = coil_receiver_front(peer->stream);

    if (!is_plain_frame(peer, front))
        return false;
    if (coil_unlikely(peer->out != NULL && peer->out->writer.size > FLUSH_BYTES))
        return false;
    if (cut_plain_frame(peer, front) <= 0)
        return false;
    peer->frame_deadline = 0;
    return true;
}

coil_define(int, thrift_next_message, (thrift_connection *) peer)
{
    coil_vars(int rc);

    for (;;) {
        my->rc = cut_message(peer);
        if (my->rc < 0)
            return my->rc;
        if (peer->out != NULL && (my->rc == 0 || peer->out->writer.size > FLUSH_BYTES))
            coil_attempt(thrift_flush(peer));
        if (my->rc > 0)
            return 1;
        if (peer->is_within || coil_stream_unread(peer->stream) > 0) {
            coil_await(my->rc, await_rest(peer));
        } else if (peer->server->idle_limit > 0) {
            begin_waiting(peer);
            coil_await(my->rc, arrival_or_idleness(peer));
            end_waiting(peer);
        } else {
            begin_waiting(peer);
            coil_await(my->rc, arrival(peer->stream, 1));
            end_waiting(peer);
        }
        if (coil_unlikely(my->rc <= 0))
            return end_of_stream(peer, my->rc);
    }
}
