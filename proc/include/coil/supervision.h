/* SPDX-License-Identifier: MIT */
/*
 * coil/supervision.h - what a supervisor decides: which service is to be started, stopped, asked or
 * given up, and when. The policy alone: it starts no process, reads no clock, makes no system call.
 *
 *     event, now --> coil_supervision_step() --> coil_supervision_next(): actions, until there are
 *                        ^                       none                              |
 *                        |                                                         v
 *                        +---- what came of them: STARTED, EXITED, READY, ... <-- the runtime
 *
 * coil/supervisor.h is that runtime, and what most programs use. This is for those who want to know
 * what it decides, to drive something else with it, or to test a policy in virtual time: the same
 * events at the same times with the same seed give the same actions.
 *
 *     DOWN --start--> STARTING --ready--> UP --it ends, or has to--> STOPPING ...
 *      ^                 |                 |                             |
 *      |                 +---- dies -------+-----------------------------+
 *      |                                   |
 *      +-- not wanted any more -- BACKOFF <+> DONE    its work is done
 *                                    |      +> FAILED  given up: no restart will help
 *                                    +--later--> STARTING
 *
 * Invariants
 *   - At most one instance of a service lives: START only after the EXITED of the one before. One
 *     that ran before we did is as good as one of ours, whatever order there is between starts.
 *   - No SIGNAL, DUMP or PROBE for what does not live.
 *   - Commands are never refused. Each says what is wanted, the latest counts, and what has to
 *     happen first happens first.
 *   - An order between services is one of starting and, backwards, of stopping. There are no
 *     cycles: who would close one is told which.
 *   - What is wanted and may run is started at once, or has a deadline at which it will be.
 *   - No memory is allocated but for dependencies and by coil_supervision_create(): no step fails.
 *
 * Strategies, restart types, intensity and significance are those of Erlang/OTP, supervisor(3).
 * Not thread safe: a supervision and its services belong to one thread.
 */
#ifndef COIL_SUPERVISION_H
#define COIL_SUPERVISION_H

#include <coil/calendar.h>
#include <coil/health.h>
#include <coil/list.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_supervision coil_supervision;
typedef struct coil_supervised coil_supervised;
typedef struct coil_supervision_watcher coil_supervision_watcher;
typedef struct coil_governor coil_governor;

typedef enum coil_service_state {
    COIL_SERVICE_DOWN,     /* It does not run: not wanted, or it waits for what it needs. */
    COIL_SERVICE_STARTING, /* It runs, and is not ready yet. */
    COIL_SERVICE_UP,
    COIL_SERVICE_BACKOFF,  /* It has failed, and is started again later. */
    COIL_SERVICE_STOPPING, /* It has been told to end. */
    COIL_SERVICE_FAILED,   /* Given up, until somebody starts it. */
    COIL_SERVICE_DONE,     /* It has ended as it should, and is not started again by itself. */
} coil_service_state;

/* "down", "starting", ... Static memory; any thread. */
COIL_API const char *coil_service_state_name(coil_service_state state);

/* Why something has happened. */
typedef enum coil_service_reason {
    COIL_REASON_NONE,
    COIL_REASON_COMMAND,      /* Somebody asked for it. */
    COIL_REASON_DEPENDENCY,   /* For another service: it needs this one, or is needed. */
    COIL_REASON_SCHEDULE,     /* It is time. */
    COIL_REASON_ADOPTED,      /* It ran before we did. */
    COIL_REASON_READY,        /* It has said, or shown, that it is ready. */
    COIL_REASON_EXIT,         /* It has ended by itself. */
    COIL_REASON_FINAL_CODE,   /* It has ended with one of its final codes. */
    COIL_REASON_SPAWN,        /* It could not be started. */
    COIL_REASON_NO_RESOURCES, /* The same, for want of processes, memory or descriptors. */
    COIL_REASON_START_LIMIT,  /* It was not ready in time. */
    COIL_REASON_SILENT,       /* It did not answer its probe, or not well. */
    COIL_REASON_DEAD,         /* It answered that it is dead. */
    COIL_REASON_WATCHDOG,     /* It did not feed its watchdog, or triggered it. */
    COIL_REASON_STRATEGY,     /* Another service died, and the strategy concerns this one. */
    COIL_REASON_GOVERNOR,     /* It has to wait for its turn among all restarts. */
    COIL_REASON_TOO_MANY,     /* It has failed failures_max times in a row. */
    COIL_REASON_INTENSITY,    /* There were more restarts than the supervisor allows. */
    COIL_REASON_SIGNIFICANT,  /* A significant service has ended. */
    COIL_REASON_LEFT,         /* It runs on, for whoever supervises it next. */
} coil_service_reason;

