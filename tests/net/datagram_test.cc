/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <coil/datagram.h>
#include <coil/test_loop.h>

#include <net/if.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <vector>

#include <coil/sugar.h>

/* The test plays a device without room: so many times. */
extern "C" {
std::atomic<int> no_room{0};
ssize_t __real_coil_kernel_sendmsg_now(int fd, const struct msghdr *message);
ssize_t __wrap_coil_kernel_sendmsg_now(int fd, const struct msghdr *message);
ssize_t __wrap_coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    return no_room > 0 && no_room-- > 0 ? -ENOBUFS : __real_coil_kernel_sendmsg_now(fd, message);
}
}

namespace
{

const std::string &abstract_name()
{
    static const std::string name = "unix:@coil-datagram-" + std::to_string(getpid());
    return name;
}

/* What a test says and learns; everything runs in one loop. */
struct Scene {
    std::string address = "127.0.0.1:0";
    coil_datagram_options options = {};
    std::vector<std::string> got = {};
    std::vector<int64_t> results = {};
    std::vector<uint32_t> whole = {};
    std::string from = "";
    std::string to = "";
    unsigned interface_index = 0;
    coil_datagram_counts counts = {};
    size_t count = 0;
    unsigned seed = 0;
};

std::string text_of(const coil_address &address)
{
    char text[COIL_ADDRESS_TEXT_BYTES];
    return coil_address_format(&address, text);
}

coil_slice slice_of(const std::string &text)
{
    return {static_cast<int64_t>(text.size()), text.data(), nullptr};
}

/* A literal stays. */
coil_slice slice_of(const char *text)
{
    return {static_cast<int64_t>(strlen(text)), text, nullptr};
}

int open_at(const char *local, const coil_datagram_options *options, coil_datagram_socket **out)
{
    coil_datagram_options own = options == nullptr ? coil_datagram_options{} : *options;
    own.local = *local == '\0' ? nullptr : local;
    return coil_datagram_open(&own, out);
}

/* A socket, or an error pointer. */
async(coil_datagram_socket *, opened_at, (const char *) local,
        (const coil_datagram_options *) options)
{
    vars();
    coil_datagram_socket *socket = nullptr;
    const int rc = open_at(local, options, &socket);
    return rc < 0 ? static_cast<coil_datagram_socket *>(coil_error_pointer(rc)) : socket;
}

async(coil_datagram_socket *, opened_to, (const char *) remote)
{
    vars();
    coil_datagram_options options = {};
    options.remote = remote;
    coil_datagram_socket *socket = nullptr;
    const int rc = coil_datagram_open(&options, &socket);
    return rc < 0 ? static_cast<coil_datagram_socket *>(coil_error_pointer(rc)) : socket;
}

void note(Scene *scene, coil_datagram *datagram)
{
    scene->got.emplace_back(datagram->bytes.bytes == nullptr ? "" : datagram->bytes.bytes,
            static_cast<size_t>(datagram->bytes.size_bytes));
    scene->whole.push_back(datagram->whole_bytes);
    if (datagram->from.size_bytes > 0)
        scene->from = text_of(datagram->from);
    if (datagram->to.size_bytes > 0)
        scene->to = text_of(datagram->to);
    scene->interface_index = datagram->interface_index;
    coil_datagram_release(datagram);
}

/* So many, within ten seconds each. */
async(int, receive_all, (coil_datagram_socket *) socket, (Scene *) scene, (size_t) count)
{
    vars(coil_datagram in; size_t i);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(within(coil_s(10), coil_datagram_receive(socket, &my->in)));
        note(scene, &my->in);
    }
    scene->counts = coil_datagram_count(socket);
    return 0;
}

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

/* A server with the options, and raw bytes from outside of Coil. */
struct RawSender {
    explicit RawSender(const coil_address *to)
        : peer(socket(to->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0))
    {
        EXPECT_EQ(0, connect(peer.fd, &to->socket, to->size_bytes)) << strerror(errno);
    }

