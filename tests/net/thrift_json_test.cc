/* SPDX-License-Identifier: MIT */
/* JSON, character by character, as Apache's TJSONProtocol in C++ reads and writes it. */
#include "thrift_outcomes.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <clocale>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace
{

using outcome::Outcome;

constexpr coil_thrift_protocol json = COIL_THRIFT_PROTOCOL_JSON;

std::string repeat(const std::string &text, int count)
{
    std::string all;
    for (int i = 0; i < count; i++)
        all += text;
    return all;
}

std::string call(const std::string &fields)
{
    return R"([1,"x",1,7,{)" + fields + "}]";
}

Outcome skip(const std::string &frame, const coil_thrift_limits *limits = nullptr)
{
    return outcome::skip(json, GuardedBytes(frame), limits);
}

Outcome take_apart(const std::string &frame)
{
    return outcome::take_apart(json, GuardedBytes(frame));
}

const char one_of_every_type[] =
        R"([1,"every",1,-7,{"1":{"tf":1},"2":{"tf":0},"3":{"i8":-2},"4":{"i16":-4},"5":{"i32":64},)"
        R"("6":{"i64":-9223372036854775808},"7":{"dbl":1.5},"8":{"str":"seven"},)"
        R"("9":{"rec":{"1":{"i32":1}}},"10":{"map":["i32","str",2,{"1":"x","-2":"y"}]},)"
        R"("11":{"map":["str","rec",0,{}]},"12":{"set":["i16",2,-1,1]},)"
        R"("13":{"lst":["lst",2,["rec",1,{"1":{"i32":1}}],["i8",0]]},)"
        R"("14":{"uid":"00112233-4455-6677-8899-aabbccddeeff"},"15":{"lst":["tf",3,1,0,1]},)"
        R"("16":{"map":["str","rec",1,{"k":{}}]},"17":{"map":["dbl","tf",1,{"0.5":1}]},)"
        R"("18":{"map":["rec","lst",1,{{"1":{"i8":1}}:["str",1,"z"]}]},"-1":{"i32":1}}])";

/* The fields of a message, with an arena for its strings. */
class ThriftJson : public testing::Test
{
protected:
    ThriftJson()
    {
        coil_arena_init(&arena, 1 << 16);
        coil_thrift_writer_init(&writer, nullptr);
        coil_thrift_writer_set_protocol(&writer, json);
        coil_thrift_writer_set_envelope_room(&writer, 0);
    }

    ~ThriftJson() override
    {
        coil_thrift_writer_fini(&writer);
        coil_arena_fini(&arena);
    }

    /* At the value of the only field. */
    void open(const std::string &value, coil_arena *texts)
    {
        frame = call("\"1\":" + value);
        coil_thrift_reader_init_as(
                &reader, json, frame.data(), static_cast<uint32_t>(frame.size()), nullptr, texts);
        ASSERT_TRUE(coil_thrift_read_message(&reader, &message));
        ASSERT_TRUE(coil_thrift_read_field(&reader, &field));
    }

    int close()
    {
        coil_thrift_skip_fields(&reader);
        return coil_thrift_reader_finish(&reader);
    }

    std::string read_string(const std::string &characters, int rc = 0)
    {
        coil_thrift_text text = {"", 0};
        open("{\"str\":\"" + characters + "\"}", &arena);
        coil_thrift_get_string(&reader, &text);
        EXPECT_EQ(rc, close()) << outcome::what(reader);
        return {text.bytes, text.size};
    }

    std::string read_binary(const std::string &characters, int rc = 0)
    {
        coil_thrift_text text = {"", 0};
        open("{\"str\":\"" + characters + "\"}", &arena);
        coil_thrift_get_binary(&reader, &text);
        EXPECT_EQ(rc, close()) << outcome::what(reader);
        return {text.bytes, text.size};
    }

    double read_double(const std::string &characters, int rc = 0)
    {
        double value = 0;
        open("{\"dbl\":" + characters + "}", nullptr);
        coil_thrift_get_double(&reader, &value);
        EXPECT_EQ(rc, close()) << characters << ": " << outcome::what(reader);
        return value;
    }

    void begin()
    {
        const coil_thrift_message call = {{"x", 1}, COIL_THRIFT_CALL, 7, false};
        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_begin(&writer, &call);
    }

    std::string finish()
    {
        coil_thrift_write_stop(&writer);
        EXPECT_GT(coil_thrift_writer_finish(&writer), 0);
        return outcome::written(writer);
    }

    std::string write_string(const std::string &text)
    {
        begin();
        coil_thrift_put_string(&writer, 1, {text.data(), static_cast<uint32_t>(text.size())});
        return finish();
    }

    std::string frame;
    coil_arena arena;
    coil_thrift_reader reader;
    coil_thrift_writer writer;
    coil_thrift_message message;
    coil_thrift_field field;
};

TEST_F(ThriftJson, EveryTypeIsWrittenAsItWasRead)
{
    const Outcome outcome = take_apart(one_of_every_type);

    ASSERT_EQ(0, outcome.rc) << outcome.words;
    EXPECT_EQ(
            "1 -7 6576657279 {1=bool:1;2=bool:0;3=i8:-2;4=i16:-4;5=i32:64;"
            "6=i64:-9223372036854775808;7=double:3ff8000000000000;8=string:736576656e;"
            "9={1=i32:1;};10=(i32:1->string:78,i32:-2->string:79,);11=();12=<i16:-1,i16:1,>;"
            "13=[[{1=i32:1;},],[],];14=uuid:00112233445566778899aabbccddeeff;"
            "15=[bool:1,bool:0,bool:1,];16=(string:6b->{},);17=(double:3fe0000000000000->bool:1,);"
            "18=({1=i8:1;}->[string:7a,],);-1=i32:1;}",
            outcome.dump);
    EXPECT_EQ(one_of_every_type, outcome.again);
    EXPECT_EQ(0, skip(one_of_every_type).rc);
}

TEST_F(ThriftJson, SpaceBetweenTokensIsNothing)
{
    std::string spacious;
    for (const char c : std::string(one_of_every_type)) {
        const bool is_token = std::string("[]{},:").find(c) != std::string::npos;
        spacious += is_token ? std::string(" \n") + c + "\t\r" : std::string(1, c);
    }
    spacious.erase(0, 2); /* A message begins with its bracket. */

    const Outcome outcome = take_apart(spacious);
    EXPECT_EQ(0, outcome.rc) << outcome.words;
    EXPECT_EQ(one_of_every_type, outcome.again);
    EXPECT_EQ(0, skip(spacious).rc);
}

TEST_F(ThriftJson, StringsWithoutEscapesStayInTheFrame)
{
    coil_thrift_text text = {"", 0};

    open(R"({"str":"caf\u00e9"})", nullptr);
    EXPECT_TRUE(coil_thrift_get_string(&reader, &text));
    EXPECT_EQ(-ENOBUFS, close());
    EXPECT_EQ("no place for the 5 bytes of a string at offset 34", outcome::what(reader));

    open(R"({"str":"caf)"
         "\xc3\xa9\"}",
            nullptr);
    EXPECT_TRUE(coil_thrift_get_string(&reader, &text));
    EXPECT_EQ(0, close());
    EXPECT_EQ("caf\xc3\xa9", std::string(text.bytes, text.size));
    EXPECT_TRUE(text.bytes >= frame.data() && text.bytes < frame.data() + frame.size());
}

