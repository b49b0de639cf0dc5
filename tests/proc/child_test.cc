/* SPDX-License-Identifier: MIT */
/* coil/child.h, and the pipes of a child as streams: real processes, none of which may stay. */
#include "cast.h"

#include <climits>

#include <coil/sugar.h>

namespace
{

const coil_duration A_MOMENT = coil_ms(5);
const coil_duration LONG = coil_s(30);

typedef Children Child;

/* --------------------------------------------------------------------------------- waiting -- */

TEST_F(Child, WaitTellsTheExitStatus)
{
    for (int status : {0, 1, 42, 255}) {
        coil_child child = start({"exit", std::to_string(status)});
        EXPECT_EQ(0, RUN(coil_child_wait(&child)));
        EXPECT_TRUE(child.exit.ended);
        EXPECT_FALSE(child.exit.signaled);
        EXPECT_EQ(status, child.exit.code);
        finish(&child);
    }
}

TEST_F(Child, WaitTellsTheSignal)
{
    for (int signo : {SIGKILL, SIGUSR1, SIGPIPE, SIGRTMIN}) {
        coil_child child = start({"pause"});
        later(A_MOMENT, [&] { kill(child.pid, signo); });
        EXPECT_EQ(0, RUN(coil_child_wait(&child)));
        EXPECT_TRUE(child.exit.signaled);
        EXPECT_EQ(signo, child.exit.code);
        finish(&child);
    }
}

TEST_F(Child, WaitForOneThatHasEndedReturnsAtOnceAsOftenAsOneLikes)
{
    coil_child child = start({"exit", "3"});
    await_zombie(child);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    coil_child_fini(&child);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("exited with status 3", text(child));
}

TEST_F(Child, ManyWaitForOne)
{
    coil_child child = start({"pause"});
    std::vector<int64_t> results(100, 1);
    for (int64_t &result : results)
        START(result, coil_child_wait(&child));
    later(A_MOMENT, [&] { kill(child.pid, SIGTERM); });
    run();
    EXPECT_EQ(std::vector<int64_t>(100, 0), results);
    EXPECT_EQ("was killed by SIGTERM", text(child));
    finish(&child);
}

TEST_F(Child, CancelledWaitLeavesTheStatusToTheNext)
{
    coil_child child = start({"pause"});
    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_child_wait(&child))));
    EXPECT_FALSE(child.exit.ended);
    kill(child.pid, SIGTERM);
    await_zombie(child);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGTERM", text(child));
    finish(&child);
}

TEST_F(Child, WaitThatIsCancelledInTheMomentOfTheEndLosesNothing)
{
    for (int round = 0; round < 100; round++) {
        coil_child child = start({"exit", "7"});
        int64_t first = RUN(within(coil_us(300 + 10 * round), coil_child_wait(&child)));
        EXPECT_TRUE(first == 0 || first == -ETIME) << first;
        EXPECT_EQ(first == 0, child.exit.ended);
        EXPECT_EQ(0, RUN(coil_child_wait(&child)));
        EXPECT_EQ(7, child.exit.code);
        finish(&child);
    }
}

TEST_F(Child, WaitThatSucceedsTooLateIsASuccess)
{
    coil_child child = start({"exit", "7"});
    await_zombie(child);
    EXPECT_EQ(0, RUN_TOO_LATE(coil_child_wait(&child)));
    EXPECT_TRUE(child.exit.ended);
    finish(&child);
}

TEST_F(Child, OneOfManyWaitsMayBeCancelled)
{
    coil_child child = start({"pause"});
    int64_t early = 1;
    int64_t patient = 1;
    START(early, within(A_MOMENT, coil_child_wait(&child)));
    START(patient, coil_child_wait(&child));
    later(4 * A_MOMENT, [&] { kill(child.pid, SIGTERM); });
    run();
    EXPECT_EQ(-ETIME, early);
    EXPECT_EQ(0, patient);
    finish(&child);
}

TEST_F(Child, StatusThatSomebodyElseHasTakenIsKnownToTheKernel)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "PIDFD_INFO_EXIT is of Linux 6.15";
    coil_child child = start({"exit", "3"});
    await_zombie(child);
    ASSERT_EQ(child.pid, waitpid(child.pid, nullptr, 0));
    EXPECT_EQ(0, coil_child_signal(&child, SIGTERM));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ(0, RUN(coil_child_stop(&child, LONG)));
    EXPECT_EQ("exited with status 3", text(child));
    EXPECT_FALSE(child.exit.has_usage);
    coil_child_fini(&child);
}

