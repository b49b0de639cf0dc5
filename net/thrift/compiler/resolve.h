/* SPDX-License-Identifier: MIT */
/*
 * resolve.h - from names to what they mean, and whether it makes sense.
 *
 * Afterwards every name in the documents leads to its definition, every field has its number, and
 * every default and constant is a value of its type. The rules are those of Apache Thrift's
 * compiler, stricter where its output would not compile or not work:
 *
 *   - a name may be used before it is defined, in the whole file;
 *   - the names of an included file are `file.name`, and so may be those of the own file; two files
 *     of the same name may be included, as long as no name is in both;
 *   - no type contains itself by typedef, no constant depends on itself, no service extends itself.
 */
#ifndef IDL_RESOLVE_H
#define IDL_RESOLVE_H

#include "syntax.h"

/* Resolve one document, after those that it includes. Mistakes are counted: idl_error_count(). */
void idl_resolve(idl_document *document);

#endif
