/* SPDX-License-Identifier: MIT */
/* Streams, datagrams and TLS with ncat(1), as its server and as its client. */
#include "child.h"
#include "peer.h"

#include <coil/datagram.h>
#include <coil/server.h>

#ifdef COIL_WITH_TLS
#include "tls_authority.h"
#endif

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* Each line again, turned round; and the end for an end. */
async(int, turn_lines, (coil_stream *) peer)
{
    vars(coil_slice line; std::string * turned);

    my->turned = new std::string;
    defer(delete my->turned);
    defer(coil_slice_release(&my->line));
    for (;;) {
        attempt(my->line, within(coil_s(10), coil_read_until(peer, '\n', 100000)));
        if (coil_slice_empty(&my->line))
            break;
        my->turned->assign(my->line.bytes, static_cast<size_t>(my->line.size_bytes - 1));
        std::reverse(my->turned->begin(), my->turned->end());
        my->turned->push_back('\n');
        coil_slice_release(&my->line);
        attempt(coil_write_all(peer, coil_bytes(my->turned->data(), my->turned->size())));
    }
    attempt(coil_stream_shutdown(peer));
    return 0;
}

/* What is served, where, and what of it a test wants to know. */
struct Service {
    std::vector<std::string> addresses = {"127.0.0.1:0"};
    std::promise<void> listening = {};
    std::vector<uint16_t> ports = {};
    uint16_t datagram_port = 0;
    std::atomic<int> failures{0};
#ifdef COIL_WITH_TLS
    coil_tls_context *tls = nullptr;
#endif
};

struct ServiceServer {
    coil_server server;
    Service *service;
};

async(int, serve_one, (coil_session *) session)
{
    vars(int rc; Service *service);
    my->service = coil_container_of(session->server, ServiceServer, server)->service;
#ifdef COIL_WITH_TLS
    if (my->service->tls != nullptr)
        attempt(within(coil_s(10), coil_tls_accept(&session->stream, my->service->tls, nullptr)));
#endif
    await(my->rc, turn_lines(session->stream));
    return my->rc == -ECONNABORTED ? 0 : my->rc; /* ncat ends TLS without close_notify. */
}

async(int, answer_datagrams, (coil_datagram_socket *) socket)
{
    vars(coil_datagram in);
    defer(coil_datagram_release(&my->in));
    for (;;) {
        attempt(coil_datagram_receive(socket, &my->in));
        attempt(coil_datagram_send(socket, &my->in.from, my->in.bytes));
        coil_datagram_release(&my->in);
    }
}

void note_failure(coil_server *server, const coil_session *session, int error)
{
    (void)session;
    ADD_FAILURE() << coil_error_text(error);
    coil_container_of(server, ServiceServer, server)->service->failures++;
}

int open_datagrams(coil_datagram_socket **out_socket)
{
    coil_datagram_options options = {};
    options.local = "127.0.0.1:0";
    return coil_datagram_open(&options, out_socket);
}

async(int, serve_all, (Service *) service)
{
    vars(ServiceServer server; coil_datagram_socket *datagrams; coil_group group; int rc);

    my->server.service = service;
    coil_server_init(&my->server.server, coil_handler(serve_one, coil_session *));
    defer(coil_server_fini(&my->server.server));
    my->server.server.on_failure = note_failure;
    for (const std::string &address : service->addresses) {
        my->rc = coil_server_listen(&my->server.server, address.c_str(), nullptr);
        EXPECT_EQ(0, my->rc) << address;
    }
    for (unsigned i = 0; i < service->addresses.size(); i++)
        service->ports.push_back(coil_address_port(coil_server_address(&my->server.server, i)));
    my->rc = open_datagrams(&my->datagrams);
    EXPECT_EQ(0, my->rc);
    defer(coil_datagram_close(my->datagrams));
    service->datagram_port = coil_address_port(coil_datagram_local(my->datagrams));
    open_group(&my->group);
    spawn(&my->group, answer_datagrams(my->datagrams));
    service->listening.set_value();
    attempt(coil_server_serve(&my->server.server));
    return 0;
}

