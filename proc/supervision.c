/* SPDX-License-Identifier: MIT */
#include "supervision_private.h"

#include <coil/check.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A wall clock that is off by so much has been set. */
#define WALL_JUMP coil_s(2)

/* -------------------------------------------------------------------------------- life cycle -- */

int coil_supervision_create(
        const coil_supervision_options *options, coil_supervision **out_supervision)
{
    coil_supervision *supervision = calloc(1, sizeof(*supervision));
    if (supervision == NULL)
        return -ENOMEM;
    if (options != NULL)
        supervision->options = *options;
    if (supervision->options.punctual == 0)
        supervision->options.punctual = coil_ms(100);
    const unsigned intensity = supervision->options.intensity;
    if (intensity > 0) {
        supervision->restarts = malloc(intensity * sizeof(supervision->restarts[0]));
        if (supervision->restarts == NULL) {
            free(supervision);
            return -ENOMEM;
        }
        for (unsigned i = 0; i < intensity; i++)
            supervision->restarts[i] = INT64_MIN;
    }
    coil_list_init(&supervision->services);
    coil_list_init(&supervision->dirty);
    coil_list_init(&supervision->judged);
    coil_list_init(&supervision->timed);
    coil_list_init(&supervision->acting);
    supervision->random = supervision->options.seed;
    supervision->now = INT64_MIN;
    supervision->late_at = INT64_MIN;
    supervision->result = -EBUSY;
    *out_supervision = supervision;
    return 0;
}

static void unlink_service(coil_supervised *service)
{
    coil_supervised_cut(service);
    coil_list_remove(&service->link);
    coil_list_remove(&service->dirty);
    coil_list_remove(&service->judged);
    coil_list_remove(&service->timed);
    coil_list_remove(&service->acting);
    service->supervision = NULL;
}

void coil_supervision_destroy(coil_supervision *supervision)
{
    if (supervision == NULL)
        return;
    while (!coil_list_empty(&supervision->services))
        unlink_service(coil_container_of(supervision->services.next, coil_supervised, link));
    free(supervision->restarts);
    free(supervision);
}

/* The one after `service` is after the one before it. */
static int close_gap(const coil_supervision *supervision, const coil_supervised *service)
{
    coil_list *before = service->link.prev;
    coil_list *after = service->link.next;

    if (supervision->options.strategy != COIL_REST_FOR_ONE || before == &supervision->services ||
            after == &supervision->services)
        return 0;
    return coil_supervision_depend(coil_container_of(after, coil_supervised, link), COIL_AFTER,
            coil_container_of(before, coil_supervised, link), NULL);
}

static bool starts_with_others(const coil_service_policy *policy)
{
    return !policy->keep_down && policy->every == 0 && !coil_calendar_set(&policy->calendar);
}

int coil_supervision_add(coil_supervision *supervision, coil_supervised *service, const char *name,
        const coil_service_policy *policy, coil_time now)
{
    coil_list *last = supervision->services.prev;

    if (coil_supervision_find(supervision, name) != NULL)
        return -EEXIST;
    if (now > supervision->now)
        supervision->now = now;
    *service = (coil_supervised){.name = name,
            .policy = *policy,
            .supervision = supervision,
            .since = supervision->now,
            .next_start = INT64_MIN,
            .failed_at = COIL_NEVER,
            .deadline = COIL_NEVER,
            .limit_at = COIL_NEVER,
            .ready_at = COIL_NEVER,
            .probe_at = COIL_NEVER,
            .watchdog_at = COIL_NEVER,
            .scheduled_at = COIL_NEVER,
            .up_at = COIL_NEVER};
    coil_list_init(&service->link);
    coil_list_init(&service->dirty);
    coil_list_init(&service->judged);
    coil_list_init(&service->timed);
    coil_list_init(&service->acting);
    coil_list_init(&service->earlier);
    coil_list_init(&service->later);
    service->asked = (!supervision->begun || supervision->ending) && starts_with_others(policy);
    if (supervision->options.strategy == COIL_REST_FOR_ONE && last != &supervision->services) {
        int rc = coil_supervision_depend(
                service, COIL_AFTER, coil_container_of(last, coil_supervised, link), NULL);
        if (rc < 0) {
            coil_list_remove(&service->dirty);
            service->supervision = NULL; /* It is none of ours, and is not to be removed. */
            return rc;
        }
    }
    coil_list_append(&supervision->services, &service->link);
    coil_supervised_schedule(service);
    coil_supervised_retime(service);
    return 0;
}

