/* SPDX-License-Identifier: MIT */
#include "dump.h"

#include "values.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* JSON, a thing at a time. Inside of an object or array, each thing but the first has a comma. */
typedef struct json {
    FILE *file;
    bool needs_comma;
} json;

static void put_comma(json *out)
{
    if (out->needs_comma)
        fputc(',', out->file);
    out->needs_comma = false;
}

/* Bytes that are not UTF-8 come out as they are: strings in Thrift are bytes. */
static void put_string(json *out, const char *text, size_t size)
{
    put_comma(out);
    fputc('"', out->file);
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 0x7f || c == '"' || c == '\\') {
            fprintf(out->file, "\\u%04x", c);
        } else {
            fputc(c, out->file);
        }
    }
    fputc('"', out->file);
    out->needs_comma = true;
}

static void put_text(json *out, const char *text)
{
    put_string(out, text, strlen(text));
}

static void put_word(json *out, const char *word)
{
    put_comma(out);
    fputs(word, out->file);
    out->needs_comma = true;
}

static void put_number(json *out, int64_t number)
{
    put_comma(out);
    fprintf(out->file, "%" PRId64, number);
    out->needs_comma = true;
}

static void open_bracket(json *out, char bracket)
{
    put_comma(out);
    fputc(bracket, out->file);
}

static void close_bracket(json *out, char bracket)
{
    fputc(bracket, out->file);
    out->needs_comma = true;
}

static void put_key(json *out, const char *key)
{
    put_text(out, key);
    fputc(':', out->file);
    out->needs_comma = false;
}

static void put_entry(json *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    put_key(out, key);
    put_text(out, text);
}

static void put_annotations(json *out, const idl_annotation *annotations)
{
    if (annotations == NULL)
        return;
    put_key(out, "annotations");
    open_bracket(out, '[');
    for (const idl_annotation *it = annotations; it != NULL; it = it->next) {
        open_bracket(out, '[');
        put_text(out, it->key);
        put_text(out, it->value);
        close_bracket(out, ']');
    }
    close_bracket(out, ']');
}

static void put_type(json *out, const idl_type *type)
{
    open_bracket(out, '{');
    if (type->kind == IDL_NAMED) {
        put_entry(out, "name", type->definition->name);
        put_entry(out, "document", type->definition->document->name);
        put_entry(out, "kind", idl_definition_kind_name(type->definition->kind));
    } else if (type->element != NULL) {
        static const char *const words[] = {
                [IDL_LIST] = "list", [IDL_SET] = "set", [IDL_MAP] = "map"};
        put_entry(out, "kind", words[type->kind]);
        if (type->key != NULL) {
            put_key(out, "key");
            put_type(out, type->key);
        }
        put_key(out, "element");
        put_type(out, type->element);
    } else {
        put_entry(out, "kind", idl_type_text(type));
    }
    put_annotations(out, type->annotations);
    close_bracket(out, '}');
}

static void put_value(json *out, const idl_value *value);

static void put_items(json *out, const idl_value *value)
{
    open_bracket(out, '[');
    for (const idl_value *item = value->items; item != NULL; item = item->next) {
        if (value->kind == IDL_VALUE_MAP) {
            open_bracket(out, '[');
            put_value(out, item->key);
            put_value(out, item);
            close_bracket(out, ']');
        } else {
            put_value(out, item);
        }
    }
    close_bracket(out, ']');
}

/* Maps are arrays of pairs: their keys may be anything. */
static void put_value(json *out, const idl_value *value)
{
    char digits[32];

    value = idl_value_behind(value);
    switch (value->kind) {
    case IDL_VALUE_INTEGER:
        put_number(out, value->integer);
        break;
    case IDL_VALUE_DOUBLE:
        snprintf(digits, sizeof(digits), "%.17g", value->real);
        put_word(out, digits);
        break;
    case IDL_VALUE_LITERAL:
        put_string(out, value->text, value->text_size);
        break;
    case IDL_VALUE_NAME:
        put_number(out, value->is_boolean ? value->integer : value->enumerator->value);
        break;
    case IDL_VALUE_LIST:
        put_items(out, value);
        break;
    case IDL_VALUE_MAP:
        open_bracket(out, '{');
        put_key(out, "map");
        put_items(out, value);
        close_bracket(out, '}');
        break;
    }
}

