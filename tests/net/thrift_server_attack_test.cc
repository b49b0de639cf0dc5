/* SPDX-License-Identifier: MIT */
/*
 * A Thrift server that is small, and clients that call at random, by the hundred, with numbers that
 * are all the same, and leave at any time; meanwhile it is stopped, or drained. What it has
 * answered has to be right, and in the end nothing may be left: no connection, call or byte.
 */
#include "hostile_memory.h"
#include "served.h"

#include <coil/shutdown.h>

#include <random>

namespace
{

using packet::field;
using packet::frame;
using packet::message;
using packet::stop;
using packet::text;

/* ------------------------------------------------------------------------------ the service -- */

/* Of the server's thread. */
struct Tally {
    coil_thrift_service service;
    coil_thrift_observer observer;
    coil_thrift_interceptor interceptor;
    int64_t begun = 0; /* Handlers, */
    int64_t ended = 0;
    uint64_t outcomes = 0; /* calls of which one was told, */
    int64_t asked = 0;     /* and interceptors. */
    int64_t told = 0;
};

coil_thrift_text read_word(coil_thrift_call *call)
{
    coil_thrift_text word = {"", 0};
    coil_thrift_field argument;
    while (coil_thrift_read_field(&call->arguments, &argument)) {
        if (argument.id == 1)
            coil_thrift_get_string(&call->arguments, &word);
    }
    return word;
}

/* string echo(1: string word), and the same that first waits for so long, with so much memory. */
async(int, answer_after, (coil_thrift_call *) call, (coil_duration) pause, (size_t) size_bytes)
{
    vars(coil_thrift_text word; Tally *tally);

    my->tally = coil_container_of(call->service, Tally, service);
    my->tally->begun++;
    defer(my->tally->ended++);
    my->word = read_word(call);
    if (size_bytes > 0) {
        void *memory = coil_arena_take(call->arena, size_bytes, 1);
        if (memory == nullptr)
            return -ENOMEM;
        memset(memory, 1, size_bytes);
    }
    if (pause > 0)
        await(coil_sleep(pause));
    if (call->message.type != COIL_THRIFT_ONEWAY)
        coil_thrift_put_string(coil_thrift_reply(call), 0, my->word);
    return 0;
}

async(int, echo, (coil_thrift_call *) call)
{
    vars();
    attempt(answer_after(call, 0, 0));
    return 0;
}

async(int, later, (coil_thrift_call *) call)
{
    vars();
    attempt(answer_after(call, coil_us(100 + 700 * (call->message.seqid & 3)), 0));
    return 0;
}

async(int, large, (coil_thrift_call *) call)
{
    vars();
    attempt(answer_after(call, coil_ms(1), 300 * 1000));
    return 0;
}

async(int, never, (coil_thrift_call *) call)
{
    vars();
    attempt(answer_after(call, coil_s(1000), 0));
    return 0;
}

async(int, note, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    attempt(answer_after(call, coil_us(300), 0));
    return 0;
}

async(int, note_late, (coil_thrift_call *) call)
{
    vars();
    await(coil_yield());
    coil_thrift_no_reply(call);
    attempt(answer_after(call, coil_us(300), 0));
    return 0;
}

async(int, fail, (coil_thrift_call *) call)
{
    vars();
    attempt(answer_after(call, coil_us(200), 0));
    return -EIO;
}

const coil_thrift_method methods[] = {
        {"echo", coil_handler(echo, coil_thrift_call *), nullptr},
        {"later", coil_handler(later, coil_thrift_call *), nullptr},
        {"large", coil_handler(large, coil_thrift_call *), nullptr},
        {"never", coil_handler(never, coil_thrift_call *), nullptr},
        {"fail", coil_handler(fail, coil_thrift_call *), nullptr},
        {"note", coil_handler(note, coil_thrift_call *), nullptr},
        {"noteLate", coil_handler(note_late, coil_thrift_call *), nullptr},
};

enum { METHODS = 7, ONEWAY_FROM = 5 };

Tally tally_of_methods()
{
    Tally tally = {};
    tally.service = {"Attacked", methods, METHODS};
    tally.observer.ended = [](coil_thrift_observer *observer, const coil_thrift_call *call,
                                   const coil_thrift_outcome *) {
        coil_container_of(observer, Tally, observer)->outcomes += call->method != nullptr;
    };
    tally.interceptor.before = [](coil_thrift_interceptor *interceptor, coil_thrift_call *) {
        coil_container_of(interceptor, Tally, interceptor)->asked++;
        return 0;
    };
    tally.interceptor.after = [](coil_thrift_interceptor *interceptor, coil_thrift_call *,
                                      const coil_thrift_outcome *) {
        coil_container_of(interceptor, Tally, interceptor)->told++;
    };
    return tally;
}

/* ----------------------------------------------------------------------------------- clients -- */

struct Sent {
    int method;
    int seqid;
    std::string word;
    bool is_optional; /* Oneway, but the server may have found out too late, and refused it. */
};

/* Connects again and again, calls, and leaves in some way, until the server is not there. */
class Attacker
{
public:
    Attacker(uint16_t to, unsigned seed, bool is_unordered)
        : port(to), out_of_order(is_unordered), random(seed), thread([this] { attack(); })
    {
    }

