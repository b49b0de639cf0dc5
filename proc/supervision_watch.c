/* SPDX-License-Identifier: MIT */
#include "supervision_private.h"

#include <signal.h>

static coil_time from_now(const coil_supervised *service, coil_duration duration)
{
    return coil_time_after(service->supervision->now, duration);
}

/* `duration` from now; never, if that is 0. */
static coil_time once_after(const coil_supervised *service, coil_duration duration)
{
    return duration > 0 ? from_now(service, duration) : COIL_NEVER;
}

void coil_supervised_unwatch(coil_supervised *service)
{
    service->asking = false;
    service->ready_at = COIL_NEVER;
    service->probe_at = COIL_NEVER;
    service->watchdog_at = COIL_NEVER;
    service->miss_count = 0;
    coil_supervised_retract(service, COIL_ACTION_PROBE | COIL_ACTION_DUMP);
}

/* ------------------------------------------------------------------------------- readiness -- */

void coil_supervised_started(coil_supervised *service)
{
    const coil_service_policy *policy = &service->policy;

    if (!service->alive || service->spawned)
        return;
    service->spawned = true;
    service->started_at = service->supervision->now;
    service->up_at = COIL_NEVER;
    service->scarce_count = 0;
    service->watchdog = policy->liveness.watchdog;
    service->limit_at = once_after(service, policy->start_limit);
    if (service->hasty) {
        coil_supervised_ready(service);
        return;
    }
    if (policy->readiness == COIL_READY_EXEC) {
        if (policy->stay_up == 0) {
            coil_supervised_ready(service);
        } else {
            service->ready_at = from_now(service, policy->stay_up);
        }
        return;
    }
    if (policy->start_limit == 0)
        service->limit_at = from_now(service, coil_s(30));
    if (policy->readiness == COIL_READY_PROBE)
        service->probe_at = service->supervision->now;
}

void coil_supervised_ready(coil_supervised *service)
{
    service->reloading = false;
    if (service->state != COIL_SERVICE_STARTING)
        return;
    service->hasty = !service->spawned;
    if (service->hasty) /* It was quicker than who tells us that it is there. */
        return;
    coil_supervised_unwatch(service);
    service->limit_at = COIL_NEVER;
    service->up_at = service->supervision->now;
    service->probe_at = once_after(service, service->policy.liveness.interval);
    service->watchdog_at = once_after(service, service->watchdog);
    coil_supervised_set_state(service, COIL_SERVICE_UP, COIL_REASON_READY);
    service->failed_at = COIL_NEVER;
}

/* -------------------------------------------------------------------------------- liveness -- */

/*
 * A miss, unless we were late ourselves at any time since `since`: then the answer may lie here,
 * unread, or the question has never left.
 */
static void miss(coil_supervised *service, coil_time since, coil_service_reason reason)
{
    const coil_liveness *liveness = &service->policy.liveness;
    const unsigned hard_misses = liveness->hard_misses > 0 ? liveness->hard_misses : 3;

    if (service->supervision->late_at >= since) {
        service->counters.excused_misses++;
        return;
    }
    service->miss_count++;
    service->counters.misses++;
    if (service->miss_count == liveness->soft_misses)
        coil_supervised_act(service, COIL_ACTION_DUMP);
    if (service->miss_count >= hard_misses)
        coil_supervised_stop(service, reason);
}

static void ask(coil_supervised *service)
{
    const coil_duration limit = coil_supervision_or(service->policy.liveness.limit, coil_s(2));
    const coil_duration punctual = service->supervision->options.punctual;

    service->asking = true;
    service->asked_at = service->supervision->now;
    /* The limit is the asker's business; this is for the case that it never comes back. */
    service->probe_at = coil_time_after(from_now(service, limit), punctual);
    coil_supervised_act(service, COIL_ACTION_PROBE);
}

static void judge_start(coil_supervised *service, int health)
{
    if (health == COIL_HEALTH_READY || health == COIL_HEALTH_WARNING) {
        coil_supervised_ready(service);
    } else if (health == COIL_HEALTH_DEAD) {
        coil_supervised_stop(service, COIL_REASON_DEAD);
    } else {
        service->probe_at = from_now(service,
                coil_supervision_or(service->policy.liveness.start_interval, coil_ms(100)));
    }
}

