/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "process.h"

#include <coil/sim.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SIM_FAULT_COUNT] = {
        [SIM_FAULT_PREEMPT] = "preempt",
        [SIM_FAULT_SHORT_READ] = "short-read",
        [SIM_FAULT_SHORT_WRITE] = "short-write",
        [SIM_FAULT_ENTER_EINTR] = "enter-eintr",
        [SIM_FAULT_ENTER_EBUSY] = "enter-ebusy",
        [SIM_FAULT_ENTER_EAGAIN] = "enter-eagain",
        [SIM_FAULT_PARTIAL_SUBMIT] = "partial-submit",
        [SIM_FAULT_EARLY_WAKE] = "early-wake",
        [SIM_FAULT_MULTISHOT_ENDS] = "multishot-ends",
        [SIM_FAULT_CANCEL_TOO_LATE] = "cancel-too-late",
        [SIM_FAULT_CANCEL_ENDS_LAST] = "cancel-ends-last",
        [SIM_FAULT_NO_BUFFER] = "no-buffer",
        [SIM_FAULT_RING_SETUP] = "ring-setup",
        [SIM_FAULT_RING_REGISTER] = "ring-register",
        [SIM_FAULT_NO_DESCRIPTOR] = "no-descriptor",
        [SIM_FAULT_NO_THREAD] = "no-thread",
        [SIM_FAULT_NO_MEMORY] = "no-memory",
        [SIM_FAULT_WORD_WAKE] = "word-wake",
        [SIM_FAULT_COND_WAKE] = "cond-wake",
        [SIM_FAULT_CONNECT_REFUSED] = "connect-refused",
        [SIM_FAULT_RESET] = "reset",
        [SIM_FAULT_DATAGRAM_LOST] = "datagram-lost",
        [SIM_FAULT_DATAGRAM_TWICE] = "datagram-twice",
        [SIM_FAULT_ACCEPT_ABORTED] = "accept-aborted",
        [SIM_FAULT_DISK_FULL] = "disk-full",
        [SIM_FAULT_DISK_ERROR] = "disk-error",
        [SIM_FAULT_NOT_CACHED] = "not-cached",
        [SIM_FAULT_NO_PROCESS] = "no-process",
        [SIM_FAULT_EVENTS_LOST] = "events-lost",
};

const char *sim_fault_name(size_t kind)
{
    return kind < SIM_FAULT_COUNT ? names[kind] : NULL;
}

sim_fault_kind sim_fault_named(const char *name, size_t size_bytes)
{
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        if (strlen(names[i]) == size_bytes && memcmp(names[i], name, size_bytes) == 0)
            return (sim_fault_kind)i;
    }
    return SIM_FAULT_COUNT;
}

/* ---------------------------------------------------------------------------------- profiles -- */

/* How often in a million each goes wrong, as COIL_SIM_FLAKY has it. */
static const sim_probability flaky[SIM_FAULT_COUNT] = {
        [SIM_FAULT_SHORT_READ] = 50000,
        [SIM_FAULT_SHORT_WRITE] = 50000,
        [SIM_FAULT_ENTER_EINTR] = 10000,
        [SIM_FAULT_ENTER_EBUSY] = 100000,
        [SIM_FAULT_ENTER_EAGAIN] = 1000,
        [SIM_FAULT_PARTIAL_SUBMIT] = 20000,
        [SIM_FAULT_EARLY_WAKE] = 10000,
        [SIM_FAULT_MULTISHOT_ENDS] = 20000,
        [SIM_FAULT_CANCEL_TOO_LATE] = 100000,
        [SIM_FAULT_NO_BUFFER] = 2000,
        [SIM_FAULT_RING_REGISTER] = 10000,
        [SIM_FAULT_WORD_WAKE] = 10000,
        [SIM_FAULT_COND_WAKE] = 10000,
        [SIM_FAULT_NOT_CACHED] = 100000,
        [SIM_FAULT_ACCEPT_ABORTED] = 2000,
};

/* What only a hostile world does: a program may well end because of it, but not crash. */
static const sim_probability rare[SIM_FAULT_COUNT] = {
        [SIM_FAULT_RING_SETUP] = 5000,
        [SIM_FAULT_NO_DESCRIPTOR] = 5000,
        [SIM_FAULT_NO_THREAD] = 10000,
        [SIM_FAULT_NO_MEMORY] = 2000,
        [SIM_FAULT_CONNECT_REFUSED] = 20000,
        [SIM_FAULT_RESET] = 2000,
        [SIM_FAULT_DATAGRAM_LOST] = 20000,
        [SIM_FAULT_DATAGRAM_TWICE] = 5000,
        [SIM_FAULT_DISK_FULL] = 5000,
        [SIM_FAULT_DISK_ERROR] = 2000,
        [SIM_FAULT_NO_PROCESS] = 10000,
        [SIM_FAULT_EVENTS_LOST] = 20000,
};

