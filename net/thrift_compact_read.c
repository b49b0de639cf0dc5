/* SPDX-License-Identifier: MIT */
/* Reading the compact protocol. */
#include "thrift_compact.h"

#include "thrift_private.h"

/* The next `size` bytes; NULL after an error. */
static const uint8_t *take(coil_thrift_reader *reader, uint32_t size, uint8_t type)
{
    if (coil_unlikely(thrift_bytes_left(reader) < size)) {
        thrift_reader_fail(reader, THRIFT_FAULT_CUT, type, size, reader->position);
        return NULL;
    }
    const uint8_t *bytes = reader->bytes + reader->position;
    reader->position += size;
    reader->end = reader->position;
    return bytes;
}

static uint8_t take_byte(coil_thrift_reader *reader, uint8_t type)
{
    const uint8_t *byte = take(reader, 1, type);

    return byte == NULL ? 0 : *byte;
}

/* A number of so many bytes, all that were looked at, does not end, or is not right. */
static uint64_t __attribute__((cold))
refuse_varint(coil_thrift_reader *reader, uint8_t type, unsigned bits_max, uint32_t size)
{
    const uint32_t start = reader->position;
    const bool goes_on = size == 0 || reader->bytes[start + size - 1] >= 0x80;

    if (goes_on && size == thrift_bytes_left(reader) && size * 7 < bits_max) {
        thrift_reader_fail(reader, THRIFT_FAULT_CUT, type, size + 1, start);
    } else {
        thrift_reader_fail(reader, THRIFT_FAULT_OVERLONG, type, bits_max, start);
    }
    return 0;
}

/* One that is not of one byte. */
static uint64_t __attribute__((noinline))
take_long_varint(coil_thrift_reader *reader, uint8_t type, unsigned bits_max)
{
    const uint8_t *bytes = reader->bytes + reader->position;
    const uint32_t left = thrift_bytes_left(reader);
    const uint32_t size_max = left < COMPACT_VARINT_MAX ? left : COMPACT_VARINT_MAX;
    uint64_t value = 0;
    uint8_t byte = 0x80;
    uint32_t size = 0;

    while (byte >= 0x80 && size < size_max) {
        byte = bytes[size];
        value |= (uint64_t)(byte & 0x7f) << 7 * size;
        size++;
    }
    const bool has_more_bits =
            bits_max < 64 ? value >> bits_max != 0 : size == COMPACT_VARINT_MAX && byte > 1;
    if (coil_unlikely(byte >= 0x80 || byte == 0 || has_more_bits))
        return refuse_varint(reader, type, bits_max, size);
    reader->position += size;
    reader->end = reader->position;
    return value;
}

/*
 * A number of at most `bits_max` bits. Refused is one that has more, and one that has more bytes
 * than it needs: nobody writes those. 0 after an error.
 */
static inline uint64_t take_varint(coil_thrift_reader *reader, uint8_t type, unsigned bits_max)
{
    const uint32_t position = reader->position;

    if (coil_likely(position < reader->size && reader->bytes[position] < 0x80)) {
        reader->position = position + 1;
        reader->end = position + 1;
        return reader->bytes[position];
    }
    return take_long_varint(reader, type, bits_max);
}

/*
 * The sequence id is written as 32 bits without a sign. Those who give the number a sign first
 * write ten bytes for a negative one, and are understood.
 */
static int32_t take_seqid(coil_thrift_reader *reader)
{
    const uint32_t start = reader->position;
    const uint64_t bits = take_varint(reader, COIL_THRIFT_I32, 64);

    if (bits > UINT32_MAX && bits < (uint64_t)INT32_MIN)
        thrift_reader_fail(reader, THRIFT_FAULT_OVERLONG, COIL_THRIFT_I32, 32, start);
    return (int32_t)(uint32_t)bits;
}

