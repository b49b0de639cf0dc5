/* SPDX-License-Identifier: MIT */
/*
 * world.h - a scheduler without a loop, driven by hand in virtual time.
 *
 * Time stands still while tasks run and jumps to the next deadline when none is ready. At the end
 * of a test every task must have ended; if not, the tree of those that are left is printed.
 */
#ifndef COIL_TESTS_SYNC_WORLD_H
#define COIL_TESTS_SYNC_WORLD_H

#include <coil/sched.h>
#include <coil/trace.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

/* How many wait. */
inline size_t length(const coil_list &list)
{
    size_t count = 0;
    for (const coil_list *link = list.next; link != &list; link = link->next)
        count++;
    return count;
}

class World : public testing::Test
{
protected:
    World()
    {
        coil_sched_init(&sched, 0, nullptr);
        sched.root.keep_going = true; /* A failed task is a result to look at, no more. */
    }

    ~World() override
    {
        run_out();
        EXPECT_EQ(0u, sched.live_count) << "tasks that nobody will ever wake";
        if (sched.live_count == 0)
            coil_sched_fini(&sched);
        else
            coil_trace_group(&sched.root, stdout);
    }

    /* Run until every task waits or has ended. */
    void settle()
    {
        while (coil_sched_run(&sched, 1000)) {
        }
    }

    /* Let `duration` pass. */
    void pass(coil_duration duration)
    {
        const coil_time end = coil_time_after(sched.now, duration);
        settle();
        while (coil_sched_next(&sched) <= end) {
            coil_sched_advance(&sched, coil_sched_next(&sched));
            settle();
        }
        coil_sched_advance(&sched, end);
        settle();
    }

    /* Let time pass until nothing is to come any more. */
    void run_out()
    {
        settle();
        while (coil_sched_next(&sched) != COIL_NEVER) {
            coil_sched_advance(&sched, coil_sched_next(&sched));
            settle();
        }
    }

    coil_sched sched;
};

using numbers = std::vector<int>;

#endif
