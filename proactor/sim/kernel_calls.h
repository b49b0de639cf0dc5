/* SPDX-License-Identifier: MIT */
/* kernel_calls.h - what the direct calls of the seam have in common. */
#ifndef SIM_KERNEL_CALLS_H
#define SIM_KERNEL_CALLS_H

#include "file.h"

/* The file of a call: it is one operation, and takes its time. NULL: -EBADF. */
sim_file *sim_call_file(int fd);

#endif
