/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    /* clang-format off */
    await(my->n, op(fd, my, 1)); await(my->n, op(fd, my, 1));
    /* clang-format on */
    if (my->n)
        await(nap(1));
    else
        await(nap(2));
    return my->n;
}

STAGE_USE
