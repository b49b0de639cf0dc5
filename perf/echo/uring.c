/* SPDX-License-Identifier: MIT */

/*
 * The best hand-written echo server on io_uring, with its choices as options, so that they can be
 * measured:
 *
 *   --recv multishot   one armed receive per connection, into buffers that the kernel picks from a
 *                      shared ring
 *          oneshot     an armed receive per message, into the connection's own buffer
 *          poll        a multishot poll per connection, then recv(2) into one hot buffer, as an
 *                      epoll server would
 *
 *   --send inline      send(2), at once; the ring takes over what a full socket refuses
 *          skip        queued, no CQE on success: one enter per turn does the sends and the wait
 *          sqe         queued, completed by a CQE, because of which the wait for the next request
 *                      ends early
 *
 *   --gather run       what the turn's completions that follow each other brought for a connection
 *                      goes out as one send, with the first completion of another
 *            turn      whatever a turn brought for it goes out as one send at the end of the turn
 *
 *   --files regular, direct     descriptors, or slots of the ring's own table
 *   --buffers N --buffer-kib N --incremental 0|1     the shared ring of buffers of --recv multishot
 *   --wait N           completions that a wait asks for (1)
 *   --spin-us N        looks for completions for so long before it sleeps (0)
 *
 * The defaults are the best over the 12 judged cells (perf/NOTES.md).
 *
 * How `skip` knows when a buffer is free again: its sends carry MSG_DONTWAIT | MSG_WAITALL, so when
 * the enter that submitted them returns, each has either gone out whole, or has posted a CQE that
 * says how far it came.
 */
#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
    SQ_ENTRIES = 256,
    CQ_ENTRIES = 4096,
    SLOTS = 8192,
    IOVECS_MAX = 64,
    HOT_BYTES = 256 * 1024,
    CHUNKS_FEW = 2
};
enum recv_mode { RECV_MULTISHOT, RECV_ONESHOT, RECV_POLL };
enum send_mode { SEND_SQE, SEND_SKIP, SEND_INLINE };
enum gather { GATHER_RUN, GATHER_TURN };

/* The low bits of user_data; the rest is the connection. */
enum kind { KIND_RECV, KIND_SEND, KIND_ACCEPT, KIND_STOP, KIND_IGNORE, KIND_MASK = 7 };

/* Received bytes that have not been sent yet. */
struct chunk {
    char *bytes;
    size_t count;
    int buffer; /* in the shared ring, or -1 */
};

/* Pieces of memory that go out as one send. */
struct pieces {
    struct msghdr message;
    struct iovec iovecs[IOVECS_MAX];
    size_t bytes;
};

/* What a turn touches is in front and small: with a thousand connections each cache line counts. */
struct connection {
    int fd; /* a slot with --files direct */
    bool receiving;
    bool sending;
    bool queued;  /* on the dirty list */
    bool skipped; /* on the list of sends that post no CQE on success */
    bool closing; /* no more to receive */
    bool broken;  /* no more to send */
    bool hung_up; /* --recv poll: read to the end */
    bool parked;  /* waits for a buffer */
    unsigned first;
    unsigned end;
    unsigned room;
    struct chunk *chunks; /* `few`, or allocated */
    size_t in_flight;     /* bytes of the send in flight */
    ssize_t result;       /* of a skipped send */
    char *own; /* --recv oneshot: the receive buffer; --recv poll: what a full socket refused */
    struct connection *next_dirty;
    struct connection *next_sent;
    struct chunk few[CHUNKS_FEW];
    struct connection *next_parked;
    struct pieces *pieces; /* of a queued send with more than one; NULL until the first such */
};

/* A buffer of the shared ring: the kernel may still append to it while chunks of it wait to be
 * sent. */
struct buffer {
    char *bytes;
    size_t used;
    int chunks;
    bool kernel_done;
};

