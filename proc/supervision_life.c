/* SPDX-License-Identifier: MIT */
#include "supervision_private.h"

#include <coil/check.h>

#include <errno.h>
#include <signal.h>

#define STUCK_AFTER coil_s(10)

void coil_supervised_set_state(
        coil_supervised *service, coil_service_state state, coil_service_reason reason)
{
    coil_supervision *supervision = service->supervision;
    coil_supervision_watcher *watcher = supervision->options.watcher;
    const coil_service_state before = service->state;

    service->state = state;
    service->reason = reason;
    service->since = supervision->now;
    coil_supervised_touch(service);
    coil_supervised_touch_neighbours(service);
    if (watcher != NULL)
        watcher->changed(watcher, service, before);
}

/* ----------------------------------------------------------------------------------- start -- */

bool coil_supervised_is_scheduled(const coil_supervised *service)
{
    return service->policy.every > 0 || coil_calendar_set(&service->policy.calendar);
}

static bool is_automatic(coil_service_reason reason)
{
    return reason != COIL_REASON_COMMAND && reason != COIL_REASON_DEPENDENCY &&
           reason != COIL_REASON_SCHEDULE && reason != COIL_REASON_NONE;
}

void coil_supervised_pause(coil_supervised *service, coil_time when, coil_service_reason reason)
{
    service->next_start = when;
    service->limit_at = when;
    if (service->state != COIL_SERVICE_BACKOFF || service->reason != reason)
        coil_supervised_set_state(service, COIL_SERVICE_BACKOFF, reason);
}

/* Is it its turn? If not, it waits in BACKOFF. */
static bool governor_allows(coil_supervised *service)
{
    coil_supervision *supervision = service->supervision;
    coil_governor *governor = supervision->options.governor;

    if (governor == NULL || service->governed || !is_automatic(service->start_reason))
        return true;
    service->governed = true;
    coil_time when = coil_governor_take(governor, supervision->now);
    if (when <= supervision->now)
        return true;
    when = coil_time_after(when, coil_supervision_chance(supervision, governor->interval));
    coil_supervised_pause(service, when, COIL_REASON_GOVERNOR);
    return false;
}

static void start(coil_supervised *service)
{
    coil_supervision *supervision = service->supervision;
    coil_service_reason reason = service->start_reason;

    if (reason == COIL_REASON_NONE)
        reason = service->asked ? COIL_REASON_COMMAND : COIL_REASON_DEPENDENCY;
    COIL_CHECK(!service->alive);
    service->alive = true;
    service->spawned = false;
    supervision->alive_count++;
    service->error = 0;
    service->because = service->culprit;
    service->culprit = NULL;
    service->limit_at = COIL_NEVER;
    service->governed = false;
    service->started_at = supervision->now;
    coil_supervised_act(service, COIL_ACTION_START);
    coil_supervised_set_state(service, COIL_SERVICE_STARTING, reason);
}

void coil_supervised_adopted(coil_supervised *service, bool is_ready)
{
    if (service->spawned || service->state == COIL_SERVICE_STOPPING)
        return;
    if (!service->alive) {
        service->start_reason = COIL_REASON_ADOPTED;
        start(service);
        /* Somebody had asked for it, or it was its time. */
        service->asked |= service->policy.keep_down || coil_supervised_is_scheduled(service);
    }
    coil_supervised_retract(service, COIL_ACTION_START);
    service->start_reason = COIL_REASON_NONE;
    service->reason = COIL_REASON_ADOPTED;
    coil_supervised_started(service);
    if (is_ready)
        coil_supervised_ready(service);
}

static void try_to_start(coil_supervised *service)
{
    const coil_supervision *supervision = service->supervision;

    service->limit_at = COIL_NEVER;
    if (service->next_start > supervision->now) {
        coil_supervised_pause(service, service->next_start,
                service->state == COIL_SERVICE_BACKOFF ? service->reason : service->start_reason);
        return;
    }
    if (supervision->regroup_count == 0 && coil_supervised_before_start(service) == NULL &&
            governor_allows(service))
        start(service);
}

