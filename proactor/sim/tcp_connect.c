/* SPDX-License-Identifier: MIT */
/*
 * How a connection begins.
 *
 *     client                          network                          listener
 *     connect(2): SYN  ------------------------------->  room? a child, half open
 *     open         <-------------------------------  SYN, ACK
 *     the first segment  ------------------------->  the child is open, accept(2) has it
 */
#include "tcp.h"

#include <errno.h>

#include <netinet/in.h>

enum {
    SYN_LINEAR_COUNT = 4,    /* net.ipv4.tcp_syn_linear_timeouts */
    SYN_SECONDS_MOST = 64,   /* After which, with the default of TCP_SYNCNT, it is given up. */
    UNREACHABLE_SECONDS = 3, /* ARP has asked three times. */
};

static void run_handshake(sim_event *event);
static void send_syn(tcp_socket *tcp);

/* ------------------------------------------------------------------------------- listeners -- */

/* Observed: to listen without an address is to get one; to listen again changes the backlog. */
int tcp_listen(sim_file *file, int backlog)
{
    tcp_socket *tcp = tcp_socket_of(file);
    int rc = 0;

    if (tcp->state != TCP_IS_CLOSED && tcp->state != TCP_IS_LISTENING)
        return -EINVAL;
    if (tcp->state == TCP_IS_CLOSED) {
        if (tcp->socket.local.port == 0)
            rc = sim_port_choose(&tcp->socket);
        if (rc == 0)
            rc = sim_port_may_listen(&tcp->socket);
        if (rc < 0)
            return rc;
    }
    tcp->backlog_limit = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : (size_t)backlog;
    tcp->state = TCP_IS_LISTENING;
    tcp->socket.shut = 0;
    tcp->socket.is_listening = true;
    return 0;
}

static tcp_socket *child_at(coil_list *link)
{
    return coil_container_of(link, tcp_socket, backlog_link);
}

/* Half open ones are in no list: their last segment finds that the listener has gone. */
static void forget_listener(tcp_socket *listener)
{
    coil_list *all = sim_network_connections(listener->socket.file.world);
    for (coil_list *link = all->next; link != all; link = link->next) {
        tcp_socket *child = coil_container_of(link, tcp_connection, link)->ends[1].socket;
        if (child != NULL && child->listener == listener && child->state == TCP_IS_HALF_OPEN)
            child->listener = NULL;
    }
}

void tcp_listener_close(tcp_socket *listener)
{
    coil_list *link;

    listener->state = TCP_IS_CLOSED;
    listener->socket.is_listening = false;
    forget_listener(listener);
    while ((link = coil_list_take_first(&listener->backlog)) != NULL)
        sim_file_drop(&child_at(link)->socket.file); /* Which resets it: observed. */
    listener->backlog_count = 0;
    listener->half_open_count = 0;
}

bool tcp_child_open(tcp_socket *child)
{
    tcp_socket *listener = child->listener;
    if (listener == NULL) {
        sim_file_drop(&child->socket.file);
        return false;
    }
    child->state = TCP_IS_OPEN;
    listener->half_open_count--;
    listener->backlog_count++;
    coil_list_append(&listener->backlog, &child->backlog_link);
    if (child->socket.options[SIM_OPTION_KEEPALIVE])
        tcp_end_keep_alive(child->end);
    sim_file_connected(&listener->socket.file);
    return true;
}

void tcp_child_drop(tcp_socket *child)
{
    if (child->listener != NULL)
        child->listener->half_open_count--;
    child->listener = NULL;
    sim_file_drop(&child->socket.file);
}

/* Observed: a connection that was reset or ended in the meantime is accepted like any other. */
int tcp_accept(sim_file *file, struct sockaddr *address, socklen_t *size_bytes, sim_file **out_file)
{
    tcp_socket *listener = tcp_socket_of(file);

    if (listener->state != TCP_IS_LISTENING)
        return -EINVAL;
    coil_list *link = coil_list_take_first(&listener->backlog);
    if (link == NULL)
        return -EAGAIN;
    tcp_socket *child = child_at(link);
    listener->backlog_count--;
    child->listener = NULL;
    sim_address_store(&child->socket, &child->socket.remote, address, size_bytes);
    *out_file = &child->socket.file;
    return 0;
}

static bool has_room(const tcp_socket *listener)
{
    /* Observed: one more than was asked for. */
    return listener->backlog_count + listener->half_open_count <= listener->backlog_limit;
}

/* ------------------------------------------------------------------------------- handshake -- */

