/* SPDX-License-Identifier: MIT */
#include "log_private.h"
#include "supervision_private.h"
#include "supervisor_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAST_LINES_BYTES = 2048 };

/* How long a descriptor waits for which there was no memory. */
#define HEAR_AGAIN coil_ms(10)

/* --------------------------------------------------------------------------------- the end -- */

static void forget_tasks(coil_service *service)
{
    if (service->ready_task != NULL)
        coil_task_cancel(service->ready_task);
    if (service->probe_task != NULL)
        coil_task_cancel(service->probe_task);
    service->ready_task = NULL;
    service->probe_task = NULL;
}

static void record_death(coil_service *service)
{
    const coil_supervised *supervised = &service->supervised;
    coil_death *death = &service->death;
    const bool stopping = supervised->state == COIL_SERVICE_STOPPING;

    free(service->last_lines);
    service->last_lines = NULL;
    *death = (coil_death){.instance = service->instance,
            .pid = service->owned.plan.spawn == NULL ? 0 : service->child.pid,
            .exit = service->child.exit,
            .result = service->result,
            .started_at = supervised->started_at,
            .ended_at = coil_now(),
            .was_up = supervised->up_at != COIL_NEVER,
            .reason = stopping ? supervised->reason : COIL_REASON_EXIT,
            .last_lines = ""};
    if (service->owned.plan.spawn != NULL) {
        (void)coil_exit_format(&death->exit, death->text);
    } else if (service->result < 0) {
        (void)snprintf(death->text, sizeof(death->text), "ended with %s",
                coil_error_name(service->result));
    } else {
        (void)snprintf(death->text, sizeof(death->text), "ended with %d", service->result);
    }
}

/* Those that are stopped, or would be, because of the death that was just reported. */
static size_t count_regrouped(const coil_service *service)
{
    const coil_supervised *other = NULL;
    size_t count = 0;

    while ((other = coil_supervision_each(service->supervisor->policy, other)) != NULL)
        count += other->culprit == &service->supervised && other->regroup;
    return count;
}

/*
 * What it wrote last may still be on its way to the log. The one task that holds the service for
 * itself: coil_spawn_now() begins it at once, so nothing comes in between.
 */
coil_async(int, keep_last_lines, (coil_service *) service, (uint64_t) instance, (uint64_t) round_count)
{
    coil_vars(int rc);

    service_hold(service);
    coil_defer(service_release(service));
    coil_await(my->rc,
            coil_within(coil_ms(100), log_drain_until(service->owned.plan.log, round_count)));
    char lines[LAST_LINES_BYTES];
    const size_t size = coil_log_tail(service->owned.plan.log, lines, sizeof(lines));
    if (size == 0 || service->death.instance != instance || service->last_lines != NULL)
        return 0;
    service->last_lines = strndup(lines, size);
    if (service->last_lines != NULL)
        service->death.last_lines = service->last_lines;
    return 0;
}

/* The instance is gone. When this returns, its successor may be there. */
static void instance_ended(coil_service *service, int code, bool signaled)
{
    coil_supervisor *supervisor = service->supervisor;
    coil_supervisor_hook *hook = supervisor->hook;
    const coil_supervision_event event = {.kind = COIL_EVENT_EXITED,
            .service = &service->supervised,
            .code = code,
            .signaled = signaled};

    forget_tasks(service);
    record_death(service);
    coil_child_fini(&service->child);
    if (hook != NULL && hook->died != NULL)
        hook->died(hook, service, &service->death);
    const uint64_t instance = service->instance;
    coil_log *log = service->owned.plan.log;
    const uint64_t rounds = log == NULL ? 0 : log_drain_want(log); /* Without the successor. */
    supervisor_take(supervisor, &event);
    if (log != NULL && supervisor->group != NULL)
        (void)coil_spawn_now(supervisor->group, keep_last_lines(service, instance, rounds));
    if (service->death.instance == instance && supervisor->group != NULL)
        service->death.also_stopped = count_regrouped(service);
}

static void close_unheard(coil_service *service)
{
    if (service->unheard >= 0)
        (void)coil_kernel_close(service->unheard);
    service->unheard = -1;
}

/* It was left. */
static void let_run(coil_service *service)
{
    close_unheard(service);
    unread_close(&service->unread);
    coil_child_fini(&service->child);
}

