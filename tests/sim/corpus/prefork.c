/* SPDX-License-Identifier: MIT */
/*
 * A server of several processes under load: it is reloaded, scaled, upgraded to another master, in
 * any order. Nobody who connects notices. Then workers hang, die, and cannot be started: those who
 * are served by them notice, and whoever comes later does not. In the end, nobody is left.
 */
#include "corpus.h"

#include <signal.h>
#include <stdlib.h>

#include <coil/sugar.h>

enum { CALLERS = 6, CALLS = 8, WORKERS_MAX = 128, MASTERS_MAX = 16, DEALT = 3 };
enum { HANG = 1, PLAIN };

static struct {
    pid_t client, first;
    pid_t masters[MASTERS_MAX]; /* In order. */
    unsigned master_count;
    pid_t workers[WORKERS_MAX];
    unsigned worker_count;
    const char *address;

    coil_prefork_options options;
    coil_spawn_plan worker_plan;
    coil_spawn_plan master_plan;
    bool is_dealt;
    bool is_calm;     /* A call has to succeed. */
    bool has_changed; /* A successor has changed its mind. */
    bool is_served;   /* Once, it was. */
    bool clients_are_done;
    unsigned hung_count;
    unsigned answered_count;
    coil_prefork_hook hook;
} ledger;

/* -------------------------------------------------------------------------------- the worker -- */

async(int, answer, (coil_session *) session)
{
    vars(uint64_t number; ssize_t count);

    attempt(my->count, coil_read_exact(session->stream, &my->number, sizeof(my->number)));
    if (my->count == 0)
        return 0;
    while (my->number == HANG)
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_s(3600));
    if (corpus_chance(20))
        await(coil_sleep(corpus_moment(coil_ms(200))));
    my->number = ~my->number;
    attempt(coil_write_all(session->stream, coil_bytes(&my->number, sizeof(my->number))));
    return 0;
}

async(int, step_down, (coil_seat *) seat, (coil_server *) server)
{
    vars(int rc);

    my->rc = coil_seat_ready(seat);
    if (my->rc < 0)
        return my->rc;
    coil_seat_set_load(seat, (unsigned)corpus_draw(10));
    attempt(coil_seat_leaving(seat));
    coil_server_drain(server, coil_s(10));
    return 0;
}

async(int, serve, (coil_seat *) seat)
{
    vars(coil_server server; coil_group group; coil_listener *listener; int fd; int rc);

    coil_server_init(&my->server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->server));
    while ((my->fd = coil_seat_socket(seat, "echo")) >= 0) {
        my->rc = coil_listen_fd(my->fd, NULL, &my->listener);
        if (my->rc < 0)
            return my->rc;
        coil_server_add(&my->server, my->listener);
    }
    open_group(&my->group);
    spawn(&my->group, step_down(seat, &my->server));
    if (my->listener != NULL) /* There may be more workers than sockets that are dealt. */
        attempt(coil_server_serve(&my->server));
    attempt(coil_group_join(&my->group));
    return 0;
}

static int worker_main(int argc, char **argv)
{
    coil_seat *seat = NULL;

    (void)argc, (void)argv;
    if (ledger.worker_count < WORKERS_MAX)
        ledger.workers[ledger.worker_count++] = coil_kernel_getpid();
    const int rc = coil_seat_take(&seat);
    if (rc <= 0)
        return 2;
    const int end = coil_run(serve(seat));
    coil_seat_release(seat);
    corpus_expect(corpus_is_weather(end), "a worker ends with %s", coil_error_name(end));
    return end < 0;
}

/* -------------------------------------------------------------------------------- the master -- */

static void hear(coil_prefork_hook *hook, const coil_prefork_event *event)
{
    (void)hook;
    switch (event->news) {
    case COIL_PREFORK_READY:
        ledger.is_served = true;
        break;
    case COIL_PREFORK_HUNG:
        ledger.hung_count++;
        break;
    case COIL_PREFORK_DIED:
    case COIL_PREFORK_UNREADY:
        corpus_expect(!ledger.is_calm || !corpus_is_fair(), "a worker dies: %s",
                coil_error_name(event->error));
        break;
    case COIL_PREFORK_RELOAD_FAILED:
    case COIL_PREFORK_UPGRADE_FAILED:
        corpus_expect(!ledger.is_calm || !corpus_is_fair() || event->error == -ESHUTDOWN ||
                              event->error == -ECANCELED ||
                              (event->error == -ECHILD && ledger.has_changed),
                "news %d: %s", (int)event->news, coil_error_name(event->error));
        break;
    default:
        break;
    }
}

/* The predecessor's sockets, or new ones. */
static int open_sockets(coil_prefork *prefork)
{
    const coil_listen_options options = {.reuse_port = ledger.is_dealt};
    const int count = ledger.is_dealt ? DEALT : 1;
    int rc = 0;

    for (int i = 0; rc == 0 && i < count; i++) {
        int fd = coil_prefork_passed(prefork, "echo");
        if (fd < 0)
            fd = coil_listen_socket("*:7400", &options, NULL);
        if (fd < 0)
            return fd;
        rc = ledger.is_dealt ? coil_prefork_deal(prefork, "echo", fd)
                             : coil_prefork_share(prefork, "echo", fd);
    }
    return rc;
}

static void check_stats(const coil_prefork *prefork)
{
    const coil_prefork_stats stats = coil_prefork_statistics(prefork);

    corpus_expect(stats.ready == 0 && stats.draining == 0, "%u and %u workers are left",
            stats.ready, stats.draining);
    corpus_expect(stats.died <= stats.started, "more have died than there were");
}

