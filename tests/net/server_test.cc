/* SPDX-License-Identifier: MIT */
#include "staged_server.h"

#include <coil/admission.h>
#include <coil/kernel.h>
#include <coil/server.h>
#include <coil/shutdown.h>
#include <coil/stream_options.h>

#include <sys/resource.h>
#include <sys/un.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* Answer each byte. The thread stops for the test just before the session is idle, and after. */
async(int, answer_in_steps, (coil_session *) session)
{
    vars(coil_slice in);

    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(session->stream));
        coil_session_busy(session);
        if (coil_slice_empty(&my->in))
            return 0;
        attempt(coil_write_all(session->stream, my->in));
        coil_slice_release(&my->in);
        stage_of(session)->before_idle();
        coil_session_idle(session);
        stage_of(session)->after_idle();
    }
}

/* One answer, and then a failure. */
async(int, fail, (coil_session *) session)
{
    vars(coil_slice in);
    attempt(my->in, coil_read_some(session->stream));
    coil_slice_release(&my->in);
    attempt(coil_write_all(session->stream, coil_text("!")));
    return -EPROTO;
}

/* Say who it is. */
async(int, name_peer, (coil_session *) session)
{
    vars(char text[COIL_ADDRESS_TEXT_BYTES]);
    coil_address_format(coil_session_peer(session), my->text);
    attempt(coil_write_all(session->stream, coil_text(my->text)));
    return 0;
}

/* Say who it is, and where it came in. */
async(int, name_ends, (coil_session *) session)
{
    vars(char text[COIL_ADDRESS_TEXT_BYTES]; coil_address own; coil_address peer);
    attempt(name_peer(session));
    attempt(coil_write_all(session->stream, coil_text(" ")));
    EXPECT_EQ(0, coil_stream_peer_address(session->stream, &my->peer));
    coil_address_format(&my->peer, my->text);
    attempt(coil_write_all(session->stream, coil_text(my->text)));
    attempt(coil_write_all(session->stream, coil_text(" ")));
    EXPECT_EQ(0, coil_stream_address(session->stream, &my->own));
    coil_address_format(&my->own, my->text);
    attempt(coil_write_all(session->stream, coil_text(my->text)));
    return 0;
}

/* Wait for the end of the server, and say good-bye. */
async(int, say_good_bye, (coil_session *) session)
{
    vars();
    attempt(coil_write_all(session->stream, coil_text("hello")));
    stage_of(session)->active++;
    await(coil_session_ending(session));
    stage_of(session)->endings++;
    attempt(coil_write_all(session->stream, coil_text("bye")));
    return 0;
}

/* Never end by itself. */
async(int, hang, (coil_session *) session)
{
    vars();
    stage_of(session)->active++;
    defer(stage_of(session)->active--);
    for (;;)
        await(coil_sleep(coil_s(1000)));
    return 0;
}

class Server : public testing::Test, protected StagedThread
{
};

TEST_F(Server, ListensAtSeveralAddresses)
{
    const std::string name = "unix:@coil-server-test-" + std::to_string(getpid());
    stage.addresses = {"127.0.0.1:0", "*:0", name};
    start();
    ASSERT_EQ(3u, stage.ports.size());
    EXPECT_EQ(name, stage.bound[2]);
    for (const uint16_t each : {stage.ports[0], stage.ports[1]}) {
        port = each;
        (void)talking();
    }
    EXPECT_EQ(2u, statistics().accepted);
}

TEST_F(Server, TakesIpv4ForIpv4AtAStar)
{
    stage.addresses = {"*:0"};
    start(coil_handler(name_ends, coil_session *));
    Peer peer = Peer::connected(port);
    sockaddr_in own = {};
    socklen_t size = sizeof(own);
    ASSERT_EQ(0, getsockname(peer.fd, reinterpret_cast<sockaddr *>(&own), &size));
    const std::string client = "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
    EXPECT_EQ(client + " " + client + " 127.0.0.1:" + std::to_string(port), peer.receive(100));
}

