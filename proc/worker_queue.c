/* SPDX-License-Identifier: MIT */
/* The queue of jobs: who gets in, who is next, how they end. */
#include "worker_private.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <string.h>

enum { UNREAD_MAX = 5 };

/* Who waits for room in the queue. */
typedef struct applicant {
    coil_waiter waiter;
    coil_job *job;
} applicant;

/* ----------------------------------------------------------------------------- jobs that end -- */

bool pool_has_jobs(const coil_worker_pool *pool)
{
    return pool->stats.queue_length > 0 || pool->stats.busy > 0;
}

void pool_look_quiet(coil_worker_pool *pool)
{
    if (!pool_has_jobs(pool))
        coil_waiter_grant_all(&pool->quiet, 0);
}

static void count_end(coil_worker_pool_stats *stats, coil_job_end end)
{
    switch (end) {
    case COIL_JOB_PENDING:
        break;
    case COIL_JOB_DONE:
        stats->done++;
        break;
    case COIL_JOB_CRASHED:
    case COIL_JOB_NO_MEMORY:
        stats->crashed++;
        break;
    case COIL_JOB_OVERDUE:
        stats->overdue++;
        break;
    case COIL_JOB_CANCELLED:
        stats->cancelled++;
        break;
    case COIL_JOB_REFUSED:
        stats->refused++;
        break;
    }
}

void pool_end_job(coil_worker_pool *pool, coil_job *job, coil_job_end end, int error)
{
    count_end(&pool->stats, end);
    job->end = end;
    job->error = error;
    job->pool = NULL;
    job->worker = NULL;
    coil_waiter_grant_all(&job->waiters, error);
    pool_look_quiet(pool);
}

/* It has never been in the queue. */
static int refuse(coil_job *job, int error)
{
    job->end = COIL_JOB_REFUSED;
    job->error = error;
    return error;
}

/* Queue it, first or last. */
static void queue_job(coil_worker_pool *pool, coil_job *job, coil_list *before)
{
    coil_worker_pool_stats *stats = &pool->stats;

    coil_list_append(before, &job->link);
    job->pool = pool;
    job->worker = NULL;
    job->since = coil_loop_now(pool->loop);
    stats->queue_length++;
    if (stats->queue_length > stats->queue_length_max)
        stats->queue_length_max = stats->queue_length;
}

/* A job that is submitted. */
static void accept_job(coil_worker_pool *pool, coil_job *job)
{
    coil_list_init(&job->link);
    coil_list_init(&job->waiters);
    pool->stats.submitted++;
    queue_job(pool, job, &pool->queue);
}

void pool_unqueue_job(coil_worker_pool *pool, coil_job *job)
{
    coil_waiter *first;

    coil_list_remove(&job->link);
    pool->stats.queue_length--;
    while (pool->stats.queue_length < pool->options.queue_limit &&
            (first = coil_waiter_first(&pool->room)) != NULL) {
        accept_job(pool, coil_container_of(first, applicant, waiter)->job);
        coil_waiter_grant(first, 0);
    }
}

static coil_job *first_job(const coil_worker_pool *pool)
{
    if (coil_list_empty(&pool->queue))
        return NULL;
    return coil_container_of(pool->queue.next, coil_job, link);
}

void pool_refuse_applicants(coil_worker_pool *pool, int error)
{
    coil_waiter *first;

    while ((first = coil_waiter_first(&pool->room)) != NULL) {
        const int rc = refuse(coil_container_of(first, applicant, waiter)->job, error);
        coil_waiter_grant(first, rc);
    }
}

void pool_refuse_jobs(coil_worker_pool *pool, int error)
{
    coil_job *job;

    pool_refuse_applicants(pool, error);
    while ((job = first_job(pool)) != NULL) {
        pool_unqueue_job(pool, job);
        pool_end_job(pool, job, COIL_JOB_REFUSED, error);
    }
}

/* Once more? A job that nobody has begun is not given to worker after worker for ever. */
static bool may_try_again(coil_job *job, bool was_begun)
{
    if (was_begun || job->unread_count == UNREAD_MAX)
        return job->attempts <= job->retries;
    job->unread_count++;
    job->attempts--;
    return true;
}

/* (0: nobody knows.) */
static bool has_grown(uint64_t *count, uint64_t now)
{
    const bool is_more = now > *count;

    if (now != 0)
        *count = now;
    return is_more;
}

/* As far as one can tell: the kernel does not say whom it has killed. */
static bool has_lacked_memory(coil_worker_pool *pool, const job_loss *loss)
{
    if (!loss->exit.signaled)
        return loss->exit.code == COIL_WORKER_NO_MEMORY_STATUS;
    if (loss->exit.code != SIGKILL || loss->was_killed)
        return false;
    const bool here = has_grown(&pool->events_count, worker_memory_kills(pool->events));
    const bool anywhere = has_grown(&pool->machine_count, worker_memory_kills(NULL));
    return loss->was_at_home ? here : anywhere;
}

