/* SPDX-License-Identifier: MIT */
/*
 * Peers that mean harm to TLS: they speak it, as OpenSSL does on a blocking socket, and then do
 * what no honest peer does. Each has the error that names it, and the others keep their service.
 */
#include "peer.h"
#include "tls_authority.h"

#include <openssl/ssl.h>

#include <malloc.h>

#include <atomic>
#include <mutex>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* ---------------------------------------------------------------------------- our server -- */

struct Ending {
    int rc;
    coil_tls_failure failure;
};

/* Says each line again, until it is told to stop. */
struct Service {
    coil_tls_context *context = nullptr;
    coil_duration limit = coil_s(10); /* Of a handshake. */
    std::promise<uint16_t> listening;
    std::atomic<int> secured_count{0};
    std::promise<void> *read_by = nullptr; /* Is told of a line; the answer waits for a reset. */
    std::mutex lock;
    std::vector<Ending> endings;

    void end(int rc, const coil_tls_failure &failure)
    {
        const std::lock_guard<std::mutex> guard(lock);
        endings.push_back({rc, failure});
    }

    size_t ended_count()
    {
        const std::lock_guard<std::mutex> guard(lock);
        return endings.size();
    }
};

Service *service;

/* Nothing of it is seen by the ring, as long as the loop waits here. */
void await_reset(coil_stream *peer, std::promise<void> *read_by)
{
    pollfd reset = {coil_stream_fd(peer), 0, 0};
    read_by->set_value();
    EXPECT_EQ(1, poll(&reset, 1, PATIENCE_MS));
}

async(int, answer, (coil_stream *) plain)
{
    vars(coil_stream *peer; coil_tls_failure failure; coil_slice line; int rc);
    my->peer = plain;
    defer(coil_stream_close(my->peer));
    await(my->rc,
            within(service->limit, coil_tls_accept(&my->peer, service->context, &my->failure)));
    if (my->rc < 0) {
        service->end(my->rc, my->failure);
        return 0;
    }
    service->secured_count++;
    for (;;) {
        await(my->line, coil_read_until(my->peer, '\n', 1000));
        if (my->line.size_bytes <= 0)
            break;
        if (service->read_by != nullptr)
            await_reset(my->peer, service->read_by);
        await(my->rc, coil_write_all(my->peer, my->line));
        coil_slice_release(&my->line);
    }
    service->end(static_cast<int>(my->line.size_bytes), *coil_tls_failure_of(my->peer));
    return 0;
}

