/* SPDX-License-Identifier: MIT */
/* Files to streams, and streams to each other: which bytes arrive, and which are left. */
#include "peer.h"
#include "wire.h"

#include <coil/relay.h>

#include <sys/mman.h>
#include <sys/resource.h>

#include <memory>

#include <coil/sugar.h>

/* The program is linked with --wrap=coil_slice_create. */
static bool no_memory;
static int refused_count;
extern "C" int __real_coil_slice_create(size_t size_bytes, char **out_bytes, coil_slice *out_slice);
extern "C" int __wrap_coil_slice_create(size_t size_bytes, char **out_bytes, coil_slice *out_slice);
int __wrap_coil_slice_create(size_t size_bytes, char **out_bytes, coil_slice *out_slice)
{
    if (!no_memory)
        return __real_coil_slice_create(size_bytes, out_bytes, out_slice);
    refused_count++;
    return -ENOMEM;
}

namespace
{

/* Byte `at` of stream `which`. */
char byte_of(int which, size_t at)
{
    return static_cast<char>((at * 2654435761U >> 7) + static_cast<size_t>(which));
}

/* Two wires, and a proxy between `left.other` and `right.one`. */
struct Proxy {
    explicit Proxy(unsigned seed) : left(seed), right(seed + 1000) {}
    Wire left;
    Wire right;
    coil_relay_options options = {};
    coil_relay_counts counts = {};
    size_t forth_bytes = 100000;
    size_t back_bytes = 100000;
    int64_t result = 0;
    int pieces = 0; /* Of a relay that is cancelled again and again. */
    bool is_slow = false;
};

async(int, write_bytes, (coil_stream *) to, (int) which, (size_t) size, (std::mt19937 *) random)
{
    vars(char bytes[3000]; size_t at; size_t piece);

    for (my->at = 0; my->at < size; my->at += my->piece) {
        my->piece = std::min<size_t>(1 + (*random)() % sizeof(my->bytes), size - my->at);
        for (size_t i = 0; i < my->piece; i++)
            my->bytes[i] = byte_of(which, my->at + i);
        attempt(coil_write_all(to, coil_bytes(my->bytes, my->piece)));
        if ((*random)() % 8 == 0)
            await(coil_sleep(coil_us((*random)() % 100)));
    }
    attempt(coil_stream_shutdown(to));
    return 0;
}

async(int64_t, read_bytes, (coil_stream *) from, (int) which, (std::mt19937 *) random, (bool) slow)
{
    vars(coil_slice in; int64_t at);

    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(from));
        if (my->in.size_bytes == 0)
            return my->at;
        for (int64_t i = 0; i < my->in.size_bytes; i++, my->at++) {
            if (my->in.bytes[i] != byte_of(which, static_cast<size_t>(my->at)))
                return -EBADMSG;
        }
        coil_slice_release(&my->in);
        if (slow || (*random)() % 4 == 0)
            await(coil_sleep(coil_us((*random)() % 500)));
    }
}

async(int, both_ways, (Proxy *) proxy)
{
    vars(coil_group group; int64_t forth; int64_t back; coil_group relays);

    open_group(&my->relays);
    coil_spawn_result(&my->relays, &proxy->result,
            coil_relay(proxy->left.other, proxy->right.one, &proxy->options, &proxy->counts));
    open_group(&my->group);
    spawn(&my->group, write_bytes(proxy->left.one, 1, proxy->forth_bytes, &proxy->left.random));
    coil_spawn_result(&my->group, &my->forth,
            read_bytes(proxy->right.other, 1, &proxy->left.random, proxy->is_slow));
    spawn(&my->group, write_bytes(proxy->right.other, 2, proxy->back_bytes, &proxy->left.random));
    coil_spawn_result(&my->group, &my->back,
            read_bytes(proxy->left.one, 2, &proxy->left.random, proxy->is_slow));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(static_cast<int64_t>(proxy->forth_bytes), my->forth);
    EXPECT_EQ(static_cast<int64_t>(proxy->back_bytes), my->back);
    attempt(coil_group_join(&my->relays));
    EXPECT_EQ(0, proxy->result);
    EXPECT_EQ(proxy->forth_bytes, proxy->counts.forth_bytes);
    EXPECT_EQ(proxy->back_bytes, proxy->counts.back_bytes);
    return 0;
}

