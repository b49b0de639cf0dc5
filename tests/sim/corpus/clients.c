/* SPDX-License-Identifier: MIT */
/*
 * A pool of connections whose users are cancelled and whose network is cut: nobody ever reads the
 * answer to somebody else's question, the books balance, and when all is well again everybody is
 * served. A second scenario connects to several hosts, of which some are there, some refuse and
 * some do not answer.
 */
#include "corpus.h"

#include <stdio.h>

#include <coil/sugar.h>

enum { USERS = 6, QUESTIONS = 8, POOL_MAX = 3, HOSTS = 4 };

static struct {
    const char *address;
    pid_t server;
    pid_t client;
    unsigned asked; /* Questions so far: each has a number of its own. */
    unsigned answered;
    bool is_disturbed;
} ledger;

/* ------------------------------------------------------------------------------ the server -- */

/* Each line comes back, sometimes late. */
async(int, answer, (coil_stream *) peer)
{
    vars(coil_slice line);

    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->line));
    for (;;) {
        attempt(my->line, coil_read_until(peer, '\n', 100));
        if (coil_slice_empty(&my->line))
            return 0;
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_ms(50))));
        attempt(coil_write_all(peer, my->line));
        coil_slice_release(&my->line);
        if (corpus_chance(10))
            return 0; /* Who has the connection idle finds it closed. */
    }
}

