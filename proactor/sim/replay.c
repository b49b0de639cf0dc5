/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include "fiber.h"
#include "pairing.h"
#include "process.h"
#include "recorder_private.h"
#include "ring.h"
#include "trace.h"

#include <coil/sim.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { TURN_MASK = 0xffffff, TURN_HALF = 0x800000 };

/* What has become of a recorded submission. */
typedef struct place {
    bool is_taken;
    bool is_free;         /* Its completions are left to the simulation. */
    sim_request *request; /* NULL: not submitted yet, over, or free. */
} place;

struct sim_replay {
    sim_ring *ring;
    sim_world *world;
    sim_recording recording;
    place *places;    /* Of each entry. */
    size_t at;        /* Everything before this entry has happened. */
    bool is_tried;    /* What is next has been tried, and has not been possible yet. */
    bool is_over;     /* There is no entry left. */
    bool has_begun;   /* The first entry is the next submission, or has been. */
    uint64_t before;  /* Submissions until it has. */
    coil_time start;  /* What is 0 in the recording. */
    uint32_t turn;    /* How often the ring was entered. */
    uint32_t shift;   /* By how much that is ahead of the recording. */
    uint32_t told;    /* In which turn something was told last, ... */
    uint32_t told_as; /* ... and in which it was in the recording. */
    uint64_t cancel_name;
    sim_event due;       /* The time of what is next. */
    sim_pairing pairing; /* Of descriptors. */
};

/* ------------------------------------------------------------------------------- lifecycle -- */

static void come_due(sim_event *event)
{
    sim_ring_notify(coil_container_of(event, sim_replay, due)->ring);
}

sim_replay *sim_replay_create(sim_ring *ring)
{
    sim_process *process = ring->process;
    sim_recording recording;
    unsigned line;

    if (process->recording == NULL ||
            sim_recording_parse(process->recording, ++process->ring_count, &recording, &line) < 0)
        return NULL;
    sim_replay *replay = sim_new(sizeof(*replay));
    replay->ring = ring;
    replay->world = process->world;
    replay->recording = recording;
    replay->places = sim_new((recording.count + 1) * sizeof(place));
    replay->before = recording.submissions_before;
    replay->has_begun = replay->before == 0;
    replay->is_over = recording.count == 0;
    replay->start = sim_now(replay->world);
    replay->due.run = come_due;
    return replay;
}

void sim_replay_drop(sim_ring *ring)
{
    sim_replay *replay = ring->replay;
    if (replay == NULL)
        return;
    sim_withdraw(replay->world, &replay->due);
    sim_recording_free(&replay->recording);
    sim_delete(replay->places);
    sim_pairing_free(&replay->pairing);
    sim_delete(replay);
    ring->replay = NULL;
}

int coil_sim_replay(coil_sim *sim, pid_t pid, const char *recording)
{
    sim_process *process = sim_process_with(sim, pid);
    sim_recording parsed;
    unsigned line = 0;

    if (process == NULL)
        return -ESRCH;
    const int rc = sim_recording_parse(recording, 1, &parsed, &line);
    if (rc < 0)
        return rc;
    process->is_spared = parsed.submissions_before == 0; /* What goes wrong is recorded. */
    sim_recording_free(&parsed);
    sim_delete(process->recording);
    process->recording = sim_copy_text(recording);
    return 0;
}

/* ------------------------------------------------------------------------------- divergence -- */

static const sim_recorded *entry_at(const sim_replay *replay, size_t at)
{
    return &replay->recording.entries[at];
}

/* What was recorded, and what is so instead. */
_Noreturn static void diverge(
        const sim_replay *replay, const sim_recorded *entry, const char *instead)
{
    char text[SIM_RECORDED_BYTES];
    sim_fail(replay->world,
            "the replay diverges at entry %" PRIu64 " (turn %u, %" PRId64 " ns): recorded is: %s; "
            "instead: %s",
            entry->number, entry->turn, entry->time, sim_recorded_text(entry, text), instead);
}

static void check_end(const sim_replay *replay, const char *instead)
{
    if (replay != NULL && !replay->is_over)
        diverge(replay, entry_at(replay, replay->at), instead);
}

void sim_replay_close(sim_ring *ring)
{
    check_end(ring->replay, "the program closes the ring");
}

