/* SPDX-License-Identifier: MIT */
/* TCP and UDP of the kernel, on a line that loses, delays and reorders (lossy_network.h). */
#include "generations.h"
#include "lossy_network.h"

#include <coil/connector.h>
#include <coil/datagram.h>
#include <coil/stream_options.h>
#include <coil/thrift_client.h>
#include <coil/thrift_server.h>

#include <memory>
#include <set>

#include <coil/sugar.h>

namespace
{

/* A service on the far host, and what is done on the near one, by one loop. */
struct Stage {
    LossyNetwork *network;
    coil_handler act = {};   /* On the near host: (Stage *). */
    coil_handler serve = {}; /* A connection, on the far one. */
    uint16_t port = 0;
    std::string address = ""; /* Of the service. */
    std::string says = "";
    coil_stream_options options = {}; /* Of the near end. */

    std::string heard = "";
    int64_t rc = 1;
    coil_duration took = -1;
    coil_connect_report report = {};

    std::string at(const char *host) const
    {
        return host + (":" + std::to_string(port));
    }

    void listens_at(uint16_t number)
    {
        port = number;
        address = at("10.9.0.1");
    }
};

async(int, echo, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            break;
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
    attempt(coil_stream_shutdown(peer));
    return 0;
}

int listen_far(Stage *stage, coil_listener **out_listener)
{
    const LossyNetwork::Visit visit(*stage->network, LossyNetwork::FAR);
    const int rc = coil_listen("*:0", nullptr, out_listener);
    if (rc == 0)
        stage->listens_at(coil_address_port(coil_listener_address(*out_listener)));
    return rc;
}

async(int, perform, (Stage *) stage)
{
    vars(coil_listener *listener; coil_group group; int rc);
    my->rc = listen_far(stage, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, stage->serve));
    await(my->rc, coil_handler_call(stage->act, stage));
    return my->rc;
}

class OnABadLine : public testing::Test
{
protected:
    void SetUp() override
    {
        if (!network.missing().empty())
            GTEST_SKIP() << network.missing();
        stage.network = &network;
        stage.serve = coil_handler(echo, coil_stream *);
    }

    /* One percent of the packets, and 50 ms there and back. */
    void worsen()
    {
        network.weather.delay_ms = 25;
        network.weather.lost_per_1000 = 10;
    }

    void run(coil_handler act)
    {
        const LossyNetwork::Visit visit(network, LossyNetwork::NEAR);
        stage.act = act;
        EXPECT_EQ(0, coil_run(within(coil_s(40), perform(&stage))));
    }

    LossyNetwork network;
    Stage stage = {};
};

#define RUN(act) run(coil_handler(act, Stage *))

/* -------------------------------------------------------------------------------- connecting -- */

async(int, connect_by_both, (Stage *) stage)
{
    vars(coil_address addresses[2]; coil_stream *stream; coil_time began);
    EXPECT_EQ(0, coil_address_parse(stage->at("[fd09::1]").c_str(), &my->addresses[0]));
    EXPECT_EQ(0, coil_address_parse(stage->at("10.9.0.1").c_str(), &my->addresses[1]));
    my->began = coil_now();
    await(my->stream, coil_connect_addresses(nullptr, my->addresses, 2, &stage->report));
    stage->took = coil_now() - my->began;
    stage->rc = coil_pointer_error(my->stream);
    if (stage->rc == 0)
        coil_stream_close(my->stream);
    return 0;
}

TEST_F(OnABadLine, AHostIsReachedByTheFamilyThatWorks)
{
    network.weather.loses_ipv6 = true;
    RUN(connect_by_both);
    EXPECT_EQ(0, stage.rc);
    ASSERT_EQ(2u, stage.report.attempt_count);
    EXPECT_EQ(-ECANCELED, stage.report.attempts[0].error) << "nothing came back";
    EXPECT_EQ(0, stage.report.attempts[1].error);
    EXPECT_EQ(AF_INET, stage.report.attempts[1].address.storage.ss_family);
    EXPECT_GE(stage.took, coil_ms(250));
    EXPECT_LT(stage.took, coil_s(5)) << "not after the kernel has given up";

    network.weather.loses_ipv6 = false;
    RUN(connect_by_both);
    EXPECT_EQ(0, stage.rc);
    EXPECT_EQ(1u, stage.report.attempt_count);
    EXPECT_EQ(AF_INET6, stage.report.attempts[0].address.storage.ss_family);
}

