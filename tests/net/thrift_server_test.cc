/* SPDX-License-Identifier: MIT */
/* The server as good, bad and slow peers see it. */
#include "served.h"

#include <coil/shutdown.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace
{

using packet::field;
using packet::frame;
using packet::i16;
using packet::i32;
using packet::i8;
using packet::message;
using packet::repeat;
using packet::stop;
using packet::text;

/* ------------------------------------------------------------------------------ the service -- */

/* string echo(1: string text) */
async(int, echo, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &my->text);
    }
    coil_thrift_put_string(coil_thrift_reply(call), 0, my->text);
    return 0;
}

/* string echoLater(1: string text): the text is still there after an await. */
async(int, echo_later, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &my->text);
    }
    await(coil_sleep(coil_ms(20)));
    coil_thrift_put_string(coil_thrift_reply(call), 0, my->text);
    return 0;
}

/* void ignore(...): reads no argument, writes no reply. */
async(int, ignores, (coil_thrift_call *) call)
{
    vars();
    (void)call;
    return 0;
}

/* Fails before it has read the arguments. */
async(int, fails, (coil_thrift_call *) call)
{
    vars();
    (void)call;
    return -EIO;
}

/* Fails when it has begun its reply. */
async(int, fails_late, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_put_string(coil_thrift_reply(call), 0, coil_thrift_text_of("half of it"));
    return -ENOENT;
}

/* Finds the arguments to be nonsense. */
async(int, objects, (coil_thrift_call *) call)
{
    vars();
    (void)call;
    return -EBADMSG;
}

/* void throw() throws (1: Error error) */
async(int, throws, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_writer *reply = coil_thrift_reply(call);
    coil_thrift_put_struct(reply, 1);
    coil_thrift_put_string(reply, 1, coil_thrift_text_of("declared"));
    coil_thrift_write_stop(reply);
    return 0;
}

async(int, replies_too_much, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_writer *reply = coil_thrift_reply(call);
    static const char megabyte[1 << 20] = {};
    coil_thrift_put_list(reply, 0, COIL_THRIFT_STRING, 20);
    for (int i = 0; i < 20; i++)
        coil_thrift_write_string(reply, {megabyte, sizeof(megabyte)});
    return 0;
}

/* string big(): half a megabyte. */
async(int, replies_much, (coil_thrift_call *) call)
{
    vars();
    static const char bytes[1 << 19] = {};
    coil_thrift_put_string(coil_thrift_reply(call), 0, {bytes, sizeof(bytes)});
    return 0;
}

struct Echo {
    coil_thrift_service service;
    int told;
};

/* oneway void tell() */
async(int, told, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    coil_container_of(call->service, Echo, service)->told++;
    return 0;
}

async(int, told_and_fails, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    return -EIO;
}

async(int, second_echo, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_put_string(coil_thrift_reply(call), 0, coil_thrift_text_of("from the second"));
    return 0;
}

const coil_thrift_method echo_methods[] = {
        {"echo", coil_handler(echo, coil_thrift_call *), NULL},
        {"echoLater", coil_handler(echo_later, coil_thrift_call *), NULL},
        {"ignore", coil_handler(ignores, coil_thrift_call *), NULL},
        {"fail", coil_handler(fails, coil_thrift_call *), NULL},
        {"failLate", coil_handler(fails_late, coil_thrift_call *), NULL},
        {"object", coil_handler(objects, coil_thrift_call *), NULL},
        {"throw", coil_handler(throws, coil_thrift_call *), NULL},
        {"tooMuch", coil_handler(replies_too_much, coil_thrift_call *), NULL},
        {"much", coil_handler(replies_much, coil_thrift_call *), NULL},
        {"tell", coil_handler(told, coil_thrift_call *), NULL},
        {"tellAndFail", coil_handler(told_and_fails, coil_thrift_call *), NULL},
};

const coil_thrift_method second_methods[] = {
        {"echo", coil_handler(second_echo, coil_thrift_call *), NULL},
        {"onlySecond", coil_handler(second_echo, coil_thrift_call *), NULL},
};

class ThriftServer : public testing::Test
{
protected:
    explicit ThriftServer(const std::function<void(coil_thrift_server *)> &configure = nullptr)
        : served({&first.service, &second}, configure), peer(served.connected())
    {
    }

