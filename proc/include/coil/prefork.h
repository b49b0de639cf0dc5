/* SPDX-License-Identifier: MIT */
/*
 * coil/prefork.h - a server of several processes: a master that keeps the listening sockets and
 * never serves, and workers that do nothing else.
 *
 *     int main(void)
 *     {
 *         coil_seat *seat;
 *         const int rc = coil_seat_take(&seat);
 *         if (rc < 0)
 *             return 1;
 *         if (rc > 0)                                        we were started to be a worker
 *             return coil_run(serve(seat)) < 0;
 *         return coil_run(master()) < 0;
 *     }
 *
 *     coil_async (int, master)
 *     {
 *         coil_prefork_options options = {.workers = 4, .heartbeat_limit = coil_s(10)};
 *         my->rc = coil_prefork_create(&options, &my->prefork);
 *         coil_defer (coil_prefork_destroy(my->prefork));
 *         my->fd = coil_prefork_passed(my->prefork, "http");             a predecessor's, or
 *         if (my->fd < 0)
 *             my->fd = coil_listen_socket("*:8080", NULL, NULL);         a new one
 *         coil_prefork_share(my->prefork, "http", my->fd);
 *         coil_attempt (coil_prefork_serve(my->prefork));
 *     }
 *
 *     coil_async (int, serve, (coil_seat *) seat)            in each worker
 *     {
 *         my->rc = coil_listen_fd(coil_seat_socket(seat, "http"), NULL, &my->listener);
 *         coil_server_add(&my->server, my->listener);
 *         coil_spawn(&my->group, step_down(seat, &my->server));
 *         coil_attempt (coil_server_serve(&my->server));
 *     }
 *
 *     coil_async (int, step_down, (coil_seat *) seat, (coil_server *) server)
 *     {
 *         my->rc = coil_seat_ready(seat);                    from here on we are counted on
 *         coil_attempt (coil_seat_leaving(seat));            our successor serves, or the end
 *         coil_server_drain(server, coil_s(30));
 *     }
 *
 * What the master does when it gets a signal, or is told by a call
 *
 *     SIGHUP              reload: as many new workers; when all of them are ready, the old ones
 *                         drain. If one cannot start, the new ones go and the old ones stay, as
 *                         many as they were
 *     SIGTTIN, SIGTTOU    one worker more, one less, which drains
 *     SIGUSR2             upgrade: a new master (`successor`) with the same sockets starts workers
 *                         of its own; when all are ready, this one drains and ends. If it fails,
 *                         nothing has happened
 *     SIGTERM, SIGQUIT    drain and end; SIGINT, or the second SIGTERM: end at once
 *
 * Invariants
 *   - The master holds every socket open as long as it lives, so what the kernel has completed for
 *     a worker that is gone waits for the next one. Nobody is refused, whoever comes and goes.
 *   - Workers drain only when those in their place have said that they are ready.
 *   - A worker that dies is replaced at once, if it had been of use for a while; else after pauses
 *     that grow.
 *   - A worker that has grown beyond `memory_max_bytes` drains when another is ready in its place.
 *   - A worker whose loop stands still for `heartbeat_limit` gets SIGABRT, to leave a trace, and
 *     then SIGKILL. Not when the master itself was late. One that does not end 10 s after SIGKILL,
 *     since the kernel does not give it back, is replaced all the same, and reaped when it ends;
 *     but with as many of them as there are workers, the next one keeps its place.
 *
 * Workers are started by exec, as those of coil/worker_pool.h, and end with their master
 * (coil/spawn.h, death_signal of `plan`).
 *
 * gunicorn, unicorn: the signals; uWSGI: cheaper; nginx: upgrading an executable on the fly.
 * On the loop's thread only, which is the process's main one.
 */
#ifndef COIL_PREFORK_H
#define COIL_PREFORK_H

#include <coil/child.h>
#include <coil/group.h>

