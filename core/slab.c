/* SPDX-License-Identifier: MIT */
/*
 * Memory for tasks: blocks of a few sizes, cut from slabs.
 *
 *     refill ──► a slab: its blocks are free, or tasks' ──► coil_sched_trim: all free ──► resting
 *        ▲                                                                                  │
 *        └────────────────────── refill, before anything new is asked for ──────────────────┘
 *
 * A slab is never given back before the end, only its contents are, and its blocks keep their size:
 * memory that once held a task can be read at any time, so a stale pointer from the kernel can be
 * told by its contents.
 *
 * Where there are many slabs of a size, several are allocated at once, because allocators have some
 * overhead for each (a page, jemalloc): all but the first are laid to rest.
 *
 * A block says nothing of its slab, and a slab does not count its blocks, because that would cost
 * something each time. Whoever trims looks at all free blocks instead. That is done when three of
 * four tasks have gone, so it costs each of them once what it takes to look at it.
 *
 * AddressSanitizer is told which blocks are free, and reports whoever uses one.
 */
#include <coil/sched.h>

#include "task_private.h"

#include <coil/coro.h> /* COIL_ASAN_ */

#include <stdlib.h>

enum {
    TRIM_SLABS_MIN = 32,   /* With fewer it is not worth a look: 1 MiB. */
    TRIM_SLABS_MAX = 4096, /* With more the look would take too long, some 10 ms: 128 MiB. */
    STRIP_SLABS_MAX = 4,   /* So many are allocated at once, at most: */
    SLABS_PER_MORE = 16,   /* one more for each so many that are in use. */
};

typedef struct coil_slab {
    struct coil_slab *next;
    size_t free_count;  /* Good while it is trimmed; 0 else. */
    size_t strip_bytes; /* Of the allocation that begins with this one; 0: of another. */
    char bytes[] __attribute__((aligned(16)));
} coil_slab;

typedef struct coil_free {
    struct coil_free *next;
} coil_free;

/* COIL_SLAB_CLASSES or more: it has none. */
static size_t size_class_of(size_t size_bytes)
{
    return (size_bytes - 1) / COIL_SLAB_STEP_BYTES;
}

static size_t block_bytes_of(size_t size_class)
{
    return (size_class + 1) * COIL_SLAB_STEP_BYTES;
}

/* With its head it has no more than COIL_SLAB_BYTES, so that allocators have such a size. */
static size_t block_count_of(size_t size_class)
{
    return (COIL_SLAB_BYTES - sizeof(coil_slab)) / block_bytes_of(size_class);
}

static size_t blocks_bytes_of(size_t size_class)
{
    return block_count_of(size_class) * block_bytes_of(size_class);
}

/* What is free is hidden from all but ourselves, who need its link. */
#ifdef COIL_ASAN_
static void hide(coil_free *block, size_t size_bytes)
{
    ASAN_POISON_MEMORY_REGION(block + 1, size_bytes - sizeof(*block));
}

static void show(void *memory, size_t size_bytes)
{
    ASAN_UNPOISON_MEMORY_REGION(memory, size_bytes);
}
#else
static inline void hide(coil_free *block, size_t size_bytes)
{
    (void)block, (void)size_bytes;
}

static inline void show(void *memory, size_t size_bytes)
{
    (void)memory, (void)size_bytes;
}
#endif

/* -------------------------------------------------------------------- taking, giving back -- */

static coil_slab *take_resting(coil_sched *sched, size_t size_class)
{
    coil_slab *slab = sched->resting_slabs[size_class];
    if (slab != NULL)
        sched->resting_slabs[size_class] = slab->next;
    return slab;
}

static size_t slab_bytes_of(size_t size_class)
{
    return sizeof(coil_slab) + blocks_bytes_of(size_class);
}

/* How many to ask for: memory that is not needed is a fraction of what is. */
static size_t strip_count(const coil_sched *sched, size_t size_class)
{
    size_t count = 1;
    size_t in_use_count = 0;
    const coil_slab *slab = sched->slabs[size_class];
    for (; slab != NULL && count < STRIP_SLABS_MAX; slab = slab->next) {
        if (++in_use_count % SLABS_PER_MORE == 0)
            count++;
    }
    return count;
}

