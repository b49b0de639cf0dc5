/* SPDX-License-Identifier: MIT */
#include <coil/group.h>

#include "task_private.h"

#include <coil/sched.h>

#include <errno.h>

/* On the frame stack of the body that opened the group. `close` runs before `end`. */
typedef struct group_scope {
    coil_deferred close;
    coil_deferred end;
    coil_group *group;
} group_scope;

void coil_group_init(coil_group *group, coil_sched *sched)
{
    *group = (coil_group){.sched = sched};
    coil_list_init(&group->tasks);
}

void coil_group_cancel(coil_group *group)
{
    if (group->cancelled)
        return;
    group->cancelled = true;
    for (coil_list *link = group->tasks.next; link != &group->tasks; link = link->next)
        coil_task_cancel(coil_container_of(link, coil_task, link));
}

static void tell(coil_group *group, const coil_task *task, int error)
{
    if (group->watcher != NULL)
        group->watcher->failed(group->watcher, task, error);
}

/* A task has failed: so has the group. */
static void fail(coil_group *group, int error)
{
    group->failed_count++;
    if (group->keep_going || group->error != 0)
        return;
    group->error = error;
    coil_group_cancel(group);
    if (group->host != NULL && group->waiter == NULL)
        group->unwinds_host = coil_task_unwind(group->host, group->body);
}

coil_task *coil_group_start(coil_group *group, coil_task *task, int64_t *out_result)
{
    if (task == NULL) {
        tell(group, NULL, -ENOMEM);
        fail(group, -ENOMEM);
        return NULL;
    }
    task->group = group;
    task->out_result = out_result;
    coil_list_append(&group->tasks, &task->link);
    group->live_count++;
    group->sched->live_count++;
    if (group->cancelled)
        coil_task_cancel(task);
    coil_task_wake(task);
    return task;
}

coil_task *coil_spawn_handler(coil_group *group, coil_handler handler, void *argument)
{
    return coil_spawn(group, coil_handler_call(handler, argument));
}

void coil_group_ended(coil_task *task)
{
    coil_group *group = task->group;
    int64_t result = coil_frame_result((const coil_frame *)(const void *)task->sp);

    if (task->unwinding)
        result = -ECANCELED;
    if (task->out_result != NULL)
        *task->out_result = result;
    if (result < 0 && result != -ECANCELED && task->out_result == NULL)
        tell(group, task, (int)result);
    coil_list_remove(&task->link);
    group->live_count--;
    group->sched->live_count--;
    coil_task_destroy(task);

    if (result < 0 && result != -ECANCELED)
        fail(group, (int)result);
    if (group->live_count == 0 && group->waiter != NULL)
        coil_task_wake(group->waiter);
}

/* ----------------------------------------------------------------------------------- join -- */

static coil_turn join_step(coil_task *task, coil_frame *leaf)
{
    coil_group *group = coil_arguments(coil_group_join, leaf)->group;

    if (task->request.pending)
        coil_group_cancel(group);
    if (group->live_count > 0) {
        COIL_CHECK(group->waiter == NULL || group->waiter == task);
        group->waiter = task;
        return coil_leaf_suspend(leaf);
    }
    group->waiter = NULL;
    coil_result(coil_group_join, leaf) = group->error;
    if (!group->closing && !group->unwinds_host) {
        group->error = 0;
        group->cancelled = false;
    }
    (void)coil_task_refuses(task);
    return coil_leave(task, leaf);
}

static void join_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    coil_group_cancel(coil_arguments(coil_group_join, leaf)->group);
}

coil_define_leaf(coil_group_join, join_step, join_cancel);

/* ------------------------------------------------------------------------- open and close -- */

/* The body leaves: its group's tasks end first. */
static coil_turn close_group(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    coil_group *group = coil_container_of(deferred, group_scope, close)->group;

    group->closing = true;
    coil_group_cancel(group);
    if (group->live_count == 0)
        return COIL_DONE;

    coil_frame *pause = coil_leave_pause(task, frame, deferred);
    struct coil_group_join__cold join = coil_group_join(group);
    COIL_FRAME_(task, join, pause);
    (void)join_step(task, &co__k->co__h);
    return COIL_WAIT;
}

/*
 * If the group has failed before the body left, that is what the body returns, even if it did not
 * wait again and so has a result of its own: a failure does not go unseen. A group that was opened
 * by a defer does not change the result, which is older.
 */
static coil_turn end_group(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    coil_group *group = coil_container_of(deferred, group_scope, end)->group;
    bool unwound;

    if (group->unwinds_host && coil_task_absorb(task, frame, &unwound) &&
            (unwound || !group->deferred))
        coil_frame_set_result(frame, group->error);

    coil_group **place = &task->groups;
    while (*place != group)
        place = &(*place)->next;
    *place = group->next;
    return COIL_DONE;
}

void coil_group_open(coil_task *host, coil_frame *body, coil_group *group)
{
    coil_group_init(group, host->sched);
    group->host = host;
    group->body = body;
    group->deferred = body->defers != NULL && (body->flags & COIL_FRAME_EXITING) != 0;
    group->next = host->groups;
    host->groups = group;

    group_scope *scope = coil_push(host, sizeof(*scope));
    scope->group = group;
    coil_defer_push(body, &scope->end, NULL, end_group);
    coil_defer_push(body, &scope->close, NULL, close_group);
}