async(int, serve)
{
    vars(coil_listener *listener);
    int rc = coil_listen("*:7000", NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_serve_gracefully(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

CORPUS_MAIN(server_main, serve())

/* -------------------------------------------------------------------------------- the pool -- */

/* One question, and its answer. */
async(int, ask, (coil_pooled *) pooled)
{
    vars(char question[32]; coil_slice answer);

    snprintf(my->question, sizeof(my->question), "%u\n", ++ledger.asked);
    attempt(coil_write_all(pooled->stream, coil_text(my->question)));
    attempt(my->answer, coil_read_until(pooled->stream, '\n', sizeof(my->question)));
    defer(coil_slice_release(&my->answer));
    if (my->answer.size_bytes == 0 || my->answer.bytes[my->answer.size_bytes - 1] != '\n')
        return -ENODATA;
    corpus_expect((size_t)my->answer.size_bytes == strlen(my->question) &&
                          memcmp(my->answer.bytes, my->question, strlen(my->question)) == 0,
            "somebody else's answer: %.*s to %s", (int)my->answer.size_bytes, my->answer.bytes,
            my->question);
    return 0;
}

async(int, exchange, (coil_connection_pool *) pool)
{
    vars(coil_pooled *got);

    attempt(my->got, coil_connection_pool_checkout(pool));
    defer(coil_pooled_give_back(my->got));
    attempt(ask(my->got));
    my->got->reusable = true;
    return 0;
}

static void audit(const coil_connection_pool *pool)
{
    const coil_connection_pool_stats stats = coil_connection_pool_statistics(pool);
    corpus_expect(stats.opening + stats.idle + stats.busy <= POOL_MAX, "%u + %u + %u connections",
            stats.opening, stats.idle, stats.busy);
    const uint64_t closed = stats.closed_idle + stats.closed_aged + stats.closed_unfit +
                            stats.closed_broken + stats.closed_shutdown;
    corpus_expect(stats.opened == stats.idle + stats.busy + closed, "%lu opened, %lu closed",
            (unsigned long)stats.opened, (unsigned long)closed);
    corpus_expect(stats.begun == stats.opening + stats.opened + stats.open_failed,
            "%lu begun, %lu opened, %lu failed", (unsigned long)stats.begun,
            (unsigned long)stats.opened, (unsigned long)stats.open_failed);
}

async(int, be_user, (coil_connection_pool *) pool)
{
    vars(coil_retry retry; int i; int rc; coil_duration limit);
    static const coil_retry_policy patient = {
            .base = 50 * 1000 * 1000, .cap = 1000 * 1000 * 1000, .attempts = 60};

    coil_retry_init(&my->retry, &patient, NULL);
    coil_random_init(&my->retry.random, corpus_draw(1000));
    for (my->i = 0; my->i < QUESTIONS; my->i++) {
        my->limit = corpus_chance(15) ? corpus_moment(coil_ms(30)) : coil_s(3);
        coil_repeat(&my->retry, my->rc, within(my->limit, exchange(pool)));
        audit(pool);
        ledger.answered += my->rc == 0;
        corpus_expect_success(
                my->rc, ledger.is_disturbed || my->limit < coil_s(3), "a question to the pool");
        await(coil_sleep(corpus_moment(coil_ms(100))));
    }
    return 0;
}

async(int, use_pool)
{
    vars(coil_connection_pool *pool; coil_group users; int i; int rc);

    const coil_connection_pool_options options = {.min = (unsigned)corpus_draw(POOL_MAX),
            .max = POOL_MAX,
            .idle_limit = corpus_chance(50) ? coil_ms(50) : 0,
            .age_limit = corpus_chance(50) ? coil_ms(500) : 0,
            .open_limit = coil_s(2),
            .backoff_base = coil_ms(10),
            .backoff_cap = coil_s(1),
            .seed = 1 + corpus_draw(1000)};
    my->rc = coil_connection_pool_create(coil_loop_current(), ledger.address, &options, &my->pool);
    if (my->rc < 0)
        return my->rc;
    defer(coil_connection_pool_destroy(my->pool));
    open_group(&my->users);
    my->users.keep_going = true;
    for (my->i = 0; my->i < USERS; my->i++)
        spawn(&my->users, be_user(my->pool));
    ignore(coil_group_join(&my->users));
    attempt(coil_connection_pool_close(my->pool));
    audit(my->pool);
    return 0;
}

CORPUS_MAIN(pool_main, use_pool())

async(int, disturb, (coil_sim *) sim)
{
    vars(unsigned count);

    my->count = corpus_chance(40) ? 0 : 1 + (unsigned)corpus_draw(3);
    for (; my->count > 0; my->count--) {
        await(coil_sleep(corpus_moment(coil_ms(400))));
        ledger.is_disturbed = true;
        if (corpus_chance(50)) {
            (void)coil_sim_reset_connections(sim, "server", "client");
        } else {
            coil_sim_partition(sim, "server", "client");
            await(coil_sleep(corpus_moment(coil_s(10))));
            coil_sim_heal(sim, "server", "client");
        }
    }
    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build_pool(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.server = corpus_start(sim, "server", "/bin/answers", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/asks", pool_main);
    ledger.address = corpus_address(sim, "server", 7000);
}

static void check_pool(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
    corpus_expect(
            ledger.answered > 0 || ledger.is_disturbed || !corpus_is_fair(), "nobody was answered");
}

const coil_sim_scenario scenario_pool = {.name = "pool",
        .build = build_pool,
        .direct = coil_handler(disturb, coil_sim *),
        .check = check_pool};

/* ------------------------------------------------------------------------- happy eyeballs -- */

typedef enum host_kind { OPEN, CLOSED, SILENT } host_kind;

static struct {
    host_kind kinds[HOSTS];
    const char *addresses[HOSTS];
    pid_t servers[HOSTS];
    pid_t client;
    unsigned open_count;
    bool is_set_up; /* The director has isolated whom it wanted to. */
} street;

static const char *const house[HOSTS] = {"one", "two", "three", "four"};

/* The delays of those before the first that is there. */
static coil_duration worst_case(coil_duration delay)
{
    coil_duration sum = 0;
    for (int i = 0; i < HOSTS && street.kinds[i] != OPEN; i++)
        sum += street.kinds[i] == SILENT ? delay : 0;
    return sum;
}

async(int, knock)
{
    vars(coil_address addresses[HOSTS]; coil_connect_options options; coil_connect_report report;
            coil_stream *stream; coil_time began; int rc);

    while (!street.is_set_up)
        await(coil_sleep(coil_ms(1)));
    for (int i = 0; i < HOSTS; i++)
        corpus_expect(coil_address_parse(street.addresses[i], &my->addresses[i]) == 0, "address");
    my->options.attempt_delay = coil_ms(100);
    my->options.attempt_limit = coil_s(5);
    my->began = coil_now();
    await(my->stream, coil_connect_addresses(&my->options, my->addresses, HOSTS, &my->report));
    my->rc = coil_pointer_error(my->stream);
    const coil_duration took = coil_now() - my->began;
    corpus_expect_success(my->rc, street.open_count == 0, "happy eyeballs");
    if (my->rc < 0)
        return 0;
    coil_stream_close(my->stream);
    const int winner = (int)my->report.attempt_count;
    corpus_expect(winner >= 1 && winner <= HOSTS, "%d attempts", winner);
    corpus_expect(took <= worst_case(coil_ms(100)) + coil_ms(20) || !corpus_is_fair(),
            "it took %ld us", (long)(took / 1000));
    return 0;
}

async(int, knock_often)
{
    vars(int i);
    for (my->i = 0; my->i < 5; my->i++)
        attempt(knock());
    return 0;
}

CORPUS_MAIN(visitor_main, knock_often())

async(int, isolate, (coil_sim *) sim)
{
    vars(int i);

    await(coil_sleep(coil_ms(10))); /* Until the servers listen. */
    for (int i = 0; i < HOSTS; i++) {
        if (street.kinds[i] == SILENT)
            coil_sim_isolate(sim, house[i]);
    }
    street.is_set_up = true;
    ignore(corpus_await_end(sim, street.client));
    for (my->i = 0; my->i < HOSTS; my->i++) {
        if (street.kinds[my->i] == OPEN)
            (void)coil_sim_kill(sim, street.servers[my->i], SIGTERM);
    }
    return 0;
}

static void build_street(coil_sim *sim)
{
    memset(&street, 0, sizeof(street));
    for (int i = 0; i < HOSTS; i++) {
        const uint64_t kind = coil_sim_random(sim, 3);
        street.kinds[i] = (host_kind)kind;
        street.addresses[i] = corpus_address(sim, house[i], 7000);
        if (street.kinds[i] == OPEN) {
            street.servers[i] = corpus_start(sim, house[i], "/bin/answers", server_main);
            street.open_count++;
        }
    }
    street.client = corpus_start(sim, "visitor", "/bin/knocks", visitor_main);
}

static void check_street(coil_sim *sim)
{
    corpus_expect_end(sim, street.client, "the visitor");
}

const coil_sim_scenario scenario_eyeballs = {.name = "eyeballs",
        .build = build_street,
        .direct = coil_handler(isolate, coil_sim *),
        .check = check_street};
