/* SPDX-License-Identifier: MIT */
/*
 * What does a timer cost when n others are armed? The wheel of <coil/timer.h> against a binary
 * heap. One JSON line per answer, ns per operation:
 *
 *     timer_arm_cancel   arm a timer 30 s ahead and disarm it: an operation that ends in time
 *     timer_move         arm an armed timer, picked at random, for another deadline; misses the
 * cache timer_arm_fire     one of n timers fires and arms itself again, up to 60 s ahead, in a loop
 *                        that sleeps until next() and turns at most once in 100 us
 *
 * Usage: timer [n...]     default 1000 1000000
 */
#include <coil/check.h>
#include <coil/timer.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AHEAD_MAX_NS (INT64_C(60) * 1000000000)
#define TURN_NS (INT64_C(100) * 1000)
#define OPERATIONS 4000000
#define HOT_TIMERS 64 /* A power of two. */

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static coil_duration random_ahead(void)
{
    return (coil_duration)(next_random() % (uint64_t)AHEAD_MAX_NS);
}

static coil_time clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/*
 * The comparison: an array heap that holds (deadline, sequence) beside each pointer, so that
 * sifting compares without touching the timers. Each timer knows its place.
 */
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

static bool entry_before(const heap_entry *entry, const heap_entry *other)
{
    if (entry->deadline != other->deadline)
        return entry->deadline < other->deadline;
    return entry->sequence < other->sequence;
}

static void heap_put(timer_heap *heap, size_t place, heap_entry entry)
{
    heap->entries[place] = entry;
    entry.timer->place = place;
}

static void heap_sift(timer_heap *heap, size_t place, heap_entry entry)
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

static void heap_disarm(timer_heap *heap, heap_timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    heap_entry last = heap->entries[heap->count--];
    if (last.timer != timer)
        heap_sift(heap, place, last);
}

static void heap_arm(timer_heap *heap, heap_timer *timer, coil_time deadline)
{
    size_t place = timer->place;
    timer->deadline = deadline;
    if (place == 0)
        place = ++heap->count;
    heap_sift(heap, place, (heap_entry){deadline, heap->sequence++, timer});
}

static coil_time heap_next(const timer_heap *heap)
{
    return heap->count > 0 ? heap->entries[1].deadline : COIL_NEVER;
}

static unsigned heap_advance(timer_heap *heap, coil_time now)
{
    unsigned fired = 0;
    for (; heap_next(heap) <= now; fired++) {
        heap_timer *timer = heap->entries[1].timer;
        heap_disarm(heap, timer);
        timer->fire(timer);
    }
    return fired;
}

/* Globals, for fire() hooks that need nothing else. */
static coil_timer_wheel wheel;
static timer_heap rival;

static void wheel_fire(coil_timer *timer)
{
    coil_timer_arm(&wheel, timer, timer->deadline + TURN_NS + random_ahead());
}

static void rival_fire(heap_timer *timer)
{
    heap_arm(&rival, timer, timer->deadline + TURN_NS + random_ahead());
}

static void report(const char *bench, const char *impl, size_t n, coil_time start, uint64_t count)
{
    double ns = (double)(clock_now() - start) / (double)count;
    printf("{\"bench\":\"%s\",\"impl\":\"%s\",\"n\":%zu,\"ns\":%.1f}\n", bench, impl, n, ns);
    fflush(stdout);
}

static void measure_wheel(size_t n)
{
    coil_timer *timers = calloc(n + HOT_TIMERS, sizeof(*timers));
    COIL_CHECK(timers != NULL);
    coil_timer_wheel_init(&wheel, 0);
    for (size_t i = 0; i < n + HOT_TIMERS; i++)
        coil_timer_init(&timers[i], wheel_fire);
    for (size_t i = 0; i < n; i++)
        coil_timer_arm(&wheel, &timers[i], random_ahead());

    coil_time start = clock_now();
    for (size_t i = 0; i < OPERATIONS; i++) {
        coil_timer *timer = &timers[n + i % HOT_TIMERS];
        coil_timer_arm(&wheel, timer, AHEAD_MAX_NS / 2 + (coil_time)i * 1000);
        coil_timer_disarm(&wheel, timer);
    }
    report("timer_arm_cancel", "coil", n, start, OPERATIONS);

    start = clock_now();
    for (size_t i = 0; i < OPERATIONS; i++)
        coil_timer_arm(&wheel, &timers[next_random() % n], random_ahead());
    report("timer_move", "coil", n, start, OPERATIONS);

    uint64_t fired = 0;
    coil_time now = 0;
    start = clock_now();
    while (fired < OPERATIONS) {
        coil_time next = coil_timer_wheel_next(&wheel);
        now = next > now + TURN_NS ? next : now + TURN_NS;
        fired += coil_timer_wheel_advance(&wheel, now);
    }
    report("timer_arm_fire", "coil", n, start, fired);
    free(timers);
}

static void measure_rival(size_t n)
{
    heap_timer *timers = calloc(n + HOT_TIMERS, sizeof(*timers));
    rival = (timer_heap){.entries = calloc(n + HOT_TIMERS + 1, sizeof(*rival.entries))};
    COIL_CHECK(timers != NULL);
    COIL_CHECK(rival.entries != NULL);
    for (size_t i = 0; i < n + HOT_TIMERS; i++)
        timers[i].fire = rival_fire;
    for (size_t i = 0; i < n; i++)
        heap_arm(&rival, &timers[i], random_ahead());

    coil_time start = clock_now();
    for (size_t i = 0; i < OPERATIONS; i++) {
        heap_timer *timer = &timers[n + i % HOT_TIMERS];
        heap_arm(&rival, timer, AHEAD_MAX_NS / 2 + (coil_time)i * 1000);
        heap_disarm(&rival, timer);
    }
    report("timer_arm_cancel", "heap", n, start, OPERATIONS);

    start = clock_now();
    for (size_t i = 0; i < OPERATIONS; i++)
        heap_arm(&rival, &timers[next_random() % n], random_ahead());
    report("timer_move", "heap", n, start, OPERATIONS);

    uint64_t fired = 0;
    coil_time now = 0;
    start = clock_now();
    while (fired < OPERATIONS) {
        coil_time next = heap_next(&rival);
        now = next > now + TURN_NS ? next : now + TURN_NS;
        fired += heap_advance(&rival, now);
    }
    report("timer_arm_fire", "heap", n, start, fired);
    free(rival.entries);
    free(timers);
}

static void measure(size_t n)
{
    COIL_CHECK(n > 0);
    random_state = 88172645463325252;
    measure_wheel(n);
    random_state = 88172645463325252;
    measure_rival(n);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        measure(strtoul(argv[i], NULL, 10));
    if (argc == 1) {
        measure(1000);
        measure(1000000);
    }
    return 0;
}
