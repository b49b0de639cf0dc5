/* SPDX-License-Identifier: MIT */
#include "parser.h"

#include "lexer.h"
#include "memory.h"

#include <string.h>

enum { DEPTH_MAX = 64 }; /* Of types and of values. */

typedef struct parser {
    idl_lexer lexer;
    idl_document *document;
    idl_token token; /* The next one. */
    idl_place last;  /* The place of the one before. */
    bool is_lost;    /* An error has been reported: back to the definitions. */
    unsigned depth;
} parser;

/* What a token looks like, for messages. */
static const char *token_text(const idl_token *token)
{
    switch (token->kind) {
    case IDL_TOKEN_END:
        return "the end of the file";
    case IDL_TOKEN_LITERAL:
        return "a string";
    case IDL_TOKEN_SYMBOL:
        return idl_format("'%c'", token->symbol);
    default:
        return idl_format("'%s'", token->text == NULL ? "?" : token->text);
    }
}

static void lose(parser *self, const char *expected)
{
    if (!self->is_lost && self->token.kind != IDL_TOKEN_BAD)
        idl_error(self->token.place, "expected %s, found %s", expected, token_text(&self->token));
    self->is_lost = true;
}

static void advance(parser *self)
{
    self->last = self->token.place;
    self->token = idl_lexer_next(&self->lexer);
}

static bool at_symbol(const parser *self, char symbol)
{
    return self->token.kind == IDL_TOKEN_SYMBOL && self->token.symbol == symbol;
}

static bool at_word(const parser *self, const char *word)
{
    return self->token.kind == IDL_TOKEN_IDENTIFIER && strcmp(self->token.text, word) == 0;
}

static bool take_symbol(parser *self, char symbol)
{
    if (self->is_lost || !at_symbol(self, symbol))
        return false;
    advance(self);
    return true;
}

static bool take_word(parser *self, const char *word)
{
    if (self->is_lost || !at_word(self, word))
        return false;
    advance(self);
    return true;
}

static bool expect_symbol(parser *self, char symbol)
{
    if (take_symbol(self, symbol))
        return true;
    lose(self, idl_format("'%c'", symbol));
    return false;
}

/* Commas and semicolons between things may be left out. */
static void skip_separator(parser *self)
{
    if (!take_symbol(self, ','))
        take_symbol(self, ';');
}

/* `what` is for the message. NULL after an error. */
static const char *expect_identifier(parser *self, const char *what)
{
    if (self->is_lost || self->token.kind != IDL_TOKEN_IDENTIFIER) {
        lose(self, what);
        return NULL;
    }
    const char *text = self->token.text;
    advance(self);
    return text;
}

/* The name of something that is defined here, hence without dots. */
static const char *expect_name(parser *self, const char *what)
{
    const char *name = expect_identifier(self, what);

    if (name != NULL && strchr(name, '.') != NULL)
        idl_error(self->last, "the name of what is defined has no dots: '%s'", name);
    return name;
}

static const char *expect_literal(parser *self, const char *what)
{
    if (self->is_lost || self->token.kind != IDL_TOKEN_LITERAL) {
        lose(self, what);
        return NULL;
    }
    const char *text = self->token.text;
    if (memchr(text, '\0', self->token.text_size) != NULL)
        idl_error(self->token.place, "a zero byte in %s", what);
    advance(self);
    return text;
}

static bool has_more(const parser *self, char end)
{
    return !self->is_lost && self->token.kind != IDL_TOKEN_END && !at_symbol(self, end);
}

