/* SPDX-License-Identifier: MIT */
/* Cancellations that come when it has happened, and queues that are full when it happens. */
#include "programs.h"

#include "child_syscall.h"

#include <errno.h>
#include <poll.h>

#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * The bytes have come before the cancellation: they are received, or they are still there; what the
 * two completions say must fit.
 */
void play_cancel_too_late_recv(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 15, 0);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "abc");
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_do(stage, 2);
    const int32_t cancel = stage_result(stage, "cancel");
    const int32_t recv = stage_result(stage, "recv");
    const bool is_seen = recv == 3 && (cancel == -ENOENT || cancel == -EALREADY || cancel == 0);
    const bool is_cancelled = recv == -ECANCELED && cancel == 0;
    const ssize_t rest = coil_kernel_recv_now(ends.out, bytes, 15);
    stage_say(stage, "seen or cancelled: %d", is_seen || is_cancelled);
    stage_say(stage, "nothing is lost or doubled: %d", rest == (is_seen ? -EAGAIN : 3));
    stage_close_ends(stage, ends);
}

/* The connection is accepted, or it is still there. */
void play_cancel_too_late_accept(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    int client = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    const int rc = coil_kernel_connect_now(client, (void *)&address, sizeof(address));
    stage_say_result(stage, "connect", rc);
    stage_ask_cancel(stage, "cancel", "accept", 0);
    stage_do(stage, 2);
    const int32_t cancel = stage_result(stage, "cancel");
    const int32_t accepted = stage_result(stage, "accept");
    const bool is_seen = accepted >= 0 && (cancel == -ENOENT || cancel == -EALREADY || cancel == 0);
    const bool is_cancelled = accepted == -ECANCELED && cancel == 0;
    stage_say(stage, "accepted or cancelled: %d", is_seen || is_cancelled);
    int server = is_seen ? accepted : stage_accept(stage, listener);
    stage_put(stage, client, "x");
    io_uring_prep_recv(stage_ask(stage, "recv"), server, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    stage_close(stage, server);
    stage_close(stage, client);
    stage_close(stage, listener);
}

COIL_UNINSTRUMENTED static void exit_at_once(coil_kernel_child *child)
{
    (void)child;
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, 5);
}

/* The child has ended before; its status is taken by the wait, or left for the next. */
void play_cancel_too_late_wait(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, 2 * sizeof(*status));
    coil_kernel_child child = {.run = exit_at_once};
    int pidfd = -1;
    (void)coil_kernel_clone(&child, &pidfd);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect(stage, 1);
    io_uring_prep_waitid(
            stage_ask(stage, "wait"), (idtype_t)P_PIDFD, (id_t)pidfd, status, WEXITED, 0);
    stage_ask_cancel(stage, "cancel", "wait", 0);
    stage_do(stage, 2);
    const int32_t wait = stage_result(stage, "wait");
    const int rc = coil_kernel_reap(pidfd, &status[1]);
    stage_say(stage, "taken once: %d",
            wait == 0 ? status[0].si_status == 5 && rc == -ECHILD
                      : status[0].si_pid == 0 && rc == 0 && status[1].si_status == 5);
    stage_close(stage, pidfd);
}

/* ------------------------------------------------------------------------- a queue overflows -- */

static const char *overflow_flag(struct stage *stage)
{
    const unsigned flags = __atomic_load_n(stage_ring(stage)->sq.kflags, __ATOMIC_RELAXED);
    return flags & IORING_SQ_CQ_OVERFLOW ? "set" : "clear";
}

/* Events of descriptors, more than there is room for: all are told. */
void play_cq_overflow_of_polls(struct stage *stage)
{
    enum { COUNT = 20 };
    int fds[COUNT];
    stage_open(stage, 8, 8);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = coil_kernel_eventfd();
        io_uring_prep_poll_add(stage_ask(stage, "poll"), fds[i], POLLIN);
    }
    stage_expect_nothing(stage);
    for (int i = 0; i < COUNT; i++)
        (void)coil_kernel_eventfd_add(fds[i], 1);
    stage_expect(stage, COUNT);
    stage_say(stage, "overflow flag: %s", overflow_flag(stage));
    for (int i = 0; i < COUNT; i++)
        stage_close(stage, fds[i]);
}

/* While it overflows, requests are taken and told, cancellations, too; nothing is reordered. */
void play_cq_overflow_and_on(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_open(stage, 4, 4);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, stage_memory(stage, 8), 8, 0);
    stage_expect_nothing(stage);
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < 6; i++) {
        io_uring_prep_nop(stage_ask(stage, names[i]));
        stage_say_result(stage, "submitted", stage_submit(stage));
    }
    stage_say(stage, "overflow flag: %s", overflow_flag(stage));
    stage_ask_cancel(stage, "cancel", "recv", 0);
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_expect(stage, 8);
    stage_say(stage, "overflow flag: %s", overflow_flag(stage));
    stage_close_ends(stage, ends);
}

/* A cancellation that is not told if it succeeds takes no room. */
void play_cq_overflow_skips(struct stage *stage)
{
    stage_open(stage, 4, 4);
    for (int i = 0; i < 8; i++) {
        struct io_uring_sqe *sqe = stage_ask(stage, "quiet");
        io_uring_prep_nop(sqe);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        stage_say_result(stage, "submitted", stage_submit(stage));
    }
    stage_say(stage, "overflow flag: %s", overflow_flag(stage));
    io_uring_prep_nop(stage_ask(stage, "nop"));
    stage_expect(stage, 1);
}
