/* SPDX-License-Identifier: MIT */
/*
 * What the timer wheel is compared with: an array heap that holds (deadline, sequence) beside each
 * pointer, so that sifting compares without touching the timers. Each timer knows its place.
 */
#ifndef PERF_HEAP_H
#define PERF_HEAP_H

#include <coil/timer.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct timer_heap timer_heap;
typedef struct heap_timer heap_timer;
typedef struct heap_entry heap_entry;

struct heap_timer {
    coil_time deadline;
    size_t place; /* 0 when unarmed: entries[0] is not used. */
    void (*fire)(heap_timer *timer);
};

struct heap_entry {
    coil_time deadline;
    uint64_t sequence;
    heap_timer *timer;
};

struct timer_heap {
    heap_entry *entries;
    size_t count;
    uint64_t sequence;
};

static inline bool entry_before(const heap_entry *entry, const heap_entry *other)
{
    if (entry->deadline != other->deadline)
        return entry->deadline < other->deadline;
    return entry->sequence < other->sequence;
}

static inline void heap_put(timer_heap *heap, size_t place, heap_entry entry)
{
    heap->entries[place] = entry;
    entry.timer->place = place;
}

static inline void heap_sift(timer_heap *heap, size_t place, heap_entry entry)
{
    for (; place > 1 && entry_before(&entry, &heap->entries[place / 2]); place /= 2)
        heap_put(heap, place, heap->entries[place / 2]);

    for (size_t child; (child = place * 2) <= heap->count; place = child) {
        if (child < heap->count && entry_before(&heap->entries[child + 1], &heap->entries[child]))
            child++;
        if (!entry_before(&heap->entries[child], &entry))
            break;
        heap_put(heap, place, heap->entries[child]);
    }
    heap_put(heap, place, entry);
}

static inline void heap_disarm(timer_heap *heap, heap_timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    heap_entry last = heap->entries[heap->count--];
    if (last.timer != timer)
        heap_sift(heap, place, last);
}

static inline void heap_arm(timer_heap *heap, heap_timer *timer, coil_time deadline)
{
    size_t place = timer->place;
    timer->deadline = deadline;
    if (place == 0)
        place = ++heap->count;
    heap_sift(heap, place, (heap_entry){deadline, heap->sequence++, timer});
}

static inline coil_time heap_next(const timer_heap *heap)
{
    return heap->count > 0 ? heap->entries[1].deadline : COIL_NEVER;
}

static inline unsigned heap_advance(timer_heap *heap, coil_time now)
{
    unsigned fired = 0;
    for (; heap_next(heap) <= now; fired++) {
        heap_timer *timer = heap->entries[1].timer;
        heap_disarm(heap, timer);
        timer->fire(timer);
    }
    return fired;
}

#endif
