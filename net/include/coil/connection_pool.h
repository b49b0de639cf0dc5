/* SPDX-License-Identifier: MIT */
/*
 * coil/connection_pool.h - connections to one target that are used again.
 *
 *     coil_connection_pool_create(loop, "db.internal:5432", &options, &my->pool)
 *     coil_defer(coil_connection_pool_destroy(my->pool));
 *     ...
 *     coil_attempt(my->db, coil_within(coil_s(2), coil_connection_pool_checkout(pool)));
 *     coil_defer(coil_pooled_give_back(my->db));               closes it, unless
 *     coil_attempt(coil_write_all(my->db->stream, question));
 *     coil_attempt(my->answer, coil_read_until(my->db->stream, '\n', 4096));
 *     my->db->reusable = true;                                 all has been said, and heard
 *
 * Who is cancelled between question and answer leaves a connection on which the answer will come
 * some time. So a connection is closed when it is given back, unless its user says that it is fit
 * for another: as the last thing, not as the first.
 *
 *                         connected        checked out
 *            --> OPENING ----------> IDLE -------------> BUSY --+--> IDLE, or another who waits
 *                   |                 |  too old, too long      |
 *                   v failed          v  idle, gone             v not reusable, too old, gone
 *                                 closed                     closed
 *
 * Invariants
 *   - opening + idle + busy <= max, at every moment.
 *   - opened == idle + busy + all that have been closed. begun == opening + opened + open_failed.
 *   - Those who wait are served in the order in which they came; nobody overtakes.
 *   - Nobody opens a connection for himself: tasks of the pool do. If he is cancelled meanwhile, it
 *     goes to the next who waits, or is idle. What was handed over before a cancellation came is
 *     handed over: the checkout delivers it.
 *   - A connection that could not be opened is the error of him who has waited longest; and of
 *     nobody else.
 *   - After such a failure the next attempt waits: at random up to `backoff_base`, twice that, and
 *     so on up to `backoff_cap`; until one succeeds they are made one at a time. So a server that
 *     comes back is not run over. Attempts that fail side by side count as one.
 *   - Whoever gets an idle connection has it checked: the peer has neither closed it nor sent
 *     anything unasked; and `hooks->check` likes it.
 *
 * Memory: a pooled connection is about 150 bytes and what a stream needs. On the loop's thread
 * only. (Go: database/sql; HikariCP; asyncpg.create_pool().)
 */
#ifndef COIL_CONNECTION_POOL_H
#define COIL_CONNECTION_POOL_H

#include <coil/circuit_breaker.h>
#include <coil/connector.h>

COIL_BEGIN_DECLS

typedef struct coil_connection_pool coil_connection_pool;
typedef struct coil_pooled coil_pooled;
typedef struct coil_pool_hooks coil_pool_hooks;

/* One connection of a pool. It is its user's from the checkout until it is given back. */
struct coil_pooled {
    coil_stream *stream;
    bool reusable; /* False at each checkout: set it when the connection is fit for another user. */
    void *session; /* The user's own: `prepare` may set it, `dispose` frees it. At first NULL. */
    coil_connection_pool *pool; /* Read only. */
    uint64_t pool_number;       /* Of each pool of the program another, also of those that are gone,
                                 * whose memory others may have. Read only. */
    coil_pool_hooks *hooks;     /* Those of the pool; NULL: none. Read only. */
    coil_time opened_at;        /* Read only. */
    uint64_t use_count;         /* Checkouts, this one included. Read only. */

    /* Private. */
    coil_list link;
    coil_time idle_since;
    coil_time expires_at;
};

/*
 * What a protocol adds. Members may be left out. Embed it in a struct of yours, with a TLS context,
 * say: dispose() is given the hooks, `prepare` and `check` find them in the connection.
 *
 *     service *self = coil_container_of(pooled->hooks, service, hooks);
 *
 * A connection that has been fit for another user is closed with a good-bye where its stream has
 * one (close_notify, coil/tls.h), as far as the socket takes it at once. Others are just closed.
 */
struct coil_pool_hooks {
    /*
     * coil_handler(name, coil_pooled *): make a connection ready that has just been opened: greet,
     * log in. It may put another stream, which owns the first one, in the place of `stream`. A
     * negative result: it is closed, and counts as not opened. Bound by `open_limit`.
     */
    coil_handler prepare;
    /*
     * coil_handler(name, coil_pooled *): ask the peer whether an idle connection still works, at
     * checkout. A negative result: it is closed. Bound by `check_limit`.
     */
    coil_handler check;
    /*
     * Called just before a connection is closed, for `session`. Must not wait. It may give other
     * connections back, shut the pool down and, where nobody else does, destroy it.
     */
    void (*dispose)(coil_pool_hooks *hooks, coil_pooled *pooled);
};

/*
 * Zero means the default. Copied; what its pointers point to must stay until nothing is left of the
 * pool: until coil_connection_pool_close() has returned 0, or the observer was told.
 */
