/* SPDX-License-Identifier: MIT */
/* What asking for an early end does, and what it does not. */
#include "programs.h"

#include <errno.h>
#include <poll.h>

/* A cancellation has a completion of its own, before or after that of its target. */
void play_cancel_poll(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "poll", 0);
    stage_expect(stage, 2);
    stage_close(stage, fd);
}

void play_cancel_recv(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, stage_memory(stage, 10), 10, 0);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_expect(stage, 2);
    stage_put(stage, ends.in, "kept");
    char *bytes = stage_memory(stage, 10);
    io_uring_prep_recv(stage_ask(stage, "recv again"), ends.out, bytes, 10, 0);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    stage_close_ends(stage, ends);
}

void play_cancel_read_of_pipe(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, stage_memory(stage, 10), 10, (__u64)-1);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "read", 0);
    stage_expect(stage, 2);
    stage_close_ends(stage, ends);
}

void play_cancel_accept(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "accept", 0);
    stage_expect(stage, 2);
    stage_close(stage, listener);
}

/* Target and cancellation are submitted together. */
void play_cancel_in_one_batch(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_ask_cancel(stage, "cancel", "poll", 0);
    stage_expect(stage, 2);
    stage_close(stage, fd);
}

void play_cancel_of_completed(struct stage *stage)
{
    io_uring_prep_nop(stage_ask(stage, "nop"));
    stage_expect(stage, 1);
    stage_ask_cancel(stage, "cancel", "nop", 0);
    stage_expect(stage, 1);
}

/* What has happened is not undone: the event was there before the cancellation. */
void play_cancel_too_late(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_ask_cancel(stage, "cancel", "poll", 0);
    stage_do(stage, 2);
    /* Both orders are right: it was seen, or it was cancelled; but the two agree. */
    int32_t poll = stage_result(stage, "poll");
    int32_t cancel = stage_result(stage, "cancel");
    bool seen = poll == POLLIN && (cancel == -ENOENT || cancel == -EALREADY || cancel == 0);
    bool cancelled = poll == -ECANCELED && cancel == 0;
    stage_say(stage, "either seen or cancelled: %s", seen || cancelled ? "yes" : "no");
    stage_close(stage, fd);
}

void play_cancel_twice(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "first", "poll", 0);
    stage_ask_cancel(stage, "second", "poll", 0);
    stage_expect(stage, 3);
    stage_close(stage, fd);
}

/* A success is not told, a failure is. */
void play_cancel_skip_success(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "poll", 0)->flags |= IOSQE_CQE_SKIP_SUCCESS;
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel again", "poll", 0)->flags |= IOSQE_CQE_SKIP_SUCCESS;
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

/* As a loop does at its end: the result is how many. */
void play_cancel_all(struct stage *stage)
{
    const unsigned all = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    stage_ends ends = stage_unix(stage);
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    io_uring_prep_poll_multishot(stage_ask(stage, "multishot poll"), fd, POLLIN);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, stage_memory(stage, 10), 10, 0);
    stage_expect_nothing(stage);
    io_uring_prep_cancel64(stage_ask(stage, "cancel"), 0, (int)all);
    stage_expect(stage, 4);
    io_uring_prep_cancel64(stage_ask(stage, "cancel of none"), 0, (int)all);
    stage_expect(stage, 1);
    stage_close(stage, fd);
    stage_close_ends(stage, ends);
}

/* Pitfall 6: of two requests of the same name, one is cancelled, and nobody knows which. */
void play_cancel_ambiguous(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    io_uring_prep_poll_add(stage_ask_again(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "poll", 0);
    stage_expect(stage, 2);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);

    io_uring_prep_read(stage_ask(stage, "read"), fd, stage_memory(stage, 8), 8, (__u64)-1);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    io_uring_prep_poll_add(stage_ask_again(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel all of this name", "poll", IORING_ASYNC_CANCEL_ALL);
    stage_expect(stage, 3);
    stage_close(stage, fd);
}

/* Pitfall 7: what has been received is delivered, as a success. */
static void cancels_after_a_part(struct stage *stage, stage_ends ends)
{
    char *bytes = stage_memory(stage, 100);
    stage_put(stage, ends.in, "0123456789");
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 100, MSG_WAITALL);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_expect(stage, 2);
    stage_say(stage, "bytes: %s", bytes);
    stage_close_ends(stage, ends);
}

void play_cancel_recv_waitall(struct stage *stage)
{
    cancels_after_a_part(stage, stage_unix(stage));
}

void play_cancel_recv_waitall_tcp(struct stage *stage)
{
    cancels_after_a_part(stage, stage_tcp(stage));
}

void play_cancel_send_waitall(struct stage *stage)
{
    enum { SIZE_BYTES = 2 << 20 };
    stage_ends ends = stage_unix(stage);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    io_uring_prep_send(
            stage_ask(stage, "send"), ends.in, bytes, SIZE_BYTES, MSG_WAITALL | MSG_NOSIGNAL);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "send", 0);
    stage_do(stage, 2);
    int32_t sent_bytes = stage_result(stage, "send");
    stage_say_result(stage, "cancel", stage_result(stage, "cancel"));
    stage_say(stage, "sent a part: %s", sent_bytes > 0 && sent_bytes < SIZE_BYTES ? "yes" : "no");

    int64_t got_bytes = 0;
    ssize_t count;
    while ((count = coil_kernel_recv_now(ends.out, bytes, SIZE_BYTES)) > 0)
        got_bytes += count;
    stage_say(stage, "that part arrives: %s", got_bytes == sent_bytes ? "yes" : "no");
    stage_close_ends(stage, ends);
}

