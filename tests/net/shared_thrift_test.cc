/* SPDX-License-Identifier: MIT */
/* Thrift on all loops of a runtime: real clients, who answers them, and the end. */
#include "peer.h"

#include <coil/shared_listener.h>
#include <coil/thrift_client.h>
#include <coil/thrift_server.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <vector>

#include <coil/sugar.h>

namespace
{

enum { LOOPS = 3 };

/* What the coroutines of a test share. A server is of one loop: its statistics are. */
struct Stage {
    coil_shared_listener *shared = nullptr;
    coil_thrift_server servers[LOOPS] = {};
    std::atomic<int> begun{0};
    std::atomic<int> in_calls{0};
    int live[LOOPS] = {}; /* Of each loop's own thread, */
    int most[LOOPS] = {}; /* as is this, until they have ended. */
};

Stage *stage; /* A handler has no other way to it. */

thread_local int loop_index;

/* i32 who(): the loop that answers. */
async(int, who, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_put_i32(coil_thrift_reply(call), 0, loop_index);
    return 0;
}

/* i32 whoLater(): the same, after a while. */
async(int, who_later, (coil_thrift_call *) call)
{
    vars();
    stage->in_calls++;
    stage->live[loop_index]++;
    defer(stage->live[loop_index]--);
    stage->most[loop_index] = std::max(stage->most[loop_index], stage->live[loop_index]);
    await(coil_sleep(coil_ms(100)));
    coil_thrift_put_i32(coil_thrift_reply(call), 0, loop_index);
    return 0;
}

const coil_thrift_method methods[] = {
        {"who", coil_handler(who, coil_thrift_call *), NULL},
        {"whoLater", coil_handler(who_later, coil_thrift_call *), NULL},
};
coil_thrift_service service = {"Who", methods, std::size(methods)};
coil_thrift_service *services[] = {&service};

async(int, serve, (coil_worker *) worker)
{
    vars(coil_listener *listener; int rc);

    loop_index = static_cast<int>(worker->index);
    my->rc = coil_shared_listener_open(stage->shared, worker, &my->listener);
    EXPECT_EQ(0, my->rc);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    stage->begun++;
    attempt(coil_thrift_serve(my->listener, &stage->servers[loop_index]));
    return 0;
}

/* ---------------------------------------------------------------------------------- clients -- */

/* Some clients of one loop, each on a connection of its own. */
struct Crowd {
    std::string address;
    const char *method = "who";
    int call_count = 1;
    std::atomic<int> by_loop[LOOPS] = {};
    std::atomic<int> failed{0};
    std::atomic<int> live{0};
    bool stays = false; /* After its calls, until the server ends the connection. */
};

int answer_of(coil_thrift_client *client)
{
    coil_thrift_reader *reply = coil_thrift_client_reply(client);
    coil_thrift_field field;
    int32_t index = -1;

    while (coil_thrift_read_field(reply, &field))
        coil_thrift_get_i32(reply, &index);
    return coil_thrift_reader_finish(reply) < 0 ? -1 : index;
}

async(int, ask, (Crowd *) crowd)
{
    vars(coil_thrift_client *client; int i; int rc; int answer);

    attempt(my->client, coil_thrift_connect(crowd->address.c_str()));
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < crowd->call_count || crowd->stays; my->i++) {
        (void)coil_thrift_client_begin(my->client, crowd->method);
        await(my->rc, coil_thrift_client_call(my->client));
        if (my->rc < 0) {
            crowd->failed++;
            return 0;
        }
        my->answer = answer_of(my->client);
        EXPECT_TRUE(my->answer >= 0 && my->answer < LOOPS);
        crowd->by_loop[my->answer]++;
        if (my->i == 0)
            crowd->live++;
        if (crowd->stays)
            await(coil_sleep(coil_ms(1)));
    }
    return 0;
}

async(int, ask_all, (Crowd *) crowd, (int) count)
{
    vars(coil_group clients);

    open_group(&my->clients);
    for (int i = 0; i < count; i++)
        spawn(&my->clients, ask(crowd));
    attempt(coil_group_join(&my->clients));
    return 0;
}

class SharedThrift : public testing::Test
{
protected:
    SharedThrift()
    {
        alarm(60);
        stage = &ours;
        options.loop_count = LOOPS;
        for (coil_thrift_server &server : ours.servers) {
            server.services = services;
            server.service_count = std::size(services);
        }
    }

    ~SharedThrift() override
    {
        stop(0);
        coil_shared_listener_destroy(ours.shared);
        alarm(0);
    }

    void start(coil_share share)
    {
        char text[COIL_ADDRESS_TEXT_BYTES];
        char reason[COIL_REASON_BYTES] = "";
        coil_runtime_options all = {};

        ours.begun = 0;
        options.share = share;
        ASSERT_EQ(0, coil_shared_listener_create("127.0.0.1:0", &options, &ours.shared));
        address = coil_address_format(coil_shared_listener_address(ours.shared), text);
        port = coil_address_port(coil_shared_listener_address(ours.shared));
        all.loop_count = LOOPS;
        all.main = coil_handler(serve, coil_worker *);
        ASSERT_EQ(0, coil_runtime_create(&all, &runtime, reason)) << reason;
        ASSERT_TRUE(soon([this] { return ours.begun == LOOPS; }));
    }

