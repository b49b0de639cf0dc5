/* SPDX-License-Identifier: MIT */
#include "worker_memory.h"

#include "cgroup_private.h"

#include <coil/kernel.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/auxv.h>

/* /proc/vmstat: some 200 lines of "name count". */
enum { TEXT_BYTES = 16384 };

int worker_memory_open(pid_t pid)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    return coil_kernel_openat(AT_FDCWD, path, O_RDONLY);
}

uint64_t worker_memory_resident(int statm)
{
    char text[64] = ""; /* Pages: all, resident, shared, ... */

    if (statm < 0 || coil_kernel_pread(statm, text, sizeof(text) - 1, 0) <= 0)
        return 0;
    const char *resident = strchr(text, ' ');
    if (resident == NULL)
        return 0;
    return strtoull(resident, NULL, 10) * getauxval(AT_PAGESZ);
}

/* If the memory of a cgroup is not counted by itself, it is by one of those above. */
char *worker_memory_events(pid_t pid)
{
    static const char name[] = "/memory.events.local";
    char path[PATH_MAX + sizeof(name)];
    char process[16];

    (void)snprintf(process, sizeof(process), "%d", (int)pid);
    if (coil_cgroup_find(process, path) < 0)
        return NULL;
    for (char *end = path + strlen(path); end != NULL; end = strrchr(path, '/')) {
        memcpy(end, name, sizeof(name));
        const int fd = coil_kernel_openat(AT_FDCWD, path, O_RDONLY);
        if (fd >= 0) {
            (void)coil_kernel_close(fd);
            return strdup(path);
        }
        *end = '\0';
    }
    return NULL;
}

uint64_t worker_memory_kills(const char *events)
{
    static const char name[] = "\noom_kill ";
    char text[TEXT_BYTES];
    size_t size_bytes = 0;
    ssize_t count = 1;

    const int fd = coil_kernel_openat(AT_FDCWD, events == NULL ? "/proc/vmstat" : events, O_RDONLY);
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
