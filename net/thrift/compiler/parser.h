/* SPDX-License-Identifier: MIT */
/*
 * parser.h - from text to syntax.h.
 *
 * The grammar is that of Apache Thrift (doc/specs/idl.md and compiler/cpp/src/thrift/thrifty.yy),
 * without what it calls deprecated for long: senum, slist, async, and the words of XML Schema.
 * Keywords may be names wherever that is clear, as in `1: i32 list`.
 *
 * Every mistake is reported with its place. After one the parser goes on with the next definition.
 */
#ifndef IDL_PARSER_H
#define IDL_PARSER_H

#include "syntax.h"

/* Parse document->source into the rest of it. Errors have been counted: idl_error_count(). */
void idl_parse(idl_document *document);

#endif
