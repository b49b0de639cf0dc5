/* SPDX-License-Identifier: MIT */

/*
 * What the machine charges for the things that everything else is built of: a system call that does
 * nothing, a call through a pointer, and an allocation. The yardstick for every other figure of
 * perf/micro.
 *
 * Prints one JSON line per result, as every program of perf/micro does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>

/* Keeps the compiler from seeing through or leaving out what it is given. */
#define OPAQUE(value) __asm__ volatile("" : "+r"(value) : : "memory")

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void report(const char *bench, long count, double elapsed_ns)
{
    printf("{\"bench\":\"%s\",\"impl\":\"raw\",\"n\":%ld,\"ns\":%.2f}\n", bench, count,
            elapsed_ns / (double)count);
}

static void measure_syscall(long count)
{
    double start_ns = now_ns();

    for (long i = 0; i < count; i++)
        (void)syscall(SYS_getppid);
    report("syscall_getppid", count, now_ns() - start_ns);
}

static long add_one(long value)
{
    return value + 1;
}

static void measure_indirect_call(long count)
{
    long (*call)(long) = add_one;
    long value = 0;
    double start_ns = now_ns();

    for (long i = 0; i < count; i++) {
        OPAQUE(call);
        value = call(value);
    }
    OPAQUE(value);
    report("indirect_call", count, now_ns() - start_ns);
}

static void measure_malloc_free(long count, size_t bytes, const char *bench)
{
    double start_ns = now_ns();

    for (long i = 0; i < count; i++) {
        void *memory = malloc(bytes);
        OPAQUE(memory);
        free(memory);
    }
    report(bench, count, now_ns() - start_ns);
}

static void measure_clock(long count)
{
    double start_ns = now_ns();

    for (long i = 0; i < count; i++)
        (void)now_ns();
    report("clock_monotonic", count, now_ns() - start_ns);
}

int main(void)
{
    measure_syscall(3000000);
    measure_indirect_call(100000000);
    measure_malloc_free(30000000, 64, "malloc_free_64");
    measure_malloc_free(30000000, 512, "malloc_free_512");
    measure_clock(10000000);
    return 0;
}
