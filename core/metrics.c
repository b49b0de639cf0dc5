/* SPDX-License-Identifier: MIT */
#include <coil/metrics.h>

#include "metrics_private.h"

#include <coil/check.h>

#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 32 };

static const size_t metric_bytes[] = {
        [COIL_METRIC_COUNTER] = sizeof(coil_counter),
        [COIL_METRIC_GAUGE] = sizeof(coil_gauge),
        [COIL_METRIC_DISTRIBUTION] = sizeof(coil_distribution),
};

/* ----------------------------------------------------------------------------------- names -- */

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static bool is_word_byte(char byte)
{
    return is_letter(byte) || (byte >= '0' && byte <= '9');
}

/* Where the word that begins here ends; `text` itself if none does. */
static const char *word_end(const char *text)
{
    if (!is_letter(*text))
        return text;
    while (is_word_byte(*text))
        text++;
    return text;
}

static bool is_name(const char *name)
{
    if (name == NULL || strlen(name) > COIL_METRIC_TEXT_BYTES_MAX)
        return false;
    for (;;) {
        const char *end = word_end(name);
        if (end == name)
            return false;
        if (*end == '\0')
            return true;
        if (*end != '.')
            return false;
        name = end + 1;
    }
}

static bool is_label(const coil_metric_label *label)
{
    const char *end = word_end(label->key);

    return end != label->key && *end == '\0' && strlen(label->key) <= COIL_METRIC_TEXT_BYTES_MAX &&
           strcmp(label->key, "quantile") != 0 && strcmp(label->key, "le") != 0 &&
           strlen(label->value) <= COIL_METRIC_TEXT_BYTES_MAX;
}

static bool is_well_said(const coil_metric_about *about)
{
    if (!is_name(about->name) || about->label_count > COIL_METRIC_LABEL_COUNT_MAX)
        return false;
    if (about->help != NULL && strlen(about->help) > COIL_METRIC_TEXT_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < about->label_count; i++) {
        if (!is_label(&about->labels[i]))
            return false;
    }
    return true;
}

static int name_byte(char byte)
{
    return byte == '.' ? '_' : (unsigned char)byte;
}

int metric_compare_names(const char *one, const char *other)
{
    for (; name_byte(*one) == name_byte(*other); one++, other++) {
        if (*one == '\0')
            return 0;
    }
    return name_byte(*one) - name_byte(*other);
}

static int compare(const coil_metric *metric, const coil_metric_about *about)
{
    int order = metric_compare_names(metric->name, about->name);

    for (uint32_t i = 0; order == 0 && i < metric->label_count && i < about->label_count; i++)
        order = strcmp(metric->labels[i].value, about->labels[i].value);
    return order != 0 ? order : (int)metric->label_count - (int)about->label_count;
}

