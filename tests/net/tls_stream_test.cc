/* SPDX-License-Identifier: MIT */
/* TLS on a stream that was used, on another TLS, with many writers; peers that speak no TLS. */
#include "tls_cast.h"

#include <coil/io.h>
#include <coil/relay.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <coil/sugar.h>

namespace
{

class TlsStream : public Tls
{
protected:
    TlsStream()
    {
        serve(authority().issue());
        trust(authority());
    }
};

/* ------------------------------------------------------------------------------- STARTTLS -- */

async(int, ask_for_tls, (Side *) side, (coil_stream *) plain)
{
    vars();
    EXPECT_FALSE(coil_tls_is_tls(plain));
    EXPECT_EQ(COIL_TLS_NO_FAILURE, coil_tls_failure_of(plain)->reason);
    attempt(coil_write_all(plain, coil_text("STARTTLS\n")));
    attempt(play(side, plain)); /* It says hello before it hears that it may. */
    return 0;
}

/* Line and hello come in one piece. */
async(int, offer_tls, (Side *) side, (coil_stream *) plain)
{
    vars(coil_slice line; coil_stream *stream);
    my->stream = plain;
    await(coil_sleep(coil_ms(10)));
    attempt(my->line, coil_read_until(plain, '\n', 100));
    EXPECT_EQ("STARTTLS\n", std::string(my->line.bytes, static_cast<size_t>(my->line.size_bytes)));
    coil_slice_release(&my->line);
    EXPECT_GT(coil_stream_unread(plain), 100u);
    attempt(play(side, plain));
    return 0;
}

async(int, upgrade, (Side *) client, (Side *) server)
{
    vars(coil_stream *one; coil_stream *other; coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    open_group(&my->group);
    spawn(&my->group, ask_for_tls(client, my->one));
    spawn(&my->group, offer_tls(server, my->other));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(TlsStream, BeginsWithWhatIsBuffered)
{
    client.says = "hello";
    server.hears = 5;
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), upgrade(&client, &server))));
    expect_success();
    EXPECT_EQ("hello", server.heard);
}

/* ----------------------------------------------------------------------------- TLS in TLS -- */

async(int, play_inside, (Side *) outer, (Side *) inner, (coil_stream *) plain)
{
    vars(coil_stream *stream);
    my->stream = plain;
    if (outer->server_name == nullptr) {
        await(outer->shaken, coil_tls_accept(&my->stream, outer->context, nullptr));
    } else {
        await(outer->shaken,
                coil_tls_connect(&my->stream, outer->context, outer->server_name, nullptr));
    }
    EXPECT_EQ(0, outer->shaken);
    attempt(play(inner, my->stream));
    return 0;
}

async(int, play_both_inside, (Side *) client, (Side *) server, (Side *) inner_client,
        (Side *) inner_server)
{
    vars(coil_stream *one; coil_stream *other; coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    open_group(&my->group);
    spawn(&my->group, play_inside(client, inner_client, my->one));
    spawn(&my->group, play_inside(server, inner_server, my->other));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(TlsStream, LiesOnAnother)
{
    Side inner_client = client;
    Side inner_server = server;
    inner_client.says.assign(500000, 'c');
    inner_server.says.assign(700000, 's');
    inner_client.hears = inner_server.says.size();
    inner_server.hears = inner_client.says.size();
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100),
                         play_both_inside(&client, &server, &inner_client, &inner_server))));
    EXPECT_EQ(0, inner_client.end_rc) << inner_client.failure.text;
    EXPECT_EQ(0, inner_server.end_rc) << inner_server.failure.text;
    EXPECT_TRUE(inner_client.heard == inner_server.says);
    EXPECT_TRUE(inner_server.heard == inner_client.says);
}

/* --------------------------------------------------------------------------------- writing -- */

