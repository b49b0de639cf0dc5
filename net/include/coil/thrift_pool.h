/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_pool.h - a channel to a Thrift service, wherever it runs: pipelines to the addresses
 * of a name.
 *
 *     coil_thrift_pool_create(loop, "srv:_shop._tcp.prod.internal", NULL, &my->shop)
 *     coil_defer(coil_thrift_pool_destroy(my->shop));
 *     ...
 *     coil_attempt(shop_Shop_buy(coil_thrift_pool_channel(my->shop), ...));
 *
 * The target is an address ("127.0.0.1:9090", "unix:/path", "unix:@abstract"), a name, or a service
 * ("srv:"), see coil/resolver.h. Connections are those of a balancer (coil/balancer.h), which finds
 * the addresses, spreads connections over them, waits between attempts and avoids those that cannot
 * be reached. Each carries many calls (coil/thrift_pipeline.h).
 *
 *                        connected                      failed, or the server has ended it
 *     a call --> OPENING -----------> LIVE -----------+--------------------------------> closed
 *                                      | ^            |
 *                                      | | calls      +-- as old as `age_limit`: no further calls,
 *                                      +-+                closed after the last one
 *
 * Invariants
 *   - A call goes to the connection with the fewest calls that it would have to share. When all are
 *     busy and there are fewer than `connections_max`, another is opened, and nobody waits for it
 *     who has one already.
 *   - Who finds none waits, first come first served. An attempt that fails is the error of all who
 *     wait, unless another is under way.
 *   - A call is never sent twice: see coil/thrift_retrying.h. invocation->was_sent tells. One whose
 *     connection ends while it waits for room there goes to another.
 *   - The calls of each address pass a circuit breaker. Failures are what says that nobody is at
 *     home: no answer in time, a lost connection, nonsense. An exception is an answer. While it is
 *     open, the other addresses have the calls; where there are none, it is -EHOSTDOWN, at once.
 *   - A name is looked up again as connections are replaced, so `age_limit` bounds how long a
 *     server that has left the name is still used.
 *
 * TLS: with a `prepare` of balancer.pool.hooks that puts a TLS stream in place of the plain one
 * (coil/connection_pool.h, coil/tls.h).
 *
 * On the loop's thread only.
 */
#ifndef COIL_THRIFT_POOL_H
#define COIL_THRIFT_POOL_H

#include <coil/balancer.h>
#include <coil/thrift_pipeline.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_pool coil_thrift_pool;

enum { COIL_THRIFT_POOL_CONNECTIONS = 64 };

/* Zero means the default. Copied; for what its pointers point to see coil/connection_pool.h. */
typedef struct coil_thrift_pool_options {
    unsigned connections_max; /* 4. At most COIL_THRIFT_POOL_CONNECTIONS. */
    unsigned spread_calls;    /* Another is opened when each has so many calls: 1. */
    coil_duration age_limit;  /* Of a connection, a little less for each: 300 s. */
    coil_thrift_pipeline_options pipeline;
    coil_circuit_breaker_options breaker; /* Of the calls of each address. */
    coil_balancer_options balancer;       /* Its pool.max, if 0, is connections_max. */
} coil_thrift_pool_options;

/* As of now, and since the pool was made. */
typedef struct coil_thrift_pool_stats {
    unsigned opening;
    unsigned live;
    unsigned in_flight;
    unsigned waiting; /* For a connection. */

    uint64_t calls;
    uint64_t refused; /* -EHOSTDOWN: the breakers of all addresses are open. */
    uint64_t opened;
    uint64_t open_failed;
    uint64_t lost;    /* Connections that have ended with an error. */
    uint64_t retired; /* And those that were closed for their age. */
} coil_thrift_pool_stats;

/*
 * A pool for `target`; NULL: for the addresses that coil_thrift_pool_set_addresses() says. Nothing
 * is connected before the first call. `options` may be NULL. -EINVAL: too many connections, or what
 * coil_balancer_create() says; -ENAMETOOLONG, -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_thrift_pool_create(coil_loop *loop, const char *target,
        const coil_thrift_pool_options *options, coil_thrift_pool **out_pool);

/*
 * Where calls go. Errors besides those of coil_thrift_invoke() and coil_thrift_pipeline_run():
 *
 *     -EHOSTDOWN   the address, or each of them, is avoided for a while
 *     -ESHUTDOWN   the pool was closed or destroyed
 *     the errors of coil_balancer_checkout(), if no connection could be opened
 *
 * The timeouts of pipeline.timeouts, and of an invocation, include the wait for a connection.
 */
COIL_API coil_thrift_channel *coil_thrift_pool_channel(coil_thrift_pool *pool);

/* From now on new connections go there. As coil_balancer_set_addresses(). */
COIL_API int coil_thrift_pool_set_addresses(
        coil_thrift_pool *pool, const coil_address *addresses, unsigned count);

/* No further calls: -ESHUTDOWN. Wait until those under way are over. Result: 0. */
coil_declare(int, coil_thrift_pool_close, (coil_thrift_pool *) pool);

/*
 * The pool is not the caller's any more; calls under way get -ESHUTDOWN. Does not wait: tasks of
 * its own end in the next turns of the loop. Takes NULL.
 */
COIL_API void coil_thrift_pool_destroy(coil_thrift_pool *pool);

COIL_API coil_thrift_pool_stats coil_thrift_pool_statistics(const coil_thrift_pool *pool);

COIL_END_DECLS

#endif
