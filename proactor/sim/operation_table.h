/* SPDX-License-Identifier: MIT */
/*
 * operation_table.h - the operations that operation.c finds by opcode, and others define. Paths are
 * copied at submission, as the kernel does it; what is written to the program's memory is written
 * at completion.
 */
#ifndef SIM_OPERATION_TABLE_H
#define SIM_OPERATION_TABLE_H

#include "request.h"

/* operation_files.c */
extern const sim_operation sim_operation_fallocate;
extern const sim_operation sim_operation_fsync;
extern const sim_operation sim_operation_ftruncate;
extern const sim_operation sim_operation_linkat;
extern const sim_operation sim_operation_mkdirat;
extern const sim_operation sim_operation_openat;
extern const sim_operation sim_operation_renameat;
extern const sim_operation sim_operation_splice;
extern const sim_operation sim_operation_statx;
extern const sim_operation sim_operation_symlinkat;
extern const sim_operation sim_operation_unlinkat;

/* waitid.c */
extern const sim_operation sim_operation_waitid;

/* zero_copy.c */
extern const sim_operation sim_operation_send_zc;
extern const sim_operation sim_operation_sendmsg_zc;

#endif
