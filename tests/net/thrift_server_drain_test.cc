/* SPDX-License-Identifier: MIT */
/* The end of a Thrift server, and the next one, while it is called. */
#include "generations.h"
#include "served.h"

#include <cerrno>

namespace
{

using packet::field;
using packet::frame;
using packet::message;
using packet::stop;
using packet::text;

/* string echo(1: string text): at once, or a little later. */
async(int, echo, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &my->text);
    }
    if (call->message.seqid % 2 == 1)
        await(coil_sleep(coil_ms(2)));
    coil_thrift_put_string(coil_thrift_reply(call), 0, my->text);
    return 0;
}

/* Drains the server that it is a call of, and then takes its time. */
async(int, drain, (coil_thrift_call *) call)
{
    vars();
    coil_server_drain(call->session->server, coil_s(10));
    await(coil_sleep(coil_ms(30)));
    return 0;
}

const coil_thrift_method methods[] = {
        {"echo", coil_handler(echo, coil_thrift_call *), nullptr},
        {"drain", coil_handler(drain, coil_thrift_call *), nullptr},
};

coil_thrift_service service = {"Echo", methods, std::size(methods)};
coil_thrift_service *const services[] = {&service};

/* One for each thread: each generation has a Thrift server of its own. */
thread_local coil_thrift_server thrift;

async(int, serve_thrift, (coil_session *) session)
{
    vars();
    if (thrift.services == nullptr) {
        thrift.services = services;
        thrift.service_count = 1;
    }
    attempt(coil_thrift_serve_session(session, &thrift));
    return 0;
}

std::string echo_call(const std::string &word, int seqid)
{
    return frame(message(1, "echo", seqid) + field(11, 1) + text(word) + stop());
}

class ThriftDrain : public Handover
{
protected:
    std::unique_ptr<Generation> thrift_generation()
    {
        auto made = generation("0");
        made->handler = coil_handler(serve_thrift, coil_session *);
        return made;
    }
};

TEST_F(ThriftDrain, AnswersWhatItHasAndWhatComesUntilThen)
{
    Running running(thrift_generation());
    const uint16_t port = running.self->ports[0];
    Peer idle = Peer::connected(port);
    Peer busy = Peer::connected(port);
    for (Peer *peer : {&idle, &busy}) {
        ASSERT_TRUE(peer->send(echo_call("hello", 2)));
        EXPECT_EQ("hello", Answer(peer->receive_frame()).text);
    }
    ASSERT_TRUE(busy.send(frame(message(1, "drain", 3) + stop()) + echo_call("waiting", 5)));
    EXPECT_TRUE(idle.at_end());
    ASSERT_TRUE(busy.send(echo_call("late", 6))); /* The calls before it are still under way. */
    EXPECT_EQ("drain", Answer(busy.receive_frame()).name);
    EXPECT_EQ("waiting", Answer(busy.receive_frame()).text);
    EXPECT_EQ("late", Answer(busy.receive_frame()).text);
    EXPECT_TRUE(busy.at_end());
    ASSERT_TRUE(running.ends());
    EXPECT_EQ(0, running.self->rc);
}

/*
 * A client as they are behind a pool: it keeps its connection, and when that has ended before any
 * byte of a reply, it asks again on another. Anything else is a failure.
 */
class Caller
{
public:
    explicit Caller(uint16_t to) : port(to), thread([this] { call_all(); }) {}

    void stop()
    {
        done = true;
    }

    std::atomic<uint64_t> answered{0};
    std::atomic<uint64_t> moved{0};
    std::atomic<uint64_t> failed{0};

private:
    bool ask(Peer &peer, int seqid)
    {
        const std::string word = "word " + std::to_string(seqid);
        const bool is_sent = peer.send(echo_call(word, seqid) + echo_call(word, seqid + 1));
        for (int i = 0; is_sent && i < 2; i++) {
            const std::string reply = peer.receive_frame();
            if (reply.empty()) /* The end; a reset would be a call that is lost. */
                return i > 0 || peer.broken != 0 ? fail() : false;
            const Answer answer(reply);
            if (answer.text != word || answer.seqid != seqid + i)
                return fail();
        }
        return is_sent;
    }

    bool fail()
    {
        failed++;
        return false;
    }

    void call_all()
    {
        auto peer = std::make_unique<Peer>(Peer::connected(port));
        for (int seqid = 0; !done; seqid += 2) {
            while (!ask(*peer, seqid) && failed == 0) {
                peer = std::make_unique<Peer>(Peer::connected(port));
                moved++;
            }
            answered++;
        }
    }

    uint16_t port;
    std::atomic<bool> done{false};
    Thread thread; /* Last: it uses the others. */
};

TEST_F(ThriftDrain, HandsOverUnderLoadWithoutAFailedCall)
{
    enum { CALLERS = 4, RESTARTS = 12 };
    auto now = std::make_unique<Running>(thrift_generation());
    std::vector<std::unique_ptr<Caller>> callers;
    for (int i = 0; i < CALLERS; i++)
        callers.push_back(std::make_unique<Caller>(now->self->ports[0]));
    for (int i = 0; i < RESTARTS; i++) {
        const uint64_t before = callers[0]->answered;
        auto next = std::make_unique<Running>(thrift_generation());
        EXPECT_EQ(1, next->self->inherited);
        EXPECT_TRUE(now->ends());
        EXPECT_EQ(0, now->self->rc);
        EXPECT_EQ(0u, now->self->stats.cancelled);
        now = std::move(next);
        EXPECT_TRUE(soon([&] { return callers[0]->answered > before + 4; }));
    }
    for (const auto &caller : callers)
        caller->stop();
    uint64_t moved = 0;
    for (const auto &caller : callers) {
        EXPECT_EQ(0u, caller->failed);
        moved += caller->moved;
    }
    callers.clear();
    EXPECT_LE(CALLERS * 1u, moved); /* They have had to. */
}

} // namespace
