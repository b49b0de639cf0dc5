/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <coil/kernel.h>
#include <coil/shutdown.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <filesystem>

#include <coil/sugar.h>

static int listen_error; /* That listen(2) fails with. */

extern "C" {
int __real_coil_kernel_listen(int fd, int backlog);
int __wrap_coil_kernel_listen(int fd, int backlog);

int __wrap_coil_kernel_listen(int fd, int backlog)
{
    return listen_error != 0 ? -listen_error : __real_coil_kernel_listen(fd, backlog);
}
}

namespace
{

/* Echo one read, and close. */
async(int, echo_once, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    attempt(my->in, coil_read_some(peer));
    defer(coil_slice_release(&my->in));
    attempt(coil_write_all(peer, my->in));
    return 0;
}

/* What a test says to a listener, and what it learns. */
struct Stage {
    explicit Stage(const char *where) : listen_at(where) {}

    std::string format(const coil_address *address)
    {
        char text[COIL_ADDRESS_TEXT_BYTES];
        return coil_address_format(address, text);
    }

    std::string listen_at;
    std::string connect_to; /* Empty: where it listens. */
    coil_listen_options options = {};
    std::string bound = "";
    int rc = 1;
    int second_rc = 1;
    std::string echoed = "";
    std::function<void()> check = [] {};
    bool listens_only = false;
};

async(int, serve_echo, (coil_listener *) listener)
{
    vars();
    attempt(coil_serve(listener, coil_handler(echo_once, coil_stream *)));
    return 0;
}

async(int, say_hello, (const char *) address, (Stage *) stage)
{
    vars(coil_stream *peer; coil_slice in);
    attempt(my->peer, coil_connect(address));
    defer(coil_stream_close(my->peer));
    attempt(coil_write_all(my->peer, coil_text("hello")));
    attempt(my->in, coil_read_block(my->peer, 5));
    stage->echoed.assign(my->in.bytes, static_cast<size_t>(my->in.size_bytes));
    coil_slice_release(&my->in);
    return 0;
}

/* Listen, try to listen once more at the same place, and say hello to ourselves. */
async(int, act, (Stage *) stage)
{
    vars(coil_listener *listener; coil_listener *second; coil_group group);

    stage->rc = coil_listen(stage->listen_at.c_str(), &stage->options, &my->listener);
    if (stage->rc < 0)
        return 0;
    defer(coil_listener_close(my->listener));
    stage->bound = stage->format(coil_listener_address(my->listener));
    if (stage->connect_to.empty())
        stage->connect_to = stage->bound;
    else
        stage->connect_to +=
                ":" + std::to_string(coil_address_port(coil_listener_address(my->listener)));
    stage->second_rc = coil_listen(stage->bound.c_str(), &stage->options, &my->second);
    if (stage->second_rc == 0)
        coil_listener_close(my->second);
    stage->check();
    if (stage->listens_only)
        return 0;

    open_group(&my->group);
    spawn(&my->group, serve_echo(my->listener));
    attempt(within(coil_s(5), say_hello(stage->connect_to.c_str(), stage)));
    return 0;
}

TEST(Listener, ListensAtALoopbackAddressWithAPortOfTheKernelsChoice)
{
    Stage stage("127.0.0.1:0");
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_NE("127.0.0.1:0", stage.bound);
    EXPECT_EQ("hello", stage.echoed);
    EXPECT_EQ(-EADDRINUSE, stage.second_rc);
}

TEST(Listener, ListensAtAnIpv6Address)
{
    Stage stage("[::1]:0");
    EXPECT_EQ(0, coil_run(act(&stage)));
    if (stage.rc == -EADDRNOTAVAIL || stage.rc == -EAFNOSUPPORT)
        GTEST_SKIP() << "no IPv6 here";
    EXPECT_EQ("hello", stage.echoed);
    EXPECT_EQ(-EADDRINUSE, stage.second_rc);
}

TEST(Listener, TakesBothKindsOfConnectionAtAStar)
{
    for (const char *from : {"127.0.0.1", "[::1]"}) {
        Stage stage("*:0");
        stage.connect_to = from;
        EXPECT_EQ(0, coil_run(act(&stage))) << from;
        EXPECT_EQ("hello", stage.echoed) << from;
    }
}

TEST(Listener, AcceptsDirectDescriptorsToo)
{
    Stage stage("127.0.0.1:0");
    stage.options.direct_sockets = true;
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ("hello", stage.echoed);
}

TEST(Listener, SharesAPort)
{
    Stage stage("127.0.0.1:0");
    stage.options.reuse_port = true;
    stage.options.backlog = 5;
    stage.listens_only = true;
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ(0, stage.second_rc);
}

/* Of a socket that listens, tcpi_sacked is how many may wait to be accepted (tcp_get_info()). */
TEST(Listener, KeepsAsManyAsItIsTold)
{
    for (const auto &[wanted, kept] : {std::pair{5, 5U}, std::pair{0, unsigned{SOMAXCONN}}}) {
        coil_listen_options options = {};
        options.backlog = wanted;
        const int fd = coil_listen_socket("127.0.0.1:0", &options, nullptr);
        tcp_info info = {};
        socklen_t size = sizeof(info);
        EXPECT_EQ(0, getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));
        EXPECT_GE(kept, info.tcpi_sacked) << "the system may have a lower limit";
        EXPECT_EQ(wanted == 5, info.tcpi_sacked == 5);
        close(fd);
    }
}

