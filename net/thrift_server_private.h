/* SPDX-License-Identifier: MIT */
/*
 * thrift_server_private.h - what a Thrift server is made of.
 *
 *     thrift_server.c      accepts, and knows what all connections share
 *     thrift_connection.c  the tasks of a connection: flushing, the end
 *     thrift_reading.c     messages out of what arrives
 *     thrift_call_begin.c  a message becomes a call,
 *     thrift_call.c        which is run, and has an outcome
 *     thrift_order.c       replies, and who may send his
 *     thrift_queue.c       limits, and calls that wait for their turn
 *     thrift_typed.c       arguments and results of methods with a schema
 *     thrift_page.c        HTTP's GET /metrics
 *
 * A connection has one task at first. It reads, and runs each handler itself, as if it had awaited
 * it. Only when a handler has to wait does the connection need another task: a new one, that reads
 * on, while the old one stays with its call, and ends when that is answered. So a handler that does
 * not wait costs no task, and calls of one connection still run side by side.
 *
 *     task A   reads 1, answers 1, reads 2, handler waits ......... answers 2, ends
 *     task B                                 reads 3, handler waits .... answers 3, reads 4 ...
 *
 * Nobody reads while as many calls are under way as may be, or too many replies are unsent, or one
 * that is many times larger than its call is being made or has not left (it is not made before it
 * can leave: thrift_order_reserve()); then the next task that is done with its call does.
 */
#ifndef COIL_THRIFT_SERVER_PRIVATE_H
#define COIL_THRIFT_SERVER_PRIVATE_H

#include "thrift_transport.h"

#include <coil/thrift_server.h>
#include <coil/timer.h>

typedef struct thrift_connection thrift_connection;
typedef struct thrift_call thrift_call;
typedef struct thrift_pooled_writer thrift_pooled_writer;

enum { THRIFT_WHAT_MAX = 160 };

/* A writer of the server's, which keeps its memory for others. */
struct thrift_pooled_writer {
    coil_thrift_writer writer;
    thrift_pooled_writer *next_free;
};

/* Methods that have been called: where their names lead. */
enum { THRIFT_KNOWN_METHODS = 16 };

typedef struct thrift_known_method {
    coil_thrift_service *service;
    const coil_thrift_method *method;
    uint32_t name_size;
} thrift_known_method;

/* What the connections of a server share, while there are any. */
struct coil_thrift_server_state {
    thrift_known_method known[THRIFT_KNOWN_METHODS];
    thrift_call *free_calls;
    thrift_pooled_writer *free_writers;
    unsigned connection_count;
    unsigned waiting_calls; /* Handlers that wait: those calls that count for calls_max. */
    unsigned turn_count;    /* Calls that hold a turn, and count as well. */
    coil_list queue;        /* thrift_call.queue_link: calls that wait to be started. */
    unsigned queue_count;
};

typedef enum thrift_call_state {
    THRIFT_CALL_RUNS,   /* In the task that has read it. */
    THRIFT_CALL_QUEUED, /* In the server's queue. */
    THRIFT_CALL_WAITS,  /* Its handler waits, and has `task` to itself. */
    THRIFT_CALL_ENDS,   /* Its handler had waited, and has returned. */
    THRIFT_CALL_DONE,   /* Its reply waits for those before it. */
} thrift_call_state;

/* What is kept from others for the sake of a call. */
enum {
    THRIFT_HOLDS_TURN = 1,   /* It comes from the queue, and has neither waited nor ended since. */
    THRIFT_HOLDS_READER = 2, /* Its answer is large: its connection reads no further call. */
};

