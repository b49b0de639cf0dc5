/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - every byte of a stream, counted: one ledger for each direction of each connection, and
 * for each pipe.
 *
 *     sent by a process == received by one + discarded (reset, close, power loss) + on its way
 *
 * The three counts are taken where bytes cross between a process and the kernel, and where the
 * kernel throws them away; what is on its way is what lies in the buffers now. So the two sides
 * have nothing in common but the bytes, and a byte that one buffer has lost on the way to another
 * one, or has twice, is missed here. This is checked after each change of a ledger, and of all of
 * them at the end of a run. Where nothing was discarded, what has been received has to be what was
 * sent, in its order: there is a sum of both.
 *
 * Ledgers draw no numbers and write no trace: a run is the same without them.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "world.h"

typedef struct sim_ledger sim_ledger;
struct sim_ledger {
    const char *kind; /* "TCP", for the report. NULL: zeroed, no ledger yet. */

    /* How many bytes lie in buffers. */
    size_t (*on_the_way)(sim_ledger *ledger);

    /* Private. */
    coil_list link; /* In world->ledgers. */
    sim_world *world;
    uint64_t sent;
    uint64_t received;
    uint64_t discarded;
    uint64_t sent_sum; /* Of all bytes, in their order. */
    uint64_t received_sum;
};

void sim_ledger_open(sim_ledger *ledger, sim_world *world, const char *kind,
        size_t (*on_the_way)(sim_ledger *ledger));

/* Nothing of it lies in a buffer any more. What it knows of is part of coil_sim_get_traffic(). */
void sim_ledger_close(sim_ledger *ledger);

/*
 * These count, and do not check: a transfer is several changes, and sim_ledger_check() comes after
 * the last one. Nothing on a ledger that is not open.
 */
void sim_ledger_sent(sim_ledger *ledger, const void *bytes, size_t size_bytes);
void sim_ledger_received(sim_ledger *ledger, const void *bytes, size_t size_bytes);
void sim_ledger_discarded(sim_ledger *ledger, size_t size_bytes);

/* sim_fail() if it does not add up. */
void sim_ledger_check(sim_ledger *ledger);

/* A process is about to be told the end of the stream: all has been received, or was discarded. */
void sim_ledger_check_end(sim_ledger *ledger);

/* All that are open. */
void sim_ledgers_check(const sim_world *world);

#endif
