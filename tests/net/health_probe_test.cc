/* SPDX-License-Identifier: MIT */
/* coil/health_probe.h. The stage looks for descriptors that are left open. */
#include "stage.h"

#include <string>

#include <coil/fb303_service.h>
#include <coil/health_probe.h>
#include <coil/listener.h>
#include <coil/stream.h>
#include <coil/thrift_server.h>

#include <coil/sugar.h>

namespace
{

/* A peer that reads a little, and says one thing. */
async(int, say_once, (coil_listener *) listener, (const char *) text)
{
    vars(coil_stream *peer; coil_slice request);

    attempt(my->peer, coil_accept(listener));
    defer(coil_stream_close(my->peer));
    attempt(my->request, coil_read_some(my->peer));
    coil_slice_release(&my->request);
    attempt(coil_write_all(my->peer, coil_text(text)));
    return 0;
}

async(int, ask_one, (coil_listener *) listener, (const char *) answer, (coil_health_probe *) probe)
{
    vars(coil_group peers; int health);

    open_group(&my->peers);
    my->peers.keep_going = true;
    if (answer != nullptr)
        spawn(&my->peers, say_once(listener, answer));
    await(my->health, within(coil_s(10), coil_health_ask(probe)));
    return my->health;
}

async(int, ask_fb303, (coil_fb303_service *) fb303, (coil_listener *) listener,
        (coil_health_probe *) probe)
{
    vars(coil_thrift_service *services[1]; coil_thrift_server server; coil_group peers;
            int health);

    my->services[0] = &fb303->thrift;
    my->server.services = my->services;
    my->server.service_count = 1;
    open_group(&my->peers);
    my->peers.keep_going = true;
    spawn(&my->peers, coil_thrift_serve(listener, &my->server));
    await(my->health, within(coil_s(10), coil_health_ask(probe)));
    return my->health;
}

async(int, listen_somewhere, (coil_listener **) out_listener)
{
    vars();
    return coil_listen("127.0.0.1:0", nullptr, out_listener);
}

async(int, close_listener, (coil_listener *) listener)
{
    vars();
    coil_listener_close(listener);
    await(coil_sleep(coil_ms(5))); /* The loop does the work. */
    return 0;
}

class HealthProbe : public Proactor
{
protected:
    void SetUp() override
    {
        ASSERT_EQ(0, RUN(listen_somewhere(&listener)));
        char text[COIL_ADDRESS_TEXT_BYTES];
        coil_address_format(coil_listener_address(listener), text);
        address = text;
    }

    void TearDown() override
    {
        stop_listening();
    }

    void stop_listening()
    {
        if (listener != nullptr) {
            EXPECT_EQ(0, RUN(close_listener(listener)));
        }
        listener = nullptr;
    }

