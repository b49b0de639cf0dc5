/* SPDX-License-Identifier: MIT */
/* coil/worker_pool.h and coil/worker.h: real workers, and what becomes of their jobs. */
#include "pools.h"

#include <coil/cgroup.h>

#include <climits>

namespace
{

typedef Pools WorkerPool;

/* ----------------------------------------------------------------------------- jobs are done -- */

TEST_F(WorkerPool, DoesJobsAndTellsWhatTheyReturn)
{
    const std::string bytes = "what is said";
    coil_job &echo = add_bytes("echo", bytes.data(), bytes.size());
    coil_job &value = add("value", 42);
    coil_job &negative = add("value", -5);
    coil_job &nothing = add_bytes("nothing", nullptr, 0);
    perform();
    EXPECT_EQ(0, play.ready);
    EXPECT_EQ(bytes, reply(echo));
    EXPECT_EQ(COIL_JOB_DONE, value.end);
    EXPECT_EQ(42, value.value);
    EXPECT_EQ(0, negative.error) << "what it returns is no error of ours";
    EXPECT_EQ(-5, negative.value);
    EXPECT_EQ(nullptr, nothing.reply);
    EXPECT_EQ("was done", text(nothing));
    EXPECT_EQ(4u, play.stats.done);
    EXPECT_EQ(0, play.closed);
}

TEST_F(WorkerPool, RunsCoroutines)
{
    coil_job &job = add("doze_well", 3);
    perform();
    EXPECT_EQ(0, job.error);
    EXPECT_EQ("well", reply(job));
}

TEST_F(WorkerPool, HandsOverBytesOfAnySizeBothWays)
{
    std::deque<std::string> all;
    for (size_t size_bytes : {0, 1, 4096, 32767, 32768, 32769, 65536, 1 << 20, 5000001}) {
        std::string bytes(size_bytes, ' ');
        for (size_t i = 0; i < size_bytes; i++)
            bytes[i] = pattern(i);
        all.push_back(bytes);
    }
    for (const std::string &bytes : all)
        add_bytes("echo", bytes.data(), bytes.size());
    perform();
    for (size_t i = 0; i < all.size(); i++) {
        EXPECT_EQ(0, play.jobs[i].error);
        EXPECT_TRUE(all[i] == reply(play.jobs[i])) << all[i].size();
    }
}

TEST_F(WorkerPool, RepliesCanBeMadeInPlace)
{
    for (int size_bytes : {1, 32768, 32769, 3000000})
        add("fill", size_bytes);
    perform();
    for (const coil_job &job : play.jobs) {
        int size_bytes = 0;
        memcpy(&size_bytes, job.bytes, sizeof(size_bytes));
        ASSERT_EQ(static_cast<size_t>(size_bytes), job.reply_bytes);
        const char *bytes = static_cast<const char *>(job.reply);
        for (int i = 0; i < size_bytes; i++)
            ASSERT_EQ(static_cast<char>(i % 251), bytes[i]);
    }
}

TEST_F(WorkerPool, TheLastReplyCounts)
{
    coil_job &job = add("reconsider");
    perform();
    EXPECT_EQ("what is meant", reply(job));
}

TEST_F(WorkerPool, RunsAsManyAtOnceAsItHasWorkersAndTheOthersInOrder)
{
    play.options.workers = 3;
    play.options.queue_limit = 2; /* So most of them wait for room. */
    for (int i = 0; i < 40; i++)
        add("doze", 2);
    unsigned busy_max = 0;
    unsigned queue_max = 0;
    for (int i = 1; i < 200; i += 3) {
        later(coil_ms(i), [&] {
            if (play.pool == nullptr)
                return;
            const coil_worker_pool_stats stats = coil_worker_pool_statistics(play.pool);
            busy_max = std::max(busy_max, stats.busy);
            queue_max = std::max(queue_max, stats.queue_length);
        });
    }
    perform();
    EXPECT_EQ(40u, play.stats.done);
    EXPECT_GE(3u, busy_max);
    EXPECT_GE(2u, queue_max);
    EXPECT_GE(2u, play.stats.queue_length_max);
    for (size_t i = 1; i < play.jobs.size(); i++)
        EXPECT_LE(0, play.jobs[i].waited);
}

TEST_F(WorkerPool, RefusesWhatItsWorkersCannotDo)
{
    const std::string name(COIL_WORKER_NAME_BYTES, 'n');
    coil_job &unknown = add("no such function");
    coil_job &too_long = add(name.c_str());
    coil_job &fine = add("nothing");
    perform();
    EXPECT_EQ(-ENOSYS, unknown.error);
    EXPECT_EQ(COIL_JOB_REFUSED, unknown.end);
    EXPECT_EQ("was refused: ENOSYS", text(unknown));
    EXPECT_EQ(-ENAMETOOLONG, too_long.error);
    EXPECT_EQ(0, fine.error);
    EXPECT_EQ(0u, play.stats.died);
}

TEST_F(WorkerPool, RefusesAJobWhoseTimeIsOver)
{
    coil_job &late = add("nothing");
    coil_job &fine = add("nothing");
    late.limit = -1;
    perform();
    EXPECT_EQ(-ETIME, late.error);
    EXPECT_EQ(COIL_JOB_REFUSED, late.end);
    EXPECT_EQ(0u, late.attempts);
    EXPECT_EQ(0, fine.error);
    EXPECT_EQ(0u, play.stats.killed);
}

TEST_F(WorkerPool, IsNotForAWorkerThatDoesNotKnowThatItIsOne)
{
    setenv("COIL_WORKER", "3", 1);
    EXPECT_EQ(-ELOOP, RUN(play_all(&play)));
    unsetenv("COIL_WORKER");
}

TEST_F(WorkerPool, RefusesMoreWorkersThanItMayHave)
{
    play.options.workers = UINT_MAX;
    play.options.spares = 1;
    EXPECT_EQ(-EINVAL, RUN(play_all(&play)));
    play.options.workers = COIL_WORKERS_MAX;
    EXPECT_EQ(-EINVAL, RUN(play_all(&play)));
}

/* --------------------------------------------------------------------- workers that are lost -- */

struct Loss {
    const char *function;
    int number;
    coil_job_end end;
    const char *text;
};

class LostWorkers : public Pools, public testing::WithParamInterface<Loss>
{
};

/* CPython's test_deadlock.py: whoever dies, wherever, nobody waits for ever. */
TEST_P(LostWorkers, TakeTheirOwnJobWithThemAndNoOther)
{
    const Loss &loss = GetParam();
    play.options.job_limit = coil_s(15);
    for (int i = 0; i < 6; i++)
        add("value", i);
    coil_job &lost = add(loss.function, loss.number);
    lost.limit = loss.end == COIL_JOB_OVERDUE ? coil_ms(50) : 0;
    for (int i = 0; i < 6; i++)
        add("value", i);
    perform();
    EXPECT_EQ(loss.end, lost.end);
    EXPECT_EQ(loss.text, text(lost));
    EXPECT_EQ(12u, play.stats.done);
    for (const coil_job &job : play.jobs) {
        if (&job != &lost) {
            EXPECT_EQ(0, job.error) << text(job);
        }
    }
    EXPECT_EQ(1u, play.stats.crashed + play.stats.overdue);
}

const Loss losses[] = {
        {"leave", 3, COIL_JOB_CRASHED, "worker exited with status 3"},
        {"leave", 0, COIL_JOB_CRASHED, "worker exited with status 0"},
        {"leave_at_once", 9, COIL_JOB_CRASHED, "worker exited with status 9"},
        {"die", SIGKILL, COIL_JOB_CRASHED, "worker was killed by SIGKILL"},
        {"die", SIGABRT, COIL_JOB_CRASHED, "worker was killed by SIGABRT"},
        {"fault", 0, COIL_JOB_CRASHED, "worker was killed by SIGSEGV"},
        {"die_replying", SIGKILL, COIL_JOB_CRASHED, "worker was killed by SIGKILL"},
        {"die_with_heir", 4, COIL_JOB_CRASHED, "worker exited with status 4"},
        {"close_socket", 0, COIL_JOB_CRASHED, "worker was killed by SIGKILL"},
        {"babble", 0, COIL_JOB_CRASHED, "worker was killed by SIGKILL"},
        {"babble", 255, COIL_JOB_CRASHED, "worker was killed by SIGKILL"},
        {"no_memory", 0, COIL_JOB_NO_MEMORY, "worker had no memory"},
        {"hang", 0, COIL_JOB_OVERDUE, "took too long"},
        {"die", SIGSTOP, COIL_JOB_OVERDUE, "took too long"},
};

INSTANTIATE_TEST_SUITE_P(Matrix, LostWorkers, testing::ValuesIn(losses),
        [](const testing::TestParamInfo<Loss> &loss) {
            return std::string(loss.param.function) + "_" + std::to_string(loss.param.number);
        });

/* The first job asks who it is, something happens to that one, and then the others are run. */
coil_async(int, ask_then_run, (Play *) play, (std::function<void(pid_t)> *) action)
{
    coil_vars(coil_group keepers; coil_group group; int rc; size_t i);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(close_pool(play)));
    coil_await(my->rc, run_job(play, &play->jobs[0]));
    (*action)(play->jobs[0].value);
    coil_open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 1; my->i < play->jobs.size(); my->i++)
        coil_spawn(&my->group, run_job(play, &play->jobs[my->i]));
    coil_ignore(coil_group_join(&my->group));
    return 0;
}

