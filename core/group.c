/* SPDX-License-Identifier: MIT */
#include <coil/group.h>

#include "task_private.h"
#include "task_probe.h"

#include <coil/future.h>
#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>

/* On the frame stack of the body that opened the group. `close` runs before `end`. */
typedef struct group_scope {
    coil_deferred close;
    coil_deferred end;
    coil_group *group;
} group_scope;

/* What a body that leaves needs in order to wait for its group. */
enum {
    CLOSE_BYTES = COIL_EXIT_BYTES + sizeof(coil_frame) + sizeof(struct coil_group_join__frame) +
                  sizeof(coil_waiter)
};

void coil_group_init(coil_group *group, coil_sched *sched)
{
    *group = (coil_group){.sched = sched, .held = &group->tasks};
    coil_list_init(&group->tasks);
    coil_list_init(&group->room);
}

/* -------------------------------------------------------------------------------- the limit -- */

static bool full(const coil_group *group, size_t count)
{
    return group->limit != 0 && count >= group->limit && !group->cancelled;
}

/* `task` is the newest of the group: does it have to wait for its start? (The limit may change.) */
static bool hold(coil_group *group, coil_task *task)
{
    if (group->held_count == 0 && !full(group, group->live_count - 1))
        return false;
    if (group->held_count++ == 0)
        group->held = &task->link;
    return true;
}

/* Start what may start now. */
static void start_held(coil_group *group)
{
    while (group->held_count > 0 && !full(group, group->live_count - group->held_count)) {
        coil_task *task = coil_container_of(group->held, coil_task, link);
        group->held = group->held->next;
        group->held_count--;
        coil_task_wake(task);
    }
}

/* Who has been let in may start nothing: so the next one looks whether there still is room. */
static void have_next_look(const coil_group *group)
{
    const coil_waiter *next = coil_waiter_first(&group->room);
    if (next != NULL)
        coil_task_wake(next->task);
}

/* A task has ended, or all have been cancelled: whom does that let in? */
static void let_in(coil_group *group)
{
    start_held(group);
    coil_waiter *waiter;
    while ((waiter = coil_waiter_first(&group->room)) != NULL && !full(group, group->live_count)) {
        coil_waiter_grant(waiter, 0);
        if (!group->cancelled) {
            have_next_look(group);
            return;
        }
    }
}

/* (As long as it waits, the group is there.) */
static bool may_come_in(const coil_group *group, const coil_waiter *waiter)
{
    return waiter->state == COIL_WAITER_WAITING && coil_waiter_first(&group->room) == waiter &&
           !full(group, group->live_count);
}

static coil_turn room_step(coil_task *task, coil_frame *leaf)
{
    coil_group *group = coil_arguments(coil_group_room, leaf)->group;

    if (leaf->at != NULL) {
        coil_waiter *waiter = leaf->vars;
        if (!may_come_in(group, waiter))
            return coil_waiter_step(task, leaf);
        coil_list_remove(&waiter->link); /* (Granted, its task, which runs, would be queued.) */
        have_next_look(group);
        return coil_leave_with(task, leaf, 0);
    }
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    const bool has_others_before = coil_waiter_first(&group->room) != NULL && !group->cancelled;
    if (has_others_before || full(group, group->live_count)) {
        coil_waiter *waiter = coil_push(task, sizeof(*waiter));
        return coil_waiter_suspend(waiter, &group->room, task, leaf);
    }
    coil_result(coil_group_room, leaf) = 0;
    return coil_leave(task, leaf);
}

/* The next look may have been that of this one. */
static void room_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    if (coil_waiter_withdraw(leaf))
        have_next_look(coil_arguments(coil_group_room, leaf)->group);
}

coil_define_leaf(coil_group_room, room_step, room_cancel);

/* ---------------------------------------------------------------------------- start and end -- */

void coil_group_cancel(coil_group *group)
{
    if (group->cancelled)
        return;
    group->cancelled = true;
    for (coil_list *link = group->tasks.next; link != &group->tasks; link = link->next)
        coil_task_cancel(coil_container_of(link, coil_task, link));
    let_in(group);
}

/* A task has failed: so has the group. `task` is NULL if it could not be made. */
static void fail(coil_group *group, const coil_task *task, int error)
{
    group->failed_count++;
    if (group->on_failure != NULL && task != NULL)
        group->on_failure(group, task, error);
    if (group->keep_going || group->error != 0)
        return;
    group->error = error;
    coil_group_cancel(group);
    if (group->host != NULL && group->waiter == NULL)
        group->unwinds_host = coil_task_unwind(group->host, group->body);
}

