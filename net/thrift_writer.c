/* SPDX-License-Identifier: MIT */
#include <coil/thrift.h>

#include "thrift_private.h"

#include <errno.h>
#include <stdlib.h>

enum {
    CAPACITY_BYTES_MIN = 256,
    SLACK_PART = 16, /* More than is needed for something large: what follows is mostly small. */
    ENVELOPE_BYTES_MAX = 1 << 20,
};

static const uint32_t version_1 = 0x80010000;

static uint32_t smaller(uint64_t left, uint64_t right)
{
    return (uint32_t)(left < right ? left : right);
}

/* The end of the longest frame that may begin at frame_start. */
static uint64_t frame_end_max(const coil_thrift_writer *writer)
{
    return (uint64_t)writer->frame_start + writer->envelope_bytes + writer->limits->frame_max;
}

/* Inline functions write binary: in other protocols they never find room. */
static void set_end(coil_thrift_writer *writer)
{
    writer->room_end = smaller(writer->capacity, frame_end_max(writer));
    writer->end = thrift_is_binary(writer->protocol) ? writer->room_end : writer->size;
}

void thrift_writer_fail(coil_thrift_writer *writer, int error)
{
    if (writer->error == 0)
        writer->error = error;
    writer->end = writer->size;
    writer->room_end = writer->size;
}

/* Make room for `size_min` bytes, and for more if it can, so that growing costs O(1) per byte. */
static int grow(coil_thrift_writer *writer, uint64_t size_min)
{
    uint64_t capacity = (uint64_t)writer->capacity * 2;

    if (capacity < CAPACITY_BYTES_MIN)
        capacity = CAPACITY_BYTES_MIN;
    if (capacity < size_min)
        capacity = size_min + size_min / SLACK_PART;
    capacity = smaller(capacity, writer->limits->buffer_max);

    uint8_t *bytes = realloc(writer->bytes, capacity);
    if (bytes == NULL)
        return -ENOMEM;
    writer->bytes = bytes;
    writer->capacity = (uint32_t)capacity;
    return 0;
}

uint8_t *thrift_writer_extend(coil_thrift_writer *writer, uint32_t size)
{
    uint64_t needed = (uint64_t)writer->size + size;
    int rc = 0;

    if (writer->error != 0)
        return NULL;

    if (needed > frame_end_max(writer)) {
        rc = -EMSGSIZE;
    } else if (needed > writer->limits->buffer_max) {
        rc = -ENOBUFS;
    } else if (needed > writer->capacity) {
        rc = grow(writer, needed);
    }
    if (rc < 0) {
        thrift_writer_fail(writer, rc);
        return NULL;
    }

    uint8_t *bytes = writer->bytes + writer->size;
    writer->size = (uint32_t)needed;
    set_end(writer);
    return bytes;
}

void coil_thrift_writer_init(coil_thrift_writer *writer, const coil_thrift_limits *limits)
{
    if (limits == NULL)
        limits = &coil_thrift_limits_default;
    COIL_CHECK(limits->frame_max > 0);
    COIL_CHECK(limits->frame_max < INT32_MAX - COIL_THRIFT_LENGTH_BYTES);

    *writer = (coil_thrift_writer){
            .limits = limits,
            .protocol = COIL_THRIFT_PROTOCOL_BINARY,
            .envelope_bytes = COIL_THRIFT_LENGTH_BYTES,
    };
}

void coil_thrift_writer_set_protocol(coil_thrift_writer *writer, enum coil_thrift_protocol protocol)
{
    COIL_CHECK(!writer->begun);
    COIL_CHECK(protocol <= COIL_THRIFT_PROTOCOL_JSON);
    writer->protocol = (uint8_t)protocol;
    coil_thrift_writer_abandon(writer);
}

void coil_thrift_writer_set_envelope_room(coil_thrift_writer *writer, uint32_t bytes)
{
    COIL_CHECK(!writer->begun);
    COIL_CHECK(bytes <= ENVELOPE_BYTES_MAX);
    writer->envelope_bytes = bytes;
    coil_thrift_writer_abandon(writer);
}

