/* SPDX-License-Identifier: MIT */

/* What the load generator reads about processes, and what it does as one. */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

struct usage {
    uint64_t cpu_ns;
    uint64_t waited_ns;
    int threads;
};

/* The first figures of a thread's schedstat: its time on a CPU in nanoseconds, kernel work on its
 * behalf included, and how long it was ready to run and did not. */
static void add_thread(struct usage *usage, int pid, const char *thread)
{
    char path[300];
    unsigned long long cpu_ns;
    unsigned long long waited_ns;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fscanf(file, "%llu %llu", &cpu_ns, &waited_ns) == 2) {
        usage->cpu_ns += cpu_ns;
        usage->waited_ns += waited_ns;
        usage->threads++;
    }
    fclose(file);
}

/* The sum over all threads, those included that the kernel runs for the process (io_uring's). */
static struct usage process_usage(int pid)
{
    char path[40];
    struct usage total = {0};

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        load_die(path, errno);
    for (const struct dirent *entry; (entry = readdir(threads));) {
        if (entry->d_name[0] != '.')
            add_thread(&total, pid, entry->d_name);
    }
    closedir(threads);
    return total;
}

load_reading load_read(int server_pid)
{
    struct usage own = process_usage(getpid());
    struct usage server = {0};

    if (server_pid != 0)
        server = process_usage(server_pid);
    return (load_reading){
            .now_ns = load_now_ns(),
            .own_cpu_ns = own.cpu_ns,
            .own_waited_ns = own.waited_ns,
            .server_cpu_ns = server.cpu_ns,
            .server_waited_ns = server.waited_ns,
            .server_threads = server.threads,
    };
}
