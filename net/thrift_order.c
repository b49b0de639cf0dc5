/* SPDX-License-Identifier: MIT */
/*
 * Of coil/thrift_server.h: replies, in the order of their calls. A call whose turn it is writes its
 * reply behind what is sent next; any other into a writer of its own, whose bytes follow later.
 */
#include "thrift_server_private.h"

#include <errno.h>

void thrift_order_link(thrift_call *call)
{
    thrift_connection *peer = call->peer;

    call->is_linked = true;
    coil_list_append(&peer->calls, &call->link);
    peer->call_count++;
    call->is_awaited = call->call.message.type != COIL_THRIFT_ONEWAY;
    peer->awaited_count += call->is_awaited;
}

void thrift_order_forget(thrift_call *call)
{
    call->peer->awaited_count -= call->is_awaited;
    call->is_awaited = false;
}

void thrift_order_unlink(thrift_call *call)
{
    if (!call->is_linked)
        return;
    call->is_linked = false;
    thrift_order_forget(call);
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

static bool is_next(const thrift_call *call)
{
    const thrift_connection *peer = call->peer;

    if (peer->awaited_count == 0 || peer->server->out_of_order)
        return true;
    return call->is_linked && first_awaited(peer) == call;
}

size_t thrift_unsent_bytes(const thrift_connection *peer)
{
    return peer->held_bytes + (peer->out == NULL ? 0 : peer->out->writer.size) +
           (peer->sending == NULL ? 0 : peer->sending->writer.size);
}

coil_thrift_writer *thrift_order_writer(thrift_call *call)
{
    thrift_connection *peer = call->peer;
    /* While its handler waits, others write where replies are sent from. */
    const bool may_wait = call->state == THRIFT_CALL_WAITS && call->task != NULL;
    thrift_pooled_writer **place = is_next(call) && !may_wait ? &peer->out : &call->own;

    if (*place == NULL)
        *place = thrift_take_writer(peer->server);
    return *place == NULL ? NULL : &(*place)->writer;
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
        uint8_t *place = coil_thrift_writer_room(writer, part);
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

/* Those that have waited for a call that has been answered now. */
static void send_done(thrift_connection *peer)
{
    thrift_call *call;

    while ((call = first_awaited(peer)) != NULL && call->state == THRIFT_CALL_DONE) {
        send_own(call);
        thrift_call_release(call);
    }
}

void thrift_order_deliver(thrift_call *call)
{
    thrift_connection *peer = call->peer;

    if (call->own != NULL && !is_next(call)) {
        call->state = THRIFT_CALL_DONE;
        peer->held_bytes += call->own->writer.size - call->reply_start;
        if (!call->is_linked)
            thrift_order_link(call);
        return;
    }
    if (call->own != NULL)
        send_own(call);
    thrift_call_release(call);
    if (coil_unlikely(peer->awaited_count > 0))
        send_done(peer);
}