    Answer ask(const std::string &call)
    {
        EXPECT_TRUE(peer.send(frame(call)));
        return Answer(peer.receive_frame());
    }

    Echo first = {{"Echo", echo_methods, std::size(echo_methods)}, 0};
    coil_thrift_service second = {"Second", second_methods, std::size(second_methods)};
    Served served;
    Peer peer;
};

std::string echo_call(const std::string &word, int seqid = 7)
{
    return message(1, "echo", seqid) + field(11, 1) + text(word) + stop();
}

void expect_echo(Peer &peer, const std::string &word)
{
    ASSERT_TRUE(peer.send(frame(echo_call(word))));
    EXPECT_EQ(word, Answer(peer.receive_frame()).text);
}

/* A word of refusal, and then the end of this connection. */
void expect_turned_away(Peer &peer, int exception)
{
    const Answer answer(peer.receive_frame());
    EXPECT_EQ(COIL_THRIFT_EXCEPTION, answer.type);
    EXPECT_EQ(exception, answer.exception);
    EXPECT_FALSE(answer.what.empty());
    EXPECT_TRUE(peer.at_end());
}

/* ------------------------------------------------------------------------------- good peers -- */

TEST_F(ThriftServer, AnswersACallWithItsNameAndNumber)
{
    const Answer answer = ask(echo_call("hello", 12345));
    EXPECT_EQ(COIL_THRIFT_REPLY, answer.type);
    EXPECT_EQ("echo", answer.name);
    EXPECT_EQ(12345, answer.seqid);
    EXPECT_EQ("hello", answer.text);
}

TEST_F(ThriftServer, KeepsTheArgumentsUntilTheHandlerReturns)
{
    EXPECT_EQ("wait", ask(packet::call("echoLater", field(11, 1) + text("wait") + stop())).text);
}

TEST_F(ThriftServer, FindsAMethodInTheFirstServiceThatHasIt)
{
    EXPECT_EQ("one", ask(echo_call("one")).text);
    EXPECT_EQ("from the second", ask(packet::call("onlySecond", stop())).text);
}

TEST_F(ThriftServer, FindsAMultiplexedMethodInItsServiceAndRepliesWithTheBareName)
{
    const Answer answer = ask(packet::call("Second:echo", stop()));
    EXPECT_EQ("from the second", answer.text);
    EXPECT_EQ("echo", answer.name);
    EXPECT_EQ("x", ask(packet::call("Echo:echo", field(11, 1) + text("x") + stop())).text);
}

TEST_F(ThriftServer, DoesNotFindAMultiplexedMethodElsewhere)
{
    for (const char *name :
            {"Echo:onlySecond", "Third:echo", ":echo", "Echo:", ":", "Second:x:y"}) {
        const Answer answer = ask(packet::call(name, stop()));
        EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, answer.exception) << name;
    }
    expect_echo(peer, "still there");
}

TEST_F(ThriftServer, AnswersAnUnknownMethodWithAnExceptionAndGoesOn)
{
    const Answer answer = ask(packet::call("nope", field(11, 1) + text("x") + stop()));
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, answer.exception);
    EXPECT_EQ("unknown method 'nope'", answer.what);
    EXPECT_EQ(7, answer.seqid);
    EXPECT_EQ("nope", answer.name);
    expect_echo(peer, "still there");
    served.stop();
    EXPECT_EQ(1u, served.server.stats.exceptions);
    EXPECT_EQ(2u, served.server.stats.calls);
    EXPECT_EQ(0u, served.server.stats.protocol_errors);
}

TEST_F(ThriftServer, AnswersAVoidMethodWithAnEmptyResult)
{
    ASSERT_TRUE(peer.send(frame(packet::call("ignore", stop()))));
    EXPECT_EQ(packet::reply("ignore", stop()), peer.receive_frame());
}

TEST_F(ThriftServer, LetsAHandlerLeaveItsArgumentsUnread)
{
    const Answer answer = ask(packet::call("ignore", field(11, 1) + text("what for") + stop()));
    EXPECT_EQ(COIL_THRIFT_REPLY, answer.type);
    expect_echo(peer, "still there");
}

