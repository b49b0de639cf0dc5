/* SPDX-License-Identifier: MIT */
#include "values.h"

#include "memory.h"
#include "scope.h"

#include <inttypes.h>
#include <string.h>

const idl_value *idl_value_behind(const idl_value *value)
{
    while (value->constant != NULL)
        value = value->constant->value;
    return value;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool idl_parse_uuid(const char *text, size_t size, uint8_t out_bytes[16])
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    unsigned digit_count = 0;

    if (size == sizeof(form) + 1 && text[0] == '{' && text[size - 1] == '}') {
        text++;
        size -= 2;
    }
    if (size != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        const int digit = hex_value(text[i]);
        if (form[i] == '-') {
            if (text[i] != '-')
                return false;
            continue;
        }
        if (digit < 0)
            return false;
        uint8_t *byte = &out_bytes[digit_count++ / 2];
        *byte = (uint8_t)(*byte << 4 | digit);
    }
    return true;
}

static const char *value_text(const idl_value *value)
{
    switch (value->kind) {
    case IDL_VALUE_INTEGER:
        return idl_format("the number %" PRId64, value->integer);
    case IDL_VALUE_DOUBLE:
        return idl_format("the number %s", value->text);
    case IDL_VALUE_LITERAL:
        return "a string";
    case IDL_VALUE_NAME:
        return idl_format("'%s'", value->text);
    case IDL_VALUE_LIST:
        return "a list";
    case IDL_VALUE_MAP:
        return "a map";
    }
    return "?";
}

static void report_mismatch(idl_place place, const idl_type *type, const idl_value *value)
{
    idl_error(place, "%s is not a value of the type %s", value_text(value), idl_type_text(type));
}

/*
 * A value of the enum without the enum's name, "RED" or "include.RED", or after another one's,
 * which others accept; NULL.
 */
static idl_enumerator *find_loose_enumerator(const idl_type *type, const char *name)
{
    const idl_definition *owner = idl_type_behind(type)->definition;
    const char *dot = strrchr(name, '.');

    if (owner == NULL || owner->kind != IDL_ENUM)
        return NULL;
    for (idl_enumerator *it = owner->enumerators; it != NULL; it = it->next) {
        if (strcmp(it->name, dot == NULL ? name : dot + 1) == 0)
            return it;
    }
    return NULL;
}

static bool has_meaning(const idl_value *value)
{
    return value->kind != IDL_VALUE_NAME || value->constant != NULL || value->enumerator != NULL ||
           value->is_boolean;
}

/* What the name means, unless that is known. False: nothing, which has been reported. */
static bool find_meaning(const idl_document *document, const idl_type *type, idl_value *value)
{
    if (has_meaning(value))
        return true;
    if (strcmp(value->text, "true") == 0 || strcmp(value->text, "false") == 0) {
        value->is_boolean = true;
        value->integer = *value->text == 't';
        return true;
    }
    value->enumerator = idl_find_enumerator(document, value->text);
    if (value->enumerator == NULL)
        value->enumerator = find_loose_enumerator(type, value->text);
    if (value->enumerator != NULL)
        return true;
    value->constant = idl_find(document, IDL_CONSTANTS, value->text, value->place);
    if (value->constant == NULL)
        return false;
    if (value->constant->progress == IDL_UNDER_WAY) {
        idl_error(value->place, "the constant '%s' depends on itself", value->text);
        value->constant = NULL;
        return false;
    }
    idl_check_constant(value->constant);
    return true;
}

static void check(
        const idl_document *document, const idl_type *type, idl_value *value, idl_place place);

static void check_integer(
        const idl_type *type, const idl_value *value, idl_place place, int64_t least, int64_t most)
{
    int64_t integer = value->integer;

    if (value->kind == IDL_VALUE_NAME && value->enumerator != NULL) {
        integer = value->enumerator->value;
    } else if (value->kind != IDL_VALUE_INTEGER) {
        report_mismatch(place, type, value);
        return;
    }
    if (integer < least || integer > most)
        idl_error(place, "%" PRId64 " does not fit the type %s", integer, idl_type_text(type));
}

static void check_enum(const idl_type *type, const idl_value *value, idl_place place)
{
    const idl_definition *definition = idl_type_behind(type)->definition;
    int64_t integer = value->integer;

    if (value->enumerator != NULL) {
        if (value->enumerator->owner == definition)
            return;
        idl_warning(
                place, "'%s' is a value of another enum than %s", value->text, definition->name);
        integer = value->enumerator->value;
    } else if (value->kind != IDL_VALUE_INTEGER) {
        report_mismatch(place, type, value);
        return;
    }
    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next) {
        if (it->value == integer)
            return;
    }
    idl_error(place, "the enum %s has no value %" PRId64, definition->name, integer);
}

static idl_field *find_field(const idl_definition *definition, const idl_value *key)
{
    for (idl_field *field = definition->fields; field != NULL; field = field->next) {
        if (strlen(field->name) == key->text_size &&
                memcmp(field->name, key->text, key->text_size) == 0)
            return field;
    }
    return NULL;
}

