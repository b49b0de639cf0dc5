/* SPDX-License-Identifier: MIT */
#include "network.h"

#include "socket.h"

/* One direction between two hosts. */
typedef struct path {
    coil_list link; /* In network->paths. */
    const sim_host *from;
    const sim_host *to;
    sim_link properties;
    bool has_own_properties;
    bool is_blocked;
    coil_time stalled_until;
    coil_time busy_until; /* Of the bandwidth. */
} path;

/* A host that is without power, or alone. */
typedef struct outage {
    coil_list link; /* In network->outages. */
    const sim_host *host;
    bool has_no_power;
    bool is_isolated;
} outage;

struct sim_network {
    coil_list paths;
    coil_list outages;
    coil_list connections;
    coil_list ports;
    coil_list unix_names;
    coil_list datagrams;
    sim_link usual;
    sim_network_counts counts;
};

enum {
    SEGMENT_BYTES = 1448,           /* What an Ethernet frame has room for, with TCP timestamps. */
    LOOPBACK_SEGMENT_BYTES = 65483, /* Its MTU is 65536. */
    HEADER_BYTES = 66,              /* Ethernet, IP and TCP. */
};

sim_link sim_network_usual_link(const sim_world *world)
{
    return (sim_link){.latency_least = world->latencies[SIM_LATENCY_NETWORK].least,
            .latency_most = world->latencies[SIM_LATENCY_NETWORK].most,
            .segment_least = SEGMENT_BYTES,
            .segment_most = LOOPBACK_SEGMENT_BYTES}; /* Cards cut and join them (TSO, GRO). */
}

/* A segment on loopback is delivered within send(2): observed. */
sim_link sim_network_loopback_link(void)
{
    return (sim_link){
            .segment_least = LOOPBACK_SEGMENT_BYTES, .segment_most = LOOPBACK_SEGMENT_BYTES};
}

static sim_network *network_of(sim_world *world)
{
    if (world->network == NULL) {
        sim_network *network = sim_new(sizeof(*network));
        coil_list_init(&network->paths);
        coil_list_init(&network->outages);
        coil_list_init(&network->connections);
        coil_list_init(&network->ports);
        coil_list_init(&network->unix_names);
        coil_list_init(&network->datagrams);
        network->usual = sim_network_usual_link(world);
        world->network = network;
    }
    return world->network;
}

static path *path_between(sim_host *from, sim_host *to)
{
    sim_network *network = network_of(from->world);
    for (coil_list *link = network->paths.next; link != &network->paths; link = link->next) {
        path *found = coil_container_of(link, path, link);
        if (found->from == from && found->to == to)
            return found;
    }
    path *made = sim_new(sizeof(*made));
    made->from = from;
    made->to = to;
    made->properties = from == to ? sim_network_loopback_link() : network->usual;
    coil_list_init(&made->link);
    coil_list_append(&network->paths, &made->link);
    return made;
}

/* NULL: all is well with it, and has been. */
static outage *outage_of(const sim_host *host)
{
    sim_network *network = network_of(host->world);
    for (coil_list *link = network->outages.next; link != &network->outages; link = link->next) {
        outage *found = coil_container_of(link, outage, link);
        if (found->host == host)
            return found;
    }
    return NULL;
}

static outage *outage_made(const sim_host *host)
{
    outage *found = outage_of(host);
    if (found == NULL) {
        found = sim_new(sizeof(*found));
        found->host = host;
        coil_list_init(&found->link);
        coil_list_append(&network_of(host->world)->outages, &found->link);
    }
    return found;
}

/* ------------------------------------------------------------------------------- scenarios -- */

void sim_network_link_one_way(sim_host *from, sim_host *to, const sim_link *link)
{
    path *changed = path_between(from, to);
    changed->properties = *link;
    changed->has_own_properties = true;
}

void sim_network_link(sim_host *a, sim_host *b, const sim_link *link)
{
    sim_network_link_one_way(a, b, link);
    sim_network_link_one_way(b, a, link);
}

void sim_network_link_all(sim_world *world, const sim_link *link)
{
    sim_network *network = network_of(world);
    network->usual = *link;
    for (coil_list *at = network->paths.next; at != &network->paths; at = at->next) {
        path *other = coil_container_of(at, path, link);
        if (!other->has_own_properties && other->from != other->to)
            other->properties = *link;
    }
}

void sim_network_block(sim_host *from, sim_host *to)
{
    sim_trace(from->world, "network: %s -> %s blocked", from->name, to->name);
    path_between(from, to)->is_blocked = true;
}

void sim_network_partition(sim_host *a, sim_host *b)
{
    sim_network_block(a, b);
    sim_network_block(b, a);
}

void sim_network_isolate(sim_host *host)
{
    sim_trace(host->world, "network: %s isolated", host->name);
    outage_made(host)->is_isolated = true;
}

