/* SPDX-License-Identifier: MIT */
/* What the simulated kernel has once done wrong, or nobody had looked at. */
#include <coil/sim.h>
#include <coil/sim_network.h>

#include "sim_stage.h"

#include <coil/coil.h>
#include <coil/kernel.h>

#include <cerrno>
#include <csignal>

#include <getopt.h>

#include <gtest/gtest.h>

#include <coil/sugar.h>

namespace
{

/* --------------------------------------------------------------------------------- signals -- */

async(int, take_signals, (int) count)
{
    vars(coil_signals *signals; int taken; int signo; int rc);

    my->rc = coil_signals_open(COIL_SIGNALS(SIGUSR1, SIGUSR2), &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    for (my->taken = 0; my->taken < count; my->taken++) {
        (void)coil_kernel_raise(my->taken % 2 == 0 ? SIGUSR1 : SIGUSR2);
        attempt(my->signo, coil_signals_next(my->signals));
    }
    return 0;
}

/* A read of a signalfd is whole records, or -EINVAL: it cannot be made short. */
TEST(SimRegression, ShortReadsDoNotCutSignals)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        World world(seed);
        EXPECT_EQ(0, coil_sim_set_fault(world.sim, "short-read", 1000000));
        EXPECT_EQ(0, world.run([](int, char **) { return -(int)coil_run(take_signals(10)); }));
    }
}

int sleeps(int, char **)
{
    const uint32_t word = 0;
    const coil_time end = coil_time_after(coil_kernel_now(), coil_s(10));
    while (coil_kernel_now() < end)
        coil_kernel_word_wait(&word, 0, end - coil_kernel_now());
    return 0;
}

/* signal(7): what comes while it is stopped is seen to when it goes on; SIGKILL is at once. */
TEST(SimRegression, AStoppedProcessDiesWhenItContinues)
{
    World world;
    const pid_t pid = world.start(sleeps);
    (void)coil_sim_run(world.sim, coil_ms(100));
    (void)coil_sim_kill(world.sim, pid, SIGSTOP);
    (void)coil_sim_run(world.sim, coil_ms(100));
    (void)coil_sim_kill(world.sim, pid, SIGTERM);
    (void)coil_sim_run(world.sim, coil_ms(100));
    EXPECT_EQ(-EBUSY, coil_sim_status(world.sim, pid));
    (void)coil_sim_kill(world.sim, pid, SIGCONT);
    (void)coil_sim_run(world.sim, coil_ms(100));
    EXPECT_EQ(-SIGTERM, coil_sim_status(world.sim, pid));
}

TEST(SimRegression, AStoppedProcessDiesOfTheKillAndNotOfWhatWasPending)
{
    World world;
    const pid_t pid = world.start(sleeps);
    (void)coil_sim_run(world.sim, coil_ms(100));
    for (const int signo : {SIGSTOP, SIGTERM, SIGKILL})
        (void)coil_sim_kill(world.sim, pid, signo);
    (void)coil_sim_run(world.sim, coil_ms(100));
    EXPECT_EQ(-SIGKILL, coil_sim_status(world.sim, pid));
}

/* ----------------------------------------------------------------------------- connections -- */

async(int, connects)
{
    vars(coil_stream *peer; coil_slice in);
    await(coil_sleep(coil_ms(50)));
    attempt(my->peer, coil_connect("10.0.0.1:7000"));
    defer(coil_stream_close(my->peer));
    attempt(my->in, within(coil_s(1), coil_read_some(my->peer)));
    coil_slice_release(&my->in);
    return 0;
}

