/* SPDX-License-Identifier: MIT */
/* Programs of several threads, which are fibers of one. */
#include "sim_stage.h"

#include <coil/sugar.h>

namespace
{

/* -------------------------------------------------------------------- two loops, two threads -- */

async(int, answers, (coil_thread_event *) asked, (coil_thread_event *) answered, (int) count)
{
    vars(int i);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_thread_event_wait(asked));
        coil_thread_event_clear(asked);
        coil_thread_event_set(answered);
    }
    return count;
}

async(int, plays)
{
    vars(coil_loop_thread thread; coil_thread_event asked; coil_thread_event answered; int i;
            int rc; coil_group group);
    coil_thread_event_init(&my->asked);
    coil_thread_event_init(&my->answered);
    my->rc = coil_loop_thread_start(&my->thread, NULL, NULL);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_loop_thread_stop(&my->thread, coil_s(1));
        coil_loop_thread_fini(&my->thread);
        coil_thread_event_fini(&my->asked);
        coil_thread_event_fini(&my->answered);
    });
    open_group(&my->group);
    spawn(&my->group, coil_on_loop(my->thread.loop, answers(&my->asked, &my->answered, 20)));
    for (my->i = 0; my->i < 20; my->i++) {
        coil_thread_event_set(&my->asked);
        attempt(coil_thread_event_wait(&my->answered));
        coil_thread_event_clear(&my->answered);
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

int ping_pong(int, char **)
{
    return (int)coil_run(plays());
}

TEST(SimThread, TwoLoopsPlayPingPong)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        World world(seed, seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY);
        ASSERT_EQ(0, world.run(ping_pong)) << seed;
    }
}

/* ---------------------------------------------------------------------------- blocking calls -- */

coil_blocking(int, doubled, (int) number)
{
    const coil_time end = coil_kernel_now() + coil_us(50);
    while (coil_kernel_now() < end) {
    }
    return 2 * number;
}

async(int, doubles_in_threads)
{
    vars(int sum; int i; int result);
    for (my->i = 1; my->i <= 10; my->i++) {
        await(my->result, doubled(my->i));
        if (my->result < 0)
            return my->result;
        my->sum += my->result;
    }
    return my->sum;
}

int blocking(int, char **)
{
    return (int)coil_run(doubles_in_threads());
}

TEST(SimThread, BlockingCallsRunOnThreadsOfTheirOwn)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed, seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY);
        ASSERT_EQ(110, world.run(blocking)) << seed;
    }
}

/* ----------------------------------------------------------------------------- plain threads -- */

struct counter {
    coil_kernel_thread thread;
    pthread_mutex_t *mutex;
    int *count;
};

void count_up(coil_kernel_thread *thread)
{
    const counter *self = coil_container_of(thread, counter, thread);
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(self->mutex);
        const int before = *self->count;
        (void)coil_kernel_now(); /* Others may run here, and find the mutex locked. */
        *self->count = before + 1;
        pthread_mutex_unlock(self->mutex);
    }
}

int counting(int, char **)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int count = 0;
    counter counters[4];
    for (counter &each : counters) {
        each = counter{{count_up, "counter", 0, 0}, &mutex, &count};
        if (coil_kernel_thread_start(&each.thread) < 0)
            return 1;
    }
    for (counter &each : counters)
        coil_kernel_thread_join(&each.thread);
    return count == 400 ? 0 : 2;
}

TEST(SimThread, MutexesHoldThoughEveryCallMayLetOthersRun)
{
    World world;
    EXPECT_EQ(0, world.run(counting));
}

COIL_THREAD_LOCAL int mine = 5;

void set_mine(coil_kernel_thread *thread)
{
    (void)thread;
    mine += 2;
}

int locals(int, char **)
{
    coil_kernel_thread thread = {set_mine, nullptr, 0, 0};
    mine = 6;
    errno = 77;
    if (coil_kernel_thread_start(&thread) < 0)
        return 1;
    coil_kernel_thread_join(&thread);
    return mine == 6 && errno == 77 ? 0 : 2;
}

TEST(SimThread, EachHasItsOwnVariablesAndErrno)
{
    World world;
    EXPECT_EQ(0, world.run(locals));
    EXPECT_EQ(5, mine);
}

} // namespace