    void end()
    {
        is_over = true;
        thread.join();
    }

    std::atomic<uint64_t> answered{0};

private:
    unsigned below(unsigned count)
    {
        return static_cast<unsigned>(random() % count);
    }

    int connected() const
    {
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)) == 0)
            return fd;
        close(fd);
        return -1;
    }

    std::string make_calls()
    {
        std::string bytes;
        sent.clear();
        due = 0;
        for (unsigned count = 1 + below(60); count > 0; count--) {
            const int method = static_cast<int>(below(METHODS));
            const int type = method >= ONEWAY_FROM && below(2) == 0 ? 4 : 1;
            const int seqid = static_cast<int>(below(4)); /* Of several at once. */
            const std::string word = std::to_string(random());
            bytes += frame(message(type, methods[method].name, seqid) + field(11, 1) + text(word) +
                           stop());
            if (type == 1)
                sent.push_back({method, seqid, word, method >= ONEWAY_FROM});
            due += method < ONEWAY_FROM;
        }
        return bytes;
    }

    bool is_of(const Answer &answer, const Sent &call) const
    {
        if (answer.seqid != call.seqid || answer.name != methods[call.method].name)
            return false;
        if (answer.type == COIL_THRIFT_REPLY)
            return answer.text == call.word && !call.is_optional;
        if (answer.exception == COIL_THRIFT_LOADSHEDDING)
            return true;
        return !call.is_optional &&
               answer.exception ==
                       (call.method == 3 ? COIL_THRIFT_TIMEOUT : COIL_THRIFT_INTERNAL_ERROR);
    }

    /* One more reply: to the next call, or in any order to one of them. */
    bool take(Peer &peer)
    {
        const std::string bytes = peer.receive_frame();
        if (bytes.empty())
            return false;
        const Answer answer(bytes);
        if (out_of_order && answer.exception == COIL_THRIFT_PROTOCOL_ERROR)
            return true; /* What it is turned away with may overtake the others. */
        size_t i = 0;
        while (i < sent.size() && !is_of(answer, sent[i]) &&
                (out_of_order || has_left || sent[i].is_optional))
            i++;
        if (i >= sent.size() || !is_of(answer, sent[i])) {
            ADD_FAILURE() << answer.name << " " << answer.seqid << " " << answer.exception << " "
                          << answer.what;
            return false;
        }
        const auto first = sent.begin();
        due -= !sent[i].is_optional;
        if (!out_of_order) {
            for (size_t skipped = 0; skipped < i; skipped++)
                due -= !sent[skipped].is_optional;
            sent.erase(first, first + static_cast<std::ptrdiff_t>(i + 1));
        } else if (answer.type == COIL_THRIFT_REPLY) { /* (Else nobody knows of which of them.) */
            sent.erase(first + static_cast<std::ptrdiff_t>(i));
        }
        answered++;
        return true;
    }

    void converse(Peer &peer)
    {
        const std::string bytes = make_calls();
        const size_t first =
                below(2) == 0 ? bytes.size() : below(static_cast<unsigned>(bytes.size()));
        const unsigned way = below(6);
        const bool is_sent = peer.send(bytes.substr(0, first)) && peer.send(bytes.substr(first));
        unsigned left = 0;
        if (way == 1) /* Leaves after some, */
            left = below(due + 1);
        if (way == 2) /* or does not wait for any, */
            left = due;
        has_left = way == 3;
        if (has_left) /* or ends its side, and takes what is answered all the same; */
            peer.end();
        if (way == 4) /* or is turned away, behind what it has to get. */
            (void)peer.send("\xff\xff\xff\xff");
        bool goes_on = true;
        while (due > left && goes_on)
            goes_on = take(peer);
        if (way == 0 || way == 4 || way == 5) {
            EXPECT_TRUE(goes_on || !is_sent || may_end) << due << ", " << way;
        }
        if (way == 5) {
            const linger now = {1, 0};
            setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        }
        EXPECT_NE(EAGAIN, peer.broken); /* It does not hang. */
    }

    void attack()
    {
        memory_of_this_thread_is_not_counted();
        while (!is_over) {
            const int fd = connected();
            if (fd < 0)
                return;
            Peer peer(fd);
            converse(peer);
        }
    }

    uint16_t port;
    bool out_of_order;
    std::mt19937 random;
    std::vector<Sent> sent; /* What has not been answered, */
    unsigned due = 0;       /* and how much of that has to be. */
    bool has_left = false;  /* Not all of it, then. */
    std::atomic<bool> is_over{false};

