/* SPDX-License-Identifier: MIT */
/*
 * dump.h - what was understood of a file, as JSON: for tools that want to know more than C does.
 *
 * Nothing is lost: enums stay enums, typedefs typedefs, doubles are exact, strings are escaped.
 */
#ifndef IDL_DUMP_H
#define IDL_DUMP_H

#include "syntax.h"

#include <stdio.h>

/* All of the list, as an array of documents. 0, or -EIO. */
int idl_dump(const idl_document *documents, FILE *file);

#endif
