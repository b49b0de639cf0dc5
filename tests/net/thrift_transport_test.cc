/* SPDX-License-Identifier: MIT */
#include "thrift_packets.h"
#include "thrift_transport_peer.h"

#include <coil/thrift.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

namespace
{

using packet::i16;
using packet::i32;
using packet::i64;
using packet::i8;
using packet::stop;
using packet::text;

std::string framed(const std::string &message)
{
    return i32(static_cast<int64_t>(message.size())) + message;
}

/* Messages, as every protocol writes them. */
std::string binary_call(const std::string &name = "ping", const std::string &value = "hello")
{
    return packet::call(name, packet::field(11, 1) + text(value) + stop());
}

std::string old_call(const std::string &name = "ping")
{
    return packet::old_message(1, name, 7) + packet::field(8, 1) + i32(5) + stop();
}

std::string compact_call()
{
    return std::string("\x82\x21\x07\x04ping\x18\x05hello", 15) + stop();
}

std::string json_call()
{
    return R"([1,"ping",1,7,{"1":{"str":"hello"}}])";
}

std::vector<std::string> messages_of(const TransportPeer &peer)
{
    std::vector<std::string> messages;
    for (const Received &one : peer.received)
        messages.push_back(one.message);
    return messages;
}

using Check = std::function<void(const TransportPeer &)>;

/* Whatever the pieces are in which the bytes arrive, the outcome is the same. */
void in_all_pieces(const std::string &bytes, const Check &check)
{
    for (size_t cut = 0; cut <= bytes.size(); cut++) {
        SCOPED_TRACE("cut at " + std::to_string(cut));
        TransportPeer peer;
        if (peer.feed(bytes.substr(0, cut)) == 0)
            (void)peer.feed(bytes.substr(cut));
        check(peer);
        if (testing::Test::HasFailure())
            return;
    }
    SCOPED_TRACE("byte by byte");
    TransportPeer peer;
    for (char byte : bytes) {
        if (peer.feed(std::string(1, byte)) < 0)
            break;
    }
    check(peer);
}

void expect_messages(const std::string &bytes, const std::vector<std::string> &messages,
        coil_thrift_transport transport, const std::vector<coil_thrift_protocol> &protocols)
{
    in_all_pieces(bytes, [&](const TransportPeer &peer) {
        EXPECT_EQ(peer.error, 0) << peer.what();
        EXPECT_EQ(messages_of(peer), messages);
        for (size_t i = 0; i < peer.received.size() && i < protocols.size(); i++) {
            EXPECT_EQ(peer.received[i].kind.transport, transport);
            EXPECT_EQ(peer.received[i].kind.protocol, protocols[i]);
        }
    });
}

void expect_error(const std::string &bytes, int error, const std::string &words,
        const coil_thrift_limits *limits = nullptr)
{
    for (size_t cut = 0; cut <= bytes.size() && cut < 4096; cut++) {
        TransportPeer peer(limits);
        if (peer.feed(bytes.substr(0, cut)) == 0)
            (void)peer.feed(bytes.substr(cut));
        ASSERT_EQ(peer.error, error) << peer.what() << " cut at " << cut;
        ASSERT_EQ(peer.what(), words);
    }
}

constexpr auto binary = COIL_THRIFT_PROTOCOL_BINARY;
constexpr auto compact = COIL_THRIFT_PROTOCOL_COMPACT;
constexpr auto json = COIL_THRIFT_PROTOCOL_JSON;

/* ------------------------------------------------------------------------ frames, no frames -- */

TEST(ThriftTransport, TakesFramesOfEveryProtocolOneAfterTheOther)
{
    const std::vector<std::string> messages = {
            binary_call(), compact_call(), json_call(), old_call(), binary_call("second")};
    std::string bytes;
    for (const std::string &message : messages)
        bytes += framed(message);
    expect_messages(
            bytes, messages, COIL_THRIFT_TRANSPORT_FRAMED, {binary, compact, json, binary, binary});
}

TEST(ThriftTransport, TakesUnframedMessagesOneAfterTheOther)
{
    const std::vector<std::string> messages = {
            binary_call(), compact_call(), old_call(), binary_call("second")};
    std::string bytes;
    for (const std::string &message : messages)
        bytes += message;
    expect_messages(
            bytes, messages, COIL_THRIFT_TRANSPORT_UNFRAMED, {binary, compact, binary, binary});
}

TEST(ThriftTransport, TellsAnUnframedMessageWithoutVersionFromAFrame)
{
    for (const char *name : {"ping", "x", "xy", "Shop:buy", "_"}) {
        expect_messages(old_call(name) + old_call("x"), {old_call(name), old_call("x")},
                COIL_THRIFT_TRANSPORT_UNFRAMED, {binary, binary});
    }
}

TEST(ThriftTransport, TellsAnUnframedPeerOfEachProtocolByItsFirstBytes)
{
    expect_messages(compact_call(), {compact_call()}, COIL_THRIFT_TRANSPORT_UNFRAMED, {compact});
    expect_messages(json_call() + json_call(), {json_call(), json_call()},
            COIL_THRIFT_TRANSPORT_UNFRAMED, {json, json});
}

TEST(ThriftTransport, SaysHowManyBytesAFrameNeeds)
{
    TransportPeer peer;
    thrift_envelope envelope;
    const std::string bytes = framed(binary_call());
    const auto *start = reinterpret_cast<const uint8_t *>(bytes.data());

    EXPECT_EQ(thrift_transport_next(&peer.transport, start, 0, &envelope), 0);
    EXPECT_GE(peer.transport.wanted, 1U);
    EXPECT_EQ(thrift_transport_next(&peer.transport, start, 5, &envelope), 0);
    EXPECT_EQ(peer.transport.wanted, bytes.size());
    EXPECT_EQ(peer.transport.taken, 0U);
}

TEST(ThriftTransport, GivesMessagesWhereTheyLie)
{
    TransportPeer peer;
    thrift_envelope envelope;
    const std::string bytes = framed(binary_call());
    const auto *start = reinterpret_cast<const uint8_t *>(bytes.data());

    ASSERT_EQ(thrift_transport_next(&peer.transport, start, bytes.size(), &envelope), 1);
    EXPECT_EQ(envelope.message, start + 4);
    EXPECT_FALSE(envelope.copied);
    EXPECT_EQ(peer.transport.taken, bytes.size());
}

TEST(ThriftTransport, RefusesFramesOfBadSizes)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 100;

