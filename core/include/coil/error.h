/* SPDX-License-Identifier: MIT */
/*
 * coil/error.h - the error contract, and names for errors.
 *
 * Everything in Coil that can fail returns 0 or a count on success and a negative errno on failure;
 * coroutines do the same. Three errors are reserved, so that a reader of a log knows who gave up:
 *
 *     -ECANCELED   we asked for it: the task, its group or its scope was cancelled
 *     -ETIME       a deadline of ours passed (within, until)
 *     -ETIMEDOUT   the network gave up (TCP retransmission, connect)
 */
#ifndef COIL_ERROR_H
#define COIL_ERROR_H

#include <coil/base.h>

COIL_BEGIN_DECLS

/*
 * The symbol of an error: "ECONNREFUSED" for -ECONNREFUSED. Takes either sign. "0" for 0 and
 * "EUNKNOWN" for what has no name. Static memory; any thread.
 */
COIL_API const char *coil_error_name(int error);

/*
 * The error in words: "connection refused", "deadline passed". Takes either sign. Static memory;
 * any thread.
 */
COIL_API const char *coil_error_text(int error);

COIL_END_DECLS

#endif
