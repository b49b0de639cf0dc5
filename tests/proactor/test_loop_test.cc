/* SPDX-License-Identifier: MIT */
/* coil/test_loop.h: a clock that jumps, on the real kernel, with real sockets. */
#include "stage.h"

#include <coil/call.h>
#include <coil/stream.h>
#include <coil/test_loop.h>

#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

class TestLoop : public BareLoop
{
protected:
    TestLoop() : BareLoop(coil_test_loop_create) {}

    ~TestLoop() override
    {
        EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
    }

    coil_duration really() const
    {
        return coil_kernel_now() - started;
    }

    coil_time started = coil_kernel_now();
};

async(int, beats, (int *) count)
{
    vars();
    for (;;) {
        await(coil_sleep(coil_s(60)));
        ++*count;
    }
}

async(int, sleeps_long)
{
    vars();
    await(coil_sleep(coil_s(100 * 365 * 86400LL)));
    return coil_now() - COIL_TEST_EPOCH == coil_s(100 * 365 * 86400LL) ? 1 : 0;
}

TEST_F(TestLoop, JumpsToTheNextDeadline)
{
    EXPECT_EQ(1, coil_loop_run_until(loop, sleeps_long()));
    EXPECT_GT(coil_s(5), really());
}

TEST_F(TestLoop, PassesFromDeadlineToDeadline)
{
    int count = 0;
    coil_spawn(coil_loop_root(loop), beats(&count));
    coil_test_settle(loop);
    EXPECT_EQ(0, elapsed());
    coil_test_pass(loop, coil_s(3600));
    EXPECT_EQ(60, count);
    EXPECT_EQ(coil_s(3600), elapsed());
    coil_test_pass(loop, coil_s(59));
    EXPECT_EQ(60, count);
    coil_test_pass(loop, coil_s(1));
    EXPECT_EQ(61, count);
    EXPECT_GT(coil_s(5), really());
}

TEST_F(TestLoop, TimeStandsStillWhileItSettles)
{
    Ends ends = make_unix();
    char byte = 0;
    int64_t got = 0;
    START(got, coil_recv(ends.out, &byte, 1, 0));
    coil_test_settle(loop);
    EXPECT_EQ(0, got);
    put(ends.in, "x");
    coil_test_settle(loop);
    EXPECT_EQ(1, got);
    EXPECT_EQ(0, elapsed());
}

TEST_F(TestLoop, ASleepOfNothingIsSettledToItsEnd)
{
    int64_t done = 1;
    START(done, coil_sleep(0));
    coil_test_settle(loop);
    EXPECT_EQ(0, done);
    EXPECT_EQ(0, elapsed());
}

/* Sends back what comes, with a deadline of a nanosecond for every step. */
async(int, echoes, (coil_stream *) stream, (int) count)
{
    vars(char byte; ssize_t size_bytes; int i);
    defer(coil_stream_close(stream));
    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->size_bytes, within(1, coil_read_exact(stream, &my->byte, 1)));
        attempt(coil_write_all(stream, coil_bytes(&my->byte, 1)));
    }
    return my->i;
}

async(int, plays, (int) count)
{
    vars(coil_stream *near; coil_stream *far; int i; char byte; ssize_t size_bytes);
    EXPECT_EQ(0, coil_stream_pair(&my->near, &my->far));
    defer(coil_stream_close(my->near));
    coil_spawn(coil_loop_root(coil_loop_current()), echoes(my->far, count));
    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_write_all(my->near, coil_bytes("x", 1)));
        attempt(my->size_bytes, within(1, coil_read_exact(my->near, &my->byte, 1)));
    }
    return my->i;
}

TEST_F(TestLoop, WhatAPairOfStreamsSaysComesBeforeAnyDeadline)
{
    EXPECT_EQ(1000, coil_loop_run_until(loop, plays(1000)));
    EXPECT_EQ(0, elapsed());
}

