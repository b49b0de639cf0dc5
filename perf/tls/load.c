/* SPDX-License-Identifier: MIT */
/*
 * load - asks a TLS server, on OpenSSL's blocking streams in some threads, and prints JSON.
 *
 *   handshakes  connect, shake hands, GET /small, close; --resume: with what the last one has left
 *   bulk        GET /large, again and again on connections that stay
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { THREADS_MAX = 64, READ_BYTES = 64 * 1024 };

static struct {
    unsigned port;
    unsigned threads;
    double seconds;
    double warmup;
    int server_pid;
    bool bulk;
    bool resume;
} options = {.threads = 8, .seconds = 2, .warmup = 0.5};

static SSL_CTX *context;
static atomic_uint_fast64_t done_count;
static atomic_uint_fast64_t read_bytes;
static atomic_uint_fast64_t resumed_count;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int connected(void)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ip;
    } to = {.ip = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)}};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.ip.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, &to.any, sizeof(to.ip)) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static SSL *shake_hands(int fd, SSL_SESSION *session)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        fail("SSL_new");
    if (session != NULL)
        SSL_set_session(ssl, session);
    if (SSL_connect(ssl) != 1)
        fail("SSL_connect");
    return ssl;
}

/* One request, and its whole answer, whose length is in its head. */
static void ask(SSL *ssl, const char *path, char *bytes)
{
    char request[128];
    int request_bytes =
            snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    if (SSL_write(ssl, request, request_bytes) != request_bytes)
        fail("SSL_write");
    int head_bytes = SSL_read(ssl, bytes, READ_BYTES - 1);
    if (head_bytes <= 0)
        fail("SSL_read");
    bytes[head_bytes] = '\0';
    const char *end = strstr(bytes, "\r\n\r\n");
    const char *length = strcasestr(bytes, "content-length: ");
    if (end == NULL || length == NULL)
        fail("no head");
    int64_t left = atoll(length + 16) - (head_bytes - (end + 4 - bytes));
    atomic_fetch_add(&read_bytes, (uint64_t)(head_bytes - (end + 4 - bytes)));
    while (left > 0) {
        int count = SSL_read(ssl, bytes, READ_BYTES);
        if (count <= 0)
            fail("SSL_read");
        left -= count;
        atomic_fetch_add(&read_bytes, (uint64_t)count);
    }
}

static void *shake_many(void *unused)
{
    SSL_SESSION *session = NULL;
    char *bytes = malloc(READ_BYTES);
    (void)unused;
    for (;;) {
        int fd = connected();
        SSL *ssl = shake_hands(fd, session);
        ask(ssl, "/small", bytes);
        atomic_fetch_add(&resumed_count, (uint64_t)SSL_session_reused(ssl));
        SSL_SESSION_free(session);
        session = options.resume ? SSL_get1_session(ssl) : NULL;
        SSL_shutdown(ssl);
        SSL_free(ssl);
        close(fd);
        atomic_fetch_add(&done_count, 1);
    }
    return NULL;
}

static void *read_much(void *unused)
{
    int fd = connected();
    SSL *ssl = shake_hands(fd, NULL);
    char *bytes = malloc(READ_BYTES);
    (void)unused;
    for (;;) {
        ask(ssl, "/large", bytes);
        atomic_fetch_add(&done_count, 1);
    }
    return NULL;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Of all its threads, those of the kernel that work for it included. */
static double server_cpu_s(void)
{
    char path[64];
    double sum_ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", options.server_pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        fail(path);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char name[400];
        double ns = 0;
        snprintf(name, sizeof(name), "%s/%s/schedstat", path, task->d_name);
        FILE *file = task->d_name[0] != '.' ? fopen(name, "re") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%lf", &ns) == 1)
            sum_ns += ns;
        fclose(file);
    }
    closedir(tasks);
    return 1e-9 * sum_ns;
}

static void pause_for(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)(1e9 * (seconds - (double)left.tv_sec));
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static void measure(void)
{
    pause_for(options.warmup);
    double start_s = now_s(), cpu_s = server_cpu_s();
    uint64_t count = done_count, bytes = read_bytes, resumed = resumed_count;
    pause_for(options.seconds);
    cpu_s = server_cpu_s() - cpu_s;
    double seconds = now_s() - start_s;
    printf("{\"count\": %llu, \"bytes\": %llu, \"resumed\": %llu, \"seconds\": %.6f, "
           "\"server_cpu_s\": %.6f}\n",
            (unsigned long long)(done_count - count), (unsigned long long)(read_bytes - bytes),
            (unsigned long long)(resumed_count - resumed), seconds, cpu_s);
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {{"port", 1, NULL, 'p'}, {"threads", 1, NULL, 't'},
            {"seconds", 1, NULL, 's'}, {"warmup", 1, NULL, 'w'}, {"server-pid", 1, NULL, 'P'},
            {"bulk", 0, NULL, 'b'}, {"resume", 0, NULL, 'r'}, {NULL, 0, NULL, 0}};
    for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (letter) {
        case 'p':
            options.port = (unsigned)atoi(optarg);
            break;
        case 't':
            options.threads = (unsigned)atoi(optarg);
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'w':
            options.warmup = atof(optarg);
            break;
        case 'P':
            options.server_pid = atoi(optarg);
            break;
        case 'b':
            options.bulk = true;
            break;
        case 'r':
            options.resume = true;
            break;
        default:
            exit(2);
        }
    }
    if (options.port == 0 || options.server_pid == 0 || options.threads > THREADS_MAX) {
        fputs("usage: load --port N --server-pid PID [--bulk | --resume] [--threads N]\n"
              "            [--seconds S] [--warmup S]\n",
                stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    parse(argc, argv);
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        fail("SSL_CTX_new");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    for (unsigned i = 0; i < options.threads; i++)
        pthread_create(&threads[i], NULL, options.bulk ? read_much : shake_many, NULL);
    measure();
    fflush(stdout);
    _exit(0); /* The threads end with it: OpenSSL must not clean up under them. */
}
