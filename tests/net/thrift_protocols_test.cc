/* SPDX-License-Identifier: MIT */
/* What all protocols have in common: the same values, the same calls. */
#include "thrift_chance.h"
#include "thrift_outcomes.h"

#include <coil/thrift_schema.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "everything_thrift.h"
#include "only_ours_thrift.h"

namespace
{

using outcome::Outcome;

const coil_thrift_protocol protocols[] = {
        COIL_THRIFT_PROTOCOL_BINARY, COIL_THRIFT_PROTOCOL_COMPACT, COIL_THRIFT_PROTOCOL_JSON};

const coil_thrift_message the_call = {{"every \"thing\"", 13}, COIL_THRIFT_CALL, -7, false};

/* A message with a struct of any schema. */
class ThriftProtocols : public testing::Test
{
protected:
    ThriftProtocols() : seed(std::random_device{}()), chance(seed, &given)
    {
        coil_arena_init(&given, 1 << 24);
        coil_arena_init(&found, 1 << 24);
        coil_thrift_writer_init(&writer, nullptr);
    }

    ~ThriftProtocols() override
    {
        coil_thrift_writer_fini(&writer);
        coil_arena_fini(&found);
        coil_arena_fini(&given);
    }

    std::string write(
            coil_thrift_protocol protocol, const coil_thrift_type_schema &type, const void *value)
    {
        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_set_protocol(&writer, protocol);
        coil_thrift_writer_set_envelope_room(&writer, 0);
        coil_thrift_writer_begin(&writer, &the_call);
        coil_thrift_write_fields(&writer, type.structure, value);
        EXPECT_GT(coil_thrift_writer_finish(&writer), 0);
        return outcome::written(writer);
    }

    void expect_read(coil_thrift_protocol protocol, const std::string &frame,
            const coil_thrift_type_schema &type, const void *value)
    {
        const GuardedBytes guarded(frame);
        coil_thrift_reader reader;
        coil_thrift_message message;
        void *out = coil_arena_take(&found, type.structure->size_bytes, 16);

        coil_thrift_reader_init_as(
                &reader, protocol, guarded.bytes(), guarded.size(), nullptr, &found);
        ASSERT_TRUE(coil_thrift_read_message(&reader, &message)) << outcome::what(reader);
        EXPECT_EQ(the_call.seqid, message.seqid);
        EXPECT_TRUE(coil_thrift_text_is(message.name, the_call.name.bytes));
        coil_thrift_read_fields(&reader, &found, type.structure, out);
        ASSERT_EQ(0, coil_thrift_reader_finish(&reader))
                << outcome::what(reader) << ": seed " << seed << "\n"
                << frame;
        EXPECT_TRUE(coil_thrift_equal(&type, value, out)) << "seed " << seed << "\n" << frame;
    }

    /* In each protocol; and from each to each, by one who knows only the wire. */
    void expect_same(const coil_thrift_type_schema &type)
    {
        const void *value = chance.make(*type.structure);
        for (const coil_thrift_protocol come : protocols) {
            const std::string frame = write(come, type, value);
            expect_read(come, frame, type, value);
            ASSERT_EQ(0, outcome::skip(come, GuardedBytes(frame)).rc) << "seed " << seed;
        }
        for (const coil_thrift_protocol go :
                {COIL_THRIFT_PROTOCOL_BINARY, COIL_THRIFT_PROTOCOL_COMPACT}) {
            const std::string frame = write(go, type, value);
            const Outcome binary =
                    outcome::translate(go, GuardedBytes(frame), COIL_THRIFT_PROTOCOL_BINARY);
            ASSERT_EQ(0, binary.rc) << binary.words << ": seed " << seed;
            expect_read(COIL_THRIFT_PROTOCOL_BINARY, binary.again, type, value);
            const Outcome compact = outcome::translate(COIL_THRIFT_PROTOCOL_BINARY,
                    GuardedBytes(binary.again), COIL_THRIFT_PROTOCOL_COMPACT);
            ASSERT_EQ(0, compact.rc) << compact.words << ": seed " << seed;
            EXPECT_EQ(write(COIL_THRIFT_PROTOCOL_COMPACT, type, value), compact.again);
        }
        coil_arena_reset(&given);
        coil_arena_reset(&found);
    }