struct thrift_call {
    coil_thrift_call call;
    thrift_connection *peer;
    thrift_call *next_free;
    coil_list link; /* In peer->calls, unless it runs in the task that has read it. */
    coil_list queue_link;
    thrift_call_state state;
    bool is_linked;
    bool is_awaited; /* Linked, and others may not overtake its reply. */
    bool is_cut;     /* Unwound, for nobody waits for it any more. */
    bool is_large;   /* Waits in thrift_order_reserve(). */
    coil_arena arena;
    coil_slice frame; /* What it came in, */
    thrift_kind kind; /* and how: its reply goes likewise. */
    bool is_acknowledged;
    uint8_t holds;             /* Until it has ended. */
    uint32_t charged_bytes;    /* What came over the wire, for what its arguments may become. */
    unsigned before_count;     /* Interceptors that have been asked. */
    void *argument;            /* What the handler takes. */
    thrift_pooled_writer *own; /* Has the reply from reply_start on. NULL: there is none yet. */
    uint32_t reply_start;
    coil_thrift_writer no_writer; /* Takes nothing, where there is no memory for one. */
    coil_thrift_method_rule *rule;
    coil_timer queue_timer;
    coil_duration queue_limit; /* The client's. 0: none. */
    coil_task *task;           /* While its handler waits, */
    coil_frame *leaf;          /* and what that is called by. */
    coil_thrift_outcome outcome;
};

struct thrift_connection {
    coil_thrift_server *server;
    coil_session *session; /* NULL: it is not of a coil_server. */
    coil_stream *stream;
    coil_group tasks;              /* All of them but the first, which has opened it. */
    coil_task *host;               /* The first, when it waits for the others. */
    coil_task *reader;             /* Whose turn it is to read. NULL: nobody does. */
    thrift_call *current;          /* Runs in the reader. */
    coil_list calls;               /* thrift_call.link, in the order of their arrival. */
    unsigned calls_max;            /* Limits of its server, */
    size_t unsent_max;             /* with their defaults. */
    unsigned call_count;           /* Of them, and */
    unsigned awaited_count;        /* of them those that are awaited, */
    unsigned large_count;          /* and those that are large. */
    unsigned hold_count;           /* Calls that hold the reader. */
    size_t held_bytes;             /* Of replies that are done and wait for others. */
    thrift_pooled_writer *out;     /* What is to be sent. NULL: nothing. */
    thrift_pooled_writer *sending; /* What is being sent. */
    thrift_transport transport;
    bool is_plain;            /* Its messages are in frames, as far as is known. */
    bool is_within;           /* A message has begun, and the transport has its beginning. */
    bool is_told_late;        /* Its peer waits for "100 Continue", which waits for replies. */
    coil_slice frame;         /* The bytes that were read last, */
    thrift_envelope envelope; /* and the message in them. */
    size_t wanted_bytes;      /* For the next message to go on. */
    coil_time frame_deadline; /* For the rest of the message that has begun. 0: none has. */
    coil_time active_at;      /* A call has ended. */
    coil_task *writer;        /* Waits for the peer to take what is sent, NULL: nobody does; */
    coil_frame *writer_leaf;  /* here, */
    coil_timer write_timer;   /* and so long. */
    bool sends_first;         /* All that is unsent is to be sent before more is read. */
    bool is_flushing;
    bool is_waiting; /* For the next message, of which nothing has come. */
    bool is_over;    /* Nothing more is read, */
    bool is_broken;  /* nor sent: a reply would be missing. */
    int error;       /* Why, if not at the end of the stream. */
};

/* ----------------------------------------------------------------------- thrift_reading.c -- */

/*
 * The next message, into peer->envelope, and peer->frame keeps its bytes. Replies leave before we
 * wait. 1; 0: none comes any more; or an error, and the peer has been told why.
 */
coil_declare_private(int, thrift_next_message, (thrift_connection *)peer);

/* The same if that takes neither waiting nor a second look, as for all messages of a burst. */
bool thrift_take_message(thrift_connection *peer);

/* ------------------------------------------------------------------------ thrift_server.c -- */

/* A connection more, or less. False: no memory. */
bool thrift_server_enter(coil_thrift_server *server);
void thrift_server_leave(coil_thrift_server *server);

/* A place in memory that earlier calls and replies have used, or a new one; NULL. */
thrift_pooled_writer *thrift_take_writer(const coil_thrift_server *server);
void thrift_give_writer(const coil_thrift_server *server, thrift_pooled_writer *writer);

