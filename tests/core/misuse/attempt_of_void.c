/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    attempt(nap(fd));
    return 0;
}

STAGE_USE
