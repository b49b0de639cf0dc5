/* SPDX-License-Identifier: MIT */
/* What a pool has to bear from its workers, from the machine, and from whoever kills it. */
#include <filesystem>

#include <fstream>

#include <sched.h>

#include <sys/mount.h>
#include <sys/resource.h>

#include "memory_cgroup.h"
#include "pools.h"

namespace
{

typedef Pools WorkerPoolHostile;

/* ------------------------------------------------------------------------------------- lies -- */

enum { LIES = 11 }; /* worker_helper.c has them. */

/* Each is found out, leaves no descriptor with us (says the fixture), and costs its own job. */
TEST_F(WorkerPoolHostile, AnswersThatAreNoneEndTheWorkerAndItsJob)
{
    play.options.workers = 1; /* So that a job's number is its place. */
    for (int which = 0; which < LIES; which++) {
        play.jobs.clear();
        add("value", 1);
        const int asked[2] = {which, 2};
        coil_job &lost = add_bytes("lie", asked, sizeof(asked));
        coil_job &next = add("value", 3);
        lost.limit = coil_s(20);
        perform();
        EXPECT_EQ(COIL_JOB_CRASHED, lost.end) << which << ": " << text(lost);
        EXPECT_EQ("worker was killed by SIGKILL", text(lost)) << which;
        EXPECT_EQ(3, next.value) << which;
        EXPECT_EQ(1u, play.stats.killed) << which;
    }
}

/* What was mapped is no more: to look there is SIGBUS. */
TEST_F(WorkerPoolHostile, APageThatCanBeTakenBackIsNotLookedAt)
{
    const char *argv[] = {"worker", "no-page", nullptr};
    play.plan.argv = argv;
    play.options.workers = 1;
    coil_job &job = add("value", 1);
    perform();
    EXPECT_EQ(0, play.ready);
    EXPECT_EQ("worker exited with status 5", text(job));
}

TEST_F(WorkerPoolHostile, RepliesHaveALimit)
{
    play.options.workers = 1;
    play.options.reply_max_bytes = 1 << 20;
    coil_job &who = add("pid");
    coil_job &fits = add("fill", 1 << 20);
    coil_job &longer = add("fill", (1 << 20) + 1);
    coil_job &same = add("pid");
    perform();
    EXPECT_EQ(COIL_JOB_DONE, fits.end);
    EXPECT_EQ(-EMSGSIZE, longer.error);
    EXPECT_EQ(COIL_JOB_REFUSED, longer.end);
    EXPECT_EQ(nullptr, longer.reply);
    EXPECT_EQ(who.value, same.value) << "it has done nothing wrong";
}

/* ------------------------------------------------------------------------------ the machine -- */

TEST_F(WorkerPoolHostile, WithoutDescriptorsAReplyIsRefusedAndTheWorkerStays)
{
    play.options.workers = 1;
    coil_job &who = add("pid");
    coil_job &reply = add("fill", 100000);
    coil_job &same = add("pid");
    struct rlimit before = {};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    play.begun = [&] {
        const struct rlimit none = {0, before.rlim_max};
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    };
    perform();
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    EXPECT_EQ(-EMFILE, reply.error) << text(reply);
    EXPECT_EQ(who.value, same.value);
    EXPECT_EQ(0u, play.stats.killed);
}

TEST_F(WorkerPoolHostile, AWorkerThatTheKernelKillsForItsMemoryIsToldFromOthers)
{
    const MemoryCgroup cgroup(64 << 20);
    if (!cgroup.is_limited)
        GTEST_SKIP() << "no cgroup with memory for us here";
    play.options.workers = 1;
    coil_job &lost = add("grow_in");
    coil_job &next = add("value", 2);
    const std::string path = cgroup.procs();
    lost.bytes = path.c_str();
    lost.size_bytes = path.size() + 1;
    perform();
    EXPECT_EQ(COIL_JOB_NO_MEMORY, lost.end) << text(lost);
    EXPECT_EQ(-ENOMEM, lost.error);
    EXPECT_EQ(2, next.value);
}

TEST_F(WorkerPoolHostile, AWorkerThatWeKillHasNotLackedMemoryThoughOthersHave)
{
    const MemoryCgroup cgroup(64 << 20);
    if (!cgroup.is_limited)
        GTEST_SKIP() << "no cgroup with memory for us here";
    play.options.workers = 1;
    coil_job &other = add("grow_beside");
    coil_job &lost = add("close_socket");
    const std::string path = cgroup.procs();
    other.bytes = path.c_str();
    other.size_bytes = path.size() + 1;
    perform();
    EXPECT_EQ(SIGKILL, other.value) << text(other);
    EXPECT_EQ(COIL_JOB_CRASHED, lost.end) << text(lost);
}

/* In a mount namespace of ours, the file of a cgroup (v2) that the workers are taken to be in. */
class FakeEvents
{
public:
    FakeEvents()
    {
        std::ifstream mounts("/proc/self/mounts");
        std::string device, point, type, rest;
        while (mounts >> device >> point >> type && type != "cgroup2" && std::getline(mounts, rest))
            continue;
        is_there = type == "cgroup2" && unshare(CLONE_NEWNS) == 0 &&
                   mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   mount("events", point.c_str(), "tmpfs", 0, nullptr) == 0;
        path = point;
        set(7);
    }

    void set(int count) const
    {
        if (is_there) {
            std::ofstream file(path + "/memory.events.local");
            file << "low 0\noom 9\noom_kill " << count << "\noom_group_kill 0\n";
        }
    }

    FakeEvents(const FakeEvents &) = delete;
    FakeEvents &operator=(const FakeEvents &) = delete;

