/* SPDX-License-Identifier: MIT */
#include "thrift_pool_private.h"

#include <coil/waiter.h>

#include <errno.h>

enum { AGE_JITTER = 10 };

/* ---------------------------------------------------------------------------------- a line -- */

/* The one of this number; else one that nobody uses, and which has the least to remember. */
static pool_endpoint *find_endpoint(coil_thrift_pool *pool, uint64_t pool_number)
{
    pool_endpoint *found = NULL;

    for (unsigned i = 0; i < pool->line_count; i++) {
        pool_endpoint *one = &pool->endpoints[i];
        if (one->pool_number == pool_number)
            return one;
        if (one->user_count > 0)
            continue;
        if (found == NULL || found->breaker.state != COIL_CIRCUIT_CLOSED)
            found = one;
    }
    if (found == NULL)
        return NULL; /* Calls that have just ended still use all of them. */
    found->pool_number = pool_number;
    coil_circuit_breaker_init(&found->breaker, &pool->options.breaker);
    return found;
}

static int open_line(pool_line *self, coil_pooled *pooled)
{
    coil_thrift_pool *pool = self->pool;
    coil_thrift_pipeline_options options = pool->options.pipeline;
    const coil_duration age = pool->options.age_limit;

    self->endpoint = find_endpoint(pool, pooled->pool_number);
    if (self->endpoint == NULL)
        return -EBUSY;
    options.timeouts = NULL; /* We see to that. */
    options.timeout_count = 0;
    int rc = coil_thrift_pipeline_init(&self->pipeline, pooled->stream, &options);
    if (rc < 0)
        return rc;
    self->endpoint->user_count++;
    self->expires_at = coil_time_after(
            pool_now(pool), age - coil_random_duration(&pool->random, age / AGE_JITTER));
    self->is_live = true;
    pool->stats.opening--;
    pool->stats.live++;
    pool->stats.opened++;
    coil_waiter_grant_all(&pool->waiters, 0);
    return 0;
}

/* The task of a line ends. Who waits for one may open another now, or hears that there is none. */
static void close_line(pool_line *self, int rc)
{
    coil_thrift_pool *pool = self->pool;

    self->task = NULL;
    if (self->is_live) {
        self->is_live = false;
        self->endpoint->user_count--;
        pool->stats.live--;
        pool->stats.lost += rc < 0 && !pool->is_closed;
        coil_waiter_grant_all(&pool->waiters, 0);
    } else {
        pool->stats.opening--;
        pool->stats.open_failed++;
        if (pool->stats.opening == 0)
            coil_waiter_grant_all(&pool->waiters, rc);
    }
    if (pool->stats.opening + pool->stats.live == 0)
        coil_waiter_grant_all(&pool->closers, 0);
    pool_leave(pool);
}

coil_async(int, run_line, (pool_line *) self)
{
    coil_vars(coil_pooled *pooled; int rc);

    my->rc = -ESHUTDOWN;
    coil_defer(close_line(self, my->rc));
    if (self->pool->is_closed)
        return 0;
    coil_await(my->pooled, coil_balancer_checkout(self->pool->balancer));
    my->rc = coil_pointer_error(my->pooled);
    if (my->rc < 0)
        return 0;
    coil_defer(coil_pooled_give_back(my->pooled));
    my->rc = open_line(self, my->pooled);
    if (my->rc < 0)
        return 0;
    coil_defer(coil_thrift_pipeline_fini(&self->pipeline));
    my->rc = -ESHUTDOWN;
    coil_await(my->rc, coil_thrift_pipeline_run(&self->pipeline));
    return 0;
}

