/* SPDX-License-Identifier: MIT */
/*
 * network.h - what lies between the hosts of a simulation: how long things take, what is lost, who
 * cannot reach whom; and the calls by which a scenario changes that.
 *
 * Every ordered pair of hosts has a path of its own, so that a fault may hit one direction only.
 * The path of a host to itself is its loopback, without latency or losses unless told so.
 *
 *     a ---- path a->b: latency, bandwidth, loss, blocked? ---> b
 *     a <--- path b->a: ...                                ---- b
 *
 * What a loss means is up to the transport. A stream waits and sends again, as TCP does, so there a
 * loss is a delay, and one that lasts is -ETIMEDOUT. A datagram is gone.
 *
 * Hosts have IPv4 addresses (world.h). To IPv6, the host 10.0.0.1 is fd00::a00:1.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "file.h"
#include "world.h"

typedef struct sim_link {
    coil_duration latency_least; /* One way; each packet draws its own. */
    coil_duration latency_most;
    uint64_t bytes_per_second;  /* 0: no limit. */
    uint32_t segment_least;     /* A stream is cut into pieces of between so many bytes ... */
    uint32_t segment_most;      /* ... and so many. 1 and 1: byte by byte. */
    sim_probability loss;       /* Of each packet. */
    sim_probability duplicates; /* Of each datagram. */
    sim_probability reorders;   /* Of each datagram: it comes later than its successors. */
} sim_link;

/* What holds between hosts for which nothing else was said, and what does on loopback. */
sim_link sim_network_usual_link(const sim_world *world);
sim_link sim_network_loopback_link(void);

/* From `a` to `b` and back; from `from` to `to` only; between all for which no other was set. */
void sim_network_link(sim_host *a, sim_host *b, const sim_link *link);
void sim_network_link_one_way(sim_host *from, sim_host *to, const sim_link *link);
void sim_network_link_all(sim_world *world, const sim_link *link);

/* Nothing gets through, in both directions or one. It counts where a packet arrives, and when. */
void sim_network_partition(sim_host *a, sim_host *b);
void sim_network_block(sim_host *from, sim_host *to);
void sim_network_isolate(sim_host *host); /* From all others, also from those to come. */

void sim_network_heal(sim_host *a, sim_host *b);
void sim_network_heal_all(sim_world *world);

/* Nothing arrives for that long, but is not lost either: a switch that is busy with itself. */
void sim_network_stall(sim_host *from, sim_host *to, coil_duration duration);

/*
 * The host has lost its power. Nobody is told: its sockets fall silent at once. Call it before the
 * processes on it are ended. With power again, the host answers what belongs to former connections
 * with resets.
 */
void sim_network_power_off(sim_host *host);
void sim_network_power_on(sim_host *host);

/* Reset every TCP connection between `a` and `b`. How many that were. */
unsigned sim_network_reset(sim_host *a, sim_host *b);

/* The world ends, after its processes. */
void sim_network_destroy(sim_world *world);

/* What has happened so far. */
typedef struct sim_network_counts {
    uint64_t connections;       /* Handshakes that came to their end. */
    uint64_t refused;           /* Connections to where nobody listens. */
    uint64_t resets;            /* RST segments that have arrived. */
    uint64_t timeouts;          /* Connections that were given up. */
    uint64_t segments;          /* With bytes or FIN, that have arrived. */
    uint64_t segment_losses;    /* Each was a delay. */
    uint64_t datagrams;         /* That have arrived. */
    uint64_t datagrams_lost;    /* On the way. */
    uint64_t datagrams_dropped; /* For want of room, or of a receiver. */
} sim_network_counts;

sim_network_counts *sim_network_counted(sim_world *world);

/* ------------------------------------------------------------------ for the transports -- */

/* Does a packet that arrives now get through? A host without power neither sends nor receives. */
bool sim_network_passes(const sim_host *from, const sim_host *to);

/* Whether a packet that is sent now is lost by chance. */
bool sim_network_loses(sim_host *from, sim_host *to);

/* When a packet of that size arrives that is sent now. Takes its share of the bandwidth. */
coil_time sim_network_arrival(sim_host *from, sim_host *to, size_t size_bytes);

/* Into how large a piece the next bytes of a stream are cut. At least 1. */
size_t sim_network_segment(sim_host *from, sim_host *to);

const sim_link *sim_network_link_of(sim_host *from, sim_host *to);

/* Is it on? */
bool sim_network_has_power(const sim_host *host);

/* Datagrams that are on their way. */
coil_list *sim_network_datagrams(sim_world *world);

/* TCP connections, which are listed here so that a scenario finds them. */
coil_list *sim_network_connections(sim_world *world);

/* The sockets of the world that are bound, in order (socket_port.c). */
coil_list *sim_network_ports(sim_world *world);

/* The names of the unix sockets (unix_name.c). */
coil_list *sim_network_unix_names(sim_world *world);

#endif
