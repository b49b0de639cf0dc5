/* SPDX-License-Identifier: MIT */
/* Trees of processes, adopted ones and orphans on a simulated kernel, also without memory. */
#include "sim_child_stage.h"

#include <coil/subreaper.h>

namespace
{

pid_t adopted_pid;
uint64_t adopted_identity;
coil_spawn_group group_of_mother;

int leave_child(const char *program, coil_child *child)
{
    coil_spawn_plan plan = plan_of(program);
    plan.death_signal = COIL_SPAWN_OUTLIVE;
    return coil_child_spawn(&plan, child, nullptr);
}

int stubborn(int, char **)
{
    coil_signals_block(COIL_SIGNALS(SIGTERM));
    return hang(0, nullptr);
}

/* Has two children, one of which does not hear SIGTERM, and hangs. */
int mother(int argc, char **argv)
{
    coil_child child;
    for (const char *program : {"/bin/hang", "/bin/stubborn"}) {
        if (leave_child(program, &child) == 0)
            coil_child_fini(&child);
    }
    return hang(argc, argv);
}

int begin_mother(coil_child *child)
{
    coil_spawn_plan plan = plan_of("/bin/mother");
    plan.group = group_of_mother;
    return coil_child_spawn(&plan, child, nullptr);
}

async(int, stops_a_tree)
{
    vars(coil_child child; int rc);
    my->rc = begin_mother(&my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    await(coil_sleep(told.wait));
    await(my->rc, coil_child_stop_tree(&my->child, coil_s(1)));
    told.code = my->child.exit.signaled ? -my->child.exit.code : my->child.exit.code;
    if (!my->child.exit.ended)
        ignore(coil_child_stop(&my->child, 0));
    return my->rc;
}

int stop_tree(int, char **)
{
    told.result = (int)coil_run(stops_a_tree());
    return 0;
}

/* Starts one that outlives it, and tells how it is found again. */
int first_instance(int, char **)
{
    coil_child child;
    if (leave_child("/bin/obedient", &child) < 0)
        return 1;
    adopted_pid = child.pid;
    (void)coil_child_identity(&child, &adopted_identity);
    coil_child_fini(&child);
    return 0;
}

async(int, adopts)
{
    vars(coil_child child; int rc);
    my->rc = coil_child_adopt(adopted_pid, adopted_identity, &my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    await(my->rc, coil_child_stop(&my->child, coil_s(10)));
    told.code = my->child.exit.signaled ? -my->child.exit.code : my->child.exit.code;
    return my->rc;
}

int next_instance(int, char **)
{
    told.result = (int)coil_run(adopts());
    return 0;
}

int orphan_maker(int, char **)
{
    coil_child child;
    return leave_child("/bin/answer", &child) < 0;
}

struct counting : coil_orphan_hook {
    int count;
} orphans;

async(int, reaps)
{
    vars(coil_group background; coil_child child; int rc);
    open_group(&my->background);
    coil_spawn(&my->background, coil_subreaper_run(&orphans));
    await(coil_sleep(coil_ms(1)));
    my->rc = begin("/bin/orphan_maker", &my->child);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    attempt(coil_child_wait(&my->child));
    told.code = my->child.exit.code;
    await(coil_sleep(coil_s(10)));
    return 0;
}

int reap(int, char **)
{
    orphans.reaped = [](coil_orphan_hook *hook, pid_t, const coil_exit *exit) {
        static_cast<counting *>(hook)->count += exit->code;
    };
    told.result = (int)coil_run(reaps());
    return 0;
}

const Program own_programs[] = {{"/bin/stubborn", stubborn}, {"/bin/mother", mother},
        {"/bin/stop_tree", stop_tree}, {"/bin/first", first_instance}, {"/bin/next", next_instance},
        {"/bin/orphan_maker", orphan_maker}, {"/bin/reap", reap}, {nullptr, nullptr}};

TEST_F(SimChild, TreeEndsWhateverTheGroupAndWhenever)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        begin_world(seed);
        told.wait = coil_us(100) * static_cast<int64_t>(seed);
        group_of_mother = static_cast<coil_spawn_group>(seed % 3);
        const pid_t pid = start("/bin/stop_tree");
        ASSERT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(100))) << seed;
        EXPECT_EQ(0, coil_sim_status(sim, pid));
        EXPECT_EQ(0, told.result) << seed;
        EXPECT_EQ(1U, coil_sim_process_count(sim)) << seed;
    }
}

TEST_F(SimChild, TreeEndsWithoutMemoryOrSaysSo)
{
    for (uint64_t allocation = 1; allocation <= 40; allocation++) {
        begin_world(allocation);
        told.wait = coil_ms(10);
        group_of_mother = COIL_SPAWN_GROUP_NEW;
        const pid_t pid = start("/bin/stop_tree");
        coil_sim_fail_allocation(sim, pid, allocation);
        const coil_sim_outcome outcome = coil_sim_run(sim, coil_s(100));
        if (coil_sim_status(sim, pid) == -SIGABRT)
            continue; /* A task without a stack is the end of the process. */
        ASSERT_EQ(COIL_SIM_ENDED, outcome) << allocation;
        EXPECT_TRUE(told.result == 0 || told.result == -ENOMEM) << told.result;
        EXPECT_GE(3U, coil_sim_process_count(sim)) << "the child itself has ended in any case";
    }
}

TEST_F(SimChild, NextInstanceFindsTheChildOfTheFirstAndItsStatus)
{
    const pid_t first = start("/bin/first");
    (void)coil_sim_run(sim, coil_s(1));
    EXPECT_EQ(0, coil_sim_status(sim, first));
    const pid_t next = start("/bin/next");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(100)));
    EXPECT_EQ(0, coil_sim_status(sim, next));
    EXPECT_EQ(0, told.result);
    EXPECT_EQ(5, told.code);
}

TEST_F(SimChild, SubreaperReapsOrphansAndLeavesChildren)
{
    orphans = {};
    (void)start("/bin/reap");
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(100)));
    EXPECT_EQ(0, told.code);
    EXPECT_EQ(42, orphans.count);
}

} // namespace