TEST_F(ThriftJson, EscapesAreWhatTheyStandFor)
{
    EXPECT_EQ("\"\\/\b\f\n\r\t", read_string(R"(\"\\\/\b\f\n\r\t)"));
    EXPECT_EQ("A\xc3\xa9\xe2\x82\xac", read_string(R"(\u0041\u00e9\u20AC)"));
    EXPECT_EQ("\xf0\x9f\x98\x80!", read_string(R"(\ud83d\ude00!)"));
    EXPECT_EQ("\xf4\x8f\xbf\xbf", read_string(R"(\udbff\udfff)"));
    EXPECT_EQ(std::string("a\0b", 3), read_string(R"(a\u0000b)"));
    EXPECT_EQ("\x01\n", read_string("\x01\n")); /* Python does not escape these. */
}

TEST_F(ThriftJson, EscapesThatAreNoneAreRefused)
{
    for (const char *bad : {R"(\x)", R"(\u12)", R"(\u12g4)", R"(\ud83d)", R"(\ud83dx)",
                 R"(\ud83d\n)", R"(\ud83d\u0041)", R"(\ude00)", R"(\u)", R"(\ud83d\ude0)"}) {
        EXPECT_EQ("", read_string(bad, -EBADMSG)) << bad;
        EXPECT_EQ("string at offset 23 has an escape that is none", outcome::what(reader)) << bad;
        EXPECT_EQ(-EBADMSG, skip(call(R"("1":{"str":")" + std::string(bad) + "\"}")).rc) << bad;
    }
}

