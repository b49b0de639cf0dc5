/* SPDX-License-Identifier: MIT */
/*
 * ring.h - one simulated io_uring: queues, what is registered, and the requests in flight.
 *
 * Queues lie in memory as liburing has them mapped, so that the code above reads and writes them as
 * ever. What io_uring_setup(2), io_uring_enter(2) and io_uring_register(2) do is in ring.c, what
 * becomes of an entry is in request.c.
 */
#ifndef SIM_RING_H
#define SIM_RING_H

#include "request.h"

/* A ring of provided buffers (IORING_REGISTER_PBUF_RING). */
typedef struct sim_buffers {
    coil_list link; /* In ring->buffers. */
    struct io_uring_buf_ring *ring;
    uint16_t entry_count;
    uint16_t group;
    uint16_t head;       /* The next to be used. */
    bool is_incremental; /* IOU_PBUF_RING_INC */
} sim_buffers;

struct sim_ring {
    coil_list link; /* In process->rings. */
    sim_process *process;
    sim_fiber *owner; /* IORING_SETUP_SINGLE_ISSUER: the thread that enabled it. */
    struct io_uring *uring;
    struct io_uring_params parameters;
    bool is_disabled;

    struct sim_ring_memory *memory; /* The indices and flags that are mapped, ... */
    struct io_uring_sqe *sqes;      /* ... and the entries. */
    struct io_uring_cqe *cqes;
    unsigned *array;    /* NULL: IORING_SETUP_NO_SQARRAY */
    coil_list requests; /* In flight, by time of submission. */
    size_t request_count;
    coil_list lenders; /* Those that have borrowed memory. */
    coil_list work;    /* Task work that is due. */
    uint64_t request_number;

    coil_list overflow; /* Completions without room. */
    size_t overflow_count;

    sim_file **direct; /* The table of direct descriptors. */
    unsigned direct_count;
    unsigned direct_free_from; /* No slot below it is free. */
    coil_list buffers;
    char *wait_region;
    size_t wait_region_bytes;
    unsigned worker_limits[2]; /* IORING_REGISTER_IOWQ_MAX_WORKERS */
    sim_waiters changed;       /* The fiber that waits in enter. */
    struct sim_replay *replay; /* NULL: chance decides. */
};

/* Post a completion. False: there was no room, it will come later. */
bool sim_ring_post(sim_ring *ring, uint64_t user_data, int32_t result, uint32_t flags);

/* Would sim_ring_post() find room now? */
bool sim_ring_has_room(const sim_ring *ring);

/* Wake the thread that waits, and tell it that there is work (IORING_SQ_TASKRUN). */
void sim_ring_notify(sim_ring *ring);

/* There is none any more. */
void sim_ring_quiet(sim_ring *ring);

/* Take an entry: check, and start the request. Errors become completions. */
void sim_ring_submit(sim_ring *ring, const struct io_uring_sqe *sqe);

/* Run the task work that is due. */
void sim_ring_run_work(sim_ring *ring);

/* Free it; and drop everything that is in flight, without a word: the process has ended. */
void sim_ring_drop(sim_ring *ring);
void sim_requests_drop(sim_ring *ring);

/* IORING_OP_ASYNC_CANCEL: the result. */
int sim_ring_cancel(sim_ring *ring, const struct io_uring_sqe *sqe);

/* ------------------------------------------------------------------------ direct descriptors -- */

/* NULL: -EBADF */
sim_file *sim_direct_file(const sim_ring *ring, unsigned index);

/* A free slot (IORING_FILE_INDEX_ALLOC) or `index`; takes the reference. -ENFILE, -EINVAL */
int sim_direct_install(sim_ring *ring, sim_file *file, unsigned index);

/* As sim_descriptor_check_open(). */
void sim_direct_check_open(const sim_ring *ring, unsigned index);

int sim_direct_close(sim_ring *ring, unsigned index);

/* -------------------------------------------------------------------------- provided buffers -- */

/* The group. NULL: there is none. */
sim_buffers *sim_buffers_of(sim_ring *ring, uint16_t group);

/* The next buffer, at most `limit_bytes` of it (0: all). -ENOBUFS: none is left. */
int sim_buffers_peek(sim_buffers *buffers, size_t limit_bytes, struct iovec *out_part);

/* So much of it has been used: the flags for the completion. */
uint32_t sim_buffers_consume(sim_buffers *buffers, size_t used_bytes);

#endif
