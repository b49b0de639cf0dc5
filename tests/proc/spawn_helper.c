/* SPDX-License-Identifier: MIT */
/*
 * The program that the spawn tests run.
 *
 *     spawn_helper report [...]     everything a child can see of itself, as lines of KEY=VALUE
 *     spawn_helper say OUT ERR      OUT to stdout, then ERR to stderr
 *     spawn_helper cat              stdin to stdout, until the end of file
 *     spawn_helper exit STATUS
 *     spawn_helper pause            until a signal ends it
 *     spawn_helper stubborn         says "ready", ignores SIGTERM, pauses
 *     spawn_helper polite STATUS    says "ready", exits with STATUS at SIGTERM
 *     spawn_helper spew BYTES       as many to stdout, each its offset modulo 251
 *     spawn_helper heir             ends at once, but leaves a child that holds stdout, and says
 *                                   "end" there when stdin ends
 *     spawn_helper burn MS          computes for so long
 *     spawn_helper bomb             says "ready", and forks for ever, as do those that it forks
 *     spawn_helper family RELATION...
 *                                   starts one process for each, says its number, then "ready",
 *                                   and pauses. `child`; `orphan`, whose parent has ended; `leader`
 *                                   of a session; `daemon`, an orphan and leader; `stubborn-`
 *                                   before it: ignores SIGTERM; `mother`: has a stubborn child,
 *                                   whose number comes after hers; `headless`: its main thread has
 *                                   ended, another one lives
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void report_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char target[PATH_MAX];
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] == '.' || fd == dirfd(directory))
            continue;
        ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        target[size < 0 ? 0 : size] = '\0';
        printf("fd.%d=%s\n", fd, target);
        printf("nonblock.%d=%d\n", fd, (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    }
    (void)closedir(directory);
}

/* The lines of /proc/self/status that are about signals and privileges, `SigBlk:\t0` as `SigBlk=0`.
 */
static void report_status(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL)
        return;
    while (fgets(line, sizeof(line), status) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || (strncmp(line, "Sig", 3) != 0 && strncmp(line, "NoNewPrivs", 10) != 0))
            continue;
        *colon = '\0';
        printf("%s=%s", line, colon + 1 + strspn(colon + 1, " \t"));
    }
    (void)fclose(status);
}

static void report_ids(void)
{
    int death_signal = -1;
    (void)prctl(PR_GET_PDEATHSIG, &death_signal);
    printf("death_signal=%d\n", death_signal);
    printf("pid=%d\nppid=%d\npgid=%d\nsid=%d\n", getpid(), getppid(), getpgrp(), getsid(0));
    printf("uid=%u\neuid=%u\ngid=%u\negid=%u\n", getuid(), geteuid(), getgid(), getegid());
    printf("groups=%d\n", getgroups(0, NULL));
}

static void report_places(void)
{
    char directory[PATH_MAX];
    struct rlimit limit = {0, 0};

    if (getcwd(directory, sizeof(directory)) != NULL)
        printf("cwd=%s\n", directory);
    mode_t mask = umask(0);
    (void)umask(mask);
    printf("umask=%03o\n", mask);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    printf("nofile=%llu:%llu\n", (unsigned long long)limit.rlim_cur,
            (unsigned long long)limit.rlim_max);
}

static int report(int count, char **arguments)
{
    report_fds(); /* First, before anything here opens a file. */
    report_status();
    report_ids();
    report_places();
    for (int i = 0; i < count; i++)
        printf("arg.%d=%s\n", i, arguments[i]);
    for (char **variable = environ; *variable != NULL; variable++)
        printf("env.%s\n", *variable);
    return 0;
}

static int copy(void)
{
    char bytes[4096];
    ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
    for (; size > 0; size = read(STDIN_FILENO, bytes, sizeof(bytes))) {
        if (write(STDOUT_FILENO, bytes, (size_t)size) != size)
            return 1;
    }
    return size < 0;
}

static int say(const char *out, const char *err)
{
    return write(STDOUT_FILENO, out, strlen(out)) < 0 || write(STDERR_FILENO, err, strlen(err)) < 0;
}

static int polite_status;

static void exit_politely(int signo)
{
    (void)signo;
    _exit(polite_status);
}

static int wait_for_signals(void (*at_sigterm)(int))
{
    (void)signal(SIGTERM, at_sigterm);
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        return 1;
    for (;;)
        (void)pause();
}

