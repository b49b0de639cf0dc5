/* SPDX-License-Identifier: MIT */
/*
 * Loops by hand: run, stopped, closed, shut down and destroyed with operations pending. And crowds:
 * more operations at a time than the queues have room for, on rings that are small for want of
 * memory; more bytes than there are buffers, which their readers keep.
 */
#include "corpus.h"

#include <stdlib.h>

#include <coil/sugar.h>

enum { WAITERS = 10, ROUNDS = 4 };

typedef struct stage {
    coil_loop *loop;
    int fds[WAITERS][2];
    int pipe_count;
    unsigned begun, ended;
    unsigned bytes_written, bytes_read;
} stage;

/* -------------------------------------------------------------------------------- one loop -- */

async(int, wait_for_bytes, (stage *) s, (int) i)
{
    vars(char bytes[4]; ssize_t count);

    s->begun++;
    defer(s->ended++);
    for (;;) {
        await(my->count, within(corpus_deadline(20, coil_ms(1)),
                                 coil_read(s->fds[i][0], my->bytes, sizeof(my->bytes))));
        if (my->count == -ETIME)
            continue;
        if (my->count <= 0)
            return (int)my->count;
        s->bytes_read += (unsigned)my->count;
    }
}

/* Its clean-up needs the loop. */
async(int, write_bytes, (stage *) s, (int) i)
{
    vars(ssize_t count; int n);

    s->begun++;
    defer(s->ended++);
    defer(await(coil_sleep(corpus_moment(coil_ms(1)))));
    for (my->n = 0; my->n < 12; my->n++) {
        await(coil_sleep(corpus_moment(coil_ms(1))));
        attempt(my->count, coil_write(s->fds[i][1], "abc", 1 + corpus_draw(3)));
        s->bytes_written += (unsigned)my->count;
    }
    return 0;
}

async(int64_t, stop_sometime, (stage *) s)
{
    vars();

    await(coil_sleep(corpus_moment(coil_ms(4))));
    if (corpus_chance(50))
        coil_loop_stop(s->loop);
    return 77;
}

/* -EBUSY while tasks are there, and all as it was. */
static void try_to_close(stage *s)
{
    coil_loop *loop = s->loop;
    if (s->begun == s->ended)
        return;
    const int rc = coil_loop_close(&loop);
    corpus_expect(rc == -EBUSY && loop == s->loop, "closing a loop with tasks: %d", rc);
}

static void run_somehow(stage *s)
{
    int64_t rc;
    switch (corpus_draw(3)) {
    case 0:
        rc = coil_loop_run_until(s->loop, stop_sometime(s));
        corpus_expect(
                rc == 77 || rc == -EINTR || rc == -ENOMEM || !corpus_is_fair(), "%ld", (long)rc);
        break;
    case 1:
        coil_spawn(coil_loop_root(s->loop), stop_sometime(s));
        coil_loop_stop(s->loop);
        rc = coil_loop_run_forever(s->loop);
        corpus_expect_success(rc, false, "one turn");
        break;
    default:
        coil_loop_stop(s->loop);
        rc = coil_loop_run(s->loop);
        corpus_expect(rc == -EINTR || rc == 0 || !corpus_is_fair(), "%ld", (long)rc);
        break;
    }
}

static int make_stage(stage *s)
{
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < WAITERS; i++) {
        const int rc = coil_kernel_pipe(s->fds[i]);
        if (rc < 0)
            return rc;
        s->pipe_count++;
    }
    return coil_loop_create(&s->loop, NULL);
}

static void end_stage(stage *s)
{
    for (int i = 0; i < s->pipe_count; i++) {
        (void)coil_kernel_close(s->fds[i][0]);
        (void)coil_kernel_close(s->fds[i][1]);
    }
}

/* Until all have ended: the grace may be over before. */
static void shut_down(stage *s)
{
    int rc = coil_loop_shutdown(
            s->loop, corpus_chance(50) ? coil_s(10) : corpus_moment(coil_us(20)));
    while (rc == -ETIMEDOUT || rc == -EINTR)
        rc = coil_loop_shutdown(s->loop, coil_s(10));
    corpus_expect_success(rc, true, "a shutdown");
    corpus_expect(s->begun == s->ended, "%u of %u tasks have ended", s->ended, s->begun);
    corpus_expect(coil_loop_statistics(s->loop).stale == 0, "stale completions");
    coil_loop_destroy(s->loop);
}