    unsigned int seed;
    coil_arena given;
    coil_arena found;
    ThriftChance chance;
    coil_thrift_writer writer;
};

TEST_F(ThriftProtocols, KeepRandomValuesOfEveryStruct)
{
    for (int round = 0; round < 100 && !HasFatalFailure(); round++) {
        expect_same(everything_of_it_Leaf_type);
        expect_same(everything_of_it_Node_type);
        expect_same(everything_of_it_Choice_type);
        expect_same(everything_of_it_Trouble_type);
        expect_same(parts_Part_type);
        expect_same(only_ours_Words_type);
    }
}

TEST_F(ThriftProtocols, AreToldByTheFirstByte)
{
    const auto detect = [](const std::string &bytes) {
        return coil_thrift_detect_protocol(
                reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    };
    everything_of_it_Leaf leaf = everything_of_it_Leaf_default;
    for (const coil_thrift_protocol protocol : protocols)
        EXPECT_EQ(protocol, detect(write(protocol, everything_of_it_Leaf_type, &leaf)));
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_BINARY, detect(std::string("\0\0\0\4ping", 8)));
    EXPECT_EQ(-EAGAIN, detect(""));
    for (const char *other : {"GET / HTTP/1.1", "\x16\x03\x01", "\x78\x9c", "{\"a\":1}", " [1,"})
        EXPECT_EQ(-EBADMSG, detect(other));
    EXPECT_STREQ("compact", coil_thrift_protocol_name(COIL_THRIFT_PROTOCOL_COMPACT));
}

TEST_F(ThriftProtocols, AnExceptionIsAnsweredInEach)
{
    for (const coil_thrift_protocol protocol : protocols) {
        coil_thrift_reader reader;
        coil_thrift_message message;
        coil_thrift_exception exception;

        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_set_protocol(&writer, protocol);
        coil_thrift_writer_set_envelope_room(&writer, 0);
        ASSERT_GT(coil_thrift_reply_exception(&writer, &the_call, COIL_THRIFT_UNKNOWN_METHOD,
                          coil_thrift_text_of("no 'every'")),
                0);
        coil_thrift_reader_init_as(&reader, protocol, writer.bytes, writer.size, nullptr, &found);
        ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
        EXPECT_EQ(COIL_THRIFT_EXCEPTION, message.type);
        coil_thrift_read_exception(&reader, &exception);
        EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
        EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, exception.type);
        EXPECT_TRUE(coil_thrift_text_is(exception.message, "no 'every'"));
    }
}

/* ---- a list of another type than expected */

