/* SPDX-License-Identifier: MIT */
/* coil/signal.h: signals sent to this process, to one of its threads, and by children that end. */
#include "cast.h"

#include <atomic>
#include <thread>

#include <coil/blocking.h>

#include <sys/resource.h>
#include <sys/time.h>

#include <coil/sugar.h>

namespace
{

const coil_duration A_MOMENT = coil_ms(5);
const coil_duration LONG = coil_s(30);

sigset_t mask_of_thread()
{
    sigset_t mask;
    EXPECT_EQ(0, pthread_sigmask(SIG_BLOCK, nullptr, &mask));
    return mask;
}

bool blocked(int signo)
{
    sigset_t mask = mask_of_thread();
    return sigismember(&mask, signo) == 1;
}

void change_mask(int how, int signo)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    ASSERT_EQ(0, pthread_sigmask(how, &set, nullptr));
}

void send(int signo)
{
    ASSERT_EQ(0, kill(getpid(), signo));
}

/* Open `set`, do something, take signals until none comes for a moment, close. */
async(int, collect, (coil_signal_set) set, (std::function<void()> *) act, (std::vector<int> *) all)
{
    vars(coil_signals *signals; int signo; int rc);

    my->rc = coil_signals_open(set, &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    (*act)();
    for (;;) {
        await(my->signo, within(coil_ms(30), coil_signals_next(my->signals)));
        if (my->signo < 0)
            return my->signo == -ETIME ? 0 : my->signo;
        all->push_back(my->signo);
    }
}

/* Signals to ourselves are there at once, so waiting takes no time. Children are not so quick. */
class Signals : public Children
{
protected:
    explicit Signals(Create create = coil_test_loop_create) : Children(create) {}

    ~Signals() override
    {
        for (int signo = 1; signo <= SIGRTMAX; signo++)
            EXPECT_FALSE(blocked(signo)) << signo;
    }

    /* The signals of `set` that arrive because of `action`. */
    std::vector<int> arriving(coil_signal_set set, std::function<void()> action)
    {
        std::vector<int> all;
        EXPECT_EQ(0, RUN(collect(set, &action, &all)));
        return all;
    }
};

const coil_signal_set USER = COIL_SIGNALS(SIGUSR1, SIGUSR2);

TEST_F(Signals, OneArrives)
{
    later(A_MOMENT, [] { send(SIGUSR1); });
    EXPECT_EQ(SIGUSR1, RUN(coil_signal_wait(USER)));
}

TEST_F(Signals, SeveralArriveEachOnItsOwn)
{
    const coil_signal_set set = coil_signal_set_join(USER, COIL_SIGNALS(SIGTERM, SIGHUP));
    const std::vector<int> all = arriving(set, [] {
        send(SIGHUP);
        send(SIGUSR1);
        send(SIGUSR2);
        send(SIGTERM);
    });
    EXPECT_EQ((std::vector<int>{SIGHUP, SIGUSR1, SIGUSR2, SIGTERM}), all);
}

TEST_F(Signals, StandardOnesThatArriveTwiceBeforeTheyAreTakenAreOne)
{
    EXPECT_EQ((std::vector<int>{SIGUSR1}), arriving(USER, [] {
        for (int i = 0; i < 100; i++)
            send(SIGUSR1);
    }));
}

TEST_F(Signals, RealtimeOnesQueueUpInOrder)
{
    const coil_signal_set set = COIL_SIGNALS(SIGRTMIN + 1, SIGRTMAX);
    std::vector<int> expected(300, SIGRTMIN + 1);
    expected.insert(expected.end(), 300, SIGRTMAX);
    EXPECT_EQ(expected, arriving(set, [] {
        for (int i = 0; i < 300; i++) {
            send(SIGRTMAX);
            send(SIGRTMIN + 1);
        }
    }));
}

TEST_F(Signals, ThoseForTheThreadAloneArriveToo)
{
    EXPECT_EQ((std::vector<int>{SIGUSR2}),
            arriving(USER, [] { ASSERT_EQ(0, pthread_kill(pthread_self(), SIGUSR2)); }));
}

TEST_F(Signals, OthersAreNotOurs)
{
    static std::atomic<int> count;
    count = 0;
    auto before = signal(SIGUSR2, [](int) { count++; });
    EXPECT_EQ((std::vector<int>{}), arriving(COIL_SIGNALS(SIGUSR1), [] { send(SIGUSR2); }));
    EXPECT_EQ(1, count);
    signal(SIGUSR2, before);
}

async(int, wait_twice, (int64_t *) first)
{
    vars(coil_signals *signals; int signo; int rc);

    my->rc = coil_signals_open(USER, &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    await(my->signo, within(A_MOMENT, coil_signals_next(my->signals)));
    *first = my->signo;
    await(coil_sleep(4 * A_MOMENT)); /* It arrives while nobody waits. */
    await(my->signo, within(LONG, coil_signals_next(my->signals)));
    return my->signo;
}

TEST_F(Signals, CancelledWaitLosesNone)
{
    int64_t first = 1;
    later(3 * A_MOMENT, [] { send(SIGUSR1); });
    EXPECT_EQ(SIGUSR1, RUN(wait_twice(&first)));
    EXPECT_EQ(-ETIME, first);
}

async(int, count_with_deadlines, (coil_signal_set) set, (int) count)
{
    vars(coil_signals *signals; int signo; int seen; int late; int rc);

    my->rc = coil_signals_open(set, &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    for (int i = 0; i < count; i++)
        send(SIGRTMIN + 2);
    while (my->seen < count) {
        await(my->signo, within(coil_us(my->late % 3), coil_signals_next(my->signals)));
        if (my->signo > 0)
            my->seen++;
        else if (my->signo != -ETIME || my->late++ > 100000)
            return my->signo;
    }
    return my->seen;
}

TEST_F(Signals, WaitThatIsCancelledInTheMomentOfArrivalLosesNone)
{
    EXPECT_EQ(200, RUN(count_with_deadlines(COIL_SIGNALS(SIGRTMIN + 2), 200)));
}

TEST_F(Signals, DoWhatTheyDidBeforeWhenTheSetIsClosed)
{
    static std::atomic<int> count;
    count = 0;
    auto before = signal(SIGUSR1, [](int) { count++; });
    EXPECT_EQ((std::vector<int>{SIGUSR1}), arriving(USER, [] { send(SIGUSR1); }));
    EXPECT_EQ(0, count);
    send(SIGUSR1);
    EXPECT_EQ(1, count);
    signal(SIGUSR1, before);
}

TEST_F(Signals, OneThatWasBlockedStaysBlocked)
{
    change_mask(SIG_BLOCK, SIGUSR1);
    EXPECT_EQ((std::vector<int>{SIGUSR1}), arriving(USER, [] { send(SIGUSR1); }));
    EXPECT_TRUE(blocked(SIGUSR1));
    EXPECT_FALSE(blocked(SIGUSR2));
    change_mask(SIG_UNBLOCK, SIGUSR1);
}

async(int, open_and_leave, (coil_signal_set) set, (bool) look)
{
    vars(coil_signals *signals; int rc);

    my->rc = coil_signals_open(set, &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    if (look)
        await(my->rc, within(0, coil_signals_next(my->signals)));
    send(SIGUSR1);
    send(SIGUSR2);
    if (look)
        await(coil_sleep(A_MOMENT));
    return 0;
}

TEST_F(Signals, ThoseThatNobodyHasTakenAreDropped)
{
    EXPECT_EQ(0, RUN(open_and_leave(USER, false))) << "nobody has ever looked: the kernel has them";
    EXPECT_EQ(0, RUN(open_and_leave(USER, true))) << "somebody has: the ring has fetched them";
}

async(int, overlap, (bool) first_first)
{
    vars(coil_signals *sets[2]; int rc; int signo);

    my->rc = coil_signals_open(COIL_SIGNALS(SIGUSR1, SIGHUP), &my->sets[0]);
    if (my->rc < 0)
        return my->rc;
    my->rc = coil_signals_open(USER, &my->sets[1]);
    if (my->rc < 0)
        return my->rc;
    coil_signals_close(my->sets[first_first ? 0 : 1]);
    defer(coil_signals_close(my->sets[first_first ? 1 : 0]));
    EXPECT_TRUE(blocked(SIGUSR1));
    EXPECT_EQ(first_first, blocked(SIGUSR2));
    EXPECT_EQ(!first_first, blocked(SIGHUP));
    await(coil_sleep(A_MOMENT));
    send(SIGUSR1);
    await(my->signo, within(LONG, coil_signals_next(my->sets[first_first ? 1 : 0])));
    return my->signo;
}

TEST_F(Signals, SetsMayOverlapAndBeClosedInAnyOrder)
{
    EXPECT_EQ(SIGUSR1, RUN(overlap(true)));
    EXPECT_FALSE(blocked(SIGUSR1) || blocked(SIGUSR2) || blocked(SIGHUP));
    EXPECT_EQ(SIGUSR1, RUN(overlap(false)));
    EXPECT_FALSE(blocked(SIGUSR1) || blocked(SIGUSR2) || blocked(SIGHUP));
}

class SignalsOnTheClock : public Signals
{
protected:
    SignalsOnTheClock() : Signals(coil_loop_create) {}
};

TEST_F(SignalsOnTheClock, EndOfAChildIsOneAndDoesNotTakeItsStatus)
{
    coil_child child = {};
    EXPECT_EQ((std::vector<int>{SIGCHLD}), arriving(COIL_SIGNALS(SIGCHLD), [&] {
        child = start({"exit", "4"});
        await_zombie(child);
    }));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("exited with status 4", text(child));
    finish(&child);
}

TEST_F(Signals, ChildrenDoNotInheritTheBlocking)
{
    coil_child child = {};
    plan.out = {COIL_STDIO_PIPE, 0};
    const coil_signal_set set = COIL_SIGNALS(SIGUSR1, SIGUSR2, SIGTERM);
    EXPECT_EQ((std::vector<int>{}), arriving(set, [&] {
        EXPECT_TRUE(blocked(SIGTERM) && blocked(SIGPIPE));
        child = start({"report"});
    }));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    const std::string report = take(child.stdout_fd);
    EXPECT_NE(std::string::npos, report.find("SigBlk=0000000000000000\n")) << report;
    EXPECT_NE(std::string::npos, report.find("SigIgn=0000000000000000\n")) << report;
    finish(&child);
}

TEST_F(Signals, WithoutADescriptorNothingIsBlocked)
{
    struct rlimit before;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    int64_t result = 0;
    later(0, [&] {
        const struct rlimit none = {3, before.rlim_max};
        ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
        coil_signals *signals = nullptr;
        result = coil_signals_open(USER, &signals);
        ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    });
    run();
    EXPECT_EQ(-EMFILE, result);
    EXPECT_FALSE(blocked(SIGUSR1));
}

/* -------------------------------------------------------------------------------- handlers -- */

struct Reaction {
    explicit Reaction(std::function<void()> what = [] {}) : action(std::move(what))
    {
        link.self = this;
        handler.run = [](coil_signal_handler *arrived) {
            Reaction *self = coil_container_of(arrived, Link, handler)->self;
            self->count++;
            self->action();
        };
    }

    Reaction(const Reaction &) = delete;
    Reaction &operator=(const Reaction &) = delete;

    ~Reaction()
    {
        coil_signal_handler_remove(&handler);
    }

    struct Link {
        coil_signal_handler handler;
        Reaction *self;
    } link = {};
    coil_signal_handler &handler = link.handler;
    int count = 0;
    std::function<void()> action;
};

TEST_F(Signals, AHandlerIsCalledByTheLoopForEachArrival)
{
    Reaction reaction([this] {
        EXPECT_EQ(loop, coil_loop_current());
        coil_loop_stop(loop);
    });
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGUSR1, &reaction.handler));
    EXPECT_EQ(SIGUSR1, reaction.handler.signo);
    for (int i = 0; i < 5; i++) {
        send(SIGUSR1);
        EXPECT_EQ(i, reaction.count) << "not inline";
        EXPECT_EQ(0, coil_loop_run_forever(loop));
        EXPECT_EQ(i + 1, reaction.count);
    }
    EXPECT_EQ(0, coil_loop_run(loop)) << "it does not keep the loop running";
}

TEST_F(Signals, SeveralHandlersOfOneAreCalledInOrder)
{
    std::vector<int> order;
    Reaction first([&order] { order.push_back(1); });
    Reaction second([&order] { order.push_back(2); });
    Reaction other([&order] { order.push_back(9); });
    Reaction third([&] {
        order.push_back(3);
        coil_loop_stop(loop);
    });
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGUSR1, &first.handler));
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGUSR1, &second.handler));
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGUSR2, &other.handler));
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGUSR1, &third.handler));
    for (int i = 0; i < 3; i++) {
        send(SIGUSR1);
        EXPECT_EQ(0, coil_loop_run_forever(loop));
    }
    EXPECT_EQ((std::vector<int>{1, 2, 3, 1, 2, 3, 1, 2, 3}), order);
    coil_signal_handler_remove(&second.handler);
    EXPECT_TRUE(blocked(SIGUSR1));
    send(SIGUSR1);
    EXPECT_EQ(0, coil_loop_run_forever(loop));
    EXPECT_EQ(11u, order.size());
}

