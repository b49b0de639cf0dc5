/* SPDX-License-Identifier: MIT */
#include <coil/connection_pool.h>

#include "connection_pool_private.h"
#include "defaults.h"
#include "resolver_config.h"

#include <coil/kernel.h>
#include <coil/layer.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* On the frame stack of a task that waits for a connection. */
typedef struct taker {
    coil_waiter waiter;
    coil_connection_pool *pool;
    coil_pooled **out_pooled;
} taker;

/* ---------------------------------------------------------------------------------- the end -- */

static bool is_used(const coil_connection_pool *pool)
{
    return pool->stats.opening + pool->stats.busy + pool->hold_count > 0;
}

/* Something has left the pool: is anybody waiting for the last to do so? */
void pool_settle(coil_connection_pool *pool)
{
    if (is_used(pool) || !pool->is_shut)
        return;
    coil_waiter_grant_all(&pool->closers, 0);
    if (!pool->is_destroyed)
        return;
    if (pool->observer != NULL)
        pool->observer->gone(pool->observer);
    free(pool);
}

/* What the hook does to the pool must not end it in the middle of our callers. */
void pool_dispose(coil_connection_pool *pool, coil_pooled *pooled)
{
    coil_pool_hooks *hooks = pool->options.hooks;
    pool->hold_count++;
    if (hooks != NULL && hooks->dispose != NULL)
        hooks->dispose(hooks, pooled);
    pool->hold_count--;
    coil_layer *layer =
            pooled->reusable && pooled->stream != NULL ? coil_layer_of(pooled->stream) : NULL;
    if (layer != NULL)
        coil_layer_finish_now(layer);
    coil_stream_close(pooled->stream);
    free(pooled);
}

void pool_drop(coil_connection_pool *pool, coil_pooled *pooled, uint64_t *counter)
{
    ++*counter;
    pool_dispose(pool, pooled);
}

/* ------------------------------------------------------------------------------ connections -- */

/* Nothing has come of the peer: neither an end, nor bytes that nobody has read. */
static bool has_nothing(const coil_pooled *pooled)
{
    return coil_receiver_look(pooled->stream, NULL) == -EAGAIN;
}

/*
 * And nothing is on its way from the kernel to us. Bytes for a layer need not be anything for its
 * reader: TLS has tickets. So it looks into what can be had now; what the ring is about to bring
 * is seen in the next turn.
 */
static bool is_quiet(const coil_pooled *pooled)
{
    const bool is_layered = coil_stream_is_layered(pooled->stream);
    if (is_layered)
        coil_receiver_refresh(pooled->stream);
    if (!has_nothing(pooled))
        return false;
    const int rc = coil_kernel_recv_peek(coil_stream_fd(pooled->stream));
    return rc == -EAGAIN || (rc > 0 && is_layered);
}

coil_pooled *pool_unlink_idle(coil_connection_pool *pool, coil_pooled *pooled)
{
    coil_list_remove(&pooled->link);
    pool->stats.idle--;
    return pooled;
}

/* It is somebody's. */
static void hand_out(coil_connection_pool *pool, coil_pooled *pooled)
{
    pooled->reusable = false;
    pooled->use_count++;
    coil_list_append(&pool->busy, &pooled->link);
    pool->stats.busy++;
    pool->stats.checkouts++;
}

static void grant(coil_connection_pool *pool, coil_waiter *waiter, coil_pooled *pooled)
{
    *coil_container_of(waiter, taker, waiter)->out_pooled = pooled;
    pooled->idle_since = COIL_NEVER;
    hand_out(pool, pooled);
    pool->stats.waiting--;
    pool->stats.waited++;
    coil_waiter_grant(waiter, 0);
}

static void make_idle(coil_connection_pool *pool, coil_pooled *pooled)
{
    pooled->idle_since = pool_now(pool);
    coil_list_append(pool->idle.next, &pooled->link); /* In front of the first. */
    pool->stats.idle++;
    coil_time expiry = coil_time_after(pooled->idle_since, pool->options.idle_limit);
    pool_pump_by(pool, expiry < pooled->expires_at ? expiry : pooled->expires_at);
}

/* A connection that belongs to nobody, and is fit for use: whose is it now? */
void pool_hand_over(coil_connection_pool *pool, coil_pooled *pooled)
{
    coil_waiter *first = coil_waiter_first(&pool->waiters);
    if (first != NULL) {
        grant(pool, first, pooled);
    } else {
        make_idle(pool, pooled);
    }
}

/* One that is idle and fit, as somebody's; or NULL. Those that are not fit are closed. */
static coil_pooled *take_idle(coil_connection_pool *pool)
{
    while (!coil_list_empty(&pool->idle)) {
        coil_pooled *pooled = pool_unlink_idle(pool, pool_connection_of(pool->idle.next));
        if (pool_now(pool) >= pooled->expires_at) {
            pool_drop(pool, pooled, &pool->stats.closed_aged);
        } else if (!is_quiet(pooled)) {
            pool_drop(pool, pooled, &pool->stats.closed_unfit);
        } else {
            hand_out(pool, pooled);
            return pooled;
        }
        pool_pump_soon(pool);
    }
    return NULL;
}

