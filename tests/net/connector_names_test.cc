/* SPDX-License-Identifier: MIT */
/* Connecting to a name of which a half of the answer is late, or never comes (RFC 8305, 3). */
#include "named_stage.h"
#include "ports.h"

#include <coil/sugar.h>

namespace
{

struct Trial {
    coil_resolver_options resolving = {};
    std::string target;
    coil_connect_report report = {};
    int rc = 1;
    int family = 0;
};

async(int, connect_early, (Trial *) trial)
{
    vars(coil_resolver *resolver; coil_connect_options options; coil_stream *stream; int rc);

    my->rc = coil_resolver_create(coil_loop_of(coil_self), &trial->resolving, &my->resolver);
    if (my->rc < 0)
        return my->rc;
    defer(coil_resolver_destroy(my->resolver));
    my->options.resolver = my->resolver;
    await(my->stream, within(coil_s(10), coil_connect_to(&my->options, trial->target.c_str(),
                                                 &trial->report)));
    trial->rc = coil_pointer_error(my->stream);
    if (trial->rc < 0)
        return 0;
    const coil_connect_attempt *last = &trial->report.attempts[trial->report.attempt_count - 1];
    trial->family = last->address.storage.ss_family;
    coil_stream_close(my->stream);
    return 0;
}

class NamedConnector : public Names
{
protected:
    /* Does the server answer the n-th question of that type? */
    using Answers = std::function<bool(const DnsQuery &)>;

    void connect(const Port &port, coil_duration timeout, const Answers &answers)
    {
        serve([answers](const DnsQuery &query) -> Messages {
            if (!answers(query))
                return {};
            Answer answer;
            if (query.type == dns::A)
                return {query.answer(answer.add(dns::a(query.name, 60, "127.0.0.1")))};
            return {query.answer(answer.add(dns::aaaa(query.name, 60, "::1")))};
        });
        trial.resolving = options;
        trial.resolving.timeout = timeout;
        trial.resolving.attempts = 5;
        trial.target = "host.test:" + std::to_string(coil_address_port(&port.address));
        EXPECT_EQ(0, coil_run(connect_early(&trial)));
    }

    static bool has_ipv6()
    {
        const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in6 at = {};
        at.sin6_family = AF_INET6;
        at.sin6_addr = in6addr_loopback;
        const bool has = fd >= 0 && bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)) == 0;
        close(fd);
        return has;
    }

    Trial trial;
};

TEST_F(NamedConnector, DoesNotWaitForIPv6ThatIsNotAnswered)
{
    const OpenPort port;
    connect(port, coil_s(60), [](const DnsQuery &query) { return query.type == dns::A; });
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(AF_INET, trial.family);
}

TEST_F(NamedConnector, DoesNotWaitForIPv4IfThereIsIPv6)
{
    if (!has_ipv6())
        GTEST_SKIP() << "no IPv6 here";
    const OpenPort port(AF_INET6);
    connect(port, coil_s(60), [](const DnsQuery &query) { return query.type == dns::AAAA; });
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(AF_INET6, trial.family);
}

TEST_F(NamedConnector, GoesOnWithWhatIsAnsweredLater)
{
    if (!has_ipv6())
        GTEST_SKIP() << "no IPv6 here";
    const OpenPort port(AF_INET6); /* Nobody is there by IPv4. */
    connect(port, coil_ms(200),
            [](const DnsQuery &query) { return query.type == dns::A || query.nth > 0; });
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(AF_INET6, trial.family);
    ASSERT_EQ(2u, trial.report.attempt_count);
    EXPECT_EQ(-ECONNREFUSED, trial.report.attempts[0].error);
}

TEST_F(NamedConnector, FailsWhenNothingMoreIsAnswered)
{
    const ClosedPort port;
    connect(port, coil_ms(50), [](const DnsQuery &query) { return query.type == dns::A; });
    EXPECT_EQ(-ECONNREFUSED, trial.rc);
    EXPECT_EQ(1u, trial.report.attempt_count);
}

} // namespace
