/* SPDX-License-Identifier: MIT */
#include <coil/random.h>

#include <coil/kernel.h>

/* How many seeds have been given. Of threads that ask at the same time each gets another. */
static COIL_PROCESS_WIDE uint64_t seed_count;

uint64_t coil_random_seed(void)
{
    uint64_t number = __atomic_add_fetch(&seed_count, 1, __ATOMIC_RELAXED);
    coil_random mixed;

    coil_random_init(&mixed, (uint64_t)coil_kernel_now());
    mixed.state = coil_random_next(&mixed) ^ (uint64_t)coil_kernel_getpid();
    mixed.state = coil_random_next(&mixed) ^ number;
    return coil_random_next(&mixed);
}
