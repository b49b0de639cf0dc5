/* SPDX-License-Identifier: MIT */
/* Logs of writers that never stop, on disks that are full, and cancelled: no line lost or torn. */
#include "log_stage.h"

#include <coil/log_journal.h>

#include <sys/fsuid.h>
#include <sys/mount.h>

namespace
{

/* One line of a thousand and more. */
std::string numbered(int number)
{
    char line[64];
    snprintf(line, sizeof(line), "line %08d of many that are written for a test\n", number);
    return line;
}

class LogFaults : public LogCapture
{
protected:
    /* It writes lines "y" as fast as it can. */
    coil_child start_chatterbox()
    {
        plan.out = {COIL_STDIO_PIPE, 0};
        coil_child child = start_shell("exec yes");
        fcntl(child.stdout_fd, F_SETPIPE_SZ, 1 << 20);
        EXPECT_EQ(0, coil_log_attach(log, child.stdout_fd, ""));
        child.stdout_fd = -1;
        return child;
    }

    /* A line of ours, which waits for the directory of the log to come back. */
    void say_without_a_directory()
    {
        ASSERT_EQ(0, rename(directory.c_str(), away.c_str()));
        RUN(coil_sleep(coil_ms(1001))); /* The log looks for its file once a second. */
        EXPECT_EQ(0, coil_log_say(log, "", "a line of ours"));
        while (stats().error == 0)
            EXPECT_EQ(0, UNTIL(coil_sleep(coil_ms(1))));
    }

    int try_to_close(coil_duration patience)
    {
        coil_log *closing = log;
        log = nullptr;
        return static_cast<int>(UNTIL(within(patience, coil_log_close(closing))));
    }

    static bool is_all_of(const std::string &text, const std::string &line)
    {
        if (text.size() % line.size() != 0)
            return false;
        for (size_t at = 0; at < text.size(); at += line.size()) {
            if (text.compare(at, line.size(), line) != 0)
                return false;
        }
        return true;
    }

    const std::string away = directory + "-away";
};

/* ----------------------------------------------------------------------------- busy writers -- */

TEST_F(LogFaults, ADrainEndsWhileSomebodyWritesOn)
{
    options.rotate_bytes = 4 << 20;
    options.keep_files = 2;
    open_log();
    coil_child child = start_chatterbox();
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(0, UNTIL(within(coil_s(2), coil_log_drain(log)))) << i;
        EXPECT_EQ(0, UNTIL(coil_sleep(coil_ms(5))));
    }
    finish(&child);
    drain();
    EXPECT_EQ(stats().read_bytes, stats().stored_bytes);
    EXPECT_EQ(stats().read_bytes, 2 * stats().lines);
    EXPECT_TRUE(is_all_of(all(), "y\n"));
}

TEST_F(LogFaults, DrainsOfSeveralTasksEndEach)
{
    options.rotate_bytes = 4 << 20;
    options.keep_files = 2;
    open_log();
    coil_child child = start_chatterbox();
    int64_t first = 1;
    int64_t second = 1;
    coil_group *root = coil_loop_root(loop);
    ASSERT_NE(nullptr, coil_spawn_result(root, &first, within(coil_s(2), coil_log_drain(log))));
    ASSERT_NE(nullptr, coil_spawn_result(root, &second, within(coil_s(2), coil_log_drain(log))));
    EXPECT_EQ(0, UNTIL(within(coil_s(2), coil_log_drain(log))));
    EXPECT_EQ(0, first);
    EXPECT_EQ(0, second);
    finish(&child);
}

/* What there was is still being stored, as there is no file for a while. */
TEST_F(LogFaults, DrainsOfSeveralTasksEndEachWithoutAPipe)
{
    open_log();
    say_without_a_directory();
    int64_t first = 1;
    int64_t second = 1;
    coil_group *root = coil_loop_root(loop);
    ASSERT_NE(nullptr, coil_spawn_result(root, &first, coil_log_drain(log)));
    ASSERT_NE(nullptr, coil_spawn_result(root, &second, within(coil_s(5), coil_log_drain(log))));
    EXPECT_EQ(0, UNTIL(coil_sleep(coil_ms(1))));
    ASSERT_EQ(0, rename(away.c_str(), directory.c_str()));
    EXPECT_EQ(0, UNTIL(within(coil_s(5), coil_log_drain(log))));
    EXPECT_EQ(0, first);
    EXPECT_EQ(0, second);
    EXPECT_EQ("a line of ours\n", contents(path));
}

