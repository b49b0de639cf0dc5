/* SPDX-License-Identifier: MIT */
/*
 * fetch_many - a thousand questions to a server that is flaky, over a pool of ten connections.
 *
 * The server, in the same program, resets connections, answers late, and for a while is not there
 * at all. The client has deadlines, retries under a budget, and a circuit breaker; in the end every
 * question has its own answer.
 */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

/* ------------------------------------------------------------------------------ the server -- */

static coil_random luck; /* One thread, so it may be shared. */

/* Each line comes back; of twenty, one comes too late, and one is the last. */
async(int, session, (coil_stream *) peer)
{
    vars(coil_slice line);

    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->line));
    for (;;) {
        attempt(my->line, coil_read_until(peer, '\n', 100));
        uint64_t mishap = coil_random_below(&luck, 20);
        if (coil_slice_empty(&my->line) || mishap == 0)
            return 0;
        if (mishap == 1)
            await(coil_sleep(coil_ms(500)));
        attempt(coil_write_all(peer, my->line));
        coil_slice_release(&my->line);
    }
}

async(int, serve_for, (char *) address, (coil_duration) duration)
{
    vars(coil_listener *listener; int rc);

    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    coil_address_format(coil_listener_address(my->listener), address); /* At first: which port? */
    await(my->rc, within(duration, coil_serve(my->listener, coil_handler(session, coil_stream *))));
    return my->rc == -ETIME ? 0 : my->rc;
}

/* Now and then nobody listens. */
async(int, serve_flakily, (char *) address)
{
    vars();
    for (;;) {
        attempt(serve_for(address, coil_ms(300)));
        await(coil_sleep(coil_ms(100)));
    }
}

/* ------------------------------------------------------------------------------ the client -- */

typedef struct client_state {
    coil_connection_pool *pool;
    coil_retry_budget budget;
    unsigned asked_count;
    unsigned answered_count;
    unsigned attempt_count;
} client_state;

/* Once. The connection is fit for another use only if the whole answer has come. */
async(int, fetch, (client_state *) client, (const char *) question)
{
    vars(coil_pooled *connection; coil_slice answer);

    client->attempt_count++;
    attempt(my->connection, coil_connection_pool_checkout(client->pool));
    defer(coil_pooled_give_back(my->connection));
    attempt(coil_write_all(my->connection->stream, coil_text(question)));
    attempt(my->answer, coil_read_until(my->connection->stream, '\n', 100));
    defer(coil_slice_release(&my->answer));
    if ((size_t)my->answer.size_bytes != strlen(question))
        return -ENODATA;
    if (memcmp(my->answer.bytes, question, strlen(question)) != 0)
        return -EBADMSG; /* Somebody else's answer: this does not happen. */
    my->connection->reusable = true;
    return 0;
}

/* Also while the breaker is open: it closes again, and nothing has been sent meanwhile. */
static bool is_worth_it(const coil_retry_policy *policy, int error)
{
    (void)policy;
    return error == -EHOSTDOWN || coil_error_may_pass(error);
}

/* Until it works, for at most 30 seconds. */
async(int, fetch_patiently, (client_state *) client, (unsigned) number)
{
    vars(char question[32]; coil_retry retry; int rc);
    static const coil_retry_policy policy = {
            .base = 20000000, .cap = 200000000, /* ns */ .attempts = 200, .worth_it = is_worth_it};

    snprintf(my->question, sizeof(my->question), "question %u\n", number);
    coil_retry_init(&my->retry, &policy, &client->budget);
    coil_repeat(&my->retry, my->rc, within(coil_ms(200), fetch(client, my->question)));
    return my->rc;
}

async(int, fetch_many, (client_state *) client, (unsigned) count)
{
    vars(int rc);
    while (client->asked_count < count) {
        await(my->rc, within(coil_s(30), fetch_patiently(client, client->asked_count++)));
        if (my->rc < 0)
            return my->rc;
        client->answered_count++;
    }
    return 0;
}

static void print_report(const client_state *client, const coil_circuit_breaker *breaker)
{
    coil_connection_pool_stats stats = coil_connection_pool_statistics(client->pool);
    printf("%u of %u answered, in %u attempts\n", client->answered_count, client->asked_count,
            client->attempt_count);
    printf("connections: %" PRIu64 " opened, %" PRIu64 " broken, %" PRIu64 " found closed\n",
            stats.opened, stats.closed_broken, stats.closed_unfit);
    printf("breaker: opened %" PRIu64 " times\n", breaker->stats.opened);
}

async(int, run, (unsigned) count)
{
    vars(char address[COIL_ADDRESS_TEXT_BYTES]; coil_group background; coil_group askers;
            coil_circuit_breaker breaker; client_state client; unsigned i);
    static const coil_circuit_breaker_options quick = {
            .window = 100000000, .calls_min = 3, .open_duration = 20000000};

    coil_random_init(&luck, 1);
    strcpy(my->address, "127.0.0.1:0");
    open_group(&my->background);
    coil_spawn_now(&my->background, serve_flakily(my->address)); /* It listens when this returns. */

    coil_retry_budget_init(&my->client.budget, /* percent= */ 100, /* tokens_max= */ 1000);
    coil_circuit_breaker_init(&my->breaker, &quick);
    const coil_connection_pool_options options = {
            .max = 10, .open_limit = coil_s(1), .breaker = &my->breaker, .group = &my->background};
    int rc = coil_connection_pool_create(
            coil_loop_of(coil_self), my->address, &options, &my->client.pool);
    if (rc < 0)
        return rc;
    defer(coil_connection_pool_destroy(my->client.pool));

    open_group(&my->askers);
    for (my->i = 0; my->i < 20; my->i++)
        spawn(&my->askers, fetch_many(&my->client, count));
    attempt(coil_group_join(&my->askers));
    print_report(&my->client, &my->breaker);
    return 0;
}

int main(int argc, char **argv)
{
    const struct options options = read_options(argc, argv,
            "fetch_many --count N\n\nAsk a flaky server N questions over a pool of connections.\n");
    int rc = coil_run(run(options.count));
    if (rc < 0)
        fprintf(stderr, "fetch_many: %s\n", coil_error_text(rc));
    return rc < 0;
}
