/* SPDX-License-Identifier: MIT */
/* Calls over pools of connections, again, and twice: to servers that come, go and are slow. */
#include "oracle_calls.h"

#include <coil/thrift_backup.h>
#include <coil/thrift_pool.h>
#include <coil/thrift_retrying.h>

#include <algorithm>
#include <atomic>

namespace
{

/* ---------------------------------------------------------------------------- the servers -- */

/* An Oracle of ours on a thread, which says its name, after a while if it is asked to. */
struct Oracle {
    coil_thrift_service service = {};
    std::string name;
    std::atomic<int> asked{0};
    std::atomic<int> slow_ms{0};
    std::atomic<bool> has_deadline{false}; /* Of the last call. */
};

async(int, say_name, (coil_thrift_call *) call)
{
    vars(Oracle *oracle);
    my->oracle = coil_container_of(call->service, Oracle, service);
    my->oracle->asked++;
    my->oracle->has_deadline = call->deadline != COIL_NEVER;
    if (my->oracle->slow_ms > 0)
        await(coil_sleep(coil_ms(my->oracle->slow_ms)));
    coil_thrift_put_string(
            coil_thrift_reply(call), 0, coil_thrift_text_of(my->oracle->name.c_str()));
    return 0;
}

async(int, be_told, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    coil_container_of(call->service, Oracle, service)->asked++;
    return 0;
}

const coil_thrift_method oracle_methods[] = {
        {"ask", coil_handler(say_name, coil_thrift_call *), nullptr},
        {"look", coil_handler(say_name, coil_thrift_call *), nullptr},
        {"tell", coil_handler(be_told, coil_thrift_call *), nullptr},
};

class Shrine
{
public:
    explicit Shrine(const std::string &name)
    {
        oracle.name = name;
        oracle.service = {"Oracle", oracle_methods, 3};
        served = std::make_unique<Served>(std::vector<coil_thrift_service *>{&oracle.service});
    }

    const char *address() const
    {
        return served->address.c_str();
    }

    Oracle oracle;
    std::unique_ptr<Served> served;
};

/* ------------------------------------------------------------------------------ the calls -- */

/* How calls go: over a pool; then again, or twice. */
struct Way {
    std::vector<std::string> addresses;
    coil_thrift_pool_options options = {};
    bool again = false;
    coil_duration backup_delay = 0;
    coil_retry_budget *budget = nullptr;
    unsigned at_once = 1; /* So many at a time. */

