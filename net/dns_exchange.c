/* SPDX-License-Identifier: MIT */
#include "dns_exchange.h"

#include <coil/call.h>
#include <coil/fd_watch.h>
#include <coil/kernel.h>

#define CARES_NO_DEPRECATED /* Ours are the calls that 1.18 and its successors have. */
#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/uio.h>

enum {
    SOCKETS = 4,                 /* One server is asked: UDP, TCP if that is cut, 2 to spare. */
    NEVER_MS = 24 * 3600 * 1000, /* For c-ares, whose clock is none of ours. */
    DATAGRAM_BYTES = 1232,       /* What passes every network in one piece (DNS flag day 2020). */
};

typedef struct exchange_watch {
    coil_fd_watch_hook hook;
    coil_fd_watch *watch; /* NULL: the slot is free. */
    dns_exchange *exchange;
    int fd;
    unsigned events;
} exchange_watch;

typedef struct exchange_part {
    dns_exchange *exchange;
    unsigned index;
} exchange_part;

struct dns_exchange {
    coil_loop *loop;
    dns_exchange_hook *hook;
    ares_channel channel;
    coil_address server;
    coil_call news; /* Something has been answered. */
    bool is_stopping;
    exchange_part parts[DNS_EXCHANGE_PARTS];
    exchange_watch watches[SOCKETS];
};

/* ----------------------------------------------------------------------------------- sockets -- */

/* As system calls report errors. */
static ssize_t reported(ssize_t rc)
{
    if (rc >= 0)
        return rc;
    errno = (int)-rc;
    return -1;
}

static ares_socket_t open_socket(int family, int type, int protocol, void *exchange)
{
    (void)exchange;
    return (ares_socket_t)reported(coil_kernel_socket(family, type | SOCK_NONBLOCK, protocol));
}

static int close_socket(ares_socket_t fd, void *exchange)
{
    (void)exchange;
    return (int)reported(coil_kernel_close(fd));
}

static int connect_socket(
        ares_socket_t fd, const struct sockaddr *address, ares_socklen_t size_bytes, void *exchange)
{
    (void)exchange;
    return (int)reported(coil_kernel_connect_now(fd, address, size_bytes));
}

/* The sockets are connected, so nothing comes from anybody else. */
/* NOLINTNEXTLINE(readability-function-size): its parameters are those that c-ares passes. */
static ares_ssize_t receive(ares_socket_t fd, void *bytes, size_t size_bytes, int flags,
        struct sockaddr *from, ares_socklen_t *from_bytes, void *self)
{
    const dns_exchange *exchange = self;
    (void)flags;
    if (from != NULL && from_bytes != NULL && *from_bytes >= exchange->server.size_bytes) {
        memcpy(from, &exchange->server.storage, exchange->server.size_bytes);
        *from_bytes = exchange->server.size_bytes;
    }
    return reported(coil_kernel_recv_now(fd, bytes, size_bytes));
}

/* The first part with anything in it: of a datagram that is all, of a stream the rest follows. */
static ares_ssize_t send_parts(
        ares_socket_t fd, const struct iovec *parts, int part_count, void *exchange)
{
    (void)exchange;
    int first = 0;
    while (first < part_count - 1 && parts[first].iov_len == 0)
        first++;
    return reported(coil_kernel_send_now(fd, parts[first].iov_base, parts[first].iov_len));
}

static const struct ares_socket_functions socket_functions = {
        .asocket = open_socket,
        .aclose = close_socket,
        .aconnect = connect_socket,
        .arecvfrom = receive,
        .asendv = send_parts,
};

/* ----------------------------------------------------------------------------------- waiting -- */

/* An error is something to be read, too. Afterwards the exchange may be gone. */
static void ready(coil_fd_watch_hook *hook, int events)
{
    exchange_watch *watch = coil_container_of(hook, exchange_watch, hook);
    dns_exchange *exchange = watch->exchange;
    bool only_room = events == POLLOUT;
    ares_process_fd(exchange->channel, only_room ? ARES_SOCKET_BAD : watch->fd,
            watch->events & POLLOUT ? watch->fd : ARES_SOCKET_BAD);
    if (!coil_call_pending(&exchange->news))
        return;
    coil_call_cancel(&exchange->news);
    exchange->hook->progressed(exchange->hook);
}

static exchange_watch *watch_of(dns_exchange *exchange, int fd)
{
    exchange_watch *unused = NULL;
    for (unsigned i = 0; i < SOCKETS; i++) {
        exchange_watch *each = &exchange->watches[i];
        if (each->watch != NULL && each->fd == fd)
            return each;
        if (each->watch == NULL && unused == NULL)
            unused = each;
    }
    return unused;
}

/* c-ares has another wish. Without memory or a slot nothing comes, and the try will end by time. */
static void watch_socket(void *self, ares_socket_t fd, int readable, int writable)
{
    dns_exchange *exchange = self;
    exchange_watch *watch = watch_of(exchange, fd);
    unsigned events = (readable ? POLLIN : 0U) | (writable ? POLLOUT : 0U);

    if (watch == NULL || (watch->watch != NULL && watch->events == events))
        return;
    coil_fd_watch_close(watch->watch);
    *watch =
            (exchange_watch){.hook.ready = ready, .exchange = exchange, .fd = fd, .events = events};
    if (events != 0)
        (void)coil_fd_watch_create(exchange->loop, fd, events, &watch->hook, &watch->watch);
}

