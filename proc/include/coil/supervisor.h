/* SPDX-License-Identifier: MIT */
/*
 * coil/supervisor.h - keep services running: processes, tasks, and other supervisors.
 *
 *     coil_supervisor_create(&options, &my->supervisor)
 *     coil_defer(coil_supervisor_destroy(my->supervisor));
 *     coil_supervisor_add(my->supervisor, &plan, NULL)             as many as you like
 *     coil_await(my->rc, coil_supervisor_run(my->supervisor));     until told to stop, or given up
 *
 * What is decided, and when, is said in coil/supervision.h; this carries it out: starts processes
 * (coil/spawn.h), waits for their ends, captures what they write (coil/log_capture.h), listens to
 * what they say (sd_notify(3), a newline on a descriptor), and asks them how they are
 * (coil/health.h).
 *
 * Invariants
 *   - When coil_supervisor_run() returns, however it does, no service runs any more: those that
 *     come later in the order are stopped first.
 *   - A death is noticed by the kernel's completion, and the replacement is started in the same
 *     turn of the loop, if there is no pause: nothing polls. Without deadlines there is no
 *     wake-up.
 *   - Commands are never refused and never wait; each is what is wanted from now on. They may be
 *     given at any time on the loop's thread, also in hooks, before the run, and by services.
 *   - A service that cannot be started for want of processes, memory or descriptors is tried again.
 *     So is one whose log cannot read its output (coil_log_attach()): its process, which may have
 *     begun to run, is killed, and the hook's failed() says which stream it was, and why. None
 *     runs whose output goes nowhere. It is tried again when that process is gone, and, with
 *     .whole_tree, what it had started.
 *
 * If it is killed
 *   - Services die with it, as coil/spawn.h says; or, with .outlives, run on and are taken over by
 *     the next one: the same processes, no second copy, each line of their logs (if these have
 *     coil_adoption_journal()), the true status of those that ended meanwhile, and what they
 *     notify. They are adopted when the run begins, before anything is started, whatever needs
 *     what. Who was ready is; who was starting goes on; whoever has a probe is asked.
 *   - Nobody who was taken over is ended for want of memory, or of room in the journal of the log.
 *     Who cannot be taken over, or heard, for want of memory, is when there is some: it is tried a
 *     hundred times a second. What the log cannot read yet stays in its pipe, which is tried once
 *     a second, and holds back who writes to it; a line of the log says so. If the run ends before,
 *     it is left to the next.
 *   - coil_adoption_open() comes before coil_supervisor_create(), coil_adoption_close() after
 *     coil_supervisor_destroy(). Children of services that are not there any more are left for
 *     coil_adoption_take().
 *
 * Memory: about 4 KiB for a service with two pipes to a log, besides that of the log.
 *
 * On the loop's thread only. A process that is to live as long as the supervisor's: mind what
 * coil/spawn.h says of death signals and threads.
 *
 * (Erlang/OTP supervisor(3), s6-supervise(8), systemd.service(5))
 */
#ifndef COIL_SUPERVISOR_H
#define COIL_SUPERVISOR_H

#include <coil/adoption.h>
#include <coil/child.h>
#include <coil/log_capture.h>
#include <coil/readiness.h>
#include <coil/supervision.h>

COIL_BEGIN_DECLS

typedef struct coil_supervisor coil_supervisor;
typedef struct coil_supervisor_hook coil_supervisor_hook;
typedef struct coil_service coil_service;
typedef struct coil_service_plan coil_service_plan;
typedef struct coil_service_task coil_service_task;
typedef struct coil_death coil_death;

/* ------------------------------------------------------------------------------ the service -- */

/*
 * A service that is a coroutine int(coil_service_task *), which receives its hook. Being stopped is
 * being cancelled. Its result is its exit: 0 or more is normal, an error is not.
 */
struct coil_service_task {
    coil_handler run;
    coil_service *service; /* Set when it is started: for coil_service_ready(), _feed(). */
};

/*
 * What to run and how. Zeroes are the usual choice, but there has to be a name and one of `spawn`,
 * `task` and `supervisor`.
 */
struct coil_service_plan {
    const char *name; /* Copied. Without '@'. */

    /*
     * A process. Copied: the plan, its strings, descriptors and limits. What else it points to is
     * borrowed as long as the service is there. No terminals; pipes are for its log.
     */
    const coil_spawn_plan *spawn;
    coil_service_task *task;
    coil_supervisor *supervisor; /* Another one, which ends when this service is stopped. */

    coil_service_policy policy;

