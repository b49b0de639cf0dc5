/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_scan.h - where a message of Thrift ends that has no length: it is found while the
 * message arrives.
 *
 *     coil_thrift_scan_init(&scan, NULL);
 *     while ((rc = coil_thrift_scan_go_on(&scan, bytes, size)) == 0)
 *         ...                                      await more bytes: at least scan.wanted
 *
 * The bytes may come in any pieces, and each is looked at once. Nothing is decoded: that a message
 * has an end does not say that a coil_thrift_reader will like it.
 *
 * Invariants, whatever the bytes are: a scan neither allocates nor recurses, and it is over at the
 * latest when there are more than limits.frame_max bytes, or are going to be: sizes and counts are
 * refused as soon as they are known.
 *
 * Not thread safe.
 */
#ifndef COIL_THRIFT_SCAN_H
#define COIL_THRIFT_SCAN_H

#include <coil/base.h>
#include <coil/thrift.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_scan coil_thrift_scan;
typedef struct coil_thrift_scan_level coil_thrift_scan_level;

/* Private: a struct, of which the types are STOP; or the elements of a container. */
struct coil_thrift_scan_level {
    uint32_t left;
    uint8_t types[2]; /* They alternate, and the last element is of the first one. */
};

struct coil_thrift_scan {
    uint32_t size;    /* Of the message, as far as it has come. */
    uint32_t wanted;  /* At least so many bytes are missing. */
    uint8_t protocol; /* enum coil_thrift_protocol, once there is a byte. */

    /* Private. */
    uint8_t step;       /* What is made of the next bytes, */
    uint8_t step_bytes; /* of which so many are needed */
    uint8_t held_count; /* and so many are here. */
    uint8_t held[8];
    uint8_t type;    /* Of the value that has begun. */
    uint8_t shift;   /* Compact: of the next seven bits. */
    bool in_string;  /* JSON. */
    bool is_escaped; /* JSON: behind a backslash. */
    int error;
    uint32_t level_count;
    uint64_t number;      /* Compact: as far as it has come. */
    uint64_t skip_bytes;  /* Of what is coming. */
    uint64_t brackets[5]; /* JSON, instead of levels: a bit says "curly". */
    coil_thrift_scan_level levels[2 * COIL_THRIFT_DEPTH_MAX];
    const coil_thrift_limits *limits;
};

/* Before the first byte of a message. Borrows `limits`; NULL stands for the defaults. */
COIL_API void coil_thrift_scan_init(coil_thrift_scan *scan, const coil_thrift_limits *limits);

/*
 * Look at the bytes that follow those already given. Above 0: with so many of them the message is
 * complete, and the scan is over. 0: they all belong to it, and it goes on. Else
 *
 *     -EBADMSG   this is no message of Thrift
 *     -EMSGSIZE  it is or would be above frame_max, or a string or container above its limit
 *     -ELOOP     values are nested far deeper than any reader allows
 *
 * which stays.
 */
COIL_API COIL_MUST_USE int coil_thrift_scan_go_on(
        coil_thrift_scan *scan, const void *bytes, uint32_t size);

COIL_END_DECLS

#endif
