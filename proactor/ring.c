/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <coil/check.h>
#include <coil/error.h>
#include <coil/kernel.h>
#include <coil/loop.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    WAIT_REGION_BYTES = 4096,
    DIRECT_COUNT_MAX = 1 << 20,
};

#define BASE_FLAGS                                                                       \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | \
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |       \
            IORING_SETUP_R_DISABLED)

/* ---------------------------------------------------------------------------------- setup -- */

/*
 * The kernel may give one thread the memory of the ring that another has just closed. That is an
 * order between the two which ThreadSanitizer does not see, so it is said here: who sets up comes
 * after all who have closed before.
 */
static COIL_PROCESS_WIDE unsigned closed_count;

static void order_after_closed(void)
{
    (void)__atomic_fetch_add(&closed_count, 0, __ATOMIC_ACQUIRE);
}

static void order_before_setups(void)
{
    (void)__atomic_fetch_add(&closed_count, 1, __ATOMIC_ACQ_REL);
}

/* Memory for rings may be limited per user (RLIMIT_MEMLOCK): ask for less until we get it. */
static int set_up_with(coil_ring *ring, unsigned flags)
{
    int rc = -ENOMEM;
    unsigned completions = RING_COMPLETIONS;
    for (unsigned entries = RING_ENTRIES; rc == -ENOMEM && entries >= RING_ENTRIES_MIN;
            entries /= 2, completions /= 2) {
        struct io_uring_params parameters = {.flags = flags, .cq_entries = completions};
        rc = coil_kernel_ring_setup(&ring->uring, entries, &parameters);
    }
    order_after_closed();
    return rc;
}

static void explain(int error, char *out_reason)
{
    const char *reason;
    int disabled = coil_kernel_ring_sysctl();

    if (error == -EPERM && disabled != 0) {
        reason = disabled == 1 ? "the sysctl kernel.io_uring_disabled=1 forbids it to this user"
                               : "the sysctl kernel.io_uring_disabled=2 forbids it";
    } else if (error == -EPERM || error == -EACCES) {
        reason = "forbidden, by a seccomp profile (containers) or a security module";
    } else if (error == -ENOSYS) {
        reason = "this kernel has no io_uring, or a seccomp profile (containers) hides it";
    } else if (error == -EINVAL) {
        reason = "this kernel is too old; Linux 6.1 or newer is needed";
    } else if (error == -ENOMEM) {
        reason = "not enough lockable memory; raise RLIMIT_MEMLOCK (ulimit -l)";
    } else if (error == -EBUSY) {
        reason = "this thread has 16 loops already, and the kernel allows no more";
    } else {
        reason = coil_error_text(error);
    }
    (void)snprintf(out_reason, COIL_REASON_BYTES, "cannot set up io_uring: %s (%s)", reason,
            coil_error_name(error));
}

/* A registered wait argument saves the kernel a copy per timed wait. Since 6.13. */
static void register_wait_region(coil_ring *ring)
{
    struct io_uring_region_desc region = {
            .size = WAIT_REGION_BYTES, .flags = IORING_MEM_REGION_TYPE_USER};
    struct io_uring_mem_region_reg registration = {
            .region_uptr = (uint64_t)(uintptr_t)&region, .flags = IORING_MEM_REGION_REG_WAIT_ARG};
    void *pages = coil_kernel_pages(WAIT_REGION_BYTES);
    if (pages == NULL)
        return;
    region.user_addr = (uint64_t)(uintptr_t)pages;
    if (coil_kernel_ring_register(&ring->uring, IORING_REGISTER_MEM_REGION, &registration, 1) < 0) {
        coil_kernel_pages_release(pages, WAIT_REGION_BYTES);
        return;
    }
    ring->wait_region = pages;
}

/* The table of direct descriptors is as large as that of ordinary ones. */
static void register_direct_descriptors(coil_ring *ring)
{
    unsigned count = coil_kernel_descriptor_limit();
    if (count > DIRECT_COUNT_MAX)
        count = DIRECT_COUNT_MAX;
    struct io_uring_rsrc_register table = {.nr = count, .flags = IORING_RSRC_REGISTER_SPARSE};
    if (coil_kernel_ring_register(&ring->uring, IORING_REGISTER_FILES2, &table, sizeof(table)) < 0)
        return;
    ring->has_direct_descriptors = true;
}