void coil_thrift_writer_fini(coil_thrift_writer *writer)
{
    if (writer == NULL)
        return;
    free(writer->bytes);
    *writer = (coil_thrift_writer){
            .limits = writer->limits,
            .protocol = writer->protocol,
            .envelope_bytes = writer->envelope_bytes,
    };
}

void coil_thrift_writer_reset(coil_thrift_writer *writer)
{
    writer->size = 0;
    writer->frame_start = 0;
    coil_thrift_writer_abandon(writer);
}

void coil_thrift_writer_abandon(coil_thrift_writer *writer)
{
    writer->size = writer->frame_start;
    writer->begun = false;
    writer->error = 0;
    writer->has_bool = false;
    writer->level_count = 0;
    set_end(writer);
}

static void begin_binary(coil_thrift_writer *writer, const coil_thrift_message *message)
{
    if (message->old) {
        coil_thrift_write_string(writer, message->name);
        coil_thrift_write_i8(writer, (int8_t)message->type);
    } else {
        coil_thrift_write_i32(writer, (int32_t)(version_1 | (uint32_t)message->type));
        coil_thrift_write_string(writer, message->name);
    }
    coil_thrift_write_i32(writer, message->seqid);
}

/* A whole header with a version, where there is room for it and for the length of the frame. */
static inline bool put_usual_header(coil_thrift_writer *writer, const coil_thrift_message *message)
{
    enum { FIXED_BYTES = COIL_THRIFT_LENGTH_BYTES + 3 * sizeof(uint32_t) };
    const uint64_t size = (uint64_t)FIXED_BYTES + message->name.size;

    if (message->old || writer->envelope_bytes != COIL_THRIFT_LENGTH_BYTES ||
            writer->end - writer->size < size)
        return false;
    uint8_t *bytes = writer->bytes + writer->size + COIL_THRIFT_LENGTH_BYTES; /* Finish fills it. */
    coil_thrift_store_32(bytes, version_1 | (uint32_t)message->type);
    coil_thrift_store_32(bytes + 4, message->name.size);
    if (message->name.size > 0)
        memcpy(bytes + 8, message->name.bytes, message->name.size);
    coil_thrift_store_32(bytes + 8 + message->name.size, (uint32_t)message->seqid);
    writer->size += (uint32_t)size;
    return true;
}

static void leave_room(coil_thrift_writer *writer)
{
    uint8_t *room = thrift_writer_take(writer, writer->envelope_bytes);

    if (room != NULL)
        memset(room, 0, writer->envelope_bytes);
}

void coil_thrift_writer_begin(coil_thrift_writer *writer, const coil_thrift_message *message)
{
    COIL_CHECK(!writer->begun);

    writer->begun = true;
    if (coil_unlikely(writer->frame_start != writer->size)) {
        writer->frame_start = writer->size;
        if (writer->error == 0)
            set_end(writer);
    }
    if (coil_likely(put_usual_header(writer, message)))
        return;
    if (writer->envelope_bytes == COIL_THRIFT_LENGTH_BYTES) {
        (void)thrift_writer_take(writer, COIL_THRIFT_LENGTH_BYTES); /* Finish fills it in. */
    } else if (writer->envelope_bytes > 0) {
        leave_room(writer);
    }
    if (thrift_is_binary(writer->protocol)) {
        begin_binary(writer, message);
    } else {
        writer->level_count = 0;
        thrift_writing_of(writer)->message(writer, message);
    }
}

int coil_thrift_writer_finish(coil_thrift_writer *writer)
{
    COIL_CHECK(writer->begun);

    if (writer->error != 0) {
        int rc = writer->error;
        coil_thrift_writer_abandon(writer);
        return rc;
    }

    uint32_t frame_size = writer->size - writer->frame_start;
    if (writer->envelope_bytes == COIL_THRIFT_LENGTH_BYTES) {
        coil_thrift_store_32(
                writer->bytes + writer->frame_start, frame_size - COIL_THRIFT_LENGTH_BYTES);
    }
    writer->begun = false;
    writer->frame_start = writer->size;
    set_end(writer);
    return (int)frame_size;
}

