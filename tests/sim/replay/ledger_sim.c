/* SPDX-License-Identifier: MIT */
/* The ledger, and somebody who sends whole records. */
#include <coil/coil.h>
#include <coil/sim_scenario.h>

#include "ledger.h"

#include <coil/sugar.h>

static int accounts;

async(int, pay, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    attempt(coil_write_all(peer, accounts++ == 0 ? coil_text("1000") : coil_text("2000")));
    attempt(coil_stream_shutdown(peer));
    do {
        coil_slice_release(&my->in);
        attempt(my->in, coil_read_some(peer));
    } while (!coil_slice_empty(&my->in));
    return 0;
}

async(int, serve)
{
    vars(coil_listener *listener);
    const int rc = coil_listen("*:7000", NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_serve(my->listener, coil_handler(pay, coil_stream *)));
    return 0;
}

static int payer_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(serve()) < 0;
}

static char name[] = "ledger";
static char port[] = "7000";
static char address[] = "10.0.0.1";
static char *const arguments[] = {name, port, address, NULL};

static pid_t ledger_pid;

static void build(coil_sim *sim)
{
    accounts = 0;
    coil_sim_program(sim, "/usr/bin/payer", payer_main);
    coil_sim_program(sim, "/usr/bin/ledger", ledger_main);
    coil_sim_start(sim, "one", "/usr/bin/payer", NULL);
    ledger_pid = coil_sim_start(sim, "two", "/usr/bin/ledger", arguments);
}

async(int, direct, (coil_sim *) sim)
{
    vars();
    while (coil_sim_status(sim, ledger_pid) == -EBUSY)
        await(coil_sleep(coil_ms(10)));
    return 0;
}

static void check(coil_sim *sim)
{
    coil_sim_expect(
            sim, coil_sim_status(sim, ledger_pid) == 0, "%d", coil_sim_status(sim, ledger_pid));
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenario = {.name = "ledger",
            .build = build,
            .direct = coil_handler(direct, coil_sim *),
            .check = check,
            .limit = coil_s(60),
            .may_be_late = true};
    return coil_sim_main(argc, argv, &scenario, 1);
}
