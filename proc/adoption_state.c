/* SPDX-License-Identifier: MIT */
/* The state file of coil/adoption.h: it is believed only if all of it is right. */
#include "adoption_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "coil-children 1\n"

enum {
    LINE_BYTES_MAX = 11 + 21 + COIL_ADOPTION_NAME_BYTES + 2,
    END_BYTES = sizeof("end 00000000\n") - 1,
};

#define PID_MOST (UINT64_C(1) << 22) /* proc(5), pid_max */

static uint32_t crc32_of(const char *bytes, size_t size_bytes)
{
    uint32_t sum = ~UINT32_C(0);
    for (size_t i = 0; i < size_bytes; i++) {
        sum ^= (unsigned char)bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (UINT32_C(0xedb88320) & -(sum & 1));
    }
    return ~sum;
}

bool adoption_is_name(const char *name, size_t size_bytes)
{
    if (size_bytes == 0 || size_bytes >= COIL_ADOPTION_NAME_BYTES)
        return false;
    for (size_t i = 0; i < size_bytes; i++) {
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    }
    return true;
}

/* --------------------------------------------------------------------------------- reading -- */

typedef struct parser {
    const char *at;
    const char *end;
    size_t line;
    char *reason; /* Or NULL. */
} parser;

static int refuse(const parser *in, const char *why)
{
    if (in->reason != NULL)
        (void)snprintf(in->reason, COIL_ADOPTION_TEXT_BYTES, "line %zu: %s", in->line, why);
    return -EBADMSG;
}

/* Decimal, without a sign or leading zeroes, and what follows it. */
static bool take_number(parser *in, uint64_t most, char after, uint64_t *out_number)
{
    uint64_t number = 0;
    const char *start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        const uint64_t digit = (uint64_t)(*in->at++ - '0');
        if (number > (most - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (in->at == start || (*start == '0' && in->at > start + 1))
        return false;
    if (in->at == in->end || *in->at++ != after)
        return false;
    *out_number = number;
    return true;
}

static bool starts_with(const parser *in, const char *text)
{
    const size_t size_bytes = strlen(text);
    return (size_t)(in->end - in->at) >= size_bytes && memcmp(in->at, text, size_bytes) == 0;
}

static int take_record(parser *in, coil_child_record *record)
{
    uint64_t pid = 0;
    memset(record, 0, sizeof(*record));
    if (!take_number(in, PID_MOST, ' ', &pid) || pid == 0)
        return refuse(in, "no pid");
    if (!take_number(in, UINT64_MAX, ' ', &record->identity))
        return refuse(in, "no identity");
    const char *newline = memchr(in->at, '\n', (size_t)(in->end - in->at));
    if (newline == NULL || !adoption_is_name(in->at, (size_t)(newline - in->at)))
        return refuse(in, "no name");
    memcpy(record->name, in->at, (size_t)(newline - in->at));
    record->pid = (pid_t)pid;
    in->at = newline + 1;
    return 0;
}

/* The last line: its checksum is that of what is before. */
static int check_end(const parser *in, const char *bytes, size_t size_bytes)
{
    char expected[END_BYTES + 1];
    if (size_bytes < END_BYTES)
        return refuse(in, "the file is too short");
    (void)snprintf(
            expected, sizeof(expected), "end %08x\n", crc32_of(bytes, size_bytes - END_BYTES));
    if (memcmp(bytes + size_bytes - END_BYTES, expected, END_BYTES) != 0)
        return refuse(in, "the checksum is wrong, or the file is not complete");
    return 0;
}

static int append(coil_child_records *records, size_t *room, const coil_child_record *record)
{
    if (records->count == *room) {
        const size_t larger = *room * 2 + 8;
        coil_child_record *moved = realloc(records->records, larger * sizeof(*moved));
        if (moved == NULL)
            return -ENOMEM;
        records->records = moved;
        *room = larger;
    }
    records->records[records->count++] = *record;
    return 0;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(((const coil_child_record *)one)->name, ((const coil_child_record *)other)->name);
}

static int take_records(parser *in, coil_child_records *records)
{
    size_t room = 0;
    while (in->at < in->end) {
        coil_child_record record;
        int rc = take_record(in, &record);
        if (rc == 0)
            rc = append(records, &room, &record);
        if (rc < 0)
            return rc;
        in->line++;
    }
    if (records->count > 1)
        qsort(records->records, records->count, sizeof(*records->records), by_name);
    for (size_t i = 1; i < records->count; i++) {
        if (strcmp(records->records[i - 1].name, records->records[i].name) == 0)
            return refuse(in, "a name is there twice");
    }
    return 0;
}

int coil_child_records_parse(
        /* NOLINTNEXTLINE(readability-non-const-parameter): written by way of the parser. */
        const char *bytes, size_t size_bytes, coil_child_records *out_records, char *out_reason)
{
    parser in = {.at = bytes, .end = bytes + size_bytes, .line = 1, .reason = out_reason};
    coil_child_records found = {NULL, 0};

    if (!starts_with(&in, "coil-children "))
        return refuse(&in, "this is no state file");
    if (!starts_with(&in, HEAD))
        return refuse(&in, "another version");
    int rc = check_end(&in, bytes, size_bytes);
    if (rc < 0)
        return rc;
    in.at += sizeof(HEAD) - 1;
    in.end -= END_BYTES;
    in.line = 2;
    rc = in.at > in.end ? refuse(&in, "the file is too short") : take_records(&in, &found);
    if (rc < 0) {
        free(found.records);
        return rc;
    }
    *out_records = found;
    return 0;
}

/* --------------------------------------------------------------------------------- writing -- */

int coil_child_records_format(
        const coil_child_records *records, char **out_bytes, size_t *out_size_bytes)
{
    char *bytes = malloc(sizeof(HEAD) + records->count * LINE_BYTES_MAX + END_BYTES + 1);
    if (bytes == NULL)
        return -ENOMEM;
    size_t size_bytes = sizeof(HEAD) - 1;
    memcpy(bytes, HEAD, size_bytes);
    for (size_t i = 0; i < records->count; i++) {
        const coil_child_record *record = &records->records[i];
        size_bytes += (size_t)snprintf(bytes + size_bytes, LINE_BYTES_MAX, "%d %llu %s\n",
                record->pid, (unsigned long long)record->identity, record->name);
    }
    size_bytes += (size_t)snprintf(
            bytes + size_bytes, END_BYTES + 1, "end %08x\n", crc32_of(bytes, size_bytes));
    *out_bytes = bytes;
    *out_size_bytes = size_bytes;
    return 0;
}