static void put_field(json *out, const idl_field *field)
{
    static const char *const words[] = {
            [IDL_DEFAULT] = NULL, [IDL_REQUIRED] = "required", [IDL_OPTIONAL] = "optional"};

    open_bracket(out, '{');
    put_key(out, "id");
    put_number(out, field->id);
    put_entry(out, "name", field->name);
    put_entry(out, "requiredness", words[field->requiredness]);
    put_key(out, "type");
    put_type(out, field->type);
    if (field->is_reference) {
        put_key(out, "reference");
        put_word(out, "true");
    }
    if (field->value != NULL) {
        put_key(out, "default");
        put_value(out, field->value);
    }
    put_entry(out, "doc", field->doc);
    put_annotations(out, field->annotations);
    close_bracket(out, '}');
}

static void put_fields(json *out, const char *key, const idl_field *fields)
{
    put_key(out, key);
    open_bracket(out, '[');
    for (; fields != NULL; fields = fields->next)
        put_field(out, fields);
    close_bracket(out, ']');
}

static void put_enumerators(json *out, const idl_enumerator *enumerators)
{
    put_key(out, "values");
    open_bracket(out, '[');
    for (const idl_enumerator *it = enumerators; it != NULL; it = it->next) {
        open_bracket(out, '{');
        put_entry(out, "name", it->name);
        put_key(out, "value");
        put_number(out, it->value);
        put_entry(out, "doc", it->doc);
        put_annotations(out, it->annotations);
        close_bracket(out, '}');
    }
    close_bracket(out, ']');
}

static void put_function(json *out, const idl_function *function)
{
    open_bracket(out, '{');
    put_entry(out, "name", function->name);
    if (function->is_oneway) {
        put_key(out, "oneway");
        put_word(out, "true");
    }
    put_key(out, "result");
    put_type(out, function->result);
    put_fields(out, "parameters", function->parameters);
    put_fields(out, "exceptions", function->exceptions);
    put_entry(out, "doc", function->doc);
    put_annotations(out, function->annotations);
    close_bracket(out, '}');
}

static void put_service(json *out, const idl_definition *service)
{
    if (service->parent != NULL) {
        put_key(out, "extends");
        open_bracket(out, '{');
        put_entry(out, "name", service->parent->name);
        put_entry(out, "document", service->parent->document->name);
        close_bracket(out, '}');
    }
    put_key(out, "functions");
    open_bracket(out, '[');
    for (const idl_function *it = service->functions; it != NULL; it = it->next)
        put_function(out, it);
    close_bracket(out, ']');
}

static void put_definition(json *out, const idl_definition *definition)
{
    open_bracket(out, '{');
    put_entry(out, "kind", idl_definition_kind_name(definition->kind));
    put_entry(out, "name", definition->name);
    if (definition->type != NULL) {
        put_key(out, "type");
        put_type(out, definition->type);
    }
    if (definition->value != NULL) {
        put_key(out, "value");
        put_value(out, definition->value);
    }
    if (definition->kind == IDL_ENUM)
        put_enumerators(out, definition->enumerators);
    if (definition->kind >= IDL_STRUCT && definition->kind <= IDL_EXCEPTION)
        put_fields(out, "fields", definition->fields);
    if (definition->kind == IDL_SERVICE)
        put_service(out, definition);
    put_entry(out, "doc", definition->doc);
    put_annotations(out, definition->annotations);
    close_bracket(out, '}');
}

static void put_document(json *out, const idl_document *document)
{
    open_bracket(out, '{');
    put_entry(out, "name", document->name);
    put_entry(out, "doc", document->doc);
    put_key(out, "includes");
    open_bracket(out, '[');
    for (const idl_include *it = document->includes; it != NULL; it = it->next)
        put_text(out, it->path);
    close_bracket(out, ']');
    put_key(out, "namespaces");
    open_bracket(out, '[');
    for (const idl_namespace *it = document->namespaces; it != NULL; it = it->next) {
        open_bracket(out, '[');
        put_text(out, it->language);
        put_text(out, it->name);
        close_bracket(out, ']');
    }
    close_bracket(out, ']');
    put_key(out, "definitions");
    open_bracket(out, '[');
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        fputc('\n', out->file);
        put_definition(out, it);
    }
    close_bracket(out, ']');
    close_bracket(out, '}');
}

int idl_dump(const idl_document *documents, FILE *file)
{
    json out = {.file = file};

    open_bracket(&out, '[');
    for (; documents != NULL; documents = documents->next)
        put_document(&out, documents);
    close_bracket(&out, ']');
    fputc('\n', file);
    return ferror(file) ? -EIO : 0;
}
