/* SPDX-License-Identifier: MIT */
/* coil/child.h: adopted processes, and the end of a child with all that it has started. */
#include "cast.h"

#include <poll.h>

#include <coil/sugar.h>

static bool is_old_kernel; /* Before Linux 6.9. */

extern "C" int __real_coil_kernel_pidfd_signal_group(int pidfd, int signo);
extern "C" int __wrap_coil_kernel_pidfd_signal_group(int pidfd, int signo);

int __wrap_coil_kernel_pidfd_signal_group(int pidfd, int signo)
{
    return is_old_kernel ? -EINVAL : __real_coil_kernel_pidfd_signal_group(pidfd, signo);
}

namespace
{

const coil_duration LONG = coil_s(30);
const coil_duration SHORT = coil_ms(20);

/* ------------------------------------------------------------------------------- adoption -- */

class Adoption : public Children
{
protected:
    /* A process that is not ours: the child of a child. */
    pid_t start_stranger()
    {
        std::vector<pid_t> relatives;
        parent = start_family({"child"}, &relatives);
        return relatives[0];
    }

    ~Adoption() override
    {
        if (parent.pid > 0)
            finish(&parent);
    }

    coil_child parent = {};
};

TEST_F(Adoption, ProcessIsFoundByItsNumberAndIdentity)
{
    coil_child child = start({"pause"});
    uint64_t identity = 0;
    ASSERT_EQ(0, coil_child_identity(&child, &identity));
    EXPECT_NE(0u, identity);

    coil_child again = {};
    ASSERT_EQ(0, coil_child_adopt(child.pid, identity, &again));
    EXPECT_EQ(child.pid, again.pid);
    uint64_t same = 0;
    EXPECT_EQ(0, coil_child_identity(&again, &same));
    EXPECT_EQ(identity, same);
    EXPECT_EQ(-ESRCH, coil_child_adopt(child.pid, identity + 1, &again)) << "another's by now";
    coil_child_fini(&again);
    finish(&child);
}

TEST_F(Adoption, OneThatIsGoneIsNotFound)
{
    coil_child child = start({"exit", "0"});
    uint64_t identity = 0;
    ASSERT_EQ(0, coil_child_identity(&child, &identity));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    coil_child again = {};
    EXPECT_EQ(-ESRCH, coil_child_adopt(child.pid, identity, &again));
    EXPECT_EQ(-ESRCH, coil_child_adopt(child.pid, 0, &again));
    EXPECT_EQ(-EINVAL, coil_child_adopt(-1, 0, &again));
    finish(&child);
}

TEST_F(Adoption, StatusOfAStrangerIsToldWhenItsParentHasReapedIt)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "PIDFD_INFO_EXIT is of Linux 6.15";
    plan.in = {COIL_STDIO_PIPE, 0};
    plan.out = {COIL_STDIO_PIPE, 0};
    const char *const argv[] = {
            "sh", "-c", "exec 3<&0; sh -c 'echo $$; read line; exit 7' <&3 3<&- & wait", nullptr};
    plan.program = "sh";
    plan.argv = argv;
    coil_spawn_error error = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &parent, &error)) << error.text;
    const pid_t pid = static_cast<pid_t>(std::stoi(take(parent.stdout_fd)));

    coil_child stranger = {};
    ASSERT_EQ(0, coil_child_adopt(pid, 0, &stranger));
    int64_t waited = 1;
    START(waited, coil_child_wait(&stranger));
    (void)coil_kernel_close(std::exchange(parent.stdin_fd, -1));
    run();
    EXPECT_EQ(0, waited);
    EXPECT_EQ("exited with status 7", text(stranger));
    EXPECT_FALSE(stranger.exit.has_usage);
    coil_child_fini(&stranger);
}

TEST_F(Adoption, StrangerIsStoppedAndItsSignalTold)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "PIDFD_INFO_EXIT is of Linux 6.15";
    plan.program = "sh";
    const char *const argv[] = {"sh", "-c", "sleep 1000 & echo $!; wait", nullptr};
    plan.argv = argv;
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_spawn_error error = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &parent, &error)) << error.text;
    const pid_t pid = static_cast<pid_t>(std::stoi(take(parent.stdout_fd)));
    coil_child stranger = {};
    ASSERT_EQ(0, coil_child_adopt(pid, 0, &stranger));
    EXPECT_EQ(0, RUN(coil_child_stop(&stranger, LONG)));
    EXPECT_EQ("was killed by SIGTERM", text(stranger));
    coil_child_fini(&stranger);
}

