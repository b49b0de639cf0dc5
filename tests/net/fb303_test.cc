/* SPDX-License-Identifier: MIT */
#include "guarded_bytes.h"
#include "thrift_packets.h"

#include <coil/fb303.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

namespace
{

using packet::field;
using packet::i32;
using packet::i64;
using packet::map;
using packet::stop;
using packet::text;

std::string string_of(coil_thrift_text value)
{
    return std::string(value.bytes, value.size);
}

enum coil_fb303_method method_of(int number)
{
    return static_cast<enum coil_fb303_method>(number);
}

coil_fb303_call call_of(enum coil_fb303_method method, const char *key, const char *value)
{
    coil_fb303_call call = {};
    call.method = method;
    call.key = coil_thrift_text_of(key);
    call.value = coil_thrift_text_of(value);
    return call;
}

bool is_oneway(int method)
{
    return method == COIL_FB303_REINITIALIZE || method == COIL_FB303_SHUTDOWN;
}

class Fb303 : public testing::Test
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

    /* The frames that the writer holds, without the length of the first. */
    std::string written() const
    {
        return std::string(reinterpret_cast<const char *>(writer.bytes) + 4, writer.size - 4);
    }

    int read_call(const std::string &frame)
    {
        open(frame);
        return coil_fb303_read_call(&reader, &message, &call);
    }

    int read_result(const std::string &frame, enum coil_fb303_method method)
    {
        open(frame);
        return coil_fb303_read_result(&reader, method, &result);
    }

    std::string reply_to(enum coil_fb303_method method, const coil_fb303_result &given)
    {
        coil_thrift_message asked = {
                coil_thrift_text_of(coil_fb303_method_name(method)), COIL_THRIFT_CALL, 7, false};
        coil_thrift_writer_reset(&writer);
        EXPECT_GT(coil_fb303_write_result(&writer, &asked, method, &given), 0);
        return written();
    }

    coil_thrift_writer writer = {};
    coil_thrift_reader reader = {};
    coil_thrift_message message = {};
    coil_fb303_call call = {};
    coil_fb303_result result = {};

private:
    void open(const std::string &frame)
    {
        guarded = std::make_unique<GuardedBytes>(frame);
        coil_thrift_reader_init(&reader, guarded->bytes(), guarded->size(), nullptr);
        ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
    }

    std::unique_ptr<GuardedBytes> guarded;
};

TEST_F(Fb303, HasTheMethodsOfBothInterfacesUnderTheirNames)
{
    const std::vector<std::string> names = {"getName", "getVersion", "getStatus",
            "getStatusDetails", "getCounters", "getCounter", "setOption", "getOption", "getOptions",
            "getCpuProfile", "aliveSince", "reinitialize", "shutdown", "getRegexCounters",
            "getSelectedCounters", "getExportedValues", "getSelectedExportedValues",
            "getRegexExportedValues", "getExportedValue"};
    ASSERT_EQ(COIL_FB303_METHOD_COUNT, static_cast<int>(names.size()));
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++) {
        enum coil_fb303_method found = COIL_FB303_GET_NAME;
        EXPECT_EQ(names[static_cast<size_t>(i)], coil_fb303_method_name(method_of(i)));
        ASSERT_EQ(0, coil_fb303_method_find(
                             coil_thrift_text_of(names[static_cast<size_t>(i)].c_str()), &found));
        EXPECT_EQ(i, found);
        EXPECT_EQ(is_oneway(i), coil_fb303_method_is_oneway(method_of(i)));
    }
}

TEST_F(Fb303, LeavesTheReaderWhereItIsWhenTheMethodIsAnothers)
{
    EXPECT_EQ(-ENOENT, read_call(packet::call("getNames", stop())));
    EXPECT_EQ(0, reader.error);
    coil_thrift_skip_fields(&reader);
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
}