/* A field that is named twice, as the same key of a map, is a mistake that compilers do not see. */
static void check_unique_key(const idl_value *map, const idl_value *item)
{
    for (const idl_value *it = map->items; it != item; it = it->next) {
        if (it->key->kind == IDL_VALUE_LITERAL && it->key->text_size == item->key->text_size &&
                memcmp(it->key->text, item->key->text, item->key->text_size) == 0) {
            idl_error(item->key->place, "the field '%s' is here twice", item->key->text);
            return;
        }
    }
}

static void check_struct(
        const idl_document *document, const idl_type *type, const idl_value *value, idl_place place)
{
    const idl_definition *definition = idl_type_behind(type)->definition;

    if (value->kind != IDL_VALUE_MAP) {
        report_mismatch(place, type, value);
        return;
    }
    for (idl_value *item = value->items; item != NULL; item = item->next) {
        if (item->key->kind != IDL_VALUE_LITERAL) {
            idl_error(item->key->place, "expected the name of a field of %s, in quotes",
                    definition->name);
            continue;
        }
        const idl_field *field = find_field(definition, item->key);
        if (field == NULL) {
            idl_error(item->key->place, "%s has no field '%s'", definition->name, item->key->text);
        } else {
            check_unique_key(value, item);
            check(document, field->type, item, item->place);
        }
    }
    if (definition->kind == IDL_UNION && value->items != NULL && value->items->next != NULL)
        idl_error(place, "a union has one field at most");
}

/* An empty list may be written as an empty map, and the other way round: as elsewhere. */
static void check_container(const idl_document *document, const idl_type *type,
        const idl_type *behind, const idl_value *value, idl_place place)
{
    const idl_value_kind kind = behind->kind == IDL_MAP ? IDL_VALUE_MAP : IDL_VALUE_LIST;

    if (value->kind != kind && (value->kind < IDL_VALUE_LIST || value->items != NULL)) {
        report_mismatch(place, type, value);
        return;
    }
    for (idl_value *item = value->items; item != NULL; item = item->next) {
        if (item->key != NULL)
            check(document, behind->key, item->key, item->key->place);
        check(document, behind->element, item, item->place);
    }
}

static void check_text(const idl_type *type, const idl_value *value, idl_place place)
{
    uint8_t bytes[16] = {0};

    if (value->kind != IDL_VALUE_LITERAL) {
        report_mismatch(place, type, value);
    } else if (idl_type_behind(type)->kind == IDL_UUID &&
               !idl_parse_uuid(value->text, value->text_size, bytes)) {
        idl_error(place, "a uuid is written like \"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"");
    }
}

static void check_boolean(const idl_type *type, const idl_value *value, idl_place place)
{
    const bool is_number = value->kind == IDL_VALUE_INTEGER;

    if (!value->is_boolean && !(is_number && (value->integer == 0 || value->integer == 1)))
        report_mismatch(place, type, value);
}

static void check_known(
        const idl_document *document, const idl_type *type, const idl_value *value, idl_place place)
{
    const idl_type *behind = idl_type_behind(type);

    switch (behind->kind) {
    case IDL_BOOL:
        check_boolean(type, value, place);
        break;
    case IDL_I8:
        check_integer(type, value, place, INT8_MIN, INT8_MAX);
        break;
    case IDL_I16:
        check_integer(type, value, place, INT16_MIN, INT16_MAX);
        break;
    case IDL_I32:
        check_integer(type, value, place, INT32_MIN, INT32_MAX);
        break;
    case IDL_I64:
        check_integer(type, value, place, INT64_MIN, INT64_MAX);
        break;
    case IDL_DOUBLE:
        if (value->kind != IDL_VALUE_DOUBLE)
            check_integer(type, value, place, INT64_MIN, INT64_MAX);
        break;
    case IDL_STRING:
    case IDL_BINARY:
    case IDL_UUID:
        check_text(type, value, place);
        break;
    case IDL_LIST:
    case IDL_SET:
    case IDL_MAP:
        check_container(document, type, behind, value, place);
        break;
    case IDL_NAMED:
        if (behind->definition->kind == IDL_ENUM) {
            check_enum(type, value, place);
        } else {
            check_struct(document, type, value, place);
        }
        break;
    case IDL_VOID:
        report_mismatch(place, type, value);
        break;
    }
}

/* Mistakes are reported at `place`: the value's own, or that of the constant's name. */
static void check(
        const idl_document *document, const idl_type *type, idl_value *value, idl_place place)
{
    if (value->kind == IDL_VALUE_NAME && !find_meaning(document, type, value))
        return;
    if (value->constant == NULL) {
        check_known(document, type, value, place);
        return;
    }
    /* Its own names have been found, in the document where it stands, or that was an error. */
    const idl_value *behind = idl_value_behind(value);
    if (has_meaning(behind))
        check_known(value->constant->document, type, behind, place);
}

void idl_check_value(const idl_document *document, const idl_type *type, idl_value *value)
{
    check(document, type, value, value->place);
}

void idl_check_constant(idl_definition *constant)
{
    if (constant->progress != IDL_UNTOUCHED)
        return;
    constant->progress = IDL_UNDER_WAY;
    idl_check_value(constant->document, constant->type, constant->value);
    constant->progress = IDL_FINISHED;
}