async(int, connect_in_time, (Stage *) stage)
{
    vars(coil_stream *stream);
    await(my->stream, within(coil_ms(300), coil_connect(stage->address.c_str())));
    stage->rc = coil_pointer_error(my->stream);
    return 0;
}

TEST_F(OnABadLine, ADeadlineEndsAConnectThatNobodyAnswers)
{
    network.weather.loses_all = true;
    RUN(connect_in_time);
    EXPECT_EQ(-ETIME, stage.rc);
}

/* ----------------------------------------------------------------------------------- streams -- */

async(int, write_it, (Stage *) stage, (coil_stream *) stream)
{
    vars();
    attempt(coil_write_all(stream, coil_bytes(stage->says.data(), stage->says.size())));
    attempt(coil_stream_shutdown(stream));
    return 0;
}

async(int, speak, (Stage *) stage)
{
    vars(coil_stream *stream; coil_slice in; coil_group group);
    attempt(my->stream, coil_connect(stage->address.c_str()));
    defer(coil_stream_close(my->stream));
    open_group(&my->group);
    spawn(&my->group, write_it(stage, my->stream));
    for (;;) {
        await(my->in, coil_read_some(my->stream));
        if (my->in.size_bytes <= 0)
            break;
        stage->heard.append(my->in.bytes, static_cast<size_t>(my->in.size_bytes));
        coil_slice_release(&my->in);
    }
    stage->rc = my->in.size_bytes;
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(OnABadLine, BytesArriveAllTheSame)
{
    worsen();
    std::mt19937 random(2);
    for (int i = 0; i < 400000; i++)
        stage.says.push_back(static_cast<char>(random()));
    RUN(speak);
    EXPECT_EQ(0, stage.rc);
    EXPECT_TRUE(stage.heard == stage.says);
    EXPECT_GT(network.lost, 0u);
    printf("%lu packets, %lu lost\n", static_cast<unsigned long>(network.carried),
            static_cast<unsigned long>(network.lost));
}

/* The line goes dead in the middle of a conversation. */
async(int, lose_touch, (Stage *) stage)
{
    vars(coil_stream *stream; coil_slice in; coil_time began);
    attempt(my->stream, coil_connect(stage->address.c_str()));
    defer(coil_stream_close(my->stream));
    EXPECT_EQ(0, coil_stream_configure(my->stream, &stage->options));
    attempt(coil_write_all(my->stream, coil_text("hello")));
    attempt(my->in, coil_read_block(my->stream, 5));
    coil_slice_release(&my->in);
    stage->network->weather.loses_all = true;
    my->began = coil_now();
    if (!stage->says.empty())
        attempt(coil_write_all(my->stream, coil_text(stage->says.c_str())));
    await(my->in, within(coil_s(30), coil_read_some(my->stream)));
    stage->rc = my->in.size_bytes;
    stage->took = coil_now() - my->began;
    return 0;
}

TEST_F(OnABadLine, KeepAliveFindsOutThatAPeerIsGone)
{
    stage.options.keep_alive_idle = stage.options.keep_alive_interval = coil_s(1);
    stage.options.keep_alive_probes = 2;
    RUN(lose_touch);
    EXPECT_EQ(-ETIMEDOUT, stage.rc);
    EXPECT_GE(stage.took, coil_s(2));
}

TEST_F(OnABadLine, TheUserTimeoutFindsOutThatNothingIsTaken)
{
    stage.options.user_timeout = coil_s(1);
    stage.says = "are you there?";
    RUN(lose_touch);
    EXPECT_EQ(-ETIMEDOUT, stage.rc);
    EXPECT_GE(stage.took, coil_ms(900));
}

/* ------------------------------------------------------------------------------------- calls -- */

async(int, twice, (coil_thrift_call *) call)
{
    vars(int32_t number);
    coil_thrift_field field;
    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_i32(&call->arguments, &my->number);
    }
    coil_thrift_put_i32(coil_thrift_reply(call), 0, 2 * my->number);
    return 0;
}

