/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    struct op__cold cold = op(fd, my, 1);
    return 0;
}

STAGE_USE
