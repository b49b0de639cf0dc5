/* SPDX-License-Identifier: MIT */
/* The keeper was killed: another one, which is told everything, before anybody needs it. */
#include "adoption_private.h"

#include <coil/loop.h>
#include <coil/waiter.h>

#include <errno.h>

enum { TRIES = 3 };

/* -------------------------------------------------------------------------------- renewing -- */

coil_define(void, adoption_settled, (coil_adoption *) adoption)
{
    coil_vars();

    while (adoption->is_renewing)
        coil_ignore(coil_waiter_wait(&adoption->waiters));
}

static void end_renewing(coil_adoption *adoption)
{
    adoption->is_renewing = false;
    coil_waiter_grant_all(&adoption->waiters, 0);
}

/* 0: it may be worth while to try again. */
coil_async(int, renew, (coil_adoption *) adoption)
{
    coil_vars();

    if (adoption->is_renewing) {
        coil_await(adoption_settled(adoption));
        return 0;
    }
    adoption->is_renewing = true;
    coil_defer(end_renewing(adoption));
    coil_attempt(coil_keeper_renew(adoption->keeper));
    coil_attempt(adoption_keep_all(adoption));
    return 0;
}

/* ---------------------------------------------------------------------------------- asking -- */

coil_define(int, adoption_put, (coil_adoption *) adoption, (const coil_kept *) thing)
{
    coil_vars(int tries; int rc);

    for (my->tries = 0; my->tries < TRIES; my->tries++) {
        coil_await(adoption_settled(adoption));
        coil_await(my->rc, coil_keeper_put(adoption->keeper, thing));
        if (my->rc != -EPIPE)
            return my->rc;
        coil_attempt(renew(adoption));
    }
    return -EPIPE;
}

/* What is not there any more need not be removed from another one. */
coil_define(int, adoption_remove, (coil_adoption *) adoption, (const char *) key)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_keeper_remove(adoption->keeper, key));
    if (my->rc == -EPIPE)
        coil_attempt(renew(adoption));
    return my->rc == -EPIPE ? 0 : my->rc;
}

/* -------------------------------------------------------------------------------- watching -- */

coil_async(int, watch, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    coil_defer(adoption->watch = NULL);
    for (;;) {
        coil_attempt(coil_keeper_gone(adoption->keeper));
        coil_await(my->rc, renew(adoption));
        if (my->rc < 0)
            coil_await(coil_sleep(ADOPTION_KEEPER_AGAIN));
    }
}

/* Without memory for it, the keeper's end is noticed when it is told something. */
void adoption_begin_watch(coil_adoption *adoption)
{
    adoption->watch = coil_spawn(&adoption->group, watch(adoption));
}

/* Who saves may come to rest only now: so they are looked at until all have ended. */
coil_define(void, adoption_end_tasks, (coil_adoption *) adoption)
{
    coil_vars();

    if (adoption->watch != NULL)
        coil_task_cancel(adoption->watch);
    while (adoption->group.live_count > 0) {
        if (adoption->resting != NULL)
            coil_task_cancel(adoption->resting);
        coil_await(coil_sleep(coil_ms(1)));
    }
}
