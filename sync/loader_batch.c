/* SPDX-License-Identifier: MIT */
/* Keys that are collected, fetched together, and what becomes of those who wait for them. */
#include "loader_private.h"

#include <coil/check.h>
#include <coil/local.h>
#include <coil/sched.h>

#include <errno.h>
#include <string.h>

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
        loader_drop(batch->loader, entry);
        batch->entry_count--;
    }
}

/* Keys, values and statuses in one piece. Its size is that of what is there, not of a limit. */
static int make_arrays(coil_loader_batch *batch)
{
    const coil_loader *loader = batch->loader;
    size_t count = batch->entry_count;
    size_t keys_bytes =
            loader_aligned(count * loader->key_bytes); /* Less than the entries have taken. */
    size_t values_bytes;
    size_t size_bytes;

    if (__builtin_mul_overflow(count, loader->value_bytes, &values_bytes) ||
            __builtin_add_overflow(
                    values_bytes, 15 + keys_bytes + count * sizeof(int), &size_bytes))
        return -ENOMEM;
    size_bytes = keys_bytes + loader_aligned(values_bytes) + count * sizeof(int);
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
            .statuses = (int *)(void *)(arrays + keys_bytes + loader_aligned(values_bytes)),
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
            memcpy(coil_container_of(waiter, loader_caller, waiter)->out_value, value,
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
            loader_keep(loader, entry, value);
        } else {
            loader_drop(loader, entry);
        }
    }
    if (batch->arrays != NULL)
        coil_sched_release(loader->group.sched, batch->arrays, batch->arrays_bytes);
    coil_event_fini(&batch->sealed);
    coil_sched_release(loader->group.sched, batch, sizeof(*batch));
}

/*
 * The error of a fetch that has not come to its end, because it was unwound: the loader has been
 * closed, or somebody has cancelled its task.
 */
static int error_of(const coil_loader_batch *batch)
{
    return batch->loader->closed ? -EPIPE : -ECANCELED;
}

coil_async(int, run_batch, (coil_loader_batch *) batch)
{
    coil_vars(int departed; int rc; bool has_ended;);

    coil_defer(arrive(batch, my->has_ended ? my->rc : error_of(batch)));
    if (batch->loader->options.window <= 0) {
        coil_await(coil_yield());
    } else {
        coil_await(coil_within(batch->loader->options.window, coil_event_wait(&batch->sealed)));
    }

    my->departed = depart(batch);
    if (my->departed > 0) {
        coil_await(my->rc, coil_handler_call(batch->loader->fetch, &batch->view));
    } else {
        my->rc = my->departed;
    }
    my->has_ended = true;
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

int loader_collect(
        coil_loader *loader, const void *key, uint64_t hash, coil_loader_entry **out_entry)
{
    coil_loader_batch *batch;
    int rc = find_batch(loader, &batch);
    if (rc < 0)
        return rc;
    coil_loader_entry *entry = loader_add(loader, key, hash);
    if (entry == NULL)
        return -ENOMEM;
    entry->batch = batch;
    coil_list_append(&batch->entries, &entry->link);
    loader->key_count++;
    if (++batch->entry_count == loader->options.batch_count_max)
        seal(batch);
    *out_entry = entry;
    return 0;
}

void loader_abandon(coil_loader_batch *batch)
{
    for (coil_list *link = batch->entries.next; link != &batch->entries; link = link->next)
        loader_detach(batch->loader, coil_container_of(link, coil_loader_entry, link));
    coil_task_cancel(batch->task);
}
