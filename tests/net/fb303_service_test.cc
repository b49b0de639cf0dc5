/* SPDX-License-Identifier: MIT */
#include "served.h"

#include <coil/fb303_service.h>

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace
{

using packet::frame;
using packet::message;
using packet::stop;

std::string string_of(coil_thrift_text text)
{
    return std::string(text.bytes, text.size);
}

/* What one call gave. */
struct Reply {
    int rc = 0;
    std::string text;
    int64_t number = 0;
    std::map<std::string, int64_t> numbers;
    std::map<std::string, std::string> texts;
    size_t pair_count = 0;
};

async(int, ask_all, (const char *) address, (const std::vector<coil_fb303_call> *) calls,
        (std::vector<Reply> *) replies)
{
    vars(coil_thrift_client *client; size_t i; coil_fb303_result result; int rc);
    coil_fb303_pair pair;

    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < calls->size(); my->i++) {
        await(my->rc, coil_fb303_ask(my->client, &(*calls)[my->i], &my->result));
        replies->emplace_back();
        Reply *reply = &replies->back();
        reply->rc = my->rc;
        if (my->rc < 0)
            continue;
        reply->text = string_of(my->result.text);
        reply->number = my->result.number;
        reply->pair_count = my->result.pair_count;
        while (coil_fb303_next_pair(&my->result, &pair)) {
            reply->numbers[string_of(pair.name)] = pair.number;
            reply->texts[string_of(pair.name)] = string_of(pair.text);
        }
    }
    return 0;
}

std::vector<Reply> ask(const Served &served, const std::vector<coil_fb303_call> &calls)
{
    std::vector<Reply> replies;
    EXPECT_EQ(0, coil_run(ask_all(served.address.c_str(), &calls, &replies)));
    return replies;
}

coil_fb303_call call_of(enum coil_fb303_method method, const char *key = "")
{
    coil_fb303_call call = {};
    call.method = method;
    call.key = coil_thrift_text_of(key);
    call.value = coil_thrift_text_of("");
    return call;
}

coil_fb303_call call_of(enum coil_fb303_method method, const std::vector<coil_thrift_text> &keys)
{
    coil_fb303_call call = call_of(method);
    call.keys = keys.data();
    call.key_count = static_cast<uint32_t>(keys.size());
    return call;
}

/* void work(): fails if it is asked twice. */
async(int, work, (coil_thrift_call *) call)
{
    vars();
    return call->message.seqid % 2 == 0 ? -EINVAL : 0;
}

const coil_thrift_method work_methods[] = {
        {"work", coil_handler(work, coil_thrift_call *), nullptr}};

class Fb303Default : public testing::Test
{
protected:
    coil_thrift_service worker = {"Worker", work_methods, 1};
};

TEST_F(Fb303Default, EveryServerSaysWhatItDoes)
{
    Served served({&worker});
    Peer peer = served.connected();
    for (int seqid = 1; seqid <= 10; seqid++) {
        ASSERT_TRUE(peer.send(frame(message(1, "work", seqid) + stop())));
        (void)peer.receive_frame();
    }
    ASSERT_TRUE(peer.send(frame(message(1, "play", 11) + stop())));
    (void)peer.receive_frame();

    std::vector<Reply> replies =
            ask(served, {call_of(COIL_FB303_GET_NAME), call_of(COIL_FB303_GET_STATUS),
                                call_of(COIL_FB303_GET_COUNTERS),
                                call_of(COIL_FB303_GET_COUNTER, "Worker.work.num_calls.sum.600")});
    ASSERT_EQ(4U, replies.size());
    EXPECT_EQ("Worker", replies[0].text);
    EXPECT_EQ(COIL_FB303_ALIVE, replies[1].number);
    EXPECT_EQ(10, replies[3].number);

    const std::map<std::string, int64_t> &counters = replies[2].numbers;
    EXPECT_EQ(counters.size(), replies[2].pair_count); /* No name is there twice. */
    EXPECT_EQ(10, counters.at("Worker.work.num_calls.sum.60"));
    EXPECT_EQ(10, counters.at("Worker.work.num_calls.sum"));
    EXPECT_EQ(5, counters.at("Worker.work.num_exceptions.sum.3600"));
    EXPECT_EQ(5, counters.at("Worker.work.num_errors.sum"));
    EXPECT_EQ(10, counters.at("Worker.work.latency_us.count.60"));
    EXPECT_GE(counters.at("Worker.work.latency_us.p99.60"),
            counters.at("Worker.work.latency_us.p50.60"));
    EXPECT_GT(counters.at("Worker.work.received_bytes.sum"), 100);
    EXPECT_GT(counters.at("Worker.work.sent_bytes.sum"), 100);
    EXPECT_EQ(1, counters.at("thrift.unknown_calls.sum.60"));
    EXPECT_EQ(2, counters.at("thrift.current_connections"));
    EXPECT_EQ(2, counters.at("thrift.accepted_connections.sum"));
    EXPECT_EQ(13, counters.at("thrift.queue_us.count"));
    EXPECT_GT(counters.at("process.resident_memory_bytes"), 1000000);
    EXPECT_EQ(0U, counters.count("Worker.play.num_calls.sum"));
}

