/* SPDX-License-Identifier: MIT */
#include "tcp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static const sim_file_type tcp_type;

tcp_socket *tcp_socket_new(sim_host *host, int family)
{
    tcp_socket *tcp = sim_new(sizeof(*tcp));
    sim_socket_init(&tcp->socket, &tcp_type, host, family, SOCK_STREAM);
    coil_list_init(&tcp->backlog);
    coil_list_init(&tcp->backlog_link);
    return tcp;
}

void tcp_socket_closed(tcp_socket *tcp)
{
    tcp->state = TCP_IS_CLOSED;
    tcp->socket.has_remote = false; /* Observed: getpeername(2) is -ENOTCONN now. */
    tcp->socket.shut = SIM_SHUT_BOTH;
    sim_file_changed(&tcp->socket.file);
}

void tcp_keep_alive_changed(sim_socket *socket)
{
    tcp_socket *tcp = coil_container_of(socket, tcp_socket, socket);
    if (tcp->end != NULL && tcp->state == TCP_IS_OPEN)
        tcp_end_keep_alive(tcp->end);
}

/* ------------------------------------------------------------------------------------ poll -- */

static size_t queued_to_send(const tcp_socket *tcp)
{
    return tcp->end == NULL ? 0 : (size_t)(tcp->end->written - tcp->end->acknowledged);
}

/* Observed: not before a third of the buffer is free (sk_stream_is_writeable() in Linux). */
static bool is_writable(const tcp_socket *tcp)
{
    return (tcp->socket.shut & SIM_SHUT_SEND) ||
           queued_to_send(tcp) <= tcp->socket.send_limit_bytes / 3 * 2;
}

static short tcp_poll(sim_file *file)
{
    const tcp_socket *tcp = tcp_socket_of(file);
    const sim_socket *socket = &tcp->socket;
    short events = 0;

    if (tcp->state == TCP_IS_LISTENING)
        return coil_list_empty(&tcp->backlog) ? 0 : POLLIN | POLLRDNORM;
    if (socket->shut == SIM_SHUT_BOTH || tcp->state == TCP_IS_CLOSED || tcp->state == TCP_IS_FAILED)
        events |= POLLHUP;
    if (socket->shut & SIM_SHUT_RECV)
        events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (socket->error != 0)
        events |= POLLERR;
    if (tcp->state == TCP_IS_CONNECTING)
        return events;
    size_t least =
            (size_t)(socket->options[SIM_OPTION_RCVLOWAT] > 1 ? socket->options[SIM_OPTION_RCVLOWAT]
                                                              : 1);
    bool is_bare_urgent = tcp->has_urgent && tcp->received.count == 1 &&
                          tcp->urgent_position == tcp->read_position &&
                          !socket->options[SIM_OPTION_OOBINLINE];
    if (tcp->received.count >= least && !is_bare_urgent)
        events |= POLLIN | POLLRDNORM;
    if (tcp->has_urgent && !tcp->urgent_is_read)
        events |= POLLPRI;
    if (is_writable(tcp))
        events |= POLLOUT | POLLWRNORM;
    return events;
}

/* Linux: tcp_inq_hint(), which counts the end as well; of a listener, what is in its queue. */
static size_t tcp_queued(sim_file *file)
{
    const tcp_socket *tcp = tcp_socket_of(file);
    return tcp->state == TCP_IS_LISTENING ? tcp->backlog_count : tcp->received.count + tcp->has_end;
}

/* ---------------------------------------------------------------------------------- receive -- */

/* tcp(7), MSG_OOB: the last byte of such a send, apart from the stream. Observed: once. */
static ssize_t recv_urgent(tcp_socket *tcp, sim_io *io)
{
    if (tcp->socket.options[SIM_OPTION_OOBINLINE] || !tcp->has_urgent || tcp->urgent_is_read)
        return -EINVAL;
    size_t offset = (size_t)(tcp->urgent_position - tcp->read_position);
    (void)sim_io_put(io, sim_bytes_at(&tcp->received, offset), 1);
    if (!(io->flags & MSG_PEEK))
        tcp->urgent_is_read = true;
    if (io->message != NULL)
        io->message->msg_flags |= MSG_OOB;
    return (ssize_t)io->done_bytes;
}

