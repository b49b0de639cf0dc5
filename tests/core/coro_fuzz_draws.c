/* SPDX-License-Identifier: MIT */
#include "coro_fuzz_draws.h"

#include <coil/sched.h>

/* What both leaves have to do, whatever they are called. */
typedef struct drawing {
    int64_t number;
    draw_plan plan;
    void (*give)(coil_frame *leaf, int64_t number);
} drawing;

/* One that waits. On the frame stack, behind the leaf. */
typedef struct pending {
    coil_timer timer;
    coil_task *task;
    coil_frame *leaf;
    drawing what;
    bool is_ripe;
} pending;

static void ripen(coil_timer *timer)
{
    pending *waiting = coil_container_of(timer, pending, timer);
    coil_task *task = waiting->task;
    coil_frame *leaf = waiting->leaf;
    bool has_only_to_leave =
            leaf->defers == NULL && leaf->up != NULL && task->queued == COIL_NOT_QUEUED;

    waiting->is_ripe = true;
    if (waiting->what.plan.is_fed && has_only_to_leave) {
        waiting->what.give(leaf, waiting->what.number);
        (void)coil_leave(task, leaf);
        coil_sched_queue(task->sched, task);
    } else {
        coil_task_wake(task);
    }
}

static coil_turn give(coil_task *task, coil_frame *leaf, drawing what)
{
    what.give(leaf, what.number);
    return coil_leave(task, leaf);
}

/* The leaf is on the stack, and has just come there. */
static coil_turn go_on(coil_task *task, coil_frame *leaf, drawing what)
{
    if (what.plan.push_bytes > 0)
        memset(coil_push(task, what.plan.push_bytes), 0x5A, what.plan.push_bytes);
    if (what.plan.way != DRAW_LATER)
        return give(task, leaf, what);
    pending *waiting = coil_push(task, sizeof(*waiting));
    *waiting = (pending){.task = task, .leaf = leaf, .what = what};
    coil_timer_init(&waiting->timer, ripen);
    coil_timer_arm(&task->sched->wheel, &waiting->timer,
            coil_time_after(coil_task_now(task), what.plan.duration));
    leaf->vars = waiting;
    return coil_leaf_suspend(leaf);
}

static coil_turn step_again(coil_task *task, coil_frame *leaf, drawing what)
{
    pending *waiting = leaf->vars;
    if (waiting->is_ripe)
        return give(task, leaf, what);
    if (!coil_task_unwind_here(task))
        return coil_leaf_suspend(leaf);
    coil_timer_disarm(&task->sched->wheel, &waiting->timer);
    return coil_leave(task, leaf);
}

/* (What it is to do is read from its arguments each time: nothing may have written there.) */
static coil_turn step(coil_task *task, coil_frame *leaf, drawing what)
{
    if (leaf->at != NULL)
        return step_again(task, leaf, what);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    return go_on(task, leaf, what);
}

static coil_turn begin(coil_task *task, coil_frame *leaf, drawing what)
{
    if (task->request != NULL || what.plan.way == DRAW_BY_STEP)
        return coil_leaf_begin(task, leaf);
    if (what.plan.way == DRAW_AT_ONCE) {
        what.give(leaf, what.number);
        return COIL_DONE;
    }
    coil_leaf_enter(task, leaf, leaf->fn->frame_bytes);
    return go_on(task, leaf, what);
}

/* ------------------------------------------------------------------------------ the leaves -- */

static void give_drawn(coil_frame *leaf, int64_t number)
{
    coil_result(draws, leaf) = (drawn){number, number};
}

static void give_taken(coil_frame *leaf, int64_t number)
{
    coil_result(takes, leaf) = (int)number;
}

static drawing drawing_of_draws(coil_frame *leaf)
{
    const struct draws__args *arguments = coil_arguments(draws, leaf);
    return (drawing){arguments->number, arguments->plan, give_drawn};
}

static drawing drawing_of_takes(coil_frame *leaf)
{
    const struct takes__args *arguments = coil_arguments(takes, leaf);
    return (drawing){arguments->number, arguments->plan, give_taken};
}

coil_turn begin_draws(coil_task *task, coil_frame *leaf)
{
    return begin(task, leaf, drawing_of_draws(leaf));
}

coil_turn begin_takes(coil_task *task, coil_frame *leaf)
{
    return begin(task, leaf, drawing_of_takes(leaf));
}

static coil_turn step_draws(coil_task *task, coil_frame *leaf)
{
    return step(task, leaf, drawing_of_draws(leaf));
}

static coil_turn step_takes(coil_task *task, coil_frame *leaf)
{
    return step(task, leaf, drawing_of_takes(leaf));
}

coil_define_leaf(draws, step_draws, coil_leaf_wake);
coil_define_leaf(takes, step_takes, coil_leaf_wake);
