/* SPDX-License-Identifier: MIT */
/*
 * layout.h - how a document lies in C: what is a pointer, and what has to come before what.
 */
#ifndef IDL_LAYOUT_H
#define IDL_LAYOUT_H

#include "syntax.h"

/* The struct, union or exception that a field holds, not one in a container; NULL. */
idl_definition *idl_struct_of(const idl_type *type);

/*
 * Whether the field of `owner` is a pointer: it says so (`&`), or its struct would else contain
 * `owner` again.
 */
bool idl_is_pointer(const idl_definition *owner, const idl_field *field);

/* Call `see` for each type of the document that is a container, the inner ones first. */
typedef struct idl_type_visitor idl_type_visitor;
struct idl_type_visitor {
    void (*see)(idl_type_visitor *visitor, const idl_type *type);
};
void idl_visit_containers(const idl_document *document, idl_type_visitor *visitor);

/* Call `see` for each struct of the document, after those of the document that it contains. */
typedef struct idl_struct_visitor idl_struct_visitor;
struct idl_struct_visitor {
    void (*see)(idl_struct_visitor *visitor, const idl_definition *definition);
};
void idl_visit_structs(const idl_document *document, idl_struct_visitor *visitor);

/* By number, as they are on the wire and in tables. Terminated by NULL. */
const idl_field **idl_sort_fields(const idl_field *fields);

/* Whether a struct with all its defaults is not all zeros. */
bool idl_has_defaults(const idl_definition *definition);

#endif