void sim_replays_check(sim_world *world)
{
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next) {
        const sim_process *process = coil_container_of(at, sim_process, link);
        for (coil_list *link = process->rings.next; link != &process->rings; link = link->next) {
            check_end(coil_container_of(link, sim_ring, link)->replay,
                    "the simulation has come to its end without it");
        }
    }
}

/* ------------------------------------------------------------------------------ descriptors -- */

/* Closed past the ring: its number may stand for another one now. */
static bool is_stale(const sim_replay *replay, const sim_pair *pair)
{
    return !pair->own.is_direct && sim_descriptor_file(replay->ring->process, pair->own.fd) == NULL;
}

/* Can `recorded` be what is `own` here? Descriptors are the same in order of appearance. */
static bool corresponds(const sim_replay *replay, sim_recorded_fd recorded, sim_recorded_fd own)
{
    const sim_pair *pair = sim_pairing_own(&replay->pairing, own);
    if (pair != NULL)
        return sim_recorded_fd_is(pair->recorded, recorded);
    if (own.fd < 0 || recorded.fd < 0 || own.is_direct != recorded.is_direct)
        return sim_recorded_fd_is(own, recorded); /* AT_FDCWD, or none. */
    pair = sim_pairing_recorded(&replay->pairing, recorded);
    return pair == NULL || is_stale(replay, pair);
}

/* ------------------------------------------------------------------------------- submissions -- */

static sim_request *request_named(const sim_ring *ring, uint64_t user_data)
{
    for (coil_list *link = ring->requests.next; link != &ring->requests; link = link->next) {
        sim_request *request = coil_container_of(link, sim_request, link);
        if (request->sqe.user_data == user_data)
            return request;
    }
    return NULL;
}

/* What the program submits, in the words of a recording. */
static sim_recorded in_words(const sim_ring *ring, const struct io_uring_sqe *sqe)
{
    sim_recorded own = {.opcode = sqe->opcode,
            .place = {sqe->fd, (sqe->flags & IOSQE_FIXED_FILE) != 0},
            .size = sqe->len,
            .detail = (uint64_t)sqe->ioprio << 32 | sqe->rw_flags};
    if (recorder_has_offset(sqe->opcode))
        own.detail = sqe->off;
    if (sqe->opcode == IORING_OP_ASYNC_CANCEL &&
            (sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) == 0) {
        const sim_request *target = request_named(ring, sqe->addr);
        own.of = target == NULL || target->recorded == 0 ? SIM_ANY_NUMBER : target->recorded;
    }
    return own;
}

/* A cancellation names an operation; one that is over, or unknown, has no name here. */
static bool cancels_the_same(
        const sim_replay *replay, const sim_recorded *entry, const sim_recorded *own)
{
    if (entry->of == own->of)
        return true;
    const sim_recorded *target = sim_recording_find(&replay->recording, entry->of);
    return own->of == SIM_ANY_NUMBER && entry->of != 0 &&
           (target == NULL || replay->places[target - replay->recording.entries].request == NULL);
}

static bool is_like(const sim_replay *replay, const sim_recorded *entry, const sim_recorded *own)
{
    if (entry->is_completion || entry->opcode != own->opcode)
        return false;
    return own->opcode == IORING_OP_ASYNC_CANCEL ? cancels_the_same(replay, entry, own)
                                                 : corresponds(replay, entry->place, own->place);
}

static size_t next_submission(const sim_replay *replay)
{
    size_t at = replay->at;
    while (at < replay->recording.count &&
            (entry_at(replay, at)->is_completion || replay->places[at].is_taken))
        at++;
    return at;
}

/* The first of its operation and descriptor that has not been submitted yet. */
static size_t find_submission(const sim_replay *replay, const sim_recorded *own)
{
    char text[SIM_RECORDED_BYTES];
    size_t at = next_submission(replay);
    for (; at < replay->recording.count; at++) {
        if (!replay->places[at].is_taken && is_like(replay, entry_at(replay, at), own))
            break;
    }
    if (at == replay->recording.count) {
        at = next_submission(replay);
        diverge(replay, entry_at(replay, at < replay->recording.count ? at : replay->at),
                sim_recorded_text(own, text));
    }
    const sim_recorded *entry = entry_at(replay, at);
    if (entry->size != own->size || entry->detail != own->detail)
        diverge(replay, entry, sim_recorded_text(own, text));
    return at;
}

