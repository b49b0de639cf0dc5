/* SPDX-License-Identifier: MIT */
/* Groups: who waits for whom, what a failure does, what is left when a coroutine has left. */
#include "virtual_time.h"

#include <cerrno>

#include <coil/sugar.h>

namespace
{

using Group = VirtualTime;

/* ------------------------------------------------------------------------------- the cast -- */

async(int, works, (coil_duration) duration, (char) mark)
{
    vars();
    defer(note(mark));
    await(coil_sleep(duration));
    return 7;
}

async(int, cleans_up, (coil_duration) duration, (coil_duration) cleanup)
{
    vars();
    defer(await(coil_sleep(cleanup)); note('c'));
    await(coil_sleep(duration));
    return 8;
}

async(int, fails_after, (coil_duration) duration, (int) error)
{
    vars();
    await(coil_sleep(duration));
    return error;
}

/* ----------------------------------------------------------------------------------- join -- */

async(int, joins_two)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, works(coil_ms(20), 'b'));
    spawn(&my->group, works(coil_ms(10), 'a'));
    note('0');
    await(my->result, coil_group_join(&my->group));
    note('j');
    return my->result;
}

TEST_F(Group, JoinWaitsForAllTasks)
{
    EXPECT_EQ(0, RUN(joins_two()));
    EXPECT_EQ("0abj", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

async(int, joins_none)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    await(my->result, coil_group_join(&my->group));
    return my->result;
}

TEST_F(Group, JoinOfAnEmptyGroupDoesNotWait)
{
    EXPECT_EQ(0, RUN(joins_none()));
}

async(int, joins_a_failure, (int) then)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, works(coil_s(1), 'w'));
    spawn(&my->group, fails_after(coil_ms(10), -EIO));
    spawn(&my->group, cleans_up(coil_s(1), coil_ms(10)));
    await(my->result, coil_group_join(&my->group));
    note('j');
    return then != 0 ? then : my->result;
}

TEST_F(Group, FailureCancelsTheOtherTasksAndIsWhatTheJoinReturns)
{
    EXPECT_EQ(-EIO, RUN(joins_a_failure(0)));
    EXPECT_EQ("wcj", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Group, FailureThatWasJoinedIsNotTheCoroutinesResult)
{
    EXPECT_EQ(5, RUN(joins_a_failure(5)));
}

async(int, joins_two_failures, (int) first, (int) second)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, fails_after(coil_ms(20), second));
    spawn(&my->group, fails_after(coil_ms(10), first));
    await(my->result, coil_group_join(&my->group));
    return my->result;
}

TEST_F(Group, FirstFailureCounts)
{
    EXPECT_EQ(-EIO, RUN(joins_two_failures(-EIO, -EPIPE)));
}

TEST_F(Group, CancelledTaskIsNotAFailure)
{
    EXPECT_EQ(-EPIPE, RUN(joins_two_failures(-ECANCELED, -EPIPE)));
    EXPECT_EQ(coil_ms(20), elapsed());
}

async(int, keeps_going, (size_t *) failed_count)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    my->group.keep_going = true;
    spawn(&my->group, fails_after(coil_ms(10), -EIO));
    spawn(&my->group, fails_after(coil_ms(20), -EPIPE));
    spawn(&my->group, works(coil_ms(30), 'w'));
    await(coil_sleep(coil_ms(15)));
    note('a');
    await(my->result, coil_group_join(&my->group));
    *failed_count = my->group.failed_count;
    return my->result;
}

TEST_F(Group, ThatKeepsGoingCountsFailures)
{
    size_t failed_count = 0;
    EXPECT_EQ(0, RUN(keeps_going(&failed_count)));
    EXPECT_EQ(2u, failed_count);
    EXPECT_EQ("aw", notebook);
    EXPECT_EQ(coil_ms(30), elapsed());
}

async(int, is_cut_while_joining)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, works(coil_s(1), 'w'));
    spawn(&my->group, cleans_up(coil_s(1), coil_ms(20)));
    await(my->result, within(coil_ms(10), coil_group_join(&my->group)));
    note(my->result == -ETIME ? 'T' : '!');
    spawn(&my->group, works(coil_ms(10), 'x'));
    await(my->result, coil_group_join(&my->group));
    note('j');
    return my->result;
}

TEST_F(Group, JoinThatIsCutCancelsTheTasksAndAwaitsThem)
{
    EXPECT_EQ(0, RUN(is_cut_while_joining()));
    EXPECT_EQ("wcTxj", notebook);
    EXPECT_EQ(coil_ms(40), elapsed()) << "the task that was spawned afterwards is not cancelled";
}