    coil_thrift_pool_stats stats = {};
    coil_thrift_retrying retrying = {};
    coil_thrift_backup backup = {};
};

coil_thrift_channel *channel_of(Way *way, coil_thrift_pool *pool)
{
    coil_thrift_channel *channel = coil_thrift_pool_channel(pool);
    if (way->backup_delay > 0) {
        coil_thrift_backup_init(&way->backup, channel, way->backup_delay);
        way->backup.budget = way->budget;
        channel = &way->backup.channel;
    }
    if (way->again) {
        coil_thrift_retrying_init(&way->retrying, channel);
        way->retrying.budget = way->budget;
        channel = &way->retrying.channel;
    }
    return channel;
}

coil_thrift_pool *make_pool(Way *way)
{
    std::vector<coil_address> addresses;
    coil_thrift_pool *pool = nullptr;

    if (way->addresses.size() == 1) {
        EXPECT_EQ(0, coil_thrift_pool_create(
                             coil_loop_current(), way->addresses[0].c_str(), &way->options, &pool));
        return pool;
    }
    EXPECT_EQ(0, coil_thrift_pool_create(coil_loop_current(), nullptr, &way->options, &pool));
    for (const std::string &text : way->addresses) {
        coil_address address;
        EXPECT_EQ(0, coil_address_parse(text.c_str(), &address));
        addresses.push_back(address);
    }
    EXPECT_EQ(0, coil_thrift_pool_set_addresses(
                         pool, addresses.data(), static_cast<unsigned>(addresses.size())));
    return pool;
}

async(int, call_over, (Way *) way, (std::vector<Call> *) calls)
{
    vars(coil_thrift_pool *pool; coil_thrift_channel *channel; coil_group group; size_t i);

    open_group(&my->group);
    my->pool = make_pool(way);
    defer(coil_thrift_pool_destroy(my->pool));
    my->channel = channel_of(way, my->pool);
    my->group.limit = way->at_once;
    for (my->i = 0; my->i < calls->size(); my->i++)
        spawn(&my->group, make_call(my->channel, &(*calls)[my->i]));
    attempt(coil_group_join(&my->group));
    way->stats = coil_thrift_pool_statistics(my->pool);
    EXPECT_EQ(0u, way->stats.in_flight);
    EXPECT_EQ(0u, way->stats.waiting);
    attempt(coil_thrift_pool_close(my->pool));
    EXPECT_EQ(0u, coil_thrift_pool_statistics(my->pool).live);
    return 0;
}

void run(Way *way, std::vector<Call> *calls)
{
    EXPECT_EQ(0, coil_run(call_over(way, calls)));
}

size_t answered(const std::vector<Call> &calls, const char *name)
{
    return static_cast<size_t>(std::count_if(calls.begin(), calls.end(),
            [&](const Call &call) { return call.rc == 0 && call.answer == name; }));
}

Way to(std::vector<std::string> addresses)
{
    Way way;
    way.addresses = std::move(addresses);
    return way;
}

/* An address where nobody listens. */
std::string nobody()
{
    const PeerListener gone;
    return gone.address;
}

/* ------------------------------------------------------------------------------- the pool -- */

TEST(ThriftPool, CarriesCallsOverOneConnectionIfThatIsEnough)
{
    const Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    std::vector<Call> calls(100);
    run(&way, &calls);
    EXPECT_EQ(100u, answered(calls, "Delphi"));
    EXPECT_EQ(1u, way.stats.opened);
    EXPECT_EQ(0u, way.stats.lost);
}

TEST(ThriftPool, OpensMoreConnectionsWhereCallsWouldShareThem)
{
    const Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    way.at_once = 50;
    way.options.connections_max = 3;
    std::vector<Call> calls(1000);
    run(&way, &calls);
    EXPECT_EQ(1000u, answered(calls, "Delphi"));
    EXPECT_EQ(3u, way.stats.opened);
}

TEST(ThriftPool, SpreadsConnectionsOverTheAddresses)
{
    const Shrine delphi("Delphi");
    const Shrine dodona("Dodona");
    Way way = to({delphi.address(), dodona.address()});
    way.at_once = 20;
    std::vector<Call> calls(1000);
    run(&way, &calls);
    EXPECT_EQ(1000u, answered(calls, "Delphi") + answered(calls, "Dodona"));
    EXPECT_LT(0u, answered(calls, "Delphi"));
    EXPECT_LT(0u, answered(calls, "Dodona"));
}

TEST(ThriftPool, ReportsThatNobodyListensAndThatNothingWasSent)
{
    Way way = to({nobody()});
    std::vector<Call> calls(3);
    way.at_once = 3;
    run(&way, &calls);
    for (const Call &call : calls) {
        EXPECT_EQ(-ECONNREFUSED, call.rc);
        EXPECT_FALSE(call.was_sent);
    }
    EXPECT_EQ(0u, way.stats.opened);
    EXPECT_EQ(1u, way.stats.open_failed);
}

TEST(ThriftPool, UsesTheOtherAddressWhereNobodyListensAtOne)
{
    const Shrine delphi("Delphi");
    Way way = to({nobody(), delphi.address()});
    way.at_once = 10;
    std::vector<Call> calls(100);
    run(&way, &calls);
    EXPECT_EQ(100u, answered(calls, "Delphi"));
}

TEST(ThriftPool, ConnectsAgainWhenTheServerHasHungUp)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.again = true; /* A call may go out before the news of the end comes in. */
    std::vector<Call> calls(3);
    for (Call &call : calls)
        call.method = &oracle_look;
    {
        const Thread server([&] {
            for (int i = 0; i < 3; i++) {
                Peer peer = listener.accepted();
                peer.send(answer_to(receive_question(peer), "only once"));
                (void)(i == 2 && peer.at_end());
            }
        });
        run(&way, &calls);
    }
    EXPECT_EQ(3u, answered(calls, "only once"));
    EXPECT_EQ(3u, way.stats.opened);
}

