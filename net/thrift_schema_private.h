/* SPDX-License-Identifier: MIT */
/* thrift_schema_private.h - what walks through values have in common. */
#ifndef COIL_THRIFT_SCHEMA_PRIVATE_H
#define COIL_THRIFT_SCHEMA_PRIVATE_H

#include <coil/thrift_schema.h>

/* What a pointer to a struct leads to; NULL. */
static inline const void *thrift_target_of(const void *value)
{
    const void *target;

    memcpy(&target, value, sizeof(target));
    return target;
}

/*
 * Whether the field of a struct has a value that counts: of a union only one has; else all but
 * optional ones that are not set.
 */
static inline bool thrift_has_field(
        const coil_thrift_struct_schema *schema, const char *value, uint32_t index)
{
    const uint32_t *has = (const void *)(value + schema->has_offset);
    int16_t which;

    if (coil_unlikely(schema->is_union)) {
        memcpy(&which, value + schema->which_offset, sizeof(which));
        return which == schema->fields[index].id;
    }
    return schema->fields[index].requiredness != COIL_THRIFT_OPTIONAL ||
           (has[index / 32] & 1u << index % 32) != 0;
}

/* Whether it is written: a null pointer to a struct is not, unless it has to be. */
static inline bool thrift_is_written(
        const coil_thrift_struct_schema *schema, const char *value, uint32_t index)
{
    const coil_thrift_field_schema *field = &schema->fields[index];

    if (!thrift_has_field(schema, value, index))
        return false;
    return coil_likely(!field->type->is_reference) || schema->is_union ||
           field->requiredness == COIL_THRIFT_REQUIRED ||
           thrift_target_of(value + field->offset) != NULL;
}

/* Fields with their end, and lists, sets and maps: not in JSON. */
void thrift_put_fields(
        coil_thrift_writer *writer, const coil_thrift_struct_schema *schema, const void *value);
void thrift_put_items(
        coil_thrift_writer *writer, const coil_thrift_type_schema *type, const void *value);

/*
 * The rest of a struct that has begun, whose value is initial: not in JSON, and no union. False
 * after an error.
 */
bool thrift_take_fields(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_struct_schema *schema, void *value);

/* A value of any type and protocol, and errors. It is all zeros before, or a default. */
void thrift_read_value(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, void *out_value);

/* The field of that number; NULL. */
const coil_thrift_field_schema *thrift_find_field(
        const coil_thrift_struct_schema *schema, int16_t id);

/* The struct has ended: has it all that it has to have? */
void thrift_check_required(
        coil_thrift_reader *reader, const coil_thrift_struct_schema *schema, const uint32_t *has);

#endif