TEST_F(ThriftServer, AnswersAFailedHandlerWithAnInternalErrorAndGoesOn)
{
    const Answer answer = ask(packet::call("fail", field(11, 1) + text("unread") + stop()));
    EXPECT_EQ(COIL_THRIFT_INTERNAL_ERROR, answer.exception);
    EXPECT_EQ(std::string("fail failed: ") + coil_error_text(-EIO), answer.what);
    expect_echo(peer, "still there");
}

TEST_F(ThriftServer, DropsTheReplyThatAFailedHandlerHadBegun)
{
    const Answer answer = ask(packet::call("failLate", stop()));
    EXPECT_EQ(COIL_THRIFT_INTERNAL_ERROR, answer.exception);
    expect_echo(peer, "still there");
}

TEST_F(ThriftServer, AnswersAProtocolErrorOfTheHandlerAndGoesOn)
{
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, ask(packet::call("object", stop())).exception);
    expect_echo(peer, "still there");
}

TEST_F(ThriftServer, SendsADeclaredExceptionAsAReply)
{
    ASSERT_TRUE(peer.send(frame(packet::call("throw", stop()))));
    const std::string error = field(12, 1) + field(11, 1) + text("declared") + stop();
    EXPECT_EQ(packet::reply("throw", error + stop()), peer.receive_frame());
}

TEST_F(ThriftServer, AnswersAReplyThatIsTooLargeWithAnInternalError)
{
    EXPECT_EQ(COIL_THRIFT_INTERNAL_ERROR, ask(packet::call("tooMuch", stop())).exception);
    expect_echo(peer, "still there");
}

TEST_F(ThriftServer, NeverAnswersAOnewayMethod)
{
    const std::string silent =
            frame(message(4, "tell", 1) + stop())   /* as it should be, */
            + frame(message(1, "tell", 2) + stop()) /* as old clients do, */
            + frame(message(1, "tellAndFail", 3) + stop()) +
            frame(message(4, "tellAndFail", 4) + stop()) +
            frame(message(4, "nope", 5) + stop()) + /* and what only the caller calls oneway. */
            frame(message(4, "echo", 6) + stop()) + frame(message(4, "fail", 7) + stop());
    ASSERT_TRUE(peer.send(silent));
    const Answer answer = ask(echo_call("first reply", 8));
    EXPECT_EQ("first reply", answer.text);
    EXPECT_EQ(8, answer.seqid);
    served.stop();
    EXPECT_EQ(2, first.told);
}

TEST_F(ThriftServer, AnswersAThousandPipelinedCallsInOrder)
{
    std::string calls;
    for (int i = 0; i < 1000; i++)
        calls += frame(echo_call("call " + std::to_string(i), i));
    const Thread sender([&] { EXPECT_TRUE(peer.send(calls)); });
    for (int i = 0; i < 1000; i++) {
        const Answer answer(peer.receive_frame());
        ASSERT_EQ("call " + std::to_string(i), answer.text);
        ASSERT_EQ(i, answer.seqid);
    }
}

