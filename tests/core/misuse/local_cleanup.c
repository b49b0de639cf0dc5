/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    int x __attribute__((cleanup(clean))) = get();
    await(nap(1));
    return fd;
}

STAGE_USE
