/* SPDX-License-Identifier: MIT */
/*
 * What does a stream cost besides recv(2) and send(2)? Both ends of a socket pair are in this
 * thread: one is used raw, the other by a stream, or raw as well (`recv_send`).
 *
 *     stream_write_64     64 bytes written by the stream, and received raw
 *     stream_read_64      64 bytes sent raw, and read by the stream
 *     stream_read_64k     64 KiB sent raw, and read by the stream
 *     stream_line         one of 64 lines of 64 bytes that were sent together
 *     stream_parts        a write of two parts of 32 bytes; raw: sendmsg(2)
 */
#include "measure.h"

#include <coil/check.h>
#include <coil/loop.h>
#include <coil/stream.h>

#include <sys/socket.h>

#include <coil/sugar.h>

enum { SMALL_BYTES = 64, LARGE_BYTES = 64 * 1024, LINES = 64 };

typedef enum subject { WRITE_SMALL, READ_SMALL, READ_LARGE, READ_LINE, WRITE_PARTS } subject;

static char out[LARGE_BYTES];
static char in[LARGE_BYTES];

static void send_raw(int fd, size_t size_bytes)
{
    COIL_CHECK(send(fd, out, size_bytes, MSG_NOSIGNAL) == (ssize_t)size_bytes);
}

static void recv_raw(int fd, size_t size_bytes)
{
    COIL_CHECK(recv(fd, in, size_bytes, MSG_WAITALL) == (ssize_t)size_bytes);
}

static size_t size_of(subject what)
{
    if (what == READ_LARGE)
        return LARGE_BYTES;
    return what == READ_LINE ? (size_t)LINES * SMALL_BYTES : SMALL_BYTES;
}

static void make_lines(void)
{
    memset(out, 'x', sizeof(out));
    for (size_t at = SMALL_BYTES - 1; at < sizeof(out); at += SMALL_BYTES)
        out[at] = '\n';
}

static void make_pair(int fds[2])
{
    const int room_bytes = 4 * LARGE_BYTES;
    make_lines();
    COIL_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    COIL_CHECK(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof(room_bytes)) == 0);
}

/* ------------------------------------------------------------------------------------- raw -- */

static void find_lines(void)
{
    const char *at = in;
    for (int i = 0; i < LINES; i++) {
        at = (const char *)memchr(at, '\n', sizeof(in)) + 1;
        MEASURE_OPAQUE(at);
    }
}

static void send_parts_raw(int fd)
{
    struct iovec parts[] = {{out, SMALL_BYTES / 2}, {out + SMALL_BYTES / 2, SMALL_BYTES / 2}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    COIL_CHECK(sendmsg(fd, &message, MSG_NOSIGNAL) == SMALL_BYTES);
}

static double run_raw(subject what, int64_t count)
{
    int fds[2];
    make_pair(fds);
    const int64_t step = what == READ_LINE ? LINES : 1;
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i += step) {
        if (what == WRITE_PARTS) {
            send_parts_raw(fds[0]);
        } else {
            send_raw(fds[0], size_of(what));
        }
        recv_raw(fds[1], size_of(what));
        if (what == READ_LINE)
            find_lines();
    }
    double spent_ns = measure_now_ns() - start_ns;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return spent_ns;
}

/* ----------------------------------------------------------------------------------- coil -- */

async(int, write_small, (coil_stream *) stream, (int) peer, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++) {
        attempt(coil_write_all(stream, coil_bytes(out, SMALL_BYTES)));
        recv_raw(peer, SMALL_BYTES);
        await(coil_yield()); /* One write of a turn goes out at once. */
    }
    return 0;
}

async(int, write_parts, (coil_stream *) stream, (int) peer, (int64_t) count)
{
    vars(int64_t i; coil_slice parts[2]);
    my->parts[0] = coil_bytes(out, SMALL_BYTES / 2);
    my->parts[1] = coil_bytes(out + SMALL_BYTES / 2, SMALL_BYTES / 2);
    for (; my->i < count; my->i++) {
        attempt(coil_write_parts(stream, my->parts, 2));
        recv_raw(peer, SMALL_BYTES);
        await(coil_yield());
    }
    return 0;
}

async(int, read_blocks, (coil_stream *) stream, (int) peer, (size_t) size, (int64_t) count)
{
    vars(int64_t i; size_t got; coil_slice block);
    for (; my->i < count; my->i++) {
        send_raw(peer, size);
        for (my->got = 0; my->got < size; my->got += (size_t)my->block.size_bytes) {
            coil_slice_release(&my->block);
            attempt(my->block, coil_read_some(stream));
        }
    }
    coil_slice_release(&my->block);
    return 0;
}

async(int, read_lines, (coil_stream *) stream, (int) peer, (int64_t) count)
{
    vars(int64_t i; coil_slice line);
    for (; my->i < count; my->i++) {
        if (my->i % LINES == 0)
            send_raw(peer, (size_t)LINES * SMALL_BYTES);
        attempt(my->line, coil_read_until(stream, '\n', 1024));
        coil_slice_release(&my->line);
    }
    return 0;
}

async(int, run_on_stream, (subject) what, (int64_t) count)
{
    vars(int fds[2]; coil_stream *stream);
    make_pair(my->fds);
    COIL_CHECK(coil_stream_create(my->fds[1], COIL_TRANSPORT_SOCKET, &my->stream) == 0);
    defer({
        coil_stream_close(my->stream);
        (void)close(my->fds[0]);
    });
    switch (what) {
    case WRITE_SMALL:
        attempt(write_small(my->stream, my->fds[0], count));
        break;
    case WRITE_PARTS:
        attempt(write_parts(my->stream, my->fds[0], count));
        break;
    case READ_LINE:
        attempt(read_lines(my->stream, my->fds[0], count));
        break;
    case READ_SMALL:
    case READ_LARGE:
        attempt(read_blocks(my->stream, my->fds[0], size_of(what), count));
        break;
    }
    return 0;
}

static double run_coil(subject what, int64_t count)
{
    double start_ns = measure_now_ns();
    COIL_CHECK(coil_run(run_on_stream(what, count)) == 0);
    return measure_now_ns() - start_ns;
}

#define SUBJECT(name, what)                      \
    static double run_raw_##name(int64_t count)  \
    {                                            \
        return run_raw(what, count);             \
    }                                            \
    static double run_coil_##name(int64_t count) \
    {                                            \
        return run_coil(what, count);            \
    }
SUBJECT(write_64, WRITE_SMALL)
SUBJECT(read_64, READ_SMALL)
SUBJECT(read_64k, READ_LARGE)
SUBJECT(line, READ_LINE)
SUBJECT(parts, WRITE_PARTS)

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"stream_write_64", "recv_send", run_raw_write_64, 0, MEASURE_NS},
            {"stream_write_64", "coil", run_coil_write_64, 0, MEASURE_NS},
            {"stream_read_64", "recv_send", run_raw_read_64, 0, MEASURE_NS},
            {"stream_read_64", "coil", run_coil_read_64, 0, MEASURE_NS},
            {"stream_read_64k", "recv_send", run_raw_read_64k, 0, MEASURE_NS},
            {"stream_read_64k", "coil", run_coil_read_64k, 0, MEASURE_NS},
            {"stream_line", "recv_send", run_raw_line, 0, MEASURE_NS},
            {"stream_line", "coil", run_coil_line, 0, MEASURE_NS},
            {"stream_parts", "recv_send", run_raw_parts, 0, MEASURE_NS},
            {"stream_parts", "coil", run_coil_parts, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
