/* SPDX-License-Identifier: MIT */
/* What is around a message: frames, THeader, HTTP, or nothing. */
#include "http_message.h"
#include "thrift_header.h"
#include "thrift_transport_private.h"
#include "thrift_zlib.h"

#include <errno.h>
#include <stdlib.h>

/* ---------------------------------------------------------------------------------- messages -- */

/* How much a message may become that has arrived as so many bytes. */
static size_t inflated_max(const thrift_transport *transport, size_t deflated_bytes)
{
    uint64_t size_max = THRIFT_INFLATE_FREE_BYTES + (uint64_t)deflated_bytes * THRIFT_INFLATE_RATIO;
    uint32_t frame_max = transport->limits->frame_max;

    return size_max < frame_max ? (size_t)size_max : frame_max;
}

static void give(thrift_transport *transport, const uint8_t *bytes, uint32_t size,
        thrift_envelope *out_envelope)
{
    out_envelope->message = bytes;
    out_envelope->size = size;
    out_envelope->kind = transport->kind;
}

/* A message without anything around it. */
static int take_message(thrift_transport *transport, const uint8_t *bytes, uint32_t size,
        thrift_envelope *out_envelope)
{
    if (size == 0)
        return thrift_transport_fail(transport, TRANSPORT_FAULT_EMPTY);
    int protocol = coil_thrift_detect_protocol(bytes, size);
    if (protocol < 0)
        return thrift_transport_fail_at(transport, TRANSPORT_FAULT_NO_MESSAGE, bytes, size);
    transport->kind.protocol = (uint8_t)protocol;
    give(transport, bytes, size, out_envelope);
    return 1;
}

/* Take it from `message`, into which so many bytes were inflated. */
static int take_inflated(
        thrift_transport *transport, int rc, uint32_t size, thrift_envelope *out_envelope)
{
    if (rc < 0)
        return thrift_transport_fail_inflating(transport, rc);
    out_envelope->copied = true;
    out_envelope->inflated = true;
    out_envelope->deflated_size = size;
    return take_message(
            transport, transport->message.bytes, (uint32_t)transport->message.size, out_envelope);
}

/* The contents of a frame or body that are the next piece of a deflate stream. */
static int take_piece(thrift_transport *transport, const uint8_t *bytes, uint32_t size,
        thrift_envelope *out_envelope)
{
    size_t size_max = inflated_max(transport, size);
    size_t taken = 0;

    transport->in_pieces = true;
    transport->kind.zlib = THRIFT_ZLIB_STREAM;
    byte_store_clear(&transport->message, THRIFT_KEEP_BYTES);
    int rc = thrift_inflate(
            &transport->inflater, bytes, size, &transport->message, size_max + 1, &taken);
    if (rc == 0 && transport->message.size > size_max)
        rc = -EMSGSIZE;
    return take_inflated(transport, rc, size, out_envelope);
}

/* What a frame or a body holds. */
static int take_contents(thrift_transport *transport, const uint8_t *bytes, uint32_t size,
        thrift_envelope *out_envelope)
{
    if (transport->in_pieces || (thrift_zlib_is(bytes, size) && !transport->is_inflating))
        return take_piece(transport, bytes, size, out_envelope);
    return take_message(transport, bytes, size, out_envelope);
}

static int take_header(thrift_transport *transport, const uint8_t *frame, uint32_t size,
        thrift_envelope *out_envelope)
{
    thrift_header header;

    int fault = thrift_header_read(frame, size, &header);
    transport->kind = header.kind;
    if (fault != 0)
        return thrift_transport_fail(transport, (enum transport_fault)fault);
    out_envelope->headers = header.headers;
    if (header.kind.zlib == THRIFT_ZLIB_ALONE) {
        byte_store_clear(&transport->message, THRIFT_KEEP_BYTES);
        int rc = thrift_inflate_alone(&transport->inflater_alone, header.payload,
                header.payload_size, &transport->message,
                inflated_max(transport, header.payload_size));
        if (rc < 0)
            return thrift_transport_fail_inflating(transport, rc);
        if (!transport->compress_replies)
            transport->kind.zlib = THRIFT_ZLIB_NONE;
        out_envelope->copied = true;
        out_envelope->inflated = true;
        out_envelope->deflated_size = header.payload_size;
        header.payload = transport->message.bytes;
        header.payload_size = (uint32_t)transport->message.size;
    }
    if (header.payload_size == 0)
        return thrift_transport_fail(transport, TRANSPORT_FAULT_EMPTY);
    give(transport, header.payload, header.payload_size, out_envelope);
    return 1;
}

/* ------------------------------------------------------------------------------------ frames -- */

int thrift_transport_next_frame(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (size < COIL_THRIFT_LENGTH_BYTES)
        return thrift_transport_want(transport, COIL_THRIFT_LENGTH_BYTES);
    uint32_t frame_size = thrift_load_32(bytes);
    if (!thrift_transport_length_fits(transport, frame_size))
        return thrift_transport_fail_length(transport, bytes, size);
    if (size - COIL_THRIFT_LENGTH_BYTES < frame_size)
        return thrift_transport_want(transport, (size_t)COIL_THRIFT_LENGTH_BYTES + frame_size);

    const uint8_t *frame = bytes + COIL_THRIFT_LENGTH_BYTES;
    transport->taken = (size_t)COIL_THRIFT_LENGTH_BYTES + frame_size;
    if (thrift_header_is(frame, frame_size) && !transport->in_pieces)
        return take_header(transport, frame, frame_size, out_envelope);
    transport->kind = (thrift_kind){.transport = COIL_THRIFT_TRANSPORT_FRAMED};
    return take_contents(transport, frame, frame_size, out_envelope);
}

