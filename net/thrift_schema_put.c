/* SPDX-License-Identifier: MIT */
/*
 * Values of any type into bytes, in the binary and the compact protocol: what thrift_schema_write.c
 * does for any protocol, without a call for each value. The place where the next byte goes is
 * handed from function to function; it is NULL after an error, which the writer keeps.
 */
#include "thrift_compact.h"
#include "thrift_private.h"
#include "thrift_schema_private.h"

#include <errno.h>

enum { SMALL_BYTES = 16 }; /* A field's header and a scalar have less. */

typedef struct putter {
    coil_thrift_writer *writer;
    uint8_t *end;   /* Of the room that there is. */
    uint32_t depth; /* Of structs. */
} putter;

/* Everything is there twice, once for each protocol; which one is known where it is compiled. */
#define EACH static inline __attribute__((always_inline))

static uint8_t *put_binary(
        putter *it, uint8_t *at, const coil_thrift_type_schema *type, const void *value);
static uint8_t *put_compact(
        putter *it, uint8_t *at, const coil_thrift_type_schema *type, const void *value);

EACH uint8_t *put_value(bool compact, putter *it, uint8_t *at, const coil_thrift_type_schema *type,
        const void *value)
{
    return compact ? put_compact(it, at, type, value) : put_binary(it, at, type, value);
}

/*
 * Room for so many bytes, perhaps elsewhere. What is rare, here and below, is in functions of its
 * own: others need no registers for it.
 */
static uint8_t *__attribute__((noinline, cold))
make_room(putter *it, const uint8_t *at, uint32_t size)
{
    coil_thrift_writer *writer = it->writer;

    writer->size = (uint32_t)(at - writer->bytes);
    if (thrift_writer_extend(writer, size) == NULL)
        return NULL;
    writer->size -= size;
    it->end = writer->bytes + writer->room_end;
    return writer->bytes + writer->size;
}

static inline uint8_t *room(putter *it, uint8_t *at, uint32_t size)
{
    return coil_likely((size_t)(it->end - at) >= size) ? at : make_room(it, at, size);
}

/* Most strings are short: as two words that overlap they cost less than a call. */
static inline void copy(uint8_t *to, const uint8_t *from, uint32_t size)
{
    uint64_t words[2];
    uint32_t halves[2];

    if (size > sizeof(words)) {
        memcpy(to, from, size);
    } else if (size >= sizeof(words[0])) {
        memcpy(&words[0], from, sizeof(words[0]));
        memcpy(&words[1], from + size - sizeof(words[1]), sizeof(words[1]));
        memcpy(to, &words[0], sizeof(words[0]));
        memcpy(to + size - sizeof(words[1]), &words[1], sizeof(words[1]));
    } else if (size >= sizeof(halves[0])) {
        memcpy(&halves[0], from, sizeof(halves[0]));
        memcpy(&halves[1], from + size - sizeof(halves[1]), sizeof(halves[1]));
        memcpy(to, &halves[0], sizeof(halves[0]));
        memcpy(to + size - sizeof(halves[1]), &halves[1], sizeof(halves[1]));
    } else {
        for (uint32_t i = 0; i < size; i++)
            to[i] = from[i];
    }
}

static inline uint8_t *put_bytes(putter *it, uint8_t *at, const void *bytes, uint32_t size)
{
    at = room(it, at, size);
    if (coil_unlikely(at == NULL))
        return NULL;
    copy(at, bytes, size);
    return at + size;
}

/* Scalars
 * ------- */

EACH uint8_t *store_integer(bool compact, uint8_t *at, int64_t value, uint32_t width)
{
    const uint64_t big_endian = htobe64((uint64_t)value << (64 - 8 * width));

    if (compact)
        return at + compact_put_varint(at, compact_zigzag(value));
    memcpy(at, &big_endian, width);
    return at + width;
}

EACH uint8_t *store_double(bool compact, uint8_t *at, const void *value)
{
    uint64_t bits;

    memcpy(&bits, value, sizeof(bits));
    bits = compact ? htole64(bits) : htobe64(bits);
    memcpy(at, &bits, sizeof(bits));
    return at + sizeof(bits);
}

