/* SPDX-License-Identifier: MIT */
#include "defaults.h"
#include "thrift_pipeline_private.h"
#include "thrift_pool_private.h"

#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>

enum { CONNECTIONS_MAX = 4, SPREAD_CALLS = 1, AGE_LIMIT_S = 300, TRIES_MAX = 10 };

coil_time pool_now(const coil_thrift_pool *pool)
{
    return coil_loop_now(pool->loop);
}

static void free_pool(coil_thrift_pool *pool)
{
    coil_balancer_destroy(pool->balancer);
    free(pool->endpoints);
    free(pool);
}

void pool_leave(coil_thrift_pool *pool)
{
    pool->user_count--;
    if (pool->is_destroyed && pool->user_count == 0)
        free_pool(pool);
}

/* ------------------------------------------------------------------------------------- calls -- */

/* A call on its way, and what its address is to hear of it. */
typedef struct passage {
    coil_thrift_pool *pool;
    pool_endpoint *endpoint; /* NULL: it has not got so far. */
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
            &made->endpoint->breaker, pool_now(made->pool), &made->ticket, outcome);
    made->endpoint->user_count--;
    made->endpoint = NULL;
}

/* Pass the breaker of the line's address, which has been asked whether it would admit us. */
static int enter(passage *made, const pool_line *chosen)
{
    const int rc = coil_circuit_breaker_admit(
            &chosen->endpoint->breaker, pool_now(made->pool), &made->ticket);
    if (rc < 0)
        return rc;
    made->endpoint = chosen->endpoint;
    made->endpoint->user_count++;
    return 0;
}

/* On one line, once there is one. */
coil_async(int, call_on_line, (passage *) made, (coil_thrift_invocation *) invocation)
{
    coil_vars(pool_line *chosen; int rc);

    while ((my->rc = pool_choose(made->pool, invocation->avoid, &my->chosen)) == -EAGAIN)
        coil_attempt(coil_waiter_wait(&made->pool->waiters));
    if (my->rc == 0)
        my->rc = enter(made, my->chosen);
    if (my->rc < 0)
        return my->rc;
    invocation->via = my->chosen->number;
    coil_attempt(pipeline_exchange(&my->chosen->pipeline, invocation));
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
    coil_vars(passage made; coil_duration limit; int rc);

    my->made.pool = coil_container_of(invocation->channel, coil_thrift_pool, channel);
    my->made.pool->user_count++;
    my->made.pool->stats.calls++;
    coil_defer(pool_leave(my->made.pool));
    coil_defer(settle(&my->made, COIL_CALL_ABANDONED));
    my->limit = pipeline_limit_of(&my->made.pool->options.pipeline, invocation);
    invocation->was_sent = false;
    if (my->limit == COIL_FOREVER) {
        coil_await(my->rc, call_somewhere(&my->made, invocation));
    } else {
        coil_await(my->rc, coil_within(my->limit, call_somewhere(&my->made, invocation)));
    }
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
    coil_random_init(
            &pool->random, own->balancer.seed == 0 ? coil_random_seed() : own->balancer.seed);
}

static unsigned line_count_of(const coil_thrift_pool_options *options)
{
    return options == NULL || options->connections_max == 0 ? CONNECTIONS_MAX
                                                            : options->connections_max;
}

static coil_thrift_pool *allocate(coil_loop *loop, unsigned line_count)
{
    coil_thrift_pool *pool = calloc(1, sizeof(*pool) + line_count * sizeof(pool_line));
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
        pool_line *one = &pool->lines[i];
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
    coil_defer(pool_leave(pool));
    while (pool->stats.opening + pool->stats.live > 0)
        coil_ignore(coil_waiter_wait(&pool->closers));
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
    pool_leave(pool);
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