static void give_back(coil_connection_pool *pool, coil_pooled *pooled)
{
    if (!pooled->reusable || pooled->stream == NULL) {
        pool_drop(pool, pooled, &pool->stats.closed_broken);
    } else if (pool->is_shut) {
        pool_drop(pool, pooled, &pool->stats.closed_shutdown);
    } else if (pool_now(pool) >= pooled->expires_at) {
        pool_drop(pool, pooled, &pool->stats.closed_aged);
    } else if (coil_list_empty(&pool->waiters) ? !has_nothing(pooled) : !is_quiet(pooled)) {
        pool_drop(pool, pooled, &pool->stats.closed_unfit);
    } else {
        pool_hand_over(pool, pooled);
        return;
    }
    pool_pump_soon(pool);
}

static void take_back(coil_connection_pool *pool, coil_pooled *pooled)
{
    coil_list_remove(&pooled->link);
    pool->stats.busy--;
}

void coil_pooled_give_back(coil_pooled *pooled)
{
    if (pooled == NULL)
        return;
    coil_connection_pool *pool = pooled->pool;
    take_back(pool, pooled);
    give_back(pool, pooled);
    pool_settle(pool);
}

/* --------------------------------------------------------------------------------- checkout -- */

/* Wait for a connection; `again`: before all others, who came later. */
coil_leaf(int, take, (coil_connection_pool *) pool, (bool) again, (coil_pooled **) out_pooled);

/* A connection at once: 0, or -EAGAIN. */
static int take_now(coil_connection_pool *pool, bool again, coil_pooled **out_pooled)
{
    coil_pooled *pooled = take_idle(pool);
    if (pooled != NULL) {
        *out_pooled = pooled;
        return 0;
    }
    if (pool->is_shut) {
        pool->stats.refused++;
        return -ESHUTDOWN;
    }
    if (pool->stats.waiting < pool->options.waiters_max || again)
        return -EAGAIN;
    pool->stats.refused++;
    return -EBUSY;
}

static coil_turn take_step(coil_task *task, coil_frame *leaf)
{
    const struct take__args *arguments = coil_arguments(take, leaf);
    coil_connection_pool *pool = arguments->pool;

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    int rc = take_now(pool, arguments->again, arguments->out_pooled);
    if (rc != -EAGAIN) {
        coil_result(take, leaf) = rc;
        pool_settle(pool);
        return coil_leave(task, leaf);
    }
    taker *waiting = coil_push(task, sizeof(*waiting));
    waiting->pool = pool;
    waiting->out_pooled = arguments->out_pooled;
    pool->stats.waiting++;
    pool_pump_soon(pool);
    coil_list *behind = arguments->again ? pool->waiters.next : &pool->waiters;
    return coil_waiter_suspend(&waiting->waiter, behind, task, leaf);
}

static void take_cancel(coil_task *task, coil_frame *leaf)
{
    const taker *waiting = coil_container_of((coil_waiter *)leaf->vars, taker, waiter);
    coil_connection_pool *pool = waiting->pool;

    (void)task;
    if (coil_waiter_withdraw(leaf))
        pool->stats.waiting--;
}

coil_leaf_fn(take, take_step, take_cancel);

static bool needs_check(const coil_connection_pool *pool, const coil_pooled *pooled)
{
    const coil_pool_hooks *hooks = pool->options.hooks;
    return hooks != NULL && pool_has_hook(hooks->check) && pooled->idle_since != COIL_NEVER;
}

/* A connection in use is not fit. -EAGAIN: take another one, -ESHUTDOWN: the pool may be gone. */
static int drop_busy(coil_connection_pool *pool, coil_pooled *pooled)
{
    take_back(pool, pooled);
    pool_drop(pool, pooled, &pool->stats.closed_unfit);
    const int rc = pool->is_shut ? -ESHUTDOWN : -EAGAIN;
    pool_pump_soon(pool);
    pool_settle(pool);
    return rc;
}

/* 0: it is fit. Else it is closed, with the results of drop_busy(). */
coil_async(int, check_pooled, (coil_connection_pool *) pool, (coil_pooled *) pooled)
{
    coil_vars(int rc; bool is_over);

    coil_defer(if (!my->is_over)(void) drop_busy(pool, pooled));
    coil_await(my->rc, coil_within(pool->options.check_limit,
                               coil_handler_call(pool->options.hooks->check, pooled)));
    my->is_over = true;
    return my->rc < 0 ? drop_busy(pool, pooled) : 0;
}

coil_define(coil_pooled *, coil_connection_pool_checkout, (coil_connection_pool *) pool)
{
    coil_vars(coil_pooled *got; int rc; bool again);

    for (;;) {
        coil_attempt(take(pool, my->again, &my->got));
        if (!needs_check(pool, my->got))
            return my->got;
        coil_await(my->rc, check_pooled(pool, my->got));
        if (my->rc == 0)
            return my->got;
        if (my->rc == -ESHUTDOWN)
            return coil_error_pointer(my->rc);
        my->again = true;
    }
}