void sim_network_heal(sim_host *a, sim_host *b)
{
    sim_trace(a->world, "network: %s <-> %s healed", a->name, b->name);
    path_between(a, b)->is_blocked = false;
    path_between(b, a)->is_blocked = false;
}

void sim_network_heal_all(sim_world *world)
{
    sim_network *network = network_of(world);
    sim_trace(world, "network: healed");
    for (coil_list *link = network->paths.next; link != &network->paths; link = link->next)
        coil_container_of(link, path, link)->is_blocked = false;
    for (coil_list *link = network->outages.next; link != &network->outages; link = link->next)
        coil_container_of(link, outage, link)->is_isolated = false;
}

void sim_network_stall(sim_host *from, sim_host *to, coil_duration duration)
{
    sim_trace(from->world, "network: %s -> %s stalled", from->name, to->name);
    path_between(from, to)->stalled_until = coil_time_after(from->world->now, duration);
}

void sim_network_power_on(sim_host *host)
{
    sim_trace(host->world, "network: %s on", host->name);
    outage_made(host)->has_no_power = false;
}

void sim_network_power_off(sim_host *host)
{
    sim_trace(host->world, "network: %s off", host->name);
    outage_made(host)->has_no_power = true;
    sim_tcp_vanish(host);
}

/* ------------------------------------------------------------------------------ transports -- */

bool sim_network_has_power(const sim_host *host)
{
    const outage *found = outage_of(host);
    return found == NULL || !found->has_no_power;
}

static bool is_isolated(const sim_host *host)
{
    const outage *found = outage_of(host);
    return found != NULL && found->is_isolated;
}

bool sim_network_passes(const sim_host *from, const sim_host *to)
{
    const sim_network *network = network_of(from->world);
    if (!sim_network_has_power(from) || !sim_network_has_power(to))
        return false;
    if (from == to)
        return true;
    if (is_isolated(from) || is_isolated(to))
        return false;
    for (coil_list *link = network->paths.next; link != &network->paths; link = link->next) {
        const path *found = coil_container_of(link, path, link);
        if (found->from == from && found->to == to)
            return !found->is_blocked;
    }
    return true;
}

bool sim_network_loses(sim_host *from, sim_host *to)
{
    return sim_chance(from->world, path_between(from, to)->properties.loss);
}

const sim_link *sim_network_link_of(sim_host *from, sim_host *to)
{
    return &path_between(from, to)->properties;
}

coil_time sim_network_arrival(sim_host *from, sim_host *to, size_t size_bytes)
{
    sim_world *world = from->world;
    path *way = path_between(from, to);
    const sim_link *link = &way->properties;
    coil_time sent = sim_now(world);

    if (link->bytes_per_second > 0) {
        uint64_t share = (uint64_t)(size_bytes + HEADER_BYTES) * 1000000000U;
        if (way->busy_until > sent)
            sent = way->busy_until;
        sent = coil_time_after(sent, (coil_duration)(share / link->bytes_per_second));
        way->busy_until = sent;
    }
    coil_duration latency = 0;
    if (link->latency_most > 0)
        latency = sim_random_between(world, link->latency_least, link->latency_most);
    coil_time arrival = coil_time_after(sent, latency);
    return arrival > way->stalled_until ? arrival : way->stalled_until;
}

size_t sim_network_segment(sim_host *from, sim_host *to)
{
    const sim_link *link = &path_between(from, to)->properties;
    uint32_t least = link->segment_least > 0 ? link->segment_least : 1;
    if (link->segment_most <= least)
        return least;
    return least + sim_random_below(from->world, link->segment_most - least + 1);
}

/* --------------------------------------------------------------------------------- records -- */

sim_network_counts *sim_network_counted(sim_world *world)
{
    return &network_of(world)->counts;
}

coil_list *sim_network_connections(sim_world *world)
{
    return &network_of(world)->connections;
}

coil_list *sim_network_ports(sim_world *world)
{
    return &network_of(world)->ports;
}

coil_list *sim_network_unix_names(sim_world *world)
{
    return &network_of(world)->unix_names;
}

coil_list *sim_network_datagrams(sim_world *world)
{
    return &network_of(world)->datagrams;
}

void sim_network_destroy(sim_world *world)
{
    sim_network *network = world->network;
    coil_list *link;

    if (network == NULL)
        return;
    sim_udp_forget(world);
    sim_tcp_forget(world);
    sim_unix_forget(world);
    while ((link = coil_list_take_first(&network->paths)) != NULL)
        sim_delete(coil_container_of(link, path, link));
    while ((link = coil_list_take_first(&network->outages)) != NULL)
        sim_delete(coil_container_of(link, outage, link));
    sim_delete(network);
    world->network = NULL;
}
