/* SPDX-License-Identifier: MIT */
#include "metrics_stage.h"

#include <coil/metrics_flat.h>

#include <cerrno>
#include <cstring>
#include <map>

namespace
{

class Metrics : public MetricsStage
{
};

/* ------------------------------------------------------------------------------- flat names -- */

struct Taken {
    coil_flat_values values;
    std::map<std::string, int64_t> by_name;
};

void take(coil_flat_values *values, const char *name, size_t size, int64_t value)
{
    Taken *self = reinterpret_cast<Taken *>(values);
    EXPECT_EQ(strlen(name), size);
    EXPECT_TRUE(self->by_name.emplace(name, value).second) << name;
}

TEST_F(Metrics, HaveFlatNamesAsFb303Has)
{
    std::vector<coil_metric_label> labels = {{"service", "Shop"}, {"method", "buy it"}};
    coil_metric_about took = about("thrift.latency", COIL_METRIC_NS);
    took.labels = labels.data();
    took.label_count = 2;
    coil_distribution_add(coil_metrics_distribution(&metrics, &took), 25000, coil_s(1));
    coil_counter_add(labelled(&metrics, "thrift.num_calls", labels), 120, coil_s(1));
    coil_gauge_set(gauge("thrift.open_connections"), -7);

    Taken taken = {};
    taken.values.take = take;
    coil_metrics_flatten(&metrics, coil_s(2), &taken.values);
    EXPECT_EQ(32U + 8U + 1U, taken.by_name.size());
    EXPECT_EQ(120, taken.by_name.at("Shop.buy_it.num_calls.sum.60"));
    EXPECT_EQ(60, taken.by_name.at("Shop.buy_it.num_calls.rate.600"));
    EXPECT_EQ(120, taken.by_name.at("Shop.buy_it.num_calls.sum"));
    EXPECT_EQ(25, taken.by_name.at("Shop.buy_it.latency_us.p99.60"));
    EXPECT_EQ(25, taken.by_name.at("Shop.buy_it.latency_us.p99.9.3600"));
    EXPECT_EQ(1, taken.by_name.at("Shop.buy_it.latency_us.count"));
    EXPECT_EQ(12, taken.by_name.at("Shop.buy_it.latency_us.rate"));
    EXPECT_EQ(-7, taken.by_name.at("thrift.open_connections"));

    for (const auto &[name, value] : taken.by_name) {
        int64_t found = 0;
        ASSERT_EQ(0, coil_metrics_find_flat(&metrics, coil_s(2), name.data(), name.size(), &found));
        EXPECT_EQ(value, found) << name;
    }
    int64_t unset = 5;
    for (const char *name : {"", "Shop", "Shop.buy_it.num_calls", "Shop.buy_it.num_calls.sum.61"})
        EXPECT_EQ(-ENOENT, coil_metrics_find_flat(&metrics, 0, name, strlen(name), &unset));
    EXPECT_EQ(5, unset);
}

TEST_F(Metrics, LeaveFlatNamesOutThatAreTooLong)
{
    const std::string value(COIL_METRIC_TEXT_BYTES_MAX, 'x');
    ASSERT_NE(nullptr, labelled(&metrics, "a", {{"b", value.c_str()}, {"c", value.c_str()}}));
    ASSERT_NE(nullptr, labelled(&metrics, "d", {{"b", value.substr(6).c_str()}}));
    Taken taken = {};
    taken.values.take = take;
    coil_metrics_flatten(&metrics, 0, &taken.values);
    EXPECT_EQ(1U, taken.by_name.size()); /* Of the second, "sum" without a window alone has room. */
}

/* ------------------------------------------------------------------------------ OpenMetrics -- */

TEST_F(Metrics, AreOpenMetricsText)
{
    std::vector<coil_metric_label> labels = {{"service", "Shop"}, {"method", "buy"}};
    coil_metric_about took = about("thrift.latency", COIL_METRIC_NS);
    took.help = "A line\nand \"another\" \\ one.";
    took.labels = labels.data();
    took.label_count = 2;
    for (int i = 0; i < 10; i++)
        coil_distribution_add(coil_metrics_distribution(&metrics, &took), 16, coil_s(1));
    labels[1].value = "se\"ll\\\n\xff\xc3\xa4";
    (void)coil_metrics_distribution(&metrics, &took);
    coil_counter_add(counter("jobs"), 12, coil_s(1));
    coil_metric_about memory = about("memory", COIL_METRIC_BYTES);
    coil_gauge_set(coil_metrics_gauge(&metrics, &memory), -5);

    EXPECT_EQ("# TYPE jobs counter\n"
              "jobs_total 12\n"
              "# TYPE memory_bytes gauge\n"
              "# UNIT memory_bytes bytes\n"
              "memory_bytes -5\n"
              "# TYPE thrift_latency_seconds summary\n"
              "# UNIT thrift_latency_seconds seconds\n"
              "# HELP thrift_latency_seconds A line\\nand \\\"another\\\" \\\\ one.\n"
              "thrift_latency_seconds{service=\"Shop\",method=\"buy\",quantile=\"0.5\"} "
              "0.000000016\n"
              "thrift_latency_seconds{service=\"Shop\",method=\"buy\",quantile=\"0.95\"} "
              "0.000000016\n"
              "thrift_latency_seconds{service=\"Shop\",method=\"buy\",quantile=\"0.99\"} "
              "0.000000016\n"
              "thrift_latency_seconds{service=\"Shop\",method=\"buy\",quantile=\"0.999\"} "
              "0.000000016\n"
              "thrift_latency_seconds_count{service=\"Shop\",method=\"buy\"} 10\n"
              "thrift_latency_seconds_sum{service=\"Shop\",method=\"buy\"} 0.000000160\n"
              "thrift_latency_seconds_count{service=\"Shop\",method=\"se\\\"ll\\\\\\n?\xc3\xa4\"} "
              "0\n"
              "thrift_latency_seconds_sum{service=\"Shop\",method=\"se\\\"ll\\\\\\n?\xc3\xa4\"} "
              "0.000000000\n"
              "# EOF\n",
            text_of(&metrics, coil_s(2)));
}

TEST_F(Metrics, AreCutToTheRoomThereIs)
{
    (void)counter("jobs");
    const std::string whole = text_of(&metrics, 0);
    for (size_t size = 0; size <= whole.size() + 1; size++) {
        std::vector<char> text(size + 1, '#');
        EXPECT_EQ(whole.size(), coil_open_metrics_format(&metrics, 0, text.data(), size));
        EXPECT_EQ('#', text[size]);
        if (size > 0) {
            EXPECT_EQ(whole.substr(0, size - 1), text.data());
        }
    }
}

struct Refuser {
    coil_text_sink sink;
    int calls;
};

int refuse(coil_text_sink *sink, const char *text, size_t size)
{
    EXPECT_NE(nullptr, text);
    EXPECT_GT(size, 0U);
    reinterpret_cast<Refuser *>(sink)->calls++;
    return -EPIPE;
}

TEST_F(Metrics, StopWhenTheSinkRefuses)
{
    Refuser refuser = {};
    refuser.sink.write = refuse;
    for (int i = 0; i < 1000; i++)
        (void)counter(("c" + std::to_string(i)).c_str());
    EXPECT_EQ(-EPIPE, coil_open_metrics_write(&metrics, 0, &refuser.sink));
    EXPECT_EQ(1, refuser.calls);
}

} // namespace
