/* SPDX-License-Identifier: MIT */
/* Values of any type as text for people. */
#include <coil/thrift_schema.h>

#include "thrift_schema_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* What has no room is counted only. */
typedef struct printer {
    char *text;
    size_t text_size;
    size_t size;
} printer;

static void print_value(printer *out, const coil_thrift_type_schema *type, const void *value);

static void put(printer *out, const char *format, ...) COIL_PRINTF(2, 3);

static void put(printer *out, const char *format, ...)
{
    const bool has_room = out->size < out->text_size;
    char *end = has_room ? out->text + out->size : NULL;
    va_list values;

    va_start(values, format);
    const int size = vsnprintf(end, has_room ? out->text_size - out->size : 0, format, values);
    va_end(values);
    if (size > 0)
        out->size += (size_t)size;
}

/* As a string of C; of a binary, what is not printable in hexadecimal. */
static void print_text(printer *out, bool is_binary, const coil_thrift_text *text)
{
    put(out, "\"");
    for (uint32_t i = 0; i < text->size; i++) {
        const unsigned char c = (unsigned char)text->bytes[i];
        if (c == '"' || c == '\\') {
            put(out, "\\%c", c);
        } else if (c == '\n') {
            put(out, "\\n");
        } else if (c < ' ' || c == 0x7f || (is_binary && c >= 0x80)) {
            put(out, "\\x%02x", c);
        } else {
            put(out, "%c", c);
        }
    }
    put(out, "\"");
}

static void print_uuid(printer *out, const coil_thrift_uuid *uuid)
{
    for (unsigned i = 0; i < sizeof(uuid->bytes); i++) {
        const bool has_dash = i == 4 || i == 6 || i == 8 || i == 10;
        put(out, "%s%02x", has_dash ? "-" : "", uuid->bytes[i]);
    }
}

static void print_i32(printer *out, const coil_thrift_enum_schema *enumeration, int32_t value)
{
    const char *name = enumeration == NULL ? NULL : coil_thrift_enum_name(enumeration, value);

    if (name != NULL) {
        put(out, "%s", name);
    } else {
        put(out, "%" PRId32, value);
    }
}

static void print_items(
        printer *out, const coil_thrift_type_schema *type, const coil_thrift_items *list)
{
    const bool is_list = type->type == COIL_THRIFT_LIST;
    const char *item = list->items;

    put(out, is_list ? "[" : "{");
    for (uint32_t i = 0; i < list->count; i++) {
        put(out, "%s", i == 0 ? "" : ", ");
        if (type->key != NULL) {
            print_value(out, type->key, item);
            put(out, ": ");
        }
        print_value(out, type->element, item + type->value_offset);
        item += type->item_bytes;
    }
    put(out, is_list ? "]" : "}");
}

static void print_struct(printer *out, const coil_thrift_type_schema *type, const void *value)
{
    const coil_thrift_struct_schema *schema = type->structure;
    const void *target = value;
    bool is_first = true;

    if (type->is_reference)
        memcpy(&target, value, sizeof(target));
    if (target == NULL) {
        put(out, "null");
        return;
    }
    put(out, "%s{", schema->name);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!thrift_has_field(schema, target, i))
            continue;
        put(out, "%s%s: ", is_first ? "" : ", ", schema->fields[i].name);
        print_value(out, schema->fields[i].type, (const char *)target + schema->fields[i].offset);
        is_first = false;
    }
    put(out, "}");
}

static void print_value(printer *out, const coil_thrift_type_schema *type, const void *value)
{
    switch (type->type) {
    case COIL_THRIFT_BOOL:
        put(out, "%s", *(const bool *)value ? "true" : "false");
        break;
    case COIL_THRIFT_I8:
        put(out, "%d", *(const int8_t *)value);
        break;
    case COIL_THRIFT_I16:
        put(out, "%d", *(const int16_t *)value);
        break;
    case COIL_THRIFT_I32:
        print_i32(out, type->enumeration, *(const int32_t *)value);
        break;
    case COIL_THRIFT_I64:
        put(out, "%" PRId64, *(const int64_t *)value);
        break;
    case COIL_THRIFT_DOUBLE:
        put(out, "%.17g", *(const double *)value);
        break;
    case COIL_THRIFT_STRING:
        print_text(out, type->is_binary, value);
        break;
    case COIL_THRIFT_UUID:
        print_uuid(out, value);
        break;
    case COIL_THRIFT_STRUCT:
        print_struct(out, type, value);
        break;
    default:
        print_items(out, type, value);
        break;
    }
}

size_t coil_thrift_print(
        const coil_thrift_type_schema *type, const void *value, char *text, size_t text_size)
{
    printer out = {text, text_size, 0};

    if (text_size > 0)
        *text = '\0';
    print_value(&out, type, value);
    return out.size;
}

coil_thrift_text coil_thrift_format(coil_arena *arena, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    const int size = vsnprintf(NULL, 0, format, values);
    va_end(values);
    char *text = size > 0 ? coil_arena_take(arena, (size_t)size + 1, 1) : NULL;
    if (text == NULL)
        return (coil_thrift_text){.bytes = "", .size = 0};
    va_start(values, format);
    (void)vsnprintf(text, (size_t)size + 1, format, values);
    va_end(values);
    return (coil_thrift_text){.bytes = text, .size = (uint32_t)size};
}
