/* SPDX-License-Identifier: MIT */
/* Many calls on one connection, to servers that do what they like. */
#include "oracle_calls.h"

#include <coil/thrift_pipeline.h>

#include <random>

namespace
{

struct Session {
    const char *address;
    coil_thrift_pipeline_options options;
    std::vector<Call> *calls;
    bool is_serial; /* One after the other. */
    int rc;         /* Of the connection. */
    std::string what;
    coil_thrift_pipeline_stats stats;
};

async(int, keep_running, (coil_thrift_pipeline *) pipeline, (Session *) session)
{
    vars();
    session->rc = -ECANCELED;
    await(session->rc, coil_thrift_pipeline_run(pipeline));
    return 0;
}

void expect_balance(const coil_thrift_pipeline_stats &stats)
{
    EXPECT_EQ(stats.calls, stats.answered + stats.abandoned + stats.failed + stats.in_flight);
    EXPECT_EQ(0u, stats.in_flight);
    EXPECT_EQ(0u, stats.waiting);
}

async(int, make_calls, (coil_thrift_pipeline *) pipeline, (Session *) session)
{
    vars(coil_group callers; size_t i);

    open_group(&my->callers);
    for (my->i = 0; my->i < session->calls->size(); my->i++) {
        if (session->is_serial)
            attempt(make_call(&pipeline->channel, &(*session->calls)[my->i]));
        else
            spawn(&my->callers, make_call(&pipeline->channel, &(*session->calls)[my->i]));
    }
    attempt(coil_group_join(&my->callers));
    return 0;
}

async(int, converse, (Session *) session)
{
    vars(coil_stream *stream; coil_thrift_pipeline pipeline; coil_group group);

    attempt(my->stream, coil_connect(session->address));
    defer(coil_stream_close(my->stream));
    EXPECT_EQ(0, coil_thrift_pipeline_init(&my->pipeline, my->stream, &session->options));
    defer(coil_thrift_pipeline_fini(&my->pipeline));
    open_group(&my->group);
    spawn(&my->group, keep_running(&my->pipeline, session));
    attempt(make_calls(&my->pipeline, session));
    coil_thrift_pipeline_finish(&my->pipeline);
    session->what = coil_thrift_pipeline_what(&my->pipeline);
    attempt(coil_group_join(&my->group));
    session->stats = my->pipeline.stats;
    expect_balance(session->stats);
    return 0;
}

class ThriftPipeline : public testing::Test
{
protected:
    void run(const std::function<void(Peer &)> &serves)
    {
        const Thread server([&] {
            Peer peer = listener.accepted();
            serves(peer);
        });
        session.address = listener.address.c_str();
        session.calls = &calls;
        EXPECT_EQ(0, coil_run(converse(&session)));
    }

    void ask(const char *question, coil_duration timeout = 0)
    {
        Call call;
        call.question = question;
        call.timeout = timeout;
        calls.push_back(call);
    }

    /* One call, and the answer is these bytes. */
    void get(const std::string &answer)
    {
        calls.clear();
        ask("question");
        run([&](Peer &peer) {
            (void)peer.receive_frame();
            peer.send(answer);
            peer.end();
            (void)peer.at_end();
        });
    }