    void send(const std::string &bytes) const
    {
        EXPECT_EQ(
                static_cast<ssize_t>(bytes.size()), ::send(peer.fd, bytes.data(), bytes.size(), 0))
                << strerror(errno);
    }

    Peer peer;
};

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

/* ------------------------------------------------------------------------------ multicast -- */

async(int, use_multicast, (Scene *) scene, (const char *) group)
{
    vars(coil_datagram_socket *member; coil_datagram_socket *sender; coil_address to;
            coil_datagram in; char text[64]; unsigned loopback; int rc);

    attempt(my->member, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->member));
    snprintf(my->text, sizeof(my->text), "%s:%u", group,
            coil_address_port(coil_datagram_local(my->member)));
    EXPECT_EQ(0, coil_address_parse(my->text, &my->to));
    my->loopback = if_nametoindex("lo");
    my->rc = coil_datagram_join(my->member, &my->to, my->loopback);
    if (my->rc < 0)
        return my->rc;
    EXPECT_EQ(-EADDRINUSE, coil_datagram_join(my->member, &my->to, my->loopback));
    attempt(my->sender, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->sender));
    {
        const coil_multicast multicast = {my->loopback, 1, true};
        my->rc = coil_datagram_set_multicast(my->sender, &multicast);
    }
    if (my->rc < 0)
        return my->rc;
    attempt(coil_datagram_send(my->sender, &my->to, slice_of("all of you")));
    attempt(receive_all(my->member, scene, 1));
    EXPECT_EQ(0, coil_datagram_leave(my->member, &my->to, my->loopback));
    EXPECT_EQ(-EADDRNOTAVAIL, coil_datagram_leave(my->member, &my->to, my->loopback));
    attempt(coil_datagram_send(my->sender, &my->to, slice_of("and now?")));
    await(my->rc, within(coil_ms(20), coil_datagram_receive(my->member, &my->in)));
    scene->results.push_back(my->rc);
    return 0;
}

TEST(Datagram, ReachesThoseWhoHaveJoinedAndNotThoseWhoHaveLeft)
{
    Scene scene;
    scene.address = "0.0.0.0:0";
    scene.options.tells_local = true;
    const int rc = coil_run(use_multicast(&scene, "239.255.71.3"));
    if (rc == -ENODEV || rc == -ENETUNREACH || rc == -EPERM)
        GTEST_SKIP() << "no multicast here: " << rc;
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"all of you"}), scene.got);
    EXPECT_EQ("239.255.71.3:0", scene.to);
    EXPECT_EQ(if_nametoindex("lo"), scene.interface_index);
    EXPECT_EQ((std::vector<int64_t>{-ETIME}), scene.results);
}

TEST(Datagram, ReachesThoseWhoHaveJoinedByIPv6)
{
    Scene scene;
    scene.address = "[::]:0";
    const int rc = coil_run(use_multicast(&scene, "[ff02::7103]"));
    if (rc == -ENODEV || rc == -ENETUNREACH || rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        GTEST_SKIP() << "no multicast here: " << rc;
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"all of you"}), scene.got);
}

