/* SPDX-License-Identifier: MIT */
/*
 * Calls side by side: clients send many at once on each connection, and leave in the middle; the
 * server has deadlines, a queue and limits. Each call has one outcome; replies come in the order of
 * their calls; nothing is left over.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { CLIENTS = 4, CONNECTIONS = 3, CALLS = 24, CALLS_MAX = CLIENTS * CONNECTIONS * CALLS };

static struct {
    pid_t server, client;
    const char *address;
    uint64_t admitted_count; /* Calls that have passed the interceptor, */
    uint64_t after_count;    /* and of which it has heard again. */
    uint64_t ended_count;    /* Outcomes. */
    int32_t next_number;
    unsigned started[CALLS_MAX];
    unsigned finished[CALLS_MAX]; /* By their handlers, not cancelled. */
} ledger;

/* ---------------------------------------------------------------------------------- server -- */

static int32_t read_number(coil_thrift_call *call)
{
    coil_thrift_field field;
    int32_t number = -1;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_i32(&call->arguments, &number);
    }
    return number;
}

/* i32 work(1: i32 number): at once, or after a while; some begin their reply before. */
async(int, work, (coil_thrift_call *) call)
{
    vars(int32_t number; coil_thrift_writer *reply);

    my->number = read_number(call);
    corpus_expect(my->number >= 0 && my->number < CALLS_MAX, "a call for %d", my->number);
    corpus_expect(ledger.started[my->number]++ == 0, "call %d is started twice", my->number);
    if (my->number % 5 == 0)
        my->reply = coil_thrift_reply(call);
    if (corpus_chance(60))
        await(coil_sleep(corpus_moment(coil_ms(6))));
    ledger.finished[my->number]++;
    if (my->number % 11 == 0)
        return -EINVAL;
    if (my->reply == NULL)
        my->reply = coil_thrift_reply(call);
    coil_thrift_put_i32(my->reply, 0, my->number);
    return 0;
}

/* oneway void note(1: i32 number), which may say so late: no connection's end ends it. */
async(int, note, (coil_thrift_call *) call)
{
    vars(int32_t number);

    my->number = read_number(call);
    if (corpus_chance(30))
        await(shield(coil_yield()));
    coil_thrift_no_reply(call);
    corpus_expect(my->number >= 0 && my->number < CALLS_MAX, "a note of %d", my->number);
    corpus_expect(ledger.started[my->number]++ == 0, "note %d is started twice", my->number);
    await(coil_sleep(corpus_moment(coil_ms(6))));
    ledger.finished[my->number]++;
    return 0;
}

static int before(coil_thrift_interceptor *interceptor, coil_thrift_call *call)
{
    (void)interceptor, (void)call;
    ledger.admitted_count++;
    return 0;
}

static void after(coil_thrift_interceptor *interceptor, coil_thrift_call *call,
        const coil_thrift_outcome *outcome)
{
    (void)interceptor, (void)call, (void)outcome;
    ledger.after_count++;
}

static void ended(coil_thrift_observer *observer, const coil_thrift_call *call,
        const coil_thrift_outcome *outcome)
{
    (void)observer, (void)outcome;
    if (call->method != NULL)
        ledger.ended_count++;
}

typedef struct service {
    coil_thrift_service thrift;
    coil_thrift_service *services[1];
    coil_thrift_interceptor interceptor;
    coil_thrift_observer observer;
    coil_thrift_server server;
} service;

async(int, serve, (service *) s)
{
    vars(coil_listener *listener; coil_group group; int rc);

    my->rc = coil_listen("*:9090", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &s->server));
    await(my->rc, within(coil_s(400), coil_signal_wait(COIL_SIGNALS(SIGTERM))));
    return my->rc == -ETIME ? 0 : my->rc;
}

static void configure(service *s)
{
    coil_thrift_server *server = &s->server;

    s->services[0] = &s->thrift;
    s->interceptor.before = before;
    s->interceptor.after = after;
    s->observer.ended = ended;
    *server = (coil_thrift_server){.services = s->services,
            .service_count = 1,
            .interceptors = &s->interceptor,
            .observer = &s->observer,
            .idle_limit = coil_s(20)};
    if (corpus_chance(50))
        server->call_limit = coil_ms(1 + (int64_t)corpus_draw(6));
    if (corpus_chance(50))
        server->calls_max = 1 + (unsigned)corpus_draw(6);
    if (corpus_chance(50))
        server->queue_max = 1 + (unsigned)corpus_draw(6);
    if (corpus_chance(50))
        server->queue_limit = coil_ms(1 + (int64_t)corpus_draw(8));
    if (corpus_chance(50))
        server->connection_calls_max = 1 + (unsigned)corpus_draw(8);
    server->half_open = corpus_chance(30);
}

