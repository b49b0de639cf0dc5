/* SPDX-License-Identifier: MIT */
/* Datagrams there and back: by each family, odd ones, wrong ones, and several in one. */
#include "datagram_stage.h"
#include "sanitized.h"

#include <sched.h>

#include <fstream>
#include <thread>

namespace
{

/* ----------------------------------------------------------------------------------- echo -- */

async(int, echo, (Scene *) scene, (const char *) own)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in);

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_at(own, nullptr));
    defer(coil_datagram_close(my->client));
    attempt(coil_datagram_send(my->client, coil_datagram_local(my->server), slice_of("hello")));
    attempt(within(coil_s(10), coil_datagram_receive(my->server, &my->in)));
    attempt(coil_datagram_send(my->server, &my->in.from, my->in.bytes));
    note(scene, &my->in);
    EXPECT_EQ(text_of(*coil_datagram_local(my->client)), scene->from);
    attempt(receive_all(my->client, scene, 1));
    EXPECT_EQ(text_of(*coil_datagram_local(my->server)), scene->from);
    return 0;
}

TEST(Datagram, GoesThereAndBackByEachFamily)
{
    const std::string path = testing::TempDir() + "coil-dg-" + std::to_string(getpid());
    const std::string name = "unix:@coil-dg-" + std::to_string(getpid());
    const std::pair<std::string, std::string> cases[] = {{"127.0.0.1:0", "127.0.0.1:0"},
            {"[::1]:0", "[::1]:0"}, {"unix:" + path + "-a", "unix:" + path + "-b"},
            {name + "-a", name + "-b"}};
    for (const auto &one : cases) {
        Scene scene;
        scene.address = one.first;
        const int rc = coil_run(echo(&scene, one.second.c_str()));
        if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
            continue; /* No IPv6 here. */
        EXPECT_EQ(0, rc) << one.first;
        EXPECT_EQ((std::vector<std::string>{"hello", "hello"}), scene.got) << one.first;
    }
    EXPECT_NE(0, access((path + "-a").c_str(), F_OK)) << "the path is removed";
}

TEST(Datagram, TakesOverAPathThatNobodyHasOpen)
{
    const std::string path = testing::TempDir() + "coil-dgs-" + std::to_string(getpid());
    {
        coil_address at;
        ASSERT_EQ(0, coil_address_parse(("unix:" + path).c_str(), &at));
        Peer gone(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(0, bind(gone.fd, &at.socket, at.size_bytes));
    }
    Scene scene;
    scene.address = "unix:" + path;
    const std::string own = "unix:" + path + "-b";
    EXPECT_EQ(0, coil_run(echo(&scene, own.c_str())));
}

async(int, lose_path, (const char *) path)
{
    vars(coil_datagram_socket *first; coil_datagram_socket *second; std::string * address);
    my->address = new std::string(std::string("unix:") + path);
    defer(delete my->address);
    EXPECT_EQ(0, open_at(my->address->c_str(), nullptr, &my->first));
    EXPECT_EQ(0, unlink(path));
    EXPECT_EQ(0, open_at(my->address->c_str(), nullptr, &my->second));
    coil_datagram_close(my->first);
    EXPECT_EQ(0, access(path, F_OK)) << "it is the second one's";
    coil_datagram_close(my->second);
    EXPECT_NE(0, access(path, F_OK));
    return 0;
}

TEST(Datagram, DoesNotRemoveAPathThatIsNotItsOwnAnyMore)
{
    const std::string path = testing::TempDir() + "coil-dgo-" + std::to_string(getpid());
    EXPECT_EQ(0, coil_run(lose_path(path.c_str())));
    unlink(path.c_str());
}

/* Of a dual-stack socket, IPv4 looks like IPv4. */
async(int, dual, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_address to;
            coil_datagram in; char text[64]);

    attempt(my->server, opened_at("*:0", &scene->options));
    defer(coil_datagram_close(my->server));
    snprintf(my->text, sizeof(my->text), "127.0.0.1:%u",
            coil_address_port(coil_datagram_local(my->server)));
    attempt(my->client, opened_to(my->text));
    defer(coil_datagram_close(my->client));
    attempt(coil_datagram_send(my->client, nullptr, slice_of("four")));
    attempt(within(coil_s(10), coil_datagram_receive(my->server, &my->in)));
    my->to = my->in.from;
    EXPECT_EQ(AF_INET, my->to.storage.ss_family);
    note(scene, &my->in);
    attempt(coil_datagram_send(my->server, &my->to, slice_of("back")));
    attempt(receive_all(my->client, scene, 1));
    return 0;
}