/* However it ends: by a crash, by us, or as it was told to. */
TEST_F(WorkerPool, WhatAWorkerHasStartedIsKilledWithIt)
{
    struct Ending {
        const char *function;
        int number;
        coil_job_end end;
    };
    const Ending endings[] = {{"hang", 0, COIL_JOB_OVERDUE}, {"leave", 3, COIL_JOB_CRASHED},
            {"die", SIGKILL, COIL_JOB_CRASHED}, {"close_socket", 0, COIL_JOB_CRASHED},
            {"value", 4, COIL_JOB_DONE}};
    play.options.workers = 1;
    play.options.jobs_max = 4;
    play.options.exit_limit = coil_ms(50);
    for (const Ending &ending : endings) {
        play.jobs.clear();
        for (int i = 0; i < 3; i++)
            add("breed");
        coil_job &last = add(ending.function, ending.number);
        last.limit = ending.end == COIL_JOB_OVERDUE ? coil_ms(50) : 0;
        perform();
        EXPECT_EQ(ending.end, last.end) << text(last);
        for (size_t i = 0; i < 3; i++) {
            const pid_t heir = static_cast<pid_t>(play.jobs[i].value);
            ASSERT_LT(0, heir);
            coil_kernel_process process;
            EXPECT_TRUE(coil_kernel_process_look(heir, &process) < 0 || process.has_ended)
                    << ending.function;
        }
    }
}

