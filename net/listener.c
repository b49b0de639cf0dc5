/* SPDX-License-Identifier: MIT */
#include <coil/listener.h>

#include "listener_private.h"

#include <coil/acceptor.h>
#include <coil/kernel.h>
#include <coil/shutdown.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* For connections that the kernel has completed before we stop. */
enum {
    DRAIN_TURNS = 8, /* Of the loop: to take them from the kernel. */
    DRAIN_S = 1,     /* To be handed those that another loop has taken; it says when it is done. */
};

static void set_option(int fd, int level, int option, int value)
{
    (void)coil_kernel_setsockopt(fd, level, option, &value, sizeof(value));
}

/* Accepted sockets inherit what is set here. */
static int set_stream_options(int fd, const coil_listen_options *options)
{
    return options->stream == NULL ? 0 : coil_stream_options_apply(fd, options->stream);
}

static void set_options(int fd, const coil_address *address, const coil_listen_options *options)
{
    int family = address->storage.ss_family;
    if (family != AF_UNIX) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
    if (options->reuse_port)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (family != AF_UNIX && options->fast_open > 0)
        set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, (int)options->fast_open);
}

/* Is there a socket at the path that nobody has open? (A file refuses connections, too.) */
static bool is_stale(int type, const coil_address *address)
{
    if (coil_kernel_is_socket(coil_address_path(address)) <= 0)
        return false;
    int fd = coil_kernel_socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int rc = coil_kernel_connect_now(fd, &address->socket, address->size_bytes);
    (void)coil_kernel_close(fd);
    return rc == -ECONNREFUSED;
}

void listener_path_claim(listener_path *path, const coil_address *address)
{
    struct stat status;
    const char *name = coil_address_path(address);

    if (name == NULL || coil_kernel_fstatat(AT_FDCWD, name, &status) < 0)
        return;
    *path = (listener_path){true, status.st_dev, status.st_ino};
}

void listener_path_remove(const listener_path *path, const coil_address *address)
{
    struct stat status;
    const char *name = coil_address_path(address);

    if (!path->is_ours || coil_kernel_fstatat(AT_FDCWD, name, &status) < 0)
        return;
    if (status.st_dev == path->device && status.st_ino == path->inode)
        (void)coil_kernel_unlink(name);
}

int listener_bind(int fd, int type, const coil_address *address)
{
    const struct sockaddr *name = &address->socket;
    int rc = coil_kernel_bind(fd, name, address->size_bytes);
    if (rc != -EADDRINUSE || coil_address_path(address) == NULL)
        return rc;
    /* Another process may be about to do the same: what it has bound meanwhile is not the stale. */
    listener_path found = {.is_ours = false};
    listener_path_claim(&found, address);
    if (!is_stale(type, address))
        return rc;
    listener_path_remove(&found, address);
    return coil_kernel_bind(fd, name, address->size_bytes);
}

/* "*" on a machine that has no IPv6. */
static bool falls_back(coil_address *address, int error, const coil_listen_options *options)
{
    const void *storage = &address->storage;
    const struct sockaddr_in6 *v6 = storage;
    bool is_missing = error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;

    if (!is_missing || options->ipv6_only || address->storage.ss_family != AF_INET6 ||
            memcmp(&v6->sin6_addr, &in6addr_any, sizeof(in6addr_any)) != 0)
        return false;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};
    memset(&address->storage, 0, sizeof(address->storage));
    memcpy(&address->storage, &v4, sizeof(v4));
    address->size_bytes = sizeof(v4);
    return true;
}

static int open_socket(coil_address *address, const coil_listen_options *options)
{
    int fd = coil_kernel_socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    set_options(fd, address, options);
    int rc = set_stream_options(fd, options);
    listener_path path = {.is_ours = false};
    if (rc == 0)
        rc = listener_bind(fd, SOCK_STREAM, address);
    if (rc == 0)
        listener_path_claim(&path, address);
    if (rc == 0)
        rc = coil_kernel_listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN);
    if (rc == 0 && coil_address_path(address) == NULL) {
        address->size_bytes = sizeof(address->storage);
        rc = coil_kernel_getsockname(fd, &address->socket, &address->size_bytes);
    }
    if (rc < 0) {
        listener_path_remove(&path, address);
        (void)coil_kernel_close(fd);
        return rc;
    }
    return fd;
}

int listener_socket(coil_address *address, const coil_listen_options *options)
{
    int fd = open_socket(address, options);
    return falls_back(address, fd, options) ? open_socket(address, options) : fd;
}

int listener_create(int fd, const coil_address *address, const coil_listen_options *options,
        coil_listener **out_listener)
{
    coil_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        (void)coil_kernel_close(fd);
        return -ENOMEM;
    }
    listener->fd = fd;
    listener->address = *address;
    listener->max_connections = options->max_connections;
    int rc = coil_acceptor_create(coil_loop_current(), fd,
            options->direct_sockets ? COIL_ACCEPT_DIRECT : COIL_ACCEPT_ORDINARY,
            &listener->acceptor);
    if (rc < 0) {
        free(listener);
        return rc;
    }
    *out_listener = listener;
    return 0;
}

