/* SPDX-License-Identifier: MIT */
/* Debug mode: each finding is one block of text. */
#include "virtual_time.h"

#include <coil/debug.h>

#include <cerrno>
#include <thread>

#include <coil/sugar.h>

namespace
{

/* A clock that the coroutines of the tests move, and what has been reported. */
struct Notes {
    coil_debug debug;
    coil_time clock;
    uint64_t slept_count;
    std::string text;
};

Notes *notes;

coil_time read_clock(coil_debug *debug)
{
    return coil_container_of(debug, Notes, debug)->clock;
}

uint64_t count_sleeps(coil_debug *debug, bool)
{
    return coil_container_of(debug, Notes, debug)->slept_count;
}

void take_report(coil_debug *debug, const char *text)
{
    coil_container_of(debug, Notes, debug)->text += text;
}

void print_report(coil_debug *, const char *text)
{
    fputs(text, stderr);
}

void name_place(coil_debug *, const void *code, FILE *out)
{
    fputs(code == nullptr ? "nowhere" : "some place", out);
}

class Debug : public VirtualTime
{
protected:
    Debug()
    {
        notes = &own;
        EXPECT_EQ(0, coil_debug_init(&own.debug, &sched));
    }

    ~Debug() override
    {
        drive();
        coil_debug_fini(&own.debug);
        EXPECT_EQ("", own.text) << "a report that the test did not expect";
    }

    std::string reports()
    {
        return std::exchange(own.text, "");
    }

