/* SPDX-License-Identifier: MIT */
/*
 * scope.h - which definition a name means in a document.
 *
 * Types, constants and services have name spaces of their own. A name is looked for in the document
 * itself and then, if it begins with the name of an include and a dot, there.
 */
#ifndef IDL_SCOPE_H
#define IDL_SCOPE_H

#include "syntax.h"

typedef enum idl_name_space {
    IDL_TYPES,
    IDL_CONSTANTS,
    IDL_SERVICES,
} idl_name_space;

idl_name_space idl_name_space_of(idl_definition_kind kind);

/*
 * The definition that `name` means at `place`; NULL after an error was reported, which mentions a
 * similar name if there is one.
 */
idl_definition *idl_find(
        const idl_document *document, idl_name_space space, const char *name, idl_place place);

/* "Enum.VALUE" or "include.Enum.VALUE"; NULL without an error if it is nothing of that kind. */
idl_enumerator *idl_find_enumerator(const idl_document *document, const char *name);

/* In the document itself; NULL. */
idl_definition *idl_find_own(
        const idl_document *document, idl_name_space space, const char *name, size_t name_size);

#endif
