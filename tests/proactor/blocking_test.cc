/* SPDX-License-Identifier: MIT */
/* coil/blocking.h: calls that block, on threads of their own. */
#include <coil/blocking.h>

#include "stage.h"

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* Something that a blocking function waits for, and that counts who came. */
class Gate
{
public:
    void pass()
    {
        std::unique_lock<std::mutex> hold(lock);
        here_count++;
        changed.notify_all();
        changed.wait(hold, [this] { return open; });
    }

    void wait_for(int count)
    {
        std::unique_lock<std::mutex> hold(lock);
        changed.wait(hold, [this, count] { return here_count >= count; });
    }

    void set()
    {
        std::lock_guard<std::mutex> hold(lock);
        open = true;
        changed.notify_all();
    }

    int here()
    {
        std::lock_guard<std::mutex> hold(lock);
        return here_count;
    }

private:
    std::mutex lock;
    std::condition_variable changed;
    bool open = false;
    int here_count = 0;
};

struct Point {
    int64_t status;
    int64_t x;
    int64_t y;
};

/* What a function sees of the thread it runs on. */
struct Surroundings {
    pthread_t thread;
    char name[16];
    sigset_t mask;
};

std::atomic<int> creations_to_fail(0);

} // namespace

extern "C" {
int __real_pthread_create(
        pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(
        pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

int __wrap_pthread_create(
        pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    if (creations_to_fail > 0 && creations_to_fail-- > 0)
        return EAGAIN;
    return __real_pthread_create(thread, attributes, run, argument);
}
}

coil_blocking(int, sum, (int) a, (int) b)
{
    return a + b;
}

coil_blocking(int64_t, nothing_special)
{
    return INT64_C(1) << 40;
}

coil_blocking(Point, point_of, (int64_t) x, (int64_t) y)
{
    return {0, x, y};
}

coil_blocking(const char *, second_half, (const char *) text)
{
    return text + strlen(text) / 2;
}

coil_blocking_in(pool, int, look_around, (coil_blocking_pool *) pool, (Surroundings *) out)
{
    (void)pool;
    out->thread = pthread_self();
    pthread_getname_np(out->thread, out->name, sizeof(out->name));
    pthread_sigmask(SIG_BLOCK, nullptr, &out->mask);
    return 0;
}

coil_blocking_in(pool, int, pass, (coil_blocking_pool *) pool, (Gate *) gate, (int) result)
{
    (void)pool;
    gate->pass();
    return result;
}

coil_blocking_in(
        pool, int, record, (coil_blocking_pool *) pool, (std::vector<int> *) order, (int) number)
{
    (void)pool;
    order->push_back(number);
    return 0;
}

coil_blocking_in(pool, int, busy, (coil_blocking_pool *) pool, (std::atomic<int> *) now,
        (std::atomic<int> *) most)
{
    (void)pool;
    int count = ++*now;
    int before = *most;
    while (count > before && !most->compare_exchange_weak(before, count)) {
    }
    usleep(200);
    --*now;
    return 0;
}

coil_blocking_in(pool, int, until_cancelled, (coil_blocking_pool *) pool, (Gate *) gate)
{
    (void)pool;
    gate->set();
    gate->pass();
    while (!coil_blocking_is_cancelled())
        usleep(100);
    return -ECANCELED;
}

coil_blocking_detached(
        pool, int, detached_pass, (coil_blocking_pool *) pool, (Gate *) gate, (int) result)
{
    (void)pool;
    gate->pass();
    return result;
}

async(void, act, (std::function<void()> *) action)
{
    vars();
    (*action)();
}

/* Awaits, and says whether it got so far. */
async(int, pass_and_go_on, (coil_blocking_pool *) pool, (Gate *) gate, (int *) out_rc)
{
    vars();
    await(*out_rc, pass(pool, gate, 7));
    await(coil_sleep(0)); /* The cancellation takes effect here. */
    *out_rc = 1000;
    return 0;
}

/* Does not pass, but opens the gate when the pool refuses it. */
async(int, pass_until_refused, (coil_blocking_pool *) pool, (Gate *) gate)
{
    vars(int rc;);
    do
        await(my->rc, within(coil_ms(1), pass(pool, gate, 7)));
    while (my->rc == -ETIME);
    gate->set();
    return my->rc;
}

/* The deadline counts from when it runs, not from when it was spawned. */
async(int, detached_within, (coil_blocking_pool *) pool, (Gate *) gate, (coil_duration) limit)
{
    vars(int rc;);
    await(my->rc, within(limit, detached_pass(pool, gate, 7)));
    return my->rc;
}

async(int, pass_within, (coil_blocking_pool *) pool, (Gate *) gate, (coil_duration) limit)
{
    vars(int rc;);
    await(my->rc, within(limit, pass(pool, gate, 7)));
    return my->rc;
}

namespace
{

class Blocking : public Proactor
{
protected:
    ~Blocking() override
    {
        end();
        EXPECT_EQ(0, coil_blocking_pool_destroy(pool));
    }

    coil_blocking_pool *create(unsigned threads_max_count)
    {
        options.name = "lane";
        options.threads_max_count = threads_max_count;
        EXPECT_EQ(0, coil_blocking_pool_create(&options, &pool));
        return pool;
    }

    /* In the round in which the tasks run that were spawned before. */
    void at_once(std::function<void()> action)
    {
        actions.push_back(std::move(action));
        coil_spawn(coil_loop_root(loop), act(&actions.back()));
    }

    template <class Cold> coil_task *start(int64_t *out_result, Cold cold)
    {
        return coil_spawn_result(coil_loop_root(loop), out_result, cold);
    }

    coil_blocking_stats stats()
    {
        return coil_blocking_pool_stats(pool);
    }

    /* Until the condition holds, which other threads bring about. */
    template <class Condition> void wait_until(Condition condition)
    {
        while (!condition())
            usleep(200);
    }

    coil_blocking_options options = {};
    coil_blocking_pool *pool = nullptr;
    Gate gate;
};

TEST_F(Blocking, ReturnsWhatTheFunctionReturns)
{
    EXPECT_EQ(5, RUN(sum(2, 3)));
    EXPECT_EQ(-ENOENT, RUN(sum(-ENOENT, 0)));
    EXPECT_EQ(INT64_C(1) << 40, RUN(nothing_special()));
}

async(int, see_results, (Point *) out_point, (const char **) out_text)
{
    vars();
    attempt(*out_point, point_of(3, 4));
    attempt(*out_text, second_half("abcd"));
    return 0;
}

TEST_F(Blocking, MayReturnStructsAndPointers)
{
    Point point = {};
    const char *text = nullptr;
    EXPECT_EQ(0, RUN(see_results(&point, &text)));
    EXPECT_EQ(3, point.x);
    EXPECT_EQ(4, point.y);
    EXPECT_STREQ("cd", text);
}

TEST_F(Blocking, LetsTheLoopGoOnMeanwhile)
{
    int64_t result = 1;
    later(coil_ms(2), [&] {
        gate.wait_for(1);
        gate.set();
    });
    start(&result, pass(create(1), &gate, 9));
    run();
    EXPECT_EQ(9, result);
}

TEST_F(Blocking, RunsOnNamedThreadsWithoutSignals)
{
    Surroundings seen = {};
    EXPECT_EQ(0, RUN(look_around(create(4), &seen)));
    EXPECT_FALSE(pthread_equal(pthread_self(), seen.thread));
    EXPECT_STREQ("lane-0", seen.name);
    for (int signo : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGPIPE, SIGALRM, SIGRTMIN})
        EXPECT_EQ(1, sigismember(&seen.mask, signo)) << signo;
    for (int signo : {SIGSEGV, SIGBUS, SIGFPE})
        EXPECT_EQ(0, sigismember(&seen.mask, signo)) << signo;
    sigset_t ours;
    pthread_sigmask(SIG_BLOCK, nullptr, &ours);
    EXPECT_EQ(0, sigismember(&ours, SIGINT)) << "the creator's mask is as it was";
}

TEST_F(Blocking, CutsALongName)
{
    Surroundings seen = {};
    options.name = "a name that is much too long";
    options.threads_max_count = 1;
    ASSERT_EQ(0, coil_blocking_pool_create(&options, &pool));
    EXPECT_EQ(0, RUN(look_around(pool, &seen)));
    EXPECT_STREQ("a name tha-0", seen.name);
}

TEST_F(Blocking, StartsNoThreadBeforeTheFirstCall)
{
    create(4);
    EXPECT_EQ(0u, stats().thread_count);
    EXPECT_EQ(0u, stats().started_count);
}

TEST_F(Blocking, BeginsInTheOrderOfComing)
{
    std::vector<int> order;
    std::vector<int> expected;
    create(1);
    for (int i = 0; i < 200; i++) {
        expected.push_back(i);
        coil_spawn(coil_loop_root(loop), record(pool, &order, i));
    }
    run();
    EXPECT_EQ(expected, order);
    EXPECT_EQ(200u, stats().done_count);
    EXPECT_EQ(1u, stats().started_count);
}

TEST_F(Blocking, RunsAsManyAtATimeAsThereMayBeThreads)
{
    std::atomic<int> now(0);
    std::atomic<int> most(0);
    create(3);
    for (int i = 0; i < 60; i++)
        coil_spawn(coil_loop_root(loop), busy(pool, &now, &most));
    run();
    EXPECT_EQ(3, most);
    EXPECT_EQ(3u, stats().started_count);
}

TEST_F(Blocking, WithdrawsWhatIsCancelledBeforeItBegins)
{
    int64_t first = 1, second = 1, third = 1;
    create(1);
    start(&first, pass(pool, &gate, 1));
    coil_task *victim = start(&second, pass(pool, &gate, 2));
    start(&third, pass(pool, &gate, 3));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        coil_task_cancel(victim);
        coil_task_cancel(victim);
        EXPECT_EQ(1u, stats().queued_count);
        later(0, [&] {
            EXPECT_EQ(-ECANCELED, second) << "at once";
            gate.set();
        });
    });
    run();
    EXPECT_EQ(1, first);
    EXPECT_EQ(3, third);
    EXPECT_EQ(2, gate.here()) << "it never ran";
    EXPECT_EQ(1u, stats().withdrawn_count);
    EXPECT_EQ(2u, stats().done_count);
}

