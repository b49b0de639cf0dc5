/* SPDX-License-Identifier: MIT */
/* Reading JSON: what values are in, and numbers. Strings are in thrift_json_text.c. */
#include "thrift_json_read.h"

#include "thrift_json.h"
#include "thrift_private.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 400 }; /* "%f" of the largest double has 316. */

/* Characters
 * ---------- */

void json_ends(coil_thrift_reader *reader, uint8_t type)
{
    thrift_reader_fail(reader, THRIFT_FAULT_ENDS, type, 0, reader->position);
}

void json_advance(coil_thrift_reader *reader, uint32_t size)
{
    reader->position += size;
    reader->end = reader->position;
}

static void skip_space(coil_thrift_reader *reader)
{
    uint32_t size = 0;
    const uint8_t *bytes = reader->bytes + reader->position;
    const uint32_t left = thrift_bytes_left(reader);

    while (size < left && (bytes[size] == ' ' || (bytes[size] >= '\t' && bytes[size] <= '\r')))
        size++;
    json_advance(reader, size);
}

/* The next character that is no space, which stays; 0 after an error. */
static uint8_t peek(coil_thrift_reader *reader)
{
    skip_space(reader);
    if (thrift_bytes_left(reader) > 0)
        return reader->bytes[reader->position];
    json_ends(reader, COIL_THRIFT_STOP);
    return 0;
}

/* Whatever comes next is not what is wanted. */
static void refuse(coil_thrift_reader *reader, char wanted)
{
    const uint8_t found = peek(reader);

    thrift_reader_fail(reader, THRIFT_FAULT_SYNTAX, COIL_THRIFT_STOP,
            (uint32_t)(uint8_t)wanted << 8 | found, reader->position);
}

bool json_expect(coil_thrift_reader *reader, char wanted)
{
    if (coil_unlikely(peek(reader) != (uint8_t)wanted)) {
        refuse(reader, wanted);
        return false;
    }
    json_advance(reader, 1);
    return true;
}

/* Levels
 * ------ */

static coil_thrift_level *innermost(coil_thrift_reader *reader)
{
    return reader->level_count == 0 ? NULL : &reader->levels[reader->level_count - 1];
}

static void open_level(
        coil_thrift_reader *reader, enum json_level kind, uint8_t type, uint32_t left)
{
    const uint32_t count = reader->level_count;
    const uint32_t message_count = count > 0 && reader->levels[0].kind == JSON_MESSAGE ? 1 : 0;
    const uint32_t depth_max = reader->limits->depth_max;

    if (kind != JSON_MESSAGE && count - message_count >= depth_max) {
        thrift_reader_fail(reader, THRIFT_FAULT_DEPTH, type, depth_max, reader->position);
    } else if (reader->error == 0) {
        reader->levels[reader->level_count++] =
                (coil_thrift_level){.kind = (uint8_t)kind, .left = left};
    }
}

bool json_begin_value(coil_thrift_reader *reader)
{
    coil_thrift_level *level = innermost(reader);
    bool is_key = false;

    if (level == NULL)
        return false;
    switch ((enum json_level)level->kind) {
    case JSON_MESSAGE:
    case JSON_LIST:
        (void)json_expect(reader, ',');
        break;
    case JSON_FIELD:
        break;
    case JSON_STRUCT_BEGUN: /* There is no value without a field. */
    case JSON_STRUCT:
        refuse(reader, '}');
        break;
    case JSON_MAP_BEGUN:
        level->kind = JSON_MAP;
        is_key = true;
        break;
    case JSON_MAP:
        is_key = level->left % 2 == 0;
        (void)json_expect(reader, is_key ? ',' : ':');
        break;
    }
    return is_key;
}

void json_end_value(coil_thrift_reader *reader)
{
    coil_thrift_level *level;

    while (reader->error == 0 && (level = innermost(reader)) != NULL) {
        switch ((enum json_level)level->kind) {
        case JSON_FIELD:
            (void)json_expect(reader, '}');
            level->kind = JSON_STRUCT;
            return;
        case JSON_MESSAGE:
            (void)json_expect(reader, ']');
            skip_space(reader);
            break;
        case JSON_LIST:
            if (--level->left > 0)
                return;
            (void)json_expect(reader, ']');
            break;
        case JSON_MAP:
            if (--level->left > 0)
                return;
            (void)(json_expect(reader, '}') && json_expect(reader, ']'));
            break;
        default:
            return;
        }
        reader->level_count--;
    }
}

