/* SPDX-License-Identifier: MIT */
/*
 * Servers. "drain": limits hold at every moment; a request that has been begun before the end is
 * answered, unless the grace is over; the counters add up. "handover": a service of several
 * processes, each of which takes the socket over from the one before; nobody who connects notices,
 * and successors that die while they begin change nothing. "becoming": a process that becomes its
 * own successor again and again; it keeps its number, and refuses nobody.
 */
#include "corpus.h"

#include <stdio.h>

#include <coil/sugar.h>

enum { CALLERS = 12, CALLS = 6, PORT = 7300, GENERATIONS_MAX = 6 };

static struct {
    pid_t server, client;
    pid_t successors[GENERATIONS_MAX];
    const char *address;

    /* Of the server. */
    unsigned max_sessions, max_total, max_per_peer;
    bool takes_long;
    coil_duration grace;
    uint64_t active, begun, answered, handled;
    bool is_draining;
    bool is_over;

    /* Of hand-overs. */
    unsigned generations;
    bool is_killing;
    unsigned lives; /* So many have served. */
    bool hears;     /* The first has blocked SIGHUP. */

    bool is_calm; /* A call has to succeed. */
    bool clients_are_done;
} ledger;

/* ---------------------------------------------------------------------------------- sessions -- */

/* Requests are numbers, and so are the answers. */
async(int, answer_one, (coil_session *) session, (uint64_t) number)
{
    vars(uint64_t answer; int rc);

    ledger.begun++;
    my->answer = ~number;
    if (ledger.takes_long)
        await(coil_sleep(corpus_moment(coil_ms(5))));
    await(my->rc, coil_write_all(session->stream, coil_bytes(&my->answer, sizeof(my->answer))));
    if (my->rc < 0)
        return my->rc;
    ledger.answered++;
    return 0;
}

async(int, answer, (coil_session *) session)
{
    vars(uint64_t number; ssize_t count);

    ledger.handled++;
    ledger.active++;
    defer(ledger.active--);
    corpus_expect(ledger.max_sessions == 0 || ledger.active <= ledger.max_sessions,
            "%lu sessions of at most %u", (unsigned long)ledger.active, ledger.max_sessions);
    corpus_expect(ledger.max_total == 0 || ledger.active <= ledger.max_total,
            "%lu sessions of at most %u in all", (unsigned long)ledger.active, ledger.max_total);
    corpus_expect(ledger.max_per_peer == 0 || ledger.active <= ledger.max_per_peer,
            "%lu sessions of at most %u of a peer", (unsigned long)ledger.active,
            ledger.max_per_peer);
    for (;;) {
        coil_session_idle(session);
        attempt(my->count, coil_read_exact(session->stream, &my->number, sizeof(my->number)));
        coil_session_busy(session);
        if (my->count == 0)
            return 0;
        attempt(answer_one(session, my->number));
    }
}

/* ------------------------------------------------------------------------------------- calls -- */

/* One connection, with one request or several. */
async(int, call)
{
    vars(coil_stream *peer; uint64_t number; uint64_t answer; ssize_t count; int left);

    if (ledger.lives > 0) { /* From then on nobody is to be refused. */
        attempt(my->peer, coil_connect(ledger.address));
    } else {
        attempt(my->peer, corpus_connect(ledger.address));
    }
    defer(coil_stream_close(my->peer));
    my->left = 1 + (ledger.generations == 0 ? (int)corpus_draw(3) : 0);
    for (; my->left > 0; my->left--) {
        my->number = corpus_draw(1000000);
        attempt(coil_write_all(my->peer, coil_bytes(&my->number, sizeof(my->number))));
        attempt(my->count, coil_read_exact(my->peer, &my->answer, sizeof(my->answer)));
        if (my->count == 0)
            return -ENODATA;
        corpus_expect(my->answer == ~my->number, "the answer to another question");
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(4))));
    }
    return 0;
}

async(int, be_caller, (corpus_crowd *) crowd)
{
    vars(int i; int rc; bool was_calm);
    (void)crowd;

    for (my->i = 0; my->i < CALLS; my->i++) {
        await(coil_sleep(corpus_moment(coil_ms(10))));
        if (ledger.is_over)
            return 0;
        await(my->rc, within(coil_s(60), call()));
        corpus_expect_success(my->rc, !ledger.is_calm || ledger.is_draining, "a call");
    }
    return 0;
}

