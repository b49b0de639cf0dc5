/* SPDX-License-Identifier: MIT */
/*
 * hostile_table - sends every packet of hostile_packets.h to a server, and prints what came of it
 * as a page: docs/hostile-packets.md. With a word: those packets alone whose name has it.
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
        cell += letter == '|' || letter == '<' || letter < ' ' ? '.' : letter;
    return words.size() > size ? cell + " ..." : cell;
}

const char *const INTRODUCTION = R"(# Hostile packets

What a Thrift server does with bytes that mean it harm: each of these is sent to a server of
[hostile.thrift](../tests/net/hostile.thrift) on a connection of its own, whose sending side is then
closed, while another client goes on calling. The same list is a test
(`tests/net/hostile_packets_test.cc`), which holds the server to the answers, to serving the other
client, and to its memory. This page is what

    build/release/tests/net/hostile_table >docs/hostile-packets.md

has printed.

- *Peak extra bytes*: the most that the library has taken from `malloc` and `mmap`, for the
  connection, the call and its reply, beyond what the server had before, which had served a few
  ordinary calls of these methods (the first call of a method takes 82 KB for its metrics, once). At
  most **64 KiB and 8 times the bytes sent**. **>** marks what is more: zlib that grows much larger.
  The states of `inflate` and `deflate` are 58 KB of the 64 KiB already, and a message that was
  compressed to less than an eighth is, by itself, more than 8 times what was sent: to stay below,
  the server would have to refuse it, and a string of 128 KiB that was 175 bytes is a call like any
  other. So there are other bounds for these. What is inflated is at most 160 KiB and 32 times what
  was sent; it is there up to three times while its memory grows, and once more as the call's; what
  its arguments become is charged as if it were at most 16 KiB and 8 times. Who wants less has
  `limits`: `frame_max` holds for what is inflated, too.
- *Server*: processor time of its thread, calls of the other client included. That is the longest
  that it can have kept anybody waiting.
- *Another client's slowest call*: as measured, with whatever else the machine did.
- *Answer*: what came back; `closed`: nothing. A line that ends "within a message" is the server's
  answer to the end of the connection; until then it waits, for as long as `frame_limit` says.
)";

void print(const HostilePacket &packet, const HostileOutcome &outcome)
{
    const int64_t max = hostile_memory_max(packet);
    std::string answer = outcome.answer.empty() ? "closed" : outcome.answer;

    if (!outcome.words.empty())
        answer += ": " + cut(outcome.words, 90);
    printf("| `%s` | %zu | %lld%s | %.2f | %.2f | %s |\n", packet.name, packet.bytes.size(),
            static_cast<long long>(outcome.peak_bytes), outcome.peak_bytes > max ? " **>**" : "",
            outcome.server_ms, outcome.slowest_ms, answer.c_str());
    fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    std::string group;

    fputs(INTRODUCTION, stdout);
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