/* (key = "value", key2) */
static idl_annotation *parse_annotations(parser *self)
{
    idl_annotation *first = NULL;
    idl_annotation **end = &first;

    if (!take_symbol(self, '('))
        return NULL;
    while (has_more(self, ')')) {
        idl_annotation *annotation = IDL_NEW(idl_annotation);
        annotation->key = expect_identifier(self, "the key of an annotation");
        annotation->place = self->last;
        annotation->value = "1";
        if (take_symbol(self, '='))
            annotation->value = expect_literal(self, "the string of an annotation");
        skip_separator(self);
        if (self->is_lost)
            break;
        *end = annotation;
        end = &annotation->next;
    }
    expect_symbol(self, ')');
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

static idl_type *parse_type(parser *self);

/* cpp_type "std::deque<int>": read as an annotation. */
static idl_annotation *parse_cpp_type(parser *self)
{
    if (!take_word(self, "cpp_type"))
        return NULL;
    idl_annotation *annotation = IDL_NEW(idl_annotation);
    annotation->place = self->last;
    annotation->key = "cpp_type";
    annotation->value = expect_literal(self, "the string of cpp_type");
    return annotation;
}

/* After `list`, `set` or `map`. */
static void parse_container(parser *self, idl_type *type, idl_type_kind kind)
{
    idl_annotation *cpp_type = kind == IDL_LIST ? NULL : parse_cpp_type(self);

    type->kind = kind;
    expect_symbol(self, '<');
    if (kind == IDL_MAP) {
        type->key = parse_type(self);
        expect_symbol(self, ',');
    }
    type->element = parse_type(self);
    expect_symbol(self, '>');
    if (kind == IDL_LIST)
        cpp_type = parse_cpp_type(self);
    type->annotations = parse_annotations(self);
    if (cpp_type != NULL) {
        cpp_type->next = type->annotations;
        type->annotations = cpp_type;
    }
}

static void parse_known_type(parser *self, idl_type *type)
{
    const char *name = expect_identifier(self, "a type");

    type->place = self->last;
    if (name == NULL)
        return;
    const bool has_parameters = at_symbol(self, '<') || at_word(self, "cpp_type");
    if (has_parameters && strcmp(name, "list") == 0) {
        parse_container(self, type, IDL_LIST);
    } else if (has_parameters && strcmp(name, "set") == 0) {
        parse_container(self, type, IDL_SET);
    } else if (has_parameters && strcmp(name, "map") == 0) {
        parse_container(self, type, IDL_MAP);
    } else if (find_base_type(name, &type->kind)) {
        type->annotations = parse_annotations(self);
    } else {
        type->kind = IDL_NAMED;
        type->name = name;
    }
}

/* Never NULL. */
static idl_type *parse_type(parser *self)
{
    idl_type *type = IDL_NEW(idl_type);

    if (self->depth == DEPTH_MAX) {
        lose(self, "a type that is nested less deep");
        return type;
    }
    self->depth++;
    parse_known_type(self, type);
    self->depth--;
    return type;
}

static idl_value *parse_value(parser *self);

/* After the opening bracket. */
static void parse_list(parser *self, idl_value *list)
{
    idl_value **end = &list->items;

    list->kind = IDL_VALUE_LIST;
    while (has_more(self, ']')) {
        *end = parse_value(self);
        end = &(*end)->next;
        skip_separator(self);
    }
    expect_symbol(self, ']');
}

/* After the opening brace. */
static void parse_map(parser *self, idl_value *map)
{
    idl_value **end = &map->items;

    map->kind = IDL_VALUE_MAP;
    while (has_more(self, '}')) {
        idl_value *key = parse_value(self);
        expect_symbol(self, ':');
        *end = parse_value(self);
        (*end)->key = key;
        end = &(*end)->next;
        skip_separator(self);
    }
    expect_symbol(self, '}');
}

static void parse_simple_value(parser *self, idl_value *value)
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
        lose(self, "a value");
        return;
    }
    advance(self);
}

/* Never NULL. */
static idl_value *parse_value(parser *self)
{
    idl_value *value = IDL_NEW(idl_value);

    value->place = self->token.place;
    if (self->depth == DEPTH_MAX) {
        lose(self, "a value that is nested less deep");
        return value;
    }
    self->depth++;
    if (take_symbol(self, '[')) {
        parse_list(self, value);
    } else if (take_symbol(self, '{')) {
        parse_map(self, value);
    } else if (!self->is_lost) {
        parse_simple_value(self, value);
    }
    self->depth--;
    return value;
}

/* `7:`, or nothing. */
static void parse_field_id(parser *self, idl_field *field)
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
    advance(self);
    expect_symbol(self, ':');
}

