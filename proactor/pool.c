/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>

enum {
    INCREMENTAL_COUNT = 16,
    INCREMENTAL_BYTES = 64 * 1024,
    PLAIN_COUNT = 256, /* Before 6.12: one buffer per receive. */
    PLAIN_BYTES = 4 * 1024,
    COPY_LEAST_BYTES = 256, /* A copy and its head; and each power of two up to the slabs' end. */
    COPY_MOST_BYTES = COIL_SLAB_CLASSES * COIL_SLAB_STEP_BYTES,
};

struct buffer_pool {
    coil_loop *loop;
    struct io_uring_buf_ring *ring;
    size_t ring_bytes;
    char *memory;
    size_t memory_bytes;
    unsigned count;
    unsigned in_ring_count;
    bool incremental;
    coil_buffer buffers[];
};

static void add_to_ring(buffer_pool *pool, coil_buffer *buffer)
{
    buffer->used_bytes = 0;
    buffer->in_ring = true;
    pool->in_ring_count++;
    io_uring_buf_ring_add(pool->ring, buffer->bytes, (unsigned)buffer->size_bytes, buffer->id,
            (int)pool->count - 1, 0);
    io_uring_buf_ring_advance(pool->ring, 1);
}

static int register_pool(buffer_pool *pool, unsigned flags)
{
    struct io_uring_buf_reg registration = {
            .ring_addr = (uint64_t)(uintptr_t)pool->ring,
            .ring_entries = pool->count,
            .bgid = POOL_GROUP,
            .flags = (uint16_t)flags,
    };
    return coil_kernel_ring_register(
            &pool->loop->ring.uring, IORING_REGISTER_PBUF_RING, &registration, 1);
}

static buffer_pool *create(coil_loop *loop, unsigned count, uint32_t size_bytes, unsigned flags)
{
    buffer_pool *pool = calloc(1, sizeof(*pool) + count * sizeof(coil_buffer));
    if (pool == NULL)
        return NULL;
    pool->loop = loop;
    pool->count = count;
    pool->incremental = (flags & IOU_PBUF_RING_INC) != 0;
    pool->ring_bytes = count * sizeof(struct io_uring_buf);
    pool->memory_bytes = (size_t)count * size_bytes;
    pool->ring = coil_kernel_pages(pool->ring_bytes);
    pool->memory = coil_kernel_pages(pool->memory_bytes);
    if (pool->ring == NULL || pool->memory == NULL || register_pool(pool, flags) < 0) {
        buffer_pool_destroy(pool);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        coil_buffer *buffer = &pool->buffers[i];
        buffer->pool = pool;
        buffer->id = (uint16_t)i;
        buffer->size_bytes = size_bytes;
        buffer->bytes = pool->memory + (size_t)i * size_bytes;
        add_to_ring(pool, buffer);
    }
    return pool;
}

buffer_pool *loop_buffers(coil_loop *loop)
{
    if (coil_likely(loop->buffers != NULL))
        return loop->buffers;
    if (loop->sched.now < loop->buffers_retry_at)
        return NULL;
    loop->buffers = create(loop, INCREMENTAL_COUNT, INCREMENTAL_BYTES, IOU_PBUF_RING_INC);
    if (loop->buffers == NULL)
        loop->buffers = create(loop, PLAIN_COUNT, PLAIN_BYTES, 0);
    if (loop->buffers == NULL)
        loop->buffers_retry_at = coil_time_after(loop->sched.now, coil_s(1));
    return loop->buffers;
}

void buffer_pool_destroy(buffer_pool *pool)
{
    if (pool == NULL)
        return;
    for (unsigned i = 0; i < pool->count; i++)
        COIL_CHECK(pool->buffers[i].slice_count == 0); /* A slice outlives the loop. */
    struct io_uring_buf_reg registration = {.bgid = POOL_GROUP};
    (void)coil_kernel_ring_register(
            &pool->loop->ring.uring, IORING_UNREGISTER_PBUF_RING, &registration, 1);
    if (pool->ring != NULL)
        coil_kernel_pages_release(pool->ring, pool->ring_bytes);
    if (pool->memory != NULL)
        coil_kernel_pages_release(pool->memory, pool->memory_bytes);
    free(pool);
}

bool buffer_pool_ready(const buffer_pool *pool)
{
    return pool->in_ring_count > 0;
}

coil_slice buffer_pool_take(buffer_pool *pool, int32_t size_bytes, uint32_t flags)
{
    coil_buffer *buffer = &pool->buffers[flags >> IORING_CQE_BUFFER_SHIFT];
    COIL_CHECK(buffer->in_ring);
    COIL_CHECK((size_t)size_bytes <= buffer->size_bytes - buffer->used_bytes);

    coil_slice slice = {size_bytes, buffer->bytes + buffer->used_bytes, buffer};
    buffer->used_bytes += (size_t)size_bytes;
    buffer->slice_count++;
    if (!pool->incremental || !(flags & IORING_CQE_F_BUF_MORE)) {
        buffer->in_ring = false;
        pool->in_ring_count--;
    }
    return slice;
}

