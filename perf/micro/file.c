/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to read 4 KiB at a random place of a file that is in memory?
 *
 *     file_read_4k       one read at a time
 *     file_read_4k_32    32 tasks, each with one read at a time; per read
 */
#include "pages.h"

#include <coil/check.h>
#include <coil/io.h>
#include <coil/loop.h>

#include <coil/sugar.h>

async(int, read_pages, (int) fd, (uint64_t) seed, (int64_t) count)
{
    vars(int64_t i; ssize_t got; uint64_t random; char page[PAGE_BYTES]);
    my->random = seed;
    for (; my->i < count; my->i++) {
        attempt(my->got, coil_pread(fd, my->page, PAGE_BYTES, pages_offset(&my->random)));
        COIL_CHECK(my->got == PAGE_BYTES);
    }
    return 0;
}

static double run_tasks(int task_count, int64_t count)
{
    coil_loop *loop;
    char reason[COIL_REASON_BYTES];
    int fd = pages_open();

    if (coil_loop_create(&loop, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    double start_ns = measure_now_ns();
    for (int i = 0; i < task_count; i++) {
        uint64_t seed = 88172645463325252U + (uint64_t)i;
        COIL_CHECK(coil_spawn(coil_loop_root(loop), read_pages(fd, seed, count / task_count)));
    }
    COIL_CHECK(coil_loop_run(loop) == 0);
    double spent_ns = measure_now_ns() - start_ns;
    coil_loop_destroy(loop);
    return spent_ns;
}

static double run_one(int64_t count)
{
    return run_tasks(1, count);
}

static double run_32(int64_t count)
{
    return run_tasks(READERS, count);
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"file_read_4k", "coil", run_one, 0, MEASURE_NS},
            {"file_read_4k_32", "coil", run_32, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
