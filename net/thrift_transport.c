/* SPDX-License-Identifier: MIT */
#include "thrift_transport.h"

#include "http_message.h"
#include "thrift_header.h"
#include "thrift_transport_fault.h"
#include "thrift_zlib.h"

#include <errno.h>
#include <stdlib.h>

enum state {
    STATE_UNKNOWN, /* Nothing has arrived that would tell. */
    STATE_LENGTHS, /* Frames, and THeader. */
    STATE_UNFRAMED,
    STATE_HTTP,
    STATE_FAILED,
};

enum {
    LOOKAHEAD_BYTES = 16 * 1024, /* Inflated beyond what is needed. */
    SLACK_BYTES = 64 * 1024,     /* What is around a message of frame_max bytes. */
};

/* ---------------------------------------------------------------------------------- failures -- */

static int fail_as(thrift_transport *transport, enum transport_fault fault, int error)
{
    transport->state = STATE_FAILED;
    transport->fault = (uint8_t)fault;
    transport->exception = transport_fault_exception(fault);
    return error;
}

static int fail(thrift_transport *transport, enum transport_fault fault)
{
    return fail_as(transport, fault, transport_fault_error(fault));
}

/* Something is wrong with these bytes, of which the first are worth to be told. */
static int fail_at(
        thrift_transport *transport, enum transport_fault fault, const uint8_t *bytes, size_t size)
{
    memset(transport->seen, 0, sizeof(transport->seen));
    memcpy(transport->seen, bytes, size < sizeof(transport->seen) ? size : sizeof(transport->seen));
    return fail(transport, fault);
}

static int fail_inflating(thrift_transport *transport, int error)
{
    switch (error) {
    case -ENODATA:
        return fail(transport, TRANSPORT_FAULT_ZLIB_CUT);
    case -EMSGSIZE:
        return fail(transport, TRANSPORT_FAULT_ZLIB_SIZE);
    case -EPROTONOSUPPORT:
        return fail(transport, TRANSPORT_FAULT_ZLIB_MISSING);
    case -ENOMEM:
        return fail(transport, TRANSPORT_FAULT_NO_SPACE);
    default:
        return fail(transport, TRANSPORT_FAULT_ZLIB);
    }
}

/* ---------------------------------------------------------------------------------- messages -- */

static int want(thrift_transport *transport, size_t bytes)
{
    transport->wanted = bytes;
    return 0;
}

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
        return fail(transport, TRANSPORT_FAULT_EMPTY);
    int protocol = coil_thrift_detect_protocol(bytes, size);
    if (protocol < 0)
        return fail_at(transport, TRANSPORT_FAULT_NO_MESSAGE, bytes, size);
    transport->kind.protocol = (uint8_t)protocol;
    give(transport, bytes, size, out_envelope);
    return 1;
}

/* Take it from `message`, into which it was inflated. */
static int take_inflated(thrift_transport *transport, int rc, thrift_envelope *out_envelope)
{
    if (rc < 0)
        return fail_inflating(transport, rc);
    out_envelope->copied = true;
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
    return take_inflated(transport, rc, out_envelope);
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
        return fail(transport, (enum transport_fault)fault);
    out_envelope->headers = header.headers;
    if (header.kind.zlib == THRIFT_ZLIB_ALONE) {
        byte_store_clear(&transport->message, THRIFT_KEEP_BYTES);
        int rc = thrift_inflate_alone(&transport->inflater_alone, header.payload,
                header.payload_size, &transport->message,
                inflated_max(transport, header.payload_size));
        if (rc < 0)
            return fail_inflating(transport, rc);
        out_envelope->copied = true;
        header.payload = transport->message.bytes;
        header.payload_size = (uint32_t)transport->message.size;
    }
    if (header.payload_size == 0)
        return fail(transport, TRANSPORT_FAULT_EMPTY);
    give(transport, header.payload, header.payload_size, out_envelope);
    return 1;
}

/* ------------------------------------------------------------------------------------ frames -- */

static uint32_t load_32(const uint8_t *bytes)
{
    uint32_t bits;
    memcpy(&bits, bytes, sizeof(bits));
    return be32toh(bits);
}