/* The width of a scalar; of STOP as well. */
static uint32_t width_of(uint8_t type)
{
    switch (type) {
    case COIL_THRIFT_I16:
        return 2;
    case COIL_THRIFT_I32:
        return 4;
    case COIL_THRIFT_I64:
    case COIL_THRIFT_DOUBLE:
        return 8;
    default:
        return 1;
    }
}

/* The last bytes of 8 that are big endian. */
static void write_bits(coil_thrift_writer *writer, uint8_t type, uint64_t bits)
{
    const uint32_t size = width_of(type);
    uint8_t big_endian[8];
    uint8_t *bytes = thrift_writer_take(writer, size);

    coil_thrift_store_64(big_endian, bits);
    if (bytes != NULL)
        memcpy(bytes, big_endian + sizeof(big_endian) - size, size);
}

void coil_thrift_write_otherwise(coil_thrift_writer *writer, uint8_t type, uint64_t bits)
{
    if (thrift_is_binary(writer->protocol)) {
        write_bits(writer, type, bits);
    } else if (type == COIL_THRIFT_STOP) {
        thrift_writing_of(writer)->stop(writer);
    } else {
        thrift_writing_of(writer)->scalar(writer, type, bits);
    }
}

void coil_thrift_field_otherwise(coil_thrift_writer *writer, uint8_t type, int16_t id)
{
    if (!thrift_is_binary(writer->protocol)) {
        thrift_writing_of(writer)->field(writer, type, id);
        return;
    }
    uint8_t *bytes = thrift_writer_take(writer, 3);
    if (bytes != NULL)
        (void)coil_thrift_store_field(bytes, type, id);
}

void coil_thrift_put_otherwise(coil_thrift_writer *writer, uint8_t type, int16_t id, uint64_t bits)
{
    coil_thrift_field_otherwise(writer, type, id);
    coil_thrift_write_otherwise(writer, type, bits);
}

void coil_thrift_write_string(coil_thrift_writer *writer, coil_thrift_text value)
{
    if (!thrift_is_binary(writer->protocol)) {
        thrift_writing_of(writer)->string(writer, value);
        return;
    }
    coil_thrift_write_i32(writer, (int32_t)value.size);
    if (value.size == 0)
        return;

    uint8_t *bytes = thrift_writer_take(writer, value.size);
    if (bytes != NULL)
        memcpy(bytes, value.bytes, value.size);
}

void coil_thrift_write_binary(coil_thrift_writer *writer, coil_thrift_text value)
{
    if (thrift_is_binary(writer->protocol)) {
        coil_thrift_write_string(writer, value);
    } else {
        thrift_writing_of(writer)->binary(writer, value);
    }
}

void coil_thrift_write_uuid(coil_thrift_writer *writer, const uint8_t bytes[16])
{
    if (!thrift_is_binary(writer->protocol)) {
        thrift_writing_of(writer)->uuid(writer, bytes);
        return;
    }
    uint8_t *place = thrift_writer_take(writer, 16);
    if (place != NULL)
        memcpy(place, bytes, 16);
}

static void write_sequence(
        coil_thrift_writer *writer, uint8_t container, uint8_t element, uint32_t count)
{
    if (!thrift_is_binary(writer->protocol)) {
        thrift_writing_of(writer)->list(writer, container, element, count);
        return;
    }
    uint8_t *bytes = thrift_writer_take(writer, 5);
    if (bytes == NULL)
        return;
    bytes[0] = element;
    coil_thrift_store_32(bytes + 1, count);
}

void coil_thrift_write_list(coil_thrift_writer *writer, uint8_t element, uint32_t count)
{
    write_sequence(writer, COIL_THRIFT_LIST, element, count);
}

void coil_thrift_write_set(coil_thrift_writer *writer, uint8_t element, uint32_t count)
{
    write_sequence(writer, COIL_THRIFT_SET, element, count);
}

void coil_thrift_write_map(coil_thrift_writer *writer, uint8_t key, uint8_t value, uint32_t count)
{
    if (!thrift_is_binary(writer->protocol)) {
        thrift_writing_of(writer)->map(writer, key, value, count);
        return;
    }
    uint8_t *bytes = thrift_writer_take(writer, 6);
    if (bytes == NULL)
        return;
    bytes[0] = key;
    bytes[1] = value;
    coil_thrift_store_32(bytes + 2, count);
}
