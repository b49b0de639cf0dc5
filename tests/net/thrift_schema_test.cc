/* SPDX-License-Identifier: MIT */
/* What coil-thrift makes of tests/net/thrift_compiler/good, and what can be done with it. */
#include <coil/thrift_schema.h>

#include <cerrno>
#include <cmath>
#include <string>
#include <vector>

#include "everything_thrift.h"
#include "guarded_bytes.h"
#include "only_ours_thrift.h"
#include "thrift_chance.h"
#include "words_thrift.h"

#include <gtest/gtest.h>

namespace
{

coil_thrift_text text(const char *string)
{
    return coil_thrift_text_of(string);
}

std::string string(coil_thrift_text value)
{
    return {value.bytes, value.size};
}

std::string printed(const coil_thrift_type_schema &type, const void *value)
{
    std::string text(coil_thrift_print(&type, value, nullptr, 0), ' ');
    coil_thrift_print(&type, value, text.data(), text.size() + 1);
    return text;
}

/* A frame with one struct, and what was read of it. */
class ThriftSchema : public testing::Test
{
protected:
    ThriftSchema()
    {
        coil_thrift_writer_init(&writer, nullptr);
        coil_arena_init(&arena, 1 << 20);
    }

    ~ThriftSchema() override
    {
        coil_thrift_writer_fini(&writer);
        coil_arena_fini(&arena);
    }

    void begin()
    {
        coil_thrift_writer_reset(&writer);
        coil_thrift_message message = {text("m"), COIL_THRIFT_CALL, 1, false};
        coil_thrift_writer_begin(&writer, &message);
    }

    void write(const coil_thrift_type_schema &type, const void *value)
    {
        begin();
        coil_thrift_write_value(&writer, &type, value);
        ASSERT_GT(coil_thrift_writer_finish(&writer), 0);
    }

    /* The error. Whatever `out` points to lies in the frame and the arena. */
    int read(const coil_thrift_type_schema &type, void *out)
    {
        coil_thrift_message message;
        frame.assign(writer.bytes + COIL_THRIFT_LENGTH_BYTES, writer.bytes + writer.size);
        coil_thrift_reader_init(&reader, frame.data(), (uint32_t)frame.size(), nullptr);
        if (coil_thrift_read_message(&reader, &message))
            coil_thrift_read_fields(&reader, &arena, type.structure, out);
        return coil_thrift_reader_finish(&reader);
    }

    std::string what()
    {
        char words[256];
        return coil_thrift_reader_what(&reader, words, sizeof(words));
    }

    void expect_same(const coil_thrift_type_schema &type, const void *value)
    {
        std::vector<uint64_t> out(type.size_bytes / 8 + 1);
        write(type, value);
        ASSERT_EQ(read(type, out.data()), 0) << what();
        EXPECT_TRUE(coil_thrift_equal(&type, value, out.data())) << printed(type, value) << "\n"
                                                                 << printed(type, out.data());
    }