async(int, call_all)
{
    static corpus_crowd callers = {CALLERS, coil_handler_init(be_caller, corpus_crowd *)};
    vars();

    attempt(corpus_be_crowd(&callers));
    ledger.clients_are_done = true;
    return 0;
}

CORPUS_MAIN(client_main, call_all())

/* ------------------------------------------------------------------------------------- drain -- */

async(int, drain_at_some_time, (coil_server *) server)
{
    vars();

    await(coil_sleep(corpus_moment(coil_ms(60))));
    ledger.is_draining = true;
    coil_server_drain(server, ledger.grace);
    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_ms(10))));
        coil_server_drain(server, corpus_moment(coil_ms(10)));
        ledger.grace = 0;
    }
    return 0;
}

static void check_stats(const coil_server_stats *stats)
{
    const uint64_t refused = stats->refused_by_total + stats->refused_by_peer +
                             stats->refused_by_memory + stats->refused_by_files +
                             stats->refused_by_header;
    corpus_expect(stats->active == 0 && ledger.active == 0, "%lu sessions are left",
            (unsigned long)stats->active);
    /* One that is cancelled before it has run is handled by nobody. */
    corpus_expect(ledger.handled + refused + stats->cancelled >= stats->accepted &&
                          ledger.handled + refused <= stats->accepted,
            "%lu accepted, %lu handled, %lu refused", (unsigned long)stats->accepted,
            (unsigned long)ledger.handled, (unsigned long)refused);
}

async(int, serve_with, (coil_admission *) admission)
{
    vars(coil_server server; coil_group group; coil_listen_options options; int rc);

    coil_server_init(&my->server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->server));
    my->server.max_sessions = ledger.max_sessions;
    my->server.admission = admission;
    my->server.turns_away = corpus_chance(50);
    my->options.backlog = 1 + (int)corpus_draw(60);
    my->rc = coil_server_listen(&my->server, "*:7300", &my->options);
    if (my->rc < 0)
        return my->rc;
    open_group(&my->group);
    spawn(&my->group, drain_at_some_time(&my->server));
    await(my->rc, coil_server_serve(&my->server));
    ledger.is_over = true;
    if (my->rc < 0)
        return my->rc;
    check_stats(&my->server.stats);
    corpus_expect(
            ledger.grace < COIL_FOREVER || !corpus_is_fair() || ledger.begun == ledger.answered,
            "%lu requests were begun, %lu answered", (unsigned long)ledger.begun,
            (unsigned long)ledger.answered);
    corpus_expect(ledger.grace < COIL_FOREVER || my->server.stats.cancelled == 0,
            "nobody was to be cancelled");
    return 0;
}

async(int, serve_and_drain)
{
    vars(coil_admission *admission; int rc);

    my->rc = coil_admission_create(&(coil_admission_options){.max_total = ledger.max_total,
                                           .max_per_peer = ledger.max_per_peer},
            &my->admission);
    if (my->rc < 0) {
        ledger.is_over = true;
        return my->rc;
    }
    defer(coil_admission_destroy(my->admission));
    defer(ledger.is_over = true);
    attempt(serve_with(my->admission));
    return 0;
}

CORPUS_MAIN(draining_main, serve_and_drain())

