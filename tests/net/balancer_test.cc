/* SPDX-License-Identifier: MIT */
/* Several addresses on loopback, on a clock that jumps. */
#include "ports.h"

#include <coil/balancer.h>
#include <coil/random.h>
#include <coil/sched.h>

#include "../sync/seeds.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <list>
#include <memory>

#include <coil/sugar.h>

namespace
{

struct User {
    coil_balancer *balancer;
    coil_duration limit = COIL_FOREVER;
    coil_duration holds = 0;
    int rc = 1;
    coil_task *task = nullptr;
};

async(int, use, (User *) user)
{
    vars(coil_pooled *got);
    user->rc = -ECANCELED;
    await(my->got, within(user->limit, coil_balancer_checkout(user->balancer)));
    user->rc = coil_pointer_error(my->got);
    if (user->rc < 0)
        return 0;
    defer(coil_pooled_give_back(my->got));
    await(coil_sleep(user->holds));
    my->got->reusable = true;
    return 0;
}

class Balancer : public OnTestLoop
{
protected:
    void open(const char *target, coil_balancer_options options = {})
    {
        options.seed = options.seed == 0 ? 1 : options.seed;
        ASSERT_EQ(0, coil_balancer_create(loop, target, &options, &balancer));
    }

    void set(const std::vector<const Port *> &ports)
    {
        std::vector<coil_address> addresses;
        for (const Port *port : ports)
            addresses.push_back(port->address);
        ASSERT_EQ(0, coil_balancer_set_addresses(
                             balancer, addresses.data(), static_cast<unsigned>(addresses.size())));
    }

    void TearDown() override
    {
        coil_balancer_destroy(balancer);
        coil_test_pass(loop, coil_s(2000)); /* Whoever still has a connection gives it back. */
        OnTestLoop::TearDown();
    }

    User *start(coil_duration holds = 0)
    {
        users.push_back(std::make_unique<User>());
        User *one = users.back().get();
        one->balancer = balancer;
        one->holds = holds;
        one->task = coil_spawn(coil_loop_root(loop), use(one));
        return one;
    }

    User *run(coil_duration holds = 0)
    {
        User *one = start(holds);
        coil_test_settle(loop);
        return one;
    }

    coil_balancer_endpoint look(unsigned index) const
    {
        coil_balancer_endpoint endpoint = {};
        EXPECT_EQ(0, coil_balancer_look(balancer, index, &endpoint));
        return endpoint;
    }

    coil_balancer_stats stats() const
    {
        return coil_balancer_statistics(balancer);
    }

    coil_balancer *balancer = nullptr;
    std::vector<std::unique_ptr<User>> users;
};

TEST_F(Balancer, SpreadsTheLoad)
{
    const std::array<OpenPort, 4> ports;
    coil_balancer_options options = {};
    options.pool.max = 100;
    open(nullptr, options);
    set({&ports[0], &ports[1], &ports[2], &ports[3]});
    for (int i = 0; i < 100; i++)
        run(coil_s(1));
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_GE(look(i).pool.busy, 23u); /* By one random choice it would be 25 +- 9. */
        EXPECT_LE(look(i).pool.busy, 27u);
    }
    EXPECT_EQ(100u, stats().checkouts);
}

TEST_F(Balancer, AvoidsWhoIsSlow)
{
    const OpenPort quick;
    const OpenPort slow;
    coil_balancer_options options = {};
    options.pool.max = 100;
    open(nullptr, options);
    set({&quick, &slow});
    for (int i = 0; i < 200; i++) {
        User *one = run(coil_s(1000));
        if (look(0).pool.busy > 0) { /* The first answers at once. */
            coil_task_cancel(one->task);
            coil_test_settle(loop);
        }
    }
    EXPECT_LE(look(1).pool.busy, 4u);
}

TEST_F(Balancer, TriesAnotherAndEjectsWhoRefuses)
{
    const ClosedPort closed;
    const OpenPort open_port;
    open(nullptr);
    set({&closed, &open_port});
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(0, run()->rc);
    EXPECT_EQ(1u, stats().ejected);
    EXPECT_EQ(1u, look(0).pool.begun);
    EXPECT_EQ(1u, stats().failovers);
    EXPECT_EQ(COIL_CIRCUIT_OPEN, look(0).circuit);
}

TEST_F(Balancer, TriesAnEjectedAddressNowAndThenAndTakesItBack)
{
    const ClosedPort closed;
    const OpenPort other;
    open(nullptr);
    set({&closed, &other});
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(0, run()->rc);
        coil_test_pass(loop, coil_s(1));
    }
    EXPECT_GT(look(0).pool.begun, 2u);
    EXPECT_LT(look(0).pool.begun, 10u);
    EXPECT_EQ(0, listen(closed.fd, 100));
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(0, run()->rc);
        coil_test_pass(loop, coil_s(1));
    }
    EXPECT_EQ(0u, stats().ejected);
    EXPECT_GT(look(0).pool.checkouts, 10u);
}

TEST_F(Balancer, FailsAtOnceWhenAllAreEjected)
{
    const ClosedPort one;
    const ClosedPort other;
    open(nullptr);
    set({&one, &other});
    EXPECT_EQ(-ECONNREFUSED, run()->rc);
    EXPECT_EQ(-EHOSTDOWN, run()->rc);
    EXPECT_EQ(2u, stats().ejected);
    EXPECT_EQ(2u, stats().failed);
}

