/* SPDX-License-Identifier: MIT */
/* The network by the names of its hosts, for scenarios. */
#include <coil/sim_network.h>

#include "network.h"

static sim_link link_of(const coil_sim *sim, const coil_sim_link *link)
{
    const sim_link usual = sim_network_usual_link(sim);
    const bool has_segments = link->segment_most > 0;

    return (sim_link){.latency_least = link->latency_least,
            .latency_most = link->latency_most,
            .bytes_per_second = link->bytes_per_second,
            .segment_least = has_segments ? link->segment_least : usual.segment_least,
            .segment_most = has_segments ? link->segment_most : usual.segment_most,
            .loss = link->loss_ppm,
            .duplicates = link->duplicates_ppm,
            .reorders = link->reorders_ppm};
}

const char *coil_sim_address(coil_sim *sim, const char *host)
{
    return sim_host_named(sim, host)->address_text;
}

void coil_sim_set_link(coil_sim *sim, const char *a, const char *b, const coil_sim_link *link)
{
    const sim_link made = link_of(sim, link);
    sim_host *first = sim_host_named(sim, a);
    sim_network_link(first, sim_host_named(sim, b), &made);
}

void coil_sim_set_link_one_way(
        coil_sim *sim, const char *from, const char *to, const coil_sim_link *link)
{
    const sim_link made = link_of(sim, link);
    sim_host *first = sim_host_named(sim, from);
    sim_network_link_one_way(first, sim_host_named(sim, to), &made);
}

void coil_sim_set_all_links(coil_sim *sim, const coil_sim_link *link)
{
    const sim_link made = link_of(sim, link);
    sim_network_link_all(sim, &made);
}

void coil_sim_partition(coil_sim *sim, const char *a, const char *b)
{
    sim_host *first = sim_host_named(sim, a); /* Addresses follow from this order. */
    sim_network_partition(first, sim_host_named(sim, b));
}

void coil_sim_block(coil_sim *sim, const char *from, const char *to)
{
    sim_host *first = sim_host_named(sim, from);
    sim_network_block(first, sim_host_named(sim, to));
}

void coil_sim_isolate(coil_sim *sim, const char *host)
{
    sim_network_isolate(sim_host_named(sim, host));
}

void coil_sim_heal(coil_sim *sim, const char *a, const char *b)
{
    sim_host *first = sim_host_named(sim, a);
    sim_network_heal(first, sim_host_named(sim, b));
}

void coil_sim_heal_all(coil_sim *sim)
{
    sim_network_heal_all(sim);
}

void coil_sim_stall(coil_sim *sim, const char *from, const char *to, coil_duration duration)
{
    sim_host *first = sim_host_named(sim, from);
    sim_network_stall(first, sim_host_named(sim, to), duration);
}

unsigned coil_sim_reset_connections(coil_sim *sim, const char *a, const char *b)
{
    sim_host *first = sim_host_named(sim, a);
    return sim_network_reset(first, sim_host_named(sim, b));
}
