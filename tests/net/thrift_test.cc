/* SPDX-License-Identifier: MIT */
#include "guarded_bytes.h"
#include "thrift_packets.h"
#include "thrift_walk.h"

#include <coil/thrift.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

/* The program is linked with --wrap=realloc: the library gets its memory from here. */
static bool memory_is_short;

extern "C" void *__real_realloc(void *bytes, size_t size);
extern "C" void *__wrap_realloc(void *bytes, size_t size);
void *__wrap_realloc(void *bytes, size_t size)
{
    return memory_is_short ? nullptr : __real_realloc(bytes, size);
}

namespace
{

using namespace packet;

constexpr int64_t huge = 0x7fffffff;

std::string string_of(coil_thrift_text value)
{
    return std::string(value.bytes, value.size);
}

coil_thrift_text text_of(const std::string &value)
{
    return coil_thrift_text{value.data(), static_cast<uint32_t>(value.size())};
}

std::string what(const coil_thrift_reader &reader)
{
    char words[128];
    return coil_thrift_reader_what(&reader, words, sizeof(words));
}

std::string frame_what(const char *first, const coil_thrift_limits *limits = nullptr)
{
    char words[128];
    return coil_thrift_frame_what(
            reinterpret_cast<const uint8_t *>(first), limits, words, sizeof(words));
}

int frame_size(const std::string &first, const coil_thrift_limits *limits = nullptr)
{
    return coil_thrift_frame_size(reinterpret_cast<const uint8_t *>(first.data()), limits);
}

/* What a server makes of a frame whose method it does not know. */
struct Outcome {
    int rc;
    std::string words;
};

Outcome skip_message(const GuardedBytes &guarded, const coil_thrift_limits *limits = nullptr)
{
    coil_thrift_reader reader;
    coil_thrift_message message;

    coil_thrift_reader_init(&reader, guarded.bytes(), guarded.size(), limits);
    if (coil_thrift_read_message(&reader, &message))
        coil_thrift_skip_fields(&reader);
    int rc = coil_thrift_reader_finish(&reader);
    return {rc, what(reader)};
}

Outcome skip_message(const std::string &frame, const coil_thrift_limits *limits = nullptr)
{
    return skip_message(GuardedBytes(frame), limits);
}

/* The same, but every value is taken apart. */
Outcome take_apart(const GuardedBytes &guarded)
{
    coil_thrift_reader reader;
    coil_thrift_writer writer;
    thrift_walk walk = {};

    coil_thrift_reader_init(&reader, guarded.bytes(), guarded.size(), nullptr);
    coil_thrift_writer_init(&writer, nullptr);
    walk.reader = &reader;
    walk.writer = &writer;
    int rc = thrift_walk_message(&walk);
    coil_thrift_writer_fini(&writer);
    return {rc, what(reader)};
}

Outcome take_apart(const std::string &frame)
{
    return take_apart(GuardedBytes(frame));
}

std::string one_of_every_type()
{
    return field(2, 1) + i8(1) + field(3, -2) + i8(-2) + field(4, 3) + i64(0x3ff8000000000000) +
           field(6, 4) + i16(-4) + field(8, 5) + i32(-5) + field(10, 6) + i64(-6) + field(11, 7) +
           text("seven") + field(12, 8) + field(8, 1) + i32(1) + stop() + field(13, 9) +
           map(8, 11, 1) + i32(1) + text("x") + field(14, 10) + list(6, 2) + i16(1) + i16(2) +
           field(15, 11) + list(15, 2) + list(12, 1) + stop() + list(4, 1) + i64(0) +
           field(16, 12) + "0123456789abcdef" + field(13, 13) + map(11, 12, 1) + text("k") +
           field(2, 1) + i8(0) + stop() + field(14, 14) + list(11, 2) + text("") + text("b") +
           stop();
}

class ThriftReader : public testing::Test
{
protected:
    void open(const std::string &frame, const coil_thrift_limits *limits = nullptr)
    {
        guarded = std::make_unique<GuardedBytes>(frame);
        coil_thrift_reader_init(&reader, guarded->bytes(), guarded->size(), limits);
    }

    /* Open the fields of a struct that is all there is in the frame. */
    void open_struct(const std::string &fields)
    {
        open(fields);
        ASSERT_TRUE(coil_thrift_read_struct(&reader));
    }