async(int, on_proxy, (coil_handler) body, (Proxy *) proxy)
{
    vars(int rc);

    EXPECT_EQ(0, proxy->left.open(SOCKETS));
    EXPECT_EQ(0, proxy->right.open(SOCKETS));
    defer({
        coil_stream_close(proxy->left.one);
        coil_stream_close(proxy->left.other);
        coil_stream_close(proxy->right.one);
        coil_stream_close(proxy->right.other);
    });
    await(my->rc, coil_handler_call(body, proxy));
    return my->rc;
}

/* A thread of the kernel splices, for which a virtual clock does not wait: so that is real. */
#define RUN_PROXY(body, proxy) \
    ((proxy)->options.splices ? RUN_REALLY(body, proxy) : RUN_VIRTUALLY(body, proxy))

#define RUN_REALLY(body, proxy) \
    coil_run(coil_within(coil_s(20), on_proxy(coil_handler(body, Proxy *), (proxy))))

#define RUN_VIRTUALLY(body, proxy)                                                          \
    __extension__({                                                                         \
        coil_loop *loop_ = nullptr;                                                         \
        EXPECT_EQ(0, coil_test_loop_create(&loop_, nullptr));                               \
        const int64_t result_ =                                                             \
                coil_loop_run_until(loop_, on_proxy(coil_handler(body, Proxy *), (proxy))); \
        EXPECT_EQ(0, coil_loop_close(&loop_));                                              \
        result_;                                                                            \
    })

/* Whether it splices. */
class Relay : public testing::TestWithParam<bool>
{
protected:
    Relay() : proxy(4711)
    {
        proxy.options.splices = GetParam();
    }

    Proxy proxy;
};

TEST_P(Relay, BringsBothDirectionsToTheirEnds)
{
    EXPECT_EQ(0, RUN_PROXY(both_ways, &proxy));
}

TEST_P(Relay, BringsMuchToASlowReader)
{
    proxy.forth_bytes = 3000000;
    proxy.back_bytes = 0;
    proxy.is_slow = true;
    EXPECT_EQ(0, RUN_PROXY(both_ways, &proxy));
}

TEST_P(Relay, EndsOnlyWhenBothSidesHave)
{
    proxy.forth_bytes = 0; /* Its end comes first; the other one is under way. */
    EXPECT_EQ(0, RUN_PROXY(both_ways, &proxy));
}

async(int, be_idle, (Proxy *) proxy)
{
    vars(int rc; coil_time began; coil_group group);

    my->began = coil_task_now(coil_self);
    open_group(&my->group);
    coil_spawn_result(&my->group, &proxy->result,
            coil_relay(proxy->left.other, proxy->right.one, &proxy->options, &proxy->counts));
    await(coil_sleep(proxy->options.idle_limit / 3 * 2));
    attempt(coil_write_all(proxy->left.one, coil_text("a")));
    await(coil_sleep(proxy->options.idle_limit / 3 * 2));
    attempt(coil_write_all(proxy->right.other, coil_text("bc")));
    await(my->rc, coil_group_join(&my->group));
    EXPECT_EQ(-ETIME, my->rc);
    EXPECT_LE(proxy->options.idle_limit / 3 * 7, coil_task_now(coil_self) - my->began);
    EXPECT_EQ(1u, proxy->counts.forth_bytes);
    EXPECT_EQ(2u, proxy->counts.back_bytes);
    return 0;
}

TEST_P(Relay, GivesUpWhenNothingGoesInEitherDirection)
{
    proxy.options.idle_limit = GetParam() ? coil_ms(600) : coil_s(30);
    EXPECT_EQ(0, RUN_PROXY(be_idle, &proxy));
}

async(int, lose_one_side, (Proxy *) proxy)
{
    vars(int rc);

    coil_stream_close(proxy->right.other);
    proxy->right.other = NULL;
    attempt(coil_write_all(proxy->left.one, coil_text("for nobody")));
    await(my->rc, coil_relay(proxy->left.other, proxy->right.one, &proxy->options, &proxy->counts));
    EXPECT_EQ(-EPIPE, my->rc);
    EXPECT_EQ(0u, proxy->counts.forth_bytes);
    return 0;
}

TEST_P(Relay, FailsWithASideThatIsGone)
{
    EXPECT_EQ(0, RUN_PROXY(lose_one_side, &proxy));
}

/* --------------------------------------------------------------------------- cancellation -- */