static coil_thrift_text read_string(coil_thrift_reader *reader)
{
    const uint32_t start = reader->position;
    const uint32_t size = (uint32_t)take_varint(reader, COIL_THRIFT_STRING, 32);

    if (!thrift_reader_check_size(reader, start, size))
        return thrift_no_text;
    const uint8_t *bytes = take(reader, size, COIL_THRIFT_STRING);
    return (coil_thrift_text){.bytes = (const char *)bytes, .size = size};
}

static void skip_string(coil_thrift_reader *reader)
{
    (void)read_string(reader);
}

static void read_message(coil_thrift_reader *reader, coil_thrift_message *out_message)
{
    const uint32_t start = reader->position;
    const uint8_t protocol = take_byte(reader, COIL_THRIFT_STOP);
    uint8_t version = COMPACT_VERSION;

    if (reader->error == 0 && protocol == COMPACT_PROTOCOL)
        version = take_byte(reader, COIL_THRIFT_STOP);
    if (reader->error == 0 &&
            (protocol != COMPACT_PROTOCOL || (version & COMPACT_VERSION_MASK) != COMPACT_VERSION)) {
        thrift_reader_fail(reader, THRIFT_FAULT_VERSION, COIL_THRIFT_I32,
                (uint32_t)protocol << 24 | (uint32_t)version << 16, start);
    }
    const int32_t seqid = take_seqid(reader);
    *out_message = (coil_thrift_message){
            .type = (enum coil_thrift_message_type)(version >> COMPACT_TYPE_SHIFT),
            .seqid = seqid,
            .name = read_string(reader),
    };
}

static void read_struct(coil_thrift_reader *reader)
{
    reader->levels[reader->depth - 1].id = 0;
}

static uint8_t read_field(coil_thrift_reader *reader, int16_t *out_id)
{
    coil_thrift_level *level = &reader->levels[reader->depth - 1];
    const uint32_t start = reader->position;
    const uint8_t header = take_byte(reader, COIL_THRIFT_STOP);
    const uint8_t type = thrift_compact_type(header);
    int64_t id;

    if (header == COMPACT_STOP)
        return COIL_THRIFT_STOP;
    if (coil_unlikely(type == COIL_THRIFT_STOP)) {
        thrift_reader_fail(reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, header & 15, start);
        return COIL_THRIFT_STOP;
    }
    if (coil_likely(header >> 4 != 0)) {
        id = level->id + (header >> 4);
    } else {
        id = compact_unzigzag(take_varint(reader, COIL_THRIFT_STOP, 16));
    }
    if (coil_unlikely(id > INT16_MAX))
        thrift_reader_fail(reader, THRIFT_FAULT_RANGE, COIL_THRIFT_STOP, (uint32_t)id, start);
    if (coil_unlikely(reader->error != 0))
        return COIL_THRIFT_STOP;

    if (type == COIL_THRIFT_BOOL) {
        reader->has_bool = true;
        reader->value[0] = (header & 15) == COMPACT_TRUE;
    }
    level->id = (int16_t)id;
    *out_id = (int16_t)id;
    return type;
}

/* As an element a bool has a byte. */
static const uint8_t *read_bool(coil_thrift_reader *reader)
{
    if (reader->has_bool) {
        reader->has_bool = false;
    } else {
        reader->value[0] = take_byte(reader, COIL_THRIFT_BOOL) == COMPACT_TRUE;
    }
    return reader->error == 0 ? reader->value : NULL;
}

static const uint8_t *read_integer(coil_thrift_reader *reader, uint8_t type, unsigned bits_max)
{
    const int64_t value = compact_unzigzag(take_varint(reader, type, bits_max));

    if (coil_unlikely(reader->error != 0))
        return NULL;
    coil_thrift_store_64(reader->value, (uint64_t)value);
    return reader->value + sizeof(value) - bits_max / 8;
}

static const uint8_t *read_double(coil_thrift_reader *reader)
{
    const uint8_t *bytes = take(reader, sizeof(double), COIL_THRIFT_DOUBLE);
    uint64_t bits;

    if (bytes == NULL)
        return NULL;
    memcpy(&bits, bytes, sizeof(bits));
    coil_thrift_store_64(reader->value, le64toh(bits));
    return reader->value;
}

