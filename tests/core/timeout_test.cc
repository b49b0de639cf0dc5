/* SPDX-License-Identifier: MIT */
/* Deadlines that move, and what a task says about its own. */
#include "virtual_time.h"

#include <coil/timeout.h>

#include <cerrno>

#include <coil/sugar.h>

namespace
{

using Timeout = VirtualTime;

async(int, rests_under, (coil_timeout *) timeout, (coil_duration) limit, (coil_duration) rest)
{
    vars();
    defer(note('d'));
    coil_open_timeout(timeout, limit);
    await(coil_sleep(rest));
    note('.');
    return 5;
}

TEST_F(Timeout, CancelsTheCoroutineThatOpenedIt)
{
    coil_timeout timeout;
    EXPECT_EQ(-ETIME, RUN(rests_under(&timeout, coil_ms(10), coil_ms(20))));
    EXPECT_EQ("d", notebook);
    EXPECT_TRUE(timeout.expired);
    EXPECT_EQ(coil_ms(10), elapsed());
}

TEST_F(Timeout, DoesNothingToACoroutineThatLeavesInTime)
{
    coil_timeout timeout;
    EXPECT_EQ(5, RUN(rests_under(&timeout, coil_ms(20), coil_ms(10))));
    EXPECT_EQ(".d", notebook);
    EXPECT_FALSE(timeout.expired);
    EXPECT_EQ(COIL_NEVER, coil_sched_next(&sched)) << "and leaves no timer behind";
}

TEST_F(Timeout, CanBeMovedByAnotherTaskBothWays)
{
    coil_timeout timeout;
    int64_t result = 0;
    coil_spawn_result(&sched.root, &result, rests_under(&timeout, coil_ms(10), coil_s(1)));
    pass(coil_ms(9));
    EXPECT_EQ(0, coil_timeout_extend(&timeout, coil_ms(10)));
    EXPECT_EQ(sched.now + coil_ms(10), coil_timeout_deadline(&timeout));
    pass(coil_ms(9));
    EXPECT_EQ(0, result);
    EXPECT_EQ(0, coil_timeout_move(&timeout, COIL_NEVER));
    pass(coil_ms(500));
    EXPECT_EQ(0, result);
    EXPECT_EQ(0, coil_timeout_move(&timeout, sched.now));
    pass(1);
    EXPECT_EQ(-ETIME, result);
}

TEST_F(Timeout, ThatHasExpiredOrIsGoneCannotBeMoved)
{
    coil_timeout timeout;
    spawn(&sched.root, rests_under(&timeout, coil_ms(10), coil_s(1)));
    settle();
    coil_sched_advance(&sched, sched.now + coil_ms(10));
    EXPECT_EQ(-ETIME, coil_timeout_extend(&timeout, coil_s(1))) << "the task is being unwound";
    drive();
    EXPECT_EQ(-ENOENT, coil_timeout_extend(&timeout, coil_s(1)));
    EXPECT_EQ(-ENOENT, coil_timeout_move(&timeout, coil_s(1)));
    EXPECT_EQ(COIL_NEVER, coil_timeout_deadline(&timeout));
}

async(int, works_under, (coil_timeout *) timeout)
{
    vars(int rc);
    await(my->rc, within(coil_ms(5), rests_under(timeout, coil_ms(10), coil_ms(20))));
    return my->rc == -ETIME ? 1 : 0;
}

TEST_F(Timeout, OfAnInnerScopeYieldsToTheOuter)
{
    coil_timeout timeout;
    EXPECT_EQ(1, RUN(works_under(&timeout)));
    EXPECT_EQ(coil_ms(5), elapsed());
    EXPECT_FALSE(timeout.expired);
}

async(int, nests, (coil_timeout *) inner, (coil_timeout *) outer)
{
    vars(int rc);
    coil_open_timeout(outer, coil_ms(10));
    await(my->rc, rests_under(inner, coil_ms(10), coil_s(1)));
    note('!');
    return my->rc;
}

TEST_F(Timeout, OfTwoThatExpireAtOnceTheOuterWins)
{
    coil_timeout inner;
    coil_timeout outer;
    EXPECT_EQ(-ETIME, RUN(nests(&inner, &outer)));
    EXPECT_EQ("d", notebook) << "the coroutine in between did not go on";
    EXPECT_TRUE(outer.expired);
}

TEST_F(Timeout, ThatExpiresWhenTheTaskIsCancelledAlreadyIsNone)
{
    coil_timeout timeout;
    int64_t result = 0;
    coil_task *task =
            coil_spawn_result(&sched.root, &result, rests_under(&timeout, coil_ms(10), coil_s(1)));
    settle();
    coil_task_cancel(task);
    coil_sched_advance(&sched, sched.now + coil_ms(10));
    drive();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_FALSE(timeout.expired);
}

async(int, opens_after_a_defer, (coil_timeout *) first, (coil_timeout *) second)
{
    vars(coil_group group);
    coil_open_timeout(first, coil_ms(20));
    defer(await(coil_sleep(coil_ms(1))); note('1'));
    open_group(&my->group);
    coil_open_timeout(second, coil_ms(10));
    defer(await(coil_sleep(coil_ms(1))); note('2'));
    await(coil_sleep(coil_s(1)));
    return 0;
}

TEST_F(Timeout, StandsAmongDefersAndGroupsInAnyOrder)
{
    coil_timeout first;
    coil_timeout second;
    EXPECT_EQ(-ETIME, RUN(opens_after_a_defer(&first, &second)));
    EXPECT_EQ("21", notebook);
    EXPECT_EQ(coil_ms(12), elapsed());
    EXPECT_TRUE(second.expired);
    EXPECT_FALSE(first.expired);
}

async(int, fails_in_group, (coil_timeout *) timeout)
{
    vars(coil_group group);
    open_group(&my->group);
    coil_open_timeout(timeout, coil_ms(10));
    spawn(&my->group, rests_under(timeout + 1, coil_ms(10), coil_s(1)));
    await(coil_sleep(coil_s(1)));
    return 0;
}

TEST_F(Timeout, AndTheFailureOfAGroupOfTheSameCoroutineAreToldApart)
{
    coil_timeout timeouts[2];
    int64_t result = RUN(fails_in_group(timeouts));
    EXPECT_EQ(-ETIME, result);
    EXPECT_TRUE(timeouts[0].expired);
}

/* ---------------------------------------------------------------------- what a task says -- */

async(int, says_deadline, (coil_time *) out_deadline)
{
    vars();
    *out_deadline = coil_task_deadline(coil_self);
    await(coil_yield());
    return 0;
}

async(int, bounds_twice, (coil_time *) out_deadline, (bool) shielded)
{
    vars(coil_timeout timeout);
    coil_open_timeout(&my->timeout, coil_ms(30));
    if (shielded)
        attempt(shield(says_deadline(out_deadline)));
    else
        attempt(within(coil_ms(50), says_deadline(out_deadline)));
    return 0;
}

TEST_F(Timeout, TheDeadlineOfATaskIsTheEarliestInForce)
{
    coil_time deadline = 0;
    RUN(bounds_twice(&deadline, false));
    EXPECT_EQ(start + coil_ms(30), deadline);
    RUN(within(coil_ms(10), bounds_twice(&deadline, false)));
    EXPECT_EQ(start + coil_ms(10), deadline);
    RUN(says_deadline(&deadline));
    EXPECT_EQ(COIL_NEVER, deadline);
}

TEST_F(Timeout, AShieldHidesTheDeadlinesOutside)
{
    coil_time deadline = 0;
    RUN(bounds_twice(&deadline, true));
    EXPECT_EQ(COIL_NEVER, deadline);
}

TEST_F(Timeout, ATaskKnowsItsAge)
{
    static coil_timeout timeout; /* The task outlives the test. */
    coil_task *task = spawn(&sched.root, rests_under(&timeout, coil_s(7200), coil_s(7200)));
    pass(coil_s(3600));
    EXPECT_NEAR(static_cast<double>(coil_s(3600)), static_cast<double>(coil_task_age(task)),
            static_cast<double>(coil_ms(35)));
}

TEST_F(Timeout, ATaskCanBeGivenAName)
{
    static coil_timeout timeout; /* The task outlives the test. */
    coil_task *task = spawn(&sched.root, rests_under(&timeout, coil_s(1), coil_s(1)));
    EXPECT_STREQ("rests_under", coil_task_name(task));
    EXPECT_EQ(0, coil_task_set_name(task, "session 17"));
    EXPECT_STREQ("session 17", coil_task_name(task));
    EXPECT_EQ(0, coil_task_set_name(task, std::string(1000, 'x').c_str()));
    EXPECT_EQ(COIL_TASK_NAME_BYTES - 1u, strlen(coil_task_name(task)));
}

} // namespace
