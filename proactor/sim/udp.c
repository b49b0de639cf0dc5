/* SPDX-License-Identifier: MIT */
/*
 * UDP: datagrams that arrive, or not, or twice, or in another order (udp(7)).
 */
#include "bytes.h"
#include "socket.h"

#include <errno.h>
#include <poll.h>

#include <netinet/in.h>

enum {
    DATAGRAM_MOST_BYTES = 65507, /* Observed: one more is -EMSGSIZE. */
    /* What the kernel counts for one in a buffer: observed, 256 of 100 bytes fill 212992. */
    OVERHEAD_BYTES = 704,
    ROUNDING_BYTES = 64,
};

typedef struct udp_socket {
    sim_socket socket; /* First. */
    coil_list received;
    size_t received_cost;
} udp_socket;

/* On its way, or received. */
typedef struct datagram {
    coil_list link;
    sim_event arrival;
    sim_host *sender;
    sim_host *receiver;
    sim_address from;
    sim_address to;
    bool is_refusal; /* ICMP: nobody is there. */
    sim_bytes bytes;
} datagram;

static const sim_file_type udp_type;

static udp_socket *udp_of(sim_file *file)
{
    return coil_container_of(sim_socket_of(file), udp_socket, socket);
}

static size_t cost_of(const datagram *packet)
{
    size_t rounded = (packet->bytes.count + ROUNDING_BYTES - 1) / ROUNDING_BYTES * ROUNDING_BYTES;
    return rounded + OVERHEAD_BYTES;
}

sim_socket *sim_udp_new(sim_host *host, int family)
{
    udp_socket *udp = sim_new(sizeof(*udp));
    sim_socket_init(&udp->socket, &udp_type, host, family, SOCK_DGRAM);
    udp->socket.protocol = IPPROTO_UDP;
    coil_list_init(&udp->received);
    return &udp->socket;
}

static void free_datagram(datagram *packet)
{
    sim_bytes_fini(&packet->bytes);
    sim_delete(packet);
}

/* --------------------------------------------------------------------------------- the way -- */

static void launch(datagram *packet);

/* ICMP goes back to the sender, whose socket learns of it if it is connected: udp(7). */
static void refuse(const datagram *packet)
{
    datagram *answer = sim_new(sizeof(*answer));
    answer->sender = packet->receiver;
    answer->receiver = packet->sender;
    answer->from = packet->to;
    answer->to = packet->from;
    answer->is_refusal = true;
    launch(answer);
}

/* sock_def_error_report(): polls are told, also if somebody else is told first, and takes it. */
static void refused(sim_socket *socket)
{
    socket->error = ECONNREFUSED;
    sim_file_announce(&socket->file, POLLERR);
}

static void enqueue(sim_socket *socket, datagram *packet)
{
    udp_socket *udp = coil_container_of(socket, udp_socket, socket);
    sim_network_counts *counts = sim_network_counted(socket->host->world);

    if (udp->received_cost + cost_of(packet) > socket->receive_limit_bytes) {
        counts->datagrams_dropped++;
        free_datagram(packet);
        return;
    }
    counts->datagrams++;
    udp->received_cost += cost_of(packet);
    coil_list_append(&udp->received, &packet->link);
    /* sock_def_readable(), which says PRI of everything. */
    sim_file_announce(&socket->file, POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND);
}

static void arrive(datagram *packet)
{
    sim_host *host = packet->receiver;
    sim_network_counts *counts = sim_network_counted(host->world);

    if (!sim_network_passes(packet->sender, host)) {
        counts->datagrams_lost++;
        free_datagram(packet);
        return;
    }
    sim_socket *socket = sim_port_receiver(host, &packet->to, &packet->from);
    if (packet->is_refusal) {
        if (socket != NULL && socket->has_remote)
            refused(socket);
        free_datagram(packet);
    } else if (socket == NULL) {
        counts->datagrams_dropped++;
        refuse(packet);
        free_datagram(packet);
    } else {
        enqueue(socket, packet);
    }
}

static void run_arrival(sim_event *event)
{
    datagram *packet = coil_container_of(event, datagram, arrival);
    coil_list_remove(&packet->link);
    arrive(packet);
}

