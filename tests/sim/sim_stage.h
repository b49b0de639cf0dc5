/* SPDX-License-Identifier: MIT */
/* The stage of the tests of simulations: a world that ends with its test. */
#ifndef SIM_STAGE_H
#define SIM_STAGE_H

#include <coil/sim.h>

#include <coil/coil.h>

#include <cerrno>
#include <string>

#include <gtest/gtest.h>

class World
{
public:
    explicit World(uint64_t seed = 1, coil_sim_profile profile = COIL_SIM_KIND)
        : sim(coil_sim_create(seed)), begin(coil_sim_now(sim))
    {
        coil_sim_set_profile(sim, profile);
    }
    ~World()
    {
        coil_sim_destroy(sim);
    }
    World(const World &) = delete;
    World &operator=(const World &) = delete;

    /* The program is `main`; it is not run yet. */
    pid_t start(int (*main)(int, char **), const char *path = "/bin/test")
    {
        coil_sim_program(sim, path, main);
        return coil_sim_start(sim, "alpha", path, nullptr);
    }

    /* Run one program to its end: how it has ended. */
    int run(int (*main)(int, char **))
    {
        const pid_t pid = start(main);
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, COIL_FOREVER));
        return coil_sim_status(sim, pid);
    }

    coil_duration elapsed() const
    {
        return coil_sim_now(sim) - begin;
    }

    coil_sim *const sim;
    const coil_time begin;
};

#endif
