/* SPDX-License-Identifier: MIT */
#include <coil/thrift_server.h>

#include "linger.h"
#include "listener_private.h"
#include "thrift_typed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FLUSH_BYTES = 64 * 1024, /* Replies are sent at the latest when there are so many. */
    PART_BYTES = 64 * 1024,  /* What a peer has to take within reply_limit. */
    KEEP_BYTES = 256 * 1024, /* Memory for replies that a connection keeps for later ones. */
    FRAME_LIMIT_S = 30,      /* The defaults. */
    REPLY_LIMIT_S = 60,
    WHAT_BYTES = 160,
};

typedef struct connection {
    coil_thrift_server *server;
    coil_session *session; /* NULL: it is not of a coil_server. */
    coil_stream *stream;
    coil_thrift_writer writer;
    coil_thrift_call call;
    coil_arena arena;
    coil_slice frame;
    coil_time frame_deadline; /* For the rest of the frame that has begun. */
} connection;

coil_thrift_writer *coil_thrift_reply(coil_thrift_call *call)
{
    COIL_CHECK(!call->replying);
    coil_thrift_message reply = call->message;
    reply.type = COIL_THRIFT_REPLY;
    coil_thrift_writer_begin(call->writer, &reply);
    call->replying = true;
    return call->writer;
}

void coil_thrift_no_reply(coil_thrift_call *call)
{
    COIL_CHECK(!call->replying);
    call->message.type = COIL_THRIFT_ONEWAY;
}

/* --------------------------------------------------------------------------------- methods -- */

static bool find_in(coil_thrift_service *service, coil_thrift_text name, coil_thrift_call *call)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (coil_thrift_text_is(name, service->methods[i].name)) {
            call->service = service;
            call->method = &service->methods[i];
            return true;
        }
    }
    return false;
}

/* Find the method that the message names, and reduce the name to what the reply repeats. */
static bool find_method(const coil_thrift_server *server, coil_thrift_call *call)
{
    coil_thrift_text name = call->message.name;
    coil_thrift_text service_name = {NULL, 0};
    const char *colon = name.size == 0 ? NULL : memchr(name.bytes, ':', name.size);

    if (colon != NULL) {
        service_name = (coil_thrift_text){name.bytes, (uint32_t)(colon - name.bytes)};
        name = (coil_thrift_text){colon + 1, name.size - service_name.size - 1};
        call->message.name = name;
    }
    for (size_t i = 0; i < server->service_count; i++) {
        coil_thrift_service *service = server->services[i];
        if (colon != NULL && !coil_thrift_text_is(service_name, service->name))
            continue;
        if (find_in(service, name, call))
            return true;
    }
    return false;
}

/* --------------------------------------------------------------------------------- replies -- */

static int reply_exception(connection *peer, enum coil_thrift_exception_type type, const char *what)
{
    peer->server->stats.exceptions++;
    if (peer->call.message.type == COIL_THRIFT_ONEWAY)
        return 0;
    int rc = coil_thrift_reply_exception(
            &peer->writer, &peer->call.message, type, coil_thrift_text_of(what));
    return rc < 0 ? rc : 0;
}

/* Is it what the bytes were, rather than what the handler did? */
static bool is_protocol_error(int error)
{
    return error == -EBADMSG || error == -ENODATA || error == -EMSGSIZE || error == -ELOOP;
}

/* What was wrong with the arguments. A handler that has not read them all does not want to. */
static int arguments_error(coil_thrift_reader *arguments)
{
    if (arguments->error == 0 && arguments->depth > 0)
        return 0;
    return coil_thrift_reader_finish(arguments);
}

