/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(double found);
    attempt(my->found, weigh(fd));
    return 0;
}

STAGE_USE