TEST_F(Fb303, ReadsCallsAsOthersWriteThem)
{
    EXPECT_EQ(0, read_call(packet::call("getStatus", stop())));
    EXPECT_EQ(COIL_FB303_GET_STATUS, call.method);
    EXPECT_EQ(0u, call.key.size);

    EXPECT_EQ(0, read_call(packet::call("getCounter", field(11, 1) + text("calls") + stop())));
    EXPECT_EQ(COIL_FB303_GET_COUNTER, call.method);
    EXPECT_EQ("calls", string_of(call.key));

    EXPECT_EQ(0, read_call(packet::call("setOption",
                         field(11, 2) + text("debug") + field(11, 1) + text("level") + stop())));
    EXPECT_EQ("level", string_of(call.key));
    EXPECT_EQ("debug", string_of(call.value));

    EXPECT_EQ(0, read_call(packet::call("getCpuProfile", field(8, 1) + i32(30) + stop())));
    EXPECT_EQ(30, call.duration_s);
}

TEST_F(Fb303, IgnoresArgumentsThatAMethodDoesNotHave)
{
    EXPECT_EQ(0,
            read_call(packet::call("getName", field(11, 1) + text("a") + field(11, 2) + text("b") +
                                                      field(8, 3) + i32(1) + stop())));
    EXPECT_EQ("", string_of(call.key));
    EXPECT_EQ("", string_of(call.value));

    EXPECT_EQ(0, read_call(packet::call("getCounter", field(10, 1) + i64(1) + stop())));
    EXPECT_EQ("", string_of(call.key));

    EXPECT_EQ(0, read_call(packet::call("getOption",
                         field(11, 1) + text("a") + field(11, 2) + text("b") + stop())));
    EXPECT_EQ("a", string_of(call.key));
    EXPECT_EQ("", string_of(call.value));
}

TEST_F(Fb303, RefusesAMalformedCall)
{
    call.method = COIL_FB303_SHUTDOWN;
    EXPECT_EQ(-ENODATA, read_call(packet::call("getCounter", field(11, 1) + i32(9) + "abc")));
    EXPECT_EQ(-EBADMSG, read_call(packet::call("getName", stop() + stop())));
    EXPECT_EQ(COIL_FB303_SHUTDOWN, call.method); /* Set only on success. */
}

TEST_F(Fb303, EveryCallSurvivesTheRoundTrip)
{
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++) {
        const coil_thrift_text keys[] = {coil_thrift_text_of("one"), coil_thrift_text_of("two")};
        coil_fb303_call sent = call_of(method_of(i), "key", "value");
        sent.duration_s = 30;
        sent.keys = keys;
        sent.key_count = 2;
        coil_thrift_writer_reset(&writer);
        ASSERT_GT(coil_fb303_write_call(&writer, 5, &sent), 0);
        ASSERT_EQ(0, read_call(written()));
        EXPECT_EQ(5, message.seqid);
        EXPECT_EQ(coil_fb303_method_is_oneway(method_of(i)) ? COIL_THRIFT_ONEWAY : COIL_THRIFT_CALL,
                message.type);
        EXPECT_EQ(i, call.method);

        bool has_key = i == COIL_FB303_GET_COUNTER || i == COIL_FB303_GET_OPTION ||
                       i == COIL_FB303_SET_OPTION || i == COIL_FB303_GET_REGEX_COUNTERS ||
                       i == COIL_FB303_GET_REGEX_EXPORTED_VALUES ||
                       i == COIL_FB303_GET_EXPORTED_VALUE;
        EXPECT_EQ(has_key ? "key" : "", string_of(call.key));
        EXPECT_EQ(i == COIL_FB303_SET_OPTION ? "value" : "", string_of(call.value));
        EXPECT_EQ(i == COIL_FB303_GET_CPU_PROFILE ? 30 : 0, call.duration_s);
        bool has_keys = i == COIL_FB303_GET_SELECTED_COUNTERS ||
                        i == COIL_FB303_GET_SELECTED_EXPORTED_VALUES;
        ASSERT_EQ(has_keys ? 2u : 0u, call.key_count);
        coil_thrift_text read = {};
        std::string all;
        while (coil_fb303_next_key(&call, &read))
            all += string_of(read) + " ";
        EXPECT_EQ(has_keys ? "one two " : "", all);
    }
}

TEST_F(Fb303, HasNoKeysOfAListOfSomethingElse)
{
    EXPECT_EQ(0, read_call(packet::call("getSelectedCounters",
                         field(15, 1) + packet::list(8, 2) + i32(1) + i32(2) + stop())));
    EXPECT_EQ(0u, call.key_count);
    EXPECT_EQ(-ENODATA, read_call(packet::call("getSelectedCounters",
                                field(15, 1) + packet::list(11, 2000000) + i32(1) + "x")));
}

