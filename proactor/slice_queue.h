/* SPDX-License-Identifier: MIT */
/*
 * slice_queue.h - slices that wait to be taken, first in, first out.
 *
 * NULL is the empty queue: it has memory only while there is something in it.
 */
#ifndef SLICE_QUEUE_H
#define SLICE_QUEUE_H

#include <coil/buffer.h>
#include <coil/sched.h>

/* A ring. */
typedef struct slice_queue {
    uint32_t capacity; /* A power of two. */
    uint32_t first;
    uint32_t count;
    int64_t bytes;
    coil_slice slices[];
} slice_queue;

/* The memory is that of `sched`. False without any: the slice is still the caller's. */
bool slice_queue_append(slice_queue **queue, coil_sched *sched, const coil_slice *slice);

/* The first one, of a queue that is not empty. */
coil_slice slice_queue_take(slice_queue **queue, coil_sched *sched);

/* If `slice` continues the last one, make it part of that; then its buffer has a slice too many. */
bool slice_queue_join(slice_queue *queue, const coil_slice *slice);

static inline int64_t slice_queue_bytes(const slice_queue *queue)
{
    return queue != NULL ? queue->bytes : 0;
}

static inline uint32_t slice_queue_count(const slice_queue *queue)
{
    return queue != NULL ? queue->count : 0;
}

#endif
