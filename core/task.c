/* SPDX-License-Identifier: MIT */
#include <coil/task.h>

#include "task_private.h"

#include <coil/coro.h>
#include <coil/round.h>

#include <errno.h>

static_assert(sizeof(coil_frame) == 40, "every await writes one");
static_assert(sizeof(coil_task) == 96, "with one frame and what it waits for: 240 bytes");

enum {
    LEAF_ROOM_BYTES = 64, /* What a leaf has of its own: an operation, for instance. */
    BODY_ROOM_BYTES = 96, /* First guess for a body: a leaf and what it has. */
    FIRST_TASKS = 16,     /* Of a kind: they get FIRST_ROOM_BYTES more, to learn from. */
    FIRST_ROOM_BYTES = 512,
    LEARN_EXACTLY_BYTES = 1024,
    LEARNED_MAX_BYTES = 1024 * 1024, /* Deeper stacks chain chunks every time. */
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

/* ---------------------------------------------------------------------------- frame stack -- */

static coil_turn nothing_to_do(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    (void)task, (void)frame, (void)deferred;
    return COIL_DONE;
}

/* Makes a frame take the slow way out. All frames of all threads share it: nobody writes to it. */
static const coil_leaving no_exit = {.call = nothing_to_do};
static coil_deferred slow_exit = {.exit = &no_exit};

static void take_slow_exit(coil_frame *frame)
{
    if (frame->defers != NULL)
        return;
    frame->defers = &slow_exit;
}

/* The newest chunk that is needed, or NULL. */
static coil_chunk *chunk_in_use(const coil_task *task)
{
    coil_chunk *chunk = task->extras == NULL ? NULL : task->extras->chunk;
    return chunk != NULL && chunk->owner == NULL ? chunk->prev : chunk;
}

/* What the task is a task of. */
static const coil_fn *kind_of(const coil_task *task)
{
    const coil_frame *first = coil_task_first_frame(task);
    return first->fn->stands_for == NULL ? first->fn : first->fn->stands_for(first);
}

/* What the whole stack would have needed in one block: the next task of this kind gets it. */
static void learn(const coil_task *task, const coil_chunk *newest, size_t size_bytes)
{
    uint32_t *stack_bytes = kind_of(task)->stack_bytes;
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
    take_slow_exit(chunk->owner);
    return chunk->bytes;
}

static void pop_chunks(coil_task *task, const coil_frame *frame)
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

/* What begins a struct of this size is its status. */
static bool begins_with_status(const coil_fn *fn)
{
    return !fn->result_is_scalar && fn->result_bytes >= 2 * sizeof(int64_t);
}

/* A narrow unsigned result cannot say that it is an error, and stays 0. */
void coil_frame_set_other_result(coil_frame *frame, int64_t value)
{
    const coil_fn *fn = frame->fn;
    char *result = (char *)frame + fn->result_at;
    int32_t word = (int32_t)value;
    int16_t half = (int16_t)value;
    int8_t byte = (int8_t)value;

    memset(result, 0, fn->result_bytes);
    if (begins_with_status(fn) || (fn->result_is_scalar && fn->result_bytes == sizeof(value))) {
        memcpy(result, &value, sizeof(value));
    } else if (fn->result_is_scalar && fn->result_bytes == sizeof(word)) {
        memcpy(result, &word, sizeof(word));
    } else if (fn->result_is_scalar && fn->result_is_signed && fn->result_bytes == sizeof(half)) {
        memcpy(result, &half, sizeof(half));
    } else if (fn->result_is_scalar && fn->result_is_signed && fn->result_bytes == sizeof(byte)) {
        memcpy(result, &byte, sizeof(byte));
    }
}

static int64_t signed_result(const coil_fn *fn, const char *result)
{
    int64_t wide = 0;
    int16_t half;

    switch (fn->result_bytes) {
    case sizeof(wide):
        memcpy(&wide, result, sizeof(wide));
        return wide;
    case sizeof(half):
        memcpy(&half, result, sizeof(half));
        return half;
    case sizeof(int8_t):
        return *(const int8_t *)result;
    default:
        return 0;
    }
}

static int64_t unsigned_result(const coil_fn *fn, const char *result)
{
    uint64_t wide = 0;
    uint32_t word;
    uint16_t half;

    switch (fn->result_bytes) {
    case sizeof(wide):
        memcpy(&wide, result, sizeof(wide));
        return (int64_t)wide;
    case sizeof(word):
        memcpy(&word, result, sizeof(word));
        return word;
    case sizeof(half):
        memcpy(&half, result, sizeof(half));
        return half;
    case sizeof(uint8_t):
        return *(const uint8_t *)result;
    default:
        return 0;
    }
}

static COIL_COLD int64_t other_result(const coil_fn *fn, const char *result)
{
    int64_t status = 0;
    if (begins_with_status(fn)) {
        memcpy(&status, result, sizeof(status));
    } else if (fn->result_is_scalar) {
        status = fn->result_is_signed ? signed_result(fn, result) : unsigned_result(fn, result);
    }
    return status;
}

int64_t coil_frame_result(const coil_frame *frame)
{
    const char *result = (const char *)frame + frame->fn->result_at;
    int narrow;

    if (coil_unlikely(!frame->fn->result_is_int))
        return other_result(frame->fn, result);
    memcpy(&narrow, result, sizeof(narrow));
    return narrow;
}

/* --------------------------------------------------------------------------- cancellation -- */

/* Has `frame` been called, at whatever distance, by `outer`? The whole task calls all frames. */
static bool is_inside(const coil_frame *frame, const coil_frame *outer)
{
    if (frame == COIL_WHOLE_TASK || frame == outer)
        return false;
    if (outer == COIL_WHOLE_TASK)
        return true;
    while (frame != NULL && frame != outer)
        frame = frame->up;
    return frame == outer;
}

bool coil_task_unwind(coil_task *task, coil_frame *to)
{
    if (task->top == NULL)
        return false;

    /* A request goes where its target sees it: outside of all masks that stand between. */
    coil_frame **request = &task->request;
    for (coil_mask *mask = coil_task_mask(task); mask != NULL;
            mask = coil_outcome_mask(mask->outcome)) {
        if (is_inside(to, mask->frame))
            break;
        request = &mask->outside;
    }
    if (*request != NULL && (*request == to || is_inside(to, *request)))
        return false;
    *request = to;

    coil_frame *leaf = task->top;
    if (request == &task->request && leaf->at != NULL && leaf->fn->cancel != NULL)
        leaf->fn->cancel(task, leaf);
    return true;
}

void coil_task_cancel(coil_task *task)
{
    (void)coil_task_unwind(task, COIL_WHOLE_TASK);
}

static void raise_mask(coil_task *task, coil_mask *mask, coil_frame *frame)
{
    *mask = (coil_mask){.outcome = task->outcome, .frame = frame, .outside = task->request};
    task->outcome = (char *)mask + COIL_OUTCOME_MASK;
    task->request = NULL;
}

static void lower_mask(coil_task *task, coil_mask *mask)
{
    COIL_CHECK(coil_task_mask(task) == mask);
    COIL_CHECK(task->request == NULL);
    task->outcome = mask->outcome;
    task->request = mask->outside;
}

bool coil_task_absorb(coil_task *task, coil_frame *frame, bool *out_unwound)
{
    coil_mask *own = coil_frame_exiting(task, frame) ? coil_task_mask(task) : NULL;
    coil_frame **request = own != NULL ? &own->outside : &task->request;
    if (*request != frame)
        return false;

    *request = NULL;
    *out_unwound = coil_frame_unwound(task, frame);
    task->unwinding = false;
    if (own != NULL)
        own->unwound = false;
    return true;
}

/* -------------------------------------------------------------------------------- leaving -- */

/* A mask, and the record that lowers it. */
typedef struct masking {
    coil_deferred end;
    coil_mask mask;
} masking;

static_assert(sizeof(masking) == COIL_EXIT_BYTES, "there is room for it behind every defer");

static coil_mask *mask_of(coil_deferred *end)
{
    return &coil_container_of(end, masking, end)->mask;
}

static coil_turn end_shield(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    (void)frame;
    lower_mask(task, mask_of(deferred));
    return COIL_DONE;
}

/* All defers have run: requests from outside count again. */
static coil_turn end_exit(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    (void)frame;
    coil_mask *mask = mask_of(deferred);
    lower_mask(task, mask);
    task->unwinding = mask->unwound;
    return COIL_DONE;
}

static const coil_leaving shield_exit = {.call = end_shield};
static const coil_leaving body_exit = {.call = end_exit};

/*
 * The first thing that is deferred by a body begins to run: from now on until the last of them has
 * run, the frame is masked. What ends that comes behind them, just before those that belong to the
 * adaptors. It lies where the frame's calls have been: nearly always there is room.
 */
static void begin_exit(coil_task *task, coil_frame *frame)
{
    if (coil_frame_exiting(task, frame))
        return;
    masking *exit = coil_push(task, sizeof(*exit));
    raise_mask(task, &exit->mask, frame);
    exit->mask.exiting = true;
    exit->mask.unwound = task->unwinding;
    task->unwinding = false;

    coil_deferred **place = &frame->defers;
    while (*place != NULL && *place != &slow_exit && (*place)->exit != &coil_timeout_exit &&
            (*place)->exit != &shield_exit)
        place = &(*place)->next;
    exit->end = (coil_deferred){.next = *place, .exit = &body_exit};
    *place = &exit->end;
}

coil_turn coil_leave_slow(coil_task *task, coil_frame *frame)
{
    while (frame->defers != NULL) {
        coil_deferred *deferred = frame->defers;
        frame->defers = deferred->next;
        const coil_leaving *exit = deferred->exit;
        if (exit->call == NULL) {
            frame->at = &exit->site;
            begin_exit(task, frame);
            return frame->fn->step(task, frame); /* Comes back here when the block has run. */
        }
        if (exit->call(task, frame, deferred) == COIL_WAIT)
            return COIL_WAIT;
    }
    pop_chunks(task, frame);
    task->top = frame->up;
    task->sp = (char *)frame;
    return COIL_DONE;
}

/* ------------------------------------------------------------------------------- adaptors -- */

/* Of the scopes that end with `frame`, its deadline's and its groups', none is outside. */
static void push_shield(coil_task *task, coil_frame *frame)
{
    masking *shield = coil_push(task, sizeof(*shield));
    raise_mask(task, &shield->mask, frame->up);
    coil_defer_push(frame, &shield->end, &shield_exit);
}

void coil_adapt(coil_task *task, coil_frame *frame, const coil_cold *cold)
{
    if (cold->adapt & COIL_ADAPT_SHIELD)
        push_shield(task, frame);
    if (cold->adapt & (COIL_ADAPT_WITHIN | COIL_ADAPT_UNTIL)) {
        coil_time deadline = COIL_NEVER;
        if (cold->adapt & COIL_ADAPT_WITHIN)
            deadline = coil_time_after(coil_sched_now(task->sched), cold->limit);
        if (cold->adapt & COIL_ADAPT_UNTIL && cold->deadline < deadline)
            deadline = cold->deadline;
        coil_timeout_push(task, frame, deadline);
    }
}

static coil_turn go_on_leaving(coil_task *task, coil_frame *pause)
{
    coil_frame *frame = pause->up;
    (void)coil_leave(task, pause);
    return coil_leave_slow(task, frame);
}

static const coil_fn leaving_fn = {.step = go_on_leaving, .name = "(leaving)", .file = ""};

coil_frame *coil_leave_pause(coil_task *task, coil_frame *frame)
{
    begin_exit(task, frame);
    coil_frame *pause = coil_push(task, sizeof(*pause));
    coil_frame_push(task, pause, &leaving_fn, frame);
    return pause;
}

/* ---------------------------------------------------------------------------------- tasks -- */

const char *coil_task_name(const coil_task *task)
{
    if (task->extras != NULL && task->extras->name[0] != '\0')
        return task->extras->name;
    const coil_frame *first = coil_task_first_frame(task);
    if (first->fn != &coil_handler_call__fn)
        return kind_of(task)->name;
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

static void release_all_chunks(coil_task *task)
{
    coil_chunk *chunk;
    while ((chunk = task->extras->chunk) != NULL) {
        task->extras->chunk = chunk->prev;
        if (chunk->owner != NULL)
            task->limit = chunk->prev_limit;
        release_chunk(task, chunk);
    }
}

static COIL_COLD void release_extras(coil_task *task)
{
    release_all_chunks(task);
    if (task->extras->stack_bytes > 0)
        task->limit = task->first + task->extras->stack_bytes;
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
        adapt_bytes += sizeof(masking);
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