async(int, serve, (Service *) self)
{
    vars(coil_listener *listener);
    EXPECT_EQ(0, coil_listen("127.0.0.1:0", nullptr, &my->listener));
    defer(coil_listener_close(my->listener));
    self->listening.set_value(coil_address_port(coil_listener_address(my->listener)));
    ignore(coil_serve(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

/* ------------------------------------------------------------------------------- the peer -- */

/* OpenSSL on a blocking socket. */
class TlsPeer
{
public:
    explicit TlsPeer(uint16_t port, int newest = TLS1_3_VERSION, int receive_bytes = 0)
        : peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
          context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free)
    {
        if (receive_bytes > 0)
            setsockopt(peer.fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, connect(peer.fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
        SSL_CTX_set_max_proto_version(context.get(), newest);
        ssl = {SSL_new(context.get()), SSL_free};
        SSL_set_fd(ssl.get(), peer.fd);
        EXPECT_EQ(1, SSL_connect(ssl.get()));
    }

    ~TlsPeer()
    {
        ERR_clear_error();
    }

    bool is_answered() const
    {
        char bytes[6];
        return SSL_write(ssl.get(), "hello\n", 6) == 6 && SSL_read(ssl.get(), bytes, 6) == 6 &&
               memcmp(bytes, "hello\n", 6) == 0;
    }

    Peer peer;
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX *)> context;
    std::unique_ptr<SSL, void (*)(SSL *)> ssl{nullptr, SSL_free};
};

class TlsAttack : public testing::Test
{
protected:
    TlsAttack()
    {
        signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets as if they were files. */
        service = &self;
        self.context = Context::server(authority().issue());
    }

    ~TlsAttack() override
    {
        loop.reset();
        coil_tls_context_destroy(self.context);
    }

    void start()
    {
        loop = std::make_unique<LoopThread>([&](coil_group *root) { spawn(root, serve(&self)); });
        port = self.listening.get_future().get();
    }

    void expect_ending(int rc, coil_tls_reason reason)
    {
        ASSERT_TRUE(soon([&] { return self.ended_count() > 0; }));
        EXPECT_EQ(rc, self.endings[0].rc) << coil_error_name(self.endings[0].rc);
        EXPECT_STREQ(
                coil_tls_reason_text(reason), coil_tls_reason_text(self.endings[0].failure.reason))
                << self.endings[0].failure.text;
        self.endings.clear();
    }

    static const Authority &authority()
    {
        static const Authority one("a test authority");
        return one;
    }

    Service self;
    std::unique_ptr<LoopThread> loop;
    uint16_t port = 0;
};

/* -------------------------------------------------------------------------------- attacks -- */

/* Each of them wants an answer, and none is ever read. */
TEST_F(TlsAttack, OfNewKeysWithoutEndIsEnded)
{
    start();
    const TlsPeer honest(port);
    TlsPeer hostile(port, TLS1_3_VERSION, 4096);
    ASSERT_TRUE(hostile.is_answered());
    const size_t before = mallinfo2().uordblks;
    int count = 0;
    while (self.ended_count() == 0 && count < 1000000) {
        if (SSL_key_update(hostile.ssl.get(), SSL_KEY_UPDATE_REQUESTED) != 1 ||
                SSL_do_handshake(hostile.ssl.get()) != 1)
            break;
        count++;
    }
    const size_t after = mallinfo2().uordblks;
    expect_ending(-ENOBUFS, COIL_TLS_TRANSPORT);
    EXPECT_TRUE(honest.is_answered());
    EXPECT_LT(after, before + 4000000) << "after " << count;
    printf("%d new keys\n", count);
}

/* Whatever lies between the records of a connection is not read as if it belonged there. */
TEST_F(TlsAttack, ByBytesBetweenTheRecordsIsNamed)
{
    start();
    const TlsPeer honest(port);
    const std::string record("\x17\x03\x03\x00\x20", 5);
    for (const std::string &junk : {
                 record + std::string(32, 'x'),                  /* Nobody has sealed it. */
                 std::string("\x17\x03\x03\x00\x00", 5),         /* Not even a seal. */
                 std::string("\x17\x03\x03\xff\xff", 5),         /* Longer than any. */
                 std::string("\x15\x03\x03\x00\x02\x01\x00", 7), /* The end, says whoever. */
                 std::string("\x15\x03\x03\x00\x02\x02\x28", 7), /* An error, says whoever. */
                 std::string("\x16\x03\x03\x00\x04\x00\x00\x00\x00", 9), /* Renegotiate! */
                 std::string("\x99\x03\x03\x00\x01\x00", 6),
         }) {
        for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            TlsPeer hostile(port, version);
            ASSERT_TRUE(hostile.is_answered());
            hostile.peer.send(junk);
            hostile.peer.end();
            ASSERT_TRUE(soon([&] { return self.ended_count() > 0; }));
            const Ending &ending = self.endings[0];
            EXPECT_EQ(-EPROTO, ending.rc) << ending.failure.text << " " << version;
            EXPECT_EQ(COIL_TLS_MALFORMED, ending.failure.reason) << ending.failure.text;
            EXPECT_FALSE(ending.failure.is_peers) << ending.failure.text;
            self.endings.clear();
        }
    }
    std::string clear_text = "GET / HTTP/1.1\r\n\r\n";
    TlsPeer confused(port);
    confused.peer.send(clear_text);
    expect_ending(-EPROTO, COIL_TLS_NOT_TLS);
    EXPECT_TRUE(honest.is_answered());
}

/* What a first message says of its size is not believed. */
TEST_F(TlsAttack, ByAHelloOfManyMegabytesIsNamed)
{
    start();
    const size_t before = mallinfo2().uordblks;
    std::vector<Peer> hostile;
    for (int i = 0; i < 50; i++) {
        hostile.push_back(Peer::connected(port));
        hostile.back().send(
                std::string("\x16\x03\x01\x40\x00\x01\xff\xff\xff", 9) + std::string(16380, 'x'));
    }
    ASSERT_TRUE(soon([&] { return self.ended_count() == 50; }));
    for (const Ending &ending : self.endings) {
        EXPECT_EQ(-EPROTO, ending.rc);
        EXPECT_EQ(COIL_TLS_MALFORMED, ending.failure.reason) << ending.failure.text;
    }
    EXPECT_LT(mallinfo2().uordblks, before + 4000000);
}

TEST_F(TlsAttack, ByWarningsWithoutEndIsNamed)
{
    start();
    Peer hostile = Peer::connected(port);
    for (int i = 0; i < 100; i++)
        hostile.send(std::string("\x15\x03\x01\x00\x02\x01\x5a", 7));
    ASSERT_TRUE(soon([&] { return self.ended_count() > 0; }));
    EXPECT_EQ(-EPROTO, self.endings[0].rc);
    EXPECT_EQ(COIL_TLS_MALFORMED, self.endings[0].failure.reason) << self.endings[0].failure.text;
}

/* A byte now and then, and no more than a part of a handshake: until the limit, whatever comes. */
TEST_F(TlsAttack, ByManyWhoNeverFinishTheirHandshakeEndsAtItsLimit)
{
    enum { COUNT = 200 };
    self.limit = coil_ms(1500);
    start();
    const TlsPeer honest(port);
    std::vector<Peer> hostile;
    const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    for (int i = 0; i < COUNT; i++) {
        hostile.push_back(Peer::connected(port));
        hostile.back().send(hello.substr(0, static_cast<size_t>(i) % hello.size()));
    }
    EXPECT_TRUE(soon([&] {
        for (Peer &peer : hostile)
            (void)::send(peer.fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        EXPECT_TRUE(honest.is_answered());
        return self.ended_count() == COUNT;
    }));
    for (const Ending &ending : self.endings)
        EXPECT_TRUE(ending.rc == -ETIME || ending.rc == -EPROTO) << coil_error_name(ending.rc);
    EXPECT_TRUE(honest.is_answered());
}

/* Without a word, an end is told from the end. */
TEST_F(TlsAttack, ByCuttingTheConnectionIsNotTakenForItsEnd)
{
    start();
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsPeer cut(port, version);
        ASSERT_TRUE(cut.is_answered());
        cut.peer.end();
        expect_ending(-ECONNABORTED, COIL_TLS_TRUNCATED);
    }
    TlsPeer cut(port);
    ASSERT_TRUE(cut.is_answered());
    cut.peer.send(std::string("\x17\x03\x03\x00\x20xxxx", 9)); /* In the middle of a record. */
    cut.peer.end();
    expect_ending(-ECONNABORTED, COIL_TLS_TRUNCATED);
}

/* What a client says until it has said `most_bytes`, carried by hand to a blocking socket. */
class CarriedClient
{
public:
    CarriedClient() : context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free)
    {
        ssl = {SSL_new(context.get()), SSL_free};
        SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl.get());
    }

    ~CarriedClient()
    {
        ERR_clear_error();
    }

    /* How much that was. Fewer: its handshake is done, and it has said a line. */
    size_t talk(Peer *peer, size_t most_bytes)
    {
        size_t said_bytes = 0;
        for (;;) {
            const bool is_done = SSL_do_handshake(ssl.get()) == 1;
            if (is_done)
                SSL_write(ssl.get(), "hello\n", 6);
            const std::string said = take(most_bytes - said_bytes);
            peer->send(said);
            said_bytes += said.size();
            char bytes[4096];
            ssize_t count = 0;
            if (is_done || said_bytes == most_bytes ||
                    (count = recv(peer->fd, bytes, sizeof(bytes), 0)) <= 0)
                return said_bytes;
            BIO_write(SSL_get_rbio(ssl.get()), bytes, static_cast<int>(count));
        }
    }

private:
    std::string take(size_t most_bytes) const
    {
        std::string bytes(most_bytes, '\0');
        const int count =
                BIO_read(SSL_get_wbio(ssl.get()), bytes.data(), static_cast<int>(bytes.size()));
        bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
        return bytes;
    }

    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX *)> context;
    std::unique_ptr<SSL, void (*)(SSL *)> ssl{nullptr, SSL_free};
};

