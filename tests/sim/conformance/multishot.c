/* SPDX-License-Identifier: MIT */
/* Requests with many completions, and the buffers that they take. */
#include "programs.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>

static struct io_uring_sqe *ask_recv(struct stage *stage, const char *name, int fd)
{
    struct io_uring_sqe *sqe = stage_ask(stage, name);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    return sqe;
}

static struct io_uring_sqe *ask_read(struct stage *stage, const char *name, int fd)
{
    struct io_uring_sqe *sqe = stage_ask(stage, name);
    io_uring_prep_read_multishot(sqe, fd, 0, (__u64)-1, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    return sqe;
}

static void say_buffer(
        struct stage *stage, const stage_buffers *buffers, unsigned id, int size_bytes)
{
    stage_say(stage, "buffer %u: %.*s", id, size_bytes, buffers->memory + id * buffers->size_bytes);
}

typedef struct io_uring_sqe *ask_call(struct stage *stage, const char *name, int fd);

static void receives_until_the_end(
        struct stage *stage, stage_ends ends, ask_call *ask, const char *name)
{
    stage_buffers buffers = stage_provide(stage, 4, 16, 0);
    ask(stage, name, ends.out);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "one");
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "two");
    stage_expect(stage, 1);
    say_buffer(stage, &buffers, 0, 3);
    say_buffer(stage, &buffers, 1, 3);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_close(stage, ends.out);
}

void play_multishot_recv(struct stage *stage)
{
    receives_until_the_end(stage, stage_unix(stage), ask_recv, "recv");
}

void play_multishot_recv_tcp(struct stage *stage)
{
    receives_until_the_end(stage, stage_tcp(stage), ask_recv, "recv");
}

/* More than a buffer holds comes in as many as it takes. */
void play_multishot_recv_large(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 4, 4, 0);
    stage_put(stage, ends.in, "0123456789");
    ask_recv(stage, "recv", ends.out);
    stage_expect_in_order(stage, 3);
    say_buffer(stage, &buffers, 0, 4);
    say_buffer(stage, &buffers, 1, 4);
    say_buffer(stage, &buffers, 2, 2);
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_expect(stage, 2);
    stage_close_ends(stage, ends);
}

/* Pitfall 10: without buffers it ends, the bytes stay, and it can be asked again. */
void play_multishot_recv_without_buffers(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 2, 4, 0);
    ask_recv(stage, "recv", ends.out);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "0123456789");
    stage_expect_in_order(stage, 3);
    stage_expect_nothing(stage);
    ask_recv(stage, "again without", ends.out);
    stage_expect(stage, 1);
    stage_give_back(&buffers, 1);
    ask_recv(stage, "again", ends.out);
    stage_expect_in_order(stage, 1);
    say_buffer(stage, &buffers, 1, 2);
    stage_give_back(&buffers, 0);
    stage_put(stage, ends.in, "more");
    stage_expect_in_order(stage, 1);
    say_buffer(stage, &buffers, 0, 4);
    stage_close_ends(stage, ends);
}

/* Asked on an idle socket: at once an error, or it waits, if it is told to poll first. */
void play_multishot_recv_idle_without_buffers(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 1, 4, 0);
    stage_put(stage, ends.in, "taken");
    ask_recv(stage, "takes all", ends.out);
    stage_expect_in_order(stage, 2);
    char byte;
    stage_say_result(stage, "rest", coil_kernel_recv_now(ends.out, &byte, 1));

    ask_recv(stage, "at once", ends.out);
    stage_do(stage, 1);
    stage_say_result(stage, "at once", stage_result(stage, "at once"));
    ask_recv(stage, "poll first", ends.out)->ioprio |= IORING_RECVSEND_POLL_FIRST;
    stage_expect_nothing(stage);
    stage_give_back(&buffers, 0);
    stage_put(stage, ends.in, "abc");
    stage_expect(stage, 1);
    stage_close_ends(stage, ends);
}

