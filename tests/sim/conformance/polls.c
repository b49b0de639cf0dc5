/* SPDX-License-Identifier: MIT */
/* What a poll is told, and when: once, and as often as it changes. */
#include "programs.h"

#include <poll.h>

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
    stage_poll(stage, "idle", ends.out);
    stage_put(stage, ends.in, "x");
    stage_poll(stage, "with a byte", ends.out);
    io_uring_prep_poll_add(stage_ask(stage, "no interest"), ends.out, POLLPRI);
    stage_expect_nothing(stage);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    stage_poll(stage, "ended", ends.out);
    stage_close(stage, ends.out);
    io_uring_prep_poll_add(stage_ask(stage, "no file"), 4000, POLLIN);
    stage_expect(stage, 1);
}

/* TCP: of one who has neither connected nor listens. */
void play_poll_of_no_stream(struct stage *stage)
{
    struct sockaddr_in address;
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    stage_poll(stage, "fresh", fd);
    stage_recv(stage, "recv", fd);
    stage_send(stage, "send", fd, "x", 1);
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

/* ------------------------------------------------------------------------------- multishot -- */

/* Each change is told once; nobody has to read for the next to be told. */
void play_multishot_poll(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    for (int i = 0; i < 2; i++) {
        stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
        stage_expect(stage, 1);
        stage_expect_nothing(stage);
    }
    io_uring_prep_read(stage_ask(stage, "read"), fd, stage_memory(stage, 8), 8, (__u64)-1);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "poll", 0);
    stage_expect(stage, 2);
    stage_close(stage, fd);
}

/* What is there already is told, too. */
void play_multishot_poll_of_ready(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_close(stage, fd);
}

/* Events of which nobody enters to be told are one. */
void play_multishot_poll_coalesces(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    for (int i = 0; i < 5; i++)
        (void)coil_kernel_eventfd_add(fd, 1);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    uint64_t *count = stage_memory(stage, sizeof(*count));
    io_uring_prep_read(stage_ask(stage, "read"), fd, count, sizeof(*count), (__u64)-1);
    stage_expect(stage, 1);
    stage_say(stage, "count: %llu", (unsigned long long)*count);
    stage_close(stage, fd);
}

/* The end of the peer is an event like any other, and does not end the request. */
void play_multishot_poll_hangup(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), ends.out, POLLIN | POLLPRI | POLLRDHUP);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "x");
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_close(stage, ends.out);
}

/* Each write is told, read or not; so is the end. */
void play_multishot_poll_of_pipe(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), ends.out, POLLIN);
    stage_expect_nothing(stage);
    for (int i = 0; i < 2; i++) {
        stage_put(stage, ends.in, "x");
        stage_expect(stage, 1);
    }
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, stage_memory(stage, 8), 8, (__u64)-1);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
}

/* Each connection is told, accepted or not. */
void play_multishot_poll_of_listener(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    int clients[2];
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), listener, POLLIN);
    stage_expect_nothing(stage);
    for (int i = 0; i < 2; i++) {
        clients[i] = stage_connect(stage, &address);
        stage_expect(stage, 1);
    }
    for (int i = 0; i < 2; i++)
        stage_close(stage, stage_accept(stage, listener));
    stage_expect_nothing(stage);
    for (int i = 0; i < 2; i++)
        stage_close(stage, clients[i]);
    stage_close(stage, listener);
}

/* Room is told when it comes back. */
void play_multishot_poll_of_room(struct stage *stage)
{
    enum { SIZE_BYTES = 65536 };
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    io_uring_prep_poll_multishot(stage_ask(stage, "poll"), ends.in, POLLOUT);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "write"), ends.in, bytes, SIZE_BYTES, (__u64)-1);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, bytes, SIZE_BYTES, (__u64)-1);
    stage_expect(stage, 2);
    stage_close(stage, ends.out);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}