TEST_F(ThriftJson, TextIsEscapedAsApacheDoes)
{
    EXPECT_EQ(R"([1,"x",1,7,{"1":{"str":"\"\\/\b\f\n\r\t\u0000\u001f"}}])",
            write_string(std::string("\"\\/\b\f\n\r\t\0\x1f", 10)));
    EXPECT_EQ("[1,\"x\",1,7,{\"1\":{\"str\":\"\x7f\xc3\xa9\"}}]", write_string("\x7f\xc3\xa9"));
    EXPECT_EQ(R"([1,"x",1,7,{"1":{"str":""}}])", write_string(""));
}

TEST_F(ThriftJson, BinaryIsBase64WithoutPadding)
{
    const std::vector<std::pair<std::string, std::string>> known = {{"", ""}, {"f", "Zg"},
            {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xff\xef\xbe", "/+++"}};

    for (const auto &[bytes, text] : known) {
        begin();
        coil_thrift_put_binary(&writer, 1, {bytes.data(), static_cast<uint32_t>(bytes.size())});
        EXPECT_EQ(call("\"1\":{\"str\":\"" + text + "\"}"), finish());
        EXPECT_EQ(bytes, read_binary(text));
    }
    EXPECT_EQ("f", read_binary("Zg==")); /* Python writes it, and pads. */
    EXPECT_EQ("fo", read_binary("Zm8="));
    EXPECT_EQ("\xff\xef\xbe", read_binary(R"(\/+++)"));
    for (const char *bad : {"Z", "Zg===", "Z=g", "Zm9v!", "Zm9vY", "a b c"})
        read_binary(bad, -EBADMSG);
    EXPECT_EQ("string at offset 23 is not in base64", outcome::what(reader));
}

TEST_F(ThriftJson, DoublesAreExactAndHaveNames)
{
    for (const double value : {0.1, -5.2098523, -0.000341012439638598279, 9007199254740991.0, 1e307,
                 1e-292, 5e-324, -0.0, 1.7976931348623157e308}) {
        begin();
        coil_thrift_put_double(&writer, 1, value);
        const std::string text = finish();
        const std::string number = text.substr(23, text.size() - 23 - 3);
        EXPECT_EQ(value, read_double(number)) << text;
        EXPECT_EQ(std::signbit(value), std::signbit(read_double(number)));
    }
    EXPECT_TRUE(std::isnan(read_double("\"NaN\"")));
    EXPECT_EQ(HUGE_VAL, read_double("\"Infinity\""));
    EXPECT_EQ(-HUGE_VAL, read_double("\"-Infinity\""));
    begin();
    coil_thrift_put_list(&writer, 1, COIL_THRIFT_DOUBLE, 4);
    for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1.5})
        coil_thrift_write_double(&writer, value);
    EXPECT_EQ(call(R"("1":{"lst":["dbl",4,"NaN","Infinity","-Infinity",1.5]})"), finish());
    for (const char *bad : {"1e999", "1.2.3", "-", "+1", "e5", "\"1.5\"", "\"nan\"", "0x10", "true",
                 "null", "NaN"})
        read_double(bad, -EBADMSG);
}

TEST_F(ThriftJson, TheDecimalPointIsAPointInAnyLanguage)
{
    const char *before = setlocale(LC_NUMERIC, "de_DE.UTF-8");
    if (before == nullptr)
        GTEST_SKIP() << "there is no German here";
    EXPECT_EQ(2.5, read_double("2.5"));
    begin();
    coil_thrift_put_double(&writer, 1, -2.5e-10);
    EXPECT_EQ(call(R"("1":{"dbl":-2.5000000000000002e-10})"), finish());
    setlocale(LC_NUMERIC, "C");
}

TEST_F(ThriftJson, KeysAreQuotedIfTheyAreNumbers)
{
    begin();
    coil_thrift_put_map(&writer, 1, COIL_THRIFT_BOOL, COIL_THRIFT_BOOL, 2);
    for (const bool value : {true, false, false, true})
        coil_thrift_write_bool(&writer, value);
    coil_thrift_put_map(&writer, 2, COIL_THRIFT_DOUBLE, COIL_THRIFT_I32, 1);
    coil_thrift_write_double(&writer, HUGE_VAL);
    coil_thrift_write_i32(&writer, 5);
    EXPECT_EQ(call(R"("1":{"map":["tf","tf",2,{"1":0,"0":1}]},)"
                   R"("2":{"map":["dbl","i32",1,{"Infinity":5}]})"),
            finish());
    EXPECT_EQ(-EBADMSG, skip(call(R"("1":{"map":["i8","i8",1,{1:1,   }]})")).rc);
}

