/* SPDX-License-Identifier: MIT */
#include <coil/thrift.h>

#include "thrift_private.h"

#include <errno.h>

static const int fault_errors[] = {
        [THRIFT_FAULT_NONE] = 0,
        [THRIFT_FAULT_CUT] = -ENODATA,
        [THRIFT_FAULT_NEGATIVE] = -EBADMSG,
        [THRIFT_FAULT_OVER_LIMIT] = -EMSGSIZE,
        [THRIFT_FAULT_UNKNOWN_TYPE] = -EBADMSG,
        [THRIFT_FAULT_VERSION] = -EBADMSG,
        [THRIFT_FAULT_MESSAGE_TYPE] = -EBADMSG,
        [THRIFT_FAULT_DEPTH] = -ELOOP,
        [THRIFT_FAULT_LEFT_OVER] = -EBADMSG,
        [THRIFT_FAULT_MISSING] = -EBADMSG,
        [THRIFT_FAULT_UNION] = -EBADMSG,
        [THRIFT_FAULT_ARENA_LIMIT] = -ENOBUFS,
        [THRIFT_FAULT_NO_MEMORY] = -ENOMEM,
        [THRIFT_FAULT_NO_ARENA] = -ENOBUFS,
        [THRIFT_FAULT_OVERLONG] = -EBADMSG,
        [THRIFT_FAULT_RANGE] = -EBADMSG,
        [THRIFT_FAULT_SYNTAX] = -EBADMSG,
        [THRIFT_FAULT_NUMBER] = -EBADMSG,
        [THRIFT_FAULT_TYPE_NAME] = -EBADMSG,
        [THRIFT_FAULT_ESCAPE] = -EBADMSG,
        [THRIFT_FAULT_BASE64] = -EBADMSG,
        [THRIFT_FAULT_ENDS] = -ENODATA,
};

/*
 * The fewest bytes that a value of each type takes; 0 for what is no type. The scalars take exactly
 * that. No legal value takes 0 bytes, which is what bounds counts: an element of the type that was
 * once "void" (1) would, and is refused like any unknown type.
 */
static const uint8_t bytes_min[] = {
        [COIL_THRIFT_BOOL] = 1,
        [COIL_THRIFT_I8] = 1,
        [COIL_THRIFT_DOUBLE] = 8,
        [COIL_THRIFT_I16] = 2,
        [COIL_THRIFT_I32] = 4,
        [COIL_THRIFT_I64] = 8,
        [COIL_THRIFT_STRING] = 4,
        [COIL_THRIFT_STRUCT] = 1,
        [COIL_THRIFT_MAP] = 6,
        [COIL_THRIFT_SET] = 5,
        [COIL_THRIFT_LIST] = 5,
        [COIL_THRIFT_UUID] = 16,
};

uint32_t thrift_bytes_min(uint8_t type)
{
    return type < sizeof(bytes_min) ? bytes_min[type] : 0;
}

void thrift_reader_fail(coil_thrift_reader *reader, enum thrift_fault fault, uint8_t type,
        uint32_t value, uint32_t offset)
{
    if (reader->error == 0) {
        reader->error = fault_errors[fault];
        reader->fault = (uint8_t)fault;
        reader->fault_type = type;
        reader->fault_value = value;
        reader->fault_offset = offset;
    }
    reader->position = reader->size;
    reader->end = reader->size;
    reader->unread = COIL_THRIFT_STOP;
}

const uint8_t *coil_thrift_reader_take_otherwise(
        coil_thrift_reader *reader, uint32_t size, uint8_t type)
{
    if (!thrift_is_binary(reader->protocol))
        return thrift_reading_of(reader)->scalar(reader, type);
    thrift_reader_fail(reader, THRIFT_FAULT_CUT, type, size, reader->position);
    return NULL;
}

