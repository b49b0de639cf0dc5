/* SPDX-License-Identifier: MIT */
/*
 * Values of any type out of the bytes of a reader, by what every protocol has. Those of binary and
 * compact are taken without detours, by thrift_schema_take.c, where nothing is the matter.
 */
#include <coil/thrift_schema.h>

#include "thrift_private.h"
#include "thrift_schema_private.h"

/* Room for `count` items of a value; NULL after an error. */
static void *take_room(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, uint32_t count, uint32_t item_bytes)
{
    return thrift_reader_room(reader, arena, type->type, (uint64_t)count * item_bytes, 8);
}

static inline void read_scalar(coil_thrift_reader *reader, uint8_t type, void *out_value)
{
    switch (type) {
    case COIL_THRIFT_BOOL:
        *(bool *)out_value = coil_thrift_read_bool(reader);
        break;
    case COIL_THRIFT_I8:
        *(int8_t *)out_value = coil_thrift_read_i8(reader);
        break;
    case COIL_THRIFT_I16:
        *(int16_t *)out_value = coil_thrift_read_i16(reader);
        break;
    case COIL_THRIFT_I32:
        *(int32_t *)out_value = coil_thrift_read_i32(reader);
        break;
    case COIL_THRIFT_I64:
        *(int64_t *)out_value = coil_thrift_read_i64(reader);
        break;
    default:
        *(double *)out_value = coil_thrift_read_double(reader);
        break;
    }
}

/* Scalars of a list lie one after the other, here and there. */
static void read_scalars(coil_thrift_reader *reader, const coil_thrift_type_schema *element,
        uint32_t count, void *out_items)
{
    char *item = out_items;

    for (uint32_t i = 0; i < count; i++) {
        read_scalar(reader, element->type, item);
        item += element->size_bytes;
    }
}

/*
 * The elements of a list or set. All of them have room before the first one is read: there are no
 * more than the frame has bytes left, and the arena bounds what they take.
 */
static void read_items(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, uint32_t count, coil_thrift_items *out_items)
{
    char *items = take_room(reader, arena, type, count, type->item_bytes);

    if (items == NULL)
        return;
    if (thrift_is_scalar(type->element->type)) {
        read_scalars(reader, type->element, count, items);
    } else {
        for (uint32_t i = 0; i < count && reader->error == 0; i++)
            thrift_read_value(reader, arena, type->element, items + (size_t)i * type->item_bytes);
    }
    out_items->items = items;
    out_items->count = count;
}

static void read_list(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, coil_thrift_items *out_items)
{
    uint32_t count;
    const bool is_right = type->type == COIL_THRIFT_LIST
                                  ? coil_thrift_read_list_of(reader, type->element->type, &count)
                                  : coil_thrift_read_set_of(reader, type->element->type, &count);

    if (is_right && count > 0)
        read_items(reader, arena, type, count, out_items);
}

static void read_map(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, coil_thrift_items *out_items)
{
    uint32_t count;

    if (!coil_thrift_read_map_of(reader, type->key->type, type->element->type, &count) ||
            count == 0)
        return;
    char *items = take_room(reader, arena, type, count, type->item_bytes);
    if (items == NULL)
        return;
    char *item = items;
    for (uint32_t i = 0; i < count && reader->error == 0; i++) {
        thrift_read_value(reader, arena, type->key, item);
        thrift_read_value(reader, arena, type->element, item + type->value_offset);
        item += type->item_bytes;
    }
    out_items->items = items;
    out_items->count = count;
}

static void read_struct(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, void *out_value)
{
    const coil_thrift_struct_schema *schema = type->structure;
    void *value = out_value;

    if (!coil_thrift_read_struct(reader))
        return;
    if (type->is_reference) {
        value = take_room(reader, arena, type, 1, schema->size_bytes);
        if (value == NULL)
            return;
        memcpy(out_value, &value, sizeof(value));
    }
    coil_thrift_read_fields(reader, arena, schema, value);
}

