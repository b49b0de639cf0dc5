/* SPDX-License-Identifier: MIT */
/*
 * Of coil/thrift_server.h: HTTP requests that are no calls. There is one page, "/metrics", which is
 * made when it is asked for, in the arena of a call, and sent as the reply of one.
 */
#include "fb303_default.h"
#include "http_message.h"
#include "thrift_server_private.h"

#include <coil/loop.h>
#include <coil/open_metrics.h>

bool thrift_pages_are_served(const coil_thrift_server *server)
{
    return server->fb303 != NULL && !server->without_pages;
}

bool thrift_is_page(const thrift_envelope *envelope)
{
    return envelope->kind.transport == COIL_THRIFT_TRANSPORT_HTTP &&
           !coil_thrift_text_is(envelope->http_method, "POST");
}

/* Is it this path, whatever the question behind it? */
static bool is_path(coil_thrift_text target, const char *path)
{
    const char *question = target.size == 0 ? NULL : memchr(target.bytes, '?', target.size);

    if (question != NULL)
        target.size = (uint32_t)(question - target.bytes);
    return coil_thrift_text_is(target, path);
}

/* What is wanted of a page. */
typedef struct page_request {
    thrift_call *call;
    bool only_head;
} page_request;

static http_head head_of(const thrift_call *call, const char *status, const char *type)
{
    return (http_head){
            .status = status,
            .content_type = type,
            .last = call->kind.last,
            .old = call->kind.old_http,
    };
}

/*
 * A page with a body of so many bytes, which are to be put in *out_body, with a zero behind them.
 * Empty: there is no memory.
 */
static coil_thrift_text begin_page(
        page_request wanted, const http_head *head, size_t body_bytes, char **out_body)
{
    const size_t head_bytes = (size_t)http_head_bytes(head);
    char *page = coil_arena_take(&wanted.call->arena, head_bytes + body_bytes + 1, 1);

    if (page == NULL)
        return (coil_thrift_text){.bytes = "", .size = 0};
    http_head_write(page, head, (uint32_t)body_bytes);
    *out_body = page + head_bytes;
    const size_t size = head_bytes + (wanted.only_head ? 0 : body_bytes);
    return (coil_thrift_text){.bytes = page, .size = (uint32_t)size};
}

static coil_thrift_text make_plain(page_request wanted, const http_head *head, const char *text)
{
    char *body;
    const coil_thrift_text page = begin_page(wanted, head, strlen(text), &body);

    if (page.size > 0)
        memcpy(body, text, strlen(text) + 1);
    return page;
}

static coil_thrift_text make_not_allowed(page_request wanted)
{
    static const coil_thrift_header allow = {{"Allow", 5}, {"GET, HEAD, POST", 15}};
    http_head head = head_of(wanted.call, "405 Method Not Allowed", "text/plain");

    head.headers = &allow;
    head.header_count = 1;
    return make_plain(wanted, &head, "Thrift is called by POST\n");
}

static coil_thrift_text make_metrics(page_request wanted, coil_metrics *metrics)
{
    const http_head head = head_of(wanted.call, "200 OK", COIL_OPEN_METRICS_TYPE);
    const coil_time now = coil_now();
    char *body;

    coil_metrics_refresh(metrics, now);
    const size_t body_bytes = coil_open_metrics_format(metrics, now, NULL, 0);
    const coil_thrift_text page = begin_page(wanted, &head, body_bytes, &body);
    if (page.size > 0)
        (void)coil_open_metrics_format(metrics, now, body, body_bytes + 1);
    return page;
}

static coil_thrift_text make_page(thrift_call *call, const thrift_envelope *envelope)
{
    const page_request wanted = {
            .call = call,
            .only_head = coil_thrift_text_is(envelope->http_method, "HEAD"),
    };

    if (!wanted.only_head && !coil_thrift_text_is(envelope->http_method, "GET"))
        return make_not_allowed(wanted);
    if (!is_path(envelope->http_target, "/metrics")) {
        const http_head head = head_of(call, "404 Not Found", "text/plain");
        return make_plain(wanted, &head, "there is /metrics\n");
    }
    return make_metrics(wanted, fb303_default_metrics(call->peer->server));
}

/* Where the arena of the call has no room for more. */
static void say_unavailable(thrift_call *call)
{
    const http_head head = head_of(call, "503 Service Unavailable", "text/plain");
    const int size = http_head_bytes(&head);
    char place[HTTP_REFUSAL_BYTES];

    COIL_CHECK(size <= HTTP_REFUSAL_BYTES);
    http_head_write(place, &head, 0);
    thrift_order_say_as(call, (coil_thrift_text){.bytes = place, .size = (uint32_t)size});
}

void thrift_page_answer(thrift_call *call, const thrift_envelope *envelope)
{
    call->call.message = (coil_thrift_message){.type = COIL_THRIFT_CALL};
    const coil_thrift_text page = make_page(call, envelope);
    if (page.size > 0) {
        thrift_order_say_as(call, page);
    } else {
        say_unavailable(call);
    }
    thrift_call_drop_arguments(call);
    thrift_connection_send_first(call->peer); /* It is a hundred times what has asked for it. */
    thrift_order_deliver(call);
}
