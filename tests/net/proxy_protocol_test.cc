/* SPDX-License-Identifier: MIT */
#include "guarded_bytes.h"

#include <coil/loop.h>
#include <coil/proxy_protocol.h>

#include <gtest/gtest.h>

#include <netinet/in.h>

#include <cerrno>
#include <functional>
#include <string>

#include <coil/sugar.h>

namespace
{

const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string u16(size_t number)
{
    return {static_cast<char>(number >> 8), static_cast<char>(number & 255)};
}

std::string value(int type, const std::string &bytes)
{
    return static_cast<char>(type) + u16(bytes.size()) + bytes;
}

std::string v2(int command, int family, const std::string &rest)
{
    return signature + static_cast<char>(command) + static_cast<char>(family) + u16(rest.size()) +
           rest;
}

const std::string ends_v4("\xc0\x00\x02\x07\xc0\x00\x02\x01\x9c\x40\x01\xbb", 12);

struct Parsed {
    explicit Parsed(const std::string &text) : bytes(text)
    {
        rc = coil_proxy_parse(bytes.bytes(), bytes.size(), &header);
    }

    std::string source() const
    {
        char text[COIL_ADDRESS_TEXT_BYTES];
        return coil_address_format(&header.source, text);
    }

    std::string destination() const
    {
        char text[COIL_ADDRESS_TEXT_BYTES];
        return coil_address_format(&header.destination, text);
    }

