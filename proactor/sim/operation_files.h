/* SPDX-License-Identifier: MIT */
/*
 * Operations of a ring on files, beside those in operation.h. Paths are copied at submission, as
 * the kernel does it; what is written to the program's memory is written at completion.
 */
#ifndef SIM_OPERATION_FILES_H
#define SIM_OPERATION_FILES_H

#include "request.h"

extern const sim_operation sim_operation_fsync;
extern const sim_operation sim_operation_openat;
extern const sim_operation sim_operation_statx;
extern const sim_operation sim_operation_splice;
extern const sim_operation sim_operation_renameat;
extern const sim_operation sim_operation_unlinkat;
extern const sim_operation sim_operation_mkdirat;
extern const sim_operation sim_operation_symlinkat;
extern const sim_operation sim_operation_linkat;
extern const sim_operation sim_operation_ftruncate;
extern const sim_operation sim_operation_fallocate;

#endif
