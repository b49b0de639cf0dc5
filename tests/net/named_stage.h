/* SPDX-License-Identifier: MIT */
/* A name server of the test's own, and a resolver that asks it. */
#ifndef NAMED_STAGE_H
#define NAMED_STAGE_H

#include "name_server.h"
#include "names_stage.h"

#include <memory>
#include <mutex>
#include <utility>

using dns::Answer;

enum { SERVFAIL = 2, NXDOMAIN = 3 };

using Messages = std::vector<std::string>;

/* host.test has an address of each kind, alias.test leads there; all else does not exist. */
inline Messages usual(const DnsQuery &query)
{
    Answer answer;
    std::string owner = query.name;
    if (owner == "alias.test") {
        answer.add(dns::cname(owner, 60, "host.test"));
        owner = "host.test";
    }
    if (owner == "host.test" && query.type == dns::A)
        return {query.answer(answer.add(dns::a(owner, 300, "127.0.0.7")))};
    if (owner == "host.test" && query.type == dns::AAAA)
        return {query.answer(answer.add(dns::aaaa(owner, 200, "::1")))};
    return {query.answer(dns::nothing(owner == "host.test" ? 0 : NXDOMAIN, 30))};
}

/* Only A. */
inline Messages addresses_only(const DnsQuery &query, uint32_t ttl_s)
{
    if (query.type == dns::A)
        return {query.answer(Answer().add(dns::a(query.name, ttl_s, "127.0.0.7")))};
    return {query.answer(dns::nothing(0, ttl_s))};
}

class Names : public testing::Test
{
protected:
    void serve(NameServer::Answerer answerer)
    {
        server = std::make_unique<NameServer>(std::move(answerer));
        where = server->where();
        options.servers = where.c_str();
    }
    void SetUp() override
    {
        if (!coil_resolver_asks_dns())
            GTEST_SKIP() << "built without c-ares";
    }

    std::unique_ptr<NameServer> server;
    std::string where;
    coil_resolver_options options = NamesStage::quiet();
};

/* _x._tcp.test is offered in four places, _gone._tcp.test nowhere. */
inline Messages services(const DnsQuery &query)
{
    Answer answer;
    if (query.type != dns::SRV)
        return usual(query);
    if (query.name == "_gone._tcp.test") {
        answer.add(dns::srv(query.name, 60, 0, 0, 0, ""));
    } else {
        answer.add(dns::srv(query.name, 60, 20, 0, 3, "localhost"));
        answer.add(dns::srv(query.name, 60, 10, 0, 1, "host.test"));
        answer.add(dns::srv(query.name, 60, 15, 0, 2, "along.test"));
        answer.add(dns::srv(query.name, 60, 5, 0, 9, "nobody.test"));
        answer.records += dns::a("along.test", 60, "127.0.0.9");
        answer.additionals = 1;
    }
    return {query.answer(answer)};
}

#endif
