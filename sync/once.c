/* SPDX-License-Identifier: MIT */
#include <coil/once.h>

#include <coil/check.h>
#include <coil/sched.h>
#include <coil/waiter.h>

typedef struct entrant {
    coil_waiter waiter;
    coil_frame *caller;
} entrant;

void coil_once_init(coil_once *once)
{
    once->done = false;
    once->runner = NULL;
    once->frame = NULL;
    coil_list_init(&once->waiters);
}

void coil_once_fini(coil_once *once)
{
    COIL_CHECK(once->frame == NULL);
    COIL_CHECK(coil_list_empty(&once->waiters));
}

static coil_turn caller_left(coil_task *task, coil_frame *frame, coil_deferred *deferred);
static const coil_leaving caller_exit = {.call = caller_left};

/*
 * It is the turn of `task`. The guard tells us when its coroutine `caller` leaves; it lies in the
 * once because what we push on the frame stack would not outlive the leaf.
 */
static void begin(coil_once *once, coil_task *task, coil_frame *caller)
{
    once->runner = task;
    once->frame = caller;
    coil_defer_push(caller, &once->guard, &caller_exit);
}

/* The one who has waited longest tries. */
static void pass_on(coil_once *once)
{
    coil_waiter *heir = coil_waiter_first(&once->waiters);

    if (heir == NULL)
        return;
    begin(once, heir->task, coil_container_of(heir, entrant, waiter)->caller);
    coil_waiter_grant(heir, 1);
}

static coil_turn caller_left(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    coil_once *once = coil_container_of(deferred, coil_once, guard);

    once->frame = NULL;
    if (once->done)
        return COIL_DONE;
    /* Or else coil_once_done() is missing. */
    COIL_CHECK(coil_frame_unwound(task, frame) || coil_frame_result(frame) < 0);
    once->runner = NULL;
    pass_on(once);
    return COIL_DONE;
}

void coil_once_done(coil_once *once)
{
    COIL_CHECK(once->runner != NULL);
    COIL_CHECK(once->runner->sched->running == once->runner);
    once->runner = NULL;
    once->done = true;
    coil_waiter_grant_all(&once->waiters, 0);
}

static coil_turn enter_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_once *once = coil_arguments(coil_once_enter, leaf)->once;
    COIL_CHECK(leaf->up != NULL);     /* Spawned: there would be nobody to do it. */
    COIL_CHECK(once->runner != task); /* It would wait for itself. */
    if (once->done || once->runner == NULL) {
        coil_result(coil_once_enter, leaf) = !once->done;
        if (!once->done)
            begin(once, task, leaf->up);
        return coil_leave(task, leaf);
    }
    entrant *waiting = coil_push(task, sizeof(*waiting));
    waiting->caller = leaf->up;
    return coil_waiter_suspend(&waiting->waiter, &once->waiters, task, leaf);
}

coil_define_leaf(coil_once_enter, enter_step, coil_waiter_cancel);

coil_define(int, coil_once_run_handler, (coil_once *) once, (coil_handler) handler, (void *) argument)
{
    coil_vars(int mine);

    coil_attempt(my->mine, coil_once_enter(once));
    if (my->mine) {
        coil_attempt(coil_handler_call(handler, argument));
        coil_once_done(once);
    }
    return 0;
}
