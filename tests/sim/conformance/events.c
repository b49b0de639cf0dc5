/* SPDX-License-Identifier: MIT */
/* Event counters and signals. */
#include "programs.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

static const uint64_t POSITION = UINT64_MAX;

/* A counter: a read takes all of it, or waits; adding goes on to its limit. */
void play_eventfd(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    uint64_t *count = stage_memory(stage, sizeof(*count));
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 2));
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 3));
    io_uring_prep_read(stage_ask(stage, "read"), fd, count, 8, POSITION);
    stage_expect(stage, 1);
    stage_say(stage, "count: %llu", (unsigned long long)*count);
    io_uring_prep_read(stage_ask(stage, "waiting read"), fd, count, 8, POSITION);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    stage_say(stage, "count: %llu", (unsigned long long)*count);
    io_uring_prep_read(stage_ask(stage, "read of 4 bytes"), fd, count, 4, POSITION);
    stage_expect(stage, 1);
    stage_say_result(stage, "add of the most", coil_kernel_eventfd_add(fd, UINT64_MAX - 1));
    io_uring_prep_poll_add(stage_ask(stage, "poll of the full"), fd, POLLIN | POLLOUT);
    stage_expect(stage, 1);
    stage_say_result(stage, "add of too much", coil_kernel_eventfd_add(fd, UINT64_MAX));
    io_uring_prep_read(stage_ask(stage, "read"), fd, count, 8, POSITION);
    stage_expect(stage, 1);
    stage_say(stage, "count is the most: %d", *count == UINT64_MAX - 1);
    stage_close(stage, fd);
}

void play_eventfd_poll(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN | POLLOUT);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

/* Two who wait for the same: a read takes it from the other. */
void play_eventfd_of_two_readers(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    uint64_t *counts = stage_memory(stage, 2 * sizeof(*counts));
    io_uring_prep_read(stage_ask(stage, "read"), fd, &counts[0], 8, POSITION);
    io_uring_prep_read(stage_ask(stage, "read"), fd, &counts[1], 8, POSITION);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

static sigset_t one_signal(int signo)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, signo);
    return set;
}

/* A standard signal is pending once, however often it was sent. */
void play_signalfd(struct stage *stage)
{
    sigset_t before;
    const sigset_t set = one_signal(SIGUSR1);
    struct signalfd_siginfo *signals = stage_memory(stage, 2 * sizeof(*signals));
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, &before);
    int fd = coil_kernel_signalfd(&set);
    io_uring_prep_read(stage_ask(stage, "read"), fd, signals, 2 * sizeof(*signals), POSITION);
    stage_expect_nothing(stage);
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR1));
    stage_expect(stage, 1);
    stage_say(stage, "signal is USR1: %d", signals[0].ssi_signo == SIGUSR1);
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR1));
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR1));
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN | POLLOUT);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), fd, signals, 2 * sizeof(*signals), POSITION);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read of 1 byte"), fd, signals, 1, POSITION);
    stage_expect(stage, 1);
    stage_close(stage, fd);
    (void)coil_kernel_sigmask(SIG_SETMASK, &before, NULL);
}

void play_signals_pending(struct stage *stage)
{
    sigset_t before;
    sigset_t pending;
    const sigset_t set = one_signal(SIGUSR1);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, &before);
    stage_say_result(stage, "take of none", coil_kernel_sigtake(&set));
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR1));
    stage_say_result(stage, "pending", coil_kernel_sigpending(&pending));
    stage_say(stage, "USR1 is pending: %d", sigismember(&pending, SIGUSR1));
    stage_say(stage, "take is USR1: %d", coil_kernel_sigtake(&set) == SIGUSR1);
    (void)coil_kernel_sigpending(&pending);
    stage_say(stage, "USR1 is pending: %d", sigismember(&pending, SIGUSR1));
    (void)coil_kernel_sigmask(SIG_SETMASK, &before, NULL);
}

static volatile sig_atomic_t handled_count;

static void handle(int signo)
{
    (void)signo;
    handled_count++;
}

/* A signal with a handler runs it; blocked, it does so when it is blocked no more. */
void play_signal_handler(struct stage *stage)
{
    sigset_t before;
    const sigset_t set = one_signal(SIGUSR2);
    struct sigaction old;
    struct sigaction action = {.sa_handler = handle};
    handled_count = 0;
    stage_say_result(stage, "sigaction", coil_kernel_sigaction(SIGUSR2, &action, &old));
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR2));
    stage_say(stage, "handled: %d", (int)handled_count);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, &before);
    stage_say_result(stage, "raise", coil_kernel_raise(SIGUSR2));
    stage_say(stage, "handled: %d", (int)handled_count);
    (void)coil_kernel_sigmask(SIG_SETMASK, &before, NULL);
    stage_say(stage, "handled: %d", (int)handled_count);
    stage_say_result(stage, "sigaction", coil_kernel_sigaction(SIGUSR2, &old, NULL));
    stage_say_result(stage, "of SIGKILL", coil_kernel_sigaction(SIGKILL, &action, NULL));
}

typedef struct sender {
    coil_kernel_thread thread;
    pid_t target;
    int rc;
} sender;

static void send_signal(coil_kernel_thread *thread)
{
    sender *self = coil_container_of(thread, sender, thread);
    coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_ms(30));
    self->rc = coil_kernel_thread_signal(self->target, SIGUSR2);
}

/* Pitfall 19: a wait that a signal interrupts says so, and what was submitted with it stays so. */
void play_wait_interrupted(struct stage *stage)
{
    struct sigaction old;
    struct sigaction action = {.sa_handler = handle};
    stage_open(stage, 8, 16);
    int fd = coil_kernel_eventfd();
    handled_count = 0;
    (void)coil_kernel_sigaction(SIGUSR2, &action, &old);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_say_result(stage, "submitted", stage_submit(stage));
    sender other = {.thread = {.run = send_signal}, .target = coil_kernel_thread_id()};
    stage_say_result(stage, "start", coil_kernel_thread_start(&other.thread));
    int rc = coil_kernel_ring_enter(stage_ring(stage), 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    stage_say_result(stage, "wait", rc);
    stage_say(stage, "handled: %d", (int)handled_count);
    coil_kernel_thread_join(&other.thread);
    stage_say_result(stage, "signal", other.rc);
    (void)coil_kernel_eventfd_add(fd, 1);
    stage_expect(stage, 1);
    (void)coil_kernel_sigaction(SIGUSR2, &old, NULL);
    stage_close(stage, fd);
}

/* Another thread's event wakes a wait. */
typedef struct waker {
    coil_kernel_thread thread;
    int fd;
} waker;

static void wake(coil_kernel_thread *thread)
{
    waker *self = coil_container_of(thread, waker, thread);
    (void)coil_kernel_eventfd_add(self->fd, 7);
}

void play_eventfd_of_another_thread(struct stage *stage)
{
    waker other = {.thread = {.run = wake}, .fd = coil_kernel_eventfd()};
    uint64_t *count = stage_memory(stage, sizeof(*count));
    io_uring_prep_read(stage_ask(stage, "read"), other.fd, count, 8, POSITION);
    stage_expect_nothing(stage);
    stage_say_result(stage, "start", coil_kernel_thread_start(&other.thread));
    stage_expect(stage, 1);
    stage_say(stage, "count: %llu", (unsigned long long)*count);
    coil_kernel_thread_join(&other.thread);
    stage_close(stage, other.fd);
}
