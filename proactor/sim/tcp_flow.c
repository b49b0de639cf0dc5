/* SPDX-License-Identifier: MIT */
/*
 * What two ends send each other: segments, which arrive late or again, and the acknowledgements and
 * window updates that come back (here: news).
 */
#include "tcp.h"

#include <poll.h>
#include <string.h>

enum {
    RETRY_FIRST_MS = 200,       /* TCP_RTO_MIN, Linux */
    RETRY_MOST_MS = 120 * 1000, /* TCP_RTO_MAX */
    GIVE_UP_MS = 924600,        /* net.ipv4.tcp_retries2 of 15: ip-sysctl */
    ORPHAN_GIVE_UP_MS = 102200, /* net.ipv4.tcp_orphan_retries of 0, which is 8 */
    LOSSES_IN_A_ROW = 6,        /* Of one segment, by chance. */
};

static void run_arrival(sim_event *event);
static void run_news(sim_event *event);
static void arm(tcp_end *end);
static void schedule_news(tcp_end *end);

static coil_duration retry_delay(unsigned retry_count)
{
    if (retry_count > 9)
        return coil_ms(RETRY_MOST_MS);
    coil_duration delay = coil_ms((int64_t)RETRY_FIRST_MS << retry_count);
    return delay < coil_ms(RETRY_MOST_MS) ? delay : coil_ms(RETRY_MOST_MS);
}

void tcp_flow_init(tcp_end *end)
{
    end->failing_since = COIL_NEVER;
    end->arrival.run = run_arrival;
    end->news.run = run_news;
    coil_list_init(&end->segments);
}

void tcp_flow_drop(tcp_end *end)
{
    coil_list *link;
    while ((link = coil_list_take_first(&end->segments)) != NULL)
        sim_delete(coil_container_of(link, tcp_segment, link));
    sim_withdraw(end->connection->world, &end->arrival);
}

/* ---------------------------------------------------------------------------------- sending -- */

static tcp_segment *first_segment(const tcp_end *end)
{
    return coil_container_of(end->segments.next, tcp_segment, link);
}

/* Both are of a list that is not empty. */
static const tcp_segment *last_segment(const tcp_end *end)
{
    return coil_container_of(end->segments.prev, tcp_segment, link);
}

static void add_segment(tcp_end *end, tcp_segment_kind kind, size_t size_bytes)
{
    sim_world *world = end->connection->world;
    tcp_segment *segment = sim_new(sizeof(*segment));

    segment->kind = kind;
    segment->size_bytes = size_bytes;
    segment->arrival = sim_network_arrival(end->host, end->peer->host, size_bytes);
    for (unsigned i = 0; i < LOSSES_IN_A_ROW && kind != TCP_RST; i++) {
        if (!sim_network_loses(end->host, end->peer->host))
            break;
        sim_network_counted(world)->segment_losses++;
        segment->arrival = coil_time_after(segment->arrival, retry_delay(i));
    }
    if (!coil_list_empty(&end->segments) && segment->arrival < last_segment(end)->arrival)
        segment->arrival = last_segment(end)->arrival; /* None overtakes another. */
    coil_list_init(&segment->link);
    coil_list_append(&end->segments, &segment->link);
}

void tcp_end_push(tcp_end *end)
{
    if (end->is_dead)
        return;
    while (end->sent < end->written && end->sent < end->window_end) {
        uint64_t room = end->window_end < end->written ? end->window_end : end->written;
        size_t size_bytes = sim_network_segment(end->host, end->peer->host);
        if (size_bytes > room - end->sent)
            size_bytes = (size_t)(room - end->sent);
        end->sent += size_bytes;
        add_segment(end, TCP_BYTES, size_bytes);
    }
    if (end->fin_wanted && !end->fin_sent && end->sent == end->written) {
        end->fin_sent = true;
        end->closes_first = !end->peer->fin_delivered;
        add_segment(end, TCP_FIN, 0);
    }
    arm(end);
}

/* What is on its way still arrives; what was not sent is lost. */
void tcp_end_abort(tcp_end *end)
{
    if (end->is_dead)
        return;
    end->is_dead = true;
    sim_withdraw(end->connection->world, &end->news);
    add_segment(end, TCP_RST, 0);
    arm(end);
}

/* The answer to a segment for which there is no connection (RFC 9293, section 3.10.7.1). */
static void answer_reset(tcp_end *end)
{
    if (!coil_list_empty(&end->segments) && last_segment(end)->kind == TCP_RST)
        return;
    end->is_dead = true;
    add_segment(end, TCP_RST, 0);
    arm(end);
}

/* ---------------------------------------------------------------------------- giving up -- */

static coil_duration patience(const tcp_end *end)
{
    const tcp_socket *tcp = end->socket;
    if (tcp == NULL)
        return coil_ms(ORPHAN_GIVE_UP_MS);
    int limit_ms = tcp->socket.options[SIM_OPTION_USER_TIMEOUT_MS]; /* tcp(7) */
    return coil_ms(limit_ms > 0 ? limit_ms : GIVE_UP_MS);
}