TEST_F(Server, TakesIpv4ForIpv4InAProxysWords)
{
    stage.configure = [](coil_server *server) { server->takes_proxy_headers = true; };
    start(coil_handler(name_peer, coil_session *));
    Peer peer = Peer::connected(port);
    EXPECT_TRUE(peer.send("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 40000 443\r\n"));
    EXPECT_EQ("192.0.2.7:40000", peer.receive(100));
}

TEST_F(Server, ClosesTheStreamWhenTheHandlerHasEnded)
{
    start(coil_handler(name_peer, coil_session *));
    Peer peer = Peer::connected(port);
    EXPECT_EQ("127.0.0.1:", peer.receive(10));
    EXPECT_FALSE(peer.receive(10).empty());
    EXPECT_TRUE(peer.at_end());
    EXPECT_TRUE(soon([&] { return statistics().active == 0; }));
}

TEST_F(Server, CountsAndReportsAFailureThatEndsNobodyElse)
{
    start(coil_handler(fail, coil_session *));
    Peer stays = Peer::connected(port);
    Peer fails = Peer::connected(port);
    EXPECT_TRUE(fails.send("x"));
    EXPECT_EQ("!", fails.receive(1));
    EXPECT_TRUE(fails.at_end());
    EXPECT_TRUE(soon([&] { return stage.last_failure == -EPROTO; }));
    EXPECT_TRUE(stays.send("x"));
    EXPECT_EQ("!", stays.receive(1));
    EXPECT_TRUE(soon([&] { return statistics().failed == 2; }));
}

TEST_F(Server, HoldsBackThoseThatAreOverItsLimit)
{
    stage.configure = [](coil_server *server) { server->max_sessions = 2; };
    start();
    Peer one = talking();
    Peer other = talking();
    std::vector<Peer> waiting;
    for (int i = 0; i < 5; i++) {
        waiting.push_back(Peer::connected(port));
        EXPECT_TRUE(waiting.back().send("b"));
    }
    EXPECT_FALSE(waiting[0].readable_within(50));
    one.close();
    other.close();
    for (Peer &peer : waiting) {
        EXPECT_EQ("b", peer.receive(1));
        peer.close();
    }
    EXPECT_TRUE(soon([&] { return stage.active == 0; }));
    EXPECT_EQ(7u, statistics().accepted);
}

class ServerWithAdmission : public Server
{
protected:
    ~ServerWithAdmission() override
    {
        stop();
        coil_admission_destroy(admission);
    }

    void admit(const coil_admission_options &options)
    {
        ASSERT_EQ(0, coil_admission_create(&options, &admission));
        stage.configure = [this](coil_server *server) { server->admission = admission; };
    }

    coil_admission *admission = nullptr;
};

TEST_F(ServerWithAdmission, ClosesAtOnceWhoeverIsOverTheTotal)
{
    admit({.max_total = 2, .max_per_peer = 0, .ipv4_prefix_bits = 0, .ipv6_prefix_bits = 0});
    start();
    Peer one = talking();
    {
        Peer other = talking();
        Peer refused = Peer::connected(port);
        EXPECT_TRUE(refused.at_end());
    }
    EXPECT_TRUE(soon([&] { return coil_admission_total(admission) == 1; }));
    (void)talking();
    EXPECT_EQ(1u, statistics().refused_by_total);
}

