/* SPDX-License-Identifier: MIT */
#include <coil/histogram.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace
{

class Histogram : public testing::TestWithParam<uint32_t>
{
protected:
    void TearDown() override
    {
        coil_histogram_fini(&histogram);
        coil_histogram_fini(&other);
    }

    void make(uint32_t bits, uint64_t value_max)
    {
        ASSERT_EQ(0, coil_histogram_init(&histogram, bits, value_max));
        ASSERT_EQ(0, coil_histogram_init(&other, bits, value_max));
    }

    coil_histogram histogram = {};
    coil_histogram other = {};
};

TEST_P(Histogram, HasABucketForEveryValueAndEachBeginsWhereTheLastEnds)
{
    const uint32_t bits = GetParam();
    const uint32_t last = coil_histogram_bucket(bits, UINT64_MAX);
    for (uint32_t i = 0; i < last; i++) {
        const uint64_t low = coil_histogram_low(bits, i);
        const uint64_t next = coil_histogram_low(bits, i + 1);
        ASSERT_LT(low, next) << i;
        ASSERT_EQ(i, coil_histogram_bucket(bits, low));
        ASSERT_EQ(i, coil_histogram_bucket(bits, next - 1));
        ASSERT_EQ(i + 1, coil_histogram_bucket(bits, next));
    }
}

TEST_P(Histogram, IsOffByNoMoreThanItSays)
{
    const uint32_t bits = GetParam();
    const double error_max = 1.0 / static_cast<double>(2U << bits);
    std::mt19937_64 random(1);
    for (int i = 0; i < 10000; i++) {
        const uint64_t value = random() >> (random() % 63);
        const uint64_t middle = coil_histogram_middle(bits, coil_histogram_bucket(bits, value));
        const double off = static_cast<double>(middle > value ? middle - value : value - middle);
        ASSERT_LE(off, error_max * static_cast<double>(value)) << value;
        if (value < 2U << bits) {
            ASSERT_EQ(value, middle);
        }
    }
}

TEST_P(Histogram, GivesTheQuantilesOfTheSortedValues)
{
    const uint32_t bits = GetParam();
    make(bits, UINT64_C(1) << 40);
    std::mt19937_64 random(2);
    std::vector<uint64_t> values;
    for (int i = 0; i < 5000; i++) {
        values.push_back(random() >> (24 + random() % 30));
        coil_histogram_add(&histogram, values.back());
    }
    std::sort(values.begin(), values.end());
    for (double share : {0.0, 0.5, 0.95, 0.99, 0.999, 1.0}) {
        const size_t rank = std::min(static_cast<size_t>(share * 5000.0), size_t{4999});
        const double exact = static_cast<double>(values[rank]);
        const double given = static_cast<double>(coil_histogram_quantile(&histogram, share));
        EXPECT_NEAR(exact, given, exact / static_cast<double>(2U << bits)) << share;
    }
}

INSTANTIATE_TEST_SUITE_P(Bits, Histogram, testing::Values(1U, 4U, 7U, 12U));

TEST_F(Histogram, HasTheBucketsThatTheHeaderSays)
{
    make(4, (UINT64_C(1) << 40) - 1);
    EXPECT_EQ(592U, histogram.bucket_count);
    EXPECT_EQ(976U, coil_histogram_bucket(4, UINT64_MAX) + 1);
    EXPECT_EQ(4352U, coil_histogram_bucket(7, (UINT64_C(1) << 40) - 1) + 1);
    EXPECT_EQ(7424U, coil_histogram_bucket(7, UINT64_MAX) + 1);
}

TEST_F(Histogram, SaysNothingOfNoValues)
{
    make(4, 1000);
    EXPECT_EQ(0U, coil_histogram_quantile(&histogram, 0.5));
    EXPECT_EQ(0U, coil_histogram_mean(&histogram));
}

TEST_F(Histogram, CountsValuesAboveItsRangeAndKnowsTheLargest)
{
    make(4, 1000);
    coil_histogram_add(&histogram, 10);
    coil_histogram_add(&histogram, UINT64_MAX);
    coil_histogram_add(&histogram, 5000000);
    EXPECT_EQ(3U, histogram.count);
    EXPECT_EQ(UINT64_MAX, histogram.sum);
    EXPECT_EQ(10U, coil_histogram_quantile(&histogram, 0.1));
    EXPECT_EQ(UINT64_MAX, coil_histogram_quantile(&histogram, 0.9));
}

TEST_F(Histogram, GivesNoQuantileAboveTheLargestValue)
{
    make(4, UINT64_MAX);
    coil_histogram_add(&histogram, 1025); /* Its bucket reaches to 1087, the middle is 1056. */
    EXPECT_EQ(1025U, coil_histogram_quantile(&histogram, 0.5));
}

TEST_F(Histogram, MergedIsAsIfAllHadBeenAddedToOne)
{
    make(4, 1 << 20);
    coil_histogram all = {};
    ASSERT_EQ(0, coil_histogram_init(&all, 4, 1 << 20));
    for (uint64_t i = 0; i < 1000; i++) {
        coil_histogram_add(i % 3 == 0 ? &histogram : &other, i * i);
        coil_histogram_add(&all, i * i);
    }
    coil_histogram_merge(&histogram, &other);
    EXPECT_EQ(all.count, histogram.count);
    EXPECT_EQ(all.sum, histogram.sum);
    EXPECT_EQ(all.max, histogram.max);
    EXPECT_TRUE(std::equal(all.buckets, all.buckets + all.bucket_count, histogram.buckets));
    coil_histogram_fini(&all);
}

TEST_F(Histogram, ForgetsWhenReset)
{
    make(4, 1000);
    coil_histogram_add(&histogram, 500);
    coil_histogram_reset(&histogram);
    EXPECT_EQ(0U, histogram.count);
    EXPECT_EQ(0U, histogram.max);
    EXPECT_EQ(0U, coil_histogram_quantile(&histogram, 1.0));
}

TEST(HistogramDeathTest, OnesOfDifferentShapesCannotBeMerged)
{
    coil_histogram one = {};
    coil_histogram two = {};
    ASSERT_EQ(0, coil_histogram_init(&one, 4, 1000));
    ASSERT_EQ(0, coil_histogram_init(&two, 5, 1000));
    EXPECT_DEATH(coil_histogram_merge(&one, &two), "bits");
    coil_histogram_fini(&one);
    coil_histogram_fini(&two);
}

} // namespace
