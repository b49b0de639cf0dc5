/* SPDX-License-Identifier: MIT */
/* What can be done with values of any type, beside reading and writing. */
#include <coil/thrift_schema.h>

#include "thrift_private.h"
#include "thrift_schema_private.h"

#include <errno.h>

#define SCALAR(name, wire_type, c_type)                  \
    const coil_thrift_type_schema coil_thrift_##name = { \
            .type = (wire_type), .size_bytes = sizeof(c_type)}

SCALAR(bool_type, COIL_THRIFT_BOOL, bool);
SCALAR(i8_type, COIL_THRIFT_I8, int8_t);
SCALAR(i16_type, COIL_THRIFT_I16, int16_t);
SCALAR(i32_type, COIL_THRIFT_I32, int32_t);
SCALAR(i64_type, COIL_THRIFT_I64, int64_t);
SCALAR(double_type, COIL_THRIFT_DOUBLE, double);
SCALAR(string_type, COIL_THRIFT_STRING, coil_thrift_text);
SCALAR(uuid_type, COIL_THRIFT_UUID, coil_thrift_uuid);

const coil_thrift_type_schema coil_thrift_binary_type = {
        .type = COIL_THRIFT_STRING, .is_binary = true, .size_bytes = sizeof(coil_thrift_text)};

void coil_thrift_init_value(const coil_thrift_struct_schema *schema, void *out_value)
{
    if (schema->initial == NULL) {
        memset(out_value, 0, schema->size_bytes);
    } else {
        memcpy(out_value, schema->initial, schema->size_bytes);
    }
}

const char *coil_thrift_enum_name(const coil_thrift_enum_schema *schema, int32_t value)
{
    for (uint32_t i = 0; i < schema->value_count; i++) {
        if (schema->values[i].value == value)
            return schema->values[i].name;
    }
    return NULL;
}

/* Whether there is something to be looked at. */
static bool has_field(const coil_thrift_struct_schema *schema, const char *value, uint32_t index)
{
    const coil_thrift_field_schema *field = &schema->fields[index];

    return thrift_has_field(schema, value, index) &&
           (!field->type->is_reference || thrift_target_of(value + field->offset) != NULL);
}

/* Equality
 * -------- */

static bool equal_structs(
        const coil_thrift_struct_schema *schema, const char *one, const char *other)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const coil_thrift_field_schema *field = &schema->fields[i];
        const bool has_one = has_field(schema, one, i);
        if (has_one != has_field(schema, other, i))
            return false;
        if (has_one && !coil_thrift_equal(field->type, one + field->offset, other + field->offset))
            return false;
    }
    return true;
}

static bool equal_references(
        const coil_thrift_struct_schema *schema, const void *one, const void *other)
{
    const void *target;
    const void *other_target;

    memcpy(&target, one, sizeof(target));
    memcpy(&other_target, other, sizeof(other_target));
    if (target == NULL || other_target == NULL)
        return target == other_target;
    return equal_structs(schema, target, other_target);
}

static bool equal_items(const coil_thrift_type_schema *type, const coil_thrift_items *one,
        const coil_thrift_items *other)
{
    const char *item = one->items;
    const char *other_item = other->items;

    if (one->count != other->count)
        return false;
    for (uint32_t i = 0; i < one->count; i++) {
        if (type->key != NULL && !coil_thrift_equal(type->key, item, other_item))
            return false;
        if (!coil_thrift_equal(
                    type->element, item + type->value_offset, other_item + type->value_offset))
            return false;
        item += type->item_bytes;
        other_item += type->item_bytes;
    }
    return true;
}

static bool equal_doubles(double one, double other)
{
    return one == other || (one != one && other != other);
}

bool coil_thrift_equal(const coil_thrift_type_schema *type, const void *one, const void *other)
{
    switch (type->type) {
    case COIL_THRIFT_STRING:
        return thrift_texts_equal(one, other);
    case COIL_THRIFT_STRUCT:
        return type->is_reference ? equal_references(type->structure, one, other)
                                  : equal_structs(type->structure, one, other);
    case COIL_THRIFT_MAP:
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        return equal_items(type, one, other);
    case COIL_THRIFT_DOUBLE:
        return equal_doubles(*(const double *)one, *(const double *)other);
    default:
        return memcmp(one, other, type->size_bytes) == 0;
    }
}

/* Copies
 * ------
 * Bytes first, then what they point to, in place.
 */

static int deepen(coil_arena *arena, const coil_thrift_type_schema *type, void *value);

static int take(coil_arena *arena, size_t size_bytes, size_t alignment, void **out_bytes)
{
    *out_bytes = coil_arena_take(arena, size_bytes, alignment);
    if (*out_bytes != NULL)
        return 0;
    return size_bytes + alignment > arena->limit_bytes - coil_arena_taken(arena) ? -ENOBUFS
                                                                                 : -ENOMEM;
}

static int deepen_struct(coil_arena *arena, const coil_thrift_struct_schema *schema, char *value)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const coil_thrift_field_schema *field = &schema->fields[i];
        if (!has_field(schema, value, i))
            continue;
        const int rc = deepen(arena, field->type, value + field->offset);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int deepen_reference(
        coil_arena *arena, const coil_thrift_struct_schema *schema, void *reference)
{
    const void *target;
    void *copy;

    memcpy(&target, reference, sizeof(target));
    if (target == NULL)
        return 0;
    const int rc = take(arena, schema->size_bytes, 8, &copy);
    if (rc < 0)
        return rc;
    memcpy(copy, target, schema->size_bytes);
    memcpy(reference, &copy, sizeof(copy));
    return deepen_struct(arena, schema, copy);
}

static int deepen_text(coil_arena *arena, coil_thrift_text *text)
{
    void *bytes;

    if (text->size == 0)
        return 0;
    const int rc = take(arena, text->size, 1, &bytes);
    if (rc < 0)
        return rc;
    memcpy(bytes, text->bytes, text->size);
    text->bytes = bytes;
    return 0;
}

static int deepen_items(
        coil_arena *arena, const coil_thrift_type_schema *type, coil_thrift_items *list)
{
    const size_t size_bytes = (size_t)list->count * type->item_bytes;
    void *items;

    if (list->count == 0)
        return 0;
    int rc = take(arena, size_bytes, 8, &items);
    if (rc < 0)
        return rc;
    memcpy(items, list->items, size_bytes);
    list->items = items;
    char *item = items;
    for (uint32_t i = 0; i < list->count && rc == 0; i++) {
        if (type->key != NULL)
            rc = deepen(arena, type->key, item);
        if (rc == 0)
            rc = deepen(arena, type->element, item + type->value_offset);
        item += type->item_bytes;
    }
    return rc;
}

static int deepen(coil_arena *arena, const coil_thrift_type_schema *type, void *value)
{
    switch (type->type) {
    case COIL_THRIFT_STRING:
        return deepen_text(arena, value);
    case COIL_THRIFT_STRUCT:
        return type->is_reference ? deepen_reference(arena, type->structure, value)
                                  : deepen_struct(arena, type->structure, value);
    case COIL_THRIFT_MAP:
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        return deepen_items(arena, type, value);
    default:
        return 0;
    }
}

int coil_thrift_copy(
        coil_arena *arena, const coil_thrift_type_schema *type, const void *value, void *out_copy)
{
    memcpy(out_copy, value, type->size_bytes);
    return deepen(arena, type, out_copy);
}
