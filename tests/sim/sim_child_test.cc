/* SPDX-License-Identifier: MIT */
/* coil/spawn.h and coil/child.h on a simulated kernel: children end, hang, crash, never start. */
#include <coil/sim.h>

#include "family_stage.h"

#include <coil/coil.h>
#include <coil/kernel.h>

#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/wait.h>

#include <gtest/gtest.h>

#include <coil/sugar.h>

namespace
{

const coil_duration A_MOMENT = coil_ms(5);

/* What programs tell their test; they share its memory. */
struct {
    int code;
    int result;
    int stage;
    int count;
    coil_duration wait;
    bool outlive;
    const char *program;
    coil_spawn_plan plan;
} told;

/* -------------------------------------------------------------------------------- programs -- */

int answer(int, char **)
{
    return 42;
}

int hang(int, char **)
{
    for (;;)
        (void)coil_run(coil_sleep(COIL_FOREVER));
}

int crash(int, char **)
{
    (void)coil_kernel_raise(SIGSEGV);
    return 1;
}

int obedient(int, char **)
{
    return coil_run(coil_signal_wait(COIL_SIGNALS(SIGTERM))) == SIGTERM ? 5 : 6;
}

int deaf(int argc, char **argv)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, nullptr);
    return hang(argc, argv);
}

