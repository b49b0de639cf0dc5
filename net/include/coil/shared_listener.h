/* SPDX-License-Identifier: MIT */
/*
 * coil/shared_listener.h - one address, served by all loops of a runtime (coil/runtime.h).
 *
 *     int main(void)                                                     all that a server needs
 *     {
 *         return coil_serve_everywhere("*:8080", NULL, coil_handler(session, coil_stream *)) < 0;
 *     }
 *
 * Or, for a program that does more on its loops than this:
 *
 *     coil_async (int, serve, (coil_worker *) worker)                    its main, on every loop
 *     {
 *         coil_vars (coil_listener *listener; int rc);
 *
 *         my->rc = coil_shared_listener_open(worker->argument, worker, &my->listener);
 *         if (my->rc < 0)
 *             return my->rc;
 *         coil_defer (coil_listener_close(my->listener));
 *         coil_attempt (coil_serve_gracefully(my->listener, coil_handler(session, coil_stream *)));
 *         return 0;
 *     }
 *
 *     coil_shared_listener_create("*:8080", NULL, &shared);              before the runtime
 *     coil_runtime_run_with(&(coil_runtime_options){.main = ..., .argument = shared});
 *     coil_shared_listener_destroy(shared);                              after its end
 *
 * The share of a loop is a coil_listener like any other: coil_accept(), coil_serve(),
 * coil_serve_gracefully() and coil_thrift_serve() take it.
 *
 * Who gets a connection
 *
 *     COIL_SHARE_BY_TURNS     loop 0 accepts, and hands each connection to the loop whose turn it
 *                             is: of n connections, each of N loops gets n/N, give or take one.
 *     COIL_SHARE_LEAST_BUSY   loop 0 accepts; the loop with the fewest tasks as of its last turn
 *                             gets it (coil_runtime_least_busy()). For connections that differ.
 *     COIL_SHARE_BY_KERNEL    every loop accepts, at a socket of its own (SO_REUSEPORT), and the
 *                             kernel picks one by a hash of the addresses. Nothing crosses threads,
 *                             which is for many short connections. The hash knows no loads: of n
 *                             connections a loop gets n/N +- 2 sqrt(n/N) or so, and of a few it may
 *                             get all, or none.
 *
 *     by turns:     socket --> acceptor (loop 0) --post--> listener (loop 1) --> coil_accept()
 *                                       '----------------> listener (loop 0) --> coil_accept()
 *
 * Invariants
 *   - Every main of the runtime opens its share. Connections for a loop that has not done so yet
 *     wait for it; those for a loop that has left go to one that has not.
 *   - A loop that does not take what it is handed, as at its `max_connections`, is passed over when
 *     COIL_SHARE_LIMIT_COUNT wait. When all are like that, accepting pauses, and the backlog of
 *     listen(2) holds the rest.
 *   - When loop 0 has left, or accept(2) has failed for good, nothing is accepted any more, unless
 *     by the kernel's choice: coil_accept() then says -ESHUTDOWN, or the error.
 *   - A listening socket that is closed resets the connections which the kernel has completed and
 *     nobody has accepted. coil_serve_gracefully() takes what has come before it closes; a
 *     connection of that very moment may still be reset. By the kernel's choice, this is so each
 *     time a loop leaves alone (but see net.ipv4.tcp_migrate_req in Linux' ip-sysctl).
 *
 * Go, tokio: one acceptor, by turns in effect. nginx: `listen ... reuseport` is by the kernel.
 * folly: an acceptor, and a pool of threads by turns.
 */
#ifndef COIL_SHARED_LISTENER_H
#define COIL_SHARED_LISTENER_H

#include <coil/listener.h>
#include <coil/runtime.h>

COIL_BEGIN_DECLS

typedef struct coil_shared_listener coil_shared_listener;

typedef enum coil_share {
    COIL_SHARE_BY_TURNS,
    COIL_SHARE_LEAST_BUSY,
    COIL_SHARE_BY_KERNEL,
} coil_share;

enum { COIL_SHARE_LIMIT_COUNT = 64 }; /* Connections that wait for one loop to take them. */

/* Zero means the default. */
typedef struct coil_share_options {
    coil_share share;    /* By turns. */
    unsigned loop_count; /* Of the runtime that will serve: one per CPU, as there. */
    /*
     * Of the sockets. `max_connections` is of each loop; `direct_sockets` are of one loop, and so
     * for COIL_SHARE_BY_KERNEL only.
     */
    coil_listen_options listen;
} coil_share_options;

/*
 * Listen at an address (coil/address.h). Connections are completed by the kernel from here on, and
 * wait until the loops take them. `options` may be NULL. The errors of coil_listen(); -EINVAL also
 * if `share` is none of coil_share; -EOPNOTSUPP: the kernel does not share unix sockets, nor loops
 * direct ones. Any thread.
 */
COIL_API int coil_shared_listener_create(
        const char *address, const coil_share_options *options, coil_shared_listener **out_shared);

/*
 * The same for a socket that listens already, as one that was passed to us (coil/activation.h).
 * Owns `fd` from here on, also if it fails. The errors of coil_listen_fd(); -EOPNOTSUPP also for
 * COIL_SHARE_BY_KERNEL, which takes a socket for each loop. Any thread.
 */
COIL_API int coil_shared_listener_create_fd(
        int fd, const coil_share_options *options, coil_shared_listener **out_shared);

/* Where it listens: with the port that the kernel has chosen. Any thread. */
COIL_API const coil_address *coil_shared_listener_address(const coil_shared_listener *shared);

/* How many loops it is for. Any thread. */
COIL_API unsigned coil_shared_listener_count(const coil_shared_listener *shared);

/*
 * The share of a worker, to be closed by it (coil_listener_close()). Once per worker, on its loop.
 * COIL_CHECK: the runtime has as many loops as this is for. -ENOMEM.
 */
COIL_API int coil_shared_listener_open(
        coil_shared_listener *shared, const coil_worker *worker, coil_listener **out_listener);

/* Connections that the loop of that index has been given so far. Any thread. */
COIL_API uint64_t coil_shared_listener_given(const coil_shared_listener *shared, unsigned index);

/* After the runtime has been joined. Takes NULL. */
COIL_API void coil_shared_listener_destroy(coil_shared_listener *shared);

/*
 * For main(): run `handler(stream)` as a task for every connection, on as many loops as `options`
 * says, until SIGINT or SIGTERM. Then it stops listening; connections have the grace period of
 * coil_runtime_run() to end. The handler closes its stream; it learns of the end by
 * coil_shutdown_requested(). `options` may be NULL. If it cannot listen or start, says why on
 * stderr. 0, or an error.
 */
COIL_API int coil_serve_everywhere(
        const char *address, const coil_share_options *options, coil_handler handler);

COIL_END_DECLS

#endif
