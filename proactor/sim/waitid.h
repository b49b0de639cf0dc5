/* SPDX-License-Identifier: MIT */
/* waitid.h - IORING_OP_WAITID, for the table of operations. */
#ifndef SIM_WAITID_H
#define SIM_WAITID_H

#include "request.h"

extern const sim_operation sim_waitid_operation;

#endif