COIL_BEGIN_DECLS

enum {
    COIL_PREFORK_SOCKETS = 100,   /* The most that a master has. */
    COIL_PREFORK_WORKERS = 1024,  /* The most that it may have. */
    COIL_PREFORK_NAME_BYTES = 32, /* Of a socket's name, with its NUL. */
};

typedef struct coil_prefork coil_prefork;
typedef struct coil_prefork_options coil_prefork_options;
typedef struct coil_prefork_event coil_prefork_event;
typedef struct coil_prefork_hook coil_prefork_hook;
typedef struct coil_prefork_stats coil_prefork_stats;
typedef struct coil_seat coil_seat;

/* What has happened. */
typedef enum coil_prefork_news {
    COIL_PREFORK_READY,          /* A worker is. */
    COIL_PREFORK_DIED,           /* A worker, that was not told to: `exit`. */
    COIL_PREFORK_UNREADY,        /* A worker has not become ready: `error`. */
    COIL_PREFORK_HUNG,           /* A worker's loop stands still: it gets SIGABRT. */
    COIL_PREFORK_LEFT,           /* A worker has, as it was told. */
    COIL_PREFORK_RELOADED,       /* The workers are other ones. */
    COIL_PREFORK_RELOAD_FAILED,  /* They are the same as before. */
    COIL_PREFORK_UPGRADED,       /* Another master serves; this one ends. */
    COIL_PREFORK_UPGRADE_FAILED, /* It does not: `error`. */
    COIL_PREFORK_RECYCLED,       /* A worker has too much memory; another is to take its place. */
} coil_prefork_news;

struct coil_prefork_event {
    coil_prefork_news news;
    pid_t pid;           /* Of the worker or the other master; 0: none. */
    unsigned number;     /* Of the worker. */
    unsigned generation; /* Of the worker: 1, 2, ... with each reload. */
    int error;
    const coil_exit *exit; /* NULL: it has not ended, be it that SIGKILL has not helped. */
};

/*
 * Is told what happens. Must not wait. May command the master; but who is told that a reload or an
 * upgrade has failed asks for another one later, and not from within.
 */
struct coil_prefork_hook {
    void (*tell)(coil_prefork_hook *hook, const coil_prefork_event *event);
};

/*
 * Zero, or a duration below it, means the default. What it points to is borrowed as long as there
 * is a master.
 */
struct coil_prefork_options {
    /*
     * What a worker runs. NULL, or without a program: this program itself, /proc/self/exe. A group
     * of its own; what is still in that when the worker ends is killed (before Linux 6.9 not if it
     * ends when asked to). Descriptors of the plan have numbers from 104 on (-EINVAL), as those
     * below are for sockets; the same in `successor`.
     */
    const coil_spawn_plan *plan;
    /*
     * What SIGUSR2 runs: a program by its path, which may be another file by then. NULL: upgrades
     * fail with -EOPNOTSUPP. It outlives this process, whatever its death_signal.
     */
    const coil_spawn_plan *successor;

    unsigned workers; /* One for each processor we may run on. At most COIL_PREFORK_WORKERS. */
    coil_duration ready_limit;     /* For a worker to be ready: 30 s. */
    coil_duration drain_limit;     /* For one that was told to drain, before SIGKILL: 30 s. */
    coil_duration heartbeat_limit; /* None. */
    coil_duration abort_limit;     /* From SIGABRT to SIGKILL: 2 s. */
    uint64_t memory_max_bytes;     /* A worker that has more in memory is replaced: no limit. */

    /*
     * With both, their number follows the load (coil_seat_set_load()): as many as it takes for this
     * much load each, and one more, between `workers` and `workers_max`. Up at once, down when it
     * was so for `calm_limit` (30 s).
     */
    unsigned workers_max;
    unsigned load_each;
    coil_duration calm_limit;

    coil_prefork_hook *hook;
};

