/* SPDX-License-Identifier: MIT */
/*
 * Values of any type into the bytes of a writer, by what every protocol has. Those of binary and
 * compact are put there without detours, by thrift_schema_put.c.
 */
#include <coil/thrift_schema.h>

#include "thrift_private.h"
#include "thrift_schema_private.h"

static void write_scalars(coil_thrift_writer *writer, const coil_thrift_type_schema *type,
        uint32_t count, const void *items)
{
    switch (type->type) {
    case COIL_THRIFT_BOOL:
        for (uint32_t i = 0; i < count; i++)
            coil_thrift_write_bool(writer, ((const bool *)items)[i]);
        break;
    case COIL_THRIFT_I8:
        for (uint32_t i = 0; i < count; i++)
            coil_thrift_write_i8(writer, ((const int8_t *)items)[i]);
        break;
    case COIL_THRIFT_I16:
        for (uint32_t i = 0; i < count; i++)
            coil_thrift_write_i16(writer, ((const int16_t *)items)[i]);
        break;
    case COIL_THRIFT_I32:
        for (uint32_t i = 0; i < count; i++)
            coil_thrift_write_i32(writer, ((const int32_t *)items)[i]);
        break;
    case COIL_THRIFT_I64:
        for (uint32_t i = 0; i < count; i++)
            coil_thrift_write_i64(writer, ((const int64_t *)items)[i]);
        break;
    case COIL_THRIFT_DOUBLE:
        for (uint32_t i = 0; i < count; i++)
            coil_thrift_write_double(writer, ((const double *)items)[i]);
        break;
    default:
        coil_check_failed("a scalar", __FILE__, __LINE__);
    }
}

static bool has_short_way(const coil_thrift_writer *writer)
{
    return writer->protocol != COIL_THRIFT_PROTOCOL_JSON;
}

static void write_list(coil_thrift_writer *writer, const coil_thrift_type_schema *type,
        const coil_thrift_items *list)
{
    if (type->type == COIL_THRIFT_LIST) {
        coil_thrift_write_list(writer, type->element->type, list->count);
    } else {
        coil_thrift_write_set(writer, type->element->type, list->count);
    }
    if (type->element->type < COIL_THRIFT_STRING) {
        write_scalars(writer, type->element, list->count, list->items);
        return;
    }
    const char *item = list->items;
    for (uint32_t i = 0; i < list->count && writer->error == 0; i++) {
        coil_thrift_write_value(writer, type->element, item);
        item += type->item_bytes;
    }
}

static void write_map(coil_thrift_writer *writer, const coil_thrift_type_schema *type,
        const coil_thrift_items *map)
{
    const char *item = map->items;

    coil_thrift_write_map(writer, type->key->type, type->element->type, map->count);
    for (uint32_t i = 0; i < map->count && writer->error == 0; i++) {
        coil_thrift_write_value(writer, type->key, item);
        coil_thrift_write_value(writer, type->element, item + type->value_offset);
        item += type->item_bytes;
    }
}

static void write_struct(
        coil_thrift_writer *writer, const coil_thrift_type_schema *type, const void *value)
{
    if (type->is_reference)
        value = thrift_target_of(value);
    if (value == NULL) {
        coil_thrift_write_stop(writer);
    } else {
        coil_thrift_write_fields(writer, type->structure, value);
    }
}

static void write_items(coil_thrift_writer *writer, const coil_thrift_type_schema *type,
        const coil_thrift_items *items)
{
    if (has_short_way(writer)) {
        thrift_put_items(writer, type, items);
    } else if (type->type == COIL_THRIFT_MAP) {
        write_map(writer, type, items);
    } else {
        write_list(writer, type, items);
    }
}

void coil_thrift_write_value(
        coil_thrift_writer *writer, const coil_thrift_type_schema *type, const void *value)
{
    switch (type->type) {
    case COIL_THRIFT_STRING:
        if (type->is_binary) {
            coil_thrift_write_binary(writer, *(const coil_thrift_text *)value);
        } else {
            coil_thrift_write_string(writer, *(const coil_thrift_text *)value);
        }
        break;
    case COIL_THRIFT_STRUCT:
        write_struct(writer, type, value);
        break;
    case COIL_THRIFT_MAP:
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        write_items(writer, type, value);
        break;
    case COIL_THRIFT_UUID:
        coil_thrift_write_uuid(writer, ((const coil_thrift_uuid *)value)->bytes);
        break;
    default:
        write_scalars(writer, type, 1, value);
        break;
    }
}

void coil_thrift_write_fields(
        coil_thrift_writer *writer, const coil_thrift_struct_schema *schema, const void *value)
{
    const char *bytes = value;

    if (has_short_way(writer)) {
        thrift_put_fields(writer, schema, value);
        return;
    }
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const coil_thrift_field_schema *field = &schema->fields[i];
        if (!thrift_is_written(schema, bytes, i))
            continue;
        coil_thrift_write_field(writer, field->type->type, field->id);
        coil_thrift_write_value(writer, field->type, bytes + field->offset);
    }
    coil_thrift_write_stop(writer);
}
