/* SPDX-License-Identifier: MIT */
/* TLS with others: openssl s_client and s_server, nginx, and OpenSSL's own blocking streams. */
#include "child.h"
#include "peer.h"
#include "tls_authority.h"

#include <coil/tls.h>

#include <openssl/ssl.h>

#include <mutex>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* ---------------------------------------------------------------------------- our server -- */

struct Heard {
    std::mutex lock;
    std::vector<coil_tls_failure> failures;
    std::vector<int> errors;
    std::string version, protocol;
    int resumed_count = 0;
};

coil_tls_context *server_context;
Heard *heard;

void note(int rc, const coil_tls_failure &failure)
{
    const std::lock_guard<std::mutex> guard(heard->lock);
    heard->errors.push_back(rc);
    heard->failures.push_back(failure);
}

void note_facts(const coil_stream *stream)
{
    coil_tls_facts facts;
    const std::lock_guard<std::mutex> guard(heard->lock);
    EXPECT_EQ(0, coil_tls_facts_of(stream, &facts));
    heard->version = facts.version;
    heard->protocol = facts.protocol;
    heard->resumed_count += facts.is_resumed;
}

/* Says each line again, until "bye". */
async(int, answer, (coil_stream *) plain)
{
    vars(coil_stream *peer; coil_tls_failure failure; coil_slice line; int rc; bool is_over);
    my->peer = plain;
    defer(coil_stream_close(my->peer));
    await(my->rc, within(coil_s(10), coil_tls_accept(&my->peer, server_context, &my->failure)));
    if (my->rc < 0) {
        note(my->rc, my->failure);
        return 0;
    }
    note_facts(my->peer);
    defer(coil_slice_release(&my->line));
    while (!my->is_over) {
        await(my->line, coil_read_until(my->peer, '\n', 1000));
        if (my->line.size_bytes <= 0) {
            note(static_cast<int>(my->line.size_bytes), *coil_tls_failure_of(my->peer));
            return 0;
        }
        my->is_over = memcmp(my->line.bytes, "bye", 3) == 0;
        await(my->rc, coil_write_all(my->peer, my->line));
        coil_slice_release(&my->line);
    }
    ignore(coil_stream_shutdown(my->peer));
    return 0;
}

