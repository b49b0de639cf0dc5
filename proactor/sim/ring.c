/* SPDX-License-Identifier: MIT */
/* io_uring_setup(2) and io_uring_enter(2). */
#include "ring.h"

#include "fiber.h"
#include "process.h"
#include "replay.h"

#include <errno.h>

enum { ENTRIES_MAX = 32768, WORKERS_USUAL = 8, WORKERS_UNBOUNDED = 1024 };

#define KNOWN_FLAGS                                                                      \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | \
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |       \
            IORING_SETUP_R_DISABLED | IORING_SETUP_NO_SQARRAY)

/* The features of Linux 6.18, as io_uring_params.features had them there. */
#define FEATURES 0x3ffff

/* What the kernel shares with a program, apart from the entries. */
struct sim_ring_memory {
    unsigned sq_head, sq_tail, sq_mask, sq_entries, sq_flags, sq_dropped;
    unsigned cq_head, cq_tail, cq_mask, cq_entries, cq_flags, cq_overflow;
};

static sim_ring *ring_of(const struct io_uring *uring)
{
    return uring->sq.ring_ptr;
}

/* ---------------------------------------------------------------------------------- setup -- */

static unsigned power_of_two(unsigned count)
{
    unsigned power = 1;
    while (power < count)
        power *= 2;
    return power;
}

/* The checks of io_uring_setup(2), and the sizes that come of them. */
static int settle(unsigned entries, struct io_uring_params *parameters)
{
    const bool clamps = (parameters->flags & IORING_SETUP_CLAMP) != 0;

    if ((parameters->flags & ~KNOWN_FLAGS) != 0 || entries == 0)
        return -EINVAL;
    if ((parameters->flags & IORING_SETUP_DEFER_TASKRUN) != 0 &&
            (parameters->flags & IORING_SETUP_SINGLE_ISSUER) == 0)
        return -EINVAL;
    if (entries > ENTRIES_MAX && !clamps)
        return -EINVAL;
    parameters->sq_entries = power_of_two(entries > ENTRIES_MAX ? ENTRIES_MAX : entries);
    if ((parameters->flags & IORING_SETUP_CQSIZE) == 0) {
        parameters->cq_entries = 2 * parameters->sq_entries;
        return 0;
    }
    unsigned completions = parameters->cq_entries;
    if (completions == 0 || (completions > 2 * ENTRIES_MAX && !clamps))
        return -EINVAL;
    completions = power_of_two(completions > 2 * ENTRIES_MAX ? 2 * ENTRIES_MAX : completions);
    if (completions < parameters->sq_entries)
        return -EINVAL;
    parameters->cq_entries = completions;
    return 0;
}

static void map_submissions(sim_ring *ring, struct io_uring_sq *sq)
{
    struct sim_ring_memory *memory = ring->memory;

    memory->sq_entries = ring->parameters.sq_entries;
    memory->sq_mask = memory->sq_entries - 1;
    *sq = (struct io_uring_sq){.khead = &memory->sq_head,
            .ktail = &memory->sq_tail,
            .kring_mask = &memory->sq_mask,
            .kring_entries = &memory->sq_entries,
            .kflags = &memory->sq_flags,
            .kdropped = &memory->sq_dropped,
            .sqes = sim_new(memory->sq_entries * sizeof(struct io_uring_sqe)),
            .ring_ptr = ring,
            .ring_mask = memory->sq_mask,
            .ring_entries = memory->sq_entries};
    if ((ring->parameters.flags & IORING_SETUP_NO_SQARRAY) != 0)
        return;
    sq->array = sim_new(memory->sq_entries * sizeof(unsigned));
    for (unsigned i = 0; i < memory->sq_entries; i++)
        sq->array[i] = i; /* As liburing does. */
}

static void map_completions(sim_ring *ring, struct io_uring_cq *cq)
{
    struct sim_ring_memory *memory = ring->memory;

    memory->cq_entries = ring->parameters.cq_entries;
    memory->cq_mask = memory->cq_entries - 1;
    *cq = (struct io_uring_cq){.khead = &memory->cq_head,
            .ktail = &memory->cq_tail,
            .kring_mask = &memory->cq_mask,
            .kring_entries = &memory->cq_entries,
            .kflags = &memory->cq_flags,
            .koverflow = &memory->cq_overflow,
            .cqes = sim_new(memory->cq_entries * sizeof(struct io_uring_cqe)),
            .ring_mask = memory->cq_mask,
            .ring_entries = memory->cq_entries};
}

