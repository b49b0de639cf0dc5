/* SPDX-License-Identifier: MIT */
/* Constants and defaults as initialisers. */
#include "emit.h"
#include "layout.h"
#include "names.h"
#include "values.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void emit_integer(int64_t integer, FILE *file)
{
    if (integer == INT64_MIN) {
        fputs("INT64_MIN", file);
    } else if (integer < INT32_MIN || integer > INT32_MAX) {
        fprintf(file, "INT64_C(%" PRId64 ")", integer);
    } else if (integer == INT32_MIN) {
        fputs("INT32_MIN", file);
    } else {
        fprintf(file, "%" PRId64, integer);
    }
}

static int64_t integer_of(const idl_value *value)
{
    return value->enumerator != NULL ? value->enumerator->value : value->integer;
}

static void emit_double(const idl_value *value, FILE *file)
{
    char digits[40];

    if (value->kind != IDL_VALUE_DOUBLE) {
        fprintf(file, "(double)");
        emit_integer(integer_of(value), file);
        return;
    }
    if (isinf(value->real)) {
        fprintf(file, "%s__builtin_inf()", value->real < 0 ? "-" : "");
        return;
    }
    snprintf(digits, sizeof(digits), "%.17g", value->real);
    fprintf(file, "%s%s", digits, strpbrk(digits, ".e") == NULL ? ".0" : "");
}

/* Octal escapes end after three digits, whatever follows. */
static void emit_text(const idl_value *value, FILE *file)
{
    fputs("{\"", file);
    for (size_t i = 0; i < value->text_size; i++) {
        const unsigned char c = (unsigned char)value->text[i];
        if (c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '?') {
            fprintf(file, "\\%03o", c);
        } else {
            fputc(c, file);
        }
    }
    fprintf(file, "\", %zu}", value->text_size);
}

static void emit_uuid(const idl_value *value, FILE *file)
{
    uint8_t bytes[16] = {0};

    idl_parse_uuid(value->text, value->text_size, bytes);
    fputs("{{", file);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        fprintf(file, "%s0x%02x", i == 0 ? "" : ", ", bytes[i]);
    fputs("}}", file);
}

static void emit_enum(const idl_definition *definition, const idl_value *value, FILE *file)
{
    const int64_t integer = integer_of(value);

    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next) {
        if (it->value == integer) {
            fputs(idl_enumerator_name(it), file);
            return;
        }
    }
}

static void emit_items(const idl_type *type, const idl_value *value, FILE *file)
{
    unsigned count = 0;

    if (value->items == NULL) {
        fputs("{NULL, 0}", file);
        return;
    }
    fprintf(file, "{(%s[]){",
            type->kind == IDL_MAP ? idl_item_name(type) : idl_type_name(type->element));
    for (const idl_value *item = value->items; item != NULL; item = item->next) {
        fputs(count++ == 0 ? "" : ", ", file);
        if (type->kind == IDL_MAP) {
            fputc('{', file);
            idl_emit_value(type->key, item->key, file);
            fputs(", ", file);
        }
        idl_emit_value(type->element, item, file);
        if (type->kind == IDL_MAP)
            fputc('}', file);
    }
    fprintf(file, "}, %u}", count);
}

/* What the literal says of the field; NULL. */
static const idl_value *find_value(const idl_value *map, const idl_field *field)
{
    for (const idl_value *item = map == NULL ? NULL : map->items; item != NULL; item = item->next) {
        const idl_value *key = idl_value_behind(item->key);
        if (strlen(field->name) == key->text_size &&
                memcmp(field->name, key->text, key->text_size) == 0)
            return item;
    }
    return NULL;
}

static void emit_member(
        const idl_definition *owner, const idl_field *field, const idl_value *value, FILE *file)
{
    fprintf(file, ".%s = ", idl_member_name(field));
    if (idl_is_pointer(owner, field))
        fprintf(file, "&(%s)", idl_type_name(field->type));
    idl_emit_value(field->type, value, file);
    fputs(", ", file);
}

static void emit_union(const idl_definition *definition, const idl_value *map, FILE *file)
{
    fputc('{', file);
    for (const idl_field *field = definition->fields; field != NULL; field = field->next) {
        const idl_value *value = find_value(map, field);
        if (value == NULL)
            continue;
        fprintf(file, ".which = %d, {", field->id);
        emit_member(definition, field, value, file);
        fputc('}', file);
    }
    if (map == NULL || map->items == NULL)
        fputs(".which = 0", file);
    fputc('}', file);
}

/* Whether the field appears in an initialiser: it has a value, or its struct has defaults. */
static bool needs_value(const idl_definition *owner, const idl_field *field, const idl_value *value)
{
    const idl_definition *inner = idl_struct_of(field->type);

    return value != NULL ||
           (inner != NULL && !idl_is_pointer(owner, field) && idl_has_defaults(inner));
}

/* `map` may be NULL: only defaults. */
static void emit_struct(const idl_definition *definition, const idl_value *map, FILE *file)
{
    bool has_some = false;

    if (definition->kind == IDL_UNION) {
        emit_union(definition, map, file);
        return;
    }
    fputc('{', file);
    for (const idl_field *field = definition->fields; field != NULL; field = field->next) {
        const idl_value *value = find_value(map, field);
        value = value == NULL ? field->value : value;
        if (needs_value(definition, field, value))
            emit_member(definition, field, value, file);
        has_some = has_some || value != NULL;
    }
    if (has_some) {
        fputs(".has = {", file);
        for (const idl_field *field = definition->fields; field != NULL; field = field->next) {
            if (find_value(map, field) != NULL || field->value != NULL)
                fprintf(file, ".%s = 1, ", idl_member_name(field));
        }
        fputc('}', file);
    } else if (definition->fields == NULL) {
        fputs(definition->is_result ? ".failure = {0}" : ".nothing = 0", file);
    }
    fputc('}', file);
}

void idl_emit_defaults(const idl_definition *definition, FILE *file)
{
    emit_struct(definition, NULL, file);
}

void idl_emit_value(const idl_type *type, const idl_value *value, FILE *file)
{
    type = idl_type_behind(type);
    if (value == NULL) {
        emit_struct(type->definition, NULL, file); /* Nothing else has a default of its own. */
        return;
    }
    value = idl_value_behind(value);
    switch (type->kind) {
    case IDL_BOOL:
        fputs(value->integer != 0 ? "true" : "false", file);
        break;
    case IDL_I8:
    case IDL_I16:
    case IDL_I32:
    case IDL_I64:
        emit_integer(integer_of(value), file);
        break;
    case IDL_DOUBLE:
        emit_double(value, file);
        break;
    case IDL_STRING:
    case IDL_BINARY:
        emit_text(value, file);
        break;
    case IDL_UUID:
        emit_uuid(value, file);
        break;
    case IDL_LIST:
    case IDL_SET:
    case IDL_MAP:
        emit_items(type, value, file);
        break;
    case IDL_NAMED:
        if (type->definition->kind == IDL_ENUM) {
            emit_enum(type->definition, value, file);
        } else {
            emit_struct(type->definition, value, file);
        }
        break;
    case IDL_VOID:
        break;
    }
}
