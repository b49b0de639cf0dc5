/* SPDX-License-Identifier: MIT */
#include <coil/thrift_pool.h>

#include "defaults.h"
#include "thrift_pipeline_private.h"
#include "wait_in.h"

#include <coil/random.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>

enum { CONNECTIONS_MAX = 4, SPREAD_CALLS = 1, AGE_LIMIT_S = 300, AGE_JITTER = 10, TRIES_MAX = 10 };

/* What is known of an address: one that a line goes to, or went to. */
typedef struct endpoint {
    const coil_connection_pool *key; /* Of the balancer. NULL: none yet. */
    unsigned user_count;             /* Lines and calls. */
    coil_circuit_breaker breaker;
} endpoint;

/* A connection, or the place for one. */
typedef struct line {
    coil_thrift_pool *pool;
    coil_task *task; /* NULL: it is free. */
    bool is_live;    /* It can carry calls. */
    bool is_retired; /* It takes no further ones. */
    uint32_t number; /* From 1, of each connection another: invocations remember it. */
    endpoint *endpoint;
    coil_time expires_at;
    coil_thrift_pipeline pipeline;
} line;

struct coil_thrift_pool {
    coil_thrift_channel channel;
    coil_loop *loop;
    coil_thrift_pool_options options;
    coil_thrift_pool_stats stats;
    coil_random random;
    coil_balancer *balancer;
    endpoint *endpoints; /* As many as lines. */
    unsigned line_count;
    uint32_t last_number;
    unsigned turn;       /* Where the search for a line begins. */
    coil_list waiters;   /* For a line. */
    coil_list closers;   /* For the last one to end. */
    size_t user_count;   /* Tasks of lines, and calls. */
    bool is_closed;
    bool is_destroyed;
    line lines[];
};

static coil_time now_of(const coil_thrift_pool *pool)
{
    return coil_loop_now(pool->loop);
}

static void free_pool(coil_thrift_pool *pool)
{
    coil_balancer_destroy(pool->balancer);
    free(pool->endpoints);
    free(pool);
}

/* The last who uses a pool that was destroyed. */
static void leave(coil_thrift_pool *pool)
{
    pool->user_count--;
    if (pool->is_destroyed && pool->user_count == 0)
        free_pool(pool);
}

/* ---------------------------------------------------------------------------------- a line -- */

/* The one of this key; else one that nobody uses, and which has the least to remember. */
static endpoint *find_endpoint(coil_thrift_pool *pool, const coil_connection_pool *key)
{
    endpoint *found = NULL;

    for (unsigned i = 0; i < pool->line_count; i++) {
        endpoint *one = &pool->endpoints[i];
        if (one->key == key)
            return one;
        if (one->user_count > 0)
            continue;
        if (found == NULL || found->breaker.state != COIL_CIRCUIT_CLOSED)
            found = one;
    }
    if (found == NULL)
        return NULL; /* Calls that have just ended still use all of them. */
    found->key = key;
    coil_circuit_breaker_init(&found->breaker, &pool->options.breaker);
    return found;
}

static int open_line(line *self, coil_pooled *pooled)
{
    coil_thrift_pool *pool = self->pool;
    coil_thrift_pipeline_options options = pool->options.pipeline;
    const coil_duration age = pool->options.age_limit;

    self->endpoint = find_endpoint(pool, pooled->pool);
    if (self->endpoint == NULL)
        return -EBUSY;
    options.timeouts = NULL; /* We see to that. */
    options.timeout_count = 0;
    int rc = coil_thrift_pipeline_init(&self->pipeline, pooled->stream, &options);
    if (rc < 0)
        return rc;
    self->endpoint->user_count++;
    self->expires_at = coil_time_after(
            now_of(pool), age - coil_random_duration(&pool->random, age / AGE_JITTER));
    self->is_live = true;
    pool->stats.opening--;
    pool->stats.live++;
    pool->stats.opened++;
    coil_waiter_grant_all(&pool->waiters, 0);
    return 0;
}

/* The task of a line ends. Who waits for one may open another now, or hears that there is none. */
static void close_line(line *self, int rc)
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
    leave(pool);
}

coil_async(int, run_line, (line *) self)
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
    line *found = NULL;

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

static bool is_old(const line *one)
{
    return now_of(one->pool) >= one->expires_at;
}

static uint32_t load_of(const line *one)
{
    const coil_thrift_pipeline_stats *stats = &one->pipeline.stats;
    return stats->in_flight + stats->waiting + stats->unanswered;
}

static bool can_carry(const line *one)
{
    return one->is_live && !one->is_retired && one->pipeline.error == 0 &&
           coil_circuit_breaker_admits_at(&one->endpoint->breaker) <= now_of(one->pool);
}

/* Young ones before old ones, and of these the one with the fewest calls. */
static bool is_better(const line *one, const line *other)
{
    if (is_old(one) != is_old(other))
        return is_old(other);
    return load_of(one) < load_of(other);
}