/* A pipe that comes behind two drains, of which one waits for the other. */
class LogBehindDrains : public LogFaults
{
protected:
    LogBehindDrains()
    {
        open_log();
        before = attach();
        put(before, "before\n");
        for (int64_t &rc : drained)
            coil_spawn_result(coil_loop_root(loop), &rc, coil_log_drain(log));
        EXPECT_EQ(0, UNTIL(coil_yield())); /* They have begun. */
        behind = attach();
        put(behind, "behind\n");
    }

    ~LogBehindDrains() override
    {
        EXPECT_EQ(0, drained[0]);
        EXPECT_EQ(0, drained[1]);
    }

    Fd before;
    Fd behind;
    int64_t drained[2] = {1, 1};
};

TEST_F(LogBehindDrains, IsDrained)
{
    drain();
    EXPECT_EQ("before\nbehind\n", contents(path));
}

TEST_F(LogBehindDrains, LosesNothingByAClose)
{
    close_log();
    EXPECT_EQ("before\nbehind\n", contents(path));
}

/* There is no file for a while, and the close does not wait until there is. */
TEST_F(LogFaults, WhoWaitsForALogIsToldThatItIsClosed)
{
    open_log();
    say_without_a_directory();
    int64_t drained = 1;
    int64_t rotated = 1;
    coil_group *root = coil_loop_root(loop);
    ASSERT_NE(nullptr, coil_spawn_result(root, &drained, coil_log_drain(log)));
    ASSERT_NE(nullptr, coil_spawn_result(root, &rotated, coil_log_rotate(log)));
    EXPECT_EQ(0, UNTIL(coil_yield()));
    EXPECT_EQ(-ETIME, try_to_close(coil_ms(10)));
    EXPECT_EQ(0, UNTIL(coil_yield()));
    EXPECT_EQ(-ESHUTDOWN, drained);
    EXPECT_EQ(-ESHUTDOWN, rotated);
    EXPECT_EQ(0, rename(away.c_str(), directory.c_str()));
}

TEST_F(LogFaults, ACloseEndsWhileSomebodyWritesOn)
{
    options.rotate_bytes = 4 << 20;
    options.keep_files = 2;
    open_log();
    coil_child child = start_chatterbox();
    EXPECT_EQ(0, UNTIL(coil_sleep(coil_ms(20))));
    EXPECT_EQ(0, try_to_close(coil_s(5)));
    finish(&child);
    std::string text = all();
    const std::string last = "y" COIL_LOG_END_MARK "\n"; /* It was in the middle of one. */
    if (text.size() > last.size() &&
            text.compare(text.size() - last.size(), last.size(), last) == 0)
        text.resize(text.size() - last.size());
    EXPECT_TRUE(is_all_of(text, "y\n"));
}

/* ------------------------------------------------------------------------------ the journal -- */

/* One entry for each pipe that it knows, and as many pipes come and go as services begin anew. */
TEST_F(LogFaults, AJournalForgetsPipesThatHaveEnded)
{
    ASSERT_EQ(0, coil_log_journal_create(&options.journal));
    open_log();
    for (int i = 0; i <= COIL_LOG_JOURNAL_PIPES; i++) {
        Ends ends = make_pipe();
        ASSERT_EQ(0, coil_log_attach(log, ends.out.release(), "")) << i;
        if (i % 2 == 0)
            put(ends.in, "whole\n");
        ends.in.reset();
        if (i % 64 == 0)
            drain();
    }
    close_log();
    coil_log_journal_close(options.journal);
}