static idl_field *parse_field(parser *self)
{
    idl_field *field = IDL_NEW(idl_field);

    field->doc = self->token.doc;
    parse_field_id(self, field);
    if (take_word(self, "required")) {
        field->requiredness = IDL_REQUIRED;
    } else if (take_word(self, "optional")) {
        field->requiredness = IDL_OPTIONAL;
    }
    field->type = parse_type(self);
    field->is_reference = take_symbol(self, '&');
    field->name = expect_name(self, "the name of a field");
    field->place = self->last;
    if (take_symbol(self, '='))
        field->value = parse_value(self);
    field->annotations = parse_annotations(self);
    skip_separator(self);
    return field;
}

/* Up to the closing `end`, which is taken. */
static idl_field *parse_fields(parser *self, char end_symbol)
{
    idl_field *first = NULL;
    idl_field **end = &first;

    while (has_more(self, end_symbol)) {
        *end = parse_field(self);
        end = &(*end)->next;
    }
    expect_symbol(self, end_symbol);
    return first;
}

static void parse_typedef(parser *self, idl_definition *definition)
{
    definition->type = parse_type(self);
    definition->name = expect_name(self, "the name of the type");
    definition->place = self->last;
}

static void parse_const(parser *self, idl_definition *definition)
{
    definition->type = parse_type(self);
    definition->name = expect_name(self, "the name of the constant");
    definition->place = self->last;
    expect_symbol(self, '=');
    definition->value = parse_value(self);
}

/* `= 7`, or one more than the one before. */
static void parse_enumerator_value(parser *self, idl_enumerator *enumerator, int64_t *next_value)
{
    idl_place place = enumerator->place;

    if (take_symbol(self, '=')) {
        place = self->token.place;
        if (self->token.kind != IDL_TOKEN_INTEGER) {
            lose(self, "a whole number");
            return;
        }
        *next_value = self->token.integer;
        advance(self);
    }
    if (*next_value < INT32_MIN || *next_value > INT32_MAX) {
        idl_error(place, "the value of '%s' does not fit 32 bits: %lld", enumerator->name,
                (long long)*next_value);
        *next_value = 0;
    }
    enumerator->value = (int32_t)*next_value;
    ++*next_value;
}

static void parse_enum(parser *self, idl_definition *definition)
{
    idl_enumerator **end = &definition->enumerators;
    int64_t next_value = 0;

    definition->name = expect_name(self, "the name of the enum");
    definition->place = self->last;
    expect_symbol(self, '{');
    while (has_more(self, '}')) {
        idl_enumerator *enumerator = IDL_NEW(idl_enumerator);
        enumerator->owner = definition;
        enumerator->doc = self->token.doc;
        enumerator->name = expect_name(self, "the name of a value");
        enumerator->place = self->last;
        parse_enumerator_value(self, enumerator, &next_value);
        enumerator->annotations = parse_annotations(self);
        skip_separator(self);
        *end = enumerator;
        end = &enumerator->next;
    }
    expect_symbol(self, '}');
}

static void parse_struct(parser *self, idl_definition *definition)
{
    definition->name = expect_name(
            self, idl_format("the name of the %s", idl_definition_kind_name(definition->kind)));
    definition->place = self->last;
    expect_symbol(self, '{');
    definition->fields = parse_fields(self, '}');
}

/* `void` is a type here only. */
static idl_type *parse_result(parser *self)
{
    if (!at_word(self, "void"))
        return parse_type(self);
    idl_type *type = IDL_NEW(idl_type);
    type->kind = IDL_VOID;
    type->place = self->token.place;
    advance(self);
    return type;
}

static idl_function *parse_function(parser *self)
{
    idl_function *function = IDL_NEW(idl_function);

    function->doc = self->token.doc;
    function->is_oneway = take_word(self, "oneway");
    function->result = parse_result(self);
    function->name = expect_name(self, "the name of a function");
    function->place = self->last;
    expect_symbol(self, '(');
    function->parameters = parse_fields(self, ')');
    if (take_word(self, "throws")) {
        expect_symbol(self, '(');
        function->exceptions = parse_fields(self, ')');
    }
    function->annotations = parse_annotations(self);
    skip_separator(self);
    return function;
}

