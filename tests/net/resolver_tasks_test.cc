/* SPDX-License-Identifier: MIT */
/* Many tasks resolve at once, and are cancelled. */
#include "named_stage.h"

#include <coil/group.h>
#include <coil/sched.h>

#include <atomic>

#include <coil/sugar.h>

namespace
{

/* --------------------------------------------------------------------- several, cancellation -- */

struct Crowd {
    coil_resolver *resolver;
    int done_count;
    int error_count;
    std::atomic<bool> answers; /* Does the server? Not before all have asked. */
};

async(int, one_of_a_crowd, (Crowd *) crowd, (const char *) target)
{
    vars(coil_addresses addresses; int rc);
    await(my->rc, coil_resolve(crowd->resolver, target, &my->addresses));
    crowd->done_count += my->rc == 0;
    crowd->error_count += my->rc < 0;
    coil_addresses_release(&my->addresses);
    return 0;
}

async(int, ask_at_once, (Crowd *) crowd, (int) count, (int) cancelled_count)
{
    vars(coil_group group; coil_task *tasks[64]; int i);
    open_group(&my->group);
    for (my->i = 0; my->i < count; my->i++)
        my->tasks[my->i] = spawn(&my->group, one_of_a_crowd(crowd, "host.test:80"));
    await(coil_sleep(coil_ms(1)));
    for (my->i = 0; my->i < cancelled_count; my->i++)
        coil_task_cancel(my->tasks[my->i]);
    crowd->answers = true;
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Names, AreAskedForOnceWhoeverAsks)
{
    Crowd crowd = {};
    serve([&](const DnsQuery &query) { return crowd.answers ? usual(query) : Messages{}; });
    options.timeout = coil_ms(100);
    options.attempts = 100;
    NamesStage stage(options);
    crowd.resolver = stage.resolver;
    EXPECT_EQ(0, coil_loop_run_until(stage.loop, ask_at_once(&crowd, 20, 0)));
    EXPECT_EQ(20, crowd.done_count);
    EXPECT_EQ(1U, stage.stats().questions);
    EXPECT_EQ(19U, stage.stats().joins);
    server.reset(); /* It uses what is ours. */
}

TEST_F(Names, AreAskedForFurtherWhenSomeAreCancelled)
{
    Crowd crowd = {};
    serve([&](const DnsQuery &query) { return crowd.answers ? usual(query) : Messages{}; });
    options.timeout = coil_ms(100);
    options.attempts = 100;
    NamesStage stage(options);
    crowd.resolver = stage.resolver;
    EXPECT_EQ(0, coil_loop_run_until(stage.loop, ask_at_once(&crowd, 20, 19)));
    EXPECT_EQ(1, crowd.done_count);
    EXPECT_EQ(0U, stage.stats().abandoned);
    server.reset(); /* It uses what is ours. */
}

TEST_F(Names, AreNotAskedForAnyMoreWhenAllAreCancelled)
{
    serve([](const DnsQuery &) { return Messages{}; });
    NamesStage stage(options);
    Crowd crowd = {};
    crowd.resolver = stage.resolver;
    EXPECT_EQ(0, coil_loop_run_until(stage.loop, ask_at_once(&crowd, 20, 20)));
    EXPECT_EQ(0, crowd.done_count + crowd.error_count);
    EXPECT_EQ(1U, stage.stats().abandoned);
    EXPECT_EQ(0U, stage.stats().question_count);
}

async(int, ask_in_vain, (coil_resolver *) resolver, (const char *) target)
{
    vars(coil_addresses addresses);
    attempt(within(coil_ms(30), coil_resolve(resolver, target, &my->addresses)));
    return 0;
}

TEST_F(Names, TakeNoLongerThanADeadline)
{
    serve([](const DnsQuery &query) {
        return query.type == dns::SRV ? services(query) : Messages{};
    });
    NamesStage stage(options);
    EXPECT_EQ(-ETIME, coil_loop_run_until(stage.loop, ask_in_vain(stage.resolver, "host.test:1")));
    EXPECT_EQ(-ETIME,
            coil_loop_run_until(stage.loop, ask_in_vain(stage.resolver, "srv:_x._tcp.test")));
    EXPECT_EQ(0U, stage.stats().question_count);
}

async(int, destroy_meanwhile, (Crowd *) crowd)
{
    vars(coil_group group);
    open_group(&my->group);
    my->group.keep_going = true;
    for (int i = 0; i < 5; i++) {
        spawn(&my->group, one_of_a_crowd(crowd, "host.test:80"));
        spawn(&my->group, one_of_a_crowd(crowd, "srv:_x._tcp.test"));
    }
    await(coil_sleep(coil_ms(20)));
    coil_resolver_destroy(crowd->resolver);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Names, AreNotWaitedForWhenTheResolverEnds)
{
    serve([](const DnsQuery &query) {
        return query.type == dns::SRV ? services(query) : Messages{};
    });
    NamesStage stage(options);
    Crowd crowd = {};
    crowd.resolver = stage.resolver;
    EXPECT_EQ(0, coil_loop_run_until(stage.loop, destroy_meanwhile(&crowd)));
    EXPECT_EQ(10, crowd.error_count);
    stage.resolver = nullptr;
}

TEST_F(Names, AreResolvedByTheLoopsOwnResolverWhichGoesWithIt)
{
    coil_loop *loop = nullptr;
    coil_addresses addresses = {};
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_resolve(nullptr, "localhost:9", &addresses)));
    EXPECT_EQ(2U, NamesStage::taken(&addresses).size());
    EXPECT_EQ(1U, coil_resolver_statistics(coil_resolver_of(loop)).hosts_hits);
    coil_loop_destroy(loop);
}

