/* SPDX-License-Identifier: MIT */
/* How processes begin and end: descriptors, output, exit(3), abort(3), a power loss. */
#include "sim_stage.h"

#include <coil/kernel.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#undef NDEBUG
#include <cassert>

#include <coil/sugar.h>

namespace
{

/* ----------------------------------------------------------------------------- descriptors -- */

void write_text(int fd, const char *text)
{
    (void)coil_kernel_write(fd, text, strlen(text));
}

int talk(int, char **)
{
    write_text(1, "out\n");
    write_text(2, "err\n");
    return 0;
}

TEST(SimProcess, WhatItWritesCanBeRead)
{
    World world;
    const pid_t one = world.start(talk, "/bin/one");
    const pid_t two = world.start([](int, char **) { return 0; }, "/bin/two");
    EXPECT_STREQ("", coil_sim_get_output(world.sim, one));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_STREQ("out\nerr\n", coil_sim_get_output(world.sim, one));
    EXPECT_STREQ("", coil_sim_get_output(world.sim, two));
    EXPECT_EQ(nullptr, coil_sim_get_output(world.sim, 9999));
}

int talk_much(int, char **)
{
    for (int i = 0; i < 200000; i++)
        write_text(1, "0123456789abcde\n");
    write_text(1, "the end\n");
    return 0;
}

TEST(SimProcess, OfMuchOutputTheLastIsKept)
{
    World world;
    EXPECT_EQ(0, world.run(talk_much));
    const std::string text = coil_sim_get_output(world.sim, 2);
    EXPECT_LE(text.size(), 1U << 20);
    EXPECT_GT(text.size(), 400000U);
    EXPECT_EQ(0U, text.find("0123456789abcde\n"));
    EXPECT_EQ(text.size() - 8, text.find("the end\n"));
}

async(int, reads_standard_input)
{
    vars(char byte; ssize_t count);
    await(my->count, coil_read(0, &my->byte, 1));
    return (int)my->count;
}

TEST(SimProcess, HasNothingToRead)
{
    World world;
    EXPECT_EQ(0, world.run([](int, char **) { return (int)coil_run(reads_standard_input()); }));
}

TEST(SimProcess, DescriptorsThatItHasNotClosedAreCounted)
{
    World world;
    const pid_t pid = world.start([](int, char **) {
        int ends[2];
        if (coil_kernel_pipe(ends) < 0)
            return 1;
        return coil_kernel_close(ends[0]) == 0 ? 0 : 2;
    });
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(0, coil_sim_status(world.sim, pid));
    EXPECT_EQ(1U, coil_sim_open_descriptors(world.sim, pid));
}

TEST(SimProcess, ARunOfALoopLeavesNoDescriptorOpen)
{
    World world;
    const pid_t pid = world.start([](int, char **) { return (int)coil_run(coil_sleep(1)); });
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(0U, coil_sim_open_descriptors(world.sim, pid));
}

/* ------------------------------------------------------------------------------ environment -- */

int puts_its_name_there(int, char **argv)
{
    if (getenv("NAME") != nullptr || setenv("NAME", argv[0], 1) < 0)
        return 1;
    (void)coil_run(coil_sleep(coil_ms(1))); /* Others run. */
    const char *name = getenv("NAME");
    return name != nullptr && strcmp(name, argv[0]) == 0 ? 0 : 2;
}

TEST(SimProcess, KeepsWhatItPutsIntoItsEnvironmentToItself)
{
    World world;
    const pid_t one = world.start(puts_its_name_there, "/bin/one");
    const pid_t two = world.start(puts_its_name_there, "/bin/two");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(0, coil_sim_status(world.sim, one));
    EXPECT_EQ(0, coil_sim_status(world.sim, two));
    EXPECT_EQ(nullptr, getenv("NAME"));
}

/* ---------------------------------------------------------------------------------- endings -- */

void leave(int how)
{
    switch (how) {
    case 0:
        exit(3);
    case 1:
        _exit(4);
    case 2:
        quick_exit(5);
    case 3:
        _Exit(6);
    default:
        abort();
    }
}

async(int, leaves, (int) how)
{
    vars();
    await(coil_sleep(coil_ms(1)));
    leave(how);
    return 0;
}

int answers(int, char **)
{
    (void)coil_run(coil_sleep(coil_s(1)));
    return 42;
}

TEST(SimProcess, CanEndItselfAnywhereAndNobodyElse)
{
    static int how;
    const int statuses[] = {3, 4, 5, 6, -SIGABRT};
    for (how = 0; how < 5; how++) {
        World world;
        const pid_t other = world.start(answers, "/bin/other");
        const pid_t pid =
                world.start([](int, char **) { return (int)coil_run(leaves(how)); }, "/bin/one");
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
        EXPECT_EQ(statuses[how], coil_sim_status(world.sim, pid));
        EXPECT_EQ(42, coil_sim_status(world.sim, other));
    }
}

int fails_a_check(int, char **)
{
    COIL_CHECK(coil_kernel_now() < 0);
    return 0;
}

int fails_an_assertion(int, char **)
{
    assert(coil_kernel_now() < 0);
    return 0;
}

TEST(SimProcess, MayFailACheckIfTheScenarioSaysSo)
{
    for (const auto program : {fails_a_check, fails_an_assertion}) {
        World world;
        const pid_t pid = world.start(program);
        coil_sim_may_abort(world.sim, pid);
        testing::internal::CaptureStderr();
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
        const std::string said = testing::internal::GetCapturedStderr();
        EXPECT_NE(std::string::npos, said.find("coil_kernel_now() < 0")) << said;
        EXPECT_EQ(-SIGABRT, coil_sim_status(world.sim, pid));
    }
}

TEST(SimProcessDeathTest, AFailedCheckIsAFailureOfTheRun)
{
    for (const auto program : {fails_a_check, fails_an_assertion})
        EXPECT_DEATH((void)World().run(program), "a check has failed in process 2");
}

int aborts_with_a_handler(int, char **)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = [](int) { write_text(1, "caught"); };
    (void)coil_kernel_sigaction(SIGABRT, &action, nullptr);
    abort();
}

