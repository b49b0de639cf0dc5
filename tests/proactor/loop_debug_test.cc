/* SPDX-License-Identifier: MIT */
/* Debug mode of a whole loop: real clocks, real threads, real system calls that wait. */
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>
#include <coil/loop_debug.h>
#include <coil/receiver.h>
#include <coil/remote.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <coil/sugar.h>

namespace
{

struct Notebook {
    coil_debug_hook hook;
    std::string text;
};

void take(coil_debug_hook *hook, const char *text)
{
    coil_container_of(hook, Notebook, hook)->text += text;
}

void print(coil_debug_hook *, const char *text)
{
    fputs(text, stderr);
}

class LoopDebug : public ::testing::Test
{
protected:
    LoopDebug()
    {
        EXPECT_EQ(0, coil_loop_create(&loop, nullptr));
        const coil_loop_debug_options options = {coil_ms(20), &notes.hook, coil_ms(20)};
        EXPECT_EQ(0, coil_loop_debug(loop, &options));
    }

    ~LoopDebug() override
    {
        coil_loop_destroy(loop);
        EXPECT_EQ("", notes.text) << "a report that the test did not expect";
    }

    Notebook notes = {{take}, ""};
    coil_loop *loop = nullptr;
};

#define EXPECT_HAS(text, part) EXPECT_NE(std::string::npos, (text).find(part)) << (text)

async(int, does_io)
{
    vars(int fds[2]; char byte; ssize_t count; int i);
    COIL_CHECK(pipe(my->fds) == 0);
    for (my->i = 0; my->i < 100; my->i++) {
        attempt(my->count, coil_write(my->fds[1], "x", 1));
        attempt(my->count, coil_read(my->fds[0], &my->byte, 1));
        await(coil_yield());
    }
    attempt(coil_close(my->fds[0]));
    attempt(coil_close(my->fds[1]));
    await(coil_sleep(coil_ms(1)));
    return 0;
}

/* (That a page comes from the disk is the machine's business: such a report does not count.) */
TEST_F(LoopDebug, SaysNothingAboutAProgramThatBehaves)
{
    spawn(coil_loop_root(loop), does_io());
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(std::string::npos, notes.text.find("slow step")) << notes.text;
    EXPECT_EQ(std::string::npos, notes.text.find("never awaited")) << notes.text;
    EXPECT_EQ(std::string::npos, notes.text.find("leak")) << notes.text;
    notes.text.clear();
}

async(int, blocks)
{
    vars();
    await(coil_yield());
    usleep(30000);
    await(coil_yield());
    return 0;
}

async(int, answers)
{
    vars();
    await(coil_yield());
    return 5;
}

async(int, calls_remotely, (coil_remote *) remote, (int *) out_result)
{
    vars(int result);
    if (coil_spawn_on(coil_loop_of(coil_self), answers()) < 0)
        return -EIO;
    coil_remote_start(remote, coil_loop_of(coil_self), out_result, answers());
    attempt(my->result, coil_on_loop(coil_loop_of(coil_self), answers()));
    return my->result;
}

TEST_F(LoopDebug, KnowsThatRemoteCallsAreAwaited)
{
    coil_remote remote;
    int result = 0;
    EXPECT_EQ(5, coil_loop_run_until(loop, calls_remotely(&remote, &result)));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(0, coil_remote_wait(&remote, 0));
    EXPECT_EQ(std::string::npos, notes.text.find("never awaited")) << notes.text;
    notes.text = "";
}

async(int, blocks_to_its_end)
{
    vars();
    usleep(30000);
    return 0;
}

TEST_F(LoopDebug, NamesARemoteTaskAlsoWhenItsCallIsOver)
{
    EXPECT_EQ(0, coil_spawn_on(loop, blocks_to_its_end())); /* Whose memory its end gives back. */
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_HAS(notes.text, "blocked in the kernel: task blocks_to_its_end kept the loop");
    notes.text = "";
}

TEST_F(LoopDebug, ReportsASystemCallThatWaits)
{
    spawn(coil_loop_root(loop), blocks());
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_HAS(notes.text, "coil: blocked in the kernel: task blocks kept the loop for ");
    EXPECT_HAS(notes.text, "loop_debug_test.cc:");
    notes.text.clear();
}

async(int, spins)
{
    vars();
    for (const coil_time end = coil_kernel_now() + coil_ms(30); coil_kernel_now() < end;) {
    }
    await(coil_yield());
    return 0;
}

TEST_F(LoopDebug, ReportsAStepThatComputesForTooLong)
{
    spawn(coil_loop_root(loop), spins());
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_HAS(notes.text, "task spins kept the loop for ");
    notes.text.clear();
}

async(int, forgets)
{
    vars();
    {
        auto forgotten = coil_close(1000000);
        (void)forgotten;
    }
    await(coil_yield());
    return 0;
}

TEST_F(LoopDebug, NamesThePlaceWhereACoroutineWasCalledAndForgotten)
{
#ifndef COIL_STRICT_
    GTEST_SKIP() << "optimised code has the compiler's warning";
#endif
    spawn(coil_loop_root(loop), forgets());
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_HAS(notes.text, "coil: never awaited: coil_close (");
    EXPECT_HAS(notes.text, "by    task forgets\n");
    EXPECT_HAS(notes.text, "forgets"); /* The symbol of the body. */
    notes.text.clear();
}

TEST_F(LoopDebug, BeginsOnceAndBeforeTheFirstTask)
{
    EXPECT_EQ(-EALREADY, coil_loop_debug(loop, nullptr));
    coil_loop *other = nullptr;
    ASSERT_EQ(0, coil_loop_create(&other, nullptr));
    spawn(coil_loop_root(other), spins());
    EXPECT_EQ(-EBUSY, coil_loop_debug(other, nullptr));
    EXPECT_EQ(0, coil_loop_run(other));
    coil_loop_destroy(other);
}

async(int, waits_for_ever)
{
    vars();
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

TEST_F(LoopDebug, ReportsAThreadThatSpawnsIntoTheLoopOfAnother)
{
    notes.hook.report = print;
    EXPECT_DEATH(std::thread([this] { spawn(coil_loop_root(loop), waits_for_ever()); }).join(),
            "coil: wrong thread: spawned a task of a scheduler that belongs to another thread");
    notes.hook.report = take;
}

TEST(LoopDebugFromEnvironment, IsOnForEveryLoop)
{
    ASSERT_EQ(0, setenv("COIL_DEBUG", "1", 1));
    ASSERT_EQ(0, setenv("COIL_SLOW", "0.01", 1));
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    EXPECT_EQ(-EALREADY, coil_loop_debug(loop, nullptr));
    testing::internal::CaptureStderr();
    spawn(coil_loop_root(loop), blocks());
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_HAS(testing::internal::GetCapturedStderr(), "task blocks kept the loop for ");
    coil_loop_destroy(loop);

    ASSERT_EQ(0, setenv("COIL_SLOW", "soon", 1));
    testing::internal::CaptureStderr();
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    EXPECT_HAS(testing::internal::GetCapturedStderr(), "not \"soon\"");
    coil_loop_destroy(loop);
    ASSERT_EQ(0, unsetenv("COIL_DEBUG"));
    ASSERT_EQ(0, unsetenv("COIL_SLOW"));
}

/* ------------------------------------------------------------------------------- slices -- */

/* Says something now and then, and hears it. */
async(int, hold_a_slice, (coil_duration) duration)
{
    vars(int fds[2]; coil_receiver *receiver; coil_slice in; coil_slice part; ssize_t count);

    COIL_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, my->fds) == 0);
    COIL_CHECK(coil_receiver_create(coil_loop_of(coil_self), my->fds[0], COIL_TRANSPORT_SOCKET,
                       &my->receiver) == 0);
    defer({
        coil_receiver_close(my->receiver);
        close(my->fds[1]);
    });
    attempt(my->count, coil_write(my->fds[1], "hello", 5));
    attempt(my->in, coil_receiver_next(my->receiver));
    EXPECT_EQ(5, my->in.size_bytes);
    EXPECT_EQ(0, memcmp(my->in.bytes, "hello", 5));
    my->part = coil_slice_split(&my->in, 2);
    coil_slice_release(&my->in);
    await(coil_sleep(duration));
    coil_slice_release(&my->part);

