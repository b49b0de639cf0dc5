/* SPDX-License-Identifier: MIT */
/*
 * A name server, by UDP and TCP, over a network that loses, doubles and reorders; and clients that
 * resolve by one resolver, with deadlines. What a name means can be told from the name, so each
 * answer is the right one, or none; and every question ends, whoever has gone meanwhile.
 */
#include "corpus.h"

#include <netinet/in.h>
#include <stdio.h>

#include <coil/sugar.h>

enum { TASKS = 6, LOOKUPS = 10, NAMES = 12, MESSAGE_BYTES = 512, HEADER_BYTES = 12 };

static struct {
    pid_t server, client;
    char where[64];
} ledger;

/* What is known of h<number>.test. */
static bool exists(unsigned number)
{
    return number % 5 != 4;
}
static bool needs_tcp(unsigned number)
{
    return number % 7 == 3;
}
static unsigned address_count(unsigned number)
{
    return 1 + number % 3;
}

/* --------------------------------------------------------------------------------- messages -- */

typedef struct message {
    unsigned char bytes[MESSAGE_BYTES];
    size_t count;
} message;

static void put_u16(message *to, unsigned value)
{
    to->bytes[to->count++] = (unsigned char)(value >> 8);
    to->bytes[to->count++] = (unsigned char)value;
}

static void put_u32(message *to, uint32_t value)
{
    put_u16(to, value >> 16);
    put_u16(to, value & 0xffff);
}

static void put_count(message *to, unsigned section, unsigned value)
{
    to->bytes[4 + 2 * section] = (unsigned char)(value >> 8);
    to->bytes[5 + 2 * section] = (unsigned char)value;
}

/* The owner is the name in the question. */
static void put_record(message *to, unsigned type, uint32_t ttl_s, unsigned size_bytes)
{
    put_u16(to, 0xc000 | HEADER_BYTES);
    put_u16(to, type);
    put_u16(to, 1);
    put_u32(to, ttl_s);
    put_u16(to, size_bytes);
}

static void put_addresses(message *to, unsigned number)
{
    put_count(to, 1, address_count(number));
    for (unsigned i = 0; i < address_count(number); i++) {
        put_record(to, 1, (uint32_t)corpus_draw(3), 4);
        put_u32(to, 0x0a090000 | number << 8 | i);
    }
}

static void put_service(message *to, unsigned number)
{
    char host[16];
    const int length = snprintf(host, sizeof(host), "h%u", number);
    put_count(to, 1, 1);
    put_record(to, 33, (uint32_t)corpus_draw(3), 6 + 1 + (unsigned)length + 6);
    put_u16(to, 0);
    put_u16(to, 0);
    put_u16(to, 1000 + number);
    to->bytes[to->count++] = (unsigned char)length;
    memcpy(to->bytes + to->count, host, (size_t)length);
    to->count += (size_t)length;
    memcpy(to->bytes + to->count, "\4test", 6);
    to->count += 6;
}

static void put_nothing(message *to)
{
    put_count(to, 2, 1);
    put_record(to, 6, 2, 22);
    put_u16(to, 0); /* The names of who is in charge are empty. */
    for (int i = 0; i < 5; i++)
        put_u32(to, (uint32_t)corpus_draw(3));
}

/* The number in "h<number>.test" or "_s._tcp.h<number>.test", and where the question ends. */
static unsigned read_question(const message *asked, size_t *out_end)
{
    unsigned number = 0;
    size_t at = HEADER_BYTES;
    while (at < asked->count && asked->bytes[at] != 0) {
        if (asked->bytes[at + 1] == 'h')
            number = (unsigned)strtoul((const char *)asked->bytes + at + 2, NULL, 10);
        at += asked->bytes[at] + 1U;
    }
    *out_end = at + 5;
    return number;
}

