/* SPDX-License-Identifier: MIT */
#include <coil/task.h>

#include "task_private.h"

#include <coil/coro.h>
#include <coil/sched.h>
#include <coil/timer.h>

#include <errno.h>

static_assert(sizeof(coil_frame) == 48, "a frame header is three quarters of a cache line");

enum {
    FRAME_ROOM_BYTES = 128,          /* First guess for what a first frame needs besides itself. */
    LEARNED_MAX_BYTES = 1024 * 1024, /* Deeper stacks chain chunks every time. */
};

const coil_site coil_leaf_site = {NULL, "", 0};
__thread char *coil_stack_mark;

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
static coil_deferred slow_exit = {.call = nothing_to_do};

static void take_slow_exit(coil_frame *frame)
{
    if (frame->defers != NULL)
        return;
    frame->flags = 0;
    frame->defers = &slow_exit;
}

/* What the whole stack would have needed in one block: the next task of this kind gets it. */
static void learn(const coil_task *task, const coil_chunk *newest, size_t size_bytes)
{
    if (task->fn->stack_bytes == NULL)
        return;
    for (const coil_chunk *chunk = newest; chunk->prev != NULL; chunk = chunk->prev)
        size_bytes += (size_t)(chunk->prev_sp - chunk->prev->bytes);
    size_bytes += size_bytes / 8;
    if (size_bytes > LEARNED_MAX_BYTES)
        return;
    uint32_t known = __atomic_load_n(task->fn->stack_bytes, __ATOMIC_RELAXED);
    if (size_bytes > known)
        __atomic_store_n(task->fn->stack_bytes, (uint32_t)size_bytes, __ATOMIC_RELAXED);
}

static void release_chunk(coil_task *task, coil_chunk *chunk)
{
    if (chunk != NULL)
        coil_sched_release(task->sched, chunk, sizeof(*chunk) + chunk->size_bytes);
}

static coil_chunk *take_chunk(coil_task *task, size_t size_bytes)
{
    coil_chunk *chunk = task->spare;
    task->spare = NULL;
    if (chunk != NULL && chunk->size_bytes >= size_bytes)
        return chunk;
    release_chunk(task, chunk);
    chunk = coil_sched_allocate(task->sched, sizeof(*chunk) + size_bytes);
    if (chunk == NULL) {
        /* There is no frame to return an error from: the callee does not exist yet. */
        fprintf(stderr, "coil: %s: no memory for %zu bytes of frame stack\n", coil_task_name(task),
                size_bytes);
        abort();
    }
    chunk->size_bytes = size_bytes;
    return chunk;
}

/* The block is full: chain another, to be given back when the frame that now runs has left. */
void *coil_push_slow(coil_task *task, size_t size_bytes)
{
    size_t twice = 2 * task->chunk->size_bytes;
    coil_chunk *chunk = take_chunk(task, twice > size_bytes ? twice : size_bytes);

    chunk->prev = task->chunk;
    chunk->prev_sp = task->sp;
    chunk->prev_limit = task->limit;
    chunk->owner = task->top;
    learn(task, chunk, size_bytes);

    task->chunk = chunk;
    task->limit = chunk->bytes + chunk->size_bytes;
    task->sp = chunk->bytes + size_bytes;
    take_slow_exit(chunk->owner);
    return chunk->bytes;
}

/* One chunk is kept: a task at the brink does not allocate at every call. */
static void pop_chunks(coil_task *task, const coil_frame *frame)
{
    while (task->chunk != &task->first && task->chunk->owner == frame) {
        coil_chunk *chunk = task->chunk;
        task->chunk = chunk->prev;
        task->limit = chunk->prev_limit;
        release_chunk(task, task->spare);
        task->spare = chunk;
    }
}

void coil_frame_set_result(coil_frame *frame, int64_t value)
{
    const coil_fn *fn = frame->fn;
    char *result = (char *)frame + fn->result_at;

    memset(result, 0, fn->result_bytes);
    if (fn->result_is_scalar && fn->result_bytes == sizeof(int32_t)) {
        int32_t narrow = (int32_t)value;
        memcpy(result, &narrow, sizeof(narrow));
    } else if ((fn->result_is_scalar && fn->result_bytes == sizeof(value)) ||
               fn->result_bytes >= 2 * sizeof(value)) {
        memcpy(result, &value, sizeof(value));
    }
}