/* What was written before the drain, by several and in large and small pieces, is stored by it. */
TEST_F(LogFaults, ADrainStoresAllThatWasThere)
{
    open_log();
    std::vector<Fd> in;
    for (int i = 0; i < 10; i++)
        in.push_back(attach());
    size_t line_count = 0;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < in.size(); i++) {
            const size_t count = round % 2 == 0 ? 1 : 1 + i * 100;
            std::string lines;
            for (size_t line = 0; line < count; line++)
                lines += numbered(static_cast<int>(line_count++));
            put(in[i], lines);
        }
        EXPECT_EQ(0, coil_log_say(log, "", "a line of ours"));
        drain();
        EXPECT_EQ(stats().stored_bytes, all().size());
        const std::string text = all();
        EXPECT_EQ(line_count + static_cast<size_t>(round) + 1,
                static_cast<size_t>(std::count(text.begin(), text.end(), '\n')));
    }
}

TEST_F(LogFaults, ACloseStoresLinesOfOurOwn)
{
    open_log();
    EXPECT_EQ(0, coil_log_say(log, "", "stopped"));
    close_log();
    EXPECT_EQ("stopped\n", contents(path));
}

TEST_F(LogFaults, ACloseSaysWhyALineIsLost)
{
    options.path = "/dev/full";
    options.when_full = COIL_LOG_DROP;
    open_log();
    Fd in = attach();
    put(in, "the end of it never comes");
    drain();
    EXPECT_EQ(-ENOSPC, try_to_close(coil_s(5)));
}

/* -------------------------------------------------------------------------------- rotation -- */

TEST_F(LogFaults, ARotationThatFailsLosesNothing)
{
    options.rotate_bytes = 1000;
    options.keep_files = 100;
    open_log();
    Fd in = attach();
    std::string written;
    const auto write_lines = [&](int from, int to) {
        for (int i = from; i < to; i++) {
            put(in, numbered(i));
            written += numbered(i);
        }
        drain();
    };
    write_lines(0, 10);
    ASSERT_EQ(0, rename(directory.c_str(), away.c_str()));
    EXPECT_EQ(-ENOENT, UNTIL(coil_log_rotate(log)));
    write_lines(10, 100);
    ASSERT_EQ(0, rename(away.c_str(), directory.c_str()));
    EXPECT_EQ(0, UNTIL(coil_log_rotate(log)));
    write_lines(100, 200);
    EXPECT_EQ(written, all());
    EXPECT_EQ(0u, stats().dropped_lines);
}

TEST_F(LogFaults, ARotationThatIsForbiddenLosesNothing)
{
    options.rotate_bytes = 1000;
    options.keep_files = 100;
    open_log();
    Fd in = attach();
    std::string written;
    ASSERT_EQ(0, chmod(directory.c_str(), 0555));
    setfsuid(65534);
    for (int i = 0; i < 100; i++) {
        put(in, numbered(i));
        written += numbered(i);
    }
    drain();
    EXPECT_EQ(-EACCES, UNTIL(coil_log_rotate(log)));
    setfsuid(geteuid());
    ASSERT_EQ(0, chmod(directory.c_str(), 0700));
    EXPECT_EQ(written, contents(path));
    EXPECT_EQ(0, UNTIL(coil_log_rotate(log)));
    EXPECT_EQ(written, contents(path + ".000001"));
}