TEST_F(ThriftProtocols, ElementsOfAnotherTypeAreSkipped)
{
    for (const coil_thrift_protocol protocol : protocols) {
        coil_thrift_reader reader;
        coil_thrift_message message;
        coil_thrift_field field;
        uint32_t count = 99;
        int64_t last = 0;

        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_set_protocol(&writer, protocol);
        coil_thrift_writer_begin(&writer, &the_call);
        coil_thrift_put_list(&writer, 1, COIL_THRIFT_LIST, 2);
        coil_thrift_write_list(&writer, COIL_THRIFT_BOOL, 1);
        coil_thrift_write_bool(&writer, true);
        coil_thrift_write_list(&writer, COIL_THRIFT_STRUCT, 0);
        coil_thrift_put_map(&writer, 2, COIL_THRIFT_STRING, COIL_THRIFT_STRUCT, 1);
        coil_thrift_write_string(&writer, coil_thrift_text_of("k\n"));
        coil_thrift_write_stop(&writer);
        coil_thrift_put_i64(&writer, 3, 42);
        coil_thrift_write_stop(&writer);
        ASSERT_GT(coil_thrift_writer_finish(&writer), 0);

        coil_thrift_reader_init_as(
                &reader, protocol, writer.bytes + 4, writer.size - 4, nullptr, &found);
        ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
        ASSERT_TRUE(coil_thrift_read_field(&reader, &field));
        EXPECT_FALSE(coil_thrift_get_list(&reader, COIL_THRIFT_I32, &count));
        ASSERT_TRUE(coil_thrift_read_field(&reader, &field));
        EXPECT_FALSE(coil_thrift_get_map(&reader, COIL_THRIFT_STRING, COIL_THRIFT_LIST, &count));
        ASSERT_TRUE(coil_thrift_read_field(&reader, &field));
        EXPECT_TRUE(coil_thrift_get_i64(&reader, &last));
        EXPECT_FALSE(coil_thrift_read_field(&reader, &field));
        EXPECT_EQ(0, coil_thrift_reader_finish(&reader)) << outcome::what(reader);
        EXPECT_EQ(42, last);
        EXPECT_EQ(99u, count);
    }
}

/* ---- room for envelopes */

TEST_F(ThriftProtocols, RoomIsLeftBeforeEachMessage)
{
    for (const coil_thrift_protocol protocol : protocols) {
        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_set_protocol(&writer, protocol);
        coil_thrift_writer_set_envelope_room(&writer, 0);
        coil_thrift_writer_begin(&writer, &the_call);
        coil_thrift_write_stop(&writer);
        const int size = coil_thrift_writer_finish(&writer);
        ASSERT_GT(size, 0);
        const std::string message = outcome::written(writer);
        EXPECT_EQ(size, static_cast<int>(message.size()));

        for (const uint32_t room : {4u, 10u, 1000u}) {
            coil_thrift_writer_set_envelope_room(&writer, room);
            coil_thrift_writer_begin(&writer, &the_call);
            coil_thrift_write_stop(&writer);
            const uint32_t before = writer.size;
            EXPECT_EQ(size + static_cast<int>(room), coil_thrift_writer_finish(&writer));
            EXPECT_EQ(before, writer.size);
            const std::string all = outcome::written(writer);
            EXPECT_EQ(message, all.substr(all.size() - message.size()));
            std::string expected(room, '\0');
            if (room == 4)
                expected[3] = static_cast<char>(size);
            EXPECT_EQ(expected, all.substr(all.size() - message.size() - room, room));
        }
        EXPECT_EQ(message, outcome::written(writer).substr(0, message.size()));
    }
}

TEST_F(ThriftProtocols, AFrameThatIsTooLargeIsRemovedWhole)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 100;

    for (const coil_thrift_protocol protocol : protocols) {
        coil_thrift_writer small;
        coil_thrift_writer_init(&small, &limits);
        coil_thrift_writer_set_protocol(&small, protocol);
        coil_thrift_writer_begin(&small, &the_call);
        coil_thrift_write_stop(&small);
        const int size = coil_thrift_writer_finish(&small);
        ASSERT_GT(size, 0);
        coil_thrift_writer_begin(&small, &the_call);
        coil_thrift_put_list(&small, 1, COIL_THRIFT_I64, 100);
        for (int i = 0; i < 100; i++)
            coil_thrift_write_i64(&small, INT64_MAX);
        coil_thrift_write_stop(&small);
        EXPECT_EQ(-EMSGSIZE, coil_thrift_writer_finish(&small));
        EXPECT_EQ(static_cast<uint32_t>(size), small.size);
        coil_thrift_writer_begin(&small, &the_call);
        coil_thrift_write_stop(&small);
        EXPECT_EQ(size, coil_thrift_writer_finish(&small));
        coil_thrift_writer_fini(&small);
    }
}

} // namespace
