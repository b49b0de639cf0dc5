/* SPDX-License-Identifier: MIT */
#include "http_message.h"

#include <errno.h>

http_message *http_message_create(bool of_server, const http_limits *limits)
{
    (void)of_server;
    (void)limits;
    return NULL;
}

void http_message_destroy(http_message *message)
{
    (void)message;
}

void http_message_allow_all(http_message *message)
{
    (void)message;
}

int http_message_next(http_message *message, const uint8_t *bytes, size_t size, size_t *out_taken,
        http_content *out_content)
{
    (void)message;
    (void)bytes;
    (void)size;
    *out_taken = 0;
    (void)out_content;
    return -EBADMSG;
}

int http_message_end(http_message *message, http_content *out_content)
{
    (void)message;
    (void)out_content;
    return 0;
}

void http_message_rest(http_message *message, size_t keep_bytes)
{
    (void)message;
    (void)keep_bytes;
}

bool http_message_expects(http_message *message)
{
    (void)message;
    return false;
}

const char *http_message_what(const http_message *message)
{
    (void)message;
    return "it is not in this build";
}

int http_message_status(const http_message *message)
{
    (void)message;
    return 501;
}
