/* SPDX-License-Identifier: MIT */
#include "syntax.h"

#include "memory.h"

#include <string.h>

const char *idl_type_text(const idl_type *type)
{
    static const char *const names[] = {
            [IDL_VOID] = "void",
            [IDL_BOOL] = "bool",
            [IDL_I8] = "i8",
            [IDL_I16] = "i16",
            [IDL_I32] = "i32",
            [IDL_I64] = "i64",
            [IDL_DOUBLE] = "double",
            [IDL_STRING] = "string",
            [IDL_BINARY] = "binary",
            [IDL_UUID] = "uuid",
    };

    switch (type->kind) {
    case IDL_LIST:
        return idl_format("list<%s>", idl_type_text(type->element));
    case IDL_SET:
        return idl_format("set<%s>", idl_type_text(type->element));
    case IDL_MAP:
        return idl_format("map<%s, %s>", idl_type_text(type->key), idl_type_text(type->element));
    case IDL_NAMED:
        return type->name;
    default:
        return names[type->kind];
    }
}

bool idl_is_struct(const idl_definition *definition)
{
    return definition->kind >= IDL_STRUCT && definition->kind <= IDL_EXCEPTION;
}

const char *idl_definition_kind_name(idl_definition_kind kind)
{
    static const char *const names[] = {
            [IDL_TYPEDEF] = "typedef",
            [IDL_ENUM] = "enum",
            [IDL_CONST] = "const",
            [IDL_STRUCT] = "struct",
            [IDL_UNION] = "union",
            [IDL_EXCEPTION] = "exception",
            [IDL_SERVICE] = "service",
    };
    return names[kind];
}

const idl_type *idl_type_behind(const idl_type *type)
{
    while (type->kind == IDL_NAMED && type->definition->kind == IDL_TYPEDEF)
        type = type->definition->type;
    return type;
}

const char *idl_annotation_value(const idl_annotation *annotations, const char *key)
{
    const char *value = NULL;

    for (; annotations != NULL; annotations = annotations->next) {
        if (strcmp(annotations->key, key) == 0)
            value = annotations->value;
    }
    return value;
}