/* Before it has taken over, which it is not to say then. */
async(int, change_mind, (coil_prefork *) prefork)
{
    vars();

    await(coil_sleep(corpus_moment(coil_us(500))));
    if (coil_prefork_statistics(prefork).generation != 0)
        return 0;
    ledger.has_changed = true;
    coil_prefork_stop(prefork, coil_s(1));
    return 0;
}

async(int, be_master, (bool) is_first)
{
    vars(coil_prefork *prefork; coil_group group; int rc);

    my->rc = coil_prefork_create(&ledger.options, &my->prefork);
    if (my->rc < 0)
        return my->rc;
    defer(coil_prefork_destroy(my->prefork));
    my->rc = open_sockets(my->prefork);
    if (my->rc < 0)
        return my->rc;
    open_group(&my->group);
    if (!is_first && corpus_chance(40))
        spawn(&my->group, change_mind(my->prefork));
    await(my->rc, coil_prefork_serve(my->prefork));
    check_stats(my->prefork);
    return my->rc == -ECHILD || my->rc == -EPROTO ? -EIO : my->rc;
}

static int master_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    if (ledger.master_count < MASTERS_MAX)
        ledger.masters[ledger.master_count++] = coil_kernel_getpid();
    const int rc = coil_run(be_master(ledger.master_count == 1));
    corpus_expect(corpus_is_weather(rc), "a master ends with %s", coil_error_name(rc));
    return rc < 0;
}

/* ----------------------------------------------------------------------------------- calls -- */

async(int, call, (uint64_t) number)
{
    vars(coil_stream *peer; uint64_t number; ssize_t count);

    attempt(my->peer, corpus_connect(ledger.address));
    defer(coil_stream_close(my->peer));
    my->number = number;
    attempt(coil_write_all(my->peer, coil_bytes(&my->number, sizeof(my->number))));
    attempt(my->count, coil_read_exact(my->peer, &my->number, sizeof(my->number)));
    if (my->count == 0)
        return -ENODATA;
    corpus_expect(my->number == ~number, "the answer to another question");
    ledger.answered_count++;
    return 0;
}

async(int, be_caller, (corpus_crowd *) crowd)
{
    vars(int i; int rc);
    (void)crowd;

    for (my->i = 0; my->i < CALLS; my->i++) {
        await(coil_sleep(corpus_moment(coil_ms(400))));
        const bool hangs = !ledger.is_calm && corpus_chance(5);
        await(my->rc, within(coil_s(30), call(hangs ? HANG : PLAIN + corpus_draw(100))));
        corpus_expect_success(my->rc, !ledger.is_calm, "a call");
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

/* ---------------------------------------------------------------------------- what is done -- */

static void disturb_once(coil_sim *sim)
{
    static const int signals[] = {SIGHUP, SIGHUP, SIGTTIN, SIGTTOU, SIGUSR2};

    for (unsigned i = 0; i < ledger.master_count; i++) {
        const int signo = signals[corpus_draw(sizeof(signals) / sizeof(signals[0]))];
        if (ledger.master_count < MASTERS_MAX / 2 || signo != SIGUSR2)
            (void)coil_sim_kill(sim, ledger.masters[i], signo);
    }
    if (ledger.is_calm || ledger.worker_count == 0)
        return;
    const pid_t victim = ledger.workers[corpus_draw(ledger.worker_count)];
    if (corpus_chance(30)) {
        (void)coil_sim_kill_at_call(sim, victim, 1 + corpus_draw(50), SIGKILL);
    } else if (corpus_chance(20)) {
        (void)coil_sim_kill(sim, victim, SIGSTOP);
    }
}

/* A successor may still be about to begin. */
async(int, end_all, (coil_sim *) sim)
{
    vars(int tries);

    for (my->tries = 0; my->tries < 5; my->tries++) {
        for (unsigned i = 0; i < ledger.master_count; i++)
            (void)coil_sim_kill(sim, ledger.masters[i], corpus_chance(20) ? SIGINT : SIGTERM);
        await(coil_sleep(coil_s(60)));
    }
    return 0;
}

async(int, direct, (coil_sim *) sim)
{
    vars();

    while (!ledger.is_served && coil_sim_status(sim, ledger.first) == -EBUSY)
        await(coil_sleep(coil_ms(1)));
    while (!ledger.clients_are_done && coil_sim_status(sim, ledger.client) == -EBUSY) {
        await(coil_sleep(corpus_moment(coil_ms(600))));
        disturb_once(sim);
    }
    ignore(end_all(sim));
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    coil_sim_program(sim, "/bin/worker", worker_main);
    ledger.first = corpus_start(sim, "server", "/bin/master", master_main);
    ledger.address = corpus_address(sim, "server", 7400);
    ledger.client = corpus_start(sim, "client", "/bin/client", client_main);
    ledger.is_calm = corpus_chance(50);
    ledger.is_dealt = corpus_chance(30);
    ledger.hook.tell = hear;
    ledger.worker_plan = (coil_spawn_plan){.program = "/bin/worker"};
    ledger.master_plan = (coil_spawn_plan){.program = "/bin/master"};
    ledger.options = (coil_prefork_options){.plan = &ledger.worker_plan,
            .successor = &ledger.master_plan,
            .workers = 1 + (unsigned)corpus_draw(4),
            .heartbeat_limit = corpus_chance(50) && !ledger.is_calm ? coil_ms(400) : 0,
            .drain_limit = coil_s(20),
            .hook = &ledger.hook};
    if (corpus_chance(30)) {
        ledger.options.workers_max = 6;
        ledger.options.load_each = 5;
        ledger.options.calm_limit = coil_ms(300);
    }
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.client, "the client");
    coil_sim_expect(sim, ledger.answered_count > 0 || !ledger.is_calm || !corpus_is_fair(),
            "nobody was answered");
}

const coil_sim_scenario scenario_prefork = {.name = "prefork",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
