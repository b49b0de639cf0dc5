/* SPDX-License-Identifier: MIT */
/*
 * thrift_header.h - THeader: what a frame holds before its message (Apache Thrift,
 * doc/specs/HeaderFormat.md).
 *
 *     0f ff  flags(2)  seqid(4)  size of the rest in words(2)
 *     varints: protocol, number of transforms, transforms, "info" until zeros fill the last word
 *     the message, transformed
 */
#ifndef COIL_THRIFT_HEADER_H
#define COIL_THRIFT_HEADER_H

#include "thrift_transport.h"

typedef struct thrift_header {
    thrift_kind kind;
    coil_thrift_headers headers;
    const uint8_t *payload; /* What is behind the header; still compressed if kind.zlib says so. */
    uint32_t payload_size;
} thrift_header;

/* Whether a frame that begins with these bytes is THeader's. */
static inline bool thrift_header_is(const uint8_t *frame, uint32_t size)
{
    return size >= 2 && frame[0] == 0x0f && frame[1] == 0xff;
}

/*
 * Take a frame apart. 0, or the fault (enum transport_fault): then the kind is what could be read,
 * so that the fault can be reported.
 */
COIL_MUST_USE int thrift_header_read(
        const uint8_t *frame, uint32_t size, thrift_header *out_header);

/* The bytes before a message, with the length of the frame. */
uint32_t thrift_header_bytes(const thrift_kind *kind, const thrift_extra *extra);

/* Write these bytes, which are `header_bytes`, before a message of `message_bytes`. */
void thrift_header_write(uint8_t *place, const thrift_kind *kind, const thrift_extra *extra,
        uint32_t header_bytes, uint32_t message_bytes);

/* For HTTP, which packs its headers alike. */
COIL_MUST_USE bool thrift_varint_read(const uint8_t **at, const uint8_t *end, uint32_t *out_value);

/* How many pairs there are. -EBADMSG, one is cut; -EMSGSIZE, too many. */
COIL_MUST_USE int thrift_headers_count(coil_thrift_headers headers);

#endif
