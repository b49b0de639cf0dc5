/* SPDX-License-Identifier: MIT */
/*
 * Servers under load from outside: restarts, and ten thousand who come and go. Fewer of them in the
 * fast tier; all with COIL_LONG in the environment.
 */
#include "sanitized.h"
#include "staged_server.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include <coil/sugar.h>

namespace
{

bool is_long()
{
    return getenv("COIL_LONG") != nullptr;
}

/* A service, which may also drain. */
class Running : public StagedThread
{
public:
    explicit Running(const std::string &address)
    {
        stage.addresses = {address};
        start();
    }

    bool drains()
    {
        drain(coil_s(10));
        return soon([&] { return stage.rc != 1; });
    }
};

sockaddr_in loopback(uint16_t port)
{
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

bool connects(const Peer &peer, uint16_t port)
{
    const sockaddr_in to = loopback(port);
    return connect(peer.fd, reinterpret_cast<const sockaddr *>(&to), sizeof(to)) == 0;
}

void reset_at_close(const Peer &peer)
{
    const linger now = {1, 0};
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* ---------------------------------------------------------------------------------- restarts -- */

/* Connect without end, whoever listens or not. What is answered is answered rightly. */
class Visitors
{
public:
    Visitors(uint16_t to, unsigned count) : port(to)
    {
        for (unsigned i = 0; i < count; i++)
            threads.emplace_back([this] { visit(); });
    }

    ~Visitors()
    {
        done = true;
        for (std::thread &thread : threads)
            thread.join();
    }

    std::atomic<uint64_t> answered{0};
    std::atomic<uint64_t> refused{0};
    std::atomic<uint64_t> wrong{0};

private:
    void visit()
    {
        while (!done) {
            Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            if (!connects(peer, port) || !peer.send("x")) {
                refused++;
                std::this_thread::yield();
                continue;
            }
            const std::string answer = peer.receive(1);
            if (answer.empty())
                refused++; /* Reset: nobody had accepted it when the listener closed. */
            else if (answer == "x")
                answered++;
            else
                wrong++;
            reset_at_close(peer);
        }
    }

    uint16_t port;
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
};

TEST(ServerRestarts, FindTheAddressFreeAndLeaveNoGhost)
{
    const int restarts = is_long() ? 1000 : 50;
    auto first = std::make_unique<Running>("127.0.0.1:0");
    const uint16_t port = first->port;
    const std::string address = "127.0.0.1:" + std::to_string(port);
    first->stop();
    first.reset();
    Visitors visitors(port, 3);
    for (int i = 0; i < restarts; i++) {
        Running service(address);
        ASSERT_EQ(port, service.port) << "restart " << i;
        const uint64_t before = visitors.answered;
        ASSERT_TRUE(soon([&] { return visitors.answered > before + 3; }));
        if (i % 2 == 0) {
            ASSERT_TRUE(service.drains());
            EXPECT_EQ(0, service.stage.rc);
        }
        service.stop();
        Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_FALSE(connects(peer, port)) << "a ghost listens after restart " << i;
        ASSERT_EQ(ECONNREFUSED, errno);
    }
    EXPECT_EQ(0u, visitors.wrong);
    printf("%d restarts, %lu answers, %lu refusals\n", restarts,
            static_cast<unsigned long>(visitors.answered),
            static_cast<unsigned long>(visitors.refused));
}

/* -------------------------------------------------------------------------- coming and going -- */

long open_descriptors()
{
    auto open = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(std::filesystem::begin(open), std::filesystem::end(open));
}

/* What is in memory of us: statm of proc(5). (Sanitizers keep what was freed.) */
long resident_bytes()
{
    if (COIL_TESTS_ASAN || COIL_TESTS_TSAN)
        return 0;
    long all_pages = 0, resident_pages = 0;
    std::ifstream("/proc/self/statm") >> all_pages >> resident_pages;
    return resident_pages * sysconf(_SC_PAGESIZE);
}

/* One who is served all the while. */
bool is_answered(Peer &peer)
{
    return peer.send("s") && peer.receive(1) == "s";
}

TEST(ServerCrowd, OfTenThousandWhoComeAndGoLeavesNothing)
{
    enum { AT_ONCE = 100 };
    const int count = is_long() ? 10000 : 1000;
    Running service("127.0.0.1:0");
    Peer stays = Peer::connected(service.port);
    ASSERT_TRUE(is_answered(stays));
    const long before = open_descriptors();
    long bytes_before = resident_bytes();
    for (int come = 0; come < count; come += AT_ONCE) {
        if (come == 2 * AT_ONCE)
            bytes_before = resident_bytes(); /* By then there is what one crowd needs. */
        std::vector<Peer> crowd;
        for (int i = 0; i < AT_ONCE; i++) {
            crowd.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ASSERT_TRUE(connects(crowd.back(), service.port)) << strerror(errno);
            switch (i % 4) {
            case 0: /* Dropped at once, unread bytes and all. */
                crowd.back().send("dropped");
                reset_at_close(crowd.back());
                crowd.back().close();
                break;
            case 1: /* Ends properly, without a word. */
                crowd.back().close();
                break;
            case 2: /* Says something and does not listen. */
                crowd.back().send("unheard");
                break;
            default:
                break;
            }
        }
        ASSERT_TRUE(is_answered(stays)) << "others keep their service";
        for (const Peer &peer : crowd)
            reset_at_close(peer);
    }
    EXPECT_TRUE(soon([&] { return open_descriptors() == before; }));
    const long grown_bytes = resident_bytes() - bytes_before;
    EXPECT_LT(grown_bytes, 4L << 20) << "by those who have gone";
    printf("%d connections, %ld KiB more\n", count, grown_bytes / 1024);
    stays.end();
    EXPECT_TRUE(stays.at_end());
    ASSERT_TRUE(service.drains());
    service.stop();
    EXPECT_EQ(static_cast<uint64_t>(count) + 1, service.stage.stats.accepted);
    EXPECT_EQ(0u, service.stage.stats.active);
    EXPECT_EQ(0u, service.stage.stats.cancelled);
}

/* ----------------------------------------------------------------------------- slow peers -- */

/* Those who say a word now and then, and those who ask for much and read nothing. */
TEST(ServerCrowd, OfSlowPeersHoldsNobodyUp)
{
    enum { WRITERS = 200, READERS = 100, ROUNDS = 5 };
    Running service("127.0.0.1:0");
    Peer stays = Peer::connected(service.port);
    ASSERT_TRUE(is_answered(stays));
    const long before = open_descriptors();
    const long bytes_before = resident_bytes();
    std::vector<Peer> crowd;
    const std::string much(16 << 10, 'm');
    for (int i = 0; i < WRITERS + READERS; i++) {
        crowd.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int few_bytes = 4096;
        setsockopt(crowd.back().fd, SOL_SOCKET, SO_RCVBUF, &few_bytes, sizeof(few_bytes));
        ASSERT_TRUE(connects(crowd.back(), service.port)) << strerror(errno);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WRITERS; i++)
            ASSERT_TRUE(crowd[static_cast<size_t>(i)].send("s"));
        for (int i = WRITERS; i < WRITERS + READERS; i++) {
            for (int part = 0; part < 64; part++) /* A megabyte, or until it is held back. */
                (void)!(::send(crowd[static_cast<size_t>(i)].fd, much.data(), much.size(),
                        MSG_DONTWAIT | MSG_NOSIGNAL));
        }
        ASSERT_TRUE(is_answered(stays)) << round;
    }
    const long grown_bytes = resident_bytes() - bytes_before;
    EXPECT_LT(grown_bytes, 64L << 20);
    printf("%d slow peers, %ld KiB\n", WRITERS + READERS, grown_bytes / 1024);
    for (const Peer &peer : crowd)
        reset_at_close(peer);
    crowd.clear();
    EXPECT_TRUE(soon([&] { return open_descriptors() == before; }));
    EXPECT_TRUE(is_answered(stays));
}

/* ---------------------------------------------------------------------------------- resets -- */

/* In each state that a connection has, and the server in each of its own. */
TEST(ServerCrowd, ThatResetsInEveryStateLeavesNothing)
{
    Running service("127.0.0.1:0");
    Peer stays = Peer::connected(service.port);
    ASSERT_TRUE(is_answered(stays));
    const long before = open_descriptors();
    const std::string much(3 << 20, 'm');
    const std::function<void(Peer &)> states[] = {
            [](Peer &) {},                                       /* Maybe not accepted. */
            [](Peer &peer) { EXPECT_TRUE(is_answered(peer)); },  /* It reads. */
            [](Peer &peer) { peer.send("unread"); },             /* It answers. */
            [](Peer &peer) { peer.end(); },                      /* It has seen an end. */
            [](Peer &peer) { peer.send("x"), peer.end(); },      /* It sees one. */
            [](Peer &peer) { peer.end(), (void)peer.at_end(); }, /* It has ended, too. */
            [&](Peer &peer) { /* It is held back in its writes. */
                while (::send(peer.fd, much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                    ;
            },
    };
    for (int round = 0; round < 20; round++) {
        for (const auto &state : states) {
            Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ASSERT_TRUE(connects(peer, service.port));
            state(peer);
            reset_at_close(peer);
        }
        ASSERT_TRUE(is_answered(stays));
    }
    EXPECT_TRUE(soon([&] { return open_descriptors() == before; }));
}

} // namespace
