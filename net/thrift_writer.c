/* SPDX-License-Identifier: MIT */
#include <coil/thrift.h>

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_BYTES_MIN = 256 };

static const uint32_t version_1 = 0x80010000;

static uint32_t smaller(uint64_t left, uint64_t right)
{
    return (uint32_t)(left < right ? left : right);
}

/* The end of the longest frame that may begin at frame_start. */
static uint64_t frame_end_max(const coil_thrift_writer *writer)
{
    return (uint64_t)writer->frame_start + COIL_THRIFT_LENGTH_BYTES + writer->limits->frame_max;
}

static void set_end(coil_thrift_writer *writer)
{
    writer->end = smaller(writer->capacity, frame_end_max(writer));
}

/* Keep the first error, and leave no room, so that nothing more is written. */
static void fail(coil_thrift_writer *writer, int error)
{
    if (writer->error == 0)
        writer->error = error;
    writer->end = writer->size;
}

/* Make room for `size_min` bytes, and for more if it can, so that growing costs O(1) per byte. */
static int grow(coil_thrift_writer *writer, uint64_t size_min)
{
    uint64_t capacity = (uint64_t)writer->capacity * 2;

    if (capacity < CAPACITY_BYTES_MIN)
        capacity = CAPACITY_BYTES_MIN;
    if (capacity < size_min)
        capacity = size_min;
    capacity = smaller(capacity, writer->limits->buffer_max);

    uint8_t *bytes = realloc(writer->bytes, capacity);
    if (bytes == NULL)
        return -ENOMEM;
    writer->bytes = bytes;
    writer->capacity = (uint32_t)capacity;
    return 0;
}

uint8_t *coil_thrift_writer_extend(coil_thrift_writer *writer, uint32_t size)
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
        fail(writer, rc);
        return NULL;
    }

    uint8_t *bytes = writer->bytes + writer->size;
    set_end(writer);
    writer->size = (uint32_t)needed;
    return bytes;
}

void coil_thrift_writer_init(coil_thrift_writer *writer, const coil_thrift_limits *limits)
{
    if (limits == NULL)
        limits = &coil_thrift_limits_default;
    COIL_CHECK(limits->frame_max > 0);
    COIL_CHECK(limits->frame_max < INT32_MAX - COIL_THRIFT_LENGTH_BYTES);

    *writer = (coil_thrift_writer){.limits = limits};
}

void coil_thrift_writer_fini(coil_thrift_writer *writer)
{
    if (writer == NULL)
        return;
    free(writer->bytes);
    *writer = (coil_thrift_writer){.limits = writer->limits};
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
    set_end(writer);
}

void coil_thrift_writer_begin(coil_thrift_writer *writer, const coil_thrift_message *message)
{
    COIL_CHECK(!writer->begun);

    writer->begun = true;
    writer->frame_start = writer->size;
    if (writer->error == 0)
        set_end(writer);

    coil_thrift_write_i32(writer, 0); /* The length; finish knows it. */
    if (message->old) {
        coil_thrift_write_string(writer, message->name);
        coil_thrift_write_i8(writer, (int8_t)message->type);
    } else {
        coil_thrift_write_i32(writer, (int32_t)(version_1 | (uint32_t)message->type));
        coil_thrift_write_string(writer, message->name);
    }
    coil_thrift_write_i32(writer, message->seqid);
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
    coil_thrift_store_32(
            writer->bytes + writer->frame_start, frame_size - COIL_THRIFT_LENGTH_BYTES);
    writer->begun = false;
    writer->frame_start = writer->size;
    set_end(writer);
    return (int)frame_size;
}

void coil_thrift_write_string(coil_thrift_writer *writer, coil_thrift_text value)
{
    coil_thrift_write_i32(writer, (int32_t)value.size);
    if (value.size == 0)
        return;

    uint8_t *bytes = coil_thrift_writer_room(writer, value.size);
    if (bytes != NULL)
        memcpy(bytes, value.bytes, value.size);
}

void coil_thrift_write_uuid(coil_thrift_writer *writer, const uint8_t bytes[16])
{
    uint8_t *place = coil_thrift_writer_room(writer, 16);
    if (place != NULL)
        memcpy(place, bytes, 16);
}

void coil_thrift_write_list(coil_thrift_writer *writer, uint8_t element, uint32_t count)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 5);
    if (bytes == NULL)
        return;
    bytes[0] = element;
    coil_thrift_store_32(bytes + 1, count);
}

void coil_thrift_write_set(coil_thrift_writer *writer, uint8_t element, uint32_t count)
{
    coil_thrift_write_list(writer, element, count);
}

void coil_thrift_write_map(coil_thrift_writer *writer, uint8_t key, uint8_t value, uint32_t count)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 6);
    if (bytes == NULL)
        return;
    bytes[0] = key;
    bytes[1] = value;
    coil_thrift_store_32(bytes + 2, count);
}
