/* SPDX-License-Identifier: MIT */
/*
 * coil/loader.h - a coalescing loader: what many tasks look up at once becomes one batched fetch.
 *
 *     typedef coil_loader_of(user_id, user) user_loader;
 *     typedef coil_batch_of(user_loader) user_batch;
 *
 *     coil_async (int, fetch_users, (user_batch *) batch)           one query for many keys
 *     {
 *         ... batch->keys[0 .. count), fill batch->values[i], set batch->statuses[i] = 0
 *     }
 *
 *     coil_open_loader(&my->users, fetch_users, NULL);              until this coroutine leaves
 *
 *     coil_attempt (coil_loader_load(users, &my->id, &my->user));   in any number of tasks
 *
 * (DataLoader of GraphQL; Coalesced Fetching of Hack's async, where a batch waits for `later()`;
 * singleflight of Go, which shares but does not batch. asyncio has none.)
 *
 * The first load of a key that is not known opens a batch. Those that follow join it, until
 * everything that was ready to run has run, or its window has passed, or it is full; then its fetch
 * runs, as a task of a group of the loader, while the next batch fills.
 *
 *     unknown --load--> collected --the batch is full or due--> in flight --done--> cached,
 *                           |                                       |               or unknown
 *                           +----------every caller has gone--------+---> unknown
 *
 * Invariants
 *   - A key is asked for once, however many load it, from the first load until the fetch ends. Each
 *     caller gets its own copy of the value, or the error.
 *   - A fetch that fails fails all callers of its batch, and nobody else. So batch at the lowest
 *     level, where everything in a batch would have failed anyway.
 *   - A caller that is cancelled, or whose deadline passes, leaves alone: the others do not notice.
 *     Keys whose callers have all gone before the fetch are not asked for, and a fetch that runs is
 *     cancelled when the last caller of its batch has gone; a load that comes later begins anew. If
 *     the value had been delivered before the cancellation came, the load reports 0 all the same
 *     and the cancellation takes effect at the task's next await.
 *   - No fetch outlives the coroutine that opened the loader. When that leaves, loads that wait and
 *     loads to come report -EPIPE, and fetches are cancelled and awaited.
 *   - Errors are never cached.
 *   - Everything has a bound: keys in a batch, keys in flight, cached values.
 *
 * Keys and values are plain types and are copied byte by byte. What they point to is not the
 * loader's: what a key points to must stay while the key is known, so it is best to have keys
 * without pointers; what a value points to is shared by all who get a copy.
 *
 * Not thread safe: a loader and all who use it belong to one scheduler's thread.
 */
#ifndef COIL_LOADER_H
#define COIL_LOADER_H

#include <coil/coro.h>
#include <coil/group.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_loader coil_loader;
typedef struct coil_loader_entry coil_loader_entry;
typedef struct coil_loader_batch coil_loader_batch;

/* 0 stands for the default. */
typedef struct coil_loader_options {
    size_t batch_count_max; /* Keys in one batch: 128. */
    size_t key_count_max;   /* Keys that are collected or in flight: 65536. */
    size_t cache_count_max; /* Cached values: none. Beyond it the one not used for longest goes. */
    coil_duration window;   /* How long a batch waits for keys: until what is ready has run. */
    size_t fetch_count_max; /* Fetches at the same time: any number. Meanwhile batches fill. */
} coil_loader_options;

typedef uint64_t coil_loader_hash(const void *key);
typedef bool coil_loader_equal(const void *key, const void *other);

enum { COIL_LOADER_FIRST_BUCKETS = 16 };

/* What loaders of all types have in common. */
struct coil_loader {
    size_t key_count;    /* Keys that are collected or in flight. Read only. */
    size_t cached_count; /* Read only. */
    size_t fetch_count;  /* Fetches that were begun. Read only. */
    bool closed;         /* The coroutine that opened it is leaving. Read only. */

    /* Private. */
    coil_loader_options options;
    coil_handler fetch;
    coil_loader_hash *hash;
    coil_loader_equal *equal;
    size_t key_bytes;
    size_t value_bytes;
    coil_group group;
    coil_loader_batch *collecting; /* The batch that loads join, or NULL. */
    coil_list cached;              /* The one not used for longest first. */
    uint64_t seed;
    size_t found_count; /* Entries in the table: a list per bucket. */
    size_t bucket_count;
    coil_loader_entry **buckets;
    coil_loader_entry *first_buckets[COIL_LOADER_FIRST_BUCKETS];
};

/* The type of a loader of values V by keys K. It must not move while open. Name it by typedef. */
#define coil_loader_of(K, V)                                                            \
    struct {                                                                            \
        coil_loader loader;                                                             \
        uint64_t (*hash)(const __typeof__(K) *);                                        \
        bool (*equal)(const __typeof__(K) *, const __typeof__(K) *);                    \
        struct {                                                                        \
            coil_loader *loader; /* coil_container_of() finds what the loader is in. */ \
            size_t count;        /* At least 1. */                                      \
            const __typeof__(K) *keys;                                                  \
            __typeof__(V) *values;                                                      \
            int *statuses;                                                              \
        } * batch; /* Only its type counts. */                                          \
    }

/*
 * What the fetch of the loader type `L` gets a pointer to. Its arrays, `count` long, live until it
 * ends, its defers included. No two keys are equal. It sets values[i], and statuses[i] to 0, for
 * each key that it has a value for; or statuses[i] to a negative errno. At first they are all
 * -ENOENT, so that a query which does not find a key need not say so, and values are zero.
 *
 * Result of the fetch, a coroutine `int fetch(coil_batch_of(L) *batch)`: 0 or more; or a negative
 * errno, which is then every caller's result, whatever the statuses. It may load from other
 * loaders, and, unless the number of fetches is limited, other keys from this one. It runs for all
 * callers of the batch, so it has the local values (coil/local.h) of none of them: it has those of
 * the task that opened the loader, as they are when the batch begins.
 */