TEST_F(Signals, RealtimeOnesCallAHandlerOnceEach)
{
    Reaction reaction;
    reaction.action = [&] {
        if (reaction.count == 100)
            coil_loop_stop(loop);
    };
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGRTMIN + 4, &reaction.handler));
    for (int i = 0; i < 100; i++)
        send(SIGRTMIN + 4);
    EXPECT_EQ(0, coil_loop_run_forever(loop));
    EXPECT_EQ(100, reaction.count);
}

TEST_F(Signals, AHandlerMayRemoveItselfAndTheMaskIsAsBefore)
{
    static std::atomic<int> count;
    count = 0;
    auto before = signal(SIGRTMIN + 4, [](int) { count++; });
    Reaction reaction;
    reaction.action = [&] {
        coil_signal_handler_remove(&reaction.handler);
        coil_signal_handler_remove(&reaction.handler);
        coil_loop_stop(loop);
    };
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGRTMIN + 4, &reaction.handler));
    EXPECT_TRUE(blocked(SIGRTMIN + 4));
    for (int i = 0; i < 3; i++)
        send(SIGRTMIN + 4);
    EXPECT_EQ(0, coil_loop_run_forever(loop));
    EXPECT_EQ(1, reaction.count) << "what had arrived is dropped";
    EXPECT_FALSE(blocked(SIGRTMIN + 4));
    EXPECT_EQ(0, count);
    send(SIGRTMIN + 4);
    EXPECT_EQ(1, count);
    signal(SIGRTMIN + 4, before);
}

