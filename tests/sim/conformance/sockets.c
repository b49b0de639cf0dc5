/* SPDX-License-Identifier: MIT */
/* Streams between two ends: how much moves at a time, and how they end. */
#include "programs.h"

#include <poll.h>

static void set_option(int fd, int level, int option, int value)
{
    (void)coil_kernel_setsockopt(fd, level, option, &value, sizeof(value));
}

/* The next close of it is a reset. */
static void set_abortive(int fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)coil_kernel_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void ask_poll(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_poll_add(stage_ask(stage, name), fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
}

static void ask_recv(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_recv(stage_ask(stage, name), fd, stage_memory(stage, 64), 64, 0);
}

static void ask_send(
        struct stage *stage, const char *name, int fd, const char *text, unsigned size_bytes)
{
    io_uring_prep_send(stage_ask(stage, name), fd, text, size_bytes, MSG_NOSIGNAL);
}

void play_send_and_recv(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 4, 0);
    stage_expect_nothing(stage);
    ask_send(stage, "send", ends.in, "0123456789", 10);
    stage_expect(stage, 2);
    stage_say(stage, "bytes: %s", bytes);
    io_uring_prep_recv(stage_ask(stage, "rest"), ends.out, bytes, 16, 0);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    stage_say_result(stage, "recv now", coil_kernel_recv_now(ends.out, bytes, 16));
    stage_close_ends(stage, ends);
}

/* MSG_WAITALL is done when all is there, or the end. */
void play_recv_waitall(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 6, MSG_WAITALL);
    stage_put(stage, ends.in, "012");
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "3456");
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    io_uring_prep_recv(stage_ask(stage, "recv to the end"), ends.out, bytes, 6, MSG_WAITALL);
    stage_expect_nothing(stage);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
}

void play_recv_peek(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    char *bytes = stage_memory(stage, 16);
    stage_put(stage, ends.in, "abc");
    io_uring_prep_recv(stage_ask(stage, "peek"), ends.out, bytes, 2, MSG_PEEK);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 16, 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "MSG_DONTWAIT"), ends.out, bytes, 16, MSG_DONTWAIT);
    stage_expect(stage, 1);
    stage_close_ends(stage, ends);
}

/* Pitfall 14: without MSG_WAITALL a send takes what there is room for, with it all. */
static void sends_a_part(struct stage *stage, stage_ends ends)
{
    enum { SIZE_BYTES = 3 << 20 };
    set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    ask_send(stage, "send", ends.in, bytes, SIZE_BYTES);
    stage_do(stage, 1);
    int32_t sent_bytes = stage_result(stage, "send");
    stage_say(stage, "a part: %s", sent_bytes > 0 && sent_bytes < SIZE_BYTES ? "yes" : "no");
    stage_say_result(stage, "send now", coil_kernel_send_now(ends.in, bytes, SIZE_BYTES));
    ask_poll(stage, "poll", ends.in);
    stage_expect_nothing(stage);
    stage_close_ends(stage, ends);
}

void play_send_a_part(struct stage *stage)
{
    sends_a_part(stage, stage_unix(stage));
}

void play_send_waitall(struct stage *stage)
{
    enum { SIZE_BYTES = 1 << 20 };
    stage_ends ends = stage_tcp(stage);
    set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    char *got = stage_memory(stage, SIZE_BYTES);
    for (int i = 0; i < SIZE_BYTES; i++)
        bytes[i] = (char)(i * 131 + (i >> 8));
    io_uring_prep_send(
            stage_ask(stage, "send"), ends.in, bytes, SIZE_BYTES, MSG_WAITALL | MSG_NOSIGNAL);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, got, SIZE_BYTES, MSG_WAITALL);
    stage_expect(stage, 2);
    int different_count = 0;
    for (int i = 0; i < SIZE_BYTES; i++)
        different_count += bytes[i] != got[i];
    stage_say(stage, "different bytes: %d", different_count);
    stage_close_ends(stage, ends);
}

void play_zero_bytes(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, 16);
    ask_send(stage, "send of none", ends.in, "", 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "send now of none", coil_kernel_send_now(ends.in, "", 0));
    stage_say_result(stage, "recv now", coil_kernel_recv_now(ends.out, bytes, 16));
    stage_put(stage, ends.in, "x");
    io_uring_prep_recv(stage_ask(stage, "recv of none"), ends.out, bytes, 0, 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 16, 0);
    stage_expect(stage, 1);
    stage_close_ends(stage, ends);
}

