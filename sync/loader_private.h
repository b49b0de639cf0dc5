/* SPDX-License-Identifier: MIT */
/*
 * loader_private.h - what the files of a loader share.
 *
 *     loader.c            loading, the cache, opening and closing
 *     loader_table.c      the keys that are known
 *     loader_batch.c      keys that are collected, and their fetch
 */
#ifndef LOADER_PRIVATE_H
#define LOADER_PRIVATE_H

#include <coil/event.h>
#include <coil/loader.h>
#include <coil/waiter.h>

/* One key that is known. */
struct coil_loader_entry {
    coil_loader_entry *next; /* In its bucket. */
    uint64_t hash;
    coil_list link; /* In batch->entries, or in loader->cached. */
    coil_list callers;
    coil_loader_batch *batch; /* NULL: cached. */
    bool found;               /* It is in the table. Else its callers are the last. */
    char key[] __attribute__((aligned(16))); /* With a cache, the value lies behind it. */
};

/* The same as every coil_batch_of(). */
typedef struct batch_view {
    coil_loader *loader;
    size_t count;
    const void *keys;
    void *values;
    int *statuses;
} __attribute__((may_alias)) batch_view;

struct coil_loader_batch {
    coil_loader *loader;
    coil_task *task;
    coil_list entries; /* While in flight, in the order of the arrays. */
    size_t entry_count;
    size_t caller_count;
    bool in_flight;
    coil_event sealed; /* It is full. */
    batch_view view;
    void *arrays;
    size_t arrays_bytes;
};

/* On the frame stack of a task that waits in coil_loader_load(). */
typedef struct loader_caller {
    coil_waiter waiter;
    coil_loader_entry *entry; /* Valid while it waits. */
    void *out_value;
} loader_caller;

/* Keys and values, and what they are followed by, are aligned to this. */
static inline size_t loader_aligned(size_t size_bytes)
{
    return (size_bytes + 15) & ~(size_t)15;
}

/* ------------------------------------------------------------------------------- the table -- */

uint64_t loader_seed(const coil_loader *loader, coil_time now);
uint64_t loader_hash(const coil_loader *loader, const void *key);

/* The entry of `key`, whose hash is `hash`. NULL: it is not known. */
coil_loader_entry *loader_find(coil_loader *loader, const void *key, uint64_t hash);

/* A new one, in the table and in no list. NULL without memory. */
coil_loader_entry *loader_add(coil_loader *loader, const void *key, uint64_t hash);

/* Loads that come later do not find the entry any more. */
void loader_detach(coil_loader *loader, coil_loader_entry *entry);

/* Nobody waits for it: it is gone. */
void loader_drop(coil_loader *loader, coil_loader_entry *entry);

/* The entry, which is in the table and in no list, becomes the youngest of the cache. */
void loader_keep(coil_loader *loader, coil_loader_entry *entry, const void *value);

/* Where a cached entry has its value. */
char *loader_value_in(const coil_loader *loader, coil_loader_entry *entry);

/* The loader is closed, and nothing is in the table. */
void loader_reset_table(coil_loader *loader);

/* ----------------------------------------------------------------------------- the batches -- */

/* Put a new entry into the batch that loads join now. 0, -ENOMEM. */
int loader_collect(
        coil_loader *loader, const void *key, uint64_t hash, coil_loader_entry **out_entry);

/* Nobody waits for what is being fetched: it ends, and whoever comes from now on begins anew. */
void loader_abandon(coil_loader_batch *batch);

#endif
