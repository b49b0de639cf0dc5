/* SPDX-License-Identifier: MIT */
/* Messages and frames of the binary protocol that are not what they say. */
#include "hostile_packets.h"

using namespace packet;

namespace
{

const int64_t HUGE_SIZE = 0x7fffffff;

HostilePackets frames()
{
    const std::string ping = call("ping", stop());
    const std::string one(1, '\0');

    return {
            {"frames", "length 0", "PROTOCOL_ERROR", i32(0)},
            {"frames", "length 1, a zero", "PROTOCOL_ERROR", framed(one)},
            {"frames", "length -1", "PROTOCOL_ERROR", i32(-1) + ping},
            {"frames", "length 200 MiB, then silence", "PROTOCOL_ERROR", i32(200 << 20)},
            {"frames", "length 200 MiB and a call", "PROTOCOL_ERROR", i32(200 << 20) + ping},
            {"frames", "length 16,384,000, then silence", "PROTOCOL_ERROR",
                    i32(16384000) + i32(0x80010001)},
            {"frames", "length 16,384,000 and 100 kB", "PROTOCOL_ERROR",
                    i32(16384000) + call("echo", field(11, 1) + text(std::string(100000, 'x')))},
            {"frames", "one byte short", "PROTOCOL_ERROR",
                    i32(static_cast<int64_t>(ping.size()) + 1) + ping},
            {"frames", "a good call, then length 0", "REPLY, PROTOCOL_ERROR",
                    framed(ping) + i32(0)},
            {"frames", "a frame in a frame", "PROTOCOL_ERROR", framed(framed(ping))},
            {"frames", "framed, then unframed", "REPLY, PROTOCOL_ERROR", framed(ping) + ping},
            {"frames", "unframed, then framed", "REPLY, PROTOCOL_ERROR", ping + framed(ping)},
            {"frames", "three bytes of a length", "PROTOCOL_ERROR", std::string(3, '\0')},
            {"frames", "10,000 calls at once", "REPLY x 10000", repeat(framed(ping), 10000)},
            {"frames", "10,000 calls of an unknown method", "UNKNOWN_METHOD x 10000",
                    repeat(framed(call("x", stop())), 10000)},
    };
}

HostilePackets messages()
{
    const std::string nothing = stop();

    return {
            {"messages", "name of 2^31-1 bytes, framed", "PROTOCOL_ERROR",
                    framed(i32(0x80010001) + i32(HUGE_SIZE) + "ping")},
            {"messages", "name of 2^31-1 bytes, unframed", "PROTOCOL_ERROR",
                    i32(0x80010001) + i32(HUGE_SIZE) + "ping"},
            {"messages", "name of -1 bytes", "PROTOCOL_ERROR",
                    framed(i32(0x80010001) + i32(-1) + "ping")},
            {"messages", "name of 60 kB", "UNKNOWN_METHOD",
                    framed(call(std::string(60000, 'n'), nothing))},
            {"messages", "no name", "UNKNOWN_METHOD", framed(call("", nothing))},
            {"messages", "a name with zeros and escapes", "UNKNOWN_METHOD",
                    framed(call(std::string("pi\0ng\x1b[2J%s%n", 12), nothing))},
            {"messages", "a name of colons", "UNKNOWN_METHOD",
                    framed(call("::::::::ping", nothing))},
            {"messages", "the method of no service", "UNKNOWN_METHOD",
                    framed(call("Other:ping", nothing))},
            {"messages", "the name without its method", "UNKNOWN_METHOD",
                    framed(call("Target:", nothing))},
            {"messages", "unknown method with arguments", "UNKNOWN_METHOD, REPLY",
                    framed(call("nobody", field(11, 1) + text("x") + nothing)) +
                            framed(call("ping", nothing))},
            {"messages", "version 2", "PROTOCOL_ERROR",
                    framed(i32(0x80020001) + text("ping") + i32(7) + nothing)},
            {"messages", "version 2, unframed", "UNSUPPORTED_CLIENT_TYPE",
                    i32(0x80020001) + text("ping") + i32(7) + nothing},
            {"messages", "without a version", "REPLY", framed(old_message(1, "ping", 7) + nothing)},
            {"messages", "without a version, unframed", "REPLY",
                    old_message(1, "ping", 7) + nothing},
            {"messages", "without a version, name of 16 MiB", "PROTOCOL_ERROR",
                    framed(i32(0xffffff) + "ping")},
            {"messages", "a REPLY", "INVALID_MESSAGE_TYPE",
                    framed(message(2, "ping", 7) + nothing)},
            {"messages", "an EXCEPTION", "INVALID_MESSAGE_TYPE",
                    framed(message(3, "ping", 7) + nothing)},
            {"messages", "type 0", "PROTOCOL_ERROR", framed(message(0, "ping", 7) + nothing)},
            {"messages", "type 255", "PROTOCOL_ERROR", framed(message(255, "ping", 7) + nothing)},
            {"messages", "ONEWAY to a method with a result", "",
                    framed(message(4, "echo", 7) + field(11, 1) + text("x") + nothing)},
            {"messages", "CALL to a oneway method", "",
                    framed(call("note", field(11, 1) + text("x") + nothing))},
            {"messages", "ONEWAY of an unknown method", "",
                    framed(message(4, "nobody", 7) + nothing)},
            {"messages", "malformed, and ONEWAY", "",
                    framed(message(4, "note", 7) + field(11, 1) + i32(HUGE_SIZE))},
            {"messages", "seqid -2^31, five times", "REPLY x 5",
                    repeat(framed(message(1, "ping", INT32_MIN) + nothing), 5)},
            {"messages", "nothing but its header", "PROTOCOL_ERROR", framed(message(1, "ping", 7))},
            {"messages", "cut in its seqid", "PROTOCOL_ERROR",
                    framed(i32(0x80010001) + text("ping") + i16(0))},
            {"messages", "a question with a long answer", "REPLY",
                    framed(call("getCounters", nothing)), HOSTILE_FREE_BYTES, 1},
            {"messages", "500 questions with long answers", "REPLY x 500",
                    repeat(framed(call("getCounters", nothing)), 500), HOSTILE_FREE_BYTES, 500},
            {"messages", "bytes behind its end", "PROTOCOL_ERROR",
                    framed(call("ping", nothing + "more"))},
    };
}

HostilePackets fields()
{
    const std::string end = stop() + stop();

    return {
            {"fields", "no stop", "PROTOCOL_ERROR", framed(call("ping", ""))},
            {"fields", "unknown field", "REPLY",
                    framed(call("ping", field(11, 9) + text("x") + stop()))},
            {"fields", "type 1", "PROTOCOL_ERROR", framed(call("ping", field(1, 1) + stop()))},
            {"fields", "type 5", "PROTOCOL_ERROR", framed(call("ping", field(5, 1) + stop()))},
            {"fields", "type 255", "PROTOCOL_ERROR", framed(call("ping", field(255, 1) + stop()))},
            {"fields", "another type than declared", "REPLY",
                    framed(echo(field(8, 1) + i32(1) + stop()))},
            {"fields", "id -1", "REPLY", framed(echo(field(11, -1) + text("x") + stop()))},
            {"fields", "id -32768", "REPLY", framed(echo(field(3, -32768) + i8(1) + stop()))},
            {"fields", "the same one 10,000 times", "REPLY",
                    framed(echo(repeat(field(11, 1) + text("x"), 10000) + stop()))},
            {"fields", "a list, 2,000 times the same field", "REPLY",
                    framed(take(repeat(field(15, 10) + list(10, 2) + i64(1) + i64(2), 2000)))},
            {"fields", "30,000 unknown ones", "REPLY",
                    framed(call("ping", repeat(field(3, 7) + i8(1), 30000) + stop()))},
            {"fields", "bool 2", "REPLY", framed(take(field(2, 1) + i8(2)))},
            {"fields", "an unknown value of an enum", "REPLY",
                    framed(take(field(8, 14) + i32(-77)))},
            {"fields", "half a double", "PROTOCOL_ERROR",
                    framed(call("take", field(12, 1) + field(4, 6) + i32(0)))},
            {"fields", "half a uuid", "PROTOCOL_ERROR",
                    framed(call("take", field(12, 1) + field(16, 9) + i64(0)))},
    };
}

} // namespace

HostilePackets hostile_binary()
{
    HostilePackets all = frames();
    for (const HostilePackets &some : {messages(), fields()})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}