    ~FakeEvents()
    {
        if (is_there)
            umount(path.c_str());
    }

    bool is_there = false;

private:
    std::string path;
};

TEST_F(WorkerPoolHostile, WhoIsKilledHasNotLackedMemoryThoughOthersOfTheMachineHave)
{
    const FakeEvents events;
    const MemoryCgroup cgroup(64 << 20);
    if (!events.is_there || !cgroup.is_limited)
        GTEST_SKIP() << "no mounts, or no cgroup with memory, for us here";
    play.options.workers = 1;
    coil_job &other = add("grow_beside");
    coil_job &lost = add("die", SIGKILL);
    const std::string path = cgroup.procs();
    other.bytes = path.c_str();
    other.size_bytes = path.size() + 1;
    perform();
    EXPECT_EQ(SIGKILL, other.value) << text(other);
    EXPECT_EQ(COIL_JOB_CRASHED, lost.end) << text(lost);
}

TEST_F(WorkerPoolHostile, WhoIsKilledInACgroupThatLackedMemoryHas)
{
    const FakeEvents events;
    if (!events.is_there)
        GTEST_SKIP() << "no mounts for us here";
    play.options.workers = 1;
    coil_job &lost = add("die", SIGKILL);
    coil_job &next = add("value", 2);
    play.begun = [&] { events.set(8); };
    perform();
    EXPECT_EQ(COIL_JOB_NO_MEMORY, lost.end) << text(lost);
    EXPECT_EQ(COIL_JOB_DONE, next.end) << text(next);
}

/* Workers are killed; those that are to follow are not there, and then they are. */
coil_async(int, lose_program, (Play *) play, (const std::string *) program)
{
    coil_vars(coil_group keepers; int rc; pid_t first);
    coil_open_group(&my->keepers);
    my->rc = coil_worker_pool_open(&my->keepers, &play->options, &play->pool);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(close_pool(play)));
    coil_await(my->rc, run_job(play, &play->jobs[0]));
    unlink(program->c_str());
    coil_await(my->rc, run_job(play, &play->jobs[1]));
    EXPECT_EQ(0, my->rc) << "who is there does not mind";
    coil_await(my->rc, run_job(play, &play->jobs[2])); /* It ends its worker. */
    coil_await(my->rc, run_job(play, &play->jobs[3]));
    EXPECT_EQ(-ENOENT, my->rc);
    std::filesystem::copy_file(WORKER_HELPER, *program);
    do {
        coil_await(coil_sleep(coil_ms(5)));
        coil_await(my->rc, coil_worker_pool_ready(play->pool));
    } while (my->rc == -ENOENT);
    coil_await(my->rc, run_job(play, &play->jobs[4]));
    return my->rc;
}

TEST_F(WorkerPoolHostile, AProgramThatIsGoneIsToldAndWhenItIsBackWorkGoesOn)
{
    const std::string program = testing::TempDir() + "worker_" + std::to_string(getpid());
    std::filesystem::copy_file(
            WORKER_HELPER, program, std::filesystem::copy_options::overwrite_existing);
    play.plan.program = program.c_str();
    play.options.workers = 1;
    for (const char *function : {"pid", "pid", "leave", "pid", "pid"})
        add(function);
    EXPECT_EQ(0, RUN(lose_program(&play, &program)));
    EXPECT_EQ(play.jobs[0].value, play.jobs[1].value);
    EXPECT_EQ(COIL_JOB_REFUSED, play.jobs[3].end);
    EXPECT_EQ(COIL_JOB_DONE, play.jobs[4].end);
    unlink(program.c_str());
}

/* A boss is another process, whose pool it is. */
coil_child start_boss(const char *role, coil_spawn_plan plan)
{
    const char *argv[] = {"worker_helper", role, nullptr};
    coil_child child = {};
    plan.program = WORKER_HELPER;
    plan.argv = argv;
    plan.out = {COIL_STDIO_PIPE, 0};
    EXPECT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    return child;
}

/* All that is written to the pipe, until nobody has its other end any more. */
std::string read_all(int fd, size_t limit)
{
    std::string all;
    char bytes[256];
    ssize_t size;
    while (all.size() < limit && (size = read(fd, bytes, std::min(sizeof(bytes), limit))) > 0)
        all.append(bytes, static_cast<size_t>(size));
    return all;
}

TEST_F(WorkerPoolHostile, WithoutProcessesJobsAreRefused)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root, to be another user";
    const coil_spawn_identity identity = {64998, 64998, nullptr, 0};
    const coil_spawn_limit limit = {RLIMIT_NPROC, {1, 1}};
    coil_spawn_plan plan = {};
    plan.run_as = &identity;
    plan.limits = &limit;
    plan.limit_count = 1;
    coil_child boss = start_boss("cannot-clone", plan);
    EXPECT_EQ(0, RUN(coil_child_wait(&boss)));
    char how[COIL_EXIT_TEXT_BYTES];
    EXPECT_STREQ("exited with status 0", coil_exit_format(&boss.exit, how));
    coil_child_fini(&boss);
}

/* Workers that are busy do not look at their socket: that the boss is gone, the kernel tells. */
TEST_F(WorkerPoolHostile, WorkersEndWithTheirBossWhateverTheyDo)
{
    coil_child boss = start_boss("boss", {});
    EXPECT_EQ("busy\n", read_all(boss.stdout_fd, 5));
    EXPECT_EQ(0, coil_child_signal(&boss, SIGKILL));
    EXPECT_EQ(0, RUN(coil_child_wait(&boss)));
    EXPECT_EQ("", read_all(boss.stdout_fd, 1)) << "each worker had the other end";
    coil_child_fini(&boss);
}

} // namespace
