/* SPDX-License-Identifier: MIT */
/*
 * pool.h - receive buffers: those that the kernel picks from, and one that we fill ourselves.
 *
 *     in the ring --the kernel fills it--> with slices --last slice released--> in the ring
 *
 * An incremental buffer (Linux 6.12) takes the bytes of many receives, one behind the other, of any
 * connection; the kernel says when it is done with it. It returns to the ring when that has been
 * said and its last slice has been released.
 *
 * How many bytes are on offer adapts to the traffic. The kernel takes the buffers in turn, so all
 * of them pass through the cache, however little is in use at a time: few and small ones are best
 * until a receive finds none. The most there ever are is half of a usual level 2 cache, so that
 * buffers are still there when the kernel fills them again.
 *
 * When that is not enough, because more bytes arrive at a time, we receive by ourselves, each
 * connection when its reader is about to run, into the hot buffer: it is used again as soon as its
 * slices have been released, and so stays in the cache whatever the number of connections.
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
    uint16_t id;
    bool in_ring;      /* The kernel may write behind used_bytes. */
    bool is_ours;      /* Never in the ring: we fill it. */
    size_t used_bytes; /* Filled so far. */
    size_t size_bytes;
    char *bytes;
    struct slice_watch *watch; /* Debug mode: who has it (slice_watch.h). Of private ones. */
} __attribute__((aligned(16)));

static_assert(sizeof(coil_buffer) == 64, "one of an array is found by a shift");

enum {
    POOL_SPARE_MAX = 4,   /* Buffers of ours that are kept. */
    POOL_TURNOVERS = 256, /* So many buffers filled, and it is asked whether fewer would do. */
};

struct buffer_pool {
    coil_loop *loop;
    struct io_uring_buf_ring *ring;
    size_t ring_bytes;
    char *memory;
    size_t memory_bytes;
    unsigned count;
    unsigned in_ring_count;
    unsigned offer;               /* How much takes part. */
    unsigned least_in_ring_count; /* Both since the last review. */
    unsigned turnover_count;
    bool incremental;
    bool is_registered;
    uint16_t group;    /* As the kernel knows it. */
    buffer_pool *next; /* In loop->spare_pools. */
    coil_buffer *hot;
    coil_buffer *spare[POOL_SPARE_MAX];
    unsigned spare_count;
    unsigned held_count; /* Of ours, those that only slices know. */
    coil_buffer buffers[];
};

/* The loop's pool, made when first needed; NULL without memory. */
buffer_pool *loop_buffers(coil_loop *loop);

/* The loop is going, and so are its buffers. Takes NULL. */
void buffer_pool_destroy(buffer_pool *pool);

/*
 * A pool for one descriptor alone, of `count` buffers (a power of two) that each take one receive:
 * for what may be neither joined nor cut. Given back it is kept until its slices have been
 * released, and for the next that wants such a one. NULL without memory.
 */
buffer_pool *buffer_pool_borrow(coil_loop *loop, unsigned count, uint32_t size_bytes);
void buffer_pool_give_back(buffer_pool *pool);

/* The loop is going, and nobody has borrowed a pool. */
void buffer_pool_destroy_spare(coil_loop *loop);

/* True if the kernel would find a buffer now. */
bool buffer_pool_ready(const buffer_pool *pool);

/* The same, and most of what there can be is free. */
bool buffer_pool_relaxed(const buffer_pool *pool);

/* A receive has found no buffer: offer more. False if there are no more. */
bool buffer_pool_grow(buffer_pool *pool);

/* Every now and then: is more on offer than needed? */
void buffer_pool_review(buffer_pool *pool);

/* `size_bytes` have been filled in behind what is used: they are a slice. */
static inline coil_slice buffer_fill(coil_buffer *buffer, int64_t size_bytes)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): nobody has filled in no buffer. */
    coil_slice slice = {size_bytes, buffer->bytes + buffer->used_bytes, buffer};
    buffer->used_bytes += (size_t)size_bytes;
    COIL_CHECK(buffer->used_bytes <= buffer->size_bytes);
    buffer->slice_count++;
    return slice;
}

/* The kernel is done with a buffer. */
void buffer_pool_filled(buffer_pool *pool, coil_buffer *buffer);

/* A completion with a buffer that has room for more: its bytes as a slice. */
static inline coil_slice buffer_pool_part(buffer_pool *pool, int32_t size_bytes, uint32_t flags)
{
    coil_buffer *buffer = &pool->buffers[flags >> IORING_CQE_BUFFER_SHIFT];
    COIL_CHECK(buffer->in_ring);
    return buffer_fill(buffer, size_bytes);
}

/* The same, of any buffer. */
static inline coil_slice buffer_pool_take(buffer_pool *pool, int32_t size_bytes, uint32_t flags)
{
    coil_slice slice = buffer_pool_part(pool, size_bytes, flags);
    if (!(flags & IORING_CQE_F_BUF_MORE)) /* Always, where they are not incremental. */
        buffer_pool_filled(pool, slice.buffer);
    return slice;
}

/* The buffer to fill by ourselves, behind its used_bytes. NULL without memory. */
coil_buffer *buffer_pool_hot(buffer_pool *pool);

/* A buffer outside of the pool. NULL without memory. */
coil_buffer *private_buffer_create(size_t size_bytes);

/* Have a slice that is much smaller than its buffer not keep that from others: copy it. */
void slice_move_small(coil_slice *slice);

/* If the last slice is gone and the kernel is done with it, the buffer goes back. */
void buffer_put(coil_buffer *buffer);

#endif
