/* SPDX-License-Identifier: MIT */
/* One port: peers of every transport and protocol, each answered in its own. */
#include "served.h"

#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <tuple>

extern "C" {
#include "thrift_transport.h"
}

namespace
{

/* ------------------------------------------------------------------------------ the service -- */

std::string copy_of(coil_thrift_text text)
{
    return text.size == 0 ? "" : std::string(text.bytes, text.size);
}

coil_thrift_text first_text(coil_thrift_call *call)
{
    coil_thrift_text word = {"", 0};
    coil_thrift_field field;
    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &word);
    }
    return word;
}

/* string echo(1: string text): at once, or for a text that begins with "later", later. */
async(int, echo, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);

    my->text = first_text(call);
    if (my->text.size > 5 && memcmp(my->text.bytes, "later", 5) == 0)
        await(coil_sleep(coil_ms(20)));
    coil_thrift_put_string(coil_thrift_reply(call), 0, my->text);
    return 0;
}

async(int, fails, (coil_thrift_call *) call)
{
    vars();
    (void)call;
    return -EIO;
}

/* void wait(): until it is cancelled. */
async(int, waits, (coil_thrift_call *) call)
{
    vars();
    (void)call;
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(int, tell, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    await(coil_sleep(coil_ms(20)));
    return 0;
}

const coil_thrift_method methods[] = {
        {"echo", coil_handler(echo, coil_thrift_call *), nullptr},
        {"fail", coil_handler(fails, coil_thrift_call *), nullptr},
        {"wait", coil_handler(waits, coil_thrift_call *), nullptr},
        {"tell", coil_handler(tell, coil_thrift_call *), nullptr},
};

/* ------------------------------------------------------------------------------- the clients -- */

struct Reply {
    int type = 0;
    int seqid = 0;
    int exception = -1;
    std::string text;
    std::string headers; /* "name=value;" */
};

/* A connection that speaks one dialect. */
class Speaker
{
public:
    Speaker(Peer connected, const thrift_dialect &spoken)
        : peer(std::move(connected)), dialect(spoken)
    {
        thrift_transport_init_client(&transport, &dialect, nullptr);
        coil_thrift_writer_init(&writer, nullptr);
        coil_arena_init(&arena, 1 << 24);
    }

    ~Speaker()
    {
        thrift_transport_fini(&transport);
        coil_thrift_writer_fini(&writer);
        coil_arena_fini(&arena);
    }

    /* The bytes of a call, in order. */
    std::string call(const char *method, const std::string &word, int seqid,
            const std::vector<coil_thrift_header> &headers = {}, int type = COIL_THRIFT_CALL)
    {
        const thrift_extra extra = {headers.data(), static_cast<uint32_t>(headers.size())};
        const thrift_kind kind = thrift_transport_call_kind(&transport, seqid);
        coil_thrift_message message = {};
        coil_thrift_text packed = {};

        message.name = coil_thrift_text_of(method);
        message.type = static_cast<coil_thrift_message_type>(type);
        message.seqid = seqid;
        coil_thrift_writer_reset(&writer);
        coil_thrift_writer_set_protocol(&writer, dialect.protocol);
        coil_thrift_writer_begin(&writer, &message);
        coil_thrift_put_string(&writer, 1, {word.data(), static_cast<uint32_t>(word.size())});
        coil_thrift_write_stop(&writer);
        const int size = coil_thrift_writer_finish(&writer);
        EXPECT_LT(0, size);
        EXPECT_LT(0, thrift_transport_seal(
                             &transport, &kind, &extra, &writer, static_cast<uint32_t>(size)));
        const coil_thrift_text bytes = {reinterpret_cast<const char *>(writer.bytes), writer.size};
        EXPECT_EQ(0, thrift_transport_pack(&transport, bytes, &packed));
        return copy_of(packed);
    }

    /* Receive the next reply; type 0 if there is none. */
    Reply reply()
    {
        thrift_envelope envelope;
        for (;;) {
            const int rc = thrift_transport_next(&transport,
                    reinterpret_cast<const uint8_t *>(received.data()), received.size(), &envelope);
            if (rc > 0) {
                const Reply taken = read(envelope);
                received.erase(0, transport.taken);
                return taken;
            }
            EXPECT_EQ(0, rc);
            received.erase(0, rc < 0 ? received.size() : transport.taken);
            std::string more = rc < 0 ? "" : peer.receive(1);
            if (more.empty())
                return {};
            more.resize(16384);
            const ssize_t count = recv(peer.fd, &more[1], more.size() - 1, MSG_DONTWAIT);
            received.append(more, 0, 1 + (count > 0 ? static_cast<size_t>(count) : 0));
        }
    }

    Peer peer;

private:
    Reply read(const thrift_envelope &envelope)
    {
        coil_thrift_reader reader;
        coil_thrift_message message;
        coil_thrift_field field;
        coil_thrift_text text = {};
        coil_thrift_exception exception = {};
        coil_thrift_header header;
        Reply made;

        coil_thrift_headers headers = envelope.headers;
        while (coil_thrift_headers_next(&headers, &header))
            made.headers += copy_of(header.name) + "=" + copy_of(header.value) + ";";
        if (envelope.size == 0)
            return made;
        coil_arena_reset(&arena);
        coil_thrift_reader_init_as(&reader,
                static_cast<coil_thrift_protocol>(envelope.kind.protocol), envelope.message,
                envelope.size, nullptr, &arena);
        if (!coil_thrift_read_message(&reader, &message))
            return made;
        EXPECT_EQ(dialect.protocol, envelope.kind.protocol);
        made.type = message.type;
        made.seqid = message.seqid;
        if (message.type == COIL_THRIFT_EXCEPTION) {
            coil_thrift_read_exception(&reader, &exception);
            made.exception = exception.type;
        }
        while (message.type == COIL_THRIFT_REPLY && coil_thrift_read_field(&reader, &field)) {
            if (field.id == 0)
                coil_thrift_get_string(&reader, &text);
        }
        made.text = copy_of(text);
        return made;
    }

    thrift_dialect dialect;
    thrift_transport transport = {};
    coil_thrift_writer writer = {};
    coil_arena arena = {};
    std::string received;
};

thrift_dialect dialect_of(enum coil_thrift_transport transport, enum coil_thrift_protocol protocol)
{
    thrift_dialect dialect = {};
    dialect.transport = transport;
    dialect.protocol = protocol;
    dialect.host = "localhost";
    dialect.path = "/service";
    return dialect;
}

enum Zlib { PLAIN, WHOLE, INSIDE, ALONE };

using Spoken = std::tuple<coil_thrift_transport, coil_thrift_protocol, Zlib>;

bool makes_sense(coil_thrift_transport transport, Zlib zlib)
{
    if (zlib == INSIDE)
        return transport == COIL_THRIFT_TRANSPORT_FRAMED;
    return zlib != ALONE || transport == COIL_THRIFT_TRANSPORT_HEADER;
}

std::vector<Spoken> all_dialects()
{
    std::vector<Spoken> all;
    for (const auto transport : {COIL_THRIFT_TRANSPORT_FRAMED, COIL_THRIFT_TRANSPORT_UNFRAMED,
                 COIL_THRIFT_TRANSPORT_HEADER, COIL_THRIFT_TRANSPORT_HTTP}) {
        for (const Zlib zlib : {PLAIN, WHOLE, INSIDE, ALONE}) {
            if (!makes_sense(transport, zlib))
                continue;
            for (const auto protocol : {COIL_THRIFT_PROTOCOL_BINARY, COIL_THRIFT_PROTOCOL_COMPACT,
                         COIL_THRIFT_PROTOCOL_JSON})
                all.emplace_back(transport, protocol, zlib);
        }
    }
    return all;
}

class Port : public testing::TestWithParam<Spoken>
{
protected:
    Speaker speaker() const
    {
        thrift_dialect dialect = dialect_of(std::get<0>(GetParam()), std::get<1>(GetParam()));
        dialect.zlib = std::get<2>(GetParam()) == WHOLE;
        dialect.zlib_inside = std::get<2>(GetParam()) == INSIDE;
        dialect.zlib_alone = std::get<2>(GetParam()) == ALONE;
        return Speaker(served.connected(), dialect);
    }

    bool is_http() const
    {
        return std::get<0>(GetParam()) == COIL_THRIFT_TRANSPORT_HTTP;
    }

    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    Served served{{&service}};
};

void expect_text(Speaker &speaker, int seqid, const std::string &text)
{
    const Reply reply = speaker.reply();
    EXPECT_EQ(COIL_THRIFT_REPLY, reply.type);
    EXPECT_EQ(seqid, reply.seqid);
    EXPECT_EQ(text, reply.text);
}

TEST_P(Port, AnswersInKind)
{
    Speaker speaks = speaker();
    ASSERT_TRUE(speaks.peer.send(speaks.call("echo", "hello \"\\ \n", 1)));
    expect_text(speaks, 1, "hello \"\\ \n");
    ASSERT_TRUE(speaks.peer.send(speaks.call("fail", "", 2)));
    EXPECT_EQ(COIL_THRIFT_INTERNAL_ERROR, speaks.reply().exception);
    ASSERT_TRUE(speaks.peer.send(speaks.call("nope", "", 3)));
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, speaks.reply().exception);
    const std::string large(100000, 'x');
    ASSERT_TRUE(speaks.peer.send(speaks.call("echo", large, 4)));
    expect_text(speaks, 4, large);
}

