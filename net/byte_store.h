/* SPDX-License-Identifier: MIT */
/*
 * byte_store.h - bytes in a row that grow as they come, by doubling, up to a limit. All zeros is an
 * empty one.
 */
#ifndef COIL_BYTE_STORE_H
#define COIL_BYTE_STORE_H

#include <coil/base.h>

#include <stddef.h>
#include <stdint.h>

typedef struct byte_store {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
} byte_store;

void byte_store_fini(byte_store *store);

/*
 * The place for `size_bytes` more, which do not count yet: the caller adds to `size` what it has
 * put there. NULL: no memory.
 */
COIL_MUST_USE uint8_t *byte_store_room(byte_store *store, size_t size_bytes);

/* Append. 0; -EMSGSIZE, it would be above `size_max`; -ENOMEM. */
COIL_MUST_USE int byte_store_append(
        byte_store *store, const void *bytes, size_t size_bytes, size_t size_max);

/* Drop the first bytes. */
void byte_store_drop(byte_store *store, size_t size_bytes);

/* Empty it, and give the memory back if it is more than `keep_bytes`. */
void byte_store_clear(byte_store *store, size_t keep_bytes);

#endif
