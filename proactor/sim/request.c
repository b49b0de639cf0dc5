/* SPDX-License-Identifier: MIT */
/* A request from submission to its end, whatever its operation is; and cancelling it. */
#include "request.h"

#include "fault.h"
#include "fiber.h"
#include "lending.h"
#include "process.h"
#include "replay.h"
#include "ring.h"
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

sim_process *sim_request_process(const sim_request *request)
{
    return request->ring->process;
}

static sim_world *world_of(const sim_request *request)
{
    return request->ring->process->world;
}

/* ------------------------------------------------------------------------------- its states -- */

/* Its thread is to run the task work. */
static void make_work(sim_request *request)
{
    request->state = SIM_REQUEST_WORK;
    coil_list_append(&request->ring->work, &request->work_link);
    sim_ring_notify(request->ring);
}

static void become_work(sim_event *event)
{
    make_work(coil_container_of(event, sim_request, event));
}

static void queue(sim_request *request, coil_duration delay)
{
    request->state = SIM_REQUEST_QUEUED;
    sim_after(world_of(request), delay, &request->event);
}

static void stop_waiting(sim_request *request)
{
    sim_waiter_leave(&request->waiter);
    sim_withdraw(world_of(request), &request->event);
    coil_list_remove(&request->work_link);
}

/*
 * Is the change one for which it waits? Where it is announced, this is all that counts, except that
 * POLLPRI is in every announcement of bytes and therefore wakes nobody (IO_ASYNC_POLL_COMMON in
 * io_uring/poll.c; observed: poll_is_woken).
 */
static bool concerns(const sim_request *request)
{
    if (request->events == 0)
        return true;
    if (request->file->announced != 0)
        return (request->file->announced & request->events & ~POLLPRI) != 0;
    return (sim_file_poll(request->file) & request->events) != 0;
}

static void changed(sim_waiter *waiter)
{
    sim_request *request = coil_container_of(waiter, sim_request, waiter);

    if (!concerns(request))
        return;
    if (request->state != SIM_REQUEST_WAITING) {
        request->woken = 0; /* Woken twice: what was announced first is out of date. */
        return;
    }
    if (request->events != 0)
        request->woken = (short)(request->file->announced & request->events);
    if (!request->is_persistent && !request->stays)
        sim_waiter_leave(waiter);
    if (sim_fiber_current() != NULL && sim_fiber_current() == request->ring->owner) {
        make_work(request);
    } else {
        queue(request, sim_draw_latency(world_of(request), SIM_LATENCY_WAKE));
    }
}

void sim_request_wait(sim_request *request, sim_waiters *waiters)
{
    request->state = SIM_REQUEST_WAITING;
    request->events = 0;
    request->woken = 0;
    if (!coil_list_linked(&request->waiter.link))
        sim_waiters_add(waiters, &request->waiter);
}

int sim_request_wait_file(sim_request *request, short events)
{
    sim_request_wait(request, &request->file->waiters);
    request->events = (short)(events | POLLERR | POLLHUP);
    return SIM_AGAIN;
}

int sim_request_wait_until(sim_request *request, coil_time time)
{
    request->state = SIM_REQUEST_QUEUED;
    sim_at(world_of(request), time, &request->event);
    return SIM_AGAIN;
}

/* -------------------------------------------------------------------------------- its end -- */

static void free_request(sim_request *request)
{
    stop_waiting(request);
    coil_list_remove(&request->link);
    request->ring->request_count--;
    if (request->operation->release != NULL)
        request->operation->release(request);
    sim_delete(request->extra);
    lending_forget(request);
    sim_file_drop(request->file);
    sim_delete(request);
}

/* What depends on what comes next is as recorded. */
static uint32_t imposed_flags(const sim_request *request, uint32_t flags)
{
    const uint32_t dictated = IORING_CQE_F_SOCK_NONEMPTY;
    return (flags & ~dictated) | (request->imposed->flags & dictated);
}

bool sim_request_stops(const sim_request *request)
{
    if (request->imposed != NULL)
        return (request->imposed->flags & IORING_CQE_F_MORE) == 0;
    return sim_fault(world_of(request), SIM_FAULT_MULTISHOT_ENDS);
}

