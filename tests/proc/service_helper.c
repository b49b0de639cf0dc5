/* SPDX-License-Identifier: MIT */
/*
 * A service for the tests of the supervisor. Each argument is done in turn:
 *
 *     notify=TEXT   send it to NOTIFY_SOCKET; "\n" in it is a newline
 *     child=TEXT    the same from a child of its own
 *     newline=FD    write a newline there, and close it
 *     ready         say "ready" on stdout
 *     fill=BYTES    as many to stdout and to stderr, line by line
 *     deaf          ignore SIGTERM
 *     sleep=MS      for so long
 *     env=NAME      its value to stdout
 *     exit=STATUS   the end
 *     abort         another
 *     heir          start a child that stays, in the same group
 *     daemon        start one that forks twice, in a session of its own
 *
 * Then it waits for a signal; SIGTERM ends it with status 0.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static void on_term(int signo)
{
    (void)signo;
    _exit(0);
}

static void nap(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static void notify(const char *text)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
    } address = {.local = {.sun_family = AF_UNIX}};
    char message[512];
    size_t size = 0;
    const char *name = getenv("NOTIFY_SOCKET");

    if (name == NULL)
        exit(99);
    for (; *text != '\0' && size < sizeof(message); text++) {
        const int is_newline = text[0] == '\\' && text[1] == 'n';
        message[size++] = is_newline ? '\n' : *text;
        text += is_newline;
    }
    const size_t length = strlen(name);
    memcpy(address.local.sun_path, name, length);
    if (name[0] == '@')
        address.local.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sendto(fd, message, size, 0, &address.any,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        exit(98);
    (void)close(fd);
}

static void fill(long bytes)
{
    static const char line[] = "all work and no play makes jack a dull boy all work and no play\n";
    for (long written = 0; written < bytes; written += (long)sizeof(line) - 1) {
        if (write(1, line, sizeof(line) - 1) < 0 || write(2, line, sizeof(line) - 1) < 0)
            exit(97);
    }
}

/* It is there when this returns. */
static void become_parent_of_daemon(void)
{
    const pid_t between = fork();
    if (between > 0) {
        (void)waitpid(between, NULL, 0);
        return;
    }
    (void)setsid();
    if (fork() != 0)
        _exit(0);
    for (;;)
        (void)pause();
}

static const char *value(const char *argument, const char *name)
{
    const size_t size = strlen(name);
    return strncmp(argument, name, size) == 0 ? argument + size : NULL;
}

static void act(const char *what)
{
    const char *text;

    if ((text = value(what, "notify=")) != NULL) {
        notify(text);
    } else if ((text = value(what, "child=")) != NULL) {
        if (fork() == 0) {
            notify(text);
            _exit(0);
        }
        (void)wait(NULL);
    } else if ((text = value(what, "newline=")) != NULL) {
        const int fd = (int)strtol(text, NULL, 10);
        (void)!write(fd, "\n", 1);
        (void)close(fd);
    } else if ((text = value(what, "fill=")) != NULL) {
        fill(strtol(text, NULL, 10));
    } else if ((text = value(what, "sleep=")) != NULL) {
        nap(strtol(text, NULL, 10));
    } else if ((text = value(what, "env=")) != NULL) {
        printf("%s=%s\n", text, getenv(text) == NULL ? "(none)" : getenv(text));
        (void)fflush(stdout);
    } else if ((text = value(what, "exit=")) != NULL) {
        exit((int)strtol(text, NULL, 10));
    } else if (strcmp(what, "ready") == 0) {
        (void)!write(1, "ready\n", 6);
    } else if (strcmp(what, "deaf") == 0) {
        (void)signal(SIGTERM, SIG_IGN);
    } else if (strcmp(what, "abort") == 0) {
        abort();
    } else if (strcmp(what, "heir") == 0) {
        if (fork() == 0) {
            (void)signal(SIGTERM, SIG_DFL);
            for (;;)
                (void)pause();
        }
    } else if (strcmp(what, "daemon") == 0) {
        become_parent_of_daemon();
    } else {
        exit(96);
    }
}

/* Who is killed by one of these just ends: a report of a sanitizer would take a second. */
static void die_quietly(void)
{
    static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)signal(faults[i], SIG_DFL);
}

int main(int argc, char **argv)
{
    die_quietly();
    (void)signal(SIGTERM, on_term);
    for (int i = 1; i < argc; i++)
        act(argv[i]);
    for (;;)
        (void)pause();
}