/* More than are tried at a time. Files of others stay as they are. */
TEST_F(LogFaults, NumbersThatSomebodyHasTakenAreLeftToHim)
{
    open_log();
    Fd in = attach();
    for (int i = 1; i <= 150; i++) {
        char name[32];
        snprintf(name, sizeof(name), ".%06d", i);
        put(Fd(open((path + name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), "his\n");
    }
    put(in, "one\n");
    drain();
    EXPECT_EQ(-EEXIST, UNTIL(coil_log_rotate(log)));
    EXPECT_EQ("one\n", contents(path));
    EXPECT_EQ(0, UNTIL(coil_log_rotate(log)));
    EXPECT_EQ("one\n", contents(path + ".000151"));
    for (int i = 1; i <= 150; i++) {
        char name[32];
        snprintf(name, sizeof(name), ".%06d", i);
        EXPECT_EQ("his\n", contents(path + name));
    }
}

/* ------------------------------------------------------------------------------ full disks -- */

/* A disk of its own, with room for so many files and bytes. */
class SmallDisk : public LogFaults
{
protected:
    void TearDown() override
    {
        close_log();
        if (is_mounted)
            umount2(directory.c_str(), MNT_DETACH);
        LogFaults::TearDown();
    }

    /* False: not as this user. */
    bool make(const char *size)
    {
        is_mounted = mount("coil-small-disk", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                             size) == 0;
        return is_mounted;
    }

    bool is_mounted = false;
};

TEST_F(SmallDisk, HoldsUpWhoWritesUntilThereIsRoom)
{
    if (!make("size=256k"))
        GTEST_SKIP() << "no file system may be mounted";
    options.rotate_bytes = 16 * 1024;
    options.keep_files = 1000;
    open_log();
    Fd in = attach();
    std::string written;
    std::string stored;
    int number = 0;
    for (int round = 0; round < 5; round++) {
        std::string lines;
        while (lines.size() < 60 * 1024)
            lines += numbered(number++);
        put(in, lines);
        written += lines;
        UNTIL(within(coil_ms(50), coil_log_drain(log)));
    }
    EXPECT_EQ(-ENOSPC, stats().error);
    while (UNTIL(within(coil_ms(1500), coil_log_drain(log))) < 0) {
        const std::vector<std::string> there = names_in(directory);
        ASSERT_LT(1u, there.size());
        for (size_t i = 1; i < there.size(); i++) {
            const std::string full = directory + "/" + there[i];
            stored += contents(full);
            EXPECT_EQ(0, unlink(full.c_str()));
        }
    }
    EXPECT_EQ(written, stored + all());
    EXPECT_EQ(0u, stats().dropped_lines);
}

TEST_F(SmallDisk, WithoutRoomForAFileTheOldOneIsUsedOn)
{
    if (!make("size=4m,nr_inodes=4"))
        GTEST_SKIP() << "no file system may be mounted";
    options.rotate_bytes = 4096;
    options.keep_files = 1000;
    open_log();
    Fd in = attach();
    std::string written;
    for (int i = 0; i < 2000; i++) {
        put(in, numbered(i));
        written += numbered(i);
        if (i % 500 == 499)
            drain();
    }
    EXPECT_EQ(written, all());
    EXPECT_EQ(3u, names_in(directory).size());
    EXPECT_EQ(-ENOSPC, UNTIL(coil_log_rotate(log)));
    ASSERT_EQ(0, unlink((path + ".000001").c_str()));
    EXPECT_EQ(0, UNTIL(coil_log_rotate(log)));
}

/* ------------------------------------------------------------------------------ cancelling -- */

/* Lines one after the other; a notice stands for as many as it says. How many there are. */
int check_lines(const std::string &text)
{
    int number = 0;
    size_t at = 0;
    while (at < text.size()) {
        const size_t end = text.find('\n', at);
        EXPECT_NE(std::string::npos, end) << "torn: " << text.substr(at);
        if (end == std::string::npos)
            return number;
        const std::string line = text.substr(at, end + 1 - at);
        int dropped = 0;
        if (sscanf(line.c_str(), "[%d line", &dropped) == 1) {
            number += dropped;
        } else if (line.find(COIL_LOG_END_MARK) == std::string::npos) {
            EXPECT_EQ(numbered(number++), line);
        }
        at = end + 1;
    }
    return number;
}

TEST_F(LogFaults, ACloseThatIsCancelledTearsNoLine)
{
    Random random = {20260101};
    options.rotate_bytes = 4096;
    options.keep_files = 1000;
    std::string lines;
    for (int i = 0; i < 1200; i++)
        lines += numbered(i);
    for (int round = 0; round < 100; round++) {
        open_log();
        Fd in = attach();
        put(in, lines);
        if (random.below(2) == 0)
            UNTIL(coil_sleep(coil_us(static_cast<coil_duration>(random.below(3000)))));
        const int rc = try_to_close(coil_us(static_cast<coil_duration>(random.below(4000))));
        EXPECT_TRUE(rc == 0 || rc == -ETIME || rc == -ECANCELED) << rc;
        const int count = check_lines(all());
        if (rc == 0) {
            EXPECT_EQ(1200, count);
        }
        for (const std::string &name : names_in(directory))
            unlink((directory + "/" + name).c_str());
        if (HasFailure())
            FAIL() << "in round " << round;
    }
}

} // namespace
