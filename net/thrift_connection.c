/* SPDX-License-Identifier: MIT */
/* Of coil/thrift_server.h: the tasks of a connection. They read, flush, and end it. */
#include "thrift_server_private.h"

#include "linger.h"

#include <coil/sched.h>

#include <errno.h>
#include <stdlib.h>

enum {
    FLUSH_BYTES = 64 * 1024, /* Replies are sent at the latest when there are so many. */
    PART_BYTES = 64 * 1024,  /* What a peer has to take within reply_limit. */
    FRAME_LIMIT_S = 30,      /* The defaults. */
    REPLY_LIMIT_S = 60,
    CALLS_MAX = 128,
    UNSENT_MAX = 1024 * 1024,
};

/* ----------------------------------------------------------------------------- who may read -- */

bool thrift_may_read(const thrift_connection *peer)
{
    const unsigned calls_max = peer->server->connection_calls_max;
    const size_t unsent_max = peer->server->connection_unsent_max;

    return !peer->is_over && peer->call_count < (calls_max > 0 ? calls_max : CALLS_MAX) &&
           thrift_unsent_bytes(peer) < (unsent_max > 0 ? unsent_max : UNSENT_MAX);
}

/* Is there nothing that would be lost with the connection? */
static bool is_idle(const thrift_connection *peer)
{
    return peer->is_waiting && peer->call_count == 0 && peer->out == NULL && !peer->is_flushing;
}

static void rest_if_idle(const thrift_connection *peer)
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
        if (!call->is_awaited)
            continue;
        if (call->state == THRIFT_CALL_QUEUED) {
            thrift_queue_remove(call);
            thrift_call_abandon(call);
        } else if (call->state == THRIFT_CALL_WAITS && call->task != NULL && !call->is_cut) {
            call->is_cut = coil_task_unwind(call->task, call->leaf);
        }
    }
}

/* Nothing more is read; what has been is answered. */
static COIL_COLD void stop_reading(thrift_connection *peer, int error)
{
    if (peer->is_over)
        return;
    peer->is_over = true;
    peer->error = error;
    if (peer->is_waiting)
        coil_receiver_fail(peer->stream, error < 0 ? error : -ECONNABORTED);
}

