/* SPDX-License-Identifier: MIT */
#include <coil/remote.h>

#include "loop_private.h"

#include <coil/debug.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

/* --------------------------------------------------------------------------- on the target -- */

/*
 * The bits of call->state. Whoever sets the second of them knows that of the other. So a message to
 * cancel is sent only while the task runs, and the end is reported only when no such message is
 * under way: after that the memory is the caller's again.
 */
enum { CANCEL_SENT = 1, FINISHED = 2 };

static void finish(coil_remote_call *call)
{
    unsigned before = __atomic_fetch_or(&call->state, FINISHED, __ATOMIC_ACQ_REL);
    if (!(before & CANCEL_SENT) || call->is_cancel_seen)
        call->finished(call);
}

coil_leaf(int, be_guest, (coil_remote_call *) call, (const coil_fn *) fn);

/* The first frame of a remote task: it calls what was asked for, and takes the result home. */
static coil_turn guest_step(coil_task *task, coil_frame *leaf)
{
    coil_remote_call *call = coil_arguments(be_guest, leaf)->call;
    const coil_fn *fn = coil_arguments(be_guest, leaf)->fn;

    if (leaf->at == NULL) {
        coil_frame *callee = coil_push_aligned(task, fn->frame_bytes, 16);
        leaf->at = &coil_leaf_site;
        coil_frame_push(task, callee, fn, leaf);
        memcpy((char *)callee + fn->arguments_at, call->arguments, fn->arguments_bytes);
        if (call->cold.adapt)
            coil_adapt(task, callee, &call->cold);
        if (fn->step(task, callee) == COIL_WAIT)
            return COIL_WAIT;
    }
    if (task->unwinding) {
        unsigned state = __atomic_load_n(&call->state, __ATOMIC_RELAXED);
        call->error = state & CANCEL_SENT ? -ECANCELED : -ESHUTDOWN;
    } else if (call->out_result != NULL) {
        memcpy(call->out_result, task->sp + fn->result_at, fn->result_bytes);
    }
    call->guest = NULL;
    coil_result(be_guest, leaf) = 0;
    finish(call);
    return coil_leave(task, leaf);
}

/* Also when it has ended, and the call is the caller's again. */
static const coil_fn *guest_stands_for(const coil_frame *first)
{
    const struct be_guest__frame *guest = (const void *)first;
    return guest->co__a.fn;
}

static const coil_fn be_guest__fn =
        COIL_FN_FOR_(be_guest, guest_step, NULL, NULL, guest_stands_for);

/* It has the name of the callee, and the size that this has learned. */
static coil_task *make_guest(coil_remote_call *call)
{
    struct be_guest__cold guest = be_guest(call, call->cold.fn);
    coil_task *task = coil_task_create(call->target->guests.sched, call->cold.fn);
    if (task == NULL)
        return NULL;
    COIL_FRAME_(task, struct be_guest__frame, guest, NULL);
    return task;
}

static void start(coil_post *post)
{
    coil_remote_call *call = coil_container_of(post, coil_remote_call, start);
    const coil_loop *target = call->target;

    /* A loop that is ending takes no new guests, else those who call again keep it from that. */
    call->error = target->closing || target->guests.cancelled ? -ESHUTDOWN : 0;
    if (call->error == 0) {
        coil_task *task = make_guest(call);
        call->error = task == NULL ? -ENOMEM : 0;
        if (task != NULL)
            call->guest = coil_group_start(&call->target->guests, task, NULL);
    }
    if (call->error < 0)
        finish(call);
}

static void cancel(coil_post *post)
{
    coil_remote_call *call = coil_container_of(post, coil_remote_call, cancel);

    call->is_cancel_seen = true;
    if (call->guest != NULL) {
        coil_task_cancel(call->guest);
    } else {
        call->finished(call);
    }
}

/* --------------------------------------------------------------------------- on either side -- */

static void call_init(coil_remote_call *call, coil_loop *target, const coil_cold *cold,
        void (*finished)(coil_remote_call *call))
{
    if (cold->created)
        coil_debug_awaited(cold->created);
    *call = (coil_remote_call){.start.run = start,
            .cancel.run = cancel,
            .finished = finished,
            .target = target,
            .cold = *cold};
}

