/* SPDX-License-Identifier: MIT */
/* THeader: sizes, counts and transforms; and strangers, who speak something else. */
#include "hostile_packets.h"

using namespace packet;

namespace
{

const char *const GROUP = "THeader";

/* A frame whose header has these bytes, filled up, and says that it has so many words. */
std::string with_words(const std::string &header, int words, const std::string &message)
{
    return framed(i16(0x0fff) + i16(0) + i32(5) + i16(words) + header + message);
}

std::string with_header(std::string header, const std::string &message)
{
    while (header.size() % 4 != 0)
        header.push_back('\0');
    return with_words(header, static_cast<int>(header.size() / 4), message);
}

std::string pairs(int count, const std::string &pair)
{
    std::string number;
    int left = count;
    for (; left > 0x7f; left >>= 7)
        number.push_back(static_cast<char>(left | 0x80));
    number.push_back(static_cast<char>(left));
    return bytes("00 00 01") + number + repeat(pair, count);
}

} // namespace

HostilePackets hostile_header()
{
    const std::string ping = call("ping", stop());
    const std::string plain = bytes("00 00");

    return {
            {GROUP, "nothing but its magic", "PROTOCOL_ERROR", framed(bytes("0fff"))},
            {GROUP, "cut before its size", "PROTOCOL_ERROR", framed(bytes("0fff 0000 0000 0005"))},
            {GROUP, "a header beyond the frame", "PROTOCOL_ERROR", with_words(plain, 0xffff, ping)},
            {GROUP, "a header of 60 kB", "PROTOCOL_ERROR",
                    with_header(plain + std::string(60000, '\0'), ping)},
            {GROUP, "no header", "PROTOCOL_ERROR", with_words("", 0, ping)},
            {GROUP, "no message", "PROTOCOL_ERROR", with_header(plain, "")},
            {GROUP, "protocol 99", "INVALID_PROTOCOL", with_header(bytes("63 00"), ping)},
            {GROUP, "protocol of 10 bytes", "PROTOCOL_ERROR",
                    with_header(bytes("ffffffff ffffffff ffff 00"), ping)},
            {GROUP, "transform 99", "INVALID_TRANSFORM", with_header(bytes("00 01 63"), ping)},
            {GROUP, "100 transforms", "INVALID_TRANSFORM",
                    with_header(bytes("00 64") + repeat("\1", 100), ping)},
            {GROUP, "2^32-1 transforms", "INVALID_TRANSFORM",
                    with_header(bytes("00 ffffffff0f"), ping)},
            {GROUP, "2^31 pairs", "PROTOCOL_ERROR", with_header(bytes("0000 01 8080808008"), ping)},
            {GROUP, "5,000 pairs", "PROTOCOL_ERROR",
                    with_header(pairs(5000, bytes("01 6b 01 76")), ping)},
            {GROUP, "50 times the same pair", "REPLY",
                    with_header(pairs(50, bytes("01 6b 01 76")), ping)},
            {GROUP, "a key of 2^31-1 bytes", "PROTOCOL_ERROR",
                    with_header(bytes("0000 01 01 ffffffff07 6b"), ping)},
            {GROUP, "an unknown kind of information", "REPLY",
                    with_header(bytes("0000 63 01 01 6b 01 76"), ping)},
            {GROUP, "client_timeout 99999999999999999999", "REPLY",
                    with_header(pairs(1, bytes("0e") + "client_timeout" + bytes("14") +
                                                 "99999999999999999999"),
                            ping)},
            {GROUP, "client_timeout -1", "REPLY",
                    with_header(
                            pairs(1, bytes("0e") + "client_timeout" + bytes("02") + "-1"), ping)},
            {GROUP, "a header in a header", "PROTOCOL_ERROR",
                    with_header(plain, i16(0x0fff) + i16(0) + i32(5) + i16(0))},
            {GROUP, "compact announced, binary sent", "PROTOCOL_ERROR",
                    with_header(bytes("02 00"), ping)},
            {GROUP, "in turns with frames", "REPLY x 4",
                    repeat(with_header(plain, ping) + framed(ping), 2)},
            {GROUP, "64-bit length", "HTTP 501", i32(0x42494746) + i64(INT64_MAX) + bytes("0fff")},
    };
}

HostilePackets hostile_strangers()
{
    return {
            {"strangers", "nothing", "", ""},
            {"strangers", "one byte", "PROTOCOL_ERROR", "x"},
            {"strangers", "hello of TLS", "UNSUPPORTED_CLIENT_TYPE",
                    bytes("16 03 01 02 00 01 00 01 fc 03 03") + std::string(500, 'r')},
            {"strangers", "SSH", "HTTP 501", "SSH-2.0-OpenSSH_9.2\r\n"},
            {"strangers", "Redis", "PROTOCOL_ERROR", "*1\r\n$4\r\nPING\r\n"},
            {"strangers", "PROXY protocol", "HTTP 501", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
            {"strangers", "HTTP/2", "HTTP 501", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
            {"strangers", "SOCKS", "PROTOCOL_ERROR", bytes("05 01 00")},
            {"strangers", "100 kB of 0xff", "PROTOCOL_ERROR", std::string(100000, '\xff')},
            {"strangers", "100 kB of zeros", "PROTOCOL_ERROR", std::string(100000, '\0')},
            {"strangers", "Mongo", "PROTOCOL_ERROR",
                    bytes("3a000000 01000000 00000000 d4070000") + std::string(42, '\0')},
            {"strangers", "100 kB of one letter", "HTTP 501", std::string(100000, 'Q')},
    };
}
