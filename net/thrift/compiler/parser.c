/* SPDX-License-Identifier: MIT */
#include "parser.h"

#include "memory.h"
#include "parsing.h"

#include <string.h>

/* `7:`, or nothing. */
static void parse_field_id(idl_parser *self, idl_field *field)
{
    if (self->token.kind != IDL_TOKEN_INTEGER)
        return;
    const int64_t id = self->token.integer;
    field->has_id = true;
    if (id < INT16_MIN || id > INT16_MAX) {
        idl_error(self->token.place, "the number of a field is from 1 to 32767, not %lld",
                (long long)id);
    } else {
        field->id = (int32_t)id;
    }
    idl_advance(self);
    idl_expect_symbol(self, ':');
}

static idl_field *parse_field(idl_parser *self)
{
    idl_field *field = IDL_NEW(idl_field);

    field->doc = self->token.doc;
    parse_field_id(self, field);
    if (idl_take_word(self, "required")) {
        field->requiredness = IDL_REQUIRED;
    } else if (idl_take_word(self, "optional")) {
        field->requiredness = IDL_OPTIONAL;
    }
    field->type = idl_parse_type(self);
    field->is_reference = idl_take_symbol(self, '&');
    field->name = idl_expect_name(self, "the name of a field");
    field->place = self->last;
    if (idl_take_symbol(self, '='))
        field->value = idl_parse_value(self);
    field->annotations = idl_parse_annotations(self);
    idl_skip_separator(self);
    return field;
}

/* Up to the closing `end`, which is taken. */
static idl_field *parse_fields(idl_parser *self, char end_symbol)
{
    idl_field *first = NULL;
    idl_field **end = &first;

    while (idl_has_more(self, end_symbol)) {
        *end = parse_field(self);
        end = &(*end)->next;
    }
    idl_expect_symbol(self, end_symbol);
    return first;
}

static void parse_typedef(idl_parser *self, idl_definition *definition)
{
    definition->type = idl_parse_type(self);
    definition->name = idl_expect_name(self, "the name of the type");
    definition->place = self->last;
}

static void parse_const(idl_parser *self, idl_definition *definition)
{
    definition->type = idl_parse_type(self);
    definition->name = idl_expect_name(self, "the name of the constant");
    definition->place = self->last;
    idl_expect_symbol(self, '=');
    definition->value = idl_parse_value(self);
}

/* `= 7`, or one more than the one before. */
static void parse_enumerator_value(
        idl_parser *self, idl_enumerator *enumerator, int64_t *next_value)
{
    idl_place place = enumerator->place;

    if (idl_take_symbol(self, '=')) {
        place = self->token.place;
        if (self->token.kind != IDL_TOKEN_INTEGER) {
            idl_lose(self, "a whole number");
            return;
        }
        *next_value = self->token.integer;
        idl_advance(self);
    }
    if (*next_value < INT32_MIN || *next_value > INT32_MAX) {
        idl_error(place, "the value of '%s' does not fit 32 bits: %lld", enumerator->name,
                (long long)*next_value);
        *next_value = 0;
    }
    enumerator->value = (int32_t)*next_value;
    ++*next_value;
}

static void parse_enum(idl_parser *self, idl_definition *definition)
{
    idl_enumerator **end = &definition->enumerators;
    int64_t next_value = 0;

    definition->name = idl_expect_name(self, "the name of the enum");
    definition->place = self->last;
    idl_expect_symbol(self, '{');
    while (idl_has_more(self, '}')) {
        idl_enumerator *enumerator = IDL_NEW(idl_enumerator);
        enumerator->owner = definition;
        enumerator->doc = self->token.doc;
        enumerator->name = idl_expect_name(self, "the name of a value");
        enumerator->place = self->last;
        parse_enumerator_value(self, enumerator, &next_value);
        enumerator->annotations = idl_parse_annotations(self);
        idl_skip_separator(self);
        *end = enumerator;
        end = &enumerator->next;
    }
    idl_expect_symbol(self, '}');
}

static void parse_struct(idl_parser *self, idl_definition *definition)
{
    definition->name = idl_expect_name(
            self, idl_format("the name of the %s", idl_definition_kind_name(definition->kind)));
    definition->place = self->last;
    idl_expect_symbol(self, '{');
    definition->fields = parse_fields(self, '}');
}

/* `void` is a type here only. */
static idl_type *parse_result(idl_parser *self)
{
    if (!idl_at_word(self, "void"))
        return idl_parse_type(self);
    idl_type *type = IDL_NEW(idl_type);
    type->kind = IDL_VOID;
    type->place = self->token.place;
    idl_advance(self);
    return type;
}

static idl_function *parse_function(idl_parser *self)
{
    idl_function *function = IDL_NEW(idl_function);

    function->doc = self->token.doc;
    function->is_oneway = idl_take_word(self, "oneway");
    function->result = parse_result(self);
    function->name = idl_expect_name(self, "the name of a function");
    function->place = self->last;
    idl_expect_symbol(self, '(');
    function->parameters = parse_fields(self, ')');
    if (idl_take_word(self, "throws")) {
        idl_expect_symbol(self, '(');
        function->exceptions = parse_fields(self, ')');
    }
    function->annotations = idl_parse_annotations(self);
    idl_skip_separator(self);
    return function;
}

