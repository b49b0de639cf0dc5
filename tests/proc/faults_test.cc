/* SPDX-License-Identifier: MIT */
/* What goes wrong with children: numbers used again, limits reached, bombs, pipes nobody reads. */
#include "cast.h"

#include <memory>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <coil/sugar.h>

namespace
{

const coil_duration SHORT = coil_ms(20);
const coil_duration LONG = coil_s(30);

typedef Children Faults;

/* --------------------------------------------------------------------- numbers used again -- */

/* In a pid namespace with few numbers: what is checked there is the exit status here. */
class SmallNamespace
{
public:
    static const int SKIP = 77;

    explicit SmallNamespace(int (*act)())
    {
        const pid_t outer = fork();
        if (outer == 0) {
            if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
                _exit(SKIP);
            const pid_t first = fork();
            if (first == 0)
                _exit(is_small() ? act() : SKIP);
            _exit(status_of(first));
        }
        status = status_of(outer);
    }

    int status;

private:
    static int status_of(pid_t pid)
    {
        int ended = 0;
        while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
            continue;
        return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
    }

    static bool is_small()
    {
        if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                mount("proc", "/proc", "proc", 0, nullptr) != 0)
            return false;
        const int fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);
        const bool is_written = fd >= 0 && write(fd, "400", 3) == 3;
        close(fd);
        char *end = nullptr;
        char text[32] = {};
        const int outer = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
        const bool is_read = read(outer, text, sizeof(text) - 1) > 0;
        close(outer);
        return is_written && is_read && strtol(text, &end, 10) == 400;
    }
};

coil_spawn_plan plan_of(const char *const argv[])
{
    coil_spawn_plan plan = {};
    plan.program = SPAWN_HELPER;
    plan.argv = argv;
    plan.group = COIL_SPAWN_GROUP_NEW;
    return plan;
}

const char *const EXIT_3[] = {"helper", "exit", "3", nullptr};
const char *const PAUSE[] = {"helper", "pause", nullptr};

/* A child that has the number of `old`, which was reaped. False: there is none to be had. */
bool take_number_again(const coil_child *old, coil_child *out_child)
{
    const coil_spawn_plan plan = plan_of(PAUSE);
    for (int i = 0; i < 5000; i++) {
        if (coil_child_spawn(&plan, out_child, nullptr) != 0)
            return false;
        if (out_child->pid == old->pid)
            return true;
        kill(out_child->pid, SIGKILL);
        waitpid(out_child->pid, nullptr, 0);
        coil_child_fini(out_child);
    }
    return false;
}

/* The line of the first expectation that does not hold is the status. */
#define HOLDS(condition) \
    if (!(condition))    \
    return __LINE__ % 120 + 1

int meet_a_namesake()
{
    const coil_spawn_plan plan = plan_of(EXIT_3);
    coil_child old = {};
    old.pidfd = old.stdin_fd = old.stdout_fd = old.stderr_fd = -1;
    coil_child young = {};
    coil_child adopted = {};
    uint64_t identity = 0;
    do { /* Numbers up to 300 are not used again. */
        coil_child_fini(&old);
        HOLDS(coil_child_spawn(&plan, &old, nullptr) == 0);
        HOLDS(coil_child_identity(&old, &identity) == 0);
        HOLDS(waitpid(old.pid, nullptr, 0) == old.pid); /* By others: `old` knows nothing. */
    } while (old.pid <= 300);
    HOLDS(take_number_again(&old, &young));

    HOLDS(coil_child_signal(&old, SIGKILL) == 0);
    HOLDS(coil_child_adopt(old.pid, identity, &adopted) == -ESRCH);
    HOLDS(coil_run(coil_child_stop_tree(&old, SHORT)) == 0);
    HOLDS(old.exit.ended && !old.exit.signaled && old.exit.code == 3);
    HOLDS(!is_gone(young.pid));
    HOLDS(coil_run(coil_within(SHORT, coil_child_wait(&young))) == -ETIME);

    HOLDS(coil_run(coil_child_stop(&young, LONG)) == 0);
    HOLDS(young.exit.signaled && young.exit.code == SIGTERM);
    coil_child_fini(&old);
    coil_child_fini(&young);
    return 0;
}