/* ---------------------------------------------------------------------------------- unframed -- */

/* Look for the end of the message in what has come of it. 1: it is there, at scan->size. */
static int scan_message(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    coil_thrift_scan *scan = transport->scan;
    size_t rest = size - scan->size;

    int rc = coil_thrift_scan_go_on(
            scan, bytes + scan->size, rest < UINT32_MAX ? (uint32_t)rest : UINT32_MAX);
    if (rc < 0)
        return thrift_transport_fail_as(transport, TRANSPORT_FAULT_UNFRAMED, rc);
    transport->kind.protocol = scan->protocol;
    transport->is_scanning = rc == 0;
    return rc == 0 ? thrift_transport_want(transport, (size_t)scan->size + scan->wanted) : 1;
}

int thrift_transport_next_unframed(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (size == 0)
        return thrift_transport_want(transport, 1);
    int protocol = coil_thrift_detect_protocol(bytes, size);
    if (protocol < 0)
        return thrift_transport_fail_at(transport, TRANSPORT_FAULT_NO_MESSAGE, bytes, size);
    transport->kind.protocol = (uint8_t)protocol;
    if (transport->scan == NULL)
        transport->scan = calloc(1, sizeof(*transport->scan));
    if (transport->scan == NULL)
        return thrift_transport_fail(transport, TRANSPORT_FAULT_NO_SPACE);
    if (!transport->is_scanning)
        coil_thrift_scan_init(transport->scan, transport->limits);

    int rc = scan_message(transport, bytes, size);
    if (rc <= 0)
        return rc;
    transport->taken = transport->scan->size;
    give(transport, bytes, transport->scan->size, out_envelope);
    return 1;
}

/* -------------------------------------------------------------------------------------- HTTP -- */

static int fail_http(thrift_transport *transport, int error)
{
    (void)thrift_transport_fail_as(transport, TRANSPORT_FAULT_HTTP, error);
    if (!transport->is_client)
        transport->answer_status = http_message_status(transport->http);
    return error;
}

static int take_content(
        thrift_transport *transport, const http_content *content, thrift_envelope *out_envelope)
{
    bool is_page = !transport->is_client && !coil_thrift_text_is(content->method, "POST");

    transport->kind.last = content->last;
    transport->kind.old_http = content->old;
    out_envelope->copied = true;
    out_envelope->headers = content->headers;
    out_envelope->http_method = content->method;
    out_envelope->http_target = content->target;
    if (is_page) {
        give(transport, content->body, content->body_size, out_envelope);
        return 1;
    }
    if (transport->is_client && content->status != 200)
        return thrift_transport_fail(transport, TRANSPORT_FAULT_HTTP_STATUS);
    if (transport->is_client && content->body_size == 0) { /* Of a call without a reply. */
        give(transport, NULL, 0, out_envelope);
        return 1;
    }
    int rc = take_contents(transport, content->body, content->body_size, out_envelope);
    if (rc < 0 && !transport->is_client)
        transport->answer_status = rc == -ENOMEM ? 500 : 400;
    return rc;
}

static int open_http(thrift_transport *transport)
{
    http_limits limits = {
            .head_max = THRIFT_HEADER_BYTES_MAX,
            .headers_max = COIL_THRIFT_HEADERS_MAX,
            .body_max = transport->limits->frame_max,
    };

    transport->kind.transport = COIL_THRIFT_TRANSPORT_HTTP;
    transport->http = http_message_create(!transport->is_client, &limits);
    if (transport->http == NULL) {
        const int status = http_message_status(NULL);
        if (!transport->is_client)
            transport->answer_status = status;
        return thrift_transport_fail(
                transport, status == 501 ? TRANSPORT_FAULT_HTTP_MISSING : TRANSPORT_FAULT_NO_SPACE);
    }
    if (transport->pages)
        http_message_allow_all(transport->http);
    return 0;
}

int thrift_transport_next_http(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    http_content content;

    if (transport->http == NULL) {
        int rc = open_http(transport);
        if (rc < 0)
            return rc;
    }
    int rc = http_message_next(transport->http, bytes, size, &transport->taken, &content);
    if (rc < 0)
        return fail_http(transport, rc);
    if (rc > 0)
        return take_content(transport, &content, out_envelope);
    if (http_message_expects(transport->http))
        transport->interim = http_continue();
    return thrift_transport_want(transport, 1);
}

int thrift_transport_end_http(thrift_transport *transport, thrift_envelope *out_envelope)
{
    http_content content;

    int rc = http_message_end(transport->http, &content);
    if (rc < 0)
        return thrift_transport_fail(transport, TRANSPORT_FAULT_END);
    return rc == 0 ? 0 : take_content(transport, &content, out_envelope);
}
