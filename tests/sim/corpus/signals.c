/* SPDX-License-Identifier: MIT */
/*
 * Signals from outside: a standard one arrives at least once after it was sent, a real-time one as
 * often as it was sent; whoever waits for them is cancelled now and then, and loses none. Handlers
 * are called beside that.
 */
#include "corpus.h"

#include <coil/sugar.h>

#define COUNTED (SIGRTMIN + 3)

static struct {
    pid_t pid;
    unsigned counted_sent, counted_taken;
    unsigned usr1_sent, usr1_taken;
    unsigned hup_sent, hup_called;
    bool is_ready;
    bool is_over;
} ledger;

typedef struct reloader {
    coil_signal_handler handler;
} reloader;

static void reload(coil_signal_handler *handler)
{
    corpus_expect(handler->signo == SIGHUP, "signal %d for the handler of SIGHUP", handler->signo);
    ledger.hup_called++;
}

async(int, take_signals, (coil_signals *) signals)
{
    vars(int signo);

    for (;;) {
        await(my->signo, within(corpus_deadline(50, coil_ms(1)), coil_signals_next(signals)));
        if (my->signo == -ETIME)
            continue;
        if (my->signo < 0)
            return my->signo;
        if (my->signo == COUNTED) {
            ledger.counted_taken++;
        } else if (my->signo == SIGUSR1) {
            ledger.usr1_taken++;
        } else {
            corpus_expect(my->signo == SIGTERM, "signal %d was not asked for", my->signo);
            return 0;
        }
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(2))));
    }
}

async(int, listen_to_signals)
{
    vars(coil_signals *signals; reloader reloader; int rc);

    my->rc = coil_signals_open(coil_signal_set_join(COIL_SIGNALS(SIGUSR1, SIGTERM),
                                       coil_signal_set_of(coil_signal_bit(COUNTED))),
            &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    my->reloader.handler.run = reload;
    my->rc = coil_signal_handler_add(coil_loop_of(coil_self), SIGHUP, &my->reloader.handler);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signal_handler_remove(&my->reloader.handler));
    ledger.is_ready = true;
    defer(ledger.is_over = true);
    attempt(take_signals(my->signals));
    return 0;
}

CORPUS_MAIN(listener_main, listen_to_signals())

async(int, direct, (coil_sim *) sim)
{
    vars(unsigned i);

    while (!ledger.is_ready && coil_sim_status(sim, ledger.pid) == -EBUSY)
        await(coil_sleep(coil_ms(1)));
    for (my->i = 0; my->i < 40 && !ledger.is_over; my->i++) {
        switch (corpus_draw(4)) {
        case 0:
            ledger.usr1_sent += coil_sim_kill(sim, ledger.pid, SIGUSR1) == 0;
            break;
        case 1:
            ledger.hup_sent += coil_sim_kill(sim, ledger.pid, SIGHUP) == 0;
            break;
        default:
            ledger.counted_sent += coil_sim_kill(sim, ledger.pid, COUNTED) == 0;
            break;
        }
        await(coil_sleep(corpus_moment(coil_us(400))));
    }
    await(coil_sleep(coil_ms(500)));
    (void)coil_sim_kill(sim, ledger.pid, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.pid = corpus_start(sim, "alpha", "/bin/listener", listener_main);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.pid, "the listener");
    coil_sim_expect(sim, ledger.counted_taken <= ledger.counted_sent, "%u of %u",
            ledger.counted_taken, ledger.counted_sent);
    coil_sim_expect(sim, ledger.usr1_taken <= ledger.usr1_sent, "%u of %u", ledger.usr1_taken,
            ledger.usr1_sent);
    coil_sim_expect(sim, ledger.hup_called <= ledger.hup_sent, "%u of %u", ledger.hup_called,
            ledger.hup_sent);
    if (!corpus_is_fair())
        return;
    coil_sim_expect(sim, ledger.counted_taken == ledger.counted_sent, "%u of %u were taken",
            ledger.counted_taken, ledger.counted_sent);
    coil_sim_expect(sim, (ledger.usr1_taken > 0) == (ledger.usr1_sent > 0), "SIGUSR1 is lost");
    coil_sim_expect(sim, (ledger.hup_called > 0) == (ledger.hup_sent > 0), "SIGHUP is lost");
}

const coil_sim_scenario scenario_signals = {.name = "signals",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
