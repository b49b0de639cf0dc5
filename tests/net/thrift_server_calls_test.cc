/* SPDX-License-Identifier: MIT */
/* Calls side by side: their order, their limits, their ends, and who is told of them. */
#include "thrift_gates.h"

#include <cerrno>
#include <mutex>

namespace
{

/* ------------------------------------------------------------------------------ side by side -- */

TEST_F(Calls, OfOneConnectionRunSideBySideAndAreAnsweredInOrder)
{
    ASSERT_TRUE(peer.send(call("hold", "first", 1) + call("echo", "second", 2) +
                          call("hold", "third", 3) + call("open", "", 4)));
    expect_text(peer, "first");
    expect_text(peer, "second");
    expect_text(peer, "third");
    EXPECT_EQ("open", Answer(peer.receive_frame()).name);
}

TEST_F(Calls, MayHaveBegunTheirRepliesWhenOthersAreAnswered)
{
    ASSERT_TRUE(peer.send(call("echo", "zeroth", 0) + call("holdReply", "first", 1) +
                          call("holdReply", "second", 2) + call("echo", "third", 3) +
                          call("open", "", 4)));
    for (const char *word : {"zeroth", "first", "second", "third"})
        expect_text(peer, word);
    EXPECT_EQ(4, Answer(peer.receive_frame()).seqid);
}

TEST_F(Calls, ThatAreOnewayHoldNobodyUp)
{
    ASSERT_TRUE(peer.send(call("note", "", 1) + call("note", "", 2, 4) + call("echo", "next", 3)));
    expect_text(peer, "next");
    ASSERT_TRUE(peer.send(call("open", "", 4)));
    EXPECT_EQ(4, Answer(peer.receive_frame()).seqid);
    EXPECT_TRUE(soon([&] { return gates.noted == 2; }));
}

TEST_F(Calls, ComeInHundredsThroughOneConnection)
{
    enum { COUNT = 1000 }; /* More than may be under way at once. */
    std::string all;
    for (int i = 0; i < COUNT; i++)
        all += call(i % 3 == 0 ? "hold" : "echo", std::to_string(i), i);
    const Thread sender([&] { EXPECT_TRUE(peer.send(all)); });
    Peer opener = served.connected();
    await_begun((128 + 2) / 3);
    ASSERT_TRUE(opener.send(call("open", "", 1)));
    for (int i = 0; i < COUNT; i++) {
        const Answer answer(peer.receive_frame());
        ASSERT_EQ(std::to_string(i), answer.text);
        ASSERT_EQ(i, answer.seqid);
    }
}

class UnorderedCalls : public Calls
{
protected:
    UnorderedCalls() : Calls([](coil_thrift_server *server) { server->out_of_order = true; }) {}
};

TEST_F(UnorderedCalls, AreAnsweredWhenTheyAreDone)
{
    ASSERT_TRUE(peer.send(call("hold", "slow", 1) + call("echo", "quick", 2)));
    const Answer quick(peer.receive_frame());
    EXPECT_EQ(2, quick.seqid);
    ASSERT_TRUE(peer.send(call("open", "", 3)));
    EXPECT_EQ(3, Answer(peer.receive_frame()).seqid);
    EXPECT_EQ(1, Answer(peer.receive_frame()).seqid);
}

/* -------------------------------------------------------------------------------- their ends -- */

TEST_F(Calls, AreCancelledWhenTheirClientLeavesButForOnewayOnes)
{
    Peer leaving = served.connected();
    ASSERT_TRUE(leaving.send(call("hold", "a", 1) + call("hold", "b", 2) + call("note", "", 3, 4)));
    await_begun(3);
    leaving.close();
    EXPECT_TRUE(soon([&] { return gates.cancelled == 2; }));
    ASSERT_TRUE(peer.send(call("open", "", 1)));
    EXPECT_EQ("open", Answer(peer.receive_frame()).name);
    EXPECT_TRUE(soon([&] { return gates.noted == 1; }));
    served.stop();
    EXPECT_EQ(2, gates.cancelled);
    EXPECT_EQ(2u, served.server.stats.cancelled);
    EXPECT_EQ(0u, served.server.stats.waiting_calls);
}

class HalfOpenCalls : public Calls
{
protected:
    HalfOpenCalls() : Calls([](coil_thrift_server *server) { server->half_open = true; }) {}
};

TEST_F(HalfOpenCalls, AreAnsweredToAPeerThatHasEndedItsSide)
{
    ASSERT_TRUE(peer.send(call("hold", "a", 1) + call("echo", "b", 2)));
    peer.end();
    await_begun(1);
    Peer opener = served.connected();
    ASSERT_TRUE(opener.send(call("open", "", 1)));
    expect_text(peer, "a");
    expect_text(peer, "b");
    EXPECT_TRUE(peer.at_end());
}

TEST_F(Calls, EndWithTheServer)
{
    ASSERT_TRUE(peer.send(call("hold", "a", 1) + call("holdReply", "b", 2) + call("echo", "c", 3)));
    await_begun(2);
    served.stop();
    EXPECT_EQ(2, gates.cancelled);
    EXPECT_EQ(0u, served.server.stats.open_connections);
    EXPECT_EQ(2u, served.server.stats.cancelled);
}

TEST_F(Calls, MayFailInWordsOfTheirOwn)
{
    ASSERT_TRUE(peer.send(call("refuse", "", 1)));
    const Answer answer(peer.receive_frame());
    EXPECT_EQ(77, answer.exception);
    EXPECT_EQ("not today", answer.what);
    ASSERT_TRUE(peer.send(call("echo", "on", 2)));
    expect_text(peer, "on");
}

TEST_F(Calls, CountAsExceptionsIfThatIsWhatTheyAreAnsweredWith)
{
    ASSERT_TRUE(peer.send(call("refuse", "", 1) + call("refuse", "", 2, COIL_THRIFT_ONEWAY) +
                          call("echo", "done", 3)));
    EXPECT_EQ(77, Answer(peer.receive_frame()).exception);
    expect_text(peer, "done");
    Peer browser = served.connected();
    ASSERT_TRUE(browser.send("DELETE / HTTP/1.1\r\n\r\n"));
    EXPECT_EQ("HTTP/1.1 ", browser.receive(9));
    browser.close();
    served.stop();
    EXPECT_EQ(3u, served.server.stats.calls);
    EXPECT_EQ(1u, served.server.stats.exceptions);
    EXPECT_EQ(1u, served.server.stats.protocol_errors);
}

TEST_F(Calls, AreAnsweredBeforeAPeerIsTurnedAway)
{
    ASSERT_TRUE(peer.send(call("hold", "due", 1) + "\xff\xff\xff\xff" + "nonsense"));
    await_begun(1);
    Peer opener = served.connected();
    ASSERT_TRUE(opener.send(call("open", "", 1)));
    expect_text(peer, "due");
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, Answer(peer.receive_frame()).exception);
    EXPECT_TRUE(peer.at_end());
}

