/* SPDX-License-Identifier: MIT */
/* coil/spawn.h: terminals, shells, priorities, capabilities, namespaces, roots. */
#include "cast.h"

#include <atomic>
#include <thread>

#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>

#include <coil/sugar.h>

namespace
{

typedef Children Plan;

bool is_root()
{
    return geteuid() == 0;
}

const coil_spawn_identity NOBODY = {65534, 65534, nullptr, 0};

/* ----------------------------------------------------------------------------------- shell -- */

TEST_F(Plan, ShellRunsACommand)
{
    EXPECT_EQ("3 a  b", said("echo $((1 + 2)) 'a  b'"));
}

TEST_F(Plan, ShellTellsTheStatusOfItsCommand)
{
    plan.shell = "exit 7";
    coil_child child = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("exited with status 7", text(child));
    finish(&child);
}

/* -------------------------------------------------------------------------------- terminal -- */

TEST_F(Plan, TerminalIsTheChildsOwnAndHasASize)
{
    plan.in = plan.out = plan.err = {COIL_STDIO_PTY, 0};
    plan.window.ws_row = 40;
    plan.window.ws_col = 132;
    const std::string all =
            said("stty size; test -t 0 -a -t 1 -a -t 2 && echo all; echo hi >/dev/tty");
    EXPECT_EQ("40 132\r\nall\r\nhi", all);
}

TEST_F(Plan, TerminalMakesTheChildLeadItsSession)
{
    plan.in = plan.out = {COIL_STDIO_PTY, 0};
    plan.shell = "ps -o sess=,pgid= -p $$ || true; sleep 1000";
    coil_child child = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    EXPECT_EQ(COIL_SPAWN_SESSION_NEW, child.group);
    EXPECT_EQ(child.pid, getsid(child.pid));
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, coil_s(10))));
    finish(&child);
}

TEST_F(Plan, KeysOfTheTerminalAreSignals)
{
    plan.in = plan.out = {COIL_STDIO_PTY, 0};
    coil_child child = start({"stubborn"});
    std::string greeting;
    while (greeting.find("ready") == std::string::npos)
        greeting += take(child.stdout_fd);
    ASSERT_EQ(1, write(child.stdin_fd, "\3", 1)); /* ^C */
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGINT", text(child));
    finish(&child);
}

TEST_F(Plan, WindowCanBeResized)
{
    plan.in = plan.out = {COIL_STDIO_PTY, 0};
    plan.shell = "read line; stty size";
    coil_child child = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    plan.shell = nullptr;
    EXPECT_EQ(0, coil_child_resize(&child, 10, 20));
    coil_communication talk = {};
    talk.input = "go\n";
    talk.input_bytes = 3;
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_NE(nullptr, strstr(talk.output, "10 20")) << talk.output;
    coil_communication_fini(&talk);
    finish(&child);
}

TEST_F(Plan, ErrorsCanBeAPipeBesideATerminal)
{
    plan.in = plan.out = {COIL_STDIO_PTY, 0};
    plan.err = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"say", "out", "err"});
    coil_communication talk = {};
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_STREQ("out", talk.output);
    EXPECT_STREQ("err", talk.errors);
    coil_communication_fini(&talk);
    finish(&child);
}

/* ------------------------------------------------------------------------------ priorities -- */

TEST_F(Plan, NiceIsSet)
{
    plan.set_nice = true;
    plan.nice = 7;
    EXPECT_EQ("7", said("nice"));
    plan.group = COIL_SPAWN_SESSION_NEW;
    EXPECT_EQ("7", said("nice"));
}

TEST_F(Plan, NiceThatIsNotAllowedIsNamed)
{
    if (!is_root())
        GTEST_SKIP() << "needs root to become somebody who may not";
    plan.set_nice = true;
    plan.nice = -5;
    plan.namespaces = CLONE_NEWUSER; /* Root there, and nobody here. */
    const std::string text = said("nice");
    if (stage == COIL_SPAWN_STAGE_CLONE)
        GTEST_SKIP() << text;
    EXPECT_EQ(COIL_SPAWN_STAGE_PRIORITY, stage) << text;
    EXPECT_EQ("cannot run '/bin/sh': its nice value -5: permission denied", text);
}

