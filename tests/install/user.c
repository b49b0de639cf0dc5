/* SPDX-License-Identifier: MIT */
/* A user of the installed library. */
#include <coil/coil.h>

#include <errno.h>
#include <stdio.h>

int main(void)
{
    return puts(coil_error_text(-ECANCELED)) < 0;
}
