/* SPDX-License-Identifier: MIT */
/* What must hold of any bytes that a reader of Thrift is given, in any protocol. */
#ifndef THRIFT_CHECKS_H
#define THRIFT_CHECKS_H

#include <coil/thrift.h>

/* The result of reading a message without looking at what is inside. */
int thrift_check_skip(enum coil_thrift_protocol protocol, const uint8_t *bytes, uint32_t size);

/*
 * Beside not crashing:
 *
 *   - skipping a message and taking it apart agree about the error, and about the end
 *   - what was taken apart can be written, and reads as the same bytes again
 *   - the first bytes of a message that is correct are reported as cut
 *   - every error has words
 */
void thrift_check_message(enum coil_thrift_protocol protocol, const uint8_t *bytes, uint32_t size);

#endif
