/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_server.h - serve Thrift calls: binary protocol, framed transport.
 *
 *     coil_async(int, add, (coil_thrift_call *) call)            i64 add(1: i32 left, 2: i32 right)
 *     {
 *         coil_vars (int32_t left, right);
 *         coil_thrift_field field;
 *
 *         while (coil_thrift_read_field(&call->arguments, &field)) {
 *             switch (field.id) {
 *             case 1: coil_thrift_get_i32(&call->arguments, &my->left); break;
 *             case 2: coil_thrift_get_i32(&call->arguments, &my->right); break;
 *             }
 *         }
 *         coil_thrift_put_i64(coil_thrift_reply(call), 0, (int64_t)my->left + my->right);
 *         return 0;
 *     }
 *
 *     static const coil_thrift_method methods[] = {{"add", coil_handler(add, coil_thrift_call *)}};
 *     coil_thrift_service calculator = {"Calculator", methods, 1};
 *     coil_thrift_service *services[] = {&calculator};
 *     coil_thrift_server server = {.services = services, .service_count = 1};
 *     coil_attempt(coil_thrift_serve(listener, &server));
 *
 * The calls of one connection are handled one after the other, in the order of their arrival, and
 * answered in that order; replies to calls that arrived together leave together. Connections do not
 * wait for each other.
 *
 * What a bad peer gets: a call of an unknown method, or one whose handler fails, is answered with a
 * TApplicationException, and the connection goes on. A frame that is too large or is not Thrift is
 * answered with a PROTOCOL_ERROR, and that connection is closed. Nobody else notices.
 */
#ifndef COIL_THRIFT_SERVER_H
#define COIL_THRIFT_SERVER_H

#include <coil/listener.h>
#include <coil/server.h>
#include <coil/thrift.h>
#include <coil/thrift_service.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_call coil_thrift_call;
typedef struct coil_thrift_method coil_thrift_method;
typedef struct coil_thrift_service coil_thrift_service;
typedef struct coil_thrift_server coil_thrift_server;

/* One call, as its handler sees it. */
struct coil_thrift_call {
    coil_thrift_reader arguments; /* At the first field. What it gives is good until the return. */
    coil_thrift_message message;
    coil_thrift_service *service; /* Whose method it is; embed it in a struct to find your state. */
    const coil_thrift_method *method;
    coil_stream *peer;

    /* Private. */
    coil_thrift_writer *writer;
    bool replying;
};

/*
 * `handler` is a coroutine `int handler(coil_thrift_call *call)`. It reads the arguments, and puts
 * the result (field 0) or a declared exception (its field) into coil_thrift_reply(). Returning 0
 * sends that; without a reply, an empty result, as a void method gives. A negative errno, or
 * arguments that turn out to be malformed, is an INTERNAL_ERROR or PROTOCOL_ERROR to the caller
 * instead.
 */
struct coil_thrift_method {
    const char *name;
    coil_handler handler;
    const coil_thrift_method_schema *schema; /* NULL: the handler decodes itself. */
};

struct coil_thrift_service {
    const char *name;
    const coil_thrift_method *methods;
    size_t method_count;
};

typedef struct coil_thrift_server_stats {
    uint64_t connections;
    uint64_t open_connections;
    uint64_t calls;
    uint64_t exceptions;      /* Calls answered with a TApplicationException. */
    uint64_t protocol_errors; /* Connections closed because of what the peer sent. */
} coil_thrift_server_stats;

/* Zero means the default. Must stay as it is while it serves. */
struct coil_thrift_server {
    /* A method is looked for in this order; "Service:method" in the service of that name. */
    coil_thrift_service *const *services;
    size_t service_count;
    const coil_thrift_limits *limits; /* NULL: coil_thrift_limits_default. */
    coil_duration idle_limit;         /* Between calls, then the connection is closed. 0: none. */
    coil_duration frame_limit;        /* For the rest of a frame that has begun. 0: 30 s. */
    coil_duration reply_limit;        /* For a peer to take 64 KiB of its replies. 0: 60 s. */
    coil_thrift_server_stats stats;   /* Read only. */
};

/* Begin the reply of a call, once, after the last await that can fail. Put fields; no stop. */
COIL_API coil_thrift_writer *coil_thrift_reply(coil_thrift_call *call);

/*
 * The method is a oneway one: send no reply, and no exception either, even if the peer has sent a
 * CALL, as clients before Thrift 0.9.3 do. To be called instead of coil_thrift_reply(); a message
 * that says ONEWAY is never answered anyway.
 */
COIL_API void coil_thrift_no_reply(coil_thrift_call *call);

/*
 * Serve every connection of the listener, of which there are never more than its `max_connections`
 * at once: others wait to be accepted. An `idle_limit` then keeps silent peers from being all of
 * them. Ends with an error of accept(2) that stays, or by cancellation, which closes all
 * connections. 0: nobody listens any more, and they have all ended. On several loops
 * (coil/shared_listener.h) each has a coil_thrift_server of its own.
 */
coil_declare(int, coil_thrift_serve, (coil_listener *) listener, (coil_thrift_server *) server);

/*
 * The same, until a shutdown of this loop is requested (coil/shutdown.h): then it stops listening,
 * for good; a connection that waits for its next call is closed, one that has a call is closed when
 * that is answered. Those that have not ended when the grace period is over are cancelled. 0, or an
 * error of accept(2) that will not pass.
 */
coil_declare(
        int, coil_thrift_serve_gracefully, (coil_listener *) listener, (coil_thrift_server *) server);

/*
 * Serve the calls of one session, for a coil_server (coil/server.h) with several addresses, limits
 * of its own or a drain: to be awaited by its handler. 0: the peer has ended it, or been idle.
 */
coil_declare(int, coil_thrift_serve_session, (coil_session *) session, (coil_thrift_server *) server);

COIL_END_DECLS

#endif
