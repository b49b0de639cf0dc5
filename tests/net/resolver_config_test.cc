/* SPDX-License-Identifier: MIT */
#include "guarded_bytes.h"

#include <coil/resolver.h>
#include <coil/time.h>

extern "C" {
#include "resolver_config.h"
#include "resolver_sort.h"
}

#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

namespace
{

const char *text_of(const GuardedBytes &bytes)
{
    return static_cast<const char *>(static_cast<const void *>(bytes.bytes()));
}

std::unique_ptr<resolver_config> config_of(const std::string &text)
{
    const GuardedBytes bytes(text);
    auto config = std::make_unique<resolver_config>();
    resolver_config_init(config.get());
    resolver_config_read(config.get(), text_of(bytes), bytes.size());
    return config;
}

std::string server(const resolver_config &config, unsigned index)
{
    char text[COIL_ADDRESS_TEXT_BYTES];
    return coil_address_format(&config.servers[index], text);
}

TEST(ResolvConf, SaysWhomToAskAndHow)
{
    const auto config = config_of("# remark\n"
                                  "nameserver 10.0.0.1\r\n"
                                  "  nameserver\t::1 ; the other\n"
                                  "nameserver nonsense\n"
                                  "domain old.test\n"
                                  "search one.test two.test.\n"
                                  "options ndots:5 timeout:3 attempts:4 rotate edns0\n"
                                  "nameserver 10.0.0.3");
    ASSERT_EQ(3U, config->server_count);
    EXPECT_EQ("10.0.0.1:53", server(*config, 0));
    EXPECT_EQ("[::1]:53", server(*config, 1));
    EXPECT_EQ("10.0.0.3:53", server(*config, 2));
    ASSERT_EQ(2U, config->search_count);
    EXPECT_STREQ("two.test", config->search[1].text);
    EXPECT_EQ(5U, config->ndots);
    EXPECT_EQ(4U, config->attempts);
    EXPECT_EQ(coil_s(3), config->timeout);
    EXPECT_TRUE(config->rotate);
}

TEST(ResolvConf, MayNameServersOnALink)
{
    const auto config = config_of("nameserver fe80::1%1\nnameserver fe80::1%no-such\n"
                                  "nameserver fe80::1%\nnameserver %1\nnameserver 10.0.0.1%1\n");
    ASSERT_EQ(1U, config->server_count);
    EXPECT_EQ("[fe80::1%1]:53", server(*config, 0));
}

TEST(ResolvConf, IsLimitedInAllThatItSays)
{
    std::string text = "options ndots:99999999999 timeout:0 attempts:1000 ndots: ndots:x\nsearch";
    for (int i = 0; i < 100; i++)
        text += " d" + std::to_string(i) + ".test";
    for (int i = 0; i < 100; i++)
        text += "\nnameserver 10.0.0." + std::to_string(i);
    const auto config = config_of(text);
    EXPECT_EQ(unsigned{COIL_RESOLVER_SERVERS_MAX}, config->server_count);
    EXPECT_EQ(unsigned{COIL_RESOLVER_SEARCH_MAX}, config->search_count);
    EXPECT_EQ(15U, config->ndots);
    EXPECT_EQ(5U, config->attempts);
    EXPECT_EQ(coil_s(1), config->timeout);
}

TEST(ResolvConf, MayEndAnywhere)
{
    const std::string whole = "nameserver 10.0.0.1\nsearch a.test\noptions ndots:2 rotate\n";
    for (size_t size = 0; size <= whole.size(); size++)
        (void)config_of(whole.substr(0, size));
}

TEST(ResolverServers, HavePorts)
{
    auto config = config_of("");
    EXPECT_EQ(0, resolver_config_set_servers(config.get(), " 10.0.0.1:5353 ::1  [fd00::1]:54 "));
    ASSERT_EQ(3U, config->server_count);
    EXPECT_EQ("10.0.0.1:5353", server(*config, 0));
    EXPECT_EQ("[::1]:53", server(*config, 1));
    EXPECT_EQ("[fd00::1]:54", server(*config, 2));
    for (const char *wrong :
            {"", " ", "host", "10.0.0.1 host", "unix:/x", "*:53", "10.0.0.1:0", "[::1]", "1.2.3"}) {
        EXPECT_EQ(-EINVAL, resolver_config_set_servers(config.get(), wrong)) << wrong;
        EXPECT_EQ(3U, config->server_count);
    }
    EXPECT_EQ(-ERANGE, resolver_config_set_servers(config.get(), "10.0.0.1:65536"));
}

TEST(ResolverSearch, RefusesWhatIsNoDomain)
{
    auto config = config_of("search old.test");
    EXPECT_EQ(-EINVAL, resolver_config_set_search(config.get(), "one.test t..t"));
    EXPECT_EQ(1U, config->search_count);
    EXPECT_EQ(0, resolver_config_set_search(config.get(), ""));
    EXPECT_EQ(0U, config->search_count);
}

class Hosts
{
public:
    explicit Hosts(const std::string &text)
    {
        const GuardedBytes bytes(text);
        EXPECT_EQ(0, hosts_table_read(&table_, text_of(bytes), bytes.size()));
    }
    ~Hosts()
    {
        hosts_table_fini(&table_);
    }
    Hosts(const Hosts &) = delete;
    Hosts &operator=(const Hosts &) = delete;

