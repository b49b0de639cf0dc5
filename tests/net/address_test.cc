/* SPDX-License-Identifier: MIT */
#include <coil/address.h>

#include <gtest/gtest.h>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace
{

std::string round_trip(const std::string &text)
{
    coil_address address;
    char formatted[COIL_ADDRESS_TEXT_BYTES];
    const int rc = coil_address_parse(text.c_str(), &address);
    return rc < 0 ? "error " + std::to_string(rc) : coil_address_format(&address, formatted);
}

int parse(const std::string &text)
{
    coil_address address;
    return coil_address_parse(text.c_str(), &address);
}

TEST(Address, WritesWhatItReads)
{
    for (const char *text : {"127.0.0.1:9090", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80",
                 "[::]:0", "[2001:db8::8:800:200c:417a]:443", "unix:/run/service.sock",
                 "unix:relative", "unix:@abstract", "unix:a:b"})
        EXPECT_EQ(text, round_trip(text));
}

TEST(Address, TakesAStarForEveryAddress)
{
    EXPECT_EQ("[::]:9090", round_trip("*:9090"));
}

TEST(Address, TakesALongWayToWriteTheSame)
{
    EXPECT_EQ("[::1]:80", round_trip("[0000:0000:0000:0000:0000:0000:0000:0001]:00080"));
    EXPECT_EQ("[::ffff:1.2.3.4]:1", round_trip("[0:0:0:0:0:FFFF:1.2.3.4]:1"));
}

TEST(Address, RefusesWhatIsNoAddress)
{
    for (const char *text : {"", ":", "9090", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0:80",
                 "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 80", "127.0.0.1:80 ",
                 " 127.0.0.1:80", "256.0.0.1:80", "127.0.0.1.5:80", "localhost:80", "::1:80",
                 "[fe80::1%]:80", "[2001:db8::1%1]:80", "[%1]:80", "127.0.0.1%1:80", "[]:80",
                 "[:80", "[::1:80", "::1]:80", "[::1]", "[::1]80", "[::1]:", "[127.0.0.1]:80",
                 "[::1%lo]:80", "*", "**:80", "[*]:80", "unix:", "unix:@", "unix", "UNIX:/x"})
        EXPECT_EQ(-EINVAL, parse(text)) << text;
    EXPECT_EQ(-EINVAL, parse(std::string(1000, '1') + ":80"));
    EXPECT_EQ(-EINVAL, parse("[" + std::string(1000, ':') + "]:80"));
}

TEST(Address, KnowsTheInterfaceOfALinkLocalAddress)
{
    const std::string by_number = "[fe80::1%" + std::to_string(if_nametoindex("lo")) + "]:80";
    EXPECT_EQ(by_number, round_trip("[fe80::1%lo]:80"));
    EXPECT_EQ(by_number, round_trip(by_number));
    EXPECT_EQ("[ff02::1%2147483647]:5353", round_trip("[ff02::1%2147483647]:5353"));
    coil_address address;
    ASSERT_EQ(0, coil_address_parse("[fe80::1%7]:80", &address));
    sockaddr_in6 v6;
    memcpy(&v6, &address.storage, sizeof(v6));
    EXPECT_EQ(7u, v6.sin6_scope_id);
    for (const char *text : {"[fe80::1%no-such]:80", "[fe80::1%0]:80", "[fe80::1%2147483648]:80",
                 "[fe80::1%18446744073709551617]:80", "[fe80::1%1x]:80"})
        EXPECT_EQ(-ENODEV, parse(text)) << text;
}

TEST(Address, RefusesAPortThatIsNone)
{
    for (const char *text :
            {"127.0.0.1:65536", "127.0.0.1:4294967376", "[::1]:99999999999999999999"})
        EXPECT_EQ(-ERANGE, parse(text)) << text;
}

TEST(Address, RefusesAPathThatDoesNotFit)
{
    const std::string longest(sizeof(sockaddr_un::sun_path) - 1, 'x');
    EXPECT_EQ("unix:" + longest, round_trip("unix:" + longest));
    EXPECT_EQ(-ENAMETOOLONG, parse("unix:" + longest + "x"));
    const std::string abstract = "@" + longest.substr(1);
    EXPECT_EQ("unix:" + abstract, round_trip("unix:" + abstract));
    EXPECT_EQ(-ENAMETOOLONG, parse("unix:" + abstract + "x"));
}

TEST(Address, LeavesTheResultAloneOnAnError)
{
    coil_address address;
    memset(&address, 0x55, sizeof(address));
    const coil_address before = address;
    for (const char *text : {"nonsense", "127.0.0.1:99999", "unix:", "[::1]x:1"})
        EXPECT_GT(0, coil_address_parse(text, &address));
    EXPECT_EQ(0, memcmp(&before, &address, sizeof(address)));
}

TEST(Address, KnowsItsPortAndItsPath)
{
    coil_address address;
    ASSERT_EQ(0, coil_address_parse("127.0.0.1:9090", &address));
    EXPECT_EQ(9090, coil_address_port(&address));
    EXPECT_EQ(nullptr, coil_address_path(&address));
    EXPECT_EQ(sizeof(sockaddr_in), address.size_bytes);
    ASSERT_EQ(0, coil_address_parse("[::1]:9091", &address));
    EXPECT_EQ(9091, coil_address_port(&address));
    EXPECT_EQ(sizeof(sockaddr_in6), address.size_bytes);
    ASSERT_EQ(0, coil_address_parse("unix:/x/y", &address));
    EXPECT_EQ(0, coil_address_port(&address));
    EXPECT_STREQ("/x/y", coil_address_path(&address));
    ASSERT_EQ(0, coil_address_parse("unix:@y", &address));
    EXPECT_EQ(nullptr, coil_address_path(&address));
    EXPECT_EQ(offsetof(sockaddr_un, sun_path) + 2, address.size_bytes) << "no NUL in the name";
}

TEST(Address, FormatsWhatTheKernelGivesForASocketWithoutName)
{
    coil_address address = {};
    char text[COIL_ADDRESS_TEXT_BYTES];
    address.storage.ss_family = AF_UNIX;
    address.size_bytes = sizeof(sa_family_t);
    EXPECT_STREQ("unix:", coil_address_format(&address, text));
    address.storage.ss_family = AF_UNSPEC;
    EXPECT_STREQ("(no address)", coil_address_format(&address, text));
}

} // namespace