COIL_COLD void thrift_connection_break(thrift_connection *peer, int error)
{
    stop_reading(peer, error);
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

/* Send what there is, and what is added meanwhile. Nobody else does. 0, or why it cannot be. */
coil_async(int, flush, (thrift_connection *) peer)
{
    coil_vars(size_t sent_bytes; int rc);

    peer->is_flushing = true;
    while (peer->out != NULL) {
        peer->sending = peer->out;
        peer->out = NULL;
        my->sent_bytes = 0;
        while (my->sent_bytes < peer->sending->writer.size) {
            const char *rest = (const char *)peer->sending->writer.bytes + my->sent_bytes;
            size_t part_bytes = peer->sending->writer.size - my->sent_bytes;
            if (part_bytes > PART_BYTES)
                part_bytes = PART_BYTES;
            my->sent_bytes += part_bytes;
            coil_await(
                    my->rc, coil_within(thrift_limit_of(peer->server->reply_limit, REPLY_LIMIT_S),
                                    coil_write_all(peer->stream, coil_bytes(rest, part_bytes))));
            if (my->rc < 0)
                return my->rc; /* Still flushing: nobody else need try. */
        }
        thrift_give_writer(peer->server, peer->sending);
        peer->sending = NULL;
    }
    peer->is_flushing = false;
    return 0;
}

/* The same, unless somebody does already. A peer that cannot be written to is not read from. */
coil_async(int, flush_alone, (thrift_connection *) peer)
{
    coil_vars(int rc);

    if (peer->out == NULL || peer->is_flushing)
        return 0;
    coil_await(my->rc, flush(peer));
    if (my->rc < 0)
        thrift_connection_break(peer, my->rc);
    return my->rc;
}

/* --------------------------------------------------------------------------------- reading -- */

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

/* Wait for the next message to begin. 1; 0: it does not. */
coil_async(int, await_first_bytes, (thrift_connection *) peer)
{
    coil_vars(int rc);

    peer->is_waiting = true;
    rest_if_idle(peer);
    if (peer->server->idle_limit > 0) {
        coil_await(my->rc, arrival_or_idleness(peer));
    } else {
        coil_await(my->rc, arrival(peer->stream, 1));
    }
    peer->is_waiting = false;
    if (peer->session != NULL)
        coil_session_busy(peer->session);
    return my->rc;
}

/* The rest of a message that has begun. 1, or an error. */
coil_async(int, await_rest, (thrift_connection *) peer)
{
    coil_vars(int rc);

    if (peer->frame_deadline == 0) {
        peer->frame_deadline = coil_time_after(
                coil_now(), thrift_limit_of(peer->server->frame_limit, FRAME_LIMIT_S));
    }
    coil_await(my->rc, coil_until(peer->frame_deadline, arrival(peer->stream, peer->wanted_bytes)));
    return my->rc == 0 ? -ENODATA : my->rc;
}

static COIL_COLD int refuse_size(thrift_connection *peer, const uint8_t *first, int error)
{
    char what[THRIFT_WHAT_MAX];

    thrift_refuse_message(
            peer, error, coil_thrift_frame_what(first, peer->server->limits, what, sizeof(what)));
    return error;
}

/* The next message, if all of it is there: 1, in peer->frame. 0: peer->wanted_bytes have to be. */
static int cut_message(thrift_connection *peer)
{
    coil_slice *front = coil_receiver_front(peer->stream);

    peer->wanted_bytes = COIL_THRIFT_LENGTH_BYTES;
    if (front->size_bytes < COIL_THRIFT_LENGTH_BYTES)
        return 0;
    const uint8_t *first = (const uint8_t *)front->bytes;
    const int size = coil_thrift_frame_size(first, peer->server->limits);
    if (size < 0)
        return refuse_size(peer, first, size);
    peer->wanted_bytes = COIL_THRIFT_LENGTH_BYTES + (size_t)size;
    if ((size_t)front->size_bytes < peer->wanted_bytes)
        return 0;
    coil_receiver_head_of(peer->stream)->taken_bytes += peer->wanted_bytes;
    peer->frame = coil_slice_split(front, (int64_t)peer->wanted_bytes);
    coil_slice_consume(&peer->frame, COIL_THRIFT_LENGTH_BYTES);
    peer->frame_deadline = 0;
    return 1;
}

/* The next message, into peer->frame. Replies leave before we wait. 1; 0: none comes; an error. */
coil_async(int, next_message, (thrift_connection *) peer)
{
    coil_vars(int rc);

    for (;;) {
        my->rc = cut_message(peer);
        if (my->rc < 0)
            return my->rc;
        if (my->rc == 0 || (peer->out != NULL && peer->out->writer.size > FLUSH_BYTES))
            coil_attempt(flush_alone(peer));
        if (my->rc > 0)
            return 1;
        if (coil_stream_unread(peer->stream) == 0) {
            coil_await(my->rc, await_first_bytes(peer));
        } else {
            coil_await(my->rc, await_rest(peer));
        }
        if (my->rc <= 0)
            return my->rc;
    }
}

/* ------------------------------------------------------------------------------------ tasks -- */

/* The reader cannot go on. */
static COIL_COLD void end_reading(thrift_connection *peer, int rc)
{
    peer->reader = NULL;
    if (rc < 0 && !thrift_is_protocol_error(rc)) {
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

/* Become the one who reads, when all is sent. False: there is nothing to do for this task. */
coil_async(bool, take_over_reading, (thrift_connection *) peer)
{
    coil_vars();

    for (;;) {
        if (peer->reader == coil_self)
            peer->reader = NULL;
        if (peer->out != NULL && !peer->is_flushing) {
            coil_await(let_others_finish());
            coil_ignore(flush_alone(peer));
            continue;
        }
        if (peer->reader != NULL || !thrift_may_read(peer)) {
            rest_if_idle(peer);
            return false;
        }
        peer->reader = coil_self;
        return true;
    }
}

/* What every task of a connection does: a call, if it has one; then it reads, if nobody else does. */
coil_async(int, take_part, (thrift_connection *) peer, (thrift_call *) first)
{
    coil_vars(int rc; bool reads; thrift_call *call);

    my->call = first;
    for (;;) {
        if (my->call != NULL) {
            if (my->call->call.deadline == COIL_NEVER) {
                coil_await(my->rc, thrift_call_run(my->call));
            } else {
                coil_await(my->rc, coil_until(my->call->call.deadline, thrift_call_run(my->call)));
            }
            end_call(peer, my->call, my->rc);
            my->call = NULL;
        }
        if (peer->reader != coil_self || !thrift_may_read(peer)) {
            coil_await(my->reads, take_over_reading(peer));
            if (!my->reads)
                break;
        }
        coil_await(my->rc, next_message(peer));
        if (my->rc > 0) {
            my->rc = thrift_call_begin(peer, &my->call);
            peer->current = my->rc > 0 ? my->call : NULL;
            if (my->rc == 0)
                my->call = NULL;
            if (my->rc >= 0)
                continue;
        }
        my->call = NULL;
        end_reading(peer, my->rc);
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
    if (thrift_may_read(peer))
        (void)thrift_spawn(peer, NULL);
}

/* -------------------------------------------------------------------------- from end to end -- */

static bool has_ended(const thrift_connection *peer)
{
    return peer->is_over && peer->call_count == 0 && (peer->out == NULL || peer->is_flushing);
}

/* Is there something to do, and nobody who does it? */
static bool is_deserted(const thrift_connection *peer)
{
    return peer->tasks.live_count == 0 &&
           (has_ended(peer) || (peer->out != NULL && !peer->is_flushing) || thrift_may_read(peer));
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

/*
 * The peer is being turned away. If we closed while it is still sending, the reset that answers
 * this would overtake our explanation.
 */
static bool is_turned_away(const thrift_connection *peer)
{
    return thrift_is_protocol_error(peer->error);
}

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
    if (is_turned_away(peer)) {
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
    coil_list_init(&peer->calls);
    server->stats.connections++;
    server->stats.open_connections++;
    return peer;
}

static void drop_calls(thrift_connection *peer)
{
    if (peer->current != NULL)
        thrift_call_abandon(peer->current);
    while (!coil_list_empty(&peer->calls)) {
        thrift_call *call = coil_container_of(peer->calls.next, thrift_call, link);
        if (call->state == THRIFT_CALL_QUEUED)
            thrift_queue_remove(call);
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
    if (peer->session == NULL)
        coil_stream_close(peer->stream);
    free(peer);
    server->stats.open_connections--;
    thrift_server_leave(server);
}