    /* Names of other services, each list ending in NULL, or NULL. They may be added later. */
    const char *const *needs;
    const char *const *wants;
    const char *const *after;
    const char *const *before;

    /*
     * A template: so many services, "name@1", "name@2", ... In the strings of the spawn plan, "%i"
     * is the number. Whoever depends on `name` depends on all of them. 0: no template.
     */
    unsigned instances;

    coil_log *log;            /* Gets stdout and stderr; borrowed. NULL: as the spawn plan says. */
    const char *log_prefix;   /* NULL: the name and a blank. */
    coil_health_probe *probe; /* Needed with COIL_READY_PROBE and liveness.interval; borrowed. */
    /*
     * Listen to sd_notify(3): NOTIFY_SOCKET and WATCHDOG_USEC are set. Only the process that was
     * started is believed, not those that it starts: a shell has to exec who notifies.
     */
    bool notify;
    int notify_fd;   /* This descriptor of the child's gets a newline when it is ready. */
    int dump_signal; /* For soft misses, such as SIGQUIT. 0: only the hook is called. */
    /*
     * The end of its process is not the end of it: what that has started is stopped as well, before
     * another instance starts (coil_child_stop_tree()). Give it a group or a cgroup of its own;
     * before Linux 6.9 a cgroup, for the group of a process that has ended could be another's. If
     * it was adopted, that of this plan is taken for its own.
     */
    bool whole_tree;
    /*
     * It lives on if this process is killed, and the next supervisor that has a service of this
     * name, and the same directory of adoption, takes it over as it is. Its supervisor has an
     * .adoption; it has a log, and a name of at most 32 letters without blanks and '#'. Its spawn
     * plan should have a .group: what kills ours, such as Ctrl-C, is not to reach it.
     */
    bool outlives;
};

/* How an instance has ended. */
struct coil_death {
    uint64_t instance; /* Counted from 1. */
    pid_t pid;         /* 0: a task. */
    coil_exit exit;
    int result; /* Of a task or supervisor. */
    coil_time started_at;
    coil_time ended_at;
    bool was_up;
    coil_service_reason reason; /* EXIT: by itself. Else why it was stopped. */
    size_t also_stopped;        /* Services that the strategy stops and starts because of it. */
    const char *last_lines;     /* Of its log, if that remembers any (tail_bytes); else "". */
    char text[COIL_EXIT_TEXT_BYTES]; /* "exited with status 3" */
};

/* --------------------------------------------------------------------------- the supervisor -- */

/*
 * Is told; any of them may be NULL. They may give commands, add services and scale, and cannot
 * wait. What is commanded while a service changes its state is done right after that; of start,
 * stop and restart for one service, the last counts.
 */
struct coil_supervisor_hook {
    /* A service has changed its state, or is stuck while stopping. */
    void (*changed)(coil_supervisor_hook *hook, coil_service *service, coil_service_state before);
    /* It has a new instance: coil_service_pid(). */
    void (*started)(coil_supervisor_hook *hook, coil_service *service);
    /* The same; but a predecessor has started it. It may have ended meanwhile: died() comes. */
    void (*adopted)(coil_supervisor_hook *hook, coil_service *service);
    /* It could not be started. */
    void (*failed)(
            coil_supervisor_hook *hook, coil_service *service, const coil_spawn_error *error);
    /* Its instance has ended; what happens then comes after. */
    void (*died)(coil_supervisor_hook *hook, coil_service *service, const coil_death *death);
    /* It is about to be killed, if it goes on like this. */
    void (*dump)(coil_supervisor_hook *hook, coil_service *service);
};

typedef struct coil_supervisor_options {
    coil_strategy strategy;
    unsigned intensity; /* See coil_supervision_options. */
    coil_duration intensity_period;
    coil_governor *governor; /* May be shared with other supervisors of the thread. */
    coil_supervisor_hook *hook;
    uint64_t seed;           /* Of the chance in pauses. 0: another one each time. */
    coil_adoption *adoption; /* Of those that outlive us: for this supervisor alone. Borrowed. */
} coil_supervisor_options;

/* Options may be NULL. -ENOMEM. */
COIL_API int coil_supervisor_create(
        const coil_supervisor_options *options, coil_supervisor **out_supervisor);

/* It must not be running. Takes NULL. */
COIL_API void coil_supervisor_destroy(coil_supervisor *supervisor);

/*
 * Add a service; while the supervisor runs, it is also started, unless it is to stay down or has a
 * schedule. `out_service` (NULL if not wanted) is valid until it is removed; of a template it is
 * the first. But a hook that is told within this call may have removed it: then it is gone already;
 * or have scaled the template to 0: then *out_service may be NULL, and the result 0 all the same.
 * -EEXIST, the name is taken; -ELOOP, -EINVAL: see coil_supervisor_reason(); -ENOMEM.
 */