static void parse_service(parser *self, idl_definition *definition)
{
    idl_function **end = &definition->functions;

    definition->name = expect_name(self, "the name of the service");
    definition->place = self->last;
    if (take_word(self, "extends")) {
        definition->parent_name = expect_identifier(self, "the name of a service");
        definition->parent_place = self->last;
    }
    expect_symbol(self, '{');
    while (has_more(self, '}')) {
        *end = parse_function(self);
        end = &(*end)->next;
    }
    expect_symbol(self, '}');
}

static const struct {
    const char *word;
    idl_definition_kind kind;
    void (*parse)(parser *self, idl_definition *definition);
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
static size_t find_definition_word(const parser *self)
{
    size_t i = 0;

    while (i < DEFINITION_WORD_COUNT && !at_word(self, definition_words[i].word))
        i++;
    return i;
}

/* Words of the past; NULL. */
static const char *old_word(const parser *self)
{
    static const char *const words[] = {"senum", "slist", "async", "xsd_namespace", "php_namespace",
            "py_module", "perl_package", "ruby_namespace", "smalltalk_category", "java_package",
            "cocoa_package", "csharp_namespace", "delphi_namespace", "cpp_namespace"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (at_word(self, words[i]))
            return words[i];
    }
    return NULL;
}

/*
 * To the next word that begins a definition, at the beginning of a line: elsewhere it may be a
 * name.
 */
static void find_the_way(parser *self)
{
    while (self->token.kind != IDL_TOKEN_END) {
        const bool is_word = find_definition_word(self) < DEFINITION_WORD_COUNT || old_word(self);
        if (is_word && idl_place_column(self->token.place) == 1)
            break;
        advance(self);
    }
    self->is_lost = false;
    self->depth = 0;
}

static idl_definition *parse_definition(parser *self)
{
    const size_t word = find_definition_word(self);

    if (word == DEFINITION_WORD_COUNT) {
        if (old_word(self) != NULL) {
            idl_error(self->token.place, "'%s' is of the past and not supported", old_word(self));
            self->is_lost = true;
        }
        lose(self, "typedef, enum, const, struct, union, exception or service");
        advance(self);
        return NULL;
    }
    idl_definition *definition = IDL_NEW(idl_definition);
    definition->kind = definition_words[word].kind;
    definition->doc = self->token.doc;
    definition->document = self->document;
    advance(self);
    definition_words[word].parse(self, definition);
    definition->annotations = parse_annotations(self);
    skip_separator(self);
    return definition->name == NULL ? NULL : definition;
}

static void parse_namespace(parser *self, idl_namespace *namespace)
{
    if (take_symbol(self, '*')) {
        namespace->language = "*";
    } else {
        namespace->language = expect_identifier(self, "a language");
    }
    namespace->place = self->token.place;
    if (self->token.kind == IDL_TOKEN_LITERAL) {
        namespace->name = expect_literal(self, "a namespace");
    } else {
        namespace->name = expect_identifier(self, "a namespace");
    }
    namespace->annotations = parse_annotations(self);
    skip_separator(self);
}

static void parse_headers(parser *self)
{
    idl_include **include_end = &self->document->includes;
    idl_namespace **namespace_end = &self->document->namespaces;

    while (!self->is_lost) {
        if (take_word(self, "include")) {
            idl_include *include = IDL_NEW(idl_include);
            include->place = self->token.place;
            include->path = expect_literal(self, "the path of a file, in quotes");
            skip_separator(self);
            *include_end = include;
            include_end = &include->next;
        } else if (take_word(self, "namespace")) {
            *namespace_end = IDL_NEW(idl_namespace);
            parse_namespace(self, *namespace_end);
            namespace_end = &(*namespace_end)->next;
        } else if (take_word(self, "cpp_include")) {
            expect_literal(self, "the path of a file, in quotes"); /* Nothing to us. */
            skip_separator(self);
        } else {
            return;
        }
    }
}

void idl_parse(idl_document *document)
{
    parser self = {.document = document};
    idl_definition **end = &document->definitions;

    idl_lexer_begin(&self.lexer, &document->source);
    advance(&self);
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