#define coil_batch_of(L) __typeof__(*((L *)0)->batch)

/*
 * Inside a coroutine: open `loader`, which must live in its vars or in memory that outlives it, for
 * as long as that coroutine runs. `options` may be NULL, and need not stay. Keys are compared and
 * hashed by their bytes, so they must not have padding: see coil_loader_compare_by(). Cannot fail.
 *
 *     void coil_open_loader(coil_loader_of(K, V) *loader, coroutine fetch,
 *             const coil_loader_options *options);
 */
#define coil_open_loader(l, fetch, options) \
    coil_loader_open(co__t, &co__f->co__h,  \
            COIL_LOADER_UNTYPED_(l, coil_handler(fetch, __typeof__((l)->batch))), (options))

/*
 * Compare and hash keys by functions of one's own. To be called right after opening. Keys that are
 * equal have equal hashes; the hash need not be a good one.
 *
 *     void coil_loader_compare_by(coil_loader_of(K, V) *loader, uint64_t (*hash)(const K *key),
 *             bool (*equal)(const K *key, const K *other));
 */
#define coil_loader_compare_by(l, hash_key, equal_keys)              \
    coil_loader_compare_by_untyped(&(l)->loader,                     \
            ((l)->hash = (hash_key), (coil_loader_hash *)(l)->hash), \
            ((l)->equal = (equal_keys), (coil_loader_equal *)(l)->equal))

/*
 * Load the value of `*key` into `*out_value`: at once, without giving up the turn, if it is cached;
 * else wait for the fetch. `*out_value` must stay until the call is done, and is set on success
 * only; `*key` is copied.
 *
 * Result: 0; the status that the fetch gave the key, -ENOENT if none; the error of the whole fetch,
 * -ECANCELED if its task was cancelled; -EPIPE, the loader is closed or was closed while waiting;
 * -ENOBUFS, too many keys are in flight; -ENOMEM; -ETIME under within() or until(). A fetch that
 * loads a key of its own batch would wait for itself: a programming error.
 *
 *     coroutine int coil_loader_load(coil_loader_of(K, V) *loader, const K *key, V *out_value);
 */
#define coil_loader_load(l, key, out_value) \
    coil_loader_load_untyped(               \
            &(l)->loader, COIL_LOADER_KEY_(l, key), COIL_LOADER_VALUE_(l, out_value))

/*
 * Put a value into the cache as if it had been fetched. For a loader with a cache.
 *
 * 0; -EEXIST, the key is cached or in flight, and nothing was changed (coil_loader_clear() first to
 * replace it); -EPIPE, the loader is closed; -ENOMEM.
 *
 *     int coil_loader_prime(coil_loader_of(K, V) *loader, const K *key, const V *value);
 */
#define coil_loader_prime(l, key, value) \
    coil_loader_prime_untyped(&(l)->loader, COIL_LOADER_KEY_(l, key), COIL_LOADER_VALUE_(l, value))

/*
 * Forget what is known of `*key`, or of all keys, because it has changed: loads that come later
 * fetch anew. Those that wait for a fetch that runs still get what it brings, which is not cached.
 *
 *     void coil_loader_clear(coil_loader_of(K, V) *loader, const K *key);
 *     void coil_loader_clear_all(coil_loader_of(K, V) *loader);
 */
#define coil_loader_clear(l, key) coil_loader_clear_untyped(&(l)->loader, COIL_LOADER_KEY_(l, key))
#define coil_loader_clear_all(l) coil_loader_clear_all_untyped(&(l)->loader)

/* ------------------------------------------------------------------------ behind the macros -- */

#define COIL_LOADER_KEY_(l, key) COIL_ITEM_OF_((l)->batch->keys, key)
#define COIL_LOADER_VALUE_(l, value) COIL_ITEM_OF_((l)->batch->values, value)

#define COIL_LOADER_UNTYPED_(l, handler)                                                     \
    __extension__({                                                                          \
        static_assert(sizeof(*(l)->batch->keys) <= 1 << 20, "these keys are too large");     \
        static_assert(__alignof__(*(l)->batch->keys) <= 16, "keys are over-aligned");        \
        static_assert(sizeof(*(l)->batch->values) <= 1 << 30, "these values are too large"); \
        static_assert(__alignof__(*(l)->batch->values) <= 16, "values are over-aligned");    \
        coil_loader *co__l = &(l)->loader;                                                   \
        co__l->fetch = (handler);                                                            \
        co__l->key_bytes = sizeof(*(l)->batch->keys);                                        \
        co__l->value_bytes = sizeof(*(l)->batch->values);                                    \
        co__l;                                                                               \
    })

/* The check of the types in the macros is what makes the `void *` here sound. */
COIL_API void coil_loader_open(
        coil_task *host, coil_frame *body, coil_loader *loader, const coil_loader_options *options);
COIL_API void coil_loader_compare_by_untyped(
        coil_loader *loader, coil_loader_hash *hash, coil_loader_equal *equal);
COIL_API COIL_MUST_USE int coil_loader_prime_untyped(
        coil_loader *loader, const void *key, const void *value);
COIL_API void coil_loader_clear_untyped(coil_loader *loader, const void *key);
COIL_API void coil_loader_clear_all_untyped(coil_loader *loader);
coil_declare(
        int, coil_loader_load_untyped, (coil_loader *) loader, (const void *) key, (void *) out_value);

COIL_END_DECLS

#endif