/* A new one; those that have come with it rest. If there is no room for several, it is one. */
static coil_slab *make_slab(coil_sched *sched, size_t size_class)
{
    coil_allocator *allocator = sched->allocator;
    size_t strip_bytes = strip_count(sched, size_class) * slab_bytes_of(size_class);
    char *strip = allocator->allocate(allocator, strip_bytes);
    if (strip == NULL && strip_bytes > slab_bytes_of(size_class)) {
        strip_bytes = slab_bytes_of(size_class);
        strip = allocator->allocate(allocator, strip_bytes);
    }
    if (strip == NULL)
        return NULL;

    for (size_t at = strip_bytes; at > 0;) {
        at -= slab_bytes_of(size_class);
        coil_slab *slab = (coil_slab *)(void *)(strip + at);
        *slab = (coil_slab){.next = sched->resting_slabs[size_class]};
        sched->resting_slabs[size_class] = slab;
    }
    coil_slab *first = take_resting(sched, size_class);
    first->strip_bytes = strip_bytes;
    return first;
}

/* From here on, three of four tasks have to go. */
static void watch_for_excess(coil_sched *sched)
{
    bool pays = sched->slab_count >= TRIM_SLABS_MIN && sched->slab_count <= TRIM_SLABS_MAX;
    sched->excess_below = pays ? sched->live_count / 4 : 0;
}

static void *refill(coil_sched *sched, size_t size_class)
{
    size_t block_bytes = block_bytes_of(size_class);
    coil_slab *slab = take_resting(sched, size_class);
    if (slab == NULL)
        slab = make_slab(sched, size_class);
    if (slab == NULL)
        return NULL;
    slab->next = sched->slabs[size_class];
    sched->slabs[size_class] = slab;
    sched->slab_count++;
    watch_for_excess(sched);

    for (size_t i = block_count_of(size_class) - 1; i > 0; i--) {
        coil_free *block = (coil_free *)(void *)(slab->bytes + i * block_bytes);
        block->next = sched->free_blocks[size_class];
        sched->free_blocks[size_class] = block;
        hide(block, block_bytes);
    }
    show(slab->bytes, block_bytes);
    return slab->bytes;
}

static inline void *take_block(coil_sched *sched, size_t size_class)
{
    coil_free *block = sched->free_blocks[size_class];
    if (coil_unlikely(block == NULL))
        return refill(sched, size_class);
    sched->free_blocks[size_class] = block->next;
    show(block, block_bytes_of(size_class));
    return block;
}

/* What is too large for the slabs; in debug mode everything, because then somebody looks first. */
static COIL_COLD void *allocate_slowly(coil_sched *sched, size_t size_class, size_t size_bytes)
{
    if (sched->debug != NULL)
        coil_debug_touched(sched->debug, "spawned a task");
    if (size_class >= COIL_SLAB_CLASSES)
        return sched->allocator->allocate(sched->allocator, size_bytes);
    return take_block(sched, size_class);
}

void *coil_sched_allocate(coil_sched *sched, size_t size_bytes)
{
    size_t size_class = size_class_of(size_bytes);
    if (coil_unlikely(size_class >= sched->class_count))
        return allocate_slowly(sched, size_class, size_bytes);
    return take_block(sched, size_class);
}

void coil_sched_release(coil_sched *sched, void *memory, size_t size_bytes)
{
    size_t size_class = size_class_of(size_bytes);
    if (coil_unlikely(size_class >= COIL_SLAB_CLASSES)) {
        sched->allocator->release(sched->allocator, memory, size_bytes);
        return;
    }
    coil_free *block = memory;
    block->next = sched->free_blocks[size_class];
    sched->free_blocks[size_class] = block;
    hide(block, block_bytes_of(size_class));
}

/* ------------------------------------------------------------------------------- trimming -- */

/* Slabs of one class, by address. */
typedef struct slab_table {
    coil_slab **slabs;
    size_t count;
} slab_table;

static int by_address(const void *one, const void *other)
{
    coil_slab *const *left = one;
    coil_slab *const *right = other;
    return *left < *right ? -1 : *left > *right;
}

static size_t slab_count_of(const coil_sched *sched, size_t size_class)
{
    size_t count = 0;
    for (const coil_slab *slab = sched->slabs[size_class]; slab != NULL; slab = slab->next)
        count++;
    return count;
}