/* On loopback it is there at once: observed. */
static void launch(datagram *packet)
{
    sim_world *world = packet->sender->world;
    coil_list_init(&packet->link);
    packet->arrival.run = run_arrival;
    coil_time time = sim_network_arrival(packet->sender, packet->receiver, packet->bytes.count);
    const sim_link *link = sim_network_link_of(packet->sender, packet->receiver);
    if (sim_chance(world, link->reorders))
        time = coil_time_after(time, 2 * link->latency_most + coil_us(100));
    if (time <= sim_now(world)) {
        arrive(packet);
    } else {
        coil_list_append(sim_network_datagrams(world), &packet->link);
        sim_at(world, time, &packet->arrival);
    }
}

static datagram *copy_of(const datagram *packet)
{
    datagram *copy = sim_new(sizeof(*copy));
    copy->sender = packet->sender;
    copy->receiver = packet->receiver;
    copy->from = packet->from;
    copy->to = packet->to;
    size_t size_bytes = packet->bytes.count;
    if (size_bytes > 0) {
        __builtin_memcpy(sim_bytes_room(&copy->bytes, size_bytes), sim_bytes_at(&packet->bytes, 0),
                size_bytes);
        sim_bytes_added(&copy->bytes, size_bytes);
    }
    return copy;
}

void sim_udp_forget(sim_world *world)
{
    coil_list *link;
    while ((link = coil_list_take_first(sim_network_datagrams(world))) != NULL) {
        datagram *packet = coil_container_of(link, datagram, link);
        sim_withdraw(world, &packet->arrival);
        free_datagram(packet);
    }
}

/* ------------------------------------------------------------------------------------ calls -- */

static int destination(sim_socket *socket, const sim_io *io, sim_address *out_to)
{
    const struct msghdr *message = io->message;
    if (message != NULL && message->msg_name != NULL && message->msg_namelen > 0) {
        int rc = sim_address_read(socket, message->msg_name, message->msg_namelen, out_to);
        return rc < 0 ? rc : out_to->port == 0 ? -EINVAL : 0; /* Observed. */
    }
    *out_to = socket->remote;
    return socket->has_remote ? 0 : -EDESTADDRREQ;
}

static int prepare_send(sim_socket *socket, const sim_io *io, sim_address *out_to)
{
    if (socket->shut & SIM_SHUT_SEND)
        return -EPIPE;
    int rc = sim_socket_take_error(socket);
    if (rc < 0)
        return rc;
    rc = destination(socket, io, out_to);
    if (rc < 0)
        return rc;
    if (sim_io_left(io) > DATAGRAM_MOST_BYTES)
        return -EMSGSIZE;
    return socket->local.port == 0 ? sim_port_choose(socket) : 0;
}

static ssize_t udp_send(sim_file *file, sim_io *io)
{
    sim_socket *socket = sim_socket_of(file);
    sim_world *world = file->world;
    sim_host *host = socket->host;
    sim_address to;

    int rc = prepare_send(socket, io, &to);
    if (rc < 0)
        return rc;
    size_t size_bytes = sim_io_left(io);
    datagram *packet = sim_new(sizeof(*packet));
    sim_bytes_added(&packet->bytes,
            sim_io_take(io, sim_bytes_room(&packet->bytes, size_bytes), size_bytes));
    packet->sender = host;
    packet->receiver = sim_address_host(host, &to);
    packet->to = to;
    if (to.host == 0)
        packet->to.host = INADDR_LOOPBACK;
    packet->from = socket->local;
    if (packet->from.host == 0) {
        packet->from = sim_address_own(host, &to);
        packet->from.port = socket->local.port;
    }
    if (packet->receiver == NULL || sim_network_loses(host, packet->receiver) ||
            sim_fault(world, SIM_FAULT_DATAGRAM_LOST)) {
        sim_network_counted(world)->datagrams_lost++;
        free_datagram(packet);
        return (ssize_t)size_bytes;
    }
    bool is_twice = sim_chance(world, sim_network_link_of(host, packet->receiver)->duplicates) ||
                    sim_fault(world, SIM_FAULT_DATAGRAM_TWICE);
    datagram *twin = is_twice ? copy_of(packet) : NULL;
    launch(packet);
    if (twin != NULL)
        launch(twin);
    return (ssize_t)size_bytes;
}

