/* SPDX-License-Identifier: MIT */
/*
 * worker_private.h - what the parts of a pool share.
 *
 *     worker_pool.c     options, workers, beginning and end
 *     worker_queue.c    jobs: who gets in, who is next, how they end
 *     worker_job.c      a job, for those who have submitted it
 *     worker_keeper.c   one worker: start, jobs, end, and again
 *     worker.c          the other side, in the worker process
 */
#ifndef WORKER_PRIVATE_H
#define WORKER_PRIVATE_H

#include <coil/worker_pool.h>

#include "worker_memory.h"
#include "worker_wire.h"

#include <coil/fd_watch.h>
#include <coil/timeout.h>

/* So many starts in a row have failed: jobs are refused, until one succeeds. */
enum { WORKER_START_TRIES = 3 };

typedef struct coil_worker_process worker_process;

typedef enum worker_state {
    WORKER_ABSENT, /* Not there, starting, or leaving: it gets no job. */
    WORKER_IDLE,   /* In pool->idle. */
    WORKER_BUSY,
} worker_state;

/* The place of one worker; processes come and go in it. */
struct coil_worker_process {
    coil_worker_pool *pool;
    worker_state state;
    coil_list link; /* WORKER_IDLE: in pool->idle. */
    coil_job *job;  /* WORKER_BUSY: NULL if nobody wants the result any more. */
    uint64_t job_number;
    coil_time began;
    coil_time deadline;  /* Of the job. */
    coil_time retire_at; /* Of the process. */
    uint64_t jobs_left;
    uint64_t memory_max_bytes;

    bool may_leave;       /* It was told to, or does: wait a little before killing it. */
    bool is_doomed;       /* It is to be killed. */
    bool wants_recycling; /* Another is to take its place, once it is free. */
    bool has_died;        /* Says its pidfd. */
    bool has_left;        /* Its side of the socket has ended, and nobody had told it to go. */
    bool has_worked;      /* It has had a job. */
    unsigned failures;    /* Starts in a row that have failed. */

    coil_child child;
    int socket;        /* -1: none. */
    worker_page *page; /* NULL: none. */
    int statm;         /* /proc/PID/statm; -1: nobody asks. */
    coil_fd_watch *watch;
    coil_fd_watch_hook death;
    coil_timeout timeout; /* Of whatever its keeper waits for: to hurry it. */
    ssize_t received_bytes;
    worker_head head;
    worker_inbox inbox;
    char *bytes; /* COIL_WORKER_INLINE_BYTES */
};

struct coil_worker_pool {
    coil_worker_pool_options options; /* With the defaults in. */
    coil_spawn_plan plan;
    const char **env;
    coil_spawn_fd *fds;
    char variable[32];

    coil_loop *loop;
    worker_process *workers;
    unsigned worker_count;
    unsigned keeper_count; /* That have not ended. */
    coil_list idle;        /* The one that was busy last is first: it is warm. */
    coil_list queue;       /* coil_job.link */
    coil_list room;        /* Those who wait for room in it. */
    coil_list ready;       /* Those who wait for a worker. */
    coil_list quiet;       /* Who waits for the last job to end, or the last keeper. */

    bool is_closing; /* No more jobs. */
    bool is_ending;  /* No more workers. */
    unsigned failures;
    int start_error;
    uint64_t last_number;
    uint64_t random;
    char *events;           /* Of the cgroup of the workers, as worker_memory_events(), or NULL. */
    uint64_t events_count;  /* Who has been killed for want of memory: in that, when we looked, */
    uint64_t machine_count; /* and at all. */
    coil_worker_pool_stats stats;
};

/* ------------------------------------------------------------------------- worker_keeper.c -- */

/* Have a worker in this place, until the pool ends. */
coil_declare_private(int, worker_keep, (worker_process *)worker);

/* Its keeper looks at it again, whatever that waits for. */
void worker_hurry(worker_process *worker);

/* -------------------------------------------------------------------------- worker_queue.c -- */

/* Begin jobs, as long as there are some, and workers for them. */
void pool_dispatch(coil_worker_pool *pool);

/* It leaves the queue, and somebody may have its room. */
void pool_unqueue_job(coil_worker_pool *pool, coil_job *job);

/* The job has ended; its memory is the caller's again. */
void pool_end_job(coil_worker_pool *pool, coil_job *job, coil_job_end end, int error);

/* What has become of a job's worker. */
typedef struct job_loss {
    coil_exit exit;
    bool was_begun;   /* It had begun the job. */
    bool was_killed;  /* By us. */
    bool was_at_home; /* In the cgroup of the workers. */
} job_loss;

/* Its worker has died: begin it again, or end it. */
void pool_job_crashed(coil_worker_pool *pool, coil_job *job, const job_loss *loss);

/* Those that wait are not to be begun any more; and who waits for room gets none. */
void pool_refuse_jobs(coil_worker_pool *pool, int error);
void pool_refuse_applicants(coil_worker_pool *pool, int error);

/* Why no job can be taken, or 0. */
int pool_why_not(const coil_worker_pool *pool);

/* Is there one that waits or runs? */
bool pool_has_jobs(const coil_worker_pool *pool);

/* A job or a worker has ended. Was it the last? */
void pool_look_quiet(coil_worker_pool *pool);

/* --------------------------------------------------------------------------- worker_pool.c -- */

/* A worker is ready; it was not. */
void pool_worker_ready(coil_worker_pool *pool, const worker_process *worker);

/* Is it in the cgroup that we know of? Before it is reaped. */
bool pool_knows_cgroup(const coil_worker_pool *pool, const worker_process *worker);

/* Another start has failed. */
void pool_start_failed(coil_worker_pool *pool, int error);

/* A keeper has ended; the pool may be gone then. */
void pool_keeper_ended(coil_worker_pool *pool);

/* A number below `bound`, by chance; 0 if that is 0. */
uint64_t pool_random(coil_worker_pool *pool, uint64_t bound);

#endif
