/* SPDX-License-Identifier: MIT */
/*
 * Datagrams by coil/datagram.h. On one host, by a unix socket, nothing is lost and nothing
 * overtakes, however often the receiver is interrupted, and however much it holds. Between hosts,
 * by UDP, what arrives has been sent, whole; and who asks until there is an answer gets one.
 */
#include "corpus.h"

#include <stdio.h>

#include <coil/sugar.h>

enum { STREAM = 77, LOCAL_COUNT = 40, ASKED_COUNT = 10, MOST_BYTES = 1200, PORT = 7500, HELD = 6 };

static struct {
    pid_t local, server, client;
    uint32_t size_bytes[LOCAL_COUNT];
    unsigned sent, received;
    unsigned answered;
} ledger;

/* ----------------------------------------------------------------------------- on one host -- */

async(int, send_all, (coil_datagram_socket *) out)
{
    vars(char bytes[MOST_BYTES]; coil_slice slice; unsigned i; int rc);

    for (my->i = 0; my->i < LOCAL_COUNT; my->i++) {
        ledger.size_bytes[my->i] = (uint32_t)corpus_draw(MOST_BYTES);
        corpus_fill(my->bytes, ledger.size_bytes[my->i], STREAM, my->i);
        my->slice = coil_bytes(my->bytes, ledger.size_bytes[my->i]);
        do
            await(my->rc, within(corpus_deadline(30, coil_ms(2)),
                                  coil_datagram_send(out, NULL, my->slice)));
        while (my->rc == -ETIME);
        corpus_expect_success(my->rc, false, "a datagram");
        if (my->rc < 0)
            return my->rc;
        ledger.sent++;
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_ms(2))));
    }
    return 0;
}

static void look_at(const coil_datagram *in)
{
    const unsigned number = ledger.received++;
    corpus_expect(number < LOCAL_COUNT, "more than was sent");
    corpus_expect(in->bytes.size_bytes == ledger.size_bytes[number], "%u has other bytes", number);
    corpus_expect(corpus_matches(in->bytes.bytes, (size_t)in->bytes.size_bytes, STREAM, number));
}

async(int, receive_all, (coil_datagram_socket *) in)
{
    vars(coil_datagram held[HELD]; unsigned i; int rc);

    defer(for (int i = 0; i < HELD; i++) coil_datagram_release(&my->held[i]));
    while (ledger.received < LOCAL_COUNT) {
        coil_datagram_release(&my->held[my->i]);
        await(my->rc, within(corpus_deadline(50, coil_ms(2)),
                              coil_datagram_receive(in, &my->held[my->i])));
        if (my->rc == -ETIME)
            continue;
        if (my->rc < 0 && corpus_is_weather(my->rc) && !corpus_is_fair())
            return my->rc;
        corpus_expect_success(my->rc, false, "a receive");
        look_at(&my->held[my->i]);
        my->i = (unsigned)corpus_draw(HELD);
    }
    return 0;
}

async(int, talk_to_ourselves)
{
    vars(coil_datagram_socket *in; coil_datagram_socket *out; coil_group group; int rc);
    coil_datagram_options options = {.local = "unix:@datagrams", .max_bytes = MOST_BYTES};

    options.buffer_count = 1 + (unsigned)corpus_draw(8);
    my->rc = coil_datagram_open(&options, &my->in);
    if (my->rc < 0)
        return my->rc;
    defer(coil_datagram_close(my->in));
    options = (coil_datagram_options){.remote = "unix:@datagrams", .max_bytes = 1};
    my->rc = coil_datagram_open(&options, &my->out);
    if (my->rc < 0)
        return my->rc;
    defer(coil_datagram_close(my->out));
    open_group(&my->group);
    spawn(&my->group, send_all(my->out));
    spawn(&my->group, receive_all(my->in));
    attempt(coil_group_join(&my->group));
    return 0;
}

CORPUS_MAIN(local_main, talk_to_ourselves())

/* --------------------------------------------------------------------------- between hosts -- */

/* A question is one number, many times; the answer is the number alone. */
async(int, answer_all)
{
    vars(coil_datagram_socket *socket; coil_datagram in; int rc);
    const coil_datagram_options options = {.local = "0.0.0.0:7500",
            .tells_local = true,
            .joins_segments = corpus_chance(50),
            .buffer_count = 4};

    my->rc = coil_datagram_open(&options, &my->socket);
    if (my->rc < 0)
        return my->rc;
    defer(coil_datagram_close(my->socket));
    defer(coil_datagram_release(&my->in));
    for (;;) {
        coil_datagram_release(&my->in);
        attempt(coil_datagram_receive(my->socket, &my->in));
        corpus_expect(my->in.bytes.size_bytes > 0 && my->in.bytes.size_bytes <= 100, "a segment");
        for (int64_t i = 0; i < my->in.bytes.size_bytes; i++)
            corpus_expect(my->in.bytes.bytes[i] == my->in.bytes.bytes[0], "it is mixed");
        my->in.bytes.size_bytes = 1;
        await(my->rc, coil_datagram_send(my->socket, &my->in.from, my->in.bytes));
        corpus_expect_success(my->rc, false, "an answer");
    }
}