TEST_F(ThriftServer, TakesCallsAByteAtATime)
{
    for (const char byte : frame(echo_call("slowly")) + frame(echo_call("but surely"))) {
        ASSERT_TRUE(peer.send(std::string(1, byte)));
        std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    EXPECT_EQ("slowly", Answer(peer.receive_frame()).text);
    EXPECT_EQ("but surely", Answer(peer.receive_frame()).text);
}

TEST_F(ThriftServer, TakesAMegabyteInOneCall)
{
    expect_echo(peer, std::string(1 << 20, 'x'));
}

TEST_F(ThriftServer, AnswersBeforeItReadsTheEndOfTheStream)
{
    ASSERT_TRUE(peer.send(frame(echo_call("goodbye"))));
    peer.end();
    EXPECT_EQ("goodbye", Answer(peer.receive_frame()).text);
    EXPECT_TRUE(peer.at_end());
}

TEST_F(ThriftServer, DoesNotLetOneConnectionWaitForAnother)
{
    Peer slow = served.connected();
    ASSERT_TRUE(slow.send(frame(packet::call("echoLater", field(11, 1) + text("s") + stop()))));
    expect_echo(peer, "quick");
    EXPECT_FALSE(slow.readable_within(0));
    EXPECT_EQ("s", Answer(slow.receive_frame()).text);
}

TEST_F(ThriftServer, HoldsBackAPeerThatDoesNotRead)
{
    Peer greedy = served.connected();
    std::string calls;
    for (int i = 0; i < 40; i++)
        calls += frame(packet::call("much", stop()));
    ASSERT_TRUE(greedy.send(calls));
    for (int i = 0; i < 20; i++)
        expect_echo(peer, "meanwhile");
    for (int i = 0; i < 40; i++)
        ASSERT_EQ(1u << 19, Answer(greedy.receive_frame()).text.size());
}

TEST_F(ThriftServer, StopsWithConnectionsInEveryState)
{
    Peer idle = served.connected();
    Peer half = served.connected();
    ASSERT_TRUE(half.send(frame(echo_call("never")).substr(0, 20)));
    Peer busy = served.connected();
    ASSERT_TRUE(busy.send(frame(packet::call("echoLater", stop()))));
    Peer stuck = served.connected();
    ASSERT_TRUE(stuck.send(repeat(frame(packet::call("much", stop())), 40)));
    expect_echo(peer, "all are there");
    served.stop();
    EXPECT_EQ(0u, served.server.stats.open_connections);
    EXPECT_EQ(5u, served.server.stats.connections);
}

TEST_F(ThriftServer, StopsWithConnectionsThatHaveNotBegun)
{
    std::vector<Peer> peers;
    for (int i = 0; i < 50; i++)
        peers.push_back(served.connected());
    served.stop();
    EXPECT_EQ(0u, served.server.stats.open_connections);
}

TEST(ThriftServerWithALimit, LetsTheOthersWaitUntilThereIsRoom)
{
    coil_thrift_service service = {"Second", second_methods, std::size(second_methods)};
    coil_listen_options options = {};
    options.max_connections = 2;
    const Served served({&service}, nullptr, options);
    std::vector<Peer> peers;
    for (int i = 0; i < 3; i++) {
        peers.push_back(served.connected());
        ASSERT_TRUE(peers[i].send(frame(packet::call("echo", stop()))));
    }
    EXPECT_EQ("from the second", Answer(peers[0].receive_frame()).text);
    EXPECT_EQ("from the second", Answer(peers[1].receive_frame()).text);
    EXPECT_FALSE(peers[2].readable_within(100));
    peers[0].close();
    EXPECT_EQ("from the second", Answer(peers[2].receive_frame()).text);
}

/* -------------------------------------------------------------------------------- bad peers -- */

struct Hostile {
    const char *name;
    std::string bytes;
    int outcome; /* An exception type, after which the connection ends; or what follows. */
};

enum { GETS_A_REPLY = -1, GETS_UNKNOWN_METHOD = -2 };

std::string echo_of(const std::string &argument)
{
    return frame(packet::call("echo", argument));
}

std::vector<Hostile> hostile_packets()
{
    const int bad = COIL_THRIFT_PROTOCOL_ERROR;
    const int alien = COIL_THRIFT_INVALID_PROTOCOL;
    const int64_t huge = 0x7fffffff;
    const std::string unknown = stop() + stop();

    return {
            {"string of 2 GB", echo_of(field(11, 1) + i32(huge) + "12345678901234"), bad},
            {"string of negative size", echo_of(field(11, 1) + i32(-1) + stop()), bad},
            {"method name of 2 GB", frame(i32(0x80010001LL) + i32(huge) + "x"), bad},
            {"method name of 2 GB, old", frame(i32(huge) + "echo" + i8(1) + i32(1)), alien},
            {"frame of 0 bytes", i32(0), bad},
            {"frame of negative size", i32(-5), bad},
            {"frame of 200 MiB and silence", i32(200 << 20), bad},
            {"frame of 2 GB and silence", i32(huge) + "abc", bad},
            {"structs nested 200000 deep",
                    frame(packet::call("echo", repeat(field(12, 2), 200000))), bad},
            {"structs nested 70 deep", echo_of(repeat(field(12, 2), 70) + repeat(stop(), 71)), bad},
            {"structs nested 60 deep", echo_of(repeat(field(12, 2), 60) + repeat(stop(), 61)),
                    GETS_A_REPLY},
            {"lists nested 70 deep",
                    echo_of(field(15, 2) + repeat(packet::list(15, 1), 70) + packet::list(3, 0) +
                            stop()),
                    bad},
            {"list of 2 G numbers", echo_of(field(15, 2) + packet::list(10, huge) + stop()), bad},
            {"list of negative count", echo_of(field(15, 2) + packet::list(10, -1) + stop()), bad},
            {"list of 2 G voids", echo_of(field(15, 2) + packet::list(1, huge) + stop()), bad},
            {"list of 1000 empty structs",
                    echo_of(field(15, 2) + packet::list(12, 1000) + repeat(stop(), 1001)),
                    GETS_A_REPLY},
            {"set of 2 G strings", echo_of(field(14, 2) + packet::list(11, huge) + stop()), bad},
            {"map of 2 G pairs", echo_of(field(13, 2) + packet::map(8, 8, huge) + stop()), bad},
            {"field of unknown type", echo_of(field(99, 2) + unknown), bad},
            {"argument of another type", echo_of(field(8, 1) + i32(5) + stop()), GETS_A_REPLY},
            {"message cut in a field", echo_of(field(11, 1) + i32(3) + "ab"), bad},
            {"message without end", echo_of(field(11, 1) + text("abc")), bad},
            {"bytes left over", echo_of(stop() + "left over"), bad},
            {"header before Thrift 0.2",
                    frame(packet::old_message(1, "echo", 7) + field(11, 1) + text("x") + stop()),
                    GETS_A_REPLY},
            {"unknown method", frame(packet::call("nope", stop())), GETS_UNKNOWN_METHOD},
            {"version 2", frame(i32(0x80020001LL) + text("echo") + i32(1) + stop()), bad},
            {"message of type 7", frame(message(7, "echo", 1) + stop()), bad},
            {"a reply", frame(packet::reply("echo", stop())), COIL_THRIFT_INVALID_MESSAGE_TYPE},
            {"an exception", frame(message(3, "echo", 1) + stop()),
                    COIL_THRIFT_INVALID_MESSAGE_TYPE},
            {"neither", "\xff\xff\xff\xff here\r\n\r\n", bad},
            {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
                    COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE},
    };
}

void expect_outcome(Peer &hostile, int outcome)
{
    if (outcome == GETS_A_REPLY) {
        EXPECT_EQ(COIL_THRIFT_REPLY, Answer(hostile.receive_frame()).type);
        expect_echo(hostile, "still there");
    } else if (outcome == GETS_UNKNOWN_METHOD) {
        EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, Answer(hostile.receive_frame()).exception);
        expect_echo(hostile, "still there");
    } else {
        expect_turned_away(hostile, outcome);
    }
}

