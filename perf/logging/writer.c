/* SPDX-License-Identifier: MIT */
/*
 * writer LINES LINE_BYTES WRITE_BYTES: numbered lines to stdout, for perf/logs. WRITE_BYTES 0: one
 * write(2) for each line, as an unbuffered program does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_number(char *line, unsigned long number)
{
    for (int i = 9; i >= 0; i--) {
        line[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

static int write_all(const char *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        const ssize_t count = write(STDOUT_FILENO, bytes, size_bytes);
        if (count <= 0)
            return -1;
        bytes += count;
        size_bytes -= (size_t)count;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const unsigned long lines = strtoul(argv[1], NULL, 10);
    const size_t line_bytes = strtoul(argv[2], NULL, 10);
    size_t write_bytes = strtoul(argv[3], NULL, 10);
    if (line_bytes < 12)
        return 2;
    if (write_bytes < line_bytes)
        write_bytes = line_bytes;
    const unsigned long at_a_time = write_bytes / line_bytes;
    char *block = malloc(at_a_time * line_bytes);
    if (block == NULL)
        return 1;
    memset(block, 'x', at_a_time * line_bytes);
    for (unsigned long i = 0; i < at_a_time; i++)
        block[(i + 1) * line_bytes - 1] = '\n';
    for (unsigned long number = 0; number < lines;) {
        unsigned long count = 0;
        for (; count < at_a_time && number < lines; count++)
            put_number(block + count * line_bytes, number++);
        if (write_all(block, count * line_bytes) < 0)
            return 1;
    }
    free(block);
    return 0;
}