/* The process that could not stay is gone, so another one may be started. */
static void refused_ended(coil_service *service)
{
    const int refusal = service->refusal;

    service->refusal = 0;
    service->is_marked = false;
    forget_tasks(service);
    coil_child_fini(&service->child);
    supervisor_tell(service, COIL_EVENT_SPAWN_FAILED, refusal, 0);
}

/* Until its end. What could not be had when it came, for want of memory or room, is tried again. */
coil_async(int, await_end, (coil_service *) service)
{
    coil_vars(int rc);

    while (!service->child.exit.ended) {
        if (service->unheard >= 0 || unread_is_any(&service->unread)) {
            coil_await(my->rc, coil_within(service->unheard >= 0 ? HEAR_AGAIN : UNREAD_AGAIN,
                                       coil_child_wait(&service->child)));
            (void)service_attach(service, &service->unread);
            service_hear(service);
        } else {
            coil_await(my->rc, coil_child_wait(&service->child));
        }
        if (!service->child.exit.ended && my->rc != -ETIME)
            coil_await(coil_sleep(coil_ms(10))); /* -ENOMEM: it will pass. */
    }
    return 0;
}

coil_async(int, mind_process, (coil_service *) service)
{
    coil_vars(int rc; uint64_t instance; bool is_over);

    coil_defer(service_release(service));
    if (service->minder != coil_self)
        return 0; /* Nothing was started. */
    my->instance = service->instance;
    coil_defer(if (!my->is_over) let_run(service));
    coil_await(my->rc, await_end(service));
    my->is_over = true;
    if (service->owned.plan.notify)
        coil_await(my->rc, coil_shield(notify_hear_out(service->supervisor)));
    if (service->owned.plan.whole_tree)
        coil_await(my->rc, coil_shield(coil_child_stop_tree(&service->child, coil_s(2))));
    unread_pipes unread = service->unread;
    service->unread = UNREAD_NONE;
    service->minder = NULL;
    close_unheard(service);
    if (service->refusal < 0) {
        unread_close(&unread);
        refused_ended(service);
    } else {
        instance_ended(service, service->child.exit.lost ? 255 : service->child.exit.code,
                service->child.exit.signaled);
    }
    if (service->owned.plan.outlives)
        outliving_ended(service, my->instance, unread);
    return 0;
}

static void runner_ended(coil_service *service)
{
    service->runner = NULL;
    instance_ended(service, service->result < 0 ? 255 : 0, false);
    service_release(service);
}

/* In a defer, because being stopped is being cancelled. */
coil_async(int, mind_task, (coil_service *) service)
{
    coil_vars(int rc);

    service->result = -ECANCELED;
    coil_defer(runner_ended(service));
    coil_await(my->rc, coil_handler_call(service->owned.plan.task->run, service->owned.plan.task));
    service->result = my->rc;
    return 0;
}

coil_async(int, mind_supervisor, (coil_service *) service)
{
    coil_vars(int rc);

    service->result = -ECANCELED;
    coil_defer(runner_ended(service));
    coil_await(my->rc, coil_supervisor_run(service->owned.plan.supervisor));
    service->result = my->rc;
    return 0;
}

/* ------------------------------------------------------------------------------- the start -- */

/* It has a newline for us when it is ready (s6: notification-fd). */
coil_async(int, mind_ready_fd, (coil_service *) service, (uint64_t) instance, (int) fd)
{
    coil_vars(char bytes[64]; ssize_t count; coil_loop *loop);

    my->loop = coil_loop_current();
    coil_defer(service_release(service));
    coil_defer(coil_close_later(my->loop, fd));
    for (;;) {
        coil_await(my->count, coil_poll(fd, POLLIN));
        if (service->instance != instance)
            break;
        if (my->count < 0) {
            coil_await(coil_sleep(HEAR_AGAIN)); /* -ENOMEM: it will pass. */
            continue;
        }
        /* What is taken by one that is killed nobody else hears: so it is ready, before that, */
        coil_await(outliving_unmark(service));
        my->count = coil_kernel_read_now(fd, my->bytes, sizeof(my->bytes));
        if (my->count == 0 || (my->count > 0 && memchr(my->bytes, '\n', (size_t)my->count) != NULL))
            break;
        coil_ignore(outliving_mark(service, fd)); /* or not. */
    }
    if (service->instance != instance || !service->supervised.alive)
        return 0;
    service->ready_task = NULL;
    /* Who has closed it before we came may have said it to our predecessor. */
    if (my->count > 0 || (my->count == 0 && service->supervised.reason == COIL_REASON_ADOPTED))
        supervisor_tell(service, COIL_EVENT_READY, 0, 0);
    return 0;
}

