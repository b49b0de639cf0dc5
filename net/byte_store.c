/* SPDX-License-Identifier: MIT */
#include "byte_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_BYTES_MIN = 512 };

void byte_store_fini(byte_store *store)
{
    free(store->bytes);
    *store = (byte_store){NULL, 0, 0};
}

uint8_t *byte_store_room(byte_store *store, size_t size_bytes)
{
    size_t needed = store->size + size_bytes;
    size_t capacity = store->capacity * 2;

    if (needed > store->capacity || store->bytes == NULL) {
        if (capacity < needed)
            capacity = needed;
        if (capacity < CAPACITY_BYTES_MIN)
            capacity = CAPACITY_BYTES_MIN;
        uint8_t *bytes = realloc(store->bytes, capacity);
        if (bytes == NULL)
            return NULL;
        store->bytes = bytes;
        store->capacity = capacity;
    }
    return store->bytes + store->size;
}

int byte_store_append(byte_store *store, const void *bytes, size_t size_bytes, size_t size_max)
{
    if (store->size > size_max || size_max - store->size < size_bytes)
        return -EMSGSIZE;
    if (size_bytes == 0)
        return 0;
    uint8_t *place = byte_store_room(store, size_bytes);
    if (place == NULL)
        return -ENOMEM;
    memcpy(place, bytes, size_bytes);
    store->size += size_bytes;
    return 0;
}

void byte_store_drop(byte_store *store, size_t size_bytes)
{
    if (size_bytes == 0)
        return;
    store->size -= size_bytes;
    memmove(store->bytes, store->bytes + size_bytes, store->size);
}

void byte_store_clear(byte_store *store, size_t keep_bytes)
{
    store->size = 0;
    if (store->capacity > keep_bytes)
        byte_store_fini(store);
}
