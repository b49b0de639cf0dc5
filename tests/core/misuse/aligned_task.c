/* SPDX-License-Identifier: MIT */
#include "stage.h"

struct wide {
    long values[8] __attribute__((aligned(64)));
};

async(int, c, (struct wide) wide)
{
    vars();
    await(nap(1));
    return (int)wide.values[0];
}

coil_task *start(coil_group *group);
coil_task *start(coil_group *group)
{
    struct wide wide = {{3}};
    return coil_spawn(group, c(wide));
}
