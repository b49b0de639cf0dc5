/* SPDX-License-Identifier: MIT */
/*
 * coil/sim_network.h - the network between the hosts of a simulation, and what goes wrong in it.
 *
 * Hosts are known by name. One begins to exist with its first mention: here, in coil_sim_start(),
 * in coil_sim_put_file(). Its address follows from the order of that: 10.0.0.1, 10.0.0.2 ...
 *
 *     a ---- way a->b: latency, bandwidth, losses, blocked? ---> b
 *     a <--- way b->a: ...                                  ---- b
 *
 * Each direction is a way of its own, so that a fault may hit one alone. A host has a loopback,
 * too, which nothing here touches unless its name is given for both ends.
 *
 * What a loss means is up to the transport. A stream sends again, as TCP does, so there it is a
 * delay, and one that lasts is -ETIMEDOUT. A datagram is gone.
 *
 * All of this can be called between two coil_sim_run(), and by the coroutine that directs a
 * scenario (coil/sim_scenario.h). Whether a packet gets through is decided when it arrives, so what
 * blocks a way, or heals it, holds also for what is on its way; the time of arrival and the losses
 * of a link are drawn when it is sent, so a new link is for what is sent from now on. None of these
 * calls fails. Names and links are copied.
 */
#ifndef COIL_SIM_NETWORK_H
#define COIL_SIM_NETWORK_H

#include <coil/base.h>
#include <coil/sim.h>
#include <coil/time.h>

#include <stdint.h>

COIL_BEGIN_DECLS

/*
 * What a way is like. All zero: no latency, no limit, no losses. If the most is less than the
 * least, it is the least. Of a million, more than 1000000 are all.
 */
typedef struct coil_sim_link {
    coil_duration latency_least; /* One way; each packet draws its own. */
    coil_duration latency_most;
    uint64_t bytes_per_second; /* 0: no limit. */
    uint32_t segment_least;    /* A stream is cut into pieces of between so many bytes ... */
    uint32_t segment_most;     /* ... and so many. 1 and 1: byte by byte. 0 and 0: as usual. */
    uint32_t loss_ppm;         /* So many packets of a million are lost. */
    uint32_t duplicates_ppm;   /* Datagrams that come twice. */
    uint32_t reorders_ppm;     /* Datagrams that come later than their successors. */
} coil_sim_link;

/*
 * The address of a host: "10.0.0.1", to make "10.0.0.1:9090" of. Valid as long as the world, and
 * never NULL. To IPv6, the same host is fd00::a00:1.
 */
COIL_API const char *coil_sim_address(coil_sim *sim, const char *host);

/*
 * What lies between two hosts, in both directions; in one; and between all for which nothing else
 * has been said. At first 20 to 200 microseconds, no limit and no losses.
 */
COIL_API void coil_sim_set_link(
        coil_sim *sim, const char *a, const char *b, const coil_sim_link *link);
COIL_API void coil_sim_set_link_one_way(
        coil_sim *sim, const char *from, const char *to, const coil_sim_link *link);
COIL_API void coil_sim_set_all_links(coil_sim *sim, const coil_sim_link *link);

/*
 * Nothing gets through: in both directions; in one; to and from all others, also those to come. TCP
 * goes on trying, and gives up with -ETIMEDOUT: after a quarter of an hour, or TCP_USER_TIMEOUT.
 */
COIL_API void coil_sim_partition(coil_sim *sim, const char *a, const char *b);
COIL_API void coil_sim_block(coil_sim *sim, const char *from, const char *to);
COIL_API void coil_sim_isolate(coil_sim *sim, const char *host);

/* Undoes that: between two hosts, as far as they are not isolated; everywhere. Links stay. */
COIL_API void coil_sim_heal(coil_sim *sim, const char *a, const char *b);
COIL_API void coil_sim_heal_all(coil_sim *sim);

/*
 * Nothing that is sent from now on arrives before so much time has passed, nor is it lost: a switch
 * that is busy with itself. In place of an earlier stall.
 */
COIL_API void coil_sim_stall(
        coil_sim *sim, const char *from, const char *to, coil_duration duration);

/* Every TCP connection between the two is reset, at once and at both ends. How many that were. */
COIL_API unsigned coil_sim_reset_connections(coil_sim *sim, const char *a, const char *b);

/*
 * What has gone through streams so far: TCP connections, connected unix sockets and pipes, of all
 * processes together. Discarded is what was sent and will never be received: by a reset, by a close
 * before all was read, by a power loss. What is in none of the two is on its way. That nothing else
 * gets lost, comes twice or comes changed is seen to, stream by stream and byte by byte, at each
 * step: a run in which it does fails.
 */
typedef struct coil_sim_traffic {
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t discarded_bytes;
} coil_sim_traffic;

COIL_API void coil_sim_get_traffic(const coil_sim *sim, coil_sim_traffic *out_traffic);

COIL_END_DECLS

#endif
