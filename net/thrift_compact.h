/* SPDX-License-Identifier: MIT */
/* thrift_compact.h - what reading and writing the compact protocol have in common. */
#ifndef COIL_THRIFT_COMPACT_H
#define COIL_THRIFT_COMPACT_H

#include <coil/thrift.h>

enum {
    COMPACT_PROTOCOL = 0x82, /* The first byte of a message; */
    COMPACT_VERSION = 1,     /* the second has a version and the message's type. */
    COMPACT_VERSION_MASK = 0x1f,
    COMPACT_TYPE_SHIFT = 5,
    COMPACT_DELTA_MAX = 15,  /* Of fields' numbers that have no bytes of their own. */
    COMPACT_COUNT_LONG = 15, /* Instead of the count of a list that follows. */
    COMPACT_VARINT_MAX = 10,
};

/* Types in four bits. */
enum {
    COMPACT_STOP = 0,
    COMPACT_TRUE = 1, /* Of a field, and its value. As an element's type: a bool. */
    COMPACT_FALSE = 2,
    COMPACT_I8 = 3,
    COMPACT_I16 = 4,
    COMPACT_I32 = 5,
    COMPACT_I64 = 6,
    COMPACT_DOUBLE = 7,
    COMPACT_STRING = 8,
    COMPACT_LIST = 9,
    COMPACT_SET = 10,
    COMPACT_MAP = 11,
    COMPACT_STRUCT = 12,
    COMPACT_UUID = 13,
};

/* 0 for what is no type: an empty container may claim to have such elements. */
static inline uint8_t compact_type_of(uint8_t type)
{
    static const uint8_t types[32] = {
            [COIL_THRIFT_BOOL] = COMPACT_TRUE,
            [COIL_THRIFT_I8] = COMPACT_I8,
            [COIL_THRIFT_DOUBLE] = COMPACT_DOUBLE,
            [COIL_THRIFT_I16] = COMPACT_I16,
            [COIL_THRIFT_I32] = COMPACT_I32,
            [COIL_THRIFT_I64] = COMPACT_I64,
            [COIL_THRIFT_STRING] = COMPACT_STRING,
            [COIL_THRIFT_STRUCT] = COMPACT_STRUCT,
            [COIL_THRIFT_MAP] = COMPACT_MAP,
            [COIL_THRIFT_SET] = COMPACT_SET,
            [COIL_THRIFT_LIST] = COMPACT_LIST,
            [COIL_THRIFT_UUID] = COMPACT_UUID,
    };

    return coil_likely(type < sizeof(types)) ? types[type] : 0;
}

/* The type for one of compact, of which the lower four bits count; STOP for what is none. */
static inline uint8_t thrift_compact_type(uint8_t compact_type)
{
    static const uint8_t types[16] = {
            [COMPACT_TRUE] = COIL_THRIFT_BOOL,
            [COMPACT_FALSE] = COIL_THRIFT_BOOL,
            [COMPACT_I8] = COIL_THRIFT_I8,
            [COMPACT_I16] = COIL_THRIFT_I16,
            [COMPACT_I32] = COIL_THRIFT_I32,
            [COMPACT_I64] = COIL_THRIFT_I64,
            [COMPACT_DOUBLE] = COIL_THRIFT_DOUBLE,
            [COMPACT_STRING] = COIL_THRIFT_STRING,
            [COMPACT_LIST] = COIL_THRIFT_LIST,
            [COMPACT_SET] = COIL_THRIFT_SET,
            [COMPACT_MAP] = COIL_THRIFT_MAP,
            [COMPACT_STRUCT] = COIL_THRIFT_STRUCT,
            [COMPACT_UUID] = COIL_THRIFT_UUID,
    };

    return types[compact_type & 15];
}

static inline uint64_t compact_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t compact_unzigzag(uint64_t bits)
{
    return (int64_t)(bits >> 1 ^ ((bits & 1) == 0 ? 0 : UINT64_MAX));
}

