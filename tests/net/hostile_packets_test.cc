/* SPDX-License-Identifier: MIT */
/* Every packet of hostile_packets.h, sent to a server that has another client, too. */
#include "hostile_target.h"

#include <gtest/gtest.h>

#include <cctype>

namespace
{

class Packet : public testing::TestWithParam<HostilePacket>
{
};

TEST_P(Packet, IsAnsweredOrRefusedAndCostsNobodyAnything)
{
    const HostilePacket &packet = GetParam();
    const HostileOutcome outcome = hostile_attack(packet);

    EXPECT_EQ(packet.answer, outcome.answer) << outcome.words;
    EXPECT_TRUE(outcome.is_other_served);
    EXPECT_FALSE(outcome.is_hanging);
    EXPECT_LE(outcome.peak_bytes, hostile_memory_max(packet, packet.free_bytes));
}

std::string name_of(const testing::TestParamInfo<HostilePacket> &packet)
{
    std::string name = std::to_string(packet.index) + "_" + packet.param.group;
    name += std::string("_") + packet.param.name;
    for (char &letter : name) {
        if (isalnum(static_cast<unsigned char>(letter)) == 0)
            letter = '_';
    }
    return name;
}

INSTANTIATE_TEST_SUITE_P(Hostile, Packet, testing::ValuesIn(hostile_packets()), name_of);

} // namespace
