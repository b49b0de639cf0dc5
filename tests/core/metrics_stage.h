/* SPDX-License-Identifier: MIT */
/* A registry of metrics, and another one, for tests. */
#ifndef METRICS_STAGE_H
#define METRICS_STAGE_H

#include <coil/metrics.h>
#include <coil/open_metrics.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

/* A clock that the test turns; at 0 a tenth of every window begins. */
class MetricsStage : public testing::Test
{
protected:
    void SetUp() override
    {
        coil_metrics_init(&metrics, 0);
        coil_metrics_init(&others, 0);
    }
    void TearDown() override
    {
        coil_metrics_fini(&metrics);
        coil_metrics_fini(&others);
    }

    static coil_metric_about about(
            const char *name, enum coil_metric_unit unit = COIL_METRIC_NUMBER)
    {
        coil_metric_about text = {};
        text.name = name;
        text.unit = unit;
        return text;
    }

    coil_counter *counter(const char *name)
    {
        const coil_metric_about text = about(name);
        return coil_metrics_counter(&metrics, &text);
    }

    coil_gauge *gauge(const char *name)
    {
        const coil_metric_about text = about(name);
        return coil_metrics_gauge(&metrics, &text);
    }

    coil_distribution *distribution(const char *name)
    {
        const coil_metric_about text = about(name, COIL_METRIC_NS);
        return coil_metrics_distribution(&metrics, &text);
    }

    /* The metric with these labels. */
    coil_counter *labelled(
            coil_metrics *in, const char *name, std::vector<coil_metric_label> labels)
    {
        coil_metric_about text = about(name);
        text.labels = labels.data();
        text.label_count = static_cast<uint32_t>(labels.size());
        return coil_metrics_counter(in, &text);
    }

    static coil_metric_summary read(
            coil_distribution *values, enum coil_metric_window window, coil_time now)
    {
        coil_metric_summary summary = {};
        coil_distribution_read(values, window, now, &summary);
        return summary;
    }

    static std::string text_of(coil_metrics *of, coil_time now)
    {
        std::vector<char> text(coil_open_metrics_format(of, now, nullptr, 0) + 1);
        (void)coil_open_metrics_format(of, now, text.data(), text.size());
        return text.data();
    }

    coil_metrics metrics = {};
    coil_metrics others = {};
};

#endif
