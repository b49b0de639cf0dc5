/* SPDX-License-Identifier: MIT */
#include "recorder_private.h"

#include "environment.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CARRIED_LEAST = 64, KEY_SHIFT = OP_TAG_BITS };

/* ------------------------------------------------------------------------------- carried -- */

static size_t home_of(const coil_recorder *recorder, uint32_t number)
{
    return (size_t)(number * 0x9e3779b1U) & recorder->carried_mask;
}

static void put_carried(coil_recorder *recorder, const recorder_carried *carried)
{
    size_t at = home_of(recorder, carried->number);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever puts has made room. */
    while (recorder->carried[at].number != 0)
        at = (at + 1) & recorder->carried_mask;
    recorder->carried[at] = *carried;
    recorder->carried_count++;
}

/* Twice the room, or the first. Without memory what would have been carried is not known later. */
static bool make_room(coil_recorder *recorder)
{
    recorder_carried *before = recorder->carried;
    const size_t room = before == NULL ? 0 : recorder->carried_mask + 1;
    const size_t wanted = room == 0 ? CARRIED_LEAST : 2 * room;
    recorder_carried *made = calloc(wanted, sizeof(*made));
    if (made == NULL)
        return false;

    recorder->carried = made;
    recorder->carried_mask = wanted - 1;
    recorder->carried_count = 0;
    for (size_t i = 0; i < room; i++) {
        if (before[i].number != 0)
            put_carried(recorder, &before[i]);
    }
    free(before);
    return true;
}

static COIL_NOINLINE void carry(
        coil_recorder *recorder, const recorder_entry *entry, uint32_t number)
{
    const size_t room = recorder->carried == NULL ? 0 : recorder->carried_mask + 1;
    if (4 * (recorder->carried_count + 1) > 3 * room && !make_room(recorder))
        return;
    const recorder_carried made = {number, entry->key, entry->fd, entry->opcode, entry->marks};
    put_carried(recorder, &made);
}

static recorder_carried *find_carried(coil_recorder *recorder, uint32_t number, uint32_t key)
{
    if (recorder->carried_count == 0)
        return NULL;
    size_t at = home_of(recorder, number);
    while (recorder->carried[at].number != 0) {
        if (recorder->carried[at].number == number)
            return recorder->carried[at].key == key ? &recorder->carried[at] : NULL;
        at = (at + 1) & recorder->carried_mask;
    }
    return NULL;
}

/* Those behind it move up, unless they are nearer to their home than they would be then. */
static void drop_carried(coil_recorder *recorder, recorder_carried *carried)
{
    const size_t mask = recorder->carried_mask;
    size_t gap = (size_t)(carried - recorder->carried);
    for (size_t at = (gap + 1) & mask; recorder->carried[at].number != 0; at = (at + 1) & mask) {
        const size_t home = home_of(recorder, recorder->carried[at].number);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        recorder->carried[gap] = recorder->carried[at];
        gap = at;
    }
    recorder->carried[gap].number = 0;
    recorder->carried_count--;
}

/* -------------------------------------------------------------------------------- recording -- */

static uint32_t key_of(uint64_t user_data)
{
    return (uint32_t)(user_data >> KEY_SHIFT);
}

/* Append; what lay there is gone, but what is still in flight. */
static inline uint64_t append(coil_recorder *recorder, const recorder_entry *made)
{
    const uint64_t number = ++recorder->count;
    recorder_entry *entry = recorder_entry_at(recorder, number);
    if (number > recorder->mask + 1 && (entry->marks & RECORD_COMPLETION) == 0) {
        recorder->lost_count++;
        if ((entry->marks & RECORD_OVER) == 0)
            carry(recorder, entry, (uint32_t)(number - recorder->mask - 1));
    }
    *entry = *made;
    return number;
}

