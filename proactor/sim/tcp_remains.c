/* SPDX-License-Identifier: MIT */
/*
 * TIME_WAIT: for a minute after a connection, the port of the end that has closed first is in use.
 * bind(2) to it fails, unless both have set SO_REUSEADDR (observed: port_in_time_wait,
 * port_in_time_wait_reused).
 *
 * Here it begins with the close, and an answer by RST does not cut it short. Ports that connect(2)
 * has chosen are not remembered, since nobody binds to these; nor are two of one kind. It is no
 * event: a world in which nothing else is to come has ended.
 */
#include "tcp.h"

#include <string.h>

#include <netinet/in.h>

enum { TIME_WAIT_S = 60 }; /* TCP_TIMEWAIT_LEN of Linux */

typedef struct tcp_remains {
    sim_socket socket; /* In sim_network_ports(). No file: it has no type. */
    coil_time until;
} tcp_remains;

static tcp_remains *remains_at(coil_list *link)
{
    sim_socket *socket = coil_container_of(link, sim_socket, port_link);
    return socket->file.type == NULL ? coil_container_of(socket, tcp_remains, socket) : NULL;
}

static void end_remains(tcp_remains *remains)
{
    coil_list_remove(&remains->socket.port_link);
    sim_delete(remains);
}

static bool is_alike(const sim_socket *a, const sim_socket *b)
{
    return a->host == b->host && a->local.host == b->local.host && a->local.port == b->local.port &&
           a->local.is_v6 == b->local.is_v6 &&
           a->options[SIM_OPTION_REUSEADDR] == b->options[SIM_OPTION_REUSEADDR] &&
           a->options[SIM_OPTION_REUSEPORT] == b->options[SIM_OPTION_REUSEPORT];
}

static tcp_remains *remains_of(const sim_socket *socket)
{
    coil_list *ports = sim_network_ports(socket->host->world);
    for (coil_list *link = ports->next; link != ports; link = link->next) {
        tcp_remains *remains = remains_at(link);
        if (remains != NULL && is_alike(&remains->socket, socket))
            return remains;
    }
    return NULL;
}

static tcp_remains *make_remains(const sim_socket *socket)
{
    tcp_remains *remains = sim_new(sizeof(*remains));
    remains->socket.host = socket->host;
    remains->socket.family = socket->family;
    remains->socket.type = socket->type;
    remains->socket.protocol = socket->protocol;
    remains->socket.local = socket->local;
    memcpy(remains->socket.options, socket->options, sizeof(socket->options));
    coil_list_init(&remains->socket.port_link);
    coil_list_append(sim_network_ports(socket->host->world), &remains->socket.port_link);
    return remains;
}

void tcp_remains_leave(const tcp_socket *tcp)
{
    const sim_socket *socket = &tcp->socket;
    if (tcp->has_passing_port || socket->local.port == 0)
        return;
    tcp_remains *remains = remains_of(socket);
    if (remains == NULL)
        remains = make_remains(socket);
    remains->until = coil_time_after(sim_now(socket->host->world), coil_s(TIME_WAIT_S));
}

static void forget(sim_world *world, const sim_host *host, coil_time until)
{
    coil_list *ports = sim_network_ports(world);
    coil_list *next;

    for (coil_list *link = ports->next; link != ports; link = next) {
        tcp_remains *remains = remains_at(link);
        next = link->next;
        if (remains == NULL || remains->until > until)
            continue;
        if (host == NULL || remains->socket.host == host)
            end_remains(remains);
    }
}

void tcp_remains_forget(sim_world *world, const sim_host *host)
{
    forget(world, host, COIL_NEVER);
}

void tcp_remains_expire(sim_world *world)
{
    forget(world, NULL, sim_now(world));
}
