/* SPDX-License-Identifier: MIT */
/* Futures: results that come later, of one and of several. */
#include "virtual_time.h"

#include <coil/error.h>
#include <coil/future.h>

#include <cerrno>

#include <coil/sugar.h>

namespace
{

using Future = VirtualTime;

typedef struct pair {
    int64_t status;
    int64_t other;
} pair;

typedef coil_future_of(int) int_future;
typedef coil_future_of(pair) pair_future;
typedef coil_future_of(coil_nil) nil_future;

async(int, gives, (coil_duration) after, (int) value)
{
    vars();
    await(coil_sleep(after));
    note(static_cast<char>(value < 0 ? '-' : '0' + value % 10));
    return value;
}

async(pair, gives_pair, (int64_t) status)
{
    vars();
    await(coil_sleep(coil_ms(1)));
    return pair{status, 5};
}

async(void, only_happens)
{
    vars();
    await(coil_sleep(coil_ms(3)));
}

async(int, waits, (int_future *) future, (char) mark)
{
    vars(int rc);
    await(my->rc, coil_future_wait(future));
    note(mark);
    return my->rc;
}

/* ------------------------------------------------------------------------------- promises -- */

TEST_F(Future, WakesAllWhoWaitInTheOrderOfTheirComing)
{
    int_future future;
    coil_future_init(&future);
    for (char mark = 'a'; mark <= 'e'; mark++)
        spawn(&sched.root, waits(&future, mark));
    settle();
    EXPECT_EQ("", notebook);
    EXPECT_EQ(0, coil_future_set(&future, 42));
    EXPECT_EQ("", notebook) << "nobody runs inside of set";
    settle();
    EXPECT_EQ("abcde", notebook);
    EXPECT_EQ(42, future.value);
    EXPECT_TRUE(future.future.done);
}

TEST_F(Future, ThatIsDoneDoesNotMakeAnybodyWait)
{
    int_future future;
    coil_future_init(&future);
    EXPECT_EQ(0, coil_future_set(&future, 1));
    EXPECT_EQ(0, RUN(waits(&future, 'a')));
    EXPECT_EQ(0, elapsed());
}

TEST_F(Future, BecomesDoneOnce)
{
    int_future future;
    coil_future_init(&future);
    EXPECT_EQ(0, coil_future_set(&future, 1));
    EXPECT_EQ(-EALREADY, coil_future_set(&future, 2));
    EXPECT_EQ(-EALREADY, coil_future_fail(&future, -EIO));
    EXPECT_EQ(1, future.value);
    EXPECT_EQ(0, future.future.error);
}

TEST_F(Future, ThatFailsReportsItsError)
{
    int_future future;
    coil_future_init(&future);
    int64_t result = 0;
    coil_spawn_result(&sched.root, &result, waits(&future, 'a'));
    settle();
    EXPECT_EQ(0, coil_future_fail(&future, -EIO));
    drive();
    EXPECT_EQ(-EIO, result);
}

TEST_F(Future, IsNotConcernedByAWaitThatIsCancelled)
{
    int_future future;
    coil_future_init(&future);
    coil_task *waiting = spawn(&sched.root, waits(&future, 'a'));
    spawn(&sched.root, waits(&future, 'b'));
    settle();
    coil_task_cancel(waiting);
    settle();
    EXPECT_EQ("", notebook);
    EXPECT_EQ(0, coil_future_set(&future, 1));
    settle();
    EXPECT_EQ("b", notebook);
}

TEST_F(Future, DeliversToATaskThatIsCancelledInTheSameRound)
{
    int_future future;
    coil_future_init(&future);
    int64_t result = 0;
    coil_task *waiting = coil_spawn_result(&sched.root, &result, waits(&future, 'a'));
    settle();
    EXPECT_EQ(0, coil_future_set(&future, 1));
    coil_task_cancel(waiting);
    settle();
    EXPECT_EQ("a", notebook) << "the cancellation hits the next await, and there is none";
    EXPECT_EQ(0, result);
}

async(int, waits_a_while, (int_future *) future)
{
    vars(int rc);
    await(my->rc, within(coil_ms(5), coil_future_wait(future)));
    return my->rc;
}

TEST_F(Future, CanBeWaitedForUntilADeadline)
{
    int_future future;
    coil_future_init(&future);
    EXPECT_EQ(-ETIME, RUN(waits_a_while(&future)));
    EXPECT_EQ(coil_ms(5), elapsed());
    EXPECT_FALSE(future.future.done);
}

/* ------------------------------------------------------------------------- results of tasks -- */

async(int, gathers, (int64_t *) out_sum)
{
    vars(coil_group group; int_future one; pair_future two; nil_future three;);
    open_group(&my->group);
    coil_spawn_future(&my->group, &my->one, gives(coil_ms(2), 30));
    coil_spawn_future(&my->group, &my->two, gives_pair(7));
    coil_spawn_future(&my->group, &my->three, only_happens());
    attempt(coil_group_join(&my->group));
    COIL_CHECK(my->one.future.done && my->two.future.done && my->three.future.done);
    COIL_CHECK(my->one.future.task == nullptr);
    *out_sum = my->one.value + my->two.value.status + my->two.value.other;
    return 0;
}

TEST_F(Future, TakesTheResultOfATaskOfAnyType)
{
    int64_t sum = 0;
    EXPECT_EQ(0, RUN(gathers(&sum)));
    EXPECT_EQ(42, sum);
}

async(int, cancels_one)
{
    vars(coil_group group; int_future one; int rc);
    open_group(&my->group);
    my->group.keep_going = true;
    coil_spawn_future(&my->group, &my->one, gives(coil_s(9), 1));
    await(coil_sleep(coil_ms(1)));
    coil_future_cancel(&my->one.future);
    await(my->rc, coil_future_wait(&my->one));
    COIL_CHECK(my->one.value == -ECANCELED);
    coil_future_cancel(&my->one.future);
    return my->rc;
}

TEST_F(Future, OfACancelledTaskSaysSo)
{
    EXPECT_EQ(-ECANCELED, RUN(cancels_one()));
    EXPECT_EQ(coil_ms(1), elapsed());
}

async(int, spawns_and_fails, (pair_future *) out)
{
    vars(coil_group group; int rc);
    open_group(&my->group);
    my->group.keep_going = true;
    coil_spawn_future(&my->group, out, gives_pair(-EIO));
    await(my->rc, coil_future_wait(out));
    return my->rc;
}

TEST_F(Future, OfAStructFailsWithTheStatusThatItBeginsWith)
{
    pair_future future;
    EXPECT_EQ(-EIO, RUN(spawns_and_fails(&future)));
    EXPECT_EQ(-EIO, future.value.status);
    EXPECT_EQ(5, future.value.other) << "the rest of the result is there as well";
}

/* ---------------------------------------------------------------------------------- wait -- */

struct Three {
    int_future futures[3];
    coil_future *all[3];
};

async(int, waits_for, (Three *) three, (coil_wait_mode) mode, (coil_duration) limit)
{
    vars(coil_group group; int rc; int i);
    open_group(&my->group);
    my->group.keep_going = true;
    coil_spawn_future(&my->group, &three->futures[0], gives(coil_ms(30), 3));
    coil_spawn_future(&my->group, &three->futures[1], gives(coil_ms(20), -EIO));
    coil_spawn_future(&my->group, &three->futures[2], gives(coil_ms(10), 1));
    for (my->i = 0; my->i < 3; my->i++)
        three->all[my->i] = &three->futures[my->i].future;
    await(my->rc, within(limit, coil_wait(three->all, 3, mode)));
    note('!');
    return my->rc;
}

TEST_F(Future, WaitForTheFirstCompletedReturnsWhichItWas)
{
    Three three;
    EXPECT_EQ(2, RUN(waits_for(&three, COIL_FIRST_COMPLETED, COIL_FOREVER)));
    EXPECT_EQ("1!", notebook);
    EXPECT_EQ(-ECANCELED, three.futures[0].future.error) << "the group was left";
}

TEST_F(Future, WaitForTheFirstErrorDoesNotMindASuccess)
{
    Three three;
    EXPECT_EQ(1, RUN(waits_for(&three, COIL_FIRST_ERROR, COIL_FOREVER)));
    EXPECT_EQ("1-!", notebook);
}

TEST_F(Future, WaitForAllReturnsTheirCount)
{
    Three three;
    EXPECT_EQ(3, RUN(waits_for(&three, COIL_ALL_COMPLETED, COIL_FOREVER)));
    EXPECT_EQ("1-3!", notebook);
}

TEST_F(Future, WaitPastItsDeadlineLeavesTheFuturesAlone)
{
    Three three;
    EXPECT_EQ(-ETIME, RUN(waits_for(&three, COIL_ALL_COMPLETED, coil_ms(25))));
    EXPECT_EQ("1-!", notebook);
}

async(int, waits_for_these, (coil_future *const *) futures, (size_t) count, (coil_wait_mode) mode)
{
    vars(int rc);
    await(my->rc, coil_wait(futures, count, mode));
    return my->rc;
}

TEST_F(Future, WaitTakesThoseThatAreDoneAlready)
{
    int_future futures[3];
    coil_future *all[3];
    for (int i = 0; i < 3; i++) {
        coil_future_init(&futures[i]);
        all[i] = &futures[i].future;
    }
    (void)coil_future_set(&futures[2], 1);
    (void)coil_future_fail(&futures[1], -EIO);
    EXPECT_EQ(1, RUN(waits_for_these(all, 3, COIL_FIRST_COMPLETED))) << "the lowest of them";
    EXPECT_EQ(1, RUN(waits_for_these(all, 3, COIL_FIRST_ERROR)));
    (void)coil_future_set(&futures[0], 1);
    EXPECT_EQ(3, RUN(waits_for_these(all, 3, COIL_ALL_COMPLETED)));
}

TEST_F(Future, WaitForNothing)
{
    EXPECT_EQ(-EINVAL, RUN(waits_for_these(nullptr, 0, COIL_FIRST_COMPLETED)));
    EXPECT_EQ(0, RUN(waits_for_these(nullptr, 0, COIL_FIRST_ERROR)));
    EXPECT_EQ(0, RUN(waits_for_these(nullptr, 0, COIL_ALL_COMPLETED)));
}

TEST_F(Future, ACancelledWaitForSeveralForgetsThem)
{
    int_future futures[2];
    coil_future *all[2];
    for (int i = 0; i < 2; i++) {
        coil_future_init(&futures[i]);
        all[i] = &futures[i].future;
    }
    coil_task *waiting = spawn(&sched.root, waits_for_these(all, 2, COIL_ALL_COMPLETED));
    settle();
    (void)coil_future_set(&futures[0], 1);
    coil_task_cancel(waiting);
    drive();
    EXPECT_TRUE(coil_list_empty(&futures[1].future.watches));
    (void)coil_future_set(&futures[1], 1);
}

/* ---------------------------------------------------------------------------- race and any -- */

async(int, races, (bool) any, (int) error_first)
{
    vars(coil_group group; int_future slow; int_future fast; coil_future *winner);
    open_group(&my->group);
    coil_spawn_future(&my->group, &my->slow, gives(coil_ms(20), 2));
    coil_spawn_future(&my->group, &my->fast, gives(coil_ms(10), error_first));
    if (any)
        await(my->winner, coil_group_any(&my->group));
    else
        await(my->winner, coil_group_race(&my->group));
    note('!');
    COIL_CHECK(my->slow.future.done && my->fast.future.done);
    return my->winner == &my->fast.future ? 1 : my->winner == &my->slow.future ? 2 : 0;
}

TEST_F(Future, RaceReturnsTheFirstAndCancelsTheOthers)
{
    EXPECT_EQ(1, RUN(races(false, 1)));
    EXPECT_EQ("1!", notebook);
    EXPECT_EQ(coil_ms(10), elapsed());
}

TEST_F(Future, RaceIsDecidedByAFailureToo)
{
    EXPECT_EQ(1, RUN(races(false, -EIO)));
    EXPECT_EQ("-!", notebook);
}

TEST_F(Future, AnyGoesOnUntilTheFirstSuccess)
{
    EXPECT_EQ(2, RUN(races(true, -EIO)));
    EXPECT_EQ("-2!", notebook);
}

async(int, any_of_failures)
{
    vars(coil_group group; int_future one; int_future two; coil_future *last);
    open_group(&my->group);
    coil_spawn_future(&my->group, &my->one, gives(coil_ms(20), -EPERM));
    coil_spawn_future(&my->group, &my->two, gives(coil_ms(10), -EIO));
    await(my->last, coil_group_any(&my->group));
    return my->last->error;
}

TEST_F(Future, AnyOfFailuresReturnsTheLast)
{
    EXPECT_EQ(-EPERM, RUN(any_of_failures()));
}

async(int, races_nobody)
{
    vars(coil_group group; coil_future *winner);
    open_group(&my->group);
    await(my->winner, coil_group_race(&my->group));
    return my->winner == nullptr;
}

TEST_F(Future, RaceOfNobodyHasNoWinner)
{
    EXPECT_EQ(1, RUN(races_nobody()));
}

async(int, is_stubborn)
{
    vars();
    await(shield(coil_sleep(coil_ms(50))));
    note('s');
    return 9;
}

async(int, races_the_stubborn)
{
    vars(coil_group group; int_future slow; int_future fast; coil_future *winner);
    open_group(&my->group);
    coil_spawn_future(&my->group, &my->slow, is_stubborn());
    coil_spawn_future(&my->group, &my->fast, gives(coil_ms(10), 1));
    await(my->winner, coil_group_race(&my->group));
    COIL_CHECK(my->winner == &my->fast.future);
    return my->slow.value;
}

TEST_F(Future, ALoserThatHasAResultAllTheSameDeliversIt)
{
    EXPECT_EQ(9, RUN(races_the_stubborn()));
    EXPECT_EQ("1s", notebook);
    EXPECT_EQ(coil_ms(50), elapsed());
}

async(int, races_for_a_while)
{
    vars(coil_group group; int_future slow; coil_future *winner);
    open_group(&my->group);
    coil_spawn_future(&my->group, &my->slow, gives(coil_ms(20), 2));
    await(my->winner, within(coil_ms(5), coil_group_race(&my->group)));
    note('!');
    return coil_pointer_error(my->winner);
}

TEST_F(Future, RacePastItsDeadlineCancelsAndAwaitsAll)
{
    EXPECT_EQ(-ETIME, RUN(races_for_a_while()));
    EXPECT_EQ("!", notebook);
    EXPECT_EQ(coil_ms(5), elapsed());
}

/* ---------------------------------------------------------------------------- completions -- */

async(int, takes_as_completed, (int) count)
{
    vars(coil_group group; int_future futures[5]; coil_future_watch watches[5];
            coil_completions each; coil_future *next; int i);
    open_group(&my->group);
    coil_completions_init(&my->each);
    for (my->i = 0; my->i < count; my->i++) {
        coil_spawn_future(
                &my->group, &my->futures[my->i], gives(coil_ms((my->i * 3 + 2) % 5 + 1), my->i));
        coil_completions_add(&my->each, &my->watches[my->i], &my->futures[my->i].future);
    }
    for (;;) {
        attempt(my->next, coil_completions_next(&my->each));
        if (my->next == nullptr)
            break;
        note(coil_container_of(my->next, int_future, future) == &my->futures[0] ? 'F' : '.');
    }
    return 0;
}

TEST_F(Future, CompletionsComeInTheOrderOfTheirEnd)
{
    EXPECT_EQ(0, RUN(takes_as_completed(5)));
    EXPECT_EQ("1.3.0F2.4.", notebook);
}

async(int, takes_one, (coil_completions *) each, (char) mark)
{
    vars(coil_future *next);
    attempt(my->next, coil_completions_next(each));
    note(my->next == nullptr ? '0' : mark);
    return 0;
}

TEST_F(Future, CompletionsAreSharedByThoseWhoWaitInOrder)
{
    int_future futures[2];
    coil_future_watch watches[2];
    coil_completions each;
    coil_completions_init(&each);
    for (int i = 0; i < 2; i++) {
        coil_future_init(&futures[i]);
        coil_completions_add(&each, &watches[i], &futures[i].future);
    }
    for (char mark = 'a'; mark <= 'c'; mark++)
        spawn(&sched.root, takes_one(&each, mark));
    settle();
    EXPECT_EQ(0, coil_future_set(&futures[1], 1));
    settle();
    EXPECT_EQ("a", notebook);
    EXPECT_EQ(0, coil_future_set(&futures[0], 1));
    drive();
    EXPECT_EQ("ab0", notebook) << "the third is told that nothing is left";
}

TEST_F(Future, ACancelledTakerLosesNoCompletion)
{
    int_future future;
    coil_future_watch watch;
    coil_completions each;
    coil_completions_init(&each);
    coil_future_init(&future);
    coil_completions_add(&each, &watch, &future.future);
    coil_task *first = spawn(&sched.root, takes_one(&each, 'a'));
    spawn(&sched.root, takes_one(&each, 'b'));
    settle();
    coil_task_cancel(first);
    (void)coil_future_set(&future, 1);
    drive();
    EXPECT_EQ("b", notebook);
}

TEST_F(Future, WhatIsRemovedFromTheCompletionsDoesNotCome)
{
    int_future futures[2];
    coil_future_watch watches[2];
    coil_completions each;
    coil_completions_init(&each);
    for (int i = 0; i < 2; i++) {
        coil_future_init(&futures[i]);
        coil_completions_add(&each, &watches[i], &futures[i].future);
    }
    (void)coil_future_set(&futures[0], 1);
    coil_completions_remove(&watches[0]);
    spawn(&sched.root, takes_one(&each, 'a'));
    settle();
    coil_completions_remove(&watches[1]);
    coil_completions_remove(&watches[1]);
    drive();
    EXPECT_EQ("0", notebook);
    (void)coil_future_set(&futures[1], 1);
}

} // namespace
