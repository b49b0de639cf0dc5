/* SPDX-License-Identifier: MIT */

/*
 * Connections that say nothing: opens them, prints a line, and holds them until stdin ends. What is
 * more than one process may have descriptors for is held by as many helpers as that takes; what is
 * more than one address has ports for comes from several.
 */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
    SPARE_DESCRIPTORS = 32, /* stdio, pipes */
    READY = 1,
};

/* The ends that a parent has of its helpers' pipes: all of them write to one and read another. */
struct helpers {
    int count;
    int ready[2];
    int hold[2];
};

static int connections_per_process(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        load_die("getrlimit", errno);
    if (limit.rlim_cur <= 2 * SPARE_DESCRIPTORS)
        load_die("descriptors", EMFILE);
    return limit.rlim_cur > 1000000 ? 1000000 : (int)limit.rlim_cur - SPARE_DESCRIPTORS;
}

/* One request and its reply. */
static void greet(const struct codec *codec, int fd, uint64_t sequence)
{
    static unsigned char bytes[64 * 1024];
    struct cursor in = {.sequence = sequence};
    bool complete = false;

    if (codec->request_bytes > sizeof(bytes))
        load_die("greeting", EMSGSIZE);
    codec->encode(codec, sequence, bytes);
    if (send(fd, bytes, codec->request_bytes, MSG_NOSIGNAL) != (ssize_t)codec->request_bytes)
        load_die("send", errno);
    while (!complete) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0)
            load_die("the server closed the connection", got < 0 ? errno : ECONNABORTED);
        for (ssize_t used = 0; used < got;) {
            long run = codec->check(codec, &in, bytes + used, (size_t)(got - used), &complete);
            if (run < 0)
                load_die("wrong bytes in a reply", EBADMSG);
            used += run;
        }
    }
}

static void open_share(const load_options *options, const struct codec *codec, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        int fd = load_dial(options, i / LOAD_PORTS_PER_SOURCE, 0);
        if (options->greet)
            greet(codec, fd, (uint64_t)i);
    }
}

static void wait_for_end(int fd)
{
    char byte;

    while (read(fd, &byte, 1) > 0 || errno == EINTR)
        ;
}

/* The helper ends with its parent, however that ends. */
static _Noreturn void help(const struct helpers *helpers)
{
    const char ready = READY;

    if (write(helpers->ready[1], &ready, 1) != 1)
        load_die("write", errno);
    wait_for_end(helpers->hold[0]);
    _exit(0);
}

static void start_helper(struct helpers *helpers, const load_options *options,
        const struct codec *codec, int first, int count)
{
    pid_t pid = fork();

    if (pid < 0)
        load_die("fork", errno);
    if (pid > 0) {
        helpers->count++;
        return;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close(helpers->hold[1]);
    open_share(options, codec, first, count);
    help(helpers);
}

/* A helper that failed has said why; nobody else holds the writing end. */
static void await_helpers(struct helpers *helpers)
{
    char byte;

    (void)close(helpers->ready[1]);
    for (int i = 0; i < helpers->count; i++) {
        if (read(helpers->ready[0], &byte, 1) != 1)
            load_die("a helper ended", ECHILD);
    }
}

static void end_helpers(const struct helpers *helpers)
{
    (void)close(helpers->hold[1]);
    for (int i = 0; i < helpers->count; i++)
        (void)wait(NULL);
}

int idle_run(const load_options *options, const struct codec *codec)
{
    struct helpers helpers = {0};
    int each = connections_per_process();
    int own = options->connections < each ? options->connections : each;

    if (pipe(helpers.ready) < 0 || pipe(helpers.hold) < 0)
        load_die("pipe", errno);
    for (int first = own; first < options->connections; first += each) {
        int left = options->connections - first;
        start_helper(&helpers, options, codec, first, left < each ? left : each);
    }
    open_share(options, codec, 0, own);
    await_helpers(&helpers);
    printf("{\"loop\":\"idle\",\"connections\":%d,\"greeted\":%s,\"processes\":%d,\"sources\":%d}"
           "\n",
            options->connections, options->greet ? "true" : "false", 1 + helpers.count,
            (options->connections - 1) / LOAD_PORTS_PER_SOURCE + 1);
    fflush(stdout);
    wait_for_end(STDIN_FILENO);
    end_helpers(&helpers);
    return 0;
}