TEST(Listener, ReportsWhyItCannotListen)
{
    const std::pair<const char *, int> cases[] = {
            {"nonsense", -EINVAL},
            {"127.0.0.1:65536", -ERANGE},
            {"192.0.2.1:0", -EADDRNOTAVAIL},
            {"unix:/no/such/directory/socket", -ENOENT},
    };
    for (const auto &[address, error] : cases) {
        Stage stage(address);
        EXPECT_EQ(0, coil_run(act(&stage)));
        EXPECT_EQ(error, stage.rc) << address;
    }
}

TEST(Listener, ListensAtAnAbstractName)
{
    Stage stage(("unix:@coil-listener-test-" + std::to_string(getpid())).c_str());
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ(stage.listen_at, stage.bound);
    EXPECT_EQ("hello", stage.echoed);
    EXPECT_EQ(-EADDRINUSE, stage.second_rc);
}

class ListenerAtAPath : public testing::Test
{
protected:
    ListenerAtAPath()
    {
        char name[] = "/tmp/coil-listener-XXXXXX";
        directory = mkdtemp(name);
        path = directory + "/socket";
    }

    ~ListenerAtAPath() override
    {
        unlink(path.c_str());
        EXPECT_EQ(0, rmdir(directory.c_str()));
    }

    bool exists() const
    {
        struct stat status;
        return lstat(path.c_str(), &status) == 0;
    }

