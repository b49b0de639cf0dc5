/* SPDX-License-Identifier: MIT */
/* Compression in transports: of the connection, of what is in frames, of single messages. */
#include "thrift_packets.h"
#include "thrift_transport_peer.h"

#include <coil/thrift.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <zlib.h>

namespace
{

using packet::i16;
using packet::i32;

constexpr auto binary = COIL_THRIFT_PROTOCOL_BINARY;

std::string binary_call(const std::string &value = "hello")
{
    return packet::call("ping", packet::field(11, 1) + packet::text(value) + packet::stop());
}

std::string framed(const std::string &message)
{
    return i32(static_cast<int64_t>(message.size())) + message;
}

std::string noise(size_t size)
{
    std::mt19937 random(1);
    std::string bytes(size, '\0');
    for (char &byte : bytes)
        byte = static_cast<char>(random());
    return bytes;
}

/* A stream that zlib itself compresses, independently of what is tested. */
class Deflater
{
public:
    explicit Deflater(int level = 9)
    {
        deflateInit(&stream_, level);
    }
    ~Deflater()
    {
        deflateEnd(&stream_);
    }
    std::string piece(const std::string &bytes, int flush = Z_SYNC_FLUSH)
    {
        std::string out(deflateBound(&stream_, bytes.size()) + 64, '\0');
        stream_.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
        stream_.avail_in = static_cast<uInt>(bytes.size());
        stream_.next_out = reinterpret_cast<Bytef *>(out.data());
        stream_.avail_out = static_cast<uInt>(out.size());
        deflate(&stream_, flush);
        out.resize(out.size() - stream_.avail_out);
        return out;
    }

private:
    z_stream stream_ = {};
};

std::string deflated(const std::string &bytes)
{
    return Deflater().piece(bytes, Z_FINISH);
}

std::string header_frame(const std::string &payload)
{
    return framed(
            "\x0f\xff" + i16(0) + i32(99) + i16(1) + std::string("\0\x01\x01\0", 4) + payload);
}

thrift_dialect dialect(coil_thrift_transport transport, bool zlib, bool inside, bool alone = false)
{
    return {transport, binary, zlib, inside, alone, "there", nullptr};
}

using Make = std::function<std::unique_ptr<TransportPeer>()>;

std::unique_ptr<TransportPeer> server()
{
    return std::make_unique<TransportPeer>();
}

std::unique_ptr<TransportPeer> client_of(const thrift_dialect &spoken)
{
    return std::make_unique<TransportPeer>(spoken);
}

void expect_messages(const std::string &bytes, const std::vector<std::string> &messages,
        const Make &make = server)
{
    for (size_t cut = 0; cut <= bytes.size(); cut += bytes.size() > 500 ? 211 : 1) {
        std::unique_ptr<TransportPeer> peer = make();
        ASSERT_EQ(peer->feed(bytes.substr(0, cut)), 0) << peer->what();
        ASSERT_EQ(peer->feed(bytes.substr(cut)), 0) << peer->what();
        ASSERT_EQ(peer->received.size(), messages.size()) << "cut at " << cut;
        for (size_t i = 0; i < messages.size(); i++)
            ASSERT_EQ(peer->received[i].message, messages[i]) << "cut at " << cut;
    }
}

TEST(ThriftZlib, TakesAConnectionThatIsOneStream)
{
    const std::vector<std::string> messages = {
            binary_call("one"), binary_call("two"), binary_call(noise(3000))};
    for (int level : {0, 1, 6, 9}) {
        Deflater frames(level);
        std::string bytes;
        for (const std::string &message : messages)
            bytes += frames.piece(framed(message));
        expect_messages(bytes, messages);

        Deflater plain(level);
        bytes.clear();
        for (const std::string &message : messages)
            bytes += plain.piece(message);
        expect_messages(bytes, messages);
    }
}

TEST(ThriftZlib, TakesManyMessagesOfOneFlush)
{
    std::string bytes;
    std::vector<std::string> messages;
    for (int i = 0; i < 3000; i++) {
        messages.push_back(binary_call(std::to_string(i)));
        bytes += framed(messages.back());
    }
    TransportPeer peer;
    ASSERT_EQ(peer.feed(Deflater().piece(bytes)), 0) << peer.what();
    ASSERT_EQ(peer.received.size(), messages.size());
    for (size_t i = 0; i < messages.size(); i++)
        ASSERT_EQ(peer.received[i].message, messages[i]);
}

TEST(ThriftZlib, TakesFramesThatHoldPiecesOfOneStream)
{
    Deflater stream;
    std::string bytes;
    const std::vector<std::string> messages = {
            binary_call("one"), binary_call("two"), binary_call("one")};
    for (const std::string &message : messages)
        bytes += framed(stream.piece(message));

    expect_messages(bytes, messages);
    TransportPeer peer;
    ASSERT_EQ(peer.feed(bytes), 0);
    EXPECT_EQ(peer.received[0].kind.transport, COIL_THRIFT_TRANSPORT_FRAMED);
    EXPECT_EQ(peer.received[0].kind.zlib, THRIFT_ZLIB_STREAM);
}

TEST(ThriftZlib, TakesMessagesOfTHeaderThatAreCompressedByThemselves)
{
    expect_messages(header_frame(deflated(binary_call("one"))) +
                            header_frame(deflated(binary_call(noise(3000)))),
            {binary_call("one"), binary_call(noise(3000))});
}

TEST(ThriftZlib, CompressesRepliesOfTHeaderOnlyIfTold)
{
    for (bool told : {false, true}) {
        TransportPeer peer;
        peer.transport.compress_replies = told;
        ASSERT_EQ(peer.feed(header_frame(deflated(binary_call()))), 0);
        EXPECT_EQ(peer.received[0].kind.zlib, told ? THRIFT_ZLIB_ALONE : THRIFT_ZLIB_NONE);
        const std::string reply = peer.send(peer.received[0].kind, {binary_call("reply")});
        EXPECT_EQ(reply.find("reply") == std::string::npos, told);
        expect_messages(reply, {binary_call("reply")},
                [] { return client_of(dialect(COIL_THRIFT_TRANSPORT_HEADER, false, false)); });
    }
}

TEST(ThriftZlib, ClientAndServerUnderstandEachOther)
{
    struct Case {
        const char *name;
        thrift_dialect spoken;
    };
    const std::vector<Case> cases = {
        {"frames in a stream", dialect(COIL_THRIFT_TRANSPORT_FRAMED, true, false)},
        {"a stream in frames", dialect(COIL_THRIFT_TRANSPORT_FRAMED, false, true)},
        {"unframed", dialect(COIL_THRIFT_TRANSPORT_UNFRAMED, true, false)},
        {"THeader in a stream", dialect(COIL_THRIFT_TRANSPORT_HEADER, true, false)},
        {"THeader", dialect(COIL_THRIFT_TRANSPORT_HEADER, false, false, true)},
        {"both", dialect(COIL_THRIFT_TRANSPORT_HEADER, true, false, true)},
#if COIL_HAS_HTTP
        {"HTTP in a stream", dialect(COIL_THRIFT_TRANSPORT_HTTP, true, false)},
        {"a stream in bodies", dialect(COIL_THRIFT_TRANSPORT_HTTP, false, true)},
#endif
    };

    for (const Case &one : cases) {
        SCOPED_TRACE(one.name);
        TransportPeer client(one.spoken);
        TransportPeer called;
        std::string replies;
        std::vector<std::string> expected;
        for (size_t i = 0; i < 8; i++) {
            const std::string message = binary_call(std::string(i * 500, 'x') + noise(i));
            ASSERT_EQ(called.feed(client.call(message)), 0) << called.what();
            ASSERT_EQ(called.received.size(), i + 1);
            ASSERT_EQ(called.received[i].message, message);
            expected.push_back(message);
            const std::string reply = called.send(called.received[i].kind, {message});
            EXPECT_LT(reply.size(), message.size() + 300);
            replies += reply;
        }
        expect_messages(replies, expected, [&] { return client_of(one.spoken); });
    }
}

TEST(ThriftZlib, SealsTheSameWithAndWithoutRoom)
{
    const std::string message = binary_call(noise(1000));
    for (const thrift_dialect &spoken : {dialect(COIL_THRIFT_TRANSPORT_FRAMED, false, true),
                 dialect(COIL_THRIFT_TRANSPORT_HEADER, false, false, true)}) {
        std::string bytes[2];
        for (bool room : {true, false}) {
            TransportPeer client(spoken);
            const thrift_kind kind = thrift_transport_call_kind(&client.transport, 7);
            bytes[room] = client.send(kind, {message, message}, nullptr, room);
        }
        EXPECT_EQ(bytes[0], bytes[1]);
        EXPECT_GT(bytes[0].size(), 1024U); /* Noise grows by being compressed. */
        expect_messages(bytes[0], {message, message});
    }
}

TEST(ThriftZlib, RefusesWhatIsNotCompressed)
{
    TransportPeer stream;
    EXPECT_EQ(stream.feed("\x78\x9c" + std::string(10, '\xff')), -EBADMSG);
    EXPECT_EQ(stream.what(), "zlib: the compressed bytes are malformed");

    TransportPeer frame;
    EXPECT_EQ(frame.feed(framed("\x78\x9c" + std::string(10, '\xff'))), -EBADMSG);
    EXPECT_EQ(frame.transport.kind.transport, COIL_THRIFT_TRANSPORT_FRAMED);

    TransportPeer header;
    EXPECT_EQ(header.feed(header_frame("hello")), -EBADMSG);
    EXPECT_EQ(header.transport.exception, COIL_THRIFT_INVALID_TRANSFORM);

    const std::string whole = deflated(binary_call());
    TransportPeer cut;
    EXPECT_EQ(cut.feed(header_frame(whole.substr(0, whole.size() - 1))), -EBADMSG);
    EXPECT_EQ(cut.what(), "zlib: the compressed bytes do not end where the message does");
    TransportPeer more;
    EXPECT_EQ(more.feed(header_frame(whole + "x")), -EBADMSG);
    TransportPeer empty;
    EXPECT_EQ(empty.feed(header_frame(deflated(""))), -EBADMSG);
    EXPECT_EQ(empty.what(), "there is no message inside");
}

TEST(ThriftZlib, RefusesBytesBehindTheEndOfTheStream)
{
    TransportPeer peer;
    EXPECT_EQ(peer.feed(deflated(framed(binary_call()))), 0);
    EXPECT_EQ(peer.received.size(), 1U);
    EXPECT_EQ(peer.feed("x"), -EBADMSG);
}

TEST(ThriftZlib, RefusesMoreThanItsSizeMayAccountFor)
{
    const std::string small = binary_call(std::string(140000, 'x'));
    const std::string large = binary_call(std::string(4000000, 'x'));
    const std::string words =
            "zlib: the message becomes larger than allowed, or than its size may account for";

    EXPECT_LT(deflated(large).size(), 5000U);
    for (bool is_bomb : {false, true}) {
        const std::string &message = is_bomb ? large : small;
        TransportPeer stream;
        EXPECT_EQ(stream.feed(Deflater().piece(framed(message))), is_bomb ? -EMSGSIZE : 0);
        EXPECT_EQ(stream.what(), is_bomb ? words : "no error");
        EXPECT_LT(stream.transport.inflated.capacity, 1200000U);
        TransportPeer frame;
        EXPECT_EQ(frame.feed(framed(Deflater().piece(message))), is_bomb ? -EMSGSIZE : 0);
        EXPECT_EQ(frame.what(), is_bomb ? words : "no error");
        EXPECT_LT(frame.transport.message.capacity, 1200000U);
        TransportPeer header;
        EXPECT_EQ(header.feed(header_frame(deflated(message))), is_bomb ? -EMSGSIZE : 0);
        EXPECT_EQ(header.what(), is_bomb ? words : "no error");
        EXPECT_LT(header.transport.message.capacity, 1200000U);
    }
}

TEST(ThriftZlib, RefusesAMessageAboveTheLimit)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 1000;
    const std::string largest = binary_call(std::string(1000 - 24, 'x'));
    ASSERT_EQ(largest.size(), 1000U);