/* The nice value takes care, and one spawn at a time: who forks waits for that one. */
int spawn_nicely()
{
    coil_child child = {};
    coil_spawn_plan nice = {};
    siginfo_t status;

    nice.program = "/bin/true";
    nice.set_nice = true;
    const int rc = coil_child_spawn(&nice, &child, nullptr);
    if (rc == 0)
        (void)waitid(P_PIDFD, static_cast<id_t>(child.pidfd), &status, WEXITED);
    coil_child_fini(&child);
    return rc;
}

TEST(PlanFork, AForkedChildSpawnsThoughAnotherThreadHasJustDone)
{
    std::atomic<bool> is_over{false};
    std::thread other([&] {
        while (!is_over) {
            EXPECT_EQ(0, spawn_nicely());
            usleep(200); /* Also others want the lock. */
        }
    });
    for (int i = 0; i < 100 && !testing::Test::HasFailure(); i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            _exit(-spawn_nicely());
        }
        int status = -1;
        EXPECT_EQ(pid, waitpid(pid, &status, 0));
        EXPECT_EQ(0, status);
    }
    is_over = true;
    other.join();
}

TEST_F(Plan, CpusAreThoseOfThePlan)
{
    int allowed[1];
    ASSERT_EQ(1, coil_kernel_cpus(allowed, 1));
    plan.cpus = allowed;
    plan.cpu_count = 1;
    EXPECT_EQ(std::to_string(allowed[0]),
            said("sed -n 's/Cpus_allowed_list:.//p' /proc/self/status"));

    const int none[] = {1000};
    plan.cpus = none;
    EXPECT_EQ("cannot run '/bin/sh': its CPUs: invalid argument (none of them is there, or "
              "allowed)",
            said("true"));
    const int impossible[] = {-1};
    plan.cpus = impossible;
    EXPECT_EQ("cannot run '/bin/sh': its CPUs: invalid argument (none of them is there, or "
              "allowed)",
            said("true"));
}

TEST_F(Plan, IoPriorityIsSet)
{
    const int idle = 3 << 13;
    plan.io_priority = idle;
    coil_child child = start({"pause"});
    EXPECT_EQ(idle, syscall(SYS_ioprio_get, 1, child.pid));
    finish(&child);
    plan.io_priority = 7 << 13;
    EXPECT_EQ("cannot run '/bin/sh': its I/O priority 0xe000: invalid argument", said("true"));
}

TEST_F(Plan, OomScoreIsAdjusted)
{
    plan.set_oom_score_adjust = true;
    plan.oom_score_adjust = 500;
    EXPECT_EQ("500", said("cat /proc/self/oom_score_adj"));
    plan.oom_score_adjust = 5000;
    EXPECT_EQ("cannot run '/bin/sh': its oom_score_adj 5000: invalid argument", said("true"));
}

/* ---------------------------------------------------------------------------- capabilities -- */

TEST_F(Plan, CapabilitiesAreThoseKeptAndNoOther)
{
    if (!is_root())
        GTEST_SKIP() << "needs root";
    const uint64_t bind = UINT64_C(1) << CAP_NET_BIND_SERVICE;
    const coil_spawn_capabilities kept = {bind, 0, 0};
    plan.run_as = &NOBODY;
    plan.capabilities = &kept;
    EXPECT_EQ("0000000000000400\n0000000000000400\n0000000000000400\n"
              "0000000000000400\n0000000000000400",
            said("sed -n 's/^Cap...:.//p' /proc/self/status"));
    EXPECT_EQ("65534", said("id -u"));
}

TEST_F(Plan, RootWithoutCapabilitiesIsBound)
{
    if (!is_root())
        GTEST_SKIP() << "needs root";
    const coil_spawn_capabilities none = {0, 0, 0};
    plan.capabilities = &none;
    EXPECT_EQ("0000000000000000 0",
            said("echo $(sed -n 's/^CapEff:.//p' /proc/self/status) $(id -u)"));
    EXPECT_EQ(1, coil_kernel_dumpable()) << "of the parent";
}

