/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    my->n = await(op(fd, my, 1));
    return my->n;
}

STAGE_USE
