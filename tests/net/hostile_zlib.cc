/* SPDX-License-Identifier: MIT */
/* zlib, in each of its places: what becomes much larger, does not end, or is none. */
#include "hostile_packets.h"

#include <zlib.h>

using namespace packet;

namespace
{

const char *const GROUP = "zlib";

std::string deflated(const std::string &bytes, int flush = Z_FINISH)
{
    z_stream stream = {};
    deflateInit(&stream, Z_BEST_COMPRESSION);
    std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
    stream.avail_in = static_cast<unsigned>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef *>(&out[0]);
    stream.avail_out = static_cast<unsigned>(out.size());
    deflate(&stream, flush);
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return out;
}

std::string in_header(const std::string &payload)
{
    return framed(i16(0x0fff) + i16(0) + i32(5) + i16(1) + bytes("00 01 01 00") + payload);
}

std::string zeros(int size)
{
    return call("echo", field(11, 1) + text(std::string(static_cast<size_t>(size), '\0')) + stop());
}

/* take(): many numbers, many words. */
std::string numbers(int count)
{
    return take(
            field(15, 10) + list(10, count) + std::string(8 * static_cast<size_t>(count), '\0'));
}

std::string words(int count)
{
    return take(field(15, 15) + list(12, count) + std::string(static_cast<size_t>(count), '\0'));
}

HostilePackets bombs()
{
    const char *const TOO_LARGE = "PROTOCOL_ERROR";

    return {
            {GROUP, "10 MB of zeros, a stream", TOO_LARGE, deflated(std::string(10000000, '\0'))},
            {GROUP, "a string of 10 MB, a stream", "INVALID_TRANSFORM",
                    deflated(framed(zeros(10000000))), HOSTILE_INFLATED},
            {GROUP, "a string of 10 MB, a stream, unframed", "INVALID_TRANSFORM",
                    deflated(zeros(10000000)), HOSTILE_INFLATED},
            {GROUP, "a string of 10 MB, in a frame", "INVALID_TRANSFORM",
                    framed(deflated(zeros(10000000))), HOSTILE_INFLATED},
            {GROUP, "a string of 10 MB, THeader", "INVALID_TRANSFORM",
                    in_header(deflated(zeros(10000000))), HOSTILE_INFLATED},
            {GROUP, "a string of 131,072, a stream", "REPLY",
                    deflated(framed(zeros(131072)), Z_SYNC_FLUSH), HOSTILE_INFLATED},
            {GROUP, "a string of 131,072, in a frame", "REPLY",
                    framed(deflated(zeros(131072), Z_SYNC_FLUSH)), HOSTILE_INFLATED},
            {GROUP, "a string of 131,072, THeader", "REPLY", in_header(deflated(zeros(131072))),
                    HOSTILE_INFLATED},
            {GROUP, "20,000 numbers, THeader", "PROTOCOL_ERROR",
                    in_header(deflated(numbers(20000))), HOSTILE_INFLATED},
            {GROUP, "30,000 structs of one byte, a stream", TOO_LARGE,
                    deflated(framed(words(30000)), Z_SYNC_FLUSH), HOSTILE_INFLATED},
            {GROUP, "30,000 structs of one byte, THeader", TOO_LARGE,
                    in_header(deflated(words(30000))), HOSTILE_INFLATED},
            {GROUP, "200,000 structs in each other, a stream", TOO_LARGE,
                    deflated(call("ping", repeat(field(12, 9), 200000)))},
            {GROUP, "bombs in a bomb", TOO_LARGE, deflated(deflated(std::string(10000000, '\0')))},
            {GROUP, "5,000 calls, a stream", "REPLY x 5000",
                    deflated(repeat(framed(call("ping", stop())), 5000), Z_SYNC_FLUSH),
                    HOSTILE_INFLATED},
    };
}

HostilePackets broken()
{
    const std::string ping = call("ping", stop());
    const std::string whole = deflated(framed(ping), Z_SYNC_FLUSH);
    std::string wrong_sum = deflated(framed(ping));
    wrong_sum.back() ^= 1;

    return {
            {GROUP, "a call, a stream", "REPLY", whole},
            {GROUP, "a call, in a frame", "REPLY", framed(deflated(ping, Z_SYNC_FLUSH))},
            {GROUP, "two bytes of a stream", "", bytes("78 9c")},
            {GROUP, "a stream that is none", "INVALID_TRANSFORM", bytes("78 9c") + "hello there"},
            {GROUP, "a stream that is cut", "PROTOCOL_ERROR", whole.substr(0, whole.size() - 8)},
            {GROUP, "a wrong sum", "REPLY, INVALID_TRANSFORM", wrong_sum},
            {GROUP, "bytes behind the stream's end", "REPLY, INVALID_TRANSFORM",
                    deflated(framed(ping)) + "more"},
            {GROUP, "a stream with a dictionary", "PROTOCOL_ERROR", bytes("78 bb 00000001 0000")},
            {GROUP, "a distance beyond the beginning", "PROTOCOL_ERROR",
                    bytes("78 9c 63 00 82 ff ff")},
            {GROUP, "10,000 empty blocks", "",
                    bytes("78 9c") + repeat(bytes("00 0000 ffff"), 10000)},
            {GROUP, "zlib said, not sent, THeader", "INVALID_TRANSFORM", in_header(ping)},
            {GROUP, "cut, THeader", "INVALID_TRANSFORM", in_header(deflated(ping).substr(0, 12))},
            {GROUP, "nothing inside, THeader", "PROTOCOL_ERROR", in_header(deflated(""))},
            {GROUP, "nothing, THeader", "INVALID_TRANSFORM", in_header("")},
            {GROUP, "in a frame, then no more", "REPLY, garbage",
                    framed(deflated(ping, Z_SYNC_FLUSH)) + framed(ping)},
    };
}

} // namespace

HostilePackets hostile_zlib()
{
    HostilePackets all = bombs();
    for (const HostilePacket &one : broken())
        all.push_back(one);
    return all;
}
