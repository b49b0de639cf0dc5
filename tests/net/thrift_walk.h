/* SPDX-License-Identifier: MIT */
/*
 * A decoder that knows no IDL: it follows the types on the wire, takes every value apart with the
 * typed calls of the reader, and writes the same value again. Tests compare what goes in, what
 * comes out, and what coil_thrift_skip() makes of the same bytes.
 */
#ifndef THRIFT_WALK_H
#define THRIFT_WALK_H

#include <coil/base.h>
#include <coil/thrift.h>

#include <stdio.h>

COIL_BEGIN_DECLS

typedef struct thrift_walk thrift_walk;

struct thrift_walk {
    coil_thrift_reader *reader;
    coil_thrift_writer *writer;
    FILE *dump;     /* NULL, or where the values go in words. */
    uint32_t depth; /* Structs and containers open. */
    int error;      /* -ELOOP if that went above 64: a reader counts only the structs. */
};

/* Copy one value of `type`. */
void thrift_walk_value(thrift_walk *walk, uint8_t type);

/* Copy a message: its header into a frame of its own, and its struct. 0 or the first error. */
int thrift_walk_message(thrift_walk *walk);

COIL_END_DECLS

#endif
