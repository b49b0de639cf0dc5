/* SPDX-License-Identifier: MIT */
#include "network_control.h"

#include "network.h"

static sim_host *host_named(coil_sim *sim, const char *name)
{
    return sim_host_named(sim, name);
}

void network_set_link(coil_sim *sim, const char *a, const char *b, const network_link *link)
{
    const sim_link full = {.latency_least = link->latency_least,
            .latency_most = link->latency_most,
            .bytes_per_second = link->bytes_per_second,
            .segment_least = link->segment_least,
            .segment_most = link->segment_most,
            .loss = link->loss_millionths};
    sim_host *first = host_named(sim, a);
    sim_host *second = host_named(sim, b);
    sim_network_link(first, second, &full);
}

void network_partition(coil_sim *sim, const char *a, const char *b)
{
    sim_network_partition(host_named(sim, a), host_named(sim, b));
}

void network_block(coil_sim *sim, const char *from, const char *to)
{
    sim_network_block(host_named(sim, from), host_named(sim, to));
}

void network_heal(coil_sim *sim, const char *a, const char *b)
{
    sim_network_heal(host_named(sim, a), host_named(sim, b));
}

void network_stall(coil_sim *sim, const char *from, const char *to, coil_duration duration)
{
    sim_network_stall(host_named(sim, from), host_named(sim, to), duration);
}

unsigned network_reset(coil_sim *sim, const char *a, const char *b)
{
    return sim_network_reset(host_named(sim, a), host_named(sim, b));
}

void network_power_off(coil_sim *sim, const char *host)
{
    sim_network_power_off(host_named(sim, host));
}

void network_power_on(coil_sim *sim, const char *host)
{
    sim_network_power_on(host_named(sim, host));
}

uint64_t network_segments(coil_sim *sim)
{
    return sim_network_counted(sim)->segments;
}

uint64_t network_losses(coil_sim *sim)
{
    return sim_network_counted(sim)->segment_losses;
}

void network_fault_reset(coil_sim *sim, uint32_t millionths)
{
    sim->faults[SIM_FAULT_RESET] = millionths;
}
