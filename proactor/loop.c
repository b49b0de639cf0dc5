/* SPDX-License-Identifier: MIT */
#include <coil/loop.h>

#include "blocking_private.h"
#include "monitor.h"
#include "pool.h"
#include "recorder_private.h"
#include "shutdown_private.h"
#include "sigpipe.h"

#include <coil/kernel.h>
#include <coil/trace.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static COIL_THREAD_LOCAL coil_loop *current;

/* -------------------------------------------------------------------------------- failures -- */

static void print_failure(const coil_failure *failure)
{
    fprintf(stderr, "coil: task %s (%s) failed: %s (%s)\n", failure->name, failure->file,
            coil_error_text(failure->error), coil_error_name(failure->error));
}

/* The first failure of a root task is the result of the run, if the run has no other. */
static bool is_returned(const coil_loop *loop)
{
    if (loop->sched.root.keep_going || loop->sched.root.error != 0)
        return false;
    return loop->goal == LOOP_UNTIL_NO_TASKS || loop->goal == LOOP_UNTIL_STOPPED;
}

static void root_failed(coil_group *root, const coil_task *task, int error)
{
    coil_loop *loop = coil_container_of(root, coil_loop, sched.root);
    const coil_failure failure = {
            coil_task_name(task), coil_task_first_frame(task)->fn->file, error};
    if (task->outcome != NULL)
        return; /* Somebody receives it. */
    if (loop->on_error != NULL) {
        loop->on_error->failed(loop->on_error, &failure);
    } else if (!is_returned(loop)) {
        print_failure(&failure);
    }
}

void coil_loop_on_error(coil_loop *loop, coil_error_hook *hook)
{
    loop->on_error = hook;
}

void coil_loop_print_tasks(const coil_loop *loop, FILE *out)
{
    coil_trace_group(&loop->sched.root, out);
    coil_trace_group(&loop->runs, out);
    coil_trace_group(&loop->guests, out);
}

static void report_tasks(const coil_loop *loop, const char *what)
{
    fprintf(stderr, "coil: %s, and tasks have not ended (%zu):\n", what, loop->sched.live_count);
    coil_loop_print_tasks(loop, stderr);
}

/* ------------------------------------------------------------------------------- lifecycle -- */

static size_t live_tasks(const coil_loop *loop)
{
    return loop->sched.live_count;
}

size_t coil_debug_live_tasks(void)
{
    return loop_sum(live_tasks);
}

size_t coil_debug_pending_ops(void)
{
    return loop_sum(coil_loop_pending);
}

void loop_cancel_all(coil_loop *loop)
{
    coil_group_cancel(&loop->sched.root);
    coil_group_cancel(&loop->runs);
    coil_group_cancel(&loop->guests);
}

static coil_time read_clock(coil_clock *clock)
{
    return loop_clock(coil_container_of(clock, coil_loop, clock));
}

void loop_begin(coil_loop *loop, coil_time now)
{
    coil_sched_init(&loop->sched, now, NULL);
    loop->clock.read = read_clock;
    loop->sched.root.on_failure = root_failed;
    idle_list_init(&loop->idle, loop->is_virtual ? NULL : &loop->sched);
    coil_group_init(&loop->runs, &loop->sched);
    loop->runs.keep_going = true;
    coil_group_init(&loop->guests, &loop->sched);
    loop->guests.keep_going = true;
}

int coil_loop_create(coil_loop **out_loop, char *out_reason)
{
    char reason[COIL_REASON_BYTES] = "cannot create a loop: no memory (ENOMEM)";
    int rc = -ENOMEM;
    coil_loop *loop = loop_take_memory();
    if (loop == NULL)
        goto fail;
    loop->wake_fd = rc = coil_kernel_eventfd();
    if (rc < 0) {
        (void)snprintf(reason, sizeof(reason), "cannot create a loop: %s", coil_error_text(rc));
        goto free_loop;
    }
    rc = ring_init(&loop->ring, reason);
    if (rc < 0)
        goto close_wake;

    coil_list_init(&loop->backlog);
    coil_list_init(&loop->cancels);
    shutdown_init(&loop->shutdown);
    loop->hold_count = 1;
    coil_list_init(&loop->calls_soon);
    coil_list_init(&loop->calls_now);
    coil_list_init(&loop->calls_timed);
    coil_list_init(&loop->extras);
    coil_list_init(&loop->measures);
    loop_begin(loop, coil_kernel_now());
    loop_wake_by_ring(loop);
    op_init(&loop->wake, &loop_wake_kind, loop);
    op_start(&loop->wake);
    loop_enlist(loop);
    monitor_from_environment();
    rc = loop_debug_from_environment(loop);
    if (rc == 0)
        rc = recorder_from_environment(loop);
    if (rc < 0) {
        coil_loop_destroy(loop);
        goto fail;
    }
    *out_loop = loop;
    return 0;

close_wake:
    (void)coil_kernel_close(loop->wake_fd);
free_loop:
    loop_give_memory(loop);
fail:
    if (out_reason != NULL)
        (void)snprintf(out_reason, COIL_REASON_BYTES, "%s", reason);
    return rc;
}

