/* SPDX-License-Identifier: MIT */
/*
 * thrift_zlib.h - inflating and deflating, into byte stores, for transports. Made when first used.
 * thrift_zlib.c does it with zlib; thrift_zlib_none.c is for builds without.
 */
#ifndef COIL_THRIFT_ZLIB_H
#define COIL_THRIFT_ZLIB_H

#include "byte_store.h"
#include "thrift_transport.h"

/* Whether these are the first bytes of what zlib makes, with the window that everybody uses. */
static inline bool thrift_zlib_is(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0x78 && (bytes[0] << 8 | bytes[1]) % 31 == 0 &&
           (bytes[1] & 0x20) == 0;
}

void thrift_inflater_destroy(thrift_inflater *inflater);
void thrift_deflater_destroy(thrift_deflater *deflater);

/*
 * Inflate, behind what was inflated before, until the bytes are used up or `out` has `size_max`.
 * 0; -EBADMSG, they are no deflate stream, or go on behind its end; -ENOMEM; -EPROTONOSUPPORT.
 */
COIL_MUST_USE int thrift_inflate(thrift_inflater **inflater, const uint8_t *bytes, size_t size,
        byte_store *out, size_t size_max, size_t *out_taken);

/*
 * Inflate one whole stream. 0; -ENODATA, it does not end where the bytes do; -EMSGSIZE, there would
 * be more than `size_max`; and as above.
 */
COIL_MUST_USE int thrift_inflate_alone(thrift_inflater **inflater, const uint8_t *bytes,
        size_t size, byte_store *out, size_t size_max);

/*
 * Append to `out`: the next piece of a stream, or a stream of its own (`alone`). A thrifty one uses
 * 64 KiB of memory instead of 256. -ENOMEM, -EPROTONOSUPPORT.
 */
COIL_MUST_USE int thrift_deflate(thrift_deflater **deflater, const uint8_t *bytes, size_t size,
        byte_store *out, bool alone, bool thrifty);

#endif