/* "command", "exit", ... Static memory; any thread. */
COIL_API const char *coil_service_reason_name(coil_service_reason reason);

/* ------------------------------------------------------------------- the policy of a service -- */

typedef enum coil_restart {
    COIL_RESTART_PERMANENT, /* Always. */
    COIL_RESTART_TRANSIENT, /* When it has ended abnormally: not with 0, nor a normal code. */
    COIL_RESTART_TEMPORARY, /* Never; not with others either. */
} coil_restart;

/* A set of exit statuses. */
typedef struct coil_exit_codes {
    uint64_t bits[4];
} coil_exit_codes;

static inline coil_exit_codes coil_exit_codes_with(coil_exit_codes codes, int code)
{
    codes.bits[(code >> 6) & 3] |= UINT64_C(1) << (code & 63);
    return codes;
}

static inline bool coil_exit_codes_have(const coil_exit_codes *codes, int code)
{
    return code >= 0 && code < 256 && (codes->bits[code >> 6] >> (code & 63) & 1) != 0;
}

/* What counts as ready. */
typedef enum coil_readiness {
    COIL_READY_EXEC,  /* It runs, and has done so for `stay_up`. */
    COIL_READY_TOLD,  /* A READY event: a notification, a line of the log. */
    COIL_READY_PROBE, /* Its probe says so. */
} coil_readiness;

/* One step of the way to end an instance: a signal, and how long to wait for what comes of it. */
typedef struct coil_stop_step {
    int signo;
    coil_duration wait;
} coil_stop_step;

enum { COIL_STOP_STEPS = 4 };

/*
 * The n-th failure in a row is followed by a pause of `first` (n = 1), else of a random time up to
 * `shortest` * 2^(n - 2), at most `longest` (full jitter: those who fell together do not come back
 * together). An instance that was up for `stable` begins a new row, so that what works and dies
 * once comes back at once, and what cannot work is tried more and more seldom.
 *
 * (Marc Brooker, "Exponential Backoff And Jitter")
 */
typedef struct coil_backoff {
    coil_duration first;    /* 0. */
    coil_duration shortest; /* 0: 100 ms. */
    coil_duration longest;  /* 0: 30 s. */
    coil_duration stable;   /* 0: 10 s. */
} coil_backoff;

/*
 * A service that is up is asked every `interval`, and has `limit` to answer. An answer other than
 * READY or WARNING is a miss; so is a watchdog that was not fed in time. After `soft_misses` in a
 * row there is a DUMP, after `hard_misses` it is stopped and started anew; DEAD is enough by
 * itself. No miss counts if we were late ourselves meanwhile (`punctual`): whoever does not get the
 * processor must not judge others.
 */
typedef struct coil_liveness {
    coil_duration interval;       /* 0: it is not asked. */
    coil_duration limit;          /* 0: 2 s. */
    coil_duration start_interval; /* Between questions until it is ready. 0: 100 ms. */
    unsigned soft_misses;         /* 0: no DUMP. */
    unsigned hard_misses;         /* 0: 3. */
    coil_duration watchdog;       /* 0: it has none until a WATCHDOG_LIMIT event. */
} coil_liveness;