/* What the process has ever used, in kB. */
long peak_memory_kb()
{
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        if (line.rfind("VmHWM:", 0) == 0)
            return std::stol(line.substr(6));
    }
    return 0;
}

TEST_F(ThriftServer, TurnsHostilePeersAwayWhileOthersGetAnswers)
{
    uint64_t turned_away = 0;
    for (const Hostile &hostile : hostile_packets()) {
        SCOPED_TRACE(hostile.name);
        Peer enemy = served.connected();
        ASSERT_TRUE(enemy.send(hostile.bytes));
        expect_echo(peer, hostile.name);
        expect_outcome(enemy, hostile.outcome);
        expect_echo(peer, hostile.name);
        turned_away += hostile.outcome >= 0;
    }
    EXPECT_GT(turned_away, 25u);
    served.stop();
    EXPECT_EQ(turned_away, served.server.stats.protocol_errors);
}

TEST_F(ThriftServer, DoesNotTakeAPeerAtItsWordForSizes)
{
    expect_echo(peer, "warm");
    const long before_kb = peak_memory_kb();
    std::vector<Peer> enemies;
    for (int i = 0; i < 60; i++) { /* Nearly a gigabyte, if they were believed. */
        enemies.push_back(served.connected());
        ASSERT_TRUE(enemies.back().send(i32(16000000) + "and no more"));
    }
    for (int i = 0; i < 60; i++) {
        enemies.push_back(served.connected());
        ASSERT_TRUE(enemies.back().send(echo_of(field(11, 1) + i32(0x7fffffff) + "0123456789")));
    }
    for (int i = 60; i < 120; i++)
        expect_turned_away(enemies[static_cast<size_t>(i)], COIL_THRIFT_PROTOCOL_ERROR);
    expect_echo(peer, "still there");
    EXPECT_LT(peak_memory_kb() - before_kb, 6 * 1024);
}

