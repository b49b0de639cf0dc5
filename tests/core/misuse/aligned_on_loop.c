/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <coil/remote.h>

struct wide {
    long values[8] __attribute__((aligned(64)));
};

coil_declare(int, sums, (struct wide) wide);

async(int, c, (coil_loop *) loop)
{
    vars(struct wide wide; int sum);
    await(my->sum, coil_on_loop(loop, sums(my->wide)));
    return my->sum;
}

coil_task *start(coil_group *group, coil_loop *loop);
coil_task *start(coil_group *group, coil_loop *loop)
{
    return coil_spawn(group, c(loop));
}
