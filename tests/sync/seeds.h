/* SPDX-License-Identifier: MIT */
/* seeds.h - what a random test begins with: new seeds at every run, COIL_TEST_SEEDS times as
 * many; or the one in COIL_SEED. */
#ifndef COIL_TESTS_SYNC_SEEDS_H
#define COIL_TESTS_SYNC_SEEDS_H

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

/* `count` seeds in a row, which are printed in case that the program does not live to tell. */
inline std::vector<unsigned> seeds(unsigned count)
{
    const char *given = getenv("COIL_SEED");
    if (given != nullptr)
        return {static_cast<unsigned>(strtoul(given, nullptr, 10))};
    const char *factor = getenv("COIL_TEST_SEEDS");
    if (factor != nullptr)
        count *= static_cast<unsigned>(strtoul(factor, nullptr, 10));
    std::vector<unsigned> row(count);
    std::iota(row.begin(), row.end(), std::random_device()());
    printf("COIL_SEED=%u to %u\n", row.front(), row.back());
    return row;
}

#endif
