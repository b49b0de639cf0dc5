/* SPDX-License-Identifier: MIT */
/*
 * A server between good peers and bad ones. On the line of the bad ones each byte may be a packet
 * of its own, behind any of which it stalls or is reset; they write and read slowly, stop in the
 * middle, do not read at all, and leave by a reset. What they get is right as far as it goes,
 * nobody is kept for longer than the server's patience, and the good ones are served as if they
 * were alone.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { GOOD = 3, CALLS = 8, BAD = 5, VISITS = 4, PIECE_BYTES = 2000, PORT = 7500 };

#define PATIENCE coil_s(2) /* Of the server: for a request, and for an answer. */
#define PROMPT coil_s(1)   /* A good peer has its answer by then. */
#define SLACK coil_ms(500)
#define TOO_LONG coil_s(60)

typedef enum manner {
    SLOW_WRITER,
    SLOW_READER,
    DEAF,   /* Asks, and does not read. */
    STOPS,  /* In the middle of its request. */
    RESETS, /* At any moment. */
    HALF_CLOSES,
    MANNER_COUNT,
} manner;

static struct {
    pid_t server, good, bad;
    const char *address;
    uint64_t answer_most_bytes;
    uint64_t served_count;
} ledger;

/* ---------------------------------------------------------------------------------- server -- */

/* An answer is the bytes of the stream of that number, so many of them. */
static uint64_t size_of(uint64_t number)
{
    return 1 + number % ledger.answer_most_bytes;
}

static uint64_t piece_of(uint64_t number, uint64_t done_bytes, uint64_t most_bytes)
{
    const uint64_t left_bytes = size_of(number) - done_bytes;
    return left_bytes < most_bytes ? left_bytes : most_bytes;
}

async(int, send_answer, (coil_stream *) peer, (uint64_t) number)
{
    vars(char piece[PIECE_BYTES]; uint64_t sent_bytes; size_t size_bytes);

    while (my->sent_bytes < size_of(number)) {
        my->size_bytes = piece_of(number, my->sent_bytes, PIECE_BYTES);
        corpus_fill(my->piece, my->size_bytes, number, my->sent_bytes);
        attempt(coil_write_all(peer, coil_bytes(my->piece, my->size_bytes)));
        my->sent_bytes += my->size_bytes;
    }
    return 0;
}

async(int, answer, (coil_session *) session)
{
    vars(uint64_t number; ssize_t rc; coil_time start);

    for (;;) {
        my->start = coil_now();
        await(my->rc, within(PATIENCE, coil_read_exact(session->stream, &my->number, 8)));
        if (my->rc > 0)
            await(my->rc, within(PATIENCE, send_answer(session->stream, my->number)));
        corpus_expect(coil_now() - my->start <= 2 * PATIENCE + SLACK, "a peer was kept too long");
        if (my->rc != 0 || my->number == 0)
            return (int)my->rc;
        ledger.served_count++;
        my->number = 0;
    }
}

async(int, serve)
{
    vars(coil_server server; int rc);

    coil_server_init(&my->server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->server));
    my->rc = coil_server_listen(&my->server, "*:7500", NULL);
    if (my->rc < 0)
        return my->rc;
    await(my->rc, coil_server_serve(&my->server));
    corpus_expect(my->server.stats.active == 0, "sessions are left");
    return my->rc;
}

CORPUS_MAIN(server_main, serve())

/* ----------------------------------------------------------------------------------- peers -- */

/* In pieces, with so long between two at most. -ENODATA: the server has ended it. */
async(int, read_answer, (coil_stream *) server, (uint64_t) number, (coil_duration) pause)
{
    vars(char piece[PIECE_BYTES]; uint64_t got_bytes; size_t size_bytes; ssize_t count);

    while (my->got_bytes < size_of(number)) {
        if (pause > 0)
            await(coil_sleep(corpus_moment(pause)));
        my->size_bytes = piece_of(number, my->got_bytes, 1 + corpus_draw(PIECE_BYTES));
        attempt(my->count, coil_read_exact(server, my->piece, my->size_bytes));
        if (my->count == 0)
            return -ENODATA;
        corpus_expect(corpus_matches(my->piece, my->size_bytes, number, my->got_bytes),
                "other bytes than were sent, from %lu on", (unsigned long)my->got_bytes);
        my->got_bytes += my->size_bytes;
    }
    return 0;
}

async(int, call)
{
    vars(coil_stream *server; uint64_t number);

    attempt(my->server, corpus_connect(ledger.address));
    defer(coil_stream_close(my->server));
    my->number = 1 + corpus_draw(1000000);
    attempt(coil_write_all(my->server, coil_bytes(&my->number, sizeof(my->number))));
    attempt(read_answer(my->server, my->number, 0));
    return 0;
}

async(int, be_good, (corpus_crowd *) crowd)
{
    vars(int i; int rc);
    (void)crowd;

    for (my->i = 0; my->i < CALLS; my->i++) {
        await(coil_sleep(corpus_moment(coil_s(1))));
        await(my->rc, within(PROMPT, call()));
        corpus_expect_success(my->rc, false, "a good peer's call");
    }
    return 0;
}

