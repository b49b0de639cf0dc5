/* SPDX-License-Identifier: MIT */
/*
 * ring.h - one io_uring: set up with the best that the kernel has, filled, entered, drained.
 *
 * What the kernel may lack is probed once, at creation; down to Linux 6.1 something slower takes
 * its place. Below that, or where io_uring is forbidden, creation fails and says why.
 */
#ifndef RING_H
#define RING_H

#include "kernel_ring.h"

#include <coil/base.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    RING_ENTRIES = 256,
    RING_COMPLETIONS = 4096,
    RING_ENTRIES_MIN = 16, /* How far memory limits may shrink it. */
    RING_HOPE_US = 20,
};

/* coil_kernel_ring_enter(), or what stands before it while a recorder looks. */
typedef int ring_enter_call(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes);

typedef struct coil_ring {
    struct io_uring uring;
    unsigned submitted;                    /* The tail that the kernel has seen. */
    unsigned enter_flags;                  /* For every wait. */
    struct io_uring_reg_wait *wait_region; /* NULL: the wait's argument goes along each time. */
    unsigned batch;                        /* Completions that a wait hopes for, at least 1. */
    bool has_direct_descriptors;
    uint64_t enter_count;
    ring_enter_call *enter;
    struct coil_recorder *recorder; /* NULL: there is none. */
} coil_ring;

/* 0, or -errno with the cause in words in `out_reason` (COIL_REASON_BYTES). */
int ring_init(coil_ring *ring, char *out_reason);

/* Everything must have completed. Takes a zeroed ring. */
void ring_fini(coil_ring *ring);

/* The next free submission entry, zeroed; NULL if the queue is full even after a submission. */
struct io_uring_sqe *ring_next(coil_ring *ring);

static inline unsigned ring_unsubmitted(const coil_ring *ring)
{
    return ring->uring.sq.sqe_tail - ring->submitted;
}

/* Has the kernel work to do for us that only an enter gets done? */
static inline bool ring_needs_enter(const coil_ring *ring)
{
    return (__atomic_load_n(ring->uring.sq.kflags, __ATOMIC_RELAXED) &
                   (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/*
 * Submit everything, and wait for a completion until `deadline`: COIL_NEVER is as long as it takes,
 * RING_NO_WAIT not at all. If more are hoped for, it waits RING_HOPE_US for them. 0 also if the
 * time has passed or a signal came; else -errno.
 */
#define RING_NO_WAIT ((coil_time)0)
static inline int ring_enter(coil_ring *ring, coil_time deadline);

/* Private: any wait but the plainest; and what becomes of an enter that has failed with `rc`. */
int ring_enter_slowly(coil_ring *ring, coil_time deadline);
int ring_refused(int rc);

/* Private: submit everything, and whatever else `flags` say. */
static inline int ring_call(coil_ring *ring, unsigned min_complete, unsigned flags, void *argument,
        size_t argument_bytes)
{
    unsigned count = ring_unsubmitted(ring);
    __atomic_store_n(ring->uring.sq.ktail, ring->uring.sq.sqe_tail, __ATOMIC_RELEASE);
    int rc = ring->enter(&ring->uring, count, min_complete, flags, argument, argument_bytes);
    ring->enter_count++;
    /*
     * An error of the wait may hide a submission that has happened; the head that the kernel has
     * moved tells the truth.
     */
    ring->submitted = __atomic_load_n(ring->uring.sq.khead, __ATOMIC_ACQUIRE);
    return rc;
}

static inline int ring_enter(coil_ring *ring, coil_time deadline)
{
    if (coil_unlikely(deadline != COIL_NEVER || ring->batch != 1))
        return ring_enter_slowly(ring, deadline);
    int rc = ring_call(ring, 1, ring->enter_flags, NULL, 0);
    return coil_likely(rc >= 0) ? 0 : ring_refused(rc);
}

#endif