static struct server {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    char *memory;
    struct buffer *buffers;
    int given_count; /* buffers that the kernel has */
    int listen_fd;
    int stop_fd;
    bool stopping;
    bool accepting;
    struct connection *current; /* what it received in this turn has not been sent yet */
    struct connection *dirty;   /* has chunks to send */
    struct connection *sent;    /* --send skip: submitted in this turn */
    struct connection *parked;  /* waits for a buffer */
    struct connection **parked_end;
    char *hot;

    int recv_mode;
    int send_mode;
    int gather;
    int direct;
    int buffer_count;
    int buffer_kib;
    int incremental;
    int wait_count;
    int spin_us;
} server = {.buffer_count = 16,
        .buffer_kib = 64,
        .incremental = 1,
        .wait_count = 1,
        .send_mode = SEND_INLINE};

static size_t buffer_bytes(void)
{
    return (size_t)server.buffer_kib * 1024;
}

/* ---- Submission ---- */

static struct io_uring_sqe *new_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&server.ring);

    if (sqe)
        return sqe;
    int rc = io_uring_submit(&server.ring);
    if (rc < 0)
        serve_die("io_uring_submit", -rc);
    return io_uring_get_sqe(&server.ring);
}

/* The first of two entries that have to be submitted together, because the first links to the
 * second. */
static struct io_uring_sqe *new_sqe_of_two(void)
{
    if (io_uring_sq_space_left(&server.ring) < 2) {
        int rc = io_uring_submit(&server.ring);
        if (rc < 0)
            serve_die("io_uring_submit", -rc);
    }
    return new_sqe();
}

static void tag(struct io_uring_sqe *sqe, struct connection *connection, enum kind kind)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)connection | (uint64_t)kind);
    if (connection && server.direct)
        sqe->flags |= IOSQE_FIXED_FILE;
}

static void arm_accept(void)
{
    struct io_uring_sqe *sqe = new_sqe();

    if (server.direct)
        io_uring_prep_multishot_accept_direct(sqe, server.listen_fd, NULL, NULL, 0);
    else
        io_uring_prep_multishot_accept(sqe, server.listen_fd, NULL, NULL, SOCK_CLOEXEC);
    tag(sqe, NULL, KIND_ACCEPT);
    server.accepting = true;
}

static void arm_recv(struct connection *connection, bool poll_first)
{
    struct io_uring_sqe *sqe = new_sqe();

    switch ((enum recv_mode)server.recv_mode) {
    case RECV_MULTISHOT:
        io_uring_prep_recv_multishot(sqe, connection->fd, NULL, 0, 0);
        sqe->buf_group = 0;
        sqe->flags |= IOSQE_BUFFER_SELECT;
        break;
    case RECV_ONESHOT:
        io_uring_prep_recv(sqe, connection->fd, connection->own, buffer_bytes(), 0);
        break;
    case RECV_POLL:
        io_uring_prep_poll_multishot(sqe, connection->fd, POLLIN | POLLRDHUP);
        poll_first = false;
        break;
    }
    if (poll_first)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    tag(sqe, connection, KIND_RECV);
    connection->receiving = true;
}

/* ---- The shared buffers ---- */

static void buffer_give(int index)
{
    struct buffer *buffer = &server.buffers[index];

    *buffer = (struct buffer){.bytes = server.memory + (size_t)index * buffer_bytes()};
    io_uring_buf_ring_add(server.buffer_ring, buffer->bytes, (unsigned)buffer_bytes(),
            (unsigned short)index, io_uring_buf_ring_mask((unsigned)server.buffer_count), 0);
    io_uring_buf_ring_advance(server.buffer_ring, 1);
    server.given_count++;
}

static void mark_dirty(struct connection *connection);

/* A connection that found the ring empty asks again when a buffer comes back; first come, first
 * served. */
static void unpark_one(void)
{
    struct connection *connection = server.parked;

    if (!connection)
        return;
    server.parked = connection->next_parked;
    if (!server.parked)
        server.parked_end = &server.parked;
    connection->parked = false;
    if (!connection->closing)
        arm_recv(connection, true);
    mark_dirty(connection); /* Settled there, if it has ended meanwhile. */
}

