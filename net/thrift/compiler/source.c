/* SPDX-License-Identifier: MIT */
#include "source.h"

#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    ERRORS_MAX = 50,       /* That are shown. */
    SHOWN_BYTES_MAX = 100, /* Of a line, on either side of the place. */
};

static unsigned error_count;
static bool is_quiet;

static int read_whole(FILE *file, idl_source *out_source)
{
    if (fseek(file, 0, SEEK_END) != 0)
        return -errno;
    const long size = ftell(file);
    if (size < 0)
        return -errno;
    if (size > IDL_SOURCE_BYTES_MAX)
        return -EFBIG;
    rewind(file);
    char *text = idl_allocate((size_t)size + 1);
    const size_t read_size = fread(text, 1, (size_t)size, file);
    if (ferror(file))
        return -EIO;
    text[read_size] = '\0';
    out_source->text = text;
    out_source->size = read_size;
    return 0;
}

int idl_source_read(const char *path, idl_source *out_source)
{
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return -errno;
    const int rc = read_whole(file, out_source);
    fclose(file);
    if (rc == 0)
        out_source->path = idl_copy(path, strlen(path));
    return rc;
}

static const char *line_start(idl_place place)
{
    const char *at = place.source->text + place.offset;

    while (at > place.source->text && at[-1] != '\n')
        at--;
    return at;
}

unsigned idl_place_line(idl_place place)
{
    unsigned line = 1;

    for (uint32_t i = 0; i < place.offset; i++)
        line += place.source->text[i] == '\n';
    return line;
}

unsigned idl_place_column(idl_place place)
{
    return (unsigned)(place.source->text + place.offset - line_start(place)) + 1;
}

/* What is underlined of the line: the place, or what of it is in its first line. */
static unsigned underlined_size(idl_place place, const char *line_end)
{
    const char *begin = place.source->text + place.offset;
    const size_t rest = line_end > begin ? (size_t)(line_end - begin) : 0;

    if (place.size == 0)
        return 1;
    return (unsigned)(place.size < rest ? place.size : rest);
}

/*
 * The line, or what of it is near, and under it the place. Tabs stay tabs, and what cannot be
 * printed is a question mark.
 */
static void show_line(idl_place place)
{
    const char *begin = line_start(place);
    const char *mark = place.source->text + place.offset;
    const char *end = mark + strcspn(mark, "\r\n");

    if (mark - begin > SHOWN_BYTES_MAX)
        begin = mark - SHOWN_BYTES_MAX;
    if (end - mark > SHOWN_BYTES_MAX)
        end = mark + SHOWN_BYTES_MAX;
    fprintf(stderr, "%5u | ", idl_place_line(place));
    for (const char *at = begin; at < end; at++)
        fputc((unsigned char)*at < ' ' && *at != '\t' ? '?' : *at, stderr);
    fputs("\n      | ", stderr);
    for (const char *at = begin; at < mark; at++)
        fputc(*at == '\t' ? '\t' : ' ', stderr);
    fputc('^', stderr);
    for (unsigned size = underlined_size(place, end); size > 1; size--)
        fputc('~', stderr);
    fputc('\n', stderr);
}

static void say(idl_place place, const char *kind, const char *format, va_list values)
        COIL_PRINTF(3, 0);

static void say(idl_place place, const char *kind, const char *format, va_list values)
{
    fprintf(stderr, "%s:%u:%u: %s: ", place.source->path, idl_place_line(place),
            idl_place_column(place), kind);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    show_line(place);
}

void idl_error(idl_place place, const char *format, ...)
{
    va_list values;

    if (++error_count > ERRORS_MAX)
        return;
    va_start(values, format);
    say(place, "error", format, values);
    va_end(values);
    if (error_count == ERRORS_MAX)
        fputs("coil-thrift: no further errors are shown\n", stderr);
}

void idl_warning(idl_place place, const char *format, ...)
{
    va_list values;

    if (is_quiet)
        return;
    va_start(values, format);
    say(place, "warning", format, values);
    va_end(values);
}

void idl_remark(idl_place place, const char *format, ...)
{
    va_list values;

    if (error_count > ERRORS_MAX)
        return;
    va_start(values, format);
    say(place, "note", format, values);
    va_end(values);
}

unsigned idl_error_count(void)
{
    return error_count;
}

void idl_errors_forget(void)
{
    error_count = 0;
}

void idl_set_quiet(bool quiet)
{
    is_quiet = quiet;
}