int coil_kernel_ring_setup(
        struct io_uring *uring, unsigned entries, struct io_uring_params *parameters)
{
    sim_process *process = sim_process_current();

    sim_fiber_pass();
    int rc = settle(entries, parameters);
    if (rc < 0)
        return rc;
    rc = sim_descriptor_reserve(process, 0); /* It has one until it is registered. */
    if (rc < 0)
        return rc;
    if (sim_fault(process->world, SIM_FAULT_RING_SETUP))
        return -ENOMEM; /* Pitfall 1: the memory of rings is limited by user. */
    parameters->features = FEATURES;
    sim_ring *ring = sim_new(sizeof(*ring));
    ring->process = process;
    ring->uring = uring;
    ring->parameters = *parameters;
    ring->is_disabled = (parameters->flags & IORING_SETUP_R_DISABLED) != 0;
    ring->owner = ring->is_disabled ? NULL : sim_fiber_current();
    ring->worker_limits[0] = WORKERS_USUAL;
    ring->worker_limits[1] = WORKERS_UNBOUNDED;
    ring->memory = sim_new(sizeof(*ring->memory));
    coil_list_init(&ring->requests);
    coil_list_init(&ring->lenders);
    coil_list_init(&ring->work);
    coil_list_init(&ring->overflow);
    coil_list_init(&ring->buffers);
    sim_waiters_init(&ring->changed);
    coil_list_append(&process->rings, &ring->link);
    *uring = (struct io_uring){
            .flags = parameters->flags, .ring_fd = -1, .features = FEATURES, .enter_ring_fd = 0};
    map_submissions(ring, &uring->sq);
    map_completions(ring, &uring->cq);
    ring->sqes = uring->sq.sqes;
    ring->array = uring->sq.array;
    ring->cqes = uring->cq.cqes;
    ring->replay = sim_replay_create(ring);
    sim_trace(process->world, "ring of %u and %u", parameters->sq_entries, parameters->cq_entries);
    return 0;
}

/* ---------------------------------------------------------------------------- completions -- */

/* One that had no room. */
typedef struct late_completion {
    coil_list link;
    struct io_uring_cqe cqe;
} late_completion;

static unsigned ready_count(const sim_ring *ring)
{
    const struct sim_ring_memory *memory = ring->memory;
    return memory->cq_tail - __atomic_load_n(&memory->cq_head, __ATOMIC_ACQUIRE);
}

bool sim_ring_has_room(const sim_ring *ring)
{
    return ring->overflow_count == 0 && ready_count(ring) < ring->memory->cq_entries;
}

static void append(sim_ring *ring, const struct io_uring_cqe *cqe)
{
    struct sim_ring_memory *memory = ring->memory;
    struct io_uring_cqe *place = &ring->cqes[memory->cq_tail & memory->cq_mask];

    place->user_data = cqe->user_data;
    place->res = cqe->res;
    place->flags = cqe->flags;
    __atomic_store_n(&memory->cq_tail, memory->cq_tail + 1, __ATOMIC_RELEASE);
}

bool sim_ring_post(sim_ring *ring, uint64_t user_data, int32_t result, uint32_t flags)
{
    const struct io_uring_cqe cqe = {.user_data = user_data, .res = result, .flags = flags};

    if (sim_ring_has_room(ring)) {
        append(ring, &cqe);
        return true;
    }
    late_completion *late = sim_new(sizeof(*late));
    late->cqe.user_data = user_data;
    late->cqe.res = result;
    late->cqe.flags = flags;
    coil_list_append(&ring->overflow, &late->link);
    ring->overflow_count++;
    ring->memory->sq_flags |= IORING_SQ_CQ_OVERFLOW;
    sim_trace(ring->process->world, "completions overflow");
    return false;
}

/* In the order in which they were posted (pitfall 9). */
static void flush_overflow(sim_ring *ring)
{
    while (ring->overflow_count > 0 && ready_count(ring) < ring->memory->cq_entries) {
        coil_list *link = ring->overflow.next;
        late_completion *late = coil_container_of(link, late_completion, link);
        coil_list_remove(link);
        append(ring, &late->cqe);
        sim_delete(late);
        ring->overflow_count--;
    }
    if (ring->overflow_count == 0)
        ring->memory->sq_flags &= ~IORING_SQ_CQ_OVERFLOW;
}

void sim_ring_notify(sim_ring *ring)
{
    if ((ring->parameters.flags & IORING_SETUP_TASKRUN_FLAG) != 0)
        ring->memory->sq_flags |= IORING_SQ_TASKRUN;
    sim_waiters_notify(&ring->changed);
}