/* A cgroup of the plan is of all workers: it must not be taken for what one has started. */
TEST_F(WorkerPool, OthersInTheSameCgroupAreNotKilledWithIt)
{
    const std::string name = "coil-test-" + std::to_string(getpid());
    coil_cgroup *cgroup = nullptr;
    const int rc = coil_cgroup_open(name.c_str(), &cgroup);
    if (rc < 0)
        GTEST_SKIP() << "no cgroup for us here: " << strerror(-rc);
    play.plan.cgroup = cgroup;
    coil_job &other = add("doze", 300);
    coil_job &lost = add("leave", 3);
    perform();
    EXPECT_EQ(COIL_JOB_CRASHED, lost.end);
    EXPECT_EQ(COIL_JOB_DONE, other.end) << text(other);
    EXPECT_EQ(0, RUN(coil_cgroup_wait_empty(cgroup)));
    EXPECT_EQ(0, coil_cgroup_remove(cgroup));
}

TEST_F(WorkerPool, AJobThatWasNotBegunIsGivenToAnotherWorker)
{
    play.options.workers = 1;
    add("pid");
    coil_job &unread = add("value", 1);
    coil_job &next = add("value", 2);
    std::function<void(pid_t)> stop = [&](pid_t pid) {
        kill(pid, SIGSTOP);
        later(coil_ms(20), [pid] { kill(pid, SIGKILL); });
    };
    EXPECT_EQ(0, RUN(ask_then_run(&play, &stop)));
    EXPECT_EQ(1, unread.value);
    EXPECT_EQ(1u, unread.attempts);
    EXPECT_EQ(2, next.value);
    EXPECT_EQ(0u, play.stats.crashed);
}

