/* SPDX-License-Identifier: MIT */
#include <coil/loader.h>

#include "loader_private.h"

#include <coil/check.h>
#include <coil/sched.h>

#include <errno.h>
#include <string.h>

enum { DEFAULT_BATCH_COUNT_MAX = 128, DEFAULT_KEY_COUNT_MAX = 65536 };

/* On the frame stack of the body that opened the loader. `close` runs before `end`. */
typedef struct loader_scope {
    coil_deferred close;
    coil_deferred end;
    coil_loader *loader;
} loader_scope;

/* ------------------------------------------------------------------------------------ load -- */

/* The entry of the key, in a batch if it is new. */
static int look_up(coil_loader *loader, const void *key, coil_loader_entry **out_entry)
{
    uint64_t hash = loader_hash(loader, key);
    coil_loader_entry *entry = loader_find(loader, key, hash);

    if (entry != NULL) {
        *out_entry = entry;
        return 0;
    }
    if (loader->key_count >= loader->options.key_count_max)
        return -ENOBUFS;
    return loader_collect(loader, key, hash, out_entry);
}

/* It is now the youngest. */
static void copy_cached(coil_loader *loader, coil_loader_entry *entry, void *out_value)
{
    coil_list_remove(&entry->link);
    coil_list_append(&loader->cached, &entry->link);
    memcpy(out_value, loader_value_in(loader, entry), loader->value_bytes);
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
    loader_caller *waiting = coil_push(task, sizeof(*waiting));
    waiting->entry = entry;
    waiting->out_value = arguments->out_value;
    entry->batch->caller_count++;
    return coil_waiter_suspend(&waiting->waiter, &entry->callers, task, leaf);
}

static void load_cancel(coil_task *task, coil_frame *leaf)
{
    const loader_caller *waiting = coil_container_of(leaf->vars, loader_caller, waiter);

    (void)task;
    if (!coil_waiter_withdraw(leaf))
        return;
    coil_loader_batch *batch = waiting->entry->batch;
    batch->caller_count--;
    if (batch->in_flight && batch->caller_count == 0)
        loader_abandon(batch);
}

coil_define_leaf(coil_loader_load_untyped, load_step, load_cancel);

/* ------------------------------------------------------------------------------- the cache -- */

int coil_loader_prime_untyped(coil_loader *loader, const void *key, const void *value)
{
    uint64_t hash = loader_hash(loader, key);

    COIL_CHECK(loader->options.cache_count_max > 0);
    if (loader->closed)
        return -EPIPE;
    if (loader_find(loader, key, hash) != NULL)
        return -EEXIST;
    coil_loader_entry *entry = loader_add(loader, key, hash);
    if (entry == NULL)
        return -ENOMEM;
    loader_keep(loader, entry, value);
    return 0;
}

/* What is collected only will be fetched later than now: it is as good as new. */
static void clear(coil_loader *loader, coil_loader_entry *entry)
{
    if (entry->batch == NULL) {
        loader_drop(loader, entry);
    } else if (entry->batch->in_flight) {
        loader_detach(loader, entry);
    }
}

void coil_loader_clear_untyped(coil_loader *loader, const void *key)
{
    coil_loader_entry *entry = loader_find(loader, key, loader_hash(loader, key));

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
    COIL_CHECK(loader->cached_count == 0);
    loader_reset_table(loader);
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
            .seed = loader_seed(loader, coil_sched_now(host->sched)),
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
