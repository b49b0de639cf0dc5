/* SPDX-License-Identifier: MIT */
/*
 * What the machine charges for the things that everything else is built of: a system call that does
 * nothing, a call through a pointer, an allocation, the clock. The yardstick for every other figure
 * of perf/micro.
 */
#include "measure.h"

#include <sys/syscall.h>

static double run_syscall(int64_t count)
{
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++)
        (void)syscall(SYS_getppid);
    return measure_now_ns() - start_ns;
}

static long add_one(long value)
{
    return value + 1;
}

static double run_indirect_call(int64_t count)
{
    long (*call)(long) = add_one;
    long value = 0;
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(call);
        value = call(value);
    }
    MEASURE_OPAQUE(value);
    return measure_now_ns() - start_ns;
}

static double allocate_and_free(int64_t count, size_t size_bytes)
{
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++) {
        void *memory = malloc(size_bytes);
        MEASURE_OPAQUE(memory);
        free(memory);
    }
    return measure_now_ns() - start_ns;
}

static double run_malloc_64(int64_t count)
{
    return allocate_and_free(count, 64);
}

static double run_malloc_512(int64_t count)
{
    return allocate_and_free(count, 512);
}

static double run_clock(int64_t count)
{
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++)
        (void)measure_now_ns();
    return measure_now_ns() - start_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"syscall_getppid", "raw", run_syscall, 0, MEASURE_NS},
            {"indirect_call", "raw", run_indirect_call, 0, MEASURE_NS},
            {"malloc_free_64", "raw", run_malloc_64, 0, MEASURE_NS},
            {"malloc_free_512", "raw", run_malloc_512, 0, MEASURE_NS},
            {"clock_monotonic", "raw", run_clock, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