/* The handler has returned: complete its reply, or say why there is none. 0, or we hang up. */
static int finish_call(connection *peer, void *typed, int handler_result)
{
    coil_thrift_call *call = &peer->call;
    char what[WHAT_BYTES];
    int rc = arguments_error(&call->arguments);

    if (rc < 0) {
        coil_thrift_writer_abandon(&peer->writer);
        (void)coil_thrift_reader_what(&call->arguments, what, sizeof(what));
        const int error = reply_exception(peer, COIL_THRIFT_PROTOCOL_ERROR, what);
        return is_protocol_error(rc) ? rc : error; /* Above a limit of ours: it may go on. */
    }
    if (handler_result < 0) {
        coil_thrift_writer_abandon(&peer->writer);
        (void)snprintf(what, sizeof(what), "%s failed: %s", call->method->name,
                coil_error_text(handler_result));
        return reply_exception(peer,
                is_protocol_error(handler_result) ? COIL_THRIFT_PROTOCOL_ERROR
                                                  : COIL_THRIFT_INTERNAL_ERROR,
                what);
    }
    if (call->message.type == COIL_THRIFT_ONEWAY) {
        coil_thrift_writer_abandon(&peer->writer);
        return 0;
    }
    if (call->method->schema != NULL) {
        thrift_typed_end(call, typed);
    } else {
        if (!call->replying)
            (void)coil_thrift_reply(call);
        coil_thrift_write_stop(&peer->writer);
    }
    rc = coil_thrift_writer_finish(&peer->writer);
    if (rc >= 0)
        return 0;
    (void)snprintf(
            what, sizeof(what), "the reply of %s: %s", call->method->name, coil_error_text(rc));
    return reply_exception(peer, COIL_THRIFT_INTERNAL_ERROR, what);
}

/* --------------------------------------------------------------------------------- reading -- */

static coil_duration limit_of(coil_duration limit, int64_t default_s)
{
    return limit > 0 ? limit : coil_s(default_s);
}

coil_async(int, flush, (connection *) peer)
{
    coil_vars(size_t sent_bytes);

    while (my->sent_bytes < peer->writer.size) {
        const char *rest = (const char *)peer->writer.bytes + my->sent_bytes;
        size_t part_bytes = peer->writer.size - my->sent_bytes;
        if (part_bytes > PART_BYTES)
            part_bytes = PART_BYTES;
        my->sent_bytes += part_bytes;
        coil_attempt(coil_within(limit_of(peer->server->reply_limit, REPLY_LIMIT_S),
                coil_write_all(peer->stream, coil_bytes(rest, part_bytes))));
    }
    coil_thrift_writer *writer = &peer->writer;
    if (writer->size > KEEP_BYTES)
        coil_thrift_writer_fini(writer); /* One large reply is no reason to keep so much. */
    coil_thrift_writer_reset(writer);
    return 0;
}

static int protocol_error(connection *peer, int error, const char *what)
{
    peer->call.message = (coil_thrift_message){.type = COIL_THRIFT_CALL};
    (void)reply_exception(peer, COIL_THRIFT_PROTOCOL_ERROR, what);
    return error;
}

/*
 * Wait for the first bytes of a frame, which stay with the stream. 1; 0 when the peer has ended the
 * connection, or been idle for too long.
 */
coil_async(int, first_bytes, (connection *) peer)
{
    coil_vars(coil_slice first);

    if (peer->session != NULL)
        coil_session_idle(peer->session);
    if (peer->server->idle_limit > 0) {
        coil_await(my->first, coil_within(peer->server->idle_limit, coil_read_some(peer->stream)));
    } else {
        coil_await(my->first, coil_read_some(peer->stream));
    }
    if (peer->session != NULL)
        coil_session_busy(peer->session);
    if (my->first.size_bytes == -ETIME)
        return 0;
    if (my->first.size_bytes <= 0)
        return (int)my->first.size_bytes;
    int rc = coil_stream_unread_again(peer->stream, &my->first);
    return rc < 0 ? rc : 1;
}

/* So many bytes of a frame, into peer->frame. Replies leave before we wait. 1, or an error. */
coil_async(int, read_part, (connection *) peer, (size_t) size_bytes)
{
    coil_vars();

    if (coil_stream_unread(peer->stream) >= size_bytes) {
        coil_await(peer->frame, coil_read_block(peer->stream, size_bytes));
    } else {
        coil_attempt(flush(peer));
        coil_await(peer->frame,
                coil_until(peer->frame_deadline, coil_read_block(peer->stream, size_bytes)));
    }
    if (peer->frame.size_bytes > 0)
        return 1;
    return peer->frame.size_bytes == 0 ? -ENODATA : (int)peer->frame.size_bytes;
}

