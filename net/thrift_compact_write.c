/* SPDX-License-Identifier: MIT */
/*
 * Writing the compact protocol.
 *
 * A field's number is written as the difference to the one before, so the writer has to know where
 * structs begin and end, of which only ends are announced. It counts what containers still hold of
 * structs and containers: a field that comes while it is inside a container begins a struct.
 */
#include "thrift_compact.h"

#include "thrift_private.h"

#include <errno.h>

enum level_kind { LEVEL_STRUCT, LEVEL_CONTAINER };

static coil_thrift_level *innermost(coil_thrift_writer *writer)
{
    return writer->level_count == 0 ? NULL : &writer->levels[writer->level_count - 1];
}

static coil_thrift_level *open_level(
        coil_thrift_writer *writer, enum level_kind kind, uint32_t left)
{
    if (writer->level_count >= COIL_THRIFT_DEPTH_MAX + 1) {
        thrift_writer_fail(writer, -ELOOP);
        return NULL;
    }
    coil_thrift_level *level = &writer->levels[writer->level_count++];
    *level = (coil_thrift_level){.kind = (uint8_t)kind, .left = left};
    return level;
}

/* A struct or container has ended: perhaps it was the last one of those that it is in. */
void thrift_compact_end_value(coil_thrift_writer *writer)
{
    coil_thrift_level *level;

    while ((level = innermost(writer)) != NULL && level->kind == LEVEL_CONTAINER) {
        if (--level->left > 0)
            return;
        writer->level_count--;
    }
}

int16_t thrift_compact_take_struct(coil_thrift_writer *writer)
{
    const coil_thrift_level *level = innermost(writer);

    if (level == NULL || level->kind != LEVEL_STRUCT)
        return 0;
    writer->level_count--;
    return level->id;
}

static void append(coil_thrift_writer *writer, const uint8_t *bytes, uint32_t size)
{
    uint8_t *place = thrift_writer_take(writer, size);

    if (place != NULL)
        memcpy(place, bytes, size);
}

static void write_varint(coil_thrift_writer *writer, uint64_t value)
{
    uint8_t bytes[COMPACT_VARINT_MAX];

    append(writer, bytes, compact_put_varint(bytes, value));
}

static void write_message(coil_thrift_writer *writer, const coil_thrift_message *message)
{
    uint8_t *bytes = thrift_writer_take(writer, 2);

    if (bytes == NULL)
        return;
    bytes[0] = COMPACT_PROTOCOL;
    bytes[1] = (uint8_t)(COMPACT_VERSION | (unsigned)message->type << COMPACT_TYPE_SHIFT);
    write_varint(writer, (uint32_t)message->seqid);
    thrift_compact_writing.string(writer, message->name);
    (void)open_level(writer, LEVEL_STRUCT, 0);
}

static void write_header(coil_thrift_writer *writer, uint8_t compact_type, int16_t id)
{
    uint8_t bytes[1 + COMPACT_VARINT_MAX];
    coil_thrift_level *level = innermost(writer);

    if (level == NULL || level->kind == LEVEL_CONTAINER) /* An element begins. */
        level = open_level(writer, LEVEL_STRUCT, 0);
    if (level != NULL)
        append(writer, bytes, compact_put_field(bytes, compact_type, id, &level->id));
}

static void write_field(coil_thrift_writer *writer, uint8_t type, int16_t id)
{
    if (type == COIL_THRIFT_BOOL) {
        writer->has_bool = true; /* The header says which; it waits for the value. */
        writer->bool_id = id;
        return;
    }
    write_header(writer, compact_type_of(type), id);
    if (type == COIL_THRIFT_STRUCT)
        (void)open_level(writer, LEVEL_STRUCT, 0);
}

static void write_stop(coil_thrift_writer *writer)
{
    uint8_t *byte = thrift_writer_take(writer, 1);
    const coil_thrift_level *level = innermost(writer);

    if (byte == NULL)
        return;
    *byte = 0;
    if (level != NULL && level->kind == LEVEL_STRUCT) /* Else an element without any field. */
        writer->level_count--;
    thrift_compact_end_value(writer);
}

static void write_bool(coil_thrift_writer *writer, bool value)
{
    const uint8_t byte = value ? COMPACT_TRUE : COMPACT_FALSE;

    if (writer->has_bool) {
        writer->has_bool = false;
        write_header(writer, byte, writer->bool_id);
    } else {
        append(writer, &byte, 1);
    }
}

static void write_scalar(coil_thrift_writer *writer, uint8_t type, uint64_t bits)
{
    const uint64_t little_endian = htole64(bits);

    switch (type) {
    case COIL_THRIFT_BOOL:
        write_bool(writer, bits != 0);
        break;
    case COIL_THRIFT_I8:
        append(writer, (const uint8_t *)&little_endian, 1);
        break;
    case COIL_THRIFT_DOUBLE:
        append(writer, (const uint8_t *)&little_endian, 8);
        break;
    default:
        write_varint(writer, compact_zigzag((int64_t)bits));
        break;
    }
}

static void write_string(coil_thrift_writer *writer, coil_thrift_text value)
{
    write_varint(writer, value.size);
    if (value.size > 0)
        append(writer, (const uint8_t *)value.bytes, value.size);
}

static void write_uuid(coil_thrift_writer *writer, const uint8_t bytes[16])
{
    append(writer, bytes, 16);
}

/* Elements follow, of which so many are structs or containers. */
static void open_container(coil_thrift_writer *writer, uint64_t left)
{
    if (left == 0) {
        thrift_compact_end_value(writer);
    } else {
        (void)open_level(writer, LEVEL_CONTAINER, (uint32_t)left);
    }
}

/* How many structs or containers a value of `type` is: 0 or 1. */
static uint32_t nested_count(uint8_t type)
{
    return type >= COIL_THRIFT_STRUCT && type <= COIL_THRIFT_LIST ? 1 : 0;
}

static void write_list(
        coil_thrift_writer *writer, uint8_t container, uint8_t element, uint32_t count)
{
    uint8_t bytes[1 + COMPACT_VARINT_MAX];

    (void)container;
    append(writer, bytes, compact_put_list(bytes, element, count));
    open_container(writer, (uint64_t)count * nested_count(element));
}

static void write_map(coil_thrift_writer *writer, uint8_t key, uint8_t value, uint32_t count)
{
    uint8_t bytes[COMPACT_VARINT_MAX + 1];
    uint32_t size = compact_put_varint(bytes, count);

    if (count > 0)
        bytes[size++] = (uint8_t)((unsigned)compact_type_of(key) << 4 | compact_type_of(value));
    append(writer, bytes, size);
    open_container(writer, (uint64_t)count * (nested_count(key) + nested_count(value)));
}

const thrift_writing thrift_compact_writing = {
        .message = write_message,
        .field = write_field,
        .stop = write_stop,
        .scalar = write_scalar,
        .string = write_string,
        .binary = write_string,
        .uuid = write_uuid,
        .list = write_list,
        .map = write_map,
};
