/* SPDX-License-Identifier: MIT */
/* What becomes of children whose parent goes first, does not ask, or stops them. */
#include "sim_child_stage.h"

#include "family_stage.h"

#include <sys/wait.h>

namespace
{

const coil_duration A_MOMENT = coil_ms(5);

using SimOrphan = SimChild;

/* --------------------------------------------------------------------------------- parents -- */

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

const Program own_programs[] = {{"/bin/middle", middle}, {"/bin/thread", thread},
        {"/bin/careless", careless}, {"/bin/kill", kill_parent}, {"/bin/job_control", job_control},
        {"/bin/job", job}, {"/bin/shell", shell}, {nullptr, nullptr}};

TEST_F(SimOrphan, DiesWithItsParentAndSoDoesTheGrandchild)
{
    const pid_t pid = start("/bin/middle");
    EXPECT_EQ(COIL_SIM_STUCK, coil_sim_run(sim, coil_s(1)));
    EXPECT_EQ(2U, coil_sim_process_count(sim));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGKILL));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(1)));
    EXPECT_EQ(1U, coil_sim_process_count(sim));
    EXPECT_EQ(-SIGKILL, coil_sim_status(sim, pid));
}

TEST_F(SimOrphan, OrphanThatOutlivesIsReapedByInit)
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

TEST_F(SimOrphan, NothingIsLeftOfAParentThatIsKilledInAnyCall)
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

TEST_F(SimOrphan, DiesWithTheThreadThatMadeIt)
{
    const pid_t pid = coil_sim_start(sim, "alpha", "/bin/thread", nullptr);
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(1, told.count);
    EXPECT_EQ(2U, coil_sim_process_count(sim)); /* The child is a zombie now. */
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(10)));
    EXPECT_EQ(-SIGKILL, told.code);
    EXPECT_EQ(0, coil_sim_status(sim, pid));
}

/* And told by the pidfd (PIDFD_INFO_EXIT). */
TEST_F(SimOrphan, UnwantedStatusIsReapedAtOnce)
{
    const pid_t pid = coil_sim_start(sim, "alpha", "/bin/careless", nullptr);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(0, coil_sim_status(sim, pid));
}

/* Also while the child runs on its memory, before its exec. */
TEST_F(SimOrphan, NothingIsLeftOfAParentThatIsKilledAtAnyTime)
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

TEST_F(SimOrphan, StopsAndContinuationsCanBeWaitedFor)
{
    run("/bin/job_control");
    EXPECT_EQ(CLD_STOPPED * 1000 + SIGSTOP, told.code);
    EXPECT_EQ(0, told.count);
    EXPECT_EQ(CLD_CONTINUED * 1000 + SIGCONT, told.stage);
    EXPECT_EQ(CLD_KILLED * 1000 + SIGKILL, told.result);
}

TEST_F(SimOrphan, AnOrphanedJobThatIsStoppedIsHungUp)
{
    const pid_t pid = start("/bin/shell");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(60)));
    EXPECT_EQ(0, coil_sim_status(sim, pid));
    EXPECT_EQ(1U, coil_sim_process_count(sim));
}

TEST_F(SimOrphan, PowerLossEndsAllAndTheHostStartsAgain)
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

} // namespace