/*
 * The caller cancels. True: the call has finished and `finished` will not be called, because the
 * target is gone. Its last deed was to end the task.
 */
static bool call_cancel(coil_remote_call *call)
{
    unsigned before = __atomic_fetch_or(&call->state, CANCEL_SENT, __ATOMIC_ACQ_REL);
    if (before != 0)
        return false;
    return coil_loop_post(call->target, &call->cancel) < 0;
}

/* ------------------------------------------------------------------- a task of another loop -- */

/* On the frame stack of the task that waits. */
typedef struct visit {
    coil_remote_call call;
    coil_post back;
    coil_loop *home;
    coil_task *task;
    bool is_done;
} visit;

static void come_back(coil_post *post)
{
    visit *self = coil_container_of(post, visit, back);
    self->is_done = true;
    coil_task_wake(self->task);
}

/* A task of `home` waits, so that it takes messages. */
static void send_back(coil_remote_call *call)
{
    visit *self = coil_container_of(call, visit, call);
    COIL_CHECK(coil_loop_post(self->home, &self->back) == 0);
}

/*
 * What `fn` becomes when it is called on `target`. A frame has no room for the loop, so there is
 * one of these for each pair, made when first needed and kept: coroutines are as many as there are
 * in the source.
 */
typedef struct remote_fn {
    coil_fn fn;
    const coil_fn *inner;
    coil_loop *target;
    struct remote_fn *next;
    uint32_t stack_bytes;
} remote_fn;

static coil_turn visit_start(coil_task *task, coil_frame *leaf)
{
    /* `fn` is the first member; coil_container_of() would drop the const. */
    const remote_fn *self = (const remote_fn *)(const void *)leaf->fn;
    const coil_cold cold = {.fn = self->inner};

    visit *visiting = coil_push(task, sizeof(*visiting));
    call_init(&visiting->call, self->target, &cold, send_back);
    visiting->call.arguments = (const char *)leaf + self->inner->arguments_at;
    visiting->call.out_result = (char *)leaf + self->inner->result_at;
    visiting->back.run = come_back;
    visiting->home = coil_loop_of(task);
    visiting->task = task;
    visiting->is_done = false;
    leaf->vars = visiting;
    coil_loop_hold(self->target);
    if (coil_loop_post(self->target, &visiting->call.start) == 0)
        return coil_leaf_suspend(leaf);
    coil_loop_release(self->target);
    return coil_leave_with(task, leaf, -ESHUTDOWN);
}

static coil_turn visit_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at == NULL)
        return coil_task_refuses(task) ? coil_leave(task, leaf) : visit_start(task, leaf);

    const visit *visiting = leaf->vars;
    if (!visiting->is_done)
        return COIL_WAIT;
    coil_loop_release(visiting->call.target);
    int error = visiting->call.error;
    if (error == -ECANCELED && !coil_task_unwind_here(task))
        error = -ESHUTDOWN; /* Somebody over there has cancelled all that runs. */
    if (error < 0)
        coil_frame_set_result(leaf, error);
    return coil_leave(task, leaf);
}

static void visit_cancel(coil_task *task, coil_frame *leaf)
{
    visit *visiting = leaf->vars;

    if (!visiting->is_done && call_cancel(&visiting->call)) {
        visiting->is_done = true;
        coil_task_wake(task);
    }
}

static remote_fn *find_fn(remote_fn *const *place, const coil_fn *inner)
{
    remote_fn *found = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    while (found != NULL && found->inner != inner)
        found = found->next;
    return found;
}

static remote_fn *make_fn(coil_loop *loop, const coil_fn *inner)
{
    remote_fn *made = malloc(sizeof(*made));
    if (made == NULL) {
        /* As with frame stacks: there is no frame yet to return an error from. */
        fprintf(stderr, "coil: %s: no memory to call it on another loop\n", inner->name);
        abort();
    }
    *made = (remote_fn){.fn = *inner, .inner = inner, .target = loop};
    made->stack_bytes = (uint32_t)(inner->frame_bytes + sizeof(visit) + 64);
    made->fn.step = visit_step;
    made->fn.cancel = visit_cancel;
    made->fn.stack_bytes = &made->stack_bytes;
    return made;
}

