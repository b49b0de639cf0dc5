/* SPDX-License-Identifier: MIT */
/*
 * An echo server and its clients on two hosts. Each connection carries numbered bytes; writes and
 * reads are cancelled at any moment, whole sessions too, and the network is cut and healed. What
 * comes back is what was sent, to the last byte that the writer knows to be out.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { CLIENTS = 4, SESSIONS = 3, TOTAL_BYTES = 30000, CHUNK_BYTES = 6000 };

static struct {
    pid_t server, client;
    const char *address;
    uint64_t next_stream;
    uint64_t begun_count, ended_count;
    bool is_disturbed; /* The network is: a session may fail. */
} ledger;

/* ---------------------------------------------------------------------------------- server -- */

async(int, echo_peer, (coil_stream *) peer)
{
    vars(coil_slice in);

    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            return 0;
        if (corpus_chance(10))
            await(coil_sleep(corpus_moment(coil_ms(3))));
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
}

async(int, echo_serve)
{
    vars(coil_group group; coil_listener *listener; int rc);

    my->rc = coil_listen("*:7000", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo_peer, coil_stream *)));
    await(my->rc, within(coil_s(300), coil_signal_wait(COIL_SIGNALS(SIGTERM))));
    return my->rc;
}

/* ---------------------------------------------------------------------------------- client -- */

typedef struct session {
    coil_stream *peer;
    uint64_t stream;
    int64_t total_bytes; /* Shrinks to what is out when a write is cut. */
    int64_t sent_bytes;
    int64_t received_bytes;
    bool is_cut;
} session;

/* A write was cancelled after a part of it: nothing may follow. */
async(int, send_after_cut, (session *) s)
{
    vars(int rc);

    s->is_cut = true;
    s->total_bytes = (int64_t)coil_stream_bytes_written(s->peer);
    await(my->rc, coil_write_all(s->peer, coil_text("more")));
    corpus_expect(my->rc == -EPIPE, "a write behind one that was cut: %d", my->rc);
    attempt(coil_stream_shutdown(s->peer));
    return 0;
}

async(int, send_all, (session *) s)
{
    vars(char bytes[CHUNK_BYTES]; int64_t size_bytes; int rc);

    while (s->sent_bytes < s->total_bytes) {
        my->size_bytes = 1 + (int64_t)corpus_draw(CHUNK_BYTES);
        if (my->size_bytes > s->total_bytes - s->sent_bytes)
            my->size_bytes = s->total_bytes - s->sent_bytes;
        corpus_fill(my->bytes, (size_t)my->size_bytes, s->stream, (uint64_t)s->sent_bytes);
        await(my->rc,
                within(corpus_deadline(30, coil_ms(1)),
                        coil_write_all(s->peer, coil_bytes(my->bytes, (size_t)my->size_bytes))));
        const int64_t out_bytes = (int64_t)coil_stream_bytes_written(s->peer) - s->sent_bytes;
        if (my->rc == -ETIME && out_bytes == 0)
            continue; /* It has left no trace. */
        if (my->rc == -ETIME) {
            attempt(send_after_cut(s));
            return 0;
        }
        if (my->rc < 0)
            return my->rc;
        corpus_expect(out_bytes == my->size_bytes, "%ld bytes are out, of %ld", (long)out_bytes,
                (long)my->size_bytes);
        s->sent_bytes += my->size_bytes;
    }
    attempt(coil_stream_shutdown(s->peer));
    return 0;
}

static void take(session *s, const char *bytes, int64_t size_bytes)
{
    corpus_expect(corpus_matches(bytes, (size_t)size_bytes, s->stream, (uint64_t)s->received_bytes),
            "other bytes than were sent, from %ld on", (long)s->received_bytes);
    s->received_bytes += size_bytes;
}

/* As much as comes, or exactly so much; the result as that of a slice. */
async(int64_t, receive_some, (session *) s, (coil_duration) limit)
{
    vars(coil_slice in; char bytes[700]; ssize_t count);

    const int64_t left_bytes = s->total_bytes - s->received_bytes;
    const size_t want_bytes = left_bytes < 700 ? (size_t)left_bytes : 1 + corpus_draw(700);
    if (corpus_chance(50) || left_bytes == 0 || s->is_cut) {
        await(my->in, within(limit, coil_read_some(s->peer)));
    } else if (corpus_chance(50)) {
        await(my->in, within(limit, coil_read_block(s->peer, want_bytes)));
    } else {
        await(my->count, within(limit, coil_read_exact(s->peer, my->bytes, want_bytes)));
        if (my->count > 0)
            take(s, my->bytes, my->count);
        return my->count;
    }
    const int64_t size_bytes = my->in.size_bytes;
    if (size_bytes > 0)
        take(s, my->in.bytes, size_bytes);
    coil_slice_release(&my->in);
    return size_bytes;
}

