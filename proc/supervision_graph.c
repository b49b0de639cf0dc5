/* SPDX-License-Identifier: MIT */
#include "supervision_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A walk over services, each once, breadth first; without recursion or memory. */
typedef struct graph_walk {
    uint64_t mark;
    coil_supervised *last;
} graph_walk;

static graph_walk begin_walk(coil_supervised *start)
{
    const graph_walk walk = {.mark = ++start->supervision->mark, .last = start};

    start->mark = walk.mark;
    start->walk_next = NULL;
    return walk;
}

static void walk_to(graph_walk *walk, coil_supervised *service)
{
    if (service->mark == walk->mark)
        return;
    service->mark = walk->mark;
    service->walk_next = NULL;
    walk->last->walk_next = service;
    walk->last = service;
}

/* -------------------------------------------------------------------------------- edges -- */

static coil_supervised_edge *find_edge(const coil_supervised *later, const coil_supervised *earlier)
{
    coil_supervised_edge *edge;

    COIL_EACH_EARLIER(edge, later)
    {
        if (edge->earlier == earlier)
            return edge;
    }
    return NULL;
}

/*
 * Does `goal` come after `start`? Then, from it along `via`, each waits for the next, up to
 * `start`. Without recursion: a chain may be as long as there are services.
 */
static bool comes_after(coil_supervised *goal, coil_supervised *start)
{
    graph_walk walk = begin_walk(start);
    coil_supervised_edge *edge;

    start->via = NULL;
    for (coil_supervised *at = start; at != NULL; at = at->walk_next) {
        if (at == goal)
            return true;
        COIL_EACH_LATER(edge, at)
        {
            if (edge->later->mark != walk.mark)
                edge->later->via = at;
            walk_to(&walk, edge->later);
        }
    }
    return false;
}

/* "web -> db -> web"; what does not fit is left out in the middle. */
static void name_cycle(const coil_supervised *service, const coil_supervised *other,
        char out_cycle[COIL_CYCLE_TEXT_BYTES])
{
    size_t size = (size_t)snprintf(out_cycle, COIL_CYCLE_TEXT_BYTES, "%s", service->name);

    for (const coil_supervised *at = other; at != NULL; at = at->via) {
        const size_t more = strlen(" -> ") + strlen(at->name);
        const size_t end = strlen(" -> ... -> ") + strlen(service->name);
        if (at->via != NULL && size + more + end >= COIL_CYCLE_TEXT_BYTES) {
            (void)snprintf(
                    out_cycle + size, COIL_CYCLE_TEXT_BYTES - size, " -> ... -> %s", service->name);
            return;
        }
        size += (size_t)snprintf(
                out_cycle + size, COIL_CYCLE_TEXT_BYTES - size, " -> %s", at->name);
        if (size >= COIL_CYCLE_TEXT_BYTES)
            return;
    }
}

int coil_supervision_depend(coil_supervised *service, coil_dependency kind, coil_supervised *other,
        char out_cycle[COIL_CYCLE_TEXT_BYTES])
{
    coil_supervised_edge *edge = find_edge(service, other);

    if (edge == NULL) {
        if (comes_after(other, service)) {
            if (out_cycle != NULL)
                name_cycle(service, other, out_cycle);
            return -ELOOP;
        }
        edge = malloc(sizeof(*edge));
        if (edge == NULL)
            return -ENOMEM;
        *edge = (coil_supervised_edge){.earlier = other, .later = service};
        coil_list_append(&service->earlier, &edge->of_later);
        coil_list_append(&other->later, &edge->of_earlier);
    }
    edge->kinds |= kind;
    coil_supervised_touch(service);
    coil_supervised_touch(other);
    return 0;
}

static void remove_edge(coil_supervised_edge *edge)
{
    coil_list_remove(&edge->of_later);
    coil_list_remove(&edge->of_earlier);
    free(edge);
}

void coil_supervised_cut(coil_supervised *service)
{
    coil_supervised_touch_neighbours(service);
    while (!coil_list_empty(&service->earlier))
        remove_edge(coil_container_of(service->earlier.next, coil_supervised_edge, of_later));
    while (!coil_list_empty(&service->later))
        remove_edge(coil_container_of(service->later.next, coil_supervised_edge, of_earlier));
}

static void touch_behind(coil_supervised *service, uint64_t mark, coil_supervised **last)
{
    if (service->touch_mark == mark)
        return;
    service->touch_mark = mark;
    service->touch_next = NULL;
    coil_supervised_touch(service);
    (*last)->touch_next = service;
    *last = service;
}

/*
 * What does not run hides nobody (see coil_supervised_before_start()), so those behind it are
 * concerned as well. A walk with fields of its own: it may be made inside of another one.
 */
static void touch_on_one_side(coil_supervised *service, bool before)
{
    const uint64_t mark = ++service->supervision->touch_mark;
    coil_supervised *last = service;
    coil_supervised_edge *edge;

    service->touch_mark = mark;
    service->touch_next = NULL;
    for (coil_supervised *at = service; at != NULL; at = at->touch_next) {
        if (at != service && at->alive)
            continue;
        if (before) {
            COIL_EACH_EARLIER(edge, at)
            touch_behind(edge->earlier, mark, &last);
        } else {
            COIL_EACH_LATER(edge, at)
            touch_behind(edge->later, mark, &last);
        }
    }
}

void coil_supervised_touch_neighbours(coil_supervised *service)
{
    touch_on_one_side(service, true);
    touch_on_one_side(service, false);
}

/* ------------------------------------------------------------------------- who is wanted -- */

