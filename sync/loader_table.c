/* SPDX-License-Identifier: MIT */
/* The keys that a loader knows: a hash table of entries, of which some have a value. */
#include "loader_private.h"

#include <coil/check.h>
#include <coil/sched.h>

#include <string.h>

/* ------------------------------------------------------------------------------------ keys -- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15;
    return hash ^ (hash >> 32);
}

static uint64_t hash_bytes(const coil_loader *loader, const char *bytes)
{
    uint64_t hash = loader->seed;
    size_t left_bytes = loader->key_bytes;

    while (left_bytes > 0) {
        uint64_t word = 0;
        size_t step_bytes = left_bytes < sizeof(word) ? left_bytes : sizeof(word);
        memcpy(&word, bytes, step_bytes);
        hash = mix(hash, word);
        bytes += step_bytes;
        left_bytes -= step_bytes;
    }
    return mix(hash, loader->seed);
}

uint64_t loader_seed(const coil_loader *loader, coil_time now)
{
    return mix((uint64_t)now, (uintptr_t)loader);
}

/*
 * The functions are the user's own, typed on his keys, and are called through types with `const
 * void *` instead. See queue.c.
 */
#ifdef __clang__
__attribute__((no_sanitize("function")))
#endif
uint64_t
loader_hash(const coil_loader *loader, const void *key)
{
    return loader->hash == NULL ? hash_bytes(loader, key) : mix(loader->seed, loader->hash(key));
}

#ifdef __clang__
__attribute__((no_sanitize("function")))
#endif
static bool
equal(const coil_loader *loader, const void *key, const void *other)
{
    return loader->equal == NULL ? memcmp(key, other, loader->key_bytes) == 0
                                 : loader->equal(key, other);
}

void coil_loader_compare_by_untyped(
        coil_loader *loader, coil_loader_hash *hash, coil_loader_equal *equal_keys)
{
    COIL_CHECK(hash != NULL);
    COIL_CHECK(equal_keys != NULL);
    COIL_CHECK(loader->found_count == 0); /* Else it would not find them again. */
    loader->hash = hash;
    loader->equal = equal_keys;
}

/* ------------------------------------------------------------------------------- the table -- */

/* The link that points to the entry of this key, or at the end of its bucket. */
static coil_loader_entry **place_of(coil_loader *loader, const void *key, uint64_t hash)
{
    coil_loader_entry **place = &loader->buckets[hash & (loader->bucket_count - 1)];

    while (*place != NULL && !((*place)->hash == hash && equal(loader, (*place)->key, key)))
        place = &(*place)->next;
    return place;
}

coil_loader_entry *loader_find(coil_loader *loader, const void *key, uint64_t hash)
{
    return *place_of(loader, key, hash);
}

static void release_buckets(coil_loader *loader)
{
    if (loader->buckets != loader->first_buckets) {
        coil_sched_release(loader->group.sched, loader->buckets,
                loader->bucket_count * sizeof(*loader->buckets));
    }
}

/* Without memory the lists in the buckets get longer, and that is all. */
static void add_buckets(coil_loader *loader)
{
    size_t count = 2 * loader->bucket_count;
    coil_loader_entry **buckets =
            coil_sched_allocate(loader->group.sched, count * sizeof(*buckets));

    if (buckets == NULL)
        return;
    memset(buckets, 0, count * sizeof(*buckets));
    for (size_t i = 0; i < loader->bucket_count; i++) {
        coil_loader_entry *entry;
        while ((entry = loader->buckets[i]) != NULL) {
            loader->buckets[i] = entry->next;
            entry->next = buckets[entry->hash & (count - 1)];
            buckets[entry->hash & (count - 1)] = entry;
        }
    }
    release_buckets(loader);
    loader->buckets = buckets;
    loader->bucket_count = count;
}

static void insert(coil_loader *loader, coil_loader_entry *entry)
{
    if (loader->found_count >= loader->bucket_count)
        add_buckets(loader);

    coil_loader_entry **place = &loader->buckets[entry->hash & (loader->bucket_count - 1)];
    entry->next = *place;
    *place = entry;
    entry->found = true;
    loader->found_count++;
}

void loader_detach(coil_loader *loader, coil_loader_entry *entry)
{
    if (!entry->found)
        return;
    coil_loader_entry **place = &loader->buckets[entry->hash & (loader->bucket_count - 1)];
    while (*place != entry)
        place = &(*place)->next;
    *place = entry->next;
    entry->found = false;
    loader->found_count--;
}

void loader_reset_table(coil_loader *loader)
{
    COIL_CHECK(loader->found_count == 0);
    release_buckets(loader);
    loader->buckets = loader->first_buckets;
    loader->bucket_count = COIL_LOADER_FIRST_BUCKETS;
}

/* ----------------------------------------------------------------------------- the entries -- */

static size_t entry_bytes(const coil_loader *loader)
{
    size_t size_bytes = sizeof(coil_loader_entry) + loader_aligned(loader->key_bytes);

    return loader->options.cache_count_max == 0 ? size_bytes : size_bytes + loader->value_bytes;
}

char *loader_value_in(const coil_loader *loader, coil_loader_entry *entry)
{
    return entry->key + loader_aligned(loader->key_bytes);
}

coil_loader_entry *loader_add(coil_loader *loader, const void *key, uint64_t hash)
{
    coil_loader_entry *entry = coil_sched_allocate(loader->group.sched, entry_bytes(loader));

    if (entry == NULL)
        return NULL;
    *entry = (coil_loader_entry){.hash = hash};
    coil_list_init(&entry->link);
    coil_list_init(&entry->callers);
    memcpy(entry->key, key, loader->key_bytes);
    insert(loader, entry);
    return entry;
}

void loader_drop(coil_loader *loader, coil_loader_entry *entry)
{
    COIL_CHECK(coil_list_empty(&entry->callers));
    loader_detach(loader, entry);
    coil_list_remove(&entry->link);
    if (entry->batch == NULL) {
        loader->cached_count--;
    } else {
        loader->key_count--;
    }
    coil_sched_release(loader->group.sched, entry, entry_bytes(loader));
}

void loader_keep(coil_loader *loader, coil_loader_entry *entry, const void *value)
{
    entry->batch = NULL;
    memcpy(loader_value_in(loader, entry), value, loader->value_bytes);
    coil_list_append(&loader->cached, &entry->link);
    loader->cached_count++;
    if (loader->cached_count > loader->options.cache_count_max)
        loader_drop(loader, coil_container_of(loader->cached.next, coil_loader_entry, link));
}
