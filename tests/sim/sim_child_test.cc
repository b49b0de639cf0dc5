/* SPDX-License-Identifier: MIT */
/* coil/spawn.h and coil/child.h on a simulated kernel: children end, hang, crash, never start. */
#include "sim_child_stage.h"

#include <fcntl.h>

namespace
{

/* -------------------------------------------------------------------------------- programs -- */

int crash(int, char **)
{
    (void)coil_kernel_raise(SIGSEGV);
    return 1;
}

int deaf(int argc, char **argv)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, nullptr);
    return hang(argc, argv);
}

int greet(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "hello";
    return coil_kernel_write(1, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1;
}

int environment(int, char **)
{
    const char *value = getenv("COLOUR");
    return value != nullptr && strcmp(value, "green") == 0 ? 0 : 1;
}

/* --------------------------------------------------------------------------------- parents -- */

async(int, stops)
{
    vars(coil_child child; int rc);
    my->rc = begin(told.program, &my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    await(coil_sleep(coil_ms(100)));
    await(my->rc, coil_child_stop(&my->child, coil_s(3)));
    told.code = my->child.exit.signaled ? -my->child.exit.code : my->child.exit.code;
    return my->rc;
}

int stop(int, char **)
{
    told.result = (int)coil_run(stops());
    return 0;
}

/* Cancels the wait at some time about the end of the child, and waits again. */
async(int, hesitates)
{
    vars(coil_child child; int rc);
    my->rc = begin("/bin/answer", &my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    await(my->rc, coil_within(told.wait, coil_child_wait(&my->child)));
    told.count += my->rc == -ETIME;
    await(my->rc, coil_child_wait(&my->child));
    told.code = my->child.exit.code;
    return my->rc;
}

int hesitate(int, char **)
{
    told.result = (int)coil_run(hesitates());
    return 0;
}

async(int, one_of_many)
{
    vars(coil_child child; int rc);
    my->rc = begin("/bin/answer", &my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    await(my->rc, coil_child_wait(&my->child));
    told.count += my->rc == 0 && my->child.exit.code == 42;
    return 0;
}

async(int, has_many)
{
    vars(coil_group group; int i);
    open_group(&my->group);
    for (my->i = 0; my->i < 3000; my->i++) {
        attempt(coil_group_room(&my->group));
        (void)spawn(&my->group, one_of_many());
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

int many(int, char **)
{
    told.result = (int)coil_run(has_many());
    return 0;
}

int try_plan(int, char **)
{
    coil_child child;
    coil_spawn_error error;
    memset(&child, 0, sizeof(child));
    memset(&error, 0, sizeof(error));
    told.result = coil_child_spawn(&told.plan, &child, &error);
    told.stage = error.stage;
    if (told.result == 0)
        (void)coil_run(coil_child_wait(&child));
    told.code = child.exit.code;
    coil_child_fini(&child);
    return 0;
}

int begin_greeting(coil_child *child)
{
    coil_spawn_plan plan = plan_of("/bin/greet");
    plan.out.mode = COIL_STDIO_PIPE;
    return coil_child_spawn(&plan, child, nullptr);
}

async(int, reads_greeting)
{
    vars(coil_child child; int rc; ssize_t got; char text[16]; size_t count);
    my->rc = begin_greeting(&my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    do {
        await(my->got,
                coil_read(my->child.stdout_fd, my->text + my->count, sizeof(my->text) - my->count));
        my->count += my->got > 0 ? (size_t)my->got : 0;
    } while (my->got > 0);
    told.count = (int)my->count;
    attempt(coil_child_wait(&my->child));
    return memcmp(my->text, "hello", 5) == 0 ? my->child.exit.code : -EIO;
}

int listen_to_greeting(int, char **)
{
    told.result = (int)coil_run(reads_greeting());
    return 0;
}

async(int, creates_a_file)
{
    vars(int fd);
    attempt(my->fd, coil_openat(AT_FDCWD, "/tmp/private", O_WRONLY | O_CREAT, 0666));
    attempt(coil_close(my->fd));
    return 0;
}

int create_file(int, char **)
{
    struct stat status;
    if (coil_run(creates_a_file()) < 0)
        return 1;
    return coil_kernel_fstatat(AT_FDCWD, "/tmp/private", &status) == 0
                   ? (int)(status.st_mode & 0777)
                   : 1;
}

const Program own_programs[] = {{"/bin/crash", crash}, {"/bin/deaf", deaf}, {"/bin/greet", greet},
        {"/bin/environment", environment}, {"/bin/stop", stop}, {"/bin/hesitate", hesitate},
        {"/bin/many", many}, {"/bin/try", try_plan}, {"/bin/listen", listen_to_greeting},
        {"/bin/create", create_file}, {nullptr, nullptr}};

TEST_F(SimChild, WaitTellsTheExitStatus)
{
    told.program = "/bin/answer";
    run("/bin/watch");
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(42, told.code);
}

TEST_F(SimChild, WaitTellsTheSignalOfACrash)
{
    told.program = "/bin/crash";
    run("/bin/watch");
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(-SIGSEGV, told.code);
}

TEST_F(SimChild, IsFoundInPath)
{
    told.program = "answer";
    run("/bin/watch");
    EXPECT_EQ(42, told.code);
}

TEST_F(SimChild, StopAsksFirst)
{
    told.program = "/bin/obedient";
    run("/bin/stop");
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(5, told.code);
}

TEST_F(SimChild, StopKillsWhoDoesNotListen)
{
    told.program = "/bin/deaf";
    const coil_time before = coil_sim_now(sim);
    run("/bin/stop");
    EXPECT_EQ(-SIGKILL, told.code);
    EXPECT_GE(coil_sim_now(sim) - before, coil_s(3));
}

TEST_F(SimChild, StopReachesWhoIsStopped)
{
    told.program = "/bin/frozen";
    run("/bin/stop");
    EXPECT_TRUE(told.code == 5 || told.code == -SIGTERM) << told.code;
}

TEST_F(SimChild, PipeBringsWhatItWrites)
{
    run("/bin/listen");
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(5, told.count);
}

TEST_F(SimChild, HasTheEnvironmentOfThePlan)
{
    static const char *const variables[] = {"COLOUR=green", nullptr};
    told.plan = plan_of("/bin/environment");
    told.plan.env = variables;
    run("/bin/try");
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(0, told.code);
    EXPECT_EQ(nullptr, getenv("COLOUR"));
}

TEST_F(SimChild, FailureNamesItsStep)
{
    static const coil_spawn_fd closed = {5, 77};
    static const coil_spawn_limit limit = {RLIMIT_NOFILE, {20, 10}};
    struct {
        const char *program;
        void (*change)(coil_spawn_plan *plan);
        int error;
        coil_spawn_stage stage;
    } const cases[] = {
            {"nowhere", [](coil_spawn_plan *) {}, -ENOENT, COIL_SPAWN_STAGE_SEARCH},
            {"/bin/nowhere", [](coil_spawn_plan *) {}, -ENOENT, COIL_SPAWN_STAGE_EXEC},
            {"/tmp", [](coil_spawn_plan *) {}, -EACCES, COIL_SPAWN_STAGE_EXEC},
            {"/bin/answer", [](coil_spawn_plan *plan) { plan->cwd = "/no/where"; }, -ENOENT,
                    COIL_SPAWN_STAGE_CHDIR},
            {"/bin/answer",
                    [](coil_spawn_plan *plan) {
                        plan->fds = &closed;
                        plan->fd_count = 1;
                    },
                    -EBADF, COIL_SPAWN_STAGE_STDIO},
            {"/bin/answer",
                    [](coil_spawn_plan *plan) {
                        plan->limits = &limit;
                        plan->limit_count = 1;
                    },
                    -EINVAL, COIL_SPAWN_STAGE_LIMITS},
            {"/bin/answer", [](coil_spawn_plan *plan) { plan->death_signal = 99; }, -EINVAL,
                    COIL_SPAWN_STAGE_DEATH_SIGNAL},
    };
    for (const auto &one : cases) {
        begin_world(7);
        told.plan = plan_of(one.program);
        one.change(&told.plan);
        run("/bin/try");
        EXPECT_EQ(one.error, told.result) << one.program;
        EXPECT_EQ(one.stage, told.stage) << one.program;
    }
}

TEST_F(SimChild, OnlyTheSuperuserBecomesSomebodyElse)
{
    static const coil_spawn_identity nobody = {65534, 65534, nullptr, 0};
    told.plan = plan_of("/bin/answer");
    told.plan.run_as = &nobody;
    run("/bin/try");
    EXPECT_EQ(42, told.code);
}

TEST_F(SimChild, ThousandsAreReaped)
{
    run("/bin/many");
    EXPECT_EQ(3000, told.count);
}

TEST_F(SimChild, CancelledWaitLosesNoStatus)
{
    int late = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        begin_world(seed);
        told.wait = coil_us((int64_t)seed % 100);
        run("/bin/hesitate");
        ASSERT_EQ(0, told.result) << seed;
        ASSERT_EQ(42, told.code) << seed;
        late += told.count;
    }
    EXPECT_GT(late, 10);
    EXPECT_LT(late, 1000);
}

TEST_F(SimChild, UmaskOfThePlanCounts)
{
    told.plan = plan_of("/bin/create");
    run("/bin/try");
    EXPECT_EQ(0644 & 0xff, told.code);
    begin_world(1);
    told.plan = plan_of("/bin/create");
    told.plan.set_umask = true;
    told.plan.umask = 0077;
    run("/bin/try");
    EXPECT_EQ(0600 & 0xff, told.code);
}

TEST_F(SimChild, OneSeedIsOneSchedule)
{
    uint64_t fingerprints[2];
    for (uint64_t &fingerprint : fingerprints) {
        begin_world(99);
        run("/bin/many");
        fingerprint = coil_sim_fingerprint(sim);
    }
    EXPECT_EQ(fingerprints[0], fingerprints[1]);
}

TEST_F(SimChild, HostileWorldLosesNoChild)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        begin_world(seed);
        coil_sim_set_profile(sim, COIL_SIM_HOSTILE);
        told.program = "/bin/answer";
        const pid_t pid = start("/bin/watch");
        ASSERT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(3600))) << seed;
        ASSERT_EQ(0, coil_sim_status(sim, pid)) << seed;
        ASSERT_EQ(1U, coil_sim_process_count(sim)) << seed;
    }
}

} // namespace
