/* SPDX-License-Identifier: MIT */
/*
 * What hostile peers send to a server of hostile.thrift, and what it has to say to that.
 *
 * `answer` has a word for each message that comes back: REPLY, the name of the type of a
 * TApplicationException, the status of HTTP where there is no message in it. Empty: the connection
 * is closed without one.
 */
#ifndef HOSTILE_PACKETS_H
#define HOSTILE_PACKETS_H

#include "thrift_packets.h"

#include <cstdint>
#include <string>
#include <vector>

enum {
    HOSTILE_FREE_BYTES = 64 * 1024,
    HOSTILE_INFLATED = 1536 * 1024, /* Of zlib, which may become much larger. */
};

struct HostilePacket {
    const char *group;
    const char *name;
    std::string answer;
    std::string bytes;
    int64_t free_bytes = HOSTILE_FREE_BYTES; /* It may cost so much, and 8 times what is sent. */
    int awaited = 0; /* So many frames come back before the peer ends its side. */
};

using HostilePackets = std::vector<HostilePacket>;

HostilePackets hostile_binary();
HostilePackets hostile_values();
HostilePackets hostile_compact();
HostilePackets hostile_json();
HostilePackets hostile_header();
HostilePackets hostile_http();
HostilePackets hostile_zlib();
HostilePackets hostile_strangers();

/* All of them. */
HostilePackets hostile_packets();

namespace packet
{

inline std::string framed(const std::string &bytes)
{
    return i32(static_cast<int64_t>(bytes.size())) + bytes;
}

/* A call of the method whose first argument begins like that. */
inline std::string echo(const std::string &argument)
{
    return call("echo", argument);
}

/* take(Everything), of which there are these fields. */
inline std::string take(const std::string &fields)
{
    return call("take", field(12, 1) + fields + stop() + stop());
}

inline std::string bytes(const char *hexadecimal)
{
    std::string all;
    for (const char *at = hexadecimal; *at != '\0'; at++) {
        if (*at == ' ')
            continue;
        all.push_back(static_cast<char>(std::stoi(std::string(at, 2), nullptr, 16)));
        at++;
    }
    return all;
}

} // namespace packet

#endif
