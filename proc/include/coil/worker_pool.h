/* SPDX-License-Identifier: MIT */
/*
 * coil/worker_pool.h - jobs done by worker processes: what crashes, hangs or leaks takes one job
 * with it, and nothing else.
 *
 *     coil_open_group(&my->group);
 *     coil_worker_pool_options options = {.workers = 4, .spares = 1, .job_limit = coil_s(10)};
 *     my->rc = coil_worker_pool_open(&my->group, &options, &my->pool);
 *     coil_defer(coil_ignore(coil_worker_pool_close(my->pool, coil_s(5))));
 *
 *     my->job = (coil_job){.function = "resize", .bytes = picture, .size_bytes = size_bytes};
 *     coil_await(my->rc, coil_worker_pool_run(my->pool, &my->job));
 *     if (my->rc == 0)                         it has been done: job.value, job.reply
 *     ...
 *     coil_job_fini(&my->job);
 *
 * The other half, what a worker does, is coil/worker.h.
 *
 *     submit() --room in the queue--> queued --a worker is free--> running --> done
 *                                        |                            |         ^
 *                                        |   its worker crashes, is overdue: killed, replaced
 *                                        +---the pool closes, it is cancelled---+
 *
 * Invariants
 *   - Every job that was submitted is done once: with what its function has returned, or with an
 *     error that says why not. A worker that dies takes its own job with it, and no other.
 *   - A worker has one job at a time, which the pool has written down before the worker can see it.
 *   - Jobs begin in the order of submission; `workers` of them run at the same time, and
 *     `queue_limit` wait. Who submits more waits for room, first come, first served.
 *   - A worker that is gone is replaced; one that cannot start is tried again with growing pauses.
 *   - No worker outlives the pool, nor its process.
 *
 * Workers are started by exec, not forked: docs/decisions/0022-workers-by-exec.md. For the kernel
 * their parent is the thread of the loop, which should live as long as the pool (coil/spawn.h,
 * death_signal).
 *
 * On the loop's thread only. Python: concurrent.futures.ProcessPoolExecutor, where one crash breaks
 * the pool; multiprocessing.Pool, where it loses a job for ever.
 */
#ifndef COIL_WORKER_POOL_H
#define COIL_WORKER_POOL_H

#include <coil/child.h>
#include <coil/group.h>

COIL_BEGIN_DECLS

enum { COIL_WORKERS_MAX = 4096 }; /* Of one pool, with its spares. */

typedef struct coil_worker_pool coil_worker_pool;
typedef struct coil_worker_pool_options coil_worker_pool_options;
typedef struct coil_worker_pool_stats coil_worker_pool_stats;
typedef struct coil_job coil_job;

/*
 * Zero, or a duration below it, means the default. What it points to is borrowed until the pool is
 * closed.
 */
struct coil_worker_pool_options {
    /*
     * What a worker runs: a program whose main() calls coil_worker_main(). NULL, or without
     * `program`: this program itself, /proc/self/exe, which is the same code even if its file has
     * been replaced. Without `argv` it gets its name alone; .in is /dev/null. A group of its own,
     * so that ^C does not reach it, and so that what it has started is killed when it ends, in
     * whatever way: all that is still in that group (before Linux 6.9 not if it ends when asked
     * to). A cgroup of the plan is that of all workers.
     */
    const coil_spawn_plan *plan;

    unsigned workers;          /* At work at once: one for each processor we may run on. */
    unsigned spares;           /* More that have been started, for when one is gone. */
    unsigned queue_limit;      /* Jobs that wait: 16 for each worker. */
    coil_duration job_limit;   /* For jobs without a limit of their own: none. */
    coil_duration start_limit; /* For a worker to be ready: 10 s. */
    coil_duration exit_limit;  /* For one that was told to end, before it is killed: 1 s. */
    uint64_t reply_max_bytes;  /* For a reply; a longer one is not taken, -EMSGSIZE: 1 GiB. */