async(int, serve, (std::promise<uint16_t> *) at)
{
    vars(coil_listener *listener);
    EXPECT_EQ(0, coil_listen("127.0.0.1:0", nullptr, &my->listener));
    defer(coil_listener_close(my->listener));
    sockaddr_in socket;
    memcpy(&socket, &coil_listener_address(my->listener)->socket, sizeof(socket));
    at->set_value(ntohs(socket.sin_port));
    ignore(coil_serve(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

bool has_openssl()
{
    static const bool has = system("openssl version >/dev/null 2>&1") == 0;
    return has;
}

class TlsInterop : public testing::Test
{
protected:
    TlsInterop() : ca(authority().pem)
    {
        heard = &what_was_heard;
        coil_tls_options options = {};
        options.protocols = "h2,coil";
        server_context = Context::server(authority().issue(), options);
        client_context = Context::client(authority());
    }

    ~TlsInterop() override
    {
        loop.reset();
        coil_tls_context_destroy(server_context);
        coil_tls_context_destroy(client_context);
    }

    void SetUp() override
    {
        if (!has_openssl())
            GTEST_SKIP() << "there is no openssl(1)";
    }

    void start()
    {
        std::promise<uint16_t> at;
        loop = std::make_unique<LoopThread>([&](coil_group *root) { spawn(root, serve(&at)); });
        port = at.get_future().get();
    }

    std::string s_client(const std::string &more) const
    {
        return "openssl s_client -connect 127.0.0.1:" + std::to_string(port) +
               " -servername localhost -CAfile " + ca.path + " -verify_return_error " + more;
    }

    static bool soon_failed()
    {
        return soon([] {
            const std::lock_guard<std::mutex> guard(heard->lock);
            return !heard->errors.empty();
        });
    }

    static const Authority &authority()
    {
        static const Authority one("a test authority");
        return one;
    }

    TemporaryFile ca;
    Heard what_was_heard;
    coil_tls_context *client_context = nullptr;
    std::unique_ptr<LoopThread> loop;
    uint16_t port = 0;
};

/* -------------------------------------------------------------------------------- s_client -- */

TEST_F(TlsInterop, AnswersClientsOfEachVersion)
{
    start();
    for (const char *version : {"1_2", "1_3"}) {
        Child client(s_client(std::string("-alpn coil -quiet -tls") + version));
        client.say("hello\n");
        EXPECT_NE("", client.read_to("hello\n"));
        client.say("bye\n");
        const std::string text = client.read_to_end();
        EXPECT_EQ("bye\n", text);
        EXPECT_EQ("coil", heard->protocol);
        EXPECT_EQ(std::string("TLSv1.") + version[2], heard->version);
    }
    EXPECT_TRUE(heard->errors.empty());
}

TEST_F(TlsInterop, ResumesWhatAClientHasKept)
{
    start();
    const TemporaryFile session("");
    for (const char *option : {"-sess_out ", "-sess_in "}) {
        Child client(s_client(option + session.path));
        client.say("hello\n");
        client.read_to("hello\n");
        client.say("bye\n");
        client.read_to_end();
    }
    EXPECT_EQ(1, heard->resumed_count);
}

TEST_F(TlsInterop, FollowsNewKeys)
{
    start();
    Child client(s_client("-tls1_3"));
    client.read_to("Verify return code");
    for (int i = 0; i < 20; i++) {
        client.say("K\n"); /* Which asks for new keys of ours, too. */
        client.read_to("KEYUPDATE");
        client.say("line " + std::to_string(i) + "\n");
        EXPECT_NE("", client.read_to("line " + std::to_string(i) + "\n"));
    }
    client.say("bye\n");
    const std::string text = client.read_to_end();
    EXPECT_NE(std::string::npos, text.find("bye\n")) << text;
    EXPECT_TRUE(heard->errors.empty());
}

TEST_F(TlsInterop, EndsAConnectionThatWantsToRenegotiate)
{
    start();
    Child client(s_client("-tls1_2"));
    client.read_to("Verify return code");
    client.say("R\n");
    client.read_to_end();
    ASSERT_TRUE(soon_failed());
    EXPECT_EQ(-EPROTO, heard->errors[0]);
    EXPECT_STREQ(coil_tls_reason_text(COIL_TLS_RENEGOTIATION),
            coil_tls_reason_text(heard->failures[0].reason));
}

TEST_F(TlsInterop, RefusesAVersionOfLongAgo)
{
    start();
    Child client(s_client("-tls1_1 -cipher 'DEFAULT:@SECLEVEL=0'"));
    EXPECT_NE(std::string::npos, client.read_to_end().find("alert protocol version"));
    ASSERT_TRUE(soon_failed());
    EXPECT_EQ(-EPROTONOSUPPORT, heard->errors[0]);
    EXPECT_EQ(COIL_TLS_VERSION, heard->failures[0].reason);
}

TEST_F(TlsInterop, HearsAClientThatDoesNotTrustIt)
{
    start();
    const TemporaryFile other(Authority("somebody else").pem);
    Child client("openssl s_client -verify_return_error -CAfile " + other.path +
                 " -connect 127.0.0.1:" + std::to_string(port));
    client.read_to_end();
    ASSERT_TRUE(soon_failed());
    EXPECT_EQ(-EKEYREJECTED, heard->errors[0]);
    EXPECT_EQ(COIL_TLS_UNKNOWN_CA, heard->failures[0].reason);
    EXPECT_TRUE(heard->failures[0].is_peers);
}

/* OpenSSL on a blocking socket, which is then reset. */
TEST_F(TlsInterop, NamesAReset)
{
    start();
    Peer peer = Peer::connected(port);
    SSL_CTX *blank = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(blank);
    SSL_set_fd(ssl, peer.fd);
    EXPECT_EQ(1, SSL_connect(ssl));
    EXPECT_EQ(6, SSL_write(ssl, "hello\n", 6));
    char bytes[6];
    EXPECT_EQ(6, SSL_read(ssl, bytes, 6));
    const linger at_once = {1, 0};
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    peer.close();
    ASSERT_TRUE(soon_failed());
    EXPECT_EQ(-ECONNRESET, heard->errors[0]);
    EXPECT_EQ(COIL_TLS_TRANSPORT, heard->failures[0].reason);
    SSL_free(ssl);
    SSL_CTX_free(blank);
}

/* ------------------------------------------------------------------------------- our client -- */

struct Question {
    coil_tls_context *context;
    std::string address;
    std::string server_name = "localhost";
    std::string says = "";
    std::string heard = "";
    int rc = 1;
    int64_t end_rc = 1;
    coil_tls_failure failure = {};
};

async(int, ask, (Question *) question)
{
    vars(coil_stream *peer; coil_slice slice);
    await(my->peer, coil_connect(question->address.c_str()));
    question->rc = static_cast<int>(coil_pointer_error(my->peer));
    if (question->rc < 0)
        return question->rc;
    defer(coil_stream_close(my->peer));
    await(question->rc, coil_tls_connect(&my->peer, question->context,
                                question->server_name.c_str(), &question->failure));
    if (question->rc < 0)
        return question->rc;
    attempt(coil_write_all(my->peer, coil_text(question->says.c_str())));
    for (;;) {
        await(my->slice, coil_read_some(my->peer));
        question->end_rc = my->slice.size_bytes;
        if (question->end_rc <= 0)
            break;
        question->heard.append(my->slice.bytes, static_cast<size_t>(my->slice.size_bytes));
        coil_slice_release(&my->slice);
        if (question->heard.back() == '\n' && question->says.find("HTTP") == std::string::npos)
            break;
    }
    ignore(coil_stream_shutdown(my->peer));
    return 0;
}

TEST_F(TlsInterop, AsksServersOfEachVersion)
{
    const Issued issued = authority().issue();
    const TemporaryFile chain(issued.chain), key(issued.key);
    for (const char *version : {"-tls1_2", "-tls1_3"}) {
        Child server("openssl s_server -accept 127.0.0.1:0 -rev -cert " + chain.path + " -key " +
                     key.path + " " + version);
        server.read_to("ACCEPT 127.0.0.1:");
        const std::string at = std::to_string(std::stoi("0" + server.read_to("\n")));
        Question question = {client_context, "127.0.0.1:" + at};
        question.says = "hello\n";
        EXPECT_EQ(0, coil_run(within(coil_s(10), ask(&question)))) << question.failure.text;
        EXPECT_EQ("olleh\n", question.heard);
    }
}

TEST_F(TlsInterop, AsksNginx)
{
    if (system("nginx -v >/dev/null 2>&1") != 0)
        GTEST_SKIP() << "there is no nginx";
    const Issued issued = authority().issue();
    const TemporaryFile chain(issued.chain), key(issued.key);
    const uint16_t free_port = [] {
        const PeerListener one;
        return static_cast<uint16_t>(std::stoi(one.address.substr(one.address.find(':') + 1)));
    }();
    const TemporaryFile config(
            "daemon off; master_process off; error_log stderr; pid /dev/null;\n"
            "events {} http { access_log off;\n"
            "client_body_temp_path /tmp; proxy_temp_path /tmp;\n"
            "fastcgi_temp_path /tmp; uwsgi_temp_path /tmp; scgi_temp_path /tmp;\n"
            "server { listen 127.0.0.1:" +
            std::to_string(free_port) + " ssl;\nssl_certificate " + chain.path +
            "; ssl_certificate_key " + key.path +
            ";\nlocation / { return 200 'from nginx'; } } }\n");
    Child nginx("nginx -c " + config.path);
    Question question = {client_context, "127.0.0.1:" + std::to_string(free_port)};
    question.says = "GET / HTTP/1.0\r\n\r\n";
    EXPECT_TRUE(soon([&] { return coil_run(within(coil_s(10), ask(&question))) == 0; }))
            << question.failure.text << nginx.read_to("\n");
    EXPECT_NE(std::string::npos, question.heard.find("from nginx")) << question.heard;
    EXPECT_EQ(0, question.end_rc) << "it says that it has said everything";
    question.server_name = "example.org";
    EXPECT_EQ(-EKEYREJECTED, coil_run(within(coil_s(10), ask(&question))));
    EXPECT_EQ(COIL_TLS_WRONG_NAME, question.failure.reason);
}

} // namespace