async(int, is_joined_after_a_cancel)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, works(coil_s(1), 'w'));
    coil_group_cancel(&my->group);
    spawn(&my->group, works(coil_s(1), 'v'));
    await(my->result, coil_group_join(&my->group));
    note('j');
    return my->result;
}

TEST_F(Group, CancelEndsAllTasksAndThoseToCome)
{
    EXPECT_EQ(0, RUN(is_joined_after_a_cancel()));
    EXPECT_EQ("wvj", notebook);
    EXPECT_EQ(0, elapsed());
}

/* ------------------------------------------------------------------------ the coroutine -- */

async(int, hosts_a_failure, (coil_duration) busy)
{
    vars(coil_group group);
    defer(note('b'));
    open_group(&my->group);
    spawn(&my->group, fails_after(coil_ms(10), -EIO));
    spawn(&my->group, cleans_up(coil_s(1), coil_ms(10)));
    await(coil_sleep(busy));
    note('!');
    return 3;
}

TEST_F(Group, FailureUnwindsTheCoroutineThatOpenedItAndIsItsResult)
{
    EXPECT_EQ(-EIO, RUN(hosts_a_failure(coil_s(1))));
    EXPECT_EQ("cb", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Group, FailureWinsOverADeadlineThatComesLater)
{
    EXPECT_EQ(-EIO, RUN(within(coil_ms(500), hosts_a_failure(coil_s(1)))));
    EXPECT_EQ(-EIO, RUN(within(coil_ms(15), hosts_a_failure(coil_s(1)))))
            << "the deadline passes while the group is being closed";
    EXPECT_EQ("cbcb", notebook);
}

TEST_F(Group, DeadlineWinsOverAFailureThatComesLater)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(5), hosts_a_failure(coil_s(1)))));
    EXPECT_EQ("cb", notebook);
}

TEST_F(Group, FailureThatComesWhenTheCoroutineHasLeftIsTooLate)
{
    EXPECT_EQ(3, RUN(hosts_a_failure(coil_ms(10))));
    EXPECT_EQ("!cb", notebook);
}

async(int, fails_at_once)
{
    vars();
    return -EIO;
}

async(int, leaves_after_a_failure)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, fails_at_once());
    await(coil_yield());
    return 3;
}

TEST_F(Group, FailureIsSeenEvenIfTheCoroutineDoesNotWaitAgain)
{
    EXPECT_EQ(-EIO, RUN(leaves_after_a_failure()));
}

async(int, hosts_deeply, (int) depth)
{
    vars(int result);
    defer(note(static_cast<char>('0' + depth)));
    if (depth > 0) {
        await(my->result, hosts_deeply(depth - 1));
        return my->result;
    }
    await(my->result, hosts_a_failure(coil_s(1)));
    note('r');
    return my->result;
}

TEST_F(Group, FailureUnwindsNoFurtherThanTheCoroutineThatOpenedIt)
{
    EXPECT_EQ(-EIO, RUN(hosts_deeply(2)));
    EXPECT_EQ("cbr012", notebook);
}

async(int, waits_below_a_group)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, fails_after(coil_ms(10), -EIO));
    await(my->result, works(coil_s(1), 'w'));
    note('!');
    return 0;
}

TEST_F(Group, FailureUnwindsTheCallsBelowTheCoroutine)
{
    EXPECT_EQ(-EIO, RUN(waits_below_a_group()));
    EXPECT_EQ("w", notebook);
}

async(int, leaves_it_open)
{
    vars(coil_group group);
    defer(note('2'));
    open_group(&my->group);
    defer(note('1'));
    spawn(&my->group, cleans_up(coil_s(1), coil_ms(20)));
    await(coil_sleep(coil_ms(1)));
    note('l');
    return 6;
}

TEST_F(Group, LeftOpenIsClosedBetweenTheDefersAroundIt)
{
    EXPECT_EQ(6, RUN(leaves_it_open()));
    EXPECT_EQ("l1c2", notebook);
    EXPECT_EQ(coil_ms(21), elapsed());
}

async(int, leaves_it_open_at_once)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, works(coil_s(1), 'w'));
    return 6;
}

TEST_F(Group, TaskOfAClosedGroupStillRunsToItsFirstWait)
{
    EXPECT_EQ(6, RUN(leaves_it_open_at_once()));
    EXPECT_EQ("w", notebook);
}

