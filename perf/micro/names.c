/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to find out the addresses of a name? Wall time, with everything on one core.
 *
 *     name_hosts      localhost, by the resolver and by getaddrinfo(3)
 *     name_cached     a name that is in the cache
 *     name_asked      a name that is asked for: A and AAAA, of a name server on a thread, 32 tasks
 */
#include "measure.h"

#include <coil/check.h>
#include <coil/loop.h>
#include <coil/resolver.h>

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <coil/sugar.h>

enum { HEADER_BYTES = 12, MESSAGE_BYTES = 512, ASKERS = 32, ANSWER_BYTES = 16 };

/* ------------------------------------------------------------------------------ name server -- */

/* One address with the TTL that the first letter of the name says: z is 0; none of IPv6. */
static size_t make_answer(uint8_t *message, size_t count)
{
    static const uint8_t record[ANSWER_BYTES] = {
            0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0xff, 0, 0, 4, 127, 0, 0, 1};
    size_t end = HEADER_BYTES;
    while (end < count && message[end] != 0)
        end += message[end] + 1U;
    end += 5;
    const bool is_v4 = message[end - 3] == 1;
    message[2] = 0x81;
    message[3] = 0x80;
    message[7] = is_v4;
    message[11] = 0; /* Without EDNS. */
    if (!is_v4)
        return end;
    memcpy(message + end, record, sizeof(record));
    if (message[HEADER_BYTES + 1] == 'z')
        message[end + 8] = 0;
    return end + sizeof(record);
}

static void *serve(void *socket_fd)
{
    const int fd = *(const int *)socket_fd;
    uint8_t message[MESSAGE_BYTES];
    coil_address from;
    for (;;) {
        from.size_bytes = sizeof(from.storage);
        ssize_t count = recvfrom(
                fd, message, sizeof(message) - ANSWER_BYTES, 0, &from.socket, &from.size_bytes);
        if (count <= HEADER_BYTES + 5)
            return NULL;
        (void)sendto(
                fd, message, make_answer(message, (size_t)count), 0, &from.socket, from.size_bytes);
    }
}

/* It is there until the process ends. */
static const char *start_server(void)
{
    static char where[COIL_ADDRESS_TEXT_BYTES];
    static int fd;
    coil_address own;
    pthread_t thread;
    if (where[0] != '\0')
        return where;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    COIL_CHECK(coil_address_parse("127.0.0.1:0", &own) == 0);
    COIL_CHECK(fd >= 0 && bind(fd, &own.socket, own.size_bytes) == 0);
    COIL_CHECK(getsockname(fd, &own.socket, &own.size_bytes) == 0);
    COIL_CHECK(pthread_create(&thread, NULL, serve, &fd) == 0);
    return coil_address_format(&own, where);
}

/* --------------------------------------------------------------------------------- resolving -- */

typedef struct asker {
    coil_resolver *resolver;
    const char *target; /* NULL: each has a name of its own, which is not remembered. */
    int number;
    int64_t count;
} asker;

async(int, resolve_names, (const asker *) by)
{
    vars(int64_t i; coil_addresses found; char target[32]);
    snprintf(my->target, sizeof(my->target), "z%d.test:80", by->number);
    for (; my->i < by->count; my->i++) {
        attempt(coil_resolve(
                by->resolver, by->target != NULL ? by->target : my->target, &my->found));
        coil_addresses_release(&my->found);
    }
    return 0;
}

static double run_askers(int asker_count, const char *target, int64_t count)
{
    coil_loop *loop;
    asker askers[ASKERS];
    coil_resolver *resolver;
    const coil_resolver_options options = {
            .servers = start_server(), .hosts_path = "", .resolv_conf_path = "", .search = ""};

    COIL_CHECK(coil_loop_create(&loop, NULL) == 0);
    COIL_CHECK(coil_resolver_create(loop, &options, &resolver) == 0);
    double start_ns = measure_now_ns();
    for (int i = 0; i < asker_count; i++) {
        askers[i] = (asker){resolver, target, i, (count + asker_count - 1) / asker_count};
        COIL_CHECK(coil_spawn(coil_loop_root(loop), resolve_names(&askers[i])));
    }
    COIL_CHECK(coil_loop_run(loop) == 0);
    double spent_ns = measure_now_ns() - start_ns;
    coil_resolver_destroy(resolver);
    coil_loop_destroy(loop);
    return spent_ns;
}

static double run_hosts(int64_t count)
{
    return run_askers(1, "localhost:80", count);
}

static double run_cached(int64_t count)
{
    return run_askers(1, "host.test:80", count);
}

static double run_asked(int64_t count)
{
    return run_askers(ASKERS, NULL, count);
}

static double run_libc(int64_t count)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        struct addrinfo *list;
        COIL_CHECK(getaddrinfo("localhost", "80", &hints, &list) == 0);
        freeaddrinfo(list);
    }
    return measure_now_ns() - start_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"name_hosts", "coil", run_hosts, 0, MEASURE_NS},
            {"name_hosts", "raw", run_libc, 0, MEASURE_NS},
            {"name_cached", "coil", run_cached, 0, MEASURE_NS},
            {"name_asked", "coil", run_asked, 0, MEASURE_NS},
    };
    /* Without c-ares no server of ours is asked. */
    return measure_main(subjects, coil_resolver_asks_dns() ? 4 : 2, argc, argv);
}
