/* SPDX-License-Identifier: MIT */
/*
 * The replicated counter (counter.h) under partitions, crashes and power losses.
 *
 *     counter_sim --scenario=counter --seeds=1000 --profile=swarm       holds
 *     counter_sim --scenario=no-sync                                    does not: see --no-sync
 *     counter_sim --scenario=acks-1                                     does not: see --acks
 *
 * What must hold: no reader sees less than was acknowledged before it asked, or more than was
 * attempted, or less than a reader before it; and in the end each increment was counted once.
 */
#include "counter.h"

#include <coil/sim_network.h>
#include <coil/sim_scenario.h>

#include <stdio.h>
#include <stdlib.h>

int counter_server_main(int argc, char **argv);
/* NOLINTBEGIN(bugprone-suspicious-include, readability-identifier-naming): main() is a program. */
#define main counter_server_main
#include "counter_server.c"
#undef main
/* NOLINTEND(bugprone-suspicious-include, readability-identifier-naming) */

#include <coil/sugar.h>

enum { REPLICA_COUNT = 3, CLIENT_COUNT = 3, INCREMENT_COUNT = 12, DISASTER_COUNT = 30 };
enum { TOTAL_COUNT = CLIENT_COUNT * INCREMENT_COUNT };

static const char *const hosts[REPLICA_COUNT] = {"one", "two", "three"};

/* What the scenario knows: of this run, and beside the processes. */
static struct {
    char *option; /* For the servers, or NULL. */
    char addresses[REPLICA_COUNT][32];
    pid_t replicas[REPLICA_COUNT];
    pid_t clients[CLIENT_COUNT];
    pid_t reader;
    int64_t attempted[CLIENT_COUNT];
    int64_t acknowledged[CLIENT_COUNT];
    int64_t seen; /* By the last reader. */
    bool is_over;
} known;

static int64_t sum(const int64_t numbers[CLIENT_COUNT])
{
    int64_t total = 0;
    for (int i = 0; i < CLIENT_COUNT; i++)
        total += numbers[i];
    return total;
}

static const char *some_replica(void)
{
    return known.addresses[coil_sim_random(coil_sim_current(), REPLICA_COUNT)];
}

/* ------------------------------------------------------------------------------- the clients -- */

async(int, count, (int) client)
{
    vars(int rc);

    while (known.acknowledged[client] < INCREMENT_COUNT) {
        known.attempted[client] = known.acknowledged[client] + 1;
        await(my->rc, within(coil_s(2), counter_increment(some_replica(), client + 1,
                                                known.attempted[client])));
        if (my->rc == 0)
            known.acknowledged[client] = known.attempted[client];
        await(coil_sleep(coil_ms(10) +
                         (coil_duration)coil_sim_random(coil_sim_current(), (uint64_t)coil_s(2))));
    }
    return 0;
}

/* No memory for a ring, or the like, is no reason to give up. */
static int client_main(int argc, char **argv)
{
    const int client = argc > 1 ? atoi(argv[1]) : 0; /* NOLINT(cert-err34-c): it is ours. */
    while (coil_run(count(client)) < 0) {
    }
    return 0;
}

async(int, read_once)
{
    vars(int64_t acknowledged; int64_t seen; int64_t value);

    my->acknowledged = sum(known.acknowledged);
    my->seen = known.seen;
    await(my->value, within(coil_s(3), counter_value(some_replica())));
    if (my->value < 0)
        return 0;
    coil_sim *sim = coil_sim_current();
    coil_sim_expect(sim, my->value >= my->acknowledged, "increments are lost: %lld, not %lld",
            (long long)my->value, (long long)my->acknowledged);
    coil_sim_expect(sim, my->value <= sum(known.attempted), "increments are counted twice: %lld",
            (long long)my->value);
    coil_sim_expect(sim, my->value >= my->seen, "the counter goes back: from %lld to %lld",
            (long long)my->seen, (long long)my->value);
    known.seen = my->value;
    return 0;
}

async(int, keep_reading)
{
    vars();
    while (!known.is_over || known.seen < TOTAL_COUNT) {
        attempt(read_once());
        await(coil_sleep(coil_ms(200)));
    }
    return 0;
}

static int reader_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    while (coil_run(keep_reading()) < 0) {
    }
    return 0;
}

/* ----------------------------------------------------------------------------- the disasters -- */

static void start_replica(coil_sim *sim, int i)
{
    char *arguments[8] = {
            (char[]){"counter_server"}, (char[]){"--port"}, (char[]){"9090"}, known.option};
    int count = known.option != NULL ? 4 : 3;

    arguments[count++] = (char[]){"/counter.log"};
    for (int peer = 0; peer < REPLICA_COUNT; peer++) {
        if (peer != i)
            arguments[count++] = known.addresses[peer];
    }
    known.replicas[i] = coil_sim_start(sim, hosts[i], "/usr/bin/counter_server", arguments);
}

/* A client that is started again goes on with the number that it has had no answer to. */
static void start_client(coil_sim *sim, int i)
{
    char name[] = "client";
    char number[16];
    char *const arguments[] = {name, number, NULL};

    snprintf(number, sizeof(number), "%d", i);
    known.clients[i] = coil_sim_start(sim, "home", "/usr/bin/client", arguments);
}

/* A client has status 0 when it has done its work. */
static bool is_broken(int status)
{
    return status != -EBUSY && status != 0;
}

