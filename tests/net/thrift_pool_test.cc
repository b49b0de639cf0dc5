/* SPDX-License-Identifier: MIT */
/* Calls over pools of connections, to servers that come, go and are slow. */
#include "thrift_ways.h"

namespace
{

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

void send_to(coil_thrift_pool *pool, const std::vector<std::string> &texts)
{
    std::vector<coil_address> addresses(texts.size());
    for (size_t i = 0; i < texts.size(); i++)
        EXPECT_EQ(0, coil_address_parse(texts[i].c_str(), &addresses[i]));
    EXPECT_EQ(0, coil_thrift_pool_set_addresses(
                         pool, addresses.data(), static_cast<unsigned>(addresses.size())));
}

/* So many that the memory of one more that goes is that of the next one that comes. */
std::vector<std::string> addresses_that_go()
{
    std::vector<std::string> texts;
    for (int i = 1; i <= 16; i++)
        texts.push_back("127.0.0." + std::to_string(i) + ":1");
    return texts;
}

/* Calls that nobody answers, and one more when that address has gone and another has come. */
async(int, change_address, (const coil_thrift_pool_options *) options,
        (std::unique_ptr<PeerListener> *) silent, (const char *) other, (std::vector<Call> *) calls)
{
    vars(coil_thrift_pool *pool; size_t i);

    EXPECT_EQ(0, coil_thrift_pool_create(coil_loop_current(), nullptr, options, &my->pool));
    defer(coil_thrift_pool_destroy(my->pool));
    send_to(my->pool, addresses_that_go());
    send_to(my->pool, {(*silent)->address});
    for (my->i = 0; my->i + 1 < calls->size(); my->i++)
        attempt(make_call(coil_thrift_pool_channel(my->pool), &(*calls)[my->i]));
    silent->reset(); /* It resets the connection, and nobody uses what was for it any more. */
    while (coil_thrift_pool_statistics(my->pool).live > 0)
        await(coil_sleep(coil_ms(1)));
    send_to(my->pool, {other});
    attempt(make_call(coil_thrift_pool_channel(my->pool), &calls->back()));
    return 0;
}

TEST(ThriftPool, TrustsAnAddressThatComesInThePlaceOfABadOne)
{
    const Shrine delphi("Delphi");
    auto silent = std::make_unique<PeerListener>();
    coil_thrift_pool_options options = {};
    options.breaker.calls_min = 3;
    options.breaker.open_duration = coil_s(100);
    options.connections_max = 1;
    std::vector<Call> calls(5);
    for (size_t i = 0; i < 4; i++)
        calls[i].timeout = coil_ms(10);
    EXPECT_EQ(0, coil_run(change_address(&options, &silent, delphi.address(), &calls)));
    EXPECT_EQ(-EHOSTDOWN, calls[3].rc);
    EXPECT_EQ(1u, answered(calls, "Delphi"));
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