TEST_F(Blocking, AwaitsWhatIsCancelledWhileItRunsAndDeliversItsResult)
{
    int64_t result = 1;
    int rc = 0;
    create(1);
    coil_task *victim = start(&result, pass_and_go_on(pool, &gate, &rc));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        coil_task_cancel(victim);
    });
    later(coil_ms(3), [&] {
        EXPECT_EQ(1, result) << "still waiting";
        gate.set();
    });
    run();
    EXPECT_EQ(7, rc);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Blocking, UnwindsAtOnceIfTheFunctionGivesUpWhenAsked)
{
    int64_t result = 1;
    create(1);
    coil_task *victim = start(&result, until_cancelled(pool, &gate));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        coil_task_cancel(victim);
    });
    run();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(0u, stats().abandoned_count);
}

TEST_F(Blocking, HasADeadlineAsLongAsItHasNotBegun)
{
    int64_t first = 1, second = 1;
    create(1);
    start(&first, pass_within(pool, &gate, coil_ms(3)));
    at_once([&] { gate.wait_for(1); }); /* No time passes in between. */
    start(&second, pass_within(pool, &gate, coil_ms(3)));
    later(coil_ms(6), [&] {
        EXPECT_EQ(1, first);
        later(0, [&] {
            EXPECT_EQ(-ETIME, second);
            gate.set();
        });
    });
    run();
    EXPECT_EQ(7, first) << "late, but not lost";
    EXPECT_EQ(1, gate.here());
}

