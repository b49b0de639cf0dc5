/* SPDX-License-Identifier: MIT */
/*
 * publisher_monitor, for 30 days, with publishers that crash, hang, lie, fill their logs and do not
 * listen to SIGTERM. Its code and that of publisher.c are compiled as they are (CMakeLists.txt).
 *
 * What must hold: never do two publishers run; one that fails is replaced in time, and no other is;
 * whatever a publisher has written is printed; no zombie stays; memory does not grow.
 */
#include "simulated.h"

#include <coil/coil.h>
#include <coil/sim_network.h>
#include <coil/sim_scenario.h>

#include <malloc.h>
#include <stdlib.h>

#include <coil/sugar.h>

enum { DAY_COUNT = 30, LOG_BYTES = 2 << 20, LOGS = 64, PIECE_BYTES = 4096 };

/*
 * From a failure to the start of the next one: it is asked, has 2 s to answer (5 s at first), 1 s
 * to end; the pause between starts is at most 30 s. And a moment.
 */
#define PROMISE (coil_s(known.interval_s) + coil_s(5 + 1) + coil_s(30) + coil_s(1))

/* What the scenario knows. */
static struct {
    int interval_s; /* Between the questions of the monitor. */
    pid_t monitor;
    pid_t publisher;
    bool is_real;        /* It is publisher.c, and does nothing wrong by itself. */
    coil_time failed_at; /* 0: it has not. */
    bool is_ending;
    unsigned start_count;
    uint64_t line_count;
    unsigned latest; /* Of the logs. */
} known;

/*
 * What the latest publishers have written, without ends of lines. A publisher is replaced at once,
 * while what it wrote last is still on its way.
 */
static struct written_log {
    char bytes[LOG_BYTES];
    size_t seen;    /* How much of it has been printed, ... */
    size_t sure;    /* ... how much has reached the pipe, ... */
    size_t written; /* ... and how much is about to. */
} logs[LOGS];

static struct written_log *latest_log(void)
{
    return &logs[known.latest % LOGS];
}

/* ----------------------------------------------------------------------------------- the log -- */

/* The pipe takes a piece of this size at once, or not at all (pipe(7), PIPE_BUF). */
static void write_piece(const char *text, size_t size_bytes)
{
    struct written_log *log = latest_log();

    coil_sim_expect(coil_sim_current(), log->written + size_bytes <= LOG_BYTES);
    for (size_t i = 0; i < size_bytes; i++) {
        if (text[i] != '\n')
            log->bytes[log->written++] = text[i];
    }
    while (size_bytes > 0) {
        const ssize_t count = coil_kernel_write(2, text, size_bytes);
        if (count < 0)
            return; /* The monitor has gone. */
        text += count;
        size_bytes -= (size_t)count;
    }
    log->sure = log->written;
}

/* A line of the monitor: if it is one of the log, "  1.234 publisher 1 | text\n", then of ours. */
static void hear(const char *line)
{
    const char *text = strstr(line, " publisher 1 | ");

    if (text == NULL)
        return;
    text += strlen(" publisher 1 | ");
    const size_t size_bytes = strcspn(text, "\n");
    for (unsigned age = LOGS; age-- > 0;) { /* The oldest first. */
        struct written_log *log = &logs[(known.latest + LOGS - age) % LOGS];
        if (log->seen + size_bytes <= log->written &&
                memcmp(log->bytes + log->seen, text, size_bytes) == 0) {
            log->seen += size_bytes;
            known.line_count++;
            return;
        }
    }
    coil_sim_fail(coil_sim_current(), "a line from nowhere, or one is lost before: %s", text);
}

void coil_sim_vprint(FILE *stream, const char *format, va_list values)
{
    char text[2 * PIECE_BYTES + 256]; /* Not static: a write lets others run. */
    int size = vsnprintf(text, sizeof(text), format, values);

    if (size >= (int)sizeof(text))
        size = (int)sizeof(text) - 1;
    if (stream == stderr) {
        write_piece(text, (size_t)size);
    } else {
        hear(text);
    }
}