TEST(ThriftPool, BoundsTheWaitForAConnectionByTheTimeoutOfTheCall)
{
    const PeerListener listener; /* It never accepts; so neither TLS nor replies come from there. */
    static const coil_thrift_timeout timeouts[] = {{"ask", 20000000}};
    Way way = to({listener.address});
    way.options.pipeline.timeouts = timeouts;
    way.options.pipeline.timeout_count = 1;
    std::vector<Call> calls(2);
    calls[1].timeout = coil_ms(30);
    run(&way, &calls);
    EXPECT_EQ(-ETIME, calls[0].rc);
    EXPECT_EQ(-ETIME, calls[1].rc);
}

TEST(ThriftPool, AvoidsAnAddressWhoseCallsFail)
{
    const PeerListener silent;
    Way way = to({silent.address});
    way.options.breaker.calls_min = 3;
    way.options.breaker.open_duration = coil_s(100);
    std::vector<Call> calls(5);
    for (Call &call : calls)
        call.timeout = coil_ms(10);
    way.options.connections_max = 1;
    run(&way, &calls);
    EXPECT_EQ(-ETIME, calls[0].rc);
    EXPECT_EQ(-ETIME, calls[2].rc);
    EXPECT_EQ(-EHOSTDOWN, calls[3].rc);
    EXPECT_FALSE(calls[3].was_sent);
    EXPECT_EQ(2u, way.stats.refused);
}

TEST(ThriftPool, ReplacesOldConnections)
{
    const Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    way.options.age_limit = 1; /* At once. */
    way.options.connections_max = 2;
    std::vector<Call> calls(50);
    run(&way, &calls);
    EXPECT_EQ(50u, answered(calls, "Delphi"));
    EXPECT_EQ(0u, way.stats.lost);
}

TEST(ThriftPool, TellsWithoutAnAnswer)
{
    Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    std::vector<Call> calls(10);
    for (Call &call : calls)
        call.method = &oracle_tell;
    calls[9].method = &oracle_ask; /* Its answer says that all have come. */
    run(&way, &calls);
    EXPECT_EQ("Delphi", calls[9].answer);
    EXPECT_EQ(10, delphi.oracle.asked);
}

/* Every protocol by every transport, against our own server, which tells them apart. */
TEST(ThriftPool, SpeaksEveryProtocolByEveryTransport)
{
    Shrine delphi("Delphi, \\ \"quoted\"");
    int asked = 0;
    for (int way_number = 0; way_number < 3 * 4 * 3; way_number++) {
        Way way = to({delphi.address()});
        coil_thrift_pipeline_options *options = &way.options.pipeline;
        options->protocol = static_cast<coil_thrift_protocol>(way_number % 3);
        options->transport = static_cast<coil_thrift_transport>(way_number / 3 % 4);
        options->zlib = way_number / 12 == 1;
        options->zlib_inside = way_number / 12 == 2;
        if (options->zlib_inside && (options->transport == COIL_THRIFT_TRANSPORT_UNFRAMED ||
                                            options->transport == COIL_THRIFT_TRANSPORT_HEADER))
            continue;
        options->http_path = "/oracle";
        way.at_once = 5;
        std::vector<Call> calls(20);
        calls[3].method = &oracle_tell;
        calls[3].question = "a secret";
        for (Call &call : calls)
            call.timeout = coil_s(1);
        run(&way, &calls);
        asked += 20;
        for (size_t i = 0; i < calls.size(); i++)
            EXPECT_EQ(0, calls[i].rc) << "protocol " << options->protocol << ", transport "
                                      << options->transport << ", zlib " << way_number / 12;
        EXPECT_EQ(19u, answered(calls, delphi.oracle.name.c_str())) << way_number;
    }
    EXPECT_EQ(asked, delphi.oracle.asked);
}

