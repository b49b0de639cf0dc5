/* SPDX-License-Identifier: MIT */
/* tcp(7), SO_KEEPALIVE: a peer that says nothing is asked whether it is there. */
#include "tcp.h"

static int keep_alive_option(const tcp_end *end, sim_option option)
{
    return end->socket->socket.options[option];
}

/* What comes of a probe: tcp(7), TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL. */
static void probe_peer(tcp_end *end)
{
    tcp_end *peer = end->peer;
    sim_world *world = end->connection->world;
    bool is_answered =
            sim_network_passes(end->host, peer->host) && sim_network_passes(peer->host, end->host);

    if (is_answered && (peer->is_dead || (peer->socket == NULL && !peer->fin_sent))) {
        tcp_end_reset(end);
    } else if (is_answered) {
        end->heard_at = sim_now(world);
        end->probe_count = 0;
        sim_after(world, coil_s(keep_alive_option(end, SIM_OPTION_KEEPIDLE_S)), &end->probe);
    } else if ((int)end->probe_count >= keep_alive_option(end, SIM_OPTION_KEEPCNT)) {
        tcp_end_time_out(end);
    } else {
        end->probe_count++;
        sim_after(world, coil_s(keep_alive_option(end, SIM_OPTION_KEEPINTVL_S)), &end->probe);
    }
}

static void run_probe(sim_event *event)
{
    tcp_end *end = coil_container_of(event, tcp_end, probe);
    sim_world *world = end->connection->world;
    if (end->is_dead || end->socket->state != TCP_IS_OPEN)
        return;
    coil_duration idle = coil_s(keep_alive_option(end, SIM_OPTION_KEEPIDLE_S));
    coil_time due = coil_time_after(end->heard_at, idle);

    if (end->acknowledged < end->sent) {
        sim_after(world, idle, &end->probe); /* Segments that are sent again tell as much. */
    } else if (end->probe_count == 0 && sim_now(world) < due) {
        sim_at(world, due, &end->probe);
    } else {
        probe_peer(end);
    }
}

void tcp_end_keep_alive(tcp_end *end)
{
    sim_world *world = end->connection->world;
    sim_withdraw(world, &end->probe);
    end->probe.run = run_probe;
    end->probe_count = 0;
    end->heard_at = sim_now(world);
    if (!end->is_dead && keep_alive_option(end, SIM_OPTION_KEEPALIVE))
        sim_after(world, coil_s(keep_alive_option(end, SIM_OPTION_KEEPIDLE_S)), &end->probe);
}
