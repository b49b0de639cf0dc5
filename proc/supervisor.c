/* SPDX-License-Identifier: MIT */
#include "supervisor_private.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Starts in one turn of the loop. A start takes some 100 us, in which nothing else happens; the
 * others have their turn in between.
 */
enum { STARTS_PER_TURN = 32 };

/* How often a calendar is compared with the wall clock, which may have been set. */
#define WALL_CHECK coil_s(60)

/* How long what an adoption is to do waits, for want of memory. */
#define ADOPT_AGAIN coil_ms(10)

/* --------------------------------------------------------------------- events and actions -- */

static void step(coil_supervisor *supervisor, const coil_supervision_event *event)
{
    supervisor->stepping = true;
    coil_supervision_step(supervisor->policy, event, coil_now());
    supervisor->stepping = false;
}

static coil_time earlier_of(coil_time one, coil_time other)
{
    return one < other ? one : other;
}

static void rearm(coil_supervisor *supervisor)
{
    if (supervisor->group == NULL)
        return;
    coil_time when = coil_supervision_deadline(supervisor->policy);
    if (supervisor->has_calendar)
        when = earlier_of(when, coil_time_after(coil_now(), WALL_CHECK));
    if (supervisor->adopting || supervisor->unmarking)
        when = earlier_of(when, coil_time_after(coil_now(), ADOPT_AGAIN));
    if (when == COIL_NEVER) {
        coil_call_cancel(&supervisor->alarm);
    } else {
        coil_call_at(supervisor->loop, &supervisor->alarm, when);
    }
}

static void give_up(coil_supervisor *supervisor)
{
    coil_service_reason reason;
    const int result = coil_supervision_result(supervisor->policy, &reason);

    if (result < 0) {
        (void)snprintf(supervisor->reason, sizeof(supervisor->reason), "given up: %s",
                coil_service_reason_name(reason));
    }
    (void)coil_future_set(&supervisor->ended, result);
}

static void dump(coil_service *service)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is judged has a supervisor. */
    coil_supervisor_hook *hook = service->supervisor->hook;

    if (hook != NULL && hook->dump != NULL)
        hook->dump(hook, service);
    if (service->owned.plan.dump_signal != 0)
        (void)coil_service_signal(service, service->owned.plan.dump_signal);
}

/* Without recursion: what an action brings about is said while we are in here. */
static void carry_out(coil_supervisor *supervisor)
{
    coil_supervision_action action;
    unsigned starts_left = STARTS_PER_TURN;

    if (supervisor->carrying || supervisor->group == NULL)
        return;
    supervisor->carrying = true;
    while (starts_left > 0 && coil_supervision_next(supervisor->policy, &action)) {
        coil_service *service = action.service == NULL ? NULL : service_of(action.service);
        switch (action.kind) {
        case COIL_ACTION_LEAVE:
            service_leave(service);
            break;
        case COIL_ACTION_START:
            starts_left--;
            service_start_instance(service);
            break;
        case COIL_ACTION_SIGNAL:
            service_send(service, action.signo);
            break;
        case COIL_ACTION_DUMP:
            dump(service);
            break;
        case COIL_ACTION_PROBE:
            service_ask(service);
            break;
        case COIL_ACTION_GIVE_UP:
            give_up(supervisor);
            break;
        }
    }
    supervisor->carrying = false;
    if (starts_left == 0)
        coil_call_soon(supervisor->loop, &supervisor->more);
}

static void take_commands(coil_service *service)
{
    static const coil_supervision_event_kind order[] = {COIL_EVENT_START, COIL_EVENT_STOP,
            COIL_EVENT_RESTART, COIL_EVENT_READY, COIL_EVENT_FED};
    const unsigned commands = service->commands;

    service->commands = 0; /* There may be more in a moment. */
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const coil_supervision_event event = {.kind = order[i], .service = &service->supervised};
        if (commands & COMMAND_BIT(order[i]))
            step(service->supervisor, &event);
    }
}

/* Commands that came from hooks during a step. */
static void take_queue(coil_supervisor *supervisor)
{
    coil_list *first;

    for (;;) {
        if ((first = coil_list_take_first(&supervisor->queue)) != NULL) {
            take_commands(coil_container_of(first, coil_service, queue));
        } else if (supervisor->end_kind != 0) {
            const coil_supervision_event end = {.kind = supervisor->end_kind};
            supervisor->end_kind = 0;
            step(supervisor, &end);
        } else {
            return;
        }
    }
}

void supervisor_take(coil_supervisor *supervisor, const coil_supervision_event *event)
{
    supervisor->depth++;
    step(supervisor, event);
    take_queue(supervisor);
    if (supervisor->adopting) /* When it is known who is wanted: others are stopped. */
        outliving_adopt_all(supervisor);
    if (supervisor->unmarking)
        outliving_unmark_all(supervisor);
    carry_out(supervisor);
    if (--supervisor->depth > 0)
        return;
    supervisor_sweep(supervisor);
    rearm(supervisor);
}

