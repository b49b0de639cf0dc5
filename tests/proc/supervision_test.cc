/* SPDX-License-Identifier: MIT */
#include "supervision_world.h"

#include <cerrno>
#include <cstring>

namespace
{

coil_service_policy told()
{
    coil_service_policy policy = {};
    policy.readiness = COIL_READY_TOLD;
    return policy;
}

TEST(Supervision, StartsWhatIsToStart)
{
    World world;
    Actor &one = world.add("one");
    coil_service_policy down = {};
    down.keep_down = true;
    Actor &other = world.add("other", down);
    world.begin();
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    EXPECT_EQ(COIL_SERVICE_DOWN, other.service.state);
    EXPECT_EQ(1U, one.service.counters.manual_starts);
    EXPECT_EQ("one:starting one:up", world.story);
}

TEST(Supervision, WhatAPredecessorHasStartedIsNotStartedTwice)
{
    World world;
    Actor &db = world.add("db");
    Actor &web = world.add("web", told());
    world.depend(web, COIL_NEEDS, db);
    world.begin_with({&db, &web}, 1);
    EXPECT_EQ(0U, db.start_count + web.start_count);
    EXPECT_EQ(COIL_SERVICE_UP, db.service.state);
    EXPECT_EQ(COIL_SERVICE_UP, web.service.state);
    EXPECT_EQ(0U, db.service.counters.manual_starts);
    world.kill(web);
    EXPECT_EQ(1U, web.start_count);
    world.tell(COIL_EVENT_END);
    world.live(coil_s(1));
    EXPECT_EQ(1U, db.signals.size());
    EXPECT_TRUE(world.gave_up);
}

TEST(Supervision, WhoNeedsSomebodyThatIsGoneIsAdoptedAllTheSame)
{
    World world;
    Actor &db = world.add("db");
    Actor &web = world.add("web");
    world.depend(web, COIL_NEEDS, db);
    world.begin_with({&web}, 0);
    EXPECT_EQ(COIL_SERVICE_UP, web.service.state);
    EXPECT_EQ(1U, db.start_count);
    EXPECT_EQ(0U, web.start_count);
}

TEST(Supervision, WhoWasNotReadyYetHasAsLongForItAsOneThatIsStarted)
{
    World world;
    coil_service_policy policy = told();
    policy.start_limit = coil_s(3);
    Actor &one = world.add("one", policy);
    world.begin_with({&one}, 0);
    EXPECT_EQ(COIL_SERVICE_STARTING, one.service.state);
    EXPECT_EQ(COIL_REASON_ADOPTED, one.service.reason);
    world.live(coil_s(2));
    EXPECT_EQ(0U, one.signals.size());
    EXPECT_EQ(0U, one.start_count);
    world.live(coil_s(2));
    EXPECT_EQ(1U, one.start_count);
}

TEST(Supervision, WhatWasAskedForBeforeIsAskedForStill)
{
    World world;
    coil_service_policy policy = {};
    policy.keep_down = true;
    Actor &one = world.add("one", policy);
    world.begin_with({&one}, 0);
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    world.tell(COIL_EVENT_STOP, &one);
    EXPECT_EQ(1U, one.signals.size());
}

TEST(Supervision, ReadyMayComeBeforeStarted)
{
    coil_supervision *supervision = nullptr;
    coil_supervision_options options = {};
    ASSERT_EQ(0, coil_supervision_create(&options, &supervision));
    const coil_service_policy policy = told();
    coil_supervised one;
    ASSERT_EQ(0, coil_supervision_add(supervision, &one, "one", &policy, 0));
    for (coil_supervision_event_kind kind :
            {COIL_EVENT_BEGIN, COIL_EVENT_READY, COIL_EVENT_STARTED}) {
        coil_supervision_event event = {};
        event.kind = kind;
        event.service = kind == COIL_EVENT_BEGIN ? nullptr : &one;
        coil_supervision_step(supervision, &event, 0);
        coil_supervision_action action;
        while (coil_supervision_next(supervision, &action))
            continue;
    }
    EXPECT_EQ(COIL_SERVICE_UP, one.state);
    coil_supervision_destroy(supervision);
}

TEST(Supervision, APolicyOfZeroesRestartsAtOnceAndThenWithPauses)
{
    World world;
    Behaviour crashing;
    crashing.life = coil_ms(5);
    Actor &one = world.add("one", {}, crashing);
    world.begin();
    world.live(coil_s(120));
    ASSERT_GE(one.starts.size(), 8U);
    EXPECT_EQ(coil_ms(5), one.starts[1] - one.starts[0]); /* The first failure: no pause. */
    for (size_t i = 2; i < one.starts.size(); i++) {
        const coil_duration most =
                std::min(coil_s(30), coil_ms(100) << std::min<size_t>(i - 2, 20));
        EXPECT_LE(one.starts[i] - one.starts[i - 1] - coil_ms(5), most);
    }
    EXPECT_LT(one.starts.size(), 40U);
    EXPECT_EQ(one.starts.size(), 1 + one.service.counters.automatic_starts);
}

TEST(Supervision, AStableTimeForgetsFailures)
{
    World world;
    coil_service_policy policy = {};
    policy.backoff.stable = coil_s(1);
    Behaviour dying;
    dying.life = coil_ms(1100);
    Actor &one = world.add("one", policy, dying);
    world.begin();
    world.live(coil_ms(11050));
    EXPECT_EQ(11U, one.start_count); /* Each time at once. */
    EXPECT_EQ(1U, one.service.failure_count);
}

TEST(Supervision, RestartTypes)
{
    struct Case {
        coil_restart restart;
        int code;
        coil_service_state expected;
    } const cases[] = {
            {COIL_RESTART_PERMANENT, 0, COIL_SERVICE_UP},
            {COIL_RESTART_PERMANENT, 1, COIL_SERVICE_UP},
            {COIL_RESTART_TRANSIENT, 0, COIL_SERVICE_DONE},
            {COIL_RESTART_TRANSIENT, 4, COIL_SERVICE_DONE}, /* A normal code. */
            {COIL_RESTART_TRANSIENT, 1, COIL_SERVICE_UP},
            {COIL_RESTART_TEMPORARY, 0, COIL_SERVICE_DONE},
            {COIL_RESTART_TEMPORARY, 1, COIL_SERVICE_FAILED},
            {COIL_RESTART_PERMANENT, 125, COIL_SERVICE_FAILED}, /* A final code. */
            {COIL_RESTART_PERMANENT, 4 + 128, COIL_SERVICE_DONE},
    };
    for (const Case &one : cases) {
        World world;
        coil_service_policy policy = {};
        policy.restart = one.restart;
        policy.normal_codes = coil_exit_codes_with(coil_exit_codes_with({}, 4), 132);
        policy.final_codes = coil_exit_codes_with(coil_exit_codes_with({}, 125), 132);
        Actor &actor = world.add("one", policy);
        world.begin();
        world.end(actor, one.code);
        EXPECT_EQ(one.expected, actor.service.state) << one.restart << " " << one.code;
    }
}

TEST(Supervision, ASignalIsNoCode)
{
    World world;
    coil_service_policy policy = {};
    policy.restart = COIL_RESTART_TRANSIENT;
    policy.final_codes = coil_exit_codes_with({}, SIGKILL);
    Actor &one = world.add("one", policy);
    world.begin();
    world.kill(one);
    EXPECT_EQ(2U, one.start_count);
}

TEST(Supervision, OneForOneConcernsNobodyElse)
{
    World world;
    Actor &one = world.add("one");
    Actor &two = world.add("two");
    world.begin();
    world.kill(one);
    EXPECT_EQ(2U, one.start_count);
    EXPECT_EQ(1U, two.start_count);
}

TEST(Supervision, OneForAllStopsAllBackwardsAndStartsAllForwards)
{
    coil_supervision_options options = {};
    options.strategy = COIL_ONE_FOR_ALL;
    World world(options);
    Actor &one = world.add("a");
    Actor &two = world.add("b");
    Actor &three = world.add("c");
    world.depend(two, COIL_AFTER, one);
    world.depend(three, COIL_AFTER, two);
    world.begin();
    world.story.clear();
    world.kill(two);
    world.live(coil_s(1));
    EXPECT_EQ("b:backoff c:stopping c:down a:stopping a:down a:starting a:up b:starting b:up "
              "c:starting c:up",
            world.story);
    EXPECT_EQ(&two.service, one.service.because);
    EXPECT_EQ(nullptr, two.service.because);
    EXPECT_EQ(1U, one.service.counters.automatic_starts);
}

TEST(Supervision, RestForOneConcernsThoseAfterIt)
{
    coil_supervision_options options = {};
    options.strategy = COIL_REST_FOR_ONE;
    World world(options);
    world.add("a");
    Actor &two = world.add("b");
    world.add("c");
    world.begin();
    EXPECT_EQ("a:starting a:up b:starting b:up c:starting c:up", world.story);
    world.story.clear();
    world.kill(two);
    world.live(coil_s(1));
    EXPECT_EQ("b:backoff c:stopping c:down b:starting b:up c:starting c:up", world.story);
}

TEST(Supervision, ATemporaryServiceIsNotStartedAgainWithOthers)
{
    coil_supervision_options options = {};
    options.strategy = COIL_ONE_FOR_ALL;
    World world(options);
    Actor &one = world.add("one");
    coil_service_policy policy = {};
    policy.restart = COIL_RESTART_TEMPORARY;
    Actor &two = world.add("two", policy);
    world.begin();
    world.kill(one);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_DONE, two.service.state);
    EXPECT_EQ(2U, one.start_count);
}

