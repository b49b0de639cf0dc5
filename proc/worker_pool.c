/* SPDX-License-Identifier: MIT */
/* A pool: its options, its workers, its beginning and its end. */
#include <coil/worker_pool.h>

#include "worker_private.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_FOR_EACH = 16, CPUS_MAX = 1024, REPLY_MAX_BYTES = 1 << 30 };

uint64_t pool_random(coil_worker_pool *pool, uint64_t bound)
{
    pool->random ^= pool->random << 13;
    pool->random ^= pool->random >> 7;
    pool->random ^= pool->random << 17;
    return bound == 0 ? 0 : pool->random % bound;
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

/* It is that of the others, unless somebody has moved us meanwhile. */
static void note_cgroup(coil_worker_pool *pool, const worker_process *worker)
{
    char *events = worker_memory_events(worker->child.pid);

    if (events == NULL || (pool->events != NULL && strcmp(events, pool->events) == 0)) {
        free(events);
        return;
    }
    free(pool->events);
    pool->events = events;
    pool->events_count = worker_memory_kills(events);
}

bool pool_knows_cgroup(const coil_worker_pool *pool, const worker_process *worker)
{
    if (pool->events == NULL)
        return false;
    char *events = worker_memory_events(worker->child.pid);
    const bool is_known = events != NULL && strcmp(events, pool->events) == 0;
    free(events);
    return is_known;
}

void pool_worker_ready(coil_worker_pool *pool, const worker_process *worker)
{
    note_cgroup(pool, worker);
    pool->stats.started++;
    coil_waiter_grant_all(&pool->ready, 0);
}

void pool_start_failed(coil_worker_pool *pool, int error)
{
    pool->stats.start_failures++;
    pool->failures++;
    pool->start_error = error;
    const int rc = pool_why_not(pool);
    if (rc == 0 || pool->is_closing)
        return;
    coil_waiter_grant_all(&pool->ready, rc);
    pool_refuse_jobs(pool, rc);
}

void pool_keeper_ended(coil_worker_pool *pool)
{
    if (--pool->keeper_count > 0)
        return;
    pool->is_closing = true;
    pool_refuse_jobs(pool, -ESHUTDOWN);
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
    if (own->start_limit <= 0)
        own->start_limit = coil_s(10);
    if (own->exit_limit <= 0)
        own->exit_limit = coil_s(1);
    if (own->reply_max_bytes == 0)
        own->reply_max_bytes = REPLY_MAX_BYTES;
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
    free(pool->events);
    free(pool);
}

int coil_worker_pool_open(
        coil_group *group, const coil_worker_pool_options *options, coil_worker_pool **out_pool)
{
    if (secure_getenv(COIL_WORKER_VARIABLE) != NULL) { /* Each would start more, without end. */
        fprintf(stderr, "coil: a worker is about to start workers: its main() has to ask "
                        "coil_worker_wanted() first\n");
        return -ELOOP;
    }
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
    pool->machine_count = worker_memory_kills(NULL);
    int rc = pool->options.workers > COIL_WORKERS_MAX ? -EINVAL : 0;
    if (rc == 0 && pool->options.spares > COIL_WORKERS_MAX - pool->options.workers)
        rc = -EINVAL;
    if (rc == 0)
        rc = set_plan(pool);
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

    my->rc = pool_why_not(pool);
    if (my->rc == 0 && pool->stats.idle + pool->stats.busy == 0)
        coil_await(my->rc, coil_waiter_wait(&pool->ready));
    return my->rc;
}

coil_async(int, until_quiet, (coil_worker_pool *) pool)
{
    coil_vars();

    while (pool_has_jobs(pool) && pool->keeper_count > 0)
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
    pool_refuse_applicants(pool, -ESHUTDOWN);
    coil_waiter_grant_all(&pool->ready, -ESHUTDOWN);
    coil_defer({
        pool_refuse_jobs(pool, -ESHUTDOWN);
        end_workers(pool);
        while (pool->keeper_count > 0)
            coil_ignore(coil_waiter_wait(&pool->quiet));
        destroy(pool);
    });
    if (pool_has_jobs(pool) && grace > 0)
        coil_await(my->rc, coil_within(grace, until_quiet(pool)));
    return pool_has_jobs(pool) ? -ETIME : 0;
}
