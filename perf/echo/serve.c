/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

void serve_die(const char *who, int error)
{
    fprintf(stderr, "%s: %s\n", who, strerror(error));
    exit(1);
}

static _Noreturn void usage(const char *program, const struct serve_option *options)
{
    fprintf(stderr, "usage: %s --port N", program);
    for (const struct serve_option *option = options; option->name; option++) {
        fprintf(stderr, " [--%s ", option->name);
        if (!option->choices)
            fprintf(stderr, "N (%d)", *option->value);
        for (int i = 0; option->choices && option->choices[i]; i++)
            fprintf(stderr, "%s%s%s", i ? "|" : "", option->choices[i],
                    i == *option->value ? "*" : "");
        fprintf(stderr, "]");
    }
    fprintf(stderr, "\n");
    exit(2);
}

/* Returns -1 when the text is not a number from 0 to a million: every option of a server is one of
 * those. */
static int parse_number(const char *text)
{
    char *end;

    errno = 0;
    long value = strtol(text, &end, 10);
    return errno || end == text || *end || value < 0 || value > 1000000 ? -1 : (int)value;
}

static int parse_value(const struct serve_option *option, const char *text)
{
    if (!option->choices)
        return parse_number(text);
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(text, option->choices[i]) == 0)
            return i;
    }
    return -1;
}

static const struct serve_option *find_option(const struct serve_option *options, const char *name)
{
    if (strncmp(name, "--", 2) != 0)
        return NULL;
    for (; options->name; options++) {
        if (strcmp(name + 2, options->name) == 0)
            return options;
    }
    return NULL;
}

/* Ten thousand connections are more than what a shell usually permits. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int serve_options(int argc, char **argv, const struct serve_option *options)
{
    int port = -1;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage(argv[0], options);
        if (strcmp(argv[i], "--port") == 0) {
            port = parse_number(argv[i + 1]);
            continue;
        }
        const struct serve_option *option = find_option(options, argv[i]);
        int value = option ? parse_value(option, argv[i + 1]) : -1;
        if (value < 0)
            usage(argv[0], options);
        *option->value = value;
    }
    if (port < 1 || port > 65535)
        usage(argv[0], options);
    raise_descriptor_limit();
    return port;
}

int serve_listen(int port, int socket_flags)
{
    const struct sockaddr_in address = {
            .sin_family = AF_INET,
            .sin_port = htons((in_port_t)port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const void *name = &address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | socket_flags, 0);

    if (fd < 0)
        serve_die("socket", errno);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        serve_die("SO_REUSEADDR", errno);
    /* Accepted sockets inherit TCP_NODELAY, which saves a system call per connection where it is
     * set here. */
    serve_nodelay(fd);
    if (bind(fd, name, sizeof(address)) < 0)
        serve_die("bind", errno);
    if (listen(fd, SOMAXCONN) < 0)
        serve_die("listen", errno);
    return fd;
}

int serve_stop_fd(int signalfd_flags)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stop, NULL) < 0)
        serve_die("sigprocmask", errno);
    int fd = signalfd(-1, &stop, SFD_CLOEXEC | signalfd_flags);
    if (fd < 0)
        serve_die("signalfd", errno);
    return fd;
}

void serve_nodelay(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int64_t serve_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}