/* Where that metric is, or has to be put. */
static uint32_t place_of(const coil_metrics *metrics, const coil_metric_about *about)
{
    uint32_t low = 0;
    uint32_t high = metrics->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (compare(metrics->metrics[middle], about) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Do all of one name have the same kind, unit and keys? */
static bool agrees(
        const coil_metric *metric, enum coil_metric_kind kind, const coil_metric_about *about)
{
    if (strcmp(metric->name, about->name) != 0 || metric->kind != kind ||
            metric->unit != about->unit || metric->label_count != about->label_count)
        return false;
    for (uint32_t i = 0; i < metric->label_count; i++) {
        if (strcmp(metric->labels[i].key, about->labels[i].key) != 0)
            return false;
    }
    return true;
}

/* A neighbour of that name is enough to ask: they all agree among themselves. */
static bool disagrees_at(const coil_metrics *metrics, uint32_t place, enum coil_metric_kind kind,
        const coil_metric_about *about)
{
    if (place >= metrics->count)
        return false;
    const coil_metric *metric = metrics->metrics[place];
    return metric_compare_names(metric->name, about->name) == 0 && !agrees(metric, kind, about);
}

/* ---------------------------------------------------------------------------------- making -- */

static const char *copy_text(char **to, const char *text)
{
    const char *copy = *to;
    const size_t size = strlen(text) + 1;

    memcpy(*to, text, size);
    *to += size;
    return copy;
}

static size_t texts_size(const coil_metric_about *about, const char *help)
{
    size_t size = strlen(about->name) + 1 + strlen(help) + 1;

    for (uint32_t i = 0; i < about->label_count; i++)
        size += strlen(about->labels[i].key) + 1 + strlen(about->labels[i].value) + 1;
    return size;
}

static coil_metric_place *place_in(coil_metric *metric)
{
    switch (metric->kind) {
    case COIL_METRIC_COUNTER:
        return &coil_container_of(metric, coil_counter, metric)->place;
    case COIL_METRIC_DISTRIBUTION:
        return &coil_container_of(metric, coil_distribution, metric)->place;
    case COIL_METRIC_GAUGE:
        break;
    }
    return NULL;
}

/* One block: the metric, and behind it its texts. All kinds begin with their coil_metric. */
static coil_metric *make(
        const coil_metrics *metrics, enum coil_metric_kind kind, const coil_metric_about *about)
{
    const char *help = about->help == NULL ? "" : about->help;
    char *block = calloc(1, metric_bytes[kind] + texts_size(about, help));
    if (block == NULL)
        return NULL;

    coil_metric *metric = (coil_metric *)(void *)block;
    char *texts = block + metric_bytes[kind];
    metric->kind = kind;
    metric->unit = about->unit;
    metric->fold = about->fold;
    metric->label_count = about->label_count;
    metric->name = copy_text(&texts, about->name);
    metric->help = copy_text(&texts, help);
    for (uint32_t i = 0; i < about->label_count; i++) {
        metric->labels[i].key = copy_text(&texts, about->labels[i].key);
        metric->labels[i].value = copy_text(&texts, about->labels[i].value);
    }
    coil_metric_place *place = place_in(metric);
    if (place != NULL) {
        place->ends = INT64_MIN;
        place->since = metrics->since;
    }
    return metric;
}

static bool reserve(coil_metrics *metrics)
{
    if (metrics->count >= metrics->count_max)
        return false;
    if (metrics->count < metrics->room)
        return true;
    const uint32_t room = metrics->room == 0 ? ROOM_FIRST : metrics->room * 2;
    coil_metric **grown = realloc(metrics->metrics, room * sizeof(coil_metric *));
    if (grown == NULL)
        return false;
    metrics->metrics = grown;
    metrics->room = room;
    return true;
}

static coil_metric *find_or_make(
        coil_metrics *metrics, enum coil_metric_kind kind, const coil_metric_about *about)
{
    if (!is_well_said(about))
        return NULL;
    const uint32_t place = place_of(metrics, about);
    if (disagrees_at(metrics, place, kind, about) ||
            (place > 0 && disagrees_at(metrics, place - 1, kind, about)))
        return NULL;
    if (place < metrics->count && compare(metrics->metrics[place], about) == 0)
        return metrics->metrics[place];

    coil_metric *metric = reserve(metrics) ? make(metrics, kind, about) : NULL;
    if (metric == NULL)
        return NULL;
    memmove(&metrics->metrics[place + 1], &metrics->metrics[place],
            (metrics->count - place) * sizeof(coil_metric *));
    metrics->metrics[place] = metric;
    metrics->count++;
    return metric;
}

static coil_metric *want(
        coil_metrics *metrics, enum coil_metric_kind kind, const coil_metric_about *about)
{
    coil_metric *metric = find_or_make(metrics, kind, about);

    if (metric == NULL)
        metrics->refused++;
    return metric;
}

coil_counter *coil_metrics_counter(coil_metrics *metrics, const coil_metric_about *about)
{
    coil_metric *metric = want(metrics, COIL_METRIC_COUNTER, about);
    return metric == NULL ? NULL : coil_container_of(metric, coil_counter, metric);
}

coil_gauge *coil_metrics_gauge(coil_metrics *metrics, const coil_metric_about *about)
{
    coil_metric *metric = want(metrics, COIL_METRIC_GAUGE, about);
    return metric == NULL ? NULL : coil_container_of(metric, coil_gauge, metric);
}

coil_distribution *coil_metrics_distribution(coil_metrics *metrics, const coil_metric_about *about)
{
    coil_metric *metric = want(metrics, COIL_METRIC_DISTRIBUTION, about);
    return metric == NULL ? NULL : coil_container_of(metric, coil_distribution, metric);
}

/* ------------------------------------------------------------------------------- registry -- */

void coil_metrics_init(coil_metrics *metrics, coil_time now)
{
    *metrics = (coil_metrics){.count_max = COIL_METRIC_COUNT_MAX, .since = now};
    coil_list_init(&metrics->sources);
}

static void destroy(coil_metric *metric)
{
    if (metric->kind == COIL_METRIC_DISTRIBUTION) {
        coil_distribution *distribution = coil_container_of(metric, coil_distribution, metric);
        free(distribution->open);
        coil_histogram_fini(&distribution->all_time);
    }
    free(metric);
}

void coil_metrics_fini(coil_metrics *metrics)
{
    if (metrics == NULL || metrics->sources.next == NULL)
        return;
    while (coil_list_take_first(&metrics->sources) != NULL) {
    }
    for (uint32_t i = 0; i < metrics->count; i++)
        destroy(metrics->metrics[i]);
    free(metrics->metrics);
    *metrics = (coil_metrics){0};
}

void coil_metrics_ask(coil_metrics *metrics, coil_metric_source *source)
{
    COIL_CHECK(source->link.next == NULL || !coil_list_linked(&source->link));
    coil_list_init(&source->link);
    coil_list_append(&metrics->sources, &source->link);
}

void coil_metrics_forget(coil_metric_source *source)
{
    if (source->link.next != NULL)
        coil_list_remove(&source->link);
}

void coil_metrics_refresh(coil_metrics *metrics, coil_time now)
{
    for (coil_list *link = metrics->sources.next; link != &metrics->sources; link = link->next) {
        coil_metric_source *source = coil_container_of(link, coil_metric_source, link);
        source->refresh(source, metrics, now);
    }
}

/* ---------------------------------------------------------------------------------- merging -- */

static void fold(coil_gauge *into, const coil_gauge *from, bool is_new)
{
    if (is_new) {
        into->value = from->value;
    } else if (from->metric.fold == COIL_METRIC_LARGEST) {
        into->value = from->value > into->value ? from->value : into->value;
    } else if (__builtin_add_overflow(into->value, from->value, &into->value)) {
        into->value = from->value < 0 ? INT64_MIN : INT64_MAX;
    }
}

static bool merge_one(coil_metrics *into, coil_metric *from, coil_time now)
{
    const coil_metric_about about = {.name = from->name,
            .help = from->help,
            .unit = from->unit,
            .fold = from->fold,
            .labels = from->labels,
            .label_count = from->label_count};
    const uint32_t count = into->count;
    coil_metric *metric = want(into, from->kind, &about);

    if (metric == NULL)
        return true; /* It has been counted as refused. */
    switch (from->kind) {
    case COIL_METRIC_COUNTER:
        metric_merge_counter(coil_container_of(metric, coil_counter, metric),
                coil_container_of(from, coil_counter, metric), now);
        return true;
    case COIL_METRIC_GAUGE:
        fold(coil_container_of(metric, coil_gauge, metric),
                coil_container_of(from, coil_gauge, metric), into->count > count);
        return true;
    case COIL_METRIC_DISTRIBUTION:
        return metric_merge_distribution(coil_container_of(metric, coil_distribution, metric),
                coil_container_of(from, coil_distribution, metric), now);
    }
    return true;
}

void coil_metrics_merge(coil_metrics *into, coil_metrics *from, coil_time now)
{
    COIL_CHECK(into != from);
    coil_metrics_refresh(from, now);
    if (from->since < into->since)
        into->since = from->since;
    for (uint32_t i = 0; i < from->count; i++) {
        if (!merge_one(into, from->metrics[i], now))
            into->refused++;
    }
}
