/* SPDX-License-Identifier: MIT */
/* Calls that end otherwise than with a reply in their turn, and those that come behind them. */
#include "thrift_gates.h"

#include <cerrno>
#include <mutex>

namespace
{

/* A call by HTTP: the answer to a oneway one is empty. */
std::string post(const char *method, int seqid)
{
    const std::string call = message(1, method, seqid) + stop();
    return "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: " + std::to_string(call.size()) +
           "\r\n\r\n" + call;
}

/* The name in the reply of the next response; "-" if that is empty, "" if there is none. */
std::string next_response(Peer &peer)
{
    std::string head;

    while (head.find("\r\n\r\n") == std::string::npos) {
        const std::string letter = peer.receive(1);
        if (letter.empty())
            return "";
        head += letter;
    }
    EXPECT_EQ("200", head.substr(9, 3));
    const size_t size = std::stoul(head.substr(head.find("Content-Length:") + 15));
    return size == 0 ? "-" : Answer(peer.receive(size)).name;
}

/* ------------------------------------------------------------------------------ oneway calls -- */

TEST_F(Calls, ThatAreOnewayMayBeginAReplyBehindOneThatWaits)
{
    ASSERT_TRUE(peer.send(
            call("hold", "first", 1) + call("echo", "dropped", 2, 4) + call("echo", "third", 3)));
    await_begun(1);
    gates.is_open = true;
    expect_text(peer, "first");
    expect_text(peer, "third");
    peer.end();
    EXPECT_TRUE(peer.at_end()); /* None is left that the connection would wait for. */
}

TEST_F(Calls, BehindOneThatTurnsOutToBeOnewayDoNotWaitForIt)
{
    ASSERT_TRUE(peer.send(call("noteLate", "", 1) + call("echo", "next", 2)));
    expect_text(peer, "next");
    EXPECT_EQ(0, gates.noted);
    gates.is_open = true;
    EXPECT_TRUE(soon([&] { return gates.noted == 1; }));
}

#if COIL_HAS_HTTP

TEST_F(Calls, OfHttpAreAnsweredInOrderOnewayOnesToo)
{
    ASSERT_TRUE(peer.send(post("hold", 1) + post("tell", 2) + post("echo", 3) + post("tell", 4) +
                          post("echo", 5)));
    await_begun(1);
    ASSERT_TRUE(soon([&] { return gates.noted == 2; }));
    gates.is_open = true;
    for (const char *name : {"hold", "-", "echo", "-", "echo"})
        EXPECT_EQ(name, next_response(peer));
    peer.end();
    EXPECT_TRUE(peer.at_end());
}

class CallsInAHurry : public Calls
{
protected:
    CallsInAHurry() : Calls([](coil_thrift_server *server) { server->frame_limit = coil_ms(100); })
    {
    }
};

TEST_F(CallsInAHurry, AreToldToGoOnBehindTheRepliesBeforeThem)
{
    const std::string careful = post("echo", 2);
    const size_t head_size = careful.find("\r\n\r\n") + 2;
    ASSERT_TRUE(peer.send(
            post("hold", 1) + careful.substr(0, head_size) + "Expect: 100-continue\r\n\r\n"));
    await_begun(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    gates.is_open = true;
    EXPECT_EQ("hold", next_response(peer));
    const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
    EXPECT_EQ(interim, peer.receive(interim.size()));
    ASSERT_TRUE(peer.send(careful.substr(head_size + 2)));
    EXPECT_EQ("echo", next_response(peer));
    peer.end();
    EXPECT_TRUE(peer.at_end());
}

class OneCallAtATime : public Calls
{
protected:
    OneCallAtATime()
        : Calls([](coil_thrift_server *server) {
              server->calls_max = 1;
              server->queue_limit = coil_s(60);
          })
    {
    }
};

TEST_F(OneCallAtATime, SaysThatAOnewayCallHasComeWhenItHasItsTurn)
{
    Peer first = served.connected();
    ASSERT_TRUE(first.send(call("hold", "", 1)));
    await_begun(1);
    ASSERT_TRUE(peer.send(post("note", 1)));
    first.close();
    EXPECT_EQ("-", next_response(peer));
    EXPECT_EQ(0, gates.noted);
    gates.is_open = true;
    EXPECT_TRUE(soon([&] { return gates.noted == 1; }));
}

class CallsOfLittleMemory : public Calls
{
protected:
    CallsOfLittleMemory() : Calls([](coil_thrift_server *server) { server->arena_max = 1000; }) {}
};

TEST_F(CallsOfLittleMemory, AreRefusedIfTheirMessageIsTooLargeForIt)
{
    const std::string large =
            message(1, "echo", 1) + field(11, 1) + text(std::string(2000, 'x')) + stop();
    ASSERT_TRUE(peer.send("POST / HTTP/1.1\r\nHost: here\r\nContent-Length: " +
                          std::to_string(large.size()) + "\r\n\r\n" + large + post("echo", 2)));
    EXPECT_EQ("", next_response(peer)); /* An exception, which cannot say of what. */
    EXPECT_EQ("echo", next_response(peer));
}

TEST_F(CallsOfLittleMemory, AreRefusedIfTheirNameIsTooLargeForIt)
{
    const std::string escapes = packet::repeat("\\u0041", 2000);
    ASSERT_TRUE(peer.send(frame("[1,\"" + escapes + "\",1,7,{}]") + frame("[1,\"echo\",1,8,{}]")));
    EXPECT_EQ(0u, peer.receive_frame().find("[1,\"\",3,0,{"));
    EXPECT_EQ(0u, peer.receive_frame().find("[1,\"echo\",2,8,{"));
}

/* ------------------------------------------------------------------------ what is no message -- */

/* What observers have seen of calls: how they came, their names and headers. */
struct Seen {
    coil_thrift_observer observer = {};
    std::mutex lock;
    std::vector<std::string> lines;
};

std::string seen_text(const coil_thrift_call *call)
{
    coil_thrift_headers headers = call->headers;
    coil_thrift_header header;
    std::string text = std::to_string(call->transport) + " " +
                       std::string(call->message.name.bytes, call->message.name.size);

    while (coil_thrift_headers_next(&headers, &header))
        text += " " + std::string(header.name.bytes, header.name.size);
    return text;
}

Seen seen;

class SeenCalls : public Calls
{
protected:
    SeenCalls()
        : Calls([](coil_thrift_server *server) {
              seen.observer.ended = [](coil_thrift_observer *observer, const coil_thrift_call *call,
                                            const coil_thrift_outcome *) {
                  Seen *self = coil_container_of(observer, Seen, observer);
                  const std::lock_guard<std::mutex> guard(self->lock);
                  self->lines.push_back(seen_text(call));
              };
              server->observer = &seen.observer;
              server->arena_max = 1000;
          })
    {
    }
};

TEST_F(SeenCalls, HaveNothingOfThoseBeforeThem)
{
    const std::string large = "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2000\r\n\r\n" +
                              message(1, "echo", 1) + field(11, 1) + text(std::string(2000, 'x')) +
                              stop();
    ASSERT_TRUE(peer.send(post("echo", 1)));
    EXPECT_EQ("echo", next_response(peer));
    ASSERT_TRUE(peer.send(large.substr(0, large.find("\r\n\r\n") + 4 + 2000)));
    EXPECT_EQ("", next_response(peer));
    Peer other = served.connected();
    ASSERT_TRUE(other.send(frame("!this is no message")));
    EXPECT_EQ(COIL_THRIFT_INVALID_PROTOCOL, Answer(other.receive_frame()).exception);
    served.stop();
    const std::vector<std::string> expected = {
            std::to_string(COIL_THRIFT_TRANSPORT_HTTP) + " echo host content-length",
            std::to_string(COIL_THRIFT_TRANSPORT_HTTP) + " ",
            std::to_string(COIL_THRIFT_TRANSPORT_FRAMED) + " "};
    EXPECT_EQ(expected, seen.lines);
}

#endif

/* ---------------------------------------------------------------------------- large answers -- */

/* Answers to calls of getCounters that have been made, or given up. */
struct Made {
    coil_thrift_observer observer;
    std::atomic<int> answers{0};
    std::atomic<int> errors{0};
};

void count_made(coil_thrift_observer *observer, const coil_thrift_call *call,
        const coil_thrift_outcome *outcome)
{
    Made *made = coil_container_of(observer, Made, observer);
    if (coil_thrift_text_is(call->message.name, "getCounters"))
        (outcome->error == 0 ? made->answers : made->errors)++;
}

/* There before the server, which tells it. */
struct Observing {
    Made made = {{count_made}, {}, {}};
};

/* Those that fb303 makes: a peer has one of them made at a time. */
class LargeAnswers : protected Observing, public Calls
{
protected:
    explicit LargeAnswers(coil_duration call_limit = 0)
        : Calls([observer = &made.observer, call_limit](coil_thrift_server *server) {
              server->observer = observer;
              server->call_limit = call_limit;
          })
    {
    }

    static std::string counters(int seqid)
    {
        return call("getCounters", "", seqid);
    }

    /* All calls that were sent before this one are under way, if they can be. */
    void await_all_read()
    {
        ASSERT_TRUE(peer.send(call("tell", "", 9, 4)));
        ASSERT_TRUE(soon([&] { return gates.noted == 1; }));
    }

    void expect_answers(const std::string &method, int count)
    {
        for (int i = 0; i < count; i++)
            EXPECT_EQ(method, Answer(peer.receive_frame()).name);
    }
};

TEST_F(LargeAnswers, BehindOneThatWaitsKeepNobodyFromReading)
{
    ASSERT_TRUE(peer.send(call("hold", "first", 1) + counters(2) + call("open", "", 3)));
    expect_text(peer, "first");
    expect_answers("getCounters", 1);
    expect_answers("open", 1);
}

TEST_F(LargeAnswers, AreNotMadeBeforeTheyCanLeave)
{
    std::string many = call("hold", "first", 1);
    for (int i = 0; i < 40; i++)
        many += counters(2) + call("echo", "word", 3) + counters(4);
    ASSERT_TRUE(peer.send(many));
    await_all_read();
    EXPECT_EQ(0, made.answers);
    gates.is_open = true;
    expect_text(peer, "first");
    for (int i = 0; i < 40; i++) {
        expect_answers("getCounters", 1);
        expect_text(peer, "word");
        expect_answers("getCounters", 1);
    }
    ASSERT_TRUE(peer.send(call("echo", "last", 5)));
    expect_text(peer, "last");
}

TEST_F(LargeAnswers, ThatNobodyWaitsForAreNotMade)
{
    ASSERT_TRUE(peer.send(call("hold", "", 1) + counters(2) + counters(3)));
    await_all_read();
    peer.close();
    EXPECT_TRUE(soon([&] { return made.errors == 2; }));
    EXPECT_EQ(0, made.answers);
}

TEST_F(LargeAnswers, ThatAreOnewayWaitForNoTurn)
{
    ASSERT_TRUE(peer.send(call("hold", "first", 1) + call("getCounters", "", 2, 4) +
                          call("getCounters", "", 3, 4)));
    EXPECT_TRUE(soon([&] { return made.answers == 2; }));
    gates.is_open = true;
    expect_text(peer, "first");
}

class HurriedLargeAnswers : public LargeAnswers
{
protected:
    HurriedLargeAnswers() : LargeAnswers(coil_ms(50)) {}
};

TEST_F(HurriedLargeAnswers, AreGivenUpInTime)
{
    ASSERT_TRUE(peer.send(call("hold", "", 1) + counters(2) + counters(3)));
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(COIL_THRIFT_EXCEPTION, Answer(peer.receive_frame()).type);
    EXPECT_EQ(2, made.errors);
    ASSERT_TRUE(peer.send(counters(4)));
    expect_answers("getCounters", 1);
}

/* ------------------------------------------------------------------------- nobody who reads -- */

class OneCallOfAConnection : public Calls
{
protected:
    OneCallOfAConnection()
        : Calls([](coil_thrift_server *server) { server->connection_calls_max = 1; })
    {
    }
};

TEST_F(OneCallOfAConnection, ThatWaitsDoesNotHoldBackTheReplyBeforeIt)
{
    ASSERT_TRUE(peer.send(call("echo", "first", 1) + call("hold", "second", 2)));
    await_begun(1);
    EXPECT_TRUE(peer.readable_within(5000));
    gates.is_open = true;
    expect_text(peer, "first");
    expect_text(peer, "second");
}

/* --------------------------------------------------------------------------------- the queue -- */

class QueuedCalls : public Calls
{
protected:
    QueuedCalls()
        : Calls([this](coil_thrift_server *server) {
              rules[0].method = coil_thrift_service_method(&gates.service, "holdReply");
              rules[0].calls_max = 1;
              server->rules = rules;
              server->rule_count = 1;
              server->calls_max = 2;
              server->queue_max = 100;
              server->queue_limit = coil_s(60);
          })
    {
    }

    /* Two that wait: nothing else is started. */
    void fill(Peer &with)
    {
        const int before = gates.begun;
        ASSERT_TRUE(with.send(call("hold", "a", 1) + call("hold", "b", 2)));
        await_begun(before + 2);
    }
};

TEST_F(QueuedCalls, HaveTheirTurnThoughThoseBeforeThemNeedNotWait)
{
    std::string all;
    for (int i = 0; i < 20; i++)
        all += call("echo", std::to_string(i), i);
    fill(peer);
    Peer other = served.connected();
    ASSERT_TRUE(other.send(all));
    EXPECT_FALSE(other.readable_within(20));
    gates.is_open = true;
    for (int i = 0; i < 20; i++)
        expect_text(other, std::to_string(i));
    served.stop();
    EXPECT_GE(2u, served.server.stats.most_waiting);
    EXPECT_EQ(0u, served.server.stats.queued_calls);
}

TEST_F(QueuedCalls, HaveTheirTurnWhenOnlyOneThatWaitsHasLeft)
{
    Peer leaving = served.connected();
    fill(leaving);
    Peer other = served.connected();
    ASSERT_TRUE(other.send(call("tell", "", 1, 4) + call("refuse", "", 2) + call("echo", "x", 3) +
                           call("hold", "y", 4) + call("hold", "z", 5) + call("echo", "end", 6)));
    EXPECT_FALSE(other.readable_within(20));
    leaving.close();
    EXPECT_EQ(77, Answer(other.receive_frame()).exception);
    expect_text(other, "x");
    await_begun(4);
    gates.is_open = true;
    for (const char *word : {"y", "z", "end"})
        expect_text(other, word);
}

TEST_F(QueuedCalls, AreNotMoreOfAMethodThanMayWait)
{
    fill(peer);
    Peer other = served.connected();
    ASSERT_TRUE(other.send(call("holdReply", "one", 1) + call("holdReply", "too many", 2)));
    EXPECT_FALSE(other.readable_within(20));
    peer.close(); /* Both are started, then. */
    await_begun(3);
    EXPECT_TRUE(soon([&] { return gates.cancelled == 2; }));
    gates.is_open = true;
    expect_text(other, "one");
    EXPECT_EQ(COIL_THRIFT_LOADSHEDDING, Answer(other.receive_frame()).exception);
}

TEST_F(QueuedCalls, ThatNobodyWaitsForDoNotHoldUpTheAnswersBehindThem)
{
    fill(peer);
    Peer leaving = served.connected();
    ASSERT_TRUE(leaving.send(call("hold", "queued", 1) + call("nobody", "", 2)));
    leaving.end();
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, Answer(leaving.receive_frame()).exception);
    EXPECT_TRUE(leaving.at_end());
}

class HurriedQueue : public Calls
{
protected:
    HurriedQueue()
        : Calls([this](coil_thrift_server *server) {
              rules[0].method = coil_thrift_service_method(&gates.service, "echo");
              rules[0].call_limit = coil_ms(20);
              server->rules = rules;
              server->rule_count = 1;
              server->calls_max = 1;
              server->queue_limit = coil_s(60);
          })
    {
    }
};

TEST_F(HurriedQueue, EndsTheCallsWhoseTimeIsOver)
{
    ASSERT_TRUE(peer.send(call("hold", "a", 1)));
    await_begun(1);
    Peer other = served.connected();
    ASSERT_TRUE(other.send(call("echo", "late", 1)));
    EXPECT_EQ(COIL_THRIFT_TIMEOUT, Answer(other.receive_frame()).exception);
    served.stop();
    EXPECT_EQ(1u, served.server.stats.timed_out);
    EXPECT_EQ(0u, served.server.stats.queued_calls);
}

} // namespace
