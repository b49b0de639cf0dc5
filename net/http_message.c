/* SPDX-License-Identifier: MIT */
#include "http_message.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include <http_parser.h>

enum {
    PADDED_BYTES = 3, /* Of a varint that is filled in later. */
    INFO_PAIRS = 1,
    KEEP_BYTES = 64 * 1024,
    HEADER_COST_BYTES = 8,
};

/*
 * The head holds the target, and then the headers as THeader packs them (coil/thrift_headers.h), so
 * that both are read alike. Their number and sizes are varints of 3 bytes, filled in when known.
 */
struct http_message {
    http_parser parser;
    http_limits limits;
    bool allow_all;
    bool expects;
    bool in_message; /* It has begun, and not ended. */
    bool in_head;
    bool in_value; /* Of the header that is being gathered. */
    bool complete;
    int status;       /* What the request is refused with, or the status of the response. */
    const char *what; /* Why. */
    size_t target_bytes;
    size_t text_start; /* Where the size of the name or value is that is being gathered. */
    uint32_t cost;
    uint32_t header_count;
    byte_store head;
    byte_store body;
};

static http_message *message_of(http_parser *parser)
{
    return coil_container_of(parser, http_message, parser);
}

/* Refuse: what the callbacks return, which ends the parsing. */
static int refuse(http_message *message, int status, const char *what)
{
    if (message->what == NULL) {
        message->status = status;
        message->what = what;
    }
    return -1;
}

/* ------------------------------------------------------------------------------------- head -- */

static int gather(http_message *message, const void *bytes, size_t size)
{
    message->cost += (uint32_t)(size < UINT32_MAX / 2 ? size : UINT32_MAX / 2);
    if (message->cost > message->limits.head_max)
        return refuse(message, 431, "the head is larger than allowed");
    if (byte_store_append(&message->head, bytes, size, SIZE_MAX) < 0)
        return refuse(message, 500, "no memory");
    return 0;
}

static void fill_in(http_message *message, size_t place, size_t value)
{
    uint8_t *bytes = message->head.bytes + place;

    bytes[0] = (uint8_t)(value | 0x80);
    bytes[1] = (uint8_t)(value >> 7 | 0x80);
    bytes[2] = (uint8_t)(value >> 14 & 0x7f);
}

static bool is_blank(uint8_t letter)
{
    return letter == ' ' || letter == '\t';
}

/* The name or value that was being gathered is all there; blanks behind a value are not of it. */
static void end_text(http_message *message)
{
    const size_t start = message->text_start;
    byte_store *head = &message->head;

    if (start != 0) {
        while (message->in_value && head->size > start + PADDED_BYTES &&
                is_blank(head->bytes[head->size - 1]))
            head->size--;
        fill_in(message, start, head->size - start - PADDED_BYTES);
    }
    message->text_start = 0;
}

static int begin_text(http_message *message)
{
    static const uint8_t padded[PADDED_BYTES];

    end_text(message);
    message->text_start = message->head.size;
    return gather(message, padded, sizeof(padded));
}

static int on_begin(http_parser *parser)
{
    http_message *message = message_of(parser);

    message->in_message = true;
    message->in_head = true;
    message->in_value = true;
    message->expects = false;
    message->status = 0;
    message->target_bytes = 0;
    message->text_start = 0;
    message->cost = 0;
    message->header_count = 0;
    byte_store_clear(&message->head, KEEP_BYTES);
    byte_store_clear(&message->body, KEEP_BYTES);
    return 0;
}

static int on_target(http_parser *parser, const char *bytes, size_t size)
{
    http_message *message = message_of(parser);

    message->target_bytes += size;
    return gather(message, bytes, size);
}

/* Where the headers begin: behind the target, with how many there are. */
static int begin_headers(http_message *message)
{
    static const uint8_t start[1 + PADDED_BYTES] = {INFO_PAIRS};

    return gather(message, start, sizeof(start));
}

static int on_name(http_parser *parser, const char *bytes, size_t size)
{
    http_message *message = message_of(parser);
    int rc = 0;

    if (!message->in_head) /* A trailer: nobody asks for it. */
        return 0;
    if (message->in_value) {
        if (message->header_count == 0)
            rc = begin_headers(message);
        message->cost += HEADER_COST_BYTES;
        if (++message->header_count > message->limits.headers_max)
            return refuse(message, 431, "there are more headers than allowed");
        if (rc == 0)
            rc = begin_text(message);
        message->in_value = false;
    }
    if (rc == 0)
        rc = gather(message, bytes, size);
    for (size_t i = 0; rc == 0 && i < size; i++) {
        uint8_t *letter = &message->head.bytes[message->head.size - size + i];
        if (*letter >= 'A' && *letter <= 'Z')
            *letter |= 0x20;
    }
    return rc;
}

