/* SPDX-License-Identifier: MIT */
#include <coil/future.h>

#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>
#include <limits.h>

coil_future *coil_future_init_untyped(coil_future *future, void *value)
{
    *future = (coil_future){.value = value};
    coil_list_init(&future->watches);
    return future;
}

int coil_future_complete(coil_future *future, int error)
{
    if (future->done)
        return -EALREADY;
    future->done = true;
    future->error = error;
    future->task = NULL;
    while (!coil_list_empty(&future->watches)) {
        coil_future_watch *watch = coil_container_of(future->watches.next, coil_future_watch, link);
        coil_list_remove(&watch->link);
        watch->run(watch);
    }
    return 0;
}

void coil_future_ended(coil_future *future, const coil_frame *frame, int error)
{
    const coil_fn *fn = frame->fn;
    memcpy(future->value, (const char *)frame + fn->result_at, fn->result_bytes);
    (void)coil_future_complete(future, error);
}

void coil_future_cancel(coil_future *future)
{
    if (future->task != NULL)
        coil_task_cancel(future->task);
}

/* ------------------------------------------------------------------------------ wait for one -- */

typedef struct future_waiter {
    coil_future_watch watch;
    coil_task *task;
} future_waiter;

static void wake_waiter(coil_future_watch *watch)
{
    coil_task_wake(coil_container_of(watch, future_waiter, watch)->task);
}

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    coil_future *future = coil_arguments(coil_future_wait_untyped, leaf)->future;

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (future->done) {
        coil_result(coil_future_wait_untyped, leaf) = future->error;
        return coil_leave(task, leaf);
    }
    if (leaf->at == NULL) {
        future_waiter *waiter = coil_push(task, sizeof(*waiter));
        *waiter = (future_waiter){.watch.run = wake_waiter, .task = task};
        coil_list_append(&future->watches, &waiter->watch.link);
        leaf->vars = waiter;
    } else if (coil_task_unwind_here(task)) {
        coil_list_remove(&((future_waiter *)leaf->vars)->watch.link);
        return coil_leave(task, leaf);
    }
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_future_wait_untyped, wait_step, coil_leaf_wake);

/* -------------------------------------------------------------------------- wait for several -- */

typedef struct many_watch {
    coil_future_watch watch;
    struct many_waiter *waiter;
} many_watch;

typedef struct many_waiter {
    coil_task *task;
    coil_wait_mode mode;
    size_t count;
    size_t pending_count;
    size_t found; /* The index of the one that was waited for; `count`: there is none. */
    many_watch watches[];
} many_waiter;

static size_t waiter_bytes(size_t count)
{
    return sizeof(many_waiter) + count * sizeof(many_watch);
}

static bool is_over(const many_waiter *waiter)
{
    return waiter->found != waiter->count || waiter->pending_count == 0;
}

static void count_in(many_waiter *waiter, size_t index, int error)
{
    bool matters =
            waiter->mode == COIL_FIRST_COMPLETED || (waiter->mode == COIL_FIRST_ERROR && error < 0);
    waiter->pending_count--;
    if (matters && waiter->found == waiter->count)
        waiter->found = index;
}

static void one_is_done(coil_future_watch *watch)
{
    many_watch *one = coil_container_of(watch, many_watch, watch);
    count_in(one->waiter, (size_t)(one - one->waiter->watches), watch->future->error);
    if (is_over(one->waiter))
        coil_task_wake(one->waiter->task);
}

/* Those that are done count at once, the others when they are. */
static void watch_all(many_waiter *waiter, coil_future *const *futures)
{
    for (size_t i = 0; i < waiter->count; i++) {
        many_watch *one = &waiter->watches[i];
        *one = (many_watch){.watch = {.run = one_is_done, .future = futures[i]}, .waiter = waiter};
        coil_list_init(&one->watch.link);
        if (futures[i]->done) {
            count_in(waiter, i, futures[i]->error);
        } else {
            coil_list_append(&futures[i]->watches, &one->watch.link);
        }
    }
}

static coil_turn finish_wait(coil_task *task, coil_frame *leaf)
{
    many_waiter *waiter = leaf->vars;
    coil_result(coil_wait, leaf) = (int)waiter->found;
    for (size_t i = 0; i < waiter->count; i++)
        coil_list_remove(&waiter->watches[i].watch.link);
    coil_sched_release(task->sched, waiter, waiter_bytes(waiter->count));
    return coil_leave(task, leaf);
}