/* In place of the question, which is repeated in front. */
static void answer(message *to, bool is_tcp)
{
    size_t end;
    const unsigned number = read_question(to, &end);
    const unsigned type = to->bytes[end - 3];
    const bool is_cut_off = !is_tcp && needs_tcp(number);
    const bool is_there = exists(number);

    to->count = end;
    to->bytes[2] = is_cut_off ? 0x83 : 0x81;
    to->bytes[3] = is_there ? 0x80 : 0x83;
    put_count(to, 3, 0);
    if (is_cut_off)
        return;
    if (is_there && type == 1) {
        put_addresses(to, number);
    } else if (is_there && type == 33) {
        put_service(to, number);
    } else {
        put_nothing(to);
    }
}

/* ----------------------------------------------------------------------------------- server -- */

async(int, serve_datagrams, (int) fd)
{
    vars(message asked; struct sockaddr_storage from; struct iovec part; struct msghdr header;
            ssize_t count);
    for (;;) {
        my->part = (struct iovec){my->asked.bytes, MESSAGE_BYTES / 2};
        my->header = (struct msghdr){.msg_name = &my->from,
                .msg_namelen = sizeof(my->from),
                .msg_iov = &my->part,
                .msg_iovlen = 1};
        await(my->count, coil_recvmsg(fd, &my->header, 0));
        if (my->count < HEADER_BYTES + 5)
            continue;
        my->asked.count = (size_t)my->count;
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(60))));
        answer(&my->asked, false);
        my->part.iov_len = my->asked.count;
        ignore(coil_sendmsg(fd, &my->header, 0));
    }
}

async(int, serve_stream, (coil_stream *) peer)
{
    vars(message asked; unsigned char length[2]);

    defer(coil_stream_close(peer));
    attempt(coil_read_exact(peer, my->length, sizeof(my->length)));
    my->asked.count = (size_t)my->length[0] << 8 | my->length[1];
    if (my->asked.count > MESSAGE_BYTES / 2 || my->asked.count < HEADER_BYTES + 5)
        return 0;
    attempt(coil_read_exact(peer, my->asked.bytes, my->asked.count));
    answer(&my->asked, true);
    my->length[0] = (unsigned char)(my->asked.count >> 8);
    my->length[1] = (unsigned char)my->asked.count;
    attempt(coil_write_all(peer, (coil_slice){.bytes = (char *)my->length, .size_bytes = 2}));
    attempt(coil_write_all(peer, (coil_slice){.bytes = (char *)my->asked.bytes,
                                         .size_bytes = (int32_t)my->asked.count}));
    return 0;
}

