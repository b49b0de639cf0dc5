/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(void *found);
    attempt(my->found, find(fd));
    return 0;
}

STAGE_USE