TEST(Supervision, TooManyRestartsEndTheSupervisor)
{
    coil_supervision_options options = {};
    options.intensity = 3;
    options.intensity_period = coil_s(5);
    World world(options);
    Behaviour crashing;
    crashing.life = coil_ms(1);
    Actor &bad = world.add("bad", {}, crashing);
    Actor &good = world.add("good");
    world.begin();
    world.live(coil_s(20));
    EXPECT_TRUE(world.gave_up);
    EXPECT_EQ(4U, bad.start_count);
    EXPECT_FALSE(good.lives);
    coil_service_reason reason;
    EXPECT_EQ(-EHOSTDOWN, coil_supervision_result(world.supervision, &reason));
    EXPECT_EQ(COIL_REASON_INTENSITY, reason);
    EXPECT_EQ(COIL_SERVICE_FAILED, bad.service.state);
}

TEST(Supervision, IntensityCountsInASlidingPeriodAndNoCommands)
{
    coil_supervision_options options = {};
    options.intensity = 2;
    options.intensity_period = coil_s(10);
    World world(options);
    coil_service_policy policy = {};
    policy.backoff.stable = coil_ms(1);
    Actor &one = world.add("one", policy);
    world.begin();
    for (int i = 0; i < 10; i++) {
        world.live(coil_ms(5001));
        world.kill(one);
    }
    for (int i = 0; i < 20; i++)
        world.tell(COIL_EVENT_RESTART, &one), world.live(coil_ms(10));
    EXPECT_FALSE(world.gave_up);
    EXPECT_EQ(10U, one.service.counters.automatic_starts);
    EXPECT_EQ(21U, one.service.counters.manual_starts);
}

