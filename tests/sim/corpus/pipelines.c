/* SPDX-License-Identifier: MIT */
/*
 * Many Thrift calls at a time over pools of pipelines, with retries and backup calls, whose callers
 * are cancelled and whose network is cut. Each call has one outcome, in its time; an answer is that
 * to its question; what is not idempotent is carried out once at most, and nothing at all if the
 * channel says that it was not sent; every attempt is accounted for, the books of the pool balance,
 * and nothing is left over.
 */
#include "corpus.h"

#include <coil/thrift_backup.h>
#include <coil/thrift_pool.h>
#include <coil/thrift_retrying.h>

#include <coil/sugar.h>

enum { SERVERS = 2, CALLERS = 8, CALLS = 10, NUMBERS = CALLERS * CALLS };

static struct {
    pid_t servers[SERVERS], client;
    const char *addresses[SERVERS];
    unsigned made;
    unsigned ended;
    unsigned carried_out[NUMBERS];
    bool was_not_sent[NUMBERS];
    bool is_disturbed;
    bool is_out_of_order;
} ledger;

static const char *const house[SERVERS] = {"one", "two"};

/* --------------------------------------------------------------------------------- servers -- */

/* i64 twice(1: i64 number), and the same as `look`: slow at times; for multiples of 17 it fails. */
async(int, twice, (coil_thrift_call *) call)
{
    vars(int64_t number);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_i64(&call->arguments, &my->number);
    }
    corpus_expect(my->number >= 0 && my->number < NUMBERS, "a call for %ld", (long)my->number);
    ledger.carried_out[my->number]++;
    if (corpus_chance(30))
        await(coil_sleep(corpus_moment(coil_ms(20))));
    if (my->number % 17 == 3)
        return -EINVAL;
    coil_thrift_put_i64(coil_thrift_reply(call), 0, 2 * my->number);
    return 0;
}

/* oneway void tell(1: i64 number) */
async(int, be_told, (coil_thrift_call *) call)
{
    vars(int64_t number);
    coil_thrift_field field;

    coil_thrift_no_reply(call);
    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_i64(&call->arguments, &my->number);
    }
    corpus_expect(my->number >= 0 && my->number < NUMBERS, "told %ld", (long)my->number);
    ledger.carried_out[my->number]++;
    return 0;
}

async(int, serve, (coil_thrift_server *) server)
{
    vars(coil_listener *listener);

    const int rc = coil_listen("*:9090", NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_thrift_serve_gracefully(my->listener, server));
    return 0;
}

static int server_main(int argc, char **argv)
{
    static const coil_thrift_method methods[] = {
            {"twice", coil_handler(twice, coil_thrift_call *), NULL},
            {"look", coil_handler(twice, coil_thrift_call *), NULL},
            {"tell", coil_handler(be_told, coil_thrift_call *), NULL}};
    coil_thrift_service thrift = {"Twice", methods, 3};
    coil_thrift_service *services[] = {&thrift};
    coil_thrift_server server = {.services = services,
            .service_count = 1,
            .out_of_order = ledger.is_out_of_order,
            .calls_max = corpus_chance(20) ? 2 : 0};
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    const int rc = coil_run(serve(&server));
    corpus_expect(server.stats.open_connections == 0, "connections are open");
    return corpus_end(&start, rc);
}

/* ------------------------------------------------------------------------------- the calls -- */

typedef struct number_struct {
    int64_t number;
    uint32_t has;
} number_struct;

static const coil_thrift_field_schema argument_fields[] = {{.name = "number",
        .type = &coil_thrift_i64_type,
        .offset = offsetof(number_struct, number),
        .id = 1}};
static const coil_thrift_field_schema result_fields[] = {{.name = "success",
        .type = &coil_thrift_i64_type,
        .offset = offsetof(number_struct, number),
        .id = 0,
        .requiredness = COIL_THRIFT_OPTIONAL}};
static const coil_thrift_struct_schema argument_schema = {.name = "twice_args",
        .size_bytes = sizeof(number_struct),
        .field_count = 1,
        .has_offset = offsetof(number_struct, has),
        .fields = argument_fields};
static const coil_thrift_struct_schema result_schema = {.name = "twice_result",
        .size_bytes = sizeof(number_struct),
        .field_count = 1,
        .has_offset = offsetof(number_struct, has),
        .fields = result_fields};
static const coil_thrift_method_schema twice_method = {
        .name = "twice", .arguments = &argument_schema, .result = &result_schema};
static const coil_thrift_method_schema look_method = {.name = "look",
        .arguments = &argument_schema,
        .result = &result_schema,
        .is_idempotent = true};

static const coil_thrift_method_schema tell_method = {
        .name = "tell", .arguments = &argument_schema, .is_oneway = true};