TEST_F(Blocking, IsRefusedToATaskThatIsBeingCancelled)
{
    int64_t result = 1;
    create(1);
    coil_task_cancel(start(&result, pass(pool, &gate, 1)));
    run();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(0u, stats().started_count);
}

/* ------------------------------------------------------------------------------------- jobs -- */

struct Work {
    coil_blocking_job job;
    Gate *gate;
    std::atomic<int> *freed_count;
    pthread_t *freed_by;
};

int64_t work(coil_blocking_job *job)
{
    Work *own = coil_container_of(job, Work, job);
    if (own->gate != nullptr)
        own->gate->pass();
    return 42;
}

void free_work(coil_blocking_job *job)
{
    Work *own = coil_container_of(job, Work, job);
    *own->freed_by = pthread_self();
    std::atomic<int> *freed_count = own->freed_count;
    delete own;
    ++*freed_count;
}

class Jobs : public Blocking
{
protected:
    Work *make(bool can_be_abandoned)
    {
        Work *own = new Work();
        own->job.run = work;
        own->job.name = "work";
        own->job.abandoned = can_be_abandoned ? free_work : nullptr;
        own->gate = &gate;
        own->freed_count = &freed_count;
        own->freed_by = &freed_by;
        return own;
    }

    std::atomic<int> freed_count{0};
    pthread_t freed_by = {};
};

