/* SPDX-License-Identifier: MIT */
/* Runs of a loop: until a result, until stopped, to the bitter end; failures; Ctrl-C. */
#include "stage.h"

#include <coil/call.h>
#include <coil/remote.h>
#include <coil/test_loop.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

class Run : public BareLoop
{
protected:
    Run() : BareLoop(coil_test_loop_create) {}
};

async(int, returns_after, (coil_duration) duration, (int) result)
{
    vars();
    await(coil_sleep(duration));
    return result;
}

async(int64_t, returns_much)
{
    vars();
    await(coil_yield());
    return INT64_C(1) << 40;
}

async(int, counts, (int *) count)
{
    vars();
    for (;;) {
        await(coil_sleep(coil_s(1)));
        ++*count;
    }
}

async(int, stops, (coil_loop *) loop, (coil_duration) after)
{
    vars();
    await(coil_sleep(after));
    coil_loop_stop(loop);
    return 0;
}

/* --------------------------------------------------------------------------- until a result -- */

TEST_F(Run, UntilOneHasEndedGivesItsResultAgainAndAgain)
{
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(i, coil_loop_run_until(loop, returns_after(coil_s(1), i)));
    EXPECT_EQ(coil_s(10), elapsed());
    EXPECT_EQ(INT64_C(1) << 40, coil_loop_run_until(loop, returns_much()));
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_sleep(0)));
    EXPECT_EQ(-ETIME, coil_loop_run_until(loop, within(coil_s(1), returns_after(coil_s(2), 5))));
}

async(int64_t, returns_the_least)
{
    vars();
    await(coil_yield());
    return INT64_MIN;
}

TEST_F(Run, UntilAResultThatIsTheLeastNumberEndsToo)
{
    coil_spawn(coil_loop_root(loop), stops(loop, coil_s(1)));
    EXPECT_EQ(INT64_MIN, coil_loop_run_until(loop, returns_the_least()));
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
}

TEST_F(Run, OthersStaySuspendedBetweenRuns)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), counts(&count));
    EXPECT_EQ(1, coil_loop_run_until(loop, returns_after(coil_ms(3500), 1)));
    EXPECT_EQ(3, count);
    EXPECT_FALSE(coil_loop_is_running(loop));
    EXPECT_EQ(2, coil_loop_run_until(loop, returns_after(coil_ms(1000), 2)));
    EXPECT_EQ(4, count);
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
}

TEST_F(Run, AFailureThatIsReceivedCancelsNobody)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), counts(&count));
    EXPECT_EQ(-EIO, coil_loop_run_until(loop, returns_after(coil_ms(1500), -EIO)));
    EXPECT_EQ(-EPERM, coil_loop_run_until(loop, returns_after(coil_ms(1000), -EPERM)));
    EXPECT_EQ(2, count);
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
}

TEST_F(Run, StoppedBeforeTheResultIsAnErrorAndTheTaskGoesOn)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), stops(loop, coil_ms(2500)));
    EXPECT_EQ(-EINTR, coil_loop_run_until(loop, counts(&count)));
    EXPECT_EQ(2, count);
    EXPECT_EQ(7, coil_loop_run_until(loop, returns_after(coil_s(2), 7)));
    EXPECT_EQ(4, count);
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
    EXPECT_EQ(8, coil_loop_run_until(loop, returns_after(coil_s(2), 8))) << "and can be used again";
}

async(int, asks_whether_running, (coil_loop *) loop)
{
    vars();
    return coil_loop_is_running(loop) ? 1 : 0;
}

TEST_F(Run, IsKnownToRunWhileItDoes)
{
    EXPECT_FALSE(coil_loop_is_running(loop));
    EXPECT_EQ(1, coil_loop_run_until(loop, asks_whether_running(loop)));
    EXPECT_FALSE(coil_loop_is_running(loop));
}

/* ------------------------------------------------------------------------------- until stop -- */

