/* SPDX-License-Identifier: MIT */
/* Values that nobody wants: without recursion, in any protocol. */
#include "thrift_private.h"

/*
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
    uint32_t container_count; /* Of `opened`. The reader counts the structs. */
};

static void open_container(struct skipped *skipped, uint8_t even, uint8_t odd, uint32_t count)
{
    COIL_CHECK(skipped->depth < COIL_THRIFT_DEPTH_MAX);
    skipped->opened[skipped->depth++] = (struct opened){.types = {even, odd}, .left = count};
    skipped->container_count++;
}

static void open_struct(coil_thrift_reader *reader, struct skipped *skipped)
{
    if (!coil_thrift_read_struct(reader))
        return;
    COIL_CHECK(skipped->depth < COIL_THRIFT_DEPTH_MAX);
    skipped->opened[skipped->depth++] = (struct opened){.is_struct = true};
}

/* Whether all values of `type` have the same size, so that many are skipped in one step. */
static bool has_one_size(const coil_thrift_reader *reader, uint8_t type)
{
    return thrift_is_binary(reader->protocol) &&
           (thrift_is_scalar(type) || type == COIL_THRIFT_UUID);
}

static void skip_list_header(coil_thrift_reader *reader, struct skipped *skipped, uint8_t container)
{
    uint8_t element;
    uint32_t count = container == COIL_THRIFT_LIST ? coil_thrift_read_list(reader, &element)
                                                   : coil_thrift_read_set(reader, &element);

    if (has_one_size(reader, element)) {
        (void)coil_thrift_reader_take(reader, count * thrift_bytes_min(element), container);
    } else {
        open_container(skipped, element, element, count);
    }
}

static void skip_map_header(coil_thrift_reader *reader, struct skipped *skipped)
{
    uint8_t key;
    uint8_t value;
    uint32_t count = coil_thrift_read_map(reader, &key, &value);

    if (has_one_size(reader, key) && has_one_size(reader, value)) {
        uint32_t pair_size = thrift_bytes_min(key) + thrift_bytes_min(value);
        (void)coil_thrift_reader_take(reader, count * pair_size, COIL_THRIFT_MAP);
    } else {
        open_container(skipped, value, key, count * 2);
    }
}

static void skip_string(coil_thrift_reader *reader)
{
    if (thrift_is_binary(reader->protocol)) {
        (void)coil_thrift_read_string(reader);
    } else {
        thrift_reading_of(reader)->skip_string(reader);
    }
}

/* Skip a value, or open it and leave what is inside to the caller. */
static void skip_one(coil_thrift_reader *reader, struct skipped *skipped, uint8_t type)
{
    const uint32_t depth_max = reader->limits->depth_max;
    uint8_t uuid[16];

    if (thrift_bytes_min(type) == 0) {
        thrift_reader_fail(
                reader, THRIFT_FAULT_UNKNOWN_TYPE, COIL_THRIFT_STOP, type, reader->position);
    } else if (thrift_is_scalar(type)) {
        (void)coil_thrift_reader_take(reader, thrift_bytes_min(type), type);
    } else if (type == COIL_THRIFT_UUID) {
        coil_thrift_read_uuid(reader, uuid);
    } else if (type == COIL_THRIFT_STRING) {
        skip_string(reader);
    } else if (reader->depth + skipped->container_count >= depth_max) {
        thrift_reader_fail(reader, THRIFT_FAULT_DEPTH, type, depth_max, reader->position);
    } else if (type == COIL_THRIFT_STRUCT) {
        open_struct(reader, skipped);
    } else if (type == COIL_THRIFT_MAP) {
        skip_map_header(reader, skipped);
    } else {
        skip_list_header(reader, skipped, type);
    }
}

/* The type of the next value inside `opened`, or STOP at its end. */
static uint8_t next_type(coil_thrift_reader *reader, struct opened *opened)
{
    coil_thrift_field field;

    if (opened->is_struct) {
        if (!coil_thrift_read_field(reader, &field))
            return COIL_THRIFT_STOP;
        reader->unread = COIL_THRIFT_STOP;
        return field.type;
    }
    if (opened->left == 0)
        return COIL_THRIFT_STOP;
    opened->left--;
    return opened->types[opened->left & 1];
}

static void skip_opened(coil_thrift_reader *reader, struct skipped *skipped)
{
    while (skipped->depth > 0 && reader->error == 0) {
        struct opened *opened = &skipped->opened[skipped->depth - 1];
        const uint8_t type = next_type(reader, opened);

        if (type != COIL_THRIFT_STOP) {
            skip_one(reader, skipped, type);
        } else {
            skipped->container_count -= !opened->is_struct;
            skipped->depth--;
        }
    }
}

void coil_thrift_skip(coil_thrift_reader *reader, uint8_t type)
{
    struct skipped skipped;

    skipped.depth = 0;
    skipped.container_count = 0;
    skip_one(reader, &skipped, type);
    skip_opened(reader, &skipped);
}

void thrift_skip_elements(coil_thrift_reader *reader, uint8_t even, uint8_t odd, uint32_t count)
{
    struct skipped skipped;

    skipped.depth = 0;
    skipped.container_count = 0;
    open_container(&skipped, even, odd, count);
    skip_opened(reader, &skipped);
}