static void build_drain(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.max_sessions = (unsigned)coil_sim_random(sim, 6);
    if (coil_sim_random(sim, 3) == 0)
        ledger.max_total = 1 + (unsigned)coil_sim_random(sim, 6);
    if (coil_sim_random(sim, 3) == 0)
        ledger.max_per_peer = 1 + (unsigned)coil_sim_random(sim, 6);
    ledger.is_calm = ledger.max_total == 0 && ledger.max_per_peer == 0;
    ledger.takes_long = coil_sim_random(sim, 2) == 0;
    ledger.grace = coil_sim_random(sim, 2) == 0
                           ? COIL_FOREVER
                           : (coil_duration)coil_sim_random(sim, (uint64_t)coil_ms(10));
    ledger.server = corpus_start(sim, "server", "/bin/server", draining_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", PORT);
}

static void check_drain(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
}

const coil_sim_scenario scenario_drain = {
        .name = "drain", .build = build_drain, .check = check_drain};

/* ---------------------------------------------------------------------------------- handover -- */

async(int, step_down, (coil_handover *) handover, (coil_server *) server)
{
    vars();

    attempt(coil_handover_ready(handover));
    ledger.lives++;
    attempt(coil_handover_requested(handover));
    coil_server_drain(server, COIL_FOREVER);
    return 0;
}

/* The last of them serves until all calls are over. */
async(int, leave_at_the_end, (coil_server *) server)
{
    vars();

    while (!ledger.clients_are_done)
        await(coil_sleep(coil_ms(10)));
    coil_server_drain(server, 0);
    return 0;
}

/* Somebody who had the address has been killed: its ring keeps that for a moment. */
static bool has_died(void)
{
    coil_sim *sim = coil_sim_current();
    const int first = coil_sim_status(sim, ledger.server);
    bool has = first < 0 && first != -EBUSY;
    for (unsigned i = 0; i < ledger.generations && ledger.successors[i] != 0; i++) {
        const int status = coil_sim_status(sim, ledger.successors[i]);
        has |= status < 0 && status != -EBUSY;
    }
    return has;
}

async(int, serve_inherited, (coil_handover *) handover, (coil_server *) server)
{
    vars(coil_group group; coil_group guard; coil_listener *listener; int rc);

    while ((my->rc = coil_handover_listen(handover, "calls", "*:7300", NULL, &my->listener)) ==
            -EADDRINUSE) {
        corpus_expect(has_died(), "the address of one who has left is still in use");
        await(coil_sleep(coil_ms(5)));
    }
    if (my->rc < 0)
        return my->rc;
    coil_server_add(server, my->listener);
    open_group(&my->group);
    spawn(&my->group, step_down(handover, server));
    open_group(&my->guard);
    spawn(&my->guard, leave_at_the_end(server));
    attempt(coil_server_serve(server));
    return 0;
}

async(int, be_generation)
{
    vars(coil_handover *handover; coil_server server);

    attempt(coil_handover_open("unix:/run/handover", &my->handover));
    defer(coil_handover_close(my->handover));
    coil_server_init(&my->server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->server));
    attempt(serve_inherited(my->handover, &my->server));
    return 0;
}

CORPUS_MAIN(generation_main, be_generation())

async(int, start_successors, (coil_sim *) sim)
{
    vars(unsigned i);

    for (my->i = 0; my->i < ledger.generations; my->i++) {
        await(coil_sleep(corpus_moment(coil_ms(25))));
        if (ledger.clients_are_done)
            break;
        pid_t pid = coil_sim_start(sim, "server", "/bin/generation", NULL);
        ledger.successors[my->i] = pid;
        if (ledger.is_killing && corpus_chance(50)) {
            ledger.is_calm = false; /* What it has accepted is lost with it. */
            (void)coil_sim_kill_at_call(sim, pid, 1 + corpus_draw(120), SIGKILL);
        }
    }
    ignore(corpus_await_end(sim, ledger.client));
    ledger.clients_are_done = true;
    return 0;
}

