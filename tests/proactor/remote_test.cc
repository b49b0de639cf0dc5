/* SPDX-License-Identifier: MIT */
/* coil/remote.h, coil/loop_thread.h: coroutines on the loops of other threads, and their ends. */
#include "stage.h"

#include <coil/loop_thread.h>
#include <coil/remote.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

struct Wide {
    int64_t status;
    int64_t values[7];
};

/* Shared by two threads. */
struct Witness {
    std::atomic<int> begun_count{0};
    std::atomic<int> cleaned_up_count{0};
    std::atomic<bool> was_elsewhere{false};
};

async(int, doubled, (int) number)
{
    vars();
    await(coil_yield());
    return 2 * number;
}

async(Wide, widened, (Wide) seed, (int) offset)
{
    vars(Wide wide);
    await(coil_yield());
    my->wide = seed;
    for (int i = 0; i < 7; i++)
        my->wide.values[i] += offset;
    return my->wide;
}

/* Largest of what fits, and less aligned than a frame: nothing behind it may be copied. */
struct Block {
    int values[COIL_REMOTE_ARGUMENT_BYTES / sizeof(int)];
};

async(int, sums, (Block) block)
{
    vars();
    await(coil_yield());
    int sum = 0;
    for (int value : block.values)
        sum += value;
    return sum;
}

async(int, multiplied, (int) one, (int) other)
{
    vars();
    await(coil_yield());
    return one * other;
}

async(void, touch, (Witness *) witness)
{
    vars();
    witness->begun_count++;
    await(coil_yield());
    witness->cleaned_up_count++;
}

async(int, sleep_long, (Witness *) witness)
{
    vars();
    witness->begun_count++;
    defer(witness->cleaned_up_count++);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

/* Gets a result to its end, whatever is asked of it. */
async(int, stubborn, (Witness *) witness)
{
    vars();
    witness->begun_count++;
    await(coil_shield(coil_sleep(coil_ms(5))));
    return 5;
}

async(int, failing)
{
    vars();
    await(coil_yield());
    return -ENOENT;
}

async(int, where, (coil_loop *) expected)
{
    vars();
    await(coil_yield());
    return coil_loop_of(coil_self) == expected ? 1 : 0;
}

} // namespace

extern "C" {
coil_turn begin_found(coil_task *task, coil_frame *leaf);
coil_declare_eager(int, found_at_once, begin_found, (coil_loop *) expected);
}

coil_turn begin_found(coil_task *task, coil_frame *leaf)
{
    (void)task;
    coil_result(found_at_once, leaf) =
            coil_loop_current() == coil_arguments(found_at_once, leaf)->expected ? 1 : 0;
    return COIL_DONE;
}

namespace
{

coil_turn step_found(coil_task *task, coil_frame *leaf)
{
    (void)begin_found(task, leaf);
    return coil_leave(task, leaf);
}

} // namespace

coil_define_leaf(found_at_once, step_found, nullptr);

namespace
{

class Remote : public Proactor
{
protected:
    Remote()
    {
        char reason[COIL_REASON_BYTES] = "";
        EXPECT_EQ(0, coil_loop_thread_start(&other, nullptr, reason)) << reason;
    }

    ~Remote() override
    {
        stop();
        coil_loop_thread_fini(&other);
    }

    void stop()
    {
        if (is_running)
            coil_loop_thread_stop(&other, 0);
        is_running = false;
    }

