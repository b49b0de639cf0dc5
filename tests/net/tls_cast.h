/* SPDX-License-Identifier: MIT */
/*
 * The two sides of a TLS connection, both ours and on one loop, whose clock jumps.
 */
#ifndef TLS_CAST_H
#define TLS_CAST_H

#include "at_once.h"
#include "tls_authority.h"

#include <coil/tls.h>

#include <vector>

namespace
{

/* ------------------------------------------------------------------------------- the cast -- */

/* What one side of a connection is to do once hands have been shaken, and what came of it all. */
struct Side {
    coil_tls_context *context = nullptr;
    const char *server_name = "localhost";
    std::string says = "";
    size_t hears = 0; /* So many bytes are read. */
    bool shuts_down = true;
    bool reads_end = true;
    coil_duration limit = coil_s(50);      /* Of the handshake. */
    coil_duration patience = COIL_FOREVER; /* Of each read, which is then done again. */

    int shaken = 1;
    coil_tls_failure failure = {};
    std::string heard = "";
    int64_t said_rc = 1;
    int64_t end_rc = 1;
    coil_tls_facts facts = {};
    std::string version = "", cipher = "", protocol = "", name = "", subject = "";
    std::vector<std::string> names = {};
};

void note_facts(Side *side, const coil_stream *stream)
{
    char text[100];
    EXPECT_EQ(0, coil_tls_facts_of(stream, &side->facts));
    side->version = side->facts.version;
    side->cipher = side->facts.cipher;
    side->protocol = side->facts.protocol;
    side->name = side->facts.server_name;
    if (coil_tls_peer_subject(stream, text, sizeof(text)) > 0)
        side->subject = text;
    for (unsigned i = 0; coil_tls_peer_name(stream, i, text, sizeof(text)) > 0; i++)
        side->names.emplace_back(text);
}

coil_async(int, say, (Side *) side, (coil_stream *) stream)
{
    coil_vars();
    if (!side->says.empty())
        coil_await(side->said_rc,
                coil_write_all(stream, coil_bytes(side->says.data(), side->says.size())));
    if (side->shuts_down)
        coil_await(side->said_rc, coil_stream_shutdown(stream));
    return 0;
}

coil_async(int, hear, (Side *) side, (coil_stream *) stream)
{
    coil_vars(coil_slice slice);
    while (side->heard.size() < side->hears) {
        coil_await(my->slice, coil_within(side->patience, coil_read_some(stream)));
        if (my->slice.size_bytes == -ETIME)
            continue;
        if (my->slice.size_bytes <= 0)
            break;
        side->heard.append(my->slice.bytes, static_cast<size_t>(my->slice.size_bytes));
        coil_slice_release(&my->slice);
    }
    if (side->reads_end) {
        coil_await(my->slice, coil_read_some(stream));
        side->end_rc = my->slice.size_bytes;
        coil_slice_release(&my->slice);
    }
    side->failure = *coil_tls_failure_of(stream);
    return 0;
}

coil_async(int, play, (Side *) side, (coil_stream *) plain)
{
    coil_vars(coil_stream *stream; coil_group group);
    my->stream = plain;
    coil_defer(coil_stream_close(my->stream));
    if (side->server_name == nullptr) {
        coil_await(side->shaken, coil_within(side->limit, coil_tls_accept(&my->stream,
                                                                  side->context, &side->failure)));
    } else {
        coil_await(
                side->shaken, coil_within(side->limit, coil_tls_connect(&my->stream, side->context,
                                                               side->server_name, &side->failure)));
    }
    if (side->shaken < 0) {
        EXPECT_EQ(nullptr, my->stream);
        return 0;
    }
    note_facts(side, my->stream);
    coil_open_group(&my->group);
    coil_spawn(&my->group, say(side, my->stream));
    coil_spawn(&my->group, hear(side, my->stream));
    coil_attempt(coil_group_join(&my->group));
    return 0;
}

coil_async(int, play_both, (Side *) client, (Side *) server)
{
    coil_vars(coil_stream *one; coil_stream *other; coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    coil_open_group(&my->group);
    coil_spawn(&my->group, play(client, my->one));
    coil_spawn(&my->group, play(server, my->other));
    coil_attempt(coil_group_join(&my->group));
    return 0;
}

class Tls : public testing::Test
{
protected:
    Tls()
    {
        server.server_name = nullptr;
    }

    ~Tls() override
    {
        coil_tls_context_destroy(client.context);
        coil_tls_context_destroy(server.context);
    }

    void serve(const Issued &issued, const coil_tls_options &options = {})
    {
        coil_tls_context_destroy(server.context);
        server.context = Context::server(issued, options);
    }

    void trust(const Authority &whom, const coil_tls_options &options = {})
    {
        coil_tls_context_destroy(client.context);
        client.context = Context::client(whom, options);
    }

    void meet()
    {
        EXPECT_EQ(0, RUN_AT_ONCE(coil_within(coil_s(100), play_both(&client, &server))));
    }

    void expect_success() const
    {
        EXPECT_EQ(0, client.shaken) << client.failure.text;
        EXPECT_EQ(0, server.shaken) << server.failure.text;
        EXPECT_EQ(0, client.end_rc) << client.failure.text;
        EXPECT_EQ(0, server.end_rc) << server.failure.text;
    }

    void expect_failure(const Side &side, int rc, coil_tls_reason reason) const
    {
        EXPECT_EQ(rc, side.shaken) << side.failure.text;
        EXPECT_EQ(coil_tls_reason_text(reason), coil_tls_reason_text(side.failure.reason))
                << side.failure.text;
    }

    static const Authority &authority()
    {
        static const Authority one("a test authority");
        return one;
    }

    Side client;
    Side server;
};

} // namespace

#endif
