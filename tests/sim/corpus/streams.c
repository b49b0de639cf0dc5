/* SPDX-License-Identifier: MIT */
/*
 * Many writers of one stream, whose writes are gathered, cancelled and cut, and a slow reader; over
 * a pair of sockets or a pipe. Each message that a writer knows to be out arrives, once and in
 * order, and none arrives of which it knows that it is not. A second scenario has lines, a third
 * many idle connections, which the loop parks.
 */
#include "corpus.h"

#include <stdlib.h>

#include <coil/sugar.h>

enum { WRITERS = 4, MESSAGES = 10, IDLERS = 70 };

typedef struct header {
    uint32_t writer;
    uint32_t number;
    uint32_t size_bytes;
} header;

typedef struct wire {
    coil_stream *from;
    coil_stream *to;
    uint32_t put[WRITERS]; /* Messages that are out, */
    uint32_t got[WRITERS]; /* and that have come. */
    unsigned late_count;   /* Writes whose deadline has passed: each may have been cut. */
    bool is_cut;           /* A writer was refused, and the reader had not seen the end. */
    bool is_over;          /* The reader has seen the end. */
} wire;

/* ---------------------------------------------------------------------------------- making -- */

static int make_pipe(wire *made)
{
    int fds[2];
    int rc = coil_kernel_pipe(fds);
    if (rc < 0)
        return rc;
    rc = coil_stream_create(fds[0], COIL_TRANSPORT_FILE, &made->to);
    if (rc < 0) {
        (void)coil_kernel_close(fds[1]);
        return rc;
    }
    rc = coil_stream_create(fds[1], COIL_TRANSPORT_FILE, &made->from);
    if (rc < 0)
        coil_stream_close(made->to);
    return rc;
}

static int make_wire(wire *made)
{
    memset(made, 0, sizeof(*made));
    return corpus_chance(40) ? make_pipe(made) : coil_stream_pair(&made->from, &made->to);
}

/* -------------------------------------------------------------------------------- messages -- */

static char *make_message(uint32_t writer, uint32_t number, uint32_t *out_size_bytes)
{
    const uint32_t body_bytes = (uint32_t)corpus_draw(corpus_chance(20) ? 60000 : 400);
    const header head = {writer, number, body_bytes};
    char *message = malloc(sizeof(head) + body_bytes);
    if (message == NULL)
        return NULL;
    memcpy(message, &head, sizeof(head));
    corpus_fill(message + sizeof(head), body_bytes, writer, number);
    *out_size_bytes = (uint32_t)sizeof(head) + body_bytes;
    return message;
}

/* One message. 1: it is out; 0: its deadline has passed. */
async(int, put_message, (wire *) w, (uint32_t) writer)
{
    vars(char *message; uint32_t size_bytes; int rc);

    my->message = make_message(writer, w->put[writer], &my->size_bytes);
    if (my->message == NULL)
        return -ENOMEM;
    defer(free(my->message));
    await(my->rc, within(corpus_deadline(15, coil_ms(2)),
                          coil_write_all(w->from, coil_bytes(my->message, my->size_bytes))));
    if (my->rc == -ETIME) {
        w->late_count++;
        return 0;
    }
    if (my->rc == 0)
        w->put[writer]++;
    return my->rc < 0 ? my->rc : 1;
}

async(int, write_messages, (wire *) w, (uint32_t) writer)
{
    vars(int rc; unsigned tries);

    while (w->put[writer] < MESSAGES && my->tries++ < 4 * MESSAGES) {
        await(my->rc, put_message(w, writer));
        if (my->rc == -EPIPE) { /* Whose deadline it was may run after us. */
            w->is_cut |= !w->is_over;
            return 0;
        }
        if (my->rc < 0)
            return my->rc;
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_ms(1))));
    }
    return 0;
}

async(int64_t, read_body, (wire *) w, (const header *) head)
{
    vars(coil_slice in; int64_t done_bytes; int64_t want_bytes);

    defer(coil_slice_release(&my->in));
    while (my->done_bytes < head->size_bytes) {
        my->want_bytes = 1 + (int64_t)corpus_draw(head->size_bytes - my->done_bytes);
        await(my->in, within(corpus_deadline(20, coil_ms(1)),
                              coil_read_block(w->to, (size_t)my->want_bytes)));
        if (my->in.size_bytes == -ETIME)
            continue;
        if (my->in.size_bytes <= 0)
            return my->in.size_bytes == 0 ? -ENODATA : my->in.size_bytes;
        corpus_expect(my->in.size_bytes == my->want_bytes, "a block of %ld bytes, not %ld",
                (long)my->in.size_bytes, (long)my->want_bytes);
        corpus_expect(corpus_matches(my->in.bytes, (size_t)my->in.size_bytes, head->writer,
                              head->number + (uint64_t)my->done_bytes),
                "message %u of writer %u has other bytes than were sent", head->number,
                head->writer);
        my->done_bytes += my->in.size_bytes;
        coil_slice_release(&my->in);
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(2))));
    }
    return 1;
}

