/* SPDX-License-Identifier: MIT */
/*
 * The life of a connection: made by a handshake (tcp_connect.c), ended by FIN of both (tcp_flow.c),
 * or here, by a reset, by silence, by a power loss.
 */
#include "tcp.h"

#include <errno.h>

/* --------------------------------------------------------------------------------- lifecycle -- */

/* What it was about to do, it does not do any more. */
static void stop(tcp_end *end)
{
    sim_world *world = end->connection->world;
    tcp_flow_drop(end);
    sim_withdraw(world, &end->news);
    sim_withdraw(world, &end->probe);
}

/* What was written and has not come to the peer. */
static size_t undelivered(const tcp_end *end)
{
    const size_t count = end->unacknowledged.count;
    return count == 0 ? 0 : count - (size_t)(end->delivered - end->acknowledged);
}

static size_t on_the_way(sim_ledger *ledger)
{
    const tcp_end *end = coil_container_of(ledger, tcp_end, ledger);
    const tcp_socket *receiver = end->peer->socket;
    return undelivered(end) + (receiver == NULL ? 0 : receiver->received.count);
}

/* What has not come to the peer never will. */
static void discard(tcp_end *end)
{
    sim_ledger_discarded(&end->ledger, undelivered(end));
    sim_bytes_drop(&end->unacknowledged, end->unacknowledged.count);
    sim_ledger_check(&end->ledger);
}

static void end_fini(tcp_end *end)
{
    stop(end);
    discard(end);
    sim_ledger_close(&end->ledger);
    sim_bytes_fini(&end->unacknowledged);
}

/* An event of its own, because those who end it are still at work on it. */
static void run_end(sim_event *event)
{
    tcp_connection *connection = coil_container_of(event, tcp_connection, end);
    end_fini(&connection->ends[0]);
    end_fini(&connection->ends[1]);
    coil_list_remove(&connection->link);
    sim_delete(connection);
}

void sim_tcp_forget(sim_world *world)
{
    coil_list *all = sim_network_connections(world);
    while (!coil_list_empty(all)) {
        tcp_connection *connection = coil_container_of(all->next, tcp_connection, link);
        sim_withdraw(world, &connection->end);
        run_end(&connection->end);
    }
    tcp_remains_forget(world, NULL);
}

static void end_init(tcp_end *end, tcp_connection *connection, tcp_end *peer, sim_host *host)
{
    end->connection = connection;
    end->peer = peer;
    end->host = host;
    sim_ledger_open(&end->ledger, connection->world, "TCP", on_the_way);
    tcp_flow_init(end);
}

tcp_connection *tcp_connection_new(sim_host *client, sim_host *server)
{
    tcp_connection *connection = sim_new(sizeof(*connection));
    tcp_end *ends = connection->ends;

    connection->world = client->world;
    connection->end.run = run_end;
    end_init(&ends[0], connection, &ends[1], client);
    end_init(&ends[1], connection, &ends[0], server);
    coil_list_init(&connection->link);
    coil_list_append(sim_network_connections(client->world), &connection->link);
    return connection;
}

void tcp_end_detach(tcp_end *end)
{
    if (end->socket == NULL)
        return;
    sim_ledger_discarded(&end->peer->ledger, end->socket->received.count);
    end->socket = NULL;
    sim_ledger_check(&end->peer->ledger);
}

void tcp_end_leave(tcp_end *end)
{
    tcp_connection *connection = end->connection;
    tcp_end_detach(end);
    sim_withdraw(connection->world, &end->probe);
    if (end->peer->socket == NULL && !sim_scheduled(&connection->end))
        sim_after(connection->world, 0, &connection->end);
}

/* It says nothing any more. */
static void kill_end(tcp_end *end)
{
    end->is_dead = true;
    stop(end);
    discard(end);
}

void tcp_end_forget_half_open(tcp_end *end)
{
    if (end->socket == NULL || end->socket->state != TCP_IS_HALF_OPEN)
        return;
    kill_end(end);
    tcp_child_drop(end->socket);
}

void tcp_end_time_out(tcp_end *end)
{
    tcp_socket *tcp = end->socket;
    kill_end(end);
    tcp_end_forget_half_open(end->peer);
    sim_network_counted(end->connection->world)->timeouts++;
    if (tcp == NULL)
        return;
    sim_trace(end->connection->world, "tcp: %s timed out", end->host->name);
    tcp->socket.error = ETIMEDOUT;
    tcp_socket_closed(tcp);
}

/* Observed: to one who has got the end of the stream, it is EPIPE (tcp_reset() in Linux). */
void tcp_end_reset(tcp_end *end)
{
    tcp_socket *tcp = end->socket;
    if (end->is_dead && (tcp == NULL || tcp->state != TCP_IS_HALF_OPEN))
        return;
    sim_network_counted(end->connection->world)->resets++;
    kill_end(end);
    if (tcp == NULL)
        return;
    if (tcp->state == TCP_IS_HALF_OPEN) {
        tcp_child_drop(tcp);
    } else if (tcp->state == TCP_IS_OPEN) {
        tcp->socket.error = tcp->has_end ? EPIPE : ECONNRESET;
        tcp_socket_closed(tcp);
    }
}

/* ------------------------------------------------------------------------------- scenarios -- */

static bool is_between(const tcp_connection *connection, const sim_host *a, const sim_host *b)
{
    const tcp_end *ends = connection->ends;
    return (ends[0].host == a && ends[1].host == b) || (ends[0].host == b && ends[1].host == a);
}

unsigned sim_network_reset(sim_host *a, sim_host *b)
{
    coil_list *all = sim_network_connections(a->world);
    unsigned count = 0;

    sim_trace(a->world, "network: %s <-> %s reset", a->name, b->name);
    for (coil_list *link = all->next; link != all; link = link->next) {
        tcp_connection *connection = coil_container_of(link, tcp_connection, link);
        if (!is_between(connection, a, b) || !connection->was_open)
            continue;
        count++;
        tcp_end_reset(&connection->ends[0]);
        tcp_end_reset(&connection->ends[1]);
    }
    return count;
}

static void vanish(tcp_end *end)
{
    tcp_socket *tcp = end->socket;
    kill_end(end);
    if (tcp == NULL)
        return;
    tcp->end = NULL;
    tcp->offered = NULL;
    tcp_end_leave(end);
    if (tcp->state == TCP_IS_HALF_OPEN)
        tcp_child_drop(tcp);
    tcp_end_forget_half_open(end->peer);
}

void sim_tcp_vanish(sim_host *host)
{
    coil_list *all = sim_network_connections(host->world);

    for (coil_list *link = all->next; link != all; link = link->next) {
        tcp_end *ends = coil_container_of(link, tcp_connection, link)->ends;
        for (int i = 0; i < 2; i++) {
            if (ends[i].host == host)
                vanish(&ends[i]);
        }
    }
    tcp_remains_forget(host->world, host);
}
