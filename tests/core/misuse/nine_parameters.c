/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, many, (int) a, (int) b, (int) d, (int) e, (int) f, (int) g, (int) h, (int) i, (int) j)
{
    vars();
    return a;
}

async(int, c, (int) fd)
{
    vars();
    return fd;
}

STAGE_USE
