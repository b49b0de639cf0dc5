/* SPDX-License-Identifier: MIT */
/*
 * What channels upon channels make of an invocation: its time, its result, what it says afterwards.
 * The channel behind them is a script; time is virtual.
 */
#include "oracle_calls.h"

#include <coil/test_loop.h>
#include <coil/thrift_backup.h>
#include <coil/thrift_pool.h>
#include <coil/thrift_retrying.h>

namespace
{

/* ----------------------------------------------------------------------------- the script -- */

/* What becomes of one call, and what it was given. */
struct Step {
    coil_duration nap = 0; /* Until it has its outcome. */
    int rc = 0;
    bool was_sent = true;
    int exception = 0;

    coil_duration timeout = -1;
    uint32_t avoid = 0;
};

/* Each call is the next step. As channels may, it uses the invocation for its own purposes. */
struct Script {
    coil_thrift_channel channel = {};
    std::vector<Step> steps = {};
    size_t call_count = 0;
};

Step *begin_step(coil_thrift_invocation *invocation)
{
    Script *script = coil_container_of(invocation->channel, Script, channel);
    EXPECT_LT(script->call_count, script->steps.size());
    Step *step = &script->steps.at(script->call_count++);
    step->timeout = invocation->timeout;
    step->avoid = invocation->avoid;
    invocation->timeout = 0;
    invocation->via = static_cast<uint32_t>(script->call_count);
    invocation->was_sent = step->was_sent;
    return step;
}

async(int, play, (coil_thrift_invocation *) invocation)
{
    vars(Step *step);

    my->step = begin_step(invocation);
    await(coil_sleep(my->step->nap));
    invocation->exception.type = my->step->exception;
    return my->step->rc;
}

/* One call over some channel, in an arena whose memory was used before. */
struct Play {
    const coil_thrift_method_schema *method = &oracle_look;
    coil_thrift_channel *channel = nullptr;
    coil_duration limit = COIL_FOREVER; /* When the caller loses patience. */
    coil_thrift_invocation invocation = {};
    oracle_answer answer = {};
    int rc = 1;
    coil_duration took = 0;
};

async(int, make_plays_call, (Play *) play)
{
    vars(coil_arena arena; coil_time begun);

    coil_arena_init(&my->arena, 4096);
    defer(coil_arena_fini(&my->arena));
    memset(coil_arena_take(&my->arena, 1024, 16), 0xff, 1024);
    coil_arena_reset(&my->arena);
    play->invocation.method = play->method;
    play->invocation.arena = &my->arena;
    play->invocation.result = &play->answer;
    my->begun = coil_now();
    await(play->rc, within(play->limit, coil_thrift_invoke(play->channel, &play->invocation)));
    play->took = coil_now() - my->begun;
    return 0;
}

class ThriftChannels : public testing::Test
{
protected:
    void SetUp() override
    {
        ASSERT_EQ(0, coil_test_loop_create(&loop, nullptr));
        script.channel.invoke = coil_handler(play, coil_thrift_invocation *);
        coil_thrift_backup_init(&backup, &script.channel, coil_ms(30));
        coil_thrift_retrying_init(&retrying, &script.channel);
        retrying.policy = &policy;
    }

    void TearDown() override
    {
        coil_loop_destroy(loop);
    }

    void run(Play *play, coil_thrift_channel *channel)
    {
        play->channel = channel;
        EXPECT_EQ(0, coil_loop_run_until(loop, make_plays_call(play)));
        EXPECT_EQ(script.steps.size(), script.call_count);
    }