/* A relay in pieces: each ends at any time, and the next goes on from there. */
async(int, relay_in_pieces, (Proxy *) proxy)
{
    vars(int rc; uint64_t bytes; uint64_t all);

    do {
        my->bytes = 0;
        await(my->rc, within(coil_us(proxy->right.random() % 600),
                              coil_relay_one_way(proxy->left.other, proxy->right.one,
                                      &proxy->options, &my->bytes)));
        my->all += my->bytes;
        proxy->pieces++;
        EXPECT_EQ(my->all, coil_stream_bytes_written(proxy->right.one));
        EXPECT_EQ(my->all, coil_stream_bytes_read(proxy->left.other)) << "the rest is unread again";
    } while (my->rc == -ETIME);
    EXPECT_EQ(proxy->forth_bytes, my->all);
    return my->rc;
}

async(int, go_in_pieces, (Proxy *) proxy)
{
    vars(coil_group group; int64_t came);

    proxy->left.shrink();
    proxy->right.shrink();
    open_group(&my->group);
    spawn(&my->group, relay_in_pieces(proxy));
    spawn(&my->group, write_bytes(proxy->left.one, 1, proxy->forth_bytes, &proxy->left.random));
    coil_spawn_result(
            &my->group, &my->came, read_bytes(proxy->right.other, 1, &proxy->left.random, true));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(static_cast<int64_t>(proxy->forth_bytes), my->came);
    return 0;
}

TEST_P(Relay, LosesNotAByteHoweverOftenItIsCancelled)
{
    int pieces = 0;
    for (unsigned seed = 1; seed <= wire_seeds(5); seed++) {
        SCOPED_TRACE(seed);
        Proxy one(seed);
        one.options.splices = GetParam();
        EXPECT_EQ(0, RUN_PROXY(go_in_pieces, &one));
        pieces += one.pieces;
    }
    EXPECT_GT(pieces, static_cast<int>(2 * wire_seeds(5))) << "some are hardly ever cancelled";
}

/*
 * What lies in the pipe when the relay is cancelled cannot be given back: then what follows it must
 * not be read as if it came next.
 */
async(int, cancel_without_memory, (Proxy *) proxy)
{
    vars(coil_group group; uint64_t bytes; coil_slice in; int rc);

    proxy->right.shrink();
    open_group(&my->group);
    spawn(&my->group, write_bytes(proxy->left.one, 1, 3000000, &proxy->left.random));
    no_memory = true;
    await(my->rc, within(coil_ms(200), coil_relay_one_way(proxy->left.other, proxy->right.one,
                                               &proxy->options, &my->bytes)));
    no_memory = false;
    EXPECT_EQ(-ETIME, my->rc);
    EXPECT_GT(refused_count, 0) << "there was something in the pipe";
    await(my->in, within(coil_s(5), coil_read_some(proxy->left.other)));
    EXPECT_EQ(-ENOMEM, my->in.size_bytes);
    coil_slice_release(&my->in);
    coil_group_cancel(&my->group);
    return 0;
}

TEST(RelayWithoutMemory, GivesNothingFromBehindAGap)
{
    Proxy proxy(7);
    proxy.options.splices = true;
    EXPECT_EQ(0, RUN_REALLY(cancel_without_memory, &proxy));
}

/* ------------------------------------------------------------------------------ urgent bytes -- */

enum { BEHIND_URGENT_BYTES = 1000000 };

/* A connection of TCP, and a peer that begins with an urgent byte, which is not in the stream. */
struct Urgent {
    explicit Urgent(bool splices)
    {
        const PeerListener listener;
        const size_t colon = listener.address.find(':');
        const int port = std::stoi(listener.address.substr(colon + 1));
        peer = std::make_unique<Peer>(Peer::connected(static_cast<uint16_t>(port)));
        Peer accepted = listener.accepted();
        fd = std::exchange(accepted.fd, -1);
        options.splices = splices;
    }

    void send() const
    {
        std::string bytes;
        for (size_t at = 0; at < BEHIND_URGENT_BYTES; at++)
            bytes.push_back(byte_of(1, at));
        EXPECT_EQ(1, ::send(peer->fd, "!", 1, MSG_OOB));
        for (size_t at = 0; at < bytes.size(); at += 1000) { /* Whoever waits for it gets it. */
            EXPECT_TRUE(peer->send(bytes.substr(at, 1000)));
            std::this_thread::sleep_for(std::chrono::microseconds(at == 0 ? 20000 : 50));
        }
        peer->end();
    }

