/* SPDX-License-Identifier: MIT */
#include "thrift_zlib.h"

#include <errno.h>

void thrift_inflater_destroy(thrift_inflater *inflater)
{
    (void)inflater;
}

void thrift_deflater_destroy(thrift_deflater *deflater)
{
    (void)deflater;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): as where there is zlib. */
int thrift_inflate(thrift_inflater **inflater, const uint8_t *bytes, size_t size, byte_store *out,
        size_t size_max, size_t *out_taken)
{
    (void)inflater;
    (void)bytes;
    (void)size;
    (void)out;
    (void)size_max;
    (void)out_taken;
    return -EPROTONOSUPPORT;
}

int thrift_inflate_alone(thrift_inflater **inflater, const uint8_t *bytes, size_t size,
        byte_store *out, size_t size_max)
{
    (void)inflater;
    (void)bytes;
    (void)size;
    (void)out;
    (void)size_max;
    return -EPROTONOSUPPORT;
}

int thrift_deflate(thrift_deflater **deflater, const uint8_t *bytes, size_t size, byte_store *out,
        bool alone, bool thrifty)
{
    (void)deflater;
    (void)bytes;
    (void)size;
    (void)out;
    (void)alone;
    (void)thrifty;
    return -EPROTONOSUPPORT;
}