void coil_thrift_reader_miss(coil_thrift_reader *reader, int16_t id)
{
    thrift_reader_fail(
            reader, THRIFT_FAULT_MISSING, COIL_THRIFT_STRUCT, (uint32_t)id, reader->position);
}

void coil_thrift_reader_refuse_union(coil_thrift_reader *reader, uint32_t field_count)
{
    thrift_reader_fail(
            reader, THRIFT_FAULT_UNION, COIL_THRIFT_STRUCT, field_count, reader->position);
}

void thrift_reader_run_out(
        coil_thrift_reader *reader, const coil_arena *arena, uint8_t type, uint64_t size_bytes)
{
    const uint64_t gap_bytes_max = 8;
    const uint32_t shown_bytes = size_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)size_bytes;
    enum thrift_fault fault = THRIFT_FAULT_NO_MEMORY;

    if (arena == NULL) {
        fault = THRIFT_FAULT_NO_ARENA;
    } else if (size_bytes + gap_bytes_max > arena->limit_bytes - coil_arena_taken(arena)) {
        fault = THRIFT_FAULT_ARENA_LIMIT;
    }
    thrift_reader_fail(reader, fault, type, shown_bytes, reader->position);
}

void coil_thrift_reader_init(coil_thrift_reader *reader, const void *bytes, uint32_t size,
        const coil_thrift_limits *limits)
{
    coil_thrift_reader_init_as(reader, COIL_THRIFT_PROTOCOL_BINARY, bytes, size, limits, NULL);
}

void coil_thrift_reader_init_as(coil_thrift_reader *reader, enum coil_thrift_protocol protocol,
        const void *bytes, uint32_t size, const coil_thrift_limits *limits, coil_arena *arena)
{
    if (limits == NULL)
        limits = &coil_thrift_limits_default;
    COIL_CHECK(limits->depth_max > 0);
    COIL_CHECK(limits->depth_max <= COIL_THRIFT_DEPTH_MAX);

    COIL_CHECK(protocol <= COIL_THRIFT_PROTOCOL_JSON);

    reader->bytes = bytes == NULL ? (const uint8_t *)"" : bytes; /* A place to count from. */
    reader->size = size;
    reader->position = 0;
    reader->error = 0;
    reader->end = protocol == COIL_THRIFT_PROTOCOL_BINARY ? size : 0;
    reader->depth = 0;
    reader->unread = COIL_THRIFT_STOP;
    reader->protocol = (uint8_t)protocol;
    reader->fault = THRIFT_FAULT_NONE;
    reader->fault_type = COIL_THRIFT_STOP;
    reader->fault_offset = 0;
    reader->fault_value = 0;
    reader->limits = limits;
    reader->arena = arena;
    reader->has_bool = false;
    reader->level_count = 0;
}

int coil_thrift_reader_finish(coil_thrift_reader *reader)
{
    const uint32_t left = thrift_bytes_left(reader);
    if (left != 0) {
        thrift_reader_fail(
                reader, THRIFT_FAULT_LEFT_OVER, COIL_THRIFT_STOP, left, reader->position);
    }
    if (reader->depth > 0) /* Keeps an earlier error, after which structs stay open. */
        thrift_reader_fail(reader, THRIFT_FAULT_CUT, COIL_THRIFT_STOP, 1, reader->position);
    return reader->error;
}

/* Begin a message with a version and return its type; 0 after an error. */
static uint8_t read_version(coil_thrift_reader *reader)
{
    const uint32_t version_mask = 0xffff0000;
    const uint32_t version_1 = 0x80010000;
    uint32_t start = reader->position;
    uint32_t word = (uint32_t)coil_thrift_read_i32(reader);

    if (reader->error == 0 && (word & version_mask) != version_1)
        thrift_reader_fail(reader, THRIFT_FAULT_VERSION, COIL_THRIFT_I32, word, start);
    return (uint8_t)word;
}

