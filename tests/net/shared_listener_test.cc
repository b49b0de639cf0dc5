/* SPDX-License-Identifier: MIT */
/* coil/shared_listener.h: who gets a connection, that each is served, and the ends. */
#include "peer.h"

#include <coil/kernel.h>
#include <coil/shared_listener.h>
extern "C" {
#include "shared_private.h"
}

#include <fcntl.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <vector>

#include <coil/sugar.h>

namespace
{

enum { LOOPS = 3 };

struct Counts {
    std::atomic<int> live{0};
    std::atomic<int> served{0};
};

/* What the coroutines of a test share. */
struct Stage {
    coil_shared_listener *shared = nullptr;
    Counts counts[LOOPS];
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    int leaving = -1;  /* This worker closes its share at once. */
    int crowded = -1;  /* This one has other tasks. */
    bool waits = true; /* Sessions go on until their peer ends. */
};

Stage *stage; /* A handler has no other way to it. */

thread_local int loop_index;

/* Say which loop this is; then echo until the peer ends. */
async(int, session, (coil_stream *) peer)
{
    vars(char name; coil_slice in; Counts *mine);

    defer(coil_stream_close(peer));
    my->mine = &stage->counts[loop_index];
    my->mine->live++;
    defer(my->mine->live--);
    defer(coil_slice_release(&my->in));
    my->name = static_cast<char>('0' + loop_index);
    attempt(coil_write_all(peer, coil_bytes(&my->name, 1)));
    my->mine->served++;
    while (stage->waits) {
        attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            return 0;
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
    return 0;
}

async(int, serve, (coil_worker *) worker)
{
    vars(coil_listener *listener; int rc; coil_group others);

    loop_index = static_cast<int>(worker->index);
    my->rc = coil_shared_listener_open(stage->shared, worker, &my->listener);
    EXPECT_EQ(0, my->rc);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->others);
    for (int i = 0; loop_index == stage->crowded && i < 50; i++)
        spawn(&my->others, coil_sleep(COIL_FOREVER));
    stage->begun++;
    defer(stage->ended++);
    if (loop_index == stage->leaving)
        return 0;
    attempt(coil_serve_gracefully(my->listener, coil_handler(session, coil_stream *)));
    return 0;
}

class SharedListener : public testing::Test
{
protected:
    SharedListener()
    {
        alarm(60);
        stage = &ours;
        options.loop_count = LOOPS;
    }

    ~SharedListener() override
    {
        stop(0);
        coil_shared_listener_destroy(ours.shared);
        alarm(0);
    }

    void listen(coil_share share, const char *address = "127.0.0.1:0")
    {
        options.share = share;
        ASSERT_EQ(0, coil_shared_listener_create(address, &options, &ours.shared));
        port = coil_address_port(coil_shared_listener_address(ours.shared));
    }

    void run()
    {
        char reason[COIL_REASON_BYTES] = "";
        coil_runtime_options all = {};
        all.loop_count = LOOPS;
        all.main = coil_handler(serve, coil_worker *);
        ASSERT_EQ(0, coil_runtime_create(&all, &runtime, reason)) << reason;
    }

    void start(coil_share share)
    {
        listen(share);
        run();
        EXPECT_TRUE(soon([this] { return ours.begun == LOOPS; }));
    }

    void stop(coil_duration grace)
    {
        if (runtime == nullptr)
            return;
        coil_runtime_stop(runtime, grace);
        EXPECT_EQ(0, coil_runtime_join(runtime));
        coil_runtime_destroy(runtime);
        runtime = nullptr;
    }

    /* So many connections, each of which has been answered: by which loop is counted. */
    void connect(int count)
    {
        for (int i = 0; i < count; i++)
            add(Peer::connected(port));
    }

    void add(Peer peer)
    {
        const std::string name = peer.receive(1);
        ASSERT_EQ(1u, name.size()) << strerror(peer.broken);
        by_loop[name[0] - '0']++;
        peers.push_back(std::move(peer));
    }

