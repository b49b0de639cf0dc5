/* SPDX-License-Identifier: MIT */
#include "generations.h"

#include <coil/handover.h>
#include <coil/runtime.h>
#include <coil/server.h>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

TEST_F(Handover, BeginsWithNothing)
{
    Running first(generation("1"));
    EXPECT_EQ(0, first.self->inherited);
    EXPECT_EQ("1x", asked(first.self->ports[0]));
}

TEST_F(Handover, GivesTheSocketToTheSuccessor)
{
    Running first(generation("1"));
    const uint16_t port = first.self->ports[0];
    Running second(generation("2"));
    EXPECT_EQ(1, second.self->inherited);
    EXPECT_EQ(port, second.self->ports[0]);
    EXPECT_TRUE(first.ends());
    EXPECT_EQ(0, first.self->rc);
    EXPECT_EQ("2x", asked(port));
    first.stop();
    EXPECT_EQ("2x", asked(port));
}

TEST_F(Handover, KeepsThePathOfAUnixSocket)
{
    const std::string at = directory + "/service";
    auto one = generation("1");
    one->sockets = {{"local", "unix:" + at}};
    auto other = generation("2");
    other->sockets = one->sockets;
    {
        Running first(std::move(one));
        EXPECT_EQ("1x", asked(at));
        Running second(std::move(other));
        EXPECT_TRUE(first.ends());
        first.stop();
        EXPECT_EQ("2x", asked(at));
    }
    EXPECT_FALSE(std::filesystem::exists(at)) << "the last one removes it";
}

TEST_F(Handover, OpensWhatIsNewAndClosesWhatIsNotWanted)
{
    const std::string old_path = directory + "/old";
    auto one = generation("1");
    one->sockets = {{"old", "unix:" + old_path}, {"kept", "127.0.0.1:0"}};
    auto other = generation("2");
    other->sockets = {{"kept", "127.0.0.1:0"}, {"new", "127.0.0.1:0"}};
    Running first(std::move(one));
    Running second(std::move(other));
    EXPECT_EQ(2, second.self->inherited);
    EXPECT_EQ(first.self->ports[1], second.self->ports[0]);
    EXPECT_TRUE(first.ends());
    first.stop();
    EXPECT_EQ("2x", asked(second.self->ports[0]));
    EXPECT_EQ("2x", asked(second.self->ports[1]));
    EXPECT_FALSE(std::filesystem::exists(old_path));
}

TEST_F(Handover, ChangesNothingIfTheSuccessorFails)
{
    Running first(generation("1"));
    for (int i = 0; i < 3; i++) {
        auto failing = generation("2");
        failing->becomes_ready = false;
        Running second(std::move(failing));
        EXPECT_EQ(1, second.self->inherited);
        second.stop();
    }
    EXPECT_EQ(1, first.self->rc) << "it serves";
    EXPECT_EQ("1x", asked(first.self->ports[0]));
    EXPECT_TRUE(std::filesystem::exists(path));
    Running third(generation("3"));
    EXPECT_TRUE(first.ends());
    EXPECT_EQ("3x", asked(third.self->ports[0]));
}

/* The socket at which others would ask, without a predecessor behind it. */
class FalsePredecessor
{
public:
    explicit FalsePredecessor(const std::string &at)
        : path(at), fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)));
    }

    ~FalsePredecessor()
    {
        close(fd);
        unlink(path.c_str());
    }

    FalsePredecessor(const FalsePredecessor &) = delete;
    FalsePredecessor &operator=(const FalsePredecessor &) = delete;

    int listens() const
    {
        return listen(fd, 1);
    }

    Peer accepted() const
    {
        return Peer(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
    }

private:
    std::string path;
    int fd;
};

TEST_F(Handover, RefusesWhatIsNoPredecessor)
{
    const FalsePredecessor predecessor(path);
    ASSERT_EQ(0, predecessor.listens());
    for (const std::string &answer : {std::string(), std::string("short"), std::string(500, 'x')}) {
        Thread server([&] { predecessor.accepted().send(answer); });
        Running wrong(generation("1"));
        EXPECT_EQ(answer.empty() ? -ECONNRESET : -EBADMSG, wrong.self->inherited);
    }
}

void send_with_fd(const Peer &peer, const std::string &bytes, int fd)
{
    std::string copy = bytes;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {};
    iovec part = {copy.data(), copy.size()};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    EXPECT_EQ(static_cast<ssize_t>(copy.size()), sendmsg(peer.fd, &message, MSG_NOSIGNAL));
}