TEST_F(Signals, WhatCannotBeCaughtIsRefused)
{
    Reaction reaction;
    EXPECT_EQ(-EINVAL, coil_signal_handler_add(loop, SIGKILL, &reaction.handler));
    EXPECT_EQ(-EINVAL, coil_signal_handler_add(loop, SIGSTOP, &reaction.handler));
    EXPECT_EQ(
            -EINVAL, coil_signal_handler_add(loop, 32, &reaction.handler)); /* Of the C library. */
}

TEST_F(Signals, ChildrenDoNotInheritTheBlockingOfHandlers)
{
    Reaction reaction;
    coil_child child = {};
    plan.out = {COIL_STDIO_PIPE, 0};
    ASSERT_EQ(0, coil_signal_handler_add(loop, SIGTERM, &reaction.handler));
    child = start({"report"});
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    const std::string report = take(child.stdout_fd);
    EXPECT_NE(std::string::npos, report.find("SigBlk=0000000000000000\n")) << report;
    finish(&child);
}

TEST_F(Signals, HandlersOfSeveralLoopsOfAThreadEachHearOfIt)
{
    coil_loop *other = nullptr;
    ASSERT_EQ(0, coil_loop_create(&other, nullptr));
    {
        Reaction here([this] { coil_loop_stop(loop); });
        Reaction there([other] { coil_loop_stop(other); });
        ASSERT_EQ(0, coil_signal_handler_add(loop, SIGUSR1, &here.handler));
        ASSERT_EQ(0, coil_signal_handler_add(other, SIGUSR1, &there.handler));
        send(SIGUSR1);
        EXPECT_EQ(0, coil_loop_run_forever(loop));
        EXPECT_EQ(0, coil_loop_run_forever(other));
        EXPECT_EQ(1, here.count);
        EXPECT_EQ(1, there.count);
    }
    coil_loop_destroy(other);
}