    Notes own = {{read_clock, count_sleeps, take_report, name_place, coil_ms(100), coil_us(50), {},
                         {}, {}, {}, {}, {}, {}, {}},
            0, 0, ""};
};

#define EXPECT_HAS(text, part) EXPECT_NE(std::string::npos, (text).find(part)) << (text)

async(int, computes, (coil_duration) duration)
{
    vars();
    await(coil_yield());
    notes->clock += duration;
    await(coil_sleep(1));
    return 0;
}

TEST_F(Debug, SaysNothingAboutAProgramThatBehaves)
{
    EXPECT_EQ(0, RUN(computes(coil_ms(99))));
    EXPECT_EQ(0, RUN(computes(0)));
    EXPECT_EQ("", reports());
}

TEST_F(Debug, ReportsASlowStepWithTheAwaitsOnBothSides)
{
    EXPECT_EQ(0, RUN(computes(coil_ms(152))));
    std::string text = reports();
    EXPECT_HAS(text, "coil: slow step: task computes kept the loop for 152.000 ms\n");
    EXPECT_HAS(text, "    from  computes (");
    EXPECT_HAS(text, "await (coil_yield())\n    to    computes (");
    EXPECT_HAS(text, "await (coil_sleep(1))\n");
}

async(int, computes_first)
{
    vars();
    notes->clock += coil_s(2);
    return 0;
}

TEST_F(Debug, ReportsASlowStepFromTheStartToTheEndOfATask)
{
    EXPECT_EQ(0, RUN(computes_first()));
    std::string text = reports();
    EXPECT_HAS(text, "computes_first kept the loop for 2000.000 ms");
    EXPECT_HAS(text, "its start\n    to    the end\n");
}

void report_slowly(coil_debug *debug, const char *text)
{
    take_report(debug, text);
    notes->clock += coil_s(1);
    notes->slept_count++;
}

TEST_F(Debug, DoesNotChargeAReportToTheNextStep)
{
    own.debug.report = report_slowly;
    spawn(&sched.root, computes(coil_ms(152)));
    EXPECT_EQ(0, RUN(computes(0)));
    own.debug.report = take_report;
    std::string text = reports();
    EXPECT_HAS(text, "computes kept the loop for 152.000 ms\n");
    EXPECT_EQ(std::string::npos, text.find("coil:", 1)) << "only one report: " << text;
}

async(int, sleeps_in_the_kernel, (coil_duration) duration)
{
    vars();
    notes->clock += duration;
    notes->slept_count++;
    await(coil_yield());
    return 0;
}

TEST_F(Debug, ReportsAStepThatSleptInTheKernel)
{
    EXPECT_EQ(0, RUN(sleeps_in_the_kernel(coil_us(70))));
    EXPECT_HAS(reports(), "coil: blocked in the kernel: task sleeps_in_the_kernel");
}

async(int, forgets_a_call)
{
    vars();
    {
        auto forgotten = coil_sleep(1);
        (void)forgotten;
    }
    await(coil_yield());
    note('n');
    return 0;
}

TEST_F(Debug, ReportsACoroutineThatIsNeverAwaited)
{
#ifndef COIL_STRICT_
    GTEST_SKIP() << "optimised code has the compiler's warning";
#endif
    EXPECT_EQ(0, RUN(forgets_a_call()));
    std::string text = reports();
    EXPECT_HAS(text, "coil: never awaited: coil_sleep (");
    EXPECT_HAS(text, "by    task forgets_a_call\n");
    EXPECT_HAS(text, "at    some place\n");
}

async(int, awaits_what_was_stored)
{
    vars(struct coil_sleep__cold stored);
    my->stored = coil_sleep(1);
    await(coil_yield());
    await(within(coil_ms(1), my->stored));
    return 0;
}

TEST_F(Debug, DoesNotMindACoroutineThatIsStoredAndAwaitedLater)
{
    EXPECT_EQ(0, RUN(awaits_what_was_stored()));
    EXPECT_EQ("", reports());
}

async(int, ends_with_a_lock)
{
    vars();
    coil_self->lock_count++;
    await(coil_sleep(coil_s(1)));
    return 0;
}

TEST_F(Debug, ReportsALockThatIsHeldByACancelledTask)
{
    coil_task *task = spawn(&sched.root, ends_with_a_lock());
    settle();
    coil_task_cancel(task);
    drive();
    EXPECT_HAS(reports(), "coil: lock held: task ends_with_a_lock was cancelled with 1 lock ");
}

async(int, ends_at_once_with_a_lock)
{
    vars();
    {
        auto forgotten = coil_sleep(1);
        (void)forgotten;
    }
    coil_self->lock_count++;
    return 0;
}

async(int, computes_first_for, (coil_duration) duration)
{
    vars();
    notes->clock += duration;
    await(coil_yield());
    return 0;
}

async(int, lends_its_turn)
{
    vars(coil_group group);
    open_group(&my->group);
    coil_spawn_now(&my->group, ends_at_once_with_a_lock());
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Debug, SeesTasksThatBeginInTheTurnOfAnother)
{
    EXPECT_EQ(0, RUN(lends_its_turn()));
    std::string text = reports();
    EXPECT_HAS(text, "coil: lock held: task ends_at_once_with_a_lock ended with 1 lock ");
#ifdef COIL_STRICT_
    EXPECT_HAS(text, "by    task ends_at_once_with_a_lock\n");
#endif
}

async(int, lends_its_turn_for, (coil_duration) own, (coil_duration) others)
{
    vars(coil_group group);
    open_group(&my->group);
    notes->clock += own;
    notes->slept_count += own > 0;
    coil_spawn_now(&my->group, computes_first_for(others));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Debug, JudgesWhoLendsItsTurnAndWhoGetsItEachForItself)
{
    EXPECT_EQ(0, RUN(lends_its_turn_for(0, coil_ms(170))));
    std::string text = reports();
    EXPECT_HAS(text, "coil: slow step: task computes_first_for kept the loop for 170.000 ms\n");
    EXPECT_EQ(std::string::npos, text.find("coil:", 1)) << "only one report: " << text;

    EXPECT_EQ(0, RUN(lends_its_turn_for(coil_us(70), coil_us(80))));
    text = reports();
    EXPECT_HAS(
            text, "coil: blocked in the kernel: task lends_its_turn_for kept the loop for 0.070");
    EXPECT_EQ(std::string::npos, text.find("coil:", 1)) << "only one report: " << text;
}

async(int, lives_on)
{
    vars();
    await(coil_sleep(coil_s(1)));
    return 0;
}

async(int, starts_one_now, (coil_group *) group)
{
    vars();
    coil_spawn_now(group, lives_on());
    return 0;
}

TEST(DebugEnd, ReportsEveryTaskThatIsLeftWithItsStack)
{
    Notes own = {{read_clock, count_sleeps, take_report, name_place, coil_ms(100), coil_us(50), {},
                         {}, {}, {}, {}, {}, {}, {}},
            0, 0, ""};
    coil_sched sched;
    coil_sched_init(&sched, 0, nullptr);
    ASSERT_EQ(0, coil_debug_init(&own.debug, &sched));
    coil_group stray;
    coil_group_init(&stray, &sched);
    spawn(&sched.root, lives_on());
    for (int i = 0; i < 1000; i++)
        spawn(&sched.root, computes_first()); /* So that the table grows and shrinks. */
    spawn(&sched.root, starts_one_now(&stray));
    notes = &own;
    while (coil_sched_run(&sched, 100)) {
    }
    own.text.clear();
    coil_debug_fini(&own.debug);
    EXPECT_HAS(own.text, "coil: leak: task lives_on has not ended\n");
    EXPECT_HAS(own.text,
            "coil: leak: task lives_on has not ended, in a group that no coroutine has open\n");
    EXPECT_HAS(own.text, "await (coil_sleep(coil_s(1)))\n");
    coil_sched_advance(&sched, coil_s(1));
    while (coil_sched_run(&sched, 100)) {
    }
    coil_sched_fini(&sched);
}

TEST_F(Debug, ReportsAWakeUpByAnotherThreadAndAborts)
{
    coil_task *task = spawn(&sched.root, lives_on());
    settle();
    own.debug.report = print_report;
    EXPECT_DEATH(std::thread([task] { coil_task_wake(task); }).join(),
            "coil: wrong thread: woke a task of a scheduler that belongs to another thread");
    EXPECT_DEATH(std::thread([this] { spawn(&sched.root, lives_on()); }).join(),
            "coil: wrong thread: spawned a task");
}

} // namespace