/* A policy of zeroes is a good one: a daemon that is kept running. Each field's zero is said. */
typedef struct coil_service_policy {
    coil_restart restart;
    bool oneshot;     /* A job: when it has ended normally, it is DONE, and those after it start. */
    bool keep_down;   /* It does not start with the others, only when asked for or needed. */
    bool significant; /* When it is DONE or FAILED, the supervisor ends. (OTP: any_significant) */
    bool outlives;    /* LEAVE does not stop it. (Of a coil_service_plan: see the one there.) */
    coil_exit_codes normal_codes; /* Besides 0. */
    coil_exit_codes final_codes;  /* Whatever the restart type: FAILED, or DONE if it is normal. */
    /*
     * What cannot be run (no such program, no permission) is FAILED, because another try would not
     * help. With this it is a failure like any other.
     */
    bool retry_spawn;
    unsigned failures_max; /* More in a row: FAILED. 0: no limit. */
    coil_backoff backoff;

    coil_readiness readiness;
    coil_duration stay_up; /* COIL_READY_EXEC. */
    coil_duration
            start_limit; /* Not ready by then is a failure. 0: 30 s, if it is told or asked. */
    coil_liveness liveness;

    /* Up to the first without a signal; SIGKILL follows the last. None: SIGTERM, for 10 s. */
    coil_stop_step stop[COIL_STOP_STEPS];

    /* Start it at these times, if it does not run: every `every`, first after that time, */
    coil_duration every;
    coil_calendar calendar; /* or when the calendar says. It is not started with the others then. */
} coil_service_policy;

/* How one service depends on another. All three are an order: the other first. */
typedef enum coil_dependency {
    COIL_AFTER = 1, /* If both are wanted. */
    COIL_WANTS = 2, /* It is started, too, and has its chance to come up first. */
    /* It is started, too, and has to be up, or, a job, done. If it stops or fails, so do we. */
    COIL_NEEDS = 4,
} coil_dependency;

/* Counters of a service. */
typedef struct coil_service_counters {
    uint64_t manual_starts;    /* By command, dependency and schedule. */
    uint64_t automatic_starts; /* After a failure or an end, or by strategy. */
    uint64_t failures;
    uint64_t spawn_failures; /* Without what NO_RESOURCES stands for. */
    uint64_t scarcities;     /* That. */
    uint64_t misses;
    uint64_t excused_misses; /* When we were late. */
    uint64_t skipped_runs;   /* Of the schedule: it still ran. */
    uint64_t kills;          /* How often it needed SIGKILL. */
} coil_service_counters;

/* In the caller's memory, which must not move; zeroed or not, coil_supervision_add() fills it. */
struct coil_supervised {
    const char *name; /* Borrowed. */
    coil_service_policy policy;
    coil_service_state state;       /* All from here on: read only. */
    coil_service_reason reason;     /* Why it is in that state, */
    int error;                      /* and the error, if that is one of spawning. */
    const coil_supervised *because; /* Whose death was the cause. NULL: its own, or none. */
    coil_time since;                /* When it came into that state. */
    coil_time started_at;           /* The instance. */
    coil_time next_start;           /* In BACKOFF. */
    bool wanted;                    /* It is to run, as far as it may. */
    bool alive;                     /* There is an instance. */
    bool reloading;                 /* It has said so. */
    bool stuck;                     /* SIGKILL did not end it. */
    coil_time failed_at;            /* The first failure since it was UP. COIL_NEVER: none. */
    int health;                     /* The last answer to a probe: a coil_health, or an error. */
    unsigned failure_count;         /* In a row. */
    unsigned miss_count;            /* In a row. */
    coil_service_counters counters;

    /* Private. */
    coil_supervision *supervision;
    coil_list link;    /* Of all, in the order of adding. */
    coil_list earlier; /* coil_supervised_edge.of_later: what comes before. */
    coil_list later;   /* coil_supervised_edge.of_earlier: what comes after. */

    /* Work of a step. */
    coil_list dirty;  /* Linked: whether it is wanted is to be judged. */
    coil_list judged; /* Linked: it was, and acts on it next. */
    coil_list acting; /* Linked: it has actions. */
    unsigned actions; /* What coil_supervision_next() is to give. */
    int signo;        /* Of COIL_ACTION_SIGNAL. */

    /* Times. */
    coil_list timed; /* By deadline. */
    coil_time deadline;
    coil_time limit_at; /* Of its state: start limit, end of the pause, step of stopping. */
    coil_time ready_at; /* Stay-up. */
    coil_time probe_at; /* The next question; or, if it is asked, the end of patience. */
    coil_time asked_at; /* The last question. */
    coil_time watchdog_at;
    coil_time scheduled_at;
    coil_time up_at;
    coil_duration watchdog; /* The limit as it is now. */

    /* Why it is stopped and started. */
    const coil_supervised *culprit; /* Who is the cause of the next start. */
    coil_service_reason stop_reason;
    coil_service_reason start_reason;
    unsigned scarce_count; /* In a row. */
    unsigned step;         /* Of stopping. */

