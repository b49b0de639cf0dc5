/* SPDX-License-Identifier: MIT */
/* The way out of thrift_transport.h: what goes around messages that a writer has finished. */
#include "http_message.h"
#include "thrift_header.h"
#include "thrift_private.h"
#include "thrift_transport.h"
#include "thrift_zlib.h"

#include <errno.h>

thrift_kind thrift_transport_call_kind(const thrift_transport *transport, int32_t seqid)
{
    const thrift_dialect *dialect = transport->dialect;
    thrift_kind kind = {
            .transport = (uint8_t)dialect->transport,
            .protocol = (uint8_t)dialect->protocol,
            .seqid = seqid,
    };

    if (dialect->transport == COIL_THRIFT_TRANSPORT_HEADER) {
        kind.flags = THRIFT_FLAG_OUT_OF_ORDER;
        kind.zlib = dialect->zlib_alone ? THRIFT_ZLIB_ALONE : THRIFT_ZLIB_NONE;
    } else if (dialect->zlib_inside) {
        kind.zlib = THRIFT_ZLIB_STREAM;
    }
    return kind;
}

/* -------------------------------------------------------------------------------------- room -- */

static http_head head_of(
        const thrift_transport *transport, const thrift_kind *kind, const thrift_extra *extra)
{
    const thrift_dialect *dialect = transport->dialect;
    http_head head = {
            .content_type = "application/x-thrift",
            .last = kind->last,
            .old = kind->old_http,
    };

    if (dialect != NULL) {
        head.host = dialect->host;
        head.path = dialect->path == NULL ? "/" : dialect->path;
    }
    if (extra != NULL) {
        head.headers = extra->headers;
        head.header_count = extra->count;
    }
    return head;
}

static int room_of(
        const thrift_transport *transport, const thrift_kind *kind, const thrift_extra *extra)
{
    switch ((enum coil_thrift_transport)kind->transport) {
    case COIL_THRIFT_TRANSPORT_UNFRAMED:
        return 0;
    case COIL_THRIFT_TRANSPORT_HEADER:
        return (int)thrift_header_bytes(kind, extra);
    case COIL_THRIFT_TRANSPORT_HTTP: {
        http_head head = head_of(transport, kind, extra);
        return http_head_bytes(&head);
    }
    case COIL_THRIFT_TRANSPORT_FRAMED:
        break;
    }
    return COIL_THRIFT_LENGTH_BYTES;
}

int thrift_transport_room(
        const thrift_transport *transport, const thrift_kind *kind, const thrift_extra *extra)
{
    int room = room_of(transport, kind, extra);
    return room > THRIFT_HEADER_BYTES_MAX ? -EMSGSIZE : room;
}

/* ---------------------------------------------------------------------------- in the writer -- */

/* Append to what is finished. NULL: the writer has no room, and is as it was. */
static uint8_t *append(coil_thrift_writer *writer, uint32_t size, int *out_error)
{
    uint8_t *place = thrift_writer_take(writer, size);
    if (place == NULL) {
        *out_error = writer->error;
        coil_thrift_writer_abandon(writer);
        return NULL;
    }
    writer->frame_start = writer->size;
    return place;
}

/* Forget what was finished from there on. */
static void cut(coil_thrift_writer *writer, uint32_t size)
{
    writer->size = size;
    writer->frame_start = size;
    coil_thrift_writer_abandon(writer);
}

/* Make the room before the message, which is all from `start` on, `needed` bytes instead. */
static int move_message(coil_thrift_writer *writer, uint32_t start, uint32_t room, uint32_t needed)
{
    uint32_t message_size = writer->size - start - room;
    int error = 0;

    if (needed > room) {
        if (append(writer, needed - room, &error) == NULL) {
            cut(writer, start);
            return error;
        }
    }
    memmove(writer->bytes + start + needed, writer->bytes + start + room, message_size);
    if (needed < room)
        cut(writer, start + needed + message_size);
    return 0;
}