TEST_F(Child, StatusThatIsTakenUnderAWaitIsKnownToTheKernel)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "PIDFD_INFO_EXIT is of Linux 6.15";
    signal(SIGCHLD, SIG_IGN); /* The kernel reaps. */
    coil_child child = start({"pause"});
    later(A_MOMENT, [&] { kill(child.pid, SIGTERM); });
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGTERM", text(child));
    coil_child_fini(&child);
    signal(SIGCHLD, SIG_DFL);
}

TEST_F(Child, UsageIsThatOfTheChild)
{
    coil_child child = start({"burn", "20"});
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_TRUE(child.exit.has_usage);
    const struct rusage &usage = child.exit.usage;
    const int64_t cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
                           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    EXPECT_LE(20000, cpu_us);
    EXPECT_LT(0, usage.ru_maxrss);
    finish(&child);
}

TEST_F(Child, CoreDumpIsTold)
{
    coil_spawn_limit cores = {RLIMIT_CORE, {RLIM_INFINITY, RLIM_INFINITY}};
    plan.limits = &cores;
    plan.limit_count = 1;
    plan.cwd = "/tmp";
    for (int signo : {SIGABRT, SIGKILL}) {
        coil_child child = start({"pause"});
        kill(child.pid, signo);
        EXPECT_EQ(0, RUN(coil_child_wait(&child)));
        EXPECT_TRUE(child.exit.signaled);
        EXPECT_TRUE(signo == SIGABRT || !child.exit.dumped_core); /* The system may want none. */
        (void)unlink("/tmp/core");
        (void)unlink(("/tmp/core." + std::to_string(child.pid)).c_str());
        finish(&child);
    }
}

TEST_F(Child, HundredsAtOnce)
{
    const int count = 200;
    std::vector<coil_child> children;
    std::vector<int64_t> results(count, 1);
    for (int i = 0; i < count; i++)
        children.push_back(start({"exit", std::to_string(i)}));
    for (size_t i = 0; i < count; i++)
        START(results[i], coil_child_wait(&children[i]));
    run();
    for (size_t i = 0; i < count; i++) {
        EXPECT_EQ(0, results[i]);
        EXPECT_EQ(static_cast<int>(i), children[i].exit.code);
        finish(&children[i]);
    }
}

/* --------------------------------------------------------------------------------- signals -- */

TEST_F(Child, GetsTheSignal)
{
    coil_child child = start({"pause"});
    EXPECT_EQ(0, coil_child_signal(&child, 0));
    EXPECT_EQ(-EINVAL, coil_child_signal(&child, 1000));
    EXPECT_EQ(0, coil_child_signal(&child, SIGUSR2));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGUSR2", text(child));
    finish(&child);
}

TEST_F(Child, SignalToOneThatHasEndedIsNoError)
{
    coil_child child = start({"exit", "0"});
    await_zombie(child);
    EXPECT_EQ(0, coil_child_signal(&child, SIGTERM)) << "not reaped yet";
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ(0, coil_child_signal(&child, SIGTERM));
    EXPECT_EQ("exited with status 0", text(child));
    finish(&child);
}

/* -------------------------------------------------------------------------------- stopping -- */

TEST_F(Child, StopIsASigtermFirst)
{
    coil_child child = start_ready({"polite", "9"});
    coil_time begin = coil_kernel_now();
    EXPECT_EQ(0, RUN(coil_child_stop(&child, LONG)));
    EXPECT_EQ("exited with status 9", text(child));
    EXPECT_LT(coil_kernel_now() - begin, LONG / 2);
    finish(&child);
}

TEST_F(Child, StopKillsAfterTheGrace)
{
    coil_child child = start_ready({"stubborn"});
    coil_time begin = coil_kernel_now();
    EXPECT_EQ(0, RUN(coil_child_stop(&child, coil_ms(50))));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    EXPECT_GE(coil_kernel_now() - begin, coil_ms(50));
    EXPECT_LT(coil_kernel_now() - begin, coil_s(5));
    finish(&child);
}

TEST_F(Child, StopWithoutGraceKills)
{
    coil_child child = start_ready({"stubborn"});
    EXPECT_EQ(0, RUN(coil_child_stop(&child, 0)));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    finish(&child);
}

TEST_F(Child, StopForEverWaitsAsLong)
{
    coil_child child = start_ready({"stubborn"});
    later(coil_ms(50), [&] { kill(child.pid, SIGINT); });
    EXPECT_EQ(0, RUN(coil_child_stop(&child, COIL_FOREVER)));
    EXPECT_EQ("was killed by SIGINT", text(child));
    finish(&child);
}

