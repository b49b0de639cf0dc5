/* SPDX-License-Identifier: MIT */
/* The resolver without c-ares: getaddrinfo(3) is the test's. */
#include "names_stage.h"

#include <coil/group.h>
#include <coil/sched.h>

#include <netdb.h>
#include <netinet/in.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include <coil/sugar.h>

namespace
{

/* What libc is asked, and may answer. */
struct Libc {
    std::mutex lock{};
    std::condition_variable changed{};
    bool holds = false; /* Nothing is answered as long as this is so. */
    int asked_count = 0;
    int freed_count = 0;
    int given_count = 0;
    std::string last_name{};
    int rc = 0;

    void hold(bool value)
    {
        std::lock_guard<std::mutex> guard(lock);
        holds = value;
        changed.notify_all();
    }
};
Libc libc;

struct Given {
    addrinfo info;
    sockaddr_in address;
};

} // namespace

extern "C" {
int __wrap_getaddrinfo(
        const char *name, const char *service, const addrinfo *hints, addrinfo **out_list);
void __wrap_freeaddrinfo(addrinfo *list);

int __wrap_getaddrinfo(const char *name, const char *, const addrinfo *, addrinfo **out_list)
{
    std::unique_lock<std::mutex> guard(libc.lock);
    libc.asked_count++;
    libc.last_name = name;
    libc.changed.notify_all();
    libc.changed.wait(guard, [] { return !libc.holds; });
    if (libc.rc != 0)
        return libc.rc;
    auto *given = new Given{};
    given->address.sin_family = AF_INET;
    given->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 6);
    given->info.ai_family = AF_INET;
    given->info.ai_addr = static_cast<sockaddr *>(static_cast<void *>(&given->address));
    *out_list = &given->info;
    libc.given_count++;
    return 0;
}

void __wrap_freeaddrinfo(addrinfo *list)
{
    std::lock_guard<std::mutex> guard(libc.lock);
    libc.freed_count++;
    libc.changed.notify_all();
    delete static_cast<Given *>(static_cast<void *>(list));
}
}

namespace
{

class NamesOfLibc : public testing::Test
{
protected:
    void SetUp() override
    {
        if (coil_resolver_asks_dns())
            GTEST_SKIP() << "built with c-ares";
        libc.asked_count = libc.freed_count = libc.given_count = libc.rc = 0;
        libc.holds = false;
    }
    void TearDown() override
    {
        EXPECT_EQ(libc.given_count, libc.freed_count);
    }
    coil_resolver_options options = NamesStage::quiet();
};

TEST_F(NamesOfLibc, AreAddressesForAWhile)
{
    NamesStage stage(options);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(Texts{"127.0.0.7:80"}, stage.resolve("host.test:80"));
    EXPECT_EQ(1, libc.asked_count);
    EXPECT_EQ("host.test.", libc.last_name);
    EXPECT_EQ(2U, stage.stats().cache_hits);
}

TEST_F(NamesOfLibc, HaveItsErrors)
{
    NamesStage stage(options);
    const std::pair<int, int> errors[] = {{EAI_NONAME, -ENOENT}, {EAI_NODATA, -ENODATA},
            {EAI_AGAIN, -EAGAIN}, {EAI_MEMORY, -ENOMEM}, {EAI_FAIL, -EIO}};
    for (const auto &each : errors) {
        libc.rc = each.first;
        stage.resolve("host.test:80");
        EXPECT_EQ(each.second, stage.rc);
    }
    stage.resolve("srv:_x._tcp.test");
    EXPECT_EQ(-EOPNOTSUPP, stage.rc);
}

async(int, ask_in_vain, (coil_resolver *) resolver)
{
    vars(coil_addresses addresses);
    attempt(within(coil_ms(30), coil_resolve(resolver, "host.test:1", &my->addresses)));
    return 0;
}

TEST_F(NamesOfLibc, AreNotWaitedForBeyondADeadline)
{
    libc.hold(true);
    {
        NamesStage stage(options);
        EXPECT_EQ(-ETIME, coil_loop_run_until(stage.loop, ask_in_vain(stage.resolver)));
        EXPECT_EQ(0U, stage.stats().question_count);
        libc.hold(false);
    }
}

async(int, ask, (coil_resolver *) resolver, (int *) out_rc)
{
    vars(coil_addresses addresses);
    await(*out_rc, coil_resolve(resolver, "host.test:1", &my->addresses));
    coil_addresses_release(&my->addresses);
    return 0;
}

async(int, destroy_meanwhile, (NamesStage *) stage, (int *) out_rcs, (bool) waits)
{
    vars(coil_group group);
    open_group(&my->group);
    for (int i = 0; i < 3; i++)
        spawn(&my->group, ask(stage->resolver, &out_rcs[i]));
    if (waits) {
        await(coil_sleep(coil_ms(10)));
    } else {
        await(coil_yield()); /* They have asked, and nothing has come of it yet. */
    }
    coil_resolver_destroy(stage->resolver);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(NamesOfLibc, AreNotWaitedForWhenTheResolverEnds)
{
    libc.hold(true);
    int rcs[3] = {};
    {
        NamesStage stage(options);
        EXPECT_EQ(0, coil_loop_run_until(stage.loop, destroy_meanwhile(&stage, rcs, true)));
        for (int rc : rcs)
            EXPECT_EQ(-ESHUTDOWN, rc);
        stage.resolver = nullptr;
        libc.hold(false);
    }
    EXPECT_EQ(1, libc.asked_count);
}

TEST_F(NamesOfLibc, AreNotAskedForWhenTheResolverEndsAtOnce)
{
    int rcs[3] = {};
    NamesStage stage(options);
    EXPECT_EQ(0, coil_loop_run_until(stage.loop, destroy_meanwhile(&stage, rcs, false)));
    for (int rc : rcs)
        EXPECT_EQ(-ESHUTDOWN, rc);
    stage.resolver = nullptr;
    EXPECT_EQ(0, libc.asked_count);
}

} // namespace