/* Open one more. -ENOSPC: there are as many as may be. */
static int start_line(coil_thrift_pool *pool)
{
    coil_group *group = pool->options.balancer.pool.group;
    pool_line *found = NULL;

    for (unsigned i = 0; i < pool->line_count && found == NULL; i++)
        found = pool->lines[i].task == NULL ? &pool->lines[i] : NULL;
    if (found == NULL)
        return -ENOSPC;
    if (group == NULL)
        group = coil_loop_root(pool->loop);
    coil_task *task = COIL_TASK_OF_(group->sched, run_line(found));
    if (task == NULL)
        return -ENOMEM;
    found->task = task;
    found->is_retired = false;
    found->number = ++pool->last_number;
    pool->stats.opening++;
    pool->user_count++;
    (void)coil_group_start(group, task, NULL);
    return 0;
}

/* ------------------------------------------------------------------------------- the choice -- */

static bool is_old(const pool_line *one)
{
    return pool_now(one->pool) >= one->expires_at;
}

static uint32_t load_of(const pool_line *one)
{
    const coil_thrift_pipeline_stats *stats = &one->pipeline.stats;
    return stats->in_flight + stats->waiting + stats->unanswered + one->pipeline.oneways_due;
}

static bool can_carry(const pool_line *one)
{
    return one->is_live && !one->is_retired && one->pipeline.error == 0 &&
           coil_circuit_breaker_admits_at(&one->endpoint->breaker) <= pool_now(one->pool);
}

/* Young ones before old ones, and of these the one with the fewest calls. */
static bool is_better(const pool_line *one, const pool_line *other)
{
    if (is_old(one) != is_old(other))
        return is_old(other);
    return load_of(one) < load_of(other);
}

static pool_line *find_best(coil_thrift_pool *pool, uint32_t avoid)
{
    pool_line *best = NULL;

    pool->turn++;
    for (unsigned i = 0; i < pool->line_count; i++) {
        pool_line *one = &pool->lines[(pool->turn + i) % pool->line_count];
        if (one->number != avoid && can_carry(one) && (best == NULL || is_better(one, best)))
            best = one;
    }
    return best;
}

static void retire(pool_line *one)
{
    one->is_retired = true;
    one->pool->stats.retired++;
    coil_thrift_pipeline_finish(&one->pipeline);
}

/* There is a young one: the old ones may go. */
static void retire_old(coil_thrift_pool *pool)
{
    for (unsigned i = 0; i < pool->line_count; i++) {
        pool_line *one = &pool->lines[i];
        if (one->is_live && !one->is_retired && is_old(one))
            retire(one);
    }
}

/* Is a place about to become free? */
static bool is_ending(const coil_thrift_pool *pool)
{
    for (unsigned i = 0; i < pool->line_count; i++) {
        const pool_line *one = &pool->lines[i];
        if (one->is_live && (one->is_retired || one->pipeline.error != 0))
            return true;
    }
    return false;
}

/* None can carry the call: -EAGAIN, wait for one; or why that is of no use. */
static int have_line(coil_thrift_pool *pool)
{
    if (pool->stats.opening > 0)
        return -EAGAIN;
    int rc = start_line(pool);
    if (rc == 0 || (rc == -ENOSPC && is_ending(pool)))
        return -EAGAIN;
    if (rc != -ENOSPC)
        return rc;
    pool->stats.refused++;
    return -EHOSTDOWN;
}

int pool_choose(coil_thrift_pool *pool, uint32_t avoid, pool_line **out_line)
{
    if (pool->is_closed)
        return -ESHUTDOWN;
    pool_line *best = find_best(pool, avoid);
    if (best == NULL && avoid != 0 && pool->stats.opening == 0 && start_line(pool) < 0)
        best = find_best(pool, 0);
    if (best == NULL)
        return have_line(pool);
    if (is_old(best)) {
        if (pool->stats.opening == 0 && start_line(pool) == -ENOSPC) {
            retire(best);
            return -EAGAIN;
        }
    } else {
        retire_old(pool);
        if (load_of(best) >= pool->options.spread_calls && pool->stats.opening == 0)
            (void)start_line(pool);
    }
    *out_line = best;
    return 0;
}
