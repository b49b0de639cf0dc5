/* SPDX-License-Identifier: MIT */
#include "connection_pool_private.h"

#include <errno.h>
#include <stdlib.h>

/* What is known of an attempt to open when it begins. */
typedef struct attempt_start {
    coil_time began;
    coil_circuit_ticket ticket;
} attempt_start;

/* In the vars of the task that opens. */
typedef struct opening {
    coil_list link;
    coil_task *task;
} opening;

void pool_pump_by(coil_connection_pool *pool, coil_time when)
{
    if (pool->is_shut || when >= pool->pump_at)
        return;
    pool->pump_at = when;
    coil_call_at(pool->loop, &pool->pump, when);
}

void pool_pump_soon(coil_connection_pool *pool)
{
    pool_pump_by(pool, INT64_MIN);
}

/* ---------------------------------------------------------------------------------- opening -- */

/* Each gets another age, so that they are not all opened anew at the same time. */
static coil_time expiry_of(coil_connection_pool *pool, coil_time opened_at)
{
    coil_duration age = pool->options.age_limit;
    if (age == COIL_FOREVER)
        return COIL_NEVER;
    coil_duration spread = age / 100 * (coil_duration)pool->options.age_jitter_percent;
    return coil_time_after(opened_at, age - coil_random_duration(&pool->random, spread));
}

/* Make the next attempt wait: longer than the last time, if this one has waited for that. */
static void back_off(coil_connection_pool *pool, coil_time began)
{
    if (pool->failure_count > 0 && began < pool->backoff_until)
        return; /* It was under way when another one failed: that is one failure, not two. */
    coil_duration pause = coil_retry_pause(&pool->backoff, pool->failure_count, &pool->random);
    pool->backoff_until = coil_time_after(pool_now(pool), pause);
    pool->failure_count += pool->failure_count < UINT32_MAX;
}

/* Tell whoever waits longest. */
static void opening_failed(coil_connection_pool *pool, coil_time began, int rc)
{
    coil_waiter *first = coil_waiter_first(&pool->waiters);

    pool->stats.open_failed++;
    back_off(pool, began);
    if (first == NULL)
        return;
    pool->stats.waiting--;
    coil_waiter_grant(first, rc);
}

static void opened(coil_connection_pool *pool, coil_pooled *pooled)
{
    pool->stats.opened++;
    pool->failure_count = 0;
    pooled->opened_at = pool_now(pool);
    pooled->reusable = true;
    pooled->expires_at = expiry_of(pool, pooled->opened_at);
    if (pool->is_shut) {
        pool_drop(pool, pooled, &pool->stats.closed_shutdown);
    } else {
        pool_hand_over(pool, pooled);
    }
}

static void report_attempt(coil_connection_pool *pool, coil_circuit_ticket *ticket, int rc)
{
    coil_call_outcome outcome = rc == 0 ? COIL_CALL_SUCCEEDED : COIL_CALL_FAILED;
    if (rc == -ECANCELED)
        outcome = COIL_CALL_ABANDONED;
    if (pool->options.breaker != NULL)
        coil_circuit_breaker_settle(pool->options.breaker, pool_now(pool), ticket, outcome);
}

/* An attempt has ended, whatever with. `pooled` may be NULL or without a stream if it failed. */
static void end_opening(
        coil_connection_pool *pool, coil_pooled *pooled, attempt_start start, int rc)
{
    pool->stats.opening--;
    report_attempt(pool, &start.ticket, rc);
    if (rc < 0) {
        if (pooled != NULL)
            pool_dispose(pool, pooled);
        opening_failed(pool, start.began, rc);
    } else {
        opened(pool, pooled);
    }
    pool_pump_soon(pool);
    pool_settle(pool);
}

coil_async(int, establish, (coil_connection_pool *) pool, (coil_pooled *) pooled)
{
    coil_vars(coil_stream *stream);

    coil_attempt(my->stream, coil_connect_to(&pool->options.connect, pool->target, NULL));
    pooled->stream = my->stream;
    const coil_pool_hooks *hooks = pool->options.hooks;
    if (hooks != NULL && pool_has_hook(hooks->prepare))
        coil_attempt(coil_handler_call(hooks->prepare, pooled));
    return 0;
}

coil_async(int, open_one, (coil_connection_pool *) pool, (attempt_start) start)
{
    coil_vars(opening opening; coil_pooled *pooled; int rc);

    my->rc = -ECANCELED;
    my->opening.task = coil_self;
    coil_list_append(&pool->openings, &my->opening.link);
    coil_defer(end_opening(pool, my->pooled, start, my->rc));
    coil_defer(coil_list_remove(&my->opening.link));
    if (pool->is_shut)
        return 0;
    my->pooled = calloc(1, sizeof(*my->pooled));
    if (my->pooled == NULL) {
        my->rc = -ENOMEM;
        return 0;
    }
    my->pooled->pool = pool;
    my->pooled->pool_number = pool->number;
    my->pooled->hooks = pool->options.hooks;
    coil_await(my->rc, coil_within(pool->options.open_limit, establish(pool, my->pooled)));
    my->rc = my->rc > 0 ? 0 : my->rc;
    return 0;
}