TEST_F(Run, ForeverEndsWhenItIsStopped)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), counts(&count));
    coil_spawn(coil_loop_root(loop), stops(loop, coil_ms(4500)));
    EXPECT_EQ(0, coil_loop_run_forever(loop));
    EXPECT_EQ(4, count);
    EXPECT_EQ(0, coil_loop_shutdown(loop, 0));
}

async(int, runs_once, (int *) count)
{
    vars();
    ++*count;
    await(coil_yield());
    ++*count;
    return 0;
}

TEST_F(Run, StopLetsTheTurnFinish)
{
    int count = 0;
    coil_loop_stop(loop); /* Before the run: it is one turn. */
    for (int i = 0; i < 10; i++)
        coil_spawn(coil_loop_root(loop), runs_once(&count));
    EXPECT_EQ(-EINTR, coil_loop_run(loop));
    EXPECT_EQ(10, count);
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(20, count);
}

async(int, rests_and_ends, (int *) count)
{
    vars();
    await(coil_sleep(coil_s(1)));
    return ++*count;
}

/* The result has nowhere to go any more, and the shield is still to come down. */
TEST_F(Run, WhatIsShieldedGoesOnInTheNextRun)
{
    int count = 0;
    coil_loop_stop(loop);
    EXPECT_EQ(-EINTR, coil_loop_run_until(loop, shield(rests_and_ends(&count))));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(1, count);
}

TEST_F(Run, StopByATaskInTheMiddleOfATurnLetsTheOthersRun)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), stops(loop, 0));
    coil_test_settle(loop); /* It starts, and ends at the next advance. */
    EXPECT_EQ(0, coil_loop_run(loop));
    coil_loop_stop(loop);
    coil_loop_stop(loop); /* Twice is once. */
    coil_spawn(coil_loop_root(loop), runs_once(&count));
    EXPECT_EQ(-EINTR, coil_loop_run(loop));
    EXPECT_EQ(1, count);
    EXPECT_EQ(0, coil_loop_run(loop));
}

coil_loop *loop_of_handler;

void stop_from_handler(int)
{
    coil_loop_stop(loop_of_handler);
}

TEST(RunOnTheClock, IsStoppedByThreadsAndSignalHandlers)
{
    alarm(20);
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    for (int i = 0; i < 200; i++) {
        std::thread stopper([loop, i] {
            if (i % 2 == 0)
                std::this_thread::sleep_for(std::chrono::microseconds(i));
            coil_loop_stop(loop);
        });
        EXPECT_EQ(0, coil_loop_run_forever(loop));
        stopper.join();
    }
    auto before = signal(SIGUSR1, stop_from_handler);
    loop_of_handler = loop;
    pthread_t self = pthread_self();
    for (int i = 0; i < 50; i++) {
        std::thread stopper([self] { pthread_kill(self, SIGUSR1); });
        EXPECT_EQ(0, coil_loop_run_forever(loop));
        stopper.join();
    }
    signal(SIGUSR1, before);
    coil_loop_destroy(loop);
    alarm(0);
}

/* --------------------------------------------------------------------------------- the end -- */

async(int, clings, (coil_duration) duration)
{
    vars();
    defer(await(coil_sleep(duration)));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(int, hosts, (coil_duration) duration)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, clings(duration));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

TEST_F(Run, CloseNamesThoseThatStillWaitAndWhere)
{
    coil_spawn(coil_loop_root(loop), hosts(coil_s(5)));
    coil_test_settle(loop);
    testing::internal::CaptureStderr();
    EXPECT_EQ(-EBUSY, coil_loop_close(&loop));
    const std::string report = testing::internal::GetCapturedStderr();
    EXPECT_NE(nullptr, loop);
    EXPECT_NE(std::string::npos, report.find("a loop is closed, and tasks have not ended (2)"))
            << report;
    EXPECT_NE(std::string::npos, report.find("task hosts\n")) << report;
    EXPECT_NE(std::string::npos, report.find("task clings\n")) << report;
    EXPECT_NE(std::string::npos, report.find("await (coil_sleep(")) << report;
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(10)));
    EXPECT_EQ(0, coil_loop_close(&loop));
    EXPECT_EQ(nullptr, loop);
    EXPECT_EQ(0, coil_loop_close(&loop)) << "again";
}

