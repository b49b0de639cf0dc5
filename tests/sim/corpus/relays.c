/* SPDX-License-Identifier: MIT */
/*
 * A proxy between two wires: one direction of bytes, relayed in pieces that are cancelled at any
 * moment, by splice(2) or by copying. What arrives is what was sent, and at each cancellation what
 * was read and not written is there again. A second scenario has a buffer with watermarks.
 */
#include "corpus.h"

#include <stdlib.h>

#include <coil/sugar.h>

enum { TOTAL_BYTES = 40000, PIECE_BYTES = 5000 };

typedef struct proxy {
    coil_stream *source, *in; /* A wire: what is written to the one is read from the other. */
    coil_stream *out, *sink;  /* The other wire. */
    uint64_t number;          /* Of the stream of bytes. */
    uint64_t relayed_bytes;
    uint64_t received_bytes;
    int64_t wrote, relayed, was_read;
} proxy;

/* Which sources say in which order, and when, is chance. */
async(int, feed, (proxy *) p)
{
    vars(char bytes[PIECE_BYTES]; uint64_t at; uint64_t piece_bytes);

    while (my->at < TOTAL_BYTES) {
        my->piece_bytes = 1 + corpus_draw(PIECE_BYTES);
        if (my->piece_bytes > TOTAL_BYTES - my->at)
            my->piece_bytes = TOTAL_BYTES - my->at;
        corpus_fill(my->bytes, my->piece_bytes, p->number, my->at);
        attempt(coil_write_all(p->source, coil_bytes(my->bytes, my->piece_bytes)));
        my->at += my->piece_bytes;
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(1))));
    }
    attempt(coil_stream_shutdown(p->source));
    return 0;
}

async(int, drain, (proxy *) p)
{
    vars(coil_slice in);

    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(p->sink));
        if (my->in.size_bytes == 0)
            return 0;
        corpus_expect(corpus_matches(my->in.bytes, (size_t)my->in.size_bytes, p->number,
                              p->received_bytes),
                "other bytes than were sent, behind %llu", (unsigned long long)p->received_bytes);
        p->received_bytes += (uint64_t)my->in.size_bytes;
        coil_slice_release(&my->in);
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_ms(1))));
    }
}

async(int, relay_in_pieces, (proxy *) p)
{
    vars(coil_relay_options options; uint64_t bytes; int rc);

    do {
        my->bytes = 0;
        my->options.splices = corpus_chance(50);
        await(my->rc, within(corpus_deadline(60, coil_ms(1)),
                              coil_relay_one_way(p->in, p->out, &my->options, &my->bytes)));
        p->relayed_bytes += my->bytes;
        corpus_expect(p->relayed_bytes == coil_stream_bytes_written(p->out),
                "%llu bytes were relayed, %llu written", (unsigned long long)p->relayed_bytes,
                (unsigned long long)coil_stream_bytes_written(p->out));
        corpus_expect(!corpus_is_fair() || p->relayed_bytes == coil_stream_bytes_read(p->in),
                "%llu bytes were relayed, %llu read", (unsigned long long)p->relayed_bytes,
                (unsigned long long)coil_stream_bytes_read(p->in));
    } while (my->rc == -ETIME);
    return my->rc;
}

async(int, open_proxy, (proxy *) p)
{
    vars(int rc);

    my->rc = coil_stream_pair(&p->source, &p->in);
    if (my->rc == 0)
        my->rc = coil_stream_pair(&p->out, &p->sink);
    return my->rc;
}

static void close_proxy(proxy *p)
{
    coil_stream_close(p->source);
    coil_stream_close(p->in);
    coil_stream_close(p->out);
    coil_stream_close(p->sink);
}

