/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_pipeline.h - many Thrift calls at a time on one connection, as a channel.
 *
 *     coil_vars (coil_thrift_pipeline server; coil_group group);
 *
 *     coil_attempt(my->stream, coil_connect("127.0.0.1:9090"));
 *     coil_defer(coil_stream_close(my->stream));
 *     rc = coil_thrift_pipeline_init(&my->server, my->stream, NULL);
 *     coil_defer(coil_thrift_pipeline_fini(&my->server));
 *     coil_open_group(&my->group);
 *     coil_spawn(&my->group, coil_thrift_pipeline_run(&my->server));
 *     ... coil_thrift_invoke(&my->server.channel, &invocation), from any number of tasks
 *
 * A call is written behind those before it, without a wait, and its task sleeps until its reply has
 * come. What is called in one turn of the loop leaves in one piece. Replies are told by the numbers
 * of their calls: a server may answer in order, as most do, or in any other.
 *
 *     invoke --> WAITING --room--> SENT --reply, exception--> answered
 *                   |             |--cancelled, -ETIME--> abandoned: its reply is dropped
 *                   |             '--connection over----> failed
 *                   '--cancelled, or the connection is over: nothing has been sent
 *
 * Invariants
 *   - At most `calls_max` calls are in flight; those who wait for room come in the order in which
 *     they asked.
 *   - calls == answered + abandoned + failed + in_flight. Each call has exactly one outcome.
 *   - A cancellation or a deadline ends one call. The connection and all others go on. The number
 *     of an abandoned call is remembered until its reply has come and was dropped; when
 *     `unanswered_max` of them are missing, the server is held for dead: -ETIMEDOUT.
 *   - A reply that nobody has asked for, or that comes twice, or of another method, ends the
 *     connection, because nothing can be believed any more: -EBADMSG, and
 *     coil_thrift_pipeline_what() has words for it. A reply whose frame is whole, but whose content
 *     is malformed or above a limit, is the error of its call alone.
 *   - By HTTP a oneway call is answered, too, though with nothing. Its task does not wait for that,
 *     but its room is free only then. A server that has not done so for `oneway_answer_limit` never
 *     will, as those of Apache before 0.24 in C++, and in Node; the connection is of no use then.
 *   - So it is behind an answer by HTTP/1.0, or with "Connection: close". No further call is sent,
 *     and those that wait for room get -ENOTCONN with was_sent unset. A pool makes them elsewhere.
 *   - With THeader, a server is told how long it has: "client_timeout", in milliseconds, of the
 *     call's timeout or the deadline around it.
 *   - A call allocates nothing but from its arena, once the pipeline has seen its load.
 *
 * On the loop's thread only.
 */
#ifndef COIL_THRIFT_PIPELINE_H
#define COIL_THRIFT_PIPELINE_H

#include <coil/list.h>
#include <coil/stream.h>
#include <coil/thrift_service.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_pipeline coil_thrift_pipeline;
typedef struct coil_thrift_timeout coil_thrift_timeout;

/* How long a call of a method may take, from the invocation to the reply. */
struct coil_thrift_timeout {
    const char *method; /* NULL: every method without a row of its own. */
    coil_duration limit;
};

/* Zero means the default. Copied; what its pointers point to must outlive the pipeline. */
typedef struct coil_thrift_pipeline_options {
    enum coil_thrift_protocol protocol;   /* Binary. */
    enum coil_thrift_transport transport; /* Framed. */
    bool zlib;             /* The connection is deflated; with THeader each message by itself. */
    bool zlib_inside;      /* With frames and HTTP: what is inside of them is. */
    const char *http_host; /* With HTTP: "example.org:9090". NULL: "localhost". */
    const char *http_path; /* "/service". NULL: "/". */
    const coil_thrift_limits *limits;    /* NULL: coil_thrift_limits_default. */
    const coil_thrift_timeout *timeouts; /* A method without a row: no limit. */
    uint32_t timeout_count;
    uint32_t calls_max;                /* In flight: 1024; with HTTP, which has no numbers, 1. */
    uint32_t unanswered_max;           /* Abandoned calls whose replies have not come: 1024. */
    size_t unsent_bytes_max;           /* From here on calls wait until the peer has read: 1 MiB. */
    coil_duration oneway_answer_limit; /* With HTTP, see above: 1 s. */
} coil_thrift_pipeline_options;

