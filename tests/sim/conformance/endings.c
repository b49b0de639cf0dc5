/* SPDX-License-Identifier: MIT */
/* How connections end: who says it first, what is still read behind it, and urgent bytes. */
#include "programs.h"

#include <fcntl.h>
#include <poll.h>

static void ask_recv(struct stage *stage, const char *name, int fd, char *bytes)
{
    memset(bytes, 0, 16);
    io_uring_prep_recv(stage_ask(stage, name), fd, bytes, 15, 0);
}

static void recv_one(struct stage *stage, const char *name, int fd)
{
    char *bytes = stage_memory(stage, 16);
    ask_recv(stage, name, fd, bytes);
    stage_expect(stage, 1);
    if (stage_result(stage, name) > 0)
        stage_say(stage, "bytes: %s", bytes);
}

static void recv_urgent(struct stage *stage, const char *name, int fd)
{
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, name), fd, bytes, 15, MSG_OOB);
    stage_expect(stage, 1);
    if (stage_result(stage, name) > 0)
        stage_say(stage, "bytes: %s", bytes);
}

static void send_urgent(struct stage *stage, int fd, const char *text)
{
    io_uring_prep_send(
            stage_ask(stage, "urgent"), fd, text, (unsigned)strlen(text), MSG_OOB | MSG_NOSIGNAL);
    stage_expect(stage, 1);
}

static void shut(struct stage *stage, const char *name, int fd, int how)
{
    io_uring_prep_shutdown(stage_ask(stage, name), fd, how);
    stage_expect(stage, 1);
}

/* Waits for bytes or the end, and tells nothing: what loopback brings is there afterwards. */
static void await_input(struct stage *stage, int fd)
{
    io_uring_prep_poll_add(stage_ask(stage, "input"), fd, POLLIN);
    stage_do(stage, 1);
}

/* ---------------------------------------------------------------------------- half-closing -- */

/* Both send and end before either reads: nothing of that is lost. */
static void ends_cross(struct stage *stage, stage_ends ends)
{
    stage_put(stage, ends.out, "left");
    stage_put(stage, ends.in, "right");
    shut(stage, "shutdown of the left", ends.out, SHUT_WR);
    shut(stage, "shutdown of the right", ends.in, SHUT_WR);
    stage_poll(stage, "poll", ends.out);
    recv_one(stage, "recv of the left", ends.out);
    recv_one(stage, "end of the left", ends.out);
    recv_one(stage, "recv of the right", ends.in);
    recv_one(stage, "end of the right", ends.in);
    shut(stage, "shutdown again", ends.out, SHUT_WR);
    shut(stage, "shutdown of both", ends.out, SHUT_RDWR);
    stage_close_ends(stage, ends);
}

void play_ends_cross(struct stage *stage)
{
    ends_cross(stage, stage_unix(stage));
}

void play_ends_cross_tcp(struct stage *stage)
{
    ends_cross(stage, stage_tcp(stage));
}

/* Who ends its receiving: a peer of TCP does not notice. */
static void shuts_receiving(struct stage *stage, stage_ends ends)
{
    char *bytes = stage_memory(stage, 16);
    stage_put(stage, ends.in, "before");
    await_input(stage, ends.out);
    shut(stage, "shutdown", ends.out, SHUT_RD);
    stage_poll(stage, "poll", ends.out);
    stage_poll(stage, "poll of the peer", ends.in);
    recv_one(stage, "recv of what was there", ends.out);
    recv_one(stage, "recv", ends.out);
    stage_send(stage, "send of the peer", ends.in, "after", 5);
    stage_send(stage, "send", ends.out, "x", 1);
    recv_one(stage, "recv of the peer", ends.in);
    ask_recv(stage, "recv afterwards", ends.out, bytes);
    stage_expect(stage, 1);
    shut(stage, "shutdown of the rest", ends.out, SHUT_WR);
    recv_one(stage, "end of the peer", ends.in);
    stage_close_ends(stage, ends);
}

void play_shutdown_of_receiving(struct stage *stage)
{
    shuts_receiving(stage, stage_unix(stage));
}

void play_shutdown_of_receiving_tcp(struct stage *stage)
{
    shuts_receiving(stage, stage_tcp(stage));
}

