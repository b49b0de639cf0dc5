/* SPDX-License-Identifier: MIT */
/* Programs made of one loop, on a simulated kernel. */
#include "sim_stage.h"

#include <coil/sugar.h>

namespace
{

async(int, sleeps, (coil_duration) duration, (int) result)
{
    vars();
    await(coil_sleep(duration));
    return result;
}

/* ------------------------------------------------------------------------------------- time -- */

int thirty_days(int, char **)
{
    return (int)coil_run(sleeps(coil_s(30 * 86400), 7));
}

TEST(SimLoop, SleepsForThirtyDaysInNoTime)
{
    World world;
    EXPECT_EQ(7, world.run(thirty_days));
    EXPECT_GE(world.elapsed(), coil_s(30 * 86400));
    EXPECT_LT(world.elapsed(), coil_s(30 * 86400 + 1));
}

async(void, naps, (coil_duration) duration, (coil_duration *) latest)
{
    vars(coil_time due);
    my->due = coil_time_after(coil_now(), duration);
    await(coil_sleep(duration));
    const coil_duration late = coil_kernel_now() - my->due;
    COIL_CHECK(late >= 0);
    if (late > *latest)
        *latest = late;
}

async(int, naps_of_all_lengths)
{
    vars(coil_group group; coil_duration together; coil_duration alone; int i);
    open_group(&my->group);
    for (my->i = 1; my->i <= 300; my->i++)
        spawn(&my->group, naps(coil_us(97) * my->i, &my->together));
    attempt(coil_group_join(&my->group));
    for (my->i = 0; my->i < 50; my->i++)
        await(naps(coil_us(100), &my->alone));
    return my->together < coil_us(50) && my->alone < coil_us(50) ? 0 : 1;
}

int sleepy(int, char **)
{
    return (int)coil_run(naps_of_all_lengths());
}

TEST(SimLoop, SleepsEndInTime)
{
    World world;
    EXPECT_EQ(0, world.run(sleepy));
}

async(int, waits_too_long)
{
    vars(int rc);
    await(my->rc, within(coil_ms(20), sleeps(coil_s(3600), 0)));
    return my->rc == -ETIME ? 0 : 1;
}

int deadline(int, char **)
{
    return (int)coil_run(waits_too_long());
}

TEST(SimLoop, DeadlinesPassInVirtualTime)
{
    World world;
    EXPECT_EQ(0, world.run(deadline));
    EXPECT_GE(world.elapsed(), coil_ms(20));
    EXPECT_LT(world.elapsed(), coil_ms(40));
}

/* ------------------------------------------------------------------------------------ tasks -- */

async(int, adds_later, (coil_duration) delay, (int *) sum, (int) number)
{
    vars();
    await(coil_sleep(delay));
    *sum += number;
    return 0;
}

async(int, spawns_a_hundred)
{
    vars(coil_group group; int sum; int i);
    {
        open_group(&my->group);
        for (my->i = 1; my->i <= 100; my->i++)
            spawn(&my->group, adds_later(coil_ms(101 - my->i), &my->sum, my->i));
        attempt(coil_group_join(&my->group));
    }
    return my->sum == 5050 ? 0 : 1;
}

int hundred(int, char **)
{
    return (int)coil_run(spawns_a_hundred());
}

TEST(SimLoop, SpawnedTasksAllEnd)
{
    World world;
    EXPECT_EQ(0, world.run(hundred));
}

async(int, cancels_one)
{
    vars(coil_group group; coil_task *task; int sum);
    open_group(&my->group);
    my->task = spawn(&my->group, adds_later(coil_s(3600), &my->sum, 1));
    await(coil_sleep(coil_ms(5)));
    coil_task_cancel(my->task);
    attempt(coil_group_join(&my->group));
    return my->sum;
}

int cancellation(int, char **)
{
    return (int)coil_run(cancels_one());
}

TEST(SimLoop, ACancelledTaskEndsAtOnce)
{
    World world;
    EXPECT_EQ(0, world.run(cancellation));
    EXPECT_LT(world.elapsed(), coil_s(1));
}

/* ---------------------------------------------------------------------------------- eventfd -- */

async(int, waits_for_count, (int) fd, (uint64_t *) out_count)
{
    vars(ssize_t rc);
    await(my->rc, coil_read(fd, out_count, sizeof(*out_count)));
    return my->rc < 0 ? (int)my->rc : 0;
}

async(int, counts_through_the_kernel)
{
    vars(coil_group group; int fd; uint64_t count; uint64_t more; ssize_t rc);
    my->fd = coil_kernel_eventfd();
    defer(ignore(coil_close(my->fd)));
    open_group(&my->group);
    spawn(&my->group, waits_for_count(my->fd, &my->count));
    await(coil_sleep(coil_ms(1)));
    my->more = 41;
    await(my->rc, coil_write(my->fd, &my->more, sizeof(my->more)));
    if (my->rc != sizeof(my->more))
        return 1;
    attempt(coil_group_join(&my->group));
    return my->count == 41 ? 0 : 2;
}

int eventfd(int, char **)
{
    return (int)coil_run(counts_through_the_kernel());
}

TEST(SimLoop, AnEventfdIsWrittenAndRead)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        World world(seed);
        ASSERT_EQ(0, world.run(eventfd)) << seed;
    }
}

/* A read that waits is cancelled; what comes afterwards is not lost. */
async(int, gives_up_reading)
{
    vars(int fd; uint64_t count; ssize_t rc);
    my->fd = coil_kernel_eventfd();
    defer(ignore(coil_close(my->fd)));
    await(my->rc, within(coil_us(30), coil_read(my->fd, &my->count, sizeof(my->count))));
    if (my->rc != -ETIME)
        return 1;
    if (coil_kernel_eventfd_add(my->fd, 3) < 0)
        return 2;
    await(my->rc, coil_read(my->fd, &my->count, sizeof(my->count)));
    return my->rc == sizeof(my->count) && my->count == 3 ? 0 : 3;
}

int giving_up(int, char **)
{
    return (int)coil_run(gives_up_reading());
}

TEST(SimLoop, ACancelledReadLeavesWhatComesLater)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        World world(seed, seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY);
        ASSERT_EQ(0, world.run(giving_up)) << seed;
    }
}

} // namespace
