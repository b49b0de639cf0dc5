/* SPDX-License-Identifier: MIT */
/*
 * Calls over what a name server says of a service, of everything that a client can do, at random:
 * many at a time, again, twice, without an answer, with too little time, given up; to servers that
 * are slow, that fail, that end meanwhile, and that never were there. Each call has one outcome,
 * and what that says is what the servers have done. COIL_SEED=<n> makes the same calls again.
 */
#include "name_server.h"
#include "names_stage.h"
#include "oracle_calls.h"

#include <coil/thrift_backup.h>
#include <coil/thrift_pool.h>
#include <coil/thrift_retrying.h>

#include "../sync/seeds.h"

#include <algorithm>
#include <array>
#include <atomic>

namespace
{

enum { SERVERS = 3, CALLS = 400, AT_ONCE = 40 };

/* ---------------------------------------------------------------------------- the servers -- */

/* How often each question was worked on, by whomever. */
std::array<std::atomic<unsigned>, CALLS> carried_out;

/* The question is its number. */
int number_of(coil_thrift_call *call)
{
    coil_thrift_field field;
    coil_thrift_text question = {};

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &question);
    }
    return std::stoi(string_of(question));
}

/* Some take a while, some fail: which ones, their numbers say. */
async(int, say, (coil_thrift_call *) call)
{
    vars(int number);
    my->number = number_of(call);
    carried_out.at(static_cast<size_t>(my->number))++;
    if (my->number % 3 == 0)
        await(coil_sleep(coil_ms(my->number % 20)));
    if (my->number % 17 == 3)
        return -EINVAL;
    coil_thrift_put_string(
            coil_thrift_reply(call), 0, coil_thrift_text_of(std::to_string(my->number).c_str()));
    return 0;
}

async(int, be_told, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    carried_out.at(static_cast<size_t>(number_of(call)))++;
    return 0;
}

const coil_thrift_method oracle_methods[] = {
        {"ask", coil_handler(say, coil_thrift_call *), nullptr},
        {"look", coil_handler(say, coil_thrift_call *), nullptr},
        {"tell", coil_handler(be_told, coil_thrift_call *), nullptr},
};

struct Oracle {
    coil_thrift_service service = {"Oracle", oracle_methods, 3};
    Served served{std::vector<coil_thrift_service *>{&service}};
};

/* The servers, one who only listens, and one who does not; in this order of preference or none. */
std::vector<std::string> offer(const DnsQuery &query, const std::vector<uint16_t> &ports)
{
    dns::Answer answer;
    if (query.type == dns::SRV && query.name == "_oracle._tcp.test") {
        for (const uint16_t port : ports)
            answer.add(dns::srv(query.name, 60, 0, 1, port, "delphi.test"));
        return {query.answer(answer)};
    }
    if (query.type == dns::A && query.name == "delphi.test")
        return {query.answer(answer.add(dns::a(query.name, 60, "127.0.0.1")))};
    return {query.answer(dns::nothing(0, 60))};
}

uint16_t port_of(const PeerListener &listener)
{
    return static_cast<uint16_t>(
            std::stoi(listener.address.substr(listener.address.find(':') + 1)));
}

/* ------------------------------------------------------------------------------ the calls -- */

struct Pilgrims {
    std::mt19937 random;
    coil_resolver_options resolving = {};
    std::vector<std::string> questions = {};
    std::vector<Call> calls = {};
    coil_thrift_pool_stats stats = {};
    uint64_t attempts = 0;

    explicit Pilgrims(unsigned seed) : random(seed)
    {
        for (int i = 0; i < CALLS; i++)
            questions.push_back(std::to_string(i));
        for (int i = 0; i < CALLS; i++)
            calls.push_back(draw_call(questions[static_cast<size_t>(i)].c_str()));
    }

    unsigned below(unsigned limit)
    {
        return static_cast<unsigned>(random() % limit);
    }

    Call draw_call(const char *question)
    {
        const coil_thrift_method_schema *const methods[] = {
                &oracle_ask, &oracle_look, &oracle_look, &oracle_tell};
        const coil_duration timeouts[] = {0, coil_ms(200), coil_ms(1 + below(20))};
        Call call;
        call.method = methods[below(4)];
        call.question = question;
        call.timeout = timeouts[below(3)];
        call.wants_result = call.method != &oracle_tell && below(10) > 0;
        call.cancel_after = below(5) == 0 ? coil_ms(below(20)) : COIL_FOREVER;
        return call;
    }

    coil_thrift_pool_options draw_options()
    {
        static const coil_thrift_timeout timeouts[] = {{"look", 30000000}, {nullptr, 200000000}};
        coil_thrift_pool_options options = {};
        options.pipeline.timeouts = timeouts;
        options.pipeline.timeout_count = 2;
        options.pipeline.calls_max = below(2) == 0 ? 0 : 4;
        options.pipeline.unanswered_max = below(2) == 0 ? 0 : 16;
        options.age_limit = below(2) == 0 ? 0 : coil_ms(20);
        options.connections_max = 4 + below(4);
        options.breaker.calls_min = 3;
        options.breaker.open_duration = coil_ms(20);
        options.balancer.seed = 1 + below(1000);
        return options;
    }
};

