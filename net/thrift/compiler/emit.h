/* SPDX-License-Identifier: MIT */
/*
 * emit.h - a document as C: its types in a header, their schemas (coil/thrift_schema.h) in a
 * source.
 */
#ifndef IDL_EMIT_H
#define IDL_EMIT_H

#include "syntax.h"

#include <stdio.h>

/* "shop_thrift.h" and "shop_thrift.c" */
const char *idl_header_name(const idl_document *document);
const char *idl_source_name(const idl_document *document);

void idl_emit_header(const idl_document *document, FILE *file);
void idl_emit_source(const idl_document *document, FILE *file);

/* A service, after the types that its functions need. */
void idl_emit_service_header(const idl_definition *service, FILE *file);
void idl_emit_service_source(const idl_definition *service, FILE *file);

/* What the author says of something: a comment of its own. */
void idl_emit_doc(const char *doc, const char *indent, FILE *file);

/* An initialiser of an object of the type; of its default if the value is NULL. */
void idl_emit_value(const idl_type *type, const idl_value *value, FILE *file);

/* The initialiser of a struct with all its defaults. */
void idl_emit_defaults(const idl_definition *definition, FILE *file);

#endif
