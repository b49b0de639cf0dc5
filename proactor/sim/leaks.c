/* SPDX-License-Identifier: MIT */
/*
 * Which allocations of a process that ends are lost: those to which no variable of the process
 * leads, over however many others. What is looked at is the sections that processes and threads
 * have of their own; a library keeps there what it uses until the end. As sanitizers do it, any
 * word that could be an address is taken for one.
 */
#include "allocate.h"

#include "sections.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct marking {
    sim_allocation **all; /* By address. */
    size_t count;
    sim_allocation **found; /* To be looked into. */
    size_t found_count;
} marking;

static int compare(const void *left, const void *right)
{
    const sim_allocation *const *a = left;
    const sim_allocation *const *b = right;
    return (uintptr_t)(*a)->memory < (uintptr_t)(*b)->memory ? -1 : 1;
}

/* The allocation in which an address lies; NULL: in none. */
static sim_allocation *allocation_at(const marking *of, uintptr_t address)
{
    size_t low = 0;
    size_t high = of->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((uintptr_t)of->all[middle]->memory <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0)
        return NULL;
    sim_allocation *found = of->all[low - 1];
    return address - (uintptr_t)found->memory < found->size_bytes ? found : NULL;
}

static void look_into(marking *of, sim_section words)
{
    uintptr_t word;
    const size_t skipped_bytes = -(uintptr_t)words.bytes % sizeof(word);

    for (size_t at = skipped_bytes; at + sizeof(word) <= words.size_bytes; at += sizeof(word)) {
        memcpy(&word, words.bytes + at, sizeof(word));
        sim_allocation *allocation = allocation_at(of, word);
        if (allocation == NULL || allocation->is_kept)
            continue;
        allocation->is_kept = true;
        of->found[of->found_count++] = allocation;
    }
}

static marking marking_of(sim_process *process)
{
    marking made = {.count = 0};
    size_t count = 0;

    for (coil_list *at = process->allocations.next; at != &process->allocations; at = at->next)
        count++;
    made.all = sim_new(count * sizeof(sim_allocation *));
    made.found = sim_new(count * sizeof(sim_allocation *));
    for (coil_list *at = process->allocations.next; at != &process->allocations; at = at->next)
        made.all[made.count++] = coil_container_of(at, sim_allocation, link);
    qsort(made.all, made.count, sizeof(sim_allocation *), compare);
    return made;
}

void allocations_mark(sim_process *process)
{
    marking of = marking_of(process);

    look_into(&of, section_of_process());
    look_into(&of, section_of_thread());
    while (of.found_count > 0) {
        const sim_allocation *next = of.found[--of.found_count];
        look_into(&of, (sim_section){next->memory, next->size_bytes});
    }
    sim_delete(of.all);
    sim_delete(of.found);
}

void allocation_print(const sim_allocation *allocation)
{
    const sim_process *process = allocation->process;
    Dl_info in = {.dli_fname = "?"};

    (void)dladdr(allocation->caller, &in);
    const char *slash = strrchr(in.dli_fname, '/');
    fprintf(stderr, "process %d (%s) has not freed %zu bytes, from %s+%#zx (addr2line -fe)\n",
            (int)process->id, process->path, allocation->size_bytes,
            slash == NULL ? in.dli_fname : slash + 1,
            (size_t)((const char *)allocation->caller - (const char *)in.dli_fbase));
}