/* As of now, and since the pipeline was made. */
typedef struct coil_thrift_pipeline_stats {
    uint32_t waiting;    /* For room. */
    uint32_t in_flight;  /* Sent, and somebody waits for the reply. */
    uint32_t unanswered; /* Abandoned, and the reply is still to come. */

    uint64_t calls; /* That have been sent, and have replies. */
    uint64_t answered;
    uint64_t abandoned;
    uint64_t failed; /* With the connection. */
    uint64_t late;   /* Replies that were dropped. */
    uint64_t oneways;
} coil_thrift_pipeline_stats;

/* The owner's memory. */
struct coil_thrift_pipeline {
    coil_thrift_channel channel;
    coil_thrift_pipeline_stats stats; /* Read only. */
    int error; /* 0: calls are taken. Else what has ended the connection. Read only. */

    /* Private. */
    bool is_finishing;
    bool is_used_up;      /* Of no use any more, see HTTP above; and no call has failed with it. */
    uint32_t oneways_due; /* With HTTP: of oneway calls, so many answers are to come. */
    coil_thrift_pipeline_options options;
    coil_stream *stream;
    struct coil_thrift_wire *wire; /* What lies around messages. */
    coil_thrift_writer filling;    /* Calls go in here, while the others leave. */
    coil_thrift_writer leaving;
    uint64_t begun_bytes;   /* Of all frames so far. */
    uint64_t handed_bytes;  /* Of those, may have left. */
    uint64_t written_bytes; /* And have left. */
    struct coil_thrift_slot *slots;
    uint32_t slot_count; /* A power of two; 0: none yet. */
    int32_t seqid;
    coil_list waiting;
    coil_list calls; /* In flight, or about to be; the oldest first. */
    coil_list oneways;
    coil_list writer; /* The task that writes, while there is nothing to write. */
    char what[160];
};

/*
 * A pipeline on a stream that is connected (TCP, unix, TLS), and remains the caller's. `options`
 * may be NULL. -ENOMEM. What this build does not have, zlib or HTTP, is the -EPROTONOSUPPORT of a
 * call.
 */
COIL_API COIL_MUST_USE int coil_thrift_pipeline_init(coil_thrift_pipeline *pipeline,
        coil_stream *stream, const coil_thrift_pipeline_options *options);

/*
 * coil_thrift_pipeline_run() must not be running. Calls that are left get -ESHUTDOWN; their tasks
 * need the pipeline no more. Takes a zeroed one, and one twice.
 */
COIL_API void coil_thrift_pipeline_fini(coil_thrift_pipeline *pipeline);

/*
 * Write the calls and read the replies, until coil_thrift_pipeline_finish(), or until HTTP makes
 * the connection one of no use, with no call left that was sent: then 0. One task does this, and
 * nobody else uses the stream meanwhile. Else
 *
 *     -ENOTCONN   the server has ended the connection; -ENODATA: in the middle of a reply
 *     -EBADMSG, -EMSGSIZE
 *                 the server does not speak this protocol, or answers what it was not asked
 *     -ETIMEDOUT  it has left `unanswered_max` calls unanswered
 *     -ENOMEM, the errors of coil_read_some() and coil_write_all()
 *
 * That is also the outcome of the calls in flight; -ESHUTDOWN if this was cancelled. Calls that
 * come later are refused with -ENOTCONN.
 */
coil_declare(int, coil_thrift_pipeline_run, (coil_thrift_pipeline *) pipeline);

/* No further calls: -ESHUTDOWN. When those that were made are over, run() ends. */
COIL_API void coil_thrift_pipeline_finish(coil_thrift_pipeline *pipeline);

/* May a call be made that would not have to wait? */
COIL_API bool coil_thrift_pipeline_has_room(const coil_thrift_pipeline *pipeline);

/* In words, what has ended the connection: "a reply to call 7 ...". Empty if nothing has. */
COIL_API const char *coil_thrift_pipeline_what(const coil_thrift_pipeline *pipeline);

COIL_END_DECLS

#endif
