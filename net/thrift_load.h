/* SPDX-License-Identifier: MIT */
/* thrift_load.h - numbers as they are on the wire: big endian, wherever they lie. */
#ifndef COIL_THRIFT_LOAD_H
#define COIL_THRIFT_LOAD_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t thrift_load_16(const uint8_t *bytes)
{
    uint16_t bits;

    memcpy(&bits, bytes, sizeof(bits));
    return be16toh(bits);
}

static inline uint32_t thrift_load_32(const uint8_t *bytes)
{
    uint32_t bits;

    memcpy(&bits, bytes, sizeof(bits));
    return be32toh(bits);
}

static inline uint64_t thrift_load_64(const uint8_t *bytes)
{
    uint64_t bits;

    memcpy(&bits, bytes, sizeof(bits));
    return be64toh(bits);
}

#endif
