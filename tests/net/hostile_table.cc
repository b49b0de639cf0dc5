/* SPDX-License-Identifier: MIT */
/*
 * hostile_table - sends every packet of hostile_packets.h to a server, and prints what came of it
 * as a table: of docs/thrift_hostile.md.
 */
#include "hostile_target.h"

#include <cstdio>
#include <cstring>

namespace
{

std::string cut(const std::string &words, size_t size)
{
    std::string cell;
    for (const char letter : words.substr(0, size))
        cell += letter == '|' || static_cast<unsigned char>(letter) < ' ' ? '.' : letter;
    return words.size() > size ? cell + " ..." : cell;
}

void print(const HostilePacket &packet, const HostileOutcome &outcome)
{
    const int64_t max = hostile_memory_max(packet);
    std::string answer = outcome.answer.empty() ? "closed" : outcome.answer;

    if (!outcome.words.empty())
        answer += ": " + cut(outcome.words, 60);
    printf("| %s | %zu | %lld%s | %.2f | %.2f | %s |\n", packet.name, packet.bytes.size(),
            static_cast<long long>(outcome.peak_bytes), outcome.peak_bytes > max ? " **>**" : "",
            outcome.server_ms, outcome.slowest_ms, answer.c_str());
    fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    std::string group;

    for (const HostilePacket &packet : hostile_packets()) {
        if (argc > 1 && strstr(packet.name, argv[1]) == nullptr) /* Those alone. */
            continue;
        if (group != packet.group) {
            group = packet.group;
            printf("\n### %s\n\n", packet.group);
            printf("| packet | bytes sent | peak extra bytes | server, ms | another client's "
                   "slowest call, ms | answer |\n|---|---:|---:|---:|---:|---|\n");
        }
        print(packet, hostile_attack(packet));
    }
    return 0;
}