static int spew(size_t left)
{
    char bytes[251 * 64];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 251);
    for (size_t sent = 0; left > 0;) {
        size_t rest = sizeof(bytes) - sent;
        ssize_t count = write(STDOUT_FILENO, bytes + sent, left < rest ? left : rest);
        if (count < 0)
            return 1;
        left -= (size_t)count;
        sent = (sent + (size_t)count) % sizeof(bytes);
    }
    return 0;
}

static int leave_an_heir(void)
{
    char byte;
    if (fork() != 0)
        return 0;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return write(STDOUT_FILENO, "end\n", 4) != 4;
}

static int burn(long milliseconds)
{
    volatile unsigned long long sum = 0;
    while (clock() < milliseconds * (CLOCKS_PER_SEC / 1000))
        sum = sum + 1;
    return 0;
}

/* None of them hears SIGTERM; and none lives for more than 20 seconds, whatever the test does. */
static int bomb(void)
{
    (void)signal(SIGTERM, SIG_IGN);
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        return 1;
    (void)alarm(20);
    for (;;) {
        const pid_t child = fork();
        if (child == 0)
            (void)alarm(20);
        if (child < 0)
            (void)usleep(1000);
    }
}

static void announce(int to, pid_t daughter)
{
    char lines[64];
    int size = snprintf(lines, sizeof(lines), "%d\n", (int)getpid());
    if (daughter > 0)
        size += snprintf(lines + size, sizeof(lines) - (size_t)size, "%d\n", (int)daughter);
    if (write(to, lines, (size_t)size) != size)
        _exit(3);
}

/* Has a stubborn child. */
static pid_t become_mother(void)
{
    (void)signal(SIGTERM, SIG_IGN);
    const pid_t daughter = fork();
    while (daughter == 0)
        (void)pause();
    (void)signal(SIGTERM, SIG_DFL);
    return daughter;
}

static void *stand(void *argument)
{
    for (;;)
        (void)pause();
    return argument;
}

static void lose_head(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, stand, NULL) != 0)
        _exit(3);
    pthread_exit(NULL);
}

/* The relative says its number and stands; whoever is between is waited for. */
static void start_relative(const char *relation)
{
    static const char prefix[] = "stubborn-";
    const int is_stubborn = strncmp(relation, prefix, sizeof(prefix) - 1) == 0;
    const char *kind = is_stubborn ? relation + sizeof(prefix) - 1 : relation;
    const int is_daemon = strcmp(kind, "daemon") == 0;
    const int is_orphan = is_daemon || strcmp(kind, "orphan") == 0;
    int said[2];

    if (pipe(said) != 0)
        _exit(3);
    const pid_t child = fork();
    if (child == 0) {
        if (is_orphan && fork() != 0)
            _exit(0);
        if (is_stubborn)
            (void)signal(SIGTERM, SIG_IGN);
        if (is_daemon || strcmp(kind, "leader") == 0)
            (void)setsid();
        announce(said[1], strcmp(kind, "mother") == 0 ? become_mother() : 0);
        (void)close(said[1]);
        if (strcmp(kind, "headless") == 0)
            lose_head();
        (void)stand(NULL);
    }
    (void)close(said[1]);
    char text[64];
    const ssize_t size = read(said[0], text, sizeof(text));
    if (size > 0 && write(STDOUT_FILENO, text, (size_t)size) != size)
        _exit(3);
    (void)close(said[0]);
    if (is_orphan)
        (void)waitpid(child, NULL, 0);
}

static int start_family(int count, char **relations)
{
    for (int i = 0; i < count; i++)
        start_relative(relations[i]);
    return wait_for_signals(SIG_DFL);
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "report";

    if (strcmp(what, "say") == 0 && count > 3)
        return say(arguments[2], arguments[3]);
    if (strcmp(what, "cat") == 0)
        return copy();
    if (strcmp(what, "exit") == 0 && count > 2)
        return (int)strtol(arguments[2], NULL, 10);
    if (strcmp(what, "pause") == 0)
        return pause();
    if (strcmp(what, "stubborn") == 0)
        return wait_for_signals(SIG_IGN);
    if (strcmp(what, "polite") == 0 && count > 2) {
        polite_status = (int)strtol(arguments[2], NULL, 10);
        return wait_for_signals(exit_politely);
    }
    if (strcmp(what, "spew") == 0 && count > 2)
        return spew(strtoul(arguments[2], NULL, 10));
    if (strcmp(what, "burn") == 0 && count > 2)
        return burn(strtol(arguments[2], NULL, 10));
    if (strcmp(what, "bomb") == 0)
        return bomb();
    if (strcmp(what, "family") == 0)
        return start_family(count - 2, arguments + 2);
    if (strcmp(what, "heir") == 0)
        return leave_an_heir();
    return report(count, arguments);
}
