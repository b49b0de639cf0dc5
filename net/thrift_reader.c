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

static uint32_t minimal_size(uint8_t type)
{
    return type < sizeof(bytes_min) ? bytes_min[type] : 0;
}

static uint32_t bytes_left(const coil_thrift_reader *reader)
{
    return reader->size - reader->position;
}

/*
 * Keep the first fault, in facts rather than words, and take all that is left: from now on there
 * is nothing to take, so that no other call has to ask for the error.
 */
static void __attribute__((cold)) fail(coil_thrift_reader *reader, enum thrift_fault fault,
        uint8_t type, uint32_t value, uint32_t offset)
{
    if (reader->error == 0) {
        reader->error = fault_errors[fault];
        reader->fault = (uint8_t)fault;
        reader->fault_type = type;
        reader->fault_value = value;
        reader->fault_offset = offset;
    }
    reader->position = reader->size;
    reader->unread = COIL_THRIFT_STOP;
}

const uint8_t *coil_thrift_reader_cut(coil_thrift_reader *reader, uint32_t size, uint8_t type)
{
    fail(reader, THRIFT_FAULT_CUT, type, size, reader->position);
    return NULL;
}

void coil_thrift_reader_miss(coil_thrift_reader *reader, int16_t id)
{
    fail(reader, THRIFT_FAULT_MISSING, COIL_THRIFT_STRUCT, (uint32_t)id, reader->position);
}

void coil_thrift_reader_refuse_union(coil_thrift_reader *reader, uint32_t field_count)
{
    fail(reader, THRIFT_FAULT_UNION, COIL_THRIFT_STRUCT, field_count, reader->position);
}

void coil_thrift_reader_run_out(
        coil_thrift_reader *reader, bool is_limit, uint8_t type, uint64_t size_bytes)
{
    const uint32_t shown_bytes = size_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)size_bytes;

    fail(reader, is_limit ? THRIFT_FAULT_ARENA_LIMIT : THRIFT_FAULT_NO_MEMORY, type, shown_bytes,
            reader->position);
}

void coil_thrift_reader_init(coil_thrift_reader *reader, const void *bytes, uint32_t size,
        const coil_thrift_limits *limits)
{
    if (limits == NULL)
        limits = &coil_thrift_limits_default;
    COIL_CHECK(limits->depth_max > 0);
    COIL_CHECK(limits->depth_max <= COIL_THRIFT_DEPTH_MAX);

    *reader = (coil_thrift_reader){.bytes = bytes, .size = size, .limits = limits};
}

int coil_thrift_reader_finish(coil_thrift_reader *reader)
{
    const uint32_t left = bytes_left(reader);
    if (left != 0)
        fail(reader, THRIFT_FAULT_LEFT_OVER, COIL_THRIFT_STOP, left, reader->position);
    if (reader->depth > 0) /* Keeps an earlier error, after which structs stay open. */
        coil_thrift_reader_cut(reader, 1, COIL_THRIFT_STOP);
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
        fail(reader, THRIFT_FAULT_VERSION, COIL_THRIFT_I32, word, start);
    return (uint8_t)word;
}

bool coil_thrift_read_message(coil_thrift_reader *reader, coil_thrift_message *out_message)
{
    uint8_t type;
    coil_thrift_text name;
    uint32_t start = reader->position;
    /* With a version the first bit is set; without, a size begins here, which has it clear. */
    bool old = bytes_left(reader) > 0 && reader->bytes[reader->position] < 0x80;

    if (old) {
        name = coil_thrift_read_string(reader);
        type = (uint8_t)coil_thrift_read_i8(reader);
    } else {
        type = read_version(reader);
        name = coil_thrift_read_string(reader);
    }
    int32_t seqid = coil_thrift_read_i32(reader);

    if (reader->error == 0 && (type < COIL_THRIFT_CALL || type > COIL_THRIFT_ONEWAY))
        fail(reader, THRIFT_FAULT_MESSAGE_TYPE, COIL_THRIFT_STOP, type, start);
    if (!coil_thrift_read_struct(reader))
        return false;

    *out_message = (coil_thrift_message){
            .name = name,
            .type = (enum coil_thrift_message_type)type,
            .seqid = seqid,
            .old = old,
    };
    return true;
}

bool coil_thrift_read_struct(coil_thrift_reader *reader)
{
    if (reader->error != 0)
        return false;
    if (reader->depth >= reader->limits->depth_max) {
        fail(reader, THRIFT_FAULT_DEPTH, COIL_THRIFT_STRUCT, reader->limits->depth_max,
                reader->position);
        return false;
    }
    reader->depth++;
    return true;
}

