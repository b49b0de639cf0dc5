/* SPDX-License-Identifier: MIT */
/*
 * A message is taken in steps. Each looks at a few bytes, which are collected if they come in
 * pieces, and says how many are to be skipped and what the next step is. What it is inside of is
 * in levels; without a level the message is over. Steps of the compact protocol are in
 * thrift_scan_compact.c.
 */
#include "thrift_scan_private.h"

#include "thrift_private.h"

#include <errno.h>

static bool is_compact(const coil_thrift_scan *scan)
{
    return scan->protocol == COIL_THRIFT_PROTOCOL_COMPACT;
}

static uint32_t held_32(const coil_thrift_scan *scan, uint32_t offset)
{
    return thrift_load_32(scan->held + offset);
}

/* How much may still come. */
static uint64_t room_of(const coil_thrift_scan *scan)
{
    const uint64_t taken_bytes = scan->size + scan->skip_bytes;

    return taken_bytes < scan->limits->frame_max ? scan->limits->frame_max - taken_bytes : 0;
}

static void skip(coil_thrift_scan *scan, uint64_t byte_count)
{
    if (byte_count > room_of(scan))
        scan_refuse(scan, -EMSGSIZE);
    scan->skip_bytes += byte_count;
}

void scan_skip_string(coil_thrift_scan *scan, uint64_t size)
{
    if (size > INT32_MAX) {
        scan_refuse(scan, -EBADMSG);
    } else if (size > scan->limits->string_max) {
        scan_refuse(scan, -EMSGSIZE);
    } else {
        skip(scan, size);
    }
}

/* Levels
 * ------ */

static void open_level(coil_thrift_scan *scan, uint8_t even, uint8_t odd, uint32_t left)
{
    if (scan->level_count >= 2 * scan->limits->depth_max) {
        scan_refuse(scan, -ELOOP);
        return;
    }
    scan->levels[scan->level_count++] =
            (coil_thrift_scan_level){.left = left, .types = {even, odd}};
}

void scan_open_struct(coil_thrift_scan *scan)
{
    open_level(scan, COIL_THRIFT_STOP, COIL_THRIFT_STOP, 0);
}

/* The fewest bytes that a value takes; exactly so many if it is a scalar that is not a varint. */
static uint32_t bytes_min(const coil_thrift_scan *scan, uint8_t type)
{
    if (!is_compact(scan))
        return thrift_bytes_min(type);
    return type <= COIL_THRIFT_UUID ? thrift_compact_reading.bytes_min[type] : 0;
}

static bool has_one_size(const coil_thrift_scan *scan, uint8_t type)
{
    if (is_compact(scan) && type != COIL_THRIFT_DOUBLE && type != COIL_THRIFT_UUID)
        return type == COIL_THRIFT_BOOL || type == COIL_THRIFT_I8;
    return thrift_is_scalar(type) || type == COIL_THRIFT_UUID;
}

void scan_open_container(
        coil_thrift_scan *scan, uint8_t even, uint8_t odd, uint64_t count, bool is_map)
{
    const uint64_t item_bytes = bytes_min(scan, even) + (is_map ? bytes_min(scan, odd) : 0);

    if (count == 0)
        return;
    if (count > INT32_MAX || bytes_min(scan, even) == 0 || bytes_min(scan, odd) == 0) {
        scan_refuse(scan, -EBADMSG);
    } else if (count > scan->limits->container_max || count * item_bytes > room_of(scan)) {
        scan_refuse(scan, -EMSGSIZE);
    } else if (has_one_size(scan, even) && has_one_size(scan, odd)) {
        skip(scan, count * item_bytes);
    } else {
        open_level(scan, even, odd, (uint32_t)count * (is_map ? 2 : 1));
    }
}

/* Values
 * ------ */

/* What a value begins with that is neither of one size nor a struct. */
static void begin_header(coil_thrift_scan *scan, uint8_t type)
{
    const bool compact = is_compact(scan);

    switch (type) {
    case COIL_THRIFT_STRING:
        scan_set_step(scan, compact ? STEP_COMPACT_STRING : STEP_STRING_SIZE, compact ? 1 : 4);
        break;
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        scan_set_step(scan, compact ? STEP_COMPACT_LIST : STEP_LIST, compact ? 1 : 5);
        break;
    case COIL_THRIFT_MAP:
        scan_set_step(scan, compact ? STEP_COMPACT_MAP : STEP_MAP, compact ? 1 : 6);
        break;
    default:
        scan_set_step(scan, STEP_COMPACT_INTEGER, 1);
        break;
    }
}