static void consume(tcp_socket *tcp, size_t size_bytes)
{
    if (tcp->end != NULL)
        sim_ledger_received(&tcp->end->peer->ledger, sim_bytes_at(&tcp->received, 0), size_bytes);
    sim_bytes_drop(&tcp->received, size_bytes);
    tcp->read_position += size_bytes;
    if (tcp->has_urgent && tcp->urgent_position < tcp->read_position)
        tcp->has_urgent = false;
}

/* How many bytes one call may take: none beyond the urgent mark, which is where it stops. */
static size_t readable(tcp_socket *tcp)
{
    if (!tcp->has_urgent)
        return tcp->received.count;
    if (tcp->urgent_position == tcp->read_position) {
        if (!tcp->socket.options[SIM_OPTION_OOBINLINE])
            consume(tcp, 1);
        return tcp->received.count;
    }
    size_t before = (size_t)(tcp->urgent_position - tcp->read_position);
    return before < tcp->received.count ? before : tcp->received.count;
}

/* Nothing is there. In this order: observed, and tcp_recvmsg_locked() in Linux. */
static ssize_t recv_nothing(tcp_socket *tcp)
{
    if (tcp->has_end) {
        if (tcp->end != NULL)
            sim_ledger_check_end(&tcp->end->peer->ledger);
        return 0;
    }
    if (tcp->socket.error != 0 && tcp->state != TCP_IS_FAILED)
        return sim_socket_take_error(&tcp->socket);
    if (tcp->socket.shut & SIM_SHUT_RECV)
        return 0;
    if (tcp->state == TCP_IS_CLOSED || tcp->state == TCP_IS_LISTENING)
        return -ENOTCONN;
    return -EAGAIN;
}

static ssize_t tcp_recv(sim_file *file, sim_io *io)
{
    tcp_socket *tcp = tcp_socket_of(file);

    sim_message_name(&tcp->socket, NULL, io->message);
    if (io->message != NULL) {
        io->message->msg_controllen = 0;
        io->message->msg_flags = 0;
    }
    if (io->flags & MSG_OOB)
        return recv_urgent(tcp, io);
    size_t count = readable(tcp);
    if (count == 0)
        return recv_nothing(tcp);
    if (io->flags & MSG_TRUNC) { /* tcp(7): the bytes are thrown away. */
        count = count < sim_io_left(io) ? count : sim_io_left(io);
        io->done_bytes += count;
    } else {
        count = sim_io_put(io, sim_bytes_at(&tcp->received, 0), count);
    }
    if (!(io->flags & MSG_PEEK)) {
        consume(tcp, count);
        if (tcp->end != NULL) {
            tcp_end_has_room(tcp->end);
            sim_ledger_check(&tcp->end->peer->ledger);
        }
    }
    return (ssize_t)count;
}

int64_t sim_tcp_acknowledged(sim_file *file)
{
    if (file->type != &tcp_type)
        return -EOPNOTSUPP;
    const tcp_end *end = tcp_socket_of(file)->end;
    return end == NULL ? 0 : (int64_t)end->acknowledged;
}

int sim_tcp_loss(sim_file *file)
{
    if (file->type != &tcp_type)
        return 0;
    tcp_socket *tcp = tcp_socket_of(file);
    if (tcp->state != TCP_IS_CLOSED || tcp->end == NULL || tcp->has_end)
        return 0;
    const int rc = tcp->received.count == 0 ? sim_socket_take_error(&tcp->socket) : 0;
    return rc < 0 ? rc : -ECONNRESET;
}

/* ------------------------------------------------------------------------------------- send -- */

static int may_send(tcp_socket *tcp)
{
    if (tcp->state == TCP_IS_CONNECTING)
        return -EAGAIN;
    if (tcp->socket.error != 0 && tcp->state != TCP_IS_FAILED)
        return sim_socket_take_error(&tcp->socket);
    if (tcp->state != TCP_IS_OPEN || (tcp->socket.shut & SIM_SHUT_SEND) || tcp->end == NULL)
        return -EPIPE;
    return 0;
}