/* A program that opens SIGINT has it to itself: coil_run() does not cancel it. */
async(int, takes_interrupts, (int) count)
{
    vars(coil_signals *signals; int signo; int i);

    EXPECT_EQ(0, coil_signals_open(COIL_SIGNALS(SIGINT), &my->signals));
    defer(coil_signals_close(my->signals));
    for (my->i = 0; my->i < count; my->i++) {
        send(SIGINT);
        attempt(my->signo, coil_signals_next(my->signals));
        await(coil_sleep(A_MOMENT));
    }
    return my->i;
}

/* ------------------------------------------------------------------------------ coroutines -- */

struct Heard {
    std::vector<int> *all;
    size_t wanted;
    int error;
};

/* May await, unlike a signal handler. */
async(int, hear, (coil_signal_arrival *) arrival)
{
    vars(Heard *heard);
    my->heard = static_cast<Heard *>(arrival->owner);
    await(coil_sleep(coil_us(1)));
    my->heard->all->push_back(arrival->signo);
    if (my->heard->error != 0)
        return my->heard->error;
    return my->heard->all->size() < my->heard->wanted ? 0 : -ECONNABORTED; /* Enough. */
}

/* Serve `set` while something is done. */
async(int, serve_while, (coil_signal_set) set, (Heard *) heard, (std::function<void()> *) act)
{
    vars(coil_group tasks);
    coil_open_group(&my->tasks);
    coil_spawn(
            &my->tasks, coil_signals_serve(set, coil_handler(hear, coil_signal_arrival *), heard));
    await(coil_sleep(0));
    (*act)();
    attempt(coil_group_join(&my->tasks));
    return 0;
}