    GuardedBytes bytes;
    coil_proxy_header header = {};
    ssize_t rc;
};

/* All beginnings of it ask for more; with more behind it, it is the same. */
void expect_header(const std::string &text)
{
    for (size_t size = 0; size < text.size(); size++)
        EXPECT_EQ(-EAGAIN, Parsed(text.substr(0, size)).rc) << size << " of " << text;
    EXPECT_EQ(static_cast<ssize_t>(text.size()), Parsed(text).rc) << text;
    EXPECT_EQ(static_cast<ssize_t>(text.size()), Parsed(text + "GET /").rc) << text;
}

TEST(ProxyLine, SaysWhoConnectsToWhom)
{
    const std::string line = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n";
    expect_header(line);
    const Parsed parsed(line);
    EXPECT_EQ(1u, parsed.header.version);
    EXPECT_EQ("192.0.2.7:40000", parsed.source());
    EXPECT_EQ("192.0.2.1:443", parsed.destination());
}

TEST(ProxyLine, KnowsIpv6)
{
    const std::string line = "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n";
    expect_header(line);
    EXPECT_EQ("[2001:db8::7]:0", Parsed(line).source());
    EXPECT_EQ("[::1]:65535", Parsed(line).destination());
    expect_header("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
}

TEST(ProxyLine, MayNotKnow)
{
    for (const char *line : {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ::1 ::1 whatever\r\n"}) {
        expect_header(line);
        EXPECT_EQ(0u, Parsed(line).header.source.size_bytes);
    }
}

TEST(ProxyLine, IsRefusedWhereItIsWrong)
{
    const std::string lines[] = {
            "PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1  1 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 -1 2\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n",
            "PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 1 99999999999999999999\r\n",
            "proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
            std::string("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\0\r\n", 38),
            "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n",
            std::string("PROXY UNKNOWN ") + std::string(200, 'x'),
            "GET / HTTP/1.1\r\n",
    };
    for (const std::string &line : lines)
        EXPECT_EQ(-EBADMSG, Parsed(line).rc) << line;
    expect_header("PROXY UNKNOWN " + std::string(91, 'x') + "\r\n");
}

TEST(ProxyHeader, SaysWhoConnectsToWhom)
{
    const std::string header = v2(0x21, 0x11, ends_v4);
    expect_header(header);
    const Parsed parsed(header);
    EXPECT_EQ(2u, parsed.header.version);
    EXPECT_FALSE(parsed.header.is_local);
    EXPECT_FALSE(parsed.header.is_datagram);
    EXPECT_EQ("192.0.2.7:40000", parsed.source());
    EXPECT_EQ("192.0.2.1:443", parsed.destination());
    EXPECT_TRUE(Parsed(v2(0x21, 0x12, ends_v4)).header.is_datagram);
}

TEST(ProxyHeader, KnowsIpv6AndUnixSockets)
{
    const std::string v6 = v2(0x21, 0x21,
            std::string(15, '\0') + "\1" + std::string(15, '\0') + "\2" + u16(7) + u16(8));
    expect_header(v6);
    EXPECT_EQ("[::1]:7", Parsed(v6).source());
    EXPECT_EQ("[::2]:8", Parsed(v6).destination());

    std::string path = "/run/client";
    path.resize(108);
    std::string name("\0abstract", 9);
    name.resize(108);
    const std::string local = v2(0x21, 0x31, path + name);
    expect_header(local);
    EXPECT_EQ("unix:/run/client", Parsed(local).source());
    EXPECT_EQ("unix:@abstract", Parsed(local).destination());
    const Parsed full(v2(0x21, 0x31, std::string(216, 'p')));
    EXPECT_EQ(std::string("unix:") + std::string(108, 'p'), full.source());
    EXPECT_EQ("unix:", Parsed(v2(0x21, 0x31, std::string(216, '\0'))).source());
}

TEST(ProxyHeader, OfTheProxyItselfIsAsIfThereWereNone)
{
    for (const std::string &rest : {std::string(), ends_v4, std::string(40, 'x')}) {
        const std::string header = v2(0x20, 0x11, rest);
        expect_header(header);
        EXPECT_TRUE(Parsed(header).header.is_local);
        EXPECT_EQ(0u, Parsed(header).header.source.size_bytes);
    }
    expect_header(v2(0x21, 0x00, "whatever"));
}

TEST(ProxyHeader, HasMoreValues)
{
    const std::string header = v2(0x21, 0x11,
            ends_v4 + value(COIL_PROXY_ALPN, "h2") + value(COIL_PROXY_NOOP, "") +
                    value(COIL_PROXY_AUTHORITY, "example.org"));
    expect_header(header);
    const Parsed parsed(header);
    coil_proxy_value each = {};
    std::string seen;
    while (coil_proxy_next(&parsed.header, &each)) {
        seen += std::to_string(each.type) + "=" +
                std::string(reinterpret_cast<const char *>(each.bytes), each.size_bytes) + ";";
    }
    EXPECT_EQ("1=h2;4=;2=example.org;", seen);
}

TEST(ProxyHeader, IsChecked)
{
    /* The checksum was computed by another program, whose own check is RFC 3720, B.4. */
    std::string header = v2(
            0x21, 0x11, ends_v4 + value(COIL_PROXY_CRC32C, "\x7c\x9d\x2b\x6a") + value(2, "host"));
    expect_header(header);
    for (size_t i = 16; i < 16 + ends_v4.size(); i++) {
        header[i] ^= 1;
        EXPECT_EQ(-EBADMSG, Parsed(header).rc) << i;
        header[i] ^= 1;
    }
}

/* RFC 3720, B.4: with four zeros at `at`. */
uint32_t crc32c(std::string bytes, size_t at)
{
    bytes.replace(at, 4, 4, '\0');
    uint32_t crc = UINT32_MAX;
    for (const char byte : bytes) {
        crc ^= static_cast<uint8_t>(byte);
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

std::string big_endian(uint32_t number)
{
    return u16(number >> 16) + u16(number & 0xffff);
}

/* x, for which g(x) is 0; g is affine over the field of two elements. False: there is none. */
bool solve(const std::function<uint32_t(uint32_t)> &g, uint32_t *out_x)
{
    const uint32_t offset = g(0);
    uint64_t rows[32] = {}; /* Bit i: x's bit i; bit 32: the right side. */
    for (unsigned i = 0; i < 32; i++) {
        const uint32_t column = g(uint32_t{1} << i) ^ offset;
        for (unsigned row = 0; row < 32; row++)
            rows[row] |= static_cast<uint64_t>(column >> row & 1) << i;
    }
    for (unsigned row = 0; row < 32; row++)
        rows[row] |= static_cast<uint64_t>(offset >> row & 1) << 32;
    uint32_t x = 0;
    unsigned used = 0;
    for (unsigned i = 0; i < 32; i++) {
        unsigned pivot = used;
        while (pivot < 32 && (rows[pivot] >> i & 1) == 0)
            pivot++;
        if (pivot == 32)
            continue;
        std::swap(rows[pivot], rows[used]);
        for (unsigned row = 0; row < 32; row++) {
            if (row != used && (rows[row] >> i & 1) != 0)
                rows[row] ^= rows[used];
        }
        used++;
    }
    for (unsigned row = 0; row < 32; row++) {
        if (rows[row] == uint64_t{1} << 32)
            return false;
        if (rows[row] != 0 && (rows[row] >> 32) != 0)
            x |= static_cast<uint32_t>(rows[row]) & -static_cast<uint32_t>(rows[row]);
    }
    *out_x = x;
    return g(x) == 0;
}

/* Each is right, and so is each of ten thousand: that would keep a server busy for seconds. */
TEST(ProxyHeader, HasOneChecksumAtMost)
{
    const std::string zeros = value(COIL_PROXY_CRC32C, std::string(4, '\0'));
    uint32_t second = 0;
    for (uint32_t salt = 0; salt < 100; salt++) {
        std::string header = v2(0x21, 0x11, ends_v4 + zeros + zeros + value(2, big_endian(salt)));
        const size_t one = 16 + ends_v4.size() + 3, other = one + 7;
        const auto first_of = [&](uint32_t x) {
            return crc32c(header.replace(other, 4, big_endian(x)), one);
        };
        const auto gap = [&](uint32_t x) {
            header.replace(one, 4, big_endian(first_of(x)));
            return crc32c(header, other) ^ x;
        };
        if (!solve(gap, &second))
            continue;
        EXPECT_EQ(0u, gap(second)) << "both are right";
        EXPECT_EQ(-EBADMSG, Parsed(header).rc);
        return;
    }
    FAIL() << "no header of two checksums";
}

TEST(ProxyHeader, IsRefusedWhereItIsWrong)
{
    const std::string headers[] = {
            v2(0x11, 0x11, ends_v4),                             /* version 1 */
            v2(0x22, 0x11, ends_v4),                             /* command 2 */
            v2(0x21, 0x41, ends_v4),                             /* family 4 */
            v2(0x21, 0x13, ends_v4),                             /* transport 3 */
            v2(0x21, 0x11, ends_v4.substr(1)),                   /* addresses that are cut */
            v2(0x21, 0x21, ends_v4),                             /* too short for IPv6 */
            v2(0x21, 0x11, ends_v4 + "\1"),                      /* half a value */
            v2(0x21, 0x11, ends_v4 + std::string("\1\0\2h", 4)), /* a value that is cut */
            v2(0x21, 0x11, ends_v4 + value(COIL_PROXY_CRC32C, "four")),
            v2(0x21, 0x11, ends_v4 + value(COIL_PROXY_CRC32C, "five5")),
            "\r\n\r\n\r\n",
    };
    for (const std::string &header : headers)
        EXPECT_EQ(-EBADMSG, Parsed(header).rc);
}

std::string written(const coil_proxy_header &header, size_t limit = 65551)
{
    std::string bytes(limit, '\0');
    const ssize_t size = coil_proxy_write(&header, &bytes[0], bytes.size());
    if (size < 0)
        return coil_error_name(static_cast<int>(size));
    bytes.resize(static_cast<size_t>(size));
    return bytes;
}

TEST(ProxyWriter, WritesWhatTheReaderReads)
{
    const std::string headers[] = {
            "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n",
            "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n",
            "PROXY UNKNOWN\r\n",
            v2(0x21, 0x11, ends_v4),
            v2(0x21, 0x12, ends_v4 + value(COIL_PROXY_ALPN, "h2")),
            v2(0x21, 0x21, std::string(36, 'a')),
            v2(0x21, 0x31, std::string(216, 'p')),
            v2(0x20, 0x00, ""),
    };
    for (const std::string &header : headers) {
        const Parsed parsed(header);
        ASSERT_LT(0, parsed.rc);
        EXPECT_EQ(header, written(parsed.header));
        EXPECT_EQ("EMSGSIZE", written(parsed.header, header.size() - 1));
    }
}

TEST(ProxyWriter, TakesIpv4ByAnIpv6SocketForIpv4)
{
    for (const int version : {1, 2}) {
        const std::string plain = version == 1 ? "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n"
                                               : v2(0x21, 0x11, ends_v4);
        coil_proxy_header header = Parsed(plain).header;
        char text[COIL_ADDRESS_TEXT_BYTES];
        for (coil_address *end : {&header.source, &header.destination}) {
            const std::string v4 = coil_address_format(end, text);
            const size_t colon = v4.find(':');
            const std::string v6 = "[::ffff:" + v4.substr(0, colon) + "]" + v4.substr(colon);
            ASSERT_EQ(0, coil_address_parse(v6.c_str(), end));
            EXPECT_EQ(plain, written(header)) << "also if only one of them comes that way";
        }
    }
}

TEST(ProxyWriter, ChecksumsWhatHasAPlaceForIt)
{
    Parsed parsed(v2(0x21, 0x11, ends_v4));
    const std::string values = value(COIL_PROXY_CRC32C, std::string(4, '\0')) + value(2, "host");
    parsed.header.values = reinterpret_cast<const uint8_t *>(values.data());
    parsed.header.values_bytes = values.size();
    std::string bytes = written(parsed.header);
    expect_header(bytes);
    bytes.back() ^= 1;
    EXPECT_EQ(-EBADMSG, Parsed(bytes).rc);
}

TEST(ProxyWriter, HasAPlaceForOneChecksum)
{
    Parsed parsed(v2(0x21, 0x11, ends_v4));
    const std::string zeros = value(COIL_PROXY_CRC32C, std::string(4, '\0'));
    const std::string values = zeros + zeros;
    parsed.header.values = reinterpret_cast<const uint8_t *>(values.data());
    parsed.header.values_bytes = values.size();
    EXPECT_EQ("EINVAL", written(parsed.header)) << "not what no reader takes";
}

TEST(ProxyWriter, RefusesWhatThereIsNoHeaderFor)
{
    Parsed v4(v2(0x21, 0x11, ends_v4));
    const Parsed v6(v2(0x21, 0x21, std::string(36, 'a')));
    coil_proxy_header mixed = v4.header;
    mixed.destination = v6.header.destination;
    EXPECT_EQ("EINVAL", written(mixed));
    coil_proxy_header third = v4.header;
    third.version = 3;
    EXPECT_EQ("EINVAL", written(third));
    coil_proxy_header odd = v4.header;
    odd.values = reinterpret_cast<const uint8_t *>("\1\0\2h");
    odd.values_bytes = 4;
    EXPECT_EQ("EINVAL", written(odd));
    odd.version = 1;
    EXPECT_EQ("EINVAL", written(odd));
}

/* ------------------------------------------------------------------------------- of a stream -- */

struct Talk {
    std::string sent;
    size_t piece;
    size_t limit = COIL_PROXY_LIMIT_BYTES;
    int64_t rc = 1;
    std::string rest = "";
    coil_proxy_header header = {};
};

async(int, say, (coil_stream *) peer, (Talk *) talk)
{
    vars(size_t sent; size_t size);
    defer(coil_stream_close(peer));
    while (my->sent < talk->sent.size()) {
        my->size = std::min(talk->piece, talk->sent.size() - my->sent);
        attempt(coil_write_all(peer, coil_bytes(talk->sent.data() + my->sent, my->size)));
        my->sent += my->size;
        await(coil_yield());
    }
    return 0;
}

async(int, listen_to, (Talk *) talk)
{
    vars(coil_stream *one; coil_stream *other; coil_group group; coil_slice in; int rc);
    my->rc = coil_stream_pair(&my->one, &my->other);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->one));
    open_group(&my->group);
    spawn(&my->group, say(my->other, talk));
    await(my->in, within(coil_s(10), coil_read_proxy_header(my->one, talk->limit, &talk->header)));
    talk->rc = my->in.size_bytes;
    coil_slice_release(&my->in);
    if (talk->rc <= 0)
        return 0;
    for (;;) {
        attempt(my->in, coil_read_some(my->one));
        if (coil_slice_empty(&my->in))
            return 0;
        talk->rest.append(my->in.bytes, static_cast<size_t>(my->in.size_bytes));
        coil_slice_release(&my->in);
    }
}

TEST(ProxyStream, GivesTheHeaderAndLeavesTheRest)
{
    const std::string headers[] = {
            "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n",
            "PROXY UNKNOWN\r\n",
            v2(0x21, 0x11, ends_v4),
            v2(0x21, 0x11, ends_v4 + value(2, std::string(3000, 'h'))),
            v2(0x20, 0x00, ""),
    };
    for (const std::string &header : headers) {
        for (const size_t piece : {size_t{1}, size_t{7}, size_t{10000}}) {
            for (const char *rest : {"", "rest"}) {
                Talk talk = {header + rest, piece};
                ASSERT_EQ(0, coil_run(listen_to(&talk)));
                EXPECT_EQ(static_cast<int64_t>(header.size()), talk.rc);
                EXPECT_EQ(rest, talk.rest);
            }
        }
    }
}

TEST(ProxyStream, SaysWhatIsWrong)
{
    const std::pair<std::string, int> cases[] = {
            {"", 0},
            {"PROXY", -ENODATA},
            {"PROXY TCP4 192.0.2.7", -ENODATA},
            {v2(0x21, 0x11, ends_v4).substr(0, 13), -ENODATA},
            {v2(0x21, 0x11, ends_v4).substr(0, 20), -ENODATA},
            {"GET / HTTP/1.1\r\n\r\n", -EBADMSG},
            {"PROXY UNKNOWN" + std::string(200, ' '), -EBADMSG},
            {v2(0x21, 0x11, ends_v4 + value(2, std::string(5000, 'h'))), -EMSGSIZE},
            {v2(0x31, 0x11, ends_v4), -EBADMSG},
    };
    for (const auto &[text, error] : cases) {
        Talk talk = {text, 1000};
        ASSERT_EQ(0, coil_run(listen_to(&talk)));
        EXPECT_EQ(error, talk.rc) << text;
    }
}

} // namespace
