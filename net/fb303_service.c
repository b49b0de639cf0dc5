/* SPDX-License-Identifier: MIT */
#include <coil/fb303_service.h>

#include "thrift_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

/* ---------------------------------------------------------------------------------- tables -- */

static coil_fb303_pair *find(const coil_fb303_table *table, coil_thrift_text name)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (thrift_texts_equal(&table->pairs[i].name, &name))
            return &table->pairs[i];
    }
    return NULL;
}

static int reserve(coil_fb303_table *table)
{
    if (table->count == table->count_max)
        return -ENOSPC;
    if (table->pairs == NULL)
        table->pairs = calloc(table->count_max, sizeof(*table->pairs));
    if (table->strings == NULL)
        table->strings = calloc(table->count_max, sizeof(*table->strings));
    return table->pairs == NULL || table->strings == NULL ? -ENOMEM : 0;
}

static coil_thrift_text copy_text(char *to, coil_thrift_text text)
{
    if (text.size > 0)
        memcpy(to, text.bytes, text.size);
    to[text.size] = '\0';
    return (coil_thrift_text){to, text.size};
}

/* Find the pair of that name, or add it, and give it the text. */
static int put(coil_fb303_table *table, coil_thrift_text name, coil_thrift_text text,
        coil_fb303_pair **out_pair)
{
    if (name.size > COIL_FB303_TEXT_BYTES_MAX || text.size > COIL_FB303_TEXT_BYTES_MAX)
        return -ENOSPC;
    coil_fb303_pair *pair = find(table, name);
    int rc = pair == NULL ? reserve(table) : 0;
    if (rc < 0)
        return rc;
    if (pair != NULL && thrift_texts_equal(&pair->text, &text)) {
        *out_pair = pair;
        return 0;
    }

    char *string = malloc((size_t)name.size + 1 + text.size + 1);
    if (string == NULL)
        return -ENOMEM;
    if (pair == NULL)
        pair = &table->pairs[table->count++];
    pair->name = copy_text(string, name);
    pair->text = copy_text(string + name.size + 1, text);
    size_t place = (size_t)(pair - table->pairs);
    free(table->strings[place]);
    table->strings[place] = string;
    *out_pair = pair;
    return 0;
}

static void release(coil_fb303_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        free(table->strings[i]);
    free(table->strings);
    free(table->pairs);
    *table = (coil_fb303_table){.count_max = table->count_max};
}

/* --------------------------------------------------------------------- counters and options -- */

static const coil_thrift_text no_text = {.bytes = "", .size = 0};

int coil_fb303_service_count(coil_fb303_service *service, const char *counter, int64_t delta)
{
    coil_fb303_pair *pair;
    int rc = put(&service->counters, coil_thrift_text_of(counter), no_text, &pair);
    if (rc < 0)
        return rc;
    if (__builtin_add_overflow(pair->number, delta, &pair->number))
        pair->number = delta < 0 ? INT64_MIN : INT64_MAX;
    return 0;
}

int coil_fb303_service_set_counter(coil_fb303_service *service, const char *counter, int64_t value)
{
    coil_fb303_pair *pair;
    int rc = put(&service->counters, coil_thrift_text_of(counter), no_text, &pair);
    if (rc < 0)
        return rc;
    pair->number = value;
    return 0;
}

int coil_fb303_service_counter(
        const coil_fb303_service *service, const char *counter, int64_t *out_value)
{
    const coil_fb303_pair *pair = find(&service->counters, coil_thrift_text_of(counter));
    if (pair == NULL)
        return -ENOENT;
    *out_value = pair->number;
    return 0;
}

int coil_fb303_service_set_option(
        coil_fb303_service *service, const char *option, const char *value)
{
    coil_fb303_pair *pair;
    return put(&service->options, coil_thrift_text_of(option), coil_thrift_text_of(value), &pair);
}

const char *coil_fb303_service_option(const coil_fb303_service *service, const char *option)
{
    const coil_fb303_pair *pair = find(&service->options, coil_thrift_text_of(option));
    return pair == NULL ? NULL : pair->text.bytes;
}

/* The server's own numbers. If the table is full, they are missing: nothing to fail for. */
static void refresh_counters(coil_fb303_service *service)
{
    if (service->server == NULL)
        return;
    const coil_thrift_server_stats *stats = &service->server->stats;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
            {"thrift.connections", stats->connections},
            {"thrift.open_connections", stats->open_connections},
            {"thrift.calls", stats->calls},
            {"thrift.exceptions", stats->exceptions},
            {"thrift.protocol_errors", stats->protocol_errors},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        (void)coil_fb303_service_set_counter(service, numbers[i].name, (int64_t)numbers[i].value);
}

/* --------------------------------------------------------------------------------- serving -- */

static void put_pairs(coil_fb303_result *result, const coil_fb303_table *table)
{
    result->pairs = table->pairs;
    result->pair_count = table->count;
}