/* A call whose arguments are cut, which is noticed while another one waits and the next is read. */
TEST_F(Calls, AreAnsweredBeforeAPeerIsTurnedAwayForOneThatWaits)
{
    for (const std::string &begun : {std::string(), call("echo", "begun", 3).substr(0, 10)}) {
        Peer own = served.connected();
        gates.is_open = false;
        gates.begun = 0;
        gates.noted = 0;
        ASSERT_TRUE(own.send(
                call("hold", "first", 1) +
                frame(message(1, "readLate", 2) + field(11, 1) + text("cut").substr(0, 5)) +
                begun));
        await_begun(1);
        ASSERT_TRUE(soon([&] { return gates.noted == 1; }));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_EQ(0, gates.cancelled);
        gates.is_open = true;
        expect_text(own, "first");
        const Answer refusal(own.receive_frame());
        EXPECT_EQ(2, refusal.seqid);
        EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, refusal.exception);
        own.end();
        EXPECT_TRUE(own.at_end());
    }
}

class LimitedCalls : public Calls
{
protected:
    LimitedCalls()
        : Calls([this](coil_thrift_server *server) {
              rules[0].method = coil_thrift_service_method(&gates.service, "holdReply");
              rules[0].calls_max = 1;
              rules[1].method = coil_thrift_service_method(&gates.service, "note");
              rules[1].call_limit = coil_ms(30);
              server->rules = rules;
              server->rule_count = 2;
              server->calls_max = 2;
              server->queue_max = 2;
              server->queue_limit = coil_s(60);
          })
    {
    }
};

