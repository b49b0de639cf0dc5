/* SPDX-License-Identifier: MIT */
/*
 * coil/server.h - a server: addresses, a handler, limits, counters, and an orderly end.
 *
 *     typedef struct chat {
 *         coil_server server;                                      your state lies around it
 *         room rooms[8];
 *     } chat;
 *
 *     coil_async (int, talk, (coil_session *) session)             a task for each connection
 *     {
 *         chat *self = coil_container_of(session->server, chat, server);
 *         ... session->stream ...                                  the server closes it
 *     }
 *
 *     coil_server_init(&my->chat.server, coil_handler(talk, coil_session *));
 *     coil_defer (coil_server_fini(&my->chat.server));
 *     my->chat.server.max_sessions = 10000;
 *     my->rc = coil_server_listen(&my->chat.server, "*:7000", NULL);
 *     my->rc = coil_server_listen(&my->chat.server, "unix:/run/chat.sock", NULL);
 *     coil_attempt (coil_server_serve(&my->chat.server));
 *
 *     idle --serve()--> serving --drain(grace), shutdown of the loop--> draining --> over
 *                          |                                               |          ^
 *                          |            all sessions have ended, or grace is over: the others
 *                          |                            are cancelled, and awaited ---+
 *                          +--accept(2) fails for good, serve() is cancelled----------+
 *
 * Draining: whoever connects is refused from here on, what has connected by then is served, and so
 * is every request of which a byte has arrived. Sessions that wait for the next one
 * (coil_session_idle()) are cancelled; the others may finish: coil_session_ending() tells them.
 *
 * A request that crosses this end on its way is answered by the end of the stream, before any byte
 * of an answer, and never by a reset: a client that keeps connections asks again on another one
 * (RFC 9110, 9.2.2; RFC 9112, 9.3.1). For this the server ends its side, and waits for a second at
 * most for the peer to end the other.
 *
 * What each limit does
 *
 *     max_sessions      those that are over wait in the backlog, for a session to end. The kernel
 *                       hands us connections in bursts, so up to COIL_ACCEPTOR_LIMIT_COUNT of each
 *                       address may be accepted, and wait with us, without a task
 *     admission         those that are over are closed at once, and counted (coil/admission.h)
 *     descriptors       none is left: they wait in the backlog until a session ends, or a moment;
 *                       with `turns_away` they are closed at once, and counted
 *     backlog           of listen(2): the kernel refuses, or lets them try again (listen(2))
 *
 * On several loops (coil/shared_listener.h) each loop has a server with its share of the listener
 * (coil_server_add()); an admission can be that of all of them.
 *
 * asyncio: Server; Server.close() and .wait_closed() with a deadline in between. Go: http.Server,
 * Shutdown(). On the loop's thread only.
 */
#ifndef COIL_SERVER_H
#define COIL_SERVER_H

#include <coil/admission.h>
#include <coil/listener.h>
#include <coil/timeout.h>

COIL_BEGIN_DECLS

typedef struct coil_server coil_server;
typedef struct coil_server_stats coil_server_stats;
typedef struct coil_session coil_session;

/* Since coil_server_init(). */
struct coil_server_stats {
    uint64_t accepted;          /* Connections that were taken from the kernel. Of these: */
    uint64_t refused_by_total;  /* closed at once: the admission has as many as it may have; */
    uint64_t refused_by_peer;   /* or has as many of this peer, or that has gone; */
    uint64_t refused_by_memory; /* or there is no memory for it; */
    uint64_t refused_by_files;  /* or no descriptor is left (`turns_away`); */
    uint64_t refused_by_header; /* or its PROXY header is wrong, late or missing. */
    uint64_t failed;            /* Handlers that have ended with an error. */
    uint64_t cancelled;         /* Sessions that had not ended when the grace was over. */
    uint64_t pauses;            /* How often accepting has waited for what the system lacks. */
    uint64_t active;            /* Sessions that there are now. */
    uint64_t most_active;       /* The most that there were at once. */
};

/* One connection. */
struct coil_session {
    /*
     * Closed when the handler has ended. A handler may put another in its place, such as one with
     * TLS that owns this one; or NULL, if it has given the stream away. One with TLS is closed
     * without close_notify, unless a drain ends it: coil_stream_shutdown() is the handler's to say.
     */
    coil_stream *stream;
    coil_server *server; /* Embed that in a struct to find your state. */
    uint64_t number;     /* 1, 2, ... in the order of arrival. */
    coil_list link;      /* In server->sessions. Read only. */