/* The entry that has submitted an op; NULL: it is overwritten, or was never there. */
static recorder_entry *submission_of(coil_recorder *recorder, uint32_t number, uint32_t key)
{
    if (number == 0 || (uint32_t)recorder->count - number > recorder->mask)
        return NULL;
    recorder_entry *entry = recorder_entry_at(recorder, number);
    return (entry->marks & RECORD_COMPLETION) == 0 && entry->key == key ? entry : NULL;
}

/* The number of what a cancellation names. Such an op is in flight, or about to be. */
static uint64_t target_of(coil_recorder *recorder, const struct io_uring_sqe *sqe)
{
    if ((sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0)
        return 0;
    const uint32_t number = (uint32_t)op_named(sqe->addr)->result;
    const uint32_t key = key_of(sqe->addr);
    if (submission_of(recorder, number, key) != NULL || find_carried(recorder, number, key) != NULL)
        return number;
    return UINT64_MAX;
}

static void note_submission(
        coil_recorder *recorder, const struct io_uring_sqe *sqe, coil_duration time, uint32_t turn)
{
    recorder_entry made = {.time_ns = (uint64_t)time & (UINT64_MAX >> 8),
            .opcode = sqe->opcode,
            .turn = turn & 0xffffff,
            .marks = (sqe->flags & IOSQE_FIXED_FILE) != 0 ? RECORD_DIRECT : 0,
            .key = key_of(sqe->user_data),
            .fd = sqe->fd,
            .size = sqe->len};
    const bool is_op = (sqe->user_data & OP_TAG_MASK) == OP_TAG_OP;

    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        made.detail = target_of(recorder, sqe);
    } else {
        made.detail = recorder_has_offset(sqe->opcode)
                              ? sqe->off
                              : (uint64_t)sqe->ioprio << 32 | sqe->rw_flags;
    }
    if (!is_op)
        made.marks |= RECORD_OVER;
    const uint64_t number = append(recorder, &made);
    recorder->submission_count++;
    if (is_op)
        op_named(sqe->user_data)->result = (int32_t)number;
}

/* What completes; and it is over with its last completion. */
static void identify(coil_recorder *recorder, const struct io_uring_cqe *cqe, recorder_entry *made)
{
    const bool is_last = (cqe->flags & IORING_CQE_F_MORE) == 0;
    const uint32_t number = (uint32_t)op_named(cqe->user_data)->result;
    const uint32_t key = key_of(cqe->user_data);
    recorder_entry *entry = submission_of(recorder, number, key);

    made->key = number;
    if (entry != NULL) {
        made->opcode = entry->opcode;
        made->fd = entry->fd;
        made->marks |= entry->marks & RECORD_DIRECT;
        if (is_last)
            entry->marks |= RECORD_OVER;
        return;
    }
    recorder_carried *carried = find_carried(recorder, number, key);
    if (carried == NULL) {
        made->marks |= RECORD_UNKNOWN;
        return;
    }
    made->opcode = carried->opcode;
    made->fd = carried->fd;
    made->marks |= carried->marks & RECORD_DIRECT;
    if (is_last)
        drop_carried(recorder, carried);
}

static void note_completion(
        coil_recorder *recorder, const struct io_uring_cqe *cqe, coil_duration time, uint32_t turn)
{
    if ((cqe->user_data & OP_TAG_MASK) == OP_TAG_WAKE_UP)
        return; /* From before there was a recorder. */
    recorder_entry made = {.time_ns = (uint64_t)time & (UINT64_MAX >> 8),
            .turn = turn & 0xffffff,
            .marks = RECORD_COMPLETION,
            .fd = -1,
            .result = cqe->res,
            .flags = cqe->flags};
    if ((cqe->user_data & OP_TAG_MASK) == OP_TAG_OP) {
        identify(recorder, cqe, &made);
    } else {
        made.opcode = IORING_OP_ASYNC_CANCEL;
        made.marks |= RECORD_UNKNOWN;
    }
    (void)append(recorder, &made);
}

