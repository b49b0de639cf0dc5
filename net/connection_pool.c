/* SPDX-License-Identifier: MIT */
/*
 * Everything that opens is decided in one place, pump(), which is a call of the loop: whatever
 * happens just asks for it. All else moves connections that exist.
 */
#include <coil/connection_pool.h>

#include <coil/call.h>
#include <coil/kernel.h>
#include <coil/retry.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_BYTES = 300 };

struct coil_connection_pool {
    coil_loop *loop;
    coil_connection_pool_options options;
    coil_connection_pool_stats stats;
    coil_retry_policy backoff; /* After failures to open. */
    coil_random random;
    coil_pool_observer *observer;
    coil_list idle; /* The one used last comes first. */
    coil_list busy;
    coil_list waiters;  /* Takers. If there are any, nobody is idle. */
    coil_list openings; /* Attempts whose tasks run. */
    coil_list closers;  /* Who waits until nothing is left. */
    unsigned failure_count; /* Attempts that failed since the last success. */
    coil_time backoff_until;
    coil_call pump;
    coil_time pump_at; /* COIL_NEVER: it is not pending. */
    bool is_shut;
    bool is_destroyed;
    char target[TARGET_BYTES];
};

/* On the frame stack of a task that waits for a connection. */
typedef struct taker {
    coil_waiter waiter;
    coil_connection_pool *pool;
    coil_pooled **out_pooled;
} taker;

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

static coil_time now_of(const coil_connection_pool *pool)
{
    return coil_loop_now(pool->loop);
}

static unsigned total_of(const coil_connection_pool *pool)
{
    return pool->stats.opening + pool->stats.idle + pool->stats.busy;
}

/* Look after the pool at `when`, or before. */
static void pump_by(coil_connection_pool *pool, coil_time when)
{
    if (pool->is_shut || when >= pool->pump_at)
        return;
    pool->pump_at = when;
    coil_call_at(pool->loop, &pool->pump, when);
}

static void pump_soon(coil_connection_pool *pool)
{
    pump_by(pool, INT64_MIN);
}

/* ---------------------------------------------------------------------------------- the end -- */

/* Something has left the pool: is anybody waiting for the last to do so? */
static void settle(coil_connection_pool *pool)
{
    if (pool->stats.opening + pool->stats.busy > 0 || !pool->is_shut)
        return;
    coil_waiter_grant_all(&pool->closers, 0);
    if (!pool->is_destroyed)
        return;
    if (pool->observer != NULL)
        pool->observer->gone(pool->observer);
    free(pool);
}

/* Close a connection that is in no list and no count any more. */
static void dispose(coil_connection_pool *pool, coil_pooled *pooled)
{
    coil_pool_hooks *hooks = pool->options.hooks;
    if (hooks != NULL && hooks->dispose != NULL)
        hooks->dispose(hooks, pooled);
    coil_stream_close(pooled->stream);
    free(pooled);
}

static void drop(coil_connection_pool *pool, coil_pooled *pooled, uint64_t *counter)
{
    ++*counter;
    dispose(pool, pooled);
}

/* ------------------------------------------------------------------------------ connections -- */

/* Nothing has come of the peer: neither an end, nor bytes that nobody has read. */
static bool has_nothing(const coil_pooled *pooled)
{
    return coil_receiver_look(pooled->stream, NULL) == -EAGAIN;
}

/* And nothing is on its way from the kernel to us. */
static bool is_quiet(const coil_pooled *pooled)
{
    return has_nothing(pooled) &&
           coil_kernel_recv_peek(coil_stream_fd(pooled->stream)) == -EAGAIN;
}

static coil_pooled *pooled_of(coil_list *link)
{
    return coil_container_of(link, coil_pooled, link);
}

static coil_pooled *unlink_idle(coil_connection_pool *pool, coil_pooled *pooled)
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

static coil_time next_expiry(const coil_connection_pool *pool)
{
    coil_time next = COIL_NEVER;

    for (coil_list *link = pool->idle.next; link != &pool->idle; link = link->next) {
        coil_time expiry = pooled_of(link)->expires_at;
        next = expiry < next ? expiry : next;
    }
    if (coil_list_empty(&pool->idle) || total_of(pool) <= pool->options.min)
        return next;
    coil_time first = pooled_of(pool->idle.prev)->idle_since;
    coil_time expiry = coil_time_after(first, pool->options.idle_limit);
    return expiry < next ? expiry : next;
}