coil_buffer *private_buffer_create(size_t size_bytes)
{
    coil_buffer *buffer = malloc(sizeof(*buffer) + size_bytes);
    if (buffer == NULL)
        return NULL;
    *buffer = (coil_buffer){.size_bytes = size_bytes, .bytes = (char *)(buffer + 1)};
    return buffer;
}

void buffer_put(coil_buffer *buffer)
{
    if (buffer->slice_count > 0 || buffer->in_ring)
        return;
    if (buffer->pool == NULL && buffer->sched != NULL) {
        coil_sched_release(buffer->sched, buffer, sizeof(*buffer) + buffer->size_bytes);
    } else if (buffer->pool == NULL) {
        free(buffer);
    } else {
        add_to_ring(buffer->pool, buffer);
    }
}

/* --------------------------------------------------------------------------------- slices -- */

void coil_slice_release(coil_slice *slice)
{
    coil_buffer *buffer = slice->buffer;
    if (buffer != NULL) {
        COIL_CHECK(buffer->slice_count > 0);
        buffer->slice_count--;
        buffer_put(buffer);
    }
    *slice = (coil_slice){0, NULL, NULL};
}

coil_slice coil_slice_split(coil_slice *slice, int64_t size_bytes)
{
    COIL_CHECK(size_bytes >= 0);
    COIL_CHECK(size_bytes <= slice->size_bytes);
    coil_slice first = *slice;

    if (size_bytes == slice->size_bytes) {
        *slice = (coil_slice){0, NULL, NULL};
        return first;
    }
    first.size_bytes = size_bytes;
    coil_slice_consume(slice, size_bytes);
    if (first.buffer != NULL)
        first.buffer->slice_count++;
    return first;
}

/* Is there room behind the slice that nobody else has a claim to? */
static bool has_room(const coil_slice *slice, size_t more_bytes)
{
    const coil_buffer *buffer = slice->buffer;
    return buffer != NULL && buffer->pool == NULL &&
           slice->bytes + slice->size_bytes == buffer->bytes + buffer->used_bytes &&
           buffer->size_bytes - buffer->used_bytes >= more_bytes;
}

static coil_sched *sched_of(const coil_buffer *buffer)
{
    if (buffer == NULL)
        return NULL;
    return buffer->pool != NULL ? &buffer->pool->loop->sched : buffer->sched;
}

/*
 * For what lies in two buffers, which happens once for every few that are filled: in the steady
 * state that is no reason to ask the heap. In powers of two, so that few sizes of slabs come of it.
 */
static coil_buffer *copy_create(coil_sched *sched, size_t size_bytes)
{
    size_t all_bytes = COPY_LEAST_BYTES;
    while (all_bytes < sizeof(coil_buffer) + size_bytes)
        all_bytes *= 2;
    if (sched == NULL || all_bytes > COPY_MOST_BYTES)
        return private_buffer_create(size_bytes);

    coil_buffer *buffer = coil_sched_allocate(sched, all_bytes);
    if (buffer == NULL)
        return NULL;
    *buffer = (coil_buffer){
            .sched = sched,
            .size_bytes = all_bytes - sizeof(*buffer),
            .bytes = (char *)(buffer + 1),
    };
    return buffer;
}

/* A copy with as much room behind as it has bytes. */
static int move_out(coil_slice *slice, size_t more_bytes)
{
    size_t have_bytes = (size_t)slice->size_bytes;
    coil_buffer *buffer = copy_create(sched_of(slice->buffer), 2 * (have_bytes + more_bytes));
    if (buffer == NULL)
        return -ENOMEM;
    memcpy(buffer->bytes, slice->bytes, have_bytes);
    buffer->used_bytes = have_bytes;
    buffer->slice_count = 1;
    coil_slice_release(slice);
    *slice = (coil_slice){(int64_t)have_bytes, buffer->bytes, buffer};
    return 0;
}

int coil_slice_append(coil_slice *slice, coil_slice *more)
{
    int rc = 0;
    size_t more_bytes = (size_t)more->size_bytes;

    COIL_CHECK(slice->size_bytes >= 0); /* Errors have no bytes. */
    COIL_CHECK(more->size_bytes >= 0);
    if (slice->size_bytes == 0) {
        coil_slice_release(slice);
        *slice = *more;
        *more = (coil_slice){0, NULL, NULL};
        return 0;
    }
    if (more_bytes > 0 && !has_room(slice, more_bytes))
        rc = move_out(slice, more_bytes);
    if (rc == 0 && more_bytes > 0) {
        coil_buffer *buffer = slice->buffer;
        memcpy(buffer->bytes + buffer->used_bytes, more->bytes, more_bytes);
        buffer->used_bytes += more_bytes;
        slice->size_bytes += (int64_t)more_bytes;
    }
    coil_slice_release(more);
    return rc;
}