/* Where there are SMALL_BYTES. */
EACH uint8_t *store_scalar(bool compact, uint8_t *at, uint8_t type, const void *value)
{
    switch (type) {
    case COIL_THRIFT_BOOL:
        *at = (uint8_t)(*(const bool *)value ? 1 : compact ? COMPACT_FALSE : 0);
        return at + 1;
    case COIL_THRIFT_I8:
        *at = *(const uint8_t *)value;
        return at + 1;
    case COIL_THRIFT_I16:
        return store_integer(compact, at, *(const int16_t *)value, 2);
    case COIL_THRIFT_I32:
        return store_integer(compact, at, *(const int32_t *)value, 4);
    case COIL_THRIFT_I64:
        return store_integer(compact, at, *(const int64_t *)value, 8);
    default:
        return store_double(compact, at, value);
    }
}

static uint8_t *__attribute__((noinline, cold))
put_last_scalar(bool compact, putter *it, uint8_t *at, uint8_t type, const void *value)
{
    uint8_t small[SMALL_BYTES];
    const uint8_t *end = store_scalar(compact, small, type, value);

    return put_bytes(it, at, small, (uint32_t)(end - small));
}

EACH uint8_t *put_scalar(bool compact, putter *it, uint8_t *at, uint8_t type, const void *value)
{
    if (coil_likely(it->end - at >= SMALL_BYTES))
        return store_scalar(compact, at, type, value);
    return put_last_scalar(compact, it, at, type, value);
}

/* The size of a string, the count of a map. */
EACH uint8_t *store_size(bool compact, uint8_t *at, uint32_t size)
{
    if (compact)
        return at + compact_put_varint(at, size);
    coil_thrift_store_32(at, size);
    return at + sizeof(size);
}

static uint8_t *__attribute__((noinline, cold))
put_last_size(bool compact, putter *it, uint8_t *at, uint32_t size)
{
    uint8_t small[SMALL_BYTES];
    const uint8_t *end = store_size(compact, small, size);

    return put_bytes(it, at, small, (uint32_t)(end - small));
}

EACH uint8_t *put_size(bool compact, putter *it, uint8_t *at, uint32_t size)
{
    if (coil_likely(it->end - at >= SMALL_BYTES))
        return store_size(compact, at, size);
    return put_last_size(compact, it, at, size);
}

/* Behind their size. */
static inline uint8_t *put_characters(putter *it, uint8_t *at, const coil_thrift_text *text)
{
    return put_bytes(it, at, text->bytes, text->size);
}

EACH uint8_t *put_text(bool compact, putter *it, uint8_t *at, const coil_thrift_text *text)
{
    at = put_size(compact, it, at, text->size);
    return coil_unlikely(at == NULL) ? NULL : put_characters(it, at, text);
}

/* What a container has: values that hold others are left to put_value(). */
EACH uint8_t *put_item(bool compact, putter *it, uint8_t *at, const coil_thrift_type_schema *type,
        const void *value)
{
    if (type->type == COIL_THRIFT_STRING)
        return put_text(compact, it, at, value);
    if (thrift_is_scalar(type->type))
        return put_scalar(compact, it, at, type->type, value);
    return put_value(compact, it, at, type, value);
}

/* Containers
 * ---------- */

EACH uint8_t *store_list_header(bool compact, uint8_t *at, uint8_t element, uint32_t count)
{
    if (compact)
        return at + compact_put_list(at, element, count);
    *at = element;
    coil_thrift_store_32(at + 1, count);
    return at + 1 + sizeof(count);
}

static uint8_t *__attribute__((noinline, cold))
put_last_list_header(bool compact, putter *it, uint8_t *at, uint8_t element, uint32_t count)
{
    uint8_t small[SMALL_BYTES];
    const uint8_t *end = store_list_header(compact, small, element, count);

    return put_bytes(it, at, small, (uint32_t)(end - small));
}

EACH uint8_t *put_list_header(
        bool compact, putter *it, uint8_t *at, uint8_t element, uint32_t count)
{
    if (coil_likely(it->end - at >= SMALL_BYTES))
        return store_list_header(compact, at, element, count);
    return put_last_list_header(compact, it, at, element, count);
}

EACH uint8_t *put_scalars(bool compact, putter *it, uint8_t *at,
        const coil_thrift_type_schema *element, const coil_thrift_items *list)
{
    const char *item = list->items;

    for (uint32_t i = 0; i < list->count && at != NULL; i++) {
        at = put_scalar(compact, it, at, element->type, item);
        item += element->size_bytes;
    }
    return at;
}

