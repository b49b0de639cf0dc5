/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "slice_watch.h"

#include <errno.h>
#include <stdlib.h>

enum {
    INCREMENTAL_COUNT = 16,
    INCREMENTAL_BYTES = 64 * 1024,
    PLAIN_COUNT = 256, /* Before 6.12: one buffer per receive. */
    PLAIN_BYTES = 4 * 1024,
    HOT_BYTES = 256 * 1024,
    HOT_LEAST_BYTES = 64 * 1024, /* With less room, another buffer takes its place. */
    SMALL_BYTES = 2048,          /* A slice of this size that stays for long is copied. */
    POOLS_KEPT_COUNT = 2,        /* Of those that have been given back. */
    COPY_LEAST_BYTES = 256, /* A copy and its head; and each power of two up to the slabs' end. */
    COPY_MOST_BYTES = COIL_SLAB_CLASSES * COIL_SLAB_STEP_BYTES,
};

/* How much is on offer, from the least to all there is. */
static const struct offer {
    unsigned count;
    uint32_t size_bytes;
} offers[] = {{4, 16 * 1024}, {8, 32 * 1024}, {INCREMENTAL_COUNT, INCREMENTAL_BYTES}};

enum { OFFER_LAST = sizeof(offers) / sizeof(offers[0]) - 1 };

/* ----------------------------------------------------------------------- those of the ring -- */

/* So many buffers take part, those with the smallest numbers. */
static unsigned offered_count(const buffer_pool *pool)
{
    return pool->incremental ? offers[pool->offer].count : pool->count;
}

static void add_to_ring(buffer_pool *pool, coil_buffer *buffer)
{
    if (pool->incremental)
        buffer->size_bytes = offers[pool->offer].size_bytes;
    buffer->used_bytes = 0;
    buffer->in_ring = true;
    pool->in_ring_count++;
    io_uring_buf_ring_add(pool->ring, buffer->bytes, (unsigned)buffer->size_bytes, buffer->id,
            (int)pool->count - 1, 0);
    io_uring_buf_ring_advance(pool->ring, 1);
}

/* Those that are free and take part. */
static void add_all(buffer_pool *pool)
{
    for (unsigned i = 0; i < offered_count(pool); i++) {
        coil_buffer *buffer = &pool->buffers[i];
        if (!buffer->in_ring && buffer->slice_count == 0)
            add_to_ring(pool, buffer);
    }
}

static int register_pool(buffer_pool *pool, unsigned flags)
{
    struct io_uring_buf_reg registration = {
            .ring_addr = (uint64_t)(uintptr_t)pool->ring,
            .ring_entries = pool->count,
            .bgid = pool->group,
            .flags = (uint16_t)flags,
    };
    int rc = coil_kernel_ring_register(
            &pool->loop->ring.uring, IORING_REGISTER_PBUF_RING, &registration, 1);
    pool->is_registered = rc == 0;
    return rc;
}

/* The kernel knows which groups there are: the first from `group` on that is free. */
static int register_as_one_of(buffer_pool *pool, unsigned flags)
{
    int rc;

    do {
        rc = register_pool(pool, flags);
    } while (rc == -EEXIST && pool->group++ < UINT16_MAX);
    return rc;
}

static buffer_pool *create(
        coil_loop *loop, uint16_t group, unsigned count, uint32_t size_bytes, unsigned flags)
{
    buffer_pool *pool = calloc(1, sizeof(*pool) + count * sizeof(coil_buffer));
    if (pool == NULL)
        return NULL;
    pool->loop = loop;
    pool->group = group;
    pool->count = count;
    pool->incremental = (flags & IOU_PBUF_RING_INC) != 0;
    pool->ring_bytes = count * sizeof(struct io_uring_buf);
    pool->memory_bytes = (size_t)count * size_bytes;
    pool->ring = coil_kernel_pages(pool->ring_bytes);
    pool->memory = coil_kernel_pages(pool->memory_bytes);
    if (pool->ring == NULL || pool->memory == NULL || register_as_one_of(pool, flags) < 0) {
        buffer_pool_destroy(pool);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        coil_buffer *buffer = &pool->buffers[i];
        buffer->pool = pool;
        buffer->id = (uint16_t)i;
        buffer->size_bytes = size_bytes;
        buffer->bytes = pool->memory + (size_t)i * size_bytes;
    }
    add_all(pool);
    pool->least_in_ring_count = pool->in_ring_count;
    return pool;
}