TEST_F(Fb303Default, MeasuresItsLoopIfItIsToldTo)
{
    Served without({&worker});
    EXPECT_EQ(0U, ask(without, {call_of(COIL_FB303_GET_COUNTERS)})[0].numbers.count("loop.tasks"));
    Served served({&worker}, [](coil_thrift_server *server) { server->measures_loop = true; });
    std::vector<Reply> replies =
            ask(served, {call_of(COIL_FB303_GET_NAME), call_of(COIL_FB303_GET_NAME),
                                call_of(COIL_FB303_GET_COUNTERS)});
    const std::map<std::string, int64_t> &counters = replies[2].numbers;
    EXPECT_GE(counters.at("loop.turns.sum"), 3);
    EXPECT_GE(counters.at("loop.lag_us.count"), 3);
    EXPECT_GE(counters.at("loop.lag_us.p99.9"), counters.at("loop.lag_us.p50"));
    EXPECT_GE(counters.at("loop.tasks"), 2);
}

TEST_F(Fb303Default, AnswersUnderBothNames)
{
    Served served({&worker});
    Peer peer = served.connected();
    for (const char *name : {"FacebookService:getName", "BaseService:getName", "getName"}) {
        ASSERT_TRUE(peer.send(frame(message(1, name, 1) + stop())));
        EXPECT_EQ("Worker", Answer(peer.receive_frame()).text) << name;
    }
}

TEST_F(Fb303Default, AnswersForAServiceThatMayExtendIt)
{
    Served served({&worker});
    Peer peer = served.connected();
    ASSERT_TRUE(peer.send(frame(message(1, "Worker:getName", 1) + stop())));
    EXPECT_EQ("Worker", Answer(peer.receive_frame()).text);
    for (const char *name : {"Worker:play", "Nobody:getName"}) {
        ASSERT_TRUE(peer.send(frame(message(1, name, 2) + stop())));
        EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, Answer(peer.receive_frame()).exception) << name;
    }
}

TEST_F(Fb303Default, CanBeSwitchedOff)
{
    Served served({&worker}, [](coil_thrift_server *server) { server->without_fb303 = true; });
    Peer peer = served.connected();
    ASSERT_TRUE(peer.send(frame(message(1, "getName", 1) + stop())));
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, Answer(peer.receive_frame()).exception);
}

TEST_F(Fb303Default, RefusesToShutDown)
{
    Served served({&worker});
    const std::vector<Reply> replies =
            ask(served, {call_of(COIL_FB303_SHUTDOWN), call_of(COIL_FB303_REINITIALIZE),
                                call_of(COIL_FB303_GET_COUNTERS)});
    EXPECT_EQ(1, replies[2].numbers.at("FacebookService.shutdown.num_errors.sum"));
    EXPECT_EQ(1, replies[2].numbers.at("FacebookService.reinitialize.num_errors.sum"));
}

class Fb303Asked : public Fb303Default
{
protected:
    Fb303Asked()
    {
        coil_fb303_service_init(&fb303, "tester", "1.0");
    }
    ~Fb303Asked() override
    {
        coil_fb303_service_fini(&fb303);
    }