/* What has been filled in since the last time, whether the kernel takes it now or later. */
static void note_submissions(coil_recorder *recorder, const coil_ring *ring)
{
    const struct io_uring_sq *sq = &ring->uring.sq;
    if (recorder->seen_submissions == sq->sqe_tail)
        return;
    const coil_duration time = coil_kernel_now() - recorder->start;
    const uint32_t turn = (uint32_t)ring->enter_count + 1;
    for (unsigned at = recorder->seen_submissions; at != sq->sqe_tail; at++)
        note_submission(recorder, &sq->sqes[at & sq->ring_mask], time, turn);
    recorder->seen_submissions = sq->sqe_tail;
}

static void note_completions(coil_recorder *recorder, const coil_ring *ring)
{
    const struct io_uring_cq *cq = &ring->uring.cq;
    const unsigned tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);
    if (recorder->seen_completions == tail)
        return;
    const coil_duration time = coil_kernel_now() - recorder->start;
    const uint32_t turn = (uint32_t)ring->enter_count + 1;
    for (unsigned at = recorder->seen_completions; at != tail; at++)
        note_completion(recorder, &cq->cqes[at & cq->ring_mask], time, turn);
    recorder->seen_completions = tail;
}

/*
 * An op that is named in the submission queue is alive until completions are looked at, which
 * happens after this. So all that is new is noted before the kernel is entered, although it may
 * leave a part of it for the next time.
 */
static int enter_recorded(struct io_uring *uring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    const coil_ring *ring = coil_container_of(uring, coil_ring, uring);
    note_submissions(ring->recorder, ring);
    const int rc =
            coil_kernel_ring_enter(uring, to_submit, min_complete, flags, argument, argument_bytes);
    note_completions(ring->recorder, ring);
    return rc;
}

/* -------------------------------------------------------------------------------- lifecycle -- */

static size_t power_of_two(size_t count)
{
    size_t power = 16;
    while (power < count)
        power *= 2;
    return power;
}

int coil_recorder_start(coil_loop *loop, size_t entries)
{
    coil_ring *ring = &loop->ring;
    if (ring->recorder != NULL)
        return -EALREADY;
    if (entries > COIL_RECORDER_ENTRIES_MAX)
        return -EINVAL;
    const size_t room = power_of_two(entries == 0 ? COIL_RECORDER_ENTRIES : entries);
    coil_recorder *recorder = calloc(1, sizeof(*recorder) + room * sizeof(recorder_entry));
    if (recorder == NULL)
        return -ENOMEM;

    recorder->loop = loop;
    recorder->start = coil_kernel_now();
    recorder->mask = room - 1;
    recorder->seen_submissions = recorder->submissions_before = ring->submitted;
    recorder->seen_completions = recorder->completions_before = *ring->uring.cq.ktail;
    ring->recorder = recorder;
    ring->enter = enter_recorded;
    loop_wake_by_eventfd(loop); /* A replay has that. */
    recorder_enlist(recorder);
    return 0;
}

void coil_recorder_stop(coil_loop *loop)
{
    coil_recorder *recorder = loop->ring.recorder;
    if (recorder == NULL)
        return;
    recorder_delist(recorder);
    loop->ring.enter = coil_kernel_ring_enter;
    loop->ring.recorder = NULL;
    loop_wake_by_ring(loop);
    free(recorder->carried);
    free(recorder);
}

int recorder_from_environment(coil_loop *loop)
{
    const char *text = environment_text("COIL_RECORDER");
    if (text == NULL || strcmp(text, "0") == 0)
        return 0;
    char *end;
    errno = 0;
    const unsigned long entries = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text == '-' || entries > COIL_RECORDER_ENTRIES_MAX) {
        fprintf(stderr, "coil: COIL_RECORDER is a number of entries, not \"%s\"\n", text);
        return 0;
    }
    (void)coil_recorder_on_crash(environment_text("COIL_RECORDER_FILE"));
    return coil_recorder_start(loop, entries == 1 ? 0 : entries);
}
