/* SPDX-License-Identifier: MIT */
/* Of coil/server.h: what becomes of one connection. */
#include "server_private.h"

#include "address_private.h"
#include "linger.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/proxy_protocol.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>

enum { HEADER_S = 5 /* The default of proxy_limit. */ };

const coil_address *coil_session_peer(coil_session *session)
{
    coil_address *peer = &session->peer;
    if (session->has_peer)
        return peer;
    session->has_peer = true;
    int fd = session->stream == NULL ? -1 : coil_stream_fd(session->stream);
    if (fd < 0 || coil_fd_is_direct(fd))
        return peer;
    peer->size_bytes = sizeof(peer->storage);
    if (coil_kernel_getpeername(fd, &peer->socket, &peer->size_bytes) < 0)
        *peer = (coil_address){.size_bytes = 0};
    address_unmap(peer);
    return peer;
}

/* Owns the stream, also if it fails. */
static coil_session *open_session(coil_server *server, coil_stream *stream)
{
    coil_session *session = calloc(1, sizeof(*session));

    if (session == NULL) {
        server->stats.refused_by_memory++;
        coil_stream_close(stream);
        return NULL;
    }
    session->server = server;
    session->stream = stream;
    session->number = server->stats.accepted;
    coil_list_append(&server->sessions, &session->link);
    if (++server->stats.active > server->stats.most_active)
        server->stats.most_active = server->stats.active;
    return session;
}

coil_async(int, linger_and_close, (coil_stream *) stream)
{
    coil_vars();

    coil_defer(coil_stream_close(stream));
    coil_ignore(coil_within(coil_s(LINGER_S), linger(stream)));
    return 0;
}

/*
 * Who was let go of may have sent its next request meanwhile. It reads the end of the stream, not a
 * reset: nothing has been done, and it may ask somebody else.
 */
static void close_stream(const coil_session *session)
{
    coil_stream *stream = session->stream;
    if (!session->is_let_go || stream == NULL ||
            coil_spawn(&session->server->lingering, linger_and_close(stream)) == NULL)
        coil_stream_close(stream);
}

static void close_session(coil_session *session)
{
    coil_server *server = session->server;

    server->stats.active--;
    coil_list_remove(&session->link);
    if (session->has_entered)
        coil_admission_leave(server->admission, &session->peer);
    close_stream(session);
    free(session);
    coil_waiter_grant_all(&server->room_waiters, 0);
}

/* The connection has ended before we could ask who it is. */
static bool has_gone(coil_session *session)
{
    return coil_session_peer(session)->size_bytes == 0 &&
           !coil_fd_is_direct(coil_stream_fd(session->stream));
}

/* May it stay? */
static bool enter(coil_session *session)
{
    coil_server *server = session->server;

    if (server->admission == NULL)
        return true;
    if (has_gone(session)) {
        server->stats.refused_by_peer++;
        return false;
    }
    switch (coil_admission_enter(server->admission, &session->peer)) {
    case 0:
        session->has_entered = true;
        return true;
    case -EUSERS:
        server->stats.refused_by_total++;
        return false;
    case -EDQUOT:
        server->stats.refused_by_peer++;
        return false;
    default:
        server->stats.refused_by_memory++;
        return false;
    }
}

/* The PROXY header, and then what it says who it is. 0: it may stay. */
coil_async(int, learn_peer, (coil_session *) session)
{
    coil_vars(coil_proxy_header header; coil_slice raw);

    const coil_duration limit = session->server->proxy_limit;
    coil_await(my->raw,
            coil_within(limit > 0 ? limit : coil_s(HEADER_S),
                    coil_read_proxy_header(session->stream, COIL_PROXY_LIMIT_BYTES, &my->header)));
    if (my->raw.size_bytes == 0)
        return -ESHUTDOWN; /* It only wanted to see whether somebody listens. */
    if (my->raw.size_bytes < 0) {
        session->server->stats.refused_by_header++;
        return (int)my->raw.size_bytes;
    }
    coil_slice_release(&my->raw);
    if (my->header.source.size_bytes > 0) {
        session->peer = my->header.source;
        address_unmap(&session->peer);
        session->has_peer = true;
    }
    return enter(session) ? 0 : -EDQUOT;
}

/* What becomes of it is nobody else's failure. */
coil_async(int, run_session, (coil_session *) session)
{
    coil_vars(int rc);

    coil_defer(close_session(session));
    session->task = coil_self;
    if (session->server->takes_proxy_headers) {
        coil_await(my->rc, learn_peer(session));
        if (my->rc < 0)
            return 0;
    }
    coil_await(my->rc, coil_handler_call(session->server->handler, session));
    session->is_idle = false;
    if (my->rc < 0 && my->rc != -ECANCELED) {
        session->server->stats.failed++;
        if (session->server->on_failure != NULL)
            session->server->on_failure(session->server, session, my->rc);
    }
    return 0;
}

void server_take(coil_server *server, coil_stream *stream)
{
    server->stats.accepted++;
    coil_session *session = open_session(server, stream);
    if (session == NULL)
        return;
    if (!server->takes_proxy_headers && !enter(session)) {
        close_session(session);
    } else if (coil_spawn(&server->tasks, run_session(session)) == NULL) {
        server->stats.refused_by_memory++;
        close_session(session);
    }
}

/* --------------------------------------------------------------------------------- draining -- */

/* The kernel has bytes that we have not fetched: what is reported comes at the end of a turn. */
static bool has_come(const coil_stream *stream)
{
    const int fd = coil_stream_fd(stream);
    return !coil_fd_is_direct(fd) && coil_kernel_recv_peek(fd) > 0;
}

/* Is there nothing that would be lost with it? */
static bool can_go(const coil_session *session)
{
    return session->is_idle && session->task != NULL && session->stream != NULL &&
           coil_stream_bytes_read(session->stream) > 0 &&
           coil_stream_unread(session->stream) == 0 && !has_come(session->stream);
}

/* A request that is sent just now is answered by the end of the stream, see close_session(). */
static void let_go_if_idle(coil_session *session)
{
    if (session->is_let_go || !can_go(session))
        return;
    session->is_let_go = true;
    coil_task_cancel(session->task);
}

void coil_session_idle(coil_session *session)
{
    session->is_idle = true;
    if (session->server->is_draining)
        let_go_if_idle(session);
}

void server_end_idle(coil_server *server)
{
    for (coil_list *link = server->sessions.next; link != &server->sessions; link = link->next)
        let_go_if_idle(coil_container_of(link, coil_session, link));
}
