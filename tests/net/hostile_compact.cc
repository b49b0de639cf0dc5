/* SPDX-License-Identifier: MIT */
/* The compact protocol: numbers that are too long, sizes and fields that lie. */
#include "hostile_packets.h"

using namespace packet;

namespace
{

const char *const GROUP = "compact";

std::string varint(uint64_t value)
{
    std::string bytes;
    for (; value > 0x7f; value >>= 7)
        bytes.push_back(static_cast<char>(value | 0x80));
    bytes.push_back(static_cast<char>(value));
    return bytes;
}

std::string name_of(const std::string &name)
{
    return varint(name.size()) + name;
}

std::string begin(int type, const std::string &name)
{
    return "\x82" + i8(type << 5 | 1) + varint(7) + name_of(name);
}

std::string small(const std::string &method, const std::string &arguments)
{
    return begin(1, method) + arguments;
}

/* take(Everything): its field `id`, of that type. */
std::string small_take(int type, int id, const std::string &value)
{
    return small("take", i8(0x1c) + (id < 16 ? i8(id << 4 | type) : i8(type) + varint(2U * id)) +
                                 value + stop() + stop());
}

HostilePackets messages()
{
    const std::string ping = small("ping", stop());

    return {
            {GROUP, "framed, then unframed", "REPLY, PROTOCOL_ERROR", framed(ping) + ping},
            {GROUP, "three calls, unframed", "REPLY x 3", repeat(ping, 3)},
            {GROUP, "version 2", "PROTOCOL_ERROR",
                    framed("\x82" + i8(0x22) + varint(7) + name_of("ping") + stop())},
            {GROUP, "type 0", "PROTOCOL_ERROR", framed(begin(0, "ping") + stop())},
            {GROUP, "type 7", "PROTOCOL_ERROR", framed(begin(7, "ping") + stop())},
            {GROUP, "a REPLY", "INVALID_MESSAGE_TYPE", framed(begin(2, "ping") + stop())},
            {GROUP, "seqid of 11 bytes", "PROTOCOL_ERROR",
                    framed("\x82\x21" + std::string(10, '\x80') + "\1" + name_of("ping") + stop())},
            {GROUP, "seqid of bytes without an end", "PROTOCOL_ERROR",
                    framed("\x82\x21" + std::string(1000, '\xff'))},
            {GROUP, "seqid without an end, unframed", "PROTOCOL_ERROR",
                    "\x82\x21" + std::string(1000, '\xff')},
            {GROUP, "seqid above 32 bits", "PROTOCOL_ERROR",
                    framed("\x82\x21" + varint(1ULL << 40) + name_of("ping") + stop())},
            {GROUP, "name of 2^31-1 bytes", "PROTOCOL_ERROR",
                    framed("\x82\x21\7" + varint(0x7fffffff) + "ping")},
            {GROUP, "name of 2^32+4 bytes", "PROTOCOL_ERROR",
                    framed("\x82\x21\7" + varint((1ULL << 32) + 4) + "ping" + stop())},
            {GROUP, "bytes behind its end", "PROTOCOL_ERROR", framed(ping + "more")},
    };
}

HostilePackets fields()
{
    const std::string deep = i8(0x1c);

    return {
            {GROUP, "no stop", "PROTOCOL_ERROR", framed(small("ping", ""))},
            {GROUP, "type 14", "PROTOCOL_ERROR", framed(small("ping", i8(0x1e) + stop()))},
            {GROUP, "ids that grow beyond 32767", "PROTOCOL_ERROR",
                    framed(small("ping",
                            i8(3) + varint(2 * 32767) + i8(0) + i8(0x13) + i8(0) + stop()))},
            {GROUP, "id above 16 bits", "PROTOCOL_ERROR",
                    framed(small("ping", i8(3) + varint(2 * 100000) + i8(0) + stop()))},
            {GROUP, "id of 5 bytes too many", "PROTOCOL_ERROR",
                    framed(small("ping", i8(3) + std::string(8, '\x80') + "\1" + i8(0) + stop()))},
            {GROUP, "i64 of 11 bytes", "PROTOCOL_ERROR",
                    framed(small_take(6, 5, std::string(10, '\xff') + "\1"))},
            {GROUP, "i64 of 10 bytes, the last too large", "PROTOCOL_ERROR",
                    framed(small_take(6, 5, std::string(9, '\xff') + "\x7f"))},
            {GROUP, "i16 of 5 bytes", "PROTOCOL_ERROR",
                    framed(small_take(4, 3, varint(0xffffffff)))},
            {GROUP, "200,000 structs, unknown", "PROTOCOL_ERROR",
                    framed(small("ping", repeat(deep, 200000) + std::string(200001, '\0')))},
            {GROUP, "200,000 structs, unframed", "PROTOCOL_ERROR",
                    small("ping", repeat(deep, 200000) + std::string(200001, '\0'))},
    };
}

HostilePackets values()
{
    const std::string full = i8(static_cast<int>(0xf0));

    return {
            {GROUP, "string of 2^31-1 bytes", "PROTOCOL_ERROR",
                    framed(small("echo", i8(0x18) + varint(0x7fffffff) + "x"))},
            {GROUP, "string of 2^31-1 bytes, unframed", "PROTOCOL_ERROR",
                    small("echo", i8(0x18) + varint(0x7fffffff) + "x")},
            {GROUP, "string of 2^63 bytes", "PROTOCOL_ERROR",
                    framed(small("echo", i8(0x18) + varint(1ULL << 63) + "x"))},
            {GROUP, "list<i64> of 2^31-1", "PROTOCOL_ERROR",
                    framed(small_take(9, 10, i8(0xf6) + varint(0x7fffffff)))},
            {GROUP, "list<i64> of 2^32-1, unframed", "PROTOCOL_ERROR",
                    small_take(9, 10, i8(0xf6) + varint(0xffffffff))},
            {GROUP, "list of bools of 2^31-1", "PROTOCOL_ERROR",
                    framed(small_take(9, 16, i8(0xf1) + varint(0x7fffffff)))},
            {GROUP, "map of 2^31-1", "PROTOCOL_ERROR",
                    framed(small_take(11, 12, varint(0x7fffffff) + i8(0x89)))},
            {GROUP, "map of 2^31-1 of type 0", "PROTOCOL_ERROR",
                    framed(small_take(11, 12, varint(0x7fffffff) + i8(0)))},
            {GROUP, "list of type 0 of 1,000,000, unknown", "PROTOCOL_ERROR",
                    framed(small("ping", i8(0x59) + full + varint(1000000) + stop()))},
            {GROUP, "20,000 numbers of one byte", "REPLY",
                    framed(small_take(9, 10, i8(0xf6) + varint(20000) + std::string(20000, '\2')))},
            {GROUP, "500,000 numbers of one byte", "PROTOCOL_ERROR",
                    framed(small_take(
                            9, 10, i8(0xf6) + varint(500000) + std::string(500000, '\2')))},
            {GROUP, "500,000 numbers of one byte, unframed", "PROTOCOL_ERROR",
                    small_take(9, 10, i8(0xf6) + varint(500000) + std::string(500000, '\2'))},
            {GROUP, "20,000 empty strings", "PROTOCOL_ERROR",
                    framed(small_take(
                            10, 11, i8(0xf8) + varint(20000) + std::string(20000, '\0')))},
            {GROUP, "20,000 maps of one byte", "REPLY",
                    framed(small("ping", i8(0x59) + i8(0xfb) + varint(20000) +
                                                 std::string(20000, '\0') + stop()))},
    };
}

} // namespace

HostilePackets hostile_compact()
{
    HostilePackets all = messages();
    for (const HostilePackets &some : {fields(), values()})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}
