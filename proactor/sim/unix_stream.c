/* SPDX-License-Identifier: MIT */
#include "unix_socket.h"

#include <errno.h>
#include <poll.h>

enum {
    CHUNK_MOST_BYTES = 36544, /* Observed: six of them are what one large send(2) gets out. */
    UNIX_BYTES_CAME = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND, /* sock_def_readable() */
};

static const sim_file_type unix_stream_type;
static size_t stream_queued(sim_file *file);

sim_socket *sim_unix_stream_new(sim_host *host)
{
    return &unix_socket_new(host, &unix_stream_type, SOCK_STREAM)->socket;
}

static size_t on_the_way(sim_ledger *ledger)
{
    return stream_queued(&coil_container_of(ledger, unix_socket, ledger)->socket.file);
}

static void join(unix_socket *a, unix_socket *b)
{
    sim_ledger_open(&a->ledger, a->socket.file.world, "unix stream", on_the_way);
    sim_ledger_open(&b->ledger, b->socket.file.world, "unix stream", on_the_way);
    a->peer = b;
    b->peer = a;
    a->was_connected = b->was_connected = true;
    a->remote = b->name;
    b->remote = a->name;
}

void sim_unix_stream_pair(sim_socket *a, sim_socket *b)
{
    join(coil_container_of(a, unix_socket, socket), coil_container_of(b, unix_socket, socket));
}

/* ------------------------------------------------------------------------------ connections -- */

static int stream_listen(sim_file *file, int backlog)
{
    unix_socket *socket = unix_socket_of(file);
    if (socket->name.size_bytes == 0 || socket->was_connected)
        return -EINVAL; /* Observed. */
    socket->backlog_limit = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : (size_t)backlog;
    socket->socket.is_listening = true;
    return 0;
}

/* Those who found no room try again. */
static void call_back(unix_socket *listener)
{
    coil_list *link;
    while ((link = coil_list_take_first(&listener->callers)) != NULL) {
        unix_socket *caller = coil_container_of(link, unix_socket, caller_link);
        sim_file_changed(&caller->socket.file);
    }
}

/* Observed: one more than the backlog; then -EAGAIN, or a wait. */
static int stream_connect(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    unix_socket *socket = unix_socket_of(file);
    unix_socket *listener = NULL;
    unix_name name;

    int rc = unix_name_read(address, size_bytes, &name);
    if (rc < 0)
        return rc;
    rc = unix_find(socket->socket.host, &name, SOCK_STREAM, &listener);
    if (rc < 0)
        return rc;
    if (!listener->socket.is_listening || (listener->socket.shut & SIM_SHUT_RECV))
        return -ECONNREFUSED;
    if (socket->was_connected || socket->socket.is_listening)
        return socket->was_connected ? -EISCONN : -EINVAL;
    coil_list_remove(&socket->caller_link);
    if (listener->backlog_count > listener->backlog_limit) {
        coil_list_append(&listener->callers, &socket->caller_link);
        return -EAGAIN;
    }
    unix_socket *child = unix_socket_of(&sim_unix_stream_new(listener->socket.host)->file);
    sim_socket_inherit(&child->socket, &listener->socket);
    child->socket.owner_id = listener->socket.owner_id;
    child->name = listener->name;
    child->listener = listener;
    join(socket, child);
    coil_list_append(&listener->backlog, &child->backlog_link);
    listener->backlog_count++;
    sim_file_connected(&listener->socket.file);
    sim_file_changed(file);
    return 0;
}

static int stream_accept(
        sim_file *file, struct sockaddr *address, socklen_t *size_bytes, sim_file **out_file)
{
    unix_socket *listener = unix_socket_of(file);
    if (!listener->socket.is_listening || (listener->socket.shut & SIM_SHUT_RECV))
        return -EINVAL;
    coil_list *link = coil_list_take_first(&listener->backlog);
    if (link == NULL)
        return -EAGAIN;
    unix_socket *child = coil_container_of(link, unix_socket, backlog_link);
    listener->backlog_count--;
    child->listener = NULL;
    unix_name_store(&child->remote, address, size_bytes);
    *out_file = &child->socket.file;
    call_back(listener);
    return 0;
}

/* ---------------------------------------------------------------------------------- bytes -- */

static ssize_t stream_send(sim_file *file, sim_io *io)
{
    unix_socket *socket = unix_socket_of(file);
    size_t before_bytes = io->done_bytes;

    if (io->message != NULL && io->message->msg_name != NULL && io->message->msg_namelen > 0)
        return socket->was_connected ? -EISCONN : -EOPNOTSUPP;
    if (!socket->was_connected)
        return -ENOTCONN;
    while (sim_io_left(io) > 0) {
        if ((socket->socket.shut & SIM_SHUT_SEND) || socket->peer == NULL) {
            return io->done_bytes > before_bytes ? (ssize_t)(io->done_bytes - before_bytes)
                                                 : -EPIPE;
        }
        if (!unix_has_room(socket))
            break;
        size_t size_bytes = sim_io_left(io) < CHUNK_MOST_BYTES ? sim_io_left(io) : CHUNK_MOST_BYTES;
        unix_chunk *chunk = NULL;
        int rc = unix_chunk_make(socket, io, size_bytes, &chunk);
        if (rc < 0)
            return rc;
        coil_list_append(&socket->peer->received, &chunk->link);
        sim_ledger_sent(&socket->peer->ledger, sim_bytes_at(&chunk->bytes, 0), chunk->bytes.count);
        sim_ledger_check(&socket->peer->ledger);
        sim_file_announce(&socket->peer->socket.file, UNIX_BYTES_CAME);
    }
    if (io->done_bytes == before_bytes && sim_io_left(io) > 0)
        return -EAGAIN;
    return (ssize_t)(io->done_bytes - before_bytes);
}