static int on_value(http_parser *parser, const char *bytes, size_t size)
{
    http_message *message = message_of(parser);

    if (!message->in_head)
        return 0;
    if (!message->in_value) {
        coil_thrift_text name = {
                (const char *)message->head.bytes + message->text_start + PADDED_BYTES,
                (uint32_t)(message->head.size - message->text_start - PADDED_BYTES)};
        if (!http_is_token(
                    name)) /* The parser takes blanks before the colon, which smugglers like. */
            return refuse(message, 400, "the name of a header is malformed");
        if (begin_text(message) < 0)
            return -1;
    }
    message->in_value = true;
    return gather(message, bytes, size);
}

static coil_thrift_headers headers_of(const http_message *message)
{
    if (message->header_count == 0)
        return (coil_thrift_headers){NULL, 0, 0};
    return (coil_thrift_headers){message->head.bytes + message->target_bytes,
            (uint32_t)(message->head.size - message->target_bytes), 0};
}

static bool text_is(coil_thrift_text text, const char *string)
{
    return text.size == strlen(string) && strncasecmp(text.bytes, string, text.size) == 0;
}

static unsigned count_of(const http_message *message, const char *name)
{
    coil_thrift_headers headers = headers_of(message);
    coil_thrift_header header;
    unsigned count = 0;

    while (coil_thrift_headers_next(&headers, &header))
        count += text_is(header.name, name);
    return count;
}

/*
 * One header, which says "chunked" and nothing else: the parser skips encodings that it does not
 * know, and whoever is between the peer and us may read a list of them in another way.
 */
static bool is_chunked_alone(const http_message *message)
{
    coil_thrift_text value;

    return count_of(message, "transfer-encoding") == 1 &&
           coil_thrift_headers_find(headers_of(message), "transfer-encoding", &value) &&
           text_is(value, "chunked");
}

/* How the body ends, beyond what the parser has seen to: RFC 9112, 6.1. */
static int check_framing(http_message *message)
{
    const http_parser *parser = &message->parser;

    if (parser->uses_transfer_encoding == 0)
        return 0;
    if (parser->http_major < 1 || (parser->http_major == 1 && parser->http_minor == 0))
        return refuse(message, 400, "HTTP/1.0 has no transfer encodings");
    return is_chunked_alone(message) ? 0 : refuse(message, 501, "the transfer encoding is unknown");
}

/* A name or an address, and perhaps a port: the characters of RFC 3986, 3.2.2, but the comma. */
static bool is_host(coil_thrift_text value)
{
    for (uint32_t i = 0; i < value.size; i++) {
        const unsigned char letter = (unsigned char)value.bytes[i];
        const bool is_alphanumeric = (letter >= '0' && letter <= '9') ||
                                     (letter >= 'a' && letter <= 'z') ||
                                     (letter >= 'A' && letter <= 'Z');
        if (!is_alphanumeric && (letter == '\0' || strchr("-._~%!$&'()*+;=:[]", letter) == NULL))
            return false;
    }
    return true;
}

/* Whom the request is for has to be said once; by HTTP/1.0 it need not be: RFC 9112, 3.2. */
static int check_host(http_message *message)
{
    const unsigned count = count_of(message, "host");
    coil_thrift_text value;

    if (count > 1)
        return refuse(message, 400, "there is more than one host");
    if (count == 0 && message->parser.http_minor == 1)
        return refuse(message, 400, "there is no host");
    if (coil_thrift_headers_find(headers_of(message), "host", &value) && !is_host(value))
        return refuse(message, 400, "the host is none");
    return 0;
}

/* What a server wants of a request, beyond that it is well formed. */
static int check_request(http_message *message)
{
    http_parser *parser = &message->parser;
    bool has_length = parser->content_length != UINT64_MAX;
    bool is_chunked = (parser->flags & F_CHUNKED) != 0;
    coil_thrift_text value;

    if (parser->http_major != 1 || parser->http_minor > 1)
        return refuse(message, 505, "another version than 1.0 and 1.1");
    if (check_host(message) < 0)
        return -1;
    if (!message->allow_all && parser->method != HTTP_POST)
        return refuse(message, 405, "another method than POST");
    if (parser->method == HTTP_CONNECT)
        return refuse(message, 405, "there are no tunnels here");
    if (!has_length && !is_chunked && parser->uses_transfer_encoding == 0 &&
            parser->method == HTTP_POST)
        return refuse(message, 411, "neither a length nor chunks");
    if (coil_thrift_headers_find(headers_of(message), "content-encoding", &value) &&
            !text_is(value, "identity"))
        return refuse(message, 415, "the body has an encoding");
    if (!coil_thrift_headers_find(headers_of(message), "expect", &value))
        return 0;
    if (!text_is(value, "100-continue"))
        return refuse(message, 417, "an unknown expectation");
    message->expects = parser->http_minor == 1;
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    http_message *message = message_of(parser);

    message->in_head = false;
    end_text(message);
    if (message->header_count > 0)
        fill_in(message, message->target_bytes + 1, message->header_count);
    if (parser->content_length != UINT64_MAX && parser->content_length > message->limits.body_max)
        return refuse(message, 413, "the body is larger than allowed");
    if (check_framing(message) < 0)
        return -1;
    if (parser->type == HTTP_REQUEST)
        return check_request(message); /* Who offers an upgrade gets none. */
    return parser->status_code == 101 ? refuse(message, 101, "nobody wanted to upgrade") : 0;
}

