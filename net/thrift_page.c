/* SPDX-License-Identifier: MIT */
/*
 * Of coil/thrift_server.h: HTTP requests that are no calls. There is one page, "/metrics", which is
 * made when it is asked for, in the arena of a call, and sent as the reply of one.
 */
#include "fb303_default.h"
#include "thrift_server_private.h"

#include <coil/loop.h>
#include <coil/open_metrics.h>

#include <errno.h>
#include <stdio.h>

enum { HEAD_BYTES = 256 /* More than any of ours. */ };

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

/* Each head. (To HTTP/1.0 a connection that goes on has to be announced.) */
static int write_head(const thrift_kind *kind, const char *status, const char *type,
        size_t body_bytes, char *head)
{
    const char *connection = "";

    if (kind->last) {
        connection = "Connection: close\r\n";
    } else if (kind->old_http) {
        connection = "Connection: keep-alive\r\n";
    }
    return snprintf(head, HEAD_BYTES,
            "HTTP/1.1 %s\r\n%sContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status, connection,
            type, body_bytes);
}

static coil_thrift_text make_plain(
        thrift_call *call, const char *status, const char *body, bool only_head)
{
    char head[HEAD_BYTES];

    (void)write_head(&call->kind, status, "text/plain", strlen(body), head);
    return coil_thrift_format(&call->arena, "%s%s", head, only_head ? "" : body);
}

/* What is answered where the arena of a call has no room for more. */
static const char unavailable[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/* Empty: there is no memory. */
static coil_thrift_text make_metrics(thrift_call *call, coil_metrics *metrics, bool only_head)
{
    const coil_time now = coil_now();

    coil_metrics_refresh(metrics, now);
    const size_t body_bytes = coil_open_metrics_format(metrics, now, NULL, 0);
    char *page = coil_arena_take(&call->arena, HEAD_BYTES + body_bytes + 1, 1);
    if (page == NULL)
        return (coil_thrift_text){.bytes = "", .size = 0};
    const int head_bytes =
            write_head(&call->kind, "200 OK", COIL_OPEN_METRICS_TYPE, body_bytes, page);
    if (only_head)
        return (coil_thrift_text){.bytes = page, .size = (uint32_t)head_bytes};
    (void)coil_open_metrics_format(metrics, now, page + head_bytes, body_bytes + 1);
    return (coil_thrift_text){.bytes = page, .size = (uint32_t)((size_t)head_bytes + body_bytes)};
}

static coil_thrift_text make_page(thrift_call *call, const thrift_envelope *envelope)
{
    const bool only_head = coil_thrift_text_is(envelope->http_method, "HEAD");

    if (!only_head && !coil_thrift_text_is(envelope->http_method, "GET")) {
        return make_plain(call, "405 Method Not Allowed\r\nAllow: GET, HEAD, POST",
                "Thrift is called by POST\n", false);
    }
    if (!is_path(envelope->http_target, "/metrics"))
        return make_plain(call, "404 Not Found", "there is /metrics\n", only_head);
    return make_metrics(call, fb303_default_metrics(call->peer->server), only_head);
}

void thrift_page_answer(thrift_call *call, const thrift_envelope *envelope)
{
    call->call.message = (coil_thrift_message){.type = COIL_THRIFT_CALL};
    coil_thrift_text page = make_page(call, envelope);
    if (page.size == 0)
        page = coil_thrift_text_of(unavailable);
    thrift_order_say_as(call, page);
    thrift_call_drop_arguments(call);
    thrift_connection_send_first(call->peer); /* It is a hundred times what has asked for it. */
    thrift_order_deliver(call);
}