static bool ended_for_good(const coil_supervised *service)
{
    return service->state == COIL_SERVICE_FAILED || service->state == COIL_SERVICE_DONE;
}

static bool job_is_done(const coil_supervised *service)
{
    return service->state == COIL_SERVICE_DONE && service->policy.oneshot;
}

/* Does anybody ask for it, and may it run as far as it goes? */
static bool is_demanded(const coil_supervised *service)
{
    const coil_supervision *supervision = service->supervision;
    coil_supervised_edge *edge;

    if (!supervision->begun || supervision->ending || service->blocked || ended_for_good(service))
        return false;
    if (service->asked)
        return true;
    COIL_EACH_LATER(edge, service)
    {
        if ((edge->kinds & (COIL_WANTS | COIL_NEEDS)) != 0 && edge->later->demanded)
            return true;
    }
    return false;
}

static bool has_what_it_needs(const coil_supervised *service)
{
    coil_supervised_edge *edge;

    COIL_EACH_EARLIER(edge, service)
    {
        const bool needed = (edge->kinds & COIL_NEEDS) != 0;
        if (needed && !edge->earlier->wanted && !job_is_done(edge->earlier))
            return false;
    }
    return true;
}

void coil_supervised_judge_want(coil_supervised *service)
{
    const bool demanded = is_demanded(service);
    const bool wanted = demanded && has_what_it_needs(service);

    if (demanded == service->demanded && wanted == service->wanted)
        return;
    service->demanded = demanded;
    service->wanted = wanted;
    coil_supervised_touch_neighbours(service);
}

static bool is_to_revive(const coil_supervised *service)
{
    return service->state == COIL_SERVICE_FAILED ||
           (service->state == COIL_SERVICE_DONE && !service->policy.oneshot);
}

/*
 * Whoever is told of a change may look whom others wait for, or add some: these are walks of their
 * own. So nobody is told before ours is over.
 */
void coil_supervised_free_needs(coil_supervised *service)
{
    graph_walk walk = begin_walk(service);
    coil_supervised *first = NULL;
    coil_supervised **last = &first;
    coil_supervised_edge *edge;

    for (coil_supervised *at = service; at != NULL; at = at->walk_next) {
        at->blocked = false;
        at->revive_next = NULL;
        if (is_to_revive(at)) {
            *last = at;
            last = &at->revive_next;
        }
        coil_supervised_touch(at);
        COIL_EACH_EARLIER(edge, at)
        {
            if ((edge->kinds & (COIL_WANTS | COIL_NEEDS)) != 0)
                walk_to(&walk, edge->earlier);
        }
    }
    for (; first != NULL; first = first->revive_next)
        coil_supervised_set_state(first, COIL_SERVICE_DOWN, COIL_REASON_COMMAND);
}

/* ------------------------------------------------------------------------------- the order -- */

static bool is_leaving(const coil_supervised *service)
{
    return service->state == COIL_SERVICE_STOPPING || !service->wanted || service->again;
}

/* Has it come as far as who needs it wants it: up, to stay? A job has only when it is done. */
static bool has_arrived(const coil_supervised *service)
{
    if (service->policy.oneshot)
        return job_is_done(service);
    return service->state == COIL_SERVICE_UP && !service->again;
}

/* Is it about to come up, to be done, or to go down, so that who is only after it should wait? */
static bool is_moving(const coil_supervised *service)
{
    switch (service->state) {
    case COIL_SERVICE_STARTING:
    case COIL_SERVICE_STOPPING:
        return true;
    case COIL_SERVICE_DOWN:
        return service->wanted;
    case COIL_SERVICE_UP:
        return service->again || !service->wanted || service->policy.oneshot;
    case COIL_SERVICE_BACKOFF: /* It has had its chance, unless it has another one now. */
        return service->wanted && service->next_start <= service->supervision->now;
    case COIL_SERVICE_FAILED:
    case COIL_SERVICE_DONE:
        return false;
    }
    return false;
}

/* What does not run does not hide who is before it. */
coil_supervised *coil_supervised_before_start(coil_supervised *service)
{
    graph_walk walk = begin_walk(service);
    coil_supervised_edge *edge;

    for (coil_supervised *at = service; at != NULL; at = at->walk_next) {
        COIL_EACH_EARLIER(edge, at)
        {
            coil_supervised *earlier = edge->earlier;
            const bool needed = at == service && (edge->kinds & COIL_NEEDS) != 0;
            if (needed ? !has_arrived(earlier) : is_moving(earlier))
                return earlier;
            if (!earlier->alive)
                walk_to(&walk, earlier);
        }
    }
    return NULL;
}

coil_supervised *coil_supervised_before_stop(coil_supervised *service)
{
    graph_walk walk = begin_walk(service);
    coil_supervised_edge *edge;

    for (coil_supervised *at = service; at != NULL; at = at->walk_next) {
        COIL_EACH_LATER(edge, at)
        {
            coil_supervised *later = edge->later;
            if (later->alive && is_leaving(later))
                return later;
            if (!later->alive)
                walk_to(&walk, later);
        }
    }
    return NULL;
}

const coil_supervised *coil_supervised_waits_for(coil_supervised *service)
{
    switch (service->state) {
    case COIL_SERVICE_DOWN:
    case COIL_SERVICE_BACKOFF:
        return service->demanded ? coil_supervised_before_start(service) : NULL;
    case COIL_SERVICE_STARTING:
    case COIL_SERVICE_UP:
        return is_leaving(service) ? coil_supervised_before_stop(service) : NULL;
    case COIL_SERVICE_STOPPING:
    case COIL_SERVICE_FAILED:
    case COIL_SERVICE_DONE:
        return NULL;
    }
    return NULL;
}