class Served : public SignalsOnTheClock
{
protected:
    std::vector<int> serve(coil_signal_set set, size_t wanted, std::function<void()> act)
    {
        std::vector<int> all;
        Heard heard = {&all, wanted, 0};
        EXPECT_EQ(-ECONNABORTED, RUN(within(coil_s(20), serve_while(set, &heard, &act))));
        return all;
    }
};

TEST_F(Served, EachOfThoseThatDaemonsKnowRunsACoroutine)
{
    for (int signo : {SIGALRM, SIGVTALRM, SIGPROF, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2})
        EXPECT_EQ(std::vector<int>{signo}, serve(COIL_SIGNALS(signo), 1, [=] { send(signo); }));
}

void start_timer(int which)
{
    itimerval timer = {};
    timer.it_value.tv_usec = 1000;
    ASSERT_EQ(0, setitimer(static_cast<__itimer_which>(which), &timer, nullptr));
}

TEST_F(Served, TimersOfTheKernelSendTheirSignals)
{
    EXPECT_EQ(std::vector<int>{SIGALRM},
            serve(COIL_SIGNALS(SIGALRM), 1, [] { start_timer(ITIMER_REAL); }));
    for (int which : {ITIMER_VIRTUAL, ITIMER_PROF}) {
        const int signo = which == ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF;
        EXPECT_EQ(std::vector<int>{signo}, serve(COIL_SIGNALS(signo), 1, [=] {
            start_timer(which);
            sigset_t pending;
            do /* They count our own time. */
                sigpending(&pending);
            while (sigismember(&pending, signo) == 0);
        }));
    }
}

