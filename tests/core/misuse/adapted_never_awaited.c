/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    within(coil_ms(1), op(fd, my, 3));
    return 0;
}

STAGE_USE
