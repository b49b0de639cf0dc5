/* SPDX-License-Identifier: MIT */
/*
 * The stage of tests of children: a world whose programs are those of the test, and what the
 * programs and the test tell each other, since they share their memory.
 */
#ifndef SIM_CHILD_STAGE_H
#define SIM_CHILD_STAGE_H

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
    int code;
    int result;
    int stage;
    int count;
    coil_duration wait;
    bool outlive;
    const char *program;
    coil_spawn_plan plan;
} told;

/* ------------------------------------------------------------------- programs, as children -- */

int answer(int, char **)
{
    return 42;
}

int hang(int, char **)
{
    for (;;)
        (void)coil_run(coil_sleep(COIL_FOREVER));
}

int obedient(int, char **)
{
    return coil_run(coil_signal_wait(COIL_SIGNALS(SIGTERM))) == SIGTERM ? 5 : 6;
}

int frozen(int argc, char **argv)
{
    (void)coil_kernel_raise(SIGSTOP);
    return obedient(argc, argv);
}

/* -------------------------------------------------------------------------------- a parent -- */

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

/* --------------------------------------------------------------------------------- the world -- */

struct Program {
    const char *path;
    int (*main)(int, char **);
};

/* Of this test, beside the above. The last has no path. */
extern const Program own_programs[];

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
        static const Program programs[] = {{"/bin/answer", answer}, {"/bin/hang", hang},
                {"/bin/obedient", obedient}, {"/bin/frozen", frozen}, {"/bin/watch", watch}};
        coil_sim_destroy(sim);
        sim = coil_sim_create(seed);
        for (const auto &program : programs)
            coil_sim_program(sim, program.path, program.main);
        for (const Program *program = own_programs; program->path != nullptr; program++)
            coil_sim_program(sim, program->path, program->main);
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

} // namespace

#endif
