/* SPDX-License-Identifier: MIT */
/* The ends of pools, and of workers that are killed by chance: each job returns once. */
#include "pools.h"

#include <fstream>

#include <unistd.h>

namespace
{

typedef Pools WorkerPoolEnd;

/* ----------------------------------------------------------------------------------- closing -- */

TEST_F(WorkerPoolEnd, ClosesGracefullyOrAtOnce)
{
    play.options.workers = 1;
    for (coil_duration grace : {coil_duration(0), COIL_FOREVER}) {
        play.jobs.clear();
        play.grace = grace;
        add("doze", 30);
        add("doze", 1);
        int64_t rc = 1;
        coil_task *task = nullptr;
        play.begun = [&] { coil_task_cancel(task); };
        task = START(rc, play_all(&play));
        run();
        EXPECT_EQ(-ECANCELED, rc);
        for (const coil_job &job : play.jobs)
            EXPECT_EQ(COIL_JOB_CANCELLED, job.end) << "their tasks have been";
    }
}

coil_async(int, submit_and_close, (Play *) play)
{
    coil_vars(coil_group keepers; int rc; size_t i);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    for (; my->i < play->jobs.size(); my->i++) {
        coil_attempt(coil_worker_pool_submit(play->pool, &play->jobs[my->i]));
    }
    coil_ignore(close_pool(play));
    for (my->i = 0; my->i < play->jobs.size(); my->i++) {
        coil_await(my->rc, coil_job_wait(&play->jobs[my->i]));
    }
    return 0;
}

TEST_F(WorkerPoolEnd, ClosingWithGraceDoesWhatWasSubmitted)
{
    for (int i = 0; i < 10; i++)
        add("doze", 2);
    EXPECT_EQ(0, RUN(submit_and_close(&play)));
    EXPECT_EQ(0, play.closed);
    for (const coil_job &job : play.jobs)
        EXPECT_EQ(COIL_JOB_DONE, job.end);
}

TEST_F(WorkerPoolEnd, ClosingWithoutEndsEveryJob)
{
    play.grace = coil_ms(20);
    play.options.workers = 1;
    add("hang");
    for (int i = 0; i < 5; i++)
        add("value", i);
    EXPECT_EQ(0, RUN(submit_and_close(&play)));
    EXPECT_EQ(-ETIME, play.closed);
    for (const coil_job &job : play.jobs)
        EXPECT_EQ(-ESHUTDOWN, job.error);
}

coil_async(int, submit_while_closing, (Play *) play)
{
    coil_vars(coil_group keepers; coil_group closing; int rc);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_open_group(&my->closing);
    coil_attempt(coil_worker_pool_submit(play->pool, &play->jobs[0]));
    coil_spawn(&my->closing, close_pool(play));
    coil_await(coil_sleep(0));
    EXPECT_EQ(-ESHUTDOWN, coil_worker_pool_try_submit(play->pool, &play->jobs[1]));
    coil_await(my->rc, coil_worker_pool_submit(play->pool, &play->jobs[2]));
    EXPECT_EQ(-ESHUTDOWN, my->rc);
    coil_await(my->rc, coil_worker_pool_ready(play->pool));
    EXPECT_EQ(-ESHUTDOWN, my->rc);
    coil_await(my->rc, coil_group_join(&my->closing));
    return my->rc;
}

TEST_F(WorkerPoolEnd, TakesNoJobsWhileItCloses)
{
    for (int i = 0; i < 3; i++)
        add("doze", 20);
    EXPECT_EQ(0, RUN(submit_while_closing(&play)));
    EXPECT_EQ(COIL_JOB_DONE, play.jobs[0].end);
    EXPECT_EQ(COIL_JOB_REFUSED, play.jobs[1].end);
    EXPECT_EQ(COIL_JOB_REFUSED, play.jobs[2].end);
}

coil_async(int, submit_one, (Play *) play, (coil_job *) job)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_worker_pool_submit(play->pool, job));
    return my->rc;
}

/* Each submitted by a task of its own; then, or when all of these have an answer, it is closed. */
coil_async(int, apply_and_close, (Play *) play, (bool) waits)
{
    coil_vars(coil_group keepers; coil_group group; int rc);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_open_group(&my->group);
    my->group.keep_going = true;
    for (coil_job &job : play->jobs)
        coil_spawn(&my->group, submit_one(play, &job));
    coil_await(coil_sleep(0));
    if (waits)
        coil_ignore(coil_group_join(&my->group));
    coil_ignore(close_pool(play));
    coil_ignore(coil_group_join(&my->group));
    return 0;
}

TEST_F(WorkerPoolEnd, WhoWaitsForRoomIsRefusedAndItsJobSaysSo)
{
    play.options.workers = 1;
    play.options.queue_limit = 1;
    for (int i = 0; i < 4; i++)
        add("doze", 50);
    EXPECT_EQ(0, RUN(apply_and_close(&play, false)));
    EXPECT_EQ(0, play.closed);
    EXPECT_EQ(COIL_JOB_DONE, play.jobs[0].end);
    for (size_t i = 2; i < 4; i++) { /* The second may have got in. */
        EXPECT_EQ(COIL_JOB_REFUSED, play.jobs[i].end);
        EXPECT_EQ(-ESHUTDOWN, play.jobs[i].error);
        EXPECT_EQ("was refused: ESHUTDOWN", text(play.jobs[i]));
    }
}