static void park(struct connection *connection)
{
    connection->parked = true;
    connection->next_parked = NULL;
    *server.parked_end = connection;
    server.parked_end = &connection->next_parked;
}

static void chunk_release(const struct chunk *chunk)
{
    if (chunk->buffer < 0)
        return;
    struct buffer *buffer = &server.buffers[chunk->buffer];
    if (--buffer->chunks > 0 || !buffer->kernel_done)
        return;
    buffer_give(chunk->buffer);
    unpark_one();
}

static void buffers_setup(void)
{
    int rc = 0;
    unsigned flags = server.incremental ? IOU_PBUF_RING_INC : 0;
    size_t bytes = buffer_bytes() * (size_t)server.buffer_count;

    server.buffer_ring =
            io_uring_setup_buf_ring(&server.ring, (unsigned)server.buffer_count, 0, flags, &rc);
    if (!server.buffer_ring)
        serve_die("io_uring_setup_buf_ring", -rc);
    server.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    server.buffers = calloc((size_t)server.buffer_count, sizeof(*server.buffers));
    if (server.memory == MAP_FAILED || !server.buffers)
        serve_die("buffers", ENOMEM);
    for (int i = 0; i < server.buffer_count; i++)
        buffer_give(i);
}

/* ---- A connection's queue of chunks ---- */

static void mark_dirty(struct connection *connection)
{
    if (connection->queued)
        return;
    connection->queued = true;
    connection->next_dirty = server.dirty;
    server.dirty = connection;
}

static void chunks_grow(struct connection *connection)
{
    const unsigned room = 2 * connection->room;
    struct chunk *few = connection->chunks == connection->few ? connection->few : NULL;

    connection->chunks = realloc(few ? NULL : connection->chunks, room * sizeof(struct chunk));
    if (!connection->chunks)
        serve_die("realloc", ENOMEM);
    if (few)
        memcpy(connection->chunks, few, connection->room * sizeof(struct chunk));
    connection->room = room;
}

static void chunk_push(struct connection *connection, struct chunk chunk)
{
    if (connection->end == connection->room)
        chunks_grow(connection);
    connection->chunks[connection->end++] = chunk;
}

/* The first `count` bytes are no longer needed. */
static void chunks_consume(struct connection *connection, size_t count)
{
    while (count > 0) {
        struct chunk *chunk = &connection->chunks[connection->first];
        size_t part = count < chunk->count ? count : chunk->count;
        chunk->bytes += part;
        chunk->count -= part;
        count -= part;
        if (chunk->count > 0)
            return;
        chunk_release(chunk);
        connection->first++;
    }
    if (connection->first == connection->end)
        connection->first = connection->end = 0;
}

static void chunks_drop(struct connection *connection)
{
    for (; connection->first < connection->end; connection->first++)
        chunk_release(&connection->chunks[connection->first]);
    connection->first = connection->end = 0;
}

/* Lays the waiting chunks out as few pieces as possible: neighbours in memory are one. */
static void chunks_gather(const struct connection *connection, struct pieces *pieces)
{
    size_t count = 0;

    pieces->bytes = 0;
    for (unsigned i = connection->first; i < connection->end; i++) {
        const struct chunk *chunk = &connection->chunks[i];
        struct iovec *last = &pieces->iovecs[count ? count - 1 : 0];
        if (count > 0 && (char *)last->iov_base + last->iov_len == chunk->bytes) {
            last->iov_len += chunk->count;
        } else if (count == IOVECS_MAX) {
            break;
        } else {
            pieces->iovecs[count++] = (struct iovec){chunk->bytes, chunk->count};
        }
        pieces->bytes += chunk->count;
    }
    pieces->message.msg_iov = pieces->iovecs;
    pieces->message.msg_iovlen = count;
}

/* ---- Sending ---- */

