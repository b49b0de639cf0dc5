/* SPDX-License-Identifier: MIT */
/* Of coil/thrift_server.h: the tasks of a connection, what they send, and how it ends. */
#include "thrift_server_private.h"

#include "linger.h"

#include <coil/sched.h>

#include <errno.h>
#include <stdlib.h>

enum {
    PART_BYTES = 64 * 1024, /* What a peer has to take within reply_limit. */
    REPLY_LIMIT_S = 60,     /* The defaults. */
    CALLS_MAX = 128,
    STREAK_MAX = 256, /* Calls of one connection before others have their turn. */
    UNSENT_MAX = 1024 * 1024,
};

/* ------------------------------------------------------------------------------ its state -- */

static size_t unsent_max_of(const coil_thrift_server *server)
{
    return server->connection_unsent_max > 0 ? server->connection_unsent_max : UNSENT_MAX;
}

/* Is there nothing that would be lost with the connection? */
static bool is_idle(const thrift_connection *peer)
{
    return peer->is_waiting && peer->call_count == 0 && peer->out == NULL && !peer->is_flushing;
}

void thrift_rest_if_idle(const thrift_connection *peer)
{
    if (peer->session != NULL && is_idle(peer))
        coil_session_idle(peer->session);
}

/* The handlers whose replies nobody waits for are unwound; oneway calls are not. */
static COIL_COLD void cut_calls(thrift_connection *peer)
{
    coil_list *next;

    for (coil_list *link = peer->calls.next; link != &peer->calls; link = next) {
        thrift_call *call = coil_container_of(link, thrift_call, link);
        next = link->next;
        if (call->call.message.type == COIL_THRIFT_ONEWAY)
            continue;
        if (call->state == THRIFT_CALL_QUEUED) {
            thrift_queue_remove(call);
            thrift_call_abandon(call);
        } else if (call->state == THRIFT_CALL_WAITS && !call->is_cut) {
            call->is_cut = coil_task_unwind(call->task, call->leaf);
        } else if ((call->holds & THRIFT_HOLDS_TURN) != 0) {
            call->is_cut = true; /* It is about to begin. */
        }
    }
    thrift_order_send_done(peer); /* Nobody else does, if they have waited for those alone. */
}

/* Nothing more is read; what has been is answered. */
static COIL_COLD void stop_reading(thrift_connection *peer, int error)
{
    if (peer->is_over)
        return;
    peer->is_over = true;
    peer->error = error;
    if (peer->reader != NULL && error < 0)
        coil_receiver_fail(peer->stream, error);
}

COIL_COLD void thrift_connection_break(thrift_connection *peer, int error)
{
    stop_reading(peer, error);
    peer->is_broken = true;
    cut_calls(peer);
}

/* --------------------------------------------------------------------------------- flushing -- */

/* Behind all that is ready: whoever gets done in this turn is to be sent, too. */
coil_leaf(void, let_others_finish);

static coil_turn let_others_finish_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL || task->sched->ready_first == NULL || coil_task_refuses(task)) {
        (void)coil_task_refuses(task);
        return coil_leave(task, leaf);
    }
    coil_task_wake(task);
    return coil_leaf_suspend(leaf);
}

coil_leaf_fn(let_others_finish, let_others_finish_step, NULL);

/*
 * coil_write_all() within the time that a peer has for it: -ETIME. Only a write that waits has a
 * timer; most go out at once.
 */
coil_leaf(int, write_in_time, (coil_stream *) stream, (coil_slice) bytes, (thrift_connection *) peer);

static_assert(offsetof(struct write_in_time__frame, co__ret) ==
                              offsetof(struct coil_write_all__frame, co__ret) &&
                      offsetof(struct write_in_time__frame, co__a.stream) ==
                              offsetof(struct coil_write_all__frame, co__a.stream) &&
                      offsetof(struct write_in_time__frame, co__a.bytes) ==
                              offsetof(struct coil_write_all__frame, co__a.bytes),
        "it begins with a coil_write_all()");

