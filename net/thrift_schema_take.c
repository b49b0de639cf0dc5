/* SPDX-License-Identifier: MIT */
/*
 * Values of any type out of bytes, in the binary and the compact protocol: what
 * thrift_schema_read.c does for any protocol, without a call for each value. The place of the next
 * byte is handed from function to function; it is NULL after an error, which the reader keeps.
 *
 * Only what is as it mostly is is taken here. Whatever is not, errors above all, is left where it
 * is, and goes the long way: so there is one place that knows what is wrong with it.
 */
#include "thrift_compact.h"
#include "thrift_private.h"
#include "thrift_schema_private.h"

enum { ITEM_ALIGNMENT = 8 };

typedef struct taker {
    coil_thrift_reader *reader;
    coil_arena *arena;
    const uint8_t *end;
} taker;

/* Everything is there twice, once for each protocol; which one is known where it is compiled. */
#define EACH static inline __attribute__((always_inline))

static const uint8_t *take_binary(
        taker *it, const uint8_t *at, const coil_thrift_type_schema *type, void *out_value);
static const uint8_t *take_compact(
        taker *it, const uint8_t *at, const coil_thrift_type_schema *type, void *out_value);

EACH const uint8_t *take_value(bool compact, taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, void *out_value)
{
    return compact ? take_compact(it, at, type, out_value) : take_binary(it, at, type, out_value);
}

/* The long way
 * ------------ */

EACH void leave_to_reader(bool compact, const taker *it, const uint8_t *at)
{
    coil_thrift_reader *reader = it->reader;

    reader->position = (uint32_t)(at - reader->bytes);
    reader->end = compact ? reader->position : reader->size;
}

EACH const uint8_t *take_back(const taker *it)
{
    const coil_thrift_reader *reader = it->reader;

    return coil_likely(reader->error == 0) ? reader->bytes + reader->position : NULL;
}

static COIL_NOINLINE const uint8_t *take_otherwise(
        const taker *it, const uint8_t *at, const coil_thrift_type_schema *type, void *out_value)
{
    leave_to_reader(it->reader->protocol == COIL_THRIFT_PROTOCOL_COMPACT, it, at);
    thrift_read_value(it->reader, it->arena, type, out_value);
    return take_back(it);
}

/* Scalars and texts
 * ----------------- */

static const uint8_t scalar_bytes[] = {
        [COIL_THRIFT_BOOL] = 1,
        [COIL_THRIFT_I8] = 1,
        [COIL_THRIFT_DOUBLE] = 8,
        [COIL_THRIFT_I16] = 2,
        [COIL_THRIFT_I32] = 4,
        [COIL_THRIFT_I64] = 8,
};

/* Where there are scalar_bytes. */
static inline void load_scalar(const uint8_t *at, uint8_t type, void *out_value)
{
    uint64_t bits;

    switch (type) {
    case COIL_THRIFT_BOOL:
        *(bool *)out_value = *at != 0;
        break;
    case COIL_THRIFT_I8:
        *(uint8_t *)out_value = *at;
        break;
    case COIL_THRIFT_I16:
        *(int16_t *)out_value = (int16_t)thrift_load_16(at);
        break;
    case COIL_THRIFT_I32:
        *(int32_t *)out_value = (int32_t)thrift_load_32(at);
        break;
    default: /* I64, and a double likewise. */
        bits = thrift_load_64(at);
        memcpy(out_value, &bits, sizeof(bits));
        break;
    }
}

/* A number of compact, of so many bits; NULL if it is not all there, or not right. */
static inline const uint8_t *load_integer(
        const uint8_t *at, const uint8_t *end, unsigned bits_max, int64_t *out_value)
{
    uint64_t bits;

    at = compact_take_varint(at, end, &bits);
    if (coil_unlikely(at == NULL || (bits_max < 64 && bits >> bits_max != 0)))
        return NULL;
    *out_value = compact_unzigzag(bits);
    return at;
}

static inline const uint8_t *load_compact_scalar(
        const uint8_t *at, const uint8_t *end, uint8_t type, void *out_value)
{
    int64_t value = 0;
    uint64_t bits;

    switch (type) {
    case COIL_THRIFT_BOOL:
        *(bool *)out_value = at < end && *at == COMPACT_TRUE;
        return at < end ? at + 1 : NULL;
    case COIL_THRIFT_I8:
        if (at < end)
            *(uint8_t *)out_value = *at;
        return at < end ? at + 1 : NULL;
    case COIL_THRIFT_I16:
        at = load_integer(at, end, 16, &value);
        *(int16_t *)out_value = (int16_t)value;
        return at;
    case COIL_THRIFT_I32:
        at = load_integer(at, end, 32, &value);
        *(int32_t *)out_value = (int32_t)value;
        return at;
    case COIL_THRIFT_I64:
        at = load_integer(at, end, 64, &value);
        *(int64_t *)out_value = value;
        return at;
    default:
        if (end - at < (ptrdiff_t)sizeof(bits))
            return NULL;
        memcpy(&bits, at, sizeof(bits));
        bits = le64toh(bits);
        memcpy(out_value, &bits, sizeof(bits));
        return at + sizeof(bits);
    }
}

