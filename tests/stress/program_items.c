/* SPDX-License-Identifier: MIT */
#include "programs.h"

#include <coil/sugar.h>

/* ------------------------------------------------------------------------------------ items -- */

/* {0, 0}: there are no more. */
static parcel offer(void)
{
    if (world.item_count == ITEMS_MAX)
        return (parcel){0};
    parcel made = {.number = ++world.item_count, .urgency = toss(4)};
    world.fates[made.number] = (item_fate){.offered = true};
    return made;
}

/* The call that offered it is over: 0, it has been put; else it has not, whatever happened. */
static void settle(const parcel *offered, int rc)
{
    item_fate *fate = &world.fates[offered->number];
    if (offered->number == 0)
        return;
    EXPECT(fate->offered && !fate->put && !fate->withdrawn);
    if (rc == 0) {
        fate->put = true;
        return;
    }
    EXPECT(!fate->taken);
    fate->withdrawn = true;
}

static void take(const parcel *taken)
{
    EXPECT(taken->number > 0 && taken->number <= world.item_count);
    item_fate *fate = &world.fates[taken->number];
    EXPECT(fate->offered && !fate->withdrawn && !fate->taken);
    fate->taken = true;
}

/* Whoever was not given an item finds its place untouched. */
static void settle_taking(const parcel *place, bool known)
{
    EXPECT(known || place->number == 0);
}

/* ----------------------------------------------------------------------------------- queues -- */

enum { NOT_YET = 1 };

async(int, run_put, (size_t) which)
{
    vars(parcel item; line_entry entry; int rc);
    my->item = offer();
    if (my->item.number == 0)
        return 0;
    line_enter(&world.putters[which], &my->entry, coil_self, 1);
    my->rc = NOT_YET;
    defer(line_leave(&my->entry); settle(&my->item, my->rc));
    await(my->rc, coil_queue_put_untyped(world.queues[which], &my->item));
    line_served(&world.putters[which], &my->entry);
    EXPECT(my->rc == 0 || my->rc == -EPIPE || (my->rc == -ENOMEM && world.failing));
    EXPECT(my->rc != -EPIPE || world.queues[which]->closed);
    return my->rc;
}

static void note_finished(size_t which)
{
    if (world.queues[which]->count == 0 && world.undone_counts[which] == 0)
        world.finished_counts[which]++;
}

static void finish_item(size_t which)
{
    EXPECT(world.undone_counts[which] > 0);
    world.undone_counts[which]--;
    note_finished(which);
    coil_queue_item_done_untyped(world.queues[which]);
}

async(int, run_get, (size_t) which, (bool) works)
{
    vars(parcel item; line_entry entry; int rc);
    line_enter(&world.getters[which], &my->entry, coil_self, 1);
    my->rc = NOT_YET;
    defer(line_leave(&my->entry); settle_taking(&my->item, my->rc == 0));
    await(my->rc, coil_queue_get_untyped(world.queues[which], &my->item));
    line_served(&world.getters[which], &my->entry);
    EXPECT(my->rc == 0 || (my->rc == -EPIPE && world.queues[which]->closed));
    if (my->rc < 0)
        return my->rc;
    take(&my->item);
    world.undone_counts[which]++;
    defer(finish_item(which));
    if (works)
        await(coil_sleep(coil_us(500)));
    return 0;
}

static void try_put(size_t which)
{
    parcel item = offer();
    if (item.number == 0)
        return;
    int rc = coil_queue_try_put_untyped(world.queues[which], &item);
    EXPECT(rc == 0 || rc == -EAGAIN || rc == -EPIPE || (rc == -ENOMEM && world.failing));
    settle(&item, rc);
}

static void try_get(size_t which)
{
    parcel item = {0};
    int rc = coil_queue_try_get_untyped(world.queues[which], &item);
    EXPECT(rc == 0 || rc == -EAGAIN || rc == -EPIPE);
    settle_taking(&item, rc == 0);
    if (rc < 0)
        return;
    take(&item);
    world.undone_counts[which]++;
    finish_item(which);
}

static void try_one(const node *n)
{
    size_t which = n->lots[0] % QUEUES;
    parcel item = {0};
    int rc;

    switch (n->lots[1] % 4) {
    case 0:
        try_put(which);
        break;
    case 1:
        try_get(which);
        break;
    case 2:
        item = offer();
        rc = item.number == 0 ? NOT_YET : coil_channel_try_send(&world.channels[which / 2], &item);
        settle(&item, rc);
        break;
    default:
        rc = coil_channel_try_receive(&world.channels[which / 2], &item);
        settle_taking(&item, rc == 0);
        if (rc == 0)
            take(&item);
        break;
    }
}