    int imbalance() const
    {
        return *std::max_element(by_loop, by_loop + LOOPS) -
               *std::min_element(by_loop, by_loop + LOOPS);
    }

    int live() const
    {
        int sum = 0;
        for (const Counts &counts : ours.counts)
            sum += counts.live;
        return sum;
    }

    uint64_t given() const
    {
        uint64_t sum = 0;
        for (unsigned i = 0; i < LOOPS; i++)
            sum += coil_shared_listener_given(ours.shared, i);
        return sum;
    }

    Stage ours;
    coil_share_options options = {};
    coil_runtime *runtime = nullptr;
    uint16_t port = 0;
    std::vector<Peer> peers;
    int by_loop[LOOPS] = {};
};

TEST_F(SharedListener, ByTurnsEveryLoopGetsItsShareGiveOrTakeOne)
{
    start(COIL_SHARE_BY_TURNS);
    connect(100);
    EXPECT_LE(imbalance(), 1);
    EXPECT_EQ(100u, given());
    EXPECT_EQ(static_cast<uint64_t>(by_loop[1]), coil_shared_listener_given(ours.shared, 1));
}

TEST_F(SharedListener, ByTurnsABurstIsSharedAsWell)
{
    listen(COIL_SHARE_BY_TURNS);
    std::vector<Peer> waiting;
    for (int i = 0; i < 90; i++)
        waiting.push_back(Peer::connected(port)); /* Nobody accepts yet. */
    run();
    for (Peer &peer : waiting)
        add(std::move(peer));
    EXPECT_EQ(0, imbalance());
}

TEST_F(SharedListener, ByLoadTheLoopWithTheFewestTasksGetsTheNext)
{
    ours.crowded = 1;
    start(COIL_SHARE_LEAST_BUSY);
    std::this_thread::sleep_for(std::chrono::milliseconds(20)); /* Each has had a turn. */
    connect(40);
    EXPECT_EQ(0, by_loop[1]) << "it has 50 tasks already";
    EXPECT_LE(std::abs(by_loop[0] - by_loop[2]), 4) << "one of them has the accepting task besides";
}

TEST_F(SharedListener, ByTheKernelAllAreServed)
{
    start(COIL_SHARE_BY_KERNEL);
    connect(200);
    EXPECT_EQ(200u, given());
    for (const int count : by_loop)
        EXPECT_GT(count, 20) << "the hash spreads them, if not evenly";
}

TEST_F(SharedListener, EchoesOnEveryConnectionWhoeverHasIt)
{
    for (const coil_share share :
            {COIL_SHARE_BY_TURNS, COIL_SHARE_LEAST_BUSY, COIL_SHARE_BY_KERNEL}) {
        ours.begun = 0;
        start(share);
        connect(30);
        for (Peer &peer : peers)
            EXPECT_TRUE(peer.send("hello"));
        for (Peer &peer : peers)
            EXPECT_EQ("hello", peer.receive(5));
        peers.clear();
        EXPECT_TRUE(soon([this] { return live() == 0; }));
        stop(coil_s(5));
        coil_shared_listener_destroy(ours.shared);
        ours.shared = nullptr;
    }
}

TEST_F(SharedListener, AStopWaitsForTheConnectionsThatThereAre)
{
    for (const coil_share share : {COIL_SHARE_BY_TURNS, COIL_SHARE_BY_KERNEL}) {
        ours.begun = 0;
        start(share);
        connect(20);
        coil_runtime_stop(runtime, coil_s(20));
        EXPECT_TRUE(soon([this] { /* Whoever connects now is refused. */
            const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            sockaddr_in to = {};
            to.sin_family = AF_INET;
            to.sin_port = htons(port);
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            const bool refused = ::connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)) < 0;
            close(fd);
            return refused;
        }));
        for (Peer &peer : peers) {
            EXPECT_TRUE(peer.send("a"));
            EXPECT_EQ("a", peer.receive(1)) << "still served";
            peer.end();
            EXPECT_TRUE(peer.at_end());
        }
        peers.clear();
        EXPECT_EQ(0, coil_runtime_join(runtime));
        coil_runtime_destroy(std::exchange(runtime, nullptr));
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    }
}

