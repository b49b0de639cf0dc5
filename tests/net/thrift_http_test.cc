/* SPDX-License-Identifier: MIT */
/* HTTP as a transport: http_message.c, http_head.c, and what thrift_transport.c makes of them. */
#include "thrift_packets.h"
#include "thrift_transport_peer.h"

extern "C" {
#include "http_message.h"
}

#include <coil/thrift.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

namespace
{

constexpr auto binary = COIL_THRIFT_PROTOCOL_BINARY;

std::string binary_call(const std::string &value = "hello")
{
    return packet::call("ping", packet::field(11, 1) + packet::text(value) + packet::stop());
}

std::string with_length(const std::string &first, const std::string &body)
{
    return first + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string post(const std::string &body, const std::string &headers = "")
{
    return with_length("POST /service HTTP/1.1\r\nHost: here\r\n" + headers, body);
}

std::string chunk(const std::string &bytes, const std::string &extension = "")
{
    char size[16];
    (void)snprintf(size, sizeof(size), "%zx", bytes.size());
    return size + extension + "\r\n" + bytes + "\r\n";
}

using Make = std::function<std::unique_ptr<TransportPeer>()>;

void in_all_pieces(const std::string &bytes, const Make &make,
        const std::function<void(TransportPeer &)> &check)
{
    for (size_t cut = 0; cut <= bytes.size() + 1; cut++) {
        SCOPED_TRACE("cut at " + std::to_string(cut));
        std::unique_ptr<TransportPeer> peer = make();
        size_t step = cut <= bytes.size() ? cut : 1; /* The last time byte by byte. */
        for (size_t at = 0; at < bytes.size() || at == 0;) {
            size_t size = step == 0 || (at > 0 && step > 1) ? bytes.size() - at : step;
            if (peer->feed(bytes.substr(at, size)) < 0)
                break;
            at += size == 0 ? 1 : size;
        }
        check(*peer);
        if (testing::Test::HasFailure())
            return;
    }
}

std::unique_ptr<TransportPeer> server()
{
    return std::make_unique<TransportPeer>();
}

std::unique_ptr<TransportPeer> client()
{
    return std::make_unique<TransportPeer>(thrift_dialect{
            COIL_THRIFT_TRANSPORT_HTTP, binary, false, false, false, "there:80", "/service"});
}

/* The date of a response, in seconds since 1970. */
time_t date_in(const std::string &response)
{
    const size_t at = response.find("\r\nDate: ");
    struct tm parts = {};
    if (at == std::string::npos)
        return -1;
    const std::string date = response.substr(at + 8, response.find("\r\n", at + 2) - at - 8);
    EXPECT_EQ(29U, date.size()) << date;
    EXPECT_NE(nullptr, strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts)) << date;
    return timegm(&parts);
}

void expect_refusal(const std::string &bytes, int error, int status, const std::string &words)
{
    in_all_pieces(bytes, server, [&](TransportPeer &peer) {
        EXPECT_EQ(peer.error, error);
        EXPECT_EQ(peer.what(), "HTTP: " + words);
        EXPECT_EQ(peer.answer().substr(0, 12), "HTTP/1.1 " + std::to_string(status));
        EXPECT_NE(peer.answer().find("\r\nConnection: close\r\n"), std::string::npos);
    });
}

TEST(ThriftHttp, TakesPostsOneAfterTheOther)
{
    const std::string bytes = post(binary_call("one"), "X-Trace: a b\r\nEmpty:\r\n") +
                              post(binary_call("two")) + post(binary_call("three"), "A: 1\r\n");

    in_all_pieces(bytes, server, [&](TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 3U) << peer.what();
        EXPECT_EQ(peer.received[0].message, binary_call("one"));
        EXPECT_EQ(peer.received[0].target, "/service");
        EXPECT_EQ(peer.received[0].header("x-trace"), "a b");
        EXPECT_EQ(peer.received[0].header("empty"), "");
        EXPECT_EQ(peer.received[0].header("host"), "here");
        EXPECT_EQ(peer.received[0].headers.size(), 4U);
        EXPECT_EQ(peer.received[0].kind.transport, COIL_THRIFT_TRANSPORT_HTTP);
        EXPECT_FALSE(peer.received[0].kind.last);
        EXPECT_EQ(peer.received[1].message, binary_call("two"));
        EXPECT_EQ(peer.received[1].headers.size(), 2U);
        EXPECT_EQ(peer.received[2].message, binary_call("three"));
        EXPECT_EQ(peer.received[2].header("a"), "1");
    });
}