/* NULL: it has to go the long way. */
EACH const uint8_t *load_any_scalar(
        bool compact, const uint8_t *at, const uint8_t *end, uint8_t type, void *out_value)
{
    if (compact)
        return load_compact_scalar(at, end, type, out_value);
    if (coil_unlikely(end - at < scalar_bytes[type]))
        return NULL;
    load_scalar(at, type, out_value);
    return at + scalar_bytes[type];
}

EACH const uint8_t *take_scalar(bool compact, const taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, void *out_value)
{
    const uint8_t *next = load_any_scalar(compact, at, it->end, type->type, out_value);

    return coil_likely(next != NULL) ? next : take_otherwise(it, at, type, out_value);
}

EACH const uint8_t *take_text(bool compact, const taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, coil_thrift_text *out_text)
{
    const uint8_t *bytes = at;
    uint64_t size = 0;

    if (compact) {
        bytes = compact_take_varint(at, it->end, &size);
    } else if (coil_likely(it->end - at >= (ptrdiff_t)sizeof(uint32_t))) {
        size = thrift_load_32(at);
        bytes = at + sizeof(uint32_t);
    } else {
        bytes = NULL;
    }
    if (coil_unlikely(bytes == NULL || size > (size_t)(it->end - bytes) || size > INT32_MAX ||
                      size > it->reader->limits->string_max))
        return take_otherwise(it, at, type, out_text);
    *out_text = (coil_thrift_text){.bytes = (const char *)bytes, .size = (uint32_t)size};
    return bytes + size;
}

/* Containers
 * ---------- */

/* Those that have the same width here and there, and are all there. */
static const uint8_t *take_fixed(const uint8_t *at, uint8_t type, uint32_t count, void *out_items)
{
    switch (type) {
    case COIL_THRIFT_I8:
        memcpy(out_items, at, count);
        break;
    case COIL_THRIFT_I32:
        for (uint32_t i = 0; i < count; i++)
            ((uint32_t *)out_items)[i] = thrift_load_32(at + (size_t)i * sizeof(uint32_t));
        break;
    case COIL_THRIFT_I64:
    case COIL_THRIFT_DOUBLE:
        for (uint32_t i = 0; i < count; i++) {
            const uint64_t bits = thrift_load_64(at + (size_t)i * sizeof(bits));
            memcpy((char *)out_items + (size_t)i * sizeof(bits), &bits, sizeof(bits));
        }
        break;
    case COIL_THRIFT_I16:
        for (uint32_t i = 0; i < count; i++)
            ((uint16_t *)out_items)[i] = thrift_load_16(at + (size_t)i * sizeof(uint16_t));
        break;
    default:
        for (uint32_t i = 0; i < count; i++)
            ((bool *)out_items)[i] = at[i] != 0;
        break;
    }
    return at + (size_t)count * scalar_bytes[type];
}

EACH const uint8_t *take_scalars(bool compact, const taker *it, const uint8_t *at,
        const coil_thrift_type_schema *element, uint32_t count, char *items)
{
    if (!compact && (uint64_t)count * scalar_bytes[element->type] <= (size_t)(it->end - at))
        return take_fixed(at, element->type, count, items);
    if (compact && element->type == COIL_THRIFT_I32) { /* The most frequent of them. */
        int32_t *item = (int32_t *)(void *)items;
        for (uint32_t i = 0; i < count && at != NULL; i++)
            at = take_scalar(compact, it, at, &coil_thrift_i32_type, item + i);
        return at;
    }
    for (uint32_t i = 0; i < count && at != NULL; i++)
        at = take_scalar(compact, it, at, element, items + (size_t)i * element->size_bytes);
    return at;
}

/*
 * Room for the elements of a container, before the first one is taken: there are no more than the
 * frame has bytes left, and the arena bounds what they take.
 */
static inline char *take_room(
        const taker *it, const coil_thrift_type_schema *type, uint32_t count, uint32_t item_bytes)
{
    return thrift_reader_room(
            it->reader, it->arena, type->type, (uint64_t)count * item_bytes, ITEM_ALIGNMENT);
}

