/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(struct point p);
    attempt(my->p, where(fd));
    return 0;
}

STAGE_USE
