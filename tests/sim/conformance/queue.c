/* SPDX-License-Identifier: MIT */
/* The two queues, and the wait for them. */
#include "programs.h"

#include <errno.h>

#include <poll.h>

void play_nop_injected(struct stage *stage)
{
    static const struct {
        const char *name;
        int32_t result;
    } injections[] = {{"a count", 7}, {"none", 0}, {"EINTR", -EINTR}, {"ENOBUFS", -ENOBUFS},
            {"ERESTARTSYS", -512}, {"ECANCELED", -ECANCELED}};
    for (size_t i = 0; i < sizeof(injections) / sizeof(injections[0]); i++) {
        struct io_uring_sqe *sqe = stage_ask(stage, injections[i].name);
        io_uring_prep_nop(sqe);
        sqe->nop_flags = IORING_NOP_INJECT_RESULT;
        sqe->len = (unsigned)injections[i].result;
    }
    stage_expect(stage, sizeof(injections) / sizeof(injections[0]));
}

/* More completions than there is room for are kept, and delivered in order. */
void play_cq_overflow(struct stage *stage)
{
    enum { COUNT = 24 };
    stage_open(stage, 8, 8);
    struct io_uring *ring = stage_ring(stage);
    for (int i = 0; i < COUNT; i++) {
        struct io_uring_sqe *sqe = stage_ask(stage, "nop");
        io_uring_prep_nop(sqe);
        sqe->nop_flags = IORING_NOP_INJECT_RESULT;
        sqe->len = (unsigned)i;
        if (i % 8 == 7)
            stage_say_result(stage, "submitted", stage_submit(stage));
    }
    unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);
    stage_say(stage, "overflow flag: %s", flags & IORING_SQ_CQ_OVERFLOW ? "set" : "clear");
    stage_expect_in_order(stage, COUNT);
    flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);
    stage_say(stage, "overflow flag: %s", flags & IORING_SQ_CQ_OVERFLOW ? "set" : "clear");
}

void play_sq_full(struct stage *stage)
{
    stage_open(stage, 8, 16);
    stage_say(stage, "room: %u", stage_room(stage));
    for (int i = 0; i < 8; i++)
        io_uring_prep_nop(stage_ask(stage, "nop"));
    stage_say(stage, "room: %u", stage_room(stage));
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_say(stage, "room: %u", stage_room(stage));
    stage_expect(stage, 8);
}

/* Sizes are rounded up to powers of two. */
void play_queue_sizes(struct stage *stage)
{
    stage_open(stage, 5, 9);
    stage_say(stage, "entries: %u", stage_ring(stage)->sq.ring_entries);
    stage_say(stage, "completions: %u", stage_ring(stage)->cq.ring_entries);
}

/* An entry that is refused has a completion like any other, and those behind it are submitted. */
void play_refused_entry(struct stage *stage)
{
    io_uring_prep_nop(stage_ask(stage, "before"));
    struct io_uring_sqe *sqe = stage_ask(stage, "no such operation");
    io_uring_prep_nop(sqe);
    sqe->opcode = 250;
    io_uring_prep_read(stage_ask(stage, "no such file"), 4000, stage_memory(stage, 1), 1, 0);
    io_uring_prep_nop(stage_ask(stage, "behind"));
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_expect(stage, 4);
}

static int wait_with(struct stage *stage, unsigned min_complete, unsigned flags, coil_time time)
{
    struct io_uring_reg_wait *wait = stage_wait_region(stage);
    wait->ts.tv_sec = time / 1000000000;
    wait->ts.tv_nsec = time % 1000000000;
    wait->flags = IORING_REG_WAIT_TS;
    wait->min_wait_usec = 0;
    return coil_kernel_ring_enter(stage_ring(stage), 0, min_complete,
            flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG, NULL,
            sizeof(*wait));
}

static void say_wait(
        struct stage *stage, const char *what, int rc, coil_duration took, coil_duration least)
{
    stage_say_result(stage, what, rc);
    if (took < least)
        stage_say(stage, "which is too early");
}

