/* SPDX-License-Identifier: MIT */
#include "random.h"

#include "world.h"

/* splitmix64: its states are far apart, so that seeds 1, 2, 3 have nothing in common. */
static uint64_t split(uint64_t *state)
{
    uint64_t word = *state += 0x9e3779b97f4a7c15;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    return word ^ (word >> 31);
}

void sim_random_init(sim_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->state[i] = split(&seed);
}

static uint64_t rotated(uint64_t word, int count)
{
    return word << count | word >> (64 - count);
}

uint64_t sim_random_next(sim_random *random)
{
    uint64_t *state = random->state;
    const uint64_t result = rotated(state[1] * 5, 7) * 9;
    const uint64_t shifted = state[1] << 17;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 45);
    return result;
}

/* The remainder of a division favours small numbers, by less than limit / 2^64: not to be seen. */
uint64_t sim_random_number(sim_random *random, uint64_t limit)
{
    return sim_random_next(random) % limit;
}

/* ------------------------------------------------------------------------------ of a world -- */

uint64_t sim_random_below(sim_world *world, uint64_t limit)
{
    return sim_random_number(&world->random, limit);
}

coil_duration sim_random_between(sim_world *world, coil_duration least, coil_duration most)
{
    if (least >= most)
        return least;
    return least + (coil_duration)sim_random_below(world, (uint64_t)(most - least) + 1);
}

bool sim_chance(sim_world *world, sim_probability probability)
{
    if (probability == 0 || probability >= SIM_ALWAYS)
        return probability != 0;
    return sim_random_below(world, SIM_ALWAYS) < probability;
}

coil_duration sim_draw_latency(sim_world *world, sim_latency latency)
{
    return sim_random_between(
            world, world->latencies[latency].least, world->latencies[latency].most);
}
