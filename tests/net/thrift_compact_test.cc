/* SPDX-License-Identifier: MIT */
/* The compact protocol, byte by byte: Apache Thrift, doc/specs/thrift-compact-protocol.md. */
#include "thrift_outcomes.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <climits>
#include <random>
#include <string>
#include <vector>

namespace
{

using outcome::Outcome;

constexpr coil_thrift_protocol compact = COIL_THRIFT_PROTOCOL_COMPACT;

/* Bytes of a string of C, with zeros in it. */
template <size_t N> std::string raw(const char (&bytes)[N])
{
    return {bytes, N - 1};
}

std::string repeat(const std::string &text, int count)
{
    std::string all;
    for (int i = 0; i < count; i++)
        all += text;
    return all;
}

std::string varint(uint64_t value)
{
    std::string bytes;
    for (; value >= 0x80; value >>= 7)
        bytes.push_back(static_cast<char>(value | 0x80));
    bytes.push_back(static_cast<char>(value));
    return bytes;
}

/* A call of `x`, seqid 1, with these fields. */
std::string call(const std::string &fields)
{
    return raw("\x82\x21\x01\x01x") + fields;
}

Outcome skip(const std::string &frame, const coil_thrift_limits *limits = nullptr)
{
    return outcome::skip(compact, GuardedBytes(frame), limits);
}

Outcome take_apart(const std::string &frame)
{
    return outcome::take_apart(compact, GuardedBytes(frame));
}

/* Fields 1 to 16, each of another kind, as a writer has to write them. */
std::string one_of_every_type()
{
    return raw("\x11"                           /* 1: true */
               "\x12"                           /* 2: false */
               "\x13\xfe"                       /* 3: i8 -2 */
               "\x14\x07"                       /* 4: i16 -4 */
               "\x15\x80\x01"                   /* 5: i32 64 */
               "\x16\x0b"                       /* 6: i64 -6 */
               "\x17\0\0\0\0\0\0\xf8\x3f"       /* 7: double 1.5 */
               "\x18\x05seven"                  /* 8: string */
               "\x1c\x15\x02\0"                 /* 9: struct {1: i32 1} */
               "\x1b\x02\x58\x02\x01x\x04\x01y" /* 10: map<i32, string> {1: x, 2: y} */
               "\x1b\0"                         /* 11: an empty map */
               "\x1a\x24\x01\x02"               /* 12: set<i16> {-1, 1} */
               "\x19\x29\x1c\x15\x02\0\x08"     /* 13: list<list>: [[{1: 1}], []] */
               "\x1d"
               "0123456789abcdef"            /* 14: uuid */
               "\x19\x31\x01\x02\x01"        /* 15: list<bool> */
               "\x1b\x01\x8c\x01k\x15\x04\0" /* 16: map<string, struct> */
               "\x05\x50\x02"                /* 40: i32 1, with a number of its own */
               "\x05\x01\x02"                /* -1 */
               "\0");
}

/* ---- known answers */

TEST(ThriftCompact, EveryTypeIsWrittenAsItWasRead)
{
    const Outcome outcome = take_apart(call(one_of_every_type()));

    ASSERT_EQ(0, outcome.rc) << outcome.words;
    EXPECT_EQ("1 1 78 {1=bool:1;2=bool:0;3=i8:-2;4=i16:-4;5=i32:64;6=i64:-6;"
              "7=double:3ff8000000000000;8=string:736576656e;9={1=i32:1;};"
              "10=(i32:1->string:78,i32:2->string:79,);11=();12=<i16:-1,i16:1,>;"
              "13=[[{1=i32:1;},],[],];14=uuid:30313233343536373839616263646566;"
              "15=[bool:1,bool:0,bool:1,];16=(string:6b->{1=i32:2;},);40=i32:1;-1=i32:1;}",
            outcome.dump);
    EXPECT_EQ(call(one_of_every_type()), outcome.again);
}

TEST(ThriftCompact, IntegersAreZigzagged)
{
    const struct {
        int64_t value;
        std::string bytes;
    } known[] = {{0, raw("\0")}, {-1, "\x01"}, {1, "\x02"}, {-64, "\x7f"}, {64, "\x80\x01"},
            {INT32_MAX, "\xfe\xff\xff\xff\x0f"}, {INT32_MIN, "\xff\xff\xff\xff\x0f"},
            {INT64_MAX, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
            {INT64_MIN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}};

    for (const auto &it : known) {
        const Outcome outcome = take_apart(call("\x16" + it.bytes + raw("\0")));
        ASSERT_EQ(0, outcome.rc) << outcome.words;
        EXPECT_EQ("1 1 78 {1=i64:" + std::to_string(it.value) + ";}", outcome.dump);
        EXPECT_EQ(call("\x16" + it.bytes + raw("\0")), outcome.again);
    }
}

TEST(ThriftCompact, ALongListSaysItsCountBehindItsType)
{
    const std::string message =
            call("\x19" + raw("\xf3") + varint(200) + std::string(200, 'a') + raw("\0"));
    const Outcome outcome = take_apart(message);

    EXPECT_EQ(0, outcome.rc) << outcome.words;
    EXPECT_EQ(message, outcome.again);
    EXPECT_EQ(0, skip(message).rc);
}

TEST(ThriftCompact, AMessageHasItsTypeAndSeqidInFewBytes)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    const std::string frame = raw("\x82\x41\xff\xff\xff\xff\x0f\x04ping\0");

    coil_thrift_reader_init_as(
            &reader, compact, frame.data(), (uint32_t)frame.size(), nullptr, nullptr);
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    EXPECT_EQ(COIL_THRIFT_REPLY, message.type);
    EXPECT_EQ(-1, message.seqid);
    EXPECT_TRUE(coil_thrift_text_is(message.name, "ping"));
    coil_thrift_skip_fields(&reader);
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));

    const std::string ten_bytes = raw("\x82\x41\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x04ping\0");
    EXPECT_EQ(frame, take_apart(ten_bytes).again);
}