    expect_error(i32(0) + "x", -EBADMSG, "frame of 0 bytes");
    expect_error(i32(101) + i32(0x80010001LL), -EMSGSIZE, "frame of 101 bytes, the limit is 100",
            &limits);
    expect_error(framed(binary_call()) + i32(0) + "x", -EBADMSG, "frame of 0 bytes");
    expect_error(framed(binary_call()) + "GET / HTTP", -EMSGSIZE,
            "frame of 1195725856 bytes, the limit is 16384000: this looks like HTTP");
}

TEST(ThriftTransport, RefusesWhatIsNotThrift)
{
    expect_error(std::string("\x16\x03\x01\x02\x00\x01", 6), -EPROTONOSUPPORT,
            "this looks like TLS, which this port does not speak");
    expect_error(std::string("\x80\x02\x00\x01", 4), -EBADMSG,
            "80 02: a connection that begins like this is none of Thrift");
    expect_error(std::string("\x82\x22zz", 4), -EBADMSG,
            "82 22: a connection that begins like this is none of Thrift");
    expect_error(framed("\x01\x02\x03\x04"), -EBADMSG,
            "01: no protocol of Thrift has messages that begin like this");
    expect_error(std::string("\xff\xff\xff\xff\xff"), -EMSGSIZE,
            "frame of 4294967295 bytes, the limit is 16384000");
}

TEST(ThriftTransport, RefusesAnUnframedMessageAboveTheLimit)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 64;
    TransportPeer peer(&limits);

    EXPECT_EQ(peer.feed(binary_call()), 0);
    EXPECT_EQ(peer.received.size(), 1U);
    EXPECT_EQ(peer.feed(binary_call("ping", std::string(60, 'x'))), -EMSGSIZE);
}

TEST(ThriftTransport, KnowsWhetherTheEndWasBetweenMessages)
{
    TransportPeer peer;
    EXPECT_EQ(peer.feed(framed(binary_call())), 0);
    EXPECT_EQ(peer.end(), 0);
    EXPECT_EQ(peer.feed(framed(binary_call()).substr(0, 9)), 0);
    EXPECT_EQ(peer.end(), -ENODATA);
    EXPECT_EQ(peer.what(), "the connection ended within a message");
}

TEST(ThriftTransport, WrapsInEveryKind)
{
    TransportPeer peer;
    const thrift_kind frame = {COIL_THRIFT_TRANSPORT_FRAMED, binary, 0, false, false, 0, 0};
    const thrift_kind plain = {COIL_THRIFT_TRANSPORT_UNFRAMED, binary, 0, false, false, 0, 0};

    for (bool leave_room : {true, false}) {
        EXPECT_EQ(peer.send(frame, {"one", "two"}, nullptr, leave_room),
                framed("one") + framed("two"));
        EXPECT_EQ(peer.send(plain, {"one", "two"}, nullptr, leave_room), "onetwo");
    }
}

/* ----------------------------------------------------------------------------------- THeader -- */