    coil_fb303_service fb303 = {};
};

TEST_F(Fb303Asked, IsGivenTheMetricsOfItsServer)
{
    Served served({&worker, &fb303.thrift});
    const std::vector<Reply> replies =
            ask(served, {call_of(COIL_FB303_GET_NAME), call_of(COIL_FB303_GET_COUNTERS)});
    EXPECT_EQ("tester", replies[0].text);
    EXPECT_EQ(1, replies[1].numbers.at("FacebookService.getName.num_calls.sum"));
}

/* --------------------------------------------------------------- several who serve, one loop -- */

/* Two listeners, each with a server of its own; or the second's is a coil_server, of sessions. */
struct Two {
    coil_thrift_server first = {};
    coil_thrift_server second = {};
    bool by_sessions = false; /* Both by the first. */
    std::promise<uint16_t> ports[2];
    std::atomic<bool> first_may_end{false};
    std::atomic<bool> first_has_ended{false};
};

thread_local Two *two_of_this_thread;

async(int, serve_one_session, (coil_session *) session)
{
    vars();
    attempt(coil_thrift_serve_session(session, &two_of_this_thread->first));
    return 0;
}

async(int, serve_first, (coil_listener *) listener, (Two *) two)
{
    vars(coil_group serving);

    open_group(&my->serving);
    coil_spawn(&my->serving, coil_thrift_serve(listener, &two->first));
    while (!two->first_may_end)
        await(coil_sleep(coil_ms(1)));
    coil_group_cancel(&my->serving);
    ignore(coil_group_join(&my->serving));
    two->first_has_ended = true;
    return 0;
}

async(int, serve_second, (coil_listener *) listener, (Two *) two)
{
    vars(coil_server server);

    if (!two->by_sessions) {
        attempt(coil_thrift_serve(listener, &two->second));
        return 0;
    }
    two_of_this_thread = two;
    coil_server_init(&my->server, coil_handler(serve_one_session, coil_session *));
    defer(coil_server_fini(&my->server));
    coil_server_add(&my->server, listener);
    attempt(coil_server_serve(&my->server));
    return 0;
}

async(int, serve_two, (Two *) two)
{
    vars(coil_listener *listeners[2]; coil_group serving; int i);

    for (my->i = 0; my->i < 2; my->i++) {
        if (coil_listen("127.0.0.1:0", nullptr, &my->listeners[my->i]) < 0)
            return -EIO;
        two->ports[my->i].set_value(coil_address_port(coil_listener_address(my->listeners[my->i])));
    }
    defer(coil_listener_close(my->listeners[0]));
    defer(if (!two->by_sessions) coil_listener_close(my->listeners[1])); /* Else it has been. */
    open_group(&my->serving);
    coil_spawn(&my->serving, serve_first(my->listeners[0], two));
    coil_spawn(&my->serving, serve_second(my->listeners[1], two));
    attempt(coil_group_join(&my->serving));
    return 0;
}

class Fb303OfTwo : public Fb303Asked
{
protected:
    void serve(bool by_sessions)
    {
        for (coil_thrift_server *server : {&two.first, &two.second}) {
            server->services = services;
            server->service_count = 2;
        }
        two.by_sessions = by_sessions;
        thread = std::make_unique<LoopThread>(
                [this](coil_group *root) { coil_spawn(root, serve_two(&two)); });
        for (int i = 0; i < 2; i++)
            peers.push_back(Peer::connected(two.ports[i].get_future().get()));
    }

    void end_first()
    {
        two.first_may_end = true;
        ASSERT_TRUE(soon([&] { return two.first_has_ended.load(); }));
    }

    static void work(Peer *peer, int times)
    {
        for (int i = 0; i < times; i++) {
            ASSERT_TRUE(peer->send(frame(message(1, "work", 1) + stop())));
            EXPECT_EQ(COIL_THRIFT_REPLY, Answer(peer->receive_frame()).type);
        }
    }

