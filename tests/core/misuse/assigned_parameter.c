/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    fd = 3;
    await(nap(fd));
    return fd;
}

STAGE_USE