TEST(ThriftHttp, TakesABodyInChunks)
{
    const std::string body = binary_call();
    std::string bytes = "POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n";
    bytes += chunk(body.substr(0, 1)) + chunk(body.substr(1, 9), ";x=\"y\"") +
             chunk(body.substr(10));
    bytes += "0\r\nTrailer: ignored\r\n\r\n";

    in_all_pieces(bytes + post(binary_call("two")), server, [&](TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 2U) << peer.what();
        EXPECT_EQ(peer.received[0].message, body);
        EXPECT_EQ(peer.received[0].header("trailer"), "none");
        EXPECT_EQ(peer.received[1].message, binary_call("two"));
    });
}

TEST(ThriftHttp, KnowsWhetherTheConnectionGoesOn)
{
    struct Case {
        const char *first;
        bool last;
        bool old;
    };
    const std::vector<Case> cases = {
            {"POST / HTTP/1.1\r\nHost: a\r\n", false, false},
            {"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", true, false},
            {"POST / HTTP/1.0\r\n", true, true},
            {"POST / HTTP/1.0\r\nConnection: Keep-Alive\r\n", false, true},
    };

    for (const Case &one : cases) {
        TransportPeer peer;
        ASSERT_EQ(peer.feed(with_length(one.first, binary_call())), 0) << one.first;
        ASSERT_EQ(peer.received.size(), 1U);
        EXPECT_EQ(peer.received[0].kind.last, one.last) << one.first;
        EXPECT_EQ(peer.received[0].kind.old_http, one.old) << one.first;

        std::string reply = peer.send(peer.received[0].kind, {"reply"});
        EXPECT_EQ(reply.find("Connection: close\r\n") != std::string::npos, one.last);
        EXPECT_EQ(reply.find("Connection: keep-alive\r\n") != std::string::npos,
                one.old && !one.last);
    }
}

TEST(ThriftHttp, GoesOnBehindTheOfferOfAnUpgrade)
{
    const std::string offer =
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n";
    const std::string bytes = post(binary_call("one"), offer) + post(binary_call("two")) +
                              post(binary_call("three"), offer) + post(binary_call("four"));

    in_all_pieces(bytes, server, [](TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 4U) << peer.what();
        EXPECT_EQ(peer.received[0].message, binary_call("one"));
        EXPECT_EQ(peer.received[3].message, binary_call("four"));
        EXPECT_FALSE(peer.received[3].kind.last);
    });
}

