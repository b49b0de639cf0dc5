/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_retrying.h - a channel that calls again where that is safe.
 *
 *     coil_thrift_retrying_init(&retrying, coil_thrift_pool_channel(pool));
 *     retrying.budget = &budget;
 *     coil_attempt(shop_Shop_price(&retrying.channel, ...));
 *
 * A call is made again only if that cannot do its work twice by accident:
 *
 *     nothing of it was sent                           no connection, or no room on one
 *     the server says that it has not begun it         an overload, a drain
 *     the method is (idempotent) in the interface      whatever became of the call
 *
 * and only if the error says "not now" rather than "not so" (coil_error_may_pass()). A declared
 * exception is an answer like any other.
 *
 * Between two attempts it waits, as coil/retry.h says; it does not wait into a deadline, and gives
 * up with what the last attempt has returned. What failed attempts took of the arena stays taken.
 *
 * invocation->timeout bounds all of it; `attempt_limit`, or what the channel behind has for the
 * method, each attempt.
 *
 * On the loop's thread only.
 */
#ifndef COIL_THRIFT_RETRYING_H
#define COIL_THRIFT_RETRYING_H

#include <coil/retry.h>
#include <coil/thrift_service.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_retrying {
    coil_thrift_channel channel;
    coil_thrift_channel *next;
    const coil_retry_policy *policy; /* NULL: the defaults. worth_it() is asked for what is safe. */
    coil_retry_budget *budget;       /* What it shares with others; NULL: no bound. */
    coil_duration attempt_limit;     /* 0: what `next` has for the method. */
    coil_random random;              /* May be given a seed of one's own. */

    /* Read only. */
    uint64_t call_count;
    uint64_t retry_count;
} coil_thrift_retrying;

/* `next`, and what is set in it later, must outlive the calls. There is nothing to give back. */
COIL_API void coil_thrift_retrying_init(coil_thrift_retrying *retrying, coil_thrift_channel *next);

/*
 * May a call that has ended with `error` be made again without a risk that its work is done twice?
 * What is worth the trouble is another question.
 */
COIL_API bool coil_thrift_is_repeatable(const coil_thrift_invocation *invocation, int error);

/*
 * Has the server refused the call, whose outcome is -EREMOTEIO, before it began: too much to do, or
 * about to end? So says a TApplicationException of type COIL_THRIFT_LOADSHEDDING.
 */
COIL_API bool coil_thrift_was_refused(const coil_thrift_invocation *invocation, int error);

COIL_END_DECLS

#endif
