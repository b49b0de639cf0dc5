/* SPDX-License-Identifier: MIT */
/* Types, values and annotations, wherever they stand. */
#include "parsing.h"

#include "memory.h"

#include <string.h>

enum { DEPTH_MAX = 64 }; /* Of types and of values. */

idl_annotation *idl_parse_annotations(idl_parser *self)
{
    idl_annotation *first = NULL;
    idl_annotation **end = &first;

    if (!idl_take_symbol(self, '('))
        return NULL;
    while (idl_has_more(self, ')')) {
        idl_annotation *annotation = IDL_NEW(idl_annotation);
        annotation->key = idl_expect_identifier(self, "the key of an annotation");
        annotation->place = self->last;
        annotation->value = "1";
        if (idl_take_symbol(self, '='))
            annotation->value = idl_expect_literal(self, "the string of an annotation");
        idl_skip_separator(self);
        if (self->is_lost)
            break;
        *end = annotation;
        end = &annotation->next;
    }
    idl_expect_symbol(self, ')');
    return first;
}

static bool find_base_type(const char *name, idl_type_kind *out_kind)
{
    static const struct {
        const char *name;
        idl_type_kind kind;
    } types[] = {
            {"bool", IDL_BOOL},
            {"byte", IDL_I8},
            {"i8", IDL_I8},
            {"i16", IDL_I16},
            {"i32", IDL_I32},
            {"i64", IDL_I64},
            {"double", IDL_DOUBLE},
            {"string", IDL_STRING},
            {"binary", IDL_BINARY},
            {"uuid", IDL_UUID},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) == 0) {
            *out_kind = types[i].kind;
            return true;
        }
    }
    return false;
}

/* cpp_type "std::deque<int>": read as an annotation. */
static idl_annotation *parse_cpp_type(idl_parser *self)
{
    if (!idl_take_word(self, "cpp_type"))
        return NULL;
    idl_annotation *annotation = IDL_NEW(idl_annotation);
    annotation->place = self->last;
    annotation->key = "cpp_type";
    annotation->value = idl_expect_literal(self, "the string of cpp_type");
    return annotation;
}

/* After `list`, `set` or `map`. */
static void parse_container(idl_parser *self, idl_type *type, idl_type_kind kind)
{
    idl_annotation *cpp_type = kind == IDL_LIST ? NULL : parse_cpp_type(self);

    type->kind = kind;
    idl_expect_symbol(self, '<');
    if (kind == IDL_MAP) {
        type->key = idl_parse_type(self);
        idl_expect_symbol(self, ',');
    }
    type->element = idl_parse_type(self);
    idl_expect_symbol(self, '>');
    if (kind == IDL_LIST)
        cpp_type = parse_cpp_type(self);
    type->annotations = idl_parse_annotations(self);
    if (cpp_type != NULL) {
        cpp_type->next = type->annotations;
        type->annotations = cpp_type;
    }
}

static void parse_known_type(idl_parser *self, idl_type *type)
{
    const char *name = idl_expect_identifier(self, "a type");

    type->place = self->last;
    if (name == NULL)
        return;
    const bool has_parameters = idl_at_symbol(self, '<') || idl_at_word(self, "cpp_type");
    if (has_parameters && strcmp(name, "list") == 0) {
        parse_container(self, type, IDL_LIST);
    } else if (has_parameters && strcmp(name, "set") == 0) {
        parse_container(self, type, IDL_SET);
    } else if (has_parameters && strcmp(name, "map") == 0) {
        parse_container(self, type, IDL_MAP);
    } else if (find_base_type(name, &type->kind)) {
        type->annotations = idl_parse_annotations(self);
    } else {
        type->kind = IDL_NAMED;
        type->name = name;
    }
}

idl_type *idl_parse_type(idl_parser *self)
{
    idl_type *type = IDL_NEW(idl_type);

    if (self->depth == DEPTH_MAX) {
        idl_lose(self, "a type that is nested less deep");
        return type;
    }
    self->depth++;
    parse_known_type(self, type);
    self->depth--;
    return type;
}

/* After the opening bracket. */
static void parse_list(idl_parser *self, idl_value *list)
{
    idl_value **end = &list->items;

    list->kind = IDL_VALUE_LIST;
    while (idl_has_more(self, ']')) {
        *end = idl_parse_value(self);
        end = &(*end)->next;
        idl_skip_separator(self);
    }
    idl_expect_symbol(self, ']');
}

/* After the opening brace. */
static void parse_map(idl_parser *self, idl_value *map)
{
    idl_value **end = &map->items;

    map->kind = IDL_VALUE_MAP;
    while (idl_has_more(self, '}')) {
        idl_value *key = idl_parse_value(self);
        idl_expect_symbol(self, ':');
        *end = idl_parse_value(self);
        (*end)->key = key;
        end = &(*end)->next;
        idl_skip_separator(self);
    }
    idl_expect_symbol(self, '}');
}

static void parse_simple_value(idl_parser *self, idl_value *value)
{
    const idl_token *token = &self->token;

    value->integer = token->integer;
    value->real = token->real;
    value->text = token->text;
    value->text_size = token->text_size;
    switch (token->kind) {
    case IDL_TOKEN_INTEGER:
        value->kind = IDL_VALUE_INTEGER;
        break;
    case IDL_TOKEN_DOUBLE:
        value->kind = IDL_VALUE_DOUBLE;
        break;
    case IDL_TOKEN_LITERAL:
        value->kind = IDL_VALUE_LITERAL;
        break;
    case IDL_TOKEN_IDENTIFIER:
        value->kind = IDL_VALUE_NAME;
        break;
    default:
        idl_lose(self, "a value");
        return;
    }
    idl_advance(self);
}

idl_value *idl_parse_value(idl_parser *self)
{
    idl_value *value = IDL_NEW(idl_value);

    value->place = self->token.place;
    if (self->depth == DEPTH_MAX) {
        idl_lose(self, "a value that is nested less deep");
        return value;
    }
    self->depth++;
    if (idl_take_symbol(self, '[')) {
        parse_list(self, value);
    } else if (idl_take_symbol(self, '{')) {
        parse_map(self, value);
    } else if (!self->is_lost) {
        parse_simple_value(self, value);
    }
    self->depth--;
    return value;
}