    std::unique_ptr<Peer> peer;
    int fd;
    coil_relay_options options = {};
    std::mt19937 random;
};

async(int, relay_urgent, (Urgent *) urgent)
{
    vars(coil_stream *from; coil_stream *to; coil_stream *reader; coil_group group;
            uint64_t bytes; int64_t came);

    EXPECT_EQ(0, coil_stream_create(urgent->fd, COIL_TRANSPORT_SOCKET, &my->from));
    EXPECT_EQ(0, coil_stream_pair(&my->to, &my->reader));
    defer({
        coil_stream_close(my->from);
        coil_stream_close(my->to);
        coil_stream_close(my->reader);
    });
    open_group(&my->group);
    coil_spawn_result(&my->group, &my->came, read_bytes(my->reader, 1, &urgent->random, false));
    await(coil_sleep(coil_ms(5)));
    attempt(coil_relay_one_way(my->from, my->to, &urgent->options, &my->bytes));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(BEHIND_URGENT_BYTES, my->came);
    return 0;
}

/* splice(2) gives nothing where an urgent byte is next, and so it is received. */
TEST_P(Relay, KeepsTheOrderBehindAnUrgentByte)
{
    Urgent urgent(GetParam());
    const Thread sender([&] { urgent.send(); });
    EXPECT_EQ(0, coil_run(coil_within(coil_s(20), relay_urgent(&urgent))));
}

INSTANTIATE_TEST_SUITE_P(Ways, Relay, testing::Bool());

/* ----------------------------------------------------------------------------------- files -- */

struct Sent {
    explicit Sent(size_t file_bytes)
    {
        fd = memfd_create("relay_test", MFD_CLOEXEC);
        for (size_t i = 0; i < file_bytes; i++)
            content.push_back(byte_of(3, i));
        EXPECT_EQ(static_cast<ssize_t>(file_bytes), pwrite(fd, content.data(), file_bytes, 0));
    }

    ~Sent()
    {
        close(fd);
    }

    int fd;
    std::string content;
    off_t offset = 0;
    int64_t size = 0;
    std::string got = "";
    int64_t result = 0;
};

async(int, read_to_end, (Wire *) wire, (std::string *) got)
{
    vars(coil_slice in);
    for (;;) {
        attempt(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes == 0)
            return 0;
        *got += text_of(my->in);
        coil_slice_release(&my->in);
        if (wire->random() % 4 == 0)
            await(coil_sleep(coil_us(100)));
    }
}

async(int, send_one_file, (Wire *) wire, (Sent *) sent)
{
    vars(coil_group group);

    open_group(&my->group);
    spawn(&my->group, read_to_end(wire, &sent->got));
    attempt(coil_write_all(wire->one, coil_text("<")));
    await(sent->result, coil_send_file(wire->one, sent->fd, sent->offset, sent->size));
    attempt(coil_write_all(wire->one, coil_text(">")));
    coil_stream_close(wire->one);
    wire->one = NULL;
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, send_file_on, (Medium) medium, (Sent *) sent)
{
    vars(Wire *wire; int rc);
    my->wire = new Wire();
    EXPECT_EQ(0, my->wire->open(medium));
    defer({
        coil_stream_close(my->wire->one);
        coil_stream_close(my->wire->other);
        delete my->wire;
    });
    await(my->rc, send_one_file(my->wire, sent));
    return my->rc;
}

void expect_sent(Medium medium, size_t file_bytes, off_t offset, int64_t size)
{
    Sent sent(file_bytes);
    sent.offset = offset;
    sent.size = size;
    EXPECT_EQ(0, coil_run(coil_within(coil_s(20), send_file_on(medium, &sent))));
    const size_t from = std::min<size_t>(static_cast<size_t>(offset), file_bytes);
    const std::string expected = sent.content.substr(from, static_cast<size_t>(size));
    EXPECT_EQ(static_cast<int64_t>(expected.size()), sent.result);
    EXPECT_TRUE("<" + expected + ">" == sent.got) << sent.got.size();
    EXPECT_EQ(0, lseek(sent.fd, 0, SEEK_CUR)) << "its position has not moved";
}

TEST(SendFile, SendsSmallAndLargePieces)
{
    for (const Medium medium : {SOCKETS, PIPE}) {
        expect_sent(medium, 1000, 0, 1000);
        expect_sent(medium, 1000, 10, 20);
        expect_sent(medium, 3000000, 0, 3000000);
        expect_sent(medium, 3000000, 12345, 2000000);
    }
}