/* Each kind or not, each of them rarely or often: what hides a bug in one mixture is not in all. */
static void mix(sim_world *world, sim_random *random, int kind)
{
    static const unsigned percents[] = {10, 30, 100, 300};
    const bool has_it = sim_random_number(random, 2) == 0;
    const uint64_t percent = percents[sim_random_number(random, 4)];
    const uint64_t usual = 3 * flaky[kind] + rare[kind];
    world->faults[kind] = has_it ? (sim_probability)(usual * percent / 100) : 0;
}

static void set_swarm(sim_world *world)
{
    static const sim_probability preemptions[] = {0, 10000, 50000, 200000, 500000};
    static const sim_probability cancels[] = {0, SIM_ALWAYS / 2, SIM_ALWAYS};
    sim_random random;

    sim_random_init(&random, world->seed ^ 0x73776172); /* "swar": not that of the world. */
    for (int i = 0; i < SIM_FAULT_EVENTS_LOST; i++)
        mix(world, &random, i);
    world->faults[SIM_FAULT_PREEMPT] = preemptions[sim_random_number(&random, 5)];
    world->faults[SIM_FAULT_CANCEL_ENDS_LAST] = cancels[sim_random_number(&random, 3)];
    mix(world, &random, SIM_FAULT_EVENTS_LOST); /* The last: so a seed is what it was before. */
}

void coil_sim_set_profile(coil_sim *sim, coil_sim_profile profile)
{
    if (profile == COIL_SIM_SWARM) {
        set_swarm(sim);
        return;
    }
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (sim_fault_is_order((sim_fault_kind)i))
            continue;
        sim_probability probability = 0;
        if (profile == COIL_SIM_FLAKY)
            probability = flaky[i];
        if (profile == COIL_SIM_HOSTILE)
            probability = 3 * flaky[i] + rare[i];
        sim->faults[i] = probability;
    }
}

int coil_sim_set_fault(coil_sim *sim, const char *fault, uint32_t ppm)
{
    const sim_fault_kind kind = sim_fault_named(fault, strlen(fault));
    if (kind == SIM_FAULT_COUNT)
        return -ENOENT;
    sim->faults[kind] = ppm;
    return 0;
}

const char *coil_sim_fault_name(size_t place)
{
    return sim_fault_name(place);
}

/* ---------------------------------------------------------------------------------- striking -- */

/* splitmix64 of all that decides. */
static uint64_t drawn(uint64_t seed, uint64_t kind, uint64_t number)
{
    uint64_t word = seed ^ (kind + 1) * 0xd6e8feb86659fd93;
    word += number * 0x9e3779b97f4a7c15;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    return word ^ (word >> 31);
}

static void write_down(sim_world *world, const sim_occurrence *occurrence)
{
    sim_occurrences *all = world->occurrences;
    if (all->count == all->room) {
        all->lost_count++;
    } else {
        all->list[all->count++] = *occurrence;
    }
}

bool sim_fault(sim_world *world, sim_fault_kind fault)
{
    const sim_probability probability = world->faults[fault];
    if (probability == 0)
        return false;
    const sim_process *process = sim_process_current();
    if (process != NULL && process->is_spared && !sim_fault_is_order(fault))
        return false;
    const uint64_t number = ++world->fault_draws[fault];
    if (drawn(world->seed, fault, number) % SIM_ALWAYS >= probability)
        return false;
    if (world->selection != NULL && !sim_selection_has(world->selection, fault, number))
        return false;
    world->fault_counts[fault]++;
    if (world->occurrences != NULL) {
        const sim_occurrence occurrence = {.kind = fault,
                .process = process == NULL ? 0 : process->id,
                .number = number,
                .time = world->now};
        write_down(world, &occurrence);
    }
    return true;
}

/* ------------------------------------------------------------------------------- selections -- */

