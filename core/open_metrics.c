/* SPDX-License-Identifier: MIT */
#include <coil/open_metrics.h>

#include "metrics_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINES_BYTES = 512, NUMBER_BYTES = 40 };

/* Text on its way, gathered so that the sink is not called for every word. */
typedef struct output {
    coil_text_sink *sink;
    int rc;
    size_t size;
    char bytes[LINES_BYTES];
} output;

static void flush(output *to)
{
    if (to->rc >= 0 && to->size > 0) {
        const int rc = to->sink->write(to->sink, to->bytes, to->size);
        to->rc = rc < 0 ? rc : 0;
    }
    to->size = 0;
}

static void put_byte(output *to, char byte)
{
    if (to->size == sizeof(to->bytes))
        flush(to);
    to->bytes[to->size++] = byte;
}

static void put(output *to, const char *text)
{
    for (; *text != '\0'; text++)
        put_byte(to, *text);
}

/* ----------------------------------------------------------------------------------- names -- */

static const char *unit_name(enum coil_metric_unit unit)
{
    switch (unit) {
    case COIL_METRIC_NS:
        return "seconds";
    case COIL_METRIC_BYTES:
        return "bytes";
    case COIL_METRIC_NUMBER:
        break;
    }
    return NULL;
}

static const char *type_name(enum coil_metric_kind kind)
{
    switch (kind) {
    case COIL_METRIC_COUNTER:
        return "counter";
    case COIL_METRIC_GAUGE:
        return "gauge";
    case COIL_METRIC_DISTRIBUTION:
        return "summary";
    }
    return "unknown";
}

static void put_name(output *to, const coil_metric *metric)
{
    const char *unit = unit_name(metric->unit);

    for (const char *byte = metric->name; *byte != '\0'; byte++) {
        if (*byte == '.') {
            put_byte(to, '_');
        } else {
            put_byte(to, *byte);
        }
    }
    if (unit != NULL) {
        put_byte(to, '_');
        put(to, unit);
    }
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0U) == 0x80U;
}

/* How many bytes the UTF-8 character here has: 0 if it is none, or longer than it has to be. */
static size_t character_size(const char *text)
{
    const unsigned char first = (unsigned char)text[0];
    size_t size = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;

    if ((first >= 0x80 && first < 0xC2) || first > 0xF4)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if (!is_continuation(text[i]))
            return 0;
    }
    const unsigned char second = size > 1 ? (unsigned char)text[1] : 0;
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ||
            (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90))
        return 0;
    return size;
}

/* Text of a label or a help; a byte that is not UTF-8, which the format is, becomes a '?'. */
static void put_escaped(output *to, const char *text)
{
    while (*text != '\0') {
        const size_t size = character_size(text);
        if (*text == '\n') {
            put(to, "\\n");
        } else if (*text == '\\' || *text == '"') {
            put_byte(to, '\\');
            put_byte(to, *text);
        } else if (size == 0) {
            put_byte(to, '?');
        } else {
            for (size_t i = 0; i < size; i++)
                put_byte(to, text[i]);
        }
        text += size == 0 ? 1 : size;
    }
}

static void put_label(output *to, const char *key, const char *value, bool is_first)
{
    put_byte(to, is_first ? '{' : ',');
    put(to, key);
    put(to, "=\"");
    put_escaped(to, value);
    put_byte(to, '"');
}

/* --------------------------------------------------------------------------------- samples -- */

/* `name_ending{labels,quantile="..."} `: all of a line but its number. */
static void begin_sample(
        output *to, const coil_metric *metric, const char *ending, const char *quantile)
{
    put_name(to, metric);
    put(to, ending);
    for (uint32_t i = 0; i < metric->label_count; i++)
        put_label(to, metric->labels[i].key, metric->labels[i].value, i == 0);
    if (quantile != NULL)
        put_label(to, "quantile", quantile, metric->label_count == 0);
    put(to, metric->label_count > 0 || quantile != NULL ? "} " : " ");
}

static void put_number(output *to, uint64_t number)
{
    char text[NUMBER_BYTES];

    (void)snprintf(text, sizeof(text), "%" PRIu64 "\n", number);
    put(to, text);
}

/* In the unit of the name: all digits of seconds, which a double would round. */
static void put_value(output *to, const coil_metric *metric, uint64_t value)
{
    char text[NUMBER_BYTES];

    if (metric->unit != COIL_METRIC_NS) {
        put_number(to, value);
        return;
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64 "\n", value / 1000000000,
            value % 1000000000);
    put(to, text);
}

