/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    char v[fd];
    v[0] = 1;
    await(nap(1));
    use(v[0]);
    return fd;
}

STAGE_USE
