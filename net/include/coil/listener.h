/* SPDX-License-Identifier: MIT */
/*
 * coil/listener.h - wait for connections at an address.
 *
 *     coil_listen("*:9090", NULL, &listener)
 *     coil_attempt(my->peer, coil_accept(listener));          one at a time,
 *     coil_attempt(coil_serve(listener, coil_handler(session, coil_stream *)));  or a task for each
 *     coil_listener_close(listener)
 *
 * Sockets are set up as servers want them: SO_REUSEADDR, TCP_NODELAY, "*" takes IPv6 and IPv4, or
 * what there is of them. A stale unix socket, one that nobody listens at, is replaced; ours is
 * removed again at the close, unless something else has taken its path meanwhile.
 *
 * coil/server.h is for what serves longer: several addresses, limits, counters, an orderly end.
 *
 * On the loop's thread only.
 */
#ifndef COIL_LISTENER_H
#define COIL_LISTENER_H

#include <coil/stream_options.h>

COIL_BEGIN_DECLS

typedef struct coil_listener coil_listener;

/* Zero means the default. */
typedef struct coil_listen_options {
    int backlog;         /* Connections that the kernel keeps for us: SOMAXCONN. */
    bool reuse_port;     /* SO_REUSEPORT: several processes share the address. */
    bool ipv6_only;      /* At "*" and "[::]" as well: no IPv4. */
    bool direct_sockets; /* Accept direct descriptors (coil/io.h), not those of the process. */
    unsigned fast_open;  /* TCP_FASTOPEN: so many may ask in their SYN (tcp(7)). 0: none. */
    /* Of all that is accepted; looked at in the call only. NULL: TCP_NODELAY. */
    const coil_stream_options *stream;
    unsigned max_connections; /* Whoever serves them accepts no more at once. 0: no limit. */
} coil_listen_options;

/*
 * Listen at an address (coil/address.h; no names: "localhost:80" is -EINVAL), on the loop of this
 * thread. `options` may be NULL. The errors of coil_address_parse(), socket(2), bind(2), listen(2):
 * above all -EADDRINUSE, -EACCES, -EADDRNOTAVAIL; of coil_stream_options_apply(). -ENOMEM.
 *
 * (-EADDRINUSE also for some ten milliseconds after a process was killed that accepted there: what
 * it had in io_uring holds the socket until the kernel has cancelled it.)
 */
COIL_API int coil_listen(
        const char *address, const coil_listen_options *options, coil_listener **out_listener);

/*
 * The same for a socket that listens already, such as one that was passed to us (coil/activation.h,
 * coil/handover.h). Owns `fd` from here on, also if it fails. Of the options, `backlog`,
 * `reuse_port` and `fast_open` are its maker's. Its path, if it has one, is not removed. -EINVAL it
 * does not listen for streams, -ENOTSOCK, -EBADF, -ENOMEM.
 */
COIL_API int coil_listen_fd(
        int fd, const coil_listen_options *options, coil_listener **out_listener);

/*
 * A socket that listens at the address, without a loop, for whoever hands it on (coil/prefork.h):
 * its descriptor, which is the caller's, or the errors of coil_listen(). Where it listens, unless
 * `out_address` is NULL. A path of it stays. Any thread.
 */
COIL_API int coil_listen_socket(
        const char *address, const coil_listen_options *options, coil_address *out_address);

/* Where it listens: with the port that the kernel has chosen. */
COIL_API const coil_address *coil_listener_address(const coil_listener *listener);

/*
 * Another descriptor of the socket, close-on-exec, the caller's: with it, the socket goes on
 * listening when the listener is closed, such as for a program that becomes its successor
 * (coil_activation_exec()). -EBADF: it is closed, or one of several loops'; -EMFILE.
 */
COIL_API int coil_listener_keep(const coil_listener *listener);

/*
 * The next connection, or an error pointer: an error of accept(2), or -ESHUTDOWN: nobody listens
 * any more, because coil_serve_gracefully() has stopped that, or the loop that accepts for all has
 * left (coil/shared_listener.h).
 */
coil_declare(coil_stream *, coil_accept, (coil_listener *) listener);

/*
 * The same for servers: waits out the errors that pass, such as descriptors or memory running out.
 * An error pointer is one that stays.
 */
coil_declare(coil_stream *, coil_accept_patiently, (coil_listener *) listener);

/*
 * Run `handler(stream)` as a task for every connection; the handler closes its stream. Its failure
 * ends that connection only. When descriptors or memory run out, accepting pauses a little. Ends
 * only with an error of accept(2) that will not pass, or by cancellation; the connections are
 * cancelled first. 0: nobody listens any more, and they have all ended.
 */
coil_declare(int, coil_serve, (coil_listener *) listener, (coil_handler) handler);

/*
 * The same, until a shutdown of this loop is requested (coil/shutdown.h; no signal does so by
 * itself but under coil_serve_everywhere() and runtimes): then it takes what has come, stops
 * listening, for good, and waits for the connections. Those that have not ended when the grace
 * period is over are cancelled. Handlers that wait for their peer learn of it by
 * coil_shutdown_requested(). 0, or an error of accept(2) that will not pass. asyncio:
 * Server.close(), with a deadline.
 */
coil_declare(int, coil_serve_gracefully, (coil_listener *) listener, (coil_handler) handler);

/* Stop listening. Does not wait. Nobody may be accepting. Takes NULL. */
COIL_API void coil_listener_close(coil_listener *listener);

COIL_END_DECLS

#endif
