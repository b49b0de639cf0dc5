/* SPDX-License-Identifier: MIT */
/*
 * values.h - whether a constant or a default is a value of its type.
 */
#ifndef IDL_VALUES_H
#define IDL_VALUES_H

#include "syntax.h"

/*
 * Find the names in `value`, which stands in `document`, and check that it is one of `type`, which
 * is resolved. Constants that it names are checked first; one that depends on itself is reported.
 */
void idl_check_value(const idl_document *document, const idl_type *type, idl_value *value);

/* Check the value of a constant. Once; its type is resolved. */
void idl_check_constant(idl_definition *constant);

/* The value itself, behind the names of constants. */
const idl_value *idl_value_behind(const idl_value *value);

/* The 16 bytes of "6ba7b810-9dad-11d1-80b4-00c04fd430c8", with or without braces. */
bool idl_parse_uuid(const char *text, size_t size, uint8_t out_bytes[16]);

#endif