static inline coil_duration thrift_limit_of(coil_duration limit, int64_t default_s)
{
    return limit > 0 ? limit : coil_s(default_s);
}

/* -------------------------------------------------------------------- thrift_connection.c -- */

/* Owns the stream, unless it is the session's. NULL: no memory, and the stream is as it was. */
thrift_connection *thrift_connection_open(coil_thrift_server *server, coil_stream *stream);
void thrift_connection_close(thrift_connection *peer);

coil_declare_private(int, thrift_connection_serve, (thrift_connection *)peer);

/*
 * Send what there is, unless somebody does already. 0; or the error after which nothing more is
 * read, also of what has come.
 */
coil_declare_private(int, thrift_flush, (thrift_connection *)peer);

/* If nothing is under way, a drain may end the session. */
void thrift_rest_if_idle(const thrift_connection *peer);

static inline size_t thrift_unsent_bytes(const thrift_connection *peer)
{
    return peer->held_bytes + (peer->out == NULL ? 0 : peer->out->writer.size) +
           (peer->sending == NULL ? 0 : peer->sending->writer.size);
}

/* Is there something to send, and nobody who does? */
static inline bool thrift_has_to_send(const thrift_connection *peer)
{
    return peer->out != NULL && !peer->is_flushing && !peer->is_broken;
}

/* May the next message be read? */
static inline bool thrift_may_read(const thrift_connection *peer)
{
    unsigned calls_max = peer->calls_max;

    if (coil_unlikely(peer->transport.kind.zlib == THRIFT_ZLIB_STREAM))
        calls_max = 1; /* Replies are compressed as they are made. */
    return !peer->is_over && peer->call_count < calls_max && peer->hold_count == 0 &&
           thrift_unsent_bytes(peer) < (coil_unlikely(peer->sends_first) ? 1 : peer->unsent_max);
}

/* What is answered now is so large that it is to be sent before anything else is read. */
static inline void thrift_connection_send_first(thrift_connection *peer)
{
    peer->sends_first = true;
}

/* A task goes on with `call`, or with what is to be sent and read. NULL: no memory. */
coil_task *thrift_spawn(thrift_connection *peer, thrift_call *call);

/* The handler of a call has to wait: if it runs in the task that reads, another one reads on. */
void thrift_connection_hand_over(thrift_connection *peer, const coil_task *task);

/* Replies cannot be sent any more, or nobody takes them: whoever works on one is unwound. */
void thrift_connection_break(thrift_connection *peer, int error);

/* -------------------------------------------------------------------- thrift_call_begin.c -- */

/*
 * The message in peer->envelope becomes a call, which takes the frame. 1: *out_call is to be run;
 * 0: it has been answered, or waits; or the error after which the connection cannot go on.
 */
int thrift_call_begin(thrift_connection *peer, thrift_call **out_call);

/*
 * Nothing of its message is read: it has neither name, headers nor arguments. (Those of an earlier
 * call may still be there, and point into its memory.)
 */
void thrift_call_forget_message(thrift_call *call);

/* -------------------------------------------------------------------------- thrift_call.c -- */

/* A call of the kind of peer->envelope, without anything else. NULL: no memory. */
thrift_call *thrift_call_take(thrift_connection *peer);

/* Run its handler; the result is that. */
coil_declare_private(int, thrift_call_run, (thrift_call *)call);

/* It has run: its outcome, its reply. 0, or the error after which the connection cannot go on. */
int thrift_call_end(thrift_call *call, int result);

/* It ends with an exception instead. */
void thrift_call_refuse(thrift_call *call, int error, int32_t type, const char *what);

/* Nobody waits for it, and it does not run: it ends, -ECANCELED. */
void thrift_call_abandon(thrift_call *call);

/* What the arguments lie in, and what was made of them. */
void thrift_call_drop_arguments(thrift_call *call);

/* It has ended without arguments any more, and its reply, if any, is on its way. */
void thrift_call_release(thrift_call *call);

/* Is it what the bytes were, rather than what the handler did? */
bool thrift_is_protocol_error(int error);