buffer_pool *loop_buffers(coil_loop *loop)
{
    if (coil_likely(loop->buffers != NULL))
        return loop->buffers;
    if (coil_sched_now(&loop->sched) < loop->buffers_retry_at)
        return NULL;
    loop->buffers =
            create(loop, POOL_GROUP, INCREMENTAL_COUNT, INCREMENTAL_BYTES, IOU_PBUF_RING_INC);
    if (loop->buffers == NULL)
        loop->buffers = create(loop, POOL_GROUP, PLAIN_COUNT, PLAIN_BYTES, 0);
    if (loop->buffers == NULL)
        loop->buffers_retry_at = coil_time_after(coil_sched_now(&loop->sched), coil_s(1));
    return loop->buffers;
}

void buffer_pool_destroy(buffer_pool *pool)
{
    if (pool == NULL)
        return;
    for (unsigned i = 0; i < pool->count; i++)
        COIL_CHECK(pool->buffers[i].slice_count == 0); /* A slice outlives the loop. */
    COIL_CHECK(pool->held_count == 0 && (pool->hot == NULL || pool->hot->slice_count == 0));
    free(pool->hot);
    while (pool->spare_count > 0)
        free(pool->spare[--pool->spare_count]);
    struct io_uring_buf_reg registration = {.bgid = pool->group};
    if (pool->is_registered) {
        (void)coil_kernel_ring_register(
                &pool->loop->ring.uring, IORING_UNREGISTER_PBUF_RING, &registration, 1);
    }
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

bool buffer_pool_relaxed(const buffer_pool *pool)
{
    return pool->in_ring_count > offered_count(pool) / 2;
}

bool buffer_pool_grow(buffer_pool *pool)
{
    if (!pool->incremental || pool->offer == OFFER_LAST)
        return false;
    pool->offer++;
    add_all(pool);
    pool->least_in_ring_count = pool->in_ring_count;
    pool->turnover_count = 0;
    return true;
}

void buffer_pool_filled(buffer_pool *pool, coil_buffer *buffer)
{
    buffer->in_ring = false;
    pool->in_ring_count--;
    if (pool->in_ring_count < pool->least_in_ring_count)
        pool->least_in_ring_count = pool->in_ring_count;
    if (++pool->turnover_count == POOL_TURNOVERS)
        buffer_pool_review(pool);
}

/* Three quarters have always been free: offer less. Those too many stay out when they come back. */
void buffer_pool_review(buffer_pool *pool)
{
    if (pool->incremental && pool->offer > 0 &&
            pool->least_in_ring_count > offered_count(pool) / 4 * 3)
        pool->offer--;
    pool->least_in_ring_count = pool->in_ring_count;
    pool->turnover_count = 0;
}

/* ------------------------------------------------------------------------------- borrowed -- */

/* Is any of it known to a slice? */
static bool is_in_use(const buffer_pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++) {
        if (pool->buffers[i].slice_count > 0)
            return true;
    }
    return false;
}

buffer_pool *buffer_pool_borrow(coil_loop *loop, unsigned count, uint32_t size_bytes)
{
    for (buffer_pool **at = &loop->spare_pools; *at != NULL; at = &(*at)->next) {
        buffer_pool *pool = *at;
        if (pool->count != count || pool->buffers[0].size_bytes != size_bytes)
            continue;
        *at = pool->next;
        return pool;
    }
    return create(loop, POOL_GROUP + 1, count, size_bytes, 0);
}

void buffer_pool_give_back(buffer_pool *pool)
{
    coil_loop *loop = pool->loop;
    unsigned idle_count = 0;

    pool->next = loop->spare_pools;
    loop->spare_pools = pool;
    for (buffer_pool **at = &loop->spare_pools; *at != NULL;) {
        buffer_pool *spare = *at;
        if (!is_in_use(spare) && ++idle_count > POOLS_KEPT_COUNT) {
            *at = spare->next;
            buffer_pool_destroy(spare);
        } else {
            at = &spare->next;
        }
    }
}