/* Of a group, what one sender says; the other is not heard. */
async(int, listen_to_one, (Scene *) scene, (const char *) group)
{
    vars(coil_datagram_socket *member; coil_datagram_socket *heard; coil_datagram_socket *other;
            coil_address to; char text[64]; unsigned loopback; int rc);

    attempt(my->member, opened_at("0.0.0.0:0", nullptr));
    defer(coil_datagram_close(my->member));
    attempt(my->heard, opened_at("127.0.0.1:0", nullptr));
    defer(coil_datagram_close(my->heard));
    attempt(my->other, opened_at("127.0.0.2:0", nullptr));
    defer(coil_datagram_close(my->other));
    snprintf(my->text, sizeof(my->text), "%s:%u", group,
            coil_address_port(coil_datagram_local(my->member)));
    EXPECT_EQ(0, coil_address_parse(my->text, &my->to));
    my->loopback = if_nametoindex("lo");
    {
        const coil_address *source = coil_datagram_local(my->heard);
        my->rc = coil_datagram_join_source(my->member, &my->to, source, my->loopback);
        if (my->rc < 0)
            return my->rc;
        EXPECT_EQ(-EADDRNOTAVAIL,
                coil_datagram_join_source(my->member, &my->to, source, my->loopback));
        const coil_multicast multicast = {my->loopback, 1, true};
        my->rc = coil_datagram_set_multicast(my->heard, &multicast);
        if (my->rc == 0)
            my->rc = coil_datagram_set_multicast(my->other, &multicast);
        if (my->rc < 0)
            return my->rc;
    }
    attempt(coil_datagram_send(my->other, &my->to, slice_of("not heard")));
    attempt(coil_datagram_send(my->heard, &my->to, slice_of("heard")));
    attempt(receive_all(my->member, scene, 1));
    EXPECT_EQ(0, coil_datagram_leave_source(
                         my->member, &my->to, coil_datagram_local(my->heard), my->loopback));
    EXPECT_EQ(-EINVAL, coil_datagram_leave_source(
                               my->member, &my->to, coil_datagram_local(my->heard), my->loopback));
    return 0;
}

TEST(Datagram, ReachesThoseWhoHaveJoinedItsSender)
{
    Scene scene;
    const int rc = coil_run(listen_to_one(&scene, "232.71.3.1"));
    if (rc == -ENODEV || rc == -ENETUNREACH || rc == -EPERM)
        GTEST_SKIP() << "no multicast here: " << rc;
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"heard"}), scene.got);
}

/* One group after the other, until the kernel has enough. */
async(int, join_many)
{
    vars(coil_datagram_socket *socket; int rc);

    attempt(my->socket, opened_at("0.0.0.0:0", nullptr));
    defer(coil_datagram_close(my->socket));
    for (int i = 0; my->rc == 0 && i < 2000; i++) {
        coil_address group;
        const std::string at =
                "239.71." + std::to_string(i / 200) + "." + std::to_string(i % 200 + 1) + ":1";
        EXPECT_EQ(0, coil_address_parse(at.c_str(), &group));
        my->rc = coil_datagram_join(my->socket, &group, if_nametoindex("lo"));
    }
    return my->rc;
}

TEST(Datagram, JoinsAsManyGroupsAsTheKernelAllows)
{
    const int rc = coil_run(join_many());
    if (rc == -ENODEV || rc == -EPERM || rc == 0)
        GTEST_SKIP() << "no multicast here, or no limit (net.ipv4.igmp_max_memberships): " << rc;
    EXPECT_EQ(-ENOBUFS, rc);
}

async(int, misuse_multicast)
{
    vars(coil_datagram_socket *socket; int rc);
    const coil_multicast none = {};
    const coil_multicast far = {0, 256, false};
    coil_address group;
    EXPECT_EQ(0, coil_address_parse("239.1.1.1:1", &group));
    my->rc = open_at(abstract_name().c_str(), nullptr, &my->socket);
    EXPECT_EQ(0, my->rc);
    EXPECT_EQ(-EOPNOTSUPP, coil_datagram_join(my->socket, &group, 0));
    EXPECT_EQ(-EOPNOTSUPP, coil_datagram_set_multicast(my->socket, &none));
    coil_datagram_close(my->socket);
    my->rc = open_at("127.0.0.1:0", nullptr, &my->socket);
    EXPECT_EQ(0, my->rc);
    EXPECT_EQ(-EINVAL, coil_datagram_set_multicast(my->socket, &far));
    EXPECT_EQ(-EINVAL, coil_datagram_join(my->socket, coil_datagram_local(my->socket), 0));
    coil_datagram_close(my->socket);
    return 0;
}

TEST(Datagram, HasNoGroupsWhereThereIsNoMulticast)
{
    EXPECT_EQ(0, coil_run(misuse_multicast()));
}

/* ----------------------------------------------------------------- waiting, cancellation -- */

