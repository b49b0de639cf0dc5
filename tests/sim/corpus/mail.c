/* SPDX-License-Identifier: MIT */
/*
 * Letters by UDP, over links that lose, double and reorder them, to a broker that acknowledges.
 * Who has no answer sends again; the broker knows what it has, so that each letter counts once.
 * What arrives is what was sent, whole, or it does not arrive.
 */
#include "corpus.h"

#include <stdio.h>

#include <netinet/in.h>

#include <coil/sugar.h>

enum { WRITERS = 3, LETTERS = 15, LETTER_BYTES = 900, PORT = 7400 };

typedef struct letter {
    uint32_t writer;
    uint32_t number;
    char bytes[LETTER_BYTES];
} letter;

static struct {
    pid_t broker, writers[WRITERS];
    uint32_t size_bytes[WRITERS][LETTERS]; /* Of the text of each. */
    unsigned received[WRITERS][LETTERS];   /* By the broker, for the first time. */
    unsigned acknowledged[WRITERS][LETTERS];
} ledger;

/* ---------------------------------------------------------------------------------- broker -- */

/* Bound to a port, or of any; connected, if there is a peer. */
static int open_udp(const char *own, const char *peer)
{
    coil_address address;
    const int fd = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return fd;
    int rc = coil_address_parse(own, &address);
    if (rc == 0)
        rc = coil_kernel_bind(fd, &address.socket, address.size_bytes);
    if (rc == 0 && peer != NULL) {
        rc = coil_address_parse(peer, &address);
        if (rc == 0)
            rc = coil_kernel_connect_now(fd, &address.socket, address.size_bytes);
    }
    if (rc < 0)
        (void)coil_kernel_close(fd);
    return rc < 0 ? rc : fd;
}

static void receive(const letter *in, ssize_t size_bytes)
{
    const size_t head_bytes = offsetof(letter, bytes);
    corpus_expect(size_bytes >= (ssize_t)head_bytes, "a letter of %zd bytes", size_bytes);
    corpus_expect(in->writer < WRITERS && in->number < LETTERS, "a letter that nobody wrote");
    const size_t text_bytes = (size_t)size_bytes - head_bytes;
    corpus_expect(text_bytes == ledger.size_bytes[in->writer][in->number], "it is cut");
    corpus_expect(corpus_matches(in->bytes, text_bytes, in->writer, in->number), "other bytes");
    if (ledger.acknowledged[in->writer][in->number] > 0)
        corpus_expect(ledger.received[in->writer][in->number] == 1, "it was acknowledged before");
    ledger.received[in->writer][in->number] = 1;
}

async(int, be_broker)
{
    vars(int fd; letter in; coil_address from; struct iovec part; struct msghdr message;
            ssize_t size_bytes; ssize_t count);

    my->fd = open_udp("0.0.0.0:7400", NULL);
    if (my->fd < 0)
        return my->fd;
    defer(ignore(coil_close(my->fd)));
    for (;;) {
        my->part = (struct iovec){&my->in, sizeof(my->in)};
        my->message = (struct msghdr){.msg_name = &my->from.storage,
                .msg_namelen = sizeof(my->from.storage),
                .msg_iov = &my->part,
                .msg_iovlen = 1};
        attempt(my->size_bytes, coil_recvmsg(my->fd, &my->message, 0));
        receive(&my->in, my->size_bytes);
        if (corpus_chance(10))
            await(coil_sleep(corpus_moment(coil_ms(20))));
        my->part.iov_len = offsetof(letter, bytes);
        await(my->count, coil_sendmsg(my->fd, &my->message, 0));
        corpus_expect_success(my->count, false, "an answer");
    }
}

async(int, serve_until_told)
{
    vars(coil_group group);

    open_group(&my->group);
    spawn(&my->group, be_broker());
    attempt(coil_signal_wait(COIL_SIGNALS(SIGTERM)));
    return 0;
}

CORPUS_MAIN(broker_main, serve_until_told())

/* --------------------------------------------------------------------------------- writers -- */

/* Answers to what was sent before may come, too. */
async(int, await_answer, (int) fd, (uint32_t) number)
{
    vars(letter in; ssize_t count);

    for (;;) {
        attempt(my->count, coil_recv(fd, &my->in, sizeof(my->in), 0));
        corpus_expect(
                (size_t)my->count == offsetof(letter, bytes), "an answer of %zd bytes", my->count);
        if (my->in.number == number)
            return 0;
        corpus_expect(my->in.number < number, "an answer to what was not sent yet");
    }
}

