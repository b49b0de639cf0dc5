/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    await(my->m, op(fd, my, 1));
    return 0;
}

STAGE_USE