TEST_F(LimitedCalls, WaitForTheirTurnAndAreRefusedBeyondThat)
{
    std::string all;
    for (int i = 0; i < 6; i++)
        all += call("hold", std::to_string(i), i);
    ASSERT_TRUE(peer.send(all)); /* Two wait in their handlers, two for these, two are refused. */
    await_begun(2);
    Peer other = served.connected();
    ASSERT_TRUE(other.send(call("echo", "refused, too", 9)));
    const Answer refused(other.receive_frame());
    EXPECT_EQ(COIL_THRIFT_LOADSHEDDING, refused.exception);
    EXPECT_EQ(0u, refused.what.find("overloaded"));
    gates.is_open = true;
    for (int i = 0; i < 4; i++)
        expect_text(peer, std::to_string(i));
    EXPECT_EQ(COIL_THRIFT_LOADSHEDDING, Answer(peer.receive_frame()).exception);
    EXPECT_EQ(COIL_THRIFT_LOADSHEDDING, Answer(peer.receive_frame()).exception);
    ASSERT_TRUE(other.send(call("echo", "on", 10)));
    expect_text(other, "on");
    served.stop();
    EXPECT_EQ(3u, served.server.stats.overloaded);
    EXPECT_EQ(2u, served.server.stats.most_waiting);
    EXPECT_EQ(0u, served.server.stats.queued_calls);
    EXPECT_EQ(4, gates.begun);
}

TEST_F(LimitedCalls, LeaveTheQueueWhenTheirClientLeaves)
{
    Peer leaving = served.connected();
    ASSERT_TRUE(peer.send(call("hold", "a", 1) + call("hold", "b", 2)));
    await_begun(2);
    ASSERT_TRUE(leaving.send(call("hold", "c", 1) + call("hold", "d", 2)));
    Peer other = served.connected(); /* It is refused when those two are in the queue. */
    EXPECT_TRUE(soon([&] {
        EXPECT_TRUE(other.send(call("hold", "e", 3)));
        return other.readable_within(10);
    }));
    leaving.close();
    gates.is_open = true;
    expect_text(peer, "a");
    expect_text(peer, "b");
}

TEST_F(LimitedCalls, AreBoundedByMethodAlready)
{
    ASSERT_TRUE(peer.send(call("holdReply", "a", 1) + call("holdReply", "b", 2)));
    await_begun(1);
    gates.is_open = true;
    expect_text(peer, "a");
    EXPECT_EQ(COIL_THRIFT_LOADSHEDDING, Answer(peer.receive_frame()).exception);
}

class HurriedCalls : public Calls
{
protected:
    HurriedCalls()
        : Calls([](coil_thrift_server *server) {
              server->call_limit = coil_ms(30);
              server->calls_max = 1;
              server->queue_limit = coil_ms(10);
          })
    {
    }
};

TEST_F(HurriedCalls, EndAtTheirDeadlineAndInTheQueue)
{
    ASSERT_TRUE(peer.send(call("hold", "a", 1) + call("hold", "b", 2)));
    EXPECT_EQ(COIL_THRIFT_TIMEOUT, Answer(peer.receive_frame()).exception);
    EXPECT_EQ(COIL_THRIFT_LOADSHEDDING, Answer(peer.receive_frame()).exception);
    ASSERT_TRUE(peer.send(call("echo", "on", 3)));
    expect_text(peer, "on");
    served.stop();
    EXPECT_EQ(1u, served.server.stats.timed_out);
    EXPECT_EQ(1, gates.cancelled);
}

/* ----------------------------------------------------------------------- who does not read -- */

class CallsOfTheDeaf : public Calls
{
protected:
    CallsOfTheDeaf()
        : Calls([](coil_thrift_server *server) { server->connection_unsent_max = 1 << 20; })
    {
    }
};

