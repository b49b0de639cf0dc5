/* SPDX-License-Identifier: MIT */
/* The resolver and a name server that others have written: dnsmasq, on a loopback port. */
#include "name_server.h"
#include "names_stage.h"

#include <csignal>
#include <set>
#include <sys/wait.h>

namespace
{

class Dnsmasq : public testing::Test
{
protected:
    void SetUp() override
    {
        if (std::string(COIL_DNSMASQ).empty())
            GTEST_SKIP() << "dnsmasq is not installed";
        if (!coil_resolver_asks_dns())
            GTEST_SKIP() << "built without c-ares";
        for (int i = 0; i < 20 && !start(); i++)
            stop(); /* Somebody else was faster at this port. */
        ASSERT_GT(child, 0);
        options.servers = where.c_str();
        stage = std::make_unique<NamesStage>(options);
    }
    void TearDown() override
    {
        stage.reset();
        stop();
    }

    /* It is there when it answers. */
    bool start()
    {
        where = NameServer([](const DnsQuery &) { return Texts{}; }).where();
        const std::string port = "--port=" + where.substr(where.find(':') + 1);
        const std::string file = std::string("--conf-file=") + conf.path();
        child = fork();
        if (child == 0) {
            execl(COIL_DNSMASQ, COIL_DNSMASQ, file.c_str(), port.c_str(), nullptr);
            _exit(127);
        }
        coil_resolver_options probe = NamesStage::quiet();
        probe.servers = where.c_str();
        probe.attempts = 1;
        probe.timeout = coil_ms(100);
        NamesStage probing(probe);
        for (int i = 0; i < 1000 && waitpid(child, nullptr, WNOHANG) == 0; i++) {
            if (probing.resolve("host.test:1").size() == 2)
                return true;
            usleep(10000);
        }
        child = -1;
        return false;
    }
    void stop()
    {
        if (child <= 0)
            return;
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        child = -1;
    }

    OwnFile conf{"keep-in-foreground\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\n"
                 "no-hosts\nuser=root\npid-file=\nlocal=/test/\nlog-facility=/dev/null\n"
                 "host-record=host.test,127.0.0.7,::1,100\n"
                 "host-record=zero.test,127.0.0.8,0\n"
                 "host-record=one.test,127.0.0.9,1\n"
                 "txt-record=text.test,words\n"
                 "cname=alias.test,host.test\n"
                 "srv-host=_x._tcp.test,host.test,80,1\n"
                 "srv-host=_x._tcp.test,one.test,81,2\n"
                 "srv-host=_gone._tcp.test\n"};
    pid_t child = -1;
    std::string where;
    coil_resolver_options options = NamesStage::quiet();
    std::unique_ptr<NamesStage> stage;
};

std::set<std::string> set_of(const Texts &texts)
{
    return {texts.begin(), texts.end()};
}

TEST_F(Dnsmasq, KnowsAddressesAndAliases)
{
    const std::set<std::string> both = {"127.0.0.7:80", "[::1]:80"};
    EXPECT_EQ(both, set_of(stage->resolve("host.test:80")));
    EXPECT_EQ(both, set_of(stage->resolve("host.test:80")));
    EXPECT_EQ(1U, stage->stats().cache_hits);
    EXPECT_GE(coil_s(100), stage->ttl);
    EXPECT_LT(coil_s(1), stage->ttl);
    EXPECT_EQ(both, set_of(stage->resolve("alias.test:80")));
}

TEST_F(Dnsmasq, SaysHowLong)
{
    EXPECT_EQ(Texts{"127.0.0.8:1"}, stage->resolve("zero.test:1"));
    EXPECT_EQ(0, stage->ttl);
    EXPECT_EQ(Texts{"127.0.0.8:1"}, stage->resolve("zero.test:1"));
    EXPECT_EQ(0U, stage->stats().cache_hits);
    EXPECT_EQ(Texts{"127.0.0.9:1"}, stage->resolve("one.test:1"));
    EXPECT_GE(coil_s(1), stage->ttl);
}

TEST_F(Dnsmasq, TellsNoNameFromNoAddress)
{
    stage->resolve("nobody.test:1");
    EXPECT_EQ(-ENOENT, stage->rc);
    stage->resolve("text.test:1");
    EXPECT_EQ(-ENODATA, stage->rc);
}

TEST_F(Dnsmasq, KnowsServices)
{
    const auto found = stage->resolve("srv:_x._tcp.test");
    ASSERT_EQ(3U, found.size());
    EXPECT_EQ((std::set<std::string>{"127.0.0.7:80", "[::1]:80"}), set_of({found[0], found[1]}));
    EXPECT_EQ("127.0.0.9:81", found[2]);
    stage->resolve("srv:_gone._tcp.test");
    EXPECT_EQ(-ENODATA, stage->rc);
    stage->resolve("srv:_y._tcp.test");
    EXPECT_EQ(-ENOENT, stage->rc);
}

} // namespace
