/* SPDX-License-Identifier: MIT */
/* Deadlines, shields and cancellations: who ends what, in which order, with which result. */
#include "virtual_time.h"

#include <cerrno>

#include <coil/sugar.h>

namespace
{

using Scope = VirtualTime;

/* ------------------------------------------------------------------------------- the cast -- */

/* Writes `mark` when it leaves, however it leaves. */
async(int, works, (coil_duration) duration, (char) mark)
{
    vars();
    defer(note(mark));
    await(coil_sleep(duration));
    return 7;
}

/* Needs `cleanup` to leave. */
async(int, cleans_up, (coil_duration) duration, (coil_duration) cleanup)
{
    vars();
    defer(await(coil_sleep(cleanup)); note('c'));
    await(coil_sleep(duration));
    return 8;
}

async(void, naps, (coil_duration) duration, (char) mark)
{
    vars();
    await(coil_sleep(duration));
    note(mark);
}

/* Its cleanup takes as long as `limit` at most. */
async(int, cleans_up_within, (coil_duration) cleanup, (coil_duration) limit)
{
    vars(int result);
    defer(await(my->result, within(limit, works(cleanup, 'i')));
            note(my->result == -ETIME ? 'T' : 'R'));
    await(coil_sleep(coil_s(1)));
    return 8;
}

/* A call with a deadline of its own, then a sleep. */
async(int, nests, (coil_duration) inner, (coil_duration) then)
{
    vars(int result);
    defer(note('n'));
    await(my->result, within(inner, works(coil_ms(200), 'w')));
    note(my->result == -ETIME ? 'T' : 'R');
    await(coil_sleep(then));
    return my->result;
}

async(int, descends, (int) depth, (coil_duration) duration)
{
    vars(int result);
    defer(note(static_cast<char>('0' + depth)));
    if (depth == 0) {
        await(coil_sleep(duration));
        return 1;
    }
    await(my->result, descends(depth - 1, duration));
    return my->result + 1;
}

/* The result of the call is the coroutine's: the call's scope lies within this one. */
#define PASSES_ON(name, ...)            \
    async(int, name)                    \
    {                                   \
        vars(int result);               \
        await(my->result, __VA_ARGS__); \
        return my->result;              \
    }

/* ------------------------------------------------------------------------------ deadlines -- */

TEST_F(Scope, EndsACallThatTakesTooLong)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(20), works(coil_ms(200), 'w'))));
    EXPECT_EQ("w", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Scope, LeavesACallAloneThatIsInTime)
{
    EXPECT_EQ(7, RUN(within(coil_ms(200), works(coil_ms(20), 'w'))));
    EXPECT_EQ("w", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
    EXPECT_EQ(COIL_NEVER, coil_sched_next(&sched)) << "the deadline is disarmed";
}

TEST_F(Scope, TakesAnInstantAsWell)
{
    EXPECT_EQ(-ETIME, RUN(until(start + coil_ms(20), works(coil_ms(200), 'w'))));
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Scope, LetsTheEarlierOfTwoDeadlinesCount)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(30), within(coil_ms(20), works(coil_s(1), 'w')))));
    EXPECT_EQ(coil_ms(20), elapsed());
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(20), until(start + coil_s(1), works(coil_s(1), 'w')))));
    EXPECT_EQ(coil_ms(40), elapsed());
    EXPECT_EQ(-ETIME,
            RUN(until(start + coil_s(1), until(start + coil_ms(50), works(coil_s(1), 'w')))));
    EXPECT_EQ(coil_ms(50), elapsed());
}

TEST_F(Scope, HasNoDeadlineIfThatIsForever)
{
    EXPECT_EQ(7, RUN(within(COIL_FOREVER, until(COIL_NEVER, works(coil_ms(20), 'w')))));
}

TEST_F(Scope, WithADeadlineInThePastEndsTheCallAtItsFirstWait)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(-5), works(coil_ms(20), 'w'))));
    EXPECT_EQ("w", notebook);
    EXPECT_EQ(0, elapsed());
}

PASSES_ON(limits_a_sleep_without_end, within(coil_ms(10), works(COIL_FOREVER, 'w')))

TEST_F(Scope, EndsASleepWithoutEnd)
{
    EXPECT_EQ(-ETIME, RUN(limits_a_sleep_without_end()));
    EXPECT_EQ("w", notebook);
    EXPECT_EQ(coil_ms(10), elapsed());
}