TEST(Datagram, TakesIPv4OnADualStackSocket)
{
    Scene scene;
    scene.options.tells_local = true;
    const int rc = coil_run(dual(&scene));
    if (rc == -EAFNOSUPPORT)
        GTEST_SKIP() << "no IPv6 here";
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"four", "back"}), scene.got);
    EXPECT_EQ("127.0.0.1:0", scene.to);
    EXPECT_EQ(0U, scene.interface_index) << "the client has not asked";
}

/* -------------------------------------------------------------------------- odd datagrams -- */

async(int, receive_odd, (Scene *) scene, (const std::vector<std::string> *) sent)
{
    vars(coil_datagram_socket *server);

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    {
        const RawSender sender(coil_datagram_local(my->server));
        for (const std::string &bytes : *sent)
            sender.send(bytes);
    }
    attempt(receive_all(my->server, scene, sent->size()));
    return 0;
}

TEST(Datagram, IsReceivedEvenIfItIsEmpty)
{
    const std::vector<std::string> sent = {"", "a", "", ""};
    Scene scene;
    EXPECT_EQ(0, coil_run(receive_odd(&scene, &sent)));
    EXPECT_EQ(sent, scene.got);
    EXPECT_EQ(4U, scene.counts.received);
}

TEST(Datagram, SaysWhatHasBeenCutOff)
{
    const std::string large(60000, 'x');
    const std::vector<std::string> sent = {large, "whole"};
    Scene scene;
    scene.options.max_bytes = 1000;
    EXPECT_EQ(0, coil_run(receive_odd(&scene, &sent)));
    ASSERT_EQ(2U, scene.got.size());
    EXPECT_LE(1000U, scene.got[0].size());
    EXPECT_GT(1200U, scene.got[0].size());
    EXPECT_EQ(0U, large.compare(0, scene.got[0].size(), scene.got[0]));
    EXPECT_EQ((std::vector<uint32_t>{60000, 5}), scene.whole);
    EXPECT_EQ("whole", scene.got[1]);
    EXPECT_EQ(1U, scene.counts.cut);
}

TEST(Datagram, CanBeAsLongAsIPCarries)
{
    const std::vector<std::string> sent = {std::string(65507, 'l')};
    Scene scene;
    EXPECT_EQ(0, coil_run(receive_odd(&scene, &sent)));
    EXPECT_EQ(sent, scene.got);
    EXPECT_EQ(0U, scene.counts.cut);
}

TEST(Datagram, ComesInOrderWhenMoreArriveThanThereAreBuffers)
{
    std::vector<std::string> sent;
    for (int i = 0; i < 100; i++)
        sent.push_back("number " + std::to_string(i));
    Scene scene;
    scene.options.buffer_count = 3;
    EXPECT_EQ(0, coil_run(receive_odd(&scene, &sent)));
    EXPECT_EQ(sent, scene.got);
}