public:
    std::atomic<bool> may_end{false}; /* The server, while it is called. */

private:
    std::thread thread; /* Last: it uses the others. */
};

/* ----------------------------------------------------------------------------------- attacks -- */

struct Attacked {
    explicit Attacked(bool is_unordered) : tally(tally_of_methods())
    {
        services[0] = &tally.service;
        rules[0].method = coil_thrift_service_method(&tally.service, "never");
        rules[0].call_limit = coil_ms(8);
        rules[1].method = coil_thrift_service_method(&tally.service, "large");
        rules[1].calls_max = 3;
        server.services = services;
        server.service_count = 1;
        server.connection_calls_max = 16;
        server.calls_max = 24;
        server.queue_max = 40;
        server.queue_limit = coil_ms(4);
        server.rules = rules;
        server.rule_count = 2;
        server.interceptors = &tally.interceptor;
        server.observer = &tally.observer;
        server.out_of_order = is_unordered;
    }

    void expect_nothing_left() const
    {
        EXPECT_EQ(0u, server.stats.open_connections);
        EXPECT_EQ(0u, server.stats.waiting_calls);
        EXPECT_EQ(0u, server.stats.queued_calls);
        EXPECT_GE(server.calls_max, server.stats.most_waiting);
        EXPECT_EQ(nullptr, server.state);
        EXPECT_EQ(nullptr, server.fb303);
        EXPECT_EQ(&tally.observer, server.observer);
        EXPECT_EQ(server.stats.calls, tally.outcomes);
        EXPECT_EQ(tally.begun, tally.ended);
        EXPECT_EQ(tally.asked, tally.told);
        EXPECT_EQ(0u, rules[0].waiting_calls);
        EXPECT_EQ(0u, rules[1].waiting_calls);
    }

    Tally tally;
    coil_thrift_service *services[1];
    coil_thrift_method_rule rules[2] = {};
    coil_thrift_server server = {};
    std::promise<uint16_t> port;
    coil_loop *loop = nullptr;
    bool is_graceful = false;
    std::atomic<bool> has_ended{false};
};