TEST_F(Scope, InnerDeadlineIsReportedToTheCallerOfTheCall)
{
    EXPECT_EQ(-ETIME, RUN(nests(coil_ms(10), coil_ms(10))));
    EXPECT_EQ("wTn", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Scope, OuterDeadlineEndsEverythingInside)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), nests(coil_ms(100), coil_ms(200)))));
    EXPECT_EQ("wn", notebook);
}

TEST_F(Scope, InnerDeadlineAndThenOuterDeadline)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(30), nests(coil_ms(10), coil_ms(200)))));
    EXPECT_EQ("wTn", notebook);
    EXPECT_EQ(coil_ms(30), elapsed());
}

TEST_F(Scope, OuterDeadlineWinsATie)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), nests(coil_ms(10), coil_ms(200)))));
    EXPECT_EQ("wn", notebook);
    EXPECT_EQ(coil_ms(10), elapsed());
}

async(int, ties_the_other_way_round)
{
    vars(int result);
    await(coil_sleep(coil_ms(5)));
    /* Armed later, due at the same instant, inside. */
    await(my->result, within(coil_ms(5), works(coil_s(1), 'w')));
    note(my->result == -ETIME ? 'T' : 'R');
    await(coil_yield());
    note('!');
    await(coil_yield());
    note('?');
    return 0;
}

TEST_F(Scope, OuterDeadlineWinsATieEvenIfItsTimerWasArmedFirst)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), ties_the_other_way_round())));
    EXPECT_EQ("w", notebook);
}

TEST_F(Scope, UnwindsADeepCallFromTheInside)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), descends(9, coil_s(1)))));
    EXPECT_EQ("0123456789", notebook);
}

async(void, stores_a_result, (int *) out)
{
    vars();
    await(*out, within(coil_ms(10), works(coil_s(1), 'w')));
    note('t');
}

TEST_F(Scope, InAVoidCoroutineStoresItsResultThroughAPointer)
{
    int out = 0;
    RUN(stores_a_result(&out));
    EXPECT_EQ(-ETIME, out);
    EXPECT_EQ("wt", notebook);
}

async(int, limits_a_void_call)
{
    vars();
    await(within(coil_ms(10), naps(coil_s(1), '!')));
    note('a');
    await(shield(within(coil_ms(10), naps(coil_ms(1), 'n'))));
    return 3;
}

TEST_F(Scope, EndsAVoidCallSilently)
{
    EXPECT_EQ(3, RUN(limits_a_void_call()));
    EXPECT_EQ("an", notebook);
    EXPECT_EQ(coil_ms(11), elapsed());
}

struct measure {
    int64_t status;
    int32_t left;
    int32_t right;
};

async(struct measure, measures, (coil_duration) duration, (int64_t) status)
{
    vars(struct measure m);
    my->m.left = 1;
    my->m.right = 2;
    my->m.status = status;
    await(coil_sleep(duration));
    return my->m;
}

async(int, attempts_a_measure, (coil_duration) limit, (int64_t) status, (struct measure *) out)
{
    vars();
    attempt(*out, within(limit, measures(coil_ms(20), status)));
    return 5;
}

TEST_F(Scope, StoresItsErrorInTheStatusOfAStruct)
{
    struct measure m = {1, 1, 1};
    EXPECT_EQ(-ETIME, RUN(attempts_a_measure(coil_ms(10), 0, &m)));
    EXPECT_EQ(-ETIME, m.status);
    EXPECT_EQ(0, m.left) << "the rest is zero";
    EXPECT_EQ(0, m.right);
}

TEST_F(Scope, LeavesAStructAloneThatIsInTime)
{
    struct measure m = {1, 1, 1};
    EXPECT_EQ(5, RUN(attempts_a_measure(coil_ms(30), 4, &m)));
    EXPECT_EQ(4, m.status);
    EXPECT_EQ(1, m.left);
    EXPECT_EQ(2, m.right);
}

TEST_F(Scope, LetsAttemptSeeTheStatusOfAStruct)
{
    struct measure m = {1, 1, 1};
    EXPECT_EQ(-EPIPE, RUN(attempts_a_measure(coil_ms(30), -EPIPE, &m)));
}

async(int *, finds, (coil_duration) duration, (int *) thing)
{
    vars();
    await(coil_sleep(duration));
    return thing;
}

async(int, attempts_to_find, (coil_duration) limit, (int *) thing)
{
    vars(int *found);
    attempt(my->found, within(limit, finds(coil_ms(20), thing)));
    return *my->found;
}

TEST_F(Scope, StoresItsErrorInAPointer)
{
    int thing = 5;
    EXPECT_EQ(5, RUN(attempts_to_find(coil_ms(30), &thing)));
    EXPECT_EQ(-ETIME, RUN(attempts_to_find(coil_ms(10), &thing)));
}