void sim_request_tell(sim_request *request, int result, uint32_t flags)
{
    if (request->imposed != NULL) {
        result = sim_replay_settle(request, result, true);
        flags = imposed_flags(request, flags);
    }
    sim_trace_request(request, SIM_COMPLETED_MORE, result, flags);
    request->shot_count++;
    world_of(request)->operation_count++;
    flags |= IORING_CQE_F_MORE;
    (void)sim_ring_post(request->ring, request->sqe.user_data, result, flags);
}

bool sim_request_post(sim_request *request, int result, uint32_t flags)
{
    const bool has_room = sim_ring_has_room(request->ring);
    if (has_room)
        sim_request_tell(request, result, flags);
    return has_room;
}

static void finish(sim_request *request, int result)
{
    const bool is_silent = (request->sqe.flags & IOSQE_CQE_SKIP_SUCCESS) != 0 && result >= 0;

    sim_trace_request(request, SIM_COMPLETED, result, request->flags);
    lending_end(request, result);
    if (!is_silent)
        (void)sim_ring_post(request->ring, request->sqe.user_data, result, request->flags);
    free_request(request);
}

static int cancelled_result(sim_request *request)
{
    if (request->operation->cancelled != NULL)
        return request->operation->cancelled(request);
    return request->done_bytes > 0 ? (int)request->done_bytes : -ECANCELED; /* Pitfall 7. */
}

/* Does it need any memory, or anything else that may fail? */
static bool may_fail(const sim_request *request)
{
    const uint8_t opcode = request->sqe.opcode;
    return opcode != IORING_OP_NOP && opcode != IORING_OP_CLOSE && opcode != IORING_OP_ASYNC_CANCEL;
}

/* It fails instead of being tried, so that no effect is lost with its result. 0: it does not. */
static int nth_error(const sim_request *request)
{
    const sim_file *file = request->file;
    if (!may_fail(request) || request->is_notice)
        return 0;
    const bool is_socket = file != NULL && (file->type->recv != NULL || file->type->accept != NULL);
    return sim_nth_error(
            sim_request_process(request), SIM_NTH_COMPLETION, is_socket ? -ECONNRESET : -EIO);
}

static void run(sim_request *request)
{
    int result;

    if (request->recorded != 0) {
        request->state = SIM_REQUEST_HELD;
        return;
    }
    lending_pause(request);
    if (request->is_cancelled) {
        request->flags = 0; /* Not those of an earlier shot. */
        result = cancelled_result(request);
    } else {
        const int error = nth_error(request);
        request->is_tried = true;
        if (error != 0)
            request->flags = 0;
        result = error != 0 ? error : request->operation->attempt(request);
    }
    if (result == SIM_AGAIN && request->is_doomed && request->state == SIM_REQUEST_WAITING) {
        request->flags = 0; /* It was too late for this attempt, and there is no other. */
        result = cancelled_result(request);
    }
    lending_go_on(request);
    if (result != SIM_AGAIN)
        finish(request, result);
}

/* What becomes due while it runs has its turn, too, as in the kernel. */
void sim_ring_run_work(sim_ring *ring)
{
    sim_world *world = ring->process->world;
    size_t count = 0;

    for (coil_list *link = ring->work.next; link != &ring->work; link = link->next)
        count++;
    while (count > 0) {
        coil_list *link = ring->work.next;
        if (count > 1) {
            for (uint64_t i = sim_random_below(world, count); i > 0; i--)
                link = link->next;
        }
        coil_list_remove(link);
        count--;
        run(coil_container_of(link, sim_request, work_link));
    }
    if (coil_list_empty(&ring->work))
        sim_ring_quiet(ring);
}

void sim_requests_drop(sim_ring *ring)
{
    while (!coil_list_empty(&ring->requests))
        free_request(coil_container_of(ring->requests.next, sim_request, link));
}

/* ------------------------------------------------------------------------------ submission -- */

static const sim_operation unknown_operation = {.name = "unknown"};

static sim_file *file_of(const sim_ring *ring, const struct io_uring_sqe *sqe)
{
    if ((sqe->flags & IOSQE_FIXED_FILE) != 0)
        return sim_direct_file(ring, (unsigned)sqe->fd);
    return sim_descriptor_file(ring->process, sqe->fd);
}

