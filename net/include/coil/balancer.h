/* SPDX-License-Identifier: MIT */
/*
 * coil/balancer.h - connections to a service that runs at many addresses.
 *
 *     coil_balancer_create(loop, "srv:_api._tcp.prod.internal", &options, &my->api)
 *     coil_defer(coil_balancer_destroy(my->api));
 *     ...
 *     coil_attempt(my->peer, coil_within(coil_s(2), coil_balancer_checkout(api)));
 *     coil_defer(coil_pooled_give_back(my->peer));
 *
 * Each address has a pool of its own (coil/connection_pool.h) and a circuit breaker. A checkout
 * draws two addresses at random and takes the one with the smaller load: connections in use, and
 * those who wait for one. That is nearly as good as to look at all of them, and does not send
 * everybody to the same one (Mitzenmacher: The power of two choices, 2001).
 *
 *                     resolved                  cannot be connected to
 *            name ---------------> address  ----------------------------> ejected
 *                                    |   ^                                   |
 *         it is not in the answer    |   |  one checkout tries, succeeds     |  after a while
 *         any more: idle connections v   +-----------------------------------+
 *         are closed at once, those in use when they are given back
 *
 * Invariants
 *   - The name is resolved again when its time to live is over, and somebody asks; by one task,
 *     while everybody else goes on with the old addresses. If that fails, they remain.
 *   - An ejected address gets nobody but one who tries, now and then; where all are ejected, a
 *     checkout fails at once: -EHOSTDOWN.
 *   - A checkout that fails at one address tries another, `tries` in all.
 *   - Of a service ("srv:"), the addresses of the lowest priority are used, and others only as long
 *     as all of these are ejected, or have failed this checkout (RFC 2782). Weights are not looked
 *     at: the load decides.
 *   - At most COIL_BALANCER_ADDRESSES addresses are used; those behind them are not.
 *
 * On the loop's thread only. (Finagle: P2C; Envoy: least request; gRPC.)
 */
#ifndef COIL_BALANCER_H
#define COIL_BALANCER_H

#include <coil/connection_pool.h>

COIL_BEGIN_DECLS

typedef struct coil_balancer coil_balancer;

enum { COIL_BALANCER_ADDRESSES = 64, COIL_BALANCER_TRIES_MAX = 8 };

/* Zero means the default. Copied; for what its pointers point to see coil/connection_pool.h. */
typedef struct coil_balancer_options {
    coil_connection_pool_options pool; /* Of each address. Its `breaker` is not used. */
    coil_circuit_breaker_options
            ejection;      /* calls_min 1, open_duration 1 s: at the first failure. */
    coil_duration ttl_min; /* Ask for addresses at most so often: 1 s. */
    coil_duration ttl_max; /* At least so often: 300 s. */
    unsigned tries;        /* Addresses that one checkout tries: 3. */
    uint64_t seed;         /* Of the choices: coil_random_seed(). */
} coil_balancer_options;

typedef struct coil_balancer_stats {
    unsigned addresses; /* In use now. */
    unsigned ejected;   /* Of those. */
    uint64_t checkouts; /* That have succeeded. */
    uint64_t failed;    /* And those that have not; cancelled ones are neither. */
    uint64_t failovers; /* Further addresses that were tried. */
    uint64_t refreshes; /* Answers of the resolver. */
    uint64_t refresh_failures;
    uint64_t removed; /* Addresses that were not in an answer any more. */
} coil_balancer_stats;

/* One address, as of now. */
typedef struct coil_balancer_endpoint {
    coil_address address;
    coil_circuit_state circuit;
    coil_connection_pool_stats pool;
} coil_balancer_endpoint;

/*
 * A balancer over the addresses of `target` (coil/resolver.h), which are asked for at the first
 * checkout. NULL: those that coil_balancer_set_addresses() says. `options` may be NULL. -EINVAL:
 * `pool` is not valid, or more than COIL_BALANCER_TRIES_MAX tries; or `target` is none, with the
 * other errors of coil_resolve() for that. -ENAMETOOLONG: it has 300 bytes or more; -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_balancer_create(coil_loop *loop, const char *target,
        const coil_balancer_options *options, coil_balancer **out_balancer);

/*
 * A connection to one of the addresses; give it back with coil_pooled_give_back(). Else an error
 * pointer: an error of coil_resolve(), and for `ttl_min` after one -EAGAIN, if there are no older
 * addresses; of coil_connection_pool_checkout() at the last address that was tried; -EHOSTDOWN: all
 * are ejected; -EDESTADDRREQ: no addresses have been set; -ESHUTDOWN: the balancer was destroyed.
 */
coil_declare(coil_pooled *, coil_balancer_checkout, (coil_balancer *) balancer);

/*
 * From now on it is these, whoever found them, all of the same priority. Pools of addresses that
 * remain are kept. -ENOMEM: not all of them are there.
 */
COIL_API int coil_balancer_set_addresses(
        coil_balancer *balancer, const coil_address *addresses, unsigned count);

/* Does not wait. Connections in use may be given back later. Takes NULL. */
COIL_API void coil_balancer_destroy(coil_balancer *balancer);

COIL_API coil_balancer_stats coil_balancer_statistics(const coil_balancer *balancer);

/* The address number `index`, from 0. -ENOENT: there are not so many. */
COIL_API int coil_balancer_look(
        const coil_balancer *balancer, unsigned index, coil_balancer_endpoint *out_endpoint);

COIL_END_DECLS

#endif
