/* SPDX-License-Identifier: MIT */
/* coil/runtime.h: the same program on several loops, its errors, its signals and its end. */
#include "stage.h"

#include <coil/listener.h>
#include <coil/runtime.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

struct Shared {
    std::atomic<int> begun_count{0};
    std::atomic<int> ended_count{0};
    std::atomic<int> touched_count{0};
    std::atomic<int> served_count{0};
    std::atomic<int> begun_late_count{0};
    std::atomic<int> port{0};
    int failing_index = -1;
};

Shared *shared_by_all; /* For those who are started by coil_runtime_run(), which has no argument. */

async(int, wait_for_the_end, (coil_worker *) worker)
{
    vars(Shared *shared);
    my->shared = static_cast<Shared *>(worker->argument);
    my->shared->begun_count++;
    defer(my->shared->ended_count++);
    if (static_cast<int>(worker->index) == my->shared->failing_index)
        return -EIO;
    await(coil_shutdown_requested());
    return 0;
}

async(int, hang, (coil_worker *) worker)
{
    vars();
    static_cast<Shared *>(worker->argument)->begun_count++;
    defer(static_cast<Shared *>(worker->argument)->ended_count++);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(int, touch, (Shared *) shared)
{
    vars();
    await(coil_yield());
    shared->touched_count++;
    return 1;
}

/* Each calls all others. */
async(int, call_around, (coil_worker *) worker)
{
    vars(unsigned i; int round; int result);
    for (my->round = 0; my->round < 100; my->round++) {
        for (my->i = 0; my->i < coil_runtime_count(worker->runtime); my->i++)
            attempt(my->result, coil_on_loop(coil_runtime_loop(worker->runtime, my->i),
                                        touch(static_cast<Shared *>(worker->argument))));
    }
    return 0;
}

class Runtime : public testing::Test
{
protected:
    Runtime()
    {
        alarm(30);
        shared_by_all = &shared;
        options.loop_count = 3;
        options.argument = &shared;
    }

    ~Runtime() override
    {
        coil_runtime_destroy(runtime);
        alarm(0);
    }

    void create(coil_handler main)
    {
        char reason[COIL_REASON_BYTES] = "";
        options.main = main;
        ASSERT_EQ(0, coil_runtime_create(&options, &runtime, reason)) << reason;
    }

    void await_begun(int count)
    {
        while (shared.begun_count < count)
            std::this_thread::yield();
    }

    coil_runtime_options options = {};
    coil_runtime *runtime = nullptr;
    Shared shared;
};

TEST_F(Runtime, RunsMainOnEveryLoopAndStopsGracefully)
{
    create(coil_handler(wait_for_the_end, coil_worker *));
    await_begun(3);
    coil_runtime_stop(runtime, coil_s(10));
    EXPECT_EQ(0, coil_runtime_join(runtime));
    EXPECT_EQ(3, shared.ended_count);
}

TEST_F(Runtime, AMainThatFailsStopsTheOthers)
{
    shared.failing_index = 1;
    create(coil_handler(wait_for_the_end, coil_worker *));
    EXPECT_EQ(-EIO, coil_runtime_join(runtime));
    EXPECT_EQ(shared.begun_count, shared.ended_count) << "a late one may not have begun";
}

async(int, fails_or_notes_when_it_began, (coil_worker *) worker)
{
    vars();
    if (worker->index == 0)
        return -EIO;
    if (coil_shutdown_of(worker->loop)->is_requested)
        static_cast<Shared *>(worker->argument)->begun_late_count++;
    return 0;
}

TEST_F(Runtime, AMainThatHasNotBegunWhenAnotherFailsNeverDoes)
{
    for (int i = 0; i < 100; i++) {
        create(coil_handler(fails_or_notes_when_it_began, coil_worker *));
        EXPECT_EQ(-EIO, coil_runtime_join(runtime));
        coil_runtime_destroy(runtime);
        runtime = nullptr;
    }
    EXPECT_EQ(0, shared.begun_late_count);
}

TEST_F(Runtime, AMainThatHangsIsCancelledWhenTheGracePeriodIsOver)
{
    create(coil_handler(hang, coil_worker *));
    coil_runtime_stop(runtime, coil_ms(10));
    EXPECT_EQ(0, coil_runtime_join(runtime));
    EXPECT_EQ(3, shared.ended_count);
}

TEST_F(Runtime, ASecondStopEndsThePatience)
{
    create(coil_handler(hang, coil_worker *));
    coil_runtime_stop(runtime, coil_s(1000));
    coil_runtime_stop(runtime, coil_s(1000));
    coil_runtime_stop(runtime, coil_s(1000));
    EXPECT_EQ(0, coil_runtime_join(runtime));
    EXPECT_EQ(3, shared.ended_count);
}

TEST_F(Runtime, LoopsCallEachOtherUntilAllMainsHaveEnded)
{
    create(coil_handler(call_around, coil_worker *));
    EXPECT_EQ(0, coil_runtime_join(runtime));
    EXPECT_EQ(900, shared.touched_count);
}

TEST_F(Runtime, WithoutAMainItRunsUntilItIsStopped)
{
    create({});
    for (int i = 0; i < 300; i++)
        EXPECT_EQ(0, coil_spawn_on(coil_runtime_next(runtime), touch(&shared)));
    for (int i = 0; i < 300; i++)
        EXPECT_EQ(0, coil_spawn_on(coil_runtime_least_busy(runtime), touch(&shared)));
    coil_runtime_stop(runtime, coil_s(10));
    EXPECT_EQ(0, coil_runtime_join(runtime));
    EXPECT_EQ(600, shared.touched_count);
    EXPECT_EQ(-ESHUTDOWN, coil_spawn_on(coil_runtime_next(runtime), touch(&shared)));
}

TEST_F(Runtime, TheLeastBusyLoopIsChosen)
{
    create({});
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(0, coil_spawn_on(coil_runtime_loop(runtime, 0), coil_sleep(COIL_FOREVER)));
    while (__atomic_load_n(&coil_runtime_loop(runtime, 0)->load, __ATOMIC_RELAXED) < 10)
        std::this_thread::yield();
    for (int i = 0; i < 9; i++)
        EXPECT_NE(coil_runtime_loop(runtime, 0), coil_runtime_least_busy(runtime));
    coil_runtime_stop(runtime, 0);
    EXPECT_EQ(0, coil_runtime_join(runtime));
}

TEST_F(Runtime, StartsAndStopsInAStorm)
{
    for (int i = 0; i < 30; i++) {
        create(coil_handler(hang, coil_worker *));
        std::thread impatient([this] { coil_runtime_stop(runtime, 0); });
        coil_runtime_stop(runtime, coil_s(1000));
        impatient.join();
        EXPECT_EQ(0, coil_runtime_join(runtime));
        coil_runtime_destroy(runtime);
        runtime = nullptr;
    }
    EXPECT_EQ(90, shared.ended_count);
}

TEST_F(Runtime, ASignalThatIsPendingBeforeTheStartStopsItInAnOrderlyWay)
{
    sigset_t term;
    sigset_t before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGTERM);
        options.takes_signals = true;
        options.loop_count = 4;
        create(coil_handler(hang, coil_worker *));
        coil_runtime_stop(runtime, 0); /* The second. */
        EXPECT_EQ(0, coil_runtime_join(runtime));
        coil_runtime_destroy(runtime);
        runtime = nullptr;
    }
    sigemptyset(&term);
    sigaddset(&term, SIGINT); /* These stay blocked in the caller. */
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(shared.begun_count, shared.ended_count);
}

