/* SPDX-License-Identifier: MIT */
#include "lending.h"

#include "process.h"
#include "ring.h"
#include "transfer.h"

#include <string.h>

enum { LOOKED_AT_BYTES = 4096, JUNK = 0xa5 }; /* Of each part. */

/* What an operation answers in, beside its bytes, and what was there. */
struct sim_answers {
    unsigned count;
    struct iovec parts[SIM_ANSWERS_MAX];
    bool is_out; /* There is junk. */
    unsigned char kept[];
};

static size_t looked_at(const struct iovec *part)
{
    return part->iov_len < LOOKED_AT_BYTES ? part->iov_len : LOOKED_AT_BYTES;
}

static bool is_junk(const struct iovec *part, size_t from_bytes)
{
    const unsigned char *bytes = part->iov_base;
    for (size_t i = from_bytes; i < looked_at(part); i++) {
        if (bytes[i] != JUNK)
            return false;
    }
    return true;
}

_Noreturn static void fail(const sim_request *request, const char *what)
{
    sim_fail(request->ring->process->world, "%s %llu: %s", request->operation->name,
            (unsigned long long)request->number, what);
}

/* ---------------------------------------------------------------------------- what is read -- */

static uint64_t sum_part(uint64_t sum, const struct iovec *part)
{
    const unsigned char *bytes = part->iov_base;

    for (size_t i = 0; i < looked_at(part); i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

static uint64_t sum(const sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);
    uint64_t all = 0xcbf29ce484222325;

    for (unsigned i = 0; i < count; i++)
        all = sum_part(all, &parts[i]);
    return all;
}

/* ------------------------------------------------------------------------- what is written -- */

static void spoil(sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);
    size_t kept_bytes = 0;

    for (unsigned i = 0; i < count; i++)
        kept_bytes += looked_at(&parts[i]);
    if (kept_bytes == 0)
        return;
    char *kept = request->lent = sim_new(kept_bytes);
    for (unsigned i = 0; i < count; i++) {
        const size_t bytes = looked_at(&parts[i]);
        if (bytes == 0)
            continue;
        memcpy(kept, parts[i].iov_base, bytes);
        memset(parts[i].iov_base, JUNK, bytes);
        kept += bytes;
    }
}

/* Behind what the kernel has written, there must be what we have put there. */
static void check_spoilt(const sim_request *request, size_t written_bytes)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);

    for (unsigned i = 0; i < count; i++) {
        if (!is_junk(&parts[i], written_bytes))
            fail(request, "the program has written where it is to be written");
        written_bytes -= written_bytes < parts[i].iov_len ? written_bytes : parts[i].iov_len;
    }
}

/* What lies behind the first `written_bytes` of all parts. */
static void restore(const sim_request *request, size_t written_bytes)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);
    const char *kept = request->lent;

    for (unsigned i = 0; i < count; i++) {
        const size_t bytes = looked_at(&parts[i]);
        const size_t skipped = written_bytes < bytes ? written_bytes : bytes;
        if (bytes > skipped)
            memcpy((char *)parts[i].iov_base + skipped, kept + skipped, bytes - skipped);
        kept += bytes;
        written_bytes -= written_bytes < parts[i].iov_len ? written_bytes : parts[i].iov_len;
    }
}

/* -------------------------------------------------------------------------------- answers -- */

static void find_answers(sim_request *request)
{
    struct iovec parts[SIM_ANSWERS_MAX];
    size_t kept_bytes = 0;

    const unsigned count = request->operation->answers(request, parts);
    if (count == 0)
        return;
    for (unsigned i = 0; i < count; i++)
        kept_bytes += looked_at(&parts[i]);
    request->answers = sim_new(sizeof(*request->answers) + kept_bytes);
    request->answers->count = count;
    memcpy(request->answers->parts, parts, count * sizeof(*parts));
}

void lending_go_on(sim_request *request)
{
    struct sim_answers *answers = request->answers;
    if (answers == NULL)
        return;
    unsigned char *kept = answers->kept;
    for (unsigned i = 0; i < answers->count; i++) {
        const size_t bytes = looked_at(&answers->parts[i]);
        memcpy(kept, answers->parts[i].iov_base, bytes);
        kept += bytes;
    }
    for (unsigned i = 0; i < answers->count; i++)
        memset(answers->parts[i].iov_base, JUNK, looked_at(&answers->parts[i]));
    answers->is_out = true;
}

