/* SPDX-License-Identifier: MIT */
/* Writing JSON, to the byte as Apache's TJSONProtocol in C++ does. */
#include "thrift_json.h"

#include "thrift_private.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { NUMBER_BYTES_MAX = 40, UUID_TEXT_BYTES = 36 };

static void append(coil_thrift_writer *writer, const char *bytes, uint32_t size)
{
    uint8_t *place = thrift_writer_take(writer, size);

    if (place != NULL)
        memcpy(place, bytes, size);
}

static void append_text(coil_thrift_writer *writer, const char *text)
{
    append(writer, text, (uint32_t)strlen(text));
}

/* Levels
 * ------ */

static coil_thrift_level *innermost(coil_thrift_writer *writer)
{
    return writer->level_count == 0 ? NULL : &writer->levels[writer->level_count - 1];
}

static void open_level(coil_thrift_writer *writer, enum json_level kind, uint32_t left)
{
    if (writer->level_count >= COIL_THRIFT_DEPTH_MAX + 1) {
        thrift_writer_fail(writer, -ELOOP);
        return;
    }
    writer->levels[writer->level_count++] =
            (coil_thrift_level){.kind = (uint8_t)kind, .left = left};
}

/* What stands before a value. Whether it is the key of a map. */
static bool begin_value(coil_thrift_writer *writer)
{
    coil_thrift_level *level = innermost(writer);
    bool is_key = false;

    if (level == NULL)
        return false;
    switch ((enum json_level)level->kind) {
    case JSON_MESSAGE:
    case JSON_LIST:
        append(writer, ",", 1);
        break;
    case JSON_MAP_BEGUN:
        level->kind = JSON_MAP;
        is_key = true;
        break;
    case JSON_MAP:
        is_key = level->left % 2 == 0;
        append(writer, is_key ? "," : ":", 1);
        break;
    default:
        break;
    }
    return is_key;
}

/* What stands behind a value; and behind what it was the last one of. */
static void end_value(coil_thrift_writer *writer)
{
    coil_thrift_level *level;

    while ((level = innermost(writer)) != NULL) {
        switch ((enum json_level)level->kind) {
        case JSON_FIELD:
            append(writer, "}", 1);
            level->kind = JSON_STRUCT;
            return;
        case JSON_MESSAGE:
            append(writer, "]", 1);
            break;
        case JSON_LIST:
            if (--level->left > 0)
                return;
            append(writer, "]", 1);
            break;
        case JSON_MAP:
            if (--level->left > 0)
                return;
            append(writer, "}]", 2);
            break;
        default:
            return;
        }
        writer->level_count--;
    }
}

/* Scalars
 * ------- */

/* The decimal point is a point, whatever the language is. */
static void point_the_point(char *text)
{
    char *point = text + strspn(text, "0123456789-");
    const size_t size = strcspn(point, "0123456789e");

    if (size == 0)
        return;
    *point = '.';
    memmove(point + 1, point + size, strlen(point + size) + 1);
}