TEST(ThriftPool, TellsAServerByTHeaderHowLongItHas)
{
    Shrine delphi("Delphi");
    for (const coil_duration timeout : {coil_duration(0), coil_s(5)}) {
        Way way = to({delphi.address()});
        way.options.pipeline.transport = COIL_THRIFT_TRANSPORT_HEADER;
        std::vector<Call> calls(1);
        calls[0].timeout = timeout;
        run(&way, &calls);
        EXPECT_EQ(1u, answered(calls, "Delphi"));
        EXPECT_EQ(timeout > 0, delphi.oracle.has_deadline);
    }
}

std::string http_answer(const std::string &frame, const char *connection)
{
    return "HTTP/1.1 200 OK\r\nContent-Type: application/x-thrift\r\nConnection: " +
           std::string(connection) + "\r\nContent-Length: " + std::to_string(frame.size() - 4) +
           "\r\n\r\n" + frame.substr(4);
}

TEST(ThriftPool, SendsNothingToAServerThatHasSaidItWillHangUp)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.options.connections_max = 1;
    way.options.pipeline.transport = COIL_THRIFT_TRANSPORT_HTTP;
    way.at_once = 6;
    std::vector<Call> calls(6);
    {
        const Thread server([&] {
            for (int i = 1; i <= 6; i++) {
                Peer peer = listener.accepted();
                std::string request;
                while (request.find("question") == std::string::npos)
                    request += peer.receive(1);
                peer.send(http_answer(
                        frame(message(2, "ask", 1) + field(11, 0) + text("once") + stop()),
                        "close"));
                (void)peer.receive(1); /* The stop at the end of the request, */
                EXPECT_TRUE(peer.at_end()) << "and nothing more";
            }
        });
        run(&way, &calls);
    }
    EXPECT_EQ(6u, answered(calls, "once"));
}

std::string receive_until(Peer &peer, const std::string &end)
{
    std::string bytes;
    while (bytes.find(end) == std::string::npos) {
        const std::string next = peer.receive(1);
        if (next.empty())
            break;
        bytes += next;
    }
    return bytes;
}

/* A oneway call called "told", and one behind it, by HTTP over one connection at a time. */
Way tell_and_ask(const PeerListener &listener, std::vector<Call> *calls)
{
    Way way = to({listener.address});
    way.options.connections_max = 1;
    way.options.pipeline.transport = COIL_THRIFT_TRANSPORT_HTTP;
    way.options.pipeline.oneway_answer_limit = coil_s(10);
    way.at_once = 2;
    calls->resize(2);
    (*calls)[0].method = &oracle_tell;
    (*calls)[0].question = "told";
    return way;
}

void answer_on_another_connection(const PeerListener &listener)
{
    Peer second = listener.accepted();
    receive_until(second, "question");
    second.send(http_answer(
            frame(message(2, "ask", 1) + field(11, 0) + text("twice") + stop()), "close"));
    (void)second.receive(1);
    EXPECT_TRUE(second.at_end());
}

/* As Apache's servers in Python do, which speak HTTP/1.0. */
TEST(ThriftPool, OpensAnotherConnectionWhereTheAnswerToAOnewayCallHasEndedOne)
{
    const PeerListener listener;
    std::vector<Call> calls;
    Way way = tell_and_ask(listener, &calls);
    {
        const Thread server([&] {
            Peer first = listener.accepted();
            receive_until(first, "told");
            (void)first.receive(1); /* The stop at the end of the request. */
            first.send("HTTP/1.0 200 OK\r\nContent-Type: application/x-thrift\r\n\r\n");
            first.end();
            EXPECT_TRUE(first.at_end()) << "and nothing more";
            answer_on_another_connection(listener);
        });
        run(&way, &calls);
    }
    EXPECT_EQ(0, calls[0].rc);
    EXPECT_EQ("twice", calls[1].answer);
    EXPECT_EQ(2u, way.stats.opened);
    EXPECT_EQ(0u, way.stats.lost);
}