TEST_F(TestLoop, SoDoesWhatComesThroughPipesAndLoopback)
{
    for (int i = 0; i < 2; i++) {
        Ends ends = i == 0 ? make_pipe() : make_tcp();
        char byte = 0;
        int64_t got = 0;
        int64_t sent = 0;
        START(got, within(1, coil_read(ends.out, &byte, 1)));
        START(sent, coil_write(ends.in, "x", 1));
        EXPECT_EQ(0, coil_loop_run(loop));
        EXPECT_EQ(1, got);
        EXPECT_EQ(1, sent);
    }
}

async(int, creates_file, (const char *) path)
{
    vars(int fd);
    attempt(my->fd, within(1, coil_openat(AT_FDCWD, path, O_CREAT | O_TRUNC | O_RDWR, 0600)));
    attempt(within(1, coil_fsync(my->fd, false)));
    attempt(coil_close(my->fd));
    return 1;
}

TEST_F(TestLoop, AThreadOfTheKernelIsWaitedFor)
{
    const std::string path = "/tmp/coil_test_loop." + std::to_string(getpid());
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(1, coil_loop_run_until(loop, creates_file(path.c_str())));
    EXPECT_EQ(0, elapsed());
    unlink(path.c_str());
}

TEST_F(TestLoop, WhatNeverComesIsADeadlineAtOnce)
{
    Ends ends = make_unix();
    char byte = 0;
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(-ETIME,
                coil_loop_run_until(loop, within(coil_s(3600), coil_recv(ends.out, &byte, 1, 0))));
    EXPECT_EQ(coil_s(360000), elapsed());
    EXPECT_GT(coil_s(5), really());
}

TEST_F(TestLoop, WithPatienceWaitsForOtherThreads)
{
    Ends ends = make_unix();
    char byte = 0;
    coil_test_patience(loop, coil_s(10));
    std::thread other([&ends] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        put(ends.in, "x");
    });
    EXPECT_EQ(1, coil_loop_run_until(loop, within(1, coil_recv(ends.out, &byte, 1, 0))));
    other.join();
    EXPECT_EQ(0, elapsed());
}

TEST_F(TestLoop, WithoutADeadlineWaitsForOtherThreadsAnyway)
{
    Ends ends = make_unix();
    char byte = 0;
    std::thread other([&ends] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        put(ends.in, "x");
    });
    EXPECT_EQ(1, coil_loop_run_until(loop, coil_recv(ends.out, &byte, 1, 0)));
    other.join();
}

TEST_F(TestLoop, OutsideOfItTheTimeIsReal)
{
    coil_time before = coil_kernel_now();
    EXPECT_LE(before, coil_now());
}

TEST_F(TestLoop, RunsTheSameEachTime)
{
    std::vector<coil_time> first;
    for (int round = 0; round < 3; round++) {
        coil_loop *other = nullptr;
        ASSERT_EQ(0, coil_test_loop_create(&other, nullptr));
        std::vector<coil_time> times;
        Random random = {7};
        std::deque<std::function<void()>> actions;
        for (int i = 0; i < 200; i++) {
            actions.emplace_back([&times] { times.push_back(coil_now()); });
            coil_spawn(coil_loop_root(other),
                    act_after(
                            static_cast<coil_duration>(random.below(1000000000)), &actions.back()));
        }
        EXPECT_EQ(0, coil_loop_run(other));
        coil_loop_destroy(other);
        ASSERT_EQ(200u, times.size());
        if (round == 0)
            first = times;
        EXPECT_EQ(first, times);
    }
}

TEST_F(TestLoop, ADeadlockSaysWhoWaits)
{
    loop->last_patience = coil_ms(30); /* Instead of ten seconds. */
    testing::internal::CaptureStderr();
    Ends ends = make_unix();
    char byte = 0;
    EXPECT_EQ(-EDEADLK, coil_loop_run_until(loop, coil_recv(ends.out, &byte, 1, 0)));
    const std::string report = testing::internal::GetCapturedStderr();
    EXPECT_NE(std::string::npos, report.find("task coil_recv")) << report;
}

using TestLoopDeathTest = TestLoop;

TEST_F(TestLoopDeathTest, TimeDoesNotGoBackwards)
{
    EXPECT_DEATH(coil_test_pass(loop, -1), "duration >= 0");
}

} // namespace
