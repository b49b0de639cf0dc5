/* SPDX-License-Identifier: MIT */
#include "shrink.h"

#include <string.h>

enum { RUNS_MAX = 500 };

#define SHRINK_LIMIT coil_s(30) /* Of real time. */

typedef struct shrinking {
    const sim_options *options;
    sim_job job; /* For all the runs. */
    const sim_case *what;
    uint64_t likeness; /* Of the failure. */
    unsigned run_count;
    coil_time end;
} shrinking;

static bool has_time(const shrinking *of)
{
    return of->run_count < RUNS_MAX && sim_real_now() < of->end;
}

/* Does it still fail with these alone? */
static bool fails_with(shrinking *of, const sim_selection *selection)
{
    sim_case what = *of->what;
    what.selection = selection;
    of->run_count++;
    if (sim_job_start(&of->job, &what, &of->options->settings, of->options->timeout) < 0)
        return false;
    sim_job_wait(&of->job);
    sim_job_rest(&of->job);
    return of->job.result->verdict == SIM_FAILED && of->job.result->likeness == of->likeness;
}

static void copy(sim_selection *to, const sim_selection *from)
{
    sim_delete(to->picks);
    to->picks = sim_new((from->count + 1) * sizeof(sim_pick));
    to->count = from->count;
    if (from->count > 0)
        memcpy(to->picks, from->picks, from->count * sizeof(sim_pick));
}

/* Without those from `first`, `count` of them. From sim_new(). */
static sim_selection without(const sim_selection *selection, size_t first, size_t count)
{
    sim_selection made = {.picks = sim_new((selection->count + 1) * sizeof(sim_pick))};
    for (size_t i = 0; i < selection->count; i++) {
        if (i < first || i >= first + count)
            made.picks[made.count++] = selection->picks[i];
    }
    return made;
}

/* ------------------------------------------------------------------------------------ kinds -- */

/* All kinds that have struck. */
static sim_selection kinds_of(const sim_occurrences *occurrences)
{
    bool has_struck[SIM_FAULT_COUNT] = {false};
    sim_selection kinds = {.picks = sim_new(SIM_FAULT_COUNT * sizeof(sim_pick))};

    for (size_t i = 0; i < occurrences->count; i++)
        has_struck[occurrences->list[i].kind] = true;
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        if (has_struck[i] || (occurrences->lost_count > 0 && sim_fault_is_order((sim_fault_kind)i)))
            kinds.picks[kinds.count++] = (sim_pick){.kind = (sim_fault_kind)i};
    }
    return kinds;
}

/*
 * Leave out `count` at a time, from the end, as long as it fails without them. True: some have been
 * left out.
 */
static bool drop_parts(shrinking *of, sim_selection *selection, size_t count)
{
    bool has_dropped = false;
    for (size_t end = selection->count; end > 0 && has_time(of);) {
        const size_t first = end > count ? end - count : 0;
        sim_selection fewer = without(selection, first, end - first);
        if (fails_with(of, &fewer)) {
            copy(selection, &fewer);
            has_dropped = true;
        }
        sim_delete(fewer.picks);
        end = first;
    }
    return has_dropped;
}

/* ------------------------------------------------------------------------------ occurrences -- */

/* In place of kinds, all that has struck in the last run of `of`, which is one that failed. */
static void spell_out(const shrinking *of, sim_selection *selection)
{
    const sim_occurrences *all = &of->job.result->occurrences;

    if (all->lost_count > 0)
        return;
    sim_selection made = {.picks = sim_new((all->count + 1) * sizeof(sim_pick))};
    for (size_t i = 0; i < all->count; i++)
        made.picks[made.count++] = (sim_pick){all->list[i].kind, all->list[i].number};
    sim_selection_sort(&made);
    sim_delete(selection->picks);
    *selection = made;
}

static void drop_occurrences(shrinking *of, sim_selection *selection)
{
    size_t count = (selection->count + 1) / 2;
    while (selection->count > 0 && has_time(of)) {
        const bool has_dropped = drop_parts(of, selection, count);
        if (count == 1 && !has_dropped)
            return;
        if (count > 1)
            count = (count + 1) / 2;
    }
}

/* Too many for a command line: the kind alone, which is what has been tried first. */
static void abbreviate(sim_selection *selection)
{
    enum { SPELLED_MAX = 200 };
    size_t kept = 0;

    if (selection->count <= SPELLED_MAX)
        return;
    for (size_t i = 0; i < selection->count; i++) {
        sim_pick pick = selection->picks[i];
        if (sim_fault_is_order(pick.kind))
            pick.number = 0;
        if (kept > 0 && pick.number == 0 && selection->picks[kept - 1].kind == pick.kind)
            continue;
        selection->picks[kept++] = pick;
    }
    selection->count = kept;
}

bool sim_shrink(const sim_options *options, const sim_job *failed, sim_selection *out_selection,
        unsigned *out_run_count)
{
    shrinking of = {.options = options,
            .what = &failed->what,
            .likeness = failed->result->likeness,
            .end = coil_time_after(sim_real_now(), SHRINK_LIMIT)};
    sim_selection selection = kinds_of(&failed->result->occurrences);
    const sim_selection none = {.picks = NULL};

    sim_job_init(&of.job);
    if (fails_with(&of, &none)) {
        selection.count = 0;
    } else {
        (void)drop_parts(&of, &selection, 1);
    }
    bool is_sure = fails_with(&of, &selection);
    if (is_sure && selection.count > 0) {
        spell_out(&of, &selection);
        drop_occurrences(&of, &selection);
        abbreviate(&selection);
        is_sure = fails_with(&of, &selection);
    }
    sim_job_fini(&of.job);
    *out_run_count = of.run_count;
    if (!is_sure) {
        sim_delete(selection.picks);
        return false;
    }
    *out_selection = selection;
    return true;
}