static void connection_destroy(struct connection *connection)
{
    if (server.direct) {
        struct io_uring_sqe *sqe = new_sqe();
        io_uring_prep_close_direct(sqe, (unsigned)connection->fd);
        tag(sqe, NULL, KIND_IGNORE);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    } else {
        close(connection->fd);
    }
    if (connection->chunks != connection->few)
        free(connection->chunks);
    free(connection->pieces);
    free(connection->own);
    free(connection);
}

/* Destroys a connection that is over and that the kernel has let go of. */
static void connection_settle(struct connection *connection)
{
    if (!connection->closing)
        return;
    if (connection->broken)
        chunks_drop(connection);
    if (!connection->receiving && !connection->sending && !connection->queued &&
            !connection->parked && connection != server.current &&
            connection->first == connection->end)
        connection_destroy(connection);
}

/* The peer takes no more: end the armed receive as well. */
static void connection_break(struct connection *connection)
{
    connection->broken = true;
    connection->closing = true;
    if (connection->receiving) {
        struct io_uring_sqe *sqe = new_sqe();
        io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)connection | KIND_RECV, 0);
        tag(sqe, NULL, KIND_IGNORE);
    }
}

/* The kernel reads the message only when the entry is submitted, at the end of the turn. */
static const struct msghdr *keep_pieces(struct connection *connection, const struct pieces *pieces)
{
    if (!connection->pieces && !(connection->pieces = malloc(sizeof(*connection->pieces))))
        serve_die("malloc", ENOMEM);
    *connection->pieces = *pieces;
    connection->pieces->message.msg_iov = connection->pieces->iovecs;
    return &connection->pieces->message;
}

/* Queues a send of what chunks_gather() laid out; the link makes a one-shot receive follow it in
 * the same enter. */
static void queue_send(struct connection *connection, const struct pieces *pieces, bool may_wait)
{
    const bool skip = server.send_mode == SEND_SKIP && !may_wait;
    struct io_uring_sqe *sqe = new_sqe_of_two();
    const int flags = MSG_NOSIGNAL | MSG_WAITALL | (skip ? MSG_DONTWAIT : 0);

    if (pieces->message.msg_iovlen == 1)
        io_uring_prep_send(sqe, connection->fd, pieces->iovecs[0].iov_base, pieces->bytes, flags);
    else
        io_uring_prep_sendmsg(
                sqe, connection->fd, keep_pieces(connection, pieces), (unsigned)flags);
    tag(sqe, connection, KIND_SEND);
    connection->sending = true;
    connection->in_flight = pieces->bytes;
    if (!skip)
        return;
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    connection->skipped = true;
    connection->result = (ssize_t)pieces->bytes;
    connection->next_sent = server.sent;
    server.sent = connection;
    if (server.recv_mode == RECV_ONESHOT && !connection->closing) {
        sqe->flags |= IOSQE_IO_LINK;
        arm_recv(connection, true);
    }
}

/* After a message has gone out whole: a one-shot receiver asks for the next. */
static void receive_again(struct connection *connection)
{
    if (server.recv_mode == RECV_ONESHOT && !connection->receiving && !connection->closing)
        arm_recv(connection, true);
}

/* Returns true when all has gone out. */
static bool send_inline(struct connection *connection, const struct pieces *pieces)
{
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t sent = pieces->message.msg_iovlen == 1
                           ? send(connection->fd, pieces->iovecs[0].iov_base, pieces->bytes, flags)
                           : sendmsg(connection->fd, &pieces->message, flags);

    if (sent < 0 && errno != EAGAIN) {
        connection_break(connection);
        return false;
    }
    if (sent > 0)
        chunks_consume(connection, (size_t)sent);
    return sent == (ssize_t)pieces->bytes;
}

/* Nearly always: one piece of memory, which the socket takes whole. Returns false when there is
 * more to it. */
static bool send_one(struct connection *connection)
{
    const struct chunk *chunk = connection->chunks;

    if (connection->end != 1 || server.send_mode != SEND_INLINE)
        return false;
    ssize_t sent = send(connection->fd, chunk->bytes, chunk->count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)chunk->count) {
        if (sent > 0)
            chunks_consume(connection, (size_t)sent);
        return false;
    }
    chunk_release(chunk);
    connection->end = 0;
    receive_again(connection);
    return true;
}