/* A datagram of no bytes is one all the same; what does not fit of one is lost. */
void play_datagrams(struct stage *stage)
{
    int fds[2];
    char *bytes = stage_memory(stage, 16);
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_DGRAM, fds));
    ask_send(stage, "send of none", fds[1], "", 0);
    stage_expect(stage, 1);
    ask_send(stage, "send of five", fds[1], "abcde", 5);
    stage_expect(stage, 1);
    ask_send(stage, "send of two", fds[1], "xy", 2);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "first"), fds[0], bytes, 16, 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "second, cut"), fds[0], bytes, 3, 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "third"), fds[0], bytes, 16, 0);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    stage_close(stage, fds[0]);
    ask_send(stage, "send to nobody", fds[1], "xy", 2);
    stage_expect(stage, 1);
    stage_close(stage, fds[1]);
}

void play_gather_and_scatter(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    char *first = stage_memory(stage, 16);
    char *second = stage_memory(stage, 16);
    struct iovec *out = stage_memory(stage, 2 * sizeof(*out));
    struct iovec *in = stage_memory(stage, 2 * sizeof(*in));
    struct msghdr *message = stage_memory(stage, 2 * sizeof(*message));
    char *words = stage_memory(stage, 16);
    memcpy(words, "helloworld", 10);
    in[0] = (struct iovec){words, 5};
    in[1] = (struct iovec){words + 5, 5};
    out[0] = (struct iovec){first, 3};
    out[1] = (struct iovec){second, 10};
    message[0] = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
    message[1] = (struct msghdr){.msg_iov = out, .msg_iovlen = 2};
    io_uring_prep_recvmsg(stage_ask(stage, "recvmsg"), ends.out, &message[1], 0);
    stage_expect_nothing(stage);
    io_uring_prep_sendmsg(stage_ask(stage, "sendmsg"), ends.in, &message[0], MSG_NOSIGNAL);
    stage_expect(stage, 2);
    stage_say(stage, "bytes: %s %s", first, second);
    io_uring_prep_writev(stage_ask(stage, "writev"), ends.in, in, 2, (__u64)-1);
    stage_expect(stage, 1);
    io_uring_prep_readv(stage_ask(stage, "readv"), ends.out, out, 2, (__u64)-1);
    stage_expect(stage, 1);
    stage_close_ends(stage, ends);
}

/* Pitfall 17: the ring waits also where the descriptor says O_NONBLOCK. */
void play_nonblocking_socket(struct stage *stage)
{
    int fds[2];
    stage_say_result(
            stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, fds));
    ask_recv(stage, "recv", fds[0]);
    stage_expect_nothing(stage);
    stage_put(stage, fds[1], "x");
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), fds[0], stage_memory(stage, 8), 8, (__u64)-1);
    stage_expect_nothing(stage);
    stage_put(stage, fds[1], "x");
    stage_expect(stage, 1);
    char *bytes = stage_memory(stage, 65536);
    while (coil_kernel_send_now(fds[1], bytes, 65536) > 0)
        continue;
    ask_send(stage, "send", fds[1], bytes, 65536);
    stage_expect_nothing(stage);
    while (coil_kernel_recv_now(fds[0], bytes, 65536) > 0)
        continue;
    stage_expect(stage, 1);
    stage_close(stage, fds[0]);
    stage_close(stage, fds[1]);
}

void play_nonblocking_accept(struct stage *stage)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = coil_kernel_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)coil_kernel_bind(listener, (void *)&address, sizeof(address));
    (void)coil_kernel_listen(listener, 4);
    (void)coil_kernel_getsockname(listener, (void *)&address, &size_bytes);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    stage_close(stage, listener);
}