void sim_ring_quiet(sim_ring *ring)
{
    ring->memory->sq_flags &= ~IORING_SQ_TASKRUN;
}

/* ---------------------------------------------------------------------------------- enter -- */

/* How long to wait. */
typedef struct wait_plan {
    coil_time deadline;
    coil_time least_until; /* From then on one is enough, whatever `wanted` is. */
    unsigned wanted;
} wait_plan;

static coil_time time_of(const struct __kernel_timespec *time)
{
    return coil_time_after(coil_s(time->tv_sec), time->tv_nsec);
}

static void plan_time(wait_plan *plan, const struct __kernel_timespec *time, unsigned flags)
{
    const coil_time now = sim_now(sim_here());
    plan->deadline = (flags & IORING_ENTER_ABS_TIMER) != 0 ? time_of(time)
                                                           : coil_time_after(now, time_of(time));
}

/* The registered argument; `argument` is an offset in it (IORING_ENTER_EXT_ARG_REG). */
static int plan_registered(const sim_ring *ring, const void *argument, size_t argument_bytes,
        unsigned flags, wait_plan *plan)
{
    const size_t offset = (size_t)(uintptr_t)argument;
    struct io_uring_reg_wait wait;

    if (argument_bytes != sizeof(wait))
        return -EINVAL;
    if (ring->wait_region == NULL)
        return -EFAULT;
    if (offset % sizeof(long) != 0 || offset > ring->wait_region_bytes - sizeof(wait))
        return -EFAULT;
    __builtin_memcpy(&wait, ring->wait_region + offset, sizeof(wait));
    if ((wait.flags & ~(unsigned)IORING_REG_WAIT_TS) != 0)
        return -EINVAL;
    if ((wait.flags & IORING_REG_WAIT_TS) != 0)
        plan_time(plan, &wait.ts, flags);
    if (wait.min_wait_usec > 0)
        plan->least_until = coil_time_after(sim_now(sim_here()), coil_us(wait.min_wait_usec));
    return 0;
}

static int make_plan(const sim_ring *ring, unsigned flags, const void *argument,
        size_t argument_bytes, wait_plan *plan)
{
    const struct io_uring_getevents_arg *given = argument;

    if ((flags & IORING_ENTER_EXT_ARG_REG) != 0)
        return plan_registered(ring, argument, argument_bytes, flags, plan);
    if ((flags & IORING_ENTER_EXT_ARG) == 0)
        return 0;
    if (argument_bytes != sizeof(*given))
        return -EINVAL;
    const struct __kernel_timespec *time = sim_memory_at(given->ts);
    if (time != NULL)
        plan_time(plan, time, flags);
    if (given->min_wait_usec > 0)
        plan->least_until = coil_time_after(sim_now(sim_here()), coil_us(given->min_wait_usec));
    return 0;
}

/* The number of entries taken. */
static unsigned submit(sim_ring *ring, unsigned count)
{
    struct sim_ring_memory *memory = ring->memory;
    const unsigned tail = __atomic_load_n(&memory->sq_tail, __ATOMIC_ACQUIRE);
    const unsigned there = tail - memory->sq_head;
    sim_world *world = ring->process->world;

    SIM_CHECK(world, there <= memory->sq_entries, "%u entries in a queue of %u", there,
            memory->sq_entries);
    if (count > there)
        count = there;
    if (count > 1 && sim_fault(world, SIM_FAULT_PARTIAL_SUBMIT))
        count = 1 + (unsigned)sim_random_below(world, count - 1);
    for (unsigned i = 0; i < count; i++) {
        unsigned place = memory->sq_head & memory->sq_mask;
        if (ring->array != NULL)
            place = ring->array[place] & memory->sq_mask;
        const struct io_uring_sqe sqe = ring->sqes[place];
        __atomic_store_n(&memory->sq_head, memory->sq_head + 1, __ATOMIC_RELEASE);
        sim_ring_submit(ring, &sqe);
    }
    return count;
}

/* Enough completions are there, or nobody waits for more. */
static bool is_satisfied(const sim_ring *ring, const wait_plan *plan)
{
    const unsigned wanted = plan->wanted > 1 && plan->least_until <= sim_now(ring->process->world)
                                    ? 1
                                    : plan->wanted;
    return ready_count(ring) >= wanted;
}