/* Who holds all the buffers still gets more, in memory of its own; and some at a time. */
async(int, hold_all, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram *held; unsigned count; int rc);
    enum { COUNT = 60 };

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    my->held = static_cast<coil_datagram *>(calloc(COUNT, sizeof(coil_datagram)));
    defer(free(my->held));
    {
        const RawSender sender(coil_datagram_local(my->server));
        for (int i = 0; i < COUNT; i++)
            sender.send(std::to_string(i));
    }
    while (my->count < COUNT) {
        await(my->rc, within(coil_s(10), coil_datagram_receive_some(my->server,
                                                 my->held + my->count, COUNT - my->count)));
        if (my->rc <= 0)
            break;
        my->count += static_cast<unsigned>(my->rc);
    }
    coil_datagram_close(my->server); /* What has been received stays. */
    await(coil_sleep(coil_ms(1)));
    for (unsigned i = 0; i < my->count; i++)
        note(scene, &my->held[i]);
    return my->rc < 0 ? my->rc : 0;
}

TEST(Datagram, ComesWhileAllBuffersAreHeldAndOutlivesItsSocket)
{
    Scene scene;
    scene.options.buffer_count = 4;
    EXPECT_EQ(0, coil_run(hold_all(&scene)));
    ASSERT_EQ(60U, scene.got.size());
    for (int i = 0; i < 60; i++)
        EXPECT_EQ(std::to_string(i), scene.got[i]);
}

async(int, overflow, (Scene *) scene)
{
    vars(coil_datagram_socket *server; int round);
    enum { COUNT = 2000, ROUNDS = 3 };

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    for (my->round = 0; my->round < ROUNDS; my->round++) {
        {
            const RawSender sender(coil_datagram_local(my->server));
            for (int i = 0; i < COUNT; i++)
                sender.send(std::string(500, 'o'));
        }
        scene->count += COUNT;
        attempt(receive_all(my->server, scene, 1)); /* With it, all that was there: so is room. */
        RawSender(coil_datagram_local(my->server)).send("after");
        scene->count++;
        while (scene->got.back() != "after")
            attempt(receive_all(my->server, scene, 1));
    }
    return 0;
}

TEST(Datagram, IsCountedWhenTheKernelDropsIt)
{
    Scene scene;
    scene.options.receive_buffer_bytes = 4096;
    EXPECT_EQ(0, coil_run(overflow(&scene)));
    EXPECT_LT(0U, scene.counts.dropped);
    EXPECT_EQ(scene.count, scene.counts.received + scene.counts.dropped);
    EXPECT_EQ("after", scene.got.back());
}

/* -------------------------------------------------------------------------------- errors -- */

async(int, be_refused, (Scene *) scene)
{
    vars(coil_datagram_socket *gone; coil_datagram_socket *client; coil_datagram in;
            char text[COIL_ADDRESS_TEXT_BYTES]; int rc);

    attempt(my->gone, opened_at("127.0.0.1:0", nullptr));
    coil_address_format(coil_datagram_local(my->gone), my->text);
    coil_datagram_close(my->gone);
    await(coil_sleep(coil_ms(1)));
    attempt(my->client, opened_to(my->text));
    defer(coil_datagram_close(my->client));
    while (scene->count++ < 2) {
        attempt(coil_datagram_send(my->client, nullptr, slice_of("anybody?")));
        await(my->rc, within(coil_s(10), coil_datagram_receive(my->client, &my->in)));
        scene->results.push_back(my->rc);
        await(my->rc, within(coil_ms(20), coil_datagram_receive(my->client, &my->in)));
        scene->results.push_back(my->rc);
    }
    return 0;
}

TEST(Datagram, IsRefusedOnceForEachThatWasSentToNobody)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(be_refused(&scene)));
    EXPECT_EQ((std::vector<int64_t>{-ECONNREFUSED, -ETIME, -ECONNREFUSED, -ETIME}), scene.results);
}