TEST(Supervision, AfterFailuresMaxItIsFailedUntilSomebodyStartsIt)
{
    World world;
    coil_service_policy policy = {};
    policy.failures_max = 3;
    Behaviour crashing;
    crashing.life = coil_ms(1);
    Actor &one = world.add("one", policy, crashing);
    world.begin();
    world.live(coil_s(600));
    EXPECT_EQ(COIL_SERVICE_FAILED, one.service.state);
    EXPECT_EQ(COIL_REASON_TOO_MANY, one.service.reason);
    EXPECT_EQ(4U, one.start_count);
    one.behaviour.life = COIL_NEVER;
    world.tell(COIL_EVENT_START, &one);
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
}

TEST(Supervision, ASignificantServiceTakesTheSupervisorAlong)
{
    for (const int code : {0, 1}) {
        World world;
        coil_service_policy policy = {};
        policy.significant = true;
        policy.restart = COIL_RESTART_TEMPORARY;
        Actor &one = world.add("one", policy);
        Actor &two = world.add("two");
        world.begin();
        world.end(one, code);
        world.live(coil_s(1));
        EXPECT_TRUE(world.gave_up);
        EXPECT_FALSE(two.lives);
        EXPECT_EQ(code == 0 ? 0 : -EHOSTDOWN, coil_supervision_result(world.supervision, nullptr));
    }
}

/* ----------------------------------------------------------------------------- dependencies -- */

TEST(Supervision, WhatIsNeededStartsFirstAndStopsLast)
{
    World world;
    coil_service_policy down = told();
    down.keep_down = true;
    Behaviour slow;
    slow.ready_after = coil_s(1);
    Actor &db = world.add("db", down, slow);
    Actor &web = world.add("web");
    world.depend(web, COIL_NEEDS, db);
    world.begin();
    EXPECT_EQ("db:starting", world.story);
    EXPECT_EQ(&db.service, coil_supervised_waits_for(&web.service));
    world.live(coil_s(2));
    world.tell(COIL_EVENT_END);
    world.live(coil_s(2));
    EXPECT_EQ("db:starting db:up web:starting web:up web:stopping web:down db:stopping db:down",
            world.story);
    EXPECT_TRUE(world.gave_up);
    EXPECT_EQ(1U, db.service.counters.manual_starts);
}

TEST(Supervision, AStoppedServiceTakesThoseThatNeedItAlongAndBringsThemBack)
{
    World world;
    Actor &db = world.add("db");
    Actor &web = world.add("web");
    Actor &mail = world.add("mail");
    world.depend(web, COIL_NEEDS, db);
    world.depend(mail, COIL_WANTS, db);
    world.begin();
    world.tell(COIL_EVENT_STOP, &db);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_DOWN, db.service.state);
    EXPECT_EQ(COIL_SERVICE_DOWN, web.service.state);
    EXPECT_EQ(COIL_SERVICE_UP, mail.service.state);
    world.tell(COIL_EVENT_START, &web);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_UP, db.service.state);
    EXPECT_EQ(COIL_SERVICE_UP, web.service.state);
    EXPECT_EQ(2U, web.service.counters.manual_starts);
}

TEST(Supervision, ACrashOfWhatIsNeededLeavesTheOthersAlone)
{
    World world;
    Actor &db = world.add("db");
    Actor &web = world.add("web");
    world.depend(web, COIL_NEEDS, db);
    world.begin();
    world.kill(db);
    EXPECT_EQ(2U, db.start_count);
    EXPECT_EQ(1U, web.start_count);
}

TEST(Supervision, WhatFailsForGoodStopsWhoNeedsIt)
{
    World world;
    coil_service_policy policy = {};
    policy.restart = COIL_RESTART_TEMPORARY;
    Actor &db = world.add("db", policy);
    Actor &web = world.add("web");
    world.depend(web, COIL_NEEDS, db);
    world.begin();
    world.end(db, 1);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_DOWN, web.service.state);
    EXPECT_EQ(COIL_REASON_DEPENDENCY, web.service.reason);
}