    std::unique_ptr<GuardedBytes> guarded;
    coil_thrift_reader reader = {};
    coil_thrift_message message = {};
    coil_thrift_field current = {};
};

/* ---- messages */

TEST_F(ThriftReader, ReadsAStrictHeader)
{
    open(packet::message(4, "shutdown", -3) + stop());
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    EXPECT_EQ("shutdown", string_of(message.name));
    EXPECT_EQ(COIL_THRIFT_ONEWAY, message.type);
    EXPECT_EQ(-3, message.seqid);
    EXPECT_FALSE(message.old);
    EXPECT_FALSE(coil_thrift_read_field(&reader, &current));
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
    EXPECT_EQ("no error", what(reader));
}

TEST_F(ThriftReader, ReadsAnOldHeader)
{
    open(packet::old_message(1, "ping", 5) + stop());
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    EXPECT_EQ("ping", string_of(message.name));
    EXPECT_EQ(COIL_THRIFT_CALL, message.type);
    EXPECT_EQ(5, message.seqid);
    EXPECT_TRUE(message.old);
    coil_thrift_skip_fields(&reader);
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
}

TEST_F(ThriftReader, GivesTheNameAsASliceOfTheFrame)
{
    open(packet::call("ping", stop()));
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    EXPECT_EQ(reinterpret_cast<const char *>(guarded->bytes()) + 8, message.name.bytes);
}

TEST_F(ThriftReader, IgnoresTheUnusedByteOfAStrictHeader)
{
    std::string frame = packet::call("ping", stop());
    frame[2] = 0x5a;
    open(frame);
    EXPECT_TRUE(coil_thrift_read_message(&reader, &message));
}

TEST_F(ThriftReader, AcceptsAnEmptyName)
{
    open(packet::call("", stop()));
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    EXPECT_EQ(0u, message.name.size);
}

/* ---- fields */

TEST_F(ThriftReader, TakesEveryTypeOfField)
{
    bool yes = false;
    int8_t tiny = 0;
    int16_t small = 0;
    int32_t medium = 0;
    int64_t large = 0;
    double real = 0;
    coil_thrift_text name = {};
    uint8_t uuid[16] = {};

    open_struct(field(2, 1) + i8(1) + field(3, 2) + i8(-128) + field(6, 3) + i16(-32768) +
                field(8, 4) + i32(INT32_MIN) + field(10, 5) + i64(INT64_MIN) + field(4, 6) +
                i64(static_cast<int64_t>(0xc014d6f8e2e7d1a4)) + field(11, 7) +
                text(std::string("a\0b", 3)) + field(16, 8) + "0123456789abcdef" + stop());
    while (coil_thrift_read_field(&reader, &current)) {
        switch (current.id) {
        case 1:
            EXPECT_TRUE(coil_thrift_get_bool(&reader, &yes));
            break;
        case 2:
            EXPECT_TRUE(coil_thrift_get_i8(&reader, &tiny));
            break;
        case 3:
            EXPECT_TRUE(coil_thrift_get_i16(&reader, &small));
            break;
        case 4:
            EXPECT_TRUE(coil_thrift_get_i32(&reader, &medium));
            break;
        case 5:
            EXPECT_TRUE(coil_thrift_get_i64(&reader, &large));
            break;
        case 6:
            EXPECT_TRUE(coil_thrift_get_double(&reader, &real));
            break;
        case 7:
            EXPECT_TRUE(coil_thrift_get_string(&reader, &name));
            break;
        case 8:
            EXPECT_TRUE(coil_thrift_get_uuid(&reader, uuid));
            break;
        }
    }
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader)) << what(reader);
    EXPECT_TRUE(yes);
    EXPECT_EQ(INT8_MIN, tiny);
    EXPECT_EQ(INT16_MIN, small);
    EXPECT_EQ(INT32_MIN, medium);
    EXPECT_EQ(INT64_MIN, large);
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    EXPECT_EQ(0xc014d6f8e2e7d1a4, bits);
    EXPECT_EQ(std::string("a\0b", 3), string_of(name));
    EXPECT_EQ(0, memcmp(uuid, "0123456789abcdef", 16));
}

TEST_F(ThriftReader, SkipsFieldsThatNobodyTakes)
{
    int32_t value = 0;

    open_struct(one_of_every_type().substr(0, one_of_every_type().size() - 1) + field(8, 99) +
                i32(42) + stop());
    while (coil_thrift_read_field(&reader, &current)) {
        if (current.id == 99)
            coil_thrift_get_i32(&reader, &value);
    }
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader)) << what(reader);
    EXPECT_EQ(42, value);
}

TEST_F(ThriftReader, KeepsTheDefaultWhenAFieldHasAnotherType)
{
    int32_t value = 42;

    open_struct(field(10, 1) + i64(5) + stop());
    ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
    EXPECT_EQ(COIL_THRIFT_I64, current.type);
    EXPECT_FALSE(coil_thrift_field_is(&reader, COIL_THRIFT_I32));
    EXPECT_FALSE(coil_thrift_get_i32(&reader, &value));
    EXPECT_FALSE(coil_thrift_read_field(&reader, &current));
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
    EXPECT_EQ(42, value);
}

TEST_F(ThriftReader, LetsTheSecondTypeTakeAFieldThatTheFirstDidNot)
{
    int32_t medium = 0;
    int64_t large = 0;

    open_struct(field(10, 1) + i64(5) + stop());
    ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
    EXPECT_FALSE(coil_thrift_get_i32(&reader, &medium));
    EXPECT_TRUE(coil_thrift_get_i64(&reader, &large));
    EXPECT_EQ(5, large);
}

TEST_F(ThriftReader, GivesAFieldOnlyOnce)
{
    int32_t value = 0;

    open_struct(field(8, 1) + i32(5) + stop());
    ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
    EXPECT_TRUE(coil_thrift_get_i32(&reader, &value));
    EXPECT_FALSE(coil_thrift_get_i32(&reader, &value));
}

TEST_F(ThriftReader, TakesAnyBoolButZeroAsTrue)
{
    open(std::string("\x00\x01\xff", 3));
    EXPECT_FALSE(coil_thrift_read_bool(&reader));
    EXPECT_TRUE(coil_thrift_read_bool(&reader));
    EXPECT_TRUE(coil_thrift_read_bool(&reader));
}

TEST_F(ThriftReader, ReadsStructsInsideStructs)
{
    int32_t inner = 0;
    int32_t outer = 0;

    open_struct(field(12, 1) + field(8, 1) + i32(1) + field(8, 9) + i32(9) + stop() + field(8, 2) +
                i32(2) + stop());
    while (coil_thrift_read_field(&reader, &current)) {
        if (current.id == 1 && coil_thrift_get_struct(&reader)) {
            coil_thrift_field nested;
            while (coil_thrift_read_field(&reader, &nested)) {
                if (nested.id == 1)
                    coil_thrift_get_i32(&reader, &inner);
            }
        } else if (current.id == 2) {
            coil_thrift_get_i32(&reader, &outer);
        }
    }
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader)) << what(reader);
    EXPECT_EQ(1, inner);
    EXPECT_EQ(2, outer);
}

/* ---- containers */

TEST_F(ThriftReader, ReadsAListAMapAndASet)
{
    uint32_t left = 0;
    int64_t sum = 0;
    std::string names;

    open_struct(field(15, 1) + list(10, 2) + i64(1) + i64(2) + field(13, 2) + map(11, 10, 2) +
                text("a") + i64(10) + text("b") + i64(20) + field(14, 3) + list(11, 1) + text("c") +
                stop());
    while (coil_thrift_read_field(&reader, &current)) {
        if (current.id == 1 && coil_thrift_get_list(&reader, COIL_THRIFT_I64, &left)) {
            while (coil_thrift_read_element(&reader, &left))
                sum += coil_thrift_read_i64(&reader);
        }
        if (current.id == 2 &&
                coil_thrift_get_map(&reader, COIL_THRIFT_STRING, COIL_THRIFT_I64, &left)) {
            while (coil_thrift_read_element(&reader, &left)) {
                names += string_of(coil_thrift_read_string(&reader));
                sum += coil_thrift_read_i64(&reader);
            }
        }
        if (current.id == 3 && coil_thrift_get_set(&reader, COIL_THRIFT_STRING, &left)) {
            while (coil_thrift_read_element(&reader, &left))
                names += string_of(coil_thrift_read_string(&reader));
        }
    }
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader)) << what(reader);
    EXPECT_EQ(33, sum);
    EXPECT_EQ("abc", names);
}

