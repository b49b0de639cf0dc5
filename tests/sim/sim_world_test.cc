/* SPDX-License-Identifier: MIT */
/* The world itself: chance, deadlocks, processes and their memory. */
#include "sim_stage.h"

#include <csignal>
#include <cstdlib>
#include <set>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* -------------------------------------------------------------------------------- one seed -- */

async(int, naps, (int) count)
{
    vars(int i);
    for (my->i = 0; my->i < count; my->i++)
        await(coil_sleep(coil_us(10)));
    return 0;
}

async(int, naps_in_company)
{
    vars(coil_group group; int i; int rc; coil_loop_thread thread);
    my->rc = coil_loop_thread_start(&my->thread, NULL, NULL);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_loop_thread_stop(&my->thread, coil_s(1));
        coil_loop_thread_fini(&my->thread);
    });
    open_group(&my->group);
    for (my->i = 0; my->i < 5; my->i++) {
        spawn(&my->group, naps(20));
        spawn(&my->group, coil_on_loop(my->thread.loop, naps(5)));
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

int company(int, char **)
{
    return (int)coil_run(naps_in_company());
}

uint64_t fingerprint(uint64_t seed, coil_sim_profile profile)
{
    World world(seed, profile);
    world.start(company, "/bin/one");
    world.start(company, "/bin/two");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER)) << seed;
    return coil_sim_fingerprint(world.sim);
}

TEST(SimWorld, TheSameSeedIsTheSameRun)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        const coil_sim_profile profile = seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY;
        const uint64_t first = fingerprint(seed, profile);
        std::vector<char> elsewhere(seed * 4096 + 1); /* Later addresses are others. */
        EXPECT_EQ(first, fingerprint(seed, profile)) << seed;
    }
}

TEST(SimWorld, OtherSeedsAreOtherRuns)
{
    std::set<uint64_t> seen;
    for (uint64_t seed = 0; seed < 50; seed++)
        seen.insert(fingerprint(seed, COIL_SIM_KIND));
    EXPECT_EQ(50U, seen.size());
}

/* ------------------------------------------------------------------------------- deadlocks -- */

async(int, waits_for_nobody)
{
    vars(coil_event event);
    coil_event_init(&my->event);
    await(coil_event_wait(&my->event));
    return 0;
}

int stuck(int, char **)
{
    return (int)coil_run(waits_for_nobody());
}

TEST(SimWorld, ADeadlockIsReportedWithTheTasks)
{
    World world;
    const pid_t pid = world.start(stuck);
    testing::internal::CaptureStderr();
    EXPECT_EQ(COIL_SIM_STUCK, coil_sim_run(world.sim, COIL_FOREVER));
    const std::string report = testing::internal::GetCapturedStderr();
    EXPECT_NE(std::string::npos, report.find("io_uring_enter")) << report;
    EXPECT_NE(std::string::npos, report.find("waits_for_nobody")) << report;
    EXPECT_EQ(-EBUSY, coil_sim_status(world.sim, pid));
}

TEST(SimWorld, ARunEndsWhenItsTimeIsOver)
{
    World world;
    const pid_t pid = world.start([](int, char **) { return (int)coil_run(naps(1000000)); });
    EXPECT_EQ(COIL_SIM_LATE, coil_sim_run(world.sim, coil_ms(3)));
    EXPECT_EQ(coil_ms(3), world.elapsed());
    EXPECT_EQ(-EBUSY, coil_sim_status(world.sim, pid));
}

/* ------------------------------------------------------------------------------- processes -- */

COIL_PROCESS_WIDE int visits;

TEST(SimWorld, ProcessesShareNoVariables)
{
    World world;
    const auto main = [](int, char **) {
        for (int i = 0; i < 100; i++) {
            visits++;
            (void)coil_kernel_now();
        }
        return visits;
    };
    const pid_t one = world.start(main, "/bin/one");
    const pid_t two = world.start(main, "/bin/two");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(100, coil_sim_status(world.sim, one));
    EXPECT_EQ(100, coil_sim_status(world.sim, two));
    EXPECT_EQ(0, visits);
}

TEST(SimWorld, ArgumentsReachTheProgram)
{
    World world;
    coil_sim_program(world.sim, "/bin/test",
            [](int count, char **arguments) { return count == 2 ? atoi(arguments[1]) : 99; });
    char name[] = "test";
    char number[] = "42";
    char *const arguments[] = {name, number, nullptr};
    const pid_t pid = coil_sim_start(world.sim, "alpha", "/bin/test", arguments);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(42, coil_sim_status(world.sim, pid));
    EXPECT_EQ(-ENOENT, coil_sim_start(world.sim, "alpha", "/bin/none", nullptr));
}