TEST_F(Jobs, DeliverTheirResultAndCanRunAgain)
{
    Work *own = make(true);
    gate.set();
    create(2);
    for (int i = 0; i < 100; i++)
        ASSERT_EQ(42, RUN(coil_blocking_run(pool, &own->job)));
    EXPECT_EQ(0, freed_count) << "it is the caller's";
    delete own;
}

TEST_F(Jobs, RunOnTheDefaultPoolIfNoneIsSaid)
{
    Work *own = make(false);
    gate.set();
    EXPECT_EQ(42, RUN(coil_blocking_run(nullptr, &own->job)));
    EXPECT_EQ(1u, coil_blocking_pool_stats(coil_blocking_default(loop)).done_count);
    delete own;
}

TEST_F(Jobs, AreLeftAloneIfTheyCanBeAbandonedAndFreeThemselves)
{
    int64_t result = 1;
    Work *own = make(true);
    create(1);
    coil_task *victim = start(&result, coil_blocking_run(pool, &own->job));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        coil_task_cancel(victim);
        coil_task_cancel(victim);
    });
    run(); /* Does not wait for the gate. */
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(0, freed_count);
    EXPECT_EQ(1u, stats().abandoned_count);
    EXPECT_EQ(1u, stats().running_count);
    gate.set();
    wait_until([&] { return freed_count == 1; });
    EXPECT_FALSE(pthread_equal(pthread_self(), freed_by));
}

TEST_F(Jobs, AreFreedByTheTaskIfTheyAreWithdrawnOrRefused)
{
    int64_t first = 1, second = 1, third = 1;
    create(1);
    start(&first, pass(pool, &gate, 1));
    coil_task *victim = start(&second, coil_blocking_run(pool, &make(true)->job));
    coil_task_cancel(start(&third, coil_blocking_run(pool, &make(true)->job)));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        coil_task_cancel(victim);
        later(0, [&] {
            EXPECT_EQ(2, freed_count);
            gate.set();
        });
    });
    run();
    EXPECT_EQ(-ECANCELED, second);
    EXPECT_EQ(-ECANCELED, third);
    EXPECT_TRUE(pthread_equal(pthread_self(), freed_by));
}

TEST_F(Jobs, DetachedFunctionsWorkOnACopy)
{
    int64_t result = 1;
    create(2);
    start(&result, detached_within(pool, &gate, coil_ms(2)));
    at_once([&] { gate.wait_for(1); });
    run();
    EXPECT_EQ(-ETIME, result);
    EXPECT_EQ(1u, stats().abandoned_count);
    gate.set();
    EXPECT_EQ(3, RUN(detached_pass(pool, &gate, 3)));
    int64_t refused = 1;
    coil_task_cancel(start(&refused, detached_pass(pool, &gate, 3)));
    run();
    EXPECT_EQ(-ECANCELED, refused);
}

/* -------------------------------------------------------------------------------- the queue -- */

TEST_F(Blocking, MakesThoseWaitThatFindTheQueueFull)
{
    create(1);
    EXPECT_EQ(0, coil_blocking_pool_destroy(pool));
    options.queue_max_count = 2;
    create(1);
    std::vector<int64_t> results(5, 1);
    for (int i = 0; i < 5; i++)
        start(&results[static_cast<size_t>(i)], pass(pool, &gate, i));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        EXPECT_EQ(2u, stats().queued_count);
        EXPECT_EQ(2u, stats().waiting_count);
        gate.set();
    });
    run();
    EXPECT_EQ((std::vector<int64_t>{0, 1, 2, 3, 4}), results);
    EXPECT_EQ(0u, stats().refused_count);
}