TEST_P(Port, AnswersPipelinedCallsInOrderUnlessTheirNumbersAreLookedAt)
{
    Speaker speaks = speaker();
    std::string all;
    std::vector<int> order;
    for (int i = 0; i < 20; i++)
        all += speaks.call("echo", (i % 3 == 0 ? "later " : "now ") + std::to_string(i), i);
    ASSERT_TRUE(speaks.peer.send(all));
    for (int i = 0; i < 20; i++) {
        const Reply reply = speaks.reply();
        EXPECT_EQ((reply.seqid % 3 == 0 ? "later " : "now ") + std::to_string(reply.seqid),
                reply.text);
        order.push_back(reply.seqid);
    }
    const bool are_sorted = std::is_sorted(order.begin(), order.end());
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(i, order[static_cast<size_t>(i)]);
    EXPECT_EQ(std::get<0>(GetParam()) != COIL_THRIFT_TRANSPORT_HEADER, are_sorted);
}

TEST_P(Port, TakesCallsByteByByte)
{
    Speaker speaks = speaker();
    std::string bytes = speaks.call("echo", "slow", 1);
    bytes += speaks.call("echo", "and sure", 2);
    for (const char byte : bytes) {
        ASSERT_TRUE(speaks.peer.send(std::string(1, byte)));
        std::this_thread::yield();
    }
    expect_text(speaks, 1, "slow");
    expect_text(speaks, 2, "and sure");
}