async(int, send_wrongly, (Scene *) scene)
{
    vars(coil_datagram_socket *socket; coil_address to; std::string * large; int rc);

    attempt(my->socket, opened_at("127.0.0.1:0", nullptr));
    defer(coil_datagram_close(my->socket));
    my->large = new std::string(65508, 'x');
    defer(delete my->large);
    EXPECT_EQ(0, coil_address_parse("127.0.0.1:9", &my->to));
    await(my->rc, coil_datagram_send(my->socket, nullptr, slice_of("to whom?")));
    scene->results.push_back(my->rc);
    await(my->rc, coil_datagram_send(my->socket, &my->to, slice_of(*my->large)));
    scene->results.push_back(my->rc);
    EXPECT_EQ(0, coil_address_parse("255.255.255.255:9", &my->to));
    await(my->rc, coil_datagram_send(my->socket, &my->to, slice_of("all!")));
    scene->results.push_back(my->rc);
    EXPECT_EQ(0, coil_address_parse("unix:/nonexistent/nowhere", &my->to));
    await(my->rc, coil_datagram_send(my->socket, &my->to, slice_of("all!")));
    scene->results.push_back(my->rc < 0);
    return 0;
}

TEST(Datagram, CannotBeSentToNobodyNorToAllNorTooLong)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(send_wrongly(&scene)));
    ASSERT_EQ(4U, scene.results.size());
    EXPECT_EQ(-EDESTADDRREQ, scene.results[0]);
    EXPECT_EQ(-EMSGSIZE, scene.results[1]);
    EXPECT_TRUE(scene.results[2] == -EACCES || scene.results[2] == -ENETUNREACH)
            << scene.results[2];
    EXPECT_EQ(1, scene.results[3]);
}

async(int, open_wrongly)
{
    vars();
    coil_datagram_socket *socket = nullptr;
    coil_datagram_options options = {};
    EXPECT_EQ(-EINVAL, coil_datagram_open(&options, &socket));
    options.local = "127.0.0.1:0";
    options.remote = "[::1]:1";
    EXPECT_EQ(-EINVAL, coil_datagram_open(&options, &socket));
    options.remote = "127.0.0.1:99999";
    EXPECT_EQ(-ERANGE, coil_datagram_open(&options, &socket));
    options.remote = nullptr;
    options.local = "192.0.2.1:0";
    EXPECT_EQ(-EADDRNOTAVAIL, coil_datagram_open(&options, &socket));
    options.local = nullptr;
    options.remote = "unix:/nonexistent/nowhere";
    EXPECT_EQ(-ENOENT, coil_datagram_open(&options, &socket));
    EXPECT_EQ(nullptr, socket);
    coil_datagram_close(nullptr);
    return 0;
}

TEST(Datagram, NeedsASocketThatCanBeOpened)
{
    EXPECT_EQ(0, coil_run(open_wrongly()));
}

/* ------------------------------------------------------------------------------- segments -- */

async(int, segment, (Scene *) scene, (size_t) segment_bytes, (const std::string *) all)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; size_t count);

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->client));
    attempt(coil_datagram_send_segments(
            my->client, coil_datagram_local(my->server), slice_of(*all), segment_bytes));
    my->count = (all->size() + segment_bytes - 1) / segment_bytes;
    EXPECT_EQ(my->count, coil_datagram_count(my->client).sent);
    attempt(receive_all(my->server, scene, my->count));
    EXPECT_EQ(0U, coil_datagram_unread(my->server));
    return 0;
}

TEST(Datagram, IsCutIntoSegmentsAndMayBeJoinedOnTheWay)
{
    std::string all(100030, '\0');
    for (size_t i = 0; i < all.size(); i++)
        all[i] = static_cast<char>(i * 31 >> 4);
    for (const bool joins : {false, true}) {
        for (const size_t segment_bytes : {1000, 1400, 30000, 60000}) {
            Scene scene;
            scene.options.joins_segments = joins;
            scene.options.receive_buffer_bytes = 4 << 20;
            EXPECT_EQ(0, coil_run(segment(&scene, segment_bytes, &all)));
            std::string together;
            for (size_t i = 0; i < scene.got.size(); i++) {
                const bool is_last = i + 1 == scene.got.size();
                EXPECT_EQ(is_last ? all.size() - i * segment_bytes : segment_bytes,
                        scene.got[i].size());
                EXPECT_EQ(scene.got[i].size(), scene.whole[i]);
                together += scene.got[i];
            }
            EXPECT_TRUE(all == together) << segment_bytes << (joins ? " joined" : "");
            EXPECT_EQ(0U, scene.counts.cut);
        }
    }
}

