/* SPDX-License-Identifier: MIT */
/* The scripting calls of the simulated network (proactor/sim/network.h) for tests in C++. */
#ifndef NETWORK_CONTROL_H
#define NETWORK_CONTROL_H

#include <coil/sim.h>

COIL_BEGIN_DECLS

typedef struct network_link {
    coil_duration latency_least;
    coil_duration latency_most;
    uint64_t bytes_per_second;
    uint32_t segment_least;
    uint32_t segment_most;
    uint32_t loss_millionths;
} network_link;

void network_set_link(coil_sim *sim, const char *a, const char *b, const network_link *link);
void network_partition(coil_sim *sim, const char *a, const char *b);
void network_block(coil_sim *sim, const char *from, const char *to);
void network_heal(coil_sim *sim, const char *a, const char *b);
void network_stall(coil_sim *sim, const char *from, const char *to, coil_duration duration);
unsigned network_reset(coil_sim *sim, const char *a, const char *b);
void network_power_off(coil_sim *sim, const char *host);
void network_power_on(coil_sim *sim, const char *host);
uint64_t network_segments(coil_sim *sim);
uint64_t network_losses(coil_sim *sim);
void network_fault_reset(coil_sim *sim, uint32_t millionths);

int socket_rules_main(int argc, char **argv); /* How many rules of socket_rules.c are broken. */

COIL_END_DECLS

#endif