/* -------------------------------------------------------------------------------- cleanup -- */

TEST_F(Scope, AwaitsTheCleanupOfWhatItEnds)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), cleans_up(coil_ms(200), coil_ms(30)))));
    EXPECT_EQ("c", notebook);
    EXPECT_EQ(coil_ms(40), elapsed());
}

TEST_F(Scope, WhoseDeadlinePassesDuringCleanupIsTooLate)
{
    EXPECT_EQ(8, RUN(within(coil_ms(20), cleans_up(coil_ms(10), coil_ms(30)))));
    EXPECT_EQ("c", notebook);
}

TEST_F(Scope, InsideTheCleanupOfACancelledCallBoundsTheCleanup)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), cleans_up_within(coil_s(1), coil_ms(20)))));
    EXPECT_EQ("iT", notebook);
    EXPECT_EQ(coil_ms(30), elapsed());
}

TEST_F(Scope, InsideTheCleanupOfACancelledCallLetsAShortCleanupFinish)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), cleans_up_within(coil_ms(5), coil_ms(20)))));
    EXPECT_EQ("iR", notebook);
    EXPECT_EQ(coil_ms(15), elapsed());
}

TEST_F(Scope, InsideTheCleanupOfACancelledTaskBoundsTheCleanup)
{
    int64_t result = 0;
    coil_task *task =
            coil_spawn_result(&sched.root, &result, cleans_up_within(coil_s(1), coil_ms(20)));
    pass(coil_ms(10));
    coil_task_cancel(task);
    drive();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("iT", notebook);
    EXPECT_EQ(coil_ms(30), elapsed());
}

/* -------------------------------------------------------------------------------- shields -- */

async(int, works_in_a_shield)
{
    vars(int result);
    await(my->result, shield(works(coil_ms(30), 's')));
    note(my->result == 7 ? 'k' : 'x');
    await(coil_sleep(coil_s(1)));
    note('!');
    return 0;
}

TEST_F(Scope, WaitsForAShieldedCallInside)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), works_in_a_shield())));
    EXPECT_EQ("sk", notebook) << "the request is seen at the first wait after the shield";
    EXPECT_EQ(coil_ms(30), elapsed());
}

async(int, works_in_a_limited_shield)
{
    vars(int result);
    await(my->result, shield(within(coil_ms(10), works(coil_ms(30), 's'))));
    note(my->result == -ETIME ? 'T' : 'R');
    await(coil_sleep(coil_s(1)));
    note('!');
    return 0;
}

TEST_F(Scope, InsideAShieldStillCounts)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(5), works_in_a_limited_shield())));
    EXPECT_EQ("sT", notebook);
    EXPECT_EQ(coil_ms(10), elapsed());
}

PASSES_ON(limits_a_shield, within(coil_ms(5), shield(works(coil_ms(30), 's'))))

TEST_F(Scope, AroundAShieldHasNoEffect)
{
    EXPECT_EQ(7, RUN(limits_a_shield()));
    EXPECT_EQ(7, RUN(within(coil_ms(5), shield(works(coil_ms(30), 's')))));
    EXPECT_EQ("ss", notebook);
    EXPECT_EQ(coil_ms(60), elapsed());
}

PASSES_ON(limits_a_limited_shield,
        within(coil_ms(5), shield(within(coil_ms(10), works(coil_ms(30), 's')))))

TEST_F(Scope, AroundAShieldDoesNotShortenTheDeadlineInside)
{
    EXPECT_EQ(-ETIME, RUN(limits_a_limited_shield()));
    EXPECT_EQ(coil_ms(10), elapsed());
    EXPECT_EQ(-ETIME, RUN(until(start, shield(within(coil_ms(10), works(coil_ms(30), 's'))))));
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Scope, ShieldOfAWholeTaskHidesItsCancellation)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, shield(works(coil_ms(30), 's')));
    pass(coil_ms(10));
    coil_task_cancel(task);
    drive();
    EXPECT_EQ(7, result);
    EXPECT_EQ("s", notebook);
}

async(int, fails_after, (coil_duration) duration)
{
    vars();
    await(coil_sleep(duration));
    return -EIO;
}

async(int, opens_a_failing_group)
{
    vars(coil_group group);
    defer(note('b'));
    open_group(&my->group);
    spawn(&my->group, fails_after(coil_ms(10)));
    await(coil_sleep(coil_s(1)));
    note('!');
    return 3;
}

PASSES_ON(shields_a_failing_group, shield(opens_a_failing_group()))