CORPUS_CROWD_MAIN(good_main, GOOD, be_good)

/* The first bytes of the request, so many of them, one by one. */
async(int, write_slowly, (coil_stream *) server, (uint64_t) number, (unsigned) count)
{
    vars(uint64_t number; unsigned i);

    my->number = number;
    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_write_all(server, coil_bytes((const char *)&my->number + my->i, 1)));
        await(coil_sleep(corpus_moment(coil_ms(600))));
    }
    return 0;
}

async(int, misbehave, (coil_stream *) server, (manner) how, (uint64_t) number)
{
    vars(uint64_t number; coil_slice in; ssize_t rc);

    my->number = number;
    if (how == SLOW_WRITER || how == STOPS || (how == RESETS && corpus_chance(30))) {
        attempt(write_slowly(server, number, how == SLOW_WRITER ? 8 : (unsigned)corpus_draw(8)));
    } else {
        attempt(coil_write_all(server, coil_bytes(&my->number, sizeof(my->number))));
    }
    if (how == HALF_CLOSES)
        attempt(coil_stream_shutdown(server));
    if (how == STOPS) {
        await(my->in, within(TOO_LONG, coil_read_some(server)));
        my->rc = my->in.size_bytes;
        corpus_expect(my->rc != -ETIME || !corpus_is_fair(), "who stops is kept for ever");
        coil_slice_release(&my->in);
        return my->rc < 0 ? (int)my->rc : 0;
    }
    if (how == DEAF || how == RESETS)
        await(coil_sleep(corpus_moment(how == DEAF ? coil_s(6) : coil_ms(20))));
    if (how == RESETS)
        return 0;
    attempt(read_answer(server, number, how == SLOW_READER ? coil_ms(400) : 0));
    return 0;
}

static void leave(coil_stream *server, manner how)
{
    if (how == RESETS) {
        coil_stream_abort(server);
    } else {
        coil_stream_close(server);
    }
}

async(int, visit)
{
    vars(coil_stream *server; uint64_t how);

    attempt(my->server, corpus_connect(ledger.address));
    my->how = corpus_draw(MANNER_COUNT);
    defer(leave(my->server, (manner)my->how));
    attempt(misbehave(my->server, (manner)my->how, 1 + corpus_draw(1000000)));
    return 0;
}

async(int, be_bad, (corpus_crowd *) crowd)
{
    vars(int i; int rc);
    (void)crowd;

    for (my->i = 0; my->i < VISITS; my->i++) {
        await(coil_sleep(corpus_moment(coil_ms(500))));
        await(my->rc, within(2 * TOO_LONG, visit()));
        corpus_expect_success(my->rc, true, "a bad peer's visit");
    }
    return 0;
}

CORPUS_CROWD_MAIN(bad_main, BAD, be_bad)

/* -------------------------------------------------------------------------------- scenario -- */

static void disturb(coil_sim *sim)
{
    switch (corpus_draw(4)) {
    case 0:
        coil_sim_stall(sim, "server", "bad", corpus_moment(coil_s(4)));
        break;
    case 1:
        coil_sim_stall(sim, "bad", "server", corpus_moment(coil_s(4)));
        break;
    case 2:
        coil_sim_heal_all(sim);
        coil_sim_block(sim, "bad", "server");
        break;
    default:
        coil_sim_heal_all(sim);
        (void)coil_sim_reset_connections(sim, "server", "bad");
        break;
    }
}

async(int, direct, (coil_sim *) sim)
{
    vars();

    while (coil_sim_status(sim, ledger.bad) == -EBUSY && corpus_chance(95)) {
        await(coil_sleep(corpus_moment(coil_s(1))));
        disturb(sim);
    }
    coil_sim_heal_all(sim);
    ignore(corpus_await_end(sim, ledger.bad));
    ignore(corpus_await_end(sim, ledger.good));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    const bool is_bulky = coil_sim_random(sim, 2) == 0;
    const coil_sim_link line = {.latency_least = coil_us(20),
            .latency_most = (coil_duration)coil_sim_random(sim, (uint64_t)coil_ms(2)),
            .segment_least = is_bulky ? 100 : 1,
            .segment_most = is_bulky ? 1448 : 1,
            .bytes_per_second = coil_sim_random(sim, 2) == 0 ? 0 : 100000};

    memset(&ledger, 0, sizeof(ledger));
    ledger.answer_most_bytes = is_bulky ? 300000 : 400;
    ledger.server = corpus_start(sim, "server", "/bin/server", server_main);
    ledger.good = corpus_start(sim, "good", "/bin/good", good_main);
    ledger.bad = corpus_start(sim, "bad", "/bin/bad", bad_main);
    ledger.address = corpus_address(sim, "server", PORT);
    coil_sim_set_link(sim, "server", "bad", &line);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.good, "the good peers");
    corpus_expect_end(sim, ledger.bad, "the bad peers");
    coil_sim_expect(sim, !corpus_is_fair() || ledger.served_count >= GOOD * CALLS, "%lu answers",
            (unsigned long)ledger.served_count);
}

const coil_sim_scenario scenario_trickle = {.name = "trickle",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
