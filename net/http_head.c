/* SPDX-License-Identifier: MIT */
#include "http_message.h"

#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------------------------ heads -- */

bool http_is_token(coil_thrift_text text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (uint32_t i = 0; i < text.size; i++) {
        char letter = text.bytes[i];
        bool is_word = (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
                       (letter >= 'A' && letter <= 'Z');
        if (!is_word && (letter == '\0' || strchr(others, letter) == NULL))
            return false;
    }
    return text.size > 0;
}

/* Could somebody who chooses the value begin a header or a message of his own? */
static bool is_value(coil_thrift_text text)
{
    for (uint32_t i = 0; i < text.size; i++) {
        unsigned char letter = (unsigned char)text.bytes[i];
        if ((letter < 0x20 && letter != '\t') || letter == 0x7f)
            return false;
    }
    return true;
}

/* Characters in a row: at NULL they are only counted. */
typedef struct text_line {
    char *at;
    size_t size;
} text_line;

static void put(text_line *line, const char *bytes, size_t size)
{
    if (line->at != NULL && size > 0)
        memcpy(line->at + line->size, bytes, size);
    line->size += size;
}

static void put_string(text_line *line, const char *string)
{
    put(line, string, strlen(string));
}

static void put_header(text_line *line, const coil_thrift_header *header)
{
    put(line, header->name.bytes, header->name.size);
    put_string(line, ": ");
    put(line, header->value.bytes, header->value.size);
    put_string(line, "\r\n");
}

static void put_first(text_line *line, const http_head *head)
{
    if (head->host == NULL) {
        put_string(line, "HTTP/1.1 200 OK\r\n");
        if (head->last) {
            put_string(line, "Connection: close\r\n");
        } else if (head->old) {
            put_string(line, "Connection: keep-alive\r\n");
        }
        return;
    }
    put_string(line, "POST ");
    put_string(line, head->path);
    put_string(line, " HTTP/1.1\r\nHost: ");
    put_string(line, head->host);
    put_string(line, "\r\nAccept: ");
    put_string(line, head->content_type);
    put_string(line, "\r\n");
}

static void put_head(text_line *line, const http_head *head, uint32_t body_bytes)
{
    char length[32]; /* Blanks before the number are allowed: so the head is as long for each. */

    put_first(line, head);
    put_string(line, "Content-Type: ");
    put_string(line, head->content_type);
    (void)snprintf(length, sizeof(length), "\r\nContent-Length: %10u\r\n", body_bytes);
    put_string(line, length);
    for (uint32_t i = 0; i < head->header_count; i++)
        put_header(line, &head->headers[i]);
    put_string(line, "\r\n");
}

int http_head_bytes(const http_head *head)
{
    text_line counted = {NULL, 0};

    for (uint32_t i = 0; i < head->header_count; i++) {
        if (!http_is_token(head->headers[i].name) || !is_value(head->headers[i].value))
            return -EINVAL;
    }
    put_head(&counted, head, 0);
    return counted.size > INT32_MAX ? -EINVAL : (int)counted.size;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to, by way of `written`. */
void http_head_write(char *place, const http_head *head, uint32_t body_bytes)
{
    text_line written = {place, 0};

    put_head(&written, head, body_bytes);
}

/* --------------------------------------------------------------------------------- refusals -- */

/* The response that refuses: its status line, more headers, its text in `length` bytes. */
#define REFUSAL(line, more, length, text)                                         \
    "HTTP/1.1 " line "\r\nConnection: close\r\nContent-Type: text/plain\r\n" more \
    "Content-Length: " length "\r\n\r\n" text "\n"

typedef struct refusal {
    int status;
    const char *response;
} refusal;

/* The first is for all that are not listed. */
static const refusal refusals[] = {
        {400, REFUSAL("400 Bad Request", "", "12", "bad request")},
        {405, REFUSAL("405 Method Not Allowed", "Allow: POST\r\n", "25",
                      "Thrift is called by POST")},
        {411, REFUSAL("411 Length Required", "", "23", "the length is required")},
        {413, REFUSAL("413 Content Too Large", "", "22", "the call is too large")},
        {415, REFUSAL("415 Unsupported Media Type", "", "25", "no content-encoding here")},
        {417, REFUSAL("417 Expectation Failed", "", "20", "cannot expect that.")},
        {431, REFUSAL("431 Request Header Fields Too Large", "", "22", "the head is too large")},
        {501, REFUSAL("501 Not Implemented", "", "16", "not implemented")},
        {505, REFUSAL("505 HTTP Version Not Supported", "", "22", "only HTTP/1.0 and 1.1")},
};

coil_thrift_text http_refusal(int status)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].status == status)
            return coil_thrift_text_of(refusals[i].response);
    }
    return coil_thrift_text_of(refusals[0].response);
}

coil_thrift_text http_continue(void)
{
    return coil_thrift_text_of("HTTP/1.1 100 Continue\r\n\r\n");
}
