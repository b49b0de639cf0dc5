/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    if (await(op(fd, my, 1)) < 0)
        return 1;
    return 0;
}

STAGE_USE