/* The beginning is not in the recording; its first submission is the next one. */
static bool begins(sim_replay *replay)
{
    if (replay->before > 0) {
        replay->before--;
        return false;
    }
    if (!replay->has_begun) {
        const size_t first = next_submission(replay);
        if (first < replay->recording.count)
            replay->start = sim_now(replay->world) - entry_at(replay, first)->time;
        replay->has_begun = true;
        replay->ring->process->is_spared = true;
    }
    return true;
}

uint64_t sim_replay_match(sim_ring *ring, const struct io_uring_sqe *sqe)
{
    sim_replay *replay = ring->replay;
    if (replay == NULL || replay->is_over || !begins(replay))
        return 0;
    const sim_recorded own = in_words(ring, sqe);
    const size_t at = find_submission(replay, &own);
    const sim_recorded *entry = entry_at(replay, at);

    replay->places[at].is_taken = true;
    replay->shift = (replay->turn - entry->turn) & TURN_MASK;
    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        replay->cancel_name = sqe->user_data;
    } else if (own.place.fd >= 0) {
        sim_pairing_set(&replay->pairing, entry->place, own.place);
    }
    return entry->number;
}

static place *place_of(const sim_replay *replay, uint64_t number)
{
    const sim_recorded *entry = sim_recording_find(&replay->recording, number);
    return entry == NULL || entry->is_completion
                   ? NULL
                   : &replay->places[entry - replay->recording.entries];
}

bool sim_replay_hold(sim_request *request)
{
    place *its = place_of(request->ring->replay, request->recorded);
    const bool wakes = request->sqe.opcode == IORING_OP_POLL_ADD && request->file != NULL &&
                       strcmp(request->file->type->name, "eventfd") == 0;
    if (wakes) {
        its->is_free = true;
        return false;
    }
    its->request = request;
    return true;
}

void sim_replay_enter(sim_ring *ring, unsigned to_submit)
{
    sim_replay *replay = ring->replay;
    if (replay == NULL)
        return;
    replay->turn++;
    if (to_submit == 0 || replay->is_over || !replay->has_begun)
        return;
    const size_t at = next_submission(replay);
    if (at == replay->recording.count)
        return;
    const coil_time time = coil_time_after(replay->start, entry_at(replay, at)->time);
    if (time > sim_now(replay->world))
        (void)sim_fiber_wait(NULL, time, "the time at which it was recorded");
}

/* ------------------------------------------------------------------------------- completions -- */

static bool makes_descriptor(const sim_request *request)
{
    switch (request->sqe.opcode) {
    case IORING_OP_ACCEPT:
    case IORING_OP_OPENAT:
        return request->sqe.file_index == 0 || request->sqe.file_index == IORING_FILE_INDEX_ALLOC;
    case IORING_OP_FIXED_FD_INSTALL:
        return true;
    default:
        return false;
    }
}

int sim_replay_settle(sim_request *request, int result, bool has_more)
{
    sim_replay *replay = request->ring->replay;
    const sim_recorded *entry = request->imposed;
    sim_recorded own = *entry;
    char text[SIM_RECORDED_BYTES];

    own.result = result;
    if (has_more != ((entry->flags & IORING_CQE_F_MORE) != 0))
        diverge(replay, entry, has_more ? "more is to come" : "no more is to come");
    if (entry->opcode == IORING_OP_POLL_ADD && result >= 0)
        return entry->result;
    if (makes_descriptor(request) && result >= 0) {
        const bool is_direct = request->sqe.file_index != 0;
        sim_pairing_set(&replay->pairing, (sim_recorded_fd){entry->result, is_direct},
                (sim_recorded_fd){result, is_direct});
        return result;
    }
    if (result != entry->result)
        diverge(replay, entry, sim_recorded_text(&own, text));
    return result;
}

/* A descriptor that the ring has closed may come again, as another one. */
static void note_closed(sim_replay *replay, const sim_request *request)
{
    const unsigned index = request->sqe.file_index;
    const sim_recorded_fd own = {index != 0 ? (int)index - 1 : request->sqe.fd, index != 0};
    if (request->sqe.opcode == IORING_OP_CLOSE)
        sim_pairing_forget(&replay->pairing, own);
}

