/* SPDX-License-Identifier: MIT */
#include <coil/loader.h>

#include <coil/check.h>
#include <coil/event.h>
#include <coil/local.h>
#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>
#include <string.h>

enum { DEFAULT_BATCH_COUNT_MAX = 128, DEFAULT_KEY_COUNT_MAX = 65536 };

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
typedef struct caller {
    coil_waiter waiter;
    coil_loader_entry *entry; /* Valid while it waits. */
    void *out_value;
} caller;

/* On the frame stack of the body that opened the loader. `close` runs before `end`. */
typedef struct loader_scope {
    coil_deferred close;
    coil_deferred end;
    coil_loader *loader;
} loader_scope;

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

/*
 * The functions are the user's own, typed on his keys, and are called through types with `const
 * void *` instead. See queue.c.
 */
#ifdef __clang__
__attribute__((no_sanitize("function")))
#endif
static uint64_t
hash_of(const coil_loader *loader, const void *key)
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

static coil_loader_entry *find(coil_loader *loader, const void *key)
{
    return *place_of(loader, key, hash_of(loader, key));
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

/* Loads that come later do not find the entry any more. */
static void detach(coil_loader *loader, coil_loader_entry *entry)
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

/* ----------------------------------------------------------------------------- the entries -- */

static size_t aligned(size_t size_bytes)
{
    return (size_bytes + 15) & ~(size_t)15;
}

static size_t entry_bytes(const coil_loader *loader)
{
    size_t size_bytes = sizeof(coil_loader_entry) + aligned(loader->key_bytes);

    return loader->options.cache_count_max == 0 ? size_bytes : size_bytes + loader->value_bytes;
}

static char *value_in(const coil_loader *loader, coil_loader_entry *entry)
{
    return entry->key + aligned(loader->key_bytes);
}

static coil_loader_entry *make_entry(coil_loader *loader, const void *key, uint64_t hash)
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

static void drop(coil_loader *loader, coil_loader_entry *entry)
{
    COIL_CHECK(coil_list_empty(&entry->callers));
    detach(loader, entry);
    coil_list_remove(&entry->link);
    if (entry->batch == NULL) {
        loader->cached_count--;
    } else {
        loader->key_count--;
    }
    coil_sched_release(loader->group.sched, entry, entry_bytes(loader));
}

/* The entry, which is in the table and in no list, becomes the youngest of the cache. */
static void keep(coil_loader *loader, coil_loader_entry *entry, const void *value)
{
    entry->batch = NULL;
    memcpy(value_in(loader, entry), value, loader->value_bytes);
    coil_list_append(&loader->cached, &entry->link);
    loader->cached_count++;
    if (loader->cached_count > loader->options.cache_count_max)
        drop(loader, coil_container_of(loader->cached.next, coil_loader_entry, link));
}

/* ----------------------------------------------------------------------------- the batches -- */

/* No more keys. */
static void seal(coil_loader_batch *batch)
{
    if (batch->loader->collecting == batch)
        batch->loader->collecting = NULL;
    coil_event_set(&batch->sealed);
}

/* Nobody waits for keys whose callers have gone before the fetch. */
static void drop_orphans(coil_loader_batch *batch)
{
    coil_list *next;

    for (coil_list *link = batch->entries.next; link != &batch->entries; link = next) {
        coil_loader_entry *entry = coil_container_of(link, coil_loader_entry, link);
        next = link->next;
        if (!coil_list_empty(&entry->callers))
            continue;
        drop(batch->loader, entry);
        batch->entry_count--;
    }
}

/* Keys, values and statuses in one piece. Its size is that of what is there, not of a limit. */
static int make_arrays(coil_loader_batch *batch)
{
    const coil_loader *loader = batch->loader;
    size_t count = batch->entry_count;
    size_t keys_bytes = aligned(count * loader->key_bytes); /* Less than the entries have taken. */
    size_t values_bytes;
    size_t size_bytes;

    if (__builtin_mul_overflow(count, loader->value_bytes, &values_bytes) ||
            __builtin_add_overflow(
                    values_bytes, 15 + keys_bytes + count * sizeof(int), &size_bytes))
        return -ENOMEM;
    size_bytes = keys_bytes + aligned(values_bytes) + count * sizeof(int);
    char *arrays = coil_sched_allocate(loader->group.sched, size_bytes);
    if (arrays == NULL)
        return -ENOMEM;

    memset(arrays + keys_bytes, 0, values_bytes);
    batch->arrays = arrays;
    batch->arrays_bytes = size_bytes;
    batch->view = (batch_view){
            .loader = batch->loader,
            .count = count,
            .keys = arrays,
            .values = arrays + keys_bytes,
            .statuses = (int *)(void *)(arrays + keys_bytes + aligned(values_bytes)),
    };
    return 0;
}

/* 1: there is something to fetch; 0: there is not; -EPIPE; -ENOMEM. */
static int depart(coil_loader_batch *batch)
{
    size_t i = 0;

    seal(batch);
    if (batch->loader->closed)
        return -EPIPE; /* A cancellation that comes while a task yields is seen one await later. */
    drop_orphans(batch);
    batch->in_flight = true;
    if (batch->entry_count == 0)
        return 0;
    int rc = make_arrays(batch);
    if (rc < 0)
        return rc;
    for (coil_list *link = batch->entries.next; link != &batch->entries; link = link->next) {
        const coil_loader_entry *entry = coil_container_of(link, coil_loader_entry, link);
        memcpy((char *)batch->arrays + i * batch->loader->key_bytes, entry->key,
                batch->loader->key_bytes);
        batch->view.statuses[i++] = -ENOENT;
    }
    batch->loader->fetch_count++;
    return 1;
}

/* Everybody who waits for the key gets the value, or the error if there is none. */
static void answer(coil_loader *loader, coil_loader_entry *entry, int status, const void *value)
{
    coil_waiter *waiter;

    while ((waiter = coil_waiter_first(&entry->callers)) != NULL) {
        if (status >= 0) {
            memcpy(coil_container_of(waiter, caller, waiter)->out_value, value,
                    loader->value_bytes);
        }
        coil_waiter_grant(waiter, status < 0 ? status : 0);
    }
}

static void arrive(coil_loader_batch *batch, int rc)
{
    coil_loader *loader = batch->loader;
    coil_list *link;

    seal(batch);
    for (size_t i = 0; (link = coil_list_take_first(&batch->entries)) != NULL; i++) {
        coil_loader_entry *entry = coil_container_of(link, coil_loader_entry, link);
        int status = rc < 0 ? rc : batch->view.statuses[i];
        const char *value =
                rc < 0 ? NULL : (const char *)batch->view.values + i * loader->value_bytes;

        answer(loader, entry, status, value);
        if (status >= 0 && entry->found && loader->options.cache_count_max > 0) {
            loader->key_count--;
            keep(loader, entry, value);
        } else {
            drop(loader, entry);
        }
    }
    if (batch->arrays != NULL)
        coil_sched_release(loader->group.sched, batch->arrays, batch->arrays_bytes);
    coil_event_fini(&batch->sealed);
    coil_sched_release(loader->group.sched, batch, sizeof(*batch));
}

/* If it is unwound, then because the loader is closed, or because nobody waits for it. */
coil_async(int, run_batch, (coil_loader_batch *) batch)
{
    coil_vars(int departed; int rc;);

    my->rc = -EPIPE;
    coil_defer(arrive(batch, my->rc));
    if (batch->loader->options.window <= 0) {
        coil_await(coil_yield());
    } else {
        coil_await(coil_within(batch->loader->options.window, coil_event_wait(&batch->sealed)));
    }

    my->departed = depart(batch);
    if (my->departed <= 0) {
        my->rc = my->departed;
        return 0;
    }
    coil_await(my->rc, coil_handler_call(batch->loader->fetch, &batch->view));
    return 0;
}

/* The batch that loads join now. */
static int find_batch(coil_loader *loader, coil_loader_batch **out_batch)
{
    coil_loader_batch *batch = loader->collecting;

    if (batch == NULL) {
        batch = coil_sched_allocate(loader->group.sched, sizeof(*batch));
        if (batch == NULL)
            return -ENOMEM;
        *batch = (coil_loader_batch){.loader = loader};
        coil_list_init(&batch->entries);
        coil_event_init(&batch->sealed);
        batch->task = coil_spawn(&loader->group, run_batch(batch));
        if (batch->task == NULL) {
            coil_sched_release(loader->group.sched, batch, sizeof(*batch));
            return -ENOMEM;
        }
        /* It is for all its callers, not for this one. (Without memory it has no values at all.) */
        (void)coil_local_inherit(batch->task, loader->group.host);
        loader->collecting = batch;
    }
    *out_batch = batch;
    return 0;
}

/* Nobody waits for what is being fetched: it ends, and whoever comes from now on begins anew. */
static void abandon(coil_loader_batch *batch)
{
    for (coil_list *link = batch->entries.next; link != &batch->entries; link = link->next)
        detach(batch->loader, coil_container_of(link, coil_loader_entry, link));
    coil_task_cancel(batch->task);
}

/* ------------------------------------------------------------------------------------ load -- */

/* The entry of the key, in a batch if it is new. */
static int look_up(coil_loader *loader, const void *key, coil_loader_entry **out_entry)
{
    uint64_t hash = hash_of(loader, key);
    coil_loader_entry *entry = *place_of(loader, key, hash);
    coil_loader_batch *batch;

    if (entry == NULL) {
        if (loader->key_count >= loader->options.key_count_max)
            return -ENOBUFS;
        int rc = find_batch(loader, &batch);
        if (rc < 0)
            return rc;
        entry = make_entry(loader, key, hash);
        if (entry == NULL)
            return -ENOMEM;
        entry->batch = batch;
        coil_list_append(&batch->entries, &entry->link);
        loader->key_count++;
        if (++batch->entry_count == loader->options.batch_count_max)
            seal(batch);
    }
    *out_entry = entry;
    return 0;
}

/* It is now the youngest. */
static void copy_cached(coil_loader *loader, coil_loader_entry *entry, void *out_value)
{
    coil_list_remove(&entry->link);
    coil_list_append(&loader->cached, &entry->link);
    memcpy(out_value, value_in(loader, entry), loader->value_bytes);
}

static coil_turn load_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    const struct coil_loader_load_untyped__args *arguments =
            coil_arguments(coil_loader_load_untyped, leaf);
    coil_loader *loader = arguments->loader;
    coil_loader_entry *found = NULL;
    COIL_CHECK(loader->group.sched == task->sched);
    int rc = loader->closed ? -EPIPE : look_up(loader, arguments->key, &found);
    coil_loader_entry *entry = found;
    if (rc < 0 || entry == NULL) { /* (The second is for gcc, which cannot see that it follows.) */
        coil_result(coil_loader_load_untyped, leaf) = rc;
        return coil_leave(task, leaf);
    }
    if (entry->batch == NULL) {
        copy_cached(loader, entry, arguments->out_value);
        coil_result(coil_loader_load_untyped, leaf) = 0;
        return coil_leave(task, leaf);
    }

    COIL_CHECK(entry->batch->task != task); /* It would wait for itself. */
    caller *waiting = coil_push(task, sizeof(*waiting));
    waiting->entry = entry;
    waiting->out_value = arguments->out_value;
    entry->batch->caller_count++;
    return coil_waiter_suspend(&waiting->waiter, &entry->callers, task, leaf);
}