void supervisor_tell(
        coil_service *service, coil_supervision_event_kind kind, int code, coil_duration duration)
{
    const coil_supervision_event event = {
            .kind = kind, .service = &service->supervised, .code = code, .duration = duration};

    supervisor_take(service->supervisor, &event);
}

static void tick(coil_supervisor *supervisor)
{
    const coil_supervision_event event = {.kind = COIL_EVENT_TICK};

    if (supervisor->has_calendar)
        coil_supervision_set_wall(supervisor->policy, coil_now(), coil_kernel_time_s());
    supervisor_take(supervisor, &event);
}

static void on_alarm(coil_call *call)
{
    tick(coil_container_of(call, coil_supervisor, alarm));
}

static void on_more(coil_call *call)
{
    tick(coil_container_of(call, coil_supervisor, more));
}

void service_hold(coil_service *service)
{
    service->users++;
}

void service_release(coil_service *service)
{
    service->users--;
    if (service->supervisor->depth == 0)
        supervisor_sweep(service->supervisor);
}

coil_task *service_spawned(coil_service *service, coil_task *task)
{
    if (task == NULL)
        service_release(service);
    return task;
}

/* ------------------------------------------------------------------------------ being told -- */

static void changed(
        coil_supervision_watcher *watcher, coil_supervised *supervised, coil_service_state before)
{
    const coil_supervisor *supervisor = coil_container_of(watcher, coil_supervisor, watcher);
    coil_supervisor_hook *hook = supervisor->hook;
    coil_service *service = service_of(supervised);

    coil_waiter_grant_all(&service->waiters, 0);
    if (service->supervised.state == COIL_SERVICE_UP)
        outliving_is_ready(service);
    if (hook != NULL && hook->changed != NULL)
        hook->changed(hook, service, before);
}

coil_define(int, coil_service_await, (coil_service *) service, (unsigned) states)
{
    coil_vars();

    service_hold(service);
    coil_defer(service_release(service));
    while ((COIL_STATE_BIT(service->supervised.state) & states) == 0) {
        if (coil_list_linked(&service->removal) && !service->supervised.alive)
            return -ESRCH;
        coil_ignore(coil_waiter_wait(&service->waiters));
    }
    return (int)service->supervised.state;
}

/* ----------------------------------------------------------------------------------- life -- */

int coil_supervisor_create(const coil_supervisor_options *options, coil_supervisor **out_supervisor)
{
    static const coil_supervisor_options usual;
    coil_supervisor *supervisor = calloc(1, sizeof(*supervisor));

    if (supervisor == NULL)
        return -ENOMEM;
    if (options == NULL)
        options = &usual;
    supervisor->hook = options->hook;
    supervisor->adoption = options->adoption;
    supervisor->notify_socket = -1;
    supervisor->watcher.changed = changed;
    coil_list_init(&supervisor->templates);
    coil_list_init(&supervisor->removals);
    coil_list_init(&supervisor->queue);
    coil_call_init(&supervisor->alarm, on_alarm);
    coil_call_init(&supervisor->more, on_more);
    coil_supervision_options policy = {.strategy = options->strategy,
            .intensity = options->intensity,
            .intensity_period = options->intensity_period,
            .governor = options->governor,
            .watcher = &supervisor->watcher,
            .seed = options->seed};
    if (policy.seed == 0)
        coil_kernel_random(&policy.seed, sizeof(policy.seed));
    int rc = coil_supervision_create(&policy, &supervisor->policy);
    if (rc < 0) {
        free(supervisor);
        return rc;
    }
    outliving_take_socket(supervisor);
    *out_supervisor = supervisor;
    return 0;
}

void coil_supervisor_destroy(coil_supervisor *supervisor)
{
    coil_service *service;

    if (supervisor == NULL)
        return;
    COIL_CHECK(supervisor->group == NULL);
    while ((service = coil_supervisor_each(supervisor, NULL)) != NULL) {
        COIL_CHECK(service->users == 0); /* Somebody still awaits it. */
        coil_service_remove(service);
    }
    while (!coil_list_empty(&supervisor->templates)) {
        service_template *template =
                coil_container_of(supervisor->templates.next, service_template, link);
        coil_list_remove(&template->link);
        plan_free(&template->owned);
        free(template);
    }
    notify_close(supervisor);
    coil_supervision_destroy(supervisor->policy);
    free(supervisor);
}

static int begin_run(coil_supervisor *supervisor, coil_group *group)
{
    int rc = supervisor_check_needs(supervisor);
    if (rc < 0)
        return rc;
    supervisor->reason[0] = '\0';
    supervisor->loop = coil_loop_current();
    supervisor->group = group;
    coil_future_init(&supervisor->ended);
    return 0;
}

