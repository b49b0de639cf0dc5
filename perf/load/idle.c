/* SPDX-License-Identifier: MIT */

/*
 * Connections that say nothing: opens them, prints a line, and holds them until stdin ends. Each
 * number that comes from there is how many there shall be from then on, and is answered with a line
 * once there are. What is more than one process may have descriptors for is held by as many helpers
 * as that takes; what is more than one address has ports for comes from several.
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

struct idle {
    const load_options *options;
    const struct codec *codec;
    int count; /* Connections. */
    int own_max;
    int helper_count;
    int ready[2]; /* Those helpers write to it that have begun last. */
    int hold[2];  /* All helpers read from it. */
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

/* They end with RST: connections in TIME_WAIT would be in the kernel's memory for another minute,
 * in which somebody may measure that. */
static void open_share(const struct idle *idle, int first, int count)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    for (int i = first; i < first + count; i++) {
        int fd = load_dial(idle->options, i / LOAD_PORTS_PER_SOURCE, 0);
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        if (idle->options->greet)
            greet(idle->codec, fd, (uint64_t)i);
    }
}

static void wait_for_end(int fd)
{
    char byte;

    while (read(fd, &byte, 1) > 0 || errno == EINTR)
        ;
}

/* The connections that its parent had: they would take the room of its own. */
static void drop_inherited(const struct idle *idle)
{
    for (int fd = STDERR_FILENO + 1; fd < idle->own_max + SPARE_DESCRIPTORS; fd++) {
        if (fd != idle->hold[0] && fd != idle->ready[1])
            (void)close(fd);
    }
}

/* The helper ends with its parent, however that ends. */
static _Noreturn void help(const struct idle *idle, int first, int count)
{
    const char ready = READY;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    drop_inherited(idle);
    open_share(idle, first, count);
    if (write(idle->ready[1], &ready, 1) != 1)
        load_die("write", errno);
    wait_for_end(idle->hold[0]);
    _exit(0);
}

static void start_helper(struct idle *idle, int first, int count)
{
    pid_t pid = fork();

    if (pid < 0)
        load_die("fork", errno);
    if (pid == 0)
        help(idle, first, count);
    idle->helper_count++;
}

/* A helper that failed has said why; nobody else holds the writing end. */
static void await_ready(const struct idle *idle, int helper_count)
{
    char byte;

    (void)close(idle->ready[1]);
    for (int i = 0; i < helper_count; i++) {
        if (read(idle->ready[0], &byte, 1) != 1)
            load_die("a helper ended", ECHILD);
    }
    (void)close(idle->ready[0]);
}

/* As many as this process may have; the others have helpers. */
static void grow(struct idle *idle, int wanted)
{
    int before_count = idle->helper_count;
    int own = wanted < idle->own_max ? wanted : idle->own_max;

    if (own > idle->count) {
        open_share(idle, idle->count, own - idle->count);
        idle->count = own;
    }
    if (pipe(idle->ready) < 0)
        load_die("pipe", errno);
    while (idle->count < wanted) {
        int left = wanted - idle->count;
        int share = left < idle->own_max ? left : idle->own_max;
        start_helper(idle, idle->count, share);
        idle->count += share;
    }
    await_ready(idle, idle->helper_count - before_count);
}

static void report(const struct idle *idle)
{
    printf("{\"loop\":\"idle\",\"connections\":%d,\"greeted\":%s,\"processes\":%d,\"sources\":%d}"
           "\n",
            idle->count, idle->options->greet ? "true" : "false", 1 + idle->helper_count,
            (idle->count - 1) / LOAD_PORTS_PER_SOURCE + 1);
    fflush(stdout);
}

static void end_helpers(const struct idle *idle)
{
    (void)close(idle->hold[1]);
    for (int i = 0; i < idle->helper_count; i++)
        (void)wait(NULL);
}

int idle_run(const load_options *options, const struct codec *codec)
{
    struct idle idle = {.options = options, .codec = codec, .own_max = connections_per_process()};
    char line[32];

    if (pipe(idle.hold) < 0)
        load_die("pipe", errno);
    grow(&idle, options->connections);
    report(&idle);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        grow(&idle, (int)strtol(line, NULL, 10));
        report(&idle);
    }
    end_helpers(&idle);
    return 0;
}
