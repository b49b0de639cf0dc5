/* SPDX-License-Identifier: MIT */
/*
 * Tasks that share locks, permits, and items, over real waits for pipes, all cancelled at random:
 * at the end every lock is free, every permit is back, each item was taken once or is still there.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { TASKS = 12, STEPS = 8, PERMITS = 3, PARTIES = 3, CUSTOMERS = 14 };

typedef struct room {
    coil_mutex mutex;
    coil_condition changed;
    coil_semaphore permits;
    coil_barrier barrier;
    int inside_count;
    int permits_out;
    int stock; /* Guarded by the mutex. */
    int put_count, taken_count;
    int pipe_fds[2];
    int in_pipe_count; /* Bytes. */
    coil_event is_served;
    coil_task *customers[CUSTOMERS];
    int customers_count;
} room;

/* Some time, spent in the kernel: a byte goes through the pipe, or it is a sleep. */
async(int, spend_time, (room *) r)
{
    vars(char byte; ssize_t count);

    if (corpus_chance(50)) {
        await(coil_sleep(corpus_moment(coil_us(200))));
        return 0;
    }
    attempt(my->count, coil_write(r->pipe_fds[1], "x", 1));
    r->in_pipe_count++;
    attempt(my->count, coil_read(r->pipe_fds[0], &my->byte, 1));
    corpus_expect(my->count == 1, "%ld bytes of a pipe", (long)my->count);
    r->in_pipe_count--;
    return 0;
}

async(int, hold_mutex, (room *) r)
{
    vars();

    attempt(within(corpus_deadline(30, coil_us(300)), coil_mutex_lock(&r->mutex)));
    defer(coil_mutex_unlock(&r->mutex));
    corpus_expect(r->inside_count++ == 0, "two are inside of a mutex");
    defer(r->inside_count--);
    attempt(spend_time(r));
    return 0;
}

async(int, hold_permits, (room *) r)
{
    vars(size_t count);

    my->count = 1 + corpus_draw(PERMITS);
    attempt(within(corpus_deadline(30, coil_us(300)),
            coil_semaphore_acquire_many(&r->permits, my->count)));
    r->permits_out += (int)my->count;
    corpus_expect(r->permits_out <= PERMITS, "%d permits of %d", r->permits_out, PERMITS);
    defer({
        r->permits_out -= (int)my->count;
        coil_semaphore_release(&r->permits, my->count);
    });
    attempt(spend_time(r));
    return 0;
}

async(int, stock_up, (room *) r)
{
    vars();

    attempt(coil_mutex_lock(&r->mutex));
    defer(coil_mutex_unlock(&r->mutex));
    r->stock++;
    r->put_count++;
    coil_condition_notify(&r->changed, 1);
    return 0;
}

async(int, take_stock, (room *) r)
{
    vars(int rc);

    attempt(coil_mutex_lock(&r->mutex));
    defer(coil_mutex_unlock(&r->mutex));
    while (r->stock == 0) {
        await(my->rc, within(corpus_deadline(50, coil_us(500)), coil_condition_wait(&r->changed)));
        corpus_expect(r->mutex.owner == coil_self, "a condition has not given the mutex back");
        if (my->rc < 0)
            return my->rc;
    }
    r->stock--;
    r->taken_count++;
    return 0;
}

async(int, meet_others, (room *) r)
{
    vars(int rc);

    await(my->rc, within(corpus_moment(coil_ms(1)), coil_barrier_wait(&r->barrier)));
    corpus_expect(my->rc < PARTIES, "party %d of %d", my->rc, PARTIES);
    if (r->barrier.broken)
        coil_barrier_reset(&r->barrier);
    return my->rc < 0 ? my->rc : 0;
}

async(int, do_step, (room *) r)
{
    vars();

    switch (corpus_draw(6)) {
    case 0:
    case 1:
        attempt(hold_mutex(r));
        break;
    case 2:
        attempt(hold_permits(r));
        break;
    case 3:
        attempt(stock_up(r));
        break;
    case 4:
        attempt(within(coil_ms(2), take_stock(r)));
        break;
    default:
        attempt(meet_others(r));
        break;
    }
    return 0;
}

async(int, be_around, (room *) r)
{
    vars(int i; int rc);

    for (my->i = 0; my->i < STEPS; my->i++) {
        await(my->rc, within(corpus_deadline(30, coil_us(600)), do_step(r)));
        if (my->rc < 0 && my->rc != -ETIME && my->rc != -EPIPE)
            return my->rc;
    }
    return 0;
}

/* Somebody who cancels one of the tasks at times. */
async(int, be_there_together, (room *) r)
{
    vars(coil_group group; coil_task *victim; int i; int rc);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < TASKS; my->i++)
        my->victim = spawn(&my->group, be_around(r));
    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_ms(1))));
        return 0;
    }
    ignore(coil_group_join(&my->group));
    corpus_expect(my->group.error == 0 || !corpus_is_fair(), "a task failed: %d", my->group.error);
    return 0;
}