TEST(SmallPidNamespace, NumberThatIsUsedAgainIsAnotherProcess)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "PIDFD_INFO_EXIT is of Linux 6.15";
    const SmallNamespace small(meet_a_namesake);
    if (small.status == SmallNamespace::SKIP)
        GTEST_SKIP() << "no pid namespace with a limit of its own (Linux 6.14, root)";
    EXPECT_EQ(0, small.status);
}

int fill_up()
{
    const coil_spawn_plan plan = plan_of(PAUSE);
    std::vector<coil_child> children;
    coil_spawn_error error = {};
    int rc = 0;
    while (rc == 0) {
        coil_child child = {};
        rc = coil_child_spawn(&plan, &child, &error);
        if (rc == 0)
            children.push_back(child);
        HOLDS(children.size() <= 400);
    }
    HOLDS(rc == -EAGAIN && error.stage == COIL_SPAWN_STAGE_CLONE);
    HOLDS(children.size() > 50);
    for (coil_child &child : children) {
        HOLDS(coil_run(coil_child_stop(&child, LONG)) == 0);
        coil_child_fini(&child);
    }
    coil_child child = {}; /* And on it goes. */
    HOLDS(coil_child_spawn(&plan, &child, nullptr) == 0);
    HOLDS(coil_run(coil_child_stop(&child, LONG)) == 0);
    coil_child_fini(&child);
    return 0;
}

TEST(SmallPidNamespace, WithoutANumberTheSpawnFailsAndLaterSucceeds)
{
    const SmallNamespace small(fill_up);
    if (small.status == SmallNamespace::SKIP)
        GTEST_SKIP() << "no pid namespace with a limit of its own (Linux 6.14, root)";
    EXPECT_EQ(0, small.status);
}

/* ------------------------------------------------------------------------------------- bombs -- */

int count_of_user(uid_t uid)
{
    std::vector<pid_t> pids(100000);
    int count = coil_kernel_processes(pids.data(), static_cast<int>(pids.size()));
    int found = 0;
    for (int i = 0; i < count; i++) {
        struct stat status = {};
        const std::string path = "/proc/" + std::to_string(pids[static_cast<size_t>(i)]);
        if (stat(path.c_str(), &status) == 0 && status.st_uid == uid)
            found += !is_gone(pids[static_cast<size_t>(i)]);
    }
    return found;
}

TEST_F(Faults, ForkBombWithinALimitIsStoppedToTheLast)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root, to be another user";
    const uid_t bomber = 64999;
    const coil_spawn_identity identity = {bomber, bomber, nullptr, 0};
    const coil_spawn_limit limit = {RLIMIT_NPROC, {60, 60}};
    for (coil_spawn_group group : {COIL_SPAWN_GROUP_INHERIT, COIL_SPAWN_GROUP_NEW}) {
        plan.run_as = &identity;
        plan.limits = &limit;
        plan.limit_count = 1;
        plan.group = group;
        coil_child child = start_ready({"bomb"});
        for (int i = 0; i < 1000 && count_of_user(bomber) < 50; i++)
            RUN(coil_sleep(coil_ms(10)));
        EXPECT_LE(50, count_of_user(bomber));
        EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
        EXPECT_EQ("was killed by SIGKILL", text(child));
        EXPECT_EQ(0, count_of_user(bomber));
        finish(&child);
    }
}

/* -------------------------------------------------------------------------- pipes, limits -- */

TEST_F(Faults, ChildThatIsStuckInAPipeThatNobodyReadsIsStopped)
{
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start({"spew", "10000000"});
    EXPECT_EQ(-ETIME, RUN(within(SHORT, coil_child_wait(&child)))) << "it is stuck";
    EXPECT_EQ(0, RUN(coil_child_stop(&child, LONG)));
    EXPECT_EQ("was killed by SIGTERM", text(child));
    finish(&child);
}