static void give_up_writing(coil_timer *timer)
{
    const thrift_connection *peer = coil_container_of(timer, thrift_connection, write_timer);

    (void)coil_task_unwind(peer->writer, peer->writer_leaf);
}

static COIL_COLD void begin_waiting_to_write(
        thrift_connection *peer, coil_task *task, coil_frame *leaf)
{
    const coil_duration limit = thrift_limit_of(peer->server->reply_limit, REPLY_LIMIT_S);

    peer->writer = task;
    peer->writer_leaf = leaf;
    coil_timer_init(&peer->write_timer, give_up_writing);
    coil_timer_arm(&task->sched->wheel, &peer->write_timer, coil_time_after(coil_now(), limit));
}

/* (The leaf has been left, and is where it was.) */
static COIL_COLD void end_waiting_to_write(
        thrift_connection *peer, coil_task *task, coil_frame *leaf)
{
    bool is_unwound = false;

    peer->writer = NULL;
    coil_timer_disarm(&task->sched->wheel, &peer->write_timer);
    if (coil_task_absorb(task, leaf, &is_unwound) && is_unwound)
        coil_result(write_in_time, leaf) = -ETIME;
}

static coil_turn write_in_time_step(coil_task *task, coil_frame *leaf)
{
    thrift_connection *peer = coil_arguments(write_in_time, leaf)->peer;
    const coil_turn turn = coil_sender_step(task, leaf);

    if (turn == COIL_WAIT && peer->writer == NULL) {
        begin_waiting_to_write(peer, task, leaf);
    } else if (coil_unlikely(turn == COIL_DONE && peer->writer != NULL)) {
        end_waiting_to_write(peer, task, leaf);
    }
    return turn;
}

coil_leaf_fn(write_in_time, write_in_time_step, coil_sender_cancel);

/* The next part of what is sent, which a peer has to take within a time. */
static coil_slice take_part_of(coil_thrift_text *rest)
{
    const uint32_t part_bytes = rest->size > PART_BYTES ? PART_BYTES : rest->size;
    const coil_slice part = coil_bytes(rest->bytes, part_bytes);

    rest->bytes += part_bytes;
    rest->size -= part_bytes;
    return part;
}

/* What is to be sent becomes what is being sent. 0, or an error. */
static int begin_sending(thrift_connection *peer, coil_thrift_text *out_bytes)
{
    peer->sending = peer->out;
    peer->out = NULL;
    *out_bytes = (coil_thrift_text){
            (const char *)peer->sending->writer.bytes, peer->sending->writer.size};
    if (coil_likely(!peer->transport.is_inflating))
        return 0;
    return thrift_transport_pack(&peer->transport, *out_bytes, out_bytes);
}

static void end_sending(thrift_connection *peer)
{
    thrift_give_writer(peer->server, peer->sending);
    peer->sending = NULL;
}

coil_define(int, thrift_flush, (thrift_connection *) peer)
{
    coil_vars(coil_thrift_text rest; int rc);

    if (peer->is_flushing)
        return 0;
    peer->is_flushing = true;
    while (peer->out != NULL && !peer->is_broken) { /* More may be added meanwhile. */
        my->rc = begin_sending(peer, &my->rest);
        while (my->rc >= 0 && my->rest.size > 0) {
            const coil_slice part = take_part_of(&my->rest);
            coil_await(my->rc, write_in_time(peer->stream, part, peer));
        }
        if (coil_unlikely(my->rc < 0)) {
            thrift_connection_break(peer, my->rc);
            break;
        }
        end_sending(peer);
    }
    peer->is_flushing = false;
    if (coil_unlikely(peer->sends_first) && peer->hold_count == 0) {
        peer->sends_first = false; /* All has been sent. */
        thrift_order_wake_large(peer);
    }
    return peer->is_broken ? -EPIPE : peer->error;
}

/* ------------------------------------------------------------------------------------ tasks -- */

/* The peer has been told what it did wrong, or will be. */
static bool is_refusal(int error)
{
    return thrift_is_protocol_error(error) || error == -EPROTONOSUPPORT;
}