TEST_F(Child, StopWakesOneThatIsStopped)
{
    coil_child child = start_ready({"polite", "9"});
    kill(child.pid, SIGSTOP);
    siginfo_t status = {};
    ASSERT_EQ(0, waitid(P_PID, static_cast<id_t>(child.pid), &status, WSTOPPED));
    EXPECT_EQ(0, RUN(coil_child_stop(&child, LONG)));
    EXPECT_EQ("exited with status 9", text(child));
    finish(&child);
}

TEST_F(Child, StopThatIsCancelledKillsAndReaps)
{
    coil_child child = start_ready({"stubborn"});
    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_child_stop(&child, LONG))));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    finish(&child);
}

TEST_F(Child, StopInATaskThatIsCancelledAlreadyKillsAndReaps)
{
    coil_child child = start_ready({"stubborn"});
    int64_t result = 1;
    coil_task_cancel(START(result, coil_child_stop(&child, LONG)));
    run();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("was killed by SIGKILL", text(child));
    finish(&child);
}

TEST_F(Child, StopOfOneThatHasEndedLeavesItsStatus)
{
    coil_child child = start({"exit", "5"});
    await_zombie(child);
    EXPECT_EQ(0, RUN(coil_child_stop(&child, LONG)));
    EXPECT_EQ("exited with status 5", text(child));
    EXPECT_EQ(0, RUN(coil_child_stop(&child, LONG)));
    EXPECT_EQ("exited with status 5", text(child));
    finish(&child);
}

TEST_F(Child, ManyStopOneWhileOthersWait)
{
    coil_child child = start_ready({"stubborn"});
    std::vector<int64_t> results(10, 1);
    for (size_t i = 0; i < results.size(); i++) {
        if (i % 2 == 0)
            START(results[i], coil_child_stop(&child, coil_ms(10 + 5 * static_cast<int>(i))));
        else
            START(results[i], coil_child_wait(&child));
    }
    run();
    EXPECT_EQ(std::vector<int64_t>(10, 0), results);
    EXPECT_EQ("was killed by SIGKILL", text(child));
    finish(&child);
}

TEST_F(Child, HundredsAreStoppedAtOnce)
{
    const size_t count = 200;
    std::vector<coil_child> children;
    std::vector<int64_t> results(count, 1);
    for (size_t i = 0; i < count; i++)
        children.push_back(start({"pause"}));
    for (size_t i = 0; i < count; i++)
        START(results[i], coil_child_stop(&children[i], LONG));
    run();
    EXPECT_EQ(std::vector<int64_t>(count, 0), results);
    for (coil_child &child : children) {
        EXPECT_EQ("was killed by SIGTERM", text(child));
        finish(&child);
    }
}

/* ------------------------------------------------------------------------------------ text -- */

TEST(Exit, IsFormatted)
{
    const struct {
        bool ended, signaled;
        int code;
        bool dumped_core, lost;
        const char *text;
    } table[] = {
            {false, false, 0, false, false, "is running"},
            {true, false, 0, false, false, "exited with status 0"},
            {true, false, 9, false, false, "exited with status 9"},
            {true, true, SIGKILL, false, false, "was killed by SIGKILL"},
            {true, true, SIGSEGV, true, false, "was killed by SIGSEGV (core dumped)"},
            {true, true, 40, false, false, "was killed by signal 40"},
            {true, true, INT_MIN, true, false, "was killed by signal -2147483648 (core dumped)"},
            {true, false, 0, false, true, "has ended, nobody knows how"},
    };
    for (const auto &row : table) {
        char bytes[COIL_EXIT_TEXT_BYTES];
        coil_exit exit = {};
        exit.ended = row.ended;
        exit.signaled = row.signaled;
        exit.code = row.code;
        exit.dumped_core = row.dumped_core;
        exit.lost = row.lost;
        EXPECT_EQ(bytes, coil_exit_format(&exit, bytes));
        EXPECT_STREQ(row.text, bytes);
    }
}

/* ----------------------------------------------------------------------------------- pipes -- */

/* Everything that comes from `fd`, which is the stream's from here on. */
async(int, read_all, (int) fd, (std::string *) all)
{
    vars(coil_stream *stream; coil_slice some; int rc);

    my->rc = coil_stream_create(fd, COIL_TRANSPORT_FILE, &my->stream);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->stream));
    for (;;) {
        attempt(my->some, coil_read_some(my->stream));
        if (my->some.size_bytes == 0)
            return 0;
        all->append(my->some.bytes, static_cast<size_t>(my->some.size_bytes));
        coil_slice_release(&my->some);
    }
}