/* The value is all zeros before, or a default, which stays after an error. */
void thrift_read_value(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, void *out_value)
{
    static const coil_thrift_items no_items;

    switch (type->type) {
    case COIL_THRIFT_STRING:
        *(coil_thrift_text *)out_value =
                type->is_binary ? coil_thrift_read_binary(reader) : coil_thrift_read_string(reader);
        break;
    case COIL_THRIFT_STRUCT:
        read_struct(reader, arena, type, out_value);
        break;
    case COIL_THRIFT_MAP:
        *(coil_thrift_items *)out_value = no_items;
        read_map(reader, arena, type, out_value);
        break;
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        *(coil_thrift_items *)out_value = no_items;
        read_list(reader, arena, type, out_value);
        break;
    case COIL_THRIFT_UUID:
        coil_thrift_read_uuid(reader, ((coil_thrift_uuid *)out_value)->bytes);
        break;
    default:
        read_scalar(reader, type->type, out_value);
        break;
    }
}

bool coil_thrift_read_value(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, void *out_value)
{
    if (reader->error == 0)
        thrift_read_value(reader, arena, type, out_value);
    return reader->error == 0;
}

const coil_thrift_field_schema *thrift_find_field(
        const coil_thrift_struct_schema *schema, int16_t id)
{
    uint32_t low = 0;
    uint32_t high = schema->field_count;

    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (schema->fields[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < schema->field_count && schema->fields[low].id == id ? &schema->fields[low] : NULL;
}

void thrift_check_required(
        coil_thrift_reader *reader, const coil_thrift_struct_schema *schema, const uint32_t *has)
{
    const uint32_t word_count = (schema->field_count + 31u) / 32;

    for (uint32_t i = 0; i < word_count; i++) {
        const uint32_t missing = schema->required[i] & ~has[i];
        if (missing != 0) {
            const uint32_t index = i * 32 + (uint32_t)__builtin_ctz(missing);
            coil_thrift_reader_miss(reader, schema->fields[index].id);
            return;
        }
    }
}

/* Of several known fields the last one stays in memory, but the union is refused. */
static bool read_union(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_struct_schema *schema, char *value)
{
    coil_thrift_field field;
    uint32_t known_count = 0;

    while (coil_thrift_read_field(reader, &field)) {
        const coil_thrift_field_schema *found = thrift_find_field(schema, field.id);
        if (found == NULL || !coil_thrift_field_is(reader, found->type->type))
            continue;
        memset(value, 0, schema->size_bytes);
        memcpy(value + schema->which_offset, &found->id, sizeof(found->id));
        thrift_read_value(reader, arena, found->type, value + found->offset);
        known_count++;
    }
    if (reader->error == 0 && known_count != 1)
        coil_thrift_reader_refuse_union(reader, known_count);
    return reader->error == 0;
}

bool coil_thrift_read_fields(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_struct_schema *schema, void *out_value)
{
    char *value = out_value;
    uint32_t *has = (void *)(value + schema->has_offset);
    coil_thrift_field field;

    COIL_CHECK(reader->depth > 0 || reader->error != 0);
    coil_thrift_init_value(schema, out_value);
    if (schema->is_union)
        return read_union(reader, arena, schema, value);
    if (reader->protocol != COIL_THRIFT_PROTOCOL_JSON)
        return thrift_take_fields(reader, arena, schema, value);
    while (coil_thrift_read_field(reader, &field)) {
        const coil_thrift_field_schema *found = thrift_find_field(schema, field.id);
        if (found == NULL || !coil_thrift_field_is(reader, found->type->type))
            continue;
        const uint32_t index = (uint32_t)(found - schema->fields);
        has[index / 32] |= 1u << index % 32;
        thrift_read_value(reader, arena, found->type, value + found->offset);
    }
    if (schema->required != NULL && reader->error == 0)
        thrift_check_required(reader, schema, has);
    return reader->error == 0;
}