async(int, write_lines, (coil_stream *) stream, (char) letter, (size_t) size)
{
    vars(int i; std::string * line; int rc);
    my->line = new std::string(std::string(size, letter) + "\n");
    defer(delete my->line);
    for (my->i = 0; my->i < 20; my->i++) {
        await(my->rc, coil_write_all(stream, coil_text(my->line->c_str())));
        EXPECT_EQ(0, my->rc);
    }
    return 0;
}

struct Pair {
    Side *client;
    Side *server;
    coil_stream *one = nullptr;
    coil_stream *other = nullptr;
};

async(int, connect_one, (Pair *) pair)
{
    vars();
    attempt(coil_tls_connect(&pair->one, pair->client->context, "localhost", nullptr));
    return 0;
}

async(int, accept_other, (Pair *) pair)
{
    vars();
    attempt(coil_tls_accept(&pair->other, pair->server->context, nullptr));
    return 0;
}

async(int, connect_pair, (Pair *) pair)
{
    vars(coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&pair->one, &pair->other));
    open_group(&my->group);
    spawn(&my->group, connect_one(pair));
    spawn(&my->group, accept_other(pair));
    attempt(coil_group_join(&my->group));
    return 0;
}

void close_pair(Pair *pair)
{
    coil_stream_close(pair->one);
    coil_stream_close(pair->other);
}

void expect_one_letter(const coil_slice &line)
{
    const std::string text(line.bytes, static_cast<size_t>(line.size_bytes));
    EXPECT_EQ(text.size() - 1, text.find_first_not_of(text[0])) << "a line of one writer";
}

async(int, read_lines, (coil_stream *) stream, (int) count)
{
    vars(coil_slice line; int i);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->line, coil_read_until(stream, '\n', 1000000));
        expect_one_letter(my->line);
        coil_slice_release(&my->line);
    }
    return 0;
}

async(int, write_together, (Pair *) pair)
{
    vars(coil_group group; char letter);
    defer(close_pair(pair));
    attempt(connect_pair(pair));
    open_group(&my->group);
    for (my->letter = 'a'; my->letter <= 'z'; my->letter++) {
        spawn(&my->group, write_lines(pair->one, my->letter,
                                  my->letter % 5 == 0 ? 100000 : static_cast<size_t>(my->letter)));
    }
    spawn(&my->group, read_lines(pair->other, 26 * 20));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(coil_stream_bytes_written(pair->one), coil_stream_bytes_read(pair->other));
    return 0;
}

TEST_F(TlsStream, KeepsTheWritesOfManyApart)
{
    Pair pair = {&client, &server};
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), write_together(&pair))));
}

async(int, write_much, (coil_stream *) stream, (std::string *) bytes, (int *) out_rc)
{
    vars();
    await(*out_rc, coil_write_all(stream, coil_bytes(bytes->data(), bytes->size())));
    return 0;
}

async(int, read_all, (coil_stream *) stream, (std::string *) bytes, (int64_t *) out_rc)
{
    vars(coil_slice slice);
    for (;;) {
        await(my->slice, coil_read_some(stream));
        *out_rc = my->slice.size_bytes;
        if (*out_rc <= 0)
            return 0;
        bytes->append(my->slice.bytes, static_cast<size_t>(*out_rc));
        coil_slice_release(&my->slice);
    }
}

struct Cut {
    Pair pair;
    std::string much = std::string(3000000, 'm');
    std::string line = "after it\n";
    std::string heard = "";
    int first = 1, second = 1, third = 1, shut = 1;
    int64_t end_rc = 1;
};

/* The first write is stuck in its middle; the second has not begun, and is given up first. */
async(int, give_up_writing, (Cut *) cut)
{
    vars(coil_group group; coil_task *first; coil_task *second);
    defer(close_pair(&cut->pair));
    attempt(connect_pair(&cut->pair));
    open_group(&my->group);
    my->first = spawn(&my->group, write_much(cut->pair.one, &cut->much, &cut->first));
    my->second = spawn(&my->group, write_much(cut->pair.one, &cut->line, &cut->second));
    spawn(&my->group, write_much(cut->pair.one, &cut->line, &cut->third));
    await(coil_sleep(coil_ms(10)));
    coil_task_cancel(my->second);
    await(coil_sleep(coil_ms(10)));
    EXPECT_EQ(1, cut->third) << "it waits";
    coil_task_cancel(my->first);
    attempt(coil_group_join(&my->group));
    await(cut->shut, coil_stream_shutdown(cut->pair.one));
    coil_stream_close(cut->pair.one);
    cut->pair.one = nullptr;
    attempt(read_all(cut->pair.other, &cut->heard, &cut->end_rc));
    return 0;
}

