/* SPDX-License-Identifier: MIT */
#include <coil/shutdown.h>

#include "loop_private.h"
#include "shutdown_private.h"

#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>

enum { PATIENCE_S = 5 };

void shutdown_init(coil_shutdown_state *shutdown)
{
    *shutdown = (coil_shutdown_state){.deadline = COIL_NEVER, .patience = coil_s(PATIENCE_S)};
    coil_list_init(&shutdown->waiters);
    coil_list_init(&shutdown->sleepers);
    for (int phase = 0; phase < COIL_SHUTDOWN_PHASES; phase++)
        coil_list_init(&shutdown->hooks[phase]);
}

coil_shutdown_state *coil_shutdown_of(coil_loop *loop)
{
    return &loop->shutdown;
}

void coil_shutdown_add(
        coil_shutdown_state *shutdown, coil_shutdown_phase phase, coil_shutdown_hook *hook)
{
    coil_list_init(&hook->link);
    coil_list_append(&shutdown->hooks[phase], &hook->link);
}

void coil_shutdown_remove(coil_shutdown_hook *hook)
{
    if (hook->link.next != NULL) /* Else it is zeroed. */
        coil_list_remove(&hook->link);
}

void coil_shutdown_begin(coil_shutdown_state *shutdown, coil_duration grace)
{
    coil_loop *loop = coil_container_of(shutdown, coil_loop, shutdown);
    coil_time deadline = coil_time_after(coil_loop_now(loop), grace);
    if (deadline < shutdown->deadline) {
        shutdown->deadline = deadline;
        coil_waiter_grant_all(&shutdown->sleepers, 0); /* They look at the new deadline. */
    }
    shutdown->is_requested = true;
    coil_waiter_grant_all(&shutdown->waiters, 0);
}

/* ------------------------------------------------------------------------------- waiting -- */

static coil_turn requested_step(coil_task *task, coil_frame *leaf)
{
    coil_shutdown_state *shutdown = &coil_loop_of(task)->shutdown;

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task) || shutdown->is_requested)
        return coil_leave(task, leaf);
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &shutdown->waiters, task, leaf);
}

coil_define_leaf(coil_shutdown_requested, requested_step, coil_waiter_cancel);

/* Until the deadline has been set, or set anew. */
coil_leaf(void, deadline_changed);

static coil_turn changed_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &coil_loop_of(task)->shutdown.sleepers, task, leaf);
}

coil_leaf_fn(deadline_changed, changed_step, coil_waiter_cancel);

coil_define(void, coil_shutdown_overdue)
{
    coil_vars(coil_shutdown_state *shutdown);

    my->shutdown = &coil_loop_of(coil_self)->shutdown;
    while (my->shutdown->deadline > coil_task_now(coil_self))
        coil_ignore(coil_until(my->shutdown->deadline, deadline_changed()));
}

/* ----------------------------------------------------------------------------- supervision -- */

typedef struct supervisor {
    coil_shutdown_state *shutdown;
    const char *doing; /* What is running now, for the report. */
    coil_time due;     /* When it ought to be done. */
    coil_handler main;
    void *argument;
    int64_t result; /* Of main. */
    coil_group mains;
} supervisor;

/* Name what takes too long. */
coil_async(int, report, (supervisor *) self)
{
    coil_vars(coil_time due);

    for (;;) {
        my->due = coil_time_after(self->due, self->shutdown->patience);
        if (my->due > coil_task_now(coil_self)) {
            coil_ignore(coil_until(my->due, deadline_changed()));
            continue;
        }
        fprintf(stderr, "coil: shutdown: '%s' does not end\n", self->doing);
        self->due = COIL_NEVER;
    }
}

/* `name` has begun, and ought to be done at `due`. */
static void begin_step(supervisor *self, const char *name, coil_time due)
{
    self->doing = name;
    self->due = due;
    coil_waiter_grant_all(&self->shutdown->sleepers, 0);
}

static coil_shutdown_hook *take_hook(coil_list *hooks, bool youngest)
{
    if (coil_list_empty(hooks))
        return NULL;
    coil_list *link = youngest ? hooks->prev : hooks->next;
    coil_list_remove(link);
    return coil_container_of(link, coil_shutdown_hook, link);
}

coil_async(int, run_hooks, (supervisor *) self, (coil_shutdown_phase) phase)
{
    coil_vars(coil_shutdown_hook *hook; const char *name; int rc);

    for (;;) {
        my->hook = take_hook(&self->shutdown->hooks[phase], phase == COIL_SHUTDOWN_CLEAN_UP);
        if (my->hook == NULL)
            return 0;
        my->name = my->hook->name;
        begin_step(self, my->name,
                phase == COIL_SHUTDOWN_DRAIN ? self->shutdown->deadline : coil_task_now(coil_self));
        coil_await(my->rc, coil_handler_call(my->hook->run, my->hook->argument));
        if (my->rc < 0)
            fprintf(stderr, "coil: shutdown: '%s' failed: %s\n", my->name, coil_error_text(my->rc));
    }
}

coil_async(int, run_main, (supervisor *) self)
{
    coil_vars();

    coil_await(self->result, coil_handler_call(self->main, self->argument));
    return 0;
}

coil_async(int, drain, (supervisor *) self)
{
    coil_vars();

    coil_await(coil_shutdown_requested());
    coil_attempt(run_hooks(self, COIL_SHUTDOWN_STOP));
    coil_attempt(run_hooks(self, COIL_SHUTDOWN_DRAIN));
    begin_step(self, "main", self->shutdown->deadline);
    return 0;
}

coil_async(int, cancel_when_overdue, (supervisor *) self)
{
    coil_vars();

    coil_await(coil_shutdown_overdue());
    coil_group_cancel(&self->mains);
    return 0;
}

/* Whichever is done first: main, and the hooks if the end has been requested. */
coil_async(int, run_until_drained, (supervisor *) self)
{
    coil_vars(coil_group drains; coil_group guards);

    coil_open_group(&my->drains);
    coil_spawn(&my->drains, drain(self));
    coil_open_group(&my->guards);
    coil_spawn(&my->guards, cancel_when_overdue(self));
    coil_open_group(&self->mains);
    self->mains.keep_going = true;
    if (coil_spawn(&self->mains, run_main(self)) == NULL)
        self->result = -ENOMEM;
    coil_attempt(coil_group_join(&self->mains));
    if (self->shutdown->is_requested)
        coil_ignore(coil_until(self->shutdown->deadline, coil_group_join(&my->drains)));
    return 0;
}

coil_define(int, coil_shutdown_supervise, (coil_handler) main, (void *) argument)
{
    coil_vars(supervisor self; coil_group reporters);

    my->self.shutdown = &coil_loop_of(coil_self)->shutdown;
    my->self.main = main;
    my->self.argument = argument;
    my->self.due = COIL_NEVER;
    coil_open_group(&my->reporters);
    my->reporters.keep_going = true;
    coil_spawn(&my->reporters, report(&my->self));
    coil_defer(coil_ignore(run_hooks(&my->self, COIL_SHUTDOWN_CLEAN_UP)));
    coil_attempt(run_until_drained(&my->self));
    return (int)my->self.result;
}