class Ncat : public testing::Test
{
protected:
    void SetUp() override
    {
        if (!has_program("ncat"))
            GTEST_SKIP() << "there is no ncat(1)";
    }

    void serve()
    {
        loop = std::make_unique<LoopThread>(
                [this](coil_group *root) { spawn(root, serve_all(&service)); });
        service.listening.get_future().wait();
    }

    std::string to(unsigned index) const
    {
        return "127.0.0.1 " + std::to_string(service.ports[index]);
    }

    /* What it is told, and what it says then. */
    static std::string talk(const std::string &command, const std::string &words)
    {
        Child ncat(command);
        ncat.say(words);
        ncat.end_input();
        return ncat.read_to_end();
    }

    Service service;
    std::unique_ptr<LoopThread> loop;
};

TEST_F(Ncat, IsServed)
{
    serve();
    EXPECT_EQ("olleh\ndlrow\n", talk("ncat " + to(0), "hello\nworld\n"));
    Child ncat("ncat " + to(0));
    for (const char *line : {"one\n", "two\n", "three\n"}) {
        std::string turned(line);
        std::reverse(turned.begin(), turned.end() - 1);
        ncat.say(line);
        EXPECT_EQ(turned, ncat.read_to("\n"));
    }
}

TEST_F(Ncat, IsServedWhatIsLarge)
{
    serve();
    std::string words;
    for (int i = 0; i < 500; i++)
        words += std::string(99, static_cast<char>('a' + i % 26)) + "\n";
    EXPECT_EQ(words, talk("ncat " + to(0), words));
}

TEST_F(Ncat, IsServedAtAStarAndAtAPath)
{
    char name[] = "/tmp/coil-ncat-XXXXXX";
    const std::string directory = mkdtemp(name);
    service.addresses = {"*:0", "unix:" + directory + "/socket"};
    serve();
    EXPECT_EQ("ruof\n", talk("ncat -4 " + to(0), "four\n"));
    const int v6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (v6 >= 0) {
        close(v6);
        EXPECT_EQ("xis\n", talk("ncat -6 ::1 " + std::to_string(service.ports[0]), "six\n"));
    }
    EXPECT_EQ("htap\n", talk("ncat -U " + directory + "/socket", "path\n"));
    loop.reset();
    std::filesystem::remove_all(directory);
}

TEST_F(Ncat, IsAnsweredByDatagrams)
{
    serve();
    Child ncat("ncat -u 127.0.0.1 " + std::to_string(service.datagram_port));
    for (const char *line : {"one\n", "two\n", "three\n"}) {
        ncat.say(line);
        EXPECT_EQ(line, ncat.read_to("\n"));
    }
}

/* -------------------------------------------------------------------------------- our client -- */

struct Question {
    std::string address;
    std::string says;
    std::string heard = "";
    int connected = 1;
    int64_t end_rc = 1;
#ifdef COIL_WITH_TLS
    coil_tls_context *tls = nullptr;
    coil_tls_failure failure = {};
#endif
};

async(int, write_question, (Question *) question, (coil_stream *) stream)
{
    vars();
    attempt(coil_write_all(stream, coil_bytes(question->says.data(), question->says.size())));
    return 0;
}

async(int, ask, (Question *) question)
{
    vars(coil_stream *server; coil_group group; coil_slice in);

    await(my->server, coil_connect(question->address.c_str()));
    question->connected = coil_pointer_error(my->server);
    if (question->connected < 0)
        return question->connected;
    defer(coil_stream_close(my->server));
#ifdef COIL_WITH_TLS
    if (question->tls != nullptr)
        attempt(coil_tls_connect(&my->server, question->tls, "localhost", &question->failure));
#endif
    open_group(&my->group);
    spawn(&my->group, write_question(question, my->server));
    for (;;) {
        await(my->in, coil_read_some(my->server));
        if (my->in.size_bytes <= 0)
            break;
        question->heard.append(my->in.bytes, static_cast<size_t>(my->in.size_bytes));
        coil_slice_release(&my->in);
        if (question->heard.size() == question->says.size())
            attempt(coil_stream_shutdown(my->server)); /* With -e, ncat goes on no longer. */
    }
    question->end_rc = my->in.size_bytes;
    attempt(coil_group_join(&my->group));
    return 0;
}

