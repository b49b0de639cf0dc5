/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    return fd;
}

coil_handler make(void);
coil_handler make(void)
{
    return coil_handler(c, struct point *);
}

STAGE_USE