    coil_thrift_writer writer;
    coil_thrift_reader reader;
    coil_arena arena;
    std::vector<uint8_t> frame;
};

TEST_F(ThriftSchema, KeepsEveryValue)
{
    everything_of_it_Leaf leaf = everything_of_it_Leaf_default;
    leaf.name = text("oak");
    leaf.odd = -5;
    expect_same(everything_of_it_Leaf_type, &leaf);

    std::vector<double> numbers = {0.1, -1e300, HUGE_VAL, std::nan(""), -0.0};
    coil_thrift_double_set set = {numbers.data(), 5};
    coil_thrift_i32_to_coil_thrift_double_set_map_item item = {7, set};
    coil_thrift_i32_to_coil_thrift_double_set_map map = {&item, 1};
    everything_of_it_Node node = everything_of_it_Node_default;
    node.nested = {&map, 1};
    node.fourth = {"\0\xff", 2};
    node.has.fourth = 1;
    node.after = INT64_MIN;
    node.leaf.name = text("in a struct");
    expect_same(everything_of_it_Node_type, &node);
}

TEST_F(ThriftSchema, HasTheDefaultsOfTheInterface)
{
    const everything_of_it_Node &node = everything_of_it_Node_default;

    EXPECT_TRUE(node.third);
    EXPECT_TRUE(node.has.third);
    EXPECT_FALSE(node.has.first);
    EXPECT_EQ(node.after, INT64_MAX);
    EXPECT_EQ(string(node.leaf.name), "from a default");
    EXPECT_EQ(node.leaf.weight, 1.25);
    EXPECT_EQ(node.leaf.color, everything_of_it_Color_GREEN);
    ASSERT_EQ(node.leaf.words.count, 2u);
    EXPECT_EQ(string(node.leaf.words.items[1]), "two");
}

TEST_F(ThriftSchema, HasTheConstantsOfTheInterface)
{
    static_assert(everything_of_it_SMALL == -128, "of use in constant expressions");
    static_assert(everything_of_it_LEAST_OF_ALL == INT64_MIN, "");
    EXPECT_EQ(everything_of_it_THIRD, 1.0 / 3);
    EXPECT_EQ(everything_of_it_WHOLE, 3.0);
    EXPECT_EQ(everything_of_it_FROM_ENUM, -2);
    EXPECT_EQ(everything_of_it_FAR, 100);
    EXPECT_EQ(everything_of_it_FAVOURITE, everything_of_it_Color_BLUE);
    EXPECT_EQ(string(everything_of_it_TEXT), "it is \"quoted\"\tand \\ more");
    EXPECT_EQ(everything_of_it_TABLE.count, 3u);
    EXPECT_EQ(everything_of_it_TABLE.items[2].value.items[0], 5);
    EXPECT_EQ(everything_of_it_DEEP.items[0].key, everything_of_it_Color_RED);
    EXPECT_EQ(string(everything_of_it_DEEP.items[0].value.items[0].value.name), "elm");
    EXPECT_EQ(only_ours_EXACT, 0.1 + 0.2);
    EXPECT_EQ(only_ours_ID.bytes[0], 0x6b);
    EXPECT_EQ(memcmp(&only_ours_ID, &only_ours_BRACED, sizeof(only_ours_ID)), 0);
    EXPECT_EQ(only_ours_BEFORE, 7);
}

TEST_F(ThriftSchema, PrintsWhatItWouldWrite)
{
    everything_of_it_Leaf leaf = everything_of_it_Leaf_default;
    leaf.name = text("a \"b\"\n");
    leaf.has.words = 0;

    EXPECT_EQ(printed(everything_of_it_Leaf_type, &leaf),
            "Leaf{odd: 0, name: \"a \\\"b\\\"\\n\", weight: 1.25, color: GREEN}");
    everything_of_it_Choice choice = everything_of_it_Choice_default;
    EXPECT_EQ(printed(everything_of_it_Choice_type, &choice), "Choice{}");
    choice.which = everything_of_it_Choice_nothing;
    EXPECT_EQ(printed(everything_of_it_Choice_type, &choice), "Choice{nothing: Nothing{}}");
    EXPECT_EQ(printed(only_ours_Words_type, &only_ours_Words_default),
            "Words{i8: 0, next: \"\", list: [], class: false, from: 0, self: null, string: \"\"}");

    char cut[8];
    EXPECT_GT(coil_thrift_print(&everything_of_it_Leaf_type, &leaf, cut, sizeof(cut)), sizeof(cut));
    EXPECT_STREQ(cut, "Leaf{od");
}

TEST(ThriftFormat, PrintsIntoAnArenaAsFarAsItsLimitAllows)
{
    coil_arena arena;
    coil_arena_init(&arena, 1000);
    EXPECT_EQ("no 7 of 'all'", string(coil_thrift_format(&arena, "no %d of '%s'", 7, "all")));
    EXPECT_EQ("", string(coil_thrift_format(&arena, "%s", "")));
    EXPECT_EQ("", string(coil_thrift_format(&arena, "%2000d", 1)));
    EXPECT_EQ("goes on", string(coil_thrift_format(&arena, "goes on")));
    coil_arena_fini(&arena);
}

TEST_F(ThriftSchema, SkipsFieldsItDoesNotKnowAndThoseOfOtherTypes)
{
    begin();
    coil_thrift_put_i64(&writer, -7, 1);
    coil_thrift_put_string(&writer, 1, text("oak"));
    coil_thrift_put_string(&writer, 2, text("a double, really"));
    coil_thrift_put_list(&writer, 4, COIL_THRIFT_I32, 1);
    coil_thrift_write_i32(&writer, 5);
    coil_thrift_put_struct(&writer, 300);
    coil_thrift_write_stop(&writer);
    coil_thrift_write_stop(&writer);
    ASSERT_GT(coil_thrift_writer_finish(&writer), 0);

    everything_of_it_Leaf leaf;
    ASSERT_EQ(read(everything_of_it_Leaf_type, &leaf), 0) << what();
    EXPECT_EQ(string(leaf.name), "oak");
    EXPECT_EQ(leaf.weight, 1.25);
    EXPECT_EQ(leaf.words.count, 0u);
}

TEST_F(ThriftSchema, TellsWhichRequiredFieldIsMissing)
{
    everything_of_it_Leaf leaf;

    begin();
    coil_thrift_put_double(&writer, 2, 1);
    coil_thrift_write_stop(&writer);
    ASSERT_GT(coil_thrift_writer_finish(&writer), 0);
    EXPECT_EQ(read(everything_of_it_Leaf_type, &leaf), -EBADMSG);
    EXPECT_NE(what().find("without its required field 1"), std::string::npos) << what();
}

TEST_F(ThriftSchema, TakesExactlyOneFieldOfAUnion)
{
    everything_of_it_Choice choice = {};

    for (int count = 0; count < 3; count++) {
        begin();
        coil_thrift_put_i64(&writer, 77, 1); /* Is not known, hence no choice. */
        for (int i = 0; i < count; i++)
            coil_thrift_put_i32(&writer, 1, i + 40);
        coil_thrift_write_stop(&writer);
        ASSERT_GT(coil_thrift_writer_finish(&writer), 0);
        EXPECT_EQ(read(everything_of_it_Choice_type, &choice), count == 1 ? 0 : -EBADMSG);
        if (count == 1) {
            EXPECT_EQ(choice.which, everything_of_it_Choice_number);
            EXPECT_EQ(choice.number, 40);
        }
    }
}

TEST_F(ThriftSchema, FollowsPointersAsDeepAsTheLimit)
{
    std::vector<only_ours_Words> words(100, only_ours_Words_default);

    for (size_t i = 0; i + 1 < words.size(); i++)
        words[i].self = &words[i + 1];
    const only_ours_Words *shallow = &words[100 - COIL_THRIFT_DEPTH_MAX];
    expect_same(only_ours_Words_type, shallow);

    only_ours_Words out;
    write(only_ours_Words_type, shallow - 1);
    EXPECT_EQ(read(only_ours_Words_type, &out), -ELOOP);
}

TEST_F(ThriftSchema, TakesNoMoreMemoryThanTheArenaMay)
{
    /* Structs of a byte on the wire and more in memory. */
    constexpr uint32_t count = 10000;
    parts_Part part;

    begin();
    coil_thrift_put_list(&writer, 2, COIL_THRIFT_STRUCT, count);
    for (uint32_t i = 0; i < count; i++)
        coil_thrift_write_stop(&writer);
    coil_thrift_write_stop(&writer);
    ASSERT_GT(coil_thrift_writer_finish(&writer), 0);

    EXPECT_EQ(read(parts_Part_type, &part), 0) << what();
    EXPECT_EQ(part.inner.count, count);
    EXPECT_EQ(part.inner.items[count - 1].size, parts_Size_LARGE);
    coil_arena_fini(&arena);
    coil_arena_init(&arena, 100000);
    EXPECT_EQ(read(parts_Part_type, &part), -ENOBUFS);
    EXPECT_EQ(coil_arena_taken(&arena), 0u);
    EXPECT_NE(what().find("more than a message may take"), std::string::npos) << what();
}

TEST_F(ThriftSchema, EveryPrefixOfAMessageIsAnError)
{
    everything_of_it_Node out;

    write(everything_of_it_Node_type, &everything_of_it_Node_default);
    const std::vector<uint8_t> whole(
            writer.bytes + COIL_THRIFT_LENGTH_BYTES, writer.bytes + writer.size);
    for (size_t size = 0; size < whole.size(); size++) {
        coil_thrift_message message;
        const std::vector<uint8_t> cut(whole.begin(), whole.begin() + (ptrdiff_t)size);
        coil_thrift_reader_init(&reader, cut.data(), (uint32_t)size, nullptr);
        coil_arena_reset(&arena);
        if (coil_thrift_read_message(&reader, &message)) {
            EXPECT_FALSE(coil_thrift_read_fields(
                    &reader, &arena, everything_of_it_Node_type.structure, &out));
        }
        EXPECT_EQ(coil_thrift_reader_finish(&reader), -ENODATA) << size;
    }
}

/* Skipping is another way through the same bytes, and finds the same mistakes. */
void expect_read_as_skipped(const coil_thrift_struct_schema &schema,
        enum coil_thrift_protocol protocol, const GuardedBytes &bytes, coil_arena *arena)
{
    coil_thrift_message message;
    coil_thrift_reader readers[2];
    int errors[2];