TEST_F(ServerWithAdmission, ClosesAtOnceWhoeverIsOneTooManyOfItsPeer)
{
    admit({.max_total = 0, .max_per_peer = 1, .ipv4_prefix_bits = 0, .ipv6_prefix_bits = 0});
    stage.addresses = {"*:0"};
    start();
    Peer one = talking();
    Peer refused = Peer::connected(port);
    EXPECT_TRUE(refused.at_end());
    EXPECT_EQ(1u, statistics().refused_by_peer);

    Peer another(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    ASSERT_EQ(0, bind(another.fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(port);
    ASSERT_EQ(0, connect(another.fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
    EXPECT_TRUE(another.send("c"));
    EXPECT_EQ("c", another.receive(1)) << "the limit is of each peer";
}

/* ---------------------------------------------------------------------------------- draining -- */

TEST_F(Server, RefusesWhoeverComesWhenItDrains)
{
    start(coil_handler(say_good_bye, coil_session *));
    Peer peer = Peer::connected(port);
    EXPECT_EQ("hello", peer.receive(5));
    drain(coil_s(100));
    EXPECT_EQ("bye", peer.receive(3));
    EXPECT_TRUE(peer.at_end());
    EXPECT_TRUE(ends());
    EXPECT_EQ(0, stage.rc);
    EXPECT_EQ(1, stage.endings);
    EXPECT_EQ(0u, stage.stats.cancelled);
    Peer late(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    EXPECT_EQ(-1, connect(late.fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
    EXPECT_EQ(ECONNREFUSED, errno);
}

TEST_F(Server, CancelsThoseThatHaveNotEndedInTime)
{
    start(coil_handler(hang, coil_session *));
    Peer one = Peer::connected(port);
    Peer other = Peer::connected(port);
    ASSERT_TRUE(soon([&] { return stage.active == 2; }));
    drain(coil_ms(20));
    EXPECT_TRUE(one.at_end());
    EXPECT_TRUE(other.at_end());
    EXPECT_TRUE(ends());
    EXPECT_EQ(0, stage.rc);
    EXPECT_EQ(2u, stage.stats.cancelled);
}

TEST_F(Server, DrainsSoonerIfItIsToldTo)
{
    start(coil_handler(hang, coil_session *));
    Peer one = Peer::connected(port);
    ASSERT_TRUE(soon([&] { return stage.active == 1; }));
    drain(coil_s(1000));
    EXPECT_FALSE(one.readable_within(20));
    drain(0);
    EXPECT_TRUE(one.at_end());
    EXPECT_TRUE(ends());
}

TEST_F(Server, EndsIdleSessionsAtOnceAndLetsOthersFinish)
{
    stage.work = coil_ms(100);
    start();
    Peer idle = talking();
    Peer busy = talking();
    EXPECT_TRUE(busy.send("z"));
    on_loop([] {});
    ASSERT_TRUE(soon([&] {
        bool is_busy = false;
        on_loop([&] {
            coil_list *youngest = stage.server.sessions.prev;
            is_busy = !coil_container_of(youngest, coil_session, link)->is_idle;
        });
        return is_busy;
    }));
    drain(coil_s(100));
    EXPECT_TRUE(idle.at_end());
    EXPECT_EQ("z", busy.receive(1));
    EXPECT_TRUE(busy.at_end());
    EXPECT_TRUE(ends());
    EXPECT_EQ(0u, stage.stats.cancelled);
}

TEST_F(Server, ServesWhatHasConnectedBeforeItDrains)
{
    start();
    std::vector<Peer> peers;
    on_loop([&] { /* It cannot accept meanwhile. */
        for (int i = 0; i < 50; i++) {
            peers.push_back(Peer::connected(port));
            EXPECT_TRUE(peers.back().send("q"));
        }
        coil_server_drain(&stage.server, coil_s(100));
    });
    for (Peer &peer : peers) {
        EXPECT_EQ("q", peer.receive(1));
        EXPECT_TRUE(peer.at_end());
    }
    EXPECT_TRUE(ends());
    EXPECT_EQ(50u, stage.stats.accepted);
}

TEST_F(Server, AnswersARequestThatTheKernelHasWhenItDrains)
{
    std::atomic<Peer *> shown{nullptr}; /* To the loop. */
    unsigned requests = 0;
    stage.before_idle = [&] {
        if (++requests > 1)
            return;
        coil_server_drain(&stage.server, coil_s(100));
        EXPECT_TRUE(shown.load()->send("b"));
    };
    start(coil_handler(answer_in_steps, coil_session *));
    Peer peer = Peer::connected(port);
    shown = &peer;
    EXPECT_TRUE(peer.send("a"));
    EXPECT_EQ("ab", peer.receive(2));
    EXPECT_TRUE(peer.at_end());
    peer.close();
    EXPECT_TRUE(ends());
    EXPECT_EQ(0u, stage.stats.cancelled);
}

TEST_F(Server, EndsTheStreamOfARequestThatComesTooLate)
{
    std::atomic<Peer *> shown{nullptr}; /* To the loop. */
    stage.before_idle = [&] { coil_server_drain(&stage.server, coil_s(100)); };
    stage.after_idle = [&] { EXPECT_TRUE(shown.load()->send("b")); };
    start(coil_handler(answer_in_steps, coil_session *));
    Peer peer = Peer::connected(port);
    shown = &peer;
    EXPECT_TRUE(peer.send("a"));
    EXPECT_EQ("a", peer.receive(1));
    EXPECT_TRUE(peer.at_end()) << "a reset would be an answer, too";
    peer.close();
    EXPECT_TRUE(ends());
    EXPECT_EQ(0u, stage.stats.cancelled);
}

TEST_F(Server, WaitsALittleForThePeersOfIdleSessions)
{
    start();
    Peer idle = talking();
    drain(coil_s(100));
    EXPECT_TRUE(idle.at_end());
    EXPECT_TRUE(idle.send("a request that was on its way"));
    EXPECT_TRUE(idle.at_end()) << "and not reset";
    idle.close();
    EXPECT_TRUE(ends());
}

TEST_F(Server, FollowsTheShutdownOfItsLoop)
{
    start();
    Peer idle = talking();
    on_loop([&] { coil_shutdown_begin(coil_shutdown_of(stage.loop), coil_s(100)); });
    EXPECT_TRUE(idle.at_end());
    EXPECT_TRUE(ends());
    EXPECT_EQ(0, stage.rc);
}

TEST_F(Server, IsCancelledWithItsSessions)
{
    start(coil_handler(hang, coil_session *));
    Peer one = Peer::connected(port);
    ASSERT_TRUE(soon([&] { return stage.active == 1; }));
    stop();
    EXPECT_TRUE(one.at_end());
    EXPECT_EQ(0u, stage.active);
}

TEST_F(Server, HasNothingToServeWithoutAnAddress)
{
    stage.addresses.clear();
    start();
    EXPECT_TRUE(ends());
    EXPECT_EQ(-EINVAL, stage.rc);
}

/* ----------------------------------------------------------------------------- PROXY headers -- */

TEST_F(ServerWithAdmission, BelievesTheProxy)
{
    admit({.max_total = 0, .max_per_peer = 1, .ipv4_prefix_bits = 0, .ipv6_prefix_bits = 0});
    stage.configure = [this](coil_server *server) {
        server->admission = admission;
        server->takes_proxy_headers = true;
    };
    start(coil_handler(say_good_bye, coil_session *));
    const std::string header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n";
    Peer one = Peer::connected(port);
    EXPECT_TRUE(one.send(header));
    EXPECT_EQ("hello", one.receive(5));
    Peer refused = Peer::connected(port);
    EXPECT_TRUE(refused.send(header));
    EXPECT_TRUE(refused.at_end());
    Peer wrong = Peer::connected(port);
    EXPECT_TRUE(wrong.send("GET / HTTP/1.1\r\n"));
    EXPECT_EQ("", wrong.receive(1));
    {
        Peer checks_only = Peer::connected(port);
    }
    EXPECT_TRUE(soon([&] { return statistics().accepted == 4 && statistics().active == 1; }));
    EXPECT_EQ(1u, statistics().refused_by_peer);
    EXPECT_EQ(1u, statistics().refused_by_header);
}

/* However much of it has come: at its limit it is no header. */
TEST_F(Server, DoesNotWaitForTheRestOfAProxysWords)
{
    stage.configure = [](coil_server *server) {
        server->takes_proxy_headers = true;
        server->proxy_limit = coil_ms(300);
    };
    start();
    const std::string header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n";
    std::vector<Peer> stalled;
    for (size_t size = 0; size < header.size(); size++) {
        stalled.push_back(Peer::connected(port));
        EXPECT_TRUE(stalled.back().send(header.substr(0, size)));
    }
    std::vector<Peer> whole;
    on_loop([&] { /* It cannot accept meanwhile: its limit has not begun when all is there. */
        whole.push_back(Peer::connected(port));
        EXPECT_TRUE(whole[0].send(header + "a"));
    });
    EXPECT_EQ("a", whole[0].receive(1));
    for (Peer &peer : stalled)
        EXPECT_EQ("", peer.receive(1));
    EXPECT_TRUE(soon([&] { return statistics().refused_by_header == header.size(); }));
    EXPECT_TRUE(whole[0].send("b"));
    EXPECT_EQ("b", whole[0].receive(1));
}

/* ---------------------------------------------------------------------- addresses and limits -- */

TEST_F(Server, TakesNoMoreAddressesOnceItDrains)
{
    start(coil_handler(hang, coil_session *));
    const Peer peer = Peer::connected(port);
    EXPECT_TRUE(soon([&] { return stage.active == 1; }));
    on_loop([&] {
        coil_server *server = &stage.server;
        coil_listener *listener = nullptr;
        ASSERT_EQ(0, coil_listen("127.0.0.1:0", nullptr, &listener));
        coil_server_drain(server, COIL_FOREVER);
        EXPECT_EQ(-ESHUTDOWN, coil_server_listen(server, "127.0.0.1:0", nullptr));
        EXPECT_EQ(-ESHUTDOWN, coil_server_add(server, listener)) << "and closes it";
    });
    drain(0);
    EXPECT_TRUE(ends());
}

TEST_F(Server, HasNoMoreSessionsThanItMayWhereverTheyCome)
{
    stage.addresses = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"};
    stage.configure = [](coil_server *server) { server->max_sessions = 2; };
    start();
    std::vector<Peer> peers;
    on_loop([&] { /* They all come in one turn. */
        for (int i = 0; i < 12; i++)
            peers.push_back(Peer::connected(stage.ports[static_cast<size_t>(i) % 3]));
    });
    for (Peer &peer : peers)
        EXPECT_TRUE(peer.send("x"));
    std::vector<bool> is_served(peers.size());
    for (size_t served = 0; served < peers.size(); served++) { /* In whatever order. */
        size_t at = 0;
        ASSERT_TRUE(soon([&] {
            for (at = 0; at < peers.size(); at++) {
                if (!is_served[at] && peers[at].readable_within(0))
                    return true;
            }
            return false;
        }));
        EXPECT_EQ("x", peers[at].receive(1));
        peers[at].end();
        is_served[at] = true;
    }
    EXPECT_TRUE(soon([&] { return statistics().active == 0; }));
    EXPECT_EQ(12u, statistics().accepted);
    EXPECT_EQ(2u, statistics().most_active);
}

/* -------------------------------------------------------------------------------- exhaustion -- */

enum { SHORTEST_PAUSE_MS = 25 }; /* Half of what it is to be: clocks and timers are not exact. */

class ServerWithoutDescriptors : public Server
{
protected:
    ServerWithoutDescriptors()
    {
        EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
        const rlimit few = {80, before.rlim_max};
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &few)); /* Before the start: rings remember it. */
    }

    ~ServerWithoutDescriptors() override
    {
        give_back();
        stop();
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    }

    /* Sockets first, for there will be none; nor pipes, by which UBSan looks at a new type. */
    void use_up(unsigned socket_count)
    {
        on_loop([] {});
        for (unsigned i = 0; i < socket_count; i++)
            sockets.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        for (int fd = dup(0); fd >= 0; fd = dup(0))
            fillers.push_back(fd);
    }

    void give_back()
    {
        for (const int fd : fillers)
            close(fd);
        fillers.clear();
    }

    /* To all addresses by turns. */
    void connect_one(size_t index)
    {
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(stage.ports[index % stage.ports.size()]);
        EXPECT_EQ(0, connect(sockets[index].fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
    }

    void connect_all()
    {
        for (size_t i = 0; i < sockets.size(); i++)
            connect_one(i);
    }

    rlimit before;
    std::vector<Peer> sockets;
    std::vector<int> fillers;
};

TEST_F(ServerWithoutDescriptors, LetsThemWaitAndServesTheOthers)
{
    using Clock = std::chrono::steady_clock;
    start();
    Peer stays = talking();
    Peer leaves = talking();
    const auto began = Clock::now();
    use_up(4);
    connect_all();
    for (Peer &peer : sockets)
        EXPECT_TRUE(peer.send("w"));
    EXPECT_FALSE(sockets[0].readable_within(60));
    EXPECT_TRUE(stays.send("s"));
    EXPECT_EQ("s", stays.receive(1)) << "others keep their service";
    leaves.end(); /* Its descriptor, at the server, is for the next. */
    for (size_t i = 0; i < sockets.size(); i++) {
        EXPECT_EQ("w", sockets[i].receive(1)) << i;
        sockets[i].end();
        EXPECT_TRUE(sockets[i].at_end());
    }
    give_back();
    EXPECT_GE(statistics().pauses, 1u);
    const auto took = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - began).count();
    const auto most = 1 + static_cast<uint64_t>(took) / SHORTEST_PAUSE_MS + sockets.size() + 1;
    EXPECT_LE(statistics().pauses, most) << "each lasts, or somebody has left";
    EXPECT_EQ(6u, statistics().accepted);
}

TEST_F(ServerWithoutDescriptors, TurnsThemAwayIfItIsToldTo)
{
    stage.configure = [](coil_server *server) { server->turns_away = true; };
    start();
    Peer stays = talking();
    use_up(10);
    connect_all();
    for (Peer &peer : sockets)
        EXPECT_TRUE(peer.at_end());
    EXPECT_TRUE(stays.send("s"));
    EXPECT_EQ("s", stays.receive(1));
    give_back();
    sockets.clear();
    (void)talking();
    EXPECT_EQ(10u, statistics().refused_by_files);
}

/* There is one reserve, and several who accept: it is not lost to any of them. */
TEST_F(ServerWithoutDescriptors, TurnsThemAwayWhereverTheyCome)
{
    stage.addresses = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"};
    stage.configure = [](coil_server *server) { server->turns_away = true; };
    start();
    Peer stays = talking();
    for (unsigned round = 1; round <= 5; round++) {
        use_up(12);
        on_loop([&] { /* In one turn. */
            for (size_t i = 0; i < 6; i++)
                connect_one(i);
        });
        for (size_t i = 0; i < 12; i++) {
            if (i >= 6)
                connect_one(i); /* And one after the other. */
            EXPECT_TRUE(sockets[i].at_end()) << i;
        }
        EXPECT_TRUE(stays.send("s"));
        EXPECT_EQ("s", stays.receive(1));
        EXPECT_EQ(12u * round, statistics().refused_by_files);
        give_back();
        sockets.clear();
        (void)talking();
        ASSERT_TRUE(soon([&] { return statistics().active == 1; })); /* Its descriptor is free. */
    }
}

/*
 * A listener that is added when nothing is left waits on the reserve, for a connection that does
 * not come; then one comes elsewhere.
 */
TEST_F(ServerWithoutDescriptors, TurnsAwayWhoTakesTheReserveOfAnother)
{
    stage.configure = [](coil_server *server) { server->turns_away = true; };
    start();
    Peer stays = talking();
    coil_listener *late = nullptr;
    on_loop([&] { EXPECT_EQ(0, coil_listen("127.0.0.1:0", nullptr, &late)); });
    use_up(10);
    on_loop([&] { EXPECT_EQ(0, coil_server_add(&stage.server, late)); });
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (size_t i = 0; i < sockets.size(); i++) {
        connect_one(i);
        EXPECT_TRUE(sockets[i].at_end()) << i;
    }
    EXPECT_TRUE(stays.send("s"));
    EXPECT_EQ("s", stays.receive(1));
    EXPECT_EQ(10u, statistics().refused_by_files);
    give_back();
}

} // namespace