/* With the recorded result. False: the simulation is not that far. */
static bool try_to_succeed(sim_replay *replay, sim_request *request, const sim_recorded *entry)
{
    const uint32_t shot_count = request->shot_count;
    request->imposed = entry;
    int result = sim_request_try(request);
    const bool is_posted = request->shot_count > shot_count;
    if (result == SIM_AGAIN || is_posted) {
        request->imposed = NULL;
        return is_posted;
    }
    result = sim_replay_settle(request, result, false);
    note_closed(replay, request);
    sim_request_finish(request, result);
    return true;
}

/* Let it happen. False: it is not possible yet. */
static bool impose(sim_replay *replay, const sim_recorded *entry)
{
    place *its = place_of(replay, entry->of);
    sim_request *request = its == NULL ? NULL : its->request;
    const bool is_last = (entry->flags & IORING_CQE_F_MORE) == 0;

    if (request == NULL)
        diverge(replay, entry, "that is over");
    if (!sim_request_may_try(request, replay->is_tried))
        return false;
    if (is_last)
        its->request = NULL;
    if (request->result < 0 || entry->result < 0) { /* Refused at once, or recorded as failed. */
        request->imposed = entry;
        if (request->result < 0)
            (void)sim_replay_settle(request, request->result, false);
        request->flags = 0;
        sim_request_finish(request, entry->result);
        return true;
    }
    if (try_to_succeed(replay, request, entry))
        return true;
    its->request = request;
    return false;
}

/* The outcome of a cancellation; of something that is the simulation's business. */
static bool is_done_with(sim_replay *replay, const sim_recorded *entry)
{
    if (!entry->is_completion)
        return replay->places[replay->at].is_taken;
    if (entry->of == SIM_ANY_NUMBER) {
        if (entry->opcode == IORING_OP_ASYNC_CANCEL)
            (void)sim_ring_post(replay->ring, replay->cancel_name, entry->result, entry->flags);
        return true;
    }
    const place *its = place_of(replay, entry->of);
    return its == NULL || its->is_free;
}

static bool is_due(sim_replay *replay, const sim_recorded *entry)
{
    const coil_time time = coil_time_after(replay->start, entry->time);
    if (time <= sim_now(replay->world))
        return true;
    sim_withdraw(replay->world, &replay->due);
    sim_at(replay->world, time, &replay->due);
    return false;
}

static void end(sim_replay *replay)
{
    coil_list *next;
    replay->is_over = true;
    replay->ring->process->is_spared = false;
    sim_trace(replay->world, "the recording ends here");
    for (coil_list *link = replay->ring->requests.next; link != &replay->ring->requests;
            link = next) {
        sim_request *request = coil_container_of(link, sim_request, link);
        next = link->next;
        if (request->recorded != 0)
            sim_request_let_go(request);
    }
}

static bool is_in_turn(const sim_replay *replay, const sim_recorded *entry)
{
    return ((replay->turn - replay->shift - entry->turn) & TURN_MASK) < TURN_HALF;
}

/* What came in two turns does not come in one: a program may do once per turn what it does. */
static bool is_for_later(const sim_replay *replay, const sim_recorded *entry)
{
    return replay->told == replay->turn && replay->told_as != entry->turn;
}

void sim_replay_deliver(sim_ring *ring)
{
    sim_replay *replay = ring->replay;
    if (replay == NULL || !replay->has_begun)
        return;
    while (!replay->is_over) {
        const sim_recorded *entry = entry_at(replay, replay->at);
        if (entry->is_completion && !is_due(replay, entry))
            return;
        if (entry->is_completion && is_for_later(replay, entry)) {
            sim_ring_notify(ring);
            return;
        }
        if (!is_done_with(replay, entry)) {
            if (!entry->is_completion)
                return; /* The program is to submit that before. */
            const bool has_happened = impose(replay, entry);
            replay->is_tried = !has_happened;
            if (!has_happened)
                return;
            replay->shift = (replay->turn - entry->turn) & TURN_MASK;
            replay->told = replay->turn;
            replay->told_as = entry->turn;
        }
        if (++replay->at == replay->recording.count)
            end(replay);
    }
}

bool sim_replay_goes_on(const sim_ring *ring)
{
    const sim_replay *replay = ring->replay;
    if (replay == NULL || !replay->has_begun || replay->is_over)
        return false;
    const sim_recorded *entry = entry_at(replay, replay->at);
    return entry->is_completion && is_in_turn(replay, entry) && !is_for_later(replay, entry);
}