    void stop(coil_duration grace)
    {
        if (runtime == nullptr)
            return;
        coil_runtime_stop(runtime, grace);
        EXPECT_EQ(0, coil_runtime_join(runtime));
        coil_runtime_destroy(std::exchange(runtime, nullptr));
        for (const coil_thrift_server &server : ours.servers)
            EXPECT_EQ(0u, server.stats.open_connections);
    }

    void end()
    {
        stop(0);
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    }

    Stage ours;
    coil_share_options options = {};
    coil_runtime *runtime = nullptr;
    std::string address;
    uint16_t port = 0;
};

/* ------------------------------------------------------------------------------------ tests -- */

TEST_F(SharedThrift, ByTurnsEachLoopAnswersItsShare)
{
    start(COIL_SHARE_BY_TURNS);
    Crowd crowd;
    crowd.address = address;
    crowd.call_count = 10;
    EXPECT_EQ(0, coil_run(ask_all(&crowd, 60)));
    EXPECT_EQ(0, crowd.failed);
    for (const std::atomic<int> &count : crowd.by_loop)
        EXPECT_EQ(20 * 10, count);
    stop(0);
    for (const coil_thrift_server &server : ours.servers) {
        EXPECT_EQ(20u, server.stats.connections);
        EXPECT_EQ(200u, server.stats.calls);
    }
}

TEST_F(SharedThrift, HoweverTheyAreSharedAllCallsAreAnswered)
{
    for (const coil_share share : {COIL_SHARE_LEAST_BUSY, COIL_SHARE_BY_KERNEL}) {
        start(share);
        Crowd crowd;
        crowd.address = address;
        crowd.call_count = 5;
        EXPECT_EQ(0, coil_run(ask_all(&crowd, 120)));
        EXPECT_EQ(0, crowd.failed);
        for (const std::atomic<int> &count : crowd.by_loop)
            EXPECT_GT(count, 0) << "each has had some of them";
        EXPECT_EQ(600, crowd.by_loop[0] + crowd.by_loop[1] + crowd.by_loop[2]);
        end();
    }
}

TEST_F(SharedThrift, AStopAnswersTheCallsThatAreUnderWay)
{
    for (const coil_share share : {COIL_SHARE_BY_TURNS, COIL_SHARE_BY_KERNEL}) {
        start(share);
        ours.in_calls = 0;
        Crowd crowd;
        crowd.address = address;
        crowd.method = "whoLater";
        const Thread clients([&crowd] { EXPECT_EQ(0, coil_run(ask_all(&crowd, 30))); });
        EXPECT_TRUE(soon([this] { return ours.in_calls == 30; }));
        stop(coil_s(1));
        EXPECT_TRUE(soon([&] {
            return crowd.by_loop[0] + crowd.by_loop[1] + crowd.by_loop[2] + crowd.failed == 30;
        }));
        EXPECT_EQ(0, crowd.failed);
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    }
}

TEST_F(SharedThrift, AtTheEndOfTheGracePeriodConnectionsEnd)
{
    for (const coil_share share : {COIL_SHARE_BY_TURNS, COIL_SHARE_BY_KERNEL}) {
        start(share);
        Crowd crowd;
        crowd.address = address;
        crowd.stays = true;
        const Thread clients([&crowd] { EXPECT_EQ(0, coil_run(ask_all(&crowd, 12))); });
        EXPECT_TRUE(soon([&] { return crowd.live == 12; }));
        Peer silent = Peer::connected(port);
        stop(coil_ms(50));
        EXPECT_EQ("", silent.receive(1));
        EXPECT_TRUE(soon([&] { return crowd.failed == 12; })) << "each learns of it";
        coil_shared_listener_destroy(std::exchange(ours.shared, nullptr));
    }
}

TEST_F(SharedThrift, TheLimitOfConnectionsIsOfEachLoop)
{
    options.listen.max_connections = 2;
    for (const coil_share share : {COIL_SHARE_BY_TURNS, COIL_SHARE_BY_KERNEL}) {
        start(share);
        Crowd crowd;
        crowd.address = address;
        crowd.method = "whoLater";
        ours.in_calls = 0;
        const Thread clients([&crowd] { EXPECT_EQ(0, coil_run(ask_all(&crowd, 8 * LOOPS))); });
        EXPECT_TRUE(soon([&] {
            return crowd.by_loop[0] + crowd.by_loop[1] + crowd.by_loop[2] == 8 * LOOPS;
        })) << "the others are served when there is room";
        EXPECT_EQ(0, crowd.failed);
        end();
        for (int &most : ours.most)
            EXPECT_EQ(2, std::exchange(most, 0));
    }
}

} // namespace
