/* SPDX-License-Identifier: MIT */
/* coil/prefork.h: workers and masters that hang, crash, grow, do not start, or are not there. */
#include "memory_cgroup.h"
#include "prefork_stage.h"

#include <filesystem>

#include <sys/ptrace.h>

namespace
{

size_t count_fds(pid_t pid)
{
    const std::string directory = "/proc/" + std::to_string(pid) + "/fd";
    size_t count = 0;
    for (const auto &entry : std::filesystem::directory_iterator(directory))
        count += !entry.path().empty();
    return count;
}

bool is_gone(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    return text.empty() || text.find(") Z") != std::string::npos;
}

class PreforkFault : public Prefork
{
protected:
    /* Workers serve; whatever is done to them costs no request. */
    void expect_unharmed(const std::function<void()> &act)
    {
        const unsigned failed = under_load(act);
        EXPECT_EQ(0u, failed) << "of " << requests;
        EXPECT_LT(0u, requests);
    }

    /* What is said to one of the workers, and what it says. */
    std::string say_and_hear(const char *line)
    {
        const int fd = say(line);
        const std::string heard = hear(fd);
        close(fd);
        return heard;
    }
};

/* -------------------------------------------------------------------------------- preflight -- */

TEST_F(PreforkFault, NewWorkersThatAreNeverReadyLeaveTheOldOnes)
{
    start(2, "q");
    make_broken("hang");
    expect_unharmed([&] {
        kill(master, SIGHUP);
        EXPECT_NE(std::string::npos, wait_for("reload-failed").find("ETIME"));
        kill(master, SIGUSR2);
        wait_for("upgrade-failed");
    });
    EXPECT_EQ(0, counts["died"] + counts["left"]);
    Reply reply;
    ASSERT_TRUE(ask(&reply));
    EXPECT_EQ(1, reply.version);
    EXPECT_EQ(1, reply.generation);
    unlink(broken.c_str());
    expect_unharmed([&] {
        kill(master, SIGHUP);
        wait_for("reloaded");
    });
}

/* What a deployment may leave in a program's place. */
TEST_F(PreforkFault, ANewProgramThatIsNoneOrEndsLeavesTheOldMaster)
{
    const std::string program = testing::TempDir() + "prefork_" + std::to_string(getpid());
    const auto overwrite = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(PREFORK_HELPER, program, overwrite);
    start(2, "", program);
    expect_unharmed([&] {
        unlink(program.c_str());
        kill(master, SIGUSR2);
        EXPECT_NE(std::string::npos, wait_for("upgrade-failed").find("ENOENT"));
        std::ofstream(program) << "half of a download";
        kill(master, SIGUSR2);
        EXPECT_NE(std::string::npos, wait_for("upgrade-failed").find("EACCES"));
        chmod(program.c_str(), 0755);
        kill(master, SIGUSR2);
        EXPECT_NE(std::string::npos, wait_for("upgrade-failed").find("ENOEXEC"));
        unlink(program.c_str());
        std::filesystem::copy_file("/bin/false", program);
        kill(master, SIGUSR2);
        EXPECT_NE(std::string::npos, wait_for("upgrade-failed").find("ECHILD"));
        kill(master, SIGHUP); /* The workers' program is that of the master, whose file is gone. */
        wait_for("reloaded");
        unlink(program.c_str());
        std::filesystem::copy_file(PREFORK_HELPER, program);
        kill(master, SIGUSR2);
        master = pid_of(wait_for("upgraded"));
        wait_for("end");
    });
    EXPECT_EQ(0, counts["died"]);
    unlink(program.c_str());
}

TEST_F(PreforkFault, AMasterThatIsKilledWhileItHandsOverDoesNotTakeItsSuccessorAlong)
{
    start(2, "");
    const pid_t first = master;
    kill(master, SIGUSR2);
    master = pid_of(wait_for("master")); /* It has begun. */
    kill(first, SIGKILL);
    wait_for("ready");
    wait_for("ready");
    EXPECT_TRUE(ask_until([](const Reply &reply) { return reply.version == 2; }));
}

/* As many as before: neither the ones that did not start, nor fewer at the next step. */
TEST_F(PreforkFault, ScalingThatFailsLeavesTheirNumber)
{
    start(2, "d");
    make_broken();
    kill(master, SIGTTIN);
    wait_for("reload-failed");
    unlink(broken.c_str());
    kill(master, SIGTTIN);
    wait_for("reloaded");
    counts.clear();
    kill(master, SIGHUP);
    wait_for("reloaded");
    EXPECT_EQ(3, counts["ready"]);
}

/* ----------------------------------------------------------------------------------- faults -- */

/* Those whom it has accepted are lost with it; nobody is refused, and it does not stay. */
TEST_F(PreforkFault, AWorkerThatHangsUnderLoadIsReplacedAndNobodyIsRefused)
{
    start(2, "h");
    std::atomic<unsigned> refused(0);
    (void)under_load([&] {
        const int fd = say("hang\n");
        refused += fd < 0;
        wait_for("hung");
        wait_for("died");
        wait_for("ready");
        close(fd);
    });
    EXPECT_EQ(0u, refused);
    EXPECT_LT(0u, requests);
    expect_unharmed([] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
}

TEST_F(PreforkFault, SessionsOfAWorkerThatIsOneTooManyEnd)
{
    start(2, "");
    std::vector<int> held;
    for (int i = 0; i < 8; i++) {
        held.push_back(say("hold\n"));
        EXPECT_EQ("held\n", hear(held.back()));
    }
    expect_unharmed([&] {
        kill(master, SIGTTOU);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        for (int fd : held) {
            EXPECT_EQ(2, send(fd, "x\n", 2, MSG_NOSIGNAL));
            EXPECT_NE("", hear(fd)) << "it is served to its end";
            close(fd);
        }
        wait_for("left");
    });
    EXPECT_EQ(0, counts["died"]);
}

TEST_F(PreforkFault, AWorkerThatGrowsIsReplacedByOneThatIsReady)
{
    start(1, "m");
    Reply before;
    ASSERT_TRUE(ask(&before));
    expect_unharmed([&] {
        EXPECT_NE("", say_and_hear("grow\n"));
        EXPECT_EQ(before.pid, pid_of(wait_for("recycled")));
        EXPECT_NE(before.pid, pid_of(wait_for("ready")));
        EXPECT_EQ(before.pid, pid_of(wait_for("left")));
    });
    Reply after;
    ASSERT_TRUE(ask(&after));
    EXPECT_EQ(before.number, after.number);
    EXPECT_EQ(before.generation, after.generation);
    EXPECT_EQ(0, counts["died"]);
}

TEST_F(PreforkFault, AWorkerThatCannotBeReplacedGoesOn)
{
    start(1, "m");
    make_broken();
    EXPECT_NE("", say_and_hear("grow\n"));
    wait_for("recycled");
    expect_unharmed([&] {
        for (int i = 0; i < 3; i++)
            wait_for("unready");
    });
    unlink(broken.c_str());
    expect_unharmed([&] { wait_for("left"); });
}

TEST_F(PreforkFault, AWorkerThatTheKernelKillsForItsMemoryIsReplaced)
{
    const MemoryCgroup cgroup(64 << 20);
    if (!cgroup.is_limited)
        GTEST_SKIP() << "no cgroup with memory for us here";
    start(1, "");
    Reply before;
    ASSERT_TRUE(ask(&before));
    ASSERT_TRUE(cgroup.add(before.pid));
    EXPECT_EQ("", say_and_hear("grow\n"));
    EXPECT_NE(std::string::npos, wait_for("died").find("SIGKILL"));
    wait_for("ready");
    Reply after;
    ASSERT_TRUE(ask(&after));
    EXPECT_NE(before.pid, after.pid);
}

TEST_F(PreforkFault, WhatAWorkerHasStartedIsKilledWithIt)
{
    start(1, "");
    for (const char *end : {"die\n", "", "hang\n"}) {
        Reply heir;
        std::istringstream(say_and_hear("breed\n")) >> heir.version >> heir.generation >>
                heir.number >> heir.pid;
        ASSERT_LT(0, heir.pid);
        ASSERT_FALSE(is_gone(heir.pid));
        Reply worker;
        ASSERT_TRUE(ask(&worker));
        const int fd = say(end);
        if (*end == 'd') {
            wait_for("died");
        } else if (*end == 'h') {
            kill(worker.pid, SIGKILL);
            wait_for("died");
        } else {
            close(fd);
            kill(master, SIGHUP);
            wait_for("left");
        }
        if (*end != '\0')
            close(fd);
        EXPECT_TRUE(is_gone(heir.pid)) << end;
        if (*end != '\0')
            wait_for("ready");
    }
}

/*
 * As long as this lives, who is killed is a zombie that its parent cannot reap: to the parent, it
 * has not ended, as if it hung in the kernel.
 */
class Tracer
{
public:
    explicit Tracer(pid_t victim)
    {
        int ends[2] = {-1, -1};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
            return;
        pid_ = fork();
        if (pid_ == 0) {
            close(ends[0]);
            char word = ptrace(PTRACE_SEIZE, victim, nullptr, nullptr) == 0;
            if (write(ends[1], &word, 1) == 1)
                (void)!read(ends[1], &word, 1);
            _exit(0);
        }
        close(ends[1]);
        char word = 0;
        is_there = read(ends[0], &word, 1) == 1 && word == 1;
        end_ = ends[0];
    }

    ~Tracer()
    {
        close(end_);
        waitpid(pid_, nullptr, 0);
    }

    Tracer(const Tracer &) = delete;
    Tracer &operator=(const Tracer &) = delete;

    bool is_there = false;

private:
    pid_t pid_ = -1;
    int end_ = -1;
};

TEST_F(PreforkFault, AWorkerThatDoesNotEndIsReplacedAndReapedWhenItDoes)
{
    start(1, "");
    const size_t before = count_fds(master);
    Reply worker;
    ASSERT_TRUE(ask(&worker));
    {
        const Tracer tracer(worker.pid);
        if (!tracer.is_there)
            GTEST_SKIP() << "nobody may be traced here";
        kill(worker.pid, SIGKILL);
        EXPECT_EQ(worker.pid, pid_of(wait_for("died")));
        EXPECT_NE(worker.pid, pid_of(wait_for("ready")));
        EXPECT_EQ(0, kill(worker.pid, 0)) << "it is still there";
        Reply reply;
        EXPECT_TRUE(ask(&reply));
    }
    for (int i = 0; i < PATIENCE_MS && kill(worker.pid, 0) == 0; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(-1, kill(worker.pid, 0)) << "a zombie";
    for (int i = 0; i < PATIENCE_MS && count_fds(master) > before; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(before, count_fds(master));
}

TEST_F(PreforkFault, DescriptorsOfThePlansArePassedToWorkersAndToTheNextMaster)
{
    start(1, "f");
    for (int version = 1; version <= 2; version++) {
        Reply worker;
        std::istringstream(say_and_hear("passed\n")) >> worker.version >> worker.generation >>
                worker.number >> worker.pid;
        EXPECT_EQ(version, worker.version);
        EXPECT_EQ(1, worker.pid);
        if (version == 2)
            break;
        kill(master, SIGUSR2);
        master = pid_of(wait_for("upgraded"));
        wait_for("end");
    }
}

TEST_F(PreforkFault, DescriptorsThatNobodyWantsDoNotStayWithTheMaster)
{
    start(1, "");
    const size_t before = count_fds(master);
    EXPECT_NE("", say_and_hear("stray\n"));
    Reply reply;
    for (int i = 0; i < 20; i++)
        EXPECT_TRUE(ask(&reply)) << "it has had the time to read them";
    kill(master, SIGTTIN);
    wait_for("ready");
    kill(master, SIGTTOU);
    wait_for("left");
    EXPECT_GT(before + 25, count_fds(master)) << "of 50";
}

} // namespace