    coil_loop_thread other;
    Witness witness;
    bool is_running = true;
};

TEST_F(Remote, TheResultOfATaskOnAnotherLoopArrives)
{
    EXPECT_EQ(42, RUN(coil_on_loop(other.loop, doubled(21))));
    EXPECT_EQ(1, RUN(coil_on_loop(other.loop, where(other.loop))));
}

async(int64_t, sum_of_wide, (coil_loop *) loop)
{
    vars(Wide wide);
    my->wide.values[6] = 30;
    attempt(my->wide, coil_on_loop(loop, widened(my->wide, 12)));
    return my->wide.values[0] + my->wide.values[6];
}

TEST_F(Remote, ResultsAndArgumentsMayBeStructs)
{
    EXPECT_EQ(54, RUN(sum_of_wide(other.loop)));
}

TEST_F(Remote, AResultMayBeVoid)
{
    coil_spawn(coil_loop_root(loop), coil_on_loop(other.loop, touch(&witness)));
    run();
    EXPECT_EQ(1, witness.cleaned_up_count);
}

TEST_F(Remote, AnErrorArrivesAndEndsNothingElse)
{
    EXPECT_EQ(-ENOENT, RUN(coil_on_loop(other.loop, failing())));
    EXPECT_EQ(6, RUN(coil_on_loop(other.loop, doubled(3))));
}

TEST_F(Remote, TheTargetMayBeTheOwnLoop)
{
    EXPECT_EQ(6, RUN(coil_on_loop(loop, doubled(3))));
}

async(int, asks_where, (coil_loop *) loop)
{
    vars(int where);
    await(my->where, coil_on_loop(loop, found_at_once(loop)));
    return my->where;
}

TEST_F(Remote, WhatMayHaveItsResultAtOnceHasItThereAndNotHere)
{
    EXPECT_EQ(1, RUN(asks_where(other.loop)));
    EXPECT_EQ(1, RUN(asks_where(loop)));
}

async(void, keeps_its_name, (std::string *) name)
{
    vars();
    await(coil_yield());
    *name = coil_task_name(coil_self);
}

TEST_F(Remote, ATaskIsCalledLikeWhatItWasMadeFor)
{
    std::string name;
    coil_spawn(coil_loop_root(loop), coil_on_loop(other.loop, keeps_its_name(&name)));
    run();
    EXPECT_EQ("keeps_its_name", name);
}

TEST_F(Remote, CallsNest)
{
    EXPECT_EQ(1, RUN(coil_on_loop(other.loop, coil_on_loop(loop, where(loop)))));
}

TEST_F(Remote, ADeadlineCancelsTheRemoteTaskAndAwaitsIt)
{
    EXPECT_EQ(
            -ETIME, RUN(coil_within(coil_ms(20), coil_on_loop(other.loop, sleep_long(&witness)))));
    EXPECT_EQ(1, witness.cleaned_up_count);
}

TEST_F(Remote, AResultInSpiteOfACancellationIsDelivered)
{
    EXPECT_EQ(5, RUN(coil_within(coil_ms(1), coil_on_loop(other.loop, stubborn(&witness)))));
}

TEST_F(Remote, ADeadlineOnTheFarSideIsMeasuredThere)
{
    EXPECT_EQ(-ETIME, RUN(coil_on_loop(other.loop, coil_within(coil_ms(5), sleep_long(&witness)))));
}

TEST_F(Remote, ALoopThatHasEndedRefuses)
{
    coil_loop *gone = other.loop;
    stop();
    EXPECT_EQ(-ESHUTDOWN, RUN(coil_on_loop(gone, doubled(1))));
    EXPECT_EQ(-ESHUTDOWN, coil_spawn_on(gone, doubled(1)));
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, gone, &result, doubled(1));
    EXPECT_EQ(-ESHUTDOWN, coil_remote_wait(&remote, COIL_FOREVER));
}

TEST_F(Remote, CopiesTheArgumentsAndNothingBehindThem)
{
    coil_remote remote;
    int product = 0;
    coil_remote_start(&remote, other.loop, &product, multiplied(6, 7));
    EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(42, product);

    Block block = {};
    block.values[COIL_REMOTE_ARGUMENT_BYTES / sizeof(int) - 1] = 5;
    int sum = 0;
    coil_remote_start(&remote, other.loop, &sum, sums(block));
    EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(5, sum);
}

TEST_F(Remote, AThreadWaitsForAResult)
{
    coil_remote remote;
    Wide result = {};
    Wide seed = {};
    coil_remote_start(&remote, other.loop, &result, widened(seed, 7));
    EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(7, result.values[3]);
    EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER)) << "again";
}

TEST_F(Remote, AThreadGivesUpWaitingAndThenCancels)
{
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, other.loop, &result, sleep_long(&witness));
    EXPECT_EQ(-ETIME, coil_remote_wait(&remote, coil_ms(5)));
    coil_remote_cancel(&remote);
    coil_remote_cancel(&remote);
    EXPECT_EQ(-ECANCELED, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(1, witness.cleaned_up_count);
}

TEST_F(Remote, TheEndOfTheLoopEndsACallThatRuns)
{
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, other.loop, &result, sleep_long(&witness));
    while (witness.begun_count == 0)
        std::this_thread::yield();
    stop();
    EXPECT_EQ(-ESHUTDOWN, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(1, witness.cleaned_up_count);
}

