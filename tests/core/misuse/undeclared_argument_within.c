/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(int n);
    attempt(my->n, within(coil_ms(1), op(nowhere, my, 1)));
    return fd;
}

STAGE_USE