static void load_cancel(coil_task *task, coil_frame *leaf)
{
    const caller *waiting = coil_container_of(leaf->vars, caller, waiter);

    (void)task;
    if (!coil_waiter_withdraw(leaf))
        return;
    coil_loader_batch *batch = waiting->entry->batch;
    batch->caller_count--;
    if (batch->in_flight && batch->caller_count == 0)
        abandon(batch);
}

coil_define_leaf(coil_loader_load_untyped, load_step, load_cancel);

/* ------------------------------------------------------------------------------- the cache -- */

int coil_loader_prime_untyped(coil_loader *loader, const void *key, const void *value)
{
    uint64_t hash = hash_of(loader, key);

    COIL_CHECK(loader->options.cache_count_max > 0);
    if (loader->closed)
        return -EPIPE;
    if (*place_of(loader, key, hash) != NULL)
        return -EEXIST;
    coil_loader_entry *entry = make_entry(loader, key, hash);
    if (entry == NULL)
        return -ENOMEM;
    keep(loader, entry, value);
    return 0;
}

/* What is collected only will be fetched later than now: it is as good as new. */
static void clear(coil_loader *loader, coil_loader_entry *entry)
{
    if (entry->batch == NULL) {
        drop(loader, entry);
    } else if (entry->batch->in_flight) {
        detach(loader, entry);
    }
}

