/* SPDX-License-Identifier: MIT */
/*
 * Thousands of timers over many days: none is early, none is much too late, all of one time are
 * there; deadlines that are moved, and those of calls that are cancelled before.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { SLEEPERS = 400, SLEEPS = 3, MOVERS = 20 };

/* What a turn may take in a world in which many wake at once, and calls take time. */
#define SLACK coil_ms(200)

static struct {
    unsigned slept_count;
    unsigned called_count;
    int fds[2]; /* A pipe that nobody writes to. */
} ledger;

/* From a microsecond to some days, each order of magnitude alike. */
static coil_duration some_time(void)
{
    return corpus_moment((coil_duration)1000 << corpus_draw(39));
}

static void expect_time(coil_time due, const char *what)
{
    const coil_time now = coil_now();
    corpus_expect(now >= due, "%s is %ld ns early", what, (long)(due - now));
    corpus_expect(now <= due + SLACK, "%s is %ld ns late", what, (long)(now - due));
}

async(int, sleep_often)
{
    vars(coil_time due; int i; int rc);

    for (my->i = 0; my->i < SLEEPS; my->i++) {
        const coil_duration duration = some_time();
        my->due = coil_now() + duration;
        if (corpus_chance(50)) {
            await(coil_sleep(duration));
        } else {
            await(my->rc, within(duration, coil_poll(ledger.fds[0], POLLIN)));
            corpus_expect(my->rc == -ETIME || !corpus_is_fair(), "an empty pipe: %d", my->rc);
            if (my->rc != -ETIME)
                return my->rc;
        }
        expect_time(my->due, "a sleep");
        ledger.slept_count++;
    }
    return 0;
}

/* -------------------------------------------------------------------------- moved deadlines -- */

async(int, live_until, (coil_timeout *) timeout, (coil_duration) first)
{
    vars();

    coil_open_timeout(timeout, first);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

/* Moves it a few times; what counts is the last one. */
async(int, move_deadline, (coil_timeout *) timeout, (coil_time *) due)
{
    vars(int i);

    for (my->i = 0; my->i < 5; my->i++) {
        await(coil_sleep(corpus_moment(coil_ms(50))));
        const coil_duration more = coil_ms(60) + corpus_moment(coil_s(5));
        const int rc = coil_timeout_extend(timeout, more);
        if (rc < 0) {
            corpus_expect(rc == -ETIME || rc == -ENOENT, "moving a deadline: %d", rc);
            return 0;
        }
        *due = coil_now() + more;
    }
    return 0;
}

async(int, be_moved)
{
    vars(coil_timeout timeout; coil_group movers; coil_time due; int rc; coil_duration first);

    my->first = corpus_moment(coil_s(1));
    my->due = coil_now() + my->first;
    open_group(&my->movers);
    spawn(&my->movers, move_deadline(&my->timeout, &my->due));
    await(my->rc, live_until(&my->timeout, my->first));
    corpus_expect(my->rc == -ETIME, "a deadline that has passed: %d", my->rc);
    expect_time(my->due, "a moved deadline");
    return 0;
}

/* ----------------------------------------------------------------------------------- calls -- */

typedef struct ticker {
    coil_call call;
    coil_time due;
    unsigned count;
} ticker;

static void tick(coil_call *call)
{
    ticker *self = coil_container_of(call, ticker, call);
    self->due += coil_s(3600);
    expect_time(self->due, "an hour");
    self->count++;
    ledger.called_count++;
}

/* Every hour, for two days. */
async(int, tick_hourly)
{
    vars(ticker ticker);

    coil_call_init(&my->ticker.call, tick);
    my->ticker.due = coil_loop_now(coil_loop_of(coil_self));
    coil_call_every(coil_loop_of(coil_self), &my->ticker.call, coil_s(3600));
    defer(coil_call_cancel(&my->ticker.call));
    await(coil_sleep(coil_s(48 * 3600 + 60)));
    corpus_expect(my->ticker.count == 48, "%u hours in two days", my->ticker.count);
    return 0;
}

async(int, keep_time)
{
    vars(coil_group group; int i; int rc);

    my->rc = coil_kernel_pipe(ledger.fds);
    if (my->rc < 0)
        return my->rc;
    defer({
        (void)coil_kernel_close(ledger.fds[0]);
        (void)coil_kernel_close(ledger.fds[1]);
    });
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < SLEEPERS; my->i++)
        spawn(&my->group, sleep_often());
    for (my->i = 0; my->i < MOVERS; my->i++)
        spawn(&my->group, be_moved());
    spawn(&my->group, tick_hourly());
    ignore(coil_group_join(&my->group));
    corpus_expect(ledger.slept_count == SLEEPERS * SLEEPS || !corpus_is_fair(), "%u sleeps",
            ledger.slept_count);
    return 0;
}

CORPUS_MAIN(timers_main, keep_time())

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    (void)corpus_start(sim, "alpha", "/bin/timers", timers_main);
}

const coil_sim_scenario scenario_timers = {.name = "timers", .build = build, .limit = COIL_FOREVER};