TEST_F(Balancer, WithoutAddressesThereIsNothing)
{
    open(nullptr);
    EXPECT_EQ(-EDESTADDRREQ, run()->rc);
}

TEST_F(Balancer, KeepsThePoolsOfAddressesThatRemain)
{
    const OpenPort one;
    const OpenPort two;
    const OpenPort three;
    open(nullptr);
    set({&one, &two});
    User *first = run(coil_s(5));
    User *second = run(coil_s(5));
    EXPECT_EQ(2u, look(0).pool.busy + look(1).pool.busy);
    set({&two, &three});
    EXPECT_EQ(2u, stats().addresses);
    EXPECT_EQ(1u, stats().removed);
    EXPECT_EQ(1u, look(0).pool.busy);
    coil_test_pass(loop, coil_s(5));
    EXPECT_EQ(0, first->rc);
    EXPECT_EQ(0, second->rc);
    EXPECT_EQ(1u, look(0).pool.idle);
}

TEST_F(Balancer, WhoWaitsAtAnAddressThatGoesIsServedAtAnother)
{
    const SilentPort silent;
    const OpenPort port;
    open(nullptr);
    set({&silent});
    User *one = run();
    EXPECT_EQ(-ECANCELED, one->rc); /* Not over yet. */
    set({&port});
    coil_test_settle(loop);
    EXPECT_EQ(0, one->rc);
}

TEST_F(Balancer, ResolvesTheNameAndOneAnswerServesAll)
{
    const OpenPort port;
    const std::string name = "localhost:" + std::to_string(coil_address_port(&port.address));
    open(name.c_str());
    for (int i = 0; i < 10; i++)
        start();
    coil_test_pass(loop, coil_ms(1));
    for (const auto &one : users)
        EXPECT_EQ(0, one->rc);
    EXPECT_EQ(1u, stats().refreshes);
}

TEST_F(Balancer, GivesTheErrorOfTheResolver)
{
    open("nobody.invalid:80");
    EXPECT_EQ(-ENOENT, run()->rc);
    EXPECT_EQ(-EAGAIN, run()->rc); /* It is not asked again at once. */
    EXPECT_EQ(1u, stats().refresh_failures);
    coil_test_pass(loop, coil_s(1));
    EXPECT_EQ(-ENOENT, run()->rc);
}

TEST_F(Balancer, ADestroyedOneLetsGoOfWhoWaits)
{
    const SilentPort silent;
    open(nullptr);
    set({&silent});
    User *one = run();
    coil_balancer_destroy(balancer);
    balancer = nullptr;
    coil_test_settle(loop);
    EXPECT_EQ(-ESHUTDOWN, one->rc);
}

TEST_F(Balancer, ChecksItsOptions)
{
    coil_balancer_options options = {};
    options.tries = COIL_BALANCER_TRIES_MAX + 1;
    EXPECT_EQ(-EINVAL, coil_balancer_create(loop, nullptr, &options, &balancer));
    options.tries = 0;
    options.pool.min = 11;
    EXPECT_EQ(-EINVAL, coil_balancer_create(loop, nullptr, &options, &balancer));
    EXPECT_EQ(-ENAMETOOLONG,
            coil_balancer_create(loop, std::string(300, 'a').c_str(), nullptr, &balancer));
}

/* Addresses come and go, users are cancelled at any time: nothing is left over, nobody hangs. */
TEST_F(Balancer, HoldsWhateverComesAndGoes)
{
    const std::array<OpenPort, 3> good;
    const ClosedPort closed;
    const SilentPort silent;
    const std::array<const Port *, 5> all = {&good[0], &good[1], &good[2], &closed, &silent};

    for (const unsigned seed : seeds(60)) {
        SCOPED_TRACE(seed);
        const unsigned descriptors = open_descriptors();
        coil_random random;
        coil_random_init(&random, seed);
        coil_balancer_options options = {};
        options.seed = seed + 1;
        options.pool.max = 1 + static_cast<unsigned>(coil_random_below(&random, 4));
        options.pool.open_limit = coil_ms(100);
        open(nullptr, options);
        for (int step = 0; step < 200; step++) {
            std::vector<const Port *> some;
            for (const Port *port : all) {
                if (coil_random_below(&random, 2) == 0)
                    some.push_back(port);
            }
            if (coil_random_below(&random, 10) == 0)
                set(some);
            User *one = start(coil_random_duration(&random, coil_ms(100)));
            one->limit = coil_random_duration(&random, coil_s(1)) + 1;
            if (coil_random_below(&random, 5) == 0)
                coil_task_cancel(users[users.size() - 1]->task);
            coil_test_pass(loop, coil_random_duration(&random, coil_ms(20)));
        }
        coil_balancer_destroy(balancer);
        balancer = nullptr;
        coil_test_pass(loop, coil_s(2));
        for (const auto &one : users)
            EXPECT_NE(1, one->rc);
        users.clear();
        EXPECT_EQ(0u, coil_loop_root(loop)->live_count);
        EXPECT_EQ(descriptors, open_descriptors());
        for (const OpenPort &port : good)
            port.drain();
    }
}

} // namespace
