/* SPDX-License-Identifier: MIT */
/* TLS on a line that loses and delays (lossy_network.h). */
#include "lossy_network.h"
#include "tls_cast.h"

#include <coil/listener.h>

#include <coil/sugar.h>

namespace
{

enum { PAIRS = 10 };

/* Connections, one after the other and side by side. */
struct Encounter {
    LossyNetwork *network;
    std::vector<Side> clients, servers;
    coil_listener *listener = nullptr;
    std::string address = "";
};

int listen_far(Encounter *self)
{
    const LossyNetwork::Visit visit(*self->network, LossyNetwork::FAR);
    char text[COIL_ADDRESS_TEXT_BYTES];
    const int rc = coil_listen("10.9.0.1:0", nullptr, &self->listener);
    if (rc == 0)
        self->address = coil_address_format(coil_listener_address(self->listener), text);
    return rc;
}

async(int, call, (Encounter *) self, (Side *) client)
{
    vars(coil_stream *stream);
    attempt(my->stream, coil_connect(self->address.c_str()));
    attempt(play(client, my->stream));
    return 0;
}

async(int, meet_all, (Encounter *) self)
{
    vars(coil_group group; size_t i; coil_stream *stream);
    EXPECT_EQ(0, listen_far(self));
    defer(coil_listener_close(self->listener));
    open_group(&my->group);
    for (Side &client : self->clients)
        spawn(&my->group, call(self, &client));
    for (my->i = 0; my->i < PAIRS; my->i++) {
        attempt(my->stream, coil_accept(self->listener));
        spawn(&my->group, play(&self->servers[my->i], my->stream));
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

class TlsOnABadLine : public Tls
{
protected:
    void SetUp() override
    {
        if (!network.missing().empty())
            GTEST_SKIP() << network.missing();
    }

    LossyNetwork network;
};

TEST_F(TlsOnABadLine, SaysEverything)
{
    serve(authority().issue());
    trust(authority());
    client.says = std::string(50000, 'c');
    server.says = std::string(70000, 's');
    client.hears = server.says.size();
    server.hears = client.says.size();
    network.weather.delay_ms = 25;
    network.weather.lost_per_1000 = 10;
    Encounter encounter = {
            &network, std::vector<Side>(PAIRS, client), std::vector<Side>(PAIRS, server)};
    const LossyNetwork::Visit visit(network, LossyNetwork::NEAR);
    EXPECT_EQ(0, coil_run(coil_within(coil_s(40), meet_all(&encounter))));
    for (size_t i = 0; i < PAIRS; i++) {
        EXPECT_EQ(0, encounter.clients[i].shaken) << encounter.clients[i].failure.text;
        EXPECT_EQ(0, encounter.clients[i].end_rc) << encounter.clients[i].failure.text;
        EXPECT_EQ(0, encounter.servers[i].end_rc) << encounter.servers[i].failure.text;
        EXPECT_TRUE(encounter.clients[i].heard == server.says);
        EXPECT_TRUE(encounter.servers[i].heard == client.says);
    }
    EXPECT_GT(network.lost, 0u);
}

} // namespace
