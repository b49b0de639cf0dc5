/* SPDX-License-Identifier: MIT */
/* Values of the binary protocol that are large, deep or many, or only say so. */
#include "hostile_packets.h"

using namespace packet;

namespace
{

const int64_t HUGE_SIZE = 0x7fffffff;

/* As many structs in each other, each in field 9, which nobody knows. */
std::string nested(int depth)
{
    return repeat(field(12, 9), depth) + repeat(stop(), depth);
}

/* Field 9 is a list of one list of one list ... */
std::string nested_lists(int depth)
{
    return field(15, 9) + repeat(list(15, 1), depth) + list(3, 0);
}

std::string nested_maps(int depth)
{
    return field(13, 9) + repeat(map(3, 13, 1) + i8(0), depth) + map(3, 3, 0);
}

/* grow(): a tree that is one branch. */
std::string tree(int depth)
{
    return call("grow", field(12, 1) + repeat(field(15, 1) + list(12, 1), depth) +
                                repeat(stop(), depth) + stop() + stop());
}

HostilePackets strings()
{
    return {
            {"strings", "2^31-1 bytes, framed", "PROTOCOL_ERROR",
                    framed(echo(field(11, 1) + i32(HUGE_SIZE) + "0123456789"))},
            {"strings", "2^31-1 bytes, unframed", "PROTOCOL_ERROR",
                    echo(field(11, 1) + i32(HUGE_SIZE) + "0123456789")},
            {"strings", "-1 bytes", "PROTOCOL_ERROR",
                    framed(echo(field(11, 1) + i32(-1) + "0123456789"))},
            {"strings", "2^31-1 bytes in an unknown field", "PROTOCOL_ERROR",
                    framed(call("ping", field(11, 9) + i32(HUGE_SIZE)))},
            {"strings", "16 MB announced, unframed, then silence", "PROTOCOL_ERROR",
                    echo(field(11, 1) + i32(16000000))},
            {"strings", "one byte more than there is", "PROTOCOL_ERROR",
                    framed(echo(field(11, 1) + i32(11) + "0123456789"))},
            {"strings", "not UTF-8", "REPLY",
                    framed(echo(field(11, 1) + text("\xff\xc0\x80\xed\xa0\x80") + stop()))},
            {"strings", "200 kB, framed", "REPLY",
                    framed(echo(field(11, 1) + text(std::string(200000, 'x')) + stop()))},
            {"strings", "200 kB, unframed", "REPLY",
                    echo(field(11, 1) + text(std::string(200000, 'x')) + stop())},
    };
}

HostilePackets containers()
{
    return {
            {"containers", "list<i64> of 2^31-1", "PROTOCOL_ERROR",
                    framed(take(field(15, 10) + list(10, HUGE_SIZE)))},
            {"containers", "list<i64> of 2^31-1, unframed", "PROTOCOL_ERROR",
                    take(field(15, 10) + list(10, HUGE_SIZE))},
            {"containers", "list<i64> of -1", "PROTOCOL_ERROR",
                    framed(take(field(15, 10) + list(10, -1)))},
            {"containers", "list<bool> of 2^31-1", "PROTOCOL_ERROR",
                    framed(take(field(15, 16) + list(2, HUGE_SIZE)))},
            {"containers", "list<struct> of 2^31-1", "PROTOCOL_ERROR",
                    framed(take(field(15, 15) + list(12, HUGE_SIZE)))},
            {"containers", "list of type 1 of 2^31-1, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", field(15, 9) + list(1, HUGE_SIZE) + stop()))},
            {"containers", "list of type 0 of 1,000,000, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", field(15, 9) + list(0, 1000000) + stop()))},
            {"containers", "set<string> of 2^31-1", "PROTOCOL_ERROR",
                    framed(take(field(14, 11) + list(11, HUGE_SIZE)))},
            {"containers", "map of 2^31-1", "PROTOCOL_ERROR",
                    framed(take(field(13, 12) + map(11, 15, HUGE_SIZE)))},
            {"containers", "map of 2^31-1, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", field(13, 9) + map(0, 0, HUGE_SIZE)))},
            {"containers", "list of another type than declared", "REPLY",
                    framed(take(field(15, 10) + list(8, 2) + i32(1) + i32(2)))},
            {"containers", "list of an unknown type, empty", "REPLY",
                    framed(take(field(15, 10) + list(99, 0)))},
            {"containers", "100,000 structs of one byte", "PROTOCOL_ERROR",
                    framed(take(field(15, 15) + list(12, 100000) + repeat(stop(), 100000)))},
            {"containers", "2,000 structs of one byte", "REPLY",
                    framed(take(field(15, 15) + list(12, 2000) + repeat(stop(), 2000)))},
            {"containers", "100,000 structs of one byte, unknown", "REPLY",
                    framed(call("ping",
                            field(15, 9) + list(12, 100000) + repeat(stop(), 100000) + stop()))},
            {"containers", "100,000 structs of one byte, unframed", "PROTOCOL_ERROR",
                    take(field(15, 15) + list(12, 100000) + repeat(stop(), 100000))},
            {"containers", "set of 20,000 times the same", "REPLY",
                    framed(take(field(14, 11) + list(11, 20000) + repeat(text(""), 20000)))},
            {"containers", "map of 20,000 times the same key", "REPLY",
                    framed(take(field(13, 12) + map(11, 15, 20000) +
                                repeat(text("") + list(8, 0), 20000)))},
            {"containers", "100,000 bools", "REPLY",
                    framed(take(field(15, 16) + list(2, 100000) + std::string(100000, '\1')))},
    };
}

HostilePackets depths()
{
    const std::string ping = framed(call("ping", stop()));

    return {
            {"depth", "70 structs, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", nested(70) + stop()))},
            {"depth", "60 structs, unknown", "REPLY x 2",
                    framed(call("ping", nested(60) + stop())) + ping},
            {"depth", "200,000 structs, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", nested(200000) + stop()))},
            {"depth", "200,000 structs, unframed", "PROTOCOL_ERROR",
                    call("ping", nested(200000) + stop())},
            {"depth", "200,000 lists, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", nested_lists(200000) + stop()))},
            {"depth", "100,000 maps, unknown", "PROTOCOL_ERROR",
                    framed(call("ping", nested_maps(100000) + stop()))},
            {"depth", "a tree of 25", "REPLY", framed(tree(25))},
            {"depth", "a tree of 70", "PROTOCOL_ERROR", framed(tree(70))},
            {"depth", "a tree of 100,000", "PROTOCOL_ERROR", framed(tree(100000))},
            {"depth", "a tree of 100,000, unframed", "PROTOCOL_ERROR", tree(100000)},
            {"depth", "a tree of 50,000 branches", "PROTOCOL_ERROR",
                    framed(call("grow", field(12, 1) + field(15, 1) + list(12, 50000) +
                                                repeat(stop(), 50002)))},
    };
}

} // namespace

HostilePackets hostile_values()
{
    HostilePackets all = strings();
    for (const HostilePackets &some : {containers(), depths()})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}
