/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(void, c, (int) fd)
{
    vars();
    await(nap(1));
    return fd;
}

STAGE_USE
