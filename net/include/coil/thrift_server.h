/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_server.h - serve Thrift calls.
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
 *     static const coil_thrift_method methods[] = {
 *             {"add", coil_handler(add, coil_thrift_call *), NULL}};
 *     coil_thrift_service calculator = {"Calculator", methods, 1};
 *     coil_thrift_service *services[] = {&calculator};
 *     coil_thrift_server server = {.services = services, .service_count = 1};
 *     coil_attempt(coil_thrift_serve(listener, &server));
 *
 * One port speaks everything: messages in frames or without, in the binary (with a version or
 * without), compact or JSON protocol; THeader; HTTP, as POST; any of that as a zlib stream. The
 * first bytes tell, and each call is answered in kind. Where it listens is the listener's business:
 * TCP, unix and abstract sockets; TLS is a session's (coil/tls.h).
 *
 * Handlers that coil-thrift has made a table for take a struct with the arguments, and put the
 * result into it (coil_thrift_method.schema).
 *
 * The life of a call
 *
 *     its message is there --> header read --> handler runs ----------------> reply --> outcome
 *                                |   |            | waits: others are read,      ^
 *                                |   |            v and run, meanwhile           |
 *                                |   |         [ waiting ] --its deadline--> TIMEOUT
 *                                |   |            '--its client has gone--> no reply
 *                                |   '--too many wait--> [ queue ] --too long--> LOADSHEDDING
 *                                '--no such method, malformed--> UNKNOWN_METHOD, PROTOCOL_ERROR
 *
 * Each call has exactly one outcome, of which the interceptors and the observer are told.
 *
 * The calls of a connection are started in the order of their arrival, and run side by side from
 * where they wait. They are answered in that order, too: most clients count on it. To those that
 * match replies by their numbers (THeader's flag says so, or `out_of_order`), each is sent when it
 * is ready. Replies that get ready together leave together, in one write; those of several
 * connections, by one entry of the kernel (coil_stream_share_turns()).
 *
 * What a bad peer gets: a call of an unknown method, one whose handler fails, or whose arguments
 * lack a required field, or have a union with other than one field that we know, is answered with a
 * TApplicationException, and the connection goes on. A frame that is too large or is not Thrift is
 * answered with a PROTOCOL_ERROR behind the replies that are due, and that connection is closed.
 * Nobody else notices. Every number below has a limit by default.
 *
 * What an overloaded server answers: COIL_THRIFT_LOADSHEDDING, with a text that begins with
 * "overloaded". The handler has not been called, so the client may try again, later or elsewhere.
 * With THeader and HTTP the answer has a header, too, as fbthrift has it: "ex", with the value "1".
 *
 * Headers that are understood: "client_timeout", how many milliseconds the client will wait, and
 * "queue_timeout", how long the call may wait to be started. They shorten limits only.
 *
 * In the steady state a call allocates nothing: its memory is that of calls before it, and is given
 * back when the server has no connections any more.
 */
#ifndef COIL_THRIFT_SERVER_H
#define COIL_THRIFT_SERVER_H

#include <coil/listener.h>
#include <coil/metrics.h>
#include <coil/server.h>
#include <coil/thrift_service.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_call coil_thrift_call;
typedef struct coil_thrift_method coil_thrift_method;
typedef struct coil_thrift_method_rule coil_thrift_method_rule;
typedef struct coil_thrift_service coil_thrift_service;
typedef struct coil_thrift_server coil_thrift_server;
typedef struct coil_thrift_outcome coil_thrift_outcome;
typedef struct coil_thrift_interceptor coil_thrift_interceptor;
typedef struct coil_thrift_observer coil_thrift_observer;
struct coil_fb303_default;
struct coil_thrift_server_state;

/*
 * One call, as its handler sees it; and interceptors and the observer, until the last of them has
 * been told how it has ended. So long arguments, headers and what is in the arena stay. Of bytes
 * that are no message, or have no room, the observer alone is told: then the message has no name,
 * service and method are NULL, and there are neither headers nor arguments.
 */
struct coil_thrift_call {
    coil_thrift_reader arguments; /* At the first field, unless the method has a schema. */
    coil_thrift_message message;
    coil_thrift_server *server;
    coil_thrift_service *service; /* Whose method it is; embed it in a struct to find your state. */
    const coil_thrift_method *method;
    coil_session *session; /* NULL: the connection is not of a coil_server. */
    coil_stream *peer;     /* For coil_tls_..., addresses: not to be read from or written to. */
    coil_thrift_headers headers; /* What came beside the message, where transports can. */
    coil_arena *arena; /* For what the call needs; everything in it is gone with the call. */
    coil_time arrived;
    coil_time deadline; /* When the handler is cancelled; COIL_NEVER. The time left may be passed
                         * on to others (coil_task_deadline() knows it, too). */
    enum coil_thrift_transport transport; /* How it came. */
    enum coil_thrift_protocol protocol;

    /* Private. */
    coil_thrift_writer *writer;
    bool replying;
    int32_t exception; /* To be answered with; -1. */
    coil_thrift_text what;
};

/*
 * With a `schema`, as generated code has it, `handler` is a coroutine that takes a pointer to a
 * struct of schema->call_bytes in the call's arena
 *
 *     struct shop_Shop_buy_call {
 *         coil_thrift_call *context;                the first member; the others lie where the
 *         shop_Shop_buy_arguments arguments;        schema says. Already read,
 *         shop_Shop_buy_result result;              and with all its defaults
 *     };
 *
 * and returns 0 when the result is in its struct: `success`, unless the bit in `has` of a declared
 * exception is set. The server reads the arguments before and writes the result after.
 *
 * Without, it is a coroutine `int handler(coil_thrift_call *call)`. It reads the arguments, and
 * puts the result (field 0) or a declared exception (its field) into coil_thrift_reply().
 * Returning 0 sends that; without a reply, an empty result, as a void method gives.
 *
 * A negative errno, or arguments that turn out to be malformed, is an INTERNAL_ERROR or
 * PROTOCOL_ERROR to the caller instead.
 */
struct coil_thrift_method {
    const char *name;
    coil_handler handler;
    const coil_thrift_method_schema *schema; /* NULL: the handler reads and writes itself. */
};

struct coil_thrift_service {
    const char *name;
    const coil_thrift_method *methods;
    size_t method_count;
};

/* What holds for one method; it has to stay as long as the server serves. */
struct coil_thrift_method_rule {
    const coil_thrift_method *method; /* See coil_thrift_service_method(). */
    coil_duration call_limit;         /* As that of the server. 0: that. */
    unsigned calls_max; /* So many of its handlers may wait at once; others are refused. 0: any. */
    unsigned waiting_calls; /* So many do. Read only. */
};

/* What has become of a call. */
struct coil_thrift_outcome {
    /*
     * 0: it was answered by its handler, also with an exception that the method declares.
     * -ECANCELED: its client has gone, or the server has ended. -ETIME: its deadline. -EBUSY:
     * overload, it was not started. -ENOSYS: there is no such method. Else what the handler has
     * returned, or what is wrong with its arguments.
     */
    int error;
    int32_t exception; /* The type of the TApplicationException that it was answered with; -1. */
    const coil_thrift_field_schema *declared; /* The exception of the interface, with a schema. */
    coil_duration latency; /* From its arrival to its reply. 0 if nobody observes. */
    coil_duration queued;  /* Of that, in the queue. */
    uint32_t received_bytes;
    uint32_t sent_bytes; /* 0: no reply. */
};

/*
 * A link of the chain around every call. `before` comes when the header has been read, before the
 * arguments; 0: go on; negative: the call ends with that, as if the handler had returned it, and
 * `before` may have called coil_thrift_fail(). `after` comes for each whose `before` has come, also
 * if that has refused, in the opposite order. Must not wait. Either may be NULL.
 */
struct coil_thrift_interceptor {
    coil_thrift_interceptor *next; /* Inside of this one. NULL: the handler is. */
    int (*before)(coil_thrift_interceptor *interceptor, coil_thrift_call *call);
    void (*after)(coil_thrift_interceptor *interceptor, coil_thrift_call *call,
            const coil_thrift_outcome *outcome);
};

/*
 * Is told of every call when it is over, before its reply has left. Of an unknown method, service
 * and method are NULL, as of what is no call (see there). Must not wait.
 */
struct coil_thrift_observer {
    void (*ended)(coil_thrift_observer *observer, const coil_thrift_call *call,
            const coil_thrift_outcome *outcome);
};

typedef struct coil_thrift_server_stats {
    uint64_t connections;
    uint64_t open_connections;
    uint64_t calls;
    uint64_t exceptions;      /* Calls answered with a TApplicationException. */
    uint64_t overloaded;      /* Calls ended by one of the limits, oneway ones too, */
    uint64_t timed_out;       /* or by their deadline. */
    uint64_t cancelled;       /* Calls whose client had gone before they were answered. */
    uint64_t protocol_errors; /* Connections closed because of what the peer sent. */
    uint64_t waiting_calls;   /* Handlers that wait now, */
    uint64_t queued_calls;    /* and calls that wait for their turn. */
    uint64_t most_waiting;    /* The most that waited at once. */
} coil_thrift_server_stats;

/* Zero means the default. Must stay as it is while it serves. */
struct coil_thrift_server {
    /*
     * A method is looked for in this order; "Service:method" in the service of that name, and then
     * in fb303, which it may extend.
     */
    coil_thrift_service *const *services;
    size_t service_count;
    const coil_thrift_limits *limits; /* NULL: coil_thrift_limits_default. */
    coil_duration idle_limit;         /* Between calls, then the connection is closed. 0: none. */
    coil_duration frame_limit;        /* For the rest of a frame that has begun. 0: 30 s. */
    coil_duration reply_limit;        /* For a peer to take 64 KiB of its replies. 0: 60 s. */
    size_t decode_max;                /* Bytes that arguments may become, where there is a schema.
                                       * 0: 40 KiB and 6 times the message, which is less of what
                                       * was compressed to less than an eighth. */
    size_t arena_max;                 /* Bytes of a call's arena, arguments included. 0: 64 MiB. */
    coil_duration call_limit;         /* For a handler, then TIMEOUT. 0: none. */
    coil_thrift_method_rule *rules;   /* For single methods. */
    size_t rule_count;

    /*
     * How much there may be at once. Of a connection, calls that have no reply yet, and bytes of
     * replies that it has not taken, before it is not read from any more; 0: 128, and 1 MiB. (What
     * calls that have no reply yet hold does not count among these bytes.) Of all
     * together, handlers that wait, 0: 10 000; beyond them calls that wait to be started, 0: 1000,
     * for so long, 0: 1 s. Those that are over are refused: LOADSHEDDING.
     */
    unsigned connection_calls_max;
    size_t connection_unsent_max;
    unsigned calls_max;
    unsigned queue_max;
    coil_duration queue_limit;

    bool out_of_order; /* All clients match replies by their numbers. */
    bool half_open;    /* The end of a connection is no reason to cancel its calls: the peer has
                        * only ended its side. Oneway calls are never cancelled for that. */

    coil_thrift_interceptor *interceptors; /* The outermost. NULL: none. */
    coil_thrift_observer *observer;        /* NULL: none. */

    /*
     * Unless this is set, coil_thrift_serve() and coil_thrift_serve_gracefully() answer fb303's
     * methods (coil/fb303_service.h), where no fb303 is among the services, and measure what the
     * server does (coil/thrift_metrics.h), where no coil_thrift_metrics observes it.
     */
    bool without_fb303;

    /*
     * Measure how long this loop lets others wait, too (coil/loop_metrics.h): loop.lag_us.p99.60
     * among the counters. It costs about 200 instructions for each turn of the loop.
     */
    bool measures_loop;

    /*
     * Who asks such a server by HTTP's GET for "/metrics", with HEAD for what that would be, gets
     * what fb303 would say of its metrics as OpenMetrics text (coil/open_metrics.h), in between the
     * calls of the same connection, if he likes. Any other page is 404, any other method 405.
     * Unless this is set: then everything but POST is 405, and the end of the connection.
     */
    bool without_pages;

    coil_thrift_server_stats stats; /* Read only. */

    struct coil_thrift_server_state *state; /* Private. */
    struct coil_fb303_default *fb303;       /* Private. */
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
 * Answer with a TApplicationException of that type (enum coil_thrift_exception_type, or any) and
 * these words, which are copied. For handlers and interceptors: `return coil_thrift_fail(...)`.
 * Result: -EREMOTEIO.
 */
COIL_API int coil_thrift_fail(coil_thrift_call *call, int32_t type, const char *what);

/*
 * What is measured of a server without a coil_thrift_metrics of yours, from the beginning of
 * coil_thrift_serve() or coil_thrift_serve_gracefully() to its end; you may add metrics of your
 * own. NULL: nobody serves, or it is `without_fb303`.
 */
COIL_API coil_metrics *coil_thrift_server_metrics(const coil_thrift_server *server);

/* Who calls, as coil_session_peer() says. `size_bytes` 0: nobody knows. */
COIL_API coil_address coil_thrift_call_address(const coil_thrift_call *call);

/* The method of that name; NULL. */
COIL_API const coil_thrift_method *coil_thrift_service_method(
        const coil_thrift_service *service, const char *name);

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
 * for good; a connection that waits for its next call is closed, one that has calls is closed when
 * they, and those that come until then, are answered. One on which nothing has come yet may bring
 * its first call until its `idle_limit` or the grace period is over. Those that have not ended by
 * then are cancelled. 0, or an error of accept(2) that will not pass.
 */
coil_declare(
        int, coil_thrift_serve_gracefully, (coil_listener *) listener, (coil_thrift_server *) server);

/*
 * Serve the calls of one session, for a coil_server (coil/server.h) with several addresses, limits
 * of its own, a drain, or a successor that takes over (coil/handover.h): to be awaited by its
 * handler. 0: the peer has ended it, or been idle.
 */
coil_declare(int, coil_thrift_serve_session, (coil_session *) session, (coil_thrift_server *) server);

COIL_END_DECLS

#endif