/* Take the header of a field, return its type; STOP at the end of the struct or after an error. */
static uint8_t read_field_header(coil_thrift_reader *reader, int16_t *out_id)
{
    uint32_t start = reader->position;
    const uint8_t *type = coil_thrift_reader_take(reader, 1, COIL_THRIFT_STOP);

    if (type == NULL || *type == COIL_THRIFT_STOP)
        return COIL_THRIFT_STOP;
    if (minimal_size(*type) == 0) {
        fail(reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, *type, start);
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
    uint8_t type = read_field_header(reader, &id);
    if (reader->error != 0)
        return false;

    COIL_CHECK(reader->depth > 0);
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

coil_thrift_text coil_thrift_read_string(coil_thrift_reader *reader)
{
    coil_thrift_text empty = {.bytes = "", .size = 0};
    uint32_t start = reader->position;
    uint32_t size = (uint32_t)coil_thrift_read_i32(reader);

    if (size > INT32_MAX) {
        fail(reader, THRIFT_FAULT_NEGATIVE, COIL_THRIFT_STRING, size, start);
    } else if (size > reader->limits->string_max) {
        fail(reader, THRIFT_FAULT_OVER_LIMIT, COIL_THRIFT_STRING, size, start);
    } else if (size > bytes_left(reader)) {
        fail(reader, THRIFT_FAULT_CUT, COIL_THRIFT_STRING, size, start);
    }
    if (reader->error != 0)
        return empty;

    const uint8_t *bytes = coil_thrift_reader_take(reader, size, COIL_THRIFT_STRING);
    return (coil_thrift_text){.bytes = (const char *)bytes, .size = size};
}

void coil_thrift_read_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16])
{
    const uint8_t *bytes = coil_thrift_reader_take(reader, 16, COIL_THRIFT_UUID);

    if (bytes == NULL) {
        memset(out_bytes, 0, 16);
    } else {
        memcpy(out_bytes, bytes, 16);
    }
}

/* Take the count of a `container` that began at `start`, of elements of element_size or more. */
static uint32_t read_count(
        coil_thrift_reader *reader, uint8_t container, uint32_t start, uint32_t element_size)
{
    uint32_t count = (uint32_t)coil_thrift_read_i32(reader);

    if (count > INT32_MAX) {
        fail(reader, THRIFT_FAULT_NEGATIVE, container, count, start);
    } else if (count > reader->limits->container_max) {
        fail(reader, THRIFT_FAULT_OVER_LIMIT, container, count, start);
    } else if ((uint64_t)count * element_size > bytes_left(reader)) {
        fail(reader, THRIFT_FAULT_CUT, container, count, start);
    }
    return reader->error == 0 ? count : 0;
}

/*
 * Refuse elements of an unknown type. Not in an empty container, though: peers that translate from
 * the compact protocol, which has no types there, write whatever they like.
 */
static bool known(coil_thrift_reader *reader, uint8_t type, uint32_t offset)
{
    if (minimal_size(type) != 0)
        return true;
    fail(reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, type, offset);
    return false;
}

/* A list or a set: the type of the elements, and the count. */
static uint32_t read_sequence(coil_thrift_reader *reader, uint8_t container, uint8_t *out_element)
{
    uint32_t start = reader->position;
    uint8_t element = (uint8_t)coil_thrift_read_i8(reader);
    uint32_t count = read_count(reader, container, start, minimal_size(element));

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
    uint32_t start = reader->position;
    uint8_t key = (uint8_t)coil_thrift_read_i8(reader);
    uint8_t value = (uint8_t)coil_thrift_read_i8(reader);
    uint32_t pair_size = minimal_size(key) + minimal_size(value);
    uint32_t count = read_count(reader, COIL_THRIFT_MAP, start, pair_size);

    if (count > 0 && (!known(reader, key, start) || !known(reader, value, start + 1)))
        count = 0;
    *out_key = reader->error == 0 ? key : (uint8_t)COIL_THRIFT_STOP;
    *out_value = reader->error == 0 ? value : (uint8_t)COIL_THRIFT_STOP;
    return count;
}

/*
 * Skipping
 * --------
 * A value inside which we are. Its `types` alternate: the last element, when none is left, is of
 * types[0]. So the elements of a map, each key before its value, are {value, key}.
 */
struct opened {
    bool is_struct;
    uint8_t types[2];
    uint32_t left; /* Elements of a container; keys and values of a map count separately. */
};