/* What the outcome of a call says, against what the servers have done. */
static void check_outcome(const coil_thrift_invocation *invocation, int64_t number, int rc)
{
    const number_struct *result = invocation->result;
    const unsigned count = ledger.carried_out[number];

    ledger.was_not_sent[number] = rc < 0 && !invocation->was_sent;
    if (rc == 0 && !invocation->method->is_oneway) {
        corpus_expect(result->number == 2 * number, "twice %ld is %ld", (long)number,
                (long)result->number);
        corpus_expect(count > 0, "call %ld has an answer and was not made", (long)number);
    }
    if (!invocation->method->is_idempotent)
        corpus_expect(count <= 1, "call %ld is carried out %u times", (long)number, count);
    /* Timeouts are the callers', breakers open for them, and a connection may be given up. */
    const bool is_known =
            rc == 0 || rc == -EREMOTEIO || rc == -ETIME || rc == -EHOSTDOWN || rc == -ETIMEDOUT;
    corpus_expect_success(is_known ? 0 : rc, ledger.is_disturbed, "a call");
}

static const coil_thrift_method_schema *choose_method(void)
{
    if (corpus_chance(15))
        return &tell_method;
    return corpus_chance(50) ? &twice_method : &look_method;
}

/* 0: what the pool has for the method. */
static coil_duration choose_timeout(void)
{
    if (corpus_chance(30))
        return 0;
    return corpus_chance(40) ? 1 + corpus_moment(coil_ms(30)) : coil_s(5);
}

/* The time of the call is over when it says so; timers may be late, and processes held up. */
static void check_time(const coil_thrift_invocation *invocation, coil_duration timeout,
        coil_duration took, int64_t number)
{
    corpus_expect(invocation->timeout == timeout, "call %ld: its timeout is changed", (long)number);
    corpus_expect(timeout == 0 || took <= timeout + coil_s(1), "call %ld took %ld ns of %ld",
            (long)number, (long)took, (long)timeout);
}

async(int, make_call, (coil_thrift_channel *) channel, (int64_t) number)
{
    vars(coil_thrift_invocation invocation; number_struct argument; number_struct result;
            coil_arena arena; int rc; coil_duration timeout; coil_time begun_at);

    coil_arena_init(&my->arena, 4096);
    defer(coil_arena_fini(&my->arena));
    ledger.made++;
    defer(ledger.ended++);
    my->argument.number = number;
    my->invocation.method = choose_method();
    my->invocation.arguments = &my->argument;
    my->invocation.arena = &my->arena;
    my->invocation.result = my->invocation.method->is_oneway ? NULL : &my->result;
    my->invocation.timeout = my->timeout = choose_timeout();
    my->begun_at = coil_now();
    await(my->rc,
            within(corpus_deadline(20, coil_ms(30)), coil_thrift_invoke(channel, &my->invocation)));
    check_time(&my->invocation, my->timeout, coil_now() - my->begun_at, number);
    check_outcome(&my->invocation, number, my->rc);
    return 0;
}

async(int, be_caller, (coil_thrift_channel *) channel, (int64_t) first)
{
    vars(int64_t i; coil_group group);

    open_group(&my->group);
    my->group.keep_going = true;
    my->group.limit = 1 + corpus_draw(4);
    for (my->i = 0; my->i < CALLS; my->i++) {
        spawn(&my->group, make_call(channel, first + my->i));
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(50))));
    }
    if (corpus_chance(10))
        coil_group_cancel(&my->group);
    ignore(coil_group_join(&my->group));
    return 0;
}

static void audit(const coil_thrift_pool_stats *stats)
{
    corpus_expect(stats->in_flight == 0 && stats->waiting == 0, "%u calls in flight, %u wait",
            stats->in_flight, stats->waiting);
    corpus_expect(
            stats->live + stats->opening <= 4, "%u live, %u opening", stats->live, stats->opening);
}

typedef struct route {
    coil_thrift_multiplexed named;
    coil_thrift_retrying retrying;
    coil_thrift_backup backup;
    coil_retry_budget budget;
} route;

/* The pool has had each attempt once, but for those that were cancelled before they began. */
static void audit_attempts(const route *to, const coil_thrift_pool_stats *stats)
{
    const uint64_t attempts = ledger.made + to->retrying.retry_count + to->backup.backup_count;

    corpus_expect(stats->calls <= attempts, "%lu calls of %lu attempts",
            (unsigned long)stats->calls, (unsigned long)attempts);
    corpus_expect(to->backup.backup_count <= to->budget.granted_count, "%lu twice, by %lu tokens",
            (unsigned long)to->backup.backup_count, (unsigned long)to->budget.granted_count);
}

static coil_thrift_channel *lay(route *to, coil_thrift_pool *pool)
{
    coil_thrift_channel *first = coil_thrift_pool_channel(pool);

    coil_retry_budget_init(&to->budget, 20, 10);
    coil_thrift_multiplex(&to->named, first, "Twice");
    if (corpus_chance(30))
        first = &to->named.channel;
    coil_thrift_backup_init(&to->backup, first, 1 + corpus_moment(coil_ms(10)));
    to->backup.budget = &to->budget;
    coil_thrift_retrying_init(&to->retrying, corpus_chance(50) ? &to->backup.channel : first);
    to->retrying.budget = &to->budget;
    coil_random_init(&to->retrying.random, corpus_draw(1000));
    return corpus_chance(70) ? &to->retrying.channel : to->retrying.next;
}