TEST_F(Run, ShutdownWaitsForCleanUps)
{
    coil_spawn(coil_loop_root(loop), hosts(coil_s(5)));
    coil_test_settle(loop);
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(10)));
    EXPECT_EQ(coil_s(5), elapsed());
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(10))) << "of nothing takes no time";
    EXPECT_EQ(coil_s(5), elapsed());
}

TEST_F(Run, ShutdownGivesUpAfterTheGraceAndSaysWhoIsStuck)
{
    coil_spawn(coil_loop_root(loop), clings(coil_s(60)));
    coil_spawn(coil_loop_root(loop), clings(coil_s(1)));
    coil_test_settle(loop);
    testing::internal::CaptureStderr();
    EXPECT_EQ(-ETIMEDOUT, coil_loop_shutdown(loop, coil_s(10)));
    const std::string report = testing::internal::GetCapturedStderr();
    EXPECT_EQ(coil_s(10), elapsed());
    EXPECT_NE(std::string::npos, report.find("a loop shuts down, and tasks have not ended (1)"))
            << report;
    EXPECT_NE(std::string::npos, report.find("task clings\n")) << report;
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(60)));
    EXPECT_EQ(coil_s(60), elapsed());
}

TEST_F(Run, ShutdownReachesTheTaskOfAStoppedRun)
{
    int count = 0;
    coil_loop_stop(loop);
    EXPECT_EQ(-EINTR, coil_loop_run_until(loop, counts(&count)));
    EXPECT_EQ(1u, coil_debug_live_tasks());
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
    EXPECT_EQ(0u, coil_debug_live_tasks());
}

TEST_F(Run, ShutdownReachesTheGuestsFromOtherThreads)
{
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, loop, &result, clings(coil_s(3)));
    coil_test_settle(loop);
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(10)));
    EXPECT_EQ(0u, coil_debug_live_tasks());
    EXPECT_EQ(-ESHUTDOWN, coil_remote_wait(&remote, 0));
    coil_remote_start(&remote, loop, &result, returns_after(coil_s(1), 4));
    EXPECT_EQ(0, coil_loop_run_until(loop, returns_after(coil_s(2), 0)));
    EXPECT_EQ(0, coil_remote_wait(&remote, 0)) << "it takes guests again";
    EXPECT_EQ(4, result);
}

struct Starter {
    coil_post post;
    coil_loop *loop;
    int *left_count;
};

async(int, counts_its_end, (int *) left_count)
{
    vars();
    defer(await(coil_sleep(coil_ms(10))); --*left_count);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

TEST_F(Run, AStopDoesNotCutTheEndOfALoopShort)
{
    coil_loop *other = nullptr;
    ASSERT_EQ(0, coil_loop_create(&other, nullptr));
    int left_count = 1;
    Starter starter = {{}, other, &left_count};
    starter.post.run = [](coil_post *post) {
        Starter *self = coil_container_of(post, Starter, post);
        coil_spawn(coil_loop_root(self->loop), counts_its_end(self->left_count));
    };
    EXPECT_EQ(0, coil_loop_post(other, &starter.post));
    coil_loop_stop(other);
    coil_loop_destroy(other);
    EXPECT_EQ(0, left_count);
}

/* -------------------------------------------------------------------------------- failures -- */

struct Failures {
    coil_error_hook hook;
    std::vector<std::string> all;
};

void note(coil_error_hook *hook, const coil_failure *failure)
{
    coil_container_of(hook, Failures, hook)
            ->all.push_back(std::string(failure->name) + " " + coil_error_name(failure->error));
}

TEST_F(Run, FailuresThatNobodyReceivesArriveAtTheHook)
{
    Failures failures = {{note}, {}};
    coil_loop_on_error(loop, &failures.hook);
    coil_loop_root(loop)->keep_going = true;
    int64_t received = 0;
    coil_spawn(coil_loop_root(loop), returns_after(coil_s(1), -EIO));
    coil_spawn(coil_loop_root(loop), returns_after(coil_s(2), 3));
    coil_spawn_result(coil_loop_root(loop), &received, returns_after(coil_s(3), -EPERM));
    coil_task_cancel(coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER)));
    coil_spawn(coil_loop_root(loop), returns_after(coil_s(4), -ENOENT));
    EXPECT_EQ(-EACCES, coil_loop_run_until(loop, returns_after(coil_s(2), -EACCES)));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(
            (std::vector<std::string>{"returns_after EIO", "returns_after ENOENT"}), failures.all);
    EXPECT_EQ(-EPERM, received);
}

