/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    await(my->n, op(fd, my, 1));
    await(my->n, op(fd, my, 1));
    if (my->n)
        await(nap(1));
    else
        await(nap(2));
    return my->n;
}

STAGE_USE