int coil_listen(
        const char *address, const coil_listen_options *options, coil_listener **out_listener)
{
    static const coil_listen_options defaults;
    coil_address at;

    COIL_CHECK(coil_loop_current() != NULL);
    if (options == NULL)
        options = &defaults;
    int rc = coil_address_parse(address, &at);
    if (rc == 0)
        rc = listener_socket(&at, options);
    if (rc < 0)
        return rc;
    listener_path path = {0};
    listener_path_claim(&path, &at);
    rc = listener_create(rc, &at, options, out_listener);
    if (rc < 0) {
        listener_path_remove(&path, &at);
        return rc;
    }
    (*out_listener)->path = path;
    return 0;
}

int coil_listen_socket(
        const char *address, const coil_listen_options *options, coil_address *out_address)
{
    static const coil_listen_options defaults;
    coil_address at;

    int rc = coil_address_parse(address, &at);
    if (rc == 0)
        rc = listener_socket(&at, options == NULL ? &defaults : options);
    if (rc >= 0 && out_address != NULL)
        *out_address = at;
    return rc;
}

int listener_examine(int fd, coil_address *out_address)
{
    int is_listening = 0;
    int type = 0;
    socklen_t size_bytes = sizeof(int);

    int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size_bytes);
    if (rc == 0)
        rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size_bytes);
    if (rc < 0)
        return rc;
    if (!is_listening || type != SOCK_STREAM)
        return -EINVAL;
    memset(out_address, 0, sizeof(*out_address));
    out_address->size_bytes = sizeof(out_address->storage);
    return coil_kernel_getsockname(fd, &out_address->socket, &out_address->size_bytes);
}

int coil_listen_fd(int fd, const coil_listen_options *options, coil_listener **out_listener)
{
    static const coil_listen_options defaults;
    coil_address at;

    COIL_CHECK(coil_loop_current() != NULL);
    if (options == NULL)
        options = &defaults;
    int rc = listener_examine(fd, &at);
    if (rc == 0)
        rc = set_stream_options(fd, options);
    if (rc < 0) {
        if (rc != -EBADF)
            (void)coil_kernel_close(fd);
        return rc;
    }
    return listener_create(fd, &at, options, out_listener);
}

const coil_address *coil_listener_address(const coil_listener *listener)
{
    return &listener->address;
}

int coil_listener_keep(const coil_listener *listener)
{
    return listener->fd < 0 ? -EBADF : coil_kernel_dup_above(listener->fd, 0);
}

/* Our name, and that to which others hand over. */
static void withdraw(coil_listener *listener)
{
    if (listener->inbox != NULL && !listener->inbox->is_ending)
        listener->inbox->end(listener->inbox);
    if (listener->acceptor == NULL)
        return;
    listener_path_remove(&listener->path, &listener->address);
    listener->path.is_ours = false;
    listener->fd = -1;
}

void listener_end(coil_listener *listener)
{
    withdraw(listener);
    if (listener->acceptor != NULL)
        coil_acceptor_end(listener->acceptor);
}

/* Whoever connects from now on is refused, and who has not been taken is hung up on. */
static void stop_listening(coil_listener *listener)
{
    withdraw(listener);
    if (listener->inbox != NULL && !listener->inbox->has_left)
        listener->inbox->leave(listener->inbox);
    coil_acceptor_close(listener->acceptor);
    listener->acceptor = NULL;
}

void coil_listener_close(coil_listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->offered != NULL)
        *listener->offered = NULL;
    stop_listening(listener);
    free(listener);
}

/* ------------------------------------------------------------------------------- accepting -- */

/* Until there is a parcel, or there never will be. */
coil_leaf(int, arrival, (listener_inbox *) inbox);

static coil_turn arrival_step(coil_task *task, coil_frame *leaf)
{
    listener_inbox *inbox = coil_arguments(arrival, leaf)->inbox;

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    coil_result(arrival, leaf) = 0;
    if (coil_task_refuses(task) || inbox->first != NULL || inbox->error < 0)
        return coil_leave(task, leaf);
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &inbox->waiters, task, leaf);
}

coil_leaf_fn(arrival, arrival_step, coil_waiter_cancel);

/* The next connection, or the error. */
static int take_parcel(listener_inbox *inbox)
{
    listener_parcel *parcel = inbox->first;
    if (parcel == NULL)
        return inbox->error;
    inbox->first = parcel->next;
    if (inbox->first == NULL)
        inbox->last = &inbox->first;
    __atomic_store_n(&inbox->taken, inbox->taken + 1, __ATOMIC_RELAXED);
    int fd = parcel->fd;
    free(parcel);
    return fd;
}

coil_async(int, next_parcel, (listener_inbox *) inbox)
{
    coil_vars();

    while (inbox->first == NULL && inbox->error == 0)
        coil_attempt(arrival(inbox));
    return take_parcel(inbox);
}

