/* SPDX-License-Identifier: MIT */
/* Servers and clients made of Coil on two simulated hosts, and the network between them. */
#include <coil/sim.h>
#include <coil/sim_network.h>

#include "network_control.h"

#include <coil/coil.h>
#include <coil/kernel.h>

#include <gtest/gtest.h>

#include <coil/sugar.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace
{

const char server_address[] = "10.0.0.1:7000"; /* That of the first host. */
const int64_t exchange_count = 20;

async(int, echo, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            return 0;
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
}

async(int, serve, (coil_duration) lifetime)
{
    vars(coil_group group; coil_listener *listener; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo, coil_stream *)));
    await(coil_sleep(lifetime));
    return 0;
}

int server_main(int, char **)
{
    return -(int)coil_run(serve(coil_s(3600)));
}

/* A pattern, so that whatever is lost, doubled or out of order is seen. */
void fill(char *bytes, size_t size_bytes, int64_t round)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = static_cast<char>(i * 31 + static_cast<size_t>(round) * 7 + (i >> 8));
}

async(int, exchange, (coil_stream *) peer, (int64_t) round)
{
    vars(char out[4000]; char in[4000]; ssize_t count);
    fill(my->out, sizeof(my->out), round);
    attempt(coil_write_all(peer, coil_bytes(my->out, sizeof(my->out))));
    attempt(my->count, coil_read_exact(peer, my->in, sizeof(my->in)));
    if (my->count == 0)
        return -ENODATA; /* The server has ended the stream between two exchanges. */
    return memcmp(my->in, my->out, sizeof(my->in)) == 0 ? 0 : -EBADMSG;
}

async(int, talk, (int64_t) count)
{
    vars(coil_stream *peer; int64_t round);
    await(coil_sleep(coil_ms(50))); /* The server listens by then. */
    attempt(my->peer, coil_connect(server_address));
    defer(coil_stream_close(my->peer));
    for (my->round = 0; my->round < count; my->round++) {
        attempt(exchange(my->peer, my->round));
        await(coil_sleep(coil_ms(100)));
    }
    return 0;
}

int client_main(int, char **)
{
    return -(int)coil_run(talk(exchange_count));
}

class Net : public testing::Test
{
protected:
    void begin(uint64_t seed = 1)
    {
        sim = coil_sim_create(seed);
        coil_sim_program(sim, "/bin/server", server_main);
        coil_sim_program(sim, "/bin/client", client_main);
        server = coil_sim_start(sim, "server", "/bin/server", nullptr);
        client = coil_sim_start(sim, "client", "/bin/client", nullptr);
    }

    /* How the client has ended, at last. */
    int result()
    {
        (void)coil_sim_run(sim, coil_s(3000));
        return coil_sim_status(sim, client);
    }

    void TearDown() override
    {
        coil_sim_destroy(sim);
    }

    coil_sim *sim = nullptr;
    pid_t server = 0;
    pid_t client = 0;
};

TEST(SimSockets, KeepTheRulesThatWereObserved)
{
    coil_sim *sim = coil_sim_create(1);
    coil_sim_program(sim, "/bin/rules", socket_rules_main);
    pid_t pid = coil_sim_start(sim, "alpha", "/bin/rules", nullptr);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(10)));
    EXPECT_EQ(0, coil_sim_status(sim, pid));
    coil_sim_destroy(sim);
}

TEST_F(Net, EchoesBetweenTwoHosts)
{
    begin();
    EXPECT_EQ(0, result());
}

coil_sim_traffic traffic_of(const coil_sim *sim)
{
    coil_sim_traffic traffic;
    coil_sim_get_traffic(sim, &traffic);
    return traffic;
}

TEST_F(Net, CountsEachByteThatIsSentAndReceived)
{
    begin();
    EXPECT_EQ(0, result());
    const coil_sim_traffic traffic = traffic_of(sim);
    EXPECT_EQ(2 * 4000U * exchange_count, traffic.sent_bytes);
    EXPECT_EQ(traffic.sent_bytes, traffic.received_bytes);
    EXPECT_EQ(0U, traffic.discarded_bytes);
}

/* Whatever was on its way when it was reset is discarded, and nothing else. */
TEST_F(Net, CountsWhatAResetDiscards)
{
    uint64_t discarded_bytes = 0;
    for (int i = 0; i < 20; i++) {
        begin(static_cast<uint64_t>(i));
        const network_link link = {coil_ms(1), coil_ms(5), 0, 1, 1448, 0};
        network_set_link(sim, "server", "client", &link);
        (void)coil_sim_run(sim, coil_ms(60) + coil_ms(1) * i);
        (void)network_reset(sim, "server", "client");
        (void)result();
        const coil_sim_traffic traffic = traffic_of(sim);
        EXPECT_EQ(traffic.sent_bytes, traffic.received_bytes + traffic.discarded_bytes);
        discarded_bytes += traffic.discarded_bytes;
        coil_sim_destroy(sim);
        sim = nullptr;
    }
    EXPECT_GT(discarded_bytes, 0U);
}

