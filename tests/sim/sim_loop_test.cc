/* SPDX-License-Identifier: MIT */
/* Programs made of one loop, on a simulated kernel. */
#include <coil/sim.h>

#include <coil/coil.h>

#include <gtest/gtest.h>

#include <coil/sugar.h>

namespace
{

class World
{
public:
    explicit World(uint64_t seed = 1) : sim(coil_sim_create(seed)) {}
    ~World() { coil_sim_destroy(sim); }
    World(const World &) = delete;
    World &operator=(const World &) = delete;

    pid_t start(int (*main)(int, char **), const char *host = "alpha")
    {
        coil_sim_program(sim, "/bin/test", main);
        return coil_sim_start(sim, host, "/bin/test", nullptr);
    }

    coil_sim *const sim;
};

async(int, sleeps, (coil_duration) duration)
{
    vars();
    await(coil_sleep(duration));
    return 7;
}

int thirty_days(int, char **)
{
    return (int)coil_run(sleeps(coil_s(30 * 86400)));
}

TEST(SimLoop, SleepsForThirtyDaysInNoTime)
{
    World world;
    const coil_time before = coil_sim_now(world.sim);
    const pid_t pid = world.start(thirty_days);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_EQ(7, coil_sim_status(world.sim, pid));
    EXPECT_GE(coil_sim_now(world.sim) - before, coil_s(30 * 86400));
    EXPECT_LT(coil_sim_now(world.sim) - before, coil_s(30 * 86400 + 1));
}

} // namespace