TEST_F(Adoption, ParentThatDoesNotReapLosesTheStatus)
{
    const pid_t pid = start_stranger(); /* Its parent sleeps, and does not reap. */
    coil_child stranger = {};
    ASSERT_EQ(0, coil_child_adopt(pid, 0, &stranger));
    kill(pid, SIGKILL);
    EXPECT_EQ(-ECHILD, RUN(coil_child_wait(&stranger)));
    EXPECT_TRUE(stranger.exit.ended);
    EXPECT_EQ("has ended, nobody knows how", text(stranger));
    EXPECT_EQ(-ECHILD, RUN(coil_child_wait(&stranger)));
    coil_child_fini(&stranger);
}

TEST_F(Adoption, OneOfOursIsReapedByUs)
{
    coil_child child = start({"exit", "5"});
    coil_child again = {};
    ASSERT_EQ(0, coil_child_adopt(child.pid, 0, &again));
    EXPECT_EQ(0, RUN(coil_child_wait(&again)));
    EXPECT_EQ("exited with status 5", text(again));
    EXPECT_TRUE(again.exit.has_usage);
    if (kernel_remembers()) {
        EXPECT_EQ(0, RUN(coil_child_wait(&child)));
        EXPECT_EQ("exited with status 5", text(child)) << "of both";
    }
    child.exit.ended = true;
    coil_child_fini(&again);
    finish(&child);
}

/* -------------------------------------------------------------------------- the whole tree -- */

class Tree : public Children
{
protected:
    /* All of it has to be gone, and `child` told. */
    void expect_the_end(coil_child *child, const std::vector<pid_t> &relatives)
    {
        EXPECT_TRUE(child->exit.ended);
        for (pid_t pid : relatives) {
            EXPECT_TRUE(is_gone(pid)) << pid;
            if (!is_gone(pid))
                kill(pid, SIGKILL);
        }
        finish(child);
    }
};

TEST_F(Tree, ChildWithoutDescendantsIsStopped)
{
    for (coil_spawn_group group :
            {COIL_SPAWN_GROUP_INHERIT, COIL_SPAWN_GROUP_NEW, COIL_SPAWN_SESSION_NEW}) {
        plan.group = group;
        coil_child child = start_ready({"polite", "9"});
        EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, LONG)));
        EXPECT_EQ("exited with status 9", text(child));
        finish(&child);
    }
}

TEST_F(Tree, DescendantsAreStoppedWhateverTheGroup)
{
    for (coil_spawn_group group :
            {COIL_SPAWN_GROUP_INHERIT, COIL_SPAWN_GROUP_NEW, COIL_SPAWN_SESSION_NEW}) {
        plan.group = group;
        std::vector<pid_t> relatives;
        coil_child child = start_family({"child", "child", "leader", "mother"}, &relatives);
        EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, coil_ms(200))));
        EXPECT_EQ("was killed by SIGTERM", text(child));
        expect_the_end(&child, relatives);
    }
}

/* In /proc it is a zombie; its pidfd knows better. */
TEST_F(Tree, ProcessRunsOnWhenItsMainThreadHasEnded)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-headless"}, &relatives);
    coil_kernel_process process = {};
    while (process.state != 'Z')
        ASSERT_EQ(0, coil_kernel_process_look(relatives[0], &process));
    EXPECT_FALSE(process.has_ended);
    pollfd end = {coil_kernel_pidfd_open(relatives[0]), POLLIN, 0};
    EXPECT_EQ(0, poll(&end, 1, 0));
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_EQ(1, poll(&end, 1, 0)) << "SIGKILL";
    (void)coil_kernel_close(end.fd);
    expect_the_end(&child, relatives);
}

TEST_F(Tree, OrphansInTheGroupAreStopped)
{
    for (coil_spawn_group group : {COIL_SPAWN_GROUP_NEW, COIL_SPAWN_SESSION_NEW}) {
        plan.group = group;
        std::vector<pid_t> relatives;
        coil_child child = start_family({"orphan", "stubborn-orphan", "child"}, &relatives);
        EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, coil_ms(300))));
        expect_the_end(&child, relatives);
    }
}

TEST_F(Tree, StubbornOnesAreKilledAfterTheGrace)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child =
            start_family({"stubborn-child", "stubborn-leader", "stubborn-orphan"}, &relatives);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_EQ("was killed by SIGTERM", text(child)) << "the child itself is polite";
    expect_the_end(&child, relatives);
}

