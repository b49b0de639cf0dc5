/* SPDX-License-Identifier: MIT */
/*
 * thrift_private.h - how schemas (thrift_schema_read.c) report what a reader alone does not see.
 */
#ifndef COIL_THRIFT_PRIVATE_H
#define COIL_THRIFT_PRIVATE_H

#include <coil/thrift.h>

/* The struct that has just ended lacks this required field. */
void coil_thrift_reader_miss(coil_thrift_reader *reader, int16_t id);

/* The union that has just ended has not one known field, but so many. */
void coil_thrift_reader_refuse_union(coil_thrift_reader *reader, uint32_t field_count);

/* There is no room for so many bytes of a value: by the arena's limit, or for want of memory. */
void coil_thrift_reader_run_out(
        coil_thrift_reader *reader, bool is_limit, uint8_t type, uint64_t size_bytes);

#endif