/* The wait's deadline: relative, absolute, passed already, and with completions that are there. */
void play_wait_until(struct stage *stage)
{
    stage_open(stage, 8, 16);
    coil_time begin = coil_kernel_now();
    int rc = wait_with(stage, 1, 0, coil_ms(5));
    say_wait(stage, "relative", rc, coil_kernel_now() - begin, coil_ms(5));

    begin = coil_kernel_now();
    rc = wait_with(stage, 1, IORING_ENTER_ABS_TIMER, begin + coil_ms(5));
    say_wait(stage, "absolute", rc, coil_kernel_now() - begin, coil_ms(5));

    rc = wait_with(stage, 1, IORING_ENTER_ABS_TIMER, begin - coil_ms(5));
    stage_say_result(stage, "passed", rc);
    stage_say_result(stage, "of no duration", wait_with(stage, 1, 0, 0));
    stage_say_result(stage, "for nothing", wait_with(stage, 0, 0, coil_s(100)));

    io_uring_prep_nop(stage_ask(stage, "nop"));
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_say_result(stage, "with a completion", wait_with(stage, 1, 0, coil_s(100)));
    rc = wait_with(stage, 1, IORING_ENTER_ABS_TIMER, begin - coil_ms(5));
    stage_say_result(stage, "with a completion, passed", rc);
    stage_say_result(stage, "with one of two", wait_with(stage, 2, 0, coil_ms(5)));
    stage_expect(stage, 1);
}

/* The same without a registered region, as before Linux 6.13. */
void play_wait_with_argument(struct stage *stage)
{
    const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    struct __kernel_timespec limit = {.tv_nsec = coil_ms(5)};
    struct io_uring_getevents_arg argument = {.ts = (uint64_t)(uintptr_t)&limit};
    stage_open(stage, 8, 16);
    struct io_uring *ring = stage_ring(stage);

    coil_time begin = coil_kernel_now();
    int rc = coil_kernel_ring_enter(ring, 0, 1, flags, &argument, sizeof(argument));
    say_wait(stage, "relative", rc, coil_kernel_now() - begin, coil_ms(5));
    rc = coil_kernel_ring_enter(ring, 0, 1, flags, &argument, 3);
    stage_say_result(stage, "with an argument of 3 bytes", rc);
}

