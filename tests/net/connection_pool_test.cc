/* SPDX-License-Identifier: MIT */
/* One rule of the pool after the other; at random they are in connection_pool_random_test.cc. */
#include "ports.h"

#include <coil/balancer.h>
#include <coil/layer.h>
#include <coil/sched.h>

#include <algorithm>
#include <functional>
#include <memory>

#include <coil/sugar.h>

namespace
{

/* A pool, what its peer has accepted, and in which order its users got what. */
class Pool : public OnTestLoop
{
protected:
    void open(const coil_connection_pool_options &options = {})
    {
        open(port.text, options);
    }

    void open(const std::string &target, const coil_connection_pool_options &options)
    {
        ASSERT_EQ(0, coil_connection_pool_create(loop, target.c_str(), &options, &pool));
    }

    void TearDown() override
    {
        coil_connection_pool_destroy(pool);
        coil_test_settle(loop);
        for (const int peer : peers)
            close(peer);
        OnTestLoop::TearDown();
    }

    coil_connection_pool_stats stats() const
    {
        return coil_connection_pool_statistics(pool);
    }

    /* The next connection, as the peer has it. */
    int accepted()
    {
        peers.push_back(accept4(port.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        EXPECT_GE(peers.back(), 0) << strerror(errno);
        return peers.back();
    }

    void close_peer(int peer)
    {
        close(peer);
        peers.erase(std::find(peers.begin(), peers.end(), peer));
    }

    void pass(coil_duration duration)
    {
        coil_test_pass(loop, duration);
    }

    const OpenPort port;
    coil_connection_pool *pool = nullptr;
    std::vector<int> peers;
};

/* Somebody who wants a connection, and what he does with it. */
struct User {
    coil_connection_pool *pool;
    coil_duration limit = COIL_FOREVER;
    coil_duration holds = 0;
    bool keeps = true;
    bool reads = false;
    int rc = 1; /* 1: it is not over yet. */
    int read_rc = 1;
    coil_pooled *got = nullptr; /* While he has it. */
    uint64_t use_count = 0;
    int order = 0; /* When he got it. */
    coil_task *task = nullptr;

    static int served;
};

int User::served;

async(int, use, (User *) user)
{
    vars(coil_pooled *got; coil_slice in);

    defer(user->got = nullptr);
    user->rc = -ECANCELED;
    await(my->got, within(user->limit, coil_connection_pool_checkout(user->pool)));
    user->rc = coil_pointer_error(my->got);
    if (user->rc < 0)
        return 0;
    user->order = ++User::served;
    user->got = my->got;
    user->use_count = my->got->use_count;
    defer(coil_pooled_give_back(my->got));
    if (user->reads) {
        await(my->in, coil_read_some(my->got->stream));
        user->read_rc = static_cast<int>(my->in.size_bytes);
        coil_slice_release(&my->in);
    }
    await(coil_sleep(user->holds));
    my->got->reusable = user->keeps;
    return 0;
}

class PoolUsers : public Pool
{
protected:
    User *user(coil_duration holds = 0)
    {
        users.push_back(std::make_unique<User>());
        users.back()->pool = pool;
        users.back()->holds = holds;
        return users.back().get();
    }

    User *start(User *one)
    {
        one->rc = 1;
        one->task = coil_spawn(coil_loop_root(loop), use(one));
        return one;
    }

    User *start(coil_duration holds = 0)
    {
        return start(user(holds));
    }

    /* He comes and goes. */
    User *run(User *one)
    {
        start(one);
        coil_test_settle(loop);
        return one;
    }

    std::vector<std::unique_ptr<User>> users;
};

TEST_F(PoolUsers, UsesAConnectionAgain)
{
    open();
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(2u, run(user())->use_count);
    EXPECT_EQ(1u, stats().opened);
    EXPECT_EQ(1u, stats().idle);
    EXPECT_EQ(2u, stats().checkouts);
}

TEST_F(PoolUsers, ClosesAConnectionThatIsNotSaidToBeReusable)
{
    open();
    User *careless = user();
    careless->keeps = false;
    run(careless);
    EXPECT_EQ(1u, stats().closed_broken);
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(2u, stats().opened);
}

TEST_F(PoolUsers, TakesTheOneUsedLast)
{
    open();
    User *first = start(coil_s(1));
    User *second = start(coil_s(2));
    coil_test_settle(loop);
    const coil_pooled *last = second->got;
    EXPECT_NE(first->got, last);
    pass(coil_s(2));
    User *third = start(coil_s(1));
    coil_test_settle(loop);
    EXPECT_EQ(last, third->got);
    pass(coil_s(1));
}

TEST_F(PoolUsers, OpensNoMoreThanTheMaximumAndServesInOrder)
{
    coil_connection_pool_options options = {};
    options.max = 3;
    open(options);
    User::served = 0;
    for (int i = 0; i < 20; i++)
        start(coil_s(1));
    coil_test_settle(loop);
    EXPECT_EQ(3u, stats().busy);
    EXPECT_EQ(17u, stats().waiting);
    pass(coil_s(10));
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(i + 1, users[static_cast<size_t>(i)]->order);
    EXPECT_EQ(3u, stats().opened);
    EXPECT_EQ(3u, stats().idle);
}

TEST_F(PoolUsers, RefusesWhenTooManyWait)
{
    coil_connection_pool_options options = {};
    options.max = 1;
    options.waiters_max = 2;
    open(options);
    start(coil_s(1));
    coil_test_settle(loop);
    start();
    start();
    EXPECT_EQ(-EBUSY, run(user())->rc);
    EXPECT_EQ(1u, stats().refused);
    pass(coil_s(1));
    EXPECT_EQ(0, users[2]->rc);
}

TEST_F(PoolUsers, ADeadlineTakesNothing)
{
    coil_connection_pool_options options = {};
    options.max = 1;
    open(options);
    start(coil_s(10));
    coil_test_settle(loop);
    User *hasty = user();
    hasty->limit = coil_s(1);
    start(hasty);
    pass(coil_s(2));
    EXPECT_EQ(-ETIME, hasty->rc);
    EXPECT_EQ(0u, stats().waiting);
    pass(coil_s(8));
    EXPECT_EQ(1u, stats().idle);
}

async(int, until_opening, (coil_connection_pool *) pool)
{
    vars();
    while (coil_connection_pool_statistics(pool).opening == 0)
        await(coil_yield());
    return 0;
}

TEST_F(PoolUsers, AConnectionWhoseWaiterHasGoneIsForTheNext)
{
    open();
    User *gone = start();
    EXPECT_EQ(0, coil_loop_run_until(loop, until_opening(pool)));
    coil_task_cancel(gone->task);
    coil_test_settle(loop);
    EXPECT_EQ(-ECANCELED, gone->rc);
    EXPECT_EQ(1u, stats().idle);
    EXPECT_EQ(1u, stats().opened);
    EXPECT_EQ(0, run(user())->rc);
    EXPECT_EQ(1u, stats().opened);
}

TEST_F(PoolUsers, WhatWasHandedOverBeforeTheCancellationIsDelivered)
{
    coil_connection_pool_options options = {};
    options.max = 1;
    open(options);
    User *first = start(coil_s(1));
    coil_test_settle(loop);
    User *second = start(coil_s(1));
    coil_test_settle(loop);
    first->got->reusable = true;
    coil_task_cancel(first->task);
    coil_task_cancel(second->task);
    coil_test_settle(loop);
    EXPECT_EQ(0u, stats().busy + stats().waiting);
    EXPECT_EQ(stats().opened, stats().idle + stats().closed_broken);
}

/* ---------------------------------------------------------------------------- time limits -- */

TEST_F(PoolUsers, ClosesWhatIsIdleForTooLongButForTheMinimum)
{
    coil_connection_pool_options options = {};
    options.min = 2;
    options.idle_limit = coil_s(30);
    open(options);
    coil_test_settle(loop);
    EXPECT_EQ(2u, stats().idle); /* Opened in advance. */
    for (int i = 0; i < 5; i++)
        start(coil_s(1));
    pass(coil_s(30));
    EXPECT_EQ(5u, stats().idle);
    pass(coil_s(1));
    EXPECT_EQ(2u, stats().idle);
    EXPECT_EQ(3u, stats().closed_idle);
    pass(coil_s(1000));
    EXPECT_EQ(2u, stats().idle);
    EXPECT_EQ(5u, stats().begun);
}

TEST_F(PoolUsers, ReplacesWhatIsTooOldAndNotAllAtTheSameTime)
{
    coil_connection_pool_options options = {};
    options.min = 10;
    options.age_limit = coil_s(100);
    options.age_jitter_percent = 50;
    options.seed = 1;
    open(options);
    coil_test_settle(loop);
    pass(coil_s(50));
    EXPECT_EQ(0u, stats().closed_aged);
    pass(coil_s(25));
    EXPECT_GT(stats().closed_aged, 0u);
    EXPECT_LT(stats().closed_aged, 10u);
    pass(coil_s(25));
    EXPECT_GE(stats().closed_aged, 10u);
    EXPECT_EQ(10u, stats().idle);
}

TEST_F(PoolUsers, ClosesWhatHasBecomeTooOldInUse)
{
    coil_connection_pool_options options = {};
    options.age_limit = coil_s(10);
    open(options);
    User *slow = start(coil_s(20));
    pass(coil_s(20));
    EXPECT_EQ(0, slow->rc);
    EXPECT_EQ(1u, stats().closed_aged);
    EXPECT_EQ(0u, stats().idle);
}

TEST_F(PoolUsers, GivesUpOpeningWhenNobodyAnswers)
{
    const SilentPort silent;
    coil_connection_pool_options options = {};
    options.open_limit = coil_s(3);
    open(silent.text, options);
    User *one = start();
    pass(coil_s(3));
    EXPECT_EQ(-ETIME, one->rc);
    EXPECT_EQ(1u, stats().open_failed);
}

/* ----------------------------------------------------------------------------- health -- */

TEST_F(PoolUsers, DoesNotHandOutWhatThePeerHasClosed)
{
    open();
    run(user());
    close_peer(accepted());
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(1u, stats().closed_unfit);
}

TEST_F(PoolUsers, DoesNotHandOutWhatThePeerHasReset)
{
    open();
    run(user());
    const linger hard = {1, 0};
    const int peer = accepted();
    ASSERT_EQ(0, setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
    close_peer(peer);
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(1u, stats().closed_unfit);
}

TEST_F(PoolUsers, DoesNotHandOutWhatHasSomethingToRead)
{
    open();
    run(user());
    EXPECT_EQ(1, send(accepted(), "x", 1, 0));
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(1u, stats().closed_unfit);
}

TEST_F(PoolUsers, SeesThatOnConnectionsThatHaveBeenReadToo)
{
    open();
    for (const bool ends : {true, false}) {
        User *reader = user();
        reader->reads = true;
        run(reader);
        const int peer = accepted();
        EXPECT_EQ(1, send(peer, "x", 1, 0));
        coil_test_settle(loop);
        EXPECT_EQ(1, reader->read_rc);
        EXPECT_EQ(1u, stats().idle);
        if (ends)
            close_peer(peer);
        else
            EXPECT_EQ(1, send(peer, "y", 1, 0));
        EXPECT_EQ(1u, run(user())->use_count);
        User *last = user(); /* What is idle now is not wanted. */
        last->keeps = false;
        run(last);
        (void)accepted();
    }
    EXPECT_EQ(2u, stats().closed_unfit);
}

/* ------------------------------------------------------------------------------ hooks -- */

struct Hooks {
    coil_pool_hooks hooks = {};
    int prepare_rc = 0;
    int check_rc = 0;
    coil_duration takes = 0;
    int prepared = 0;
    int checked = 0;
    int disposed = 0;

    Hooks()
    {
        hooks.dispose = [](coil_pool_hooks *self, coil_pooled *pooled) {
            coil_container_of(self, Hooks, hooks)->disposed += pooled->session != nullptr;
        };
    }
};

Hooks *hooks_of(coil_pooled *pooled)
{
    return coil_container_of(pooled->hooks, Hooks, hooks);
}

async(int, prepare, (coil_pooled *) pooled)
{
    vars(Hooks *self);
    my->self = hooks_of(pooled);
    my->self->prepared++;
    pooled->session = my->self;
    await(coil_sleep(my->self->takes));
    return my->self->prepare_rc;
}

async(int, check, (coil_pooled *) pooled)
{
    vars(Hooks *self);
    my->self = hooks_of(pooled);
    my->self->checked++;
    EXPECT_EQ(my->self, pooled->session);
    await(coil_sleep(my->self->takes));
    return my->self->check_rc;
}

class PoolHooks : public PoolUsers
{
protected:
    PoolHooks()
    {
        hooks.hooks.prepare = coil_handler(prepare, coil_pooled *);
        hooks.hooks.check = coil_handler(check, coil_pooled *);
        options.hooks = &hooks.hooks;
    }

    Hooks hooks;
    coil_connection_pool_options options = {};
};

TEST_F(PoolHooks, PreparesEachOnceAndChecksItBeforeEachFurtherUse)
{
    open(options);
    run(user());
    EXPECT_EQ(0, hooks.checked);
    run(user());
    run(user());
    EXPECT_EQ(1, hooks.prepared);
    EXPECT_EQ(2, hooks.checked);
    coil_connection_pool_shutdown(pool);
    EXPECT_EQ(1, hooks.disposed);
}

TEST_F(PoolHooks, WhatCannotBePreparedIsTheErrorOfWhoWaits)
{
    hooks.prepare_rc = -EACCES;
    open(options);
    EXPECT_EQ(-EACCES, run(user())->rc);
    EXPECT_EQ(1, hooks.disposed);
    EXPECT_EQ(0u, stats().opened);
    EXPECT_EQ(1u, stats().open_failed);
}

TEST_F(PoolHooks, TakesAnotherWhenTheCheckFails)
{
    open(options);
    run(user());
    hooks.check_rc = -EIO;
    User *one = run(user());
    EXPECT_EQ(0, one->rc);
    EXPECT_EQ(1u, one->use_count);
    EXPECT_EQ(1u, stats().closed_unfit);
    EXPECT_EQ(2u, stats().opened);
}

TEST_F(PoolHooks, WhoseCheckFailsIsServedBeforeThoseWhoCameLater)
{
    options.max = 1;
    open(options);
    run(user());
    hooks.check_rc = -EIO;
    hooks.takes = coil_ms(100);
    User::served = 0;
    User *first = start(coil_s(1));
    coil_test_settle(loop);
    User *second = start(coil_s(1));
    pass(coil_s(10));
    EXPECT_EQ(1, first->order);
    EXPECT_EQ(2, second->order);
}

TEST_F(PoolHooks, ACheckThatTakesTooLongHasFailed)
{
    options.check_limit = coil_ms(10);
    open(options);
    run(user());
    hooks.takes = coil_ms(20);
    User *one = start();
    pass(coil_ms(30));
    EXPECT_EQ(0, one->rc);
    EXPECT_EQ(1u, stats().closed_unfit);
}

TEST_F(PoolHooks, WhoIsCancelledInACheckLeavesNothing)
{
    open(options);
    run(user());
    hooks.takes = coil_ms(20);
    User *one = start();
    coil_test_settle(loop);
    EXPECT_EQ(1u, stats().busy);
    coil_task_cancel(one->task);
    coil_test_settle(loop);
    EXPECT_EQ(0u, stats().busy + stats().idle);
    EXPECT_EQ(1u, stats().closed_unfit);
}

TEST_F(PoolHooks, AShutdownDuringACheckThatFailsIsTheEnd)
{
    open(options);
    run(user());
    hooks.takes = coil_ms(20);
    hooks.check_rc = -EIO;
    User *one = start();
    coil_test_settle(loop);
    coil_connection_pool_destroy(pool);
    pool = nullptr;
    pass(coil_ms(20));
    EXPECT_EQ(-ESHUTDOWN, one->rc);
}

/* ---------------------------------------------------------------------------- failures -- */

async(int, close_pool, (coil_connection_pool *) pool, (int *) out_rc)
{
    vars();
    await(*out_rc, coil_connection_pool_close(pool));
    return 0;
}

/* A hook that ends the pool, with its first connection. */
class PoolEnder : public PoolHooks, public testing::WithParamInterface<bool>
{
protected:
    PoolEnder()
    {
        ender = this;
        hooks.hooks.check = {};
        hooks.hooks.dispose = [](coil_pool_hooks *, coil_pooled *pooled) {
            ender->disposed++;
            if (ender->pool == nullptr)
                return;
            if (!GetParam()) {
                coil_connection_pool_shutdown(pooled->pool);
                return;
            }
            ender->pool = nullptr;
            coil_connection_pool_destroy(pooled->pool);
        };
    }

    /* `count` are idle, the peers of all of them known. */
    void fill(int count)
    {
        options.max = 4;
        open(options);
        for (int i = 0; i < count; i++)
            start(coil_ms(1));
        pass(coil_ms(2));
        for (int i = 0; i < count; i++)
            accepted();
        ASSERT_EQ(static_cast<unsigned>(count), stats().idle);
    }

    static PoolEnder *ender;
    int disposed = 0;
};

PoolEnder *PoolEnder::ender;

TEST_P(PoolEnder, MayDoSoWhenAConnectionIsGivenBack)
{
    fill(3);
    User *last = user();
    last->keeps = false;
    EXPECT_EQ(0, run(last)->rc);
    EXPECT_EQ(3, disposed);
}

TEST_P(PoolEnder, MayDoSoWhenAConnectionIsFoundUnfit)
{
    fill(3);
    for (const int peer : std::vector<int>(peers))
        close_peer(peer);
    pass(coil_ms(1));
    EXPECT_EQ(-ESHUTDOWN, run(user())->rc);
    EXPECT_EQ(3, disposed);
}

TEST_P(PoolEnder, MayDoSoWhenConnectionsHaveBeenIdleForTooLong)
{
    options.idle_limit = coil_s(1);
    fill(3);
    pass(coil_s(2));
    EXPECT_EQ(3, disposed);
}

TEST_P(PoolEnder, MayDoSoWhenACheckFails)
{
    hooks.hooks.check = coil_handler(check, coil_pooled *);
    hooks.check_rc = -EIO;
    fill(3);
    EXPECT_EQ(-ESHUTDOWN, run(user())->rc);
    EXPECT_EQ(3, disposed);
}

TEST_P(PoolEnder, MayDoSoWhenAConnectionCannotBePrepared)
{
    hooks.prepare_rc = -EACCES;
    open(options);
    User *first = start();
    EXPECT_EQ(-ESHUTDOWN, run(user())->rc);
    EXPECT_EQ(-ESHUTDOWN, first->rc);
}

TEST_P(PoolEnder, MayDoSoWhenItIsTerminated)
{
    fill(3);
    coil_connection_pool_terminate(pool);
    EXPECT_EQ(3, disposed);
}

TEST_P(PoolEnder, MayDoSoWhenItIsClosed)
{
    int rc = 1;
    fill(3);
    coil_spawn(coil_loop_root(loop), close_pool(pool, &rc));
    coil_test_settle(loop);
    EXPECT_EQ(0, rc);
    EXPECT_EQ(3, disposed);
}

INSTANTIATE_TEST_SUITE_P(Ends, PoolEnder, testing::Bool());

TEST_F(PoolUsers, OneFailureIsTheErrorOfOneWhoWaits)
{
    const ClosedPort closed;
    coil_connection_pool_options options = {};
    options.max = 2;
    options.backoff_base = coil_s(1);
    options.seed = 1;
    open(closed.text, options);
    for (int i = 0; i < 5; i++)
        start();
    coil_test_settle(loop);
    EXPECT_EQ(-ECONNREFUSED, users[0]->rc);
    EXPECT_EQ(-ECONNREFUSED, users[1]->rc);
    EXPECT_EQ(-ECANCELED, users[2]->rc); /* Not over yet. */
    EXPECT_EQ(2u, stats().open_failed);
    EXPECT_EQ(3u, stats().waiting);
    pass(coil_s(60));
    EXPECT_EQ(-ECONNREFUSED, users[4]->rc);
    EXPECT_EQ(5u, stats().begun);
}

TEST_F(PoolUsers, FailuresSideBySideAreOneReasonToWait)
{
    const ClosedPort closed;
    coil_connection_pool_options options = {};
    options.backoff_base = coil_ms(100);
    options.seed = 1;
    open(closed.text, options);
    for (int i = 0; i < 10; i++)
        start();
    coil_test_settle(loop);
    EXPECT_EQ(10u, stats().open_failed);
    EXPECT_EQ(0, listen(closed.fd, 10));
    User *late = start();
    pass(coil_ms(100));
    EXPECT_EQ(0, late->rc);
}

TEST_F(PoolUsers, ManyWhoComeAgainDoNotMeanManyAttempts)
{
    const ClosedPort closed;
    coil_connection_pool_options options = {};
    options.min = 10;
    options.backoff_base = coil_ms(100);
    options.backoff_cap = coil_s(10);
    options.seed = 1;
    open(closed.text, options);
    for (int second = 0; second < 600; second++) {
        User *hasty = user();
        hasty->limit = coil_ms(900);
        start(hasty);
        pass(coil_s(1));
    }
    EXPECT_LT(stats().begun, 200u); /* About one in five seconds. */
    EXPECT_GT(stats().begun, 60u);
    EXPECT_EQ(0u, stats().opened + stats().waiting);
}

TEST_F(PoolUsers, ATargetThatIsNoneMakesNoPool)
{
    coil_connection_pool *none = nullptr;
    for (const char *target :
            {"localhost", "", "localhost:", "local host:80", "unix:", "127.0.0.1"})
        EXPECT_EQ(-EINVAL, coil_connection_pool_create(loop, target, nullptr, &none)) << target;
    EXPECT_EQ(-ERANGE, coil_connection_pool_create(loop, "localhost:65536", nullptr, &none));
    coil_balancer *nor = nullptr;
    EXPECT_EQ(-EINVAL, coil_balancer_create(loop, "localhost", nullptr, &nor));
    open("[fe80::1%no-such-yet]:80", coil_connection_pool_options{});
}

TEST_F(PoolUsers, AnOpenBreakerRefusesAtOnceAndLetsAProbeThrough)
{
    const ClosedPort closed;
    const coil_circuit_breaker_options often = {0, 2, 50, coil_s(5), coil_s(5), 0};
    coil_circuit_breaker breaker;
    coil_circuit_breaker_init(&breaker, &often);
    coil_connection_pool_options options = {};
    options.backoff_base = 1;
    options.breaker = &breaker;
    open(closed.text, options);
    EXPECT_EQ(-ECONNREFUSED, run(user())->rc);
    pass(coil_ms(1));
    EXPECT_EQ(-ECONNREFUSED, run(user())->rc);
    EXPECT_EQ(COIL_CIRCUIT_OPEN, breaker.state);
    EXPECT_EQ(-EHOSTDOWN, run(user())->rc);
    EXPECT_EQ(2u, stats().begun);
    EXPECT_EQ(0, listen(closed.fd, 10)); /* It is there again. */
    pass(coil_s(5));
    EXPECT_EQ(0, run(user())->rc);
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
    EXPECT_EQ(breaker.stats.admitted, breaker.stats.succeeded + breaker.stats.failed);
}

/* -------------------------------------------------------------------------------- the end -- */

TEST_F(PoolUsers, AShutdownRefusesWhoWaitsAndWhoComes)
{
    coil_connection_pool_options options = {};
    options.max = 1;
    open(options);
    User *busy = start(coil_s(10));
    coil_test_settle(loop);
    User *waits = start();
    coil_test_settle(loop);
    coil_connection_pool_shutdown(pool);
    coil_test_settle(loop);
    EXPECT_EQ(-ESHUTDOWN, waits->rc);
    EXPECT_EQ(-ESHUTDOWN, run(user())->rc);
    pass(coil_s(10));
    EXPECT_EQ(0, busy->rc);
    EXPECT_EQ(1u, stats().closed_shutdown);
}

TEST_F(PoolUsers, CloseWaitsForThoseInUse)
{
    open();
    start(coil_s(3));
    run(user());
    int rc = 1;
    spawn(coil_loop_root(loop), close_pool(pool, &rc));
    pass(coil_s(2));
    EXPECT_EQ(1, rc);
    pass(coil_s(1));
    EXPECT_EQ(0, rc);
    EXPECT_EQ(stats().opened, stats().closed_shutdown);
}

TEST_F(PoolUsers, CloseEndsAttemptsToOpen)
{
    const SilentPort silent;
    open(silent.text, {});
    User *one = start();
    coil_test_settle(loop);
    EXPECT_EQ(1u, stats().opening);
    int rc = 1;
    spawn(coil_loop_root(loop), close_pool(pool, &rc));
    coil_test_settle(loop);
    EXPECT_EQ(0, rc);
    EXPECT_EQ(-ESHUTDOWN, one->rc);
    EXPECT_EQ(0u, stats().opening);
    EXPECT_EQ(1u, stats().open_failed);
}

TEST_F(PoolUsers, TerminateEndsTheReadsOfThoseInUse)
{
    open();
    User *reader = user();
    reader->reads = true;
    start(reader);
    coil_test_settle(loop);
    coil_connection_pool_terminate(pool);
    coil_test_settle(loop);
    EXPECT_EQ(-ESHUTDOWN, reader->read_rc);
    EXPECT_EQ(0u, stats().busy);
}

/* A handshake that fails leaves none (coil/tls.h). */
TEST_F(PoolUsers, OneThatHasNoStreamAnyMoreIsTakenBackAndTerminatedLikeAnyOther)
{
    open();
    User *one = start(coil_s(1));
    User *other = start(coil_s(2));
    coil_test_settle(loop);
    for (const User *each : {one, other}) {
        coil_stream_close(each->got->stream);
        each->got->stream = nullptr;
    }
    pass(coil_s(1));
    EXPECT_EQ(1u, stats().closed_broken) << "though he says that it is reusable";
    coil_connection_pool_terminate(pool);
    pass(coil_s(1));
    EXPECT_EQ(0u, stats().busy);
    EXPECT_EQ(2u, stats().closed_broken);
}

TEST_F(PoolUsers, ADestroyedPoolTakesBackWhatIsInUse)
{
    open();
    start(coil_s(1));
    start(coil_s(2));
    coil_test_settle(loop);
    coil_connection_pool_destroy(pool);
    pool = nullptr;
    pass(coil_s(2));
}

TEST_F(PoolUsers, ItsAttemptsAreTasksOfTheGroupThatItWasGiven)
{
    const SilentPort silent;
    coil_group group;
    coil_group_init(&group, coil_loop_root(loop)->sched);
    coil_connection_pool_options options = {};
    options.group = &group;
    open(silent.text, options);
    User *one = start();
    coil_test_settle(loop);
    EXPECT_EQ(1u, group.live_count);
    coil_connection_pool_destroy(pool);
    pool = nullptr;
    coil_test_settle(loop);
    EXPECT_EQ(0u, group.live_count);
    EXPECT_EQ(0u, group.failed_count);
    EXPECT_EQ(-ESHUTDOWN, one->rc);
}

using PoolOptions = OnTestLoop;

TEST_F(PoolOptions, AreChecked)
{
    coil_connection_pool *pool = nullptr;
    coil_connection_pool_options options = {};
    options.min = 3;
    options.max = 2;
    EXPECT_EQ(-EINVAL, coil_connection_pool_create(loop, "127.0.0.1:1", &options, &pool));
    options.min = 0;
    options.age_jitter_percent = 101;
    EXPECT_EQ(-EINVAL, coil_connection_pool_create(loop, "127.0.0.1:1", &options, &pool));
    EXPECT_EQ(-ENAMETOOLONG,
            coil_connection_pool_create(loop, std::string(300, 'a').c_str(), nullptr, &pool));
    EXPECT_EQ(nullptr, pool);
    coil_connection_pool_destroy(nullptr);
    coil_pooled_give_back(nullptr);
}

/* ----------------------------------------------------------------------------- layers -- */

/* A layer whose peer says 't' to it alone, and '!' at the end, as TLS has tickets and alerts. */
struct Sieve {
    coil_layer layer;
    bool has_ended;
    std::string *taken;
};

Sieve *sieve_of(coil_layer *layer)
{
    return coil_container_of(layer, Sieve, layer);
}

int sieve_look(coil_layer *layer, coil_task *task)
{
    Sieve *sieve = sieve_of(layer);
    int rc = 1;
    while (sieve->taken->empty() && !sieve->has_ended &&
            (rc = coil_receiver_look(layer->below, task)) > 0) {
        coil_slice *front = coil_receiver_front(layer->below);
        for (int64_t i = 0; i < front->size_bytes; i++) {
            sieve->has_ended |= front->bytes[i] == '!';
            if (front->bytes[i] != 't' && front->bytes[i] != '!')
                sieve->taken->push_back(front->bytes[i]);
        }
        coil_slice_release(front);
    }
    if (!sieve->taken->empty())
        return 1;
    return sieve->has_ended ? 0 : rc;
}

size_t sieve_take(coil_layer *layer, char *bytes, size_t size_bytes)
{
    Sieve *sieve = sieve_of(layer);
    const size_t count = sieve->taken->copy(bytes, size_bytes);
    sieve->taken->erase(0, count);
    return count;
}

int sieve_seal(coil_layer *layer, const char *bytes, size_t size_bytes)
{
    return coil_layer_put(layer, bytes, size_bytes);
}

int sieve_finish(coil_layer *layer)
{
    return coil_layer_put(layer, "!", 1);
}

void sieve_destroy(coil_layer *layer)
{
    delete sieve_of(layer)->taken;
    delete sieve_of(layer);
}

const coil_layer_kind sieve_kind = {
        "sieve", sieve_look, sieve_take, sieve_seal, sieve_finish, sieve_destroy};

async(int, put_sieve, (coil_pooled *) pooled)
{
    vars();
    auto *sieve = new Sieve{{&sieve_kind, nullptr, nullptr}, false, new std::string};
    return coil_layer_attach(&sieve->layer, pooled->stream, &pooled->stream);
}

class PoolOfLayers : public PoolUsers
{
protected:
    void SetUp() override
    {
        PoolUsers::SetUp();
        hooks.prepare = coil_handler(put_sieve, coil_pooled *);
        coil_connection_pool_options options = {};
        options.hooks = &hooks;
        open(options);
    }

    coil_pool_hooks hooks = {};
};

TEST_F(PoolOfLayers, KeepsAConnectionWhosePeerHasSpokenToTheLayer)
{
    EXPECT_EQ(1u, run(user())->use_count);
    const int peer = accepted();
    ASSERT_EQ(2, write(peer, "tt", 2));
    EXPECT_EQ(2u, run(user())->use_count);
    ASSERT_EQ(1, write(peer, "t", 1));
    EXPECT_EQ(3u, run(user())->use_count);
    EXPECT_EQ(0u, stats().closed_unfit);
}

TEST_F(PoolOfLayers, ClosesOneWhosePeerHasSpokenToItsReaderOrEnded)
{
    run(user());
    ASSERT_EQ(2, write(accepted(), "tx", 2));
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(1u, stats().closed_unfit);
    ASSERT_EQ(2, write(accepted(), "t!", 2));
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(2u, stats().closed_unfit);
    close_peer(accepted());
    EXPECT_EQ(1u, run(user())->use_count);
    EXPECT_EQ(3u, stats().closed_unfit);
}

TEST_F(PoolOfLayers, TerminateEndsTheReadsOfThoseInUse)
{
    User *reader = user();
    reader->reads = true;
    start(reader);
    coil_test_settle(loop);
    coil_connection_pool_terminate(pool);
    coil_test_settle(loop);
    EXPECT_EQ(-ESHUTDOWN, reader->read_rc);
    EXPECT_EQ(0u, stats().busy);
}

} // namespace