TEST_F(Run, WithoutAHookFailuresThatAreNoResultArePrinted)
{
    testing::internal::CaptureStderr();
    coil_spawn(coil_loop_root(loop), returns_after(coil_s(1), -EIO));
    EXPECT_EQ(-EIO, coil_loop_run(loop));
    EXPECT_EQ("", testing::internal::GetCapturedStderr());

    testing::internal::CaptureStderr();
    coil_spawn(coil_loop_root(loop), returns_after(coil_s(1), -EIO));
    EXPECT_EQ(0, coil_loop_run_until(loop, returns_after(coil_s(2), 0)));
    const std::string line = testing::internal::GetCapturedStderr();
    EXPECT_EQ(0u, line.find("coil: task returns_after (")) << line;
    EXPECT_NE(std::string::npos, line.find("failed: Input/output error (EIO)\n")) << line;
    EXPECT_EQ(0, coil_loop_run(loop)) << "it has been reported";
}

TEST_F(Run, TheRootCanBeUsedAgainAfterAFailure)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), counts(&count));
    coil_spawn(coil_loop_root(loop), returns_after(coil_s(1), -EIO));
    EXPECT_EQ(-EIO, coil_loop_run(loop));
    coil_spawn(coil_loop_root(loop), counts(&count));
    EXPECT_EQ(0, coil_loop_run_until(loop, returns_after(coil_ms(2500), 0)));
    EXPECT_LE(2, count);
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
}

/* ---------------------------------------------------------------------------------- misuse -- */

using RunDeathTest = Run;

async(int, nests, (coil_loop *) loop)
{
    vars();
    return static_cast<int>(coil_loop_run_until(loop, returns_after(0, 0)));
}

TEST_F(RunDeathTest, OfALoopInsideARunSaysWhatToDo)
{
    coil_loop *own = nullptr;
    EXPECT_DEATH(
            {
                (void)coil_loop_create(&own, nullptr);
                (void)coil_loop_run_until(own, nests(own));
            },
            "a loop cannot run inside a running loop: await the call, or spawn it");
    EXPECT_DEATH(
            {
                (void)coil_loop_create(&own, nullptr);
                coil_spawn(coil_loop_root(own), counts(nullptr));
                coil_loop_destroy(own);
            },
            "a loop is destroyed, and tasks have not ended \\(1\\):\ntask counts");
}

async(int, stops_its_loop, (int *) cleaned)
{
    vars();
    defer(await(coil_sleep(coil_ms(5))); *cleaned = 1);
    coil_loop_stop(coil_loop_of(coil_self));
    await(coil_sleep(coil_s(5)));
    return 3;
}

TEST(RunOfAProgram, ThatIsStoppedCleansUpAndIsInterrupted)
{
    int cleaned = 0;
    EXPECT_EQ(-EINTR, coil_run(stops_its_loop(&cleaned)));
    EXPECT_EQ(1, cleaned);
}

/* ---------------------------------------------------------------------------------- Ctrl-C -- */

/* What a program does, in a child; its wait status. */
int status_of(const std::function<int()> &program)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        alarm(10);
        _exit(program() & 0xff);
    }
    int status = 0;
    EXPECT_EQ(child, waitpid(child, &status, 0));
    return status;
}

