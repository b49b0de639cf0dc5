/* SPDX-License-Identifier: MIT */
/* A server of hostile.thrift, a client that goes on calling it, and one that attacks it. */
#ifndef HOSTILE_TARGET_H
#define HOSTILE_TARGET_H

#include "hostile_packets.h"

#include <cstdint>
#include <string>

/* What came of one packet. */
struct HostileOutcome {
    std::string answer;      /* As HostilePacket.answer. */
    std::string words;       /* Of the last exception. */
    int64_t peak_bytes;      /* The most that the server has taken, beyond what it had before. */
    double server_ms;        /* Of the server's processor, calls of the other client included. */
    double slowest_ms;       /* The longest that the other client has waited. */
    bool is_other_served;    /* It was answered, while and after. */
    bool is_hanging = false; /* The connection has not ended. */
};

/* So much may a packet cost, with exceptions. */
inline int64_t hostile_memory_max(const HostilePacket &packet, int64_t free_bytes = 64 * 1024)
{
    return free_bytes + 8 * static_cast<int64_t>(packet.bytes.size());
}

HostileOutcome hostile_attack(const HostilePacket &packet);

/* What a peer was sent, as HostilePacket.answer and HostileOutcome.words. */
void hostile_describe(const std::string &received, HostileOutcome *outcome);

#endif