    /* How often it was called, says fb303; -1: it does not say. */
    static int64_t worked(Peer *peer)
    {
        const std::string name = "Worker.work.num_calls.sum";
        if (!peer->send(frame(message(1, "getCounters", 1) + stop())))
            return -1;
        const std::string reply = peer->receive_frame();
        const size_t at = reply.find(packet::text(name));
        if (at == std::string::npos)
            return -1;
        return static_cast<unsigned char>(reply[at + 4 + name.size() + 7]);
    }

    coil_thrift_service *services[2] = {&worker, &fb303.thrift};
    Two two;
    std::vector<Peer> peers;
    std::unique_ptr<LoopThread> thread;
};

TEST_F(Fb303OfTwo, TellsOfTheServerThatIsAsked)
{
    serve(/* by_sessions= */ false);
    work(&peers[0], 5);
    work(&peers[1], 3);
    EXPECT_EQ(5, worked(&peers[0]));
    EXPECT_EQ(3, worked(&peers[1]));
    end_first();
    EXPECT_TRUE(peers[0].at_end());
    EXPECT_EQ(3, worked(&peers[1]));
    thread->stop();
}

TEST_F(Fb303OfTwo, IsThereForSessionsWhenNobodyElseServesAnyMore)
{
    services[1] = &worker; /* The server's own fb303 is asked. */
    serve(/* by_sessions= */ true);
    work(&peers[0], 2);
    work(&peers[1], 1);
    EXPECT_EQ(3, worked(&peers[1]));
    std::string many;
    for (int i = 0; i < 50; i++)
        many += frame(message(1, "getCounters", i) + stop());
    ASSERT_TRUE(peers[1].send(many));
    end_first();
    EXPECT_TRUE(peers[0].at_end());
    for (int i = 0; i < 50; i++)
        EXPECT_LT(1000u, peers[1].receive_frame().size());
    EXPECT_EQ(3, worked(&peers[1]));
    thread->stop();
    EXPECT_EQ(nullptr, two.first.fb303);
}

TEST_F(Fb303Asked, GivesTheCountersOfAPattern)
{
    (void)coil_fb303_service_count(&fb303, "Worker.eggs", 3);
    Served served({&worker, &fb303.thrift});
    const std::vector<Reply> replies = ask(served,
            {call_of(COIL_FB303_GET_NAME),
                    call_of(COIL_FB303_GET_REGEX_COUNTERS,
                            "(.*\\.)?(eggs|getName\\.num_calls\\.sum)"),
                    call_of(COIL_FB303_GET_REGEX_COUNTERS, "eggs"),
                    call_of(COIL_FB303_GET_REGEX_COUNTERS, "(eggs"),
                    call_of(COIL_FB303_GET_REGEX_COUNTERS, ""), call_of(COIL_FB303_GET_NAME)});
    EXPECT_EQ((std::map<std::string, int64_t>{
                      {"Worker.eggs", 3}, {"FacebookService.getName.num_calls.sum", 1}}),
            replies[1].numbers);
    EXPECT_EQ(0U, replies[2].pair_count); /* The whole name has to match. */
    EXPECT_EQ(-EREMOTEIO, replies[3].rc);
    EXPECT_EQ(0U, replies[4].pair_count);
    EXPECT_EQ("tester", replies[5].text);
}

TEST_F(Fb303Asked, GivesTheCountersThatAreNamed)
{
    (void)coil_fb303_service_count(&fb303, "eggs", 3);
    Served served({&worker, &fb303.thrift});
    const std::vector<coil_thrift_text> keys = {coil_thrift_text_of("eggs"),
            coil_thrift_text_of("nothing"), coil_thrift_text_of(""),
            coil_thrift_text_of("thrift.current_connections")};
    const std::vector<coil_thrift_text> many(
            COIL_FB303_KEY_COUNT_MAX + 1, coil_thrift_text_of("eggs"));
    const std::vector<Reply> replies =
            ask(served, {call_of(COIL_FB303_GET_SELECTED_COUNTERS, keys),
                                call_of(COIL_FB303_GET_SELECTED_COUNTERS),
                                call_of(COIL_FB303_GET_SELECTED_COUNTERS, many)});
    EXPECT_EQ((std::map<std::string, int64_t>{{"eggs", 3}, {"thrift.current_connections", 1}}),
            replies[0].numbers);
    EXPECT_EQ(0U, replies[1].pair_count);
    EXPECT_EQ(-EREMOTEIO, replies[2].rc);
}