/* What is not read in the order in which it comes, or not at all, leaves no trace. */
TEST(ThriftCompact, AFieldThatNobodyTakesIsSkipped)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_field field;
    const GuardedBytes frame(call(one_of_every_type()));
    std::vector<int> ids;

    coil_thrift_reader_init_as(&reader, compact, frame.bytes(), frame.size(), nullptr, nullptr);
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    while (coil_thrift_read_field(&reader, &field))
        ids.push_back(field.id);
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
    EXPECT_EQ(
            (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 40, -1}), ids);
}

TEST(ThriftCompact, AStructWithoutFieldsIsOneByteAlsoAsAnElement)
{
    coil_thrift_writer writer;
    const coil_thrift_message message = {{"x", 1}, COIL_THRIFT_CALL, 1, false};

    coil_thrift_writer_init(&writer, nullptr);
    coil_thrift_writer_set_protocol(&writer, compact);
    coil_thrift_writer_set_envelope_room(&writer, 0);
    coil_thrift_writer_begin(&writer, &message);
    coil_thrift_put_list(&writer, 3, COIL_THRIFT_STRUCT, 2);
    coil_thrift_write_stop(&writer);
    coil_thrift_put_bool(&writer, 1, true);
    coil_thrift_write_stop(&writer);
    coil_thrift_put_struct(&writer, 4);
    coil_thrift_write_stop(&writer);
    coil_thrift_put_bool(&writer, 5, false);
    coil_thrift_write_stop(&writer);
    EXPECT_GT(coil_thrift_writer_finish(&writer), 0);
    EXPECT_EQ(call(raw("\x39\x2c\0\x11\0\x1c\0\x12\0")), outcome::written(writer));
    coil_thrift_writer_fini(&writer);
}

/* ---- hostile packets */

struct Hostile {
    const char *name;
    std::string frame;
    int rc;
    const char *words;
};

