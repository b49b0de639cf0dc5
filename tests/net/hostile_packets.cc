/* SPDX-License-Identifier: MIT */
#include "hostile_packets.h"

HostilePackets hostile_packets()
{
    HostilePackets all = hostile_binary();

    for (const HostilePackets &some : {hostile_values(), hostile_compact(), hostile_json(),
                 hostile_header(), hostile_strangers()})
        all.insert(all.end(), some.begin(), some.end());
#ifdef COIL_HAS_HTTP
    for (const HostilePacket &one : hostile_http())
        all.push_back(one);
#endif
#ifdef COIL_HAS_ZLIB
    for (const HostilePacket &one : hostile_zlib())
        all.push_back(one);
#endif
    return all;
}
