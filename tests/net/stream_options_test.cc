/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "wire.h"

#include <coil/connector.h>
#include <coil/io.h>

#include <netinet/tcp.h>

#include <coil/sugar.h>

namespace
{

int option(const coil_stream *stream, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);
    EXPECT_EQ(0, getsockopt(coil_stream_fd(stream), level, name, &value, &size));
    return value;
}

async(int, configure_tcp, (PeerListener *) listener)
{
    vars(coil_stream *stream; coil_address address; char text[COIL_ADDRESS_TEXT_BYTES]);

    attempt(my->stream, coil_connect(listener->address.c_str()));
    defer(coil_stream_close(my->stream));
    coil_stream_options options = {};
    options.keep_alive_idle = coil_ms(59500);
    options.keep_alive_interval = coil_s(10);
    options.keep_alive_probes = 3;
    options.user_timeout = coil_s(90);
    options.send_buffer_bytes = 20000;
    EXPECT_EQ(0, coil_stream_configure(my->stream, &options));
    EXPECT_EQ(1, option(my->stream, SOL_SOCKET, SO_KEEPALIVE));
    EXPECT_EQ(60, option(my->stream, IPPROTO_TCP, TCP_KEEPIDLE)) << "rounded up";
    EXPECT_EQ(10, option(my->stream, IPPROTO_TCP, TCP_KEEPINTVL));
    EXPECT_EQ(3, option(my->stream, IPPROTO_TCP, TCP_KEEPCNT));
    EXPECT_EQ(90000, option(my->stream, IPPROTO_TCP, TCP_USER_TIMEOUT));
    EXPECT_EQ(40000, option(my->stream, SOL_SOCKET, SO_SNDBUF)) << "socket(7): doubled";
    EXPECT_EQ(1, option(my->stream, IPPROTO_TCP, TCP_NODELAY));
    options = {};
    options.delays_small_writes = true;
    EXPECT_EQ(0, coil_stream_configure(my->stream, &options));
    EXPECT_EQ(0, option(my->stream, IPPROTO_TCP, TCP_NODELAY));
    EXPECT_EQ(90000, option(my->stream, IPPROTO_TCP, TCP_USER_TIMEOUT)) << "stays";
    options.user_timeout = -1;
    EXPECT_EQ(-EINVAL, coil_stream_configure(my->stream, &options));
    options.user_timeout = coil_s(10000000);
    EXPECT_EQ(-EINVAL, coil_stream_configure(my->stream, &options));

    EXPECT_EQ(0, coil_stream_peer_address(my->stream, &my->address));
    EXPECT_EQ(listener->address, coil_address_format(&my->address, my->text));
    EXPECT_EQ(0, coil_stream_address(my->stream, &my->address));
    EXPECT_NE(0, coil_address_port(&my->address));
    return 0;
}

TEST(StreamOptions, AreThoseOfTheSocket)
{
    PeerListener listener;
    EXPECT_EQ(0, coil_run(configure_tcp(&listener)));
}

/* What both ends of a connection are like that was made with options. */
async(int, be_made_with, (const coil_stream_options *) wanted, (const char *) address)
{
    vars(coil_listener *listener; coil_stream *client; coil_stream *server; char at[64];
            coil_connect_options connecting);

    {
        coil_listen_options listening = {};
        listening.stream = wanted;
        listening.fast_open = 16;
        const int rc = coil_listen(address, &listening, &my->listener);
        if (rc < 0)
            return rc;
    }
    defer(coil_listener_close(my->listener));
    coil_address_format(coil_listener_address(my->listener), my->at);

    my->connecting.stream = wanted;
    my->connecting.fast_open = true;
    attempt(my->client, coil_connect_to(&my->connecting, my->at, nullptr));
    defer(coil_stream_close(my->client));
    attempt(coil_write_all(my->client, coil_text("x")));
    attempt(my->server, coil_accept(my->listener));
    defer(coil_stream_close(my->server));
    for (const coil_stream *each : {my->client, my->server}) {
        EXPECT_EQ(0, option(each, IPPROTO_TCP, TCP_NODELAY));
        EXPECT_EQ(1, option(each, SOL_SOCKET, SO_KEEPALIVE));
        EXPECT_EQ(30, option(each, IPPROTO_TCP, TCP_KEEPIDLE));
        EXPECT_EQ(5000, option(each, IPPROTO_TCP, TCP_USER_TIMEOUT));
        EXPECT_EQ(40000, option(each, SOL_SOCKET, SO_SNDBUF));
        EXPECT_EQ(60000, option(each, SOL_SOCKET, SO_RCVBUF));
        EXPECT_EQ(0x10, option(each, IPPROTO_IP, IP_TOS));
    }
    return 0;
}

coil_stream_options some_options()
{
    coil_stream_options options = {};
    options.keep_alive_idle = coil_s(30);
    options.user_timeout = coil_s(5);
    options.send_buffer_bytes = 20000;
    options.receive_buffer_bytes = 30000;
    options.type_of_service = 0x10; /* IPTOS_LOWDELAY */
    options.delays_small_writes = true;
    return options;
}

TEST(StreamOptions, AreThoseOfWhatIsAcceptedAndConnected)
{
    const coil_stream_options options = some_options();
    EXPECT_EQ(0, coil_run(be_made_with(&options, "127.0.0.1:0")));
}

TEST(StreamOptions, FailTheListenerIfTheyMakeNoSense)
{
    coil_stream_options options = some_options();
    options.type_of_service = 256;
    EXPECT_EQ(-EINVAL, coil_run(be_made_with(&options, "127.0.0.1:0")));
}

