/* SPDX-License-Identifier: MIT */
/*
 * thrift_private.h - what a reader (thrift_reader.c) tells who explains its error
 * (thrift_reader_what.c), and how schemas (thrift_schema_read.c) report what it does not see.
 */
#ifndef COIL_THRIFT_PRIVATE_H
#define COIL_THRIFT_PRIVATE_H

#include <coil/thrift.h>

/* What can be wrong with a frame; coil_thrift_reader_what() says what the value of each is. */
enum thrift_fault {
    THRIFT_FAULT_NONE,
    THRIFT_FAULT_CUT,
    THRIFT_FAULT_NEGATIVE,
    THRIFT_FAULT_OVER_LIMIT,
    THRIFT_FAULT_UNKNOWN_TYPE,
    THRIFT_FAULT_VERSION,
    THRIFT_FAULT_MESSAGE_TYPE,
    THRIFT_FAULT_DEPTH,
    THRIFT_FAULT_LEFT_OVER,
    THRIFT_FAULT_MISSING,
    THRIFT_FAULT_UNION,
    THRIFT_FAULT_ARENA_LIMIT,
    THRIFT_FAULT_NO_MEMORY,
};

static inline bool thrift_texts_equal(const coil_thrift_text *one, const coil_thrift_text *other)
{
    return one->size == other->size &&
           (one->size == 0 || memcmp(one->bytes, other->bytes, one->size) == 0);
}

/* The struct that has just ended lacks this required field. */
void coil_thrift_reader_miss(coil_thrift_reader *reader, int16_t id);

/* The union that has just ended has not one known field, but so many. */
void coil_thrift_reader_refuse_union(coil_thrift_reader *reader, uint32_t field_count);

/* There is no room for so many bytes of a value: by the arena's limit, or for want of memory. */
void coil_thrift_reader_run_out(
        coil_thrift_reader *reader, bool is_limit, uint8_t type, uint64_t size_bytes);

#endif