/* Of descriptors there are as many as it says, or it is none. */
TEST_F(Handover, RefusesAnOfferOfMoreThanItHas)
{
    const FalsePredecessor predecessor(path);
    ASSERT_EQ(0, predecessor.listens());
    for (const char count : {'\0', '\2', '\x7f'}) {
        const std::string head = std::string("coil-ho1") + count + std::string(7, '\0');
        Thread server([&] {
            const Peer peer = predecessor.accepted();
            send_with_fd(peer, head + std::string(10000, '\0'), STDIN_FILENO);
        });
        Running wrong(generation("1"));
        EXPECT_EQ(-EBADMSG, wrong.self->inherited);
    }
}

/* Whose a socket is, is who has called listen(2). */
TEST_F(Handover, RefusesAPredecessorOfAnotherUser)
{
    enum { NOBODY = 65534 };
    if (geteuid() != 0)
        GTEST_SKIP() << "only root can be somebody else";
    const FalsePredecessor predecessor(path);
    Thread([&] {
        const uid_t same = static_cast<uid_t>(-1); /* Of this thread alone: not as libc has it. */
        ASSERT_EQ(0, syscall(SYS_setresuid, same, NOBODY, same));
        ASSERT_EQ(0, predecessor.listens());
    });
    Running wrong(generation("1"));
    EXPECT_EQ(-EPERM, wrong.self->inherited);
}

/* ------------------------------------------------------------------------------- under load -- */

/* Connects, asks, reads, again and again, as any client does; one that fails is counted. */
class Clients
{
public:
    Clients(uint16_t to, unsigned count) : port(to)
    {
        for (unsigned i = 0; i < count; i++)
            threads.emplace_back([this] { ask(); });
    }

    ~Clients()
    {
        stop();
    }

    void stop()
    {
        done = true;
        for (std::thread &thread : threads)
            thread.join();
        threads.clear();
    }

    std::atomic<uint64_t> answered{0};
    std::atomic<uint64_t> failed{0};

    /* Which steps have failed, and why. */
    std::string failures()
    {
        const std::lock_guard<std::mutex> guard(lock);
        return what;
    }

private:
    /* Empty: it was answered. */
    static std::string failing_step(Peer &peer, const sockaddr_in &to)
    {
        errno = 0;
        if (connect(peer.fd, reinterpret_cast<const sockaddr *>(&to), sizeof(to)) != 0)
            return "connect";
        if (!peer.send("x"))
            return "send";
        return peer.receive(2).size() == 2 ? "" : "receive";
    }

    void ask()
    {
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        while (!done) {
            Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            const std::string step = failing_step(peer, to);
            if (step.empty()) {
                answered++;
            } else {
                const std::lock_guard<std::mutex> guard(lock);
                what += step + ": " + strerror(errno) + "; ";
                failed++;
            }
            const linger now = {1, 0}; /* No TIME_WAIT: ports are for the next ones. */
            setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        }
    }

    uint16_t port;
    std::mutex lock;
    std::string what;
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
};

class HandoverUnderLoad : public Handover
{
protected:
    /* While so many clients connect, hand over again and again. */
    void hand_over(unsigned client_count)
    {
        const int restarts = getenv("COIL_LONG") != nullptr ? 1000 : 25;
        auto now = std::make_unique<Running>(generation("0"));
        uint64_t served = 0;
        Clients clients(now->self->ports[0], client_count);
        for (int i = 0; i < restarts; i++) {
            const uint64_t before = clients.answered;
            auto next = std::make_unique<Running>(generation(std::to_string(i % 10)));
            ASSERT_EQ(1, next->self->inherited);
            ASSERT_TRUE(now->ends());
            EXPECT_EQ(0, now->self->rc);
            now->stop();
            served += now->self->stats.accepted;
            now = std::move(next);
            ASSERT_TRUE(soon([&] { return clients.answered > before + 4; }));
        }
        clients.stop();
        EXPECT_EQ(0u, clients.failed) << clients.failures();
        now->stop();
        served += now->self->stats.accepted;
        EXPECT_GE(served, clients.answered);
        printf("%d hand-overs, %lu connections, %lu failed\n", restarts,
                static_cast<unsigned long>(clients.answered),
                static_cast<unsigned long>(clients.failed));
    }
};

TEST_F(HandoverUnderLoad, FailsNoConnection)
{
    hand_over(4);
}

/* Nobody else comes who would wake the one that is to accept this. */
TEST_F(HandoverUnderLoad, FailsNoConnectionOfASingleClient)
{
    hand_over(1);
}

/* -------------------------------------------------------------------------------- all loops -- */

enum { LOOPS = 2 };

/* One process of a service on all loops; here, a runtime. */
struct Everywhere {
    coil_handover *handover = nullptr;
    coil_shared_listener *shared = nullptr;
    coil_runtime *runtime = nullptr;
    std::promise<void> is_up;
    std::string number = "0";
    std::atomic<uint64_t> accepted{0};
};

struct ShareServer {
    coil_server server;
    Everywhere *all;
};

