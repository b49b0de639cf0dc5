/* SPDX-License-Identifier: MIT */
#include "metrics_stage.h"

#include <cstring>

namespace
{

class Metrics : public MetricsStage
{
};

/* ---------------------------------------------------------------------------------- windows -- */

TEST_F(Metrics, ACounterIsInEachWindowForAsLongAsThatLasts)
{
    coil_counter *calls = counter("calls");
    coil_counter_add(calls, 5, coil_s(1));

    EXPECT_EQ(5U, coil_counter_sum(calls, COIL_METRIC_MINUTE, coil_s(1)));
    EXPECT_EQ(5U, coil_counter_sum(calls, COIL_METRIC_MINUTE, coil_s(60) - 1));
    EXPECT_EQ(0U, coil_counter_sum(calls, COIL_METRIC_MINUTE, coil_s(60)));
    EXPECT_EQ(5U, coil_counter_sum(calls, COIL_METRIC_TEN_MINUTES, coil_s(600) - 1));
    EXPECT_EQ(0U, coil_counter_sum(calls, COIL_METRIC_TEN_MINUTES, coil_s(600)));
    EXPECT_EQ(5U, coil_counter_sum(calls, COIL_METRIC_HOUR, coil_s(3600) - 1));
    EXPECT_EQ(0U, coil_counter_sum(calls, COIL_METRIC_HOUR, coil_s(3600)));
    EXPECT_EQ(5U, coil_counter_sum(calls, COIL_METRIC_ALL_TIME, coil_s(1000000)));
}

TEST_F(Metrics, AWindowMovesByTenths)
{
    coil_counter *calls = counter("calls");
    for (int second = 0; second < 7200; second++)
        coil_counter_add(calls, 1, coil_s(second));

    /* At 7199.5 the newest tenths have 6, 60 and 360 s, all nine before are full. */
    const coil_time now = coil_s(7199) + coil_ms(500);
    EXPECT_EQ(60U, coil_counter_sum(calls, COIL_METRIC_MINUTE, now));
    EXPECT_EQ(600U, coil_counter_sum(calls, COIL_METRIC_TEN_MINUTES, now));
    EXPECT_EQ(3600U, coil_counter_sum(calls, COIL_METRIC_HOUR, now));
    EXPECT_EQ(7200U, coil_counter_sum(calls, COIL_METRIC_ALL_TIME, now));
    /* One second later each has given its oldest tenth away. */
    EXPECT_EQ(54U, coil_counter_sum(calls, COIL_METRIC_MINUTE, coil_s(7200)));
    EXPECT_EQ(540U, coil_counter_sum(calls, COIL_METRIC_TEN_MINUTES, coil_s(7200)));
    EXPECT_EQ(3240U, coil_counter_sum(calls, COIL_METRIC_HOUR, coil_s(7200)));
}

TEST_F(Metrics, ARateIsOverTheTimeThatTheWindowCovers)
{
    coil_counter *calls = counter("calls");
    coil_counter_add(calls, 300, coil_s(1));
    EXPECT_EQ(300U, coil_counter_rate(calls, COIL_METRIC_MINUTE, coil_s(1)));
    EXPECT_EQ(100U, coil_counter_rate(calls, COIL_METRIC_MINUTE, coil_s(3)));
    EXPECT_EQ(5U, coil_counter_rate(calls, COIL_METRIC_MINUTE, coil_s(60) - 1));
    EXPECT_EQ(3U, coil_counter_rate(calls, COIL_METRIC_TEN_MINUTES, coil_s(100)));
    EXPECT_EQ(1U, coil_counter_rate(calls, COIL_METRIC_ALL_TIME, coil_s(300)));
}

TEST_F(Metrics, AClockMayBeginBeforeZeroAndStandStill)
{
    coil_metrics_fini(&metrics);
    coil_metrics_init(&metrics, coil_s(-100));
    coil_counter *calls = counter("calls");
    coil_counter_add(calls, 1, coil_s(-100));
    coil_counter_add(calls, 1, coil_s(-3));
    coil_counter_add(calls, 1, coil_s(3));
    coil_counter_add(calls, 1, coil_s(2)); /* Back: into what is open. */
    EXPECT_EQ(3U, coil_counter_sum(calls, COIL_METRIC_MINUTE, coil_s(5)));
    EXPECT_EQ(2U, coil_counter_sum(calls, COIL_METRIC_MINUTE, coil_s(54)));
    EXPECT_EQ(4U, coil_counter_sum(calls, COIL_METRIC_TEN_MINUTES, coil_s(54)));
}

TEST_F(Metrics, ADistributionIsInEachWindowForAsLongAsThatLasts)
{
    coil_distribution *took = distribution("took");
    for (uint64_t i = 1; i <= 100; i++)
        coil_distribution_add(took, i <= 90 ? 10 : 30, coil_s(1));

    coil_metric_summary summary = read(took, COIL_METRIC_MINUTE, coil_s(59));
    EXPECT_EQ(100U, summary.count);
    EXPECT_EQ(coil_s(59), summary.covered);
    coil_distribution_add(took, 1000, coil_s(70));
    summary = read(took, COIL_METRIC_MINUTE, coil_s(71));
    EXPECT_EQ(1U, summary.count);
    EXPECT_EQ(1000U, summary.sum);
    EXPECT_EQ(1000U, summary.max);
    EXPECT_EQ(coil_s(71 - 12), summary.covered);

    summary = read(took, COIL_METRIC_TEN_MINUTES, coil_s(71));
    EXPECT_EQ(101U, summary.count);
    EXPECT_EQ(900U + 300U + 1000U, summary.sum);
    EXPECT_EQ(21U, summary.average);
    EXPECT_EQ(10U, summary.p50);
    EXPECT_EQ(30U, summary.p95);
    EXPECT_EQ(30U, summary.p99);
    EXPECT_EQ(1000U, summary.max);
    EXPECT_EQ(coil_s(71), summary.covered);

    EXPECT_EQ(0U, read(took, COIL_METRIC_TEN_MINUTES, coil_s(800)).count);
    EXPECT_EQ(101U, read(took, COIL_METRIC_HOUR, coil_s(3599)).count);
    EXPECT_EQ(1000U, read(took, COIL_METRIC_HOUR, coil_s(3599)).p999);
    EXPECT_EQ(0U, read(took, COIL_METRIC_HOUR, coil_s(3600)).count);
    EXPECT_EQ(101U, read(took, COIL_METRIC_ALL_TIME, coil_s(100000)).count);
    EXPECT_EQ(10U, read(took, COIL_METRIC_ALL_TIME, coil_s(100000)).p50);
}

TEST_F(Metrics, ADistributionSaysNothingBeforeTheFirstObservation)
{
    coil_distribution *took = distribution("took");
    const coil_metric_summary summary = read(took, COIL_METRIC_MINUTE, coil_s(10));
    EXPECT_EQ(0U, summary.count);
    EXPECT_EQ(0U, summary.p99);
    EXPECT_EQ(nullptr, took->open); /* And costs nothing. */
}

TEST_F(Metrics, TheLargestValuesCountToo)
{
    coil_distribution *took = distribution("took");
    coil_distribution_add(took, UINT64_MAX, 1);
    coil_distribution_add(took, UINT64_MAX, 1);
    const coil_metric_summary summary = read(took, COIL_METRIC_ALL_TIME, coil_s(10));
    EXPECT_EQ(2U, summary.count);
    EXPECT_EQ(UINT64_MAX, summary.p50);
    EXPECT_EQ(UINT64_MAX, summary.max);
}

/* --------------------------------------------------------------------------------- registry -- */

TEST_F(Metrics, TheSameNameAndLabelsAreTheSameMetric)
{
    EXPECT_EQ(counter("a.b"), counter("a.b"));
    coil_counter *one = labelled(&metrics, "calls", {{"method", "one"}});
    EXPECT_NE(nullptr, one);
    EXPECT_NE(one, labelled(&metrics, "calls", {{"method", "two"}}));
    EXPECT_EQ(one, labelled(&metrics, "calls", {{"method", "one"}}));
    EXPECT_EQ(0U, metrics.refused);
    EXPECT_EQ(3U, metrics.count);
}

TEST_F(Metrics, AreInTheOrderOfTheirNamesAndLabels)
{
    (void)labelled(&metrics, "m", {{"method", "b"}});
    (void)counter("z");
    (void)labelled(&metrics, "m", {{"method", "a"}});
    (void)counter("a");
    (void)labelled(&metrics, "m", {{"method", "c"}});
    std::string order;
    for (uint32_t i = 0; i < metrics.count; i++) {
        const coil_metric *metric = metrics.metrics[i];
        order += metric->name;
        order += metric->label_count > 0 ? metric->labels[0].value : "";
        order += " ";
    }
    EXPECT_EQ("a ma mb mc z ", order);
}

TEST_F(Metrics, RefusesWhatIsNoName)
{
    for (const char *name : {"", ".", "a.", ".a", "a..b", "1a", "a-b", "a b", "\xc3\xa4"})
        EXPECT_EQ(nullptr, counter(name)) << name;
    EXPECT_EQ(nullptr, counter(std::string(COIL_METRIC_TEXT_BYTES_MAX + 1, 'x').c_str()));
    EXPECT_EQ(nullptr, labelled(&metrics, "a", {{"quantile", "1"}}));
    EXPECT_EQ(nullptr, labelled(&metrics, "a", {{"le", "1"}}));
    EXPECT_EQ(nullptr, labelled(&metrics, "a", {{"a.b", "1"}}));
    EXPECT_EQ(nullptr, labelled(&metrics, "a", std::vector<coil_metric_label>(9, {"a", "b"})));
    EXPECT_EQ(14U, metrics.refused);
    EXPECT_EQ(0U, metrics.count);
}

TEST_F(Metrics, RefusesANameThatIsOfAnotherKindOrHasOtherLabels)
{
    ASSERT_NE(nullptr, counter("a.b"));
    ASSERT_NE(nullptr, labelled(&metrics, "m", {{"method", "b"}}));
    EXPECT_EQ(nullptr, gauge("a.b"));
    EXPECT_EQ(nullptr, distribution("a.b"));
    EXPECT_EQ(nullptr, counter("a_b")); /* The same once dots are underscores. */
    EXPECT_EQ(nullptr, counter("m"));
    EXPECT_EQ(nullptr, labelled(&metrics, "m", {{"service", "a"}}));
    EXPECT_EQ(nullptr, labelled(&metrics, "m", {{"service", "z"}}));
    EXPECT_EQ(nullptr, labelled(&metrics, "m", {{"method", "b"}, {"more", "c"}}));
}

TEST_F(Metrics, HasAtMostSoManyAndGoesOnWithoutTheOthers)
{
    metrics.count_max = 2;
    coil_counter *first = counter("a");
    ASSERT_NE(nullptr, counter("b"));
    EXPECT_EQ(nullptr, counter("c"));
    EXPECT_EQ(first, counter("a"));
    EXPECT_EQ(1U, metrics.refused);

    coil_counter_add(nullptr, 1, 0);
    coil_gauge_set(nullptr, 1);
    coil_distribution_add(nullptr, 1, 0);
    EXPECT_EQ(0U, coil_counter_sum(nullptr, COIL_METRIC_MINUTE, 0));
    EXPECT_EQ(0U, coil_counter_rate(nullptr, COIL_METRIC_MINUTE, 0));
    EXPECT_EQ(0U, read(nullptr, COIL_METRIC_MINUTE, 0).count);
}

TEST_F(Metrics, KeepsCopiesOfItsTexts)
{
    std::string name = "calls";
    std::string value = "buy";
    coil_counter *made = labelled(&metrics, name.c_str(), {{"method", value.c_str()}});
    name = "gone!";
    value = "too";
    EXPECT_STREQ("calls", made->metric.name);
    EXPECT_STREQ("buy", made->metric.labels[0].value);
    EXPECT_STREQ("", made->metric.help);
}

/* Counts how often it was asked. */
struct Thermometer {
    coil_metric_source source;
    int asked;
};

void measure(coil_metric_source *source, coil_metrics *in, coil_time now)
{
    Thermometer *self = reinterpret_cast<Thermometer *>(source);
    coil_metric_about text = {};
    text.name = "heat";
    self->asked++;
    coil_gauge_set(coil_metrics_gauge(in, &text), now);
}

TEST_F(Metrics, AsksSourcesUntilTheyAreForgotten)
{
    Thermometer thermometer = {};
    thermometer.source.refresh = measure;
    coil_metrics_ask(&metrics, &thermometer.source);
    coil_metrics_refresh(&metrics, 7);
    coil_metrics_merge(&others, &metrics, 8);
    EXPECT_EQ(2, thermometer.asked);
    EXPECT_EQ(8, gauge("heat")->value);
    coil_metrics_forget(&thermometer.source);
    coil_metrics_forget(&thermometer.source);
    coil_metrics_refresh(&metrics, 9);
    EXPECT_EQ(2, thermometer.asked);
}

/* ---------------------------------------------------------------------------------- merging -- */

TEST_F(Metrics, MergedAreAsIfObservedInOne)
{
    coil_metrics loops[3];
    coil_metrics all;
    coil_metrics_init(&all, 0);
    for (coil_metrics &loop : loops)
        coil_metrics_init(&loop, 0);

    const coil_metric_about took = about("took", COIL_METRIC_NS);
    for (int i = 0; i < 9000; i++) {
        const coil_time now = coil_ms(500) * i;
        const uint64_t value = static_cast<uint64_t>(i) * 7919 % 100000;
        coil_metrics *loop = &loops[i % 3];
        coil_counter_add(labelled(loop, "calls", {{"m", i % 2 == 0 ? "x" : "y"}}), 1, now);
        coil_counter_add(labelled(&all, "calls", {{"m", i % 2 == 0 ? "x" : "y"}}), 1, now);
        coil_distribution_add(coil_metrics_distribution(loop, &took), value, now);
        coil_distribution_add(coil_metrics_distribution(&all, &took), value, now);
    }
    /* The clocks of the loops differ by a little, and a slice has just ended. */
    const coil_time now = coil_s(4500);
    for (int i = 0; i < 3; i++)
        coil_metrics_merge(&metrics, &loops[i], now - (i == 1 ? 1 : 0));

    EXPECT_EQ(0U, metrics.refused);
    EXPECT_EQ(text_of(&all, now), text_of(&metrics, now));
    for (int i = 0; i < COIL_METRIC_WINDOW_COUNT; i++) {
        const auto window = static_cast<enum coil_metric_window>(i);
        const coil_metric_summary want = read(coil_metrics_distribution(&all, &took), window, now);
        const coil_metric_summary got =
                read(coil_metrics_distribution(&metrics, &took), window, now);
        EXPECT_GT(want.count, 0U);
        EXPECT_EQ(0, memcmp(&want, &got, sizeof(want))) << i;
        EXPECT_EQ(coil_counter_sum(labelled(&all, "calls", {{"m", "x"}}), window, now),
                coil_counter_sum(labelled(&metrics, "calls", {{"m", "x"}}), window, now));
    }
    for (coil_metrics &loop : loops)
        coil_metrics_fini(&loop);
    coil_metrics_fini(&all);
}

TEST_F(Metrics, GaugesFoldAsTheySay)
{
    coil_metric_about largest = about("memory", COIL_METRIC_BYTES);
    largest.fold = COIL_METRIC_LARGEST;
    const coil_metric_about sum = about("open");
    for (int64_t value : {3, -5, 4}) {
        coil_metrics loop;
        coil_metrics_init(&loop, 0);
        coil_gauge_set(coil_metrics_gauge(&loop, &largest), value - 10);
        coil_gauge_set(coil_metrics_gauge(&loop, &sum), value);
        coil_metrics_merge(&metrics, &loop, 0);
        coil_metrics_fini(&loop);
    }
    EXPECT_EQ(-6, coil_metrics_gauge(&metrics, &largest)->value);
    EXPECT_EQ(2, coil_metrics_gauge(&metrics, &sum)->value);
}

} // namespace
