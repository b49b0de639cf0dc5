/* SPDX-License-Identifier: MIT */
/* HTTP: lengths, chunks and headers that smuggle, grow, or never end. */
#include "hostile_packets.h"

using namespace packet;

namespace
{

const char *const GROUP = "HTTP";

std::string post(const std::string &headers, const std::string &body)
{
    return "POST /service HTTP/1.1\r\nHost: there\r\n" + headers + "\r\n" + body;
}

std::string with_length(const std::string &body)
{
    return post("Content-Length: " + std::to_string(body.size()) + "\r\n", body);
}

std::string chunked(const std::string &chunks)
{
    return post("Transfer-Encoding: chunked\r\n", chunks);
}

HostilePackets lengths(const std::string &ping)
{
    const std::string twice = "Content-Length: 5\r\nContent-Length: 6\r\n";
    const std::string both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";

    return {
            {GROUP, "no length", "HTTP 411", post("", "")},
            {GROUP, "length 0", "HTTP 400", post("Content-Length: 0\r\n", "")},
            {GROUP, "length -1", "HTTP 400", post("Content-Length: -1\r\n", "")},
            {GROUP, "length 200 MiB", "HTTP 413", post("Content-Length: 209715200\r\n", ping)},
            {GROUP, "length 2^64", "HTTP 400",
                    post("Content-Length: 18446744073709551616\r\n", "")},
            {GROUP, "length 16 MB, then silence", "PROTOCOL_ERROR",
                    post("Content-Length: 16000000\r\n", "")},
            {GROUP, "length 16 MB and 100 kB", "PROTOCOL_ERROR",
                    post("Content-Length: 16000000\r\n", std::string(100000, 'x'))},
            {GROUP, "two lengths", "HTTP 400", post(twice, "123456")},
            {GROUP, "a length and chunks", "HTTP 400", post(both, "0\r\n\r\n")},
            {GROUP, "a length with a plus", "HTTP 400", post("Content-Length: +5\r\n", "12345")},
            {GROUP, "a length in two lines", "HTTP 400",
                    post("Content-Length: 1\r\n 2\r\n", "123456789012")},
            {GROUP, "a body that is no message", "HTTP 400", with_length("hello")},
            {GROUP, "a body that is malformed", "PROTOCOL_ERROR",
                    with_length(echo(field(11, 1) + i32(0x7fffffff)))},
            {GROUP, "a body of 200 kB", "REPLY",
                    with_length(echo(field(11, 1) + text(std::string(200000, 'x')) + stop()))},
            {GROUP, "10 requests at once", "REPLY x 10", repeat(with_length(ping), 10)},
    };
}

HostilePackets chunks(const std::string &ping)
{
    std::string single;
    for (const char byte : ping)
        single += "1\r\n" + std::string(1, byte) + "\r\n";

    return {
            {GROUP, "chunks of one byte", "REPLY", chunked(single + "0\r\n\r\n")},
            {GROUP, "a chunk of 2^64", "HTTP 400", chunked("10000000000000000\r\n")},
            {GROUP, "a chunk of 2^63", "PROTOCOL_ERROR", chunked("7fffffffffffffff\r\nx")},
            {GROUP, "a chunk of 16 MB, then silence", "PROTOCOL_ERROR", chunked("f42400\r\n")},
            {GROUP, "a chunk of -1", "HTTP 400", chunked("-1\r\n")},
            {GROUP, "a chunk of x", "HTTP 400", chunked("x\r\n")},
            {GROUP, "a chunk without its line's end", "HTTP 400", chunked("1\r\nab\r\n0\r\n\r\n")},
            {GROUP, "a chunk's size with 40,000 zeros", "HTTP 400",
                    chunked(std::string(40000, '0') + "1\r\nx\r\n0\r\n\r\n")},
            {GROUP, "an extension of 100 kB", "HTTP 431",
                    chunked("1;" + std::string(100000, 'e') + "\r\nx\r\n0\r\n\r\n")},
            {GROUP, "50,000 chunks with extensions", "HTTP 400",
                    chunked(repeat("1;e\r\nx\r\n", 50000) + "0\r\n\r\n")},
            {GROUP, "a trailer of 100 kB", "HTTP 431",
                    chunked("0\r\nX: " + std::string(100000, 't') + "\r\n\r\n")},
            {GROUP, "5,000 trailers", "HTTP 431",
                    chunked("0\r\n" + repeat("X: t\r\n", 20000) + "\r\n")},
            {GROUP, "an unknown encoding of the transfer", "HTTP 501",
                    post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
            {GROUP, "chunked, chunked", "HTTP 501",
                    post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
    };
}

HostilePackets heads(const std::string &ping)
{
    const std::string length = "Content-Length: " + std::to_string(ping.size()) + "\r\n";

    return {
            {GROUP, "a target of 100 kB", "HTTP 431",
                    "POST /" + std::string(100000, 't') + " HTTP/1.1\r\nHost: a\r\n\r\n"},
            {GROUP, "a header of 100 kB", "HTTP 431",
                    post("X: " + std::string(100000, 'v') + "\r\n" + length, ping)},
            {GROUP, "a header's name of 100 kB", "HTTP 431",
                    post(std::string(100000, 'n') + ": v\r\n" + length, ping)},
            {GROUP, "5,000 headers", "HTTP 431", post(repeat("a: b\r\n", 5000) + length, ping)},
            {GROUP, "100 kB of empty lines", "PROTOCOL_ERROR", repeat("\r\n", 50000)},
            {GROUP, "half a head, then silence", "PROTOCOL_ERROR",
                    "POST /service HTTP/1.1\r\nHost: the"},
            {GROUP, "a blank before the colon", "HTTP 400",
                    post("Content-Length : 5\r\n", "12345")},
            {GROUP, "a zero in a header", "HTTP 400",
                    post(std::string("X: a\0b\r\n", 8) + length, ping)},
            {GROUP, "lines that end with LF", "REPLY",
                    "POST / HTTP/1.1\nHost: there\n" + length + "\n" + ping},
            {GROUP, "GET", "HTTP 404", "GET / HTTP/1.1\r\nHost: there\r\n\r\n"},
            {GROUP, "500 times the same page", "HTTP 200 x 500",
                    repeat("GET /metrics HTTP/1.1\r\nHost: there\r\n\r\n", 500)},
            {GROUP, "CONNECT", "HTTP 405", "CONNECT there:1 HTTP/1.1\r\nHost: there\r\n\r\n"},
            {GROUP, "HTTP/1.9", "HTTP 505", "POST / HTTP/1.9\r\n" + length + "\r\n" + ping},
            {GROUP, "HTTP/9999.1", "HTTP 400", "POST / HTTP/9999.1\r\n" + length + "\r\n" + ping},
            {GROUP, "an upgrade", "REPLY",
                    post("Connection: Upgrade\r\nUpgrade: websocket\r\n" + length, ping)},
            {GROUP, "an encoded body", "HTTP 415",
                    post("Content-Encoding: gzip\r\n" + length, ping)},
            {GROUP, "an unknown expectation", "HTTP 417", post("Expect: more\r\n" + length, ping)},
            {GROUP, "100-continue, then silence", "HTTP 100, PROTOCOL_ERROR",
                    post("Expect: 100-continue\r\nContent-Length: 16000000\r\n", "")},
    };
}

} // namespace

HostilePackets hostile_http()
{
    const std::string ping = call("ping", stop());
    HostilePackets all = lengths(ping);

    for (const HostilePackets &some : {chunks(ping), heads(ping)})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}