void play_multishot_recv_cancelled(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 4, 16, 0);
    ask_recv(stage, "recv", ends.out);
    stage_put(stage, ends.in, "one");
    stage_expect(stage, 1);
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_expect(stage, 2);
    stage_put(stage, ends.in, "two");
    stage_expect_nothing(stage);
    ask_recv(stage, "recv again", ends.out);
    stage_expect(stage, 1);
    say_buffer(stage, &buffers, 1, 3);
    stage_close_ends(stage, ends);
}

/* Pitfall 9: with the completion queue full, it ends with a success, without F_MORE. */
void play_multishot_ends_on_full_queue(struct stage *stage)
{
    enum { COUNT = 30 };
    stage_open(stage, 8, 8);
    int fds[2];
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_DGRAM, fds));
    (void)stage_provide(stage, 32, 16, 0);
    int queued_count = 0;
    while (queued_count < COUNT && coil_kernel_send_now(fds[1], "x", 1) == 1)
        queued_count++;
    stage_say(stage, "more datagrams than completions: %s", queued_count > 9 ? "yes" : "no");
    ask_recv(stage, "recv", fds[0]);
    stage_do(stage, 9);
    stage_say_result(stage, "the ninth", stage_result(stage, "recv"));
    stage_say(stage, "more: %s", stage_flags(stage, "recv") & IORING_CQE_F_MORE ? "yes" : "no");
    stage_expect_nothing(stage);
    int rest_count = 0;
    char byte;
    while (coil_kernel_recv_now(fds[0], &byte, 1) == 1)
        rest_count++;
    stage_say(stage, "none is lost: %s", 9 + rest_count == queued_count ? "yes" : "no");
    stage_close(stage, fds[0]);
    stage_close(stage, fds[1]);
}

/* Incremental buffers: one holds many receives, until it is full. */
void play_buffers_incremental(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 2, 8, IOU_PBUF_RING_INC);
    ask_recv(stage, "recv", ends.out);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "abc");
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "de");
    stage_expect(stage, 1);
    say_buffer(stage, &buffers, 0, 5);
    stage_put(stage, ends.in, "0123456");
    stage_expect_in_order(stage, 2);
    say_buffer(stage, &buffers, 0, 8);
    say_buffer(stage, &buffers, 1, 4);
    stage_give_back(&buffers, 0);
    stage_put(stage, ends.in, "ABCDE");
    stage_expect_in_order(stage, 2);
    say_buffer(stage, &buffers, 1, 8);
    say_buffer(stage, &buffers, 0, 1);
    stage_close(stage, ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
}

void play_buffers_incremental_used_up(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 1, 8, IOU_PBUF_RING_INC);
    ask_recv(stage, "recv", ends.out);
    stage_put(stage, ends.in, "0123456789");
    stage_expect_in_order(stage, 2);
    stage_give_back(&buffers, 0);
    ask_recv(stage, "again", ends.out);
    stage_expect(stage, 1);
    say_buffer(stage, &buffers, 0, 2);
    stage_close_ends(stage, ends);
}

/* Two sockets share a buffer; what each received lies behind what the other did. */
void play_buffers_incremental_shared(struct stage *stage)
{
    stage_ends one = stage_unix(stage);
    stage_ends two = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 2, 16, IOU_PBUF_RING_INC);
    ask_recv(stage, "one", one.out);
    ask_recv(stage, "two", two.out);
    stage_put(stage, one.in, "abc");
    stage_expect(stage, 1);
    stage_put(stage, two.in, "XY");
    stage_expect(stage, 1);
    stage_put(stage, one.in, "def");
    stage_expect(stage, 1);
    say_buffer(stage, &buffers, 0, 8);
    stage_close_ends(stage, one);
    stage_close_ends(stage, two);
}

/* Buffers come round in the order in which they were given back, as often as one likes. */
void play_buffers_recycled(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_buffers buffers = stage_provide(stage, 2, 16, 0);
    ask_recv(stage, "recv", ends.out);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "a");
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "b");
    stage_expect(stage, 1);
    stage_give_back(&buffers, 1);
    stage_give_back(&buffers, 0);
    for (int i = 0; i < 6; i++) {
        stage_put(stage, ends.in, "c");
        stage_expect(stage, 1);
        stage_give_back(&buffers, stage_flags(stage, "recv") >> IORING_CQE_BUFFER_SHIFT);
    }
    stage_close_ends(stage, ends);
}