TEST_F(Fb303Asked, GivesExportedValues)
{
    EXPECT_EQ(0, coil_fb303_service_set_value(&fb303, "build", "abc"));
    EXPECT_EQ(0, coil_fb303_service_set_value(&fb303, "build", "abcd"));
    EXPECT_EQ(0, coil_fb303_service_set_value(&fb303, "branch", "main"));
    EXPECT_EQ(-ENOSPC, coil_fb303_service_set_value(&fb303, "long",
                               std::string(COIL_FB303_TEXT_BYTES_MAX + 1, 'x').c_str()));
    Served served({&fb303.thrift});
    const std::vector<coil_thrift_text> keys = {
            coil_thrift_text_of("branch"), coil_thrift_text_of("thrift.current_connections")};
    const std::vector<Reply> replies =
            ask(served, {call_of(COIL_FB303_GET_EXPORTED_VALUES),
                                call_of(COIL_FB303_GET_SELECTED_EXPORTED_VALUES, keys),
                                call_of(COIL_FB303_GET_REGEX_EXPORTED_VALUES, "bu.*"),
                                call_of(COIL_FB303_GET_EXPORTED_VALUE, "build"),
                                call_of(COIL_FB303_GET_EXPORTED_VALUE, "nothing")});
    using Texts = std::map<std::string, std::string>;
    EXPECT_EQ((Texts{{"build", "abcd"}, {"branch", "main"}}), replies[0].texts);
    EXPECT_EQ((Texts{{"branch", "main"}}), replies[1].texts);
    EXPECT_EQ((Texts{{"build", "abcd"}}), replies[2].texts);
    EXPECT_EQ("abcd", replies[3].text);
    EXPECT_EQ("", replies[4].text);
}

async(int, get_counter_from, (const char *) address, (const char *) name, (int64_t *) value)
{
    vars(coil_thrift_client *client);
    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    attempt(coil_fb303_get_counter(my->client, name, value));
    return 0;
}

TEST_F(Fb303Asked, IsAskedForOneCounter)
{
    (void)coil_fb303_service_count(&fb303, "eggs", 3);
    Served served({&fb303.thrift});
    int64_t value = 0;
    EXPECT_EQ(0, coil_run(get_counter_from(served.address.c_str(), "eggs", &value)));
    EXPECT_EQ(3, value);
}

/*
 * Patterns that others' engines need years for, over more names than a real service has, from one
 * client; another one asks meanwhile, and gets its answers.
 */
TEST_F(Fb303Asked, WorksInPiecesOnHostilePatterns)
{
    coil_metrics metrics;
    coil_metrics_init(&metrics, 0);
    for (int i = 0; i < 400; i++) {
        const std::string name = "a" + std::string(100, 'a') + std::to_string(i);
        coil_metric_about about = {};
        about.name = name.c_str();
        ASSERT_NE(nullptr, coil_metrics_counter(&metrics, &about));
    }
    fb303.metrics = &metrics;
    Served served({&fb303.thrift});
    std::vector<std::string> patterns = {"(a*)*(a*)*(a*)*b", "(.*){100}x", "((a+)+)+$b"};
    Peer attacker = served.connected();
    for (const std::string &text : patterns) {
        ASSERT_TRUE(attacker.send(frame(message(1, "getRegexCounters", 1) + packet::field(11, 1) +
                                        packet::text(text) + stop())));
    }
    for (int i = 0; i < 20; i++)
        EXPECT_EQ("tester", ask(served, {call_of(COIL_FB303_GET_NAME)})[0].text);
    int refused = 0;
    for (size_t i = 0; i < patterns.size(); i++) {
        const Answer answer(attacker.receive_frame());
        refused += answer.exception == COIL_THRIFT_INTERNAL_ERROR ? 1 : 0;
    }
    EXPECT_GE(refused, 1); /* Too much work in all. */
    served.stop();
    coil_metrics_fini(&metrics);
}

} // namespace
