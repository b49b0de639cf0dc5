/* SPDX-License-Identifier: MIT */
#include "fb303_table.h"

#include "pattern.h"
#include "thrift_private.h"

#include <coil/loop.h>
#include <coil/metrics_flat.h>
#include <coil/sched.h>

#include <errno.h>

enum {
    WORK_MAX = 16 * 1024 * 1024, /* Steps of the pattern in one call: some tens of milliseconds. */
    WORK_AT_ONCE = 32 * 1024,    /* The same between two pauses. */
    ITEMS_AT_ONCE = 8,           /* Metrics, or keys: computing one takes about 20 us. */
};

/* What has been found, by all, a pattern, or keys. */
typedef struct gathering {
    coil_flat_values values;
    coil_arena *arena;
    pattern *pattern; /* NULL: everything. */
    fb303_gathered all;
    fb303_pairs *last;
    uint32_t items;       /* Since the last pause. */
    uint64_t work_paused; /* The pattern's work at the last pause. */
    int error;
} gathering;

static void *take_memory(gathering *self, size_t size, size_t alignment)
{
    void *memory = coil_arena_take(self->arena, size, alignment);

    if (memory == NULL)
        self->error = -ENOBUFS;
    return memory;
}

static bool reserve(gathering *self)
{
    if (self->last != NULL && self->last->count < FB303_PAIRS_AT_ONCE)
        return true;
    fb303_pairs *pairs = take_memory(self, sizeof(*pairs), _Alignof(fb303_pairs));
    if (pairs == NULL)
        return false;
    pairs->next = NULL;
    pairs->count = 0;
    if (self->last == NULL) {
        self->all.first = pairs;
    } else {
        self->last->next = pairs;
    }
    self->last = pairs;
    return true;
}

static bool copy_text(gathering *self, coil_thrift_text *out_copy, coil_thrift_text text)
{
    char *bytes = take_memory(self, text.size, 1);

    if (bytes == NULL)
        return false;
    if (text.size > 0)
        memcpy(bytes, text.bytes, text.size);
    *out_copy = (coil_thrift_text){bytes, text.size};
    return true;
}

/* Is it asked for? */
static bool is_wanted(gathering *self, coil_thrift_text name)
{
    if (self->pattern == NULL)
        return true;
    if (self->pattern->work > WORK_MAX) {
        self->error = -E2BIG;
        return false;
    }
    return pattern_matches(self->pattern, name.bytes, name.size);
}

static void add(gathering *self, const coil_fb303_pair *pair)
{
    coil_fb303_pair copy = {.number = pair->number};

    if (self->error != 0 || !is_wanted(self, pair->name) || !reserve(self) ||
            !copy_text(self, &copy.name, pair->name) || !copy_text(self, &copy.text, pair->text))
        return;
    self->last->pairs[self->last->count++] = copy;
    self->all.count++;
}

static void add_value(coil_flat_values *values, const char *name, size_t size, int64_t value)
{
    gathering *self = coil_container_of(values, gathering, values);

    add(self, &(coil_fb303_pair){.name = {name, (uint32_t)size}, .number = value});
}

/* Have others waited for long enough? */
static bool is_time_to_pause(gathering *self)
{
    const uint64_t work = self->pattern == NULL ? 0 : self->pattern->work;

    if (++self->items < ITEMS_AT_ONCE && work - self->work_paused < WORK_AT_ONCE)
        return false;
    self->items = 0;
    self->work_paused = work;
    return true;
}

/* One of the keys: a counter or an exported value. */
static void add_key(
        gathering *self, fb303_subject subject, const coil_fb303_table *table, coil_thrift_text key)
{
    coil_fb303_pair value = {.name = key};
    const coil_fb303_pair *pair = fb303_table_find(table, key);

    if (pair != NULL) {
        add(self, pair);
    } else if (table == &subject.service->counters &&
               fb303_counter_value(subject, key, &value.number) == 0) {
        add(self, &value);
    }
}

int fb303_counter_value(fb303_subject subject, coil_thrift_text name, int64_t *out_value)
{
    const coil_fb303_pair *pair = fb303_table_find(&subject.service->counters, name);

    if (pair != NULL) {
        *out_value = pair->number;
        return 0;
    }
    if (subject.metrics == NULL || name.size == 0)
        return -ENOENT;
    return coil_metrics_find_flat(subject.metrics, coil_now(), name.bytes, name.size, out_value);
}