void play_wait_region_misused(struct stage *stage)
{
    const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG;
    stage_open(stage, 8, 16);
    struct io_uring *ring = stage_ring(stage);
    struct io_uring_reg_wait *wait = stage_wait_region(stage);
    wait->flags = 1U << 9;
    stage_say_result(
            stage, "unknown flag", coil_kernel_ring_enter(ring, 0, 1, flags, NULL, sizeof(*wait)));
    wait->flags = IORING_REG_WAIT_TS;
    stage_say_result(stage, "wrong size", coil_kernel_ring_enter(ring, 0, 1, flags, NULL, 8));
    stage_say_result(stage, "twice", stage_register(stage, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
}

/* min_complete counts what is there already. */
void play_wait_for_several(struct stage *stage)
{
    stage_open(stage, 8, 16);
    int fd = coil_kernel_eventfd();
    for (int i = 0; i < 3; i++)
        io_uring_prep_nop(stage_ask(stage, "nop"));
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_say_result(stage, "three", wait_with(stage, 3, 0, coil_s(100)));
    stage_say_result(stage, "four", wait_with(stage, 4, 0, coil_ms(5)));
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_say_result(stage, "four", wait_with(stage, 4, 0, coil_s(100)));
    stage_expect(stage, 4);
    stage_close(stage, fd);
}

/* A hope for several is given up after a while if there is one; if there is none, it goes on. */
void play_wait_hopefully(struct stage *stage)
{
    const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG;
    stage_open(stage, 8, 16);
    struct io_uring_reg_wait *wait = stage_wait_region(stage);
    wait->ts.tv_sec = 100;
    wait->flags = IORING_REG_WAIT_TS;
    wait->min_wait_usec = 2000;
    io_uring_prep_nop(stage_ask(stage, "nop"));
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_say_result(stage, "one of four",
            coil_kernel_ring_enter(stage_ring(stage), 0, 4, flags, NULL, sizeof(*wait)));
    stage_expect(stage, 1);
    wait->ts.tv_sec = 0;
    wait->ts.tv_nsec = coil_ms(10);
    wait->min_wait_usec = 2000;
    coil_time begin = coil_kernel_now();
    int rc = coil_kernel_ring_enter(stage_ring(stage), 0, 4, flags, NULL, sizeof(*wait));
    say_wait(stage, "none of four", rc, coil_kernel_now() - begin, coil_ms(10));
}

/* DEFER_TASKRUN: an event that has come is no completion before somebody enters for it. */
void play_completes_only_in_enter(struct stage *stage)
{
    stage_open(stage, 8, 16);
    struct io_uring *ring = stage_ring(stage);
    int fd = coil_kernel_eventfd();
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_say_result(stage, "submitted", stage_submit(stage));
    stage_say_result(stage, "add", coil_kernel_eventfd_add(fd, 1));
    stage_say(stage, "completions: %u",
            __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE) - *ring->cq.khead);
    unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);
    stage_say(stage, "taskrun flag: %s", flags & IORING_SQ_TASKRUN ? "set" : "clear");
    stage_expect(stage, 1);
    flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);
    stage_say(stage, "taskrun flag: %s", flags & IORING_SQ_TASKRUN ? "set" : "clear");
    stage_close(stage, fd);
}

typedef struct intruder {
    coil_kernel_thread thread;
    struct stage *stage;
    int rc;
} intruder;

static void intrude(coil_kernel_thread *thread)
{
    intruder *self = coil_container_of(thread, intruder, thread);
    self->rc = stage_register(self->stage, IORING_UNREGISTER_FILES, NULL, 0);
}

/* SINGLE_ISSUER: a ring is one thread's. Its registered number means nothing to another. */
void play_ring_of_another_thread(struct stage *stage)
{
    stage_open(stage, 8, 16);
    intruder other = {.thread = {.run = intrude}, .stage = stage};
    stage_say_result(stage, "start", coil_kernel_thread_start(&other.thread));
    coil_kernel_thread_join(&other.thread);
    stage_say_result(stage, "another thread", other.rc);
}

static int register_buffers(
        struct stage *stage, void *ring, unsigned count, unsigned group, unsigned flags)
{
    struct io_uring_buf_reg registration = {
            .ring_addr = (uint64_t)(uintptr_t)ring,
            .ring_entries = count,
            .bgid = (uint16_t)group,
            .flags = (uint16_t)flags,
    };
    return stage_register(stage, IORING_REGISTER_PBUF_RING, &registration, 1);
}

void play_register_buffers(struct stage *stage)
{
    stage_open(stage, 8, 16);
    void *ring = stage_memory(stage, 4096);
    struct io_uring_buf_reg group = {.bgid = 3};
    stage_say_result(stage, "3 of them", register_buffers(stage, ring, 3, 3, 0));
    stage_say_result(stage, "65536 of them", register_buffers(stage, ring, 65536, 3, 0));
    stage_say_result(stage, "unknown flag", register_buffers(stage, ring, 4, 3, 128));
    stage_say_result(stage, "not on a page", register_buffers(stage, (char *)ring + 8, 4, 3, 0));
    stage_say_result(stage, "4 of them", register_buffers(stage, ring, 4, 3, 0));
    stage_say_result(stage, "again", register_buffers(stage, ring, 4, 3, 0));
    stage_say_result(
            stage, "unregister", stage_register(stage, IORING_UNREGISTER_PBUF_RING, &group, 1));
    stage_say_result(stage, "again", stage_register(stage, IORING_UNREGISTER_PBUF_RING, &group, 1));
}