/* With a version the first bit is set; without, a size begins here, which has it clear. */
static bool is_old(const coil_thrift_reader *reader)
{
    return thrift_bytes_left(reader) > 0 && reader->bytes[reader->position] < 0x80;
}

/* A message with a version, all of which is there and within limits, as they mostly are. */
static inline bool take_usual_message(coil_thrift_reader *reader, coil_thrift_message *out_message)
{
    enum { VERSION_BYTES = 4, SIZE_BYTES = 4, SEQID_BYTES = 4 };
    const uint32_t left = thrift_bytes_left(reader);
    const uint8_t *bytes = reader->bytes + reader->position;

    if (left < VERSION_BYTES + SIZE_BYTES + SEQID_BYTES || bytes[0] != 0x80 || bytes[1] != 0x01)
        return false;
    const uint32_t size = thrift_load_32(bytes + VERSION_BYTES);
    if (size > left - (VERSION_BYTES + SIZE_BYTES + SEQID_BYTES) || size > INT32_MAX ||
            size > reader->limits->string_max)
        return false;
    bytes += VERSION_BYTES + SIZE_BYTES;
    *out_message = (coil_thrift_message){
            .name = {(const char *)bytes, size},
            .type = (enum coil_thrift_message_type)bytes[-1 - SIZE_BYTES],
            .seqid = (int32_t)thrift_load_32(bytes + size),
    };
    reader->position += VERSION_BYTES + SIZE_BYTES + size + SEQID_BYTES;
    return true;
}

static void read_binary_message(coil_thrift_reader *reader, coil_thrift_message *out_message)
{
    uint8_t type;
    coil_thrift_text name;
    bool old = is_old(reader);

    if (old) {
        name = coil_thrift_read_string(reader);
        type = (uint8_t)coil_thrift_read_i8(reader);
    } else {
        type = read_version(reader);
        name = coil_thrift_read_string(reader);
    }
    *out_message = (coil_thrift_message){
            .name = name,
            .type = (enum coil_thrift_message_type)type,
            .seqid = coil_thrift_read_i32(reader),
            .old = old,
    };
}

bool coil_thrift_read_message(coil_thrift_reader *reader, coil_thrift_message *out_message)
{
    const uint32_t start = reader->position;
    coil_thrift_message message;

    if (thrift_is_binary(reader->protocol)) {
        if (coil_unlikely(!take_usual_message(reader, &message)))
            read_binary_message(reader, &message);
    } else {
        thrift_reading_of(reader)->message(reader, &message);
    }
    if (reader->error == 0 &&
            (message.type < COIL_THRIFT_CALL || message.type > COIL_THRIFT_ONEWAY)) {
        thrift_reader_fail(
                reader, THRIFT_FAULT_MESSAGE_TYPE, COIL_THRIFT_STOP, message.type, start);
    }
    if (!coil_thrift_read_struct(reader))
        return false;
    *out_message = message;
    return true;
}

bool coil_thrift_read_struct(coil_thrift_reader *reader)
{
    if (reader->error != 0)
        return false;
    if (reader->depth >= reader->limits->depth_max) {
        thrift_reader_fail(reader, THRIFT_FAULT_DEPTH, COIL_THRIFT_STRUCT,
                reader->limits->depth_max, reader->position);
        return false;
    }
    reader->depth++;
    if (!thrift_is_binary(reader->protocol)) {
        thrift_reading_of(reader)->structure(reader);
        return reader->error == 0;
    }
    return true;
}

/* Take the header of a field, return its type; STOP at the end of the struct or after an error. */
static uint8_t read_field_header(coil_thrift_reader *reader, int16_t *out_id)
{
    uint32_t start = reader->position;
    const uint8_t *type = coil_thrift_reader_take(reader, 1, COIL_THRIFT_STOP);

    if (type == NULL || *type == COIL_THRIFT_STOP)
        return COIL_THRIFT_STOP;
    if (thrift_bytes_min(*type) == 0) {
        thrift_reader_fail(reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, *type, start);
        return COIL_THRIFT_STOP;
    }

    *out_id = coil_thrift_read_i16(reader);
    return reader->error == 0 ? *type : (uint8_t)COIL_THRIFT_STOP;
}