/* Take `task` in. False: it cannot start yet, or there is none. */
static inline bool admit(coil_group *group, coil_task *task, char *outcome)
{
    if (task == NULL) {
        fail(group, NULL, -ENOMEM);
        return false;
    }
    coil_sched *sched = group->sched;
    task->group = group;
    if (coil_likely(task->outcome == NULL)) {
        task->outcome = outcome;
    } else {
        coil_task_set_outcome(task, outcome); /* Its shield has been raised already. */
    }
    task->born = (uint32_t)((uint64_t)coil_sched_now(sched) >> COIL_TASK_AGE_BITS);
    coil_list_append(&group->tasks, &task->link);
    group->live_count++;
    sched->live_count++;
    if (COIL_PROBED())
        coil_probe_spawned(group, task);
    if (coil_unlikely(group->cancelled))
        coil_task_cancel(task);
    return coil_likely(group->limit == 0) || !hold(group, task);
}

coil_task *coil_group_start(coil_group *group, coil_task *task, int64_t *out_result)
{
    if (coil_likely(admit(group, task, (char *)out_result)))
        coil_task_wake(task);
    return task;
}

coil_task *coil_group_start_future(coil_group *group, coil_task *task, coil_future *future)
{
    if (task == NULL)
        (void)coil_future_complete(future, -ENOMEM);
    future->task = task;
    if (admit(group, task, (char *)future + COIL_OUTCOME_FUTURE))
        coil_task_wake(task);
    return task;
}

static bool resume(coil_sched *sched, coil_task *task)
{
    if (coil_unlikely(sched->debug != NULL))
        return coil_debug_resume(sched->debug, task);
    return COIL_PROBED() ? coil_probe_resume(task) : coil_task_resume(task);
}

coil_task *coil_group_start_now(coil_group *group, coil_task *task, int64_t *out_result)
{
    coil_sched *sched = group->sched;
    coil_task *spawner = sched->running;

    COIL_CHECK(spawner != NULL); /* Only a task can lend its turn. */
    if (!admit(group, task, (char *)out_result))
        return task;
    sched->running = task;
    bool ended = resume(sched, task);
    sched->running = spawner;
    return ended ? NULL : task;
}

coil_task *coil_spawn_handler(coil_group *group, coil_handler handler, void *argument)
{
    coil_task *task = coil_task_create(group->sched, handler.fn);
    if (task != NULL) {
        coil_frame *frame = coil_push(task, handler.fn->frame_bytes);
        coil_frame_push(task, frame, handler.fn, NULL);
        memcpy((char *)frame + handler.fn->arguments_at, &argument, sizeof(argument));
    }
    return coil_group_start(group, task, NULL);
}

/* The future of a task, or NULL. */
static coil_future *future_of(const coil_task *task)
{
    if (((uintptr_t)task->outcome & COIL_OUTCOME_FUTURE) == 0)
        return NULL;
    return (coil_future *)(void *)(task->outcome - COIL_OUTCOME_FUTURE);
}

static void deliver(const coil_task *task, coil_frame *frame, int64_t result)
{
    coil_future *future = future_of(task);
    if (future == NULL) {
        *(int64_t *)(void *)task->outcome = result;
        return;
    }
    if (result == -ECANCELED)
        coil_frame_set_result(frame, result);
    coil_future_ended(future, frame, result < 0 ? (int)result : 0);
}

/* The race that a task of the group has won or lost. */
typedef struct coil_race {
    bool wants_success;
    bool decided;
    coil_future *best; /* The winner, or who came last so far. */
} coil_race;

static void ran_race(coil_race *race, const coil_task *task, int64_t result)
{
    if (race->decided)
        return;
    race->best = future_of(task);
    race->decided = result >= 0 || !(race->wants_success || task->group->cancelled);
}

void coil_group_ended(coil_task *task)
{
    coil_group *group = task->group;
    coil_frame *frame = (coil_frame *)(void *)task->sp;
    int64_t result = task->unwinding ? -ECANCELED : coil_frame_result(frame);

    if (task->outcome != NULL)
        deliver(task, frame, result);
    coil_list_remove(&task->link);
    group->live_count--;
    group->sched->live_count--;
    if (group->race != NULL)
        ran_race(group->race, task, result);
    if (result < 0 && result != -ECANCELED)
        fail(group, task, (int)result);
    coil_task_destroy(task);

    if (coil_unlikely(group->limit != 0))
        let_in(group);
    if (group->waiter != NULL && (group->live_count == 0 || group->race != NULL))
        coil_task_wake(group->waiter);
}

