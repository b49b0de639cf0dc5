/* SPDX-License-Identifier: MIT */
#include <coil/listener.h>

#include <coil/acceptor.h>
#include <coil/kernel.h>
#include <coil/shutdown.h>

#include <errno.h>
#include <stdlib.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

struct coil_listener {
    coil_acceptor *acceptor;
    coil_address address;
    unsigned max_connections;
};

enum { PAUSE_MS = 50 }; /* How long to leave the kernel alone that has run out of something. */

static void set_option(int fd, int level, int option, int value)
{
    (void)coil_kernel_setsockopt(fd, level, option, &value, sizeof(value));
}

/* Accepted sockets inherit what is set here. */
static void set_options(int fd, const coil_address *address, const coil_listen_options *options)
{
    int family = address->storage.ss_family;
    if (family != AF_UNIX) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (options->reuse_port)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/* Is there a socket at the path that nobody listens at? (A file refuses connections, too.) */
static bool is_stale(const coil_address *address)
{
    if (coil_kernel_is_socket(coil_address_path(address)) <= 0)
        return false;
    int fd = coil_kernel_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int rc = coil_kernel_connect_now(fd, &address->socket, address->size_bytes);
    (void)coil_kernel_close(fd);
    return rc == -ECONNREFUSED;
}

static int bind_to(int fd, const coil_address *address)
{
    const struct sockaddr *name = &address->socket;
    int rc = coil_kernel_bind(fd, name, address->size_bytes);
    if (rc == -EADDRINUSE && coil_address_path(address) != NULL && is_stale(address)) {
        (void)coil_kernel_unlink(coil_address_path(address));
        rc = coil_kernel_bind(fd, name, address->size_bytes);
    }
    return rc;
}

/* A listening socket, or an error. */
static int open_socket(coil_address *address, const coil_listen_options *options)
{
    int fd = coil_kernel_socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    set_options(fd, address, options);
    int rc = bind_to(fd, address);
    if (rc == 0)
        rc = coil_kernel_listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN);
    if (rc == 0 && coil_address_path(address) == NULL) {
        address->size_bytes = sizeof(address->storage);
        rc = coil_kernel_getsockname(fd, &address->socket, &address->size_bytes);
    }
    if (rc < 0) {
        (void)coil_kernel_close(fd);
        return rc;
    }
    return fd;
}

int coil_listen(
        const char *address, const coil_listen_options *options, coil_listener **out_listener)
{
    static const coil_listen_options defaults;
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL);
    if (options == NULL)
        options = &defaults;

    coil_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return -ENOMEM;
    listener->max_connections = options->max_connections;
    int rc = coil_address_parse(address, &listener->address);
    if (rc == 0)
        rc = open_socket(&listener->address, options);
    if (rc >= 0) {
        rc = coil_acceptor_create(loop, rc,
                options->direct_sockets ? COIL_ACCEPT_DIRECT : COIL_ACCEPT_ORDINARY,
                &listener->acceptor);
    }
    if (rc < 0) {
        free(listener);
        return rc;
    }
    *out_listener = listener;
    return 0;
}

const coil_address *coil_listener_address(const coil_listener *listener)
{
    return &listener->address;
}

/* Whoever connects from now on is refused. */
static void stop_listening(coil_listener *listener)
{
    if (listener->acceptor == NULL)
        return;
    const char *path = coil_address_path(&listener->address);
    if (path != NULL)
        (void)coil_kernel_unlink(path);
    coil_acceptor_close(listener->acceptor);
    listener->acceptor = NULL;
}

void coil_listener_close(coil_listener *listener)
{
    if (listener == NULL)
        return;
    stop_listening(listener);
    free(listener);
}

coil_define(coil_stream *, coil_accept, (coil_listener *) listener)
{
    coil_vars(int fd);

    if (listener->acceptor == NULL)
        return coil_error_pointer(-ESHUTDOWN);
    coil_await(my->fd, coil_acceptor_next(listener->acceptor));
    if (my->fd < 0)
        return coil_error_pointer(my->fd);
    coil_stream *stream;
    int rc = coil_stream_create(my->fd, COIL_RECEIVE_SOCKET, &stream);
    return rc < 0 ? coil_error_pointer(rc) : stream;
}

/* Errors of accept(2) that pass: of one connection, or of a system that is short of something. */
static bool passes(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EPERM: /* A firewall. */
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

coil_define(coil_stream *, coil_accept_patiently, (coil_listener *) listener)
{
    coil_vars(coil_stream *peer);

    for (;;) {
        coil_await(my->peer, coil_accept(listener));
        int error = coil_pointer_error(my->peer);
        if (error == 0 || !passes(error))
            return my->peer;
        coil_await(coil_sleep(coil_ms(PAUSE_MS)));
    }
}

coil_async(int, accept_into, (coil_group *) connections, (coil_listener *) listener,
        (coil_handler) handler)
{
    coil_vars(coil_stream *peer);

    for (;;) {
        while (listener->max_connections > 0 &&
                connections->live_count >= listener->max_connections)
            coil_await(coil_sleep(coil_ms(PAUSE_MS)));
        coil_attempt(my->peer, coil_accept_patiently(listener));
        if (coil_spawn_handler(connections, handler, my->peer) == NULL)
            coil_stream_close(my->peer);
    }
}

coil_define(int, coil_serve, (coil_listener *) listener, (coil_handler) handler)
{
    coil_vars(coil_group connections);

    coil_open_group(&my->connections);
    my->connections.keep_going = true;
    coil_attempt(accept_into(&my->connections, listener, handler));
    return 0;
}

/* Accept until the shutdown is requested. Leaving ends the accepting task, not its connections. */
coil_async(int, accept_until_requested, (coil_group *) connections, (coil_listener *) listener,
        (coil_handler) handler)
{
    coil_vars(coil_group accepting);

    coil_open_group(&my->accepting);
    coil_spawn(&my->accepting, accept_into(connections, listener, handler));
    coil_await(coil_shutdown_requested());
    return 0;
}

coil_define(int, coil_serve_gracefully, (coil_listener *) listener, (coil_handler) handler)
{
    coil_vars(coil_group connections; coil_shutdown_state *shutdown);

    my->shutdown = coil_shutdown_of(coil_loop_of(coil_self));
    coil_open_group(&my->connections);
    my->connections.keep_going = true;
    coil_attempt(accept_until_requested(&my->connections, listener, handler));
    stop_listening(listener);
    coil_ignore(coil_until(my->shutdown->deadline, coil_group_join(&my->connections)));
    return 0;
}