EACH const uint8_t *take_list(bool compact, taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, coil_thrift_items *out_items)
{
    const coil_thrift_type_schema *element = type->element;
    coil_thrift_reader *reader = it->reader;
    uint32_t count = 0;

    *out_items = (coil_thrift_items){.items = NULL};
    leave_to_reader(compact, it, at);
    const bool is_right = type->type == COIL_THRIFT_LIST
                                  ? coil_thrift_read_list_of(reader, element->type, &count)
                                  : coil_thrift_read_set_of(reader, element->type, &count);
    at = take_back(it);
    if (!is_right || count == 0)
        return at;
    char *items = take_room(it, type, count, type->item_bytes);
    if (items == NULL)
        return NULL;
    if (thrift_is_scalar(element->type)) {
        at = take_scalars(compact, it, at, element, count, items);
    } else {
        for (uint32_t i = 0; i < count && at != NULL; i++)
            at = take_value(compact, it, at, element, items + (size_t)i * type->item_bytes);
    }
    *out_items = (coil_thrift_items){.items = items, .count = count};
    return at;
}

EACH const uint8_t *take_map(bool compact, taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, coil_thrift_items *out_items)
{
    uint32_t count = 0;

    *out_items = (coil_thrift_items){.items = NULL};
    leave_to_reader(compact, it, at);
    const bool is_right =
            coil_thrift_read_map_of(it->reader, type->key->type, type->element->type, &count);
    at = take_back(it);
    if (!is_right || count == 0)
        return at;
    char *items = take_room(it, type, count, type->item_bytes);
    if (items == NULL)
        return NULL;
    char *item = items;
    for (uint32_t i = 0; i < count && at != NULL; i++) {
        at = take_value(compact, it, at, type->key, item);
        if (at != NULL)
            at = take_value(compact, it, at, type->element, item + type->value_offset);
        item += type->item_bytes;
    }
    *out_items = (coil_thrift_items){.items = items, .count = count};
    return at;
}

/* Structs
 * ------- */

/* The header of a field, or the end of a struct: its type, and its number. */
typedef struct header {
    const uint8_t *next; /* NULL: it has to go the long way. */
    uint8_t type;
    bool bool_value; /* Compact. */
    int32_t id;
} header;

EACH header load_header(bool compact, const uint8_t *at, const uint8_t *end, int32_t last_id)
{
    header found = {.next = NULL};

    if (coil_unlikely(at >= end))
        return found;
    if (*at == COIL_THRIFT_STOP) {
        found.next = at + 1;
    } else if (compact) {
        const uint32_t delta = *at >> 4;
        found.type = thrift_compact_type(*at);
        found.id = last_id + (int32_t)delta;
        found.bool_value = (*at & 15) == COMPACT_TRUE;
        if (coil_likely(found.type != COIL_THRIFT_STOP && delta != 0 && found.id <= INT16_MAX))
            found.next = at + 1;
    } else if (coil_likely(end - at >= 3)) {
        found.type = *at;
        found.id = (int16_t)thrift_load_16(at + 1);
        found.next = at + 3;
    }
    return found;
}

/*
 * The field whose header is here, by the long way. One that the schema does not have, or has with
 * another type, is skipped.
 */
static COIL_NOINLINE const uint8_t *take_field_otherwise(const taker *it, const uint8_t *at,
        int32_t *last_id, const coil_thrift_struct_schema *schema, char *value)
{
    uint32_t *has = (void *)(value + schema->has_offset);
    coil_thrift_reader *reader = it->reader;
    coil_thrift_level *level = &reader->levels[reader->depth - 1];
    coil_thrift_field field;

    leave_to_reader(reader->protocol == COIL_THRIFT_PROTOCOL_COMPACT, it, at);
    level->id = (int16_t)*last_id;
    if (!coil_thrift_read_field(reader, &field))
        return NULL; /* (At the end of the struct nobody comes here.) */
    *last_id = level->id;
    const coil_thrift_field_schema *found = thrift_find_field(schema, field.id);
    if (found != NULL && coil_thrift_field_is(reader, found->type->type)) {
        const uint32_t index = (uint32_t)(found - schema->fields);
        has[index / 32] |= 1u << index % 32;
        thrift_read_value(reader, it->arena, found->type, value + found->offset);
    } else {
        reader->unread = COIL_THRIFT_STOP;
        coil_thrift_skip(reader, field.type);
    }
    return take_back(it);
}

