/* SPDX-License-Identifier: MIT */
/* The steps of a message in the compact protocol: as thrift_scan.c has those of the binary one. */
#include "thrift_scan_private.h"

#include "thrift_compact.h"

#include <errno.h>

/* Whether the number is complete. */
static bool take_varint(coil_thrift_scan *scan)
{
    const uint8_t byte = scan->held[0];

    scan->held_count = 0;
    if (scan->shift == 63 && byte > 1) {
        scan_refuse(scan, -EBADMSG);
        return false;
    }
    scan->number |= (uint64_t)(byte & 0x7f) << scan->shift;
    scan->shift += 7;
    return byte < 0x80;
}

static void take_type(coil_thrift_scan *scan)
{
    if ((scan->held[0] & COMPACT_VERSION_MASK) != COMPACT_VERSION)
        scan_refuse(scan, -EBADMSG);
    scan_set_step(scan, STEP_COMPACT_SEQID, 1);
}

static void take_name(coil_thrift_scan *scan)
{
    scan_skip_string(scan, scan->number);
    scan_open_struct(scan);
    scan_set_step(scan, STEP_NEXT, 0);
}

/* A bool is in the header of its field. */
static void begin_value(coil_thrift_scan *scan, uint8_t compact_type)
{
    const uint8_t type = thrift_compact_type(compact_type);

    if (type == COIL_THRIFT_BOOL) {
        scan_set_step(scan, STEP_NEXT, 0);
    } else {
        scan_begin_value(scan, type);
    }
}

static void take_field(coil_thrift_scan *scan)
{
    const uint8_t header = scan->held[0];

    if (header == COMPACT_STOP) {
        scan_end_struct(scan);
    } else if (thrift_compact_type(header & 15) == COIL_THRIFT_STOP) {
        scan_refuse(scan, -EBADMSG);
    } else if (header >> 4 != 0) {
        begin_value(scan, header & 15);
    } else {
        scan->type = header & 15;
        scan_set_step(scan, STEP_COMPACT_ID, 1);
    }
}

static void open_container(coil_thrift_scan *scan)
{
    const uint8_t even = thrift_compact_type(scan->type & 15);
    const uint8_t odd = thrift_compact_type(scan->type >> 4);
    const bool is_map = scan->step == STEP_COMPACT_MAP_TYPES;

    scan_open_container(scan, even, is_map ? odd : even, scan->number, is_map);
    scan_set_step(scan, STEP_NEXT, 0);
}

static void take_list(coil_thrift_scan *scan)
{
    scan->type = scan->held[0];
    if (scan->type >> 4 == COMPACT_COUNT_LONG) {
        scan_set_step(scan, STEP_COMPACT_COUNT, 1);
    } else {
        scan->number = scan->type >> 4;
        open_container(scan);
    }
}

static void take_map(coil_thrift_scan *scan)
{
    const uint64_t count = scan->number;

    scan_set_step(scan, count == 0 ? STEP_NEXT : STEP_COMPACT_MAP_TYPES, count == 0 ? 0 : 1);
    scan->number = count;
}

/* Steps that begin with a number, when it is complete. */
static void take_number(coil_thrift_scan *scan)
{
    switch ((enum step)scan->step) {
    case STEP_COMPACT_SEQID:
        scan_set_step(scan, STEP_COMPACT_NAME, 1);
        break;
    case STEP_COMPACT_NAME:
        take_name(scan);
        break;
    case STEP_COMPACT_ID:
        begin_value(scan, scan->type);
        break;
    case STEP_COMPACT_STRING:
        scan_skip_string(scan, scan->number);
        scan_set_step(scan, STEP_NEXT, 0);
        break;
    case STEP_COMPACT_COUNT:
        open_container(scan);
        break;
    case STEP_COMPACT_MAP:
        take_map(scan);
        break;
    default: /* An integer. */
        scan_set_step(scan, STEP_NEXT, 0);
        break;
    }
}

/* All the bytes that the step needs are held. */
void scan_take_compact(coil_thrift_scan *scan)
{
    switch ((enum step)scan->step) {
    case STEP_COMPACT_TYPE:
        take_type(scan);
        break;
    case STEP_COMPACT_FIELD:
        take_field(scan);
        break;
    case STEP_COMPACT_LIST:
        take_list(scan);
        break;
    case STEP_COMPACT_MAP_TYPES:
        scan->type = scan->held[0];
        open_container(scan);
        break;
    default:
        if (take_varint(scan))
            take_number(scan);
        break;
    }
}