TEST_F(CallsOfTheDeaf, AreNotReadWhileTheirRepliesAreNotTaken)
{
    Peer deaf = served.connected();
    std::string all;
    for (int i = 0; i < 200; i++)
        all += call("much", "", i);
    ASSERT_TRUE(deaf.send(all)); /* 50 MB of replies. */
    for (int i = 0; i < 50; i++) {
        ASSERT_TRUE(peer.send(call("echo", "meanwhile", i)));
        expect_text(peer, "meanwhile");
    }
    for (int i = 0; i < 200; i++)
        ASSERT_EQ(i, Answer(deaf.receive_frame()).seqid);
}

/* ------------------------------------------------------------------------------- who is told -- */

struct Log {
    coil_thrift_interceptor outer = {};
    coil_thrift_interceptor inner = {};
    coil_thrift_observer observer = {};
    std::mutex lock;
    std::vector<std::string> lines;

    void add(const std::string &line)
    {
        const std::lock_guard<std::mutex> guard(lock);
        lines.push_back(line);
    }
};

Log log_book;

std::string outcome_text(const coil_thrift_call *call, const coil_thrift_outcome *outcome)
{
    return std::string(call->message.name.bytes, call->message.name.size) + " " +
           std::to_string(outcome->error) + " " + std::to_string(outcome->exception);
}

class ObservedCalls : public Calls
{
protected:
    ObservedCalls()
        : Calls([](coil_thrift_server *server) {
              log_book.lines.clear();
              log_book.outer = {&log_book.inner,
                      [](coil_thrift_interceptor *, coil_thrift_call *) {
                          log_book.add("outer");
                          return 0;
                      },
                      [](coil_thrift_interceptor *, coil_thrift_call *,
                              const coil_thrift_outcome *) { log_book.add("outer after"); }};
              log_book.inner = {nullptr,
                      [](coil_thrift_interceptor *, coil_thrift_call *call) {
                          log_book.add("inner");
                          return coil_thrift_text_is(call->message.name, "note")
                                         ? coil_thrift_fail(call, 99, "not you")
                                         : 0;
                      },
                      [](coil_thrift_interceptor *, coil_thrift_call *,
                              const coil_thrift_outcome *) { log_book.add("inner after"); }};
              log_book.observer.ended = [](coil_thrift_observer *, const coil_thrift_call *call,
                                                const coil_thrift_outcome *outcome) {
                  log_book.add(outcome_text(call, outcome));
                  if (outcome->error == 0 && outcome->exception < 0) {
                      EXPECT_LT(0u, outcome->received_bytes);
                      EXPECT_LE(0, outcome->latency);
                      const coil_address address = coil_thrift_call_address(call);
                      EXPECT_EQ(AF_INET, address.storage.ss_family);
                  }
              };
              server->interceptors = &log_book.outer;
              server->observer = &log_book.observer;
          })
    {
    }
};

TEST_F(ObservedCalls, PassAllInterceptorsAndAreReportedOnce)
{
    ASSERT_TRUE(peer.send(call("echo", "a", 1)));
    expect_text(peer, "a");
    ASSERT_TRUE(peer.send(call("note", "", 2)));
    const Answer refused(peer.receive_frame());
    EXPECT_EQ(99, refused.exception);
    EXPECT_EQ("not you", refused.what);
    ASSERT_TRUE(peer.send(call("unknown", "", 3)));
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, Answer(peer.receive_frame()).exception);
    served.stop();
    const std::vector<std::string> expected = {"outer", "inner", "inner after", "outer after",
            "echo 0 -1", "outer", "inner", "inner after", "outer after",
            "note " + std::to_string(-EREMOTEIO) + " 99",
            "unknown " + std::to_string(-ENOSYS) + " 1"};
    EXPECT_EQ(expected, log_book.lines);
}

TEST_F(ObservedCalls, AreReportedWhenTheyAreCancelled)
{
    ASSERT_TRUE(peer.send(call("hold", "a", 1)));
    await_begun(1);
    peer.close();
    EXPECT_TRUE(soon([&] { return gates.cancelled == 1; }));
    served.stop();
    const std::vector<std::string> expected = {"outer", "inner", "inner after", "outer after",
            "hold " + std::to_string(-ECANCELED) + " -1"};
    EXPECT_EQ(expected, log_book.lines);
}

} // namespace