/* (Not coil_spawn(): without memory it would be the group that has failed.) */
static void begin_opening(coil_connection_pool *pool, attempt_start start)
{
    coil_group *group = pool->options.group;
    if (group == NULL)
        group = coil_loop_root(pool->loop);
    coil_task *task = COIL_TASK_OF_(group->sched, open_one(pool, start));

    pool->stats.begun++;
    pool->stats.opening++;
    if (task == NULL) {
        end_opening(pool, NULL, start, -ENOMEM);
    } else {
        (void)coil_group_start(group, task, NULL);
    }
}

/* Is another one to be opened, and is there room for it? */
static bool wants_more(const coil_connection_pool *pool)
{
    unsigned total = pool_total(pool);
    if (total >= pool->options.max)
        return false;
    return pool->stats.waiting > pool->stats.opening || total < pool->options.min;
}

/* The breaker lets nobody through. Those for whom nothing is on its way need not wait. */
static coil_time refuse(coil_connection_pool *pool, coil_time now)
{
    coil_waiter *first;

    while (pool->stats.busy + pool->stats.opening == 0 &&
            (first = coil_waiter_first(&pool->waiters)) != NULL) {
        pool->stats.waiting--;
        pool->stats.refused++;
        coil_waiter_grant(first, -EHOSTDOWN);
    }
    coil_time next = coil_circuit_breaker_admits_at(pool->options.breaker);
    /* The probe is somebody else's. */
    return next == COIL_NEVER ? coil_time_after(now, pool->backoff.base) : next;
}

/* Begin the attempts that are wanted and allowed. When to ask again. */
static coil_time open_wanted(coil_connection_pool *pool, coil_time now)
{
    coil_circuit_breaker *breaker = pool->options.breaker;

    while (wants_more(pool)) {
        attempt_start start = {.began = now};
        if (breaker != NULL && coil_circuit_breaker_admits_at(breaker) > now)
            return refuse(pool, now);
        if (pool->failure_count > 0 && pool->stats.opening > 0)
            return COIL_NEVER; /* Its end asks. */
        if (now < pool->backoff_until && pool->failure_count > 0)
            return pool->backoff_until;
        if (breaker != NULL && coil_circuit_breaker_admit(breaker, now, &start.ticket) < 0)
            return refuse(pool, now);
        begin_opening(pool, start);
    }
    return COIL_NEVER;
}

static coil_time next_expiry(const coil_connection_pool *pool)
{
    coil_time next = COIL_NEVER;

    for (coil_list *link = pool->idle.next; link != &pool->idle; link = link->next) {
        coil_time expiry = pool_connection_of(link)->expires_at;
        next = expiry < next ? expiry : next;
    }
    if (coil_list_empty(&pool->idle) || pool_total(pool) <= pool->options.min)
        return next;
    coil_time first = pool_connection_of(pool->idle.prev)->idle_since;
    coil_time expiry = coil_time_after(first, pool->options.idle_limit);
    return expiry < next ? expiry : next;
}

static void reap(coil_connection_pool *pool, coil_time now)
{
    coil_list *before;

    /* (One that is dropped may take all others with it: see pool_dispose().) */
    for (coil_list *link = pool->idle.prev; link != &pool->idle && !pool->is_shut; link = before) {
        before = link->prev;
        coil_pooled *pooled = pool_connection_of(link);
        if (now >= pooled->expires_at) {
            pool_drop(pool, pool_unlink_idle(pool, pooled), &pool->stats.closed_aged);
        } else if (pool_total(pool) > pool->options.min &&
                   now >= coil_time_after(pooled->idle_since, pool->options.idle_limit)) {
            pool_drop(pool, pool_unlink_idle(pool, pooled), &pool->stats.closed_idle);
        }
    }
}

void pool_pump(coil_call *call)
{
    coil_connection_pool *pool = coil_container_of(call, coil_connection_pool, pump);
    coil_time now = pool_now(pool);

    pool->pump_at = COIL_NEVER;
    reap(pool, now);
    if (pool->is_shut) {
        pool_settle(pool);
        return;
    }
    pool_pump_by(pool, open_wanted(pool, now));
    pool_pump_by(pool, next_expiry(pool));
}

void pool_cancel_openings(coil_connection_pool *pool)
{
    for (coil_list *link = pool->openings.next; link != &pool->openings; link = link->next)
        coil_task_cancel(coil_container_of(link, opening, link)->task);
}