TEST_F(Plan, SecurebitsKeepRootFromGainingCapabilities)
{
    if (!is_root())
        GTEST_SKIP() << "needs root";
    const unsigned noroot = 1U << 0; /* SECBIT_NOROOT */
    const coil_spawn_capabilities none = {0, UINT64_MAX, noroot};
    plan.capabilities = &none;
    EXPECT_EQ("0000000000000000", said("sed -n 's/^CapEff:.//p' /proc/self/status"));
}

/* -------------------------------------------------------------------- roots and namespaces -- */

TEST_F(Plan, RootIsWhereThePathsAre)
{
    if (!is_root())
        GTEST_SKIP() << "needs root";
    char place[] = "/tmp/plan_test.XXXXXX";
    ASSERT_NE(nullptr, mkdtemp(place));
    plan.root = place;
    EXPECT_EQ("cannot run '/bin/sh': no such file or directory", said("pwd"));
    EXPECT_EQ(COIL_SPAWN_STAGE_EXEC, stage);
    plan.cwd = "/missing";
    EXPECT_EQ("cannot run '/bin/sh': its directory '/missing': no such file or directory",
            said("pwd"));
    plan.root = "/proc/self/root";
    plan.cwd = nullptr;
    EXPECT_EQ("/", said("pwd"));
    plan.root = "/nowhere";
    EXPECT_EQ("cannot run '/bin/sh': its root '/nowhere': no such file or directory", said("pwd"));
    EXPECT_EQ(COIL_SPAWN_STAGE_ROOT, stage);

    plan.root = place;
    plan.program = "sh";
    coil_child child = {};
    coil_spawn_error error = {};
    EXPECT_EQ(-EINVAL, coil_child_spawn(&plan, &child, &error));
    EXPECT_STREQ(
            "cannot run 'sh': with a root of its own it has to be an absolute path", error.text);
    EXPECT_EQ(0, rmdir(place));
}

TEST_F(Plan, UserNamespaceNeedsNoPrivilege)
{
    plan.namespaces = CLONE_NEWUSER;
    const std::string text = said("id -u; cat /proc/self/uid_map | tr -s ' '");
    if (stage == COIL_SPAWN_STAGE_CLONE || stage == COIL_SPAWN_STAGE_USER_NAMESPACE)
        GTEST_SKIP() << text;
    EXPECT_EQ("0\n 0 " + std::to_string(geteuid()) + " 1", text);
}

TEST_F(Plan, UserInANamespaceIsWhoThePlanSays)
{
    plan.namespaces = CLONE_NEWUSER;
    const coil_spawn_identity somebody = {1234, 1235, nullptr, 0};
    plan.run_as = &somebody;
    const std::string text = said("echo $(id -u) $(id -g)");
    if (stage == COIL_SPAWN_STAGE_CLONE || stage == COIL_SPAWN_STAGE_USER_NAMESPACE)
        GTEST_SKIP() << text;
    EXPECT_EQ("1234 1235", text);
}

TEST_F(Plan, ProcessIsTheFirstOfItsPidNamespace)
{
    plan.namespaces = is_root() ? CLONE_NEWPID : CLONE_NEWPID | CLONE_NEWUSER;
    const std::string text = said("echo $$");
    if (stage != COIL_SPAWN_STAGE_NONE)
        GTEST_SKIP() << text;
    EXPECT_EQ("1", text);
}

TEST_F(Plan, NamespaceThatCannotBeIsNamed)
{
    plan.namespaces = CLONE_NEWUSER | CLONE_FS; /* clone(2): never together. */
    EXPECT_EQ("cannot run '/bin/sh': its namespaces: invalid argument", said("true"));
    EXPECT_EQ(COIL_SPAWN_STAGE_CLONE, stage);
}

TEST_F(Plan, EveryStageHasAName)
{
    for (int i = COIL_SPAWN_STAGE_NONE; i <= COIL_SPAWN_STAGE_EXEC; i++)
        EXPECT_STRNE("unknown", coil_spawn_stage_name(static_cast<coil_spawn_stage>(i))) << i;
}

} // namespace