/* The most frequent of them. */
EACH uint8_t *put_integers(bool compact, putter *it, uint8_t *at, const coil_thrift_items *list)
{
    const int32_t *item = list->items;
    const int32_t *last = item + list->count;
    const uint8_t *end = it->end;

    for (; item < last && end - at >= SMALL_BYTES; item++)
        at = store_integer(compact, at, *item, sizeof(*item));
    for (; item < last && at != NULL; item++)
        at = put_scalar(compact, it, at, COIL_THRIFT_I32, item);
    return at;
}

EACH uint8_t *put_list(bool compact, putter *it, uint8_t *at, const coil_thrift_type_schema *type,
        const coil_thrift_items *list)
{
    const coil_thrift_type_schema *element = type->element;
    const char *item = list->items;

    at = put_list_header(compact, it, at, element->type, list->count);
    if (at == NULL || list->count == 0)
        return at;
    if (element->type == COIL_THRIFT_I32)
        return put_integers(compact, it, at, list);
    if (thrift_is_scalar(element->type))
        return put_scalars(compact, it, at, element, list);
    for (uint32_t i = 0; i < list->count && at != NULL; i++) {
        at = put_item(compact, it, at, element, item);
        item += type->item_bytes;
    }
    return at;
}

EACH uint8_t *put_map(bool compact, putter *it, uint8_t *at, const coil_thrift_type_schema *type,
        const coil_thrift_items *map)
{
    const char *item = map->items;
    uint8_t types[2] = {type->key->type, type->element->type};

    if (compact) {
        at = put_size(compact, it, at, map->count);
        types[0] = (uint8_t)(compact_type_of(types[0]) << 4 | compact_type_of(types[1]));
        if (at != NULL && map->count > 0)
            at = put_bytes(it, at, types, 1);
    } else {
        at = put_bytes(it, at, types, sizeof(types));
        at = at == NULL ? NULL : put_size(compact, it, at, map->count);
    }
    for (uint32_t i = 0; i < map->count && at != NULL; i++) {
        at = put_item(compact, it, at, type->key, item);
        if (at != NULL)
            at = put_item(compact, it, at, type->element, item + type->value_offset);
        item += type->item_bytes;
    }
    return at;
}

/* Structs
 * ------- */

/* The header of a field, and its value if that is a scalar; a string's size: SMALL_BYTES do. */
EACH uint8_t *store_field(bool compact, uint8_t *at, const coil_thrift_field_schema *field,
        const void *member, int16_t last_id)
{
    const uint8_t type = field->type->type;

    if (!compact) {
        at = coil_thrift_store_field(at, type, field->id);
    } else {
        const uint8_t wire_type = type == COIL_THRIFT_BOOL && !*(const bool *)member
                                          ? (uint8_t)COMPACT_FALSE
                                          : compact_type_of(type);
        at += compact_put_field(at, wire_type, field->id, &last_id);
        if (type == COIL_THRIFT_BOOL)
            return at;
    }
    if (thrift_is_scalar(type))
        return store_scalar(compact, at, type, member);
    if (type == COIL_THRIFT_STRING)
        return store_size(compact, at, ((const coil_thrift_text *)member)->size);
    return at;
}

static uint8_t *__attribute__((noinline, cold)) put_last_field(bool compact, putter *it,
        uint8_t *at, const coil_thrift_field_schema *field, const void *member, int16_t last_id)
{
    uint8_t small[SMALL_BYTES];
    const uint8_t *end = store_field(compact, small, field, member, last_id);

    return put_bytes(it, at, small, (uint32_t)(end - small));
}

EACH uint8_t *put_field(bool compact, putter *it, uint8_t *at,
        const coil_thrift_field_schema *field, const void *member, int16_t last_id)
{
    const uint8_t type = field->type->type;

    if (coil_likely(it->end - at >= SMALL_BYTES)) {
        at = store_field(compact, at, field, member, last_id);
    } else {
        at = put_last_field(compact, it, at, field, member, last_id);
    }
    if (thrift_is_scalar(type) || at == NULL)
        return at;
    if (type == COIL_THRIFT_STRING)
        return put_characters(it, at, member);
    return put_value(compact, it, at, field->type, member);
}