TEST_F(Remote, ACallThatHasNotBegunEndsWithItsLoop)
{
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, loop, &result, doubled(1)); /* It does not run. */
    end();
    EXPECT_EQ(-ESHUTDOWN, coil_remote_wait(&remote, COIL_FOREVER));
}

TEST_F(Remote, TasksThatNobodyWaitsForAreRun)
{
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(0, coil_spawn_on(other.loop, touch(&witness)));
    coil_loop_thread_stop(&other, coil_s(10));
    is_running = false;
    EXPECT_EQ(1000, witness.cleaned_up_count);
}

/* ---------------------------------------------------------------------------------- many -- */

async(int, call_often, (coil_loop *) target, (int) count)
{
    vars(int i; int result);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->result, coil_on_loop(target, doubled(my->i)));
        if (my->result != 2 * my->i)
            return -EBADMSG;
    }
    return 0;
}

async(int, call_from_many, (coil_loop *) target, (int) task_count, (int) count)
{
    vars(coil_group callers; int i);
    open_group(&my->callers);
    for (my->i = 0; my->i < task_count; my->i++)
        spawn(&my->callers, call_often(target, count));
    attempt(coil_group_join(&my->callers));
    return 0;
}

TEST_F(Remote, ThousandsOfCallsBothWaysAtOnce)
{
    coil_remote remote;
    int there = -1;
    coil_remote_start(&remote, other.loop, &there, call_from_many(loop, 20, 100));
    EXPECT_EQ(0, RUN(call_from_many(other.loop, 20, 100)));
    while (coil_remote_wait(&remote, 0) == -ETIME) {
        coil_spawn(coil_loop_root(loop), coil_sleep(coil_ms(1)));
        run();
    }
    EXPECT_EQ(0, there);
}

/* A deadline that falls anywhere into the life of the call. */
async(int, race, (coil_loop *) target, (Random *) random, (int) count)
{
    vars(int i; int result);
    for (my->i = 0; my->i < count; my->i++) {
        await(my->result, coil_within(coil_us(static_cast<int64_t>(random->below(150))),
                                  coil_on_loop(target, doubled(my->i))));
        if (my->result != 2 * my->i && my->result != -ETIME)
            return -EBADMSG;
    }
    return 0;
}

TEST_F(Remote, CancellationsMayMeetTheirCallAnywhere)
{
    Random random = {7};
    coil_group *root = coil_loop_root(loop);
    int64_t results[8];
    for (int64_t &result : results)
        coil_spawn_result(root, &result, race(other.loop, &random, 300));
    run();
    for (int64_t result : results)
        EXPECT_EQ(0, result);
}

async(int, call_until_refused, (coil_loop *) target, (Witness *) witness)
{
    vars(int i; int result);
    for (my->i = 0;; my->i++) {
        await(my->result, coil_on_loop(target, doubled(my->i)));
        if (my->result == -ESHUTDOWN)
            return 0;
        if (my->result != 2 * my->i)
            return -EBADMSG;
        witness->begun_count++;
    }
}

TEST_F(Remote, CallsMeetTheEndOfTheirLoopAnywhere)
{
    for (int round = 0; round < 30; round++) {
        coil_loop_thread brief;
        ASSERT_EQ(0, coil_loop_thread_start(&brief, nullptr, nullptr));
        coil_remote callers[3];
        int results[3];
        for (int i = 0; i < 3; i++)
            coil_remote_start(
                    &callers[i], other.loop, &results[i], call_until_refused(brief.loop, &witness));
        std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
        coil_loop_thread_stop(&brief, 0);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(0, coil_remote_wait(&callers[i], COIL_FOREVER));
            EXPECT_EQ(0, results[i]);
        }
        coil_loop_thread_fini(&brief);
    }
}

TEST_F(Remote, AThreadsCancellationMayMeetTheEndOfTheLoop)
{
    for (int round = 0; round < 50; round++) {
        coil_loop_thread brief;
        ASSERT_EQ(0, coil_loop_thread_start(&brief, nullptr, nullptr));
        coil_remote remote;
        int result = 0;
        coil_remote_start(&remote, brief.loop, &result, sleep_long(&witness));
        std::thread canceller([&] { coil_remote_cancel(&remote); });
        coil_loop_thread_stop(&brief, 0);
        canceller.join();
        int rc = coil_remote_wait(&remote, COIL_FOREVER);
        EXPECT_TRUE(rc == -ECANCELED || rc == -ESHUTDOWN) << rc;
        coil_loop_thread_fini(&brief);
    }
    EXPECT_EQ(witness.begun_count, witness.cleaned_up_count);
}