/* ------------------------------------------------------------------------- notifications -- */

async(int, buy, (room *) r, (int) place)
{
    vars();

    r->customers[place] = coil_self;
    r->customers_count++;
    defer({
        r->customers[place] = NULL;
        r->customers_count--;
    });
    attempt(coil_mutex_lock(&r->mutex));
    defer(coil_mutex_unlock(&r->mutex));
    while (r->stock == 0)
        attempt(coil_condition_wait(&r->changed));
    r->stock--;
    r->taken_count++;
    return 0;
}

static void sell(room *r)
{
    r->stock++;
    r->put_count++;
    coil_condition_notify(&r->changed, 1);
}

/* There is not more in stock than customers want, so one is left over if a notification is lost. */
async(int, keep_shop, (room *) r)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < CUSTOMERS; my->i++) {
        spawn(&my->group, buy(r, my->i));
        if (my->i < CUSTOMERS / 2)
            continue;
        await(coil_sleep(corpus_chance(50) ? 0 : corpus_moment(coil_us(100))));
        if (r->stock < r->customers_count)
            sell(r);
        /* In the same breath: somebody who may have been notified. */
        coil_task *victim = r->customers[corpus_draw(CUSTOMERS)];
        if (victim != NULL && corpus_chance(60))
            coil_task_cancel(victim);
    }
    await(coil_sleep(coil_ms(1)));
    while (r->stock < r->customers_count)
        sell(r);
    ignore(coil_group_join(&my->group));
    return 0;
}

/* --------------------------------------------------------------------------------- permits -- */

/* All of them, which are not to be had; so it is cancelled. */
async(int, want_all, (room *) r)
{
    vars(int rc);

    await(my->rc,
            within(corpus_moment(coil_us(200)), coil_semaphore_acquire_many(&r->permits, PERMITS)));
    if (my->rc == 0)
        coil_semaphore_release(&r->permits, PERMITS);
    return 0;
}

/* One, which is there, but for whoever stands before us. */
async(int, want_one, (room *) r)
{
    vars();

    defer(coil_event_set(&r->is_served));
    attempt(coil_semaphore_acquire(&r->permits));
    coil_semaphore_release(&r->permits, 1);
    return 0;
}

/* Holds one until the last in the line has had his, which takes none but those that are free. */
async(int, queue_up, (room *) r)
{
    vars(coil_group group);

    open_group(&my->group);
    attempt(coil_semaphore_acquire(&r->permits));
    defer(coil_semaphore_release(&r->permits, 1));
    spawn(&my->group, want_all(r));
    spawn(&my->group, want_one(r));
    await(coil_event_wait(&r->is_served));
    return 0;
}

static void open_room(room *r)
{
    memset(r, 0, sizeof(*r));
    coil_mutex_init(&r->mutex);
    coil_condition_init(&r->changed, &r->mutex);
    coil_semaphore_init(&r->permits, PERMITS, PERMITS);
    coil_barrier_init(&r->barrier, PARTIES);
    coil_event_init(&r->is_served);
}

static void close_room(room *r)
{
    corpus_expect(r->inside_count == 0 && !coil_mutex_is_locked(&r->mutex), "the mutex is locked");
    corpus_expect(r->permits_out == 0, "%d permits are out", r->permits_out);
    corpus_expect(r->permits.available_count == PERMITS, "%zu permits", r->permits.available_count);
    corpus_expect(r->put_count == r->taken_count + r->stock, "%d, but %d and %d", r->put_count,
            r->taken_count, r->stock);
    corpus_expect(r->barrier.arrived_count == 0, "%d wait", r->barrier.arrived_count);
    coil_barrier_fini(&r->barrier);
    coil_condition_fini(&r->changed);
    coil_semaphore_fini(&r->permits);
    coil_mutex_fini(&r->mutex);
}

async(int, use_room)
{
    vars(room r; int rc);

    open_room(&my->r);
    my->rc = coil_kernel_pipe(my->r.pipe_fds);
    if (my->rc < 0)
        return my->rc;
    switch (corpus_draw(4)) {
    case 0:
        await(my->rc, keep_shop(&my->r));
        break;
    case 1:
        await(my->rc, queue_up(&my->r));
        break;
    default:
        await(my->rc, be_there_together(&my->r));
        break;
    }
    (void)coil_kernel_close(my->r.pipe_fds[0]);
    (void)coil_kernel_close(my->r.pipe_fds[1]);
    close_room(&my->r);
    return my->rc;
}

CORPUS_MAIN(sync_main, use_room())

/* ---------------------------------------------------------------------------------- items -- */

enum { ITEMS = 50, GIVERS = 3, TAKERS = 4, SHELF = 4 };

typedef coil_queue_of(int) shelf_queue;
typedef coil_channel_of(int) hatch;

typedef struct market {
    shelf_queue queue;
    int shelf[SHELF];
    hatch hatch;
    coil_event is_closing;
    unsigned given[GIVERS * ITEMS];
    unsigned taken[GIVERS * ITEMS];
    int givers_left;
    bool is_closed;
} market;