TEST_F(Served, SeveralRunAtTheSameTime)
{
    std::vector<int> all = serve(USER, 2, [] {
        send(SIGUSR1);
        send(SIGUSR2);
    });
    EXPECT_EQ((std::vector<int>{SIGUSR1, SIGUSR2}), all);
}

TEST_F(Served, FailureOfOneEndsTheServing)
{
    std::vector<int> all;
    Heard heard = {&all, 5, -EBADMSG};
    std::function<void()> act = [] { send(SIGUSR1); };
    EXPECT_EQ(-EBADMSG, RUN(serve_while(USER, &heard, &act)));
}

/* -------------------------------------------------------------------------------- the masks -- */

coil_blocking(int, mask_of_pool, (uint64_t *) out_mask)
{
    sigset_t mask;
    (void)pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    *out_mask = 0;
    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        if (sigismember(&mask, signo) == 1)
            *out_mask |= coil_signal_bit(signo);
    }
    return 0;
}

TEST_F(Served, ThreadsOfTheLibraryBlockAllButFaults)
{
    static uint64_t mask;
    EXPECT_EQ(0, RUN(mask_of_pool(&mask)));
    for (int signo = 1; signo < 32; signo++) {
        const bool is_fault = signo == SIGSEGV || signo == SIGBUS || signo == SIGILL ||
                              signo == SIGFPE || signo == SIGTRAP || signo == SIGSYS;
        const bool is_never = signo == SIGKILL || signo == SIGSTOP || signo == SIGABRT;
        if (!is_never) {
            EXPECT_EQ(!is_fault, (mask & coil_signal_bit(signo)) != 0) << signo;
        }
    }
}

TEST_F(Served, BlockingIsForTheThreadsToCome)
{
    coil_signals_block(COIL_SIGNALS(SIGUSR1));
    bool is_blocked = false;
    std::thread([&] { is_blocked = blocked(SIGUSR1); }).join();
    EXPECT_TRUE(is_blocked);
    EXPECT_EQ(std::vector<int>{SIGUSR1}, serve(COIL_SIGNALS(SIGUSR1), 1, [] { send(SIGUSR1); }));
    EXPECT_TRUE(blocked(SIGUSR1)) << "it stays so";
    change_mask(SIG_UNBLOCK, SIGUSR1);
}

TEST_F(Served, SigpipeIsAnErrorWhileTheLoopRuns)
{
    Ends ends = make_pipe();
    ends.out.reset();
    EXPECT_EQ(-EPIPE, RUN(coil_write(ends.in, "x", 1)));
    struct sigaction action = {};
    ASSERT_EQ(0, sigaction(SIGPIPE, nullptr, &action));
    EXPECT_EQ(SIG_DFL, action.sa_handler) << "nobody else is concerned";
}

TEST_F(Served, ChildrenEndWithoutSigchld)
{
    coil_child child = start({"exit", "3"});
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    struct sigaction action = {};
    ASSERT_EQ(0, sigaction(SIGCHLD, nullptr, &action));
    EXPECT_EQ(SIG_DFL, action.sa_handler);
    EXPECT_FALSE(blocked(SIGCHLD));
    finish(&child);
}

TEST(SignalsOfAProgram, ThatOpensSigintAreItsOwn)
{
    alarm(20);
    EXPECT_EQ(3, coil_run(takes_interrupts(3)));
    EXPECT_FALSE(blocked(SIGINT));
    alarm(0);
}

bool is_handled(int signo)
{
    struct sigaction action = {};
    EXPECT_EQ(0, sigaction(signo, nullptr, &action));
    return action.sa_handler != SIG_DFL;
}