TEST(Supervision, AOneshotIsDoneAndThenTheOthersMayStart)
{
    World world;
    coil_service_policy job = {};
    job.oneshot = true;
    Behaviour working;
    working.life = coil_s(2);
    working.code = 0;
    Actor &migrate = world.add("migrate", job, working);
    Actor &web = world.add("web");
    Actor &mail = world.add("mail");
    Actor &page = world.add("page");
    world.depend(web, COIL_NEEDS, migrate);
    world.depend(mail, COIL_AFTER, migrate);
    world.depend(page, COIL_WANTS, migrate);
    world.begin();
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_UP, migrate.service.state) << "it works";
    EXPECT_FALSE(web.lives || mail.lives || page.lives);
    EXPECT_EQ(&migrate.service, coil_supervised_waits_for(&web.service));
    world.live(coil_s(2));
    EXPECT_EQ(COIL_SERVICE_DONE, migrate.service.state);
    EXPECT_TRUE(web.lives && mail.lives && page.lives);
    EXPECT_EQ(1U, migrate.start_count);
}

TEST(Supervision, AOneshotThatFailsHoldsUpOnlyWhoNeedsIt)
{
    World world;
    coil_service_policy job = {};
    job.oneshot = true;
    job.failures_max = 1;
    Behaviour failing;
    failing.life = coil_ms(10);
    failing.code = 1;
    Actor &migrate = world.add("migrate", job, failing);
    Actor &web = world.add("web");
    Actor &mail = world.add("mail");
    world.depend(web, COIL_NEEDS, migrate);
    world.depend(mail, COIL_WANTS, migrate);
    world.begin();
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_FAILED, migrate.service.state);
    EXPECT_EQ(0U, web.start_count);
    EXPECT_EQ(COIL_SERVICE_UP, mail.service.state);
}

TEST(Supervision, AJobOfTheScheduleThatOthersNeedIsDoneBetweenItsRuns)
{
    World world;
    coil_service_policy job = {};
    job.oneshot = true;
    job.every = coil_s(60);
    Behaviour working;
    working.life = coil_s(2);
    working.code = 0;
    Actor &refresh = world.add("refresh", job, working);
    Actor &web = world.add("web");
    world.depend(web, COIL_NEEDS, refresh);
    world.begin();
    world.live(coil_s(3));
    EXPECT_EQ(COIL_SERVICE_DONE, refresh.service.state);
    world.live(coil_s(600));
    EXPECT_EQ(11U, refresh.start_count) << "not again at once, because somebody needs it";
    EXPECT_EQ(1U, web.start_count);
    EXPECT_TRUE(web.signals.empty());
}

TEST(Supervision, ACycleIsRefusedAndNamed)
{
    World world;
    Actor &a = world.add("a");
    Actor &b = world.add("b");
    Actor &c = world.add("c");
    world.depend(a, COIL_NEEDS, b);
    world.depend(b, COIL_AFTER, c);
    char cycle[COIL_CYCLE_TEXT_BYTES];
    EXPECT_EQ(-ELOOP, coil_supervision_depend(&c.service, COIL_WANTS, &a.service, cycle));
    EXPECT_STREQ("c -> a -> b -> c", cycle);
    EXPECT_EQ(-ELOOP, coil_supervision_depend(&a.service, COIL_WANTS, &a.service, cycle));
    EXPECT_STREQ("a -> a", cycle);
    world.begin();
    EXPECT_EQ("c:starting c:up b:starting b:up a:starting a:up", world.story);
}

TEST(Supervision, ALongCycleIsNamedInShort)
{
    World world;
    for (int i = 0; i < 100; i++) {
        world.add("service-" + std::to_string(i));
        if (i > 0)
            world.depend(*world.actors[static_cast<size_t>(i - 1)], COIL_NEEDS,
                    *world.actors[static_cast<size_t>(i)]);
    }
    char cycle[COIL_CYCLE_TEXT_BYTES];
    EXPECT_EQ(-ELOOP, coil_supervision_depend(&world.actors[99]->service, COIL_NEEDS,
                              &world.actors[0]->service, cycle));
    const std::string text = cycle;
    EXPECT_EQ(0U, text.find("service-99 -> service-0 -> service-1 -> "));
    EXPECT_EQ(text.size() - strlen(" -> ... -> service-99"), text.find(" -> ... -> service-99"));
}

/* --------------------------------------------------------------------- readiness, liveness -- */

TEST(Supervision, ReadyAfterStayingUp)
{
    World world;
    coil_service_policy policy = {};
    policy.stay_up = coil_s(1);
    Behaviour dying;
    dying.life = coil_ms(900);
    Actor &one = world.add("one", policy, dying);
    world.begin();
    world.live(coil_ms(950));
    EXPECT_EQ(std::string::npos, world.story.find("up"));
    one.behaviour.life = COIL_NEVER;
    world.live(coil_s(5));
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
}

TEST(Supervision, NotReadyInTimeIsAFailure)
{
    World world;
    coil_service_policy policy = told();
    policy.start_limit = coil_s(3);
    Actor &one = world.add("one", policy);
    world.begin();
    world.live(coil_ms(2999));
    EXPECT_EQ(COIL_SERVICE_STARTING, one.service.state);
    world.live(coil_ms(100));
    EXPECT_EQ(2U, one.start_count);
    EXPECT_EQ(1U, one.service.counters.failures);
    world.tell(COIL_EVENT_EXTENDED, &one, 0, false, coil_s(60)); /* EXTEND_TIMEOUT_USEC */
    world.live(coil_s(50));
    EXPECT_EQ(2U, one.start_count);
}