void coil_loader_clear_untyped(coil_loader *loader, const void *key)
{
    coil_loader_entry *entry = find(loader, key);

    if (entry != NULL)
        clear(loader, entry);
}

void coil_loader_clear_all_untyped(coil_loader *loader)
{
    for (size_t i = 0; i < loader->bucket_count; i++) {
        coil_loader_entry *next;
        for (coil_loader_entry *entry = loader->buckets[i]; entry != NULL; entry = next) {
            next = entry->next;
            clear(loader, entry);
        }
    }
}

/* -------------------------------------------------------------------------- open and close -- */

/* The body leaves. The group, which was opened before, ends next: its batches see this. */
static coil_turn close_loader(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    (void)task, (void)frame;
    coil_container_of(deferred, loader_scope, close)->loader->closed = true;
    return COIL_DONE;
}

static coil_turn end_loader(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    coil_loader *loader = coil_container_of(deferred, loader_scope, end)->loader;

    (void)task, (void)frame;
    COIL_CHECK(loader->key_count == 0);
    coil_loader_clear_all_untyped(loader);
    COIL_CHECK(loader->found_count == 0);
    COIL_CHECK(loader->cached_count == 0);
    release_buckets(loader);
    loader->buckets = loader->first_buckets;
    loader->bucket_count = COIL_LOADER_FIRST_BUCKETS;
    return COIL_DONE;
}

