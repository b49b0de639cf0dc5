/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    /* clang-format off */
    defer(use(1)); defer(use(2));
    /* clang-format on */
    return fd;
}

STAGE_USE
