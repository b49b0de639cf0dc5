/* SPDX-License-Identifier: MIT */
#include <coil/admission.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <random>
#include <string>
#include <vector>

/* What has been drawn at random. */
static size_t drawn_bytes;

extern "C" {
void __real_coil_kernel_random(void *bytes, size_t size_bytes);
void __wrap_coil_kernel_random(void *bytes, size_t size_bytes);

void __wrap_coil_kernel_random(void *bytes, size_t size_bytes)
{
    drawn_bytes += size_bytes;
    __real_coil_kernel_random(bytes, size_bytes);
}
}

namespace
{

coil_address at(const std::string &text)
{
    coil_address address = {};
    EXPECT_EQ(0, coil_address_parse(text.c_str(), &address)) << text;
    return address;
}

class Admission : public testing::Test
{
protected:
    ~Admission() override
    {
        for (const coil_address &peer : inside)
            coil_admission_leave(admission, &peer);
        coil_admission_destroy(admission);
    }

    void create(const coil_admission_options &options)
    {
        ASSERT_EQ(0, coil_admission_create(&options, &admission));
    }

    int enter(const std::string &text)
    {
        const coil_address peer = at(text);
        const int rc = coil_admission_enter(admission, &peer);
        if (rc == 0)
            inside.push_back(peer);
        return rc;
    }

    unsigned of_peer(const std::string &text)
    {
        const coil_address peer = at(text);
        return coil_admission_of_peer(admission, &peer);
    }

    coil_admission *admission = nullptr;
    std::vector<coil_address> inside;
};

TEST_F(Admission, LimitsAllOfThem)
{
    create({2, 0, 0, 0});
    EXPECT_EQ(0, enter("192.0.2.1:1"));
    EXPECT_EQ(0, enter("unix:/run/client"));
    EXPECT_EQ(-EUSERS, enter("192.0.2.2:1"));
    EXPECT_EQ(2u, coil_admission_total(admission));
}

TEST_F(Admission, LimitsEachPeerWhateverItsPort)
{
    create({0, 2, 0, 0});
    EXPECT_EQ(0, enter("192.0.2.1:1"));
    EXPECT_EQ(0, enter("192.0.2.1:2"));
    EXPECT_EQ(-EDQUOT, enter("192.0.2.1:3"));
    EXPECT_EQ(0, enter("192.0.2.2:1"));
    EXPECT_EQ(2u, of_peer("192.0.2.1:9"));
    EXPECT_EQ(3u, coil_admission_total(admission));
}

TEST_F(Admission, TakesIpv6NetworksForPeers)
{
    create({0, 1, 0, 0});
    EXPECT_EQ(0, enter("[2001:db8::1]:1"));
    EXPECT_EQ(-EDQUOT, enter("[2001:db8::ffff:2]:1"));
    EXPECT_EQ(0, enter("[2001:db8:0:1::1]:1"));
}

TEST_F(Admission, TakesIpv4AtAnIpv6SocketForIpv4)
{
    create({0, 1, 0, 0});
    EXPECT_EQ(0, enter("[::ffff:192.0.2.1]:1"));
    EXPECT_EQ(-EDQUOT, enter("192.0.2.1:1"));
    EXPECT_EQ(0, enter("[::ffff:192.0.2.2]:1"));
}

TEST_F(Admission, CanTakeOtherPrefixes)
{
    create({0, 1, 24, 128});
    EXPECT_EQ(0, enter("192.0.2.1:1"));
    EXPECT_EQ(-EDQUOT, enter("192.0.2.200:1"));
    EXPECT_EQ(0, enter("192.0.3.1:1"));
    EXPECT_EQ(0, enter("[2001:db8::1]:1"));
    EXPECT_EQ(0, enter("[2001:db8::2]:1"));
}

TEST_F(Admission, RefusesPrefixesThatThereAreNot)
{
    const coil_admission_options v4 = {0, 0, 33, 0};
    const coil_admission_options v6 = {0, 0, 0, 129};
    EXPECT_EQ(-EINVAL, coil_admission_create(&v4, &admission));
    EXPECT_EQ(-EINVAL, coil_admission_create(&v6, &admission));
}

TEST_F(Admission, KeepsPeersByAKeyThatNobodyCanGuess)
{
    const size_t before = drawn_bytes;
    create({2, 0, 0, 0});
    EXPECT_LE(before + 16, drawn_bytes) << "else somebody could choose addresses for one bucket";
}

TEST_F(Admission, CountsAsANaiveMapDoes)
{
    enum { LIMIT = 3, TOTAL = 1500, STEPS = 40000, PEERS = 900 };
    create({TOTAL, LIMIT, 0, 0});
    std::mt19937 random(20261121);
    std::map<std::string, unsigned> counts;
    std::vector<std::string> names;
    for (int step = 0; step < STEPS; step++) {
        if (random() % 100 < (step < STEPS / 2 ? 70u : 45u)) {
            const std::string host = "10.0." + std::to_string(random() % (PEERS / 256 + 1)) + "." +
                                     std::to_string(random() % 256);
            const int expected = inside.size() >= TOTAL  ? -EUSERS
                                 : counts[host] >= LIMIT ? -EDQUOT
                                                         : 0;
            ASSERT_EQ(expected, enter(host + ":1"));
            if (expected == 0) {
                counts[host]++;
                names.push_back(host);
            }
        } else if (!inside.empty()) {
            const size_t which = random() % inside.size();
            coil_admission_leave(admission, &inside[which]);
            counts[names[which]]--;
            inside.erase(inside.begin() + static_cast<long>(which));
            names.erase(names.begin() + static_cast<long>(which));
        }
    }
    for (const auto &[host, count] : counts)
        ASSERT_EQ(count, of_peer(host + ":1"));
    EXPECT_EQ(inside.size(), coil_admission_total(admission));
}

} // namespace