TEST_F(WorkerPool, IdleWorkersThatDieAreReplaced)
{
    play.options.workers = 1;
    coil_job &who = add("pid");
    coil_job &after = add("pid");
    std::function<void(pid_t)> end = [&](pid_t pid) {
        kill(pid, SIGKILL);
        siginfo_t status;
        waitid(P_PID, static_cast<id_t>(pid), &status, WEXITED | WNOWAIT);
    };
    EXPECT_EQ(0, RUN(ask_then_run(&play, &end)));
    EXPECT_EQ(COIL_JOB_DONE, after.end) << "nobody has given a job to the dead";
    EXPECT_NE(who.value, after.value);
    EXPECT_EQ(1u, play.stats.died);
}

/* The pool finds both at once, its answer and its end. */
TEST_F(WorkerPool, WorkersThatDieWithTheirAnswerAreCounted)
{
    play.options.workers = 1;
    coil_job &last_word = add("answer_and_die", 1); /* The number of the job. */
    coil_job &next = add("value", 2);
    play.begun = [] { usleep(100000); };
    perform();
    EXPECT_EQ(COIL_JOB_DONE, last_word.end);
    EXPECT_EQ(7, last_word.value);
    EXPECT_EQ(2, next.value);
    EXPECT_EQ(1u, play.stats.died);
    EXPECT_EQ(0u, play.stats.killed);
}

TEST_F(WorkerPool, RetriesWhatDoesNoHarmTwice)
{
    coil_job &job = add("leave", 1);
    job.retries = 2;
    perform();
    EXPECT_EQ(COIL_JOB_CRASHED, job.end);
    EXPECT_EQ(3u, job.attempts);
    EXPECT_EQ(2u, play.stats.retried);
}

TEST_F(WorkerPool, WhatDiesOrHangsAtItsExitIsReplacedAllTheSame)
{
    play.options.workers = 1;
    play.options.jobs_max = 1;
    play.options.exit_limit = coil_ms(50);
    coil_job &dying = add("die_at_exit");
    coil_job &hanging = add("hang_at_exit");
    coil_job &last = add("value", 7);
    perform();
    EXPECT_EQ(0, dying.error);
    EXPECT_EQ(0, hanging.error);
    EXPECT_EQ(7, last.value);
    EXPECT_EQ(3u, play.stats.recycled_by_jobs);
}

/* ---------------------------------------------------------------------------- cancellation -- */

coil_async(int, cancel_one, (Play *) play, (coil_job *) job)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_within(coil_ms(30), coil_worker_pool_run(play->pool, job)));
    return my->rc;
}

coil_async(int, cancel_then_ask, (Play *) play)
{
    coil_vars(coil_group keepers; int rc);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(close_pool(play)));
    coil_await(my->rc, run_job(play, &play->jobs[0]));
    coil_await(my->rc, cancel_one(play, &play->jobs[1]));
    EXPECT_EQ(-ETIME, my->rc);
    coil_await(my->rc, run_job(play, &play->jobs[2]));
    return my->rc;
}

TEST_F(WorkerPool, CancellingAJobKillsItsWorkerOrLetsItFinish)
{
    for (coil_job_cancelling how : {COIL_JOB_KILL, COIL_JOB_FINISH}) {
        play.options.workers = 1;
        play.jobs.clear();
        coil_job &before = add("pid");
        coil_job &job = add("doze", 200);
        coil_job &after = add("pid");
        job.on_cancel = how;
        EXPECT_EQ(0, RUN(cancel_then_ask(&play)));
        EXPECT_EQ(COIL_JOB_CANCELLED, job.end);
        EXPECT_EQ(how == COIL_JOB_FINISH, before.value == after.value);
        EXPECT_EQ(how == COIL_JOB_FINISH ? 0u : 1u, play.stats.killed);
    }
}