static void parse_service(idl_parser *self, idl_definition *definition)
{
    idl_function **end = &definition->functions;

    definition->name = idl_expect_name(self, "the name of the service");
    definition->place = self->last;
    if (idl_take_word(self, "extends")) {
        definition->parent_name = idl_expect_identifier(self, "the name of a service");
        definition->parent_place = self->last;
    }
    idl_expect_symbol(self, '{');
    while (idl_has_more(self, '}')) {
        *end = parse_function(self);
        end = &(*end)->next;
    }
    idl_expect_symbol(self, '}');
}

static const struct {
    const char *word;
    idl_definition_kind kind;
    void (*parse)(idl_parser *self, idl_definition *definition);
} definition_words[] = {
        {"typedef", IDL_TYPEDEF, parse_typedef},
        {"enum", IDL_ENUM, parse_enum},
        {"const", IDL_CONST, parse_const},
        {"struct", IDL_STRUCT, parse_struct},
        {"union", IDL_UNION, parse_struct},
        {"exception", IDL_EXCEPTION, parse_struct},
        {"service", IDL_SERVICE, parse_service},
};

enum { DEFINITION_WORD_COUNT = sizeof(definition_words) / sizeof(definition_words[0]) };

/* Which of the words is next; DEFINITION_WORD_COUNT if none is. */
static size_t find_definition_word(const idl_parser *self)
{
    size_t i = 0;

    while (i < DEFINITION_WORD_COUNT && !idl_at_word(self, definition_words[i].word))
        i++;
    return i;
}

/* Words of the past; NULL. */
static const char *old_word(const idl_parser *self)
{
    static const char *const words[] = {"senum", "slist", "async", "xsd_namespace", "php_namespace",
            "py_module", "perl_package", "ruby_namespace", "smalltalk_category", "java_package",
            "cocoa_package", "csharp_namespace", "delphi_namespace", "cpp_namespace"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (idl_at_word(self, words[i]))
            return words[i];
    }
    return NULL;
}

/*
 * To the next word that begins a definition, at the beginning of a line: elsewhere it may be a
 * name.
 */
static void find_the_way(idl_parser *self)
{
    while (self->token.kind != IDL_TOKEN_END) {
        const bool is_word = find_definition_word(self) < DEFINITION_WORD_COUNT || old_word(self);
        if (is_word && idl_place_column(self->token.place) == 1)
            break;
        idl_advance(self);
    }
    self->is_lost = false;
    self->depth = 0;
}

static idl_definition *parse_definition(idl_parser *self)
{
    const size_t word = find_definition_word(self);

    if (word == DEFINITION_WORD_COUNT) {
        if (old_word(self) != NULL) {
            idl_error(self->token.place, "'%s' is of the past and not supported", old_word(self));
            self->is_lost = true;
        }
        idl_lose(self, "typedef, enum, const, struct, union, exception or service");
        idl_advance(self);
        return NULL;
    }
    idl_definition *definition = IDL_NEW(idl_definition);
    definition->kind = definition_words[word].kind;
    definition->doc = self->token.doc;
    definition->document = self->document;
    idl_advance(self);
    definition_words[word].parse(self, definition);
    definition->annotations = idl_parse_annotations(self);
    idl_skip_separator(self);
    return definition->name == NULL ? NULL : definition;
}

static void parse_namespace(idl_parser *self, idl_namespace *namespace)
{
    if (idl_take_symbol(self, '*')) {
        namespace->language = "*";
    } else {
        namespace->language = idl_expect_identifier(self, "a language");
    }
    namespace->place = self->token.place;
    if (self->token.kind == IDL_TOKEN_LITERAL) {
        namespace->name = idl_expect_literal(self, "a namespace");
    } else {
        namespace->name = idl_expect_identifier(self, "a namespace");
    }
    namespace->annotations = idl_parse_annotations(self);
    idl_skip_separator(self);
}

static void parse_headers(idl_parser *self)
{
    idl_include **include_end = &self->document->includes;
    idl_namespace **namespace_end = &self->document->namespaces;

    while (!self->is_lost) {
        if (idl_take_word(self, "include")) {
            idl_include *include = IDL_NEW(idl_include);
            include->place = self->token.place;
            include->path = idl_expect_literal(self, "the path of a file, in quotes");
            idl_skip_separator(self);
            *include_end = include;
            include_end = &include->next;
        } else if (idl_take_word(self, "namespace")) {
            *namespace_end = IDL_NEW(idl_namespace);
            parse_namespace(self, *namespace_end);
            namespace_end = &(*namespace_end)->next;
        } else if (idl_take_word(self, "cpp_include")) {
            idl_expect_literal(self, "the path of a file, in quotes"); /* Nothing to us. */
            idl_skip_separator(self);
        } else {
            return;
        }
    }
}

void idl_parse(idl_document *document)
{
    idl_parser self = {.document = document};
    idl_definition **end = &document->definitions;

    idl_lexer_begin(&self.lexer, &document->source);
    idl_advance(&self);
    document->doc = self.lexer.program_doc;
    parse_headers(&self);
    while (self.is_lost || self.token.kind != IDL_TOKEN_END) {
        if (self.is_lost) {
            find_the_way(&self);
            continue;
        }
        idl_definition *definition = parse_definition(&self);
        if (definition != NULL) {
            *end = definition;
            end = &definition->next;
        }
    }
}