/* ----------------------------------------------------------------------------------- memory -- */

TEST(SimWorld, WhatAProcessHasNotFreedIsCountedAndFreed)
{
    World world;
    const pid_t pid = world.start([](int, char **) {
        char *volatile kept = static_cast<char *>(malloc(10));
        char *volatile freed = static_cast<char *>(malloc(10));
        free(freed);
        return kept == nullptr ? 1 : 0;
    });
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(0, coil_sim_status(world.sim, pid));
    EXPECT_EQ(1U, coil_sim_leaks(world.sim, pid));
}

TEST(SimWorld, AKilledProcessLeaksNothing)
{
    World world;
    const pid_t pid = world.start([](int, char **) {
        char *volatile kept = static_cast<char *>(malloc(10));
        (void)coil_run(coil_sleep(COIL_FOREVER));
        return kept == nullptr ? 1 : 0;
    });
    (void)coil_sim_run(world.sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_kill(world.sim, pid, SIGKILL));
    EXPECT_EQ(-SIGKILL, coil_sim_status(world.sim, pid));
    EXPECT_EQ(0U, coil_sim_leaks(world.sim, pid));
    EXPECT_EQ(0U, coil_sim_open_descriptors(world.sim, pid));
}

TEST(SimWorld, TheNthAllocationFails)
{
    World world;
    const pid_t pid = world.start([](int, char **) {
        for (int i = 1; i <= 5; i++) {
            char *volatile memory = static_cast<char *>(malloc(10));
            if (memory == nullptr)
                return i;
            free(memory);
        }
        return 0;
    });
    coil_sim_fail_allocation(world.sim, pid, 3);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(3, coil_sim_status(world.sim, pid));
}

coil_blocking(int, looks_at_the_clock)
{
    return coil_kernel_now() > 0 ? 0 : -EINVAL;
}

/* What may fail without ending the program (coil_on_loop() may not). */
async(int, does_a_bit_of_everything)
{
    vars(coil_group group; int i; int rc; coil_loop_thread thread);
    my->rc = coil_loop_thread_start(&my->thread, NULL, NULL);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_loop_thread_stop(&my->thread, coil_s(1));
        coil_loop_thread_fini(&my->thread);
    });
    open_group(&my->group);
    for (my->i = 0; my->i < 5; my->i++)
        spawn(&my->group, naps(5));
    attempt(looks_at_the_clock());
    attempt(coil_group_join(&my->group));
    return 0;
}

int a_bit_of_everything(int, char **)
{
    return coil_run(does_a_bit_of_everything()) < 0;
}

/* A program may fail when there is no memory, but nothing worse. */
TEST(SimWorld, AProgramSurvivesTheFailureOfAnyAllocation)
{
    int failed_count = 0;
    for (uint64_t count = 1; count <= 60; count++) {
        World world(count);
        const pid_t pid = world.start(a_bit_of_everything);
        coil_sim_fail_allocation(world.sim, pid, count);
        ASSERT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER)) << count;
        failed_count += coil_sim_status(world.sim, pid) != 0;
    }
    EXPECT_GT(failed_count, 0);
}

uint64_t hostile_fingerprint(uint64_t seed)
{
    World world(seed, COIL_SIM_HOSTILE);
    world.start(a_bit_of_everything, "/bin/one");
    world.start(company, "/bin/two");
    EXPECT_NE(COIL_SIM_STUCK, coil_sim_run(world.sim, coil_s(3600))) << seed;
    return coil_sim_fingerprint(world.sim);
}

/* The first world of this program is the one to compare with, so this runs alone (ctest). */
TEST(SimWorld, ARunDoesNotDependOnThoseBeforeIt)
{
    const uint64_t alone = hostile_fingerprint(15);
    for (uint64_t seed = 1; seed < 15; seed++)
        (void)hostile_fingerprint(seed);
    EXPECT_EQ(alone, hostile_fingerprint(15));
}

TEST(SimWorld, AHostileWorldBreaksNoProgram)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        World world(seed, COIL_SIM_HOSTILE);
        world.start(a_bit_of_everything);
        ASSERT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, coil_s(3600))) << seed;
    }
}

} // namespace
