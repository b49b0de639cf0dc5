/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_backup.h - a channel that asks a second time where the answer is slow to come.
 *
 *     coil_thrift_backup_init(&backup, coil_thrift_pool_channel(pool), coil_ms(20));
 *     backup.budget = &budget;
 *     coil_attempt(shop_Shop_price(&backup.channel, ...));
 *
 * A method that is (idempotent) in the interface is called again when `delay` is over without an
 * answer. A pool gives the second call to another connection, if it can have one. The first answer
 * is the result, and the other call is cancelled. So a server that is slow now and then costs
 * `delay` and not its slowness; with the 95th percentile for that, a twentieth more calls. A budget
 * bounds them where all servers are slow. (Dean, Barroso: The tail at scale, 2013: hedged requests)
 *
 *     call ----------------- delay ---+-------------------> answer: the result
 *                                     +--- again ---------> answer: or this one
 *
 * invocation->timeout bounds both calls: the second one has what is left of it. A limit that the
 * channel behind has for the method bounds each.
 *
 * An exception is an answer. An attempt that fails is none, as long as the other is under way.
 * Other methods pass unchanged.
 *
 * On the loop's thread only.
 */
#ifndef COIL_THRIFT_BACKUP_H
#define COIL_THRIFT_BACKUP_H

#include <coil/retry.h>
#include <coil/thrift_service.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_backup {
    coil_thrift_channel channel;
    coil_thrift_channel *next;
    coil_duration delay;
    coil_retry_budget *budget; /* Each second call takes a token of it. NULL: no bound. */

    /* Read only. */
    uint64_t call_count; /* Of idempotent methods. */
    uint64_t backup_count;
    uint64_t won_count; /* Second calls whose answer was the first. */
} coil_thrift_backup;

/* `next`, and what is set in it later, must outlive the calls. There is nothing to give back. */
COIL_API void coil_thrift_backup_init(
        coil_thrift_backup *backup, coil_thrift_channel *next, coil_duration delay);

COIL_END_DECLS

#endif