/* By RST behind any byte of a handshake and of what follows. COIL_LONG: behind each of them. */
TEST_F(TlsAttack, ByResettingTheConnectionIsNamedWhereverThatIs)
{
    start();
    const TlsPeer honest(port);
    const linger now = {1, 0};
    size_t whole_bytes = 0;
    {
        Peer peer = Peer::connected(port);
        whole_bytes = CarriedClient().talk(&peer, 100000);
        EXPECT_LT(300u, whole_bytes);
    }
    ASSERT_TRUE(soon([&] { return self.ended_count() == 1; }));
    self.endings.clear();
    const size_t step_part = getenv("COIL_LONG") == nullptr ? 20 : SIZE_MAX;
    for (size_t at = 0; at < whole_bytes; at += 1 + at / step_part) {
        Peer peer = Peer::connected(port);
        EXPECT_EQ(at, CarriedClient().talk(&peer, at));
        setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        peer.close();
        ASSERT_TRUE(soon([&] { return self.ended_count() == 1; })) << at;
        const Ending &ending = self.endings[0];
        EXPECT_EQ(-ECONNRESET, ending.rc) << at << " " << ending.failure.text;
        EXPECT_EQ(COIL_TLS_TRANSPORT, ending.failure.reason) << at << " " << ending.failure.text;
        self.endings.clear();
    }
    EXPECT_TRUE(honest.is_answered());
}