TEST_F(Fb303, WritesCallsAsOthersReadThem)
{
    coil_fb303_call sent = call_of(COIL_FB303_SET_OPTION, "level", "debug");
    ASSERT_GT(coil_fb303_write_call(&writer, 7, &sent), 0);
    EXPECT_EQ(packet::call("setOption",
                      field(11, 1) + text("level") + field(11, 2) + text("debug") + stop()),
            written());
}

TEST_F(Fb303, WritesResultsAsOthersReadThem)
{
    coil_fb303_pair pairs[2] = {};
    coil_fb303_result given = {};
    pairs[0] = {coil_thrift_text_of("a"), coil_thrift_text_of("x"), 1};
    pairs[1] = {coil_thrift_text_of("bb"), coil_thrift_text_of("y"), -2};
    given.text = coil_thrift_text_of("words");
    given.number = 2;
    given.pairs = pairs;
    given.pair_count = 2;

    EXPECT_EQ(packet::reply("getName", field(11, 0) + text("words") + stop()),
            reply_to(COIL_FB303_GET_NAME, given));
    EXPECT_EQ(packet::reply("getStatus", field(8, 0) + i32(2) + stop()),
            reply_to(COIL_FB303_GET_STATUS, given));
    EXPECT_EQ(packet::reply("aliveSince", field(10, 0) + i64(2) + stop()),
            reply_to(COIL_FB303_ALIVE_SINCE, given));
    EXPECT_EQ(packet::reply("setOption", stop()), reply_to(COIL_FB303_SET_OPTION, given));
    EXPECT_EQ(packet::reply("getCounters", field(13, 0) + map(11, 10, 2) + text("a") + i64(1) +
                                                   text("bb") + i64(-2) + stop()),
            reply_to(COIL_FB303_GET_COUNTERS, given));
    EXPECT_EQ(packet::reply("getOptions", field(13, 0) + map(11, 11, 2) + text("a") + text("x") +
                                                  text("bb") + text("y") + stop()),
            reply_to(COIL_FB303_GET_OPTIONS, given));
}

TEST_F(Fb303, AnswersNothingToAOnewayMethod)
{
    coil_thrift_message asked = {coil_thrift_text_of("shutdown"), COIL_THRIFT_CALL, 7, false};
    coil_fb303_result given = {};
    EXPECT_EQ(0, coil_fb303_write_result(&writer, &asked, COIL_FB303_SHUTDOWN, &given));
    EXPECT_EQ(0u, writer.size);
}

TEST_F(Fb303, RepliesUnderTheNameAndSeqidAndWithTheHeaderOfTheCall)
{
    coil_thrift_message asked = {coil_thrift_text_of("getStatus"), COIL_THRIFT_CALL, 99, true};
    coil_fb303_result given = {};
    given.number = COIL_FB303_ALIVE;
    ASSERT_GT(coil_fb303_write_result(&writer, &asked, COIL_FB303_GET_STATUS, &given), 0);
    EXPECT_EQ(packet::old_message(2, "getStatus", 99) + field(8, 0) + i32(2) + stop(), written());
}

TEST_F(Fb303, EveryResultSurvivesTheRoundTrip)
{
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++) {
        if (is_oneway(i))
            continue;
        coil_fb303_pair pair = {coil_thrift_text_of("name"), coil_thrift_text_of("x"), 5};
        coil_fb303_result given = {};
        given.text = coil_thrift_text_of("words");
        given.number = 3;
        given.pairs = &pair;
        given.pair_count = 1;
        std::string frame = reply_to(method_of(i), given);
        ASSERT_EQ(0, read_result(frame, method_of(i))) << coil_fb303_method_name(method_of(i));
        EXPECT_EQ(COIL_THRIFT_REPLY, message.type);
    }
}