/* systemd: service_extend_event_source_timeout() */
TEST(Supervision, AnExtensionNeverShortensALimitNorMakesOne)
{
    World world;
    coil_service_policy policy = told();
    policy.start_limit = coil_s(30);
    Actor &one = world.add("one", policy);
    policy.readiness = COIL_READY_EXEC;
    policy.stay_up = coil_s(60);
    policy.start_limit = 0; /* There is none. */
    Actor &other = world.add("other", policy);
    world.begin();
    world.tell(COIL_EVENT_EXTENDED, &one, 0, false, coil_s(1));
    world.tell(COIL_EVENT_EXTENDED, &other, 0, false, coil_s(1));
    world.live(coil_s(29));
    EXPECT_EQ(1U, one.start_count);
    EXPECT_EQ(1U, other.start_count);
    EXPECT_TRUE(other.signals.empty());
    world.live(coil_s(2));
    EXPECT_EQ(2U, one.start_count);
    world.live(coil_s(60));
    EXPECT_EQ(COIL_SERVICE_UP, other.service.state);
}

TEST(Supervision, AnExtensionIsForStoppingAndTheWatchdogToo)
{
    World world;
    coil_service_policy policy = {};
    policy.liveness.watchdog = coil_s(2);
    policy.liveness.hard_misses = 1;
    policy.stop[0] = {SIGTERM, coil_s(5)};
    Behaviour stubborn;
    stubborn.ignores_term = true;
    Actor &one = world.add("one", policy, stubborn);
    world.begin();
    world.tell(COIL_EVENT_EXTENDED, &one, 0, false, coil_s(10));
    world.live(coil_s(9));
    EXPECT_TRUE(one.signals.empty());
    world.live(coil_ms(1500));
    EXPECT_EQ((std::vector<int>{SIGTERM}), one.signals) << "the watchdog, later";
    world.tell(COIL_EVENT_EXTENDED, &one, 0, false, coil_s(20));
    world.live(coil_s(19));
    EXPECT_EQ((std::vector<int>{SIGTERM}), one.signals);
    world.live(coil_ms(1001));
    EXPECT_EQ((std::vector<int>{SIGTERM, SIGKILL}), one.signals);
}

/* ----------------------------------------------------------------------- ends and beginnings -- */

TEST(Supervision, BeginsAgainAsIfForTheFirstTime)
{
    World world;
    coil_service_policy down = {};
    down.keep_down = true;
    Actor &stopped = world.add("stopped");
    Actor &started = world.add("started", down);
    Behaviour crashing;
    crashing.life = coil_ms(1);
    coil_service_policy once = {};
    once.failures_max = 1;
    Actor &failing = world.add("failing", once, crashing);
    world.begin();
    world.tell(COIL_EVENT_STOP, &stopped);
    world.tell(COIL_EVENT_START, &started);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_FAILED, failing.service.state);
    world.tell(COIL_EVENT_END);
    world.live(coil_s(1));
    ASSERT_TRUE(world.gave_up);

    world.gave_up = false;
    world.story.clear();
    failing.behaviour.life = COIL_NEVER;
    Actor &added = world.add("added");
    world.begin();
    EXPECT_EQ(COIL_SERVICE_UP, stopped.service.state);
    EXPECT_EQ(COIL_SERVICE_DOWN, started.service.state);
    EXPECT_EQ(COIL_SERVICE_UP, failing.service.state);
    EXPECT_EQ(COIL_SERVICE_UP, added.service.state) << "between the two";
    EXPECT_EQ(COIL_NEVER, failing.service.failed_at) << "nothing that it could be well after";
    EXPECT_EQ(0U, world.story.find("failing:down ")) << world.story;
}

TEST(Supervision, WhatIsCommandedAfterTheEndIsForTheNextBeginning)
{
    World world;
    coil_service_policy down = {};
    down.keep_down = true;
    Actor &one = world.add("one", down);
    Actor &other = world.add("other");
    world.begin();
    world.tell(COIL_EVENT_END);
    world.live(coil_s(1));
    ASSERT_TRUE(world.gave_up);
    world.gave_up = false;
    world.tell(COIL_EVENT_START, &one);
    world.tell(COIL_EVENT_STOP, &other);
    EXPECT_EQ(0U, one.start_count);
    world.begin();
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    EXPECT_EQ(COIL_SERVICE_DOWN, other.service.state);
}

TEST(Supervision, ABeginningTakesBackAnEndThatIsUnderWay)
{
    World world;
    Behaviour slow;
    slow.dying = coil_s(1);
    Actor &one = world.add("one", {}, slow);
    world.begin();
    world.tell(COIL_EVENT_END);
    world.begin();
    world.live(coil_s(2));
    EXPECT_FALSE(world.gave_up);
    EXPECT_EQ(2U, one.start_count);
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    EXPECT_EQ(-EBUSY, coil_supervision_result(world.supervision, nullptr));
}

TEST(Supervision, LeavesWhatOutlivesItAndStopsTheOthersInOrder)
{
    World world;
    coil_service_policy outliving = {};
    outliving.outlives = true;
    Actor &db = world.add("db", outliving);
    Actor &api = world.add("api");
    Actor &web = world.add("web", outliving);
    world.depend(api, COIL_NEEDS, db);
    world.depend(web, COIL_NEEDS, api);
    world.begin();
    world.story.clear();
    world.tell(COIL_EVENT_LEAVE);
    world.live(coil_s(1));
    EXPECT_TRUE(world.gave_up);
    EXPECT_EQ("web:down api:stopping api:down db:down", world.story);
    EXPECT_TRUE(db.left && web.left && !api.left);
    EXPECT_TRUE(db.signals.empty() && web.signals.empty());
    EXPECT_EQ(COIL_REASON_LEFT, db.service.reason);
    EXPECT_EQ(0, coil_supervision_result(world.supervision, nullptr));
    world.tell(COIL_EVENT_EXITED, &db, 1);
    EXPECT_EQ(0U, db.service.counters.failures) << "that is for the next one";
}