TEST(SimProcess, AnAbortRunsTheHandlerAndEndsAllTheSame)
{
    World world;
    EXPECT_EQ(-SIGABRT, world.run(aborts_with_a_handler));
    EXPECT_STREQ("caught", coil_sim_get_output(world.sim, 2));
}

/* ------------------------------------------------------------------------------- power loss -- */

coil_sim *stage; /* For programs that act as scenarios. */
pid_t restarted;

TEST(SimPower, IsCutByAProcessElsewhere)
{
    World world;
    stage = world.sim;
    coil_sim_program(world.sim, "/bin/answers", answers);
    coil_sim_program(world.sim, "/bin/cuts", [](int, char **) {
        (void)coil_run(coil_sleep(coil_ms(500)));
        coil_sim_cut_power(stage, "alpha");
        (void)coil_run(coil_sleep(coil_ms(500)));
        restarted = coil_sim_start(stage, "alpha", "/bin/answers", nullptr);
        return 0;
    });
    const pid_t victim = coil_sim_start(world.sim, "alpha", "/bin/answers", nullptr);
    const pid_t pid = coil_sim_start(world.sim, "beta", "/bin/cuts", nullptr);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(-ESRCH, coil_sim_status(world.sim, victim));    /* Nothing is left of it, */
    EXPECT_STREQ("", coil_sim_get_output(world.sim, victim)); /* but what it has said. */
    EXPECT_EQ(0, coil_sim_status(world.sim, pid));
    EXPECT_EQ(2U, coil_sim_process_count(world.sim));
    EXPECT_EQ(42, coil_sim_status(world.sim, restarted));
}

