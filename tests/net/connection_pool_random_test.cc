/* SPDX-License-Identifier: MIT */
/*
 * Random users of a pool, with deadlines and cancellations at any time, against a peer that closes,
 * resets, talks out of turn, refuses or is slow, and while memory runs out. After each step the
 * books balance: no connection too many, none lost, none counted twice, nobody overtakes. Virtual
 * time, so one seed is one schedule: COIL_SEED=<n> repeats a run.
 */
#include "ports.h"

#include <coil/connection_pool.h>
#include <coil/random.h>
#include <coil/sched.h>

#include "../sync/seeds.h"

#include <algorithm>
#include <list>
#include <set>

#include <coil/sugar.h>

namespace
{

/* Who takes part, and what may happen to them. */
struct World {
    coil_random random = {};
    coil_socket_hook outage_hook = {};
    coil_pool_hooks hooks = {};
    coil_connection_pool_options options = {};
    coil_circuit_breaker breaker = {};
    coil_loop *loop = nullptr;
    coil_connection_pool *pool = nullptr;
    const OpenPort port;
    std::vector<int> peers = {};
    std::list<coil_task *> users = {};
    std::set<uint64_t> waiting = {}; /* The numbers of those who are in a checkout. */
    uint64_t arrivals = 0;
    uint64_t got = 0;
    uint64_t failed_checks = 0;
    long sessions = 0; /* Prepared and not disposed of. */
    bool outage = false;
    bool scarce = false;
    bool calm = false;

    uint64_t below(uint64_t count)
    {
        return coil_random_below(&random, count);
    }

    bool one_in(uint64_t count)
    {
        return below(count) == 0;
    }

    coil_duration nap(coil_duration limit)
    {
        return calm || one_in(3) ? 0 : coil_random_duration(&random, limit);
    }

    /* The invariants of the header, and what the users know. */
    void audit() const
    {
        const coil_connection_pool_stats stats = coil_connection_pool_statistics(pool);
        EXPECT_LE(stats.opening + stats.idle + stats.busy, options.max);
        EXPECT_EQ(stats.opened, stats.idle + stats.busy + stats.closed_idle + stats.closed_aged +
                                        stats.closed_unfit + stats.closed_broken +
                                        stats.closed_shutdown);
        EXPECT_EQ(stats.begun, stats.opening + stats.opened + stats.open_failed);
        EXPECT_TRUE(stats.waiting == 0 || stats.idle == 0);
        EXPECT_LE(stats.waiting, waiting.size());
        const coil_circuit_stats &calls = breaker.stats;
        EXPECT_EQ(calls.admitted, calls.succeeded + calls.failed + calls.abandoned + calls.stale +
                                          (options.breaker == nullptr ? 0 : stats.opening));
    }
};

thread_local World *world;

} // namespace

/* The program is linked with --wrap for these. */
extern "C" void *__real_calloc(size_t count, size_t size);
extern "C" void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    if (world != nullptr && world->scarce && world->one_in(3))
        return nullptr;
    return __real_calloc(count, size);
}

extern "C" coil_task *__real_coil_task_create(coil_sched *sched, const coil_fn *fn);
extern "C" coil_task *__wrap_coil_task_create(coil_sched *sched, const coil_fn *fn);
coil_task *__wrap_coil_task_create(coil_sched *sched, const coil_fn *fn)
{
    if (world != nullptr && world->scarce && world->one_in(3))
        return nullptr;
    return __real_coil_task_create(sched, fn);
}

