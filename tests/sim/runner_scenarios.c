/* SPDX-License-Identifier: MIT */
/*
 * Scenarios for the tests of the runner: sound ones, and one for each way in which a run can fail.
 * tests/sim/runner_test.cc runs this program as a user would.
 */
#include <coil/sim_network.h>
#include <coil/sim_scenario.h>

#include <coil/coil.h>
#include <coil/kernel.h>
#include <coil/sugar.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    vars();
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
    int *volatile nowhere = NULL;
    (void)argc, (void)argv;
    (void)coil_run(naps(3));
    return *nowhere;
}

static int careless(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)coil_run(naps(3));
    COIL_CHECK(coil_sim_current() == NULL); /* There is one. */
    return 0;
}

static int closer(int argc, char **argv)
{
    const int fd = coil_kernel_eventfd();
    (void)argc, (void)argv;
    (void)coil_kernel_close(-1); /* Nobody's. */
    (void)coil_kernel_close(fd);
    (void)coil_kernel_close(fd);
    return 0;
}

/* Only AddressSanitizer sees it. */
static int late_reader(int argc, char **argv)
{
    char *volatile memory = malloc(10);
    (void)argc, (void)argv;
    if (memory == NULL)
        return 0;
    memory[0] = 0;
    free(memory);
    return memory[0]; /* NOLINT(clang-analyzer-unix.Malloc) */
}

static int hanger(int argc, char **argv)
{
    volatile bool is_true = true;
    (void)argc, (void)argv;
    while (is_true) {
    }
    return 0;
}

/* A third of a second of a processor, however long that takes. */
static int toiler(int argc, char **argv)
{
    struct timespec used = {0};
    (void)argc, (void)argv;
    while (used.tv_sec == 0 && used.tv_nsec < 300000000)
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
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

/* It takes for granted that what was sent at once comes at once. */
async(int, hears_half, (coil_stream *) stream)
{
    vars(ssize_t count; char text[5]; int i);
    for (my->i = 0; my->i < 20; my->i++) {
        attempt(coil_write_all(stream, coil_text("hello")));
        attempt(my->count, coil_recv(coil_stream_fd(stream), my->text, sizeof(my->text), 0));
        coil_sim_expect(coil_sim_current(), my->count == 5, "%zd bytes", my->count);
    }
    return 0;
}

async(int, repeats, (coil_stream *) stream)
{
    vars(coil_slice heard);
    defer(coil_slice_release(&my->heard));
    for (;;) {
        attempt(my->heard, coil_read_some(stream));
        if (coil_slice_empty(&my->heard))
            return 0;
        attempt(coil_write_all(stream, my->heard));
        coil_slice_release(&my->heard);
    }
}

async(int, talks_to_itself)
{
    vars(coil_stream *one; coil_stream *other; coil_group group; int rc);
    my->rc = coil_stream_pair(&my->one, &my->other);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_stream_close(my->one);
        coil_stream_close(my->other);
    });
    open_group(&my->group);
    spawn(&my->group, repeats(my->other));
    attempt(hears_half(my->one));
    attempt(coil_stream_shutdown(my->one));
    attempt(coil_group_join(&my->group));
    return 0;
}

static int hasty(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(talks_to_itself()) < 0;
}

/* ----------------------------------------------------------------------------- the other bug -- */

static int balance;

/* It takes for granted that nobody runs in its middle: one turn of the other thread is enough. */
static void deposit(coil_kernel_thread *thread)
{
    (void)thread;
    for (int i = 0; i < 10; i++) {
        const int before = balance;
        (void)coil_kernel_now();
        balance = before + 1;
    }
}

static int bank(int argc, char **argv)
{
    (void)argc, (void)argv;
    coil_kernel_thread threads[2] = {{.run = deposit}, {.run = deposit}};
    balance = 0;
    for (int i = 0; i < 2; i++)
        COIL_CHECK(coil_kernel_thread_start(&threads[i]) == 0);
    for (int i = 0; i < 2; i++)
        coil_kernel_thread_join(&threads[i]);
    coil_sim_expect(coil_sim_current(), balance == 20, "%d", balance);
    return 0;
}

/* ----------------------------------------------------------------------------------- power -- */

