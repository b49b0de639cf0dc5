/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    await(my->n, op(fd, &(struct point){1, 2}, 8));
    return my->n;
}

STAGE_USE