int coil_supervision_remove(coil_supervised *service)
{
    coil_supervision *supervision = service->supervision;

    if (service->alive)
        return -EBUSY;
    int rc = close_gap(supervision, service);
    if (rc < 0)
        return rc;
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next) {
        coil_supervised *other = coil_container_of(at, coil_supervised, link);
        if (other->because == service)
            other->because = NULL;
        if (other->culprit == service)
            other->culprit = NULL;
    }
    unlink_service(service);
    return 0;
}

coil_supervised *coil_supervision_find(const coil_supervision *supervision, const char *name)
{
    coil_supervised *service = NULL;

    while ((service = coil_supervision_each(supervision, service)) != NULL) {
        if (strcmp(service->name, name) == 0)
            return service;
    }
    return NULL;
}

coil_supervised *coil_supervision_each(
        const coil_supervision *supervision, const coil_supervised *previous)
{
    coil_list *next = previous == NULL ? supervision->services.next : previous->link.next;

    return next == &supervision->services ? NULL : coil_container_of(next, coil_supervised, link);
}

/* ------------------------------------------------------------------------------------ chance -- */

/* splitmix64 (Sebastiano Vigna). */
static uint64_t draw(coil_supervision *supervision)
{
    uint64_t value = supervision->random += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

coil_duration coil_supervision_chance(coil_supervision *supervision, coil_duration most)
{
    __extension__ typedef unsigned __int128 wide;
    if (most <= 0)
        return 0;
    return (coil_duration)((wide)draw(supervision) * ((wide)most + 1) >> 64);
}

coil_time coil_governor_take(coil_governor *governor, coil_time now)
{
    const unsigned burst = governor->burst > 0 ? governor->burst : 1;

    if (governor->interval <= 0)
        return now;
    if (governor->used_until < now)
        governor->used_until = now;
    const coil_time earliest =
            governor->used_until - coil_duration_of(burst - 1, governor->interval);
    governor->used_until = coil_time_after(governor->used_until, governor->interval);
    return earliest > now ? earliest : now;
}

/* ----------------------------------------------------------------------------- to be done -- */

void coil_supervised_touch(coil_supervised *service)
{
    if (!coil_list_linked(&service->dirty))
        coil_list_append(&service->supervision->dirty, &service->dirty);
}

void coil_supervised_renew(coil_supervised *service)
{
    service->asked = starts_with_others(&service->policy);
    service->blocked = false;
    coil_supervised_touch(service);
}

void coil_supervision_touch_all(coil_supervision *supervision)
{
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next)
        coil_supervised_touch(coil_container_of(at, coil_supervised, link));
}

static coil_time earlier_of(coil_time one, coil_time other)
{
    return one < other ? one : other;
}

/* Deadlines are nearly always set in their order, so the place is looked for from the end. */
void coil_supervised_retime(coil_supervised *service)
{
    coil_list *timed = &service->supervision->timed;
    coil_time deadline = earlier_of(service->limit_at, service->ready_at);

    deadline = earlier_of(deadline, earlier_of(service->probe_at, service->watchdog_at));
    deadline = earlier_of(deadline, service->scheduled_at);
    if (deadline == service->deadline)
        return;
    service->deadline = deadline;
    coil_list_remove(&service->timed);
    if (deadline == COIL_NEVER)
        return;
    coil_list *before = timed->prev;
    while (before != timed &&
            coil_container_of(before, coil_supervised, timed)->deadline > deadline)
        before = before->prev;
    coil_list_append(before->next, &service->timed);
}

void coil_supervised_act(coil_supervised *service, coil_supervision_action_kind action)
{
    service->actions |= action;
    if (!coil_list_linked(&service->acting))
        coil_list_append(&service->supervision->acting, &service->acting);
}

