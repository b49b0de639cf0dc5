/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    for (int i = 0; i < 3; i++)
        await(nap(1));
    return fd;
}

STAGE_USE
