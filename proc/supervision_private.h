/* SPDX-License-Identifier: MIT */
/*
 * supervision_private.h - what the parts of the policy share.
 *
 *     supervision.c         services, events and actions
 *     supervision_graph.c   who comes before whom; who is wanted
 *     supervision_life.c    the life of one service: from state to state
 *     supervision_death.c   what follows from its end
 *     supervision_watch.c   its readiness, its probe and its watchdog
 *     supervision_text.c    names
 */
#ifndef SUPERVISION_PRIVATE_H
#define SUPERVISION_PRIVATE_H

#include <coil/supervision.h>

COIL_BEGIN_DECLS

typedef struct coil_supervised_edge coil_supervised_edge;

/* `later` is after `earlier`. */
struct coil_supervised_edge {
    coil_list of_later;   /* In later->earlier. */
    coil_list of_earlier; /* In earlier->later. */
    coil_supervised *earlier;
    coil_supervised *later;
    unsigned kinds; /* coil_dependency */
};

struct coil_supervision {
    coil_supervision_options options;
    coil_time now;
    coil_list services; /* In the order of adding. */
    coil_list dirty;    /* Whose want may have changed. */
    coil_list judged;   /* To be considered then. */
    coil_list timed;    /* With a deadline, earliest first. */
    coil_list acting;   /* With actions that were not taken. */
    uint64_t random;
    uint64_t mark;
    uint64_t touch_mark;
    coil_time *restarts; /* The last `intensity` automatic ones, a ring. */
    unsigned restart_at;
    size_t alive_count;
    size_t regroup_count; /* Services that have to stop before any may start. */
    coil_time late_at;    /* When a step came too late, the last time. */
    int64_t wall_ahead_ns;
    bool has_wall;
    bool begun;
    bool ending;
    bool leaving; /* So that those who outlive us run on. */
    bool gave_up; /* GIVE_UP has been taken. */
    int result;
    coil_service_reason end_reason;
};

static inline coil_duration coil_supervision_or(coil_duration given, coil_duration usual)
{
    return given != 0 ? given : usual;
}

#define COIL_EACH_EARLIER(edge, service)                                                  \
    for (coil_list *link_##edge = (service)->earlier.next;                                \
            link_##edge != &(service)->earlier &&                                         \
            ((edge) = coil_container_of(link_##edge, coil_supervised_edge, of_later), 1); \
            link_##edge = link_##edge->next)
#define COIL_EACH_LATER(edge, service)                                                      \
    for (coil_list *link_##edge = (service)->later.next;                                    \
            link_##edge != &(service)->later &&                                             \
            ((edge) = coil_container_of(link_##edge, coil_supervised_edge, of_earlier), 1); \
            link_##edge = link_##edge->next)

/* --------------------------------------------------------------------------- supervision.c -- */

/* Have it considered at the end of this step. And all. */
void coil_supervised_touch(coil_supervised *service);
void coil_supervision_touch_all(coil_supervision *supervision);

/* It is asked for as when it was added: commands are forgotten. */
void coil_supervised_renew(coil_supervised *service);

/* Sort it into the deadlines anew. */
void coil_supervised_retime(coil_supervised *service);

void coil_supervised_act(coil_supervised *service, coil_supervision_action_kind action);
void coil_supervised_retract(coil_supervised *service, unsigned actions);

/* 0 <= result <= most */
coil_duration coil_supervision_chance(coil_supervision *supervision, coil_duration most);

/* The supervisor is to end. The first reason counts. */
void coil_supervision_end(coil_supervision *supervision, coil_service_reason reason, int result);

/* --------------------------------------------------------------------- supervision_graph.c -- */

/* All that is before or after it has to look again. */
void coil_supervised_touch_neighbours(coil_supervised *service);

/* Is it to run? Keeps `demanded` and `wanted` up to date. */
void coil_supervised_judge_want(coil_supervised *service);

/* Whom it has to wait for before it starts, or stops; NULL: nobody. */
coil_supervised *coil_supervised_before_start(coil_supervised *service);
coil_supervised *coil_supervised_before_stop(coil_supervised *service);

/* It was started by command: what it needs is not blocked, nor failed, any more. */
void coil_supervised_free_needs(coil_supervised *service);

/* It depends on nothing, and nothing on it. */
void coil_supervised_cut(coil_supervised *service);

/* ---------------------------------------------------------------------- supervision_life.c -- */

void coil_supervised_set_state(
        coil_supervised *service, coil_service_state state, coil_service_reason reason);

/* Start it, stop it, or leave it. */
void coil_supervised_consider(coil_supervised *service);

void coil_supervised_stop(coil_supervised *service, coil_service_reason reason);
void coil_supervised_next_step(coil_supervised *service);
void coil_supervised_adopted(coil_supervised *service, bool is_ready);
void coil_supervised_command(coil_supervised *service, coil_supervision_event_kind command);

/* It is time for a scheduled run; and when the next one is. */
void coil_supervised_run_scheduled(coil_supervised *service);
void coil_supervised_schedule(coil_supervised *service);

/* In BACKOFF until then. */
void coil_supervised_pause(coil_supervised *service, coil_time when, coil_service_reason reason);

/* The instance is gone, or has never been. */
void coil_supervised_forget_instance(coil_supervised *service);

/* It does not have to be stopped for another start any more. */
void coil_supervised_has_stopped(coil_supervised *service);

/* Why something that is not wanted, or wanted anew, is stopped. */
coil_service_reason coil_supervised_stop_reason(const coil_supervised *service);

void coil_supervised_note_failure(coil_supervised *service);
bool coil_supervised_is_scheduled(const coil_supervised *service);

/* --------------------------------------------------------------------- supervision_death.c -- */

void coil_supervised_exited(coil_supervised *service, const coil_supervision_event *event);
void coil_supervised_spawn_failed(coil_supervised *service, int error);

/* --------------------------------------------------------------------- supervision_watch.c -- */

void coil_supervised_started(coil_supervised *service);
void coil_supervised_ready(coil_supervised *service);
void coil_supervised_unwatch(coil_supervised *service);
void coil_supervised_look(coil_supervised *service); /* A deadline has passed. */
void coil_supervised_answered(coil_supervised *service, int health);
void coil_supervised_said(coil_supervised *service, const coil_supervision_event *event);

COIL_END_DECLS

#endif