/* False without memory for it. */
static bool table_make(coil_sched *sched, size_t size_class, slab_table *out_table)
{
    size_t count = slab_count_of(sched, size_class);
    coil_slab **slabs = sched->allocator->allocate(sched->allocator, count * sizeof(slabs[0]));
    if (slabs == NULL)
        return false;
    *out_table = (slab_table){slabs, count};
    for (coil_slab *slab = sched->slabs[size_class]; slab != NULL; slab = slab->next)
        *slabs++ = slab;
    qsort(out_table->slabs, count, sizeof(out_table->slabs[0]), by_address);
    return true;
}

static void table_free(coil_sched *sched, const slab_table *table)
{
    sched->allocator->release(
            sched->allocator, table->slabs, table->count * sizeof(table->slabs[0]));
}

/* The last slab that begins before the block. */
static coil_slab *slab_of(const slab_table *table, const coil_free *block)
{
    size_t low = 0;
    size_t high = table->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((const char *)table->slabs[middle] < (const char *)block) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return table->slabs[low];
}

/* Take the blocks of empty slabs off the list of free ones. The others keep their order. */
static void drop_blocks(coil_sched *sched, size_t size_class, const slab_table *table)
{
    size_t whole = block_count_of(size_class);
    coil_free **link = &sched->free_blocks[size_class];
    for (coil_free *block = *link; block != NULL; block = block->next) {
        if (slab_of(table, block)->free_count == whole)
            continue;
        *link = block;
        link = &block->next;
    }
    *link = NULL;
}

/* Lay empty slabs to rest. Returns the bytes. */
static size_t rest_slabs(coil_sched *sched, size_t size_class, coil_purge_hook *hook)
{
    size_t whole = block_count_of(size_class);
    size_t size_bytes = blocks_bytes_of(size_class);
    size_t rested_bytes = 0;
    coil_slab **link = &sched->slabs[size_class];

    for (coil_slab *slab = *link, *next; slab != NULL; slab = next) {
        next = slab->next;
        bool is_empty = slab->free_count == whole;
        slab->free_count = 0;
        if (!is_empty) {
            link = &slab->next;
            continue;
        }
        *link = next;
        slab->next = sched->resting_slabs[size_class];
        sched->resting_slabs[size_class] = slab;
        sched->slab_count--;
        show(slab->bytes, size_bytes);
        hook->purge(hook, slab->bytes, size_bytes);
        rested_bytes += size_bytes;
    }
    return rested_bytes;
}

static size_t trim_class(coil_sched *sched, size_t size_class, coil_purge_hook *hook)
{
    slab_table table;

    if (sched->free_blocks[size_class] == NULL || !table_make(sched, size_class, &table))
        return 0;
    for (const coil_free *block = sched->free_blocks[size_class]; block != NULL;
            block = block->next)
        slab_of(&table, block)->free_count++;
    drop_blocks(sched, size_class, &table);
    table_free(sched, &table);
    return rest_slabs(sched, size_class, hook);
}

size_t coil_sched_trim(coil_sched *sched, coil_purge_hook *hook)
{
    size_t rested_bytes = 0;

    for (size_t size_class = 0; size_class < COIL_SLAB_CLASSES; size_class++)
        rested_bytes += trim_class(sched, size_class, hook);
    watch_for_excess(sched);
    return rested_bytes;
}

/* ------------------------------------------------------------------------------------ end -- */

/* Of `slabs`, which are going, those that a strip begins with, before `firsts`. */
static coil_slab *firsts_of(coil_slab *slabs, size_t size_class, coil_slab *firsts)
{
    for (coil_slab *slab = slabs, *next; slab != NULL; slab = next) {
        next = slab->next;
        show(slab->bytes, blocks_bytes_of(size_class));
        if (slab->strip_bytes == 0)
            continue;
        slab->next = firsts;
        firsts = slab;
    }
    return firsts;
}

static void release_class(coil_sched *sched, size_t size_class)
{
    coil_slab *first = firsts_of(sched->slabs[size_class], size_class, NULL);
    first = firsts_of(sched->resting_slabs[size_class], size_class, first);
    while (first != NULL) {
        coil_slab *next = first->next;
        sched->allocator->release(sched->allocator, first, first->strip_bytes);
        first = next;
    }
    sched->slabs[size_class] = NULL;
    sched->resting_slabs[size_class] = NULL;
}

void coil_sched_release_slabs(coil_sched *sched)
{
    for (size_t size_class = 0; size_class < COIL_SLAB_CLASSES; size_class++)
        release_class(sched, size_class);
}