void coil_supervised_retract(coil_supervised *service, unsigned actions)
{
    service->actions &= ~actions;
    if (service->actions == 0)
        coil_list_remove(&service->acting);
}

static void count_start(coil_supervised *service)
{
    const coil_service_reason reason = service->start_reason;

    if (reason == COIL_REASON_NONE || reason == COIL_REASON_COMMAND ||
            reason == COIL_REASON_DEPENDENCY || reason == COIL_REASON_SCHEDULE) {
        service->counters.manual_starts++;
    } else {
        service->counters.automatic_starts++;
    }
    service->start_reason = COIL_REASON_NONE;
}

bool coil_supervision_next(coil_supervision *supervision, coil_supervision_action *out_action)
{
    if (!coil_list_empty(&supervision->acting)) {
        coil_supervised *service =
                coil_container_of(supervision->acting.next, coil_supervised, acting);
        const unsigned lowest = service->actions & -service->actions;
        *out_action = (coil_supervision_action){.kind = (coil_supervision_action_kind)lowest,
                .service = service,
                .signo = service->signo};
        coil_supervised_retract(service, lowest);
        if (lowest == COIL_ACTION_START)
            count_start(service);
        return true;
    }
    if (!supervision->ending || supervision->gave_up || supervision->alive_count > 0)
        return false;
    supervision->gave_up = true;
    *out_action = (coil_supervision_action){.kind = COIL_ACTION_GIVE_UP};
    return true;
}

coil_time coil_supervision_deadline(const coil_supervision *supervision)
{
    coil_list *first = supervision->timed.next;

    return first == &supervision->timed
                   ? COIL_NEVER
                   : coil_container_of(first, coil_supervised, timed)->deadline;
}

/* --------------------------------------------------------------------------------- the end -- */

/* What was commanded is forgotten: the next BEGIN is the first, what is commanded now is for it. */
void coil_supervision_end(coil_supervision *supervision, coil_service_reason reason, int result)
{
    if (supervision->ending)
        return;
    supervision->ending = true;
    supervision->end_reason = reason;
    supervision->result = result;
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next) {
        coil_supervised *service = coil_container_of(at, coil_supervised, link);
        /* Who was to be stopped, and waits for others to stop first, is not left. */
        service->again |= supervision->leaving && service->alive && !service->wanted;
        coil_supervised_renew(service);
    }
}

int coil_supervision_result(const coil_supervision *supervision, coil_service_reason *out_reason)
{
    if (out_reason != NULL)
        *out_reason = supervision->end_reason;
    return supervision->gave_up ? supervision->result : -EBUSY;
}

/* ------------------------------------------------------------------------------------ a step -- */

void coil_supervision_set_wall(coil_supervision *supervision, coil_time now, int64_t wall_s)
{
    if (now > supervision->now)
        supervision->now = now;
    const coil_duration ahead_ns = coil_s(wall_s) - supervision->now;
    const coil_duration jump_ns = ahead_ns - supervision->wall_ahead_ns;
    if (supervision->has_wall && jump_ns < WALL_JUMP && jump_ns > -WALL_JUMP)
        return; /* It is told in whole seconds. What is due is not to be put off for that. */
    supervision->wall_ahead_ns = ahead_ns;
    supervision->has_wall = true;
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next) {
        coil_supervised *service = coil_container_of(at, coil_supervised, link);
        if (!coil_calendar_set(&service->policy.calendar))
            continue;
        coil_supervised_schedule(service);
        coil_supervised_retime(service);
    }
}

/*
 * It has ended, or was about to, and begins again: as if nothing had happened. What still stops
 * comes up when it has.
 */
static void begin_again(coil_supervision *supervision)
{
    supervision->ending = false;
    supervision->leaving = false;
    supervision->gave_up = false;
    supervision->result = -EBUSY;
    supervision->end_reason = COIL_REASON_NONE;
    for (unsigned i = 0; i < supervision->options.intensity; i++)
        supervision->restarts[i] = INT64_MIN;
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next) {
        coil_supervised *service = coil_container_of(at, coil_supervised, link);
        service->failure_count = 0;
        service->scarce_count = 0;
        service->next_start = INT64_MIN;
        service->failed_at = COIL_NEVER;
        service->culprit = NULL;
        service->start_reason = COIL_REASON_NONE;
    }
    /* Only now somebody is told: all is as it will be. */
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next) {
        coil_supervised *service = coil_container_of(at, coil_supervised, link);
        if (!service->alive && service->state != COIL_SERVICE_DOWN)
            coil_supervised_set_state(service, COIL_SERVICE_DOWN, COIL_REASON_COMMAND);
    }
}