const coil_thrift_method methods[] = {{"twice", coil_handler(twice, coil_thrift_call *), nullptr}};

async(int, call_many, (const char *) address, (uint64_t *) answered)
{
    vars(coil_thrift_client *client; int i; int32_t result);
    coil_thrift_field field;
    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < 20; my->i++) {
        coil_thrift_put_i32(coil_thrift_client_begin(my->client, "twice"), 1, my->i);
        attempt(coil_thrift_client_call(my->client));
        while (coil_thrift_read_field(coil_thrift_client_reply(my->client), &field))
            coil_thrift_get_i32(coil_thrift_client_reply(my->client), &my->result);
        *answered += my->result == 2 * my->i;
    }
    return 0;
}

/* A Thrift server on the far host, called by ten clients at once. */
async(int, call_over, (Stage *) stage, (uint64_t *) answered)
{
    vars(coil_listener *listener; coil_thrift_server server; coil_thrift_service service;
            coil_thrift_service *services[1]; coil_group group; coil_group clients; int i);
    EXPECT_EQ(0, listen_far(stage, &my->listener));
    defer(coil_listener_close(my->listener));
    my->service = {};
    my->service.name = "Doubling";
    my->service.methods = methods;
    my->service.method_count = 1;
    my->services[0] = &my->service;
    my->server.services = my->services;
    my->server.service_count = 1;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    open_group(&my->clients);
    for (my->i = 0; my->i < 10; my->i++)
        spawn(&my->clients, call_many(stage->address.c_str(), answered));
    attempt(coil_group_join(&my->clients));
    return 0;
}

TEST_F(OnABadLine, CallsAreAnswered)
{
    worsen();
    uint64_t answered = 0;
    const LossyNetwork::Visit visit(network, LossyNetwork::NEAR);
    EXPECT_EQ(0, coil_run(within(coil_s(40), call_over(&stage, &answered))));
    EXPECT_EQ(200u, answered);
    EXPECT_GT(network.lost, 0u);
}

/* --------------------------------------------------------------------------------- datagrams -- */

enum { DATAGRAMS = 1000 };

coil_datagram_socket *open_datagrams(
        LossyNetwork *network, LossyNetwork::Side side, const char *address)
{
    const LossyNetwork::Visit visit(*network, side);
    coil_datagram_options options = {};
    options.local = address;
    coil_datagram_socket *made = nullptr;
    EXPECT_EQ(0, coil_datagram_open(&options, &made));
    return made;
}

struct Arrivals {
    LossyNetwork *network;
    std::set<int> seen = {};
    unsigned overtaken = 0, wrong = 0, twice = 0;
    int last = -1;
    uint64_t dropped = 0; /* By the kernel, if we are too slow. */

    void note(const coil_datagram &datagram)
    {
        int number;
        memcpy(&number, datagram.bytes.bytes, sizeof(number));
        const std::string rest(
                datagram.bytes.bytes + 4, static_cast<size_t>(datagram.bytes.size_bytes) - 4);
        wrong += rest != std::string(static_cast<size_t>(number), 'd');
        twice += !seen.insert(number).second;
        overtaken += number < last;
        last = number;
    }
};

async(int, send_datagrams, (coil_datagram_socket *) from, (const coil_address *) to)
{
    vars(int i; char bytes[4 + DATAGRAMS]);
    memset(my->bytes, 'd', sizeof(my->bytes));
    for (my->i = 0; my->i < DATAGRAMS; my->i++) {
        memcpy(my->bytes, &my->i, 4);
        attempt(coil_datagram_send(
                from, to, coil_bytes(my->bytes, 4 + static_cast<size_t>(my->i))));
        if (my->i % 10 == 9)
            await(coil_sleep(coil_ms(1)));
    }
    return 0;
}

