/* SPDX-License-Identifier: MIT */
/*
 * What the programs of perf/micro and perf/peers have in common: a table of subjects, and a main()
 * that measures them. Also compiles as C++.
 *
 *     static double run_yield(int64_t count);     does it `count` times, returns how long it took
 *
 *     int main(int argc, char **argv)
 *     {
 *         static const measure_subject subjects[] = {{"yield", "coil", run_yield, 0, MEASURE_NS}};
 *         return measure_main(subjects, 1, argc, argv);
 *     }
 *
 *     PROGRAM                            measures all its subjects, one JSON line each
 *     PROGRAM --list                     names them, one `bench impl` per line
 *     PROGRAM BENCH IMPL                 measures one
 *     PROGRAM --exact COUNT BENCH IMPL   does it COUNT times, once it is warm, prints nothing: for
 *                                        callgrind
 *     PROGRAM --first COUNT BENCH IMPL   the same, cold: by the first task of its kind
 *
 * A time is the best of MEASURE_RUNS runs in one process, so with warm memory: what else the
 * machine does only ever adds. perf/compare repeats the program and shows the median of those.
 * Memory is measured once, in a process that has done nothing before.
 */
#ifndef PERF_MEASURE_H
#define PERF_MEASURE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef enum measure_unit {
    MEASURE_NS,
    MEASURE_BYTES,
} measure_unit;

typedef struct measure_subject measure_subject;

struct measure_subject {
    const char *bench;
    const char *impl;
    double (*run)(int64_t count); /* What `count` operations cost together, in `unit`. */
    int64_t count;                /* 0: as many as take MEASURE_ENOUGH_NS. */
    measure_unit unit;
};

#define MEASURE_RUNS 4
#define MEASURE_ENOUGH_NS 20e6
#define MEASURE_WARM 128 /* Operations, for what is learned from the first. */

/* Keeps the compiler from seeing through or leaving out what it is given. */
#define MEASURE_OPAQUE(value) __asm__ volatile("" : "+r"(value) : : "memory")

static inline double measure_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* CPU time of all threads: for what sleeps in between. */
static inline double measure_cpu_ns(void)
{
    struct timespec spent;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec * 1e9 + (double)spent.tv_nsec;
}

/* The memory of this process that is really there. */
static inline double measure_resident_bytes(void)
{
    long total_pages = 0;
    long resident_pages = 0;
    long page_bytes = sysconf(_SC_PAGESIZE);
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%ld %ld", &total_pages, &resident_pages) != 2)
        abort();
    (void)fclose(statm);
    return (double)resident_pages * (double)page_bytes;
}

/* xorshift64: the same deadlines in every run, and for all who are compared. */
static inline uint64_t measure_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void measure_report(const measure_subject *subject, int64_t count, double total)
{
    printf("{\"bench\":\"%s\",\"impl\":\"%s\",\"n\":%" PRId64 ",\"%s\":%.2f}\n", subject->bench,
            subject->impl, count, subject->unit == MEASURE_NS ? "ns" : "bytes",
            total / (double)count);
    (void)fflush(stdout);
}

static inline void measure_one(const measure_subject *subject)
{
    int64_t count = subject->count > 0 ? subject->count : 256;
    double best = subject->run(count);

    if (subject->count == 0) {
        for (; best < MEASURE_ENOUGH_NS; best = subject->run(count))
            count *= 2;
    }
    for (int run = 1; run < MEASURE_RUNS && subject->unit == MEASURE_NS; run++) {
        double total = subject->run(count);
        best = total < best ? total : best;
    }
    measure_report(subject, count, best);
}

static inline const measure_subject *measure_find(
        const measure_subject *subjects, size_t subject_count, char **names)
{
    for (size_t i = 0; i < subject_count; i++) {
        if (strcmp(subjects[i].bench, names[0]) == 0 && strcmp(subjects[i].impl, names[1]) == 0)
            return &subjects[i];
    }
    return NULL;
}

/* What is not in the table is an error: a misspelt subject must not look like a fast one. */
static inline int measure_named(
        const measure_subject *subjects, size_t subject_count, int argc, char **argv)
{
    bool exact = argc == 5 && strcmp(argv[1], "--exact") == 0;
    bool first = argc == 5 && strcmp(argv[1], "--first") == 0;
    const measure_subject *subject = NULL;

    if (exact || first || argc == 3)
        subject = measure_find(subjects, subject_count, &argv[argc - 2]);
    if (subject == NULL) {
        fprintf(stderr, "usage: %s [--list | [--exact|--first COUNT] BENCH IMPL]\n", argv[0]);
        return 2;
    }
    if (argc == 3) {
        measure_one(subject);
        return 0;
    }
    if (exact)
        (void)subject->run(MEASURE_WARM);
    (void)subject->run(strtoll(argv[2], NULL, 10));
    return 0;
}

static inline int measure_main(
        const measure_subject *subjects, size_t subject_count, int argc, char **argv)
{
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;

    if (argc > 1 && !list)
        return measure_named(subjects, subject_count, argc, argv);
    for (size_t i = 0; i < subject_count; i++) {
        if (list)
            printf("%s %s\n", subjects[i].bench, subjects[i].impl);
        else
            measure_one(&subjects[i]);
    }
    return 0;
}

#endif