TEST(ThriftHttp, TellsAPeerThatWaitsToGoOn)
{
    TransportPeer peer;
    const std::string bytes = post(binary_call(), "Expect: 100-continue\r\n");
    const size_t head = bytes.find("\r\n\r\n") + 4;

    EXPECT_EQ(peer.feed(bytes.substr(0, head)), 0);
    EXPECT_EQ(peer.interim, "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(peer.feed(bytes.substr(head, 3)), 0);
    EXPECT_EQ(peer.feed(bytes.substr(head + 3)), 0);
    EXPECT_EQ(peer.interim, "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(peer.received.size(), 1U);
    EXPECT_EQ(peer.feed(bytes), 0); /* The body is here: nobody waits. */
    EXPECT_EQ(peer.interim, "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(peer.received.size(), 2U);
}

TEST(ThriftHttp, RefusesRequestsThatAreNoCalls)
{
    expect_refusal(
            "GET / HTTP/1.1\r\nHost: here\r\n\r\n", -EBADMSG, 405, "another method than POST");
    expect_refusal("HEAD / HTTP/1.0\r\n\r\n", -EBADMSG, 405, "another method than POST");
    expect_refusal(
            "POST / HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG, 411, "neither a length nor chunks");
    expect_refusal("POST / HTTP/1.1\r\nHost: a\r\nExpect: a cat\r\nContent-Length: 3\r\n\r\n",
            -EBADMSG, 417, "an unknown expectation");
    expect_refusal(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n",
            -EBADMSG, 415, "the body has an encoding");
    expect_refusal("POST / HTTP/1.7\r\nContent-Length: 3\r\n\r\n", -EBADMSG, 505,
            "another version than 1.0 and 1.1");
    expect_refusal("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16384001\r\n\r\n", -EMSGSIZE, 413,
            "the body is larger than allowed");
    expect_refusal("CONNECT there:80 HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG, 405,
            "another method than POST");
}

TEST(ThriftHttp, RefusesWhatIsMalformed)
{
    in_all_pieces("SSH-2.0-OpenSSH_9.2\r\n", server, [](TransportPeer &peer) {
        EXPECT_EQ(peer.error, -EBADMSG);
        EXPECT_EQ(peer.answer().substr(0, 12), "HTTP/1.1 501");
    });
    for (const char *bytes : {
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
                 "POST / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nA: b\x01\r\n\r\n",
                 "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 1\r\n 2\r\n\r\n123456789012",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: "
                 "5\r\n\r\nhello",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
                 "POST / HTTP/1.1\r\nHost: a\r\nA: b\rContent-Length: 5\r\n\r\nhello",
                 "POST / HTTP/1.1\r\n Content-Length: 5\r\n\r\nhello",
                 "POST / XTTP/1.1\r\n\r\n",
                 "POST  HTTP/1.1\r\n\r\n",
         }) {
        TransportPeer peer;
        EXPECT_LT(peer.feed(bytes), 0) << bytes;
        EXPECT_EQ(peer.answer().substr(0, 12), "HTTP/1.1 400") << bytes << peer.what();
    }
}

/* In which a front end may see another body than we do. */
TEST(ThriftHttp, RefusesTransferEncodingsButChunkedAlone)
{
    const std::string body = chunk(binary_call()) + "0\r\n\r\n";

    for (const char *value : {"gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked",
                 "identity", "chunkedchunked", "xchunked", "chunked\r\n , x", "\r\n x", "x;chunked",
                 "x\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: x",
                 "chunked\r\nTransfer-Encoding: chunked", "chunked\r\nA: b\r\nTransfer-Encoding:",
                 "\"chunked\"", "chunked;q=1", "\vchunked"}) {
        TransportPeer peer;
        const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ";
        EXPECT_LT(peer.feed(head + value + "\r\n\r\n" + body), 0) << value;
        EXPECT_TRUE(peer.received.empty()) << value;
        const std::string answer = peer.answer().substr(0, 12);
        EXPECT_TRUE(answer == "HTTP/1.1 501" || answer == "HTTP/1.1 400") << value << answer;
    }
    for (const char *value : {"chunked", "CHUNKED", " chunked ", "\r\n chunked"}) {
        TransportPeer peer;
        const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ";
        EXPECT_EQ(0, peer.feed(head + value + "\r\n\r\n" + body)) << value << peer.what();
        EXPECT_EQ(1U, peer.received.size()) << value;
    }
}

TEST(ThriftHttp, RefusalsAreWholeResponses)
{
    for (int status : {400, 405, 411, 413, 415, 417, 431, 500, 501, 505, 999}) {
        char place[HTTP_REFUSAL_BYTES];
        const coil_thrift_text refusal = http_refusal(status, place);
        std::unique_ptr<TransportPeer> peer = client();
        const int expected = status == 999 ? 500 : status;

        EXPECT_EQ(peer->feed(std::string(refusal.bytes, refusal.size - 1)), 0) << status;
        EXPECT_EQ(peer->feed(std::string(refusal.bytes + refusal.size - 1, 1)), -EPROTO) << status;
        EXPECT_EQ(peer->what(), "HTTP: the answer has status " + std::to_string(expected));
        EXPECT_LT(std::abs(date_in(std::string(refusal.bytes, refusal.size)) - time(nullptr)), 5);
    }
}

TEST(ThriftHttp, WantsOneHost)
{
    const std::string end = "Content-Length: 3\r\n\r\n";
    expect_refusal("POST / HTTP/1.1\r\n" + end, -EBADMSG, 400, "there is no host");
    expect_refusal("POST / HTTP/1.1\r\nHost: a\r\nhost: a\r\n" + end, -EBADMSG, 400,
            "there is more than one host");
    expect_refusal("POST / HTTP/1.0\r\nHost: a\r\nHost: b\r\n" + end, -EBADMSG, 400,
            "there is more than one host");
    for (const char *none : {"a, b", "a b", "a,b", "http://a/", "me@a", "a\\b"})
        expect_refusal("POST / HTTP/1.1\r\nHost: " + std::string(none) + "\r\n" + end, -EBADMSG,
                400, "the host is none");
    for (const char *head : {"POST / HTTP/1.0\r\n", "POST / HTTP/1.1\r\nHost:\r\n",
                 "POST / HTTP/1.1\r\nHost: [::1]:80\r\n",
                 "POST / HTTP/1.1\r\nHost: a-b.c_d.%41:8080\r\n"}) {
        TransportPeer peer;
        EXPECT_EQ(peer.feed(with_length(head, binary_call())), 0) << head;
        EXPECT_EQ(peer.received.size(), 1U) << head;
    }
}

TEST(ThriftHttp, LeavesOutTheBlanksAroundValues)
{
    const std::string bytes =
            "POST / HTTP/1.1\r\nHost: here \t \r\nExpect:  100-continue\t\r\nEmpty: \t \r\n"
            "Content-Encoding: identity \r\nclient_timeout: \t100 \r\nIn: a \t b \r\n";

    in_all_pieces(with_length(bytes, binary_call()), server, [](TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 1U) << peer.what();
        Received &request = peer.received[0];
        EXPECT_EQ(request.header("host"), "here");
        EXPECT_EQ(request.header("expect"), "100-continue");
        EXPECT_EQ(request.header("empty"), "");
        EXPECT_EQ(request.header("client_timeout"), "100");
        EXPECT_EQ(request.header("in"), "a \t b");
    });
}

TEST(ThriftHttp, DatesResponsesAndNoRequests)
{
    TransportPeer peer;
    ASSERT_EQ(peer.feed(post(binary_call())), 0);
    const std::string reply = peer.send(peer.received[0].kind, {"reply"});
    EXPECT_LT(std::abs(date_in(reply) - time(nullptr)), 5) << reply;
    EXPECT_EQ(client()->call(binary_call()).find("Date:"), std::string::npos);
}

TEST(ThriftHttp, BoundsTheHead)
{
    TransportPeer target;
    EXPECT_EQ(target.feed("POST /" + std::string(40000, 'x')), -EMSGSIZE);
    EXPECT_EQ(target.answer().substr(0, 12), "HTTP/1.1 431");

    TransportPeer value;
    EXPECT_EQ(value.feed("POST / HTTP/1.1\r\nHost: a\r\nA: " + std::string(40000, 'x')), -EMSGSIZE);
    EXPECT_EQ(value.answer().substr(0, 12), "HTTP/1.1 431");

    TransportPeer many;
    std::string bytes = "POST / HTTP/1.1\r\n";
    for (int i = 0; i < COIL_THRIFT_HEADERS_MAX; i++)
        bytes += "A: b\r\n";
    EXPECT_EQ(many.feed(bytes), 0);
    EXPECT_EQ(many.feed("A: b\r\n"), -EMSGSIZE);
    EXPECT_EQ(many.what(), "HTTP: there are more headers than allowed");
}

TEST(ThriftHttp, BoundsABodyInChunksBeforeItHasArrived)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 1000;
    TransportPeer peer(&limits);
    int rc = peer.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");

    for (int i = 0; i < 20 && rc == 0; i++)
        rc = peer.feed(chunk(std::string(100, 'x')));
    EXPECT_EQ(rc, -EMSGSIZE);
    EXPECT_EQ(peer.answer().substr(0, 12), "HTTP/1.1 413");
}

TEST(ThriftHttp, RefusesABodyThatIsNoMessage)
{
    for (const char *body : {"", "hello"}) {
        TransportPeer peer;
        EXPECT_EQ(peer.feed(post(body)), -EBADMSG);
        EXPECT_EQ(peer.answer().substr(0, 12), "HTTP/1.1 400");
    }
}

TEST(ThriftHttp, GivesOutPagesIfAsked)
{
    TransportPeer peer;
    peer.transport.pages = true;

    ASSERT_EQ(peer.feed("GET /status?x=1 HTTP/1.1\r\nHost: here\r\n\r\n" + post(binary_call())), 0);
    ASSERT_EQ(peer.received.size(), 2U);
    EXPECT_EQ(peer.received[0].target, "/status?x=1");
    EXPECT_EQ(peer.received[0].method, "GET");
    EXPECT_EQ(peer.received[1].method, "POST");
    EXPECT_EQ(peer.received[1].message, binary_call());
}

TEST(ThriftHttp, AnswersACallWithoutReply)
{
    TransportPeer peer;
    coil_thrift_writer writer;
    ASSERT_EQ(peer.feed(post(binary_call())), 0);

    coil_thrift_writer_init(&writer, nullptr);
    int size = thrift_transport_acknowledge(&peer.transport, &peer.received[0].kind, &writer);
    ASSERT_GT(size, 0);
    std::string bytes(reinterpret_cast<char *>(writer.bytes), writer.size);
    coil_thrift_writer_fini(&writer);
    EXPECT_EQ(bytes.size(), static_cast<size_t>(size));
    const std::string first = "HTTP/1.1 200 OK\r\n";
    EXPECT_EQ(bytes.substr(0, first.size()), first);
    EXPECT_EQ(bytes.substr(bytes.find("Content-Type")),
            "Content-Type: application/x-thrift\r\nContent-Length:          0\r\n\r\n");

    std::unique_ptr<TransportPeer> there = client();
    ASSERT_EQ(there->feed(bytes), 0);
    ASSERT_EQ(there->received.size(), 1U);
    EXPECT_EQ(there->received[0].message, "");
}

TEST(ThriftHttp, ClientAndServerUnderstandEachOther)
{
    std::unique_ptr<TransportPeer> caller = client();
    const coil_thrift_header header = {coil_thrift_text_of("X-Trace"), coil_thrift_text_of("17")};
    const thrift_extra extra = {&header, 1};
    const std::string call = caller->call(binary_call(), &extra);

    EXPECT_EQ(call.substr(0, call.find("Content-Type")),
            "POST /service HTTP/1.1\r\nHost: there:80\r\nAccept: application/x-thrift\r\n");
    TransportPeer called;
    ASSERT_EQ(called.feed(call + call), 0) << called.what();
    ASSERT_EQ(called.received.size(), 2U);
    EXPECT_EQ(called.received[1].message, binary_call());
    EXPECT_EQ(called.received[1].header("x-trace"), "17");

    const std::string reply =
            called.send(called.received[0].kind, {binary_call("re"), binary_call("ply")});
    in_all_pieces(reply, client, [](TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 2U) << peer.what();
        EXPECT_EQ(peer.received[0].message, binary_call("re"));
        EXPECT_EQ(peer.received[1].message, binary_call("ply"));
    });
}

TEST(ThriftHttp, SendsNoHeaderThatWouldBeSeveral)
{
    std::unique_ptr<TransportPeer> caller = client();
    const thrift_kind kind = thrift_transport_call_kind(&caller->transport, 7);

    for (const auto &[name, value] : std::vector<std::pair<const char *, const char *>>{
                 {"A", "b\r\nC: d"}, {"A\r\nB", "c"}, {"A B", "c"}, {"", "c"}, {"A:", "c"}}) {
        const coil_thrift_header header = {coil_thrift_text_of(name), coil_thrift_text_of(value)};
        const thrift_extra extra = {&header, 1};
        EXPECT_EQ(thrift_transport_room(&caller->transport, &kind, &extra), -EINVAL) << name;
    }
    const std::string large(THRIFT_HEADER_BYTES_MAX, 'x');
    const coil_thrift_header header = {
            coil_thrift_text_of("a"), {large.data(), THRIFT_HEADER_BYTES_MAX}};
    const thrift_extra extra = {&header, 1};
    EXPECT_EQ(thrift_transport_room(&caller->transport, &kind, &extra), -EMSGSIZE);
}

TEST(ThriftHttp, AClientSkipsAnnouncementsAndReportsOtherAnswers)
{
    const std::string reply = with_length("HTTP/1.1 200 OK\r\n", binary_call());
    in_all_pieces("HTTP/1.1 100 Continue\r\n\r\n" + reply, client, [](TransportPeer &peer) {
        ASSERT_EQ(peer.received.size(), 1U) << peer.what();
        EXPECT_EQ(peer.received[0].message, binary_call());
    });
    in_all_pieces(with_length("HTTP/1.1 404 Not Found\r\n", "no"), client, [](TransportPeer &peer) {
        EXPECT_EQ(peer.error, -EPROTO);
        EXPECT_EQ(peer.what(), "HTTP: the answer has status 404");
        EXPECT_EQ(peer.answer(), "");
    });
    const std::string upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                "Upgrade: websocket\r\n\r\n";
    in_all_pieces(upgrade, client, [](TransportPeer &peer) {
        EXPECT_EQ(peer.error, -EBADMSG);
        EXPECT_EQ(peer.what(), "HTTP: nobody wanted to upgrade");
    });
    for (const char *framing : {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"})
        EXPECT_EQ(client()->feed(framing), -EBADMSG) << framing;
    std::unique_ptr<TransportPeer> other = client();
    EXPECT_EQ(other->feed("SSH-2.0\r\n"), -EBADMSG);
    EXPECT_EQ(other->answer(), "");
}

TEST(ThriftHttp, AClientTakesABodyThatEndsWithTheConnection)
{
    std::unique_ptr<TransportPeer> peer = client();
    ASSERT_EQ(peer->feed("HTTP/1.0 200 OK\r\n\r\n" + binary_call()), 0);
    EXPECT_TRUE(peer->received.empty());
    ASSERT_EQ(peer->end(), 1);
    EXPECT_EQ(peer->received[0].message, binary_call());
    EXPECT_TRUE(peer->received[0].kind.last);

    std::unique_ptr<TransportPeer> cut = client();
    ASSERT_EQ(cut->feed("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + binary_call()), 0);
    EXPECT_EQ(cut->end(), -ENODATA);
    std::unique_ptr<TransportPeer> between = client();
    ASSERT_EQ(between->feed(with_length("HTTP/1.1 200 OK\r\n", binary_call())), 0);
    EXPECT_EQ(between->end(), 0);
}

TEST(ThriftHttp, GivesMemoryBackBetweenMessages)
{
    TransportPeer peer;
    const std::string large = binary_call(std::string(300000, 'x'));

    ASSERT_EQ(peer.feed(post(large)), 0);
    EXPECT_EQ(peer.received[0].message, large);
    thrift_transport_rest(&peer.transport);
    ASSERT_EQ(peer.feed(post(large).substr(0, 200000)), 0);
    thrift_transport_rest(&peer.transport); /* Within a message nothing is lost. */
    ASSERT_EQ(peer.feed(post(large).substr(200000)), 0);
    EXPECT_EQ(peer.received[1].message, large);
}

} // namespace
