/* SPDX-License-Identifier: MIT */
#include "thrift_walk.h"

#include <errno.h>
#include <inttypes.h>

static void dump_hex(FILE *dump, const void *bytes, uint32_t size)
{
    const uint8_t *byte = bytes;
    for (uint32_t i = 0; i < size; i++)
        fprintf(dump, "%02x", byte[i]);
}

static void dump_integer(const thrift_walk *walk, uint8_t type, int64_t value)
{
    if (walk->dump != NULL)
        fprintf(walk->dump, "%s:%" PRId64, coil_thrift_type_name(type), value);
}

static void dump_bytes(const thrift_walk *walk, uint8_t type, const void *bytes, uint32_t size)
{
    if (walk->dump == NULL)
        return;
    fprintf(walk->dump, "%s:", coil_thrift_type_name(type));
    dump_hex(walk->dump, bytes, size);
}

static void dump_text(const thrift_walk *walk, const char *text)
{
    if (walk->dump != NULL)
        fputs(text, walk->dump);
}

static void walk_integer(thrift_walk *walk, uint8_t type)
{
    int64_t value = 0;

    switch (type) {
    case COIL_THRIFT_BOOL:
        value = coil_thrift_read_bool(walk->reader);
        coil_thrift_write_bool(walk->writer, value != 0);
        break;
    case COIL_THRIFT_I8:
        value = (int64_t)coil_thrift_read_i8(walk->reader);
        coil_thrift_write_i8(walk->writer, (int8_t)value);
        break;
    case COIL_THRIFT_I16:
        value = coil_thrift_read_i16(walk->reader);
        coil_thrift_write_i16(walk->writer, (int16_t)value);
        break;
    case COIL_THRIFT_I32:
        value = coil_thrift_read_i32(walk->reader);
        coil_thrift_write_i32(walk->writer, (int32_t)value);
        break;
    case COIL_THRIFT_I64:
        value = coil_thrift_read_i64(walk->reader);
        coil_thrift_write_i64(walk->writer, value);
        break;
    }
    dump_integer(walk, type, value);
}

static void walk_double(thrift_walk *walk)
{
    double value = coil_thrift_read_double(walk->reader);
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    coil_thrift_write_double(walk->writer, value);
    if (walk->dump != NULL)
        fprintf(walk->dump, "double:%016" PRIx64, bits);
}

static void walk_string(thrift_walk *walk)
{
    coil_thrift_text value = coil_thrift_read_string(walk->reader);
    coil_thrift_write_string(walk->writer, value);
    dump_bytes(walk, COIL_THRIFT_STRING, value.bytes, value.size);
}

static void walk_uuid(thrift_walk *walk)
{
    uint8_t bytes[16];
    coil_thrift_read_uuid(walk->reader, bytes);
    coil_thrift_write_uuid(walk->writer, bytes);
    dump_bytes(walk, COIL_THRIFT_UUID, bytes, sizeof(bytes));
}

static void walk_fields(thrift_walk *walk)
{
    coil_thrift_field field;

    dump_text(walk, "{");
    while (walk->error == 0 && coil_thrift_read_field(walk->reader, &field)) {
        if (walk->dump != NULL)
            fprintf(walk->dump, "%d=", field.id);
        coil_thrift_write_field(walk->writer, field.type, field.id);
        if (coil_thrift_field_is(walk->reader, field.type))
            thrift_walk_value(walk, field.type);
        dump_text(walk, ";");
    }
    dump_text(walk, "}");
    coil_thrift_write_stop(walk->writer);
}

static void walk_sequence(thrift_walk *walk, uint8_t type)
{
    uint8_t element;
    uint32_t left;

    if (type == COIL_THRIFT_LIST) {
        left = coil_thrift_read_list(walk->reader, &element);
        coil_thrift_write_list(walk->writer, element, left);
    } else {
        left = coil_thrift_read_set(walk->reader, &element);
        coil_thrift_write_set(walk->writer, element, left);
    }

    dump_text(walk, type == COIL_THRIFT_LIST ? "[" : "<");
    while (walk->error == 0 && coil_thrift_read_element(walk->reader, &left)) {
        thrift_walk_value(walk, element);
        dump_text(walk, ",");
    }
    dump_text(walk, type == COIL_THRIFT_LIST ? "]" : ">");
}

static void walk_map(thrift_walk *walk)
{
    uint8_t key;
    uint8_t value;
    uint32_t left = coil_thrift_read_map(walk->reader, &key, &value);

    coil_thrift_write_map(walk->writer, key, value, left);
    dump_text(walk, "(");
    while (walk->error == 0 && coil_thrift_read_element(walk->reader, &left)) {
        thrift_walk_value(walk, key);
        dump_text(walk, "->");
        thrift_walk_value(walk, value);
        dump_text(walk, ",");
    }
    dump_text(walk, ")");
}

static void walk_inside(thrift_walk *walk, uint8_t type)
{
    if (walk->reader->error != 0 || walk->error != 0)
        return;
    if (walk->depth >= COIL_THRIFT_DEPTH_MAX) {
        walk->error = -ELOOP;
        return;
    }

    walk->depth++;
    if (type == COIL_THRIFT_MAP) {
        walk_map(walk);
    } else if (type != COIL_THRIFT_STRUCT) {
        walk_sequence(walk, type);
    } else if (coil_thrift_read_struct(walk->reader)) {
        walk_fields(walk);
    }
    walk->depth--;
}

void thrift_walk_value(thrift_walk *walk, uint8_t type)
{
    switch (type) {
    case COIL_THRIFT_STRUCT:
    case COIL_THRIFT_MAP:
    case COIL_THRIFT_SET:
    case COIL_THRIFT_LIST:
        walk_inside(walk, type);
        break;
    case COIL_THRIFT_STRING:
        walk_string(walk);
        break;
    case COIL_THRIFT_DOUBLE:
        walk_double(walk);
        break;
    case COIL_THRIFT_UUID:
        walk_uuid(walk);
        break;
    default:
        walk_integer(walk, type);
        break;
    }
}

int thrift_walk_message(thrift_walk *walk)
{
    coil_thrift_message message;

    if (!coil_thrift_read_message(walk->reader, &message))
        return walk->reader->error;
    if (walk->dump != NULL) {
        fprintf(walk->dump, "%d %d ", (int)message.type, message.seqid);
        dump_hex(walk->dump, message.name.bytes, message.name.size);
        fputc(' ', walk->dump);
    }

    coil_thrift_writer_begin(walk->writer, &message);
    walk->depth = 1;
    walk_fields(walk);
    if (walk->error == 0)
        walk->error = coil_thrift_reader_finish(walk->reader);
    if (walk->error != 0) {
        coil_thrift_writer_abandon(walk->writer);
        return walk->error;
    }
    int rc = coil_thrift_writer_finish(walk->writer);
    return rc < 0 ? rc : 0;
}