static line *find_best(coil_thrift_pool *pool, uint32_t avoid)
{
    line *best = NULL;

    pool->turn++;
    for (unsigned i = 0; i < pool->line_count; i++) {
        line *one = &pool->lines[(pool->turn + i) % pool->line_count];
        if (one->number != avoid && can_carry(one) && (best == NULL || is_better(one, best)))
            best = one;
    }
    return best;
}

static void retire(line *one)
{
    one->is_retired = true;
    one->pool->stats.retired++;
    coil_thrift_pipeline_finish(&one->pipeline);
}

/* There is a young one: the old ones may go. */
static void retire_old(coil_thrift_pool *pool)
{
    for (unsigned i = 0; i < pool->line_count; i++) {
        line *one = &pool->lines[i];
        if (one->is_live && !one->is_retired && is_old(one))
            retire(one);
    }
}

/* Is a place about to become free? */
static bool is_ending(const coil_thrift_pool *pool)
{
    for (unsigned i = 0; i < pool->line_count; i++) {
        const line *one = &pool->lines[i];
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

/* A line for one more call, if there is another than that to avoid; -EAGAIN: not yet. */
static int choose(coil_thrift_pool *pool, uint32_t avoid, line **out_line)
{
    if (pool->is_closed)
        return -ESHUTDOWN;
    line *best = find_best(pool, avoid);
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

/* ------------------------------------------------------------------------------------- calls -- */

/* A call on its way, and what its address is to hear of it. */
typedef struct passage {
    coil_thrift_pool *pool;
    endpoint *endpoint; /* NULL: it has not got so far. */
    coil_circuit_ticket ticket;
} passage;

/* What the end of a call says of its address. */
static coil_call_outcome outcome_of(const coil_thrift_invocation *invocation, int rc)
{
    switch (-rc) {
    case ETIME:
        return invocation->was_sent ? COIL_CALL_FAILED : COIL_CALL_ABANDONED;
    case EMSGSIZE: /* It is us, or our limits. */
    case ENAMETOOLONG:
    case ENOBUFS:
    case ENOMEM:
    case ESHUTDOWN:
        return COIL_CALL_ABANDONED;
    case EREMOTEIO: /* It is there, and answers. */
    case ENOMSG:
        return COIL_CALL_SUCCEEDED;
    default:
        return rc >= 0 ? COIL_CALL_SUCCEEDED : COIL_CALL_FAILED;
    }
}

static void settle(passage *made, coil_call_outcome outcome)
{
    if (made->endpoint == NULL)
        return;
    coil_circuit_breaker_settle(
            &made->endpoint->breaker, now_of(made->pool), &made->ticket, outcome);
    made->endpoint->user_count--;
    made->endpoint = NULL;
}

/* Pass the breaker of the line's address, which has been asked whether it would admit us. */
static int enter(passage *made, const line *chosen)
{
    const int rc = coil_circuit_breaker_admit(
            &chosen->endpoint->breaker, now_of(made->pool), &made->ticket);
    if (rc < 0)
        return rc;
    made->endpoint = chosen->endpoint;
    made->endpoint->user_count++;
    return 0;
}

/* On one line, once there is one. */
coil_async(int, call_on_line, (passage *) made, (coil_thrift_invocation *) invocation)
{
    coil_vars(line *chosen; int rc);

    while ((my->rc = choose(made->pool, invocation->avoid, &my->chosen)) == -EAGAIN)
        coil_attempt(wait_in(&made->pool->waiters));
    if (my->rc == 0)
        my->rc = enter(made, my->chosen);
    if (my->rc < 0)
        return my->rc;
    invocation->via = my->chosen->number;
    coil_attempt(coil_thrift_invoke(&my->chosen->pipeline.channel, invocation));
    return 0;
}

/* A connection may end while a call waits for room on it: then that goes elsewhere. */
coil_async(int, call_somewhere, (passage *) made, (coil_thrift_invocation *) invocation)
{
    coil_vars(int rc; int tries);

    do {
        settle(made, COIL_CALL_ABANDONED);
        coil_await(my->rc, call_on_line(made, invocation));
    } while (my->rc == -ENOTCONN && !invocation->was_sent && ++my->tries < TRIES_MAX);
    return my->rc;
}

coil_async(int, invoke, (coil_thrift_invocation *) invocation)
{
    coil_vars(passage made; coil_duration limit; coil_duration own_limit; int rc);

    my->made.pool = coil_container_of(invocation->channel, coil_thrift_pool, channel);
    my->made.pool->user_count++;
    my->made.pool->stats.calls++;
    coil_defer(leave(my->made.pool));
    coil_defer(settle(&my->made, COIL_CALL_ABANDONED));
    my->own_limit = invocation->timeout;
    my->limit = pipeline_limit_of(&my->made.pool->options.pipeline, invocation);
    invocation->timeout = 0;
    invocation->was_sent = false;
    if (my->limit == COIL_FOREVER) {
        coil_await(my->rc, call_somewhere(&my->made, invocation));
    } else {
        coil_await(my->rc, coil_within(my->limit, call_somewhere(&my->made, invocation)));
    }
    invocation->timeout = my->own_limit;
    settle(&my->made, outcome_of(invocation, my->rc));
    return my->rc;
}

coil_thrift_channel *coil_thrift_pool_channel(coil_thrift_pool *pool)
{
    return &pool->channel;
}

/* -------------------------------------------------------------------------------- lifecycle -- */

static void set_options(coil_thrift_pool *pool, const coil_thrift_pool_options *options)
{
    coil_thrift_pool_options *own = &pool->options;

    if (options != NULL)
        *own = *options;
    set_default(&own->spread_calls, SPREAD_CALLS);
    set_default(&own->balancer.pool.max, pool->line_count);
    set_default_duration(&own->age_limit, coil_s(AGE_LIMIT_S));
    coil_random_init(&pool->random,
            own->balancer.seed == 0 ? coil_random_seed() : own->balancer.seed);
}

static unsigned line_count_of(const coil_thrift_pool_options *options)
{
    return options == NULL || options->connections_max == 0 ? CONNECTIONS_MAX
                                                            : options->connections_max;
}

static coil_thrift_pool *allocate(coil_loop *loop, unsigned line_count)
{
    coil_thrift_pool *pool = calloc(1, sizeof(*pool) + line_count * sizeof(line));
    if (pool == NULL)
        return NULL;
    pool->endpoints = calloc(line_count, sizeof(*pool->endpoints));
    if (pool->endpoints == NULL) {
        free(pool);
        return NULL;
    }
    pool->channel.invoke = coil_handler(invoke, coil_thrift_invocation *);
    pool->loop = loop;
    pool->line_count = line_count;
    coil_list_init(&pool->waiters);
    coil_list_init(&pool->closers);
    for (unsigned i = 0; i < line_count; i++)
        pool->lines[i].pool = pool;
    return pool;
}

int coil_thrift_pool_create(coil_loop *loop, const char *target,
        const coil_thrift_pool_options *options, coil_thrift_pool **out_pool)
{
    const unsigned line_count = line_count_of(options);
    if (line_count > COIL_THRIFT_POOL_CONNECTIONS)
        return -EINVAL;
    coil_thrift_pool *pool = allocate(loop, line_count);
    if (pool == NULL)
        return -ENOMEM;
    set_options(pool, options);
    int rc = coil_balancer_create(loop, target, &pool->options.balancer, &pool->balancer);
    if (rc < 0) {
        free_pool(pool);
        return rc;
    }
    *out_pool = pool;
    return 0;
}

int coil_thrift_pool_set_addresses(
        coil_thrift_pool *pool, const coil_address *addresses, unsigned count)
{
    return coil_balancer_set_addresses(pool->balancer, addresses, count);
}

/* Lines that carry calls carry them to their end; the others end. */
static void shut_down(coil_thrift_pool *pool)
{
    pool->is_closed = true;
    for (unsigned i = 0; i < pool->line_count; i++) {
        line *one = &pool->lines[i];
        if (one->is_live) {
            one->is_retired = true;
            coil_thrift_pipeline_finish(&one->pipeline);
        } else if (one->task != NULL) {
            coil_task_cancel(one->task);
        }
    }
    coil_waiter_grant_all(&pool->waiters, -ESHUTDOWN);
}

coil_define(int, coil_thrift_pool_close, (coil_thrift_pool *) pool)
{
    coil_vars();

    shut_down(pool);
    pool->user_count++;
    coil_defer(leave(pool));
    while (pool->stats.opening + pool->stats.live > 0)
        coil_ignore(wait_in(&pool->closers));
    return 0;
}

void coil_thrift_pool_destroy(coil_thrift_pool *pool)
{
    if (pool == NULL)
        return;
    shut_down(pool);
    for (unsigned i = 0; i < pool->line_count; i++) {
        if (pool->lines[i].task != NULL)
            coil_task_cancel(pool->lines[i].task);
    }
    pool->is_destroyed = true;
    pool->user_count++;
    leave(pool);
}

coil_thrift_pool_stats coil_thrift_pool_statistics(const coil_thrift_pool *pool)
{
    coil_thrift_pool_stats stats = pool->stats;

    for (unsigned i = 0; i < pool->line_count; i++) {
        if (pool->lines[i].is_live)
            stats.in_flight += pool->lines[i].pipeline.stats.in_flight;
    }
    for (const coil_list *at = pool->waiters.next; at != &pool->waiters; at = at->next)
        stats.waiting++;
    return stats;
}