int service_mind(coil_service *service)
{
    service->minder = SERVICE_SPAWN(service, mind_process(service));
    return service->minder == NULL ? -ENOMEM : 0;
}

void service_hear(coil_service *service)
{
    if (service->unheard < 0)
        return;
    service->ready_task =
            SERVICE_SPAWN(service, mind_ready_fd(service, service->instance, service->unheard));
    if (service->ready_task != NULL)
        service->unheard = -1;
}

static int explain(service_launch *launch, int error, const char *what)
{
    launch->error = (coil_spawn_error){.error = error, .stage = COIL_SPAWN_STAGE_PIPE};
    (void)snprintf(
            launch->error.text, sizeof(launch->error.text), "%s: %s", what, coil_error_text(error));
    return error;
}

/* The descriptor by which it says that it is ready. */
static int add_ready_fd(service_launch *launch, int number)
{
    const size_t count = launch->plan.fd_count;
    int ends[2];

    if (count >= COIL_SPAWN_FDS_MAX)
        return explain(launch, -EINVAL, "too many descriptors");
    launch->fds = malloc((count + 1) * sizeof(*launch->fds));
    if (launch->fds == NULL)
        return explain(launch, -ENOMEM, "no pipe to be notified by");
    const int rc = coil_kernel_pipe(ends);
    if (rc < 0)
        return explain(launch, rc, "no pipe to be notified by");
    launch->ready_fd = ends[0];
    launch->their_ready_fd = ends[1];
    if (count > 0)
        memcpy(launch->fds, launch->plan.fds, count * sizeof(*launch->fds));
    launch->fds[count] = (coil_spawn_fd){number, ends[1]};
    launch->plan.fds = launch->fds;
    launch->plan.fd_count++;
    return 0;
}

int launch_prepare(const coil_service *service, service_launch *launch)
{
    const coil_service_plan *plan = &service->owned.plan;

    *launch = (service_launch){.plan = service->owned.spawn, .ready_fd = -1, .their_ready_fd = -1};
    if (plan->log != NULL) {
        launch->plan.out = (coil_stdio){COIL_STDIO_PIPE, 0};
        if (launch->plan.err.mode != COIL_STDIO_MERGE)
            launch->plan.err = (coil_stdio){COIL_STDIO_PIPE, 0};
    }
    if (plan->notify) {
        launch->environment = plan_environment(service);
        if (launch->environment == NULL)
            return explain(launch, -ENOMEM, "no environment");
        launch->plan.env = launch->environment;
    }
    return plan->notify_fd > 0 ? add_ready_fd(launch, plan->notify_fd) : 0;
}

/* What it needs of us from now on. Whom the log does not read cannot stay. */
static int look_after(coil_service *service, service_launch *launch)
{
    char what[COIL_SPAWN_TEXT_BYTES - 64];

    service->unread = unread_take(&service->child);
    const int rc = service_attach(service, &service->unread);
    if (rc < 0) {
        service->refusal = rc;
        (void)coil_child_signal(&service->child, SIGKILL);
        (void)snprintf(what, sizeof(what), "the log of '%s' cannot read its %s",
                service->owned.plan.name, unread_name(&service->unread));
        return explain(launch, rc, what);
    }
    service->unheard = launch->ready_fd;
    launch->ready_fd = -1;
    service_hear(service);
    return 0;
}

int launch_finish(coil_service *service, service_launch *launch, int rc)
{
    if (launch->their_ready_fd >= 0)
        (void)coil_kernel_close(launch->their_ready_fd);
    free(launch->fds);
    free(launch->environment);
    if (rc == 0) {
        rc = look_after(service, launch);
    } else if (launch->error.error == 0) {
        (void)explain(launch, rc, "nobody to keep it");
    }
    if (launch->ready_fd >= 0)
        (void)coil_kernel_close(launch->ready_fd);
    return rc;
}