static void cancel_all_prepare(struct io_uring_sqe *sqe)
{
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = OP_TAG_CANCEL;
}

/*
 * Closing a ring ends its operations some milliseconds later, and until then they keep sockets
 * bound. So everything is cancelled and reaped first. To cancel all the kernel looks at each, and
 * an enter may reap as few as twenty: so it is asked once, and again only if nothing ends.
 */
static void end_operations(coil_loop *loop)
{
    size_t before = 0;
    while (loop->pending_count > 0) {
        op_drain(loop);
        struct io_uring_sqe *sqe = loop->pending_count < before ? NULL : ring_next(&loop->ring);
        if (sqe != NULL)
            cancel_all_prepare(sqe);
        before = loop->pending_count;
        COIL_CHECK(ring_enter(&loop->ring, coil_time_after(coil_kernel_now(), coil_ms(10))) == 0);
        loop_reap(loop);
    }
    (void)ring_enter(&loop->ring, RING_NO_WAIT); /* Cancellations that nobody waits for. */
}

/*
 * Messages that nobody has run yet may post further messages, and start tasks and operations. Such
 * a task begins cancelled.
 */
static void run_last_messages(coil_loop *loop)
{
    coil_loop *outer = current;
    current = NULL;
    loop->closing = true;
    do {
        loop_cancel_all(loop);
        (void)coil_loop_run(loop); /* Which others may stop. */
        if (loop->sched.live_count == 0)
            blocking_leave(loop);
    } while (loop->sched.live_count > 0 || !loop_refuse_mail(loop));
    current = outer;
}

static void quiesce(coil_loop *loop)
{
    run_last_messages(loop);
    loop_end_extras(loop);
    op_cancel(&loop->wake);
    end_operations(loop);
    while (loop_is_posted_to(loop))
        (void)ring_enter(&loop->ring, coil_time_after(coil_kernel_now(), coil_us(100)));
}

void coil_loop_destroy(coil_loop *loop)
{
    if (loop == NULL)
        return;
    COIL_CHECK(current != loop);
    if (loop->sched.live_count > 0)
        report_tasks(loop, "a loop is destroyed");
    COIL_CHECK(loop->sched.live_count == 0);
    loop_delist(loop);
    quiesce(loop);
    loop_drop_calls(loop);
    buffer_pool_destroy(loop->buffers);
    buffer_pool_destroy_spare(loop);
    idle_list_fini(&loop->idle);
    coil_recorder_stop(loop);
    ring_fini(&loop->ring);
    (void)coil_kernel_close(loop->wake_fd);
    loop_debug_end(loop);
    coil_sched_fini(&loop->sched);
    free(loop->dump.text);
    loop->is_gone = true;
    coil_loop_release(loop);
}

int coil_loop_close(coil_loop **loop)
{
    if (*loop != NULL && (*loop)->sched.live_count > 0) {
        report_tasks(*loop, "a loop is closed");
        return -EBUSY;
    }
    coil_loop_destroy(*loop);
    *loop = NULL;
    return 0;
}

/* -------------------------------------------------------------------------------- running -- */

coil_time loop_clock(const coil_loop *loop)
{
    return coil_unlikely(loop->is_virtual) ? loop->virtual_now : coil_kernel_now();
}

static void refuse_nesting(void)
{
    if (current == NULL)
        return;
    fprintf(stderr, "coil: a loop cannot run inside a running loop: await the call, or spawn it\n");
    abort();
}

/* In the child of a fork(), the memory of the ring is not there; another thread's is refused. */
static void refuse_foreigners(const coil_loop *loop)
{
    if (coil_likely(coil_kernel_thread_id() == loop->watch.thread))
        return;
    fprintf(stderr,
            "coil: a loop is run by a thread, or a forked child, that has not created it\n");
    abort();
}

