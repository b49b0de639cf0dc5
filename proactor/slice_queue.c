/* SPDX-License-Identifier: MIT */
#include "slice_queue.h"

enum { FIRST_CAPACITY = 8 };

static size_t size_of(uint32_t capacity)
{
    return sizeof(slice_queue) + capacity * sizeof(coil_slice);
}

static coil_slice *nth(slice_queue *queue, uint32_t n)
{
    return &queue->slices[(queue->first + n) & (queue->capacity - 1)];
}

/* There is room for one more. */
static bool make_room(slice_queue **queue, coil_sched *sched)
{
    slice_queue *old = *queue;
    if (old != NULL && old->count < old->capacity)
        return true;
    uint32_t capacity = old == NULL ? FIRST_CAPACITY : 2 * old->capacity;
    slice_queue *larger = coil_sched_allocate(sched, size_of(capacity));
    if (larger == NULL)
        return false;
    *larger = (slice_queue){.capacity = capacity};
    if (old != NULL) {
        for (uint32_t i = 0; i < old->count; i++)
            larger->slices[i] = *nth(old, i);
        larger->count = old->count;
        larger->bytes = old->bytes;
        coil_sched_release(sched, old, size_of(old->capacity));
    }
    *queue = larger;
    return true;
}

bool slice_queue_append(slice_queue **queue, coil_sched *sched, const coil_slice *slice)
{
    if (!make_room(queue, sched))
        return false;
    *nth(*queue, (*queue)->count++) = *slice;
    (*queue)->bytes += slice->size_bytes;
    return true;
}

coil_slice slice_queue_take(slice_queue **queue, coil_sched *sched)
{
    slice_queue *from = *queue;
    coil_slice slice = *nth(from, 0);

    from->first++;
    from->count--;
    from->bytes -= slice.size_bytes;
    if (from->count == 0) {
        *queue = NULL;
        coil_sched_release(sched, from, size_of(from->capacity));
    }
    return slice;
}

bool slice_queue_join(slice_queue *queue, const coil_slice *slice)
{
    coil_slice *last = nth(queue, queue->count - 1);
    if (!coil_slice_continues(last, slice))
        return false;
    last->size_bytes += slice->size_bytes;
    queue->bytes += slice->size_bytes;
    return true;
}
