/* SPDX-License-Identifier: MIT */
/* A balancer over what a name server says of a service. */
#include "named_stage.h"
#include "ports.h"

#include <coil/balancer.h>

#include <coil/sugar.h>

namespace
{

enum { CHECKOUTS = 40 };

/*
 * _api._tcp.test is at these ports, whose priorities are 0, or those that are said; the targets'
 * addresses have to be asked for.
 */
Messages offer(const DnsQuery &query, const std::vector<const Port *> &ports,
        const std::vector<uint16_t> &priorities)
{
    Answer answer;
    if (query.type == dns::SRV && query.name == "_api._tcp.test") {
        for (size_t i = 0; i < ports.size(); i++) {
            const unsigned port = coil_address_port(&ports[i]->address);
            const uint16_t priority = priorities.empty() ? 0 : priorities[i];
            answer.add(dns::srv(query.name, 60, priority, 1, static_cast<uint16_t>(port),
                    "node" + std::to_string(i) + ".test"));
        }
        return {query.answer(answer)};
    }
    if (query.type == dns::A && query.name.substr(0, 4) == "node")
        return {query.answer(answer.add(dns::a(query.name, 60, "127.0.0.1")))};
    return {query.answer(dns::nothing(0, 60))};
}

struct Client {
    coil_balancer_options balancing = {};
    coil_resolver_options resolving = {};
    coil_balancer_stats stats = {};
    std::vector<int> results = {};
};

async(int, check_out, (coil_balancer *) balancer, (Client *) client)
{
    vars(coil_pooled *got);
    await(my->got, within(coil_s(10), coil_balancer_checkout(balancer)));
    client->results.push_back(coil_pointer_error(my->got));
    if (coil_pointer_error(my->got) < 0)
        return 0;
    await(coil_sleep(coil_ms(50)));
    coil_pooled_give_back(my->got);
    return 0;
}

async(int, use_service, (Client *) client)
{
    vars(coil_resolver *resolver; coil_balancer *balancer; coil_group group; int rc);

    my->rc = coil_resolver_create(coil_loop_of(coil_self), &client->resolving, &my->resolver);
    if (my->rc < 0)
        return my->rc;
    defer(coil_resolver_destroy(my->resolver));
    client->balancing.seed = 1;
    client->balancing.pool.connect.resolver = my->resolver;
    my->rc = coil_balancer_create(
            coil_loop_of(coil_self), "srv:_api._tcp.test", &client->balancing, &my->balancer);
    if (my->rc < 0)
        return my->rc;
    defer(coil_balancer_destroy(my->balancer));
    open_group(&my->group);
    for (int i = 0; i < CHECKOUTS; i++)
        spawn(&my->group, check_out(my->balancer, client));
    attempt(coil_group_join(&my->group));
    client->stats = coil_balancer_statistics(my->balancer);
    return 0;
}

class NamedBalancer : public Names
{
protected:
    void use(const std::vector<const Port *> &ports, const std::vector<uint16_t> &priorities = {})
    {
        serve([ports, priorities](
                      const DnsQuery &query) { return offer(query, ports, priorities); });
        client.resolving = options;
        EXPECT_EQ(0, coil_run(use_service(&client)));
    }

    Client client;
};

TEST_F(NamedBalancer, SpreadsTheLoadOverTheServicesOfAName)
{
    const OpenPort one;
    const OpenPort other;
    use({&one, &other});
    EXPECT_EQ(std::vector<int>(CHECKOUTS, 0), client.results);
    EXPECT_EQ(2u, client.stats.addresses);
    EXPECT_EQ(1u, server->count("_api._tcp.test"));
    EXPECT_LT(CHECKOUTS / 4, static_cast<int>(one.drain()));
    EXPECT_LT(CHECKOUTS / 4, static_cast<int>(other.drain()));
}

TEST_F(NamedBalancer, GoesOnWithTheServicesThatAreThere)
{
    const OpenPort one;
    const ClosedPort gone;
    use({&one, &gone});
    EXPECT_EQ(std::vector<int>(CHECKOUTS, 0), client.results);
    EXPECT_EQ(1u, client.stats.ejected);
    EXPECT_EQ(static_cast<unsigned>(CHECKOUTS), one.drain());
}

TEST_F(NamedBalancer, LeavesHigherPrioritiesAlone)
{
    const OpenPort spare;
    const OpenPort one;
    const OpenPort other;
    use({&spare, &one, &other}, {20, 10, 10});
    EXPECT_EQ(std::vector<int>(CHECKOUTS, 0), client.results);
    EXPECT_EQ(3u, client.stats.addresses);
    EXPECT_EQ(0u, spare.drain());
    EXPECT_LT(CHECKOUTS / 4, static_cast<int>(one.drain()));
    EXPECT_LT(CHECKOUTS / 4, static_cast<int>(other.drain()));
}

TEST_F(NamedBalancer, TakesTheNextPriorityWhereNobodyOfTheFirstCanBeReached)
{
    const ClosedPort one;
    const ClosedPort other;
    const OpenPort spare;
    const OpenPort last;
    use({&one, &other, &spare, &last}, {0, 0, 1, 2});
    EXPECT_EQ(std::vector<int>(CHECKOUTS, 0), client.results);
    EXPECT_EQ(2u, client.stats.ejected);
    EXPECT_LT(0u, spare.drain());
    EXPECT_EQ(0u, last.drain());
}

TEST_F(NamedBalancer, SaysThatThereIsNoSuchService)
{
    use({});
    EXPECT_EQ(-ENODATA, client.results[0]);
}

} // namespace
