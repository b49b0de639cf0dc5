/* SPDX-License-Identifier: MIT */
/* Signals on a simulated kernel: as signal(7), signalfd(2) and the real kernel have them. */
#include <coil/sim.h>

#include <coil/coil.h>
#include <coil/kernel.h>

#include <csignal>
#include <cstring>

#include <gtest/gtest.h>

#include <coil/sugar.h>

namespace
{

struct {
    volatile int handled;
    int value;
    int rc;
    coil_duration time;
} told;

void on_signal(int signo)
{
    told.handled = told.handled * 100 + signo;
}

sigset_t set_of(int signo)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, signo);
    return set;
}

void handle(int signo)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    EXPECT_EQ(0, coil_kernel_sigaction(signo, &action, nullptr));
}

class SimSignal : public ::testing::Test
{
protected:
    SimSignal() : sim(coil_sim_create(1))
    {
        memset((void *)&told, 0, sizeof(told));
    }
    ~SimSignal() override
    {
        coil_sim_destroy(sim);
    }

    pid_t start(int (*main)(int, char **))
    {
        coil_sim_program(sim, "/bin/test", main);
        return coil_sim_start(sim, "alpha", "/bin/test", nullptr);
    }

    int run(int (*main)(int, char **))
    {
        const pid_t pid = start(main);
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
        return coil_sim_status(sim, pid);
    }

    coil_sim *const sim;
};

TEST_F(SimSignal, HandlerHasRunWhenRaiseReturns)
{
    EXPECT_EQ(0, run([](int, char **) {
        handle(SIGUSR1);
        (void)coil_kernel_raise(SIGUSR1);
        return told.handled == SIGUSR1 ? 0 : 1;
    }));
}

TEST_F(SimSignal, BlockedOneWaitsAndIsCountedOnce)
{
    EXPECT_EQ(0, run([](int, char **) {
        const sigset_t set = set_of(SIGUSR1);
        sigset_t pending;
        handle(SIGUSR1);
        (void)coil_kernel_sigmask(SIG_BLOCK, &set, nullptr);
        (void)coil_kernel_raise(SIGUSR1);
        (void)coil_kernel_raise(SIGUSR1);
        (void)coil_kernel_sigpending(&pending);
        if (told.handled != 0 || sigismember(&pending, SIGUSR1) != 1)
            return 1;
        (void)coil_kernel_sigmask(SIG_UNBLOCK, &set, nullptr);
        return told.handled == SIGUSR1 ? 0 : 2;
    }));
}

TEST_F(SimSignal, RealTimeOnesAreQueued)
{
    EXPECT_EQ(0, run([](int, char **) {
        const sigset_t set = set_of(SIGRTMIN);
        (void)coil_kernel_sigmask(SIG_BLOCK, &set, nullptr);
        (void)coil_kernel_raise(SIGRTMIN);
        (void)coil_kernel_raise(SIGRTMIN);
        if (coil_kernel_sigtake(&set) != SIGRTMIN || coil_kernel_sigtake(&set) != SIGRTMIN)
            return 1;
        return coil_kernel_sigtake(&set) == -EAGAIN ? 0 : 2;
    }));
}

TEST_F(SimSignal, IgnoringThrowsAwayWhatIsPending)
{
    EXPECT_EQ(0, run([](int, char **) {
        const sigset_t set = set_of(SIGUSR1);
        struct sigaction action;
        (void)coil_kernel_sigmask(SIG_BLOCK, &set, nullptr);
        (void)coil_kernel_raise(SIGUSR1);
        memset(&action, 0, sizeof(action));
        action.sa_handler = SIG_IGN;
        (void)coil_kernel_sigaction(SIGUSR1, &action, nullptr);
        return coil_kernel_sigtake(&set) == -EAGAIN ? 0 : 1;
    }));
}

TEST_F(SimSignal, KillAndStopTakeNoHandler)
{
    EXPECT_EQ(0, run([](int, char **) {
        struct sigaction action;
        memset(&action, 0, sizeof(action));
        return coil_kernel_sigaction(SIGKILL, &action, nullptr) == -EINVAL &&
                               coil_kernel_sigaction(SIGSTOP, &action, nullptr) == -EINVAL
                       ? 0
                       : 1;
    }));
}

TEST_F(SimSignal, DefaultActionEndsTheProcess)
{
    EXPECT_EQ(-SIGUSR2, run([](int, char **) { return coil_kernel_raise(SIGUSR2); }));
    EXPECT_EQ(0, run([](int, char **) { return coil_kernel_raise(SIGCHLD); }));
}