TEST(SimPower, IsCutByAProcessOfTheHostItself)
{
    World world;
    stage = world.sim;
    coil_sim_program(world.sim, "/bin/answers", answers);
    coil_sim_program(world.sim, "/bin/cuts", [](int, char **) {
        coil_sim_cut_power(stage, "alpha");
        return 0;
    });
    (void)coil_sim_start(world.sim, "alpha", "/bin/answers", nullptr);
    (void)coil_sim_start(world.sim, "alpha", "/bin/cuts", nullptr);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(0U, coil_sim_process_count(world.sim));
    EXPECT_LT(world.elapsed(), coil_s(1));
}

async(int, listens)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(int, waits_for_the_end)
{
    vars(coil_stream *peer; coil_slice in);
    await(coil_sleep(coil_ms(50)));
    attempt(my->peer, coil_connect("10.0.0.1:7000"));
    defer(coil_stream_close(my->peer));
    await(coil_sleep(coil_s(1)));
    attempt(coil_write_all(my->peer, coil_bytes("x", 1))); /* It finds out by this alone. */
    attempt(my->in, coil_read_some(my->peer));
    coil_slice_release(&my->in);
    return 0;
}

/* A host without power is silent; with power again it does not know the connection. */
TEST(SimPower, SilencesTheNetwork)
{
    for (bool has_power_again : {false, true}) {
        World world;
        coil_sim_program(
                world.sim, "/bin/listens", [](int, char **) { return -(int)coil_run(listens()); });
        coil_sim_program(world.sim, "/bin/waits",
                [](int, char **) { return -(int)coil_run(waits_for_the_end()); });
        (void)coil_sim_start(world.sim, "alpha", "/bin/listens", nullptr);
        const pid_t pid = coil_sim_start(world.sim, "beta", "/bin/waits", nullptr);
        (void)coil_sim_run(world.sim, coil_ms(500));
        coil_sim_cut_power(world.sim, "alpha");
        (void)coil_sim_run(world.sim, coil_s(30));
        EXPECT_EQ(-EBUSY, coil_sim_status(world.sim, pid));
        if (has_power_again)
            (void)coil_sim_start(world.sim, "alpha", "/bin/listens", nullptr);
        (void)coil_sim_run(world.sim, coil_s(10000));
        EXPECT_EQ(has_power_again ? ECONNRESET : ETIMEDOUT, coil_sim_status(world.sim, pid));
    }
}

/* -------------------------------------------------------------------------- calls that wait -- */

async(int, reads_slowly, (int) fd, (size_t *) count)
{
    vars(char bytes[1000]; ssize_t got);
    do {
        await(coil_sleep(coil_ms(1)));
        await(my->got, coil_read(fd, my->bytes, sizeof(my->bytes)));
        *count += my->got > 0 ? (size_t)my->got : 0;
    } while (my->got > 0);
    return 0;
}

int pipe_ends[2];

void write_much(coil_kernel_thread *)
{
    static const char bytes[200000] = {};
    const ssize_t count = coil_kernel_write(pipe_ends[1], bytes, sizeof(bytes));
    write_text(1, count == (ssize_t)sizeof(bytes) ? "all" : "less");
    (void)coil_kernel_close(pipe_ends[1]);
}

int writes_through_a_pipe(int, char **)
{
    coil_kernel_thread writer;
    size_t count = 0;
    memset(&writer, 0, sizeof(writer));
    writer.run = write_much;
    if (coil_kernel_pipe(pipe_ends) < 0 || coil_kernel_thread_start(&writer) < 0)
        return 1;
    const int rc = (int)coil_run(reads_slowly(pipe_ends[0], &count));
    coil_kernel_thread_join(&writer);
    (void)coil_kernel_close(pipe_ends[0]);
    return rc == 0 && count == 200000 ? 0 : 2;
}