async(int, answer_until_told)
{
    vars(coil_group group);

    open_group(&my->group);
    spawn(&my->group, answer_all());
    attempt(coil_signal_wait(COIL_SIGNALS(SIGTERM)));
    return 0;
}

CORPUS_MAIN(server_main, answer_until_told())

/* Until it comes; answers to earlier questions may come, too. */
async(int, await_number, (coil_datagram_socket *) socket, (char) number)
{
    vars(coil_datagram in; char got);

    for (;;) {
        attempt(coil_datagram_receive(socket, &my->in));
        corpus_expect(my->in.bytes.size_bytes == 1, "an answer of %d bytes",
                (int)my->in.bytes.size_bytes);
        my->got = my->in.bytes.bytes[0];
        coil_datagram_release(&my->in);
        corpus_expect(my->got <= number, "an answer to what was not asked yet");
        if (my->got == number)
            return 0;
    }
}

async(int, ask, (coil_datagram_socket *) socket, (char) number)
{
    vars(char bytes[300]; int rc);

    memset(my->bytes, number, sizeof(my->bytes));
    for (;;) {
        await(my->rc, coil_datagram_send_segments(socket, NULL,
                              coil_bytes(my->bytes, 1 + (size_t)corpus_draw(300)), 100));
        if (my->rc == 0)
            await(my->rc,
                    within(coil_ms(1) + corpus_moment(coil_ms(50)), await_number(socket, number)));
        if (my->rc == -ECONNREFUSED)
            await(coil_sleep(coil_ms(5)));
        if (my->rc != -ETIME && my->rc != -ECONNREFUSED)
            return my->rc;
    }
}

async(int, ask_all, (const char *) server)
{
    vars(coil_datagram_socket *socket; int rc);
    const coil_datagram_options options = {.remote = server, .max_bytes = 100};

    my->rc = coil_datagram_open(&options, &my->socket);
    if (my->rc < 0)
        return my->rc;
    defer(coil_datagram_close(my->socket));
    while (ledger.answered < ASKED_COUNT) {
        await(my->rc, within(coil_s(300), ask(my->socket, (char)(1 + ledger.answered))));
        corpus_expect_success(my->rc, false, "a question");
        if (my->rc < 0)
            return my->rc;
        ledger.answered++;
    }
    return 0;
}

static int client_main(int argc, char **argv)
{
    const corpus_start_state start = corpus_begin();
    corpus_expect(argc == 2);
    return corpus_end(&start, coil_run(ask_all(argv[1])));
}

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars();

    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    const coil_sim_link link = {.latency_least = coil_us(20),
            .latency_most = coil_us(20) + (coil_duration)coil_sim_random(sim, 5000000),
            .loss_ppm = (uint32_t)coil_sim_random(sim, 300000),
            .duplicates_ppm = (uint32_t)coil_sim_random(sim, 300000),
            .reorders_ppm = (uint32_t)coil_sim_random(sim, 300000)};
    char address[64];

    memset(&ledger, 0, sizeof(ledger));
    ledger.local = corpus_start(sim, "local", "/bin/local", local_main);
    ledger.server = corpus_start(sim, "server", "/bin/server", server_main);
    coil_sim_program(sim, "/bin/client", client_main);
    (void)snprintf(address, sizeof(address), "%s", corpus_address(sim, "server", PORT));
    char *const arguments[] = {(char[]){"client"}, address, NULL};
    ledger.client = coil_sim_start(sim, "client", "/bin/client", arguments);
    coil_sim_set_link(sim, "server", "client", &link);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
    corpus_expect_end(sim, ledger.local, "the local one");
    coil_sim_expect(sim, ledger.received <= ledger.sent + 1);
    coil_sim_expect(sim, ledger.received == LOCAL_COUNT || !corpus_is_fair(), "some are missing");
    coil_sim_expect(sim, ledger.answered == ASKED_COUNT || !corpus_is_fair(), "not answered");
}

const coil_sim_scenario scenario_datagrams = {.name = "datagrams",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
