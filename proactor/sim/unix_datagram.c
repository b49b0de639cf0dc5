/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets that keep the bounds of what was sent: SOCK_DGRAM, which nothing loses and nothing
 * reorders (unix(7)), and SOCK_SEQPACKET, of which there are pairs only.
 */
#include "unix_socket.h"

#include <errno.h>
#include <poll.h>

enum { QUEUE_MOST_COUNT = 10 }; /* net.unix.max_dgram_qlen */

static const sim_file_type unix_datagram_type;

sim_socket *sim_unix_datagram_new(sim_host *host, int type)
{
    return &unix_socket_new(host, &unix_datagram_type, type)->socket;
}

static void follow(unix_socket *socket, unix_socket *peer)
{
    socket->peer = peer;
    socket->was_connected = true;
    socket->lost_peer = false;
    socket->remote = peer->name;
    coil_list_remove(&socket->follower_link);
    coil_list_append(&peer->followers, &socket->follower_link);
}

void sim_unix_datagram_pair(sim_socket *a, sim_socket *b)
{
    unix_socket *one = coil_container_of(a, unix_socket, socket);
    unix_socket *other = coil_container_of(b, unix_socket, socket);
    follow(one, other);
    follow(other, one);
}

static bool is_packet_stream(const unix_socket *socket)
{
    return socket->socket.type == SOCK_SEQPACKET;
}

static int datagram_connect(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    unix_socket *socket = unix_socket_of(file);
    unix_socket *peer = NULL;
    unix_name name;

    if (is_packet_stream(socket))
        return -EOPNOTSUPP;
    if (size_bytes >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC) {
        coil_list_remove(&socket->follower_link);
        socket->peer = NULL;
        socket->was_connected = false;
        return 0;
    }
    int rc = unix_name_read(address, size_bytes, &name);
    if (rc == 0)
        rc = unix_find(socket->socket.host, &name, SOCK_DGRAM, &peer);
    if (rc == 0)
        follow(socket, peer);
    return rc;
}

/* ------------------------------------------------------------------------------------ send -- */

/* Observed: the first send after the peer has gone is -ECONNREFUSED, those after it -ENOTCONN. */
static int find_receiver(unix_socket *socket, const sim_io *io, unix_socket **out_receiver)
{
    const struct msghdr *message = io->message;
    unix_name name;

    if (message == NULL || message->msg_name == NULL || message->msg_namelen == 0) {
        *out_receiver = socket->peer;
        if (socket->peer != NULL)
            return 0;
        int rc = socket->lost_peer ? -ECONNREFUSED : -ENOTCONN;
        socket->lost_peer = false;
        return rc;
    }
    if (is_packet_stream(socket))
        return -EISCONN;
    int rc = unix_name_read(message->msg_name, message->msg_namelen, &name);
    return rc < 0 ? rc : unix_find(socket->socket.host, &name, SOCK_DGRAM, out_receiver);
}

static size_t queued_count(const unix_socket *socket)
{
    size_t count = 0;
    for (const coil_list *link = socket->received.next; link != &socket->received;
            link = link->next)
        count++;
    return count;
}

/* Observed: two that are each other's peers are bounded by their buffers alone. */
static bool is_full(const unix_socket *socket, const unix_socket *receiver)
{
    return receiver->peer != socket && queued_count(receiver) > QUEUE_MOST_COUNT;
}

static ssize_t datagram_send(sim_file *file, sim_io *io)
{
    unix_socket *socket = unix_socket_of(file);
    size_t size_bytes = sim_io_left(io);
    unix_socket *receiver = NULL;
    unix_chunk *chunk = NULL;

    if (socket->socket.shut & SIM_SHUT_SEND)
        return -EPIPE;
    int rc = find_receiver(socket, io, &receiver);
    if (rc < 0)
        return rc == -ENOTCONN && is_packet_stream(socket) && socket->was_connected ? -EPIPE : rc;
    if (size_bytes > socket->socket.send_limit_bytes - 32)
        return -EMSGSIZE;
    if (receiver->socket.shut & SIM_SHUT_RECV)
        return -EPIPE;
    if (receiver->peer != NULL && receiver->peer != socket)
        return -EPERM; /* unix(7): it has chosen another. */
    if (!unix_has_room(socket) || is_full(socket, receiver)) {
        coil_list_remove(&socket->caller_link);
        coil_list_append(&receiver->callers, &socket->caller_link);
        /* A bug of Linux: it has copied the bytes before it looks (observed: unix_letters_wait). */
        io->is_spent = unix_has_room(socket);
        return -EAGAIN;
    }
    rc = unix_chunk_make(socket, io, size_bytes, &chunk);
    if (rc < 0)
        return rc;
    coil_list_append(&receiver->received, &chunk->link);
    sim_file_announce(&receiver->socket.file, POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND);
    return (ssize_t)size_bytes;
}