/* ------------------------------------------------------------------------------------ asking -- */

static void take_answer(void *self, int status, int timeouts, unsigned char *bytes, int size_bytes)
{
    const exchange_part *part = self;
    dns_exchange *exchange = part->exchange;
    const bool is_there = status == ARES_SUCCESS && bytes != NULL && size_bytes > 0;
    (void)timeouts;
    if (exchange->is_stopping)
        return;
    exchange->hook->answered(exchange->hook, part->index, is_there ? bytes : NULL,
            is_there ? (size_t)size_bytes : 0);
    if (!coil_call_pending(&exchange->news))
        coil_call_soon(exchange->loop, &exchange->news);
}

static void tell_news(coil_call *call)
{
    dns_exchange *exchange = coil_container_of(call, dns_exchange, news);
    exchange->hook->progressed(exchange->hook);
}

static int error_of(int status)
{
    if (status == ARES_SUCCESS)
        return 0;
    return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

/* c-ares allocates as we do. Who uses it besides us may have been faster, then it is as he says. */
static void init_library(void)
{
    static COIL_PROCESS_WIDE pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static COIL_PROCESS_WIDE bool is_done;
    (void)pthread_mutex_lock(&lock);
    if (!is_done)
        (void)ares_library_init_mem(ARES_LIB_INIT_ALL, malloc, free, realloc);
    is_done = true;
    (void)pthread_mutex_unlock(&lock);
}

/* Everything that it would otherwise read from files, or from the environment, is said here. */
static int open_channel(dns_exchange *exchange)
{
    char lookups[] = "b"; /* Of which it makes a copy. */
    struct in_addr replaced = {.s_addr = htonl(INADDR_LOOPBACK)};
    struct ares_options options = {
            .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP |
                     ARES_FLAG_EDNS,
            .timeout = NEVER_MS,
            .tries = 1,
            .ndots = 1,
            .servers = &replaced,
            .nservers = 1,
            .lookups = lookups,
            .sock_state_cb = watch_socket,
            .sock_state_cb_data = exchange,
            .ednspsz = DATAGRAM_BYTES,
    };
    const int said = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                     ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
                     ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE;
    int rc = error_of(ares_init_options(&exchange->channel, &options, said));
    if (rc == 0)
        ares_set_socket_functions(exchange->channel, &socket_functions, exchange);
    return rc;
}

static int set_server(const dns_exchange *exchange)
{
    const void *storage = &exchange->server.storage;
    const int port = coil_address_port(&exchange->server);
    struct ares_addr_port_node node = {
            .family = exchange->server.socket.sa_family, .udp_port = port, .tcp_port = port};
    if (node.family == AF_INET6) {
        memcpy(&node.addr.addr6, &((const struct sockaddr_in6 *)storage)->sin6_addr, 16);
    } else {
        node.addr.addr4 = ((const struct sockaddr_in *)storage)->sin_addr;
    }
    return error_of(ares_set_servers_ports(exchange->channel, &node));
}

static int ask_part(
        dns_exchange *exchange, unsigned index, const dns_exchange_question *question, uint16_t id)
{
    unsigned char *bytes;
    int size_bytes;
    int rc = error_of(ares_create_query(question->name, ns_c_in, question->types[index], id, 1,
            &bytes, &size_bytes, DATAGRAM_BYTES));
    if (rc < 0)
        return rc;
    exchange->parts[index] = (exchange_part){exchange, index};
    ares_send(exchange->channel, bytes, size_bytes, take_answer, &exchange->parts[index]);
    ares_free_string(bytes);
    return 0;
}

static int ask(dns_exchange *exchange, const dns_exchange_question *question)
{
    uint16_t ids[DNS_EXCHANGE_PARTS];
    coil_kernel_random(ids, sizeof(ids));
    if (ids[0] == ids[1])
        ids[1]++;
    int rc = open_channel(exchange);
    if (rc == 0)
        rc = set_server(exchange);
    for (unsigned i = 0; rc == 0 && i < question->part_count; i++)
        rc = ask_part(exchange, i, question, ids[i]);
    return rc;
}

int dns_exchange_start(coil_loop *loop, const dns_exchange_question *question,
        dns_exchange_hook *hook, dns_exchange **out_exchange)
{
    init_library();
    dns_exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return -ENOMEM;
    exchange->loop = loop;
    exchange->hook = hook;
    exchange->server = *question->server;
    coil_call_init(&exchange->news, tell_news);
    int rc = ask(exchange, question);
    if (rc < 0) {
        dns_exchange_stop(exchange);
        return rc;
    }
    *out_exchange = exchange;
    return 0;
}

void dns_exchange_stop(dns_exchange *exchange)
{
    if (exchange == NULL)
        return;
    exchange->is_stopping = true;
    coil_call_cancel(&exchange->news);
    if (exchange->channel != NULL)
        ares_destroy(exchange->channel); /* This closes its sockets, and so the watches. */
    for (unsigned i = 0; i < SOCKETS; i++)
        coil_fd_watch_close(exchange->watches[i].watch);
    free(exchange);
}
