/* SPDX-License-Identifier: MIT */
#include <coil/loop_thread.h>

#include "loop_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>

enum { POLL_MS = 1 };

/* ---------------------------------------------------------------------- the root task of it -- */

static void name_tasks(const coil_group *group)
{
    for (coil_list *link = group->tasks.next; link != &group->tasks; link = link->next) {
        const coil_task *task = coil_container_of(link, coil_task, link);
        fprintf(stderr, "coil: shutdown: the task '%s' does not end\n", coil_task_name(task));
    }
}

/* Everything but the caller of this has ended, or the time is over. */
coil_async(int, await_others, (coil_loop *) loop, (coil_time) deadline)
{
    coil_vars();

    while (loop->sched.live_count > 1 && coil_sched_now(&loop->sched) < deadline)
        coil_await(coil_sleep(coil_ms(POLL_MS)));
    return loop->sched.live_count > 1 ? -ETIME : 0;
}

/* What keeps the loop running, and then sees to its end. */
coil_async(int, keep, (coil_loop *) loop)
{
    coil_vars(int rc);

    coil_await(coil_shutdown_requested());
    while (loop->shutdown.deadline > coil_sched_now(&loop->sched) && loop->sched.live_count > 1)
        coil_await(coil_sleep(coil_ms(POLL_MS)));
    coil_group_cancel(&loop->guests);
    coil_group_cancel(&loop->sched.root);
    coil_await(my->rc, coil_shield(await_others(loop, coil_time_after(coil_sched_now(&loop->sched),
                                                              loop->shutdown.patience))));
    if (my->rc < 0) {
        name_tasks(&loop->guests);
        name_tasks(&loop->sched.root);
    }
    return 0;
}

/* ----------------------------------------------------------------------------- the thread -- */

static void begin_stop(coil_post *post)
{
    coil_loop_thread *thread = coil_container_of(post, coil_loop_thread, stop);
    coil_shutdown_begin(&thread->loop->shutdown, thread->grace);
}

/* Until all tasks have ended. Whoever stops the loop meanwhile takes their grace away. */
static void run_to_the_end(coil_loop *loop)
{
    while (loop->sched.live_count > 0) {
        if (coil_loop_run(loop) == -EINTR)
            coil_shutdown_begin(&loop->shutdown, 0);
    }
}

static int set_up(coil_loop_thread *thread)
{
    const coil_loop_thread_options *options = thread->options;

    if (options->is_pinned) {
        int rc = coil_kernel_pin(options->cpu);
        if (rc < 0) {
            (void)snprintf(thread->reason, COIL_REASON_BYTES, "cannot run a thread on CPU %d: %s",
                    options->cpu, coil_error_text(rc));
            return rc;
        }
    }
    int rc = coil_loop_create(&thread->loop, thread->reason);
    if (rc < 0)
        return rc;
    coil_loop_root(thread->loop)->keep_going = true;
    if (coil_spawn(coil_loop_root(thread->loop), keep(thread->loop)) == NULL)
        rc = -ENOMEM;
    if (rc == 0 && options->prepare != NULL)
        rc = options->prepare(thread);
    if (rc >= 0)
        return 0;
    (void)snprintf(thread->reason, COIL_REASON_BYTES, "cannot start what the loop is for: %s",
            coil_error_text(rc));
    coil_group_cancel(coil_loop_root(thread->loop));
    run_to_the_end(thread->loop);
    coil_loop_destroy(thread->loop);
    thread->loop = NULL;
    return rc;
}

static void report_start(coil_loop_thread *thread, int error)
{
    (void)pthread_mutex_lock(&thread->mutex);
    thread->error = error;
    thread->has_started = true;
    coil_kernel_cond_signal(&thread->changed);
    (void)pthread_mutex_unlock(&thread->mutex);
}

/* The first turn of the loop has begun. */
coil_async(int, tell_running, (coil_loop_thread *) thread)
{
    coil_vars();

    report_start(thread, 0);
    return 0;
}

static void run_thread(coil_kernel_thread *self)
{
    coil_loop_thread *thread = coil_container_of(self, coil_loop_thread, thread);

    if (thread->takes_signals)
        (void)coil_kernel_sigmask(SIG_SETMASK, &thread->signals, NULL);
    int rc = set_up(thread);
    if (rc < 0) {
        report_start(thread, rc);
        return;
    }
    coil_loop *loop = thread->loop;
    coil_loop_hold(loop); /* Until the memory of `thread` ends. */
    if (coil_spawn(coil_loop_root(loop), tell_running(thread)) == NULL)
        report_start(thread, 0);
    run_to_the_end(loop);
    coil_loop_destroy(loop);
}

/* The thread exists: wait until it has said what became of its loop. */
static int await_start(coil_loop_thread *thread)
{
    (void)pthread_mutex_lock(&thread->mutex);
    while (!thread->has_started)
        (void)coil_kernel_cond_wait(&thread->changed, &thread->mutex, COIL_NEVER);
    int rc = thread->error;
    (void)pthread_mutex_unlock(&thread->mutex);
    if (rc < 0)
        coil_kernel_thread_join(&thread->thread);
    return rc;
}

int coil_loop_thread_start(
        coil_loop_thread *thread, const coil_loop_thread_options *options, char *out_reason)
{
    static const coil_loop_thread_options defaults;
    char reason[COIL_REASON_BYTES] = "cannot start a thread";

    if (options == NULL)
        options = &defaults;
    *thread = (coil_loop_thread){.options = options,
            .reason = reason,
            .thread = {.run = run_thread, .name = options->name != NULL ? options->name : "coil"},
            .stop.run = begin_stop,
            .takes_signals = options->takes_signals};
    (void)pthread_mutex_init(&thread->mutex, NULL);
    (void)pthread_cond_init(&thread->changed, NULL);
    (void)coil_kernel_sigmask(SIG_BLOCK, NULL, &thread->signals);
    int rc = coil_kernel_thread_start(&thread->thread);
    if (rc == 0)
        rc = await_start(thread);
    thread->options = NULL;
    thread->reason = NULL;
    thread->is_running = rc == 0;
    if (rc < 0) {
        (void)pthread_cond_destroy(&thread->changed);
        (void)pthread_mutex_destroy(&thread->mutex);
        if (out_reason != NULL)
            (void)snprintf(out_reason, COIL_REASON_BYTES, "%s", reason);
    }
    return rc;
}

void coil_loop_thread_stop(coil_loop_thread *thread, coil_duration grace)
{
    COIL_CHECK(thread->is_running);
    COIL_CHECK(coil_loop_current() == NULL || coil_loop_current() != thread->loop);
    thread->is_running = false;
    thread->grace = grace;
    (void)coil_loop_post(thread->loop, &thread->stop);
    coil_kernel_thread_join(&thread->thread);
    (void)pthread_cond_destroy(&thread->changed);
    (void)pthread_mutex_destroy(&thread->mutex);
}

void coil_loop_thread_fini(coil_loop_thread *thread)
{
    COIL_CHECK(!thread->is_running);
    coil_loop_release(thread->loop);
    thread->loop = NULL;
}