    coil_loop *loop = nullptr;
    Script script;
    coil_thrift_backup backup = {};
    coil_thrift_retrying retrying = {};
    coil_retry_policy policy = {1, 1, 3, nullptr};
};

/* --------------------------------------------------------------------------------- backup -- */

using ThriftBackupChannel = ThriftChannels;

TEST_F(ThriftBackupChannel, GivesTheSecondCallWhatIsLeftOfTheTimeout)
{
    script.steps = {{.nap = coil_ms(60)}, {.nap = coil_ms(60)}};
    Play play;
    play.invocation.timeout = coil_ms(100);
    run(&play, &backup.channel);
    EXPECT_EQ(0, play.rc);
    EXPECT_EQ(coil_ms(100), script.steps[0].timeout);
    EXPECT_EQ(coil_ms(70), script.steps[1].timeout);
    EXPECT_EQ(coil_ms(100), play.invocation.timeout);
}

TEST_F(ThriftBackupChannel, LeavesTheTimeoutOfTheSecondCallToTheChannelIfTheFirstHasNone)
{
    script.steps = {{.nap = coil_ms(60)}, {}};
    Play play;
    run(&play, &backup.channel);
    EXPECT_EQ(0, play.rc);
    EXPECT_EQ(0, script.steps[1].timeout);
    EXPECT_EQ(1u, script.steps[1].avoid) << "the connection of the first";
}

TEST_F(ThriftBackupChannel, DoesNotCallAgainWhenTheTimeIsOver)
{
    script.steps = {{.nap = coil_ms(40), .rc = -ETIME}};
    Play play;
    play.invocation.timeout = coil_ms(30);
    run(&play, &backup.channel);
    EXPECT_EQ(-ETIME, play.rc);
    EXPECT_EQ(0u, backup.backup_count);
}

TEST_F(ThriftBackupChannel, HasNoResultWhereTheSecondAnswerIsAnException)
{
    script.steps = {{.nap = coil_s(1)}, {.rc = -EREMOTEIO, .exception = 6}};
    Play play;
    run(&play, &backup.channel);
    EXPECT_EQ(-EREMOTEIO, play.rc);
    EXPECT_EQ(6, play.invocation.exception.type);
    EXPECT_EQ(0u, play.answer.has);
}

TEST_F(ThriftBackupChannel, SaysThatACallWasSentWhoseCallerHasLostPatience)
{
    for (const coil_duration limit : {coil_ms(10), coil_ms(50)}) {
        script.call_count = 0;
        script.steps = {{.nap = coil_s(1)}};
        if (limit > backup.delay)
            script.steps.push_back({.nap = coil_s(1)});
        Play play;
        play.limit = limit;
        run(&play, &backup.channel);
        EXPECT_EQ(-ETIME, play.rc);
        EXPECT_EQ(limit, play.took);
        EXPECT_TRUE(play.invocation.was_sent);
    }
}

TEST_F(ThriftBackupChannel, SaysThatNoCallWasSentIfNoneWas)
{
    script.steps = {{.nap = coil_ms(60), .rc = -ECONNREFUSED, .was_sent = false},
            {.nap = coil_ms(60), .rc = -ECONNREFUSED, .was_sent = false}};
    Play play;
    play.invocation.was_sent = true; /* It was used for another call before. */
    run(&play, &backup.channel);
    EXPECT_EQ(-ECONNREFUSED, play.rc);
    EXPECT_FALSE(play.invocation.was_sent);
}

/* ------------------------------------------------------------------------------- retrying -- */

using ThriftRetryingChannel = ThriftChannels;

TEST_F(ThriftRetryingChannel, LeavesTheTimeoutAsItWasHoweverTheCallEnds)
{
    const struct {
        int rc;
        coil_duration limit;
        int expected;
    } ways[] = {{0, COIL_FOREVER, 0}, {-EINVAL, COIL_FOREVER, -EINVAL}, {0, coil_ms(5), -ETIME}};

    for (const auto &way : ways) {
        script.call_count = 0;
        script.steps = {{.nap = coil_ms(10), .rc = way.rc}};
        retrying.attempt_limit = coil_ms(70);
        Play play;
        play.limit = way.limit;
        play.invocation.timeout = coil_ms(100);
        run(&play, &retrying.channel);
        EXPECT_EQ(way.expected, play.rc);
        EXPECT_EQ(coil_ms(70), script.steps[0].timeout);
        EXPECT_EQ(coil_ms(100), play.invocation.timeout);
    }
}

TEST_F(ThriftRetryingChannel, BoundsAllAttemptsByTheTimeout)
{
    script.steps = {{.nap = coil_ms(60), .rc = -ENOTCONN}, {.nap = coil_ms(60), .rc = -ENOTCONN}};
    Play play;
    play.invocation.timeout = coil_ms(100);
    run(&play, &retrying.channel);
    EXPECT_EQ(-ETIME, play.rc);
    EXPECT_EQ(coil_ms(100), play.took);
    EXPECT_EQ(coil_ms(100), play.invocation.timeout);
}

TEST_F(ThriftRetryingChannel, RemembersThatAnEarlierAttemptWasSent)
{
    script.steps = {{.rc = -ENOTCONN}, {.rc = -EHOSTDOWN, .was_sent = false}};
    Play play;
    run(&play, &retrying.channel);
    EXPECT_EQ(-EHOSTDOWN, play.rc);
    EXPECT_TRUE(play.invocation.was_sent);
}

TEST_F(ThriftRetryingChannel, RemembersItAlsoForACallerWhoLosesPatience)
{
    script.steps = {{.rc = -ENOTCONN}, {.nap = coil_s(1), .was_sent = false}};
    Play play;
    play.limit = coil_ms(20);
    run(&play, &retrying.channel);
    EXPECT_EQ(-ETIME, play.rc);
    EXPECT_TRUE(play.invocation.was_sent);
}

TEST_F(ThriftRetryingChannel, DoesNotCountWhatAServerHasRefused)
{
    script.steps = {{.rc = -EREMOTEIO, .exception = COIL_THRIFT_LOADSHEDDING},
            {.rc = -EHOSTDOWN, .was_sent = false}};
    Play play;
    play.method = &oracle_ask;
    run(&play, &retrying.channel);
    EXPECT_EQ(-EHOSTDOWN, play.rc);
    EXPECT_FALSE(play.invocation.was_sent) << "nothing was carried out";
}

TEST_F(ThriftRetryingChannel, AvoidsTheConnectionOfTheAttemptBeforeAndNoneOfEarlierCalls)
{
    script.steps = {{.rc = -ENOTCONN}, {}};
    Play play;
    play.invocation.via = 77;
    run(&play, &retrying.channel);
    EXPECT_EQ(0, play.rc);
    EXPECT_EQ(0u, script.steps[0].avoid);
    EXPECT_EQ(1u, script.steps[1].avoid);
}

TEST_F(ThriftRetryingChannel, AvoidsWhatTheChannelBeforeItAvoids)
{
    coil_thrift_backup_init(&backup, &retrying.channel, coil_ms(30));
    script.steps = {{.nap = coil_ms(60)}, {}};
    Play play;
    run(&play, &backup.channel);
    EXPECT_EQ(0, play.rc);
    EXPECT_EQ(1u, script.steps[1].avoid);
}

/* ------------------------------------------------------------------------------- the pool -- */

async(int, call_over_pool, (const char *) address, (Play *) play)
{
    vars(coil_thrift_pool *pool);

    EXPECT_EQ(0, coil_thrift_pool_create(coil_loop_current(), address, nullptr, &my->pool));
    defer(coil_thrift_pool_destroy(my->pool));
    play->channel = coil_thrift_pool_channel(my->pool);
    attempt(make_plays_call(play));
    return 0;
}

TEST(ThriftPoolChannel, LeavesTheTimeoutAsItWasHoweverTheCallEnds)
{
    const PeerListener silent;
    Play cancelled;
    cancelled.limit = coil_ms(20);
    cancelled.invocation.timeout = coil_s(100);
    EXPECT_EQ(0, coil_run(call_over_pool(silent.address.c_str(), &cancelled)));
    EXPECT_EQ(-ETIME, cancelled.rc);
    EXPECT_EQ(coil_s(100), cancelled.invocation.timeout);

    Play late;
    late.invocation.timeout = coil_ms(20);
    EXPECT_EQ(0, coil_run(call_over_pool(silent.address.c_str(), &late)));
    EXPECT_EQ(-ETIME, late.rc);
    EXPECT_EQ(coil_ms(20), late.invocation.timeout);
}

} // namespace