static uint8_t *put_stop(putter *it, uint8_t *at)
{
    at = room(it, at, 1);
    if (coil_unlikely(at == NULL))
        return NULL;
    *at = COIL_THRIFT_STOP;
    return at + 1;
}

EACH uint8_t *put_fields(bool compact, putter *it, uint8_t *at,
        const coil_thrift_struct_schema *schema, const char *value, int16_t last_id)
{
    const coil_thrift_field_schema *field = schema->fields; /* NULL: it has none. */
    const bool is_union = schema->is_union;

    if (compact && it->depth >= COIL_THRIFT_DEPTH_MAX) {
        thrift_writer_fail(it->writer, -ELOOP);
        return NULL;
    }
    it->depth++;
    for (uint32_t left = schema->field_count; left > 0 && at != NULL; left--, field++) {
        const bool may_be_left_out = is_union || field->type->is_reference ||
                                     field->requiredness == COIL_THRIFT_OPTIONAL;
        if (may_be_left_out &&
                !thrift_is_written(schema, value, (uint32_t)(field - schema->fields)))
            continue;
        at = put_field(compact, it, at, field, value + field->offset, last_id);
        last_id = field->id;
    }
    it->depth--;
    return at == NULL ? NULL : put_stop(it, at);
}

EACH uint8_t *put_struct(bool compact, putter *it, uint8_t *at, const coil_thrift_type_schema *type,
        const void *value)
{
    const void *target = type->is_reference ? thrift_target_of(value) : value;

    return target == NULL ? put_stop(it, at)
                          : put_fields(compact, it, at, type->structure, target, 0);
}

EACH uint8_t *put_any(bool compact, putter *it, uint8_t *at, const coil_thrift_type_schema *type,
        const void *value)
{
    switch (type->type) {
    case COIL_THRIFT_STRING:
        return put_text(compact, it, at, value);
    case COIL_THRIFT_STRUCT:
        return put_struct(compact, it, at, type, value);
    case COIL_THRIFT_MAP:
        return put_map(compact, it, at, type, value);
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        return put_list(compact, it, at, type, value);
    case COIL_THRIFT_UUID:
        return put_bytes(it, at, value, sizeof(coil_thrift_uuid));
    default:
        return put_scalar(compact, it, at, type->type, value);
    }
}

static uint8_t *put_binary(
        putter *it, uint8_t *at, const coil_thrift_type_schema *type, const void *value)
{
    return put_any(false, it, at, type, value);
}

static uint8_t *put_compact(
        putter *it, uint8_t *at, const coil_thrift_type_schema *type, const void *value)
{
    return put_any(true, it, at, type, value);
}

/* From and to the writer
 * ---------------------- */

static putter begin(coil_thrift_writer *writer)
{
    return (putter){.writer = writer, .end = writer->bytes + writer->room_end};
}

static void finish(coil_thrift_writer *writer, const uint8_t *at)
{
    if (at == NULL)
        return;
    writer->size = (uint32_t)(at - writer->bytes);
    if (writer->protocol == COIL_THRIFT_PROTOCOL_COMPACT) {
        writer->end = writer->size;
        thrift_compact_end_value(writer);
    }
}

void thrift_put_fields(
        coil_thrift_writer *writer, const coil_thrift_struct_schema *schema, const void *value)
{
    const bool compact = !thrift_is_binary(writer->protocol);
    int16_t last_id = 0;

    if (compact)
        last_id = thrift_compact_take_struct(writer);
    if (writer->error != 0)
        return; /* It may have no bytes at all. */
    putter it = begin(writer);
    uint8_t *at = writer->bytes + writer->size;
    finish(writer, compact ? put_fields(true, &it, at, schema, value, last_id)
                           : put_fields(false, &it, at, schema, value, last_id));
}

void thrift_put_items(
        coil_thrift_writer *writer, const coil_thrift_type_schema *type, const void *value)
{
    const bool compact = writer->protocol == COIL_THRIFT_PROTOCOL_COMPACT;

    if (writer->error != 0)
        return;
    putter it = begin(writer);
    finish(writer, put_value(compact, &it, writer->bytes + writer->size, type, value));
}