static const uint8_t *read_scalar(coil_thrift_reader *reader, uint8_t type)
{
    switch (type) {
    case COIL_THRIFT_BOOL:
        return read_bool(reader);
    case COIL_THRIFT_I16:
        return read_integer(reader, type, 16);
    case COIL_THRIFT_I32:
        return read_integer(reader, type, 32);
    case COIL_THRIFT_I64:
        return read_integer(reader, type, 64);
    case COIL_THRIFT_DOUBLE:
        return read_double(reader);
    default:
        return take(reader, 1, type);
    }
}

static void read_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16])
{
    const uint8_t *bytes = take(reader, 16, COIL_THRIFT_UUID);

    if (bytes == NULL) {
        memset(out_bytes, 0, 16);
    } else {
        memcpy(out_bytes, bytes, 16);
    }
}

static uint32_t bytes_min(uint8_t type)
{
    return thrift_compact_reading.bytes_min[type];
}

/* Refuse elements of an unknown type, but not in an empty container. */
static bool known(coil_thrift_reader *reader, uint8_t compact_type, uint32_t start)
{
    if (thrift_compact_type(compact_type) != COIL_THRIFT_STOP)
        return true;
    thrift_reader_fail(
            reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, compact_type & 15, start);
    return false;
}

static uint32_t read_list(coil_thrift_reader *reader, uint8_t container, uint8_t *out_element)
{
    const uint32_t start = reader->position;
    const uint8_t header = take_byte(reader, container);
    const uint8_t element = thrift_compact_type(header);
    uint32_t count = header >> 4;

    if (count == COMPACT_COUNT_LONG)
        count = (uint32_t)take_varint(reader, container, 32);
    count = thrift_reader_check_count(reader, container, start, count, bytes_min(element));
    if (count > 0 && !known(reader, header, start))
        count = 0;
    *out_element = reader->error == 0 ? element : (uint8_t)COIL_THRIFT_STOP;
    return count;
}

static uint32_t read_map(coil_thrift_reader *reader, uint8_t *out_key, uint8_t *out_value)
{
    const uint32_t start = reader->position;
    uint32_t count = (uint32_t)take_varint(reader, COIL_THRIFT_MAP, 32);
    const uint32_t types_start = reader->position;
    const uint8_t types = count == 0 ? 0 : take_byte(reader, COIL_THRIFT_MAP);
    const uint8_t key = thrift_compact_type(types >> 4);
    const uint8_t value = thrift_compact_type(types);

    count = thrift_reader_check_count(
            reader, COIL_THRIFT_MAP, start, count, bytes_min(key) + bytes_min(value));
    if (count > 0 &&
            (!known(reader, types >> 4, types_start) || !known(reader, types, types_start)))
        count = 0;
    *out_key = reader->error == 0 ? key : (uint8_t)COIL_THRIFT_STOP;
    *out_value = reader->error == 0 ? value : (uint8_t)COIL_THRIFT_STOP;
    return count;
}

const thrift_reading thrift_compact_reading = {
        .bytes_min = {[COIL_THRIFT_BOOL] = 1,
                [COIL_THRIFT_I8] = 1,
                [COIL_THRIFT_DOUBLE] = 8,
                [COIL_THRIFT_I16] = 1,
                [COIL_THRIFT_I32] = 1,
                [COIL_THRIFT_I64] = 1,
                [COIL_THRIFT_STRING] = 1,
                [COIL_THRIFT_STRUCT] = 1,
                [COIL_THRIFT_MAP] = 1,
                [COIL_THRIFT_SET] = 1,
                [COIL_THRIFT_LIST] = 1,
                [COIL_THRIFT_UUID] = 16},
        .message = read_message,
        .structure = read_struct,
        .field = read_field,
        .scalar = read_scalar,
        .string = read_string,
        .binary = read_string,
        .skip_string = skip_string,
        .uuid = read_uuid,
        .list = read_list,
        .map = read_map,
};
