/* SPDX-License-Identifier: MIT */
/*
 * Connects, and says nothing.
 *
 *     hold --port N --source 127.0.0.K         then, on stdin: how many connections there shall be
 *
 * Answers each number with the connections that there are, once they have been made. Ends with its
 * input. A port of ours is chosen per destination, so each process has all of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void connect_one(const struct sockaddr_in *from, const struct sockaddr_in *to)
{
    const void *source = from;
    const void *target = to;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, source, sizeof(*from)) < 0)
        die("bind");
    if (connect(fd, target, sizeof(*to)) < 0)
        die("connect");
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char line[32];
    long count = 0;

    if (argc != 5 || strcmp(argv[1], "--port") != 0 || strcmp(argv[3], "--source") != 0 ||
            inet_pton(AF_INET, argv[4], &from.sin_addr) != 1) {
        fputs("usage: hold --port N --source ADDRESS\n", stderr);
        return 2;
    }
    to.sin_port = htons((in_port_t)strtol(argv[2], NULL, 10));
    raise_descriptor_limit();
    while (fgets(line, sizeof(line), stdin) != NULL) {
        for (long wanted = strtol(line, NULL, 10); count < wanted; count++)
            connect_one(&from, &to);
        printf("%ld\n", count);
        (void)fflush(stdout);
    }
    return 0;
}
