/* SPDX-License-Identifier: MIT */
/* coil/log_capture.h, with real pipes, files and children. */
#include "log_stage.h"

#include "log_file.h"

#include <map>
#include <set>

#include <malloc.h>

namespace
{

struct Hook {
    coil_log_line_hook hook;
    std::vector<std::string> lines;
};

void hear(coil_log_line_hook *hook, const coil_log_line *line)
{
    reinterpret_cast<Hook *>(hook)->lines.push_back(
            std::string(line->prefix) + std::string(line->bytes, line->size_bytes) +
            (line->continues ? "+" : "") + (line->unended ? "!" : ""));
}

/* --------------------------------------------------------------------------------- storing -- */

TEST_F(LogCapture, StoresWhatChildrenSay)
{
    open_log();
    plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"say", "hello\nworld\n", "oh\n"});
    ASSERT_EQ(0, coil_log_attach(log, child.stdout_fd, "out: "));
    ASSERT_EQ(0, coil_log_attach(log, child.stderr_fd, "err: "));
    child.stdout_fd = child.stderr_fd = -1;
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    drain();
    const std::string text = contents(path);
    EXPECT_NE(std::string::npos, text.find("out: hello\nout: world\n"));
    EXPECT_NE(std::string::npos, text.find("err: oh\n"));
    EXPECT_EQ(strlen("out: hello\nout: world\nerr: oh\n"), text.size());
    finish(&child);
}