async(int, run_join, (size_t) which)
{
    vars(line_entry entry; uint64_t finished; int rc);
    note_finished(which);
    my->finished = world.finished_counts[which];
    if (world.queues[which]->count == 0 && world.undone_counts[which] == 0)
        my->finished--; /* It is so now. */
    line_enter(&world.joiners[which], &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(my->rc, coil_queue_join_untyped(world.queues[which]));
    line_served(&world.joiners[which], &my->entry);
    EXPECT(my->rc == 0 && world.finished_counts[which] > my->finished);
    return 0;
}

static void close_one(const node *n)
{
    size_t which = n->lots[0] % (QUEUES + CHANNELS);
    if (which >= QUEUES)
        coil_channel_close(&world.channels[which - QUEUES]);
    else if (n->lots[1] % 2)
        coil_queue_close_untyped(world.queues[which]);
    else if (world.queues[which] == &world.urgent.queue)
        coil_queue_shutdown(&world.urgent, take);
    else if (world.queues[which] == &world.fifo.queue)
        coil_queue_shutdown(&world.fifo, take);
    if (which < QUEUES)
        note_finished(which);
}

/* --------------------------------------------------------------------------------- channels -- */

async(int, run_send, (size_t) which)
{
    vars(parcel item; line_entry entry; int rc);
    my->item = offer();
    if (my->item.number == 0)
        return 0;
    line_enter(&world.senders[which], &my->entry, coil_self, 1);
    my->rc = NOT_YET;
    defer(line_leave(&my->entry); settle(&my->item, my->rc));
    await(my->rc, coil_channel_send(&world.channels[which], &my->item));
    line_served(&world.senders[which], &my->entry);
    EXPECT(my->rc == 0 || (my->rc == -EPIPE && world.channels[which].channel.closed));
    return my->rc;
}

async(int, run_receive, (size_t) which)
{
    vars(parcel item; line_entry entry; int rc);
    line_enter(&world.receivers[which], &my->entry, coil_self, 1);
    my->rc = NOT_YET;
    defer(line_leave(&my->entry); settle_taking(&my->item, my->rc == 0));
    await(my->rc, coil_channel_receive(&world.channels[which], &my->item));
    line_served(&world.receivers[which], &my->entry);
    EXPECT(my->rc == 0 || (my->rc == -EPIPE && world.channels[which].channel.closed));
    if (my->rc == 0)
        take(&my->item);
    return my->rc;
}

/* One case takes place, or none: of the others nothing has happened. */
enum { RECEIVED, SENT, GOT, PUT, HAPPENED, CHANGED, CASES };

typedef struct selection {
    parcel items[4];
    int rcs[CASES];
    uint64_t seen;
    int which;
} selection;

static void settle_selection(const selection *s)
{
    bool known = s->which >= 0;
    for (int i = 0; i < CASES; i++)
        EXPECT((known && i == s->which) || s->rcs[i] == NOT_YET);
    settle_taking(&s->items[RECEIVED], s->which == RECEIVED && s->rcs[RECEIVED] == 0);
    settle_taking(&s->items[GOT], s->which == GOT && s->rcs[GOT] == 0);
    settle(&s->items[SENT], s->which == SENT ? s->rcs[SENT] : NOT_YET);
    settle(&s->items[PUT], s->which == PUT ? s->rcs[PUT] : NOT_YET);
}

static void use_selection(const selection *s)
{
    int rc = s->rcs[s->which];
    EXPECT(rc == 0 || rc == -EPIPE || (rc == -ENOMEM && world.failing));
    if (s->which == CHANGED && rc == 0)
        EXPECT(s->seen == world.watch.watch.version);
    if (rc < 0 || (s->which != RECEIVED && s->which != GOT))
        return;
    take(&s->items[s->which]);
    if (s->which != GOT)
        return;
    world.undone_counts[0]++;
    finish_item(0);
}

static void begin_selection(selection *s, unsigned wanted)
{
    for (int i = 0; i < CASES; i++)
        s->rcs[i] = NOT_YET;
    s->which = -1;
    if (wanted & (1u << SENT))
        s->items[SENT] = offer();
    if (wanted & (1u << PUT))
        s->items[PUT] = offer();
    s->seen = coil_watch_version(&world.watch);
}

#define WANTED(what) ((wanted & (1u << (what))) != 0)

async(int, run_select, (unsigned) wanted, (size_t) channel)
{
    vars(selection s; int which);
    begin_selection(&my->s, wanted);
    defer(settle_selection(&my->s));
    await(my->s.which,
            coil_select(coil_select_if(WANTED(RECEIVED),
                                coil_receive_from(&world.channels[channel], &my->s.items[RECEIVED],
                                        &my->s.rcs[RECEIVED])),
                    coil_select_if(my->s.items[SENT].number != 0,
                            coil_send_to(&world.channels[!channel], &my->s.items[SENT],
                                    &my->s.rcs[SENT])),
                    coil_select_if(WANTED(GOT),
                            coil_get_from(&world.fifo, &my->s.items[GOT], &my->s.rcs[GOT])),
                    coil_select_if(my->s.items[PUT].number != 0,
                            coil_put_to(&world.growing, &my->s.items[PUT], &my->s.rcs[PUT])),
                    coil_select_if(WANTED(HAPPENED), coil_wait_until_set(&world.event)),
                    coil_select_if(WANTED(CHANGED),
                            coil_change_of(&world.watch, &my->s.seen, &my->s.rcs[CHANGED]))));
    EXPECT(my->s.which == -EPIPE || (my->s.which >= 0 && my->s.which < CASES));
    if (my->s.which < 0)
        return 0;
    if (my->s.which == HAPPENED)
        my->s.rcs[HAPPENED] = 0;
    use_selection(&my->s);
    return 0;
}

/* -------------------------------------------------------------------------------- broadcast -- */

async(int, run_broadcast)
{
    vars(uint64_t number; line_entry entry; int rc);
    my->number = ++world.sent;
    line_enter(&world.feed_line, &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(my->rc, coil_broadcast_send(&world.feed, &my->number));
    line_served(&world.feed_line, &my->entry);
    EXPECT(my->rc >= 0 && my->rc <= (int)world.task_count);
    return 0;
}

/* One number, waited for alone or in a select with the event. Result: how many were missed. */
async(int, hear, (coil_subscriber *) who, (uint64_t *) out_number, (bool) selects)
{
    vars(int which; int missed);
    if (selects) {
        await(my->which, coil_select(coil_wait_until_set(&world.event),
                                 coil_hear_from(&world.feed, who, out_number, &my->missed)));
        return my->which == 0 ? -EIO : my->missed;
    }
    await(my->missed, coil_broadcast_receive(&world.feed, who, out_number));
    return my->missed;
}

/*
 * The numbers that were sent, in their order, none left out but those that it is told of. What it
 * does not know, because a send was cancelled, is where the position is: so that is looked up.
 */
async(int, run_subscriber, (unsigned) count)
{
    vars(coil_subscriber subscriber; uint64_t last; uint64_t number; uint64_t begun; int missed;
            unsigned i);
    coil_broadcast_subscribe(&world.feed, &my->subscriber);
    defer(coil_broadcast_unsubscribe(&my->subscriber));
    my->begun = my->subscriber.position;
    for (; my->i < count; my->i++) {
        my->number = 0;
        await(my->missed, within(coil_ms(2), hear(&my->subscriber, &my->number, count % 3 == 0)));
        EXPECT((my->missed >= 0) == (my->number != 0));
        if (my->missed < 0)
            return 0;
        EXPECT(my->number > my->last && my->number <= world.sent);
        EXPECT(my->missed == 0 || world.feed.broadcast.policy == COIL_BROADCAST_LAG);
        my->begun += (uint64_t)my->missed + 1;
        EXPECT(my->begun == my->subscriber.position);
        my->last = my->number;
        if (count % 2)
            await(coil_sleep(coil_us(500)));
    }
    return 0;
}

/* --------------------------------------------------------------------------- watch, loader -- */

async(int, run_watch)
{
    vars(uint64_t seen; uint64_t before; line_entry entry; int rc);
    my->seen = my->before = coil_watch_version(&world.watch);
    line_enter(&world.watch_line, &my->entry, coil_self, my->seen);
    defer(line_leave(&my->entry));
    await(my->rc, coil_watch_changed(&world.watch, &my->seen));
    line_served(&world.watch_line, &my->entry);
    EXPECT(my->rc == 0 && my->seen > my->before);
    EXPECT(my->seen == coil_watch_version(&world.watch));
    EXPECT(my->seen == *coil_watch_borrow(&world.watch));
    return 0;
}

static void set_watch(void)
{
    uint64_t number = coil_watch_version(&world.watch) + 1;
    int rc = coil_watch_set(&world.watch, &number);
    EXPECT(rc == 0 && coil_watch_version(&world.watch) == number);
}

static bool has_number(uint32_t key)
{
    return key % 4 != 3;
}

coil_define(int, fetch_numbers, (number_batch *) batch)
{
    vars(size_t i);
    world.entered++;
    world.fetching_count++;
    defer(world.left++; world.fetching_count--);
    EXPECT(batch->count >= 1 && batch->count <= 4);
    if (toss(4) > 0)
        await(coil_sleep(briefly(toss(5))));
    if (toss(6) == 0)
        return -EDOM;
    for (my->i = 0; my->i < batch->count; my->i++) {
        EXPECT(batch->keys[my->i] < KEYS);
        EXPECT(my->i == 0 || batch->keys[my->i] != batch->keys[my->i - 1]);
        if (!has_number(batch->keys[my->i]))
            continue;
        batch->values[my->i] = batch->keys[my->i] * 3 + 1;
        batch->statuses[my->i] = 0;
    }
    return 0;
}

async(int, run_load, (uint32_t) key)
{
    vars(uint32_t key; uint32_t number; line_entry entry; int rc);
    my->key = key;
    line_enter(&world.load_line, &my->entry, coil_self, key);
    defer(line_leave(&my->entry));
    may_fail(coil_self);
    await(my->rc, coil_loader_load(&world.loader, &my->key, &my->number));
    must_not_fail();
    EXPECT(my->rc <= 0 && result_is_known(my->rc));
    EXPECT(my->rc != -EPIPE || world.loader.loader.closed);
    EXPECT(my->number == (my->rc == 0 ? key * 3 + 1 : 0));
    EXPECT(my->rc != 0 || has_number(key));
    EXPECT(my->rc != -ENOENT || !has_number(key));
    return my->rc;
}

static void clear_loader(unsigned lot)
{
    uint32_t key = lot % KEYS;
    if (world.loader.loader.closed)
        return;
    if (lot % 5 == 0)
        coil_loader_clear_all(&world.loader);
    else
        coil_loader_clear(&world.loader, &key);
}

/* --------------------------------------------------------------------------------- promises -- */

static int promised(size_t which)
{
    return 7 * (int)which + 1;
}

static void check_promise(size_t which, int rc)
{
    const int_future *promise = &world.promises[which];
    EXPECT(promise->future.done && promise->future.error == rc);
    EXPECT(rc == -EDOM || (rc == 0 && promise->value == promised(which)));
}

async(int, run_promise, (size_t) which)
{
    vars(line_entry entry; int rc);
    line_enter(&world.promise_lines[which], &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(my->rc, coil_future_wait(&world.promises[which]));
    line_served(&world.promise_lines[which], &my->entry);
    check_promise(which, my->rc);
    return my->rc;
}

static void set_promise(const node *n)
{
    size_t which = n->lots[0] % PROMISES;
    bool done = world.promises[which].future.done;
    int rc = n->lots[1] % 3 == 0 ? coil_future_fail(&world.promises[which], -EDOM)
                                 : coil_future_set(&world.promises[which], promised(which));
    EXPECT(rc == (done ? -EALREADY : 0));
}

static void check_wait(coil_wait_mode mode, int rc)
{
    bool all_done = true;
    bool any_failed = false;
    for (size_t i = 0; i < PROMISES; i++) {
        all_done = all_done && world.promises[i].future.done;
        any_failed =
                any_failed || (world.promises[i].future.done && world.promises[i].future.error);
    }
    EXPECT(rc <= PROMISES);
    if (rc == PROMISES)
        EXPECT(all_done && mode != COIL_FIRST_COMPLETED);
    else
        EXPECT(mode != COIL_ALL_COMPLETED && world.promises[rc].future.done);
    if (mode == COIL_FIRST_ERROR)
        EXPECT(rc == PROMISES ? !any_failed : world.promises[rc].future.error < 0);
}

async(int, run_wait_many, (coil_wait_mode) mode)
{
    vars(line_entry entry; int rc);
    line_enter(&world.any_line, &my->entry, coil_self, mode);
    defer(line_leave(&my->entry));
    may_fail(coil_self);
    await(my->rc, coil_wait(world.promise_list, PROMISES, mode));
    must_not_fail();
    if (my->rc < 0) {
        EXPECT(my->rc == -ENOMEM && world.failing);
        return 0;
    }
    check_wait(mode, my->rc);
    return 0;
}

typedef struct arrivals {
    coil_completions completions;
    coil_future_watch watches[PROMISES];
    bool seen[PROMISES];
} arrivals;

static void begin_arrivals(arrivals *a)
{
    coil_completions_init(&a->completions);
    for (size_t i = 0; i < PROMISES; i++)
        coil_completions_add(&a->completions, &a->watches[i], &world.promises[i].future);
}

static void end_arrivals(arrivals *a)
{
    for (size_t i = 0; i < PROMISES; i++)
        coil_completions_remove(&a->watches[i]);
    EXPECT(a->completions.pending_count == 0);
    EXPECT(coil_list_empty(&a->completions.done));
}

/* Each promise once. Then, or when it is cut, nothing is left behind. */
async(int, run_completions)
{
    vars(arrivals a; coil_future *next; size_t i; size_t count);
    begin_arrivals(&my->a);
    defer(end_arrivals(&my->a));
    for (;;) {
        await(my->next, within(coil_ms(3), coil_completions_next(&my->a.completions)));
        if (my->next == NULL || coil_pointer_error(my->next) < 0)
            break;
        for (my->i = 0; world.promise_list[my->i] != my->next; my->i++)
            EXPECT(my->i < PROMISES - 1);
        EXPECT(my->next->done && !my->a.seen[my->i]);
        my->a.seen[my->i] = true;
        my->count++;
    }
    EXPECT(my->next == NULL ? my->count == PROMISES : coil_pointer_error(my->next) == -ETIME);
    return 0;
}

/* ------------------------------------------------------------------------------- all of it -- */

static void act_on_items(const node *n)
{
    switch (n->kind) {
    case DO_TRY:
        try_one(n);
        break;
    case DO_CLOSE:
        close_one(n);
        break;
    case DO_WATCH_SET:
        set_watch();
        break;
    case DO_LOADER_CLEAR:
        clear_loader(n->lots[0]);
        break;
    case DO_PROMISE_SET:
        set_promise(n);
        break;
    default:
        broken("a kind that is about items", __FILE__, __LINE__);
    }
}

void help_items(void)
{
    static const node_kind helpful[] = {DO_TRY, DO_TRY, DO_TRY, DO_WATCH_SET, DO_PROMISE_SET};
    node n = {.kind = helpful[toss(5)], .lots = {toss(60), toss(60), toss(60)}};
    act_on_items(&n);
}

coil_define(int, run_items, (node *) n, (env *) me)
{
    vars(int rc);
    (void)me;
    switch (n->kind) {
    case DO_PUT:
        await(my->rc, run_put(n->lots[0] % QUEUES));
        break;
    case DO_GET:
        await(my->rc, run_get(n->lots[0] % QUEUES, n->lots[1] % 2));
        break;
    case DO_JOIN:
        await(my->rc, run_join(n->lots[0] % QUEUES));
        break;
    case DO_SEND:
        await(my->rc, run_send(n->lots[0] % CHANNELS));
        break;
    case DO_RECEIVE:
        await(my->rc, run_receive(n->lots[0] % CHANNELS));
        break;
    case DO_SELECT:
        await(my->rc, run_select(n->lots[0] % (1u << CASES), n->lots[1] % CHANNELS));
        break;
    case DO_BROADCAST:
        await(my->rc, run_broadcast());
        break;
    case DO_SUBSCRIBE:
        await(my->rc, run_subscriber(1 + n->lots[0] % 5));
        break;
    case DO_WATCH_WAIT:
        await(my->rc, run_watch());
        break;
    case DO_LOAD:
        await(my->rc, run_load(n->lots[0] % KEYS));
        break;
    case DO_PROMISE_WAIT:
        await(my->rc, run_promise(n->lots[0] % PROMISES));
        break;
    case DO_WAIT_MANY:
        await(my->rc, run_wait_many((coil_wait_mode)(n->lots[0] % 3)));
        break;
    case DO_COMPLETIONS:
        await(my->rc, run_completions());
        break;
    default:
        act_on_items(n);
        break;
    }
    return my->rc;
}
