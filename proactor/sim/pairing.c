/* SPDX-License-Identifier: MIT */
#include "pairing.h"

#include "world.h"

static sim_pair *find_own(const sim_pairing *pairing, sim_recorded_fd own)
{
    for (size_t i = 0; i < pairing->count; i++) {
        if (sim_recorded_fd_is(pairing->pairs[i].own, own))
            return &pairing->pairs[i];
    }
    return NULL;
}

static sim_pair *find_recorded(const sim_pairing *pairing, sim_recorded_fd recorded)
{
    for (size_t i = 0; i < pairing->count; i++) {
        if (sim_recorded_fd_is(pairing->pairs[i].recorded, recorded))
            return &pairing->pairs[i];
    }
    return NULL;
}

const sim_pair *sim_pairing_own(const sim_pairing *pairing, sim_recorded_fd own)
{
    return find_own(pairing, own);
}

const sim_pair *sim_pairing_recorded(const sim_pairing *pairing, sim_recorded_fd recorded)
{
    return find_recorded(pairing, recorded);
}

/* Takes NULL. The last one takes its place. */
static void drop(sim_pairing *pairing, sim_pair *pair)
{
    if (pair != NULL)
        *pair = pairing->pairs[--pairing->count];
}

void sim_pairing_set(sim_pairing *pairing, sim_recorded_fd recorded, sim_recorded_fd own)
{
    drop(pairing, find_own(pairing, own));
    drop(pairing, find_recorded(pairing, recorded));
    if (pairing->count == pairing->room) {
        pairing->room = pairing->room == 0 ? 16 : 2 * pairing->room;
        pairing->pairs = sim_grown(pairing->pairs, pairing->room * sizeof(*pairing->pairs));
    }
    pairing->pairs[pairing->count++] = (sim_pair){recorded, own};
}

void sim_pairing_forget(sim_pairing *pairing, sim_recorded_fd own)
{
    drop(pairing, find_own(pairing, own));
}

void sim_pairing_free(sim_pairing *pairing)
{
    sim_delete(pairing->pairs);
    *pairing = (sim_pairing){.pairs = NULL};
}
