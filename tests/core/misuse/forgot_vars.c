/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    await(nap(1));
    return fd;
}

STAGE_USE