bool coil_thrift_read_field(coil_thrift_reader *reader, coil_thrift_field *out_field)
{
    if (reader->unread != COIL_THRIFT_STOP) {
        uint8_t type = reader->unread;
        reader->unread = COIL_THRIFT_STOP;
        coil_thrift_skip(reader, type);
    }

    int16_t id = 0;
    if (reader->error != 0)
        return false;
    COIL_CHECK(reader->depth > 0);
    uint8_t type = thrift_is_binary(reader->protocol)
                           ? read_field_header(reader, &id)
                           : thrift_reading_of(reader)->field(reader, &id);
    if (reader->error != 0)
        return false;

    if (type == COIL_THRIFT_STOP) {
        reader->depth--;
        return false;
    }

    out_field->id = id;
    out_field->type = type;
    reader->unread = type;
    return true;
}

void coil_thrift_skip_fields(coil_thrift_reader *reader)
{
    coil_thrift_field field;
    while (coil_thrift_read_field(reader, &field))
        ;
}

void thrift_reader_refuse_size(
        coil_thrift_reader *reader, uint8_t type, uint32_t start, uint32_t size, uint32_t limit)
{
    enum thrift_fault fault = THRIFT_FAULT_CUT;

    if (size > INT32_MAX) {
        fault = THRIFT_FAULT_NEGATIVE;
    } else if (size > limit) {
        fault = THRIFT_FAULT_OVER_LIMIT;
    }
    thrift_reader_fail(reader, fault, type, size, start);
}

/* Not binary, or not all there, or too much. */
static COIL_NOINLINE coil_thrift_text read_string_otherwise(coil_thrift_reader *reader)
{
    if (!thrift_is_binary(reader->protocol))
        return thrift_reading_of(reader)->string(reader);

    uint32_t start = reader->position;
    uint32_t size = (uint32_t)coil_thrift_read_i32(reader);
    if (!thrift_reader_check_size(reader, start, size))
        return thrift_no_text;

    const uint8_t *bytes = coil_thrift_reader_take(reader, size, COIL_THRIFT_STRING);
    return (coil_thrift_text){.bytes = (const char *)bytes, .size = size};
}

coil_thrift_text coil_thrift_read_string(coil_thrift_reader *reader)
{
    const uint32_t left = reader->end - reader->position;
    const uint8_t *bytes = reader->bytes + reader->position;

    COIL_CHECK_SLOW(reader->unread == COIL_THRIFT_STOP);
    if (coil_unlikely(left < sizeof(uint32_t)))
        return read_string_otherwise(reader);
    const uint32_t size = thrift_load_32(bytes);
    if (coil_unlikely(size > left - sizeof(size) || size > INT32_MAX ||
                      size > reader->limits->string_max))
        return read_string_otherwise(reader);
    reader->position += (uint32_t)sizeof(size) + size;
    return (coil_thrift_text){.bytes = (const char *)bytes + sizeof(size), .size = size};
}

coil_thrift_text coil_thrift_read_binary(coil_thrift_reader *reader)
{
    if (thrift_is_binary(reader->protocol))
        return coil_thrift_read_string(reader);
    return thrift_reading_of(reader)->binary(reader);
}

void coil_thrift_read_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16])
{
    if (!thrift_is_binary(reader->protocol)) {
        thrift_reading_of(reader)->uuid(reader, out_bytes);
        return;
    }
    const uint8_t *bytes = coil_thrift_reader_take(reader, 16, COIL_THRIFT_UUID);

    if (bytes == NULL) {
        memset(out_bytes, 0, 16);
    } else {
        memcpy(out_bytes, bytes, 16);
    }
}