static int loop_main(int argc, char **argv)
{
    static stage s;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();
    int rc = make_stage(&s);

    if (rc == 0) {
        for (int i = 0; i < WAITERS; i++) {
            coil_spawn(coil_loop_root(s.loop), wait_for_bytes(&s, i));
            coil_spawn(coil_loop_root(s.loop), write_bytes(&s, i));
        }
        for (int i = (int)corpus_draw(ROUNDS); i > 0; i--) {
            run_somehow(&s);
            if (corpus_chance(10))
                try_to_close(&s);
        }
        shut_down(&s);
        corpus_expect(
                s.bytes_read <= s.bytes_written, "%u bytes of %u", s.bytes_read, s.bytes_written);
    }
    end_stage(&s);
    return corpus_end(&start, rc);
}

static void build_loop(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/loop", loop_main);
}

/* ---------------------------------------------------------------------------------- crowds -- */

enum { CROWD = 350, STREAMS = 12, STREAM_BYTES = 100000 };

typedef struct crowd {
    int fds[2]; /* A pipe with bytes for some, and then for all. */
    unsigned waiting, served, turned_away;
    unsigned written;
} crowd;

/* Wants one byte; may be turned away while its read is still in the backlog. */
async(int, want_byte, (crowd *) c)
{
    vars(char byte; ssize_t count);

    c->waiting++;
    await(my->count, within(corpus_deadline(50, coil_us(300)), coil_read(c->fds[0], &my->byte, 1)));
    c->waiting--;
    if (my->count == 1)
        c->served++;
    if (my->count == -ETIME)
        c->turned_away++;
    return my->count < 0 && my->count != -ETIME ? (int)my->count : 0;
}

async(int, want_byte_for_ever, (crowd *) c)
{
    vars(char byte; ssize_t count);

    c->waiting++;
    await(my->count, coil_read(c->fds[0], &my->byte, 1));
    return my->count < 0 ? (int)my->count : 0;
}

async(int, feed, (crowd *) c)
{
    vars(ssize_t count; int64_t left);

    await(coil_sleep(corpus_moment(coil_us(500))));
    for (my->left = CROWD; my->left > 0; my->left -= my->count) {
        static const char bytes[CROWD];
        attempt(my->count, coil_write(c->fds[1], bytes, 1 + corpus_draw((uint64_t)my->left)));
        c->written += (unsigned)my->count;
    }
    return 0;
}

/* Nobody feeds them: they are turned away at once, while reads are in the backlog, or later. */
async(int, be_starved, (crowd *) c)
{
    vars(coil_group group; coil_task *tasks[CROWD]; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < CROWD; my->i++)
        my->tasks[my->i] = spawn(&my->group, want_byte_for_ever(c));
    await(coil_yield());
    for (int i = 0; i < CROWD; i++) {
        if (my->tasks[i] != NULL && corpus_chance(40) && c->waiting == CROWD)
            coil_task_cancel(my->tasks[i]);
    }
    await(coil_sleep(corpus_moment(coil_us(300))));
    return 0;
}

async(int, be_crowd, (crowd *) c)
{
    vars(coil_group group; int i; int rc);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < CROWD; my->i++)
        spawn(&my->group, want_byte(c));
    spawn(&my->group, feed(c));
    if (corpus_chance(20)) {
        await(coil_sleep(corpus_moment(coil_us(600))));
        return 0;
    }
    ignore(coil_group_join(&my->group));
    corpus_expect(c->served + c->turned_away == CROWD || !corpus_is_fair(), "%u and %u", c->served,
            c->turned_away);
    return 0;
}

static void count_left(crowd *c)
{
    (void)coil_kernel_close(c->fds[1]);
    const int left = coil_run(corpus_drain(c->fds[0]));
    corpus_expect(left < 0 || c->written == c->served + (unsigned)left,
            "%u bytes were written, %u read, %d are left", c->written, c->served, left);
    (void)coil_kernel_close(c->fds[0]);
}

/* ----------------------------------------------------------------------------------- rush -- */

enum { RUSH = 600, PATIENCE_TURNS = 10000 };

async(int, want_byte_at_once, (crowd *) c)
{
    vars(char byte; ssize_t count);

    c->waiting++;
    await(my->count, coil_read(c->fds[0], &my->byte, 1));
    if (my->count == 1)
        c->served++;
    if (my->count < 0)
        c->turned_away++;
    return my->count < 0 ? (int)my->count : 0;
}

/*
 * All are served at once, more than there is room for in a small queue, while the loop is busy with
 * something else; and then it is never idle.
 */
async(int, be_impatient, (crowd *) c)
{
    vars(coil_group group; int i);
    static const char bytes[RUSH];
    static const uint32_t word;

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < RUSH; my->i++)
        spawn(&my->group, want_byte_at_once(c));
    await(coil_sleep(coil_ms(1)));
    const ssize_t written = coil_kernel_write(c->fds[1], bytes, RUSH);
    c->written += written > 0 ? (unsigned)written : 0;
    coil_kernel_word_wait(&word, 0, coil_ms(1));
    for (my->i = 0; my->i < PATIENCE_TURNS && c->served + c->turned_away < c->waiting; my->i++)
        await(coil_yield());
    corpus_expect(c->served + c->turned_away == c->waiting || c->written < c->waiting,
            "%u of %u are served", c->served, c->waiting);
    return 0;
}