TEST_F(SharedListener, AStopCancelsThoseThatDoNotEnd)
{
    for (const coil_share share : {COIL_SHARE_BY_TURNS, COIL_SHARE_BY_KERNEL}) {
        ours.begun = 0;
        start(share);
        connect(20);
        stop(0);
        EXPECT_EQ(0, live());
        for (Peer &peer : peers)
            EXPECT_EQ("", peer.receive(1));
        peers.clear();
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    }
}

TEST_F(SharedListener, WhatHadComeBeforeTheStopIsServed)
{
    for (const coil_share share : {COIL_SHARE_BY_TURNS, COIL_SHARE_BY_KERNEL}) {
        ours.waits = false;
        listen(share);
        std::vector<Peer> waiting;
        for (int i = 0; i < 30; i++)
            waiting.push_back(Peer::connected(port));
        run();
        stop(coil_s(20));
        for (Peer &peer : waiting)
            EXPECT_EQ(1u, peer.receive(1).size()) << strerror(peer.broken);
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    }
}

TEST_F(SharedListener, ALoopThatHasLeftGetsNoMore)
{
    ours.leaving = 2;
    start(COIL_SHARE_BY_TURNS);
    EXPECT_TRUE(soon([this] { return ours.ended == 1; }));
    connect(41);
    EXPECT_EQ(0, by_loop[2]);
    EXPECT_LE(std::abs(by_loop[0] - by_loop[1]), 1 + 3) << "some may have been on their way";
}

TEST_F(SharedListener, WithoutTheOneThatAcceptsTheOthersServeWhatTheyHave)
{
    ours.leaving = 0;
    start(COIL_SHARE_BY_TURNS);
    EXPECT_TRUE(soon([this] { return ours.ended == 1; }));
    EXPECT_TRUE(soon([this] {
        Peer late(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return ::connect(late.fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)) < 0;
    })) << "nobody listens";
    EXPECT_EQ(1, ours.ended) << "the others wait for the stop";
}

TEST_F(SharedListener, AFullLoopIsPassedOver)
{
    options.listen.max_connections = 2;
    start(COIL_SHARE_BY_TURNS);
    connect(2 * LOOPS);
    EXPECT_EQ(0, imbalance());
    std::vector<Peer> waiting;
    for (int i = 0; i < 5; i++)
        waiting.push_back(Peer::connected(port));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(2 * LOOPS, live());
    peers.clear();
    for (Peer &peer : waiting)
        EXPECT_EQ(1u, peer.receive(1).size()) << "served when there is room";
}

TEST_F(SharedListener, ConnectionsThatNobodyHasTakenAreClosedAtTheEnd)
{
    listen(COIL_SHARE_BY_TURNS);
    Peer waiting = Peer::connected(port);
    coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    EXPECT_EQ("", waiting.receive(1));
}

TEST_F(SharedListener, SharesAUnixSocketByTurnsAndRemovesIt)
{
    const std::string path = "/tmp/coil-shared-" + std::to_string(getpid());
    listen(COIL_SHARE_BY_TURNS, ("unix:" + path).c_str());
    run();
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof(at.sun_path) - 1);
    for (int i = 0; i < 9; i++) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_EQ(0, ::connect(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
        add(Peer(fd));
    }
    EXPECT_EQ(0, imbalance());
    stop(0);
    EXPECT_EQ(-1, access(path.c_str(), F_OK));
}

