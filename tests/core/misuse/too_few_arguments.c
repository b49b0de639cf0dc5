/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    await(my->n, op(fd, my));
    return fd;
}

STAGE_USE
