/* SPDX-License-Identifier: MIT */
#include "thrift_server_private.h"

#include "fb303_default.h"
#include "listener_private.h"

#include <errno.h>
#include <stdlib.h>

enum { KEEP_BYTES = 256 * 1024 /* Of a reply's memory, for later ones. */ };

/* --------------------------------------------------------------- what connections share -- */

bool thrift_server_enter(coil_thrift_server *server)
{
    if (server->state == NULL) {
        server->state = calloc(1, sizeof(*server->state));
        if (server->state == NULL)
            return false;
        coil_list_init(&server->state->queue);
    }
    server->state->connection_count++;
    return true;
}

void thrift_server_leave(coil_thrift_server *server)
{
    struct coil_thrift_server_state *state = server->state;

    if (--state->connection_count > 0)
        return;
    thrift_free_calls(state->free_calls);
    while (state->free_writers != NULL) {
        thrift_pooled_writer *writer = state->free_writers;
        state->free_writers = writer->next_free;
        coil_thrift_writer_fini(&writer->writer);
        free(writer);
    }
    free(state);
    server->state = NULL;
    fb303_default_let_go(server);
}

thrift_pooled_writer *thrift_take_writer(const coil_thrift_server *server)
{
    thrift_pooled_writer *writer = server->state->free_writers;

    if (coil_likely(writer != NULL)) {
        server->state->free_writers = writer->next_free;
        return writer;
    }
    writer = malloc(sizeof(*writer));
    if (writer != NULL)
        coil_thrift_writer_init(&writer->writer, server->limits);
    return writer;
}

void thrift_give_writer(const coil_thrift_server *server, thrift_pooled_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->writer.size > KEEP_BYTES) /* One large reply is no reason to keep so much. */
        coil_thrift_writer_fini(&writer->writer);
    coil_thrift_writer_reset(&writer->writer);
    writer->next_free = server->state->free_writers;
    server->state->free_writers = writer;
}

/* ----------------------------------------------------------------------------- connections -- */

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
        thrift_connection *peer = thrift_connection_open(server, my->stream);
        if (peer == NULL) {
            coil_stream_close(my->stream);
        } else if (coil_spawn(connections, thrift_connection_serve(peer)) == NULL) {
            thrift_connection_close(peer);
        }
    }
}

coil_define(int, coil_thrift_serve, (coil_listener *) listener, (coil_thrift_server *) server)
{
    coil_vars(coil_group connections; int rc);

    fb303_default_begin(server);
    coil_defer(fb303_default_end(server)); /* When no connection is left. */
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
    coil_vars(thrift_connection *peer);

    my->peer = thrift_connection_open(server, session->stream);
    if (my->peer == NULL)
        return -ENOMEM;
    my->peer->session = session;
    coil_attempt(thrift_connection_serve(my->peer));
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

    fb303_default_begin(server);
    coil_defer(fb303_default_end(server));
    coil_server_init(&my->self.server, coil_handler(serve_session, coil_session *));
    my->self.thrift = server;
    my->self.server.max_sessions = listener->max_connections;
    coil_server_add(&my->self.server, listener);
    coil_defer(coil_list_remove(&listener->link)); /* The caller closes it. */
    coil_attempt(coil_server_serve(&my->self.server));
    return 0;
}