/* Closed without having been told of the end of the other: it is read all the same, once closed. */
void play_close_after_half_close(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "request");
    shut(stage, "shutdown", ends.in, SHUT_WR);
    recv_one(stage, "recv", ends.out);
    recv_one(stage, "end", ends.out);
    stage_put(stage, ends.out, "answer");
    stage_close(stage, ends.out);
    await_input(stage, ends.in);
    stage_poll(stage, "poll", ends.in);
    recv_one(stage, "recv of the answer", ends.in);
    recv_one(stage, "end of the answer", ends.in);
    stage_poll(stage, "poll", ends.in);
    stage_close(stage, ends.in);
}

/* The answer to a request that was half-closed is not read, but closed: the other is reset. */
void play_close_unread_after_half_close(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    shut(stage, "shutdown", ends.in, SHUT_WR);
    recv_one(stage, "end", ends.out);
    stage_put(stage, ends.out, "answer");
    await_input(stage, ends.in);
    stage_close(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_send(stage, "send", ends.out, "x", 1);
    recv_one(stage, "recv", ends.out);
    stage_send(stage, "send again", ends.out, "x", 1);
    stage_close(stage, ends.out);
}

void play_shutdown_misused(struct stage *stage)
{
    struct sockaddr_in address;
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    shut(stage, "of no connection", fd, SHUT_WR);
    shut(stage, "of no direction", fd, 7);
    stage_close(stage, fd);
    fd = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    shut(stage, "of no unix connection", fd, SHUT_WR);
    stage_close(stage, fd);
    fd = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
    shut(stage, "of UDP", fd, SHUT_RDWR);
    stage_close(stage, fd);
    fd = stage_listen(stage, 1, &address);
    shut(stage, "of a listener, writing", fd, SHUT_WR);
    stage_poll(stage, "poll of it", stage_connect(stage, &address));
    stage_close(stage, fd);
    stage_ends ends = stage_pipe(stage);
    shut(stage, "of a pipe", ends.out, SHUT_RD);
    stage_close_ends(stage, ends);
}

/* ----------------------------------------------------------------------------------- resets -- */

/* What has arrived before a reset is read before it. */
void play_reset_behind_bytes(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "last words");
    await_input(stage, ends.out);
    stage_close_by_reset(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_poll(stage, "poll", ends.out);
    recv_one(stage, "recv", ends.out);
    recv_one(stage, "recv of the reset", ends.out);
    recv_one(stage, "recv behind it", ends.out);
    stage_send(stage, "send", ends.out, "x", 1);
    stage_close(stage, ends.out);
}

/* A reset behind the end of the stream: of that, only who sends is told. */
void play_reset_behind_end(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    shut(stage, "shutdown", ends.in, SHUT_WR);
    await_input(stage, ends.out);
    stage_close_by_reset(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    recv_one(stage, "recv", ends.out);
    stage_send(stage, "send", ends.out, "x", 1);
    recv_one(stage, "recv again", ends.out);
    stage_close(stage, ends.out);
}

/* The error of a reset is told once, to whoever asks first. */
void play_reset_is_told_once(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    ask_recv(stage, "recv", ends.out, stage_memory(stage, 16));
    ask_recv(stage, "recv too", ends.out, stage_memory(stage, 16));
    stage_expect_nothing(stage);
    stage_close_by_reset(stage, ends.in);
    stage_do(stage, 2);
    const int32_t one = stage_result(stage, "recv");
    const int32_t other = stage_result(stage, "recv too");
    const int32_t least = one < other ? one : other;
    stage_say_result(stage, "one of them", least);
    stage_say_result(stage, "the other", one == least ? other : one);
    stage_close(stage, ends.out);
}

/* Whether a connection was lost is known also when its error has been told, and its end is not. */
void play_loss(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "bytes");
    await_input(stage, ends.out);
    stage_say_result(stage, "open", coil_kernel_loss(ends.out));
    shut(stage, "shutdown", ends.out, SHUT_WR);
    stage_send(stage, "send", ends.out, "x", 1);
    stage_say_result(stage, "ended by us", coil_kernel_loss(ends.out));
    stage_close_by_reset(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_say_result(stage, "reset", coil_kernel_loss(ends.out));
    stage_send(stage, "send", ends.out, "x", 1);
    stage_say_result(stage, "told", coil_kernel_loss(ends.out));
    recv_one(stage, "recv", ends.out);
    stage_say_result(stage, "read", coil_kernel_loss(ends.out));
    recv_one(stage, "recv again", ends.out);
    stage_say_result(stage, "read to the end", coil_kernel_loss(ends.out));
    stage_close(stage, ends.out);
}

void play_loss_untold(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_close_by_reset(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_say_result(stage, "reset", coil_kernel_loss(ends.out));
    stage_poll(stage, "poll", ends.out);
    recv_one(stage, "recv", ends.out);
    stage_close(stage, ends.out);
}

void play_loss_is_no_end(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "bytes");
    shut(stage, "shutdown", ends.in, SHUT_WR);
    await_input(stage, ends.out);
    stage_say_result(stage, "ended", coil_kernel_loss(ends.out));
    stage_close_by_reset(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_say_result(stage, "reset", coil_kernel_loss(ends.out));
    stage_send(stage, "send", ends.out, "x", 1);
    recv_one(stage, "recv", ends.out);
    stage_say_result(stage, "read", coil_kernel_loss(ends.out));
    recv_one(stage, "end", ends.out);
    stage_say_result(stage, "read to the end", coil_kernel_loss(ends.out));
    stage_close(stage, ends.out);
}

void play_loss_of_others(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_close(stage, ends.in);
    stage_say_result(stage, "of a unix socket", coil_kernel_loss(ends.out));
    stage_close(stage, ends.out);
    ends = stage_pipe(stage);
    stage_say_result(stage, "of a pipe", coil_kernel_loss(ends.out));
    stage_close_ends(stage, ends);
    const int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    stage_say_result(stage, "of no connection", coil_kernel_loss(fd));
    stage_close(stage, fd);
    stage_say_result(stage, "of nothing", coil_kernel_loss(4000));
}

/* Both reset at once: neither is told by the other, and nothing is left. */
void play_reset_of_both(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_put(stage, ends.in, "x");
    stage_put(stage, ends.out, "y");
    await_input(stage, ends.in);
    await_input(stage, ends.out);
    stage_close(stage, ends.in);
    io_uring_prep_poll_add(stage_ask(stage, "error"), ends.out, POLLERR);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
}

/* ---------------------------------------------------------------------------------- urgent -- */

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

/* Only the last byte of a send is urgent, and it is read apart. */
void play_urgent_last_byte(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    recv_urgent(stage, "recv of none", ends.out);
    send_urgent(stage, ends.in, "abc");
    await_input(stage, ends.out);
    stage_poll(stage, "poll", ends.out);
    recv_one(stage, "recv", ends.out);
    recv_urgent(stage, "recv of the urgent", ends.out);
    recv_urgent(stage, "recv of it again", ends.out);
    stage_put(stage, ends.in, "d");
    recv_one(stage, "recv behind it", ends.out);
    stage_poll(stage, "poll", ends.out);
    stage_close_ends(stage, ends);
}

/* A second urgent byte takes the place of the first, which becomes one like all. */
void play_urgent_twice(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    send_urgent(stage, ends.in, "a");
    stage_put(stage, ends.in, "-");
    send_urgent(stage, ends.in, "b");
    stage_put(stage, ends.in, "+");
    shut(stage, "shutdown", ends.in, SHUT_WR);
    io_uring_prep_poll_add(stage_ask(stage, "end"), ends.out, POLLRDHUP);
    stage_expect(stage, 1);
    recv_urgent(stage, "recv of the urgent", ends.out);
    for (int i = 0; i < 3; i++)
        recv_one(stage, "recv", ends.out);
    stage_close_ends(stage, ends);
}

/* SO_OOBINLINE: it stays where it is, and nothing else is urgent. */
void play_urgent_inline(struct stage *stage)
{
    const int on = 1;
    stage_ends ends = stage_tcp(stage);
    (void)coil_kernel_setsockopt(ends.out, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
    stage_put(stage, ends.in, "ab");
    send_urgent(stage, ends.in, "!");
    stage_put(stage, ends.in, "cd");
    shut(stage, "shutdown", ends.in, SHUT_WR);
    io_uring_prep_poll_add(stage_ask(stage, "end"), ends.out, POLLRDHUP);
    stage_expect(stage, 1);
    recv_urgent(stage, "recv of the urgent", ends.out);
    for (int i = 0; i < 3; i++)
        recv_one(stage, "recv", ends.out);
    stage_close_ends(stage, ends);
}