static int next_frame(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (size < COIL_THRIFT_LENGTH_BYTES)
        return want(transport, COIL_THRIFT_LENGTH_BYTES);
    uint32_t frame_size = load_32(bytes);
    if (frame_size == 0 || frame_size > transport->limits->frame_max) {
        (void)fail_at(transport, TRANSPORT_FAULT_LENGTH, bytes, size);
        return frame_size == 0 ? -EBADMSG : -EMSGSIZE;
    }
    if (size - COIL_THRIFT_LENGTH_BYTES < frame_size)
        return want(transport, (size_t)COIL_THRIFT_LENGTH_BYTES + frame_size);

    const uint8_t *frame = bytes + COIL_THRIFT_LENGTH_BYTES;
    transport->taken = (size_t)COIL_THRIFT_LENGTH_BYTES + frame_size;
    if (thrift_header_is(frame, frame_size) && !transport->in_pieces)
        return take_header(transport, frame, frame_size, out_envelope);
    transport->kind.transport = COIL_THRIFT_TRANSPORT_FRAMED;
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
        return fail_as(transport, TRANSPORT_FAULT_UNFRAMED, rc);
    transport->kind.protocol = scan->protocol;
    transport->is_scanning = rc == 0;
    return rc == 0 ? want(transport, (size_t)scan->size + scan->wanted) : 1;
}

static int next_unframed(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (size == 0)
        return want(transport, 1);
    int protocol = coil_thrift_detect_protocol(bytes, size);
    if (protocol < 0)
        return fail_at(transport, TRANSPORT_FAULT_NO_MESSAGE, bytes, size);
    transport->kind.protocol = (uint8_t)protocol;
    if (transport->scan == NULL)
        transport->scan = malloc(sizeof(*transport->scan));
    if (transport->scan == NULL)
        return fail(transport, TRANSPORT_FAULT_NO_SPACE);
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
    (void)fail_as(transport, TRANSPORT_FAULT_HTTP, error);
    if (!transport->is_client)
        transport->answer = http_refusal(http_message_status(transport->http));
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
        return fail(transport, TRANSPORT_FAULT_HTTP_STATUS);
    if (transport->is_client && content->body_size == 0) { /* Of a call without a reply. */
        give(transport, NULL, 0, out_envelope);
        return 1;
    }
    int rc = take_contents(transport, content->body, content->body_size, out_envelope);
    if (rc < 0 && !transport->is_client)
        transport->answer = http_refusal(400);
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
        if (!transport->is_client)
            transport->answer = http_refusal(501);
        return fail(transport, TRANSPORT_FAULT_HTTP_MISSING);
    }
    if (transport->pages)
        http_message_allow_all(transport->http);
    return 0;
}

static int next_http(thrift_transport *transport, const uint8_t *bytes, size_t size,
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
    return want(transport, 1);
}

/* --------------------------------------------------------------------------------- detection -- */

static bool is_letter(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_';
}

/* A peer whose first bytes may be a length. */
static int detect_length(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    if (size < COIL_THRIFT_LENGTH_BYTES)
        return want(transport, COIL_THRIFT_LENGTH_BYTES + 1);
    uint32_t frame_size = load_32(bytes);
    if (frame_size == 0 || frame_size > transport->limits->frame_max) {
        (void)fail_at(transport, TRANSPORT_FAULT_LENGTH, bytes, size);
        return frame_size == 0 ? -EBADMSG : -EMSGSIZE;
    }
    if (size < COIL_THRIFT_LENGTH_BYTES + 1)
        return want(transport, COIL_THRIFT_LENGTH_BYTES + 1);
    const uint8_t *inside = bytes + COIL_THRIFT_LENGTH_BYTES;
    bool may_be_zlib = inside[0] == 'x' && frame_size >= 2; /* As no name goes on. */
    if (may_be_zlib && size < COIL_THRIFT_LENGTH_BYTES + 2)
        return want(transport, COIL_THRIFT_LENGTH_BYTES + 2);
    if (is_letter(inside[0]) && !(may_be_zlib && thrift_zlib_is(inside, 2))) {
        transport->state = STATE_UNFRAMED;
        transport->kind.transport = COIL_THRIFT_TRANSPORT_UNFRAMED;
    } else {
        transport->state = STATE_LENGTHS;
    }
    return 1;
}