static void send_chunks(struct connection *connection, bool may_wait)
{
    static struct pieces pieces;

    chunks_gather(connection, &pieces);
    if (server.send_mode != SEND_INLINE || may_wait) {
        queue_send(connection, &pieces, may_wait);
        return;
    }
    if (!send_inline(connection, &pieces)) {
        if (connection->broken)
            return;
        chunks_gather(connection, &pieces);
        queue_send(connection, &pieces, true);
        return;
    }
    if (connection->first < connection->end)
        mark_dirty(connection);
    else
        receive_again(connection);
}

static void send_waiting(struct connection *connection)
{
    if (!connection->sending && !connection->broken && connection->first < connection->end &&
            !send_one(connection))
        send_chunks(connection, false);
    connection_settle(connection);
}

static void send_dirty(void)
{
    while (server.dirty) {
        struct connection *connection = server.dirty;
        server.dirty = connection->next_dirty;
        connection->queued = false;
        send_waiting(connection);
    }
}

static void send_current(void)
{
    struct connection *connection = server.current;

    server.current = NULL;
    if (connection)
        send_waiting(connection);
}

static void read_ready(struct connection *connection);

static void on_sent(struct connection *connection, ssize_t result)
{
    if (result == -EAGAIN)
        result = 0;
    if (result < 0) {
        connection->sending = false;
        connection_break(connection);
        connection_settle(connection);
        return;
    }
    chunks_consume(connection, (size_t)result);
    connection->sending = false;
    if ((size_t)result < connection->in_flight) {
        send_chunks(connection, true);
        return;
    }
    if (connection->first < connection->end)
        mark_dirty(connection);
    else if (server.recv_mode == RECV_POLL)
        read_ready(connection);
    else
        receive_again(connection);
    connection_settle(connection);
}

/* --send skip: the turn's sends are over, and those that posted no CQE have succeeded. */
static void confirm_sent(struct connection *sent)
{
    while (sent) {
        struct connection *connection = sent;
        sent = connection->next_sent;
        connection->skipped = false;
        /* A chain that breaks at an entry with CQE_SKIP_SUCCESS posts no CQE for the rest either:
         * no receive is armed. */
        if (server.recv_mode == RECV_ONESHOT && connection->result < (ssize_t)connection->in_flight)
            connection->receiving = false;
        on_sent(connection, connection->result);
    }
}

/* ---- Completions ---- */

static void on_accept(const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        server.accepting = false;
        if (!server.stopping)
            arm_accept();
    }
    if (cqe->res < 0)
        return;
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        serve_die("calloc", ENOMEM);
    connection->fd = cqe->res;
    connection->chunks = connection->few;
    connection->room = CHUNKS_FEW;
    if (server.recv_mode == RECV_ONESHOT && !(connection->own = malloc(buffer_bytes())))
        serve_die("malloc", ENOMEM);
    arm_recv(connection, false);
}

/* --recv poll: reads into the hot buffer and sends at once; what is refused is copied and goes
 * through the ring. */
static void read_ready(struct connection *connection)
{
    while (!connection->sending && !connection->broken && connection->first == connection->end) {
        ssize_t got = recv(connection->fd, server.hot, HOT_BYTES, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            connection_break(connection);
            return;
        }
        ssize_t sent = send(connection->fd, server.hot, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            sent = 0;
        if (sent < got) {
            free(connection->own);
            connection->own = malloc((size_t)(got - sent));
            if (!connection->own)
                serve_die("malloc", ENOMEM);
            memcpy(connection->own, server.hot + sent, (size_t)(got - sent));
            chunk_push(connection, (struct chunk){connection->own, (size_t)(got - sent), -1});
            mark_dirty(connection);
            return;
        }
        if (got < HOT_BYTES && !connection->hung_up)
            return;
    }
}

static void on_poll(struct connection *connection, const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0)
        connection->closing = true;
    else if (cqe->res & (POLLRDHUP | POLLHUP | POLLERR))
        connection->hung_up = true;
    if (!connection->closing)
        read_ready(connection);
    if (!connection->receiving && !connection->closing)
        arm_recv(connection, false);
}