async(int, opens_two, (coil_duration) older, (coil_duration) younger)
{
    vars(coil_group older_group; coil_group younger_group);
    open_group(&my->older_group);
    open_group(&my->younger_group);
    spawn(&my->older_group, cleans_up(coil_s(1), coil_ms(10)));
    spawn(&my->younger_group, works(coil_s(1), 'y'));
    spawn(&my->older_group, fails_after(older, -EIO));
    spawn(&my->younger_group, fails_after(younger, -EPIPE));
    await(coil_sleep(coil_s(1)));
    note('!');
    return 3;
}

TEST_F(Group, OfTwoInOneCoroutineTheYoungerIsClosedFirst)
{
    EXPECT_EQ(-EPIPE, RUN(opens_two(coil_ms(20), coil_ms(10))));
    EXPECT_EQ("yc", notebook);
}

TEST_F(Group, OfTwoInOneCoroutineTheOlderMayFail)
{
    EXPECT_EQ(-EIO, RUN(opens_two(coil_ms(10), coil_ms(20))));
    EXPECT_EQ("yc", notebook);
}

TEST_F(Group, OfTwoThatFailAtOnceTheFirstCounts)
{
    EXPECT_EQ(-EIO, RUN(opens_two(coil_ms(10), coil_ms(10))));
    EXPECT_EQ("yc", notebook);
}

async(int, opens_one_while_leaving)
{
    vars(coil_group group; int result);
    defer(open_group(&my->group); spawn(&my->group, works(coil_ms(5), 'w'));
            spawn(&my->group, fails_after(coil_ms(10), -EIO));
            await(my->result, coil_group_join(&my->group)); note(my->result == -EIO ? 'E' : 'x'));
    await(coil_sleep(coil_s(1)));
    return 3;
}

TEST_F(Group, OpenedWhileTheCoroutineIsCancelledWorksAsEver)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), opens_one_while_leaving())));
    EXPECT_EQ("wE", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

async(int, opens_one_under_a_mask, (bool) leave)
{
    vars(coil_group group);
    defer(open_group(&my->group); spawn(&my->group, fails_after(coil_ms(10), -EIO));
            await(coil_sleep(coil_ms(30))); note('d'));
    if (leave)
        return 3;
    await(coil_sleep(coil_s(1)));
    return 4;
}

TEST_F(Group, FailureDoesNotCutTheCleanupThatOpenedIt)
{
    EXPECT_EQ(3, RUN(opens_one_under_a_mask(true)));
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), opens_one_under_a_mask(false))));
    EXPECT_EQ("dd", notebook);
}

async(int, hosts_in_a_shield)
{
    vars(int result);
    await(my->result, shield(hosts_a_failure(coil_s(1))));
    note(my->result == -EIO ? 'E' : 'x');
    await(coil_yield());
    note('!');
    return 0;
}

TEST_F(Group, InAShieldOfACancelledTaskFailsAsEver)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(5), hosts_in_a_shield())));
    EXPECT_EQ("cbE", notebook);
}

async(int, nests_groups, (int) depth)
{
    vars(coil_group group; int result);
    defer(note(static_cast<char>('0' + depth)));
    open_group(&my->group);
    if (depth > 0) {
        spawn(&my->group, nests_groups(depth - 1));
    } else {
        spawn(&my->group, cleans_up(coil_s(1), coil_ms(10)));
    }
    await(my->result, coil_group_join(&my->group));
    return my->result;
}