/* ---------------------------------------------------------------- at random points in time -- */

struct Storm {
    coil_resolver *resolver;
    unsigned seed;
    int begun_count;
    int ended_count;
};

async(int, one_of_a_storm, (Storm *) storm)
{
    vars(coil_addresses addresses; char target[32]; int rc);
    storm->begun_count++;
    defer(storm->ended_count++);
    snprintf(my->target, sizeof(my->target),
            rand_r(&storm->seed) % 4 == 0 ? "srv:_x._tcp.h%d.test" : "h%d.test:80",
            rand_r(&storm->seed) % 8);
    await(my->rc, within(coil_us(1 + rand_r(&storm->seed) % 20000),
                          coil_resolve(storm->resolver, my->target, &my->addresses)));
    EXPECT_EQ(my->rc == 0, my->addresses.count > 0);
    coil_addresses_release(&my->addresses);
    return 0;
}

async(int, one_round, (Storm *) storm)
{
    vars(coil_group group);
    open_group(&my->group);
    my->group.keep_going = true;
    for (int i = 0; i < 40; i++)
        spawn(&my->group, one_of_a_storm(storm));
    await(coil_sleep(coil_us(rand_r(&storm->seed) % 10000)));
    if (rand_r(&storm->seed) % 3 == 0)
        coil_group_cancel(&my->group);
    ignore(coil_group_join(&my->group));
    return 0;
}

async(int, storm, (Storm *) storm)
{
    vars(int round);
    for (my->round = 0; my->round < 20; my->round++) {
        attempt(one_round(storm));
        if (my->round % 4 == 0)
            coil_resolver_flush(storm->resolver);
    }
    return 0;
}

TEST_F(Names, AreAccountedForExactlyWhateverIsCancelled)
{
    const char *given = getenv("COIL_TEST_SEEDS");
    const unsigned seed_count = given != nullptr ? static_cast<unsigned>(atoi(given)) : 1;
    std::mutex lock;
    unsigned server_seed = 7;
    serve([&](const DnsQuery &query) {
        std::lock_guard<std::mutex> guard(lock);
        switch (rand_r(&server_seed) % 6) {
        case 0:
            return Messages{};
        case 1:
            return Messages{query.answer(dns::nothing(SERVFAIL, 0))};
        case 2:
            return Messages{query.answer(dns::nothing(NXDOMAIN, 60))};
        default:
            if (query.type == dns::SRV)
                return Messages{
                        query.answer(Answer().add(dns::srv(query.name, 60, 0, 1, 1, "h1.test"))
                                             .add(dns::srv(query.name, 60, 0, 3, 2, "h2.test")))};
            return addresses_only(query, 60);
        }
    });
    options.timeout = coil_ms(5);
    options.attempts = 2;
    for (unsigned seed = 1; seed <= seed_count; seed++) {
        NamesStage stage(options);
        Storm all = {stage.resolver, seed, 0, 0};
        EXPECT_EQ(0, coil_loop_run_until(stage.loop, storm(&all))) << "seed " << seed;
        EXPECT_EQ(all.begun_count, all.ended_count);
        EXPECT_EQ(0U, stage.stats().question_count);
        EXPECT_EQ(stage.stats().lookups,
                stage.stats().questions + stage.stats().joins + stage.stats().cache_hits);
    }
    server.reset(); /* It uses what is ours. */
}

} // namespace