/* Nobody is there yet, or nothing came back: once more. */
async(int, send_letter, (int) fd, (letter *) out, (size_t) size_bytes)
{
    vars(ssize_t count; int rc);

    for (;;) {
        await(my->count, coil_send(fd, out, size_bytes, 0));
        corpus_expect(my->count < 0 || (size_t)my->count == size_bytes, "%zd", my->count);
        await(my->rc,
                within(coil_ms(1) + corpus_moment(coil_ms(50)), await_answer(fd, out->number)));
        if (my->rc == 0)
            return 0;
        if (my->count == -ECONNREFUSED || my->rc == -ECONNREFUSED)
            await(coil_sleep(coil_ms(5)));
        if (my->rc != -ETIME && my->rc != -ECONNREFUSED)
            return my->rc;
    }
}

async(int, write_letters, (uint32_t) writer, (const char *) peer)
{
    vars(int fd; letter out; uint32_t i; int rc);

    my->fd = open_udp("0.0.0.0:0", peer);
    if (my->fd < 0)
        return my->fd;
    defer(ignore(coil_close(my->fd)));
    for (my->i = 0; my->i < LETTERS; my->i++) {
        my->out.writer = writer;
        my->out.number = my->i;
        ledger.size_bytes[writer][my->i] = (uint32_t)corpus_draw(LETTER_BYTES + 1);
        corpus_fill(my->out.bytes, ledger.size_bytes[writer][my->i], writer, my->i);
        await(my->rc, within(coil_s(300),
                              send_letter(my->fd, &my->out,
                                      offsetof(letter, bytes) + ledger.size_bytes[writer][my->i])));
        corpus_expect_success(my->rc, false, "a letter");
        if (my->rc < 0)
            return my->rc;
        corpus_expect(ledger.received[writer][my->i] == 1, "acknowledged, and not received");
        ledger.acknowledged[writer][my->i]++;
    }
    return 0;
}

static int writer_main(int argc, char **argv)
{
    const corpus_start_state start = corpus_begin();
    corpus_expect(argc == 3);
    return corpus_end(&start, coil_run(write_letters((uint32_t)(argv[1][0] - '0'), argv[2])));
}

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars(int i);

    if (corpus_chance(50)) {
        await(coil_sleep(corpus_moment(coil_ms(200))));
        coil_sim_partition(sim, "broker", "writers");
        await(coil_sleep(corpus_moment(coil_s(2))));
        coil_sim_heal_all(sim);
    }
    for (my->i = 0; my->i < WRITERS; my->i++)
        ignore(corpus_await_end(sim, ledger.writers[my->i]));
    (void)coil_sim_kill(sim, ledger.broker, SIGTERM);
    return 0;
}

static void build(coil_sim *sim)
{
    const coil_sim_link link = {.latency_least = coil_us(20),
            .latency_most = coil_us(20) + (coil_duration)coil_sim_random(sim, 5000000),
            .loss_ppm = (uint32_t)coil_sim_random(sim, 400000),
            .duplicates_ppm = (uint32_t)coil_sim_random(sim, 300000),
            .reorders_ppm = (uint32_t)coil_sim_random(sim, 300000)};
    memset(&ledger, 0, sizeof(ledger));
    ledger.broker = corpus_start(sim, "broker", "/bin/broker", broker_main);
    coil_sim_program(sim, "/bin/writer", writer_main);
    for (int i = 0; i < WRITERS; i++) {
        char number[] = {(char)('0' + i), '\0'};
        char address[64];
        (void)snprintf(address, sizeof(address), "%s", corpus_address(sim, "broker", PORT));
        char *const arguments[] = {(char[]){"writer"}, number, address, NULL};
        ledger.writers[i] = coil_sim_start(sim, "writers", "/bin/writer", arguments);
    }
    coil_sim_set_link(sim, "broker", "writers", &link);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.broker, "the broker");
    for (int i = 0; i < WRITERS; i++) {
        corpus_expect_end(sim, ledger.writers[i], "a writer");
        for (int k = 0; k < LETTERS; k++) {
            coil_sim_expect(sim, ledger.acknowledged[i][k] <= ledger.received[i][k]);
            coil_sim_expect(sim, ledger.acknowledged[i][k] == 1 || !corpus_is_fair(),
                    "letter %d of %d was not sent", k, i);
        }
    }
}

const coil_sim_scenario scenario_mail = {
        .name = "mail", .build = build, .direct = coil_handler(direct, coil_sim *), .check = check};