TEST_F(Blocking, RefusesThemIfItIsToldSo)
{
    options.queue_max_count = 2;
    options.refuse_when_full = true;
    create(1);
    std::vector<int64_t> results(5, 1);
    start(&results[0], pass(pool, &gate, 0));
    later(coil_ms(1), [&] {
        gate.wait_for(1); /* It runs, and the queue is empty. */
        for (size_t i = 1; i < 5; i++)
            start(&results[i], pass(pool, &gate, static_cast<int>(i)));
        later(0, [&] { gate.set(); });
    });
    run();
    EXPECT_EQ((std::vector<int64_t>{0, 1, 2, -EAGAIN, -EAGAIN}), results);
    EXPECT_EQ(2u, stats().refused_count);
}

/* ---------------------------------------------------------------------------------- threads -- */

TEST_F(Blocking, LetsIdleThreadsEndButKeepsTheMinimum)
{
    options.threads_min_count = 1;
    options.idle_limit = coil_ms(2);
    create(4);
    for (int i = 0; i < 4; i++)
        coil_spawn(coil_loop_root(loop), pass(pool, &gate, 0));
    later(coil_ms(1), [&] {
        gate.wait_for(4);
        gate.set();
    });
    run();
    EXPECT_EQ(4u, stats().started_count);
    wait_until([&] { return stats().thread_count == 1; });
    usleep(5000);
    EXPECT_EQ(1u, stats().thread_count);
    EXPECT_EQ(1u, stats().idle_count);
}

TEST_F(Blocking, StartsThreadsAnewWhenAllHaveEnded)
{
    options.idle_limit = coil_us(100);
    create(2);
    Surroundings seen = {};
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(0, RUN(look_around(pool, &seen)));
        EXPECT_STREQ("lane-0", seen.name);
        wait_until([&] { return stats().thread_count == 0; });
    }
    EXPECT_EQ(5u, stats().started_count);
}

TEST_F(Blocking, FailsIfNoThreadCanBeStarted)
{
    create(2);
    creations_to_fail = 1;
    EXPECT_EQ(-EAGAIN, RUN(pass(pool, &gate, 1)));
    EXPECT_EQ(1u, stats().unstarted_count);
    EXPECT_EQ(0u, stats().queued_count);
    gate.set();
    EXPECT_EQ(1, RUN(pass(pool, &gate, 1))) << "and recovers";
}

TEST_F(Blocking, MakesDoWithTheThreadsItHas)
{
    create(4);
    std::vector<int64_t> results(4, -1);
    start(&results[0], pass(pool, &gate, 0));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        creations_to_fail = 3;
        for (size_t i = 1; i < 4; i++)
            start(&results[i], pass(pool, &gate, static_cast<int>(i)));
        later(0, [&] { gate.set(); });
    });
    run();
    EXPECT_EQ((std::vector<int64_t>{0, 1, 2, 3}), results);
    EXPECT_EQ(3u, stats().unstarted_count);
    EXPECT_EQ(1u, stats().started_count);
}

TEST_F(Blocking, FailsWithAStackThatCannotBe)
{
    options.stack_bytes = size_t{1} << 46;
    create(1);
    EXPECT_GT(0, RUN(pass(pool, &gate, 1)));
    EXPECT_EQ(0u, stats().thread_count);
}

TEST_F(Blocking, RefusesOptionsThatCannotBe)
{
    options.threads_max_count = COIL_BLOCKING_THREADS_MAX + 1;
    EXPECT_EQ(-EINVAL, coil_blocking_pool_create(&options, &pool));
    options.threads_max_count = 2;
    options.threads_min_count = 3;
    EXPECT_EQ(-EINVAL, coil_blocking_pool_create(&options, &pool));
    EXPECT_EQ(-EINVAL, coil_blocking_configure(&options));
    EXPECT_EQ(nullptr, pool);
}

/* ---------------------------------------------------------------------------------- the end -- */

