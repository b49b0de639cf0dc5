/* SPDX-License-Identifier: MIT */
/* coil/cgroup.h, where the unified hierarchy is ours to change. */
#include "cast.h"

#include <coil/cgroup.h>

#include <fstream>

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <coil/sugar.h>

namespace
{

const coil_duration SHORT = coil_ms(20);

class Cgroup : public Children
{
protected:
    void SetUp() override
    {
        const std::string name = "coil-test-" + std::to_string(getpid());
        const int rc = coil_cgroup_open(name.c_str(), &cgroup);
        if (rc < 0)
            GTEST_SKIP() << "no cgroup for us here: " << strerror(-rc);
        plan.cgroup = cgroup;
    }

    ~Cgroup() override
    {
        if (cgroup == nullptr)
            return;
        (void)coil_cgroup_kill(cgroup);
        EXPECT_EQ(0, RUN(coil_cgroup_wait_empty(cgroup)));
        EXPECT_EQ(0, coil_cgroup_remove(cgroup));
    }

    std::vector<pid_t> members()
    {
        std::vector<pid_t> pids(1000);
        const int count = coil_cgroup_processes(cgroup, pids.data(), 1000);
        pids.resize(count < 0 ? 0 : static_cast<size_t>(count));
        return pids;
    }

    coil_cgroup *cgroup = nullptr;
};

TEST_F(Cgroup, ChildStartsInItWithAllThatItStarts)
{
    std::vector<pid_t> relatives;
    EXPECT_EQ(0, coil_cgroup_is_populated(cgroup));
    coil_child child = start_family({"child", "daemon"}, &relatives);
    EXPECT_EQ(1, coil_cgroup_is_populated(cgroup));
    EXPECT_EQ(3u, members().size());
    EXPECT_EQ(-EBUSY, coil_cgroup_remove(cgroup));
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, coil_s(10))));
    EXPECT_EQ(0, coil_cgroup_is_populated(cgroup));
    for (pid_t pid : relatives)
        EXPECT_TRUE(is_gone(pid)) << "also the daemon";
    finish(&child);
}

TEST_F(Cgroup, StubbornDaemonsAreKilledAtOnce)
{
    std::vector<pid_t> relatives;
    coil_child child =
            start_family({"stubborn-daemon", "stubborn-daemon", "stubborn-orphan"}, &relatives);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    for (pid_t pid : relatives)
        EXPECT_TRUE(is_gone(pid));
    finish(&child);
}

class NestedCgroup : public Cgroup
{
protected:
    /* A cgroup so many levels below ours; `pid` moves there. */
    void move_below(int depth, pid_t pid)
    {
        std::string path = coil_cgroup_path(cgroup);
        for (int i = 0; i < depth; i++) {
            path += "/below";
            paths.push_back(path);
            ASSERT_EQ(0, mkdir(path.c_str(), 0755)) << strerror(errno);
        }
        std::ofstream(path + "/cgroup.procs") << pid << std::flush;
        EXPECT_EQ(1u, members().size()) << "the child itself";
    }

    ~NestedCgroup() override
    {
        if (cgroup != nullptr) {
            (void)coil_cgroup_kill(cgroup);
            EXPECT_EQ(0, RUN(coil_cgroup_wait_empty(cgroup)));
        }
        for (; !paths.empty(); paths.pop_back())
            EXPECT_EQ(0, rmdir(paths.back().c_str())) << strerror(errno);
    }

    std::vector<std::string> paths;
};

TEST_F(NestedCgroup, StubbornDaemonBelowIsKilled)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-daemon"}, &relatives);
    move_below(1, relatives[0]);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_TRUE(is_gone(relatives[0]));
    EXPECT_EQ(0, coil_cgroup_is_populated(cgroup));
    finish(&child);
}

TEST_F(NestedCgroup, DaemonDeeperThanAnybodyLooksIsKilled)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"daemon"}, &relatives);
    move_below(20, relatives[0]);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    EXPECT_TRUE(is_gone(relatives[0]));
    EXPECT_EQ(0, coil_cgroup_is_populated(cgroup));
    finish(&child);
}