static void build_handover(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.generations = 1 + (unsigned)coil_sim_random(sim, GENERATIONS_MAX);
    ledger.is_killing = coil_sim_random(sim, 3) == 0;
    ledger.is_calm = true;
    ledger.takes_long = coil_sim_random(sim, 2) == 0;
    ledger.server = corpus_start(sim, "server", "/bin/generation", generation_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", PORT);
}

static void check_handover(coil_sim *sim)
{
    char name[32];

    corpus_expect_end(sim, ledger.server, "the first");
    corpus_expect_end(sim, ledger.client, "the client");
    for (unsigned i = 0; i < ledger.generations && ledger.successors[i] != 0; i++) {
        const int status = coil_sim_status(sim, ledger.successors[i]);
        if (ledger.is_killing && status == -SIGKILL)
            continue;
        (void)snprintf(name, sizeof(name), "successor %u", i + 1);
        corpus_expect_end(sim, ledger.successors[i], name);
    }
    if (corpus_is_fair())
        coil_sim_expect(sim, ledger.lives > 0, "nobody has served");
}

const coil_sim_scenario scenario_handover = {.name = "handover",
        .build = build_handover,
        .direct = coil_handler(start_successors, coil_sim *),
        .check = check_handover};

/* ---------------------------------------------------------------------------------- becoming -- */

/* What a life leaves to the next one. -1: it is the last. */
typedef struct estate {
    coil_activation passed;
    int kept;
} estate;

async(int, become_when_told, (estate *) own, (coil_server *) server, (coil_listener *) listener)
{
    vars();

    attempt(coil_signal_wait(COIL_SIGNALS(SIGHUP)));
    own->kept = coil_listener_keep(listener);
    coil_server_drain(server, COIL_FOREVER);
    return own->kept < 0 ? own->kept : 0;
}

async(int, serve_one_life, (estate *) own, (coil_server *) server)
{
    vars(coil_listener *listener; coil_group group; coil_group guard; int rc);

    my->rc = coil_activation_listen(&own->passed, "calls", NULL, &my->listener);
    if (my->rc == -ENOENT) {
        corpus_expect(ledger.lives == 0, "nothing was passed to life %u", ledger.lives);
        my->rc = coil_listen("*:7300", NULL, &my->listener);
    }
    if (my->rc < 0)
        return my->rc;
    coil_server_add(server, my->listener);
    ledger.lives++;
    open_group(&my->group);
    spawn(&my->group, become_when_told(own, server, my->listener));
    open_group(&my->guard);
    spawn(&my->guard, leave_at_the_end(server));
    attempt(coil_server_serve(server));
    return 0;
}

async(int, live_once, (estate *) own)
{
    vars(coil_server server);

    coil_server_init(&my->server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->server));
    attempt(serve_one_life(own, &my->server));
    return 0;
}

static void check_life(int rc)
{
    corpus_expect(ledger.active == 0, "%lu sessions are left", (unsigned long)ledger.active);
    corpus_expect(coil_debug_live_tasks() == 0 && coil_debug_pending_ops() == 0, "a life goes on");
    corpus_expect(coil_kernel_getpid() == ledger.server, "another process is its successor");
    corpus_expect(corpus_is_weather(rc), "a life ends with %s", coil_error_name(rc));
}

/* SIGHUP is blocked in all lives, so that one that is told in between hears it later. */
static int becoming_main(int argc, char **argv)
{
    estate own = {.kept = -1};
    sigset_t set;

    (void)argc;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
    ledger.hears = true;
    int rc = coil_activation_take(&own.passed);
    if (rc >= 0)
        rc = coil_run(live_once(&own));
    coil_activation_release(&own.passed);
    check_life(rc);
    if (rc >= 0 && own.kept >= 0) {
        const coil_passed_fd sockets[] = {{own.kept, "calls"}};
        rc = coil_activation_exec(sockets, 1, "/bin/becoming", argv);
        corpus_expect_success(rc, false, "becoming another");
    }
    if (own.kept >= 0)
        (void)coil_kernel_close(own.kept);
    return rc < 0;
}

async(int, tell_to_become, (coil_sim *) sim)
{
    vars(unsigned i);

    for (my->i = 0; my->i < ledger.generations && !ledger.clients_are_done; my->i++) {
        await(coil_sleep(corpus_moment(coil_ms(25))));
        if (ledger.hears)
            (void)coil_sim_kill(sim, ledger.server, SIGHUP);
    }
    ignore(corpus_await_end(sim, ledger.client));
    ledger.clients_are_done = true;
    return 0;
}

static void build_becoming(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.generations = 1 + (unsigned)coil_sim_random(sim, GENERATIONS_MAX);
    ledger.is_calm = true;
    ledger.takes_long = coil_sim_random(sim, 2) == 0;
    ledger.server = corpus_start(sim, "server", "/bin/becoming", becoming_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", PORT);
}

static void check_becoming(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
    if (corpus_is_fair())
        coil_sim_expect(sim, ledger.lives > 0, "nobody has served");
}

const coil_sim_scenario scenario_becoming = {.name = "becoming",
        .build = build_becoming,
        .direct = coil_handler(tell_to_become, coil_sim *),
        .check = check_becoming};