/*
 * Refuse elements of an unknown type. Not in an empty container, though: peers that translate from
 * the compact protocol, which has no types there, write whatever they like.
 */
static bool known(coil_thrift_reader *reader, uint8_t type, uint32_t offset)
{
    if (thrift_bytes_min(type) != 0)
        return true;
    thrift_reader_fail(reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, type, offset);
    return false;
}

/* A list or a set: the type of the elements, and the count. */
static uint32_t read_sequence(coil_thrift_reader *reader, uint8_t container, uint8_t *out_element)
{
    if (!thrift_is_binary(reader->protocol))
        return thrift_reading_of(reader)->list(reader, container, out_element);

    uint32_t start = reader->position;
    uint8_t element = (uint8_t)coil_thrift_read_i8(reader);
    uint32_t count = thrift_reader_check_count(reader, container, start,
            (uint32_t)coil_thrift_read_i32(reader), thrift_bytes_min(element));

    if (count > 0 && !known(reader, element, start))
        count = 0;
    *out_element = reader->error == 0 ? element : (uint8_t)COIL_THRIFT_STOP;
    return count;
}

uint32_t coil_thrift_read_list(coil_thrift_reader *reader, uint8_t *out_element)
{
    return read_sequence(reader, COIL_THRIFT_LIST, out_element);
}

uint32_t coil_thrift_read_set(coil_thrift_reader *reader, uint8_t *out_element)
{
    return read_sequence(reader, COIL_THRIFT_SET, out_element);
}

uint32_t coil_thrift_read_map(coil_thrift_reader *reader, uint8_t *out_key, uint8_t *out_value)
{
    if (!thrift_is_binary(reader->protocol))
        return thrift_reading_of(reader)->map(reader, out_key, out_value);

    uint32_t start = reader->position;
    uint8_t key = (uint8_t)coil_thrift_read_i8(reader);
    uint8_t value = (uint8_t)coil_thrift_read_i8(reader);
    uint32_t pair_size = thrift_bytes_min(key) + thrift_bytes_min(value);
    uint32_t count = thrift_reader_check_count(
            reader, COIL_THRIFT_MAP, start, (uint32_t)coil_thrift_read_i32(reader), pair_size);

    if (count > 0 && (!known(reader, key, start) || !known(reader, value, start + 1)))
        count = 0;
    *out_key = reader->error == 0 ? key : (uint8_t)COIL_THRIFT_STOP;
    *out_value = reader->error == 0 ? value : (uint8_t)COIL_THRIFT_STOP;
    return count;
}

static bool read_sequence_of(
        coil_thrift_reader *reader, uint8_t container, uint8_t element, uint32_t *out_count)
{
    uint8_t found;
    uint32_t count = read_sequence(reader, container, &found);

    if (count > 0 && found != element) {
        thrift_skip_elements(reader, found, found, count);
        return false;
    }
    if (reader->error != 0)
        return false;
    *out_count = count;
    return true;
}

bool coil_thrift_read_list_of(coil_thrift_reader *reader, uint8_t element, uint32_t *out_count)
{
    return read_sequence_of(reader, COIL_THRIFT_LIST, element, out_count);
}

bool coil_thrift_read_set_of(coil_thrift_reader *reader, uint8_t element, uint32_t *out_count)
{
    return read_sequence_of(reader, COIL_THRIFT_SET, element, out_count);
}

bool coil_thrift_read_map_of(
        coil_thrift_reader *reader, uint8_t key, uint8_t value, uint32_t *out_count)
{
    uint8_t found_key;
    uint8_t found_value;
    uint32_t count = coil_thrift_read_map(reader, &found_key, &found_value);

    if (count > 0 && (found_key != key || found_value != value)) {
        thrift_skip_elements(reader, found_value, found_key, count * 2);
        return false;
    }
    if (reader->error != 0)
        return false;
    *out_count = count;
    return true;
}