TEST_F(ThriftReader, SkipsContainersWhoseElementsHaveAnotherType)
{
    uint32_t count = 77;
    int32_t last = 0;

    open_struct(field(15, 1) + list(11, 2) + text("a") + text("b") + field(14, 2) + list(12, 1) +
                field(8, 1) + i32(1) + stop() + field(13, 3) + map(11, 15, 1) + text("k") +
                list(11, 1) + text("v") + field(8, 4) + i32(4) + stop());
    while (coil_thrift_read_field(&reader, &current)) {
        switch (current.id) {
        case 1:
            EXPECT_FALSE(coil_thrift_get_list(&reader, COIL_THRIFT_I64, &count));
            break;
        case 2:
            EXPECT_FALSE(coil_thrift_get_set(&reader, COIL_THRIFT_I64, &count));
            break;
        case 3:
            EXPECT_FALSE(coil_thrift_get_map(&reader, COIL_THRIFT_STRING, COIL_THRIFT_I64, &count));
            break;
        case 4:
            EXPECT_TRUE(coil_thrift_get_i32(&reader, &last));
            break;
        }
    }
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader)) << what(reader);
    EXPECT_EQ(77u, count);
    EXPECT_EQ(4, last);
}

TEST_F(ThriftReader, TakesAnEmptyContainerForOneOfAnyType)
{
    uint32_t count = 77;

    open_struct(field(15, 1) + list(99, 0) + field(13, 2) + map(0, 0, 0) + stop());
    ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
    EXPECT_TRUE(coil_thrift_get_list(&reader, COIL_THRIFT_I64, &count));
    EXPECT_EQ(0u, count);
    count = 77;
    ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
    EXPECT_TRUE(coil_thrift_get_map(&reader, COIL_THRIFT_STRING, COIL_THRIFT_I64, &count));
    EXPECT_EQ(0u, count);
    EXPECT_FALSE(coil_thrift_read_field(&reader, &current));
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
}

TEST_F(ThriftReader, NeverCountsMoreElementsThanBytesAreLeft)
{
    for (int element : {2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15, 16}) {
        for (int count = 0; count < 40; count++) {
            uint8_t found;
            open(list(element, count) + repeat(stop(), 32));
            EXPECT_LE(coil_thrift_read_list(&reader, &found), 32u) << element << " " << count;
        }
    }
}

/* ---- errors stay */

TEST_F(ThriftReader, GivesZerosAfterTheFirstError)
{
    uint8_t uuid[16] = {1, 2, 3};
    uint8_t type = 9;
    uint8_t other = 9;
    uint32_t count = 77;

    open(i16(5));
    EXPECT_EQ(0, coil_thrift_read_i32(&reader));
    EXPECT_EQ(-ENODATA, reader.error);
    EXPECT_EQ("i32 of 4 bytes at offset 0 in a frame of 2", what(reader));

    EXPECT_FALSE(coil_thrift_read_bool(&reader));
    EXPECT_EQ(0, coil_thrift_read_i8(&reader));
    EXPECT_EQ(0, coil_thrift_read_i16(&reader));
    EXPECT_EQ(0, coil_thrift_read_i64(&reader));
    EXPECT_EQ(0.0, coil_thrift_read_double(&reader));
    EXPECT_EQ("", string_of(coil_thrift_read_string(&reader)));
    coil_thrift_read_uuid(&reader, uuid);
    EXPECT_EQ(0, uuid[0]);
    EXPECT_EQ(0u, coil_thrift_read_list(&reader, &type));
    EXPECT_EQ(COIL_THRIFT_STOP, type);
    EXPECT_EQ(0u, coil_thrift_read_map(&reader, &type, &other));
    EXPECT_EQ(COIL_THRIFT_STOP, other);
    EXPECT_FALSE(coil_thrift_read_list_of(&reader, COIL_THRIFT_I8, &count));
    EXPECT_FALSE(coil_thrift_read_struct(&reader));
    EXPECT_FALSE(coil_thrift_read_field(&reader, &current));
    EXPECT_FALSE(coil_thrift_read_element(&reader, &count));
    EXPECT_FALSE(coil_thrift_read_message(&reader, &message));
    coil_thrift_skip(&reader, COIL_THRIFT_STRUCT);
    coil_thrift_skip(&reader, 99);

    EXPECT_EQ(-ENODATA, coil_thrift_reader_finish(&reader));
    EXPECT_EQ(-ENODATA, coil_thrift_reader_finish(&reader));
    EXPECT_EQ("i32 of 4 bytes at offset 0 in a frame of 2", what(reader));
}

TEST_F(ThriftReader, ReportsBytesLeftOver)
{
    Outcome outcome = skip_message(packet::call("ping", stop() + "junk"));
    EXPECT_EQ(-EBADMSG, outcome.rc);
    EXPECT_EQ("4 bytes left over at offset 17", outcome.words);
}

TEST_F(ThriftReader, ReportsAStructThatIsStillOpenAtTheEnd)
{
    int32_t value = 0;

    open_struct(field(8, 1) + i32(1));
    ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
    EXPECT_TRUE(coil_thrift_get_i32(&reader, &value));
    EXPECT_EQ(-ENODATA, coil_thrift_reader_finish(&reader));
}

TEST_F(ThriftReader, CutsItsWordsToTheSpaceThereIs)
{
    char words[12];

    open(i16(5));
    EXPECT_EQ(0, coil_thrift_read_i32(&reader));
    EXPECT_STREQ("i32 of 4 by", coil_thrift_reader_what(&reader, words, sizeof(words)));
}

/* ---- truncation */

