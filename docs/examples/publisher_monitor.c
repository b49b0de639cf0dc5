/* SPDX-License-Identifier: MIT */
/*
 * publisher_monitor - keep a number of publishers alive.
 *
 * Each is started, its output printed line by line, and asked for its status at an interval. One
 * that dies, does not answer within two seconds or does not say it is alive is replaced, after a
 * pause that doubles with each failure. SIGINT or SIGTERM stops them all, and then us.
 */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

struct publisher {
    unsigned number;
    const char *program;
    char port[8];
    char address[32];
    coil_duration interval; /* Between questions. */
    coil_time failed_at;    /* 0: it is well, or has never been. */
};

static coil_time started_at;

static double seconds_since(coil_time start)
{
    return (double)(coil_now() - start) / 1e9;
}

static void say(const struct publisher *publisher, const char *format, ...) COIL_PRINTF(2, 3);

static void say(const struct publisher *publisher, const char *format, ...)
{
    va_list values;
    printf("%7.3f monitor     | publisher %u ", seconds_since(started_at), publisher->number);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
}

/* Print what the publisher writes, a line at a time. */
async(int, tail_logs, (struct publisher *) publisher, (int) fd)
{
    vars(coil_stream *log; coil_slice line);

    int rc = coil_stream_create(fd, COIL_TRANSPORT_FILE, &my->log);
    if (rc < 0)
        return rc;
    defer(coil_stream_close(my->log));
    for (;;) {
        await(my->line, coil_read_until(my->log, '\n', 4096));
        if (my->line.size_bytes == -EMSGSIZE)
            attempt(my->line, coil_read_block(my->log, 4096)); /* A line without end: in pieces. */
        if (my->line.size_bytes <= 0)
            return (int)my->line.size_bytes;
        int size = (int)my->line.size_bytes;
        if (my->line.bytes[size - 1] == '\n')
            size--;
        printf("%7.3f publisher %u | %.*s\n", seconds_since(started_at), publisher->number, size,
                my->line.bytes);
        fflush(stdout);
        coil_slice_release(&my->line);
    }
}

async(int, get_status, (struct publisher *) publisher)
{
    vars(coil_thrift_client *client; int status);

    attempt(my->client, coil_thrift_connect(publisher->address));
    defer(coil_thrift_client_close(my->client));
    await(my->status, coil_fb303_get_status(my->client));
    return my->status;
}

async(int, until_alive, (struct publisher *) publisher)
{
    vars(int status);

    for (;;) {
        await(my->status, get_status(publisher));
        if (my->status == COIL_FB303_ALIVE)
            return my->status;
        await(coil_sleep(coil_ms(20)));
    }
}

/* Ends, and so ends the publisher, when that does not answer as it should. */
async(int, watchdog, (struct publisher *) publisher)
{
    vars(int status);

    await(my->status, within(coil_s(5), until_alive(publisher)));
    if (my->status == COIL_FB303_ALIVE && publisher->failed_at != 0)
        say(publisher, "is well again, after %.3f s", seconds_since(publisher->failed_at));
    while (my->status == COIL_FB303_ALIVE) {
        publisher->failed_at = 0;
        await(coil_sleep(publisher->interval));
        await(my->status, within(coil_s(2), get_status(publisher)));
    }
    if (my->status < 0) {
        say(publisher, "does not answer: %s", coil_error_text(my->status));
    } else {
        say(publisher, "says it is %s", coil_fb303_status_name(my->status));
    }
    return -EHOSTDOWN;
}