static sim_request *create(sim_ring *ring, const struct io_uring_sqe *sqe)
{
    sim_request *request = sim_new(sizeof(*request));
    const sim_operation *operation = sim_operation_of(sqe->opcode);

    request->operation = operation != NULL ? operation : &unknown_operation;
    request->sqe = *sqe;
    request->ring = ring;
    request->number = ++ring->request_number;
    request->event.run = become_work;
    request->waiter.changed = changed;
    coil_list_init(&request->waiter.link);
    coil_list_init(&request->work_link);
    coil_list_init(&request->lender_link);
    coil_list_append(&ring->requests, &request->link);
    ring->request_count++;
    return request;
}

/* 0, or the result that it has at once. */
static int prepare(sim_request *request)
{
    const sim_operation *operation = request->operation;

    if (operation == &unknown_operation)
        return -EINVAL;
    if (operation->needs_file) {
        sim_file *file = file_of(request->ring, &request->sqe);
        if (file == NULL)
            return -EBADF;
        request->file = sim_file_hold(file);
    }
    const int rc = operation->prepare == NULL ? 0 : operation->prepare(request);
    if (rc == 0)
        lending_begin(request);
    return rc;
}

static int tell_cancellation(sim_request *request)
{
    return request->result;
}

static const sim_operation cancellation = {.name = "cancellation", .attempt = tell_cancellation};

/* Done at once, and told at once or together with what it has cancelled, in any order. */
static void cancel_now(sim_ring *ring, const struct io_uring_sqe *sqe)
{
    sim_world *world = ring->process->world;
    const int result = sim_ring_cancel(ring, sqe);

    sim_trace(world, "cancel: %d", result);
    if (result >= 0 && (sqe->flags & IOSQE_CQE_SKIP_SUCCESS) != 0)
        return;
    if (sim_chance(world, SIM_ALWAYS / 2)) {
        (void)sim_ring_post(ring, sqe->user_data, result, 0);
        return;
    }
    sim_request *request = create(ring, sqe);
    request->operation = &cancellation;
    request->result = result;
    make_work(request);
}

static bool is_named(const sim_request *request, const struct io_uring_sqe *sqe)
{
    return (sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0 ||
           request->sqe.user_data == sqe->addr;
}

/*
 * What is in a recording ends when that says so; but it may not be said there any more. The outcome
 * of the cancellation is recorded, too.
 */
static void cancel_recorded(sim_ring *ring, const struct io_uring_sqe *sqe)
{
    for (coil_list *link = ring->requests.next; link != &ring->requests; link = link->next) {
        sim_request *request = coil_container_of(link, sim_request, link);
        if (request->recorded != 0 && is_named(request, sqe))
            request->is_asked = true;
    }
    sim_trace(ring->process->world, "cancel, as recorded");
    (void)sim_ring_cancel(ring, sqe);
}

/* False: it is left to the simulation all the same. */
static bool hold(sim_request *request, uint64_t recorded, int rc)
{
    request->recorded = recorded;
    if (!sim_replay_hold(request)) {
        request->recorded = 0;
        return false;
    }
    request->state = SIM_REQUEST_HELD;
    request->result = rc;
    return true;
}

void sim_ring_submit(sim_ring *ring, const struct io_uring_sqe *sqe)
{
    sim_world *world = ring->process->world;

    world->operation_count++;
    const uint64_t recorded = sim_replay_match(ring, sqe);
    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        if (recorded != 0) {
            cancel_recorded(ring, sqe);
        } else {
            cancel_now(ring, sqe);
        }
        return;
    }
    sim_request *request = create(ring, sqe);
    int rc = may_fail(request) ? sim_nth_error(ring->process, SIM_NTH_SUBMISSION, -ENOMEM) : 0;
    if (rc == 0)
        rc = prepare(request);
    sim_trace_request(request, SIM_SUBMITTED, 0, sqe->flags);
    if (recorded != 0 && hold(request, recorded, rc))
        return;
    if (rc != 0) {
        finish(request, rc);
        return;
    }
    if (request->operation->at_once) {
        run(request);
        return;
    }
    const sim_latency latency =
            request->operation->by_worker ? SIM_LATENCY_WORKER : SIM_LATENCY_ISSUE;
    queue(request, sim_draw_latency(world, latency));
}