int ring_init(coil_ring *ring, char *out_reason)
{
    memset(ring, 0, sizeof(*ring));
    int rc = set_up_with(ring, BASE_FLAGS | IORING_SETUP_NO_SQARRAY); /* Since 6.6. */
    if (rc == -EINVAL)
        rc = set_up_with(ring, BASE_FLAGS); /* Since 6.1. */
    if (rc < 0) {
        explain(rc, out_reason);
        memset(ring, 0, sizeof(*ring));
        return rc;
    }
    register_wait_region(ring); /* Only while the ring is disabled. */
    rc = coil_kernel_ring_register(&ring->uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (rc < 0) {
        explain(rc, out_reason);
        ring_fini(ring);
        return rc;
    }
    register_direct_descriptors(ring);
    ring->batch = 1;
    ring->enter = coil_kernel_ring_enter;
    ring->enter_flags = IORING_ENTER_GETEVENTS;
    if (ring->uring.features & IORING_FEAT_NO_IOWAIT)
        ring->enter_flags |= IORING_ENTER_NO_IOWAIT;
    return 0;
}

void ring_fini(coil_ring *ring)
{
    order_before_setups();
    if (ring->uring.sq.ring_entries != 0)
        coil_kernel_ring_close(&ring->uring);
    if (ring->wait_region != NULL)
        coil_kernel_pages_release(ring->wait_region, WAIT_REGION_BYTES);
    memset(ring, 0, sizeof(*ring));
}

/* ---------------------------------------------------------------------------------- enter -- */

static unsigned free_entries(const coil_ring *ring)
{
    const struct io_uring_sq *sq = &ring->uring.sq;
    return sq->ring_entries - (sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE));
}

struct io_uring_sqe *ring_next(coil_ring *ring)
{
    struct io_uring_sq *sq = &ring->uring.sq;
    if (coil_unlikely(free_entries(ring) == 0)) {
        (void)ring_call(ring, 0, 0, NULL, 0); /* Submits, reaps nothing. */
        if (free_entries(ring) == 0)
            return NULL;
    }
    struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
    memset(sqe, 0, sizeof(*sqe));
    return sqe;
}

static struct __kernel_timespec timespec_of(coil_time time)
{
    return (struct __kernel_timespec){.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
}

/* Before 6.13: the kernel takes a duration, and copies it each time. */
static COIL_NOINLINE int enter_for(coil_ring *ring, coil_duration duration)
{
    struct __kernel_timespec limit = timespec_of(duration);
    struct io_uring_getevents_arg argument = {.ts = (uint64_t)(uintptr_t)&limit};
    if (duration <= 0)
        return ring_call(ring, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    return ring_call(
            ring, 1, ring->enter_flags | IORING_ENTER_EXT_ARG, &argument, sizeof(argument));
}

static inline int enter_until(coil_ring *ring, coil_time deadline)
{
    const unsigned flags = ring->enter_flags | IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG |
                           IORING_ENTER_ABS_TIMER;
    struct io_uring_reg_wait *wait = ring->wait_region;
    if (wait == NULL)
        return enter_for(ring, deadline - coil_kernel_now());
    wait->ts = timespec_of(deadline);
    wait->flags = IORING_REG_WAIT_TS;
    wait->min_wait_usec = ring->batch > 1 ? RING_HOPE_US : 0;
    return ring_call(ring, ring->batch, flags, NULL, sizeof(*wait));
}

int ring_enter_slowly(coil_ring *ring, coil_time deadline)
{
    int rc;
    if (deadline <= 0) {
        rc = ring_call(ring, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    } else {
        rc = enter_until(ring, deadline);
    }
    return coil_likely(rc >= 0) ? 0 : ring_refused(rc);
}

int ring_refused(int rc)
{
    if (rc == -ETIME || rc == -EINTR || rc == -EBUSY || rc == -EAGAIN)
        return 0; /* Nothing is lost: what was not submitted is so at the next turn. */
    return rc;
}