    attempt(my->count, coil_write(my->fds[1], "again", 5));
    while (coil_receiver_look(my->receiver, coil_self) == -EAGAIN)
        await(coil_sleep(coil_ms(1)));
    await(coil_sleep(coil_ms(50))); /* It has been looked at, but nobody has taken it. */
    attempt(my->in, coil_receiver_next(my->receiver));
    coil_slice_release(&my->in);
    return 0;
}

TEST_F(LoopDebug, ReportsASliceThatIsKeptForTooLongOnce)
{
    EXPECT_EQ(0, coil_loop_run_until(loop, hold_a_slice(coil_ms(100))));
    EXPECT_HAS(
            notes.text, "coil: slice held: task hold_a_slice has kept 5 bytes of a receive buffer");
    EXPECT_HAS(notes.text, "hold_a_slice (");
    EXPECT_EQ(notes.text.find("slice held"), notes.text.rfind("slice held")) << notes.text;
    notes.text.clear();
}

TEST_F(LoopDebug, SaysNothingAboutASliceThatIsReleased)
{
    EXPECT_EQ(0, coil_loop_run_until(loop, hold_a_slice(coil_us(10))));
    EXPECT_EQ(std::string::npos, notes.text.find("slice held")) << notes.text;
    notes.text.clear();
}

} // namespace
