/* SPDX-License-Identifier: MIT */
/*
 * Which socket has which address. All that have one are in one list, in the order in which they got
 * it, so that what is found does not depend on addresses of memory.
 */
#include "socket.h"

#include "tcp.h"

#include <errno.h>

#include <netinet/in.h>

enum { EPHEMERAL_FIRST = 32768, EPHEMERAL_LAST = 60999 }; /* net.ipv4.ip_local_port_range */

static sim_socket *socket_at(coil_list *link)
{
    return coil_container_of(link, sim_socket, port_link);
}

static bool is_dual(const sim_socket *socket)
{
    return socket->family == AF_INET6 && !socket->options[SIM_OPTION_V6ONLY];
}

/* Does what is sent to `to` reach that socket? A wildcard of IPv6 takes IPv4, too. */
static bool covers(const sim_socket *socket, const sim_address *to)
{
    const sim_address *local = &socket->local;
    if (local->port != to->port)
        return false;
    if (local->host == 0)
        return local->is_v6 == to->is_v6 || (local->is_v6 && is_dual(socket));
    return local->is_v6 == to->is_v6 && local->host == to->host;
}

static bool overlaps(const sim_socket *a, const sim_socket *b)
{
    return covers(a, &b->local) || covers(b, &a->local);
}

static bool both_have(const sim_socket *a, const sim_socket *b, sim_option option)
{
    return a->options[option] && b->options[option];
}

/*
 * socket(7), and observed: SO_REUSEPORT of both allows everything; SO_REUSEADDR of both does as
 * long as neither listens, and for datagrams always.
 */
static bool conflicts(const sim_socket *socket, const sim_socket *other)
{
    if (other == socket || other->host != socket->host || other->protocol != socket->protocol)
        return false;
    if (!overlaps(socket, other))
        return false;
    if (both_have(socket, other, SIM_OPTION_REUSEPORT))
        return false;
    return !both_have(socket, other, SIM_OPTION_REUSEADDR) || other->is_listening;
}

static bool is_taken(const sim_socket *socket)
{
    coil_list *ports = sim_network_ports(socket->host->world);
    for (coil_list *link = ports->next; link != ports; link = link->next) {
        if (conflicts(socket, socket_at(link)))
            return true;
    }
    return false;
}

static void enlist(sim_socket *socket)
{
    if (!coil_list_linked(&socket->port_link))
        coil_list_append(sim_network_ports(socket->host->world), &socket->port_link);
}

/* Nobody has the port, at whatever address. */
static bool is_port_free(const sim_socket *socket, uint16_t port)
{
    coil_list *ports = sim_network_ports(socket->host->world);
    for (coil_list *link = ports->next; link != ports; link = link->next) {
        const sim_socket *other = socket_at(link);
        if (other->host == socket->host && other->protocol == socket->protocol &&
                other->local.port == port)
            return false;
    }
    return true;
}

int sim_port_choose(sim_socket *socket)
{
    const unsigned count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
    tcp_remains_expire(socket->host->world);
    unsigned start = (unsigned)sim_random_below(socket->host->world, count);
    for (unsigned i = 0; i < count; i++) {
        uint16_t port = (uint16_t)(EPHEMERAL_FIRST + (start + i) % count);
        if (is_port_free(socket, port)) {
            socket->local.port = port;
            enlist(socket);
            return 0;
        }
    }
    return -EADDRNOTAVAIL;
}

int sim_port_bind(sim_socket *socket, const sim_address *wanted)
{
    if (socket->local.port != 0)
        return -EINVAL; /* It has an address: bind(2). */
    if (wanted->host != 0 && sim_address_host(socket->host, wanted) != socket->host)
        return -EADDRNOTAVAIL;
    tcp_remains_expire(socket->host->world);
    sim_address before = socket->local;
    socket->local = *wanted;
    if (wanted->port == 0)
        return sim_port_choose(socket);
    if (is_taken(socket)) {
        socket->local = before;
        return -EADDRINUSE;
    }
    enlist(socket);
    return 0;
}

int sim_port_may_listen(const sim_socket *socket)
{
    coil_list *ports = sim_network_ports(socket->host->world);
    for (coil_list *link = ports->next; link != ports; link = link->next) {
        const sim_socket *other = socket_at(link);
        if (other->is_listening && conflicts(socket, other))
            return -EADDRINUSE; /* Observed: both have SO_REUSEADDR, and both were bound. */
    }
    return 0;
}

void sim_port_share(sim_socket *socket, const sim_address *local)
{
    socket->local = *local;
    enlist(socket);
}

/* The most fitting: a specific address goes before a wildcard. */
static bool is_better(const sim_socket *socket, const sim_socket *than)
{
    return than == NULL || (socket->local.host != 0 && than->local.host == 0);
}

/* Those that share a port by SO_REUSEPORT get what comes by chance; the kernel takes a hash. */
sim_socket *sim_port_listener(sim_host *host, const sim_address *to)
{
    coil_list *ports = sim_network_ports(host->world);
    sim_socket *best = NULL;
    unsigned alike = 0;

    for (coil_list *link = ports->next; link != ports; link = link->next) {
        sim_socket *socket = socket_at(link);
        if (socket->host != host || !socket->is_listening || !covers(socket, to))
            continue;
        if (is_better(socket, best)) {
            best = socket;
            alike = 1;
        } else if (!is_better(best, socket)) {
            alike++;
            if (sim_random_below(host->world, alike) == 0)
                best = socket;
        }
    }
    return best;
}

/* The same for all that one sender sends, as long as those who share the port are the same. */
static bool is_chosen(const sim_address *from, unsigned alike)
{
    const uint32_t mixed = (from->port ^ from->host) * 2654435761U;
    return (mixed >> 8) % alike == 0;
}

static bool is_better_receiver(const sim_socket *socket, const sim_socket *than)
{
    if (than == NULL || socket->has_remote != than->has_remote)
        return than == NULL || socket->has_remote;
    return is_better(socket, than);
}

/*
 * A connected socket gets what its peer sends, and nothing else (udp(7)). Of those that share a
 * port, one gets all of one sender (observed: reuseport_udp).
 */
sim_socket *sim_port_receiver(sim_host *host, const sim_address *to, const sim_address *from)
{
    coil_list *ports = sim_network_ports(host->world);
    sim_socket *best = NULL;
    unsigned alike = 0;

    for (coil_list *link = ports->next; link != ports; link = link->next) {
        sim_socket *socket = socket_at(link);
        if (socket->host != host || socket->protocol != IPPROTO_UDP || !covers(socket, to))
            continue;
        if (socket->has_remote &&
                (socket->remote.host != from->host || socket->remote.port != from->port))
            continue;
        if (is_better_receiver(socket, best)) {
            best = socket;
            alike = 1;
        } else if (!is_better_receiver(best, socket) && is_chosen(from, ++alike)) {
            best = socket;
        }
    }
    return best;
}
