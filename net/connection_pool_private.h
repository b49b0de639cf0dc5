/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of a pool share: connections that exist, and their users
 * (connection_pool.c), and those that are to come (connection_pool_open.c).
 *
 * Everything that opens is decided in one place, pool_pump(), which is a call of the loop: whatever
 * happens just asks for it. All else moves connections that exist.
 */
#ifndef CONNECTION_POOL_PRIVATE_H
#define CONNECTION_POOL_PRIVATE_H

#include <coil/call.h>
#include <coil/connection_pool.h>
#include <coil/retry.h>
#include <coil/waiter.h>

enum { POOL_TARGET_BYTES = 300 };

struct coil_connection_pool {
    coil_loop *loop;
    uint64_t number; /* From 1, in the order in which pools were made. */
    coil_connection_pool_options options;
    coil_connection_pool_stats stats;
    coil_retry_policy backoff; /* After failures to open. */
    coil_random random;
    coil_pool_observer *observer;
    coil_list idle; /* The one used last comes first. */
    coil_list busy;
    coil_list waiters;      /* Takers. If there are any, nobody is idle. */
    coil_list openings;     /* Attempts whose tasks run. */
    coil_list closers;      /* Who waits until nothing is left. */
    unsigned failure_count; /* Attempts that failed since the last success. */
    coil_time backoff_until;
    coil_call pump;
    coil_time pump_at;   /* COIL_NEVER: it is not pending. */
    unsigned hold_count; /* Callers that go on to use it: it is not freed. */
    bool is_shut;
    bool is_destroyed;
    char target[POOL_TARGET_BYTES];
};

static inline coil_time pool_now(const coil_connection_pool *pool)
{
    return coil_loop_now(pool->loop);
}

static inline unsigned pool_total(const coil_connection_pool *pool)
{
    return pool->stats.opening + pool->stats.idle + pool->stats.busy;
}

static inline coil_pooled *pool_connection_of(coil_list *link)
{
    return coil_container_of(link, coil_pooled, link);
}

static inline bool pool_has_hook(coil_handler hook)
{
    return hook.fn != NULL;
}

/* ----------------------------------------------------------------- connections that exist -- */

/*
 * Close a connection that is in no list and no count any more. It may shut the pool down; and
 * destroy it, which is for the next pool_settle() to finish.
 */
void pool_dispose(coil_connection_pool *pool, coil_pooled *pooled);

/* The same, counted as one that was opened. */
void pool_drop(coil_connection_pool *pool, coil_pooled *pooled, uint64_t *counter);

/* A connection that belongs to nobody, and is fit for use: from now on somebody's, or idle. */
void pool_hand_over(coil_connection_pool *pool, coil_pooled *pooled);

/* `pooled`, which is not idle any more, nor anything else. */
coil_pooled *pool_unlink_idle(coil_connection_pool *pool, coil_pooled *pooled);

/* Something has left the pool, which may be gone after this. */
void pool_settle(coil_connection_pool *pool);

/* ------------------------------------------------------------------- those that are to come -- */

/* Look after the pool at `when`, or before; as soon as possible. */
void pool_pump_by(coil_connection_pool *pool, coil_time when);
void pool_pump_soon(coil_connection_pool *pool);

/* What looks after it: closes what is too old, opens what is wanted. */
void pool_pump(coil_call *call);

/* Attempts that are under way end soon, without success. */
void pool_cancel_openings(coil_connection_pool *pool);

#endif