    /* Walks over the graph, some inside of others: marks of who was met, and who is next. */
    uint64_t mark;
    uint64_t touch_mark;
    coil_supervised *via;
    coil_supervised *walk_next;
    coil_supervised *touch_next;
    coil_supervised *revive_next;

    /* What is asked for. */
    bool asked;    /* By command or schedule, for itself. */
    bool blocked;  /* Stopped by command, whoever needs it. */
    bool demanded; /* For itself, or by who needs or wants it. */
    bool again;    /* Stop it, and start it again. */
    bool regroup;  /* The same, and the others wait for it. */
    bool governed; /* The next start has its share of the governor's budget, or needs none. */

    /* Its instance. */
    bool spawned; /* STARTED has come. */
    bool hasty;   /* It was ready before that. */
    bool asking;  /* PROBE has not been answered yet. */
    bool ending;  /* It has said that it is stopping. */
};

/* ------------------------------------------------------------------------------ supervision -- */

typedef enum coil_strategy {
    COIL_ONE_FOR_ONE,  /* What dies is started again. */
    COIL_ONE_FOR_ALL,  /* All others are stopped, and all started again. */
    COIL_REST_FOR_ONE, /* Those that were added after it are. Each starts after the one before. */
} coil_strategy;

/*
 * A budget of automatic restarts for all services of any number of supervisions of a thread: at
 * most `burst` at once, and one more per `interval`. Who finds it used up waits its turn, and up
 * to another `interval` of chance. Of zeroes: no limit. (A generic cell rate algorithm.)
 */
struct coil_governor {
    coil_duration interval;
    unsigned burst; /* 0: 1. */

    /* Private. */
    coil_time used_until;
};

/* When the next restart may be, given that one is wanted at `now`; that counts as done. */
COIL_API coil_time coil_governor_take(coil_governor *governor, coil_time now);

/* Is told of every change of state, as it happens. It must not call the supervision. */
struct coil_supervision_watcher {
    void (*changed)(
            coil_supervision_watcher *watcher, coil_supervised *service, coil_service_state before);
};

typedef struct coil_supervision_options {
    coil_strategy strategy;
    /* More automatic restarts than this in `intensity_period` end the supervisor. 0: no limit. */
    unsigned intensity;
    coil_duration intensity_period; /* 0: 60 s. */
    coil_governor *governor;        /* NULL: none. Outlives the supervision. */
    coil_supervision_watcher *watcher;
    coil_duration punctual; /* We are late if a step comes later than this. 0: 100 ms. */
    uint64_t seed;          /* Of all chance. */
} coil_supervision_options;

typedef enum coil_supervision_event_kind {
    COIL_EVENT_TICK, /* Time has passed. */

    /* Commands. */
    COIL_EVENT_BEGIN,   /* Start all that is to start; after END, as if for the first time. */
    COIL_EVENT_END,     /* Stop all, and forget commands; GIVE_UP when that is done. */
    COIL_EVENT_LEAVE,   /* The same, but those that outlive us are not stopped. */
    COIL_EVENT_START,   /* A service, and what it needs; forget what has failed. */
    COIL_EVENT_STOP,    /* It, and what needs it. */
    COIL_EVENT_RESTART, /* Stop it if it runs, and start it. */

    /* What came of actions. */
    COIL_EVENT_STARTED,      /* START: there is an instance. */
    COIL_EVENT_ADOPTED,      /* There is one that a predecessor has started; `code` 1: and it was
                                ready. Also without START, which is not wanted any more then. */
    COIL_EVENT_SPAWN_FAILED, /* START: there is none; `code` is a negative errno. */
    COIL_EVENT_EXITED,       /* The instance is gone; `code`, `signaled`. */
    COIL_EVENT_ANSWERED,     /* PROBE: `code` is a coil_health or a negative errno. */

    /* What the instance says by itself. */
    COIL_EVENT_READY, /* Also: the reload is over. */
    COIL_EVENT_RELOADING,
    COIL_EVENT_STOPPING,
    COIL_EVENT_FED,            /* The watchdog. */
    COIL_EVENT_TRIGGERED,      /* The watchdog, by the service itself. */
    COIL_EVENT_WATCHDOG_LIMIT, /* `duration` from now on; 0: none. */
    /*
     * STARTING, STOPPING and the watchdog last for `duration` from now, if not for longer anyhow
     * (systemd's EXTEND_TIMEOUT_USEC).
     */
    COIL_EVENT_EXTENDED,
} coil_supervision_event_kind;

