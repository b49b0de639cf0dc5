/* SPDX-License-Identifier: MIT */
/* Operations that are defined where their subject is. */
#ifndef SIM_OPERATION_H
#define SIM_OPERATION_H

#include "request.h"

extern const sim_operation sim_operation_fsync;  /* disk.c */
extern const sim_operation sim_operation_openat; /* disk.c */
extern const sim_operation sim_operation_statx;  /* disk.c */
extern const sim_operation sim_operation_splice; /* pipe.c */
extern const sim_operation sim_operation_waitid; /* child.c */

#endif