/* The size of the frame whose length is in peer->frame. */
static int take_size(connection *peer)
{
    const uint8_t *first = (const uint8_t *)peer->frame.bytes;
    const coil_thrift_limits *limits = peer->server->limits;
    char what[WHAT_BYTES];

    int size = coil_thrift_frame_size(first, limits);
    if (size < 0) {
        size = protocol_error(
                peer, size, coil_thrift_frame_what(first, limits, what, sizeof(what)));
    }
    coil_slice_release(&peer->frame);
    return size;
}

/*
 * The next frame, into peer->frame. Result: 1; 0 when the peer has ended the connection, or been
 * idle for too long.
 */
coil_async(int, next_frame, (connection *) peer)
{
    coil_vars(int rc);

    if (peer->writer.size > FLUSH_BYTES ||
            coil_stream_unread(peer->stream) < COIL_THRIFT_LENGTH_BYTES)
        coil_attempt(flush(peer));
    if (coil_stream_unread(peer->stream) == 0) {
        coil_attempt(my->rc, first_bytes(peer));
        if (my->rc == 0)
            return 0;
    }
    coil_duration limit = peer->server->frame_limit;
    peer->frame_deadline = coil_time_after(coil_now(), limit_of(limit, FRAME_LIMIT_S));

    coil_attempt(read_part(peer, COIL_THRIFT_LENGTH_BYTES));
    my->rc = take_size(peer);
    if (my->rc < 0)
        return my->rc;
    coil_attempt(my->rc, read_part(peer, (size_t)my->rc));
    return my->rc;
}

/* Read the header of the message in peer->frame. 1: call the method; 0: done; else hang up. */
static int begin_call(connection *peer)
{
    coil_thrift_call *call = &peer->call;
    char what[WHAT_BYTES];

    call->replying = false;
    coil_thrift_reader_init(&call->arguments, peer->frame.bytes, (uint32_t)peer->frame.size_bytes,
            peer->server->limits);
    if (!coil_thrift_read_message(&call->arguments, &call->message)) {
        int error = coil_thrift_reader_finish(&call->arguments);
        (void)coil_thrift_reader_what(&call->arguments, what, sizeof(what));
        return protocol_error(peer, error, what);
    }
    if (call->message.type != COIL_THRIFT_CALL && call->message.type != COIL_THRIFT_ONEWAY) {
        (void)reply_exception(peer, COIL_THRIFT_INVALID_MESSAGE_TYPE, "a server takes calls only");
        return -EBADMSG;
    }
    peer->server->stats.calls++;
    if (find_method(peer->server, call))
        return 1;
    (void)snprintf(what, sizeof(what), "unknown method '%.*s'",
            call->message.name.size > 64 ? 64 : (int)call->message.name.size,
            call->message.name.bytes);
    return reply_exception(peer, COIL_THRIFT_UNKNOWN_METHOD, what);
}

/*
 * The peer is being turned away. If we closed while it is still sending, the reset that answers
 * this would overtake our explanation.
 */
coil_async(int, turn_away, (connection *) peer)
{
    coil_vars();

    coil_attempt(flush(peer));
    coil_attempt(linger(peer->stream));
    return 0;
}

/* ----------------------------------------------------------------------------- connections -- */

static void close_connection(connection *peer)
{
    peer->server->stats.open_connections--;
    coil_slice_release(&peer->frame);
    coil_arena_fini(&peer->arena);
    coil_thrift_writer_fini(&peer->writer);
    if (peer->session == NULL)
        coil_stream_close(peer->stream);
    free(peer);
}

/* What the handler takes. */
static int prepare(connection *peer, void **out_argument)
{
    *out_argument = &peer->call;
    coil_arena_reset(&peer->arena);
    if (peer->call.method->schema == NULL)
        return 0;
    return thrift_typed_begin(&peer->call, (size_t)peer->frame.size_bytes, out_argument);
}