/* What follows the last chunk in its buffer becomes a part of it. */
static bool append_to_last(
        struct connection *connection, const char *bytes, size_t count, int index)
{
    if (connection->end == 0 || connection->sending)
        return false;
    struct chunk *last = &connection->chunks[connection->end - 1];
    if (last->buffer != index || last->bytes + last->count != bytes)
        return false;
    last->count += count;
    return true;
}

/* The completions of one connection follow each other: what they brought goes out with the first
 * of another, or with the turn. */
static void send_later(struct connection *connection)
{
    if (server.gather == GATHER_TURN) {
        mark_dirty(connection);
        return;
    }
    if (server.current == connection)
        return;
    send_current();
    server.current = connection;
}

static void on_bytes(struct connection *connection, const struct io_uring_cqe *cqe)
{
    size_t count = (size_t)cqe->res;

    if (server.recv_mode == RECV_ONESHOT) {
        chunk_push(connection, (struct chunk){connection->own, count, -1});
        send_later(connection);
        return;
    }
    int index = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    struct buffer *buffer = &server.buffers[index];
    char *bytes = buffer->bytes + buffer->used;
    buffer->used += count;
    buffer->kernel_done = !server.incremental || !(cqe->flags & IORING_CQE_F_BUF_MORE);
    server.given_count -= buffer->kernel_done;
    if (!append_to_last(connection, bytes, count, index)) {
        buffer->chunks++;
        chunk_push(connection, (struct chunk){bytes, count, index});
    }
    send_later(connection);
}

static void on_recv(struct connection *connection, const struct io_uring_cqe *cqe)
{
    connection->receiving = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (connection->receiving && cqe->res > 0 && server.recv_mode == RECV_MULTISHOT) {
        on_bytes(connection, cqe);
        return;
    }
    if (server.recv_mode == RECV_POLL) {
        on_poll(connection, cqe);
        connection_settle(connection);
        return;
    }
    if (cqe->res == -ENOBUFS && !connection->closing) {
        /* What came back since then would wake nobody who parks only now. */
        if (server.given_count > 0)
            arm_recv(connection, true);
        else
            park(connection);
        return;
    }
    if (cqe->res > 0)
        on_bytes(connection, cqe);
    else
        connection->closing = true;
    if (server.recv_mode == RECV_MULTISHOT && !connection->receiving && !connection->closing)
        arm_recv(connection, false);
    connection_settle(connection);
}

static void on_cqe(const struct io_uring_cqe *cqe)
{
    struct connection *connection =
            (struct connection *)(uintptr_t)(cqe->user_data & ~(uint64_t)KIND_MASK);

    switch ((enum kind)(cqe->user_data & KIND_MASK)) {
    case KIND_RECV:
        on_recv(connection, cqe);
        break;
    case KIND_SEND:
        if (connection->skipped)
            connection->result = cqe->res;
        else
            on_sent(connection, cqe->res);
        break;
    case KIND_ACCEPT:
        on_accept(cqe);
        break;
    case KIND_STOP:
        server.stopping = true;
        break;
    case KIND_IGNORE:
    case KIND_MASK:
        break;
    }
}

/* Looks at shared memory only: the kernel says there that it has work for us, or that we have
 * completions. */
static void spin(void)
{
    const int64_t end_ns = serve_now_ns() + server.spin_us * INT64_C(1000);

    if (io_uring_sq_ready(&server.ring) > 0)
        (void)io_uring_submit(&server.ring);
    while (io_uring_cq_ready(&server.ring) == 0 &&
            !(IO_URING_READ_ONCE(*server.ring.sq.kflags) & IORING_SQ_TASKRUN)) {
        if (serve_now_ns() > end_ns)
            return;
        __builtin_ia32_pause();
    }
}