/* The keys that the call has. */
coil_async(int, gather_keys, (gathering *) self, (fb303_subject) subject, (coil_fb303_call *) call,
        (const coil_fb303_table *) table)
{
    coil_vars();
    coil_thrift_text key;

    if (call->key_count > COIL_FB303_KEY_COUNT_MAX)
        return -E2BIG;
    while (coil_fb303_next_key(call, &key)) {
        add_key(self, subject, table, key);
        if (is_time_to_pause(self))
            coil_await(coil_yield());
    }
    return self->error;
}

/* Everything in the table that is wanted. Nobody takes anything out of it while we pause. */
coil_async(int, gather_table, (gathering *) self, (const coil_fb303_table *) table)
{
    coil_vars(uint32_t i);

    for (my->i = 0; my->i < table->count && self->error == 0; my->i++) {
        add(self, &table->pairs[my->i]);
        if (is_time_to_pause(self))
            coil_await(coil_yield());
    }
    return self->error;
}

/* The values of all metrics. New ones may come between while we pause, so we look where we were. */
coil_async(int, gather_metrics, (gathering *) self, (coil_metrics *) metrics)
{
    coil_vars(uint32_t i; coil_metric *metric);

    for (my->i = 0; my->i < metrics->count && self->error == 0; my->i++) {
        my->metric = metrics->metrics[my->i];
        coil_metric_flatten(my->metric, coil_now(), &self->values);
        if (is_time_to_pause(self)) {
            coil_await(coil_yield());
            while (metrics->metrics[my->i] != my->metric)
                my->i++;
        }
    }
    return self->error;
}

/* Make the pattern that the call asks with, if it does. */
static int begin(gathering *self, const coil_fb303_call *call)
{
    if (call->method != COIL_FB303_GET_REGEX_COUNTERS &&
            call->method != COIL_FB303_GET_REGEX_EXPORTED_VALUES)
        return 0;
    self->pattern = take_memory(self, sizeof(*self->pattern), _Alignof(pattern));
    if (self->pattern == NULL)
        return self->error;
    return pattern_init(self->pattern, call->key.bytes, call->key.size);
}

static bool is_about_counters(enum coil_fb303_method method)
{
    return method == COIL_FB303_GET_COUNTERS || method == COIL_FB303_GET_REGEX_COUNTERS ||
           method == COIL_FB303_GET_SELECTED_COUNTERS;
}

static bool has_keys(enum coil_fb303_method method)
{
    return method == COIL_FB303_GET_SELECTED_COUNTERS ||
           method == COIL_FB303_GET_SELECTED_EXPORTED_VALUES;
}

coil_define(int, fb303_gather, (fb303_subject) subject, (coil_fb303_call *) call, (coil_arena *) arena,
        (fb303_gathered *) out_gathered)
{
    coil_vars(gathering self; const coil_fb303_table *table);
    const bool is_of_counters = is_about_counters(call->method);

    my->self = (gathering){.values = {.take = add_value}, .arena = arena};
    my->table = is_of_counters ? &subject.service->counters : &subject.service->values;
    int rc = begin(&my->self, call);
    if (rc < 0)
        return rc;
    if (is_of_counters)
        fb303_refresh(subject);
    if (has_keys(call->method)) {
        coil_attempt(gather_keys(&my->self, subject, call, my->table));
    } else {
        coil_attempt(gather_table(&my->self, my->table));
        if (is_about_counters(call->method) && subject.metrics != NULL)
            coil_attempt(gather_metrics(&my->self, subject.metrics));
    }
    *out_gathered = my->self.all;
    return 0;
}

void fb303_put_gathered(
        coil_thrift_writer *writer, enum coil_fb303_method method, const fb303_gathered *gathered)
{
    const bool is_number = is_about_counters(method);
    const uint8_t type = is_number ? COIL_THRIFT_I64 : COIL_THRIFT_STRING;

    coil_thrift_put_map(writer, 0, COIL_THRIFT_STRING, type, gathered->count);
    for (const fb303_pairs *some = gathered->first; some != NULL; some = some->next) {
        for (uint32_t i = 0; i < some->count; i++) {
            coil_thrift_write_string(writer, some->pairs[i].name);
            if (is_number) {
                coil_thrift_write_i64(writer, some->pairs[i].number);
            } else {
                coil_thrift_write_string(writer, some->pairs[i].text);
            }
        }
    }
}