coil_async(int, converse, (connection *) peer)
{
    coil_vars(int rc; void *argument);

    for (;;) {
        coil_attempt(my->rc, next_frame(peer));
        if (my->rc == 0)
            return 0;
        my->rc = begin_call(peer);
        if (my->rc > 0) {
            my->rc = prepare(peer, &my->argument);
            if (my->rc == 0)
                coil_await(my->rc, coil_handler_call(peer->call.method->handler, my->argument));
            my->rc = finish_call(peer, my->argument, my->rc);
        }
        coil_slice_release(&peer->frame);
        if (my->rc < 0)
            return my->rc;
    }
}

coil_async(int, serve_connection, (connection *) peer)
{
    coil_vars(int rc);

    coil_defer(close_connection(peer));
    coil_await(my->rc, converse(peer));
    if (is_protocol_error(my->rc)) {
        peer->server->stats.protocol_errors++;
        coil_ignore(coil_within(coil_s(LINGER_S), turn_away(peer)));
    }
    return my->rc;
}

static connection *open_connection(coil_thrift_server *server, coil_stream *stream)
{
    connection *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        coil_stream_close(stream);
        return NULL;
    }
    peer->server = server;
    peer->stream = stream;
    peer->call.peer = stream;
    peer->call.writer = &peer->writer;
    peer->call.arena = &peer->arena;
    peer->call.server = server;
    coil_arena_init(&peer->arena, thrift_arena_max(server));
    coil_thrift_writer_init(&peer->writer, server->limits);
    server->stats.connections++;
    server->stats.open_connections++;
    return peer;
}

/* Only ever ends with an error. */
coil_async(int, accept_connections, (coil_group *) connections, (coil_listener *) listener,
        (coil_thrift_server *) server)
{
    coil_vars(coil_stream *stream);

    for (;;) {
        if (connections->limit > 0)
            coil_attempt(coil_group_room(connections));
        my->stream = listener_accept_now(listener);
        if (my->stream == NULL)
            coil_attempt(my->stream, coil_accept_patiently(listener));
        connection *peer = open_connection(server, my->stream);
        if (peer != NULL && coil_spawn(connections, serve_connection(peer)) == NULL)
            close_connection(peer);
    }
}

coil_define(int, coil_thrift_serve, (coil_listener *) listener, (coil_thrift_server *) server)
{
    coil_vars(coil_group connections; int rc);

    coil_open_group(&my->connections);
    my->connections.keep_going = true;
    my->connections.limit = listener->max_connections;
    coil_await(my->rc, accept_connections(&my->connections, listener, server));
    if (my->rc != -ESHUTDOWN)
        return my->rc;
    /* Whoever accepted for all loops has left: the connections that there are go on. */
    coil_ignore(coil_group_join(&my->connections));
    return 0;
}

coil_define(int, coil_thrift_serve_session, (coil_session *) session, (coil_thrift_server *) server)
{
    coil_vars(connection *peer);

    my->peer = open_connection(server, session->stream);
    if (my->peer == NULL) {
        session->stream = NULL; /* It has been closed. */
        return -ENOMEM;
    }
    my->peer->session = session;
    coil_attempt(serve_connection(my->peer));
    return 0;
}

/* A server whose sessions are those of one Thrift server. */
typedef struct graceful_server {
    coil_server server;
    coil_thrift_server *thrift;
} graceful_server;

coil_async(int, serve_session, (coil_session *) session)
{
    coil_vars();

    const graceful_server *self = coil_container_of(session->server, graceful_server, server);
    coil_attempt(coil_thrift_serve_session(session, self->thrift));
    return 0;
}

coil_define(
        int, coil_thrift_serve_gracefully, (coil_listener *) listener, (coil_thrift_server *) server)
{
    coil_vars(graceful_server self);

    coil_server_init(&my->self.server, coil_handler(serve_session, coil_session *));
    my->self.thrift = server;
    my->self.server.max_sessions = listener->max_connections;
    coil_server_add(&my->self.server, listener);
    coil_defer(coil_list_remove(&listener->link)); /* The caller closes it. */
    coil_attempt(coil_server_serve(&my->self.server));
    return 0;
}