/* The methods that look something up by its name. */
static int handle_key(
        coil_fb303_service *service, const coil_fb303_call *call, coil_fb303_result *result)
{
    coil_fb303_pair *pair;

    switch ((int)call->method) {
    case COIL_FB303_GET_COUNTER:
        refresh_counters(service);
        pair = find(&service->counters, call->key);
        result->number = pair == NULL ? 0 : pair->number;
        break;
    case COIL_FB303_GET_OPTION:
        pair = find(&service->options, call->key);
        result->text = pair == NULL ? no_text : pair->text;
        break;
    case COIL_FB303_SET_OPTION:
        return put(&service->options, call->key, call->value, &pair);
    }
    return 0;
}

static int handle(
        coil_fb303_service *service, const coil_fb303_call *call, coil_fb303_result *result)
{
    switch (call->method) {
    case COIL_FB303_GET_NAME:
        result->text = coil_thrift_text_of(service->name);
        break;
    case COIL_FB303_GET_VERSION:
        result->text = coil_thrift_text_of(service->version);
        break;
    case COIL_FB303_GET_STATUS:
        result->number = (int64_t)service->status;
        break;
    case COIL_FB303_GET_STATUS_DETAILS:
        result->text = coil_thrift_text_of(service->status_details);
        break;
    case COIL_FB303_GET_COUNTERS:
        refresh_counters(service);
        put_pairs(result, &service->counters);
        break;
    case COIL_FB303_GET_OPTIONS:
        put_pairs(result, &service->options);
        break;
    case COIL_FB303_GET_COUNTER:
    case COIL_FB303_SET_OPTION:
    case COIL_FB303_GET_OPTION:
        return handle_key(service, call, result);
    case COIL_FB303_GET_CPU_PROFILE:
        break;
    case COIL_FB303_ALIVE_SINCE:
        result->number = service->alive_since_s;
        break;
    case COIL_FB303_REINITIALIZE:
        if (service->reinitialize != NULL)
            service->reinitialize(service);
        break;
    case COIL_FB303_SHUTDOWN:
        if (service->shutdown != NULL)
            service->shutdown(service);
        break;
    }
    return 0;
}

/* The handler of all thirteen methods. */
coil_async(int, answer, (coil_thrift_call *) call)
{
    coil_vars();
    coil_fb303_service *service = coil_container_of(call->service, coil_fb303_service, thrift);
    coil_fb303_result result = {.text = no_text};
    coil_fb303_call asked;

    int rc = coil_fb303_read_call(&call->arguments, &call->message, &asked);
    if (rc < 0)
        return rc;
    if (coil_fb303_method_is_oneway(asked.method))
        coil_thrift_no_reply(call);
    rc = handle(service, &asked, &result);
    if (rc < 0)
        return rc;
    if (!coil_fb303_method_is_oneway(asked.method))
        coil_fb303_put_result(coil_thrift_reply(call), asked.method, &result);
    return 0;
}

void coil_fb303_service_init(coil_fb303_service *service, const char *name, const char *version)
{
    *service = (coil_fb303_service){
            .thrift = {"FacebookService", service->methods, COIL_FB303_METHOD_COUNT},
            .status = COIL_FB303_ALIVE,
            .status_details = "",
            .name = name,
            .version = version,
            .alive_since_s = coil_kernel_time_s(),
            .counters = {.count_max = COIL_FB303_COUNTER_COUNT_MAX},
            .options = {.count_max = COIL_FB303_OPTION_COUNT_MAX},
    };
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++) {
        service->methods[i].name = coil_fb303_method_name((enum coil_fb303_method)i);
        service->methods[i].handler = coil_handler(answer, coil_thrift_call *);
    }
}

void coil_fb303_service_fini(coil_fb303_service *service)
{
    if (service == NULL)
        return;
    release(&service->counters);
    release(&service->options);
}

/* ---------------------------------------------------------------------------------- asking -- */

coil_define(int, coil_fb303_ask, (coil_thrift_client *) client, (const coil_fb303_call *) call,
        (coil_fb303_result *) out_result)
{
    coil_vars(enum coil_fb303_method method);

    my->method = call->method;
    coil_fb303_put_call(
            coil_thrift_client_begin(client, coil_fb303_method_name(call->method)), call);
    if (coil_fb303_method_is_oneway(my->method)) {
        coil_attempt(coil_thrift_client_send(client));
        *out_result = (coil_fb303_result){.text = no_text};
        return 0;
    }
    coil_attempt(coil_thrift_client_call(client));
    return coil_fb303_read_result(coil_thrift_client_reply(client), my->method, out_result);
}

coil_define(int, coil_fb303_get_status, (coil_thrift_client *) client)
{
    coil_vars(coil_fb303_result result);
    static const coil_fb303_call get_status = {.method = COIL_FB303_GET_STATUS};

    coil_attempt(coil_fb303_ask(client, &get_status, &my->result));
    return my->result.number < 0 ? -EBADMSG : (int)my->result.number;
}