    coil_listener *listener = nullptr;
    std::string address;
    coil_network_probe probe = {};
};

TEST_F(HealthProbe, TcpIsReadyWhenItAccepts)
{
    coil_tcp_probe_init(&probe, address.c_str());
    EXPECT_EQ(COIL_HEALTH_READY, RUN(coil_health_ask(&probe.probe)));
}

TEST_F(HealthProbe, HttpJudgesTheStatus)
{
    const struct {
        const char *answer;
        int expected;
    } cases[] = {
            {"HTTP/1.1 200 OK\r\n\r\n", COIL_HEALTH_READY},
            {"HTTP/1.0 204\n", COIL_HEALTH_READY},
            {"HTTP/1.1 302 Found\r\n", COIL_HEALTH_READY},
            {"HTTP/1.1 429 Slow Down\r\n", COIL_HEALTH_WARNING},
            {"HTTP/1.1 503 Wait\r\n", COIL_HEALTH_STARTING},
            {"HTTP/1.1 500 Ouch\r\n", COIL_HEALTH_DEAD},
            {"HTTP/1.1 404 No\r\n", COIL_HEALTH_DEAD},
            {"HTTP/1.1 2x0 OK\r\n", -EPROTO},
            {"HTTP/1.1 2000 OK\r\n", -EPROTO},
            {"HTTP/1.1\n", -EPROTO},
            {"SSH-2.0-OpenSSH_9.2\r\n", -EPROTO},
            {"", -ENODATA},
    };
    coil_http_probe_init(&probe, address.c_str(), "/health");
    for (const auto &one : cases)
        EXPECT_EQ(one.expected, RUN(ask_one(listener, one.answer, &probe.probe))) << one.answer;
}

TEST_F(HealthProbe, Fb303MapsEveryStatus)
{
    const struct {
        int status;
        int expected;
    } cases[] = {
            {COIL_FB303_DEAD, COIL_HEALTH_DEAD},
            {COIL_FB303_STARTING, COIL_HEALTH_STARTING},
            {COIL_FB303_ALIVE, COIL_HEALTH_READY},
            {COIL_FB303_STOPPING, COIL_HEALTH_STOPPING},
            {COIL_FB303_STOPPED, COIL_HEALTH_DEAD},
            {COIL_FB303_WARNING, COIL_HEALTH_WARNING},
            {99, -EPROTO},
    };
    coil_fb303_service fb303 = {};
    coil_fb303_service_init(&fb303, "test", "1");
    coil_fb303_probe_init(&probe, address.c_str());
    for (const auto &one : cases) {
        fb303.status = static_cast<coil_fb303_status>(one.status);
        EXPECT_EQ(one.expected, RUN(ask_fb303(&fb303, listener, &probe.probe)));
    }
    coil_fb303_service_fini(&fb303);
}

/*
 * The second mistake in the monitor of the talk: where a connection was refused, it went on with a
 * client that it did not have, and closed that, too.
 */
TEST_F(HealthProbe, ARefusedConnectionIsAnErrorAndNothingMore)
{
    stop_listening();
    coil_tcp_probe_init(&probe, address.c_str());
    EXPECT_EQ(-ECONNREFUSED, RUN(coil_health_ask(&probe.probe)));
    coil_http_probe_init(&probe, address.c_str(), "/");
    EXPECT_EQ(-ECONNREFUSED, RUN(coil_health_ask(&probe.probe)));
    coil_fb303_probe_init(&probe, address.c_str());
    EXPECT_EQ(-ECONNREFUSED, RUN(coil_health_ask(&probe.probe)));
}

TEST_F(HealthProbe, OneThatIsSilentIsGivenUpByItsAsker)
{
    coil_fb303_probe_init(&probe, address.c_str());
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(20), coil_health_ask(&probe.probe))));
    coil_http_probe_init(&probe, address.c_str(), "/");
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(20), coil_health_ask(&probe.probe))));
}

TEST_F(HealthProbe, AsksNobodyIfTheAddressDoesNotFit)
{
    const std::string fits = std::string(COIL_PROBE_ADDRESS_BYTES - 4, 'a') + ":80";
    coil_tcp_probe_init(&probe, fits.c_str());
    EXPECT_EQ(fits, probe.address);
    const std::string longer = "a" + fits; /* Cut, it would be another port. */
    coil_tcp_probe_init(&probe, longer.c_str());
    EXPECT_EQ(-ENAMETOOLONG, RUN(coil_health_ask(&probe.probe)));
    coil_http_probe_init(&probe, longer.c_str(), "/");
    EXPECT_EQ(-ENAMETOOLONG, RUN(coil_health_ask(&probe.probe)));
    coil_fb303_probe_init(&probe, longer.c_str());
    EXPECT_EQ(-ENAMETOOLONG, RUN(coil_health_ask(&probe.probe)));
    const std::string path = "unix:/" + std::string(110, 'p'); /* It fits here, and in no socket. */
    coil_tcp_probe_init(&probe, path.c_str());
    EXPECT_EQ(-ENAMETOOLONG, RUN(coil_health_ask(&probe.probe)));
}

TEST_F(HealthProbe, AsksNobodyIfThePathDoesNotFit)
{
    const std::string path = "/" + std::string(500, 'p');
    coil_http_probe_init(&probe, address.c_str(), path.c_str());
    EXPECT_EQ(-ENAMETOOLONG, RUN(coil_health_ask(&probe.probe)));
}

} // namespace
