/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void report_add(report *to, const char *format, ...)
{
    const size_t room = sizeof(to->text) - to->size_bytes;
    va_list values;

    va_start(values, format);
    int count = vsnprintf(to->text + to->size_bytes, room, format, values);
    va_end(values);
    if (count > 0)
        to->size_bytes += (size_t)count < room ? (size_t)count : room - 1;
}

void report_write(int fd, const char *text, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t count = coil_kernel_write(fd, text, size_bytes);
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return;
        text += count;
        size_bytes -= (size_t)count;
    }
}