static ssize_t receive_nothing(unix_socket *socket)
{
    if (!socket->was_connected)
        return -EINVAL; /* Observed. */
    if (socket->socket.error != 0)
        return sim_socket_take_error(&socket->socket);
    return socket->socket.shut & SIM_SHUT_RECV ? 0 : -EAGAIN;
}

/* True: it has ended this receive, because descriptors came with it. Observed. */
static bool take_chunk(unix_socket *socket, unix_chunk *chunk, sim_io *io)
{
    bool has_rights = chunk->file_count > 0;
    size_t count = sim_io_put(io, sim_bytes_at(&chunk->bytes, 0), chunk->bytes.count);

    if (has_rights)
        unix_chunk_give_rights(chunk, io);
    if (io->flags & MSG_PEEK)
        return has_rights;
    sim_ledger_received(&socket->ledger, sim_bytes_at(&chunk->bytes, 0), count);
    sim_bytes_drop(&chunk->bytes, count);
    if (chunk->bytes.count == 0) {
        coil_list_remove(&chunk->link);
        unix_chunk_free(chunk);
    }
    return has_rights;
}

static ssize_t stream_recv(sim_file *file, sim_io *io)
{
    unix_socket *socket = unix_socket_of(file);
    size_t before_bytes = io->done_bytes;
    struct msghdr *message = io->message;
    size_t control_bytes = message != NULL ? message->msg_controllen : 0;

    if (io->flags & MSG_OOB)
        return -EINVAL; /* Urgent data on unix sockets is not simulated. */
    if (message != NULL) {
        message->msg_namelen = 0;
        message->msg_flags = 0;
    }
    for (coil_list *link = socket->received.next;
            link != &socket->received && sim_io_left(io) > 0;) {
        unix_chunk *chunk = coil_container_of(link, unix_chunk, link);
        link = link->next;
        if (take_chunk(socket, chunk, io)) {
            control_bytes = 0;
            break;
        }
    }
    sim_ledger_check(&socket->ledger);
    if (message != NULL && message->msg_controllen == control_bytes)
        message->msg_controllen = 0; /* No control message was there. */
    if (io->done_bytes > before_bytes)
        return (ssize_t)(io->done_bytes - before_bytes);
    bool has_bytes = !coil_list_empty(&socket->received);
    return has_bytes ? 0 : receive_nothing(socket);
}

/* unix_inq_len(): what a receive tells is left. Of a listener nothing is told. */
static size_t stream_queued(sim_file *file)
{
    const unix_socket *socket = unix_socket_of(file);
    size_t size_bytes = 0;

    for (coil_list *link = socket->received.next; link != &socket->received; link = link->next)
        size_bytes += coil_container_of(link, unix_chunk, link)->bytes.count;
    return size_bytes;
}

static short stream_poll(sim_file *file)
{
    const unix_socket *socket = unix_socket_of(file);
    unsigned shut = socket->socket.shut;
    short events = 0;

    if (socket->socket.error != 0)
        events |= POLLERR;
    if (shut == SIM_SHUT_BOTH)
        events |= POLLHUP;
    if (shut & SIM_SHUT_RECV)
        events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (!coil_list_empty(&socket->received) || !coil_list_empty(&socket->backlog))
        events |= POLLIN | POLLRDNORM;
    if (socket->socket.is_listening || coil_list_linked(&socket->caller_link))
        return events; /* Who has found no room is called when there is. */
    if (!socket->was_connected)
        events |= POLLHUP;
    if (unix_is_writable(socket))
        events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
}

/* -------------------------------------------------------------------------------- the end -- */

/* What one shuts to receive, the other cannot send any more: observed. */
static int stream_shutdown(sim_file *file, int how)
{
    unix_socket *socket = unix_socket_of(file);
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    unsigned mask = (unsigned)how + 1;
    socket->socket.shut |= mask;
    if (socket->peer != NULL) {
        unsigned mirrored = (mask & SIM_SHUT_RECV ? SIM_SHUT_SEND : 0) |
                            (mask & SIM_SHUT_SEND ? SIM_SHUT_RECV : 0);
        socket->peer->socket.shut |= mirrored;
        sim_file_changed(&socket->peer->socket.file);
    }
    sim_file_changed(file);
    return 0;
}

static void stream_release(sim_file *file)
{
    unix_socket *socket = unix_socket_of(file);
    unix_socket *peer = socket->peer;
    coil_list *link;

    socket->socket.is_listening = false;
    while ((link = coil_list_take_first(&socket->backlog)) != NULL)
        sim_file_drop(&coil_container_of(link, unix_socket, backlog_link)->socket.file);
    call_back(socket);
    if (peer != NULL) {
        bool is_unread = !coil_list_empty(&socket->received) || socket->listener != NULL;
        if (is_unread)
            peer->socket.error = ECONNRESET; /* Observed: also if it never was accepted. */
        peer->socket.shut = SIM_SHUT_BOTH;
        peer->peer = NULL;
        sim_file_changed(&peer->socket.file);
    }
    unix_socket_fini(socket);
}

static const sim_file_type unix_stream_type = {
        .name = "unix socket",
        .poll = stream_poll,
        .recv = stream_recv,
        .send = stream_send,
        .bind = unix_bind,
        .listen = stream_listen,
        .connect = stream_connect,
        .shutdown = stream_shutdown,
        .getsockname = unix_getsockname,
        .setsockopt = sim_socket_setsockopt,
        .getsockopt = sim_socket_getsockopt,
        .accept = stream_accept,
        .queued = stream_queued,
        .release = stream_release,
};