TEST_F(WorkerPoolEnd, WhoWaitsForRoomIsToldThatNoWorkerComesUp)
{
    play.plan.program = "/nonexistent/worker";
    play.options.workers = 1;
    play.options.queue_limit = 1;
    add("value", 1);
    add("value", 2);
    EXPECT_EQ(0, RUN(apply_and_close(&play, true)));
    for (const coil_job &job : play.jobs) {
        EXPECT_EQ(COIL_JOB_REFUSED, job.end);
        EXPECT_EQ(-ENOENT, job.error);
    }
}

/* --------------------------------------------------------------------------------- at random -- */

coil_async(int, one_of_many, (Play *) play, (coil_job *) job, (unsigned *) returned)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_worker_pool_run(play->pool, job));
    ++*returned;
    return 0;
}

/* Jobs that are killed by chance: 5 % kill their own worker, wherever they are. */
coil_async(int, many, (Play *) play, (unsigned *) returned)
{
    coil_vars(coil_group keepers; coil_group group; int rc; size_t i);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(close_pool(play)));
    coil_open_group(&my->group);
    my->group.limit = 100;
    for (; my->i < play->jobs.size(); my->i++) {
        coil_attempt(coil_group_room(&my->group));
        coil_spawn(&my->group, one_of_many(play, &play->jobs[my->i], returned));
    }
    coil_await(my->rc, coil_group_join(&my->group));
    return my->rc;
}

TEST_F(WorkerPoolEnd, EveryJobReturnsOnceWhoeverIsKilled)
{
    Random random = {0x9e3779b97f4a7c15};
    static const char *const deaths[] = {"leave_at_once", "die", "die_replying"};
    std::set<size_t> doomed;
    play.options.spares = 1;
    play.options.jobs_max = 100;
    for (size_t i = 0; i < 1000; i++) {
        if (random.below(20) == 0) {
            add(deaths[random.below(3)], SIGKILL);
            doomed.insert(i);
        } else {
            add("value", static_cast<int>(i));
        }
    }
    unsigned returned = 0;
    EXPECT_EQ(0, RUN(many(&play, &returned)));
    EXPECT_EQ(1000u, returned);
    for (size_t i = 0; i < play.jobs.size(); i++) {
        const coil_job &job = play.jobs[i];
        if (doomed.count(i) > 0) {
            EXPECT_EQ(COIL_JOB_CRASHED, job.end);
        } else {
            EXPECT_EQ(COIL_JOB_DONE, job.end) << text(job);
            EXPECT_EQ(static_cast<int>(i), job.value);
        }
    }
    EXPECT_EQ(doomed.size(), play.stats.crashed);
    EXPECT_EQ(1000u - doomed.size(), play.stats.done);
}

/* Children of ours, by chance one of them. */
static void kill_somebody(Random *random)
{
    std::ifstream file("/proc/self/task/" + std::to_string(gettid()) + "/children");
    std::vector<pid_t> pids;
    for (pid_t pid; file >> pid;)
        pids.push_back(pid);
    if (!pids.empty())
        kill(pids[random->below(pids.size())], SIGKILL);
}

/* As long as others are left: a pool that nobody comes up in refuses its jobs. */
coil_async(int, kill_by_chance, (Play *) play, (Random *) random, (unsigned *) kill_count)
{
    coil_vars(coil_worker_pool_stats stats);
    for (;;) {
        coil_await(coil_sleep(coil_ms(1)));
        if (play->pool == nullptr)
            continue;
        my->stats = coil_worker_pool_statistics(play->pool);
        if (my->stats.idle + my->stats.busy < 3)
            continue;
        kill_somebody(random);
        ++*kill_count;
    }
    return 0;
}

coil_async(int, many_under_fire, (Play *) play, (unsigned *) returned, (unsigned *) kill_count,
        (Random *) random)
{
    coil_vars(coil_group fire; int rc);
    coil_open_group(&my->fire);
    coil_spawn(&my->fire, kill_by_chance(play, random, kill_count));
    coil_await(my->rc, many(play, returned));
    return my->rc;
}

/* By somebody who does not look whom he hits: at work, idle, about to start, or dead already. */
TEST_F(WorkerPoolEnd, AKilledWorkerTakesNoJobButItsOwn)
{
    Random random = {0x2545f4914f6cdd1d};
    unsigned returned = 0;
    unsigned kill_count = 0;
    uint64_t crashed = 0;
    play.options.workers = 3;
    play.options.spares = 1;
    for (int i = 0; i < 1000; i++)
        add(i % 10 == 0 ? "doze" : "value", i % 10 == 0 ? 1 : i);
    EXPECT_EQ(0, RUN(many_under_fire(&play, &returned, &kill_count, &random)));
    EXPECT_EQ(1000u, returned);
    for (const coil_job &job : play.jobs) {
        crashed += job.end == COIL_JOB_CRASHED;
        EXPECT_TRUE(job.end == COIL_JOB_DONE || job.end == COIL_JOB_CRASHED) << text(job);
        if (job.end == COIL_JOB_CRASHED) {
            EXPECT_EQ("worker was killed by SIGKILL", text(job));
        }
    }
    EXPECT_EQ(crashed, play.stats.crashed);
    EXPECT_LE(crashed, kill_count);
    EXPECT_LT(0u, kill_count);
    EXPECT_EQ(1000u, play.stats.done + crashed);
}

} // namespace
