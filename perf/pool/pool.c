/* SPDX-License-Identifier: MIT */
/*
 * What a worker pool costs: jobs that do nothing but give back what they get.
 *
 *     pool roundtrip COUNT              one after the other, by one worker: microseconds each
 *     pool throughput COUNT BYTES WORKERS OUTSTANDING
 *     pool kills COUNT WORKERS PERCENT  so many of the jobs kill their worker
 *
 * One line of JSON.
 */
#include <coil/kernel.h>
#include <coil/worker.h>
#include <coil/worker_pool.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coil/sugar.h>

typedef struct question {
    const char *kind;
    unsigned long count;
    unsigned long size_bytes;
    unsigned workers;
    unsigned long outstanding;
    unsigned percent;
} question;

/* ---------------------------------------------------------------------------------- worker -- */

static int give_back(coil_work *work)
{
    return coil_work_reply(work, work->bytes, work->size_bytes);
}

static int nothing(coil_work *work)
{
    (void)work;
    return 0;
}

static int die(coil_work *work)
{
    (void)work;
    return raise(SIGKILL);
}

static const coil_worker_function functions[] = {
        {.name = "give_back", .run = give_back},
        {.name = "nothing", .run = nothing},
        {.name = "die", .run = die},
};

/* ------------------------------------------------------------------------------- roundtrip -- */

static int by_value(const void *one, const void *other)
{
    const double a = *(const double *)one;
    const double b = *(const double *)other;
    return (a > b) - (a < b);
}

async(int, roundtrip, (const question *) asked, (coil_worker_pool *) pool)
{
    vars(coil_job job; unsigned long i; coil_time begun; double *times_us);

    my->times_us = calloc(asked->count, sizeof(*my->times_us));
    if (my->times_us == NULL)
        return -ENOMEM;
    defer(free(my->times_us));
    for (; my->i < asked->count; my->i++) {
        my->job = (coil_job){.function = "nothing"};
        my->begun = coil_kernel_now();
        attempt(coil_worker_pool_run(pool, &my->job));
        my->times_us[my->i] = (double)(coil_kernel_now() - my->begun) / 1e3;
    }
    qsort(my->times_us, asked->count, sizeof(*my->times_us), by_value);
    printf("{\"p50_us\": %.2f, \"p99_us\": %.2f}\n", my->times_us[asked->count / 2],
            my->times_us[asked->count / 100 * 99]);
    return 0;
}

/* ------------------------------------------------------------------------------ throughput -- */

async(int, one_job, (const question *) asked, (coil_worker_pool *) pool, (const char *) bytes,
        (const char *) function)
{
    vars(coil_job job);

    my->job = (coil_job){.function = function, .bytes = bytes, .size_bytes = asked->size_bytes};
    defer(coil_job_fini(&my->job));
    ignore(coil_worker_pool_run(pool, &my->job));
    if (my->job.end == COIL_JOB_DONE && my->job.reply_bytes != asked->size_bytes)
        return -EBADMSG;
    return 0;
}

async(int, throughput, (const question *) asked, (coil_worker_pool *) pool)
{
    vars(coil_group group; unsigned long i; coil_time begun; char *bytes);

    my->bytes = calloc(1, asked->size_bytes + 1);
    if (my->bytes == NULL)
        return -ENOMEM;
    defer(free(my->bytes));
    memset(my->bytes, 'x', asked->size_bytes);
    coil_open_group(&my->group);
    my->group.limit = asked->outstanding;
    my->begun = coil_kernel_now();
    for (; my->i < asked->count; my->i++) {
        attempt(coil_group_room(&my->group));
        const bool is_deadly = (unsigned)(random() % 100) < asked->percent;
        coil_spawn(&my->group, one_job(asked, pool, my->bytes, is_deadly ? "die" : "give_back"));
    }
    attempt(coil_group_join(&my->group));
    const double took_s = (double)(coil_kernel_now() - my->begun) / 1e9;
    const coil_worker_pool_stats stats = coil_worker_pool_statistics(pool);
    printf("{\"jobs_per_s\": %.0f, \"mb_per_s\": %.1f, \"done\": %llu, \"crashed\": %llu}\n",
            (double)asked->count / took_s,
            (double)asked->count * (double)asked->size_bytes / took_s / 1e6,
            (unsigned long long)stats.done, (unsigned long long)stats.crashed);
    return 0;
}

/* ------------------------------------------------------------------------------------ main -- */

async(int, ask, (const question *) asked)
{
    vars(coil_group keepers; coil_worker_pool *pool; int rc);

    const coil_worker_pool_options options = {
            .workers = asked->workers, .spares = asked->percent > 0 ? 1 : 0};
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &options, &my->pool);
    if (my->rc < 0)
        return my->rc;
    defer(ignore(coil_worker_pool_close(my->pool, 0)));
    attempt(coil_worker_pool_ready(my->pool));
    if (strcmp(asked->kind, "roundtrip") == 0) {
        attempt(roundtrip(asked, my->pool));
    } else {
        attempt(throughput(asked, my->pool));
    }
    return 0;
}

static unsigned long number(int argc, char **argv, int index, unsigned long otherwise)
{
    return index < argc ? strtoul(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (coil_worker_wanted())
        return coil_worker_main(functions, sizeof(functions) / sizeof(functions[0]));
    question asked = {.kind = argc > 1 ? argv[1] : "",
            .count = number(argc, argv, 2, 10000),
            .workers = 1,
            .outstanding = 64};
    if (strcmp(asked.kind, "throughput") == 0) {
        asked.size_bytes = number(argc, argv, 3, 16);
        asked.workers = (unsigned)number(argc, argv, 4, 2);
        asked.outstanding = number(argc, argv, 5, 64);
    } else if (strcmp(asked.kind, "kills") == 0) {
        asked.workers = (unsigned)number(argc, argv, 3, 2);
        asked.percent = (unsigned)number(argc, argv, 4, 5);
    } else if (strcmp(asked.kind, "roundtrip") != 0 || asked.count == 0) {
        (void)fprintf(stderr, "usage: pool roundtrip|throughput|kills [COUNT ...]\n");
        return 2;
    }
    return coil_run(ask(&asked)) < 0;
}