/* ------------------------------------------------------------------------------ its memory -- */

bool counts_memory()
{
    return !COIL_TESTS_ASAN && !COIL_TESTS_TSAN;
}

/* What the process has in memory. */
size_t resident_bytes()
{
    size_t all = 0;
    size_t resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * static_cast<size_t>(getpagesize());
}

enum { LONG_BYTES = 60000, UNREAD_COUNT = 5000, HELD_COUNT = 100, FEW_BUFFERS = 4 };

void flood(const coil_address *to, int count)
{
    const RawSender sender(to);
    const std::string bytes(LONG_BYTES, 'f');
    for (int i = 0; i < count; i++)
        sender.send(bytes);
}

/* Nobody receives, but for one at the beginning; the loop turns. */
async(int, leave_unread, (Scene *) scene)
{
    vars(coil_datagram_socket *server; size_t before; int i);
    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    flood(coil_datagram_local(my->server), 1);
    attempt(receive_all(my->server, scene, 1));
    my->before = resident_bytes();
    scene->count = 0;
    for (my->i = 0; my->i < UNREAD_COUNT / 100; my->i++) {
        flood(coil_datagram_local(my->server), 100);
        await(coil_yield());
    }
    EXPECT_LE(coil_datagram_unread(my->server), static_cast<unsigned>(FEW_BUFFERS));
    const size_t after = resident_bytes();
    scene->count = after > my->before ? after - my->before : 0;
    return 0;
}

TEST(Datagram, TakesNoMoreMemoryThanItsBuffersIfNobodyReceives)
{
    if (!counts_memory())
        GTEST_SKIP() << "with a sanitizer, what is freed stays";
    Scene scene;
    scene.options.buffer_count = FEW_BUFFERS;
    EXPECT_EQ(0, coil_run(leave_unread(&scene)));
    const size_t buffers = static_cast<size_t>(FEW_BUFFERS) * COIL_DATAGRAM_MOST_BYTES;
    RecordProperty("grown_bytes", std::to_string(scene.count));
    EXPECT_LE(scene.count, buffers + 512 * 1024) << "of 300 MB that were sent";
}

async(int, hold_many, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram held[HELD_COUNT]; int i; size_t before);
    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    my->before = resident_bytes();
    for (my->i = 0; my->i < HELD_COUNT; my->i++) {
        flood(coil_datagram_local(my->server), 1);
        attempt(within(coil_s(10), coil_datagram_receive(my->server, &my->held[my->i])));
    }
    scene->count = resident_bytes() - my->before;
    for (my->i = 0; my->i < HELD_COUNT; my->i++)
        coil_datagram_release(&my->held[my->i]);
    return 0;
}

/* Each beyond the buffers is one more of their size, and no more than that. */
TEST(Datagram, TakesMemoryForWhatIsHeldBeyondItsBuffers)
{
    if (!counts_memory())
        GTEST_SKIP() << "with a sanitizer, what is freed stays";
    Scene scene;
    scene.options.buffer_count = FEW_BUFFERS;
    EXPECT_EQ(0, coil_run(hold_many(&scene)));
    RecordProperty("grown_bytes", std::to_string(scene.count));
    EXPECT_GT(scene.count, static_cast<size_t>(HELD_COUNT - FEW_BUFFERS) * LONG_BYTES);
    EXPECT_LE(scene.count, static_cast<size_t>(HELD_COUNT) * 80000 + 1024 * 1024);
}

/* ----------------------------------------------------------------------- sockets of others -- */

/* As a service manager binds it. */
int bound_socket(int family, int type, const char *address)
{
    coil_address at;
    EXPECT_EQ(0, coil_address_parse(address, &at));
    const int fd = socket(family, type | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(fd, &at.socket, at.size_bytes)) << strerror(errno);
    return fd;
}