/* ------------------------------------------------------------------------------------ stop -- */

/* The instance is gone, or has never been. */
void coil_supervised_forget_instance(coil_supervised *service)
{
    COIL_CHECK(service->alive);
    service->alive = false;
    service->spawned = false;
    service->hasty = false;
    service->supervision->alive_count--;
    service->ending = false;
    service->reloading = false;
    service->stuck = false;
    service->limit_at = COIL_NEVER;
    coil_supervised_unwatch(service);
    coil_supervised_retract(service, ~(unsigned)COIL_ACTION_LEAVE);
}

/* It does not have to be stopped for another start any more. */
void coil_supervised_has_stopped(coil_supervised *service)
{
    coil_supervision *supervision = service->supervision;

    service->again = false;
    if (!service->regroup)
        return;
    service->regroup = false;
    service->start_reason = COIL_REASON_STRATEGY;
    service->governed = false;
    if (--supervision->regroup_count == 0)
        coil_supervision_touch_all(supervision);
}

static void send(coil_supervised *service, const coil_stop_step *step)
{
    service->signo = step->signo;
    service->limit_at = coil_time_after(service->supervision->now, step->wait);
    if (step->signo == SIGKILL)
        service->counters.kills++;
    coil_supervised_act(service, COIL_ACTION_SIGNAL);
}

void coil_supervised_next_step(coil_supervised *service)
{
    static const coil_stop_step usual = {SIGTERM, COIL_FOREVER};
    static const coil_stop_step last = {SIGKILL, COIL_FOREVER};
    const coil_stop_step *steps = service->policy.stop;
    const unsigned at = service->step++;
    coil_stop_step step = last;

    if (service->signo == SIGKILL && at > 0) {
        if (!service->stuck) {
            service->stuck = true;
            coil_supervised_set_state(service, COIL_SERVICE_STOPPING, service->reason);
        }
        service->limit_at = COIL_NEVER;
        return;
    }
    if (at == 0 && steps[0].signo == 0) {
        step = usual;
        step.wait = coil_s(10);
    } else if (at < COIL_STOP_STEPS && steps[at].signo != 0) {
        step = steps[at];
    }
    if (step.signo == SIGKILL)
        step.wait = STUCK_AFTER;
    send(service, &step);
}

void coil_supervised_note_failure(coil_supervised *service)
{
    if (service->failed_at == COIL_NEVER)
        service->failed_at = service->supervision->now;
}

void coil_supervised_stop(coil_supervised *service, coil_service_reason reason)
{
    if (reason == COIL_REASON_SILENT || reason == COIL_REASON_DEAD ||
            reason == COIL_REASON_WATCHDOG || reason == COIL_REASON_START_LIMIT)
        coil_supervised_note_failure(service);
    service->stop_reason = reason;
    service->step = 0;
    service->signo = 0;
    coil_supervised_unwatch(service);
    coil_supervised_retract(service, COIL_ACTION_PROBE);
    coil_supervised_set_state(service, COIL_SERVICE_STOPPING, reason);
    coil_supervised_next_step(service);
}

/* Why something that is not wanted, or wanted anew, is stopped. */
coil_service_reason coil_supervised_stop_reason(const coil_supervised *service)
{
    if (service->supervision->ending)
        return service->supervision->end_reason;
    if (service->regroup)
        return COIL_REASON_STRATEGY;
    return service->again || service->blocked || !service->demanded ? COIL_REASON_COMMAND
                                                                    : COIL_REASON_DEPENDENCY;
}

/* It runs on, and is none of ours any more. */
static void leave(coil_supervised *service)
{
    coil_supervised_forget_instance(service);
    coil_supervised_has_stopped(service);
    coil_supervised_act(service, COIL_ACTION_LEAVE);
    coil_supervised_set_state(service, COIL_SERVICE_DOWN, COIL_REASON_LEFT);
}

static void stop_or_leave(coil_supervised *service)
{
    const bool is_to_stop = service->blocked || service->again; /* Whoever comes after us. */

    if (coil_supervised_before_stop(service) != NULL)
        return;
    if (service->supervision->leaving && service->policy.outlives && !is_to_stop) {
        leave(service);
    } else {
        coil_supervised_stop(service, coil_supervised_stop_reason(service));
    }
}