TEST_F(Fb303, GivesCountersOneByOne)
{
    coil_fb303_pair pair = {};
    EXPECT_EQ(0, read_result(packet::reply("getCounters", field(13, 0) + map(11, 10, 2) +
                                                                  text("a") + i64(1) + text("bb") +
                                                                  i64(INT64_MIN) + stop()),
                         COIL_FB303_GET_COUNTERS));
    EXPECT_EQ(2u, result.pair_count);
    ASSERT_TRUE(coil_fb303_next_pair(&result, &pair));
    EXPECT_EQ("a", string_of(pair.name));
    EXPECT_EQ(1, pair.number);
    ASSERT_TRUE(coil_fb303_next_pair(&result, &pair));
    EXPECT_EQ("bb", string_of(pair.name));
    EXPECT_EQ(INT64_MIN, pair.number);
    EXPECT_FALSE(coil_fb303_next_pair(&result, &pair));
}

TEST_F(Fb303, GivesOptionsOneByOne)
{
    coil_fb303_pair pair = {};
    EXPECT_EQ(0, read_result(packet::reply("getOptions",
                                     field(13, 0) + map(11, 11, 1) + text("a") + text("") + stop()),
                         COIL_FB303_GET_OPTIONS));
    ASSERT_TRUE(coil_fb303_next_pair(&result, &pair));
    EXPECT_EQ("a", string_of(pair.name));
    EXPECT_EQ("", string_of(pair.text));
    EXPECT_FALSE(coil_fb303_next_pair(&result, &pair));
}

TEST_F(Fb303, GivesNoPairsForAMethodWithoutAny)
{
    coil_fb303_pair pair = {};
    EXPECT_EQ(0, read_result(packet::reply("getStatus", field(8, 0) + i32(2) + stop()),
                         COIL_FB303_GET_STATUS));
    EXPECT_EQ(COIL_FB303_ALIVE, result.number);
    EXPECT_FALSE(coil_fb303_next_pair(&result, &pair));
}

TEST_F(Fb303, ReportsAResultThatIsNotThere)
{
    EXPECT_EQ(-ENOMSG, read_result(packet::reply("getName", stop()), COIL_FB303_GET_NAME));
    EXPECT_EQ(-ENOMSG, read_result(packet::reply("getName", field(8, 0) + i32(1) + stop()),
                               COIL_FB303_GET_NAME));
    EXPECT_EQ(-ENOMSG,
            read_result(packet::reply("getCounters",
                                field(13, 0) + map(11, 11, 1) + text("a") + text("b") + stop()),
                    COIL_FB303_GET_COUNTERS));
    EXPECT_EQ(0, read_result(packet::reply("setOption", stop()), COIL_FB303_SET_OPTION));
}

TEST_F(Fb303, RefusesEveryPrefixOfAResult)
{
    std::string frame = packet::reply("getCounters",
            field(13, 0) + map(11, 10, 2) + text("a") + i64(1) + text("bb") + i64(2) + stop());
    size_t header = packet::reply("getCounters", "").size();
    for (size_t size = header; size < frame.size(); size++)
        EXPECT_EQ(-ENODATA, read_result(frame.substr(0, size), COIL_FB303_GET_COUNTERS)) << size;
}

TEST_F(Fb303, ReportsAResultThatIsTooLargeAndLeavesRoomForAnException)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    coil_thrift_message asked = {coil_thrift_text_of("getName"), COIL_THRIFT_CALL, 7, false};
    coil_fb303_result given = {};
    std::string name(1000, 'x');
    limits.frame_max = 100;
    coil_thrift_writer_init(&writer, &limits);
    given.text = coil_thrift_text_of(name.c_str());
    EXPECT_EQ(-EMSGSIZE, coil_fb303_write_result(&writer, &asked, COIL_FB303_GET_NAME, &given));
    EXPECT_GT(coil_thrift_reply_exception(&writer, &asked, COIL_THRIFT_INTERNAL_ERROR,
                      coil_thrift_text_of("the result is too large")),
            0);
}

TEST_F(Fb303, NamesStatuses)
{
    EXPECT_STREQ("DEAD", coil_fb303_status_name(COIL_FB303_DEAD));
    EXPECT_STREQ("ALIVE", coil_fb303_status_name(2));
    EXPECT_STREQ("WARNING", coil_fb303_status_name(5));
    EXPECT_STREQ("UNKNOWN", coil_fb303_status_name(6));
    EXPECT_STREQ("UNKNOWN", coil_fb303_status_name(-1));
}

TEST(Fb303DeathTest, AMethodThatDoesNotExistIsAProgrammingError)
{
    EXPECT_DEATH(coil_fb303_method_name(method_of(19)), "METHOD_COUNT");
}

} // namespace
