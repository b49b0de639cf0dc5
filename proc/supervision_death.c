/* SPDX-License-Identifier: MIT */
/* An instance has ended, or could not be started: what follows from that. */
#include "supervision_private.h"

#include <errno.h>

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
    const coil_duration longest = coil_supervision_or(backoff->longest, coil_s(30));
    coil_duration pause = coil_supervision_or(backoff->shortest, coil_ms(100));

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
    const coil_duration period =
            coil_supervision_or(supervision->options.intensity_period, coil_s(60));

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

    coil_supervised_note_failure(service);
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
    coil_supervised_pause(
            service, coil_time_after(supervision->now, pause_after_failure(service)), reason);
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

    if (normal && coil_supervised_is_scheduled(service) && !final) {
        service->asked = false; /* Until its time comes again. */
        coil_supervised_set_state(
                service, policy->oneshot ? COIL_SERVICE_DONE : COIL_SERVICE_DOWN, reason);
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

    coil_supervised_has_stopped(service);
    if (regrouped && service->policy.restart == COIL_RESTART_TEMPORARY) {
        finish(service, COIL_SERVICE_DONE, COIL_REASON_STRATEGY);
        return;
    }
    coil_supervised_set_state(service, COIL_SERVICE_DOWN, reason);
}

void coil_supervised_exited(coil_supervised *service, const coil_supervision_event *event)
{
    const coil_duration stable = coil_supervision_or(service->policy.backoff.stable, coil_s(10));
    const bool was_stopping = service->state == COIL_SERVICE_STOPPING;
    const bool had_to = !service->wanted || service->again;
    coil_service_reason reason = was_stopping ? service->stop_reason : COIL_REASON_EXIT;

    if (!service->alive || !service->spawned)
        return;
    if (service->up_at != COIL_NEVER && service->supervision->now - service->up_at >= stable)
        service->failure_count = 0;
    coil_supervised_forget_instance(service);

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
        reason = was_stopping ? reason : coil_supervised_stop_reason(service);
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
    coil_supervised_pause(
            service, coil_time_after(service->supervision->now, pause), COIL_REASON_NO_RESOURCES);
}

void coil_supervised_spawn_failed(coil_supervised *service, int error)
{
    if (!service->alive || service->spawned)
        return;
    coil_supervised_forget_instance(service);
    service->error = error;
    if (!service->wanted || service->again) {
        was_stopped(service, coil_supervised_stop_reason(service));
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