/* A name in the message is ignored, and so are control messages of other families: observed. */
static ssize_t tcp_send(sim_file *file, sim_io *io)
{
    tcp_socket *tcp = tcp_socket_of(file);
    int rc = may_send(tcp);

    if (rc < 0 || sim_io_left(io) == 0)
        return rc;
    size_t queued = queued_to_send(tcp);
    if (queued >= tcp->socket.send_limit_bytes)
        return -EAGAIN;
    size_t size_bytes = tcp->socket.send_limit_bytes - queued;
    if (size_bytes > sim_io_left(io))
        size_bytes = sim_io_left(io);
    tcp_end *end = tcp->end;
    char *room = sim_bytes_room(&end->unacknowledged, size_bytes);
    size_t count = sim_io_take(io, room, size_bytes);
    sim_ledger_sent(&end->ledger, room, count);
    sim_bytes_added(&end->unacknowledged, count);
    end->written += count;
    if ((io->flags & MSG_OOB) && sim_io_left(io) == 0) {
        end->has_urgent = true;
        end->urgent_position = end->written - 1;
    }
    tcp_end_push(end);
    sim_ledger_check(&end->ledger);
    return (ssize_t)count;
}

/* --------------------------------------------------------------------------------- the rest -- */

static int tcp_bind(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_socket *socket = sim_socket_of(file);
    sim_address wanted;
    int rc = sim_address_read(socket, address, size_bytes, &wanted);
    if (rc < 0)
        return rc;
    if (tcp_socket_of(file)->state != TCP_IS_CLOSED)
        return -EINVAL;
    return sim_port_bind(socket, &wanted);
}

static int tcp_shutdown(sim_file *file, int how)
{
    tcp_socket *tcp = tcp_socket_of(file);
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    unsigned mask = (unsigned)how + 1;

    if (tcp->state == TCP_IS_LISTENING) { /* Observed: SHUT_WR does nothing to it. */
        if (mask & SIM_SHUT_RECV) {
            tcp_listener_close(tcp);
            sim_file_changed(file);
        }
        return 0;
    }
    if (tcp->state != TCP_IS_OPEN)
        return -ENOTCONN;
    tcp->socket.shut |= mask;
    if ((mask & SIM_SHUT_SEND) && tcp->end != NULL) {
        tcp->end->fin_wanted = true;
        tcp_end_push(tcp->end);
    }
    sim_file_changed(file);
    return 0;
}

static int tcp_getsockname(sim_file *file, struct sockaddr *address, socklen_t *size_bytes)
{
    sim_socket *socket = sim_socket_of(file);
    sim_address_store(socket, &socket->local, address, size_bytes);
    return 0;
}

/* tcp(7), RFC 1122 4.2.2.13, and observed: unread bytes, or a linger of 0, make it a reset. */
static void leave_connection(tcp_socket *tcp)
{
    tcp_end *end = tcp->end;
    tcp->end = NULL;
    if (!end->is_dead) {
        bool is_abort = tcp->received.count > 0 || tcp->state == TCP_IS_HALF_OPEN ||
                        tcp->listener != NULL ||
                        (tcp->socket.linger.l_onoff && tcp->socket.linger.l_linger == 0);
        tcp_end_detach(end); /* What is answered now is answered to nobody. */
        if (is_abort) {
            tcp_end_abort(end);
        } else {
            end->fin_wanted = true;
            tcp_end_push(end);
            if (end->closes_first && !end->is_dead)
                tcp_remains_leave(tcp);
        }
    }
    tcp_end_leave(end);
}

static void tcp_release(sim_file *file)
{
    tcp_socket *tcp = tcp_socket_of(file);
    if (tcp->state == TCP_IS_LISTENING)
        tcp_listener_close(tcp);
    sim_withdraw(file->world, &tcp->handshake);
    if (tcp->offered != NULL) {
        tcp_end *end = tcp->offered;
        tcp->offered = NULL;
        tcp_end_detach(end);
        tcp_end_abort(end);
        tcp_end_leave(end);
    }
    if (tcp->end != NULL)
        leave_connection(tcp);
    coil_list_remove(&tcp->backlog_link);
    sim_bytes_fini(&tcp->received);
    sim_socket_fini(&tcp->socket);
    sim_delete(tcp);
}

static const sim_file_type tcp_type = {
        .name = "TCP socket",
        .poll = tcp_poll,
        .recv = tcp_recv,
        .send = tcp_send,
        .bind = tcp_bind,
        .listen = tcp_listen,
        .connect = tcp_connect,
        .shutdown = tcp_shutdown,
        .getsockname = tcp_getsockname,
        .setsockopt = sim_socket_setsockopt,
        .getsockopt = sim_socket_getsockopt,
        .accept = tcp_accept,
        .queued = tcp_queued,
        .release = tcp_release,
};