/* What does not fit is cut off; with MSG_TRUNC the result is the true length (recv(2)). */
static ssize_t udp_recv(sim_file *file, sim_io *io)
{
    udp_socket *udp = udp_of(file);
    int rc = sim_socket_take_error(&udp->socket);

    if (rc < 0)
        return rc;
    if (coil_list_empty(&udp->received)) /* Observed: also after SHUT_RD, if it may not wait. */
        return udp->socket.shut & SIM_SHUT_RECV && !(io->flags & MSG_DONTWAIT) ? 0 : -EAGAIN;
    datagram *packet = coil_container_of(udp->received.next, datagram, link);
    size_t size_bytes = packet->bytes.count;
    size_t count =
            size_bytes == 0 ? 0 : sim_io_put(io, sim_bytes_at(&packet->bytes, 0), size_bytes);
    sim_message_name(&udp->socket, &packet->from, io->message);
    if (io->message != NULL) {
        io->message->msg_controllen = 0;
        io->message->msg_flags = count < size_bytes ? MSG_TRUNC : 0;
    }
    if (!(io->flags & MSG_PEEK)) {
        coil_list_remove(&packet->link);
        udp->received_cost -= cost_of(packet);
        free_datagram(packet);
    }
    return (ssize_t)(io->flags & MSG_TRUNC ? size_bytes : count);
}

static short udp_poll(sim_file *file)
{
    const udp_socket *udp = udp_of(file);
    short events = POLLOUT | POLLWRNORM | POLLWRBAND;
    if (!coil_list_empty(&udp->received))
        events |= POLLIN | POLLRDNORM;
    if (udp->socket.shut & SIM_SHUT_RECV)
        events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (udp->socket.shut == SIM_SHUT_BOTH)
        events |= POLLHUP;
    if (udp->socket.error != 0)
        events |= POLLERR;
    return events;
}

static int udp_bind(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_address wanted;
    int rc = sim_address_read(sim_socket_of(file), address, size_bytes, &wanted);
    return rc < 0 ? rc : sim_port_bind(sim_socket_of(file), &wanted);
}

static int udp_connect(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_socket *socket = sim_socket_of(file);
    sim_address to;

    if (size_bytes >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC) {
        socket->has_remote = false; /* connect(2) */
        return 0;
    }
    int rc = sim_address_read(socket, address, size_bytes, &to);
    if (rc < 0)
        return rc;
    if (to.host == 0)
        to.host = INADDR_LOOPBACK;
    if (socket->local.host == 0) {
        sim_address own = sim_address_own(socket->host, &to);
        socket->local.host = own.host;
        socket->local.is_v6 = own.is_v6;
    }
    socket->remote = to;
    socket->has_remote = true;
    return socket->local.port == 0 ? sim_port_choose(socket) : 0;
}

static int udp_shutdown(sim_file *file, int how)
{
    sim_socket *socket = sim_socket_of(file);
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (!socket->has_remote)
        return -ENOTCONN;
    socket->shut |= (unsigned)how + 1;
    sim_file_changed(file);
    return 0;
}

static int udp_getsockname(sim_file *file, struct sockaddr *address, socklen_t *size_bytes)
{
    sim_address_store(sim_socket_of(file), &sim_socket_of(file)->local, address, size_bytes);
    return 0;
}

static int udp_listen(sim_file *file, int backlog)
{
    (void)file;
    (void)backlog;
    return -EOPNOTSUPP;
}

static int udp_accept(
        /* NOLINTNEXTLINE(readability-non-const-parameter): as sim_file_type has it. */
        sim_file *file, struct sockaddr *address, socklen_t *size_bytes, sim_file **out_file)
{
    (void)file;
    (void)address;
    (void)size_bytes;
    (void)out_file;
    return -EOPNOTSUPP;
}

static void udp_release(sim_file *file)
{
    udp_socket *udp = udp_of(file);
    coil_list *link;
    while ((link = coil_list_take_first(&udp->received)) != NULL)
        free_datagram(coil_container_of(link, datagram, link));
    sim_socket_fini(&udp->socket);
    sim_delete(udp);
}

static const sim_file_type udp_type = {
        .name = "UDP socket",
        .has_messages = true,
        .poll = udp_poll,
        .recv = udp_recv,
        .send = udp_send,
        .bind = udp_bind,
        .listen = udp_listen,
        .connect = udp_connect,
        .shutdown = udp_shutdown,
        .getsockname = udp_getsockname,
        .setsockopt = sim_socket_setsockopt,
        .getsockopt = sim_socket_getsockopt,
        .accept = udp_accept,
        .release = udp_release,
};
