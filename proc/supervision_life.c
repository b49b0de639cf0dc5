/* SPDX-License-Identifier: MIT */
#include "supervision_private.h"

#include <coil/check.h>

#include <errno.h>
#include <signal.h>

#define STUCK_AFTER coil_s(10)

static coil_duration or_else(coil_duration given, coil_duration usual)
{
    return given != 0 ? given : usual;
}

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

static bool is_scheduled(const coil_supervised *service)
{
    return service->policy.every > 0 || coil_calendar_set(&service->policy.calendar);
}

static bool is_automatic(coil_service_reason reason)
{
    return reason != COIL_REASON_COMMAND && reason != COIL_REASON_DEPENDENCY &&
           reason != COIL_REASON_SCHEDULE && reason != COIL_REASON_NONE;
}

static void pause_until(coil_supervised *service, coil_time when, coil_service_reason reason)
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
    pause_until(service, when, COIL_REASON_GOVERNOR);
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
        service->asked |= service->policy.keep_down || is_scheduled(service);
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
        pause_until(service, service->next_start,
                service->state == COIL_SERVICE_BACKOFF ? service->reason : service->start_reason);
        return;
    }
    if (supervision->regroup_count == 0 && coil_supervised_before_start(service) == NULL &&
            governor_allows(service))
        start(service);
}

/* ------------------------------------------------------------------------------------ stop -- */

/* The instance is gone, or has never been. */
static void forget_instance(coil_supervised *service)
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
    coil_supervised_retract(service, ~0U);
}

/* It does not have to be stopped for another start any more. */
static void has_stopped(coil_supervised *service)
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

static void note_failure(coil_supervised *service)
{
    if (service->failed_at == COIL_NEVER)
        service->failed_at = service->supervision->now;
}

void coil_supervised_stop(coil_supervised *service, coil_service_reason reason)
{
    if (reason == COIL_REASON_SILENT || reason == COIL_REASON_DEAD ||
            reason == COIL_REASON_WATCHDOG || reason == COIL_REASON_START_LIMIT)
        note_failure(service);
    service->stop_reason = reason;
    service->step = 0;
    service->signo = 0;
    coil_supervised_unwatch(service);
    coil_supervised_retract(service, COIL_ACTION_PROBE);
    coil_supervised_set_state(service, COIL_SERVICE_STOPPING, reason);
    coil_supervised_next_step(service);
}

/* Why something that is not wanted, or wanted anew, is stopped. */
static coil_service_reason stop_reason(const coil_supervised *service)
{
    if (service->supervision->ending)
        return service->supervision->end_reason;
    if (service->regroup)
        return COIL_REASON_STRATEGY;
    return service->again || service->blocked || !service->demanded ? COIL_REASON_COMMAND
                                                                    : COIL_REASON_DEPENDENCY;
}

static void try_to_stop(coil_supervised *service)
{
    if (service->spawned) {
        if (coil_supervised_before_stop(service) == NULL)
            coil_supervised_stop(service, stop_reason(service));
        return;
    }
    if (!(service->actions & COIL_ACTION_START))
        return; /* It is being started, and its answer awaited. */
    const coil_service_reason reason = stop_reason(service);
    forget_instance(service);
    has_stopped(service);
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
            coil_supervised_set_state(service, COIL_SERVICE_DOWN, stop_reason(service));
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

/* ----------------------------------------------------------------------------------- death -- */

static void finish(coil_supervised *service, coil_service_state state, coil_service_reason reason)
{
    coil_supervised_set_state(service, state, reason);
    if (!service->policy.significant)
        return;
    coil_supervision_end(service->supervision, COIL_REASON_SIGNIFICANT,
            state == COIL_SERVICE_DONE ? 0 : -EHOSTDOWN);
}

/* `shortest` * 2^doublings, at most `longest`. */
static coil_duration longest_pause(const coil_backoff *backoff, unsigned doublings)
{
    const coil_duration longest = or_else(backoff->longest, coil_s(30));
    coil_duration pause = or_else(backoff->shortest, coil_ms(100));

    for (; doublings > 0 && pause < longest; doublings--)
        pause = coil_duration_of(pause, 2);
    return pause < longest ? pause : longest;
}

static coil_duration pause_after_failure(coil_supervised *service)
{
    const coil_backoff *backoff = &service->policy.backoff;

    if (service->failure_count <= 1)
        return backoff->first;
    return coil_supervision_chance(
            service->supervision, longest_pause(backoff, service->failure_count - 2));
}

/* Is one more restart within the intensity? */
static bool is_within_intensity(coil_supervision *supervision)
{
    const unsigned intensity = supervision->options.intensity;
    const coil_duration period = or_else(supervision->options.intensity_period, coil_s(60));

    if (intensity == 0)
        return true;
    coil_time *oldest = &supervision->restarts[supervision->restart_at];
    const bool within = *oldest == INT64_MIN || supervision->now - *oldest >= period;
    *oldest = supervision->now;
    supervision->restart_at = (supervision->restart_at + 1) % intensity;
    return within;
}

/* Another one that has to go down and come up again because `culprit` has died. */
static void regroup(coil_supervised *service, const coil_supervised *culprit)
{
    if (service->next_start < culprit->next_start)
        service->next_start = culprit->next_start;
    coil_supervised_touch(service);
    if (!service->alive || service->state == COIL_SERVICE_STOPPING || service->regroup)
        return;
    service->again = true;
    service->regroup = true;
    service->culprit = culprit;
    service->supervision->regroup_count++;
}

static void apply_strategy(coil_supervised *service)
{
    coil_supervision *supervision = service->supervision;
    bool concerned = supervision->options.strategy == COIL_ONE_FOR_ALL;

    if (supervision->options.strategy == COIL_ONE_FOR_ONE)
        return;
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next) {
        coil_supervised *other = coil_container_of(at, coil_supervised, link);
        if (other == service) {
            concerned = true;
        } else if (concerned) {
            regroup(other, service);
        }
    }
}

