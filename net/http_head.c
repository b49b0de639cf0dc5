/* SPDX-License-Identifier: MIT */
#include "http_message.h"

#include <coil/date.h>
#include <coil/kernel.h>

#include <errno.h>
#include <inttypes.h>
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

enum { DATE_BYTES = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), which each thread makes once a second. */
static const char *date(void)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static COIL_THREAD_LOCAL int64_t made_at = -1;
    static COIL_THREAD_LOCAL char made[DATE_BYTES];
    char text[4 * DATE_BYTES]; /* For numbers that are larger than any that come. */
    int64_t now = coil_kernel_time_s();

    if (now < 0)
        now = 0; /* That clock has never been set. */
    if (now == made_at)
        return made;
    const int of_day = (int)(now % COIL_DAY_S);
    const coil_date day = coil_date_of(now / COIL_DAY_S);
    (void)snprintf(text, sizeof(text), "%s, %02d %s %04" PRId64 " %02d:%02d:%02d GMT",
            days[coil_date_weekday(now / COIL_DAY_S)], day.day, months[day.month - 1], day.year,
            of_day / 3600, of_day / 60 % 60, of_day % 60);
    memcpy(made, text, DATE_BYTES);
    made_at = now;
    return made;
}

static void put_first_of_response(text_line *line, const http_head *head)
{
    put_string(line, "HTTP/1.1 ");
    put_string(line, head->status == NULL ? "200 OK" : head->status);
    put_string(line, "\r\nDate: ");
    put(line, date(), DATE_BYTES);
    put_string(line, "\r\n");
    if (head->last) {
        put_string(line, "Connection: close\r\n");
    } else if (head->old) {
        put_string(line, "Connection: keep-alive\r\n");
    }
}

static void put_first_of_request(text_line *line, const http_head *head)
{
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

    if (head->host == NULL) {
        put_first_of_response(line, head);
    } else {
        put_first_of_request(line, head);
    }
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

typedef struct refusal {
    int status;
    const char *line;
    const char *text;
} refusal;

/* The last is for all that are not listed. */
static const refusal refusals[] = {
        {400, "400 Bad Request", "bad request\n"},
        {405, "405 Method Not Allowed", "Thrift is called by POST\n"},
        {411, "411 Length Required", "the length is required\n"},
        {413, "413 Content Too Large", "the call is too large\n"},
        {415, "415 Unsupported Media Type", "no content-encoding here\n"},
        {417, "417 Expectation Failed", "cannot expect that\n"},
        {431, "431 Request Header Fields Too Large", "the head is too large\n"},
        {501, "501 Not Implemented", "not implemented\n"},
        {505, "505 HTTP Version Not Supported", "only HTTP/1.0 and 1.1\n"},
        {500, "500 Internal Server Error", "there is no memory for it\n"},
};

static const refusal *find_refusal(int status)
{
    const refusal *one = refusals;
    const refusal *last = &refusals[sizeof(refusals) / sizeof(refusals[0]) - 1];

    while (one < last && one->status != status)
        one++;
    return one;
}

coil_thrift_text http_refusal(int status, char place[HTTP_REFUSAL_BYTES])
{
    static const coil_thrift_header allow = {{"Allow", 5}, {"POST", 4}};
    const refusal *one = find_refusal(status);
    const http_head head = {
            .status = one->line,
            .content_type = "text/plain",
            .headers = &allow,
            .header_count = one->status == 405,
            .last = true,
    };
    const size_t text_bytes = strlen(one->text);

    const size_t head_bytes = (size_t)http_head_bytes(&head);
    COIL_CHECK(head_bytes + text_bytes <= HTTP_REFUSAL_BYTES);
    http_head_write(place, &head, (uint32_t)text_bytes);
    memcpy(place + head_bytes, one->text, text_bytes);
    return (coil_thrift_text){place, (uint32_t)(head_bytes + text_bytes)};
}

coil_thrift_text http_continue(void)
{
    return coil_thrift_text_of("HTTP/1.1 100 Continue\r\n\r\n");
}