async(int, make_calls, (Pilgrims *) pilgrims, (coil_thrift_channel *) channel)
{
    vars(coil_group group; size_t i);

    open_group(&my->group);
    my->group.limit = AT_ONCE;
    for (; my->i < pilgrims->calls.size(); my->i++)
        spawn(&my->group, make_call(channel, &pilgrims->calls[my->i]));
    attempt(coil_group_join(&my->group));
    return 0;
}

coil_thrift_pool *make_pool(Pilgrims *pilgrims, coil_resolver *resolver)
{
    coil_thrift_pool *pool = nullptr;
    coil_thrift_pool_options options = pilgrims->draw_options();
    options.balancer.pool.connect.resolver = resolver;
    EXPECT_EQ(0,
            coil_thrift_pool_create(coil_loop_current(), "srv:_oracle._tcp.test", &options, &pool));
    return pool;
}

async(int, ask_all, (Pilgrims *) pilgrims)
{
    vars(coil_resolver *resolver; coil_thrift_pool *pool; coil_thrift_backup backup;
            coil_thrift_retrying retrying; coil_retry_budget budget);

    EXPECT_EQ(0, coil_resolver_create(coil_loop_current(), &pilgrims->resolving, &my->resolver));
    defer(coil_resolver_destroy(my->resolver));
    my->pool = make_pool(pilgrims, my->resolver);
    defer(coil_thrift_pool_destroy(my->pool));
    coil_retry_budget_init(&my->budget, 30, 50);
    coil_thrift_backup_init(&my->backup, coil_thrift_pool_channel(my->pool), coil_ms(5));
    coil_thrift_retrying_init(&my->retrying, &my->backup.channel);
    my->backup.budget = &my->budget;
    my->retrying.budget = &my->budget;
    attempt(make_calls(pilgrims, &my->retrying.channel));
    pilgrims->stats = coil_thrift_pool_statistics(my->pool);
    pilgrims->attempts = CALLS + my->retrying.retry_count + my->backup.backup_count;
    attempt(coil_thrift_pool_close(my->pool));
    return 0;
}

void check(const Call &call, size_t number)
{
    static const int known[] = {0, -EREMOTEIO, -ETIME, -EHOSTDOWN, -ENOTCONN, -ENODATA,
            -ECONNREFUSED, -ECONNRESET, -EPIPE, -ETIMEDOUT, -EBUSY};
    const unsigned count = carried_out.at(number);

    EXPECT_TRUE(std::find(std::begin(known), std::end(known), call.rc) != std::end(known))
            << call.rc << " of call " << number;
    if (call.rc == 0 && call.method != &oracle_tell) {
        EXPECT_LT(0u, count) << "call " << number << " has an answer and was not made";
        EXPECT_EQ(call.wants_result ? call.question : "", call.answer);
    }
    if (call.rc < 0 && !call.was_sent) {
        EXPECT_EQ(0u, count) << "call " << number << " was not sent, and carried out";
    }
    if (!call.method->is_idempotent) {
        EXPECT_GE(1u, count) << "call " << number;
    }
}

class NamedThriftPool : public testing::Test
{
protected:
    void SetUp() override
    {
        if (!coil_resolver_asks_dns())
            GTEST_SKIP() << "built without c-ares";
    }

    void play(unsigned seed)
    {
        Pilgrims pilgrims(seed);
        const PeerListener silent;
        uint16_t nobody;
        {
            const PeerListener gone;
            nobody = port_of(gone);
        }
        std::vector<std::unique_ptr<Oracle>> oracles;
        std::vector<uint16_t> ports = {port_of(silent), nobody};
        for (int i = 0; i < SERVERS; i++) {
            oracles.push_back(std::make_unique<Oracle>());
            ports.push_back(oracles.back()->served.port);
        }
        for (auto &count : carried_out)
            count = 0;
        const NameServer names([ports](const DnsQuery &query) { return offer(query, ports); });
        const std::string where = names.where();
        pilgrims.resolving = NamesStage::quiet();
        pilgrims.resolving.servers = where.c_str();
        {
            const Thread end([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(10 + seed % 50));
                oracles[0]->served.stop();
            });
            EXPECT_EQ(0, coil_run(ask_all(&pilgrims)));
        }
        oracles.clear(); /* All that they had begun is over. */
        for (size_t i = 0; i < CALLS; i++)
            check(pilgrims.calls[i], i);
        EXPECT_EQ(0u, pilgrims.stats.in_flight);
        EXPECT_EQ(0u, pilgrims.stats.waiting);
        EXPECT_LE(pilgrims.stats.calls, pilgrims.attempts);
        answered += static_cast<unsigned>(std::count_if(pilgrims.calls.begin(),
                pilgrims.calls.end(), [](const Call &call) { return call.rc == 0; }));
    }

    unsigned answered = 0;
};

TEST_F(NamedThriftPool, KeepsItsWordWhateverIsCalledWhateverBecomesOfTheServers)
{
    const std::vector<unsigned> row = seeds(3);
    for (const unsigned seed : row) {
        SCOPED_TRACE("COIL_SEED=" + std::to_string(seed));
        play(seed);
        if (HasFailure())
            break;
    }
    EXPECT_LT(row.size() * CALLS / 4, answered) << "of " << row.size() * CALLS << " calls";
}

} // namespace
