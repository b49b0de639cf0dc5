/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    int x = 0;
    if (fd)
        await(nap(1));
    use(x);
    return fd;
}

STAGE_USE