std::string report_of(coil_blocking_pool *pool)
{
    char *text = nullptr;
    size_t size_bytes = 0;
    FILE *memory = open_memstream(&text, &size_bytes);
    coil_blocking_pool_report(pool, memory);
    fclose(memory);
    std::string report(text);
    free(text);
    return report;
}

TEST_F(Blocking, ReportsWhatRuns)
{
    create(2);
    EXPECT_EQ("", report_of(pool));
    coil_spawn(coil_loop_root(loop), pass(pool, &gate, 0));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        EXPECT_EQ(0u, report_of(pool).find("lane-0: pass, for ")) << report_of(pool);
        gate.set();
    });
    run();
    EXPECT_EQ("", report_of(pool));
}

TEST_F(Blocking, EndsOnlyWhenEverythingHasRun)
{
    std::vector<int64_t> results(3, 1);
    create(1);
    for (int i = 0; i < 3; i++)
        start(&results[static_cast<size_t>(i)], pass(pool, &gate, i));
    std::thread ender([&] {
        gate.wait_for(1);
        while (coil_blocking_pool_stats(pool).queued_count < 2)
            usleep(100); /* All three have been asked for. */
        std::thread opener([&] {
            usleep(2000);
            gate.set();
        });
        EXPECT_EQ(0, coil_blocking_pool_destroy(std::exchange(pool, nullptr)));
        opener.join();
    });
    run();
    ender.join();
    EXPECT_EQ((std::vector<int64_t>{0, 1, 2}), results);
}

TEST_F(Blocking, RefusesNewCallsWhileItEnds)
{
    int64_t first = 1, second = 1;
    create(1);
    coil_blocking_pool *ending = pool;
    start(&first, pass(pool, &gate, 1));
    std::thread ender;
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        ender = std::thread([&] { EXPECT_EQ(0, coil_blocking_pool_destroy(pool)); });
    });
    start(&second, pass_until_refused(ending, &gate));
    run();
    ender.join();
    pool = nullptr;
    EXPECT_EQ(1, first);
    EXPECT_EQ(-ESHUTDOWN, second);
}

TEST_F(Blocking, NamesWhatIsStuckAtTheEndAndLeavesItBehind)
{
    int64_t first = 1, second = 1;
    options.grace = coil_ms(5);
    create(1);
    start(&first, pass(pool, &gate, 1));
    start(&second, pass(pool, &gate, 2));
    std::string said;
    std::thread ender([&] {
        gate.wait_for(1);
        testing::internal::CaptureStderr();
        EXPECT_EQ(-ETIME, coil_blocking_pool_destroy(std::exchange(pool, nullptr)));
        said = testing::internal::GetCapturedStderr();
        gate.set();
    });
    run();
    ender.join();
    EXPECT_EQ(0u, said.find("coil: still blocked at the end, left behind: lane-0: pass, for "))
            << said;
    EXPECT_EQ(1, first) << "still delivered";
    EXPECT_EQ(-ESHUTDOWN, second);
    usleep(5000); /* The thread goes, with the pool. */
}

TEST_F(Jobs, ThatAreAbandonedDoNotKeepTheProcessFromEnding)
{
    int64_t result = 1;
    options.grace = coil_ms(5);
    options.name = "common";
    ASSERT_EQ(0, coil_blocking_configure(&options));
    coil_task *victim = start(&result, coil_blocking_run(nullptr, &make(true)->job));
    later(coil_ms(1), [&] {
        gate.wait_for(1);
        coil_task_cancel(victim);
    });
    run();
    testing::internal::CaptureStderr();
    end();
    std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(std::string::npos, said.find("common-0: work, for ")) << said;
    gate.set();
    wait_until([&] { return freed_count == 1; });
    usleep(2000);
    EXPECT_EQ(0, coil_blocking_configure(nullptr));
}

TEST_F(Blocking, SharesTheDefaultPoolAmongLoops)
{
    EXPECT_EQ(5, RUN(sum(2, 3)));
    EXPECT_EQ(-EBUSY, coil_blocking_configure(nullptr));
    coil_blocking_pool *common = coil_blocking_default(loop);
    std::thread other([&] {
        coil_loop *own = nullptr;
        ASSERT_EQ(0, coil_loop_create(&own, nullptr));
        EXPECT_EQ(common, coil_blocking_default(own));
        coil_loop_destroy(own);
    });
    other.join();
    EXPECT_EQ(6, RUN(sum(3, 3))) << "the first loop still uses it";
    end();
    EXPECT_EQ(0, coil_blocking_configure(nullptr)) << "it is gone";
}

