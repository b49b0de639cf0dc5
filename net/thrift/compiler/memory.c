/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 };

typedef struct block block;
struct block {
    block *next;
    size_t used_bytes;
    size_t size_bytes;
    _Alignas(max_align_t) char bytes[];
};

static block *newest;

static block *block_create(size_t size_bytes)
{
    block *self = calloc(1, sizeof(*self) + size_bytes);

    if (self == NULL) {
        fputs("coil-thrift: out of memory\n", stderr);
        exit(1);
    }
    self->size_bytes = size_bytes;
    self->next = newest;
    newest = self;
    return self;
}

void *idl_allocate(size_t size_bytes)
{
    const size_t aligned_bytes =
            (size_bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    block *self = newest;

    if (self == NULL || self->size_bytes - self->used_bytes < aligned_bytes)
        self = block_create(aligned_bytes > BLOCK_BYTES ? aligned_bytes : BLOCK_BYTES);
    void *bytes = self->bytes + self->used_bytes;
    self->used_bytes += aligned_bytes;
    return bytes;
}

char *idl_copy(const char *text, size_t size)
{
    char *copy = idl_allocate(size + 1);

    memcpy(copy, text, size);
    return copy;
}

char *idl_format_list(const char *format, va_list values)
{
    va_list again;

    va_copy(again, values);
    const int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = idl_allocate((size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, values);
    return text;
}

char *idl_format(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    char *text = idl_format_list(format, values);
    va_end(values);
    return text;
}

void idl_free_all(void)
{
    while (newest != NULL) {
        block *oldest = newest;
        newest = oldest->next;
        free(oldest);
    }
}
