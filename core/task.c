/* SPDX-License-Identifier: MIT */
#include <coil/task.h>

#include "task_private.h"

#include <coil/coro.h>
#include <coil/round.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(coil_frame) == 40, "every await writes one");
static_assert(sizeof(coil_task) == 96, "with one frame and what it waits for: 240 bytes");

enum {
    LEAF_ROOM_BYTES = 64, /* What a leaf has of its own: an operation, for instance. */
    BODY_ROOM_BYTES = 96, /* First guess for a body: a leaf and what it has. */
    FIRST_TASKS = 16,     /* Of a kind: they get FIRST_ROOM_BYTES more, to learn from. */
    FIRST_ROOM_BYTES = 512,
};

const coil_site coil_leaf_site = {NULL, "", 0};
coil_frame coil_whole_task;
COIL_THREAD_LOCAL char *coil_stack_mark;

void coil_local_argument(const char *argument, const char *coroutine)
{
    fprintf(stderr,
            "coil: %s: the argument `%s` points at a local variable, which is gone while the "
            "coroutine waits; put it into vars (...)\n",
            coroutine, argument);
    abort();
}

/* ------------------------------------------------------------------------------ questions -- */

const coil_fn *coil_task_kind(const coil_task *task)
{
    const coil_frame *first = coil_task_first_frame(task);
    return first->fn->stands_for == NULL ? first->fn : first->fn->stands_for(first);
}

const char *coil_task_name(const coil_task *task)
{
    if (task->extras != NULL && task->extras->name[0] != '\0')
        return task->extras->name;
    const coil_frame *first = coil_task_first_frame(task);
    if (first->fn != &coil_handler_call__fn)
        return coil_task_kind(task)->name;
    const struct coil_handler_call__frame *handler = (const void *)first;
    return handler->co__a.handler.fn->name; /* Called like what it is to call. */
}

int coil_task_set_name(coil_task *task, const char *name)
{
    coil_task_extras *extras = coil_task_extras_of(task);
    if (extras == NULL)
        return -ENOMEM;
    (void)snprintf(extras->name, sizeof(extras->name), "%s", name);
    return 0;
}

coil_time coil_task_now(const coil_task *task)
{
    return coil_sched_now(task->sched);
}

coil_duration coil_task_age(const coil_task *task)
{
    uint32_t now = (uint32_t)((uint64_t)coil_sched_now(task->sched) >> COIL_TASK_AGE_BITS);
    return (coil_duration)((uint64_t)(now - task->born) << COIL_TASK_AGE_BITS);
}

coil_task_extras *coil_task_extras_of(coil_task *task)
{
    if (task->extras != NULL)
        return task->extras;
    coil_task_extras *extras = coil_sched_allocate(task->sched, sizeof(*extras));
    if (extras != NULL)
        *extras = (coil_task_extras){.locals = NULL};
    return task->extras = extras;
}

static COIL_COLD void release_extras(coil_task *task)
{
    coil_task_release_chunks(task);
    coil_locals_release(task->sched, task->extras->locals);
    coil_sched_release(task->sched, task->extras, sizeof(*task->extras));
}

/* Does a task that is made now take over the values of the one that runs? */
static inline bool is_heir(const coil_sched *sched)
{
    return sched->running != NULL && sched->running->extras != NULL;
}

static inline coil_task *make_task(coil_sched *sched, size_t stack_bytes)
{
    coil_task *task = coil_sched_allocate(sched, sizeof(*task) + stack_bytes);
    if (task == NULL)
        return NULL;

    *task = (coil_task){
            .limit = task->first + stack_bytes,
            .sched = sched,
            .sp = task->first,
            .link = {&task->link, &task->link},
    };
    if (coil_unlikely(is_heir(sched)) && coil_local_inherit(task, sched->running) < 0) {
        coil_task_destroy(task);
        return NULL;
    }
    return task;
}

/*
 * Of the first tasks of a kind nobody knows yet how much stack they need. They get plenty, with the
 * limit where the first guess is; each time they pass it, the limit moves, and the need is learned.
 * Among them are those that live as long as the program, which must not pay for a bad guess for
 * ever. That there are few of them bounds what it costs when a million is spawned before one runs.
 */
