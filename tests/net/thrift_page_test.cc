/* SPDX-License-Identifier: MIT */
/* GET /metrics on a Thrift server's port: by hand, and by curl. */
#include "served.h"

#include <cstdio>

namespace
{

async(int, echo, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &my->text);
    }
    if (coil_thrift_text_is(my->text, "later"))
        await(coil_sleep(coil_ms(20)));
    coil_thrift_put_string(coil_thrift_reply(call), 0, my->text);
    return 0;
}

const coil_thrift_method methods[] = {{"echo", coil_handler(echo, coil_thrift_call *), nullptr}};

struct Response {
    int status = 0;
    std::string head;
    std::string body;
};

std::string request(const std::string &method, const std::string &target)
{
    return method + " " + target + " HTTP/1.1\r\nHost: here\r\n\r\n";
}

std::string call_echo(const std::string &text)
{
    const std::string call = packet::message(1, "echo", 1) + packet::field(11, 1) +
                             packet::text(text) + packet::stop();
    return "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: " + std::to_string(call.size()) +
           "\r\n\r\n" + call;
}

Response receive(Peer *peer, bool has_body = true)
{
    Response response;

    while (response.head.find("\r\n\r\n") == std::string::npos) {
        const std::string letter = peer->receive(1);
        if (letter.empty())
            return response;
        response.head += letter;
    }
    response.status = std::stoi(response.head.substr(9, 3));
    const size_t length = response.head.find("Content-Length:");
    if (has_body && length != std::string::npos)
        response.body = peer->receive(std::stoul(response.head.substr(length + 15)));
    return response;
}

Response get(Peer *peer, const std::string &target, const std::string &method = "GET")
{
    EXPECT_TRUE(peer->send(request(method, target)));
    return receive(peer, method != "HEAD");
}

bool contains(const std::string &text, const std::string &piece)
{
    return text.find(piece) != std::string::npos;
}

class Page : public testing::Test
{
protected:
    coil_thrift_service service = {"Echo", methods, 1};
};

TEST_F(Page, SaysWhatIsMeasured)
{
    const Served served({&service});
    Peer peer = served.connected();
    ASSERT_TRUE(peer.send(call_echo("one")));
    EXPECT_TRUE(contains(receive(&peer).body, "one"));
    const Response page = get(&peer, "/metrics");
    EXPECT_EQ(200, page.status);
    EXPECT_TRUE(contains(page.head, "Content-Type: application/openmetrics-text; version=1.0.0"));
    EXPECT_TRUE(contains(page.body, "thrift_num_calls_total{service=\"Echo\",method=\"echo\"} 1\n"))
            << page.body;
    EXPECT_TRUE(contains(page.body, "thrift_current_connections 1\n"));
    EXPECT_EQ("# EOF\n", page.body.substr(page.body.size() - 6));
    EXPECT_EQ(200, get(&peer, "/metrics?name=any").status);
}

TEST_F(Page, IsNoCall)
{
    Served served({&service});
    Peer peer = served.connected();
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(200, get(&peer, "/metrics").status);
    EXPECT_TRUE(contains(get(&peer, "/metrics").body, "thrift_unknown_calls_total 0\n"));
    served.stop();
    EXPECT_EQ(0u, served.server.stats.calls);
    EXPECT_EQ(0u, served.server.stats.exceptions);
    EXPECT_EQ(0u, served.server.stats.protocol_errors);
}

TEST_F(Page, HasAHead)
{
    const Served served({&service});
    Peer peer = served.connected();
    const Response head = get(&peer, "/metrics", "HEAD");
    EXPECT_EQ(200, head.status);
    EXPECT_FALSE(contains(head.head, "Content-Length: 0\r\n"));
    EXPECT_EQ(404, get(&peer, "/", "HEAD").status);
    EXPECT_EQ(200, get(&peer, "/metrics").status); /* Nothing was sent behind the heads. */
}

TEST_F(Page, IsTheOnlyOne)
{
    const Served served({&service});
    Peer peer = served.connected();
    for (const char *target : {"/", "/metric", "/metrics/", "/metrics2", "*", "/../metrics"})
        EXPECT_EQ(404, get(&peer, target).status) << target;
    for (const char *method : {"PUT", "DELETE", "OPTIONS", "PATCH"})
        EXPECT_EQ(405, get(&peer, "/metrics", method).status) << method;
    ASSERT_TRUE(peer.send(call_echo("still")));
    EXPECT_TRUE(contains(receive(&peer).body, "still"));
}