async(int, exchange, (Arrivals *) arrivals)
{
    vars(coil_datagram_socket *far; coil_datagram_socket *near; coil_address to; int rc;
            coil_datagram got; coil_group group);
    my->far = open_datagrams(arrivals->network, LossyNetwork::FAR, "10.9.0.1:7000");
    my->near = open_datagrams(arrivals->network, LossyNetwork::NEAR, "10.9.0.2:0");
    defer(coil_datagram_close(my->far));
    defer(coil_datagram_close(my->near));
    EXPECT_EQ(0, coil_address_parse("10.9.0.1:7000", &my->to));
    open_group(&my->group);
    spawn(&my->group, send_datagrams(my->near, &my->to));
    for (;;) {
        await(my->rc, within(coil_s(2), coil_datagram_receive(my->far, &my->got)));
        if (my->rc < 0)
            break;
        arrivals->note(my->got);
        coil_datagram_release(&my->got);
    }
    EXPECT_EQ(-ETIME, my->rc);
    arrivals->dropped = coil_datagram_count(my->far).dropped;
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(OnABadLine, DatagramsOvertakeEachOtherAndAreWhole)
{
    worsen();
    network.weather.delayed_per_1000 = 100;
    network.weather.detour_ms = 15;
    Arrivals arrivals = {&network};
    const LossyNetwork::Visit visit(network, LossyNetwork::NEAR);
    EXPECT_EQ(0, coil_run(within(coil_s(40), exchange(&arrivals))));
    EXPECT_EQ(0u, arrivals.wrong);
    EXPECT_EQ(0u, arrivals.twice);
    EXPECT_GT(arrivals.overtaken, 0u);
    EXPECT_EQ(DATAGRAMS, arrivals.seen.size() + network.lost + arrivals.dropped)
            << "and nobody else loses any";
    printf("%zu of %d, %u overtaken\n", arrivals.seen.size(), int{DATAGRAMS}, arrivals.overtaken);
}

/* --------------------------------------------------------------------------------- hand-over -- */

/* On the far host, and stays there. */
std::unique_ptr<Generation> far_generation(const LossyNetwork &network, const std::string &address)
{
    auto made = std::make_unique<Generation>(address);
    made->number = "";
    made->sockets = {{"echo", "10.9.0.1:0"}};
    made->go_there = [&network] {
        return std::make_shared<LossyNetwork::Visit>(network, LossyNetwork::FAR);
    };
    return made;
}

struct Customers {
    std::string address;
    std::atomic<bool> done{false};
    std::atomic<unsigned> served{0}, failed{0};
};

async(int, ask_once, (const char *) address)
{
    vars(coil_stream *stream; coil_slice in);
    attempt(my->stream, coil_connect(address));
    defer(coil_stream_close(my->stream));
    attempt(coil_write_all(my->stream, coil_text("hello")));
    attempt(my->in, coil_read_block(my->stream, 5));
    const bool is_good = my->in.size_bytes == 5;
    coil_slice_release(&my->in);
    return is_good ? 0 : -ENODATA;
}

async(int, ask_again, (Customers *) self)
{
    vars(int rc);
    while (!self->done) {
        await(my->rc, within(coil_s(20), ask_once(self->address.c_str())));
        if (my->rc == 0)
            self->served++;
        else
            self->failed++;
    }
    return 0;
}

async(int, crowd, (Customers *) self)
{
    vars(coil_group group; int i);
    open_group(&my->group);
    for (my->i = 0; my->i < 20; my->i++)
        spawn(&my->group, ask_again(self));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(OnABadLine, AHandoverFailsNoConnection)
{
    char name[] = "/tmp/coil-lossy-XXXXXX";
    const std::string directory = mkdtemp(name);
    const std::string address = "unix:" + directory + "/handover";
    worsen();
    auto now = std::make_unique<Running>(far_generation(network, address));
    Customers customers = {"10.9.0.1:" + std::to_string(now->self->ports[0])};
    {
        const Thread asking([&] {
            const LossyNetwork::Visit visit(network, LossyNetwork::NEAR);
            EXPECT_EQ(0, coil_run(crowd(&customers)));
        });
        for (int i = 0; i < 5; i++) {
            const unsigned before = customers.served;
            auto next = std::make_unique<Running>(far_generation(network, address));
            EXPECT_TRUE(now->ends());
            now = std::move(next);
            EXPECT_TRUE(soon([&] { return customers.served > before + 20; }));
        }
        customers.done = true;
    }
    EXPECT_EQ(0u, customers.failed);
    now.reset();
    EXPECT_EQ(0, rmdir(directory.c_str()));
    printf("%u connections\n", customers.served.load());
}

} // namespace