TEST_F(TlsStream, IsCutByAWriteThatIsCancelledInItsMiddle)
{
    Cut cut = {{&client, &server}};
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), give_up_writing(&cut))));
    EXPECT_EQ(1, cut.first) << "unwound";
    EXPECT_EQ(1, cut.second) << "unwound";
    EXPECT_EQ(-EPIPE, cut.third);
    EXPECT_EQ(-EPIPE, cut.shut);
    EXPECT_LT(cut.end_rc, 0) << "not as if that were the end";
    EXPECT_EQ(std::string::npos, cut.heard.find("after"));
}

/* -------------------------------------------------------------------------- peers of no TLS -- */

async(int, speak, (coil_stream *) plain, (std::string *) text)
{
    vars(std::string heard; int64_t rc);
    new (&my->heard) std::string;
    defer(my->heard.~basic_string());
    defer(coil_stream_close(plain));
    attempt(coil_write_all(plain, coil_bytes(text->data(), text->size())));
    attempt(coil_stream_shutdown(plain));
    attempt(read_all(plain, &my->heard, &my->rc));
    return 0;
}

async(int, meet_stranger, (Side *) side, (std::string *) text)
{
    vars(coil_stream *one; coil_stream *other; coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    open_group(&my->group);
    spawn(&my->group, speak(my->one, text));
    spawn(&my->group, play(side, my->other));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(TlsStream, NamesPeersThatSpeakSomethingElse)
{
    using Case = std::pair<std::string, coil_tls_reason>;
    for (auto &[text, reason] : std::vector<Case>{
                 {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", COIL_TLS_NOT_TLS},
                 {"CONNECT example.org:443 HTTP/1.1\r\n\r\n", COIL_TLS_NOT_TLS},
                 {"SSH-2.0-OpenSSH_9.2p1 something\r\n", COIL_TLS_NOT_TLS},
                 {std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10), COIL_TLS_MALFORMED},
                 {std::string("\x16\x03\x01\xff\xff\x01\x00\x00\x01\x00", 10), COIL_TLS_MALFORMED},
                 {"", COIL_TLS_TRUNCATED},
                 {"\x16", COIL_TLS_TRUNCATED},
         }) {
        server.failure = {};
        std::string says = text;
        EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), meet_stranger(&server, &says))));
        EXPECT_LT(server.shaken, 0);
        EXPECT_STREQ(coil_tls_reason_text(reason), coil_tls_reason_text(server.failure.reason))
                << text << ": " << server.failure.text;
    }
    std::string says = "220 mail.example.org ESMTP ready\r\n";
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), meet_stranger(&client, &says))));
    expect_failure(client, -EPROTO, COIL_TLS_NOT_TLS);
}

/* ---------------------------------------------------------------------------- under load -- */

async(int, come_again, (Side *) client, (Side *) server, (int) count)
{
    vars(int i; Side own_client; Side own_server);
    for (my->i = 0; my->i < count; my->i++) {
        new (&my->own_client) Side(*client);
        new (&my->own_server) Side(*server);
        attempt(play_both(&my->own_client, &my->own_server));
        EXPECT_EQ(0, my->own_client.shaken) << my->own_client.failure.text;
        EXPECT_EQ(0, my->own_server.end_rc) << my->own_server.failure.text;
        EXPECT_EQ(server->says, my->own_client.heard);
        my->own_client.~Side();
        my->own_server.~Side();
        await(coil_sleep(coil_us(300)));
    }
    return 0;
}