async(int, answer_word, (coil_session *) session)
{
    vars(coil_slice in; Everywhere *all);
    attempt(my->in, coil_read_some(session->stream));
    defer(coil_slice_release(&my->in));
    if (coil_slice_empty(&my->in))
        return 0;
    my->all = coil_container_of(session->server, ShareServer, server)->all;
    attempt(coil_write_all(session->stream, coil_text(my->all->number.c_str())));
    attempt(coil_write_all(session->stream, my->in));
    return 0;
}

async(int, step_down_everywhere, (Everywhere *) self)
{
    vars();
    attempt(coil_handover_ready(self->handover));
    self->is_up.set_value();
    attempt(coil_handover_requested(self->handover));
    coil_runtime_stop(self->runtime, coil_s(10));
    return 0;
}

async(int, serve_on_loop, (coil_worker *) worker)
{
    vars(ShareServer share; coil_listener *listener; coil_group group; int rc);

    my->share.all = static_cast<Everywhere *>(worker->argument);
    if (worker->index == 0)
        my->share.all->runtime = worker->runtime;
    my->rc = coil_shared_listener_open(my->share.all->shared, worker, &my->listener);
    if (my->rc < 0)
        return my->rc;
    coil_server_init(&my->share.server, coil_handler(answer_word, coil_session *));
    defer({
        my->share.all->accepted += my->share.server.stats.accepted;
        coil_server_fini(&my->share.server);
    });
    coil_server_add(&my->share.server, my->listener);
    open_group(&my->group);
    if (worker->index == 0)
        spawn(&my->group, step_down_everywhere(my->share.all));
    attempt(coil_server_serve(&my->share.server));
    return 0;
}

async(int, open_handover, (const char *) at, (coil_handover **) out_handover)
{
    vars(int rc);
    await(my->rc, coil_handover_open(at, out_handover));
    return my->rc;
}

/* It runs until it has handed over, or is stopped. */
class RunningEverywhere
{
public:
    RunningEverywhere(const std::string &at, coil_share share, const std::string &number,
            const char *address = "127.0.0.1:0")
    {
        coil_share_options options = {};
        options.share = share;
        options.loop_count = LOOPS;
        self.number = number;
        inherited = coil_run(open_handover(at.c_str(), &self.handover));
        EXPECT_LE(0, inherited);
        EXPECT_EQ(0, coil_handover_share(self.handover, "echo", address, &options, &self.shared));
        EXPECT_EQ(-EEXIST,
                coil_handover_share(self.handover, "echo", address, &options, &self.shared));
        port = coil_address_port(coil_shared_listener_address(self.shared));
        coil_runtime_options all = {};
        all.loop_count = LOOPS;
        all.main = coil_handler(serve_on_loop, coil_worker *);
        all.argument = &self;
        EXPECT_EQ(0, coil_runtime_create(&all, &runtime, nullptr));
        self.is_up.get_future().wait();
    }

    ~RunningEverywhere()
    {
        end();
    }

    /* Wait for the hand-over; or stop. */
    void end(bool stops = true)
    {
        if (runtime == nullptr)
            return;
        if (stops)
            coil_runtime_stop(runtime, coil_s(10));
        EXPECT_EQ(0, coil_runtime_join(runtime));
        coil_runtime_destroy(std::exchange(runtime, nullptr));
        coil_handover_close(self.handover);
        coil_shared_listener_destroy(self.shared);
    }

    Everywhere self;
    int inherited = -1;
    uint16_t port = 0;

private:
    coil_runtime *runtime = nullptr;
};

class HandoverEverywhere : public Handover, public testing::WithParamInterface<coil_share>
{
};

TEST_P(HandoverEverywhere, FailsNoConnectionUnderLoad)
{
    const int restarts = getenv("COIL_LONG") != nullptr ? 300 : 15;
    auto now = std::make_unique<RunningEverywhere>("unix:" + path, GetParam(), "0");
    const uint16_t port = now->port;
    uint64_t served = 0;
    Clients clients(port, 3);
    for (int i = 0; i < restarts; i++) {
        const uint64_t before = clients.answered;
        auto next = std::make_unique<RunningEverywhere>(
                "unix:" + path, GetParam(), std::to_string(i % 10));
        EXPECT_EQ(GetParam() == COIL_SHARE_BY_KERNEL ? LOOPS : 1, next->inherited);
        EXPECT_EQ(port, next->port);
        now->end(false);
        served += now->self.accepted;
        now = std::move(next);
        ASSERT_TRUE(soon([&] { return clients.answered > before + 4; }));
    }
    clients.stop();
    EXPECT_EQ(0u, clients.failed) << clients.failures();
    now->end();
    served += now->self.accepted;
    EXPECT_GE(served, clients.answered);
}

std::string name_of(coil_share share)
{
    if (share == COIL_SHARE_BY_TURNS)
        return "by_turns";
    return share == COIL_SHARE_BY_KERNEL ? "by_kernel" : "least_busy";
}