    /* Private. */
    coil_address peer;
    bool has_peer;
    bool has_entered; /* The admission. */
    bool is_idle;
    bool is_let_go;  /* By a drain, when it was idle. */
    coil_task *task; /* Once it runs. */
};

struct coil_server {
    /* Yours to set before it serves. Zero means the default. */

    coil_handler handler;      /* A coroutine int handler(coil_session *session). */
    unsigned max_sessions;     /* At once. No limit. */
    coil_admission *admission; /* None. Not owned; must outlive the sessions. */
    bool turns_away;           /* When descriptors run out, close instead of making wait. */
    bool takes_proxy_headers;  /* Each connection must begin with one (coil/proxy_protocol.h). */
    coil_duration proxy_limit; /* For it to come: 5 s. */
    /* A handler has ended with an error, other than -ECANCELED. Must not wait. NULL: none. */
    void (*on_failure)(coil_server *server, const coil_session *session, int error);

    /* Read only. */

    coil_server_stats stats;
    coil_list
            sessions; /* coil_session.link, oldest first. For a look; they come and go at awaits. */
    bool is_draining;

    /* Private. */

    coil_list listeners;
    coil_group lingering; /* Those that a drain has ended, until their peers have noticed. */
    coil_group tasks;     /* Of the sessions. */
    coil_group accepting; /* A task for each listener. */
    unsigned accepting_count;
    bool is_serving;
    coil_time deadline;   /* Of the drain. */
    coil_timeout overdue; /* Guards it. */
    coil_list drain_waiters;
    coil_list room_waiters;   /* For a session to end. */
    int reserve_fd;           /* Of `turns_away`: kept for when there is no other. -1: none, */
    coil_stream *turned_away; /* or the last that was turned away, whose descriptor it is then. */
};

/* Make a server that does nothing yet. */
COIL_API void coil_server_init(coil_server *server, coil_handler handler);

/*
 * One more address, or a listener (of a passed socket, or a share of all loops), which is the
 * server's from here on, also if this fails. Before it serves or while it does. -ESHUTDOWN: it
 * drains, or has served; the listener is closed. Of an address also the errors of coil_listen().
 * `max_connections` of a listener means nothing here.
 */
COIL_API int coil_server_listen(
        coil_server *server, const char *address, const coil_listen_options *options);
COIL_API int coil_server_add(coil_server *server, coil_listener *listener);

/* Where it listens, in the order of adding, with the port that the kernel chose. NULL: no more. */
COIL_API const coil_address *coil_server_address(const coil_server *server, unsigned index);

/*
 * Serve, until coil_server_drain() or the shutdown of this loop (coil/shutdown.h), and then until
 * the last session has ended. 0; -EINVAL: there is no address; or an error of accept(2) that will
 * not pass, and the sessions are cancelled. Once.
 */
coil_declare(int, coil_server_serve, (coil_server *) server);

/*
 * Take no more connections, and let the sessions end: those that have not done so after `grace` are
 * cancelled. 0: at once; COIL_FOREVER: as long as they want. Again: the earlier end holds. Does not
 * wait; coil_server_serve() does.
 */
COIL_API void coil_server_drain(coil_server *server, coil_duration grace);

/* Close the listeners. It does not serve any more, or never has. Takes one that is zeroed. */
COIL_API void coil_server_fini(coil_server *server);

/* ------------------------------------------------------------------------------ for handlers -- */

/*
 * Who it is: as the proxy says, or getpeername(2). IPv4 is IPv4, also at "*".
 * `size_bytes` 0: nobody knows, as of direct sockets. Good until the handler has ended.
 */
COIL_API const coil_address *coil_session_peer(coil_session *session);

/*
 * Between two requests: from here to coil_session_busy() a drain cancels the session at once, as
 * nothing is lost with it. Not if bytes have arrived that nobody has read, be they still with the
 * kernel; nor if nothing has ever come, because then the first request may be on its way.
 */
COIL_API void coil_session_idle(coil_session *session);
static inline void coil_session_busy(coil_session *session)
{
    session->is_idle = false;
}

/* Wait until the server drains. Done at once if it does. */
coil_declare(void, coil_session_ending, (coil_session *) session);

COIL_END_DECLS

#endif