TEST_F(SharedListener, ReportsWhyItCannotListen)
{
    coil_shared_listener *none = nullptr;
    coil_share_options wrong = options;

    EXPECT_EQ(-EINVAL, coil_shared_listener_create("nonsense", &wrong, &none));
    EXPECT_EQ(-EADDRNOTAVAIL, coil_shared_listener_create("192.0.2.1:0", nullptr, &none));
    wrong.listen.direct_sockets = true;
    EXPECT_EQ(-EOPNOTSUPP, coil_shared_listener_create("127.0.0.1:0", &wrong, &none));
    wrong.listen.direct_sockets = false;
    wrong.share = COIL_SHARE_BY_KERNEL;
    EXPECT_EQ(-EOPNOTSUPP, coil_shared_listener_create("unix:/tmp/no", &wrong, &none));
    for (unsigned share : {3u, 0xffffffffu}) {
        memcpy(&wrong.share, &share, sizeof(share)); /* As C could set it. */
        EXPECT_EQ(-EINVAL, coil_shared_listener_create("127.0.0.1:0", &wrong, &none)) << share;
    }

    listen(COIL_SHARE_BY_TURNS);
    char text[COIL_ADDRESS_TEXT_BYTES];
    EXPECT_EQ(-EADDRINUSE,
            coil_shared_listener_create(
                    coil_address_format(coil_shared_listener_address(ours.shared), text), nullptr,
                    &none));
    EXPECT_EQ(static_cast<unsigned>(LOOPS), coil_shared_listener_count(ours.shared));
}

TEST_F(SharedListener, ClosesTheOthersIfTheFirstIsNotOpen)
{
    coil_shared_listener *none = nullptr;
    int fds[3];
    for (int &fd : fds)
        fd = coil_listen_socket("127.0.0.1:0", nullptr, nullptr);
    ASSERT_EQ(0, close(fds[0]));
    const coil_share_options three = {.share = COIL_SHARE_BY_KERNEL, .loop_count = 3, .listen = {}};
    EXPECT_EQ(-EBADF, shared_listener_adopt(fds, 3, &three, &none));
    EXPECT_EQ(-1, fcntl(fds[1], F_GETFD));
    EXPECT_EQ(-1, fcntl(fds[2], F_GETFD));
}

TEST_F(SharedListener, SurvivesConnectionsThatComeAndGoWhileItStops)
{
    for (int round = 0; round < 20; round++) {
        start(round % 2 == 0 ? COIL_SHARE_BY_TURNS : COIL_SHARE_BY_KERNEL);
        std::atomic<bool> done{false};
        Thread clients([&] {
            while (!done) {
                Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                sockaddr_in to = {};
                to.sin_family = AF_INET;
                to.sin_port = htons(port);
                to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                if (::connect(peer.fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)) == 0)
                    (void)peer.receive(1);
            }
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        stop(coil_ms(round));
        done = true;
        EXPECT_EQ(0, live());
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
        ours.begun = 0;
    }
}

/* ------------------------------------------------------------------------------- everywhere -- */

async(int, say_done, (coil_stream *) peer)
{
    vars();
    defer(coil_stream_close(peer));
    attempt(coil_write_all(peer, coil_text("done")));
    return 0;
}

TEST(ServeEverywhere, ServesUntilASignal)
{
    const std::string path = "/tmp/coil-everywhere-" + std::to_string(getpid());
    sigset_t term;
    sigset_t before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before); /* The thread of the client inherits that. */
    Thread client([&path] {
        sockaddr_un at = {};
        at.sun_family = AF_UNIX;
        path.copy(at.sun_path, sizeof(at.sun_path) - 1);
        EXPECT_TRUE(soon([&] {
            Peer peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            return ::connect(peer.fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)) == 0 &&
                   peer.receive(4) == "done";
        }));
        kill(getpid(), SIGTERM);
    });
    coil_share_options options = {};
    options.loop_count = 2;
    EXPECT_EQ(0, coil_serve_everywhere(("unix:" + path).c_str(), &options,
                         coil_handler(say_done, coil_stream *)));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(ServeEverywhere, SaysWhyItCannotListen)
{
    testing::internal::CaptureStderr();
    EXPECT_EQ(-EINVAL,
            coil_serve_everywhere("nonsense", nullptr, coil_handler(say_done, coil_stream *)));
    EXPECT_NE(std::string::npos,
            testing::internal::GetCapturedStderr().find("cannot listen at nonsense"));
}

} // namespace