/* ------------------------------------------------------------------------- bad publishers -- */

static coil_duration some_time(coil_duration most)
{
    return (coil_duration)coil_sim_random(coil_sim_current(), (uint64_t)most);
}

static void fail_now(void)
{
    if (known.failed_at == 0)
        known.failed_at = coil_sim_now(coil_sim_current());
}

static void be_deaf(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
}

static void fill_log(void)
{
    char line[200];

    for (int i = 0; i < 3000; i++) {
        memset(line, 'a' + i % 26, sizeof(line));
        line[100 + i % 99] = '\n';
        write_piece(line, (size_t)(101 + i % 99));
    }
    for (int i = 0; i < 50; i++) /* And a line without end. */
        write_piece(line, 99);
}

/* Does not return to the loop in some cases: it is a bad one. */
static void do_harm(coil_fb303_service *fb303)
{
    fail_now();
    switch (coil_sim_random(coil_sim_current(), 6)) {
    case 0:
        (void)coil_kernel_raise(SIGSEGV);
        break;
    case 1:
        (void)coil_kernel_raise(SIGSTOP); /* It hangs. */
        break;
    case 2:
        fill_log();
        exit(7);
    case 3:
        be_deaf();
        break;
    default:
        break;
    }
    static const int lies[] = {
            COIL_FB303_DEAD, COIL_FB303_STARTING, COIL_FB303_STOPPING, COIL_FB303_STOPPED};
    fb303->status = lies[coil_sim_random(coil_sim_current(), 4)];
}

async(int, pretend, (const char *) port)
{
    vars(coil_listener *listener; coil_thrift_service *services[1]; coil_thrift_server server;
            coil_group group; coil_fb303_service fb303; char address[32]);

    snprintf(my->address, sizeof(my->address), "127.0.0.1:%s", port);
    const int rc = coil_listen(my->address, NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    coil_fb303_service_init(&my->fb303, "pretender", "0");
    defer(coil_fb303_service_fini(&my->fb303));
    my->services[0] = &my->fb303.thrift;
    my->server.services = my->services;
    my->server.service_count = 1;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    await(coil_sleep(some_time(4 * coil_s(3600))));
    do_harm(&my->fb303);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

static int hang(void)
{
    be_deaf();
    return coil_run(coil_sleep(COIL_FOREVER)) < 0;
}

static int bad_main(int argc, char **argv)
{
    const uint64_t way = coil_sim_random(coil_sim_current(), 6);
    if (way < 2)
        fail_now();
    if (way == 0)
        return 3;
    if (way == 1)
        return hang();
    const int rc = coil_run(pretend(argv[argc - 1]));
    fail_now(); /* Its port may still be taken. */
    return rc < 0;
}

/* What is at /usr/bin/publisher: one time this, one time that. */
static int some_publisher_main(int argc, char **argv)
{
    coil_sim *sim = coil_sim_current();
    const coil_time now = coil_sim_now(sim);

    if (known.start_count++ > 0) {
        coil_sim_expect(sim, coil_sim_status(sim, known.publisher) != -EBUSY,
                "two publishers run: %d and %d", (int)known.publisher, (int)coil_kernel_getpid());
        coil_sim_expect(sim, known.failed_at != 0 || coil_sim_fault_count(sim, NULL) > 0,
                "a publisher was replaced for nothing");
        coil_sim_expect(sim, known.failed_at == 0 || now - known.failed_at < PROMISE,
                "replaced after %lld ms", (long long)(now - known.failed_at) / 1000000);
    }
    known.publisher = coil_kernel_getpid();
    known.failed_at = 0;
    known.latest++;
    coil_sim_expect(sim, latest_log()->seen >= latest_log()->sure, "%zu bytes of a log are lost",
            latest_log()->sure - latest_log()->seen);
    latest_log()->seen = latest_log()->sure = latest_log()->written = 0;
    known.is_real = coil_sim_random(sim, 2) == 0;
    if (!known.is_real)
        return bad_main(argc, argv);
    const int rc = publisher_main(argc, argv);
    fail_now();
    return rc;
}

/* ------------------------------------------------------------------------------- 30 days -- */

/* What is done to a publisher that does nothing wrong by itself. */
static void harm_publisher(coil_sim *sim)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGSTOP, SIGTERM};

    if (!known.is_real || known.failed_at != 0 || coil_sim_random(sim, 4) != 0)
        return;
    fail_now();
    (void)coil_sim_kill(sim, known.publisher, signals[coil_sim_random(sim, 4)]);
}