/* 0, or why there is nothing to wait for. */
static int begin_wait(coil_task *task, coil_frame *leaf)
{
    const struct coil_wait__args *wanted = coil_arguments(coil_wait, leaf);
    if ((wanted->count == 0 && wanted->mode == COIL_FIRST_COMPLETED) || wanted->count > INT_MAX)
        return -EINVAL;
    many_waiter *waiter = coil_sched_allocate(task->sched, waiter_bytes(wanted->count));
    if (waiter == NULL)
        return -ENOMEM;
    waiter->task = task;
    waiter->mode = wanted->mode;
    waiter->count = waiter->pending_count = waiter->found = wanted->count;
    watch_all(waiter, wanted->futures);
    leaf->vars = waiter;
    return 0;
}

static coil_turn wait_many_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at == NULL) {
        if (coil_task_refuses(task))
            return coil_leave(task, leaf);
        int rc = begin_wait(task, leaf);
        if (rc < 0) {
            coil_result(coil_wait, leaf) = rc;
            return coil_leave(task, leaf);
        }
    }
    if (is_over(leaf->vars) || coil_task_unwind_here(task))
        return finish_wait(task, leaf);
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_wait, wait_many_step, coil_leaf_wake);

/* ------------------------------------------------------------------------------ completions -- */

typedef struct completions_waiter {
    coil_waiter waiter;
    coil_future *future;
} completions_waiter;

void coil_completions_init(coil_completions *completions)
{
    completions->pending_count = 0;
    coil_list_init(&completions->done);
    coil_list_init(&completions->waiters);
}

/* Nothing is left to wait for: those who still do are told. */
static void end_of_completions(coil_completions *completions)
{
    coil_waiter *waiter;
    if (completions->pending_count > 0)
        return;
    while ((waiter = coil_waiter_first(&completions->waiters)) != NULL) {
        coil_container_of(waiter, completions_waiter, waiter)->future = NULL;
        coil_waiter_grant(waiter, 0);
    }
}

static void arrive(coil_future_watch *watch)
{
    coil_completions *completions = watch->completions;
    coil_waiter *waiter = coil_waiter_first(&completions->waiters);

    if (waiter != NULL) {
        coil_container_of(waiter, completions_waiter, waiter)->future = watch->future;
        watch->completions = NULL;
        coil_waiter_grant(waiter, 0);
    } else {
        coil_list_append(&completions->done, &watch->link);
    }
}

static void completed(coil_future_watch *watch)
{
    coil_completions *completions = watch->completions;
    completions->pending_count--;
    arrive(watch);
    end_of_completions(completions);
}

void coil_completions_add(
        coil_completions *completions, coil_future_watch *watch, coil_future *future)
{
    *watch = (coil_future_watch){.run = completed, .future = future, .completions = completions};
    coil_list_init(&watch->link);
    if (future->done) {
        arrive(watch);
        return;
    }
    completions->pending_count++;
    coil_list_append(&future->watches, &watch->link);
}

void coil_completions_remove(coil_future_watch *watch)
{
    coil_completions *completions = watch->completions;
    if (completions == NULL)
        return;
    coil_list_remove(&watch->link);
    watch->completions = NULL;
    if (!watch->future->done)
        completions->pending_count--;
    end_of_completions(completions);
}

static coil_future *take_done(coil_completions *completions)
{
    if (coil_list_empty(&completions->done))
        return NULL;
    coil_future_watch *watch = coil_container_of(completions->done.next, coil_future_watch, link);
    coil_list_remove(&watch->link);
    watch->completions = NULL;
    return watch->future;
}

/*
 * (Not coil_waiter_step(): the result is a pointer. That of a wait which is withdrawn does not
 * matter, whoever asked for the unwinding sets another.)
 */
static coil_turn next_step(coil_task *task, coil_frame *leaf)
{
    coil_completions *completions = coil_arguments(coil_completions_next, leaf)->completions;

    if (leaf->at == NULL) {
        if (coil_task_refuses(task))
            return coil_leave(task, leaf);
        coil_future *future = take_done(completions);
        coil_result(coil_completions_next, leaf) = future;
        if (future != NULL || completions->pending_count == 0)
            return coil_leave(task, leaf);
        completions_waiter *waiter = coil_push(task, sizeof(*waiter));
        waiter->future = NULL;
        return coil_waiter_suspend(&waiter->waiter, &completions->waiters, task, leaf);
    }
    const completions_waiter *waiter = leaf->vars;
    if (waiter->waiter.state == COIL_WAITER_WAITING)
        return COIL_WAIT;
    if (waiter->waiter.state == COIL_WAITER_WITHDRAWN)
        (void)coil_task_unwind_here(task);
    coil_result(coil_completions_next, leaf) = waiter->future;
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_completions_next, next_step, coil_waiter_cancel);