async(int, use_proxy)
{
    vars(proxy p; coil_group group);

    my->p.number = corpus_draw(1000);
    defer(close_proxy(&my->p));
    attempt(open_proxy(&my->p));
    open_group(&my->group);
    coil_spawn_result(&my->group, &my->p.wrote, feed(&my->p));
    coil_spawn_result(&my->group, &my->p.relayed, relay_in_pieces(&my->p));
    coil_spawn_result(&my->group, &my->p.was_read, drain(&my->p));
    ignore(coil_group_join(&my->group));
    const bool has_failed = my->p.wrote < 0 || my->p.relayed < 0 || my->p.was_read < 0;
    corpus_expect(!has_failed || !corpus_is_fair(), "a relay failed: %lld, %lld, %lld",
            (long long)my->p.wrote, (long long)my->p.relayed, (long long)my->p.was_read);
    corpus_expect(has_failed || my->p.received_bytes == TOTAL_BYTES, "%llu bytes came",
            (unsigned long long)my->p.received_bytes);
    return 0;
}

/* ---------------------------------------------------------------------------------- buffer -- */

typedef struct buffered {
    coil_stream *from, *to;
    coil_write_buffer out;
    uint64_t put_bytes;
    uint64_t received_bytes;
} buffered;

async(int, put_bytes, (buffered *) b)
{
    vars(char bytes[PIECE_BYTES]; size_t piece_bytes; int i; int rc);

    for (my->i = 0; my->i < 40; my->i++) {
        my->piece_bytes = (size_t)corpus_draw(PIECE_BYTES);
        corpus_fill(my->bytes, my->piece_bytes, 1, b->put_bytes);
        my->rc = coil_write_buffer_put(&b->out, my->bytes, my->piece_bytes);
        if (my->rc == 0)
            b->put_bytes += my->piece_bytes;
        if (my->rc == -EAGAIN)
            await(my->rc,
                    within(corpus_deadline(50, coil_ms(1)), coil_write_buffer_drain(&b->out)));
        if (my->rc < 0 && my->rc != -ETIME && my->rc != -ENOMEM)
            return my->rc;
        if (corpus_chance(20))
            ignore(within(corpus_moment(coil_ms(1)), coil_write_buffer_flush(&b->out)));
    }
    attempt(coil_write_buffer_flush(&b->out));
    coil_write_buffer_finish(&b->out);
    return 0;
}

async(int, take_bytes, (buffered *) b)
{
    vars(coil_slice in);

    defer(coil_slice_release(&my->in));
    while (b->received_bytes < b->put_bytes || b->out.queued_bytes > 0 || !b->out.is_finished) {
        await(my->in, within(coil_ms(1), coil_read_some(b->to)));
        if (my->in.size_bytes == -ETIME)
            continue;
        if (my->in.size_bytes <= 0)
            return (int)my->in.size_bytes;
        corpus_expect(corpus_matches(my->in.bytes, (size_t)my->in.size_bytes, 1, b->received_bytes),
                "a buffer changes what was put");
        b->received_bytes += (uint64_t)my->in.size_bytes;
        coil_slice_release(&my->in);
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_ms(1))));
    }
    return 0;
}

async(int, use_buffer)
{
    vars(buffered b; coil_group group; int rc);
    const coil_write_buffer_options options = {.high_bytes = 8000};

    my->rc = coil_stream_pair(&my->b.from, &my->b.to);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_stream_close(my->b.from);
        coil_stream_close(my->b.to);
    });
    coil_write_buffer_init(&my->b.out, my->b.from, &options);
    defer(coil_write_buffer_fini(&my->b.out));
    open_group(&my->group);
    spawn(&my->group, coil_write_buffer_run(&my->b.out));
    spawn(&my->group, put_bytes(&my->b));
    spawn(&my->group, take_bytes(&my->b));
    await(my->rc, coil_group_join(&my->group));
    corpus_expect_success(my->rc, false, "a buffer");
    corpus_expect(my->b.put_bytes == my->b.out.written_bytes + my->b.out.queued_bytes,
            "a buffer has lost count");
    corpus_expect(my->rc < 0 || my->b.received_bytes == my->b.put_bytes, "a buffer has lost bytes");
    return 0;
}

/* ------------------------------------------------------------------------------- scenarios -- */

CORPUS_MAIN(relays_main, use_proxy())
CORPUS_MAIN(buffer_main, use_buffer())

static void build_relays(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/relays", relays_main);
}

static void build_buffer(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/buffer", buffer_main);
}

const coil_sim_scenario scenario_relays = {.name = "relays", .build = build_relays};
const coil_sim_scenario scenario_write_buffer = {.name = "write_buffer", .build = build_buffer};
