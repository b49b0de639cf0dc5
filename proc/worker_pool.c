/* SPDX-License-Identifier: MIT */
/* Jobs: the queue, who gets the next one, how they end. */
#include <coil/worker_pool.h>

#include "worker_private.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_FOR_EACH = 16, CPUS_MAX = 1024, UNREAD_MAX = 5 };

/* Who waits for room in the queue. */
typedef struct applicant {
    coil_waiter waiter;
    coil_job *job;
} applicant;

uint64_t pool_random(coil_worker_pool *pool, uint64_t bound)
{
    pool->random ^= pool->random << 13;
    pool->random ^= pool->random >> 7;
    pool->random ^= pool->random << 17;
    return bound == 0 ? 0 : pool->random % bound;
}

/* ----------------------------------------------------------------------------- jobs that end -- */

static bool has_jobs(const coil_worker_pool *pool)
{
    return pool->stats.queue_length > 0 || pool->stats.busy > 0;
}

void pool_look_quiet(coil_worker_pool *pool)
{
    if (!has_jobs(pool))
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

/* It leaves the queue, and somebody may have its room. */
static void unqueue_job(coil_worker_pool *pool, coil_job *job)
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

/* Those that wait are not to be begun any more. */
static void refuse_jobs(coil_worker_pool *pool, int error)
{
    coil_job *job;

    coil_waiter_grant_all(&pool->room, error);
    while ((job = first_job(pool)) != NULL) {
        unqueue_job(pool, job);
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

void pool_job_crashed(coil_worker_pool *pool, coil_job *job, const coil_exit *exit, bool was_begun)
{
    if (pool->is_ending) {
        pool_end_job(pool, job, COIL_JOB_REFUSED, -ESHUTDOWN);
        return;
    }
    if (may_try_again(job, was_begun)) {
        pool->stats.retried++;
        queue_job(pool, job, pool->queue.next);
        pool_dispatch(pool);
        return;
    }
    bool wants_memory = !exit->signaled && exit->code == COIL_WORKER_NO_MEMORY_STATUS;
    if (exit->signaled && exit->code == SIGKILL) {
        const uint64_t oom_count = pool_oom_count();
        wants_memory = oom_count > pool->oom_count;
        pool->oom_count = oom_count;
    }
    job->exit = *exit;
    if (wants_memory) {
        pool_end_job(pool, job, COIL_JOB_NO_MEMORY, -ENOMEM);
    } else {
        pool_end_job(pool, job, COIL_JOB_CRASHED, -EOWNERDEAD);
    }
}

/* --------------------------------------------------------------------------- jobs that begin -- */

/* Hand it over. 0; -EPIPE and the like: the worker is none any more; else it is the job's fault. */
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
    *out_is_worker = rc < 0;
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
            unqueue_job(pool, job);
        } else if (is_worker) {
            coil_list_remove(&first->link); /* Its keeper finds out why. */
            first->state = WORKER_ABSENT;
            first->may_leave = true;
            pool->stats.idle--;
            worker_hurry(first);
        } else {
            unqueue_job(pool, job);
            pool_end_job(pool, job, COIL_JOB_REFUSED, rc);
        }
    }
}

/* Why no job can be taken, or 0. */
static int why_not(const coil_worker_pool *pool)
{
    if (pool->is_closing)
        return -ESHUTDOWN;
    if (pool->failures >= WORKER_START_TRIES && pool->stats.idle + pool->stats.busy == 0)
        return pool->start_error;
    return 0;
}

static int refuse(coil_job *job, int error)
{
    job->end = COIL_JOB_REFUSED;
    job->error = error;
    return error;
}

