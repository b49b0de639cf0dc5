/* SPDX-License-Identifier: MIT */
/* Tests that must fail, each by leaking one thing; leak_check_test runs them one at a time. */
#include <gtest/gtest.h>

#include <csignal>
#include <cstddef>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t live_tasks;
static size_t pending_ops;

extern "C" size_t coil_debug_live_tasks(void);
extern "C" size_t coil_debug_pending_ops(void);

extern "C" size_t coil_debug_live_tasks(void)
{
    return live_tasks;
}

extern "C" size_t coil_debug_pending_ops(void)
{
    return pending_ops;
}

static int open_null()
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

TEST(Leaky, OpensAFile)
{
    ASSERT_LE(0, open_null());
}

TEST(Leaky, ClosesAForeignDescriptor)
{
    ASSERT_EQ(0, close(STDIN_FILENO));
}

TEST(Leaky, ReplacesADescriptor)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(STDIN_FILENO, dup2(fd, STDIN_FILENO));
    ASSERT_EQ(0, close(fd));
}

TEST(Leaky, LeavesAZombie)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    ASSERT_EQ(0, waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT));
}

TEST(Leaky, LeavesATask)
{
    live_tasks++;
}

TEST(Leaky, LeavesAnOperation)
{
    pending_ops++;
}

class LeakyFixture : public testing::Test
{
protected:
    int fd = open_null();
};

TEST_F(LeakyFixture, NeverClosesItsFile) {}

class CleanSuite : public testing::Test
{
protected:
    static void SetUpTestSuite()
    {
        shared_fd = open_null();
    }

    static void TearDownTestSuite()
    {
        close(shared_fd);
    }

    static int shared_fd;
};

int CleanSuite::shared_fd;

TEST_F(CleanSuite, UsesWhatTheSuiteOpened)
{
    const int fd = dup(shared_fd);
    ASSERT_LE(0, fd);
    ASSERT_EQ(0, close(fd));
}

TEST_F(CleanSuite, WaitsForItsChild)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    ASSERT_EQ(pid, waitpid(pid, nullptr, 0));
}