async(int, write_and_close, (int) fd, (const std::string *) all)
{
    vars(coil_stream *stream; int rc);

    my->rc = coil_stream_create(fd, COIL_TRANSPORT_FILE, &my->stream);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->stream));
    attempt(coil_write_all(my->stream, coil_bytes(all->data(), all->size())));
    return 0;
}

int taken(int *fd)
{
    return std::exchange(*fd, -1);
}

TEST_F(Child, OutputOfMegabytesArrivesCompletely)
{
    const size_t size_bytes = 16 * 1024 * 1024 + 17;
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"spew", std::to_string(size_bytes)});
    std::string all;
    int64_t ended = 1;
    START(ended, coil_child_wait(&child));
    EXPECT_EQ(0, RUN(read_all(taken(&child.stdout_fd), &all)));
    ASSERT_EQ(size_bytes, all.size());
    size_t wrong = 0;
    for (size_t i = 0; i < all.size(); i++)
        wrong += static_cast<unsigned char>(all[i]) != i % 251;
    EXPECT_EQ(0u, wrong);
    EXPECT_EQ(0, ended);
    EXPECT_EQ("exited with status 0", text(child));
    finish(&child);
}

TEST_F(Child, OutputAndErrorsAreStreamsOfTheirOwn)
{
    plan.out = {COIL_STDIO_PIPE, 0};
    plan.err = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"say", "good", "bad"});
    std::string out;
    std::string err;
    int64_t result = 1;
    START(result, read_all(taken(&child.stderr_fd), &err));
    EXPECT_EQ(0, RUN(read_all(taken(&child.stdout_fd), &out)));
    EXPECT_EQ(0, result);
    EXPECT_EQ("good", out);
    EXPECT_EQ("bad", err);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    finish(&child);
}

TEST_F(Child, OutputOfOneThatWasKilledIsThereToTheLastByte)
{
    coil_child child = start_ready({"stubborn"});
    std::string all;
    kill(child.pid, SIGKILL);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ(0, RUN(read_all(taken(&child.stdout_fd), &all)));
    EXPECT_EQ("", all);
    finish(&child);
}

TEST_F(Child, InputOfMegabytesComesBackThroughCat)
{
    plan.in = {COIL_STDIO_PIPE, 0};
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"cat"});
    std::string in;
    std::string out;
    for (uint64_t i = 0; i < 3 * 1024 * 1024 + 5; i++)
        in.push_back(pattern(i));
    int64_t wrote = 1;
    int64_t ended = 1;
    START(ended, coil_child_wait(&child));
    START(wrote, write_and_close(taken(&child.stdin_fd), &in));
    EXPECT_EQ(0, RUN(read_all(taken(&child.stdout_fd), &out)));
    EXPECT_EQ(0, wrote);
    EXPECT_EQ(0, ended);
    EXPECT_TRUE(in == out);
    EXPECT_EQ("exited with status 0", text(child));
    finish(&child);
}

TEST_F(Child, InputForOneThatHasEndedIsAnErrorAndNoSignal)
{
    plan.in = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"exit", "0"});
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    const std::string in(100000, 'x');
    EXPECT_EQ(-EPIPE, RUN(write_and_close(taken(&child.stdin_fd), &in)));
    finish(&child);
}

TEST_F(Child, OutputEndsWhenTheLastHolderOfThePipeEnds)
{
    Ends leash = make_pipe();
    plan.in = {COIL_STDIO_FD, leash.out};
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"heir"});
    leash.out.reset();
    std::string all;
    int64_t read = 1;
    coil_task *reader = START(read, read_all(taken(&child.stdout_fd), &all));
    (void)reader;
    bool open_meanwhile = false;
    later(coil_ms(50), [&] {
        open_meanwhile = child.exit.ended && read == 1;
        leash.in.reset();
    });
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_TRUE(open_meanwhile) << "its end is not the end of its output";
    EXPECT_EQ(0, read);
    EXPECT_EQ("end\n", all);
    finish(&child);
}

TEST_F(Child, OutputThatAnHeirHoldsOpenCanBeLeft)
{
    Ends leash = make_pipe();
    plan.in = {COIL_STDIO_FD, leash.out};
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"heir"});
    leash.out.reset();
    std::string all;
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(20), read_all(taken(&child.stdout_fd), &all))));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    finish(&child);
}

} // namespace