/* ---------------------------------------------------------------------------- the thread -- */

class LoopThread : public testing::Test
{
};

TEST_F(LoopThread, StartsAndStopsInAStorm)
{
    std::vector<std::thread> owners;
    for (int n = 0; n < 3; n++) {
        owners.emplace_back([] {
            for (int i = 0; i < 20; i++) {
                coil_loop_thread thread;
                ASSERT_EQ(0, coil_loop_thread_start(&thread, nullptr, nullptr));
                coil_remote remote;
                int result = 0;
                coil_remote_start(&remote, thread.loop, &result, doubled(i));
                EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER));
                EXPECT_EQ(2 * i, result);
                coil_loop_thread_stop(&thread, 0);
                coil_loop_thread_fini(&thread);
            }
        });
    }
    for (std::thread &owner : owners)
        owner.join();
}

async(int, name_of_thread, (char *) out_name)
{
    vars();
    pthread_getname_np(pthread_self(), out_name, 16);
    await(coil_yield());
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    return sigismember(&mask, SIGINT) && sigismember(&mask, SIGUSR1) &&
           !sigismember(&mask, SIGSEGV);
}

TEST_F(LoopThread, HasItsNameAndBlocksSignalsButThoseOfFaults)
{
    coil_loop_thread_options options = {};
    options.name = "a rather long name";
    coil_loop_thread thread;
    ASSERT_EQ(0, coil_loop_thread_start(&thread, &options, nullptr));
    coil_remote remote;
    char name[16] = "";
    int blocked = 0;
    coil_remote_start(&remote, thread.loop, &blocked, name_of_thread(name));
    EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_STREQ("a rather long n", name);
    EXPECT_EQ(1, blocked);
    coil_loop_thread_stop(&thread, 0);
    coil_loop_thread_fini(&thread);
}

int refuse(coil_loop_thread *)
{
    return -ENODATA;
}

int succeed(coil_loop_thread *)
{
    return 1;
}

TEST_F(LoopThread, OnlyANegativeResultOfPrepareIsAnError)
{
    coil_loop_thread_options options = {};
    options.prepare = succeed;
    coil_loop_thread thread;
    ASSERT_EQ(0, coil_loop_thread_start(&thread, &options, nullptr));
    coil_loop_thread_stop(&thread, 0);
    coil_loop_thread_fini(&thread);
}

TEST_F(LoopThread, SaysWhyItCannotStart)
{
    coil_loop_thread_options options = {};
    char reason[COIL_REASON_BYTES] = "";
    coil_loop_thread thread;
    options.is_pinned = true;
    options.cpu = 1023;
    EXPECT_EQ(-EINVAL, coil_loop_thread_start(&thread, &options, reason));
    EXPECT_NE(nullptr, strstr(reason, "CPU 1023")) << reason;
    options.is_pinned = false;
    options.prepare = refuse;
    EXPECT_EQ(-ENODATA, coil_loop_thread_start(&thread, &options, reason));
}

TEST_F(LoopThread, TasksHaveTheGracePeriodToEndByThemselves)
{
    Witness witness;
    coil_loop_thread thread;
    ASSERT_EQ(0, coil_loop_thread_start(&thread, nullptr, nullptr));
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, thread.loop, &result, stubborn(&witness));
    coil_loop_thread_stop(&thread, coil_s(10));
    EXPECT_EQ(0, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(5, result);
    coil_loop_thread_fini(&thread);
}

TEST_F(LoopThread, StoppingItsLoopEndsItWithoutGrace)
{
    Witness witness;
    coil_loop_thread thread;
    ASSERT_EQ(0, coil_loop_thread_start(&thread, nullptr, nullptr));
    coil_remote remote;
    int result = 0;
    coil_remote_start(&remote, thread.loop, &result, sleep_long(&witness));
    while (witness.begun_count == 0)
        std::this_thread::yield();
    coil_loop_stop(thread.loop);
    EXPECT_EQ(-ESHUTDOWN, coil_remote_wait(&remote, COIL_FOREVER));
    EXPECT_EQ(1, witness.cleaned_up_count);
    coil_loop_thread_stop(&thread, coil_s(10));
    coil_loop_stop(thread.loop); /* Of a loop that has ended: nothing. */
    coil_loop_thread_fini(&thread);
}

} // namespace