TEST(SimCalls, AWriteToAPipeWaitsUntilAllOfItHasGone)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        World world(seed);
        EXPECT_EQ(0, world.run(writes_through_a_pipe)) << seed;
        EXPECT_STREQ("all", coil_sim_get_output(world.sim, 2)) << seed;
    }
}

TEST(SimCalls, ADuplicateHasANumberThatThereIs)
{
    World world;
    EXPECT_EQ(0, world.run([](int, char **) {
        return coil_kernel_dup_above(1, -1) == -EINVAL &&
                               coil_kernel_dup_above(1, 1 << 30) == -EINVAL &&
                               coil_kernel_dup_above(77, 3) == -EBADF &&
                               coil_kernel_dup_above(1, 10) == 10
                       ? 0
                       : 1;
    }));
}

/* ---------------------------------------------------------------------------- unix sockets -- */

async(int, serves_at, (const char *) address)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen(address, nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    await(coil_sleep(coil_s(1)));
    return 0;
}

async(int, visits, (const char *) address)
{
    vars(coil_stream *peer);
    attempt(my->peer, coil_connect(address));
    coil_stream_close(my->peer);
    return 0;
}

int serve_at_path(int, char **)
{
    return -(int)coil_run(serves_at("unix:/run/there"));
}

int visit_path(int, char **)
{
    return -(int)coil_run(visits("unix:/run/there"));
}

int look_at_path(int, char **)
{
    return coil_kernel_is_socket("/run/there");
}

TEST(SimUnix, ASocketIsAFileThatOutlivesItsProcess)
{
    World world;
    coil_sim_program(world.sim, "/bin/serve", serve_at_path);
    coil_sim_program(world.sim, "/bin/visit", visit_path);
    coil_sim_program(world.sim, "/bin/look", look_at_path);
    const auto start = [&](const char *path) {
        return coil_sim_start(world.sim, "alpha", path, nullptr);
    };
    const auto run = [&](const char *path) {
        const pid_t pid = start(path);
        (void)coil_sim_run(world.sim, coil_ms(100));
        return coil_sim_status(world.sim, pid);
    };
    EXPECT_EQ(ENOENT, run("/bin/visit"));
    const pid_t server = start("/bin/serve");
    (void)coil_sim_run(world.sim, coil_ms(100));
    EXPECT_EQ(1, run("/bin/look"));
    EXPECT_EQ(0, run("/bin/visit"));
    EXPECT_EQ(0, coil_sim_kill(world.sim, server, SIGKILL));
    (void)coil_sim_run(world.sim, coil_ms(100));
    EXPECT_EQ(1, run("/bin/look"));
    EXPECT_EQ(ECONNREFUSED, run("/bin/visit"));
    EXPECT_EQ(-EBUSY, run("/bin/serve")); /* It finds the path stale, and takes it over. */
    EXPECT_EQ(0, run("/bin/visit"));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, coil_s(10)));
}

/* The child is at home in /run, where its parent is in the root. */
int serve_relative(int, char **)
{
    return -(int)coil_run(serves_at("unix:there"));
}

int place_server(int, char **)
{
    coil_spawn_plan plan;
    coil_child child;
    memset(&plan, 0, sizeof(plan));
    memset(&child, 0, sizeof(child));
    plan.program = "/bin/serve";
    plan.cwd = "/run";
    if (coil_child_spawn(&plan, &child, nullptr) < 0)
        return 1;
    (void)coil_run(coil_sleep(coil_ms(100)));
    const int rc = (int)coil_run(visits("unix:run/there"));
    (void)coil_run(coil_child_wait(&child));
    coil_child_fini(&child);
    return -rc;
}

TEST(SimUnix, APathBeginsAtTheWorkingDirectory)
{
    World world;
    coil_sim_program(world.sim, "/bin/serve", serve_relative);
    EXPECT_EQ(0, world.run(place_server));
}

} // namespace