static void judge_life(coil_supervised *service, int health)
{
    const coil_time next = coil_time_after(service->asked_at, service->policy.liveness.interval);
    const coil_time now = service->supervision->now;

    service->probe_at = next > now ? next : now;
    if (health == COIL_HEALTH_READY || health == COIL_HEALTH_WARNING) {
        service->miss_count = 0;
    } else if (health == COIL_HEALTH_DEAD) {
        coil_supervised_stop(service, COIL_REASON_DEAD);
    } else {
        miss(service, service->asked_at, COIL_REASON_SILENT);
    }
}

void coil_supervised_answered(coil_supervised *service, int health)
{
    if (!service->asking)
        return;
    service->asking = false;
    service->health = health;
    if (service->state == COIL_SERVICE_STARTING) {
        judge_start(service, health);
    } else if (service->state == COIL_SERVICE_UP) {
        judge_life(service, health);
    }
}

static void look_at_probe(coil_supervised *service)
{
    if (service->probe_at > service->supervision->now)
        return;
    if (service->asking) {
        coil_supervised_answered(service, -1);
    } else {
        ask(service);
    }
}

static void look_at_watchdog(coil_supervised *service)
{
    if (service->watchdog_at > service->supervision->now)
        return;
    const coil_time fed_at = service->watchdog_at - service->watchdog;
    service->watchdog_at = once_after(service, service->watchdog);
    miss(service, fed_at, COIL_REASON_WATCHDOG);
}

void coil_supervised_look(coil_supervised *service)
{
    const coil_time now = service->supervision->now;

    coil_supervised_touch(service);
    if (service->scheduled_at <= now)
        coil_supervised_run_scheduled(service);
    if (service->ready_at <= now)
        coil_supervised_ready(service);
    if (service->limit_at <= now) {
        service->limit_at = COIL_NEVER;
        if (service->state == COIL_SERVICE_STARTING) {
            coil_supervised_stop(service, COIL_REASON_START_LIMIT);
        } else if (service->state == COIL_SERVICE_UP) {
            coil_supervised_stop(service, COIL_REASON_EXIT); /* It said so, long ago. */
        } else if (service->state == COIL_SERVICE_STOPPING) {
            coil_supervised_next_step(service);
        }
    }
    look_at_probe(service);
    look_at_watchdog(service);
}

/* --------------------------------------------------------------------- what it says itself -- */

/* It is about to end by itself, and has as long for it as if it had been told to. */
static void ends_itself(coil_supervised *service)
{
    const coil_stop_step *first = &service->policy.stop[0];

    if (service->state != COIL_SERVICE_UP && service->state != COIL_SERVICE_STARTING)
        return;
    coil_supervised_unwatch(service);
    service->ending = true;
    service->limit_at = from_now(service, first->signo != 0 ? first->wait : coil_s(10));
}

/*
 * It needs more time: what it has to do now, and its watchdog, are not due before `until`. That
 * never makes a limit shorter. SIGKILL it need not survive.
 */
static void extend(coil_supervised *service, coil_time until)
{
    const bool is_being_killed =
            service->state == COIL_SERVICE_STOPPING && service->signo == SIGKILL;

    if (service->limit_at < until && !is_being_killed)
        service->limit_at = until;
    if (service->watchdog_at < until)
        service->watchdog_at = until;
}

void coil_supervised_said(coil_supervised *service, const coil_supervision_event *event)
{
    const bool is_up = service->state == COIL_SERVICE_UP && !service->ending;

    if (!service->spawned)
        return;
    switch (event->kind) {
    case COIL_EVENT_RELOADING:
        service->reloading = true;
        break;
    case COIL_EVENT_STOPPING:
        ends_itself(service);
        break;
    case COIL_EVENT_FED:
        if (is_up && service->watchdog_at != COIL_NEVER) {
            service->watchdog_at = once_after(service, service->watchdog);
            service->miss_count = 0;
        }
        break;
    case COIL_EVENT_TRIGGERED:
        if (is_up || service->state == COIL_SERVICE_STARTING)
            coil_supervised_stop(service, COIL_REASON_WATCHDOG);
        break;
    case COIL_EVENT_WATCHDOG_LIMIT:
        service->watchdog = event->duration;
        if (is_up)
            service->watchdog_at = once_after(service, service->watchdog);
        break;
    case COIL_EVENT_EXTENDED:
        extend(service, from_now(service, event->duration));
        break;
    default:
        break;
    }
}