TEST_F(Group, CancellationReachesTheWholeTreeAndTheLeavesEndFirst)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), nests_groups(3))));
    EXPECT_EQ("c0123", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

/* ---------------------------------------------------------------------------------- spawn -- */

TEST_F(Group, OfTheSchedulerHoldsTasksThatNobodyWaitsFor)
{
    spawn(&sched.root, works(coil_ms(10), 'w'));
    EXPECT_EQ(1u, sched.live_count);
    EXPECT_EQ(1u, sched.root.live_count);
    drive();
    EXPECT_EQ(0u, sched.root.live_count);
}

TEST_F(Group, SpawnNamesTheTaskAfterItsCoroutine)
{
    EXPECT_STREQ("works", coil_task_name(spawn(&sched.root, works(coil_ms(10), 'w'))));
}

async(int64_t, counts_far)
{
    vars();
    return INT64_C(5000000000);
}

async(void, returns_nothing)
{
    vars();
}

struct point {
    int x, y;
};

async(struct point, returns_point)
{
    vars();
    return point{-1, -1};
}

async(void *, returns_error_pointer)
{
    vars();
    return coil_error_pointer(-EIO);
}

TEST_F(Group, SpawnResultStoresAnInteger)
{
    int64_t results[5] = {99, 99, 99, 99, 99};
    coil_spawn_result(&sched.root, &results[0], fails_after(0, -7));
    coil_spawn_result(&sched.root, &results[1], counts_far());
    coil_spawn_result(&sched.root, &results[2], returns_nothing());
    coil_spawn_result(&sched.root, &results[3], returns_point());
    coil_spawn_result(&sched.root, &results[4], returns_error_pointer());
    EXPECT_EQ(99, results[0]);
    drive();
    EXPECT_EQ(-7, results[0]);
    EXPECT_EQ(5000000000, results[1]);
    EXPECT_EQ(0, results[2]) << "what has no status has no error";
    EXPECT_EQ(0, results[3]);
    EXPECT_EQ(-EIO, results[4]);
}

TEST_F(Group, SpawnResultOfACancelledTask)
{
    int64_t result = 0;
    coil_task_cancel(coil_spawn_result(&sched.root, &result, works(coil_s(1), 'w')));
    drive();
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Group, SpawnTakesDeadlinesAndShields)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(5), works(coil_ms(10), 'w'))));
    EXPECT_EQ(-ETIME, RUN(until(sched.now, works(coil_ms(10), 'w'))));
    EXPECT_EQ(7, RUN(shield(works(coil_ms(10), 'w'))));
    EXPECT_EQ(-ETIME, RUN(shield(within(coil_ms(5), works(coil_ms(10), 'w')))));
    spawn(&sched.root, within(coil_ms(5), shield(coil_sleep(coil_ms(1)))));
}

int chosen_count;

coil_group *choose(coil_group *group)
{
    chosen_count++;
    return group;
}

TEST_F(Group, SpawnEvaluatesItsGroupOnce)
{
    chosen_count = 0;
    spawn(choose(&sched.root), returns_nothing());
    EXPECT_EQ(1, chosen_count);
}

/* -------------------------------------------------------------------------------- handlers -- */

async(int, handles, (int *) argument)
{
    vars();
    defer(*argument += 1);
    await(coil_sleep(coil_ms(10)));
    return *argument;
}

async(int, handles_at_once, (int *) argument)
{
    vars();
    return *argument;
}

async(int, calls_back, (coil_handler) handler, (void *) argument)
{
    vars(int result);
    await(my->result, coil_handler_call(handler, argument));
    return my->result;
}

TEST_F(Group, HandlerIsCalledWithItsArgument)
{
    int argument = 5;
    EXPECT_EQ(5, RUN(calls_back(coil_handler(handles, int *), &argument)));
    EXPECT_EQ(6, argument);
    EXPECT_EQ(6, RUN(calls_back(coil_handler(handles_at_once, int *), &argument)));
}

TEST_F(Group, HandlerCanBeCancelled)
{
    int argument = 5;
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(1), calls_back(coil_handler(handles, int *), &argument))));
    EXPECT_EQ(6, argument);
}

async(int, calls_back_within, (coil_handler) handler, (void *) argument)
{
    vars(int result);
    await(my->result, within(coil_ms(1), coil_handler_call(handler, argument)));
    return my->result;
}

TEST_F(Group, HandlerCallCanHaveADeadline)
{
    int argument = 5;
    EXPECT_EQ(-ETIME, RUN(calls_back_within(coil_handler(handles, int *), &argument)));
    EXPECT_EQ(6, argument);
}

TEST_F(Group, HandlerCanBeSpawned)
{
    int argument = 5;
    coil_task *task = coil_spawn_handler(&sched.root, coil_handler(handles, int *), &argument);
    ASSERT_NE(nullptr, task);
    drive();
    EXPECT_EQ(6, argument);
}

/* --------------------------------------------------------------------------- out of memory -- */

/* Every allocation from the `fail_from`th on fails; what is out is counted. */
struct scarce {
    coil_allocator allocator;
    int allocation_count;
    int fail_from;
    int64_t out_bytes;
};

void *scarce_allocate(coil_allocator *allocator, size_t size_bytes)
{
    auto *self = coil_container_of(allocator, scarce, allocator);
    if (++self->allocation_count >= self->fail_from)
        return nullptr;
    self->out_bytes += static_cast<int64_t>(size_bytes);
    return malloc(size_bytes);
}

void scarce_release(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    auto *self = coil_container_of(allocator, scarce, allocator);
    self->out_bytes -= static_cast<int64_t>(size_bytes);
    free(memory);
}

/* Large enough that each task is an allocation of its own. */
async(int, is_large, (int *) ended_count)
{
    vars();
    defer(++*ended_count);
    await(coil_sleep(coil_ms(10)));
    return 0;
}