namespace
{

/* ------------------------------------------------------------------------------ the users -- */

async(int, prepare, (coil_pooled *) pooled)
{
    vars();
    pooled->session = world;
    world->sessions++;
    await(coil_sleep(world->nap(coil_ms(200))));
    return world->calm || !world->one_in(5) ? 0 : -EACCES;
}

async(int, check, (coil_pooled *) pooled)
{
    vars();
    EXPECT_EQ(world, pooled->session);
    await(coil_sleep(world->nap(coil_ms(200))));
    if (world->calm || !world->one_in(5))
        return 0;
    return -EIO;
}

bool is_known(int rc)
{
    const int known[] = {
            0, -ECANCELED, -ETIME, -EBUSY, -EHOSTDOWN, -ESHUTDOWN, -ECONNREFUSED, -EACCES, -ENOMEM};
    return std::find(std::begin(known), std::end(known), rc) != std::end(known);
}

/*
 * Whoever is served, or told of a failure, has waited longest: the pool has none in its queue but
 * those who came later. (Who came before may have been served without having run since, if another
 * connection was idle when we came. A check may take its time.)
 */
void checkout_ended(uint64_t number, int rc)
{
    EXPECT_TRUE(is_known(rc)) << rc;
    const bool in_turn = rc == 0 || rc == -ECONNREFUSED || rc == -EACCES || rc == -ENOMEM;
    if (in_turn && world->hooks.check.fn == nullptr) {
        const auto later = std::distance(world->waiting.upper_bound(number), world->waiting.end());
        EXPECT_LE(coil_connection_pool_statistics(world->pool).waiting, later) << rc;
    }
    world->waiting.erase(number);
    world->got += rc == 0;
    world->audit();
}

async(int, use_once)
{
    vars(coil_pooled *got; uint64_t number; int rc; coil_duration limit);

    my->number = ++world->arrivals;
    world->waiting.insert(my->number);
    my->rc = -ECANCELED;
    defer(if (my->rc == -ECANCELED) checkout_ended(my->number, my->rc));
    my->limit = world->one_in(2) ? COIL_FOREVER : world->nap(coil_s(1));
    await(my->got, within(my->limit, coil_connection_pool_checkout(world->pool)));
    my->rc = coil_pointer_error(my->got);
    checkout_ended(my->number, my->rc);
    if (my->rc < 0)
        return my->rc;
    defer(world->audit());
    defer(coil_pooled_give_back(my->got));
    EXPECT_FALSE(my->got->reusable);
    await(coil_sleep(world->nap(coil_ms(300))));
    my->got->reusable = !world->one_in(4);
    return 0;
}

async(int, user, (int) times)
{
    vars(int i; int rc; coil_task *self);

    my->self = coil_self;
    world->users.push_back(coil_self);
    defer(world->users.remove(my->self));
    for (my->i = 0; my->i < times; my->i++) {
        await(coil_sleep(world->nap(coil_ms(500))));
        await(my->rc, use_once());
    }
    return 0;
}

/* --------------------------------------------------------------------------- the mischief -- */

void accept_all()
{
    for (int peer; (peer = accept4(world->port.fd, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
        world->peers.push_back(peer);
}

void close_peer(size_t at, bool hard)
{
    const linger reset = {hard ? 1 : 0, 0};
    (void)setsockopt(world->peers[at], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(world->peers[at]);
    world->peers.erase(world->peers.begin() + static_cast<long>(at));
}

void bother_peer()
{
    accept_all();
    if (world->peers.empty())
        return;
    const size_t at = world->below(world->peers.size());
    if (world->one_in(3))
        (void)send(world->peers[at], "x", 1, MSG_NOSIGNAL);
    else
        close_peer(at, world->one_in(2));
}

void cancel_somebody()
{
    if (world->users.empty())
        return;
    auto at = world->users.begin();
    std::advance(at, static_cast<long>(world->below(world->users.size())));
    coil_task_cancel(*at);
}

async(int, mischief, (int) times)
{
    vars(int i);
    for (my->i = 0; my->i < times; my->i++) {
        await(coil_sleep(world->nap(coil_ms(40))));
        switch (world->below(5)) {
        case 0:
        case 1:
            bother_peer();
            break;
        case 2:
            cancel_somebody();
            break;
        case 3:
            world->outage = world->one_in(3);
            break;
        default:
            world->scarce = world->one_in(3);
            break;
        }
        world->audit();
    }
    world->outage = false;
    world->scarce = false;
    world->calm = true;
    return 0;
}

async(int, crowd)
{
    vars(coil_group group; int i);
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < 12; my->i++)
        spawn(&my->group, user(8));
    spawn(&my->group, mischief(150));
    ignore(coil_group_join(&my->group));
    return 0;
}

/* -------------------------------------------------------------------------------- the run -- */

void draw_options(World *drawn)
{
    coil_connection_pool_options *options = &drawn->options;
    const coil_circuit_breaker_options often = {coil_s(1), 5, 60, coil_ms(200), coil_s(1), 1};

    options->max = 1 + static_cast<unsigned>(drawn->below(5));
    options->min = static_cast<unsigned>(drawn->below(options->max + 1));
    options->waiters_max = drawn->one_in(3) ? 4 : 0;
    options->idle_limit = drawn->one_in(2) ? coil_ms(300) : 0;
    options->age_limit = drawn->one_in(2) ? coil_s(1) : 0;
    options->open_limit = coil_ms(150);
    options->check_limit = coil_ms(150);
    options->backoff_base = coil_ms(20);
    options->backoff_cap = coil_ms(100);
    options->seed = drawn->below(1000) + 1;
    coil_circuit_breaker_init(&drawn->breaker, &often);
    options->breaker = drawn->one_in(3) ? &drawn->breaker : nullptr;
    options->connect.prepare = &drawn->outage_hook;
    drawn->outage_hook.prepare = [](coil_socket_hook *, int, const coil_address *) {
        return world->outage ? -ECONNREFUSED : 0;
    };
    options->hooks = &drawn->hooks;
    drawn->hooks.prepare = coil_handler(prepare, coil_pooled *);
    if (drawn->one_in(2))
        drawn->hooks.check = coil_handler(check, coil_pooled *);
    drawn->hooks.dispose = [](coil_pool_hooks *, coil_pooled *pooled) {
        world->sessions -= pooled->session != nullptr;
    };
}

void expect_quiet_end()
{
    const coil_connection_pool_stats stats = coil_connection_pool_statistics(world->pool);
    EXPECT_EQ(0u, stats.waiting);
    EXPECT_EQ(0u, stats.busy);
    EXPECT_LE(world->got, stats.checkouts);
    if (world->hooks.check.fn == nullptr) {
        EXPECT_EQ(world->got, stats.checkouts);
    }
    EXPECT_TRUE(world->waiting.empty());
}

/* Everything has calmed down: the minimum is there again. */
void expect_recovery()
{
    coil_test_pass(world->loop, coil_s(60));
    const coil_connection_pool_stats stats = coil_connection_pool_statistics(world->pool);
    EXPECT_GE(stats.opening + stats.idle, world->options.min);
    world->audit();
}

void run_random(coil_loop *loop, unsigned seed)
{
    const unsigned descriptors = open_descriptors();
    {
        World drawn;
        world = &drawn;
        coil_random_init(&drawn.random, seed);
        drawn.loop = loop;
        draw_options(&drawn);
        ASSERT_EQ(0, coil_connection_pool_create(
                             loop, drawn.port.text.c_str(), &drawn.options, &drawn.pool));
        EXPECT_EQ(0, coil_loop_run_until(loop, crowd()));
        expect_quiet_end();
        expect_recovery();
        coil_connection_pool_destroy(drawn.pool);
        coil_test_settle(loop);
        EXPECT_EQ(0, drawn.sessions);
        accept_all();
        while (!drawn.peers.empty())
            close_peer(0, true);
        world = nullptr;
    }
    EXPECT_EQ(descriptors, open_descriptors());
}

using PoolAtRandom = OnTestLoop;

TEST_F(PoolAtRandom, KeepsItsBooksWhateverHappens)
{
    for (const unsigned seed : seeds(150)) {
        SCOPED_TRACE(seed);
        run_random(loop, seed);
        if (HasFailure())
            return;
    }
}

} // namespace
