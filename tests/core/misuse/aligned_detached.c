/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <coil/blocking.h>

struct wide {
    long values[8] __attribute__((aligned(64)));
};

coil_blocking_detached(NULL, int, sums, (struct wide) wide)
{
    return (int)wide.values[0];
}

async(int, c, (int) first)
{
    vars(struct wide wide; int sum);
    my->wide.values[0] = first;
    await(my->sum, sums(my->wide));
    return my->sum;
}

STAGE_USE