int coil_worker_pool_try_submit(coil_worker_pool *pool, coil_job *job)
{
    COIL_CHECK(job->pool == NULL); /* Else it is submitted already. */
    COIL_CHECK(job->function != NULL);
    COIL_CHECK(job->bytes != NULL || job->size_bytes == 0);

    const int rc = why_not(pool);
    if (rc < 0)
        return refuse(job, rc);
    if (strlen(job->function) >= COIL_WORKER_NAME_BYTES)
        return refuse(job, -ENAMETOOLONG);
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

/* ----------------------------------------------------------------------------- for its users -- */

coil_define(int, coil_job_wait, (coil_job *) job)
{
    coil_vars();

    COIL_CHECK(job->pool != NULL || job->end != COIL_JOB_PENDING); /* It was not submitted. */
    while (job->end == COIL_JOB_PENDING)
        coil_ignore(coil_waiter_wait(&job->waiters));
    return job->error;
}

coil_define(int, coil_worker_pool_run, (coil_worker_pool *) pool, (coil_job *) job)
{
    coil_vars(int rc);

    coil_attempt(coil_worker_pool_submit(pool, job));
    coil_defer(coil_job_cancel(job));
    coil_await(my->rc, coil_job_wait(job));
    return my->rc;
}

void coil_job_cancel(coil_job *job)
{
    coil_worker_pool *pool = job->pool;
    worker_process *worker = job->worker;

    if (pool == NULL)
        return;
    if (worker == NULL) {
        unqueue_job(pool, job);
    } else {
        worker->job = NULL;
        worker->is_doomed = worker->is_doomed || job->on_cancel == COIL_JOB_KILL;
        worker_hurry(worker);
    }
    pool_end_job(pool, job, COIL_JOB_CANCELLED, -ECANCELED);
}

void coil_job_fini(coil_job *job)
{
    COIL_CHECK(job->pool == NULL);               /* It has ended. */
    void *reply = (void *)(uintptr_t)job->reply; /* NOLINT(performance-no-int-to-ptr) */

    if (job->is_mapped) {
        coil_kernel_memory_unmap(reply, job->reply_bytes);
    } else {
        free(reply);
    }
    job->reply = NULL;
    job->reply_bytes = 0;
    job->is_mapped = false;
}

const char *coil_job_format(const coil_job *job, char text[COIL_EXIT_TEXT_BYTES])
{
    static const char *const words[] = {
            [COIL_JOB_PENDING] = "has not ended",
            [COIL_JOB_DONE] = "was done",
            [COIL_JOB_NO_MEMORY] = "worker had no memory",
            [COIL_JOB_OVERDUE] = "took too long",
            [COIL_JOB_CANCELLED] = "was cancelled",
    };
    char how[COIL_EXIT_TEXT_BYTES];

    if (job->end == COIL_JOB_CRASHED) {
        (void)snprintf(
                text, COIL_EXIT_TEXT_BYTES, "worker %.55s", coil_exit_format(&job->exit, how));
    } else if (job->end == COIL_JOB_REFUSED) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "was refused: %s", coil_error_name(job->error));
    } else {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "%s", words[job->end]);
    }
    return text;
}

coil_worker_pool_stats coil_worker_pool_statistics(const coil_worker_pool *pool)
{
    return pool->stats;
}

void coil_worker_pool_recycle(coil_worker_pool *pool)
{
    for (unsigned i = 0; i < pool->worker_count; i++) {
        pool->workers[i].wants_recycling = true;
        worker_hurry(&pool->workers[i]);
    }
}

/* -------------------------------------------------------------------------- for its keepers -- */

void pool_worker_ready(coil_worker_pool *pool)
{
    pool->stats.started++;
    coil_waiter_grant_all(&pool->ready, 0);
}

void pool_start_failed(coil_worker_pool *pool, int error)
{
    pool->stats.start_failures++;
    pool->failures++;
    pool->start_error = error;
    const int rc = why_not(pool);
    if (rc == 0 || pool->is_closing)
        return;
    coil_waiter_grant_all(&pool->ready, rc);
    refuse_jobs(pool, rc);
}

void pool_keeper_ended(coil_worker_pool *pool)
{
    if (--pool->keeper_count > 0)
        return;
    pool->is_closing = true;
    refuse_jobs(pool, -ESHUTDOWN);
    coil_waiter_grant_all(&pool->ready, -ESHUTDOWN);
    coil_waiter_grant_all(&pool->quiet, 0);
}

/* ----------------------------------------------------------------------- opening and closing -- */

static void set_options(coil_worker_pool *pool, const coil_worker_pool_options *options)
{
    coil_worker_pool_options *own = &pool->options;
    int cpus[CPUS_MAX];

    if (options != NULL)
        *own = *options;
    if (own->workers == 0) {
        const int count = coil_kernel_cpus(cpus, CPUS_MAX);
        own->workers = count > 0 ? (unsigned)count : 1;
    }
    if (own->queue_limit == 0)
        own->queue_limit = QUEUE_FOR_EACH * own->workers;
    if (own->start_limit == 0)
        own->start_limit = coil_s(10);
    if (own->exit_limit == 0)
        own->exit_limit = coil_s(1);
}

static size_t count_of(const char *const *list)
{
    size_t count = 0;
    while (list[count] != NULL)
        count++;
    return count;
}