TEST(ThriftTruncated, EveryPrefixOfACorrectMessageIsCut)
{
    std::string frame = packet::call("everything", one_of_every_type());

    ASSERT_EQ(0, skip_message(frame).rc) << skip_message(frame).words;
    ASSERT_EQ(0, take_apart(frame).rc);
    for (size_t size = 0; size < frame.size(); size++) {
        EXPECT_EQ(-ENODATA, skip_message(frame.substr(0, size)).rc) << size;
        EXPECT_EQ(-ENODATA, take_apart(frame.substr(0, size)).rc) << size;
    }
}

TEST(ThriftTruncated, EveryPrefixOfAnOldMessageIsCut)
{
    std::string frame = packet::old_message(1, "everything", 1) + one_of_every_type();

    ASSERT_EQ(0, skip_message(frame).rc);
    for (size_t size = 0; size < frame.size(); size++)
        EXPECT_EQ(-ENODATA, skip_message(frame.substr(0, size)).rc) << size;
}

TEST(ThriftTruncated, SkippingAndTakingApartAgreeAboutEveryDamagedByte)
{
    std::string frame = packet::call("everything", one_of_every_type());
    GuardedBytes guarded(frame);

    for (size_t at = 0; at < frame.size(); at++) {
        for (int byte = 0; byte < 256; byte++) {
            std::string damaged = frame;
            damaged[at] = static_cast<char>(byte);
            guarded.assign(damaged);
            Outcome skipped = skip_message(guarded);
            Outcome taken = take_apart(guarded);
            ASSERT_EQ(skipped.rc, taken.rc) << at << " " << byte;
            ASSERT_EQ(skipped.words, taken.words) << at << " " << byte;
        }
    }
}

/* ---- hostile packets */

struct Hostile {
    const char *name;
    std::string frame;
    int rc;
    std::string words;
};

std::vector<Hostile> hostile_packets()
{
    using packet::call;
    std::string version_1 = i32(0x80010001LL);
    return {
            {"string of 2 GB in a packet of 47 bytes",
                    call("testString", field(11, 1) + i32(huge) + "abcdefghij"), -EMSGSIZE,
                    "string of 2147483647 bytes at offset 25 in a frame of 39, the limit is "
                    "16384000"},
            {"string longer than the frame", call("ping", field(11, 1) + i32(1000) + "abc"),
                    -ENODATA, "string of 1000 bytes at offset 19 in a frame of 26"},
            {"string of negative size", call("ping", field(11, 1) + i32(-5) + "abc"), -EBADMSG,
                    "string of -5 bytes at offset 19"},
            {"name of 2 GB", version_1 + i32(huge) + "ping", -EMSGSIZE,
                    "string of 2147483647 bytes at offset 4 in a frame of 12, the limit is "
                    "16384000"},
            {"name of negative size", version_1 + i32(-1) + "ping", -EBADMSG,
                    "string of -1 bytes at offset 4"},
            {"old name of 2 GB", i32(huge) + "ping", -EMSGSIZE,
                    "string of 2147483647 bytes at offset 0 in a frame of 8, the limit is "
                    "16384000"},
            {"list of 2 G i64", call("x", field(15, 1) + list(10, huge) + i64(1)), -EMSGSIZE,
                    "list of 2147483647 elements at offset 16 in a frame of 29, the limit is "
                    "16384000"},
            {"list that does not fit", call("x", field(15, 1) + list(10, 3) + i64(1) + i64(2)),
                    -ENODATA, "list of 3 elements at offset 16 in a frame of 37"},
            {"list of negative count", call("x", field(15, 1) + list(10, -1)), -EBADMSG,
                    "list of -1 elements at offset 16"},
            {"set of 2 G strings", call("x", field(14, 1) + list(11, huge) + text("a")), -EMSGSIZE,
                    "set of 2147483647 elements at offset 16 in a frame of 26, the limit is "
                    "16384000"},
            {"map of 2 G pairs", call("x", field(13, 1) + map(11, 10, huge)), -EMSGSIZE,
                    "map of 2147483647 pairs at offset 16 in a frame of 22, the limit is 16384000"},
            {"map that does not fit", call("x", field(13, 1) + map(11, 10, 2) + repeat("x", 23)),
                    -ENODATA, "map of 2 pairs at offset 16 in a frame of 45"},
            {"map of negative count", call("x", field(13, 1) + map(11, 10, -2)), -EBADMSG,
                    "map of -2 pairs at offset 16"},
            {"more empty structs than bytes", call("x", field(15, 1) + list(12, 1000) + stop()),
                    -ENODATA, "list of 1000 elements at offset 16 in a frame of 22"},
            {"list of voids, which take no bytes", call("x", field(15, 1) + list(1, 1000000)),
                    -EBADMSG, "unknown type 1 at offset 16"},
            {"list of an unknown type", call("x", field(15, 1) + list(99, 1) + stop()), -EBADMSG,
                    "unknown type 99 at offset 16"},
            {"map of an unknown key", call("x", field(13, 1) + map(7, 3, 1) + i16(1)), -EBADMSG,
                    "unknown type 7 at offset 16"},
            {"map of an unknown value", call("x", field(13, 1) + map(3, 0, 1) + i16(1)), -EBADMSG,
                    "unknown type 0 at offset 17"},
            {"field of an unknown type", call("x", field(99, 1) + stop()), -EBADMSG,
                    "unknown type 99 at offset 13"},
            {"structs 70 deep", call("x", repeat(field(12, 1), 70) + repeat(stop(), 71)), -ELOOP,
                    "struct at offset 205 is nested more than 64 deep"},
            {"lists 70 deep",
                    call("x", field(15, 1) + repeat(list(15, 1), 70) + list(3, 0) + stop()), -ELOOP,
                    "list at offset 331 is nested more than 64 deep"},
            {"sets 70 deep",
                    call("x", field(14, 1) + repeat(list(14, 1), 70) + list(3, 0) + stop()), -ELOOP,
                    "set at offset 331 is nested more than 64 deep"},
            {"maps 70 deep",
                    call("x", field(13, 1) + repeat(map(3, 13, 1) + i8(0), 70) + map(3, 3, 0)),
                    -ELOOP, "map at offset 457 is nested more than 64 deep"},
            {"structs 200000 deep", call("x", repeat(field(12, 1), 200000)), -ELOOP,
                    "struct at offset 205 is nested more than 64 deep"},
            {"wrong version", i32(0x80020001LL) + text("x") + i32(1) + stop(), -EBADMSG,
                    "message begins with 0x80020001: this looks like no protocol of Thrift"},
            {"compact protocol", "\x82\x21\x01\x07getName", -EBADMSG,
                    "message begins with 0x82210107: this looks like the compact protocol"},
            {"message of type 0", packet::message(0, "x", 1) + stop(), -EBADMSG,
                    "message of unknown type 0"},
            {"message of type 7", packet::message(7, "x", 1) + stop(), -EBADMSG,
                    "message of unknown type 7"},
            {"old message of type 9", packet::old_message(9, "x", 1) + stop(), -EBADMSG,
                    "message of unknown type 9"},
            {"nothing at all", "", -ENODATA, "i32 of 4 bytes at offset 0 in a frame of 0"},
            {"header alone", call("x", ""), -ENODATA,
                    "field of 1 bytes at offset 13 in a frame of 13"},
            {"HTTP", "GET / HTTP/1.1\r\n\r\n", -EMSGSIZE,
                    "string of 1195725856 bytes at offset 0 in a frame of 18, the limit is "
                    "16384000"},
    };
}

