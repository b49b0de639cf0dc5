/* SPDX-License-Identifier: MIT */
/* thrift_scan_private.h - what the protocols have in common when a message's end is looked for. */
#ifndef COIL_THRIFT_SCAN_PRIVATE_H
#define COIL_THRIFT_SCAN_PRIVATE_H

#include <coil/thrift_scan.h>

enum step {
    STEP_PROTOCOL, /* The first byte. */
    STEP_VERSION,
    STEP_NAME_SIZE,
    STEP_FIELD,
    STEP_STRING_SIZE,
    STEP_LIST,
    STEP_MAP,
    STEP_COMPACT_TYPE, /* The second byte. */
    STEP_COMPACT_SEQID,
    STEP_COMPACT_NAME,
    STEP_COMPACT_FIELD,
    STEP_COMPACT_ID,
    STEP_COMPACT_INTEGER,
    STEP_COMPACT_STRING,
    STEP_COMPACT_LIST,
    STEP_COMPACT_COUNT,
    STEP_COMPACT_MAP,
    STEP_COMPACT_MAP_TYPES,
    STEP_JSON,
    STEP_NEXT, /* A value has ended, or its inside begins. */
    STEP_OVER,
};

/* Keep the first error. */
static inline void scan_refuse(coil_thrift_scan *scan, int error)
{
    if (scan->error == 0)
        scan->error = error;
}

/* What comes next, and how many bytes it needs. */
static inline void scan_set_step(coil_thrift_scan *scan, enum step step, uint8_t byte_count)
{
    scan->step = (uint8_t)step;
    scan->step_bytes = byte_count;
    scan->held_count = 0;
    scan->number = 0;
    scan->shift = 0;
}

/* A string of that size is to be skipped. */
void scan_skip_string(coil_thrift_scan *scan, uint64_t size);

void scan_open_struct(coil_thrift_scan *scan);
void scan_end_struct(coil_thrift_scan *scan);

/* The elements of a container come next: `count` times `even`, and of a map as many of `odd`. */
void scan_open_container(
        coil_thrift_scan *scan, uint8_t even, uint8_t odd, uint64_t count, bool is_map);

/* A value of that type comes next. */
void scan_begin_value(coil_thrift_scan *scan, uint8_t type);

/* A step of the compact protocol, all of whose bytes are held. */
void scan_take_compact(coil_thrift_scan *scan);

#endif
