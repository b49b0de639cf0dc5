/* SPDX-License-Identifier: MIT */
#ifndef ADOPTION_PRIVATE_H
#define ADOPTION_PRIVATE_H

#include <coil/adoption.h>

COIL_BEGIN_DECLS

/* Printable, without blanks, not empty and not too long. */
bool adoption_is_name(const char *name, size_t size_bytes);

/*
 * Which process has the pipe that `read_fd` reads as its stdout or stderr: the eldest of those that
 * do, as the others have it from that. Its pid, or -ESRCH.
 */
int adoption_find_writer(int read_fd);

COIL_END_DECLS

#endif