/* The peer has sent something that is no message, and is told so. */
void thrift_refuse_bytes(thrift_connection *peer, int error);

void thrift_free_calls(thrift_call *first);

/* ------------------------------------------------------------------------- thrift_order.c -- */

/* The call takes its place among the calls of its connection. */
void thrift_order_link(thrift_call *call);
void thrift_order_unlink(thrift_call *call);

/* Nobody waits for its reply any more, but it goes on: those behind it are answered. */
void thrift_order_forget(thrift_call *call);

/* The replies that have waited for a call that is answered, or forgotten, now: to what is sent. */
void thrift_order_send_done(thrift_connection *peer);

/*
 * Where the reply of `call` goes: to what is sent next, if that is its place. It is ready for a
 * message of the call's kind. NULL: no memory.
 */
coil_thrift_writer *thrift_order_writer(thrift_call *call);

/*
 * The message that the writer has finished, of `size` bytes, unless that is an error, becomes what
 * the peer expects. `extra` may be NULL. Its size then, or the error.
 */
int thrift_order_seal(
        const thrift_call *call, coil_thrift_writer *writer, int size, const thrift_extra *extra);

/* Bytes that are no message, as the reply of a call. */
void thrift_order_say_as(thrift_call *call, coil_thrift_text bytes);

/*
 * Oneway by HTTP: the peer hears that the call has come; if it is not its turn, when it is; or not
 * yet, if there is a later occasion.
 */
void thrift_order_acknowledge(thrift_call *call, bool now_or_later);

/*
 * For handlers whose answers are many times larger than their calls: wait until an answer of this
 * one can leave, and the one before it has. From then on, until it has left itself, no further call
 * of its connection is read. Else who asks again and again, and does not listen, has us make
 * hundreds of them. Calls that wait here, behind one that takes its time, keep nobody from reading.
 */
coil_declare_private(void, thrift_order_reserve, (coil_thrift_call *)call);

/* Something has left: the next call that waits for that may go on. */
void thrift_order_wake_large(const thrift_connection *peer);

/* The handler waits, and has begun its reply where those of others have to go. */
bool thrift_order_detach(thrift_call *call);

/* The reply is complete: it is on its way, or waits for others. The call is the connection's. */
void thrift_order_deliver(thrift_call *call);

/* ------------------------------------------------------------------------- thrift_queue.c -- */

/* May it be started? 1; 0: it waits in the queue; -EBUSY: neither. */
int thrift_queue_admit(thrift_call *call);

/* Its handler waits, or does not any more: it counts, or makes room for another. */
void thrift_queue_enter(thrift_call *call);
void thrift_queue_leave(thrift_call *call);

/* It is not waiting for its turn any more. */
void thrift_queue_remove(thrift_call *call);

/* It has had its turn, and has ended without waiting: the next one has it. */
void thrift_queue_end_turn(thrift_call *call);

/* -------------------------------------------------------------------------- thrift_typed.c -- */

/* What an arena of a call of this server may hold. */
size_t thrift_arena_max(const coil_thrift_server *server);

/* What is charged for a message that lies in the call's arena. */
uint32_t thrift_charge_copied(const thrift_envelope *envelope);

/*
 * The call's arguments, of which the message has been taken, into a new struct in its arena, beside
 * an empty result. 0, the reader's error, -ENOBUFS (a limit of the arena), -ENOMEM.
 */
int thrift_typed_begin(coil_thrift_call *call, size_t charged_bytes, void **out_typed);

/* The handler has returned 0: write what is in the struct. The exception it has set, or NULL. */
const coil_thrift_field_schema *thrift_typed_end(
        const coil_thrift_call *call, coil_thrift_writer *writer, void *typed);

/* --------------------------------------------------------------------------- thrift_page.c -- */

/* Are requests of HTTP answered that are no calls? */
bool thrift_pages_are_served(const coil_thrift_server *server);

/* Is this one? */
bool thrift_is_page(const thrift_envelope *envelope);

/* Answer it in the place of a reply; the call, which it has become, is over. */
void thrift_page_answer(thrift_call *call, const thrift_envelope *envelope);

#endif