/* --------------------------------------------------------------------------------- receive -- */

static ssize_t receive_nothing(unix_socket *socket, const sim_io *io)
{
    if (is_packet_stream(socket) && !socket->was_connected)
        return -ENOTCONN;
    if (socket->socket.error != 0)
        return sim_socket_take_error(&socket->socket);
    bool is_end = (socket->socket.shut & SIM_SHUT_RECV) &&
                  (is_packet_stream(socket) || !(io->flags & MSG_DONTWAIT));
    return is_end ? 0 : -EAGAIN;
}

static void call_senders(unix_socket *receiver)
{
    coil_list *link;
    while ((link = coil_list_take_first(&receiver->callers)) != NULL)
        sim_file_changed(&coil_container_of(link, unix_socket, caller_link)->socket.file);
}

static ssize_t datagram_recv(sim_file *file, sim_io *io)
{
    unix_socket *socket = unix_socket_of(file);
    struct msghdr *message = io->message;

    if (coil_list_empty(&socket->received))
        return receive_nothing(socket, io);
    unix_chunk *chunk = coil_container_of(socket->received.next, unix_chunk, link);
    size_t size_bytes = chunk->bytes.count;
    size_t count = size_bytes == 0 ? 0 : sim_io_put(io, sim_bytes_at(&chunk->bytes, 0), size_bytes);
    if (message != NULL) {
        message->msg_flags = count < size_bytes ? MSG_TRUNC : 0;
        if (message->msg_name != NULL && chunk->from.size_bytes > 0) {
            unix_name_store(&chunk->from, message->msg_name, &message->msg_namelen);
        } else {
            message->msg_namelen = 0; /* Observed: unix_letters. */
        }
        if (chunk->file_count == 0)
            message->msg_controllen = 0;
    }
    unix_chunk_give_rights(chunk, io);
    if (!(io->flags & MSG_PEEK)) {
        coil_list_remove(&chunk->link);
        unix_chunk_free(chunk);
        call_senders(socket);
    }
    return (ssize_t)(io->flags & MSG_TRUNC ? size_bytes : count);
}

static short datagram_poll(sim_file *file)
{
    const unix_socket *socket = unix_socket_of(file);
    short events = 0;

    if (socket->socket.error != 0)
        events |= POLLERR;
    if (socket->socket.shut & SIM_SHUT_RECV)
        events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (socket->socket.shut == SIM_SHUT_BOTH)
        events |= POLLHUP;
    if (!coil_list_empty(&socket->received))
        events |= POLLIN | POLLRDNORM;
    if (unix_is_writable(socket) && !coil_list_linked(&socket->caller_link) &&
            (socket->peer == NULL || !is_full(socket, socket->peer)))
        events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
}

/* Of datagrams the peer learns nothing; packets have an end. Observed. */
static int datagram_shutdown(sim_file *file, int how)
{
    unix_socket *socket = unix_socket_of(file);
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    unsigned mask = (unsigned)how + 1;
    socket->socket.shut |= mask;
    if (is_packet_stream(socket) && socket->peer != NULL) {
        socket->peer->socket.shut |= ((mask & SIM_SHUT_RECV) << 1) | ((mask & SIM_SHUT_SEND) >> 1);
        sim_file_changed(&socket->peer->socket.file);
    }
    sim_file_changed(file);
    return 0;
}

static void leave_followers(unix_socket *socket)
{
    coil_list *link;
    while ((link = coil_list_take_first(&socket->followers)) != NULL) {
        unix_socket *follower = coil_container_of(link, unix_socket, follower_link);
        follower->peer = NULL;
        follower->lost_peer = !is_packet_stream(follower);
        if (is_packet_stream(follower))
            follower->socket.shut = SIM_SHUT_BOTH;
        sim_file_changed(&follower->socket.file);
    }
}

static void datagram_release(sim_file *file)
{
    unix_socket *socket = unix_socket_of(file);
    call_senders(socket);
    leave_followers(socket);
    unix_socket_fini(socket);
}

static const sim_file_type unix_datagram_type = {
        .name = "unix datagram socket",
        .has_messages = true,
        .poll = datagram_poll,
        .recv = datagram_recv,
        .send = datagram_send,
        .bind = unix_bind,
        .connect = datagram_connect,
        .shutdown = datagram_shutdown,
        .getsockname = unix_getsockname,
        .setsockopt = sim_socket_setsockopt,
        .getsockopt = sim_socket_getsockopt,
        .release = datagram_release,
};