TEST_F(Page, KeepsItsPlaceAmongReplies)
{
    const Served served({&service});
    Peer peer = served.connected();
    ASSERT_TRUE(peer.send(call_echo("later") + request("GET", "/metrics") + call_echo("now")));
    EXPECT_TRUE(contains(receive(&peer).body, "later"));
    EXPECT_TRUE(contains(receive(&peer).body, "# EOF"));
    EXPECT_TRUE(contains(receive(&peer).body, "now"));
}

TEST_F(Page, EndsTheConnectionWhereHttpWantsIt)
{
    const Served served({&service});
    Peer brief = served.connected();
    ASSERT_TRUE(brief.send("GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"));
    EXPECT_TRUE(contains(receive(&brief).head, "Connection: close\r\n"));
    EXPECT_EQ("", brief.receive(1));
    EXPECT_EQ(0, brief.broken);
    Peer old = served.connected();
    ASSERT_TRUE(old.send("GET /metrics HTTP/1.0\r\n\r\n"));
    EXPECT_EQ(200, receive(&old).status);
    EXPECT_EQ("", old.receive(1));
}

TEST_F(Page, IsUnavailableWhereThereIsNoRoomForIt)
{
    const Served served({&service}, [](coil_thrift_server *server) { server->arena_max = 100; });
    Peer peer = served.connected();
    EXPECT_EQ(503, get(&peer, "/metrics").status);
    ASSERT_TRUE(peer.send("GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"));
    const Response last = receive(&peer);
    EXPECT_EQ(503, last.status);
    EXPECT_TRUE(contains(last.head, "\r\nConnection: close\r\n"));
    EXPECT_TRUE(contains(last.head, "\r\nDate: ")) << last.head;
    EXPECT_EQ("", peer.receive(1));
}

TEST_F(Page, DoesNotKeepOthersWaitingForOneWhoDoesNotRead)
{
    Served served({&service}, [](coil_thrift_server *server) {
        server->connection_unsent_max = 16 * 1024;
        server->reply_limit = coil_ms(100);
    });
    Peer greedy = served.connected();
    std::string many;
    for (int i = 0; i < 50000; i++)
        many += request("GET", "/metrics");
    (void)greedy.send(many); /* It is not read any more, and then not listened to. */
    Peer other = served.connected();
    EXPECT_EQ(200, get(&other, "/metrics").status);
}

TEST_F(Page, MayBeSwitchedOff)
{
    const Served without_pages(
            {&service}, [](coil_thrift_server *server) { server->without_pages = true; });
    const Served without_fb303(
            {&service}, [](coil_thrift_server *server) { server->without_fb303 = true; });
    for (const Served *served : {&without_pages, &without_fb303}) {
        Peer peer = served->connected();
        EXPECT_EQ(405, get(&peer, "/metrics").status);
        EXPECT_EQ("", peer.receive(1));
    }
}

std::string output_of(const std::string &command)
{
    std::string output;
    FILE *pipe = popen(command.c_str(), "r");
    if (pipe == nullptr)
        return output;
    for (int letter; (letter = fgetc(pipe)) != EOF;)
        output += static_cast<char>(letter);
    return pclose(pipe) == 0 ? output : "failed: " + output;
}

TEST_F(Page, IsWhatCurlFetches)
{
    if (system("curl --version >/dev/null 2>&1") != 0)
        GTEST_SKIP() << "there is no curl";
    const Served served({&service});
    const std::string curl = "curl --silent --noproxy '*' --max-time 10 ";
    const std::string url = "http://" + served.address;
    EXPECT_TRUE(contains(output_of(curl + "--fail " + url + "/metrics"), "# EOF\n"));
    EXPECT_TRUE(contains(output_of(curl + "--head " + url + "/metrics"), "HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ("404", output_of(curl + "--output /dev/null --write-out '%{http_code}' " + url));
    EXPECT_TRUE(contains(output_of(curl + "--http1.0 " + url + "/metrics"), "# EOF\n"));
    const std::string twice =
            output_of(curl + "--write-out '%{num_connects} ' --output /dev/null " + url +
                      "/metrics --output /dev/null " + url + "/metrics");
    EXPECT_EQ("1 0 ", twice); /* One connection. */
}

} // namespace
