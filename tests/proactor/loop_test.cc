/* SPDX-License-Identifier: MIT */
/* coil/loop.h: time, many operations at once, cancellation against completion, and the end. */
#include "stage.h"

#include <coil/acceptor.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include <mqueue.h>
#include <sys/time.h>

#include <coil/sugar.h>

namespace
{

class Loop : public Proactor
{
};

/* ------------------------------------------------------------------------------------ time -- */

struct Nap {
    coil_time asked = 0;
    coil_time woken = 0;
};

async(void, naps, (coil_duration) duration, (Nap *) nap)
{
    vars();
    nap->asked = coil_time_after(coil_now(), duration);
    await(coil_sleep(duration));
    nap->woken = coil_kernel_now();
}

/* (Nor too long, as far as the machine has time: SimLoop.SleepsEndInTime.) */
TEST_F(Loop, SleepsAreNeverTooShort)
{
    Random random = {5};
    std::vector<Nap> sleepers(300);
    for (Nap &nap : sleepers)
        coil_spawn(coil_loop_root(loop),
                naps(static_cast<coil_duration>(random.below(30000000)), &nap));
    run();
    for (const Nap &nap : sleepers)
        EXPECT_LE(nap.asked, nap.woken);
}

TEST_F(Loop, ShortSleepsAreNotTooShort)
{
    for (int i = 0; i < 50; i++) {
        Nap nap;
        (void)RUN(naps(coil_us(100), &nap));
        EXPECT_LE(nap.asked, nap.woken);
    }
}

TEST_F(Loop, WhatIsDueSinceTheBeginningOfTimeIsDueAtOnce)
{
    coil_time start = coil_kernel_now();
    (void)RUN(coil_sleep(INT64_MIN));
    (void)RUN(coil_sleep_until(INT64_MIN));
    (void)RUN(coil_within(INT64_MIN, coil_sleep(COIL_FOREVER)));
    (void)RUN(coil_until(INT64_MIN, coil_sleep(COIL_FOREVER)));
    EXPECT_GT(coil_s(10), coil_kernel_now() - start);
}

TEST_F(Loop, SleepsWithoutSpinning)
{
    uint64_t turns = coil_loop_statistics(loop).turns;
    Nap nap;
    (void)RUN(naps(coil_ms(30), &nap));
    EXPECT_GE(8u, coil_loop_statistics(loop).turns - turns);
}

TEST_F(Loop, TheTimeIsThatOfTheTurnAndOutsideTheClock)
{
    coil_time before = coil_kernel_now();
    EXPECT_LE(before, coil_now());
    EXPECT_EQ(nullptr, coil_loop_current());
    later(coil_ms(1), [this] {
        EXPECT_EQ(loop, coil_loop_current());
        EXPECT_EQ(coil_loop_now(loop), coil_now());
    });
    run();
    EXPECT_LE(before + coil_ms(1), coil_loop_now(loop));
    EXPECT_EQ(nullptr, coil_loop_current());
}

TEST_F(Loop, BetweenTwoRunsTheTimeIsThatOfTheClock)
{
    later(coil_ms(1), [] {});
    run();
    usleep(3000);
    coil_time before = coil_kernel_now();
    EXPECT_LE(before, coil_loop_now(loop));
    coil_shutdown_begin(coil_shutdown_of(loop), coil_s(1000));
    EXPECT_LE(before + coil_s(1000), coil_shutdown_of(loop)->deadline);
}

std::atomic<int> handled_count{0};

void handle(int)
{
    handled_count++;
}

TEST_F(Loop, SignalsDoNotDisturbAWait)
{
    enum { SIGNALS = 100 };
    struct sigaction action = {};
    struct sigaction before;
    action.sa_handler = handle; /* Without SA_RESTART. */
    sigaction(SIGVTALRM, &action, &before);
    const pthread_t self = pthread_self();
    Ends ends = make_pipe();
    std::thread nuisance;
    const auto disturb = [self, &ends] {
        for (int i = 0; i < SIGNALS; i++) {
            const int seen = handled_count;
            pthread_kill(self, SIGVTALRM);
            while (handled_count == seen)
                std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
        put(ends.in, "x");
    };
    char byte = 0;
    int64_t result = 0;
    Nap nap;
    START(result, coil_read(ends.out, &byte, 1));
    coil_spawn(coil_loop_root(loop), naps(coil_ms(15), &nap));
    later(0, [&] { nuisance = std::thread(disturb); });
    run();
    nuisance.join();
    sigaction(SIGVTALRM, &before, nullptr);
    EXPECT_EQ(1, result);
    EXPECT_LE(nap.asked, nap.woken);
}

/* ---------------------------------------------------------------------------------- memory -- */

size_t resident_bytes()
{
    size_t pages[2] = {};
    FILE *statm = fopen("/proc/self/statm", "re");
    EXPECT_EQ(2, fscanf(statm, "%zu %zu", &pages[0], &pages[1]));
    (void)fclose(statm);
    return pages[1] * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

async(void, sleeps_on_a_large_frame)
{
    vars(char bytes[900]);
    memset(my->bytes, 1, sizeof(my->bytes));
    await(coil_sleep(coil_ms(50)));
}

async(void, measures_after, (coil_duration) duration, (size_t *) out_bytes)
{
    vars();
    await(coil_sleep(duration));
    *out_bytes = resident_bytes();
}

TEST_F(Loop, GivesBackTheMemoryOfACrowdAfterASecond)
{
    enum { CROWD = 20000 };
    size_t then_bytes = 0;
    size_t before_bytes = 0;
    size_t after_bytes = 0;
    for (int i = 0; i < CROWD; i++)
        coil_spawn(coil_loop_root(loop), sleeps_on_a_large_frame());
    coil_spawn(coil_loop_root(loop), measures_after(coil_ms(20), &then_bytes));
    coil_spawn(coil_loop_root(loop), measures_after(coil_ms(700), &before_bytes));
    coil_spawn(coil_loop_root(loop), measures_after(coil_ms(2500), &after_bytes));
    run();
    EXPECT_LT(then_bytes, before_bytes + CROWD * 100) << "another crowd may be on its way";
    EXPECT_LT(after_bytes + CROWD * 900 / 2, then_bytes);
}

/* ------------------------------------------------------------------------- many operations -- */

TEST_F(Loop, ThousandsOfOperationsInOneTurnAllComplete)
{
    Ends ends = make_pipe();
    std::vector<int64_t> results(10000, 0);
    for (int64_t &result : results)
        START(result, coil_poll(ends.in, POLLOUT));
    run();
    for (int64_t result : results)
        ASSERT_EQ(POLLOUT, result);
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

async(int, polls_often, (int) fd, (int) times)
{
    vars(int i; int events);
    for (; my->i < times; my->i++)
        attempt(my->events, coil_poll(fd, POLLOUT));
    return 0;
}

TEST_F(Loop, HopesForSeveralCompletionsWhileManyComeAtATimeAndForOneWhenFewDo)
{
    Ends ends = make_pipe();
    if (loop->ring.wait_region == nullptr)
        GTEST_SKIP() << "this kernel has no registered wait argument";
    unsigned most = 0;
    for (int i = 0; i < 64; i++)
        coil_spawn(coil_loop_root(loop), polls_often(ends.in, 100));
    later(coil_us(1), [&] { most = loop->ring.batch; });
    run();
    most = std::max(most, loop->ring.batch);
    EXPECT_LT(1u, most);
    EXPECT_EQ(0, RUN(polls_often(ends.in, 100)));
    EXPECT_EQ(1u, loop->ring.batch);
}

TEST_F(Loop, MoreCompletionsAtOnceThanTheQueueHolds)
{
    Ends ends = make_pipe();
    std::vector<int64_t> results(3 * RING_COMPLETIONS, 0);
    for (int64_t &result : results)
        START(result, coil_poll(ends.out, POLLIN));
    later(coil_ms(1), [&ends] { put(ends.in, "x"); }); /* All of them at once. */
    run();
    for (int64_t result : results)
        ASSERT_EQ(POLLIN, result);
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

TEST_F(Loop, ThousandsAreCancelledInOneTurn)
{
    Ends ends = make_pipe();
    char byte;
    std::vector<int64_t> results(5000, 0);
    std::vector<coil_task *> tasks;
    for (int64_t &result : results)
        tasks.push_back(START(result, coil_read(ends.out, &byte, 1)));
    later(coil_ms(1), [&tasks] {
        for (coil_task *task : tasks)
            coil_task_cancel(task);
    });
    run();
    for (int64_t result : results)
        ASSERT_EQ(-ECANCELED, result);
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

async(int, spins, (const bool *) stop)
{
    vars();
    while (!*stop)
        await(coil_yield());
    return 0;
}

TEST_F(Loop, BusyTasksDoNotStarveCompletionsAndTimers)
{
    bool stop = false;
    Ends ends = make_pipe();
    char byte = 0;
    int64_t result = 0;
    coil_spawn(coil_loop_root(loop), spins(&stop));
    START(result, coil_read(ends.out, &byte, 1));
    later(coil_ms(2), [&ends] { put(ends.in, "x"); });
    later(coil_ms(10), [&stop] { stop = true; });
    run();
    EXPECT_EQ(1, result);
}

/* ------------------------------------------------------------- cancellation and completion -- */

struct Race {
    int out;
    int in;
    int count;
    uint64_t seed;
    int read_count;
    int late_count;
    int wrong_count;
};

async(int, writes_at_random, (Race *) race, (Random *) random)
{
    vars(int i);
    for (my->i = 0; my->i < race->count; my->i++) {
        await(coil_sleep(static_cast<coil_duration>(random->below(60000))));
        attempt(coil_write(race->in, "x", 1));
    }
    return 0;
}

/* Read single bytes with deadlines that are about as long as they take to come. */
async(int, reads_at_random, (Race *) race, (Random *) random)
{
    vars(ssize_t size_bytes; char byte);
    while (race->read_count < race->count) {
        my->byte = 0;
        await(my->size_bytes, within(static_cast<coil_duration>(random->below(60000)),
                                      coil_read(race->out, &my->byte, 1)));
        if (my->size_bytes == 1) {
            race->read_count++;
            race->wrong_count += my->byte != 'x' ? 1 : 0;
        } else if (my->size_bytes == -ETIME) {
            race->late_count++;
            race->wrong_count += my->byte != 0 ? 1 : 0;
        } else {
            race->wrong_count++;
        }
    }
    return 0;
}

class Races : public Loop, public testing::WithParamInterface<uint64_t>
{
};

TEST_P(Races, OfCancellationAndCompletionHaveOneOutcomeEach)
{
    std::vector<Ends> ends;
    std::vector<Race> races;
    Random random = {GetParam()};
    Random other = {GetParam() * 77};
    for (int i = 0; i < 8; i++) {
        ends.push_back(i % 2 == 0 ? make_pipe() : make_unix());
        races.push_back({ends.back().out, ends.back().in, 300, 0, 0, 0, 0});
    }
    for (Race &race : races) {
        coil_spawn(coil_loop_root(loop), writes_at_random(&race, &random));
        coil_spawn(coil_loop_root(loop), reads_at_random(&race, &other));
    }
    run();
    for (size_t i = 0; i < races.size(); i++) {
        EXPECT_EQ(300, races[i].read_count);
        EXPECT_EQ(0, races[i].wrong_count);
        char byte;
        pollfd rest = {ends[i].out, POLLIN, 0};
        EXPECT_EQ(0, poll(&rest, 1, 0))
                << "more was written than read: " << read(ends[i].out, &byte, 1);
    }
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

INSTANTIATE_TEST_SUITE_P(Seed, Races, testing::Values(1, 22, 333, 4444));

/* ---------------------------------------------------------------------------------- results -- */

async(int, fails_after, (coil_duration) duration, (int) error)
{
    vars();
    await(coil_sleep(duration));
    return error;
}

TEST_F(Loop, RunReturnsTheFirstFailureAndCanRunAgain)
{
    coil_loop_root(loop)->keep_going = false;
    int64_t result = 0;
    START(result, coil_sleep(COIL_FOREVER));
    coil_spawn(coil_loop_root(loop), fails_after(coil_ms(1), -EIO));
    coil_spawn(coil_loop_root(loop), fails_after(coil_ms(2), -EPERM));
    EXPECT_EQ(-EIO, coil_loop_run(loop));
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(3, RUN(fails_after(0, 3)));
}

/* ---------------------------------------------------------------------------------- the end -- */

TEST_F(Loop, ManyCanBeMadeOneAfterTheOther)
{
    for (int i = 0; i < 100; i++) {
        coil_loop *other = nullptr;
        char reason[COIL_REASON_BYTES];
        ASSERT_EQ(0, coil_loop_create(&other, reason)) << i << ": " << reason;
        coil_loop_destroy(other);
    }
    coil_loop_destroy(nullptr);
}

TEST_F(Loop, AThreadHasAtMostSixteen)
{
    coil_loop *more[16] = {};
    char reason[COIL_REASON_BYTES] = "";
    for (int i = 0; i < 15; i++)
        EXPECT_EQ(0, coil_loop_create(&more[i], reason)) << reason;
    EXPECT_EQ(-EBUSY, coil_loop_create(&more[15], reason));
    EXPECT_NE(nullptr, strstr(reason, "has 16 loops")) << reason;
    for (coil_loop *one : more)
        coil_loop_destroy(one);
    ASSERT_EQ(0, coil_loop_create(&more[0], reason)) << reason;
    coil_loop_destroy(more[0]);
}

TEST_F(Loop, SeveralOfOneThreadTakeTurns)
{
    coil_loop *other = nullptr;
    ASSERT_EQ(0, coil_loop_create(&other, nullptr));
    Nap nap;
    for (int i = 0; i < 5; i++) {
        coil_spawn(coil_loop_root(other), naps(coil_us(100), &nap));
        coil_spawn(coil_loop_root(loop), naps(coil_us(100), &nap));
        EXPECT_EQ(0, coil_loop_run(other));
        run();
    }
    coil_loop_destroy(other);
}

TEST_F(Loop, WorksInAnotherThread)
{
    int64_t result = 0;
    Ends ends = make_pipe();
    put(ends.in, "abc");
    char bytes[3];
    std::thread([&] {
        coil_loop *own = nullptr;
        ASSERT_EQ(0, coil_loop_create(&own, nullptr));
        coil_spawn_result(coil_loop_root(own), &result, coil_read(ends.out, bytes, 3));
        EXPECT_EQ(0, coil_loop_run(own));
        coil_loop_destroy(own);
    }).join();
    EXPECT_EQ(3, result);
}

/* Accept on a port, with receives and a connection pending, and end. */
void occupy_and_end(int port, bool take_one)
{
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    int listener = listen_on(port);
    ASSERT_LE(0, listener) << strerror(errno);
    coil_acceptor *acceptor = nullptr;
    ASSERT_EQ(0, coil_acceptor_create(loop, listener, COIL_ACCEPT_DIRECT, &acceptor));
    int64_t fd = -1;
    coil_loop_root(loop)->keep_going = true;
    START(fd, within(coil_us(500), coil_acceptor_next(acceptor)));
    (void)coil_loop_run(loop);
    EXPECT_EQ(-ETIME, fd);
    if (take_one) {
        Ends other = make_unix();
        coil_receiver *receiver = nullptr;
        ASSERT_EQ(0,
                coil_receiver_create(loop, other.out.release(), COIL_TRANSPORT_SOCKET, &receiver));
        START(fd, within(coil_us(500), coil_receiver_next(receiver)));
        (void)coil_loop_run(loop);
        coil_receiver_close(receiver);
    }
    coil_acceptor_close(acceptor);
    coil_loop_destroy(loop);
}

TEST_F(Loop, ItsPortCanBeBoundAtOnceWhenItHasEnded)
{
    int port = 0;
    {
        Fd probe(listen_on(0));
        port = port_of(probe);
    }
    for (int i = 0; i < 20; i++)
        occupy_and_end(port, i % 2 == 1);
    Fd again(listen_on(port));
    EXPECT_LE(0, again);
}

TEST_F(Loop, AChildThatMerelyExistsKeepsNoPort)
{
    int port = 0;
    {
        Fd probe(listen_on(0));
        port = port_of(probe);
    }
    for (int i = 0; i < 5; i++) {
        int listener = listen_on(port);
        ASSERT_LE(0, listener) << strerror(errno);
        coil_loop *own = nullptr;
        ASSERT_EQ(0, coil_loop_create(&own, nullptr));
        coil_acceptor *acceptor = nullptr;
        ASSERT_EQ(0, coil_acceptor_create(own, listener, COIL_ACCEPT_ORDINARY, &acceptor));
        coil_task *task = coil_spawn(coil_loop_root(own), coil_acceptor_next(acceptor));
        std::function<void()> cancel = [task] { coil_task_cancel(task); };
        coil_spawn(coil_loop_root(own), act_after(coil_us(500), &cancel));
        EXPECT_EQ(0, coil_loop_run(own)); /* The multishot accept is still there. */
        Ends ends = make_pipe();
        pid_t child = fork();
        if (child == 0) {
            for (int fd = 3; fd < 1000; fd++) {
                if (fd != ends.in)
                    close(fd); /* Not its business; the ring is what matters. */
            }
            _exit(write(ends.in, "x", 1) == 1 ? pause() : 1);
        }
        char byte = 0;
        EXPECT_EQ(1, read(ends.out, &byte, 1)) << "until then it has the listener, too";
        coil_acceptor_close(acceptor);
        coil_loop_destroy(own);
        usleep(1000);
        Fd again(listen_on(port));
        EXPECT_LE(0, again) << strerror(errno);
        EXPECT_EQ(0, kill(child, SIGKILL));
        EXPECT_EQ(child, waitpid(child, nullptr, 0));
    }
}

TEST_F(Loop, AChildCannotDisturbTheLoopOfItsParent)
{
    Ends ends = make_pipe();
    char byte = 0;
    int64_t result = 0;
    START(result, coil_read(ends.out, &byte, 1));
    pid_t child = -1;
    later(coil_ms(1), [&] {
        child = fork();
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);
            _exit(0);
        }
    });
    later(coil_ms(5), [&] { put(ends.in, "x"); });
    run();
    EXPECT_EQ(1, result);
    EXPECT_EQ(child, waitpid(child, nullptr, 0));
}

TEST_F(Loop, APortIsFreeSoonAfterItsProcessWasKilled)
{
    Fd probe(listen_on(0));
    int port = port_of(probe);
    probe.reset();
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            coil_loop *own = nullptr;
            coil_acceptor *acceptor = nullptr;
            if (coil_loop_create(&own, nullptr) < 0)
                _exit(1);
            if (coil_acceptor_create(own, listen_on(port), COIL_ACCEPT_DIRECT, &acceptor) < 0)
                _exit(2);
            coil_spawn(coil_loop_root(own), coil_acceptor_next(acceptor));
            coil_spawn(coil_loop_root(own), coil_sleep(COIL_FOREVER));
            (void)coil_loop_run(own);
            _exit(3);
        }
        coil_time start = coil_kernel_now();
        int fd;
        while ((fd = connect_to(port)) < 0 && coil_kernel_now() < start + coil_s(2))
            usleep(500);
        EXPECT_LE(0, fd) << "it is up";
        struct linger at_once = {1, 0}; /* No TIME_WAIT of ours. */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fd);
        usleep(500);
        EXPECT_EQ(0, kill(child, SIGKILL));
        EXPECT_EQ(child, waitpid(child, nullptr, 0));
        start = coil_kernel_now();
        while ((fd = listen_on(port)) < 0 && coil_kernel_now() < start + coil_s(2))
            usleep(500);
        EXPECT_LE(0, fd) << strerror(errno);
        close(fd);
    }
}

/* The kernel closes a message queue in a worker thread: there a close can be cancelled. */
TEST_F(Loop, TheEndOfTheLoopDoesNotOvertakeACloseInAWorkerThread)
{
    std::string name = "/coil_loop_test." + std::to_string(getpid());
    mqd_t queue = mq_open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600, nullptr);
    if (queue < 0) {
        GTEST_SKIP() << "no message queues here: " << strerror(errno);
    }
    mq_unlink(name.c_str());
    for (int i = 0; i < 300; i++)
        coil_close_later(loop, fcntl(queue, F_DUPFD_CLOEXEC, 0));
    mq_close(queue);
    end(); /* The leak check counts. */
}

TEST_F(Loop, ClosesInAWorkerThreadAreNotCutByADeadline)
{
    std::string name = "/coil_loop_test." + std::to_string(getpid());
    mqd_t queue = mq_open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600, nullptr);
    if (queue < 0) {
        GTEST_SKIP() << "no message queues here: " << strerror(errno);
    }
    mq_unlink(name.c_str());
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(0, RUN(within(coil_us(i), coil_close(fcntl(queue, F_DUPFD_CLOEXEC, 0)))));
    mq_close(queue);
}

