/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    int x;
    x = get();
    await(nap(1));
    use(x);
    return fd;
}

STAGE_USE