/* What is queued comes first, then the end, as often as one asks. */
static void ends_in_order(struct stage *stage, stage_ends ends)
{
    stage_put(stage, ends.in, "last words");
    stage_close(stage, ends.in);
    ask_poll(stage, "poll", ends.out);
    stage_expect(stage, 1);
    for (int i = 0; i < 3; i++) {
        ask_recv(stage, "recv", ends.out);
        stage_expect(stage, 1);
    }
    ask_poll(stage, "poll", ends.out);
    stage_expect(stage, 1);
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
    ask_recv(stage, "its end", ends.out);
    stage_expect(stage, 2);
    ask_poll(stage, "poll where it ended", ends.out);
    stage_expect(stage, 1);
    ask_poll(stage, "poll where it was ended", ends.in);
    stage_expect(stage, 1);
    ask_send(stage, "send where it was ended", ends.in, "x", 1);
    stage_expect(stage, 1);
    ask_send(stage, "send the other way", ends.out, "x", 1);
    ask_recv(stage, "recv the other way", ends.in);
    stage_expect(stage, 2);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown of the other way"), ends.out, SHUT_WR);
    ask_recv(stage, "its end", ends.in);
    stage_expect(stage, 2);
    ask_poll(stage, "poll of one", ends.in);
    ask_poll(stage, "poll of the other", ends.out);
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
    ask_send(stage, "send", ends.in, "x", 1);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), ends.in, POLLERR);
    stage_expect(stage, 1);
    ask_send(stage, "send again", ends.in, "x", 1);
    stage_expect(stage, 1);
    ask_recv(stage, "recv", ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

void play_send_after_close(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_close(stage, ends.out);
    ask_send(stage, "send", ends.in, "x", 1);
    stage_expect(stage, 1);
    stage_say_result(stage, "send now", coil_kernel_send_now(ends.in, "x", 1));
    ask_poll(stage, "poll", ends.in);
    stage_expect(stage, 1);
    ask_recv(stage, "recv", ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

/* Bytes that nobody reads: unix sockets tell the sender that they were lost. */
void play_close_with_unread_bytes(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_put(stage, ends.in, "unread");
    stage_close(stage, ends.out);
    ask_recv(stage, "recv", ends.in);
    stage_expect(stage, 1);
    ask_recv(stage, "recv again", ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

void play_close_with_unread_bytes_tcp(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "unread");
    io_uring_prep_poll_add(stage_ask(stage, "it is there"), ends.out, POLLIN);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
    ask_recv(stage, "recv", ends.in);
    stage_expect(stage, 1);
    ask_recv(stage, "recv again", ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

/* The peer resets: who waits is told, once; afterwards it is an ordinary end. */
void play_reset_by_peer(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    ask_recv(stage, "recv", ends.out);
    stage_expect_nothing(stage);
    set_abortive(ends.in);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    ask_recv(stage, "recv again", ends.out);
    stage_expect(stage, 1);
    ask_send(stage, "send", ends.out, "x", 1);
    stage_expect(stage, 1);
    ask_poll(stage, "poll", ends.out);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
}

/* A reset that nobody waited for: the mask says so; bytes that had come are there before it. */
void play_reset_by_peer_unwatched(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "kept");
    io_uring_prep_poll_add(stage_ask(stage, "it is there"), ends.out, POLLIN);
    stage_expect(stage, 1);
    set_abortive(ends.in);
    stage_close(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "reset"), ends.out, POLLERR);
    stage_expect(stage, 1);
    ask_poll(stage, "poll", ends.out);
    stage_expect(stage, 1);
    ask_recv(stage, "recv", ends.out);
    stage_expect(stage, 1);
    ask_recv(stage, "recv again", ends.out);
    stage_expect(stage, 1);
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
    set_option(ends.out, SOL_SOCKET, SO_RCVBUF, 65536);
    set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    fill(ends.in, bytes, SIZE_BYTES);
    ask_send(stage, "send", ends.in, bytes, SIZE_BYTES);
    stage_expect_nothing(stage);
    set_abortive(ends.out);
    stage_close(stage, ends.out);
    stage_expect(stage, 1);
    ask_send(stage, "send again", ends.in, bytes, 1);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

/* Of a send of all that was under way, what has been sent is told, and nothing of the reset. */
void play_send_waitall_is_reset(struct stage *stage)
{
    enum { SIZE_BYTES = 1 << 20 };
    stage_ends ends = stage_tcp(stage);
    set_option(ends.out, SOL_SOCKET, SO_RCVBUF, 65536);
    set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    io_uring_prep_send(
            stage_ask(stage, "send"), ends.in, bytes, SIZE_BYTES, MSG_WAITALL | MSG_NOSIGNAL);
    stage_expect_nothing(stage);
    set_abortive(ends.out);
    stage_close(stage, ends.out);
    int32_t sent_bytes = stage_await(stage, "send");
    stage_say(stage, "a part: %s", sent_bytes > 0 && sent_bytes < SIZE_BYTES ? "yes" : "no");
    ask_send(stage, "send again", ends.in, bytes, 1);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

/* A byte out of band: POLLPRI, and reads stop before it. */
void play_urgent_data(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, 16);
    stage_put(stage, ends.in, "ab");
    io_uring_prep_send(stage_ask(stage, "urgent"), ends.in, "!", 1, MSG_OOB | MSG_NOSIGNAL);
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "cd");
    io_uring_prep_poll_add(stage_ask(stage, "poll"), ends.out, POLLPRI);
    stage_expect(stage, 1);
    for (int i = 0; i < 2; i++) {
        memset(bytes, 0, 16);
        io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 16, 0);
        stage_expect(stage, 1);
        stage_say(stage, "bytes: %s", bytes);
    }
    stage_close_ends(stage, ends);
}

/*
 * What wakes a poll is told as it is announced, not looked at again: a byte is announced as IN and
 * PRI, so that who asks for both is told both, though nothing is urgent. Who asks for PRI alone is
 * not woken by it.
 */
static void wakes_polls(struct stage *stage, stage_ends ends)
{
    io_uring_prep_poll_add(stage_ask(stage, "both"), ends.out, POLLIN | POLLPRI);
    io_uring_prep_poll_add(stage_ask(stage, "in"), ends.out, POLLIN);
    io_uring_prep_poll_add(stage_ask(stage, "urgent"), ends.out, POLLPRI);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "x");
    stage_expect(stage, 2);
    stage_expect_nothing(stage);
    io_uring_prep_poll_add(stage_ask(stage, "both, afterwards"), ends.out, POLLIN | POLLPRI);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "urgent, afterwards"), ends.out, POLLPRI);
    stage_expect_nothing(stage);
    stage_close_ends(stage, ends);
}