    for (int i = 0; i < 2; i++) {
        coil_arena_reset(arena);
        std::vector<uint64_t> out(schema.size_bytes / 8 + 1);
        coil_thrift_reader_init_as(
                &readers[i], protocol, bytes.bytes(), (uint32_t)bytes.size(), nullptr, arena);
        if (coil_thrift_read_message(&readers[i], &message)) {
            if (i == 0)
                coil_thrift_read_fields(&readers[i], arena, &schema, out.data());
            else
                coil_thrift_skip_fields(&readers[i]);
        }
        errors[i] = coil_thrift_reader_finish(&readers[i]);
    }
    char words[256];
    coil_thrift_reader_what(&readers[0], words, sizeof(words));
    if (errors[1] != 0) {
        EXPECT_NE(errors[0], 0);
    } else if (errors[0] != 0) { /* A required field, a union, or the arena's limit. */
        EXPECT_TRUE(errors[0] == -EBADMSG || errors[0] == -ENOBUFS) << words;
    }
}

TEST_F(ThriftSchema, ReadsWhatItWouldSkip)
{
    const coil_thrift_type_schema *types[] = {&everything_of_it_Node_type, &parts_Part_type};
    ThriftChance chance(7, &arena);
    GuardedBytes guarded(std::string(1 << 16, '\0'));

    for (int round = 0; round < 3000; round++) {
        const coil_thrift_type_schema &type = *types[round % 2];
        const auto protocol = static_cast<enum coil_thrift_protocol>(round / 2 % 2);
        coil_arena_reset(&arena);
        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_set_protocol(&writer, protocol);
        write(type, chance.make(*type.structure));
        std::string bytes(reinterpret_cast<char *>(writer.bytes) + COIL_THRIFT_LENGTH_BYTES,
                writer.size - COIL_THRIFT_LENGTH_BYTES);
        if (bytes.size() > 1 << 16)
            continue;
        for (uint32_t i = chance.below(4); i > 0; i--) {
            const uint32_t place = chance.below(static_cast<uint32_t>(bytes.size()));
            bytes[place] = static_cast<char>(
                    chance.below(2) == 0 ? chance.below(256) : bytes[place] ^ 1 << chance.below(8));
        }
        if (chance.below(3) == 0)
            bytes.resize(chance.below(static_cast<uint32_t>(bytes.size())));
        guarded.assign(bytes);
        expect_read_as_skipped(*type.structure, protocol, guarded, &arena);
    }
}

TEST_F(ThriftSchema, ACopyNeedsNothingButItsArena)
{
    only_ours_Words words = only_ours_Words_default;
    only_ours_Words inner = only_ours_Words_default;
    only_ours_Words copy;

    {
        std::string gone = "will be gone";
        std::vector<int32_t> numbers = {1, 2, 3};
        words.next = {gone.data(), (uint32_t)gone.size()};
        words.list = {numbers.data(), 3};
        inner.string = words.next;
        words.self = &inner;
        ASSERT_EQ(coil_thrift_copy(&arena, &only_ours_Words_type, &words, &copy), 0);
        EXPECT_TRUE(coil_thrift_equal(&only_ours_Words_type, &words, &copy));
        gone.assign(gone.size(), 'x');
        numbers.assign(3, 0);
        inner.from = 5;
    }
    EXPECT_EQ(string(copy.next), "will be gone");
    EXPECT_EQ(copy.list.items[2], 3);
    EXPECT_EQ(string(copy.self->string), "will be gone");
    EXPECT_EQ(copy.self->from, 0);

    coil_arena_fini(&arena);
    coil_arena_init(&arena, 20);
    words = only_ours_Words_default;
    words.next = text("more than it may take");
    EXPECT_EQ(coil_thrift_copy(&arena, &only_ours_Words_type, &words, &copy), -ENOBUFS);
}

TEST_F(ThriftSchema, TellsValuesApart)
{
    everything_of_it_Leaf one = everything_of_it_Leaf_default;
    everything_of_it_Leaf other = one;

    EXPECT_TRUE(coil_thrift_equal(&everything_of_it_Leaf_type, &one, &other));
    other.has.name = 1; /* Read or not, it is written alike. */
    EXPECT_TRUE(coil_thrift_equal(&everything_of_it_Leaf_type, &one, &other));
    other.has.weight = 0;
    EXPECT_FALSE(coil_thrift_equal(&everything_of_it_Leaf_type, &one, &other));
    other = one;
    other.name = text("x");
    EXPECT_FALSE(coil_thrift_equal(&everything_of_it_Leaf_type, &one, &other));
}

TEST_F(ThriftSchema, KnowsTheNamesOfEnums)
{
    EXPECT_STREQ(coil_thrift_enum_name(&everything_of_it_Color_schema, 5), "GREEN");
    EXPECT_EQ(coil_thrift_enum_name(&everything_of_it_Color_schema, 500), nullptr);
    EXPECT_EQ(words_words_default.int_, 0); /* A word of C, as a member. */
}

} // namespace