typedef struct coil_connection_pool_options {
    unsigned min;                /* So many are kept open, in advance: 0. */
    unsigned max;                /* 10. At least `min`. */
    unsigned waiters_max;        /* Who comes when so many wait is refused: 1000. */
    coil_duration idle_limit;    /* Unused for so long, it is closed, but for `min`: 60 s. */
    coil_duration age_limit;     /* Older ones are closed, never in use: COIL_FOREVER. */
    unsigned age_jitter_percent; /* Each up to so much earlier, at random: 10. At most 100. */
    coil_duration open_limit;    /* To connect and prepare: 10 s. */
    coil_duration check_limit;   /* 1 s. */
    coil_duration backoff_base;  /* 100 ms. */
    coil_duration backoff_cap;   /* 10 s. */
    uint64_t seed;               /* Of the jitter: coil_random_seed(). */
    coil_connect_options connect;
    coil_circuit_breaker
            *breaker; /* Asked before each attempt to open. NULL: none. May be shared. */
    coil_pool_hooks
            *hooks; /* NULL: none. Stay until the pool's tasks end, in the turns behind it. */
    coil_group
            *group; /* The attempts are tasks of this one. NULL: of the loop (coil_loop_root()). */
} coil_connection_pool_options;

/* As of now, and since the pool was made. */
typedef struct coil_connection_pool_stats {
    unsigned opening;
    unsigned idle;
    unsigned busy; /* Those being checked included. */
    unsigned waiting;

    uint64_t checkouts; /* Connections handed out; one that its check refuses included. */
    uint64_t waited;    /* Of those, to somebody who had to wait. */
    uint64_t refused;   /* -EBUSY, -ESHUTDOWN and -EHOSTDOWN. */
    uint64_t begun;     /* Attempts to open. */
    uint64_t opened;
    uint64_t open_failed;     /* Those that were cancelled included. */
    uint64_t closed_idle;     /* idle_limit */
    uint64_t closed_aged;     /* age_limit */
    uint64_t closed_unfit;    /* The peer has closed it, or sent something; or the check failed. */
    uint64_t closed_broken;   /* Given back, and not reusable. */
    uint64_t closed_shutdown; /* The pool takes none back any more. */
} coil_connection_pool_stats;

/*
 * A pool of connections to `target` (coil/resolver.h), used on this loop. `options` may be NULL.
 * Opens `min` of them in the background. -EINVAL: `min` is above `max`, or the percentage
 * above 100; or `target` is none, such as "localhost" without a port, with the other errors of
 * coil_resolve() for that. -ENAMETOOLONG: it has 300 bytes or more; -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_connection_pool_create(coil_loop *loop, const char *target,
        const coil_connection_pool_options *options, coil_connection_pool **out_pool);

/*
 * A connection of the pool: one that is idle, the one used last; else wait for one. Give it back.
 * An error pointer otherwise:
 *
 *     -EBUSY       `waiters_max` wait already
 *     -ESHUTDOWN   the pool has been shut down, before or while this waits
 *     -EHOSTDOWN   the breaker is open, and there is none that could become free
 *     the error of coil_connect_to() or of `prepare`; -ETIME also if `open_limit` was over
 *     -ETIME under within() and until(): nothing has been taken
 */
coil_declare(coil_pooled *, coil_connection_pool_checkout, (coil_connection_pool *) pool);

/*
 * The connection is not used any more. It is given to who waits longest, or becomes idle, or is
 * closed. Nobody may be reading or writing it. Takes NULL. Does not wait.
 */
COIL_API void coil_pooled_give_back(coil_pooled *pooled);

/*
 * From now on: checkouts are refused, those who wait get -ESHUTDOWN, idle connections are closed,
 * attempts to open are cancelled. Those in use remain so, and are closed when they are given back.
 */
COIL_API void coil_connection_pool_shutdown(coil_connection_pool *pool);

/*
 * The same, and wait until all have been given back, and no attempt is under way. Under within():
 * -ETIME, and coil_connection_pool_terminate() is for those who are left. Result: 0.
 */
coil_declare(int, coil_connection_pool_close, (coil_connection_pool *) pool);

/*
 * The same without waiting, and harder: whoever reads from a connection of the pool gets -ESHUTDOWN
 * in place of what else would come. They are still to be given back.
 */
COIL_API void coil_connection_pool_terminate(coil_connection_pool *pool);

/*
 * Shut down, and the pool is not the caller's any more. Does not wait: attempts to open end in the
 * next turns of the loop, connections in use may be given back later, and its memory stays until
 * then. Takes NULL.
 */
COIL_API void coil_connection_pool_destroy(coil_connection_pool *pool);

COIL_API coil_connection_pool_stats coil_connection_pool_statistics(
        const coil_connection_pool *pool);

/* Told when a destroyed pool is gone: nothing that its options point to is used any more. */
typedef struct coil_pool_observer coil_pool_observer;
struct coil_pool_observer {
    void (*gone)(coil_pool_observer *observer);
};
COIL_API void coil_connection_pool_observe(
        coil_connection_pool *pool, coil_pool_observer *observer);

COIL_END_DECLS

#endif
