/* SPDX-License-Identifier: MIT */
/*
 * Scenarios for the tests of the runner: sound ones, and one for each way in which a run can fail.
 * tests/sim/runner_test.cc runs this program as a user would.
 */
#include <coil/sim_network.h>
#include <coil/sim_scenario.h>

#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdlib.h>
#include <string.h>
#include <signal.h>

/* -------------------------------------------------------------------------------- programs -- */

async(int, naps, (int) count)
{
    vars(int i);
    for (my->i = 0; my->i < count; my->i++)
        await(coil_sleep(coil_ms(10)));
    return 0;
}

async(int, naps_in_company)
{
    vars(coil_group group; int i);
    open_group(&my->group);
    for (my->i = 0; my->i < 5; my->i++)
        spawn(&my->group, naps(10 + my->i));
    attempt(coil_group_join(&my->group));
    return 0;
}

static int sleeper(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(naps_in_company()) < 0;
}

async(int, sleeps_for_ever)
{
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

static int server(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(sleeps_for_ever()) < 0;
}

static int crasher(int argc, char **argv)
{
    volatile int *nowhere = NULL;
    (void)argc, (void)argv;
    (void)coil_run(naps(3));
    return *nowhere;
}

static int hanger(int argc, char **argv)
{
    volatile bool is_true = true;
    (void)argc, (void)argv;
    while (is_true) {
    }
    return 0;
}

async(int, waits_for_nobody)
{
    vars(coil_event event);
    coil_event_init(&my->event);
    await(coil_event_wait(&my->event));
    return 0;
}

static int stuck(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(waits_for_nobody()) < 0;
}

static int leaker(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *volatile kept = malloc(10);
    return kept == NULL;
}

/* --------------------------------------------------------------------------------- the bug -- */

/* It takes for granted that all bytes come at once: a short read breaks it. */
async(int, says_hello, (int) port)
{
    vars(coil_stream *stream; char text[16]);
    (void)port;
    await(coil_sleep(coil_ms(1)));
    return 0;
}

/* ------------------------------------------------------------------------------- scenarios -- */

static pid_t start(coil_sim *sim, const char *path, int (*main)(int, char **))
{
    coil_sim_program(sim, path, main);
    return coil_sim_start(sim, "one", path, NULL);
}

static void build_sound(coil_sim *sim)
{
    start(sim, "/bin/sleeper", sleeper);
    start(sim, "/bin/other", sleeper);
}

static void check_sound(coil_sim *sim)
{
    coil_sim_expect(sim, coil_sim_now(sim) < coil_s(2 * 86400));
}

static void build_server(coil_sim *sim)
{
    start(sim, "/bin/server", server);
}

async(int, kills_and_restarts, (coil_sim *) sim)
{
    vars(pid_t pid);
    await(coil_sleep(coil_s(3)));
    my->pid = coil_sim_start(my->sim, "two", "/bin/server", NULL);
    await(coil_sleep(coil_s(3)));
    coil_sim_kill(my->sim, my->pid, SIGKILL);
    await(coil_sleep(coil_s(1)));
    coil_sim_expect(my->sim, coil_sim_process_count(my->sim) >= 2);
    coil_sim_cut_power(my->sim, "one");
    await(coil_sleep(coil_s(1)));
    return 0;
}

static void build_crash(coil_sim *sim)
{
    start(sim, "/bin/crasher", crasher);
}

static void build_hang(coil_sim *sim)
{
    start(sim, "/bin/hanger", hanger);
}

static void build_stuck(coil_sim *sim)
{
    start(sim, "/bin/stuck", stuck);
}

static void build_late(coil_sim *sim)
{
    start(sim, "/bin/server", server);
}

static void build_leak(coil_sim *sim)
{
    start(sim, "/bin/leaker", leaker);
}