static int server_main(int argc, char **argv)
{
    static const coil_thrift_method methods[] = {
            {"work", coil_handler(work, coil_thrift_call *), NULL},
            {"note", coil_handler(note, coil_thrift_call *), NULL},
    };
    service s = {.thrift = {"Work", methods, 2}};
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    configure(&s);
    const int rc = coil_run(serve(&s));
    const coil_thrift_server_stats *stats = &s.server.stats;
    corpus_expect(stats->open_connections == 0, "connections are open");
    corpus_expect(stats->waiting_calls == 0 && stats->queued_calls == 0, "calls are left");
    corpus_expect(stats->calls == ledger.ended_count, "%lu calls, %lu outcomes",
            (unsigned long)stats->calls, (unsigned long)ledger.ended_count);
    corpus_expect(ledger.admitted_count == ledger.after_count, "%lu calls before, %lu after",
            (unsigned long)ledger.admitted_count, (unsigned long)ledger.after_count);
    return corpus_end(&start, rc);
}

/* --------------------------------------------------------------------------------- clients -- */

/* What a connection has asked for. */
typedef struct asked {
    int32_t first; /* The numbers of its calls go on from there. */
    int32_t count;
    unsigned oneway; /* A bit for each. */
} asked;

static int write_calls(coil_thrift_writer *writer, asked *a)
{
    a->first = ledger.next_number;
    a->count = 1 + (int32_t)corpus_draw(CALLS - 1);
    ledger.next_number += a->count;
    for (int32_t i = 0; i < a->count; i++) {
        const bool is_oneway = corpus_chance(15);
        const coil_thrift_message message = {
                .name = coil_thrift_text_of(is_oneway ? "note" : "work"),
                .type = is_oneway ? COIL_THRIFT_ONEWAY : COIL_THRIFT_CALL,
                .seqid = a->first + i};
        a->oneway |= is_oneway ? 1u << i : 0;
        coil_thrift_writer_begin(writer, &message);
        coil_thrift_put_i32(writer, 1, a->first + i);
        coil_thrift_write_stop(writer);
        const int rc = coil_thrift_writer_finish(writer);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A reply, which has to be that of call `number`. */
static void check_reply(const coil_slice *frame, int32_t number)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_field field;
    int32_t result = -1;

    coil_thrift_reader_init(&reader, frame->bytes, (uint32_t)frame->size_bytes, NULL);
    corpus_expect(coil_thrift_read_message(&reader, &message), "no reply to %d", number);
    if (reader.error != 0)
        return;
    corpus_expect(message.seqid == number, "the reply to %d comes for %d", message.seqid, number);
    if (message.type != COIL_THRIFT_REPLY)
        return;
    while (coil_thrift_read_field(&reader, &field)) {
        if (field.id == 0)
            coil_thrift_get_i32(&reader, &result);
    }
    corpus_expect(result == number, "%d is the result of %d", result, number);
    corpus_expect(ledger.finished[number] == 1, "%d has a reply and was not done", number);
}

async(int, take_replies, (coil_stream *) stream, (const asked *) a)
{
    vars(int32_t i; coil_slice frame; uint8_t length[COIL_THRIFT_LENGTH_BYTES]; ssize_t rc);

    defer(coil_slice_release(&my->frame));
    for (my->i = 0; my->i < a->count; my->i++) {
        if ((a->oneway & 1u << my->i) != 0)
            continue;
        if (corpus_chance(3))
            return 0; /* Leaves in the middle. */
        await(my->rc, coil_read_exact(stream, my->length, sizeof(my->length)));
        if (my->rc <= 0)
            return my->rc == 0 ? -ENOTCONN : (int)my->rc;
        const int size = coil_thrift_frame_size(my->length, NULL);
        corpus_expect(size > 0, "a frame of %d bytes", size);
        attempt(my->frame, coil_read_block(stream, (size_t)size));
        if (my->frame.size_bytes == 0)
            return -ENOTCONN;
        check_reply(&my->frame, a->first + my->i);
        coil_slice_release(&my->frame);
    }
    return 0;
}

async(int, use_connection)
{
    vars(coil_stream *stream; coil_thrift_writer writer; asked asked; int rc);

    coil_thrift_writer_init(&my->writer, NULL);
    defer(coil_thrift_writer_fini(&my->writer));
    attempt(my->stream, corpus_connect(ledger.address));
    defer(coil_stream_close(my->stream));
    my->rc = write_calls(&my->writer, &my->asked);
    if (my->rc < 0)
        return my->rc;
    attempt(coil_write_all(my->stream, coil_bytes(my->writer.bytes, my->writer.size)));
    attempt(take_replies(my->stream, &my->asked));
    return 0;
}

async(int, be_client, (corpus_crowd *) crowd)
{
    vars(int i; int rc; coil_duration limit);
    (void)crowd;

    for (my->i = 0; my->i < CONNECTIONS; my->i++) {
        my->limit = corpus_chance(30) ? corpus_moment(coil_ms(10)) : coil_s(90);
        await(my->rc, within(my->limit, use_connection()));
        corpus_expect_success(my->rc, my->rc == -ETIME, "a connection");
    }
    return 0;
}

CORPUS_CROWD_MAIN(client_main, CLIENTS, be_client)

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars();

    ignore(corpus_await_end(sim, ledger.client));
    await(coil_sleep(corpus_moment(coil_ms(10))));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.server = corpus_start(sim, "server", "/bin/work", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
    ledger.address = corpus_address(sim, "server", 9090);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
}

const coil_sim_scenario scenario_calls = {.name = "calls",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