TEST_F(ThriftJson, WhatDoesNotFitIntoTheArenaIsRefused)
{
    coil_arena small;
    coil_thrift_text text = {"", 0};

    coil_arena_init(&small, 8);
    open(R"({"str":"123456789\n"})", &small);
    coil_thrift_get_string(&reader, &text);
    EXPECT_EQ(-ENOBUFS, close());
    EXPECT_EQ("10 bytes for a string at offset 36 are more than a message may take",
            outcome::what(reader));
    coil_arena_fini(&small);
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
    const std::string list = R"("1":{"lst":["i32",)";
    return {
            {"list of 2 G", call(list + "2147483647,1]}"), -EMSGSIZE,
                    "list of 2147483647 elements at offset 23 in a frame of 46, the limit is "
                    "16384000"},
            {"list of negative count", call(list + "-1]}"), -EBADMSG,
                    "list of -1 elements at offset 23"},
            {"list that does not fit", call(list + "9,1,2]}"), -ENODATA,
                    "list of 9 elements at offset 23 in a frame of 39"},
            {"list with too few", call(list + "2,1 ]}"), -EBADMSG,
                    "0x5d at offset 34, which needs a ','"},
            {"list with too many", call(list + "1,1,2]}"), -EBADMSG,
                    "0x2c at offset 33, which needs a ']'"},
            {"list of 2^64", call(list + "18446744073709551617,1]}"), -EBADMSG,
                    "no i32 at offset 30"},
            {"list without a count", call(R"("1":{"lst":["i32"]})"), -EBADMSG,
                    "0x5d at offset 29, which needs a ','"},
            {"list of 1000 empty structs", call(R"("1":{"lst":["rec",1000,{}]})"), -ENODATA,
                    "list of 1000 elements at offset 23 in a frame of 41"},
            {"map of 2 G", call(R"("1":{"map":["i32","str",2147483647,{}]})"), -EMSGSIZE,
                    "map of 2147483647 pairs at offset 23 in a frame of 53, the limit is 16384000"},
            {"map with too few", call(R"("1":{"map":["i8","i8",2,{"1":1 ,    }]})"), -EBADMSG,
                    "0x7d at offset 48, which needs a '\"'"},
            {"map with a number for a key", call(R"("1":{"map":["i8","i8",1,{1:1   }]})"), -EBADMSG,
                    "0x31 at offset 37, which needs a '\"'"},
            {"unknown type of a field", call(R"("1":{"i33":1})"), -EBADMSG,
                    "unknown name of a type at offset 17"},
            {"unknown type of an element", call(R"("1":{"lst":["void",1000000]})"), -EBADMSG,
                    "unknown name of a type at offset 24"},
            {"type with escapes", call(R"("1":{"i\u0033\u0032":1})"), -EBADMSG,
                    "unknown name of a type at offset 17"},
            {"value of another type", call(R"("1":{"i32":"5"})"), -EBADMSG, "no i32 at offset 23"},
            {"i8 of 128", call(R"("1":{"i8":128})"), -EBADMSG, "no i8 at offset 22"},
            {"i64 of 2^63", call(R"("1":{"i64":9223372036854775808})"), -EBADMSG,
                    "no i64 at offset 23"},
            {"i64 with a fraction", call(R"("1":{"i64":1.0})"), -EBADMSG, "no i64 at offset 23"},
            {"a number of 1000 digits", call(R"("1":{"dbl":)" + repeat("1", 1000) + "}"), -EBADMSG,
                    "no double at offset 23"},
            {"number of a field above 32767", call(R"("32768":{"i8":1})"), -EBADMSG,
                    "no i16 at offset 13"},
            {"uuid without dashes", call(R"("1":{"uid":"00112233445566778899aabbccddeeff0000"})"),
                    -EBADMSG, "no uuid at offset 23"},
            {"two values in a field", call(R"("1":{"i8":1,"i8":2})"), -EBADMSG,
                    "0x2c at offset 23, which needs a '}'"},
            {"a comma too many", call(R"("1":{"i8":1},)"), -EBADMSG,
                    "0x7d at offset 25, which needs a '\"'"},
            {"brackets that do not match", call(R"("1":{"lst":["i8",1,1}})"), -EBADMSG,
                    "0x7d at offset 32, which needs a ']'"},
            {"string without end", call(R"("1":{"str":"abc)"), -ENODATA,
                    "a frame of 29 bytes ends in a string at offset 24"},
            {"string that ends with a backslash", R"([1,"x\)", -ENODATA,
                    "a frame of 6 bytes ends in a string at offset 4"},
            {"structs 70 deep", call(repeat(R"("1":{"rec":{)", 70) + repeat("}}", 70)), -ELOOP,
                    "struct at offset 779 is nested more than 64 deep"},
            {"structs 100000 deep", call(repeat(R"("1":{"rec":{)", 100000)), -ELOOP,
                    "struct at offset 779 is nested more than 64 deep"},
            {"lists 70 deep", call(R"("1":{"lst":)" + repeat(R"(["lst",1,)", 70) + R"(["i8",0])"),
                    -ELOOP, "list at offset 589 is nested more than 64 deep"},
            {"maps 70 deep", call(R"("1":{"map":)" + repeat(R"(["i8","map",1,{"1":)", 70) + " "),
                    -ELOOP, "map at offset 1219 is nested more than 64 deep"},
            {"wrong version", R"([2,"x",1,7,{}])", -EBADMSG, "i32 at offset 1 is out of range"},
            {"compact protocol", "\x82\x21\x01\x01x", -EBADMSG,
                    "message begins with 0x82000000: this looks like the compact protocol"},
            {"an object", R"({"method":"x"})", -EBADMSG,
                    "message begins with 0x7b000000: this looks like no protocol of Thrift"},
            {"message of type 9", R"([1,"x",9,7,{}])", -EBADMSG, "message of unknown type 9"},
            {"message of type -1", R"([1,"x",-1,7,{}])", -EBADMSG, "message of unknown type 255"},
            {"bytes left over", call("") + "x", -EBADMSG, "1 bytes left over at offset 14"},
            {"brackets alone", repeat("[", 100000), -EBADMSG, "no i32 at offset 1"},
            {"nothing at all", "", -ENODATA, "a frame of 0 bytes ends in a field at offset 0"},
    };
}