TEST_F(Net, EchoesByteByByte)
{
    begin();
    const network_link link = {coil_us(10), coil_us(300), 0, 1, 1, 0};
    network_set_link(sim, "server", "client", &link);
    EXPECT_EQ(0, result());
    EXPECT_GE(network_segments(sim), 2 * 4000U * exchange_count);
}

/* Both ways have so many bytes per second each; what comes back may overlap with what goes. */
TEST_F(Net, TakesAsLongAsTheBandwidthHasIt)
{
    for (uint64_t bytes_per_second : {0, 10000, 100000}) {
        begin();
        const network_link link = {0, 0, bytes_per_second, 1448, 1448, 0};
        network_set_link(sim, "server", "client", &link);
        const coil_time before = coil_sim_now(sim);
        while (coil_sim_status(sim, client) == -EBUSY)
            (void)coil_sim_run(sim, coil_ms(10));
        EXPECT_EQ(0, coil_sim_status(sim, client));
        const coil_duration pauses = coil_ms(50) + exchange_count * coil_ms(100);
        const coil_duration needed = coil_sim_now(sim) - before - pauses;
        const int64_t bytes = 4000 * (int64_t)exchange_count;
        const coil_duration one_way =
                bytes_per_second == 0 ? 0 : coil_s(1) * bytes / (int64_t)bytes_per_second;
        EXPECT_GE(needed, one_way);
        EXPECT_LE(needed, 2 * one_way + one_way / 2 + coil_s(1));
        coil_sim_destroy(sim);
        sim = nullptr;
    }
}

TEST_F(Net, LosesNothingWhereOnePacketInTenIsLost)
{
    begin();
    const network_link link = {coil_ms(1), coil_ms(20), 1000000, 1, 1448, 100000};
    network_set_link(sim, "server", "client", &link);
    EXPECT_EQ(0, result());
    EXPECT_GT(network_losses(sim), 0U);
}

TEST_F(Net, GoesOnAfterAPartition)
{
    begin();
    (void)coil_sim_run(sim, coil_ms(500));
    network_partition(sim, "server", "client");
    (void)coil_sim_run(sim, coil_s(60));
    EXPECT_EQ(-EBUSY, coil_sim_status(sim, client));
    network_heal(sim, "server", "client");
    EXPECT_EQ(0, result());
}

TEST_F(Net, GoesOnAfterAPartitionOfOneDirection)
{
    for (int i = 0; i < 2; i++) {
        begin(static_cast<uint64_t>(i));
        (void)coil_sim_run(sim, coil_ms(500));
        network_block(sim, i == 0 ? "server" : "client", i == 0 ? "client" : "server");
        (void)coil_sim_run(sim, coil_s(60));
        EXPECT_EQ(-EBUSY, coil_sim_status(sim, client));
        network_heal(sim, "server", "client");
        EXPECT_EQ(0, result());
        coil_sim_destroy(sim);
        sim = nullptr;
    }
}

TEST_F(Net, TimesOutIfAPartitionLasts)
{
    begin();
    (void)coil_sim_run(sim, coil_ms(500));
    network_partition(sim, "server", "client");
    EXPECT_EQ(ETIMEDOUT, result());
}

TEST_F(Net, TimesOutConnectingToAHostWithoutPower)
{
    begin();
    network_power_off(sim, "server");
    EXPECT_EQ(ETIMEDOUT, result());
    EXPECT_GE(coil_sim_now(sim), coil_s(131)); /* ip-sysctl, tcp_syn_retries */
}

TEST_F(Net, IsResetByAHostThatHasLostItsPowerInBetween)
{
    begin();
    (void)coil_sim_run(sim, coil_ms(500));
    network_power_off(sim, "server");
    (void)coil_sim_run(sim, coil_s(5));
    network_power_on(sim, "server");
    EXPECT_EQ(ECONNRESET, result());
}

TEST_F(Net, IsRefusedWhereNobodyListens)
{
    sim = coil_sim_create(1);
    coil_sim_program(sim, "/bin/client", client_main);
    client = coil_sim_start(sim, "client", "/bin/client", nullptr);
    EXPECT_EQ(ECONNREFUSED, result());
}

/* At any time: before, in and after the handshake, while bytes are on their way, at the end. */
TEST_F(Net, EndsOneWayOrTheOtherWhenItIsResetAtAnyTime)
{
    for (int i = 0; i < 60; i++) {
        begin(static_cast<uint64_t>(i));
        const network_link link = {coil_ms(1), coil_ms(5), 0, 1, 1448, 0};
        network_set_link(sim, "server", "client", &link);
        (void)coil_sim_run(sim, coil_ms(49) + coil_us(400) * i);
        unsigned count = network_reset(sim, "server", "client");
        int status = result();
        EXPECT_TRUE(status == 0 || status == ECONNRESET || status == EPIPE) << status;
        if (count == 0) {
            EXPECT_EQ(0, status);
        }
        EXPECT_EQ(-EBUSY, coil_sim_status(sim, server));
        coil_sim_destroy(sim);
        sim = nullptr;
    }
}

