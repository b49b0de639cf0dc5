/* SPDX-License-Identifier: MIT */
#include <coil/calendar.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <ctime>
#include <random>
#include <string>

namespace
{

int64_t seconds(const char *text)
{
    struct tm when = {};
    EXPECT_NE(nullptr, strptime(text, "%Y-%m-%d %H:%M:%S", &when));
    return timegm(&when);
}

std::string text(int64_t at_s)
{
    const time_t at = at_s;
    struct tm when = {};
    char line[64];
    gmtime_r(&at, &when);
    (void)strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S %a", &when);
    return line;
}

std::string next(const char *calendar_text, const char *after, int ahead_s = 0)
{
    coil_calendar calendar;
    if (coil_calendar_parse(calendar_text, ahead_s, &calendar) < 0)
        return "refused";
    return text(coil_calendar_next(&calendar, seconds(after)));
}

TEST(Calendar, FindsTheNextTime)
{
    EXPECT_EQ("2026-11-21 18:35:00 Sat", next("*/5 * * * *", "2026-11-21 18:30:00"));
    EXPECT_EQ("2026-11-21 18:35:00 Sat", next("*/5 * * * *", "2026-11-21 18:34:59"));
    EXPECT_EQ(
            "2026-11-23 08:00:00 Mon", next("0,15,30,45 8-18 * * mon-fri", "2026-11-21 10:00:00"));
    EXPECT_EQ("2027-01-01 00:00:00 Fri", next("@yearly", "2026-11-21 10:00:00"));
    EXPECT_EQ("2026-11-22 00:00:00 Sun", next("@weekly", "2026-11-21 10:00:00"));
    EXPECT_EQ("2026-12-31 23:59:00 Thu", next("59 23 31 dec *", "2026-11-21 10:00:00"));
    EXPECT_EQ("2028-02-29 12:00:00 Tue", next("0 12 29 2 *", "2026-11-21 10:00:00"));
}

TEST(Calendar, SundayIsNoughtAndSeven)
{
    EXPECT_EQ("2026-11-22 06:00:00 Sun", next("0 6 * * 0", "2026-11-21 10:00:00"));
    EXPECT_EQ("2026-11-22 06:00:00 Sun", next("0 6 * * 7", "2026-11-21 10:00:00"));
    EXPECT_EQ("2026-11-21 06:00:00 Sat", next("0 6 * * 5-7", "2026-11-20 10:00:00"));
}

TEST(Calendar, EitherKindOfDayIsEnoughIfBothAreNamed)
{
    EXPECT_EQ("2026-11-23 00:00:00 Mon", next("0 0 13 * mon", "2026-11-21 10:00:00"));
    EXPECT_EQ("2026-12-13 00:00:00 Sun", next("0 0 13 * mon", "2026-12-07 10:00:00"));
    EXPECT_EQ("2026-12-13 00:00:00 Sun", next("0 0 13 * *", "2026-11-21 10:00:00"));
}

TEST(Calendar, CountsInItsOwnZone)
{
    EXPECT_EQ("2026-11-21 23:00:00 Sat", next("0 0 * * *", "2026-11-21 10:00:00", 3600));
    EXPECT_EQ("2026-11-22 05:00:00 Sun", next("@daily", "2026-11-21 10:00:00", -5 * 3600));
}

TEST(Calendar, RefusesWhatIsNone)
{
    for (const char *bad : {"", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *",
                 "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *",
                 "a * * * *", "1, * * * *", "1- * * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *",
                 "99999999999 * * * *", "* * * * monday", "@never", "-1 * * * *"})
        EXPECT_EQ("refused", next(bad, "2026-11-21 10:00:00")) << bad;
}

TEST(Calendar, OfZeroesHasNoTime)
{
    const coil_calendar none = {};
    EXPECT_FALSE(coil_calendar_set(&none));
    EXPECT_EQ(INT64_MAX, coil_calendar_next(&none, 0));
}

/* Minute by minute, as gmtime(3) sees them. */
TEST(Calendar, AgreesWithASearch)
{
    std::minstd_rand random(7);
    for (int round = 0; round < 300; round++) {
        const unsigned long hour = random() % 24;
        const unsigned long minute = random() % 60;
        const unsigned long day = 1 + random() % 28;
        const std::string line = std::to_string(minute) + " " + std::to_string(hour) + " " +
                                 std::to_string(day) + " * *";
        const int64_t start = static_cast<int64_t>(random()) * (round % 2 == 0 ? 1 : -1) / 2;
        coil_calendar calendar;
        ASSERT_EQ(0, coil_calendar_parse(line.c_str(), 0, &calendar));
        const int64_t found = coil_calendar_next(&calendar, start);
        struct tm when = {};
        const time_t at = found;
        gmtime_r(&at, &when);
        EXPECT_EQ(static_cast<int>(minute), when.tm_min);
        EXPECT_EQ(static_cast<int>(hour), when.tm_hour);
        EXPECT_EQ(static_cast<int>(day), when.tm_mday);
        EXPECT_GT(found, start);
        EXPECT_LE(found - start, 31 * 86400);
    }
}

} // namespace