static void fail(coil_supervised *service, coil_service_reason reason)
{
    coil_supervision *supervision = service->supervision;
    const unsigned failures_max = service->policy.failures_max;

    note_failure(service);
    service->failure_count++;
    service->counters.failures++;
    if (failures_max > 0 && service->failure_count > failures_max) {
        finish(service, COIL_SERVICE_FAILED, COIL_REASON_TOO_MANY);
        return;
    }
    if (!is_within_intensity(supervision)) {
        coil_supervised_set_state(service, COIL_SERVICE_FAILED, COIL_REASON_INTENSITY);
        coil_supervision_end(supervision, COIL_REASON_INTENSITY, -EHOSTDOWN);
        return;
    }
    service->start_reason = reason;
    service->governed = false;
    pause_until(service, coil_time_after(supervision->now, pause_after_failure(service)), reason);
    if (reason != COIL_REASON_SPAWN)
        apply_strategy(service);
}

/* It has ended without having been told to, or because it was not well. */
static void died(
        coil_supervised *service, const coil_supervision_event *event, coil_service_reason reason)
{
    const coil_service_policy *policy = &service->policy;
    const bool by_itself = reason == COIL_REASON_EXIT && !event->signaled;
    const bool normal =
            by_itself &&
            (event->code == 0 || coil_exit_codes_have(&policy->normal_codes, event->code));
    const bool final = by_itself && coil_exit_codes_have(&policy->final_codes, event->code);
    const bool never = policy->restart == COIL_RESTART_TEMPORARY ||
                       (normal && (policy->restart == COIL_RESTART_TRANSIENT || policy->oneshot));

    if (normal && is_scheduled(service) && !final) {
        service->asked = false;
        coil_supervised_set_state(service, COIL_SERVICE_DOWN, reason);
    } else if (final || never) {
        finish(service, normal ? COIL_SERVICE_DONE : COIL_SERVICE_FAILED,
                final ? COIL_REASON_FINAL_CODE : reason);
    } else {
        fail(service, reason);
    }
}

/* It has ended because it had to. */
static void was_stopped(coil_supervised *service, coil_service_reason reason)
{
    const bool regrouped = service->regroup;

    has_stopped(service);
    if (regrouped && service->policy.restart == COIL_RESTART_TEMPORARY) {
        finish(service, COIL_SERVICE_DONE, COIL_REASON_STRATEGY);
        return;
    }
    coil_supervised_set_state(service, COIL_SERVICE_DOWN, reason);
}

void coil_supervised_exited(coil_supervised *service, const coil_supervision_event *event)
{
    const coil_duration stable = or_else(service->policy.backoff.stable, coil_s(10));
    const bool was_stopping = service->state == COIL_SERVICE_STOPPING;
    const bool had_to = !service->wanted || service->again;
    coil_service_reason reason = was_stopping ? service->stop_reason : COIL_REASON_EXIT;

    if (!service->alive || !service->spawned)
        return;
    if (service->up_at != COIL_NEVER && service->supervision->now - service->up_at >= stable)
        service->failure_count = 0;
    forget_instance(service);

    switch (reason) {
    case COIL_REASON_EXIT:
    case COIL_REASON_START_LIMIT:
    case COIL_REASON_SILENT:
    case COIL_REASON_DEAD:
    case COIL_REASON_WATCHDOG:
        if (!had_to) {
            died(service, event, reason);
            return;
        }
        reason = was_stopping ? reason : stop_reason(service);
        break;
    default:
        break;
    }
    was_stopped(service, reason);
}

static bool is_scarcity(int error)
{
    return error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
           error == -ENOBUFS || error == -ENOSPC;
}

static bool is_hopeless(int error)
{
    return error == -ENOENT || error == -EACCES || error == -ENOEXEC || error == -ENOTDIR ||
           error == -EPERM || error == -EINVAL || error == -E2BIG || error == -ELOOP ||
           error == -ENAMETOOLONG || error == -EISDIR || error == -EBADF;
}

/*
 * Want of resources is nobody's fault: it counts neither as a failure nor in the intensity. Half of
 * the pause is certain, because a try is not free.
 */
static void wait_for_resources(coil_supervised *service)
{
    const coil_duration most = longest_pause(&service->policy.backoff, service->scarce_count);

    service->scarce_count++;
    service->counters.scarcities++;
    service->start_reason = COIL_REASON_NO_RESOURCES;
    service->governed = true;
    const coil_duration pause = most / 2 + coil_supervision_chance(service->supervision, most / 2);
    pause_until(
            service, coil_time_after(service->supervision->now, pause), COIL_REASON_NO_RESOURCES);
}

void coil_supervised_spawn_failed(coil_supervised *service, int error)
{
    if (!service->alive || service->spawned)
        return;
    forget_instance(service);
    service->error = error;
    if (!service->wanted || service->again) {
        was_stopped(service, stop_reason(service));
    } else if (is_scarcity(error)) {
        wait_for_resources(service);
    } else if (is_hopeless(error) && !service->policy.retry_spawn) {
        service->counters.spawn_failures++;
        finish(service, COIL_SERVICE_FAILED, COIL_REASON_SPAWN);
    } else {
        service->counters.spawn_failures++;
        fail(service, COIL_REASON_SPAWN);
    }
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