TEST_F(Tree, LeaderThatEndsFirstDoesNotHideItsGroup)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-child", "child"}, &relatives);
    kill(child.pid, SIGKILL);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_FALSE(is_gone(relatives[0]));
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    expect_the_end(&child, relatives);
}

class TreeOfOldKernel : public Tree
{
protected:
    TreeOfOldKernel()
    {
        is_old_kernel = true;
    }

    ~TreeOfOldKernel() override
    {
        is_old_kernel = false;
    }
};

TEST_F(TreeOfOldKernel, OrphansInTheGroupAreStopped)
{
    for (coil_spawn_group group : {COIL_SPAWN_GROUP_NEW, COIL_SPAWN_SESSION_NEW}) {
        plan.group = group;
        std::vector<pid_t> relatives;
        coil_child child = start_family({"orphan", "stubborn-orphan", "child"}, &relatives);
        EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, coil_ms(300))));
        EXPECT_EQ("was killed by SIGTERM", text(child));
        expect_the_end(&child, relatives);
    }
}

TEST_F(TreeOfOldKernel, LeaderThatEndsFirstHoldsItsGroupUntilItIsReaped)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-orphan", "stubborn-child"}, &relatives);
    kill(child.pid, SIGKILL);
    await_zombie(child);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    expect_the_end(&child, relatives);
}

TEST_F(TreeOfOldKernel, NumberOfAReapedLeaderIsNoGroupOfOurs)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"child"}, &relatives);
    kill(child.pid, SIGKILL);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_FALSE(is_gone(relatives[0])) << "who would know whose it is";
    kill(relatives[0], SIGKILL);
    finish(&child);
}

TEST_F(Tree, StoppedOnesAreWokenAndEnd)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"child", "leader"}, &relatives);
    kill(-child.pid, SIGSTOP);
    kill(relatives[1], SIGSTOP);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, LONG)));
    EXPECT_EQ("was killed by SIGTERM", text(child));
    expect_the_end(&child, relatives);
}

TEST_F(Tree, StopThatIsCancelledKillsAll)
{
    plan.group = COIL_SPAWN_SESSION_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-child", "stubborn-leader"}, &relatives);
    EXPECT_EQ(-ETIME, RUN(within(SHORT, coil_child_stop_tree(&child, LONG))));
    expect_the_end(&child, relatives);
}

TEST_F(Tree, AdoptedLeaderIsStoppedWithItsGroup)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-orphan", "child"}, &relatives);
    coil_child adopted = {};
    ASSERT_EQ(0, coil_child_adopt(child.pid, 0, &adopted));
    EXPECT_EQ(COIL_SPAWN_GROUP_NEW, adopted.group);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&adopted, SHORT)));
    child.exit = adopted.exit;
    coil_child_fini(&adopted);
    expect_the_end(&child, relatives);
}

TEST_F(Tree, NeighboursInOurOwnGroupLiveOn)
{
    coil_child neighbour = start({"pause"});
    std::vector<pid_t> relatives;
    coil_child child = start_family({"child"}, &relatives);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, LONG)));
    EXPECT_FALSE(is_gone(neighbour.pid));
    expect_the_end(&child, relatives);
    finish(&neighbour);
}

/* It ends with its group; but its status is for whoever waits for it. */
TEST_F(Tree, AnotherChildOfOursInTheGroupIsNotReaped)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    coil_child leader = start_ready({"polite", "9"});
    const auto usual = signal(SIGTERM, SIG_IGN); /* It stays when its leader has ended. */
    const pid_t other = fork();
    if (other == 0) {
        for (;;)
            pause();
    }
    signal(SIGTERM, usual);
    ASSERT_EQ(0, setpgid(other, leader.pid));
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&leader, SHORT)));
    int status = 0;
    EXPECT_EQ(other, waitpid(other, &status, 0));
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    finish(&leader);
}

TEST_F(Tree, HundredIsStoppedAtOnce)
{
    const size_t count = 100;
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<coil_child> children;
    std::vector<int64_t> results(count, 1);
    for (size_t i = 0; i < count; i++)
        children.push_back(start({"pause"}));
    for (size_t i = 0; i < count; i++)
        START(results[i], coil_child_stop_tree(&children[i], LONG));
    run();
    EXPECT_EQ(std::vector<int64_t>(count, 0), results);
    for (coil_child &child : children)
        finish(&child);
}

} // namespace