/* -------------------------------------------------------------------------------- lifecycle -- */

static int set_options(coil_connection_pool *pool, const coil_connection_pool_options *options)
{
    coil_connection_pool_options *own = &pool->options;
    if (options != NULL)
        *own = *options;
    set_default(&own->max, 10);
    set_default(&own->waiters_max, 1000);
    set_default(&own->age_jitter_percent, 10);
    set_default_duration(&own->idle_limit, coil_s(60));
    set_default_duration(&own->age_limit, COIL_FOREVER);
    set_default_duration(&own->open_limit, coil_s(10));
    set_default_duration(&own->check_limit, coil_s(1));
    set_default_duration(&own->backoff_base, coil_ms(100));
    set_default_duration(&own->backoff_cap, coil_s(10));
    pool->backoff = (coil_retry_policy){.base = own->backoff_base, .cap = own->backoff_cap};
    coil_random_init(&pool->random, own->seed == 0 ? coil_random_seed() : own->seed);
    return own->min > own->max || own->age_jitter_percent > 100 ? -EINVAL : 0;
}

int coil_connection_pool_create(coil_loop *loop, const char *target,
        const coil_connection_pool_options *options, coil_connection_pool **out_pool)
{
    static COIL_PROCESS_WIDE _Atomic uint64_t last_number;
    size_t target_bytes = strlen(target) + 1;
    if (target_bytes > POOL_TARGET_BYTES)
        return -ENAMETOOLONG;
    coil_connection_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return -ENOMEM;
    int rc = resolver_target_check(target);
    if (rc == 0)
        rc = set_options(pool, options);
    if (rc < 0) {
        free(pool);
        return rc;
    }
    pool->loop = loop;
    pool->number = ++last_number;
    memcpy(pool->target, target, target_bytes);
    coil_list_init(&pool->idle);
    coil_list_init(&pool->busy);
    coil_list_init(&pool->waiters);
    coil_list_init(&pool->openings);
    coil_list_init(&pool->closers);
    coil_call_init(&pool->pump, pool_pump);
    pool->pump_at = COIL_NEVER;
    if (pool->options.min > 0)
        pool_pump_soon(pool);
    *out_pool = pool;
    return 0;
}

static void refuse_all(coil_connection_pool *pool)
{
    pool->stats.refused += pool->stats.waiting;
    pool->stats.waiting = 0;
    coil_waiter_grant_all(&pool->waiters, -ESHUTDOWN);
}

void coil_connection_pool_shutdown(coil_connection_pool *pool)
{
    if (pool->is_shut)
        return;
    pool->is_shut = true;
    coil_call_cancel(&pool->pump);
    refuse_all(pool);
    while (!coil_list_empty(&pool->idle)) {
        pool_drop(pool, pool_unlink_idle(pool, pool_connection_of(pool->idle.next)),
                &pool->stats.closed_shutdown);
    }
    pool_cancel_openings(pool);
    pool_settle(pool);
}

void coil_connection_pool_terminate(coil_connection_pool *pool)
{
    for (coil_list *link = pool->busy.next; link != &pool->busy; link = link->next) {
        coil_stream *stream = pool_connection_of(link)->stream;
        if (stream != NULL)
            coil_receiver_fail(stream, -ESHUTDOWN);
    }
    coil_connection_pool_shutdown(pool);
}

void coil_connection_pool_destroy(coil_connection_pool *pool)
{
    if (pool == NULL)
        return;
    pool->is_destroyed = true;
    if (pool->is_shut) {
        pool_settle(pool);
    } else {
        coil_connection_pool_shutdown(pool);
    }
}

/* Wait until nothing is left of a pool that has been shut down. */
coil_leaf(int, emptied, (coil_connection_pool *) pool);

static coil_turn emptied_step(coil_task *task, coil_frame *leaf)
{
    coil_connection_pool *pool = coil_arguments(emptied, leaf)->pool;

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (is_used(pool)) {
        coil_waiter *waiter = coil_push(task, sizeof(*waiter));
        return coil_waiter_suspend(waiter, &pool->closers, task, leaf);
    }
    coil_result(emptied, leaf) = 0;
    return coil_leave(task, leaf);
}

coil_leaf_fn(emptied, emptied_step, coil_waiter_cancel);

coil_define(int, coil_connection_pool_close, (coil_connection_pool *) pool)
{
    coil_vars();

    pool->hold_count++; /* dispose() may destroy it. */
    coil_connection_pool_shutdown(pool);
    pool->hold_count--;
    if (is_used(pool)) {
        coil_attempt(emptied(pool));
    } else {
        pool_settle(pool);
    }
    return 0;
}

coil_connection_pool_stats coil_connection_pool_statistics(const coil_connection_pool *pool)
{
    return pool->stats;
}

void coil_connection_pool_observe(coil_connection_pool *pool, coil_pool_observer *observer)
{
    pool->observer = observer;
}
