/* SPDX-License-Identifier: MIT */
/*
 * Servers that share, and servers that have too little: an address of several loops, each way of
 * sharing it, and a server with fewer descriptors than callers. Each call is answered once, by
 * somebody, and nobody waits for ever.
 */
#include "greetings.h"

#include <coil/sugar.h>

enum { CALLERS = 30, LOOPS = 3, DESCRIPTORS = 14, DESCRIPTORS_SPREAD = 6, PORT = 7300 };

static struct {
    pid_t server, client;
    const char *address;
    coil_share share;
    bool is_calm; /* Nobody gives up, and the server ends last. */
    greetings greetings;
} ledger;

/* ---------------------------------------------------------------------------------- server -- */

async(int, answer, (coil_stream *) peer)
{
    vars();
    attempt(greetings_give(&ledger.greetings, peer));
    return 0;
}

static int sharing_main(int argc, char **argv)
{
    const coil_share_options options = {.share = ledger.share, .loop_count = LOOPS};
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();
    const int rc = coil_serve_everywhere(corpus_address(coil_sim_current(), "server", PORT),
            &options, coil_handler(answer, coil_stream *));
    return corpus_end(&start, rc);
}

async(int, serve)
{
    vars(coil_listener *listener; int rc);

    my->rc = coil_listen("*:7300", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_serve_gracefully(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

CORPUS_MAIN(poor_main, serve())

/* --------------------------------------------------------------------------------- clients -- */

async(int, call)
{
    vars(coil_stream *peer);

    attempt(my->peer, corpus_connect(ledger.address));
    defer(coil_stream_close(my->peer));
    if (!ledger.is_calm && corpus_chance(10))
        return 0;
    attempt(greetings_take(&ledger.greetings, my->peer));
    await(coil_sleep(corpus_moment(coil_ms(10))));
    return 0;
}

async(int, call_at_some_time, (corpus_crowd *) crowd)
{
    vars(int rc; coil_duration limit);
    (void)crowd;

    await(coil_sleep(corpus_moment(coil_ms(5))));
    my->limit = !ledger.is_calm && corpus_chance(20) ? corpus_moment(coil_ms(5)) : coil_s(60);
    await(my->rc, within(my->limit, call()));
    if (my->rc != -ETIME || my->limit == coil_s(60))
        corpus_expect_success(my->rc, false, "a call");
    return 0;
}

CORPUS_CROWD_MAIN(client_main, CALLERS, call_at_some_time)

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars();
    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim, int (*server_main)(int argc, char **argv))
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.is_calm = coil_sim_random(sim, 2) == 0;
    const uint64_t share = coil_sim_random(sim, COIL_SHARE_BY_KERNEL + 1);
    ledger.share = (coil_share)share;
    ledger.server = corpus_start(sim, "server", "/bin/server", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", PORT);
}

static void build_shares(coil_sim *sim)
{
    build(sim, sharing_main);
}

static void build_poor(coil_sim *sim)
{
    build(sim, poor_main);
    (void)coil_sim_set_descriptor_limit(
            sim, ledger.server, DESCRIPTORS + (unsigned)coil_sim_random(sim, DESCRIPTORS_SPREAD));
}

static void check(coil_sim *sim)
{
    const unsigned count = greetings_count(&ledger.greetings);
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
    coil_sim_expect(sim, count == CALLERS || !ledger.is_calm || !corpus_is_fair(),
            "%u of %d were answered", count, CALLERS);
}

const coil_sim_scenario scenario_shares = {.name = "shares",
        .build = build_shares,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
const coil_sim_scenario scenario_poor = {.name = "poor",
        .build = build_poor,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
