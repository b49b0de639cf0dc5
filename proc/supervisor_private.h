/* SPDX-License-Identifier: MIT */
/*
 * supervisor_private.h - what the parts of the supervisor share.
 *
 *     supervisor.c            the run: events to the policy, actions from it; commands
 *     supervisor_services.c   adding, removing, templates, names
 *     supervisor_plan.c       copies of plans
 *     supervisor_instance.c   an instance, from its start to its end
 *     supervisor_output.c     what it writes, until a log reads it
 *     supervisor_adoption.c   instances that outlive us
 *     supervisor_notify.c     what processes say by sd_notify(3)
 */
#ifndef SUPERVISOR_PRIVATE_H
#define SUPERVISOR_PRIVATE_H

#include <coil/call.h>
#include <coil/future.h>
#include <coil/supervisor.h>

#include <sys/un.h>

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
    unsigned wanted; /* What was said last: a hook may scale while we do. */
} service_template;

/* What a process writes to and no log reads yet: stdout, stderr. -1: there is none. */
typedef struct unread_pipes {
    int fds[2];
} unread_pipes;

#define UNREAD_NONE ((unread_pipes){{-1, -1}})

struct coil_service {
    coil_supervised supervised;
    coil_supervisor *supervisor;
    owned_plan owned;
    service_template *template; /* NULL: it is a service of its own. */
    unsigned number;

    uint64_t instance;
    uint64_t last_instance; /* The highest number that there has been. */
    coil_child child;
    coil_task *runner;     /* Of a task or a supervisor. */
    coil_task *minder;     /* Awaits the end of the process. */
    coil_task *ready_task; /* Reads notify_fd. */
    coil_task *probe_task;
    unread_pipes unread; /* Of the process: its log could not take them. */
    int unheard;         /* Where it says that it is ready, and nobody listens yet. -1: nowhere. */
    int refusal;         /* Why its process, which is being ended, could not stay. 0: it can. */
    int result;          /* Of the runner. */
    bool is_marked;      /* The keeper knows that it is not ready yet. */

    coil_death death;
    char *last_lines; /* Of its log, at the last death. */
    char *says;
    coil_list waiters; /* In coil_service_await(). */
    coil_list removal; /* Linked: it is to be removed. */
    coil_list queue;   /* Linked: it has commands that came during a step. */
    unsigned commands; /* Those: COMMAND_BIT() of each. */
    unsigned users;    /* Tasks that look at it. */
};

struct coil_supervisor {
    coil_supervision *policy;
    coil_supervision_watcher watcher;
    coil_supervisor_hook *hook;
    coil_adoption *adoption; /* Or NULL. */
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
    bool beginning; /* Or running. */
    bool adopting;  /* There may be instances of a predecessor that nobody has taken over yet. */
    bool unmarking; /* The keeper could not be told yet that somebody is ready. */
    /* Asked for during a step, or before the run could begin: END or LEAVE. 0: neither. */
    coil_supervision_event_kind end_kind;
    coil_supervision_event_kind end_first; /* By who runs it, before it could. 0: nothing. */
    bool has_calendar;
    int notify_socket;    /* -1: none. */
    char notify_name[48]; /* "@coil-..." */
    char reason[COIL_SPAWN_TEXT_BYTES];
};

/* A process that is being started: the plan for this once, and what is ours of it. */
typedef struct service_launch {
    coil_spawn_plan plan;
    const char **environment;
    coil_spawn_fd *fds;
    int ready_fd; /* Where it says that it is ready; -1: nowhere. */
    int their_ready_fd;
    coil_spawn_error error;
} service_launch;

static inline coil_service *service_of(coil_supervised *supervised)
{
    return coil_container_of(supervised, coil_service, supervised);
}

/* ---------------------------------------------------------------------------- supervisor.c -- */

/* An event for the policy, and what comes of it. */
void supervisor_tell(
        coil_service *service, coil_supervision_event_kind kind, int code, coil_duration duration);
