/* SPDX-License-Identifier: MIT */
/*
 * The round trip between two threads with nothing but the kernel's own means: what a library can at
 * best be as fast as. Both sides sleep in between, each on a core of its own.
 *
 *     eventfd    each side waits in epoll_wait(2) for its eventfd, and writes to that of the other
 *     msg_ring   each side waits in io_uring_enter(2), and sends IORING_OP_MSG_RING to the other
 */
#include "../micro/measure.h"
#include "../micro/threads.h"

#include <liburing.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>

static void need(bool fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static pthread_barrier_t ready;
static int64_t trip_count;

/* Runs `near` here and `far` on another thread; returns how long `near` took. */
static double between_threads(void (*near)(void), void *(*far)(void *), int64_t count)
{
    pthread_t thread;

    trip_count = count;
    need(pthread_barrier_init(&ready, NULL, 2) == 0, "pthread_barrier_init");
    need(pthread_create(&thread, NULL, far, NULL) == 0, "pthread_create");
    threads_pin(0);
    pthread_barrier_wait(&ready);
    double start_ns = measure_now_ns();
    near();
    double spent_ns = measure_now_ns() - start_ns;
    (void)pthread_join(thread, NULL);
    (void)pthread_barrier_destroy(&ready);
    return spent_ns;
}

/* ------------------------------------------------------------------------------- eventfd -- */

static int bell_fds[2];

static int watch(int fd)
{
    struct epoll_event interest = {.events = EPOLLIN};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    need(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest) == 0, "epoll_ctl");
    return epoll_fd;
}

static void await_bell(int epoll_fd, int fd)
{
    struct epoll_event event;
    eventfd_t value;

    while (epoll_wait(epoll_fd, &event, 1, -1) != 1) {
    }
    need(eventfd_read(fd, &value) == 0, "eventfd_read");
}

static void eventfd_near(void)
{
    int epoll_fd = watch(bell_fds[0]);

    for (int64_t i = 0; i < trip_count; i++) {
        need(eventfd_write(bell_fds[1], 1) == 0, "eventfd_write");
        await_bell(epoll_fd, bell_fds[0]);
    }
    close(epoll_fd);
}

static void *eventfd_far(void *unused)
{
    int epoll_fd = watch(bell_fds[1]);

    threads_pin(1);
    pthread_barrier_wait(&ready);
    for (int64_t i = 0; i < trip_count; i++) {
        await_bell(epoll_fd, bell_fds[1]);
        need(eventfd_write(bell_fds[0], 1) == 0, "eventfd_write");
    }
    close(epoll_fd);
    return unused;
}

static double run_eventfd(int64_t count)
{
    bell_fds[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bell_fds[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    double spent_ns = between_threads(eventfd_near, eventfd_far, count);
    close(bell_fds[0]);
    close(bell_fds[1]);
    return spent_ns;
}

/* ------------------------------------------------------------------------------ msg_ring -- */

static struct io_uring rings[2];

static void ring_open(struct io_uring *ring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED};

    need(io_uring_queue_init_params(8, ring, &params) == 0, "io_uring_queue_init_params");
}

static void ring_send(struct io_uring *from, const struct io_uring *to)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(from);

    if (sqe == NULL)
        abort(); /* One request at a time, in a queue of eight. */
    io_uring_prep_msg_ring(sqe, to->ring_fd, 0, 1, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/* Submits what is prepared and waits for one message. */
static void ring_await(struct io_uring *ring)
{
    struct io_uring_cqe *cqe = NULL;

    do
        need(io_uring_submit_and_wait(ring, 1) >= 0, "io_uring_submit_and_wait");
    while (io_uring_peek_cqe(ring, &cqe) != 0);
    need(cqe->res == 0 && cqe->user_data == 1, "IORING_OP_MSG_RING");
    io_uring_cqe_seen(ring, cqe);
}

static void msg_ring_near(void)
{
    for (int64_t i = 0; i < trip_count; i++) {
        ring_send(&rings[0], &rings[1]);
        ring_await(&rings[0]);
    }
}

static void *msg_ring_far(void *unused)
{
    threads_pin(1);
    need(io_uring_enable_rings(&rings[1]) == 0, "io_uring_enable_rings");
    pthread_barrier_wait(&ready);
    for (int64_t i = 0; i < trip_count; i++) {
        ring_await(&rings[1]);
        ring_send(&rings[1], &rings[0]);
    }
    need(io_uring_submit(&rings[1]) >= 0, "io_uring_submit");
    return unused;
}

static double run_msg_ring(int64_t count)
{
    ring_open(&rings[0]);
    ring_open(&rings[1]);
    need(io_uring_enable_rings(&rings[0]) == 0, "io_uring_enable_rings");
    double spent_ns = between_threads(msg_ring_near, msg_ring_far, count);
    io_uring_queue_exit(&rings[0]);
    io_uring_queue_exit(&rings[1]);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"post_round_trip", "eventfd", run_eventfd, TRIPS, MEASURE_NS},
            {"post_round_trip", "msg_ring", run_msg_ring, TRIPS, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
