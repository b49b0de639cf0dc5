/* SPDX-License-Identifier: MIT */
/* How frames leave, and what makes them: cancellation, masks, defers, adaptors. */
#include "task_private.h"

#include <coil/sched.h>

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

static coil_turn nothing_to_do(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    (void)task, (void)frame, (void)deferred;
    return COIL_DONE;
}

/* Makes a frame take the slow way out. All frames of all threads share it: nobody writes to it. */
static const coil_leaving no_exit = {.call = nothing_to_do};
static coil_deferred slow_exit = {.exit = &no_exit};

void coil_frame_leave_slowly(coil_frame *frame)
{
    if (frame->defers != NULL)
        return;
    frame->defers = &slow_exit;
}

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
    coil_task_pop_chunks(task, frame);
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
