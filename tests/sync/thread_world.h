/* SPDX-License-Identifier: MIT */
/* thread_world.h - a loop on this thread, to be shared with others; and seeds. */
#ifndef COIL_TESTS_SYNC_THREAD_WORLD_H
#define COIL_TESTS_SYNC_THREAD_WORLD_H

#include <coil/loop.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
#include <unistd.h>

/* How many wait in a list that `lock` guards. */
inline size_t waiting(pthread_mutex_t *lock, const coil_list &list)
{
    size_t count = 0;
    pthread_mutex_lock(lock);
    for (const coil_list *link = list.next; link != &list; link = link->next)
        count++;
    pthread_mutex_unlock(lock);
    return count;
}

/* xorshift */
struct Random {
    uint64_t state;

    uint64_t below(uint64_t limit)
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % limit;
    }
};

/*
 * The loop of another thread. In turns: the kernel gives the ring of a new loop the addresses of
 * one that has been destroyed, and the thread sanitizer does not see that this is an order.
 */
inline std::mutex loop_turns;

inline coil_loop *create_loop()
{
    std::lock_guard<std::mutex> hold(loop_turns);
    coil_loop *loop = nullptr;
    EXPECT_EQ(0, coil_loop_create(&loop, nullptr));
    return loop;
}

inline void destroy_loop(coil_loop *loop)
{
    std::lock_guard<std::mutex> hold(loop_turns);
    coil_loop_destroy(loop);
}

coil_async(void, act_after, (coil_duration) delay, (std::function<void()> *) action)
{
    coil_vars();
    coil_await(coil_sleep(delay));
    (*action)();
}

class ThreadWorld : public testing::Test
{
protected:
    ThreadWorld()
    {
        alarm(30); /* Less than the patience of ctest, so that the test that hangs is named. */
        loop = create_loop();
        coil_loop_root(loop)->keep_going = true;
    }

    ~ThreadWorld() override
    {
        destroy_loop(loop);
        alarm(0);
    }

    void run()
    {
        EXPECT_EQ(0, coil_loop_run(loop));
    }

    /* On the thread of the loop, while it runs. */
    void later(coil_duration delay, std::function<void()> action)
    {
        actions.push_back(std::move(action));
        coil_spawn(coil_loop_root(loop), act_after(delay, &actions.back()));
    }

    template <class Cold> coil_task *start(int64_t *out_result, Cold cold)
    {
        return coil_spawn_result(coil_loop_root(loop), out_result, cold);
    }

    /* On a thread of its own, to its end. */
    template <class Action> static void elsewhere(Action action)
    {
        std::thread thread(action);
        thread.join();
    }

    coil_loop *loop = nullptr;
    std::deque<std::function<void()>> actions;
};

#endif
