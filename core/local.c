/* SPDX-License-Identifier: MIT */
#include <coil/local.h>

#include "task_private.h"

#include <coil/sched.h>

#include <errno.h>

/*
 * A task's values are a list, newest first, and a value that has been set never changes. So a child
 * takes over its parent's list by pointing at its head, and both may put values of their own before
 * it. A value is held by the tasks that begin with it and by the newer values before it.
 */
typedef struct coil_local_value {
    struct coil_local_value *older;
    const coil_local *key;
    size_t holder_count;
    size_t size_bytes;
    char bytes[] __attribute__((aligned(16)));
} coil_local_value;

static coil_local_value *hold(coil_local_value *value)
{
    if (value != NULL)
        value->holder_count++;
    return value;
}

void coil_locals_release(coil_sched *sched, coil_local_value *newest)
{
    while (newest != NULL && --newest->holder_count == 0) {
        coil_local_value *older = newest->older;
        coil_sched_release(sched, newest, sizeof(*newest) + newest->size_bytes);
        newest = older;
    }
}

int coil_locals_inherit(coil_task *child, const coil_task *parent)
{
    if (parent->extras->locals == NULL)
        return 0;
    coil_task_extras *extras = coil_task_extras_of(child);
    if (extras == NULL)
        return -ENOMEM;
    extras->locals = hold(parent->extras->locals);
    return 0;
}

int coil_local_set_untyped(
        coil_task *task, const coil_local *key, const void *bytes, size_t size_bytes)
{
    coil_task_extras *extras = coil_task_extras_of(task);
    if (extras == NULL)
        return -ENOMEM;
    coil_local_value *value = coil_sched_allocate(task->sched, sizeof(*value) + size_bytes);
    if (value == NULL)
        return -ENOMEM;

    value->key = key;
    value->holder_count = 1;
    value->size_bytes = size_bytes;
    memcpy(value->bytes, bytes, size_bytes);

    /* Setting the same one again and again, with nobody else to see it, does not pile up. */
    coil_local_value *covered = extras->locals;
    bool forgotten = covered != NULL && covered->key == key && covered->holder_count == 1;
    value->older = forgotten ? hold(covered->older) : covered;
    if (forgotten)
        coil_locals_release(task->sched, covered);
    extras->locals = value;
    return 0;
}

const void *coil_local_get_untyped(const coil_task *task, const coil_local *key)
{
    if (task->extras == NULL)
        return NULL;
    for (const coil_local_value *value = task->extras->locals; value != NULL;
            value = value->older) {
        if (value->key == key)
            return value->bytes;
    }
    return NULL;
}
