/* SPDX-License-Identifier: MIT */
/* What the files of the seam to the real kernel share. */
#ifndef KERNEL_PRIVATE_H
#define KERNEL_PRIVATE_H

#include <coil/kernel.h>

#include <errno.h>

/* The result of a libc call as a negative errno. */
static inline int checked(long result)
{
    return result < 0 ? -errno : (int)result;
}

#endif
