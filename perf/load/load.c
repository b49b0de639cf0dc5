/* SPDX-License-Identifier: MIT */

/*
 * A closed-loop load generator: N connections, each with D requests outstanding, one thread, epoll.
 * A new request goes out for each reply, so the latencies are service times under this load and not
 * those of an open arrival process.
 *
 * Every byte of every reply is checked. The first wrong one ends the run: figures of a wrong server
 * are worth nothing.
 *
 * Prints one JSON object on one line.
 */
#include "codec.h"
#include "histogram.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    BUFFER_BYTES = 256 * 1024,
    EVENTS_MAX = 256,
    STALL_MS = 5000, /* no event at all for this long: the server is stuck */
};

struct connection {
    int fd;
    bool waits_for_room;
    bool served; /* got a reply in the measured period */
    struct cursor out;
    struct cursor in;
    uint64_t *sent_at_ns; /* one per request outstanding, at sequence % depth */
};

static struct load {
    const struct codec *codec;
    const char *method; /* NULL for echo */
    int port;
    int connections;
    int depth;
    int message_bytes;
    int server_pid; /* 0: not measured */
    int spin;
    double warmup_s;
    double measured_s;

    int epoll_fd;
    struct connection *all;
    bool measuring;
    uint64_t errors;
    struct histogram histogram;
    unsigned char in[BUFFER_BYTES];
    unsigned char *out;
    size_t out_bytes;
} load = {.connections = 1, .depth = 1, .message_bytes = 64, .warmup_s = 1, .measured_s = 3};

/* What is read at both ends of the measured period. */
struct reading {
    uint64_t now_ns;
    uint64_t own_cpu_ns;
    uint64_t server_cpu_ns;
};

static _Noreturn void die(const char *what, int error)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* ---- The server's CPU time ---- */

/* The first figure of a thread's schedstat: its time on a CPU in nanoseconds, kernel work on its
 * behalf included. */
static uint64_t thread_cpu_ns(int pid, const char *thread)
{
    char path[300];
    unsigned long long cpu_ns = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu", &cpu_ns) != 1)
        cpu_ns = 0;
    fclose(file);
    return cpu_ns;
}