static const coil_fn *remote_fn_of(coil_loop *loop, const coil_fn *fn)
{
    remote_fn **place = &loop->remote_fns[((uintptr_t)fn >> 5) % LOOP_REMOTE_FNS];
    remote_fn *found = find_fn(place, fn);
    if (coil_likely(found != NULL))
        return &found->fn;

    remote_fn *made = make_fn(loop, fn); /* If another thread does so now, there are two. */
    made->next = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(
            place, &made->next, made, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
        continue;
    return &made->fn;
}

/* Nothing of it begins here, also if it is eager. */
void coil_cold_on_loop(coil_cold *cold, coil_loop *loop)
{
    cold->fn = remote_fn_of(loop, cold->fn);
    cold->begin = NULL;
}

/* -------------------------------------------------------------------------- a plain thread -- */

static void set_finished(coil_remote *remote)
{
    (void)pthread_mutex_lock(&remote->mutex);
    remote->is_finished = true;
    coil_kernel_cond_broadcast(&remote->changed);
    (void)pthread_mutex_unlock(&remote->mutex);
}

static void tell_thread(coil_remote_call *call)
{
    set_finished(coil_container_of(call, coil_remote, call));
}

void coil_remote_begin(coil_remote *remote, coil_loop *loop, const coil_cold *cold,
        const void *arguments, void *out_result)
{
    const coil_fn *fn = cold->fn;

    call_init(&remote->call, loop, cold, tell_thread);
    memcpy(remote->arguments, arguments, fn->arguments_bytes);
    remote->call.arguments = remote->arguments;
    remote->call.out_result = out_result;
    remote->is_finished = false;
    (void)pthread_mutex_init(&remote->mutex, NULL);
    (void)pthread_cond_init(&remote->changed, NULL);
    coil_loop_hold(loop);
    if (coil_loop_post(loop, &remote->call.start) < 0) {
        remote->call.error = -ESHUTDOWN;
        remote->is_finished = true;
    }
}

/* False: it has not finished by then. */
static bool await_finish(coil_remote *remote, coil_time deadline)
{
    (void)pthread_mutex_lock(&remote->mutex);
    while (!remote->is_finished &&
            coil_kernel_cond_wait(&remote->changed, &remote->mutex, deadline))
        continue;
    bool is_finished = remote->is_finished;
    (void)pthread_mutex_unlock(&remote->mutex);
    return is_finished;
}

int coil_remote_wait(coil_remote *remote, coil_duration timeout)
{
    COIL_CHECK(coil_loop_current() == NULL || coil_loop_current() != remote->call.target);
    if (timeout < 0)
        timeout = 0;
    if (!await_finish(remote, coil_time_after(coil_kernel_now(), timeout)))
        return -ETIME;
    if (remote->call.target != NULL) {
        (void)pthread_cond_destroy(&remote->changed);
        coil_loop_release(remote->call.target);
        remote->call.target = NULL;
    }
    return remote->call.error;
}

void coil_remote_cancel(coil_remote *remote)
{
    if (call_cancel(&remote->call))
        set_finished(remote);
}

/* ---------------------------------------------------------------------------------- nobody -- */

typedef struct detached {
    coil_remote_call call;
    char arguments[] __attribute__((aligned(16)));
} detached;

static void forget(coil_remote_call *call)
{
    free(coil_container_of(call, detached, call));
}

int coil_remote_detach(coil_loop *loop, const coil_cold *cold, const void *arguments)
{
    size_t size_bytes = cold->fn->arguments_bytes;
    detached *message = malloc(sizeof(*message) + size_bytes);
    if (message == NULL)
        return -ENOMEM;
    call_init(&message->call, loop, cold, forget);
    memcpy(message->arguments, arguments, size_bytes);
    message->call.arguments = message->arguments;
    int rc = coil_loop_post(loop, &message->call.start);
    if (rc < 0)
        free(message);
    return rc;
}
