/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    char bytes[9];
    await(my->n, op(fd, bytes, 9));
    use(bytes[0]);
    return 0;
}

STAGE_USE
