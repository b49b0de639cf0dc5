/* SPDX-License-Identifier: MIT */
/*
 * A program whose loop is blocked, or is not, in one of several ways: `watchdog_child <way>`. What
 * its watchdog says goes to stderr. (watchdog_test.cc)
 */
#include <coil/dump.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>
#include <coil/watchdog.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <coil/sugar.h>

enum { BLOCK_MS = 300 };

/* Not inlined, not a tail call: it is to be seen on the stack. */
__attribute__((noinline)) static int sleep_in_the_kernel(coil_time end)
{
    coil_duration left;
    while ((left = end - coil_kernel_now()) > 0) { /* A signal ends it early. */
        const struct timespec pause = {left / coil_s(1), left % coil_s(1)};
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

__attribute__((noinline)) static int spin_in_a_loop(coil_time end)
{
    int count = 0;
    while (coil_kernel_now() < end)
        count++;
    return count == 0;
}

static coil_time after_ms(int64_t duration_ms)
{
    return coil_time_after(coil_kernel_now(), coil_ms(duration_ms));
}

async(int, sleeps_inside)
{
    vars(int rc);
    await(coil_sleep(coil_ms(1)));
    my->rc = sleep_in_the_kernel(after_ms(BLOCK_MS));
    await(coil_yield()); /* What the time is is known again. */
    await(coil_sleep(coil_ms(200)));
    return my->rc;
}

async(int, spins_inside)
{
    vars(int rc);
    await(coil_sleep(coil_ms(1)));
    my->rc = spin_in_a_loop(after_ms(BLOCK_MS));
    await(coil_yield()); /* What the time is is known again. */
    await(coil_sleep(coil_ms(200)));
    return my->rc;
}

async(int, calls, (const char *) way)
{
    vars();
    if (strcmp(way, "sleep") == 0)
        attempt(sleeps_inside());
    else
        attempt(spins_inside());
    return 0;
}

async(int, blocks_before_any_await)
{
    vars(int rc);
    my->rc = sleep_in_the_kernel(after_ms(BLOCK_MS));
    await(coil_sleep(coil_ms(1)));
    return my->rc;
}

async(int, waits)
{
    vars();
    await(coil_sleep(coil_ms(400)));
    return 0;
}

/* Busy for a long time in steps of 2 ms: several tasks, none of which lets the loop wait. */
async(int, takes_short_steps)
{
    vars(coil_time end);
    for (my->end = after_ms(400); coil_kernel_now() < my->end;) {
        (void)spin_in_a_loop(after_ms(2));
        await(coil_yield());
    }
    return 0;
}

async(int, takes_steps_of_three)
{
    vars(coil_group group);
    open_group(&my->group);
    for (int i = 0; i < 3; i++)
        spawn(&my->group, takes_short_steps());
    attempt(coil_group_join(&my->group));
    return 0;
}

/* --------------------------------------------------------------------------------- dumping -- */

async(int, session, (int) fd)
{
    vars(char byte; ssize_t count);
    attempt(my->count, coil_read(fd, &my->byte, 1));
    return 0;
}

async(int, is_dumped)
{
    vars(int ends[2]; coil_group sessions);
    const int rc = coil_kernel_pipe(my->ends);
    if (rc < 0)
        return rc;
    open_group(&my->sessions);
    spawn(&my->sessions, session(my->ends[0]));
    spawn(&my->sessions, coil_sleep(coil_s(100)));
    await(coil_sleep(coil_ms(10)));
    (void)raise(SIGUSR2);
    await(coil_sleep(coil_ms(100)));
    return 0;
}

async(int, is_dumped_while_blocked)
{
    vars(int rc);
    await(coil_sleep(coil_ms(1)));
    (void)raise(SIGUSR2);
    my->rc = sleep_in_the_kernel(after_ms(1400));
    await(coil_yield()); /* What the time is is known again. */
    await(coil_sleep(coil_ms(200)));
    return my->rc;
}

/* ----------------------------------------------------------------------------------- churn -- */

async(int, blocks_now_and_then)
{
    vars(int i);
    for (my->i = 0; my->i < 4; my->i++) {
        (void)spin_in_a_loop(after_ms(3));
        await(coil_sleep(coil_ms(1)));
    }
    return 0;
}

static void come_and_go(coil_kernel_thread *thread)
{
    (void)thread;
    for (int i = 0; i < 20; i++) {
        if (coil_run(blocks_now_and_then()) != 0)
            abort();
    }
}

/* Loops come and go in several threads, while they are reported and dumped all the time. */
static int churn(void)
{
    coil_kernel_thread threads[3] = {0};
    for (int i = 0; i < 3; i++) {
        threads[i].run = come_and_go;
        if (coil_kernel_thread_start(&threads[i]) < 0)
            return 5;
    }
    for (int i = 0; i < 200; i++) {
        coil_dump_request();
        (void)spin_in_a_loop(after_ms(1));
    }
    for (int i = 0; i < 3; i++)
        coil_kernel_thread_join(&threads[i]);
    return 0;
}

/* More loops that rest than fit into a report, and then one that runs. */
static int crowd(void)
{
    coil_loop *loops[15];
    for (int i = 0; i < 15; i++) {
        if (coil_loop_create(&loops[i], NULL) < 0)
            return 5;
    }
    const int rc = coil_run(is_dumped());
    for (int i = 0; i < 15; i++)
        coil_loop_destroy(loops[i]);
    return rc;
}

/* ------------------------------------------------------------------------------------ main -- */

static void report_to_stdout(coil_watchdog_hook *hook, const char *text, size_t size_bytes)
{
    (void)hook;
    (void)!write(STDOUT_FILENO, text, size_bytes);
}

static coil_watchdog_hook to_stdout = {report_to_stdout};

static int run(const char *way)
{
    if (strcmp(way, "sleep") == 0 || strcmp(way, "spin") == 0)
        return coil_run(calls(way));
    if (strcmp(way, "first") == 0)
        return coil_run(blocks_before_any_await());
    if (strcmp(way, "wait") == 0)
        return coil_run(waits());
    if (strcmp(way, "short") == 0)
        return coil_run(takes_steps_of_three());
    if (strcmp(way, "dump") == 0)
        return coil_run(is_dumped());
    if (strcmp(way, "dump-blocked") == 0)
        return coil_run(is_dumped_while_blocked());
    if (strcmp(way, "dump-crowd") == 0)
        return crowd();
    if (strcmp(way, "churn") == 0)
        return churn();
    return 2;
}

/* watchdog_child <way> [once] [hook] [blind] [plain] [soon] [dump] */
int main(int argc, char **argv)
{
    coil_watchdog_options options = {.threshold = coil_ms(50)};
    const bool watched = argc > 2 && strcmp(argv[2], "dump") != 0;
    for (int i = 2; i < argc; i++) {
        options.once |= strcmp(argv[i], "once") == 0;
        options.without_signal |= strcmp(argv[i], "blind") == 0;
        options.without_lines |= strcmp(argv[i], "plain") == 0;
        if (strcmp(argv[i], "soon") == 0)
            options.threshold = coil_ms(1);
        if (strcmp(argv[i], "hook") == 0)
            options.hook = &to_stdout;
        if (strcmp(argv[i], "dump") == 0 && coil_dump_on_signal(SIGUSR2) < 0)
            return 3;
    }
    if (watched && coil_watchdog_start(&options) < 0)
        return 4;
    const int rc = run(argc > 1 ? argv[1] : "");
    coil_watchdog_stop();
    return rc;
}