async(int, greets)
{
    vars(coil_listener *listener; coil_stream *peer; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(my->peer, coil_accept(my->listener));
    await(coil_sleep(coil_ms(20))); /* Open on both sides. */
    ignore(coil_write_all(my->peer, coil_text("hello")));
    coil_stream_close(my->peer);
    return 0;
}

/* How the client ends if all connections are reset so long after its SYN, which takes 10 ms. */
int reset_after(coil_duration moment)
{
    World world;
    const coil_sim_link link = {coil_ms(10), coil_ms(10), 0, 0, 0, 0, 0, 0};
    coil_sim_program(
            world.sim, "/bin/server", [](int, char **) { return -(int)coil_run(greets()); });
    coil_sim_program(
            world.sim, "/bin/client", [](int, char **) { return -(int)coil_run(connects()); });
    (void)coil_sim_start(world.sim, "server", "/bin/server", nullptr);
    const pid_t client = coil_sim_start(world.sim, "client", "/bin/client", nullptr);
    coil_sim_set_link(world.sim, "server", "client", &link);
    (void)coil_sim_run(world.sim, coil_ms(50) + moment);
    (void)coil_sim_reset_connections(world.sim, "server", "client");
    (void)coil_sim_run(world.sim, coil_s(20));
    return coil_sim_status(world.sim, client);
}

TEST(SimRegression, AResetBeforeTheConnectChangesNothing)
{
    EXPECT_EQ(0, reset_after(-coil_ms(20)));
}

/* The client knows of no connection yet: what is to be reset is that of the server alone. */
TEST(SimRegression, AResetInTheHandshakeChangesNothing)
{
    EXPECT_EQ(0, reset_after(coil_ms(15)));
}

TEST(SimRegression, AnOpenConnectionThatIsResetSaysSo)
{
    EXPECT_EQ(ECONNRESET, reset_after(coil_ms(25)));
}

/*
 * How the client ends if the server's host loses its power while its half of the connection is half
 * open, 15 ms after the SYN that takes 10 ms, and has power again after `darkness`.
 */
int dark_for(coil_duration darkness)
{
    World world;
    const coil_sim_link link = {coil_ms(10), coil_ms(10), 0, 0, 0, 0, 0, 0};
    coil_sim_program(
            world.sim, "/bin/server", [](int, char **) { return -(int)coil_run(greets()); });
    coil_sim_program(
            world.sim, "/bin/client", [](int, char **) { return -(int)coil_run(connects()); });
    coil_sim_program(world.sim, "/bin/other", sleeps);
    (void)coil_sim_start(world.sim, "server", "/bin/server", nullptr);
    const pid_t client = coil_sim_start(world.sim, "client", "/bin/client", nullptr);
    coil_sim_set_link(world.sim, "server", "client", &link);
    (void)coil_sim_run(world.sim, coil_ms(65));
    coil_sim_cut_power(world.sim, "server");
    (void)coil_sim_run(world.sim, darkness);
    (void)coil_sim_start(world.sim, "server", "/bin/other", nullptr);
    (void)coil_sim_run(world.sim, coil_s(20));
    return coil_sim_status(world.sim, client);
}

/* It has asked for a connection that the server knows nothing of any more, and must not open it. */
TEST(SimRegression, AConnectionWhoseServerGoesWhileItIsHalfOpenIsRefused)
{
    EXPECT_EQ(ECONNREFUSED, dark_for(coil_ms(1)));
    EXPECT_EQ(ECONNREFUSED, dark_for(coil_s(10)));
}

/* Nobody is there who could refuse it. */
TEST(SimRegression, AConnectionToAHostThatStaysDarkTimesOut)
{
    EXPECT_EQ(ETIMEDOUT, dark_for(coil_s(200)));
}

async(int, listens_until, (coil_duration) moment)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    await(coil_sleep(moment));
    coil_listener_close(my->listener);
    await(coil_sleep(coil_s(1)));
    return 0;
}

/*
 * What becomes of a connection whose listener closes at any time of the handshake, in a network
 * that resets what it likes: it is one of these, and the client is told.
 */
TEST(SimRegression, AHandshakeThatIsCutOffIsToldToTheClient)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        World world(seed);
        const coil_sim_link link = {coil_ms(1), coil_ms(10), 0, 0, 0, 0, 0, 0};
        static coil_duration moment;
        moment = coil_ms(50) + coil_us(100) * static_cast<coil_duration>(seed);
        EXPECT_EQ(0, coil_sim_set_fault(world.sim, "reset", seed % 2 == 0 ? 300000 : 0));
        coil_sim_program(world.sim, "/bin/server",
                [](int, char **) { return -(int)coil_run(listens_until(moment)); });
        coil_sim_program(
                world.sim, "/bin/client", [](int, char **) { return -(int)coil_run(connects()); });
        (void)coil_sim_start(world.sim, "server", "/bin/server", nullptr);
        const pid_t client = coil_sim_start(world.sim, "client", "/bin/client", nullptr);
        coil_sim_set_link(world.sim, "server", "client", &link);
        (void)coil_sim_run(world.sim, coil_ms(40) + coil_us(70) * static_cast<coil_duration>(seed));
        if (seed % 3 == 0)
            (void)coil_sim_reset_connections(world.sim, "server", "client");
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, coil_s(100)));
        const int status = coil_sim_status(world.sim, client);
        EXPECT_TRUE(status == ECONNREFUSED || status == ECONNRESET) << seed << ": " << status;
    }
}

/* -------------------------------------------------------------------------------- children -- */

int spawn_quick(coil_child *child)
{
    static const char *const arguments[] = {"quick", nullptr};
    coil_spawn_error error;
    coil_spawn_plan plan = {};
    plan.program = "/bin/quick";
    plan.argv = arguments;
    return coil_child_spawn(&plan, child, &error);
}