/* One more try has failed: when is the next? COIL_NEVER: there is none. */
static coil_time next_try(tcp_end *end, coil_duration limit)
{
    coil_time now = sim_now(end->connection->world);
    if (end->failing_since == COIL_NEVER)
        end->failing_since = now;
    coil_time last = coil_time_after(end->failing_since, limit);
    if (now >= last)
        return COIL_NEVER;
    coil_time next = coil_time_after(now, retry_delay(end->retry_count++));
    return next < last ? next : last;
}

/*
 * RST is not sent again by itself, but evoked again by each segment that is: as long as the peer
 * waits for acknowledgements.
 */
static void retry_reset(tcp_end *end)
{
    tcp_end *peer = end->peer;
    bool is_asked = peer->socket != NULL && !peer->is_dead && peer->acknowledged < peer->sent;
    coil_time again = is_asked ? next_try(end, patience(peer)) : COIL_NEVER;

    tcp_flow_drop(end);
    if (again != COIL_NEVER) {
        add_segment(end, TCP_RST, 0);
        first_segment(end)->arrival = again;
    } else if (is_asked) {
        tcp_end_time_out(peer);
    } else {
        tcp_end_forget_half_open(peer);
    }
}

static void retry_segments(tcp_end *end)
{
    if (end->is_dead) {
        retry_reset(end);
        return;
    }
    coil_time again = next_try(end, patience(end));
    if (again == COIL_NEVER) {
        tcp_end_time_out(end);
        return;
    }
    sim_network_counted(end->connection->world)->segment_losses++;
    for (coil_list *link = end->segments.next; link != &end->segments; link = link->next) {
        tcp_segment *segment = coil_container_of(link, tcp_segment, link);
        if (segment->arrival < again)
            segment->arrival = again;
    }
}

/* ------------------------------------------------------------------------------- arriving -- */

/* Both FINs have been sent and acknowledged: the state is that of TIME_WAIT or CLOSED. */
static void end_if_over(tcp_end *end)
{
    tcp_socket *tcp = end->socket;
    if (tcp != NULL && tcp->has_end && end->fin_acknowledged && tcp->state == TCP_IS_OPEN)
        tcp_socket_closed(tcp);
}

/*
 * One that is not read yet, and next in the stream, is lost to a new one; elsewhere it becomes a
 * byte as all are (tcp_check_urg() in Linux; observed: urgent_twice).
 */
static void forget_urgent(tcp_socket *tcp, uint64_t next_position)
{
    const bool is_apart = tcp->has_urgent && !tcp->socket.options[SIM_OPTION_OOBINLINE];
    if (!is_apart || tcp->urgent_position != tcp->read_position ||
            tcp->read_position == next_position)
        return;
    sim_ledger_received(&tcp->end->peer->ledger, sim_bytes_at(&tcp->received, 0), 1);
    sim_bytes_drop(&tcp->received, 1);
    tcp->read_position++;
}

static void take_bytes(tcp_end *from, tcp_socket *tcp, size_t size_bytes)
{
    size_t offset = (size_t)(from->delivered - from->acknowledged);
    const char *bytes = sim_bytes_at(&from->unacknowledged, offset);

    memcpy(sim_bytes_room(&tcp->received, size_bytes), bytes, size_bytes);
    sim_bytes_added(&tcp->received, size_bytes);
    if (from->has_urgent && from->urgent_position >= from->delivered &&
            from->urgent_position < from->delivered + size_bytes) {
        forget_urgent(tcp, from->delivered);
        tcp->has_urgent = true;
        tcp->urgent_is_read = false;
        tcp->urgent_position = from->urgent_position;
        from->has_urgent = false;
    }
    from->delivered += size_bytes;
    sim_ledger_check(&from->ledger);
    /* sock_def_readable(), which says PRI of everything; urgent bytes are announced before, too. */
    const short came = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND;
    if (tcp->has_urgent && !tcp->urgent_is_read &&
            tcp->urgent_position + size_bytes >= from->delivered)
        sim_file_announce(&tcp->socket.file, came);
    sim_file_announce(&tcp->socket.file, came);
}

static void take_end(tcp_end *from, tcp_end *to)
{
    tcp_socket *tcp = to->socket;
    from->fin_delivered = true;
    tcp->has_end = true;
    tcp->socket.shut |= SIM_SHUT_RECV;
    sim_file_changed(&tcp->socket.file);
    end_if_over(to);
}

static bool is_reset_by_network(tcp_end *from, tcp_end *to)
{
    sim_world *world = from->connection->world;
    if (from->host == to->host || !sim_fault(world, SIM_FAULT_RESET))
        return false;
    sim_trace(world, "tcp: the network resets %s -> %s", from->host->name, to->host->name);
    tcp_end_reset(from);
    tcp_end_reset(to);
    return true;
}

