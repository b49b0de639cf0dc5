/* SPDX-License-Identifier: MIT */
/*
 * Random trees of what tasks do, over real I/O: groups, deadlines, shields, defers that wait during
 * a cancellation. What was begun has ended when the group around it has, whatever came between; a
 * defer runs once; a shield is not interrupted. A second scenario has futures and what waits for
 * several of them.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { PIPES = 4, DEPTH = 5, ROOTS = 3, NODES_MAX = 250 };

typedef struct forest {
    int fds[PIPES][2];
    unsigned node_count;
    unsigned live_count; /* Nodes that have begun and not ended. */
    unsigned shields_begun, shields_ended;
    unsigned defers_begun, defers_ended;
    int64_t bytes_in[PIPES]; /* In each pipe. */
} forest;

coil_declare(int, grow, (forest *) f, (int) depth);

/* ---------------------------------------------------------------------------------- leaves -- */

async(int, write_byte, (forest *) f, (unsigned) pipe)
{
    vars(ssize_t count);

    attempt(my->count, coil_write(f->fds[pipe][1], "x", 1));
    f->bytes_in[pipe] += my->count;
    return 0;
}

async(int, read_bytes, (forest *) f, (unsigned) pipe)
{
    vars(ssize_t count; char bytes[3]);

    await(my->count, within(corpus_moment(coil_ms(1)),
                             coil_read(f->fds[pipe][0], my->bytes, sizeof(my->bytes))));
    if (my->count > 0)
        f->bytes_in[pipe] -= my->count;
    return my->count < 0 && my->count != -ETIME ? (int)my->count : 0;
}

async(int, do_leaf, (forest *) f)
{
    vars(int rc);

    const unsigned pipe = (unsigned)corpus_draw(PIPES);
    switch (corpus_draw(5)) {
    case 0:
        await(coil_sleep(corpus_moment(coil_ms(1))));
        break;
    case 1:
        await(coil_yield());
        break;
    case 2:
        attempt(write_byte(f, pipe));
        break;
    case 3:
        attempt(read_bytes(f, pipe));
        break;
    default:
        await(my->rc, within(corpus_moment(coil_us(200)), coil_poll(f->fds[pipe][0], POLLIN)));
        break;
    }
    return 0;
}

/* ---------------------------------------------------------------------------------- nodes -- */

async(int, do_group, (forest *) f, (int) depth)
{
    vars(coil_group group; unsigned before; int i; coil_task *last);

    open_group(&my->group);
    my->group.keep_going = corpus_chance(50);
    my->group.limit = corpus_chance(30) ? 1 + corpus_draw(2) : 0;
    for (my->i = 1 + (int)corpus_draw(4); my->i > 0; my->i--) {
        my->last = spawn(&my->group, grow(f, depth - 1));
        if (corpus_chance(20) && my->last != NULL)
            coil_task_cancel(my->last);
    }
    if (corpus_chance(20)) {
        await(coil_sleep(corpus_moment(coil_us(300))));
        coil_group_cancel(&my->group);
    }
    if (corpus_chance(70))
        attempt(coil_group_join(&my->group));
    return 0;
}

async(int, do_shielded, (forest *) f, (int) depth)
{
    vars();

    f->shields_begun++;
    ignore(grow(f, depth - 1));
    await(coil_sleep(corpus_moment(coil_us(100))));
    f->shields_ended++;
    return 0;
}

/* A clean-up that waits, and does not end before it has. */
async(int, clean_up, (forest *) f)
{
    vars();

    f->defers_begun++;
    await(coil_sleep(corpus_moment(coil_us(200))));
    if (corpus_chance(50))
        ignore(write_byte(f, 0));
    f->defers_ended++;
    return 0;
}

async(int, do_defer, (forest *) f, (int) depth)
{
    vars();

    defer(ignore(clean_up(f)));
    attempt(grow(f, depth - 1));
    return 0;
}

async(int, do_sequence, (forest *) f, (int) depth)
{
    vars(int i);

    for (my->i = 1 + (int)corpus_draw(3); my->i > 0; my->i--)
        attempt(grow(f, depth - 1));
    return 0;
}

async(int, do_node, (forest *) f, (int) depth)
{
    vars(int rc);

    switch (depth == 0 || f->node_count > NODES_MAX ? 9 : corpus_draw(10)) {
    case 0:
    case 1:
    case 2:
        attempt(do_group(f, depth));
        break;
    case 3:
    case 4:
        await(my->rc, within(corpus_moment(coil_ms(1)), do_sequence(f, depth)));
        break;
    case 5:
        attempt(shield(do_shielded(f, depth)));
        break;
    case 6:
        attempt(do_defer(f, depth));
        break;
    case 7:
        attempt(do_sequence(f, depth));
        break;
    case 8:
        if (corpus_chance(10))
            return -EIO; /* It fails, and with it maybe its group. */
        attempt(do_leaf(f));
        break;
    default:
        attempt(do_leaf(f));
        break;
    }
    return 0;
}

coil_define(int, grow, (forest *) f, (int) depth)
{
    vars();

    f->node_count++;
    f->live_count++;
    defer(f->live_count--);
    attempt(do_node(f, depth));
    return 0;
}

async(int, plant, (forest *) f)
{
    vars(coil_group roots; int i);

    open_group(&my->roots);
    my->roots.keep_going = true;
    for (my->i = 0; my->i < ROOTS; my->i++)
        spawn(&my->roots, grow(f, DEPTH));
    if (corpus_chance(40)) {
        await(coil_sleep(corpus_moment(coil_ms(2))));
        return 0;
    }
    ignore(coil_group_join(&my->roots));
    return 0;
}