COIL_API int coil_supervisor_add(
        coil_supervisor *supervisor, const coil_service_plan *plan, coil_service **out_service);

/*
 * Run it. Result: 0, by coil_supervisor_stop() or because a significant service is done;
 * -EHOSTDOWN, it has given up; -ENOENT, a service needs one that does not exist, and nothing was
 * started; -ENOMEM, nor was it; -EBUSY, it runs already. With an adoption also what socket(2) and
 * coil_adoption_hold() say, such as -EMFILE, or -EPIPE without a keeper: nothing was started, and
 * who was to be adopted runs on. See coil_supervisor_reason(). Cancelled, it stops everything in
 * the same order, and takes the time for it. May be run again.
 */
coil_declare(int, coil_supervisor_run, (coil_supervisor *) supervisor);

/* End the run, in order, be it that it has only begun. Nothing if there is none. */
COIL_API void coil_supervisor_stop(coil_supervisor *supervisor);

/*
 * End the run, and leave the services that outlive us to the next supervisor, as if we had been
 * killed, but in order: the others are stopped. It is how a supervisor is upgraded:
 *
 *     coil_supervisor_leave(supervisor);                  coil_supervisor_run() ends, with 0
 *     coil_log_close(log);                                what is in the pipes stays there
 *     coil_supervisor_destroy(supervisor);
 *     coil_adoption_close(adoption, COIL_KEEPER_STAYS);
 *     execv("/usr/bin/monitor", argv);                    which adopts them
 *
 * (Not "/proc/self/exe": that is the program which runs, also when its file has been replaced.)
 *
 * Instances that are being stopped, or were to be, are waited for: nobody is left whom a command
 * has ended. After coil_supervisor_stop(): nothing. Only an adoption that is opened anew knows of
 * what was left, also in this process.
 */
COIL_API void coil_supervisor_leave(coil_supervisor *supervisor);

/* One line about the last failure of the supervisor: "a cycle: web -> db -> web". "" if none. */
COIL_API const char *coil_supervisor_reason(const coil_supervisor *supervisor);

/*
 * Have so many instances of a template: new ones start, and the last ones are stopped and removed.
 * -ENOENT, it is no template; -ENOMEM.
 */
COIL_API int coil_supervisor_scale(
        coil_supervisor *supervisor, const char *name, unsigned instances);

/* The service of that name ("web", "worker@3"), or NULL. */
COIL_API coil_service *coil_supervisor_find(const coil_supervisor *supervisor, const char *name);

/* For lists: the one after `previous`, in the order of adding; NULL: the first, or no more. */
COIL_API coil_service *coil_supervisor_each(
        const coil_supervisor *supervisor, const coil_service *previous);

/* -------------------------------------------------------------------------------- commands -- */

/* See coil/supervision.h: COIL_EVENT_START, _STOP, _RESTART. */
COIL_API void coil_service_start(coil_service *service);
COIL_API void coil_service_stop(coil_service *service);
COIL_API void coil_service_restart(coil_service *service);

/* Stop it, and take it out when it is down: then `service` is gone. Who needed it starts again. */
COIL_API void coil_service_remove(coil_service *service);

/* Send a signal to its process, such as SIGHUP. -ESRCH: there is none. */
COIL_API int coil_service_signal(coil_service *service, int signo);

/* It is ready; its watchdog is fed. For tasks, and for what knows it otherwise. */
COIL_API void coil_service_ready(coil_service *service);
COIL_API void coil_service_feed(coil_service *service);

/* ------------------------------------------------------------------------------------ looks -- */

/* State, reasons and counters; as they are now, and as long as the service is there. */
COIL_API const coil_supervised *coil_service_status(const coil_service *service);

COIL_API const char *coil_service_name(const coil_service *service);

/* Its process; 0 if there is none. */
COIL_API pid_t coil_service_pid(const coil_service *service);

/* What it says of itself (STATUS=), or "". */
COIL_API const char *coil_service_says(const coil_service *service);

/* The last death, or NULL. */
COIL_API const coil_death *coil_service_last_death(const coil_service *service);

/* The bit of a state, for coil_service_await(). */
#define COIL_STATE_BIT(state) (1U << (state))

/*
 * Await that it is in one of the states (COIL_STATE_BIT(), joined by |). Result: the state; -ESRCH,
 * it was removed.
 */
coil_declare(int, coil_service_await, (coil_service *) service, (unsigned) states);

COIL_END_DECLS

#endif
