/* SPDX-License-Identifier: MIT */
#include "dns_words.h"
#include "guarded_bytes.h"

#include <coil/resolver.h>
#include <coil/time.h>

extern "C" {
#include "dns_message.h"
}

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace
{

using dns::Answer;

dns_name named(const std::string &text)
{
    dns_name name = {};
    EXPECT_EQ(0, dns_name_read(text.data(), text.size(), &name, nullptr)) << text;
    return name;
}

struct Reading {
    Reading(const std::string &message, unsigned type, const std::string &asked = "host.test")
    {
        const GuardedBytes bytes(message);
        const dns_name name = named(asked);
        dns_records_init(records.get());
        rc = dns_message_read(
                bytes.bytes(), bytes.size(), static_cast<uint16_t>(type), &name, records.get());
    }

    std::unique_ptr<dns_records> records = std::make_unique<dns_records>();
    int rc = 1;
};

std::string answer_of(const Answer &answer, unsigned type = dns::A)
{
    return answer.message(1, "host.test", type);
}

TEST(DnsMessage, GivesAddressesAndTheirShortestTime)
{
    const Reading reading(answer_of(Answer().add(dns::a("host.test", 60, "127.0.0.1"))
                                            .add(dns::a("HOST.test", 30, "127.0.0.2"))
                                            .add(dns::a("other.test", 1, "127.0.0.3"))),
            dns::A);
    EXPECT_EQ(0, reading.rc);
    EXPECT_EQ(0, reading.records->status);
    EXPECT_EQ(2U, reading.records->address_count);
    EXPECT_EQ(30U, reading.records->ttl_s);
}

TEST(DnsMessage, FollowsAliasesInWhateverOrder)
{
    const Reading reading(answer_of(Answer().add(dns::aaaa("c.test", 60, "::1"))
                                            .add(dns::cname("b.test", 20, "c.test"))
                                            .add(dns::cname("host.test", 40, "b.test")),
                                  dns::AAAA),
            dns::AAAA);
    EXPECT_EQ(0, reading.records->status);
    EXPECT_EQ(1U, reading.records->address_count);
    EXPECT_EQ(20U, reading.records->ttl_s);
}

TEST(DnsMessage, FollowsSixteenAliasesAndNotMore)
{
    for (int count : {16, 17}) {
        Answer answer;
        std::string owner = "host.test";
        for (int i = 0; i < count; i++) {
            const std::string next = "n" + std::to_string(i) + ".test";
            answer.add(dns::cname(owner, 60, next));
            owner = next;
        }
        answer.add(dns::a(owner, 60, "127.0.0.1"));
        EXPECT_EQ(count == 16 ? 0 : -EBADMSG, Reading(answer_of(answer), dns::A).rc);
    }
}

TEST(DnsMessage, TellsANameThatDoesNotExistFromOneWithoutRecords)
{
    EXPECT_EQ(-ENOENT, Reading(answer_of(dns::nothing(3, 60)), dns::A).records->status);
    const Reading reading(answer_of(dns::nothing(0, 60)), dns::A);
    EXPECT_EQ(-ENODATA, reading.records->status);
    EXPECT_EQ(60U, reading.records->ttl_s);
    EXPECT_EQ(0U, Reading(answer_of(Answer()), dns::A).records->ttl_s);
}

TEST(DnsMessage, IsOfNoUseWhenTheServerFails)
{
    for (unsigned code : {1U, 2U, 4U, 5U, 15U})
        EXPECT_EQ(-EREMOTEIO, Reading(answer_of(dns::nothing(code, 60)), dns::A).rc) << code;
}

TEST(DnsMessage, IsBrokenWhenItAnswersAnotherQuestion)
{
    const Answer answer = Answer().add(dns::a("host.test", 60, "127.0.0.1"));
    EXPECT_EQ(-EBADMSG, Reading(answer.message(1, "other.test", dns::A), dns::A).rc);
    EXPECT_EQ(-EBADMSG, Reading(answer_of(answer), dns::AAAA).rc);
    Answer question = answer;
    question.flags = 0x0100;
    EXPECT_EQ(-EBADMSG, Reading(answer_of(question), dns::A).rc);
    question.flags = 0x8380;
    EXPECT_EQ(-EBADMSG, Reading(answer_of(question), dns::A).rc);
}

TEST(DnsMessage, MayEndNowhereButAtItsEnd)
{
    Answer answer;
    answer.add(dns::cname("host.test", 20, "b.test")).add(dns::a("b.test", 60, "127.0.0.1"));
    const std::string whole = answer_of(answer);
    for (size_t size = 0; size < whole.size(); size++)
        EXPECT_EQ(-EBADMSG, Reading(whole.substr(0, size), dns::A).rc) << size;
    EXPECT_EQ(0, Reading(whole, dns::A).rc);
}

/*
 * A record whose contents are pointers, each to the one before it, and one whose name is the last.
 */
std::string chain_of(unsigned count)
{
    const std::string head = answer_of(Answer());
    const std::string first = dns::record("other.test", 16, 60, "");
    const auto begins = static_cast<unsigned>(head.size() + first.size());
    std::string pointers = dns::u16(0xc00c); /* The name that was asked for. */
    for (unsigned i = 0; i + 1 < count; i++)
        pointers += dns::u16(0xc000 | (begins + 2 * i));
    Answer answer;
    answer.add(dns::record("other.test", 16, 60, pointers));
    answer.add(pointers.substr(pointers.size() - 2) + dns::u16(dns::A) + dns::u16(1) +
               dns::u32(60) + dns::u16(4) + std::string("\x7f\0\0\1", 4));
    return answer_of(answer);
}

TEST(DnsMessage, WithMorePointersThanANameHasLabelsIsBroken)
{
    EXPECT_EQ(1U, Reading(chain_of(100), dns::A).records->address_count);
    EXPECT_EQ(1U, Reading(chain_of(127), dns::A).records->address_count);
    EXPECT_EQ(-EBADMSG, Reading(chain_of(128), dns::A).rc);
    EXPECT_EQ(-EBADMSG, Reading(chain_of(5000), dns::A).rc);
}

TEST(DnsMessage, WithPointersThatLeadAroundIsBroken)
{
    const std::string head = answer_of(Answer());
    const std::string tail = dns::u16(dns::A) + dns::u16(1) + dns::u32(60) + dns::u16(0);
    Answer one;
    one.answers = 1;
    const auto here = static_cast<unsigned>(head.size());
    for (const std::string &name : {
                 dns::u16(0xc000 | here),       /* To itself. */
                 dns::u16(0xc000 | (here + 2)), /* Ahead. */
                 dns::u16(0xffff),              /* Far beyond. */
                 dns::u16(0xc000),              /* Into the header. */
                 "\1a" + dns::u16(0xc000 | here),
                 std::string("\x40"),
                 std::string("\x80"),
                 std::string("\xc0"),
         }) {
        one.records = name + tail;
        EXPECT_EQ(-EBADMSG, Reading(answer_of(one), dns::A).rc);
        one.records = name;
        EXPECT_EQ(-EBADMSG, Reading(answer_of(one), dns::A).rc);
    }
    one.records = dns::u16(0xc00c) + dns::u16(dns::A) + dns::u16(1) + dns::u32(60) + dns::u16(4) +
                  std::string("\x7f\0\0\1", 4);
    EXPECT_EQ(1U, Reading(answer_of(one), dns::A).records->address_count);
}

TEST(DnsMessage, TakesAddressesOfTheRightSizeOnly)
{
    for (unsigned size : {0U, 3U, 5U, 16U}) {
        const auto record = dns::record("host.test", dns::A, 60, std::string(size, 'x'));
        EXPECT_EQ(0U, Reading(answer_of(Answer().add(record)), dns::A).records->address_count);
    }
}

TEST(DnsMessage, GivesAtMostSoManyAddresses)
{
    Answer answer;
    for (int i = 0; i < 900; i++)
        answer.add(dns::a("host.test", 60, "127.0.0.1"));
    EXPECT_EQ(unsigned{COIL_RESOLVER_ADDRESSES_MAX},
            Reading(answer_of(answer), dns::A).records->address_count);
}

TEST(DnsMessage, WithNamesThatNoHostHasGivesThoseThatAreNeverEqual)
{
    const std::string odd = std::string("\3a.b\4test\0", 10);
    const std::string record =
            odd + dns::u16(dns::A) + dns::u16(1) + dns::u32(60) + dns::u16(4) + "\x7f\1\1\1";
    EXPECT_EQ(0U,
            Reading(answer_of(Answer().add(record)), dns::A, "host.test").records->address_count);
}

TEST(DnsMessage, GivesServicesAndWhatCameAlong)
{
    Answer answer;
    answer.add(dns::srv("host.test", 60, 1, 2, 3, "A.test"))
            .add(dns::srv("host.test", 60, 4, 5, 6, "b.test"));
    answer.records += dns::a("b.test", 10, "127.0.0.1") + dns::a("c.test", 1, "127.0.0.2");
    answer.additionals = 2;
    const Reading reading(answer_of(answer, dns::SRV), dns::SRV);
    ASSERT_EQ(2U, reading.records->service_count);
    EXPECT_STREQ("a.test", reading.records->services[0].target.text);
    EXPECT_EQ(6U, reading.records->services[1].port);
    ASSERT_EQ(1U, reading.records->address_count);
    EXPECT_EQ(1U, reading.records->addresses[0].service_index);
    EXPECT_EQ(10U, reading.records->ttl_s);
}

TEST(DnsMessage, KnowsAServiceThatIsNotOffered)
{
    const Reading reading(
            answer_of(Answer().add(dns::srv("host.test", 60, 0, 0, 0, "")), dns::SRV), dns::SRV);
    EXPECT_EQ(-ENODATA, reading.records->status);
    EXPECT_EQ(60U, reading.records->ttl_s);
}

TEST(DnsName, IsReadInLowerCaseWithoutItsLastDot)
{
    dns_name name;
    bool is_absolute = false;
    EXPECT_EQ(0, dns_name_read("WWW.Test.", 9, &name, &is_absolute));
    EXPECT_STREQ("www.test", name.text);
    EXPECT_TRUE(is_absolute);
    EXPECT_EQ(1U, dns_name_dots(&name));
    EXPECT_TRUE(dns_name_is_below(&name, "test"));
    EXPECT_FALSE(dns_name_is_below(&name, "est"));
}

TEST(DnsName, IsNotLongerThanTheyMayBe)
{
    const std::string label(63, 'a');
    const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
    dns_name name;
    EXPECT_EQ(253U, longest.size());
    EXPECT_EQ(0, dns_name_read(longest.data(), longest.size(), &name, nullptr));
    EXPECT_EQ(-ENAMETOOLONG, dns_name_read((longest + "b").data(), 254, &name, nullptr));
    const dns_name domain = named("test");
    dns_name joined;
    EXPECT_EQ(-ENAMETOOLONG, dns_name_join(&name, &domain, &joined));
    EXPECT_EQ(0, dns_name_join(&domain, &domain, &joined));
    EXPECT_STREQ("test.test", joined.text);
}

} // namespace