/* 1: the peer begins with `first`, and then with a byte that is `is_it`; else it is nothing. */
static int settle(thrift_transport *transport, bool is_it, enum state state, const uint8_t *bytes,
        size_t size)
{
    if (!is_it)
        return fail_at(transport, TRANSPORT_FAULT_FIRST_BYTES, bytes, size);
    transport->state = (uint8_t)state;
    if (state == STATE_UNFRAMED)
        transport->kind.transport = COIL_THRIFT_TRANSPORT_UNFRAMED;
    return 1;
}

/* What a server's peer speaks. 1: it is known. */
static int detect(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    if (size > 0 && bytes[0] >= 'A' && bytes[0] <= 'Z')
        return settle(transport, true, STATE_HTTP, bytes, size);
    if (size < 2)
        return want(transport, 2);
    switch (bytes[0]) {
    case 0x80:
        return settle(transport, bytes[1] == 0x01, STATE_UNFRAMED, bytes, size);
    case 0x82:
        return settle(transport, (bytes[1] & 0x1f) == 1, STATE_UNFRAMED, bytes, size);
    case '[':
        return settle(transport, bytes[1] == '1', STATE_UNFRAMED, bytes, size);
    case 0x16:
        if (bytes[1] == 0x03)
            return fail(transport, TRANSPORT_FAULT_TLS);
        break;
    case 0x78:
        if (thrift_zlib_is(bytes, size) && !transport->is_inflating) {
            transport->is_inflating = true;
            return 1;
        }
        break;
    }
    return detect_length(transport, bytes, size);
}

/* The next envelope in these bytes, or as much as finding out what they are. */
static int next_plain(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (transport->state == STATE_UNKNOWN) {
        int rc = detect(transport, bytes, size);
        if (rc <= 0)
            return rc;
    }
    switch (transport->state) {
    case STATE_LENGTHS:
        return next_frame(transport, bytes, size, out_envelope);
    case STATE_UNFRAMED:
        return next_unframed(transport, bytes, size, out_envelope);
    case STATE_HTTP:
        return next_http(transport, bytes, size, out_envelope);
    default: /* It is compressed. */
        return 0;
    }
}

/* ---------------------------------------------------------------- a connection that is inflated -- */

/* How many more bytes these may become, on top of what has become of those before. */
static size_t inflated_left(const thrift_transport *transport, size_t size)
{
    uint64_t all = THRIFT_INFLATE_FREE_BYTES + SLACK_BYTES +
                   (transport->deflated_bytes + size) * THRIFT_INFLATE_RATIO;

    return all > transport->inflated_bytes ? (size_t)(all - transport->inflated_bytes) : 0;
}

/* Inflate more, for who has asked for `wanted` bytes. 1: there is more; 0: these were all. */
static int inflate_more(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    byte_store *inflated = &transport->inflated;
    size_t left = inflated_left(transport, size);
    size_t taken = size;

    if (transport->inflate_error != 0)
        return fail_inflating(transport, transport->inflate_error);
    byte_store_drop(inflated, transport->inflated_used);
    transport->inflated_used = 0;
    size_t before = inflated->size;
    size_t size_max = transport->wanted > before ? transport->wanted : before;
    size_max += LOOKAHEAD_BYTES;
    if (size_max - before > left)
        size_max = before + left + 1;
    /* What came before an error is good, and is used first. */
    transport->inflate_error =
            thrift_inflate(&transport->inflater, bytes, size, inflated, size_max, &taken);
    size_t inflated_bytes = inflated->size - before;
    transport->taken += taken;
    transport->deflated_bytes += taken;
    transport->inflated_bytes += inflated_bytes;
    if (inflated_bytes > left)
        return fail(transport, TRANSPORT_FAULT_ZLIB_SIZE);
    if (transport->inflate_error != 0 && inflated_bytes == 0)
        return fail_inflating(transport, transport->inflate_error);
    return inflated_bytes > 0;
}