    /* The addresses of a name, in their order. */
    std::string find(const std::string &text) const
    {
        dns_name name;
        size_t count = 0;
        std::string found;
        EXPECT_EQ(0, dns_name_read(text.data(), text.size(), &name, nullptr));
        const hosts_entry *entries = hosts_table_find(&table_, &name, &count);
        for (size_t i = 0; i < count; i++) {
            char address[INET6_ADDRSTRLEN];
            inet_ntop(entries[i].address.is_v6 ? AF_INET6 : AF_INET, entries[i].address.bytes,
                    address, sizeof(address));
            found += std::string(i == 0 ? "" : " ") + address;
        }
        return found;
    }

private:
    hosts_table table_ = {};
};

TEST(HostsFile, HasAddressesInTheOrderOfItsLines)
{
    const Hosts hosts("127.0.0.1 localhost\n"
                      "10.0.0.2\tTwo two.test. #two.remark\n"
                      "fe80::1%eth0 scoped\n"
                      "10.0.0.1 two\n"
                      "300.0.0.1 wrong\n"
                      "::1 two b\xc3\xa4r one");
    EXPECT_EQ("127.0.0.1", hosts.find("localhost"));
    EXPECT_EQ("10.0.0.2 10.0.0.1 ::1", hosts.find("TWO"));
    EXPECT_EQ("10.0.0.2", hosts.find("two.test"));
    EXPECT_EQ("::1", hosts.find("one"));
    EXPECT_EQ("", hosts.find("two.remark"));
    EXPECT_EQ("", hosts.find("wrong"));
    EXPECT_EQ("", hosts.find("scoped"));
    EXPECT_EQ("", hosts.find("tw"));
}

TEST(HostsFile, FindsEachOfMany)
{
    std::string text;
    for (int i = 0; i < 3000; i++)
        text += "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + " h" +
                std::to_string(i * 7919 % 3000) + "\n";
    const Hosts hosts(text);
    for (int i = 0; i < 3000; i++)
        EXPECT_EQ("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250),
                hosts.find("h" + std::to_string(i * 7919 % 3000)));
}

TEST(HostsFile, MayEndAnywhereAndBeEmpty)
{
    const std::string whole = "127.0.0.1 a b\n::1 c # d\n";
    for (size_t size = 0; size <= whole.size(); size++)
        EXPECT_EQ("", Hosts(whole.substr(0, size)).find("x"));
}

/* ------------------------------------------------------------------------------------ orders -- */

dns_address address_of(const char *text)
{
    dns_address address = {};
    address.is_v6 = strchr(text, ':') != nullptr;
    EXPECT_EQ(1, inet_pton(address.is_v6 ? AF_INET6 : AF_INET, text, address.bytes)) << text;
    return address;
}

/* Each is "destination", with the source that the kernel would choose; "": no way there. */
std::string sorted(const std::vector<std::pair<const char *, const char *>> &given)
{
    std::vector<sort_candidate> candidates;
    for (const auto &each : given) {
        sort_candidate candidate = {};
        candidate.address = address_of(each.first);
        candidate.has_source = *each.second != '\0';
        if (candidate.has_source)
            candidate.source = address_of(each.second);
        candidates.push_back(candidate);
    }
    sort_candidates(candidates.data(), static_cast<unsigned>(candidates.size()));
    std::string order;
    for (const auto &each : candidates) {
        char text[INET6_ADDRSTRLEN];
        inet_ntop(each.address.is_v6 ? AF_INET6 : AF_INET, each.address.bytes, text, sizeof(text));
        order += (order.empty() ? "" : " ") + std::string(text);
    }
    return order;
}

/* The examples of RFC 6724 10.2. */
TEST(AddressOrder, IsThatOfTheExamples)
{
    EXPECT_EQ("2001:db8:1::1 198.51.100.121",
            sorted({{"198.51.100.121", "169.254.13.78"}, {"2001:db8:1::1", "2001:db8:1::2"}}));
    EXPECT_EQ("198.51.100.121 2001:db8:1::1",
            sorted({{"2001:db8:1::1", "fe80::1"}, {"198.51.100.121", "198.51.100.117"}}));
    EXPECT_EQ("2001:db8:1::1 10.1.2.3",
            sorted({{"10.1.2.3", "10.1.2.4"}, {"2001:db8:1::1", "2001:db8:1::2"}}));
    EXPECT_EQ("fe80::1 2001:db8:1::1",
            sorted({{"2001:db8:1::1", "2001:db8:1::2"}, {"fe80::1", "fe80::2"}}));
    EXPECT_EQ("2001:db8:1::1 2001:db8:3ffe::1",
            sorted({{"2001:db8:3ffe::1", "2001:db8:3f44::2"}, {"2001:db8:1::1", "2001:db8:1::2"}}));
    EXPECT_EQ("2002:c633:6401::1 2001:db8:1::1",
            sorted({{"2001:db8:1::1", "2002:c633:6401::2"},
                    {"2002:c633:6401::1", "2002:c633:6401::2"}}));
    EXPECT_EQ("2001:db8:1::1 2002:c633:6401::1", sorted({{"2002:c633:6401::1", "2002:c633:6401::2"},
                                                         {"2001:db8:1::1", "2001:db8:1::2"}}));
}

TEST(AddressOrder, HasLastWhereThereIsNoWayAndElseTheOrderOfTheServer)
{
    EXPECT_EQ("10.0.0.2 10.0.0.1 2001:db8::1",
            sorted({{"2001:db8::1", ""}, {"10.0.0.2", "10.0.0.9"}, {"10.0.0.1", "10.0.0.9"}}));
}

TEST(ServiceOrder, IsByPriorityAndThenByChance)
{
    std::vector<dns_service> services(4);
    const unsigned wanted[4][2] = {{2, 0}, {1, 10}, {1, 30}, {1, 0}};
    for (unsigned i = 0; i < 4; i++) {
        services[i].priority = static_cast<uint16_t>(wanted[i][0]);
        services[i].weight = static_cast<uint16_t>(wanted[i][1]);
    }
    unsigned first[4] = {};
    for (uint32_t seed = 0; seed < 41; seed++) {
        const uint32_t random[4] = {seed, 0, 0, 0};
        unsigned order[COIL_RESOLVER_SERVICES_MAX];
        sort_services(services.data(), 4, random, order);
        EXPECT_EQ(0U, order[3]);
        EXPECT_EQ(6U, order[0] + order[1] + order[2]);
        first[order[0]]++;
    }
    EXPECT_EQ(1U, first[3]); /* A weight of 0 has a small chance. */
    EXPECT_EQ(10U, first[1]);
    EXPECT_EQ(30U, first[2]);
}

} // namespace