TEST(Supervision, WhatIsBeingStoppedAlreadyIsNotLeft)
{
    World world;
    coil_service_policy outliving = {};
    outliving.outlives = true;
    Actor &one = world.add("one", outliving);
    world.begin();
    world.tell(COIL_EVENT_RESTART, &one);
    world.tell(COIL_EVENT_LEAVE);
    EXPECT_FALSE(world.gave_up);
    world.live(coil_s(1));
    EXPECT_TRUE(world.gave_up);
    EXPECT_FALSE(one.left);
    EXPECT_EQ(1U, one.start_count);
}

/* It waits for its turn to be stopped, as somebody needs it who is slow. */
TEST(Supervision, WhatIsToBeStoppedIsNotLeftEither)
{
    for (const bool is_told_later : {false, true}) {
        World world;
        coil_service_policy outliving = {};
        outliving.outlives = true;
        Behaviour slow;
        slow.dying = coil_s(1);
        Actor &db = world.add("db", outliving);
        Actor &api = world.add("api", {}, slow);
        Actor &other = world.add("other", outliving);
        world.depend(api, COIL_NEEDS, db);
        world.begin();
        world.tell(is_told_later ? COIL_EVENT_LEAVE : COIL_EVENT_STOP, &db);
        world.tell(is_told_later ? COIL_EVENT_STOP : COIL_EVENT_LEAVE, &db);
        EXPECT_EQ(COIL_SERVICE_UP, db.service.state);
        world.live(coil_s(3));
        EXPECT_TRUE(world.gave_up);
        EXPECT_TRUE(!db.left && !db.lives) << is_told_later;
        EXPECT_TRUE(other.left);
    }
}

TEST(Supervision, AProbeThatSaysReadyMakesItUp)
{
    World world;
    coil_service_policy policy = {};
    policy.readiness = COIL_READY_PROBE;
    Behaviour starting;
    starting.health = COIL_HEALTH_STARTING;
    Actor &one = world.add("one", policy, starting);
    world.begin();
    world.live(coil_s(5));
    EXPECT_EQ(COIL_SERVICE_STARTING, one.service.state);
    one.behaviour.health = COIL_HEALTH_WARNING;
    world.live(coil_ms(110));
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
}

coil_service_policy probed(unsigned soft_misses, unsigned hard_misses)
{
    coil_service_policy policy = {};
    policy.liveness.interval = coil_s(5);
    policy.liveness.soft_misses = soft_misses;
    policy.liveness.hard_misses = hard_misses;
    return policy;
}

TEST(Supervision, SoftMissesDumpHardMissesStop)
{
    World world;
    Actor &one = world.add("one", probed(2, 3));
    world.begin();
    world.live(coil_s(60));
    EXPECT_EQ(0U, one.service.counters.misses);
    one.behaviour.mute = true;
    world.live(coil_ms(7001));
    EXPECT_EQ(1U, one.service.miss_count);
    world.live(coil_s(5));
    EXPECT_EQ(1U, one.dump_count);
    EXPECT_EQ(1U, one.start_count);
    world.live(coil_s(6));
    EXPECT_EQ(2U, one.start_count);
    EXPECT_NE(std::string::npos, world.story.find("one:stopping one:backoff one:starting"));
}

TEST(Supervision, AnAnswerInBetweenForgetsMisses)
{
    World world;
    Actor &one = world.add("one", probed(0, 2));
    world.begin();
    for (int i = 0; i < 10; i++) {
        one.behaviour.health = i % 2 == 0 ? -ECONNREFUSED : COIL_HEALTH_READY;
        world.live(coil_s(5));
    }
    EXPECT_EQ(1U, one.start_count);
    EXPECT_EQ(5U, one.service.counters.misses);
}

TEST(Supervision, DeadIsDead)
{
    World world;
    Actor &one = world.add("one", probed(0, 3));
    world.begin();
    one.behaviour.health = COIL_HEALTH_DEAD;
    world.live(coil_ms(5010));
    EXPECT_EQ(2U, one.start_count);
}

TEST(Supervision, WhoIsLateHimselfDoesNotJudge)
{
    World world;
    Actor &one = world.add("one", probed(0, 1));
    world.begin();
    world.live(coil_s(5)); /* It is asked, */
    one.answers_at = COIL_NEVER;
    world.now += coil_s(3); /* and we do not get the processor. */
    world.tell(COIL_EVENT_TICK);
    EXPECT_EQ(1U, one.service.counters.excused_misses);
    EXPECT_EQ(1U, one.start_count);
    world.live(coil_s(2)); /* Now we do. */
    one.behaviour.mute = true;
    world.live(coil_s(8));
    EXPECT_EQ(2U, one.start_count);
}