static int on_body(http_parser *parser, const char *bytes, size_t size)
{
    http_message *message = message_of(parser);
    message->expects = false;

    int rc = byte_store_append(&message->body, bytes, size, message->limits.body_max);
    if (rc == -EMSGSIZE)
        return refuse(message, 413, "the body is larger than allowed");
    return rc == 0 ? 0 : refuse(message, 500, "no memory");
}

/* Stop here: what follows is the next message. */
static int on_complete(http_parser *parser)
{
    http_message *message = message_of(parser);

    message->in_message = false;
    message->complete = true;
    message->expects = false;
    http_parser_pause(parser, 1);
    return 0;
}

/* ---------------------------------------------------------------------------------- message -- */

http_message *http_message_create(bool of_server, const http_limits *limits)
{
    http_message *message = calloc(1, sizeof(*message));
    if (message == NULL)
        return NULL;
    message->limits = *limits;
    http_parser_init(&message->parser, of_server ? HTTP_REQUEST : HTTP_RESPONSE);
    return message;
}

void http_message_destroy(http_message *message)
{
    if (message == NULL)
        return;
    byte_store_fini(&message->head);
    byte_store_fini(&message->body);
    free(message);
}

void http_message_allow_all(http_message *message)
{
    message->allow_all = true;
}

static void fill_content(http_message *message, http_content *out_content)
{
    http_parser *parser = &message->parser;
    bool of_server = parser->type == HTTP_REQUEST;

    *out_content = (http_content){
            .target = {(const char *)message->head.bytes, (uint32_t)message->target_bytes},
            .status = of_server ? 0 : (int)parser->status_code,
            .last = http_should_keep_alive(parser) == 0,
            .old = parser->http_major < 1 || (parser->http_major == 1 && parser->http_minor == 0),
            .headers = headers_of(message),
            .body = message->body.bytes,
            .body_size = (uint32_t)message->body.size,
    };
    if (of_server) {
        out_content->method =
                coil_thrift_text_of(http_method_str((enum http_method)parser->method));
    }
    message->status = out_content->status;
}

/* The parser has stopped by itself. */
static int malformed(http_message *message)
{
    enum http_errno error = HTTP_PARSER_ERRNO(&message->parser);

    switch (error) {
    case HPE_INVALID_METHOD:
        (void)refuse(message, 501, "the method is unknown");
        break;
    case HPE_INVALID_TRANSFER_ENCODING:
        (void)refuse(message, 501, "the transfer encoding is unknown");
        break;
    case HPE_HEADER_OVERFLOW:
        (void)refuse(message, 431, "the head is larger than allowed");
        break;
    default:
        (void)refuse(message, 400, http_errno_description(error));
    }
    switch (message->status) {
    case 413:
    case 431:
        return -EMSGSIZE;
    case 500:
        return -ENOMEM;
    default:
        return -EBADMSG;
    }
}

/* One message further, or to the end of the bytes. Returns what was taken. */
static size_t parse(http_message *message, const uint8_t *bytes, size_t size)
{
    static const http_parser_settings settings = {
            .on_message_begin = on_begin,
            .on_url = on_target,
            .on_header_field = on_name,
            .on_header_value = on_value,
            .on_headers_complete = on_headers_complete,
            .on_body = on_body,
            .on_message_complete = on_complete,
    };

    return http_parser_execute(&message->parser, &settings, (const char *)bytes, size);
}

/* After the end of a message: 1, or 0 where it was but the announcement of one. */
static int completed(http_message *message, http_content *out_content)
{
    message->complete = false;
    http_parser_pause(&message->parser, 0);
    if (message->parser.type == HTTP_RESPONSE && message->parser.status_code / 100 == 1)
        return 0;
    fill_content(message, out_content);
    return 1;
}

int http_message_next(http_message *message, const uint8_t *bytes, size_t size, size_t *out_taken,
        http_content *out_content)
{
    *out_taken = 0;
    while (*out_taken < size) {
        *out_taken += parse(message, bytes + *out_taken, size - *out_taken);
        if (message->complete) {
            if (completed(message, out_content))
                return 1;
            continue;
        }
        if (HTTP_PARSER_ERRNO(&message->parser) != HPE_OK)
            return malformed(message);
    }
    return 0;
}

int http_message_end(http_message *message, http_content *out_content)
{
    (void)parse(message, NULL, 0);
    if (message->complete)
        return completed(message, out_content);
    return HTTP_PARSER_ERRNO(&message->parser) == HPE_OK ? 0 : -ENODATA;
}

void http_message_rest(http_message *message, size_t keep_bytes)
{
    if (message->in_message)
        return;
    byte_store_clear(&message->head, keep_bytes);
    byte_store_clear(&message->body, keep_bytes);
}

bool http_message_expects(http_message *message)
{
    bool expects = message->expects;
    message->expects = false;
    return expects;
}

const char *http_message_what(const http_message *message)
{
    return message->what == NULL ? "no error" : message->what;
}

int http_message_status(const http_message *message)
{
    return message == NULL ? 500 : message->status;
}
