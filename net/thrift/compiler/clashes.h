/* SPDX-License-Identifier: MIT */
/*
 * clashes.h - names that are apart in the interface, and are not in C.
 */
#ifndef IDL_CLASHES_H
#define IDL_CLASHES_H

#include "syntax.h"

/*
 * Report what would need the same name in C: definitions and what belongs to them, such as
 * `Color_RED` of an enum Color and of a constant; the members of a struct; the files of two
 * documents. After idl_add_calls().
 */
void idl_check_clashes(const idl_document *documents);

#endif
