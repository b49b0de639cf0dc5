/* SPDX-License-Identifier: MIT */
/* The frame stack of a task: its block, and those that are chained to it when that is full. */
#include "task_private.h"

#include <coil/sched.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    LEARN_EXACTLY_BYTES = 1024,
    LEARNED_MAX_BYTES = 1024 * 1024, /* Deeper stacks chain chunks every time. */
};

/* The newest chunk that is needed, or NULL. */
static coil_chunk *chunk_in_use(const coil_task *task)
{
    coil_chunk *chunk = task->extras == NULL ? NULL : task->extras->chunk;
    return chunk != NULL && chunk->owner == NULL ? chunk->prev : chunk;
}

/* What the whole stack would have needed in one block: the next task of this kind gets it. */
static void learn(const coil_task *task, const coil_chunk *newest, size_t size_bytes)
{
    uint32_t *stack_bytes = coil_task_kind(task)->stack_bytes;
    if (stack_bytes == NULL)
        return;
    for (const coil_chunk *chunk = newest; chunk != NULL; chunk = chunk->prev) {
        const char *start = chunk->prev == NULL ? task->first : chunk->prev->bytes;
        size_bytes += (size_t)(chunk->prev_sp - start);
    }
    if (size_bytes > LEARN_EXACTLY_BYTES)
        size_bytes += size_bytes / 8; /* So that a deep recursion is learned in few steps. */
    if (size_bytes > LEARNED_MAX_BYTES)
        return;
    if (size_bytes > __atomic_load_n(stack_bytes, __ATOMIC_RELAXED))
        __atomic_store_n(stack_bytes, (uint32_t)size_bytes, __ATOMIC_RELAXED);
}

static void release_chunk(coil_task *task, coil_chunk *chunk)
{
    coil_sched_release(task->sched, chunk, sizeof(*chunk) + chunk->size_bytes);
}

/* There is no frame to return an error from: the callee does not exist yet. */
static COIL_COLD void no_stack(const coil_task *task, size_t size_bytes)
{
    fprintf(stderr, "coil: %s: no memory for %zu bytes of frame stack\n", coil_task_name(task),
            size_bytes);
    abort();
}

/* A chunk on top of those in use. The one that was kept is good if it is large enough. */
static coil_chunk *take_chunk(coil_task *task, size_t size_bytes)
{
    coil_task_extras *extras = coil_task_extras_of(task);
    if (extras == NULL)
        no_stack(task, size_bytes);
    coil_chunk *below = chunk_in_use(task);
    coil_chunk *kept = extras->chunk;

    if (kept != below) {
        if (kept->size_bytes >= size_bytes)
            return kept;
        extras->chunk = below;
        release_chunk(task, kept);
    }
    coil_chunk *chunk = coil_sched_allocate(task->sched, sizeof(*chunk) + size_bytes);
    if (chunk == NULL)
        no_stack(task, size_bytes);
    chunk->size_bytes = size_bytes;
    chunk->prev = below;
    extras->chunk = chunk;
    return chunk;
}

/* Is there more behind the limit, because the task is one of the first of its kind? */
static bool move_limit(coil_task *task, size_t size_bytes)
{
    const coil_task_extras *extras = task->extras;
    if (extras == NULL || extras->chunk != NULL || extras->stack_bytes == 0)
        return false;
    char *end = task->first + extras->stack_bytes;
    if (size_bytes > (size_t)(end - task->sp))
        return false;
    task->limit = task->sp + size_bytes;
    learn(task, NULL, (size_t)(task->limit - task->first));
    return true;
}

/* The block is full: chain another, to be given back when the frame that now runs has left. */
void *coil_push_slow(coil_task *task, size_t size_bytes)
{
    if (move_limit(task, size_bytes)) {
        task->sp = task->limit;
        return task->limit - size_bytes;
    }
    const coil_chunk *below = chunk_in_use(task);
    const char *start = below == NULL ? task->first : below->bytes;
    size_t twice = 2 * (size_t)(task->limit - start);
    coil_chunk *chunk = take_chunk(task, twice > size_bytes ? twice : size_bytes);

    chunk->prev_sp = task->sp;
    chunk->prev_limit = task->limit;
    chunk->owner = task->top;
    learn(task, chunk, size_bytes);

    task->limit = chunk->bytes + chunk->size_bytes;
    task->sp = chunk->bytes + size_bytes;
    coil_frame_leave_slowly(chunk->owner);
    return chunk->bytes;
}

void coil_task_pop_chunks(coil_task *task, const coil_frame *frame)
{
    for (;;) {
        coil_chunk *chunk = chunk_in_use(task);
        if (chunk == NULL || chunk->owner != frame)
            return;
        if (task->extras->chunk != chunk)
            release_chunk(task, task->extras->chunk);
        task->extras->chunk = chunk;
        task->limit = chunk->prev_limit;
        chunk->owner = NULL;
    }
}

void coil_task_release_chunks(coil_task *task)
{
    coil_chunk *chunk;
    while ((chunk = task->extras->chunk) != NULL) {
        task->extras->chunk = chunk->prev;
        if (chunk->owner != NULL)
            task->limit = chunk->prev_limit;
        release_chunk(task, chunk);
    }
    if (task->extras->stack_bytes > 0)
        task->limit = task->first + task->extras->stack_bytes;
}

size_t coil_task_memory_bytes(const coil_task *task)
{
    const coil_chunk *chunk = task->extras == NULL ? NULL : task->extras->chunk;
    const char *limit = task->limit;
    size_t size_bytes = 0;

    for (; chunk != NULL; chunk = chunk->prev) {
        size_bytes += sizeof(*chunk) + chunk->size_bytes;
        if (chunk->owner != NULL)
            limit = chunk->prev_limit;
    }
    if (task->extras != NULL && task->extras->stack_bytes > 0)
        limit = task->first + task->extras->stack_bytes;
    return size_bytes + (size_t)(limit - (const char *)task);
}