    /* A socket that was bound there by somebody who has not removed it. */
    void leave_stale_socket() const
    {
        sockaddr_un at = {};
        at.sun_family = AF_UNIX;
        path.copy(at.sun_path, sizeof(at.sun_path) - 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        ASSERT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
        ASSERT_EQ(0, listen(fd, 1));
        close(fd);
    }

    std::string directory;
    std::string path;
};

TEST_F(ListenerAtAPath, RemovesItsSocketAtTheClose)
{
    Stage stage(("unix:" + path).c_str());
    bool existed = false;
    stage.check = [&] { existed = exists(); };
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ("hello", stage.echoed);
    EXPECT_TRUE(existed);
    EXPECT_FALSE(exists());
}

TEST_F(ListenerAtAPath, LeavesNothingIfItCannotListen)
{
    listen_error = ENOBUFS;
    EXPECT_EQ(-ENOBUFS, coil_listen_socket(("unix:" + path).c_str(), nullptr, nullptr));
    listen_error = 0;
    EXPECT_FALSE(exists());
}

TEST_F(ListenerAtAPath, DoesNotTakeAnActiveOne)
{
    Stage stage(("unix:" + path).c_str());
    stage.check = [&] { EXPECT_TRUE(exists()); };
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ(-EADDRINUSE, stage.second_rc);
    EXPECT_EQ("hello", stage.echoed) << "and did not harm it";
}

TEST_F(ListenerAtAPath, ReplacesAStaleOne)
{
    leave_stale_socket();
    Stage stage(("unix:" + path).c_str());
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ(0, stage.rc);
    EXPECT_EQ("hello", stage.echoed);
}

TEST_F(ListenerAtAPath, DoesNotReplaceAFileThatIsNoSocket)
{
    const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ASSERT_EQ(5, write(fd, "dear!", 5));
    close(fd);
    Stage stage(("unix:" + path).c_str());
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ(-EADDRINUSE, stage.rc);
    struct stat status;
    ASSERT_EQ(0, stat(path.c_str(), &status));
    EXPECT_EQ(5, status.st_size);
}

TEST_F(ListenerAtAPath, DoesNotRemoveWhatIsNotItsOwn)
{
    Stage stage(("unix:" + path).c_str());
    stage.listens_only = true;
    stage.check = [&] { /* Somebody else has taken the path. */
        unlink(path.c_str());
        leave_stale_socket();
    };
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_TRUE(exists());
}

/* ---------------------------------------------------------------------------- passed sockets -- */

struct Passed {
    int fd;
    int rc = 1;
    std::string bound = "";
    std::string echoed = "";
    Stage stage = Stage("");
};

async(int, take_passed, (Passed *) passed)
{
    vars(coil_listener *listener; coil_group group);

    passed->rc = coil_listen_fd(passed->fd, nullptr, &my->listener);
    if (passed->rc < 0)
        return 0;
    defer(coil_listener_close(my->listener));
    passed->bound = passed->stage.format(coil_listener_address(my->listener));
    open_group(&my->group);
    spawn(&my->group, serve_echo(my->listener));
    attempt(within(coil_s(5), say_hello(passed->bound.c_str(), &passed->stage)));
    return 0;
}

TEST(PassedSocket, IsServed)
{
    PeerListener made;
    Passed passed = {dup(made.fd)};
    EXPECT_EQ(0, coil_run(take_passed(&passed)));
    EXPECT_EQ(0, passed.rc);
    EXPECT_EQ(made.address, passed.bound);
    EXPECT_EQ("hello", passed.stage.echoed);
}

TEST_F(ListenerAtAPath, KeepsThePathOfAPassedSocket)
{
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof(at.sun_path) - 1);
    Passed passed = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(0, bind(passed.fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
    ASSERT_EQ(0, listen(passed.fd, 5));
    EXPECT_EQ(0, coil_run(take_passed(&passed)));
    EXPECT_EQ("unix:" + path, passed.bound);
    EXPECT_EQ("hello", passed.stage.echoed);
    EXPECT_TRUE(exists());
}

TEST(PassedSocket, HasToListenForStreams)
{
    int pair[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    close(pair[1]);
    const std::pair<int, int> cases[] = {
            {pair[0], -EINVAL},
            {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -EINVAL},
            {socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), -EINVAL},
            {open("/dev/null", O_RDONLY | O_CLOEXEC), -ENOTSOCK},
            {-1, -EBADF},
    };
    for (const auto &[fd, error] : cases) {
        Passed passed = {fd};
        EXPECT_EQ(0, coil_run(take_passed(&passed)));
        EXPECT_EQ(error, passed.rc);
    }
}

TEST(Listener, TakesIpv6OnlyIfItIsToldTo)
{
    Stage stage("*:0");
    stage.options.ipv6_only = true;
    stage.listens_only = true;
    stage.check = [&] {
        const uint16_t port =
                static_cast<uint16_t>(std::stoi(stage.bound.substr(stage.bound.rfind(':') + 1)));
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(-1, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
        EXPECT_EQ(ECONNREFUSED, errno);
        close(fd);
    };
    EXPECT_EQ(0, coil_run(act(&stage)));
    EXPECT_EQ(0, stage.rc);
}

/* ---------------------------------------------------------------------------------- serving -- */

struct Crowd {
    coil_listen_options options = {};
    std::promise<uint16_t> port;
    std::atomic<int> live{0};
    std::atomic<int> most{0};
    std::atomic<int> served{0};
};

Crowd *crowd;

/* Until the peer ends. */
async(int, sit, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    crowd->live++;
    defer(crowd->live--);
    crowd->served++;
    if (crowd->live > crowd->most)
        crowd->most = crowd->live.load();
    attempt(coil_write_all(peer, coil_text("x")));
    attempt(my->in, coil_read_some(peer));
    coil_slice_release(&my->in);
    return -EIO; /* The failure of one connection is nobody else's. */
}

async(int, serve_crowd)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen("127.0.0.1:0", &crowd->options, &my->listener);
    EXPECT_EQ(0, my->rc);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    crowd->port.set_value(coil_address_port(coil_listener_address(my->listener)));
    attempt(coil_serve(my->listener, coil_handler(sit, coil_stream *)));
    return 0;
}

class Serve : public testing::Test
{
protected:
    void start(unsigned max_connections)
    {
        crowd = &sitting;
        sitting.options.max_connections = max_connections;
        thread = std::make_unique<LoopThread>(
                [](coil_group *root) { coil_spawn(root, serve_crowd()); });
        port = sitting.port.get_future().get();
    }

    Crowd sitting;
    uint16_t port = 0;
    std::unique_ptr<LoopThread> thread;
};

TEST_F(Serve, EndsAConnectionWithoutTheOthers)
{
    start(0);
    Peer stays = Peer::connected(port);
    for (int i = 0; i < 10; i++) {
        Peer peer = Peer::connected(port);
        EXPECT_EQ("x", peer.receive(1));
        peer.end();
        EXPECT_TRUE(peer.at_end());
    }
    EXPECT_EQ("x", stays.receive(1));
    EXPECT_TRUE(soon([&] { return sitting.live == 1; }));
    EXPECT_FALSE(stays.readable_within(10));
}

long open_descriptors()
{
    auto open = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(std::filesystem::begin(open), std::filesystem::end(open));
}

TEST_F(Serve, LeavesNoDescriptorOfThoseThatComeAndGoInBursts)
{
    start(0);
    Peer first = Peer::connected(port);
    EXPECT_EQ("x", first.receive(1));
    const long before = open_descriptors();
    for (int burst = 1; burst <= 10; burst++) {
        {
            std::vector<Peer> peers;
            for (int i = 0; i < 40; i++)
                peers.push_back(Peer::connected(port));
            for (Peer &peer : peers)
                EXPECT_EQ("x", peer.receive(1));
        }
        EXPECT_TRUE(soon([&] { return sitting.served == 1 + 40 * burst && sitting.live == 1; }));
    }
    EXPECT_TRUE(soon([&] { return open_descriptors() == before; }));
}

TEST_F(Serve, TakesNoMoreConnectionsThanItMay)
{
    start(3);
    std::vector<Peer> peers;
    for (int i = 0; i < 8; i++)
        peers.push_back(Peer::connected(port));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    EXPECT_EQ(3, sitting.served);
    for (Peer &peer : peers)
        peer.end();
    EXPECT_TRUE(soon([&] { return sitting.served == 8 && sitting.live == 0; }));
    EXPECT_EQ(3, sitting.most);
}

TEST_F(Serve, StopsWithConnectionsThatAreOpenAndThatHaveNotBegun)
{
    start(0);
    std::vector<Peer> peers;
    for (int i = 0; i < 50; i++)
        peers.push_back(Peer::connected(port));
    thread->stop();
    EXPECT_EQ(0, sitting.live);
}

TEST_F(Serve, WaitsOutALackOfDescriptors)
{
    rlimit limit;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
    const rlimit few = {64, limit.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few)); /* Before the start: accepting remembers it. */
    start(0);
    Peer before = Peer::connected(port);
    EXPECT_EQ("x", before.receive(1));

    Peer waiting(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    std::vector<int> fillers;
    for (int fd = dup(waiting.fd); fd >= 0; fd = dup(waiting.fd))
        fillers.push_back(fd);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, connect(waiting.fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
    EXPECT_FALSE(waiting.readable_within(120));

    for (const int fd : fillers)
        close(fd);
    EXPECT_EQ("x", waiting.receive(1)) << "it is served in the end";
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

async(int, accept_after_the_end)
{
    vars(coil_listener *listener; coil_stream *peer; int rc);
    my->rc = coil_listen("127.0.0.1:0", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    coil_shutdown_begin(coil_shutdown_of(coil_loop_of(coil_self)), 0);
    attempt(coil_serve_gracefully(my->listener, coil_handler(sit, coil_stream *)));
    await(my->peer, coil_accept(my->listener));
    EXPECT_EQ(-ESHUTDOWN, coil_pointer_error(my->peer));
    attempt(coil_serve_gracefully(my->listener, coil_handler(sit, coil_stream *)));
    return 7;
}

TEST(ServeGracefully, LeavesAListenerThatRefusesToAccept)
{
    EXPECT_EQ(7, coil_run(accept_after_the_end()));
}

} // namespace
