/* SPDX-License-Identifier: MIT */
#include <coil/date.h>

#include <time.h>

#include <gtest/gtest.h>

/* What libc makes of it: gmtime_r(3) has years in an int. */
static void expect_as_libc_has_it(int64_t day)
{
    SCOPED_TRACE(day);
    const time_t time = (time_t)(day * COIL_DAY_S);
    struct tm parts = {};
    ASSERT_NE(nullptr, gmtime_r(&time, &parts));
    const coil_date date = coil_date_of(day);
    EXPECT_EQ((int64_t)parts.tm_year + 1900, date.year);
    EXPECT_EQ(parts.tm_mon + 1, date.month);
    EXPECT_EQ(parts.tm_mday, date.day);
    EXPECT_EQ(parts.tm_wday, coil_date_weekday(day));
}

TEST(Date, OfEveryDayOfAnEraAndOfTheOneBefore)
{
    for (int64_t day = -146097; day <= 146097 && !HasFailure(); day++)
        expect_as_libc_has_it(day);
}

TEST(Date, OfDaysFarAway)
{
    for (int64_t day = 1; day < INT64_C(700000000000) && !HasFailure(); day *= 3) {
        expect_as_libc_has_it(day);
        expect_as_libc_has_it(-day);
    }
}

TEST(Date, KnowsWhichYearsHaveALeapDay)
{
    const coil_date last_of_february_2000 = coil_date_of(11016);
    EXPECT_EQ(2000, last_of_february_2000.year);
    EXPECT_EQ(29, last_of_february_2000.day);
    const coil_date after_28_february_2100 = coil_date_of(47541);
    EXPECT_EQ(3, after_28_february_2100.month);
    EXPECT_EQ(1, after_28_february_2100.day);
}
