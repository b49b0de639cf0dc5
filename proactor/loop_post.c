/* SPDX-License-Identifier: MIT */
/* Of coil/loop.h: what other threads say to a loop, and how it wakes up for that. */
#include "loop_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>

/*
 * The eventfd is for kernels that can tell a ring nothing, or lack the memory for it, and for
 * recorders. Armed once: every write to it is one completion, whatever its counter says. So nobody
 * ever reads it, and a wake-up costs the loop nothing but that completion. 2^64 - 2 writes would
 * make it full.
 */
static void wake_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_poll_multishot(sqe, op->loop->wake_fd, POLLIN);
}

void loop_run_posted(coil_loop *loop)
{
    coil_post *newest = __atomic_exchange_n(&loop->posted, NULL, __ATOMIC_ACQUIRE);
    coil_post *oldest = NULL;
    while (newest != NULL) {
        coil_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        coil_post *post = oldest;
        oldest = oldest->next;
        post->run(post);
    }
}

/* That the loop has woken up is all there is to it, unless the kernel has disarmed it. */
static void wake_complete(coil_op *op, int32_t result, uint32_t flags)
{
    if (!(flags & IORING_CQE_F_MORE) && result != -ECANCELED)
        op_start(op);
}

const op_kind loop_wake_kind = {.name = "wake", .prepare = wake_prepare, .complete = wake_complete};

/*
 * From here to end_posting() the loop does not end: who reads `posted` after this sees it closed,
 * or the loop, which closes it before it reads the count, sees this.
 */
static void begin_posting(coil_loop *loop)
{
    (void)__atomic_fetch_add(&loop->posting_count, 1, __ATOMIC_SEQ_CST);
}

static void end_posting(coil_loop *loop)
{
    (void)__atomic_fetch_sub(&loop->posting_count, 1, __ATOMIC_RELEASE);
}

bool loop_is_posted_to(const coil_loop *loop)
{
    return __atomic_load_n(&loop->posting_count, __ATOMIC_SEQ_CST) > 0;
}

/* In place of a list: the loop takes no more. */
static coil_post closed;

bool loop_refuse_mail(coil_loop *loop)
{
    coil_post *none = NULL;
    return __atomic_compare_exchange_n(
            &loop->posted, &none, &closed, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void loop_wake_by_eventfd(coil_loop *loop)
{
    __atomic_store_n(&loop->wake_ring, -1, __ATOMIC_RELAXED);
}

void loop_wake_by_ring(coil_loop *loop)
{
    __atomic_store_n(&loop->wake_ring, loop->ring.uring.ring_fd, __ATOMIC_RELAXED);
}

static void wake_up(coil_loop *loop)
{
    const int ring = __atomic_load_n(&loop->wake_ring, __ATOMIC_RELAXED);
    if (coil_unlikely(ring < 0 || coil_kernel_ring_tell(ring, OP_TAG_WAKE_UP) < 0))
        (void)coil_kernel_eventfd_add(loop->wake_fd, 1);
}

static void wake_up_if_asleep(coil_loop *loop)
{
    if (__atomic_load_n(&loop->asleep, __ATOMIC_SEQ_CST) &&
            __atomic_exchange_n(&loop->asleep, false, __ATOMIC_SEQ_CST))
        wake_up(loop);
}

int coil_loop_post(coil_loop *loop, coil_post *post)
{
    int rc = -ESHUTDOWN;
    __builtin_prefetch(post, 1); /* It comes from another core, as what begin_posting() writes. */
    begin_posting(loop);         /* Once `post` is in the list, the loop may run it, and end. */
    coil_post *newest = __atomic_load_n(&loop->posted, __ATOMIC_SEQ_CST);
    while (newest != &closed) {
        post->next = newest;
        if (!__atomic_compare_exchange_n(
                    &loop->posted, &newest, post, true, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
            continue;
        wake_up_if_asleep(loop);
        rc = 0;
        break;
    }
    end_posting(loop);
    return rc;
}

void coil_loop_stop(coil_loop *loop)
{
    begin_posting(loop); /* The loop may see it, and be destroyed, before it has been woken. */
    if (__atomic_load_n(&loop->posted, __ATOMIC_SEQ_CST) != &closed) {
        __atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
        wake_up(loop);
    }
    end_posting(loop);
}
