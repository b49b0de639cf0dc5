/* SPDX-License-Identifier: MIT */
/*
 * Many connections at once, to a server that is closed with connections pending and started again
 * at the same address, in the same process or in another one. Each connection that is accepted is
 * greeted once, with a number of its own; none stays open when the server has gone.
 */
#include "greetings.h"

#include <coil/sugar.h>

enum { CALLERS = 30, LIVES_MAX = 10 };

static struct {
    pid_t server, client;
    const char *address;
    unsigned lives;
    greetings greetings;
    uint32_t last_number; /* A life is over when so many have been greeted. */
    coil_duration spread; /* Within this, all callers call. */
    bool may_linger;      /* The server was killed: its socket may stay for a moment. */
    bool is_calm;         /* It lives once, and accepts all. */
} ledger;

static coil_event enough;

/* ---------------------------------------------------------------------------------- server -- */

async(int, greet, (coil_stream *) peer)
{
    vars();
    if (ledger.greetings.next_number == ledger.last_number)
        coil_event_set(&enough);
    attempt(greetings_give(&ledger.greetings, peer));
    return 0;
}

/* Accept one by one, with deadlines that are over now and then. */
async(int, accept_all, (coil_listener *) listener, (coil_group *) guests)
{
    vars(coil_stream *peer);

    for (;;) {
        await(my->peer, within(corpus_deadline(40, coil_ms(2)), coil_accept_patiently(listener)));
        const int error = coil_pointer_error(my->peer);
        if (error == -ETIME)
            continue;
        if (error < 0)
            return error;
        if (coil_spawn_handler(guests, coil_handler(greet, coil_stream *), my->peer) == NULL)
            coil_stream_close(my->peer);
    }
}

/* Until it has greeted enough, in the middle of a storm; or it has to end. */
async(int, await_end, (bool) is_last)
{
    vars(int rc);

    if (is_last) {
        await(my->rc, within(coil_s(300), coil_signal_wait(COIL_SIGNALS(SIGTERM))));
        return my->rc == -ETIME ? 0 : my->rc;
    }
    ledger.last_number = ledger.greetings.next_number + (uint32_t)corpus_draw(4);
    await(within(corpus_moment(coil_ms(20)), coil_event_wait(&enough)));
    return 0;
}

async(int, live, (bool) is_last)
{
    vars(coil_listen_options options; coil_listener *listener; coil_group guests;
            coil_group acceptor; int rc);

    coil_event_init(&enough); /* Whoever waited for it may have been killed. */
    my->options.backlog = 2 + (int)corpus_draw(60);
    my->options.direct_sockets = corpus_chance(30);
    while ((my->rc = coil_listen("*:7100", &my->options, &my->listener)) == -EADDRINUSE) {
        corpus_expect(ledger.may_linger, "the address of the former life is still in use");
        await(coil_sleep(coil_ms(5)));
    }
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->guests);
    my->guests.keep_going = true;
    open_group(&my->acceptor);
    if (corpus_chance(50)) {
        spawn(&my->acceptor, coil_serve(my->listener, coil_handler(greet, coil_stream *)));
    } else {
        spawn(&my->acceptor, accept_all(my->listener, &my->guests));
    }
    attempt(await_end(is_last));
    return 0;
}

static int server_main(int argc, char **argv)
{
    int rc = 0;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    for (unsigned i = 1; i <= ledger.lives && rc >= 0; i++) {
        rc = coil_run(live(i == ledger.lives));
    }
    return corpus_end(&start, rc);
}

/* --------------------------------------------------------------------------------- clients -- */

async(int, call)
{
    vars(coil_stream *peer);

    attempt(my->peer, corpus_connect(ledger.address));
    defer(coil_stream_close(my->peer));
    if (corpus_chance(10))
        return 0; /* Gone before it is greeted. */
    attempt(greetings_take(&ledger.greetings, my->peer));
    if (corpus_chance(30))
        await(coil_sleep(corpus_moment(coil_ms(5))));
    return 0;
}

async(int, call_at_some_time, (corpus_crowd *) crowd)
{
    vars(int rc; coil_duration limit);
    (void)crowd;

    await(coil_sleep(corpus_moment(corpus_chance(80) ? ledger.spread : coil_ms(20))));
    my->limit = corpus_chance(10) ? corpus_moment(coil_ms(5)) : coil_s(60);
    await(my->rc, within(my->limit, call()));
    if (my->rc == -ETIME && my->limit < coil_s(60))
        return 0;
    corpus_expect_success(my->rc, !ledger.is_calm, "a call");
    return 0;
}

CORPUS_CROWD_MAIN(client_main, CALLERS, call_at_some_time)

/* -------------------------------------------------------------------------------- scenario -- */

/* Also with another process at the same address as soon as the first one has gone. */
async(int, direct, (coil_sim *) sim)
{
    vars();

    if (!ledger.is_calm && corpus_chance(20)) {
        await(coil_sleep(corpus_moment(coil_ms(15))));
        const int signo = corpus_chance(50) ? SIGTERM : SIGKILL;
        (void)coil_sim_kill(sim, ledger.server, signo);
        ignore(corpus_await_end(sim, ledger.server));
        ledger.may_linger = coil_sim_status(sim, ledger.server) < 0;
        ledger.lives = 1;
        ledger.server = coil_sim_start(sim, "server", "/bin/greeter", NULL);
    }
    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.is_calm = coil_sim_random(sim, 3) == 0;
    if (coil_sim_random(sim, 2) == 0) /* Connections that come when the listener is to be closed. */
        (void)coil_sim_set_fault(sim, "cancel-too-late", 700000);
    ledger.spread = (coil_duration)1000 << coil_sim_random(sim, 15);
    ledger.lives = ledger.is_calm ? 1 : 1 + (unsigned)coil_sim_random(sim, LIVES_MAX);
    ledger.server = corpus_start(sim, "server", "/bin/greeter", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", 7100);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
}

const coil_sim_scenario scenario_storm = {.name = "storm",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