async(int, spawns_many, (int *) ended_count, (int *) spawned_count)
{
    vars(coil_group group; int i; int result);
    open_group(&my->group);
    for (my->i = 0; my->i < 8; my->i++) {
        if (spawn(&my->group, is_large(ended_count)) != nullptr)
            ++*spawned_count;
    }
    await(my->result, coil_group_join(&my->group));
    note('!');
    return my->result;
}

TEST(GroupWithoutMemory, FailsWithENOMEMAndEndsTheTasksThatItHas)
{
    is_large__stack = 8192;
    spawns_many__stack = 2048;
    for (int fail_from = 2; fail_from <= 10; fail_from++) {
        scarce memory = {{scarce_allocate, scarce_release}, 0, fail_from, 0};
        coil_sched sched;
        int ended_count = 0;
        int spawned_count = 0;
        int64_t result = 99;
        notebook.clear();
        coil_sched_init(&sched, 0, &memory.allocator);
        sched.root.keep_going = true;
        coil_task *task =
                coil_spawn_result(&sched.root, &result, spawns_many(&ended_count, &spawned_count));
        ASSERT_NE(nullptr, task);
        while (sched.live_count > 0) {
            while (coil_sched_run(&sched, 10)) {
            }
            if (sched.live_count > 0)
                coil_sched_advance(&sched, coil_sched_next(&sched));
        }
        bool enough = fail_from > 9;
        EXPECT_EQ(enough ? 0 : -ENOMEM, result) << fail_from;
        EXPECT_EQ(enough ? "!" : "", notebook) << fail_from;
        EXPECT_EQ(std::min(fail_from - 2, 8), spawned_count);
        EXPECT_EQ(spawned_count, ended_count);
        coil_sched_fini(&sched);
        EXPECT_EQ(0, memory.out_bytes);
    }
}

/* Its task is an allocation of its own, and so would be a further block of its stack. */
struct bulk {
    char bytes[COIL_SLAB_CLASSES * COIL_SLAB_STEP_BYTES];
};

async(int, takes_much, (bulk) what, (int *) out_seen)
{
    vars();
    *out_seen = what.bytes[7];
    await(coil_sleep(coil_ms(10)));
    return 0;
}

TEST(GroupWithoutMemory, MakesATaskWithRoomForItsAdaptorsOrNone)
{
    static bulk much;
    much.bytes[7] = 7;
    for (uint32_t spawned_before : {0u, 100u}) {
        takes_much__stack = spawned_before;
        scarce memory = {{scarce_allocate, scarce_release}, 0, 3, 0};
        coil_sched sched;
        int seen = 0;
        coil_sched_init(&sched, 0, &memory.allocator);
        sched.root.keep_going = true;
        if (spawned_before == 0) /* What the first of its kind have is an allocation, too. */
            coil_sched_release(&sched, coil_sched_allocate(&sched, 64), 64);
        int64_t result = 99;
        ASSERT_NE(nullptr,
                coil_spawn_result(&sched.root, &result,
                        shield(within(coil_ms(1), until(coil_ms(2), takes_much(much, &seen))))));
        memory.fail_from = 1; /* From here on there is none. */
        EXPECT_EQ(nullptr, spawn(&sched.root, within(coil_ms(1), takes_much(much, &seen))));
        EXPECT_EQ(1u, sched.root.failed_count);
        memory.fail_from = 100; /* What it awaits may need more. */
        EXPECT_FALSE(coil_sched_run(&sched, 10));
        EXPECT_EQ(7, seen);
        coil_sched_advance(&sched, coil_ms(1));
        EXPECT_FALSE(coil_sched_run(&sched, 10));
        EXPECT_EQ(-ETIME, result);
        EXPECT_EQ(0u, sched.live_count);
        coil_sched_fini(&sched);
        EXPECT_EQ(0, memory.out_bytes);
    }
}

TEST(GroupWithoutMemory, OfTheSchedulerCountsTheFailure)
{
    scarce memory = {{scarce_allocate, scarce_release}, 0, 1, 0};
    coil_sched sched;
    coil_sched_init(&sched, 0, &memory.allocator);
    EXPECT_EQ(nullptr, spawn(&sched.root, coil_yield()));
    EXPECT_EQ(nullptr, spawn(&sched.root, shield(within(coil_ms(1), coil_yield()))));
    EXPECT_EQ(-ENOMEM, sched.root.error);
    EXPECT_EQ(2u, sched.root.failed_count);
    EXPECT_EQ(0u, sched.live_count);
    coil_sched_fini(&sched);
}

} // namespace
