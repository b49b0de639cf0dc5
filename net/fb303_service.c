/* SPDX-License-Identifier: MIT */
#include <coil/fb303_service.h>

#include "fb303_default.h"
#include "fb303_table.h"
#include "thrift_server_private.h"

#include <coil/kernel.h>
#include <coil/loop.h>

#include <errno.h>

/* --------------------------------------------------------------------- counters and options -- */

static const coil_thrift_text no_text = {.bytes = "", .size = 0};

int coil_fb303_service_count(coil_fb303_service *service, const char *counter, int64_t delta)
{
    coil_fb303_pair *pair;
    int rc = fb303_table_put(&service->counters, coil_thrift_text_of(counter), no_text, &pair);
    if (rc < 0)
        return rc;
    if (__builtin_add_overflow(pair->number, delta, &pair->number))
        pair->number = delta < 0 ? INT64_MIN : INT64_MAX;
    return 0;
}

int coil_fb303_service_set_counter(coil_fb303_service *service, const char *counter, int64_t value)
{
    coil_fb303_pair *pair;
    int rc = fb303_table_put(&service->counters, coil_thrift_text_of(counter), no_text, &pair);
    if (rc < 0)
        return rc;
    pair->number = value;
    return 0;
}

int coil_fb303_service_counter(
        const coil_fb303_service *service, const char *counter, int64_t *out_value)
{
    const coil_fb303_pair *pair =
            fb303_table_find(&service->counters, coil_thrift_text_of(counter));
    if (pair == NULL)
        return -ENOENT;
    *out_value = pair->number;
    return 0;
}

int coil_fb303_service_set_option(
        coil_fb303_service *service, const char *option, const char *value)
{
    coil_fb303_pair *pair;
    return fb303_table_put(
            &service->options, coil_thrift_text_of(option), coil_thrift_text_of(value), &pair);
}

const char *coil_fb303_service_option(const coil_fb303_service *service, const char *option)
{
    const coil_fb303_pair *pair = fb303_table_find(&service->options, coil_thrift_text_of(option));
    return pair == NULL ? NULL : pair->text.bytes;
}

int coil_fb303_service_set_value(coil_fb303_service *service, const char *name, const char *value)
{
    coil_fb303_pair *pair;
    return fb303_table_put(
            &service->values, coil_thrift_text_of(name), coil_thrift_text_of(value), &pair);
}