async(int, configure_others, (Wire *) wire)
{
    vars();
    coil_stream_options options = {};
    coil_address address;
    options.keep_alive_idle = coil_s(1);
    EXPECT_EQ(0, coil_stream_configure(wire->one, &options)) << "not TCP: nothing to do";
    coil_stream *reader = nullptr;
    coil_stream *writer = nullptr;
    EXPECT_EQ(0, coil_pipe_create(&reader, &writer));
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_configure(reader, &options));
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_address(reader, &address));
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_options_apply(COIL_DIRECT | 3, &options));
    coil_stream_close(reader);
    coil_stream_close(writer);
    return 0;
}

TEST(StreamOptions, KnowWhatIsNotTcp)
{
    EXPECT_EQ(0, RUN_ON_WIRE(configure_others));
}

async(int, abort_it, (PeerListener *) listener)
{
    vars(coil_stream *stream);
    attempt(my->stream, coil_connect(listener->address.c_str()));
    attempt(coil_write_all(my->stream, coil_text("never read")));
    coil_stream_abort(my->stream);
    coil_stream_abort(NULL);
    return 0;
}

TEST(StreamAbort, ResetsTheConnection)
{
    PeerListener listener;
    EXPECT_EQ(0, coil_run(abort_it(&listener)));
    Peer peer = listener.accepted();
    peer.receive(100);
    EXPECT_EQ(ECONNRESET, peer.broken);
}

/* ------------------------------------------------------------------------------------ idle -- */

async(int, chatter, (Wire *) wire)
{
    vars(int i; coil_slice in);
    for (my->i = 0; my->i < 10; my->i++) {
        await(coil_sleep(coil_s(20)));
        attempt(coil_write_all(wire->other, coil_text("x")));
    }
    for (my->i = 0; my->i < 10; my->i++) {
        await(coil_sleep(coil_s(20)));
        attempt(coil_write_all(wire->one, coil_text("y")));
    }
    await(coil_sleep(coil_s(3000)));
    return 0;
}

async(int, swallow, (coil_stream *) stream)
{
    vars(coil_slice in);
    for (;;) {
        attempt(my->in, coil_read_some(stream));
        coil_slice_release(&my->in);
    }
}

async(int, wait_until_idle, (Wire *) wire)
{
    vars(coil_group group; coil_slice in; coil_time began; int rc);

    my->began = coil_task_now(coil_self);
    open_group(&my->group);
    spawn(&my->group, coil_stream_watch_idle(wire->one, coil_s(30)));
    spawn(&my->group, chatter(wire));
    spawn(&my->group, swallow(wire->one));
    await(my->rc, coil_group_join(&my->group));
    EXPECT_EQ(-ETIME, my->rc);
    const coil_duration took = coil_task_now(coil_self) - my->began;
    EXPECT_GE(took, coil_s(430)) << "20 bytes, the last after 400 s";
    EXPECT_LE(took, coil_s(440)) << "not more than a quarter late";
    return 0;
}

TEST(StreamIdle, IsWhenNoByteGoesInEitherDirection)
{
    EXPECT_EQ(0, RUN_ON_WIRE(wait_until_idle));
}

enum { SLOW_BYTES = 1 << 20, SLOW_PIECE_BYTES = 16 * 1024 };

/* Takes a little now and then, and at last nothing. */
void read_slowly(Peer *peer, int take_bytes)
{
    for (int taken = 0; taken < take_bytes; taken += SLOW_PIECE_BYTES) {
        EXPECT_EQ(static_cast<size_t>(SLOW_PIECE_BYTES), peer->receive(SLOW_PIECE_BYTES).size());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

async(int, write_slow, (coil_stream *) stream)
{
    vars();
    static const std::string bytes(SLOW_BYTES, 'x');
    attempt(coil_write_all(stream, coil_bytes(bytes.data(), bytes.size())));
    return 0;
}

async(int, serve_slow, (int) fd, (coil_duration *) took)
{
    vars(coil_stream *stream; coil_group group; coil_time began; int rc);

    EXPECT_EQ(0, coil_stream_create(fd, COIL_TRANSPORT_SOCKET, &my->stream));
    defer(coil_stream_close(my->stream));
    my->began = coil_now();
    open_group(&my->group);
    spawn(&my->group, coil_stream_watch_idle(my->stream, coil_s(2)));
    spawn(&my->group, write_slow(my->stream));
    await(my->rc, coil_group_join(&my->group));
    *took = coil_now() - my->began;
    return my->rc;
}

/* One write, which is one operation, of which nothing is told before its end. */
TEST(StreamIdle, IsNotWhileAPeerTakesALargeWriteSlowly)
{
    const PeerListener listener;
    const int few = 4096;
    setsockopt(listener.fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
    const size_t colon = listener.address.find(':');
    Peer one =
            Peer::connected(static_cast<uint16_t>(std::stoi(listener.address.substr(colon + 1))));
    Peer peer = listener.accepted();
    setsockopt(one.fd, SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
    coil_duration took = 0;
    const Thread reader([&] { read_slowly(&peer, SLOW_BYTES / 2); });
    EXPECT_EQ(-ETIME, coil_run(serve_slow(std::exchange(one.fd, -1), &took)));
    EXPECT_GE(took, coil_ms(SLOW_BYTES / 2 / SLOW_PIECE_BYTES * 20)) << "it has been taken so long";
}

} // namespace