TEST_P(Port, TellsHttpAloneThatAOnewayCallHasCome)
{
    Speaker speaks = speaker();
    std::string bytes = speaks.call("tell", "", 1, {}, COIL_THRIFT_ONEWAY);
    bytes += speaks.call("echo", "next", 2);
    ASSERT_TRUE(speaks.peer.send(bytes));
    if (is_http()) {
        EXPECT_EQ(0, speaks.reply().type); /* Its body is empty. */
    }
    expect_text(speaks, 2, "next");
}

TEST_P(Port, SurvivesAPeerThatLeavesAnywhere)
{
    const std::string bytes = speaker().call("echo", "never", 1);
    for (size_t size = 0; size < bytes.size(); size += 3) {
        Peer leaving = served.connected();
        ASSERT_TRUE(leaving.send(bytes.substr(0, size)));
        leaving.end();
        (void)leaving.receive(10000);
    }
    Speaker speaks = speaker();
    ASSERT_TRUE(speaks.peer.send(speaks.call("echo", "still there", 1)));
    expect_text(speaks, 1, "still there");
}

std::string name_of(const testing::TestParamInfo<Spoken> &info)
{
    static const char *const transports[] = {"Framed", "Unframed", "Header", "Http"};
    static const char *const protocols[] = {"Binary", "Compact", "Json"};
    static const char *const zlibs[] = {"", "Zlib", "ZlibInside", "ZlibAlone"};
    return std::string(transports[std::get<0>(info.param)]) + protocols[std::get<1>(info.param)] +
           zlibs[std::get<2>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Dialects, Port, testing::ValuesIn(all_dialects()), name_of);

/* A byte now and then, of which no message ever comes. */
TEST(PortWithSlowPeers, GivesNobodyMoreTimeForEveryByte)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served(
            {&service}, [](coil_thrift_server *server) { server->frame_limit = coil_ms(40); });
    for (const Spoken &spoken : all_dialects()) {
        thrift_dialect dialect = dialect_of(std::get<0>(spoken), std::get<1>(spoken));
        dialect.zlib = std::get<2>(spoken) == WHOLE;
        Speaker slow(served.connected(), dialect);
        const std::string bytes = slow.call("echo", std::string(5000, 'x'), 1);
        size_t i = 0;
        while (i + 1 < bytes.size() && !slow.peer.readable_within(2))
            slow.peer.send(bytes.substr(i++, 1));
        EXPECT_LT(i, 1000u) << std::get<0>(spoken) << std::get<1>(spoken);
        Peer other = served.connected();
        ASSERT_TRUE(other.send(packet::frame(packet::message(1, "echo", 1) + packet::stop())));
        EXPECT_EQ(COIL_THRIFT_REPLY, Answer(other.receive_frame()).type);
    }
}