/* A completion of the first life of a name and one of the second are not told apart. */
void play_user_data_reused(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "same"), fd, POLLIN);
    stage_expect_nothing(stage);
    io_uring_prep_nop(stage_ask_again(stage, "same"));
    stage_expect(stage, 1);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

/* Pitfall 15: the file stays open underneath the request; its end does not reach the peer. */
void play_close_cancels_nothing(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    char *bytes = stage_memory(stage, 10);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 10, 0);
    stage_expect_nothing(stage);
    stage_close(stage, ends.out);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "hello");
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    stage_say_result(stage, "send afterwards", coil_kernel_send_now(ends.in, "x", 1));
    stage_close(stage, ends.in);
}

/* As above, by the ring's own close; and the peer of a socket that only a request holds. */
void play_close_by_ring_cancels_nothing(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, stage_memory(stage, 10), 10, 0);
    stage_expect_nothing(stage);
    io_uring_prep_close(stage_ask(stage, "close"), ends.out);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_expect(stage, 2);
    stage_say_result(stage, "send afterwards", coil_kernel_send_now(ends.in, "x", 1));
    stage_close(stage, ends.in);
}

void play_shutdown_completes_recv(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, stage_memory(stage, 10), 10, 0);
    stage_expect_nothing(stage);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), ends.out, SHUT_RD);
    stage_expect(stage, 2);
    stage_close_ends(stage, ends);
}

void play_shutdown_completes_accept(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), listener, SHUT_RD);
    stage_expect(stage, 2);
    stage_close(stage, listener);
}

/* The listener leaves it waiting. */
void play_cancel_connect_tcp(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int listener = stage_listen(stage, 0, address);
    int first = stage_connect(stage, address);
    int second = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    io_uring_prep_connect(
            stage_ask(stage, "connect"), second, (struct sockaddr *)address, sizeof(*address));
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "connect", 0);
    stage_expect(stage, 2);
    stage_close(stage, second);
    stage_close(stage, first);
    stage_close(stage, listener);
}

/* A worker thread of the kernel has it, which may have begun or not. */
static void cancel_worker(struct stage *stage, const char *target, int32_t interruption)
{
    stage_ask_cancel(stage, "cancel", target, 0);
    stage_do(stage, 2);
    int32_t result = stage_result(stage, target);
    int32_t cancel = stage_result(stage, "cancel");
    bool is_cancelled = cancel == 0 && result == -ECANCELED;
    bool is_interrupted = cancel == -EALREADY && result == interruption;
    stage_say(stage, "either cancelled, or EALREADY and %d: %s", interruption,
            is_cancelled || is_interrupted ? "yes" : "no");
    stage_ask_cancel(stage, "cancel again", target, 0);
    stage_do(stage, 1);
    int32_t again =
            stage_result(stage, "cancel again"); /* The worker may not have let it go yet. */
    stage_say(stage, "again: too late: %s", again == -ENOENT || again == -EALREADY ? "yes" : "no");
}

/*
 * Pitfall 18: this waits in a worker thread of the kernel. Cancelled while it runs, it is
 * interrupted, and says whatever code that has; the cancellation says that it has begun.
 */
void play_cancel_connect_unix(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, "cancel_connect_unix", sizeof("cancel_connect_unix"));
    (void)coil_kernel_unlink(address->sun_path);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    (void)coil_kernel_bind(fds[0], (struct sockaddr *)address, sizeof(*address));
    (void)coil_kernel_listen(fds[0], 0);
    io_uring_prep_connect(
            stage_ask(stage, "first"), fds[1], (struct sockaddr *)address, sizeof(*address));
    stage_expect(stage, 1);
    io_uring_prep_connect(
            stage_ask(stage, "connect"), fds[2], (struct sockaddr *)address, sizeof(*address));
    stage_expect_nothing(stage);
    cancel_worker(stage, "connect", -EINTR);
    for (int i = 0; i < 3; i++)
        stage_close(stage, fds[i]);
    stage_say_result(stage, "unlink", coil_kernel_unlink(address->sun_path));
}

/* The same. */
void play_cancel_splice(struct stage *stage)
{
    stage_ends one = stage_pipe(stage);
    stage_ends two = stage_pipe(stage);
    io_uring_prep_splice(stage_ask(stage, "splice"), one.out, -1, two.in, -1, 16, 0);
    stage_expect_nothing(stage);
    cancel_worker(stage, "splice", -512); /* -ERESTARTSYS, which is not for us to see. */
    stage_close_ends(stage, one);
    stage_close_ends(stage, two);
}