static int compare(const void *left, const void *right)
{
    const sim_pick *a = left;
    const sim_pick *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

void sim_selection_sort(sim_selection *selection)
{
    if (selection->count > 0)
        qsort(selection->picks, selection->count, sizeof(*selection->picks), compare);
}

static bool finds(const sim_selection *selection, sim_pick wanted)
{
    return selection->count > 0 && bsearch(&wanted, selection->picks, selection->count,
                                           sizeof(*selection->picks), compare) != NULL;
}

bool sim_selection_has(const sim_selection *selection, sim_fault_kind kind, uint64_t number)
{
    return finds(selection, (sim_pick){kind, number}) || finds(selection, (sim_pick){kind, 0});
}

char *sim_selection_text(const sim_selection *selection)
{
    enum { PICK_BYTES = 48 };
    char *text = sim_new(selection->count * PICK_BYTES + PICK_BYTES);
    size_t length = 0;

    if (selection->count == 0)
        memcpy(text, "none", sizeof("none"));
    for (size_t i = 0; i < selection->count; i++) {
        const sim_pick *pick = &selection->picks[i];
        const char *comma = i > 0 ? "," : "";
        if (pick->number == 0) {
            length += (size_t)snprintf(text + length, PICK_BYTES, "%s%s", comma, names[pick->kind]);
        } else {
            length += (size_t)snprintf(text + length, PICK_BYTES, "%s%s:%llu", comma,
                    names[pick->kind], (unsigned long long)pick->number);
        }
    }
    return text;
}

/* "short-read:17" up to `size_bytes`. */
static int parse_pick(const char *text, size_t size_bytes, sim_pick *out_pick)
{
    const char *colon = memchr(text, ':', size_bytes);
    const size_t name_bytes = colon == NULL ? size_bytes : (size_t)(colon - text);

    *out_pick = (sim_pick){.kind = sim_fault_named(text, name_bytes)};
    if (out_pick->kind == SIM_FAULT_COUNT)
        return -EINVAL;
    if (colon == NULL)
        return 0;
    char *end;
    out_pick->number = strtoull(colon + 1, &end, 10);
    return end == text + size_bytes && out_pick->number > 0 ? 0 : -EINVAL;
}

int sim_selection_parse(const char *text, sim_selection *out_selection)
{
    sim_selection selection = {.picks = sim_new((strlen(text) + 1) * sizeof(sim_pick))};

    for (const char *at = text; *at != '\0' && strcmp(text, "none") != 0;) {
        const size_t size_bytes = strcspn(at, ",");
        const int rc = parse_pick(at, size_bytes, &selection.picks[selection.count++]);
        if (rc < 0) {
            sim_delete(selection.picks);
            return rc;
        }
        at += size_bytes;
        at += *at == ',';
    }
    sim_selection_sort(&selection);
    *out_selection = selection;
    return 0;
}

/* --------------------------------------------------------------------------------- the n-th -- */

static const char *const nth_names[SIM_NTH_COUNT] = {
        [SIM_NTH_ALLOCATION] = "nth-allocation",
        [SIM_NTH_SUBMISSION] = "nth-submission",
        [SIM_NTH_COMPLETION] = "nth-completion",
};

static bool counts_to(sim_nth *nth)
{
    return ++nth->count == nth->target;
}

int sim_nth_error(sim_process *process, sim_nth_kind kind, int usual)
{
    sim_world *world = process->world;
    sim_nth *own = &process->nths[kind];
    sim_nth *common = &world->nths[kind];
    const sim_nth *failing = NULL;

    if (counts_to(own))
        failing = own;
    if (!process->is_spared && counts_to(common))
        failing = common;
    if (failing == NULL)
        return 0;
    world->nth_counts[kind]++;
    const int error = failing->error != 0 ? failing->error : usual;
    sim_trace(world, "process %d: %s fails: %d", (int)process->id, nth_names[kind], error);
    return error;
}

static void set_nth(coil_sim *sim, pid_t pid, sim_nth_kind kind, sim_nth nth)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process != NULL)
        process->nths[kind] = nth;
}

void coil_sim_fail_allocation(coil_sim *sim, pid_t pid, uint64_t count)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process != NULL)
        process->nths[SIM_NTH_ALLOCATION].target = count;
}

void coil_sim_fail_submission(coil_sim *sim, pid_t pid, uint64_t count, int error)
{
    set_nth(sim, pid, SIM_NTH_SUBMISSION, (sim_nth){.target = count, .error = error});
}

void coil_sim_fail_completion(coil_sim *sim, pid_t pid, uint64_t count, int error)
{
    set_nth(sim, pid, SIM_NTH_COMPLETION, (sim_nth){.target = count, .error = error});
}

/* ------------------------------------------------------------------------------------ counts -- */

static uint64_t count_all(const coil_sim *sim)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        if (!sim_fault_is_order((sim_fault_kind)i))
            count += sim->fault_counts[i];
    }
    for (unsigned i = 0; i < SIM_NTH_COUNT; i++)
        count += sim->nth_counts[i];
    return count;
}

uint64_t coil_sim_fault_count(const coil_sim *sim, const char *fault)
{
    if (fault == NULL)
        return count_all(sim);
    for (unsigned i = 0; i < SIM_NTH_COUNT; i++) {
        if (strcmp(fault, nth_names[i]) == 0)
            return sim->nth_counts[i];
    }
    const sim_fault_kind kind = sim_fault_named(fault, strlen(fault));
    return kind == SIM_FAULT_COUNT ? 0 : sim->fault_counts[kind];
}