/* The sum over all threads, those included that the kernel runs for the process (io_uring's). */
static uint64_t process_cpu_ns(int pid)
{
    char path[40];
    uint64_t total_ns = 0;

    if (pid == 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        die(path, errno);
    for (const struct dirent *entry; (entry = readdir(threads));) {
        if (entry->d_name[0] != '.')
            total_ns += thread_cpu_ns(pid, entry->d_name);
    }
    closedir(threads);
    return total_ns;
}

static struct reading take_reading(void)
{
    struct reading reading;

    reading.server_cpu_ns = process_cpu_ns(load.server_pid);
    reading.own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    reading.now_ns = now_ns();
    return reading;
}

/* ---- Connections ---- */

static void watch(struct connection *connection, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (epoll_ctl(load.epoll_fd, op, connection->fd, &event) < 0)
        die("epoll_ctl", errno);
}

static void fail(struct connection *connection, const char *what, int error)
{
    fprintf(stderr, "load: connection %td: %s%s%s\n", connection - load.all, what,
            error ? ": " : "", error ? strerror(error) : "");
    load.errors++;
}

static void wait_for_room(struct connection *connection, bool wait)
{
    if (connection->waits_for_room == wait)
        return;
    connection->waits_for_room = wait;
    watch(connection, EPOLL_CTL_MOD, wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void advance(struct cursor *cursor, size_t sent)
{
    size_t total = cursor->offset + sent;

    cursor->sequence += total / load.codec->request_bytes;
    cursor->offset = total % load.codec->request_bytes;
}

/* Fills the out buffer with what the window allows, and stamps the requests that begin in it.
 * Returns the bytes. */
static size_t fill(struct connection *connection)
{
    const struct codec *codec = load.codec;
    uint64_t end = connection->in.sequence + (uint64_t)load.depth;
    uint64_t stamp_ns = now_ns();
    size_t filled = 0;

    for (uint64_t sequence = connection->out.sequence; sequence < end; sequence++) {
        if (filled + codec->request_bytes > load.out_bytes)
            break;
        codec->encode(codec, sequence, load.out + filled);
        filled += codec->request_bytes;
        if (sequence > connection->out.sequence || connection->out.offset == 0)
            connection->sent_at_ns[sequence % (uint64_t)load.depth] = stamp_ns;
    }
    return filled;
}

/* Sends until the window or the socket is full. */
static void pump(struct connection *connection)
{
    for (;;) {
        size_t filled = fill(connection);
        if (filled == 0) {
            wait_for_room(connection, false);
            return;
        }
        size_t left = filled - connection->out.offset;
        ssize_t sent = send(connection->fd, load.out + connection->out.offset, left,
                MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            fail(connection, "send", errno);
            return;
        }
        if (sent > 0)
            advance(&connection->out, (size_t)sent);
        if (sent < (ssize_t)left) {
            wait_for_room(connection, true);
            return;
        }
        if (connection->out.sequence == connection->in.sequence + (uint64_t)load.depth &&
                !connection->waits_for_room)
            return;
    }
}

static void reply_complete(struct connection *connection, uint64_t sequence, uint64_t stamp_ns)
{
    if (!load.measuring)
        return;
    connection->served = true;
    histogram_add(
            &load.histogram, stamp_ns - connection->sent_at_ns[sequence % (uint64_t)load.depth]);
}

static void receive(struct connection *connection)
{
    ssize_t got = recv(connection->fd, load.in, sizeof(load.in), MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        fail(connection, "the server closed the connection", got < 0 ? errno : 0);
        return;
    }
    uint64_t stamp_ns = now_ns();
    for (size_t used = 0; used < (size_t)got;) {
        bool complete;
        uint64_t sequence = connection->in.sequence;
        long run = load.codec->check(
                load.codec, &connection->in, load.in + used, (size_t)got - used, &complete);
        if (run < 0 || connection->in.sequence > connection->out.sequence) {
            fail(connection, "wrong bytes in a reply", 0);
            return;
        }
        used += (size_t)run;
        if (complete)
            reply_complete(connection, sequence, stamp_ns);
    }
}

static void connect_one(struct connection *connection, int index)
{
    const struct sockaddr_in address = {
            .sin_family = AF_INET,
            .sin_port = htons((in_port_t)load.port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const void *name = &address;
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        die("socket", errno);
    if (connect(connection->fd, name, sizeof(address)) < 0)
        die("connect", errno);
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    connection->sent_at_ns = calloc((size_t)load.depth, sizeof(uint64_t));
    if (!connection->sent_at_ns)
        die("calloc", ENOMEM);
    /* No two connections, and no two runs of the pattern, begin alike. */
    connection->in.sequence = ((uint64_t)(index + 1) << 32) + (uint64_t)index * 7919U;
    connection->out.sequence = connection->in.sequence;
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

static void connect_all(void)
{
    load.all = calloc((size_t)load.connections, sizeof(*load.all));
    load.out_bytes =
            load.codec->request_bytes > BUFFER_BYTES ? load.codec->request_bytes : BUFFER_BYTES;
    load.out = malloc(load.out_bytes);
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!load.all || !load.out)
        die("malloc", ENOMEM);
    if (load.epoll_fd < 0)
        die("epoll_create1", errno);
    for (int i = 0; i < load.connections; i++)
        connect_one(&load.all[i], i);
}

/* ---- The run ---- */

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(load.epoll_fd, events, EVENTS_MAX, load.spin ? 0 : STALL_MS);

    if (count < 0 && errno != EINTR)
        die("epoll_wait", errno);
    if (count == 0 && !load.spin) {
        fprintf(stderr, "load: no reply for %d ms\n", STALL_MS);
        load.errors++;
    }
    for (int i = 0; i < count && load.errors == 0; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(connection);
        if (load.errors == 0)
            pump(connection);
    }
}

static void run_for(double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);

    while (load.errors == 0 && now_ns() < end_ns)
        turn();
}

static int served_count(void)
{
    int served = 0;

    for (int i = 0; i < load.connections; i++)
        served += load.all[i].served;
    return served;
}

static void print_result(const struct reading *from, const struct reading *to)
{
    const struct histogram *histogram = &load.histogram;
    double seconds = (double)(to->now_ns - from->now_ns) / 1e9;
    double own_s = (double)(to->own_cpu_ns - from->own_cpu_ns) / 1e9;
    double server_s = (double)(to->server_cpu_ns - from->server_cpu_ns) / 1e9;
    double requests = (double)histogram->count;

    printf("{\"mode\":\"%s\",\"connections\":%d,\"depth\":%d,\"message_bytes\":%zu,\"seconds\":%."
           "3f,",
            load.method ? load.method : "echo", load.connections, load.depth,
            load.codec->request_bytes, seconds);
    printf("\"requests\":%.0f,\"requests_per_s\":%.1f,", requests, requests / seconds);
    printf("\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,",
            histogram_quantile_ns(histogram, 0.5) / 1e3,
            histogram_quantile_ns(histogram, 0.9) / 1e3,
            histogram_quantile_ns(histogram, 0.99) / 1e3,
            histogram_quantile_ns(histogram, 0.999) / 1e3, (double)histogram->max_ns / 1e3);
    printf("\"connections_served\":%d,\"load_cpu_s\":%.4f,\"load_cpu_share\":%.3f,", served_count(),
            own_s, own_s / seconds);
    /* Above nine tenths of a core the generator sets the pace: requests/s is then a lower bound for
     * the server. */
    printf("\"load_bound\":%s,", own_s / seconds > 0.9 && !load.spin ? "true" : "false");
    if (load.server_pid)
        printf("\"server_cpu_s\":%.4f,\"server_cpu_share\":%.3f,\"requests_per_server_cpu_s\":%."
               "1f,",
                server_s, server_s / seconds, server_s > 0 ? requests / server_s : 0);
    printf("\"errors\":%llu}\n", (unsigned long long)load.errors);
}

static _Noreturn void usage(void)
{
    fputs("usage: load --port N [--connections N] [--depth N] [--size BYTES | --thrift METHOD]\n"
          "            [--warmup SECONDS] [--seconds SECONDS] [--server-pid PID] [--spin]\n",
            stderr);
    exit(2);
}

static double parse(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= min && value <= max))
        usage();
    return value;
}

static int parse_int(const char *text, double max)
{
    double value = parse(text, 1, max);

    return (int)value;
}

static void set_option(int option, const char *text)
{
    switch (option) {
    case 'p':
        load.port = parse_int(text, 65535);
        break;
    case 'c':
        load.connections = parse_int(text, 1e6);
        break;
    case 'd':
        load.depth = parse_int(text, 1e6);
        break;
    case 's':
        load.message_bytes = parse_int(text, 1 << 30);
        break;
    case 't':
        load.method = text;
        break;
    case 'w':
        load.warmup_s = parse(text, 0, 3600);
        break;
    case 'm':
        load.measured_s = parse(text, 0.01, 3600);
        break;
    case 'P':
        load.server_pid = parse_int(text, 1 << 30);
        break;
    case 'S':
        load.spin = 1;
        break;
    default:
        usage();
    }
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {
            {"port", required_argument, NULL, 'p'},
            {"connections", required_argument, NULL, 'c'},
            {"depth", required_argument, NULL, 'd'},
            {"size", required_argument, NULL, 's'},
            {"thrift", required_argument, NULL, 't'},
            {"warmup", required_argument, NULL, 'w'},
            {"seconds", required_argument, NULL, 'm'},
            {"server-pid", required_argument, NULL, 'P'},
            {"spin", no_argument, NULL, 'S'},
            {0},
    };

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        set_option(option, optarg);
    if (optind != argc || load.port == 0)
        usage();
}

/* As many descriptors as the machine allows. */
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
    parse_options(argc, argv);
    raise_descriptor_limit();
    load.codec = load.method ? codec_thrift(load.method) : codec_echo((size_t)load.message_bytes);
    if (!load.codec)
        die("codec", EINVAL);
    connect_all();
    for (int i = 0; i < load.connections; i++)
        pump(&load.all[i]);

    run_for(load.warmup_s);
    struct reading from = take_reading();
    load.measuring = true;
    run_for(load.measured_s);
    struct reading to = take_reading();
    print_result(&from, &to);
    return load.errors ? 1 : 0;
}