    PeerListener listener;
    std::vector<Call> calls;
    Session session = {};
};

TEST_F(ThriftPipeline, SendsWhatWasPutAndReadsTheReply)
{
    std::string call;
    ask("question");
    run([&](Peer &peer) {
        call = peer.receive_frame();
        peer.send(frame(message(2, "ask", 1) + field(11, 0) + text("answer") + stop()));
        (void)peer.at_end();
    });
    EXPECT_EQ(0, calls[0].rc);
    EXPECT_EQ("answer", calls[0].answer);
    EXPECT_EQ(message(1, "ask", 1) + field(11, 1) + text("question") + stop(), call);
    EXPECT_EQ(0, session.rc);
    EXPECT_EQ("", session.what);
    EXPECT_EQ(1u, session.stats.answered);
}

TEST_F(ThriftPipeline, TellsRepliesByTheirNumbersInAnyOrder)
{
    ask("one");
    ask("two");
    ask("three");
    run([](Peer &peer) {
        const Question one = receive_question(peer);
        const Question two = receive_question(peer);
        const Question three = receive_question(peer);
        peer.send(answer_to(two, "2") + answer_to(three, "3") + answer_to(one, "1"));
    });
    EXPECT_EQ("1", calls[0].answer);
    EXPECT_EQ("2", calls[1].answer);
    EXPECT_EQ("3", calls[2].answer);
}

TEST_F(ThriftPipeline, SendsTheCallsOfOneTurnTogether)
{
    for (int i = 0; i < 50; i++)
        ask("all at once");
    const size_t frame_bytes = 4 + 4 + 7 + 4 + 3 + 4 + 11 + 1;
    run([=](Peer &peer) {
        char bytes[4096];
        ASSERT_TRUE(peer.readable_within(PATIENCE_MS));
        EXPECT_EQ(static_cast<ssize_t>(50 * frame_bytes), recv(peer.fd, bytes, sizeof(bytes), 0));
        for (int i = 1; i <= 50; i++)
            peer.send(frame(message(2, "ask", i) + field(11, 0) + text("yes") + stop()));
    });
    for (const Call &call : calls)
        EXPECT_EQ("yes", call.answer);
}

TEST_F(ThriftPipeline, TakesRepliesInSmallPieces)
{
    ask("one");
    ask("two");
    run([](Peer &peer) {
        const Question one = receive_question(peer);
        const Question two = receive_question(peer);
        for (const char byte : answer_to(two, "second") + answer_to(one, "first")) {
            peer.send(std::string(1, byte));
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    });
    EXPECT_EQ("first", calls[0].answer);
    EXPECT_EQ("second", calls[1].answer);
}

TEST_F(ThriftPipeline, GivesDeclaredExceptionsInTheResultAndOthersBesideIt)
{
    ask("one");
    ask("two");
    ask("three");
    run([](Peer &peer) {
        const Question one = receive_question(peer);
        const Question two = receive_question(peer);
        const Question three = receive_question(peer);
        peer.send(refusal_of(one, "not today") + exception_of("ask", two.seqid, "no idea") +
                  answer_to(three, "but this"));
    });
    EXPECT_EQ(-EREMOTEIO, calls[0].rc);
    EXPECT_EQ("not today", calls[0].why);
    EXPECT_EQ(-EREMOTEIO, calls[1].rc);
    EXPECT_EQ("no idea", calls[1].what);
    EXPECT_EQ("but this", calls[2].answer);
}

TEST_F(ThriftPipeline, TakesAnExceptionWithoutANumberForTheOldestCall)
{
    get(exception_of("", 0, "what?"));
    EXPECT_EQ(-EREMOTEIO, calls[0].rc);
    EXPECT_EQ("what?", calls[0].what);
}

TEST_F(ThriftPipeline, NoticesAReplyWithNeitherResultNorException)
{
    get(frame(message(2, "ask", 1) + stop()));
    EXPECT_EQ(-ENOMSG, calls[0].rc);
}

TEST_F(ThriftPipeline, CallsAVoidMethodAndTellsWithoutAReply)
{
    calls.resize(3);
    calls[0].method = &oracle_tell;
    calls[0].question = "secret";
    calls[1].method = &oracle_rest;
    calls[1].question = "";
    calls[2].method = &oracle_ask;
    calls[2].wants_result = false;
    run([](Peer &peer) {
        const Question told = receive_question(peer);
        EXPECT_EQ(4, told.type);
        EXPECT_EQ("tell", told.name);
        EXPECT_EQ("secret", told.text);
        const Question rest = receive_question(peer);
        peer.send(frame(message(2, "rest", rest.seqid) + stop()));
        peer.send(refusal_of(receive_question(peer), "nobody looks"));
    });
    EXPECT_EQ(0, calls[0].rc);
    EXPECT_EQ(0, calls[1].rc);
    EXPECT_EQ(-EREMOTEIO, calls[2].rc);
    EXPECT_EQ(1u, session.stats.oneways);
    EXPECT_EQ(2u, session.stats.calls);
}

TEST_F(ThriftPipeline, SurvivesTimedOutCallsAndDropsTheirReplies)
{
    ask("slow", coil_ms(20));
    ask("quick");
    calls.resize(3);
    calls[2].cancel_after = coil_ms(20);
    run([](Peer &peer) {
        const Question slow = receive_question(peer);
        const Question quick = receive_question(peer);
        const Question cancelled = receive_question(peer);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        peer.send(answer_to(cancelled, "late") + answer_to(slow, "late") + answer_to(quick, "ok"));
        (void)peer.at_end();
    });
    EXPECT_EQ(-ETIME, calls[0].rc);
    EXPECT_TRUE(calls[0].was_sent);
    EXPECT_EQ("ok", calls[1].answer);
    EXPECT_EQ(-ETIME, calls[2].rc);
    EXPECT_EQ(2u, session.stats.abandoned);
    EXPECT_EQ(2u, session.stats.late);
    EXPECT_EQ(0u, session.stats.unanswered);
    EXPECT_EQ(0, session.rc);
}

/* A request by HTTP, of which nothing is looked at. */
void receive_post(Peer &peer)
{
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos)
        head += peer.receive(1);
    (void)peer.receive(std::stoul(head.substr(head.find("Content-Length:") + 15)));
}

TEST_F(ThriftPipeline, TakesAnEmptyAnswerByHttpForTheOldestCall)
{
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    session.options.transport = COIL_THRIFT_TRANSPORT_HTTP;
    session.is_serial = true;
    ask("given up", coil_ms(20));
    ask("without an answer");
    ask("with one");
    run([&](Peer &peer) {
        receive_post(peer);
        receive_post(peer);
        peer.send(head + "0\r\n\r\n" + head + "0\r\n\r\n");
        receive_post(peer);
        const std::string body = message(2, "ask", 3) + field(11, 0) + text("answer") + stop();
        peer.send(head + std::to_string(body.size()) + "\r\n\r\n" + body);
        (void)peer.at_end();
    });
    EXPECT_EQ(-ETIME, calls[0].rc);
    EXPECT_EQ(-ENOMSG, calls[1].rc);
    EXPECT_TRUE(calls[1].was_sent);
    EXPECT_EQ("answer", calls[2].answer);
    EXPECT_EQ(1u, session.stats.late);
    EXPECT_EQ(2u, session.stats.answered);
    EXPECT_EQ(0u, session.stats.unanswered);
    EXPECT_EQ(0, session.rc);
}

TEST_F(ThriftPipeline, HasATimeoutForEachMethod)
{
    static const coil_thrift_timeout timeouts[] = {{"look", 20000000}, {nullptr, 30000000}};
    session.options.timeouts = timeouts;
    session.options.timeout_count = 2;
    calls.resize(3);
    calls[0].method = &oracle_look;
    calls[1].timeout = coil_s(10);
    run([](Peer &peer) {
        (void)receive_question(peer);
        const Question patient = receive_question(peer);
        (void)receive_question(peer);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        peer.send(answer_to(patient, "at last"));
    });
    EXPECT_EQ(-ETIME, calls[0].rc) << "its row";
    EXPECT_EQ("at last", calls[1].answer) << "its own";
    EXPECT_EQ(-ETIME, calls[2].rc) << "the row of the others";
}

TEST_F(ThriftPipeline, HasABoundOfCallsInFlight)
{
    session.options.calls_max = 2;
    for (const char *question : {"1", "2", "3", "4", "5"})
        ask(question);
    run([](Peer &peer) {
        std::vector<Question> asked = {receive_question(peer), receive_question(peer)};
        EXPECT_FALSE(peer.readable_within(20)) << "there is no room for another";
        peer.send(answer_to(asked[0], "yes"));
        asked.push_back(receive_question(peer));
        EXPECT_FALSE(peer.readable_within(20));
        peer.send(answer_to(asked[1], "yes") + answer_to(asked[2], "yes"));
        asked.push_back(receive_question(peer));
        asked.push_back(receive_question(peer));
        for (size_t i = 0; i < asked.size(); i++)
            EXPECT_EQ(std::to_string(i + 1), asked[i].text) << "in the order in which they came";
        peer.send(answer_to(asked[3], "yes") + answer_to(asked[4], "yes"));
    });
    for (const Call &call : calls)
        EXPECT_EQ("yes", call.answer);
}

TEST_F(ThriftPipeline, SendsNothingOfACallThatIsCancelledWhileItWaitsForRoom)
{
    session.options.calls_max = 1;
    ask("first");
    ask("impatient", coil_ms(20));
    ask("last");
    run([](Peer &peer) {
        const Question first = receive_question(peer);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        peer.send(answer_to(first, "yes"));
        const Question last = receive_question(peer);
        EXPECT_EQ("last", last.text);
        peer.send(answer_to(last, "yes"));
    });
    EXPECT_EQ(-ETIME, calls[1].rc);
    EXPECT_FALSE(calls[1].was_sent);
    EXPECT_EQ("yes", calls[2].answer);
    EXPECT_EQ(2u, session.stats.calls);
}

TEST_F(ThriftPipeline, HoldsAServerForDeadThatLeavesTooManyCallsUnanswered)
{
    session.options.unanswered_max = 3;
    for (int i = 0; i < 3; i++)
        ask("anybody?", coil_ms(10 + 10 * i));
    ask("still waiting");
    run([](Peer &peer) { (void)peer.receive(1000); });
    EXPECT_EQ(-ETIME, calls[0].rc);
    EXPECT_EQ(-ETIME, calls[2].rc);
    EXPECT_EQ(-ETIMEDOUT, calls[3].rc);
    EXPECT_EQ(-ETIMEDOUT, session.rc);
    EXPECT_EQ("the server has left too many calls unanswered", session.what);
}

TEST_F(ThriftPipeline, RefusesRepliesThatNobodyHasAskedForInWords)
{
    get(frame(message(2, "ask", 17) + field(11, 0) + text("x") + stop()));
    EXPECT_EQ(-EBADMSG, calls[0].rc);
    EXPECT_TRUE(calls[0].was_sent);
    EXPECT_EQ("a reply to call 17 of 'ask', which was never made, or has had its reply",
            session.what);
    get(frame(message(2, "look", 1) + field(11, 0) + text("x") + stop()));
    EXPECT_EQ("a reply to call 1 of 'look', which was of another method", session.what);
    get(frame(message(1, "ask", 1) + field(11, 0) + text("x") + stop()));
    EXPECT_EQ("a reply to call 1 of 'ask', which is itself a call", session.what);
}

TEST_F(ThriftPipeline, RefusesAReplyThatComesTwice)
{
    ask("one");
    ask("two");
    run([](Peer &peer) {
        const Question one = receive_question(peer);
        peer.send(answer_to(one, "1") + answer_to(one, "1"));
        (void)receive_question(peer);
        (void)peer.at_end();
    });
    EXPECT_EQ("1", calls[0].answer);
    EXPECT_EQ(-EBADMSG, calls[1].rc);
}

TEST_F(ThriftPipeline, ReportsAServerThatDoesNotSpeakThrift)
{
    get("HTTP/1.1 400 Bad Request\r\n\r\n");
    EXPECT_EQ(-EMSGSIZE, calls[0].rc);
    EXPECT_NE(std::string::npos, session.what.find("HTTP")) << session.what;
    get(i32(0));
    EXPECT_EQ(-EBADMSG, calls[0].rc);
    get(frame("\x82\x21\x01\x04 compact"));
    EXPECT_EQ(-EBADMSG, calls[0].rc);
}

TEST_F(ThriftPipeline, TakesAMalformedResultForTheErrorOfItsCallAlone)
{
    ask("one");
    ask("two");
    run([](Peer &peer) {
        const Question one = receive_question(peer);
        const Question two = receive_question(peer);
        peer.send(frame(message(2, "ask", one.seqid) + field(11, 0) + i32(1000) + stop()) +
                  answer_to(two, "2"));
        (void)peer.at_end();
    });
    EXPECT_EQ(-ENODATA, calls[0].rc);
    EXPECT_EQ("2", calls[1].answer);
    EXPECT_EQ(0, session.rc);
}

TEST_F(ThriftPipeline, BoundsWhatAResultMayTakeOfTheArena)
{
    calls.resize(2);
    calls[0].arena_bytes = 1000;
    run([](Peer &peer) {
        peer.send(answer_to(receive_question(peer), std::string(1000, 'x')));
        peer.send(answer_to(receive_question(peer), std::string(1000, 'x')));
    });
    EXPECT_EQ(-ENOBUFS, calls[0].rc);
    EXPECT_EQ(std::string(1000, 'x'), calls[1].answer);
}

TEST_F(ThriftPipeline, FailsAllCallsWhereverTheServerDies)
{
    const std::string both = frame(message(2, "ask", 1) + field(11, 0) + text("1") + stop()) +
                             frame(message(2, "ask", 2) + field(11, 0) + text("2") + stop());
    for (size_t size = 0; size < both.size(); size++) {
        calls.clear();
        ask("one");
        ask("two");
        run([&](Peer &peer) {
            (void)receive_question(peer);
            (void)receive_question(peer);
            peer.send(both.substr(0, size));
        });
        const bool is_between = size == 0 || size == both.size() / 2;
        EXPECT_EQ(is_between ? -ENOTCONN : -ENODATA, session.rc) << size;
        EXPECT_EQ(size < both.size() / 2 ? session.rc : 0, calls[0].rc) << size;
        EXPECT_EQ(session.rc, calls[1].rc) << size;
    }
}

TEST_F(ThriftPipeline, ReportsAServerThatResets)
{
    ask("one");
    run([](Peer &peer) {
        (void)peer.receive(6);
        const linger now = {1, 0};
        setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    });
    EXPECT_EQ(-ECONNRESET, calls[0].rc);
}

TEST_F(ThriftPipeline, RefusesCallsAfterTheEndAndSaysThatTheyWereNotSent)
{
    session.is_serial = true;
    ask("one");
    ask("two");
    run([](Peer &peer) { (void)receive_question(peer); });
    EXPECT_EQ(-ENOTCONN, calls[0].rc);
    EXPECT_TRUE(calls[0].was_sent);
    EXPECT_EQ(-ENOTCONN, calls[1].rc);
    EXPECT_FALSE(calls[1].was_sent);
}

TEST_F(ThriftPipeline, RefusesArgumentsThatAreTooLargeAndGoesOn)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 1000;
    session.options.limits = &limits;
    const std::string large(1000, 'x');
    ask(large.c_str());
    ask("small");
    run([](Peer &peer) { peer.send(answer_to(receive_question(peer), "yes")); });
    EXPECT_EQ(-EMSGSIZE, calls[0].rc);
    EXPECT_FALSE(calls[0].was_sent);
    EXPECT_EQ("yes", calls[1].answer);
}