/* As Apache's servers in C++ (before 0.24) and Node do; in Node, with none to later requests. */
TEST(ThriftPool, OpensAnotherConnectionWhereAOnewayCallIsNotAnswered)
{
    const PeerListener listener;
    std::vector<Call> calls;
    Way way = tell_and_ask(listener, &calls);
    way.options.pipeline.oneway_answer_limit = coil_ms(10);
    {
        const Thread server([&] {
            Peer first = listener.accepted();
            receive_until(first, "told");
            (void)first.receive(1);
            EXPECT_TRUE(first.at_end()) << "and nothing more";
            answer_on_another_connection(listener);
        });
        run(&way, &calls);
    }
    EXPECT_EQ(0, calls[0].rc);
    EXPECT_EQ("twice", calls[1].answer);
    EXPECT_EQ(0u, way.stats.lost);
}

TEST(ThriftPool, CarriesCallsOverUnixSockets)
{
    for (const std::string &address : {
                 std::string("unix:@coil-thrift-pool-") + std::to_string(getpid()),
                 "unix:" + testing::TempDir() + "/coil-thrift-pool-" + std::to_string(getpid())}) {
        coil_address at;
        ASSERT_EQ(0, coil_address_parse(address.c_str(), &at));
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_EQ(0, bind(fd, &at.socket, at.size_bytes)) << strerror(errno);
        ASSERT_EQ(0, listen(fd, 5));
        Way way = to({address});
        std::vector<Call> calls(1);
        {
            const Thread server([&] {
                Peer peer(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
                peer.send(answer_to(receive_question(peer), "near"));
                (void)peer.at_end();
            });
            run(&way, &calls);
        }
        close(fd);
        if (address.find('@') == std::string::npos)
            unlink(address.c_str() + strlen("unix:"));
        EXPECT_EQ("near", calls[0].answer);
    }
}

async(int, destroy_early, (Way *) way, (std::vector<Call> *) calls)
{
    vars(coil_thrift_pool *pool; coil_group group; size_t i);

    open_group(&my->group);
    my->pool = make_pool(way);
    for (my->i = 0; my->i < calls->size(); my->i++)
        spawn(&my->group, make_call(coil_thrift_pool_channel(my->pool), &(*calls)[my->i]));
    await(coil_sleep(coil_ms(20)));
    coil_thrift_pool_destroy(my->pool);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(ThriftPool, EndsTheCallsUnderWayWhenItIsDestroyed)
{
    const PeerListener silent;
    Way way = to({silent.address});
    std::vector<Call> calls(5);
    EXPECT_EQ(0, coil_run(destroy_early(&way, &calls)));
    for (const Call &call : calls)
        EXPECT_EQ(-ESHUTDOWN, call.rc);
}

TEST(ThriftPool, IsRefusedWithMoreConnectionsThanItCanHave)
{
    coil_thrift_pool *pool = nullptr;
    coil_thrift_pool_options options = {};
    options.connections_max = COIL_THRIFT_POOL_CONNECTIONS + 1;
    EXPECT_EQ(-EINVAL, coil_thrift_pool_create(nullptr, "127.0.0.1:1", &options, &pool));
    coil_thrift_pool_destroy(nullptr);
}

/* ---------------------------------------------------------------------------------- again -- */

/* Answers what `scripts` says to each connection that comes. */
void serve_in_turn(
        const PeerListener &listener, const std::vector<std::function<void(Peer &)>> &scripts)
{
    for (const auto &script : scripts) {
        Peer peer = listener.accepted();
        script(peer);
    }
}

const auto hang_up = [](Peer &peer) { (void)receive_question(peer); };
const auto answer = [](Peer &peer) {
    peer.send(answer_to(receive_question(peer), "at last"));
    (void)peer.at_end();
};

Call one_call(const coil_thrift_method_schema *method,
        const std::vector<std::function<void(Peer &)>> &scripts, Way *out_way = nullptr)
{
    const PeerListener listener;
    Way way = to({listener.address});
    std::vector<Call> calls(1);
    way.again = true;
    calls[0].method = method;
    {
        const Thread server([&] { serve_in_turn(listener, scripts); });
        run(&way, &calls);
    }
    if (out_way != nullptr)
        *out_way = way;
    return calls[0];
}

TEST(ThriftRetrying, CallsIdempotentMethodsAgain)
{
    Way way;
    const Call call = one_call(&oracle_look, {hang_up, hang_up, answer}, &way);
    EXPECT_EQ("at last", call.answer);
    EXPECT_EQ(1u, way.retrying.call_count);
    EXPECT_EQ(2u, way.retrying.retry_count);
}

TEST(ThriftRetrying, DoesNotCallOthersAgainThatWereSent)
{
    const Call call = one_call(&oracle_ask, {hang_up});
    EXPECT_EQ(-ENOTCONN, call.rc);
    EXPECT_TRUE(call.was_sent);
}

TEST(ThriftRetrying, CallsAnyMethodAgainThatWasNotSent)
{
    Way way = to({nobody()});
    way.again = true;
    std::vector<Call> calls(1);
    way.options.balancer.ejection.calls_min = 100;
    run(&way, &calls);
    EXPECT_EQ(-ECONNREFUSED, calls[0].rc);
    EXPECT_EQ(3u, way.retrying.retry_count);
}

TEST(ThriftRetrying, CallsAnyMethodAgainThatAnOverloadedServerHasRefused)
{
    const auto refuse = [](Peer &peer) {
        const Question first = receive_question(peer);
        peer.send(frame(message(3, "ask", first.seqid) + field(11, 1) + text("overloaded") +
                        field(8, 2) + i32(COIL_THRIFT_LOADSHEDDING) + stop()));
    };
    EXPECT_EQ("at last", one_call(&oracle_ask, {refuse, answer}).answer);
}

TEST(ThriftRetrying, TakesOtherExceptionsForAnswers)
{
    const auto except = [](Peer &peer) {
        peer.send(exception_of("look", receive_question(peer).seqid, "no"));
        (void)peer.at_end();
    };
    const Call call = one_call(&oracle_look, {except});
    EXPECT_EQ(-EREMOTEIO, call.rc);
    EXPECT_EQ("no", call.what);
    const auto refuse = [](Peer &peer) {
        peer.send(refusal_of(receive_question(peer), "never"));
        (void)peer.at_end();
    };
    EXPECT_EQ("never", one_call(&oracle_look, {refuse}).why);
}

TEST(ThriftRetrying, HasABudgetInCommonWithOthers)
{
    coil_retry_budget budget;
    coil_retry_budget_init(&budget, 0, 2);
    Way way = to({nobody()});
    way.again = true;
    way.budget = &budget;
    way.options.balancer.ejection.calls_min = 100;
    std::vector<Call> calls(3);
    run(&way, &calls);
    EXPECT_EQ(2u, way.retrying.retry_count);
    EXPECT_EQ(2u, budget.granted_count);
}

TEST(ThriftRetrying, KnowsWhatIsSafeToRepeat)
{
    coil_thrift_invocation invocation = {};
    invocation.method = &oracle_ask;
    invocation.was_sent = true;
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -ENOTCONN));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -EREMOTEIO));
    invocation.exception.type = COIL_THRIFT_LOADSHEDDING;
    EXPECT_TRUE(coil_thrift_is_repeatable(&invocation, -EREMOTEIO));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -ENOTCONN));
    invocation.was_sent = false;
    EXPECT_TRUE(coil_thrift_is_repeatable(&invocation, -ENOTCONN));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -ECANCELED));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, 0));
    invocation.was_sent = true;
    invocation.method = &oracle_look;
    EXPECT_TRUE(coil_thrift_is_repeatable(&invocation, -ETIME));
}