struct coil_prefork_stats {
    unsigned target; /* How many workers there shall be. */
    unsigned ready;  /* Of those, that are. */
    unsigned draining;
    unsigned generation;
    uint64_t started; /* Workers that have become ready. */
    uint64_t died;
    uint64_t hung;
    uint64_t recycled; /* Workers that had too much memory. */
    uint64_t load;     /* The sum of what the ready ones have said. */
};

/* -------------------------------------------------------------------------------- the master -- */

/* A master without sockets and workers. -ENOMEM. */
COIL_API int coil_prefork_create(const coil_prefork_options *options, coil_prefork **out_prefork);

/*
 * The next socket of this name that the predecessor has passed on, which is the caller's from here
 * on. -ENOENT: there is none, or there is no predecessor.
 */
COIL_API int coil_prefork_passed(coil_prefork *prefork, const char *name);

/*
 * Give every worker this socket, under this name; or deal it to one of them: sockets of one address
 * that were made with SO_REUSEPORT, usually as many as there are workers, so that each has a queue
 * of its own. The socket is the master's from here on. Before it serves. -EINVAL: the name is
 * empty, too long or has a colon, -ENOSPC: there are COIL_PREFORK_SOCKETS; then it is closed.
 */
COIL_API int coil_prefork_share(coil_prefork *prefork, const char *name, int fd);
COIL_API int coil_prefork_deal(coil_prefork *prefork, const char *name, int fd);

/*
 * Have the workers, and heed the signals, until it is told to end, or another master has taken
 * over. 0; the first workers have not become ready: -ECHILD they have died, -ETIME; the error of
 * coil_child_spawn(); -ENOMEM. Cancelled: the workers are killed. Once.
 */
coil_declare(int, coil_prefork_serve, (coil_prefork *) prefork);

/*
 * What the signals do, by a call, while it serves. None of them waits. Scaling: at least 1, and as
 * many as there is memory for: `target` of the statistics says how many.
 */
COIL_API void coil_prefork_reload(coil_prefork *prefork);
COIL_API void coil_prefork_scale(coil_prefork *prefork, unsigned workers);
COIL_API void coil_prefork_upgrade(coil_prefork *prefork);
COIL_API void coil_prefork_stop(coil_prefork *prefork, coil_duration drain_limit);

COIL_API coil_prefork_stats coil_prefork_statistics(const coil_prefork *prefork);

/* Close the sockets. It does not serve. Takes NULL. */
COIL_API void coil_prefork_destroy(coil_prefork *prefork);

/* ---------------------------------------------------------------------------------- a worker -- */

/*
 * Was this process started to be a worker? 1, and its seat; or 0. Early, before there are threads.
 * -EBADF: what it was promised is not there; -ENOMEM.
 */
COIL_API int coil_seat_take(coil_seat **out_seat);

/* The next socket of this name, which is the caller's from here on. -ENOENT: there is none. */
COIL_API int coil_seat_socket(coil_seat *seat, const char *name);

/* From 0; and the reload that it came with, from 1. */
COIL_API unsigned coil_seat_number(const coil_seat *seat);
COIL_API unsigned coil_seat_generation(const coil_seat *seat);

/*
 * Tell the master that we serve; from here on this loop shows a sign of life a few times a second,
 * which costs no system call of its own. 0; -EPIPE: there is no master any more.
 */
COIL_API int coil_seat_ready(coil_seat *seat);

/* How much there is to do, such as open connections. */
COIL_API void coil_seat_set_load(coil_seat *seat, unsigned load);

/*
 * Wait until we are to drain and to end: another is in our place, or the master has gone. 0. One
 * task at a time.
 */
coil_declare(int, coil_seat_leaving, (coil_seat *) seat);

/* Close the sockets that nobody has asked for. Takes NULL. Before the loop is destroyed. */
COIL_API void coil_seat_release(coil_seat *seat);

COIL_END_DECLS

#endif