/* A segment of `from` has come to its peer. */
static void take_segment(tcp_end *from, tcp_segment_kind kind, size_t size_bytes)
{
    tcp_end *to = from->peer;
    tcp_socket *tcp = to->socket;

    if (kind == TCP_RST) {
        tcp_end_reset(to);
        return;
    }
    if (tcp == NULL && to->fin_wanted && !to->is_dead && kind == TCP_FIN) {
        from->fin_delivered = true; /* An orphan in FIN_WAIT acknowledges the end. */
        schedule_news(from);
        return;
    }
    if (tcp == NULL || to->is_dead) {
        answer_reset(to);
        return;
    }
    if (kind == TCP_OPENS) {
        if (tcp_child_open(tcp)) {
            schedule_news(from);
        } else {
            answer_reset(to);
        }
        return;
    }
    if (is_reset_by_network(from, to))
        return;
    to->heard_at = sim_now(from->connection->world);
    sim_network_counted(from->connection->world)->segments++;
    if (kind == TCP_FIN) {
        take_end(from, to);
    } else if (tcp->socket.shut == SIM_SHUT_BOTH && !tcp->has_end) {
        answer_reset(to); /* Observed: bytes for one who has shut both are answered by RST. */
        tcp_socket_closed(tcp);
        return;
    } else {
        take_bytes(from, tcp, size_bytes);
    }
    schedule_news(from);
}

static void deliver_first(tcp_end *end)
{
    tcp_segment *segment = first_segment(end);
    if (!sim_network_passes(end->host, end->peer->host)) {
        retry_segments(end);
        return;
    }
    tcp_segment_kind kind = segment->kind;
    size_t size_bytes = segment->size_bytes;
    coil_list_remove(&segment->link);
    sim_delete(segment);
    take_segment(end, kind, size_bytes);
}

/* Deliver what is due, which on loopback is so at once; wait for the rest. */
static void arm(tcp_end *end)
{
    sim_world *world = end->connection->world;
    if (end->is_delivering)
        return;
    end->is_delivering = true;
    while (!coil_list_empty(&end->segments) && first_segment(end)->arrival <= sim_now(world))
        deliver_first(end);
    end->is_delivering = false;
    sim_withdraw(world, &end->arrival);
    if (!coil_list_empty(&end->segments))
        sim_at(world, first_segment(end)->arrival, &end->arrival);
}

static void run_arrival(sim_event *event)
{
    arm(coil_container_of(event, tcp_end, arrival));
}

/* ----------------------------------------------------------------------- acknowledgements -- */

static uint64_t room_of(const tcp_socket *tcp)
{
    uint64_t limit = tcp->socket.receive_limit_bytes;
    return tcp->received.count < limit ? limit - tcp->received.count : 0;
}

static void take_news(tcp_end *end)
{
    const tcp_socket *receiver = end->peer->socket;

    end->failing_since = COIL_NEVER;
    end->retry_count = 0;
    end->heard_at = sim_now(end->connection->world);
    sim_bytes_drop(&end->unacknowledged, (size_t)(end->delivered - end->acknowledged));
    end->acknowledged = end->delivered;
    sim_ledger_check(&end->ledger);
    end->fin_acknowledged = end->fin_delivered;
    if (receiver != NULL && end->delivered + room_of(receiver) > end->window_end)
        end->window_end = end->delivered + room_of(receiver);
    tcp_end_push(end);
    if (end->socket != NULL)
        sim_file_changed(&end->socket->socket.file);
    end_if_over(end);
}

static void run_news(sim_event *event)
{
    tcp_end *end = coil_container_of(event, tcp_end, news);
    if (end->is_dead)
        return;
    if (sim_network_passes(end->peer->host, end->host)) {
        take_news(end);
        return;
    }
    coil_time again = next_try(end, patience(end));
    if (again == COIL_NEVER) {
        tcp_end_time_out(end);
    } else {
        sim_at(end->connection->world, again, &end->news);
    }
}

/* The end learns what its peer has got. */
static void schedule_news(tcp_end *end)
{
    if (end->is_dead || sim_scheduled(&end->news))
        return;
    sim_world *world = end->connection->world;
    coil_time arrival = sim_network_arrival(end->peer->host, end->host, 0);
    if (arrival <= sim_now(world)) {
        run_news(&end->news);
    } else {
        sim_at(world, arrival, &end->news);
    }
}

void tcp_end_has_room(tcp_end *end)
{
    tcp_end *peer = end->peer;
    const uint64_t known = peer->window_end - peer->delivered;
    if (!end->is_dead && (peer->sent < peer->written || known < room_of(end->socket) / 2))
        schedule_news(peer); /* Also before the peer has more to send: nobody asks later. */
}

void tcp_end_open(tcp_end *end)
{
    tcp_end *peer = end->peer;
    end->window_end = room_of(peer->socket);
    peer->window_end = room_of(end->socket);
    end->connection->was_open = true;
    sim_network_counted(end->connection->world)->connections++;
    add_segment(end, TCP_OPENS, 0);
    arm(end);
}