async(int, renew, (coil_tls_context *) context, (coil_tls_options *) options)
{
    vars(int i);
    for (my->i = 0; my->i < 20; my->i++) {
        EXPECT_EQ(0, coil_tls_context_reload(context, options, nullptr));
        await(coil_sleep(coil_ms(1)));
    }
    return 0;
}

async(int, renew_under_load, (Side *) client, (Side *) server, (coil_tls_options *) options)
{
    vars(coil_group group; int i);
    open_group(&my->group);
    for (my->i = 0; my->i < 10; my->i++)
        spawn(&my->group, come_again(client, server, 15));
    spawn(&my->group, renew(server->context, options));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(TlsStream, IsNotDisturbedByNewCertificates)
{
    const Issued next = authority().issue({"DNS:localhost", "next"});
    const coil_tls_certificate certificate = next.certificate();
    coil_tls_options options = {};
    options.certificates = &certificate;
    options.certificate_count = 1;
    server.says = std::string(20000, 's');
    client.hears = server.says.size();
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), renew_under_load(&client, &server, &options))));
    meet();
    EXPECT_EQ("CN = next", client.subject);
}

/* ---------------------------------------------------------------------------------- files -- */

/* A file that fails behind its first piece: our own memory, of which the rest is not readable. */
struct TornFile {
    TornFile()
    {
        memory = mmap(nullptr, static_cast<size_t>(2) * PIECE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(static_cast<char *>(memory) + PIECE, PIECE);
        fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    }

    ~TornFile()
    {
        munmap(memory, PIECE);
        close(fd);
    }

    static constexpr size_t PIECE = 64 * 1024;
    void *memory;
    int fd;
};

struct Torn {
    Pair *pair;
    const TornFile *file;
    std::string heard = "";
    int64_t end_rc = 1;
};

async(int, hear_all, (Torn *) torn)
{
    vars(coil_slice in);
    attempt(coil_tls_accept(&torn->pair->other, torn->pair->server->context, nullptr));
    for (;;) {
        await(my->in, coil_read_some(torn->pair->other));
        torn->end_rc = my->in.size_bytes;
        if (my->in.size_bytes <= 0)
            return 0;
        torn->heard.append(my->in.bytes, static_cast<size_t>(my->in.size_bytes));
        coil_slice_release(&my->in);
    }
}

async(int, send_torn_file, (Torn *) torn)
{
    vars(coil_group group; int64_t sent; int rc);

    EXPECT_EQ(0, coil_stream_pair(&torn->pair->one, &torn->pair->other));
    defer(coil_stream_close(torn->pair->other));
    defer(coil_stream_close(torn->pair->one));
    open_group(&my->group);
    spawn(&my->group, hear_all(torn));
    attempt(connect_one(torn->pair));
    await(my->sent, coil_send_file(torn->pair->one, torn->file->fd,
                            static_cast<off_t>(reinterpret_cast<intptr_t>(torn->file->memory)),
                            2 * TornFile::PIECE));
    EXPECT_EQ(-EIO, my->sent);
    await(my->rc, coil_write_all(torn->pair->one, coil_text("x")));
    EXPECT_EQ(-EPIPE, my->rc) << "it would be taken for the rest of the file";
    await(my->rc, coil_stream_shutdown(torn->pair->one));
    EXPECT_EQ(-EPIPE, my->rc) << "it is not the end";
    coil_stream_close(torn->pair->one);
    torn->pair->one = nullptr;
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(TlsStream, IsCutByAFileThatCannotBeSentToItsEnd)
{
    const TornFile file;
    Pair pair = {&client, &server};
    Torn torn = {&pair, &file};
    ASSERT_LE(0, file.fd);
    EXPECT_EQ(0, coil_run(within(coil_s(20), send_torn_file(&torn))));
    EXPECT_EQ(TornFile::PIECE, torn.heard.size());
    EXPECT_EQ(-ECONNABORTED, torn.end_rc) << "no close_notify";
}

} // namespace