INSTANTIATE_TEST_SUITE_P(As, HandoverEverywhere,
        testing::Values(COIL_SHARE_BY_TURNS, COIL_SHARE_LEAST_BUSY, COIL_SHARE_BY_KERNEL),
        [](const auto &one) { return name_of(one.param); });

TEST_F(Handover, KeepsThePathOfASharedUnixSocket)
{
    const std::string at = directory + "/service";
    const std::string address = "unix:" + at;
    {
        RunningEverywhere first("unix:" + path, COIL_SHARE_BY_TURNS, "1", address.c_str());
        EXPECT_EQ("1x", asked(at));
        RunningEverywhere second("unix:" + path, COIL_SHARE_BY_TURNS, "2", address.c_str());
        first.end(false);
        EXPECT_EQ("2x", asked(at));
    }
    EXPECT_FALSE(std::filesystem::exists(at)) << "the last one removes it";
}

/* The predecessor of a process of many loops, without its loops. */
async(int, let_go, (coil_handover *) handover)
{
    vars();
    attempt(coil_handover_ready(handover));
    attempt(coil_handover_requested(handover));
    return 0;
}

async(int, take_over, (coil_handover *) handover)
{
    vars();
    attempt(coil_handover_ready(handover));
    return 0;
}

TEST_F(Handover, CountsInheritedSocketsOnce)
{
    const std::string at = "unix:" + path;
    coil_share_options options = {};
    options.share = COIL_SHARE_BY_KERNEL;
    options.loop_count = COIL_HANDOVER_SOCKETS - 1; /* And the one where we ask. */
    coil_handover *handovers[2] = {};
    coil_shared_listener *shared[2] = {};

    EXPECT_EQ(0, coil_run(open_handover(at.c_str(), &handovers[0])));
    EXPECT_EQ(0, coil_handover_share(handovers[0], "a", "127.0.0.1:0", &options, &shared[0]));
    std::thread predecessor([&] { EXPECT_EQ(0, coil_run(let_go(handovers[0]))); });
    EXPECT_EQ(COIL_HANDOVER_SOCKETS - 1, coil_run(open_handover(at.c_str(), &handovers[1])));
    EXPECT_EQ(0, coil_handover_share(handovers[1], "a", "127.0.0.1:0", &options, &shared[1]));
    options.loop_count = 1;
    coil_shared_listener *none = nullptr;
    EXPECT_EQ(-ENOSPC, coil_handover_share(handovers[1], "b", "127.0.0.1:0", &options, &none));
    EXPECT_EQ(0, coil_run(take_over(handovers[1])));
    predecessor.join();
    for (int i = 0; i < 2; i++) {
        coil_handover_close(handovers[i]);
        coil_shared_listener_destroy(shared[i]);
    }
}

TEST_F(Handover, HasNoRoomForSocketsBeyondNumber)
{
    coil_share_options options = {};
    options.share = COIL_SHARE_BY_KERNEL;
    options.loop_count = UINT32_MAX;
    coil_handover *handover = nullptr;
    coil_shared_listener *none = nullptr;
    const std::string at = "unix:" + path;

    EXPECT_EQ(0, coil_run(open_handover(at.c_str(), &handover)));
    EXPECT_EQ(-ENOSPC, coil_handover_share(handover, "a", "127.0.0.1:0", &options, &none));
    coil_handover_close(handover);
}

TEST_F(Handover, OffersTheOthersStillWhenAShareHasFailed)
{
    const std::string at = "unix:" + path;
    coil_handover *handovers[2] = {};
    coil_shared_listener *shared = nullptr;
    coil_shared_listener *none = nullptr;

    EXPECT_EQ(0, coil_run(open_handover(at.c_str(), &handovers[0])));
    EXPECT_EQ(0, coil_handover_share(handovers[0], "a", "127.0.0.1:0", nullptr, &shared));
    char taken[COIL_ADDRESS_TEXT_BYTES];
    coil_address_format(coil_shared_listener_address(shared), taken);
    EXPECT_EQ(-EADDRINUSE, coil_handover_share(handovers[0], "b", taken, nullptr, &none));
    EXPECT_EQ(-EEXIST, coil_handover_share(handovers[0], "a", "127.0.0.1:0", nullptr, &none));
    std::thread predecessor([&] { EXPECT_EQ(0, coil_run(let_go(handovers[0]))); });
    EXPECT_EQ(1, coil_run(open_handover(at.c_str(), &handovers[1])));
    EXPECT_EQ(0, coil_run(take_over(handovers[1])));
    predecessor.join();
    coil_handover_close(handovers[0]);
    coil_handover_close(handovers[1]);
    coil_shared_listener_destroy(shared);
}

} // namespace