async(int, naps)
{
    vars();
    await(coil_sleep(coil_s(10)));
    return 3;
}

int nap(int, char **)
{
    handle(SIGUSR1);
    return (int)coil_run(naps());
}

TEST_F(SimSignal, HandlerInterruptsAWaitThatGoesOn)
{
    const pid_t pid = start(nap);
    const coil_time before = coil_sim_now(sim);
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGUSR1));
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(SIGUSR1, told.handled);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
    EXPECT_EQ(3, coil_sim_status(sim, pid));
    EXPECT_LT(coil_sim_now(sim) - before, coil_s(11));
}

TEST_F(SimSignal, StoppedProcessDoesNothingUntilItContinues)
{
    const pid_t pid = start(nap);
    const coil_time before = coil_sim_now(sim);
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGSTOP));
    (void)coil_sim_run(sim, coil_s(30));
    EXPECT_EQ(-EBUSY, coil_sim_status(sim, pid));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGUSR1));
    EXPECT_EQ(0, told.handled);
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGCONT));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
    EXPECT_EQ(SIGUSR1, told.handled);
    EXPECT_EQ(3, coil_sim_status(sim, pid));
    EXPECT_GE(coil_sim_now(sim) - before, coil_s(10));
}

async(int, counts_signals)
{
    vars(coil_signals *signals; int signo; int count);
    my->signo = coil_signals_open(COIL_SIGNALS(SIGUSR1, SIGTERM), &my->signals);
    if (my->signo < 0)
        return my->signo;
    defer(coil_signals_close(my->signals));
    for (;;) {
        await(my->signo, coil_signals_next(my->signals));
        if (my->signo != SIGUSR1)
            return my->signo == SIGTERM ? my->count : 99;
        my->count++;
    }
}

TEST_F(SimSignal, SignalfdTellsThemInTheLoop)
{
    const pid_t pid = start([](int, char **) { return (int)coil_run(counts_signals()); });
    for (int i = 0; i < 5; i++) {
        (void)coil_sim_run(sim, coil_s(1));
        EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGUSR1));
    }
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGUSR1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGUSR1)); /* One and the same. */
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGTERM));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
    EXPECT_EQ(6, coil_sim_status(sim, pid));
}

TEST_F(SimSignal, InterruptCancelsARun)
{
    const pid_t pid = start([](int, char **) {
        told.rc = (int)coil_run(coil_sleep(COIL_FOREVER));
        return 0;
    });
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(sim, pid, SIGINT));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(1)));
    EXPECT_EQ(-EINTR, told.rc);
}

TEST_F(SimSignal, ABrokenPipeKillsUnlessItIsIgnored)
{
    EXPECT_EQ(-SIGPIPE, run([](int, char **) {
        int ends[2];
        (void)coil_kernel_pipe(ends);
        (void)coil_kernel_close(ends[0]);
        const ssize_t rc = coil_kernel_write(ends[1], "x", 1);
        (void)coil_kernel_now();
        return rc == -EPIPE ? 1 : 2;
    }));
    EXPECT_EQ(0, run([](int, char **) {
        const sigset_t set = set_of(SIGPIPE);
        int ends[2];
        (void)coil_kernel_sigmask(SIG_BLOCK, &set, nullptr);
        (void)coil_kernel_pipe(ends);
        (void)coil_kernel_close(ends[0]);
        if (coil_kernel_write(ends[1], "x", 1) != -EPIPE)
            return 1;
        return coil_kernel_sigtake(&set) == SIGPIPE ? 0 : 2;
    }));
}

TEST_F(SimSignal, PidfdOfOthers)
{
    EXPECT_EQ(0, run([](int, char **) {
        if (coil_kernel_pidfd_open(0) != -EINVAL || coil_kernel_pidfd_open(4711) != -ESRCH)
            return 1;
        const int fd = coil_kernel_pidfd_open(coil_kernel_getpid());
        if (coil_kernel_pidfd_signal(fd, 0) != 0 || coil_kernel_pidfd_signal(fd, 65) != -EINVAL)
            return 2;
        if (coil_kernel_pidfd_signal(fd + 1, SIGTERM) != -EBADF)
            return 3;
        siginfo_t status;
        return coil_kernel_reap(fd, &status) == -ECHILD ? 0 : 4;
    }));
}

} // namespace