/* Each wait is cancelled just as the child ends, or before. */
async(int, waits_impatiently)
{
    vars(coil_child child; int rc);

    my->rc = spawn_quick(&my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    do {
        await(my->rc, within(coil_us(30), coil_child_wait(&my->child)));
    } while (my->rc == -ETIME);
    if (my->rc < 0)
        return my->rc;
    return my->child.exit.code == 7 ? 0 : -EBADMSG;
}

int quick(int, char **)
{
    const uint32_t word = 0;
    coil_kernel_word_wait(&word, 0, coil_us(700));
    return 7;
}

/* The status is taken once, whatever the cancellation of the wait for it finds. */
TEST(SimRegression, AWaitThatIsCancelledTooLateLosesNoStatus)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        World world(seed);
        EXPECT_EQ(0,
                coil_sim_set_fault(world.sim, "cancel-too-late", seed % 2 == 0 ? 1000000 : 500000));
        coil_sim_program(world.sim, "/bin/quick", quick);
        EXPECT_EQ(0, world.run([](int, char **) { return -(int)coil_run(waits_impatiently()); }))
                << seed;
        EXPECT_EQ(1U, coil_sim_process_count(world.sim)); /* The child is reaped. */
    }
}

/* ---------------------------------------------------------------------------------- memory -- */

async(int, deeper, (int) depth)
{
    vars(char room[3000]; int rc);
    my->room[0] = 1;
    if (depth == 0)
        return 0;
    await(my->rc, deeper(depth - 1));
    return my->rc;
}

/* No memory for the frame of a running task is the end of the process, and no bug of the run. */
TEST(SimRegression, WithoutMemoryForAFrameAProcessAborts)
{
    unsigned abort_count = 0;
    for (uint64_t n = 1; n <= 60; n++) {
        World world;
        const pid_t pid =
                world.start([](int, char **) { return coil_run(deeper(30)) < 0 ? 1 : 0; });
        coil_sim_fail_allocation(world.sim, pid, n);
        testing::internal::CaptureStderr();
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
        const std::string said = testing::internal::GetCapturedStderr();
        const int status = coil_sim_status(world.sim, pid);
        EXPECT_TRUE(status == 0 || status == 1 || status == -SIGABRT) << status;
        if (status == -SIGABRT) {
            EXPECT_NE(std::string::npos, said.find("no memory for")) << said;
            abort_count++;
        }
    }
    EXPECT_GT(abort_count, 0U);
}

/* ----------------------------------------------------------------------------------- getopt -- */

/* The options that it has seen, as digits. It leaves getopt(3) in the middle of a word. */
int counts_options(int argc, char **argv)
{
    int seen = 0;
    int option;
    while ((option = getopt(argc, argv, "ab:")) != -1) {
        seen = seen * 10 + (option == 'a' ? 1 : option == 'b' ? 2 : 9);
        if (option == 'b')
            break;
    }
    return seen;
}

TEST(SimRegression, EachProcessReadsItsOwnOptions)
{
    World world;
    char name[] = "counts";
    char first[] = "-aaab";
    char second[] = "value";
    char third[] = "-a";
    char *const arguments[] = {name, first, second, third, nullptr};
    char *const others[] = {name, third, nullptr};
    coil_sim_program(world.sim, "/bin/counts", counts_options);
    const pid_t one = coil_sim_start(world.sim, "alpha", "/bin/counts", arguments);
    const pid_t other = coil_sim_start(world.sim, "alpha", "/bin/counts", others);
    const pid_t last = coil_sim_start(world.sim, "alpha", "/bin/counts", arguments);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(1112 % 256, coil_sim_status(world.sim, one));
    EXPECT_EQ(1, coil_sim_status(world.sim, other));
    EXPECT_EQ(1112 % 256, coil_sim_status(world.sim, last));
}

/* ----------------------------------------------------------------------------------- limits -- */

int opens_pipes(int, char **)
{
    int count = 0;
    int fds[2];
    while (coil_kernel_pipe(fds) == 0)
        count++;
    return count;
}

TEST(SimLimits, OfDescriptorsAreOfOneProcess)
{
    World world;
    const pid_t poor = world.start(opens_pipes);
    EXPECT_EQ(0, coil_sim_set_descriptor_limit(world.sim, poor, 13)); /* It has 0, 1 and 2. */
    const pid_t other = world.start(opens_pipes);
    EXPECT_EQ(0, coil_sim_set_descriptor_limit(world.sim, other, 104));
    EXPECT_EQ(-ESRCH, coil_sim_set_descriptor_limit(world.sim, 4000, 13));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(5, coil_sim_status(world.sim, poor));
    EXPECT_EQ(50, coil_sim_status(world.sim, other));
    EXPECT_EQ(-ESRCH, coil_sim_set_descriptor_limit(world.sim, poor, 13));
}

} // namespace
