/* SPDX-License-Identifier: MIT */

/*
 * Connect, send one request, receive the reply, close: `connections` of that at a time, each begun
 * when the one before it has ended.
 *
 * We close first, as clients do, so the port of each connection stays in TIME_WAIT for a minute.
 * That ports do not run out, the connections come from as many addresses in turn as --sources says;
 * --reset closes with RST instead, which leaves nothing behind but is not what servers usually see.
 * A latency here is that of the whole thing: from connecting to the last byte of the reply.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/socket.h>

enum { IN_BYTES = 64 * 1024 };

/* One of the connections that exist at the same time. */
struct churn_slot {
    int fd;
    size_t sent;
    uint64_t begun_ns;
    struct cursor in;
};

struct churn {
    const load_options *options;
    const struct codec *codec;
    struct churn_slot *slots;
    unsigned char *out;
    int epoll_fd;
    uint64_t begun; /* connections so far */
    bool measuring;
    uint64_t errors;
    coil_histogram latencies;
    unsigned char in[IN_BYTES];
};

static void slot_watch(struct churn *churn, struct churn_slot *slot, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = slot};

    if (epoll_ctl(churn->epoll_fd, op, slot->fd, &event) < 0)
        load_die("epoll_ctl", errno);
}

static void slot_fail(struct churn *churn, const char *what, int error)
{
    errno = error;
    fprintf(stderr, "load: %s: %m\n", what);
    churn->errors++;
}

/* Sends what is left of the request. Not being connected yet looks like a full socket. */
static bool slot_send(struct churn *churn, struct churn_slot *slot)
{
    const struct codec *codec = churn->codec;
    size_t left = codec->request_bytes - slot->sent;

    codec->encode(codec, slot->in.sequence, churn->out);
    ssize_t sent = send(slot->fd, churn->out + slot->sent, left, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        slot_fail(churn, "send", errno);
    if (sent > 0)
        slot->sent += (size_t)sent;
    return slot->sent == codec->request_bytes;
}

static void slot_begin(struct churn *churn, struct churn_slot *slot)
{
    int source = (int)(churn->begun++ % (uint64_t)churn->options->sources);

    slot->begun_ns = load_now_ns();
    slot->fd = load_dial(churn->options, source, SOCK_NONBLOCK);
    slot->sent = 0;
    slot->in = (struct cursor){.sequence = churn->begun};
    bool all_sent = slot_send(churn, slot);
    slot_watch(churn, slot, EPOLL_CTL_ADD, all_sent ? EPOLLIN : EPOLLOUT);
}

static void slot_end(struct churn *churn, struct churn_slot *slot)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (churn->measuring)
        coil_histogram_add(&churn->latencies, load_now_ns() - slot->begun_ns);
    if (churn->options->reset)
        (void)setsockopt(slot->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(slot->fd);
}

/* True once the reply is complete. */
static bool slot_receive(struct churn *churn, struct churn_slot *slot)
{
    bool complete = false;
    ssize_t got = recv(slot->fd, churn->in, sizeof(churn->in), MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        slot_fail(churn, "the server closed the connection", got < 0 ? errno : ECONNABORTED);
        return false;
    }
    for (size_t used = 0; used < (size_t)got;) {
        long run = complete ? -1
                            : churn->codec->check(churn->codec, &slot->in, churn->in + used,
                                      (size_t)got - used, &complete);
        if (run < 0) {
            slot_fail(churn, "wrong bytes in a reply", EBADMSG);
            return false;
        }
        used += (size_t)run;
    }
    return complete;
}

static void slot_turn(struct churn *churn, struct churn_slot *slot, uint32_t events)
{
    if (events & EPOLLOUT) {
        if (slot_send(churn, slot))
            slot_watch(churn, slot, EPOLL_CTL_MOD, EPOLLIN);
        return;
    }
    if (slot_receive(churn, slot)) {
        slot_end(churn, slot);
        slot_begin(churn, slot);
    }
}

static void churn_turn(struct churn *churn)
{
    struct epoll_event events[LOAD_EVENTS_MAX];
    int timeout_ms = churn->options->spin ? 0 : LOAD_STALL_MS;
    int count = epoll_wait(churn->epoll_fd, events, LOAD_EVENTS_MAX, timeout_ms);

    if (count < 0 && errno != EINTR)
        load_die("epoll_wait", errno);
    if (count == 0 && timeout_ms > 0)
        slot_fail(churn, "no reply", ETIMEDOUT);
    for (int i = 0; i < count && churn->errors == 0; i++)
        slot_turn(churn, events[i].data.ptr, events[i].events);
}

static void churn_for(struct churn *churn, double seconds)
{
    uint64_t end_ns = load_now_ns() + (uint64_t)(seconds * 1e9);

    while (churn->errors == 0 && load_now_ns() < end_ns)
        churn_turn(churn);
}

static void churn_init(struct churn *churn, const load_options *options, const struct codec *codec)
{
    churn->options = options;
    churn->codec = codec;
    churn->slots = calloc((size_t)options->connections, sizeof(*churn->slots));
    churn->out = malloc(codec->request_bytes);
    churn->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load_histogram_init(&churn->latencies);
    if (!churn->slots || !churn->out)
        load_die("malloc", ENOMEM);
    if (churn->epoll_fd < 0)
        load_die("epoll_create1", errno);
}

int churn_run(const load_options *options, const struct codec *codec)
{
    static struct churn churn;
    load_result result = {.options = options,
            .latencies = &churn.latencies,
            .request_bytes = codec->request_bytes,
            .served = options->connections};

    churn_init(&churn, options, codec);
    for (int i = 0; i < options->connections; i++)
        slot_begin(&churn, &churn.slots[i]);
    churn_for(&churn, options->warmup_s);
    result.from = load_read(options->server_pid);
    churn.measuring = true;
    churn_for(&churn, options->measured_s);
    result.to = load_read(options->server_pid);
    result.errors = churn.errors;
    load_report(&result);
    return churn.errors ? 1 : 0;
}