static int next_inflated(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    size_t taken = 0;
    int rc;

    if (bytes == NULL) /* So that what follows may count from it. */
        bytes = transport->seen;
    do {
        const byte_store *inflated = &transport->inflated;
        size_t used = transport->inflated_used;
        transport->taken = 0;
        const uint8_t *unused = inflated->bytes == NULL ? bytes : inflated->bytes + used;
        rc = next_plain(transport, unused, inflated->size - used, out_envelope);
        transport->inflated_used += transport->taken;
        transport->taken = taken;
        if (rc != 0)
            break;
        rc = inflate_more(transport, bytes + taken, size - taken);
        taken = transport->taken;
    } while (rc > 0);
    if (rc == 0) {
        transport->wanted = 1;
    } else if (rc > 0) {
        out_envelope->copied = true;
        transport->inflated_bytes = 0;
        transport->deflated_bytes = 0;
    }
    return rc;
}

int thrift_transport_next(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    COIL_CHECK(transport->state != STATE_FAILED); /* It was to hang up. */
    transport->taken = 0;
    transport->interim.size = 0;
    *out_envelope = (thrift_envelope){.message = NULL};

    if (!transport->is_inflating) {
        int rc = next_plain(transport, bytes, size, out_envelope);
        if (!transport->is_inflating) /* It may just have become known. */
            return rc;
    }
    return next_inflated(transport, bytes, size, out_envelope);
}

int thrift_transport_end(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    http_content content;

    COIL_CHECK(transport->state != STATE_FAILED);
    if (size > 0) {
        int rc = thrift_transport_next(transport, bytes, size, out_envelope);
        if (rc != 0)
            return rc;
    }
    *out_envelope = (thrift_envelope){.message = NULL};
    if (size > transport->taken || transport->inflated.size > transport->inflated_used)
        return fail(transport, TRANSPORT_FAULT_END);
    if (transport->http == NULL)
        return 0;
    int rc = http_message_end(transport->http, &content);
    if (rc < 0)
        return fail(transport, TRANSPORT_FAULT_END);
    return rc == 0 ? 0 : take_content(transport, &content, out_envelope);
}

/* --------------------------------------------------------------------------------- lifecycle -- */

void thrift_transport_init(thrift_transport *transport, const coil_thrift_limits *limits)
{
    *transport = (thrift_transport){
            .limits = limits == NULL ? &coil_thrift_limits_default : limits,
    };
}

void thrift_transport_init_client(thrift_transport *transport, const thrift_dialect *dialect,
        const coil_thrift_limits *limits)
{
    static const uint8_t states[] = {
            [COIL_THRIFT_TRANSPORT_FRAMED] = STATE_LENGTHS,
            [COIL_THRIFT_TRANSPORT_UNFRAMED] = STATE_UNFRAMED,
            [COIL_THRIFT_TRANSPORT_HEADER] = STATE_LENGTHS,
            [COIL_THRIFT_TRANSPORT_HTTP] = STATE_HTTP,
    };

    thrift_transport_init(transport, limits);
    transport->is_client = true;
    transport->dialect = dialect;
    transport->state = states[dialect->transport];
    transport->is_inflating = dialect->zlib;
    transport->in_pieces = dialect->zlib_inside;
    transport->kind = thrift_transport_call_kind(transport, 0);
}

void thrift_transport_fini(thrift_transport *transport)
{
    if (transport == NULL)
        return;
    byte_store_fini(&transport->inflated);
    byte_store_fini(&transport->message);
    byte_store_fini(&transport->sealed);
    byte_store_fini(&transport->packed);
    free(transport->scan);
    http_message_destroy(transport->http);
    thrift_inflater_destroy(transport->inflater);
    thrift_inflater_destroy(transport->inflater_alone);
    thrift_deflater_destroy(transport->deflater);
    thrift_deflater_destroy(transport->deflater_alone);
    *transport = (thrift_transport){.limits = transport->limits};
}

void thrift_transport_rest(thrift_transport *transport)
{
    if (transport->inflated_used == transport->inflated.size) {
        transport->inflated_used = 0;
        byte_store_clear(&transport->inflated, THRIFT_KEEP_BYTES);
    }
    byte_store_clear(&transport->message, THRIFT_KEEP_BYTES);
    byte_store_clear(&transport->sealed, THRIFT_KEEP_BYTES);
    byte_store_clear(&transport->packed, THRIFT_KEEP_BYTES);
    if (transport->http != NULL)
        http_message_rest(transport->http, THRIFT_KEEP_BYTES);
}