static void await(tcp_socket *tcp, tcp_handshake what, coil_time time)
{
    sim_world *world = tcp->socket.file.world;
    tcp->awaits = what;
    tcp->handshake.run = run_handshake;
    if (time <= sim_now(world)) {
        run_handshake(&tcp->handshake);
    } else {
        sim_at(world, time, &tcp->handshake);
    }
}

static void fail(tcp_socket *tcp, int error)
{
    tcp_end *end = tcp->offered;
    tcp->offered = NULL;
    if (end != NULL) {
        tcp_end_detach(end);
        tcp_end_abort(end);
        tcp_end_leave(end);
    }
    tcp->state = TCP_IS_FAILED;
    tcp->socket.shut = SIM_SHUT_BOTH;
    sim_socket_set_error(&tcp->socket, error);
}

/* ip-sysctl, tcp_syn_retries: 1 s a few times, then doubled; with the default 131 s in all. */
static coil_duration syn_delay(unsigned syn_count)
{
    if (syn_count <= SYN_LINEAR_COUNT)
        return coil_s(1);
    unsigned doublings = syn_count - SYN_LINEAR_COUNT - 1;
    return coil_s(doublings < 6 ? 1 << doublings : SYN_SECONDS_MOST);
}

static void try_again(tcp_socket *tcp, tcp_handshake what)
{
    unsigned limit = SYN_LINEAR_COUNT + 1 + (unsigned)tcp->socket.options[SIM_OPTION_SYNCNT];
    coil_time next = coil_time_after(sim_now(tcp->socket.file.world), syn_delay(tcp->syn_count));

    if (what == TCP_SYN_ACK_ARRIVES && ++tcp->syn_count > limit) {
        fail(tcp, ETIMEDOUT);
        return;
    }
    await(tcp, what, next);
}

static void offer(tcp_socket *client, tcp_socket *listener, sim_host *host)
{
    tcp_connection *connection = tcp_connection_new(client->socket.host, host);
    tcp_socket *child = tcp_socket_new(host, listener->socket.family);

    sim_socket_inherit(&child->socket, &listener->socket);
    child->socket.owner_id = listener->socket.owner_id;
    child->state = TCP_IS_HALF_OPEN;
    child->listener = listener;
    child->end = &connection->ends[1];
    child->end->socket = child;
    child->socket.remote = client->socket.local;
    child->socket.has_remote = true;
    sim_port_share(&child->socket, &client->socket.remote);
    client->offered = &connection->ends[0];
    client->offered->socket = client;
    listener->half_open_count++;
}

/* SYN has come to the host. */
static void syn_arrives(tcp_socket *tcp, sim_host *host)
{
    sim_host *own = tcp->socket.host;

    if (!sim_network_passes(own, host)) {
        try_again(tcp, TCP_SYN_AGAIN);
        return;
    }
    sim_socket *listener = sim_port_listener(host, &tcp->socket.remote);
    if (listener == NULL) {
        await(tcp, TCP_RST_ARRIVES, sim_network_arrival(host, own, 0));
        return;
    }
    tcp_socket *listening = tcp_socket_of(&listener->file);
    if (!has_room(listening)) { /* Observed: SYN is dropped; the client asks again. */
        try_again(tcp, TCP_SYN_AGAIN);
        return;
    }
    offer(tcp, listening, host);
    await(tcp, TCP_SYN_ACK_ARRIVES, sim_network_arrival(host, own, 0));
}

static void opened(tcp_socket *tcp)
{
    tcp->end = tcp->offered;
    tcp->offered = NULL;
    tcp->state = TCP_IS_OPEN;
    tcp_end_open(tcp->end);
    if (tcp->socket.options[SIM_OPTION_KEEPALIVE])
        tcp_end_keep_alive(tcp->end);
    sim_file_changed(&tcp->socket.file);
}

static void run_handshake(sim_event *event)
{
    tcp_socket *tcp = coil_container_of(event, tcp_socket, handshake);
    sim_host *own = tcp->socket.host;
    sim_host *host = sim_address_host(own, &tcp->socket.remote);

    if (!sim_network_has_power(own))
        return;
    switch (tcp->awaits) {
    case TCP_SYN_ARRIVES:
        syn_arrives(tcp, host);
        break;
    case TCP_SYN_ACK_ARRIVES:
        if (tcp->offered == NULL) {
            try_again(tcp, TCP_SYN_AGAIN); /* The other host has lost its power. */
        } else if (!sim_network_passes(host, own)) {
            try_again(tcp, TCP_SYN_ACK_ARRIVES);
        } else if (tcp->offered->peer->socket == NULL) {
            fail(tcp, ECONNREFUSED); /* The half of the server has gone meanwhile: RST comes. */
        } else {
            opened(tcp);
        }
        break;
    case TCP_RST_ARRIVES:
        if (sim_network_passes(host, own)) {
            sim_network_counted(own->world)->refused++;
            fail(tcp, ECONNREFUSED);
        } else {
            try_again(tcp, TCP_SYN_AGAIN);
        }
        break;
    case TCP_SYN_AGAIN:
        send_syn(tcp);
        break;
    case TCP_UNREACHABLE:
        fail(tcp, EHOSTUNREACH);
        break;
    }
}

