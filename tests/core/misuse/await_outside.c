/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    return fd;
}

void plain(void);
void plain(void)
{
    await(nap(1));
}

STAGE_USE
