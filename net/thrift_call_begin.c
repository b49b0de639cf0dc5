/* SPDX-License-Identifier: MIT */
/* Of coil/thrift_server.h: a message becomes a call, if there is such a method and room for it. */
#include "fb303_default.h"
#include "thrift_server_private.h"

#include <errno.h>
#include <stdio.h>

enum { NAME_SHOWN = 64 /* Of a method that we do not know. */ };

/* --------------------------------------------------------------------------------- methods -- */

const coil_thrift_method *coil_thrift_service_method(
        const coil_thrift_service *service, const char *name)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (strcmp(service->methods[i].name, name) == 0)
            return &service->methods[i];
    }
    return NULL;
}

static bool find_in(coil_thrift_service *service, coil_thrift_text name, coil_thrift_call *call)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (coil_thrift_text_is(name, service->methods[i].name)) {
            call->service = service;
            call->method = &service->methods[i];
            return true;
        }
    }
    return false;
}

/* `service_name` NULL: in any of them. */
static bool find_among(coil_thrift_service *const *services, size_t count,
        const coil_thrift_text *service_name, coil_thrift_call *call)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = services[i]->name;
        if (service_name != NULL && (name == NULL || !coil_thrift_text_is(*service_name, name)))
            continue;
        if (find_in(services[i], call->message.name, call))
            return true;
    }
    return false;
}

/* The place of a name, which may be that of others, too. */
static thrift_known_method *known_place(
        struct coil_thrift_server_state *state, coil_thrift_text name)
{
    const uint32_t ends = (uint32_t)name.bytes[0] + 7U * (uint32_t)name.bytes[name.size - 1];

    return &state->known[(ends + name.size) % THRIFT_KNOWN_METHODS];
}

/* A method of the server's own services that has been found before by this very name. */
static inline bool find_known(const coil_thrift_server *server, coil_thrift_call *call)
{
    const coil_thrift_text name = call->message.name;

    if (name.size == 0)
        return false;
    const thrift_known_method *known = known_place(server->state, name);
    if (known->name_size != name.size || memcmp(known->method->name, name.bytes, name.size) != 0)
        return false;
    call->service = known->service;
    call->method = known->method;
    return true;
}

static bool has_service(const coil_thrift_server *server, coil_thrift_text name)
{
    for (size_t i = 0; i < server->service_count; i++) {
        if (server->services[i]->name != NULL &&
                coil_thrift_text_is(name, server->services[i]->name))
            return true;
    }
    return false;
}

/*
 * In the server's fb303. `wanted` NULL, or what it is called; or another service of this server,
 * which may extend fb303, and then has its methods without handlers of its own.
 */
static bool find_in_fb303(
        const coil_thrift_server *server, const coil_thrift_text *wanted, coil_thrift_call *call)
{
    const struct coil_fb303_default *fb303 = server->fb303;

    if (fb303 == NULL)
        return false;
    if (find_among(fb303->services, fb303->service_count, wanted, call))
        return true;
    return wanted != NULL && has_service(server, *wanted) &&
           find_in(&fb303->asked->thrift, call->message.name, call);
}

/* Find the method that the message names, and reduce the name to what the reply repeats. */
static bool find_method(const coil_thrift_server *server, coil_thrift_call *call)
{
    const coil_thrift_text name = call->message.name;
    const char *colon = name.size == 0 ? NULL : memchr(name.bytes, ':', name.size);
    coil_thrift_text service_name = {NULL, 0};
    const coil_thrift_text *wanted = NULL;

    if (colon != NULL) {
        service_name = (coil_thrift_text){name.bytes, (uint32_t)(colon - name.bytes)};
        call->message.name = (coil_thrift_text){colon + 1, name.size - service_name.size - 1};
        wanted = &service_name;
    }
    if (find_among(server->services, server->service_count, wanted, call)) {
        if (wanted == NULL && name.size > 0) {
            *known_place(server->state, name) =
                    (thrift_known_method){call->service, call->method, name.size};
        }
        return true;
    }
    return find_in_fb303(server, wanted, call);
}

/* ----------------------------------------------------------------------------------- begin -- */

static COIL_COLD void refuse_unknown(thrift_call *call)
{
    const coil_thrift_text name = call->call.message.name;
    char what[THRIFT_WHAT_MAX];

    (void)snprintf(what, sizeof(what), "unknown method '%.*s'",
            name.size > NAME_SHOWN ? NAME_SHOWN : (int)name.size, name.bytes);
    thrift_call_refuse(call, -ENOSYS, COIL_THRIFT_UNKNOWN_METHOD, what);
}

/*
 * The bytes are no message: none that could be called. Or they are too much for a call's memory:
 * then those behind them need not be.
 */
static COIL_COLD int refuse_header(thrift_call *call)
{
    char what[THRIFT_WHAT_MAX];

    const int error = coil_thrift_reader_finish(&call->call.arguments);
    (void)coil_thrift_reader_what(&call->call.arguments, what, sizeof(what));
    thrift_call_forget_message(call);
    thrift_call_refuse(call, error, COIL_THRIFT_PROTOCOL_ERROR, what);
    return thrift_is_protocol_error(error) ? error : 0;
}