/* Seven bits a byte, the lowest first; the last one has the top bit clear. Returns the size. */
static inline uint32_t compact_put_varint(uint8_t bytes[COMPACT_VARINT_MAX], uint64_t value)
{
    uint32_t size = 0;

    if (value < 0x80) {
        bytes[0] = (uint8_t)value;
        return 1;
    }
    if (value < 0x4000) {
        bytes[0] = (uint8_t)(value | 0x80);
        bytes[1] = (uint8_t)(value >> 7);
        return 2;
    }
    if (value < 0x200000) {
        bytes[0] = (uint8_t)(value | 0x80);
        bytes[1] = (uint8_t)(value >> 7 | 0x80);
        bytes[2] = (uint8_t)(value >> 14);
        return 3;
    }
    if (value < 0x10000000) {
        bytes[0] = (uint8_t)(value | 0x80);
        bytes[1] = (uint8_t)(value >> 7 | 0x80);
        bytes[2] = (uint8_t)(value >> 14 | 0x80);
        bytes[3] = (uint8_t)(value >> 21);
        return 4;
    }
    while (value >= 0x80) {
        bytes[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (uint8_t)value;
    return size;
}

/*
 * Eight bytes of seven bits each, the lowest first, side by side: first in pairs, then fours, then
 * all. Their top bits are clear.
 */
static inline uint64_t compact_gather(uint64_t bytes)
{
    bytes = (bytes & 0x7f007f007f007f00) >> 1 | (bytes & 0x007f007f007f007f);
    bytes = (bytes & 0x3fff00003fff0000) >> 2 | (bytes & 0x00003fff00003fff);
    return (bytes & 0x0fffffff00000000) >> 4 | (bytes & 0x000000000fffffff);
}

/*
 * A number, and where the next byte is; or NULL: it is not all there, or has more bytes than it
 * needs, or too many bits; or it is one of the few that end close to the end or are very long, and
 * take_varint() is the one to say.
 */
static inline const uint8_t *compact_take_varint(
        const uint8_t *at, const uint8_t *end, uint64_t *out_value)
{
    const uint64_t tops = 0x8080808080808080;
    uint64_t bytes;

    if (coil_unlikely(at == end))
        return NULL;
    if (*at < 0x80) {
        *out_value = *at;
        return at + 1;
    }
    if (coil_unlikely(end - at < (ptrdiff_t)sizeof(bytes)))
        return NULL;
    memcpy(&bytes, at, sizeof(bytes));
    bytes = le64toh(bytes);
    const uint64_t ends = ~bytes & tops;
    if (coil_unlikely(ends == 0))
        return NULL;
    const unsigned top = (unsigned)__builtin_ctzll(ends); /* Of the last byte. */
    if (coil_unlikely((bytes >> (top - 7) & 0xff) == 0))
        return NULL;
    *out_value = compact_gather(bytes & ~tops & (UINT64_MAX >> (63 - top)));
    return at + (top + 1) / 8;
}

/* The header of a field, at most 4 bytes; moves `last_id`, the number of the field before. */
static inline uint32_t compact_put_field(
        uint8_t *bytes, uint8_t compact_type, int16_t id, int16_t *last_id)
{
    const int32_t delta = id - *last_id;

    *last_id = id;
    if (coil_likely(delta > 0 && delta <= COMPACT_DELTA_MAX)) {
        bytes[0] = (uint8_t)((unsigned)delta << 4 | compact_type);
        return 1;
    }
    bytes[0] = compact_type;
    return 1 + compact_put_varint(bytes + 1, compact_zigzag(id));
}

/* The header of a list or set, at most 6 bytes. */
static inline uint32_t compact_put_list(uint8_t *bytes, uint8_t element, uint32_t count)
{
    const uint8_t type = compact_type_of(element);

    if (count < COMPACT_COUNT_LONG) {
        bytes[0] = (uint8_t)(count << 4 | type);
        return 1;
    }
    bytes[0] = (uint8_t)((unsigned)COMPACT_COUNT_LONG << 4 | type);
    return 1 + compact_put_varint(bytes + 1, count);
}

/*
 * For who writes whole values: they have a struct or container to themselves. Returns the number of
 * the last field of the struct that is open, which ends with the value; or 0.
 */
int16_t thrift_compact_take_struct(coil_thrift_writer *writer);
void thrift_compact_end_value(coil_thrift_writer *writer);

#endif