void play_multishot_accept(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_multishot_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    for (int i = 0; i < 2; i++) {
        int client = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
        io_uring_prep_connect(
                stage_ask(stage, "connect"), client, (const void *)&address, sizeof(address));
        stage_expect(stage, 2);
        stage_close(stage, stage_result(stage, "accept"));
        stage_close(stage, client);
    }
    stage_ask_cancel(stage, "cancel", "accept", 0);
    stage_expect(stage, 2);
    stage_close(stage, listener);
}

/* Pitfall 9 again: no connection is lost when the queue is full. */
void play_multishot_accept_ends_on_full_queue(struct stage *stage)
{
    enum { COUNT = 12 };
    struct sockaddr_in address;
    int clients[COUNT];
    stage_open(stage, 8, 8);
    int listener = stage_listen(stage, 16, &address);
    for (int i = 0; i < COUNT; i++)
        clients[i] = stage_connect(stage, &address);
    io_uring_prep_multishot_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_in_order(stage, 9);
    stage_expect_nothing(stage);
    io_uring_prep_multishot_accept(stage_ask(stage, "again"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_in_order(stage, COUNT - 9);
    stage_close(stage, listener);
    for (int i = 0; i < COUNT; i++)
        stage_close(stage, clients[i]);
}

/* A connection that comes after the cancellation waits for the next who accepts. */
void play_multishot_accept_loses_nothing(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_multishot_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "accept", 0);
    stage_expect(stage, 2);
    int client = stage_connect(stage, &address);
    stage_expect_nothing(stage);
    io_uring_prep_multishot_accept(stage_ask(stage, "again"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect(stage, 1);
    stage_close(stage, stage_result(stage, "again"));
    stage_close(stage, client);
    stage_close(stage, listener);
}

void play_multishot_read_of_pipe(struct stage *stage)
{
    receives_until_the_end(stage, stage_pipe(stage), ask_read, "read");
}

/* Nothing announces that a file has more: there it is refused. */
void play_multishot_read_of_file(struct stage *stage)
{
    int fd = stage_open_file(stage, "multishot_read_of_file", O_RDWR | O_CREAT | O_TRUNC);
    (void)stage_provide(stage, 4, 16, 0);
    stage_put(stage, fd, "text");
    ask_read(stage, "read", fd);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("multishot_read_of_file"));
    stage_close(stage, fd);
}

void play_multishot_read_of_signals(struct stage *stage)
{
    sigset_t set;
    sigset_t before;
    stage_buffers buffers = stage_provide(stage, 4, sizeof(struct signalfd_siginfo), 0);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, &before);
    int fd = coil_kernel_signalfd(&set);
    stage_say_fd(stage, "signalfd", fd);
    ask_read(stage, "read", fd);
    stage_expect_nothing(stage);
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR1));
    stage_expect(stage, 1);
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR2));
    stage_expect(stage, 1);
    for (unsigned id = 0; id < 2; id++) {
        const struct signalfd_siginfo *signal =
                (const void *)(buffers.memory + id * buffers.size_bytes);
        stage_say(stage, "signal: %s", signal->ssi_signo == SIGUSR1 ? "USR1" : "USR2");
    }
    stage_ask_cancel(stage, "cancel", "read", 0);
    stage_expect(stage, 2);
    (void)coil_kernel_sigmask(SIG_SETMASK, &before, NULL);
    stage_close(stage, fd);
}

/* It does not look for a buffer before there is something to be put into it. */
void play_multishot_read_without_buffers(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    stage_buffers buffers = stage_provide(stage, 1, 8, 0);
    ask_read(stage, "read", fd);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    ask_read(stage, "again without", fd);
    stage_expect(stage, 1);
    stage_give_back(&buffers, 0);
    ask_read(stage, "again", fd);
    stage_expect(stage, 1);
    stage_close(stage, fd);
}