static void make_idle(coil_connection_pool *pool, coil_pooled *pooled)
{
    pooled->idle_since = now_of(pool);
    coil_list_append(pool->idle.next, &pooled->link); /* In front of the first. */
    pool->stats.idle++;
    coil_time expiry = coil_time_after(pooled->idle_since, pool->options.idle_limit);
    pump_by(pool, expiry < pooled->expires_at ? expiry : pooled->expires_at);
}

/* A connection that belongs to nobody, and is fit for use: whose is it now? */
static void hand_over(coil_connection_pool *pool, coil_pooled *pooled)
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
        coil_pooled *pooled = unlink_idle(pool, pooled_of(pool->idle.next));
        if (now_of(pool) >= pooled->expires_at) {
            drop(pool, pooled, &pool->stats.closed_aged);
        } else if (!is_quiet(pooled)) {
            drop(pool, pooled, &pool->stats.closed_unfit);
        } else {
            hand_out(pool, pooled);
            return pooled;
        }
        pump_soon(pool);
    }
    return NULL;
}

static void give_back(coil_connection_pool *pool, coil_pooled *pooled)
{
    if (!pooled->reusable) {
        drop(pool, pooled, &pool->stats.closed_broken);
    } else if (pool->is_shut) {
        drop(pool, pooled, &pool->stats.closed_shutdown);
    } else if (now_of(pool) >= pooled->expires_at) {
        drop(pool, pooled, &pool->stats.closed_aged);
    } else if (coil_list_empty(&pool->waiters) ? !has_nothing(pooled) : !is_quiet(pooled)) {
        drop(pool, pooled, &pool->stats.closed_unfit);
    } else {
        hand_over(pool, pooled);
        return;
    }
    pump_soon(pool);
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
    settle(pool);
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
    pool->backoff_until = coil_time_after(now_of(pool), pause);
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
    pooled->opened_at = now_of(pool);
    pooled->expires_at = expiry_of(pool, pooled->opened_at);
    if (pool->is_shut) {
        drop(pool, pooled, &pool->stats.closed_shutdown);
    } else {
        hand_over(pool, pooled);
    }
}

static void report_attempt(coil_connection_pool *pool, coil_circuit_ticket *ticket, int rc)
{
    coil_call_outcome outcome = rc == 0 ? COIL_CALL_SUCCEEDED : COIL_CALL_FAILED;
    if (rc == -ECANCELED)
        outcome = COIL_CALL_ABANDONED;
    if (pool->options.breaker != NULL)
        coil_circuit_breaker_settle(pool->options.breaker, now_of(pool), ticket, outcome);
}

/* An attempt has ended, whatever with. `pooled` may be NULL or without a stream if it failed. */
static void end_opening(
        coil_connection_pool *pool, coil_pooled *pooled, attempt_start start, int rc)
{
    pool->stats.opening--;
    report_attempt(pool, &start.ticket, rc);
    if (rc < 0) {
        if (pooled != NULL)
            dispose(pool, pooled);
        opening_failed(pool, start.began, rc);
    } else {
        opened(pool, pooled);
    }
    pump_soon(pool);
    settle(pool);
}

static bool has_hook(coil_handler hook)
{
    return hook.fn != NULL;
}