TEST_F(Faults, TreeIsStoppedWithoutAFreeDescriptor)
{
#if COIL_TESTS_ASAN
    GTEST_SKIP() << "the sanitizers need a descriptor to look at an object";
#endif
    plan.group = COIL_SPAWN_GROUP_NEW;
    std::vector<pid_t> relatives;
    coil_child child = start_family({"child", "stubborn-child"}, &relatives);
    std::vector<Fd> taken;
    for (;;) {
        const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            break;
        taken.emplace_back(fd);
    }
    const int64_t rc = RUN(coil_child_stop_tree(&child, SHORT));
    EXPECT_TRUE(rc == 0 || rc == -EMFILE) << rc;
    taken.clear();
    EXPECT_EQ(0, RUN(coil_child_stop_tree(&child, SHORT)));
    for (pid_t pid : relatives)
        EXPECT_TRUE(is_gone(pid));
    finish(&child);
}

TEST_F(Faults, SpawnThatFailsInEveryStageLeavesNothing)
{
    const int missing_cpu[] = {1000};
    const coil_spawn_limit bad = {9999, {1, 1}};
    for (int round = 0; round < 3; round++) {
        plan = {};
        plan.limits = round == 0 ? &bad : nullptr;
        plan.limit_count = round == 0;
        plan.cpus = round == 1 ? missing_cpu : nullptr;
        plan.cpu_count = round == 1;
        plan.cwd = round == 2 ? "/nowhere" : nullptr;
        plan.in = plan.out = plan.err = {COIL_STDIO_PTY, 0};
        (void)said("true");
        EXPECT_NE(COIL_SPAWN_STAGE_NONE, stage);
        siginfo_t any = {};
        EXPECT_NE(0, waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT)) << "no zombie";
    }
}

/* Too little memory for the new program, when the old one is gone: the kernel kills it. */
TEST_F(Faults, ChildThatDiesInItsExecHasAStatusAndLeavesNothing)
{
    const coil_spawn_limit limit = {RLIMIT_AS, {65536, 65536}};
    for (int round = 0; round < 20; round++) {
        plan.limits = &limit;
        plan.limit_count = 1;
        plan.out = {COIL_STDIO_PIPE, 0};
        coil_child child = start({"pause"});
        EXPECT_EQ(0, RUN(coil_child_wait(&child)));
        EXPECT_TRUE(child.exit.ended && child.exit.signaled);
        EXPECT_TRUE(child.exit.code == SIGKILL || child.exit.code == SIGSEGV) << text(child);
        char byte;
        EXPECT_EQ(0, read(child.stdout_fd, &byte, 1)) << "nobody has the other end";
        finish(&child);
    }
}

/* --------------------------------------------------------------------------------- thousands -- */

TEST_F(Faults, ThousandsOfChildrenAtOnce)
{
#if COIL_TESTS_ASAN
    const size_t count = 500; /* A minute of work there, on a machine that is busy. */
#else
    const size_t count = 2000;
#endif
    struct rlimit limit = {};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, count + 200);
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur < count + 200)
        GTEST_SKIP() << "no more than " << limit.rlim_cur << " descriptors";
    plan.in = plan.out = plan.err = {COIL_STDIO_NULL, 0};
    std::vector<coil_child> children;
    std::vector<int64_t> results(count, 1);
    for (size_t i = 0; i < count; i++)
        children.push_back(start({i % 2 == 0 ? "pause" : "exit", "7"}));
    for (size_t i = 0; i < count; i++)
        START(results[i], coil_child_stop(&children[i], LONG));
    run();
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        wrong += results[i] != 0 || !children[i].exit.ended || !children[i].exit.has_usage;
        coil_child_fini(&children[i]);
    }
    EXPECT_EQ(0u, wrong);
}

} // namespace