/* Numbers
 * ------- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_of_number(uint8_t c)
{
    return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The characters of a number that comes next, which stay. Only a lone value may end with them. */
static coil_thrift_text peek_number(coil_thrift_reader *reader, uint8_t type)
{
    (void)peek(reader);
    const char *bytes = (const char *)reader->bytes + reader->position;
    const uint32_t left = thrift_bytes_left(reader);
    uint32_t size = 0;

    while (size < left && is_of_number((uint8_t)bytes[size]))
        size++;
    if (size == left && reader->level_count > 0)
        json_ends(reader, type);
    if (size == 0)
        thrift_reader_fail(reader, THRIFT_FAULT_NUMBER, type, 0, reader->position);
    return reader->error == 0 ? (coil_thrift_text){bytes, size} : thrift_no_text;
}

/* False if it is none, or does not fit. */
static bool parse_integer(coil_thrift_text text, int64_t *out_value)
{
    const uint32_t sign_size = text.size > 0 && text.bytes[0] == '-' ? 1 : 0;
    int64_t value = 0;

    if (text.size == sign_size)
        return false;
    for (uint32_t i = sign_size; i < text.size; i++) {
        const uint8_t c = (uint8_t)text.bytes[i];
        const int digit = sign_size == 0 ? c - '0' : '0' - c;
        if (!is_digit(c) || __builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out_value = value;
    return true;
}

/* An integer of so many bits; 0 after an error. */
static int64_t take_integer(coil_thrift_reader *reader, uint8_t type, unsigned bits)
{
    const coil_thrift_text number = peek_number(reader, type);
    const int64_t max = (int64_t)(UINT64_MAX >> (65 - bits));
    int64_t value = 0;

    if (reader->error != 0)
        return 0;
    if (!parse_integer(number, &value) || value > max || value < -max - 1) {
        thrift_reader_fail(reader, THRIFT_FAULT_NUMBER, type, 0, reader->position);
        return 0;
    }
    json_advance(reader, number.size);
    return value;
}

/* The quotes of a number that is a key. */
static void take_quote(coil_thrift_reader *reader, bool is_key)
{
    if (is_key)
        (void)json_expect(reader, '"');
}

/*
 * The point of a double is a point, whatever the language is. The locale "C" is part of libc:
 * asking for it allocates nothing.
 */
static double parse_double(const char *text, char **out_end)
{
    return strtod_l(text, out_end, newlocale(LC_ALL_MASK, "C", NULL));
}

static double take_number(coil_thrift_reader *reader)
{
    const coil_thrift_text number = peek_number(reader, COIL_THRIFT_DOUBLE);
    char text[NUMBER_BYTES_MAX];
    char *end = text;
    double value = 0;

    text[0] = '\0';
    if (reader->error != 0)
        return 0;
    if (number.size < sizeof(text)) {
        memcpy(text, number.bytes, number.size);
        text[number.size] = '\0';
        value = parse_double(text, &end);
    }
    if ((size_t)(end - text) != number.size || isinf(value) || text[0] == '+') {
        thrift_reader_fail(reader, THRIFT_FAULT_NUMBER, COIL_THRIFT_DOUBLE, 0, reader->position);
        return 0;
    }
    json_advance(reader, number.size);
    return value;
}

/* One of the names in quotes, which no number has; false if there is none. */
static bool take_name(coil_thrift_reader *reader, double *out_value)
{
    static const struct {
        const char *name;
        double value;
    } names[] = {
            {"\"NaN\"", (double)NAN}, {"\"Infinity\"", HUGE_VAL}, {"\"-Infinity\"", -HUGE_VAL}};
    const uint32_t left = thrift_bytes_left(reader);

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const uint32_t size = (uint32_t)strlen(names[i].name);
        const uint32_t shown = size < left ? size : left;
        if (memcmp(reader->bytes + reader->position, names[i].name, shown) != 0 || shown < 3)
            continue;
        if (shown < size)
            json_ends(reader, COIL_THRIFT_DOUBLE);
        json_advance(reader, shown);
        *out_value = names[i].value;
        return true;
    }
    return false;
}

static double take_double(coil_thrift_reader *reader, bool is_key)
{
    double value = 0;

    if (peek(reader) == '"') {
        if (thrift_bytes_left(reader) < 3) {
            json_ends(reader, COIL_THRIFT_DOUBLE);
            return 0;
        }
        if (take_name(reader, &value))
            return value;
    }
    take_quote(reader, is_key);
    value = take_number(reader);
    take_quote(reader, is_key);
    return value;
}

static const uint8_t *read_scalar(coil_thrift_reader *reader, uint8_t type)
{
    static const uint8_t widths[] = {[COIL_THRIFT_BOOL] = 1,
            [COIL_THRIFT_I8] = 1,
            [COIL_THRIFT_I16] = 2,
            [COIL_THRIFT_I32] = 4,
            [COIL_THRIFT_I64] = 8};
    const bool is_key = json_begin_value(reader);
    uint64_t bits;
    uint32_t width = sizeof(bits);

    if (type == COIL_THRIFT_DOUBLE) {
        bits = coil_thrift_bits_of(take_double(reader, is_key));
    } else {
        width = widths[type];
        take_quote(reader, is_key);
        bits = (uint64_t)take_integer(reader, type, width * 8);
        take_quote(reader, is_key);
    }
    json_end_value(reader);
    if (reader->error != 0)
        return NULL;
    coil_thrift_store_64(reader->value, bits);
    return reader->value + sizeof(bits) - width;
}

/* Structs and containers
 * ---------------------- */

static void read_message(coil_thrift_reader *reader, coil_thrift_message *out_message)
{
    const uint32_t start = reader->position;
    const uint8_t first = peek(reader);
    coil_thrift_message message = {.old = false};

    if (reader->error == 0 && first != '[') {
        thrift_reader_fail(
                reader, THRIFT_FAULT_VERSION, COIL_THRIFT_STOP, (uint32_t)first << 24, start);
    }
    (void)json_expect(reader, '[');
    open_level(reader, JSON_MESSAGE, COIL_THRIFT_STOP, 0);
    const int64_t version = take_integer(reader, COIL_THRIFT_I32, 32);
    if (reader->error == 0 && version != JSON_VERSION)
        thrift_reader_fail(reader, THRIFT_FAULT_RANGE, COIL_THRIFT_I32, 0, start + 1);
    (void)json_expect(reader, ',');
    message.name = json_take_text(reader, COIL_THRIFT_STRING, true);
    (void)json_expect(reader, ',');
    const int64_t type = take_integer(reader, COIL_THRIFT_I8, 8);
    message.type = (enum coil_thrift_message_type)(uint8_t)type;
    (void)json_expect(reader, ',');
    message.seqid = (int32_t)take_integer(reader, COIL_THRIFT_I32, 32);
    *out_message = message;
}

static void read_struct(coil_thrift_reader *reader)
{
    (void)json_begin_value(reader);
    (void)json_expect(reader, '{');
    open_level(reader, JSON_STRUCT_BEGUN, COIL_THRIFT_STRUCT, 0);
}

/* The name of a type: STOP after an error. */
static uint8_t take_type(coil_thrift_reader *reader)
{
    const uint32_t start = reader->position;
    const uint8_t type = thrift_json_type_of(json_take_plain(reader));

    if (type == COIL_THRIFT_STOP)
        thrift_reader_fail(reader, THRIFT_FAULT_TYPE_NAME, COIL_THRIFT_STOP, 0, start);
    return type;
}

static uint8_t read_field(coil_thrift_reader *reader, int16_t *out_id)
{
    coil_thrift_level *level = innermost(reader);
    uint8_t type;

    if (level == NULL || (level->kind != JSON_STRUCT && level->kind != JSON_STRUCT_BEGUN)) {
        refuse(reader, ']'); /* Elements that nobody has read. */
        return COIL_THRIFT_STOP;
    }
    if (peek(reader) == '}') {
        json_advance(reader, 1);
        reader->level_count--;
        json_end_value(reader);
        return COIL_THRIFT_STOP;
    }
    if (level->kind == JSON_STRUCT)
        (void)json_expect(reader, ',');
    (void)json_expect(reader, '"');
    *out_id = (int16_t)take_integer(reader, COIL_THRIFT_I16, 16);
    (void)(json_expect(reader, '"') && json_expect(reader, ':') && json_expect(reader, '{'));
    type = take_type(reader);
    (void)json_expect(reader, ':');
    level->kind = JSON_FIELD;
    return reader->error == 0 ? type : (uint8_t)COIL_THRIFT_STOP;
}

static uint32_t bytes_min(uint8_t type)
{
    return thrift_json_reading.bytes_min[type];
}

static uint32_t take_count(
        coil_thrift_reader *reader, uint8_t container, uint32_t start, uint32_t item_bytes)
{
    (void)json_expect(reader, ',');
    const uint32_t count = (uint32_t)take_integer(reader, COIL_THRIFT_I32, 32);
    return reader->error == 0
                   ? thrift_reader_check_count(reader, container, start, count, item_bytes)
                   : 0;
}

/* An element has a comma before it. */
static uint32_t read_list(coil_thrift_reader *reader, uint8_t container, uint8_t *out_element)
{
    const uint32_t start = reader->position;

    (void)json_begin_value(reader);
    (void)json_expect(reader, '[');
    const uint8_t element = take_type(reader);
    const uint32_t count = take_count(reader, container, start, 1 + bytes_min(element));
    if (count > 0) {
        open_level(reader, JSON_LIST, container, count);
    } else {
        (void)json_expect(reader, ']');
        json_end_value(reader);
    }
    *out_element = reader->error == 0 ? element : (uint8_t)COIL_THRIFT_STOP;
    return reader->error == 0 ? count : 0;
}

/* A pair has a comma and a colon, and quotes if its key is a number. */
static uint32_t read_map(coil_thrift_reader *reader, uint8_t *out_key, uint8_t *out_value)
{
    const uint32_t start = reader->position;

    (void)json_begin_value(reader);
    (void)json_expect(reader, '[');
    const uint8_t key = take_type(reader);
    (void)json_expect(reader, ',');
    const uint8_t value = take_type(reader);
    const uint32_t quote_count = thrift_is_scalar(key) ? 2 : 0;
    const uint32_t count = take_count(
            reader, COIL_THRIFT_MAP, start, bytes_min(key) + bytes_min(value) + 2 + quote_count);
    (void)(json_expect(reader, ',') && json_expect(reader, '{'));
    if (count > 0) {
        open_level(reader, JSON_MAP_BEGUN, COIL_THRIFT_MAP, count * 2);
    } else {
        (void)(json_expect(reader, '}') && json_expect(reader, ']'));
        json_end_value(reader);
    }
    *out_key = reader->error == 0 ? key : (uint8_t)COIL_THRIFT_STOP;
    *out_value = reader->error == 0 ? value : (uint8_t)COIL_THRIFT_STOP;
    return reader->error == 0 ? count : 0;
}

const thrift_reading thrift_json_reading = {
        .bytes_min = {[COIL_THRIFT_BOOL] = 1,
                [COIL_THRIFT_I8] = 1,
                [COIL_THRIFT_DOUBLE] = 1,
                [COIL_THRIFT_I16] = 1,
                [COIL_THRIFT_I32] = 1,
                [COIL_THRIFT_I64] = 1,
                [COIL_THRIFT_STRING] = 2,
                [COIL_THRIFT_STRUCT] = 2,
                [COIL_THRIFT_MAP] = 16,
                [COIL_THRIFT_SET] = 8,
                [COIL_THRIFT_LIST] = 8,
                [COIL_THRIFT_UUID] = 38},
        .message = read_message,
        .structure = read_struct,
        .field = read_field,
        .scalar = read_scalar,
        .string = json_read_string,
        .binary = json_read_binary,
        .skip_string = json_skip_string,
        .uuid = json_read_uuid,
        .list = read_list,
        .map = read_map,
};
