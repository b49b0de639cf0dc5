/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    defer(use(fd));
    return fd;
}

STAGE_USE