TEST_F(ThriftServer, SurvivesAPeerThatIsTurnedAwayAndStillSends)
{
    Peer enemy = served.connected();
    ASSERT_TRUE(enemy.send("\xff\xff\xff\xff"));
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, Answer(enemy.receive_frame()).exception);
    EXPECT_TRUE(enemy.send("and more of it"));
    expect_echo(peer, "meanwhile");
    EXPECT_TRUE(enemy.at_end());
    enemy.close();
    expect_echo(peer, "afterwards");
}

TEST_F(ThriftServer, SurvivesAPeerThatIsTurnedAwayAndDoesNotLeave)
{
    Peer enemy = served.connected();
    ASSERT_TRUE(enemy.send("GET / HTTP/1.1\r\n"));
    while (enemy.send(std::string(1 << 16, 'x'))) /* Until it has lost patience. */
        ;
    expect_echo(peer, "still there");
    EXPECT_TRUE(soon([&] {
        expect_echo(peer, "");
        return true;
    }));
}

TEST_F(ThriftServer, SurvivesAPeerThatLeavesInTheMiddle)
{
    const std::string call = frame(echo_call("never"));
    for (size_t size = 0; size < call.size(); size++) {
        Peer enemy = served.connected();
        ASSERT_TRUE(enemy.send(call.substr(0, size)));
        enemy.end();
        (void)enemy.receive_frame();
        EXPECT_TRUE(enemy.at_end());
    }
    expect_echo(peer, "still there");
    served.stop();
    EXPECT_EQ(call.size() - 1, served.server.stats.protocol_errors);
}

TEST_F(ThriftServer, SurvivesAPeerThatResetsTheConnection)
{
    for (int i = 0; i < 20; i++) {
        Peer enemy = served.connected();
        ASSERT_TRUE(enemy.send(repeat(frame(packet::call("much", stop())), 10)));
        const linger now = {1, 0};
        setsockopt(enemy.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        enemy.close();
        expect_echo(peer, "still there");
    }
}

/* ------------------------------------------------------------------------------ slow peers -- */

class ImpatientThriftServer : public ThriftServer
{
protected:
    ImpatientThriftServer()
        : ThriftServer([](coil_thrift_server *server) {
              server->idle_limit = coil_ms(600);
              server->frame_limit = coil_ms(50);
              server->reply_limit = coil_ms(250);
          })
    {
    }
};

TEST_F(ImpatientThriftServer, ClosesAFrameThatDoesNotGetReady)
{
    const std::string call = frame(echo_call("never"));
    for (const size_t size : {1u, 3u, 4u, 5u, 20u}) {
        Peer slow = served.connected();
        const auto start = std::chrono::steady_clock::now();
        ASSERT_TRUE(slow.send(call.substr(0, size)));
        EXPECT_TRUE(slow.at_end()) << size;
        EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(550)) << size;
    }
}

TEST_F(ImpatientThriftServer, ClosesAFrameThatBeganBehindACompleteOne)
{
    for (const size_t size : {1u, 3u, 4u, 20u}) {
        Peer slow = served.connected();
        const std::string call = frame(echo_call("answered"));
        ASSERT_TRUE(slow.send(call + call.substr(0, size)));
        EXPECT_EQ("answered", Answer(slow.receive_frame()).text);
        EXPECT_TRUE(slow.at_end()) << size;
    }
}

TEST_F(ImpatientThriftServer, DoesNotGiveMoreTimeForEveryByte)
{
    Peer slow = served.connected();
    const std::string call = frame(echo_call(std::string(1000, 'x')));
    const auto start = std::chrono::steady_clock::now();
    for (size_t i = 0; i < call.size() && !slow.readable_within(5); i++)
        slow.send(call.substr(i, 1));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(550));
}