/* What is in the pipes is what was written and not read. */
static void count_bytes(forest *f)
{
    for (int i = 0; i < PIPES; i++) {
        (void)coil_kernel_close(f->fds[i][1]);
        const int count = coil_run(corpus_drain(f->fds[i][0]));
        corpus_expect(count == f->bytes_in[i] || count < 0, "%d bytes in a pipe, not %ld", count,
                (long)f->bytes_in[i]);
        (void)coil_kernel_close(f->fds[i][0]);
    }
}

static int groups_main(int argc, char **argv)
{
    static forest f;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();
    int rc = 0;
    int made = 0;

    memset(&f, 0, sizeof(f));
    while (made < PIPES && (rc = coil_kernel_pipe(f.fds[made])) == 0)
        made++;
    if (made < PIPES) {
        while (made-- > 0) {
            (void)coil_kernel_close(f.fds[made][0]);
            (void)coil_kernel_close(f.fds[made][1]);
        }
        return corpus_end(&start, rc);
    }
    rc = coil_run(plant(&f));
    corpus_expect(f.live_count == 0, "%u nodes have not ended", f.live_count);
    corpus_expect(
            f.defers_begun == f.defers_ended, "%u of %u clean-ups", f.defers_ended, f.defers_begun);
    corpus_expect(f.shields_begun == f.shields_ended, "%u of %u shields", f.shields_ended,
            f.shields_begun);
    count_bytes(&f);
    return corpus_end(&start, rc);
}

/* -------------------------------------------------------------------------------- futures -- */

enum { FETCHES = 6 };

typedef struct fetched {
    coil_future_of(int) results[FETCHES];
    coil_future *all[FETCHES];
    coil_future_watch watches[FETCHES];
    coil_completions completions;
    unsigned begun, ended;
} fetched;

async(int, fetch, (fetched *) f, (int) number)
{
    vars();

    f->begun++;
    defer(f->ended++);
    await(coil_sleep(corpus_moment(coil_ms(1))));
    return corpus_chance(20) ? -EIO : number;
}

static void expect_result(fetched *f, int i)
{
    const coil_future *future = &f->results[i].future;
    corpus_expect(future->done, "future %d is not done", i);
    if (future->error == 0)
        corpus_expect(f->results[i].value == i, "future %d has %d", i, f->results[i].value);
    corpus_expect(corpus_is_weather(future->error), "future %d: %d", i, future->error);
}

static void begin_fetching(fetched *f, coil_group *group)
{
    coil_completions_init(&f->completions);
    group->keep_going = true;
    for (int i = 0; i < FETCHES; i++) {
        coil_spawn_future(group, &f->results[i], fetch(f, i));
        f->all[i] = &f->results[i].future;
    }
}

async(int, take_each, (fetched *) f)
{
    vars(coil_future *next; int count);

    for (int i = 0; i < FETCHES; i++)
        coil_completions_add(&f->completions, &f->watches[i], f->all[i]);
    for (;;) {
        await(my->next,
                within(corpus_deadline(30, coil_us(200)), coil_completions_next(&f->completions)));
        if (my->next == NULL)
            break;
        if (coil_pointer_error(my->next) == -ETIME)
            continue;
        corpus_expect(my->next->done, "a completion that is not done");
        my->count++;
    }
    corpus_expect(my->count == FETCHES, "%d completions", my->count);
    return 0;
}

async(int, wait_for_some, (fetched *) f, (coil_group *) group)
{
    vars(int rc; coil_future *winner);

    switch (corpus_draw(4)) {
    case 0:
        await(my->rc, coil_wait((coil_future *const *)f->all, FETCHES, COIL_ALL_COMPLETED));
        for (int i = 0; i < FETCHES && my->rc >= 0; i++)
            expect_result(f, i);
        break;
    case 1:
        await(my->rc, within(corpus_moment(coil_ms(1)), coil_wait((coil_future *const *)f->all,
                                                                FETCHES, COIL_FIRST_COMPLETED)));
        if (my->rc >= 0)
            expect_result(f, my->rc);
        break;
    case 2:
        await(my->winner, coil_group_race(group));
        corpus_expect(my->winner != NULL && my->winner->done, "a race without a winner");
        corpus_expect(f->begun == f->ended, "%u of %u", f->ended, f->begun);
        break;
    default:
        attempt(take_each(f));
        break;
    }
    return 0;
}

async(int, fetch_all, (fetched *) f)
{
    vars(coil_group group; int rc);

    open_group(&my->group);
    begin_fetching(f, &my->group);
    await(my->rc, within(corpus_deadline(30, coil_us(800)), wait_for_some(f, &my->group)));
    for (int i = 0; i < FETCHES; i++)
        coil_completions_remove(&f->watches[i]);
    if (corpus_chance(50))
        coil_future_cancel(f->all[0]);
    ignore(coil_group_join(&my->group));
    for (int i = 0; i < FETCHES; i++)
        expect_result(f, i);
    return 0;
}

async(int, fetch_again)
{
    vars(fetched f; int i; int rc);

    for (my->i = 0; my->i < 6; my->i++) {
        memset(&my->f, 0, sizeof(my->f));
        await(my->rc, fetch_all(&my->f));
        corpus_expect(my->f.begun == my->f.ended, "%u of %u", my->f.ended, my->f.begun);
        if (my->rc < 0)
            return my->rc;
    }
    return 0;
}

CORPUS_MAIN(futures_main, fetch_again())

static void build_groups(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/groups", groups_main);
}

static void build_futures(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/futures", futures_main);
}

const coil_sim_scenario scenario_groups = {.name = "groups", .build = build_groups};
const coil_sim_scenario scenario_futures = {.name = "futures", .build = build_futures};