async(int, stop_own_loop, (coil_worker *) worker)
{
    vars();
    static_cast<Shared *>(worker->argument)->begun_count++;
    defer(static_cast<Shared *>(worker->argument)->ended_count++);
    coil_loop_stop(worker->loop);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

TEST_F(Runtime, AStoppedLoopEndsItsMainAndNoOther)
{
    options.loop_count = 1;
    create(coil_handler(stop_own_loop, coil_worker *));
    EXPECT_EQ(0, coil_runtime_join(runtime));
    EXPECT_EQ(1, shared.ended_count);
}

/* ------------------------------------------------------------------- the graceful server -- */

async(int, answer, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    shared_by_all->touched_count++;
    attempt(my->in, coil_read_some(peer));
    await(coil_sleep(coil_ms(30))); /* So that the end is requested meanwhile. */
    shared_by_all->served_count++;
    attempt(coil_write_all(peer, my->in));
    return 0;
}

static const coil_listen_options one_port = [] {
    coil_listen_options options = {};
    options.reuse_port = true;
    return options;
}();

/* All that a graceful server on all CPUs needs, but for coil_runtime_run(). */
async(int, serve, (coil_worker *) worker)
{
    vars(coil_listener *listener; char address[32]; int rc);

    (void)worker;
    snprintf(my->address, sizeof(my->address), "127.0.0.1:%d", shared_by_all->port.load());
    my->rc = coil_listen(my->address, &one_port, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    shared_by_all->begun_count++;
    attempt(coil_serve_gracefully(my->listener, coil_handler(answer, coil_stream *)));
    shared_by_all->ended_count++;
    return 0;
}

TEST_F(Runtime, AServerOnAllLoopsAnswersWhatItHasAcceptedBeforeItEnds)
{
    Fd chosen(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int on = 1;
    setsockopt(chosen, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    sockaddr_in any_port = loopback(0);
    ASSERT_EQ(0, bind(chosen, any(&any_port), sizeof(any_port))); /* Bound, not listening. */
    shared.port = port_of(chosen);

    sigset_t term;
    sigset_t before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before); /* The thread of the clients inherits that. */
    std::thread clients([this] {
        await_begun(2);
        std::vector<Fd> peers;
        for (int i = 0; i < 20; i++) {
            peers.emplace_back(connect_to(shared.port));
            put(peers.back(), "hello");
        }
        while (shared.touched_count < 20)
            std::this_thread::yield();
        kill(getpid(), SIGTERM);
        for (Fd &peer : peers)
            EXPECT_EQ("hello", take(peer));
        /* On a busy machine, a loop may learn of the end after all of them have been answered. */
        while (Fd(connect_to(shared.port)) >= 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    EXPECT_EQ(0, coil_runtime_run(coil_handler(serve, coil_worker *), 2));
    clients.join();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_LE(20, shared.served_count);
    EXPECT_EQ(2, shared.ended_count);
}

} // namespace