/* A frame of THeader, whose header is filled up with zeros. */
std::string header_frame(const std::string &header, const std::string &payload, int flags = 0,
        int seqid = 99, int words = -1)
{
    std::string padded = header;
    while (padded.size() % 4 != 0)
        padded.push_back('\0');
    if (words < 0)
        words = static_cast<int>(padded.size() / 4);
    return framed("\x0f\xff" + i16(flags) + i32(seqid) + i16(words) + padded + payload);
}

TEST(ThriftTransport, TakesMessagesWithHeaders)
{
    const std::string header = std::string("\x02\x00\x01\x02", 4) + "\x01k\x05value" +
                               std::string("\x0e", 1) + "client_timeout" +
                               "\x03"
                               "250";
    const std::string bytes = header_frame(std::string("\0\0", 2), binary_call()) +
                              header_frame(header, compact_call(), 1, -5) + framed(binary_call());

    in_all_pieces(bytes, [&](const TransportPeer &peer) {
        ASSERT_EQ(peer.error, 0) << peer.what();
        ASSERT_EQ(peer.received.size(), 3U);
        EXPECT_EQ(peer.received[0].message, binary_call());
        EXPECT_EQ(peer.received[0].kind.seqid, 99);
        EXPECT_TRUE(peer.received[0].headers.empty());
        EXPECT_EQ(peer.received[1].message, compact_call());
        EXPECT_EQ(peer.received[1].kind.transport, COIL_THRIFT_TRANSPORT_HEADER);
        EXPECT_EQ(peer.received[1].kind.protocol, compact);
        EXPECT_EQ(peer.received[1].kind.flags, THRIFT_FLAG_OUT_OF_ORDER);
        EXPECT_EQ(peer.received[1].kind.seqid, -5);
        EXPECT_EQ(peer.received[1].header("k"), "value");
        EXPECT_EQ(peer.received[1].header("client_timeout"), "250");
        EXPECT_EQ(peer.received[2].kind.transport, COIL_THRIFT_TRANSPORT_FRAMED);
    });
}

TEST(ThriftTransport, AFrameHasNothingOfTHeaderBeforeIt)
{
    TransportPeer peer;
    ASSERT_EQ(peer.feed(header_frame(std::string("\0\0", 2), binary_call(), 1, 5) +
                        framed(compact_call())),
            0);
    EXPECT_EQ(peer.received[1].kind.transport, COIL_THRIFT_TRANSPORT_FRAMED);
    EXPECT_EQ(peer.received[1].kind.seqid, 0);
    EXPECT_EQ(peer.received[1].kind.flags, 0);
    EXPECT_EQ(peer.send(peer.received[1].kind, {"x"}), framed("x"));
}

TEST(ThriftTransport, IgnoresInfoThatIsNewerThanItself)
{
    TransportPeer peer;
    ASSERT_EQ(peer.feed(header_frame(
                      std::string("\0\0\x01\x01\x01k\x01v\x05junk", 13), binary_call())),
            0);
    ASSERT_EQ(peer.received.size(), 1U);
    EXPECT_EQ(peer.received[0].header("k"), "v");
    EXPECT_EQ(peer.received[0].headers.size(), 1U);
}

TEST(ThriftTransport, RefusesHeadersThatAreCut)
{
    const std::string cut = "THeader: something begins in the header and does not end in it";

    expect_error(framed("\x0f\xff" + i16(0)), -EBADMSG, cut);
    expect_error(header_frame(std::string("\0\0", 2), "", 0, 0, 2), -EBADMSG, cut);
    expect_error(header_frame("", "x"), -EBADMSG, cut);
    expect_error(header_frame("\x80\x80\x80\x80", "x"), -EBADMSG, cut);
    expect_error(header_frame("\xff\xff\xff\xff\xff\xff\xff\xff", "x"), -EBADMSG, cut);
    expect_error(header_frame(std::string("\0\0\x01\x01\x7fk\x01v", 8), "x"), -EBADMSG, cut);
    expect_error(header_frame(std::string("\0\0\x01\x7f\x01k\x01v", 8), "x"), -EBADMSG, cut);
    expect_error(header_frame(std::string("\0\0\x01\xff\xff\xff\xff\x0f", 8), "x"), -EBADMSG, cut);
}