TEST(Supervision, AWatchdogWantsToBeFed)
{
    World world;
    coil_service_policy policy = {};
    policy.liveness.watchdog = coil_s(3);
    policy.liveness.soft_misses = 1;
    policy.liveness.hard_misses = 2;
    Behaviour feeding;
    feeding.feeds_every = coil_s(1);
    Actor &one = world.add("one", policy, feeding);
    world.begin();
    world.live(coil_s(30));
    EXPECT_EQ(0U, one.service.counters.misses);
    one.feeds_at = COIL_NEVER;
    world.live(coil_ms(3500));
    EXPECT_EQ(1U, one.dump_count);
    EXPECT_EQ(1U, one.start_count);
    world.live(coil_s(3));
    EXPECT_EQ(2U, one.start_count);
    world.tell(COIL_EVENT_TRIGGERED, &one);
    world.live(coil_s(1));
    EXPECT_EQ(3U, one.start_count);
    world.tell(COIL_EVENT_WATCHDOG_LIMIT, &one, 0, false, 0);
    one.feeds_at = COIL_NEVER;
    world.live(coil_s(100));
    EXPECT_EQ(3U, one.start_count);
}

/* ------------------------------------------------------------------------ stops, commands -- */

TEST(Supervision, TheLadderEndsInSigkill)
{
    World world;
    coil_service_policy policy = {};
    policy.stop[0] = {SIGINT, coil_s(1)};
    policy.stop[1] = {SIGTERM, coil_s(2)};
    Behaviour deaf;
    deaf.ignores_term = true;
    Actor &one = world.add("one", policy, deaf);
    world.begin();
    world.tell(COIL_EVENT_STOP, &one);
    world.live(coil_ms(3500));
    EXPECT_EQ((std::vector<int>{SIGINT, SIGTERM, SIGKILL}), one.signals);
    EXPECT_EQ(COIL_SERVICE_DOWN, one.service.state);
    EXPECT_EQ(1U, one.service.counters.kills);
}

TEST(Supervision, WhatSigkillDoesNotEndIsStuckAndHasNoSuccessor)
{
    World world;
    Behaviour hanging;
    hanging.dying = coil_s(1000);
    Actor &one = world.add("one", {}, hanging);
    world.begin();
    world.tell(COIL_EVENT_RESTART, &one);
    world.live(coil_s(100));
    EXPECT_TRUE(one.service.stuck);
    EXPECT_EQ(COIL_SERVICE_STOPPING, one.service.state);
    EXPECT_EQ(1U, one.start_count);
    world.live(coil_s(1000));
    EXPECT_EQ(2U, one.start_count);
    EXPECT_FALSE(one.service.stuck);
}

TEST(Supervision, TheLatestCommandCounts)
{
    World world;
    Actor &one = world.add("one");
    world.begin();
    world.tell(COIL_EVENT_STOP, &one);
    world.tell(COIL_EVENT_START, &one);
    world.tell(COIL_EVENT_STOP, &one);
    world.tell(COIL_EVENT_RESTART, &one);
    EXPECT_EQ(1U, one.signals.size());
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    EXPECT_EQ(2U, one.start_count);
    world.tell(COIL_EVENT_RESTART, &one);
    world.tell(COIL_EVENT_STOP, &one);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_DOWN, one.service.state);
    EXPECT_EQ(2U, one.start_count);
}

TEST(Supervision, AStartByHandEndsAPause)
{
    World world;
    coil_service_policy policy = {};
    policy.backoff.first = coil_s(1000);
    world.checks = false; /* They think of shorter ones. */
    Actor &one = world.add("one", policy);
    world.begin();
    world.kill(one);
    world.live(coil_s(1));
    EXPECT_EQ(COIL_SERVICE_BACKOFF, one.service.state);
    world.tell(COIL_EVENT_START, &one);
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    EXPECT_EQ(0U, one.service.failure_count);
}

TEST(Supervision, OneThatSaysItStopsHasAsLongAsOneThatIsTold)
{
    World world;
    Actor &one = world.add("one", probed(0, 1));
    world.begin();
    one.behaviour.mute = true;
    world.tell(COIL_EVENT_STOPPING, &one);
    world.live(coil_s(9)); /* Nobody asks it any more. */
    EXPECT_EQ(0U, one.signals.size());
    world.live(coil_s(2));
    EXPECT_EQ(2U, one.start_count);
}

/* -------------------------------------------------------------------- spawning, governor -- */

TEST(Supervision, WantOfResourcesIsAPauseWithAReasonAndNeverTheEnd)
{
    for (const int error : {-EAGAIN, -ENOMEM, -EMFILE, -ENFILE}) {
        coil_supervision_options options = {};
        options.intensity = 1;
        World world(options);
        coil_service_policy policy = {};
        policy.failures_max = 1;
        policy.significant = true;
        Behaviour impossible;
        impossible.spawn_error = error;
        Actor &one = world.add("one", policy, impossible);
        world.begin();
        world.live(coil_s(3600));
        EXPECT_EQ(COIL_SERVICE_BACKOFF, one.service.state);
        EXPECT_EQ(COIL_REASON_NO_RESOURCES, one.service.reason);
        EXPECT_EQ(error, one.service.error);
        EXPECT_EQ(0U, one.service.counters.failures);
        EXPECT_GT(one.service.counters.scarcities, 100U);
        EXPECT_LT(one.service.counters.scarcities, 300U);
        one.behaviour.spawn_error = 0;
        world.live(coil_s(31));
        EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    }
}

