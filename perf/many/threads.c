/* SPDX-License-Identifier: MIT */
/*
 * An echo server on epoll with several threads, each with a listening socket of its own
 * (SO_REUSEPORT): what one writes by hand for all processors. Otherwise as echo/epoll.c, but that a
 * reader who is slow holds up its thread.
 *
 *     threads --port N --loops N
 *
 * At its end, by SIGTERM, one JSON line: the connections and the requests (reads) of each thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { THREADS_MAX = 256, BUFFER_BYTES = 64 * 1024, EVENTS_MAX = 256, LINE_BYTES = 64 };

typedef struct thread {
    pthread_t id;
    int epoll_fd;
    int listen_fd;
    uint64_t connections;
    uint64_t requests;
    char *buffer;
} __attribute__((aligned(LINE_BYTES))) thread;

static thread threads[THREADS_MAX];
static int thread_count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "threads: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(const thread *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd != self->listen_fd)
        event.events |= EPOLLET | EPOLLRDHUP;
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void accept_all(thread *self)
{
    for (;;) {
        int fd = accept4(self->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        self->connections++;
        watch(self, fd);
    }
}

/* False: the connection is broken. */
static bool send_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            (void)poll(&writable, 1, -1);
            continue;
        }
        if (sent < 0)
            return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

/* Until a read that the socket did not fill; after a hang-up, until the end. */
static void echo(thread *self, int fd, bool hung_up)
{
    for (;;) {
        ssize_t got = recv(fd, self->buffer, BUFFER_BYTES, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || !send_all(fd, self->buffer, (size_t)got)) {
            close(fd);
            return;
        }
        self->requests++;
        if (got < BUFFER_BYTES && !hung_up)
            return;
    }
}

static void *run(void *argument)
{
    thread *self = argument;
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int count = epoll_wait(self->epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == self->listen_fd)
                accept_all(self);
            else
                echo(self, events[i].data.fd, (events[i].events & EPOLLRDHUP) != 0);
        }
    }
    return NULL;
}

static int listen_at(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
            .sin_port = htons((in_port_t)port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const void *name = &address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, name, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0)
        die("listen");
    return fd;
}

/* Each on a CPU of its own, as long as there are enough. */
static void pin(pthread_t id, int index)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)pthread_setaffinity_np(id, sizeof(one), &one);
            return;
        }
    }
}

static void start(int port)
{
    for (int i = 0; i < thread_count; i++) {
        threads[i].listen_fd = listen_at(port);
        threads[i].epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        threads[i].buffer = malloc(BUFFER_BYTES);
        if (threads[i].epoll_fd < 0 || threads[i].buffer == NULL)
            die("start");
        watch(&threads[i], threads[i].listen_fd);
    }
    for (int i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i].id, NULL, run, &threads[i]) != 0)
            die("pthread_create");
        pin(threads[i].id, i);
    }
}

static void print_counts(void)
{
    printf("{\"connections\":[");
    for (int i = 0; i < thread_count; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", threads[i].connections);
    printf("],\"requests\":[");
    for (int i = 0; i < thread_count; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", threads[i].requests);
    printf("]}\n");
}

static int read_number(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], name) == 0)
            return (int)strtol(argv[i + 1], NULL, 10);
    }
    return 0;
}

int main(int argc, char **argv)
{
    sigset_t stop;
    int signo;
    int port = read_number(argc, argv, "--port");

    thread_count = read_number(argc, argv, "--loops");
    if (port < 1 || thread_count < 1 || thread_count > THREADS_MAX) {
        fputs("usage: threads --port N --loops N\n", stderr);
        return 2;
    }
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    start(port);
    (void)sigwait(&stop, &signo);
    print_counts();
    return 0;
}