TEST(ThriftHostile, EveryPacketIsRefusedInWords)
{
    for (const Hostile &hostile : hostile_packets()) {
        Outcome outcome = skip_message(hostile.frame);
        EXPECT_EQ(hostile.rc, outcome.rc) << hostile.name;
        EXPECT_EQ(hostile.words, outcome.words) << hostile.name;
        EXPECT_EQ(hostile.rc, take_apart(hostile.frame).rc) << hostile.name;
    }
}

TEST(ThriftHostile, DamagedMessagesNeverDoMoreThanFail)
{
    unsigned int seed = std::random_device{}();
    std::mt19937 random(seed);
    std::string frame = packet::call("everything", one_of_every_type());
    GuardedBytes guarded(frame);

    for (int round = 0; round < 10000; round++) {
        std::string damaged = frame;
        for (int i = 0; i < 4; i++)
            damaged[random() % damaged.size()] = static_cast<char>(random());
        guarded.assign(damaged);
        Outcome skipped = skip_message(guarded);
        ASSERT_EQ(skipped.rc, take_apart(guarded).rc) << "seed " << seed << " round " << round;
    }
}

/* ---- limits */

TEST(ThriftLimits, DefaultsAreThoseOfOtherImplementations)
{
    EXPECT_EQ(16384000u, coil_thrift_limits_default.frame_max);
    EXPECT_EQ(64u, coil_thrift_limits_default.depth_max);
}

TEST(ThriftLimits, AStringMayBeAsLongAsItsLimit)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.string_max = 5;
    EXPECT_EQ(
            0, skip_message(packet::call("x", field(11, 1) + text("12345") + stop()), &limits).rc);
    Outcome outcome =
            skip_message(packet::call("x", field(11, 1) + text("123456") + stop()), &limits);
    EXPECT_EQ(-EMSGSIZE, outcome.rc);
    EXPECT_EQ("string of 6 bytes at offset 16 in a frame of 27, the limit is 5", outcome.words);
}

TEST(ThriftLimits, AContainerMayHaveAsManyElementsAsItsLimit)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.container_max = 3;
    for (int type : {14, 15}) {
        std::string three = field(type, 1) + list(3, 3) + "abc" + stop();
        std::string four = field(type, 1) + list(3, 4) + "abcd" + stop();
        EXPECT_EQ(0, skip_message(packet::call("x", three), &limits).rc);
        EXPECT_EQ(-EMSGSIZE, skip_message(packet::call("x", four), &limits).rc);
    }
    std::string pairs = field(13, 1) + map(3, 3, 4) + "abcdefgh" + stop();
    EXPECT_EQ(-EMSGSIZE, skip_message(packet::call("x", pairs), &limits).rc);
}

/* The arguments are one level; `depth` counts it. */
std::string structs_deep(int depth)
{
    return packet::call("x", repeat(field(12, 1), depth - 1) + repeat(stop(), depth));
}

TEST(ThriftLimits, SkippedStructsMayBeAsDeepAsTheLimit)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    EXPECT_EQ(0, skip_message(structs_deep(64)).rc);
    EXPECT_EQ(-ELOOP, skip_message(structs_deep(65)).rc);
    limits.depth_max = 3;
    EXPECT_EQ(0, skip_message(structs_deep(3), &limits).rc);
    EXPECT_EQ(-ELOOP, skip_message(structs_deep(4), &limits).rc);
}

/* Reads the way a generated decoder of a struct that contains itself does. */
int declared_depth(coil_thrift_reader *reader)
{
    coil_thrift_field current;
    int deepest = 0;

    while (coil_thrift_read_field(reader, &current)) {
        if (coil_thrift_get_struct(reader))
            deepest = std::max(deepest, declared_depth(reader));
    }
    return deepest + 1;
}

TEST(ThriftLimits, DeclaredStructsMayBeAsDeepAsTheLimit)
{
    for (int depth : {1, 2, 63, 64, 65, 66, 1000}) {
        GuardedBytes guarded(structs_deep(depth));
        coil_thrift_reader reader;
        coil_thrift_message message;

        coil_thrift_reader_init(&reader, guarded.bytes(), guarded.size(), nullptr);
        ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
        EXPECT_EQ(std::min(depth, 64), declared_depth(&reader));
        EXPECT_EQ(depth <= 64 ? 0 : -ELOOP, coil_thrift_reader_finish(&reader)) << depth;
    }
}

TEST(ThriftLimits, DeclaredAndSkippedDepthAddUp)
{
    GuardedBytes guarded(structs_deep(65));
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_field current;

    coil_thrift_reader_init(&reader, guarded.bytes(), guarded.size(), nullptr);
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    for (int i = 0; i < 30; i++) {
        ASSERT_TRUE(coil_thrift_read_field(&reader, &current));
        ASSERT_TRUE(coil_thrift_get_struct(&reader));
    }
    coil_thrift_skip_fields(&reader);
    EXPECT_EQ(-ELOOP, coil_thrift_reader_finish(&reader));
}