static int start_process(coil_service *service, coil_spawn_error *out_error)
{
    service_launch launch;

    int rc = launch_prepare(service, &launch);
    if (rc == 0)
        rc = service_mind(service); /* Before it is there: nobody is without. */
    if (rc == 0) {
        rc = coil_child_spawn(&launch.plan, &service->child, &launch.error);
        if (rc < 0)
            service->minder = NULL;
    }
    rc = launch_finish(service, &launch, rc);
    *out_error = launch.error;
    return rc;
}

static int start_runner(coil_service *service)
{
    if (service->owned.plan.task != NULL) {
        service->owned.plan.task->service = service;
        service->runner = SERVICE_SPAWN(service, mind_task(service));
    } else {
        service->runner = SERVICE_SPAWN(service, mind_supervisor(service));
    }
    return service->runner == NULL ? -ENOMEM : 0;
}

void service_started(coil_service *service, int rc, const coil_spawn_error *error)
{
    coil_supervisor_hook *hook = service->supervisor->hook;

    if (rc < 0) {
        if (hook != NULL && hook->failed != NULL)
            hook->failed(hook, service, error);
        if (service->refusal == 0)
            supervisor_tell(service, COIL_EVENT_SPAWN_FAILED, rc, 0);
        return;
    }
    if (hook != NULL && hook->started != NULL)
        hook->started(hook, service);
    supervisor_tell(service, COIL_EVENT_STARTED, 0, 0);
}

void service_start_instance(coil_service *service)
{
    coil_spawn_error error = {.error = -ENOMEM, .text = "no memory"};
    int rc;

    if (service->owned.plan.outlives) {
        rc = outliving_adopt(service);
        if (rc < 0)
            service_started(service, rc, &error);
        if (rc != 0)
            return;
    }
    service->instance = ++service->last_instance;
    free(service->says);
    service->says = NULL;
    if (service->owned.plan.outlives) {
        rc = outliving_start(service);
        if (rc == 0)
            return; /* The answer comes later. */
    } else if (service->owned.plan.spawn != NULL) {
        rc = start_process(service, &error);
    } else {
        rc = start_runner(service);
    }
    service_started(service, rc, &error);
}

/* --------------------------------------------------------------------------- while it lives -- */

/*
 * A wait that is cancelled leaves the status of an end to the next supervisor. If we have taken it
 * already, we go on to report it.
 */
void service_leave(coil_service *service)
{
    forget_tasks(service);
    if (!service->child.exit.ended)
        coil_task_cancel(service->minder);
}

void service_send(coil_service *service, int signo)
{
    if (service->owned.plan.spawn != NULL) {
        (void)coil_child_signal(&service->child, signo);
        if (signo != SIGKILL) /* One that is stopped would not hear it. */
            (void)coil_child_signal(&service->child, SIGCONT);
    } else if (service->owned.plan.supervisor != NULL) {
        supervisor_end_for_parent(service->owned.plan.supervisor,
                service->supervisor->policy->leaving ? COIL_EVENT_LEAVE : COIL_EVENT_END);
    } else if (service->runner != NULL) {
        coil_task_cancel(service->runner);
    }
}

coil_async(int, ask_probe, (coil_service *) service, (uint64_t) instance)
{
    coil_vars(int health; coil_duration limit);

    my->limit = service->supervised.policy.liveness.limit;
    if (my->limit == 0)
        my->limit = coil_s(2);
    coil_defer(service_release(service));
    coil_await(my->health, coil_within(my->limit, coil_handler_call(service->owned.plan.probe->ask,
                                                          service->owned.plan.probe)));
    if (service->instance != instance || !service->supervised.alive)
        return 0;
    service->probe_task = NULL;
    supervisor_tell(service, COIL_EVENT_ANSWERED, my->health, 0);
    return 0;
}

void service_ask(coil_service *service)
{
    if (service->owned.plan.probe == NULL || service->probe_task != NULL) {
        supervisor_tell(service, COIL_EVENT_ANSWERED, -EALREADY, 0);
        return;
    }
    service->probe_task = SERVICE_SPAWN(service, ask_probe(service, service->instance));
    if (service->probe_task == NULL)
        supervisor_tell(service, COIL_EVENT_ANSWERED, -ENOMEM, 0);
}