/* The value of a field that the schema has. */
EACH const uint8_t *take_member(bool compact, taker *it, const header *found,
        const coil_thrift_type_schema *type, char *member)
{
    if (found->type == COIL_THRIFT_STRING)
        return take_text(compact, it, found->next, type, (void *)member);
    if (compact && found->type == COIL_THRIFT_BOOL) {
        *(bool *)member = found->bool_value;
        return found->next;
    }
    if (thrift_is_scalar(found->type))
        return take_scalar(compact, it, found->next, type, member);
    return take_value(compact, it, found->next, type, member);
}

/* Of a struct that has begun, to its end. */
EACH const uint8_t *take_fields(bool compact, taker *it, const uint8_t *at,
        const coil_thrift_struct_schema *schema, char *value, int32_t last_id)
{
    uint32_t *has = (void *)(value + schema->has_offset);
    uint32_t index = 0; /* Fields mostly come in the order of their numbers. */

    while (at != NULL) {
        const header found = load_header(compact, at, it->end, last_id);
        if (found.next != NULL && found.type == COIL_THRIFT_STOP)
            break;
        const bool is_next = index < schema->field_count && schema->fields[index].id == found.id;
        const coil_thrift_field_schema *field =
                is_next ? &schema->fields[index] : thrift_find_field(schema, (int16_t)found.id);
        if (coil_unlikely(found.next == NULL || field == NULL || field->type->type != found.type)) {
            at = take_field_otherwise(it, at, &last_id, schema, value);
            continue;
        }
        index = (uint32_t)(field - schema->fields);
        has[index / 32] |= 1u << index % 32;
        at = take_member(compact, it, &found, field->type, value + field->offset);
        index++;
        last_id = found.id;
    }
    if (coil_unlikely(at == NULL))
        return NULL;
    it->reader->depth--;
    at++;
    if (schema->required == NULL)
        return at;
    leave_to_reader(compact, it, at);
    thrift_check_required(it->reader, schema, has);
    return take_back(it);
}

EACH const uint8_t *take_struct(bool compact, taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, void *out_value)
{
    const coil_thrift_struct_schema *schema = type->structure;
    coil_thrift_reader *reader = it->reader;
    char *value = out_value;

    if (coil_unlikely(schema->is_union || reader->depth >= reader->limits->depth_max))
        return take_otherwise(it, at, type, out_value);
    if (type->is_reference) {
        leave_to_reader(compact, it, at);
        value = take_room(it, type, 1, schema->size_bytes);
        if (value == NULL)
            return NULL;
        memcpy(out_value, &value, sizeof(value));
    }
    reader->depth++;
    coil_thrift_init_value(schema, value);
    return take_fields(compact, it, at, schema, value, 0);
}

EACH const uint8_t *take_any(bool compact, taker *it, const uint8_t *at,
        const coil_thrift_type_schema *type, void *out_value)
{
    switch (type->type) {
    case COIL_THRIFT_STRING:
        return take_text(compact, it, at, type, out_value);
    case COIL_THRIFT_STRUCT:
        return take_struct(compact, it, at, type, out_value);
    case COIL_THRIFT_MAP:
        return take_map(compact, it, at, type, out_value);
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        return take_list(compact, it, at, type, out_value);
    case COIL_THRIFT_UUID:
        return take_otherwise(it, at, type, out_value);
    default:
        return take_scalar(compact, it, at, type, out_value);
    }
}

static const uint8_t *take_binary(
        taker *it, const uint8_t *at, const coil_thrift_type_schema *type, void *out_value)
{
    return take_any(false, it, at, type, out_value);
}

static const uint8_t *take_compact(
        taker *it, const uint8_t *at, const coil_thrift_type_schema *type, void *out_value)
{
    return take_any(true, it, at, type, out_value);
}

/* From and to the reader
 * ---------------------- */

bool thrift_take_fields(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_struct_schema *schema, void *value)
{
    taker it = {.reader = reader, .arena = arena, .end = reader->bytes + reader->size};
    const uint8_t unread = reader->unread;

    if (coil_unlikely(unread != COIL_THRIFT_STOP)) {
        reader->unread = COIL_THRIFT_STOP;
        coil_thrift_skip(reader, unread);
    }
    if (coil_unlikely(reader->error != 0))
        return false;
    const uint8_t *at = reader->bytes + reader->position;
    if (thrift_is_binary(reader->protocol)) {
        at = take_fields(false, &it, at, schema, value, 0);
        if (at != NULL)
            leave_to_reader(false, &it, at);
    } else {
        at = take_fields(true, &it, at, schema, value, reader->levels[reader->depth - 1].id);
        if (at != NULL)
            leave_to_reader(true, &it, at);
    }
    return at != NULL;
}
