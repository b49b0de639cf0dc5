/* SPDX-License-Identifier: MIT */
/* What the operations of io_uring are called: IORING_OP_READ_MULTISHOT is read_multishot. */
#ifndef OPCODE_H
#define OPCODE_H

#include <stddef.h>

/* NULL: there is none. Also in signal handlers. */
const char *opcode_name(unsigned opcode);

/* Of a name of `size_bytes`. -ENOENT */
int opcode_named(const char *name, size_t size_bytes);

#endif
