/* SPDX-License-Identifier: MIT */
#include <coil/check.h>
#include <coil/error.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <climits>

TEST(ErrorName, IsTheSymbolWhateverTheSign)
{
    EXPECT_STREQ("ECONNREFUSED", coil_error_name(-ECONNREFUSED));
    EXPECT_STREQ("ECONNREFUSED", coil_error_name(ECONNREFUSED));
    EXPECT_STREQ("ECANCELED", coil_error_name(-ECANCELED));
}

TEST(ErrorName, OfSuccessIsZero)
{
    EXPECT_STREQ("0", coil_error_name(0));
}

TEST(ErrorName, OfANumberWithoutANameIsUnknown)
{
    EXPECT_STREQ("EUNKNOWN", coil_error_name(-100000));
    EXPECT_STREQ("EUNKNOWN", coil_error_name(INT_MAX));
    EXPECT_STREQ("EUNKNOWN", coil_error_name(INT_MIN));
}

TEST(ErrorText, TellsTheThreeReservedErrorsApart)
{
    EXPECT_STREQ("cancelled", coil_error_text(-ECANCELED));
    EXPECT_STREQ("deadline passed", coil_error_text(-ETIME));
    EXPECT_STREQ("the network timed out", coil_error_text(-ETIMEDOUT));
    EXPECT_STREQ("the network timed out", coil_error_text(ETIMEDOUT));
}

TEST(ErrorText, IsThatOfTheSystemOtherwise)
{
    EXPECT_STREQ("Connection refused", coil_error_text(-ECONNREFUSED));
}

TEST(ErrorText, OfANumberWithoutANameIsUnknown)
{
    EXPECT_STREQ("unknown error", coil_error_text(-100000));
    EXPECT_STREQ("unknown error", coil_error_text(INT_MIN));
}

TEST(Check, LetsAConditionPassThatHolds)
{
    COIL_CHECK(1 + 1 == 2);
}

TEST(CheckDeathTest, NamesConditionAndPlaceAndAborts)
{
    const int answer = 42;
    EXPECT_EXIT(COIL_CHECK(answer == 41), testing::KilledBySignal(SIGABRT),
            "error_test.cc:[0-9]+: check failed: answer == 41");
}

static int evaluations;

static bool evaluate(void)
{
    evaluations++;
    return true;
}

TEST(CheckSlow, IsEvaluatedOnlyWhereItIsOn)
{
    EXPECT_TRUE(evaluate());
    COIL_CHECK_SLOW(evaluate());
    EXPECT_EQ(1 + COIL_SLOW_CHECKS, evaluations);
}