    for (const auto &[message, rc] :
            std::vector<std::pair<std::string, int>>{{largest, 0}, {largest + "x", -EMSGSIZE}}) {
        TransportPeer frame(&limits);
        EXPECT_EQ(frame.feed(framed(Deflater().piece(message))), rc);
        TransportPeer header(&limits);
        EXPECT_EQ(header.feed(header_frame(deflated(message))), rc);
        TransportPeer stream(&limits);
        EXPECT_EQ(stream.feed(Deflater().piece(framed(message))), rc);
    }
}

TEST(ThriftZlib, KeepsLittleBetweenMessages)
{
    TransportPeer peer;
    Deflater stream;
    ASSERT_EQ(peer.feed(stream.piece(framed(binary_call(noise(500000))))), 0);
    thrift_transport_rest(&peer.transport);
    EXPECT_LE(peer.transport.inflated.capacity, static_cast<size_t>(THRIFT_KEEP_BYTES));
    ASSERT_EQ(peer.feed(stream.piece(framed(binary_call("next")))), 0);
    EXPECT_EQ(peer.received[1].message, binary_call("next"));
}

TEST(ThriftZlib, ACompressedStreamWithinAnotherIsNone)
{
    TransportPeer peer;
    EXPECT_LT(peer.feed(Deflater().piece(Deflater().piece(framed(binary_call())))), 0);
    TransportPeer frames;
    EXPECT_LT(frames.feed(Deflater().piece(framed(Deflater().piece(binary_call())))), 0);
    EXPECT_EQ(frames.what(), "78: no protocol of Thrift has messages that begin like this");
}

} // namespace