std::vector<Hostile> hostile_packets()
{
    const std::string huge = varint(0x7fffffff);
    const std::string stop = raw("\0");
    return {
            {"string of 2 GB", call("\x18" + huge + "abc"), -EMSGSIZE,
                    "string of 2147483647 bytes at offset 6 in a frame of 14, the limit is "
                    "16384000"},
            {"string of 4 GB", call("\x18" + varint(0xffffffff) + "abc"), -EBADMSG,
                    "string of -1 bytes at offset 6"},
            {"string that does not fit",
                    call("\x18\x04"
                         "abc"),
                    -ENODATA, "string of 4 bytes at offset 6 in a frame of 10"},
            {"method name of 2 GB", raw("\x82\x21\x01") + huge + "x", -EMSGSIZE,
                    "string of 2147483647 bytes at offset 3 in a frame of 9, the limit is "
                    "16384000"},
            {"list of 2 G", call(raw("\x19\xf6") + huge), -EMSGSIZE,
                    "list of 2147483647 elements at offset 6 in a frame of 12, the limit is "
                    "16384000"},
            {"list of 4 G", call(raw("\x19\xf6") + varint(0xffffffff)), -EBADMSG,
                    "list of -1 elements at offset 6"},
            {"list that does not fit", call(raw("\x19\x37") + std::string(23, 'x')), -ENODATA,
                    "list of 3 elements at offset 6 in a frame of 30"},
            {"list of 1000 empty structs", call(raw("\x19\xfc") + varint(1000) + stop), -ENODATA,
                    "list of 1000 elements at offset 6 in a frame of 10"},
            {"list of 14 empty lists in 2 bytes", call(raw("\x19\xe9\x03\x03")), -ENODATA,
                    "list of 14 elements at offset 6 in a frame of 9"},
            {"set of 2 G", call(raw("\x1a\xf8") + huge), -EMSGSIZE,
                    "set of 2147483647 elements at offset 6 in a frame of 12, the limit is "
                    "16384000"},
            {"map of 2 G", call("\x1b" + huge + "\x88"), -EMSGSIZE,
                    "map of 2147483647 pairs at offset 6 in a frame of 12, the limit is 16384000"},
            {"map that does not fit", call("\x1b\x05\x88" + std::string(9, '\0')), -ENODATA,
                    "map of 5 pairs at offset 6 in a frame of 17"},
            {"list of an unknown type", call(raw("\x19\x1e\0\0")), -EBADMSG,
                    "unknown type 14 at offset 6"},
            {"list of voids", call(raw("\x19\xf0") + varint(1000000)), -EBADMSG,
                    "unknown type 0 at offset 6"},
            {"map of an unknown value", call(raw("\x1b\x01\x5f\0\0")), -EBADMSG,
                    "unknown type 15 at offset 7"},
            {"field of an unknown type", call(raw("\x1e\0")), -EBADMSG,
                    "unknown type 14 at offset 5"},
            {"varint of 11 bytes", call("\x16" + std::string(10, '\xff') + raw("\x01\0")), -EBADMSG,
                    "i64 at offset 6 has more bytes than 64 bits need"},
            {"varint of 65 bits", call("\x16" + std::string(9, '\xff') + raw("\x02\0")), -EBADMSG,
                    "i64 at offset 6 has more bytes than 64 bits need"},
            {"i32 of 33 bits", call("\x15" + varint(0x100000000) + stop), -EBADMSG,
                    "i32 at offset 6 has more bytes than 32 bits need"},
            {"i16 of 17 bits", call("\x14" + varint(0x10000) + stop), -EBADMSG,
                    "i16 at offset 6 has more bytes than 16 bits need"},
            {"i32 with a byte too many", call(raw("\x15\x81\0\0")), -EBADMSG,
                    "i32 at offset 6 has more bytes than 32 bits need"},
            {"varints without end", call("\x16" + std::string(1000, '\x80')), -EBADMSG,
                    "i64 at offset 6 has more bytes than 64 bits need"},
            {"varint cut", call("\x16\x80\x80"), -ENODATA,
                    "i64 of 3 bytes at offset 6 in a frame of 8"},
            {"number of a field above 32767", call(raw("\x05\xfe\xff\x03\0") + raw("\x15\0\0")),
                    -EBADMSG, "field at offset 10 is out of range"},
            {"number of a field of 17 bits", call("\x05" + varint(0x10000) + stop), -EBADMSG,
                    "field at offset 6 has more bytes than 16 bits need"},
            {"structs 70 deep", call(repeat("\x1c", 70) + repeat(stop, 71)), -ELOOP,
                    "struct at offset 69 is nested more than 64 deep"},
            {"structs 200000 deep", call(repeat("\x1c", 200000)), -ELOOP,
                    "struct at offset 69 is nested more than 64 deep"},
            {"lists 70 deep", call("\x19" + repeat("\x19", 70) + raw("\x03\0")), -ELOOP,
                    "list at offset 69 is nested more than 64 deep"},
            {"sets 70 deep", call("\x1a" + repeat("\x1a", 70) + raw("\x03\0")), -ELOOP,
                    "set at offset 69 is nested more than 64 deep"},
            {"maps 70 deep", call("\x1b" + repeat(raw("\x01\x3b\0"), 70) + raw("\0\0")), -ELOOP,
                    "map at offset 195 is nested more than 64 deep"},
            {"wrong version", raw("\x82\x22\x01\x01x\0"), -EBADMSG,
                    "message begins with 0x82220000: this looks like no protocol of Thrift"},
            {"binary protocol", raw("\x80\x01\0\x01\0\0\0\x01x"), -EBADMSG,
                    "message begins with 0x80010000: this looks like the binary protocol"},
            {"JSON", "[1,\"x\",1,1,{}]", -EBADMSG,
                    "message begins with 0x5b010000: this looks like the JSON protocol"},
            {"message of type 0", raw("\x82\x01\x01\x01x\0"), -EBADMSG,
                    "message of unknown type 0"},
            {"message of type 7", raw("\x82\xe1\x01\x01x\0"), -EBADMSG,
                    "message of unknown type 7"},
            {"sequence id of 34 bits", raw("\x82\x21") + varint(0x300000000) + raw("\x01x\0"),
                    -EBADMSG, "i32 at offset 2 has more bytes than 32 bits need"},
            {"bytes left over", call(raw("\0\0")), -EBADMSG, "1 bytes left over at offset 6"},
            {"nothing at all", "", -ENODATA, "field of 1 bytes at offset 0 in a frame of 0"},
    };
}