TEST(ThriftJsonHostile, EveryPacketIsRefusedInWords)
{
    for (const Hostile &hostile : hostile_packets()) {
        const Outcome outcome = skip(hostile.frame);
        EXPECT_EQ(hostile.rc, outcome.rc) << hostile.name;
        EXPECT_EQ(hostile.words, outcome.words) << hostile.name;
        EXPECT_EQ(hostile.rc, take_apart(hostile.frame).rc) << hostile.name;
    }
}

TEST(ThriftJsonHostile, EveryPrefixOfACorrectMessageIsCut)
{
    const std::string frame = one_of_every_type;

    for (size_t size = 0; size < frame.size(); size++) {
        EXPECT_EQ(-ENODATA, skip(frame.substr(0, size)).rc) << frame.substr(0, size);
        EXPECT_EQ(-ENODATA, take_apart(frame.substr(0, size)).rc) << frame.substr(0, size);
    }
}

TEST(ThriftJsonHostile, DamagedMessagesNeverDoMoreThanFail)
{
    const unsigned int seed = std::random_device{}();
    std::mt19937 random(seed);
    const std::string frame = one_of_every_type;
    const std::string characters = "[]{},:\"\\0123456789-.eu ";
    GuardedBytes guarded(frame);

    for (int round = 0; round < 3000; round++) {
        std::string damaged = frame;
        for (int i = 0; i < 2; i++)
            damaged[random() % damaged.size()] = characters[random() % characters.size()];
        guarded.assign(damaged);
        ASSERT_EQ(outcome::skip(json, guarded).rc, outcome::take_apart(json, guarded).rc)
                << "seed " << seed << " round " << round << ": " << damaged;
    }
}

TEST(ThriftJsonLimits, StringsAndContainersHaveTheirs)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.string_max = 3;
    limits.container_max = 2;

    EXPECT_EQ(0, skip(call(R"("1":{"str":"abc"})"), &limits).rc);
    EXPECT_EQ(0, skip(call(R"("1":{"str":"\u0061bc"})"), &limits).rc);
    EXPECT_EQ(-EMSGSIZE, skip(call(R"("1":{"str":"abcd"})"), &limits).rc);
    EXPECT_EQ(-EMSGSIZE, skip(call(R"("1":{"str":"\u0061bcd"})"), &limits).rc);
    EXPECT_EQ(0, skip(call(R"("1":{"lst":["i8",2,1,1]})"), &limits).rc);
    EXPECT_EQ(-EMSGSIZE, skip(call(R"("1":{"lst":["i8",3,1,1,1]})"), &limits).rc);
}

} // namespace