async(int, interrupted, (int *) cleaned, (bool) twice)
{
    vars();
    defer(*cleaned = 1);
    raise(SIGINT);
    await(coil_sleep(coil_ms(20)));
    if (twice)
        raise(SIGINT);
    await(coil_sleep(coil_s(5)));
    return 3;
}

async(int, interrupted_while_blocked)
{
    vars();
    raise(SIGINT);
    raise(SIGINT); /* The loop has had no turn in between. */
    return 3;
}

TEST(CtrlC, CancelsTheMainTaskSoThatItCleansUp)
{
    int status = status_of([] {
        int cleaned = 0;
        int rc = coil_run(interrupted(&cleaned, false));
        return rc == -EINTR && cleaned == 1 ? 42 : 1;
    });
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(42, WEXITSTATUS(status));
}

async(int, takes_its_time)
{
    vars();
    defer(raise(SIGINT); await(coil_sleep(coil_s(5))));
    raise(SIGINT);
    await(coil_sleep(coil_s(5)));
    return 3;
}

async(int, serves_guests, (coil_remote *) remote, (int *) result)
{
    vars();
    coil_remote_start(remote, coil_loop_of(coil_self), result, returns_after(coil_s(5), 3));
    await(coil_sleep(coil_ms(5)));
    raise(SIGINT);
    return 0;
}

TEST(CtrlC, CancelsTheGuestsFromOtherThreadsAsWell)
{
    int status = status_of([] {
        coil_remote remote;
        int result = 0;
        const coil_time begin = coil_kernel_now();
        int rc = coil_run(serves_guests(&remote, &result));
        if (rc != 0 || coil_kernel_now() - begin > coil_s(3))
            return 1;
        return coil_remote_wait(&remote, 0) == -ESHUTDOWN ? 42 : 2;
    });
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(42, WEXITSTATUS(status));
}

TEST(CtrlC, TheSecondKillsAtOnce)
{
    int status = status_of([] { return coil_run(takes_its_time()); });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
    status = status_of([] { return coil_run(interrupted_while_blocked()); });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST(CtrlC, IsAsItWasAfterTheRun)
{
    int status = status_of([] {
        if (coil_run(returns_after(0, 7)) != 7)
            return 1;
        struct sigaction now = {};
        sigaction(SIGINT, nullptr, &now);
        if (now.sa_handler != SIG_DFL)
            return 2;
        raise(SIGINT);
        return 3;
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

async(int, starts_and_sleeps, (std::function<void()> *) start)
{
    vars();
    (*start)();
    await(coil_sleep(coil_s(5)));
    return 3;
}

std::atomic<int> own_count;

TEST(CtrlC, IsLeftToAProgramThatHandlesIt)
{
    int status = status_of([] {
        own_count = 0;
        signal(SIGINT, [](int) { own_count++; });
        int cleaned = 0;
        int rc = coil_run(within(coil_ms(100), interrupted(&cleaned, true)));
        return rc == -ETIME && own_count == 2 ? 42 : 1;
    });
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(42, WEXITSTATUS(status));
}

TEST(CtrlC, KillsAForkedChildAndNotItsParentsLoop)
{
    int status = status_of([] {
        static int child_status;
        std::function<void()> fork_one = [] {
            pid_t child = fork();
            if (child == 0) {
                raise(SIGINT);
                _exit(5);
            }
            waitpid(child, &child_status, 0);
        };
        (void)coil_run(act_after(0, &fork_one));
        return WIFSIGNALED(child_status) && WTERMSIG(child_status) == SIGINT ? 42 : 1;
    });
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(42, WEXITSTATUS(status));
}

TEST(CtrlC, ThatAnotherThreadTakesIsTheSame)
{
    int status = status_of([] {
        std::thread taker;
        std::function<void()> start = [&taker] {
            taker = std::thread([] { pthread_kill(pthread_self(), SIGINT); });
            usleep(1000); /* While the loop is busy. */
        };
        int rc = coil_run(starts_and_sleeps(&start));
        taker.join();
        return rc == -EINTR ? 42 : 1;
    });
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(42, WEXITSTATUS(status));
}

} // namespace