bool loop_drive(coil_loop *loop, loop_goal goal)
{
    refuse_nesting();
    refuse_foreigners(loop);
    const sigpipe_guard guard = block_sigpipe();
    current = loop;
    watch_beat(&loop->watch, WATCH_RUNS + loop->stats.turns);
    loop->goal = goal;
    loop->is_hung = false;
    __atomic_store_n(&loop->running, true, __ATOMIC_RELAXED);
    if (loop->chores & LOOP_IS_MEASURED) /* What was between two runs is not the loop's. */
        loop->turn_began = coil_kernel_now();
    loop_turn_to_goal(loop);
    bool is_reached = loop_has_reached_goal(loop);
    __atomic_store_n(&loop->stopping, false, __ATOMIC_RELAXED);
    __atomic_store_n(&loop->running, false, __ATOMIC_RELAXED);
    loop->goal = LOOP_UNTIL_NO_TASKS;
    watch_beat(&loop->watch, WATCH_RESTS);
    current = NULL;
    unblock_sigpipe(&guard);
    return is_reached;
}

/* A group whose tasks have all ended can be used again. */
static void renew(coil_group *group)
{
    if (group->live_count == 0)
        group->cancelled = false;
}

/* The run has ended: the first failure of a root task, or why it was too early, or 0. */
static int outcome(coil_loop *loop, bool is_reached)
{
    int error = loop->sched.root.error;
    loop->sched.root.error = 0;
    renew(&loop->sched.root);
    renew(&loop->runs);
    renew(&loop->guests);
    if (error == 0 && !is_reached)
        return loop->is_hung ? -EDEADLK : -EINTR;
    return error;
}

int coil_loop_run(coil_loop *loop)
{
    return outcome(loop, loop_drive(loop, LOOP_UNTIL_NO_TASKS));
}

int coil_loop_run_forever(coil_loop *loop)
{
    (void)loop_drive(loop, LOOP_UNTIL_STOPPED);
    return outcome(loop, !loop->is_hung);
}

int64_t coil_loop_run_task(coil_loop *loop, coil_task *task)
{
    refuse_nesting();
    int64_t result = 0;
    if (task == NULL)
        return -ENOMEM;
    task = coil_group_start(&loop->runs, task, &result);
    loop->awaited = &task->link;
    bool is_reached = loop_drive(loop, LOOP_UNTIL_RESULT);
    (void)outcome(loop, is_reached); /* Failures of root tasks have been reported. */
    if (is_reached)
        return result;
    coil_task_set_outcome(task, NULL); /* It is suspended, and goes on in the next run. */
    return loop->is_hung ? -EDEADLK : -EINTR;
}

/* --------------------------------------------------------------------------- shutting down -- */

typedef struct grace_period {
    coil_call call;
    coil_loop *loop;
    bool is_over;
} grace_period;

static void end_grace(coil_call *call)
{
    grace_period *grace = coil_container_of(call, grace_period, call);
    grace->is_over = true;
    coil_loop_stop(grace->loop);
}

int coil_loop_shutdown(coil_loop *loop, coil_duration grace)
{
    refuse_nesting();
    grace_period period = {.loop = loop};
    coil_call_init(&period.call, end_grace);
    coil_call_later(loop, &period.call, grace);
    loop_cancel_all(loop);
    bool is_reached = loop_drive(loop, LOOP_UNTIL_NO_TASKS);
    coil_call_cancel(&period.call);

    int rc = outcome(loop, is_reached);
    if (is_reached)
        return rc;
    report_tasks(loop, "a loop shuts down");
    return period.is_over ? -ETIMEDOUT : rc;
}

/* ----------------------------------------------------------------------------------- queries -- */

void loop_touch(coil_loop *loop)
{
    if (current != loop)
        loop->sched.unread = &loop->clock;
}

coil_group *coil_loop_root(coil_loop *loop)
{
    /* Whoever spawns between two runs counts his deadlines from now, not from the last turn. */
    loop_touch(loop);
    return &loop->sched.root;
}

bool coil_loop_is_running(const coil_loop *loop)
{
    return __atomic_load_n(&loop->running, __ATOMIC_RELAXED);
}

coil_loop *coil_loop_current(void)
{
    return current;
}

coil_loop *coil_loop_of(const coil_task *task)
{
    return coil_container_of(task->sched, coil_loop, sched);
}

coil_time coil_loop_now(coil_loop *loop)
{
    loop_touch(loop);
    return coil_sched_now(&loop->sched);
}

coil_time coil_now(void)
{
    return current != NULL ? coil_sched_now(&current->sched) : coil_kernel_now();
}

coil_loop_stats coil_loop_statistics(const coil_loop *loop)
{
    coil_loop_stats stats = loop->stats;
    stats.enters = loop->ring.enter_count;
    return stats;
}

size_t coil_loop_pending(const coil_loop *loop)
{
    return loop->pending_count;
}
