/* SPDX-License-Identifier: MIT */
#include "names.h"

#include "memory.h"

#include <ctype.h>
#include <string.h>

/* Words of C17 and C++20 that are no identifiers, and the members that every struct has. */
static const char *const words[] = {"alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand",
        "bitor", "bool", "break", "case", "catch", "char", "char16_t", "char32_t", "char8_t",
        "class", "co_await", "co_return", "co_yield", "compl", "concept", "const", "const_cast",
        "consteval", "constexpr", "constinit", "continue", "decltype", "default", "delete", "do",
        "double", "dynamic_cast", "else", "enum", "errno", "explicit", "export", "extern", "false",
        "float", "for", "friend", "goto", "has", "if", "inline", "int", "linux", "long", "mutable",
        "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq",
        "private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict",
        "return", "short", "signed", "sizeof", "static", "static_assert", "static_cast", "struct",
        "switch", "template", "this", "thread_local", "throw", "true", "try", "typedef", "typeid",
        "typename", "typeof", "union", "unix", "unsigned", "using", "virtual", "void", "volatile",
        "wchar_t", "which", "while", "xor", "xor_eq"};

static bool is_word(const char *name)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], name) == 0)
            return true;
    }
    return false;
}

const char *idl_identifier(const char *text)
{
    char *name = idl_copy(text, strlen(text));

    for (char *at = name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at))
            *at = '_';
    }
    return name;
}

const char *idl_upper_case(const char *text)
{
    char *name = idl_copy(idl_identifier(text), strlen(text));

    for (char *at = name; *at != '\0'; at++)
        *at = (char)toupper((unsigned char)*at);
    return name;
}

static const char *find_namespace(const idl_document *document, const char *language)
{
    for (const idl_namespace *it = document->namespaces; it != NULL; it = it->next) {
        if (strcmp(it->language, language) == 0)
            return it->name;
    }
    return NULL;
}

const char *idl_prefix(const idl_document *document)
{
    const char *name = find_namespace(document, "c");

    if (name == NULL)
        name = find_namespace(document, "*");
    if (name == NULL)
        name = document->name;
    return idl_format("%s_", idl_identifier(name));
}

static const char *own_name(const char *name, const idl_annotation *annotations)
{
    const char *wish = idl_annotation_value(annotations, "c.name");

    return wish == NULL ? name : idl_identifier(wish);
}

const char *idl_definition_name(const idl_definition *definition)
{
    return idl_format("%s%s", idl_prefix(definition->document),
            own_name(definition->name, definition->annotations));
}

const char *idl_enumerator_name(const idl_enumerator *enumerator)
{
    return idl_format("%s_%s", idl_definition_name(enumerator->owner),
            own_name(enumerator->name, enumerator->annotations));
}

const char *idl_member(const char *name)
{
    return is_word(name) ? idl_format("%s_", name) : name;
}

const char *idl_member_name(const idl_field *field)
{
    return idl_member(own_name(field->name, field->annotations));
}

/* In the name of a container. */
static const char *part_name(const idl_type *type)
{
    static const char *const names[] = {
            [IDL_BOOL] = "coil_thrift_bool",
            [IDL_I8] = "coil_thrift_i8",
            [IDL_I16] = "coil_thrift_i16",
            [IDL_I32] = "coil_thrift_i32",
            [IDL_I64] = "coil_thrift_i64",
            [IDL_DOUBLE] = "coil_thrift_double",
            [IDL_STRING] = "coil_thrift_text",
            [IDL_BINARY] = "coil_thrift_text",
            [IDL_UUID] = "coil_thrift_uuid",
    };

    type = idl_type_behind(type);
    switch (type->kind) {
    case IDL_LIST:
        return idl_format("%s_list", part_name(type->element));
    case IDL_SET:
        return idl_format("%s_set", part_name(type->element));
    case IDL_MAP:
        return idl_format("%s_to_%s_map", part_name(type->key), part_name(type->element));
    case IDL_NAMED:
        return idl_definition_name(type->definition);
    default:
        return names[type->kind];
    }
}

const char *idl_type_name(const idl_type *type)
{
    static const char *const names[] = {
            [IDL_VOID] = "void",
            [IDL_BOOL] = "bool",
            [IDL_I8] = "int8_t",
            [IDL_I16] = "int16_t",
            [IDL_I32] = "int32_t",
            [IDL_I64] = "int64_t",
            [IDL_DOUBLE] = "double",
            [IDL_STRING] = "coil_thrift_text",
            [IDL_BINARY] = "coil_thrift_text",
            [IDL_UUID] = "coil_thrift_uuid",
    };

    if (type->kind == IDL_NAMED)
        return idl_definition_name(type->definition);
    return type->element != NULL ? part_name(type) : names[type->kind];
}

const char *idl_item_name(const idl_type *map)
{
    return idl_format("%s_item", part_name(map));
}