TEST(ThriftLimitsDeathTest, DeeperThanTheReaderCanSkipIsAProgrammingError)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    coil_thrift_reader reader;
    limits.depth_max = 65;
    EXPECT_DEATH(coil_thrift_reader_init(&reader, "", 0, &limits), "depth_max");
}

TEST(ThriftReaderDeathTest, AFieldOutsideOfAStructIsAProgrammingError)
{
    std::string fields = field(8, 1) + i32(1) + stop();
    coil_thrift_reader reader;
    coil_thrift_field current;
    coil_thrift_reader_init(&reader, fields.data(), static_cast<uint32_t>(fields.size()), nullptr);
    EXPECT_DEATH((void)!coil_thrift_read_field(&reader, &current), "depth");
}

/* ---- writer */

class ThriftWriter : public testing::Test
{
protected:
    void SetUp() override
    {
        coil_thrift_writer_init(&writer, nullptr);
    }
    void TearDown() override
    {
        coil_thrift_writer_fini(&writer);
    }

    std::string written() const
    {
        return std::string(reinterpret_cast<const char *>(writer.bytes), writer.size);
    }

    int write_blob(const std::string &value)
    {
        coil_thrift_writer_begin(&writer, &call);
        coil_thrift_put_string(&writer, 1, text_of(value));
        coil_thrift_write_stop(&writer);
        return coil_thrift_writer_finish(&writer);
    }

    coil_thrift_writer writer = {};
    coil_thrift_message call = {coil_thrift_text_of("x"), COIL_THRIFT_CALL, 7, false};
};

TEST_F(ThriftWriter, WritesAFramedMessage)
{
    std::string frame = packet::message(1, "x", 7) + field(8, 1) + i32(-5) + stop();

    coil_thrift_writer_begin(&writer, &call);
    coil_thrift_put_i32(&writer, 1, -5);
    coil_thrift_write_stop(&writer);
    EXPECT_EQ(static_cast<int>(frame.size() + 4), coil_thrift_writer_finish(&writer));
    EXPECT_EQ(i32(static_cast<int64_t>(frame.size())) + frame, written());
}

TEST_F(ThriftWriter, WritesAnOldHeaderIfAskedTo)
{
    call.old = true;
    coil_thrift_writer_begin(&writer, &call);
    coil_thrift_write_stop(&writer);
    ASSERT_GT(coil_thrift_writer_finish(&writer), 0);
    EXPECT_EQ(packet::old_message(1, "x", 7) + stop(), written().substr(4));
}

TEST_F(ThriftWriter, WritesEveryType)
{
    uint8_t uuid[16];
    memcpy(uuid, "0123456789abcdef", 16);

    coil_thrift_put_bool(&writer, 1, true);
    coil_thrift_put_i8(&writer, -2, -2);
    coil_thrift_put_double(&writer, 3, 1.5);
    coil_thrift_put_i16(&writer, 4, -4);
    coil_thrift_put_i32(&writer, 5, -5);
    coil_thrift_put_i64(&writer, 6, -6);
    coil_thrift_put_string(&writer, 7, coil_thrift_text_of("seven"));
    coil_thrift_put_struct(&writer, 8);
    coil_thrift_put_i32(&writer, 1, 1);
    coil_thrift_write_stop(&writer);
    coil_thrift_put_map(&writer, 9, COIL_THRIFT_I32, COIL_THRIFT_STRING, 1);
    coil_thrift_write_i32(&writer, 1);
    coil_thrift_write_string(&writer, coil_thrift_text_of("x"));
    coil_thrift_put_set(&writer, 10, COIL_THRIFT_I16, 2);
    coil_thrift_write_i16(&writer, 1);
    coil_thrift_write_i16(&writer, 2);
    coil_thrift_put_list(&writer, 11, COIL_THRIFT_LIST, 2);
    coil_thrift_write_list(&writer, COIL_THRIFT_STRUCT, 1);
    coil_thrift_write_stop(&writer);
    coil_thrift_write_list(&writer, COIL_THRIFT_DOUBLE, 1);
    coil_thrift_write_double(&writer, 0);
    coil_thrift_put_uuid(&writer, 12, uuid);
    coil_thrift_put_map(&writer, 13, COIL_THRIFT_STRING, COIL_THRIFT_STRUCT, 1);
    coil_thrift_write_string(&writer, coil_thrift_text_of("k"));
    coil_thrift_put_bool(&writer, 1, false);
    coil_thrift_write_stop(&writer);
    coil_thrift_put_set(&writer, 14, COIL_THRIFT_STRING, 2);
    coil_thrift_write_string(&writer, coil_thrift_text{nullptr, 0});
    coil_thrift_write_string(&writer, coil_thrift_text_of("b"));
    coil_thrift_write_stop(&writer);

    EXPECT_EQ(one_of_every_type(), written());
    EXPECT_EQ(0, writer.error);
}

TEST_F(ThriftWriter, KeepsDoublesToTheBit)
{
    for (double value : {0.0, -0.0, -5.2098523, -0.000341012439638598279, 9007199254740991.0, 1e307,
                 1e-292, std::numeric_limits<double>::infinity(),
                 std::numeric_limits<double>::denorm_min(), std::nan("7")}) {
        coil_thrift_reader reader;
        coil_thrift_writer_reset(&writer);
        coil_thrift_write_double(&writer, value);
        coil_thrift_reader_init(&reader, writer.bytes, writer.size, nullptr);
        double read = coil_thrift_read_double(&reader);
        EXPECT_EQ(0, memcmp(&value, &read, sizeof(value))) << value;
    }
}

TEST_F(ThriftWriter, LinesUpFrames)
{
    int first = write_blob("one");
    int second = write_blob("three");
    ASSERT_GT(first, 0);
    ASSERT_GT(second, 0);
    EXPECT_EQ(static_cast<uint32_t>(first + second), writer.size);
    EXPECT_EQ(first - 4, frame_size(written()));
    EXPECT_EQ(second - 4, frame_size(written().substr(static_cast<size_t>(first))));
    EXPECT_EQ(0, skip_message(written().substr(static_cast<size_t>(first) + 4)).rc);
}