int64_t coil_frame_result(const coil_frame *frame)
{
    const coil_fn *fn = frame->fn;
    const char *result = (const char *)frame + fn->result_at;
    int64_t wide = 0;
    int32_t narrow = 0;

    if (fn->result_is_scalar && fn->result_bytes == sizeof(narrow)) {
        memcpy(&narrow, result, sizeof(narrow));
        return narrow;
    }
    if ((fn->result_is_scalar && fn->result_bytes == sizeof(wide)) ||
            fn->result_bytes >= 2 * sizeof(wide))
        memcpy(&wide, result, sizeof(wide));
    return wide;
}

/* --------------------------------------------------------------------------- cancellation -- */

/* Has `frame` been called, at whatever distance, by `outer`? NULL is outside of everything. */
static bool is_inside(const coil_frame *frame, const coil_frame *outer)
{
    if (frame == NULL || frame == outer)
        return false;
    while (frame != NULL && frame != outer)
        frame = frame->up;
    return frame == outer;
}

bool coil_task_unwind(coil_task *task, coil_frame *to)
{
    if (task->top == NULL)
        return false;

    /* A request goes where its target sees it: outside of all masks that stand between. */
    coil_request *request = &task->request;
    for (coil_mask *mask = task->mask; mask != NULL; mask = mask->prev) {
        if (is_inside(to, mask->frame))
            break;
        request = &mask->outside;
    }
    if (request->pending && (request->to == to || is_inside(to, request->to)))
        return false;
    request->pending = true;
    request->to = to;

    coil_frame *leaf = task->top;
    if (request == &task->request && leaf->at != NULL && leaf->fn->cancel != NULL)
        leaf->fn->cancel(task, leaf);
    return true;
}

void coil_task_cancel(coil_task *task)
{
    (void)coil_task_unwind(task, NULL);
}

static void raise_mask(coil_task *task, coil_mask *mask, coil_frame *frame)
{
    mask->prev = task->mask;
    mask->frame = frame;
    mask->outside = task->request;
    task->mask = mask;
    task->request.pending = false;
}

static void lower_mask(coil_task *task, coil_mask *mask)
{
    COIL_CHECK(task->mask == mask);
    COIL_CHECK(!task->request.pending);
    task->mask = mask->prev;
    task->request = mask->outside;
}

bool coil_task_absorb(coil_task *task, coil_frame *frame, bool *out_unwound)
{
    coil_request *request = &task->request;
    if (task->mask != NULL && task->mask->frame == frame && (frame->flags & COIL_FRAME_EXITING))
        request = &task->mask->outside;
    if (!request->pending || request->to != frame)
        return false;

    request->pending = false;
    *out_unwound = task->unwinding || (frame->flags & COIL_FRAME_UNWOUND) != 0;
    task->unwinding = false;
    frame->flags &= ~(uint32_t)COIL_FRAME_UNWOUND;
    return true;
}

/* -------------------------------------------------------------------------------- leaving -- */

static coil_turn end_shield(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    (void)frame;
    lower_mask(task, &deferred->mask);
    return COIL_DONE;
}

typedef struct scope {
    coil_deferred deferred;
    coil_timer timer;
    coil_task *task;
    coil_frame *frame;
} scope;

static coil_turn end_scope(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    scope *ending = coil_container_of(deferred, scope, deferred);
    bool unwound;

    coil_timer_disarm(&task->sched->wheel, &ending->timer);
    if (coil_task_absorb(task, frame, &unwound) && unwound)
        coil_frame_set_result(frame, -ETIME);
    return COIL_DONE;
}

/* All defers have run: requests from outside count again. */
static coil_turn end_exit(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    lower_mask(task, &deferred->mask);
    task->unwinding = (frame->flags & COIL_FRAME_UNWOUND) != 0;
    return COIL_DONE;
}

/*
 * The first thing that is deferred by a body begins to run: from now on until the last of them has
 * run, the frame is masked. The record that we were called with is spent; it becomes the one that
 * ends this, just before those that belong to the adaptors.
 */
static void begin_exit(coil_task *task, coil_frame *frame, coil_deferred *spent)
{
    if (frame->flags & COIL_FRAME_EXITING)
        return;
    frame->flags |= COIL_FRAME_EXITING;
    if (task->unwinding)
        frame->flags |= COIL_FRAME_UNWOUND;
    task->unwinding = false;
    raise_mask(task, &spent->mask, frame);

    coil_deferred **place = &frame->defers;
    while (*place != NULL && *place != &slow_exit && (*place)->call != end_scope &&
            (*place)->call != end_shield)
        place = &(*place)->next;
    spent->next = *place;
    spent->site = NULL;
    spent->call = end_exit;
    *place = spent;
}