static int await_completions(sim_ring *ring, const wait_plan *plan)
{
    sim_world *world = ring->process->world;

    for (;;) {
        sim_ring_run_work(ring);
        sim_replay_deliver(ring);
        flush_overflow(ring);
        if (sim_replay_goes_on(ring) && coil_list_empty(&ring->work)) {
            (void)sim_fiber_wait(&ring->changed, COIL_NEVER, "io_uring_enter, as recorded");
            continue;
        }
        if (is_satisfied(ring, plan))
            return 0;
        if (!coil_list_empty(&ring->work))
            continue; /* It has made more, for which nobody will wake us. */
        if (plan->deadline <= sim_now(world))
            return ready_count(ring) > 0 ? 0 : -ETIME;
        if (sim_fault(world, SIM_FAULT_ENTER_EINTR))
            return -EINTR;
        if (sim_fault(world, SIM_FAULT_EARLY_WAKE))
            return 0;
        coil_time until = plan->deadline;
        if (until != COIL_NEVER) /* Timers are late (pitfall 22). */
            until = coil_time_after(until, sim_draw_latency(world, SIM_LATENCY_CALL));
        if (plan->wanted > 1 && ready_count(ring) > 0 && plan->least_until < until)
            until = plan->least_until;
        (void)sim_fiber_wait(&ring->changed, until, "io_uring_enter");
        if (sim_fiber_was_interrupted())
            return -EINTR; /* Never restarted, whatever SA_RESTART says; nor after SIGCONT. */
    }
}

static int submit_and_wait(
        sim_ring *ring, unsigned to_submit, const wait_plan *plan, unsigned flags)
{
    sim_world *world = ring->process->world;
    unsigned submitted = 0;

    sim_replay_enter(ring, to_submit);
    if (to_submit > 0) {
        if (ring->overflow_count > 0 && sim_fault(world, SIM_FAULT_ENTER_EBUSY))
            return -EBUSY;
        if (sim_fault(world, SIM_FAULT_ENTER_EAGAIN))
            return -EAGAIN;
        submitted = submit(ring, to_submit);
        if (submitted < to_submit)
            return (int)submitted; /* It does not wait then. */
    }
    if ((flags & IORING_ENTER_GETEVENTS) == 0)
        return (int)submitted;
    const int rc = await_completions(ring, plan);
    return submitted > 0 ? (int)submitted : rc; /* What was submitted hides the error. */
}

int coil_kernel_ring_enter(struct io_uring *uring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    sim_ring *ring = ring_of(uring);
    wait_plan plan = {.deadline = COIL_NEVER, .least_until = COIL_NEVER, .wanted = min_complete};

    sim_fiber_pass();
    if (ring->is_disabled)
        return -EBADFD;
    if (ring->owner != sim_fiber_current())
        return -EINVAL; /* To another thread, its registered number is none (observed). */
    if (plan.wanted > ring->memory->cq_entries)
        plan.wanted = ring->memory->cq_entries;
    int rc = make_plan(ring, flags, argument, argument_bytes, &plan);
    if (rc == 0)
        rc = submit_and_wait(ring, to_submit, &plan, flags);
    return rc;
}

/* ------------------------------------------------------------------------------------ end -- */

static void free_queues(sim_ring *ring)
{
    sim_delete(ring->sqes);
    sim_delete(ring->array);
    sim_delete(ring->cqes);
    sim_delete(ring->memory);
}

void sim_ring_drop(sim_ring *ring)
{
    coil_list *link;

    sim_requests_drop(ring);
    sim_replay_drop(ring);
    while ((link = coil_list_take_first(&ring->overflow)) != NULL)
        sim_delete(coil_container_of(link, late_completion, link));
    while ((link = coil_list_take_first(&ring->buffers)) != NULL)
        sim_delete(coil_container_of(link, sim_buffers, link));
    for (unsigned i = 0; i < ring->direct_count; i++)
        sim_file_drop(ring->direct[i]);
    sim_delete(ring->direct);
    free_queues(ring);
    coil_list_remove(&ring->link);
    sim_delete(ring);
}

int coil_kernel_ring_tell(int fd, uint64_t user_data)
{
    (void)fd, (void)user_data;
    return -EINVAL; /* As before Linux 6.13. */
}

void coil_kernel_ring_close(struct io_uring *uring)
{
    sim_ring *ring = ring_of(uring);

    sim_fiber_pass();
    sim_replay_close(ring);
    SIM_CHECK(ring->process->world, coil_list_empty(&ring->requests),
            "a ring is closed, and %zu requests are in flight", ring->request_count);
    SIM_CHECK(ring->process->world, ring->overflow_count == 0,
            "a ring is closed, and %zu completions have not been seen", ring->overflow_count);
    sim_ring_drop(ring);
}
