/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <coil/sim_network.h>

/*
 * The sum of a text is that of its beginning times FACTOR, plus the next byte; so it does not
 * matter in which pieces it comes. Four bytes at a time: the products do not wait for each other.
 */
#define FACTOR UINT64_C(0x9e3779b97f4a7c15)
#define FACTOR_2 (FACTOR * FACTOR)
#define FACTOR_3 (FACTOR_2 * FACTOR)
#define FACTOR_4 (FACTOR_2 * FACTOR_2)

static uint64_t sum_with(uint64_t sum, const unsigned char *bytes, size_t size_bytes)
{
    size_t i = 0;
    for (; i + 4 <= size_bytes; i += 4) {
        sum = sum * FACTOR_4 + bytes[i] * FACTOR_3 + bytes[i + 1] * FACTOR_2 +
              bytes[i + 2] * FACTOR + bytes[i + 3];
    }
    for (; i < size_bytes; i++)
        sum = sum * FACTOR + bytes[i];
    return sum;
}

/* ------------------------------------------------------------------------------- open, close -- */

void sim_ledger_open(sim_ledger *ledger, sim_world *world, const char *kind,
        size_t (*on_the_way)(sim_ledger *ledger))
{
    *ledger = (sim_ledger){.kind = kind, .on_the_way = on_the_way, .world = world};
    coil_list_init(&ledger->link);
    coil_list_append(&world->ledgers, &ledger->link);
}

static void add(sim_traffic *all, const sim_ledger *ledger)
{
    all->sent_bytes += ledger->sent;
    all->received_bytes += ledger->received;
    all->discarded_bytes += ledger->discarded;
}

void sim_ledger_close(sim_ledger *ledger)
{
    if (ledger->kind == NULL)
        return;
    sim_ledger_check(ledger);
    add(&ledger->world->past_traffic, ledger);
    coil_list_remove(&ledger->link);
    ledger->kind = NULL;
}

/* --------------------------------------------------------------------------------- counting -- */

void sim_ledger_sent(sim_ledger *ledger, const void *bytes, size_t size_bytes)
{
    if (ledger->kind == NULL)
        return;
    ledger->sent += size_bytes;
    ledger->sent_sum = sum_with(ledger->sent_sum, bytes, size_bytes);
}

void sim_ledger_received(sim_ledger *ledger, const void *bytes, size_t size_bytes)
{
    if (ledger->kind == NULL)
        return;
    ledger->received += size_bytes;
    ledger->received_sum = sum_with(ledger->received_sum, bytes, size_bytes);
}

void sim_ledger_discarded(sim_ledger *ledger, size_t size_bytes)
{
    if (ledger->kind != NULL)
        ledger->discarded += size_bytes;
}

/* --------------------------------------------------------------------------------- checking -- */

_Noreturn static void fail(const sim_ledger *ledger, size_t on_the_way, const char *what)
{
    sim_fail(ledger->world,
            "%s: %s: %llu bytes sent, %llu received, %llu discarded, %zu on their way",
            ledger->kind, what, (unsigned long long)ledger->sent,
            (unsigned long long)ledger->received, (unsigned long long)ledger->discarded,
            on_the_way);
}

void sim_ledger_check(sim_ledger *ledger)
{
    if (ledger->kind == NULL)
        return;
    const size_t on_the_way = ledger->on_the_way(ledger);
    const uint64_t found = ledger->received + ledger->discarded + on_the_way;
    if (found < ledger->sent)
        fail(ledger, on_the_way, "bytes are lost");
    if (found > ledger->sent)
        fail(ledger, on_the_way, "there are more bytes than were sent");
    if (ledger->received == ledger->sent && ledger->received_sum != ledger->sent_sum)
        fail(ledger, on_the_way, "other bytes are received than were sent");
}

void sim_ledger_check_end(sim_ledger *ledger)
{
    if (ledger->kind == NULL)
        return;
    sim_ledger_check(ledger);
    if (ledger->received + ledger->discarded != ledger->sent)
        fail(ledger, ledger->on_the_way(ledger), "the end is told before the last byte");
}

void sim_ledgers_check(const sim_world *world)
{
    for (coil_list *at = world->ledgers.next; at != &world->ledgers; at = at->next)
        sim_ledger_check(coil_container_of(at, sim_ledger, link));
}

void coil_sim_get_traffic(const coil_sim *sim, coil_sim_traffic *out_traffic)
{
    sim_traffic all = sim->past_traffic;

    for (coil_list *at = sim->ledgers.next; at != &sim->ledgers; at = at->next)
        add(&all, coil_container_of(at, sim_ledger, link));
    *out_traffic = (coil_sim_traffic){all.sent_bytes, all.received_bytes, all.discarded_bytes};
}
