/* SPDX-License-Identifier: MIT */
#include <coil/watch.h>

#include "world.h"

#include <deque>
#include <memory>

#include <coil/sugar.h>

namespace
{

struct config {
    int level;
    char name[13];
};

using config_watch = coil_watch_of(config);

struct observer {
    config_watch *watch;
    coil_duration limit;
    uint64_t seen;
    numbers levels; /* What it has found. */
    int rc;         /* 1: the call has not come back. */
    bool went_on;
};

} // namespace

/* Every value until the end. */
async(int, observe, (observer *) who)
{
    vars();

    for (;;) {
        await(who->rc, within(who->limit, coil_watch_changed(who->watch, &who->seen)));
        if (who->rc < 0)
            return who->rc;
        EXPECT_EQ(coil_watch_version(who->watch), who->seen);
        who->levels.push_back(coil_watch_borrow(who->watch)->level);
    }
}

async(int, observe_once, (observer *) who)
{
    vars();

    await(who->rc, within(who->limit, coil_watch_changed(who->watch, &who->seen)));
    await(coil_yield());
    who->went_on = true;
    return 0;
}

namespace
{

class Watch : public World
{
protected:
    Watch()
    {
        const config first = {1, "one"};
        coil_watch_init(&watch, &first);
    }

    ~Watch() override
    {
        coil_watch_close(&watch);
        run_out();
        coil_watch_fini(&watch);
    }

    observer &observer_of(uint64_t seen, coil_duration limit = COIL_FOREVER)
    {
        all.push_back({&watch, limit, seen, {}, 1, false});
        return all.back();
    }

    int set(int level)
    {
        config next = {level, {}};
        snprintf(next.name, sizeof(next.name), "%d", level);
        return coil_watch_set(&watch, &next);
    }

    config_watch watch;
    std::deque<observer> all;
};

TEST_F(Watch, HasAValueFromTheBeginning)
{
    EXPECT_EQ(1, coil_watch_borrow(&watch)->level);
    EXPECT_STREQ("one", coil_watch_borrow(&watch)->name);
    EXPECT_EQ(1u, coil_watch_version(&watch));
}

TEST_F(Watch, ShowsTheFirstValueToWhoHasSeenNone)
{
    observer &who = observer_of(0);
    spawn(&sched.root, observe(&who));
    settle();
    EXPECT_EQ((numbers{1}), who.levels);
}

TEST_F(Watch, MakesWhoHasSeenTheValueWaitForTheNext)
{
    observer &who = observer_of(coil_watch_version(&watch));
    spawn(&sched.root, observe(&who));
    settle();
    EXPECT_TRUE(who.levels.empty());
    EXPECT_EQ(0, set(2));
    settle();
    EXPECT_EQ((numbers{2}), who.levels);
}

TEST_F(Watch, ShowsTheLatestValueOnly)
{
    observer &who = observer_of(0);
    spawn(&sched.root, observe(&who));
    settle();
    for (int level = 2; level < 100; level++)
        EXPECT_EQ(0, set(level));
    settle();
    EXPECT_EQ((numbers{1, 99}), who.levels); /* And not 99 twice. */
    EXPECT_EQ(99u, who.seen);
}

TEST_F(Watch, ReleasesAllWhoWait)
{
    for (int i = 0; i < 100; i++)
        spawn(&sched.root, observe(&observer_of(1)));
    settle();
    EXPECT_EQ(100u, length(watch.watch.waiters));
    EXPECT_EQ(0, set(2));
    EXPECT_EQ(0u, length(watch.watch.waiters));
    settle();
    for (const observer &who : all)
        EXPECT_EQ((numbers{2}), who.levels);
}

TEST_F(Watch, CanBeChangedInPlace)
{
    observer &who = observer_of(1);
    spawn(&sched.root, observe(&who));
    settle();
    watch.value.level = 3;
    EXPECT_EQ(0, coil_watch_touch(&watch));
    settle();
    EXPECT_EQ((numbers{3}), who.levels);
}

TEST_F(Watch, TellsThoseWhoWaitThatItIsClosed)
{
    observer &who = observer_of(1);
    spawn(&sched.root, observe(&who));
    settle();
    coil_watch_close(&watch);
    coil_watch_close(&watch);
    settle();
    EXPECT_EQ(-EPIPE, who.rc);
    EXPECT_EQ(1u, who.seen);
}

TEST_F(Watch, ShowsItsLastValueAfterItWasClosed)
{
    observer &who = observer_of(1);
    EXPECT_EQ(0, set(2));
    coil_watch_close(&watch);
    EXPECT_EQ(-EPIPE, set(3));
    EXPECT_EQ(-EPIPE, coil_watch_touch(&watch));
    EXPECT_EQ(2, coil_watch_borrow(&watch)->level);
    spawn(&sched.root, observe(&who));
    settle();
    EXPECT_EQ((numbers{2}), who.levels);
    EXPECT_EQ(-EPIPE, who.rc);
}

TEST_F(Watch, DeliversAChangeThatCameBeforeTheCancellation)
{
    observer &who = observer_of(1);
    int64_t result = 1;
    coil_task *task = coil_spawn_result(&sched.root, &result, observe_once(&who));
    settle();
    EXPECT_EQ(0, set(2));
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_EQ(2u, who.seen);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Watch, LeavesWhoWasCancelledBeforeAsHeWas)
{
    observer &who = observer_of(1);
    coil_task *task = spawn(&sched.root, observe_once(&who));
    settle();
    coil_task_cancel(task);
    EXPECT_EQ(0u, length(watch.watch.waiters));
    EXPECT_EQ(0, set(2));
    settle();
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(1u, who.seen);
}

TEST_F(Watch, IsWaitedForUntilTheDeadlineAndNotLonger)
{
    observer &who = observer_of(1, coil_ms(5));
    spawn(&sched.root, observe_once(&who));
    pass(coil_ms(5) - 1);
    EXPECT_EQ(1, who.rc);
    pass(1);
    EXPECT_EQ(-ETIME, who.rc);
    EXPECT_EQ(1u, who.seen);
    EXPECT_EQ(0u, length(watch.watch.waiters));
}

TEST_F(Watch, MayBeGoneBeforeThoseItHasReleasedRun)
{
    auto brief = std::make_unique<config_watch>();
    const config value = {1, ""};
    coil_watch_init(brief.get(), &value);
    observer &first = observer_of(1);
    observer &second = observer_of(1);
    first.watch = second.watch = brief.get();
    spawn(&sched.root, observe_once(&first));
    coil_task *victim = spawn(&sched.root, observe_once(&second));
    settle();
    ASSERT_EQ(0, coil_watch_set(brief.get(), &value));
    coil_task_cancel(victim);
    coil_watch_fini(brief.get());
    brief.reset();
    settle();
    EXPECT_EQ(0, first.rc);
    EXPECT_EQ(0, second.rc);
}

TEST_F(Watch, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    observer &who = observer_of(1);
    coil_task *task = spawn(&sched.root, observe_once(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(1u, length(watch.watch.waiters));
    EXPECT_EQ(0, set(2));
    settle();
    EXPECT_EQ(0, who.rc);
}

TEST_F(Watch, MayNotEndWhileSomebodyWaits)
{
    spawn(&sched.root, observe_once(&observer_of(1)));
    settle();
    EXPECT_DEATH(coil_watch_fini(&watch), "waiters");
}

} // namespace
