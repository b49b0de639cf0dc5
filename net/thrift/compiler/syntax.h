/* SPDX-License-Identifier: MIT */
/*
 * syntax.h - what a file of Thrift's interface definition language says.
 *
 *     document ── includes ──> document
 *        └── definitions: typedef, enum, const, struct, union, exception, service
 *                            └── fields, values, functions, each with its type
 *
 * The parser (parser.h) builds it, and resolution (resolve.h) puts the definition behind each name
 * in it. Lists are in the order of the text. All memory is the arena's (memory.h).
 */
#ifndef IDL_SYNTAX_H
#define IDL_SYNTAX_H

#include "source.h"

typedef struct idl_annotation idl_annotation;
typedef struct idl_type idl_type;
typedef struct idl_value idl_value;
typedef struct idl_field idl_field;
typedef struct idl_enumerator idl_enumerator;
typedef struct idl_function idl_function;
typedef struct idl_definition idl_definition;
typedef struct idl_namespace idl_namespace;
typedef struct idl_include idl_include;
typedef struct idl_document idl_document;

/* (key = "value"), or (key), which is "1". */
struct idl_annotation {
    idl_annotation *next;
    idl_place place;
    const char *key;
    const char *value;
};

typedef enum idl_type_kind {
    IDL_VOID,
    IDL_BOOL,
    IDL_I8,
    IDL_I16,
    IDL_I32,
    IDL_I64,
    IDL_DOUBLE,
    IDL_STRING,
    IDL_BINARY,
    IDL_UUID,
    IDL_LIST,
    IDL_SET,
    IDL_MAP,
    IDL_NAMED,
} idl_type_kind;

/* As it is written at one place. */
struct idl_type {
    idl_type_kind kind;
    idl_place place;
    idl_annotation *annotations;
    idl_type *key;              /* Of a map. */
    idl_type *element;          /* Of a list or set; a map's value. */
    const char *name;           /* IDL_NAMED: as written, with the name of the include. */
    idl_definition *definition; /* IDL_NAMED, when resolved: a typedef, enum, struct, ... */
};

typedef enum idl_value_kind {
    IDL_VALUE_INTEGER,
    IDL_VALUE_DOUBLE,
    IDL_VALUE_LITERAL,
    IDL_VALUE_NAME, /* true, false, an enumerator or a constant. */
    IDL_VALUE_LIST,
    IDL_VALUE_MAP, /* Also of a struct: the keys are the fields' names. */
} idl_value_kind;

struct idl_value {
    idl_value *next; /* In its list or map. */
    idl_value_kind kind;
    idl_place place;
    int64_t integer;
    double real;
    const char *text; /* Of a literal or a name. */
    size_t text_size;
    idl_value *key;             /* In a map. */
    idl_value *items;           /* Of a list or map. */
    idl_enumerator *enumerator; /* A name, when resolved: one of these two, */
    idl_definition *constant;
    bool is_boolean; /* or true or false, which `integer` tells. */
};

typedef enum idl_requiredness {
    IDL_DEFAULT, /* Neither word: always written, need not be there. */
    IDL_REQUIRED,
    IDL_OPTIONAL,
} idl_requiredness;

struct idl_field {
    idl_field *next;
    idl_place place;
    const char *name;
    const char *doc;
    int32_t id; /* Those without a number count down from -1. */
    bool has_id;
    bool is_reference; /* `&`: by pointer. */
    idl_requiredness requiredness;
    idl_type *type;
    idl_value *value; /* The default; NULL. */
    idl_annotation *annotations;
};

struct idl_enumerator {
    idl_enumerator *next;
    idl_place place;
    const char *name;
    const char *doc;
    int32_t value;
    idl_definition *owner;
    idl_annotation *annotations;
};

struct idl_function {
    idl_function *next;
    idl_place place;
    const char *name;
    const char *doc;
    bool is_oneway;
    idl_type *result;
    idl_field *parameters;
    idl_field *exceptions;
    idl_annotation *annotations;
    idl_definition *arguments; /* Structs, once calls.h has added them. */
    idl_definition *outcome;   /* NULL: oneway. */
};

typedef enum idl_definition_kind {
    IDL_TYPEDEF,
    IDL_ENUM,
    IDL_CONST,
    IDL_STRUCT,
    IDL_UNION,
    IDL_EXCEPTION,
    IDL_SERVICE,
} idl_definition_kind;

typedef enum idl_progress {
    IDL_UNTOUCHED,
    IDL_UNDER_WAY, /* Met again: it depends on itself. */
    IDL_FINISHED,
} idl_progress;

struct idl_definition {
    idl_definition *next;
    idl_definition_kind kind;
    idl_place place; /* Of its name. */
    const char *name;
    const char *doc;
    idl_document *document;
    idl_annotation *annotations;

    idl_type *type;              /* Typedef, const. */
    idl_value *value;            /* Const. */
    idl_enumerator *enumerators; /* Enum. */
    idl_field *fields;           /* Struct, union, exception. */
    bool is_result;              /* Struct: of a function. See calls.h. */
    idl_function *functions;     /* Service. */
    const char *parent_name;     /* Service: what it extends; NULL. */
    idl_place parent_place;      /* Service. */
    idl_definition *parent;      /* Service, when resolved. */
    idl_progress progress;       /* Resolution's. */
};

struct idl_namespace {
    idl_namespace *next;
    idl_place place;
    const char *language; /* "c", "py", "*" */
    const char *name;
    idl_annotation *annotations;
};

struct idl_include {
    idl_include *next;
    idl_place place;
    const char *path; /* As written. */
    idl_document *document;
};

struct idl_document {
    idl_document *next; /* Of those that were read, in the order of reading. */
    idl_source source;
    const char *real_path; /* Tells whether two are the same. */
    const char *name;      /* "shop" for "goods/shop.thrift": names of its things begin with it. */
    const char *doc;
    idl_include *includes;
    idl_namespace *namespaces;
    idl_definition *definitions;
    idl_progress progress;
};

/* "i32", "map<string, list<shop.Prize>>": as the language writes it. */
const char *idl_type_text(const idl_type *type);

/* A struct, union or exception. */
bool idl_is_struct(const idl_definition *definition);

/* "struct", "service", ... */
const char *idl_definition_kind_name(idl_definition_kind kind);

/* What is behind typedefs. Of a type that resolution has accepted. */
const idl_type *idl_type_behind(const idl_type *type);

/* Of the key; NULL. The last one counts, if there are several. */
const char *idl_annotation_value(const idl_annotation *annotations, const char *key);

#endif
