/* SPDX-License-Identifier: MIT */
#include "thrift_header.h"

#include "thrift_load.h"
#include "thrift_transport_fault.h"

#include <errno.h>

enum {
    MAGIC = 0x0fff,
    FIXED_BYTES = 10, /* Magic, flags, seqid, size. */
    TRANSFORM_ZLIB = 1,
    TRANSFORMS_MAX = 16, /* Any number is read, to name the one that is unknown. */
    PROTOCOL_BINARY = 0,
    PROTOCOL_JSON = 1,
    PROTOCOL_COMPACT = 2,
    INFO_PAIRS = 1,
};

/* ----------------------------------------------------------------------------------- reading -- */

static int read_protocol(const uint8_t **at, const uint8_t *end, thrift_kind *kind)
{
    uint32_t id;

    if (!thrift_varint_read(at, end, &id))
        return TRANSPORT_FAULT_HEADER_CUT;
    switch (id) {
    case PROTOCOL_BINARY:
        kind->protocol = COIL_THRIFT_PROTOCOL_BINARY;
        return 0;
    case PROTOCOL_JSON:
        kind->protocol = COIL_THRIFT_PROTOCOL_JSON;
        return 0;
    case PROTOCOL_COMPACT:
        kind->protocol = COIL_THRIFT_PROTOCOL_COMPACT;
        return 0;
    default:
        return TRANSPORT_FAULT_PROTOCOL_ID;
    }
}

static int read_transforms(const uint8_t **at, const uint8_t *end, thrift_kind *kind)
{
    uint32_t count;
    uint32_t id;

    if (!thrift_varint_read(at, end, &count))
        return TRANSPORT_FAULT_HEADER_CUT;
    if (count > TRANSFORMS_MAX)
        return TRANSPORT_FAULT_TRANSFORM;
    for (uint32_t i = 0; i < count; i++) {
        if (!thrift_varint_read(at, end, &id))
            return TRANSPORT_FAULT_HEADER_CUT;
        if (id != TRANSFORM_ZLIB || kind->zlib != THRIFT_ZLIB_NONE)
            return TRANSPORT_FAULT_TRANSFORM; /* Twice is of no use but to who sends bombs. */
        kind->zlib = THRIFT_ZLIB_ALONE;
    }
    return 0;
}

static int read_info(const uint8_t *at, const uint8_t *end, coil_thrift_headers *out_headers)
{
    coil_thrift_headers headers = {at, (uint32_t)(end - at), 0};

    int count = thrift_headers_count(headers);
    if (count < 0)
        return count == -EMSGSIZE ? TRANSPORT_FAULT_HEADER_COUNT : TRANSPORT_FAULT_HEADER_CUT;
    if (count > 0)
        *out_headers = headers;
    return 0;
}

int thrift_header_read(const uint8_t *frame, uint32_t size, thrift_header *out_header)
{
    *out_header = (thrift_header){.kind = {.transport = COIL_THRIFT_TRANSPORT_HEADER}};
    thrift_kind *kind = &out_header->kind;
    if (size < FIXED_BYTES)
        return TRANSPORT_FAULT_HEADER_CUT;

    const uint8_t *at = frame + FIXED_BYTES;
    uint32_t header_bytes = (uint32_t)thrift_load_16(frame + 8) * 4;
    kind->flags = thrift_load_16(frame + 2);
    kind->seqid = (int32_t)thrift_load_32(frame + 4);
    if (header_bytes > size - FIXED_BYTES)
        return TRANSPORT_FAULT_HEADER_CUT;
    if (header_bytes > THRIFT_HEADER_BYTES_MAX)
        return TRANSPORT_FAULT_HEADER_SIZE;

    const uint8_t *end = at + header_bytes;
    int fault = read_protocol(&at, end, kind);
    if (fault == 0)
        fault = read_transforms(&at, end, kind);
    if (fault != 0) {
        kind->zlib = THRIFT_ZLIB_NONE; /* The explanation should be readable for everybody. */
        return fault;
    }
    out_header->payload = end;
    out_header->payload_size = size - FIXED_BYTES - header_bytes;
    return read_info(at, end, &out_header->headers);
}

/* ----------------------------------------------------------------------------------- writing -- */

static uint32_t varint_bytes(uint32_t value)
{
    uint32_t size = 1;

    for (; value > 0x7f; value >>= 7)
        size++;
    return size;
}

static uint8_t *put_varint(uint8_t *at, uint32_t value)
{
    for (; value > 0x7f; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_text(uint8_t *at, coil_thrift_text text)
{
    at = put_varint(at, text.size);
    if (text.size > 0)
        memcpy(at, text.bytes, text.size);
    return at + text.size;
}

uint32_t thrift_header_bytes(const thrift_kind *kind, const thrift_extra *extra)
{
    uint32_t size = kind->zlib == THRIFT_ZLIB_ALONE ? 3 : 2;

    if (extra != NULL && extra->count > 0)
        size += 1 + varint_bytes(extra->count);
    for (uint32_t i = 0; extra != NULL && i < extra->count; i++) {
        const coil_thrift_header *header = &extra->headers[i];
        size += varint_bytes(header->name.size) + header->name.size;
        size += varint_bytes(header->value.size) + header->value.size;
    }
    return COIL_THRIFT_LENGTH_BYTES + FIXED_BYTES + (size + 3) / 4 * 4;
}

void thrift_header_write(uint8_t *place, const thrift_kind *kind, const thrift_extra *extra,
        uint32_t header_bytes, uint32_t message_bytes)
{
    static const uint8_t protocols[] = {
            [COIL_THRIFT_PROTOCOL_BINARY] = PROTOCOL_BINARY,
            [COIL_THRIFT_PROTOCOL_COMPACT] = PROTOCOL_COMPACT,
            [COIL_THRIFT_PROTOCOL_JSON] = PROTOCOL_JSON,
    };
    const uint32_t before_bytes = COIL_THRIFT_LENGTH_BYTES + FIXED_BYTES;
    uint8_t *at = place + before_bytes;

    coil_thrift_store_32(place, header_bytes - COIL_THRIFT_LENGTH_BYTES + message_bytes);
    coil_thrift_store_16(place + 4, MAGIC);
    coil_thrift_store_16(place + 6, kind->flags);
    coil_thrift_store_32(place + 8, (uint32_t)kind->seqid);
    coil_thrift_store_16(place + 12, (uint16_t)((header_bytes - before_bytes) / 4));
    at = put_varint(at, protocols[kind->protocol]);
    at = put_varint(at, kind->zlib == THRIFT_ZLIB_ALONE);
    if (kind->zlib == THRIFT_ZLIB_ALONE)
        at = put_varint(at, TRANSFORM_ZLIB);
    if (extra != NULL && extra->count > 0) {
        at = put_varint(at, INFO_PAIRS);
        at = put_varint(at, extra->count);
    }
    for (uint32_t i = 0; extra != NULL && i < extra->count; i++) {
        at = put_text(at, extra->headers[i].name);
        at = put_text(at, extra->headers[i].value);
    }
    while (at < place + header_bytes)
        *at++ = 0;
}