TEST(ThriftTransport, RefusesWhatItCannotDoWithTheRightException)
{
    struct Case {
        std::string header;
        coil_thrift_exception_type exception;
        const char *words;
    };
    const std::vector<Case> cases = {
            {std::string("\x07\x00", 2), COIL_THRIFT_INVALID_PROTOCOL,
                    "THeader: the protocol is unknown"},
            {std::string("\x00\x01\x02", 3), COIL_THRIFT_INVALID_TRANSFORM,
                    "THeader: a transform is unknown, or applied twice"},
            {std::string("\x00\x02\x01\x01", 4), COIL_THRIFT_INVALID_TRANSFORM,
                    "THeader: a transform is unknown, or applied twice"},
    };

    for (const Case &one : cases) {
        TransportPeer peer;
        EXPECT_EQ(peer.feed(header_frame(one.header, binary_call(), 1, 42)), -EPROTONOSUPPORT);
        EXPECT_EQ(peer.what(), one.words);
        EXPECT_EQ(peer.transport.exception, one.exception);
        EXPECT_EQ(peer.transport.kind.transport, COIL_THRIFT_TRANSPORT_HEADER);
        EXPECT_EQ(peer.transport.kind.seqid, 42);
        EXPECT_EQ(peer.transport.kind.zlib, THRIFT_ZLIB_NONE);
    }
}

TEST(ThriftTransport, RefusesTooManyHeaders)
{
    auto with_headers = [](int count) {
        std::string header = std::string("\0\0\x01", 3);
        header += static_cast<char>(count % 128 + 128);
        header += static_cast<char>(count / 128);
        for (int i = 0; i < count; i++)
            header += std::string("\x01k\x01v");
        return header_frame(header, binary_call());
    };
    TransportPeer peer;

    EXPECT_EQ(peer.feed(with_headers(COIL_THRIFT_HEADERS_MAX)), 0);
    EXPECT_EQ(peer.received.size(), 1U);
    EXPECT_EQ(peer.feed(with_headers(COIL_THRIFT_HEADERS_MAX + 1)), -EMSGSIZE);
    EXPECT_EQ(peer.what(), "THeader: there are more than 128 headers");
    TransportPeer other;
    EXPECT_EQ(other.feed(header_frame(std::string(THRIFT_HEADER_BYTES_MAX + 4, '\0'), "x")),
            -EMSGSIZE);
}

TEST(ThriftTransport, WritesTheHeadersThatItIsGiven)
{
    TransportPeer client(
            {COIL_THRIFT_TRANSPORT_HEADER, compact, false, false, false, nullptr, nullptr});
    const std::string long_value(300, 'v');
    const coil_thrift_header headers[] = {
            {coil_thrift_text_of("client_timeout"), coil_thrift_text_of("250")},
            {coil_thrift_text_of("long"), {long_value.data(), 300}},
            {coil_thrift_text_of(""), {nullptr, 0}},
    };
    const thrift_extra extra = {headers, 3};
    const std::string bytes = client.call(compact_call(), &extra);

    EXPECT_EQ(bytes.substr(4, 2), "\x0f\xff");
    in_all_pieces(bytes, [&](const TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 1U) << peer.what();
        EXPECT_EQ(peer.received[0].message, compact_call());
        EXPECT_EQ(peer.received[0].kind.protocol, compact);
        EXPECT_EQ(peer.received[0].kind.seqid, 7);
        EXPECT_EQ(peer.received[0].header("client_timeout"), "250");
        EXPECT_EQ(peer.received[0].header("long"), long_value);
        EXPECT_EQ(peer.received[0].headers.count(""), 1U);
    });
}

TEST(ThriftTransport, PadsAHeaderToWholeWords)
{
    TransportPeer peer;
    const thrift_kind kind = {COIL_THRIFT_TRANSPORT_HEADER, binary, 0, false, false, 3, -2};

    EXPECT_EQ(peer.send(kind, {"payload"}),
            framed("\x0f\xff" + i16(3) + i32(-2) + i16(1) + std::string(4, '\0') + "payload"));
    EXPECT_EQ(thrift_transport_room(&peer.transport, &kind, nullptr), 18);
}

TEST(ThriftHeaders, AreFoundByName)
{
    TransportPeer peer;
    thrift_envelope envelope;
    const std::string bytes = header_frame(
            std::string("\0\0\x01\x03\x01k\x03one\x01k\x03two\x01x\0", 19), binary_call());
    coil_thrift_text value = {nullptr, 0};

    ASSERT_EQ(thrift_transport_next(&peer.transport,
                      reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), &envelope),
            1);
    ASSERT_TRUE(coil_thrift_headers_find(envelope.headers, "k", &value));
    EXPECT_TRUE(coil_thrift_text_is(value, "one"));
    ASSERT_TRUE(coil_thrift_headers_find(envelope.headers, "x", &value));
    EXPECT_EQ(value.size, 0U);
    EXPECT_FALSE(coil_thrift_headers_find(envelope.headers, "y", &value));
    EXPECT_FALSE(coil_thrift_headers_find({nullptr, 0, 0}, "k", &value));
}

} // namespace
