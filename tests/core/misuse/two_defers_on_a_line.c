/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    defer(use(1));
    defer(use(2));
    return fd;
}

STAGE_USE
