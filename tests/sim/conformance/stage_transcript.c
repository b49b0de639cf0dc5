/* SPDX-License-Identifier: MIT */
/* What a program says, and how. */
#include "stage_private.h"

#include <coil/check.h>
#include <coil/error.h>

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void stage_say(struct stage *stage, const char *format, ...)
{
    size_t room_bytes = TEXT_BYTES - stage->text_bytes;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(stage->text + stage->text_bytes, room_bytes, format, arguments);
    va_end(arguments);
    COIL_CHECK(count >= 0);
    COIL_CHECK((size_t)count + 1 < room_bytes);
    stage->text_bytes += (size_t)count;
    stage->text[stage->text_bytes++] = '\n';
    stage->text[stage->text_bytes] = '\0';
}

static void format_mask(char *text, size_t size_bytes, unsigned mask)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"},
            {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}, {POLLRDNORM, "RDNORM"},
            {POLLRDBAND, "RDBAND"}, {POLLWRNORM, "WRNORM"}, {POLLWRBAND, "WRBAND"}};
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((mask & names[i].bit) == 0)
            continue;
        length += (size_t)snprintf(
                text + length, size_bytes - length, "%s%s", length > 0 ? "|" : "", names[i].name);
        mask &= ~names[i].bit;
    }
    if (mask != 0 || length == 0)
        (void)snprintf(text + length, size_bytes - length, "%s0x%x", length > 0 ? "|" : "", mask);
}

const char *stage_format(char *text, size_t size_bytes, stage_kind kind, int64_t result)
{
    if (result < 0 && result > -4096 && strcmp(coil_error_name((int)result), "EUNKNOWN") != 0) {
        (void)snprintf(text, size_bytes, "-%s", coil_error_name((int)result));
    } else if (result < 0 || kind == NUMBER) {
        (void)snprintf(text, size_bytes, "%lld", (long long)result);
    } else if (kind == DESCRIPTOR) {
        (void)snprintf(text, size_bytes, "fd");
    } else {
        format_mask(text, size_bytes, (unsigned)result);
    }
    return text;
}

static void say_as(struct stage *stage, const char *what, stage_kind kind, int64_t result)
{
    char text[LINE_BYTES];
    stage_say(stage, "%s: %s", what, stage_format(text, sizeof(text), kind, result));
}

void stage_say_result(struct stage *stage, const char *what, int64_t result)
{
    say_as(stage, what, NUMBER, result);
}

void stage_say_fd(struct stage *stage, const char *what, int64_t result)
{
    say_as(stage, what, DESCRIPTOR, result);
}

void stage_say_mask(struct stage *stage, const char *what, int64_t result)
{
    say_as(stage, what, MASK, result);
}