/* ------------------------------------------------------------------------------ cancelling -- */

static bool matches(const sim_request *request, const struct io_uring_sqe *sqe)
{
    if (request->operation == &cancellation || request->is_notice)
        return false;
    if (request->is_cancelled && request->operation->found != 0)
        return false; /* The kernel has taken it out of its list (io_cancel_remove()). */
    return request->recorded == 0 && is_named(request, sqe);
}

/*
 * One that waits is taken out, one that is about to be tried again may be past that. Its completion
 * comes before or after that of the cancel (pitfall 4). As long as it has not come, it is found
 * once more (observed: cancel_twice).
 */
static int cancel(sim_request *request)
{
    sim_world *world = world_of(request);
    const bool may_be_late = request->state != SIM_REQUEST_WAITING;

    if (request->is_cancelled)
        return request->in_worker ? -EALREADY : request->operation->found;
    if (may_be_late && request->in_worker)
        return -EALREADY; /* Its thread is at it (pitfall 18). */
    if (may_be_late && request->operation->by_worker &&
            (request->is_tried || sim_chance(world, SIM_ALWAYS / 2)))
        return -EALREADY;
    if (may_be_late && sim_fault(world, SIM_FAULT_CANCEL_TOO_LATE)) {
        request->is_doomed = true;
        return -EALREADY;
    }
    stop_waiting(request);
    request->is_cancelled = true;
    if (sim_fault(world, SIM_FAULT_CANCEL_ENDS_LAST)) {
        queue(request, sim_draw_latency(world, SIM_LATENCY_ISSUE));
    } else {
        make_work(request);
    }
    /* Observed: cancel_splice, cancel_connect_unix (pitfall 18). */
    return request->in_worker ? -EALREADY : request->operation->found;
}

int sim_ring_cancel(sim_ring *ring, const struct io_uring_sqe *sqe)
{
    const unsigned known = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    const bool all = (sqe->cancel_flags & IORING_ASYNC_CANCEL_ALL) != 0;
    int count = 0;
    int wait_count = 0;
    coil_list *next;

    if ((sqe->cancel_flags & ~known) != 0)
        return -EINVAL; /* By descriptor and by opcode: not modelled, and slow (pitfall 5). */
    for (coil_list *link = ring->requests.next; link != &ring->requests; link = next) {
        sim_request *request = coil_container_of(link, sim_request, link);
        next = link->next;
        if (!matches(request, sqe))
            continue;
        const int rc = cancel(request);
        if (!all)
            return rc;
        wait_count += request->operation->found != 0;
        count++;
    }
    /* All waits for children are one (observed: child_waits_cancelled). */
    return all ? count - (wait_count > 1 ? wait_count - 1 : 0) : -ENOENT;
}

/* ----------------------------------------------------------------------------- recorded ones -- */

/* A multishot poll waits for the next change, whatever is so now; nor does time pass by trying. */
bool sim_request_may_try(const sim_request *request, bool is_tried)
{
    if (request->state == SIM_REQUEST_HELD)
        return true;
    return request->state == SIM_REQUEST_WAITING && !is_tried && !request->is_persistent;
}

int sim_request_try(sim_request *request)
{
    if (!request->is_persistent)
        stop_waiting(request);
    request->state = SIM_REQUEST_HELD;
    lending_pause(request);
    request->is_tried = true;
    const int result = request->operation->attempt(request);
    lending_go_on(request);
    return result;
}

void sim_request_finish(sim_request *request, int result)
{
    if (request->imposed != NULL)
        request->flags = imposed_flags(request, request->flags);
    finish(request, result);
}

void sim_request_let_go(sim_request *request)
{
    request->recorded = 0;
    if (request->result < 0) {
        finish(request, request->result);
    } else if (request->is_asked) {
        (void)cancel(request);
    } else if (request->state == SIM_REQUEST_HELD) {
        queue(request, sim_draw_latency(world_of(request), SIM_LATENCY_ISSUE));
    }
}