int frozen(int argc, char **argv)
{
    (void)coil_kernel_raise(SIGSTOP);
    return obedient(argc, argv);
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

coil_spawn_plan plan_of(const char *program)
{
    coil_spawn_plan plan;
    memset(&plan, 0, sizeof(plan));
    plan.program = program;
    plan.in.mode = plan.out.mode = plan.err.mode = COIL_STDIO_NULL;
    plan.death_signal = told.outlive ? COIL_SPAWN_OUTLIVE : 0;
    return plan;
}

int begin(const char *program, coil_child *child)
{
    const coil_spawn_plan plan = plan_of(program);
    memset(child, 0, sizeof(*child));
    return coil_child_spawn(&plan, child, nullptr);
}

async(int, watches)
{
    vars(coil_child child; int rc);
    my->rc = begin(told.program, &my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    await(my->rc, coil_child_wait(&my->child));
    told.code = my->child.exit.signaled ? -my->child.exit.code : my->child.exit.code;
    return my->rc;
}

int watch(int, char **)
{
    told.result = (int)coil_run(watches());
    return 0;
}

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

/* Has a child that has a child, and waits for its own for ever. */
int middle(int, char **)
{
    coil_child child;
    if (begin("/bin/hang", &child) < 0)
        return 1;
    coil_child_fini(&child);
    return hang(0, nullptr);
}

coil_child made_by_thread;

void make_child(coil_kernel_thread *)
{
    told.count = begin("/bin/hang", &made_by_thread) == 0 ? 1 : 0;
}

/* Its child is killed when the thread ends, although the process lives on. */
int thread(int, char **)
{
    coil_kernel_thread maker;
    siginfo_t status;
    memset(&maker, 0, sizeof(maker));
    maker.run = make_child;
    if (coil_kernel_thread_start(&maker) < 0)
        return 1;
    coil_kernel_thread_join(&maker);
    (void)coil_run(coil_sleep(coil_s(5)));
    const int rc = coil_kernel_reap(made_by_thread.pidfd, &status);
    told.code = -status.si_status;
    coil_child_fini(&made_by_thread);
    return rc == 0 ? 0 : 2;
}

/* Ignores SIGCHLD, and so gets no statuses. */
int careless(int, char **)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    (void)coil_kernel_sigaction(SIGCHLD, &action, nullptr);
    told.program = "/bin/answer";
    told.result = (int)coil_run(watches());
    return 0;
}

struct {
    coil_sim *sim;
    pid_t pid;
    bool is_late; /* It could not end at once. */
} victim;

/* Kills it some time after it has made a child, twice. */
int kill_parent(int, char **)
{
    while (coil_sim_process_count(victim.sim) < 3)
        (void)coil_kernel_now();
    for (int64_t count = coil_sim_now(victim.sim) % 8; count > 0; count--)
        (void)coil_kernel_now();
    (void)coil_sim_kill(victim.sim, victim.pid, SIGKILL);
    victim.is_late = coil_sim_status(victim.sim, victim.pid) == -EBUSY;
    (void)coil_sim_kill(victim.sim, victim.pid, SIGKILL);
    return 0;
}

/* What a shell does for job control. */
int job_control(int, char **)
{
    coil_child child;
    if (begin("/bin/frozen", &child) < 0)
        return 1;
    told.code = stage_wait(child.pid, WSTOPPED);
    told.count = stage_wait(child.pid, WSTOPPED | WCONTINUED | WNOHANG);
    (void)coil_kernel_pidfd_signal(child.pidfd, SIGCONT);
    told.stage = stage_wait(child.pid, WSTOPPED | WCONTINUED);
    (void)coil_kernel_pidfd_signal(child.pidfd, SIGKILL);
    told.result = stage_wait(child.pid, WSTOPPED | WEXITED);
    coil_child_fini(&child);
    return 0;
}

/* A job of two processes, one of which is stopped. */
int job(int, char **)
{
    coil_child child;
    told.outlive = true;
    return begin("/bin/frozen", &child) < 0 ? 1 : hang(0, nullptr);
}

/* Goes, and leaves its job behind. */
int shell(int, char **)
{
    coil_child child;
    memset(&child, 0, sizeof(child));
    told.outlive = true;
    coil_spawn_plan plan = plan_of("/bin/job");
    plan.group = COIL_SPAWN_GROUP_NEW;
    if (coil_child_spawn(&plan, &child, nullptr) < 0)
        return 1;
    (void)coil_run(coil_sleep(coil_s(1)));
    coil_child_fini(&child);
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

class SimChild : public ::testing::Test
{
protected:
    SimChild()
    {
        begin_world(1);
    }
    ~SimChild() override
    {
        coil_sim_destroy(sim);
    }

    void begin_world(uint64_t seed)
    {
        static const struct {
            const char *path;
            int (*main)(int, char **);
        } programs[] = {{"/bin/answer", answer}, {"/bin/hang", hang}, {"/bin/crash", crash},
                {"/bin/obedient", obedient}, {"/bin/deaf", deaf}, {"/bin/frozen", frozen},
                {"/bin/greet", greet}, {"/bin/environment", environment}, {"/bin/watch", watch},
                {"/bin/stop", stop}, {"/bin/hesitate", hesitate}, {"/bin/many", many},
                {"/bin/try", try_plan}, {"/bin/listen", listen_to_greeting},
                {"/bin/job_control", job_control}, {"/bin/job", job}, {"/bin/shell", shell},
                {"/bin/create", create_file}, {"/bin/kill", kill_parent}, {"/bin/middle", middle},
                {"/bin/thread", thread}, {"/bin/careless", careless}};
        coil_sim_destroy(sim);
        sim = coil_sim_create(seed);
        for (const auto &program : programs)
            coil_sim_program(sim, program.path, program.main);
        memset(&told, 0, sizeof(told));
        told.result = told.code = -9999;
    }

    pid_t start(const char *path)
    {
        return coil_sim_start(sim, "alpha", path, nullptr);
    }

    /* Run to the end; only the first process may be left. */
    void run(const char *path)
    {
        const pid_t pid = start(path);
        ASSERT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
        EXPECT_EQ(0, coil_sim_status(sim, pid));
        EXPECT_EQ(1U, coil_sim_process_count(sim));
    }

    coil_sim *sim = nullptr;
};

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
    EXPECT_GT(late, 50);
    EXPECT_LT(late, 1000);
}

TEST_F(SimChild, DiesWithItsParentAndSoDoesTheGrandchild)
{
    const pid_t pid = start("/bin/middle");
    EXPECT_EQ(COIL_SIM_STUCK, coil_sim_run(sim, coil_s(1)));
    EXPECT_EQ(2U, coil_sim_process_count(sim));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGKILL));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(1)));
    EXPECT_EQ(1U, coil_sim_process_count(sim));
    EXPECT_EQ(-SIGKILL, coil_sim_status(sim, pid));
}

