/* SPDX-License-Identifier: MIT */
#include <coil/thread_event.h>

#include "thread_world.h"

#include <atomic>

#include <coil/sugar.h>

async(int, wait_and_go_on, (coil_thread_event *) event, (int *) out_rc)
{
    vars();
    await(*out_rc, coil_thread_event_wait(event));
    await(coil_sleep(0));
    *out_rc = 1000;
    return 0;
}

async(int, wait_within, (coil_thread_event *) event, (coil_duration) limit)
{
    vars(int rc;);
    await(my->rc, within(limit, coil_thread_event_wait(event)));
    return my->rc;
}

async(int, block_in_a_coroutine, (coil_thread_event *) event)
{
    vars();
    return coil_thread_event_wait_blocking(event, 0);
}

/* Each waits until it is his turn. */
async(int, take_turns, (coil_thread_event *) mine, (coil_thread_event *) other, (int) count)
{
    vars(int i;);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_thread_event_wait(mine));
        coil_thread_event_clear(mine);
        coil_thread_event_set(other);
    }
    return my->i;
}

namespace
{

class ThreadEvent : public ThreadWorld
{
protected:
    ThreadEvent()
    {
        coil_thread_event_init(&event);
    }

    ~ThreadEvent() override
    {
        coil_thread_event_fini(&event);
    }

    size_t waiter_count()
    {
        return waiting(&event.lock, event.waiters);
    }

    coil_thread_event event;
};

TEST_F(ThreadEvent, MakesNobodyWaitWhileItIsSet)
{
    int64_t result = 1;
    EXPECT_FALSE(coil_thread_event_is_set(&event));
    coil_thread_event_set(&event);
    coil_thread_event_set(&event);
    EXPECT_TRUE(coil_thread_event_is_set(&event));
    EXPECT_EQ(0, coil_thread_event_wait_blocking(&event, 0));
    start(&result, coil_thread_event_wait(&event));
    run();
    EXPECT_EQ(0, result);
}

TEST_F(ThreadEvent, WakesTasksAndThreadsEvenIfItIsClearedAtOnce)
{
    std::vector<int64_t> results(3, 1);
    std::atomic<int> rc(1);
    for (int64_t &result : results)
        start(&result, coil_thread_event_wait(&event));
    std::thread waiter([&] { rc = coil_thread_event_wait_blocking(&event, COIL_FOREVER); });
    std::thread setter([&] {
        while (waiter_count() < 4)
            usleep(100);
        coil_thread_event_set(&event);
        coil_thread_event_clear(&event);
    });
    run();
    waiter.join();
    setter.join();
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<int64_t>{0, 0, 0}), results);
}

TEST_F(ThreadEvent, IsWaitedForUntilTheDeadlineAndNotLonger)
{
    int64_t result = 1;
    start(&result, wait_within(&event, coil_ms(1)));
    run();
    EXPECT_EQ(-ETIME, result);
    EXPECT_EQ(-ETIME, coil_thread_event_wait_blocking(&event, coil_ms(1)));
    EXPECT_EQ(-ETIME, coil_thread_event_wait_blocking(&event, 0));
    EXPECT_EQ(-ETIME, coil_thread_event_wait_blocking(&event, -1));
    EXPECT_EQ(0u, waiter_count());
}

TEST_F(ThreadEvent, IsDeliveredIfItWasSetBeforeTheCancellation)
{
    int64_t result = 1;
    int rc = 1;
    coil_task *victim = start(&result, wait_and_go_on(&event, &rc));
    later(coil_ms(1), [&] {
        elsewhere([&] { coil_thread_event_set(&event); }); /* Its message is on its way, */
        coil_task_cancel(victim);
    });
    run();
    EXPECT_EQ(0, rc);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(ThreadEvent, ForgetsAWaiterThatIsCancelledFirst)
{
    int64_t result = 1;
    int rc = 1;
    coil_task *victim = start(&result, wait_and_go_on(&event, &rc));
    later(coil_ms(1), [&] {
        coil_task_cancel(victim);
        coil_task_cancel(victim);
        elsewhere([&] { coil_thread_event_set(&event); });
    });
    run();
    EXPECT_EQ(1, rc);
    EXPECT_EQ(-ECANCELED, result);
}

/* Whoever waited may end it, though the setter is still inside of coil_thread_event_set(). */
TEST_F(ThreadEvent, MayEndAsSoonAsTheWaitHasComeBack)
{
    for (int i = 0; i < 300; i++) {
        coil_thread_event *own = new coil_thread_event;
        coil_thread_event_init(own);
        std::thread setter([own] { coil_thread_event_set(own); });
        if (i % 2 == 0) {
            EXPECT_EQ(0, coil_thread_event_wait_blocking(own, COIL_FOREVER));
        } else {
            int64_t result = 1;
            start(&result, coil_thread_event_wait(own));
            run();
            EXPECT_EQ(0, result);
        }
        coil_thread_event_fini(own);
        setter.join();
        delete own;
    }
}

TEST_F(ThreadEvent, LoopsOfTwoThreadsTakeTurns)
{
    coil_thread_event other;
    coil_thread_event_init(&other);
    std::atomic<int64_t> theirs(0);
    int64_t ours = 0;
    std::thread thread([&] {
        coil_loop *own = create_loop();
        int64_t result = 0;
        coil_spawn_result(coil_loop_root(own), &result, take_turns(&other, &event, 500));
        (void)coil_loop_run(own);
        destroy_loop(own);
        theirs = result;
    });
    start(&ours, take_turns(&event, &other, 500));
    coil_thread_event_set(&event);
    run();
    thread.join();
    EXPECT_EQ(500, ours);
    EXPECT_EQ(500, theirs);
    coil_thread_event_fini(&other);
}

using ThreadEventDeath = ThreadEvent;

TEST_F(ThreadEventDeath, BlockingTheThreadOfALoopIsAProgrammingError)
{
    EXPECT_DEATH(
            {
                coil_loop *own = create_loop(); /* That of the parent cannot run here. */
                coil_spawn(coil_loop_root(own), block_in_a_coroutine(&event));
                (void)coil_loop_run(own);
            },
            "coil_loop_current");
}

} // namespace