static COIL_COLD coil_task *make_first_task(coil_sched *sched, size_t guess_bytes)
{
    coil_task *task = make_task(sched, guess_bytes + FIRST_ROOM_BYTES);
    if (task == NULL)
        return NULL;
    coil_task_extras *extras = coil_task_extras_of(task);
    if (extras == NULL)
        return task;
    extras->stack_bytes = guess_bytes + FIRST_ROOM_BYTES;
    task->limit = task->first + guess_bytes;
    return task;
}

/* A task of `fn` that is certain to have room for the frame and `adapt_bytes`. */
static inline coil_task *create(coil_sched *sched, const coil_fn *fn, size_t adapt_bytes)
{
    COIL_CHECK(sched != NULL); /* Else the task's group has not been opened. */
    if (fn->stack_bytes == NULL)
        return make_task(sched, fn->frame_bytes + LEAF_ROOM_BYTES + adapt_bytes);

    size_t room_bytes = adapt_bytes > BODY_ROOM_BYTES ? adapt_bytes : BODY_ROOM_BYTES;
    size_t stack_bytes = fn->frame_bytes + room_bytes;
    uint32_t learned = __atomic_load_n(fn->stack_bytes, __ATOMIC_RELAXED);
    if (coil_unlikely(learned < FIRST_TASKS)) {
        __atomic_store_n(fn->stack_bytes, learned + 1, __ATOMIC_RELAXED);
        return make_first_task(sched, stack_bytes);
    }
    return make_task(sched, learned > stack_bytes ? learned : stack_bytes);
}

coil_task *coil_task_create(coil_sched *sched, const coil_fn *fn)
{
    return create(sched, fn, 0);
}

coil_task *coil_task_create_adapted(coil_sched *sched, const coil_cold *cold)
{
    size_t adapt_bytes = 8; /* Where a frame that is aligned to 16 may begin. */
    if (cold->adapt & COIL_ADAPT_SHIELD)
        adapt_bytes += COIL_EXIT_BYTES; /* Of its mask. */
    if (cold->adapt & (COIL_ADAPT_WITHIN | COIL_ADAPT_UNTIL))
        adapt_bytes += COIL_TIMEOUT_BYTES;
    return create(sched, cold->fn, adapt_bytes);
}

void coil_task_destroy(coil_task *task)
{
    if (task == NULL)
        return;
    COIL_CHECK(task->queued == COIL_NOT_QUEUED);
    if (coil_unlikely(task->extras != NULL))
        release_extras(task);
    coil_sched_release(task->sched, task, (size_t)(task->limit - (char *)task));
}

void coil_task_set_outcome(coil_task *task, char *outcome)
{
    char **place = &task->outcome;
    coil_mask *mask;
    while ((mask = coil_outcome_mask(*place)) != NULL)
        place = &mask->outcome;
    *place = outcome;
}

bool coil_task_resume(coil_task *task)
{
    return coil_sched_resume(task);
}

coil_turn coil_leaf_begin(coil_task *task, coil_frame *leaf)
{
    coil_leaf_enter(task, leaf, leaf->fn->frame_bytes);
    return leaf->fn->step(task, leaf);
}

static coil_turn call_handler(coil_task *task, coil_frame *leaf)
{
    struct coil_handler_call__args *arguments = coil_arguments(coil_handler_call, leaf);

    if (leaf->at == NULL) {
        const coil_fn *fn = arguments->handler.fn;
        coil_frame *callee = coil_push(task, fn->frame_bytes);
        leaf->at = &coil_leaf_site;
        coil_frame_push(task, callee, fn, leaf);
        memcpy((char *)callee + fn->arguments_at, &arguments->argument, sizeof(void *));
        if (fn->step(task, callee) == COIL_WAIT)
            return COIL_WAIT;
    }
    if (!task->unwinding) {
        const coil_frame *callee = (const coil_frame *)(const void *)task->sp;
        coil_result(coil_handler_call, leaf) = (int)coil_frame_result(callee);
    }
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_handler_call, call_handler, NULL);
