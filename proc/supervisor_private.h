/* SPDX-License-Identifier: MIT */
/*
 * supervisor_private.h - what the parts of the supervisor share.
 *
 *     supervisor.c            the run: events to the policy, actions from it; commands
 *     supervisor_services.c   adding, removing, templates, names
 *     supervisor_plan.c       copies of plans
 *     supervisor_instance.c   an instance, from its start to its end
 *     supervisor_notify.c     what processes say by sd_notify(3)
 */
#ifndef SUPERVISOR_PRIVATE_H
#define SUPERVISOR_PRIVATE_H

#include <coil/call.h>
#include <coil/future.h>
#include <coil/supervisor.h>

COIL_BEGIN_DECLS

/* A plan, and the block of memory that all it points to is in. */
typedef struct owned_plan {
    coil_service_plan plan;
    coil_spawn_plan spawn; /* plan.spawn points here, or is NULL. */
    void *block;
} owned_plan;

typedef struct service_template {
    coil_list link;
    owned_plan owned; /* With "%i". */
    unsigned count;
} service_template;

struct coil_service {
    coil_supervised supervised;
    coil_supervisor *supervisor;
    owned_plan owned;
    service_template *template; /* NULL: it is a service of its own. */
    unsigned number;

    uint64_t instance;
    coil_child child;
    coil_task *runner;     /* Of a task or a supervisor. */
    coil_task *ready_task; /* Reads notify_fd. */
    coil_task *probe_task;
    int result; /* Of the runner. */

    coil_death death;
    char *last_lines; /* Of its log, at the last death. */
    char *says;
    coil_list waiters; /* In coil_service_await(). */
    coil_list removal; /* Linked: it is to be removed. */
    coil_list queue;   /* Linked: it has a command that came during a step. */
    coil_supervision_event_kind command;
    unsigned users; /* Tasks that look at it. */
};

struct coil_supervisor {
    coil_supervision *policy;
    coil_supervision_watcher watcher;
    coil_supervisor_hook *hook;
    coil_list templates;
    coil_list removals;
    coil_list queue;
    coil_group *group; /* While it runs. */
    coil_loop *loop;
    coil_call alarm;
    coil_call more; /* Actions that are left for the next turn. */
    coil_future_of(int) ended;
    unsigned depth; /* Calls of ours on the stack. */
    bool stepping;  /* The policy is. */
    bool carrying;  /* Actions are being carried out. */
    bool wants_end; /* Asked for during a step. */
    bool has_calendar;
    int notify_socket;    /* -1: none. */
    char notify_name[48]; /* "@coil-..." */
    char reason[COIL_SPAWN_TEXT_BYTES];
};

static inline coil_service *service_of(coil_supervised *supervised)
{
    return coil_container_of(supervised, coil_service, supervised);
}

/* ---------------------------------------------------------------------------- supervisor.c -- */

/* An event for the policy, and what comes of it. */
void supervisor_tell(
        coil_service *service, coil_supervision_event_kind kind, int code, coil_duration duration);
void supervisor_take(coil_supervisor *supervisor, const coil_supervision_event *event);

/* A task begins, ends to look at the service, which stays meanwhile. */
void service_hold(coil_service *service);
void service_release(coil_service *service);

/* ------------------------------------------------------------------- supervisor_services.c -- */

/* Take out what is to be and can be. */
void supervisor_sweep(coil_supervisor *supervisor);

/* Is there a service that needs one which does not exist? Says so. */
int supervisor_check_needs(coil_supervisor *supervisor);

/* ----------------------------------------------------------------------- supervisor_plan.c -- */

/* A deep copy. `number` takes the place of "%i"; 0: they stay. -ENOMEM. */
int plan_copy(const coil_service_plan *plan, unsigned number, owned_plan *out_owned);
void plan_free(owned_plan *owned);

/*
 * The environment of a process that may notify: that of its plan or ours, and what it has to know.
 * free() it. NULL: no memory.
 */
const char **plan_environment(const coil_service *service);

/* ------------------------------------------------------------------- supervisor_instance.c -- */

/* Start one, and tell the policy what came of it. */
void service_start_instance(coil_service *service);

void service_send(coil_service *service, int signo);
void service_ask(coil_service *service);

/* --------------------------------------------------------------------- supervisor_notify.c -- */

int notify_open(coil_supervisor *supervisor);
void notify_close(coil_supervisor *supervisor);
coil_declare_private(int, notify_listen, (coil_supervisor *)supervisor);

COIL_END_DECLS

#endif
