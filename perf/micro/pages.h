/* SPDX-License-Identifier: MIT */
/* The file of the benches file_read_*: 64 MiB, in the page cache, without a name. Also C++. */
#ifndef PERF_PAGES_H
#define PERF_PAGES_H

#include "measure.h"

#include <sys/types.h>

enum {
    PAGE_BYTES = 4096,
    PAGES_COUNT = 16384,
    READERS = 32, /* Reads outstanding in file_read_4k_32. */
};

/* A random page's offset. */
static inline off_t pages_offset(uint64_t *random_state)
{
    return (off_t)(measure_random(random_state) % PAGES_COUNT) * PAGE_BYTES;
}

/* Open for the rest of the process's life. */
static inline int pages_open(void)
{
    static int fd = -1;
    char path[] = "/tmp/perf_pages_XXXXXX";
    char page[PAGE_BYTES];

    if (fd >= 0)
        return fd;
    memset(page, 1, sizeof(page));
    fd = mkstemp(path);
    for (int i = 0; fd >= 0 && i < PAGES_COUNT; i++) {
        if (write(fd, page, sizeof(page)) != PAGE_BYTES) {
            (void)close(fd);
            fd = -1;
        }
    }
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    (void)unlink(path);
    return fd;
}

#endif
