/* SPDX-License-Identifier: MIT */
/* Reading strings of JSON: in place where they have no escapes, else into the arena. */
#include "thrift_json_read.h"

#include "thrift_private.h"

/* Whoever decodes a string first asks for its size, then for its bytes: `out` may be NULL. */
typedef struct decoder {
    const uint8_t *at;
    const uint8_t *end;
    char *out;
    uint32_t size;
} decoder;

static void put(decoder *it, uint32_t byte)
{
    if (it->out != NULL)
        it->out[it->size] = (char)byte;
    it->size++;
}

static void put_utf8(decoder *it, uint32_t code)
{
    if (code < 0x80) {
        put(it, code);
    } else if (code < 0x800) {
        put(it, 0xc0 | code >> 6);
        put(it, 0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(it, 0xe0 | code >> 12);
        put(it, 0x80 | (code >> 6 & 0x3f));
        put(it, 0x80 | (code & 0x3f));
    } else {
        put(it, 0xf0 | code >> 18);
        put(it, 0x80 | (code >> 12 & 0x3f));
        put(it, 0x80 | (code >> 6 & 0x3f));
        put(it, 0x80 | (code & 0x3f));
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits of a \u; -1. */
static int32_t take_unit(decoder *it)
{
    int32_t unit = 0;

    if (it->end - it->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(*it->at++);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Behind \u. Characters above U+FFFF are written as a pair of units. */
static bool decode_unicode(decoder *it)
{
    const int32_t unit = take_unit(it);

    if (unit < 0 || (unit >= 0xdc00 && unit < 0xe000))
        return false;
    if (unit < 0xd800 || unit >= 0xe000) {
        put_utf8(it, (uint32_t)unit);
        return true;
    }
    if (it->end - it->at < 2 || it->at[0] != '\\' || it->at[1] != 'u')
        return false;
    it->at += 2;
    const int32_t low = take_unit(it);
    if (low < 0xdc00 || low >= 0xe000)
        return false;
    put_utf8(it, 0x10000 + ((uint32_t)(unit - 0xd800) << 10 | (uint32_t)(low - 0xdc00)));
    return true;
}

/* Behind a backslash. */
static bool decode_escape(decoder *it)
{
    static const char codes[] = "\"\\/bfnrt";
    static const char characters[] = "\"\\/\b\f\n\r\t";

    if (it->at == it->end)
        return false;
    const uint8_t code = *it->at++;
    if (code == 'u')
        return decode_unicode(it);
    const char *found = memchr(codes, code, sizeof(codes) - 1);
    if (found != NULL)
        put(it, (uint8_t)characters[found - codes]);
    return found != NULL;
}

static bool decode(decoder *it)
{
    while (it->at < it->end) {
        const uint8_t c = *it->at++;
        if (c != '\\') {
            put(it, c);
        } else if (!decode_escape(it)) {
            return false;
        }
    }
    return true;
}

/* What is between quotes, as it is; the quotes are taken. */
static coil_thrift_text take_raw(coil_thrift_reader *reader, uint8_t type, bool *out_has_escapes)
{
    uint32_t size = 0;

    *out_has_escapes = false;
    if (!json_expect(reader, '"'))
        return thrift_no_text;
    const uint8_t *bytes = reader->bytes + reader->position;
    const uint32_t left = thrift_bytes_left(reader);
    while (size < left && bytes[size] != '"') {
        if (bytes[size] == '\\') {
            *out_has_escapes = true;
            size++; /* What follows ends nothing. */
        }
        size++;
    }
    if (size >= left) {
        json_ends(reader, type);
        return thrift_no_text;
    }
    json_advance(reader, size + 1);
    return (coil_thrift_text){(const char *)bytes, size};
}

static bool is_above_limit(coil_thrift_reader *reader, uint32_t size, uint32_t start)
{
    const uint32_t limit = reader->limits->string_max;

    if (size <= limit)
        return false;
    thrift_reader_refuse_size(reader, COIL_THRIFT_STRING, start, size, limit);
    return true;
}

coil_thrift_text json_take_text(coil_thrift_reader *reader, uint8_t type, bool wanted)
{
    const uint32_t start = reader->position;
    bool has_escapes;
    coil_thrift_text text = take_raw(reader, type, &has_escapes);
    const uint8_t *bytes = (const uint8_t *)text.bytes;

    if (!has_escapes || reader->error != 0)
        return is_above_limit(reader, text.size, start) ? thrift_no_text : text;

    decoder measured = {.at = bytes, .end = bytes + text.size};
    if (!decode(&measured)) {
        thrift_reader_fail(reader, THRIFT_FAULT_ESCAPE, type, 0, start);
        return thrift_no_text;
    }
    if (is_above_limit(reader, measured.size, start) || !wanted)
        return thrift_no_text;
    char *room = thrift_reader_room(reader, reader->arena, type, measured.size, 1);
    if (room == NULL)
        return thrift_no_text;
    decoder decoded = {.at = bytes, .end = bytes + text.size, .out = room};
    (void)decode(&decoded);
    return (coil_thrift_text){room, decoded.size};
}

coil_thrift_text json_take_plain(coil_thrift_reader *reader)
{
    bool has_escapes;
    const coil_thrift_text text = take_raw(reader, COIL_THRIFT_STRING, &has_escapes);

    return has_escapes ? thrift_no_text : text;
}

coil_thrift_text json_read_string(coil_thrift_reader *reader)
{
    (void)json_begin_value(reader);
    const coil_thrift_text text = json_take_text(reader, COIL_THRIFT_STRING, true);
    json_end_value(reader);
    return reader->error == 0 ? text : thrift_no_text;
}

void json_skip_string(coil_thrift_reader *reader)
{
    (void)json_begin_value(reader);
    (void)json_take_text(reader, COIL_THRIFT_STRING, false);
    json_end_value(reader);
}

/* Six bits; -1. */
static int32_t base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* The size; -1 if it is not base64. `out` may be where the text is. */
static int64_t decode_base64(coil_thrift_text text, uint8_t *out)
{
    uint32_t bits = 0;
    uint32_t bit_count = 0;
    uint32_t size = 0;

    for (uint32_t i = 0; i < text.size; i++) {
        const int32_t digit = base64_digit((uint8_t)text.bytes[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[size++] = (uint8_t)(bits >> bit_count);
        }
    }
    return text.size % 4 == 1 ? -1 : (int64_t)size;
}

/* Some write padding, and some do not. */
static coil_thrift_text without_padding(coil_thrift_text text)
{
    for (int i = 0; i < 2 && text.size > 0 && text.bytes[text.size - 1] == '='; i++)
        text.size--;
    return text;
}

coil_thrift_text json_read_binary(coil_thrift_reader *reader)
{
    const uint32_t start = reader->position;

    (void)json_begin_value(reader);
    const coil_thrift_text text = without_padding(json_take_text(reader, COIL_THRIFT_STRING, true));
    json_end_value(reader);
    if (reader->error != 0 || text.size == 0)
        return thrift_no_text;
    uint8_t *bytes = thrift_reader_room(
            reader, reader->arena, COIL_THRIFT_STRING, (uint64_t)text.size * 3 / 4, 1);
    if (bytes == NULL)
        return thrift_no_text;
    const int64_t size = decode_base64(text, bytes);
    if (size < 0) {
        thrift_reader_fail(reader, THRIFT_FAULT_BASE64, COIL_THRIFT_STRING, 0, start);
        return thrift_no_text;
    }
    return (coil_thrift_text){(const char *)bytes, (uint32_t)size};
}

/* False unless it is 8-4-4-4-12 digits. */
static bool parse_uuid(coil_thrift_text text, uint8_t out_bytes[16])
{
    static const char form[] = "00000000-0000-0000-0000-000000000000";
    uint32_t digit_count = 0;

    if (text.size != sizeof(form) - 1)
        return false;
    for (uint32_t i = 0; i < text.size; i++) {
        const int digit = hex_digit((uint8_t)text.bytes[i]);
        if (form[i] == '-' ? text.bytes[i] != '-' : digit < 0)
            return false;
        if (form[i] == '-')
            continue;
        uint8_t *byte = &out_bytes[digit_count / 2];
        *byte = (uint8_t)(digit_count % 2 == 0 ? digit << 4 : *byte | digit);
        digit_count++;
    }
    return true;
}

void json_read_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16])
{
    const uint32_t start = reader->position;

    (void)json_begin_value(reader);
    const coil_thrift_text text = json_take_plain(reader);
    if (reader->error == 0 && !parse_uuid(text, out_bytes))
        thrift_reader_fail(reader, THRIFT_FAULT_NUMBER, COIL_THRIFT_UUID, 0, start);
    json_end_value(reader);
    if (reader->error != 0)
        memset(out_bytes, 0, 16);
}