struct LastMessage {
    coil_post post;
    coil_loop *loop;
    int result;
};

async(int, adds_at_its_end, (LastMessage *) message)
{
    vars();
    defer(await(message->result, sum(2, 3)));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

TEST_F(Blocking, GivesTheDefaultPoolBackAlsoIfTheLastMessageUsesIt)
{
    LastMessage message = {};
    message.loop = loop;
    message.post.run = [](coil_post *post) {
        LastMessage *self = coil_container_of(post, LastMessage, post);
        coil_spawn(coil_loop_root(self->loop), adds_at_its_end(self));
    };
    EXPECT_EQ(0, coil_loop_post(loop, &message.post)); /* It runs when the loop ends. */
    end();
    EXPECT_EQ(5, message.result);
    EXPECT_EQ(0, coil_blocking_configure(nullptr)) << "nobody uses it any more";
}

/* A thread that is idle here is none there. */
TEST_F(Blocking, AForkedChildHasThreadsOfItsOwn)
{
    if (COIL_TESTS_TSAN)
        GTEST_SKIP() << "ThreadSanitizer has no threads in a forked child";
    EXPECT_EQ(5, RUN(sum(2, 3)));
    wait_until(
            [&] { return coil_blocking_pool_stats(coil_blocking_default(loop)).idle_count == 1; });
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(5);
        coil_loop *own = nullptr;
        if (coil_blocking_configure(nullptr) < 0 || coil_loop_create(&own, nullptr) < 0)
            _exit(1);
        if (coil_loop_run_until(own, sum(3, 4)) != 7)
            _exit(2);
        coil_loop_destroy(own);
        _exit(coil_blocking_configure(nullptr) == 0 ? 0 : 3);
    }
    int status = -1;
    EXPECT_EQ(pid, waitpid(pid, &status, 0));
    EXPECT_EQ(0, status);
    EXPECT_EQ(6, RUN(sum(3, 3)));
}

/* ------------------------------------------------------------------------------------ chaos -- */

struct Tally {
    std::atomic<int> ran{0};
    std::atomic<int> delivered{0};
    std::atomic<int> late{0};
    std::atomic<int> made{0};     /* Errands. Each is either */
    std::atomic<int> freed{0};    /* freed by its hook, */
    std::atomic<int> returned{0}; /* or the caller's again. */
};

struct Errand {
    coil_blocking_job job;
    Tally *tally;
    unsigned us;
};

int64_t run_errand(coil_blocking_job *job)
{
    Errand *errand = coil_container_of(job, Errand, job);
    errand->tally->ran++;
    if (errand->us > 0)
        usleep(errand->us);
    return 1;
}

void free_errand(coil_blocking_job *job)
{
    Errand *errand = coil_container_of(job, Errand, job);
    errand->tally->freed++;
    free(errand);
}

Errand *make_errand(Tally *tally, Random *random)
{
    Errand *errand = static_cast<Errand *>(calloc(1, sizeof(Errand)));
    errand->job.run = run_errand;
    errand->job.abandoned = free_errand;
    errand->tally = tally;
    tally->made++;
    errand->us = static_cast<unsigned>(random->below(300));
    return errand;
}

struct Runner {
    coil_blocking_pool *pool;
    Tally *tally;
    Random random;
    int task_count;
    int round_count;
};

} // namespace

coil_blocking_in(runner->pool, int, typed_errand, (Runner *) runner, (Tally *) tally, (unsigned) us)
{
    (void)runner;
    tally->ran++;
    if (us > 0)
        usleep(us);
    return 1;
}

static void tally_up(Tally *tally, int64_t rc)
{
    (rc == -ETIME ? tally->late : tally->delivered)++;
}

static void return_errand(Errand *errand)
{
    errand->tally->returned++;
    free(errand);
}

