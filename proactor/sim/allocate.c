/* SPDX-License-Identifier: MIT */
#include "allocate.h"

#include "fault.h"
#include "fiber.h"
#include "lending.h"
#include "process.h"
#include "wrapped.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------------------- our own -- */

static void *needed(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "coil: simulation: no memory\n");
        __real_abort();
    }
    return memory;
}

void *sim_new(size_t size_bytes)
{
    return needed(__real_calloc(1, size_bytes));
}

void *sim_grown(void *memory, size_t size_bytes)
{
    return needed(__real_realloc(memory, size_bytes));
}

void sim_delete(void *memory)
{
    __real_free(memory);
}

char *sim_copy_text(const char *text)
{
    const size_t size_bytes = strlen(text) + 1;
    return memcpy(sim_new(size_bytes), text, size_bytes);
}

/* -------------------------------------------------------------------------------- the ledger -- */

/*
 * By address, chained; nothing goes through the table, whose order is that of addresses. What is in
 * no ledger (memory of libc, of the world, of a test) is nobody's business here.
 */
static struct {
    sim_allocation **buckets;
    size_t bucket_count;
    size_t count;
} ledger;

static sim_allocation **bucket_of(const void *memory)
{
    const uint64_t hash = (uint64_t)(uintptr_t)memory * 0x9e3779b97f4a7c15;
    return &ledger.buckets[(hash >> 32) & (ledger.bucket_count - 1)];
}

static void grow_ledger(void)
{
    sim_allocation **before = ledger.buckets;
    const size_t before_count = ledger.bucket_count;

    ledger.bucket_count = before_count == 0 ? 1024 : 4 * before_count;
    ledger.buckets = sim_new(ledger.bucket_count * sizeof(sim_allocation *));
    for (size_t i = 0; i < before_count; i++) {
        sim_allocation *next;
        for (sim_allocation *at = before[i]; at != NULL; at = next) {
            next = at->next;
            sim_allocation **bucket = bucket_of(at->memory);
            at->next = *bucket;
            *bucket = at;
        }
    }
    sim_delete(before);
}

static void enter(sim_process *process, void *memory, size_t size_bytes, const void *caller)
{
    if (memory == NULL)
        return;
    if (ledger.count >= ledger.bucket_count)
        grow_ledger();
    sim_allocation *allocation = sim_new(sizeof(*allocation));
    sim_allocation **bucket = bucket_of(memory);
    *allocation = (sim_allocation){.next = *bucket,
            .memory = memory,
            .size_bytes = size_bytes,
            .caller = caller,
            .process = process};
    *bucket = allocation;
    ledger.count++;
    coil_list_append(&process->allocations, &allocation->link);
}

/* Its size. Does nothing for what is not in it: 0. */
static size_t strike_out(const void *memory)
{
    if (ledger.count == 0)
        return 0;
    for (sim_allocation **place = bucket_of(memory); *place != NULL; place = &(*place)->next) {
        sim_allocation *allocation = *place;
        if (allocation->memory != memory)
            continue;
        const size_t size_bytes = allocation->size_bytes;
        *place = allocation->next;
        coil_list_remove(&allocation->link);
        sim_delete(allocation);
        ledger.count--;
        return size_bytes;
    }
    return 0;
}

/* The program gives it back. */
static void give_back(const void *memory)
{
    const size_t size_bytes = strike_out(memory);
    const sim_process *process = sim_process_current();
    if (process != NULL && size_bytes > 0)
        lending_check_freed(process, memory, size_bytes);
}

uint64_t allocations_free(sim_process *process, bool reports, bool has_variables)
{
    uint64_t count = 0;

    if (has_variables && !coil_list_empty(&process->allocations))
        allocations_mark(process);
    while (!coil_list_empty(&process->allocations)) {
        const sim_allocation *first =
                coil_container_of(process->allocations.next, sim_allocation, link);
        void *memory = first->memory;
        if (reports && process->reports_leaks && !first->is_kept)
            allocation_print(first);
        count += !first->is_kept;
        (void)strike_out(memory);
        __real_free(memory);
    }
    if (ledger.count == 0) {
        sim_delete(ledger.buckets);
        ledger.buckets = NULL;
        ledger.bucket_count = 0;
    }
    return count;
}

/* True: this one is not to be had. */
static bool fails(sim_process *process)
{
    if (sim_nth_error(process, SIM_NTH_ALLOCATION, -ENOMEM) == 0 &&
            !sim_fault(process->world, SIM_FAULT_NO_MEMORY))
        return false;
    errno = ENOMEM;
    return true;
}

/* ------------------------------------------------------------------------ what is wrapped -- */

void *__wrap_malloc(size_t size_bytes)
{
    sim_process *process = sim_process_current();
    if (process == NULL)
        return __real_malloc(size_bytes);
    if (fails(process))
        return NULL;
    void *memory = __real_malloc(size_bytes);
    enter(process, memory, size_bytes, __builtin_return_address(0));
    return memory;
}

void *__wrap_calloc(size_t count, size_t size_bytes)
{
    sim_process *process = sim_process_current();
    if (process == NULL)
        return __real_calloc(count, size_bytes);
    if (fails(process))
        return NULL;
    void *memory = __real_calloc(count, size_bytes);
    enter(process, memory, count * size_bytes, __builtin_return_address(0));
    return memory;
}

void *__wrap_aligned_alloc(size_t alignment_bytes, size_t size_bytes)
{
    sim_process *process = sim_process_current();
    if (process == NULL)
        return __real_aligned_alloc(alignment_bytes, size_bytes);
    if (fails(process))
        return NULL;
    void *memory = __real_aligned_alloc(alignment_bytes, size_bytes);
    enter(process, memory, size_bytes, __builtin_return_address(0));
    return memory;
}

void *__wrap_realloc(void *memory, size_t size_bytes)
{
    sim_process *process = sim_process_current();
    if (process == NULL)
        return __real_realloc(memory, size_bytes);
    if (fails(process))
        return NULL;
    give_back(memory);
    void *grown = __real_realloc(memory, size_bytes);
    enter(process, grown, size_bytes, __builtin_return_address(0));
    return grown;
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        give_back(memory);
    __real_free(memory);
}