/* ---------------------------------------------------------------------------------- twice -- */

/* Two servers, of which the first connection meets the silent one. */
TEST(ThriftBackup, AsksAgainWhereTheAnswerIsSlowAndTakesTheFirst)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.backup_delay = coil_ms(20);
    std::vector<Call> calls(1);
    calls[0].method = &oracle_look;
    const Thread server([&] {
        Peer slow = listener.accepted();
        (void)receive_question(slow);
        Peer quick = listener.accepted();
        quick.send(answer_to(receive_question(quick), "quick"));
        (void)slow.at_end();
    });
    run(&way, &calls);
    EXPECT_EQ("quick", calls[0].answer);
    EXPECT_EQ(1u, way.backup.backup_count);
    EXPECT_EQ(1u, way.backup.won_count);
}

TEST(ThriftBackup, TakesTheAnswerToTheFirstCallIfThatComesFirst)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.backup_delay = coil_ms(20);
    std::vector<Call> calls(1);
    calls[0].method = &oracle_look;
    const Thread server([&] {
        Peer slow = listener.accepted();
        const Question question = receive_question(slow);
        Peer other = listener.accepted();
        (void)receive_question(other);
        slow.send(answer_to(question, "slow"));
        (void)other.at_end();
    });
    run(&way, &calls);
    EXPECT_EQ("slow", calls[0].answer);
    EXPECT_EQ(1u, way.backup.backup_count);
    EXPECT_EQ(0u, way.backup.won_count);
}