/* It says where it listens only if it was told: until it is there, nobody answers. */
void ask_patiently(Question *question)
{
    EXPECT_TRUE(soon([&] {
        return coil_run(within(coil_s(10), ask(question))) == 0 || question->connected == 0;
    }));
}

uint16_t free_port()
{
    const PeerListener one;
    return static_cast<uint16_t>(std::stoi(one.address.substr(one.address.find(':') + 1)));
}

/* With -e, ncat hears nothing of the program while that does not read: what fits into a pipe. */
enum { FEW_BYTES = 30000 };

TEST_F(Ncat, Serves)
{
    const std::string port = std::to_string(free_port());
    Child ncat("ncat -k -l 127.0.0.1 " + port + " -e /bin/cat");
    Question question = {"127.0.0.1:" + port, std::string(FEW_BYTES, 'x')};
    ask_patiently(&question);
    EXPECT_TRUE(question.says == question.heard);
    EXPECT_EQ(0, question.end_rc);
}

TEST_F(Ncat, ServesAtAPath)
{
    char name[] = "/tmp/coil-ncat-XXXXXX";
    const std::string directory = mkdtemp(name);
    {
        Child ncat("ncat -k -l -U " + directory + "/socket -e /bin/cat");
        Question question = {"unix:" + directory + "/socket", "hello"};
        ask_patiently(&question);
        EXPECT_EQ("hello", question.heard);
        EXPECT_EQ(0, question.end_rc);
    }
    std::filesystem::remove_all(directory);
}

/* Killed in the middle of a conversation. */
TEST_F(Ncat, MayGo)
{
    const std::string port = std::to_string(free_port());
    auto ncat = std::make_unique<Child>("ncat -l 127.0.0.1 " + port);
    Question question = {"127.0.0.1:" + port, "hello"};
    const Thread killer([&] {
        EXPECT_TRUE(soon([&] { return question.connected == 0; }));
        ncat.reset();
    });
    ask_patiently(&question);
    EXPECT_LE(question.end_rc, 0);
    EXPECT_EQ("", question.heard);
}

#ifdef COIL_WITH_TLS

TEST_F(Ncat, IsServedByTls)
{
    const Authority authority("a test authority");
    const TemporaryFile ca(authority.pem);
    service.tls = Context::server(authority.issue(), {});
    serve();
    const std::string ssl = "ncat --ssl-verify --ssl-trustfile " + ca.path + " ";
    const std::string port = std::to_string(service.ports[0]);
    EXPECT_EQ("olleh\n", talk(ssl + "localhost " + port, "hello\n"));
    loop.reset();
    coil_tls_context_destroy(service.tls);
}

TEST_F(Ncat, ServesByTls)
{
    const Authority authority("a test authority");
    const Issued issued = authority.issue();
    const TemporaryFile chain(issued.chain), key(issued.key);
    const std::string port = std::to_string(free_port());
    Child ncat("ncat -k -l 127.0.0.1 " + port + " --ssl --ssl-cert " + chain.path + " --ssl-key " +
               key.path + " -e /bin/cat");
    Question question = {"127.0.0.1:" + port, std::string(FEW_BYTES, 'x')};
    question.tls = Context::client(authority);
    ask_patiently(&question);
    EXPECT_EQ(question.says.size(), question.heard.size()) << question.failure.text;
    coil_tls_context_destroy(question.tls);
}

#endif

} // namespace