    /* When a worker is replaced although it works. Each up to an eighth earlier, by chance. */
    uint64_t jobs_max;         /* After so many jobs. No limit. */
    coil_duration age_max;     /* As old as this. No limit. */
    uint64_t memory_max_bytes; /* When it has so much resident memory after a job. No limit. */
};

/* Since the pool was opened. */
struct coil_worker_pool_stats {
    uint64_t submitted; /* Jobs that were queued. Of these: */
    uint64_t done;      /* their function has returned, whatever; */
    uint64_t crashed;   /* their worker has died; */
    uint64_t overdue;   /* their time was over; */
    uint64_t cancelled; /* nobody wanted them any more; */
    uint64_t refused;   /* no function of that name, no memory, no worker, a pool that closes. */
    uint64_t retried;   /* How often a job was begun again. */
    uint64_t started;   /* Workers that have become ready. Of these: */
    uint64_t died;      /* by themselves; */
    uint64_t killed;    /* by us: overdue, cancelled, deaf; */
    uint64_t recycled_by_jobs; /* replaced: see the options. */
    uint64_t recycled_by_age;
    uint64_t recycled_by_memory;
    uint64_t start_failures; /* Workers that have not become ready. */
    unsigned queue_length;   /* Now. */
    unsigned queue_length_max;
    unsigned idle; /* Workers that are ready, now. */
    unsigned busy;
    coil_duration waited; /* In the queue, the sum of all jobs that have begun; */
    coil_duration waited_max;
    coil_duration ran; /* and from begin to end of all that have ended. */
    coil_duration ran_max;
};

/*
 * How a job has ended.
 *
 * Of whom the kernel kills for want of memory it says no more than SIGKILL. So COIL_JOB_NO_MEMORY
 * is a worker that has exited with COIL_WORKER_NO_MEMORY_STATUS, or that got a SIGKILL, not from
 * us, after the kernel had killed somebody for want of memory since we last looked: in the cgroup
 * of the workers, if its memory.events.local can be read (cgroup v2); else, or if the worker has
 * moved to another cgroup, on this machine. Give the workers a cgroup of their own
 * (coil_spawn_plan.cgroup), and nobody else is counted.
 */
typedef enum coil_job_end {
    COIL_JOB_PENDING,   /* It has not. */
    COIL_JOB_DONE,      /* Its function has returned: `value`, `reply`. */
    COIL_JOB_CRASHED,   /* Its worker died before it had answered: `exit`. -EOWNERDEAD */
    COIL_JOB_NO_MEMORY, /* The same, for want of memory, as far as one can tell. -ENOMEM */
    COIL_JOB_OVERDUE,   /* Its time was over; the worker was killed. -ETIME */
    COIL_JOB_CANCELLED, /* coil_job_cancel(). -ECANCELED */
    COIL_JOB_REFUSED,   /* It was not begun, or its reply could not be taken: `error`. */
} coil_job_end;

typedef enum coil_job_cancelling {
    COIL_JOB_KILL,   /* The worker is killed, and replaced. */
    COIL_JOB_FINISH, /* The worker does it to its end; the result is dropped. */
} coil_job_cancelling;

/*
 * The caller's memory, from submitting until it has ended; zeroed before, but for what it sets. To
 * use it again, zero it again.
 */
struct coil_job {
    const char *function; /* Its name: at most COIL_WORKER_NAME_BYTES with its NUL. */
    const void *bytes;    /* What it gets. Borrowed until the job has ended. */
    size_t size_bytes;
    coil_duration limit; /* From begin to end. 0: that of the pool; COIL_FOREVER: none; below 0: it
                            is over already, and the job is refused. */
    unsigned retries;    /* Begin it again as often if its worker crashes: for those */
    coil_job_cancelling on_cancel; /* that do no harm twice. */

    /* Once it has ended. */
    coil_job_end end;
    int error;         /* 0 if it was done; else as coil_job_wait() says. */
    int value;         /* What the function has returned. */
    const void *reply; /* What it has replied, until coil_job_fini(). NULL: nothing. */
    size_t reply_bytes;
    coil_exit exit;       /* COIL_JOB_CRASHED and _NO_MEMORY: how the worker has ended. */
    unsigned attempts;    /* How often it was begun. */
    coil_duration waited; /* In the queue, the last time. */
    coil_duration ran;    /* The last time. */

