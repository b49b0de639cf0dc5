/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars();
    return fd;
}

async(int, two, (struct point *) p, (int) fd)
{
    vars();
    return p->x + fd;
}

coil_handler make(void);
coil_handler make(void)
{
    return coil_handler(two, struct point *);
}

STAGE_USE