static void end_run(coil_supervisor *supervisor)
{
    coil_call_cancel(&supervisor->alarm);
    coil_call_cancel(&supervisor->more);
    supervisor->group = NULL;
    supervisor->adopting = false;
    supervisor->unmarking = false;
    supervisor_sweep(supervisor);
}

/* The first way to end counts. */
static void end(coil_supervisor *supervisor, coil_supervision_event_kind kind)
{
    const coil_supervision_event event = {.kind = kind};

    if (supervisor->group != NULL && !supervisor->stepping) {
        supervisor_take(supervisor, &event);
    } else if (supervisor->end_kind == 0 && (supervisor->group != NULL || supervisor->beginning)) {
        supervisor->end_kind = kind;
    }
}

static void begin(coil_supervisor *supervisor)
{
    const coil_supervision_event event = {.kind = COIL_EVENT_BEGIN};
    const coil_supervision_event_kind end_kind = supervisor->end_kind;

    if (supervisor->has_calendar)
        coil_supervision_set_wall(supervisor->policy, coil_now(), coil_kernel_time_s());
    /* Nothing is started, and nobody is told to end, before it is known what runs. */
    supervisor->end_kind = 0;
    supervisor->carrying = true;
    supervisor->adopting = supervisor->adoption != NULL;
    supervisor_take(supervisor, &event);
    supervisor->carrying = false;
    if (end_kind != 0)
        end(supervisor, end_kind);
    tick(supervisor);
}

coil_define(int, coil_supervisor_run, (coil_supervisor *) supervisor)
{
    coil_vars(coil_group group; int rc);

    if (supervisor->group != NULL || supervisor->beginning)
        return -EBUSY;
    supervisor->beginning = true;
    supervisor->end_kind = supervisor->end_first;
    supervisor->end_first = 0;
    coil_defer(supervisor->beginning = false);
    coil_attempt(outliving_begin(supervisor));
    my->rc = begin_run(supervisor, &my->group);
    if (my->rc < 0)
        return my->rc;
    coil_defer(end_run(supervisor));
    coil_open_group(&my->group);
    my->group.keep_going = true;
    if (supervisor->notify_socket >= 0 && coil_spawn(&my->group, notify_listen(supervisor)) == NULL)
        return -ENOMEM;
    coil_defer(coil_supervisor_stop(supervisor);
               coil_await(my->rc, coil_future_wait(&supervisor->ended)));
    begin(supervisor);
    coil_attempt(coil_future_wait(&supervisor->ended));
    return supervisor->ended.value;
}

const char *coil_supervisor_reason(const coil_supervisor *supervisor)
{
    return supervisor->reason;
}

/* -------------------------------------------------------------------------------- commands -- */

void coil_supervisor_stop(coil_supervisor *supervisor)
{
    end(supervisor, COIL_EVENT_END);
}

void coil_supervisor_leave(coil_supervisor *supervisor)
{
    end(supervisor, COIL_EVENT_LEAVE);
}

void supervisor_end_for_parent(coil_supervisor *supervisor, coil_supervision_event_kind kind)
{
    if (supervisor->group == NULL && !supervisor->beginning) {
        supervisor->end_first = kind;
    } else {
        end(supervisor, kind);
    }
}

/* Of those that say whether it runs the last one counts; but START does not undo RESTART. */
static void queue_command(coil_service *service, coil_supervision_event_kind kind)
{
    const unsigned others = COMMAND_BIT(COIL_EVENT_START) | COMMAND_BIT(COIL_EVENT_STOP) |
                            COMMAND_BIT(COIL_EVENT_RESTART);

    if (kind == COIL_EVENT_STOP || kind == COIL_EVENT_RESTART)
        service->commands &= ~others;
    if (kind == COIL_EVENT_START)
        service->commands &= ~COMMAND_BIT(COIL_EVENT_STOP);
    service->commands |= COMMAND_BIT(kind);
    if (!coil_list_linked(&service->queue))
        coil_list_append(&service->supervisor->queue, &service->queue);
}

void service_unqueue(coil_service *service)
{
    service->commands = 0;
    coil_list_remove(&service->queue);
}

static void command(coil_service *service, coil_supervision_event_kind kind)
{
    if (service->supervisor->stepping) {
        queue_command(service, kind);
    } else {
        supervisor_tell(service, kind, 0, 0);
    }
}

void coil_service_start(coil_service *service)
{
    command(service, COIL_EVENT_START);
}

void coil_service_stop(coil_service *service)
{
    command(service, COIL_EVENT_STOP);
}

void coil_service_restart(coil_service *service)
{
    command(service, COIL_EVENT_RESTART);
}

void coil_service_ready(coil_service *service)
{
    command(service, COIL_EVENT_READY);
}

void coil_service_feed(coil_service *service)
{
    command(service, COIL_EVENT_FED);
}

int coil_service_signal(coil_service *service, int signo)
{
    if (coil_service_pid(service) == 0)
        return -ESRCH;
    return coil_child_signal(&service->child, signo);
}