async(int, run_errands, (Runner *) runner, (coil_task **) self)
{
    vars(int i; int64_t rc; Errand *errand;);
    defer(*self = nullptr);
    for (my->i = 0; my->i < runner->round_count; my->i++) {
        if (runner->random.below(2) == 0) {
            my->errand = make_errand(runner->tally, &runner->random);
            await(my->rc, within(coil_us(static_cast<int64_t>(runner->random.below(2000))),
                                  coil_blocking_run(runner->pool, &my->errand->job)));
            if (my->rc != -ETIME)
                return_errand(my->errand);
        } else {
            await(my->rc, within(coil_us(static_cast<int64_t>(runner->random.below(2000))),
                                  typed_errand(runner, runner->tally,
                                          static_cast<unsigned>(runner->random.below(300)))));
        }
        tally_up(runner->tally, my->rc);
    }
    return 0;
}

async(int, cancel_some, (Runner *) runner, (coil_task **) victims)
{
    vars(int i;);
    for (my->i = 0; my->i < runner->task_count; my->i += 3) {
        await(coil_sleep(coil_us(static_cast<int64_t>(runner->random.below(1000)))));
        if (victims[my->i] != nullptr)
            coil_task_cancel(victims[my->i]);
    }
    return 0;
}

async(int, runner_main, (Runner *) runner, (coil_task **) victims)
{
    vars(coil_group group; int i;);
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < runner->task_count; my->i++)
        victims[my->i] = spawn(&my->group, run_errands(runner, &victims[my->i]));
    spawn(&my->group, cancel_some(runner, victims));
    ignore(coil_group_join(&my->group));
    return 0;
}

namespace
{

/*
 * The loop of another thread. In turns: the kernel gives the ring of a new loop the addresses of
 * one that has been destroyed, and the thread sanitizer does not see that this is an order.
 */
std::mutex loop_turns;

coil_loop *create_loop()
{
    std::lock_guard<std::mutex> hold(loop_turns);
    coil_loop *own = nullptr;
    EXPECT_EQ(0, coil_loop_create(&own, nullptr));
    return own;
}

void destroy_loop(coil_loop *own)
{
    std::lock_guard<std::mutex> hold(loop_turns);
    coil_loop_destroy(own);
}

void run_runner(Runner *runner)
{
    coil_loop *own = create_loop();
    std::vector<coil_task *> victims(static_cast<size_t>(runner->task_count));
    coil_spawn(coil_loop_root(own), runner_main(runner, victims.data()));
    (void)coil_loop_run(own);
    destroy_loop(own);
}

class BlockingChaos : public testing::TestWithParam<int>
{
};

TEST_P(BlockingChaos, LosesNothingAmongManyLoops)
{
    Random random = {static_cast<uint64_t>(GetParam()) * 0x9e3779b97f4a7c15u + 1};
    coil_blocking_options options = {};
    coil_blocking_pool *pool = nullptr;
    Tally tally;
    options.threads_max_count = 1 + static_cast<unsigned>(random.below(6));
    options.idle_limit = coil_us(static_cast<int64_t>(1 + random.below(500)));
    ASSERT_EQ(0, coil_blocking_pool_create(&options, &pool));

    std::deque<Runner> runners;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
        runners.push_back({pool, &tally, {random.next()}, 12, 15});
        threads.emplace_back(run_runner, &runners.back());
    }
    for (std::thread &thread : threads)
        thread.join();

    coil_blocking_stats stats = coil_blocking_pool_stats(pool);
    EXPECT_EQ(0u, stats.queued_count + stats.waiting_count);
    while (coil_blocking_pool_stats(pool).running_count > 0)
        usleep(100); /* What was abandoned. */
    stats = coil_blocking_pool_stats(pool);
    EXPECT_EQ(stats.done_count, static_cast<uint64_t>(tally.ran));
    ASSERT_EQ(0, coil_blocking_pool_destroy(pool));
    EXPECT_EQ(tally.made, tally.freed + tally.returned);
    EXPECT_LE(tally.delivered, tally.ran) << "what was delivered has run";
    RecordProperty("ran", tally.ran);
    RecordProperty("late", tally.late);
}

INSTANTIATE_TEST_SUITE_P(Seed, BlockingChaos, testing::Range(1, 9));

} // namespace