TEST_F(WorkerPool, JobsThatWaitCanBeCancelled)
{
    play.options.workers = 1;
    play.options.queue_limit = 2;
    add("doze", 60);
    for (int i = 0; i < 4; i++)
        add("value", i);
    play.begun = [&] {
        coil_job_cancel(&play.jobs[1]);
        coil_job_cancel(&play.jobs[1]);
    };
    perform();
    EXPECT_EQ(-ECANCELED, play.jobs[1].error);
    EXPECT_EQ(4u, play.stats.done);
    EXPECT_EQ(1u, play.stats.cancelled);
    EXPECT_EQ(0u, play.jobs[1].attempts);
}

/* --------------------------------------------------------------------------------- recycling -- */

TEST_F(WorkerPool, RecyclesByJobs)
{
    play.options.workers = 1;
    play.options.jobs_max = 8; /* Or 7. */
    for (int i = 0; i < 40; i++)
        add("pid");
    perform();
    std::set<int> pids;
    for (const coil_job &job : play.jobs)
        pids.insert(job.value);
    EXPECT_LE(5u, pids.size());
    EXPECT_GE(6u, pids.size());
    EXPECT_EQ(40u, play.stats.done);
    EXPECT_EQ(0u, play.stats.died + play.stats.killed);
}

TEST_F(WorkerPool, RecyclesByMemory)
{
#if COIL_TESTS_ASAN
    GTEST_SKIP() << "the sanitizer's memory is counted, too";
#endif
    play.options.workers = 1;
    play.options.memory_max_bytes = 64 << 20;
    coil_job &before = add("pid");
    coil_job &same = add("pid");
    add("grow", 80 << 20);
    coil_job &after = add("pid");
    perform();
    EXPECT_EQ(before.value, same.value);
    EXPECT_NE(before.value, after.value);
    EXPECT_EQ(1u, play.stats.recycled_by_memory);
}

TEST_F(WorkerPool, RecyclesByAgeBusyOrNot)
{
    play.options.workers = 2;
    play.options.age_max = coil_ms(40);
    for (int i = 0; i < 10; i++)
        add("doze", 20);
    perform();
    EXPECT_EQ(10u, play.stats.done);
    EXPECT_LT(0u, play.stats.recycled_by_age);
}

TEST_F(WorkerPool, RecyclesWhenToldTo)
{
    play.options.workers = 1;
    add("doze", 20);
    coil_job &after = add("pid");
    std::set<int> pids;
    play.begun = [&] { coil_worker_pool_recycle(play.pool); };
    perform();
    EXPECT_EQ(0, after.error);
    EXPECT_EQ(2u, play.stats.started);
}

TEST_F(WorkerPool, SparesTakeOverAtOnce)
{
    play.options.workers = 1;
    play.options.spares = 2;
    for (int i = 0; i < 10; i++)
        add("leave", 1);
    coil_job &last = add("value", 5);
    perform();
    EXPECT_EQ(10u, play.stats.crashed);
    EXPECT_EQ(5, last.value);
}

/* ----------------------------------------------------------------- workers that do not start -- */

TEST_F(WorkerPool, TellsThatItsProgramCannotBeRun)
{
    play.plan.program = "/nonexistent/worker";
    add("nothing");
    perform();
    EXPECT_EQ(-ENOENT, play.ready);
    EXPECT_EQ(-ENOENT, play.jobs[0].error);
    EXPECT_EQ(COIL_JOB_REFUSED, play.jobs[0].end);
}

TEST_F(WorkerPool, TellsThatWorkersEndOrAreNeverReady)
{
    const char *ends[] = {"worker", "ends-at-once", nullptr};
    play.plan.argv = ends;
    perform();
    EXPECT_EQ(-ECHILD, play.ready);

    const char *hangs[] = {"worker", "never-ready", nullptr};
    play.plan.argv = hangs;
    play.options.start_limit = coil_ms(10);
    perform();
    EXPECT_EQ(-ETIME, play.ready);
}

} // namespace
