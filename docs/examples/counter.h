/* SPDX-License-Identifier: MIT */
/*
 * counter.h - a counter on several replicas, of which a minority may be away.
 *
 * Each client numbers its increments 1, 2, 3 ... and does not begin the next one before the last is
 * acknowledged. So all there is to keep is the highest number of each client, and the counter is
 * their sum. Two replicas that know different things agree by taking the higher number of each:
 * nothing is counted twice, however often it is sent, and in whatever order.
 *
 *     increment   at a majority: keep {client, number}; on its disk before it says so
 *     value       from a majority: the higher numbers; then at a majority: keep them, so that no
 *                 later reader sees less
 *
 * Two majorities have a replica in common, which is why nothing acknowledged is ever missing.
 * Attiya, Bar-Noy, Dolev: Sharing Memory Robustly in Message-Passing Systems, 1995.
 *
 * What is said over the network: counter.thrift.
 */
#ifndef COUNTER_H
#define COUNTER_H

#include <coil/coil.h>

#include "counter_thrift.h"

enum {
    COUNTER_CLIENT_COUNT_MAX = 64,
    COUNTER_REPLICA_COUNT_MAX = 7,
};

typedef struct counter_entry {
    int64_t client;
    int64_t number; /* Of its last increment: all up to this one are counted. */
} counter_entry;

typedef struct counter_table {
    counter_entry entries[COUNTER_CLIENT_COUNT_MAX];
    uint32_t count;
} counter_table;

/* 0: nobody has heard of that client. */
static inline int64_t counter_number(const counter_table *table, int64_t client)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->entries[i].client == client)
            return table->entries[i].number;
    }
    return 0;
}

/* Keep the higher number. -ENOSPC: one client too many. */
static inline int counter_raise(counter_table *table, counter_entry entry)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->entries[i].client != entry.client)
            continue;
        if (table->entries[i].number < entry.number)
            table->entries[i].number = entry.number;
        return 0;
    }
    if (table->count == COUNTER_CLIENT_COUNT_MAX)
        return -ENOSPC;
    table->entries[table->count++] = entry;
    return 0;
}

/* All that a peer has sent. -ENOSPC. */
static inline int counter_raise_all(counter_table *table, counter_Entry_list entries)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < entries.count; i++) {
        const counter_entry entry = {entries.items[i].client, entries.items[i].number};
        rc = counter_raise(table, entry);
    }
    return rc;
}

/* What is sent to one. -ENOMEM. */
static inline int counter_list(
        const counter_table *table, coil_arena *arena, counter_Entry_list *out_entries)
{
    counter_Entry *entries = coil_arena_take(arena, table->count * sizeof(*entries), 8);
    if (entries == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < table->count; i++) {
        entries[i] = (counter_Entry){
                .client = table->entries[i].client, .number = table->entries[i].number};
    }
    *out_entries = (counter_Entry_list){.items = entries, .count = table->count};
    return 0;
}

static inline int64_t counter_sum(const counter_table *table)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < table->count; i++)
        sum += table->entries[i].number;
    return sum;
}

/*
 * What a client does: one call to one replica. A failure means that nobody knows whether it was
 * counted; the same number can be sent again, to any replica, until one acknowledges it.
 */
coil_declare(int, counter_increment, (const char *) address, (int64_t) client, (int64_t) number);

/* The value, or a negative errno: then ask another one. */
coil_declare(int64_t, counter_value, (const char *) address);

/* Keep `table` at a replica, and add to `answer` what it has kept. */
coil_declare(int, counter_merge, (const char *) address, (const counter_table *) table,
        (counter_table *) answer);

#endif
