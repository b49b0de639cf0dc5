/* SPDX-License-Identifier: MIT */
/*
 * pool.h - receive buffers that the kernel picks from (provided buffer rings).
 *
 *     in the ring --the kernel fills it--> with slices --last slice released--> in the ring
 *
 * An incremental buffer (Linux 6.12) takes the bytes of many receives, one behind the other, of any
 * connection; the kernel says when it is done with it. It returns to the ring when that has been
 * said and its last slice has been released.
 *
 * The pool is small on purpose: half of a usual level 2 cache, so that buffers are still there when
 * the kernel fills them again.
 */
#ifndef POOL_H
#define POOL_H

#include "loop_private.h"

#include <coil/buffer.h>

enum { POOL_GROUP = 0 };

struct coil_buffer {
    buffer_pool *pool; /* NULL: a private one, freed with its last slice. */
    coil_sched *sched; /* A private one: whose slabs it is from; NULL: the heap. */
    uint32_t slice_count;
    size_t used_bytes; /* Filled so far. */
    size_t size_bytes;
    uint16_t id;
    bool in_ring; /* The kernel may write behind used_bytes. */
    char *bytes;
};

/* The loop's pool, made when first needed; NULL without memory. */
buffer_pool *loop_buffers(coil_loop *loop);

/* The loop is going, and so are its buffers. Takes NULL. */
void buffer_pool_destroy(buffer_pool *pool);

/* True if the kernel would find a buffer now. */
bool buffer_pool_ready(const buffer_pool *pool);

/* A completion with a buffer: its bytes as a slice. */
coil_slice buffer_pool_take(buffer_pool *pool, int32_t size_bytes, uint32_t flags);

/* A buffer outside of the pool. NULL without memory. */
coil_buffer *private_buffer_create(size_t size_bytes);

/* If the last slice is gone and the kernel is done with it, the buffer goes back. */
void buffer_put(coil_buffer *buffer);

#endif