static void look(coil_sim *sim)
{
    const coil_duration late = known.failed_at == 0 ? 0 : coil_sim_now(sim) - known.failed_at;

    coil_sim_expect(sim, coil_sim_status(sim, known.monitor) == -EBUSY, "the monitor has ended");
    coil_sim_expect(sim, late < PROMISE, "nobody replaces a publisher that has failed");
    coil_sim_expect(sim, coil_sim_process_count(sim) <= 3, "%zu processes, zombies among them",
            coil_sim_process_count(sim));
}

async(int, direct, (coil_sim *) sim)
{
    vars(coil_time end; size_t memory_bytes; size_t now_bytes);

    await(coil_sleep(coil_s(86400)));
    my->memory_bytes = mallinfo2().uordblks;
    my->end = coil_now() + (DAY_COUNT - 1) * coil_s(86400);
    while (coil_now() < my->end) {
        await(coil_sleep(some_time(coil_s(3600))));
        look(sim);
        harm_publisher(sim);
    }
    my->now_bytes = mallinfo2().uordblks;
    coil_sim_expect(sim, my->now_bytes < my->memory_bytes + (1 << 20),
            "memory has grown from %zu to %zu bytes", my->memory_bytes, my->now_bytes);
    (void)coil_sim_kill(sim, known.monitor, SIGTERM);
    while (coil_sim_status(sim, known.monitor) == -EBUSY)
        await(coil_sleep(coil_ms(10)));
    return 0;
}

static void build_with(coil_sim *sim, int interval_s)
{
    char interval[16];
    char *const arguments[] = {(char[]){"/usr/bin/publisher_monitor"}, (char[]){"--count"},
            (char[]){"1"}, (char[]){"--interval"}, interval, NULL};

    memset(&known, 0, sizeof(known));
    memset(logs, 0, sizeof(logs));
    known.interval_s = interval_s;
    snprintf(interval, sizeof(interval), "%d", interval_s);
    coil_sim_program(sim, "/usr/bin/publisher", some_publisher_main);
    coil_sim_program(sim, "/usr/bin/publisher_monitor", publisher_monitor_main);
    known.monitor = coil_sim_start(sim, "alpha", "/usr/bin/publisher_monitor", arguments);
}

static void build(coil_sim *sim)
{
    build_with(sim, 10);
}

static void build_busy(coil_sim *sim)
{
    build_with(sim, 1);
}

static void check(coil_sim *sim)
{
    coil_sim_expect(sim, coil_sim_status(sim, known.monitor) == 0, "the monitor has ended with %d",
            coil_sim_status(sim, known.monitor));
    coil_sim_expect(sim, known.start_count > DAY_COUNT, "%u starts in all", known.start_count);
    coil_sim_expect(sim, coil_sim_process_count(sim) <= 2, "publishers outlive the monitor");
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenarios[] = {
            {.name = "monitor",
                    .build = build,
                    .direct = coil_handler(direct, coil_sim *),
                    .check = check,
                    .limit = (DAY_COUNT + 2) * coil_s(86400)},
            {.name = "every-second",
                    .build = build_busy,
                    .direct = coil_handler(direct, coil_sim *),
                    .check = check,
                    .limit = (DAY_COUNT + 2) * coil_s(86400)},
    };
    return coil_sim_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