TEST(PortOfAUnixSocket, IsAPortLikeOthers)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service}, nullptr, {}, "unix:@coil-thrift-port-test");
    Peer peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un to = {};
    to.sun_family = AF_UNIX;
    memcpy(to.sun_path + 1, "coil-thrift-port-test", 21);
    const socklen_t size = offsetof(sockaddr_un, sun_path) + 22;
    ASSERT_EQ(0, connect(peer.fd, reinterpret_cast<sockaddr *>(&to), size));
    ASSERT_TRUE(peer.send(packet::message(1, "echo", 1) + packet::field(11, 1) +
                          packet::text("unframed") + packet::stop()));
    const std::string expected = packet::message(2, "echo", 1) + packet::field(11, 0) +
                                 packet::text("unframed") + packet::stop();
    EXPECT_EQ(expected, peer.receive(expected.size()));
}

/* ---------------------------------------------------------------------------------- headers -- */

TEST(PortWithHeaders, TakesTheDeadlineOfItsClient)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service});
    for (const coil_thrift_transport transport :
            {COIL_THRIFT_TRANSPORT_HEADER, COIL_THRIFT_TRANSPORT_HTTP}) {
        Speaker speaks(served.connected(), dialect_of(transport, COIL_THRIFT_PROTOCOL_BINARY));
        const std::vector<coil_thrift_header> headers = {
                {coil_thrift_text_of("client_timeout"), coil_thrift_text_of("20")}};
        ASSERT_TRUE(speaks.peer.send(speaks.call("wait", "", 1, headers)));
        const Reply reply = speaks.reply();
        EXPECT_EQ(COIL_THRIFT_TIMEOUT, reply.exception);
        EXPECT_NE(std::string::npos, reply.headers.find("ex=2;")) << reply.headers;
    }
}