TEST_F(ThriftWriter, AllocatesNothingInTheSteadyState)
{
    ASSERT_GT(write_blob(std::string(10000, 'x')), 0);
    const uint8_t *bytes = writer.bytes;
    for (int i = 0; i < 100; i++) {
        coil_thrift_writer_reset(&writer);
        EXPECT_EQ(0u, writer.size);
        ASSERT_GT(write_blob(std::string(10000, 'y')), 0);
        EXPECT_EQ(bytes, writer.bytes);
    }
}

TEST_F(ThriftWriter, RemovesAFrameAboveTheLimitAndKeepsTheFinishedOnes)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 64;
    coil_thrift_writer_init(&writer, &limits);

    std::string header = packet::message(1, "x", 7);
    size_t room = 64 - header.size() - 3 - 4 - 1;
    EXPECT_EQ(68, write_blob(std::string(room, 'x')));
    std::string before = written();
    EXPECT_EQ(-EMSGSIZE, write_blob(std::string(room + 1, 'x')));
    EXPECT_EQ(before, written());
    EXPECT_EQ(-EMSGSIZE, write_blob(std::string(1000, 'x')));
    EXPECT_EQ(before, written());
    EXPECT_EQ(68, write_blob(std::string(room, 'y')));
    EXPECT_EQ(136u, writer.size);
}

TEST_F(ThriftWriter, ReportsAFullBuffer)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.buffer_max = 300;
    coil_thrift_writer_init(&writer, &limits);

    int size = write_blob(std::string(100, 'x'));
    ASSERT_GT(size, 0);
    ASSERT_EQ(size, write_blob(std::string(100, 'x')));
    EXPECT_EQ(-ENOBUFS, write_blob(std::string(100, 'x')));
    EXPECT_EQ(static_cast<uint32_t>(2 * size), writer.size);
    EXPECT_LE(writer.capacity, 300u);

    coil_thrift_writer_reset(&writer);
    EXPECT_EQ(size, write_blob(std::string(100, 'x')));
}

TEST_F(ThriftWriter, KeepsFinishedFramesWhenThereIsNoMemory)
{
    int size = write_blob("one");
    ASSERT_GT(size, 0);
    std::string before = written();
    memory_is_short = true;
    EXPECT_EQ(-ENOMEM, write_blob(std::string(1000, 'x')));
    EXPECT_EQ(size, write_blob("two")); /* Fits into what there is. */
    memory_is_short = false;
    EXPECT_EQ(before, written().substr(0, static_cast<size_t>(size)));
    EXPECT_GT(write_blob(std::string(1000, 'x')), 1000);
}

TEST_F(ThriftWriter, WritesNothingAfterTheFirstError)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    uint8_t uuid[16] = {};
    limits.frame_max = 20;
    coil_thrift_writer_init(&writer, &limits);
    coil_thrift_writer_begin(&writer, &call);
    coil_thrift_put_i64(&writer, 1, 1);
    EXPECT_EQ(-EMSGSIZE, writer.error);

    uint32_t size = writer.size;
    coil_thrift_write_bool(&writer, true);
    coil_thrift_write_string(&writer, coil_thrift_text_of(""));
    coil_thrift_write_string(&writer, coil_thrift_text_of("abc"));
    coil_thrift_write_uuid(&writer, uuid);
    coil_thrift_put_bool(&writer, 1, true);
    coil_thrift_put_i8(&writer, 1, 1);
    coil_thrift_put_i16(&writer, 1, 1);
    coil_thrift_put_list(&writer, 1, COIL_THRIFT_I8, 1);
    coil_thrift_put_map(&writer, 1, COIL_THRIFT_I8, COIL_THRIFT_I8, 1);
    coil_thrift_write_stop(&writer);
    EXPECT_EQ(size, writer.size);
    EXPECT_EQ(-EMSGSIZE, coil_thrift_writer_finish(&writer));
    EXPECT_EQ(0u, writer.size);
    EXPECT_EQ(0, writer.error);
}

TEST_F(ThriftWriter, AbandonsAFrame)
{
    int size = write_blob("one");
    coil_thrift_writer_begin(&writer, &call);
    coil_thrift_put_i64(&writer, 1, 1);
    coil_thrift_writer_abandon(&writer);
    EXPECT_EQ(static_cast<uint32_t>(size), writer.size);
    coil_thrift_writer_abandon(&writer);
    EXPECT_EQ(static_cast<uint32_t>(size), writer.size);
    EXPECT_EQ(size, write_blob("two"));
}

TEST_F(ThriftWriter, MayBeResetInTheMiddleOfAFrame)
{
    coil_thrift_writer_begin(&writer, &call);
    coil_thrift_writer_reset(&writer);
    EXPECT_EQ(0u, writer.size);
    EXPECT_GT(write_blob("one"), 0);
}

TEST_F(ThriftWriter, MayBeReleasedTwiceOrNotAtAll)
{
    coil_thrift_writer zeros = {};
    ASSERT_GT(write_blob("one"), 0);
    coil_thrift_writer_fini(&writer);
    coil_thrift_writer_fini(&writer);
    coil_thrift_writer_fini(&zeros);
    coil_thrift_writer_fini(nullptr);
    EXPECT_GT(write_blob("two"), 0);
}

TEST(ThriftWriterDeathTest, TwoFramesAtATimeAreAProgrammingError)
{
    coil_thrift_writer writer;
    coil_thrift_message call = {coil_thrift_text_of("x"), COIL_THRIFT_CALL, 7, false};
    coil_thrift_writer_init(&writer, nullptr);
    coil_thrift_writer_begin(&writer, &call);
    EXPECT_DEATH(coil_thrift_writer_begin(&writer, &call), "begun");
    coil_thrift_writer_abandon(&writer);
    EXPECT_DEATH((void)!coil_thrift_writer_finish(&writer), "begun");
    coil_thrift_writer_fini(&writer);
}

/* ---- reader and writer */

TEST(ThriftRoundTrip, WhatWasTakenApartIsWrittenAsItWas)
{
    std::string frame = packet::call("everything", one_of_every_type());
    GuardedBytes guarded(frame);
    coil_thrift_reader reader;
    coil_thrift_writer writer;
    thrift_walk walk = {};

    coil_thrift_reader_init(&reader, guarded.bytes(), guarded.size(), nullptr);
    coil_thrift_writer_init(&writer, nullptr);
    walk.reader = &reader;
    walk.writer = &writer;
    ASSERT_EQ(0, thrift_walk_message(&walk));
    ASSERT_EQ(frame.size() + 4, writer.size);
    EXPECT_EQ(0, memcmp(frame.data(), writer.bytes + 4, frame.size()));
    coil_thrift_writer_fini(&writer);
}