TEST_F(SimChild, OrphanThatOutlivesIsReapedByInit)
{
    told.outlive = true;
    const pid_t pid = start("/bin/middle");
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGKILL));
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(2U, coil_sim_process_count(sim));
    EXPECT_EQ(0, coil_sim_kill(sim, pid + 1, SIGTERM));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(1)));
    EXPECT_EQ(1U, coil_sim_process_count(sim));
}

TEST_F(SimChild, NothingIsLeftOfAParentThatIsKilledInAnyCall)
{
    for (uint64_t call = 1; call <= 400; call++) {
        begin_world(call);
        told.program = "/bin/hang";
        const pid_t pid = start("/bin/watch");
        EXPECT_EQ(0, coil_sim_kill_at_call(sim, pid, call, SIGKILL));
        const coil_sim_outcome outcome = coil_sim_run(sim, coil_s(60));
        if (outcome != COIL_SIM_ENDED) { /* It did not come that far: it waits. */
            EXPECT_GT(call, 15U);
            return;
        }
        EXPECT_EQ(-SIGKILL, coil_sim_status(sim, pid));
        ASSERT_EQ(1U, coil_sim_process_count(sim)) << call;
    }
}

TEST_F(SimChild, DiesWithTheThreadThatMadeIt)
{
    const pid_t pid = coil_sim_start(sim, "alpha", "/bin/thread", nullptr);
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(1, told.count);
    EXPECT_EQ(2U, coil_sim_process_count(sim)); /* The child is a zombie now. */
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(10)));
    EXPECT_EQ(-SIGKILL, told.code);
    EXPECT_EQ(0, coil_sim_status(sim, pid));
}

TEST_F(SimChild, UnwantedStatusIsReapedAtOnce)
{
    const pid_t pid = coil_sim_start(sim, "alpha", "/bin/careless", nullptr);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
    EXPECT_EQ(-ECHILD, told.result);
    EXPECT_EQ(0, coil_sim_status(sim, pid));
}

/* Also while the child runs on its memory, before its exec. */
TEST_F(SimChild, NothingIsLeftOfAParentThatIsKilledAtAnyTime)
{
    int before_exec = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        begin_world(seed);
        told.program = "/bin/hang";
        victim = {sim, start("/bin/watch"), false};
        (void)start("/bin/kill");
        ASSERT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(60))) << seed;
        ASSERT_EQ(-SIGKILL, coil_sim_status(sim, victim.pid)) << seed;
        ASSERT_EQ(2U, coil_sim_process_count(sim)) << seed;
        before_exec += victim.is_late;
    }
    EXPECT_GT(before_exec, 20);
    EXPECT_LT(before_exec, 1000);
}

TEST_F(SimChild, StopsAndContinuationsCanBeWaitedFor)
{
    run("/bin/job_control");
    EXPECT_EQ(CLD_STOPPED * 1000 + SIGSTOP, told.code);
    EXPECT_EQ(0, told.count);
    EXPECT_EQ(CLD_CONTINUED * 1000 + SIGCONT, told.stage);
    EXPECT_EQ(CLD_KILLED * 1000 + SIGKILL, told.result);
}

TEST_F(SimChild, AnOrphanedJobThatIsStoppedIsHungUp)
{
    const pid_t pid = start("/bin/shell");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(60)));
    EXPECT_EQ(0, coil_sim_status(sim, pid));
    EXPECT_EQ(1U, coil_sim_process_count(sim));
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

TEST_F(SimChild, PowerLossEndsAllAndTheHostStartsAgain)
{
    told.program = "/bin/hang";
    (void)start("/bin/watch");
    (void)start("/bin/middle");
    (void)coil_sim_run(sim, A_MOMENT);
    EXPECT_EQ(4U, coil_sim_process_count(sim));
    coil_sim_cut_power(sim, "alpha");
    EXPECT_EQ(0U, coil_sim_process_count(sim));
    told.program = "/bin/answer";
    run("/bin/watch");
    EXPECT_EQ(42, told.code);
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