TEST_F(Scope, ShieldDoesNotHideTheFailureOfAGroupThatTheCallOpened)
{
    EXPECT_EQ(-EIO, RUN(shields_a_failing_group()));
    EXPECT_EQ("b", notebook);
    EXPECT_EQ(coil_ms(10), elapsed());
}

/* -------------------------------------------------------------------------- cancellations -- */

TEST_F(Scope, CancelledTaskRunsItsCleanupAndEnds)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, cleans_up(coil_s(1), coil_ms(20)));
    pass(coil_ms(10));
    coil_task_cancel(task);
    coil_task_cancel(task);
    drive();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("c", notebook);
    EXPECT_EQ(coil_ms(30), elapsed());
}

async(int, takes_over, (int *) owned)
{
    vars();
    *owned += 1;
    defer(*owned += 10);
    await(coil_sleep(coil_s(1)));
    *owned += 100;
    return 0;
}

TEST_F(Scope, TaskCancelledBeforeItsFirstTurnRunsToItsFirstWait)
{
    int owned = 0;
    int64_t result = 0;
    coil_task_cancel(coil_spawn_result(&sched.root, &result, takes_over(&owned)));
    settle();
    EXPECT_EQ(11, owned);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Scope, LeafCancelledBeforeItsFirstTurnDoesNotStart)
{
    coil_task_cancel(spawn(&sched.root, coil_sleep(coil_s(1))));
    coil_task_cancel(spawn(&sched.root, coil_yield()));
    settle();
    EXPECT_EQ(0u, sched.live_count);
}

TEST_F(Scope, CancellationThatComesAfterTheResultIsTooLate)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, works(coil_ms(10), 'w'));
    settle();
    coil_sched_advance(
            &sched, start + coil_ms(10)); /* The sleep is over, the task has not run yet. */
    coil_task_cancel(task);
    drive();
    EXPECT_EQ(7, result);
}

async(int, waits_twice)
{
    vars();
    await(coil_sleep(coil_ms(10)));
    note('1');
    await(coil_sleep(coil_ms(10)));
    note('2');
    return 0;
}

TEST_F(Scope, CancellationIsSeenAtTheNextWait)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, waits_twice());
    settle();
    coil_sched_advance(&sched, start + coil_ms(10));
    coil_task_cancel(task);
    drive();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("1", notebook);
}

async(int, cancels_itself)
{
    vars();
    defer(await(coil_sleep(coil_ms(10))); note('c'));
    coil_task_cancel(coil_self);
    note('a');
    await(coil_yield());
    note('!');
    return 0;
}

TEST_F(Scope, TaskMayCancelItself)
{
    EXPECT_EQ(-ECANCELED, RUN(cancels_itself()));
    EXPECT_EQ("ac", notebook);
    EXPECT_EQ(coil_ms(10), elapsed());
}

async(int, cancels_itself_while_leaving)
{
    vars();
    defer(coil_task_cancel(coil_self); await(coil_sleep(coil_ms(10))); note('c'));
    await(coil_yield());
    return 4;
}

PASSES_ON(goes_on_after, cancels_itself_while_leaving())

TEST_F(Scope, CancellationDuringCleanupWaitsForTheCleanup)
{
    EXPECT_EQ(4, RUN(cancels_itself_while_leaving())) << "the result was there first";
    EXPECT_EQ("c", notebook);
    EXPECT_EQ(4, RUN(goes_on_after())) << "no wait follows";
}

TEST_F(Scope, CancellationOfTheTaskWinsOverADeadlineThatHasBegun)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, nests(coil_ms(10), coil_ms(200)));
    settle();
    coil_sched_advance(&sched, start + coil_ms(10)); /* The inner deadline passes, */
    coil_task_cancel(task);                          /* and before anything runs, this. */
    drive();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("wn", notebook);
}

TEST_F(Scope, DeadlineDoesNotWeakenACancellationOfTheTask)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, nests(coil_ms(10), coil_ms(200)));
    settle();
    coil_task_cancel(task);
    coil_sched_advance(&sched, start + coil_ms(10));
    drive();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("wn", notebook);
}

async(int, ends_its_scope, (int) rounds)
{
    vars(int i);
    int result;
    for (my->i = 0; my->i < rounds; my->i++) {
        await(result, within(coil_ms(1), works(coil_s(1), '.')));
        if (result != -ETIME)
            return -1;
    }
    return my->i;
}

TEST_F(Scope, IsOverWhenItHasBeenLeft)
{
    EXPECT_EQ(5, RUN(ends_its_scope(5)));
    EXPECT_EQ(".....", notebook);
    EXPECT_EQ(coil_ms(5), elapsed());
}

} // namespace