/* ----------------------------------------------------------------------------------- misuse -- */

using LoopDeathTest = Loop;

/* In the child that is to die: the ring of its parent is not its own. */
coil_loop *own_loop()
{
    coil_loop *own = nullptr;
    if (coil_loop_create(&own, nullptr) < 0)
        _exit(1);
    return own;
}

TEST_F(LoopDeathTest, ALoopDoesNotRunInsideALoop)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                coil_loop *other = own_loop();
                std::function<void()> nest = [other] { (void)coil_loop_run(other); };
                coil_spawn(coil_loop_root(own), act_after(0, &nest));
                (void)coil_loop_run(own);
            },
            "cannot run inside a running loop");
}

TEST_F(LoopDeathTest, ALoopIsNotDestroyedByItsOwnTask)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                std::function<void()> destroy = [own] { coil_loop_destroy(own); };
                coil_spawn(coil_loop_root(own), act_after(0, &destroy));
                (void)coil_loop_run(own);
            },
            "current != loop");
}

TEST_F(LoopDeathTest, ALoopIsNotDestroyedUnderItsTasks)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                coil_spawn(coil_loop_root(own), coil_sleep(COIL_FOREVER));
                coil_loop_destroy(own);
            },
            "live_count == 0");
}

TEST_F(LoopDeathTest, ALoopIsNotRunByAnotherThread)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                std::thread([own] {
                    coil_spawn(coil_loop_root(own), coil_poll(STDERR_FILENO, POLLOUT));
                    (void)coil_loop_run(own);
                }).join();
            },
            "that has not created it|wrong thread");
}