/* Put its compressed form in the place of a message. */
static int compress(thrift_transport *transport, const thrift_kind *kind,
        coil_thrift_writer *writer, uint32_t message_start)
{
    bool alone = kind->zlib == THRIFT_ZLIB_ALONE;
    byte_store *sealed = &transport->sealed;
    int error = 0;

    byte_store_clear(sealed, THRIFT_KEEP_BYTES);
    int rc = thrift_deflate(alone ? &transport->deflater_alone : &transport->deflater,
            writer->bytes + message_start, writer->size - message_start, sealed, alone,
            /* thrifty= */ !transport->is_client);
    if (rc < 0)
        return rc;
    if (sealed->size > transport->limits->buffer_max)
        return -EMSGSIZE;
    cut(writer, message_start);
    uint8_t *place = append(writer, (uint32_t)sealed->size, &error);
    if (place == NULL)
        return error;
    memcpy(place, sealed->bytes, sealed->size);
    return 0;
}

static void fill_room(const thrift_transport *transport, const thrift_kind *kind,
        const thrift_extra *extra, uint8_t *place, uint32_t room, uint32_t message_size)
{
    switch ((enum coil_thrift_transport)kind->transport) {
    case COIL_THRIFT_TRANSPORT_FRAMED:
        coil_thrift_store_32(place, message_size);
        break;
    case COIL_THRIFT_TRANSPORT_HEADER:
        thrift_header_write(place, kind, extra, room, message_size);
        break;
    case COIL_THRIFT_TRANSPORT_HTTP: {
        http_head head = head_of(transport, kind, extra);
        http_head_write((char *)place, &head, message_size);
        break;
    }
    case COIL_THRIFT_TRANSPORT_UNFRAMED:
        break;
    }
}

int thrift_transport_seal(thrift_transport *transport, const thrift_kind *kind,
        const thrift_extra *extra, coil_thrift_writer *writer, uint32_t size)
{
    uint32_t start = writer->size - size;
    uint32_t room = writer->envelope_bytes;
    bool is_framed = kind->transport == COIL_THRIFT_TRANSPORT_FRAMED;

    if (is_framed && kind->zlib == THRIFT_ZLIB_NONE && room == COIL_THRIFT_LENGTH_BYTES)
        return (int)size;

    bool is_compressed = kind->zlib != THRIFT_ZLIB_NONE;
    int needed = thrift_transport_room(transport, kind, extra);
    int rc = needed;
    if (transport->is_torn)
        rc = -EPIPE;
    if (rc >= 0 && is_compressed)
        rc = compress(transport, kind, writer, start + room);
    if (rc >= 0 && room != (uint32_t)needed)
        rc = move_message(writer, start, room, (uint32_t)needed);
    if (rc < 0) {
        /* What the peer does not get, the stream may refer to from now on. */
        transport->is_torn |= kind->zlib == THRIFT_ZLIB_STREAM && needed >= 0;
        cut(writer, start);
        return rc;
    }
    size = writer->size - start;
    fill_room(transport, kind, extra, writer->bytes + start, (uint32_t)needed,
            size - (uint32_t)needed);
    return (int)size;
}

int thrift_transport_acknowledge(
        thrift_transport *transport, const thrift_kind *kind, coil_thrift_writer *writer)
{
    int error = 0;

    if (kind->transport != COIL_THRIFT_TRANSPORT_HTTP)
        return 0;
    int size = thrift_transport_room(transport, kind, NULL);
    uint8_t *place = append(writer, (uint32_t)size, &error);
    if (place == NULL)
        return error;
    fill_room(transport, kind, NULL, place, (uint32_t)size, 0);
    return size;
}

int thrift_transport_pack(
        thrift_transport *transport, coil_thrift_text bytes, coil_thrift_text *out_packed)
{
    if (!transport->is_inflating || bytes.size == 0) {
        *out_packed = bytes;
        return 0;
    }
    byte_store_clear(&transport->packed, THRIFT_KEEP_BYTES);
    int rc = thrift_deflate(&transport->deflater, (const uint8_t *)bytes.bytes, bytes.size,
            &transport->packed, /* alone= */ false, /* thrifty= */ !transport->is_client);
    if (rc < 0)
        return rc;
    *out_packed = (coil_thrift_text){
            (const char *)transport->packed.bytes, (uint32_t)transport->packed.size};
    return 0;
}
