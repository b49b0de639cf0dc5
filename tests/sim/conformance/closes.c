/* SPDX-License-Identifier: MIT */
/* How a stream ends: both of its ways, one of them, by a reset. See endings.c for who was first. */
#include "programs.h"

#include <poll.h>

/* What is queued comes first, then the end, as often as one asks. */
static void ends_in_order(struct stage *stage, stage_ends ends)
{
    stage_put(stage, ends.in, "last words");
    stage_close(stage, ends.in);
    stage_poll(stage, "poll", ends.out);
    for (int i = 0; i < 3; i++) {
        stage_recv(stage, "recv", ends.out);
    }
    stage_poll(stage, "poll", ends.out);
    stage_close(stage, ends.out);
}

void play_end_of_stream(struct stage *stage)
{
    ends_in_order(stage, stage_unix(stage));
}

void play_end_of_stream_tcp(struct stage *stage)
{
    ends_in_order(stage, stage_tcp(stage));
}

/* One direction ends, the other goes on; then that ends, too. */
static void ends_by_halves(struct stage *stage, stage_ends ends)
{
    io_uring_prep_shutdown(stage_ask(stage, "shutdown of one way"), ends.in, SHUT_WR);
    stage_ask_recv(stage, "its end", ends.out);
    stage_expect(stage, 2);
    stage_poll(stage, "poll where it ended", ends.out);
    stage_poll(stage, "poll where it was ended", ends.in);
    stage_send(stage, "send where it was ended", ends.in, "x", 1);
    stage_ask_send(stage, "send the other way", ends.out, "x", 1);
    stage_ask_recv(stage, "recv the other way", ends.in);
    stage_expect(stage, 2);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown of the other way"), ends.out, SHUT_WR);
    stage_ask_recv(stage, "its end", ends.in);
    stage_expect(stage, 2);
    stage_ask_poll(stage, "poll of one", ends.in);
    stage_ask_poll(stage, "poll of the other", ends.out);
    stage_expect(stage, 2);
    stage_close_ends(stage, ends);
}

void play_half_close(struct stage *stage)
{
    ends_by_halves(stage, stage_unix(stage));
}

void play_half_close_tcp(struct stage *stage)
{
    ends_by_halves(stage, stage_tcp(stage));
}

/* To a peer that has closed: the first send may go, and the answer to it is a reset. */
void play_send_after_close_tcp(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_close(stage, ends.out);
    stage_send(stage, "send", ends.in, "x", 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), ends.in, POLLERR);
    stage_expect(stage, 1);
    stage_send(stage, "send again", ends.in, "x", 1);
    stage_recv(stage, "recv", ends.in);
    stage_close(stage, ends.in);
}

void play_send_after_close(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_close(stage, ends.out);
    stage_send(stage, "send", ends.in, "x", 1);
    stage_say_result(stage, "send now", coil_kernel_send_now(ends.in, "x", 1));
    stage_poll(stage, "poll", ends.in);
    stage_recv(stage, "recv", ends.in);
    stage_close(stage, ends.in);
}

/* Bytes that nobody reads: unix sockets tell the sender that they were lost. */
void play_close_with_unread_bytes(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_put(stage, ends.in, "unread");
    stage_close(stage, ends.out);
    stage_recv(stage, "recv", ends.in);
    stage_recv(stage, "recv again", ends.in);
    stage_close(stage, ends.in);
}

void play_close_with_unread_bytes_tcp(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "unread");
    io_uring_prep_poll_add(stage_ask(stage, "it is there"), ends.out, POLLIN);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
    stage_recv(stage, "recv", ends.in);
    stage_recv(stage, "recv again", ends.in);
    stage_close(stage, ends.in);
}

/* The peer resets: who waits is told, once; afterwards it is an ordinary end. */
void play_reset_by_peer(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_ask_recv(stage, "recv", ends.out);
    stage_expect_nothing(stage);
    stage_close_by_reset(stage, ends.in);
    stage_expect(stage, 1);
    stage_recv(stage, "recv again", ends.out);
    stage_send(stage, "send", ends.out, "x", 1);
    stage_poll(stage, "poll", ends.out);
    stage_close(stage, ends.out);
}

/* A reset that nobody waited for: the mask says so; bytes that had come are there before it. */
void play_reset_by_peer_unwatched(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "kept");
    io_uring_prep_poll_add(stage_ask(stage, "it is there"), ends.out, POLLIN);
    stage_expect(stage, 1);
    stage_close_by_reset(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "reset"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_poll(stage, "poll", ends.out);
    stage_recv(stage, "recv", ends.out);
    stage_recv(stage, "recv again", ends.out);
    stage_close(stage, ends.out);
}

/* Until it takes no more, also later, when what was on its way has been acknowledged. */
static void fill(int fd, const char *bytes, size_t size_bytes)
{
    const uint32_t word = 0;
    while (coil_kernel_send_now(fd, bytes, size_bytes) > 0) {
        while (coil_kernel_send_now(fd, bytes, size_bytes) > 0)
            continue;
        coil_kernel_word_wait(&word, 0, coil_ms(250));
    }
}

void play_send_is_reset(struct stage *stage)
{
    enum { SIZE_BYTES = 1 << 20 };
    stage_ends ends = stage_tcp(stage);
    stage_set_option(ends.out, SOL_SOCKET, SO_RCVBUF, 65536);
    stage_set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    fill(ends.in, bytes, SIZE_BYTES);
    stage_ask_send(stage, "send", ends.in, bytes, SIZE_BYTES);
    stage_expect_nothing(stage);
    stage_close_by_reset(stage, ends.out);
    stage_expect(stage, 1);
    stage_send(stage, "send again", ends.in, bytes, 1);
    stage_close(stage, ends.in);
}

/* Of a send of all that was under way, what has been sent is told, and nothing of the reset. */
void play_send_waitall_is_reset(struct stage *stage)
{
    enum { SIZE_BYTES = 1 << 20 };
    stage_ends ends = stage_tcp(stage);
    stage_set_option(ends.out, SOL_SOCKET, SO_RCVBUF, 65536);
    stage_set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    io_uring_prep_send(
            stage_ask(stage, "send"), ends.in, bytes, SIZE_BYTES, MSG_WAITALL | MSG_NOSIGNAL);
    stage_expect_nothing(stage);
    stage_close_by_reset(stage, ends.out);
    int32_t sent_bytes = stage_await(stage, "send");
    stage_say(stage, "a part: %s", sent_bytes > 0 && sent_bytes < SIZE_BYTES ? "yes" : "no");
    stage_send(stage, "send again", ends.in, bytes, 1);
    stage_close(stage, ends.in);
}
