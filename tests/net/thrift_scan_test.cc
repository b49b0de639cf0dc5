/* SPDX-License-Identifier: MIT */
/* Where a message ends, in whatever pieces it comes. */
#include "thrift_outcomes.h"
#include "thrift_packets.h"

#include <coil/thrift_scan.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

namespace
{

using namespace packet;

const coil_thrift_protocol protocols[] = {
        COIL_THRIFT_PROTOCOL_BINARY, COIL_THRIFT_PROTOCOL_COMPACT, COIL_THRIFT_PROTOCOL_JSON};

std::string one_of_every_type()
{
    return field(2, 1) + i8(1) + field(3, -2) + i8(-2) + field(4, 3) + i64(0x3ff8000000000000) +
           field(6, 4) + i16(-4) + field(8, 5) + i32(-5) + field(10, 600) + i64(-6) + field(11, 7) +
           text("a \"\\ \n string") + field(12, 8) + field(8, 1) + i32(1) + field(2, 2) + i8(0) +
           stop() + field(13, 9) + map(8, 11, 2) + i32(1) + text("x") + i32(-70000) + text("") +
           field(14, 10) + list(6, 2) + i16(1) + i16(2) + field(15, 11) + list(15, 2) +
           list(12, 1) + stop() + list(4, 1) + i64(0) + field(16, 12) + "0123456789abcdef" +
           field(13, 13) + map(11, 12, 1) + text("k") + field(2, 1) + i8(0) + stop() +
           field(14, 14) + list(11, 2) + text("") + text("]}") + field(15, 15) + list(8, 20) +
           repeat(i32(-1), 20) + field(13, 16) + map(3, 2, 1) + i8(1) + i8(1) + field(13, 17) +
           map(3, 3, 0) + field(15, 18) + list(12, 0) + stop();
}

/* The same message in each protocol. */
std::string message_in(coil_thrift_protocol protocol)
{
    const outcome::Outcome outcome = outcome::translate(COIL_THRIFT_PROTOCOL_BINARY,
            GuardedBytes(packet::call("every", one_of_every_type())), protocol);
    EXPECT_EQ(0, outcome.rc) << outcome.words;
    return outcome.again;
}

/* All at once; the bytes are those of `frame` and nothing else. */
int scan(const std::string &frame, const coil_thrift_limits *limits = nullptr)
{
    coil_thrift_scan it;
    const GuardedBytes guarded(frame);
    coil_thrift_scan_init(&it, limits);
    return coil_thrift_scan_go_on(&it, guarded.bytes(), guarded.size());
}

TEST(ThriftScan, FindsTheEndInAnyTwoPieces)
{
    for (const coil_thrift_protocol protocol : protocols) {
        const std::string frame = message_in(protocol);
        const int size = static_cast<int>(frame.size());
        EXPECT_EQ(size, scan(frame + "\x80more of it"));

        for (int first = 0; first < size; first++) {
            coil_thrift_scan it;
            const GuardedBytes one(frame.substr(0, static_cast<size_t>(first)));
            const GuardedBytes other(frame.substr(static_cast<size_t>(first)));
            coil_thrift_scan_init(&it, nullptr);
            ASSERT_EQ(0, coil_thrift_scan_go_on(&it, one.bytes(), one.size())) << first;
            EXPECT_GT(it.wanted, 0u);
            EXPECT_LE(it.wanted, other.size());
            EXPECT_EQ(size - first, coil_thrift_scan_go_on(&it, other.bytes(), other.size()))
                    << first;
            EXPECT_EQ(protocol, it.protocol);
            EXPECT_EQ(static_cast<uint32_t>(size), it.size);
        }
    }
}

TEST(ThriftScan, FindsTheEndByteByByte)
{
    for (const coil_thrift_protocol protocol : protocols) {
        const std::string frame = message_in(protocol);
        coil_thrift_scan it;
        coil_thrift_scan_init(&it, nullptr);
        for (size_t i = 0; i + 1 < frame.size(); i++)
            ASSERT_EQ(0, coil_thrift_scan_go_on(&it, &frame[i], 1)) << i;
        EXPECT_EQ(1, coil_thrift_scan_go_on(&it, &frame[frame.size() - 1], 1));
        EXPECT_EQ(frame.size(), it.size);
    }
}

TEST(ThriftScan, AsksForNoMoreThanWillCome)
{
    for (const coil_thrift_protocol protocol : protocols) {
        const std::string frame = message_in(protocol);
        coil_thrift_scan it;
        coil_thrift_scan_init(&it, nullptr);
        size_t taken = 0;
        int rc = 0;
        while (rc == 0) {
            ASSERT_LE(taken + it.wanted, frame.size());
            rc = coil_thrift_scan_go_on(&it, &frame[taken], it.wanted);
            taken += rc == 0 ? it.size - taken : static_cast<size_t>(rc);
        }
        EXPECT_EQ(frame.size(), taken);
    }
}

TEST(ThriftScan, MessagesFollowEachOther)
{
    std::string stream;
    std::vector<size_t> sizes;
    for (int i = 0; i < 6; i++) {
        stream += message_in(protocols[i % 3]);
        sizes.push_back(stream.size());
    }
    size_t start = 0;
    for (const size_t end : sizes) {
        EXPECT_EQ(static_cast<int>(end - start), scan(stream.substr(start)));
        start = end;
    }
}

TEST(ThriftScan, OldMessagesHaveNoVersion)
{
    const std::string frame = packet::old_message(1, "ping", 7) + field(8, 1) + i32(1) + stop();
    EXPECT_EQ(static_cast<int>(frame.size()), scan(frame + "rest"));
}

/* ---- hostile streams */

struct Hostile {
    const char *name;
    std::string bytes;
    int rc;
};

std::vector<Hostile> hostile_streams()
{
    using packet::call;
    const auto compact = [](const std::string &fields) { return "\x82\x21\x01\x01x" + fields; };
    const std::string huge = "\xff\xff\xff\xff\x07";
    return {
            {"nothing of Thrift", "GET / HTTP/1.1\r\n", -EBADMSG},
            {"wrong version", i32(0x80020001LL) + text("x"), -EBADMSG},
            {"method name of 2 GB", i32(0x80010001LL) + i32(0x7fffffff), -EMSGSIZE},
            {"old method name of 16 MB", i32(0xffffff), -EMSGSIZE},
            {"string of 2 GB", call("x", field(11, 1) + i32(0x7fffffff)), -EMSGSIZE},
            {"string of -1", call("x", field(11, 1) + i32(-1)), -EBADMSG},
            {"string of what is left of a frame and one", call("x", field(11, 1) + i32(16383981)),
                    -EMSGSIZE},
            {"list of 2 G", call("x", field(15, 1) + list(8, 0x7fffffff)), -EMSGSIZE},
            {"list of 5 million i64", call("x", field(15, 1) + list(10, 5000000)), -EMSGSIZE},
            {"list of -1", call("x", field(15, 1) + list(8, -1)), -EBADMSG},
            {"list of voids", call("x", field(15, 1) + list(1, 1000000)), -EBADMSG},
            {"map of an unknown type", call("x", field(13, 1) + map(8, 99, 1)), -EBADMSG},
            {"map of 2 G", call("x", field(13, 1) + map(8, 8, 0x7fffffff)), -EMSGSIZE},
            {"unknown type of a field", call("x", field(99, 1)), -EBADMSG},
            {"structs 200000 deep", call("x", repeat(field(12, 1), 200000)), -ELOOP},
            {"lists 1000 deep", call("x", field(15, 1) + repeat(list(15, 1), 1000)), -ELOOP},
            {"compact: wrong version", "\x82\x22", -EBADMSG},
            {"compact: a varint without end", compact("\x16" + std::string(11, '\xff')), -EBADMSG},
            {"compact: string of 2 GB", compact("\x18" + huge), -EMSGSIZE},
            {"compact: list of 2 G", compact("\x19\xf5" + huge), -EMSGSIZE},
            {"compact: list of 2^64", compact("\x19\xf5" + std::string(9, '\xff') + "\x01"),
                    -EBADMSG},
            {"compact: map of 2 G", compact("\x1b" + huge + "\x55"), -EMSGSIZE},
            {"compact: unknown type", compact("\x1f"), -EBADMSG},
            {"compact: unknown element", compact("\x19\x1f"), -EBADMSG},
            {"compact: structs 1000 deep", compact(std::string(1000, '\x1c')), -ELOOP},
            {"compact: lists 1000 deep", compact("\x19" + std::string(1000, '\x19')), -ELOOP},
            {"JSON: brackets 100000 deep", std::string(100000, '['), -ELOOP},
            {"JSON: brackets that do not match", "[1,{]", -EBADMSG},
    };
}

TEST(ThriftScanHostile, EveryStreamIsRefused)
{
    for (const Hostile &hostile : hostile_streams())
        EXPECT_EQ(hostile.rc, scan(hostile.bytes)) << hostile.name;
}

TEST(ThriftScanHostile, AnErrorStays)
{
    coil_thrift_scan it;
    coil_thrift_scan_init(&it, nullptr);
    EXPECT_EQ(-EBADMSG, coil_thrift_scan_go_on(&it, "x", 1));
    EXPECT_EQ(-EBADMSG, coil_thrift_scan_go_on(&it, "\x80", 1));
}

TEST(ThriftScanHostile, NoMessageIsAboveTheLimit)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    for (const coil_thrift_protocol protocol : protocols) {
        const std::string frame = message_in(protocol);
        limits.frame_max = static_cast<uint32_t>(frame.size());
        EXPECT_EQ(static_cast<int>(frame.size()), scan(frame + "x", &limits));
        limits.frame_max--;
        EXPECT_EQ(-EMSGSIZE, scan(frame + "x", &limits));
    }
    limits.frame_max = 1000;
    EXPECT_EQ(-EMSGSIZE, scan("[" + std::string(2000, ' '), &limits));
}

/* What the reader takes to its end, the scan takes to the same end. */
TEST(ThriftScanHostile, AgreesWithTheReaderAboutDamagedMessages)
{
    const unsigned int seed = std::random_device{}();
    std::mt19937 random(seed);

    for (const coil_thrift_protocol protocol : protocols) {
        const std::string frame = message_in(protocol);
        for (int round = 0; round < 3000; round++) {
            std::string damaged = frame;
            for (int i = 0; i < 2; i++)
                damaged[1 + random() % (damaged.size() - 1)] = static_cast<char>(random());
            if (outcome::skip(protocol, GuardedBytes(damaged)).rc == 0) {
                ASSERT_EQ(static_cast<int>(damaged.size()), scan(damaged + "\x80"))
                        << "seed " << seed << " round " << round;
            }
        }
    }
}

} // namespace