static void begin(coil_supervision *supervision)
{
    if (supervision->begun && !supervision->ending)
        return;
    if (supervision->ending)
        begin_again(supervision);
    supervision->begun = true;
    for (coil_list *at = supervision->services.next; at != &supervision->services; at = at->next)
        coil_supervised_schedule(coil_container_of(at, coil_supervised, link));
    coil_supervision_touch_all(supervision);
}

static void take(coil_supervision *supervision, const coil_supervision_event *event)
{
    coil_supervised *service = event->service;

    if (service != NULL)
        coil_supervised_touch(service);
    switch (event->kind) {
    case COIL_EVENT_TICK:
        break;
    case COIL_EVENT_BEGIN:
        begin(supervision);
        break;
    case COIL_EVENT_END:
        coil_supervision_end(supervision, COIL_REASON_COMMAND, 0);
        break;
    case COIL_EVENT_LEAVE:
        supervision->leaving |= !supervision->ending;
        coil_supervision_end(supervision, COIL_REASON_COMMAND, 0);
        break;
    case COIL_EVENT_START:
    case COIL_EVENT_STOP:
    case COIL_EVENT_RESTART:
        coil_supervised_command(service, event->kind);
        break;
    case COIL_EVENT_STARTED:
        coil_supervised_started(service);
        break;
    case COIL_EVENT_ADOPTED:
        coil_supervised_adopted(service, event->code == 1);
        break;
    case COIL_EVENT_SPAWN_FAILED:
        coil_supervised_spawn_failed(service, event->code);
        break;
    case COIL_EVENT_EXITED:
        coil_supervised_exited(service, event);
        break;
    case COIL_EVENT_ANSWERED:
        coil_supervised_answered(service, event->code);
        break;
    case COIL_EVENT_READY:
        coil_supervised_ready(service);
        break;
    case COIL_EVENT_RELOADING:
    case COIL_EVENT_STOPPING:
    case COIL_EVENT_FED:
    case COIL_EVENT_TRIGGERED:
    case COIL_EVENT_WATCHDOG_LIMIT:
    case COIL_EVENT_EXTENDED:
        coil_supervised_said(service, event);
        break;
    }
}

/*
 * First everybody learns who is wanted now, and only then somebody acts on it; and again, because
 * that may have changed what is wanted.
 */
static void settle(coil_supervision *supervision)
{
    coil_list *first;

    do {
        while ((first = coil_list_take_first(&supervision->dirty)) != NULL) {
            coil_supervised *service = coil_container_of(first, coil_supervised, dirty);
            coil_supervised_judge_want(service);
            if (!coil_list_linked(&service->judged))
                coil_list_append(&supervision->judged, &service->judged);
        }
        first = coil_list_take_first(&supervision->judged);
        if (first != NULL)
            coil_supervised_consider(coil_container_of(first, coil_supervised, judged));
    } while (first != NULL);
}

/*
 * The event comes before the deadlines: what has come in time must not be judged as late because we
 * look at it late.
 */
void coil_supervision_step(
        coil_supervision *supervision, const coil_supervision_event *event, coil_time now)
{
    if (now > supervision->now)
        supervision->now = now;
    const coil_time due = coil_supervision_deadline(supervision);
    if (due != COIL_NEVER && supervision->now - due > supervision->options.punctual)
        supervision->late_at = supervision->now;

    take(supervision, event);
    if (event->service != NULL)
        coil_supervised_retime(event->service);
    while (coil_supervision_deadline(supervision) <= supervision->now) {
        coil_supervised *service =
                coil_container_of(supervision->timed.next, coil_supervised, timed);
        coil_supervised_look(service);
        coil_supervised_retime(service);
    }
    settle(supervision);
}
