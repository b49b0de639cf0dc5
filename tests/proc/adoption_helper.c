/* SPDX-License-Identifier: MIT */
/*
 * What the test of coil/adoption.h starts and kills.
 *
 *     adoption_helper run DIRECTORY COUNT     a supervisor: `COUNT` children, each with a log; it
 *                                             takes those that are there, and starts the others
 *     adoption_helper stop DIRECTORY COUNT    the same, but ends them and says how they ended, in
 *                                             DIRECTORY/ends: "NUMBER STATUS"; 1000 and an errno,
 *                                             2000 and a signal
 *     adoption_helper child NUMBER [HOW]      says "start PID", then counts, a line at a time, in
 *                                             pieces; at SIGTERM it says "bye COUNT" and exits with
 *                                             1 + NUMBER modulo 100. HOW it is ready: "newline" on
 *                                             descriptor 9, or "notify", which feeds a watchdog,
 *                                             too; or "quiet", and says nothing but "start"
 */
#include <coil/adoption.h>
#include <coil/io.h>
#include <coil/loop.h>

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

enum { COUNT_MAX = 256, LINES_AT_A_TIME = 20 };

/* ----------------------------------------------------------------------------------- child -- */

static volatile sig_atomic_t is_told;

static void told(int signo)
{
    (void)signo;
    is_told = 1;
}

static void say(const char *text, size_t size_bytes)
{
    while (size_bytes > 0) {
        const ssize_t count = write(STDOUT_FILENO, text, size_bytes);
        if (count <= 0)
            exit(99); /* EPIPE: somebody has let go of the pipe. */
        text += count;
        size_bytes -= (size_t)count;
    }
}

/* To NOTIFY_SOCKET, which is abstract. */
static void notify(const char *text, int flags)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
    } address = {.local = {.sun_family = AF_UNIX}};
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL)
        exit(98);
    const size_t length = strlen(name);
    memcpy(address.local.sun_path + 1, name + 1, length - 1);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sendto(fd, text, strlen(text), flags, &address.any,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0 &&
            errno != EAGAIN)
        exit(97);
    (void)close(fd);
}

static int be_child(int number, const char *how)
{
    char line[64];
    const struct timespec pause = {0, 5000000};
    struct sigaction action = {.sa_handler = told, .sa_flags = SA_RESTART};
    (void)sigaction(SIGTERM, &action, NULL);
    say(line, (size_t)snprintf(line, sizeof(line), "start %d\n", getpid()));
    if (strcmp(how, "newline") == 0 && write(9, "\n", 1) != 1)
        exit(96);
    const int notifies = strcmp(how, "notify") == 0;
    if (notifies)
        notify("READY=1", 0);
    long count = 0;
    while (!is_told && strcmp(how, "quiet") == 0)
        (void)nanosleep(&pause, NULL);
    while (!is_told) {
        for (int i = 0; i < LINES_AT_A_TIME; i++) {
            const size_t size_bytes = (size_t)snprintf(line, sizeof(line), "%ld\n", count++);
            say(line, 1);
            say(line + 1, size_bytes - 1);
        }
        (void)nanosleep(&pause, NULL);
        if (notifies)
            notify("WATCHDOG=1", MSG_DONTWAIT); /* Without a supervisor ten of them wait. */
    }
    say(line, (size_t)snprintf(line, sizeof(line), "bye %ld\n", count));
    return 1 + number % 100;
}

/* ------------------------------------------------------------------------------ supervisor -- */

typedef struct service {
    coil_log *log;
    coil_child child;
    char name[16];
    bool runs;
} service;

typedef struct world {
    const char *directory;
    const char *self;
    int count;
    bool stops;
    coil_adoption *adoption;
    service services[COUNT_MAX];
} world;

static world here;

static int attach(service *one)
{
    int rc = 0;
    if (one->child.stdout_fd >= 0)
        rc = coil_log_attach(one->log, one->child.stdout_fd, "");
    one->child.stdout_fd = -1;
    return rc;
}

coil_async(int, open_log, (service *) one, (int) number)
{
    coil_vars(char path[256]; coil_log_options options; int rc);

    (void)snprintf(my->path, sizeof(my->path), "%s/%d.log", here.directory, number);
    my->options = (coil_log_options){.path = my->path,
            .rotate_bytes = 20000,
            .keep_files = 100000,
            .journal = coil_adoption_journal(here.adoption)};
    coil_await(my->rc, coil_log_open(&my->options, &one->log));
    return my->rc;
}

