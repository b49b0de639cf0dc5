/* SPDX-License-Identifier: MIT */
/*
 * Of coil/thrift_server.h: replies, in the order of their calls. A call whose turn it is writes its
 * reply behind what is sent next; any other into a writer of its own, whose bytes follow later.
 */
#include "thrift_private.h"
#include "thrift_server_private.h"

#include <errno.h>

/* (HTTP answers everything.) */
static bool has_reply(const thrift_call *call)
{
    return call->call.message.type != COIL_THRIFT_ONEWAY ||
           (call->kind.transport == COIL_THRIFT_TRANSPORT_HTTP && !call->is_acknowledged);
}

static void set_awaited(thrift_call *call, bool is_awaited)
{
    call->peer->awaited_count += (unsigned)is_awaited - (unsigned)call->is_awaited;
    call->is_awaited = is_awaited;
}

static void link_as(thrift_call *call, bool is_awaited)
{
    thrift_connection *peer = call->peer;

    call->is_linked = true;
    coil_list_append(&peer->calls, &call->link);
    peer->call_count++;
    set_awaited(call, is_awaited);
}

void thrift_order_link(thrift_call *call)
{
    link_as(call, has_reply(call));
}

void thrift_order_forget(thrift_call *call)
{
    thrift_connection *peer = call->peer;

    if (!call->is_awaited)
        return;
    set_awaited(call, false);
    thrift_order_send_done(peer);
    /* It goes on, and maybe for long: what is to be sent is nobody's business yet. */
    if (thrift_has_to_send(peer))
        (void)thrift_spawn(peer, NULL);
}

void thrift_order_unlink(thrift_call *call)
{
    if (!call->is_linked)
        return;
    call->is_linked = false;
    set_awaited(call, false);
    coil_list_remove(&call->link);
    call->peer->call_count--;
}

/* The oldest call that others may not overtake. */
static thrift_call *first_awaited(const thrift_connection *peer)
{
    if (peer->awaited_count == 0)
        return NULL;
    for (coil_list *link = peer->calls.next; link != &peer->calls; link = link->next) {
        thrift_call *call = coil_container_of(link, thrift_call, link);
        if (call->is_awaited)
            return call;
    }
    return NULL;
}

/* Does its peer find the call of a reply by its number? */
static bool is_matched(const thrift_call *call)
{
    if (call->kind.transport == COIL_THRIFT_TRANSPORT_HTTP)
        return false;
    return call->peer->server->out_of_order || (call->kind.flags & THRIFT_FLAG_OUT_OF_ORDER) != 0;
}

static bool is_next(const thrift_call *call)
{
    const thrift_connection *peer = call->peer;

    if (peer->awaited_count == 0 || is_matched(call))
        return true;
    return call->is_linked && first_awaited(peer) == call;
}

/* A frame without anything else, in the binary protocol: what writers make by themselves. */
static bool is_plain(const thrift_kind *kind)
{
    return kind->transport == COIL_THRIFT_TRANSPORT_FRAMED && kind->zlib == THRIFT_ZLIB_NONE;
}

static void prepare(const thrift_call *call, coil_thrift_writer *writer)
{
    int room = COIL_THRIFT_LENGTH_BYTES;

    if (coil_unlikely(!is_plain(&call->kind)))
        room = thrift_transport_room(&call->peer->transport, &call->kind, NULL);
    if (coil_unlikely(writer->protocol != call->kind.protocol))
        coil_thrift_writer_set_protocol(writer, (enum coil_thrift_protocol)call->kind.protocol);
    if (coil_unlikely(room >= 0 && writer->envelope_bytes != (uint32_t)room))
        coil_thrift_writer_set_envelope_room(writer, (uint32_t)room);
}

coil_thrift_writer *thrift_order_writer(thrift_call *call)
{
    thrift_connection *peer = call->peer;
    /* While its handler waits, others write where replies are sent from. */
    const bool waits = call->state == THRIFT_CALL_WAITS;
    thrift_pooled_writer **place = is_next(call) && !waits ? &peer->out : &call->own;

    if (*place == NULL)
        *place = thrift_take_writer(peer->server);
    if (*place == NULL)
        return NULL;
    prepare(call, &(*place)->writer);
    return &(*place)->writer;
}

int thrift_order_seal(
        const thrift_call *call, coil_thrift_writer *writer, int size, const thrift_extra *extra)
{
    thrift_transport *transport = &call->peer->transport;

    if (size < 0 || is_plain(&call->kind))
        return size;
    size = thrift_transport_seal(transport, &call->kind, extra, writer, (uint32_t)size);
    if (coil_unlikely(transport->is_torn))
        thrift_connection_break(call->peer, size);
    return size;
}

/*
 * Finished messages, behind others. (In pieces, each of which a writer takes for a message: its
 * limit is for one.)
 */
static bool append(coil_thrift_writer *writer, const uint8_t *bytes, uint32_t size)
{
    while (size > 0) {
        uint32_t part = writer->limits->frame_max;
        if (part > size)
            part = size;
        coil_thrift_writer_abandon(writer);
        uint8_t *place = thrift_writer_take(writer, part);
        if (place == NULL) {
            coil_thrift_writer_abandon(writer);
            return false;
        }
        memcpy(place, bytes, part);
        writer->frame_start = writer->size;
        bytes += part;
        size -= part;
    }
    coil_thrift_writer_abandon(writer); /* There is nothing to abandon: it finds its end again. */
    return true;
}