TEST(ThriftBackup, DoesNotAskAgainWhereTheAnswerIsQuickOrTheMethodIsNotIdempotent)
{
    Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    way.backup_delay = coil_s(5);
    std::vector<Call> calls(2);
    calls[0].method = &oracle_look;
    run(&way, &calls);
    EXPECT_EQ(2u, answered(calls, "Delphi"));
    EXPECT_EQ(2, delphi.oracle.asked);
    EXPECT_EQ(1u, way.backup.call_count);
    EXPECT_EQ(0u, way.backup.backup_count);
}

TEST(ThriftBackup, WaitsForTheOtherAnswerIfOneCallFails)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.backup_delay = coil_ms(20);
    std::vector<Call> calls(1);
    calls[0].method = &oracle_look;
    const Thread server([&] {
        Peer first = listener.accepted();
        (void)receive_question(first);
        Peer second = listener.accepted();
        const Question question = receive_question(second);
        first.close();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        second.send(answer_to(question, "yes"));
        (void)second.at_end();
    });
    run(&way, &calls);
    EXPECT_EQ("yes", calls[0].answer);
}

TEST(ThriftBackup, HasABudget)
{
    coil_retry_budget budget;
    coil_retry_budget_init(&budget, 0, 1);
    Shrine delphi("Delphi");
    delphi.oracle.slow_ms = 40;
    Way way = to({delphi.address()});
    way.backup_delay = coil_ms(5);
    way.budget = &budget;
    std::vector<Call> calls(3);
    for (Call &call : calls)
        call.method = &oracle_look;
    run(&way, &calls);
    EXPECT_EQ(3u, answered(calls, "Delphi"));
    EXPECT_EQ(1u, way.backup.backup_count);
}

/* --------------------------------------------------------------------------- interceptors -- */

/* A channel that counts, and adds to the question of whoever asks. */
struct Scribe {
    coil_thrift_channel channel;
    coil_thrift_channel *next;
    int calls;
    int failures;
};

async(int, write_down, (coil_thrift_invocation *) invocation)
{
    vars(Scribe *scribe; int rc);
    my->scribe = coil_container_of(invocation->channel, Scribe, channel);
    my->scribe->calls++;
    await(my->rc, coil_thrift_invoke(my->scribe->next, invocation));
    my->scribe->failures += my->rc < 0;
    return my->rc;
}

async(int, call_by_scribe, (Way *) way, (Scribe *) scribe, (Call *) call)
{
    vars(coil_thrift_pool *pool);
    my->pool = make_pool(way);
    defer(coil_thrift_pool_destroy(my->pool));
    scribe->channel.invoke = coil_handler(write_down, coil_thrift_invocation *);
    scribe->next = coil_thrift_pool_channel(my->pool);
    attempt(make_call(&scribe->channel, call));
    return 0;
}

TEST(ThriftChannel, CanBeAnInterceptor)
{
    const Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    Scribe scribe = {};
    Call call;
    EXPECT_EQ(0, coil_run(call_by_scribe(&way, &scribe, &call)));
    EXPECT_EQ("Delphi", call.answer);
    EXPECT_EQ(1, scribe.calls);
    EXPECT_EQ(0, scribe.failures);
}

} // namespace