coil_turn coil_leave_slow(coil_task *task, coil_frame *frame)
{
    while (frame->defers != NULL) {
        coil_deferred *deferred = frame->defers;
        frame->defers = deferred->next;
        if (deferred->site != NULL) {
            frame->at = deferred->site;
            begin_exit(task, frame, deferred);
            return frame->fn->step(task, frame); /* Comes back here when the block has run. */
        }
        if (deferred->call(task, frame, deferred) == COIL_WAIT)
            return COIL_WAIT;
    }
    pop_chunks(task, frame);
    task->top = frame->up;
    task->sp = (char *)frame;
    return COIL_DONE;
}

/* ------------------------------------------------------------------------------- adaptors -- */

static void scope_expired(coil_timer *timer)
{
    scope *expired = coil_container_of(timer, scope, timer);
    (void)coil_task_unwind(expired->task, expired->frame);
}

/* Of the scopes that end with `frame`, its deadline's and its groups', none is outside. */
static void push_shield(coil_task *task, coil_frame *frame)
{
    coil_deferred *deferred = coil_push(task, sizeof(*deferred));
    raise_mask(task, &deferred->mask, frame->up);
    coil_defer_push(frame, deferred, NULL, end_shield);
}

static void push_scope(coil_task *task, coil_frame *frame, coil_time deadline)
{
    scope *begun = coil_push(task, sizeof(*begun));
    begun->task = task;
    begun->frame = frame;
    coil_timer_init(&begun->timer, scope_expired);
    coil_timer_arm(&task->sched->wheel, &begun->timer, deadline);
    coil_defer_push(frame, &begun->deferred, NULL, end_scope);
}

void coil_adapt(coil_task *task, coil_frame *frame, const coil_cold *cold)
{
    if (cold->adapt & COIL_ADAPT_SHIELD)
        push_shield(task, frame);
    if (cold->adapt & (COIL_ADAPT_WITHIN | COIL_ADAPT_UNTIL)) {
        coil_time deadline = COIL_NEVER;
        if (cold->adapt & COIL_ADAPT_WITHIN)
            deadline = coil_time_after(task->sched->now, cold->limit);
        if (cold->adapt & COIL_ADAPT_UNTIL && cold->deadline < deadline)
            deadline = cold->deadline;
        push_scope(task, frame, deadline);
    }
}

static coil_turn go_on_leaving(coil_task *task, coil_frame *pause)
{
    coil_frame *frame = pause->up;
    (void)coil_leave(task, pause);
    return coil_leave_slow(task, frame);
}

static const coil_fn leaving_fn = {.step = go_on_leaving, .name = "(leaving)", .file = ""};

coil_frame *coil_leave_pause(coil_task *task, coil_frame *frame, coil_deferred *spent)
{
    begin_exit(task, frame, spent);
    coil_frame *pause = coil_push(task, sizeof(*pause));
    coil_frame_push(task, pause, &leaving_fn, frame);
    return pause;
}

/* ---------------------------------------------------------------------------------- tasks -- */

coil_task *coil_task_create(coil_sched *sched, const coil_fn *fn)
{
    COIL_CHECK(sched != NULL); /* Else the task's group has not been opened. */
    size_t stack_bytes = fn->frame_bytes + FRAME_ROOM_BYTES;
    if (fn->stack_bytes != NULL) {
        uint32_t learned = __atomic_load_n(fn->stack_bytes, __ATOMIC_RELAXED);
        if (learned > stack_bytes)
            stack_bytes = learned;
    }
    coil_task *task = coil_sched_allocate(sched, sizeof(*task) + stack_bytes);
    if (task == NULL)
        return NULL;

    memset(task, 0, offsetof(coil_task, first));
    task->sched = sched;
    task->fn = fn;
    task->chunk = &task->first;
    task->first.prev = NULL;
    task->first.size_bytes = stack_bytes;
    task->sp = task->first.bytes;
    task->limit = task->sp + stack_bytes;
    coil_list_init(&task->link);
    return task;
}

void coil_task_destroy(coil_task *task)
{
    if (task == NULL)
        return;
    COIL_CHECK(!task->queued);
    while (task->chunk != &task->first) {
        coil_chunk *chunk = task->chunk;
        task->chunk = chunk->prev;
        release_chunk(task, chunk);
    }
    release_chunk(task, task->spare);
    coil_sched_release(task->sched, task, sizeof(*task) + task->first.size_bytes);
}

void coil_task_resume(coil_task *task)
{
    coil_frame *frame;
    while ((frame = task->top) != NULL && frame->fn->step(task, frame) == COIL_DONE) {
    }
    if (frame == NULL)
        coil_group_ended(task);
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