async(int, echo_on, (Scene *) scene, (int) fd, (const char *) own)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in; int rc);

    my->rc = coil_datagram_open_fd(fd, &scene->options, &my->server);
    if (my->rc < 0)
        return my->rc;
    defer(coil_datagram_close(my->server));
    EXPECT_EQ(fd, coil_datagram_fd(my->server));
    attempt(my->client, opened_at(own, nullptr));
    defer(coil_datagram_close(my->client));
    attempt(coil_datagram_send(my->client, coil_datagram_local(my->server), slice_of("hello")));
    attempt(within(coil_s(10), coil_datagram_receive(my->server, &my->in)));
    attempt(coil_datagram_answer(my->server, &my->in, my->in.bytes));
    note(scene, &my->in);
    attempt(receive_all(my->client, scene, 1));
    EXPECT_EQ(text_of(*coil_datagram_local(my->server)), scene->from);
    return 0;
}

TEST(DatagramOfAnother, IsAdoptedWithItsAddress)
{
    const std::string path = testing::TempDir() + "coil-dga-" + std::to_string(getpid());
    const std::string name = "unix:@coil-dga-" + std::to_string(getpid());
    const struct {
        int family;
        std::string address, client;
    } cases[] = {{AF_INET, "127.0.0.1:0", "127.0.0.1:0"}, {AF_INET6, "[::1]:0", "[::1]:0"},
            {AF_UNIX, "unix:" + path, "unix:" + path + "-client"}, {AF_UNIX, name, name + "-c"}};
    for (const auto &one : cases) {
        Scene scene;
        scene.options.tells_local = true;
        scene.options.buffer_count = 4;
        const int fd = bound_socket(one.family, SOCK_DGRAM, one.address.c_str());
        EXPECT_EQ(0, coil_run(echo_on(&scene, fd, one.client.c_str()))) << one.address;
        EXPECT_EQ((std::vector<std::string>{"hello", "hello"}), scene.got) << one.address;
    }
    EXPECT_EQ(0, access(path.c_str(), F_OK)) << "the path is not ours";
    unlink(path.c_str());
}

async(int, try_fd, (int) fd, (const coil_datagram_options *) options)
{
    vars();
    coil_datagram_socket *socket = nullptr;
    const int rc = coil_datagram_open_fd(fd, options, &socket);
    EXPECT_EQ(nullptr, socket);
    return rc;
}

TEST(DatagramOfAnother, IsRefusedAndClosedIfItIsNone)
{
    coil_datagram_options bound = {};
    bound.local = "127.0.0.1:0";
    EXPECT_EQ(-EINVAL, coil_run(try_fd(socket(AF_INET, SOCK_STREAM, 0), nullptr)));
    EXPECT_EQ(-EINVAL, coil_run(try_fd(socket(AF_UNIX, SOCK_SEQPACKET, 0), nullptr)));
    EXPECT_EQ(-EINVAL, coil_run(try_fd(socket(AF_INET, SOCK_DGRAM, 0), &bound)));
    EXPECT_EQ(-ENOTSOCK, coil_run(try_fd(dup(0), nullptr)));
    EXPECT_EQ(-EBADF, coil_run(try_fd(1000000, nullptr)));
    EXPECT_EQ(-ENOENT, coil_run(try_fd(-ENOENT, nullptr))) << "what others have failed with";
}

/* ping(8)'s, which a group may have that the network says (icmp(7)): here, one of our own. */
TEST(DatagramOfAnother, IsRefusedIfItIsOfIcmp)
{
    int fd = -1;
    std::thread([&fd] {
        if (unshare(CLONE_NEWNET) != 0)
            return;
        std::ofstream("/proc/sys/net/ipv4/ping_group_range") << "0 2147483647";
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
    }).join();
    if (fd < 0)
        GTEST_SKIP() << "no network namespaces, or no sockets of ICMP";
    EXPECT_EQ(-EINVAL, coil_run(try_fd(fd, nullptr)));
}

} // namespace