static void turn(void)
{
    struct connection *sent = server.sent;
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned count = 0;
    /* Sends that post no CQE may hold the very buffers that the parked receives need: then nothing
     * would end the wait. */
    unsigned wait_count = sent && server.parked ? 0 : (unsigned)server.wait_count;
    if (server.spin_us > 0 && wait_count > 0)
        spin();
    int rc = io_uring_submit_and_wait(&server.ring, wait_count);

    if (rc < 0 && rc != -EINTR)
        serve_die("io_uring_submit_and_wait", -rc);
    server.sent = NULL;
    io_uring_for_each_cqe(&server.ring, head, cqe)
    {
        on_cqe(cqe);
        count++;
    }
    send_current();
    io_uring_cq_advance(&server.ring, count);
    confirm_sent(sent);
    send_dirty();
}

/* An armed accept would keep the port bound for milliseconds after exit: cancel it, see it end. */
static void stop_accepting(void)
{
    struct io_uring_sqe *sqe = new_sqe();

    io_uring_prep_cancel64(sqe, KIND_ACCEPT, 0);
    tag(sqe, NULL, KIND_IGNORE);
    while (server.accepting)
        turn();
    close(server.listen_fd);
}

static void setup(void)
{
    struct io_uring_params params = {
            .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                     IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |
                     IORING_SETUP_NO_SQARRAY,
            .cq_entries = CQ_ENTRIES,
    };
    int rc = io_uring_queue_init_params(SQ_ENTRIES, &server.ring, &params);

    if (rc == -EINVAL) { /* Before 6.6. */
        params = (struct io_uring_params){
                .flags = params.flags & ~IORING_SETUP_NO_SQARRAY,
                .cq_entries = CQ_ENTRIES,
        };
        rc = io_uring_queue_init_params(SQ_ENTRIES, &server.ring, &params);
    }
    if (rc < 0)
        serve_die("io_uring_queue_init_params", -rc);
    (void)io_uring_register_ring_fd(&server.ring);
    rc = server.direct ? io_uring_register_files_sparse(&server.ring, SLOTS) : 0;
    if (rc < 0)
        serve_die("io_uring_register_files_sparse", -rc);
    server.parked_end = &server.parked;
    if (server.recv_mode == RECV_MULTISHOT)
        buffers_setup();
    server.hot = malloc(HOT_BYTES);
    if (!server.hot)
        serve_die("malloc", ENOMEM);
}

int main(int argc, char **argv)
{
    static const char *const recv_modes[] = {"multishot", "oneshot", "poll", NULL};
    static const char *const send_modes[] = {"sqe", "skip", "inline", NULL};
    static const char *const gathers[] = {"run", "turn", NULL};
    static const char *const files[] = {"regular", "direct", NULL};
    const struct serve_option options[] = {
            {"recv", recv_modes, &server.recv_mode},
            {"send", send_modes, &server.send_mode},
            {"gather", gathers, &server.gather},
            {"files", files, &server.direct},
            {"buffers", NULL, &server.buffer_count},
            {"buffer-kib", NULL, &server.buffer_kib},
            {"incremental", NULL, &server.incremental},
            {"wait", NULL, &server.wait_count},
            {"spin-us", NULL, &server.spin_us},
            {0},
    };
    int port = serve_options(argc, argv, options);

    if (server.direct && (server.send_mode == SEND_INLINE || server.recv_mode == RECV_POLL))
        serve_die("--files direct: recv(2) and send(2) need descriptors", EINVAL);
    server.stop_fd = serve_stop_fd(0);
    server.listen_fd = serve_listen(port, 0);
    setup();
    struct io_uring_sqe *sqe = new_sqe();
    io_uring_prep_poll_add(sqe, server.stop_fd, POLLIN);
    tag(sqe, NULL, KIND_STOP);
    arm_accept();
    while (!server.stopping)
        turn();
    stop_accepting();
    return 0;
}