async(int, serve_attacked, (Attacked *) self)
{
    vars(coil_listener *listener; int rc);

    my->rc = coil_listen("127.0.0.1:0", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    self->loop = coil_loop_of(coil_self);
    self->port.set_value(coil_address_port(coil_listener_address(my->listener)));
    if (self->is_graceful) {
        ignore(coil_thrift_serve_gracefully(my->listener, &self->server));
        self->has_ended = true;
        return 0;
    }
    attempt(coil_thrift_serve(my->listener, &self->server));
    return 0;
}

struct Drain {
    coil_post post;
    coil_loop *loop;
};

enum { ATTACKERS = 6 };

/* For so long; then it is stopped, or drained while it is called. How many calls there were. */
uint64_t attack(unsigned seed, bool is_graceful, bool is_unordered, int ms)
{
    Attacked self(is_unordered);
    self.is_graceful = is_graceful;
    LoopThread thread([&](coil_group *root) { coil_spawn(root, serve_attacked(&self)); });
    const uint16_t port = self.port.get_future().get();
    std::vector<std::unique_ptr<Attacker>> attackers;
    uint64_t answered = 0;

    for (unsigned i = 0; i < ATTACKERS; i++)
        attackers.push_back(std::make_unique<Attacker>(port, seed * 100 + i, is_unordered));
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    for (const auto &one : attackers)
        one->may_end = true;
    if (is_graceful) {
        static Drain drain; /* It is in the loop's hands. */
        drain.loop = self.loop;
        drain.post.run = [](coil_post *post) {
            coil_loop *loop = coil_container_of(post, Drain, post)->loop;
            coil_shutdown_begin(coil_shutdown_of(loop), coil_s(100));
        };
        EXPECT_EQ(0, coil_loop_post(self.loop, &drain.post));
        EXPECT_TRUE(soon([&] { return self.has_ended.load(); }));
    } else if (seed % 2 == 0) {
        thread.stop();
    }
    for (const auto &one : attackers) {
        one->end();
        answered += one->answered;
    }
    thread.stop();
    self.expect_nothing_left();
    return answered;
}

class AttackedServer : public testing::TestWithParam<bool>
{
};

TEST_P(AttackedServer, AnswersRightAndHasNothingLeftInTheEnd)
{
    memory_of_this_thread_is_not_counted();
    (void)attack(1, true, GetParam(), 50); /* What is made once, and kept. */
    (void)attack(2, false, GetParam(), 50);
    const int64_t before = memory_mark();
    uint64_t answered = 0;
    for (unsigned seed = 3; seed < 7; seed++) {
        SCOPED_TRACE(seed);
        answered += attack(seed, seed < 5, GetParam(), 250);
        EXPECT_EQ(before, memory_mark());
    }
    EXPECT_LT(500u, answered);
}

INSTANTIATE_TEST_SUITE_P(InEitherOrder, AttackedServer, testing::Bool());

TEST(LargeCalls, LeaveNoMoreMemoryThanSmallOnes)
{
    enum { CALLS = 100 };
    memory_of_this_thread_is_not_counted();
    Tally tally = tally_of_methods();
    Served served({&tally.service});
    Peer peer = served.connected();
    const std::string one = frame(message(1, "large", 1) + field(11, 1) + text("x") + stop());
    ASSERT_TRUE(peer.send(one));
    EXPECT_EQ("x", Answer(peer.receive_frame()).text);
    const int64_t before = memory_mark();
    ASSERT_TRUE(peer.send(packet::repeat(one, CALLS)));
    for (int i = 0; i < CALLS; i++)
        EXPECT_EQ("x", Answer(peer.receive_frame()).text);
    EXPECT_LT(20 << 20, memory_peak() - before);
    EXPECT_GT(2 << 20, memory_mark() - before);
}

} // namespace