async(int, be_server)
{
    vars(coil_listener *listener; coil_group group; int fd; int rc);
    coil_address any;

    my->fd = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
    if (my->fd < 0)
        return my->fd;
    defer(coil_kernel_close(my->fd));
    my->rc = coil_address_parse("0.0.0.0:53", &any);
    if (my->rc == 0)
        my->rc = coil_kernel_bind(my->fd, &any.socket, any.size_bytes);
    if (my->rc < 0)
        return my->rc;
    my->rc = coil_listen("*:53", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    my->group.keep_going = true;
    spawn(&my->group, serve_datagrams(my->fd));
    spawn(&my->group, coil_serve(my->listener, coil_handler(serve_stream, coil_stream *)));
    await(my->rc, within(coil_s(400), coil_signal_wait(COIL_SIGNALS(SIGTERM))));
    return my->rc == -ETIME ? 0 : my->rc;
}

CORPUS_MAIN(server_main, be_server())

/* ---------------------------------------------------------------------------------- clients -- */

static void check_addresses(const coil_addresses *found, unsigned number, bool is_service)
{
    corpus_expect(exists(number), "h%u does not exist", number);
    corpus_expect(
            found->count == address_count(number), "h%u has %u addresses", number, found->count);
    for (unsigned i = 0; i < found->count; i++) {
        const void *storage = &found->items[i].storage;
        const struct sockaddr_in *v4 = storage;
        const uint32_t host = ntohl(v4->sin_addr.s_addr);
        corpus_expect(v4->sin_family == AF_INET && host >> 8 == (0x0a0900 | number), "h%u is at %x",
                number, host);
        corpus_expect(ntohs(v4->sin_port) == (is_service ? 1000 + number : 80), "h%u: port %u",
                number, ntohs(v4->sin_port));
    }
}

async(int, look_up, (coil_resolver *) resolver)
{
    vars(coil_addresses found; char target[40]; unsigned number; bool is_service; int rc);

    my->number = (unsigned)corpus_draw(NAMES);
    my->is_service = corpus_chance(25);
    (void)snprintf(my->target, sizeof(my->target),
            my->is_service ? "srv:_s._tcp.h%u.test" : "h%u.test:80", my->number);
    await(my->rc, within(corpus_deadline(30, coil_ms(150)),
                          coil_resolve(resolver, my->target, &my->found)));
    if (my->rc == 0)
        check_addresses(&my->found, my->number, my->is_service);
    coil_addresses_release(&my->found);
    if (my->rc == -ENOENT || my->rc == -ETIME || my->rc == -EAGAIN) {
        corpus_expect(my->rc != -ENOENT || !exists(my->number), "h%u exists", my->number);
        return 0;
    }
    corpus_expect_success(my->rc, false, "a name");
    return 0;
}

async(int, look_up_many, (coil_resolver *) resolver)
{
    vars(int i);
    for (my->i = 0; my->i < LOOKUPS; my->i++) {
        attempt(look_up(resolver));
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_s(1))));
    }
    return 0;
}

async(int, be_clients)
{
    vars(coil_group group; coil_resolver *resolver; coil_resolver_stats stats; int i; int rc);
    coil_resolver_options options = {.servers = ledger.where,
            .search = "",
            .hosts_path = "",
            .resolv_conf_path = "",
            .attempts = 3,
            .timeout = coil_ms(40),
            .cache_count_max = 8};

    my->rc = coil_resolver_create(coil_loop_of(coil_self), &options, &my->resolver);
    if (my->rc < 0)
        return my->rc;
    defer(coil_resolver_destroy(my->resolver));
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < TASKS; my->i++)
        spawn(&my->group, look_up_many(my->resolver));
    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_s(2))));
        coil_group_cancel(&my->group);
    }
    ignore(coil_group_join(&my->group));
    my->stats = coil_resolver_statistics(my->resolver);
    corpus_expect(
            my->stats.question_count == 0, "%zu questions are left", my->stats.question_count);
    corpus_expect(my->stats.cached_count <= 8, "%zu names are kept", my->stats.cached_count);
    return 0;
}

CORPUS_MAIN(client_main, be_clients())

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars(coil_sim_link link);

    my->link = (coil_sim_link){.latency_least = coil_us(50),
            .latency_most = coil_ms(5),
            .loss_ppm = (uint32_t)corpus_draw(300000),
            .duplicates_ppm = (uint32_t)corpus_draw(200000),
            .reorders_ppm = (uint32_t)corpus_draw(200000)};
    coil_sim_set_link(sim, "server", "client", &my->link);
    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_s(1))));
        coil_sim_partition(sim, "server", "client");
        await(coil_sleep(corpus_moment(coil_s(1))));
        coil_sim_heal(sim, "server", "client");
    }
    ignore(corpus_await_end(sim, ledger.client));
    (void)coil_sim_kill(sim, ledger.server, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.server = corpus_start(sim, "server", "/bin/named", server_main);
    ledger.client = corpus_start(sim, "client", "/bin/askers", client_main);
    (void)snprintf(ledger.where, sizeof(ledger.where), "%s", corpus_address(sim, "server", 53));
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.server, "the server");
    corpus_expect_end(sim, ledger.client, "the client");
}

const coil_sim_scenario scenario_names = {.name = "names",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