TEST_F(ThriftPipeline, EndsIfACallInTheMiddleOfACompressedStreamCannotBeSent)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    std::mt19937 random(4711);
    std::string noise;

    limits.frame_max = 10000; /* With the noise in it the message is, and what becomes of it not. */
    while (noise.size() < 9975)
        noise += static_cast<char>(1 + random() % 255);
    session.options.limits = &limits;
    session.options.zlib_inside = true;
    session.is_serial = true;
    ask(noise.c_str());
    ask("another");
    run([](Peer &peer) { EXPECT_TRUE(peer.at_end()); });
    EXPECT_EQ(-EMSGSIZE, calls[0].rc);
    EXPECT_EQ(-ENOTCONN, calls[1].rc);
    EXPECT_FALSE(calls[1].was_sent);
    EXPECT_EQ(-EMSGSIZE, session.rc);
    EXPECT_EQ("the compressed stream has lost a call", session.what);
}

TEST_F(ThriftPipeline, WaitsWhileThePeerDoesNotRead)
{
    session.options.unsent_bytes_max = 1000;
    const std::string large(3 << 20, 'x');
    for (int i = 0; i < 4; i++)
        ask(large.c_str());
    run([&](Peer &peer) {
        for (int i = 0; i < 4; i++) {
            const Question question = receive_question(peer);
            EXPECT_EQ(large.size(), question.text.size());
            peer.send(answer_to(question, "yes"));
        }
    });
    for (const Call &call : calls)
        EXPECT_EQ("yes", call.answer);
}

TEST_F(ThriftPipeline, NamesTheServiceOfAServerWithSeveral)
{
    ask("one");
    ask("two");
    calls[0].service = calls[1].service = "Oracle";
    run([](Peer &peer) {
        Question one = receive_question(peer);
        EXPECT_EQ("Oracle:ask", one.name);
        Question two = receive_question(peer);
        one.name = "ask";
        peer.send(answer_to(one, "1") + answer_to(two, "2"));
    });
    EXPECT_EQ("1", calls[0].answer);
    EXPECT_EQ("2", calls[1].answer);
}

TEST_F(ThriftPipeline, RemembersManyNumbers)
{
    for (int i = 0; i < 1000; i++)
        ask("question");
    run([](Peer &peer) {
        std::vector<Question> all;
        for (int i = 0; i < 1000; i++)
            all.push_back(receive_question(peer));
        std::string answers;
        for (size_t i = all.size(); i-- > 0;)
            answers += answer_to(all[i], std::to_string(all[i].seqid));
        peer.send(answers);
    });
    for (size_t i = 0; i < calls.size(); i++)
        EXPECT_EQ(std::to_string(i + 1), calls[i].answer);
}

} // namespace
