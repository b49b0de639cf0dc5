/* SPDX-License-Identifier: MIT */
/* Was it for want of memory that a worker has died? */
#include "worker_private.h"

#include <coil/kernel.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* /proc/vmstat: some 200 lines of "name count". */
enum { TEXT_BYTES = 16384 };

uint64_t pool_oom_count(void)
{
    static const char name[] = "\noom_kill ";
    char text[TEXT_BYTES];
    size_t size_bytes = 0;
    ssize_t count = 1;

    const int fd = coil_kernel_openat(AT_FDCWD, "/proc/vmstat", O_RDONLY);
    if (fd < 0)
        return 0;
    while (count > 0 && size_bytes < sizeof(text) - 1) {
        count = coil_kernel_pread(
                fd, text + size_bytes, sizeof(text) - 1 - size_bytes, (off_t)size_bytes);
        size_bytes += count > 0 ? (size_t)count : 0;
    }
    (void)coil_kernel_close(fd);
    text[size_bytes] = '\0';
    const char *found = strstr(text, name);
    return found == NULL ? 0 : strtoull(found + sizeof(name) - 1, NULL, 10);
}