/* Sets that overlap: coil_run() has it again when the last of them is closed, and not before. */
async(int, takes_interrupts_for_a_while, (bool) is_late)
{
    vars(coil_signals *one; coil_signals *other; int rc);

    EXPECT_TRUE(is_handled(SIGINT));
    EXPECT_EQ(0, coil_signals_open(COIL_SIGNALS(SIGINT, SIGTERM), &my->one));
    EXPECT_EQ(0, coil_signals_open(COIL_SIGNALS(SIGINT), &my->other));
    coil_signals_close(my->one);
    EXPECT_FALSE(is_handled(SIGINT));
    send(SIGINT);
    await(my->rc, within(LONG, coil_signals_next(my->other)));
    EXPECT_EQ(SIGINT, my->rc);
    coil_signals_close(my->other);
    if (!is_handled(SIGINT)) /* It would kill us. */
        return -ENOTSUP;
    if (is_late)
        return 3;
    send(SIGINT);
    await(coil_sleep(LONG));
    return 4;
}

TEST(SignalsOfAProgram, ThatClosesSigintAreAsBefore)
{
    alarm(20);
    EXPECT_EQ(-EINTR, coil_run(takes_interrupts_for_a_while(false)));
    EXPECT_FALSE(is_handled(SIGINT));
    EXPECT_EQ(3, coil_run(takes_interrupts_for_a_while(true)));
    EXPECT_FALSE(is_handled(SIGINT)) << "nor when it was not cancelled";
    alarm(0);
}

/* ----------------------------------------------------------------------------- two threads -- */

/* Two of them: they end when they have seen `count` of the signals together. */
struct Audience {
    int count;
    std::atomic<int> seen{0};
};

struct Listener {
    explicit Listener(Audience *with) : audience(with) {}

    Audience *audience;
    std::atomic<bool> ready{false};
    pthread_t thread = {};
    int64_t seen = 0;
};

async(int, listen_for, (Listener *) listener, (coil_signal_set) set)
{
    vars(coil_signals *signals; int signo; int seen; int rc);

    my->rc = coil_signals_open(set, &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    listener->thread = pthread_self();
    listener->ready = true;
    while (listener->audience->seen < listener->audience->count) {
        await(my->signo, within(coil_ms(10), coil_signals_next(my->signals)));
        if (my->signo == -ETIME)
            continue;
        if (my->signo != SIGRTMIN + 3)
            return my->signo;
        my->seen++;
        listener->audience->seen++;
    }
    return my->seen;
}

void run_listener(Listener *listener)
{
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    coil_spawn_result(coil_loop_root(loop), &listener->seen,
            listen_for(listener, COIL_SIGNALS(SIGRTMIN + 3)));
    EXPECT_EQ(0, coil_loop_run(loop));
    coil_loop_destroy(loop);
    EXPECT_FALSE(blocked(SIGRTMIN + 3) || blocked(SIGPIPE));
}

/* The main thread must not be the one that gets them: it has no loop. */
class Threads : public testing::Test
{
protected:
    Threads()
    {
        change_mask(SIG_BLOCK, SIGRTMIN + 3);
    }

    ~Threads() override
    {
        change_mask(SIG_UNBLOCK, SIGRTMIN + 3);
    }

    void start(Listener *listener)
    {
        threads.emplace_back([listener] {
            change_mask(SIG_UNBLOCK, SIGRTMIN + 3);
            run_listener(listener);
        });
        while (!listener->ready)
            std::this_thread::yield();
    }

    void join()
    {
        for (std::thread &thread : threads)
            thread.join();
    }

    std::vector<std::thread> threads;
};

TEST_F(Threads, EachLoopGetsTheSignalsOfItsOwnThread)
{
    Audience audience = {70};
    Listener one(&audience);
    Listener two(&audience);
    start(&one);
    start(&two);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(0, pthread_kill(one.thread, SIGRTMIN + 3));
        if (i < 20) {
            EXPECT_EQ(0, pthread_kill(two.thread, SIGRTMIN + 3));
        }
    }
    join();
    EXPECT_EQ(50, one.seen);
    EXPECT_EQ(20, two.seen);
}

TEST_F(Threads, SignalsForTheProcessArriveInOneLoopEach)
{
    Audience audience = {100};
    Listener one(&audience);
    Listener two(&audience);
    start(&one);
    start(&two);
    for (int i = 0; i < 100; i++)
        send(SIGRTMIN + 3);
    join();
    EXPECT_EQ(100, one.seen + two.seen);
}

} // namespace
