/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    return fd;
}

void plain(coil_group *group);
void plain(coil_group *group)
{
    open_group(group);
}

STAGE_USE
