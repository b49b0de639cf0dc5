/* SPDX-License-Identifier: MIT */
/*
 * A file for tests of what the ring does with every file: a stream with a few bytes of room, whose
 * read side gives what its write side has taken; it is a socket, too.
 */
#ifndef STREAM_DOUBLE_H
#define STREAM_DOUBLE_H

#include <coil/base.h>

COIL_BEGIN_DECLS

/* A descriptor of the calling process. */
int stream_double(void);

COIL_END_DECLS

#endif