async(int, read_messages, (wire *) w)
{
    vars(header head; ssize_t count; int64_t rc);

    defer(w->is_over = true);
    for (;;) {
        await(my->count, within(corpus_deadline(20, coil_ms(1)),
                                 coil_read_exact(w->to, &my->head, sizeof(my->head))));
        if (my->count == -ETIME)
            continue;
        if (my->count <= 0)
            return (int)my->count;
        corpus_expect(my->head.writer < WRITERS && my->head.number == w->got[my->head.writer],
                "message %u of writer %u, but another one is next", my->head.number,
                my->head.writer);
        attempt(my->rc, read_body(w, &my->head));
        w->got[my->head.writer]++;
    }
}

/* The writers, and then the end of the stream. */
async(int, write_all_messages, (wire *) w)
{
    vars(coil_group writers; uint32_t i);

    defer({
        coil_stream_close(w->from);
        w->from = NULL;
    });
    open_group(&my->writers);
    for (my->i = 0; my->i < WRITERS; my->i++)
        spawn(&my->writers, write_messages(w, my->i));
    attempt(coil_group_join(&my->writers));
    corpus_expect(!w->is_cut || w->late_count > 0 || !corpus_is_fair(),
            "a stream is cut, and nobody has done it");
    return 0;
}

/* If one of them fails, the other one is cancelled. */
static void expect_both(int64_t wrote, int64_t was_read, bool is_excused)
{
    corpus_expect_success(wrote, is_excused || (wrote == -ECANCELED && was_read < 0), "writing");
    corpus_expect_success(was_read, is_excused || (was_read == -ECANCELED && wrote < 0), "reading");
}

async(int, use_wire)
{
    vars(wire w; coil_group both; int64_t wrote; int64_t was_read; int rc);

    my->rc = make_wire(&my->w);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->w.to));
    open_group(&my->both);
    coil_spawn_result(&my->both, &my->was_read, read_messages(&my->w));
    coil_spawn_result(&my->both, &my->wrote, write_all_messages(&my->w));
    ignore(coil_group_join(&my->both));

    expect_both(my->wrote, my->was_read, my->w.late_count > 0);
    const bool is_whole = my->was_read == 0 || (my->was_read == -ENODATA && my->w.late_count > 0);
    for (int i = 0; i < WRITERS && is_whole && my->w.from == NULL && corpus_is_fair(); i++) {
        corpus_expect(my->w.put[i] == my->w.got[i], "writer %d: %u messages are out, %u came", i,
                my->w.put[i], my->w.got[i]);
    }
    return 0;
}

async(int, use_wires)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    for (my->i = 0; my->i < 2; my->i++)
        spawn(&my->group, use_wire());
    attempt(coil_group_join(&my->group));
    return 0;
}

/* ----------------------------------------------------------------------------------- lines -- */

enum { LINES = 60, LIMIT_BYTES = 200 };

/* A line: its number, and as many x as that says. */
static int64_t format_line(char *text, int number)
{
    const int size = sprintf(text, "%d:", number);
    const int more = number * 37 % 500;
    memset(text + size, 'x', (size_t)more);
    text[size + more] = '\n';
    return size + more + 1;
}

async(int, write_lines, (wire *) w)
{
    vars(char text[600]; int64_t size_bytes; int64_t at; int64_t piece_bytes; int i);

    defer({
        coil_stream_close(w->from);
        w->from = NULL;
    });
    for (my->i = 0; my->i < LINES; my->i++) {
        my->size_bytes = format_line(my->text, my->i);
        if (my->i == LINES - 1)
            my->size_bytes--; /* The last one ends with the stream. */
        for (my->at = 0; my->at < my->size_bytes; my->at += my->piece_bytes) {
            my->piece_bytes = 1 + (int64_t)corpus_draw((uint64_t)(my->size_bytes - my->at));
            attempt(coil_write_all(
                    w->from, coil_bytes(my->text + my->at, (size_t)my->piece_bytes)));
            if (corpus_chance(10))
                await(coil_sleep(corpus_moment(coil_ms(1))));
        }
    }
    return 0;
}