static void take_back(sim_request *request)
{
    struct sim_answers *answers = request->answers;
    if (answers == NULL || !answers->is_out)
        return;
    const unsigned char *kept = answers->kept;
    for (unsigned i = 0; i < answers->count; i++) {
        if (!is_junk(&answers->parts[i], 0))
            fail(request, "the program has written where it is to be answered");
    }
    for (unsigned i = 0; i < answers->count; i++) {
        const size_t bytes = looked_at(&answers->parts[i]);
        memcpy(answers->parts[i].iov_base, kept, bytes);
        kept += bytes;
    }
    answers->is_out = false;
}

/* -------------------------------------------------------------------------- begin and end -- */

void lending_begin(sim_request *request)
{
    const sim_operation *operation = request->operation;

    if (operation->writes)
        request->checksum = sum(request);
    if (operation->reads && (request->sqe.flags & IOSQE_BUFFER_SELECT) == 0)
        spoil(request);
    if (operation->answers != NULL)
        find_answers(request);
    lending_go_on(request);
    if (operation->writes || request->lent != NULL || request->answers != NULL)
        coil_list_append(&request->ring->lenders, &request->lender_link);
}

static void verify(sim_request *request, size_t written_bytes)
{
    if (request->operation->writes && request->checksum != 0 && request->checksum != sum(request))
        fail(request, "its bytes have changed in flight");
    if (request->lent != NULL)
        check_spoilt(request, written_bytes);
}

void lending_pause(sim_request *request)
{
    verify(request, request->done_bytes);
    take_back(request);
}

void lending_end(sim_request *request, int result)
{
    const size_t told_bytes = result > 0 ? (size_t)result : 0;

    verify(request, told_bytes > request->done_bytes ? told_bytes : request->done_bytes);
    take_back(request);
    if (request->lent != NULL)
        restore(request, told_bytes);
}

void lending_forget(sim_request *request)
{
    coil_list_remove(&request->lender_link);
    sim_delete(request->lent);
    sim_delete(request->answers);
}

/* --------------------------------------------------------------------------------- freeing -- */

typedef struct block {
    uintptr_t from, to;
} block;

static bool has_part_of(const block *freed, const void *memory, size_t size_bytes)
{
    const uintptr_t from = (uintptr_t)memory;
    return size_bytes > 0 && from < freed->to && freed->from < from + size_bytes;
}

static bool has_any_of(const block *freed, const struct iovec *parts, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (has_part_of(freed, parts[i].iov_base, parts[i].iov_len))
            return true;
    }
    return false;
}

static void check_request(const block *freed, const sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);

    if (has_any_of(freed, parts, count))
        fail(request, "the memory of its bytes is freed in flight");
    if (request->answers != NULL &&
            has_any_of(freed, request->answers->parts, request->answers->count))
        fail(request, "the memory in which it is to be answered is freed");
}

/* Buffers are provided out of large blocks, so that small ones need not be looked for. */
static void check_provided(const block *freed, const sim_buffers *buffers, sim_world *world)
{
    enum { SMALL_BYTES = 4096 };
    const size_t ring_bytes = buffers->entry_count * sizeof(struct io_uring_buf);
    const uint16_t tail = __atomic_load_n(&buffers->ring->tail, __ATOMIC_RELAXED);

    SIM_CHECK(world, !has_part_of(freed, buffers->ring, ring_bytes),
            "the ring of buffers %u is freed, and still registered", buffers->group);
    if (freed->to - freed->from < SMALL_BYTES)
        return;
    for (uint16_t at = buffers->head; at != tail; at++) {
        const struct io_uring_buf *one = &buffers->ring->bufs[at & (buffers->entry_count - 1)];
        SIM_CHECK(world, !has_part_of(freed, sim_memory_at(one->addr), one->len),
                "buffer %u of ring %u is freed, and still provided", one->bid, buffers->group);
    }
}

void lending_check_freed(const sim_process *process, const void *memory, size_t size_bytes)
{
    const block freed = {(uintptr_t)memory, (uintptr_t)memory + size_bytes};

    for (coil_list *at = process->rings.next; at != &process->rings; at = at->next) {
        const sim_ring *ring = coil_container_of(at, sim_ring, link);
        for (coil_list *one = ring->lenders.next; one != &ring->lenders; one = one->next)
            check_request(&freed, coil_container_of(one, sim_request, lender_link));
        for (coil_list *one = ring->buffers.next; one != &ring->buffers; one = one->next) {
            check_provided(&freed, coil_container_of(one, sim_buffers, link), process->world);
        }
        SIM_CHECK(process->world, !has_part_of(&freed, ring->wait_region, ring->wait_region_bytes),
                "the region of the wait argument is freed, and still registered");
    }
}
