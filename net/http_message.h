/* SPDX-License-Identifier: MIT */
/*
 * http_message.h - one HTTP/1.x message after the other, taken out of bytes as they arrive, and the
 * heads of those that are sent. No I/O.
 *
 * A message is gathered in memory of its own: head and body grow with the bytes that come, up to
 * their limits. Whether a request is one that is wanted is found out as early as it can be, so that
 * a peer with 16 MB of something else is told before it sends them.
 *
 * http_message.c stands on http-parser, http_message_none.c is for builds without.
 *
 * Wire format: RFC 9110 and RFC 9112.
 */
#ifndef COIL_HTTP_MESSAGE_H
#define COIL_HTTP_MESSAGE_H

#include "byte_store.h"

#include <coil/thrift_headers.h>

typedef struct http_message http_message;

typedef struct http_limits {
    uint32_t head_max;    /* Bytes of target, names and values; each header counts 8 more. */
    uint32_t headers_max; /* Headers. */
    uint32_t body_max;
} http_limits;

/* A request or a response that is complete. Good until the next http_message_next(). */
typedef struct http_content {
    coil_thrift_text method; /* Of a request: "POST". */
    coil_thrift_text target; /* "/service?x=1" */
    int status;              /* Of a response. */
    bool last;               /* The connection is not to be used again. */
    bool old;                /* HTTP/1.0: a connection that goes on has to be announced. */
    coil_thrift_headers headers;
    const uint8_t *body;
    uint32_t body_size;
} http_content;

/* For what a server receives, or a client. NULL: no memory, or none of it in this build. */
http_message *http_message_create(bool of_server, const http_limits *limits);
void http_message_destroy(http_message *message);

/* A server takes requests of any method, also such without a body. */
void http_message_allow_all(http_message *message);

/*
 * Feed what has arrived; all that was taken may be dropped at once. 1: *out_content is complete. 0:
 * more is needed. -EBADMSG: malformed, or refused; -EMSGSIZE: a limit; -ENOMEM.
 * Responses that only announce another one (100) are skipped.
 */
COIL_MUST_USE int http_message_next(http_message *message, const uint8_t *bytes, size_t size,
        size_t *out_taken, http_content *out_content);

/* The peer has ended. 1: that was the end of *out_content. 0: there was nothing. -ENODATA. */
COIL_MUST_USE int http_message_end(http_message *message, http_content *out_content);

/* The message has been used: give memory above `keep_bytes` back. */
void http_message_rest(http_message *message, size_t keep_bytes);

/* Whether the peer waits for "100 Continue"; asked once per message. */
COIL_MUST_USE bool http_message_expects(http_message *message);

/*
 * After an error: in words, and the status of the response that says so; of a response, its own.
 * Of NULL: the status that says why there is none.
 */
const char *http_message_what(const http_message *message);
int http_message_status(const http_message *message);

/*
 * The whole response that refuses a request with `status`, which ends the connection, in `place`.
 * What is not known is a 500.
 */
enum { HTTP_REFUSAL_BYTES = 320 };
coil_thrift_text http_refusal(int status, char place[HTTP_REFUSAL_BYTES]);

/* "HTTP/1.1 100 Continue" */
coil_thrift_text http_continue(void);

/* ------------------------------------------------------------------------------------ heads -- */

/*
 * The head of a message to be sent. `host` makes it a request; a response has a date. Texts are not
 * escaped.
 */
typedef struct http_head {
    const char *host; /* NULL: a response. */
    const char *path;
    const char *status; /* Of a response. NULL: "200 OK". */
    const char *content_type;
    const coil_thrift_header *headers;
    uint32_t header_count;
    bool last;
    bool old;
} http_head;

/* Whether this can be the name of a header. */
bool http_is_token(coil_thrift_text text);

/* How long it is, whatever the size of the body. -EINVAL: a header that HTTP cannot carry. */
COIL_MUST_USE int http_head_bytes(const http_head *head);

/* Write these bytes. */
void http_head_write(char *place, const http_head *head, uint32_t body_bytes);

#endif