/* One has come. The descriptor is the stream's, or gone. */
static coil_stream *welcome(coil_listener *listener, int fd)
{
    if (listener->accepted != NULL)
        __atomic_store_n(listener->accepted, *listener->accepted + 1, __ATOMIC_RELAXED);
    coil_stream *stream;
    int rc = coil_stream_create(fd, COIL_TRANSPORT_SOCKET, &stream);
    return rc < 0 ? coil_error_pointer(rc) : stream;
}

coil_define(coil_stream *, coil_accept, (coil_listener *) listener)
{
    coil_vars(int fd);

    my->fd = -ESHUTDOWN;
    if (listener->inbox != NULL) {
        coil_await(my->fd, next_parcel(listener->inbox));
    } else if (listener->acceptor != NULL) {
        coil_await(my->fd, coil_acceptor_next(listener->acceptor));
    }
    return my->fd < 0 ? coil_error_pointer(my->fd) : welcome(listener, my->fd);
}

static inline coil_stream *accept_now(coil_listener *listener)
{
    int fd = -EAGAIN;
    if (listener->inbox != NULL) {
        if (listener->inbox->first != NULL)
            fd = take_parcel(listener->inbox);
    } else if (listener->acceptor != NULL) {
        fd = coil_acceptor_take(listener->acceptor);
    }
    if (fd < 0)
        return NULL;
    coil_stream *stream = welcome(listener, fd);
    return coil_pointer_error(stream) == 0 ? stream : NULL;
}

coil_stream *listener_accept_now(coil_listener *listener)
{
    return accept_now(listener);
}

bool listener_error_passes(int error)
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
        if (error == 0 || !listener_error_passes(error))
            return my->peer;
        coil_await(coil_sleep(coil_ms(LISTENER_PAUSE_MS)));
    }
}

coil_async(int, accept_into, (coil_group *) connections, (coil_listener *) listener,
        (coil_handler) handler)
{
    coil_vars(coil_stream *peer);

    for (;;) {
        if (connections->limit > 0)
            coil_attempt(coil_group_room(connections));
        my->peer = accept_now(listener);
        if (my->peer == NULL)
            coil_attempt(my->peer, coil_accept_patiently(listener));
        if (coil_spawn_handler(connections, handler, my->peer) == NULL)
            coil_stream_close(my->peer);
    }
}

/* The same, but that nobody listens any more is no error. */
coil_async(int, accept_what_comes, (coil_group *) connections, (coil_listener *) listener,
        (coil_handler) handler)
{
    coil_vars(int rc);

    coil_await(my->rc, accept_into(connections, listener, handler));
    return my->rc == -ESHUTDOWN ? 0 : my->rc;
}

coil_define(int, coil_serve, (coil_listener *) listener, (coil_handler) handler)
{
    coil_vars(coil_group connections);

    coil_open_group(&my->connections);
    my->connections.keep_going = true;
    my->connections.limit = listener->max_connections;
    coil_attempt(accept_what_comes(&my->connections, listener, handler));
    /* Whoever accepted for all loops has left: the connections that there are go on. */
    coil_ignore(coil_group_join(&my->connections));
    return 0;
}

/* Accept until the shutdown is requested. Leaving ends the accepting task, not its connections. */
coil_async(int, accept_until_requested, (coil_group *) connections, (coil_listener *) listener,
        (coil_handler) handler)
{
    coil_vars(coil_group accepting);

    coil_open_group(&my->accepting);
    coil_spawn(&my->accepting, accept_what_comes(connections, listener, handler));
    coil_await(coil_shutdown_requested());
    return 0;
}

/* Accept what has come: its peers do not know that we are about to stop. */
coil_async(int, accept_rest, (coil_group *) connections, (coil_listener *) listener,
        (coil_handler) handler)
{
    coil_vars(coil_group accepting; int turn);

    coil_open_group(&my->accepting);
    coil_spawn(&my->accepting, accept_what_comes(connections, listener, handler));
    for (my->turn = 0; my->turn < DRAIN_TURNS; my->turn++)
        coil_await(coil_yield());
    listener_end(listener);
    coil_ignore(coil_within(coil_s(DRAIN_S), coil_group_join(&my->accepting)));
    return 0;
}

coil_define(int, coil_serve_gracefully, (coil_listener *) listener, (coil_handler) handler)
{
    coil_vars(coil_group connections; coil_shutdown_state *shutdown);

    my->shutdown = coil_shutdown_of(coil_loop_of(coil_self));
    coil_open_group(&my->connections);
    my->connections.keep_going = true;
    my->connections.limit = listener->max_connections;
    coil_attempt(accept_until_requested(&my->connections, listener, handler));
    coil_ignore(accept_rest(&my->connections, listener, handler));
    stop_listening(listener);
    coil_ignore(coil_until(my->shutdown->deadline, coil_group_join(&my->connections)));
    return 0;
}