TEST(ThriftCompactHostile, EveryPacketIsRefusedInWords)
{
    for (const Hostile &hostile : hostile_packets()) {
        const Outcome outcome = skip(hostile.frame);
        EXPECT_EQ(hostile.rc, outcome.rc) << hostile.name;
        EXPECT_EQ(hostile.words, outcome.words) << hostile.name;
        EXPECT_EQ(hostile.rc, take_apart(hostile.frame).rc) << hostile.name;
    }
}

TEST(ThriftCompactHostile, EveryPrefixOfACorrectMessageIsCut)
{
    const std::string frame = call(one_of_every_type());

    for (size_t size = 0; size < frame.size(); size++) {
        EXPECT_EQ(-ENODATA, skip(frame.substr(0, size)).rc) << size;
        EXPECT_EQ(-ENODATA, take_apart(frame.substr(0, size)).rc) << size;
    }
}

TEST(ThriftCompactHostile, DamagedMessagesNeverDoMoreThanFail)
{
    const unsigned int seed = std::random_device{}();
    std::mt19937 random(seed);
    const std::string frame = call(one_of_every_type());
    GuardedBytes guarded(frame);

    for (int round = 0; round < 10000; round++) {
        std::string damaged = frame;
        for (int i = 0; i < 4; i++)
            damaged[random() % damaged.size()] = static_cast<char>(random());
        guarded.assign(damaged);
        ASSERT_EQ(outcome::skip(compact, guarded).rc, outcome::take_apart(compact, guarded).rc)
                << "seed " << seed << " round " << round;
    }
}

TEST(ThriftCompactLimits, StringsAndContainersHaveTheirs)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.string_max = 3;
    limits.container_max = 2;

    EXPECT_EQ(0, skip(call(raw("\x18\x03"
                               "abc\0")),
                         &limits)
                         .rc);
    EXPECT_EQ(-EMSGSIZE, skip(call(raw("\x18\x04"
                                       "abcd\0")),
                                 &limits)
                                 .rc);
    EXPECT_EQ(0, skip(call(raw("\x19\x23\0\0\0")), &limits).rc);
    EXPECT_EQ(-EMSGSIZE, skip(call(raw("\x19\x33\0\0\0\0")), &limits).rc);
}

TEST(ThriftCompactLimits, AWriterRefusesWhatNoReaderWouldTake)
{
    coil_thrift_writer writer;
    const coil_thrift_message message = {{"x", 1}, COIL_THRIFT_CALL, 1, false};

    coil_thrift_writer_init(&writer, nullptr);
    coil_thrift_writer_set_protocol(&writer, compact);
    coil_thrift_writer_begin(&writer, &message);
    for (int i = 0; i < 70; i++)
        coil_thrift_put_struct(&writer, 1);
    EXPECT_EQ(-ELOOP, coil_thrift_writer_finish(&writer));
    coil_thrift_writer_begin(&writer, &message);
    coil_thrift_write_stop(&writer);
    EXPECT_EQ(4 + 6, coil_thrift_writer_finish(&writer));
    coil_thrift_writer_fini(&writer);
}

} // namespace