/* Whoever awaited the end of all tasks goes on, and the group begins anew. */
static void settle(coil_group *group)
{
    group->waiter = NULL;
    if (group->closing || group->unwinds_host)
        return;
    group->error = 0;
    group->cancelled = false;
}

/* ----------------------------------------------------------------------------------- join -- */

static coil_turn join_step(coil_task *task, coil_frame *leaf)
{
    coil_group *group = coil_arguments(coil_group_join, leaf)->group;

    if (coil_task_cancelling(task))
        coil_group_cancel(group);
    if (group->live_count > 0) {
        COIL_CHECK(group->waiter == NULL || group->waiter == task);
        group->waiter = task;
        return coil_leaf_suspend(leaf);
    }
    coil_result(coil_group_join, leaf) = group->error;
    settle(group);
    (void)coil_task_refuses(task);
    return coil_leave(task, leaf);
}

static void join_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    coil_group_cancel(coil_arguments(coil_group_join, leaf)->group);
}

coil_define_leaf(coil_group_join, join_step, join_cancel);

/* ----------------------------------------------------------------------------------- race -- */

/* (Both have the same arguments and result.) */
static coil_turn run_race(coil_task *task, coil_frame *leaf, bool wants_success)
{
    coil_group *group = coil_arguments(coil_group_race, leaf)->group;
    coil_race *race = leaf->vars;

    if (leaf->at == NULL) {
        if (coil_task_refuses(task))
            return coil_leave(task, leaf);
        COIL_CHECK(group->waiter == NULL);
        leaf->vars = race = coil_push(task, sizeof(*race));
        *race = (coil_race){.wants_success = wants_success};
        group->race = race;
        group->waiter = task;
        group->keep_going = true;
    }
    if (race->decided || coil_task_cancelling(task))
        coil_group_cancel(group);
    if (group->live_count > 0)
        return coil_leaf_suspend(leaf);

    coil_result(coil_group_race, leaf) = race->best;
    group->race = NULL;
    settle(group);
    if (!race->decided)
        (void)coil_task_refuses(task);
    return coil_leave(task, leaf);
}

static coil_turn race_step(coil_task *task, coil_frame *leaf)
{
    return run_race(task, leaf, false);
}

static coil_turn any_step(coil_task *task, coil_frame *leaf)
{
    return run_race(task, leaf, true);
}

coil_define_leaf(coil_group_race, race_step, join_cancel);
coil_define_leaf(coil_group_any, any_step, join_cancel);

/* ------------------------------------------------------------------------- open and close -- */

/* The body leaves: its group's tasks end first. */
static coil_turn close_group(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    coil_group *group = coil_container_of(deferred, group_scope, close)->group;

    group->closing = true;
    coil_group_cancel(group);
    if (group->live_count == 0)
        return COIL_DONE;

    coil_frame *pause = coil_leave_pause(task, frame);
    struct coil_group_join__cold join = coil_group_join(group);
    COIL_FRAME_(task, struct coil_group_join__frame, join, pause);
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

    return COIL_DONE;
}

static const coil_leaving close_exit = {.call = close_group};
static const coil_leaving end_exit = {.call = end_group};

coil_group *coil_task_group(const coil_task *task, const coil_group *previous)
{
    for (const coil_frame *frame = task->top; frame != NULL; frame = frame->up) {
        for (coil_deferred *deferred = frame->defers; deferred; deferred = deferred->next) {
            if (deferred->exit != &end_exit)
                continue;
            coil_group *group = coil_container_of(deferred, group_scope, end)->group;
            if (previous == NULL)
                return group;
            if (group == previous)
                previous = NULL;
        }
    }
    return NULL;
}

void coil_group_open(coil_task *host, coil_frame *body, coil_group *group)
{
    coil_group_init(group, host->sched);
    group->host = host;
    group->body = body;
    group->deferred = coil_frame_exiting(host, body);

    group_scope *scope = coil_push_keeping(host, sizeof(*scope), CLOSE_BYTES);
    scope->group = group;
    coil_defer_push(body, &scope->end, &end_exit);
    coil_defer_push(body, &scope->close, &close_exit);
}