static void restart_the_dead(coil_sim *sim)
{
    for (int i = 0; i < CLIENT_COUNT; i++) {
        if (is_broken(coil_sim_status(sim, known.clients[i])))
            start_client(sim, i);
    }
    if (is_broken(coil_sim_status(sim, known.reader)))
        known.reader = coil_sim_start(sim, "home", "/usr/bin/reader", NULL);
    for (int i = 0; i < REPLICA_COUNT; i++) {
        if (coil_sim_status(sim, known.replicas[i]) != -EBUSY)
            start_replica(sim, i);
    }
}

/* Partitions end, and all links are as at first. */
static void heal(coil_sim *sim)
{
    const coil_sim_link usual = {.latency_least = coil_us(20), .latency_most = coil_us(200)};

    coil_sim_heal_all(sim);
    for (int i = 0; i < REPLICA_COUNT; i++)
        coil_sim_set_link(sim, hosts[i], hosts[(i + 1) % REPLICA_COUNT], &usual);
}

static void slow_down(coil_sim *sim, const char *a, const char *b)
{
    const coil_sim_link slow = {
            .latency_least = coil_ms(50),
            .latency_most = coil_ms(600),
            .bytes_per_second = 20000,
            .segment_least = 1,
            .segment_most = 100,
            .loss_ppm = 50000,
    };
    coil_sim_set_link(sim, a, b, &slow);
}

static void bring_disaster(coil_sim *sim)
{
    const uint64_t i = coil_sim_random(sim, REPLICA_COUNT);
    const char *a = hosts[i];
    const char *b = hosts[(i + 1 + coil_sim_random(sim, REPLICA_COUNT - 1)) % REPLICA_COUNT];

    switch (coil_sim_random(sim, 10)) {
    case 0:
        coil_sim_partition(sim, a, b);
        break;
    case 1:
        coil_sim_isolate(sim, a);
        break;
    case 2:
        coil_sim_block(sim, a, b);
        break;
    case 3:
        coil_sim_partition(sim, a, "home"); /* Only the clients cannot reach it. */
        break;
    case 4:
        slow_down(sim, a, b);
        break;
    case 5:
        (void)coil_sim_reset_connections(sim, a, b);
        break;
    case 6:
        (void)coil_sim_kill(sim, known.replicas[i], SIGKILL);
        break;
    case 7:
        (void)coil_sim_kill_at_call(sim, known.replicas[i], 1 + coil_sim_random(sim, 200), SIGKILL);
        break;
    case 8:
        coil_sim_cut_power(sim, a);
        break;
    default:
        for (int all = 0; all < REPLICA_COUNT; all++)
            coil_sim_cut_power(sim, hosts[all]); /* That of the room. */
        break;
    }
}

static bool all_counted(void)
{
    return sum(known.acknowledged) == TOTAL_COUNT && known.seen == TOTAL_COUNT;
}

async(int, direct, (coil_sim *) sim)
{
    vars(int i);

    for (my->i = 0; my->i < DISASTER_COUNT; my->i++) {
        await(coil_sleep((coil_duration)coil_sim_random(sim, (uint64_t)coil_s(3))));
        bring_disaster(sim);
        await(coil_sleep((coil_duration)coil_sim_random(sim, (uint64_t)coil_s(1))));
        if (coil_sim_random(sim, 2) == 0)
            restart_the_dead(sim);
        if (coil_sim_random(sim, 3) == 0)
            heal(sim);
    }
    known.is_over = true;
    heal(sim);
    while (!all_counted()) {
        restart_the_dead(sim);
        await(coil_sleep(coil_s(1)));
    }
    return 0;
}

/* ----------------------------------------------------------------------------- the scenarios -- */

static void build_with(coil_sim *sim, char *option)
{
    memset(&known, 0, sizeof(known));
    known.option = option;
    coil_sim_program(sim, "/usr/bin/counter_server", counter_server_main);
    coil_sim_program(sim, "/usr/bin/client", client_main);
    coil_sim_program(sim, "/usr/bin/reader", reader_main);
    for (int i = 0; i < REPLICA_COUNT; i++) {
        snprintf(known.addresses[i], sizeof(known.addresses[i]), "%s:9090",
                coil_sim_address(sim, hosts[i]));
    }
    for (int i = 0; i < REPLICA_COUNT; i++)
        start_replica(sim, i);
    for (int i = 0; i < CLIENT_COUNT; i++)
        start_client(sim, i);
    known.reader = coil_sim_start(sim, "home", "/usr/bin/reader", NULL);
}

static void build(coil_sim *sim)
{
    build_with(sim, NULL);
}

static void build_no_sync(coil_sim *sim)
{
    static char option[] = "--no-sync";
    build_with(sim, option);
}

static void build_acks_1(coil_sim *sim)
{
    static char option[] = "--acks=1";
    build_with(sim, option);
}

static void check(coil_sim *sim)
{
    coil_sim_expect(
            sim, all_counted(), "%lld of %d are counted", (long long)known.seen, TOTAL_COUNT);
}

#define SCENARIO(label, builder)                                                         \
    {                                                                                    \
        .name = (label), .build = (builder), .direct = coil_handler(direct, coil_sim *), \
        .check = check, .limit = coil_s(1800), .may_be_late = true                       \
    }

int main(int argc, char **argv)
{
    const coil_sim_scenario scenarios[] = {
            SCENARIO("counter", build),
            SCENARIO("no-sync", build_no_sync),
            SCENARIO("acks-1", build_acks_1),
    };
    return coil_sim_main(argc, argv, scenarios, 3);
}