struct skipped {
    struct opened opened[COIL_THRIFT_DEPTH_MAX];
    uint32_t depth;
};

static void open_container(struct skipped *skipped, uint8_t even, uint8_t odd, uint32_t count)
{
    COIL_CHECK(skipped->depth < COIL_THRIFT_DEPTH_MAX);
    skipped->opened[skipped->depth++] = (struct opened){.types = {even, odd}, .left = count};
}

static void open_struct(struct skipped *skipped)
{
    COIL_CHECK(skipped->depth < COIL_THRIFT_DEPTH_MAX);
    skipped->opened[skipped->depth++] = (struct opened){.is_struct = true};
}

static bool is_scalar(uint8_t type)
{
    return type < COIL_THRIFT_STRING || type == COIL_THRIFT_UUID;
}

/* The header of a list or set. Elements of one size are skipped in one step. */
static void skip_sequence_header(
        coil_thrift_reader *reader, struct skipped *skipped, uint8_t container)
{
    uint8_t element;
    uint32_t count = read_sequence(reader, container, &element);

    if (is_scalar(element)) {
        (void)coil_thrift_reader_take(reader, count * minimal_size(element), container);
    } else {
        open_container(skipped, element, element, count);
    }
}

static void skip_map_header(coil_thrift_reader *reader, struct skipped *skipped)
{
    uint8_t key;
    uint8_t value;
    uint32_t count = coil_thrift_read_map(reader, &key, &value);

    if (is_scalar(key) && is_scalar(value)) {
        uint32_t pair_size = minimal_size(key) + minimal_size(value);
        (void)coil_thrift_reader_take(reader, count * pair_size, COIL_THRIFT_MAP);
    } else {
        open_container(skipped, value, key, count * 2);
    }
}

/* Skip a value, or open it and leave what is inside to the caller. */
static void skip_one(coil_thrift_reader *reader, struct skipped *skipped, uint8_t type)
{
    uint32_t depth_max = reader->limits->depth_max;

    if (minimal_size(type) == 0) {
        fail(reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, type, reader->position);
    } else if (is_scalar(type)) {
        (void)coil_thrift_reader_take(reader, minimal_size(type), type);
    } else if (type == COIL_THRIFT_STRING) {
        (void)coil_thrift_read_string(reader);
    } else if (reader->depth + skipped->depth >= depth_max) {
        fail(reader, THRIFT_FAULT_DEPTH, type, depth_max, reader->position);
    } else if (type == COIL_THRIFT_STRUCT) {
        open_struct(skipped);
    } else if (type == COIL_THRIFT_MAP) {
        skip_map_header(reader, skipped);
    } else {
        skip_sequence_header(reader, skipped, type);
    }
}

/* The type of the next value inside `opened`, or STOP at its end. */
static uint8_t next_type(coil_thrift_reader *reader, struct opened *opened)
{
    int16_t id;

    if (opened->is_struct)
        return read_field_header(reader, &id);
    if (opened->left == 0)
        return COIL_THRIFT_STOP;
    opened->left--;
    return opened->types[opened->left & 1];
}

static void skip_opened(coil_thrift_reader *reader, struct skipped *skipped)
{
    while (skipped->depth > 0 && reader->error == 0) {
        uint8_t type = next_type(reader, &skipped->opened[skipped->depth - 1]);

        if (type == COIL_THRIFT_STOP) {
            skipped->depth--;
        } else {
            skip_one(reader, skipped, type);
        }
    }
}

void coil_thrift_skip(coil_thrift_reader *reader, uint8_t type)
{
    struct skipped skipped;

    skipped.depth = 0;
    skip_one(reader, &skipped, type);
    skip_opened(reader, &skipped);
}

/* Skip `count` elements, which alternate between two types as in struct opened. */
static void skip_elements(coil_thrift_reader *reader, uint8_t even, uint8_t odd, uint32_t count)
{
    struct skipped skipped;

    skipped.depth = 0;
    open_container(&skipped, even, odd, count);
    skip_opened(reader, &skipped);
}

static bool read_sequence_of(
        coil_thrift_reader *reader, uint8_t container, uint8_t element, uint32_t *out_count)
{
    uint8_t found;
    uint32_t count = read_sequence(reader, container, &found);

    if (count > 0 && found != element) {
        skip_elements(reader, found, found, count);
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
        skip_elements(reader, found_value, found_key, count * 2);
        return false;
    }
    if (reader->error != 0)
        return false;
    *out_count = count;
    return true;
}
