/* SPDX-License-Identifier: MIT */
/*
 * compatible.h - whether programs of an older version of an interface understand those of a newer.
 */
#ifndef IDL_COMPATIBLE_H
#define IDL_COMPATIBLE_H

#include "syntax.h"

/*
 * Compare what goes over the wire: the services of two documents, and whatever their functions
 * take and give; and types of one name. Both are resolved and have their calls (calls.h).
 *
 * An error is what either side cannot read or does not find: a field or value whose number, type or
 * necessity has changed, a function that has gone. A warning is what one side knows and the other
 * does not: an exception or a value of an enum that is new, another default. Fields that have been
 * added or removed, and are not required, are neither; nor are new names for old numbers.
 */
void idl_compare(const idl_document *old, const idl_document *new);

#endif