/* A unix socket has room for a few: then its senders wait, until somebody reads. */
async(int, send_without_room, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; int rc; int i);

    attempt(my->server, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->client));
    no_room = 2;
    for (my->i = 0; my->i < 3; my->i++) {
        await(my->rc,
                coil_datagram_send(my->client, coil_datagram_local(my->server), slice_of("again")));
        scene->results.push_back(my->rc);
    }
    scene->count = coil_datagram_count(my->client).sent;
    attempt(receive_all(my->server, scene, 1));
    return 0;
}

TEST(Datagram, IsNotSentIfTheDeviceHasNoRoomAndTheSocketGoesOn)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(send_without_room(&scene)));
    EXPECT_EQ((std::vector<int64_t>{-ENOBUFS, -ENOBUFS, 0}), scene.results);
    EXPECT_EQ(1u, scene.count);
    EXPECT_EQ((std::vector<std::string>{"again"}), scene.got);
}

/* Asked at one of several addresses: the answer comes from that. */
async(int, answer_from, (Scene *) scene, (const char *) asked, (bool) by_hand)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in;
            char text[64]);

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    snprintf(my->text, sizeof(my->text), "%s:%u", asked,
            coil_address_port(coil_datagram_local(my->server)));
    attempt(my->client, opened_to(my->text)); /* Hears nobody else. */
    defer(coil_datagram_close(my->client));
    attempt(coil_datagram_send(my->client, nullptr, slice_of("who?")));
    attempt(within(coil_s(10), coil_datagram_receive(my->server, &my->in)));
    defer(coil_datagram_release(&my->in));
    if (by_hand)
        attempt(coil_datagram_send_from(my->server, &my->in.to, 0, &my->in.from, slice_of("I")));
    else
        attempt(coil_datagram_answer(my->server, &my->in, slice_of("I")));
    attempt(receive_all(my->client, scene, 1));
    EXPECT_EQ(1u, coil_datagram_count(my->server).sent);
    return 0;
}

TEST(Datagram, AnswersFromTheAddressThatWasAsked)
{
    for (const std::string &at : {std::string("0.0.0.0:0"), std::string("*:0")}) {
        for (const bool by_hand : {false, true}) {
            Scene scene;
            scene.address = at;
            scene.options.tells_local = true;
            EXPECT_EQ(0, coil_run(answer_from(&scene, "127.0.0.2", by_hand)));
            EXPECT_EQ((std::vector<std::string>{"I"}), scene.got);
        }
    }
}

TEST(Datagram, AnswersByIPv6FromTheAddressThatWasAsked)
{
    Scene scene;
    scene.address = "[::]:0";
    scene.options.tells_local = true;
    const int rc = coil_run(answer_from(&scene, "[::1]", true));
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        GTEST_SKIP() << "no IPv6 here";
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"I"}), scene.got);
}

async(int, send_from_elsewhere, (const char *) local, (const char *) from)
{
    vars(coil_datagram_socket *socket; coil_address from; coil_address to; int rc);

    attempt(my->socket, opened_at(local, nullptr));
    defer(coil_datagram_close(my->socket));
    EXPECT_EQ(0, coil_address_parse(from, &my->from));
    EXPECT_EQ(0, coil_address_parse("127.0.0.1:9", &my->to));
    await(my->rc, coil_datagram_send_from(my->socket, &my->from, 0, &my->to, slice_of("x")));
    return my->rc;
}

TEST(Datagram, CannotBeSentFromWhatIsNotOurs)
{
    const int rc = coil_run(send_from_elsewhere("0.0.0.0:0", "192.0.2.1:0"));
    EXPECT_TRUE(rc == -EINVAL || rc == -EADDRNOTAVAIL || rc == -ENETUNREACH) << rc;
    EXPECT_EQ(-EAFNOSUPPORT, coil_run(send_from_elsewhere("0.0.0.0:0", "[::1]:0")));
    const std::string name = abstract_name();
    EXPECT_EQ(-EOPNOTSUPP, coil_run(send_from_elsewhere(name.c_str(), "127.0.0.1:0")));
}

/* -------------------------------------------------------------------------------- several -- */

