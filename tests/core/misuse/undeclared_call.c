/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    await(my->n, nobody(fd));
    return fd;
}

STAGE_USE
