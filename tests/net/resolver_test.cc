/* SPDX-License-Identifier: MIT */
#include "named_stage.h"

#include <chrono>
#include <set>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace
{

/* -------------------------------------------------------------------------------- answers -- */

TEST_F(Names, BecomeAddressesOfBothKinds)
{
    serve(usual);
    NamesStage stage(options);
    const auto found = stage.resolve("host.test:80");
    EXPECT_EQ(0, stage.rc);
    EXPECT_EQ((std::set<std::string>{"[::1]:80", "127.0.0.7:80"}),
            std::set<std::string>(found.begin(), found.end()));
    EXPECT_GE(coil_s(200), stage.ttl);
    EXPECT_LT(0, stage.ttl);
}

TEST_F(Names, AreFollowedThroughAnAlias)
{
    serve(usual);
    NamesStage stage(options);
    EXPECT_EQ(2U, stage.resolve("ALIAS.test:80").size());
    EXPECT_GE(coil_s(60), stage.ttl);
    EXPECT_LT(0, stage.ttl);
}

TEST_F(Names, ThatDoNotExistAreRememberedAsLongAsTheZoneSays)
{
    serve(usual);
    NamesStage stage(options);
    for (int i = 0; i < 3; i++) {
        stage.resolve("nobody.test:80");
        EXPECT_EQ(-ENOENT, stage.rc);
    }
    EXPECT_EQ(2U, server->count("nobody.test"));
    EXPECT_EQ(2U, stage.stats().cache_hits);
}

TEST_F(Names, WithoutAnAddressAreNotThoseThatDoNotExist)
{
    serve([](const DnsQuery &query) { return Messages{query.answer(dns::nothing(0, 0))}; });
    NamesStage stage(options);
    for (unsigned i = 1; i < 3; i++) {
        stage.resolve("host.test:80");
        EXPECT_EQ(-ENODATA, stage.rc);
        EXPECT_EQ(2 * i, server->count("host.test")); /* TTL 0: not remembered. */
    }
}

TEST_F(Names, AreAskedForOnceUntilTheirTimeIsOver)
{
    serve(usual);
    NamesStage stage(options);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(2U, stage.resolve("host.test:80").size());
    EXPECT_EQ(2U, server->count("host.test"));
    coil_resolver_flush(stage.resolver);
    EXPECT_EQ(2U, stage.resolve("host.test:80").size());
    EXPECT_EQ(4U, server->count("host.test"));
    EXPECT_EQ(1U, stage.stats().cached_count);
}

/* Ask until the server is asked again; how often it was then. */
unsigned asked_again(NamesStage *stage, NameServer *server, const std::string &name)
{
    using Clock = std::chrono::steady_clock;
    const auto until = Clock::now() + std::chrono::seconds(10);
    unsigned before = 0;
    do {
        stage->resolve((name + ":80").c_str());
        if (before == 0)
            before = server->count(name);
    } while (server->count(name) == before && Clock::now() < until);
    return server->count(name) - before;
}

TEST_F(Names, AreAskedForAgainWhenTheirTimeIsOver)
{
    serve(usual);
    options.ttl_max = coil_ms(20);
    NamesStage stage(options);
    EXPECT_EQ(2U, asked_again(&stage, server.get(), "host.test"));
    EXPECT_EQ(0, stage.rc);
    EXPECT_GE(coil_ms(20), stage.ttl) << "however much longer the zone would have it";
    EXPECT_EQ(1U, stage.stats().cached_count) << "in the place of the one of before";
}

TEST_F(Names, ThatDoNotExistAreAskedForAgainWhenTheirTimeIsOver)
{
    serve(usual);
    options.negative_ttl_max = coil_ms(20);
    NamesStage stage(options);
    EXPECT_EQ(2U, asked_again(&stage, server.get(), "nobody.test"));
    EXPECT_EQ(-ENOENT, stage.rc);
    stage.resolve("host.test:80");
    EXPECT_LT(coil_s(1), stage.ttl) << "those that exist are not meant";
}

TEST_F(Names, AreRememberedForTheLeastTimeUnlessThatIsZero)
{
    serve([](const DnsQuery &query) {
        return addresses_only(query, query.name == "zero.test" ? 0 : 1);
    });
    options.ttl_min = coil_s(100);
    NamesStage stage(options);
    stage.resolve("host.test:80");
    EXPECT_LT(coil_s(1), stage.ttl);
    EXPECT_GE(coil_s(100), stage.ttl);
    stage.resolve("zero.test:80");
    EXPECT_EQ(0, stage.ttl);
    EXPECT_EQ(1U, stage.stats().cached_count);
}

TEST_F(Names, OfTtlZeroAreAskedForEachTime)
{
    serve([](const DnsQuery &query) { return addresses_only(query, 0); });
    NamesStage stage(options);
    for (unsigned i = 1; i < 4; i++) {
        EXPECT_EQ(Texts{"127.0.0.7:80"}, stage.resolve("host.test:80"));
        EXPECT_EQ(0, stage.ttl);
        EXPECT_EQ(2 * i, server->count("host.test"));
    }
    EXPECT_EQ(0U, stage.stats().cached_count);
}

TEST_F(Names, AreForgottenBeyondTheBoundsOfTheCache)
{
    serve([](const DnsQuery &query) { return addresses_only(query, 60); });
    options.cache_count_max = 3;
    NamesStage stage(options);
    for (int i = 0; i < 10; i++)
        stage.resolve(("host" + std::to_string(i) + ".test:1").c_str());
    EXPECT_EQ(3U, stage.stats().cached_count);
    EXPECT_EQ(7U, stage.stats().evicted);
    stage.resolve("host9.test:1");
    EXPECT_EQ(2U, server->count("host9.test"));
    stage.resolve("host0.test:1");
    EXPECT_EQ(4U, server->count("host0.test"));
}

TEST_F(Names, AreForgottenBeyondTheBytesOfTheCache)
{
    serve([](const DnsQuery &query) { return addresses_only(query, 60); });
    options.cache_bytes_max = 1500;
    NamesStage stage(options);
    for (int i = 0; i < 10; i++)
        stage.resolve(("host" + std::to_string(i) + ".test:1").c_str());
    EXPECT_LT(stage.stats().cached_count, 10U);
    EXPECT_LE(stage.stats().cached_bytes, 1500U);
}

/* ---------------------------------------------------------------------------------- targets -- */

TEST(LocalNames, ThatAreLiteralsAreNotAskedFor)
{
    NamesStage stage(NamesStage::quiet());
    EXPECT_EQ(Texts{"127.0.0.1:80"}, stage.resolve("127.0.0.1:80"));
    EXPECT_EQ(Texts{"[::1]:80"}, stage.resolve("[::1]:80"));
    EXPECT_EQ(Texts{"unix:/run/x"}, stage.resolve("unix:/run/x"));
    EXPECT_EQ(COIL_FOREVER, stage.ttl);
    EXPECT_EQ(0U, stage.stats().lookups);
}

TEST(LocalNames, ThatAreNoneAreRefused)
{
    NamesStage stage(NamesStage::quiet());
    const std::string label(63, 'a');
    const std::string name = label + "." + label + "." + label + "." + label;
    const std::pair<std::string, int> wrong[] = {
            {"", -EINVAL},
            {"host", -EINVAL},
            {":80", -EINVAL},
            {"host:", -EINVAL},
            {"host:x", -EINVAL},
            {"host:65536", -ERANGE},
            {"a..b:1", -EINVAL},
            {".a:1", -EINVAL},
            {".:1", -EINVAL},
            {"a b:1", -EINVAL},
            {"m\xc3\xbcller.test:1", -EINVAL},
            {"::1:80", -EINVAL},
            {"10.0.0.256:80", -EINVAL},
            {label + "a.test:1", -EINVAL},
            {name + ":1", -ENAMETOOLONG},
            {"srv:", -EINVAL},
            {"srv:_a._tcp.test:80", -EINVAL},
            {"unix:", -EINVAL},
            {"unix:" + std::string(200, 'x'), -ENAMETOOLONG},
    };
    for (const auto &each : wrong) {
        EXPECT_TRUE(stage.resolve(each.first.c_str()).empty()) << each.first;
        EXPECT_EQ(each.second, stage.rc) << each.first;
    }
    EXPECT_EQ(0U, stage.stats().lookups);
}

TEST(LocalNames, OfThisMachineAreNotAskedFor)
{
    NamesStage stage(NamesStage::quiet());
    for (const char *name : {"localhost:80", "LOCALHOST.:80", "db.localhost:80"}) {
        const auto found = stage.resolve(name);
        EXPECT_EQ((std::set<std::string>{"[::1]:80", "127.0.0.1:80"}),
                std::set<std::string>(found.begin(), found.end()))
                << name;
    }
    stage.resolve("anything.invalid:80");
    EXPECT_EQ(-ENOENT, stage.rc);
    stage.resolve("secret.onion:80");
    EXPECT_EQ(-ENOENT, stage.rc);
    EXPECT_EQ(0U, stage.stats().questions);
}

TEST_F(Names, OfTheHostsFileAreReadAgainWhenItChanges)
{
    OwnFile hosts("127.0.0.2 one two.test # three\n::1 one\nnonsense here\n");
    options.hosts_path = hosts.path();
    NamesStage stage(options);
    EXPECT_EQ(2U, stage.resolve("One:80").size());
    EXPECT_EQ(Texts{"127.0.0.2:80"}, stage.resolve("two.test.:80"));
    stage.resolve("three:80");
    EXPECT_EQ(-EAGAIN, stage.rc); /* It had to be asked for, and nobody is there. */
    hosts.write("127.0.0.3 two.test three\n");
    coil_resolver_flush(stage.resolver);
    EXPECT_EQ(Texts{"127.0.0.3:80"}, stage.resolve("three:80"));
    stage.resolve("one:80");
    EXPECT_EQ(-EAGAIN, stage.rc);
}

/* Meanwhile this process can open no file. */
class NoDescriptors
{
public:
    NoDescriptors()
    {
        const int lowest = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
        close(lowest);
        EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
        rlimit none = before;
        none.rlim_cur = static_cast<rlim_t>(lowest);
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    }
    ~NoDescriptors()
    {
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    }
    NoDescriptors(const NoDescriptors &) = delete;
    NoDescriptors &operator=(const NoDescriptors &) = delete;

private:
    rlimit before = {};
};

TEST_F(Names, OfTheHostsFileStayAsLongAsItCannotBeRead)
{
    OwnFile hosts("127.0.0.2 one\n");
    options.hosts_path = hosts.path();
    NamesStage stage(options);
    hosts.write("127.0.0.3 one two\n");
    {
        const NoDescriptors none;
        coil_resolver_flush(stage.resolver);
        coil_resolver_flush(stage.resolver);
    }
    EXPECT_EQ(1U, stage.stats().reloads);
    EXPECT_EQ(Texts{"127.0.0.2:80"}, stage.resolve("one:80"));
    coil_resolver_flush(stage.resolver);
    EXPECT_EQ(Texts{"127.0.0.3:80"}, stage.resolve("one:80"));
    EXPECT_EQ(Texts{"127.0.0.3:80"}, stage.resolve("two:80"));

    ASSERT_EQ(0, unlink(hosts.path()));
    ASSERT_EQ(0, mkdir(hosts.path(), 0700));
    coil_resolver_flush(stage.resolver);
    ASSERT_EQ(0, rmdir(hosts.path()));
    EXPECT_EQ(Texts{"127.0.0.3:80"}, stage.resolve("one:80"));
    coil_resolver_flush(stage.resolver); /* Nothing is there any more. */
    stage.resolve("one:80");
    EXPECT_EQ(-EAGAIN, stage.rc);
}

TEST_F(Names, OfTheHostsFileAreReadThoughThereWereNoDescriptorsAtFirst)
{
    OwnFile hosts("127.0.0.2 one\n");
    options.hosts_path = hosts.path();
    NamesStage stage(NamesStage::quiet());
    coil_resolver *late = nullptr;
    {
        const NoDescriptors none;
        ASSERT_EQ(0, coil_resolver_create(stage.loop, &options, &late));
    }
    std::swap(stage.resolver, late);
    coil_resolver_flush(stage.resolver);
    EXPECT_EQ(Texts{"127.0.0.2:80"}, stage.resolve("one:80"));
    coil_resolver_destroy(late);
}

TEST_F(Names, OfTheHostsFileAreReadUpToItsLimit)
{
    const std::string remark = "#" + std::string(8 << 20, '-') + "\n";
    OwnFile hosts("127.0.0.2 near\n" + remark + "127.0.0.3 far\n");
    options.hosts_path = hosts.path();
    NamesStage stage(options);
    EXPECT_EQ(Texts{"127.0.0.2:80"}, stage.resolve("near:80"));
    stage.resolve("far:80");
    EXPECT_EQ(-EAGAIN, stage.rc);
}

/* ------------------------------------------------------------------------------------ search -- */

/* Which names are asked for, in their order, when none of them exists. */
TEST_F(Names, AreSearchedForInDomains)
{
    std::mutex lock;
    Texts asked;
    serve([&](const DnsQuery &query) {
        std::lock_guard<std::mutex> guard(lock);
        if (query.type == dns::A)
            asked.push_back(query.name);
        return Messages{query.answer(dns::nothing(NXDOMAIN, 0))};
    });
    options.search = "one.test two.test";
    options.ndots = 2;
    NamesStage stage(options);
    const std::pair<const char *, Texts> cases[] = {
            {"a.b:1", {"a.b.one.test", "a.b.two.test", "a.b"}},
            {"a.b.c:1", {"a.b.c", "a.b.c.one.test", "a.b.c.two.test"}},
            {"a.:1", {"a"}},
    };
    for (const auto &each : cases) {
        asked.clear();
        stage.resolve(each.first);
        EXPECT_EQ(-ENOENT, stage.rc);
        EXPECT_EQ(each.second, asked) << each.first;
    }
    server.reset(); /* It uses what is ours. */
}

TEST_F(Names, AreNotSearchedForBeyondAFailureOfTheServers)
{
    serve([](const DnsQuery &query) {
        if (query.name == "a.one.test")
            return Messages{query.answer(dns::nothing(SERVFAIL, 0))};
        return addresses_only(query, 60);
    });
    options.search = "one.test two.test";
    NamesStage stage(options);
    stage.resolve("a:1");
    EXPECT_EQ(-EAGAIN, stage.rc);
    EXPECT_EQ(0U, server->count("a.two.test"));
}

TEST_F(Names, AreAskedOfTheServersOfResolvConf)
{
    serve(usual);
    OwnFile conf("# nothing yet\n");
    options.servers = nullptr;
    options.search = nullptr;
    options.resolv_conf_path = conf.path();
    NamesStage stage(options);
    conf.write("nameserver " + where + "\nsearch test\n");
    coil_resolver_flush(stage.resolver);
    EXPECT_EQ(2U, stage.resolve("host:80").size());
    EXPECT_EQ(2U, stage.stats().reloads);
}

/* ------------------------------------------------------------------------- hostile servers -- */

TEST_F(Names, AreAskedForByTcpWhenTheAnswerWasCutOff)
{
    serve([](const DnsQuery &query) {
        Answer answer;
        if (!query.is_tcp) {
            answer.flags |= 0x0200;
        } else if (query.type == dns::A) { /* 64 KiB, or nearly. */
            for (int i = 0; i < 2500; i++)
                answer.add(dns::a(query.name, 60,
                        ("127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250))
                                .c_str()));
        } else {
            answer = dns::nothing(0, 60);
        }
        return Messages{query.answer(answer)};
    });
    NamesStage stage(options);
    EXPECT_EQ(size_t{COIL_RESOLVER_ADDRESSES_MAX}, stage.resolve("host.test:80").size());
}

TEST_F(Names, AreAskedForAgainWhenADatagramIsLost)
{
    serve([](const DnsQuery &query) { return query.nth == 0 ? Messages{} : usual(query); });
    options.attempts = 100;
    options.timeout = coil_ms(100);
    NamesStage stage(options);
    EXPECT_EQ(2U, stage.resolve("host.test:80").size());
    EXPECT_LE(1U, stage.stats().timeouts);
}

TEST_F(Names, AreAskedOfTheNextServerWhenOneFails)
{
    NameServer failing([](const DnsQuery &query) {
        return Messages{query.answer(dns::nothing(SERVFAIL, 0))};
    });
    serve(usual);
    const std::string both = "127.0.0.1:1 " + failing.where() + " " + where;
    options.servers = both.c_str();
    NamesStage stage(options);
    EXPECT_EQ(2U, stage.resolve("host.test:80").size());
    EXPECT_EQ(3U, stage.stats().tries);
    EXPECT_LE(3U, stage.stats().bad_answers);
}

TEST_F(Names, HalfOfWhichFailAreTheOtherHalf)
{
    serve([](const DnsQuery &query) {
        return query.type == dns::A ? usual(query)
                                    : Messages{query.answer(dns::nothing(SERVFAIL, 0))};
    });
    options.attempts = 2;
    NamesStage stage(options);
    EXPECT_EQ(Texts{"127.0.0.7:80"}, stage.resolve("host.test:80"));
    EXPECT_EQ(3U, server->count("host.test")); /* What was answered is not asked again. */
    EXPECT_EQ(0U, stage.stats().cached_count);
}

TEST_F(Names, AreNotTakenFromAnswersToOtherQuestions)
{
    serve([](const DnsQuery &query) {
        Answer lie;
        lie.add(dns::a(query.name, 60, "127.6.6.6"));
        DnsQuery other = query;
        other.id = static_cast<uint16_t>(query.id + 1);
        DnsQuery another = query;
        another.name = "other.test";
        Messages all = {other.answer(lie), another.answer(lie), "x", std::string(600, '\xff')};
        for (const auto &each : usual(query))
            all.push_back(each);
        return all;
    });
    NamesStage stage(options);
    EXPECT_EQ(2U, stage.resolve("host.test:80").size());
}

TEST_F(Names, WhoseAliasesGoRoundInCirclesAreNone)
{
    serve([](const DnsQuery &query) {
        Answer answer;
        answer.add(dns::cname(query.name, 60, "b.test")).add(dns::cname("b.test", 60, query.name));
        return Messages{query.answer(answer)};
    });
    NamesStage stage(options);
    stage.resolve("a.test:80");
    EXPECT_EQ(-EAGAIN, stage.rc);
    EXPECT_EQ(2U, stage.stats().bad_answers);
}

TEST_F(Names, AreNotFoundWhereNobodyAnswers)
{
    serve([](const DnsQuery &) { return Messages{}; });
    options.attempts = 2;
    options.timeout = coil_ms(20);
    NamesStage stage(options);
    stage.resolve("host.test:80");
    EXPECT_EQ(-EAGAIN, stage.rc);
    EXPECT_EQ(2U, stage.stats().timeouts);
}

TEST_F(Names, SurviveGarbageOfEveryLength)
{
    unsigned seed = 1;
    serve([&](const DnsQuery &query) {
        std::string good = usual(query).front();
        const size_t at = 12 + static_cast<size_t>(rand_r(&seed)) % (good.size() - 12);
        if (query.nth % 2 == 0)
            good.resize(at); /* Cut off, */
        else
            good[at] = static_cast<char>(rand_r(&seed)); /* or one byte wrong. */
        return Messages{good};
    });
    options.timeout = coil_ms(2);
    options.ttl_max = 1;
    options.negative_ttl_max = 1;
    NamesStage stage(options);
    for (int i = 0; i < 300; i++) {
        stage.resolve("host.test:80");
        coil_resolver_flush(stage.resolver);
    }
    EXPECT_EQ(0U, stage.stats().question_count);
    server.reset(); /* It uses what is ours. */
}

/* --------------------------------------------------------------------------------- services -- */

TEST_F(Names, OfServicesComeByPriorityWithTheirPorts)
{
    serve(services);
    NamesStage stage(options);
    const auto found = stage.resolve("srv:_x._tcp.test");
    ASSERT_EQ(5U, found.size());
    EXPECT_EQ((std::set<std::string>{"[::1]:1", "127.0.0.7:1"}),
            std::set<std::string>(found.begin(), found.begin() + 2));
    EXPECT_EQ("127.0.0.9:2", found[2]);
    EXPECT_EQ((std::set<std::string>{"[::1]:3", "127.0.0.1:3"}),
            std::set<std::string>(found.begin() + 3, found.end()));
    EXPECT_GE(coil_s(60), stage.ttl);
    EXPECT_LT(0, stage.ttl);
    EXPECT_EQ(0U, server->count("along.test"));
    stage.resolve("srv:_x._tcp.test");
    EXPECT_EQ(1U, server->count("_x._tcp.test"));
}

TEST_F(Names, OfServicesThatAreNotOfferedHaveNoAddress)
{
    serve(services);
    NamesStage stage(options);
    stage.resolve("srv:_gone._tcp.test");
    EXPECT_EQ(-ENODATA, stage.rc);
}

} // namespace