void scan_begin_value(coil_thrift_scan *scan, uint8_t type)
{
    if (has_one_size(scan, type)) {
        skip(scan, bytes_min(scan, type));
        scan_set_step(scan, STEP_NEXT, 0);
    } else if (type == COIL_THRIFT_STRUCT) {
        scan_open_struct(scan);
        scan_set_step(scan, STEP_NEXT, 0);
    } else {
        begin_header(scan, type);
    }
}

/* What comes next in the innermost struct or container. */
static void take_next(coil_thrift_scan *scan)
{
    while (scan->level_count > 0) {
        coil_thrift_scan_level *level = &scan->levels[scan->level_count - 1];
        if (level->types[0] == COIL_THRIFT_STOP) {
            scan_set_step(scan, is_compact(scan) ? STEP_COMPACT_FIELD : STEP_FIELD, 1);
            return;
        }
        if (level->left > 0) {
            level->left--;
            scan_begin_value(scan, level->types[level->left & 1]);
            return;
        }
        scan->level_count--;
    }
    scan_set_step(scan, STEP_OVER, 0);
}

void scan_end_struct(coil_thrift_scan *scan)
{
    scan->level_count--;
    scan_set_step(scan, STEP_NEXT, 0);
}

/* Binary
 * ------ */

static void take_protocol(coil_thrift_scan *scan)
{
    const int protocol = coil_thrift_detect_protocol(scan->held, 1);

    if (protocol < 0) {
        scan_refuse(scan, protocol);
        return;
    }
    scan->protocol = (uint8_t)protocol;
    if (protocol == COIL_THRIFT_PROTOCOL_COMPACT) {
        scan_set_step(scan, STEP_COMPACT_TYPE, 1);
    } else if (protocol == COIL_THRIFT_PROTOCOL_JSON) {
        scan_set_step(scan, STEP_JSON, 1);
        scan->brackets[0] = 0;
        scan->level_count = 1;
    } else { /* Three more, behind the one that is there. */
        scan->step = STEP_VERSION;
        scan->step_bytes = 4;
    }
}

/* With a version: the name, and a sequence id. Without: the name, a type, and a sequence id. */
static void take_version(coil_thrift_scan *scan)
{
    const uint32_t version_mask = 0xffff0000;
    const uint32_t version_1 = 0x80010000;
    const uint32_t word = held_32(scan, 0);

    if (word < 1u << 24) {
        scan_skip_string(scan, word);
        skip(scan, 1 + 4);
        scan_open_struct(scan);
        scan_set_step(scan, STEP_NEXT, 0);
    } else if ((word & version_mask) == version_1) {
        scan_set_step(scan, STEP_NAME_SIZE, 4);
    } else {
        scan_refuse(scan, -EBADMSG);
    }
}

static void take_name_size(coil_thrift_scan *scan)
{
    scan_skip_string(scan, held_32(scan, 0));
    skip(scan, 4);
    scan_open_struct(scan);
    scan_set_step(scan, STEP_NEXT, 0);
}

static void take_field(coil_thrift_scan *scan)
{
    const uint8_t type = scan->held[0];

    if (type == COIL_THRIFT_STOP) {
        scan_end_struct(scan);
    } else if (thrift_bytes_min(type) == 0) {
        scan_refuse(scan, -EBADMSG);
    } else {
        skip(scan, 2);
        scan_begin_value(scan, type);
    }
}

static void take_string_size(coil_thrift_scan *scan)
{
    scan_skip_string(scan, held_32(scan, 0));
    scan_set_step(scan, STEP_NEXT, 0);
}

static void take_list(coil_thrift_scan *scan)
{
    const uint8_t element = scan->held[0];

    scan_open_container(scan, element, element, held_32(scan, 1), false);
    scan_set_step(scan, STEP_NEXT, 0);
}

static void take_map(coil_thrift_scan *scan)
{
    scan_open_container(scan, scan->held[1], scan->held[0], held_32(scan, 2), true);
    scan_set_step(scan, STEP_NEXT, 0);
}

/* JSON
 * ---- */

static void open_bracket(coil_thrift_scan *scan, bool is_curly)
{
    const uint32_t count = scan->level_count;

    /* A struct in a field has two brackets, and so has a map. */
    if (count >= 4 * scan->limits->depth_max + 2) {
        scan_refuse(scan, -ELOOP);
        return;
    }
    const uint64_t bit = (uint64_t)1 << count % 64;
    scan->brackets[count / 64] &= ~bit;
    scan->brackets[count / 64] |= is_curly ? bit : 0;
    scan->level_count++;
}

