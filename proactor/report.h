/* SPDX-License-Identifier: MIT */
/* A block of text for people, made without allocating, and written in one piece. */
#ifndef REPORT_H
#define REPORT_H

#include <coil/base.h>

enum { REPORT_BYTES = 32 * 1024 };

typedef struct report {
    size_t size_bytes;
    char text[REPORT_BYTES];
} report;

/* What has no room is left out. */
void report_add(report *to, const char *format, ...) COIL_PRINTF(2, 3);

/* Write all of it, if `fd` takes it: a report is not worth waiting for. */
void report_write(int fd, const char *text, size_t size_bytes);

#endif