bool thrift_order_detach(thrift_call *call)
{
    thrift_connection *peer = call->peer;

    if (!call->call.replying || peer->out == NULL || call->call.writer != &peer->out->writer)
        return true;
    thrift_pooled_writer *own = peer->out;
    call->own = own;
    call->reply_start = own->writer.frame_start;
    peer->out = NULL;
    if (call->reply_start == 0)
        return true;
    peer->out = thrift_take_writer(peer->server);
    return peer->out != NULL && append(&peer->out->writer, own->writer.bytes, call->reply_start);
}

/* ----------------------------------------------------------------------------- large answers -- */

/* Can its answer leave when it is made, and is the large one before it gone? */
static bool may_be_large(const thrift_call *call)
{
    const thrift_connection *peer = call->peer;

    if (peer->hold_count > 0 || (has_reply(call) && !is_next(call)))
        return false;
    return !peer->sends_first || (peer->out == NULL && peer->sending == NULL);
}

static void set_large(thrift_call *call, bool is_large)
{
    call->peer->large_count += (unsigned)is_large - (unsigned)call->is_large;
    call->is_large = is_large;
}

void thrift_order_wake_large(const thrift_connection *peer)
{
    if (peer->large_count == 0)
        return;
    for (coil_list *link = peer->calls.next; link != &peer->calls; link = link->next) {
        const thrift_call *call = coil_container_of(link, thrift_call, link);
        if (call->is_large && may_be_large(call)) {
            coil_task_wake(call->task);
            return; /* It holds up the others. */
        }
    }
}

static coil_turn reserve_step(coil_task *task, coil_frame *leaf)
{
    thrift_call *call =
            coil_container_of(coil_arguments(thrift_order_reserve, leaf)->call, thrift_call, call);
    const bool is_refused = coil_task_refuses(task);

    set_large(call, !is_refused && !may_be_large(call));
    if (call->is_large)
        return coil_leaf_suspend(leaf);
    if (!is_refused) {
        call->holds |= THRIFT_HOLDS_READER;
        call->peer->hold_count++;
        thrift_connection_send_first(call->peer);
    }
    return coil_leave(task, leaf);
}

coil_define_leaf(thrift_order_reserve, reserve_step, coil_leaf_wake);

/* ---------------------------------------------------------------------------------- sending -- */

/* What the call has written by itself, into what is sent next. */
static void send_own(thrift_call *call)
{
    thrift_connection *peer = call->peer;
    thrift_pooled_writer *own = call->own;
    const uint32_t size = own->writer.size - call->reply_start;

    call->own = NULL;
    if (call->state == THRIFT_CALL_DONE)
        peer->held_bytes -= size;
    if (peer->out == NULL && call->reply_start == 0) {
        peer->out = own;
        return;
    }
    if (peer->out == NULL)
        peer->out = thrift_take_writer(peer->server);
    if (peer->out == NULL ||
            !append(&peer->out->writer, own->writer.bytes + call->reply_start, size))
        thrift_connection_break(peer, -ENOMEM); /* What follows would be out of order. */
    thrift_give_writer(peer->server, own);
}

void thrift_order_say_as(thrift_call *call, coil_thrift_text bytes)
{
    coil_thrift_writer *writer = thrift_order_writer(call);

    if (writer == NULL || !append(writer, (const uint8_t *)bytes.bytes, bytes.size))
        thrift_connection_break(call->peer, -ENOMEM);
}

void thrift_order_acknowledge(thrift_call *call, bool now_or_later)
{
    if (call->kind.transport != COIL_THRIFT_TRANSPORT_HTTP || call->is_acknowledged)
        return;
    const bool is_now = is_next(call) && call->state != THRIFT_CALL_WAITS;
    if (!is_now && now_or_later)
        return;
    coil_thrift_writer *writer = thrift_order_writer(call);
    if (writer == NULL ||
            thrift_transport_acknowledge(&call->peer->transport, &call->kind, writer) < 0)
        thrift_connection_break(call->peer, -ENOMEM);
    call->is_acknowledged = true;
    if (is_now && now_or_later)
        thrift_order_forget(call);
}

void thrift_order_send_done(thrift_connection *peer)
{
    thrift_call *call;

    while ((call = first_awaited(peer)) != NULL && call->state == THRIFT_CALL_DONE) {
        thrift_order_unlink(call); /* First: sending may fail, and cut what is linked. */
        send_own(call);
        thrift_call_release(call);
    }
    thrift_order_wake_large(peer);
}

/* Has it something to be sent that is not where it is sent from? (A oneway call may have begun.) */
static bool has_own_reply(const thrift_call *call)
{
    return call->own != NULL && call->own->writer.size > call->reply_start;
}

/* The reply has to wait for others, whatever the call was when it began: it has one. */
static void hold(thrift_call *call)
{
    call->state = THRIFT_CALL_DONE;
    call->peer->held_bytes += call->own->writer.size - call->reply_start;
    if (call->is_linked) {
        set_awaited(call, true);
    } else {
        link_as(call, true);
    }
}

void thrift_order_deliver(thrift_call *call)
{
    thrift_connection *peer = call->peer;

    if (coil_unlikely(call->own != NULL) && has_own_reply(call)) {
        if (!is_next(call)) {
            hold(call);
            return;
        }
        send_own(call);
    }
    thrift_call_release(call);
    if (coil_unlikely((peer->awaited_count | peer->large_count) > 0))
        thrift_order_send_done(peer);
}