void supervisor_take(coil_supervisor *supervisor, const coil_supervision_event *event);

#define COMMAND_BIT(kind) (1U << (kind))

/* Commands that came during a step are forgotten. */
void service_unqueue(coil_service *service);

/* As its parent does: also before the run has begun. */
void supervisor_end_for_parent(coil_supervisor *supervisor, coil_supervision_event_kind kind);

/* Somebody looks at the service, which stays meanwhile; and no more. */
void service_hold(coil_service *service);
void service_release(coil_service *service);

/*
 * A task of the run that looks at `service`, which stays from now on, and not only from when the
 * task begins; so the task has to release it. NULL: no memory.
 */
#define SERVICE_SPAWN(service, ...) \
    service_spawned((service),      \
            (service_hold(service), coil_spawn((service)->supervisor->group, __VA_ARGS__)))
coil_task *service_spawned(coil_service *service, coil_task *task);

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

/* What came of a start: its process is there, and is minded, or an error. */
void service_started(coil_service *service, int rc, const coil_spawn_error *error);

/* Its child is there: wait for its end. -ENOMEM */
int service_mind(coil_service *service);

/* And for its word at `unheard`, which is the listener's then. Without memory its minder tries. */
void service_hear(coil_service *service);

/*
 * Around the spawn of its child, whose result is `rc`. An error is in launch->error, too. If there
 * is a child all the same, it is being ended, and its minder tells the policy when it is gone.
 */
int launch_prepare(const coil_service *service, service_launch *launch);
int launch_finish(coil_service *service, service_launch *launch, int rc);

/* Its process runs on without us. */
void service_leave(coil_service *service);

void service_send(coil_service *service, int signo);
void service_ask(coil_service *service);

/* --------------------------------------------------------------------- supervisor_output.c -- */

/* How long a pipe waits that its log could not take. */
#define UNREAD_AGAIN coil_s(1)

/*
 * Have the log read what is in these pipes, which are its own then. An error of coil_log_attach():
 * the first that is left is the one that it could not take.
 */
int service_attach(coil_service *service, unread_pipes *pipes);
bool unread_is_any(const unread_pipes *pipes);
const char *unread_name(const unread_pipes *pipes);

/* The pipes of a child, which has them no more; and close those that are left. */
unread_pipes unread_take(coil_child *child);
void unread_close(unread_pipes *pipes);

/* ------------------------------------------------------------------- supervisor_adoption.c -- */

bool outliving_is_name(const char *name);

/* Hear those who notify the one that was there before; and have the next one do so. */
void outliving_take_socket(coil_supervisor *supervisor);
coil_declare_private(int, outliving_begin, (coil_supervisor *)supervisor);

/*
 * Take over what a predecessor has started. 1; 0: there is no instance; -ENOMEM: there is one, and
 * it runs on, until another try.
 */
int outliving_adopt(coil_service *service);
void outliving_adopt_all(coil_supervisor *supervisor);

/* Start an instance; service_started() comes later. -ENOMEM */
int outliving_start(coil_service *service);

/* Have the keeper know that it is not ready yet; and that it is. */
coil_declare_private(int, outliving_mark, (coil_service *)service, (int)fd);
coil_declare_private(void, outliving_unmark, (coil_service *)service);
void outliving_is_ready(coil_service *service);

/* Those of whom the keeper could not be told, for want of memory. */
void outliving_unmark_all(coil_supervisor *supervisor);

/* It has ended, and its log may not have taken these, which are not the caller's any more. */
void outliving_ended(coil_service *service, uint64_t instance, unread_pipes unread);

/* --------------------------------------------------------------------- supervisor_notify.c -- */

int notify_open(coil_supervisor *supervisor);
void notify_close(coil_supervisor *supervisor);
coil_declare_private(int, notify_listen, (coil_supervisor *)supervisor);
coil_declare_private(int, notify_hear_out, (coil_supervisor *)supervisor);

COIL_END_DECLS

#endif