TEST(SendFile, EndsWithTheFile)
{
    expect_sent(SOCKETS, 1000, 0, 5000);
    expect_sent(SOCKETS, 200000, 100, 500000);
    expect_sent(SOCKETS, 1000, 2000, 10);
    expect_sent(SOCKETS, 0, 0, 1000000);
}

async(int, send_to_nobody, (Wire *) wire)
{
    vars(int64_t rc; Sent *sent; int other);

    my->sent = new Sent(1000000);
    defer(delete my->sent);
    await(my->rc, coil_send_file(wire->one, my->sent->fd, -1, 10));
    EXPECT_EQ(-EINVAL, my->rc);
    await(my->rc, coil_send_file(wire->one, -1, 0, 10));
    EXPECT_EQ(-EBADF, my->rc);
    await(my->rc, coil_send_file(wire->one, my->sent->fd, 0, 0));
    EXPECT_EQ(0, my->rc);
    await(my->rc, within(coil_ms(300), coil_send_file(wire->one, my->sent->fd, 0, 1000000)));
    EXPECT_EQ(-ETIME, my->rc) << "nobody reads";
    await(my->other, coil_write_all(wire->one, coil_text("x")));
    EXPECT_EQ(-EPIPE, my->other) << "it was cut";
    return 0;
}

TEST(SendFile, CutsTheStreamWhenItIsCancelledInItsMiddle)
{
    Wire wire;
    EXPECT_EQ(0, coil_run(on_open_wire(coil_handler(send_to_nobody, Wire *), SOCKETS, &wire)));
}

async(int, send_to_file, (int) fd, (Sent *) sent)
{
    vars(coil_stream *to; int rc);

    my->rc = coil_stream_create(fd, COIL_TRANSPORT_FILE, &my->to);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->to));
    await(sent->result, coil_send_file(my->to, sent->fd, sent->offset, sent->size));
    return 0;
}

/* splice(2) fills our pipe from the file, and then refuses to append (-EINVAL). */
TEST(SendFile, LosesNothingWhereItTurnsOutThatTheReceiverCannotBeSplicedTo)
{
    Sent sent(300000);
    sent.size = 300000;
    const int to = memfd_create("relay_test", MFD_CLOEXEC);
    const int kept = dup(to);
    ASSERT_EQ(0, fcntl(to, F_SETFL, O_APPEND));
    EXPECT_EQ(0, coil_run(coil_within(coil_s(20), send_to_file(to, &sent))));
    EXPECT_EQ(300000, sent.result);
    std::string got(400000, '\0');
    got.resize(static_cast<size_t>(std::max<ssize_t>(0, pread(kept, got.data(), got.size(), 0))));
    EXPECT_TRUE(got == sent.content) << got.size();
    close(kept);
}

/* As many as there may be, until the end. */
struct NoDescriptors {
    NoDescriptors()
    {
        EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
        const rlimit few = {100, before.rlim_max};
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
        for (int fd = dup(0); fd >= 0; fd = dup(0))
            fillers.push_back(fd);
        EXPECT_EQ(EMFILE, errno);
    }

    ~NoDescriptors()
    {
        for (const int fd : fillers)
            close(fd);
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    }

    rlimit before = {};
    std::vector<int> fillers = {};
};

async(int, send_without_descriptors, (Wire *) wire)
{
    vars(Sent *sent; NoDescriptors *none; coil_group group);

    my->sent = new Sent(1000000);
    defer(delete my->sent);
    open_group(&my->group);
    spawn(&my->group, read_to_end(wire, &my->sent->got));
    my->none = new NoDescriptors();
    await(my->sent->result, coil_send_file(wire->one, my->sent->fd, 0, 1000000));
    delete my->none;
    EXPECT_EQ(1000000, my->sent->result);
    attempt(coil_stream_shutdown(wire->one));
    attempt(coil_group_join(&my->group));
    EXPECT_TRUE(my->sent->got == my->sent->content);
    return 0;
}

TEST(SendFile, DoesWithoutAPipeIfThereIsNone)
{
    Wire wire;
    EXPECT_EQ(0,
            coil_run(on_open_wire(coil_handler(send_without_descriptors, Wire *), SOCKETS, &wire)));
}

} // namespace