TEST(PortWithHeaders, SaysThatItIsOverloaded)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service}, [](coil_thrift_server *server) { server->calls_max = 1; });
    Speaker waits(served.connected(),
            dialect_of(COIL_THRIFT_TRANSPORT_FRAMED, COIL_THRIFT_PROTOCOL_BINARY));
    ASSERT_TRUE(waits.peer.send(waits.call("wait", "", 1) + waits.call("wait", "", 2)));
    Speaker speaks(served.connected(),
            dialect_of(COIL_THRIFT_TRANSPORT_HEADER, COIL_THRIFT_PROTOCOL_COMPACT));
    const std::vector<coil_thrift_header> headers = {
            {coil_thrift_text_of("queue_timeout"), coil_thrift_text_of("10")}};
    Reply reply;
    EXPECT_TRUE(soon([&] {
        EXPECT_TRUE(speaks.peer.send(speaks.call("echo", "x", 1, headers)));
        reply = speaks.reply();
        return reply.exception == COIL_THRIFT_LOADSHEDDING;
    }));
    EXPECT_NE(std::string::npos, reply.headers.find("ex=1;")) << reply.headers;
}

/* What a client's window of 32 KiB has seen before, a server's of 1 KiB does not find again. */
TEST(PortWithZlib, HangsUpIfAReplyInTheMiddleOfTheStreamCannotBeSent)
{
    coil_thrift_limits limits = coil_thrift_limits_default;
    limits.frame_max = 10000;
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service}, [&](coil_thrift_server *server) { server->limits = &limits; });
    thrift_dialect dialect = dialect_of(COIL_THRIFT_TRANSPORT_FRAMED, COIL_THRIFT_PROTOCOL_BINARY);
    dialect.zlib_inside = true;
    Speaker speaks(served.connected(), dialect);
    std::mt19937 random(4711);
    std::string noise;
    while (noise.size() < 4985)
        noise += static_cast<char>(random());
    ASSERT_TRUE(speaks.peer.send(speaks.call("echo", noise, 1)));
    expect_text(speaks, 1, noise);
    ASSERT_TRUE(speaks.peer.send(speaks.call("echo", noise + noise, 2)));
    EXPECT_EQ(0, speaks.reply().type);
    EXPECT_TRUE(speaks.peer.at_end());
}

TEST(PortWithHttp, AnswersOthersThanThriftInWordsOfHttp)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service});
    Peer browser = served.connected();
    ASSERT_TRUE(browser.send("GET / HTTP/1.1\r\nHost: here\r\n\r\n"));
    EXPECT_EQ("HTTP/1.1 404", browser.receive(12));
    Peer poster = served.connected();
    ASSERT_TRUE(poster.send("POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nwhat"));
    EXPECT_EQ("HTTP/1.1 400", poster.receive(12));
}

TEST(PortWithHttp, GoesOnWhenTheClientAsksWhetherItMay)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service});
    Peer careful = served.connected();
    ASSERT_TRUE(careful.send("POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\n"
                             "Content-Length: 17\r\n\r\n"));
    EXPECT_EQ("HTTP/1.1 100", careful.receive(12));
    EXPECT_TRUE(careful.send(packet::message(1, "echo", 1) + packet::stop()));
    std::string answer;
    while (answer.find("HTTP/1.1 200") == std::string::npos && answer.size() < 500)
        answer += careful.receive(1);
    EXPECT_LT(answer.size(), 500u) << answer;
}

TEST(PortWithHttp, EndsTheConnectionWhenTheClientWantsItTo)
{
    coil_thrift_service service = {"Echo", methods, std::size(methods)};
    const Served served({&service});
    Peer brief = served.connected();
    const std::string call = packet::message(1, "echo", 1) + packet::stop();
    ASSERT_TRUE(
            brief.send("POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(call.size()) + "\r\n\r\n" + call));
    EXPECT_NE(std::string::npos, brief.receive(10000).find("HTTP/1.1 200"));
    EXPECT_EQ(0, brief.broken);
}

} // namespace
