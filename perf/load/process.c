/* SPDX-License-Identifier: MIT */

/* What the load generator reads about processes, and what it does as one. */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t load_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

_Noreturn void load_die(const char *what, int error)
{
    errno = error;
    fprintf(stderr, "load: %s: %m\n", what);
    exit(1);
}

/* The first figure of a thread's schedstat: its time on a CPU in nanoseconds, kernel work on its
 * behalf included. */
static uint64_t thread_cpu_ns(int pid, const char *thread)
{
    char path[300];
    unsigned long long cpu_ns = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu", &cpu_ns) != 1)
        cpu_ns = 0;
    fclose(file);
    return cpu_ns;
}

/* The sum over all threads, those included that the kernel runs for the process (io_uring's). */
static uint64_t process_cpu_ns(int pid)
{
    char path[40];
    uint64_t total_ns = 0;

    if (pid == 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        load_die(path, errno);
    for (const struct dirent *entry; (entry = readdir(threads));) {
        if (entry->d_name[0] != '.')
            total_ns += thread_cpu_ns(pid, entry->d_name);
    }
    closedir(threads);
    return total_ns;
}

load_reading load_read(int server_pid)
{
    load_reading reading;
    struct timespec own;

    reading.server_cpu_ns = process_cpu_ns(server_pid);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    reading.own_cpu_ns = (uint64_t)own.tv_sec * 1000000000ULL + (uint64_t)own.tv_nsec;
    reading.now_ns = load_now_ns();
    return reading;
}
