/* SPDX-License-Identifier: MIT */
/* The stage of the pool tests: a pool of worker_helpers, and jobs for it. */
#ifndef POOLS_H
#define POOLS_H

#include <coil/child.h>
#include <coil/worker.h>
#include <coil/worker_pool.h>

#include "stage.h"

#include <csignal>

#include <coil/sugar.h>

#include <algorithm>
#include <set>

struct Play {
    coil_worker_pool_options options = {};
    coil_spawn_plan plan = {};
    coil_duration grace = COIL_FOREVER;
    std::deque<coil_job> jobs;         /* Each is run, and awaited. */
    std::function<void()> begun;       /* When all are submitted, as far as there is room. */
    coil_worker_pool *pool = nullptr;  /* While there is one. */
    coil_worker_pool_stats stats = {}; /* At the end. */
    int ready = 1;
    int closed = 1;
};

coil_async(int, run_job, (Play *) play, (coil_job *) job)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_worker_pool_run(play->pool, job));
    return my->rc;
}

coil_async(int, run_jobs, (Play *) play)
{
    coil_vars(coil_group group);
    coil_open_group(&my->group);
    my->group.keep_going = true;
    for (coil_job &job : play->jobs)
        coil_spawn(&my->group, run_job(play, &job));
    coil_ignore(coil_sleep(0));
    if (play->begun)
        play->begun();
    coil_ignore(coil_group_join(&my->group));
    return 0;
}

coil_async(int, close_pool, (Play *) play)
{
    coil_vars();
    play->stats = coil_worker_pool_statistics(play->pool);
    coil_await(play->closed, coil_worker_pool_close(play->pool, play->grace));
    play->pool = nullptr;
    return 0;
}

coil_async(int, play_all, (Play *) play)
{
    coil_vars(coil_group keepers; int rc);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(close_pool(play)));
    coil_await(play->ready, coil_worker_pool_ready(play->pool));
    coil_await(my->rc, run_jobs(play));
    return my->rc;
}

class Pools : public Proactor
{
protected:
    Pools()
    {
        play.plan.program = WORKER_HELPER;
        play.options.plan = &play.plan;
        play.options.workers = 2;
    }

    ~Pools() override
    {
        for (coil_job &job : play.jobs)
            coil_job_fini(&job);
    }

    /* A job whose bytes are this number. */
    coil_job &add(const char *function, int number = 0)
    {
        numbers.push_back(number);
        coil_job &job = add_bytes(function, &numbers.back(), sizeof(int));
        return job;
    }

    coil_job &add_bytes(const char *function, const void *bytes, size_t size_bytes)
    {
        coil_job job = {};
        job.function = function;
        job.bytes = bytes;
        job.size_bytes = size_bytes;
        play.jobs.push_back(job);
        return play.jobs.back();
    }

    void perform()
    {
        EXPECT_EQ(0, RUN(play_all(&play)));
    }

    static std::string reply(const coil_job &job)
    {
        return std::string(static_cast<const char *>(job.reply), job.reply_bytes);
    }

    static std::string text(const coil_job &job)
    {
        char bytes[COIL_EXIT_TEXT_BYTES];
        return coil_job_format(&job, bytes);
    }

    Play play;
    std::deque<int> numbers;
};

#endif