coil_async(int, start, (service *) one, (int) number)
{
    coil_vars(char text[16]; const char *argv[4]; coil_spawn_plan plan; int rc);

    (void)snprintf(my->text, sizeof(my->text), "%d", number);
    my->argv[0] = here.self;
    my->argv[1] = "child";
    my->argv[2] = my->text;
    my->plan = (coil_spawn_plan){.program = here.self,
            .argv = my->argv,
            .in = {COIL_STDIO_NULL, 0},
            .out = {COIL_STDIO_PIPE, 0},
            .group = COIL_SPAWN_GROUP_NEW};
    coil_attempt(coil_adoption_spawn(here.adoption, one->name, &my->plan, &one->child, NULL));
    one->runs = true;
    my->rc = attach(one);
    return my->rc;
}

/* One that has never begun is not there. */
coil_async(int, take_all)
{
    coil_vars(coil_adopted adopted; int number; int rc);

    while (coil_adoption_take(here.adoption, &my->adopted)) {
        my->number = atoi(my->adopted.name + 1); /* NOLINT(cert-err34-c) */
        if (my->number < 0 || my->number >= here.count || here.services[my->number].runs)
            return -EINVAL;
        if (my->adopted.child.exit.ended) {
            coil_child_fini(&my->adopted.child);
            coil_attempt(coil_adoption_forget(here.adoption, my->adopted.name));
            continue;
        }
        service *one = &here.services[my->number];
        one->child = my->adopted.child;
        one->runs = true;
        my->rc = attach(one);
        if (my->rc < 0)
            return my->rc;
    }
    return 0;
}

coil_async(int, stop_all, (FILE *) ends)
{
    coil_vars(int i; int rc);

    /* Who has said something knows what to do at a SIGTERM. */
    for (my->i = 0; my->i < here.count; my->i++) {
        while (coil_log_statistics(here.services[my->i].log).lines == 0)
            coil_await(coil_sleep(coil_ms(1)));
    }
    for (my->i = 0; my->i < here.count; my->i++)
        (void)coil_child_signal(&here.services[my->i].child, SIGTERM);
    for (my->i = 0; my->i < here.count; my->i++) {
        coil_await(my->rc, coil_child_wait(&here.services[my->i].child));
        const coil_exit *end = &here.services[my->i].child.exit;
        (void)fprintf(ends, "%d %d\n", my->i,
                my->rc < 0      ? 1000 - my->rc
                : end->signaled ? 2000 + end->code
                                : end->code);
        while (coil_log_attached_count(here.services[my->i].log) > 0)
            coil_await(coil_sleep(coil_ms(1)));
        coil_attempt(coil_adoption_forget(here.adoption, here.services[my->i].name));
        coil_attempt(coil_log_close(here.services[my->i].log));
        coil_child_fini(&here.services[my->i].child);
    }
    return 0;
}

coil_async(int, supervise, (const coil_adoption_options *) options)
{
    coil_vars(char reason[COIL_ADOPTION_TEXT_BYTES]; int i; char path[256]; FILE *ends);

    coil_attempt(coil_adoption_open(options, &here.adoption, my->reason));
    for (my->i = 0; my->i < here.count; my->i++) {
        (void)snprintf(here.services[my->i].name, 16, "s%d", my->i);
        coil_attempt(open_log(&here.services[my->i], my->i));
    }
    coil_attempt(take_all());
    for (my->i = 0; my->i < here.count; my->i++) {
        if (!here.services[my->i].runs)
            coil_attempt(start(&here.services[my->i], my->i));
    }
    while (!here.stops)
        coil_await(coil_sleep(coil_s(1)));
    (void)snprintf(my->path, sizeof(my->path), "%s/ends", here.directory);
    my->ends = fopen(my->path, "we");
    if (my->ends == NULL)
        return -EIO;
    coil_defer((void)fclose(my->ends));
    coil_attempt(stop_all(my->ends));
    coil_await(coil_adoption_close(here.adoption, COIL_KEEPER_ENDS));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "child") == 0)
        _exit(be_child(atoi(argv[2]), argc > 3 ? argv[3] : ""));
    /* No leak check: it is slow. */ /* NOLINT(cert-err34-c) */
    if (argc != 4)
        return 2;
    here.self = argv[0];
    here.stops = strcmp(argv[1], "stop") == 0;
    here.directory = argv[2];
    here.count = atoi(argv[3]); /* NOLINT(cert-err34-c) */
    const coil_adoption_options options = {
            .directory = argv[2], .patience = coil_s(30), .kills = true};
    const int rc = coil_run(supervise(&options));
    if (rc < 0)
        (void)fprintf(stderr, "adoption_helper %s: %s\n", argv[1], coil_error_name(rc));
    return rc < 0;
}
