/* SPDX-License-Identifier: MIT */
/* What a peer speaks, by its first bytes; the table is in thrift_transport.h. */
#include "thrift_transport_private.h"
#include "thrift_zlib.h"

static bool is_letter(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_';
}

/* A peer whose first bytes may be a length. */
static int detect_length(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    if (size < COIL_THRIFT_LENGTH_BYTES)
        return thrift_transport_want(transport, COIL_THRIFT_LENGTH_BYTES + 1);
    uint32_t frame_size = thrift_load_32(bytes);
    if (!thrift_transport_length_fits(transport, frame_size))
        return thrift_transport_fail_length(transport, bytes, size);
    if (size < COIL_THRIFT_LENGTH_BYTES + 1)
        return thrift_transport_want(transport, COIL_THRIFT_LENGTH_BYTES + 1);
    const uint8_t *inside = bytes + COIL_THRIFT_LENGTH_BYTES;
    bool may_be_zlib = inside[0] == 'x' && frame_size >= 2; /* As no name goes on. */
    if (may_be_zlib && size < COIL_THRIFT_LENGTH_BYTES + 2)
        return thrift_transport_want(transport, COIL_THRIFT_LENGTH_BYTES + 2);
    if (is_letter(inside[0]) && !(may_be_zlib && thrift_zlib_is(inside, 2))) {
        transport->state = STATE_UNFRAMED;
        transport->kind.transport = COIL_THRIFT_TRANSPORT_UNFRAMED;
    } else {
        transport->state = STATE_LENGTHS;
    }
    return 1;
}

/* 1: the peer begins with `first`, and then with a byte that is `is_it`; else it is nothing. */
static int settle(thrift_transport *transport, bool is_it, enum thrift_transport_state state,
        const uint8_t *bytes, size_t size)
{
    if (!is_it)
        return thrift_transport_fail_at(transport, TRANSPORT_FAULT_FIRST_BYTES, bytes, size);
    transport->state = (uint8_t)state;
    if (state == STATE_UNFRAMED)
        transport->kind.transport = COIL_THRIFT_TRANSPORT_UNFRAMED;
    return 1;
}

int thrift_transport_detect(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    if (size > 0 && bytes[0] >= 'A' && bytes[0] <= 'Z')
        return settle(transport, true, STATE_HTTP, bytes, size);
    if (size < 2)
        return thrift_transport_want(transport, 2);
    switch (bytes[0]) {
    case 0x80:
        return settle(transport, bytes[1] == 0x01, STATE_UNFRAMED, bytes, size);
    case 0x82:
        return settle(transport, (bytes[1] & 0x1f) == 1, STATE_UNFRAMED, bytes, size);
    case '[':
        return settle(transport, bytes[1] == '1', STATE_UNFRAMED, bytes, size);
    case 0x16:
        if (bytes[1] == 0x03)
            return thrift_transport_fail(transport, TRANSPORT_FAULT_TLS);
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
