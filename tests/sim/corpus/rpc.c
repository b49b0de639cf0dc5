/* SPDX-License-Identifier: MIT */
/*
 * A Thrift service and its clients: calls with deadlines, connections that break, late replies.
 * Each reply is that of its call; a call that the client has the reply of was carried out, once.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { CLIENTS = 4, CALLS = 12, ADDED_MAX = CLIENTS * CALLS * 4 };

static struct {
    pid_t server, client;
    const char *address;
    int64_t next_call;
    unsigned carried_out[ADDED_MAX];
    bool is_disturbed;
    uint64_t cut_count; /* Calls and connections that were given up, maybe in mid-write. */
} ledger;

/* ---------------------------------------------------------------------------------- server -- */

/* i64 twice(1: i64 number): slow at times, and it fails for multiples of 17. */
async(int, twice, (coil_thrift_call *) call)
{
    vars(int64_t number);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_i64(&call->arguments, &my->number);
    }
    corpus_expect(my->number >= 0 && my->number < ADDED_MAX, "a call for %ld", (long)my->number);
    if (corpus_chance(30))
        await(coil_sleep(corpus_moment(coil_ms(4))));
    corpus_expect(ledger.carried_out[my->number]++ == 0, "call %ld is carried out twice",
            (long)my->number);
    if (my->number % 17 == 3)
        return -EINVAL;
    coil_thrift_put_i64(coil_thrift_reply(call), 0, 2 * my->number);
    return 0;
}

typedef struct service {
    coil_thrift_service thrift;
    coil_fb303_service fb303;
    coil_thrift_service *services[2];
    coil_thrift_server server;
} service;

async(int, serve, (service *) s)
{
    vars(coil_listener *listener; coil_group group; int rc);
    static const coil_listen_options options = {.max_connections = 3};

    my->rc = coil_listen("*:9090", corpus_chance(50) ? &options : NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &s->server));
    await(my->rc, within(coil_s(400), coil_signal_wait(COIL_SIGNALS(SIGTERM))));
    return my->rc == -ETIME ? 0 : my->rc;
}

static int server_main(int argc, char **argv)
{
    static const coil_thrift_method methods[] = {
            {"twice", coil_handler(twice, coil_thrift_call *), NULL}};
    service s = {.thrift = {"Twice", methods, 1}};
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    coil_fb303_service_init(&s.fb303, "twice", "1.0");
    s.services[0] = &s.thrift;
    s.services[1] = &s.fb303.thrift;
    s.server = (coil_thrift_server){
            .services = s.services, .service_count = 2, .idle_limit = coil_s(20)};
    const int rc = coil_run(serve(&s));
    coil_fb303_service_fini(&s.fb303);
    corpus_expect(s.server.stats.open_connections == 0, "connections are open");
    /* Half a call is an error; a client without memory may end in its middle, too. */
    const bool has_ended_early = coil_sim_fault_count(coil_sim_current(), "no-memory") > 0 ||
                                 coil_sim_fault_count(coil_sim_current(), "nth-allocation") > 0;
    corpus_expect(s.server.stats.protocol_errors <= ledger.cut_count || has_ended_early,
            "%lu errors of the protocol", (unsigned long)s.server.stats.protocol_errors);
    return corpus_end(&start, rc);
}

/* --------------------------------------------------------------------------------- clients -- */

static int64_t read_result(coil_thrift_client *client)
{
    coil_thrift_reader *reply = coil_thrift_client_reply(client);
    coil_thrift_field field;
    int64_t result = -EPROTO;
    while (coil_thrift_read_field(reply, &field)) {
        if (field.id == 0)
            coil_thrift_get_i64(reply, &result);
    }
    return result;
}

/* One call, with a deadline. 0: answered; -ETIME; the connection is over: another error. */
async(int, call_once, (coil_thrift_client *) client)
{
    vars(int64_t number; int rc);

    my->number = ledger.next_call++;
    if (my->number >= ADDED_MAX)
        return -ENOTCONN;
    coil_thrift_put_i64(coil_thrift_client_begin(client, "twice"), 1, my->number);
    await(my->rc, within(corpus_deadline(30, coil_ms(3)), coil_thrift_client_call(client)));
    ledger.cut_count += my->rc < 0;
    if (my->rc == -EREMOTEIO) {
        corpus_expect(my->number % 17 == 3 || !corpus_is_fair(), "call %ld fails: %.*s",
                (long)my->number, (int)coil_thrift_client_exception(client)->message.size,
                coil_thrift_client_exception(client)->message.bytes);
        return 0;
    }
    if (my->rc < 0)
        return my->rc;
    const int64_t result = read_result(client);
    corpus_expect(result == 2 * my->number, "twice %ld is %ld", (long)my->number, (long)result);
    corpus_expect(ledger.carried_out[my->number] == 1, "call %ld has a reply and was not made",
            (long)my->number);
    return 0;
}

async(int, ask_status, (coil_thrift_client *) client)
{
    vars(int status);

    await(my->status, within(coil_s(30), coil_fb303_get_status(client)));
    corpus_expect(my->status < 0 || my->status == COIL_FB303_ALIVE, "status %d", my->status);
    if (my->status == -EREMOTEIO && !corpus_is_fair())
        return 0; /* The server had no memory for an answer. */
    return my->status < 0 ? my->status : 0;
}

async(int, use_connection)
{
    vars(coil_thrift_client *client; int rc; int i; int tries);

    do {
        await(coil_sleep(coil_ms(my->tries > 0 ? 5 : 0)));
        await(my->client, coil_thrift_connect(ledger.address));
    } while (coil_pointer_error(my->client) == -ECONNREFUSED && my->tries++ < 100);
    if (coil_pointer_error(my->client) < 0)
        return coil_pointer_error(my->client);
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < CALLS; my->i++) {
        if (corpus_chance(15)) {
            await(my->rc, ask_status(my->client));
        } else {
            await(my->rc, call_once(my->client));
        }
        if (my->rc < 0 && my->rc != -ETIME)
            return my->rc;
        if (corpus_chance(5))
            return 0;
    }
    return 0;
}

async(int, be_client, (corpus_crowd *) crowd)
{
    vars(int i; int rc; coil_duration limit);
    (void)crowd;

    for (my->i = 0; my->i < 2; my->i++) {
        my->limit = corpus_chance(20) ? corpus_moment(coil_ms(20)) : coil_s(90);
        await(my->rc, within(my->limit, use_connection()));
        ledger.cut_count += my->rc < 0;
        if (my->rc == -ETIME)
            my->rc = 0;
        /* A write that was cancelled in its middle: the client can only be closed. */
        corpus_expect_success(my->rc, ledger.is_disturbed || my->rc == -ENOTCONN, "a connection");
    }
    return 0;
}

CORPUS_CROWD_MAIN(client_main, CLIENTS, be_client)

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars(unsigned count);

    my->count = corpus_chance(50) ? 0 : 1 + (unsigned)corpus_draw(3);
    for (; my->count > 0; my->count--) {
        await(coil_sleep(corpus_moment(coil_ms(40))));
        ledger.is_disturbed = true;
        if (corpus_chance(50)) {
            (void)coil_sim_reset_connections(sim, "server", "client");
        } else {
            coil_sim_partition(sim, "server", "client");
            await(coil_sleep(corpus_moment(coil_s(1))));
            coil_sim_heal(sim, "server", "client");
        }
    }
    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.server = corpus_start(sim, "server", "/bin/twice", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", 9090);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
}

const coil_sim_scenario scenario_rpc = {
        .name = "rpc", .build = build, .direct = coil_handler(direct, coil_sim *), .check = check};