/* The reader cannot go on. */
static COIL_COLD void end_reading(thrift_connection *peer, int rc)
{
    peer->reader = NULL;
    if (rc < 0 && !is_refusal(rc)) {
        thrift_connection_break(peer, rc);
        return;
    }
    stop_reading(peer, rc);
    if (rc == 0 && !peer->server->half_open)
        cut_calls(peer);
}

/* The call is over, its handler has returned `result`. */
static void end_call(thrift_connection *peer, thrift_call *call, int result)
{
    if (peer->current == call)
        peer->current = NULL;
    peer->active_at = coil_now();
    const int rc = thrift_call_end(call, result);
    if (coil_likely(rc >= 0))
        return;
    if (peer->reader == peer->tasks.sched->running) {
        end_reading(peer, rc);
    } else {
        stop_reading(peer, rc);
    }
}

/* Become the one who reads, when all is sent: 1. 0: there is nothing to do for this task. */
coil_async(int, take_over_reading, (thrift_connection *) peer)
{
    coil_vars();

    for (;;) {
        if (peer->reader == coil_self)
            peer->reader = NULL;
        if (thrift_has_to_send(peer)) {
            coil_await(let_others_finish());
            coil_ignore(thrift_flush(peer));
            continue;
        }
        if (peer->reader != NULL || !thrift_may_read(peer)) {
            thrift_rest_if_idle(peer);
            return 0;
        }
        peer->reader = coil_self;
        return 1;
    }
}

/* The message that has come. Negative: nothing that comes behind it can be understood. */
static inline int begin_call(thrift_connection *peer, thrift_call **out_call)
{
    peer->is_over |= peer->envelope.kind.last; /* HTTP: nothing comes behind it. */
    const int rc = thrift_call_begin(peer, out_call);
    peer->current = rc > 0 ? *out_call : NULL;
    if (rc <= 0)
        *out_call = NULL;
    return rc;
}

/* What has come of reading: a message, which may be a call to be run; or nothing any more. */
static inline void go_on(thrift_connection *peer, int rc, thrift_call **out_call)
{
    if (coil_likely(rc > 0)) {
        rc = begin_call(peer, out_call);
        if (rc >= 0)
            return;
    }
    end_reading(peer, rc);
}

/* What each task of a connection does: a call, if it has one; and it reads, if nobody else does. */
coil_async(int, take_part, (thrift_connection *) peer, (thrift_call *) first)
{
    coil_vars(int rc; int reads; unsigned streak; thrift_call *call);

    my->call = first;
    if (first != NULL && first->is_cut) {
        thrift_call_abandon(first);
        thrift_order_send_done(peer);
        my->call = NULL;
    }
    for (;;) {
        if (my->call != NULL && my->call->call.deadline == COIL_NEVER) {
            coil_await(my->rc, thrift_call_run(my->call));
        } else if (my->call != NULL) {
            coil_await(my->rc, coil_until(my->call->call.deadline, thrift_call_run(my->call)));
        }
        if (my->call != NULL) {
            end_call(peer, my->call, my->rc);
            my->call = NULL;
            my->streak++;
        }
        if (my->streak >= STREAK_MAX) {
            my->streak = 0;
            coil_await(coil_yield());
        }
        if (peer->reader != coil_self || !thrift_may_read(peer)) {
            coil_await(my->reads, take_over_reading(peer));
            if (my->reads == 0)
                break;
        }
        my->rc = thrift_take_message(peer);
        if (my->rc == 0)
            coil_await(my->rc, thrift_next_message(peer));
        go_on(peer, my->rc, &my->call);
    }
    if (peer->host != NULL)
        coil_task_wake(peer->host);
    return 0;
}

coil_task *thrift_spawn(thrift_connection *peer, thrift_call *call)
{
    coil_task *task = coil_spawn(&peer->tasks, take_part(peer, call));
    if (task == NULL && peer->host != NULL)
        coil_task_wake(peer->host); /* It sees to what there is. */
    return task;
}

