/* SPDX-License-Identifier: MIT */
/* A ring of the simulated kernel by itself, without a loop, for tests of it. */
#ifndef SIM_RING_STAGE_H
#define SIM_RING_STAGE_H

#include "sim_stage.h"

#include <cstring>
#include <map>
#include <set>

#include <liburing.h>
#include <poll.h>
#include <sys/un.h>

extern "C" {
#include "kernel_ring.h"
}

/* In a program: it fails, and says where. */
#define NEED(condition)                                                       \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "line %d: not true: %s\n", __LINE__, #condition); \
            return 1;                                                         \
        }                                                                     \
    } while (0)

const unsigned FLAGS = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_NO_SQARRAY;

/* A ring as liburing has it; entries are taken at once. */
struct Ring {
    io_uring uring = {};

    int open(unsigned entries, unsigned completions)
    {
        io_uring_params parameters = {};
        parameters.flags = FLAGS;
        parameters.cq_entries = completions;
        return coil_kernel_ring_setup(&uring, entries, &parameters);
    }

    /* Of direct descriptors. */
    int make_table(unsigned count)
    {
        io_uring_rsrc_register table = {};
        table.nr = count;
        table.flags = IORING_RSRC_REGISTER_SPARSE;
        return coil_kernel_ring_register(&uring, IORING_REGISTER_FILES2, &table, sizeof(table));
    }

    io_uring_sqe *next(uint64_t name)
    {
        io_uring_sqe *sqe = &uring.sq.sqes[uring.sq.sqe_tail++ & uring.sq.ring_mask];
        memset(sqe, 0, sizeof(*sqe));
        sqe->user_data = name;
        return sqe;
    }

    int enter(unsigned min_complete, unsigned flags = IORING_ENTER_GETEVENTS)
    {
        const unsigned count = uring.sq.sqe_tail - *uring.sq.khead;
        *uring.sq.ktail = uring.sq.sqe_tail;
        return coil_kernel_ring_enter(&uring, count, min_complete, flags, nullptr, 0);
    }

    unsigned ready() const
    {
        return *uring.cq.ktail - *uring.cq.khead;
    }

    io_uring_cqe take()
    {
        const io_uring_cqe *cqe = &uring.cq.cqes[(*uring.cq.khead)++ & uring.cq.ring_mask];
        io_uring_cqe copy = {};
        copy.user_data = cqe->user_data;
        copy.res = cqe->res;
        copy.flags = cqe->flags;
        return copy;
    }

    /* Wait for the next one. */
    io_uring_cqe wait()
    {
        while (ready() == 0)
            (void)enter(1);
        return take();
    }

    void close()
    {
        coil_kernel_ring_close(&uring);
    }
};

/* The program runs to its end, in worlds of so many seeds. */
inline void expect_success(int (*program)(int, char **), uint64_t seed_count = 1)
{
    for (uint64_t seed = 0; seed < seed_count; seed++) {
        World world(seed);
        ASSERT_EQ(0, world.run(program)) << "seed " << seed;
    }
}

#endif