static const coil_leaving close_exit = {.call = close_loader};
static const coil_leaving end_exit = {.call = end_loader};

static void set_options(coil_loader *loader, const coil_loader_options *options)
{
    if (options != NULL)
        loader->options = *options;
    if (loader->options.batch_count_max == 0)
        loader->options.batch_count_max = DEFAULT_BATCH_COUNT_MAX;
    if (loader->options.key_count_max == 0)
        loader->options.key_count_max = DEFAULT_KEY_COUNT_MAX;
}

void coil_loader_open(
        coil_task *host, coil_frame *body, coil_loader *loader, const coil_loader_options *options)
{
    *loader = (coil_loader){
            .fetch = loader->fetch,
            .key_bytes = loader->key_bytes,
            .value_bytes = loader->value_bytes,
            .buckets = loader->first_buckets,
            .bucket_count = COIL_LOADER_FIRST_BUCKETS,
            .seed = mix((uint64_t)host->sched->now, (uintptr_t)loader),
    };
    set_options(loader, options);
    coil_list_init(&loader->cached);

    loader_scope *scope = coil_push(host, sizeof(*scope));
    scope->loader = loader;
    coil_defer_push(body, &scope->end, &end_exit);
    coil_group_open(host, body, &loader->group);
    loader->group.keep_going = true;
    loader->group.limit = loader->options.fetch_count_max;
    coil_defer_push(body, &scope->close, &close_exit);
}
