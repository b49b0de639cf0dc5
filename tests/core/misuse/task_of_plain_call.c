/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, get());
    return fd;
}

STAGE_USE
