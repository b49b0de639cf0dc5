/* SPDX-License-Identifier: MIT */
/* Groups with a limit, tasks that start at once, and who is told of a failure. */
#include "virtual_time.h"

#include <cerrno>

#include <coil/sugar.h>

namespace
{

using Limit = VirtualTime;

int running;
int most_running;

async(int, counts_in, (coil_duration) duration, (char) mark)
{
    vars();
    most_running = std::max(most_running, ++running);
    defer(running--);
    await(coil_sleep(duration));
    note(mark);
    return 0;
}

async(int, runs_many, (size_t) limit, (int) count, (bool) waits_for_room)
{
    vars(coil_group group; int i; int rc);
    open_group(&my->group);
    my->group.limit = limit;
    for (my->i = 0; my->i < count; my->i++) {
        if (waits_for_room)
            attempt(coil_group_room(&my->group));
        COIL_CHECK(!waits_for_room || my->group.live_count < limit);
        spawn(&my->group, counts_in(coil_ms(10), static_cast<char>('a' + my->i)));
    }
    note('!');
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, BoundsHowManyRunAndStartsTheOthersInOrder)
{
    running = most_running = 0;
    EXPECT_EQ(0, RUN(runs_many(3, 10, false)));
    EXPECT_EQ(3, most_running);
    EXPECT_EQ("!abcdefghij", notebook);
    EXPECT_EQ(coil_ms(40), elapsed());
}

TEST_F(Limit, OfOneMakesASequence)
{
    running = most_running = 0;
    EXPECT_EQ(0, RUN(runs_many(1, 4, false)));
    EXPECT_EQ(1, most_running);
    EXPECT_EQ(coil_ms(40), elapsed());
}

TEST_F(Limit, RoomHoldsTheProducerBack)
{
    running = most_running = 0;
    EXPECT_EQ(0, RUN(runs_many(3, 7, true)));
    EXPECT_EQ(3, most_running);
    EXPECT_EQ("abcdef!g", notebook);
}

TEST_F(Limit, RoomDoesNotWaitWithoutALimit)
{
    running = most_running = 0;
    COIL_CHECK(RUN(runs_many(0, 1, false)) == 0);
}

async(int, raises_its_limit)
{
    vars(coil_group group);
    open_group(&my->group);
    my->group.limit = 1;
    spawn(&my->group, counts_in(coil_ms(30), 'a'));
    spawn(&my->group, counts_in(coil_ms(10), 'b'));
    spawn(&my->group, counts_in(coil_ms(10), 'c'));
    my->group.limit = 2;
    spawn(&my->group, counts_in(coil_ms(50), 'd'));
    spawn(&my->group, counts_in(coil_ms(10), 'e'));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, NobodyOvertakesThoseThatWaitWhenItIsRaised)
{
    running = most_running = 0;
    EXPECT_EQ(0, RUN(raises_its_limit()));
    EXPECT_EQ(2, most_running);
    EXPECT_EQ("abced", notebook);
}

async(int, takes_over, (int *) owned)
{
    vars();
    ++*owned;
    await(coil_sleep(coil_s(1)));
    note('?');
    return 0;
}

async(int, leaves_early, (int *) owned)
{
    vars(coil_group group; int i);
    open_group(&my->group);
    my->group.limit = 2;
    for (my->i = 0; my->i < 5; my->i++)
        spawn(&my->group, takes_over(owned));
    await(coil_sleep(coil_ms(1)));
    COIL_CHECK(*owned == 2);
    return 7;
}

TEST_F(Limit, TasksThatWereHeldWhenTheGroupIsCancelledRunToTheirFirstAwait)
{
    int owned = 0;
    EXPECT_EQ(7, RUN(leaves_early(&owned)));
    EXPECT_EQ(5, owned) << "each has taken over its arguments";
    EXPECT_EQ("", notebook);
    EXPECT_EQ(coil_ms(1), elapsed());
}

async(int, cancels_a_held_one)
{
    vars(coil_group group; coil_task *held; int owned);
    open_group(&my->group);
    my->group.limit = 1;
    spawn(&my->group, counts_in(coil_ms(10), 'a'));
    my->held = spawn(&my->group, counts_in(coil_ms(10), 'b'));
    spawn(&my->group, counts_in(coil_ms(10), 'c'));
    coil_task_cancel(my->held);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, AHeldTaskThatIsCancelledTakesItsTurnAndLetsTheNextIn)
{
    EXPECT_EQ(0, RUN(cancels_a_held_one()));
    EXPECT_EQ("ac", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

async(int, waits_for_room_in, (coil_group *) group, (char) mark)
{
    vars();
    attempt(coil_group_room(group));
    note(mark);
    return 0;
}

async(int, has_many_producers)
{
    vars(coil_group producers; coil_group group; coil_task *cancelled);
    open_group(&my->producers);
    open_group(&my->group);
    my->group.limit = 1;
    spawn(&my->group, counts_in(coil_ms(10), '.'));
    spawn(&my->producers, waits_for_room_in(&my->group, 'a'));
    my->cancelled = spawn(&my->producers, waits_for_room_in(&my->group, 'b'));
    spawn(&my->producers, waits_for_room_in(&my->group, 'c'));
    await(coil_yield());
    await(coil_yield());
    coil_task_cancel(my->cancelled);
    attempt(coil_group_join(&my->group));
    attempt(coil_group_join(&my->producers));
    return 0;
}

TEST_F(Limit, RoomGoesToThoseWhoWaitInTheirOrder)
{
    EXPECT_EQ(0, RUN(has_many_producers()));
    EXPECT_EQ(".ac", notebook);
}

async(int, produces, (coil_group *) group, (char) mark)
{
    vars();
    attempt(coil_group_room(group));
    COIL_CHECK(group->live_count < group->limit);
    note(mark);
    spawn(group, counts_in(coil_ms(10), static_cast<char>(mark - 32)));
    return 0;
}

/* One task lives long, so it is not for want of any that they are let in. */
async(int, has_producers_of_nothing)
{
    vars(coil_group producers; coil_group group);
    open_group(&my->producers);
    open_group(&my->group);
    my->group.limit = 2;
    spawn(&my->group, counts_in(coil_ms(100), '!'));
    spawn(&my->group, counts_in(coil_ms(10), '.'));
    spawn(&my->producers, waits_for_room_in(&my->group, 'a'));
    spawn(&my->producers, waits_for_room_in(&my->group, 'b'));
    spawn(&my->producers, produces(&my->group, 'c'));
    spawn(&my->producers, produces(&my->group, 'd'));
    attempt(coil_group_join(&my->producers));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, WhoStartsNothingLeavesItsRoomToTheNext)
{
    EXPECT_EQ(0, RUN(has_producers_of_nothing()));
    EXPECT_EQ(".abcCdD!", notebook);
    EXPECT_EQ(coil_ms(100), elapsed());
}

async(int, cancels_when_let_in, (coil_group *) group, (coil_task **) other)
{
    vars();
    attempt(coil_group_room(group));
    coil_task_cancel(*other);
    return 0;
}

async(int, has_a_producer_that_is_cancelled)
{
    vars(coil_group producers; coil_group group; coil_task *other);
    open_group(&my->producers);
    open_group(&my->group);
    my->group.limit = 2;
    spawn(&my->group, counts_in(coil_ms(100), '!'));
    spawn(&my->group, counts_in(coil_ms(10), '.'));
    spawn(&my->producers, cancels_when_let_in(&my->group, &my->other));
    my->other = spawn(&my->producers, produces(&my->group, 'b'));
    spawn(&my->producers, produces(&my->group, 'c'));
    attempt(coil_group_join(&my->producers));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, WhoIsCancelledWhenItsTurnComesLeavesItToTheNext)
{
    EXPECT_EQ(0, RUN(has_a_producer_that_is_cancelled()));
    EXPECT_EQ(".cC!", notebook);
}

async(int, has_producers_for_one)
{
    vars(coil_group producers; coil_group group);
    open_group(&my->producers);
    open_group(&my->group);
    my->group.limit = 1;
    spawn(&my->group, counts_in(coil_ms(10), '.'));
    spawn(&my->producers, produces(&my->group, 'a'));
    spawn(&my->producers, produces(&my->group, 'b'));
    spawn(&my->producers, produces(&my->group, 'c'));
    attempt(coil_group_join(&my->producers));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, OneIsLetInAlsoWhenNoneIsLeft)
{
    EXPECT_EQ(0, RUN(has_producers_for_one()));
    EXPECT_EQ(".aAbBcC", notebook);
    EXPECT_EQ(coil_ms(40), elapsed());
}

/* Ready when the room is there, as who has waited for it is, and before. */
async(int, produces_at, (coil_group *) group, (coil_time) time, (char) mark)
{
    vars();
    await(coil_sleep_until(time));
    attempt(produces(group, mark));
    return 0;
}

async(int, has_a_newcomer)
{
    vars(coil_group producers; coil_group group; coil_time then);
    open_group(&my->producers);
    open_group(&my->group);
    my->group.limit = 2;
    my->then = coil_time_after(coil_task_now(coil_self), coil_ms(10));
    spawn(&my->group, counts_in(coil_ms(100), '!'));
    spawn(&my->group, counts_in(coil_ms(10), '.'));
    spawn(&my->producers, waits_for_room_in(&my->group, 'a'));
    spawn(&my->producers, produces(&my->group, 'b'));
    spawn(&my->producers, produces_at(&my->group, my->then, 'n'));
    attempt(coil_group_join(&my->producers));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, WhoComesLaterComesBehindThoseWhoWait)
{
    EXPECT_EQ(0, RUN(has_a_newcomer()));
    EXPECT_EQ(".abBnN!", notebook);
}

/* ----------------------------------------------------------------------------- at once -- */

async(int, starts_and_waits, (char) mark)
{
    vars();
    note(mark);
    await(coil_sleep(coil_ms(1)));
    note(static_cast<char>(mark - 32));
    return 0;
}

async(int, ends_at_once, (int) result)
{
    vars();
    note('e');
    return result;
}

async(int, spawns_now)
{
    vars(coil_group group; coil_task *task; int rc);
    open_group(&my->group);
    my->task = coil_spawn_now(&my->group, starts_and_waits('a'));
    COIL_CHECK(my->task != nullptr && coil_self->sched->running == coil_self);
    note('1');
    COIL_CHECK(coil_spawn_now(&my->group, ends_at_once(0)) == nullptr);
    note('2');
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Limit, ATaskThatIsSpawnedNowRunsToItsFirstWait)
{
    EXPECT_EQ(0, RUN(spawns_now()));
    EXPECT_EQ("a1e2A", notebook);
}

async(int, spawns_a_failure_now, (bool) joins)
{
    vars(coil_group group; int rc);
    open_group(&my->group);
    coil_spawn_now(&my->group, ends_at_once(-EIO));
    note('1');
    if (joins)
        attempt(coil_group_join(&my->group));
    await(coil_sleep(coil_ms(1)));
    note('!');
    return 0;
}

TEST_F(Limit, ATaskThatFailsAtOnceFailsTheGroupAndItsHost)
{
    EXPECT_EQ(-EIO, RUN(spawns_a_failure_now(false)));
    EXPECT_EQ(-EIO, RUN(spawns_a_failure_now(true)));
    EXPECT_EQ("e1e1", notebook);
}

async(int, nests_now, (int) depth)
{
    vars(coil_group group);
    open_group(&my->group);
    note(static_cast<char>('0' + depth));
    if (depth > 0)
        coil_spawn_now(&my->group, nests_now(depth - 1));
    attempt(coil_group_join(&my->group));
    note(static_cast<char>('0' + depth));
    return 0;
}

TEST_F(Limit, TasksThatAreSpawnedNowNest)
{
    EXPECT_EQ(0, RUN(nests_now(4)));
    EXPECT_EQ("4321001234", notebook);
}

/* -------------------------------------------------------------------------- who is told -- */

struct Told {
    coil_group group;
    std::string text;
};

void tell(coil_group *group, const coil_task *task, int error)
{
    Told *told = coil_container_of(group, Told, group);
    told->text += coil_task_name(task);
    told->text += error == -EIO ? " EIO;" : " ?;";
}

async(int, fails_twice, (Told *) told)
{
    vars(int rc);
    open_group(&told->group);
    told->group.keep_going = true;
    told->group.on_failure = tell;
    spawn(&told->group, ends_at_once(-EIO));
    spawn(&told->group, ends_at_once(3));
    spawn(&told->group, ends_at_once(-EIO));
    attempt(coil_group_join(&told->group));
    return static_cast<int>(told->group.failed_count);
}

TEST_F(Limit, EveryFailureOfAGroupIsTold)
{
    Told told;
    EXPECT_EQ(2, RUN(fails_twice(&told)));
    EXPECT_EQ("ends_at_once EIO;ends_at_once EIO;", told.text);
}

/* -------------------------------------------------------------------- results of any width -- */

async(int8_t, gives_byte, (int) value)
{
    vars();
    await(coil_yield());
    return static_cast<int8_t>(value);
}

async(uint32_t, gives_word, (uint32_t) value)
{
    vars();
    await(coil_yield());
    return value;
}

async(int16_t, sleeps_for_long)
{
    vars();
    await(coil_sleep(coil_s(9)));
    return 1;
}

TEST_F(Limit, ResultsOfAllWidthsAreKept)
{
    EXPECT_EQ(-5, RUN(gives_byte(-5)));
    EXPECT_EQ(0xFFFFFFF0, RUN(gives_word(0xFFFFFFF0)));
    EXPECT_EQ(0u, sched.root.failed_count - 1u) << "a large unsigned is not a failure";
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(1), sleeps_for_long())));
}

} // namespace