TEST(ThriftRoundTrip, LongTextsAndBinariesSurvive)
{
    coil_thrift_writer writer;
    coil_thrift_writer_init(&writer, nullptr);
    for (uint32_t size = 1; size <= 131072; size *= 2) {
        std::string value;
        for (uint32_t i = 0; i < size; i++)
            value.push_back(static_cast<char>(i));
        coil_thrift_reader reader;
        coil_thrift_writer_reset(&writer);
        coil_thrift_write_string(&writer, text_of(value));
        coil_thrift_reader_init(&reader, writer.bytes, writer.size, nullptr);
        EXPECT_EQ(value, string_of(coil_thrift_read_string(&reader)));
        EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
    }
    coil_thrift_writer_fini(&writer);
}

/* ---- frames */

TEST(ThriftFrame, HasASize)
{
    EXPECT_EQ(1, frame_size(i32(1)));
    EXPECT_EQ(47, frame_size(i32(47)));
    EXPECT_EQ(16384000, frame_size(i32(16384000)));
}

TEST(ThriftFrame, OfNothingIsMalformed)
{
    EXPECT_EQ(-EBADMSG, frame_size(i32(0)));
    EXPECT_EQ("frame of 0 bytes", frame_what("\0\0\0\0"));
}

TEST(ThriftFrame, AboveTheLimitIsTooLarge)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    EXPECT_EQ(-EMSGSIZE, frame_size(i32(16384001)));
    EXPECT_EQ(-EMSGSIZE, frame_size(i32(200 << 20)));
    EXPECT_EQ(-EMSGSIZE, frame_size(i32(-1)));
    limits.frame_max = 100;
    EXPECT_EQ(100, frame_size(i32(100), &limits));
    EXPECT_EQ(-EMSGSIZE, frame_size(i32(101), &limits));
    EXPECT_EQ("frame of 101 bytes, the limit is 100", frame_what("\0\0\0\x65", &limits));
}

TEST(ThriftFrame, OfAnotherProtocolIsRefusedByName)
{
    EXPECT_EQ("frame of 1195725856 bytes, the limit is 16384000: this looks like HTTP",
            frame_what("GET "));
    for (const char *other : {"POST", "PUT ", "HEAD", "HTTP", "\x80\x01\x00\x01",
                 "\x82\x21\x01\x07", "[1,\"", "\x16\x03\x01\x02", "SSH-"}) {
        std::string first(other, 4);
        EXPECT_EQ(-EMSGSIZE, frame_size(first)) << first;
        EXPECT_NE(std::string::npos, frame_what(other).find("this looks like")) << first;
    }
    EXPECT_NE(std::string::npos, frame_what("\x80\x01\x00\x01").find("unframed Thrift, binary"));
}

/* ---- names and texts */

TEST(ThriftText, ComparesItself)
{
    EXPECT_TRUE(coil_thrift_text_is(coil_thrift_text_of("ping"), "ping"));
    EXPECT_FALSE(coil_thrift_text_is(coil_thrift_text_of("ping"), "pin"));
    EXPECT_FALSE(coil_thrift_text_is(coil_thrift_text_of("ping"), "pong"));
    EXPECT_TRUE(coil_thrift_text_is(coil_thrift_text{nullptr, 0}, ""));
}

TEST(ThriftText, TypesHaveNames)
{
    EXPECT_STREQ("i32", coil_thrift_type_name(COIL_THRIFT_I32));
    EXPECT_STREQ("uuid", coil_thrift_type_name(COIL_THRIFT_UUID));
    EXPECT_STREQ("unknown", coil_thrift_type_name(1));
    EXPECT_STREQ("unknown", coil_thrift_type_name(255));
}

/* ---- exceptions */

TEST(ThriftException, AnswersACall)
{
    coil_thrift_message call = {coil_thrift_text_of("nope"), COIL_THRIFT_CALL, 9, false};
    coil_thrift_writer writer;
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_exception exception;

    coil_thrift_writer_init(&writer, nullptr);
    std::string frame = packet::message(3, "nope", 9) + field(11, 1) + text("no such method") +
                        field(8, 2) + i32(1) + stop();
    EXPECT_EQ(static_cast<int>(frame.size() + 4),
            coil_thrift_reply_exception(&writer, &call, COIL_THRIFT_UNKNOWN_METHOD,
                    coil_thrift_text_of("no such method")));
    EXPECT_EQ(0, memcmp(frame.data(), writer.bytes + 4, frame.size()));

    coil_thrift_reader_init(&reader, writer.bytes + 4, writer.size - 4, nullptr);
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    EXPECT_EQ(COIL_THRIFT_EXCEPTION, message.type);
    coil_thrift_read_exception(&reader, &exception);
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, exception.type);
    EXPECT_EQ("no such method", string_of(exception.message));
    coil_thrift_writer_fini(&writer);
}

TEST(ThriftException, WithoutFieldsIsUnknownAndSilent)
{
    std::string frame = packet::message(3, "x", 1) + stop();
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_exception exception;

    coil_thrift_reader_init(&reader, frame.data(), static_cast<uint32_t>(frame.size()), nullptr);
    ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    coil_thrift_read_exception(&reader, &exception);
    EXPECT_EQ(COIL_THRIFT_UNKNOWN, exception.type);
    EXPECT_EQ("", string_of(exception.message));
}

TEST(ThriftException, HasAName)
{
    EXPECT_STREQ("unknown method", coil_thrift_exception_name(COIL_THRIFT_UNKNOWN_METHOD));
    EXPECT_STREQ("unsupported client type", coil_thrift_exception_name(10));
    EXPECT_STREQ("overloaded", coil_thrift_exception_name(COIL_THRIFT_LOADSHEDDING));
    EXPECT_STREQ("unknown exception", coil_thrift_exception_name(99));
    EXPECT_STREQ("unknown exception", coil_thrift_exception_name(-1));
}

} // namespace