static void write_double(coil_thrift_writer *writer, double value, bool is_key)
{
    char text[NUMBER_BYTES_MAX];
    const char *quote = is_key ? "\"" : "";

    if (isnan(value)) {
        append_text(writer, "\"NaN\"");
    } else if (isinf(value)) {
        append_text(writer, value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    } else {
        snprintf(text, sizeof(text), "%.17g", value);
        point_the_point(text);
        append_text(writer, quote);
        append_text(writer, text);
        append_text(writer, quote);
    }
}

/* Digits, from the last one. */
static void write_integer(coil_thrift_writer *writer, int64_t value, bool is_key)
{
    char text[NUMBER_BYTES_MAX];
    char *at = text + sizeof(text);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    if (is_key)
        *--at = '"';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        *--at = '-';
    if (is_key)
        *--at = '"';
    append(writer, at, (uint32_t)(text + sizeof(text) - at));
}

static void write_scalar(coil_thrift_writer *writer, uint8_t type, uint64_t bits)
{
    const bool is_key = begin_value(writer);
    double value;

    if (type == COIL_THRIFT_DOUBLE) {
        memcpy(&value, &bits, sizeof(value));
        write_double(writer, value, is_key);
    } else {
        write_integer(writer, (int64_t)bits, is_key);
    }
    end_value(writer);
}

/* Strings
 * ------- */

/* What is written for a character that cannot stand for itself. */
static void append_escape(coil_thrift_writer *writer, uint8_t c)
{
    static const char codes[0x20] = {
            ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char text[8];

    if (c >= 0x20) {
        snprintf(text, sizeof(text), "\\%c", c);
    } else if (codes[c] != 0) {
        snprintf(text, sizeof(text), "\\%c", codes[c]);
    } else {
        snprintf(text, sizeof(text), "\\u%04x", c);
    }
    append_text(writer, text);
}

static void append_string(coil_thrift_writer *writer, coil_thrift_text value)
{
    uint32_t done = 0;

    append(writer, "\"", 1);
    for (uint32_t i = 0; i < value.size; i++) {
        const uint8_t c = (uint8_t)value.bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (i > done)
            append(writer, value.bytes + done, i - done);
        append_escape(writer, c);
        done = i + 1;
    }
    if (value.size > done)
        append(writer, value.bytes + done, value.size - done);
    append(writer, "\"", 1);
}

static void write_string(coil_thrift_writer *writer, coil_thrift_text value)
{
    (void)begin_value(writer);
    append_string(writer, value);
    end_value(writer);
}

/* Without padding: 1, 2 or 3 bytes are 2, 3 or 4 characters. */
static void encode_base64(const uint8_t *bytes, uint32_t size, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    uint32_t bit_count = 0;

    for (uint32_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        bit_count += 8;
        for (; bit_count >= 6; bit_count -= 6)
            *out++ = (uint8_t)digits[bits >> (bit_count - 6) & 63];
    }
    if (bit_count > 0)
        *out = (uint8_t)digits[bits << (6 - bit_count) & 63];
}

static void write_binary(coil_thrift_writer *writer, coil_thrift_text value)
{
    const uint64_t size = ((uint64_t)value.size * 4 + 2) / 3;

    (void)begin_value(writer);
    append(writer, "\"", 1);
    if (size > INT32_MAX)
        thrift_writer_fail(writer, -EMSGSIZE);
    uint8_t *place = thrift_writer_take(writer, (uint32_t)size);
    if (place != NULL)
        encode_base64((const uint8_t *)value.bytes, value.size, place);
    append(writer, "\"", 1);
    end_value(writer);
}

static void write_uuid(coil_thrift_writer *writer, const uint8_t bytes[16])
{
    static const char digits[] = "0123456789abcdef";
    char text[UUID_TEXT_BYTES];
    char *at = text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    write_string(writer, (coil_thrift_text){text, sizeof(text)});
}

/* Structs and containers
 * ---------------------- */

static void open_struct(coil_thrift_writer *writer)
{
    (void)begin_value(writer);
    append(writer, "{", 1);
    open_level(writer, JSON_STRUCT_BEGUN, 0);
}

static bool is_in_struct(coil_thrift_writer *writer)
{
    const coil_thrift_level *level = innermost(writer);

    return level != NULL && (level->kind == JSON_STRUCT || level->kind == JSON_STRUCT_BEGUN);
}

static void write_message(coil_thrift_writer *writer, const coil_thrift_message *message)
{
    append_text(writer, "[1,");
    append_string(writer, message->name);
    append(writer, ",", 1);
    write_integer(writer, (int64_t)message->type, false);
    append(writer, ",", 1);
    write_integer(writer, message->seqid, false);
    open_level(writer, JSON_MESSAGE, 0);
    open_struct(writer);
}

static void append_type(coil_thrift_writer *writer, uint8_t type)
{
    const char *name = thrift_json_type_name(type);

    append(writer, "\"", 1);
    append_text(writer, name == NULL ? "i8" : name); /* Of an empty container that has no type. */
    append(writer, "\"", 1);
}

static void write_field(coil_thrift_writer *writer, uint8_t type, int16_t id)
{
    if (!is_in_struct(writer)) /* An element begins. */
        open_struct(writer);
    coil_thrift_level *level = innermost(writer);
    if (writer->error != 0 || level == NULL)
        return;
    if (level->kind == JSON_STRUCT)
        append(writer, ",", 1);
    write_integer(writer, id, true);
    append_text(writer, ":{");
    append_type(writer, type);
    append(writer, ":", 1);
    level->kind = JSON_FIELD;
    if (type == COIL_THRIFT_STRUCT)
        open_struct(writer);
}

static void write_stop(coil_thrift_writer *writer)
{
    if (!is_in_struct(writer)) /* An element without any field. */
        open_struct(writer);
    append(writer, "}", 1);
    if (writer->error != 0)
        return;
    writer->level_count--;
    end_value(writer);
}

static void write_list(
        coil_thrift_writer *writer, uint8_t container, uint8_t element, uint32_t count)
{
    (void)container;
    (void)begin_value(writer);
    append(writer, "[", 1);
    append_type(writer, element);
    append(writer, ",", 1);
    write_integer(writer, count, false);
    if (count > 0) {
        open_level(writer, JSON_LIST, count);
    } else {
        append(writer, "]", 1);
        end_value(writer);
    }
}

static void write_map(coil_thrift_writer *writer, uint8_t key, uint8_t value, uint32_t count)
{
    (void)begin_value(writer);
    append(writer, "[", 1);
    append_type(writer, key);
    append(writer, ",", 1);
    append_type(writer, value);
    append(writer, ",", 1);
    write_integer(writer, count, false);
    append_text(writer, ",{");
    if (count > 0) {
        open_level(writer, JSON_MAP_BEGUN, count * 2);
    } else {
        append_text(writer, "}]");
        end_value(writer);
    }
}

const thrift_writing thrift_json_writing = {
        .message = write_message,
        .field = write_field,
        .stop = write_stop,
        .scalar = write_scalar,
        .string = write_string,
        .binary = write_binary,
        .uuid = write_uuid,
        .list = write_list,
        .map = write_map,
};