static void send_syn(tcp_socket *tcp)
{
    unsigned limit = SYN_LINEAR_COUNT + 1 + (unsigned)tcp->socket.options[SIM_OPTION_SYNCNT];
    sim_host *own = tcp->socket.host;
    sim_host *host = sim_address_host(own, &tcp->socket.remote);

    if (tcp->syn_count >= limit) {
        fail(tcp, ETIMEDOUT);
        return;
    }
    tcp->syn_count++;
    if (host == NULL) {
        await(tcp, TCP_UNREACHABLE,
                coil_time_after(sim_now(own->world), coil_s(UNREACHABLE_SECONDS)));
    } else if (sim_network_loses(own, host)) {
        try_again(tcp, TCP_SYN_AGAIN);
    } else {
        await(tcp, TCP_SYN_ARRIVES, sim_network_arrival(own, host, 0));
    }
}

/* --------------------------------------------------------------------------------- connect -- */

/* Observed: whoever has taken the error by SO_ERROR gets ECONNABORTED; then it is as new. */
static int take_failure(tcp_socket *tcp)
{
    int error = tcp->socket.error != 0 ? tcp->socket.error : ECONNABORTED;
    tcp->socket.error = 0;
    tcp->socket.shut = 0;
    tcp->socket.has_remote = false;
    tcp->state = TCP_IS_CLOSED;
    return -error;
}

static int outcome(tcp_socket *tcp)
{
    if (tcp->state == TCP_IS_FAILED)
        return take_failure(tcp);
    return tcp->state == TCP_IS_CONNECTING ? -EINPROGRESS : 0;
}

static int begin(tcp_socket *tcp, const sim_address *to)
{
    sim_socket *socket = &tcp->socket;
    sim_host *own = socket->host;
    bool is_ours = to->host >> 24 == own->address >> 24 || to->host >> 24 == 127 || to->host == 0;

    if (!is_ours)
        return -ENETUNREACH; /* There is no way out of the simulation. */
    sim_address source = sim_address_own(own, to);
    if (socket->local.host == 0) {
        socket->local.host = source.host;
        socket->local.is_v6 = source.is_v6;
    }
    if (socket->local.port == 0) {
        int rc = sim_port_choose(socket);
        if (rc < 0)
            return rc;
        tcp->has_passing_port = true;
    }
    socket->remote = *to;
    if (to->host == 0)
        socket->remote.host = INADDR_LOOPBACK;
    socket->has_remote = true;
    socket->shut = 0;
    tcp->has_end = false;
    tcp->state = TCP_IS_CONNECTING;
    tcp->syn_count = 0;
    send_syn(tcp);
    return outcome(tcp);
}

int tcp_connect(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    tcp_socket *tcp = tcp_socket_of(file);
    sim_address to;

    if (tcp->state == TCP_IS_CONNECTING)
        return -EINPROGRESS;
    if (tcp->state == TCP_IS_FAILED)
        return take_failure(tcp);
    if (tcp->state == TCP_IS_OPEN && tcp->awaits == TCP_SYN_ACK_ARRIVES) {
        tcp->awaits = TCP_SYN_ARRIVES; /* The outcome is told once. */
        return 0;
    }
    if (tcp->state != TCP_IS_CLOSED)
        return -EISCONN;
    if (tcp->end != NULL && tcp->awaits == TCP_SYN_ACK_ARRIVES) {
        tcp->awaits = TCP_SYN_ARRIVES; /* It was, and is not any more, before that was told. */
        const int error = sim_socket_take_error(&tcp->socket);
        return error != 0 ? error : -ECONNABORTED;
    }
    if (tcp->end != NULL)
        return -EISCONN; /* It has had a connection: nobody connects such a socket again. */
    int rc = sim_address_read(&tcp->socket, address, size_bytes, &to);
    if (rc < 0)
        return rc;
    rc = begin(tcp, &to);
    if (rc == 0)
        tcp->awaits = TCP_SYN_ARRIVES;
    return rc;
}
