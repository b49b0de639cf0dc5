/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    int x;
    await(my->n, op(fd, &x, sizeof(x)));
    use(x);
    return 0;
}

STAGE_USE