static void try_to_stop(coil_supervised *service)
{
    if (service->spawned) {
        stop_or_leave(service);
        return;
    }
    if (!(service->actions & COIL_ACTION_START))
        return; /* It is being started, and its answer awaited. */
    const coil_service_reason reason = coil_supervised_stop_reason(service);
    coil_supervised_forget_instance(service);
    coil_supervised_has_stopped(service);
    coil_supervised_set_state(service, COIL_SERVICE_DOWN, reason);
}

void coil_supervised_consider(coil_supervised *service)
{
    switch (service->state) {
    case COIL_SERVICE_DOWN:
        if (service->wanted)
            try_to_start(service);
        break;
    case COIL_SERVICE_BACKOFF:
        if (service->wanted) {
            try_to_start(service);
        } else {
            service->limit_at = COIL_NEVER;
            coil_supervised_set_state(
                    service, COIL_SERVICE_DOWN, coil_supervised_stop_reason(service));
        }
        break;
    case COIL_SERVICE_STARTING:
    case COIL_SERVICE_UP:
        if (!service->wanted || service->again)
            try_to_stop(service);
        break;
    case COIL_SERVICE_STOPPING:
    case COIL_SERVICE_FAILED:
    case COIL_SERVICE_DONE:
        break;
    }
    coil_supervised_retime(service);
}

/* -------------------------------------------------------------------------------- commands -- */

static void begin_anew(coil_supervised *service, coil_service_reason reason)
{
    service->asked = true;
    service->failure_count = 0;
    service->scarce_count = 0;
    service->next_start = INT64_MIN;
    service->start_reason = reason;
    service->culprit = NULL;
    service->governed = true;
    if (service->state == COIL_SERVICE_FAILED || service->state == COIL_SERVICE_DONE)
        coil_supervised_set_state(service, COIL_SERVICE_DOWN, reason);
}

void coil_supervised_command(coil_supervised *service, coil_supervision_event_kind command)
{
    coil_supervised_touch(service);
    if (command == COIL_EVENT_STOP) {
        service->asked = false;
        service->blocked = true;
        service->again = service->regroup;
        if (service->state == COIL_SERVICE_FAILED || service->state == COIL_SERVICE_DONE)
            coil_supervised_set_state(service, COIL_SERVICE_DOWN, COIL_REASON_COMMAND);
        return;
    }
    begin_anew(service, COIL_REASON_COMMAND);
    coil_supervised_free_needs(service);
    if (command == COIL_EVENT_RESTART && service->alive && service->state != COIL_SERVICE_STOPPING)
        service->again = true;
}

void coil_supervised_schedule(coil_supervised *service)
{
    const coil_supervision *supervision = service->supervision;
    const coil_service_policy *policy = &service->policy;

    service->scheduled_at = COIL_NEVER;
    if (!supervision->begun)
        return;
    if (policy->every > 0) {
        service->scheduled_at = coil_time_after(supervision->now, policy->every);
    } else if (coil_calendar_set(&policy->calendar) && supervision->has_wall) {
        const int64_t wall_ns = supervision->now + supervision->wall_ahead_ns;
        const int64_t next_s = coil_calendar_next(&policy->calendar, wall_ns / coil_s(1));
        service->scheduled_at = coil_s(next_s) - supervision->wall_ahead_ns;
    }
}

void coil_supervised_run_scheduled(coil_supervised *service)
{
    const coil_time was_at = service->scheduled_at;
    const coil_duration every = service->policy.every;

    coil_supervised_schedule(service);
    if (every > 0) /* In phase, however late we are. */
        service->scheduled_at -= (service->supervision->now - was_at) % every;
    if (service->alive || service->state == COIL_SERVICE_BACKOFF) {
        service->counters.skipped_runs++;
    } else if (!service->blocked && !service->supervision->ending) {
        begin_anew(service, COIL_REASON_SCHEDULE);
        coil_supervised_touch(service);
    }
}
