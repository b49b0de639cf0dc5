/* SPDX-License-Identifier: MIT */
/*
 * names.h - how things of the interface are called in C.
 *
 * A name stays as it is, behind the prefix of its file: `namespace c a.b`, else `namespace * a.b`,
 * gives `a_b_`; without either it is the name of the file. Names of fields have no prefix. What is
 * a word of C or C++ gets an underscore at its end; (c.name = "other") says it otherwise.
 */
#ifndef IDL_NAMES_H
#define IDL_NAMES_H

#include "syntax.h"

/* "shop_" */
const char *idl_prefix(const idl_document *document);

/* "shop_Prize" */
const char *idl_definition_name(const idl_definition *definition);

/* "shop_Color_RED" */
const char *idl_enumerator_name(const idl_enumerator *enumerator);

/* The member of a struct. */
const char *idl_member_name(const idl_field *field);

/* `name`, if it can be that of a member. */
const char *idl_member(const char *name);

/* What a value of the type is declared with: "int32_t", "shop_Prize", "coil_thrift_text_list". */
const char *idl_type_name(const idl_type *type);

/* Of a map: the struct of its key and value. */
const char *idl_item_name(const idl_type *map);

/* "SHOP_THRIFT_H" of "shop_thrift.h" */
const char *idl_upper_case(const char *text);

/* `text` with everything that cannot be in an identifier made an underscore. */
const char *idl_identifier(const char *text);

#endif