void buffer_pool_destroy_spare(coil_loop *loop)
{
    while (loop->spare_pools != NULL) {
        buffer_pool *pool = loop->spare_pools;
        loop->spare_pools = pool->next;
        buffer_pool_destroy(pool);
    }
}

/* ------------------------------------------------------------------------------- our own -- */

coil_buffer *private_buffer_create(size_t size_bytes)
{
    coil_buffer *buffer = malloc(sizeof(*buffer) + size_bytes);
    if (buffer == NULL)
        return NULL;
    *buffer = (coil_buffer){.size_bytes = size_bytes, .bytes = (char *)(buffer + 1)};
    return buffer;
}

coil_buffer *buffer_pool_hot(buffer_pool *pool)
{
    coil_buffer *hot = pool->hot;
    if (coil_likely(hot != NULL && hot->size_bytes - hot->used_bytes >= HOT_LEAST_BYTES))
        return hot;
    if (pool->spare_count > 0) {
        hot = pool->spare[--pool->spare_count];
    } else {
        hot = private_buffer_create(HOT_BYTES);
        if (hot == NULL)
            return NULL;
        hot->pool = pool;
        hot->is_ours = true;
    }
    pool->held_count += pool->hot != NULL; /* It comes back with its last slice. */
    return pool->hot = hot;
}

/* Nobody has a claim to any of it: it can be filled from its start again. */
static void put_ours(coil_buffer *buffer)
{
    buffer_pool *pool = buffer->pool;

    buffer->used_bytes = 0;
    if (buffer == pool->hot)
        return;
    pool->held_count--;
    if (pool->spare_count < POOL_SPARE_MAX) {
        pool->spare[pool->spare_count++] = buffer;
    } else {
        free(buffer);
    }
}

void buffer_put(coil_buffer *buffer)
{
    if (buffer->slice_count > 0 || buffer->in_ring)
        return;
    if (buffer->pool == NULL && buffer->sched != NULL) {
        coil_sched_release(buffer->sched, buffer, sizeof(*buffer) + buffer->size_bytes);
    } else if (buffer->pool == NULL) {
        if (buffer->watch != NULL)
            slice_watch_end(buffer->watch);
        free(buffer);
    } else if (buffer->is_ours) {
        put_ours(buffer);
    } else if (buffer->id < offered_count(buffer->pool)) {
        add_to_ring(buffer->pool, buffer);
    }
}

/* --------------------------------------------------------------------------------- slices -- */

COIL_HOT void coil_buffer_release(coil_buffer *buffer)
{
    COIL_CHECK(buffer->slice_count > 0);
    if (--buffer->slice_count == 0 && !buffer->in_ring)
        buffer_put(buffer);
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

coil_slice coil_slice_share(const coil_slice *slice)
{
    if (slice->buffer != NULL)
        slice->buffer->slice_count++;
    return *slice;
}

int coil_slice_create(size_t size_bytes, char **out_bytes, coil_slice *out_slice)
{
    coil_buffer *buffer = private_buffer_create(size_bytes);
    if (buffer == NULL)
        return -ENOMEM;
    *out_slice = buffer_fill(buffer, (int64_t)size_bytes);
    *out_bytes = buffer->bytes;
    return 0;
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

void slice_move_small(coil_slice *slice)
{
    if (slice->buffer->pool != NULL && slice->size_bytes <= SMALL_BYTES)
        (void)move_out(slice, 0); /* Without memory it stays where it is. */
}

int coil_slice_append(coil_slice *slice, coil_slice *more)
{
    int rc = 0;
    size_t more_bytes = (size_t)more->size_bytes;

    COIL_CHECK(slice->size_bytes >= 0); /* Errors have no bytes. */
    COIL_CHECK(more->size_bytes >= 0);
    if (slice->size_bytes == 0) {
        coil_slice_release(slice);
        *slice = coil_slice_take(more);
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
