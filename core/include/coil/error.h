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

#include <stdint.h>

COIL_BEGIN_DECLS

/*
 * The symbol of an error: "ECONNREFUSED" for -ECONNREFUSED. Takes either sign. "0" for 0 and
 * "EUNKNOWN" for what has no name. Static memory; any thread.
 */
COIL_API const char *coil_error_name(int error);

/*
 * The error in words: "deadline passed", or as strerror(3) has it, "Connection refused". Takes
 * either sign. Static memory; any thread.
 */
COIL_API const char *coil_error_text(int error);

/*
 * A pointer that carries an error instead: what a coroutine with a pointer as its result returns
 * when it fails. coil_attempt() recognises it.
 */
static inline void *coil_error_pointer(int error)
{
    return (void *)(intptr_t)error; /* NOLINT(performance-no-int-to-ptr) */
}

/* The error that a pointer carries, or 0 if it is one. */
static inline int coil_pointer_error(const void *pointer)
{
    intptr_t value = (intptr_t)pointer;
    return value < 0 && value >= -4095 ? (int)value : 0;
}

COIL_END_DECLS

#endif
