/* SPDX-License-Identifier: MIT */
#include <coil/check.h>

#include <stdio.h>
#include <stdlib.h>

void coil_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    abort();
}