struct Several {
    std::vector<std::string> texts;
    std::vector<coil_datagram_outgoing> items;
    Scene scene;
};

async(int, send_several, (Several *) self)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; int rc; size_t i);

    attempt(my->server, opened_at(self->scene.address.c_str(), nullptr));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_at(self->scene.address.c_str(), nullptr));
    defer(coil_datagram_close(my->client));
    for (const std::string &text : self->texts)
        self->items.push_back({coil_datagram_local(my->server), nullptr, slice_of(text)});
    await(my->rc, coil_datagram_send_several(my->client, self->items.data(),
                          static_cast<unsigned>(self->items.size())));
    self->scene.results.push_back(my->rc);
    self->scene.count = coil_datagram_count(my->client).sent;
    attempt(receive_all(my->server, &self->scene, self->scene.count));
    return 0;
}

TEST(Datagram, IsOneOfSeveralThatAreSentTogether)
{
    for (const unsigned count : {0U, 1U, 16U, 17U, 100U}) {
        Several self;
        for (unsigned i = 0; i < count; i++)
            self.texts.push_back(std::to_string(i));
        EXPECT_EQ(0, coil_run(send_several(&self)));
        EXPECT_EQ(self.texts, self.scene.got);
        EXPECT_EQ((std::vector<int64_t>{0}), self.scene.results);
    }
}

TEST(Datagram, IsSentIfOneBehindItCannotBe)
{
    Several self;
    for (unsigned i = 0; i < 40; i++)
        self.texts.push_back(std::to_string(i));
    self.texts[20] = std::string(70000, 'x');
    EXPECT_EQ(0, coil_run(send_several(&self)));
    EXPECT_EQ((std::vector<int64_t>{-EMSGSIZE}), self.scene.results);
    EXPECT_EQ(20u, self.scene.got.size());
}

async(int, fill_up, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in;
            char number[16]; int rc; unsigned i);

    attempt(my->server, opened_at(abstract_name().c_str(), nullptr));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_to(abstract_name().c_str()));
    defer(coil_datagram_close(my->client));
    for (my->i = 0; my->i < 100000; my->i++) {
        snprintf(my->number, sizeof(my->number), "%u", my->i);
        await(my->rc,
                within(coil_ms(20), coil_datagram_send(my->client, nullptr, slice_of(my->number))));
        if (my->rc < 0)
            break;
    }
    scene->results.push_back(my->rc);
    scene->count = my->i;
    attempt(receive_all(my->server, scene, my->i));
    await(my->rc, within(coil_ms(20), coil_datagram_receive(my->server, &my->in)));
    scene->results.push_back(my->rc); /* What was not sent in time is not sent at all. */
    return 0;
}

TEST(Datagram, WaitsForRoomAtAUnixSocketAndIsNotSentIfThatIsTooLate)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(fill_up(&scene)));
    EXPECT_EQ((std::vector<int64_t>{-ETIME, -ETIME}), scene.results);
    ASSERT_EQ(scene.count, scene.got.size());
    for (size_t i = 0; i < scene.count; i++)
        EXPECT_EQ(std::to_string(i), scene.got[i]);
}

async(int, receive_for_ever, (coil_datagram_socket *) socket)
{
    vars(coil_datagram in);
    for (;;) {
        attempt(coil_datagram_receive(socket, &my->in));
        coil_datagram_release(&my->in);
    }
}

async(int, close_early, (Scene *) scene)
{
    vars(coil_datagram_socket *socket; coil_group group);
    attempt(my->socket, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->socket));
    open_group(&my->group);
    spawn(&my->group, receive_for_ever(my->socket));
    await(coil_sleep(coil_ms(1)));
    return 0;
}

TEST(Datagram, SocketsCloseWhileTheKernelReceives)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(close_early(&scene)));
}

/*
 * The model: a sequence, sent over a socket that loses nothing, is received whole and in order, by
 * somebody who is interrupted all the time, and holds what it gets for a while.
 */
