/* SPDX-License-Identifier: MIT */
/* What moves between two ends, and how much at a time. */
#include "programs.h"

void play_send_and_recv(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 4, 0);
    stage_expect_nothing(stage);
    stage_ask_send(stage, "send", ends.in, "0123456789", 10);
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
    stage_set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    stage_ask_send(stage, "send", ends.in, bytes, SIZE_BYTES);
    stage_do(stage, 1);
    int32_t sent_bytes = stage_result(stage, "send");
    stage_say(stage, "a part: %s", sent_bytes > 0 && sent_bytes < SIZE_BYTES ? "yes" : "no");
    stage_say_result(stage, "send now", coil_kernel_send_now(ends.in, bytes, SIZE_BYTES));
    stage_ask_poll(stage, "poll", ends.in);
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
    stage_set_option(ends.in, SOL_SOCKET, SO_SNDBUF, 65536);
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
    stage_send(stage, "send of none", ends.in, "", 0);
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
    stage_send(stage, "send of none", fds[1], "", 0);
    stage_send(stage, "send of five", fds[1], "abcde", 5);
    stage_send(stage, "send of two", fds[1], "xy", 2);
    io_uring_prep_recv(stage_ask(stage, "first"), fds[0], bytes, 16, 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "second, cut"), fds[0], bytes, 3, 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "third"), fds[0], bytes, 16, 0);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    stage_close(stage, fds[0]);
    stage_send(stage, "send to nobody", fds[1], "xy", 2);
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
    stage_ask_recv(stage, "recv", fds[0]);
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
    stage_ask_send(stage, "send", fds[1], bytes, 65536);
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

/* An accept that takes what is there. */
void play_accept_without_waiting(struct stage *stage)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    (void)coil_kernel_bind(listener, (void *)&address, sizeof(address));
    (void)coil_kernel_listen(listener, 4);
    (void)coil_kernel_getsockname(listener, (void *)&address, &size_bytes);
    for (int i = 0; i < 2; i++) {
        struct io_uring_sqe *sqe = stage_ask(stage, "accept");
        io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
        sqe->ioprio |= IORING_ACCEPT_DONTWAIT;
        stage_expect(stage, 1);
        if (stage_result(stage, "accept") >= 0)
            stage_close(stage, stage_result(stage, "accept"));
        int client = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
        stage_say_result(
                stage, "connect", coil_kernel_connect_now(client, (void *)&address, size_bytes));
        stage_close(stage, client);
    }
    stage_close(stage, listener);
}