static void close_bracket(coil_thrift_scan *scan, bool is_curly)
{
    const uint32_t count = scan->level_count - 1;
    const bool was_curly = (scan->brackets[count / 64] >> count % 64 & 1) != 0;

    if (was_curly != is_curly)
        scan_refuse(scan, -EBADMSG);
    scan->level_count--;
    if (scan->level_count == 0)
        scan_set_step(scan, STEP_OVER, 0);
}

static void take_json(coil_thrift_scan *scan)
{
    const uint8_t c = scan->held[0];

    scan->held_count = 0;
    if (scan->in_string) {
        scan->in_string = scan->is_escaped || c != '"';
        scan->is_escaped = !scan->is_escaped && c == '\\';
        return;
    }
    switch (c) {
    case '"':
        scan->in_string = true;
        break;
    case '[':
    case '{':
        open_bracket(scan, c == '{');
        break;
    case ']':
    case '}':
        close_bracket(scan, c == '}');
        break;
    }
}

/* Steps
 * ----- */

/* All the bytes that it needs are held. */
static void take_step(coil_thrift_scan *scan)
{
    switch ((enum step)scan->step) {
    case STEP_PROTOCOL:
        take_protocol(scan);
        break;
    case STEP_VERSION:
        take_version(scan);
        break;
    case STEP_NAME_SIZE:
        take_name_size(scan);
        break;
    case STEP_FIELD:
        take_field(scan);
        break;
    case STEP_STRING_SIZE:
        take_string_size(scan);
        break;
    case STEP_LIST:
        take_list(scan);
        break;
    case STEP_MAP:
        take_map(scan);
        break;
    case STEP_JSON:
        take_json(scan);
        break;
    case STEP_NEXT:
        take_next(scan);
        break;
    default:
        scan_take_compact(scan);
        break;
    }
}

static uint32_t smaller(uint64_t one, uint32_t other)
{
    return one < other ? (uint32_t)one : other;
}

/* Skip, or collect for the next step. How many of the bytes that takes. */
static uint32_t take_bytes(coil_thrift_scan *scan, const uint8_t *bytes, uint32_t size)
{
    uint32_t count = smaller(scan->skip_bytes, size);

    if (count > 0) {
        scan->skip_bytes -= count;
    } else {
        count = smaller((uint64_t)scan->step_bytes - scan->held_count, size);
        memcpy(scan->held + scan->held_count, bytes, count);
        scan->held_count = (uint8_t)(scan->held_count + count);
    }
    scan->size += count;
    if (scan->size > scan->limits->frame_max)
        scan_refuse(scan, -EMSGSIZE);
    return count;
}

static bool is_ready(const coil_thrift_scan *scan)
{
    return scan->skip_bytes == 0 && scan->held_count == scan->step_bytes;
}

int coil_thrift_scan_go_on(coil_thrift_scan *scan, const void *bytes, uint32_t size)
{
    const uint8_t *at = bytes;
    uint32_t left = size < INT32_MAX ? size : INT32_MAX;
    const uint32_t given = left;

    while (scan->error == 0) {
        if (is_ready(scan)) {
            if (scan->step == STEP_OVER)
                return (int)(given - left);
            take_step(scan);
        } else if (left == 0) {
            scan->wanted =
                    (uint32_t)scan->skip_bytes + (uint32_t)(scan->step_bytes - scan->held_count);
            return 0;
        } else {
            const uint32_t count = take_bytes(scan, at, left);
            at += count;
            left -= count;
        }
    }
    return scan->error;
}

void coil_thrift_scan_init(coil_thrift_scan *scan, const coil_thrift_limits *limits)
{
    if (limits == NULL)
        limits = &coil_thrift_limits_default;
    COIL_CHECK(limits->depth_max > 0);
    COIL_CHECK(limits->depth_max <= COIL_THRIFT_DEPTH_MAX);

    scan->size = 0;
    scan->protocol = COIL_THRIFT_PROTOCOL_BINARY;
    scan->in_string = false;
    scan->is_escaped = false;
    scan->error = 0;
    scan->level_count = 0;
    scan->skip_bytes = 0;
    scan->limits = limits;
    scan->wanted = 1;
    scan_set_step(scan, STEP_PROTOCOL, 1);
}