/* A line, whatever its length, into `text`. Its size, 0 at the end. */
async(int64_t, read_line, (wire *) w, (char *) text)
{
    vars(coil_slice in; int64_t size_bytes);

    defer(coil_slice_release(&my->in));
    for (;;) {
        await(my->in,
                within(corpus_deadline(20, coil_ms(1)), coil_read_until(w->to, '\n', LIMIT_BYTES)));
        if (my->in.size_bytes == -ETIME)
            continue;
        if (my->in.size_bytes == -EMSGSIZE) {
            attempt(my->in, coil_read_block(w->to, LIMIT_BYTES));
            corpus_expect(my->in.size_bytes == LIMIT_BYTES, "a piece of %ld bytes",
                    (long)my->in.size_bytes);
        } else if (my->in.size_bytes <= 0) {
            return my->in.size_bytes == 0 ? my->size_bytes : my->in.size_bytes;
        }
        memcpy(text + my->size_bytes, my->in.bytes, (size_t)my->in.size_bytes);
        my->size_bytes += my->in.size_bytes;
        coil_slice_release(&my->in);
        if (text[my->size_bytes - 1] == '\n')
            return my->size_bytes;
    }
}

async(int, read_lines, (wire *) w)
{
    vars(char text[900]; char expected[600]; int64_t size_bytes; int i);

    for (my->i = 0; my->i < LINES; my->i++) {
        attempt(my->size_bytes, read_line(w, my->text));
        const int64_t expected_bytes = format_line(my->expected, my->i) - (my->i == LINES - 1);
        if (my->size_bytes < expected_bytes)
            return -ENODATA; /* The writer has failed. */
        corpus_expect(my->size_bytes == expected_bytes &&
                              memcmp(my->text, my->expected, (size_t)expected_bytes) == 0,
                "line %d is another one", my->i);
    }
    attempt(my->size_bytes, read_line(w, my->text));
    corpus_expect(my->size_bytes == 0, "%ld bytes behind the end", (long)my->size_bytes);
    return 0;
}

async(int, use_lines)
{
    vars(wire w; coil_group both; int64_t wrote; int64_t was_read; int rc);

    my->rc = make_wire(&my->w);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->w.to));
    open_group(&my->both);
    coil_spawn_result(&my->both, &my->was_read, read_lines(&my->w));
    coil_spawn_result(&my->both, &my->wrote, write_lines(&my->w));
    ignore(coil_group_join(&my->both));
    expect_both(my->wrote, my->was_read, false);
    return 0;
}

/* ------------------------------------------------------------------------------------ idle -- */

typedef struct idler {
    wire w;
    uint64_t number;
} idler;

async(int, write_at_last, (idler *) one)
{
    vars(char bytes[100]; int rounds);

    for (my->rounds = 0; my->rounds < 2; my->rounds++) {
        await(coil_sleep(coil_s(6) + corpus_moment(coil_s(3))));
        corpus_fill(my->bytes, sizeof(my->bytes), one->number, 100 * (uint64_t)my->rounds);
        attempt(coil_write_all(one->w.from, coil_bytes(my->bytes, sizeof(my->bytes))));
    }
    return 0;
}

async(int, wait_for_long, (idler *) one)
{
    vars(char bytes[100]; ssize_t count; int rounds);

    for (my->rounds = 0; my->rounds < 2; my->rounds++) {
        do {
            await(my->count, within(corpus_deadline(30, coil_s(5)),
                                     coil_read_exact(one->w.to, my->bytes, sizeof(my->bytes))));
        } while (my->count == -ETIME);
        if (my->count <= 0)
            return my->count == 0 ? -ENODATA : (int)my->count;
        corpus_expect(corpus_matches(my->bytes, sizeof(my->bytes), one->number,
                              100 * (uint64_t)my->rounds),
                "an idle stream brings other bytes");
    }
    return 0;
}

async(int, idle_on, (uint64_t) number)
{
    vars(idler one; coil_group both; int rc);

    my->one.number = number;
    my->rc = make_wire(&my->one.w);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_stream_close(my->one.w.from);
        coil_stream_close(my->one.w.to);
    });
    open_group(&my->both);
    spawn(&my->both, write_at_last(&my->one));
    spawn(&my->both, wait_for_long(&my->one));
    await(my->rc, coil_group_join(&my->both));
    corpus_expect_success(my->rc, false, "an idle stream");
    return my->rc;
}

async(int, idle_together)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < IDLERS; my->i++)
        spawn(&my->group, idle_on((uint64_t)my->i));
    if (corpus_chance(20)) {
        await(coil_sleep(corpus_moment(coil_s(20))));
        return 0; /* With all of them open. */
    }
    ignore(coil_group_join(&my->group));
    return 0;
}

/* ------------------------------------------------------------------------------- scenarios -- */

CORPUS_MAIN(streams_main, use_wires())
CORPUS_MAIN(lines_main, use_lines())
CORPUS_MAIN(idle_main, idle_together())

static void build_streams(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/streams", streams_main);
}

static void build_lines(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/lines", lines_main);
}

static void build_idle(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/idle", idle_main);
}

const coil_sim_scenario scenario_streams = {.name = "streams", .build = build_streams};
const coil_sim_scenario scenario_lines = {.name = "lines", .build = build_lines};
const coil_sim_scenario scenario_idle = {.name = "idle", .build = build_idle};