static void put_counter(output *to, const coil_counter *counter)
{
    begin_sample(to, &counter->metric, "_total", NULL);
    put_value(to, &counter->metric, counter->total);
}

static void put_gauge(output *to, const coil_gauge *gauge)
{
    const uint64_t size = gauge->value < 0 ? 0 - (uint64_t)gauge->value : (uint64_t)gauge->value;

    begin_sample(to, &gauge->metric, "", NULL);
    if (gauge->value < 0)
        put_byte(to, '-');
    put_value(to, &gauge->metric, size);
}

static void put_quantile(
        output *to, const coil_metric *metric, const char *quantile, uint64_t value)
{
    begin_sample(to, metric, "", quantile);
    put_value(to, metric, value);
}

static void put_distribution(output *to, coil_distribution *distribution, coil_time now)
{
    const coil_metric *metric = &distribution->metric;
    coil_metric_summary summary;

    coil_distribution_read(distribution, COIL_METRIC_MINUTE, now, &summary);
    if (summary.count > 0) { /* Of nothing there are no quantiles. */
        put_quantile(to, metric, "0.5", summary.p50);
        put_quantile(to, metric, "0.95", summary.p95);
        put_quantile(to, metric, "0.99", summary.p99);
        put_quantile(to, metric, "0.999", summary.p999);
    }
    coil_distribution_read(distribution, COIL_METRIC_ALL_TIME, now, &summary);
    begin_sample(to, metric, "_count", NULL);
    put_number(to, summary.count);
    begin_sample(to, metric, "_sum", NULL);
    put_value(to, metric, summary.sum);
}

/* -------------------------------------------------------------------------------- families -- */

static void put_about(output *to, const char *word, const coil_metric *metric, const char *what)
{
    put(to, "# ");
    put(to, word);
    put_byte(to, ' ');
    put_name(to, metric);
    put_byte(to, ' ');
    put_escaped(to, what);
    put_byte(to, '\n');
}

static void begin_family(output *to, const coil_metric *metric)
{
    put_about(to, "TYPE", metric, type_name(metric->kind));
    if (unit_name(metric->unit) != NULL)
        put_about(to, "UNIT", metric, unit_name(metric->unit));
    if (metric->help[0] != '\0')
        put_about(to, "HELP", metric, metric->help);
}

static void put_metric(output *to, coil_metric *metric, coil_time now)
{
    switch (metric->kind) {
    case COIL_METRIC_COUNTER:
        put_counter(to, coil_container_of(metric, coil_counter, metric));
        break;
    case COIL_METRIC_GAUGE:
        put_gauge(to, coil_container_of(metric, coil_gauge, metric));
        break;
    case COIL_METRIC_DISTRIBUTION:
        put_distribution(to, coil_container_of(metric, coil_distribution, metric), now);
        break;
    }
}

int coil_open_metrics_write(coil_metrics *metrics, coil_time now, coil_text_sink *sink)
{
    output to = {.sink = sink};

    for (uint32_t i = 0; i < metrics->count && to.rc >= 0; i++) {
        coil_metric *metric = metrics->metrics[i];
        if (i == 0 || metric_compare_names(metric->name, metrics->metrics[i - 1]->name) != 0)
            begin_family(&to, metric);
        put_metric(&to, metric, now);
    }
    put(&to, "# EOF\n");
    flush(&to);
    return to.rc;
}

/* A buffer of the caller's, and how much would have gone there. */
typedef struct buffer_sink {
    coil_text_sink sink;
    char *text;
    size_t room;
    size_t size;
} buffer_sink;

static int write_to_buffer(coil_text_sink *sink, const char *text, size_t size)
{
    buffer_sink *self = coil_container_of(sink, buffer_sink, sink);

    if (self->size < self->room) {
        const size_t left = self->room - self->size;
        memcpy(self->text + self->size, text, size < left ? size : left);
    }
    self->size += size;
    return 0;
}

size_t coil_open_metrics_format(coil_metrics *metrics, coil_time now, char *text, size_t size)
{
    buffer_sink self = {.sink = {.write = write_to_buffer}, .text = text, .room = size};

    (void)coil_open_metrics_write(metrics, now, &self.sink);
    if (size > 0)
        text[self.size < size ? self.size : size - 1] = '\0';
    return self.size;
}
