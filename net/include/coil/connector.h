/* SPDX-License-Identifier: MIT */
/*
 * coil/connector.h - connect to a name that has several addresses, of which some may not answer.
 *
 *     coil_attempt(my->peer, coil_connect("db.internal:5432"));          the simple form
 *
 *     static const coil_connect_options options = {.attempt_limit = 3000000000};       3 s
 *     coil_await(my->peer, coil_within(coil_s(10),
 *             coil_connect_to(&options, "srv:_db._tcp.internal", &my->report)));
 *     if (coil_pointer_error(my->peer) < 0)
 *         coil_connect_report_print(&my->report, stderr);            which addresses, and why not
 *
 * "Happy eyeballs", RFC 8305: the addresses of a name are tried in turn, IPv6 and IPv4 alternating,
 * each `attempt_delay` after the one before it, or at once if that has failed. Attempts go on side
 * by side. The first to succeed is the connection; the others are cancelled and closed before the
 * call ends.
 *
 *     [2001:db8::1]  ----- nothing comes back --------------- cancelled
 *         192.0.2.1      250 ms --- refused
 *     [2001:db8::2]                 at once ---- connected
 *                                                    |
 *                                                    v  the result
 *
 * A name has two answers, A and AAAA, and the second need not be waited for: with IPv6 addresses it
 * begins at once, with IPv4 ones 50 ms later (coil_resolve_early()). What comes then takes its turn
 * behind the attempt that is under way.
 *
 * Invariants
 *   - No descriptor outlives the call but that of its result, however it ends.
 *   - A socket that TCP has connected to itself is -ECONNREFUSED: nobody listens there. (With
 *     .fast_open that is not known yet.)
 *   - At most COIL_CONNECT_ATTEMPTS addresses are tried; those behind them are not looked at.
 *   - Where all fail, the error is that of the attempt that got furthest: no descriptors or no
 *     memory of ours comes before all others, as it concerns none of the addresses; then what the
 *     peer has said (-ECONNREFUSED, -ECONNRESET), then silence (-ETIMEDOUT, -ETIME), then what the
 *     network has said (-EHOSTUNREACH, -ENETUNREACH), then the rest.
 *
 * On the loop's thread only. (asyncio: create_connection(happy_eyeballs_delay=0.25).)
 */
#ifndef COIL_CONNECTOR_H
#define COIL_CONNECTOR_H

#include <coil/resolver.h>
#include <coil/stream_options.h>

#include <stdio.h>

COIL_BEGIN_DECLS

typedef struct coil_socket_hook coil_socket_hook;

enum { COIL_CONNECT_ATTEMPTS = 16 };

/* What is to be done to each socket before it connects to `to`: 0, or the error of this attempt. */
struct coil_socket_hook {
    int (*prepare)(coil_socket_hook *hook, int fd, const coil_address *to);
};

/* Zero means the default. Must stay until the call is done. */
typedef struct coil_connect_options {
    coil_resolver *resolver;     /* NULL: that of the loop. */
    const coil_address *local;   /* Bind to this first; fails for other families: -EAFNOSUPPORT. */
    coil_duration attempt_delay; /* 250 ms (RFC 8305, section 8). Less than 10 ms counts as that. */
    coil_duration attempt_limit; /* How long each may take: as long as the kernel tries. -ETIME. */
    bool in_order; /* Keep the order of the addresses, as for SRV: families do not alternate. */
    bool delays_small_writes; /* Without TCP_NODELAY. */
    /*
     * TCP_FASTOPEN_CONNECT (tcp(7)): the first write goes out with the SYN, if the server is known
     * to take it. The connection then counts as made before there is one, so that the error comes
     * with the first write or read. Only where there is a single address: a race cannot be won so.
     */
    bool fast_open;
    const coil_stream_options *stream; /* Set before it connects. NULL: TCP_NODELAY as above. */
    coil_socket_hook *prepare;         /* May be NULL. */
} coil_connect_options;

/* What became of one address. */
typedef struct coil_connect_attempt {
    coil_address address;
    coil_duration began; /* After the first one. */
    coil_duration took;
    int error; /* 0: connected. -ECANCELED: another one was faster. -EINPROGRESS: under way. */
} coil_connect_attempt;

/* Good at any time, also when the call was cancelled. */
typedef struct coil_connect_report {
    unsigned attempt_count; /* That have begun, in this order. 0: the name has not been resolved. */
    coil_connect_attempt attempts[COIL_CONNECT_ATTEMPTS];
} coil_connect_report;

/*
 * Connect to `target` (coil/resolver.h). `options` and `out_report` may be NULL. A failure is an
 * error pointer: an error of coil_resolve(), of socket(2), bind(2) or connect(2) as said above, of
 * the hook; -ENOMEM; -ETIME under within() and until(). All three pointers must stay until then.
 */
coil_declare(coil_stream *, coil_connect_to, (const coil_connect_options *) options,
        (const char *) target, (coil_connect_report *) out_report);

/* The same, to one of `count` addresses, best first. -EINVAL: there are none. */
coil_declare(coil_stream *, coil_connect_addresses, (const coil_connect_options *) options,
        (const coil_address *) addresses, (unsigned) count, (coil_connect_report *) out_report);

/* One line for each attempt: "192.0.2.1:80 after 250 ms: connection refused (took 3 ms)". */
COIL_API void coil_connect_report_print(const coil_connect_report *report, FILE *out);

/*
 * In which order `count` addresses are tried: the indices of at most COIL_CONNECT_ATTEMPTS of them,
 * and how many. The families alternate, beginning with that of the first (RFC 8305, section 4), as
 * long as there are two; within one the order remains. Pure; any thread.
 */
COIL_API unsigned coil_connect_order(
        const coil_address *addresses, unsigned count, unsigned out_order[COIL_CONNECT_ATTEMPTS]);

COIL_END_DECLS

#endif