TEST_F(LoopDeathTest, ALoopIsNotRunByAForkedChild)
{
    EXPECT_DEATH((void)coil_loop_run_until(loop, coil_sleep(0)), "that has not created it");
    EXPECT_DEATH(end(), "that has not created it");
}

async(int, takes, (coil_receiver *) receiver, (coil_slice *) slice)
{
    vars();
    await(*slice, coil_receiver_next(receiver));
    return static_cast<int>(slice->size_bytes);
}

TEST_F(LoopDeathTest, ASliceDoesNotOutliveItsLoop)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                Ends ends = make_unix();
                put(ends.in, "abc");
                coil_receiver *receiver = nullptr;
                (void)coil_receiver_create(
                        own, ends.out.release(), COIL_TRANSPORT_SOCKET, &receiver);
                coil_slice slice;
                coil_spawn(coil_loop_root(own), takes(receiver, &slice));
                (void)coil_loop_run(own);
                coil_receiver_close(receiver);
                coil_loop_destroy(own);
            },
            "slice_count == 0");
}

TEST_F(LoopDeathTest, OneTaskAtATimeWaitsForAReceiver)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                Ends ends = make_unix();
                coil_receiver *receiver = nullptr;
                (void)coil_receiver_create(
                        own, ends.out.release(), COIL_TRANSPORT_SOCKET, &receiver);
                coil_slice slices[2];
                coil_spawn(coil_loop_root(own), takes(receiver, &slices[0]));
                coil_spawn(coil_loop_root(own), takes(receiver, &slices[1]));
                coil_spawn(coil_loop_root(own), fails_after(coil_ms(5), -EIO));
                (void)coil_loop_run(own);
            },
            "waiter");
}

TEST_F(LoopDeathTest, OneTaskAtATimeWaitsForAnAcceptor)
{
    EXPECT_DEATH(
            {
                coil_loop *own = own_loop();
                coil_acceptor *acceptor = nullptr;
                (void)coil_acceptor_create(own, listen_on(0), COIL_ACCEPT_DIRECT, &acceptor);
                coil_spawn(coil_loop_root(own), coil_acceptor_next(acceptor));
                coil_spawn(coil_loop_root(own), coil_acceptor_next(acceptor));
                coil_spawn(coil_loop_root(own), fails_after(coil_ms(5), -EIO));
                (void)coil_loop_run(own);
            },
            "waiter");
}

} // namespace
