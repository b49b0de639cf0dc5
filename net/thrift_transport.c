/* SPDX-License-Identifier: MIT */
#include "thrift_transport.h"

#include "http_message.h"
#include "thrift_transport_private.h"
#include "thrift_zlib.h"

#include <errno.h>
#include <stdlib.h>

enum {
    LOOKAHEAD_BYTES = 2 * 1024, /* Inflated beyond what is needed. */
    SLACK_BYTES = 64 * 1024,    /* What is around a message of frame_max bytes. */
};

/* The next envelope in these bytes, or as much as finding out what they are. */
static int next_plain(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (transport->state == STATE_UNKNOWN) {
        int rc = thrift_transport_detect(transport, bytes, size);
        if (rc <= 0)
            return rc;
    }
    switch (transport->state) {
    case STATE_LENGTHS:
        return thrift_transport_next_frame(transport, bytes, size, out_envelope);
    case STATE_UNFRAMED:
        return thrift_transport_next_unframed(transport, bytes, size, out_envelope);
    case STATE_HTTP:
        return thrift_transport_next_http(transport, bytes, size, out_envelope);
    default: /* It is compressed. */
        return 0;
    }
}

/* ------------------------------------------------------------------------------- inflating -- */

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
        return thrift_transport_fail_inflating(transport, transport->inflate_error);
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
        return thrift_transport_fail(transport, TRANSPORT_FAULT_ZLIB_SIZE);
    if (transport->inflate_error != 0 && inflated_bytes == 0)
        return thrift_transport_fail_inflating(transport, transport->inflate_error);
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
        const uint64_t deflated = transport->deflated_bytes;
        out_envelope->copied = true;
        out_envelope->inflated = true;
        out_envelope->deflated_size = deflated < UINT32_MAX ? (uint32_t)deflated : UINT32_MAX;
        transport->inflated_bytes = 0;
        transport->deflated_bytes = 0;
    }
    return rc;
}

/* What most messages are, and nothing can go wrong: strict binary in a frame that is all here. */
static inline bool take_usual(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (transport->state != STATE_LENGTHS || transport->is_inflating || transport->in_pieces)
        return false;
    if (size <= COIL_THRIFT_LENGTH_BYTES || bytes[COIL_THRIFT_LENGTH_BYTES] != 0x80)
        return false;
    uint32_t frame_size = thrift_load_32(bytes);
    if (!thrift_transport_length_fits(transport, frame_size) ||
            size - COIL_THRIFT_LENGTH_BYTES < frame_size)
        return false;

    transport->kind = (thrift_kind){.transport = COIL_THRIFT_TRANSPORT_FRAMED};
    transport->taken = (size_t)COIL_THRIFT_LENGTH_BYTES + frame_size;
    *out_envelope = (thrift_envelope){
            .message = bytes + COIL_THRIFT_LENGTH_BYTES,
            .size = frame_size,
            .kind = transport->kind,
    };
    return true;
}

int thrift_transport_next(thrift_transport *transport, const uint8_t *bytes, size_t size,
        thrift_envelope *out_envelope)
{
    if (take_usual(transport, bytes, size, out_envelope))
        return 1;
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
    COIL_CHECK(transport->state != STATE_FAILED);
    if (size > 0) {
        int rc = thrift_transport_next(transport, bytes, size, out_envelope);
        if (rc != 0)
            return rc;
    }
    *out_envelope = (thrift_envelope){.message = NULL};
    if (size > transport->taken || transport->inflated.size > transport->inflated_used)
        return thrift_transport_fail(transport, TRANSPORT_FAULT_END);
    return transport->http == NULL ? 0 : thrift_transport_end_http(transport, out_envelope);
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