void play_poll_is_woken(struct stage *stage)
{
    wakes_polls(stage, stage_unix(stage));
}

void play_poll_is_woken_tcp(struct stage *stage)
{
    wakes_polls(stage, stage_tcp(stage));
}

/*
 * Nor is it by a byte that is urgent, because that is announced in the same way. (PRI is among
 * IO_ASYNC_POLL_COMMON in io_uring/poll.c, which is no reason to wake.) With IN, it is told.
 */
void play_poll_of_urgent_data(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    io_uring_prep_poll_add(stage_ask(stage, "urgent"), ends.out, POLLPRI);
    io_uring_prep_poll_add(stage_ask(stage, "both"), ends.out, POLLIN | POLLPRI);
    io_uring_prep_poll_multishot(stage_ask(stage, "multishot"), ends.out, POLLIN | POLLPRI);
    stage_expect_nothing(stage);
    io_uring_prep_send(stage_ask(stage, "send"), ends.in, "!", 1, MSG_OOB | MSG_NOSIGNAL);
    stage_expect(stage, 3);
    stage_expect_nothing(stage);
    io_uring_prep_poll_add(stage_ask(stage, "afterwards"), ends.out, POLLIN | POLLPRI);
    stage_expect(stage, 1);
    char *bytes = stage_memory(stage, 8);
    io_uring_prep_recv(stage_ask(stage, "recv out of band"), ends.out, bytes, 8, MSG_OOB);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 8, 0);
    stage_expect_nothing(stage);
    stage_close_ends(stage, ends);
}

void play_poll_of_streams(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    ask_poll(stage, "idle", ends.out);
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "x");
    ask_poll(stage, "with a byte", ends.out);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "no interest"), ends.out, POLLPRI);
    stage_expect_nothing(stage);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    ask_poll(stage, "ended", ends.out);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
    io_uring_prep_poll_add(stage_ask(stage, "no file"), 4000, POLLIN);
    stage_expect(stage, 1);
}

/* TCP: of one who has neither connected nor listens. */
void play_poll_of_no_stream(struct stage *stage)
{
    struct sockaddr_in address;
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    ask_poll(stage, "fresh", fd);
    stage_expect(stage, 1);
    ask_recv(stage, "recv", fd);
    stage_expect(stage, 1);
    ask_send(stage, "send", fd, "x", 1);
    stage_expect(stage, 1);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), fd, SHUT_RDWR);
    stage_expect(stage, 1);
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_poll_add(stage_ask(stage, "listener"), listener, POLLIN | POLLOUT);
    stage_expect_nothing(stage);
    int client = stage_connect(stage, &address);
    stage_expect(stage, 1);
    stage_close(stage, client);
    stage_close(stage, listener);
    stage_close(stage, fd);
}