TEST_F(NestedCgroup, DaemonBelowIsAskedFirst)
{
    ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L));
    std::vector<pid_t> relatives;
    coil_child child = start_family({"daemon"}, &relatives);
    move_below(1, relatives[0]);
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, coil_s(10))));
    int status = 0;
    EXPECT_EQ(relatives[0], waitpid(relatives[0], &status, WNOHANG)) << "an orphan is ours";
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 0L, 0L, 0L, 0L));
    finish(&child);
}

TEST_F(Cgroup, KillEndsAllOfIt)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-daemon", "child"}, &relatives);
    EXPECT_EQ(0, coil_cgroup_kill(cgroup));
    EXPECT_EQ(0, RUN(coil_cgroup_wait_empty(cgroup)));
    EXPECT_TRUE(members().empty());
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    finish(&child);
}

TEST_F(Cgroup, WaitForItsEndCanBeCancelled)
{
    coil_child child = start({"pause"});
    EXPECT_EQ(-ETIME, RUN(within(SHORT, coil_cgroup_wait_empty(cgroup))));
    EXPECT_EQ(0, RUN(coil_child_stop(&child, coil_s(10))));
    EXPECT_EQ(0, RUN(coil_cgroup_wait_empty(cgroup)));
    finish(&child);
}

TEST_F(Cgroup, SameNameIsTheSameCgroup)
{
    const std::string name = "coil-test-" + std::to_string(getpid());
    coil_child child = start({"pause"});
    coil_cgroup *again = nullptr;
    ASSERT_EQ(0, coil_cgroup_open(name.c_str(), &again));
    EXPECT_STREQ(coil_cgroup_path(cgroup), coil_cgroup_path(again));
    EXPECT_EQ(1, coil_cgroup_is_populated(again));
    coil_cgroup_close(again);
    EXPECT_EQ(0, RUN(coil_child_stop(&child, coil_s(10))));
    finish(&child);
}

TEST_F(Cgroup, FilesCanBeReadAndWritten)
{
    char text[512];
    EXPECT_EQ(-ENOENT, coil_cgroup_read(cgroup, "no.such.file", text, sizeof(text)));
    EXPECT_LT(0, coil_cgroup_read(cgroup, "cgroup.events", text, sizeof(text)));
    EXPECT_NE(nullptr, strstr(text, "populated 0"));
    EXPECT_EQ(0, coil_cgroup_write(cgroup, "cgroup.freeze", "1"));
    EXPECT_EQ(0, coil_cgroup_write(cgroup, "cgroup.freeze", "0"));
    EXPECT_EQ(-EINVAL, coil_cgroup_write(cgroup, "cgroup.freeze", "x"));
}

TEST_F(Cgroup, LimitsHoldWhereTheirControllersAre)
{
    coil_cgroup_limits limits = {};
    EXPECT_EQ(0, coil_cgroup_limit(cgroup, &limits)) << "none at all";
    limits.process_max_count = 8;
    const int rc = coil_cgroup_limit(cgroup, &limits);
    if (rc == -EOPNOTSUPP)
        GTEST_SKIP() << "the pids controller is not in the unified hierarchy";
    ASSERT_EQ(0, rc);
    plan.shell = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; wait";
    coil_child child = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    plan.shell = nullptr;
    EXPECT_GE(8u, members().size());
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    finish(&child);
}

TEST(CgroupName, IsAPathBelowOurOwn)
{
    coil_cgroup *cgroup = nullptr;
    EXPECT_EQ(-EINVAL, coil_cgroup_open("", &cgroup));
    EXPECT_EQ(-EINVAL, coil_cgroup_open("../above", &cgroup));
    EXPECT_EQ(-EINVAL, coil_cgroup_open("/absolute", &cgroup));
    coil_cgroup_close(nullptr);
    EXPECT_EQ(0, coil_cgroup_remove(nullptr));
}

} // namespace
