/* SPDX-License-Identifier: MIT */
/* coil/shutdown.h: the order of a graceful end, its deadlines, and what is said of what hangs. */
#include "stage.h"

#include <coil/shutdown.h>

#include <string>

#include <coil/sugar.h>

namespace
{

struct Story {
    std::string told;
    coil_duration nap = 0;
    int result = 0;
};

struct Hook {
    coil_shutdown_hook hook;
    Story *story;
    char letter;
    coil_duration nap;
    int result;
};

async(int, tell, (Hook *) self)
{
    vars();
    if (self->nap > 0)
        await(coil_sleep(self->nap));
    self->story->told += self->letter;
    return self->result;
}

/* Works until the end is requested, and for `nap` beyond. */
async(int, work, (Story *) story)
{
    vars();
    defer(story->told += '.');
    await(coil_shutdown_requested());
    story->told += 'r';
    await(coil_sleep(story->nap));
    story->told += 'd';
    return story->result;
}

async(int, finish_at_once, (Story *) story)
{
    vars();
    story->told += 'm';
    return story->result;
}

class Shutdown : public Proactor
{
protected:
    Shutdown() : shutdown(coil_shutdown_of(loop)) {}

    void add(coil_shutdown_phase phase, char letter, coil_duration nap = 0, int result = 0)
    {
        hooks.push_back({{}, &story, letter, nap, result});
        Hook &hook = hooks.back();
        hook.hook.name = "the hook";
        hook.hook.run = coil_handler(tell, Hook *);
        hook.hook.argument = &hook;
        coil_shutdown_add(shutdown, phase, &hook.hook);
    }

    void request(coil_duration when, coil_duration grace)
    {
        later(when, [this, grace] { coil_shutdown_begin(shutdown, grace); });
    }

    int64_t supervise()
    {
        return RUN(coil_shutdown_supervise(coil_handler(work, Story *), &story));
    }

    coil_shutdown_state *shutdown;
    Story story;
    std::deque<Hook> hooks;
};

TEST_F(Shutdown, HooksRunInTheirPhasesAndCleanUpsYoungestFirst)
{
    add(COIL_SHUTDOWN_CLEAN_UP, '1');
    add(COIL_SHUTDOWN_CLEAN_UP, '2');
    add(COIL_SHUTDOWN_STOP, 'a');
    add(COIL_SHUTDOWN_DRAIN, 'x');
    add(COIL_SHUTDOWN_STOP, 'b');
    add(COIL_SHUTDOWN_DRAIN, 'y');
    story.nap = coil_ms(5);
    story.result = 7;
    request(coil_ms(1), coil_s(10));
    EXPECT_EQ(7, supervise());
    EXPECT_EQ("abxyrd.21", story.told);
}

TEST_F(Shutdown, MainIsCancelledWhenTheGracePeriodIsOver)
{
    add(COIL_SHUTDOWN_CLEAN_UP, '1', coil_ms(1));
    story.nap = COIL_FOREVER;
    request(coil_ms(1), coil_ms(10));
    EXPECT_EQ(0, supervise());
    EXPECT_EQ("r.1", story.told);
}

TEST_F(Shutdown, ASecondRequestMakesTheDeadlineEarlierButNotLater)
{
    story.nap = COIL_FOREVER;
    request(coil_ms(1), coil_s(100));
    request(coil_ms(2), coil_ms(5));
    request(coil_ms(3), coil_s(100));
    EXPECT_EQ(0, supervise());
    EXPECT_EQ("r.", story.told);
}

TEST_F(Shutdown, WithoutARequestOnlyCleanUpsRun)
{
    add(COIL_SHUTDOWN_STOP, 'a');
    add(COIL_SHUTDOWN_CLEAN_UP, '1');
    story.result = -EIO;
    EXPECT_EQ(-EIO, RUN(coil_shutdown_supervise(coil_handler(finish_at_once, Story *), &story)));
    EXPECT_EQ("m1", story.told);
    coil_shutdown_remove(&hooks[0].hook);
}

TEST_F(Shutdown, ARemovedHookDoesNotRun)
{
    add(COIL_SHUTDOWN_CLEAN_UP, '1');
    add(COIL_SHUTDOWN_CLEAN_UP, '2');
    coil_shutdown_remove(&hooks[0].hook);
    coil_shutdown_remove(&hooks[0].hook);
    request(coil_ms(1), coil_s(1));
    EXPECT_EQ(0, supervise());
    EXPECT_EQ("rd.2", story.told);
}

TEST_F(Shutdown, AHookThatWasNeverAddedMayBeRemoved)
{
    coil_shutdown_hook zeroed = {};
    coil_shutdown_remove(&zeroed);
}

TEST_F(Shutdown, WhatHangsIsNamedAndStillAwaited)
{
    shutdown->patience = coil_ms(5);
    add(COIL_SHUTDOWN_CLEAN_UP, '1', coil_ms(30));
    request(coil_ms(1), coil_s(1));
    testing::internal::CaptureStderr();
    EXPECT_EQ(0, supervise());
    EXPECT_EQ("coil: shutdown: 'the hook' does not end\n", testing::internal::GetCapturedStderr());
    EXPECT_EQ("rd.1", story.told);
}

TEST_F(Shutdown, AHookThatFailsIsNamedAndTheOthersRun)
{
    add(COIL_SHUTDOWN_CLEAN_UP, '1');
    add(COIL_SHUTDOWN_CLEAN_UP, '2', 0, -EIO);
    request(coil_ms(1), coil_s(1));
    testing::internal::CaptureStderr();
    EXPECT_EQ(0, supervise());
    EXPECT_NE(std::string::npos, testing::internal::GetCapturedStderr().find("'the hook' failed"));
    EXPECT_EQ("rd.21", story.told);
}

TEST_F(Shutdown, ADrainHookThatHangsDoesNotKeepMainFromBeingCancelled)
{
    add(COIL_SHUTDOWN_DRAIN, 'x', COIL_FOREVER);
    story.nap = COIL_FOREVER;
    request(coil_ms(1), coil_ms(10));
    EXPECT_EQ(0, supervise());
    EXPECT_EQ("r.", story.told);
}

TEST_F(Shutdown, TheRequestCanBeAwaitedByManyAndCancelled)
{
    for (int i = 0; i < 10; i++)
        coil_spawn(coil_loop_root(loop), coil_shutdown_requested());
    coil_spawn(coil_loop_root(loop), coil_within(coil_ms(1), coil_shutdown_requested()));
    request(coil_ms(5), 0);
    run();
    EXPECT_TRUE(shutdown->is_requested);
    coil_spawn(coil_loop_root(loop), coil_shutdown_requested());
    coil_spawn(coil_loop_root(loop), coil_shutdown_overdue());
    run();
}

} // namespace
