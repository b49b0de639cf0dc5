/* SPDX-License-Identifier: MIT */
extern "C" {
#include "pattern.h"
}

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <random>
#include <regex>
#include <string>

namespace
{

class Pattern : public testing::Test
{
protected:
    int make(const std::string &text)
    {
        return pattern_init(self.get(), text.data(), text.size());
    }

    bool matches(const std::string &text)
    {
        return pattern_matches(self.get(), text.data(), text.size());
    }

    bool matches(const std::string &text, const std::string &with)
    {
        EXPECT_EQ(0, make(with)) << with;
        return matches(text);
    }

    std::unique_ptr<pattern> self = std::make_unique<pattern>();
};

TEST_F(Pattern, MatchesTheWholeTextOrNot)
{
    EXPECT_TRUE(matches("Shop.buy.num_calls.sum.60", "Shop\\.buy\\..*"));
    EXPECT_TRUE(matches("Shop.buy.latency_us.p99.60", ".*\\.p99(\\.\\d+)?"));
    EXPECT_FALSE(matches("Shop.buy.latency_us.p99.9.60x", ".*\\.p99(\\.\\d+)?"));
    EXPECT_FALSE(matches("Shop.buy", "Shop"));
    EXPECT_TRUE(matches("", ""));
    EXPECT_FALSE(matches("a", ""));
    EXPECT_TRUE(matches("", "a*"));
    EXPECT_TRUE(matches("abc", "^abc$"));
    EXPECT_FALSE(matches("abc", "a^bc"));
    EXPECT_TRUE(matches("ac", "a(b|c|)(c|)$"));
}

std::string repeated(const std::string &text, int count)
{
    std::string all;
    for (int i = 0; i < count; i++)
        all += text;
    return all;
}

TEST_F(Pattern, MayHaveManyChoicesAndGroupsInGroups)
{
    const int deepest = PATTERN_DEPTH_MAX;
    const std::string deep = repeated("(", deepest) + "x" + repeated(")", deepest);
    for (const int choices : {0, 1, deepest - 1, deepest, deepest + 1, 200}) {
        const std::string many = repeated("a|", choices);
        EXPECT_TRUE(matches("x", many + deep)) << choices;
        EXPECT_TRUE(matches(choices == 0 ? "x" : "a", many + deep)) << choices;
        EXPECT_FALSE(matches("b", many + deep)) << choices;
        EXPECT_EQ(-E2BIG, make(many + "(" + deep + ")")) << choices;
        EXPECT_EQ(0, make("(" + many + deep.substr(1, deep.size() - 2) + ")")) << choices;
    }
    EXPECT_TRUE(matches("one", "one|two|three|four"));
    EXPECT_TRUE(matches("four", "one|two|three|four"));
    EXPECT_FALSE(matches("twothree", "one|two|three|four"));
    EXPECT_TRUE(matches("three-four-", "((one|two|three|four)-)*"));
    EXPECT_TRUE(matches("", "one|"));
    EXPECT_TRUE(matches("", "|one"));
    EXPECT_TRUE(matches("", std::string(500, '|')));
}

TEST_F(Pattern, KnowsSetsAndClasses)
{
    EXPECT_TRUE(matches("x]-", "[xyz][]a][a-]"));
    EXPECT_FALSE(matches("5", "[^0-9]"));
    EXPECT_TRUE(matches("\xff", "[^0-9]"));
    EXPECT_TRUE(matches("a_9 ", "\\w\\W?[\\w][\\d]\\s"));
    EXPECT_TRUE(matches("-.", "[\\w.-][.]"));
    EXPECT_TRUE(matches("D", "\\D\\S*"));
}

TEST_F(Pattern, RepeatsAsOftenAsIsAsked)
{
    for (int count = 0; count < 8; count++) {
        const std::string text(static_cast<size_t>(count), 'a');
        EXPECT_EQ(count == 3, matches(text, "a{3}")) << count;
        EXPECT_EQ(count >= 2, matches(text, "a{2,}")) << count;
        EXPECT_EQ(count >= 2 && count <= 5, matches(text, "a{2,5}")) << count;
        EXPECT_EQ(count <= 3, matches(text, "a{0,3}?")) << count;
        EXPECT_EQ(count == 0, matches(text, "a{0}")) << count;
        EXPECT_EQ(count % 2 == 0, matches(text, "(aa)*")) << count;
        EXPECT_EQ(count == 4 || count == 6, matches(text, "(?:a{2}){2,3}")) << count;
    }
}

TEST_F(Pattern, RefusesWhatItDoesNotKnow)
{
    for (const char *bad : {"(", ")", "a)", "(a", "[a", "[", "[]", "[z-a]", "*", "a**", "a++", "|*",
                 "a{", "a{}", "a{,2}", "a{2", "a{3,2}", "a{99999}x{", "\\", "\\b", "\\1", "\\pL",
                 "(?=a)", "(?i)a", "(?P<n>a)", "[[:alpha:]]", "[\\b]", "[a-\\d]"})
        EXPECT_GT(0, make(bad)) << bad;
}

TEST_F(Pattern, RefusesWhatIsTooLarge)
{
    EXPECT_EQ(-E2BIG, make(std::string(PATTERN_BYTES_MAX + 1, 'a')));
    EXPECT_EQ(-E2BIG, make("a{1025}"));
    EXPECT_EQ(-E2BIG, make("(((a{10}){10}){10}){10}"));
    EXPECT_EQ(-E2BIG, make("((((((()){99}){99}){99}){99}){99}){99}"));
    EXPECT_EQ(-E2BIG, make(std::string(200, '(') + std::string(200, ')')));
    EXPECT_EQ(-E2BIG, make("[ab]{65}"));
    EXPECT_EQ(0, make("a{1023}"));
}

TEST_F(Pattern, WorksNoMoreThanTextTimesSteps)
{
    const std::string text = std::string(200, 'a') + "b";
    for (const char *hostile : {"(a+)+", "(a*)*", "(a|a)*", "(a|aa)+", "(.*)*(.*)*(.*)*c",
                 "(((a*)*)*)*", "(a?){200}a{200}", "(|a|){100}", "(.*){100}x"}) {
        ASSERT_EQ(0, make(hostile)) << hostile;
        EXPECT_FALSE(matches(text)) << hostile;
        EXPECT_LE(self->work, 2U * 202U * self->step_count) << hostile;
    }
}

/* The library of C++ agrees, on patterns of all that both know. */
std::string random_pattern(std::mt19937 &random, int depth)
{
    static const char *const atoms[] = {"a", "b", ".", "[ab]", "[^a]", "\\w", "c"};
    static const char *const counts[] = {
            "", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{1,}"};
    std::string text;
    const int count = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < count; i++) {
        if (depth > 0 && random() % 3 == 0) {
            text += "(" + random_pattern(random, depth - 1) + "|" +
                    random_pattern(random, depth - 1) + ")";
        } else {
            text += atoms[random() % 7];
        }
        text += counts[random() % 10];
    }
    return text;
}

TEST_F(Pattern, AgreesWithTheLibraryOfCpp)
{
    std::mt19937 random(7);
    int matching = 0;
    for (int i = 0; i < 300; i++) {
        const std::string text = random_pattern(random, 1);
        const std::regex other(text);
        ASSERT_EQ(0, make(text)) << text;
        for (int j = 0; j < 20; j++) {
            std::string subject;
            for (size_t size = random() % 7; subject.size() < size;)
                subject += "abcd"[random() % 4];
            const bool expected = std::regex_match(subject, other);
            matching += expected ? 1 : 0;
            ASSERT_EQ(expected, matches(subject)) << text << " " << subject;
        }
    }
    EXPECT_GT(matching, 300);
}

/* Whatever the bytes are. */
TEST_F(Pattern, SurvivesRandomBytes)
{
    std::mt19937 random(8);
    for (int i = 0; i < 20000; i++) {
        std::string text;
        for (size_t size = random() % 40; text.size() < size;)
            text += "ab()[]{}*+?|\\^$-.,0123:dws="[random() % 27];
        if (make(text) == 0)
            (void)matches("abba1:");
    }
}

} // namespace