void thrift_connection_hand_over(thrift_connection *peer, const coil_task *task)
{
    if (peer->reader != task)
        return;
    peer->reader = NULL;
    if (thrift_may_read(peer) || thrift_has_to_send(peer))
        (void)thrift_spawn(peer, NULL);
}

/* -------------------------------------------------------------------------- from end to end -- */

static bool has_ended(const thrift_connection *peer)
{
    return peer->is_over && peer->call_count == 0 && !thrift_has_to_send(peer);
}

/* Is there something to do, and nobody who does it? */
static bool is_deserted(const thrift_connection *peer)
{
    return peer->tasks.live_count == 0 &&
           (has_ended(peer) || thrift_has_to_send(peer) || thrift_may_read(peer));
}

/* The connection's first task waits until the others have done their part. */
coil_leaf(void, desertion, (thrift_connection *) peer);

static coil_turn desertion_step(coil_task *task, coil_frame *leaf)
{
    thrift_connection *peer = coil_arguments(desertion, leaf)->peer;

    if (!coil_task_refuses(task) && !is_deserted(peer)) {
        peer->host = task;
        return coil_leaf_suspend(leaf);
    }
    peer->host = NULL;
    return coil_leave(task, leaf);
}

coil_leaf_fn(desertion, desertion_step, coil_leaf_wake);

coil_define(int, thrift_connection_serve, (thrift_connection *) peer)
{
    coil_vars();

    coil_defer(thrift_connection_close(peer));
    coil_open_group(&peer->tasks);
    peer->tasks.keep_going = true;
    do {
        coil_ignore(take_part(peer, NULL));
        coil_await(desertion(peer));
    } while (!has_ended(peer));
    if (is_refusal(peer->error)) {
        /* If we closed while it is still sending, a reset would overtake our explanation. */
        peer->server->stats.protocol_errors++;
        coil_ignore(coil_within(coil_s(LINGER_S), linger(peer->stream)));
    }
    return peer->error;
}

thrift_connection *thrift_connection_open(coil_thrift_server *server, coil_stream *stream)
{
    thrift_connection *peer = calloc(1, sizeof(*peer));

    if (peer == NULL || !thrift_server_enter(server)) {
        free(peer);
        return NULL;
    }
    peer->server = server;
    peer->stream = stream;
    coil_stream_share_turns(stream);
    coil_list_init(&peer->calls);
    thrift_transport_init(&peer->transport, server->limits);
    peer->transport.pages = thrift_pages_are_served(server);
    peer->calls_max = server->connection_calls_max > 0 ? server->connection_calls_max : CALLS_MAX;
    peer->unsent_max = unsent_max_of(server);
    server->stats.connections++;
    server->stats.open_connections++;
    return peer;
}

/* None of them may have its turn any more when another one ends. */
static void leave_queue(thrift_connection *peer)
{
    for (coil_list *link = peer->calls.next; link != &peer->calls; link = link->next) {
        thrift_call *call = coil_container_of(link, thrift_call, link);
        if (call->state == THRIFT_CALL_QUEUED)
            thrift_queue_remove(call);
    }
}

static void drop_calls(thrift_connection *peer)
{
    leave_queue(peer);
    if (peer->current != NULL)
        thrift_call_abandon(peer->current);
    while (!coil_list_empty(&peer->calls)) {
        thrift_call *call = coil_container_of(peer->calls.next, thrift_call, link);
        if (call->state == THRIFT_CALL_DONE) {
            thrift_call_release(call);
        } else {
            thrift_call_abandon(call);
        }
    }
}

void thrift_connection_close(thrift_connection *peer)
{
    coil_thrift_server *server = peer->server;

    drop_calls(peer);
    coil_slice_release(&peer->frame);
    thrift_give_writer(server, peer->out);
    thrift_give_writer(server, peer->sending);
    thrift_transport_fini(&peer->transport);
    if (peer->session == NULL)
        coil_stream_close(peer->stream);
    free(peer);
    server->stats.open_connections--;
    thrift_server_leave(server);
}
