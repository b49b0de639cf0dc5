/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    await(my->n, op(fd, 1.5, 2));
    return fd;
}

STAGE_USE
