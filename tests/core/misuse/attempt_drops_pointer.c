/* SPDX-License-Identifier: MIT */
/* What the pointer points to would be lost. */
#include "stage.h"

coil_declare(struct point *, makes, (int) fd);

async(int, c, (int) fd)
{
    vars();
    attempt(makes(fd));
    return 0;
}

STAGE_USE