    /* Private. */
    coil_worker_pool *pool; /* From submitting to the end. */
    coil_list link;         /* In its queue. */
    struct coil_worker_process *worker;
    coil_list waiters;
    coil_time since;
    unsigned unread_count; /* How often its worker died before it had begun. */
    bool is_mapped;
};

/* ---------------------------------------------------------------------------------- the pool -- */

/*
 * Start a pool, whose workers tasks of `group` look after. Does not wait for any to be ready.
 * -ENOMEM; -EINVAL: more than COIL_WORKERS_MAX of them; -ELOOP: this process is a worker itself,
 * and has not asked coil_worker_wanted().
 */
COIL_API int coil_worker_pool_open(
        coil_group *group, const coil_worker_pool_options *options, coil_worker_pool **out_pool);

/*
 * Wait until a worker is ready. 0; or why none can be started: the error of coil_child_spawn(), or
 * -ECHILD: they end before they are ready, -ETIME, they do not say that they are. -ESHUTDOWN.
 * It goes on trying in any case.
 */
coil_declare(int, coil_worker_pool_ready, (coil_worker_pool *) pool);

/*
 * Take no more jobs. Those that wait and run may be done within `grace`; the others end with
 * -ESHUTDOWN, and their workers are killed. 0: at once, COIL_FOREVER: all may be done. Then all
 * workers have ended, and the pool is gone. A cancellation ends the grace. 0, or -ETIME: some jobs
 * were not done. Nobody may use it any more but those whose jobs have been submitted. Takes NULL.
 */
coil_declare(int, coil_worker_pool_close, (coil_worker_pool *) pool, (coil_duration) grace);

/* Counters as they are now. */
COIL_API coil_worker_pool_stats coil_worker_pool_statistics(const coil_worker_pool *pool);

/* Replace every worker by a new one as soon as it is free: for when what they have read is old. */
COIL_API void coil_worker_pool_recycle(coil_worker_pool *pool);

/* -------------------------------------------------------------------------------------- jobs -- */

/*
 * Queue a job; wait for room if there is none. 0: it is queued, and has to be awaited, or
 * cancelled. -ESHUTDOWN the pool closes; -ENAMETOOLONG; -ETIME its limit is below 0; the error of
 * coil_worker_pool_ready() if no worker can be started.
 */
coil_declare(int, coil_worker_pool_submit, (coil_worker_pool *) pool, (coil_job *) job);

/* The same without waiting. -EAGAIN: there is no room. */
COIL_API int coil_worker_pool_try_submit(coil_worker_pool *pool, coil_job *job);

/*
 * Wait for the end of a job that was submitted. 0: it was done; else job->error, which job->end
 * puts into words: -EOWNERDEAD, -ENOMEM, -ETIME, -ECANCELED, or it was refused: -ENOSYS there is
 * no function of that name, -ENOMEM, -EMFILE and the like, -EMSGSIZE its reply is too long,
 * -ESHUTDOWN, -ECHILD... Cancelling a wait does not cancel the job. Several tasks may wait.
 */
coil_declare(int, coil_job_wait, (coil_job *) job);

/* Submit it and wait for its end; if that is cancelled, cancel the job. As coil_job_wait(). */
coil_declare(int, coil_worker_pool_run, (coil_worker_pool *) pool, (coil_job *) job);

/* End it now, as its `on_cancel` says. Does not wait. Nothing if it has ended, or never begun. */
COIL_API void coil_job_cancel(coil_job *job);

/* Give back the reply. The job has ended, or was not submitted. */
COIL_API void coil_job_fini(coil_job *job);

/* "was done", "worker was killed by SIGSEGV", "took too long", ... Returns `text`. */
COIL_API const char *coil_job_format(const coil_job *job, char text[COIL_EXIT_TEXT_BYTES]);

COIL_END_DECLS

#endif
