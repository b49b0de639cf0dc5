/* SPDX-License-Identifier: MIT */
#include <coil/metrics_flat.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A name in the making. */
typedef struct flat_name {
    char text[COIL_FLAT_NAME_BYTES_MAX + 1];
    size_t size;
    bool is_too_long;
} flat_name;

static void append(flat_name *name, const char *text)
{
    const size_t size = strlen(text);

    if (size > COIL_FLAT_NAME_BYTES_MAX - name->size) {
        name->is_too_long = true;
        return;
    }
    memcpy(name->text + name->size, text, size + 1);
    name->size += size;
}

static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || strchr("_-:/", byte) != NULL;
}

static void append_plain(flat_name *name, const char *text)
{
    const size_t begin = name->size;

    append(name, text);
    for (size_t i = begin; i < name->size; i++) {
        if (!is_plain(name->text[i]))
            name->text[i] = '_';
    }
}

static const char *unit_ending(enum coil_metric_unit unit)
{
    switch (unit) {
    case COIL_METRIC_NS:
        return "_us";
    case COIL_METRIC_BYTES:
        return "_bytes";
    case COIL_METRIC_NUMBER:
        break;
    }
    return "";
}

/* What all values of a metric begin with. */
static void begin_name(flat_name *name, const coil_metric *metric)
{
    const char *last_dot = strrchr(metric->name, '.');

    name->size = 0;
    name->is_too_long = false;
    for (uint32_t i = 0; i < metric->label_count; i++) {
        append_plain(name, metric->labels[i].value);
        append(name, ".");
    }
    append(name, metric->label_count > 0 && last_dot != NULL ? last_dot + 1 : metric->name);
    append(name, unit_ending(metric->unit));
}

static int64_t in_range(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* As the name's unit has it: microseconds of nanoseconds. */
static int64_t in_unit(const coil_metric *metric, uint64_t value)
{
    return in_range(metric->unit == COIL_METRIC_NS ? value / 1000 : value);
}

/* Give one value under the name with `.statistic` and `.window` behind it. */
static void give(flat_name *name, const char *statistic, enum coil_metric_window window,
        int64_t value, coil_flat_values *values)
{
    const size_t begin = name->size;
    const int64_t window_s = coil_metric_window_s(window);
    char ending[32];

    (void)snprintf(
            ending, sizeof(ending), window_s > 0 ? ".%s.%d" : ".%s", statistic, (int)window_s);
    append(name, ending);
    if (!name->is_too_long)
        values->take(values, name->text, name->size, value);
    name->size = begin;
    name->is_too_long = false;
}

static void flatten_counter(
        flat_name *name, coil_counter *counter, coil_time now, coil_flat_values *values)
{
    const coil_metric *metric = &counter->metric;

    for (int i = 0; i < COIL_METRIC_WINDOW_COUNT; i++) {
        const enum coil_metric_window window = (enum coil_metric_window)i;
        give(name, "sum", window, in_unit(metric, coil_counter_sum(counter, window, now)), values);
        give(name, "rate", window, in_unit(metric, coil_counter_rate(counter, window, now)),
                values);
    }
}

static void flatten_distribution(
        flat_name *name, coil_distribution *distribution, coil_time now, coil_flat_values *values)
{
    const coil_metric *metric = &distribution->metric;
    coil_metric_summary summary;

    for (int i = 0; i < COIL_METRIC_WINDOW_COUNT; i++) {
        const enum coil_metric_window window = (enum coil_metric_window)i;
        coil_distribution_read(distribution, window, now, &summary);
        const uint64_t rate = coil_metric_rate(summary.sum, summary.covered);
        give(name, "count", window, in_range(summary.count), values);
        give(name, "sum", window, in_unit(metric, summary.sum), values);
        give(name, "avg", window, in_unit(metric, summary.average), values);
        give(name, "rate", window, in_unit(metric, rate), values);
        give(name, "p50", window, in_unit(metric, summary.p50), values);
        give(name, "p95", window, in_unit(metric, summary.p95), values);
        give(name, "p99", window, in_unit(metric, summary.p99), values);
        give(name, "p99.9", window, in_unit(metric, summary.p999), values);
    }
}

static void flatten_gauge(const flat_name *name, const coil_gauge *gauge, coil_flat_values *values)
{
    const bool is_ns = gauge->metric.unit == COIL_METRIC_NS;

    values->take(values, name->text, name->size, is_ns ? gauge->value / 1000 : gauge->value);
}

static void flatten(flat_name *name, coil_metric *metric, coil_time now, coil_flat_values *values)
{
    switch (metric->kind) {
    case COIL_METRIC_COUNTER:
        flatten_counter(name, coil_container_of(metric, coil_counter, metric), now, values);
        break;
    case COIL_METRIC_GAUGE:
        flatten_gauge(name, coil_container_of(metric, coil_gauge, metric), values);
        break;
    case COIL_METRIC_DISTRIBUTION:
        flatten_distribution(
                name, coil_container_of(metric, coil_distribution, metric), now, values);
        break;
    }
}

void coil_metric_flatten(coil_metric *metric, coil_time now, coil_flat_values *values)
{
    flat_name name;

    begin_name(&name, metric);
    if (!name.is_too_long)
        flatten(&name, metric, now, values);
}

void coil_metrics_flatten(coil_metrics *metrics, coil_time now, coil_flat_values *values)
{
    for (uint32_t i = 0; i < metrics->count; i++)
        coil_metric_flatten(metrics->metrics[i], now, values);
}

/* Takes the one value that is looked for. */
typedef struct search {
    coil_flat_values values;
    const char *name;
    size_t size;
    bool found;
    int64_t value;
} search;

static void compare_and_take(coil_flat_values *values, const char *name, size_t size, int64_t value)
{
    search *self = coil_container_of(values, search, values);

    if (size == self->size && memcmp(name, self->name, size) == 0) {
        self->found = true;
        self->value = value;
    }
}

int coil_metrics_find_flat(
        coil_metrics *metrics, coil_time now, const char *name, size_t size, int64_t *out_value)
{
    search self = {.values = {.take = compare_and_take}, .name = name, .size = size};
    flat_name common;

    for (uint32_t i = 0; i < metrics->count && !self.found; i++) {
        begin_name(&common, metrics->metrics[i]);
        if (common.is_too_long || common.size > size || memcmp(common.text, name, common.size) != 0)
            continue;
        flatten(&common, metrics->metrics[i], now, &self.values);
    }
    if (!self.found)
        return -ENOENT;
    *out_value = self.value;
    return 0;
}