coil_async(int, establish, (coil_connection_pool *) pool, (coil_pooled *) pooled)
{
    coil_vars(coil_stream *stream);

    coil_attempt(my->stream, coil_connect_to(&pool->options.connect, pool->target, NULL));
    pooled->stream = my->stream;
    const coil_pool_hooks *hooks = pool->options.hooks;
    if (hooks != NULL && has_hook(hooks->prepare))
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

/* How many more are to be opened, as far as there is room. */
static bool wants_more(const coil_connection_pool *pool)
{
    unsigned total = total_of(pool);
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

static void reap(coil_connection_pool *pool, coil_time now)
{
    coil_list *before;

    for (coil_list *link = pool->idle.prev; link != &pool->idle; link = before) {
        before = link->prev;
        coil_pooled *pooled = pooled_of(link);
        if (now >= pooled->expires_at) {
            drop(pool, unlink_idle(pool, pooled), &pool->stats.closed_aged);
        } else if (total_of(pool) > pool->options.min &&
                   now >= coil_time_after(pooled->idle_since, pool->options.idle_limit)) {
            drop(pool, unlink_idle(pool, pooled), &pool->stats.closed_idle);
        }
    }
}

static void pump(coil_call *call)
{
    coil_connection_pool *pool = coil_container_of(call, coil_connection_pool, pump);
    coil_time now = now_of(pool);

    pool->pump_at = COIL_NEVER;
    reap(pool, now);
    pump_by(pool, open_wanted(pool, now));
    pump_by(pool, next_expiry(pool));
}

/* --------------------------------------------------------------------------------- checkout -- */

/* Wait for a connection; `again`: before all others, who came later. */
coil_leaf(int, take, (coil_connection_pool *) pool, (bool) again, (coil_pooled **) out_pooled);

/* A connection at once: 0, or -EAGAIN. */
static int take_now(coil_connection_pool *pool, bool again, coil_pooled **out_pooled)
{
    if (pool->is_shut) {
        pool->stats.refused++;
        return -ESHUTDOWN;
    }
    coil_pooled *pooled = take_idle(pool);
    if (pooled != NULL) {
        *out_pooled = pooled;
        return 0;
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
        return coil_leave(task, leaf);
    }
    taker *waiting = coil_push(task, sizeof(*waiting));
    waiting->pool = pool;
    waiting->out_pooled = arguments->out_pooled;
    pool->stats.waiting++;
    pump_soon(pool);
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
    return hooks != NULL && has_hook(hooks->check) && pooled->idle_since != COIL_NEVER;
}

/* A connection in use is not fit. */
static void drop_busy(coil_connection_pool *pool, coil_pooled *pooled)
{
    take_back(pool, pooled);
    drop(pool, pooled, &pool->stats.closed_unfit);
    pump_soon(pool);
    settle(pool);
}

/* 0: it is fit. Else it is closed: -EAGAIN take another one, -ESHUTDOWN the pool may be gone. */
coil_async(int, check_pooled, (coil_connection_pool *) pool, (coil_pooled *) pooled)
{
    coil_vars(int rc);

    my->rc = -ECANCELED;
    coil_defer(if (my->rc < 0) drop_busy(pool, pooled));
    coil_await(my->rc, coil_within(pool->options.check_limit,
                               coil_handler_call(pool->options.hooks->check, pooled)));
    if (my->rc >= 0)
        return 0;
    return pool->is_shut ? -ESHUTDOWN : -EAGAIN;
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

static void set_default(unsigned *option, unsigned value)
{
    *option = *option == 0 ? value : *option;
}

static void set_default_duration(coil_duration *option, coil_duration value)
{
    *option = *option <= 0 ? value : *option;
}

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
    size_t target_bytes = strlen(target) + 1;
    if (target_bytes > TARGET_BYTES)
        return -ENAMETOOLONG;
    coil_connection_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return -ENOMEM;
    int rc = set_options(pool, options);
    if (rc < 0) {
        free(pool);
        return rc;
    }
    pool->loop = loop;
    memcpy(pool->target, target, target_bytes);
    coil_list_init(&pool->idle);
    coil_list_init(&pool->busy);
    coil_list_init(&pool->waiters);
    coil_list_init(&pool->openings);
    coil_list_init(&pool->closers);
    coil_call_init(&pool->pump, pump);
    pool->pump_at = COIL_NEVER;
    if (pool->options.min > 0)
        pump_soon(pool);
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
    while (!coil_list_empty(&pool->idle))
        drop(pool, unlink_idle(pool, pooled_of(pool->idle.next)), &pool->stats.closed_shutdown);
    for (coil_list *link = pool->openings.next; link != &pool->openings; link = link->next)
        coil_task_cancel(coil_container_of(link, opening, link)->task);
    settle(pool);
}

void coil_connection_pool_terminate(coil_connection_pool *pool)
{
    coil_connection_pool_shutdown(pool);
    for (coil_list *link = pool->busy.next; link != &pool->busy; link = link->next)
        coil_receiver_fail(pooled_of(link)->stream, -ESHUTDOWN);
}

void coil_connection_pool_destroy(coil_connection_pool *pool)
{
    if (pool == NULL)
        return;
    coil_connection_pool_shutdown(pool);
    pool->is_destroyed = true;
    settle(pool);
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
    if (pool->stats.opening + pool->stats.busy > 0) {
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
    coil_connection_pool_shutdown(pool);
    coil_attempt(emptied(pool));
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