void pool_job_crashed(coil_worker_pool *pool, coil_job *job, const job_loss *loss)
{
    if (pool->is_ending) {
        pool_end_job(pool, job, COIL_JOB_REFUSED, -ESHUTDOWN);
        return;
    }
    if (may_try_again(job, loss->was_begun)) {
        pool->stats.retried++;
        queue_job(pool, job, pool->queue.next);
        pool_dispatch(pool);
        return;
    }
    job->exit = loss->exit;
    if (has_lacked_memory(pool, loss)) {
        pool_end_job(pool, job, COIL_JOB_NO_MEMORY, -ENOMEM);
    } else {
        pool_end_job(pool, job, COIL_JOB_CRASHED, -EOWNERDEAD);
    }
}

/* --------------------------------------------------------------------------- jobs that begin -- */

/* Has nobody heard it, who should have? It may well be heard by another then. */
static bool is_deaf(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET || rc == -EAGAIN;
}

/* Hand it over. 0; it is the worker's fault, or else the job's (-ENOMEM, -EMFILE, -EMSGSIZE). */
static int send_job(worker_process *worker, const coil_job *job, bool *out_is_worker)
{
    const bool is_long = job->size_bytes > COIL_WORKER_INLINE_BYTES;
    worker_request request = {.head = {.kind = WORKER_JOB,
                                      .number = worker->job_number,
                                      .size_bytes = job->size_bytes,
                                      .is_in_memory = is_long}};

    memcpy(request.name, job->function, strlen(job->function) + 1);
    *out_is_worker = false;
    int fd = is_long ? worker_memory_of(job->bytes, job->size_bytes) : -1;
    if (is_long && fd < 0)
        return fd;
    int rc = worker_send_now(
            worker->socket, &request, sizeof(request), job->bytes, job->size_bytes, fd);
    if (fd >= 0)
        (void)coil_kernel_close(fd);
    *out_is_worker = is_deaf(rc);
    return rc;
}

static void begin_job(coil_worker_pool *pool, worker_process *worker, coil_job *job)
{
    coil_worker_pool_stats *stats = &pool->stats;
    const coil_time now = coil_loop_now(pool->loop);
    const coil_duration limit = job->limit > 0 ? job->limit : pool->options.job_limit;

    coil_list_remove(&worker->link);
    stats->idle--;
    stats->busy++;
    worker->state = WORKER_BUSY;
    worker->has_worked = true;
    worker->job = job;
    worker->began = now;
    worker->deadline = limit > 0 ? coil_time_after(now, limit) : COIL_NEVER;
    (void)coil_timeout_move(&worker->timeout, worker->deadline);
    worker->failures = 0;
    pool->failures = 0;

    job->worker = worker;
    job->attempts++;
    job->waited = now - job->since;
    stats->waited += job->waited;
    stats->waited_max = job->waited > stats->waited_max ? job->waited : stats->waited_max;
}

void pool_dispatch(coil_worker_pool *pool)
{
    coil_job *job;

    while ((job = first_job(pool)) != NULL && !coil_list_empty(&pool->idle) &&
            pool->stats.busy < pool->options.workers) {
        worker_process *first = coil_container_of(pool->idle.next, worker_process, link);
        bool is_worker = false;

        first->job_number = ++pool->last_number;
        const int rc = send_job(first, job, &is_worker);
        if (rc == 0) {
            begin_job(pool, first, job);
            pool_unqueue_job(pool, job);
        } else if (is_worker) {
            coil_list_remove(&first->link); /* Its keeper finds out why. */
            first->state = WORKER_ABSENT;
            first->may_leave = true;
            first->has_left = rc != -EAGAIN;
            pool->stats.idle--;
            worker_hurry(first);
        } else {
            pool_unqueue_job(pool, job);
            pool_end_job(pool, job, COIL_JOB_REFUSED, rc);
        }
    }
}

int pool_why_not(const coil_worker_pool *pool)
{
    if (pool->is_closing)
        return -ESHUTDOWN;
    if (pool->failures >= WORKER_START_TRIES && pool->stats.idle + pool->stats.busy == 0)
        return pool->start_error;
    return 0;
}

int coil_worker_pool_try_submit(coil_worker_pool *pool, coil_job *job)
{
    COIL_CHECK(job->pool == NULL); /* Else it is submitted already. */
    COIL_CHECK(job->function != NULL);
    COIL_CHECK(job->bytes != NULL || job->size_bytes == 0);

    const int rc = pool_why_not(pool);
    if (rc < 0)
        return refuse(job, rc);
    if (strlen(job->function) >= COIL_WORKER_NAME_BYTES)
        return refuse(job, -ENAMETOOLONG);
    if (job->limit < 0)
        return refuse(job, -ETIME);
    if (pool->stats.queue_length >= pool->options.queue_limit || !coil_list_empty(&pool->room))
        return -EAGAIN;
    accept_job(pool, job);
    pool_dispatch(pool);
    return 0;
}

static coil_turn submit_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_worker_pool_submit__args *arguments =
            coil_arguments(coil_worker_pool_submit, leaf);

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    const int rc = coil_worker_pool_try_submit(arguments->pool, arguments->job);
    if (rc != -EAGAIN) {
        coil_result(coil_worker_pool_submit, leaf) = rc;
        return coil_leave(task, leaf);
    }
    applicant *waiting = coil_push(task, sizeof(*waiting));
    waiting->job = arguments->job;
    return coil_waiter_suspend(&waiting->waiter, &arguments->pool->room, task, leaf);
}

coil_define_leaf(coil_worker_pool_submit, submit_step, coil_waiter_cancel);
