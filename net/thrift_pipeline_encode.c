/* SPDX-License-Identifier: MIT */
#include "thrift_pipeline_private.h"

#include <coil/loop.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { NAME_BYTES = 256, NUMBER_BYTES = 24 };

/* "Service:method", in `room` if need be. */
static int name_of(
        const coil_thrift_invocation *invocation, char room[NAME_BYTES], coil_thrift_text *out_name)
{
    const coil_thrift_text bare = coil_thrift_text_of(invocation->method->name);

    *out_name = bare;
    if (invocation->service == NULL)
        return 0;
    const coil_thrift_text service = coil_thrift_text_of(invocation->service);
    if ((uint64_t)service.size + 1 + bare.size > NAME_BYTES)
        return -ENAMETOOLONG;
    char *at = mempcpy(room, service.bytes, service.size);
    *at++ = ':';
    memcpy(at, bare.bytes, bare.size);
    *out_name = (coil_thrift_text){room, service.size + 1 + bare.size};
    return 0;
}

/* The message, behind the envelope's room. Its size with that, or an error. */
static int write_message(coil_thrift_writer *writer, const coil_thrift_invocation *invocation,
        const coil_thrift_message *message)
{
    coil_thrift_writer_begin(writer, message);
    if (invocation->arguments == NULL) {
        coil_thrift_write_stop(writer); /* To the server, what is missing has its default. */
    } else {
        coil_thrift_write_fields(writer, invocation->method->arguments, invocation->arguments);
    }
    return coil_thrift_writer_finish(writer);
}

/* The same in an envelope that has to be told what is in it. */
static int write_wrapped(coil_thrift_pipeline *pipeline, const coil_thrift_invocation *invocation,
        const coil_thrift_message *message, const thrift_extra *extra)
{
    thrift_transport *transport = &pipeline->wire->transport;
    coil_thrift_writer *writer = &pipeline->filling;
    const thrift_kind kind = thrift_transport_call_kind(transport, message->seqid);

    const int room = thrift_transport_room(transport, &kind, extra);
    if (room < 0)
        return room;
    coil_thrift_writer_set_envelope_room(writer, (uint32_t)room);
    const int size = write_message(writer, invocation, message);
    if (size < 0)
        return size;
    return thrift_transport_seal(transport, &kind, extra, writer, (uint32_t)size);
}

/* With how long the server has, behind the headers of the call. */
static int write_timed(coil_thrift_pipeline *pipeline, const coil_thrift_invocation *invocation,
        const coil_thrift_message *message, coil_duration left)
{
    coil_thrift_header headers[COIL_THRIFT_HEADERS_MAX];
    char number[NUMBER_BYTES];
    const int64_t left_ms = left / coil_ms(1);

    if (invocation->header_count >= COIL_THRIFT_HEADERS_MAX)
        return -EMSGSIZE;
    if (invocation->header_count > 0)
        memcpy(headers, invocation->headers, invocation->header_count * sizeof(*headers));
    (void)snprintf(number, sizeof(number), "%" PRId64, left_ms < 1 ? 1 : left_ms);
    headers[invocation->header_count] = (coil_thrift_header){
            coil_thrift_text_of("client_timeout"), coil_thrift_text_of(number)};
    const thrift_extra extra = {headers, invocation->header_count + 1};
    return write_wrapped(pipeline, invocation, message, &extra);
}

int pipeline_encode(coil_thrift_pipeline *pipeline, const coil_thrift_invocation *invocation,
        int32_t seqid, coil_time deadline)
{
    const bool is_oneway = invocation->method->is_oneway;
    coil_thrift_message message = {
            .type = is_oneway ? COIL_THRIFT_ONEWAY : COIL_THRIFT_CALL, .seqid = seqid};
    const thrift_extra extra = {invocation->headers, invocation->header_count};
    char room[NAME_BYTES];

    int rc = name_of(invocation, room, &message.name);
    if (rc < 0)
        return rc;
    if (pipeline->wire->is_plain)
        return write_message(&pipeline->filling, invocation, &message);
    if (pipeline->options.transport == COIL_THRIFT_TRANSPORT_HEADER && deadline != COIL_NEVER)
        return write_timed(pipeline, invocation, &message, deadline - coil_now());
    return write_wrapped(pipeline, invocation, &message, &extra);
}