TEST_F(ImpatientThriftServer, ClosesAConnectionThatDoesNotTakeItsReplies)
{
    Peer greedy = served.connected();
    ASSERT_TRUE(greedy.send(repeat(frame(packet::call("much", stop())), 40)));
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    expect_echo(peer, "meanwhile");
    int replies = 0;
    while (greedy.receive_frame().size() > 1u << 19)
        replies++;
    EXPECT_LT(replies, 40);
}

TEST_F(ImpatientThriftServer, ClosesAConnectionThatNeverReads)
{
    Peer deaf = served.connected();
    ASSERT_TRUE(deaf.send(repeat(frame(packet::call("much", stop())), 100)));
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_GT(50u << 20, deaf.receive(100u << 20).size());
}

TEST_F(ImpatientThriftServer, GivesTimeToAPeerThatTakesItsRepliesSlowly)
{
    Peer slow = served.connected();
    const size_t size = 10u << 19;
    ASSERT_TRUE(slow.send(repeat(frame(packet::call("much", stop())), 10)));
    slow.end();
    size_t got = 0;
    for (std::string part; got < size; got += part.size()) {
        part = slow.receive(128 * 1024);
        if (part.empty())
            break;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_LE(size, got);
}

TEST_F(ImpatientThriftServer, ClosesAConnectionThatIsIdleForTooLong)
{
    const auto start = std::chrono::steady_clock::now();
    expect_echo(peer, "once");
    EXPECT_TRUE(peer.at_end());
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(595));
}

TEST_F(ImpatientThriftServer, KeepsAConnectionThatIsBusy)
{
    for (int i = 0; i < 5; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        expect_echo(peer, "busy");
    }
}

/* ----------------------------------------------------------------------------------- the end -- */

struct Graceful {
    Echo echo = {{"Echo", echo_methods, std::size(echo_methods)}, 0};
    coil_thrift_service *services[1] = {&echo.service};
    coil_thrift_server server = {};
    std::promise<uint16_t> port;
    coil_loop *loop = nullptr;
    std::atomic<int> rc{1};
};

async(int, serve_gracefully, (Graceful *) self)
{
    vars(coil_listener *listener; int rc);

    my->rc = coil_listen("127.0.0.1:0", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    self->loop = coil_loop_of(coil_self);
    self->port.set_value(coil_address_port(coil_listener_address(my->listener)));
    await(my->rc, coil_thrift_serve_gracefully(my->listener, &self->server));
    self->rc = my->rc;
    return 0;
}

struct ShutdownMessage {
    coil_post post;
    coil_loop *loop;
};

TEST(ThriftServerAtItsEnd, AnswersTheCallsThatItHasAndClosesTheOthersAtOnce)
{
    Graceful graceful;
    graceful.server.services = graceful.services;
    graceful.server.service_count = 1;
    LoopThread thread([&](coil_group *root) { coil_spawn(root, serve_gracefully(&graceful)); });
    const uint16_t port = graceful.port.get_future().get();
    Peer idle = Peer::connected(port);
    Peer busy = Peer::connected(port);
    expect_echo(idle, "idle");
    expect_echo(busy, "busy");
    const std::string later = packet::call("echoLater", field(11, 1) + text("later") + stop());
    ASSERT_TRUE(busy.send(frame(later) + frame(later)));
    ShutdownMessage message = {{}, graceful.loop};
    message.post.run = [](coil_post *post) {
        coil_loop *loop = coil_container_of(post, ShutdownMessage, post)->loop;
        coil_shutdown_begin(coil_shutdown_of(loop), coil_s(100));
    };
    ASSERT_EQ(0, coil_loop_post(graceful.loop, &message.post));
    EXPECT_TRUE(idle.at_end());
    EXPECT_EQ("later", Answer(busy.receive_frame()).text);
    EXPECT_EQ("later", Answer(busy.receive_frame()).text);
    EXPECT_TRUE(busy.at_end());
    EXPECT_TRUE(soon([&] { return graceful.rc == 0; }));
    thread.stop();
    EXPECT_EQ(0u, graceful.server.stats.open_connections);
    EXPECT_EQ(4u, graceful.server.stats.calls);
}

} // namespace