/* Nothing of it is synced. */
async(int, writes_and_waits)
{
    vars(char page[4096]; int fd; int i);
    attempt(my->fd, coil_openat(AT_FDCWD, "/tmp/journal", O_RDWR | O_CREAT, 0600));
    for (my->i = 0; my->i < 8; my->i++) {
        memset(my->page, 'a' + my->i, sizeof(my->page));
        attempt(coil_pwrite_all(
                my->fd, my->page, sizeof(my->page), my->i * (off_t)sizeof(my->page)));
    }
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

static int writer(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(writes_and_waits()) < 0;
}

async(int, cuts_power, (coil_sim *) sim)
{
    vars();
    await(coil_sleep(coil_s(1)));
    coil_sim_cut_power(sim, "one");
    coil_sim_fail(sim, "as it is meant to");
    return 0;
}

/* ------------------------------------------------------------------------------- scenarios -- */

static void start(coil_sim *sim, const char *path, int (*main)(int, char **))
{
    coil_sim_program(sim, path, main);
    coil_sim_start(sim, "one", path, NULL);
}

static void build_sound(coil_sim *sim)
{
    start(sim, "/bin/sleeper", sleeper);
    start(sim, "/bin/other", sleeper);
}

static void check_sound(coil_sim *sim)
{
    coil_sim_expect(sim, coil_sim_now(sim) < coil_s(2 * 86400));
    coil_sim_expect(sim, coil_sim_random(sim, 7) < 7, "%d", 7);
}

async(int, kills_and_restarts, (coil_sim *) sim)
{
    vars(pid_t pid);
    await(coil_sleep(coil_s(3)));
    my->pid = coil_sim_start(sim, "two", "/bin/server", NULL);
    await(coil_sleep(coil_s(3)));
    coil_sim_kill(sim, my->pid, SIGKILL);
    await(coil_sleep(coil_s(1)));
    coil_sim_expect(sim, coil_sim_status(sim, my->pid) == -SIGKILL);
    coil_sim_cut_power(sim, "one");
    await(coil_sleep(coil_s(1)));
    coil_sim_expect(sim, strcmp(coil_sim_address(sim, "two"), "10.0.0.3") == 0);
    return 0;
}

/* A builder of a world with one program. */
#define BUILD(name, path, main)             \
    static void build_##name(coil_sim *sim) \
    {                                       \
        start(sim, path, main);             \
    }

BUILD(server, "/bin/server", server)
BUILD(hasty, "/bin/hasty", hasty)
BUILD(crash, "/bin/crasher", crasher)
BUILD(check, "/bin/careless", careless)
BUILD(closes_twice, "/bin/closer", closer)
BUILD(late_read, "/bin/late-reader", late_reader)
BUILD(hang, "/bin/hanger", hanger)
BUILD(toil, "/bin/toiler", toiler)
BUILD(stuck, "/bin/stuck", stuck)
BUILD(leak, "/bin/leaker", leaker)
BUILD(bank, "/bin/bank", bank)
BUILD(power, "/bin/writer", writer)

/* Which faults a seed has: the tests look that they differ. */
static void build_weather(coil_sim *sim)
{
    const char *name;
    for (size_t i = 0; (name = coil_sim_fault_name(i)) != NULL; i++)
        coil_sim_expect(sim, coil_sim_fault_count(sim, name) == 0, "%s", name);
    build_sound(sim);
}

static void check_weather(coil_sim *sim)
{
    const char *name;
    printf("faults: ");
    for (size_t i = 0; (name = coil_sim_fault_name(i)) != NULL; i++) {
        if (coil_sim_fault_count(sim, name) > 0)
            printf("%s ", name);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenarios[] = {
            {.name = "sound", .build = build_sound, .check = check_sound},
            {.name = "talk", .build = build_hasty},
            {.name = "weather", .build = build_weather, .check = check_weather},
            {.name = "director",
                    .build = build_server,
                    .direct = coil_handler(kills_and_restarts, coil_sim *),
                    .may_be_late = true},
            {.name = "hang", .build = build_hang},
            {.name = "toil", .build = build_toil},
            {.name = "crash", .build = build_crash},
            {.name = "check", .build = build_check},
            {.name = "closes-twice", .build = build_closes_twice},
            {.name = "late-read", .build = build_late_read},
            {.name = "stuck", .build = build_stuck},
            {.name = "late", .build = build_sound, .limit = coil_ms(20)},
            {.name = "leak", .build = build_leak},
            {.name = "bank", .build = build_bank},
            {.name = "power",
                    .build = build_power,
                    .direct = coil_handler(cuts_power, coil_sim *),
                    .may_be_late = true},
            {.name = "leak-allowed", .build = build_leak, .may_leak = true},
    };
    return coil_sim_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
