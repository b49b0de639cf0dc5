/* SPDX-License-Identifier: MIT */
/*
 * Reads of a file that is in memory, with nothing but the kernel's own means:
 *
 *     pread       one system call each
 *     io_uring    as many as are asked for outstanding; one io_uring_enter(2) submits and reaps
 */
#include "../micro/pages.h"

#include <liburing.h>

static double run_pread(int64_t count)
{
    static char page[PAGE_BYTES];
    uint64_t random_state = 88172645463325252;
    int fd = pages_open();
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++) {
        if (pread(fd, page, PAGE_BYTES, pages_offset(&random_state)) != PAGE_BYTES)
            abort();
    }
    return measure_now_ns() - start_ns;
}

/* Returns how many have ended. */
static int64_t reap(struct io_uring *ring, int64_t *free_slots, int64_t *free_count)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;

    io_uring_for_each_cqe(ring, head, cqe)
    {
        if (cqe->res != PAGE_BYTES)
            abort();
        free_slots[(*free_count)++] = (int64_t)cqe->user_data;
        seen++;
    }
    io_uring_cq_advance(ring, seen);
    return seen;
}

/* All that have ended are replaced before the ring is entered again. */
static void read_all(struct io_uring *ring, int fd, int depth, int64_t count)
{
    static char pages[READERS][PAGE_BYTES];
    uint64_t random_state = 88172645463325252;
    int64_t free_slots[READERS];
    int64_t free_count = 0;
    int64_t begun = 0;

    for (int i = 0; i < depth; i++)
        free_slots[free_count++] = i;
    for (int64_t done = 0; done < count; done += reap(ring, free_slots, &free_count)) {
        for (; free_count > 0 && begun < count; begun++) {
            int64_t slot = free_slots[--free_count];
            struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
            if (sqe == NULL)
                abort(); /* There are more of them than slots. */
            io_uring_prep_read(
                    sqe, fd, pages[slot], PAGE_BYTES, (uint64_t)pages_offset(&random_state));
            sqe->user_data = (uint64_t)slot;
        }
        (void)io_uring_submit_and_wait(ring, 1);
    }
}

static double with_ring(int depth, int64_t count)
{
    struct io_uring_params params = {
            .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct io_uring ring;
    int fd = pages_open();

    if (io_uring_queue_init_params(2 * READERS, &ring, &params) != 0) {
        fprintf(stderr, "io_uring_queue_init_params failed\n");
        exit(1);
    }
    (void)io_uring_register_ring_fd(&ring);
    double start_ns = measure_now_ns();
    read_all(&ring, fd, depth, count);
    double spent_ns = measure_now_ns() - start_ns;
    io_uring_queue_exit(&ring);
    return spent_ns;
}

static double run_ring(int64_t count)
{
    return with_ring(1, count);
}

static double run_ring_32(int64_t count)
{
    return with_ring(READERS, count);
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"file_read_4k", "pread", run_pread, 0, MEASURE_NS},
            {"file_read_4k", "io_uring", run_ring, 0, MEASURE_NS},
            {"file_read_4k_32", "io_uring", run_ring_32, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
