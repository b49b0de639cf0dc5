/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    attempt(my->n, op(nowhere, my, 1));
    return fd;
}

STAGE_USE
