/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(void, c, (int) fd)
{
    vars();
    attempt(op(fd, my, 1));
}

STAGE_USE