static void take_item(market *m, int item)
{
    corpus_expect(item >= 0 && item < GIVERS * ITEMS, "item %d", item);
    corpus_expect(m->taken[item]++ == 0, "item %d is taken twice", item);
}

/* 0: given; else as the primitives have it. */
async(int, give_item, (market *) m, (const int *) item)
{
    vars(int rc; int which);

    switch (corpus_draw(3)) {
    case 0:
        await(my->rc, coil_queue_put(&m->queue, item));
        break;
    case 1:
        await(my->rc, coil_channel_send(&m->hatch, item));
        break;
    default:
        await(my->which, coil_select(coil_put_to(&m->queue, item), coil_send_to(&m->hatch, item)));
        my->rc = my->which < 0 ? my->which : 0;
        break;
    }
    if (my->rc == 0)
        m->given[*item]++; /* Here, where no cancellation comes between. */
    return my->rc;
}

async(int, give_items, (market *) m, (int) from)
{
    vars(int item; int end; int rc);

    defer({
        if (--m->givers_left == 0) {
            m->is_closed = true;
            coil_queue_close(&m->queue);
            coil_channel_close(&m->hatch);
        }
    });
    my->end = from + ITEMS;
    for (my->item = from; my->item < my->end;) {
        await(my->rc, within(corpus_deadline(40, coil_us(200)), give_item(m, &my->item)));
        if (my->rc < 0 && my->rc != -ETIME)
            return my->rc;
        if (m->given[my->item] > 0) {
            corpus_expect(m->given[my->item] == 1, "item %d is given twice", my->item);
            my->item++;
        }
    }
    return 0;
}

async(int, take_one, (market *) m)
{
    vars(int item; int which; int rcs[2]; int rc);

    switch (corpus_draw(3)) {
    case 0: /* Not for ever: what comes may all come the other way. */
        attempt(within(corpus_moment(coil_us(300)), coil_queue_get(&m->queue, &my->item)));
        take_item(m, my->item);
        return 0;
    case 1:
        attempt(within(corpus_moment(coil_us(300)), coil_channel_receive(&m->hatch, &my->item)));
        take_item(m, my->item);
        return 0;
    default:
        await(my->which, coil_select(coil_get_from(&m->queue, &my->item, &my->rcs[0]),
                                 coil_receive_from(&m->hatch, &my->item, &my->rcs[1])));
        if (my->which < 0)
            return my->which;
        if (my->rcs[my->which] == 0)
            take_item(m, my->item);
        return my->rcs[my->which];
    }
}

/* Until there will be no more: of the two sources, one may be closed and empty before the other. */
async(int, take_items, (market *) m)
{
    vars(int rc);

    for (;;) {
        await(my->rc, within(corpus_deadline(60, coil_us(300)), take_one(m)));
        if (my->rc == -EPIPE && coil_queue_count(&m->queue) == 0 &&
                coil_channel_count(&m->hatch) == 0)
            return 0;
        if (my->rc < 0 && my->rc != -ETIME && my->rc != -EPIPE)
            return my->rc;
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_us(100))));
    }
}

static void balance(market *m)
{
    int item;
    while (coil_queue_try_get(&m->queue, &item) == 0)
        take_item(m, item);
    for (int i = 0; i < GIVERS * ITEMS; i++)
        corpus_expect(m->given[i] == m->taken[i], "item %d is given %u times, taken %u times", i,
                m->given[i], m->taken[i]);
}

async(int, trade, (market *) m)
{
    vars(coil_group group; int i; int rc);

    open_group(&my->group);
    m->givers_left = GIVERS;
    for (my->i = 0; my->i < GIVERS; my->i++)
        spawn(&my->group, give_items(m, my->i * ITEMS));
    for (my->i = 0; my->i < TAKERS; my->i++)
        spawn(&my->group, take_items(m));
    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_ms(2))));
        return 0;
    }
    await(my->rc, coil_group_join(&my->group));
    corpus_expect_success(my->rc, false, "a market");
    return my->rc;
}

async(int, hold_market)
{
    vars(market m; int rc);

    coil_queue_init(&my->m.queue, my->m.shelf, SHELF);
    coil_channel_init(&my->m.hatch, NULL, 0);
    coil_event_init(&my->m.is_closing);
    await(my->rc, trade(&my->m));
    balance(&my->m);
    coil_queue_fini(&my->m.queue);
    coil_channel_fini(&my->m.hatch);
    coil_event_fini(&my->m.is_closing);
    return my->rc;
}

CORPUS_MAIN(exchange_main, hold_market())

/* ------------------------------------------------------------------------------- scenarios -- */

static void build_sync(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/sync", sync_main);
}

static void build_exchange(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/exchange", exchange_main);
}

const coil_sim_scenario scenario_sync = {.name = "sync", .build = build_sync};
const coil_sim_scenario scenario_exchange = {.name = "exchange", .build = build_exchange};
