/* SPDX-License-Identifier: MIT */
#include <coil/time.h>

#include <gtest/gtest.h>

TEST(Duration, IsCountedInNanoseconds)
{
    EXPECT_EQ(7, coil_ns(7));
    EXPECT_EQ(7000, coil_us(7));
    EXPECT_EQ(7000000, coil_ms(7));
    EXPECT_EQ(7000000000, coil_s(7));
    EXPECT_EQ(-20000000, coil_ms(-20));
}

TEST(Duration, SaturatesInBothDirections)
{
    EXPECT_EQ(COIL_FOREVER, coil_s(INT64_MAX));
    EXPECT_EQ(COIL_FOREVER, coil_us(INT64_MAX / 1000 + 1));
    EXPECT_EQ(INT64_MIN, coil_s(INT64_MIN));
    EXPECT_EQ(INT64_MIN, coil_ms(INT64_MIN / 1000000 - 1));
}

TEST(Duration, DoesNotSaturateEarly)
{
    EXPECT_EQ(INT64_MAX / 1000 * 1000, coil_us(INT64_MAX / 1000));
    EXPECT_EQ(INT64_MIN / 1000 * 1000, coil_us(INT64_MIN / 1000));
}

TEST(TimeAfter, AddsADuration)
{
    EXPECT_EQ(1500, coil_time_after(500, coil_us(1)));
    EXPECT_EQ(500, coil_time_after(1500, -coil_us(1)));
    EXPECT_EQ(500, coil_time_after(500, 0));
}

TEST(TimeAfter, NeverComesIfItOverflows)
{
    EXPECT_EQ(COIL_NEVER, coil_time_after(INT64_MAX - 1, 2));
    EXPECT_EQ(INT64_MAX - 1, coil_time_after(INT64_MAX - 2, 1));
}

TEST(TimeAfter, NeverComesIfEitherSideNeverEnds)
{
    EXPECT_EQ(COIL_NEVER, coil_time_after(COIL_NEVER, 0));
    EXPECT_EQ(COIL_NEVER, coil_time_after(COIL_NEVER, -1));
    EXPECT_EQ(COIL_NEVER, coil_time_after(0, COIL_FOREVER));
    EXPECT_EQ(COIL_NEVER, coil_time_after(INT64_MIN, COIL_FOREVER));
}

TEST(TimeAfter, SaturatesInThePast)
{
    EXPECT_EQ(INT64_MIN, coil_time_after(INT64_MIN + 1, -2));
}