static int make_pool(coil_thrift_pool **out_pool)
{
    static const coil_thrift_timeout timeouts[] = {{"look", 40000000}, {NULL, 3000000000}};
    const coil_thrift_pool_options options = {.age_limit = corpus_chance(30) ? coil_ms(30) : 0,
            .pipeline = {.timeouts = timeouts,
                    .timeout_count = 2,
                    .calls_max = corpus_chance(30) ? 3 : 0,
                    .unanswered_max = corpus_chance(30) ? 8 : 0,
                    .transport = corpus_chance(30) ? COIL_THRIFT_TRANSPORT_HEADER
                                                   : COIL_THRIFT_TRANSPORT_FRAMED,
                    .protocol = corpus_chance(30) ? COIL_THRIFT_PROTOCOL_COMPACT
                                                  : COIL_THRIFT_PROTOCOL_BINARY},
            .breaker = {.open_duration = coil_ms(100)},
            .balancer = {.seed = 1 + corpus_draw(1000),
                    .pool = {.open_limit = coil_s(2), .seed = 1 + corpus_draw(1000)}}};
    coil_address addresses[SERVERS];

    const int rc = coil_thrift_pool_create(coil_loop_current(), NULL, &options, out_pool);
    if (rc < 0)
        return rc;
    for (int i = 0; i < SERVERS; i++)
        corpus_expect(coil_address_parse(ledger.addresses[i], &addresses[i]) == 0, "address");
    return coil_thrift_pool_set_addresses(*out_pool, addresses, SERVERS);
}

async(int, be_callers)
{
    vars(coil_thrift_pool *pool; coil_group group; route to; coil_thrift_channel *channel; int i);

    await(coil_sleep(coil_ms(20))); /* Until the servers listen. */
    int rc = make_pool(&my->pool);
    defer(coil_thrift_pool_destroy(my->pool));
    if (rc < 0)
        return rc;
    my->channel = lay(&my->to, my->pool);
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < CALLERS; my->i++)
        spawn(&my->group, be_caller(my->channel, (int64_t)my->i * CALLS));
    ignore(coil_group_join(&my->group));
    const coil_thrift_pool_stats stats = coil_thrift_pool_statistics(my->pool);
    audit(&stats);
    audit_attempts(&my->to, &stats);
    corpus_expect(
            ledger.ended == ledger.made, "%u calls made, %u ended", ledger.made, ledger.ended);
    if (corpus_chance(50))
        attempt(within(coil_s(60), coil_thrift_pool_close(my->pool)));
    return 0;
}

CORPUS_MAIN(client_main, be_callers())

/* -------------------------------------------------------------------------------- scenario -- */

async(int, disturb, (coil_sim *) sim)
{
    vars(unsigned count; const char *host);

    my->count = corpus_chance(50) ? 0 : 1 + (unsigned)corpus_draw(4);
    for (; my->count > 0; my->count--) {
        await(coil_sleep(coil_ms(20) + corpus_moment(coil_ms(200))));
        ledger.is_disturbed = true;
        my->host = house[corpus_draw(SERVERS)];
        if (corpus_chance(50)) {
            (void)coil_sim_reset_connections(sim, my->host, "client");
        } else {
            coil_sim_partition(sim, my->host, "client");
            await(coil_sleep(corpus_moment(coil_s(3))));
            coil_sim_heal(sim, my->host, "client");
        }
    }
    ignore(corpus_await_end(sim, ledger.client));
    for (int i = 0; i < SERVERS; i++)
        (void)coil_sim_kill(sim, ledger.servers[i], SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.is_out_of_order = coil_sim_random(sim, 2) == 0;
    for (int i = 0; i < SERVERS; i++) {
        ledger.servers[i] = corpus_start(sim, house[i], "/bin/twice", server_main);
        ledger.addresses[i] = corpus_address(sim, house[i], 9090);
    }
    ledger.client = corpus_start(sim, "client", "/bin/callers", client_main);
}

static void check(coil_sim *sim)
{
    for (int i = 0; i < SERVERS; i++)
        corpus_expect_end(sim, ledger.servers[i], "a server");
    corpus_expect_end(sim, ledger.client, "the client");
    for (int i = 0; i < NUMBERS; i++) {
        corpus_expect(!ledger.was_not_sent[i] || ledger.carried_out[i] == 0,
                "call %d was not sent, and carried out", i);
    }
}

const coil_sim_scenario scenario_pipelines = {.name = "pipelines",
        .build = build,
        .direct = coil_handler(disturb, coil_sim *),
        .check = check};