/* The kernel tells it once: the write is told, and the read behind it sees the end. */
TEST_F(TlsAttack, ByResettingTheConnectionIsNamedIfAWriteMeetsIt)
{
    std::promise<void> has_read;
    self.read_by = &has_read;
    start();
    const linger now = {1, 0};
    TlsPeer hostile(port);
    EXPECT_EQ(6, SSL_write(hostile.ssl.get(), "hello\n", 6));
    has_read.get_future().wait();
    setsockopt(hostile.peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    hostile.peer.close();
    expect_ending(-ECONNRESET, COIL_TLS_TRANSPORT);
}

/* --------------------------------------------------------------------------- hostile servers -- */

struct Question {
    coil_tls_context *context;
    std::string address;
    int rc = 1;
    int64_t end_rc = 1;
    coil_tls_failure failure = {};
};

async(int, ask, (Question *) question)
{
    vars(coil_stream *peer; coil_slice slice);
    attempt(my->peer, coil_connect(question->address.c_str()));
    defer(coil_stream_close(my->peer));
    await(question->rc,
            coil_tls_connect(&my->peer, question->context, "localhost", &question->failure));
    if (question->rc < 0)
        return 0;
    do {
        coil_slice_release(&my->slice);
        await(my->slice, coil_read_some(my->peer));
    } while (my->slice.size_bytes > 0);
    question->end_rc = my->slice.size_bytes;
    question->failure = *coil_tls_failure_of(my->peer);
    return 0;
}

/* OpenSSL as a server of one connection, which then does `harm`. */
Question ask_hostile(
        const Authority &authority, int version, const std::function<void(SSL *)> &harm)
{
    const Issued issued = authority.issue();
    const TemporaryFile chain(issued.chain), key(issued.key);
    const PeerListener listener;
    const Thread server([&] {
        SSL_CTX *context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_max_proto_version(context, version);
        SSL_CTX_use_certificate_chain_file(context, chain.path.c_str());
        SSL_CTX_use_PrivateKey_file(context, key.path.c_str(), SSL_FILETYPE_PEM);
        const Peer peer = listener.accepted();
        SSL *ssl = SSL_new(context);
        SSL_set_fd(ssl, peer.fd);
        if (SSL_accept(ssl) == 1)
            harm(ssl);
        SSL_free(ssl);
        SSL_CTX_free(context);
        ERR_clear_error();
    });
    Question question = {Context::client(authority), listener.address};
    EXPECT_EQ(0, coil_run(within(coil_s(10), ask(&question))));
    coil_tls_context_destroy(question.context);
    return question;
}

TEST_F(TlsAttack, OfAServerThatWantsToRenegotiateIsNamed)
{
    const Question question = ask_hostile(authority(), TLS1_2_VERSION, [](SSL *ssl) {
        char byte;
        SSL_renegotiate(ssl);
        SSL_do_handshake(ssl);
        (void)SSL_read(ssl, &byte, 1);
    });
    EXPECT_EQ(0, question.rc) << question.failure.text;
    EXPECT_EQ(-EPROTO, question.end_rc);
    EXPECT_EQ(COIL_TLS_RENEGOTIATION, question.failure.reason) << question.failure.text;
}

/* Tickets are remembered: a few. */
TEST_F(TlsAttack, OfAServerThatGivesTicketsWithoutEndFillsNothing)
{
    const size_t before = mallinfo2().uordblks;
    const Question question = ask_hostile(authority(), TLS1_3_VERSION, [](SSL *ssl) {
        for (int i = 0; i < 2000; i++) {
            SSL_new_session_ticket(ssl);
            SSL_do_handshake(ssl);
        }
        SSL_write(ssl, "x", 1);
        SSL_shutdown(ssl);
    });
    EXPECT_EQ(0, question.rc) << question.failure.text;
    EXPECT_EQ(0, question.end_rc) << question.failure.text;
    EXPECT_LT(mallinfo2().uordblks, before + 1000000);
}

} // namespace