struct Model {
    explicit Model(unsigned seed) : random(seed)
    {
        options.buffer_count = 1U << below(5);
        options.max_bytes = 3000;
    }

    unsigned below(unsigned limit)
    {
        return std::uniform_int_distribution<unsigned>(0, limit - 1)(random);
    }

    std::mt19937 random;
    coil_datagram_options options = {};
    coil_datagram_socket *server = nullptr;
    coil_datagram_socket *client = nullptr;
    std::vector<coil_datagram> held;
    uint32_t received = 0;
    bool failed = false;
};

enum { MODEL_COUNT = 400 };

async(int, send_sequence, (Model *) model)
{
    vars(uint32_t i; size_t size_bytes; char bytes[3000]);
    for (my->i = 0; my->i < MODEL_COUNT; my->i++) {
        my->size_bytes = sizeof(my->i) + model->below(2900);
        memset(my->bytes, static_cast<int>(my->i), my->size_bytes);
        memcpy(my->bytes, &my->i, sizeof(my->i));
        attempt(coil_datagram_send(model->client, nullptr,
                coil_slice{static_cast<int64_t>(my->size_bytes), my->bytes, nullptr}));
        if (model->below(4) == 0)
            await(coil_sleep(coil_us(model->below(300))));
    }
    return 0;
}

void check(Model *model, const coil_datagram *in)
{
    uint32_t number;
    EXPECT_LE(static_cast<int64_t>(sizeof(number)), in->bytes.size_bytes);
    if (in->bytes.size_bytes < static_cast<int64_t>(sizeof(number))) {
        model->failed = true;
        return;
    }
    memcpy(&number, in->bytes.bytes, sizeof(number));
    model->failed |= number != model->received;
    for (int64_t i = sizeof(number); i < in->bytes.size_bytes; i++)
        model->failed |= in->bytes.bytes[i] != static_cast<char>(number);
    model->received++;
}

async(int, receive_sequence, (Model *) model)
{
    vars(coil_datagram in[3]; int rc);
    while (model->received < MODEL_COUNT && !model->failed) {
        await(my->rc, within(coil_us(model->below(200)), coil_datagram_receive_some(model->server,
                                                                 my->in, 1 + model->below(3))));
        for (int i = 0; i < my->rc; i++) {
            check(model, &my->in[i]);
            model->held.push_back(my->in[i]);
        }
        if (my->rc < 0 && my->rc != -ETIME)
            return my->rc;
        while (!model->held.empty() && (model->held.size() > 12 || model->below(2) == 0)) {
            const size_t which = model->below(static_cast<unsigned>(model->held.size()));
            coil_datagram_release(&model->held[which]);
            model->held.erase(model->held.begin() + static_cast<ptrdiff_t>(which));
        }
    }
    for (coil_datagram &rest : model->held)
        coil_datagram_release(&rest);
    return 0;
}

async(int, play, (Model *) model)
{
    vars(coil_group group);
    attempt(model->server, opened_at(abstract_name().c_str(), &model->options));
    defer(coil_datagram_close(model->server));
    attempt(model->client, opened_to(abstract_name().c_str()));
    defer(coil_datagram_close(model->client));
    open_group(&my->group);
    spawn(&my->group, send_sequence(model));
    spawn(&my->group, receive_sequence(model));
    attempt(within(coil_s(60), coil_group_join(&my->group)));
    return 0;
}

TEST(Datagram, IsNotLostHoweverOftenItsReceiverIsInterrupted)
{
    const char *times = getenv("COIL_TEST_SEEDS");
    const unsigned seeds = 5 * (times == nullptr ? 1U : static_cast<unsigned>(atoi(times)));
    for (unsigned seed = 1; seed <= seeds; seed++) {
        Model model(seed);
        EXPECT_EQ(0, coil_run(play(&model))) << "seed " << seed;
        EXPECT_FALSE(model.failed) << "seed " << seed;
        EXPECT_EQ(static_cast<uint32_t>(MODEL_COUNT), model.received) << "seed " << seed;
    }
}

} // namespace