COIL_COLD void thrift_call_forget_message(thrift_call *call)
{
    coil_thrift_call *seen = &call->call;

    seen->message = (coil_thrift_message){.type = COIL_THRIFT_CALL};
    seen->headers = (coil_thrift_headers){.bytes = NULL};
    seen->transport = (enum coil_thrift_transport)call->kind.transport;
    seen->protocol = (enum coil_thrift_protocol)call->kind.protocol;
    coil_thrift_reader_init_as(
            &seen->arguments, seen->protocol, "", 0, seen->server->limits, &call->arena);
}

/* There is no room for the message, of which nothing has been read. */
static COIL_COLD int refuse_message(thrift_call *call)
{
    thrift_call_forget_message(call);
    thrift_call_refuse(
            call, -ENOBUFS, COIL_THRIFT_INTERNAL_ERROR, "there is no room for this message");
    return 0;
}

static COIL_COLD void find_rule(thrift_call *call)
{
    const coil_thrift_server *server = call->peer->server;

    for (size_t i = 0; i < server->rule_count; i++) {
        if (server->rules[i].method == call->call.method) {
            call->rule = &server->rules[i];
            return;
        }
    }
}

/* A header that is a number of milliseconds; 0: there is none. */
static COIL_COLD coil_duration milliseconds(const thrift_call *call, const char *name)
{
    coil_thrift_text value;
    int64_t sum = 0;

    if (!coil_thrift_headers_find(call->call.headers, name, &value) || value.size > 9)
        return 0;
    for (uint32_t i = 0; i < value.size; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return 0;
        sum = 10 * sum + (value.bytes[i] - '0');
    }
    return coil_ms(sum);
}

static coil_duration shorter(coil_duration one, coil_duration other)
{
    return other > 0 && (one == 0 || other < one) ? other : one;
}

static void set_deadline(thrift_call *call)
{
    coil_duration limit = call->peer->server->call_limit;

    if (call->rule != NULL && call->rule->call_limit > 0)
        limit = call->rule->call_limit;
    call->queue_limit = 0;
    if (coil_unlikely(call->call.headers.size > 0)) {
        limit = shorter(limit, milliseconds(call, "client_timeout"));
        call->queue_limit = milliseconds(call, "queue_timeout");
    }
    if (limit > 0)
        call->call.deadline = coil_time_after(call->call.arrived, limit);
}

/* The method is known: may it be called? As thrift_call_begin(). */
static int admit(thrift_call *call)
{
    const coil_thrift_method_schema *schema = call->call.method->schema;

    if (call->peer->server->rule_count > 0)
        find_rule(call);
    set_deadline(call);
    if (schema != NULL && schema->is_oneway)
        call->call.message.type = COIL_THRIFT_ONEWAY;
    if (call->call.message.type == COIL_THRIFT_ONEWAY)
        thrift_order_acknowledge(call, /* now_or_later= */ true);
    const int rc = thrift_queue_admit(call);
    if (coil_likely(rc != -EBUSY))
        return rc;
    thrift_call_refuse(call, -EBUSY, COIL_THRIFT_LOADSHEDDING,
            "overloaded: too many calls are waiting already");
    return 0;
}

/* What lies in memory of the transport's is for the next message. */
static COIL_COLD bool keep_message(thrift_call *call)
{
    thrift_envelope *envelope = &call->peer->envelope;
    char *message = coil_arena_take(&call->arena, envelope->size, 1);
    call->charged_bytes = thrift_charge_copied(envelope);

    if (message == NULL)
        return false;
    if (envelope->size > 0)
        memcpy(message, envelope->message, envelope->size);
    envelope->message = (const uint8_t *)message;
    if (envelope->headers.size == 0)
        return true;
    char *headers = coil_arena_take(&call->arena, envelope->headers.size, 1);
    if (headers == NULL)
        return false;
    memcpy(headers, envelope->headers.bytes, envelope->headers.size);
    envelope->headers.bytes = (const uint8_t *)headers;
    return true;
}

int thrift_call_begin(thrift_connection *peer, thrift_call **out_call)
{
    thrift_call *call = thrift_call_take(peer);

    if (call == NULL)
        return -ENOMEM;
    call->frame = coil_slice_take(&peer->frame);
    call->outcome.received_bytes = peer->envelope.size;
    call->charged_bytes = peer->envelope.size;
    if (coil_unlikely(peer->envelope.copied)) {
        if (thrift_is_page(&peer->envelope)) {
            thrift_page_answer(call, &peer->envelope);
            return 0;
        }
        if (!keep_message(call))
            return refuse_message(call);
    }
    call->call.headers = peer->envelope.headers;
    call->call.transport = (enum coil_thrift_transport)call->kind.transport;
    call->call.protocol = (enum coil_thrift_protocol)call->kind.protocol;
    coil_thrift_reader_init_as(&call->call.arguments, call->call.protocol, peer->envelope.message,
            peer->envelope.size, peer->server->limits, &call->arena);
    if (!coil_thrift_read_message(&call->call.arguments, &call->call.message))
        return refuse_header(call);
    const enum coil_thrift_message_type type = call->call.message.type;
    if (type != COIL_THRIFT_CALL && type != COIL_THRIFT_ONEWAY) {
        thrift_call_refuse(
                call, -EBADMSG, COIL_THRIFT_INVALID_MESSAGE_TYPE, "a server takes calls only");
        return -EBADMSG;
    }
    peer->server->stats.calls++;
    if (!find_known(peer->server, &call->call) && !find_method(peer->server, &call->call)) {
        refuse_unknown(call);
        return 0;
    }
    *out_call = call;
    return admit(call);
}
