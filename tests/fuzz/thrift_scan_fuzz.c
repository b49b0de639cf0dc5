/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the search for a message's end. An input is a byte that says how the rest comes in
 * pieces, and that rest: what a connection receives. Beside not crashing it must hold that
 *
 *   - the end, or the error, does not depend on the pieces
 *   - no more bytes are asked for than a message has that a reader takes to its end
 *   - that message ends where the reader says
 */
#include "thrift_checks.h"

#include <coil/check.h>
#include <coil/thrift_scan.h>

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Where the message ends, 0 or an error. */
static int scan_in_pieces(
        const uint8_t *bytes, uint32_t size, uint32_t piece, const coil_thrift_limits *limits)
{
    coil_thrift_scan scan;
    uint32_t done = 0;
    int rc = 0;

    coil_thrift_scan_init(&scan, limits);
    while (rc == 0 && done < size) {
        const uint32_t left = size - done;
        const uint32_t count = piece == 0 || piece > left ? left : piece;
        rc = coil_thrift_scan_go_on(&scan, bytes + done, count);
        if (rc > 0)
            return (int)done + rc;
        done += count;
        COIL_CHECK(rc < 0 || (scan.size == done && scan.wanted > 0));
        piece = piece == 0 ? 0 : piece % 7 + 1;
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    coil_thrift_limits small = coil_thrift_limits_default;
    small.frame_max = 200;
    small.depth_max = 8;

    if (size < 2 || size > INT32_MAX)
        return 0;
    const uint32_t stream_size = (uint32_t)size - 1;
    const int end = scan_in_pieces(bytes + 1, stream_size, 0, NULL);
    COIL_CHECK(end <= (int)stream_size);
    COIL_CHECK(scan_in_pieces(bytes + 1, stream_size, 1u + bytes[0], NULL) == end);
    COIL_CHECK(scan_in_pieces(bytes + 1, stream_size, 0, &small) ==
               scan_in_pieces(bytes + 1, stream_size, 1u + bytes[0], &small));

    const int protocol = coil_thrift_detect_protocol(bytes + 1, 1);
    if (protocol < 0) {
        COIL_CHECK(end == protocol);
        return 0;
    }
    /* Of JSON the reader takes space behind the message as well. */
    if (thrift_check_skip((enum coil_thrift_protocol)protocol, bytes + 1, stream_size) == 0)
        COIL_CHECK(end == (int)stream_size || (protocol == COIL_THRIFT_PROTOCOL_JSON && end > 0));
    return 0;
}