async(int, receive_all, (session *) s)
{
    vars(int64_t rc);

    for (;;) {
        await(my->rc, receive_some(s, corpus_deadline(30, coil_ms(1))));
        if (my->rc == -ETIME)
            continue; /* It has lost nothing. */
        if (my->rc == -ENODATA && s->is_cut)
            return 0;
        if (my->rc < 0)
            return (int)my->rc;
        if (my->rc == 0)
            break;
        if (corpus_chance(10))
            await(coil_sleep(corpus_moment(coil_ms(5))));
    }
    return s->received_bytes == s->total_bytes ? 0 : -ENODATA;
}

async(int, run_session)
{
    vars(session s; coil_group both);

    attempt(my->s.peer, corpus_connect(ledger.address));
    defer(coil_stream_close(my->s.peer));
    my->s.stream = ledger.next_stream++;
    my->s.total_bytes = 1 + (int64_t)corpus_draw(TOTAL_BYTES);
    open_group(&my->both);
    spawn(&my->both, send_all(&my->s));
    spawn(&my->both, receive_all(&my->s));
    attempt(coil_group_join(&my->both));
    return 0;
}

/* Its end is counted however it ends. */
async(int, counted_session)
{
    vars();

    ledger.begun_count++;
    defer(ledger.ended_count++);
    attempt(run_session());
    return 0;
}

async(int, be_client)
{
    vars(int i; int rc; coil_duration limit);

    for (my->i = 0; my->i < SESSIONS; my->i++) {
        my->limit = corpus_chance(25) ? corpus_moment(coil_ms(20)) : coil_s(60);
        await(my->rc, within(my->limit, counted_session()));
        corpus_expect_success(my->rc == -ETIME ? 0 : my->rc, ledger.is_disturbed,
                "a session with the echo server");
        corpus_expect(my->rc != -ETIME || my->limit < coil_s(60) || ledger.is_disturbed ||
                              !corpus_is_fair(),
                "a session hangs in a fair world");
    }
    return 0;
}

async(int, be_clients)
{
    vars(coil_group group; int i; coil_task *one);

    {
        open_group(&my->group);
        my->group.keep_going = true;
        for (my->i = 0; my->i < CLIENTS; my->i++)
            my->one = spawn(&my->group, be_client());
        if (corpus_chance(20)) {
            await(coil_sleep(corpus_moment(coil_ms(50))));
            coil_group_cancel(&my->group);
        }
        await(coil_sleep(0));
        ignore(coil_group_join(&my->group));
    }
    corpus_expect(ledger.begun_count == ledger.ended_count, "%lu sessions of %lu have ended",
            (unsigned long)ledger.ended_count, (unsigned long)ledger.begun_count);
    return 0;
}

/* -------------------------------------------------------------------------------- scenario -- */

CORPUS_MAIN(server_main, echo_serve())
CORPUS_MAIN(client_main, be_clients())

async(int, disturb_once, (coil_sim *) sim)
{
    vars();

    ledger.is_disturbed = true;
    switch (corpus_draw(4)) {
    case 0:
        coil_sim_partition(sim, "server", "client");
        break;
    case 1:
        coil_sim_block(sim, "server", "client");
        break;
    case 2:
        coil_sim_stall(sim, "client", "server", corpus_moment(coil_ms(200)));
        break;
    default:
        coil_sim_reset_connections(sim, "server", "client");
        break;
    }
    await(coil_sleep(corpus_moment(coil_ms(400))));
    coil_sim_heal_all(sim);
    return 0;
}

async(int, direct, (coil_sim *) sim)
{
    vars(unsigned count);

    my->count = corpus_chance(50) ? 0 : 1 + (unsigned)corpus_draw(4);
    for (; my->count > 0; my->count--) {
        await(coil_sleep(corpus_moment(coil_ms(30))));
        attempt(disturb_once(sim));
    }
    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.server = corpus_start(sim, "server", "/bin/echo-server", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/echo-clients", client_main);
    ledger.address = corpus_address(sim, "server", 7000);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
}

const coil_sim_scenario scenario_echo = {
        .name = "echo", .build = build, .direct = coil_handler(direct, coil_sim *), .check = check};