/* Whatever goes wrong: what the client has got back was right, and nothing is left undone. */
TEST_F(Net, GivesBackWhatWasSentInHostileWorlds)
{
    int done_count = 0;
    for (int i = 0; i < 200; i++) {
        begin(static_cast<uint64_t>(i));
        coil_sim_set_profile(sim, i % 2 == 0 ? COIL_SIM_FLAKY : COIL_SIM_HOSTILE);
        const network_link link = {coil_us(10), coil_ms(9), 0, 1, i % 3 == 0 ? 1U : 1448U, 20000};
        network_set_link(sim, "server", "client", &link);
        (void)coil_sim_run(sim, coil_ms(20 * i));
        network_block(sim, i % 4 < 2 ? "server" : "client", i % 4 < 2 ? "client" : "server");
        (void)coil_sim_run(sim, coil_ms(700));
        network_heal(sim, "server", "client");
        (void)coil_sim_run(sim, coil_s(2000));
        int status = coil_sim_status(sim, client);
        EXPECT_NE(EBADMSG, status) << "seed " << i;
        EXPECT_NE(-EBUSY, status) << "seed " << i;
        done_count += status == 0;
        coil_sim_destroy(sim);
        sim = nullptr;
    }
    EXPECT_GE(done_count, 100);
}

void keep_alive(int fd)
{
    const int values[][3] = {{SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 10},
            {IPPROTO_TCP, TCP_KEEPINTVL, 5}, {IPPROTO_TCP, TCP_KEEPCNT, 3}};
    for (const auto &value : values) {
        (void)coil_kernel_setsockopt(fd, value[0], value[1], &value[2], sizeof(int));
    }
}

/* Connects, sends nothing, and waits; by keep-alive it learns that nobody is there. */
async(int, listen_in, (const char *) address)
{
    vars(coil_stream *peer; coil_slice in);
    await(coil_sleep(coil_ms(50)));
    attempt(my->peer, coil_connect(address));
    defer(coil_stream_close(my->peer));
    keep_alive(coil_stream_fd(my->peer));
    attempt(my->in, coil_read_some(my->peer));
    coil_slice_release(&my->in);
    return 0;
}

int quiet_main(int, char **)
{
    return -(int)coil_run(listen_in(server_address));
}

TEST_F(Net, LearnsByKeepAliveThatAPeerHasVanished)
{
    for (bool has_power_again : {false, true}) {
        begin();
        coil_sim_program(sim, "/bin/quiet", quiet_main);
        client = coil_sim_start(sim, "client", "/bin/quiet", nullptr);
        (void)coil_sim_run(sim, coil_ms(500));
        coil_time before = coil_sim_now(sim);
        network_power_off(sim, "server");
        (void)coil_sim_run(sim, coil_s(2));
        if (has_power_again)
            network_power_on(sim, "server");
        (void)coil_sim_run(sim, coil_s(21)); /* 10 s and twice 5 s, and the last probe waits. */
        EXPECT_EQ(has_power_again ? ECONNRESET : -EBUSY, coil_sim_status(sim, client));
        (void)coil_sim_run(sim, coil_s(5));
        EXPECT_EQ(has_power_again ? ECONNRESET : ETIMEDOUT, coil_sim_status(sim, client));
        EXPECT_LE(coil_sim_now(sim) - before, coil_s(29));
        coil_sim_destroy(sim);
        sim = nullptr;
    }
}

TEST_F(Net, WaitsForAStalledPathAndLosesNothing)
{
    begin();
    (void)coil_sim_run(sim, coil_ms(500));
    network_stall(sim, "server", "client", coil_s(30));
    EXPECT_EQ(0, result());
    EXPECT_EQ(0U, network_losses(sim));
}

TEST_F(Net, DoesTheSameWithTheSameSeed)
{
    uint64_t fingerprints[3];
    for (int i = 0; i < 3; i++) {
        begin(i == 2 ? 8 : 7);
        coil_sim_set_profile(sim, COIL_SIM_FLAKY);
        const network_link link = {coil_us(10), coil_ms(9), 0, 1, 500, 20000};
        network_set_link(sim, "server", "client", &link);
        (void)coil_sim_run(sim, coil_s(100));
        fingerprints[i] = coil_sim_fingerprint(sim);
        coil_sim_destroy(sim);
        sim = nullptr;
    }
    EXPECT_EQ(fingerprints[0], fingerprints[1]);
    EXPECT_NE(fingerprints[0], fingerprints[2]);
}

} // namespace
