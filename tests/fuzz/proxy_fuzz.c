/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the PROXY protocol. An input is what a connection begins with. Beside not crashing
 * it must hold that
 *
 *   - a header is never longer than what was given, and the same without what follows it
 *   - none of its beginnings is one
 *   - what was read can be written, and then reads as the same
 */
#include "address_private.h"

#include <coil/check.h>
#include <coil/proxy_protocol.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* (What is IPv4 within IPv6 is written as IPv4.) */
static void check_same(const coil_address *one, const coil_address *other)
{
    char texts[2][COIL_ADDRESS_TEXT_BYTES];
    coil_address ends[] = {*one, *other};

    address_unmap(&ends[0]);
    address_unmap(&ends[1]);
    COIL_CHECK(ends[0].size_bytes == ends[1].size_bytes);
    if (ends[0].size_bytes == 0)
        return;
    COIL_CHECK(strcmp(coil_address_format(&ends[0], texts[0]),
                       coil_address_format(&ends[1], texts[1])) == 0);
}

/* (A checksum is that of the bytes, which may be others: of what is behind a path's end.) */
static size_t walk(const coil_proxy_header *header)
{
    coil_proxy_value value = {0};
    size_t sum = 0;
    while (coil_proxy_next(header, &value)) {
        for (size_t i = 0; i < value.size_bytes && value.type != COIL_PROXY_CRC32C; i++)
            sum += value.bytes[i];
        sum += value.size_bytes + 3;
    }
    return sum;
}

static void check_written(const coil_proxy_header *header)
{
    static uint8_t copy[16 + 65535];
    coil_proxy_header again;

    ssize_t size = coil_proxy_write(header, copy, sizeof(copy));
    COIL_CHECK(size > 0);
    COIL_CHECK(coil_proxy_parse(copy, (size_t)size, &again) == size);
    COIL_CHECK(again.version == header->version && again.is_local == header->is_local);
    check_same(&again.source, &header->source);
    check_same(&again.destination, &header->destination);
    COIL_CHECK(walk(&again) == walk(header));
}

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    coil_proxy_header header;
    coil_proxy_header same;

    ssize_t rc = coil_proxy_parse(bytes, size, &header);
    COIL_CHECK(rc <= (ssize_t)size);
    if (rc <= 0) {
        COIL_CHECK(rc == -EAGAIN || rc == -EBADMSG);
        return 0;
    }
    COIL_CHECK(coil_proxy_parse(bytes, (size_t)rc, &same) == rc);
    COIL_CHECK(coil_proxy_parse(bytes, (size_t)rc - 1, &same) == -EAGAIN);
    check_written(&header);
    return 0;
}