TEST(Supervision, WhatCannotBeRunIsFailedUnlessItIsToBeTriedAgain)
{
    World world;
    Behaviour missing;
    missing.spawn_error = -ENOENT;
    coil_service_policy patient = {};
    patient.retry_spawn = true;
    Actor &one = world.add("one", {}, missing);
    Actor &other = world.add("other", patient, missing);
    world.begin();
    world.live(coil_s(100));
    EXPECT_EQ(COIL_SERVICE_FAILED, one.service.state);
    EXPECT_EQ(-ENOENT, one.service.error);
    EXPECT_EQ(1U, one.start_count);
    EXPECT_GT(other.start_count, 5U);
}

TEST(Supervision, AStormOfRestartsIsBounded)
{
    coil_governor governor = {};
    governor.interval = coil_ms(10);
    governor.burst = 20;
    coil_supervision_options options = {};
    options.governor = &governor;
    World world(options);
    for (int i = 0; i < 1000; i++)
        world.add("s" + std::to_string(i));
    world.checks = false; /* They look at all after each step. */
    world.begin();
    EXPECT_TRUE(world.governed.empty());
    for (const auto &actor : world.actors)
        world.kill(*actor);
    world.live(coil_s(11));
    ASSERT_EQ(1000U, world.governed.size());
    for (size_t i = 22; i < 1000; i++)
        EXPECT_GE(world.governed[i] - world.governed[i - 22], coil_ms(10)) << i;
    EXPECT_GT(world.governed.back() - world.governed.front(), coil_s(9));
    for (const auto &actor : world.actors)
        EXPECT_EQ(COIL_SERVICE_UP, actor->service.state);
}

/* -------------------------------------------------------------------------------- schedules -- */

TEST(Supervision, AnIntervalKeepsItsPhaseAndSkipsWhatStillRuns)
{
    World world;
    coil_service_policy policy = {};
    policy.every = coil_s(60);
    Behaviour job;
    job.life = coil_s(10);
    job.code = 0;
    Actor &one = world.add("one", policy, job);
    world.begin();
    world.live(coil_s(59));
    EXPECT_EQ(0U, one.start_count);
    world.live(coil_s(122));
    EXPECT_EQ(3U, one.start_count);
    EXPECT_EQ(coil_s(1180), one.starts[2]);
    EXPECT_EQ(COIL_SERVICE_UP, one.service.state);
    one.behaviour.life = coil_s(70);
    world.live(coil_s(60 * 4));
    EXPECT_EQ(2U, one.service.counters.skipped_runs);
    EXPECT_EQ(5U, one.start_count);
}

TEST(Supervision, ACalendarFollowsTheWallClockWhenItJumps)
{
    World world;
    coil_service_policy policy = {};
    ASSERT_EQ(0, coil_calendar_parse("0 3 * * *", 0, &policy.calendar));
    Behaviour job;
    job.life = coil_s(10);
    job.code = 0;
    Actor &one = world.add("nightly", policy, job);
    coil_supervision_set_wall(world.supervision, world.now, 86400 * 20000 + 3600 * 2);
    world.begin();
    world.live(coil_s(3599));
    EXPECT_EQ(0U, one.start_count);
    world.live(coil_s(2));
    EXPECT_EQ(1U, one.start_count);
    coil_supervision_set_wall(world.supervision, world.now, 86400 * 20000 + 3600 * 2 + 1800);
    world.live(coil_s(1801));
    EXPECT_EQ(2U, one.start_count);
    world.live(coil_s(86400 * 10));
    EXPECT_EQ(12U, one.start_count);
}

/* ---------------------------------------------------------------------- adding, removing -- */

TEST(Supervision, ServicesComeAndGo)
{
    coil_supervision_options options = {};
    options.strategy = COIL_REST_FOR_ONE;
    World world(options);
    Actor &a = world.add("a");
    Actor &b = world.add("b");
    world.add("c");
    Actor twin;
    EXPECT_EQ(-EEXIST,
            coil_supervision_add(world.supervision, &twin.service, "b", &a.service.policy, 0));
    world.begin();
    EXPECT_EQ(-EBUSY, coil_supervision_remove(&b.service));
    world.tell(COIL_EVENT_STOP, &b);
    world.live(coil_s(1));
    EXPECT_EQ(0, coil_supervision_remove(&b.service));
    world.actors.erase(world.actors.begin() + 1);
    EXPECT_EQ(nullptr, coil_supervision_find(world.supervision, "b"));
    Actor &d = world.add("d");
    EXPECT_FALSE(d.lives);
    world.tell(COIL_EVENT_START, &d);
    EXPECT_TRUE(d.lives);
    world.story.clear();
    world.kill(a);
    world.live(coil_s(1));
    EXPECT_EQ("a:backoff d:stopping d:down c:stopping c:down a:starting a:up c:starting c:up "
              "d:starting d:up",
            world.story);
}

TEST(Supervision, NothingHappensWithoutACause)
{
    World world;
    for (int i = 0; i < 10; i++)
        world.add("s" + std::to_string(i));
    world.begin();
    EXPECT_EQ(COIL_NEVER, coil_supervision_deadline(world.supervision)); /* No wake-up. */
}

} // namespace