typedef struct coil_supervision_event {
    coil_supervision_event_kind kind;
    coil_supervised *service; /* NULL for TICK, BEGIN, END and LEAVE. */
    int code;
    bool signaled; /* EXITED: killed by signal `code`. */
    coil_duration duration;
} coil_supervision_event;

typedef enum coil_supervision_action_kind {
    COIL_ACTION_LEAVE = 1,    /* It runs on, and is not ours any more: no answer. */
    COIL_ACTION_START = 2,    /* An instance. Answer: STARTED or SPAWN_FAILED. */
    COIL_ACTION_SIGNAL = 4,   /* Send it `signo`. */
    COIL_ACTION_DUMP = 8,     /* Have it say what it does, it may be about to be killed. */
    COIL_ACTION_PROBE = 16,   /* Ask how it is. Answer: ANSWERED. */
    COIL_ACTION_GIVE_UP = 32, /* All are down, and the supervisor has ended: see the result. */
} coil_supervision_action_kind;

typedef struct coil_supervision_action {
    coil_supervision_action_kind kind;
    coil_supervised *service;
    int signo;
} coil_supervision_action;

/* -ENOMEM. */
COIL_API int coil_supervision_create(
        const coil_supervision_options *options, coil_supervision **out_supervision);

/* The services are the caller's again. Nothing may be alive that matters. Takes NULL. */
COIL_API void coil_supervision_destroy(coil_supervision *supervision);

/*
 * Add a service, DOWN. Its name and policy are not checked but for being possible. After BEGIN it
 * is started by START. -EEXIST: another has that name; -ENOMEM.
 */
COIL_API int coil_supervision_add(coil_supervision *supervision, coil_supervised *service,
        const char *name, const coil_service_policy *policy, coil_time now);

/* Take out a service that is not alive: -EBUSY. What needed it needs it no more. */
COIL_API int coil_supervision_remove(coil_supervised *service);

enum { COIL_CYCLE_TEXT_BYTES = 256 };

/*
 * `service` depends on `other`, of the same supervision. -ELOOP: that would close a cycle, and
 * `out_cycle` (NULL if not wanted) names it: "web -> db -> web". -ENOMEM.
 */
COIL_API int coil_supervision_depend(coil_supervised *service, coil_dependency kind,
        coil_supervised *other, char out_cycle[COIL_CYCLE_TEXT_BYTES]);

/* The service of that name, or NULL. */
COIL_API coil_supervised *coil_supervision_find(
        const coil_supervision *supervision, const char *name);

/* The service after `previous`, in the order of adding; NULL: the first, or no more. */
COIL_API coil_supervised *coil_supervision_each(
        const coil_supervision *supervision, const coil_supervised *previous);

/*
 * The wall clock is `wall_s` seconds after 1970 at `now`. For calendars; again now and then, as it
 * may have been set: what it has jumped over is not run, what it comes to once more is run again.
 * Up to two seconds are no jump.
 */
COIL_API void coil_supervision_set_wall(
        coil_supervision *supervision, coil_time now, int64_t wall_s);

/* Take an event into account, and the time. Events that come too late are nothing. */
COIL_API void coil_supervision_step(
        coil_supervision *supervision, const coil_supervision_event *event, coil_time now);

/* The next action to be carried out. False: there is none for now. */
COIL_API bool coil_supervision_next(
        coil_supervision *supervision, coil_supervision_action *out_action);

/* When the next step is due even if nothing happens; COIL_NEVER: not at all. */
COIL_API coil_time coil_supervision_deadline(const coil_supervision *supervision);

/*
 * How it has ended: 0 by END, or since a significant service is DONE; -EHOSTDOWN, the intensity was
 * exceeded or a significant service FAILED. -EBUSY: it has not. And why.
 */
COIL_API int coil_supervision_result(
        const coil_supervision *supervision, coil_service_reason *out_reason);

/* What `service` waits for, to start or to stop: "db". NULL: for nothing. */
COIL_API const coil_supervised *coil_supervised_waits_for(coil_supervised *service);

COIL_END_DECLS

#endif