/* What each worker is started with. */
static int set_plan(coil_worker_pool *pool)
{
    static const char *const just_the_name[] = {"worker", NULL};
    coil_spawn_plan *plan = &pool->plan;

    if (pool->options.plan != NULL)
        *plan = *pool->options.plan;
    if (plan->program == NULL)
        plan->program = "/proc/self/exe";
    if (plan->argv == NULL)
        plan->argv = just_the_name;
    if (plan->in.mode == COIL_STDIO_INHERIT)
        plan->in.mode = COIL_STDIO_NULL;
    if (plan->group == COIL_SPAWN_GROUP_INHERIT)
        plan->group = COIL_SPAWN_GROUP_NEW;

    const char *const *env = plan->env != NULL ? plan->env : (const char *const *)environ;
    const size_t env_count = env == NULL ? 0 : count_of(env);
    pool->env = calloc(env_count + 2, sizeof(*pool->env));
    pool->fds = calloc(plan->fd_count + 1, sizeof(*pool->fds));
    if (pool->env == NULL || pool->fds == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < env_count; i++)
        pool->env[i] = env[i];
    (void)snprintf(pool->variable, sizeof(pool->variable), COIL_WORKER_VARIABLE "=%d",
            (int)COIL_WORKER_FD);
    pool->env[env_count] = pool->variable;
    for (size_t i = 0; i < plan->fd_count; i++)
        pool->fds[i] = plan->fds[i];
    plan->env = pool->env;
    plan->fds = pool->fds;
    plan->fd_count++;
    return 0;
}

static int set_workers(coil_worker_pool *pool)
{
    pool->worker_count = pool->options.workers + pool->options.spares;
    pool->workers = calloc(pool->worker_count, sizeof(*pool->workers));
    if (pool->workers == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < pool->worker_count; i++) {
        worker_process *one = &pool->workers[i];
        *one = (worker_process){.pool = pool, .socket = -1, .statm = -1};
        one->child.pidfd = -1;
        coil_list_init(&one->link);
        one->bytes = malloc(COIL_WORKER_INLINE_BYTES);
        if (one->bytes == NULL)
            return -ENOMEM;
    }
    return 0;
}

static void destroy(coil_worker_pool *pool)
{
    for (unsigned i = 0; pool->workers != NULL && i < pool->worker_count; i++)
        free(pool->workers[i].bytes);
    free(pool->workers);
    free(pool->env);
    free(pool->fds);
    free(pool);
}

int coil_worker_pool_open(
        coil_group *group, const coil_worker_pool_options *options, coil_worker_pool **out_pool)
{
    coil_worker_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return -ENOMEM;
    coil_list *const lists[] = {&pool->idle, &pool->queue, &pool->room, &pool->ready, &pool->quiet};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        coil_list_init(lists[i]);
    pool->loop = coil_loop_current();
    COIL_CHECK(pool->loop != NULL);
    set_options(pool, options);
    coil_kernel_random(&pool->random, sizeof(pool->random));
    pool->random |= 1;
    pool->oom_count = pool_oom_count();
    int rc = set_plan(pool);
    if (rc == 0)
        rc = set_workers(pool);
    if (rc < 0) {
        destroy(pool);
        return rc;
    }
    pool->keeper_count = pool->worker_count;
    for (unsigned i = 0; i < pool->worker_count; i++) {
        if (coil_spawn(group, worker_keep(&pool->workers[i])) == NULL)
            pool_keeper_ended(pool); /* And the group has failed. */
    }
    *out_pool = pool;
    return 0;
}

coil_define(int, coil_worker_pool_ready, (coil_worker_pool *) pool)
{
    coil_vars(int rc);

    if (pool->stats.idle + pool->stats.busy > 0)
        return 0;
    my->rc = why_not(pool);
    if (my->rc == 0)
        coil_await(my->rc, coil_waiter_wait(&pool->ready));
    return my->rc;
}

coil_async(int, until_quiet, (coil_worker_pool *) pool)
{
    coil_vars();

    while (has_jobs(pool) && pool->keeper_count > 0)
        coil_ignore(coil_waiter_wait(&pool->quiet));
    return 0;
}

/* Whoever is at work is killed; the others are told. */
static void end_workers(coil_worker_pool *pool)
{
    pool->is_ending = true;
    for (unsigned i = 0; i < pool->worker_count; i++) {
        worker_process *one = &pool->workers[i];
        coil_job *job = one->job;

        one->job = NULL;
        one->is_doomed = one->is_doomed || one->state == WORKER_BUSY;
        if (job != NULL)
            pool_end_job(pool, job, COIL_JOB_REFUSED, -ESHUTDOWN);
        worker_hurry(one);
    }
}

coil_define(int, coil_worker_pool_close, (coil_worker_pool *) pool, (coil_duration) grace)
{
    coil_vars(int rc);

    if (pool == NULL)
        return 0;
    pool->is_closing = true;
    coil_waiter_grant_all(&pool->room, -ESHUTDOWN);
    coil_waiter_grant_all(&pool->ready, -ESHUTDOWN);
    coil_defer({
        refuse_jobs(pool, -ESHUTDOWN);
        end_workers(pool);
        while (pool->keeper_count > 0)
            coil_ignore(coil_waiter_wait(&pool->quiet));
        destroy(pool);
    });
    if (has_jobs(pool) && grace > 0)
        coil_await(my->rc, coil_within(grace, until_quiet(pool)));
    return has_jobs(pool) ? -ETIME : 0;
}