TEST_F(LogCapture, PutsATimeBeforeEachLine)
{
    options.timestamps = true;
    open_log();
    Fd in = attach("p ");
    put(in, "one\ntwo\n");
    drain();
    const std::string text = contents(path);
    ASSERT_EQ(2 * (COIL_LOG_TIME_BYTES + strlen("p one\n")), text.size());
    EXPECT_EQ("p one\n", text.substr(COIL_LOG_TIME_BYTES, 6));
    struct tm parts = {};
    EXPECT_NE(nullptr, strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S.", &parts));
    EXPECT_LE(labs(timegm(&parts) - time(nullptr)), 60);
}

TEST_F(LogCapture, StoresWithoutBeingAsked)
{
    open_log();
    Fd in = attach();
    put(in, "one\n");
    while (contents(path) != "one\n")
        RUN(coil_sleep(coil_ms(1)));
    put(in, "two\n");
    while (contents(path) != "one\ntwo\n")
        RUN(coil_sleep(coil_ms(1)));
}

/* 65,500 bytes fill a pipe that could hold 36 more. */
TEST_F(LogCapture, WhoFillsAPipeGetsALargerOne)
{
    open_log();
    Fd in = attach();
    if (fcntl(in, F_SETPIPE_SZ, 1 << 20) < 0)
        GTEST_SKIP() << "no larger pipes: fs.pipe-max-size, fs.pipe-user-pages-soft";
    ASSERT_EQ(1 << 16, fcntl(in, F_SETPIPE_SZ, 1 << 16));
    put(in, std::string(65499, 'x') + "\n");
    drain();
    EXPECT_EQ(1 << 20, fcntl(in, F_GETPIPE_SZ));
}

TEST_F(LogCapture, AppendsToWhatIsThere)
{
    Fd(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
    Fd before(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    put(before, "half a line");
    open_log();
    Fd in = attach();
    put(in, "next\n");
    drain();
    EXPECT_EQ("half a line\nnext\n", contents(path));
}

/* Like an instance of a service, whose predecessor has died in the middle of a line. */
TEST_F(LogCapture, WhoComesWhileOthersAreDrainedIsBehindThem)
{
    const size_t much_bytes = 600 << 10; /* More than one read, or two, of it. */
    open_log();
    Fd before = attach();
    if (fcntl(before, F_SETPIPE_SZ, 1 << 20) < 0)
        GTEST_SKIP() << "no larger pipes: fs.pipe-max-size, fs.pipe-user-pages-soft";
    put(before, std::string(much_bytes - 1, 'x') + "\nlast");
    before.reset();
    int64_t rc = 1;
    ASSERT_NE(nullptr, coil_spawn_result(coil_loop_root(loop), &rc, coil_log_drain(log)));
    EXPECT_EQ(0, UNTIL(coil_yield()));
    Fd next = attach();
    put(next, "first\n");
    drain();
    EXPECT_EQ(0, rc);
    const std::string text = contents(path);
    const std::string end = "last [no newline]\nfirst\n";
    ASSERT_LE(end.size(), text.size());
    EXPECT_EQ(end, text.substr(text.size() - end.size()));
}

TEST_F(LogCapture, WaitsForTheEndOfALine)
{
    open_log();
    Fd one = attach("1 ");
    Fd other = attach("2 ");
    put(one, "be");
    put(other, "whole\n");
    drain();
    EXPECT_EQ("2 whole\n", contents(path));
    put(one, "gin\n");
    drain();
    EXPECT_EQ("2 whole\n1 begin\n", contents(path));
}

TEST_F(LogCapture, MarksALastLineWithoutNewline)
{
    open_log();
    Fd in = attach("p ");
    put(in, "a\nlast words");
    in.reset();
    drain();
    EXPECT_EQ("p a\np last words" COIL_LOG_END_MARK "\n", contents(path));
    EXPECT_EQ(0u, coil_log_attached_count(log));
}

TEST_F(LogCapture, CloseStoresWhatIsThere)
{
    open_log();
    Fd one = attach();
    Fd other = attach();
    put(one, "half");
    put(other, "whole\n");
    close_log();
    const std::string text = contents(path);
    EXPECT_NE(std::string::npos, text.find("half" COIL_LOG_END_MARK "\n")) << text;
    EXPECT_NE(std::string::npos, text.find("whole\n"));
}

TEST_F(LogCapture, GrandchildrenGoOnWriting)
{
    open_log();
    plan.in = plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"heir"});
    ASSERT_EQ(0, coil_log_attach(log, child.stdout_fd, ""));
    child.stdout_fd = -1;
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    drain();
    EXPECT_EQ(1u, coil_log_attached_count(log));
    close(child.stdin_fd);
    child.stdin_fd = -1;
    while (coil_log_attached_count(log) > 0)
        RUN(coil_sleep(coil_ms(1)));
    EXPECT_EQ(std::string::npos, contents(path).find("lost"));
    EXPECT_NE(std::string::npos, contents(path).find("end"));
    finish(&child);
}

TEST_F(LogCapture, SaysLinesOfItsOwn)
{
    open_log();
    Fd in = attach("p ");
    EXPECT_EQ(0, coil_log_say(log, "supervisor: ", "started"));
    put(in, "hello\n");
    drain();
    EXPECT_EQ("supervisor: started\np hello\n", contents(path));
}

TEST_F(LogCapture, NeedsADirectoryThatExists)
{
    const std::string missing = directory + "/no/where";
    options.path = missing.c_str();
    EXPECT_EQ(-ENOENT, RUN(coil_log_open(&options, &log)));
}

/* -------------------------------------------------------------------------------- rotation -- */

TEST_F(LogCapture, RotatesBetweenLinesAndKeepsTheNewest)
{
    options.rotate_bytes = 100;
    options.keep_files = 3;
    open_log();
    Fd in = attach();
    std::string written;
    for (int i = 0; i < 100; i++)
        written += "line " + std::to_string(i) + "\n";
    put(in, written);
    drain();
    EXPECT_EQ(4u, names_in(directory).size());
    const std::string kept = all();
    EXPECT_EQ(written.substr(written.size() - kept.size()), kept);
    for (const std::string &name : names_in(directory))
        EXPECT_GE(100u, contents(directory + "/" + name).size());
    EXPECT_LT(5u, stats().rotations);
}

TEST_F(LogCapture, GoesOnWithTheNumbersOfItsPredecessors)
{
    options.rotate_bytes = 10;
    options.keep_files = 5;
    for (int round = 0; round < 3; round++) {
        open_log();
        Fd in = attach();
        put(in, "0123456\nabcdefg\n");
        drain();
        close_log();
    }
    EXPECT_EQ((std::vector<std::string>{"current", "current.000001", "current.000002",
                      "current.000003", "current.000004", "current.000005"}),
            names_in(directory));
}

TEST_F(LogCapture, KeepsSoManyBytes)
{
    options.rotate_bytes = 100;
    options.keep_files = 1000;
    options.keep_bytes = 450;
    open_log();
    Fd in = attach();
    for (int i = 0; i < 100; i++)
        put(in, std::string(24, 'x') + "\n");
    drain();
    EXPECT_EQ(5u, names_in(directory).size()); /* Four of 100 bytes, and the current one. */
}

TEST_F(LogCapture, RotatesWhenItIsTold)
{
    open_log();
    EXPECT_EQ(0, RUN(coil_log_rotate(log)));
    EXPECT_EQ(1u, names_in(directory).size()); /* Nothing was in it. */
    Fd in = attach();
    put(in, "one\n");
    drain();
    EXPECT_EQ(0, RUN(coil_log_rotate(log)));
    put(in, "two\n");
    drain();
    EXPECT_EQ("one\n", contents(path + ".000001"));
    EXPECT_EQ("two\n", contents(path));
}

TEST_F(LogCapture, RotatesByAge)
{
    options.rotate_age = 1; /* A nanosecond: whatever is there is old. */
    open_log();
    Fd in = attach();
    put(in, "one\n");
    drain();
    RUN(coil_sleep(coil_ms(1)));
    put(in, "two\n");
    drain();
    EXPECT_EQ("one\n", contents(path + ".000001"));
}

TEST_F(LogCapture, AClockThatIsSetBackMakesNoFileImmortal)
{
    const int64_t second_us = 1000000;
    const int64_t year_ago_us = coil_kernel_time_us() - 365 * 86400 * second_us;
    std::string name = path;
    log_file file = {};
    file.path = &name[0];
    file.mode = 0600;
    file.keep_files = 10;
    file.rotate_bytes = 1000000;
    file.rotate_age = coil_s(60);
    ASSERT_EQ(0, RUN(log_file_open(&file)));
    const auto put_at = [&](int64_t time_us) {
        size_t count = 0;
        EXPECT_EQ(0, RUN(log_file_put(&file, "one\n", 4, time_us, &count)));
        EXPECT_EQ(4u, count);
        return file.rotation_count;
    };
    EXPECT_EQ(0u, put_at(year_ago_us));
    EXPECT_EQ(0u, put_at(year_ago_us + 59 * second_us));
    EXPECT_EQ(1u, put_at(year_ago_us + 60 * second_us));
    RUN(log_file_close(&file));
}

TEST_F(LogCapture, LosesNoLineInAThousandRotations)
{
    options.rotate_bytes = 4096;
    options.keep_files = 2000;
    open_log();
    plan.out = {COIL_STDIO_PIPE, 0};
    plan.program = "/bin/sh";
    coil_child child =
            start_shell("i=0; while [ $i -lt 60 ]; do seq -f 'line number %08g of many that "
                        "are written here for a test of the rotation' $((i * 1000)) "
                        "$((i * 1000 + 999)); i=$((i + 1)); done");
    ASSERT_EQ(0, coil_log_attach(log, child.stdout_fd, ""));
    child.stdout_fd = -1;
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    drain();
    EXPECT_LE(1000u, stats().rotations);
    std::string text = all();
    std::string expected;
    for (int i = 0; i < 60000; i++) {
        char line[128];
        snprintf(line, sizeof(line),
                "line number %08d of many that are written here for a test of the rotation\n", i);
        expected += line;
    }
    EXPECT_TRUE(expected == text) << text.size();
    finish(&child);
}

TEST_F(LogCapture, OpensAnewWhatWasMovedOrRemoved)
{
    open_log();
    Fd in = attach();
    put(in, "one\n");
    drain();
    const std::string moved = directory + "/moved";
    ASSERT_EQ(0, rename(path.c_str(), moved.c_str()));
    RUN(coil_sleep(coil_ms(1001)));
    put(in, "two\n");
    drain();
    EXPECT_EQ("one\n", contents(moved));
    EXPECT_EQ("two\n", contents(path));
    EXPECT_EQ(1u, stats().reopenings);
}

/* What it was moved to gets its last lines, or the log says that it may not have. */
TEST_F(LogCapture, SyncsAlsoWhatSomebodyHasMoved)
{
    options.sync = true;
    ASSERT_EQ(0, symlink("/dev/null", path.c_str())) << "which cannot be synced";
    open_log();
    Fd in = attach();
    put(in, "one\n");
    drain();
    ASSERT_EQ(0, unlink(path.c_str()));
    RUN(coil_sleep(coil_ms(1001)));
    put(in, "two\n");
    drain();
    EXPECT_EQ("two\n", contents(path));
    EXPECT_EQ(1u, stats().reopenings);
    coil_log *closing = log;
    log = nullptr;
    EXPECT_EQ(-EINVAL, UNTIL(coil_log_close(closing)));
}

/* ------------------------------------------------------------------- hooks, tail, and limits -- */

TEST_F(LogCapture, GivesLinesToAHookInsteadOfAFile)
{
    Hook hook = {{hear}, {}};
    options.path = nullptr;
    options.on_line = &hook.hook;
    options.line_limit_bytes = 16;
    open_log();
    Fd in = attach("p ");
    put(in, "one\n0123456789abcdefgh\nlast");
    in.reset();
    drain();
    EXPECT_EQ((std::vector<std::string>{"p one", "p 0123456789abcdef+", "p gh", "p last!"}),
            hook.lines);
    EXPECT_TRUE(names_in(directory).empty());
}

TEST_F(LogCapture, GivesItsOwnLinesToTheHookAsWell)
{
    Hook hook = {{hear}, {}};
    options.path = nullptr;
    options.on_line = &hook.hook;
    open_log();
    EXPECT_EQ(0, coil_log_say(log, "supervisor: ", "started"));
    EXPECT_EQ((std::vector<std::string>{"supervisor: started"}), hook.lines);
}

TEST_F(LogCapture, RemembersTheLastLines)
{
    options.tail_bytes = 20;
    open_log();
    Fd in = attach("p ");
    put(in, "one\n");
    drain();
    char bytes[64];
    EXPECT_EQ("p one\n", std::string(bytes, coil_log_tail(log, bytes, sizeof(bytes))));
    put(in, "two\nthree\nfour\nfive\nsix\n");
    drain();
    EXPECT_EQ("p five\np six\n", std::string(bytes, coil_log_tail(log, bytes, sizeof(bytes))));
    EXPECT_EQ("p six\n", std::string(bytes, coil_log_tail(log, bytes, 9)));
    EXPECT_EQ("", std::string(bytes, coil_log_tail(log, bytes, 3)));
    EXPECT_EQ(0, coil_log_say(log, "q ", "seven"));
    EXPECT_EQ("p six\nq seven\n", std::string(bytes, coil_log_tail(log, bytes, 20)));
}

TEST_F(LogCapture, DropsAndCountsWhatIsTooMany)
{
    options.lines_per_second = 1;
    open_log();
    Fd in = attach();
    std::string many;
    for (int i = 0; i < 1000; i++)
        many += std::to_string(i) + "\n";
    put(in, many);
    drain();
    EXPECT_EQ("0\n1\n", contents(path));
    EXPECT_EQ(998u, stats().dropped_lines);
    close_log();
    EXPECT_EQ("0\n1\n[998 lines dropped: too many]\n", contents(path));
}

/* ------------------------------------------------------------------------------ full disks -- */

TEST_F(LogCapture, DropsAndCountsWhatADiskRefuses)
{
    options.path = "/dev/full";
    options.when_full = COIL_LOG_DROP;
    open_log();
    Fd in = attach();
    put(in, "one\ntwo\n");
    drain();
    EXPECT_EQ(2u, stats().dropped_lines);
    EXPECT_EQ(-ENOSPC, stats().error);
    coil_log *closing = log;
    log = nullptr;
    in.reset();
    EXPECT_EQ(-ENOSPC, UNTIL(coil_log_close(closing))); /* Nor that two are lost. */
}

TEST_F(LogCapture, HoldsBackThoseWhoWriteUntilItCanStore)
{
    open_log();
    Fd in = attach();
    const std::string away = directory + "-away";
    ASSERT_EQ(0, rename(directory.c_str(), away.c_str()));
    RUN(coil_sleep(coil_ms(1001))); /* The log looks for its file once a second. */
    std::string written;
    for (int i = 0; i < 500; i++)
        written += "line " + std::to_string(i) + "\n";
    put(in, written);
    EXPECT_EQ(-ETIME, UNTIL(within(coil_ms(20), coil_log_drain(log))));
    EXPECT_EQ(-ENOENT, stats().error);
    ASSERT_EQ(0, rename(away.c_str(), directory.c_str()));
    drain();
    EXPECT_EQ(0, stats().error);
    EXPECT_EQ(written, contents(path));
    EXPECT_EQ(0u, stats().dropped_lines);
}

TEST_F(LogCapture, AFullDiskStallsItsOwnLogAlone)
{
    open_log();
    coil_log *other = log;
    options.path = "/dev/full";
    open_log();
    coil_log *full = log;
    Fd to_full = attach();
    log = other;
    Fd in = attach();
    put(to_full, "lost\n");
    put(in, "stored\n");
    drain();
    EXPECT_EQ("stored\n", contents(path));
    EXPECT_EQ(-ETIME, UNTIL(within(coil_ms(20), coil_log_drain(full))));
    EXPECT_EQ(-ENOSPC, coil_log_statistics(full).error);
    EXPECT_EQ(-ETIME, UNTIL(within(coil_ms(20), coil_log_close(full))));
}

/* ---------------------------------------------------------------------------------- memory -- */

size_t heap_bytes()
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

TEST_F(LogCapture, ASilentPipeTakesHalfAKibibyte)
{
#if COIL_TESTS_ASAN
    GTEST_SKIP() << "the sanitizer's allocator has no statistics";
#endif
    const size_t count = 500;
    open_log();
    std::vector<Fd> in;
    in.push_back(attach("out: "));
    for (int i = 0; i < 2; i++) { /* (A task takes the memory that the first of its kind needed.) */
        put(in[0], "something\n");
        drain();
    }
    RUN(coil_sleep(coil_ms(20))); /* What logs share is there now. */
    const size_t before = heap_bytes();
    for (size_t i = 0; i < count; i++)
        in.push_back(attach("out: "));
    for (const Fd &each : in)
        put(each, "something\n");
    drain();
    while (coil_log_statistics(log).lines < count + 3)
        RUN(coil_sleep(coil_ms(1)));
    RUN(coil_sleep(coil_ms(5)));
    const size_t each_bytes = (heap_bytes() - before) / count;
    RecordProperty("bytes_per_pipe", static_cast<int>(each_bytes));
    EXPECT_GT(512u, each_bytes);
}

TEST_F(LogCapture, AnIdleLogSleeps)
{
    open_log();
    Fd in = attach();
    put(in, "one\n");
    drain();
    RUN(coil_sleep(coil_ms(20)));
    const uint64_t before = coil_loop_statistics(loop).turns;
    RUN(coil_sleep(coil_ms(100)));
    EXPECT_GE(6u, coil_loop_statistics(loop).turns - before);
}

} // namespace