static int rush_main(int argc, char **argv)
{
    static crowd c;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    memset(&c, 0, sizeof(c));
    int rc = coil_kernel_pipe(c.fds);
    if (rc == 0) {
        rc = coil_run(be_impatient(&c));
        count_left(&c);
    }
    return corpus_end(&start, rc);
}

/* ------------------------------------------------------------------------------ many bytes -- */

typedef struct flood {
    coil_stream *from, *to;
    uint64_t number;
    int64_t read_bytes;
} flood;

async(int, pour, (flood *) f)
{
    vars(char *bytes; int64_t done_bytes; int64_t size_bytes);

    my->bytes = malloc(STREAM_BYTES);
    if (my->bytes == NULL)
        return -ENOMEM;
    defer(free(my->bytes));
    corpus_fill(my->bytes, STREAM_BYTES, f->number, 0);
    while (my->done_bytes < STREAM_BYTES) {
        my->size_bytes = 1 + (int64_t)corpus_draw((uint64_t)(STREAM_BYTES - my->done_bytes));
        attempt(coil_write_all(
                f->from, coil_bytes(my->bytes + my->done_bytes, (size_t)my->size_bytes)));
        my->done_bytes += my->size_bytes;
    }
    return 0;
}

/* Keeps what it has read for a while, so that the others find no buffers. */
async(int, hoard, (flood *) f)
{
    vars(coil_slice kept[6]; int i; int count);

    defer({
        for (my->i = 0; my->i < 6; my->i++)
            coil_slice_release(&my->kept[my->i]);
    });
    while (f->read_bytes < STREAM_BYTES) {
        coil_slice *slot = &my->kept[my->count % 6];
        coil_slice_release(slot);
        await(my->kept[my->count % 6], coil_read_some(f->to));
        const coil_slice *in = &my->kept[my->count++ % 6];
        if (in->size_bytes <= 0)
            return in->size_bytes == 0 ? -ENODATA : (int)in->size_bytes;
        corpus_expect(corpus_matches(in->bytes, (size_t)in->size_bytes, f->number,
                              (uint64_t)f->read_bytes),
                "other bytes, from %ld on", (long)f->read_bytes);
        f->read_bytes += in->size_bytes;
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_us(400))));
    }
    return 0;
}

async(int, be_flooded, (uint64_t) number)
{
    vars(flood f; coil_group both; int rc);

    my->f.number = number;
    my->rc = coil_stream_pair(&my->f.from, &my->f.to);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_stream_close(my->f.from);
        coil_stream_close(my->f.to);
    });
    open_group(&my->both);
    spawn(&my->both, pour(&my->f));
    spawn(&my->both, hoard(&my->f));
    await(my->rc, coil_group_join(&my->both));
    corpus_expect_success(my->rc, false, "a flood");
    return 0;
}

async(int, be_flood)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < STREAMS; my->i++)
        spawn(&my->group, be_flooded((uint64_t)my->i));
    ignore(coil_group_join(&my->group));
    return 0;
}

static int crowd_main(int argc, char **argv)
{
    static crowd c;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    memset(&c, 0, sizeof(c));
    int rc = coil_kernel_pipe(c.fds);
    if (rc == 0) {
        rc = corpus_chance(50) ? coil_run(be_crowd(&c)) : coil_run(be_starved(&c));
        count_left(&c);
    }
    return corpus_end(&start, rc);
}

CORPUS_MAIN(flood_main, be_flood())

/* Rings are small in half of the worlds: 16 entries, if the memory for more is refused. */
static void build_crowd(coil_sim *sim)
{
    if (coil_sim_random(sim, 2) == 0)
        (void)coil_sim_set_fault(sim, "ring-setup", 700000);
    if (coil_sim_random(sim, 2) == 0) /* A full queue stays full now and then. */
        (void)coil_sim_set_fault(sim, "enter-eagain", 200000);
    (void)corpus_start(sim, "alpha", "/bin/crowd", crowd_main);
    (void)corpus_start(sim, "beta", "/bin/flood", flood_main);
}

/* In some worlds the queue of completions has room for 256 or 512. */
static void build_rush(coil_sim *sim)
{
    (void)coil_sim_set_fault(sim, "ring-setup", 780000);
    (void)corpus_start(sim, "alpha", "/bin/rush", rush_main);
}

const coil_sim_scenario scenario_loop = {.name = "loop", .build = build_loop};
const coil_sim_scenario scenario_crowd = {.name = "crowd", .build = build_crowd};
const coil_sim_scenario scenario_rush = {.name = "rush", .build = build_rush};