/* The server's own numbers. If the table is full, they are missing: nothing to fail for. */
void fb303_refresh(fb303_subject subject)
{
    coil_fb303_service *service = subject.service;

    if (subject.metrics != NULL)
        coil_metrics_refresh(subject.metrics, coil_now());
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

static coil_thrift_text text_in(const coil_fb303_table *table, coil_thrift_text name)
{
    const coil_fb303_pair *pair = fb303_table_find(table, name);
    return pair == NULL ? no_text : pair->text;
}

/* The methods that look something up by its name. What there is not is 0 or empty. */
static int handle_key(fb303_subject subject, const coil_fb303_call *call, coil_fb303_result *result)
{
    coil_fb303_service *service = subject.service;
    coil_fb303_pair *pair;

    switch ((int)call->method) {
    case COIL_FB303_GET_COUNTER:
        fb303_refresh(subject);
        (void)fb303_counter_value(subject, call->key, &result->number);
        break;
    case COIL_FB303_GET_OPTION:
        result->text = text_in(&service->options, call->key);
        break;
    case COIL_FB303_GET_EXPORTED_VALUE:
        result->text = text_in(&service->values, call->key);
        break;
    case COIL_FB303_SET_OPTION:
        return fb303_table_put(&service->options, call->key, call->value, &pair);
    }
    return 0;
}

/* The hooks: without one, it is not for a peer to ask. */
static int handle_hook(coil_fb303_service *service, void (*hook)(coil_fb303_service *service))
{
    if (hook == NULL)
        return -EPERM;
    hook(service);
    return 0;
}

/* What is known at once. */
static int handle(fb303_subject subject, const coil_fb303_call *call, coil_fb303_result *result)
{
    coil_fb303_service *service = subject.service;

    switch ((int)call->method) {
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
    case COIL_FB303_GET_OPTIONS:
        put_pairs(result, &service->options);
        break;
    case COIL_FB303_ALIVE_SINCE:
        result->number = service->alive_since_s;
        break;
    case COIL_FB303_REINITIALIZE:
        return handle_hook(service, service->reinitialize);
    case COIL_FB303_SHUTDOWN:
        return handle_hook(service, service->shutdown);
    default:
        return handle_key(subject, call, result);
    }
    return 0;
}

/* Are there many things to look for? */
static bool gathers(enum coil_fb303_method method)
{
    switch ((int)method) {
    case COIL_FB303_GET_COUNTERS:
    case COIL_FB303_GET_REGEX_COUNTERS:
    case COIL_FB303_GET_SELECTED_COUNTERS:
    case COIL_FB303_GET_EXPORTED_VALUES:
    case COIL_FB303_GET_SELECTED_EXPORTED_VALUES:
    case COIL_FB303_GET_REGEX_EXPORTED_VALUES:
        return true;
    default:
        return false;
    }
}

static fb303_subject subject_of(const coil_thrift_call *call, coil_fb303_service *service)
{
    return (fb303_subject){service, fb303_metrics_of(service, call->server)};
}

static int answer_at_once(coil_thrift_call *call, coil_fb303_service *service)
{
    coil_fb303_call asked;
    coil_fb303_result result;

    int rc = coil_fb303_read_call(&call->arguments, &call->message, &asked);
    if (rc < 0)
        return rc;
    result.text = no_text;
    result.number = 0;
    result.pairs = NULL;
    result.pair_count = 0;
    if (coil_fb303_method_is_oneway(asked.method))
        coil_thrift_no_reply(call);
    rc = handle(subject_of(call, service), &asked, &result);
    if (rc < 0)
        return rc;
    if (!coil_fb303_method_is_oneway(asked.method))
        coil_fb303_put_result(coil_thrift_reply(call), asked.method, &result);
    return 0;
}

coil_async(int, answer_gathering, (coil_thrift_call *) call, (coil_fb303_service *) service)
{
    coil_vars(coil_fb303_call asked; fb303_gathered gathered);

    const int rc = coil_fb303_read_call(&call->arguments, &call->message, &my->asked);
    if (rc < 0)
        return rc;
    coil_await(thrift_order_reserve(call));
    coil_attempt(fb303_gather(subject_of(call, service), &my->asked, call->arena, &my->gathered));
    fb303_put_gathered(coil_thrift_reply(call), my->asked.method, &my->gathered);
    return 0;
}

/* Our methods are those of fb303, in their order. */
static bool is_gathering(const coil_thrift_call *call)
{
    return gathers((enum coil_fb303_method)(call->method - call->service->methods));
}

/* The handlers of all methods, by the name under which the service is asked. */
coil_async(int, answer_as_facebook_service, (coil_thrift_call *) call)
{
    coil_vars();
    coil_fb303_service *service = coil_container_of(call->service, coil_fb303_service, thrift);
    if (!is_gathering(call))
        return answer_at_once(call, service);
    coil_attempt(answer_gathering(call, service));
    return 0;
}

coil_async(int, answer_as_base_service, (coil_thrift_call *) call)
{
    coil_vars();
    coil_fb303_service *service = coil_container_of(call->service, coil_fb303_service, base);
    if (!is_gathering(call))
        return answer_at_once(call, service);
    coil_attempt(answer_gathering(call, service));
    return 0;
}

coil_fb303_service *fb303_service_of(coil_thrift_service *service)
{
    static const coil_handler facebook =
            coil_handler(answer_as_facebook_service, coil_thrift_call *);
    static const coil_handler base = coil_handler(answer_as_base_service, coil_thrift_call *);

    if (service->method_count == 0)
        return NULL;
    if (service->methods[0].handler.fn == facebook.fn)
        return coil_container_of(service, coil_fb303_service, thrift);
    if (service->methods[0].handler.fn == base.fn)
        return coil_container_of(service, coil_fb303_service, base);
    return NULL;
}

void coil_fb303_service_init(coil_fb303_service *service, const char *name, const char *version)
{
    *service = (coil_fb303_service){
            .thrift = {"FacebookService", service->methods, COIL_FB303_METHOD_COUNT},
            .base = {"BaseService", service->base_methods, COIL_FB303_METHOD_COUNT},
            .status = COIL_FB303_ALIVE,
            .status_details = "",
            .name = name,
            .version = version,
            .alive_since_s = coil_kernel_time_s(),
            .counters = {.count_max = COIL_FB303_COUNTER_COUNT_MAX},
            .options = {.count_max = COIL_FB303_OPTION_COUNT_MAX},
            .values = {.count_max = COIL_FB303_VALUE_COUNT_MAX},
    };
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++) {
        const char *method = coil_fb303_method_name((enum coil_fb303_method)i);
        service->methods[i].name = method;
        service->methods[i].handler = coil_handler(answer_as_facebook_service, coil_thrift_call *);
        service->base_methods[i].name = method;
        service->base_methods[i].handler = coil_handler(answer_as_base_service, coil_thrift_call *);
    }
}

void coil_fb303_service_fini(coil_fb303_service *service)
{
    if (service == NULL)
        return;
    fb303_table_release(&service->counters);
    fb303_table_release(&service->options);
    fb303_table_release(&service->values);
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
    coil_vars();

    (void)coil_thrift_client_begin(client, coil_fb303_method_name(COIL_FB303_GET_STATUS));
    coil_attempt(coil_thrift_client_call(client));
    coil_fb303_result result;
    const int rc = coil_fb303_read_result(
            coil_thrift_client_reply(client), COIL_FB303_GET_STATUS, &result);
    if (rc < 0)
        return rc;
    return result.number < 0 ? -EBADMSG : (int)result.number;
}

coil_define(int, coil_fb303_get_counter, (coil_thrift_client *) client, (const char *) name,
        (int64_t *) out_value)
{
    coil_vars(coil_fb303_call call; coil_fb303_result result);

    my->call.method = COIL_FB303_GET_COUNTER;
    my->call.key = coil_thrift_text_of(name);
    coil_attempt(coil_fb303_ask(client, &my->call, &my->result));
    *out_value = my->result.number;
    return 0;
}