/* From its start to its end, whoever brings that about. */
async(int, run_publisher, (struct publisher *) publisher)
{
    vars(coil_child child; coil_group logs; coil_group checks; char how[COIL_EXIT_TEXT_BYTES]);
    coil_spawn_error error;
    const coil_spawn_plan plan = {
            .program = publisher->program,
            .argv = (const char *const[]){"publisher", "--port", publisher->port, NULL},
            .in = {COIL_STDIO_NULL, 0},
            .out = {COIL_STDIO_PIPE, 0},
            .err = {COIL_STDIO_MERGE, 0},
    };

    int rc = coil_child_spawn(&plan, &my->child, &error);
    if (rc < 0) {
        say(publisher, "does not start: %s", error.text);
        return rc;
    }
    say(publisher, "runs as process %d", my->child.pid);

    /* What ends when we end, in the order of these lines from the last to the first. */
    defer(coil_child_fini(&my->child));
    defer(say(publisher, "%s", coil_exit_format(&my->child.exit, my->how)));
    open_group(&my->logs);
    spawn(&my->logs, tail_logs(publisher, my->child.stdout_fd));
    my->child.stdout_fd = -1;                                        /* It is the stream's now. */
    defer(ignore(within(coil_ms(100), coil_group_join(&my->logs)))); /* To the last line. */
    defer(ignore(coil_child_stop(&my->child, coil_s(1))));
    open_group(&my->checks);
    spawn(&my->checks, watchdog(publisher));

    attempt(coil_child_wait(&my->child));
    return 0;
}

async(int, keep_running, (struct publisher *) publisher)
{
    vars(coil_duration backoff; coil_duration pause; coil_time since; int rc);

    for (my->backoff = coil_ms(100);;) {
        my->since = coil_now();
        await(my->rc, run_publisher(publisher));
        if (publisher->failed_at == 0)
            publisher->failed_at = coil_now();
        if (my->rc == -ENOENT || my->rc == -EACCES)
            return my->rc;

        if (coil_now() - my->since > coil_s(10))
            my->backoff = coil_ms(100);
        my->pause = my->backoff / 2 + random() % my->backoff; /* Not all of them at once. */
        say(publisher, "is started again in %.3f s", (double)my->pause / 1e9);
        await(coil_sleep(my->pause));
        if (my->backoff < coil_s(8))
            my->backoff *= 2;
    }
}

async(int, monitor, (struct publisher *) publishers, (unsigned) count)
{
    vars(coil_group group; coil_signals *signals; unsigned i; int signo);

    int rc = coil_signals_open(COIL_SIGNALS(SIGINT, SIGTERM), &my->signals);
    if (rc < 0)
        return rc;
    defer(coil_signals_close(my->signals));

    open_group(&my->group); /* Ends with us: all publishers are stopped first. */
    for (my->i = 0; my->i < count && my->group.error == 0; my->i++) {
        spawn(&my->group, keep_running(&publishers[my->i]));
        await(coil_yield()); /* If there is no such program, the first one says so for all. */
    }
    attempt(my->signo, coil_signals_next(my->signals));
    printf("%7.3f monitor     | %s: stopping\n", seconds_since(started_at), strsignal(my->signo));
    return 0;
}

/* The publisher that lies beside us, unless another one is named. */
static const char *find_publisher(char **argv, const struct options *options)
{
    static char path[4096];
    const char *slash = strrchr(argv[0], '/');

    if (options->arguments[0] != NULL)
        return options->arguments[0];
    if (slash == NULL)
        return "publisher";
    snprintf(path, sizeof(path), "%.*s/publisher", (int)(slash - argv[0]), argv[0]);
    return path;
}

int main(int argc, char **argv)
{
    const struct options options = read_options(argc, argv,
            "publisher_monitor [--count N] [--port P] [--interval S] [PUBLISHER]\n\n"
            "Keep N publishers running (3), on the ports from P (9090) on, and ask each for its\n"
            "status every S seconds (1). PUBLISHER is the program, `publisher` in the directory "
            "of\n"
            "this one. SIGINT or SIGTERM ends it.\n");
    struct publisher *publishers = calloc(options.count, sizeof(*publishers));

    for (unsigned i = 0; i < options.count; i++) {
        struct publisher *publisher = &publishers[i];
        publisher->number = i + 1;
        publisher->interval = coil_s(options.interval);
        publisher->program = find_publisher(argv, &options);
        snprintf(publisher->port, sizeof(publisher->port), "%u", options.port + i);
        snprintf(publisher->address, sizeof(publisher->address), "127.0.0.1:%u", options.port + i);
    }
    started_at = coil_now();
    srandom((unsigned)started_at);
    int rc = coil_run(monitor(publishers, options.count));
    free(publishers);
    return rc < 0;
}
